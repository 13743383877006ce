/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-map-view.h"

#include "ui/chart/swage-chart-map.h"

#include <glib/gi18n-lib.h>

struct _SwageMapView
{
  SwagePlot parent_instance;
  SwageSession *session;
  SwageMetric metric;
  guint update_id;

  SwageChartMap chart;
  GPtrArray *items; /* SwageLayerItem or NULL, rows × columns */
  GPtrArray *rows, *columns;
  double *values;
  bool *present, *selected;
};

G_DEFINE_FINAL_TYPE (SwageMapView, swage_map_view, SWAGE_TYPE_PLOT)

static guint chosen_signal;

const char *
swage_metric_get_title (SwageMetric metric)
{
  static const char *const titles[]
      = { N_ ("Kurtosis"), N_ ("Outlier share"), N_ ("Bits per weight"), N_ ("Weight error") };
  return _ (titles[metric]);
}

static void
format_number (double value, char *buffer, size_t size)
{
  g_snprintf (buffer, size, value >= 100 ? "%.0f" : "%.2f", value);
}

static void
format_share (double value, char *buffer, size_t size)
{
  g_snprintf (buffer, size, "%.2g %%", 100 * value);
}

static double
get_value (SwageLayerItem *item, SwageMetric metric)
{
  switch (metric)
    {
    case SWAGE_METRIC_KURTOSIS:
      return item->weight_before != NULL ? item->weight_before->summary.kurtosis : NAN;
    case SWAGE_METRIC_OUTLIERS:
      return item->weight_before != NULL ? item->weight_before->summary.outlier_share : NAN;
    case SWAGE_METRIC_BITS:
      return swage_layer_item_get_bits (item);
    default:
      return swage_layer_item_get_relative_error (item);
    }
}

/* Values and selection; the grid itself stays. */
static void
update_values (SwageMapView *view)
{
  int n = view->chart.n_rows * view->chart.n_columns;
  GPtrArray *selection = view->session != NULL ? swage_session_get_selection (view->session) : NULL;
  for (int i = 0; i < n; i++)
    {
      SwageLayerItem *item = view->items->pdata[i];
      view->values[i] = item != NULL ? get_value (item, view->metric) : NAN;
      view->selected[i] = item != NULL && g_ptr_array_find (selection, item, NULL);
    }
  view->chart.title = swage_metric_get_title (view->metric);
  bool share = view->metric == SWAGE_METRIC_OUTLIERS || view->metric == SWAGE_METRIC_ERROR;
  view->chart.format = share ? format_share : format_number;
  /* kurtosis spans orders of magnitude between layers */
  view->chart.log_scale = view->metric == SWAGE_METRIC_KURTOSIS;
  swage_plot_changed (SWAGE_PLOT (view), false);
}

static gboolean
update_cb (gpointer data)
{
  SwageMapView *view = data;
  view->update_id = 0;
  update_values (view);
  return G_SOURCE_REMOVE;
}

/* Statistics of many layers arrive one by one: paint them together. */
static void
update_soon (SwageMapView *view)
{
  if (view->update_id == 0)
    view->update_id = g_timeout_add (50, update_cb, view);
}

static void
clear_grid (SwageMapView *view)
{
  g_clear_pointer (&view->items, g_ptr_array_unref);
  g_clear_pointer (&view->rows, g_ptr_array_unref);
  g_clear_pointer (&view->columns, g_ptr_array_unref);
  g_clear_pointer (&view->values, g_free);
  g_clear_pointer (&view->present, g_free);
  g_clear_pointer (&view->selected, g_free);
  view->chart = (SwageChartMap)SWAGE_CHART_MAP_INIT;
}

