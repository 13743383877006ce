/* SPDX-License-Identifier: MIT */
#include "ui/chart/swage-chart-map.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

/* Five points of a ramp from dark blue over teal to yellow whose lightness rises evenly, so that order
 * survives colour blindness and grey printing. */
void
swage_chart_map_color (double t, SwageChartColor *color)
{
  static const double ramp[][3] = { { 0.16, 0.11, 0.33 },
                                    { 0.17, 0.31, 0.53 },
                                    { 0.13, 0.53, 0.55 },
                                    { 0.45, 0.74, 0.35 },
                                    { 0.98, 0.90, 0.27 } };
  t = fmin (1, fmax (0, t)) * 4;
  int i = (int)fmin (3, floor (t));
  double f = t - i;
  *color = (SwageChartColor){ ramp[i][0] + f * (ramp[i + 1][0] - ramp[i][0]),
                              ramp[i][1] + f * (ramp[i + 1][1] - ramp[i][1]),
                              ramp[i][2] + f * (ramp[i + 1][2] - ramp[i][2]), 1 };
}

typedef struct
{
  SwageChartRect plot;
  double lo, hi; /* of the known values */
  bool known;
} Frame;

static void
frame_init (Frame *frame, double w, double h, const SwageChartMap *data, const SwageChartTheme *theme)
{
  double left = 0, width, line = 0;
  swage_chart_measure (NULL, theme, "0", &width, &line);
  for (int i = 0; i < data->n_rows; i++)
    {
      swage_chart_measure (NULL, theme, data->row_labels[i], &width, &line);
      left = fmax (left, width);
    }
  left += 12;
  double top = line + 10, bottom = 2 * line + 34;
  frame->plot = (SwageChartRect){ left, top, fmax (10, w - left - 12), fmax (10, h - top - bottom) };
  /* cells of a sensible height, even when there are few blocks */
  frame->plot.height = fmin (frame->plot.height, 64.0 * data->n_rows);
  frame->known = false;
  frame->lo = INFINITY;
  frame->hi = -INFINITY;
  for (int i = 0; i < data->n_rows * data->n_columns; i++)
    if (data->present[i] && isfinite (data->values[i]) && !(data->log_scale && data->values[i] <= 0))
      {
        frame->known = true;
        frame->lo = fmin (frame->lo, data->values[i]);
        frame->hi = fmax (frame->hi, data->values[i]);
      }
}

static double
scale_of (const Frame *frame, const SwageChartMap *data, double value)
{
  if (!(frame->hi > frame->lo))
    return 0.5;
  if (data->log_scale)
    return value <= 0 ? 0 : log (value / frame->lo) / log (frame->hi / frame->lo);
  return (value - frame->lo) / (frame->hi - frame->lo);
}

static void
format_value (const SwageChartMap *data, double value, char *buffer, size_t size)
{
  if (data->format != NULL)
    data->format (value, buffer, size);
  else
    g_snprintf (buffer, size, "%.4g", value);
}

static void
cell_rect (const Frame *frame, const SwageChartMap *data, int index, SwageChartRect *cell)
{
  int row = index / data->n_columns, column = index % data->n_columns;
  double width = frame->plot.width / data->n_columns, height = frame->plot.height / data->n_rows;
  double gap = height > 8 ? 1 : 0;
  cell->x = floor (frame->plot.x + column * width);
  cell->y = floor (frame->plot.y + row * height);
  cell->width = fmax (1, floor (frame->plot.x + (column + 1) * width) - cell->x - gap);
  cell->height = fmax (1, floor (frame->plot.y + (row + 1) * height) - cell->y - gap);
}

