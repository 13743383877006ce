/* SPDX-License-Identifier: MIT */
#include "ui/param/swage-param-row.h"

#include <glib/gi18n-lib.h>
#include <math.h>

struct _SwageParamRow
{
  AdwPreferencesRow parent_instance;
  const SwageMethod *method;
  const SwageParam *param;
  bool loading;

  GtkWidget *reset;
  GtkSwitch *toggle;
  GtkDropDown *choices;
  GtkAdjustment *adjustment;
};

static guint edited_signal;

G_DEFINE_FINAL_TYPE (SwageParamRow, swage_param_row, ADW_TYPE_PREFERENCES_ROW)

const SwageParam *
swage_param_row_get_param (SwageParamRow *row)
{
  return row->param;
}

static void
emit_number (SwageParamRow *row, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (row->param->kind == SWAGE_PARAM_INT)
    g_snprintf (text, sizeof text, "%d", (int)lround (value));
  else
    g_ascii_formatd (text, sizeof text, "%.9g", value);
  g_signal_emit (row, edited_signal, 0, text);
}

static void
on_switched (SwageParamRow *row)
{
  if (!row->loading)
    g_signal_emit (row, edited_signal, 0, gtk_switch_get_active (row->toggle) ? "true" : "false");
}

static void
on_chosen (SwageParamRow *row)
{
  guint selected = gtk_drop_down_get_selected (row->choices);
  if (!row->loading && selected != GTK_INVALID_LIST_POSITION)
    g_signal_emit (row, edited_signal, 0, row->param->choices[selected]);
}

static void
on_value_changed (SwageParamRow *row)
{
  if (!row->loading)
    emit_number (row, gtk_adjustment_get_value (row->adjustment));
}

static void
on_reset (SwageParamRow *row)
{
  const SwageParam *param = row->param;
  if (param->kind == SWAGE_PARAM_BOOL)
    g_signal_emit (row, edited_signal, 0, param->def != 0 ? "true" : "false");
  else if (param->kind == SWAGE_PARAM_CHOICE)
    g_signal_emit (row, edited_signal, 0, param->choices[(int)param->def]);
  else
    emit_number (row, param->def);
}

void
swage_param_row_set_params (SwageParamRow *row, const void *params)
{
  double value = swage_param_get_number (row->param, params);
  row->loading = true;
  switch (row->param->kind)
    {
    case SWAGE_PARAM_BOOL:
      gtk_switch_set_active (row->toggle, value != 0);
      break;
    case SWAGE_PARAM_CHOICE:
      gtk_drop_down_set_selected (row->choices, (guint)value);
      break;
    default:
      gtk_adjustment_set_value (row->adjustment, value);
    }
  row->loading = false;
  bool is_default = fabs (value - row->param->def) <= 1e-9 * fmax (1, fabs (row->param->def));
  gtk_widget_set_sensitive (row->reset, !is_default);
  /* stays in the layout, so that nothing jumps */
  gtk_widget_set_opacity (row->reset, is_default ? 0 : 1);
  gtk_widget_set_visible (GTK_WIDGET (row), swage_param_is_relevant (row->method, row->param, params));
}

/* What is told of a value that the file format calls by a short id: "q4_k" is shown as it is, so that plan
 * and screen agree. */
static GtkWidget *
make_choices (SwageParamRow *row)
{
  row->choices = GTK_DROP_DOWN (gtk_drop_down_new_from_strings (row->param->choices));
  gtk_drop_down_set_enable_search (row->choices, FALSE);
  g_signal_connect_swapped (row->choices, "notify::selected", G_CALLBACK (on_chosen), row);
  return GTK_WIDGET (row->choices);
}

static GtkWidget *
make_switch (SwageParamRow *row)
{
  row->toggle = GTK_SWITCH (gtk_switch_new ());
  g_signal_connect_swapped (row->toggle, "notify::active", G_CALLBACK (on_switched), row);
  return GTK_WIDGET (row->toggle);
}

static double
get_step (const SwageParam *param, double lo, double hi)
{
  if (param->kind == SWAGE_PARAM_INT)
    return 1;
  /* about a hundred steps over the sensible range, at a round number */
  return pow (10, floor (log10 ((hi - lo) / 50)));
}

/* The entry takes the hard range; the slider, where there is a sensible range worth sliding over, that one.
 */
