/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-tradeoff-view.h"

#include "ui/chart/swage-chart-tradeoff.h"
#include "ui/shell/swage-session-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _SwageTradeoffView
{
  SwagePlot parent_instance;
  SwageSession *session;
  bool perplexity;
  GArray *trials;   /* SwageChartTrial */
  GPtrArray *items; /* SwageTrial, beside them */
  SwageChartTradeoff chart;
};

G_DEFINE_FINAL_TYPE (SwageTradeoffView, swage_tradeoff_view, SWAGE_TYPE_PLOT)

static guint activated_signal;

static void
update_running (SwageTradeoffView *view)
{
  SwageSession *session = view->session;
  view->chart.has_running = session->has_running;
  if (session->has_running)
    {
      const SwagePreviewResult *r = &session->running;
      view->chart.running
          = (SwageChartTrial){ .bytes = (double)r->bytes,
                               .value = view->perplexity ? r->perplexity : r->kld_mean,
                               .error = view->perplexity ? r->perplexity_stderr : r->kld_stderr };
      if (r->bytes == 0)
        view->chart.running.bytes = session->has_size ? (double)session->size.bytes : 0;
    }
  gtk_widget_queue_draw (GTK_WIDGET (view));
}

static void
update (SwageTradeoffView *view)
{
  SwageSession *session = view->session;
  SwageHistory *history = swage_session_get_history (session);
  GListModel *list = swage_history_get_trials (history);
  guint n = g_list_model_get_n_items (list);
  bool measured = false;
  g_array_set_size (view->trials, 0);
  g_ptr_array_set_size (view->items, 0);
  view->chart.original_value = NAN;
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageTrial) trial = g_list_model_get_item (list, i);
      SwageChartTrial one = { .bytes = (double)trial->bytes,
                              .value = view->perplexity ? trial->perplexity : trial->kld,
                              .error = view->perplexity ? trial->perplexity_stderr : trial->kld_stderr,
                              .number = trial->number,
                              .current = trial->current };
      for (int slot = 0; slot < 2; slot++)
        if (strchr (trial->marks, 'A' + slot) != NULL)
          one.mark = (char)('A' + slot);
      measured |= trial->current;
      if (view->perplexity)
        view->chart.original_value = trial->baseline_perplexity;
      g_array_append_val (view->trials, one);
      g_ptr_array_add (view->items, g_object_ref (trial));
    }
  swage_chart_tradeoff_find_front ((SwageChartTrial *)(void *)view->trials->data, (int)n);
  view->chart.trials = (const SwageChartTrial *)(const void *)view->trials->data;
  view->chart.n = (int)n;
  view->chart.original_bytes = session->has_size ? (double)session->size.original_bytes : 0;
  view->chart.planned_bytes
      = session->has_size && !measured && session->size.bytes != session->size.original_bytes
            ? (double)session->size.bytes
            : 0;
  view->chart.log_y = !view->perplexity;
  view->chart.value_label = view->perplexity ? _ ("perplexity") : _ ("KLD");
  update_running (view);
  swage_plot_changed (SWAGE_PLOT (view), false);
}

static int
get_hover (SwageTradeoffView *view, double w, double h, const SwageChartTheme *theme)
{
  const SwagePlotState *state = swage_plot_get_state (SWAGE_PLOT (view));
  if (!isnan (state->pointer_x))
    return swage_chart_tradeoff_hit_at (w, h, &view->chart, theme, state->pointer_x, state->pointer_y);
  return !isnan (state->hover) && state->hover < view->chart.n ? (int)state->hover : -1;
}

static void
draw (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (plot);
  view->chart.hover = get_hover (view, w, h, theme);
  swage_chart_tradeoff_draw (cr, w, h, &view->chart, theme);
}

static void
activate (SwagePlot *plot, double hover)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (plot);
  if (!isnan (hover) && hover >= 0 && hover < view->items->len)
    g_signal_emit (view, activated_signal, 0, view->items->pdata[(int)hover]);
}

