/* SPDX-License-Identifier: MIT
 *
 * Folding happens where a layer is made: a reader's transform is taken off it, marked as absorbed, and what
 * comes before is made with it: a norm's vector is multiplied, a layer's rows are multiplied before its own
 * recipe begins, so that its quantizer sees what will be stored. Preview and export so use the very same
 * layers, and
 *
 *   norm(h) ⊙ w ⊙ s   instead of   (norm(h) ⊙ w) ⊙ s
 *
 * differ by a rounding of floats only.
 */
#include "core/pipeline/swage-recipe-run.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

int
swage_model_find_layer_index (SwageModel *model, int block, SwageRole role)
{
  for (int i = 0; i < swage_model_get_n_layers (model); i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      if (layer->block == block && layer->role == role)
        return i;
    }
  return -1;
}

char *
swage_recipe_describe_surroundings (SwagePlan *plan, SwageModel *model, const SwageTensor *layer)
{
  GString *text = g_string_new (NULL);
  SwagePlanFold fold;
  swage_plan_find_fold (plan, model, layer, &fold);
  if (fold.into != SWAGE_ROLE_NONE)
    g_string_append_printf (text, "\ninto %s", swage_role_get_id (fold.into));
  if (fold.feeds != SWAGE_ROLE_NONE)
    {
      int reader = swage_model_find_layer_index (model, layer->block, fold.feeds);
      g_autofree char *theirs
          = swage_recipe_to_text (swage_plan_get_recipe (plan, swage_model_get_layer (model, reader)->name));
      g_string_append_printf (text, "\nfeeds %s=%s", swage_role_get_id (fold.feeds), theirs);
    }
  SwageRecipe *recipe = plan != NULL ? swage_plan_get_recipe (plan, layer->name) : NULL;
  for (int s = 0; s < swage_recipe_get_n (recipe); s++)
    {
      const SwageStep *step = swage_recipe_get (recipe, s);
      const SwageTensor *layers[SWAGE_PLAN_SIBLINGS];
      const SwageStep *steps[SWAGE_PLAN_SIBLINGS];
      int n = swage_step_get_enabled (step)
                  ? swage_plan_find_siblings (plan, model, layer, step, layers, steps)
                  : 0;
      for (int i = 0; i < n; i++)
        {
          g_autofree char *step_text = swage_step_to_text (steps[i]);
          g_string_append_printf (text, "\nwith %s=%s", layers[i]->name, step_text);
        }
    }
  return g_string_free (text, FALSE);
}

/* The layer as the model has it, its rows times `row_scale` (n_out; NULL: as they are). */
static SwageLinear *
load_original (SwageModel *model, const char *name, const float *row_scale, GError **error)
{
  SwageLinear *linear = swage_model_load_linear (model, name, error);
  if (linear == NULL || row_scale == NULL)
    return linear;
  g_autoptr (SwageLinear) original = linear;
  float *values = swage_weight_decode_all (original->weight);
  for (int64_t r = 0; r < original->n_out; r++)
    for (int64_t c = 0; c < original->n_in; c++)
      values[r * original->n_in + c] *= row_scale[r];
  SwageLinear *scaled = swage_linear_dup (original);
  gsize bytes = (gsize)original->n_out * (gsize)original->n_in * sizeof (float);
  swage_linear_set_weight (scaled, swage_weight_new (SWAGE_TYPE_F32, original->n_out, original->n_in,
                                                     g_bytes_new_take (values, bytes)));
  for (int64_t r = 0; r < original->n_out && scaled->bias != NULL; r++)
    scaled->bias[r] *= row_scale[r];
  return scaled;
}

/* Channels of attention's output that one row of attn_v makes: heads that share values. NULL where each has
 * its own, or the layer's transform stays where it is. New. */
