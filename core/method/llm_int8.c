/* SPDX-License-Identifier: MIT
 *
 * LLM.int8() (Dettmers, Lewis, Belkada, Zettlemoyer 2022, arXiv 2208.07339): 8-bit products for all but a few
 * input channels. With O the channels in which some input reaches the threshold α = 6.0 (eq. 8),
 *
 *   y = Σ_{h∈O} X_h W_h   +   (c_x ⊗ c_w)/127² · Σ_{h∉O} X^i8_h W^i8_h
 *
 * the first sum in 16 bits, the second vector-wise: a scale for each token (row of X) and one for each output
 * (row of W). The authors look for O in every batch; a stored layer needs one answer, so here O is what the
 * calibration text shows. 16-bit columns are kept as the layer's sparse rest, their places in the packed
 * weight are zeros, and the input's quantizer passes them over.
 */
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

typedef struct
{
  double threshold;
  double share;
  int bits;
} LlmInt8Params;

static const SwageParam params[] = {
  SWAGE_DOUBLE (LlmInt8Params, threshold, 6.0, 0, 1e6, N_ ("Threshold"),
                N_ ("An input channel that reaches this magnitude is kept in 16 bits."), .soft_min = 1,
                .soft_max = 20),
  SWAGE_DOUBLE (LlmInt8Params, share, 0.05, 0, 1, N_ ("Largest share"),
                N_ ("At most this share of the channels is kept, the largest of them."), .soft_max = 0.1),
  SWAGE_INT (LlmInt8Params, bits, 8, 2, 8, N_ ("Bits"),
             N_ ("Bits of the other channels, in weight and input."), .unit = N_ ("bits")),
  { 0 },
};

static SwageStorage
get_storage (const LlmInt8Params *p)
{
  /* one scale for each output */
  return swage_act_get_storage (SWAGE_ACT_TYPE_INT, p->bits, 65536, true);
}

static int64_t
get_limit (const LlmInt8Params *p, int64_t n_in)
{
  return MIN (n_in, (int64_t)ceil (p->share * (double)n_in));
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const LlmInt8Params *p = data;
  SwageStorage storage = get_storage (p);

  if (!swage_act_cost (&storage, false, false, SWAGE_ACT_CHOICE_TOKEN, in, out, error))
    return false;
  out->parts |= SWAGE_PART_SPARSE;
  out->sparse_type = SWAGE_TYPE_F16;
  out->n_act_outliers = (int)get_limit (p, in->n_in);
  out->n_sparse = get_limit (p, in->n_in) * in->n_out;
  out->exact = false; /* how many there are the text tells */
  return true;
}

static int
compare_columns (const void *a, const void *b)
{
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* O, ascending; new. */
static int32_t *
find_outliers (const LlmInt8Params *p, const SwageActStats *stats, int *n)
{
  int most = (int)get_limit (p, stats->n_in);
  g_autofree SwageChannel *top = g_new (SwageChannel, (gsize)most + 1);
  int n_top = swage_channels_find_top (stats->col_absmax, stats->n_in, most, top, NULL);
  int32_t *outliers = g_new (int32_t, (gsize)n_top + 1);

  *n = 0;
  for (int i = 0; i < n_top; i++)
    if (top[i].value >= p->threshold)
      outliers[(*n)++] = (int32_t)top[i].channel;
  qsort (outliers, (size_t)*n, sizeof *outliers, compare_columns);
  return outliers;
}

/* The outlier columns of `values` as a sparse part; they are zeros there afterwards. */
static SwageSparse *
take_columns (float *values, int64_t n_out, int64_t n_in, const int32_t *outliers, int n)
{
  SwageSparse *s = g_new0 (SwageSparse, 1);
  size_t n_values = (size_t)n_out * (size_t)n;

  *s = (SwageSparse){ .rows = n_out, .cols = n_in, .n_values = n_out * n, .type = SWAGE_TYPE_F16 };
  s->row_start = g_new (int64_t, (gsize)n_out + 1);
  s->column = g_new (uint32_t, n_values + 1);
  uint16_t *halves = s->values = g_new (uint16_t, n_values + 1);
  for (int64_t r = 0; r <= n_out; r++)
    s->row_start[r] = r * n;
  for (int64_t r = 0; r < n_out; r++)
    for (int i = 0; i < n; i++)
      {
        float *value = values + r * n_in + outliers[i];
        s->column[r * n + i] = (uint32_t)outliers[i];
        halves[r * n + i] = swage_f32_to_f16 (*value);
        *value = 0;
      }
  return s;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const LlmInt8Params *p = data;

  if (!swage_act_check_stats (context, "llm_int8", in->n_in, SWAGE_NEED_COL_ABSMAX, error))
    return NULL;
  g_autofree float *values = swage_act_decode (in->weight, context->layer, job, error);
  if (values == NULL)
    return NULL;
  int n;
  g_autofree int32_t *outliers = find_outliers (p, context->stats, &n);
  for (int64_t i = 0; i < in->n_out * in->n_in; i++)
    if (fabsf (values[i]) > 65504.0f)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                     _ ("%s: a weight of %g is too large for the 16 bits that outlier columns are kept in."),
                     context->layer, (double)values[i]);
        return NULL;
      }
  g_autoptr (SwageLinear) base = swage_linear_dup (in);
  base->sparse = take_columns (values, in->n_out, in->n_in, outliers, n);
  SwageActQuant *quant = swage_act_make_quant (SWAGE_ACT_CHOICE_TOKEN, p->bits, true, 0, 0);
  quant->n_outliers = n;
  quant->outliers = g_memdup2 (outliers, (gsize)n * sizeof *outliers);
  SwageActResult result = { .storage = get_storage (p), .quant = quant };
  return swage_act_finish (base, result, values, job, error);
}

const SwageMethod swage_method_llm_int8 = {
  .id = "llm_int8",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("LLM.int8()"),
  .summary = N_ ("Keeps the few input channels with outliers in 16 bits and quantizes all else, weights for "
                 "each output and "
                 "inputs for each token, to 8 bits."),
  .paper = "Dettmers et al. 2022, arXiv 2208.07339",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_ABSMAX,
  .params = params,
  .params_size = sizeof (LlmInt8Params),
  .cost = cost,
  .apply = apply,
};
