/* SPDX-License-Identifier: MIT
 *
 * A layer may have more channels than the plot has pixels. Each column of pixels then shows the largest of
 * its channels: a single outlier among thousands stays visible, which is what the plot is for.
 */
#include "ui/chart/swage-chart-channels.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <stdlib.h>

typedef struct
{
  SwageChartRect plot;
  double lo, hi;     /* channels */
  double y_lo, y_hi; /* values */
  bool log_y;
} Frame;

static void
get_range (const SwageChartChannels *data, double *lo, double *hi)
{
  *lo = 0;
  *hi = data->n > 0 ? (double)data->n : 1;
  if (data->x_max > data->x_min)
    {
      *lo = fmax (*lo, data->x_min);
      *hi = fmin (*hi, data->x_max);
    }
  if (!(*hi > *lo))
    *hi = *lo + 1;
}

void
swage_chart_channels_get_frame (double w, double h, const SwageChartChannels *data,
                                const SwageChartTheme *theme, SwageChartRect *plot, double *lo, double *hi)
{
  double width, line;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  double left = 4.5 * theme->font_size + 4, top = line + 14 + (data->title != NULL ? line + 4 : 0);
  double bottom = line + 10 + (data->x_label != NULL ? line + 4 : 0);
  *plot = (SwageChartRect){ left, top, fmax (10, w - left - 14), fmax (10, h - top - bottom) };
  get_range (data, lo, hi);
}

static void
frame_init (Frame *frame, double w, double h, const SwageChartChannels *data, const SwageChartTheme *theme)
{
  swage_chart_channels_get_frame (w, h, data, theme, &frame->plot, &frame->lo, &frame->hi);
  double most = 0, least = INFINITY;
  for (int64_t i = (int64_t)frame->lo; data->before != NULL && i < data->n && (double)i < frame->hi; i++)
    for (int series = 0; series < 2; series++)
      {
        const float *values = series == 0 ? data->before : data->after;
        if (values == NULL || !isfinite (values[i]))
          continue;
        most = fmax (most, values[i]);
        if (values[i] > 0)
          least = fmin (least, values[i]);
      }
  frame->log_y = data->log_y && most > 0;
  frame->y_hi = most > 0 ? most * (frame->log_y ? 1.3 : 1.06) : 1;
  frame->y_lo = frame->log_y ? fmax (least * 0.7, most * 1e-6) : 0;
}

static double
x_of (const Frame *frame, double channel)
{
  return frame->plot.x + (channel - frame->lo) / (frame->hi - frame->lo) * frame->plot.width;
}

static double
y_of (const Frame *frame, double value)
{
  double t = frame->log_y ? log (fmax (value, frame->y_lo) / frame->y_lo) / log (frame->y_hi / frame->y_lo)
                          : value / frame->y_hi;
  return frame->plot.y + frame->plot.height * (1 - fmin (1, fmax (0, t)));
}

static void
draw_y_axis (cairo_t *cr, const Frame *frame, const SwageChartTheme *theme)
{
  char text[32];
  cairo_set_line_width (cr, 1);
  double step = swage_chart_tick_step (0, frame->y_hi, (int)fmax (2, frame->plot.height / 48));
  double value = frame->log_y ? pow (10, ceil (log10 (frame->y_lo))) : 0;
  while (value <= frame->y_hi && (frame->log_y || step > 0))
    {
      double y = floor (y_of (frame, value)) + 0.5;
      swage_chart_set_color (cr, &theme->grid, 1);
      cairo_move_to (cr, frame->plot.x, y);
      cairo_line_to (cr, frame->plot.x + frame->plot.width, y);
      cairo_stroke (cr);
      if (frame->log_y)
        g_snprintf (text, sizeof text, "%g", value);
      else
        swage_chart_format_tick (text, sizeof text, value, step);
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, text, frame->plot.x - 6, y, 1, 0.5);
      value = frame->log_y ? value * 10 : value + step;
    }
}

/* The channels that one column of pixels stands for: [*from, *to). */
static void
column_channels (const Frame *frame, int64_t n, double x, int64_t *from, int64_t *to)
{
  double per_pixel = (frame->hi - frame->lo) / frame->plot.width;
  double channel = frame->lo + (x - frame->plot.x) * per_pixel;
  *from = (int64_t)fmax (0, floor (channel));
  *to = (int64_t)fmin ((double)n,
                       fmax ((double)*from + 1, ceil (channel + fmax (per_pixel - 1e-9, 0) - 1e-9)));
}

static int64_t
largest (const float *values, int64_t from, int64_t to)
{
  int64_t best = from;
  for (int64_t i = from; i < to; i++)
    if (values[i] > values[best])
      best = i;
  return best;
}

