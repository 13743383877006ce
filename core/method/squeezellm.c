/* SPDX-License-Identifier: MIT
 *
 * SqueezeLLM (Kim et al. 2023): every output row has 2^bits values of its own, wherever they do most good,
 *
 *   min over values c and codes k of  Σ_j F_j (w_j − c[k_j])²
 *
 * a k-means problem in one dimension with weights F, the sensitivities. The paper takes F from squared
 * gradients (the empirical Fisher information). There are no gradients here: F_j is the diagonal of the
 * Hessian of the layer's output error, Σ x_j² over the calibration text, so it is the same for all rows.
 * Every row's problem is its own, so what counts within a row is what the paper's F says about columns.
 *
 * Dense and sparse: the largest weights, and those that would be missed most, are kept as they are in a
 * sparse matrix beside the codes and do not take part in the clustering. The paper ranks the latter by F
 * alone; with an F that is the same for a column this would pick whole columns, so F·w² is ranked, the loss
 * of the weight's removal. What is stored is w − c[k]: the codes need not know.
 *
 * k-means in one dimension has an exact solution: sorted, clusters are intervals, and the cheapest cut into k
 * intervals comes from dynamic programming; the best last cut moves right as the end does, so each of the k
 * stages costs n·log n (Wang and Song 2011; Grønlund et al. 2017). Up to 16 values this is done. For more,
 * Lloyd's steps start from both the uniform grid and the density that is best in the limit of many values
 * (∝ (F·density)^(1/3), Panter and Dite 1951), and the better end is taken; steps only ever lower the sum, so
 * the result is never worse than the grid.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-prune.h"
#include "core/method/swage-rows.h"
#include "kernels/swage-layout.h"

typedef struct
{
  int bits;
  double outlier_share, sensitive_share;
} SqueezeParams;

#define EXACT_VALUES 16
#define LLOYD_STEPS 100
#define LARGEST 65504.0f /* of a half float, which tables are stored in */

static const SwageParam params[] = {
  SWAGE_INT (SqueezeParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each code; a row has two to this power values to choose from."),
             .unit = N_ ("bits")),
  SWAGE_DOUBLE (SqueezeParams, outlier_share, 0.004, 0, 0.1, N_ ("Outliers"),
                N_ ("Share of the weights, the largest ones, that are kept apart at 16 bits."), .soft_min = 0,
                .soft_max = 0.02),
  SWAGE_DOUBLE (SqueezeParams, sensitive_share, 0.0005, 0, 0.1, N_ ("Sensitive"),
                N_ ("Share of the weights, those that would be missed most of the rest, that are kept apart "
                    "too."),
                .soft_min = 0, .soft_max = 0.01),
  { 0 },
};

/* ---- counts and sizes ---- */

static int64_t
count_sparse (const SqueezeParams *p, int64_t n, int64_t *n_outliers)
{
  *n_outliers = swage_prune_count (p->outlier_share, n);
  return MIN (n, *n_outliers + swage_prune_count (p->sensitive_share, n));
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SqueezeParams *p = data;
  int64_t n_outliers, n_sparse = count_sparse (p, in->n_in * in->n_out, &n_outliers);

  out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= SWAGE_PART_PACKED;
  out->weight = (SwageStorage){ .type = SWAGE_TYPE_LUT, .bits = p->bits, .symmetric = true };
  out->sparsity = 0;
  if (n_sparse > 0)
    {
      out->parts |= SWAGE_PART_SPARSE;
      out->n_sparse = n_sparse;
      out->sparse_type = SWAGE_TYPE_F16;
    }
  return true;
}

/* ---- k-means of a row ---- */

typedef struct
{
  float value;
  double weight;
} Sample;

/* Sorted points with running sums: what an interval costs is told at once. */
typedef struct
{
  int64_t n; /* distinct values */
  Sample *samples;
  double *x;            /* value − centre */
  double *w, *wx, *wxx; /* sums over the points before */
  double centre;
  double *now, *before; /* costs of the first j points in so many intervals */
  uint32_t *cut;        /* EXACT_VALUES × (n_in + 1): where the last interval begins */
} Row;

static int
compare_samples (const void *a, const void *b)
{
  float x = ((const Sample *)a)->value, y = ((const Sample *)b)->value;
  return (x > y) - (x < y);
}

