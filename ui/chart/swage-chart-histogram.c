/* SPDX-License-Identifier: MIT
 *
 * Counts are drawn on a logarithmic axis that begins at ½, so that a bin of one value is seen: the outliers
 * that compression stumbles over are such bins. The two series may have bins of different width; `after` is
 * scaled to the width of `before`'s bins, so equal densities have equal heights.
 */
#include "ui/chart/swage-chart-histogram.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define LOG_FLOOR 0.5

typedef struct
{
  SwageChartRect plot;
  double lo, hi;
  double y_max; /* count at the upper edge */
  bool log_y;
} Frame;

static double
bin_width (const SwageHistogram *histogram)
{
  return histogram->n_bins > 0 ? (histogram->hi - histogram->lo) / histogram->n_bins : 0;
}

/* How much the counts of `after` are scaled. */
static double
after_scale (const SwageChartHistogram *data)
{
  double width = bin_width (&data->after->histogram);
  return width > 0 ? bin_width (&data->before->histogram) / width : 1;
}

static void
get_range (const SwageChartHistogram *data, double *lo, double *hi)
{
  if (data->x_max > data->x_min)
    {
      *lo = data->x_min;
      *hi = data->x_max;
      return;
    }
  *lo = 0;
  *hi = 1;
  if (data->before != NULL && data->before->histogram.n_bins > 0)
    {
      *lo = data->before->histogram.lo;
      *hi = data->before->histogram.hi;
      if (data->after != NULL && data->after->histogram.n_bins > 0)
        {
          *lo = fmin (*lo, data->after->histogram.lo);
          *hi = fmax (*hi, data->after->histogram.hi);
        }
    }
  if (!(*hi > *lo))
    {
      *lo -= 0.5;
      *hi = *lo + 1;
    }
}

static double
highest (const SwageHistogram *histogram, double lo, double hi, double scale)
{
  double most = 0, width = bin_width (histogram);
  for (int i = 0; i < histogram->n_bins; i++)
    if (histogram->lo + (i + 1) * width > lo && histogram->lo + i * width < hi)
      most = fmax (most, scale * (double)histogram->counts[i]);
  return most;
}

static void
get_plot (double w, double h, const SwageChartHistogram *data, const SwageChartTheme *theme,
          SwageChartRect *plot)
{
  double width, line;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  double left = 4.5 * theme->font_size + 4, top = line + 14 + (data->title != NULL ? line + 4 : 0);
  double bottom = line + 10 + (data->x_label != NULL ? line + 4 : 0);
  *plot = (SwageChartRect){ left, top, fmax (10, w - left - 14), fmax (10, h - top - bottom) };
}

void
swage_chart_histogram_get_frame (double w, double h, const SwageChartHistogram *data,
                                 const SwageChartTheme *theme, SwageChartRect *plot, double *lo, double *hi)
{
  get_plot (w, h, data, theme, plot);
  get_range (data, lo, hi);
}

static void
frame_init (Frame *frame, double w, double h, const SwageChartHistogram *data, const SwageChartTheme *theme)
{
  swage_chart_histogram_get_frame (w, h, data, theme, &frame->plot, &frame->lo, &frame->hi);
  frame->log_y = data->log_y;
  double most = 1;
  if (data->before != NULL)
    most = fmax (most, highest (&data->before->histogram, frame->lo, frame->hi, 1));
  if (data->before != NULL && data->after != NULL)
    most = fmax (most, highest (&data->after->histogram, frame->lo, frame->hi, after_scale (data)));
  frame->y_max = data->log_y ? most * 2 : most * 1.08;
}

static double
x_of (const Frame *frame, double value)
{
  return frame->plot.x + (value - frame->lo) / (frame->hi - frame->lo) * frame->plot.width;
}

static double
y_of (const Frame *frame, double count)
{
  double t = frame->log_y ? log (fmax (count, LOG_FLOOR) / LOG_FLOOR) / log (frame->y_max / LOG_FLOOR)
                          : count / frame->y_max;
  return frame->plot.y + frame->plot.height * (1 - fmin (1, fmax (0, t)));
}

/* The upper edge of a series as a path from the first to the last visible bin, starting and ending on the
 * base line. */
static void
trace (cairo_t *cr, const Frame *frame, const SwageHistogram *histogram, double scale)
{
  double width = bin_width (histogram), base = frame->plot.y + frame->plot.height;
  bool open = false;
  for (int i = 0; i < histogram->n_bins; i++)
    {
      double lo = histogram->lo + i * width, hi = lo + width;
      if (hi <= frame->lo || lo >= frame->hi)
        continue;
      double left = fmax (frame->plot.x, x_of (frame, lo)),
             y = y_of (frame, scale * (double)histogram->counts[i]);
      double right = fmin (frame->plot.x + frame->plot.width, x_of (frame, hi));
      if (!open)
        cairo_move_to (cr, left, base);
      open = true;
      cairo_line_to (cr, left, y);
      cairo_line_to (cr, right, y);
      if (i + 1 == histogram->n_bins || hi >= frame->hi)
        cairo_line_to (cr, right, base);
    }
}

