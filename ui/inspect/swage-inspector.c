/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-inspector.h"

#include "ui/chart/swage-chart-channels.h"
#include "ui/inspect/swage-channels-view.h"
#include "ui/inspect/swage-histogram-view.h"
#include "ui/heatmap/swage-heat-map.h"
#include "ui/inspect/swage-map-view.h"
#include "ui/inspect/swage-spectrum-view.h"
#include "ui/preview/swage-text-page.h"
#include "ui/preview/swage-tradeoff-page.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define N_TOP 8

struct _SwageInspector
{
  GtkWidget parent_instance;
  SwageSession *session;
  SwageLayerItem *item; /* shown now */
  char *source;         /* "weights" or "activations" */
  gboolean log_axis;

  GtkStack *stack;
  GtkLabel *title, *subtitle, *activity, *histogram_note, *channels_note;
  GtkSpinner *spinner;
  GtkWidget *source_box, *top_channels;
  GtkFlowBox *facts;
  SwageHistogramView *histogram;
  SwageChannelsView *channels;
  SwageMapView *map;
  SwageTradeoffPage *tradeoff;
  SwageHeatMap *heat_map;
  SwageSpectrumView *spectrum;
  SwageTextPage *text;
  GtkWidget *head;
  GtkMenuButton *page_button;
  GMenu *page_menu;
  GtkDropDown *metric;
  GtkLabel *fact_values[8];
};

enum
{
  PROP_0,
  PROP_SOURCE,
  PROP_LOG_AXIS,
  PROP_PAGE,
  PROP_HEAT_MODE,
  N_PROPS
};
static GParamSpec *props[N_PROPS];
static guint chosen_signal;

G_DEFINE_FINAL_TYPE (SwageInspector, swage_inspector, GTK_TYPE_WIDGET)

static const char *const fact_titles[]
    = { N_ ("Minimum"),  N_ ("Maximum"),  N_ ("Mean"),  N_ ("Std. deviation"),
        N_ ("Kurtosis"), N_ ("Outliers"), N_ ("Zeros"), N_ ("Values") };

static bool
shows_activations (SwageInspector *self)
{
  return strcmp (self->source, "activations") == 0;
}

static bool
is_page (SwageInspector *self, const char *name)
{
  return g_strcmp0 (gtk_stack_get_visible_child_name (self->stack), name) == 0;
}

static char *
format_percent (double share)
{
  return share > 0 && share < 0.0001 ? g_strdup_printf ("%.1e %%", 100 * share)
                                     : g_strdup_printf ("%.3g %%", 100 * share);
}

static void
show_facts (SwageInspector *self, const SwageSummary *summary)
{
  char *texts[G_N_ELEMENTS (fact_titles)] = { NULL };
  if (summary != NULL)
    {
      char count[32];
      texts[0] = g_strdup_printf ("%.4g", summary->min);
      texts[1] = g_strdup_printf ("%.4g", summary->max);
      texts[2] = g_strdup_printf ("%.3g", summary->mean);
      texts[3] = g_strdup_printf ("%.4g", summary->std);
      texts[4] = g_strdup_printf ("%.2f", summary->kurtosis);
      texts[5] = format_percent (summary->outlier_share);
      texts[6] = format_percent (summary->n > 0 ? (double)summary->n_zero / (double)summary->n : 0);
      swage_chart_format_count (count, sizeof count, (double)summary->n);
      texts[7] = g_strdup (count);
    }
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      gtk_label_set_label (self->fact_values[i], texts[i] != NULL ? texts[i] : "–");
      g_free (texts[i]);
    }
}

static void
on_top_channel (GtkButton *button, SwageInspector *self)
{
  double channel = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (button), "channel"));
  swage_plot_set_hover (SWAGE_PLOT (self->channels), channel);
  swage_plot_set_zoom (SWAGE_PLOT (self->channels), channel - 16, channel + 17);
}