static void
press (SwagePlot *plot, double x, double y, GdkModifierType modifiers)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (plot);
  activate (plot, swage_chart_tradeoff_hit_at (gtk_widget_get_width (GTK_WIDGET (plot)),
                                               gtk_widget_get_height (GTK_WIDGET (plot)), &view->chart,
                                               swage_plot_get_theme (plot), x, y));
}

/* From the smaller plan to the next larger one. */
static double
step (SwagePlot *plot, double hover, int direction)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (plot);
  int n = view->chart.n, at = isnan (hover) || hover >= n ? -1 : (int)hover, best = -1;
  const SwageChartTrial *trials = view->chart.trials;
  for (int i = 0; i < n; i++)
    {
      /* order by size, then by place in the list */
      double ahead = at < 0 ? 1
                            : direction
                                  * (trials[i].bytes != trials[at].bytes ? trials[i].bytes - trials[at].bytes
                                                                         : (double)(i - at));
      if (ahead <= 0 || i == at)
        continue;
      double other = best < 0
                         ? 0
                         : direction
                               * (trials[i].bytes != trials[best].bytes ? trials[i].bytes - trials[best].bytes
                                                                        : (double)(i - best));
      if (best < 0 || other < 0)
        best = i;
    }
  return best >= 0 ? best : at >= 0 ? at : NAN;
}

static char *
describe (SwagePlot *plot)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (plot);
  const SwagePlotState *state = swage_plot_get_state (plot);
  if (isnan (state->hover) || state->hover >= view->chart.n)
    return swage_chart_tradeoff_describe (&view->chart);
  SwageTrial *trial = view->items->pdata[(int)state->hover];
  g_autofree char *size = NULL, *kld = NULL, *perplexity = NULL;
  g_object_get (trial, "size-text", &size, "kld-text", &kld, "perplexity-text", &perplexity, NULL);
  return g_strdup_printf (_ ("Trial %d: %s, divergence %s, perplexity %s; %s. Return restores it."),
                          trial->number, size, kld, perplexity, trial->title);
}

static char *
to_text (SwagePlot *plot)
{
  return swage_chart_tradeoff_to_text (&SWAGE_TRADEOFF_VIEW (plot)->chart);
}

void
swage_tradeoff_view_set_session (SwageTradeoffView *view, SwageSession *session)
{
  g_set_object (&view->session, session);
  g_signal_connect_object (swage_session_get_history (session), "changed", G_CALLBACK (update), view,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::perplexity-text", G_CALLBACK (update_running), view,
                           G_CONNECT_SWAPPED);
  update (view);
}

void
swage_tradeoff_view_set_perplexity (SwageTradeoffView *view, bool perplexity)
{
  view->perplexity = perplexity;
  if (view->session != NULL)
    update (view);
}

static void
dispose (GObject *object)
{
  SwageTradeoffView *view = SWAGE_TRADEOFF_VIEW (object);
  g_clear_object (&view->session);
  view->chart.n = 0;
  g_clear_pointer (&view->trials, g_array_unref);
  g_clear_pointer (&view->items, g_ptr_array_unref);
  G_OBJECT_CLASS (swage_tradeoff_view_parent_class)->dispose (object);
}

static void
swage_tradeoff_view_class_init (SwageTradeoffViewClass *klass)
{
  SwagePlotClass *plot_class = SWAGE_PLOT_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  plot_class->draw = draw;
  plot_class->press = press;
  plot_class->step = step;
  plot_class->activate = activate;
  plot_class->describe = describe;
  plot_class->to_text = to_text;
  activated_signal = g_signal_new ("trial-activated", SWAGE_TYPE_TRADEOFF_VIEW, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 1, SWAGE_TYPE_TRIAL);
}

static void
swage_tradeoff_view_init (SwageTradeoffView *view)
{
  view->chart = (SwageChartTradeoff)SWAGE_CHART_TRADEOFF_INIT;
  view->trials = g_array_new (FALSE, TRUE, sizeof (SwageChartTrial));
  view->items = g_ptr_array_new_with_free_func (g_object_unref);
  swage_plot_changed (SWAGE_PLOT (view), true);
}
