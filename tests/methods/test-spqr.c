/* SPDX-License-Identifier: MIT
 *
 * spqr: its outliers against leave-one-out errors in double, its stored form, and its properties.
 */
#include <stdlib.h>
#include "so-fixture.h"

enum
{
  ROWS = 50,
  COLS = 112,
  TOKENS = 400
};

/* Σ (w − round (w))²·d on the grid from min to max of the group without `skip`. */
static double
group_error (const double *w, const double *d, int n, int skip, int bits)
{
  double lo = INFINITY, hi = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++)
    if (i != skip)
      {
        lo = MIN (lo, w[i]);
        hi = MAX (hi, w[i]);
      }
  double step = (hi - lo) / ((1 << bits) - 1);
  for (int i = 0; i < n; i++)
    if (i != skip)
      sum += pow (w[i] - lo - step * rint ((w[i] - lo) / step), 2) * d[i];
  return sum;
}

/* With all columns in one block outliers are chosen for the weights as they came: those whose absence lowers
 * their group's error most. */
static void
test_outliers (void)
{
  enum
  {
    GROUP = 16,
    K = 56 /* 1 % */
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 31, 4);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0.01);
  g_autofree double *inverse = so_invert (h, COLS);
  g_autofree double *u = so_cholesky_upper (inverse, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 5);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree double *fall = g_new (double, ROWS *COLS);

  for (int g = 0; g < ROWS * COLS; g += GROUP)
    {
      double v[GROUP], d[GROUP];
      for (int i = 0; i < GROUP; i++)
        {
          v[i] = (double)w[g + i];
          d[i] = pow (u[((g + i) % COLS) * (COLS + 1)], -2);
        }
      double all = group_error (v, d, GROUP, -1, 3);
      for (int i = 0; i < GROUP; i++)
        fall[g + i] = all - group_error (v, d, GROUP, i, 3);
    }
  g_autoptr (SwageLinear) out = fixture_apply_ok ("spqr", "bits=3,outliers=0.01,act_order=false", in, stats);
  g_assert_cmpint (out->sparse->n_values, ==, K);
  double least = INFINITY;
  g_autofree bool *chosen = g_new0 (bool, ROWS *COLS);
  for (int r = 0; r < ROWS; r++)
    for (int64_t i = out->sparse->row_start[r]; i < out->sparse->row_start[r + 1]; i++)
      {
        int at = r * COLS + (int)out->sparse->column[i];
        chosen[at] = true;
        least = MIN (least, fall[at]);
      }
  int n_above = 0;
  for (int i = 0; i < ROWS * COLS; i++)
    n_above += !chosen[i] && fall[i] > 1.001 * least;
  g_assert_cmpint (n_above, <=, 1);
}

/* Scales are a base plus steps, 16 rows at a time; what the engine reads is what is stored; the size is the
 * sum of it all. */
static void
test_stored (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 31, 4);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 5);
  g_autoptr (SwageLinear) out
      = fixture_apply_ok ("spqr", "bits=3,group_size=16,stat_bits=3,stat_group=16,outliers=0.02", in, stats);
  const SwageWeight *w = out->weight;
  const uint16_t *scales = g_bytes_get_data (w->scales, NULL), *steps = g_bytes_get_data (w->steps, NULL);
  const uint8_t *levels = g_bytes_get_data (w->levels, NULL), *zeros = g_bytes_get_data (w->zeros, NULL);
  int groups = COLS / 16, n_grids = (ROWS + 15) / 16;

  for (int r = 0; r < ROWS; r++)
    for (int g = 0; g < groups; g++)
      {
        const uint16_t *pair = steps + 2 * (r / 16 * groups + g);
        float scale = swage_f16_to_f32 (pair[0]) + swage_f16_to_f32 (pair[1]) * levels[r * groups + g];
        g_assert_cmpint (levels[r * groups + g], <, 8);
        g_assert_cmpint (zeros[r * groups + g], <, 8);
        g_assert_cmpint (scales[r * groups + g], ==, swage_f32_to_f16 (scale));
      }
  uint64_t bytes = ROWS * COLS * 3 / 8 + (ROWS * groups * 6 + 7) / 8 + n_grids * groups * 4;
  g_assert_cmpuint (swage_weight_get_bytes (w), ==, bytes);
  int64_t n_outliers = 112; /* 2 % */
  g_assert_cmpuint (swage_linear_get_bytes (out), ==,
                    bytes + COLS * 4 + (ROWS + 1) * 8 + (uint64_t)n_outliers * 6);
  SwageLinearSpec spec;
  swage_linear_spec_init_from (&spec, out);
  g_autofree char *described = swage_linear_spec_describe (&spec);
  g_assert_nonnull (strstr (described, "INT3 g16, s3 g16"));
}

/* Weights with outliers among them: below GPTQ's error with no more bits. */
static void
test_beats (void)
{
  g_autofree float *x = so_inputs (TOKENS, 256, 31, 12);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, 256);
  g_autofree float *w = fixture_normals (512 * 256, 0.05, 3);
  uint64_t seed = 8;
  for (int i = 0; i < 512 * 256; i++)
    w[i] *= fixture_uniform (&seed) < 0.004 ? 8 : 1;
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 512, 256, w);
  static const char *const orders[] = { "false", "true" };
  for (int i = 0; i < 2; i++)
    {
      g_autofree char *text = g_strdup_printf ("bits=3,outliers=0.008,act_order=%s", orders[i]);
      g_autoptr (SwageLinear) ours = fixture_apply_ok ("spqr", text, in, stats);
      g_autoptr (SwageLinear) gptq
          = fixture_apply_ok ("gptq", "type=int,bits=3,group_size=16,symmetric=false,sweeps=0", in, stats);
      g_autoptr (SwageLinear) none
          = fixture_apply_ok ("spqr", "bits=3,outliers=0,act_order=false", in, stats);
      double error = so_layer_error (in, ours, x, TOKENS);
      g_assert_cmpuint (swage_linear_get_bytes (ours), <, swage_linear_get_bytes (gptq));
      g_assert_cmpfloat (error, <, 0.8 * so_layer_error (in, gptq, x, TOKENS));
      g_assert_cmpfloat (error, <, so_layer_error (in, none, x, TOKENS));
    }
}

static void
test_refuses (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 4, 32, 1);
  fixture_assert_fails ("spqr", "stat_group=12", in, NULL, SWAGE_ERROR_INVALID, WORDS ("stat_group", "12"));
}

static void
test_robust (void)
{
  so_assert_robust ("spqr", "bits=3,group_size=16,outliers=0.02");
  so_assert_robust ("spqr", "bits=2,group_size=200,outliers=0.1,act_order=false,stat_group=2");
  so_assert_robust ("spqr", "bits=4,group_size=24,outliers=0,act_order=false,stat_bits=8,stat_group=64");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spqr/outliers", test_outliers);
  g_test_add_func ("/spqr/stored", test_stored);
  g_test_add_func ("/spqr/beats", test_beats);
  g_test_add_func ("/spqr/refuses", test_refuses);
  g_test_add_func ("/spqr/robust", test_robust);
  return g_test_run ();
}
