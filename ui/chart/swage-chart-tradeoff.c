/* SPDX-License-Identifier: MIT
 *
 * Divergences of useful plans lie between 1e-4 and 1, so their axis is logarithmic; what loses nothing stands
 * on the base line. Points differ in shape, not only in colour: diamonds on the front, circles off it, a ring
 * around the plan that is set.
 */
#include "ui/chart/swage-chart-tradeoff.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>

#define REACH 18

typedef struct
{
  SwageChartRect plot;
  double lo, hi;     /* bytes */
  double y_lo, y_hi; /* values; logarithms where the axis is */
  double unit;       /* bytes in a label's unit */
  const char *unit_name;
  bool log_y;
} Frame;

void
swage_chart_tradeoff_find_front (SwageChartTrial *trials, int n)
{
  for (int i = 0; i < n; i++)
    {
      trials[i].front = !isnan (trials[i].value);
      for (int j = 0; j < n && trials[i].front; j++)
        trials[i].front = !(trials[j].bytes <= trials[i].bytes && trials[j].value <= trials[i].value
                            && (trials[j].bytes < trials[i].bytes || trials[j].value < trials[i].value));
    }
}

static void
widen (double value, double *lo, double *hi)
{
  *lo = fmin (*lo, value);
  *hi = fmax (*hi, value);
}

static void
frame_init (Frame *frame, double w, double h, const SwageChartTradeoff *data, const SwageChartTheme *theme)
{
  double width, line, lo = INFINITY, hi = -INFINITY, y_lo = INFINITY, y_hi = -INFINITY;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  frame->log_y = data->log_y;
  for (int i = 0; i <= data->n; i++)
    {
      const SwageChartTrial *one = i < data->n ? &data->trials[i] : &data->running;
      if (i == data->n && !data->has_running)
        break;
      widen (one->bytes, &lo, &hi);
      if (isnan (one->value) || (data->log_y && one->value <= 0))
        continue;
      widen (data->log_y ? log10 (one->value) : one->value, &y_lo, &y_hi);
      if (!data->log_y || one->value > 2 * one->error)
        widen (data->log_y ? log10 (one->value - one->error) : one->value - one->error, &y_lo, &y_hi);
      widen (data->log_y ? log10 (one->value + one->error) : one->value + one->error, &y_lo, &y_hi);
    }
  if (data->original_bytes > 0)
    widen (data->original_bytes, &lo, &hi);
  if (data->planned_bytes > 0)
    widen (data->planned_bytes, &lo, &hi);
  if (!data->log_y && !isnan (data->original_value))
    widen (data->original_value, &y_lo, &y_hi);
  if (!(hi >= lo))
    lo = 0, hi = 1;
  /* sizes begin at zero: half the height should mean half the size */
  lo = 0;
  hi = hi > 0 ? hi * 1.06 : 1;
  if (!(y_hi >= y_lo))
    y_lo = data->log_y ? -3 : 0, y_hi = data->log_y ? 0 : 1;
  if (data->log_y)
    {
      y_lo = floor (y_lo - 0.15);
      y_hi = ceil (y_hi + 0.15);
    }
  else
    {
      double pad = fmax (0.06 * (y_hi - y_lo), fabs (y_hi) * 1e-3 + 1e-9);
      y_lo -= pad;
      y_hi += pad;
    }
  frame->lo = lo;
  frame->hi = hi;
  frame->y_lo = y_lo;
  frame->y_hi = y_hi;
  frame->unit = hi >= 1.5 * 0x1p30 ? 0x1p30 : hi >= 1.5 * 0x1p20 ? 0x1p20 : hi >= 1.5 * 0x1p10 ? 0x1p10 : 1;
  frame->unit_name = frame->unit == 0x1p30   ? _ ("size in GiB")
                     : frame->unit == 0x1p20 ? _ ("size in MiB")
                     : frame->unit == 0x1p10 ? _ ("size in KiB")
                                             : _ ("size in bytes");
  double left = 4.2 * theme->font_size + 8, top = line + 12, bottom = 2 * line + 16;
  frame->plot = (SwageChartRect){ left, top, fmax (10, w - left - 16), fmax (10, h - top - bottom) };
}

static double
x_of (const Frame *frame, double bytes)
{
  return frame->plot.x + (bytes - frame->lo) / (frame->hi - frame->lo) * frame->plot.width;
}

