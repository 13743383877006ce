/* SPDX-License-Identifier: MIT
 *
 * Histograms on dyadic grids. Scaling by a power of two is exact, so ⌊x·2^−e⌋ has no rounding to argue about:
 * a value lies in the bin whose edges contain it, and neighbouring bins merge into those of the next coarser
 * grid without a value changing sides.
 */
#include "core/stats/swage-summary.h"

#include <math.h>

double
swage_histogram_get_edge (const SwageHistogram *histogram, int i)
{
  return histogram->lo + (histogram->hi - histogram->lo) / histogram->n_bins * i;
}

int
swage_histogram_find_bin (const SwageHistogram *histogram, double x)
{
  double width = (histogram->hi - histogram->lo) / histogram->n_bins;
  if (!(x >= histogram->lo && x < histogram->hi))
    return -1;
  return (int)MIN (floor ((x - histogram->lo) / width), histogram->n_bins - 1);
}

int64_t
swage_histogram_get_total (const SwageHistogram *histogram)
{
  int64_t total = 0;
  for (int i = 0; i < histogram->n_bins; i++)
    total += histogram->counts[i];
  return total;
}

void
swage_summary_clear (SwageSummary *summary)
{
  g_clear_pointer (&summary->histogram.counts, g_free);
  summary->histogram.n_bins = 0;
}

int64_t
swage_grid_find_index (double x, int exponent)
{
  return (int64_t)floor (ldexp (x, -exponent));
}

int
swage_grid_find_exponent (double min, double max, int bins)
{
  double absmax = MAX (fabs (min), fabs (max));
  if (absmax == 0)
    return 0;

  /* Narrower bins than the spacing of floats at the largest value hold nothing; this also keeps indices below
   * 2^24. */
  int exponent = ilogb (absmax) - 23;
  /* ⌊max/w⌋ − ⌊min/w⌋ is (max−min)/w or one more, so look closely only at the last steps. */
  if (max > min)
    exponent = MAX (exponent, ilogb ((max - min) / bins));
  while (swage_grid_find_index (max, exponent) - swage_grid_find_index (min, exponent) >= bins)
    exponent++;
  return exponent;
}

#define PIECE 256 /* a fixed trip count lets the compiler use vectors */

/* ⌊x·scale⌋ − first. Conversion cuts towards zero: one less below zero, unless it was whole. In float this is
 * exact while x·scale does not underflow, and takes half the time of double. */
static void
find_indices_float (const float *x, float scale, int32_t first, int32_t *index)
{
  for (int i = 0; i < PIECE; i++)
    {
      float t = x[i] * scale;
      int32_t k = (int32_t)t;
      index[i] = k - (t < (float)k) - first;
    }
}

static void
find_indices_double (const float *x, double scale, int32_t first, int32_t *index)
{
  for (int i = 0; i < PIECE; i++)
    {
      double t = (double)x[i] * scale;
      int32_t k = (int32_t)t;
      index[i] = k - (t < (double)k) - first;
    }
}

void
swage_grid_count (const float *x, int64_t n, int exponent, int64_t first, uint32_t *count, int64_t n_bins)
{
  double scale = ldexp (1, -exponent);
  bool narrow = exponent <= 0 && exponent >= -120; /* scale is a float, and no x·scale is smaller than x */
  int32_t index[PIECE];
  int64_t from = 0;

  for (; from + PIECE <= n; from += PIECE)
    {
      if (narrow)
        find_indices_float (x + from, (float)scale, (int32_t)first, index);
      else
        find_indices_double (x + from, scale, (int32_t)first, index);
      for (int i = 0; i < PIECE; i += 2)
        {
          count[index[i]]++;
          count[n_bins + index[i + 1]]++;
        }
    }
  for (; from < n; from++)
    count[swage_grid_find_index ((double)x[from], exponent) - first]++;
}
