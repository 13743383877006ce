/* SPDX-License-Identifier: MIT
 *
 * Statistics of a layer's inputs, collected while a text runs through the model. Only what is asked for is
 * computed. Every collector adds the same rows: the summary by parts of fixed size, the channels column by
 * column, the Hessian tile by tile; in each case the order of additions follows from the shape of the
 * portions alone.
 */
#include "core/stats/swage-summary.h"

#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"

#define CHANNEL_NEEDS (SWAGE_NEED_COL_SQUARES | SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE)

SwageActStats *
swage_act_stats_new (int64_t n_in, SwageNeeds needs, int bins, double sigma)
{
  SwageActStats *stats = g_new0 (SwageActStats, 1);
  gsize n = (gsize)n_in;

  stats->n_in = n_in;
  stats->needs = needs;
  if (needs & CHANNEL_NEEDS)
    stats->channels = g_new0 (double, n *SWAGE_CHANNEL_ROWS);
  if (needs & SWAGE_NEED_COL_SQUARES)
    stats->col_squares = g_new0 (double, n);
  if (needs & SWAGE_NEED_COL_ABSMAX)
    stats->col_absmax = g_new0 (float, n);
  if (needs & SWAGE_NEED_COL_RANGE)
    {
      stats->col_min = g_new0 (float, n);
      stats->col_max = g_new0 (float, n);
      stats->col_sum = g_new0 (double, n);
    }
  if (needs & SWAGE_NEED_HESSIAN)
    stats->hessian = g_new0 (double, n *n);
  if (needs & SWAGE_NEED_COL_ABS)
    stats->col_abs = g_new0 (double, n);
  if (needs & SWAGE_NEED_SAMPLES)
    stats->samples = g_new (float, n *SWAGE_STATS_SAMPLES);
  stats->sample_stride = 1;
  if (needs & SWAGE_NEED_SUMMARY)
    stats->builder = swage_summary_builder_new (bins, sigma);
  return stats;
}

/* The operator channel_stats for rows that hold NaN or infinities, which are left out. */
static void
add_finite_channels (double *channels, bool accumulate, const float *x, int64_t n, int64_t cols)
{
  double *row[SWAGE_CHANNEL_ROWS];

  for (int i = 0; i < SWAGE_CHANNEL_ROWS; i++)
    row[i] = channels + i * cols;
  for (int64_t j = 0; j < cols && !accumulate; j++)
    {
      row[SWAGE_CHANNEL_ABSMAX][j] = row[SWAGE_CHANNEL_SUM][j] = row[SWAGE_CHANNEL_SUM_SQUARES][j] = 0;
      row[SWAGE_CHANNEL_MIN][j] = INFINITY;
      row[SWAGE_CHANNEL_MAX][j] = -INFINITY;
    }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < cols; j++)
      {
        double v = (double)x[i * cols + j];
        if (!isfinite (v))
          continue;
        row[SWAGE_CHANNEL_ABSMAX][j] = MAX (row[SWAGE_CHANNEL_ABSMAX][j], fabs (v));
        row[SWAGE_CHANNEL_SUM][j] += v;
        row[SWAGE_CHANNEL_SUM_SQUARES][j] += v * v;
        row[SWAGE_CHANNEL_MIN][j] = MIN (row[SWAGE_CHANNEL_MIN][j], v);
        row[SWAGE_CHANNEL_MAX][j] = MAX (row[SWAGE_CHANNEL_MAX][j], v);
      }
}

static bool
all_finite (const float *x, int64_t n)
{
  /* An infinity or NaN times zero is NaN, and stays in a sum; four sums, because one would wait for itself.
   */
  float sum[4] = { 0 };
  int64_t i = 0;

  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++)
      sum[k] += x[i + k] * 0.0f;
  for (; i < n; i++)
    sum[0] += x[i] * 0.0f;
  return sum[0] + sum[1] + sum[2] + sum[3] == 0;
}

static void
publish_channels (SwageActStats *stats)
{
  const double *c = stats->channels;
  int64_t n = stats->n_in;

  for (int64_t j = 0; j < n; j++)
    {
      double min = c[SWAGE_CHANNEL_MIN * n + j], max = c[SWAGE_CHANNEL_MAX * n + j];
      if (stats->col_squares != NULL)
        stats->col_squares[j] = c[SWAGE_CHANNEL_SUM_SQUARES * n + j];
      if (stats->col_absmax != NULL)
        stats->col_absmax[j] = (float)c[SWAGE_CHANNEL_ABSMAX * n + j];
      if (stats->col_sum != NULL)
        {
          stats->col_sum[j] = c[SWAGE_CHANNEL_SUM * n + j];
          stats->col_min[j] = min <= max ? (float)min : 0;
          stats->col_max[j] = min <= max ? (float)max : 0;
        }
    }
}

