/* SPDX-License-Identifier: MIT
 *
 * Moments, and summaries of streams.
 *
 * A stream's range is not known until it ends, so its values are counted on a fine grid of FINE bins around
 * zero that starts as narrow as floats go and doubles its width whenever a value lies outside: bins 2k and
 * 2k+1 become bin k, which is exact. The final width depends on the largest magnitude alone, not on the order
 * of the values nor on how they came in portions. At the end neighbours are merged until the part between
 * minimum and maximum takes no more bins than asked for.
 *
 * The share of values beyond µ±kσ, both unknown before the end, is counted on the fine grid: whole bins
 * outside, and of the two bins that the limits cut, the part that lies outside as if their values were spread
 * evenly. The error is below the content of those two.
 */
#include "core/stats/swage-summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-pool.h"

#define FINE 8192          /* a power of two; bins of the fine grid, half of them on each side of zero */
#define FINEST (-149 - 12) /* exponent at which ±FINE/2 bins reach as far as the smallest float */
#define PART_VALUES                                                                                          \
  65536 /* values that one call of `moments` sums up: fixed, so that sums do not depend on threads */

/* ---- moments ---- */

static int
compare_floats (const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

float
swage_moments_find_centre (const float *x, int64_t n)
{
  enum
  {
    SAMPLE = 1024
  };
  float sample[SAMPLE];
  int n_sample = 0;

  for (int64_t i = 0; i < MIN (n, SAMPLE); i++)
    {
      /* An odd stride through the whole set meets all columns of a matrix, whose rows are even. */
      int64_t at = n <= SAMPLE ? i : (int64_t)(((uint64_t)i * (((uint64_t)n / SAMPLE) | 1)) % (uint64_t)n);
      if (isfinite (x[at]))
        sample[n_sample++] = x[at];
    }
  if (n_sample == 0)
    return 0;
  qsort (sample, (size_t)n_sample, sizeof *sample, compare_floats);
  return sample[n_sample / 2];
}

void
swage_moments_add (SwageMoments *m, const double *result)
{
  int64_t n = (int64_t)result[SWAGE_MOMENT_N];

  m->n_nonfinite += (int64_t)result[SWAGE_MOMENT_BAD];
  if (n == 0)
    return;
  m->min = m->n == 0 ? result[SWAGE_MOMENT_MIN] : MIN (m->min, result[SWAGE_MOMENT_MIN]);
  m->max = m->n == 0 ? result[SWAGE_MOMENT_MAX] : MAX (m->max, result[SWAGE_MOMENT_MAX]);
  m->absmax = MAX (m->absmax, result[SWAGE_MOMENT_ABSMAX]);
  m->n += n;
  m->n_zero += (int64_t)result[SWAGE_MOMENT_ZEROS];
  for (int j = 0; j < 4; j++)
    m->sum[j] += result[SWAGE_MOMENT_S1 + j];
}

/* With d = µ − c:  m2 = s2 − d²,  m4 = s4 − 4·d·s3 + 6·d²·s2 − 3·d⁴, where sj is the mean of (x−c)ʲ. */
void
swage_moments_finish (const SwageMoments *m, SwageSummary *summary)
{
  summary->n = m->n;
  summary->n_nonfinite = m->n_nonfinite;
  summary->n_zero = m->n_zero;
  if (m->n == 0)
    return;

  double n = (double)m->n, d = m->sum[0] / n, s2 = m->sum[1] / n, s3 = m->sum[2] / n, s4 = m->sum[3] / n;
  double variance = MAX (0, s2 - d * d);
  double fourth = MAX (0, s4 - 4 * d * s3 + 6 * d * d * s2 - 3 * d * d * d * d);
  if (m->min == m->max)
    variance = 0;
  summary->min = m->min;
  summary->max = m->max;
  summary->absmax = m->absmax;
  summary->mean = CLAMP ((double)m->centre + d, m->min, m->max);
  summary->std = sqrt (variance);
  summary->kurtosis = variance > 0 ? fourth / variance / variance : 0;
}

/* ---- streams ---- */

struct _SwageSummaryBuilder
{
  int bins;
  double sigma;
  SwageMoments moments;
  bool has_centre;
  int exponent; /* bin k of the fine grid is [k·2^e, (k+1)·2^e), k from −FINE/2 */
  int64_t *counts;
};

SwageSummaryBuilder *
swage_summary_builder_new (int bins, double sigma)
{
  SwageSummaryBuilder *builder = g_new0 (SwageSummaryBuilder, 1);

  builder->bins = bins == 0 ? SWAGE_BINS_DEFAULT : CLAMP (bins, SWAGE_BINS_MIN, SWAGE_BINS_MAX);
  builder->sigma = sigma > 0 ? sigma : SWAGE_SIGMA_DEFAULT;
  builder->exponent = FINEST;
  builder->counts = g_new0 (int64_t, FINE);
  return builder;
}

void
swage_summary_builder_free (SwageSummaryBuilder *builder)
{
  if (builder == NULL)
    return;
  g_free (builder->counts);
  g_free (builder);
}

static void
widen (SwageSummaryBuilder *builder)
{
  int64_t *c = builder->counts;
  int64_t merged[FINE / 2];

  for (int i = 0; i < FINE / 2; i++)
    merged[i] = c[2 * i] + c[2 * i + 1];
  memset (c, 0, FINE * sizeof *c);
  memcpy (c + FINE / 4, merged, sizeof merged); /* k = −FINE/2 … becomes k/2 = −FINE/4 … */
  builder->exponent++;
}

typedef struct
{
  const SwageSummaryBuilder *builder;
  const float *x;
  int64_t cols;
  bool has_bad;
  uint32_t **count; /* per worker: the two tables of swage_grid_count() */
} Counting;

static void
count_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  Counting *c = user_data;
  const SwageSummaryBuilder *builder = c->builder;
  const float *x = c->x + begin * c->cols;
  int64_t n = (end - begin) * c->cols;

  if (c->count[worker] == NULL)
    c->count[worker] = g_new0 (uint32_t, 2 * FINE);
  if (!c->has_bad)
    {
      swage_grid_count (x, n, builder->exponent, -FINE / 2, c->count[worker], FINE);
      return;
    }
  for (int64_t i = 0; i < n; i++)
    if (isfinite (x[i]))
      c->count[worker][swage_grid_find_index ((double)x[i], builder->exponent) + FINE / 2]++;
}