static double
y_of (const Frame *frame, double value)
{
  double t = frame->log_y ? value > 0 ? log10 (value) : frame->y_lo : value;
  t = (t - frame->y_lo) / (frame->y_hi - frame->y_lo);
  return frame->plot.y + frame->plot.height * (1 - fmin (1, fmax (0, t)));
}

void
swage_chart_tradeoff_locate (double w, double h, const SwageChartTradeoff *data, const SwageChartTheme *theme,
                             int trial, double *x, double *y)
{
  Frame frame;
  frame_init (&frame, w, h, data, theme);
  *x = x_of (&frame, data->trials[trial].bytes);
  *y = y_of (&frame, data->trials[trial].value);
}

static void
draw_y_axis (cairo_t *cr, const Frame *frame, const SwageChartTheme *theme, const char *label)
{
  char text[32];
  double width, line, step;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  double fit = fmax (2, frame->plot.height / (2.2 * line));
  if (frame->log_y)
    step = fmax (1, ceil ((frame->y_hi - frame->y_lo) / fit));
  else
    step = swage_chart_tick_step (frame->y_lo, frame->y_hi, (int)fit);
  cairo_set_line_width (cr, 1);
  for (double i = ceil (frame->y_lo / step - 1e-9); step > 0 && i * step <= frame->y_hi + step * 1e-9; i++)
    {
      double y = floor (y_of (frame, frame->log_y ? pow (10, i * step) : i * step)) + 0.5;
      swage_chart_set_color (cr, &theme->grid, 1);
      cairo_move_to (cr, frame->plot.x, y);
      cairo_line_to (cr, frame->plot.x + frame->plot.width, y);
      cairo_stroke (cr);
      if (frame->log_y)
        g_snprintf (text, sizeof text, "%g", pow (10, i * step));
      else
        swage_chart_format_tick (text, sizeof text, i * step, step);
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, text, frame->plot.x - 6, y, 1, 0.5);
    }
  if (label != NULL)
    {
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, label, 4, 2, 0, 0);
    }
}

static int
by_bytes (const void *a, const void *b)
{
  const SwageChartTrial *x = *(const SwageChartTrial *const *)a, *y = *(const SwageChartTrial *const *)b;
  if (x->bytes != y->bytes)
    return x->bytes < y->bytes ? -1 : 1;
  return x->value < y->value ? -1 : x->value > y->value;
}

/* The front as stairs: everything above and to the right of it is beaten. */
static void
draw_front (cairo_t *cr, const Frame *frame, const SwageChartTradeoff *data, const SwageChartTheme *theme)
{
  g_autofree const SwageChartTrial **order = g_new (const SwageChartTrial *, data->n + 1);
  int n = 0;
  for (int i = 0; i < data->n; i++)
    if (data->trials[i].front)
      order[n++] = &data->trials[i];
  if (n == 0)
    return;
  qsort (order, (size_t)n, sizeof *order, by_bytes);
  double right = frame->plot.x + frame->plot.width;
  cairo_move_to (cr, x_of (frame, order[0]->bytes), frame->plot.y);
  for (int i = 0; i < n; i++)
    {
      double x = x_of (frame, order[i]->bytes), y = y_of (frame, order[i]->value);
      cairo_line_to (cr, x, y);
      cairo_line_to (cr, i + 1 < n ? x_of (frame, order[i + 1]->bytes) : right, y);
    }
  cairo_line_to (cr, right, frame->plot.y);
  cairo_close_path (cr);
  swage_chart_set_color (cr, &theme->after, 0.10);
  cairo_fill (cr);
  swage_chart_set_color (cr, &theme->after, 0.9);
  cairo_set_line_width (cr, 1.5);
  for (int i = 0; i < n; i++)
    {
      double x = x_of (frame, order[i]->bytes), y = y_of (frame, order[i]->value);
      if (i == 0)
        cairo_move_to (cr, x, y);
      else
        cairo_line_to (cr, x, y);
      if (i + 1 < n)
        cairo_line_to (cr, x_of (frame, order[i + 1]->bytes), y);
    }
  cairo_stroke (cr);
}

static void
draw_bar (cairo_t *cr, const Frame *frame, const SwageChartTrial *one, double times)
{
  double x = round (x_of (frame, one->bytes)) + 0.5;
  if (!(one->error > 0))
    return;
  double low = one->value - times * one->error;
  double bottom = frame->log_y && low <= 0 ? frame->plot.y + frame->plot.height : y_of (frame, low);
  double top = y_of (frame, one->value + times * one->error);
  if (bottom - top < 4)
    return;
  cairo_set_line_width (cr, 1);
  cairo_move_to (cr, x - 4, top);
  cairo_rel_line_to (cr, 8, 0);
  cairo_move_to (cr, x, top);
  cairo_line_to (cr, x, bottom);
  cairo_move_to (cr, x - 4, bottom);
  cairo_rel_line_to (cr, 8, 0);
  cairo_stroke (cr);
}