static void
trace (cairo_t *cr, const Frame *frame, const float *values, int64_t n)
{
  double base = frame->plot.y + frame->plot.height, right = frame->plot.x + frame->plot.width;
  cairo_move_to (cr, frame->plot.x, base);
  if (frame->hi - frame->lo > frame->plot.width)
    for (double x = frame->plot.x; x < right; x++)
      {
        int64_t from, to;
        column_channels (frame, n, x, &from, &to);
        if (from >= n)
          break;
        double y = y_of (frame, values[largest (values, from, to)]);
        cairo_line_to (cr, x, y);
        cairo_line_to (cr, fmin (right, x + 1), y);
      }
  else
    for (int64_t i = (int64_t)floor (frame->lo); i < n && (double)i < frame->hi; i++)
      {
        double y = y_of (frame, values[i]);
        cairo_line_to (cr, fmax (frame->plot.x, x_of (frame, (double)i)), y);
        cairo_line_to (cr, fmin (right, x_of (frame, (double)i + 1)), y);
      }
  cairo_line_to (cr, right, base);
}

static void
draw_outliers (cairo_t *cr, const Frame *frame, const SwageChartChannels *data, const SwageChartTheme *theme)
{
  if (data->threshold <= 0 || !(data->threshold < frame->y_hi))
    return;
  double y = floor (y_of (frame, data->threshold)) + 0.5, base = frame->plot.y + frame->plot.height;
  swage_chart_set_color (cr, &theme->outlier, 0.9);
  cairo_set_line_width (cr, 1);
  cairo_set_dash (cr, (const double[]){ 4, 3 }, 2, 0);
  cairo_move_to (cr, frame->plot.x, y);
  cairo_line_to (cr, frame->plot.x + frame->plot.width, y);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  double bar = fmax (1.5, frame->plot.width / (frame->hi - frame->lo));
  for (int64_t i = (int64_t)floor (frame->lo); i < data->n && (double)i < frame->hi; i++)
    if (data->before[i] > data->threshold)
      {
        double x = x_of (frame, (double)i), top = y_of (frame, data->before[i]), middle = x + bar / 2;
        cairo_rectangle (cr, x, top, bar, base - top);
        cairo_fill (cr);
        /* a mark of its own shape, for eyes that do not tell the colours apart */
        cairo_move_to (cr, middle, top - 3);
        cairo_rel_line_to (cr, 3.5, -6);
        cairo_rel_line_to (cr, -7, 0);
        cairo_close_path (cr);
        cairo_fill (cr);
      }
}

static void
draw_head (cairo_t *cr, const Frame *frame, const SwageChartChannels *data, const SwageChartTheme *theme)
{
  double width, line, y = 4, x = frame->plot.x;
  swage_chart_measure (cr, theme, "0", &width, &line);
  if (data->title != NULL)
    {
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, data->title, x, y, 0, 0);
      y += line + 4;
    }
  for (int series = 0; series < (data->after != NULL ? 2 : 1); series++)
    {
      bool fill = series == 1 || data->after == NULL;
      const char *label = series == 0 ? data->before_label : data->after_label;
      if (label == NULL)
        label = series == 0 ? _ ("original") : _ ("plan");
      swage_chart_set_color (cr, fill ? &theme->after : &theme->before, fill ? 0.65 : 1);
      cairo_rectangle (cr, floor (x) + 0.5, floor (y + line / 2 - 5) + 0.5, 12, 9);
      cairo_set_line_width (cr, 1.2);
      if (fill)
        cairo_fill (cr);
      else
        cairo_stroke (cr);
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, label, x + 18, y, 0, 0);
      swage_chart_measure (cr, theme, label, &width, &line);
      x += 18 + width + 16;
    }
  if (data->threshold > 0 && data->before != NULL)
    {
      int64_t above = 0;
      for (int64_t i = 0; i < data->n; i++)
        above += data->before[i] > data->threshold;
      g_autofree char *text
          = g_strdup_printf (_ ("%lld of %lld stand out"), (long long)above, (long long)data->n);
      swage_chart_measure (cr, theme, text, &width, &line);
      double right = frame->plot.x + frame->plot.width;
      if (right - width >= x)
        {
          swage_chart_set_color (cr, &theme->outlier, 1);
          swage_chart_text (cr, theme, text, right, y, 1, 0);
        }
    }
}

