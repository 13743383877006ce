/* SPDX-License-Identifier: MIT
 *
 * OliVe (Guo et al. 2023, arXiv 2304.07493): outliers matter, their neighbours do not. Values go in pairs;
 * one that is beyond the range of the normal values takes its neighbour's code, the victim, as a mark and is
 * written in its own as abfloat, a tiny float whose range begins where the normal one ends. The victim
 * becomes zero; of two outliers in a pair the larger is kept and the other is the victim (section 3.2). So
 * outliers cost no bits, no indices and no second matrix, and memory stays aligned. In steps of a scale s,
 *
 *   4 bits   int4 −7 … 7, mark −8             abfloat E2M1, bias 2: 12 … 96
 *   8 bits   int8 −127 … 127, mark −128       abfloat E4M3, bias 4: 144 … 2^15
 *
 * T = s·7 (s·127) is the normal range. It begins as the 3σ rule, |mean| + 3σ, and the multiple of that with
 * the smallest squared error is taken (section 3.4): for each row of the weight (or group of one), and once
 * for the input, over rows of the calibration text. The largest magnitude is tried too: where there are no
 * outliers, plain integers remain.
 *
 * Numbers and rounding stand in kernels/swage-ovp.h, the stored form in kernels/swage-layout.h. The paper's
 * other type for normal values, flint4, is left out.
 */
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-act.h"
#include "core/method/swage-rows.h"
#include "kernels/swage-layout.h"
#include "kernels/swage-ovp.h"

#define LARGEST 65504.0f /* of a half float, which scales are stored in */
#define SEARCH_ROWS 128  /* of the input */
/* Multiples of the 3σ range that are searched. */
#define LEAST 0.2
#define MOST 1.6

typedef struct
{
  int bits, group_size;
  int n_grid;
  int act;
  int act_bits;
} OliveParams;

static const char *const acts[] = { "none", "static", NULL };

static const SwageParam params[] = {
  SWAGE_INT (OliveParams, bits, 4, 4, 8, N_ ("Bits"), N_ ("Bits for each weight, 4 or 8."),
             .unit = N_ ("bits")),
  SWAGE_INT (
      OliveParams, group_size, 65536, 8, 65536, N_ ("Group size"),
      N_ ("Neighbouring weights of a row that share a scale, a multiple of 8; more than a row has means "
          "one scale for each output."),
      .soft_min = 32, .soft_max = 65536),
  SWAGE_INT (OliveParams, n_grid, 48, 1, 200, N_ ("Grid"), N_ ("Thresholds tried for the scale."),
             .soft_min = 10, .soft_max = 100),
  SWAGE_CHOICE (
      OliveParams, act, 1, acts, N_ ("Activations"),
      N_ ("Write the input in pairs too, with one range fixed beforehand on the calibration text.")),
  SWAGE_INT (OliveParams, act_bits, 4, 4, 8, N_ ("Activation bits"),
             N_ ("Bits for each value of the input, 4 or 8."), .unit = N_ ("bits"), .when = "act=static"),
  { 0 },
};

static bool
check (const void *data, GError **error)
{
  const OliveParams *p = data;
  const struct
  {
    const char *id;
    int bits;
  } both[] = { { "bits", p->bits }, { "act_bits", p->act_bits } };

  for (size_t i = 0; i < G_N_ELEMENTS (both); i++)
    if (both[i].bits != 4 && both[i].bits != 8)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                     _ ("%s is %d, but pairs have codes of 4 or of 8 bits."), both[i].id, both[i].bits);
        return false;
      }
  if (p->group_size % 8 == 0)
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("group_size is %d, but pairs are read 8 values at a time: it must be a multiple of 8."),
               p->group_size);
  return false;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const OliveParams *p = data;
  SwageStorage integers = swage_act_get_storage (SWAGE_ACT_TYPE_INT, p->bits, p->group_size, true);

  if (!swage_act_cost (&integers, false, false, p->act ? SWAGE_ACT_CHOICE_STATIC : SWAGE_ACT_CHOICE_NONE, in,
                       out, error))
    return false;
  out->weight = (SwageStorage){
    .type = SWAGE_TYPE_OVP, .bits = p->bits, .group_size = p->group_size, .symmetric = true
  };
  return true;
}

static SwageNeeds
get_needs (const void *data)
{
  return ((const OliveParams *)data)->act ? SWAGE_NEED_SAMPLES : SWAGE_NEED_NONE;
}

/* ---- the threshold ---- */