static void
draw_y_axis (cairo_t *cr, const Frame *frame, const SwageChartTheme *theme)
{
  char text[32];
  double right = frame->plot.x + frame->plot.width, width, line;
  swage_chart_measure (cr, theme, "0", &width, &line);
  cairo_set_line_width (cr, 1);
  if (frame->log_y)
    {
      double decades = log10 (frame->y_max),
             every = fmax (1, ceil (decades * line * 1.4 / frame->plot.height));
      for (double d = 0; d <= decades; d += every)
        {
          double y = floor (y_of (frame, pow (10, d))) + 0.5;
          swage_chart_set_color (cr, &theme->grid, 1);
          cairo_move_to (cr, frame->plot.x, y);
          cairo_line_to (cr, right, y);
          cairo_stroke (cr);
          swage_chart_format_count (text, sizeof text, pow (10, d));
          swage_chart_set_color (cr, &theme->muted, 1);
          swage_chart_text (cr, theme, text, frame->plot.x - 6, y, 1, 0.5);
        }
      return;
    }
  double step = swage_chart_tick_step (0, frame->y_max, (int)fmax (2, frame->plot.height / 48));
  for (double v = 0; step > 0 && v <= frame->y_max; v += step)
    {
      double y = floor (y_of (frame, v)) + 0.5;
      swage_chart_set_color (cr, &theme->grid, 1);
      cairo_move_to (cr, frame->plot.x, y);
      cairo_line_to (cr, right, y);
      cairo_stroke (cr);
      swage_chart_format_count (text, sizeof text, v);
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, text, frame->plot.x - 6, y, 1, 0.5);
    }
}

static double
get_sigma (const SwageChartHistogram *data)
{
  return data->sigma != 0 ? data->sigma : data->before->outlier_sigma;
}

static void
draw_marks (cairo_t *cr, const Frame *frame, const SwageChartHistogram *data, const SwageChartTheme *theme)
{
  double k = get_sigma (data);
  if (k <= 0 || data->before->std <= 0)
    return;
  for (int side = -1; side <= 1; side += 2)
    {
      double value = data->before->mean + side * k * data->before->std;
      double edge = side < 0 ? frame->plot.x : frame->plot.x + frame->plot.width;
      if (value <= frame->lo || value >= frame->hi)
        continue;
      double x = floor (x_of (frame, value)) + 0.5;
      swage_chart_set_color (cr, &theme->outlier, 0.07);
      cairo_rectangle (cr, fmin (x, edge), frame->plot.y, fabs (edge - x), frame->plot.height);
      cairo_fill (cr);
      swage_chart_set_color (cr, &theme->outlier, 1);
      cairo_set_line_width (cr, 1);
      cairo_set_dash (cr, (const double[]){ 4, 3 }, 2, 0);
      cairo_move_to (cr, x, frame->plot.y);
      cairo_line_to (cr, x, frame->plot.y + frame->plot.height);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
      char text[32];
      g_snprintf (text, sizeof text, "%s%gσ", side < 0 ? "−" : "+", k);
      /* on the far side, where the two marks cannot meet, unless there is no room */
      double width, line;
      swage_chart_measure (cr, theme, text, &width, &line);
      bool room = fabs (edge - x) > width + 8;
      double at = room ? x + side * 4 : x - side * 4;
      swage_chart_text (cr, theme, text, at, frame->plot.y + 2, (side < 0) == room ? 1 : 0, 0);
    }
}

double
swage_chart_histogram_clipped (const SwageChartHistogram *data)
{
  if (data->before == NULL || data->after == NULL || data->before->n < 1)
    return 0;
  const SwageHistogram *histogram = &data->before->histogram;
  double width = bin_width (histogram), beyond = 0;
  for (int i = 0; i < histogram->n_bins; i++)
    if (histogram->lo + i * width > data->after->max || histogram->lo + (i + 1) * width < data->after->min)
      beyond += (double)histogram->counts[i];
  return beyond / (double)data->before->n;
}

static double
draw_legend_entry (cairo_t *cr, const SwageChartTheme *theme, const SwageChartColor *color, bool fill,
                   const char *label, double x, double y)
{
  double width, height;
  swage_chart_measure (cr, theme, label, &width, &height);
  cairo_rectangle (cr, floor (x) + 0.5, floor (y + height / 2 - 5) + 0.5, 12, 9);
  swage_chart_set_color (cr, color, fill ? 0.65 : 1);
  cairo_set_line_width (cr, 1.2);
  if (fill)
    cairo_fill (cr);
  else
    cairo_stroke (cr);
  swage_chart_set_color (cr, &theme->foreground, 1);
  swage_chart_text (cr, theme, label, x + 18, y, 0, 0);
  return x + 18 + width + 16;
}

