/* SPDX-License-Identifier: MIT
 *
 * SpQR: sparse-quantized representation (Dettmers, Svirschevski, Egiazarian et al. 2023, arXiv 2306.03078).
 * Three ideas on top of GPTQ's column-by-column rounding:
 *
 *   outliers     weights whose rounding costs most are kept apart at 16 bits. The sensitivity of weight j of
 * a group is how much the group's error falls when j is left out, both of the error and of what the group's
 * scale is made for (section 4.2, "leave one out"): s_j = min E(all) − E(all but j),    E = Σ (w_i − round
 * (w_i))² / U_ii² small groups of 16 weights, each with a scale and a zero point two levels   the scales of a
 * group in 16 consecutive rows are themselves rounded, to 3 bits with a base and a step, so small groups cost
 * little (section 4.3, "bilevel quantization")
 *
 * How it is done here. The paper marks outliers by a threshold, and how many there are follows; here their
 * share is what is chosen, so that the size is exact: sensitivities of the original weights give each block
 * of columns its number, and which weights of the block they are is decided when its turn comes, for the
 * weights as corrected by then. Zero points are integers, of `bits` bits. Scale and zero point of a group are
 * searched for the smallest E without its outliers, on the second level's grid.
 *
 * With `act_order` columns go by falling second moment; groups are then of neighbours in that order, and the
 * layer gets a permutation of its inputs.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-columns.h"
#include "core/method/swage-int-grid.h"
#include "core/method/swage-second-order.h"

#define BLOCK 128

typedef struct
{
  int bits, group_size;
  int stat_bits, stat_group;
  double outliers, damp;
  bool act_order;
} SpqrParams;

static const SwageParam params[] = {
  SWAGE_INT (SpqrParams, bits, 3, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."),
             .unit = N_ ("bits")),
  SWAGE_INT (SpqrParams, group_size, 16, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 8, .soft_max = 128),
  SWAGE_INT (SpqrParams, stat_bits, 3, 2, 8, N_ ("Scale bits"),
             N_ ("Bits for each group's scale on a grid that several rows share."), .unit = N_ ("bits")),
  SWAGE_INT (SpqrParams, stat_group, 16, 2, 64, N_ ("Rows per grid"),
             N_ ("Rows whose scales of one group share a base and a step; a power of two.")),
  SWAGE_DOUBLE (SpqrParams, outliers, 0.01, 0, 0.5, N_ ("Outliers"),
                N_ ("Share of the weights that are kept apart as half floats; each costs some six bytes."),
                .soft_max = 0.05),
  SWAGE_DOUBLE (SpqrParams, damp, 0.01, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean second moment that is added to each channel's own; more trusts the "
                    "calibration text less."),
                .soft_max = 1),
  SWAGE_BOOL (SpqrParams, act_order, true, N_ ("Activation order"),
              N_ ("Round the columns of the largest inputs first; the layer then permutes its input.")),
  { 0 },
};

static bool
check (const void *data, GError **error)
{
  const SpqrParams *p = data;

  if ((p->stat_group & (p->stat_group - 1)) == 0)
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("stat_group is %d and must be a power of two from 2 to 64."), p->stat_group);
  return false;
}

static int64_t
count_outliers (const SpqrParams *p, int64_t n)
{
  return (int64_t)floor (p->outliers * (double)n + 0.5);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SpqrParams *p = data;
  int64_t n_outliers = count_outliers (p, in->n_in * in->n_out);

  out->weight = (SwageStorage){ .type = SWAGE_TYPE_INT,
                                .bits = p->bits,
                                .group_size = p->group_size,
                                .stat_bits = p->stat_bits,
                                .stat_group = p->stat_group };
  out->parts &= ~SWAGE_PART_DENSE;
  out->parts |= SWAGE_PART_PACKED;
  out->sparsity = 0;
  if (n_outliers > 0)
    {
      out->parts |= SWAGE_PART_SPARSE;
      out->n_sparse = n_outliers;
      out->sparse_columns = 0;
      out->sparse_type = SWAGE_TYPE_F16;
    }
  if (p->act_order)
    {
      out->parts |= SWAGE_PART_TRANSFORM;
      out->transform_bytes = (uint64_t)in->n_in * sizeof (int32_t);
    }
  return true;
}

typedef struct
{
  const SpqrParams *p;
  const SwageSecondOrder *s;
  int64_t rows, n, b0, b1;
  float *w;          /* rows × n in the order of work */
  float *importance; /* 1/U_ii², by position */
  float *scores;     /* of all weights, rows × n; then of a block, rows × width */
  uint8_t *mask;     /* rows × n: 1 for an outlier */
  int64_t *quota;    /* by block: how many outliers */
  uint8_t *begins, *levels;
  uint16_t *steps;
  SwageIntGrid grid;
} Spqr;

