/* SPDX-License-Identifier: MIT
 *
 * quantize_int: rows of numbers to plain N-bit integers in groups with a scale (and a zero point), with the
 * search of swage_int_from_f32().
 *
 *   dst    q           U8 [bytes, n]: codes, scales and zeros of a row, as kernels/swage-quantize.h lays them
 * out src 0  x           F32, F16 or BF16 [k, n] src 1  importance  F32 [k]: weight of each column's squared
 * errors, absent: 1 args   SwageQuantizeIntArgs: bits 2..8, group >= 1, symmetric
 *
 * A slice is one row.
 */
#include "kernels/swage-quantize.h"
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static size_t
scratch_bytes (const SwageOpCall *call)
{
  const SwageQuantizeIntArgs *args = call->args;
  size_t groups = (size_t)swage_int_groups (call->src[0].ne[0], (int)args->group);
  return swage_align64 ((size_t)call->src[0].ne[0] * sizeof (float)) + groups * sizeof (uint16_t);
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageQuantizeIntArgs *args = call->args;
  const SwageView *x = &call->src[0];
  int bits = (int)args->bits, group = (int)args->group;
  int64_t k = x->ne[0], groups = swage_int_groups (k, group);
  float *values = call->scratch;
  uint16_t *scales = (uint16_t *)((char *)call->scratch + swage_align64 ((size_t)k * sizeof (float)));

  for (int64_t r = begin; r < end; r++)
    {
      uint8_t *row = swage_view_row (&call->dst, r, 0, 0);
      int64_t at = swage_quantize_scales_at (k, bits);
      row[at - 1] = 0; /* the byte that pads odd codes, or one that is written now */
      swage_int_from_f32 (swage_row_decode (x->type, swage_view_row (x, r, 0, 0), 0, k, values),
                          call->src[1].data, k, bits, group, args->symmetric, row, scales,
                          args->symmetric ? NULL : row + swage_quantize_zeros_at (k, bits, group));
      memcpy (row + at, scales, (size_t)groups * sizeof (uint16_t));
    }
}

const SwageOp swage_op_quantize_int = {
  .id = "quantize_int",
  .summary = "rows of floats to N-bit integers in groups, scales and zeros searched",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 0,
};
