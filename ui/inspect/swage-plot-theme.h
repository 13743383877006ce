/* SPDX-License-Identifier: MIT
 *
 * What painters need of the widget that they paint for: the colours of the desktop's style, and text in the
 * widget's font. Main thread.
 */
#pragma once

#include <gtk/gtk.h>
#include "ui/chart/swage-chart.h"

/* Bring `theme` in line with the style as it is now. `*layout` is the caller's, made here when it is NULL
 * (clear it when the widget's font changes, and at the end); the theme's text uses it. */
void swage_plot_theme_update (SwageChartTheme *theme, PangoLayout **layout, GtkWidget *widget);