static float
get_normal_max (int bits)
{
  return bits == 4 ? 7 : 127;
}

/* Rows (of a weight, one) of n values that pair off from their beginnings: moments of all. */
typedef struct
{
  double sum, squares, largest;
  int64_t n;
} Moments;

static void
add_moments (Moments *m, const float *x, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    {
      m->sum += (double)x[i];
      m->squares += (double)x[i] * (double)x[i];
      m->largest = fmax (m->largest, fabs ((double)x[i]));
    }
  m->n += n;
}

/* Candidate number i of n_grid + 1 for T. */
static double
get_candidate (const Moments *m, int n_grid, int i)
{
  if (i == n_grid)
    return m->largest;
  double mean = m->sum / (double)m->n, variance = fmax (0, m->squares / (double)m->n - mean * mean);
  double share = n_grid > 1 ? LEAST + (MOST - LEAST) * i / (n_grid - 1) : 1;
  return share * (fabs (mean) + 3 * sqrt (variance));
}

static double
get_error (const float *x, int64_t n, float scale, int bits)
{
  double sum = 0;

  for (int64_t i = 0; i < n; i += 2)
    {
      float pair[2] = { 0, 0 };
      int64_t upto = MIN (2, n - i);
      for (int64_t k = 0; k < upto && scale > 0; k++)
        pair[k] = x[i + k] / scale;
      swage_ovp_round_pair (pair, bits);
      for (int64_t k = 0; k < upto; k++)
        {
          double d = (double)x[i + k] - (double)pair[k] * (double)scale;
          sum += d * d;
        }
    }
  return sum;
}

/* ---- the weight ---- */

/* The best scale that a half float holds. */
static uint16_t
find_scale (const OliveParams *p, const float *w, int64_t n)
{
  Moments m = { 0 };
  double least = INFINITY;
  uint16_t best = 0;

  add_moments (&m, w, n);
  for (int i = 0; i <= p->n_grid; i++)
    {
      double s = get_candidate (&m, p->n_grid, i) / (double)get_normal_max (p->bits);
      uint16_t half = swage_f32_to_f16 ((float)MIN (s, (double)LARGEST));
      double error = get_error (w, n, swage_f16_to_f32 (half), p->bits);
      if (error < least)
        {
          least = error;
          best = half;
        }
    }
  return best;
}

/* v: a number of abfloat, in steps. */
static unsigned
encode_outlier (float v, int bits)
{
  int m = bits == 4 ? 1 : 3, bias = bits == 4 ? 2 : 4, e;
  unsigned sign = v < 0 ? 1u << (bits - 1) : 0;

  frexpf (v, &e); /* |v| = (2^m + mantissa)·2^(e − 1 − m) */
  unsigned mantissa = (unsigned)ldexpf (fabsf (v), 1 + m - e) - (1u << m);
  return sign | (unsigned)(e - 1 - m - bias) << m | mantissa;
}

static void
encode_group (const float *w, int64_t n, float scale, int bits, uint8_t *codes)
{
  unsigned mark = 1u << (bits - 1), mask = 2 * mark - 1;

  for (int64_t i = 0; i < n; i += 2)
    {
      float pair[2] = { 0, 0 };
      unsigned code[2];
      for (int64_t k = 0; k < MIN (2, n - i) && scale > 0; k++)
        pair[k] = w[i + k] / scale;
      swage_ovp_round_pair (pair, bits);
      for (int k = 0; k < 2; k++)
        code[k] = swage_ovp_is_outlier (pair[k], bits)       ? encode_outlier (pair[k], bits)
                  : swage_ovp_is_outlier (pair[1 - k], bits) ? mark
                                                             : (unsigned)(int)pair[k] & mask;
      if (bits == 4)
        codes[i / 2] = (uint8_t)(code[0] | code[1] << 4);
      else
        {
          codes[i] = (uint8_t)code[0];
          codes[i + 1] = (uint8_t)code[1];
        }
    }
}

typedef struct
{
  const OliveParams *p;
  int64_t n_in, groups;
  size_t row_bytes;
  uint8_t *codes;
  uint16_t *scales;
} Coding;

static void
code_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Coding *c = user_data;
  const OliveParams *p = c->p;

  for (int64_t i = row; i < row + n; i++, values += c->n_in)
    for (int64_t g = 0; g < c->groups; g++)
      {
        int64_t from = g * p->group_size, length = MIN (p->group_size, c->n_in - from);
        uint16_t *scale = c->scales + i * c->groups + g;
        *scale = find_scale (p, values + from, length);
        encode_group (values + from, length, swage_f16_to_f32 (*scale), p->bits,
                      c->codes + (size_t)i * c->row_bytes + (size_t)(from * p->bits / 8));
      }
}

