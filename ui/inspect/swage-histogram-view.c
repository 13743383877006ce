/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-histogram-view.h"

#include "ui/chart/swage-chart-histogram.h"

struct _SwageHistogramView
{
  SwagePlot parent_instance;
  const SwageSummary *before, *after;
  char *x_label;
  bool log_y;
  const float *levels;
  int n_levels;
};

G_DEFINE_FINAL_TYPE (SwageHistogramView, swage_histogram_view, SWAGE_TYPE_PLOT)

static SwageChartHistogram
get_chart (SwageHistogramView *view)
{
  const SwagePlotState *state = swage_plot_get_state (SWAGE_PLOT (view));
  return (SwageChartHistogram){ .before = view->before,
                                .after = view->after,
                                .x_label = view->x_label,
                                .log_y = view->log_y,
                                .levels = view->levels,
                                .n_levels = view->n_levels,
                                .x_min = state->zoom_lo,
                                .x_max = state->zoom_hi,
                                .hover = state->hover,
                                .drag_lo = state->drag_lo,
                                .drag_hi = state->drag_hi };
}

static void
draw (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme)
{
  SwageChartHistogram chart = get_chart (SWAGE_HISTOGRAM_VIEW (plot));
  swage_chart_histogram_draw (cr, w, h, &chart, theme);
}

static void
get_frame (SwagePlot *plot, double w, double h, const SwageChartTheme *theme, SwageChartRect *rect,
           double *lo, double *hi)
{
  SwageChartHistogram chart = get_chart (SWAGE_HISTOGRAM_VIEW (plot));
  swage_chart_histogram_get_frame (w, h, &chart, theme, rect, lo, hi);
}

static double
step (SwagePlot *plot, double hover, int direction)
{
  SwageHistogramView *view = SWAGE_HISTOGRAM_VIEW (plot);
  if (view->before == NULL || view->before->histogram.n_bins < 1)
    return NAN;
  const SwageHistogram *histogram = &view->before->histogram;
  double width = (histogram->hi - histogram->lo) / histogram->n_bins;
  int bin = isnan (hover) ? (direction > 0 ? 0 : histogram->n_bins - 1)
                          : (int)floor ((hover - histogram->lo) / width) + direction;
  return histogram->lo + (CLAMP (bin, 0, histogram->n_bins - 1) + 0.5) * width;
}

static char *
describe (SwagePlot *plot)
{
  SwageChartHistogram chart = get_chart (SWAGE_HISTOGRAM_VIEW (plot));
  return swage_chart_histogram_describe (&chart);
}

static char *
to_text (SwagePlot *plot)
{
  SwageChartHistogram chart = get_chart (SWAGE_HISTOGRAM_VIEW (plot));
  return swage_chart_histogram_to_text (&chart);
}

void
swage_histogram_view_set_data (SwageHistogramView *view, const SwageSummary *before,
                               const SwageSummary *after, const char *x_label, bool reset)
{
  view->before = before;
  view->after = after;
  g_free (view->x_label);
  view->x_label = g_strdup (x_label);
  swage_plot_changed (SWAGE_PLOT (view), reset);
}

void
swage_histogram_view_set_levels (SwageHistogramView *view, const float *levels, int n)
{
  view->levels = levels;
  view->n_levels = n;
}

void
swage_histogram_view_set_log (SwageHistogramView *view, bool log_y)
{
  view->log_y = log_y;
  swage_plot_changed (SWAGE_PLOT (view), false);
}

static void
finalize (GObject *object)
{
  g_free (SWAGE_HISTOGRAM_VIEW (object)->x_label);
  G_OBJECT_CLASS (swage_histogram_view_parent_class)->finalize (object);
}

static void
swage_histogram_view_class_init (SwageHistogramViewClass *klass)
{
  SwagePlotClass *plot_class = SWAGE_PLOT_CLASS (klass);
  G_OBJECT_CLASS (klass)->finalize = finalize;
  plot_class->draw = draw;
  plot_class->get_frame = get_frame;
  plot_class->step = step;
  plot_class->describe = describe;
  plot_class->to_text = to_text;
}

static void
swage_histogram_view_init (SwageHistogramView *view)
{
  view->log_y = true;
  swage_plot_changed (SWAGE_PLOT (view), true);
}
