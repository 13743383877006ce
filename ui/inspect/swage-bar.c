/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-bar.h"

#include "ui/chart/swage-chart.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <math.h>

struct _SwageBar
{
  GtkWidget parent_instance;
  double value, maximum;
  char *text;
};

enum
{
  PROP_0,
  PROP_VALUE,
  PROP_MAXIMUM,
  PROP_TEXT,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageBar, swage_bar, GTK_TYPE_WIDGET)

static void
measure (GtkWidget *widget, GtkOrientation orientation, int for_size, int *minimum, int *natural,
         int *minimum_baseline, int *natural_baseline)
{
  *minimum = orientation == GTK_ORIENTATION_HORIZONTAL ? 20 : 8;
  *natural = orientation == GTK_ORIENTATION_HORIZONTAL ? 28 : 8;
}

static void
fill (GtkSnapshot *snapshot, const SwageChartColor *color, double alpha, double width, double height)
{
  GskRoundedRect shape;
  GdkRGBA rgba = { (float)color->red, (float)color->green, (float)color->blue, (float)alpha };
  gsk_rounded_rect_init_from_rect (&shape, &GRAPHENE_RECT_INIT (0, 0, (float)width, (float)height), 2);
  gtk_snapshot_push_rounded_clip (snapshot, &shape);
  gtk_snapshot_append_color (snapshot, &rgba, &shape.bounds);
  gtk_snapshot_pop (snapshot);
}

static void
snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  SwageBar *bar = SWAGE_BAR (widget);
  if (bar->value <= 0 || bar->maximum <= 0)
    return;
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, adw_style_manager_get_dark (adw_style_manager_get_default ()));
  double width = gtk_widget_get_width (widget), height = fmin (8, gtk_widget_get_height (widget));
  gtk_snapshot_save (snapshot);
  gtk_snapshot_translate (snapshot,
                          &GRAPHENE_POINT_INIT (0, (float)((gtk_widget_get_height (widget) - height) / 2)));
  fill (snapshot, &theme.muted, 0.25, width, height);
  double share = fmin (1, sqrt (bar->value / bar->maximum));
  /* the last fifth is drawn in the outlier's colour; its length says the same */
  double length = fmax (2, width * share);
  if (gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL)
    gtk_snapshot_translate (snapshot, &GRAPHENE_POINT_INIT ((float)(width - length), 0));
  fill (snapshot, share > 0.8 ? &theme.outlier : &theme.after, 1, length, height);
  gtk_snapshot_restore (snapshot);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageBar *bar = SWAGE_BAR (object);
  switch (id)
    {
    case PROP_VALUE:
      g_value_set_double (value, bar->value);
      break;
    case PROP_MAXIMUM:
      g_value_set_double (value, bar->maximum);
      break;
    case PROP_TEXT:
      g_value_set_string (value, bar->text);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  SwageBar *bar = SWAGE_BAR (object);
  switch (id)
    {
    case PROP_VALUE:
      bar->value = g_value_get_double (value);
      break;
    case PROP_MAXIMUM:
      bar->maximum = g_value_get_double (value);
      break;
    case PROP_TEXT:
      g_free (bar->text);
      bar->text = g_value_dup_string (value);
      gtk_accessible_update_property (GTK_ACCESSIBLE (bar), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      bar->text != NULL && bar->text[0] != '\0' ? bar->text : _ ("no error"),
                                      -1);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
  gtk_widget_queue_draw (GTK_WIDGET (bar));
}

static void
finalize (GObject *object)
{
  g_free (SWAGE_BAR (object)->text);
  G_OBJECT_CLASS (swage_bar_parent_class)->finalize (object);
}

static void
swage_bar_class_init (SwageBarClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->finalize = finalize;
  widget_class->measure = measure;
  widget_class->snapshot = snapshot;
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  props[PROP_VALUE] = g_param_spec_double ("value", NULL, NULL, -1, G_MAXDOUBLE, -1, flags);
  props[PROP_MAXIMUM] = g_param_spec_double ("maximum", NULL, NULL, 0, G_MAXDOUBLE, 0, flags);
  props[PROP_TEXT] = g_param_spec_string ("text", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
}

static void
swage_bar_init (SwageBar *bar)
{
  bar->value = -1;
  /* 30 % relative error: about what 2 bits do; more is off the scale */
  bar->maximum = 0.3;
}
