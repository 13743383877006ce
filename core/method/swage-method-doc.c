/* SPDX-License-Identifier: MIT
 *
 * Three renderings of the same rows. What a reader needs of a parameter is collected once (get_default,
 * swage_param_describe_range) and only set differently.
 */
#include "core/method/swage-method-doc.h"

#include <glib/gi18n-lib.h>
#include "core/stats/swage-stats-json.h"

static const char *
get_kind_id (SwageParamKind kind)
{
  static const char *const ids[] = { [SWAGE_PARAM_INT] = "int",
                                     [SWAGE_PARAM_DOUBLE] = "number",
                                     [SWAGE_PARAM_BOOL] = "bool",
                                     [SWAGE_PARAM_CHOICE] = "choice" };
  return ids[kind];
}

static char *
get_default (const SwageMethod *method, const SwageParam *param)
{
  g_autofree void *params = g_malloc0 (MAX (method->params_size, 1));
  swage_params_init (method, params);
  return swage_param_get_text (param, params);
}

static json_t *
number_to_json (const SwageParam *param, double value)
{
  return param->kind == SWAGE_PARAM_INT ? json_integer ((json_int_t)value) : json_real (value);
}

static json_t *
param_to_json (const SwageMethod *method, const SwageParam *param)
{
  json_t *json = json_object ();

  json_object_set_new (json, "id", json_string (param->id));
  json_object_set_new (json, "type", json_string (get_kind_id (param->kind)));
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
    case SWAGE_PARAM_DOUBLE:
      json_object_set_new (json, "default", number_to_json (param, param->def));
      json_object_set_new (json, "min", number_to_json (param, param->min));
      json_object_set_new (json, "max", number_to_json (param, param->max));
      if (param->soft_min != 0 || param->soft_max != 0)
        {
          json_object_set_new (json, "sensible_min", number_to_json (param, param->soft_min));
          json_object_set_new (json, "sensible_max", number_to_json (param, param->soft_max));
        }
      break;
    case SWAGE_PARAM_BOOL:
      json_object_set_new (json, "default", json_boolean (param->def != 0));
      break;
    case SWAGE_PARAM_CHOICE:
      {
        g_autofree char *def = get_default (method, param);
        json_t *choices = json_array ();
        for (int i = 0; param->choices[i] != NULL; i++)
          json_array_append_new (choices, json_string (param->choices[i]));
        json_object_set_new (json, "default", json_string (def));
        json_object_set_new (json, "choices", choices);
      }
      break;
    case SWAGE_PARAM_END:
      break;
    }
  if (param->unit != NULL)
    json_object_set_new (json, "unit", json_string (param->unit));
  if (param->when != NULL)
    json_object_set_new (json, "when", json_string (param->when));
  json_object_set_new (json, "title", json_string (param->title));
  json_object_set_new (json, "help", json_string (param->help));
  return json;
}

static json_t *
parts_to_json (SwageParts parts)
{
  static const struct
  {
    SwageParts part;
    const char *id;
  } names[] = { { SWAGE_PART_DENSE, "dense" },         { SWAGE_PART_PACKED, "packed" },
                { SWAGE_PART_LOW_RANK, "low_rank" },   { SWAGE_PART_SPARSE, "sparse" },
                { SWAGE_PART_TRANSFORM, "transform" }, { SWAGE_PART_ACT_QUANT, "act_quant" },
                { SWAGE_PART_OUT_QUANT, "out_quant" } };
  json_t *json = json_array ();

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (parts & names[i].part)
      json_array_append_new (json, json_string (names[i].id));
  return json;
}

static json_t *
method_to_json (const SwageMethod *method)
{
  json_t *json = json_object (), *params = json_array ();

  for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
    json_array_append_new (params, param_to_json (method, p));
  json_object_set_new (json, "id", json_string (method->id));
  json_object_set_new (json, "version", json_integer (method->version));
  json_object_set_new (json, "family", json_string (swage_family_get_id (method->family)));
  json_object_set_new (json, "title", json_string (method->title));
  json_object_set_new (json, "summary", json_string (method->summary));
  json_object_set_new (json, "paper", method->paper != NULL ? json_string (method->paper) : json_null ());
  json_object_set_new (json, "scope", json_string (swage_scope_get_id (method->scope)));
  json_object_set_new (json, "accepts", parts_to_json (method->accepts));
  json_object_set_new (json, "needs", swage_needs_to_json (method->needs));
  json_object_set_new (json, "params", params);
  return json;
}

/* `method` alone, or the whole table. */
static const SwageMethod *const *
get_wanted (const SwageMethod *const *one)
{
  return one[0] != NULL ? one : swage_methods;
}

json_t *
swage_method_doc_to_json (const SwageMethod *method)
{
  const SwageMethod *const one[] = { method, NULL };
  json_t *json = json_object (), *list = json_array ();

  for (const SwageMethod *const *m = get_wanted (one); *m != NULL; m++)
    json_array_append_new (list, method_to_json (*m));
  json_object_set_new (json, "methods", list);
  return json;
}

