/* SPDX-License-Identifier: MIT
 *
 * A plan against a model: does every step fit its layer, and how large is the result. No weight is read.
 */
#include "core/plan/swage-plan-private.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>

static bool
is_float (SwageType type)
{
  const SwageTypeInfo *info = swage_type_get_info (type);
  return !info->quantized && type != SWAGE_TYPE_INT;
}

void
swage_plan_original_spec (SwageModel *model, const SwageTensor *layer, SwageLinearSpec *spec)
{
  g_autofree char *bias = g_strconcat (layer->name, ".bias", NULL);
  *spec = (SwageLinearSpec){
    .n_out = layer->shape[0],
    .n_in = layer->n_dims > 1 ? layer->shape[1] : 1,
    .parts = is_float (layer->type) ? SWAGE_PART_DENSE : SWAGE_PART_PACKED,
    .weight = { .type = layer->type },
    .no_input = layer->role == SWAGE_ROLE_TOKEN_EMBD && !swage_model_get_config (model)->tied_output,
    .exact = true,
  };
  if (swage_model_find_tensor (model, bias) != NULL)
    spec->parts |= SWAGE_PART_BIAS;
}

bool
swage_plan_get_layer_spec (SwagePlan *plan, SwageModel *model, const SwageTensor *layer,
                           SwageLinearSpec *spec, GError **error)
{
  SwageLinearSpec original;
  swage_plan_original_spec (model, layer, &original);
  *spec = original;
  SwageRecipe *recipe = plan != NULL ? swage_plan_get_recipe (plan, layer->name) : NULL;
  if (recipe == NULL)
    return true;
  if (!swage_recipe_cost (recipe, layer->name, &original, spec, error))
    return false;
  if (spec->parts & SWAGE_PART_TRANSFORM)
    {
      SwagePlanFold fold;
      swage_plan_find_fold (plan, model, layer, &fold);
      if (fold.into != SWAGE_ROLE_NONE)
        {
          spec->parts &= ~(SwageParts)SWAGE_PART_TRANSFORM;
          spec->transform_bytes = 0;
          spec->shifts = false;
        }
    }
  return true;
}

/* Bytes of the layer's parts; a bias that the file has anyway is counted with the file's other tensors. */
static uint64_t
count_bytes (SwageLinearSpec spec, bool had_bias)
{
  if (had_bias)
    spec.parts &= ~(SwageParts)SWAGE_PART_BIAS;
  return swage_linear_spec_get_bytes (&spec);
}

bool
swage_plan_get_size (SwagePlan *plan, SwageModel *model, SwagePlanSize *size, GError **error)
{
  uint64_t before = 0, after = 0;
  int64_t parameters = 0;
  bool exact = true;
  int n = swage_model_get_n_layers (model);
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      SwageLinearSpec original, spec;
      swage_plan_original_spec (model, layer, &original);
      if (!swage_plan_get_layer_spec (plan, model, layer, &spec, error))
        return false;
      bool had_bias = (original.parts & SWAGE_PART_BIAS) != 0;
      before += count_bytes (original, had_bias);
      after += count_bytes (spec, had_bias);
      parameters += spec.n_out * spec.n_in;
      exact = exact && spec.exact;
    }
  size->original_bytes = swage_model_get_bytes (model);
  size->bytes = size->original_bytes - before + after;
  size->original_bits_per_weight = parameters > 0 ? 8.0 * (double)before / (double)parameters : 0;
  size->bits_per_weight = parameters > 0 ? 8.0 * (double)after / (double)parameters : 0;
  size->exact = exact;
  return true;
}

bool
swage_plan_check (SwagePlan *plan, SwageModel *model, char ***unmatched, GError **error)
{
  int n = swage_model_get_n_layers (model);
  if (unmatched != NULL)
    {
      g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
      for (int r = 0; r < swage_plan_get_n_rules (plan); r++)
        {
          const char *glob = swage_plan_get_rule (plan, r, NULL);
          bool matches = false;
          for (int i = 0; i < n && !matches; i++)
            matches = swage_glob_match (glob, swage_model_get_layer (model, i)->name);
          if (!matches)
            g_strv_builder_add (builder, glob);
        }
      *unmatched = g_strv_builder_end (builder);
    }
  for (int i = 0; i < n; i++)
    {
      SwageLinearSpec spec;
      if (!swage_plan_get_layer_spec (plan, model, swage_model_get_layer (model, i), &spec, error))
        {
          if (unmatched != NULL)
            g_clear_pointer (unmatched, g_strfreev);
          return false;
        }
    }
  return true;
}

void
swage_plan_adopt_model (SwagePlan *plan, SwageModel *model)
{
  g_free (plan->model.name);
  g_free (plan->model.architecture);
  g_free (plan->model.fingerprint);
  plan->model.name = g_strdup (swage_model_get_name (model));
  plan->model.architecture = g_strdup (swage_model_get_config (model)->architecture);
  plan->model.fingerprint = g_strdup (swage_model_get_fingerprint (model));
}

static bool
differs (const char *a, const char *b)
{
  return a != NULL && a[0] != '\0' && g_strcmp0 (a, b) != 0;
}

void
swage_plan_set_model (SwagePlan *plan, SwageModel *model, char **warning)
{
  const SwagePlanModel *known = &plan->model;
  const char *architecture = swage_model_get_config (model)->architecture;
  g_autoptr (GString) text = g_string_new (NULL);
  if (differs (known->architecture, architecture))
    g_string_append_printf (text, _ ("its architecture is %s, not %s"), known->architecture, architecture);
  else if (differs (known->fingerprint, swage_model_get_fingerprint (model)))
    g_string_append_printf (text, _ ("it was made for “%s”, whose weights or shapes are not those of “%s”"),
                            known->name != NULL ? known->name : "", swage_model_get_name (model));
  if (warning != NULL)
    *warning = text->len > 0 ? g_strdup_printf (
                   _ ("This plan is for another model: %s. It applies wherever names match."), text->str)
                             : NULL;
  if (text->len == 0)
    swage_plan_adopt_model (plan, model);
}