static float *
dup_finite (const float *x, int64_t n)
{
  float *copy = g_new (float, (gsize)n);
  for (int64_t i = 0; i < n; i++)
    copy[i] = isfinite (x[i]) ? x[i] : 0;
  return copy;
}

typedef struct
{
  SwageActStats *stats;
  const float *x;
  int64_t n;
} AddingAbs;

/* A range of columns, row after row: the order of additions is that of the rows for any number of threads. */
static void
add_abs (int64_t begin, int64_t end, int worker, void *user_data)
{
  const AddingAbs *a = user_data;

  for (int64_t i = 0; i < a->n; i++)
    for (int64_t j = begin; j < end; j++)
      {
        float v = a->x[i * a->stats->n_in + j];
        if (isfinite (v))
          a->stats->col_abs[j] += fabs ((double)v);
      }
}

/* When there is no more room every second row goes, and from then on the stride is twice as long: which rows
 * stay depends on their numbers alone. */
static void
add_samples (SwageActStats *stats, const float *x, int64_t n)
{
  size_t row = (size_t)stats->n_in;

  for (int64_t i = 0; i < n; i++)
    {
      if ((stats->n_tokens + i) % stats->sample_stride != 0)
        continue;
      if (stats->n_samples == SWAGE_STATS_SAMPLES)
        {
          for (int64_t k = 1; k < SWAGE_STATS_SAMPLES / 2; k++)
            memcpy (stats->samples + (size_t)k * row, stats->samples + (size_t)(2 * k) * row,
                    row * sizeof (float));
          stats->n_samples = SWAGE_STATS_SAMPLES / 2;
          stats->sample_stride *= 2;
          if ((stats->n_tokens + i) % stats->sample_stride != 0)
            continue;
        }
      float *to = stats->samples + (size_t)stats->n_samples++ * row;
      for (size_t j = 0; j < row; j++)
        {
          float v = x[(size_t)i * row + j];
          to[j] = isfinite (v) ? v : 0;
        }
    }
}

void
swage_act_stats_add (SwageActStats *stats, const float *x, int64_t n)
{
  int64_t cols = stats->n_in;
  bool finite;

  if (n <= 0)
    return;
  if (stats->builder != NULL)
    finite = swage_summary_builder_add (stats->builder, x, n, cols) == 0;
  else
    finite = all_finite (x, n * cols);

  for (int64_t i = 0; i < n * cols && !finite; i++)
    stats->n_nonfinite += !isfinite (x[i]);
  if (stats->channels != NULL)
    {
      SwageChannelStatsArgs args = { .accumulate = stats->n_tokens > 0 };
      SwageOpCall call
          = { .dst = swage_view (SWAGE_TYPE_F64, stats->channels, cols, SWAGE_CHANNEL_ROWS, 1, 1),
              .src = { swage_view (SWAGE_TYPE_F32, x, cols, n, 1, 1) },
              .args = &args };
      if (finite)
        swage_pool_run_op (swage_op_find ("channel_stats"), &call);
      else
        add_finite_channels (stats->channels, args.accumulate, x, n, cols);
      publish_channels (stats);
    }
  if (stats->hessian != NULL)
    {
      g_autofree float *copy = finite ? NULL : dup_finite (x, n * cols);
      swage_hessian_add (stats->hessian, cols, finite ? x : copy, n);
    }
  if (stats->col_abs != NULL)
    {
      AddingAbs adding = { stats, x, n };
      swage_pool_run (cols, 64, add_abs, &adding);
    }
  if (stats->samples != NULL)
    add_samples (stats, x, n);
  stats->n_tokens += n;
}

void
swage_act_stats_finish (SwageActStats *stats)
{
  if (stats->builder != NULL)
    swage_summary_builder_finish (stats->builder, &stats->summary);
  if (stats->hessian != NULL)
    swage_hessian_finish (stats->hessian, stats->n_in);
}

void
swage_act_stats_free (SwageActStats *stats)
{
  if (stats == NULL)
    return;
  swage_summary_builder_free (stats->builder);
  swage_summary_clear (&stats->summary);
  g_free (stats->channels);
  g_free (stats->col_squares);
  g_free (stats->col_absmax);
  g_free (stats->col_min);
  g_free (stats->col_max);
  g_free (stats->col_sum);
  g_free (stats->hessian);
  g_free (stats->col_abs);
  g_free (stats->samples);
  g_free (stats);
}
