/* SPDX-License-Identifier: MIT
 *
 * Statistics of weights and of activations.
 *
 * A *summary* holds moments, extremes, outlier share and a histogram of a set of values. A *layer's
 * statistics* add per-channel vectors and, on request, the second-moment matrix of a layer's inputs: what
 * methods need. One pass over the text feeds all collectors of all layers.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-linear.h"

/* Bins of equal width over [lo, hi); counts are exact and sum to the number of finite values. The width is a
 * power of two and lo a multiple of it, so edges are short binary numbers, histograms of different sets lie
 * on nested grids, and bin i holds exactly the values in [edge i, edge i+1). n_bins is between half of what
 * was asked for and all of it (fewer when there are few distinct values). */
typedef struct
{
  int n_bins;
  double lo, hi;
  int64_t *counts;
} SwageHistogram;
/* Lower edge of bin i; i == n_bins gives hi. Exact. */
double swage_histogram_get_edge (const SwageHistogram *histogram, int i);
/* The bin that holds x, or -1 outside. */
int swage_histogram_find_bin (const SwageHistogram *histogram, double x);
int64_t swage_histogram_get_total (const SwageHistogram *histogram);

typedef struct
{
  int64_t n; /* values, non-finite ones not counted */
  int64_t n_nonfinite, n_zero;
  double min, max, mean, std, absmax;
  double kurtosis;      /* E(x−µ)⁴/σ⁴ (3 for a normal distribution); 0 when σ is 0 */
  double outlier_sigma; /* k */
  double outlier_share; /* share of values with |x−µ| > kσ: exact for weights; for activations counted against
                           the histogram's bins cut at µ±kσ (see swage-summary.c) */
  bool outlier_exact;
  SwageHistogram histogram;
} SwageSummary;
void swage_summary_clear (SwageSummary *summary); /* frees what it holds, not itself */

typedef struct
{
  int64_t rows, cols;
  SwageSummary summary;
  float *col_absmax; /* cols: max |w| of each input channel */
  float *col_norm;   /* cols: Euclidean norm */
  float *row_absmax; /* rows */
  float *row_norm;   /* rows */
} SwageWeightStats;
/* `bins` 16..4096 (0: 256), `sigma` > 0 (0: 6). Reads the weight in row slices on the pool; never a dense
 * copy. */
SwageWeightStats *swage_weight_stats_new (const SwageWeight *weight, int bins, double sigma, SwageJob *job,
                                          GError **error);
void swage_weight_stats_free (SwageWeightStats *stats);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageWeightStats, swage_weight_stats_free)

/* The k channels with the largest of n values (NaN counts as none), largest first, equal ones by index;
 * returns how many (min(k, n)). `median` (may be NULL) gets the median of all: what a channel's share of the
 * range is judged against. */
typedef struct
{
  int64_t channel;
  double value;
} SwageChannel;
int swage_channels_find_top (const float *values, int64_t n, int k, SwageChannel *top, double *median);

/* What a method, or the inspector, asks of a calibration pass. */
typedef enum
{
  SWAGE_NEED_NONE = 0,
  SWAGE_NEED_COL_SQUARES = 1 << 0, /* Σx² per input channel (Wanda, imatrix) */
  SWAGE_NEED_COL_ABSMAX = 1 << 1,  /* max |x| per input channel (SmoothQuant) */
  SWAGE_NEED_COL_RANGE = 1 << 2,   /* min and max, sum per input channel (Outlier Suppression+, RPTQ) */
  SWAGE_NEED_HESSIAN = 1 << 3,     /* Σ x xᵀ (GPTQ, SparseGPT …) */
  SWAGE_NEED_SUMMARY = 1 << 4,     /* SwageSummary of all inputs (the inspector) */
  SWAGE_NEED_COL_ABS = 1 << 5,     /* Σ|x| per input channel (AWQ) */
  SWAGE_NEED_SAMPLES = 1 << 6,     /* some rows of the inputs, evenly spread (searches over activation quantizers) */
} SwageNeeds;

typedef struct
{
  int64_t n_in;
  int64_t n_tokens; /* rows seen */
  int64_t n_nonfinite; /* NaN and infinities among their values */
  SwageNeeds needs;
  double *col_squares; /* n_in each; NULL when not asked for */
  float *col_absmax;
  float *col_min, *col_max;
  double *col_sum;
  double *hessian;      /* n_in × n_in, both triangles, Σ x xᵀ (not divided) */
  double *col_abs;      /* n_in: Σ|x| */
  /* Rows 0, k, 2k … of all rows, k a power of two such that there are at most SWAGE_STATS_SAMPLES. */
  float *samples; /* n_samples × n_in */
  int64_t n_samples, sample_stride;
  SwageSummary summary; /* valid after swage_act_stats_finish() */
  struct _SwageSummaryBuilder *builder;
  double *channels; /* private: rows of the operator channel_stats */
} SwageActStats;
#define SWAGE_STATS_SAMPLES 512
SwageActStats *swage_act_stats_new (int64_t n_in, SwageNeeds needs, int bins, double sigma);
/* Add n rows of n_in inputs. Deterministic for any number of threads. Numbers that are not finite are left
 * out of everything and counted in the summary; for the Hessian they count as 0. */
void swage_act_stats_add (SwageActStats *stats, const float *x, int64_t n);
/* Complete the summary and the Hessian's other triangle; once, after the last add. */
void swage_act_stats_finish (SwageActStats *stats);
void swage_act_stats_free (SwageActStats *stats);
/* What the statistics would be of T·x: what a step sees whose layer has a transform already. Of `needs` what can
 * be derived from `stats`, exactly: a shift asks for sums (COL_RANGE), after a rotation ranges and Σ|x| are those of
 * the samples and squares the Hessian's diagonal (or the samples'). The summary is not carried over. New. */
SwageActStats *swage_act_stats_new_transformed (const SwageActStats *stats, const SwageTransform *transform);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageActStats, swage_act_stats_free)
