/* SPDX-License-Identifier: MIT
 *
 * Binary-coding quantization, as LUT-GEMM (Park et al. 2022) stores and multiplies it: a group of weights is
 * a sum of sign vectors,
 *
 *   w ≈ Σ_{q≤bits} α_q·b_q (+ z),    b_q ∈ {−1, +1}ⁿ
 *
 * so that products with an input come from tables of its partial sums (kernels/cpu/bcq_matmul.c). α and b are
 * found by alternating optimisation (Xu et al. 2018):
 *
 *   start       b_q = sign of what is left, α_q its mean magnitude (greedy)
 *   α from b    the least squares solution of B·α = w
 *   b from α    for each weight the nearest of the 2^bits sums ±α_1 … ±α_bits
 *
 * Both halves can only lower the error; it ends when the signs do not change any more. From three bits on the
 * greedy start often ends in a poor place, so a second run starts from the uniform grid (α_q in powers of
 * two), and the better of both ends is taken. The offset z, an extension of the paper that lets the form hold
 * uniform grids too, is one more column of B, all ones.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-rows.h"
#include "kernels/swage-layout.h"

typedef struct
{
  int bits, group_size;
  bool symmetric;
  int iterations;
} BcqParams;

#define MOST_BITS 8
#define LARGEST 65504.0f /* of a half float, which α is stored in */

static const SwageParam params[] = {
  SWAGE_INT (BcqParams, bits, 4, 1, MOST_BITS, N_ ("Bits"),
             N_ ("Sign vectors for each group: bits for each weight."), .unit = N_ ("bits")),
  SWAGE_INT (
      BcqParams, group_size, 128, 8, 65536, N_ ("Group size"),
      N_ ("Neighbouring weights of a row that share their factors, a multiple of 8; each factor costs 16 "
          "bits a group."),
      .soft_min = 32, .soft_max = 256),
  SWAGE_BOOL (
      BcqParams, symmetric, true, N_ ("Symmetric"),
      N_ ("Leave out the offset: 16 bits less for each group, a larger error where weights lean to one "
          "side.")),
  SWAGE_INT (BcqParams, iterations, 15, 0, 1000, N_ ("Iterations"),
             N_ ("Rounds of the alternating optimisation at most; 0 leaves the greedy start."), .soft_min = 0,
             .soft_max = 50),
  { 0 },
};

static bool
check (const void *data, GError **error)
{
  const BcqParams *p = data;

  if (p->group_size % 8 == 0)
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("group_size is %d, but tables are of 8 inputs: it must be a multiple of 8."),
               p->group_size);
  return false;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const BcqParams *p = data;

  out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= SWAGE_PART_PACKED;
  out->weight = (SwageStorage){
    .type = SWAGE_TYPE_BCQ, .bits = p->bits, .group_size = p->group_size, .symmetric = p->symmetric
  };
  out->sparsity = 0;
  return true;
}

/* ---- one group ---- */

/* The 2^bits values that factors can make, in rising order; code bit q set means +α_q. */
typedef struct
{
  double value[1 << MOST_BITS];
  uint8_t code[1 << MOST_BITS];
  int n;
} Levels;

/* Sums for one factor more are those so far, minus and plus it: two sorted lists to merge. */
static void
make_levels (Levels *levels, const double *alpha, int bits, double z)
{
  levels->n = 1;
  levels->value[0] = z;
  levels->code[0] = 0;
  for (int q = 0; q < bits; q++)
    {
      Levels old = *levels;
      double a = fabs (alpha[q]);
      int low = 0, high = 0, n = old.n;
      uint8_t bit = (uint8_t)(1u << q);
      for (int i = 0; i < 2 * n; i++)
        {
          bool take_low = low < n && (high >= n || old.value[low] - a <= old.value[high] + a);
          int from = take_low ? low++ : high++;
          bool plus = take_low ? alpha[q] < 0 : alpha[q] >= 0;
          levels->value[i] = take_low ? old.value[from] - a : old.value[from] + a;
          levels->code[i] = (uint8_t)(old.code[from] | (plus ? bit : 0));
        }
      levels->n = 2 * n;
    }
}

static int
find_level (const Levels *levels, double w)
{
  int low = 0, high = levels->n - 1;
  while (low < high)
    {
      int middle = (low + high) / 2;
      if (levels->value[middle] < w)
        low = middle + 1;
      else
        high = middle;
    }
  return low > 0 && w - levels->value[low - 1] <= levels->value[low] - w ? low - 1 : low;
}

/* The nearest codes; returns the squared error. */
static double
choose_codes (const float *w, int64_t n, const double *alpha, int bits, double z, uint8_t *codes)
{
  Levels levels;
  double sum = 0;

  make_levels (&levels, alpha, bits, z);
  for (int64_t i = 0; i < n; i++)
    {
      int at = find_level (&levels, (double)w[i]);
      double d = (double)w[i] - levels.value[at];
      codes[i] = levels.code[at];
      sum += d * d;
    }
  return sum;
}

