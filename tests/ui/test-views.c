/* SPDX-License-Identifier: MIT
 *
 * What the views are made of, without a window: the trade-off's front, places and words; the spectrum's; the
 * heat map's colours and its tiles, whose samples are asserted against the matrix itself.
 */
#include "ui/chart/swage-chart-heat.h"
#include "ui/chart/swage-chart-histogram.h"
#include "ui/chart/swage-chart-spectrum.h"
#include "ui/chart/swage-chart-tradeoff.h"
#include "ui/heatmap/swage-heat-tiles.h"

#include <string.h>

#define W 480
#define H 320

static uint32_t
pixel (cairo_surface_t *surface, int x, int y)
{
  const unsigned char *row
      = cairo_image_surface_get_data (surface) + (size_t)y * (size_t)cairo_image_surface_get_stride (surface);
  uint32_t value;
  memcpy (&value, row + 4 * x, 4);
  return value & 0xffffff;
}

/* --- trade-off
 * ----------------------------------------------------------------------------------------------- */

static SwageChartTrial trials[] = {
  { .bytes = 4e6, .value = 0.003, .error = 1e-4, .number = 1 }, /* front */
  { .bytes = 7e6, .value = 4e-5, .error = 1e-6, .number = 2 },  /* front */
  { .bytes = 14e6, .value = 0.08, .error = 1e-3, .number = 3 }, /* beaten by all */
  { .bytes = 3e6, .value = 0.05, .error = 2e-3, .number = 4 },  /* front */
  { .bytes = 4e6, .value = 0.004, .error = 1e-4, .number = 5 }, /* as large as the first, and worse */
  { .bytes = 20e6, .value = 0, .error = 0, .number = 6 },       /* loses nothing: front, on the base line */
};
static const bool on_front[] = { true, true, false, true, false, true };

static SwageChartTradeoff
make_tradeoff (void)
{
  SwageChartTradeoff chart = SWAGE_CHART_TRADEOFF_INIT;
  swage_chart_tradeoff_find_front (trials, G_N_ELEMENTS (trials));
  chart.trials = trials;
  chart.n = G_N_ELEMENTS (trials);
  chart.original_bytes = 24e6;
  chart.value_label = "KLD";
  return chart;
}

static void
test_tradeoff (void)
{
  SwageChartTradeoff chart = make_tradeoff ();
  for (guint i = 0; i < G_N_ELEMENTS (trials); i++)
    g_assert_true (trials[i].front == on_front[i]);
  /* every point is where it says, in its colour, and found by the pointer */
  for (int dark = 0; dark < 2; dark++)
    {
      SwageChartTheme theme;
      swage_chart_theme_init (&theme, dark);
      cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, W, H);
      cairo_t *cr = cairo_create (surface);
      chart.has_running = dark;
      chart.running = (SwageChartTrial){ .bytes = 5e6, .value = 0.01, .error = 0.004 };
      swage_chart_tradeoff_draw (cr, W, H, &chart, &theme);
      g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
      cairo_destroy (cr);
      cairo_surface_flush (surface);
      double last_x = 0, last_y = H;
      for (int i = 0; i < chart.n; i++)
        {
          double x, y;
          swage_chart_tradeoff_locate (W, H, &chart, &theme, i, &x, &y);
          uint32_t color = pixel (surface, (int)x, (int)y - 1);
          bool blue = (int)(color & 255) - (int)(color >> 16 & 255) > 40;
          g_assert_true (blue == on_front[i] || i == 4 /* under the first one's diamond */);
          int hit = swage_chart_tradeoff_hit_at (W, H, &chart, &theme, x + 2, y + 1);
          g_assert_cmpint (hit, ==, i);
          last_x = fmax (last_x, x);
          last_y = fmin (last_y, y);
        }
      g_assert_cmpfloat (last_x, <, W);
      g_assert_cmpfloat (last_y, >, 0);
      g_assert_cmpint (swage_chart_tradeoff_hit_at (W, H, &chart, &theme, 2, 2), ==, -1);
      cairo_surface_destroy (surface);
    }
  /* a tenfold divergence is a step of one size wherever it stands */
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, false);
  chart.has_running = false;
  SwageChartTrial three[]
      = { { .bytes = 1, .value = 0.001 }, { .bytes = 2, .value = 0.01 }, { .bytes = 3, .value = 0.1 } };
  chart.trials = three;
  chart.n = 3;
  double x, y[3];
  for (int i = 0; i < 3; i++)
    swage_chart_tradeoff_locate (W, H, &chart, &theme, i, &x, &y[i]);
  g_assert_cmpfloat_with_epsilon (y[0] - y[1], y[1] - y[2], 1e-6);
  g_assert_cmpfloat (y[1], <, y[0]);
}

