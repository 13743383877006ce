/* SPDX-License-Identifier: MIT
 *
 * silu_mul:  y = gate / (1 + exp (−gate)) · up
 *
 *   dst    y     F32 [k, r1, r2, r3]
 *   src 0  gate  F32, the same shape
 *   src 1  up    F32, the same shape
 *
 * y may be gate or up. A slice is one row.
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
  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *gate = swage_view_nth_row (&call->src[0], r), *up = swage_view_nth_row (&call->src[1], r);
      for (int64_t p = 0; p < call->dst.ne[0]; p++)
        y[p] = (float)(gate[p] / (1.0 + exp (-(double)gate[p])) * up[p]);
    }
}

const SwageOp swage_op_silu_mul = {
  .id = "silu_mul",
  .summary = "y = silu (gate) up",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-12,
};
