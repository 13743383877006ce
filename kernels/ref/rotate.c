/* SPDX-License-Identifier: MIT
 *
 * rotate: multiply every row by a Kronecker product of two small matrices. Seen as a matrix X of a rows and b
 * columns, k = a·b,
 *
 *   Y = Q1 · X · Q2ᵀ,  that is  y = (Q1 ⊗ Q2) x;   inverse: Y = Q1ᵀ · X · Q2, the inverse when both are
 * orthogonal
 *
 *   dst    y   F32 [k, m]
 *   src 0  x   F32 [k, m]
 *   src 1  Q1  F32 [a, a]   (row-major: Q1[i, p] at row i)
 *   src 2  Q2  F32 [b, b]
 *   args   SwageRotateArgs
 *
 * (QuIP, arXiv:2307.13304, section 4.1: incoherence in O(n √n).) y may be x. A slice is one row.
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
  return swage_max64 (16, 16384 / swage_max64 (1, call->dst.ne[0]));
}

/* X · Q2ᵀ in double, or (fast) in float with columns rounded up, beside Q2 in panels. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  int64_t a = call->src[1].ne[0], b = call->src[2].ne[0];
  return (size_t)(a * b) * sizeof (double) + (size_t)((a + b) * (b + 32)) * sizeof (float) + 256;
}

static double
flops (const SwageOpCall *call)
{
  return 2.0 * (double)call->dst.ne[0] * (double)call->dst.ne[1]
         * (double)(call->src[1].ne[0] + call->src[2].ne[0]);
}

static double
entry (const SwageView *q, int64_t i, int64_t j, bool transposed)
{
  return transposed ? ((const float *)swage_view_row (q, j, 0, 0))[i]
                    : ((const float *)swage_view_row (q, i, 0, 0))[j];
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageRotateArgs *args = call->args;
  const SwageView *q1 = &call->src[1], *q2 = &call->src[2];
  int64_t a = q1->ne[0], b = q2->ne[0];
  double *half = call->scratch;

  for (int64_t r = begin; r < end; r++)
    {
      const float *x = swage_view_row (&call->src[0], r, 0, 0);
      float *y = swage_view_row (&call->dst, r, 0, 0);
      for (int64_t p = 0; p < a; p++)
        for (int64_t j = 0; j < b; j++)
          {
            double sum = 0;
            for (int64_t q = 0; q < b; q++)
              sum += x[p * b + q] * entry (q2, j, q, args && args->inverse);
            half[p * b + j] = sum;
          }
      for (int64_t i = 0; i < a; i++)
        for (int64_t j = 0; j < b; j++)
          {
            double sum = 0;
            for (int64_t p = 0; p < a; p++)
              sum += entry (q1, i, p, args && args->inverse) * half[p * b + j];
            y[i * b + j] = (float)sum;
          }
    }
}

const SwageOp swage_op_rotate = {
  .id = "rotate",
  .summary = "y = (Q1 (x) Q2) x for every row, or its transpose",
  .slices = slices,
  .grain = grain,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-11,
  .flops = flops,
};
