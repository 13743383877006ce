/* SPDX-License-Identifier: MIT
 *
 * softmax_kld: two models' rows of logits compared, p from the base, q from the other.
 *
 *   kld = Σ_j p[j] (log p[j] − log q[j]),  same_top = argmax p == argmax q,  both nll of the target
 *
 *   dst    result  F64 or F32 [SWAGE_KLD_ROWS, m]: kld, same_top, nll_base, nll_other
 *   src 0  base    F32 [vocab, m]
 *   src 1  other   F32 [vocab, m]
 *   src 2  target  I32 [m]; a target outside 0..vocab−1: the row is skipped, its results are 0
 *
 * With a = base − max, b = other − max, Z = Σ exp:  kld = Σ exp (a) (a − b) / Z_a − log Z_a + log Z_b. The
 * differences a − b are small where the models agree, so nothing large cancels but the two logarithms. A
 * slice is one row.
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
  return swage_max64 (1, 8192 / swage_max64 (1, call->src[0].ne[0]));
}

static int64_t
argmax (const float *row, int64_t n)
{
  int64_t top = 0;
  for (int64_t j = 1; j < n; j++)
    if (row[j] > row[top])
      top = j;
  return top;
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *base = &call->src[0];
  const int32_t *targets = call->src[2].data;
  int64_t vocab = base->ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      double result[SWAGE_KLD_ROWS] = { 0 };
      if (targets[r] >= 0 && targets[r] < vocab)
        {
          const float *x = swage_view_row (base, r, 0, 0), *y = swage_view_row (&call->src[1], r, 0, 0);
          int64_t top_x = argmax (x, vocab), top_y = argmax (y, vocab);
          double sum_x = 0, sum_y = 0, cross = 0;
          for (int64_t j = 0; j < vocab; j++)
            {
              double a = (double)x[j] - x[top_x], b = (double)y[j] - y[top_y], p = exp (a);
              sum_x += p;
              sum_y += exp (b);
              cross += p > 0 ? p * (a - b) : 0;
            }
          double kld = cross / sum_x - log (sum_x) + log (sum_y);
          result[SWAGE_KLD_KLD] = kld < 0 ? 0 : kld;
          result[SWAGE_KLD_SAME_TOP] = top_x == top_y;
          result[SWAGE_KLD_NLL_BASE] = x[top_x] + log (sum_x) - x[targets[r]];
          result[SWAGE_KLD_NLL_OTHER] = y[top_y] + log (sum_y) - y[targets[r]];
        }
      swage_view_store_doubles (&call->dst, r, result, SWAGE_KLD_ROWS);
    }
}

const SwageOp swage_op_softmax_kld = {
  .id = "softmax_kld",
  .summary = "KL divergence, same-top flag and both nll of two rows of logits",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-10, /* exponentials right to 1e-7 leave 2e-7 nats in kld */
};
