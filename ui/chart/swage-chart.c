/* SPDX-License-Identifier: MIT */
#include "ui/chart/swage-chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RGB(hex)                                                                                             \
  {                                                                                                          \
    ((hex) >> 16 & 255) / 255.0, ((hex) >> 8 & 255) / 255.0, ((hex)&255) / 255.0, 1.0                        \
  }

void
swage_chart_theme_init (SwageChartTheme *theme, bool dark)
{
  /* Blue and orange differ in hue and lightness for every common kind of colour blindness; what is before and
   * after differs in shape (outline, fill) as well. */
  static const SwageChartTheme light = {
    .background = RGB (0xffffff),
    .foreground = RGB (0x2a2a2e),
    .muted = RGB (0x6a6a70),
    .grid = RGB (0xe4e4e8),
    .before = RGB (0x3d3846),
    .after = RGB (0x4a90e2),
    .outlier = RGB (0xc64600),
    .card = RGB (0xfafafa),
    .font = "sans-serif",
    .font_size = 11,
  };
  static const SwageChartTheme night = {
    .background = RGB (0x1e1e1e),
    .foreground = RGB (0xf0f0f0),
    .muted = RGB (0xa8a8ae),
    .grid = RGB (0x3a3a3e),
    .before = RGB (0xf0f0f0),
    .after = RGB (0x4a8fe0),
    .outlier = RGB (0xffa348),
    .card = RGB (0x303034),
    .font = "sans-serif",
    .font_size = 11,
  };
  *theme = dark ? night : light;
}

void
swage_chart_set_color (cairo_t *cr, const SwageChartColor *color, double alpha)
{
  cairo_set_source_rgba (cr, color->red, color->green, color->blue, color->alpha * alpha);
}