/* A short list of buttons: the channels that are largest, each zooms to its place. */
static void
show_top_channels (SwageInspector *self, const float *values, int64_t n)
{
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (self->top_channels)) != NULL)
    gtk_flow_box_remove (GTK_FLOW_BOX (self->top_channels), child);
  int64_t top[N_TOP];
  int found = values != NULL ? swage_chart_channels_top (values, n, N_TOP, top) : 0;
  for (int i = 0; i < found; i++)
    {
      g_autofree char *text = g_strdup_printf ("<b>%lld</b>  %.4g", (long long)top[i], values[top[i]]);
      g_autofree char *tooltip = g_strdup_printf (_ ("Zoom to channel %lld"), (long long)top[i]);
      GtkWidget *button = gtk_button_new (), *label = gtk_label_new (NULL);
      gtk_label_set_markup (GTK_LABEL (label), text);
      gtk_widget_add_css_class (label, "numeric");
      gtk_button_set_child (GTK_BUTTON (button), label);
      gtk_widget_add_css_class (button, "flat");
      gtk_widget_set_tooltip_text (button, tooltip);
      gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, tooltip, -1);
      g_object_set_data (G_OBJECT (button), "channel", GINT_TO_POINTER ((int)top[i]));
      g_signal_connect (button, "clicked", G_CALLBACK (on_top_channel), self);
      gtk_flow_box_append (GTK_FLOW_BOX (self->top_channels), button);
      gtk_widget_set_focusable (gtk_widget_get_parent (button), FALSE);
    }
}

static void
set_note (GtkLabel *label, const char *text)
{
  gtk_label_set_label (label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (label), text != NULL && text[0] != '\0');
}

static void
show_weights (SwageInspector *self, bool reset)
{
  SwageLayerItem *item = self->item;
  const SwageWeightStats *before = item->weight_before;
  /* an after of another recipe is left standing until the new one is there: it flickers less than a gap */
  const SwageWeightStats *after = item->changed && before != NULL ? item->weight_after : NULL;
  swage_histogram_view_set_levels (self->histogram, after != NULL ? item->levels : NULL, item->n_levels);
  swage_histogram_view_set_data (self->histogram, before != NULL ? &before->summary : NULL,
                                 after != NULL ? &after->summary : NULL, _ ("weight"), reset);
  bool same_channels = after != NULL && before != NULL && after->cols == before->cols;
  swage_channels_view_set_data (self->channels, before != NULL ? before->col_absmax : NULL,
                                same_channels ? after->col_absmax : NULL, before != NULL ? before->cols : 0,
                                _ ("input channel"), reset);
  show_facts (self, after != NULL ? &after->summary : before != NULL ? &before->summary : NULL);
  show_top_channels (self, before != NULL ? before->col_absmax : NULL, before != NULL ? before->cols : 0);
  const char *note = before != NULL        ? NULL
                     : item->weight_failed ? _ ("This weight cannot be read.")
                                           : _ ("Reading the weights…");
  set_note (self->histogram_note, note);
  set_note (self->channels_note, note);
}

static void
show_activations (SwageInspector *self, bool reset)
{
  SwageLayerItem *item = self->item;
  const SwageActStats *before = item->act_before;
  const SwageActStats *after
      = before != NULL && swage_session_is_act_current (self->session, item) ? item->act_after : NULL;
  swage_histogram_view_set_levels (self->histogram, NULL, 0);
  swage_histogram_view_set_data (self->histogram, before != NULL ? &before->summary : NULL,
                                 after != NULL ? &after->summary : NULL, _ ("activation"), reset);
  swage_channels_view_set_data (self->channels, before != NULL ? before->col_absmax : NULL,
                                after != NULL ? after->col_absmax : NULL, before != NULL ? before->n_in : 0,
                                _ ("input channel"), reset);
  show_facts (self, after != NULL ? &after->summary : before != NULL ? &before->summary : NULL);
  show_top_channels (self, before != NULL ? before->col_absmax : NULL, before != NULL ? before->n_in : 0);
  const char *note = NULL, *problem = swage_session_get_activation_problem (self->session);
  if (!swage_layer_item_has_activations (item))
    note = _ ("This layer looks tokens up: it has no activations at its input.");
  else if (before == NULL)
    note = problem != NULL ? problem : _ ("Running the calibration text through the model…");
  set_note (self->histogram_note, note);
  set_note (self->channels_note, note);
}

static void
update (SwageInspector *self, bool reset)
{
  if (self->item == NULL)
    {
      gtk_label_set_label (self->title, _ ("No layer selected"));
      gtk_label_set_label (self->subtitle, "");
      swage_histogram_view_set_levels (self->histogram, NULL, 0);
      swage_histogram_view_set_data (self->histogram, NULL, NULL, NULL, true);
      swage_channels_view_set_data (self->channels, NULL, NULL, 0, NULL, true);
      show_facts (self, NULL);
      show_top_channels (self, NULL, 0);
      set_note (self->histogram_note, _ ("Select a layer in the list to see what is in it."));
      set_note (self->channels_note, _ ("Select a layer in the list to see what is in it."));
      return;
    }
  guint n = swage_session_get_selection (self->session)->len;
  g_autofree char *subtitle = n > 1 ? g_strdup_printf (_ ("%s · %s · first of %u layers"), self->item->shape,
                                                       self->item->type_text, n)
                                    : g_strdup_printf ("%s · %s", self->item->shape, self->item->type_text);
  gtk_label_set_label (self->title, self->item->name);
  gtk_label_set_label (self->subtitle, subtitle);
  if (shows_activations (self))
    show_activations (self, reset);
  else
    show_weights (self, reset);
}

