/* SPDX-License-Identifier: MIT
 *
 * The plan file, both ways. Every key is known, every value is checked against the parameter's own row, and a
 * message names file, line, key and what is allowed.
 */
#include "core/plan/swage-plan-private.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json-lines.h"
#include "core/base/swage-json.h"
#include "core/base/swage-output.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAN_FORMAT 1
#define MAX_PLAN_BYTES ((size_t)16 << 20)
#define MAX_RULES 100000
#define MAX_STEPS 64
#define MAX_DEPTH 8

/* The place in the document that is being read: what a message points at. */
typedef struct
{
  const char *text, *origin;
  size_t n;
  SwageJsonStep path[MAX_DEPTH];
  size_t depth;
} Reader;

static void
push (Reader *reader, const char *key, size_t index)
{
  g_assert (reader->depth < MAX_DEPTH);
  reader->path[reader->depth++] = (SwageJsonStep){ key, index };
}

static void
pop (Reader *reader)
{
  reader->depth--;
}

static bool G_GNUC_PRINTF (3, 4) fail (Reader *reader, GError **error, const char *format, ...)
{
  g_autoptr (GString) where = g_string_new (NULL);
  for (size_t i = 0; i < reader->depth; i++)
    if (reader->path[i].key != NULL)
      g_string_append_printf (where, "%s%s", where->len > 0 ? "." : "", reader->path[i].key);
    else
      g_string_append_printf (where, "[%zu]", reader->path[i].index);
  SwageJsonPlace place = { 0 };
  swage_json_find_place (reader->text, reader->n, reader->path, reader->depth, &place);
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s, line %d: %s: %s"), reader->origin, place.line,
               where->len > 0 ? where->str : _ ("the plan"), message);
  return false;
}

/* The message of *error, without its code, behind the place. */
static bool
fail_with (Reader *reader, GError **error, GError *cause)
{
  fail (reader, error, "%s", cause->message);
  g_error_free (cause);
  return false;
}

static bool
check_keys (Reader *reader, json_t *object, const char *const *known, GError **error)
{
  const char *key;
  json_t *value;
  json_object_foreach (object, key, value) if (!g_strv_contains (known, key))
  {
    g_autofree char *list = g_strjoinv (", ", (char **)known);
    push (reader, key, 0);
    fail (reader, error, _ ("This key is not known; the keys here are: %s."), list);
    pop (reader);
    return false;
  }
  return true;
}

static bool
expect_object (Reader *reader, json_t *value, GError **error)
{
  return json_is_object (value) || fail (reader, error, _ ("An object {…} is expected here."));
}

static bool
read_string (Reader *reader, json_t *object, const char *key, char **out, GError **error)
{
  json_t *value = json_object_get (object, key);
  if (value == NULL)
    return true;
  push (reader, key, 0);
  bool good = json_is_string (value) && strlen (json_string_value (value)) == json_string_length (value);
  if (good)
    {
      g_free (*out);
      *out = g_strdup (json_string_value (value));
    }
  else
    fail (reader, error, _ ("A text in quotation marks is expected."));
  pop (reader);
  return good;
}

static bool
read_int (Reader *reader, json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
          GError **error)
{
  json_t *value = json_object_get (object, key);
  if (value == NULL)
    return true;
  push (reader, key, 0);
  bool good
      = json_is_integer (value) && json_integer_value (value) >= min && json_integer_value (value) <= max;
  if (good)
    *out = json_integer_value (value);
  else
    fail (reader, error, _ ("A whole number from %" PRId64 " to %" PRId64 " is expected."),
          min, max);
  pop (reader);
  return good;
}

static bool
read_param (Reader *reader, const SwageMethod *method, const SwageParam *param, json_t *value, GString *text,
            GError **error)
{
  g_autofree char *range = swage_param_describe_range (param);
  bool good = false;
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
      good = json_is_integer (value);
      break;
    case SWAGE_PARAM_DOUBLE:
      good = json_is_number (value);
      break;
    case SWAGE_PARAM_BOOL:
      good = json_is_boolean (value);
      break;
    case SWAGE_PARAM_CHOICE:
      good = json_is_string (value) && strpbrk (json_string_value (value), ",+=") == NULL;
      break;
    case SWAGE_PARAM_END:
      break;
    }
  if (!good)
    return fail (reader, error, _ ("This value is of the wrong type; allowed is %s."), range);
  g_string_append_printf (text, "%s%s=", strchr (text->str, ':') != NULL ? "," : ":", param->id);
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];
  if (json_is_string (value))
    g_string_append (text, json_string_value (value));
  else if (json_is_boolean (value))
    g_string_append (text, json_is_true (value) ? "true" : "false");
  else if (json_is_integer (value))
    g_string_append_printf (text, "%" JSON_INTEGER_FORMAT, json_integer_value (value));
  else
    g_string_append (text, g_ascii_dtostr (buffer, sizeof buffer, json_real_value (value)));
  return true;
}

