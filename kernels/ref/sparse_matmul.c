/* SPDX-License-Identifier: MIT
 *
 * sparse_matmul:  y[i, o] = alpha · Σ_e value[e] · x[i, column[e]]  (+ y[i, o]),   e in start[o] ..
 * start[o+1]−1
 *
 *   dst    y       F32 [n, m]
 *   src 0  x       F32 [k, m]
 *   src 1  start   I32 or I64 [n + 1]: where each output's entries begin (CSR)
 *   src 2  column  I32 [entries]: 0..k−1, which the caller has checked
 *   src 3  value   F32 or F16 [entries]
 *   args   SwageSparseArgs; NULL: alpha 1, no accumulation
 *
 * A slice is a tile of SWAGE_SPARSE_ROWS rows of x by SWAGE_SPARSE_OUTPUTS outputs. y must not overlap x.
 */
#include "kernels/swage-sparse.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_ceil_div (call->dst.ne[1], SWAGE_SPARSE_ROWS)
         * swage_ceil_div (call->dst.ne[0], SWAGE_SPARSE_OUTPUTS);
}

/* The fast version turns a tile of x over. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  return (size_t)call->src[0].ne[0] * SWAGE_SPARSE_ROWS * sizeof (float) + 64;
}

static double
flops (const SwageOpCall *call)
{
  return 2.0 * (double)call->src[2].ne[0] * (double)call->dst.ne[1];
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageSparseArgs *args = call->args;
  const int32_t *columns = call->src[2].data;

  for (int64_t s = begin; s < end; s++)
    {
      SwageSparseTile t = swage_sparse_tile (call, s);
      for (int64_t o = t.o0; o < t.o1; o++)
        {
          int64_t e0 = swage_sparse_start (call, o), e1 = swage_sparse_start (call, o + 1);
          for (int64_t i = t.i0; i < t.i1; i++)
            {
              const float *x = swage_view_row (&call->src[0], i, 0, 0);
              float *y = (float *)swage_view_row (&call->dst, i, 0, 0) + o;
              double sum = 0;
              for (int64_t e = e0; e < e1; e++)
                sum += (double)swage_sparse_value (call, e) * x[columns[e]];
              sum *= args ? args->alpha : 1.0;
              *y = (float)(args && args->accumulate ? *y + sum : sum);
            }
        }
    }
}

const SwageOp swage_op_sparse_matmul = {
  .id = "sparse_matmul",
  .summary = "y = alpha x S^T (+ y), S in compressed rows",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-11,
  .flops = flops,
};