static int32_t *
find_tied (SwageModel *model, const SwageTensor *layer, const SwagePlanFold *fold)
{
  const SwageConfig *config = swage_model_get_config (model);
  if (layer->role != SWAGE_ROLE_ATTN_OUTPUT || fold->into == SWAGE_ROLE_NONE
      || config->n_heads == config->n_kv_heads)
    return NULL;
  int dim = config->head_dim, share = config->n_heads / config->n_kv_heads;
  int32_t *tied = g_new (int32_t, config->n_heads * dim);
  for (int c = 0; c < config->n_heads * dim; c++)
    tied[c] = c / dim / share * dim + c % dim;
  return tied;
}

/* The transform that the recipe left, taken off the layer: what comes before does it. */
static SwageLinear *
fold_in (SwageLinear *linear, GError **error)
{
  SwageTransform *t = linear->transform;
  if (t == NULL)
    return linear;
  if (t->permutation != NULL || t->q1 != NULL || t->q2 != NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                   _ ("%s: its input came out transformed in a way that cannot be folded into what comes "
                      "before."),
                   linear->name);
      swage_linear_unref (linear);
      return NULL;
    }
  SwageLinear *folded = swage_linear_dup (linear);
  folded->absorbed_in = g_steal_pointer (&folded->transform->scale);
  folded->absorbed_shift = g_steal_pointer (&folded->transform->shift);
  g_clear_pointer (&folded->transform, swage_transform_free);
  swage_linear_unref (linear);
  return folded;
}

/* One step, with everything that it may know. */
static SwageLinear *
run_step (const SwageRecipeRun *run, const SwageStep *step, const SwageLinear *original, const int32_t *tied,
          const SwageLinear *in, SwageJob *job, GError **error)
{
  const SwageMethod *method = swage_step_get_method (step);
  const void *params = swage_step_get_params (step);
  SwageLinearSpec spec, out;
  swage_linear_spec_init_from (&spec, in);
  if (!swage_method_cost (method, params, run->layer->name, &spec, &out, error))
    return NULL;

  g_autoptr (SwageActStats) transformed = NULL;
  if (run->stats != NULL && in->transform != NULL
      && swage_method_get_needs (method, params) != SWAGE_NEED_NONE)
    transformed = swage_act_stats_new_transformed (run->stats, in->transform);

  const SwageTensor *layers[SWAGE_PLAN_SIBLINGS];
  const SwageStep *steps[SWAGE_PLAN_SIBLINGS];
  SwageMethodSibling siblings[SWAGE_PLAN_SIBLINGS];
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_linear_unref);
  int n = swage_plan_find_siblings (run->plan, run->model, run->layer, step, layers, steps);
  for (int i = 0; i < n; i++)
    {
      SwageLinear *sibling = swage_model_load_linear (run->model, layers[i]->name, error);
      if (sibling == NULL)
        return NULL;
      g_ptr_array_add (owned, sibling);
      siblings[i] = (SwageMethodSibling){ layers[i]->role, sibling, swage_step_get_params (steps[i]) };
    }
  SwageMethodContext context = { .layer = run->layer->name,
                                 .role = run->layer->role,
                                 .block = run->layer->block,
                                 .stats = transformed != NULL ? transformed : run->stats,
                                 .original = original,
                                 .seed = run->seed,
                                 .siblings = siblings,
                                 .n_siblings = n,
                                 .tied = tied,
                                 .backend = run->backend };
  return method->apply (params, in, &context, job, error);
}

