/* SPDX-License-Identifier: MIT
 *
 * How the view of a heat map moves: everything the pointer can do, the keys can do.
 */
#include "ui/heatmap/swage-heat-map-private.h"

/* So that the point of the matrix under (px, py) of the plot stays there. */
static void
set_scale (SwageHeatMap *map, double sx, double sy, double px, double py)
{
  if (map->tiles == NULL)
    return;
  double old_x = map->x, old_y = map->y, old_sx = map->sx, old_sy = map->sy;
  swage_heat_map_fit (map);
  double fit_x = map->sx, fit_y = map->sy;
  map->fit = sx <= fit_x * 1.0001 && sy <= fit_y * 1.0001;
  map->sx = CLAMP (sx, fit_x, fmax (fit_x, MAX_SCALE));
  map->sy = CLAMP (sy, fit_y, fmax (fit_y, MAX_SCALE));
  map->x = old_x + px / old_sx - px / map->sx;
  map->y = old_y + py / old_sy - py / map->sy;
  swage_heat_map_keep_inside (map);
  swage_heat_map_redraw (map);
}

static void
set_mark (SwageHeatMap *map, int64_t row, int64_t col, bool pointed)
{
  map->pointed = pointed;
  if (row == map->row && col == map->col)
    return;
  map->row = row;
  map->col = col;
  gtk_widget_queue_draw (GTK_WIDGET (map));
  if (!pointed)
    swage_heat_map_describe (map);
}

static void
mark_pointer (SwageHeatMap *map)
{
  SwageChartRect plot;
  if (map->tiles == NULL || isnan (map->pointer_x))
    return;
  swage_heat_map_get_plot (map, &plot);
  double px = map->pointer_x - plot.x, py = map->pointer_y - plot.y;
  int64_t col = (int64_t)floor (map->x + px / map->sx), row = (int64_t)floor (map->y + py / map->sy);
  if (px < 0 || py < 0 || px >= plot.width || py >= plot.height || col < 0 || row < 0
      || col >= swage_heat_tiles_get_cols (map->tiles) || row >= swage_heat_tiles_get_rows (map->tiles))
    row = col = -1;
  set_mark (map, row, col, true);
}

static void
on_motion (GtkEventControllerMotion *controller, double x, double y, SwageHeatMap *map)
{
  map->pointer_x = x;
  map->pointer_y = y;
  mark_pointer (map);
}

static void
on_leave (GtkEventControllerMotion *controller, SwageHeatMap *map)
{
  map->pointer_x = map->pointer_y = NAN;
  if (map->pointed)
    set_mark (map, -1, -1, true);
}

static void
on_drag_begin (GtkGestureDrag *gesture, double x, double y, SwageHeatMap *map)
{
  gtk_widget_grab_focus (GTK_WIDGET (map));
  map->drag_x = map->x;
  map->drag_y = map->y;
}

static void
on_drag_update (GtkGestureDrag *gesture, double dx, double dy, SwageHeatMap *map)
{
  if (map->tiles == NULL)
    return;
  map->x = map->drag_x - dx / map->sx;
  map->y = map->drag_y - dy / map->sy;
  swage_heat_map_keep_inside (map);
  swage_heat_map_redraw (map);
}

static void
zoom_at (SwageHeatMap *map, double factor, double px, double py)
{
  set_scale (map, map->sx * factor, map->sy * factor, px, py);
}

static gboolean
on_scroll (GtkEventControllerScroll *controller, double dx, double dy, SwageHeatMap *map)
{
  SwageChartRect plot;
  if (map->tiles == NULL || dy == 0)
    return FALSE;
  swage_heat_map_get_plot (map, &plot);
  double px = isnan (map->pointer_x) ? plot.width / 2 : map->pointer_x - plot.x;
  double py = isnan (map->pointer_y) ? plot.height / 2 : map->pointer_y - plot.y;
  zoom_at (map, pow (1.25, -dy), CLAMP (px, 0, plot.width), CLAMP (py, 0, plot.height));
  mark_pointer (map);
  return TRUE;
}

static void
on_pinch_begin (GtkGesture *gesture, GdkEventSequence *sequence, SwageHeatMap *map)
{
  map->pinch_sx = map->sx;
  map->pinch_sy = map->sy;
}

static void
on_pinch (GtkGestureZoom *gesture, double scale, SwageHeatMap *map)
{
  double x, y;
  SwageChartRect plot;
  if (!gtk_gesture_get_bounding_box_center (GTK_GESTURE (gesture), &x, &y))
    return;
  swage_heat_map_get_plot (map, &plot);
  set_scale (map, map->pinch_sx * scale, map->pinch_sy * scale, x - plot.x, y - plot.y);
}

static void
on_pressed (GtkGestureClick *gesture, int n_press, double x, double y, SwageHeatMap *map)
{
  SwageChartRect plot;
  swage_heat_map_get_plot (map, &plot);
  if (n_press == 2 && map->fit)
    zoom_at (map, 16, x - plot.x, y - plot.y);
  else if (n_press == 2)
    swage_heat_map_reset (map);
}

