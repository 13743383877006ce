/* SPDX-License-Identifier: MIT
 *
 * SmoothQuant (Xiao, Lin, Seznec, Wu, Demouth, Han 2022, arXiv 2211.10438): weights are easy to quantize and
 * activations are not, because a few input channels are a hundred times larger than the others. Dividing each
 * input channel by a scale and multiplying the weight's column by it moves the difficulty over (eq. 3 and 4):
 *
 *   Y = (X·diag(s)⁻¹) · (diag(s)·W),    s_j = max |X_j|^α / max |W_j|^(1−α)
 *
 * α = 0.5 shares it evenly. The maximum over the weight is that of all layers that read the same input, so
 * that one scale serves them all and folds into the norm before. Then weight and input are quantized to 8
 * bits: the paper's O1 and O2 take ranges from the running input (act = token, tensor), O3 one range from the
 * calibration text (act = static).
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

typedef struct
{
  double alpha;
  SWAGE_STORAGE_MEMBERS;
  SWAGE_ACT_MEMBERS;
} SmoothQuantParams;

static const SwageParam params[] = {
  SWAGE_DOUBLE (SmoothQuantParams, alpha, 0.5, 0, 1, N_ ("Migration strength"),
                N_ ("How much of the difficulty moves from the input to the weights: more helps where "
                    "activations have larger outliers.")),
  SWAGE_STORAGE_ROWS (SmoothQuantParams, 8, 65536, true),
  SWAGE_ACT_ROWS (SmoothQuantParams, SWAGE_ACT_CHOICE_TOKEN, 8, true),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SmoothQuantParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  return swage_act_cost (&storage, true, false, p->act, in, out, error);
}

static bool
joins (const void *data, const void *other)
{
  const SmoothQuantParams *a = data, *b = other;
  return a->alpha == b->alpha;
}

/* Channels that never carry anything, and columns of zeros, keep the scale 1. */
static double *
make_scale (const SmoothQuantParams *p, const SwageMethodContext *context, int64_t n_in, SwageJob *job,
            GError **error)
{
  g_autofree double *w_max = swage_act_get_column_max (context, n_in, job, error);
  if (w_max == NULL)
    return NULL;
  g_autofree double *x_max = g_new (double, (gsize)n_in);
  for (int64_t c = 0; c < n_in; c++)
    x_max[c] = (double)context->stats->col_absmax[c];
  swage_act_tie_max (context, n_in, x_max);
  swage_act_tie_max (context, n_in, w_max);

  double *s = g_new (double, (gsize)n_in);
  for (int64_t c = 0; c < n_in; c++)
    {
      s[c] = x_max[c] > 0 && w_max[c] > 0 ? pow (x_max[c], p->alpha) / pow (w_max[c], 1 - p->alpha) : 1;
      s[c] = CLAMP (s[c], 1e-5, 1e5); /* the authors' lower bound, and its mirror image */
    }
  return s;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SmoothQuantParams *p = data;

  if (!swage_act_check_stats (context, "smoothquant", in->n_in, SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE,
                              error))
    return NULL;
  g_autofree double *s = make_scale (p, context, in->n_in, job, error);
  g_autofree float *values = s != NULL ? swage_act_decode (in->weight, context->layer, job, error) : NULL;
  if (values == NULL)
    return NULL;

  double lo = 0, hi = 0;
  for (int64_t c = 0; c < in->n_in; c++)
    {
      lo = fmin (lo, (double)context->stats->col_min[c] / s[c]);
      hi = fmax (hi, (double)context->stats->col_max[c] / s[c]);
    }
  SwageActResult result = { .s = s,
                            .storage = SWAGE_STORAGE_OF (p),
                            .quant = swage_act_make_quant (p->act, p->act_bits, p->act_symmetric, lo, hi) };
  return swage_act_finish (in, result, values, job, error);
}

const SwageMethod swage_method_smoothquant = {
  .id = "smoothquant",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("SmoothQuant"),
  .summary
  = N_ ("Moves the outliers of a layer's input into its weights, channel by channel, and quantizes both to 8 "
        "bits. The scales cost nothing where a norm or a layer before can take them up."),
  .paper = "Xiao et al. 2022, arXiv 2211.10438",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE,
  .params = params,
  .params_size = sizeof (SmoothQuantParams),
  .cost = cost,
  .apply = apply,
  .joins = joins,
};
