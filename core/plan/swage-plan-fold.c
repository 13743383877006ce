/* SPDX-License-Identifier: MIT
 *
 * Folding, decided from the plan alone, so that sizes and the exporters' linter know before anything runs.
 *
 * A step that scales the channels of a layer's input costs nothing where what comes before can do it instead:
 *
 *   norm      x = norm(h) ⊙ w + b        w ← w ⊙ s, b ← b ⊙ s + t      for attn_q, attn_k, attn_v, attn_qkv;
 *                                                                   ffn_gate, ffn_up
 *   attn_v    x = P·V, rows of V·…       rows of attn_v times s         for attn_output
 *   ffn_up    x = silu(gate) ⊙ up        rows of ffn_up times s         for ffn_down (silu-gated)
 *   ffn_up    x = relu(up)               rows of ffn_up times s         for ffn_down (ReLU: s > 0)
 *
 * All layers that read a norm must ask for the same scale: their steps join (see SwageMethod.joins). A layer
 * whose rows are scaled must be stored anew anyway, without rounding where it stays float: its recipe ends in
 * a packed type or in F32. A shift needs a norm with a bias. Separately kept sparse values read the input as
 * it is, so a layer that has them keeps its transform.
 */
#include "core/plan/swage-plan-private.h"

#include <string.h>

/* Which layers read the same input. */
static const SwageRole *
get_input_group (SwageRole role)
{
  static const SwageRole attn[]
      = { SWAGE_ROLE_ATTN_Q, SWAGE_ROLE_ATTN_K, SWAGE_ROLE_ATTN_V, SWAGE_ROLE_ATTN_QKV, SWAGE_ROLE_NONE },
      ffn[] = { SWAGE_ROLE_FFN_GATE, SWAGE_ROLE_FFN_UP, SWAGE_ROLE_NONE },
      attn_output[] = { SWAGE_ROLE_ATTN_OUTPUT, SWAGE_ROLE_NONE },
      down[] = { SWAGE_ROLE_FFN_DOWN, SWAGE_ROLE_NONE }, none[] = { SWAGE_ROLE_NONE };
  switch (role)
    {
    case SWAGE_ROLE_ATTN_Q:
    case SWAGE_ROLE_ATTN_K:
    case SWAGE_ROLE_ATTN_V:
    case SWAGE_ROLE_ATTN_QKV:
      return attn;
    case SWAGE_ROLE_FFN_GATE:
    case SWAGE_ROLE_FFN_UP:
      return ffn;
    case SWAGE_ROLE_ATTN_OUTPUT:
      return attn_output;
    case SWAGE_ROLE_FFN_DOWN:
      return down;
    default:
      return none;
    }
}

static const SwageTensor *
find_layer (SwageModel *model, int block, SwageRole role)
{
  g_autofree char *name = g_strdup_printf ("blk.%d.%s", block, swage_role_get_id (role));
  return swage_model_find_tensor (model, name);
}

/* The one enabled step of the recipe that transforms the input; NULL when there is none, or more than one. */
static const SwageStep *
find_transform_step (const SwageRecipe *recipe)
{
  const SwageStep *found = NULL;

  for (int i = 0; i < swage_recipe_get_n (recipe); i++)
    {
      const SwageStep *step = swage_recipe_get (recipe, i);
      if (!swage_step_get_enabled (step) || !(swage_step_get_method (step)->emits & SWAGE_PART_TRANSFORM))
        continue;
      if (found != NULL)
        return NULL;
      found = step;
    }
  return found;
}

static bool
steps_join (const SwageStep *a, const SwageStep *b)
{
  const SwageMethod *method = swage_step_get_method (a);

  return method == swage_step_get_method (b) && method->joins != NULL
         && method->joins (swage_step_get_params (a), swage_step_get_params (b));
}

int
swage_plan_find_siblings (SwagePlan *plan, SwageModel *model, const SwageTensor *layer, const SwageStep *step,
                          const SwageTensor **layers, const SwageStep **steps)
{
  int n = 0;

  if (plan == NULL || layer->block < 0 || swage_step_get_method (step)->joins == NULL)
    return 0;
  for (const SwageRole *role = get_input_group (layer->role); *role != SWAGE_ROLE_NONE; role++)
    {
      const SwageTensor *other = find_layer (model, layer->block, *role);
      const SwageStep *theirs = other == layer ? step : NULL;
      if (other != NULL && other != layer)
        theirs = find_transform_step (swage_plan_get_recipe (plan, other->name));
      if (theirs == NULL || !steps_join (step, theirs))
        continue;
      layers[n] = other;
      steps[n++] = theirs;
    }
  return n;
}

static bool
get_raw_spec (SwagePlan *plan, SwageModel *model, const SwageTensor *layer, SwageLinearSpec *spec)
{
  SwageRecipe *recipe = swage_plan_get_recipe (plan, layer->name);
  SwageLinearSpec original;

  swage_plan_original_spec (model, layer, &original);
  *spec = original;
  return recipe == NULL || swage_recipe_cost (recipe, layer->name, &original, spec, NULL);
}

