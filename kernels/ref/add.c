/* SPDX-License-Identifier: MIT
 *
 * add:  y = a + b
 *
 *   dst    y  F32 [k, r1, r2, r3]
 *   src 0  a  F32, the same shape
 *   src 1  b  F32 [k, …]: the same shape, or 1 in any of the dimensions 1..3, which is repeated
 *
 * y may be a or b. A slice is one row.
 */
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
  const SwageView *y = &call->dst, *b = &call->src[1];

  for (int64_t r = begin; r < end; r++)
    {
      int64_t i1 = r % y->ne[1], i2 = r / y->ne[1] % y->ne[2], i3 = r / y->ne[1] / y->ne[2];
      float *yr = swage_view_row (y, i1, i2, i3);
      const float *ar = swage_view_row (&call->src[0], i1, i2, i3);
      const float *br = swage_view_row (b, i1 % b->ne[1], i2 % b->ne[2], i3 % b->ne[3]);
      for (int64_t p = 0; p < y->ne[0]; p++)
        yr[p] = ar[p] + br[p];
    }
}

const SwageOp swage_op_add = {
  .id = "add",
  .summary = "y = a + b, rows of b repeated",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 0,
};