static void
on_selection_changed (SwageInspector *self)
{
  SwageLayerItem *focus = swage_session_get_focus (self->session);
  bool other = focus != self->item;
  g_set_object (&self->item, focus);
  update (self, other);
}

static void
on_statistics_changed (SwageInspector *self, SwageLayerItem *item)
{
  if (item == self->item)
    update (self, false);
}

static void
on_plan_changed (SwageInspector *self)
{
  update (self, false);
}

static void
on_activity_changed (SwageInspector *self)
{
  g_autofree char *text = NULL;
  g_object_get (self->session, "activity", &text, NULL);
  gtk_label_set_label (self->activity, text != NULL ? text : "");
  gtk_spinner_set_spinning (self->spinner, text != NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->spinner), text != NULL);
}

static SwagePlot *get_plot (SwageInspector *self);

/* The map colours layers by what is known of their weights; the other pages show one layer. */
static void
on_page_changed (SwageInspector *self)
{
  gtk_widget_set_visible (self->source_box, is_page (self, "histogram") || is_page (self, "channels"));
  gtk_widget_set_visible (self->head, !is_page (self, "text") && !is_page (self, "tradeoff"));
  GtkWidget *page = gtk_stack_get_visible_child (self->stack);
  if (page != NULL)
    {
      g_autofree char *title = NULL;
      g_object_get (gtk_stack_get_page (self->stack, page), "title", &title, NULL);
      gtk_menu_button_set_label (self->page_button, title);
    }
  gtk_widget_set_visible (GTK_WIDGET (self->metric), is_page (self, "map"));
  if (self->session != NULL)
    swage_session_set_want_activations (self->session, shows_activations (self)
                                                           && gtk_widget_get_visible (self->source_box));
  if (self->session != NULL)
    swage_session_set_want_weights (self->session, is_page (self, "heatmap") || is_page (self, "spectrum"));
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "inspect.save", get_plot (self) != NULL);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "inspect.save-to", get_plot (self) != NULL);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PAGE]);
}

static void
on_metric_changed (SwageInspector *self)
{
  guint selected = gtk_drop_down_get_selected (self->metric);
  if (selected < SWAGE_N_METRICS)
    swage_map_view_set_metric (self->map, (SwageMetric)selected);
}

static void
on_layer_chosen (SwageInspector *self, SwageLayerItem *item, gboolean extend)
{
  g_signal_emit (self, chosen_signal, 0, item, extend);
}

static SwagePlot *
get_plot (SwageInspector *self)
{
  return is_page (self, "histogram")  ? SWAGE_PLOT (self->histogram)
         : is_page (self, "channels") ? SWAGE_PLOT (self->channels)
         : is_page (self, "map")      ? SWAGE_PLOT (self->map)
         : is_page (self, "spectrum") ? SWAGE_PLOT (self->spectrum)
         : is_page (self, "tradeoff") ? swage_tradeoff_page_get_plot (self->tradeoff)
                                      : NULL;
}

static void
reset_zoom (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageInspector *self = SWAGE_INSPECTOR (widget);
  SwagePlot *plot = get_plot (self);
  if (plot != NULL)
    swage_plot_set_zoom (plot, 0, 0);
  else if (is_page (self, "heatmap"))
    swage_heat_map_reset (self->heat_map);
}

static void
copy_data (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageInspector *self = SWAGE_INSPECTOR (widget);
  SwagePlot *plot = get_plot (self);
  if (plot != NULL)
    swage_plot_copy (plot);
  else if (is_page (self, "heatmap"))
    swage_heat_map_copy (self->heat_map);
}

static void
on_saved (const char *path, const GError *error, gpointer user_data)
{
  g_autoptr (SwageInspector) self = user_data;
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *text
      = error != NULL ? g_strdup (error->message) : g_strdup_printf (_ ("Saved “%s”"), name);
  if (self->session != NULL)
    g_signal_emit_by_name (self->session, "message", text, error != NULL);
}

