/* SPDX-License-Identifier: MIT
 *
 * Painters: plots as functions of a cairo_t and plain structs. No widget, no toolkit: the window draws with
 * them, and so do swage-cli and the tests, onto image, SVG and PDF surfaces.
 *
 * A painter fills the rectangle (0, 0, w, h) of the current user space and leaves the cairo state as it found
 * it. Sizes are in user-space units (pixels, on an image surface). What a chart shows is borrowed for the
 * call. Any thread.
 */
#pragma once

#include <cairo.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  double red, green, blue, alpha;
} SwageChartColor;

typedef struct
{
  SwageChartColor background; /* alpha 0: the surface shows through */
  SwageChartColor foreground; /* text, axes */
  SwageChartColor muted;      /* tick labels, secondary text */
  SwageChartColor grid;
  SwageChartColor before;  /* the original: an outline */
  SwageChartColor after;   /* the plan's result: a fill */
  SwageChartColor outlier; /* ±kσ marks, outlier channels */
  SwageChartColor card;    /* behind the hover text */
  const char *font;        /* family, "sans-serif"; used when `text` is NULL */
  double font_size;        /* in user-space units */
  /* Draws (cr not NULL) and measures a line of text whose top left corner is (x, y), in cairo's current
   * colour. NULL: cairo's own text functions, which know one font and no shaping. */
  void (*text) (cairo_t *cr, const char *text, double x, double y, double *width, double *height,
                void *user_data);
  void *text_data;
} SwageChartTheme;

/* Colours that keep apart for colour-blind eyes, on a light or dark ground; an opaque background,
 * "sans-serif" 11. */
void swage_chart_theme_init (SwageChartTheme *theme, bool dark);

typedef struct
{
  double x, y, width, height;
} SwageChartRect;

/* What follows is for those who write painters. */
void swage_chart_set_color (cairo_t *cr, const SwageChartColor *color, double alpha);
/* One line of text; (x, y) is the point of the text's box at xalign, yalign (0 … 1 each). */
void swage_chart_text (cairo_t *cr, const SwageChartTheme *theme, const char *text, double x, double y,
                       double xalign, double yalign);
void swage_chart_measure (cairo_t *cr, const SwageChartTheme *theme, const char *text, double *width,
                          double *height);
/* A box of lines near (x, y) that stays within `inside`. The first `n` strings of lines. */
void swage_chart_card (cairo_t *cr, const SwageChartTheme *theme, const SwageChartRect *inside, double x,
                       double y, const char *const *lines, int n);

/* The distance between ticks: 1, 2 or 5 times a power of ten, so that about `count` fit between lo and hi; 0
 * when there is no range. */
double swage_chart_tick_step (double lo, double hi, int count);
/* Room that a label has: "0.05" for a step of 0.05. */
void swage_chart_format_tick (char *buffer, size_t size, double value, double step);
/* "950", "12.3k", "4.1M". */
void swage_chart_format_count (char *buffer, size_t size, double count);
/* Horizontal ticks with grid lines and labels below `plot`. */
void swage_chart_x_axis (cairo_t *cr, const SwageChartTheme *theme, const SwageChartRect *plot, double lo,
                         double hi, bool integers, const char *label);
