/* SPDX-License-Identifier: MIT
 *
 * Statistics of a weight in two passes over its rows: moments, extremes and channels; then, mean, deviation
 * and range being known, the exact number of outliers and the histogram. Rows are decoded slice by slice into
 * cache-sized buffers, so a matrix of any size is looked at without a dense copy.
 *
 * Results are the same for any number of threads: the matrix is cut into at most MAX_SLICES slices by its
 * shape alone, every slice keeps its own sums, and these are added up in the order of the slices.
 */
#include "core/stats/swage-summary.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"

#define MAX_SLICES 64
#define PIECE_VALUES 32768 /* decoded at once: half of a second-level cache of 256 KiB */

typedef struct
{
  SwageWeightStats *stats;
  const SwageWeight *weight;
  SwageJob *job;
  int64_t slice_rows, n_slices, piece_rows;
  float centre;
  SwageMoments *moments; /* per slice */
  double *col_squares;   /* per slice */
  float *col_absmax;     /* per slice */
  /* second pass */
  float low, high; /* beyond these a value is an outlier; chosen so that comparing floats is exact */
  int exponent;
  int64_t first, n_bins;
  int64_t *counts;     /* per slice */
  int64_t *n_outliers; /* per slice */
  int pass;
  atomic_int_fast64_t rows_done;
} Pass;

static bool
is_stopped (Pass *p, int64_t n_rows)
{
  if (swage_job_is_cancelled (p->job))
    return true;
  int64_t done = atomic_fetch_add (&p->rows_done, n_rows) + n_rows;
  double rows = (double)p->weight->rows;
  swage_job_step (p->job, (double)done + p->pass * rows, 2 * rows, NULL);
  return false;
}

/* Returns how many there were. */
static int64_t
replace_nonfinite (float *x, int64_t n, float by)
{
  int64_t n_bad = 0;
  for (int64_t i = 0; i < n; i++)
    if (!isfinite (x[i]))
      {
        x[i] = by;
        n_bad++;
      }
  return n_bad;
}

#define STRIP                                                                                                \
  256 /* columns at once: their sums stay in the first cache, and a fixed trip count lets the compiler use   \
         vectors */

static void
add_strip (const float *restrict x, double *restrict squares, float *restrict absmax)
{
  for (int j = 0; j < STRIP; j++)
    {
      float a = fabsf (x[j]);
      absmax[j] = a > absmax[j] ? a : absmax[j];
      squares[j] += (double)x[j] * (double)x[j];
    }
}

static void
add_columns (const float *x, int64_t rows, int64_t cols, double *squares, float *absmax)
{
  int64_t from = 0;

  for (; from + STRIP <= cols; from += STRIP)
    for (int64_t i = 0; i < rows; i++)
      add_strip (x + i * cols + from, squares + from, absmax + from);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = from; j < cols; j++)
      {
        double v = (double)x[i * cols + j];
        absmax[j] = MAX (absmax[j], fabsf (x[i * cols + j]));
        squares[j] += v * v;
      }
}

static void
gather_slice (Pass *p, int64_t slice, float *buffer)
{
  const SwageWeight *w = p->weight;
  SwageWeightStats *s = p->stats;
  int64_t cols = w->cols, end = MIN (w->rows, (slice + 1) * p->slice_rows);
  SwageMoments *moments = &p->moments[slice];
  const SwageOp *op = swage_op_find ("moments");
  g_autofree double *results = g_new (double, (gsize)(p->piece_rows * SWAGE_MOMENT_COUNTS));

  moments->centre = p->centre;
  for (int64_t row = slice * p->slice_rows; row < end; row += p->piece_rows)
    {
      int64_t n = MIN (p->piece_rows, end - row), n_bad = 0;
      if (is_stopped (p, n))
        return;
      swage_weight_decode (w, row, row + n, buffer);

      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F64, results, SWAGE_MOMENT_COUNTS, n, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, buffer, cols, n, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, &p->centre, 1, 1, 1, 1) } };
      swage_op_get_func (op) (&call, 0, n);
      for (int64_t i = 0; i < n; i++)
        {
          const double *r = results + i * SWAGE_MOMENT_COUNTS;
          double c = (double)p->centre;
          swage_moments_add (moments, r);
          n_bad += (int64_t)r[SWAGE_MOMENT_BAD];
          s->row_absmax[row + i] = (float)r[SWAGE_MOMENT_ABSMAX];
          /* Σx² from sums about c */
          s->row_norm[row + i] = (float)sqrt (
              MAX (0, r[SWAGE_MOMENT_S2] + 2 * c * r[SWAGE_MOMENT_S1] + c * c * r[SWAGE_MOMENT_N]));
        }
      if (n_bad > 0)
        replace_nonfinite (buffer, n * cols, 0); /* adds nothing to sums of squares and maxima */
      add_columns (buffer, n, cols, p->col_squares + slice * cols, p->col_absmax + slice * cols);
    }
}

