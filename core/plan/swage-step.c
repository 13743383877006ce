/* SPDX-License-Identifier: MIT
 *
 * Steps and recipes: immutable values. Parameters live in the method's own struct; everything here goes
 * through the method's rows.
 */
#include "core/plan/swage-plan.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _SwageStep
{
  gatomicrefcount refs;
  const SwageMethod *method;
  bool enabled;
  char *text; /* canonical */
  void *params;
};

struct _SwageRecipe
{
  gatomicrefcount refs;
  int n;
  SwageStep **steps;
};

/* "method:key=value,key=value", every parameter in the order of its rows: two steps are the same when their
 * texts are. */
static char *
describe (const SwageStep *step)
{
  GString *text = g_string_new (step->method->id);
  const char *separator = ":";
  for (const SwageParam *param = step->method->params; param->kind != SWAGE_PARAM_END; param++)
    {
      g_autofree char *value = swage_param_get_text (param, step->params);
      g_string_append_printf (text, "%s%s=%s", separator, param->id, value);
      separator = ",";
    }
  return g_string_free (text, FALSE);
}

static SwageStep *
step_alloc (const SwageMethod *method)
{
  SwageStep *step = g_new0 (SwageStep, 1);
  g_atomic_ref_count_init (&step->refs);
  step->method = method;
  step->enabled = true;
  step->params = g_malloc0 (MAX (method->params_size, 1));
  return step;
}

SwageStep *
swage_step_new (const SwageMethod *method)
{
  SwageStep *step = step_alloc (method);
  swage_params_init (method, step->params);
  step->text = describe (step);
  return step;
}

SwageStep *
swage_step_ref (const SwageStep *step)
{
  SwageStep *mutable_step = (SwageStep *)step;
  g_atomic_ref_count_inc (&mutable_step->refs);
  return mutable_step;
}

void
swage_step_unref (SwageStep *step)
{
  if (step == NULL || !g_atomic_ref_count_dec (&step->refs))
    return;
  g_free (step->params);
  g_free (step->text);
  g_free (step);
}

static SwageStep *
step_copy (const SwageStep *step)
{
  SwageStep *copy = step_alloc (step->method);
  memcpy (copy->params, step->params, step->method->params_size);
  copy->enabled = step->enabled;
  return copy;
}

static const SwageParam *
find_param (const SwageMethod *method, const char *id, GError **error)
{
  const SwageParam *param = swage_method_find_param (method, id);
  if (param == NULL)
    {
      g_autoptr (GString) known = g_string_new (NULL);
      for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
        g_string_append_printf (known, "%s%s", known->len > 0 ? ", " : "", p->id);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s has no parameter “%s”; it has: %s."),
                   method->id, id, known->str);
    }
  return param;
}

SwageStep *
swage_step_new_from_text (const char *text, GError **error)
{
  g_return_val_if_fail (text != NULL, NULL);
  const char *colon = strchr (text, ':');
  g_autofree char *id = g_strstrip (colon != NULL ? g_strndup (text, colon - text) : g_strdup (text));
  const SwageMethod *method = swage_method_find (id);
  if (method == NULL)
    {
      g_autoptr (GString) known = g_string_new (NULL);
      for (int i = 0; swage_methods[i] != NULL; i++)
        g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", swage_methods[i]->id);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("There is no method “%s”; there are: %s."), id,
                   known->str);
      return NULL;
    }
  g_autoptr (SwageStep) step = step_alloc (method);
  swage_params_init (method, step->params);
  g_auto (GStrv) pairs = g_strsplit (colon != NULL ? colon + 1 : "", ",", -1);
  for (int i = 0; pairs[i] != NULL; i++)
    {
      g_strstrip (pairs[i]);
      if (pairs[i][0] == '\0')
        continue;
      char *equals = strchr (pairs[i], '=');
      if (equals == NULL)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("“%s” in step “%s” is not of the form key=value."), pairs[i], text);
          return NULL;
        }
      *equals = '\0';
      const SwageParam *param = find_param (method, pairs[i], error);
      if (param == NULL || !swage_param_set_text (method, step->params, param, equals + 1, error))
        return NULL;
    }
  if (method->check != NULL && !method->check (step->params, error))
    return NULL;
  step->text = describe (step);
  return g_steal_pointer (&step);
}

SwageStep *
swage_step_new_with (const SwageStep *step, const char *id, const char *text, GError **error)
{
  const SwageParam *param = find_param (step->method, id, error);
  if (param == NULL)
    return NULL;
  g_autoptr (SwageStep) copy = step_copy (step);
  if (!swage_param_set_text (step->method, copy->params, param, text, error))
    return NULL;
  if (step->method->check != NULL && !step->method->check (copy->params, error))
    return NULL;
  copy->text = describe (copy);
  return g_steal_pointer (&copy);
}

