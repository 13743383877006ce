/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-spectrum-view.h"

#include "core/base/swage-error.h"
#include "core/method/swage-spectrum.h"
#include "ui/chart/swage-chart-spectrum.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>

/* Originals that are kept: going back to a layer need not wait. */
#define KEPT 64

struct _SwageSpectrumView
{
  SwagePlot parent_instance;
  SwageSession *session;
  GHashTable *originals; /* name → SwageSpectrum */
  SwageSpectrum *before; /* borrowed from there */
  SwageSpectrum *after;
  SwageWeight *after_weight; /* that `after` is of */
  SwageLayerItem *item;
  GCancellable *cancellable; /* of what runs */
  SwageWeight *running;      /* that what runs is of */
  char *note, *facts;
};

enum
{
  PROP_0,
  PROP_NOTE,
  PROP_FACTS,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageSpectrumView, swage_spectrum_view, SWAGE_TYPE_PLOT)

typedef struct
{
  SwageWeight *weight;
  char *name;
  bool after;
  GCancellable *cancellable;
} Work;

static void
work_free (Work *work)
{
  swage_weight_unref (work->weight);
  g_object_unref (work->cancellable);
  g_free (work->name);
  g_free (work);
}

static void
work_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Work *work = data;
  GError *error = NULL;
  g_autoptr (SwageJob) job = swage_job_new (work->cancellable, NULL, NULL);
  SwageSpectrum *spectrum = swage_spectrum_new (work->weight, work->name, job, &error);
  if (spectrum != NULL)
    g_task_return_pointer (task, spectrum, (GDestroyNotify)swage_spectrum_free);
  else
    g_task_return_error (task, error);
}

static SwageChartSpectrum
get_chart (SwageSpectrumView *view)
{
  const SwagePlotState *state = swage_plot_get_state (SWAGE_PLOT (view));
  SwageChartSpectrum chart = SWAGE_CHART_SPECTRUM_INIT;
  if (view->before == NULL)
    return chart;
  chart.before = view->before->sigma;
  chart.n = view->before->n;
  chart.after = view->after != NULL && view->after->n == view->before->n ? view->after->sigma : NULL;
  chart.break_even = swage_spectrum_get_break_even (view->before->rows, view->before->cols);
  chart.accuracy = view->before->accuracy;
  chart.x_min = state->zoom_lo;
  chart.x_max = state->zoom_hi;
  chart.hover = state->hover;
  chart.drag_lo = state->drag_lo;
  chart.drag_hi = state->drag_hi;
  return chart;
}

static void
set_texts (SwageSpectrumView *view, const char *note)
{
  g_free (view->note);
  view->note = g_strdup (note);
  g_clear_pointer (&view->facts, g_free);
  if (view->before != NULL)
    {
      const SwageSpectrum *s = view->before;
      int64_t even = swage_spectrum_get_break_even (s->rows, s->cols);
      view->facts = g_strdup_printf (
          _ ("Energy 90 %%: rank %" PRId64 " · 95 %%: %" PRId64 " · 99 %%: %" PRId64
             "\nBreak-even rank %" PRId64 " keeps %.1f %% · singular values to ±%.1g"),
          swage_spectrum_find_rank (s, 0.9), swage_spectrum_find_rank (s, 0.95),
          swage_spectrum_find_rank (s, 0.99), even, 100 * swage_spectrum_get_energy (s, even), s->accuracy);
    }
  g_object_notify_by_pspec (G_OBJECT (view), props[PROP_NOTE]);
  g_object_notify_by_pspec (G_OBJECT (view), props[PROP_FACTS]);
}

static void update (SwageSpectrumView *view);

static void
stop (SwageSpectrumView *view)
{
  if (view->cancellable != NULL)
    g_cancellable_cancel (view->cancellable);
  g_clear_object (&view->cancellable);
  g_clear_pointer (&view->running, swage_weight_unref);
}

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  SwageSpectrumView *view = SWAGE_SPECTRUM_VIEW (source);
  Work *work = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  SwageSpectrum *spectrum = g_task_propagate_pointer (G_TASK (result), &error);
  if (view->session == NULL || work->cancellable != view->cancellable)
    {
      swage_spectrum_free (spectrum);
      return;
    }
  g_clear_object (&view->cancellable);
  g_clear_pointer (&view->running, swage_weight_unref);
  if (spectrum == NULL)
    {
      set_texts (view, error->message);
      return;
    }
  if (work->after)
    {
      swage_spectrum_free (view->after);
      view->after = spectrum;
      g_clear_pointer (&view->after_weight, swage_weight_unref);
      view->after_weight = swage_weight_ref (work->weight);
    }
  else
    {
      if (g_hash_table_size (view->originals) >= KEPT)
        g_hash_table_remove_all (view->originals);
      g_hash_table_insert (view->originals, g_strdup (work->name), spectrum);
    }
  update (view);
}

static void
start (SwageSpectrumView *view, SwageWeight *weight, bool after)
{
  if (view->running == weight)
    return;
  stop (view);
  Work *work = g_new0 (Work, 1);
  view->cancellable = g_cancellable_new ();
  view->running = swage_weight_ref (weight);
  work->weight = swage_weight_ref (weight);
  work->name = g_strdup (view->item->name);
  work->after = after;
  work->cancellable = g_object_ref (view->cancellable);
  g_autoptr (GTask) task = g_task_new (view, NULL, on_done, NULL);
  g_task_set_source_tag (task, start);
  g_task_set_task_data (task, work, (GDestroyNotify)work_free);
  g_task_run_in_thread (task, work_in_thread);
}