static void
draw_head (cairo_t *cr, const Frame *frame, const SwageChartHistogram *data, const SwageChartTheme *theme)
{
  double width, line, y = 4, x = frame->plot.x;
  swage_chart_measure (cr, theme, "0", &width, &line);
  if (data->title != NULL)
    {
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, data->title, x, y, 0, 0);
      y += line + 4;
    }
  if (data->before == NULL)
    return;
  x = draw_legend_entry (cr, theme, data->after != NULL ? &theme->before : &theme->after, data->after == NULL,
                         data->before_label != NULL ? data->before_label : _ ("original"), x, y);
  if (data->after != NULL)
    x = draw_legend_entry (cr, theme, &theme->after, true,
                           data->after_label != NULL ? data->after_label : _ ("plan"), x, y);
  double k = get_sigma (data);
  if (k > 0 && data->before->n > 0 && k == data->before->outlier_sigma)
    {
      double clipped = swage_chart_histogram_clipped (data);
      g_autofree char *share
          = clipped > 0 ? g_strdup_printf (_ ("clipped: %.2g %% · beyond %gσ: %.3g %%"), 100 * clipped, k,
                                           100 * data->before->outlier_share)
                        : g_strdup_printf (_ ("beyond %gσ: %.3g %%"), k, 100 * data->before->outlier_share);
      swage_chart_measure (cr, theme, share, &width, &line);
      double right = frame->plot.x + frame->plot.width;
      if (right - width >= x)
        {
          swage_chart_set_color (cr, &theme->outlier, 1);
          swage_chart_text (cr, theme, share, right, y, 1, 0);
        }
    }
}

static void
draw_hover (cairo_t *cr, const Frame *frame, const SwageChartHistogram *data, const SwageChartTheme *theme)
{
  SwageChartHistogramHit hit;
  if (isnan (data->hover) || data->hover < frame->lo || data->hover > frame->hi
      || !swage_chart_histogram_hit (data, data->hover, &hit))
    return;
  double left = fmax (frame->plot.x, x_of (frame, hit.lo));
  double right = fmin (frame->plot.x + frame->plot.width, x_of (frame, hit.hi));
  swage_chart_set_color (cr, &theme->foreground, 0.18);
  cairo_rectangle (cr, left, frame->plot.y, fmax (1, right - left), frame->plot.height);
  cairo_fill (cr);
  g_autofree char *range = g_strdup_printf ("%.4g … %.4g", hit.lo, hit.hi);
  double n = (double)MAX (1, data->before->n);
  g_autofree char *before = g_strdup_printf (_ ("original: %lld (%.2g %%)"), (long long)MAX (0, hit.before),
                                             100 * (double)hit.before / n);
  g_autofree char *after = NULL;
  if (data->after != NULL)
    after = g_strdup_printf (_ ("plan: %lld"), (long long)MAX (0, hit.after));
  const char *lines[] = { range, before, after };
  swage_chart_card (cr, theme, &frame->plot, (left + right) / 2, frame->plot.y + frame->plot.height * 0.3,
                    lines, after != NULL ? 3 : 2);
}

void
swage_chart_histogram_draw (cairo_t *cr, double w, double h, const SwageChartHistogram *data,
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
  swage_chart_x_axis (cr, theme, &frame.plot, frame.lo, frame.hi, false, data->x_label);
  draw_y_axis (cr, &frame, theme);
  if (data->before != NULL)
    {
      cairo_save (cr);
      cairo_rectangle (cr, frame.plot.x, frame.plot.y, frame.plot.width, frame.plot.height);
      cairo_clip (cr);
      const SwageHistogram *filled = data->after != NULL ? &data->after->histogram : &data->before->histogram;
      trace (cr, &frame, filled, data->after != NULL ? after_scale (data) : 1);
      swage_chart_set_color (cr, &theme->after, 0.65);
      cairo_fill (cr);
      if (data->after != NULL)
        {
          trace (cr, &frame, &data->before->histogram, 1);
          swage_chart_set_color (cr, &theme->before, 1);
          cairo_set_line_width (cr, 1.2);
          cairo_stroke (cr);
        }
      draw_marks (cr, &frame, data, theme);
      if (!isnan (data->drag_lo) && !isnan (data->drag_hi))
        {
          double from = x_of (&frame, fmin (data->drag_lo, data->drag_hi));
          double to = x_of (&frame, fmax (data->drag_lo, data->drag_hi));
          swage_chart_set_color (cr, &theme->after, 0.2);
          cairo_rectangle (cr, from, frame.plot.y, to - from, frame.plot.height);
          cairo_fill (cr);
        }
      cairo_restore (cr);
      /* levels stand under the base line, where they hide nothing */
      swage_chart_set_color (cr, &theme->foreground, 0.8);
      cairo_set_line_width (cr, 1);
      for (int i = 0; data->levels != NULL && i < data->n_levels; i++)
        if (data->levels[i] >= frame.lo && data->levels[i] <= frame.hi)
          {
            double x = floor (x_of (&frame, data->levels[i])) + 0.5;
            cairo_move_to (cr, x, frame.plot.y + frame.plot.height);
            cairo_rel_line_to (cr, 0, 5);
          }
      cairo_stroke (cr);
    }
  draw_head (cr, &frame, data, theme);
  if (data->before != NULL)
    draw_hover (cr, &frame, data, theme);
  cairo_restore (cr);
}

