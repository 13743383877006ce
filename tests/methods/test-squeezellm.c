/* SPDX-License-Identifier: MIT
 *
 * squeezellm against the plain dynamic program over all cuts (O(k·n²), in double), and what must hold for it:
 * never worse than a uniform grid, exact counts, kept weights kept.
 */
#include <stdlib.h>
#include "method-fixture.h"

static SwageActStats *
random_squares (int64_t n, uint64_t seed)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_COL_SQUARES, 0, 0);
  g_autofree float *x = fixture_normals (8 * n, 1, seed);
  for (int64_t i = 0; i < 8 * n; i++)
    x[i] *= (float)(1 + i % n % 4);
  swage_act_stats_add (stats, x, 8);
  swage_act_stats_finish (stats);
  return stats;
}

/* Σ_j F_j (w_j − v_j)² of row i. */
static double
row_error (const float *w, const float *v, const double *f, int64_t n, int64_t i)
{
  double sum = 0;
  for (int64_t j = 0; j < n; j++)
    sum += f[j] * ((double)w[i * n + j] - (double)v[i * n + j])
           * ((double)w[i * n + j] - (double)v[i * n + j]);
  return sum;
}

typedef struct
{
  double x, w;
} Point;

static int
compare_points (const void *a, const void *b)
{
  double x = ((const Point *)a)->x, y = ((const Point *)b)->x;
  return (x > y) - (x < y);
}

/* The least sum for k clusters of n points: every last cut is tried. */
static double
least_sum (const float *w, const double *f, int64_t n, int k)
{
  g_autofree Point *p = g_new (Point, n);
  g_autofree double *best = g_new (double, (n + 1) * (k + 1));
  for (int64_t j = 0; j < n; j++)
    p[j] = (Point){ (double)w[j], f[j] };
  qsort (p, (size_t)n, sizeof *p, compare_points);
  for (int64_t j = 0; j <= n; j++)
    best[j] = j == 0 ? 0 : INFINITY;
  for (int c = 1; c <= k; c++)
    for (int64_t j = 0; j <= n; j++)
      {
        double *now = best + c * (n + 1), sw = 0, mean = 0, square = 0; /* West's weighted update */
        now[j] = best[(c - 1) * (n + 1) + j];
        for (int64_t i = j - 1; i >= 0; i--)
          {
            double delta = p[i].x - mean;
            sw += p[i].w;
            mean += delta * p[i].w / sw;
            square += p[i].w * delta * (p[i].x - mean);
            now[j] = MIN (now[j], best[(c - 1) * (n + 1) + i] + square);
          }
      }
  return best[k * (n + 1) + n];
}

static void
test_optimum (void)
{
  static const int64_t widths[] = { 5, 40, 129 };
  for (size_t s = 0; s < G_N_ELEMENTS (widths); s++)
    for (int bits = 2; bits <= 4; bits++)
      {
        int64_t n = widths[s];
        g_autoptr (SwageActStats) stats = random_squares (n, s);
        g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 6, n, 30 + s);
        g_autofree char *text = g_strdup_printf ("bits=%d,outlier_share=0,sensitive_share=0", bits);
        g_autoptr (SwageLinear) out = fixture_apply_ok ("squeezellm", text, in, stats);
        g_assert_null (out->sparse);
        g_assert_cmpuint (swage_linear_get_bytes (out), ==, 6 * ((n * bits + 7) / 8 + 2 * (1 << bits)));
        g_autofree float *w = swage_linear_get_effective (in), *v = swage_linear_get_effective (out);
        for (int64_t i = 0; i < 6; i++)
          {
            double least = least_sum (w + i * n, stats->col_squares, n, 1 << bits);
            double zero = 0, got = row_error (w, v, stats->col_squares, n, i);
            for (int64_t j = 0; j < n; j++)
              zero += stats->col_squares[j] * (double)w[i * n + j] * (double)w[i * n + j];
            /* tables are half floats: 2⁻¹¹ of each value */
            g_assert_cmpfloat (got, <=, least * (1 + 1e-3) + zero * 0x1p-22);
            g_assert_cmpfloat (got, >=, least * (1 - 1e-9) - 1e-12 * zero);
          }
      }
}