static void
count_slice (Pass *p, int64_t slice, float *buffer)
{
  const SwageWeight *w = p->weight;
  int64_t end = MIN (w->rows, (slice + 1) * p->slice_rows), n_outliers = 0;
  int64_t *counts = p->counts + slice * p->n_bins;
  /* one piece cannot fill 32-bit counters; a slice might */
  g_autofree uint32_t *table = g_new (uint32_t, (gsize)(2 * p->n_bins));

  for (int64_t row = slice * p->slice_rows; row < end; row += p->piece_rows)
    {
      int64_t n_rows = MIN (p->piece_rows, end - row), n = n_rows * w->cols, n_bad = 0;
      float any = (float)p->stats->summary.min;
      if (is_stopped (p, n_rows))
        return;
      swage_weight_decode (w, row, row + n_rows, buffer);
      if (p->stats->summary.n_nonfinite > 0)
        n_bad = replace_nonfinite (buffer, n, any); /* counted with the minimum and taken off again below */

      memset (table, 0, (size_t)(2 * p->n_bins) * sizeof *table);
      swage_grid_count (buffer, n, p->exponent, p->first, table, p->n_bins);
      for (int64_t i = 0; i < p->n_bins; i++)
        counts[i] += (int64_t)table[i] + table[p->n_bins + i];
      counts[swage_grid_find_index ((double)any, p->exponent) - p->first] -= n_bad;

      for (int64_t i = 0; i < n; i++)
        n_outliers += (buffer[i] < p->low) + (buffer[i] > p->high);
      n_outliers -= (any < p->low) * n_bad;
    }
  p->n_outliers[slice] = n_outliers;
}

static void
run_slices (int64_t begin, int64_t end, int worker, void *user_data)
{
  Pass *p = user_data;
  g_autofree float *buffer = g_new (float, (gsize)(p->piece_rows * p->weight->cols));

  for (int64_t slice = begin; slice < end; slice++)
    {
      if (p->pass == 0)
        gather_slice (p, slice, buffer);
      else
        count_slice (p, slice, buffer);
    }
}

/* A middle for the moments from a few rows spread over the matrix. */
static float
find_centre (const SwageWeight *w)
{
  enum
  {
    ROWS = 8
  };
  int64_t n = MIN (ROWS, w->rows);
  g_autofree float *sample = g_new (float, (gsize)(n * w->cols));

  for (int64_t i = 0; i < n; i++)
    {
      int64_t row = i * (w->rows / n);
      swage_weight_decode (w, row, row + 1, sample + i * w->cols);
    }
  return swage_moments_find_centre (sample, n * w->cols);
}

static void
merge_first_pass (Pass *p)
{
  SwageWeightStats *s = p->stats;
  SwageMoments all = { .centre = p->centre };
  int64_t cols = s->cols;

  for (int64_t k = 0; k < p->n_slices; k++)
    {
      const SwageMoments *m = &p->moments[k];
      all.n_nonfinite += m->n_nonfinite;
      if (m->n == 0)
        continue;
      all.min = all.n == 0 ? m->min : MIN (all.min, m->min);
      all.max = all.n == 0 ? m->max : MAX (all.max, m->max);
      all.absmax = MAX (all.absmax, m->absmax);
      all.n += m->n;
      all.n_zero += m->n_zero;
      for (int j = 0; j < 4; j++)
        all.sum[j] += m->sum[j];
    }
  swage_moments_finish (&all, &s->summary);

  for (int64_t j = 0; j < cols; j++)
    {
      double squares = 0;
      for (int64_t k = 0; k < p->n_slices; k++)
        {
          s->col_absmax[j] = MAX (s->col_absmax[j], p->col_absmax[k * cols + j]);
          squares += p->col_squares[k * cols + j];
        }
      s->col_norm[j] = (float)sqrt (squares);
    }
}