SwageLinear *
swage_recipe_run (const SwageRecipeRun *run, SwageJob *job, GError **error)
{
  g_autoptr (SwageLinear) original = load_original (run->model, run->layer->name, run->row_scale, error);
  if (original == NULL)
    return NULL;
  SwagePlanFold fold;
  swage_plan_find_fold (run->plan, run->model, run->layer, &fold);
  g_autofree int32_t *tied = find_tied (run->model, run->layer, &fold);
  g_autoptr (SwageLinear) linear = swage_linear_ref (original);
  for (int i = 0; i < swage_recipe_get_n (run->recipe); i++)
    {
      const SwageStep *step = swage_recipe_get (run->recipe, i);
      if (!swage_step_get_enabled (step))
        continue;
      SwageLinear *next = run_step (run, step, original, tied, linear, job, error);
      if (next == NULL)
        return NULL;
      swage_linear_unref (linear);
      linear = next;
    }
  if (run->row_scale != NULL)
    {
      SwageLinear *marked = swage_linear_dup (linear);
      marked->absorbed_out = g_memdup2 (run->row_scale, (gsize)marked->n_out * sizeof (float));
      swage_linear_unref (linear);
      linear = marked;
    }
  if (fold.into != SWAGE_ROLE_NONE)
    linear = fold_in (g_steal_pointer (&linear), error);
  return g_steal_pointer (&linear);
}

float *
swage_recipe_get_row_scale (SwageModel *model, const SwageTensor *layer, const SwageLinear *reader)
{
  const SwageConfig *config = swage_model_get_config (model);
  int64_t n_out = layer->shape[0];
  if (reader->absorbed_in == NULL)
    return NULL;
  float *scale = g_new (float, (gsize)n_out);
  if (layer->role == SWAGE_ROLE_FFN_UP)
    memcpy (scale, reader->absorbed_in, (size_t)n_out * sizeof (float));
  else
    {
      int dim = config->head_dim, share = config->n_heads / config->n_kv_heads;
      int64_t n_v = (int64_t)config->n_kv_heads * dim, first = n_out - n_v; /* attn_qkv ends in the values */
      for (int64_t r = 0; r < n_out; r++)
        {
          int64_t v = r - first;
          scale[r] = v < 0 ? 1 : reader->absorbed_in[v / dim * share * dim + v % dim];
        }
    }
  return scale;
}

void
swage_recipe_fold_vector (const SwageLinear *linear, bool is_bias, float *values)
{
  for (int64_t c = 0; c < linear->n_in; c++)
    {
      values[c] *= linear->absorbed_in != NULL ? linear->absorbed_in[c] : 1;
      if (is_bias && linear->absorbed_shift != NULL)
        values[c] += linear->absorbed_shift[c];
    }
}

static bool
same_vector (const float *a, const float *b, int64_t n)
{
  return a == b || (a != NULL && b != NULL && memcmp (a, b, (size_t)n * sizeof *a) == 0);
}

bool
swage_recipe_fold_norms (SwagePlan *plan, SwageModel *model, SwageLinear *const *layers, SwageBlock *block,
                         GError **error)
{
  const SwageLinear *done[SWAGE_N_ROLES] = { NULL };
  for (int i = 0; i < swage_model_get_n_layers (model); i++)
    {
      SwageLinear *linear = layers[i];
      SwagePlanFold fold;
      if (linear == NULL || (linear->absorbed_in == NULL && linear->absorbed_shift == NULL))
        continue;
      swage_plan_find_fold (plan, model, swage_model_get_layer (model, i), &fold);
      SwageRole norm = fold.into;
      if (norm != SWAGE_ROLE_ATTN_NORM && norm != SWAGE_ROLE_FFN_NORM)
        continue;
      if (done[norm] == NULL)
        {
          swage_recipe_fold_vector (linear, false, block->norm_weight[norm]);
          if (block->norm_bias[norm] != NULL)
            swage_recipe_fold_vector (linear, true, block->norm_bias[norm]);
          done[norm] = linear;
        }
      else if (!same_vector (done[norm]->absorbed_in, linear->absorbed_in, linear->n_in)
               || !same_vector (done[norm]->absorbed_shift, linear->absorbed_shift, linear->n_in))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                       _ ("%s and %s read the same input and came out with different scales for it."),
                       done[norm]->name, linear->name);
          return false;
        }
    }
  return true;
}