static void
diamond (cairo_t *cr, double x, double y, double r)
{
  cairo_move_to (cr, x, y - r);
  cairo_line_to (cr, x + r, y);
  cairo_line_to (cr, x, y + r);
  cairo_line_to (cr, x - r, y);
  cairo_close_path (cr);
}

static void
draw_trial (cairo_t *cr, const Frame *frame, const SwageChartTrial *one, const SwageChartTheme *theme,
            bool hover)
{
  double x = x_of (frame, one->bytes), y = y_of (frame, one->value);
  if (isnan (one->value))
    return;
  swage_chart_set_color (cr, one->front ? &theme->after : &theme->muted, 0.8);
  draw_bar (cr, frame, one, 1);
  cairo_new_path (cr);
  if (one->front)
    diamond (cr, x, y, hover ? 7.5 : 6);
  else
    cairo_arc (cr, x, y, hover ? 5.5 : 4, 0, 2 * M_PI);
  swage_chart_set_color (cr, one->front ? &theme->after : &theme->muted, 1);
  cairo_fill (cr);
  if (one->current || hover)
    {
      cairo_new_path (cr);
      cairo_arc (cr, x, y, 10, 0, 2 * M_PI);
      swage_chart_set_color (cr, &theme->foreground, one->current ? 1 : 0.5);
      cairo_set_line_width (cr, one->current ? 2 : 1);
      cairo_stroke (cr);
    }
  if (one->mark != 0)
    {
      char text[2] = { one->mark, 0 };
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, text, x + 10, y - 8, 0, 1);
    }
}

static void
draw_original (cairo_t *cr, const Frame *frame, const SwageChartTradeoff *data, const SwageChartTheme *theme)
{
  if (!(data->original_bytes > 0))
    return;
  double x = x_of (frame, data->original_bytes);
  double y = isnan (data->original_value) ? frame->plot.y + frame->plot.height
                                          : y_of (frame, data->original_value);
  cairo_rectangle (cr, round (x) - 4.5, round (y) - 4.5, 9, 9);
  swage_chart_set_color (cr, &theme->before, 1);
  cairo_set_line_width (cr, 1.5);
  cairo_stroke (cr);
  swage_chart_set_color (cr, &theme->muted, 1);
  swage_chart_text (cr, theme, _ ("original"), x, y - 8, 1, 1);
}