/* Points [i, j) in one cluster. */
static inline double
interval_cost (const Row *r, int64_t i, int64_t j)
{
  double w = r->w[j] - r->w[i], wx = r->wx[j] - r->wx[i], wxx = r->wxx[j] - r->wxx[i];
  double cost = w > 0 ? wxx - wx * wx / w : 0;
  return cost > 0 ? cost : 0;
}

static double
interval_mean (const Row *r, int64_t i, int64_t j)
{
  double w = r->w[j] - r->w[i];
  return r->centre + (w > 0 ? (r->wx[j] - r->wx[i]) / w : 0);
}

/* Sort and merge the n samples, and sum. */
static void
prepare_row (Row *r, int64_t n)
{
  int64_t kept = 0;
  double total = 0, moment = 0;

  qsort (r->samples, (size_t)n, sizeof *r->samples, compare_samples);
  for (int64_t i = 0; i < n; i++)
    {
      total += r->samples[i].weight;
      moment += r->samples[i].weight * (double)r->samples[i].value;
      if (kept > 0 && r->samples[kept - 1].value == r->samples[i].value)
        r->samples[kept - 1].weight += r->samples[i].weight;
      else
        r->samples[kept++] = r->samples[i];
    }
  r->n = kept;
  r->centre = total > 0 ? moment / total : 0; /* sums of squares about it cancel least */
  r->w[0] = r->wx[0] = r->wxx[0] = 0;
  for (int64_t i = 0; i < kept; i++)
    {
      double x = (double)r->samples[i].value - r->centre, w = r->samples[i].weight;
      r->x[i] = x;
      r->w[i + 1] = r->w[i] + w;
      r->wx[i + 1] = r->wx[i] + w * x;
      r->wxx[i + 1] = r->wxx[i] + w * x * x;
    }
}

/* now[j] for j in [low, high], whose best last cuts lie in [first, last]. */
static void
cut_range (Row *r, uint32_t *cut, int64_t low, int64_t high, int64_t first, int64_t last)
{
  if (low > high)
    return;
  int64_t middle = (low + high) / 2, best = first;
  double least = INFINITY;
  for (int64_t i = first; i <= MIN (last, middle); i++)
    {
      double cost = r->before[i] + interval_cost (r, i, middle);
      if (cost < least)
        {
          least = cost;
          best = i;
        }
    }
  r->now[middle] = least;
  cut[middle] = (uint32_t)best;
  cut_range (r, cut, low, middle - 1, first, best);
  cut_range (r, cut, middle + 1, high, best, last);
}

/* The best k ≤ EXACT_VALUES clusters; ends[c] is where cluster c ends. */
static void
cluster_exactly (Row *r, int k, int64_t *ends)
{
  int64_t n = r->n;

  for (int64_t j = 0; j <= n; j++)
    r->now[j] = interval_cost (r, 0, j);
  for (int c = 1; c < k; c++)
    {
      double *swap = r->before;
      r->before = r->now;
      r->now = swap;
      cut_range (r, r->cut + c * (n + 1), 0, n, 0, n);
    }
  ends[k - 1] = n;
  for (int c = k - 1; c > 0; c--)
    ends[c - 1] = r->cut[c * (n + 1) + ends[c]];
}

/* The first point above x. */
static int64_t
find_above (const Row *r, double x, int64_t from)
{
  int64_t low = from, high = r->n;
  while (low < high)
    {
      int64_t middle = (low + high) / 2;
      if (r->x[middle] > x)
        high = middle;
      else
        low = middle + 1;
    }
  return low;
}

/* Lloyd's steps from the k values `c` (about the centre, rising); returns the sum. */
static double
run_lloyd (const Row *r, int k, double *c, int64_t *ends)
{
  double cost = INFINITY;

  for (int step = 0; step < LLOYD_STEPS; step++)
    {
      double sum = 0;
      int64_t from = 0;
      for (int i = 0; i < k; i++)
        {
          ends[i] = i + 1 < k ? find_above (r, (c[i] + c[i + 1]) / 2, from) : r->n;
          sum += interval_cost (r, from, ends[i]);
          from = ends[i];
        }
      from = 0;
      for (int i = 0; i < k; i++) /* an empty cluster stays where it is */
        {
          if (r->w[ends[i]] > r->w[from])
            c[i] = (r->wx[ends[i]] - r->wx[from]) / (r->w[ends[i]] - r->w[from]);
          from = ends[i];
        }
      if (!(sum < cost))
        break;
      cost = sum;
    }
  return cost;
}

