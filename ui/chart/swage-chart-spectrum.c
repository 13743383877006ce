/* SPDX-License-Identifier: MIT
 *
 * The axis of the values spans at most eight decades: what is smaller is either noise of the computation or
 * nothing that a low-rank step would keep.
 */
#include "ui/chart/swage-chart-spectrum.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>

#define DECADES 8

typedef struct
{
  SwageChartRect plot;
  double lo, hi, y_lo, y_hi; /* ranks; log10 of values */
} Frame;

double
swage_chart_spectrum_energy (const double *values, int64_t n, int64_t rank)
{
  double kept = 0, total = 0;
  for (int64_t i = 0; i < n; i++)
    {
      total += values[i] * values[i];
      if (i < rank)
        kept += values[i] * values[i];
    }
  return total > 0 ? kept / total : 1;
}

static void
frame_init (Frame *frame, double w, double h, const SwageChartSpectrum *data, const SwageChartTheme *theme)
{
  double width, line, top = -INFINITY, bottom = INFINITY;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  frame->lo = data->x_max > data->x_min ? data->x_min : 0;
  frame->hi = data->x_max > data->x_min ? data->x_max : fmax (1, (double)data->n);
  for (int64_t i = 0; i < data->n; i++)
    for (int series = 0; series < 2; series++)
      {
        const double *values = series == 0 ? data->before : data->after;
        if (values == NULL || !(values[i] > 0) || (double)i + 1 < frame->lo || (double)i > frame->hi)
          continue;
        top = fmax (top, log10 (values[i]));
        bottom = fmin (bottom, log10 (values[i]));
      }
  if (!(top >= bottom))
    top = 0, bottom = -2;
  frame->y_hi = top + 0.05 * fmax (1, top - bottom);
  frame->y_lo = fmax (bottom - 0.05, frame->y_hi - DECADES);
  if (frame->y_hi - frame->y_lo < 0.5)
    frame->y_lo = frame->y_hi - 0.5;
  double left = 4.6 * theme->font_size + 4, head = line + 14, foot = 2 * line + 16;
  frame->plot = (SwageChartRect){ left, head, fmax (10, w - left - 3.2 * theme->font_size - 8),
                                  fmax (10, h - head - foot) };
}

void
swage_chart_spectrum_get_frame (double w, double h, const SwageChartSpectrum *data,
                                const SwageChartTheme *theme, SwageChartRect *plot, double *lo, double *hi)
{
  Frame frame;
  frame_init (&frame, w, h, data, theme);
  *plot = frame.plot;
  *lo = frame.lo;
  *hi = frame.hi;
}

static double
x_of (const Frame *frame, double rank)
{
  return frame->plot.x + (rank - frame->lo) / (frame->hi - frame->lo) * frame->plot.width;
}

static double
y_of (const Frame *frame, double value)
{
  double t = value > 0 ? (log10 (value) - frame->y_lo) / (frame->y_hi - frame->y_lo) : 0;
  return frame->plot.y + frame->plot.height * (1 - fmin (1, fmax (0, t)));
}

static double
y_of_share (const Frame *frame, double share)
{
  return frame->plot.y + frame->plot.height * (1 - share);
}

static void
draw_axes (cairo_t *cr, const Frame *frame, const SwageChartTheme *theme)
{
  char text[32];
  double width, line, right = frame->plot.x + frame->plot.width;
  swage_chart_measure (cr, theme, "0", &width, &line);
  swage_chart_x_axis (cr, theme, &frame->plot, frame->lo, frame->hi, true, _ ("rank"));
  /* 1, 2, 5 within a decade where there is room for them */
  double per_decade = frame->plot.height / (frame->y_hi - frame->y_lo);
  double every = fmax (1, ceil (2 * line / per_decade));
  static const double parts[] = { 1, 2, 5 };
  int n_parts = per_decade > 7 * line ? 3 : 1;
  cairo_set_line_width (cr, 1);
  for (double d = ceil (frame->y_lo / every - 1) * every; d <= frame->y_hi; d += every)
    for (int i = 0; i < n_parts; i++)
      {
        double value = parts[i] * pow (10, d);
        if (log10 (value) < frame->y_lo || log10 (value) > frame->y_hi)
          continue;
        double y = floor (y_of (frame, value)) + 0.5;
        swage_chart_set_color (cr, &theme->grid, 1);
        cairo_move_to (cr, frame->plot.x, y);
        cairo_line_to (cr, right, y);
        cairo_stroke (cr);
        g_snprintf (text, sizeof text, "%g", value);
        swage_chart_set_color (cr, &theme->muted, 1);
        swage_chart_text (cr, theme, text, frame->plot.x - 6, y, 1, 0.5);
      }
  for (int i = 0; i <= 4; i++)
    {
      g_snprintf (text, sizeof text, "%d %%", 25 * i);
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, text, right + 5, y_of_share (frame, i / 4.0), 0, 0.5);
    }
}