static void
draw_hover (cairo_t *cr, const Frame *frame, const SwageChartTradeoff *data, const SwageChartTheme *theme)
{
  if (data->hover < 0 || data->hover >= data->n)
    return;
  const SwageChartTrial *one = &data->trials[data->hover];
  g_autofree char *size = g_format_size_full ((guint64)one->bytes, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *head = g_strdup_printf (_ ("trial %d"), one->number);
  g_autofree char *value
      = one->error > 0
            ? g_strdup_printf ("%s %.4g ± %.2g", data->value_label != NULL ? data->value_label : "",
                               one->value, one->error)
            : g_strdup_printf ("%s %.4g", data->value_label != NULL ? data->value_label : "", one->value);
  const char *lines[5] = { head, size, value };
  int n = 3;
  if (one->front)
    lines[n++] = _ ("on the front");
  lines[n++] = one->current ? _ ("the plan that is set") : _ ("press to restore");
  swage_chart_card (cr, theme, &frame->plot, x_of (frame, one->bytes), y_of (frame, one->value), lines, n);
}

void
swage_chart_tradeoff_draw (cairo_t *cr, double w, double h, const SwageChartTradeoff *data,
                           const SwageChartTheme *theme)
{
  Frame frame;
  frame_init (&frame, w, h, data, theme);
  cairo_save (cr);
  cairo_new_path (cr);
  if (theme->background.alpha > 0)
    {
      swage_chart_set_color (cr, &theme->background, 1);
      cairo_rectangle (cr, 0, 0, w, h);
      cairo_fill (cr);
    }
  Frame scaled = frame;
  swage_chart_x_axis (cr, theme, &scaled.plot, frame.lo / frame.unit, frame.hi / frame.unit, false,
                      frame.unit_name);
  draw_y_axis (cr, &frame, theme, data->value_label);
  draw_front (cr, &frame, data, theme);
  if (data->planned_bytes > 0)
    {
      double x = floor (x_of (&frame, data->planned_bytes)) + 0.5;
      swage_chart_set_color (cr, &theme->foreground, 0.6);
      cairo_set_line_width (cr, 1);
      cairo_set_dash (cr, (const double[]){ 3, 4 }, 2, 0);
      cairo_move_to (cr, x, frame.plot.y);
      cairo_line_to (cr, x, frame.plot.y + frame.plot.height);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
      double width, line;
      swage_chart_measure (cr, theme, _ ("this plan"), &width, &line);
      bool room = x + 6 + width < frame.plot.x + frame.plot.width;
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, _ ("this plan"), room ? x + 6 : x - 6, frame.plot.y + 2, room ? 0 : 1, 0);
    }
  draw_original (cr, &frame, data, theme);
  for (int i = 0; i < data->n; i++)
    if (i != data->hover)
      draw_trial (cr, &frame, &data->trials[i], theme, false);
  if (data->has_running && !isnan (data->running.value))
    {
      double x = x_of (&frame, data->running.bytes), y = y_of (&frame, data->running.value);
      swage_chart_set_color (cr, &theme->outlier, 1);
      draw_bar (cr, &frame, &data->running, 1.96);
      cairo_new_path (cr);
      cairo_arc (cr, x, y, 5, 0, 2 * M_PI);
      cairo_set_line_width (cr, 2);
      cairo_stroke (cr);
    }
  if (data->hover >= 0 && data->hover < data->n)
    draw_trial (cr, &frame, &data->trials[data->hover], theme, true);
  draw_hover (cr, &frame, data, theme);
  cairo_restore (cr);
}

int
swage_chart_tradeoff_hit_at (double w, double h, const SwageChartTradeoff *data, const SwageChartTheme *theme,
                             double x, double y)
{
  Frame frame;
  int best = -1;
  double nearest = REACH;
  frame_init (&frame, w, h, data, theme);
  for (int i = 0; i < data->n; i++)
    {
      double d = hypot (x_of (&frame, data->trials[i].bytes) - x, y_of (&frame, data->trials[i].value) - y);
      if (d < nearest)
        {
          nearest = d;
          best = i;
        }
    }
  return best;
}

char *
swage_chart_tradeoff_describe (const SwageChartTradeoff *data)
{
  if (data->n == 0)
    return g_strdup (_ ("Size against divergence: no plan has been measured yet."));
  GString *text = g_string_new (NULL);
  int front = 0;
  const SwageChartTrial *smallest = NULL, *best = NULL;
  for (int i = 0; i < data->n; i++)
    {
      const SwageChartTrial *one = &data->trials[i];
      front += one->front;
      if (smallest == NULL || one->bytes < smallest->bytes)
        smallest = one;
      if (best == NULL || one->value < best->value)
        best = one;
    }
  g_autofree char *small = g_format_size_full ((guint64)smallest->bytes, G_FORMAT_SIZE_IEC_UNITS);
  g_autofree char *good = g_format_size_full ((guint64)best->bytes, G_FORMAT_SIZE_IEC_UNITS);
  const char *label = data->value_label != NULL ? data->value_label : "";
  g_string_append_printf (text,
                          _ ("Size against %s of %d trials, %d on the front. Smallest: trial %d, %s, %.3g. "
                             "Best: trial %d, %s, %.3g."),
                          label, data->n, front, smallest->number, small, smallest->value, best->number, good,
                          best->value);
  return g_string_free (text, FALSE);
}

char *
swage_chart_tradeoff_to_text (const SwageChartTradeoff *data)
{
  GString *text = g_string_new ("trial\tbytes\tvalue\terror\tfront\n");
  char value[G_ASCII_DTOSTR_BUF_SIZE], error[G_ASCII_DTOSTR_BUF_SIZE];
  for (int i = 0; i < data->n; i++)
    {
      const SwageChartTrial *one = &data->trials[i];
      g_string_append_printf (text, "%d\t%.0f\t%s\t%s\t%d\n", one->number, one->bytes,
                              g_ascii_formatd (value, sizeof value, "%.9g", one->value),
                              g_ascii_formatd (error, sizeof error, "%.4g", one->error), one->front);
    }
  return g_string_free (text, FALSE);
}