/* Values at equal steps of ∫ (F·density)^(1/3): points i and i+1, a gap d apart, add F^(1/3)·d^(2/3). */
static void
start_from_density (const Row *r, int k, double *c)
{
  double total = 0, passed = 0;
  int i = 0;

  for (int64_t j = 0; j + 1 < r->n; j++)
    total += cbrt (r->samples[j].weight) * pow (r->x[j + 1] - r->x[j], 2.0 / 3);
  for (int64_t j = 0; j + 1 < r->n; j++)
    {
      passed += cbrt (r->samples[j].weight) * pow (r->x[j + 1] - r->x[j], 2.0 / 3);
      while (i < k && passed >= total * (i + 0.5) / k)
        c[i++] = (r->x[j] + r->x[j + 1]) / 2;
    }
  for (; i < k; i++)
    c[i] = r->n > 0 ? r->x[r->n - 1] : 0;
}

static void
cluster_many (Row *r, int k, int64_t *ends)
{
  double grid[256], density[256];
  int64_t other[256];
  double low = r->n > 0 ? r->x[0] : 0, high = r->n > 0 ? r->x[r->n - 1] : 0;

  for (int i = 0; i < k; i++)
    grid[i] = low + (high - low) * i / (k - 1);
  start_from_density (r, k, density);
  double cost = run_lloyd (r, k, grid, ends);
  if (run_lloyd (r, k, density, other) < cost)
    memcpy (ends, other, (size_t)k * sizeof *ends);
}

/* ---- the layer ---- */

typedef struct
{
  const SqueezeParams *p;
  int64_t n_in;
  size_t row_bytes;
  double *sensitivity; /* n_in, > 0 */
  float *magnitudes;   /* while those kept apart are chosen; < 0 for the chosen */
  uint8_t *codes;
  uint16_t *tables;
  uint8_t *apart; /* rows × n_in flags; NULL: none */
  int64_t *row_start;
  uint32_t *column;
  uint16_t *values;
  Row *rows; /* one per worker */
} Squeezing;

static void
copy_magnitudes (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Squeezing *s = user_data;
  for (int64_t i = 0; i < n * s->n_in; i++)
    s->magnitudes[row * s->n_in + i] = fabsf (values[i]);
}

/* Flag the `count` largest keys ≥ 0, the first of equal ones; digits of their bits are counted from the
 * highest down. */
static void
flag_largest (const float *keys, int64_t n, int64_t count, uint8_t *flags)
{
  uint32_t prefix = 0;
  int64_t left = count;

  if (count <= 0)
    return;
  for (int shift = 16; shift >= 0; shift -= 16)
    {
      g_autofree int64_t *tally = g_new0 (int64_t, 65536);
      for (int64_t i = 0; i < n; i++)
        {
          uint32_t bits;
          memcpy (&bits, keys + i, sizeof bits);
          if (!(bits >> 31) && (shift == 16 || bits >> 16 == prefix >> 16))
            tally[bits >> shift & 0xffff]++;
        }
      int digit = 65535;
      for (; digit > 0 && tally[digit] < left; digit--)
        left -= tally[digit];
      prefix |= (uint32_t)digit << shift;
    }
  for (int64_t i = 0; i < n; i++)
    {
      uint32_t bits;
      memcpy (&bits, keys + i, sizeof bits);
      if (bits >> 31)
        continue;
      if (bits > prefix || (bits == prefix && left > 0))
        {
          flags[i] = 1;
          left -= bits == prefix;
        }
    }
}

