/* SPDX-License-Identifier: MIT
 *
 * FPTQ: fine-grained post-training quantization (Li, Zhang, Li, Yao, Zhang, Chu, Sun, Du, Xie 2023, arXiv
 * 2308.15987): 4-bit weights in groups, 8-bit activations, and how the activations are quantized decided
 * layer by layer from their range m = max |X| (section 3.2):
 *
 *   m ≤ v0         one range for all, from the calibration text
 *   v0 < m < v1    the same after logarithmic activation equalization (eq. 2):
 *                  s_j = max |X_j| / log2 (2 + max |X_j|),  X ← X·diag(s)⁻¹, W ← W·diag(s)
 *   m ≥ v1         a range for each token, from the running input
 *
 * with v0 = 15 and v1 = 150.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

typedef struct
{
  SWAGE_STORAGE_MEMBERS;
  double v0, v1;
  int act_bits;
} FptqParams;

static const SwageParam params[] = {
  SWAGE_STORAGE_ROWS (FptqParams, 4, 128, true),
  SWAGE_DOUBLE (FptqParams, v0, 15, 0, 1e6, N_ ("Lower bound"),
                N_ ("Layers whose inputs stay below it get one fixed range."), .soft_min = 1, .soft_max = 50),
  SWAGE_DOUBLE (
      FptqParams, v1, 150, 0, 1e6, N_ ("Upper bound"),
      N_ ("Layers whose inputs reach it get a range for each token; those between the bounds are equalized."),
      .soft_min = 50, .soft_max = 500),
  SWAGE_INT (FptqParams, act_bits, 8, 2, 8, N_ ("Activation bits"), N_ ("Bits for each value of the input."),
             .unit = N_ ("bits")),
  { 0 },
};

static bool
check (const void *data, GError **error)
{
  const FptqParams *p = data;
  if (p->v0 <= p->v1)
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("v0 (%g) must not be above v1 (%g)."), p->v0,
               p->v1);
  return false;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const FptqParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);

  if (!swage_act_cost (&storage, true, false, SWAGE_ACT_CHOICE_STATIC, in, out, error))
    return false;
  out->exact = false; /* a layer with a range for each token has no fixed one to store */
  return true;
}

static bool
joins (const void *data, const void *other)
{
  const FptqParams *a = data, *b = other;
  return a->v0 == b->v0 && a->v1 == b->v1;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const FptqParams *p = data;
  int64_t n = in->n_in;

  if (!swage_act_check_stats (context, "fptq", n, SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE, error))
    return NULL;
  const SwageActStats *stats = context->stats;
  g_autofree double *top = g_new (double, (gsize)n);
  g_autofree double *s = g_new (double, (gsize)n);
  double m = 0, lo = 0, hi = 0;
  for (int64_t c = 0; c < n; c++)
    {
      top[c] = (double)stats->col_absmax[c];
      m = fmax (m, top[c]);
    }
  swage_act_tie_max (context, n, top);
  bool equalize = m > p->v0 && m < p->v1;
  for (int64_t c = 0; c < n; c++)
    {
      s[c] = equalize && top[c] > 0 ? fmax (top[c] / log2 (2 + top[c]), 1e-5) : 1;
      lo = fmin (lo, (double)stats->col_min[c] / s[c]);
      hi = fmax (hi, (double)stats->col_max[c] / s[c]);
    }
  g_autofree float *values = swage_act_decode (in->weight, context->layer, job, error);
  if (values == NULL)
    return NULL;
  int act = m >= p->v1 ? SWAGE_ACT_CHOICE_TOKEN : SWAGE_ACT_CHOICE_STATIC;
  SwageActResult result = { .s = s,
                            .storage = SWAGE_STORAGE_OF (p),
                            .quant = swage_act_make_quant (act, p->act_bits, true, lo, hi) };
  return swage_act_finish (in, result, values, job, error);
}

const SwageMethod swage_method_fptq = {
  .id = "fptq",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("FPTQ"),
  .summary
  = N_ ("Weights of 4 bits with activations of 8: layers with a moderate range of inputs are equalized by a "
        "logarithm, those with a large one get a range for each token."),
  .paper = "Li et al. 2023, arXiv 2308.15987",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE,
  .params = params,
  .params_size = sizeof (FptqParams),
  .check = check,
  .cost = cost,
  .apply = apply,
  .joins = joins,
};
