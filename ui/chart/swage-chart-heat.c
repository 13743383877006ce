/* SPDX-License-Identifier: MIT */
#include "ui/chart/swage-chart-heat.h"

#include "ui/chart/swage-chart-map.h"

#include <glib/gi18n-lib.h>

/* From here on, elements have lines between them. */
#define GRID_PIXELS 12

static double
mix (double a, double b, double t)
{
  return a + (b - a) * t;
}

void
swage_chart_heat_color (double t, bool diverging, bool dark, SwageChartColor *color)
{
  if (!diverging)
    {
      swage_chart_map_color (fmin (1, fmax (0, t)), color);
      return;
    }
  static const double ends[2][2][3]
      = { { { 0.06, 0.33, 0.68 }, { 0.72, 0.27, 0.00 } }, { { 0.50, 0.76, 1.00 }, { 1.00, 0.70, 0.32 } } };
  const double *end = ends[dark][t > 0], neutral = dark ? 0.11 : 0.97;
  double a = fmin (1, fabs (t));
  *color
      = (SwageChartColor){ mix (neutral, end[0], a), mix (neutral, end[1], a), mix (neutral, end[2], a), 1 };
}

double
swage_chart_heat_place (double value, double limit)
{
  if (!(limit > 0))
    return value;
  double t = fmin (1, sqrt (fabs (value) / limit));
  return value < 0 ? -t : t;
}

void
swage_chart_heat_get_plot (double w, double h, const SwageChartTheme *theme, SwageChartRect *plot)
{
  double width, line;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  double left = ceil (5.2 * width + 14), top = ceil (line + 10), bottom = ceil (2 * line + 26);
  *plot
      = (SwageChartRect){ left, top, fmax (10, floor (w - left - 12)), fmax (10, floor (h - top - bottom)) };
}

static void
draw_rulers (cairo_t *cr, const SwageChartHeat *data, const SwageChartRect *plot,
             const SwageChartTheme *theme)
{
  double width, line;
  char text[32];
  swage_chart_measure (NULL, theme, "00000", &width, &line);
  swage_chart_set_color (cr, &theme->muted, 1);
  cairo_set_line_width (cr, 1);
  for (int axis = 0; axis < 2; axis++)
    {
      double from = axis == 0 ? data->x : data->y, scale = axis == 0 ? data->sx : data->sy;
      double length = axis == 0 ? plot->width : plot->height;
      double n = (double)(axis == 0 ? data->cols : data->rows);
      double step = swage_chart_tick_step (from, from + length / scale,
                                           (int)fmax (1, length / (axis == 0 ? 1.6 * width : 2.5 * line)));
      step = fmax (1, step);
      for (double i = ceil (fmax (0, from - 0.5) / step) * step; i < fmin (n, from + length / scale);
           i += step)
        {
          /* the middle of the element is its place */
          double at = (i + 0.5 - from) * scale;
          if (at < 0 || at > length)
            continue;
          g_snprintf (text, sizeof text, "%.0f", i);
          if (axis == 0)
            {
              double x = floor (plot->x + at) + 0.5;
              cairo_move_to (cr, x, plot->y - 4);
              cairo_line_to (cr, x, plot->y);
              cairo_stroke (cr);
              swage_chart_text (cr, theme, text, x, plot->y - 5, 0.5, 1);
            }
          else
            {
              double y = floor (plot->y + at) + 0.5;
              cairo_move_to (cr, plot->x - 4, y);
              cairo_line_to (cr, plot->x, y);
              cairo_stroke (cr);
              swage_chart_text (cr, theme, text, plot->x - 6, y, 1, 0.5);
            }
        }
    }
}