static char *
join_needs (const SwageMethod *method)
{
  g_autoptr (json_t) needs = swage_needs_to_json (method->needs);
  GString *text = g_string_new (NULL);
  size_t i;
  json_t *need;

  json_array_foreach (needs, i, need)
      g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", json_string_value (need));
  return g_string_free (text, FALSE);
}

/* "Needs a calibration text (hessian)." New string. */
static char *
describe_needs (const SwageMethod *method)
{
  g_autofree void *params = g_malloc0 (MAX (method->params_size, 1));
  g_autofree char *needs = join_needs (method);

  swage_params_init (method, params);
  if (swage_method_get_needs (method, params) == method->needs)
    return g_strdup_printf (_ ("Needs a calibration text (%s)."), needs);
  return g_strdup_printf (_ ("Needs a calibration text (%s) with some values of its parameters."), needs);
}

static void
append_method_markdown (GString *out, const SwageMethod *method)
{
  g_string_append_printf (out, "## %s — %s\n\n%s\n\n", method->id, _ (method->title), _ (method->summary));
  g_string_append_printf (out, _ ("Family: %s. Version: %d."), swage_family_get_title (method->family),
                          method->version);
  if (method->paper != NULL)
    {
      g_string_append_c (out, ' ');
      g_string_append_printf (out, _ ("Paper: %s."), method->paper);
    }
  if (method->needs != SWAGE_NEED_NONE)
    {
      g_autofree char *needs = describe_needs (method);
      g_string_append_printf (out, " %s", needs);
    }
  g_string_append_printf (out, "\n\n| %s | %s | %s | %s |\n|---|---|---|---|\n", _ ("Parameter"),
                          _ ("Default"), _ ("Range"), _ ("Meaning"));
  for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
    {
      g_autofree char *def = get_default (method, p);
      g_autofree char *range = swage_param_describe_range (p);
      g_string_append_printf (out, "| `%s` | `%s` | %s | %s", p->id, def, range, _ (p->help));
      if (p->when != NULL)
        g_string_append_printf (out, _ (" (when `%s`)"), p->when);
      g_string_append (out, " |\n");
    }
}

char *
swage_method_doc_to_markdown (const SwageMethod *method)
{
  const SwageMethod *const one[] = { method, NULL };
  GString *out = g_string_new (NULL);

  for (const SwageMethod *const *m = get_wanted (one); *m != NULL; m++)
    {
      if (out->len > 0)
        g_string_append_c (out, '\n');
      append_method_markdown (out, *m);
    }
  return g_string_free (out, FALSE);
}

/* Text for roff: a backslash, a leading dot or quote, and a minus in the source would all mean something
 * else. */
static void
append_roff (GString *out, const char *text)
{
  if (text[0] == '.' || text[0] == '\'')
    g_string_append (out, "\\&");
  for (const char *c = text; *c != '\0'; c++)
    if (*c == '\\')
      g_string_append (out, "\\e");
    else if (*c == '-')
      g_string_append (out, "\\-");
    else
      g_string_append_c (out, *c);
}

static void
append_method_roff (GString *out, const SwageMethod *method)
{
  g_string_append (out, ".SS ");
  append_roff (out, method->id);
  g_string_append (out, "\n");
  append_roff (out, _ (method->title));
  g_string_append (out, ".\n");
  append_roff (out, _ (method->summary));
  g_string_append_c (out, '\n');
  if (method->paper != NULL)
    {
      g_autofree char *paper = g_strdup_printf (_ ("Paper: %s."), method->paper);
      append_roff (out, paper);
      g_string_append_c (out, '\n');
    }
  if (method->needs != SWAGE_NEED_NONE)
    {
      g_autofree char *needs = describe_needs (method);
      append_roff (out, needs);
      g_string_append_c (out, '\n');
    }
  for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
    {
      g_autofree char *def = get_default (method, p);
      g_autofree char *range = swage_param_describe_range (p);
      g_autofree char *facts = g_strdup_printf (_ ("Default %s; %s."), def, range);
      g_string_append (out, ".TP\n.B ");
      append_roff (out, p->id);
      g_string_append_c (out, '\n');
      append_roff (out, _ (p->help));
      g_string_append_c (out, '\n');
      append_roff (out, facts);
      if (p->when != NULL)
        {
          g_autofree char *when = g_strdup_printf (_ ("Matters when %s."), p->when);
          g_string_append_c (out, '\n');
          append_roff (out, when);
        }
      g_string_append_c (out, '\n');
    }
}

char *
swage_method_doc_to_roff (const SwageMethod *method)
{
  const SwageMethod *const one[] = { method, NULL };
  GString *out = g_string_new (NULL);

  for (const SwageMethod *const *m = get_wanted (one); *m != NULL; m++)
    append_method_roff (out, *m);
  return g_string_free (out, FALSE);
}
