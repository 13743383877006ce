/* SPDX-License-Identifier: MIT
 *
 * The histogram of a tensor before (outline) and after (fill) a plan, with marks at µ ± kσ.
 */
#pragma once

#include "core/stats/swage-stats.h"
#include "ui/chart/swage-chart.h"

#include <math.h>

typedef struct
{
  const SwageSummary *before; /* the original; NULL: nothing to draw but the frame */
  const SwageSummary *after;  /* NULL: the original is filled as well */
  const char *title;          /* NULL: none; the next four likewise get a default or none */
  const char *x_label;
  const char *before_label, *after_label; /* in the legend */
  bool log_y;
  double x_min, x_max; /* zoom; equal: the whole range */
  double sigma;        /* k of the marks; 0: before->outlier_sigma; negative: no marks */
  const float *levels; /* ticks below the axis: the values that a quantizer can give; may be NULL */
  int n_levels;
  double hover;            /* a value: its bin is marked and told; NaN: none */
  double drag_lo, drag_hi; /* a range being chosen, shaded; NaN: none */
} SwageChartHistogram;
#define SWAGE_CHART_HISTOGRAM_INIT                                                                           \
  {                                                                                                          \
    .log_y = true, .hover = NAN, .drag_lo = NAN, .drag_hi = NAN                                              \
  }

void swage_chart_histogram_draw (cairo_t *cr, double w, double h, const SwageChartHistogram *data,
                                 const SwageChartTheme *theme);

/* The range of values from the left to the right edge of the plot, and where the plot lies in w × h. */
void swage_chart_histogram_get_frame (double w, double h, const SwageChartHistogram *data,
                                      const SwageChartTheme *theme, SwageChartRect *plot, double *lo,
                                      double *hi);

/* What lies at a value: the exact bin of each series (counts −1 where a series has no bin there). */
typedef struct
{
  int bin;               /* of before */
  double lo, hi;         /* its edges */
  int64_t before, after; /* counts; `after` in its own bin around the value */
} SwageChartHistogramHit;
bool swage_chart_histogram_hit (const SwageChartHistogram *data, double value, SwageChartHistogramHit *hit);
/* FALSE outside of the plot. */
bool swage_chart_histogram_hit_at (double w, double h, const SwageChartHistogram *data,
                                   const SwageChartTheme *theme, double x, double y,
                                   SwageChartHistogramHit *hit);

/* The share of the original's values that lie beyond the plan's range, counted in whole bins; 0 without a
 * plan. */
double swage_chart_histogram_clipped (const SwageChartHistogram *data);
/* One spoken sentence or two: range, spread, outliers. New string. */
char *swage_chart_histogram_describe (const SwageChartHistogram *data);
/* Tab-separated table: low edge, high edge, count before, and after where there is one. New string. */
char *swage_chart_histogram_to_text (const SwageChartHistogram *data);
