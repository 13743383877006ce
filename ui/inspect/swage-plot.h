/* SPDX-License-Identifier: MIT
 *
 * A widget around a painter: pointer, keyboard, zoom, clipboard, colours of the current style, a spoken
 * summary. Subclasses say what is painted. Keys: Left and Right move the mark, + and − zoom, 0 or Escape
 * shows everything, Ctrl+C copies the data as a table.
 */
#pragma once

#include "ui/chart/swage-chart.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_PLOT (swage_plot_get_type ())
G_DECLARE_DERIVABLE_TYPE (SwagePlot, swage_plot, SWAGE, PLOT, GtkWidget)

typedef struct
{
  double zoom_lo, zoom_hi;     /* equal: everything */
  double hover;                /* a value on the horizontal axis, or NaN */
  double drag_lo, drag_hi;     /* NaN: nothing is being chosen */
  double pointer_x, pointer_y; /* NaN: outside */
} SwagePlotState;

struct _SwagePlotClass
{
  GtkWidgetClass parent_class;
  void (*draw) (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme);
  /* Where the horizontal axis lies and what it shows. NULL: nothing to zoom. */
  void (*get_frame) (SwagePlot *plot, double w, double h, const SwageChartTheme *theme, SwageChartRect *rect,
                     double *lo, double *hi);
  /* The mark one bin or channel further (direction ±1), from NaN the first one. */
  double (*step) (SwagePlot *plot, double hover, int direction);
  /* The pointer's place was pressed. May be NULL. */
  void (*press) (SwagePlot *plot, double x, double y, GdkModifierType modifiers);
  /* Return or Space was pressed on the mark. May be NULL. */
  void (*activate) (SwagePlot *plot, double hover);
  /* New strings. */
  char *(*describe) (SwagePlot *plot);
  char *(*to_text) (SwagePlot *plot);
};

const SwagePlotState *swage_plot_get_state (SwagePlot *plot);
/* The data are others: paint and describe again. `reset`: show everything. */
void swage_plot_changed (SwagePlot *plot, bool reset);
void swage_plot_set_zoom (SwagePlot *plot, double lo, double hi);
void swage_plot_set_hover (SwagePlot *plot, double value);
void swage_plot_copy (SwagePlot *plot);
/* The plot as it is shown, on a light ground, to a file: SVG where the name ends so, PNG of twice the size
 * otherwise. The bytes are written in the background; `done` (may be NULL) is told how it went, error NULL:
 * well. An existing file is replaced. */
typedef void (*SwagePlotSaved) (const char *path, const GError *error, gpointer user_data);
void swage_plot_save (SwagePlot *plot, const char *path, SwagePlotSaved done, gpointer user_data);
/* The theme of the widget as it is now; valid until the next call. */
const SwageChartTheme *swage_plot_get_theme (SwagePlot *plot);
