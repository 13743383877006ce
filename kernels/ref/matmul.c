/* SPDX-License-Identifier: MIT
 *
 * matmul:  y = alpha · x · Wᵀ + bias  (+ y)
 *
 *   dst    y       F32 [n, m]
 *   src 0  x       F32 [k, m]
 *   src 1  W       [k, n] of any type: floats, block types, or a layout's codes (nb[1] = bytes of a row)
 *   src 2  bias    F32 [n], may be absent
 *   src 3  scales  F16 [groups, n], for SWAGE_TYPE_INT; what swage-layout.h says for others
 *   src 4  zeros   U8 [groups, n], for asymmetric SWAGE_TYPE_INT
 *   args   SwageMatmulArgs; NULL: alpha 1, no accumulation
 *
 * W's values are exactly what its type decodes to and x is not rounded: only sums are. A slice is a tile of
 * y. Rows of x, y and W may be strided. y must not overlap the rest.
 */
#include "kernels/swage-view.h"

/* Few rows of x: a tile is a band of W's rows, about 64 Ki weights. Otherwise tiles are as tall as leaves at
 * least 16 of them, because every tile decodes its rows of W anew: at 512 rows that costs 1-3 % of the
 * multiplications. */
SwageMatmulTiles
swage_matmul_tiles (const SwageOpCall *call)
{
  int64_t n = call->dst.ne[0], m = call->dst.ne[1], k = call->src[0].ne[0];
  SwageMatmulTiles t;

  if (m <= SWAGE_MATMUL_GEMV)
    {
      t.mb = swage_max64 (m, 1);
      t.nb = swage_min64 (256, swage_max64 (4, 65536 / swage_max64 (k, 1) / 4 * 4));
      t.m_tiles = m > 0;
      t.n_tiles = swage_ceil_div (n, t.nb);
      return t;
    }
  t.nb = SWAGE_MATMUL_NB;
  t.n_tiles = swage_ceil_div (n, t.nb);
  int64_t most = t.n_tiles >= 16 ? 2048 : t.n_tiles >= 8 ? 1024 : 512;
  t.m_tiles = swage_ceil_div (m, most);
  t.mb = swage_ceil_div (swage_ceil_div (m, t.m_tiles), 14)
         * 14; /* the fast versions take 14 or 6 rows at a time */
  t.m_tiles = swage_ceil_div (m, t.mb);
  return t;
}

static int64_t
slices (const SwageOpCall *call)
{
  SwageMatmulTiles t = swage_matmul_tiles (call);
  return t.m_tiles * t.n_tiles;
}

/* A packed block of W, a panel of x, one batch of decoded rows. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  return sizeof (float)
             * (SWAGE_MATMUL_NB * SWAGE_MATMUL_KB + 14 * (SWAGE_MATMUL_KB + 16) + 16 * SWAGE_MATMUL_KB)
         + 256;
}

static double
flops (const SwageOpCall *call)
{
  return 2.0 * (double)call->dst.ne[0] * (double)call->dst.ne[1] * (double)call->src[0].ne[0];
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageMatmulArgs *args = call->args;
  const SwageView *y = &call->dst, *x = &call->src[0], *w = &call->src[1], *bias = &call->src[2];
  SwageRows rows
      = { w, &call->src[3], &call->src[4], args ? (int)args->bits : 0, args ? (int)args->group : 0 };
  SwageMatmulTiles t = swage_matmul_tiles (call);
  int64_t k = x->ne[0], n = y->ne[0], m = y->ne[1];
  double alpha = args ? args->alpha : 1.0;

  for (int64_t s = begin; s < end; s++)
    {
      int64_t i0 = s % t.m_tiles * t.mb, i1 = swage_min64 (m, i0 + t.mb);
      int64_t j0 = s / t.m_tiles * t.nb, j1 = swage_min64 (n, j0 + t.nb);
      for (int64_t j = j0; j < j1; j++)
        {
          double sum[SWAGE_MATMUL_MB] = { 0 };
          float piece[256];
          for (int64_t from = 0; from < k; from += 256)
            {
              int64_t len = swage_min64 (256, k - from);
              const float *wj = swage_rows_decode (&rows, j, from, len, piece);
              for (int64_t i = i0; i < i1; i++)
                {
                  const float *xi = (const float *)swage_view_row (x, i, 0, 0) + from;
                  double d = 0;
                  for (int64_t p = 0; p < len; p++)
                    d += (double)xi[p] * wj[p];
                  sum[i - i0] += d;
                }
            }
          for (int64_t i = i0; i < i1; i++)
            {
              float *yi = (float *)swage_view_row (y, i, 0, 0) + j;
              double v = alpha * sum[i - i0] + swage_view_float (bias, j, 0);
              *yi = (float)(args && args->accumulate ? *yi + v : v);
            }
        }
    }
}

const SwageOp swage_op_matmul = {
  .id = "matmul",
  .summary = "y = alpha x W^T + bias (+ y), W of any type",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-11,
  .flops = flops,
};
