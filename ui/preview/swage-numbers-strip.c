/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-numbers-strip.h"

#include "ui/shell/swage-devices.h"
#include "ui/shell/swage-session-live.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

struct _SwageNumbersStrip
{
  GtkWidget parent_instance;
  SwageSession *session;
  bool loading, busy;

  GtkStack *stack;
  GtkWidget *preview_button, *cancel_button, *options;
  GtkMenuButton *device_button;
  GtkLabel *device_label;
  AdwActionRow *evaluation_row, *calibration_row;
  AdwComboRow *protocol_row;
  GtkAdjustment *context_adjustment;
};

enum
{
  PROP_0,
  PROP_SESSION,
  PROP_LIVE,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageNumbersStrip, swage_numbers_strip, GTK_TYPE_WIDGET)

/* For the .ui file: measured numbers of another plan than the one that is set are dimmed. */
static char **
get_value_classes (SwageNumbersStrip *self, gboolean stale)
{
  const char *classes[] = { "numeric", stale ? "dim-label" : "measured", NULL };
  return g_strdupv ((char **)classes);
}

static void
on_busy_changed (SwageNumbersStrip *self)
{
  bool busy = swage_session_is_busy (self->session);
  if (busy == self->busy)
    return;
  self->busy = busy;
  bool had_focus = gtk_widget_has_focus (busy ? self->preview_button : self->cancel_button)
                   || gtk_widget_get_focus_child (GTK_WIDGET (self)) != NULL;
  gtk_stack_set_visible_child_name (self->stack, busy ? "busy" : "idle");
  /* the keyboard stays where the work is: Enter cancels what Enter began */
  if (had_focus)
    gtk_widget_grab_focus (busy ? self->cancel_button : self->preview_button);
}

static void
on_device_changed (SwageNumbersStrip *self)
{
  g_autofree char *name = NULL;
  g_object_get (self->session, "device-text", &name, NULL);
  g_autofree char *text = g_strdup_printf (_ ("Previews are computed on: %s"), name);
  gtk_label_set_label (self->device_label, name);
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->device_button), text);
  /* its button has no name of its own */
  GtkWidget *button = gtk_widget_get_first_child (GTK_WIDGET (self->device_button));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->device_button), GTK_ACCESSIBLE_PROPERTY_LABEL, text,
                                  -1);
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, text, -1);
}

void
swage_numbers_strip_choose_device (SwageNumbersStrip *self)
{
  gtk_menu_button_popup (self->device_button);
}

static void
set_path (AdwActionRow *row, const char *path)
{
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : g_strdup (_ ("none"));
  g_autofree char *escaped = g_markup_escape_text (name, -1);
  adw_action_row_set_subtitle (row, escaped);
  gtk_widget_set_tooltip_text (GTK_WIDGET (row), path);
}

/* The popover shows what holds at the moment it opens. */
static void
load_options (SwageNumbersStrip *self)
{
  SwageProtocol protocol;
  int context;
  swage_session_get_protocol (self->session, &protocol, &context);
  self->loading = true;
  adw_combo_row_set_selected (self->protocol_row, protocol == SWAGE_PROTOCOL_HF ? 0 : 1);
  gtk_adjustment_set_value (self->context_adjustment, context);
  self->loading = false;
  set_path (self->evaluation_row, swage_session_get_evaluation (self->session));
  set_path (self->calibration_row, swage_session_get_calibration (self->session));
}

static void
on_options_changed (SwageNumbersStrip *self)
{
  if (self->loading || self->session == NULL)
    return;
  swage_session_set_protocol (self->session,
                              adw_combo_row_get_selected (self->protocol_row) == 0 ? SWAGE_PROTOCOL_HF
                                                                                   : SWAGE_PROTOCOL_LLAMA_CPP,
                              (int)gtk_adjustment_get_value (self->context_adjustment));
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageNumbersStrip *self = SWAGE_NUMBERS_STRIP (object);
  if (id == PROP_LIVE)
    g_value_set_boolean (value, self->session != NULL && swage_session_get_live (self->session));
  else
    g_value_set_object (value, self->session);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  SwageNumbersStrip *self = SWAGE_NUMBERS_STRIP (object);
  if (id == PROP_LIVE)
    {
      if (self->session != NULL)
        swage_session_set_live (self->session, g_value_get_boolean (value));
      g_object_notify_by_pspec (object, props[PROP_LIVE]);
      return;
    }
  if (!g_set_object (&self->session, g_value_get_object (value)))
    return;
  if (self->session != NULL)
    {
      g_signal_connect_object (self->session, "notify::busy", G_CALLBACK (on_busy_changed), self,
                               G_CONNECT_SWAPPED);
      on_busy_changed (self);
      g_signal_connect_object (self->session, "notify::device-text", G_CALLBACK (on_device_changed), self,
                               G_CONNECT_SWAPPED);
      on_device_changed (self);
    }
  g_object_notify_by_pspec (object, props[PROP_SESSION]);
}

static void
dispose (GObject *object)
{
  SwageNumbersStrip *self = SWAGE_NUMBERS_STRIP (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (swage_numbers_strip_parent_class)->dispose (object);
}

static void
swage_numbers_strip_class_init (SwageNumbersStripClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->dispose = dispose;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  props[PROP_SESSION]
      = g_param_spec_object ("session", NULL, NULL, SWAGE_TYPE_SESSION,
                             G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  props[PROP_LIVE] = g_param_spec_boolean (
      "live", NULL, NULL, FALSE, G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  gtk_widget_class_set_css_name (widget_class, "numbers");
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/preview/swage-numbers-strip.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, stack);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, preview_button);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, cancel_button);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, options);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, device_button);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, device_label);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, evaluation_row);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, calibration_row);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, protocol_row);
  gtk_widget_class_bind_template_child (widget_class, SwageNumbersStrip, context_adjustment);
  gtk_widget_class_install_property_action (widget_class, "numbers.live", "live");
  gtk_widget_class_bind_template_callback (widget_class, get_value_classes);
  gtk_widget_class_bind_template_callback (widget_class, on_options_changed);
}

static void
swage_numbers_strip_init (SwageNumbersStrip *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  /* the arrow of a split button has a tooltip but no name of its own in libadwaita 1.2 */
  for (GtkWidget *child = gtk_widget_get_first_child (self->preview_button); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (GTK_IS_MENU_BUTTON (child))
      gtk_accessible_update_property (GTK_ACCESSIBLE (child), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _ ("Texts and protocol"), -1);
  gtk_menu_button_set_menu_model (self->device_button, swage_devices_get_menu ());
  g_signal_connect (gtk_menu_button_get_popover (self->device_button), "map", G_CALLBACK (swage_devices_load),
                    NULL);
  g_signal_connect_swapped (self->options, "map", G_CALLBACK (load_options), self);
}
