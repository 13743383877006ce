/* SPDX-License-Identifier: MIT
 *
 * sparse_matmul, fast: a tile of 32 rows of x is turned over, so that an entry of S multiplies neighbouring
 * numbers.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/swage-sparse.h"

void SWAGE_FAST (sparse_matmul) (const SwageOpCall *call, int64_t begin, int64_t end);

#define ROWS SWAGE_SPARSE_ROWS
#define VECTORS (ROWS / VL)
#define PIECE 256 /* entries decoded at once */

static void
turn_over (const SwageOpCall *call, const SwageSparseTile *t, float *out)
{
  for (int64_t i = 0; i < ROWS; i += VL)
    {
      const float *row[VL];
      for (int l = 0; l < VL; l++)
        row[l] = t->i0 + i + l < t->i1 ? swage_view_row (&call->src[0], t->i0 + i + l, 0, 0) : NULL;
      gemm_pack (row, call->src[0].ne[0], out + i, ROWS);
    }
}

/* `n` entries times the turned-over tile, added to sum. */
SWAGE_INLINE void
multiply (const int32_t *columns, const float *values, int64_t n, const float *x, float *sum)
{
  vf acc[VECTORS];

#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; v++)
    acc[v] = vf_load (sum + v * VL);
  for (int64_t e = 0; e < n; e++)
    {
      vf value = vf_set (values[e]);
      const float *from = x + (int64_t)columns[e] * ROWS;
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++)
        acc[v] = vf_fma (value, vf_load (from + v * VL), acc[v]);
    }
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; v++)
    vf_store (sum + v * VL, acc[v]);
}

/* Entries e0..e1−1 in pieces, whose values are decoded first. */
static void
multiply_row (const SwageOpCall *call, int64_t e0, int64_t e1, const float *x, float *sum)
{
  const SwageView *value = &call->src[3];
  const int32_t *columns = call->src[2].data;

  for (int v = 0; v < ROWS; v++)
    sum[v] = 0;
  for (int64_t e = e0; e < e1; e += PIECE)
    {
      float piece[PIECE];
      int64_t n = swage_min64 (PIECE, e1 - e);
      const float *values
          = swage_row_decode (value->type, (const char *)value->data + e * value->nb[0], 0, n, piece);
      multiply (columns + e, values, n, x, sum);
    }
}

/* One row of x: nothing is worth turning over. */
static float
gather (const SwageOpCall *call, int64_t e0, int64_t e1, const float *x)
{
  const int32_t *columns = call->src[2].data;
  float a = 0, b = 0;
  int64_t e = e0;
  for (; e + 2 <= e1; e += 2)
    {
      a += swage_sparse_value (call, e) * x[columns[e]];
      b += swage_sparse_value (call, e + 1) * x[columns[e + 1]];
    }
  return e < e1 ? a + b + swage_sparse_value (call, e) * x[columns[e]] : a + b;
}

void
SWAGE_FAST (sparse_matmul) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageSparseArgs *args = call->args;
  float alpha = args ? args->alpha : 1, sum[ROWS], *turned = call->scratch;
  int64_t turned_i0 = -1;

  for (int64_t s = begin; s < end; s++)
    {
      SwageSparseTile t = swage_sparse_tile (call, s);
      bool one = t.i1 - t.i0 == 1;
      if (!one && turned_i0 != t.i0)
        {
          turn_over (call, &t, turned);
          turned_i0 = t.i0;
        }
      for (int64_t o = t.o0; o < t.o1; o++)
        {
          int64_t e0 = swage_sparse_start (call, o), e1 = swage_sparse_start (call, o + 1);
          if (one)
            sum[0] = gather (call, e0, e1, swage_view_row (&call->src[0], t.i0, 0, 0));
          else
            multiply_row (call, e0, e1, turned, sum);
          for (int64_t i = t.i0; i < t.i1; i++)
            {
              float *y = (float *)swage_view_row (&call->dst, i, 0, 0) + o, v = alpha * sum[i - t.i0];
              *y = args && args->accumulate ? *y + v : v;
            }
        }
    }
}