static void
test_tradeoff_text (void)
{
  SwageChartTradeoff chart = make_tradeoff ();
  g_autofree char *spoken = swage_chart_tradeoff_describe (&chart);
  g_assert_nonnull (strstr (spoken, "6 trials, 4 on the front"));
  g_assert_nonnull (strstr (spoken, "Smallest: trial 4"));
  g_assert_nonnull (strstr (spoken, "Best: trial 6"));
  g_autofree char *table = swage_chart_tradeoff_to_text (&chart);
  g_assert_nonnull (strstr (table, "\n1\t4000000\t0.003\t0.0001\t1\n"));
  /* nothing at all, and one point alone, are drawn too */
  chart.n = 0;
  chart.original_bytes = 0;
  g_autofree char *nothing = swage_chart_tradeoff_describe (&chart);
  g_assert_nonnull (nothing);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, 20, 10);
  cairo_t *cr = cairo_create (surface);
  SwageChartTheme theme;
  swage_chart_theme_init (&theme, false);
  swage_chart_tradeoff_draw (cr, 20, 10, &chart, &theme);
  chart.n = 1;
  chart.log_y = false;
  swage_chart_tradeoff_draw (cr, 20, 10, &chart, &theme);
  g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
}

/* --- spectrum
 * ------------------------------------------------------------------------------------------------ */

static void
test_spectrum (void)
{
  enum
  {
    N = 100
  };
  double values[N], total = 0;
  for (int i = 0; i < N; i++)
    {
      values[i] = pow (0.9, i);
      total += values[i] * values[i];
    }
  g_assert_cmpfloat_with_epsilon (swage_chart_spectrum_energy (values, N, 1), 1 / total, 1e-12);
  g_assert_cmpfloat (swage_chart_spectrum_energy (values, N, N), ==, 1);
  SwageChartSpectrum chart = SWAGE_CHART_SPECTRUM_INIT;
  chart.before = values;
  chart.n = N;
  chart.break_even = 40;
  chart.hover = 7;
  g_autofree char *spoken = swage_chart_spectrum_describe (&chart);
  /* 1 − 0.81^r ≥ 0.9 from r = 11 on */
  g_assert_nonnull (strstr (spoken, "90 % of the energy needs rank 11,"));
  g_assert_nonnull (strstr (spoken, "rank 40"));
  g_autofree char *table = swage_chart_spectrum_to_text (&chart);
  g_assert_true (g_str_has_prefix (table, "rank\toriginal\n1\t1\n2\t0.9\n"));
  SwageChartTheme theme;
  SwageChartRect plot;
  double lo, hi;
  swage_chart_theme_init (&theme, false);
  swage_chart_spectrum_get_frame (W, H, &chart, &theme, &plot, &lo, &hi);
  g_assert_cmpfloat (hi - lo, ==, N);
  /* break-even is an orange line at its rank */
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, W, H);
  cairo_t *cr = cairo_create (surface);
  swage_chart_spectrum_draw (cr, W, H, &chart, &theme);
  g_assert_cmpint (cairo_status (cr), ==, CAIRO_STATUS_SUCCESS);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  int x = (int)(plot.x + 40.0 / N * plot.width), orange = 0;
  for (int y = (int)plot.y; y < (int)(plot.y + plot.height); y++)
    for (int dx = -1; dx <= 1; dx++)
      {
        uint32_t color = pixel (surface, x + dx, y);
        orange += (int)(color >> 16 & 255) - (int)(color & 255) > 60;
      }
  g_assert_cmpint (orange, >, 80);
  cairo_surface_destroy (surface);
}

