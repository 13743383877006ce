/* SPDX-License-Identifier: MIT
 *
 * Plain N-bit groups: layout by a reader of its own, error against an exhaustive search in double, exact
 * zero, the same bytes at every CPU level, and inputs that no weight should hold.
 */
#include "kernels/type/type-level.h"
#include "tests/ops/types/matrices.h"

#include <float.h>
#include <math.h>

typedef struct
{
  int bits, group;
  gboolean symmetric;
  int64_t n;
  uint8_t *codes, *zeros;
  uint16_t *scales;
} Row;

static Row
row_new (int bits, int group, gboolean symmetric, int64_t n)
{
  Row r = { bits, group, symmetric, n, NULL, NULL, NULL };
  r.codes = g_malloc0 (swage_int_row_bytes (n, bits));
  r.scales = g_new0 (uint16_t, swage_int_groups (n, group));
  r.zeros = symmetric ? NULL : g_malloc0 (swage_int_groups (n, group));
  return r;
}

static void
row_clear (Row *r)
{
  g_free (r->codes);
  g_free (r->scales);
  g_free (r->zeros);
}

/* Element i by the header's words: code i is bits i·bits … of a little-endian bit string. */
static double
row_value (const Row *r, int64_t i)
{
  int code = 0;
  for (int b = 0; b < r->bits; b++)
    {
      int64_t bit = i * r->bits + b;
      code |= (r->codes[bit / 8] >> (bit % 8) & 1) << b;
    }
  int zero = r->symmetric ? 1 << (r->bits - 1) : r->zeros[i / r->group];
  return (double)swage_f16_to_f32 (r->scales[i / r->group]) * (code - zero);
}

static void
test_sizes (void)
{
  g_assert_cmpuint (swage_int_row_bytes (7, 3), ==, 3);
  g_assert_cmpuint (swage_int_row_bytes (8, 8), ==, 8);
  g_assert_cmpuint (swage_int_row_bytes (0, 4), ==, 0);
  g_assert_cmpuint (swage_int_row_bytes (5, 9), ==, 0);
  g_assert_cmpuint (swage_int_row_bytes (5, 1), ==, 0);
  g_assert_cmpuint (swage_int_row_bytes (INT64_MAX, 8), ==, 0);
  g_assert_cmpint (swage_int_groups (10, 4), ==, 3);
  g_assert_cmpint (swage_int_groups (8, 4), ==, 2);
  g_assert_cmpint (swage_int_groups (1, 128), ==, 1);
  g_assert_cmpint (swage_int_groups (0, 4), ==, 0);
  g_assert_cmpint (swage_int_groups (4, 0), ==, 0);
}

/* Layout, zero, levels: every number of bits, odd groups and lengths, hostile rows. */
static void
test_rows (void)
{
  uint64_t seed = 5;
  const int groups[] = { 1, 3, 16, 32, 100, 128, 1000 };
  for (int bits = 2; bits <= 8; bits++)
    for (gsize g = 0; g < G_N_ELEMENTS (groups); g++)
      for (int symmetric = 0; symmetric < 2; symmetric++)
        for (int kind = 0; kind < 7; kind++)
          {
            int64_t n = 333 + kind;
            float *x = g_new (float, n), *w = g_new (float, n), *y = g_new (float, n);
            for (int i = 0; i < n; i++)
              {
                double z = noise_normal (&seed);
                w[i] = (float)exp (z);
                z = noise_normal (&seed);
                x[i] = (float)(kind == 1   ? fabs (z) + 1
                               : kind == 2 ? z * 1e-8
                               : kind == 3 ? z * 1e37
                               : kind == 4 ? (i % 9 == 0   ? (double)NAN
                                              : i % 7 == 0 ? (double)INFINITY
                                                           : z)
                                           : z * 0.02);
                if (kind == 5 && i % 3)
                  x[i] = 0;
                if (kind == 6)
                  x[i] = 0;
              }
            Row a = row_new (bits, groups[g], symmetric, n), b = row_new (bits, groups[g], symmetric, n);
            const float *importance = kind % 2 ? w : NULL;
            swage_type_get_level (SWAGE_CPU_PORTABLE)
                ->int_from_f32 (x, importance, n, bits, groups[g], symmetric, a.codes, a.scales, a.zeros);
            for (SwageCpuLevel level = SWAGE_CPU_PORTABLE; level <= swage_cpu_get_level (); level++)
              {
                gsize size = swage_int_row_bytes (n, bits), n_groups = (gsize)swage_int_groups (n, groups[g]);
                memset (b.codes, 0xa5, size);
                swage_type_get_level (level)->int_from_f32 (x, importance, n, bits, groups[g], symmetric,
                                                            b.codes, b.scales, b.zeros);
                g_assert_cmpmem (a.codes, size, b.codes, size);
                g_assert_cmpmem (a.scales, 2 * n_groups, b.scales, 2 * n_groups);
                if (!symmetric)
                  g_assert_cmpmem (a.zeros, n_groups, b.zeros, n_groups);
                swage_type_get_level (level)->int_to_f32 (b.codes, b.scales, b.zeros, n, bits, groups[g],
                                                          symmetric, y);
                for (int i = 0; i < n; i++)
                  {
                    g_assert_true (isfinite (y[i]));
                    g_assert_cmpfloat (y[i], ==, (float)row_value (&b, i));
                    if (x[i] == 0)
                      g_assert_cmpfloat (y[i], ==, 0);
                  }
              }
            row_clear (&a);
            row_clear (&b);
            g_free (x);
            g_free (w);
            g_free (y);
          }
}

