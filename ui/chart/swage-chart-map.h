/* SPDX-License-Identifier: MIT
 *
 * The map: blocks × roles, one cell a layer, its colour a metric.
 */
#pragma once

#include "ui/chart/swage-chart.h"

typedef struct
{
  int n_rows, n_columns;
  const char *const *row_labels;    /* n_rows: "blk.0" */
  const char *const *column_labels; /* n_columns: "attn_q" */
  const double *values;             /* n_rows × n_columns; NaN: no such layer, or not known yet */
  const bool *present;              /* n_rows × n_columns: whether there is such a layer */
  const bool *selected;             /* n_rows × n_columns or NULL */
  const char *title;                /* the metric, above the scale */
  bool log_scale;
  int hover; /* index of a cell, −1: none */
  /* the text of a value; NULL: %.4g. `buffer` holds `size` bytes */
  void (*format) (double value, char *buffer, size_t size);
} SwageChartMap;
#define SWAGE_CHART_MAP_INIT                                                                                 \
  {                                                                                                          \
    .hover = -1                                                                                              \
  }

void swage_chart_map_draw (cairo_t *cr, double w, double h, const SwageChartMap *data,
                           const SwageChartTheme *theme);
/* Index of the cell (row · n_columns + column) at (x, y), −1: none. */
int swage_chart_map_hit_at (double w, double h, const SwageChartMap *data, const SwageChartTheme *theme,
                            double x, double y);
char *swage_chart_map_describe (const SwageChartMap *data);
char *swage_chart_map_to_text (const SwageChartMap *data);
/* Colour of t in 0..1: dark blue to yellow, of even lightness, told apart by colour-blind eyes. */
void swage_chart_map_color (double t, SwageChartColor *color);
