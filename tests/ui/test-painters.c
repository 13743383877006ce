/* SPDX-License-Identifier: MIT
 *
 * Painters on image surfaces: what is asserted is structure (where ink of which colour is), so that fonts and
 * antialiasing of the machine do not matter; and the numbers behind the pictures, exactly.
 */
#include "ui/chart/swage-chart-channels.h"
#include "ui/chart/swage-chart-histogram.h"
#include "ui/chart/swage-chart-map.h"

#include <cairo-svg.h>
#include <string.h>

#define W 480
#define H 320

static int64_t counts_before[10] = { 1, 0, 10, 100, 1000, 1000, 100, 10, 0, 1 };
static int64_t counts_after[10] = { 0, 0, 0, 110, 1001, 1001, 110, 0, 0, 0 };

static SwageSummary
make_summary (int64_t *counts)
{
  SwageSummary s = {
    .mean = 0, .std = 0.5, .min = -5, .max = 5, .kurtosis = 3, .outlier_sigma = 6, .outlier_share = 0.0009
  };
  s.histogram = (SwageHistogram){ .n_bins = 10, .lo = -5, .hi = 5, .counts = counts };
  for (int i = 0; i < 10; i++)
    s.n += counts[i];
  return s;
}

static cairo_surface_t *
paint (void (*draw) (cairo_t *cr, const void *data, const SwageChartTheme *theme), const void *data,
       bool dark)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_ARGB32, W, H);
  cairo_t *cr = cairo_create (surface);
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, dark);
  draw (cr, data, &theme);
  g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  return surface;
}

static void
draw_histogram (cairo_t *cr, const void *data, const SwageChartTheme *theme)
{
  swage_chart_histogram_draw (cr, W, H, data, theme);
}

static void
draw_channels (cairo_t *cr, const void *data, const SwageChartTheme *theme)
{
  swage_chart_channels_draw (cr, W, H, data, theme);
}

static void
draw_map (cairo_t *cr, const void *data, const SwageChartTheme *theme)
{
  swage_chart_map_draw (cr, W, H, data, theme);
}

static uint32_t
pixel (cairo_surface_t *surface, int x, int y)
{
  const unsigned char *row
      = cairo_image_surface_get_data (surface) + (size_t)y * (size_t)cairo_image_surface_get_stride (surface);
  uint32_t value;
  memcpy (&value, row + 4 * x, 4);
  return value & 0xffffff;
}

/* Bluer than red: the fill, on a light or a dark ground. */
static bool
is_fill (uint32_t color)
{
  return (int)(color & 255) - (int)(color >> 16 & 255) > 40;
}

/* The height of the fill in pixels above the base line at a value. */
static int
fill_height (cairo_surface_t *surface, const SwageChartHistogram *chart, double value)
{
  SwageChartTheme theme;
  SwageChartRect plot;
  double lo, hi;
  swage_chart_theme_init (&theme, false);
  swage_chart_histogram_get_frame (W, H, chart, &theme, &plot, &lo, &hi);
  int x = (int)(plot.x + (value - lo) / (hi - lo) * plot.width), height = 0;
  for (int y = (int)plot.y; y < (int)(plot.y + plot.height); y++)
    height += is_fill (pixel (surface, x, y));
  return height;
}

static void
test_histogram_heights (void)
{
  SwageSummary before = make_summary (counts_before);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = &before;
  chart.sigma = -1;
  for (int dark = 0; dark < 2; dark++)
    {
      cairo_surface_t *surface = paint (draw_histogram, &chart, dark);
      int one = fill_height (surface, &chart, -4.5), none = fill_height (surface, &chart, -3.5);
      int ten = fill_height (surface, &chart, -2.5), hundred = fill_height (surface, &chart, -1.5);
      int thousand = fill_height (surface, &chart, -0.5);
      g_assert_cmpint (none, ==, 0);
      g_assert_cmpint (one, >, 5);
      /* equal steps on a logarithmic axis, to the pixel or two that lines and rounding take */
      g_assert_cmpint (ABS ((hundred - ten) - (thousand - hundred)), <=, 4);
      g_assert_cmpint (ABS ((ten - one) - (thousand - hundred)), <=, 4);
      g_assert_cmpint (ABS (thousand - fill_height (surface, &chart, 0.5)), <=, 1);
      cairo_surface_destroy (surface);
    }
  chart.log_y = false;
  cairo_surface_t *surface = paint (draw_histogram, &chart, false);
  int hundred = fill_height (surface, &chart, -1.5), thousand = fill_height (surface, &chart, -0.5);
  g_assert_cmpint (ABS (thousand - 10 * hundred), <=, 20);
  cairo_surface_destroy (surface);
}

static void
test_histogram_after (void)
{
  SwageSummary before = make_summary (counts_before), after = make_summary (counts_after);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = &before;
  chart.after = &after;
  chart.sigma = -1;
  cairo_surface_t *surface = paint (draw_histogram, &chart, false);
  /* the fill is of the plan: nothing in bins that it has emptied */
  g_assert_cmpint (fill_height (surface, &chart, -4.5), ==, 0);
  g_assert_cmpint (fill_height (surface, &chart, -2.5), ==, 0);
  g_assert_cmpint (fill_height (surface, &chart, -0.5), >, 100);
  cairo_surface_destroy (surface);
}