static SwageStep *
read_step (Reader *reader, json_t *json, GError **error)
{
  if (!expect_object (reader, json, error))
    return NULL;
  json_t *id = json_object_get (json, "method");
  const SwageMethod *method = json_is_string (id) ? swage_method_find (json_string_value (id)) : NULL;
  if (method == NULL)
    {
      g_autoptr (GString) known = g_string_new (NULL);
      for (int i = 0; swage_methods[i] != NULL; i++)
        g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", swage_methods[i]->id);
      push (reader, "method", 0);
      fail (reader, error, _ ("A method is expected, one of: %s."), known->str);
      pop (reader);
      return NULL;
    }
  int64_t version = method->version;
  if (!read_int (reader, json, "version", 1, method->version, &version, error))
    return NULL;
  json_t *enabled = json_object_get (json, "enabled");
  if (enabled != NULL && !json_is_boolean (enabled))
    {
      push (reader, "enabled", 0);
      fail (reader, error, _ ("true or false is expected."));
      pop (reader);
      return NULL;
    }

  g_autoptr (GString) text = g_string_new (method->id);
  const char *key;
  json_t *value;
  json_object_foreach (json, key, value)
  {
    if (strcmp (key, "method") == 0 || strcmp (key, "version") == 0 || strcmp (key, "enabled") == 0)
      continue;
    push (reader, key, 0);
    const SwageParam *param = swage_method_find_param (method, key);
    if (param == NULL)
      {
        g_autoptr (GString) known = g_string_new ("version, enabled");
        for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
          g_string_append_printf (known, ", %s", p->id);
        fail (reader, error, _ ("%s has no parameter of this name; it has: %s."), method->id, known->str);
        return NULL;
      }
    gsize before = text->len;
    GError *cause = NULL;
    if (!read_param (reader, method, param, value, text, error))
      return NULL;
    /* try it alone first, so that the message points at its line */
    g_autofree char *alone = g_strdup_printf ("%s:%s", method->id, text->str + before + 1);
    g_autoptr (SwageStep) defaults = swage_step_new (method);
    g_autoptr (SwageStep) tried = swage_step_new_with (defaults, param->id, strchr (alone, '=') + 1, &cause);
    bool in_range = tried != NULL || method->check != NULL;
    if (tried == NULL && method->check != NULL)
      {
        /* a rule between parameters may refuse it beside the defaults alone; its own range is what is asked
         * here */
        g_autofree guint8 *scratch = g_malloc0 (MAX (method->params_size, 1));
        swage_params_init (method, scratch);
        g_clear_error (&cause);
        in_range = swage_param_set_text (method, scratch, param, strchr (alone, '=') + 1, &cause);
      }
    if (!in_range)
      {
        fail_with (reader, error, cause);
        return NULL;
      }
    pop (reader);
  }
  GError *cause = NULL;
  SwageStep *step = swage_step_new_from_text (text->str, &cause);
  if (step == NULL)
    {
      fail_with (reader, error, cause);
      return NULL;
    }
  if (enabled != NULL && json_is_false (enabled))
    {
      SwageStep *off = swage_step_new_enabled (step, false);
      swage_step_unref (step);
      step = off;
    }
  return step;
}