static void
trace (cairo_t *cr, const Frame *frame, const double *values, int64_t n, bool energy)
{
  double total = 0, sum = 0, last_x = -1e9;
  bool open = false;
  for (int64_t i = 0; i < n; i++)
    total += values[i] * values[i];
  for (int64_t i = 0; i < n; i++)
    {
      sum += values[i] * values[i];
      double x = x_of (frame, energy ? (double)i + 1 : (double)i + 0.5);
      bool edge = i == 0 || i == n - 1;
      if (x < frame->plot.x - 50 || x > frame->plot.x + frame->plot.width + 50 || (x - last_x < 0.4 && !edge))
        continue;
      double y = energy ? y_of_share (frame, total > 0 ? sum / total : 1) : y_of (frame, values[i]);
      if (open)
        cairo_line_to (cr, x, y);
      else
        cairo_move_to (cr, x, y);
      open = true;
      last_x = x;
    }
}

static void
draw_break_even (cairo_t *cr, const Frame *frame, const SwageChartSpectrum *data,
                 const SwageChartTheme *theme)
{
  if (data->break_even < 0 || (double)data->break_even < frame->lo || (double)data->break_even > frame->hi)
    return;
  double x = floor (x_of (frame, (double)data->break_even)) + 0.5, width, line;
  swage_chart_set_color (cr, &theme->outlier, 1);
  cairo_set_line_width (cr, 1.2);
  cairo_set_dash (cr, (const double[]){ 5, 3 }, 2, 0);
  cairo_move_to (cr, x, frame->plot.y);
  cairo_line_to (cr, x, frame->plot.y + frame->plot.height);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  g_autofree char *text = g_strdup_printf (_ ("break-even rank %" PRId64), data->break_even);
  swage_chart_measure (cr, theme, text, &width, &line);
  bool room = x + 6 + width < frame->plot.x + frame->plot.width;
  swage_chart_text (cr, theme, text, room ? x + 6 : x - 6, frame->plot.y + frame->plot.height - line - 4,
                    room ? 0 : 1, 0);
}

static double
legend (cairo_t *cr, const SwageChartTheme *theme, const char *label, const SwageChartColor *color,
        bool dashed, double thickness, double x, double y)
{
  double width, height;
  swage_chart_measure (cr, theme, label, &width, &height);
  swage_chart_set_color (cr, color, 1);
  cairo_set_line_width (cr, thickness);
  if (dashed)
    cairo_set_dash (cr, (const double[]){ 2, 3 }, 2, 0);
  cairo_move_to (cr, x, floor (y + height / 2) + 0.5);
  cairo_rel_line_to (cr, 16, 0);
  cairo_stroke (cr);
  cairo_set_dash (cr, NULL, 0, 0);
  swage_chart_set_color (cr, &theme->foreground, 1);
  swage_chart_text (cr, theme, label, x + 21, y, 0, 0);
  return x + 21 + width + 16;
}

static void
draw_hover (cairo_t *cr, const Frame *frame, const SwageChartSpectrum *data, const SwageChartTheme *theme)
{
  if (isnan (data->hover) || data->n < 1)
    return;
  int64_t rank = (int64_t)fmin ((double)data->n, fmax (1, ceil (data->hover)));
  double x = x_of (frame, (double)rank - 0.5), y = y_of (frame, data->before[rank - 1]);
  swage_chart_set_color (cr, &theme->foreground, 0.5);
  cairo_set_line_width (cr, 1);
  cairo_move_to (cr, floor (x) + 0.5, frame->plot.y);
  cairo_line_to (cr, floor (x) + 0.5, frame->plot.y + frame->plot.height);
  cairo_stroke (cr);
  cairo_arc (cr, x, y, 3.5, 0, 2 * M_PI);
  swage_chart_set_color (cr, &theme->foreground, 1);
  cairo_fill (cr);
  double share = swage_chart_spectrum_energy (data->before, data->n, rank);
  g_autofree char *head = g_strdup_printf (_ ("rank %" PRId64), rank);
  g_autofree char *value = g_strdup_printf ("σ %.4g", data->before[rank - 1]);
  g_autofree char *plan
      = data->after != NULL ? g_strdup_printf (_ ("plan: σ %.4g"), data->after[rank - 1]) : NULL;
  g_autofree char *energy = g_strdup_printf (_ ("energy kept %.2f %%"), 100 * share);
  g_autofree char *error = g_strdup_printf (_ ("relative error %.2f %%"), 100 * sqrt (fmax (0, 1 - share)));
  const char *lines[5] = { head, value };
  int n = 2;
  if (plan != NULL)
    lines[n++] = plan;
  lines[n++] = energy;
  lines[n++] = error;
  swage_chart_card (cr, theme, &frame->plot, x, frame->plot.y + frame->plot.height * 0.35, lines, n);
}

