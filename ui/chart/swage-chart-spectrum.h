/* SPDX-License-Identifier: MIT
 *
 * Singular values on a logarithmic axis, before and after a plan; the share of the energy that the first r
 * carry; and the rank at which two factors are as large as the matrix.
 */
#pragma once

#include "ui/chart/swage-chart.h"

#include <math.h>

typedef struct
{
  const double *before, *after; /* n values, largest first; after may be NULL */
  int64_t n;
  int64_t break_even;      /* −1: none */
  double accuracy;         /* values below are noise */
  double x_min, x_max;     /* zoom, in ranks; equal: everything */
  double hover;            /* a rank (1 … n), or NaN */
  double drag_lo, drag_hi; /* NaN: nothing is being chosen */
} SwageChartSpectrum;
#define SWAGE_CHART_SPECTRUM_INIT                                                                            \
  {                                                                                                          \
    .break_even = -1, .hover = NAN, .drag_lo = NAN, .drag_hi = NAN                                           \
  }

void swage_chart_spectrum_draw (cairo_t *cr, double w, double h, const SwageChartSpectrum *data,
                                const SwageChartTheme *theme);
void swage_chart_spectrum_get_frame (double w, double h, const SwageChartSpectrum *data,
                                     const SwageChartTheme *theme, SwageChartRect *plot, double *lo,
                                     double *hi);
/* The share of Σσ² in the first `rank` values. */
double swage_chart_spectrum_energy (const double *values, int64_t n, int64_t rank);
/* Spoken sentences; a tab-separated table. New strings. */
char *swage_chart_spectrum_describe (const SwageChartSpectrum *data);
char *swage_chart_spectrum_to_text (const SwageChartSpectrum *data);
