/* SPDX-License-Identifier: MIT
 *
 * layer_norm:  y = (x − mean (x)) / sqrt (var (x) + eps) · weight + bias      (var: divided by k)
 *
 *   dst    y       F32 [k, r1, r2, r3]
 *   src 0  x       F32, the same shape
 *   src 1  weight  F32 [k], may be absent
 *   src 2  bias    F32 [k], may be absent
 *   args   SwageNormArgs
 *
 * y may be x. A slice is one row.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_view_rows (&call->dst);
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageNormArgs *args = call->args;
  int64_t k = call->dst.ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *x = swage_view_nth_row (&call->src[0], r);
      double sum = 0, squares = 0;
      for (int64_t p = 0; p < k; p++)
        sum += x[p];
      double mean = sum / (double)k;
      for (int64_t p = 0; p < k; p++)
        squares += (x[p] - mean) * (x[p] - mean);
      double scale = 1.0 / sqrt (squares / (double)k + args->eps);
      for (int64_t p = 0; p < k; p++)
        y[p] = (float)((x[p] - mean) * scale * swage_view_float (&call->src[1], p, 1)
                       + swage_view_float (&call->src[2], p, 0));
    }
}

const SwageOp swage_op_layer_norm = {
  .id = "layer_norm",
  .summary = "y = (x - mean) / sqrt (var + eps) weight + bias",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-12,
};
