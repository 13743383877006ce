/* SPDX-License-Identifier: MIT
 *
 * bcq against the paper's greedy start written out plainly, the properties of the alternation, and groups
 * that can be written exactly.
 */
#include "method-fixture.h"

static double
squared_error (const SwageLinear *a, const SwageLinear *b)
{
  g_autofree float *x = swage_linear_get_effective (a), *y = swage_linear_get_effective (b);
  double sum = 0;
  for (int64_t i = 0; i < a->n_out * a->n_in; i++)
    sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  return sum;
}

/* The error of the greedy binary code (Guo et al. 2017; the paper's equation for the start), factors in full
 * precision. */
static double
greedy_error (const float *w, int64_t rows, int64_t cols, int group, int bits)
{
  double error = 0;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t g = 0; g < cols; g += group)
      {
        int64_t n = MIN (group, cols - g);
        g_autofree double *rest = g_new (double, n);
        for (int64_t j = 0; j < n; j++)
          rest[j] = (double)w[i * cols + g + j];
        for (int q = 0; q < bits; q++)
          {
            double alpha = 0;
            for (int64_t j = 0; j < n; j++)
              alpha += fabs (rest[j]) / (double)n;
            for (int64_t j = 0; j < n; j++)
              rest[j] -= rest[j] >= 0 ? alpha : -alpha;
          }
        for (int64_t j = 0; j < n; j++)
          error += rest[j] * rest[j];
      }
  return error;
}

/* One bit has a closed form: α = mean |w|, signs of w; the error is Σw² − (Σ|w|)²/n. */
static void
test_one_bit (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 7, 200, 3);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("bcq", "bits=1,group_size=64", in, NULL);
  double want = 0;
  for (int i = 0; i < 7; i++)
    for (int g = 0; g < 200; g += 64)
      {
        double square = 0, sum = 0, n = MIN (64, 200 - g);
        for (int j = g; j < g + (int)n; j++)
          {
            square += (double)w[i * 200 + j] * (double)w[i * 200 + j];
            sum += fabs ((double)w[i * 200 + j]);
          }
        want += square - sum * sum / n;
      }
  g_assert_cmpfloat_with_epsilon (squared_error (in, out), want, 1e-4 * want);
  g_assert_cmpuint (swage_linear_get_bytes (out), ==, 7 * (25 + 4 * 2));
}

/* The start is the greedy one, rounds only lower the error, and so do bits and an offset. */
static void
test_alternation (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 12, 300, 5);
  g_autofree float *w = swage_linear_get_effective (in);
  double fewer = INFINITY;
  for (int bits = 1; bits <= 8; bits++)
    {
      double before = INFINITY;
      static const int rounds[] = { 0, 1, 2, 4, 8, 30 };
      for (size_t r = 0; r < G_N_ELEMENTS (rounds); r++)
        {
          g_autofree char *text = g_strdup_printf ("bits=%d,group_size=64,iterations=%d", bits, rounds[r]);
          g_autoptr (SwageLinear) out = fixture_apply_ok ("bcq", text, in, NULL);
          double error = squared_error (in, out);
          if (rounds[r] == 0) /* codes are the nearest to factors in half precision: at least as good */
            g_assert_cmpfloat (error, <=, greedy_error (w, 12, 300, 64, bits) * (1 + 1e-3) + 1e-7);
          g_assert_cmpfloat (error, <=, before * (1 + 1e-3) + 1e-7);
          before = error;
        }
      g_assert_cmpfloat (before, <, fewer);
      fewer = before;
    }
  g_autofree float *leaning = g_memdup2 (w, 12 * 300 * sizeof *w);
  for (int i = 0; i < 12 * 300; i++)
    leaning[i] += 0.1f;
  g_autoptr (SwageLinear) lean = fixture_linear_from (SWAGE_TYPE_F32, 12, 300, leaning);
  g_autoptr (SwageLinear) plain = fixture_apply_ok ("bcq", "bits=2,group_size=64", lean, NULL);
  g_autoptr (SwageLinear) offset
      = fixture_apply_ok ("bcq", "bits=2,group_size=64,symmetric=false", lean, NULL);
  g_assert_cmpfloat (squared_error (lean, offset), <, squared_error (lean, plain));
  g_assert_cmpuint (swage_linear_get_bytes (offset) - swage_linear_get_bytes (plain), ==, 12 * 5 * 2);
}

/* Non-uniform levels beat the uniform ones of as many bits and groups. */
static void
test_against_grid (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 32, 512, 6);
  for (int bits = 2; bits <= 4; bits++)
    {
      g_autofree char *text = g_strdup_printf ("bits=%d,group_size=128,iterations=50", bits);
      g_autofree char *grid_text = g_strdup_printf ("type=int,bits=%d,group_size=128", bits);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("bcq", text, in, NULL);
      g_autoptr (SwageLinear) grid = fixture_apply_ok ("rtn", grid_text, in, NULL);
      g_assert_cmpfloat (squared_error (in, out), <, squared_error (in, grid));
    }
}

/* What two factors and an offset can make is found; constant, zero and short groups. */
static void
test_exact (void)
{
  enum
  {
    ROWS = 4,
    COLS = 44 /* signs are balanced, so that the greedy start finds them */
  };
  g_autofree float *w = g_new0 (float, ROWS *COLS);
  for (int j = 0; j < COLS; j++)
    {
      w[COLS + j] = -0.5f;
      w[2 * COLS + j] = (j % 2 ? 1.0f : -1.0f) + (j % 4 < 2 ? 0.25f : -0.25f);
      w[3 * COLS + j] = 2.0f + w[2 * COLS + j];
    }
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("bcq", "bits=2,group_size=64,symmetric=false", in, NULL);
  g_autofree float *v = swage_linear_get_effective (out);
  for (int i = 0; i < ROWS * COLS; i++)
    g_assert_cmpfloat (fabsf (v[i] - w[i]), <=, 1e-3f);
  g_autoptr (SwageLinear) many = fixture_apply_ok ("bcq", "bits=8,group_size=8", in, NULL);
  g_autofree float *u = swage_linear_get_effective (many);
  for (int i = 0; i < 3 * COLS; i++)
    g_assert_cmpfloat (fabsf (u[i] - w[i]), <=, 2e-2f);
  for (int j = 0; j < COLS; j++)
    g_assert_cmpfloat (u[j], ==, 0);

  fixture_assert_fails ("bcq", "group_size=20", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "20", "multiple of 8"));
  w[3 * COLS + 4] = INFINITY;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("bcq", "", bad, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 3", "column 4"));
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 300, 250, 8);
  fixture_assert_thread_invariant ("bcq", "bits=3", in, NULL);
  fixture_assert_cancels ("bcq", "", in, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bcq/one-bit", test_one_bit);
  g_test_add_func ("/bcq/alternation", test_alternation);
  g_test_add_func ("/bcq/against-grid", test_against_grid);
  g_test_add_func ("/bcq/exact", test_exact);
  g_test_add_func ("/bcq/threads", test_threads);
  return g_test_run ();
}