/* --- histogram
 * ----------------------------------------------------------------------------------------------- */

static void
test_clipped (void)
{
  int64_t counts[4] = { 5, 40, 50, 5 }, after_counts[2] = { 50, 50 };
  SwageSummary before = { .n = 100, .min = -2, .max = 2 }, after = { .n = 100, .min = -1, .max = 1 };
  before.histogram = (SwageHistogram){ .n_bins = 4, .lo = -2, .hi = 2, .counts = counts };
  after.histogram = (SwageHistogram){ .n_bins = 2, .lo = -1, .hi = 1, .counts = after_counts };
  SwageChartHistogram chart = SWAGE_CHART_HISTOGRAM_INIT;
  chart.before = &before;
  g_assert_cmpfloat (swage_chart_histogram_clipped (&chart), ==, 0);
  chart.after = &after;
  /* the outer bins touch the plan's range only at their edges */
  after.min = -0.9;
  after.max = 0.9;
  g_assert_cmpfloat_with_epsilon (swage_chart_histogram_clipped (&chart), 0.1, 1e-12);
}

/* --- heat map
 * ------------------------------------------------------------------------------------------------ */

static double
get_lightness (double t, bool dark)
{
  SwageChartColor c;
  swage_chart_heat_color (t, true, dark, &c);
  return 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue;
}

static void
test_heat_colors (void)
{
  for (int dark = 0; dark < 2; dark++)
    {
      double zero = get_lightness (0, dark);
      for (int i = 1; i <= 10; i++)
        {
          double t = i / 10.0, up = get_lightness (t, dark), down = get_lightness (-t, dark);
          /* away from zero it goes one way on both sides, and about as far */
          g_assert_cmpfloat (dark ? up - zero : zero - up, >, 0);
          g_assert_cmpfloat (dark ? down - zero : zero - down, >, 0);
          g_assert_cmpfloat (fabs (up - down), <, 0.12);
        }
      SwageChartColor a, b;
      swage_chart_heat_color (1, true, dark, &a);
      swage_chart_heat_color (-1, true, dark, &b);
      /* blue and orange: apart in blue and red, which every common kind of colour blindness tells apart */
      g_assert_cmpfloat (a.red - b.red, >, 0.4);
      g_assert_cmpfloat (b.blue - a.blue, >, 0.4);
    }
  g_assert_cmpfloat (swage_chart_heat_place (-1, 4), ==, -0.5);
  g_assert_cmpfloat (swage_chart_heat_place (9, 4), ==, 1);
  g_assert_cmpfloat (swage_chart_heat_place (0.25, 0), ==, 0.25);
}

static float
get_value (int64_t row, int64_t col)
{
  uint32_t state = (uint32_t)(row * 7919 + col) * 2654435761u;
  return ((float)(state >> 8) / 16777216.0f - 0.5f) * 0.1f;
}

static SwageWeight *
make_weight (int64_t rows, int64_t cols, float scale, int64_t spike_row, int64_t spike_col)
{
  float *values = g_new (float, (gsize)(rows * cols));
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++)
      values[r * cols + c] = scale * get_value (r, c);
  if (spike_row >= 0)
    values[spike_row * cols + spike_col] = -3;
  return swage_weight_new (SWAGE_TYPE_F32, rows, cols,
                           g_bytes_new_take (values, (gsize)(rows * cols) * sizeof (float)));
}

