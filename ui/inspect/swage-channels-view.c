/* SPDX-License-Identifier: MIT */
#include "ui/inspect/swage-channels-view.h"

#include "ui/chart/swage-chart-channels.h"

/* Channels this far above the mean of all are marked: the usual 6σ of the outlier literature. */
#define SIGMA 6.0

struct _SwageChannelsView
{
  SwagePlot parent_instance;
  const float *before, *after;
  int64_t n;
  double threshold;
  char *x_label;
  bool log_y;
};

G_DEFINE_FINAL_TYPE (SwageChannelsView, swage_channels_view, SWAGE_TYPE_PLOT)

static SwageChartChannels
get_chart (SwageChannelsView *view)
{
  const SwagePlotState *state = swage_plot_get_state (SWAGE_PLOT (view));
  return (SwageChartChannels){ .before = view->before,
                               .after = view->after,
                               .n = view->n,
                               .x_label = view->x_label,
                               .log_y = view->log_y,
                               .x_min = state->zoom_lo,
                               .x_max = state->zoom_hi,
                               .threshold = view->threshold,
                               .hover = state->hover,
                               .drag_lo = state->drag_lo,
                               .drag_hi = state->drag_hi };
}

static void
draw (SwagePlot *plot, cairo_t *cr, double w, double h, const SwageChartTheme *theme)
{
  SwageChartChannels chart = get_chart (SWAGE_CHANNELS_VIEW (plot));
  /* the mark goes to the channel that is drawn under the pointer, which may stand for several */
  const SwagePlotState *state = swage_plot_get_state (plot);
  if (!isnan (state->pointer_x) && !isnan (state->hover))
    {
      int64_t channel = swage_chart_channels_hit_at (w, h, &chart, theme, state->pointer_x, state->pointer_y);
      chart.hover = channel >= 0 ? (double)channel : NAN;
    }
  swage_chart_channels_draw (cr, w, h, &chart, theme);
}

static void
get_frame (SwagePlot *plot, double w, double h, const SwageChartTheme *theme, SwageChartRect *rect,
           double *lo, double *hi)
{
  SwageChartChannels chart = get_chart (SWAGE_CHANNELS_VIEW (plot));
  swage_chart_channels_get_frame (w, h, &chart, theme, rect, lo, hi);
}

static double
step (SwagePlot *plot, double hover, int direction)
{
  SwageChannelsView *view = SWAGE_CHANNELS_VIEW (plot);
  if (view->before == NULL || view->n < 1)
    return NAN;
  double channel = isnan (hover) ? (direction > 0 ? 0 : (double)view->n - 1) : floor (hover) + direction;
  return CLAMP (channel, 0, (double)view->n - 1);
}

static char *
describe (SwagePlot *plot)
{
  SwageChartChannels chart = get_chart (SWAGE_CHANNELS_VIEW (plot));
  return swage_chart_channels_describe (&chart);
}

static char *
to_text (SwagePlot *plot)
{
  SwageChartChannels chart = get_chart (SWAGE_CHANNELS_VIEW (plot));
  return swage_chart_channels_to_text (&chart);
}

void
swage_channels_view_set_data (SwageChannelsView *view, const float *before, const float *after, int64_t n,
                              const char *x_label, bool reset)
{
  view->before = before;
  view->after = after;
  view->n = before != NULL ? n : 0;
  view->threshold = before != NULL ? swage_chart_channels_threshold (before, n, SIGMA) : 0;
  g_free (view->x_label);
  view->x_label = g_strdup (x_label);
  swage_plot_changed (SWAGE_PLOT (view), reset);
}

void
swage_channels_view_set_log (SwageChannelsView *view, bool log_y)
{
  view->log_y = log_y;
  swage_plot_changed (SWAGE_PLOT (view), false);
}

static void
finalize (GObject *object)
{
  g_free (SWAGE_CHANNELS_VIEW (object)->x_label);
  G_OBJECT_CLASS (swage_channels_view_parent_class)->finalize (object);
}

static void
swage_channels_view_class_init (SwageChannelsViewClass *klass)
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
swage_channels_view_init (SwageChannelsView *view)
{
  swage_plot_changed (SWAGE_PLOT (view), true);
}
