/* SPDX-License-Identifier: MIT
 *
 * What a heat map has besides its pixels: colour scales, rulers, legend. The scales are two: diverging (blue,
 * neutral, orange; equal lightness at equal distance from zero, so that neither sign is louder, and told
 * apart by every common kind of colour blindness) for values and errors, and the map's rising ramp for
 * shares.
 */
#pragma once

#include "ui/chart/swage-chart.h"

#include <math.h>

typedef struct
{
  double limit; /* of a diverging scale, −limit … limit; 0: a share, 0 … 1 */
  bool dark;
  const char *title; /* what is shown */
  int64_t rows, cols;
  double x, y;              /* the element (column, row) at the plot's left upper corner */
  double sx, sy;            /* pixels an element */
  int64_t row, col;         /* marked; −1: none */
  const char *const *lines; /* told of the mark */
  int n_lines;
} SwageChartHeat;

/* The colour of t in −1 … 1 (limit > 0) or 0 … 1. Diverging scales are stretched by the square root, so that
 * the many small values are told apart while the few large ones stay in range. */
void swage_chart_heat_color (double t, bool diverging, bool dark, SwageChartColor *color);
/* `value` as a place on the scale: what the shader computes too. */
double swage_chart_heat_place (double value, double limit);
/* Where the pixels go. */
void swage_chart_heat_get_plot (double w, double h, const SwageChartTheme *theme, SwageChartRect *plot);
/* Rulers and legend, around the pixels. */
void swage_chart_heat_draw_frame (cairo_t *cr, double w, double h, const SwageChartHeat *data,
                                  const SwageChartTheme *theme);
/* Grid between elements that are large enough, the mark and its card, over the pixels. */
void swage_chart_heat_draw_mark (cairo_t *cr, double w, double h, const SwageChartHeat *data,
                                 const SwageChartTheme *theme);