static void
draw_legend (cairo_t *cr, const SwageChartHeat *data, const SwageChartRect *plot, double h,
             const SwageChartTheme *theme)
{
  double width, line, title_width = 0;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  if (data->title != NULL)
    swage_chart_measure (NULL, theme, data->title, &title_width, &line);
  double x = plot->x + title_width + 12, y = plot->y + plot->height + 12;
  double length = fmin (260, plot->x + plot->width - x - 12);
  if (data->title != NULL)
    {
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, data->title, plot->x, y, 0, 0);
    }
  if (length < 60)
    return;
  bool diverging = data->limit > 0;
  for (int i = 0; i < (int)length; i++)
    {
      SwageChartColor color;
      double t = ((double)i + 0.5) / length;
      swage_chart_heat_color (diverging ? 2 * t - 1 : t, diverging, data->dark, &color);
      swage_chart_set_color (cr, &color, 1);
      cairo_rectangle (cr, x + i, y + 2, 1.5, 10);
      cairo_fill (cr);
    }
  swage_chart_set_color (cr, &theme->muted, 1);
  cairo_set_line_width (cr, 1);
  cairo_rectangle (cr, floor (x) + 0.5, floor (y + 2) + 0.5, floor (length), 10);
  cairo_stroke (cr);
  /* places of the scale at equal distances, so the numbers show how it is stretched */
  int n = length > 200 ? 4 : 2;
  for (int i = 0; i <= n; i++)
    {
      double t = (double)i / n, place = 2 * t - 1;
      char text[32];
      if (diverging)
        swage_chart_format_tick (text, sizeof text, (place < 0 ? -1 : 1) * place * place * data->limit,
                                 pow (10, floor (log10 (data->limit)) - 1));
      else
        g_snprintf (text, sizeof text, "%.0f %%", 100 * t);
      swage_chart_text (cr, theme, text, x + t * length, y + 14, i == 0 ? 0.3 : i == n ? 0.7 : 0.5, 0);
    }
}

void
swage_chart_heat_draw_frame (cairo_t *cr, double w, double h, const SwageChartHeat *data,
                             const SwageChartTheme *theme)
{
  SwageChartRect plot;
  swage_chart_heat_get_plot (w, h, theme, &plot);
  cairo_save (cr);
  cairo_new_path (cr);
  if (theme->background.alpha > 0)
    {
      swage_chart_set_color (cr, &theme->background, 1);
      cairo_rectangle (cr, 0, 0, w, h);
      cairo_fill (cr);
    }
  if (data->rows > 0 && data->sx > 0)
    {
      draw_rulers (cr, data, &plot, theme);
      draw_legend (cr, data, &plot, h, theme);
    }
  cairo_restore (cr);
}

static void
draw_grid (cairo_t *cr, const SwageChartHeat *data, const SwageChartRect *plot, const SwageChartTheme *theme)
{
  double right = fmin (plot->x + plot->width, plot->x + ((double)data->cols - data->x) * data->sx);
  double bottom = fmin (plot->y + plot->height, plot->y + ((double)data->rows - data->y) * data->sy);
  swage_chart_set_color (cr, &theme->foreground, 0.12);
  cairo_set_line_width (cr, 1);
  if (data->sx >= GRID_PIXELS)
    for (double i = ceil (fmax (0, data->x));
         i <= (double)data->cols && plot->x + (i - data->x) * data->sx <= right + 1; i++)
      {
        double x = floor (plot->x + (i - data->x) * data->sx) + 0.5;
        cairo_move_to (cr, x, fmax (plot->y, plot->y - data->y * data->sy));
        cairo_line_to (cr, x, bottom);
      }
  if (data->sy >= GRID_PIXELS)
    for (double i = ceil (fmax (0, data->y));
         i <= (double)data->rows && plot->y + (i - data->y) * data->sy <= bottom + 1; i++)
      {
        double y = floor (plot->y + (i - data->y) * data->sy) + 0.5;
        cairo_move_to (cr, fmax (plot->x, plot->x - data->x * data->sx), y);
        cairo_line_to (cr, right, y);
      }
  cairo_stroke (cr);
}

void
swage_chart_heat_draw_mark (cairo_t *cr, double w, double h, const SwageChartHeat *data,
                            const SwageChartTheme *theme)
{
  SwageChartRect plot;
  swage_chart_heat_get_plot (w, h, theme, &plot);
  cairo_save (cr);
  cairo_new_path (cr);
  cairo_rectangle (cr, plot.x, plot.y, plot.width, plot.height);
  cairo_clip (cr);
  draw_grid (cr, data, &plot, theme);
  if (data->row >= 0 && data->col >= 0)
    {
      double x = plot.x + ((double)data->col - data->x) * data->sx;
      double y = plot.y + ((double)data->row - data->y) * data->sy;
      double width = fmax (5, data->sx), height = fmax (5, data->sy);
      x += (data->sx - width) / 2;
      y += (data->sy - height) / 2;
      /* a light and a dark line: one of them stands out on any colour */
      cairo_rectangle (cr, x - 1.5, y - 1.5, width + 3, height + 3);
      swage_chart_set_color (cr, &theme->card, 1);
      cairo_set_line_width (cr, 3);
      cairo_stroke_preserve (cr);
      swage_chart_set_color (cr, &theme->foreground, 1);
      cairo_set_line_width (cr, 1.2);
      cairo_stroke (cr);
      if (data->n_lines > 0)
        swage_chart_card (cr, theme, &plot, x + width, y + height / 2, data->lines, data->n_lines);
    }
  cairo_restore (cr);
}
