/* SPDX-License-Identifier: MIT
 *
 * The pieces that summaries are made of: power sums about a centre, and counts on a grid of bins whose width
 * is a power of two. Private to core/stats.
 */
#pragma once

#include "core/stats/swage-stats.h"

#define SWAGE_BINS_DEFAULT 256
#define SWAGE_BINS_MIN 16
#define SWAGE_BINS_MAX 4096
#define SWAGE_SIGMA_DEFAULT 6.0

/* ---- moments ---- */

/* Σ(x−c)ʲ of the finite values. c is near their middle, so that the fourth power cancels nothing: with c = 0,
 * values of mean 100 and deviation 0.01 would lose all of their kurtosis to rounding. */
typedef struct
{
  float centre;
  int64_t n, n_nonfinite, n_zero;
  double min, max, absmax;
  double sum[4];
} SwageMoments;

/* The median of at most 1024 finite values spread evenly over x; 0 when there are none. */
float swage_moments_find_centre (const float *x, int64_t n);
/* Add one column of results of the operator `moments`, computed about m->centre. */
void swage_moments_add (SwageMoments *m, const double *result);
/* Everything of the summary but outliers and histogram. */
void swage_moments_finish (const SwageMoments *m, SwageSummary *summary);

/* ---- counts ---- */

/* Exponent e of the narrowest grid on which [min, max] takes at most `bins` bins [k·2^e, (k+1)·2^e). */
int swage_grid_find_exponent (double min, double max, int bins);
/* ⌊x/2^e⌋; exact for float x and |x/2^e| < 2^31. */
int64_t swage_grid_find_index (double x, int exponent);
/* count[⌊x/2^e⌋ − first]++ for n values of x that are finite and inside. `count` has two tables of n_bins, to
 * be added up: values that follow each other go to different ones, because most are alike and a counter must
 * not wait for itself. */
void swage_grid_count (const float *x, int64_t n, int exponent, int64_t first, uint32_t *count,
                       int64_t n_bins);

/* ---- streams ---- */

/* Moments and counts of a stream of values of which nothing is known beforehand. */
typedef struct _SwageSummaryBuilder SwageSummaryBuilder;
SwageSummaryBuilder *swage_summary_builder_new (int bins, double sigma);
void swage_summary_builder_free (SwageSummaryBuilder *builder);
/* Add rows × cols values, on the pool. Returns how many of these were not finite. */
int64_t swage_summary_builder_add (SwageSummaryBuilder *builder, const float *x, int64_t rows, int64_t cols);
void swage_summary_builder_finish (const SwageSummaryBuilder *builder, SwageSummary *summary);

/* ---- Σ x xᵀ ---- */

/* h (n_in × n_in) += Σ x xᵀ over n rows of finite x, upper triangle alone (row <= column), on the pool. */
void swage_hessian_add (double *h, int64_t n_in, const float *x, int64_t n);
/* Mirror the upper triangle into the lower. */
void swage_hessian_finish (double *h, int64_t n_in);