/* The floats between which a value is no outlier: for a float x, x < low exactly when x < mean − reach. */
static void
set_limits (Pass *p, double low, double high)
{
  p->low = (float)low;
  if ((double)p->low < low)
    p->low = nextafterf (p->low, INFINITY);
  p->high = (float)high;
  if ((double)p->high > high)
    p->high = nextafterf (p->high, -INFINITY);
}

static void
start_second_pass (Pass *p, int bins)
{
  SwageSummary *s = &p->stats->summary;
  double reach = s->outlier_sigma * s->std;

  p->pass = 1;
  atomic_store (&p->rows_done, 0);
  set_limits (p, s->mean - reach, s->mean + reach);
  p->exponent = swage_grid_find_exponent (s->min, s->max, bins);
  p->first = swage_grid_find_index (s->min, p->exponent);
  p->n_bins = swage_grid_find_index (s->max, p->exponent) - p->first + 1;
  p->counts = g_new0 (int64_t, (gsize)(p->n_slices * p->n_bins));
  p->n_outliers = g_new0 (int64_t, (gsize)p->n_slices);
}

static void
merge_second_pass (Pass *p)
{
  SwageSummary *s = &p->stats->summary;
  int64_t n_outliers = 0;

  s->histogram.n_bins = (int)p->n_bins;
  s->histogram.lo = ldexp ((double)p->first, p->exponent);
  s->histogram.hi = ldexp ((double)(p->first + p->n_bins), p->exponent);
  s->histogram.counts = g_new0 (int64_t, (gsize)p->n_bins);
  for (int64_t k = 0; k < p->n_slices; k++)
    {
      n_outliers += p->n_outliers[k];
      for (int64_t i = 0; i < p->n_bins; i++)
        s->histogram.counts[i] += p->counts[k * p->n_bins + i];
    }
  if (s->std > 0)
    s->outlier_share = (double)n_outliers / (double)s->n;
}

SwageWeightStats *
swage_weight_stats_new (const SwageWeight *weight, int bins, double sigma, SwageJob *job, GError **error)
{
  g_autoptr (SwageWeightStats) stats = g_new0 (SwageWeightStats, 1);
  int64_t rows = weight->rows, cols = weight->cols;
  Pass p = { .stats = stats, .weight = weight, .job = job };

  bins = bins == 0 ? SWAGE_BINS_DEFAULT : CLAMP (bins, SWAGE_BINS_MIN, SWAGE_BINS_MAX);
  stats->rows = rows;
  stats->cols = cols;
  stats->summary.outlier_sigma = sigma > 0 ? sigma : SWAGE_SIGMA_DEFAULT;
  stats->summary.outlier_exact = true;
  stats->col_absmax = g_new0 (float, (gsize)cols);
  stats->col_norm = g_new0 (float, (gsize)cols);
  stats->row_absmax = g_new0 (float, (gsize)rows);
  stats->row_norm = g_new0 (float, (gsize)rows);

  p.piece_rows = CLAMP (PIECE_VALUES / cols, 1, rows);
  p.slice_rows = MAX (p.piece_rows, (rows + MAX_SLICES - 1) / MAX_SLICES);
  p.n_slices = (rows + p.slice_rows - 1) / p.slice_rows;
  p.centre = find_centre (weight);
  p.moments = g_new0 (SwageMoments, (gsize)p.n_slices);
  p.col_squares = g_new0 (double, (gsize)(p.n_slices * cols));
  p.col_absmax = g_new0 (float, (gsize)(p.n_slices * cols));

  swage_pool_run (p.n_slices, 1, run_slices, &p);
  if (!swage_job_is_cancelled (job))
    merge_first_pass (&p);
  if (!swage_job_is_cancelled (job) && stats->summary.n > 0)
    {
      start_second_pass (&p, bins);
      swage_pool_run (p.n_slices, 1, run_slices, &p);
      merge_second_pass (&p);
    }
  g_free (p.moments);
  g_free (p.col_squares);
  g_free (p.col_absmax);
  g_free (p.counts);
  g_free (p.n_outliers);
  if (!swage_job_step (job, 1, 1, error))
    return NULL;
  return g_steal_pointer (&stats);
}

void
swage_weight_stats_free (SwageWeightStats *stats)
{
  if (stats == NULL)
    return;
  swage_summary_clear (&stats->summary);
  g_free (stats->col_absmax);
  g_free (stats->col_norm);
  g_free (stats->row_absmax);
  g_free (stats->row_norm);
  g_free (stats);
}