static void
clear (Spqr *v)
{
  g_free (v->w);
  g_free (v->importance);
  g_free (v->scores);
  g_free (v->mask);
  g_free (v->quota);
  g_free (v->begins);
  g_free (v->levels);
  g_free (v->steps);
  swage_int_grid_clear (&v->grid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Spqr, clear)

/* ---- sensitivities ---- */

/* E of a group on the grid from its least to its largest weight, without weight `skip` (−1: with all); the
 * errors squared in `each` when that is not NULL. */
static double
group_error (const float *w, const float *importance, int64_t n, int64_t skip, float top, double *each)
{
  float lo = 0, hi = 0;
  bool first = true;
  double sum = 0;

  for (int64_t i = 0; i < n; i++)
    if (i != skip)
      {
        lo = first || w[i] < lo ? w[i] : lo;
        hi = first || w[i] > hi ? w[i] : hi;
        first = false;
      }
  float step = (hi - lo) / top;
  for (int64_t i = 0; i < n; i++)
    {
      float d = i == skip || !(step > 0) ? 0 : w[i] - (lo + step * rintf ((w[i] - lo) / step));
      double cost = (double)d * (double)d * (double)importance[i];
      if (each != NULL)
        each[i] = cost;
      sum += cost;
    }
  return sum;
}

/* How much E falls for each weight of a group that is left out. Only its least and its largest weight move
 * the grid. */
static void
score_group (const float *w, const float *importance, int64_t n, int bits, double *each, float *score)
{
  float top = (float)((1 << bits) - 1);
  int64_t least = 0, largest = 0;

  for (int64_t i = 1; i < n; i++)
    {
      least = w[i] < w[least] ? i : least;
      largest = w[i] > w[largest] ? i : largest;
    }
  double all = group_error (w, importance, n, -1, top, each);
  for (int64_t i = 0; i < n; i++)
    {
      double fall = i == least || i == largest ? all - group_error (w, importance, n, i, top, NULL) : each[i];
      score[i] = fall > 0 ? (float)fall : 0;
    }
}

/* The scores of columns [b0, b1) of some rows. */
static void
score_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Spqr *v = user_data;
  int64_t width = v->b1 - v->b0, group = v->p->group_size;
  g_autofree double *each = g_new (double, (gsize)MIN (group, width));

  for (int64_t r = begin; r < end; r++)
    for (int64_t c = v->b0, next; c < v->b1; c = next)
      {
        next = MIN (v->b1, (c / group + 1) * group);
        score_group (v->w + r * v->n + c, v->importance + c, next - c, v->p->bits, each,
                     v->scores + r * width + c - v->b0);
      }
}

/* The bits of the k-th largest of n scores >= 0, and how many are larger; k >= 1. */
static uint32_t
find_threshold (const float *scores, int64_t n, int64_t k, int64_t *n_above)
{
  uint32_t prefix = 0;

  *n_above = 0;
  for (int shift = 24; shift >= 0; shift -= 8)
    {
      int64_t count[256] = { 0 };
      int digit = 255;
      for (int64_t i = 0; i < n; i++)
        {
          uint32_t bits;
          memcpy (&bits, scores + i, sizeof bits);
          count[bits >> shift & 255] += shift == 24 || bits >> (shift + 8) == prefix >> (shift + 8);
        }
      while (k - *n_above > count[digit])
        *n_above += count[digit--];
      prefix |= (uint32_t)digit << shift;
    }
  return prefix;
}