static double
row_error (const float *x, const float *importance, const float *judge, int64_t n, int bits, int group,
           gboolean symmetric)
{
  Row r = row_new (bits, group, symmetric, n);
  double error = 0;
  swage_int_from_f32 (x, importance, n, bits, group, symmetric, r.codes, r.scales, r.zeros);
  for (int64_t i = 0; i < n; i++)
    {
      double e = (double)x[i] - row_value (&r, i);
      error += (judge ? (double)judge[i] : 1) * e * e;
    }
  row_clear (&r);
  return error;
}

/* The least error over 400 scales and, when there is one, every zero point. */
static double
exhaustive (const float *x, int n, int bits, gboolean symmetric)
{
  int top = (1 << bits) - 1, half = 1 << (bits - 1);
  double min = 0, max = 0, best = DBL_MAX;
  for (int i = 0; i < n; i++)
    {
      min = fmin (min, (double)x[i]);
      max = fmax (max, (double)x[i]);
    }
  double largest = symmetric ? fmax (max, -min) / (half - 1) : (max - min) / top;
  for (int zero = symmetric ? half : 0; zero <= (symmetric ? half : top); zero++)
    for (int k = 0; k < 400; k++)
      for (int sign = 1; sign >= (symmetric ? -1 : 1); sign -= 2)
        {
          double s = sign * largest * (0.4 + 0.0018 * k), error = 0;
          for (int i = 0; i < n; i++)
            {
              double q = fmin (fmax (rint ((double)x[i] / s), -zero), top - zero);
              error += ((double)x[i] - s * q) * ((double)x[i] - s * q);
            }
          best = fmin (best, error);
        }
  return best;
}

static void
test_error (void)
{
  enum
  {
    N = 64
  };
  uint64_t seed = 6;
  float x[N * 20], w[N * 20];
  for (int i = 0; i < N * 20; i++)
    {
      x[i] = (float)(0.02 * noise_normal (&seed) + 0.005);
      w[i] = (float)exp (noise_normal (&seed));
    }
  for (int bits = 2; bits <= 8; bits++)
    for (int symmetric = 0; symmetric < 2; symmetric++)
      {
        double best = 0, ours = row_error (x, NULL, NULL, N * 20, bits, N, symmetric);
        if (bits <= 5)
          {
            for (int b = 0; b < 20; b++)
              best += exhaustive (x + b * N, N, bits, symmetric);
            double ratio = sqrt (ours / best);
            g_test_message ("%d bits, %s: %.4f of the exhaustive RMSE", bits,
                            symmetric ? "symmetric" : "zero point", ratio);
            g_assert_cmpfloat (ratio, <, 1.04);
          }
        double with = row_error (x, w, w, N * 20, bits, N, symmetric);
        g_assert_cmpfloat (with, <, row_error (x, NULL, w, N * 20, bits, N, symmetric));
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/int-groups/sizes", test_sizes);
  g_test_add_func ("/int-groups/rows", test_rows);
  g_test_add_func ("/int-groups/error", test_error);
  return g_test_run ();
}