/* Rows are the blocks, columns the roles that occur in them. Layers outside of blocks have no place here. */
static void
build_grid (SwageMapView *view)
{
  clear_grid (view);
  SwageModel *model = view->session != NULL ? swage_session_get_model (view->session) : NULL;
  int n_blocks = model != NULL ? swage_model_get_config (model)->n_blocks : 0;
  int column_of[SWAGE_N_ROLES], n_columns = 0;
  view->rows = g_ptr_array_new_with_free_func (g_free);
  view->columns = g_ptr_array_new ();
  GListModel *layers = view->session != NULL ? swage_session_get_layers (view->session) : NULL;
  guint n_layers = layers != NULL ? g_list_model_get_n_items (layers) : 0;
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      column_of[role] = -1;
      for (guint i = 0; i < n_layers && column_of[role] < 0; i++)
        {
          g_autoptr (SwageLayerItem) item = g_list_model_get_item (layers, i);
          if (swage_layer_item_get_block (item) >= 0 && (int)swage_layer_item_get_role (item) == role)
            column_of[role] = n_columns++;
        }
      if (column_of[role] >= 0)
        g_ptr_array_add (view->columns, (char *)swage_role_get_id (role));
    }
  for (int block = 0; block < n_blocks; block++)
    g_ptr_array_add (view->rows, g_strdup_printf ("blk.%d", block));
  int n = n_blocks * n_columns;
  view->items = g_ptr_array_new ();
  g_ptr_array_set_size (view->items, n);
  view->values = g_new0 (double, n + 1);
  view->present = g_new0 (bool, n + 1);
  view->selected = g_new0 (bool, n + 1);
  for (guint i = 0; i < n_layers; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (layers, i);
      int block = swage_layer_item_get_block (item);
      if (block < 0 || block >= n_blocks)
        continue;
      int cell = block * n_columns + column_of[swage_layer_item_get_role (item)];
      view->items->pdata[cell] = item; /* the session's list holds it until "model-changed" */
      view->present[cell] = true;
    }
  view->chart.n_rows = n_blocks;
  view->chart.n_columns = n_columns;
  view->chart.row_labels = (const char *const *)view->rows->pdata;
  view->chart.column_labels = (const char *const *)view->columns->pdata;
  view->chart.values = view->values;
  view->chart.present = view->present;
  view->chart.selected = view->selected;
  update_values (view);
}

static void
draw (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme)
{
  SwageMapView *view = SWAGE_MAP_VIEW (plot);
  const SwagePlotState *state = swage_plot_get_state (plot);
  view->chart.hover = isnan (state->pointer_x) ? -1
                                               : swage_chart_map_hit_at (w, h, &view->chart, theme,
                                                                         state->pointer_x, state->pointer_y);
  swage_chart_map_draw (cr, w, h, &view->chart, theme);
}

static void
press (SwagePlot *plot, double x, double y, GdkModifierType modifiers)
{
  SwageMapView *view = SWAGE_MAP_VIEW (plot);
  int cell = swage_chart_map_hit_at (gtk_widget_get_width (GTK_WIDGET (plot)),
                                     gtk_widget_get_height (GTK_WIDGET (plot)), &view->chart,
                                     swage_plot_get_theme (plot), x, y);
  if (cell >= 0)
    g_signal_emit (view, chosen_signal, 0, view->items->pdata[cell],
                   (modifiers & (GDK_CONTROL_MASK | GDK_SHIFT_MASK)) != 0);
}

/* Left and Right walk over the cells, row by row. */
static double
step (SwagePlot *plot, double hover, int direction)
{
  SwageMapView *view = SWAGE_MAP_VIEW (plot);
  int n = view->chart.n_rows * view->chart.n_columns, at = -1;
  for (int i = 0; i < n && at < 0; i++)
    if (view->selected[i])
      at = i;
  at = at < 0 ? 0 : at + direction;
  while (at >= 0 && at < n && !view->present[at])
    at += direction;
  if (at >= 0 && at < n)
    g_signal_emit (view, chosen_signal, 0, view->items->pdata[at], FALSE);
  return NAN;
}

static char *
describe (SwagePlot *plot)
{
  return swage_chart_map_describe (&SWAGE_MAP_VIEW (plot)->chart);
}

static char *
to_text (SwagePlot *plot)
{
  return swage_chart_map_to_text (&SWAGE_MAP_VIEW (plot)->chart);
}

void
swage_map_view_set_session (SwageMapView *view, SwageSession *session)
{
  g_set_object (&view->session, session);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (build_grid), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update_soon), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (update_soon), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (update_soon), view, G_CONNECT_SWAPPED);
  build_grid (view);
}

void
swage_map_view_set_metric (SwageMapView *view, SwageMetric metric)
{
  view->metric = metric;
  update_values (view);
}

static void
dispose (GObject *object)
{
  SwageMapView *view = SWAGE_MAP_VIEW (object);
  g_clear_handle_id (&view->update_id, g_source_remove);
  clear_grid (view);
  g_clear_object (&view->session);
  G_OBJECT_CLASS (swage_map_view_parent_class)->dispose (object);
}

static void
swage_map_view_class_init (SwageMapViewClass *klass)
{
  SwagePlotClass *plot_class = SWAGE_PLOT_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  plot_class->draw = draw;
  plot_class->press = press;
  plot_class->step = step;
  plot_class->describe = describe;
  plot_class->to_text = to_text;
  chosen_signal = g_signal_new ("layer-chosen", SWAGE_TYPE_MAP_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 2, SWAGE_TYPE_LAYER_ITEM, G_TYPE_BOOLEAN);
}

static void
swage_map_view_init (SwageMapView *view)
{
  build_grid (view);
}
