/* SPDX-License-Identifier: MIT
 *
 * quantize: rows of numbers to a block type, with the search for scales of that type's own quantizer.
 *
 *   dst    q           [k, n] of a block type (Q4_0 … IQ4_XS)
 *   src 0  x           F32, F16 or BF16 [k, n]
 *   src 1  importance  F32 [k]: weight of each column's squared errors, absent: 1
 *
 * The bytes of swage_type_from_f32() are the result: kernels/type/codec-*.c say what is searched, in float32
 * arithmetic of one order. A slice is one row.
 */
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static size_t
scratch_bytes (const SwageOpCall *call)
{
  return (size_t)call->src[0].ne[0] * sizeof (float);
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *x = &call->src[0];
  int64_t k = x->ne[0];

  for (int64_t r = begin; r < end; r++)
    swage_type_from_f32 (call->dst.type,
                         swage_row_decode (x->type, swage_view_row (x, r, 0, 0), 0, k, call->scratch),
                         call->src[1].data, swage_view_row (&call->dst, r, 0, 0), k);
}

const SwageOp swage_op_quantize = {
  .id = "quantize",
  .summary = "rows of floats to a block type, scales searched, weighted by importance",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 0,
};