static GtkWidget *
make_number (SwageParamRow *row, GtkWidget **slider)
{
  const SwageParam *param = row->param;
  bool soft = param->soft_max > param->soft_min;
  double lo = soft ? param->soft_min : param->min, hi = soft ? param->soft_max : param->max;
  double step = get_step (param, lo, hi);
  int digits = param->kind == SWAGE_PARAM_INT ? 0 : (int)CLAMP (ceil (-log10 (step) - 1e-9), 0, 8);
  row->adjustment = gtk_adjustment_new (param->def, param->min, param->max, step, step * 10, 0);
  g_signal_connect_object (row->adjustment, "value-changed", G_CALLBACK (on_value_changed), row,
                           G_CONNECT_SWAPPED);
  GtkWidget *spin = gtk_spin_button_new (row->adjustment, 0, (guint)digits);
  gtk_spin_button_set_numeric (GTK_SPIN_BUTTON (spin), TRUE);
  gtk_editable_set_width_chars (GTK_EDITABLE (spin), 5);
  *slider = NULL;
  if (param->kind == SWAGE_PARAM_DOUBLE && isfinite (lo) && isfinite (hi) && hi > lo)
    {
      GtkAdjustment *range = gtk_adjustment_new (param->def, lo, hi, step, step * 10, 0);
      g_object_bind_property (row->adjustment, "value", range, "value",
                              G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
      *slider = gtk_scale_new (GTK_ORIENTATION_HORIZONTAL, range);
      gtk_scale_set_draw_value (GTK_SCALE (*slider), FALSE);
    }
  return spin;
}

static void
name_widget (GtkWidget *widget, const SwageParam *param)
{
  gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL, _ (param->title),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  param->help != NULL ? _ (param->help) : "", -1);
}

GtkWidget *
swage_param_row_new (const SwageMethod *method, const SwageParam *param)
{
  SwageParamRow *row
      = g_object_new (SWAGE_TYPE_PARAM_ROW, "activatable", FALSE, "title", _ (param->title), NULL);
  row->method = method;
  row->param = param;

  GtkWidget *slider = NULL, *control;
  if (param->kind == SWAGE_PARAM_CHOICE)
    control = make_choices (row);
  else if (param->kind == SWAGE_PARAM_BOOL)
    control = make_switch (row);
  else
    control = make_number (row, &slider);
  gtk_widget_set_valign (control, GTK_ALIGN_CENTER);
  name_widget (control, param);
  /* the button inside of a drop-down is what the keyboard is on */
  if (row->choices != NULL)
    name_widget (gtk_widget_get_first_child (control), param);

  GtkWidget *title = gtk_label_new (NULL);
  g_autofree char *range = swage_param_describe_range (param);
  if (param->unit != NULL)
    {
      g_autofree char *text = g_strdup_printf ("%s (%s)", _ (param->title), _ (param->unit));
      gtk_label_set_label (GTK_LABEL (title), text);
    }
  else
    gtk_label_set_label (GTK_LABEL (title), _ (param->title));
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_ellipsize (GTK_LABEL (title), PANGO_ELLIPSIZE_END);
  gtk_widget_set_hexpand (title, TRUE);

  row->reset = gtk_button_new_from_icon_name ("edit-undo-symbolic");
  gtk_widget_add_css_class (row->reset, "flat");
  gtk_widget_add_css_class (row->reset, "circular");
  gtk_widget_set_valign (row->reset, GTK_ALIGN_CENTER);
  g_autofree char *tooltip = g_strdup_printf (_ ("Reset “%s” to its default"), _ (param->title));
  gtk_widget_set_tooltip_text (row->reset, tooltip);
  gtk_accessible_update_property (GTK_ACCESSIBLE (row->reset), GTK_ACCESSIBLE_PROPERTY_LABEL, tooltip, -1);
  g_signal_connect_swapped (row->reset, "clicked", G_CALLBACK (on_reset), row);

  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6),
            *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_box_append (GTK_BOX (line), title);
  gtk_box_append (GTK_BOX (line), row->reset);
  gtk_box_append (GTK_BOX (line), control);
  gtk_box_append (GTK_BOX (box), line);
  if (slider != NULL)
    {
      name_widget (slider, param);
      gtk_box_append (GTK_BOX (box), slider);
    }
  gtk_widget_add_css_class (box, "param");
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  if (param->help != NULL)
    {
      g_autofree char *help = g_strdup_printf ("%s\n%s: %s", _ (param->help), _ ("Range"), range);
      gtk_widget_set_tooltip_text (GTK_WIDGET (row), help);
    }
  return GTK_WIDGET (row);
}

static void
swage_param_row_class_init (SwageParamRowClass *klass)
{
  edited_signal = g_signal_new ("edited", SWAGE_TYPE_PARAM_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
swage_param_row_init (SwageParamRow *row)
{
}
