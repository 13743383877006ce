/* SPDX-License-Identifier: MIT
 *
 * quantease against its algorithm in double, column by column on the whole gradient, and its properties.
 */
#include "so-fixture.h"

enum
{
  ROWS = 40,
  COLS = 160,
  TOKENS = 400
};

/* Ŵ after `passes` of algorithm 1 for one row on the grid of `scales`, symmetric, 3 bits, groups of 32. */
static void
descend_row (const double *w, const double *h, const uint16_t *scales, int passes, double *w_hat)
{
  memcpy (w_hat, w, COLS * sizeof *w);
  for (int pass = 0; pass < passes; pass++)
    for (int j = 0; j < COLS; j++)
      {
        double beta = 0, scale = (double)swage_f16_to_f32 (scales[j / 32]);
        for (int k = 0; k < COLS; k++)
          beta += (w[k] - w_hat[k]) * h[k * COLS + j];
        beta = w_hat[j] + beta / h[j * COLS + j];
        if (pass % 3 == 1 && pass < passes - 2)
          w_hat[j] = beta;
        else
          w_hat[j] = scale != 0 ? scale * CLAMP (rint (beta / scale), -4, 3) : 0;
      }
}

static double
row_error (const double *w, const double *w_hat, const double *h)
{
  double sum = 0;
  for (int i = 0; i < COLS; i++)
    for (int j = 0; j < COLS; j++)
      sum += (w[i] - w_hat[i]) * h[i * COLS + j] * (w[j] - w_hat[j]);
  return sum;
}

static void
test_formula (void)
{
  static const int passes[] = { 1, 2, 5, 8 };
  g_autofree float *x = so_inputs (TOKENS, COLS, 0, 2);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 25);
  g_autofree float *w = swage_linear_get_effective (in);

  for (size_t c = 0; c < G_N_ELEMENTS (passes); c++)
    {
      g_autofree char *text
          = g_strdup_printf ("start=weights,bits=3,group_size=32,symmetric=true,passes=%d", passes[c]);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("quantease", text, in, stats);
      g_autofree float *got = swage_linear_get_effective (out);
      const uint16_t *scales = g_bytes_get_data (out->weight->scales, NULL);
      int n_off = 0;
      for (int r = 0; r < ROWS; r++)
        {
          double row[COLS], expected[COLS], ours[COLS];
          bool off = false;
          for (int j = 0; j < COLS; j++)
            {
              row[j] = (double)w[r * COLS + j];
              ours[j] = (double)got[r * COLS + j];
            }
          descend_row (row, h, scales + r * (COLS / 32), passes[c], expected);
          for (int j = 0; j < COLS; j++)
            off |= fabs (expected[j] - ours[j]) > 1e-6;
          n_off += off;
          /* a tie may lead elsewhere, and a row may be better rounded plainly; but never to something worse
           */
          g_assert_cmpfloat (row_error (row, ours, h), <, 1.15 * row_error (row, expected, h));
        }
      g_assert_cmpint (n_off, <=, ROWS / 4);
    }
}

static void
test_beats (void)
{
  for (int outlier = 0; outlier <= 31; outlier += 31)
    {
      g_autofree float *x = so_inputs (TOKENS, COLS, outlier, 12);
      g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
      g_autofree float *w = fixture_normals (ROWS * COLS, 0.05, 3);
      uint64_t seed = 8;
      for (int i = 0; i < ROWS * COLS; i++)
        w[i] *= fixture_uniform (&seed) < 0.01 ? 6 : 1;
      g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
      g_autoptr (SwageLinear) rtn
          = fixture_apply_ok ("rtn", "type=int,bits=3,group_size=32,symmetric=false", in, NULL);
      g_autoptr (SwageLinear) gptq = fixture_apply_ok (
          "gptq", "type=int,bits=3,group_size=32,symmetric=false,sweeps=0,static_groups=true", in, stats);
      g_autoptr (SwageLinear) one
          = fixture_apply_ok ("quantease", "start=weights,bits=3,group_size=32,passes=1", in, stats);
      g_autoptr (SwageLinear) many
          = fixture_apply_ok ("quantease", "start=feedback,bits=3,group_size=32", in, stats);
      g_autoptr (SwageLinear) aware
          = fixture_apply_ok ("quantease", "start=feedback,bits=3,group_size=32,outliers=0.01", in, stats);
      g_autoptr (SwageLinear) columns = fixture_apply_ok (
          "quantease", "start=feedback,bits=3,group_size=32,outliers=0.02,structured=true", in, stats);
      double error = so_layer_error (in, many, x, TOKENS);
      g_assert_cmpfloat (error, <, so_layer_error (in, rtn, x, TOKENS));
      g_assert_cmpfloat (error, <, 1.02 * so_layer_error (in, gptq, x, TOKENS));
      g_assert_cmpfloat (error, <, so_layer_error (in, one, x, TOKENS));
      g_assert_cmpfloat (so_layer_error (in, aware, x, TOKENS), <, 0.7 * error);
      g_assert_cmpfloat (so_layer_error (in, columns, x, TOKENS), <, error);
      g_assert_cmpint (aware->sparse->n_values, ==, 64);
      g_assert_null (columns->sparse->row_start);
      g_assert_cmpint (columns->sparse->n_values, ==, 3 * ROWS);
    }
}

static void
test_robust (void)
{
  so_assert_robust ("quantease", "bits=3,group_size=16,passes=6");
  so_assert_robust ("quantease", "start=feedback,bits=3,group_size=16,passes=6");
  so_assert_robust ("quantease", "bits=2,group_size=100,passes=7,outliers=0.02,symmetric=true");
  so_assert_robust ("quantease", "bits=4,group_size=40,passes=7,outliers=0.1,structured=true");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quantease/formula", test_formula);
  g_test_add_func ("/quantease/beats", test_beats);
  g_test_add_func ("/quantease/robust", test_robust);
  return g_test_run ();
}