/* How many outliers each block gets: as many of the k largest scores of all as lie in it. */
static void
share_out (Spqr *v, int64_t k)
{
  int64_t n_blocks = (v->n + BLOCK - 1) / BLOCK, n_above, n_equal;

  v->b0 = 0;
  v->b1 = v->n;
  swage_pool_run (v->rows, 16, score_rows, v);
  uint32_t threshold = find_threshold (v->scores, v->rows * v->n, k, &n_above);
  g_autofree int64_t *equal = g_new0 (int64_t, (gsize)n_blocks);
  for (int64_t r = 0; r < v->rows; r++)
    for (int64_t c = 0; c < v->n; c++)
      {
        uint32_t bits;
        memcpy (&bits, v->scores + r * v->n + c, sizeof bits);
        v->quota[c / BLOCK] += bits > threshold;
        equal[c / BLOCK] += bits == threshold;
      }
  n_equal = k - n_above;
  for (int64_t b = 0; b < n_blocks; b++)
    {
      int64_t some = MIN (n_equal, equal[b]);
      v->quota[b] += some;
      n_equal -= some;
    }
}

/* The block's outliers: its quota of the largest scores, of equal ones the first. */
static void
mark_block (Spqr *v, int64_t c0, int64_t c1, int64_t k)
{
  int64_t width = c1 - c0, n_above, n_equal;

  if (k == 0)
    return;
  v->b0 = c0;
  v->b1 = c1;
  swage_pool_run (v->rows, 16, score_rows, v);
  uint32_t threshold = find_threshold (v->scores, v->rows * width, k, &n_above);
  n_equal = k - n_above;
  for (int64_t r = 0; r < v->rows; r++)
    for (int64_t c = 0; c < width; c++)
      {
        uint32_t bits;
        memcpy (&bits, v->scores + r * width + c, sizeof bits);
        bool chosen = bits > threshold || (bits == threshold && n_equal > 0);
        n_equal -= bits == threshold && chosen;
        v->mask[r * v->n + c0 + c] = chosen;
      }
}

/* Quotas are of multiples of BLOCK; a block may be a part of that, or lie across. */
static void
begin_block (int64_t c0, int64_t c1, void *user_data)
{
  Spqr *v = user_data;
  int64_t k = 0;

  for (int64_t c = c0; c < c1; c++)
    if (c % BLOCK == 0 || c == c0)
      {
        int64_t b = c / BLOCK, last = MIN (v->n, (b + 1) * BLOCK), here = MIN (c1, last) - c, left = last - c;
        int64_t some = here == left ? v->quota[b] : v->quota[b] * here / left;
        v->quota[b] -= some;
        k += some;
      }
  mark_block (v, c0, c1, k);
}

/* ---- scales ---- */

static double
fit_error (const float *w, const float *importance, int64_t n, float scale, int zero, int top)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    {
      float code = scale != 0 ? rintf (w[i] / scale) + (float)zero : (float)zero;
      float d = w[i] - scale * (CLAMP (code, 0, (float)top) - (float)zero);
      sum += (double)(d * d * importance[i]);
    }
  return sum;
}

/* Zero point and level around those that the search without levels would take. */
static void
choose_level (Spqr *v, int64_t row, int64_t g, const float *w, const float *importance, float base,
              float step)
{
  int64_t n = swage_int_grid_length (&v->grid, g), at = row * v->grid.groups + g;
  int top = (1 << v->p->bits) - 1, last = (1 << v->p->stat_bits) - 1, best_level = 0, best_zero = 0;
  int zero = v->grid.zeros[at];
  float wanted = swage_f16_to_f32 (v->grid.scales[at]);
  int level = step > 0 ? (int)CLAMP (rintf ((wanted - base) / step), 0, (float)last) : 0;
  double best = INFINITY;

  for (int l = MAX (0, level - 1); l <= MIN (last, level + 1); l++)
    for (int z = MAX (0, zero - 1); z <= MIN (top, zero + 1); z++)
      {
        float scale = swage_f16_to_f32 (swage_f32_to_f16 (base + step * (float)l));
        double e = fit_error (w, importance, n, scale, z, top);
        if (e < best)
          {
            best = e;
            best_level = l;
            best_zero = z;
          }
      }
  v->levels[at] = (uint8_t)best_level;
  v->grid.zeros[at] = (uint8_t)best_zero;
  v->grid.scales[at] = swage_f32_to_f16 (base + step * (float)best_level);
}