/* Without questions, for scripts. */
static void
save_to (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwagePlot *plot = get_plot (SWAGE_INSPECTOR (widget));
  if (plot != NULL)
    swage_plot_save (plot, g_variant_get_string (parameter, NULL), on_saved, g_object_ref (widget));
}

static void
on_save_response (GtkNativeDialog *dialog, int response, SwageInspector *self)
{
  g_autoptr (GFile) file
      = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog)) : NULL;
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;
  SwagePlot *plot = get_plot (self);
  if (path != NULL && plot != NULL)
    swage_plot_save (plot, path, on_saved, g_object_ref (self));
  g_object_unref (dialog);
}

static void
save (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageInspector *self = SWAGE_INSPECTOR (widget);
  if (get_plot (self) == NULL)
    return;
  GtkFileChooserNative *dialog
      = gtk_file_chooser_native_new (_ ("Save the Plot"), GTK_WINDOW (gtk_widget_get_root (widget)),
                                     GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), NULL);
  g_autofree char *file = g_strdup_printf (
      "%s%s%s.%s", self->item != NULL ? self->item->name : "", self->item != NULL ? "-" : "",
      gtk_stack_get_visible_child_name (self->stack), g_variant_get_string (parameter, NULL));
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (dialog), file);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_save_response), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

void
swage_inspector_set_session (SwageInspector *self, SwageSession *session)
{
  g_set_object (&self->session, session);
  swage_map_view_set_session (self->map, session);
  swage_heat_map_set_session (self->heat_map, session);
  swage_spectrum_view_set_session (self->spectrum, session);
  swage_text_page_set_session (self->text, session);
  swage_tradeoff_page_set_session (self->tradeoff, session);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (on_selection_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (on_statistics_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (on_plan_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::activity", G_CALLBACK (on_activity_changed), self,
                           G_CONNECT_SWAPPED);
  on_selection_changed (self);
  on_activity_changed (self);
}

static const char *const heat_modes[] = { "original", "plan", "error", "zeros" };

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageInspector *self = SWAGE_INSPECTOR (object);
  switch (id)
    {
    case PROP_SOURCE:
      g_value_set_string (value, self->source);
      break;
    case PROP_LOG_AXIS:
      g_value_set_boolean (value, self->log_axis);
      break;
    case PROP_PAGE:
      g_value_set_string (value, gtk_stack_get_visible_child_name (self->stack));
      break;
    case PROP_HEAT_MODE:
      {
        guint mode;
        g_object_get (self->heat_map, "mode", &mode, NULL);
        g_value_set_string (value, heat_modes[mode]);
        break;
      }
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  SwageInspector *self = SWAGE_INSPECTOR (object);
  switch (id)
    {
    case PROP_SOURCE:
      {
        const char *source = g_value_get_string (value);
        if (g_strcmp0 (source, "weights") != 0 && g_strcmp0 (source, "activations") != 0)
          return;
        g_free (self->source);
        self->source = g_strdup (source);
        on_page_changed (self);
        update (self, true);
        break;
      }
    case PROP_LOG_AXIS:
      self->log_axis = g_value_get_boolean (value);
      swage_histogram_view_set_log (self->histogram, self->log_axis);
      break;
    case PROP_HEAT_MODE:
      for (guint i = 0; i < G_N_ELEMENTS (heat_modes); i++)
        if (g_strcmp0 (g_value_get_string (value), heat_modes[i]) == 0)
          swage_heat_map_set_mode (self->heat_map, (SwageHeatMode)i);
      break;
    case PROP_PAGE:
      if (gtk_stack_get_child_by_name (self->stack, g_value_get_string (value)) != NULL)
        gtk_stack_set_visible_child_name (self->stack, g_value_get_string (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
dispose (GObject *object)
{
  SwageInspector *self = SWAGE_INSPECTOR (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&self->item);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (swage_inspector_parent_class)->dispose (object);
}

static void
finalize (GObject *object)
{
  g_free (SWAGE_INSPECTOR (object)->source);
  G_OBJECT_CLASS (swage_inspector_parent_class)->finalize (object);
}

static void
swage_inspector_class_init (SwageInspectorClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  props[PROP_SOURCE] = g_param_spec_string ("source", NULL, NULL, "weights", flags);
  props[PROP_LOG_AXIS] = g_param_spec_boolean ("log-axis", NULL, NULL, TRUE, flags);
  props[PROP_PAGE] = g_param_spec_string ("page", NULL, NULL, "histogram", flags);
  props[PROP_HEAT_MODE] = g_param_spec_string ("heat-mode", NULL, NULL, "original", flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  chosen_signal = g_signal_new ("layer-chosen", SWAGE_TYPE_INSPECTOR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 2, SWAGE_TYPE_LAYER_ITEM, G_TYPE_BOOLEAN);

  g_type_ensure (SWAGE_TYPE_HISTOGRAM_VIEW);
  g_type_ensure (SWAGE_TYPE_CHANNELS_VIEW);
  g_type_ensure (SWAGE_TYPE_MAP_VIEW);
  g_type_ensure (SWAGE_TYPE_HEAT_MAP);
  g_type_ensure (SWAGE_TYPE_SPECTRUM_VIEW);
  g_type_ensure (SWAGE_TYPE_TEXT_PAGE);
  g_type_ensure (SWAGE_TYPE_TRADEOFF_PAGE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/inspect/swage-inspector.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, stack);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, title);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, subtitle);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, activity);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, histogram_note);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, channels_note);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, spinner);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, source_box);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, top_channels);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, facts);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, histogram);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, channels);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, map);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, tradeoff);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, heat_map);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, spectrum);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, text);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, head);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, page_button);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, page_menu);
  gtk_widget_class_bind_template_child (widget_class, SwageInspector, metric);
  gtk_widget_class_bind_template_callback (widget_class, on_page_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_metric_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_layer_chosen);
  gtk_widget_class_install_property_action (widget_class, "inspect.source", "source");
  gtk_widget_class_install_property_action (widget_class, "inspect.log", "log-axis");
  gtk_widget_class_install_property_action (widget_class, "inspect.page", "page");
  gtk_widget_class_install_property_action (widget_class, "inspect.heat-mode", "heat-mode");
  gtk_widget_class_install_action (widget_class, "inspect.reset-zoom", NULL, reset_zoom);
  gtk_widget_class_install_action (widget_class, "inspect.save", "s", save);
  gtk_widget_class_install_action (widget_class, "inspect.save-to", "s", save_to);
  gtk_widget_class_install_action (widget_class, "inspect.copy", NULL, copy_data);
}