static int n_calls;

static void
on_more (gpointer data)
{
  n_calls++;
}

static gboolean
give_up (gpointer data)
{
  g_error ("waited in vain");
  return G_SOURCE_REMOVE;
}

#define WAIT_FOR(expression)                                                                                 \
  G_STMT_START                                                                                               \
  {                                                                                                          \
    guint wait_id = g_timeout_add_seconds (300, give_up, NULL);                                              \
    while (!(expression))                                                                                    \
      g_main_context_iteration (NULL, TRUE);                                                                 \
    g_source_remove (wait_id);                                                                               \
  }                                                                                                          \
  G_STMT_END

/* A tile, waited for if need be. */
static const SwageHeatTile *
get_tile (SwageHeatTiles *tiles, int level, int64_t row, int64_t col)
{
  const SwageHeatTile *tile = NULL;
  guint wait_id = g_timeout_add_seconds (300, give_up, NULL);
  for (;;)
    {
      int before = n_calls;
      swage_heat_tiles_begin (tiles);
      tile = swage_heat_tiles_get (tiles, level, row, col);
      swage_heat_tiles_end (tiles);
      if (tile != NULL)
        break;
      while (n_calls == before)
        g_main_context_iteration (NULL, TRUE);
    }
  g_source_remove (wait_id);
  return tile;
}

static void
test_heat_tiles (void)
{
  /* larger than what is kept as a whole, and no multiple of anything */
  enum
  {
    ROWS = 2500,
    COLS = 2113,
    SPIKE_ROW = 1811,
    SPIKE_COL = 1500
  };
  g_autoptr (SwageWeight) weight = make_weight (ROWS, COLS, 1, SPIKE_ROW, SPIKE_COL);
  SwageHeatTiles *tiles = swage_heat_tiles_new (weight, NULL, SWAGE_HEAT_ORIGINAL, on_more, NULL);
  g_assert_false (swage_heat_tiles_is_ready (tiles));
  g_assert_null (swage_heat_tiles_get (tiles, 0, 0, 0));
  WAIT_FOR (swage_heat_tiles_is_ready (tiles));
  g_assert_cmpfloat (swage_heat_tiles_get_absmax (tiles), ==, 3);
  int n_levels = swage_heat_tiles_get_n_levels (tiles);
  /* the coarsest level is one sample */
  const SwageHeatTile *top = get_tile (tiles, n_levels - 1, 0, 0);
  g_assert_cmpint (top->width * top->height, ==, 1);
  g_assert_cmpfloat ((double)top->values[0], ==, -3);
  /* the spike is seen from every height; the elements are themselves */
  for (int level = 0; level < n_levels; level++)
    {
      int64_t r = SPIKE_ROW >> level, c = SPIKE_COL >> level;
      const SwageHeatTile *tile = get_tile (tiles, level, r / 256, c / 256);
      g_assert_cmpfloat ((double)tile->values[r % 256 * 256 + c % 256], ==, -3);
    }
  const SwageHeatTile *tile = get_tile (tiles, 0, 9, 8); /* the corner: 196 × 65 */
  g_assert_cmpint (tile->height, ==, ROWS - 9 * 256);
  g_assert_cmpint (tile->width, ==, COLS - 8 * 256);
  for (int r = 0; r < tile->height; r += 7)
    for (int c = 0; c < tile->width; c += 5)
      g_assert_true (tile->values[r * 256 + c] == get_value (9 * 256 + r, 8 * 256 + c));
  /* a sample is the element of largest magnitude of its block, also in the last, narrower one */
  tile = get_tile (tiles, 1, 4, 4);
  for (int r = 0; r < tile->height; r += 11)
    for (int c = 0; c < tile->width; c++)
      {
        float most = 0;
        for (int64_t y = 2 * (4 * 256 + r); y < MIN (ROWS, 2 * (4 * 256 + r) + 2); y++)
          for (int64_t x = 2 * (4 * 256 + c); x < MIN (COLS, 2 * (4 * 256 + c) + 2); x++)
            if (fabsf (get_value (y, x)) > fabsf (most))
              most = get_value (y, x);
        g_assert_true (tile->values[r * 256 + c] == most);
      }
  double original, plan;
  swage_heat_tiles_get_element (tiles, SPIKE_ROW, SPIKE_COL, &original, &plan);
  g_assert_cmpfloat (original, ==, -3);
  g_assert_true (isnan (plan));
  swage_heat_tiles_get_element (tiles, 3, 9, &original, &plan);
  g_assert_true ((float)original == get_value (3, 9));
  /* gone while a tile is on its way */
  swage_heat_tiles_begin (tiles);
  swage_heat_tiles_get (tiles, 0, 3, 3);
  swage_heat_tiles_end (tiles);
  swage_heat_tiles_free (tiles);
  int calls = n_calls;
  for (int i = 0; i < 50; i++)
    {
      g_main_context_iteration (NULL, FALSE);
      g_usleep (2000);
    }
  g_assert_cmpint (n_calls, ==, calls);
}

