/* SPDX-License-Identifier: MIT
 *
 * The register tile that matmul, attention and rotate multiply with: up to MR rows of a (broadcast element by
 * element) by NR columns of a panel of b (loaded as vectors). a[r, p] stands at a[r · sr + p · sp]: one
 * stride should be a constant and the other 1, so that addresses need no arithmetic. A panel is b[k][NR].
 *
 * Sizes: AVX-512 has 32 registers: 14 x 2 sums, 2 of b, 1 of a. AVX2 has 16: 6 x 2 + 2 + 1. SSE2 and NEON: 4
 * x 2 + 2 + 1.
 */
#pragma once

#include "kernels/cpu/simd.h"

#define NR (2 * VL)
#if VL == 16
#define MR 14
#elif VL == 8
#define MR 6
#else
#define MR 4
#endif

/* What becomes of the sums: c = sum + first, or c += sum. */
typedef struct
{
  float *c;
  int64_t ldc, cols; /* cols <= NR */
  bool add;
  const float *first; /* NR values, or NULL: 0 */
  const char *next;   /* memory to ask for meanwhile: GEMM_NEXT bytes each of rows `next_stride` bytes apart;
                         NULL: none */
  int64_t next_stride;
} GemmOut;

#define GEMM_NEXT 256
#define GEMM_STEP 8

SWAGE_INLINE void
gemm_micro (int rows, const float *a, int64_t sr, int64_t sp, const float *b, int64_t kc, const GemmOut *out)
{
  vf acc[MR][2];

#pragma GCC unroll 14
  for (int r = 0; r < rows; r++)
    acc[r][0] = acc[r][1] = vf_set (0);
  /* A cache line is asked for every GEMM_STEP columns: all at once they would fill the queue and stop the
   * loads. */
  const char *next = out->next ? out->next : (const char *)a;
  int64_t next_stride = out->next ? out->next_stride : 0;
  for (int64_t p = 0, nth = 0; p < kc; nth++)
    {
      int64_t stop = kc - p > GEMM_STEP ? p + GEMM_STEP : kc;
      __builtin_prefetch (next + (nth >> 2) * next_stride + (nth & 3) * 64, 0, 2);
      for (; p < stop; p++)
        {
          vf b0 = vf_load (b), b1 = vf_load (b + VL);
#pragma GCC unroll 14
          for (int r = 0; r < rows; r++)
            {
              vf ar = vf_set (a[r * sr + p * sp]);
              acc[r][0] = vf_fma (ar, b0, acc[r][0]);
              acc[r][1] = vf_fma (ar, b1, acc[r][1]);
            }
          b += NR;
        }
    }
  float *c = out->c;
  if (out->cols == NR)
    {
      vf f0 = out->first ? vf_load (out->first) : vf_set (0),
         f1 = out->first ? vf_load (out->first + VL) : vf_set (0);
#pragma GCC unroll 14
      for (int r = 0; r < rows; r++)
        {
          vf_store (c + r * out->ldc, acc[r][0] + (out->add ? vf_load (c + r * out->ldc) : f0));
          vf_store (c + r * out->ldc + VL, acc[r][1] + (out->add ? vf_load (c + r * out->ldc + VL) : f1));
        }
      return;
    }
#pragma GCC unroll 14
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)
      {
        int64_t n = out->cols - h * VL;
        if (n <= 0)
          continue;
        n = n > VL ? VL : n;
        const float *from = out->add ? c + r * out->ldc : out->first;
        vf old = from ? vf_load_n (from + h * VL, n) : vf_set (0);
        vf_store_n (c + r * out->ldc + h * VL, acc[r][h] + old, n);
      }
}

/* The same for any number of rows up to MR. */
SWAGE_INLINE void
gemm_panel (int rows, const float *a, int64_t sr, int64_t sp, const float *b, int64_t kc, const GemmOut *out)
{
  switch (rows)
    {
#define CASE(n)                                                                                              \
  case n:                                                                                                    \
    gemm_micro (n, a, sr, sp, b, kc, out);                                                                   \
    break;
#if MR >= 14
      CASE (14)
      CASE (13)
      CASE (12)
      CASE (11)
      CASE (10)
      CASE (9)
      CASE (8)
      CASE (7)
#endif
#if MR >= 6
      CASE (6)
      CASE (5)
#endif
      CASE (4)
      CASE (3)
      CASE (2)
      CASE (1)
#undef CASE
    }
}