static int
find_bin (const SwageHistogram *histogram, double value)
{
  double width = bin_width (histogram);
  if (width <= 0 || !(value >= histogram->lo) || !(value <= histogram->hi))
    return -1;
  return (int)fmin (histogram->n_bins - 1, floor ((value - histogram->lo) / width));
}

bool
swage_chart_histogram_hit (const SwageChartHistogram *data, double value, SwageChartHistogramHit *hit)
{
  if (data->before == NULL || isnan (value))
    return false;
  const SwageHistogram *histogram = &data->before->histogram;
  int bin = find_bin (histogram, value),
      other = data->after != NULL ? find_bin (&data->after->histogram, value) : -1;
  if (bin < 0 && other < 0)
    return false;
  const SwageHistogram *edges = bin >= 0 ? histogram : &data->after->histogram;
  int at = bin >= 0 ? bin : other;
  hit->bin = bin;
  hit->lo = edges->lo + at * bin_width (edges);
  hit->hi = hit->lo + bin_width (edges);
  hit->before = bin >= 0 ? histogram->counts[bin] : -1;
  hit->after = other >= 0 ? data->after->histogram.counts[other] : -1;
  return true;
}

bool
swage_chart_histogram_hit_at (double w, double h, const SwageChartHistogram *data,
                              const SwageChartTheme *theme, double x, double y, SwageChartHistogramHit *hit)
{
  SwageChartRect plot;
  double lo, hi;
  swage_chart_histogram_get_frame (w, h, data, theme, &plot, &lo, &hi);
  if (x < plot.x || x > plot.x + plot.width || y < plot.y || y > plot.y + plot.height)
    return false;
  return swage_chart_histogram_hit (data, lo + (x - plot.x) / plot.width * (hi - lo), hit);
}

char *
swage_chart_histogram_describe (const SwageChartHistogram *data)
{
  if (data->before == NULL)
    return g_strdup (_ ("Histogram without data"));
  const SwageSummary *s = data->before;
  GString *text = g_string_new (NULL);
  g_string_append_printf (
      text,
      _ ("Histogram of %lld values from %.4g to %.4g, mean %.4g, standard deviation %.4g, "
         "kurtosis %.3g, %.3g %% beyond %g sigma."),
      (long long)s->n, s->min, s->max, s->mean, s->std, s->kurtosis, 100 * s->outlier_share,
      s->outlier_sigma);
  if (data->after != NULL)
    g_string_append_printf (text, _ (" With the plan: from %.4g to %.4g, standard deviation %.4g."),
                            data->after->min, data->after->max, data->after->std);
  return g_string_free (text, FALSE);
}

char *
swage_chart_histogram_to_text (const SwageChartHistogram *data)
{
  GString *text = g_string_new (NULL);
  if (data->before == NULL)
    return g_string_free (text, FALSE);
  const SwageHistogram *before = &data->before->histogram;
  const SwageHistogram *after = data->after != NULL ? &data->after->histogram : NULL;
  char lo[G_ASCII_DTOSTR_BUF_SIZE], hi[G_ASCII_DTOSTR_BUF_SIZE];
  g_string_append (text, "series\tlow\thigh\tcount\n");
  for (int series = 0; series < (after != NULL ? 2 : 1); series++)
    {
      const SwageHistogram *one = series == 0 ? before : after;
      double width = bin_width (one);
      for (int i = 0; i < one->n_bins; i++)
        g_string_append_printf (text, "%s\t%s\t%s\t%" PRId64 "\n", series == 0 ? "original" : "plan",
                                g_ascii_formatd (lo, sizeof lo, "%.9g", one->lo + i * width),
                                g_ascii_formatd (hi, sizeof hi, "%.9g", one->lo + (i + 1) * width),
                                one->counts[i]);
    }
  return g_string_free (text, FALSE);
}
