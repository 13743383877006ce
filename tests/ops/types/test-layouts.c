/* SPDX-License-Identifier: MIT
 *
 * The layouts with parameters against what their header says, element by element in double; and the product
 * by table against the dense one.
 */
#include <glib.h>
#include <math.h>
#include <string.h>
#include "kernels/swage-layout.h"
#include "kernels/swage-op.h"

static guint64 seed = 1;

static double
next_random (void)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) * 0x1p-53;
}

static guint16
random_half (void)
{
  return swage_f32_to_f16 ((float)(2 * next_random () - 1));
}

static unsigned
get_bits (const guint8 *codes, int64_t at, int n)
{
  unsigned value = 0;
  for (int b = 0; b < n; b++)
    value |= (unsigned)(codes[(at + b) / 8] >> (at + b) % 8 & 1) << b;
  return value;
}

/* Element i of a row. */
static double
get_element (SwageType type, const guint8 *codes, const guint16 *scales, int64_t n, int64_t i, int bits,
             int group, bool symmetric)
{
  if (type == SWAGE_TYPE_LUT)
    return (double)swage_f16_to_f32 (scales[get_bits (codes, i * bits, bits)]);
  if (type == SWAGE_TYPE_BCQ)
    {
      int64_t plane = (n + 7) / 8 * 8;
      int each = symmetric ? bits : bits + 1;
      double sum = symmetric ? 0 : (double)swage_f16_to_f32 (scales[i / group * each + bits]);
      for (int q = 0; q < bits; q++)
        sum += (get_bits (codes, q * plane + i, 1) ? 1 : -1)
               * (double)swage_f16_to_f32 (scales[i / group * each + q]);
      return sum;
    }
  int64_t dims[SWAGE_TT_MAX_CORES], at = 0, rest = n;
  int ranks[SWAGE_TT_MAX_CORES + 1];
  double product[SWAGE_TT_MAX_RANK] = { 1 };
  swage_tt_shape (n, bits, group, dims, ranks);
  for (int k = 0; k < bits; k++)
    {
      double next[SWAGE_TT_MAX_RANK] = { 0 };
      rest /= dims[k];
      int64_t index = i / rest % dims[k];
      for (int b = 0; b < ranks[k]; b++)
        for (int c = 0; c < ranks[k + 1]; c++)
          {
            guint16 half;
            memcpy (&half, codes + 2 * (at + (b * dims[k] + index) * ranks[k + 1] + c), 2);
            next[c] += product[b] * (double)swage_f16_to_f32 (half);
          }
      at += ranks[k] * dims[k] * ranks[k + 1];
      memcpy (product, next, sizeof product);
    }
  return product[0];
}

static const struct
{
  SwageType type;
  int n, bits, group;
  bool symmetric;
} cases[] = {
  { SWAGE_TYPE_LUT, 1, 1, 0, true },      { SWAGE_TYPE_LUT, 77, 2, 0, true },
  { SWAGE_TYPE_LUT, 300, 3, 0, true },    { SWAGE_TYPE_LUT, 256, 4, 0, true },
  { SWAGE_TYPE_LUT, 1001, 5, 0, true },   { SWAGE_TYPE_LUT, 64, 6, 0, true },
  { SWAGE_TYPE_LUT, 129, 7, 0, true },    { SWAGE_TYPE_LUT, 65, 8, 0, true },
  { SWAGE_TYPE_BCQ, 1, 1, 8, true },      { SWAGE_TYPE_BCQ, 300, 3, 128, true },
  { SWAGE_TYPE_BCQ, 300, 3, 128, false }, { SWAGE_TYPE_BCQ, 77, 8, 24, false },
  { SWAGE_TYPE_BCQ, 515, 2, 4096, true }, { SWAGE_TYPE_TT, 1, 1, 1, true },
  { SWAGE_TYPE_TT, 256, 4, 3, true },     { SWAGE_TYPE_TT, 530, 3, 8, true },
  { SWAGE_TYPE_TT, 127, 3, 4, true },     { SWAGE_TYPE_TT, 768, 2, 5, true },
  { SWAGE_TYPE_TT, 96, 8, 64, true },
};

static void
test_decode (void)
{
  for (size_t c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      SwageType type = cases[c].type;
      int n = cases[c].n, bits = cases[c].bits, group = cases[c].group;
      bool symmetric = cases[c].symmetric;
      g_assert_true (swage_layout_is_valid (type, n, bits, group));
      size_t code_bytes = swage_layout_code_bytes (type, n, bits, group);
      int64_t n_scales = swage_layout_scales (type, n, bits, group, symmetric);
      /* exact buffers on the heap: a sanitizer sees any byte too many */
      g_autofree guint8 *codes = g_malloc (code_bytes);
      g_autofree guint16 *scales = g_new (guint16, n_scales);
      for (size_t i = 0; i < code_bytes; i++)
        codes[i] = (guint8)(256 * next_random ());
      if (type == SWAGE_TYPE_TT)
        for (size_t i = 0; i < code_bytes; i += 2)
          {
            guint16 half = random_half ();
            memcpy (codes + i, &half, 2);
          }
      for (int64_t i = 0; i < n_scales; i++)
        scales[i] = random_half ();
      g_autofree float *whole = g_new (float, n), *piece = g_new (float, n);
      swage_layout_decode (type, codes, scales, n, 0, n, bits, group, symmetric, whole);
      for (int i = 0; i < n; i++)
        {
          double want = get_element (type, codes, scales, n, i, bits, group, symmetric);
          g_assert_cmpfloat (fabs ((double)whole[i] - want), <=, 1e-5 * (fabs (want) + 1));
          if (type == SWAGE_TYPE_LUT)
            g_assert_cmpfloat ((double)whole[i], ==, want);
        }
      for (int from = 0; from < n; from += 64) /* pieces are the same bits */
        {
          int count = MIN (64, n - from);
          swage_layout_decode (type, codes, scales, n, from, count, bits, group, symmetric, piece);
          g_assert_true (memcmp (piece, whole + from, (size_t)count * sizeof *piece) == 0);
        }
    }
}

