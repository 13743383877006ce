/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-plot.h"
#include "ui/inspect/swage-plot-theme.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <math.h>

typedef struct
{
  SwagePlotState state;
  SwageChartTheme theme;
  PangoLayout *layout;
  double drag_from; /* pixel, NaN: no drag */
} SwagePlotPrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (SwagePlot, swage_plot, GTK_TYPE_WIDGET)

static SwagePlotPrivate *
priv (SwagePlot *plot)
{
  return swage_plot_get_instance_private (plot);
}

const SwagePlotState *
swage_plot_get_state (SwagePlot *plot)
{
  return &priv (plot)->state;
}

/* --- look
 * ---------------------------------------------------------------------------------------------------- */

const SwageChartTheme *
swage_plot_get_theme (SwagePlot *plot)
{
  SwagePlotPrivate *self = priv (plot);
  swage_plot_theme_update (&self->theme, &self->layout, GTK_WIDGET (plot));
  return &self->theme;
}

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  SwagePlot *plot = SWAGE_PLOT (widget);
  int w = gtk_widget_get_width (widget), h = gtk_widget_get_height (widget);
  cairo_t *cr = gtk_snapshot_append_cairo (snapshot, &GRAPHENE_RECT_INIT (0, 0, w, h));
  SWAGE_PLOT_GET_CLASS (plot)->draw (plot, cr, w, h, swage_plot_get_theme (plot));
  cairo_destroy (cr);
  if (gtk_widget_has_visible_focus (widget))
    gtk_snapshot_render_focus (snapshot, gtk_widget_get_style_context (widget), 0, 0, w, h);
}

