/* SPDX-License-Identifier: MIT
 *
 * transform: the input transform of a compressed layer, channel by channel.
 *
 *   y[i, j] = x[i, p(j)] · scale[j] + shift[j]
 *
 *   dst    y      F32 [n, m]
 *   src 0  x      F32 [k, m]
 *   src 1  scale  F32 [n], absent: 1
 *   src 2  shift  F32 [n], absent: 0
 *   src 3  p      I32 [n], absent: p(j) = j and n = k; an index outside x reads 0
 *
 * y may be x only without p. A slice is one row.
 */
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const int32_t *p = call->src[3].data;
  int64_t k = call->src[0].ne[0];

  for (int64_t i = begin; i < end; i++)
    {
      float *y = swage_view_row (&call->dst, i, 0, 0);
      const float *x = swage_view_row (&call->src[0], i, 0, 0);
      for (int64_t j = 0; j < call->dst.ne[0]; j++)
        {
          int64_t from = p ? p[j] : j;
          double v = from >= 0 && from < k ? x[from] : 0;
          y[j] = (float)(v * swage_view_float (&call->src[1], j, 1) + swage_view_float (&call->src[2], j, 0));
        }
    }
}

const SwageOp swage_op_transform = {
  .id = "transform",
  .summary = "y[j] = x[p(j)] scale[j] + shift[j]",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-13,
};