/* Least squares by Cholesky of the normal equations, `size` unknowns: the bits, and the offset when there is
 * one. FALSE when signs are linearly dependent, as they are in constant groups. */
static bool
fit_factors (const float *w, int64_t n, const uint8_t *codes, int bits, bool offset, double *alpha, double *z)
{
  double a[MOST_BITS + 1][MOST_BITS + 1] = { { 0 } }, b[MOST_BITS + 1] = { 0 };
  int size = bits + offset;

  for (int64_t i = 0; i < n; i++)
    {
      double sign[MOST_BITS + 1];
      for (int q = 0; q < bits; q++)
        sign[q] = codes[i] >> q & 1 ? 1 : -1;
      sign[bits] = 1;
      for (int q = 0; q < size; q++)
        {
          b[q] += sign[q] * (double)w[i];
          for (int r = 0; r <= q; r++)
            a[q][r] += sign[q] * sign[r];
        }
    }
  for (int q = 0; q < size; q++)
    {
      for (int r = 0; r < q; r++)
        {
          for (int k = 0; k < r; k++)
            a[q][r] -= a[q][k] * a[r][k];
          a[q][r] /= a[r][r];
        }
      for (int k = 0; k < q; k++)
        a[q][q] -= a[q][k] * a[q][k];
      if (a[q][q] < 1e-9 * (double)n)
        return false;
      a[q][q] = sqrt (a[q][q]);
      for (int k = 0; k < q; k++)
        b[q] -= a[q][k] * b[k];
      b[q] /= a[q][q];
    }
  for (int q = size - 1; q >= 0; q--)
    {
      for (int k = q + 1; k < size; k++)
        b[q] -= a[k][q] * b[k];
      b[q] /= a[q][q];
    }
  memcpy (alpha, b, (size_t)bits * sizeof *alpha);
  if (offset)
    *z = b[bits];
  return true;
}

static double
round_half (double x)
{
  return (double)swage_f16_to_f32 (swage_f32_to_f16 ((float)CLAMP (x, -(double)LARGEST, (double)LARGEST)));
}

/* The greedy start. `rest` is scratch. */
static void
start_greedily (const BcqParams *p, const float *w, int64_t n, double *rest, uint8_t *codes, double *alpha,
                double z)
{
  for (int64_t i = 0; i < n; i++)
    {
      rest[i] = (double)w[i] - z;
      codes[i] = 0;
    }
  for (int q = 0; q < p->bits; q++)
    {
      double sum = 0;
      for (int64_t i = 0; i < n; i++)
        sum += fabs (rest[i]);
      alpha[q] = sum / (double)n;
      for (int64_t i = 0; i < n; i++)
        {
          bool plus = rest[i] >= 0;
          codes[i] |= (uint8_t)(plus << q);
          rest[i] -= plus ? alpha[q] : -alpha[q];
        }
    }
}

/* The other start: factors in powers of two make a uniform grid of 2^bits levels around z, up to the largest
 * weight or a part of it. */
static void
start_uniformly (const BcqParams *p, const float *w, int64_t n, uint8_t *codes, uint8_t *trial, double *alpha,
                 double z)
{
  static const double parts[] = { 1, 0.85, 0.7, 0.55 };
  double largest = 0, least = INFINITY;

  for (int64_t i = 0; i < n; i++)
    largest = MAX (largest, fabs ((double)w[i] - z));
  for (size_t k = 0; k < G_N_ELEMENTS (parts); k++)
    {
      double grid[MOST_BITS];
      for (int q = 0; q < p->bits; q++)
        grid[q] = largest * parts[k] / ((1 << p->bits) - 1) * (1 << q);
      double error = choose_codes (w, n, grid, p->bits, z, trial);
      if (error < least)
        {
          least = error;
          memcpy (alpha, grid, sizeof *grid * (size_t)p->bits);
          memcpy (codes, trial, (size_t)n);
        }
    }
}

/* Alternate from the codes given; the last error, which is the least. */
static double
alternate (const BcqParams *p, const float *w, int64_t n, uint8_t *codes, uint8_t *trial, double *alpha,
           double *z)
{
  double least = INFINITY;

  for (int t = 0; t < p->iterations; t++)
    {
      double fitted[MOST_BITS], fitted_z = *z;
      if (!fit_factors (w, n, codes, p->bits, !p->symmetric, fitted, &fitted_z))
        break;
      double error = choose_codes (w, n, fitted, p->bits, fitted_z, trial);
      if (!(error < least))
        break;
      bool same = memcmp (trial, codes, (size_t)n) == 0;
      least = error;
      memcpy (alpha, fitted, sizeof fitted[0] * (size_t)p->bits);
      *z = fitted_z;
      memcpy (codes, trial, (size_t)n);
      if (same)
        break;
    }
  return isinf (least) ? choose_codes (w, n, alpha, p->bits, *z, codes) : least;
}