/* What is there, and what has to be computed for the rest. */
static void
update (SwageSpectrumView *view)
{
  SwageLayerItem *focus = view->session != NULL ? swage_session_get_focus (view->session) : NULL;
  bool other = focus != view->item;
  SwageWeight *weights[2] = { NULL, NULL };
  const char *problem = NULL, *note = NULL;
  g_set_object (&view->item, focus);
  view->before = focus != NULL ? g_hash_table_lookup (view->originals, focus->name) : NULL;
  bool there = swage_session_get_weights (view->session, focus, weights, &problem);
  if (view->after != NULL && (!there || weights[1] != view->after_weight))
    {
      g_clear_pointer (&view->after, swage_spectrum_free);
      g_clear_pointer (&view->after_weight, swage_weight_unref);
    }
  if (focus == NULL)
    note = _ ("Select a layer in the list to see what is in it.");
  else if (!gtk_widget_get_mapped (GTK_WIDGET (view)))
    note = NULL;
  else if (there && view->before == NULL)
    {
      note = _ ("Computing the singular values…");
      start (view, weights[0], false);
    }
  else if (there && weights[1] != NULL && view->after == NULL)
    start (view, weights[1], true);
  else if (!there && problem != NULL)
    note = problem;
  else if (!there && view->before == NULL)
    note = _ ("Reading the weights…");
  if (!there || (view->before != NULL && (weights[1] == NULL || view->after != NULL)))
    stop (view);
  set_texts (view, note);
  swage_plot_changed (SWAGE_PLOT (view), other);
}

static void
on_statistics_changed (SwageSpectrumView *view, SwageLayerItem *item)
{
  if (item == view->item && gtk_widget_get_mapped (GTK_WIDGET (view)))
    update (view);
}

static void
on_model_changed (SwageSpectrumView *view)
{
  stop (view);
  view->before = NULL;
  g_hash_table_remove_all (view->originals);
  update (view);
}

static void
map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (swage_spectrum_view_parent_class)->map (widget);
  if (SWAGE_SPECTRUM_VIEW (widget)->session != NULL)
    update (SWAGE_SPECTRUM_VIEW (widget));
}

static void
unmap (GtkWidget *widget)
{
  stop (SWAGE_SPECTRUM_VIEW (widget));
  GTK_WIDGET_CLASS (swage_spectrum_view_parent_class)->unmap (widget);
}

static void
draw (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme)
{
  SwageChartSpectrum chart = get_chart (SWAGE_SPECTRUM_VIEW (plot));
  swage_chart_spectrum_draw (cr, w, h, &chart, theme);
}

static void
get_frame (SwagePlot *plot, double w, double h, const SwageChartTheme *theme, SwageChartRect *rect,
           double *lo, double *hi)
{
  SwageChartSpectrum chart = get_chart (SWAGE_SPECTRUM_VIEW (plot));
  swage_chart_spectrum_get_frame (w, h, &chart, theme, rect, lo, hi);
}

static double
step (SwagePlot *plot, double hover, int direction)
{
  SwageSpectrumView *view = SWAGE_SPECTRUM_VIEW (plot);
  if (view->before == NULL)
    return NAN;
  double n = (double)view->before->n;
  return CLAMP (isnan (hover) ? (direction > 0 ? 1 : n) : ceil (hover) + direction, 1, n);
}

static char *
describe (SwagePlot *plot)
{
  SwageChartSpectrum chart = get_chart (SWAGE_SPECTRUM_VIEW (plot));
  return swage_chart_spectrum_describe (&chart);
}

static char *
to_text (SwagePlot *plot)
{
  SwageChartSpectrum chart = get_chart (SWAGE_SPECTRUM_VIEW (plot));
  return swage_chart_spectrum_to_text (&chart);
}

void
swage_spectrum_view_set_session (SwageSpectrumView *view, SwageSession *session)
{
  g_set_object (&view->session, session);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (on_model_changed), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (update), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update), view, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (on_statistics_changed), view,
                           G_CONNECT_SWAPPED);
  update (view);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageSpectrumView *view = SWAGE_SPECTRUM_VIEW (object);
  const char *text = id == PROP_NOTE ? view->note : view->facts;
  g_value_set_string (value, text != NULL ? text : "");
}

static void
dispose (GObject *object)
{
  SwageSpectrumView *view = SWAGE_SPECTRUM_VIEW (object);
  stop (view);
  view->before = NULL;
  g_clear_pointer (&view->originals, g_hash_table_unref);
  g_clear_pointer (&view->after, swage_spectrum_free);
  g_clear_pointer (&view->after_weight, swage_weight_unref);
  g_clear_object (&view->item);
  g_clear_object (&view->session);
  g_clear_pointer (&view->note, g_free);
  g_clear_pointer (&view->facts, g_free);
  G_OBJECT_CLASS (swage_spectrum_view_parent_class)->dispose (object);
}

static void
swage_spectrum_view_class_init (SwageSpectrumViewClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  SwagePlotClass *plot_class = SWAGE_PLOT_CLASS (klass);
  object_class->dispose = dispose;
  object_class->get_property = get_property;
  GTK_WIDGET_CLASS (klass)->map = map;
  GTK_WIDGET_CLASS (klass)->unmap = unmap;
  plot_class->draw = draw;
  plot_class->get_frame = get_frame;
  plot_class->step = step;
  plot_class->describe = describe;
  plot_class->to_text = to_text;
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  props[PROP_NOTE] = g_param_spec_string ("note", NULL, NULL, NULL, flags);
  props[PROP_FACTS] = g_param_spec_string ("facts", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
swage_spectrum_view_init (SwageSpectrumView *view)
{
  view->originals
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)swage_spectrum_free);
  swage_plot_changed (SWAGE_PLOT (view), true);
}