static SwageWeight *
code_weight (const OliveParams *p, const SwageWeight *w, const char *layer, SwageJob *job, GError **error)
{
  SwageRowWalk walk = { .weight = w,
                        .layer = layer,
                        .limit = LARGEST,
                        .limit_reason = _ ("scales are stored as f16, which ends at 65504"),
                        .job = job };
  Coding c = { .p = p,
               .n_in = w->cols,
               .groups = swage_layout_scales (SWAGE_TYPE_OVP, w->cols, p->bits, p->group_size, true),
               .row_bytes = swage_layout_code_bytes (SWAGE_TYPE_OVP, w->cols, p->bits, p->group_size) };
  size_t rows = (size_t)w->rows, scale_bytes = rows * (size_t)c.groups * sizeof (uint16_t);
  g_autofree uint8_t *codes = c.codes = g_malloc_n (rows, c.row_bytes);
  g_autofree uint16_t *scales = c.scales = g_malloc (scale_bytes);

  if (!swage_rows_walk (&walk, code_rows, &c, error))
    return NULL;
  return swage_weight_new_layout (SWAGE_TYPE_OVP, w->rows, w->cols, p->bits, p->group_size, true,
                                  g_bytes_new_take (g_steal_pointer (&codes), rows * c.row_bytes),
                                  g_bytes_new_take (g_steal_pointer (&scales), scale_bytes));
}

/* ---- the input ---- */

typedef struct
{
  const OliveParams *p;
  const SwageActStats *stats;
  int64_t rows;
  Moments moments;
  double *error; /* of each candidate */
} Search;

static const float *
get_sample (const Search *k, int64_t i)
{
  return k->stats->samples + i * k->stats->n_samples / k->rows * k->stats->n_in;
}

static void
try_candidates (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Search *k = user_data;

  for (int64_t c = begin; c < end; c++)
    {
      float top = (float)get_candidate (&k->moments, k->p->n_grid, (int)c);
      k->error[c] = 0;
      for (int64_t i = 0; i < k->rows; i++)
        k->error[c] += get_error (get_sample (k, i), k->stats->n_in, top / get_normal_max (k->p->act_bits),
                                  k->p->act_bits);
    }
}

/* T for the input. */
static double
find_range (const OliveParams *p, const SwageActStats *stats)
{
  g_autofree double *error = g_new (double, (gsize)p->n_grid + 1);
  Search k = { .p = p, .stats = stats, .rows = MIN (stats->n_samples, SEARCH_ROWS), .error = error };
  int best = 0;

  for (int64_t i = 0; i < k.rows; i++)
    add_moments (&k.moments, get_sample (&k, i), stats->n_in);
  swage_pool_run (p->n_grid + 1, 1, try_candidates, &k);
  for (int c = 1; c <= p->n_grid; c++)
    if (error[c] < error[best])
      best = c;
  return get_candidate (&k.moments, p->n_grid, best);
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const OliveParams *p = data;

  if (p->act && !swage_act_check_stats (context, "olive", in->n_in, SWAGE_NEED_SAMPLES, error))
    return NULL;
  SwageWeight *weight = code_weight (p, in->weight, context->layer, job, error);
  if (weight == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (out, weight);
  if (p->act)
    {
      double top = find_range (p, context->stats);
      swage_act_quant_free (out->act_quant);
      out->act_quant = swage_act_make_quant (SWAGE_ACT_CHOICE_STATIC, p->act_bits, true, -top, top);
      out->act_quant->format = SWAGE_ACT_OVP;
    }
  return out;
}

const SwageMethod swage_method_olive = {
  .id = "olive",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("OliVe"),
  .summary = N_ ("Weights and inputs in pairs of 4 or 8 bits a value: an outlier is kept at the price of its "
                 "neighbour, which becomes zero. For layers whose values have few but large outliers; GGUF "
                 "cannot hold it."),
  .paper = "Guo et al. 2023, arXiv 2304.07493",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_LOW_RANK
             | SWAGE_PART_SPARSE | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_SAMPLES,
  .params = params,
  .params_size = sizeof (OliveParams),
  .check = check,
  .cost = cost,
  .apply = apply,
  .get_needs = get_needs,
};