static void
draw_cells (cairo_t *cr, const Frame *frame, const SwageChartMap *data, const SwageChartTheme *theme)
{
  char text[48];
  for (int i = 0; i < data->n_rows * data->n_columns; i++)
    {
      SwageChartRect cell;
      cell_rect (frame, data, i, &cell);
      if (!data->present[i])
        continue;
      SwageChartColor color = theme->grid;
      bool known = isfinite (data->values[i]);
      double t = known ? scale_of (frame, data, data->values[i]) : 0;
      if (known)
        swage_chart_map_color (t, &color);
      swage_chart_set_color (cr, &color, 1);
      cairo_rectangle (cr, cell.x, cell.y, cell.width, cell.height);
      cairo_fill (cr);
      if (known && cell.height >= theme->font_size * 1.5)
        {
          double width, line;
          format_value (data, data->values[i], text, sizeof text);
          swage_chart_measure (cr, theme, text, &width, &line);
          if (width <= cell.width - 6)
            {
              const SwageChartColor ink
                  = t > 0.55 ? (SwageChartColor){ 0.08, 0.08, 0.1, 1 } : (SwageChartColor){ 1, 1, 1, 1 };
              swage_chart_set_color (cr, &ink, 1);
              swage_chart_text (cr, theme, text, cell.x + cell.width / 2, cell.y + cell.height / 2, 0.5, 0.5);
            }
        }
      bool selected = data->selected != NULL && data->selected[i];
      if (selected || i == data->hover)
        {
          swage_chart_set_color (cr, &theme->foreground, 1);
          cairo_set_line_width (cr, selected ? 2.5 : 1);
          cairo_rectangle (cr, cell.x + 1, cell.y + 1, fmax (1, cell.width - 2), fmax (1, cell.height - 2));
          cairo_stroke (cr);
        }
    }
}

static void
draw_labels (cairo_t *cr, const Frame *frame, const SwageChartMap *data, const SwageChartTheme *theme)
{
  double width, line;
  swage_chart_measure (cr, theme, "0", &width, &line);
  double height = frame->plot.height / data->n_rows, column = frame->plot.width / data->n_columns;
  int every = (int)fmax (1, ceil ((line + 2) / height));
  swage_chart_set_color (cr, &theme->muted, 1);
  for (int i = 0; i < data->n_rows; i += every)
    swage_chart_text (cr, theme, data->row_labels[i], frame->plot.x - 6, frame->plot.y + (i + 0.5) * height,
                      1, 0.5);
  /* where columns are narrow, the distinguishing end of all names: "attn_output" → "output" */
  bool shorten = false;
  for (int i = 0; i < data->n_columns; i++)
    {
      swage_chart_measure (cr, theme, data->column_labels[i], &width, &line);
      shorten = shorten || width > column - 4;
    }
  for (int i = 0; i < data->n_columns; i++)
    {
      const char *label = data->column_labels[i];
      if (shorten && strchr (label, '_') != NULL)
        label = strchr (label, '_') + 1;
      swage_chart_measure (cr, theme, label, &width, &line);
      if (width <= column)
        swage_chart_text (cr, theme, label, frame->plot.x + (i + 0.5) * column, frame->plot.y - 4, 0.5, 1);
    }
}

static void
draw_scale (cairo_t *cr, const Frame *frame, const SwageChartMap *data, const SwageChartTheme *theme)
{
  if (!frame->known)
    return;
  double y = floor (frame->plot.y + frame->plot.height + 14), width = fmin (frame->plot.width, 260), line,
         ignored;
  swage_chart_measure (cr, theme, "0", &ignored, &line);
  cairo_pattern_t *gradient = cairo_pattern_create_linear (frame->plot.x, 0, frame->plot.x + width, 0);
  for (int i = 0; i <= 4; i++)
    {
      SwageChartColor color;
      swage_chart_map_color (i / 4.0, &color);
      cairo_pattern_add_color_stop_rgb (gradient, i / 4.0, color.red, color.green, color.blue);
    }
  cairo_set_source (cr, gradient);
  cairo_rectangle (cr, frame->plot.x, y, width, 8);
  cairo_fill (cr);
  cairo_pattern_destroy (gradient);
  char lo[48], hi[48];
  format_value (data, frame->lo, lo, sizeof lo);
  format_value (data, frame->hi, hi, sizeof hi);
  swage_chart_set_color (cr, &theme->muted, 1);
  swage_chart_text (cr, theme, lo, frame->plot.x, y + 12, 0, 0);
  swage_chart_text (cr, theme, hi, frame->plot.x + width, y + 12, 1, 0);
  if (data->title != NULL)
    {
      swage_chart_set_color (cr, &theme->foreground, 1);
      swage_chart_text (cr, theme, data->title, frame->plot.x + width / 2, y + 12, 0.5, 0);
    }
}

