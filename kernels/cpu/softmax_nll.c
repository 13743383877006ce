/* SPDX-License-Identifier: MIT
 *
 * softmax_nll, vectorized: exponentials in float, their sum in double.
 */
#include "kernels/cpu/softmax.h"

void SWAGE_FAST (softmax_nll) (const SwageOpCall *call, int64_t begin, int64_t end);

static double
sum_exp (const float *row, int64_t n, float top)
{
  double sum = 0;
  for (int64_t from = 0; from < n; from += SOFTMAX_BLOCK)
    {
      int64_t to = swage_min64 (n, from + SOFTMAX_BLOCK), j = from;
      vf a = vf_set (0), b = a;
      for (; j + 2 * VL <= to; j += 2 * VL)
        {
          a += vf_exp (vf_load (row + j) - vf_set (top));
          b += vf_exp (vf_load (row + j + VL) - vf_set (top));
        }
      sum += vf_sum (a + b);
      for (; j < to; j++)
        sum += exp ((double)row[j] - top);
    }
  return sum;
}

void
SWAGE_FAST (softmax_nll) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const int32_t *targets = call->src[1].data;
  int64_t vocab = call->src[0].ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      double result[SWAGE_NLL_ROWS] = { 0 };
      if (targets[r] >= 0 && targets[r] < vocab)
        {
          const float *row = swage_view_row (&call->src[0], r, 0, 0);
          float top;
          int64_t at = softmax_argmax (row, vocab, &top);
          double lse = top + log (sum_exp (row, vocab, top));
          result[SWAGE_NLL_NLL] = lse - row[targets[r]];
          result[SWAGE_NLL_LSE] = lse;
          result[SWAGE_NLL_ARGMAX] = (double)at;
        }
      swage_view_store_doubles (&call->dst, r, result, SWAGE_NLL_ROWS);
    }
}