/* Whether the rows of this layer may be scaled before its recipe. */
static bool
can_scale_rows (SwagePlan *plan, SwageModel *model, const SwageTensor *layer)
{
  SwageRecipe *recipe = swage_plan_get_recipe (plan, layer->name);
  SwageLinearSpec original, as_is, as_f32;

  if (recipe == NULL || !get_raw_spec (plan, model, layer, &as_is))
    return false;
  swage_plan_original_spec (model, layer, &original);
  if (!(original.parts & SWAGE_PART_DENSE))
    return false;
  original.weight.type = SWAGE_TYPE_F32;
  if (!swage_recipe_cost (recipe, layer->name, &original, &as_f32, NULL))
    return false;
  bool same = as_is.parts == as_f32.parts && as_is.weight.type == as_f32.weight.type
              && as_is.weight.bits == as_f32.weight.bits
              && as_is.weight.group_size == as_f32.weight.group_size
              && as_is.weight.symmetric == as_f32.weight.symmetric;
  bool packed = (as_is.parts & SWAGE_PART_PACKED) != 0,
       f32 = (as_is.parts & SWAGE_PART_DENSE) != 0 && as_is.weight.type == SWAGE_TYPE_F32;
  return same && (packed || f32) && !(as_is.parts & (SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE));
}

/* Where the input transform of `layer` goes, NONE when it stays. */
static SwageRole
find_target (SwagePlan *plan, SwageModel *model, const SwageTensor *layer)
{
  const SwageConfig *config = swage_model_get_config (model);
  const SwageStep *own = find_transform_step (swage_plan_get_recipe (plan, layer->name));
  bool shifts = false;
  SwageRole into = SWAGE_ROLE_NONE;

  if (layer->block < 0 || own == NULL)
    return SWAGE_ROLE_NONE;
  for (const SwageRole *role = get_input_group (layer->role); *role != SWAGE_ROLE_NONE; role++)
    {
      const SwageTensor *other = find_layer (model, layer->block, *role);
      SwageLinearSpec spec;
      if (other == NULL)
        continue;
      const SwageStep *theirs = find_transform_step (swage_plan_get_recipe (plan, other->name));
      if (theirs == NULL || !steps_join (own, theirs) || !get_raw_spec (plan, model, other, &spec)
          || (spec.parts & SWAGE_PART_SPARSE))
        return SWAGE_ROLE_NONE;
      shifts = shifts || spec.shifts;
    }

  switch (layer->role)
    {
    case SWAGE_ROLE_ATTN_Q:
    case SWAGE_ROLE_ATTN_K:
    case SWAGE_ROLE_ATTN_V:
    case SWAGE_ROLE_ATTN_QKV:
      return !shifts || config->norm == SWAGE_NORM_LAYER ? SWAGE_ROLE_ATTN_NORM : SWAGE_ROLE_NONE;
    case SWAGE_ROLE_FFN_GATE:
    case SWAGE_ROLE_FFN_UP:
      return !shifts || config->norm == SWAGE_NORM_LAYER ? SWAGE_ROLE_FFN_NORM : SWAGE_ROLE_NONE;
    case SWAGE_ROLE_ATTN_OUTPUT:
      into = find_layer (model, layer->block, SWAGE_ROLE_ATTN_V) != NULL ? SWAGE_ROLE_ATTN_V
                                                                         : SWAGE_ROLE_ATTN_QKV;
      break;
    case SWAGE_ROLE_FFN_DOWN:
      if (config->ffn == SWAGE_FFN_SILU_GATED || config->ffn == SWAGE_FFN_RELU)
        into = SWAGE_ROLE_FFN_UP;
      break;
    default:
      break;
    }
  if (into == SWAGE_ROLE_NONE || shifts)
    return SWAGE_ROLE_NONE;
  const SwageTensor *maker = find_layer (model, layer->block, into);
  return maker != NULL && can_scale_rows (plan, model, maker) ? into : SWAGE_ROLE_NONE;
}

void
swage_plan_find_fold (SwagePlan *plan, SwageModel *model, const SwageTensor *layer, SwagePlanFold *fold)
{
  *fold = (SwagePlanFold){ .into = SWAGE_ROLE_NONE, .feeds = SWAGE_ROLE_NONE };
  if (plan == NULL || layer->block < 0)
    return;
  fold->into = find_target (plan, model, layer);

  SwageRole fed = SWAGE_ROLE_NONE;
  if (layer->role == SWAGE_ROLE_ATTN_V || layer->role == SWAGE_ROLE_ATTN_QKV)
    fed = SWAGE_ROLE_ATTN_OUTPUT;
  else if (layer->role == SWAGE_ROLE_FFN_UP)
    fed = SWAGE_ROLE_FFN_DOWN;
  const SwageTensor *reader = fed != SWAGE_ROLE_NONE ? find_layer (model, layer->block, fed) : NULL;
  if (reader != NULL && find_target (plan, model, reader) == layer->role)
    fold->feeds = fed;
}