void
swage_chart_map_draw (cairo_t *cr, double w, double h, const SwageChartMap *data,
                      const SwageChartTheme *theme)
{
  cairo_save (cr);
  if (theme->background.alpha > 0)
    {
      swage_chart_set_color (cr, &theme->background, 1);
      cairo_rectangle (cr, 0, 0, w, h);
      cairo_fill (cr);
    }
  if (data->n_rows > 0 && data->n_columns > 0)
    {
      Frame frame;
      frame_init (&frame, w, h, data, theme);
      draw_cells (cr, &frame, data, theme);
      draw_labels (cr, &frame, data, theme);
      draw_scale (cr, &frame, data, theme);
      if (data->hover >= 0 && data->hover < data->n_rows * data->n_columns && data->present[data->hover])
        {
          SwageChartRect cell, all = { 0, 0, w, h };
          cell_rect (&frame, data, data->hover, &cell);
          char value[48] = "–";
          if (isfinite (data->values[data->hover]))
            format_value (data, data->values[data->hover], value, sizeof value);
          g_autofree char *name = g_strdup_printf ("%s.%s", data->row_labels[data->hover / data->n_columns],
                                                   data->column_labels[data->hover % data->n_columns]);
          const char *lines[] = { name, value };
          swage_chart_card (cr, theme, &all, cell.x + cell.width, cell.y + cell.height / 2, lines, 2);
        }
    }
  cairo_restore (cr);
}

int
swage_chart_map_hit_at (double w, double h, const SwageChartMap *data, const SwageChartTheme *theme, double x,
                        double y)
{
  if (data->n_rows < 1 || data->n_columns < 1)
    return -1;
  Frame frame;
  frame_init (&frame, w, h, data, theme);
  double column = floor ((x - frame.plot.x) / frame.plot.width * data->n_columns);
  double row = floor ((y - frame.plot.y) / frame.plot.height * data->n_rows);
  if (!(column >= 0 && column < data->n_columns && row >= 0 && row < data->n_rows))
    return -1;
  int index = (int)row * data->n_columns + (int)column;
  return data->present[index] ? index : -1;
}

char *
swage_chart_map_describe (const SwageChartMap *data)
{
  int best = -1, known = 0;
  for (int i = 0; i < data->n_rows * data->n_columns; i++)
    if (data->present[i] && isfinite (data->values[i]))
      {
        known++;
        if (best < 0 || data->values[i] > data->values[best])
          best = i;
      }
  if (best < 0)
    return g_strdup (_ ("Map without data"));
  char value[48];
  format_value (data, data->values[best], value, sizeof value);
  return g_strdup_printf (_ ("Map of %d layers by %s; the largest is %s.%s with %s."), known,
                          data->title != NULL ? data->title : "", data->row_labels[best / data->n_columns],
                          data->column_labels[best % data->n_columns], value);
}

char *
swage_chart_map_to_text (const SwageChartMap *data)
{
  GString *text = g_string_new (NULL);
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  for (int column = 0; column < data->n_columns; column++)
    g_string_append_printf (text, "\t%s", data->column_labels[column]);
  g_string_append_c (text, '\n');
  for (int row = 0; row < data->n_rows; row++)
    {
      g_string_append (text, data->row_labels[row]);
      for (int column = 0; column < data->n_columns; column++)
        {
          double value = data->values[row * data->n_columns + column];
          g_string_append_printf (
              text, "\t%s", isfinite (value) ? g_ascii_formatd (number, sizeof number, "%.9g", value) : "");
        }
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}