/* Swap blocks of d lanes between two vectors: a stage of a transposition. */
#if VL == 16
#define SWAP(d, a, b)                                                                                        \
  do                                                                                                         \
    {                                                                                                        \
      vf x_ = a, y_ = b;                                                                                     \
      a = SWAP_LOW_##d (x_, y_);                                                                             \
      b = SWAP_HIGH_##d (x_, y_);                                                                            \
    }                                                                                                        \
  while (0)
#define SWAP_LOW_8(x, y)                                                                                     \
  __builtin_shufflevector (x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define SWAP_HIGH_8(x, y)                                                                                    \
  __builtin_shufflevector (x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define SWAP_LOW_4(x, y)                                                                                     \
  __builtin_shufflevector (x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define SWAP_HIGH_4(x, y)                                                                                    \
  __builtin_shufflevector (x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define SWAP_LOW_2(x, y)                                                                                     \
  __builtin_shufflevector (x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define SWAP_HIGH_2(x, y)                                                                                    \
  __builtin_shufflevector (x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define SWAP_LOW_1(x, y)                                                                                     \
  __builtin_shufflevector (x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define SWAP_HIGH_1(x, y)                                                                                    \
  __builtin_shufflevector (x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#elif VL == 8
#define SWAP(d, a, b)                                                                                        \
  do                                                                                                         \
    {                                                                                                        \
      vf x_ = a, y_ = b;                                                                                     \
      a = SWAP_LOW_##d (x_, y_);                                                                             \
      b = SWAP_HIGH_##d (x_, y_);                                                                            \
    }                                                                                                        \
  while (0)
#define SWAP_LOW_4(x, y) __builtin_shufflevector (x, y, 0, 1, 2, 3, 8, 9, 10, 11)
#define SWAP_HIGH_4(x, y) __builtin_shufflevector (x, y, 4, 5, 6, 7, 12, 13, 14, 15)
#define SWAP_LOW_2(x, y) __builtin_shufflevector (x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define SWAP_HIGH_2(x, y) __builtin_shufflevector (x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#define SWAP_LOW_1(x, y) __builtin_shufflevector (x, y, 0, 8, 2, 10, 4, 12, 6, 14)
#define SWAP_HIGH_1(x, y) __builtin_shufflevector (x, y, 1, 9, 3, 11, 5, 13, 7, 15)
#else
#define SWAP(d, a, b)                                                                                        \
  do                                                                                                         \
    {                                                                                                        \
      vf x_ = a, y_ = b;                                                                                     \
      a = SWAP_LOW_##d (x_, y_);                                                                             \
      b = SWAP_HIGH_##d (x_, y_);                                                                            \
    }                                                                                                        \
  while (0)
#define SWAP_LOW_2(x, y) __builtin_shufflevector (x, y, 0, 1, 4, 5)
#define SWAP_HIGH_2(x, y) __builtin_shufflevector (x, y, 2, 3, 6, 7)
#define SWAP_LOW_1(x, y) __builtin_shufflevector (x, y, 0, 4, 2, 6)
#define SWAP_HIGH_1(x, y) __builtin_shufflevector (x, y, 1, 5, 3, 7)
#endif

#define SWAP_STAGE(d)                                                                                        \
  _Pragma ("GCC unroll 16") for (int i = 0; i < VL; i++) if (!(i & (d))) SWAP (d, r[i], r[i + (d)]);

/* Turn VL vectors over in registers. */
SWAGE_INLINE void
vf_transpose (vf *r)
{
#if VL == 16
  SWAP_STAGE (8)
#endif
#if VL >= 8
  SWAP_STAGE (4)
#endif
  SWAP_STAGE (2)
  SWAP_STAGE (1)
}

/* VL rows of kc floats, row i at row[i], become VL neighbouring columns: out[p · stride + i] = row[i][p].
 * Rows that are NULL become 0. */
SWAGE_INLINE void
gemm_pack (const float *const *row, int64_t kc, float *out, int64_t stride)
{
  int64_t p = 0;
  for (; p + VL <= kc; p += VL)
    {
      vf r[VL];
#pragma GCC unroll 16
      for (int i = 0; i < VL; i++)
        r[i] = row[i] ? vf_load (row[i] + p) : vf_set (0);
      vf_transpose (r);
#pragma GCC unroll 16
      for (int i = 0; i < VL; i++)
        vf_store (out + (p + i) * stride, r[i]);
    }
  for (; p < kc; p++)
    for (int i = 0; i < VL; i++)
      out[p * stride + i] = row[i] ? row[i][p] : 0;
}