/* The largest weights first, then of the rest those with the largest F·w². */
static bool
set_apart (Squeezing *s, const SwageRowWalk *walk, int64_t n_rows, GError **error)
{
  int64_t n = n_rows * s->n_in, n_outliers, n_sparse = count_sparse (s->p, n, &n_outliers);

  if (n_sparse == 0)
    return true;
  s->magnitudes = g_malloc_n ((gsize)n, sizeof (float));
  if (!swage_rows_walk (walk, copy_magnitudes, s, error))
    return false;
  s->apart = g_malloc0 ((gsize)n);
  flag_largest (s->magnitudes, n, n_outliers, s->apart);
  for (int64_t i = 0; i < n; i++)
    {
      double w = s->magnitudes[i];
      s->magnitudes[i] = s->apart[i] ? -1.0f : (float)(s->sensitivity[i % s->n_in] * w * w);
    }
  flag_largest (s->magnitudes, n, n_sparse - n_outliers, s->apart);
  g_clear_pointer (&s->magnitudes, g_free);

  s->row_start = g_new (int64_t, (gsize)n_rows + 1);
  s->column = g_new (uint32_t, (gsize)n_sparse);
  s->values = g_new (uint16_t, (gsize)n_sparse);
  int64_t at = 0;
  for (int64_t i = 0; i < n_rows; i++)
    {
      s->row_start[i] = at;
      for (int64_t j = 0; j < s->n_in; j++)
        if (s->apart[i * s->n_in + j])
          s->column[at++] = (uint32_t)j;
    }
  s->row_start[n_rows] = at;
  return true;
}

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The value of the table nearest to w; of two the lower. */
static int
find_code (const float *table, int k, float w)
{
  int low = 0, high = k - 1;
  while (low < high)
    {
      int middle = (low + high) / 2;
      if (table[middle] < w)
        low = middle + 1;
      else
        high = middle;
    }
  return low > 0 && w - table[low - 1] <= table[low] - w ? low - 1 : low;
}

static void
squeeze_row (Squeezing *s, Row *r, int64_t row, const float *values)
{
  int bits = s->p->bits, k = 1 << bits;
  const uint8_t *apart = s->apart != NULL ? s->apart + row * s->n_in : NULL;
  uint8_t *codes = s->codes + (size_t)row * s->row_bytes;
  uint16_t *stored = s->tables + row * k;
  int64_t ends[256], n = 0, begin = 0;
  float table[256];

  for (int64_t j = 0; j < s->n_in; j++)
    if (apart == NULL || !apart[j])
      r->samples[n++] = (Sample){ values[j] == 0 ? 0.0f : values[j], s->sensitivity[j] };
  prepare_row (r, n);
  if (k <= EXACT_VALUES)
    cluster_exactly (r, k, ends);
  else
    cluster_many (r, k, ends);
  float last = r->n > 0 ? r->samples[0].value : 0; /* what an empty cluster repeats */
  for (int c = 0; c < k; c++)
    {
      if (ends[c] > begin)
        last = (float)interval_mean (r, begin, ends[c]);
      begin = ends[c];
      table[c] = swage_f16_to_f32 (swage_f32_to_f16 (CLAMP (last, -LARGEST, LARGEST)));
    }
  qsort (table, (size_t)k, sizeof *table, compare_floats);
  for (int c = 0; c < k; c++)
    stored[c] = swage_f32_to_f16 (table[c]);

  int64_t at = apart != NULL ? s->row_start[row] : 0;
  memset (codes, 0, s->row_bytes);
  for (int64_t j = 0; j < s->n_in; j++)
    {
      unsigned code = (unsigned)find_code (table, k, values[j]);
      int64_t bit = j * bits;
      codes[bit >> 3] |= (uint8_t)(code << (bit & 7));
      if ((bit & 7) + bits > 8)
        codes[(bit >> 3) + 1] |= (uint8_t)(code >> (8 - (bit & 7)));
      if (apart != NULL && apart[j])
        s->values[at++] = swage_f32_to_f16 (values[j] - table[code]);
    }
}

static void
squeeze_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Squeezing *s = user_data;
  Row *r = &s->rows[worker];
  gsize size = (gsize)s->n_in + 1;

  if (r->samples == NULL)
    {
      r->samples = g_new (Sample, size);
      r->x = g_new (double, size);
      r->w = g_new (double, size);
      r->wx = g_new (double, size);
      r->wxx = g_new (double, size);
      r->now = g_new (double, size);
      r->before = g_new (double, size);
      r->cut = s->p->bits <= 4 ? g_new (uint32_t, EXACT_VALUES * size) : NULL;
    }
  for (int64_t i = 0; i < n; i++)
    squeeze_row (s, r, row + i, values + i * s->n_in);
}

/* F, scaled to a mean of 1; channels that the text does not use count a little, so that they have a say among
 * themselves. NULL with INVALID or NUMERIC. */