/* Codes (bit q: the sign of α_q) and factors, as half floats hold them, of the n weights of a group. `work`
 * has room for 3·n codes. */
static void
code_group (const BcqParams *p, const float *w, int64_t n, double *rest, uint8_t *work, double *alpha,
            double *z)
{
  uint8_t *codes = work, *trial = work + n, *other = work + 2 * n;
  double mean = 0, other_alpha[MOST_BITS];

  for (int64_t i = 0; i < n && !p->symmetric; i++)
    mean += (double)w[i] / (double)n;
  double other_z = *z = mean;
  start_greedily (p, w, n, rest, codes, alpha, mean);
  double error = alternate (p, w, n, codes, trial, alpha, z);
  if (p->iterations > 0)
    {
      start_uniformly (p, w, n, other, trial, other_alpha, mean);
      if (alternate (p, w, n, other, trial, other_alpha, &other_z) < error)
        {
          memcpy (alpha, other_alpha, sizeof *alpha * (size_t)p->bits);
          *z = other_z;
        }
    }
  for (int q = 0; q < p->bits; q++)
    alpha[q] = round_half (alpha[q]);
  *z = round_half (*z);
  choose_codes (w, n, alpha, p->bits, *z, codes);
}

/* ---- the layer ---- */

typedef struct
{
  const BcqParams *p;
  int64_t n_in, n_scales;
  size_t row_bytes;
  uint8_t *codes;
  uint16_t *scales;
} Coding;

static void
code_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Coding *c = user_data;
  const BcqParams *p = c->p;
  int64_t plane = (c->n_in + 7) / 8, most = MIN (p->group_size, c->n_in);
  g_autofree double *rest = g_new (double, (gsize)most);
  g_autofree uint8_t *codes = g_new (uint8_t, 3 * (gsize)most);

  for (int64_t i = row; i < row + n; i++, values += c->n_in)
    {
      uint8_t *signs = c->codes + (size_t)i * c->row_bytes;
      uint16_t *scales = c->scales + i * c->n_scales;
      memset (signs, 0, c->row_bytes);
      for (int64_t from = 0; from < c->n_in; from += p->group_size)
        {
          int64_t length = MIN (p->group_size, c->n_in - from);
          double alpha[MOST_BITS], z;
          code_group (p, values + from, length, rest, codes, alpha, &z);
          for (int q = 0; q < p->bits; q++)
            {
              *scales++ = swage_f32_to_f16 ((float)alpha[q]);
              for (int64_t j = 0; j < length; j++)
                signs[q * plane + (from + j) / 8] |= (uint8_t)((codes[j] >> q & 1) << ((from + j) % 8));
            }
          if (!p->symmetric)
            *scales++ = swage_f32_to_f16 ((float)z);
        }
    }
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const BcqParams *p = data;
  const SwageWeight *w = in->weight;
  size_t rows = (size_t)w->rows;
  SwageRowWalk walk = { .weight = w,
                        .layer = context->layer,
                        .limit = LARGEST,
                        .limit_reason = _ ("factors are stored as f16, which ends at 65504"),
                        .job = job };
  Coding c
      = { .p = p,
          .n_in = w->cols,
          .n_scales = swage_layout_scales (SWAGE_TYPE_BCQ, w->cols, p->bits, p->group_size, p->symmetric),
          .row_bytes = swage_layout_code_bytes (SWAGE_TYPE_BCQ, w->cols, p->bits, p->group_size) };

  c.codes = g_malloc_n (rows, c.row_bytes);
  c.scales = g_malloc_n (rows, (gsize)c.n_scales * sizeof (uint16_t));
  if (!swage_rows_walk (&walk, code_rows, &c, error))
    {
      g_free (c.codes);
      g_free (c.scales);
      return NULL;
    }
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (
      out,
      swage_weight_new_layout (SWAGE_TYPE_BCQ, w->rows, w->cols, p->bits, p->group_size, p->symmetric,
                               g_bytes_new_take (c.codes, rows * c.row_bytes),
                               g_bytes_new_take (c.scales, rows * (gsize)c.n_scales * sizeof (uint16_t))));
  return out;
}

const SwageMethod swage_method_bcq = {
  .id = "bcq",
  .version = 1,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("Binary coding"),
  .summary
  = N_ ("Writes groups of weights as sums of a few sign vectors, which multiply by table look-up and need no "
        "decoding. Needs no text; best at 2 to 4 bits; GGUF cannot hold it."),
  .paper = "Park et al. 2022, LUT-GEMM, arXiv 2206.09557; Xu et al. 2018, arXiv 1802.00150",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts
  = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (BcqParams),
  .check = check,
  .cost = cost,
  .apply = apply,
};