void
swage_chart_spectrum_draw (cairo_t *cr, double w, double h, const SwageChartSpectrum *data,
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
  draw_axes (cr, &frame, theme);
  if (data->before != NULL && data->n > 0)
    {
      cairo_save (cr);
      cairo_rectangle (cr, frame.plot.x, frame.plot.y, frame.plot.width, frame.plot.height);
      cairo_clip (cr);
      cairo_set_line_join (cr, CAIRO_LINE_JOIN_ROUND);
      if (data->after != NULL)
        {
          trace (cr, &frame, data->after, data->n, false);
          swage_chart_set_color (cr, &theme->after, 0.9);
          cairo_set_line_width (cr, 4);
          cairo_stroke (cr);
        }
      trace (cr, &frame, data->before, data->n, false);
      swage_chart_set_color (cr, &theme->before, 1);
      cairo_set_line_width (cr, 1.5);
      cairo_stroke (cr);
      trace (cr, &frame, data->before, data->n, true);
      swage_chart_set_color (cr, &theme->muted, 1);
      cairo_set_line_width (cr, 1.2);
      cairo_set_dash (cr, (const double[]){ 2, 3 }, 2, 0);
      cairo_stroke (cr);
      cairo_set_dash (cr, NULL, 0, 0);
      draw_break_even (cr, &frame, data, theme);
      if (!isnan (data->drag_lo) && !isnan (data->drag_hi))
        {
          double from = x_of (&frame, fmin (data->drag_lo, data->drag_hi));
          double to = x_of (&frame, fmax (data->drag_lo, data->drag_hi));
          swage_chart_set_color (cr, &theme->after, 0.2);
          cairo_rectangle (cr, from, frame.plot.y, to - from, frame.plot.height);
          cairo_fill (cr);
        }
      cairo_restore (cr);
      double x = legend (cr, theme, _ ("original"), &theme->before, false, 1.5, frame.plot.x, 4);
      if (data->after != NULL)
        x = legend (cr, theme, _ ("plan"), &theme->after, false, 4, x, 4);
      legend (cr, theme, _ ("energy kept"), &theme->muted, true, 1.2, x, 4);
      draw_hover (cr, &frame, data, theme);
    }
  cairo_restore (cr);
}

static int64_t
find_rank (const SwageChartSpectrum *data, double share)
{
  int64_t lo = 0, hi = data->n;
  while (lo < hi)
    {
      int64_t middle = (lo + hi) / 2;
      if (swage_chart_spectrum_energy (data->before, data->n, middle) >= share)
        hi = middle;
      else
        lo = middle + 1;
    }
  return lo;
}

char *
swage_chart_spectrum_describe (const SwageChartSpectrum *data)
{
  if (data->before == NULL || data->n < 1)
    return g_strdup (_ ("Spectrum without data"));
  GString *text = g_string_new (NULL);
  g_string_append_printf (
      text,
      _ ("Spectrum of %" PRId64 " singular values from %.3g down to %.3g. 90 %% of the energy needs "
         "rank %" PRId64 ", 99 %% rank %" PRId64 "."),
      data->n, data->before[0], data->before[data->n - 1], find_rank (data, 0.9), find_rank (data, 0.99));
  if (data->break_even >= 0)
    g_string_append_printf (text, _ (" Break-even is at rank %" PRId64 ", which keeps %.1f %%."),
                            data->break_even,
                            100 * swage_chart_spectrum_energy (data->before, data->n, data->break_even));
  return g_string_free (text, FALSE);
}

char *
swage_chart_spectrum_to_text (const SwageChartSpectrum *data)
{
  char a[G_ASCII_DTOSTR_BUF_SIZE], b[G_ASCII_DTOSTR_BUF_SIZE];
  GString *text = g_string_new (data->after != NULL ? "rank\toriginal\tplan\n" : "rank\toriginal\n");
  for (int64_t i = 0; data->before != NULL && i < data->n; i++)
    {
      g_string_append_printf (text, "%" PRId64 "\t%s", i + 1,
                              g_ascii_formatd (a, sizeof a, "%.9g", data->before[i]));
      if (data->after != NULL)
        g_string_append_printf (text, "\t%s", g_ascii_formatd (b, sizeof b, "%.9g", data->after[i]));
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}