static bool
read_rule (Reader *reader, json_t *json, SwagePlanState *state, GError **error)
{
  static const char *const keys[] = { "layers", "steps", NULL };
  if (!expect_object (reader, json, error) || !check_keys (reader, json, keys, error))
    return false;
  g_autofree char *glob = NULL;
  if (!read_string (reader, json, "layers", &glob, error))
    return false;
  if (glob == NULL || glob[0] == '\0')
    return fail (reader, error, _ ("A rule needs “layers”: a name or pattern such as \"blk.*.ffn_down\"."));
  json_t *steps = json_object_get (json, "steps");
  push (reader, "steps", 0);
  if (!json_is_array (steps) || json_array_size (steps) > MAX_STEPS)
    return fail (reader, error, _ ("A rule needs “steps”: a list of at most %d steps."), MAX_STEPS);
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_step_unref);
  size_t i;
  json_t *item;
  json_array_foreach (steps, i, item)
  {
    push (reader, NULL, i);
    SwageStep *step = read_step (reader, item, error);
    if (step == NULL)
      return false;
    g_ptr_array_add (list, step);
    pop (reader);
  }
  pop (reader);
  g_autoptr (SwageRecipe) recipe = swage_recipe_new ((SwageStep **)list->pdata, (int)list->len);
  g_ptr_array_add (state->rules, swage_rule_new (glob, recipe));
  return true;
}

static bool
read_sections (Reader *reader, json_t *json, SwagePlan *plan, SwagePlanState *state, GError **error)
{
  static const char *const keys[] = { "swage_plan", "model", "calibration", "rules", NULL };
  static const char *const model_keys[] = { "name", "architecture", "fingerprint", NULL };
  static const char *const calibration_keys[] = { "text", "fingerprint", "samples", "context", "seed", NULL };
  if (!expect_object (reader, json, error))
    return false;
  int64_t format = 0;
  if (!read_int (reader, json, "swage_plan", 1, PLAN_FORMAT, &format, error))
    return false;
  if (format == 0)
    return fail (reader, error, _ ("This is not a plan: the key “swage_plan” is missing."));
  if (!check_keys (reader, json, keys, error))
    return false;

  json_t *model = json_object_get (json, "model");
  if (model != NULL)
    {
      push (reader, "model", 0);
      if (!expect_object (reader, model, error) || !check_keys (reader, model, model_keys, error)
          || !read_string (reader, model, "name", &plan->model.name, error)
          || !read_string (reader, model, "architecture", &plan->model.architecture, error)
          || !read_string (reader, model, "fingerprint", &plan->model.fingerprint, error))
        return false;
      pop (reader);
    }
  json_t *calibration = json_object_get (json, "calibration");
  if (calibration != NULL)
    {
      int64_t samples = state->calibration.samples, context = state->calibration.context, seed = 0;
      push (reader, "calibration", 0);
      if (!expect_object (reader, calibration, error)
          || !check_keys (reader, calibration, calibration_keys, error)
          || !read_string (reader, calibration, "text", &state->calibration.text, error)
          || !read_string (reader, calibration, "fingerprint", &state->calibration.fingerprint, error)
          || !read_int (reader, calibration, "samples", 1, 1000000, &samples, error)
          || !read_int (reader, calibration, "context", 1, 1 << 20, &context, error)
          || !read_int (reader, calibration, "seed", 0, G_MAXINT64, &seed, error))
        return false;
      state->calibration.samples = (int)samples;
      state->calibration.context = (int)context;
      state->calibration.seed = (uint64_t)seed;
      pop (reader);
    }
  json_t *rules = json_object_get (json, "rules");
  push (reader, "rules", 0);
  if (!json_is_array (rules) || json_array_size (rules) > MAX_RULES)
    return fail (reader, error, _ ("A plan needs “rules”: a list of at most %d rules."), MAX_RULES);
  size_t i;
  json_t *item;
  json_array_foreach (rules, i, item)
  {
    push (reader, NULL, i);
    if (!read_rule (reader, item, state, error))
      return false;
    pop (reader);
  }
  return true;
}

SwagePlan *
swage_plan_parse (const char *text, size_t n, const char *origin, GError **error)
{
  g_autoptr (json_t) json = swage_json_parse (text, n, origin, error);
  if (json == NULL)
    return NULL;
  Reader reader = { .text = text, .n = n, .origin = origin };
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  SwagePlanState *state = swage_plan_state_new ();
  if (!read_sections (&reader, json, plan, state, error))
    {
      swage_plan_state_unref (state);
      return NULL;
    }
  swage_plan_replace (plan, state);
  return g_steal_pointer (&plan);
}

