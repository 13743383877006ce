/* SPDX-License-Identifier: MIT
 *
 * The largest magnitude of every channel of a layer, as bars; channels far above the rest are marked.
 */
#pragma once

#include "ui/chart/swage-chart.h"

#include <math.h>

typedef struct
{
  const float *before; /* n values ≥ 0; NULL: nothing but the frame */
  const float *after;  /* n values or NULL: drawn as fill, the original as outline */
  int64_t n;
  const char *title, *x_label, *before_label, *after_label;
  bool log_y;
  double x_min, x_max; /* zoom, in channels; equal: all */
  double threshold; /* channels above it are outliers, drawn in another colour and with a mark; ≤ 0: none */
  double hover;     /* a channel; NaN: none */
  double drag_lo, drag_hi; /* being chosen, shaded; NaN: none */
} SwageChartChannels;
#define SWAGE_CHART_CHANNELS_INIT                                                                            \
  {                                                                                                          \
    .hover = NAN, .drag_lo = NAN, .drag_hi = NAN                                                             \
  }

void swage_chart_channels_draw (cairo_t *cr, double w, double h, const SwageChartChannels *data,
                                const SwageChartTheme *theme);
void swage_chart_channels_get_frame (double w, double h, const SwageChartChannels *data,
                                     const SwageChartTheme *theme, SwageChartRect *plot, double *lo,
                                     double *hi);
/* The channel under x, −1 outside of the plot. Where channels are narrower than a pixel: the largest one
 * under it. */
int64_t swage_chart_channels_hit_at (double w, double h, const SwageChartChannels *data,
                                     const SwageChartTheme *theme, double x, double y);
/* The `n` largest channels, descending; ties by index. Returns how many were written (fewer when there are
 * fewer). */
int swage_chart_channels_top (const float *values, int64_t n_values, int n, int64_t *channels);
/* mean + k·σ of the channels' values: the usual threshold. */
double swage_chart_channels_threshold (const float *values, int64_t n, double sigma);
char *swage_chart_channels_describe (const SwageChartChannels *data);
char *swage_chart_channels_to_text (const SwageChartChannels *data);