static void
test_histogram_hit (void)
{
  SwageSummary before = make_summary (counts_before), after = make_summary (counts_after);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  SwageChartHistogramHit hit;
  chart.before = &before;
  chart.after = &after;
  for (int i = 0; i < 10; i++)
    {
      g_assert_true (swage_chart_histogram_hit (&chart, -4.5 + i, &hit));
      g_assert_cmpint (hit.bin, ==, i);
      g_assert_cmpint (hit.before, ==, counts_before[i]);
      g_assert_cmpint (hit.after, ==, counts_after[i]);
      g_assert_cmpfloat_with_epsilon (hit.lo, -5 + i, 1e-12);
    }
  g_assert_false (swage_chart_histogram_hit (&chart, 5.1, &hit));
  g_assert_false (swage_chart_histogram_hit (&chart, NAN, &hit));
  /* the upper edge belongs to the last bin */
  g_assert_true (swage_chart_histogram_hit (&chart, 5, &hit));
  g_assert_cmpint (hit.bin, ==, 9);
  /* zoomed in, the pixel says another value */
  SwageChartTheme theme;
  SwageChartRect plot;
  double lo, hi;
  swage_chart_theme_init (&theme, false);
  chart.x_min = 1;
  chart.x_max = 3;
  swage_chart_histogram_get_frame (W, H, &chart, &theme, &plot, &lo, &hi);
  g_assert_cmpfloat (lo, ==, 1);
  g_assert_true (
      swage_chart_histogram_hit_at (W, H, &chart, &theme, plot.x + plot.width * 0.25, plot.y + 5, &hit));
  g_assert_cmpint (hit.bin, ==, 6);
  g_assert_false (swage_chart_histogram_hit_at (W, H, &chart, &theme, plot.x - 3, plot.y + 5, &hit));
}

static void
test_histogram_text (void)
{
  SwageSummary before = make_summary (counts_before);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  g_autofree char *nothing = swage_chart_histogram_describe (&chart);
  g_assert_nonnull (nothing);
  cairo_surface_destroy (paint (draw_histogram, &chart, false));
  chart.before = &before;
  g_autofree char *spoken = swage_chart_histogram_describe (&chart);
  g_assert_nonnull (strstr (spoken, "2222 values"));
  g_autofree char *table = swage_chart_histogram_to_text (&chart);
  g_auto (GStrv) lines = g_strsplit (table, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 12);
  g_assert_cmpstr (lines[5], ==, "original\t-1\t0\t1000");
}

/* A tensor of one value has a histogram without width. */
static void
test_histogram_constant (void)
{
  int64_t counts[1] = { 7 };
  SwageSummary s = { .n = 7, .min = 2, .max = 2, .mean = 2, .absmax = 2, .outlier_sigma = 6 };
  s.histogram = (SwageHistogram){ .n_bins = 1, .lo = 2, .hi = 2, .counts = counts };
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = chart.after = &s;
  cairo_surface_destroy (paint (draw_histogram, &chart, false));
}

static void
test_channels (void)
{
  /* more channels than pixels, one outlier: it must be seen, found, and told */
  enum
  {
    N = 11008,
    OUTLIER = 7321
  };
  float *values = g_new (float, N);
  for (int i = 0; i < N; i++)
    values[i] = 1.0f + 0.1f * (float)((i * 7919) % 13) / 13.0f;
  values[OUTLIER] = 9;
  SwageChartChannels chart = SWAGE_CHART_CHANNELS_INIT;
  chart.before = values;
  chart.n = N;
  chart.threshold = swage_chart_channels_threshold (values, N, 6);
  g_assert_cmpfloat (chart.threshold, >, 1.1);
  g_assert_cmpfloat (chart.threshold, <, 9);
  SwageChartTheme theme;
  SwageChartRect plot;
  double lo, hi;
  swage_chart_theme_init (&theme, false);
  swage_chart_channels_get_frame (W, H, &chart, &theme, &plot, &lo, &hi);
  cairo_surface_t *surface = paint (draw_channels, &chart, false);
  int x = (int)(plot.x + (double)OUTLIER / N * plot.width), orange = 0;
  for (int y = (int)plot.y; y < (int)(plot.y + plot.height); y++)
    for (int dx = -3; dx <= 3; dx++)
      {
        uint32_t color = pixel (surface, x + dx, y);
        orange += (int)(color >> 16 & 255) - (int)(color & 255) > 60;
      }
  g_assert_cmpint (orange, >, 50);
  cairo_surface_destroy (surface);
  g_assert_cmpint (swage_chart_channels_hit_at (W, H, &chart, &theme, x + 0.5, plot.y + 10), ==, OUTLIER);
  g_assert_cmpint (swage_chart_channels_hit_at (W, H, &chart, &theme, plot.x - 5, plot.y + 10), ==, -1);

  int64_t top[3];
  g_assert_cmpint (swage_chart_channels_top (values, N, 3, top), ==, 3);
  g_assert_cmpint (top[0], ==, OUTLIER);
  g_assert_cmpfloat (values[top[1]], >=, values[top[2]]);
  g_assert_cmpint (swage_chart_channels_top (values, 2, 3, top), ==, 2);
  g_autofree char *spoken = swage_chart_channels_describe (&chart);
  g_assert_nonnull (strstr (spoken, "Channel 7321: 9"));
  g_free (values);
}