/* The style or the font has changed. */
static void
restyle (SwagePlot *plot)
{
  g_clear_object (&priv (plot)->layout);
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

static void
css_changed (GtkWidget *widget, GtkCssStyleChange *change)
{
  GTK_WIDGET_CLASS (swage_plot_parent_class)->css_changed (widget, change);
  restyle (SWAGE_PLOT (widget));
}

/* --- state
 * --------------------------------------------------------------------------------------------------- */

static void
clear_state (SwagePlotState *state)
{
  *state
      = (SwagePlotState){ .hover = NAN, .drag_lo = NAN, .drag_hi = NAN, .pointer_x = NAN, .pointer_y = NAN };
}

void
swage_plot_changed (SwagePlot *plot, bool reset)
{
  SwagePlotState *state = &priv (plot)->state;
  if (reset)
    {
      state->zoom_lo = state->zoom_hi = 0;
      state->hover = state->drag_lo = state->drag_hi = NAN;
    }
  g_autofree char *text = SWAGE_PLOT_GET_CLASS (plot)->describe (plot);
  gtk_accessible_update_property (GTK_ACCESSIBLE (plot), GTK_ACCESSIBLE_PROPERTY_LABEL, text, -1);
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

void
swage_plot_set_zoom (SwagePlot *plot, double lo, double hi)
{
  priv (plot)->state.zoom_lo = lo;
  priv (plot)->state.zoom_hi = hi;
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

void
swage_plot_set_hover (SwagePlot *plot, double value)
{
  priv (plot)->state.hover = value;
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

void
swage_plot_copy (SwagePlot *plot)
{
  g_autofree char *text = SWAGE_PLOT_GET_CLASS (plot)->to_text (plot);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (plot)), text);
}

static bool
get_frame (SwagePlot *plot, SwageChartRect *rect, double *lo, double *hi)
{
  SwagePlotClass *klass = SWAGE_PLOT_GET_CLASS (plot);
  if (klass->get_frame == NULL)
    return false;
  klass->get_frame (plot, gtk_widget_get_width (GTK_WIDGET (plot)), gtk_widget_get_height (GTK_WIDGET (plot)),
                    swage_plot_get_theme (plot), rect, lo, hi);
  return *hi > *lo;
}

static double
value_at (SwagePlot *plot, double x)
{
  SwageChartRect rect;
  double lo, hi;
  if (!get_frame (plot, &rect, &lo, &hi))
    return NAN;
  return lo + (CLAMP (x, rect.x, rect.x + rect.width) - rect.x) / rect.width * (hi - lo);
}

/* Zoom by `factor` around the mark, or the middle. */
static void
zoom_by (SwagePlot *plot, double factor)
{
  SwageChartRect rect;
  double lo, hi, at = priv (plot)->state.hover;
  if (!get_frame (plot, &rect, &lo, &hi))
    return;
  if (isnan (at) || at < lo || at > hi)
    at = (lo + hi) / 2;
  swage_plot_set_zoom (plot, at - (at - lo) * factor, at + (hi - at) * factor);
}

/* --- pointer and keys
 * ---------------------------------------------------------------------------------------- */

static void
on_motion (GtkEventControllerMotion *controller, double x, double y, SwagePlot *plot)
{
  SwagePlotState *state = &priv (plot)->state;
  SwageChartRect rect;
  double lo, hi;
  state->pointer_x = x;
  state->pointer_y = y;
  bool inside = get_frame (plot, &rect, &lo, &hi) && x >= rect.x && x <= rect.x + rect.width && y >= rect.y
                && y <= rect.y + rect.height;
  state->hover = inside ? value_at (plot, x) : NAN;
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

static void
on_leave (GtkEventControllerMotion *controller, SwagePlot *plot)
{
  SwagePlotState *state = &priv (plot)->state;
  state->pointer_x = state->pointer_y = state->hover = NAN;
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

static void
on_drag_begin (GtkGestureDrag *gesture, double x, double y, SwagePlot *plot)
{
  SwagePlotClass *klass = SWAGE_PLOT_GET_CLASS (plot);
  gtk_widget_grab_focus (GTK_WIDGET (plot));
  if (klass->press != NULL)
    klass->press (plot, x, y, gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (gesture)));
  priv (plot)->drag_from = x;
}

static void
on_drag_update (GtkGestureDrag *gesture, double dx, double dy, SwagePlot *plot)
{
  SwagePlotPrivate *self = priv (plot);
  if (fabs (dx) < 4 || SWAGE_PLOT_GET_CLASS (plot)->get_frame == NULL)
    return;
  self->state.drag_lo = value_at (plot, self->drag_from);
  self->state.drag_hi = value_at (plot, self->drag_from + dx);
  self->state.hover = NAN;
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

static void
on_drag_end (GtkGestureDrag *gesture, double dx, double dy, SwagePlot *plot)
{
  SwagePlotState *state = &priv (plot)->state;
  double lo = fmin (state->drag_lo, state->drag_hi), hi = fmax (state->drag_lo, state->drag_hi);
  state->drag_lo = state->drag_hi = NAN;
  if (hi > lo)
    swage_plot_set_zoom (plot, lo, hi);
  gtk_widget_queue_draw (GTK_WIDGET (plot));
}

static void
on_pressed (GtkGestureClick *gesture, int n_press, double x, double y, SwagePlot *plot)
{
  if (n_press == 2 && SWAGE_PLOT_GET_CLASS (plot)->get_frame != NULL)
    swage_plot_set_zoom (plot, 0, 0);
}

static gboolean
on_scroll (GtkEventControllerScroll *controller, double dx, double dy, SwagePlot *plot)
{
  if (SWAGE_PLOT_GET_CLASS (plot)->get_frame == NULL || dy == 0
      || (gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (controller)) & GDK_CONTROL_MASK)
             == 0)
    return FALSE;
  zoom_by (plot, dy > 0 ? 1.25 : 0.8);
  return TRUE;
}

static gboolean
on_key (GtkEventControllerKey *controller, guint key, guint code, GdkModifierType modifiers, SwagePlot *plot)
{
  SwagePlotClass *klass = SWAGE_PLOT_GET_CLASS (plot);
  SwagePlotState *state = &priv (plot)->state;
  if ((modifiers & GDK_CONTROL_MASK) != 0)
    {
      if (key != GDK_KEY_c && key != GDK_KEY_C)
        return FALSE;
      swage_plot_copy (plot);
      return TRUE;
    }
  switch (key)
    {
    case GDK_KEY_Left:
    case GDK_KEY_KP_Left:
    case GDK_KEY_Right:
    case GDK_KEY_KP_Right:
      if (klass->step == NULL)
        return FALSE;
      state->hover = klass->step (plot, state->hover, key == GDK_KEY_Left || key == GDK_KEY_KP_Left ? -1 : 1);
      swage_plot_changed (plot, false);
      return TRUE;
    case GDK_KEY_Return:
    case GDK_KEY_KP_Enter:
    case GDK_KEY_space:
      if (klass->activate == NULL)
        return FALSE;
      klass->activate (plot, state->hover);
      return TRUE;
    case GDK_KEY_plus:
    case GDK_KEY_equal:
    case GDK_KEY_KP_Add:
      zoom_by (plot, 0.5);
      return TRUE;
    case GDK_KEY_minus:
    case GDK_KEY_KP_Subtract:
      zoom_by (plot, 2);
      return TRUE;
    case GDK_KEY_0:
    case GDK_KEY_KP_0:
    case GDK_KEY_Escape:
      if (state->zoom_lo == state->zoom_hi)
        return FALSE;
      swage_plot_set_zoom (plot, 0, 0);
      return TRUE;
    default:
      return FALSE;
    }
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
dispose (GObject *object)
{
  g_clear_object (&priv (SWAGE_PLOT (object))->layout);
  G_OBJECT_CLASS (swage_plot_parent_class)->dispose (object);
}

static void
swage_plot_class_init (SwagePlotClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  widget_class->snapshot = snapshot;
  widget_class->css_changed = css_changed;
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
  gtk_widget_class_set_css_name (widget_class, "plot");
}

static void
swage_plot_init (SwagePlot *plot)
{
  SwagePlotPrivate *self = priv (plot);
  clear_state (&self->state);
  gtk_widget_set_focusable (GTK_WIDGET (plot), TRUE);
  gtk_widget_set_hexpand (GTK_WIDGET (plot), TRUE);
  gtk_widget_set_vexpand (GTK_WIDGET (plot), TRUE);
  gtk_widget_set_size_request (GTK_WIDGET (plot), 240, 160);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark", G_CALLBACK (restyle), plot,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::high-contrast", G_CALLBACK (restyle),
                           plot, G_CONNECT_SWAPPED);

  GtkEventController *motion = gtk_event_controller_motion_new ();
  g_signal_connect (motion, "motion", G_CALLBACK (on_motion), plot);
  g_signal_connect (motion, "leave", G_CALLBACK (on_leave), plot);
  gtk_widget_add_controller (GTK_WIDGET (plot), motion);
  GtkGesture *drag = gtk_gesture_drag_new ();
  g_signal_connect (drag, "drag-begin", G_CALLBACK (on_drag_begin), plot);
  g_signal_connect (drag, "drag-update", G_CALLBACK (on_drag_update), plot);
  g_signal_connect (drag, "drag-end", G_CALLBACK (on_drag_end), plot);
  gtk_widget_add_controller (GTK_WIDGET (plot), GTK_EVENT_CONTROLLER (drag));
  GtkGesture *click = gtk_gesture_click_new ();
  g_signal_connect (click, "pressed", G_CALLBACK (on_pressed), plot);
  gtk_widget_add_controller (GTK_WIDGET (plot), GTK_EVENT_CONTROLLER (click));
  GtkEventController *scroll = gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);
  g_signal_connect (scroll, "scroll", G_CALLBACK (on_scroll), plot);
  gtk_widget_add_controller (GTK_WIDGET (plot), scroll);
  GtkEventController *keys = gtk_event_controller_key_new ();
  g_signal_connect (keys, "key-pressed", G_CALLBACK (on_key), plot);
  gtk_widget_add_controller (GTK_WIDGET (plot), keys);
}