/* Move the mark, by a sample where several elements share a pixel, and the view after it. */
static void
move_mark (SwageHeatMap *map, int drow, int dcol, bool far)
{
  SwageChartRect plot;
  swage_heat_map_get_plot (map, &plot);
  int64_t rows = swage_heat_tiles_get_rows (map->tiles), cols = swage_heat_tiles_get_cols (map->tiles);
  int64_t step_x = (int64_t)fmax (1, ceil (1 / map->sx)), step_y = (int64_t)fmax (1, ceil (1 / map->sy));
  if (far)
    {
      step_x = (int64_t)fmax (1, plot.width / map->sx / 4);
      step_y = (int64_t)fmax (1, plot.height / map->sy / 4);
    }
  int64_t row = map->row, col = map->col;
  if (row < 0)
    {
      row = (int64_t)(map->y + fmin (plot.height / map->sy, (double)rows) / 2);
      col = (int64_t)(map->x + fmin (plot.width / map->sx, (double)cols) / 2);
    }
  row = CLAMP (row + drow * step_y, 0, rows - 1);
  col = CLAMP (col + dcol * step_x, 0, cols - 1);
  map->x = fmin (map->x, (double)col);
  map->y = fmin (map->y, (double)row);
  map->x = fmax (map->x, (double)col + 1 - plot.width / map->sx);
  map->y = fmax (map->y, (double)row + 1 - plot.height / map->sy);
  swage_heat_map_keep_inside (map);
  set_mark (map, row, col, false);
  swage_heat_map_redraw (map);
}

static void
zoom_mark (SwageHeatMap *map, double factor)
{
  SwageChartRect plot;
  swage_heat_map_get_plot (map, &plot);
  bool marked = map->row >= 0;
  zoom_at (map, factor, marked ? ((double)map->col + 0.5 - map->x) * map->sx : plot.width / 2,
           marked ? ((double)map->row + 0.5 - map->y) * map->sy : plot.height / 2);
}

static gboolean
on_key (GtkEventControllerKey *controller, guint key, guint code, GdkModifierType modifiers,
        SwageHeatMap *map)
{
  bool far = (modifiers & GDK_SHIFT_MASK) != 0;
  if (map->tiles == NULL || !swage_heat_tiles_is_ready (map->tiles))
    return FALSE;
  if ((modifiers & GDK_CONTROL_MASK) != 0)
    {
      if (key != GDK_KEY_c && key != GDK_KEY_C)
        return FALSE;
      swage_heat_map_copy (map);
      return TRUE;
    }
  switch (key)
    {
    case GDK_KEY_Left:
    case GDK_KEY_KP_Left:
      move_mark (map, 0, -1, far);
      return TRUE;
    case GDK_KEY_Right:
    case GDK_KEY_KP_Right:
      move_mark (map, 0, 1, far);
      return TRUE;
    case GDK_KEY_Up:
    case GDK_KEY_KP_Up:
      move_mark (map, -1, 0, far);
      return TRUE;
    case GDK_KEY_Down:
    case GDK_KEY_KP_Down:
      move_mark (map, 1, 0, far);
      return TRUE;
    case GDK_KEY_plus:
    case GDK_KEY_equal:
    case GDK_KEY_KP_Add:
      zoom_mark (map, 2);
      return TRUE;
    case GDK_KEY_minus:
    case GDK_KEY_KP_Subtract:
      zoom_mark (map, 0.5);
      return TRUE;
    case GDK_KEY_0:
    case GDK_KEY_KP_0:
    case GDK_KEY_Escape:
      if (map->fit)
        return FALSE;
      swage_heat_map_reset (map);
      return TRUE;
    default:
      return FALSE;
    }
}

void
swage_heat_map_add_input (SwageHeatMap *map)
{
  GtkEventController *motion = gtk_event_controller_motion_new ();
  g_signal_connect (motion, "motion", G_CALLBACK (on_motion), map);
  g_signal_connect (motion, "leave", G_CALLBACK (on_leave), map);
  gtk_widget_add_controller (GTK_WIDGET (map), motion);
  GtkGesture *drag = gtk_gesture_drag_new ();
  g_signal_connect (drag, "drag-begin", G_CALLBACK (on_drag_begin), map);
  g_signal_connect (drag, "drag-update", G_CALLBACK (on_drag_update), map);
  gtk_widget_add_controller (GTK_WIDGET (map), GTK_EVENT_CONTROLLER (drag));
  GtkGesture *pinch = gtk_gesture_zoom_new ();
  g_signal_connect (pinch, "begin", G_CALLBACK (on_pinch_begin), map);
  g_signal_connect (pinch, "scale-changed", G_CALLBACK (on_pinch), map);
  gtk_widget_add_controller (GTK_WIDGET (map), GTK_EVENT_CONTROLLER (pinch));
  GtkGesture *click = gtk_gesture_click_new ();
  g_signal_connect (click, "pressed", G_CALLBACK (on_pressed), map);
  gtk_widget_add_controller (GTK_WIDGET (map), GTK_EVENT_CONTROLLER (click));
  GtkEventController *scroll = gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);
  g_signal_connect (scroll, "scroll", G_CALLBACK (on_scroll), map);
  gtk_widget_add_controller (GTK_WIDGET (map), scroll);
  GtkEventController *keys = gtk_event_controller_key_new ();
  g_signal_connect (keys, "key-pressed", G_CALLBACK (on_key), map);
  gtk_widget_add_controller (GTK_WIDGET (map), keys);
}