static void
test_map (void)
{
  const char *rows[] = { "blk.0", "blk.1" }, *columns[] = { "attn_q", "attn_k", "ffn_down" };
  double values[] = { 1, 2, 3, 4, NAN, 6 };
  bool present[] = { true, true, true, true, true, false };
  SwageChartMap chart = SWAGE_CHART_MAP_INIT;
  chart.n_rows = 2;
  chart.n_columns = 3;
  chart.row_labels = rows;
  chart.column_labels = columns;
  chart.values = values;
  chart.present = present;
  chart.title = "kurtosis";
  cairo_surface_destroy (paint (draw_map, &chart, true));
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, false);
  bool seen[6] = { false };
  for (int y = 0; y < H; y += 2)
    for (int x = 0; x < W; x += 2)
      {
        int cell = swage_chart_map_hit_at (W, H, &chart, &theme, x, y);
        if (cell >= 0)
          seen[cell] = true;
      }
  for (int i = 0; i < 6; i++)
    g_assert_true (seen[i] == present[i]);
  g_autofree char *spoken = swage_chart_map_describe (&chart);
  g_assert_nonnull (strstr (spoken, "blk.1.attn_q"));
  g_autofree char *table = swage_chart_map_to_text (&chart);
  g_assert_cmpstr (table, ==, "\tattn_q\tattn_k\tffn_down\nblk.0\t1\t2\t3\nblk.1\t4\t\t6\n");
  /* lightness rises along the ramp: the order survives without colour */
  double last = -1;
  for (int i = 0; i <= 20; i++)
    {
      SwageChartColor color;
      swage_chart_map_color (i / 20.0, &color);
      double luma = 0.2126 * color.red + 0.7152 * color.green + 0.0722 * color.blue;
      g_assert_cmpfloat (luma, >, last);
      last = luma;
    }
}

static void
test_ticks (void)
{
  static const struct
  {
    double lo, hi;
    int count;
    double step;
  } cases[] = { { 0, 10, 5, 2 },   { 0, 1, 10, 0.1 }, { -0.3, 0.3, 6, 0.1 },
                { 0, 100, 3, 20 }, { 5, 5, 4, 0 },    { 0, INFINITY, 4, 0 } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpfloat_with_epsilon (swage_chart_tick_step (cases[i].lo, cases[i].hi, cases[i].count),
                                    cases[i].step, 1e-12);
  char text[32];
  swage_chart_format_count (text, sizeof text, 12345);
  g_assert_cmpstr (text, ==, "12.3k");
  swage_chart_format_count (text, sizeof text, 1e6);
  g_assert_cmpstr (text, ==, "1M");
  swage_chart_format_tick (text, sizeof text, -0.05, 0.05);
  g_assert_cmpstr (text, ==, "−0.05");
}

static cairo_status_t
count_bytes (void *closure, const unsigned char *data, unsigned int length)
{
  *(size_t *)closure += length;
  return CAIRO_STATUS_SUCCESS;
}

/* The same painter on a vector surface, as swage-cli uses it. */
static void
test_svg (void)
{
  size_t bytes = 0;
  SwageSummary before = make_summary (counts_before);
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = &before;
  chart.hover = 0.5;
  cairo_surface_t *surface = cairo_svg_surface_create_for_stream (count_bytes, &bytes, W, H);
  cairo_t *cr = cairo_create (surface);
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, false);
  swage_chart_histogram_draw (cr, W, H, &chart, &theme);
  cairo_destroy (cr);
  cairo_surface_finish (surface);
  g_assert_cmpint (cairo_surface_status (surface), ==, CAIRO_STATUS_SUCCESS);
  cairo_surface_destroy (surface);
  g_assert_cmpuint (bytes, >, 2000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/painters/histogram/heights", test_histogram_heights);
  g_test_add_func ("/painters/histogram/after", test_histogram_after);
  g_test_add_func ("/painters/histogram/hit", test_histogram_hit);
  g_test_add_func ("/painters/histogram/text", test_histogram_text);
  g_test_add_func ("/painters/histogram/constant", test_histogram_constant);
  g_test_add_func ("/painters/channels", test_channels);
  g_test_add_func ("/painters/map", test_map);
  g_test_add_func ("/painters/ticks", test_ticks);
  g_test_add_func ("/painters/svg", test_svg);
  return g_test_run ();
}
