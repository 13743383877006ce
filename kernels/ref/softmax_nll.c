/* SPDX-License-Identifier: MIT
 *
 * softmax_nll: how well rows of logits foresee their targets.
 *
 *   lse = log Σ_j exp (x[j]),   nll = lse − x[target],   argmax = the first j with the greatest x[j]
 *
 *   dst    result  F64 or F32 [SWAGE_NLL_ROWS, m]: nll, lse, argmax of each row
 *   src 0  x       F32 [vocab, m]
 *   src 1  target  I32 [m]; a target outside 0..vocab−1 (such as −1): the row is skipped, its results are 0
 *
 * A NaN in a row makes its nll and lse NaN. A slice is one row.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->src[0].ne[1];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->src[0].ne[0]));
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *x = &call->src[0];
  const int32_t *targets = call->src[1].data;
  int64_t vocab = x->ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      double nll = 0, lse = 0, sum = 0;
      int64_t top = 0;
      if (targets[r] >= 0 && targets[r] < vocab)
        {
          const float *row = swage_view_row (x, r, 0, 0);
          for (int64_t j = 1; j < vocab; j++)
            if (row[j] > row[top])
              top = j;
          for (int64_t j = 0; j < vocab; j++)
            sum += exp ((double)row[j] - row[top]);
          lse = row[top] + log (sum);
          nll = lse - row[targets[r]];
        }
      double result[SWAGE_NLL_ROWS] = { nll, lse, (double)top };
      swage_view_store_doubles (&call->dst, r, result, SWAGE_NLL_ROWS);
    }
}

const SwageOp swage_op_softmax_nll = {
  .id = "softmax_nll",
  .summary = "nll of the target, log-sum-exp and argmax of each row of logits",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-13,
};