int64_t
swage_summary_builder_add (SwageSummaryBuilder *builder, const float *x, int64_t rows, int64_t cols)
{
  int64_t n_bad = builder->moments.n_nonfinite;

  if (rows <= 0 || cols <= 0)
    return 0;
  if (!builder->has_centre)
    {
      builder->moments.centre = swage_moments_find_centre (x, rows * cols);
      builder->has_centre = true;
    }

  /* As many rows in each part as make PART_VALUES: cut by the shape alone. */
  int64_t part_rows = CLAMP (PART_VALUES / cols, 1, rows);
  int64_t parts = (rows + part_rows - 1) / part_rows;
  g_autofree double *results = g_new (double, (gsize)(parts * SWAGE_MOMENT_COUNTS));
  SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F64, results, SWAGE_MOMENT_COUNTS, parts, 1, 1),
                       .src = { swage_view (SWAGE_TYPE_F32, x, cols, rows, 1, 1),
                                swage_view (SWAGE_TYPE_F32, &builder->moments.centre, 1, 1, 1, 1) } };
  swage_pool_run_op (swage_op_find ("moments"), &call);
  for (int64_t p = 0; p < parts; p++)
    swage_moments_add (&builder->moments, results + p * SWAGE_MOMENT_COUNTS);
  n_bad = builder->moments.n_nonfinite - n_bad;

  while (ldexp (builder->moments.absmax, -builder->exponent) >= FINE / 2)
    widen (builder);

  int n_workers = swage_pool_get_threads ();
  Counting c = { .builder = builder,
                 .x = x,
                 .cols = cols,
                 .has_bad = n_bad > 0,
                 .count = g_new0 (uint32_t *, (gsize)n_workers) };
  /* 32-bit counters hold what one portion brings; a larger one is cut */
  int64_t most_rows = MAX (1, (int64_t)(G_MAXINT32 / cols));
  for (int64_t from = 0; from < rows; from += most_rows, c.x += most_rows * cols)
    {
      swage_pool_run (MIN (most_rows, rows - from), part_rows, count_rows, &c);
      for (int w = 0; w < n_workers; w++)
        for (int i = 0; i < FINE && c.count[w] != NULL; i++)
          {
            builder->counts[i] += (int64_t)c.count[w][i] + c.count[w][FINE + i];
            c.count[w][i] = c.count[w][FINE + i] = 0;
          }
    }
  for (int w = 0; w < n_workers; w++)
    g_free (c.count[w]);
  g_free (c.count);
  return n_bad;
}

/* How many values lie below x, the bin that x cuts being spread evenly. */
static double
count_below (const SwageSummaryBuilder *builder, double x)
{
  double at = ldexp (x, -builder->exponent) + FINE / 2, below = 0;
  int whole = (int)CLAMP (floor (at), 0, FINE);

  for (int i = 0; i < whole; i++)
    below += (double)builder->counts[i];
  if (whole < FINE && at > whole)
    below += (at - whole) * (double)builder->counts[whole];
  return below;
}

void
swage_summary_builder_finish (const SwageSummaryBuilder *builder, SwageSummary *summary)
{
  swage_summary_clear (summary);
  *summary = (SwageSummary){ .outlier_sigma = builder->sigma };
  swage_moments_finish (&builder->moments, summary);
  if (summary->n == 0)
    return;

  int exponent
      = MAX (builder->exponent, swage_grid_find_exponent (summary->min, summary->max, builder->bins));
  int coarser = exponent - builder->exponent;
  int64_t first = swage_grid_find_index (summary->min, exponent);
  int64_t last = swage_grid_find_index (summary->max, exponent);
  SwageHistogram *h = &summary->histogram;
  h->n_bins = (int)(last - first + 1);
  h->lo = ldexp ((double)first, exponent);
  h->hi = ldexp ((double)(last + 1), exponent);
  h->counts = g_new0 (int64_t, (gsize)h->n_bins);
  for (int64_t k = -FINE / 2; k < FINE / 2; k++)
    if (builder->counts[k + FINE / 2] != 0)
      {
        /* ⌊k/2^c⌋; beyond 62 all that is not negative is 0 */
        int64_t coarse = k >> MIN (coarser, 62);
        h->counts[coarse - first] += builder->counts[k + FINE / 2];
      }

  if (summary->std > 0)
    {
      double reach = builder->sigma * summary->std, n = (double)summary->n;
      double outside
          = count_below (builder, summary->mean - reach) + n - count_below (builder, summary->mean + reach);
      summary->outlier_share = CLAMP (outside / n, 0, 1);
    }
}