/* Standard input up to the ceiling. */
static bool
read_stdin (char **text, gsize *n, GError **error)
{
  g_autoptr (GString) all = g_string_new (NULL);
  char buffer[65536];
  for (;;)
    {
      ssize_t got = read (STDIN_FILENO, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        {
          swage_error_set_errno (error, errno, _ ("read"), _ ("standard input"));
          return false;
        }
      if (got == 0)
        break;
      g_string_append_len (all, buffer, got);
      if (all->len > MAX_PLAN_BYTES)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("The plan on standard input is larger than %zu MiB."), MAX_PLAN_BYTES >> 20);
          return false;
        }
    }
  *n = all->len;
  *text = g_string_free (g_steal_pointer (&all), FALSE);
  return true;
}

SwagePlan *
swage_plan_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize n = 0;
  if (strcmp (path, "-") == 0)
    return read_stdin (&text, &n, error) ? swage_plan_parse (text, n, _ ("standard input"), error) : NULL;
  GStatBuf info;
  if (g_stat (path, &info) == 0 && (!S_ISREG (info.st_mode) || (guint64)info.st_size > MAX_PLAN_BYTES))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("“%s” is not a plan: a file of at most %zu MiB is expected."), path,
                   MAX_PLAN_BYTES >> 20);
      return NULL;
    }
  if (!g_file_get_contents (path, &text, &n, error))
    {
      swage_error_wrap_io (error, path);
      return NULL;
    }
  return swage_plan_parse (text, n, path, error);
}

static json_t *
param_to_json (const SwageParam *param, const void *params)
{
  double number = swage_param_get_number (param, params);
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
      return json_integer ((json_int_t)number);
    case SWAGE_PARAM_DOUBLE:
      return json_real (number);
    case SWAGE_PARAM_BOOL:
      return json_boolean (number != 0);
    case SWAGE_PARAM_CHOICE:
      return json_string (param->choices[(int)number]);
    case SWAGE_PARAM_END:
      break;
    }
  return json_null ();
}

static json_t *
recipe_to_json (const SwageRecipe *recipe)
{
  json_t *steps = json_array ();
  for (int i = 0; i < swage_recipe_get_n (recipe); i++)
    {
      const SwageStep *step = swage_recipe_get (recipe, i);
      const SwageMethod *method = swage_step_get_method (step);
      json_t *json = json_pack ("{s:s, s:i}", "method", method->id, "version", method->version);
      if (!swage_step_get_enabled (step))
        json_object_set_new (json, "enabled", json_false ());
      for (const SwageParam *param = method->params; param->kind != SWAGE_PARAM_END; param++)
        json_object_set_new (json, param->id, param_to_json (param, swage_step_get_params (step)));
      json_array_append_new (steps, json);
    }
  return steps;
}

char *
swage_plan_to_text (SwagePlan *plan)
{
  const SwagePlanState *state = plan->state;
  g_autoptr (json_t) json = json_object ();
  json_object_set_new (json, "swage_plan", json_integer (PLAN_FORMAT));
  json_object_set_new (
      json, "model",
      json_pack ("{s:s, s:s, s:s}", "name", plan->model.name != NULL ? plan->model.name : "", "architecture",
                 plan->model.architecture != NULL ? plan->model.architecture : "", "fingerprint",
                 plan->model.fingerprint != NULL ? plan->model.fingerprint : ""));
  json_object_set_new (json, "calibration",
                       json_pack ("{s:s, s:s, s:i, s:i, s:I}", "text", state->calibration.text, "fingerprint",
                                  state->calibration.fingerprint, "samples", state->calibration.samples,
                                  "context", state->calibration.context, "seed",
                                  (json_int_t)state->calibration.seed));
  json_t *rules = json_array ();
  for (guint i = 0; i < state->rules->len; i++)
    {
      const SwageRule *rule = state->rules->pdata[i];
      json_array_append_new (
          rules, json_pack ("{s:s, s:o}", "layers", rule->glob, "steps", recipe_to_json (rule->recipe)));
    }
  json_object_set_new (json, "rules", rules);
  return swage_json_dump (json);
}

bool
swage_plan_save (SwagePlan *plan, const char *path, bool overwrite, GError **error)
{
  g_autofree char *text = swage_plan_to_text (plan);
  return swage_output_write_file (path, text, strlen (text), overwrite, NULL, error);
}