/* At every width no row is worse than rounded to a grid of its own, weighted alike. */
static void
test_against_grid (void)
{
  g_autoptr (SwageActStats) stats = random_squares (300, 1);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 12, 300, 7);
  g_autofree float *w = swage_linear_get_effective (in);
  double before = INFINITY;
  for (int bits = 2; bits <= 8; bits++)
    {
      g_autofree char *text = g_strdup_printf ("bits=%d,outlier_share=0,sensitive_share=0", bits);
      g_autofree char *grid_text = g_strdup_printf ("type=int,bits=%d,group_size=512,symmetric=false", bits);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("squeezellm", text, in, stats);
      g_autoptr (SwageLinear) grid = fixture_apply_ok ("rtn", grid_text, in, NULL);
      g_autofree float *v = swage_linear_get_effective (out), *g = swage_linear_get_effective (grid);
      double total = 0;
      for (int64_t i = 0; i < 12; i++)
        {
          double mine = row_error (w, v, stats->col_squares, 300, i);
          g_assert_cmpfloat (mine, <=, row_error (w, g, stats->col_squares, 300, i));
          total += mine;
        }
      g_assert_cmpfloat (total, <, before);
      before = total;
    }
}

/* The largest weights are kept to 16 bits, and so are as many as promised. */
static void
test_dense_and_sparse (void)
{
  enum
  {
    ROWS = 20,
    COLS = 50,
    N = ROWS * COLS
  };
  g_autoptr (SwageActStats) stats = random_squares (COLS, 1);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 7);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autoptr (SwageLinear) out
      = fixture_apply_ok ("squeezellm", "bits=3,outlier_share=0.02,sensitive_share=0.01", in, stats);
  g_assert_cmpint (out->sparse->n_values, ==, 30);
  g_autofree float *v = swage_linear_get_effective (out);
  g_autofree bool *apart = g_new0 (bool, N);
  for (int i = 0; i < ROWS; i++)
    for (int64_t k = out->sparse->row_start[i]; k < out->sparse->row_start[i + 1]; k++)
      {
        g_assert_true (k == out->sparse->row_start[i] || out->sparse->column[k] > out->sparse->column[k - 1]);
        apart[i * COLS + (int)out->sparse->column[k]] = true;
      }
  int larger = 0, missed = 0;
  for (int i = 0; i < N; i++)
    {
      int above = 0;
      for (int j = 0; j < N; j++)
        above += fabsf (w[j]) > fabsf (w[i]);
      larger += above < 20 && apart[i];
      if (apart[i])
        g_assert_cmpfloat (fabsf (v[i] - w[i]), <=, 0x1p-10f * fabsf (w[i]));
      else /* what is not kept would be missed less than what is, the largest apart */
        {
          double f = stats->col_squares[i % COLS] * (double)w[i] * (double)w[i];
          for (int j = 0; j < N; j++)
            if (apart[j] && stats->col_squares[j % COLS] * (double)w[j] * (double)w[j] < f * (1 - 1e-6))
              {
                missed = MAX (missed, 1);
                int count = 0;
                for (int l = 0; l < N; l++)
                  count += fabsf (w[l]) > fabsf (w[j]);
                g_assert_cmpint (count, <, 20);
              }
        }
    }
  g_assert_cmpint (larger, ==, 20);
  g_autoptr (SwageLinear) none
      = fixture_apply_ok ("squeezellm", "bits=3,outlier_share=0,sensitive_share=0", in, stats);
  g_autofree float *u = swage_linear_get_effective (none);
  double with = 0, without = 0;
  for (int i = 0; i < ROWS; i++)
    {
      with += row_error (w, v, stats->col_squares, COLS, i);
      without += row_error (w, u, stats->col_squares, COLS, i);
    }
  g_assert_cmpfloat (with, <, without);
}

