/* SPDX-License-Identifier: MIT
 *
 * tensor_train against singular values of the unfoldings (Jacobi, see jacobi.h): exact for two cores; for
 * more, between the largest tail and the root of the sum of squares of all (Oseledets 2011, theorem 2.2).
 */
#include "jacobi.h"
#include "method-fixture.h"

static double
row_error (const float *x, const float *y, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  return sqrt (sum);
}

static void
test_bounds (void)
{
  static const int cases[][3]
      = { { 64, 2, 3 }, { 60, 2, 1 }, { 64, 3, 2 }, { 240, 3, 4 }, { 256, 4, 3 }, { 96, 5, 2 } };
  for (size_t c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      int n = cases[c][0], cores = cases[c][1], rank = cases[c][2];
      int64_t dims[SWAGE_TT_MAX_CORES];
      int ranks[SWAGE_TT_MAX_CORES + 1];
      int64_t n_numbers = swage_tt_shape (n, cores, rank, dims, ranks);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 5, n, 3 + c);
      g_autofree char *text = g_strdup_printf ("by=rank,rank=%d,cores=%d", rank, cores);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("tensor_train", text, in, NULL);
      g_assert_cmpuint (swage_linear_get_bytes (out), ==, 5 * 2 * (guint64)n_numbers);
      g_autofree float *w = swage_linear_get_effective (in), *v = swage_linear_get_effective (out);
      for (int i = 0; i < 5; i++)
        {
          double largest = 0, sum = 0, norm = 0;
          int64_t before = 1;
          for (int k = 0; k + 1 < cores; k++)
            {
              before *= dims[k];
              g_autofree double *sigma = jacobi_singular_values (w + i * n, before, n / before);
              double left = tail (sigma, MIN (before, n / before), ranks[k + 1]);
              largest = MAX (largest, left);
              sum += left * left;
              norm = tail (sigma, MIN (before, n / before), 0);
            }
          double error = row_error (w + i * n, v + i * n, n), slack = 2e-3 * norm; /* half floats */
          g_assert_cmpfloat (error, >=, largest - slack);
          g_assert_cmpfloat (error, <=, (cores == 2 ? largest : sqrt (sum)) + slack);
        }
    }
}

/* Full ranks, products of vectors, and rows of zeros lose nothing but half precision. */
static void
test_exact (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 6, 120, 5);
  g_autofree float *w = swage_linear_get_effective (in);
  for (int cores = 1; cores <= 8; cores++)
    {
      g_autofree char *text = g_strdup_printf ("by=rank,rank=64,cores=%d", cores);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("tensor_train", text, in, NULL);
      g_autofree float *v = swage_linear_get_effective (out);
      g_assert_cmpfloat (row_error (w, v, 720), <=, 3e-3 * sqrt (720) * 0.05);
    }
  g_autofree float *product = g_new0 (float, 2 * 64);
  for (int i = 0; i < 64; i++)
    product[i] = (float)(1 + i / 16) * (float)(i / 4 % 4 - 2) * (0.5f + (float)(i % 4));
  g_autoptr (SwageLinear) one = fixture_linear_from (SWAGE_TYPE_F32, 2, 64, product);
  g_autoptr (SwageLinear) train = fixture_apply_ok ("tensor_train", "by=rank,rank=1,cores=3", one, NULL);
  g_assert_cmpuint (swage_linear_get_bytes (train), ==, 2 * 12 * 2);
  g_autofree float *got = swage_linear_get_effective (train);
  for (int i = 0; i < 64; i++)
    g_assert_cmpfloat (fabsf (got[i] - product[i]), <=, 0.03f);
  for (int i = 64; i < 128; i++)
    g_assert_cmpfloat (got[i], ==, 0);
}

static void
test_sizes (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 10, 256, 5);
  double before = INFINITY;
  g_autofree float *w = swage_linear_get_effective (in);
  for (int percent = 20; percent <= 100; percent += 20)
    {
      g_autofree char *text = g_strdup_printf ("size_ratio=%g,cores=4", percent / 100.0);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("tensor_train", text, in, NULL);
      g_autofree float *v = swage_linear_get_effective (out);
      g_assert_cmpuint (swage_linear_get_bytes (out) * 100, <=,
                        swage_linear_get_bytes (in) * (guint64)percent);
      double error = row_error (w, v, 2560);
      g_assert_cmpfloat (error, <=, before);
      before = error;
    }
  fixture_assert_fails ("tensor_train", "size_ratio=0.01", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "size_ratio"));
  w[256 + 3] = NAN;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, 10, 256, w);
  fixture_assert_fails ("tensor_train", "", bad, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 1", "column 3"));
  w[256 + 3] = 6e4f;
  g_autoptr (SwageLinear) huge = fixture_linear_from (SWAGE_TYPE_F32, 10, 256, w);
  fixture_assert_fails ("tensor_train", "", huge, NULL, SWAGE_ERROR_NUMERIC, WORDS ("blk.0.ffn_down", "f16"));
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 700, 192, 8);
  fixture_assert_thread_invariant ("tensor_train", "", in, NULL);
  fixture_assert_cancels ("tensor_train", "", in, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tensor-train/bounds", test_bounds);
  g_test_add_func ("/tensor-train/exact", test_exact);
  g_test_add_func ("/tensor-train/sizes", test_sizes);
  g_test_add_func ("/tensor-train/threads", test_threads);
  return g_test_run ();
}