/* Group g of rows [r0, r1) that share a base and a step. */
static void
choose_scales (Spqr *v, int64_t r0, int64_t r1, int64_t g)
{
  int64_t n = swage_int_grid_length (&v->grid, g), c0 = g * v->p->group_size;
  g_autofree float *w = g_new (float, (gsize)((r1 - r0) * n));
  g_autofree float *importance = g_new (float, (gsize)((r1 - r0) * n));
  float least = INFINITY, largest = 0;

  for (int64_t r = r0; r < r1; r++)
    {
      float *wr = w + (r - r0) * n, *ir = importance + (r - r0) * n;
      for (int64_t i = 0; i < n; i++)
        {
          bool out = v->mask[r * v->n + c0 + i] != 0;
          wr[i] = out ? 0 : v->w[r * v->n + c0 + i];
          ir[i] = out ? 0 : v->importance[c0 + i];
        }
      swage_int_grid_choose (&v->grid, r, g, wr, ir);
      float scale = swage_f16_to_f32 (v->grid.scales[r * v->grid.groups + g]);
      least = MIN (least, scale);
      largest = MAX (largest, scale);
    }
  uint16_t *pair = v->steps + 2 * (r0 / v->p->stat_group * v->grid.groups + g);
  pair[0] = swage_f32_to_f16 (least);
  pair[1] = swage_f32_to_f16 ((largest - least) / (float)((1 << v->p->stat_bits) - 1));
  for (int64_t r = r0; r < r1; r++)
    choose_level (v, r, g, w + (r - r0) * n, importance + (r - r0) * n, swage_f16_to_f32 (pair[0]),
                  swage_f16_to_f32 (pair[1]));
}

static void
begin_span (int64_t r0, int64_t r1, int64_t c0, int64_t c1, void *user_data)
{
  Spqr *v = user_data;

  if (!v->begins[c0])
    return;
  for (int64_t r = r0; r < r1; r += v->p->stat_group)
    choose_scales (v, r, MIN (r1, r + v->p->stat_group), c0 / v->p->group_size);
}

/* An outlier's code stands for the nearest value there is, and S for the rest. */
static float
round_weight (int64_t row, int64_t column, float w, void *user_data)
{
  Spqr *v = user_data;
  float value = swage_int_grid_round (&v->grid, row, column, w);

  if (v->mask[row * v->n + column] == 0)
    return value;
  return value + swage_f16_to_f32 (swage_f32_to_f16 (CLAMP (w - value, -65504.0f, 65504.0f)));
}

/* ---- the result ---- */

static SwageSparse *
take_outliers (Spqr *v, int64_t n_outliers)
{
  SwageSparse *s = g_new0 (SwageSparse, 1);
  uint16_t *values = g_new (uint16_t, (gsize)MAX (n_outliers, 1));
  int64_t at = 0;

  *s = (SwageSparse){ .rows = v->rows,
                      .cols = v->n,
                      .n_values = n_outliers,
                      .row_start = g_new (int64_t, (gsize)v->rows + 1),
                      .column = g_new (uint32_t, (gsize)MAX (n_outliers, 1)),
                      .type = SWAGE_TYPE_F16,
                      .values = values };
  for (int64_t r = 0; r < v->rows; r++)
    {
      s->row_start[r] = at;
      for (int64_t j = 0; j < v->n; j++)
        {
          int64_t i = v->s->position[j];
          if (v->mask[r * v->n + i] == 0)
            continue;
          float w = v->w[r * v->n + i], value = swage_int_grid_round (&v->grid, r, i, w);
          s->column[at] = (uint32_t)j;
          values[at++] = swage_f32_to_f16 (CLAMP (w - value, -65504.0f, 65504.0f));
        }
    }
  s->row_start[v->rows] = at;
  g_assert (at == n_outliers);
  return s;
}

