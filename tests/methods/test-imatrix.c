/* SPDX-License-Identifier: MIT
 *
 * Importance-weighted rounding: the weighted error of the output is what it must lower.
 */
#include "method-fixture.h"

static SwageActStats *
make_stats (int64_t n, bool alike)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_COL_SQUARES, 0, 0);
  g_autofree float *x = fixture_normals (64 * n, 1, 5);

  for (int64_t t = 0; t < 64; t++)
    for (int64_t j = 0; j < n; j++)
      x[t * n + j] = alike ? 1 : x[t * n + j] * (float)(j % 13 == 0 ? 20 : j % 7 == 0 ? 0.05 : 1);
  swage_act_stats_add (stats, x, 64);
  swage_act_stats_finish (stats);
  return stats;
}

/* Σ_j m_j·(w_j − ŵ_j)² in double. */
static double
get_error (const SwageActStats *stats, const SwageWeight *before, const SwageWeight *after)
{
  g_autofree float *w = swage_weight_decode_all (before), *w_hat = swage_weight_decode_all (after);
  double sum = 0;

  for (int64_t i = 0; i < before->rows * before->cols; i++)
    {
      double e = (double)w[i] - (double)w_hat[i];
      sum += stats->col_squares[i % before->cols] / (double)stats->n_tokens * e * e;
    }
  return sum;
}

static void
test_error (void)
{
  static const char *const types[] = { "type=q4_0",
                                       "type=q4_1",
                                       "type=q5_0",
                                       "type=q5_1",
                                       "type=q2_k",
                                       "type=q3_k",
                                       "type=q4_k",
                                       "type=q5_k",
                                       "type=q6_k",
                                       "type=q8_0",
                                       "type=iq4_nl",
                                       "type=iq4_xs",
                                       "type=int,bits=3,group_size=64" };
  const int64_t n = 512, rows = 24;
  g_autoptr (SwageActStats) stats = make_stats (n, false);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, rows, n, 3);

  for (size_t i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autoptr (SwageLinear) rtn = fixture_apply_ok ("rtn", types[i], in, NULL);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("imatrix", types[i], in, stats);
      double plain = get_error (stats, in->weight, rtn->weight),
             weighted = get_error (stats, in->weight, out->weight);
      g_test_message ("%s: %.3f of the plain error", types[i], weighted / plain);
      g_assert_cmpfloat (weighted, <, plain);
    }
}

/* Inputs that are all alike say nothing: no worse than plain rounding. */
static void
test_alike (void)
{
  g_autoptr (SwageActStats) stats = make_stats (256, true);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 8, 256, 4);
  g_autoptr (SwageLinear) rtn = fixture_apply_ok ("rtn", "type=q4_k", in, NULL);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("imatrix", "type=q4_k", in, stats);
  double plain = get_error (stats, in->weight, rtn->weight);
  g_assert_cmpfloat (fabs (get_error (stats, in->weight, out->weight) - plain), <=, 1e-3 * plain);
}

static void
test_manners (void)
{
  const int64_t n = 256;
  g_autoptr (SwageActStats) stats = make_stats (n, false);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 70, n, 6),
                          odd = fixture_linear (SWAGE_TYPE_F32, 3, 20, 6);

  fixture_assert_thread_invariant ("imatrix", "type=q3_k", in, stats);
  fixture_assert_cancels ("imatrix", "type=q3_k", in, stats);
  fixture_assert_fails ("imatrix", "type=q4_k", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "calibration"));
  fixture_assert_fails ("imatrix", "type=q4_k", odd, stats, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "20"));
  stats->col_squares[9] = NAN;
  fixture_assert_fails ("imatrix", "type=q4_k", in, stats, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "channel 9"));
  for (int64_t j = 0; j < n; j++)
    stats->col_squares[j] = 0; /* every channel dead */
  g_autoptr (SwageLinear) out = fixture_apply_ok ("imatrix", "type=q4_k", in, stats);
  g_assert_nonnull (out);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/imatrix/error", test_error);
  g_test_add_func ("/methods/imatrix/alike", test_alike);
  g_test_add_func ("/methods/imatrix/manners", test_manners);
  return g_test_run ();
}
