/* SPDX-License-Identifier: MIT
 *
 * Size against loss of quality: a point for every plan that was measured, the front of those that nothing
 * else beats in both (Pareto), the original, and where the plan that is set would stand.
 */
#pragma once

#include "ui/chart/swage-chart.h"

#include <math.h>

typedef struct
{
  double bytes;
  double value, error; /* divergence or perplexity, and its standard error (0: none drawn) */
  int number;          /* what the point is called */
  bool front, current; /* current: of the plan that is set */
  char mark;           /* 'A', 'B' or 0 */
} SwageChartTrial;

typedef struct
{
  const SwageChartTrial *trials;
  int n;
  double original_bytes; /* 0: not known */
  double original_value; /* NaN: none */
  double planned_bytes;  /* of the plan that is set, which has not been measured; 0: none */
  const char *value_label;
  bool log_y;       /* values of 0 and less stand on the base line */
  bool has_running; /* an estimate that is narrowing; its bar is the interval of 95 % */
  SwageChartTrial running;
  int hover; /* a trial, or −1 */
} SwageChartTradeoff;
#define SWAGE_CHART_TRADEOFF_INIT                                                                            \
  {                                                                                                          \
    .original_value = NAN, .log_y = true, .hover = -1                                                        \
  }

/* Sets `front` of n trials: no other is smaller and no worse, or better and no larger. */
void swage_chart_tradeoff_find_front (SwageChartTrial *trials, int n);
void swage_chart_tradeoff_draw (cairo_t *cr, double w, double h, const SwageChartTradeoff *data,
                                const SwageChartTheme *theme);
/* Where a trial's point lies in w × h. */
void swage_chart_tradeoff_locate (double w, double h, const SwageChartTradeoff *data,
                                  const SwageChartTheme *theme, int trial, double *x, double *y);
/* The trial whose point is nearest, within reach of a finger; −1: none. */
int swage_chart_tradeoff_hit_at (double w, double h, const SwageChartTradeoff *data,
                                 const SwageChartTheme *theme, double x, double y);
/* A few spoken sentences, and a tab-separated table. New strings. */
char *swage_chart_tradeoff_describe (const SwageChartTradeoff *data);
char *swage_chart_tradeoff_to_text (const SwageChartTradeoff *data);
