/* SPDX-License-Identifier: MIT
 *
 * ZeroQuant-FP (Wu, Yao, He 2023, arXiv 2307.09782): floating point where ZeroQuant has integers. Activations
 * become FP8 (E4M3, or E5M2) token by token, weights FP4 (E2M1: 0, ½, 1, 1½, 2, 3, 4, 6 and their negatives)
 * in groups with a scale each,
 *
 *   Ŵ = S·fp4 (W/S),   S = max |W| / 6
 *
 * A product of FP4 weights with FP8 inputs wants the weights as FP8, which costs a shift of exponents and no
 * multiplication when scales are powers of two. So (section 3.2) S may be held to
 *
 *   m1   2^n
 *   m2   S_max·2^−n,  S_max the largest scale of the row, so that one true number is left for each output
 *
 * where of the two neighbouring n the one with the smaller squared error is taken.
 *
 * Twice an FP4 number is a whole number from −12 to 12: the weight is stored as 5-bit integers, which hold it
 * exactly. LoRC, which the paper adds for small models, is a step of its own.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-act.h"

#define FP4_MAX 6.0
#define BITS 5
#define HALF_MIN 0x1p-24

typedef struct
{
  int weights;
  int group_size;
  int scale;
  int act;
  int act_bits;
} ZeroQuantFpParams;

static const char *const weight_formats[] = { "fp4_e2m1", "f32", NULL };
static const char *const scales[] = { "free", "m1", "m2", NULL };
static const char *const act_formats[] = { "fp8_e4m3", "fp8_e5m2", "fp4_e2m1", "int", "none", NULL };

static const SwageParam params[] = {
  SWAGE_CHOICE (ZeroQuantFpParams, weights, 0, weight_formats, N_ ("Weights"),
                N_ ("The numbers that weights become; f32 leaves them as they are.")),
  SWAGE_INT (ZeroQuantFpParams, group_size, 256, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale."), .soft_min = 32, .soft_max = 256,
             .when = "weights=fp4_e2m1"),
  SWAGE_CHOICE (ZeroQuantFpParams, scale, 0, scales, N_ ("Scales"),
                N_ ("Any number, powers of two (m1), or powers of two times the largest of the row (m2)."),
                .when = "weights=fp4_e2m1"),
  SWAGE_CHOICE (ZeroQuantFpParams, act, 0, act_formats, N_ ("Activations"),
                N_ ("The numbers that the input becomes, token by token.")),
  SWAGE_INT (ZeroQuantFpParams, act_bits, 8, 2, 8, N_ ("Activation bits"),
             N_ ("Bits for each value of the input."), .unit = N_ ("bits"), .when = "act=int"),
  { 0 },
};

static SwageStorage
get_storage (const ZeroQuantFpParams *p)
{
  return p->weights == 0 ? swage_act_get_storage (SWAGE_ACT_TYPE_INT, BITS, p->group_size, true)
                         : (SwageStorage){ .type = SWAGE_TYPE_F32 };
}

static bool
has_act (const ZeroQuantFpParams *p)
{
  return !g_str_equal (act_formats[p->act], "none");
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const ZeroQuantFpParams *p = data;
  SwageStorage storage = get_storage (p);
  return swage_act_cost (&storage, false, false, has_act (p) ? SWAGE_ACT_CHOICE_TOKEN : SWAGE_ACT_CHOICE_NONE,
                         in, out, error);
}

/* Twice the nearest FP4 number to x, ties to even. */
static double
round_fp4 (double x)
{
  double a = fmin (fabs (x), FP4_MAX), step = a >= 4 ? 2 : a >= 2 ? 1 : 0.5;
  return copysign (2 * fmin (rint (a / step) * step, FP4_MAX), x);
}

static double
group_error (const float *w, int64_t n, double s)
{
  double sum = 0;

  for (int64_t i = 0; i < n; i++)
    {
      double d = (double)w[i] - (s > 0 ? round_fp4 ((double)w[i] / s) * s / 2 : 0);
      sum += d * d;
    }
  return sum;
}

/* Half of S is stored, as a half float. */
static double
to_stored (double s)
{
  double half = (double)swage_f16_to_f32 (swage_f32_to_f16 ((float)MIN (s / 2, 65504.0)));
  return 2 * half;
}

/* base·2^n nearest to s from above or below, whichever makes the smaller error. */
static double
choose_power (const float *w, int64_t n, double s, double base)
{
  double low = base * exp2 (floor (log2 (s / base))), high = 2 * low;

  if (low == s)
    return to_stored (s);
  low = to_stored (low);
  high = to_stored (high);
  return low >= 2 * HALF_MIN && group_error (w, n, low) < group_error (w, n, high) ? low : high;
}