SwageStep *
swage_step_new_enabled (const SwageStep *step, bool enabled)
{
  SwageStep *copy = step_copy (step);
  copy->enabled = enabled;
  copy->text = g_strdup (step->text);
  return copy;
}

const SwageMethod *
swage_step_get_method (const SwageStep *step)
{
  return step->method;
}

const void *
swage_step_get_params (const SwageStep *step)
{
  return step->params;
}

bool
swage_step_get_enabled (const SwageStep *step)
{
  return step->enabled;
}

bool
swage_step_equal (const SwageStep *a, const SwageStep *b)
{
  return a == b || (a->enabled == b->enabled && strcmp (a->text, b->text) == 0);
}

char *
swage_step_to_text (const SwageStep *step)
{
  return g_strdup (step->text);
}

SwageRecipe *
swage_recipe_new (SwageStep *const *steps, int n)
{
  SwageRecipe *recipe = g_new0 (SwageRecipe, 1);
  g_atomic_ref_count_init (&recipe->refs);
  recipe->n = n;
  recipe->steps = g_new0 (SwageStep *, n + 1);
  for (int i = 0; i < n; i++)
    recipe->steps[i] = swage_step_ref (steps[i]);
  return recipe;
}

/* Steps are joined by '+'; one that a digit follows belongs to an exponent. */
static const char *
find_join (const char *text)
{
  for (const char *p = text; *p != '\0'; p++)
    if (*p == '+' && !g_ascii_isdigit (p[1]))
      return p;
  return NULL;
}

SwageRecipe *
swage_recipe_new_from_text (const char *text, GError **error)
{
  g_autoptr (GPtrArray) steps = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_step_unref);
  g_autofree char *trimmed = g_strstrip (g_strdup (text));
  if (trimmed[0] != '\0' && strcmp (trimmed, "keep") != 0)
    for (const char *p = trimmed; p != NULL;)
      {
        const char *join = find_join (p);
        g_autofree char *one = join != NULL ? g_strndup (p, join - p) : g_strdup (p);
        SwageStep *step = swage_step_new_from_text (one, error);
        if (step == NULL)
          return NULL;
        g_ptr_array_add (steps, step);
        p = join != NULL ? join + 1 : NULL;
      }
  return swage_recipe_new ((SwageStep **)steps->pdata, (int)steps->len);
}

SwageRecipe *
swage_recipe_ref (const SwageRecipe *recipe)
{
  SwageRecipe *mutable_recipe = (SwageRecipe *)recipe;
  g_atomic_ref_count_inc (&mutable_recipe->refs);
  return mutable_recipe;
}

void
swage_recipe_unref (SwageRecipe *recipe)
{
  if (recipe == NULL || !g_atomic_ref_count_dec (&recipe->refs))
    return;
  for (int i = 0; i < recipe->n; i++)
    swage_step_unref (recipe->steps[i]);
  g_free (recipe->steps);
  g_free (recipe);
}

int
swage_recipe_get_n (const SwageRecipe *recipe)
{
  return recipe != NULL ? recipe->n : 0;
}

const SwageStep *
swage_recipe_get (const SwageRecipe *recipe, int i)
{
  g_return_val_if_fail (i >= 0 && i < recipe->n, NULL);
  return recipe->steps[i];
}

bool
swage_recipe_equal (const SwageRecipe *a, const SwageRecipe *b)
{
  if (a == b)
    return true;
  if (a == NULL || b == NULL || a->n != b->n)
    return false;
  for (int i = 0; i < a->n; i++)
    if (!swage_step_equal (a->steps[i], b->steps[i]))
      return false;
  return true;
}

char *
swage_recipe_to_text (const SwageRecipe *recipe)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < swage_recipe_get_n (recipe); i++)
    if (recipe->steps[i]->enabled)
      g_string_append_printf (text, "%s%s", text->len > 0 ? "+" : "", recipe->steps[i]->text);
  return g_string_free (text, FALSE);
}

SwageNeeds
swage_recipe_get_needs (const SwageRecipe *recipe)
{
  SwageNeeds needs = SWAGE_NEED_NONE;
  for (int i = 0; i < swage_recipe_get_n (recipe); i++)
    if (recipe->steps[i]->enabled)
      needs |= swage_method_get_needs (recipe->steps[i]->method, recipe->steps[i]->params);
  return needs;
}

bool
swage_recipe_cost (const SwageRecipe *recipe, const char *layer, const SwageLinearSpec *in,
                   SwageLinearSpec *out, GError **error)
{
  SwageLinearSpec spec = *in;
  for (int i = 0; i < swage_recipe_get_n (recipe); i++)
    {
      const SwageStep *step = recipe->steps[i];
      if (!step->enabled)
        continue;
      SwageLinearSpec next = spec;
      if (!swage_method_cost (step->method, step->params, layer, &spec, &next, error))
        {
          g_prefix_error (error, _ ("Step %d (%s): "), i + 1, step->method->id);
          return false;
        }
      spec = next;
    }
  *out = spec;
  return true;
}