static void
test_heat_modes (void)
{
  enum
  {
    ROWS = 40,
    COLS = 300
  };
  g_autoptr (SwageWeight) original = make_weight (ROWS, COLS, 1, -1, -1);
  float *values = g_new (float, ROWS *COLS);
  for (int i = 0; i < ROWS * COLS; i++)
    values[i] = i % 4 == 0 ? 0 : get_value (i / COLS, i % COLS);
  g_autoptr (SwageWeight) plan = swage_weight_new (SWAGE_TYPE_F32, ROWS, COLS,
                                                   g_bytes_new_take (values, sizeof (float) * ROWS * COLS));
  SwageHeatTiles *tiles = swage_heat_tiles_new (original, plan, SWAGE_HEAT_ERROR, on_more, NULL);
  WAIT_FOR (swage_heat_tiles_is_ready (tiles));
  const SwageHeatTile *tile = get_tile (tiles, 0, 0, 1);
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < tile->width; c++)
      {
        bool pruned = (r * COLS + 256 + c) % 4 == 0;
        g_assert_true (tile->values[r * 256 + c] == (pruned ? -get_value (r, 256 + c) : 0));
      }
  /* no two tiles are taken for each other, whosever they are */
  uint64_t serial = tile->serial;
  swage_heat_tiles_free (tiles);
  tiles = swage_heat_tiles_new (original, plan, SWAGE_HEAT_ZEROS, on_more, NULL);
  WAIT_FOR (swage_heat_tiles_is_ready (tiles));
  g_assert_cmpuint (get_tile (tiles, 0, 0, 1)->serial, >, serial);
  tile = get_tile (tiles, 2, 0, 0); /* of sixteen elements four are zero, in every block */
  for (int r = 0; r < tile->height; r++)
    for (int c = 0; c < tile->width; c++)
      g_assert_cmpfloat_with_epsilon ((double)tile->values[r * 256 + c], 0.25, 1e-6);
  double a, b;
  swage_heat_tiles_get_element (tiles, 0, 4, &a, &b);
  g_assert_cmpfloat (b, ==, 0);
  swage_heat_tiles_free (tiles);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/views/tradeoff", test_tradeoff);
  g_test_add_func ("/views/tradeoff-text", test_tradeoff_text);
  g_test_add_func ("/views/spectrum", test_spectrum);
  g_test_add_func ("/views/clipped", test_clipped);
  g_test_add_func ("/views/heat/colors", test_heat_colors);
  g_test_add_func ("/views/heat/tiles", test_heat_tiles);
  g_test_add_func ("/views/heat/modes", test_heat_modes);
  return g_test_run ();
}