static double *
get_sensitivities (const SwageMethodContext *context, int64_t n_in, GError **error)
{
  const SwageActStats *stats = context->stats;
  g_autofree double *f = g_malloc_n ((gsize)n_in, sizeof (double));
  double sum = 0;

  if (stats == NULL || stats->col_squares == NULL || stats->n_in != n_in)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("%s: there are no statistics of the layer's inputs; give a calibration text."),
                   context->layer);
      return NULL;
    }
  for (int64_t j = 0; j < n_in; j++)
    {
      if (!isfinite (stats->col_squares[j]) || stats->col_squares[j] < 0)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                       _ ("%s: the inputs in channel %" PRId64 " are not finite on this calibration text."),
                       context->layer, j);
          return NULL;
        }
      sum += stats->col_squares[j];
    }
  for (int64_t j = 0; j < n_in; j++)
    f[j] = sum > 0 ? MAX (stats->col_squares[j] / sum * (double)n_in, 1e-6) : 1;
  return g_steal_pointer (&f);
}

static void
clear_squeezing (Squeezing *s, int n_workers)
{
  for (int i = 0; i < n_workers; i++)
    {
      Row *r = &s->rows[i];
      g_free (r->samples);
      g_free (r->x);
      g_free (r->w);
      g_free (r->wx);
      g_free (r->wxx);
      g_free (r->now);
      g_free (r->before);
      g_free (r->cut);
    }
  g_free (s->rows);
  g_free (s->sensitivity);
  g_free (s->magnitudes);
  g_free (s->codes);
  g_free (s->tables);
  g_free (s->apart);
  g_free (s->row_start);
  g_free (s->column);
  g_free (s->values);
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SqueezeParams *p = data;
  const SwageWeight *w = in->weight;
  int n_workers = swage_pool_get_threads ();
  gsize rows = (gsize)w->rows, table = (gsize)1 << p->bits;
  int64_t n_outliers;
  bool sparse = count_sparse (p, w->rows * w->cols, &n_outliers) > 0;
  SwageRowWalk walk = { .weight = w,
                        .layer = context->layer,
                        .limit = LARGEST,
                        .limit_reason = _ ("tables are stored as f16, which ends at 65504"),
                        .n_passes = sparse ? 10 : 1,
                        .job = job };
  Squeezing s = { .p = p, .n_in = w->cols, .row_bytes = swage_int_row_bytes (w->cols, p->bits) };

  s.sensitivity = get_sensitivities (context, w->cols, error);
  if (s.sensitivity == NULL)
    return NULL;
  s.rows = g_new0 (Row, (gsize)n_workers);
  s.codes = g_malloc_n (rows, s.row_bytes);
  s.tables = g_new (uint16_t, rows * table);
  bool good = set_apart (&s, &walk, w->rows, error);
  if (sparse)
    {
      walk.pass = 1;
      walk.n_passes = 2;
    }
  SwageLinear *out = NULL;
  if (good && swage_rows_walk (&walk, squeeze_rows, &s, error))
    {
      out = swage_linear_dup (in);
      swage_linear_set_weight (
          out, swage_weight_new_layout (
                   SWAGE_TYPE_LUT, w->rows, w->cols, p->bits, 0, true,
                   g_bytes_new_take (g_steal_pointer (&s.codes), rows * s.row_bytes),
                   g_bytes_new_take (g_steal_pointer (&s.tables), rows * table * sizeof (uint16_t))));
      if (sparse)
        {
          out->sparse = g_new (SwageSparse, 1);
          *out->sparse = (SwageSparse){ .rows = w->rows,
                                        .cols = w->cols,
                                        .n_values = s.row_start[w->rows],
                                        .row_start = g_steal_pointer (&s.row_start),
                                        .column = g_steal_pointer (&s.column),
                                        .type = SWAGE_TYPE_F16,
                                        .values = g_steal_pointer (&s.values) };
        }
    }
  clear_squeezing (&s, n_workers);
  return out;
}

const SwageMethod swage_method_squeezellm = {
  .id = "squeezellm",
  .version = 1,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("SqueezeLLM"),
  .summary = N_ (
      "Gives every row a table of values placed where they matter most on a calibration text, and keeps the "
      "few weights that fit no table apart. Strong at 3 and 4 bits; GGUF cannot hold it."),
  .paper = "Kim et al. 2023, arXiv 2306.07629",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_SPARSE,
  .needs = SWAGE_NEED_COL_SQUARES,
  .params = params,
  .params_size = sizeof (SqueezeParams),
  .cost = cost,
  .apply = apply,
};
