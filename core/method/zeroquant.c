/* SPDX-License-Identifier: MIT
 *
 * ZeroQuant (Yao, Yazdani Aminabadi, Zhang, Wu, Li, He 2022, arXiv 2206.01861): weights in groups, each with
 * its own scale (section 4.1), and activations token by token with a range taken from the running input
 * (token-wise dynamic quantization). No calibration, no search beyond each group's scale. The layer-by-layer
 * distillation of the paper needs training and is not part of this step.
 */
#include <glib/gi18n-lib.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

typedef struct
{
  SWAGE_STORAGE_MEMBERS;
  SWAGE_ACT_MEMBERS;
} ZeroQuantParams;

static const SwageParam params[] = {
  SWAGE_STORAGE_ROWS (ZeroQuantParams, 8, 128, true),
  SWAGE_ACT_ROWS (ZeroQuantParams, SWAGE_ACT_CHOICE_TOKEN, 8, true),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const ZeroQuantParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  return swage_act_cost (&storage, false, false, p->act, in, out, error);
}

static SwageNeeds
get_needs (const void *data)
{
  return ((const ZeroQuantParams *)data)->act == SWAGE_ACT_CHOICE_STATIC ? SWAGE_NEED_COL_RANGE
                                                                         : SWAGE_NEED_NONE;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const ZeroQuantParams *p = data;
  double lo = 0, hi = 0;

  if (p->act == SWAGE_ACT_CHOICE_STATIC)
    {
      if (!swage_act_check_stats (context, "zeroquant", in->n_in, SWAGE_NEED_COL_RANGE, error))
        return NULL;
      for (int64_t c = 0; c < in->n_in; c++)
        {
          lo = MIN (lo, (double)context->stats->col_min[c]);
          hi = MAX (hi, (double)context->stats->col_max[c]);
        }
    }
  g_autofree float *values = swage_act_decode (in->weight, context->layer, job, error);
  if (values == NULL)
    return NULL;
  SwageActResult result = { .storage = SWAGE_STORAGE_OF (p),
                            .quant = swage_act_make_quant (p->act, p->act_bits, p->act_symmetric, lo, hi) };
  return swage_act_finish (in, result, values, job, error);
}

const SwageMethod swage_method_zeroquant = {
  .id = "zeroquant",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("ZeroQuant"),
  .summary = N_ ("Stores weights in groups with a scale each and quantizes the input token by token. Quick, "
                 "and needs no "
                 "text."),
  .paper = "Yao et al. 2022, arXiv 2206.01861",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_LOW_RANK
             | SWAGE_PART_SPARSE | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_RANGE,
  .params = params,
  .params_size = sizeof (ZeroQuantParams),
  .cost = cost,
  .apply = apply,
  .get_needs = get_needs,
};