typedef struct
{
  const ZeroQuantFpParams *p;
  const float *values;
  int64_t n_in, groups;
  size_t row_bytes;
  uint8_t *codes;
  uint16_t *scales;
} Rounding;

static void
round_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Rounding *k = user_data;
  g_autofree double *s = g_new (double, (gsize)k->groups);

  for (int64_t r = begin; r < end; r++)
    {
      const float *row = k->values + r * k->n_in;
      uint8_t *out = k->codes + (size_t)r * k->row_bytes;
      double largest = 0;
      memset (out, 0, k->row_bytes);
      for (int64_t g = 0; g < k->groups; g++)
        {
          int64_t from = g * k->p->group_size, upto = MIN (k->n_in, from + k->p->group_size);
          double top = 0;
          for (int64_t c = from; c < upto; c++)
            top = fmax (top, fabs ((double)row[c]));
          s[g] = top / FP4_MAX;
          largest = fmax (largest, s[g]);
        }
      largest = to_stored (largest);
      for (int64_t g = 0; g < k->groups; g++)
        {
          int64_t from = g * k->p->group_size, n = MIN (k->n_in - from, k->p->group_size);
          double base = k->p->scale == 1 ? 1 : largest;
          if (s[g] > 0 && base > 0)
            s[g] = k->p->scale == 0 ? to_stored (s[g]) : choose_power (row + from, n, s[g], base);
          else
            s[g] = 0;
          k->scales[r * k->groups + g] = swage_f32_to_f16 ((float)(s[g] / 2));
          for (int64_t c = from; c < from + n; c++)
            {
              int q = s[g] > 0 ? (int)round_fp4 ((double)row[c] / s[g]) : 0;
              uint32_t code = (uint32_t)(q + (1 << (BITS - 1)));
              int64_t bit = c * BITS;
              out[bit / 8] |= (uint8_t)(code << (bit % 8));
              if (bit % 8 > 8 - BITS)
                out[bit / 8 + 1] |= (uint8_t)(code >> (8 - bit % 8));
            }
        }
    }
}

static SwageWeight *
round_weight (const ZeroQuantFpParams *p, const float *values, int64_t n_out, int64_t n_in, SwageJob *job,
              GError **error)
{
  Rounding k = { .p = p,
                 .values = values,
                 .n_in = n_in,
                 .groups = swage_int_groups (n_in, p->group_size),
                 .row_bytes = swage_int_row_bytes (n_in, BITS) };
  size_t n_groups = (size_t)(n_out * k.groups);

  k.codes = g_malloc_n ((size_t)n_out, k.row_bytes);
  k.scales = g_new (uint16_t, n_groups);
  swage_pool_run (n_out, 8, round_rows, &k);
  SwageWeight *weight = swage_weight_new_int (
      n_out, n_in, BITS, p->group_size, true, g_bytes_new_take (k.codes, (size_t)n_out * k.row_bytes),
      g_bytes_new_take (k.scales, n_groups * sizeof (uint16_t)), NULL);
  if (swage_job_step (job, 1, 1, error))
    return weight;
  swage_weight_unref (weight);
  return NULL;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  static const SwageActFormat formats[]
      = { SWAGE_ACT_FP8_E4M3, SWAGE_ACT_FP8_E5M2, SWAGE_ACT_FP4_E2M1, SWAGE_ACT_INT };
  const ZeroQuantFpParams *p = data;
  g_autofree float *values = swage_act_decode (in->weight, context->layer, job, error);

  if (values == NULL)
    return NULL;
  SwageActQuant *quant = NULL;
  if (has_act (p))
    {
      quant = swage_act_make_quant (SWAGE_ACT_CHOICE_TOKEN, p->act_bits, true, 0, 0);
      quant->format = formats[p->act];
    }
  SwageActResult result = { .storage = { .type = SWAGE_TYPE_F32 }, .quant = quant };
  g_autoptr (SwageLinear) out = swage_act_finish (in, result, values, job, error);
  if (out == NULL || p->weights != 0)
    return g_steal_pointer (&out);
  SwageWeight *weight = round_weight (p, values, in->n_out, in->n_in, job, error);
  if (weight == NULL)
    return NULL;
  swage_linear_set_weight (out, weight);
  return g_steal_pointer (&out);
}

const SwageMethod swage_method_zeroquant_fp = {
  .id = "zeroquant_fp",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("ZeroQuant-FP"),
  .summary = N_ ("FP4 weights in groups and FP8 activations token by token: floating point keeps small "
                 "values that integers "
                 "lose. Scales may be held to powers of two. FP4 is stored in 5 bits."),
  .paper = "Wu et al. 2023, arXiv 2307.09782",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_LOW_RANK
             | SWAGE_PART_SPARSE | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (ZeroQuantFpParams),
  .cost = cost,
  .apply = apply,
};