static void
test_degenerate (void)
{
  enum
  {
    ROWS = 4,
    COLS = 24
  };
  g_autofree float *w = g_new0 (float, ROWS *COLS);
  for (int j = 0; j < COLS; j++)
    {
      w[COLS + j] = 0.375f;                      /* constant */
      w[2 * COLS + j] = j == 5 ? 4.0f : 0;       /* one value */
      w[3 * COLS + j] = (float)(j % 5) * 0.125f; /* five values */
    }
  g_autoptr (SwageActStats) stats = random_squares (COLS, 1);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  static const char *const texts[] = { "bits=3", "bits=4,outlier_share=0", "bits=8,sensitive_share=0" };
  for (size_t t = 0; t < G_N_ELEMENTS (texts); t++)
    {
      g_autoptr (SwageLinear) out = fixture_apply_ok ("squeezellm", texts[t], in, stats);
      g_autofree float *v = swage_linear_get_effective (out);
      for (int i = 0; i < ROWS * COLS; i++)
        g_assert_cmpfloat (v[i], ==, w[i]);
    }
  /* everything apart */
  g_autoptr (SwageLinear) single = fixture_linear (SWAGE_TYPE_F16, 1, 10, 3);
  g_autoptr (SwageActStats) ten = random_squares (10, 2);
  g_autoptr (SwageLinear) most
      = fixture_apply_ok ("squeezellm", "bits=2,outlier_share=0.1,sensitive_share=0.1", single, ten);
  g_assert_cmpint (most->sparse->n_values, ==, 2);

  /* a text that uses no channel, and one that breaks one */
  memset (stats->col_squares, 0, COLS * sizeof *stats->col_squares);
  g_autoptr (SwageLinear) dead = fixture_apply_ok ("squeezellm", "bits=3", in, stats);
  stats->col_squares[7] = NAN;
  fixture_assert_fails ("squeezellm", "", in, stats, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "channel 7"));
  fixture_assert_fails ("squeezellm", "", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "calibration"));
  w[2 * COLS + 9] = NAN;
  g_autoptr (SwageActStats) good = random_squares (COLS, 1);
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("squeezellm", "", bad, good, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 2", "column 9"));
  w[2 * COLS + 9] = 1e6f;
  g_autoptr (SwageLinear) huge = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("squeezellm", "", huge, good, SWAGE_ERROR_NUMERIC, WORDS ("blk.0.ffn_down", "65504"));
}

static void
test_threads (void)
{
  g_autoptr (SwageActStats) stats = random_squares (256, 1);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 300, 256, 8);
  fixture_assert_thread_invariant ("squeezellm", "bits=3", in, stats);
  fixture_assert_thread_invariant ("squeezellm", "bits=6", in, stats);
  fixture_assert_cancels ("squeezellm", "", in, stats);
  fixture_assert_cancels ("squeezellm", "outlier_share=0,sensitive_share=0", in, stats);
  /* a table is packed: rounding it again would be another step's work */
  g_autoptr (SwageLinear) out
      = fixture_apply_ok ("squeezellm", "bits=3,outlier_share=0,sensitive_share=0", in, stats);
  g_autoptr (SwageLinear) again = fixture_apply_ok ("rtn", "type=q8_0", out, NULL);
  g_assert_cmpint (again->weight->type, ==, SWAGE_TYPE_Q8_0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/squeezellm/optimum", test_optimum);
  g_test_add_func ("/squeezellm/against-grid", test_against_grid);
  g_test_add_func ("/squeezellm/dense-and-sparse", test_dense_and_sparse);
  g_test_add_func ("/squeezellm/degenerate", test_degenerate);
  g_test_add_func ("/squeezellm/threads", test_threads);
  return g_test_run ();
}
