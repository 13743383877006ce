/* SPDX-License-Identifier: MIT
 *
 * The heat map of the selected layer's weights: scroll or pinch zooms around the pointer, dragging moves,
 * arrow keys move the mark, + and − zoom around it, 0 shows everything. Drawn by GL, or by Cairo where GL
 * does not start (SWAGE_HEATMAP=cairo asks for that).
 */
#pragma once

#include "ui/heatmap/swage-heat-tiles.h"
#include "ui/shell/swage-session-look.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_HEAT_MAP (swage_heat_map_get_type ())
/* Properties: mode (0 …, a SwageHeatMode), note (why there is no picture, or NULL), renderer ("gl", "cairo"
 * or NULL: not drawn yet) */
G_DECLARE_FINAL_TYPE (SwageHeatMap, swage_heat_map, SWAGE, HEAT_MAP, GtkWidget)

void swage_heat_map_set_session (SwageHeatMap *map, SwageSession *session);
void swage_heat_map_set_mode (SwageHeatMap *map, SwageHeatMode mode);
/* Show everything. */
void swage_heat_map_reset (SwageHeatMap *map);
/* The element under the mark, as a line of a table, to the clipboard. */
void swage_heat_map_copy (SwageHeatMap *map);