static void
test_ranges (void)
{
  int64_t dims[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];

  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_LUT, 0, 4, 0));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_LUT, 8, 9, 0));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_BCQ, 8, 4, 12));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_BCQ, 8, 0, 8));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_TT, 8, 9, 4));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_TT, 8, 3, 65));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_Q4_0, 32, 4, 32));
  g_assert_false (swage_layout_is_valid (SWAGE_TYPE_LUT, INT64_MAX, 8, 0));
  g_assert_cmpuint (swage_layout_code_bytes (SWAGE_TYPE_LUT, -1, 4, 0), ==, 0);
  g_assert_cmpint (swage_layout_scales (SWAGE_TYPE_LUT, 100, 3, 0, true), ==, 8);
  g_assert_cmpint (swage_layout_scales (SWAGE_TYPE_BCQ, 100, 3, 32, false), ==, 16);
  g_assert_cmpuint (swage_layout_code_bytes (SWAGE_TYPE_BCQ, 100, 3, 32), ==, 39);

  /* 256 = 4·4·4·4, ranks at most 3 */
  g_assert_cmpint (swage_tt_shape (256, 4, 3, dims, ranks), ==, 4 * 3 + 3 * 4 * 3 * 2 + 3 * 4);
  for (int n = 1; n < 600; n++)
    for (int cores = 1; cores <= 5; cores++)
      {
        int64_t product = 1, most = swage_tt_shape (n, cores, SWAGE_TT_MAX_RANK, dims, ranks);
        g_assert_cmpint (most, >, 0);
        for (int k = 0; k < cores; k++)
          {
            product *= dims[k];
            g_assert_cmpint (ranks[k], <=, product / dims[k]);
            g_assert_cmpint (ranks[k + 1], <=, n / product);
          }
        g_assert_cmpint (product, ==, n);
      }
}

/* The product by table equals the sum over decoded weights: every fast level. */
static void
test_table_product (void)
{
  enum
  {
    M = 3,
    N = 70,
    K = 1100,
    BITS = 3,
    GROUP = 64
  };
  const SwageOp *op = swage_op_find ("bcq_matmul");
  size_t code_bytes = swage_layout_code_bytes (SWAGE_TYPE_BCQ, K, BITS, GROUP);
  for (int offset = 0; offset < 2; offset++)
    {
      int64_t n_scales = swage_layout_scales (SWAGE_TYPE_BCQ, K, BITS, GROUP, !offset);
      g_autofree guint8 *codes = g_malloc (N * code_bytes);
      g_autofree guint16 *scales = g_new (guint16, N * n_scales);
      g_autofree float *x = g_new (float, M *K), *y = g_new0 (float, M *N), *w = g_new (float, K);
      for (size_t i = 0; i < N * code_bytes; i++)
        codes[i] = (guint8)(256 * next_random ());
      for (int64_t i = 0; i < N * n_scales; i++)
        scales[i] = random_half ();
      for (int i = 0; i < M * K; i++)
        x[i] = (float)(2 * next_random () - 1);
      SwageMatmulArgs args = { .alpha = 1, .bits = BITS, .group = GROUP };
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, y, N, M, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, x, K, M, 1, 1),
                                    swage_view (SWAGE_TYPE_BCQ, codes, K, N, 1, 1),
                                    { 0 },
                                    swage_view (SWAGE_TYPE_F16, scales, n_scales, N, 1, 1) },
                           .args = &args };
      call.src[1].nb[1] = (int64_t)code_bytes;
      g_autofree void *scratch = g_malloc (swage_op_scratch_bytes (op, &call));
      call.scratch = scratch;
      for (int level = -1; level <= (int)SWAGE_CPU_AVX512; level++)
        {
          SwageOpFunc func = level < 0 ? op->ref : swage_op_get_func_at (op, (SwageCpuLevel)level);
          if (func == NULL)
            continue;
          func (&call, 0, op->slices (&call));
          for (int j = 0; j < N; j++)
            {
              swage_layout_decode (SWAGE_TYPE_BCQ, codes + (size_t)j * code_bytes, scales + j * n_scales, K,
                                   0, K, BITS, GROUP, !offset, w);
              for (int i = 0; i < M; i++)
                {
                  double want = 0;
                  for (int k = 0; k < K; k++)
                    want += (double)x[i * K + k] * (double)w[k];
                  g_assert_cmpfloat (fabs ((double)y[i * N + j] - want), <=, 2e-4);
                }
            }
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/layouts/decode", test_decode);
  g_test_add_func ("/layouts/ranges", test_ranges);
  g_test_add_func ("/layouts/table-product", test_table_product);
  return g_test_run ();
}
