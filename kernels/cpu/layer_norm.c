/* SPDX-License-Identifier: MIT
 *
 * layer_norm, vectorized: mean, variance about it, result; three passes over a row that stays in the first
 * cache.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (layer_norm) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (layer_norm) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageNormArgs *args = call->args;
  const float *weight = call->src[1].data, *bias = call->src[2].data;
  int64_t k = call->dst.ne[0], whole = k / VL * VL;

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *x = swage_view_nth_row (&call->src[0], r);
      vd lo = { 0 }, hi = { 0 };
      for (int64_t p = 0; p < k; p += VL)
        {
          vf v = vf_load_upto (x + p, k - p);
          lo += vd_low (v);
          hi += vd_high (v);
        }
      double mean = vd_sum (lo + hi) / (double)k;
      vf centre = vf_set ((float)mean), squares = vf_set (0);
      for (int64_t p = 0; p < whole; p += VL)
        {
          vf d = vf_load (x + p) - centre;
          squares = vf_fma (d, d, squares);
        }
      double sum = vf_sum (squares);
      for (int64_t p = whole; p < k; p++)
        sum += (x[p] - mean) * (x[p] - mean);
      vf scale = vf_set ((float)(1.0 / sqrt (sum / (double)k + args->eps)));
      for (int64_t p = 0; p < k; p += VL)
        {
          vf v = (vf_load_upto (x + p, k - p) - centre) * scale;
          if (weight)
            v = v * vf_load_upto (weight + p, k - p);
          if (bias)
            v = v + vf_load_upto (bias + p, k - p);
          vf_store_upto (y + p, v, k - p);
        }
    }
}