static void
swage_inspector_init (SwageInspector *self)
{
  self->source = g_strdup ("weights");
  self->log_axis = TRUE;
  gtk_widget_init_template (GTK_WIDGET (self));
  for (guint i = 0; i < G_N_ELEMENTS (fact_titles); i++)
    {
      GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0),
                *caption = gtk_label_new (_ (fact_titles[i]));
      GtkWidget *value = gtk_label_new ("–");
      gtk_widget_add_css_class (caption, "caption");
      gtk_widget_add_css_class (caption, "dim-label");
      gtk_widget_add_css_class (value, "numeric");
      gtk_label_set_xalign (GTK_LABEL (caption), 0);
      gtk_label_set_xalign (GTK_LABEL (value), 0);
      gtk_label_set_ellipsize (GTK_LABEL (caption), PANGO_ELLIPSIZE_END);
      gtk_box_append (GTK_BOX (box), caption);
      gtk_box_append (GTK_BOX (box), value);
      gtk_flow_box_append (self->facts, box);
      gtk_widget_set_focusable (gtk_widget_get_parent (box), FALSE);
      self->fact_values[i] = GTK_LABEL (value);
    }
  GtkStringList *metrics = gtk_string_list_new (NULL);
  for (int i = 0; i < SWAGE_N_METRICS; i++)
    gtk_string_list_append (metrics, swage_metric_get_title ((SwageMetric)i));
  gtk_drop_down_set_model (self->metric, G_LIST_MODEL (metrics));
  g_object_unref (metrics);
  /* where the row of buttons has no room, a menu of the same pages */
  g_autoptr (GtkSelectionModel) pages = gtk_stack_get_pages (self->stack);
  guint n_pages = g_list_model_get_n_items (G_LIST_MODEL (pages));
  for (guint i = 0; i < n_pages; i++)
    {
      g_autoptr (GObject) object = g_list_model_get_item (G_LIST_MODEL (pages), i);
      GtkStackPage *page = GTK_STACK_PAGE (object);
      g_autoptr (GMenuItem) item = g_menu_item_new (gtk_stack_page_get_title (page), NULL);
      g_menu_item_set_action_and_target (item, "inspect.page", "s", gtk_stack_page_get_name (page));
      g_menu_append_item (self->page_menu, item);
    }
  on_page_changed (self);
  update (self, true);
}