void
swage_chart_channels_draw (cairo_t *cr, double w, double h, const SwageChartChannels *data,
                           const SwageChartTheme *theme)
{
  Frame frame;
  frame_init (&frame, w, h, data, theme);
  cairo_save (cr);
  if (theme->background.alpha > 0)
    {
      swage_chart_set_color (cr, &theme->background, 1);
      cairo_rectangle (cr, 0, 0, w, h);
      cairo_fill (cr);
    }
  swage_chart_x_axis (cr, theme, &frame.plot, frame.lo, frame.hi, true, data->x_label);
  if (data->before != NULL && data->n > 0)
    {
      draw_y_axis (cr, &frame, theme);
      trace (cr, &frame, data->after != NULL ? data->after : data->before, data->n);
      swage_chart_set_color (cr, &theme->after, 0.65);
      cairo_fill (cr);
      if (data->after != NULL)
        {
          trace (cr, &frame, data->before, data->n);
          swage_chart_set_color (cr, &theme->before, 1);
          cairo_set_line_width (cr, 1);
          cairo_stroke (cr);
        }
      draw_outliers (cr, &frame, data, theme);
      if (!isnan (data->drag_lo) && !isnan (data->drag_hi))
        {
          double from = fmax (frame.plot.x, x_of (&frame, fmin (data->drag_lo, data->drag_hi)));
          double to
              = fmin (frame.plot.x + frame.plot.width, x_of (&frame, fmax (data->drag_lo, data->drag_hi)));
          swage_chart_set_color (cr, &theme->after, 0.2);
          cairo_rectangle (cr, from, frame.plot.y, to - from, frame.plot.height);
          cairo_fill (cr);
        }
    }
  draw_head (cr, &frame, data, theme);
  if (data->before != NULL && data->hover >= frame.lo && data->hover < frame.hi
      && data->hover < (double)data->n)
    {
      int64_t channel = (int64_t)data->hover;
      double x = x_of (&frame, (double)channel), width = fmax (1, frame.plot.width / (frame.hi - frame.lo));
      swage_chart_set_color (cr, &theme->foreground, 0.25);
      cairo_rectangle (cr, x, frame.plot.y, width, frame.plot.height);
      cairo_fill (cr);
      g_autofree char *name = g_strdup_printf (_ ("channel %lld"), (long long)channel);
      g_autofree char *before = g_strdup_printf (_ ("original: %.4g"), data->before[channel]);
      g_autofree char *after
          = data->after != NULL ? g_strdup_printf (_ ("plan: %.4g"), data->after[channel]) : NULL;
      const char *lines[] = { name, before, after };
      swage_chart_card (cr, theme, &frame.plot, x + width / 2, frame.plot.y + frame.plot.height * 0.3, lines,
                        after != NULL ? 3 : 2);
    }
  cairo_restore (cr);
}

int64_t
swage_chart_channels_hit_at (double w, double h, const SwageChartChannels *data, const SwageChartTheme *theme,
                             double x, double y)
{
  Frame frame;
  swage_chart_channels_get_frame (w, h, data, theme, &frame.plot, &frame.lo, &frame.hi);
  if (data->before == NULL || x < frame.plot.x || x >= frame.plot.x + frame.plot.width || y < frame.plot.y
      || y > frame.plot.y + frame.plot.height)
    return -1;
  int64_t from, to;
  /* the column as drawn, so that what is told is what is seen */
  if (frame.hi - frame.lo > frame.plot.width)
    x = frame.plot.x + floor (x - frame.plot.x);
  column_channels (&frame, data->n, x, &from, &to);
  return from < data->n ? largest (data->before, from, to) : -1;
}

int
swage_chart_channels_top (const float *values, int64_t n_values, int n, int64_t *channels)
{
  int found = 0;
  /* insertion into a short list: n is small, and the order is total */
  for (int64_t i = 0; i < n_values; i++)
    {
      if (isnan (values[i]))
        continue;
      int at = found;
      while (at > 0 && values[channels[at - 1]] < values[i])
        at--;
      if (at >= n)
        continue;
      if (found < n)
        found++;
      for (int k = found - 1; k > at; k--)
        channels[k] = channels[k - 1];
      channels[at] = i;
    }
  return found;
}

double
swage_chart_channels_threshold (const float *values, int64_t n, double sigma)
{
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++)
    sum += values[i];
  double mean = n > 0 ? sum / (double)n : 0;
  for (int64_t i = 0; i < n; i++)
    squares += (values[i] - mean) * (values[i] - mean);
  return mean + sigma * (n > 0 ? sqrt (squares / (double)n) : 0);
}

char *
swage_chart_channels_describe (const SwageChartChannels *data)
{
  if (data->before == NULL || data->n < 1)
    return g_strdup (_ ("Channel plot without data"));
  int64_t top[3];
  int n = swage_chart_channels_top (data->before, data->n, 3, top);
  GString *text = g_string_new (NULL);
  g_string_append_printf (text, _ ("Largest magnitude of %lld channels."), (long long)data->n);
  for (int i = 0; i < n; i++)
    g_string_append_printf (text, _ (" Channel %lld: %.4g."), (long long)top[i], data->before[top[i]]);
  return g_string_free (text, FALSE);
}

char *
swage_chart_channels_to_text (const SwageChartChannels *data)
{
  GString *text = g_string_new (data->after != NULL ? "channel\toriginal\tplan\n" : "channel\toriginal\n");
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  for (int64_t i = 0; data->before != NULL && i < data->n; i++)
    {
      g_string_append_printf (text, "%" PRId64 "\t%s", i,
                              g_ascii_formatd (number, sizeof number, "%.9g", data->before[i]));
      if (data->after != NULL)
        g_string_append_printf (text, "\t%s",
                                g_ascii_formatd (number, sizeof number, "%.9g", data->after[i]));
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}