/* Cairo's text functions need a context to measure with: a recording surface of nothing. */
static void
toy_text (cairo_t *cr, const SwageChartTheme *theme, const char *text, double x, double y, double *width,
          double *height)
{
  cairo_surface_t *surface = NULL;
  cairo_t *own = cr;
  if (own == NULL)
    {
      surface = cairo_image_surface_create (CAIRO_FORMAT_A8, 1, 1);
      own = cairo_create (surface);
    }
  cairo_select_font_face (own, theme->font != NULL ? theme->font : "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                          CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (own, theme->font_size);
  cairo_font_extents_t font;
  cairo_text_extents_t extents;
  cairo_font_extents (own, &font);
  cairo_text_extents (own, text, &extents);
  *width = extents.x_advance;
  *height = font.ascent + font.descent;
  if (cr != NULL)
    {
      cairo_move_to (cr, x, y + font.ascent);
      cairo_show_text (cr, text);
    }
  else
    {
      cairo_destroy (own);
      cairo_surface_destroy (surface);
    }
}

static void
put_text (cairo_t *cr, const SwageChartTheme *theme, const char *text, double x, double y, double *width,
          double *height)
{
  if (theme->text != NULL)
    theme->text (cr, text, x, y, width, height, theme->text_data);
  else
    toy_text (cr, theme, text, x, y, width, height);
}

void
swage_chart_measure (cairo_t *cr, const SwageChartTheme *theme, const char *text, double *width,
                     double *height)
{
  put_text (NULL, theme, text, 0, 0, width, height);
}

void
swage_chart_text (cairo_t *cr, const SwageChartTheme *theme, const char *text, double x, double y,
                  double xalign, double yalign)
{
  double width, height;
  swage_chart_measure (cr, theme, text, &width, &height);
  put_text (cr, theme, text, round (x - xalign * width), round (y - yalign * height), &width, &height);
}

static void
rounded (cairo_t *cr, double x, double y, double width, double height, double radius)
{
  cairo_new_sub_path (cr);
  cairo_arc (cr, x + width - radius, y + radius, radius, -M_PI / 2, 0);
  cairo_arc (cr, x + width - radius, y + height - radius, radius, 0, M_PI / 2);
  cairo_arc (cr, x + radius, y + height - radius, radius, M_PI / 2, M_PI);
  cairo_arc (cr, x + radius, y + radius, radius, M_PI, 3 * M_PI / 2);
  cairo_close_path (cr);
}

void
swage_chart_card (cairo_t *cr, const SwageChartTheme *theme, const SwageChartRect *inside, double x, double y,
                  const char *const *lines, int n)
{
  const double pad = 8, gap = 2;
  double width = 0, line = 0;
  for (int i = 0; i < n; i++)
    {
      double one, height;
      swage_chart_measure (cr, theme, lines[i], &one, &height);
      width = fmax (width, one);
      line = fmax (line, height);
    }
  width = ceil (width + 2 * pad);
  double height = ceil (n * line + (n - 1) * gap + 2 * pad);
  /* to the right of the point, or to the left where there is no room */
  double left = x + 12 + width <= inside->x + inside->width ? x + 12 : x - 12 - width;
  left = fmax (inside->x, fmin (left, inside->x + inside->width - width));
  double top = fmax (inside->y, fmin (y - height / 2, inside->y + inside->height - height));
  left = round (left) + 0.5;
  top = round (top) + 0.5;
  rounded (cr, left, top, width, height, 6);
  swage_chart_set_color (cr, &theme->card, 0.96);
  cairo_fill_preserve (cr);
  swage_chart_set_color (cr, &theme->muted, 0.5);
  cairo_set_line_width (cr, 1);
  cairo_stroke (cr);
  for (int i = 0; i < n; i++)
    {
      swage_chart_set_color (cr, i == 0 ? &theme->foreground : &theme->muted, 1);
      swage_chart_text (cr, theme, lines[i], left + pad, top + pad + i * (line + gap), 0, 0);
    }
}

double
swage_chart_tick_step (double lo, double hi, int count)
{
  double range = hi - lo;
  if (!(range > 0) || !isfinite (range) || count < 1)
    return 0;
  double rough = range / count, power = pow (10, floor (log10 (rough))), mantissa = rough / power;
  return (mantissa < 1.5 ? 1 : mantissa < 3.5 ? 2 : mantissa < 7.5 ? 5 : 10) * power;
}

void
swage_chart_format_tick (char *buffer, size_t size, double value, double step)
{
  if (fabs (value) < step * 1e-6)
    value = 0;
  int digits = step > 0 ? (int)fmax (0, -floor (log10 (step) + 1e-9)) : 2;
  if (digits > 5 || fabs (value) >= 1e6)
    snprintf (buffer, size, "%.3g", value);
  else
    snprintf (buffer, size, "%.*f", digits, value);
  /* a proper minus sign is as wide as a plus */
  size_t length = strlen (buffer);
  if (buffer[0] == '-' && length + 3 <= size)
    {
      memmove (buffer + 3, buffer + 1, length);
      memcpy (buffer, "−", 3);
    }
}

void
swage_chart_format_count (char *buffer, size_t size, double count)
{
  static const char suffix[] = { 0, 'k', 'M', 'G', 'T' };
  int level = 0;
  while (fabs (count) >= 999.5 && level < 4)
    {
      count /= 1000;
      level++;
    }
  if (level == 0)
    snprintf (buffer, size, "%.3g", count);
  else if (fabs (count - round (count)) < 0.05 || fabs (count) >= 100)
    snprintf (buffer, size, "%.0f%c", count, suffix[level]);
  else
    snprintf (buffer, size, "%.1f%c", count, suffix[level]);
}

void
swage_chart_x_axis (cairo_t *cr, const SwageChartTheme *theme, const SwageChartRect *plot, double lo,
                    double hi, bool integers, const char *label)
{
  double step = swage_chart_tick_step (lo, hi, (int)fmax (2, plot->width / 80));
  if (integers && step < 1)
    step = 1;
  double bottom = plot->y + plot->height, line = 0, width;
  swage_chart_measure (cr, theme, "0", &width, &line);
  cairo_set_line_width (cr, 1);
  if (step > 0)
    for (double i = ceil (lo / step - 1e-9); i * step <= hi + step * 1e-9; i++)
      {
        char text[32];
        double x = floor (plot->x + (i * step - lo) / (hi - lo) * plot->width) + 0.5;
        swage_chart_set_color (cr, &theme->grid, 1);
        cairo_move_to (cr, x, plot->y);
        cairo_line_to (cr, x, bottom + 4);
        cairo_stroke (cr);
        swage_chart_format_tick (text, sizeof text, i * step, step);
        swage_chart_measure (cr, theme, text, &width, &line);
        if (x - width / 2 < plot->x - 40)
          continue;
        swage_chart_set_color (cr, &theme->muted, 1);
        swage_chart_text (cr, theme, text, x, bottom + 6, 0.5, 0);
      }
  swage_chart_set_color (cr, &theme->muted, 0.8);
  cairo_move_to (cr, plot->x, floor (bottom) + 0.5);
  cairo_line_to (cr, plot->x + plot->width, floor (bottom) + 0.5);
  cairo_stroke (cr);
  if (label != NULL)
    {
      swage_chart_set_color (cr, &theme->muted, 1);
      swage_chart_text (cr, theme, label, plot->x + plot->width / 2, bottom + 8 + line, 0.5, 0);
    }
}
