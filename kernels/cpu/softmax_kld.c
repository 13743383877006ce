/* SPDX-License-Identifier: MIT
 *
 * softmax_kld, vectorized: exponentials in float, sums in double.
 */
#include "kernels/cpu/softmax.h"

void SWAGE_FAST (softmax_kld) (const SwageOpCall *call, int64_t begin, int64_t end);

typedef struct
{
  double x, y, cross;
} Sums;

static Sums
add_up (const float *x, const float *y, int64_t n, float top_x, float top_y)
{
  Sums s = { 0 };
  for (int64_t from = 0; from < n; from += SOFTMAX_BLOCK)
    {
      int64_t to = swage_min64 (n, from + SOFTMAX_BLOCK), j = from;
      vf sx = vf_set (0), sy = sx, sc = sx;
      for (; j + VL <= to; j += VL)
        {
          vf a = vf_load (x + j) - vf_set (top_x), b = vf_load (y + j) - vf_set (top_y), p = vf_exp (a);
          sx += p;
          sy += vf_exp (b);
          sc += vf_pick ((vi)(p > vf_set (0)), p * (a - b), vf_set (0)); /* not 0 · ∞ */
        }
      s.x += vf_sum (sx);
      s.y += vf_sum (sy);
      s.cross += vf_sum (sc);
      for (; j < to; j++)
        {
          double a = (double)x[j] - top_x, b = (double)y[j] - top_y, p = exp (a);
          s.x += p;
          s.y += exp (b);
          s.cross += p > 0 ? p * (a - b) : 0;
        }
    }
  return s;
}

void
SWAGE_FAST (softmax_kld) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const int32_t *targets = call->src[2].data;
  int64_t vocab = call->src[0].ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      double result[SWAGE_KLD_ROWS] = { 0 };
      if (targets[r] >= 0 && targets[r] < vocab)
        {
          const float *x = swage_view_row (&call->src[0], r, 0, 0),
                      *y = swage_view_row (&call->src[1], r, 0, 0);
          float top_x, top_y;
          int64_t at_x = softmax_argmax (x, vocab, &top_x), at_y = softmax_argmax (y, vocab, &top_y);
          Sums s = add_up (x, y, vocab, top_x, top_y);
          double kld = s.cross / s.x - log (s.x) + log (s.y);
          result[SWAGE_KLD_KLD] = kld < 0 ? 0 : kld;
          result[SWAGE_KLD_SAME_TOP] = at_x == at_y;
          result[SWAGE_KLD_NLL_BASE] = top_x + log (s.x) - x[targets[r]];
          result[SWAGE_KLD_NLL_OTHER] = top_y + log (s.y) - y[targets[r]];
        }
      swage_view_store_doubles (&call->dst, r, result, SWAGE_KLD_ROWS);
    }
}
