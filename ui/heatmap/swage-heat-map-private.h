/* SPDX-License-Identifier: MIT
 *
 * Shared by swage-heat-map.c (data, painting) and swage-heat-input.c (pointer and keys).
 */
#pragma once

#include "ui/chart/swage-chart-heat.h"
#include "ui/heatmap/swage-heat-gl.h"
#include "ui/heatmap/swage-heat-map.h"

#define MAX_SCALE 64 /* pixels an element */

struct _SwageHeatMap
{
  GtkWidget parent_instance;
  SwageSession *session;
  SwageLayerItem *item;
  SwageHeatMode mode;
  SwageHeatTiles *tiles;
  SwageWeight *weights[2]; /* that tiles are of */
  char *note;

  double x, y, sx, sy; /* as in SwageChartHeat */
  bool fit;            /* follow the size of the widget */
  int64_t row, col;    /* −1: none */
  bool pointed;        /* the mark follows the pointer */
  double drag_x, drag_y, pinch_sx, pinch_sy;
  double pointer_x, pointer_y;

  GtkWidget *area; /* NULL: Cairo */
  SwageHeatGl *gl;
  GHashTable *surfaces; /* Cairo: serial → cairo_surface_t */
  SwageChartTheme theme;
  PangoLayout *layout;
  uint8_t colors[256 * 4];
  bool dark;
  const char *renderer;
};

void swage_heat_map_get_plot (SwageHeatMap *map, SwageChartRect *plot);
/* The scales that show everything, from the corner. */
void swage_heat_map_fit (SwageHeatMap *map);
/* The plot never leaves the matrix; a matrix smaller than the plot begins at its corner. */
void swage_heat_map_keep_inside (SwageHeatMap *map);
void swage_heat_map_redraw (SwageHeatMap *map);
/* Tell those who cannot see it. */
void swage_heat_map_describe (SwageHeatMap *map);
/* swage-heat-input.c */
void swage_heat_map_add_input (SwageHeatMap *map);