static SwageWeight *
take_weight (Spqr *v)
{
  const SpqrParams *p = v->p;
  gsize n = (gsize)(v->rows * v->grid.groups);
  gsize n_steps = (gsize)((v->rows + p->stat_group - 1) / p->stat_group * v->grid.groups);

  return swage_weight_new_int_two_level (
      v->rows, v->n, p->bits, p->group_size, p->stat_bits, p->stat_group,
      swage_int_grid_pack (v->grid.codes, v->rows, v->n, p->bits),
      g_bytes_new_take (g_steal_pointer (&v->steps), n_steps * 2 * sizeof (uint16_t)),
      g_bytes_new_take (g_steal_pointer (&v->levels), n),
      g_bytes_new_take (g_steal_pointer (&v->grid.zeros), n));
}

static void
init (Spqr *v, int64_t n_outliers)
{
  const SpqrParams *p = v->p;
  int64_t n_blocks = (v->n + BLOCK - 1) / BLOCK;

  swage_int_grid_init (&v->grid, v->rows, v->n, p->bits, p->group_size, false);
  v->importance = g_new (float, (gsize)v->n);
  v->begins = g_malloc ((gsize)v->n);
  v->mask = g_malloc0_n ((gsize)v->rows, (gsize)v->n);
  v->quota = g_new0 (int64_t, (gsize)n_blocks);
  v->levels = g_malloc0_n ((gsize)v->rows, (gsize)v->grid.groups);
  v->steps = g_new0 (uint16_t, 2 * (gsize)((v->rows + p->stat_group - 1) / p->stat_group * v->grid.groups));
  for (int64_t i = 0; i < v->n; i++)
    {
      v->importance[i] = (float)(v->s->pivot[i] * v->s->pivot[i] / v->s->mean);
      v->begins[i] = i % p->group_size == 0;
    }
  if (n_outliers > 0)
    {
      v->scores = g_malloc_n ((gsize)v->rows, (gsize)v->n * sizeof (float));
      share_out (v, n_outliers);
    }
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SpqrParams *p = data;
  int64_t n_outliers = count_outliers (p, in->n_in * in->n_out);
  SwageSecondOrderOptions options = { .layer = context->layer,
                                      .method = "spqr",
                                      .factors = SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK,
                                      .band = swage_columns_get_panel (in->n_in, BLOCK),
                                      .damping = p->damp,
                                      .act_order = p->act_order,
                                      .upto = 0.4 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (context->stats, in->n_in, &options, job, error);
  if (s == NULL)
    return NULL;

  g_auto (Spqr) v = { .p = p, .s = s, .rows = in->n_out, .n = in->n_in };
  v.w = swage_columns_load (in->weight, s->order, 65504.0f,
                            _ ("scales and outliers are stored as half floats"), context->layer, NULL, error);
  if (v.w == NULL)
    return NULL;
  init (&v, n_outliers);
  SwageColumnSolve solve = { .w = v.w,
                             .rows = v.rows,
                             .n = v.n,
                             .second = s,
                             .block = BLOCK,
                             .begins = v.begins,
                             .begin_block = begin_block,
                             .begin_span = begin_span,
                             .round = round_weight,
                             .user_data = &v,
                             .from = 0.4,
                             .upto = 1,
                             .job = job };
  if (!swage_columns_solve (&solve, error))
    return NULL;

  SwageLinear *out = swage_linear_dup (in);
  if (n_outliers > 0)
    out->sparse = take_outliers (&v, n_outliers);
  if (p->act_order)
    {
      out->transform = g_new0 (SwageTransform, 1);
      out->transform->permutation = g_memdup2 (s->order, (gsize)v.n * sizeof (int32_t));
    }
  swage_linear_set_weight (out, take_weight (&v));
  return out;
}

const SwageMethod swage_method_spqr = {
  .id = "spqr",
  .version = 2,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("SpQR"),
  .summary
  = N_ ("Rounds to integers in very small groups whose scales are rounded too, and keeps the weights "
        "that suffer most apart as half floats. For 3 to 4 bits a weight, where plain groups lose too much."),
  .paper = "Dettmers et al. 2023, arXiv 2306.03078",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (SpqrParams),
  .check = check,
  .cost = cost,
  .apply = apply,
};
