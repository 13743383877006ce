/* SPDX-License-Identifier: MIT
 *
 * rms_norm, vectorized: two passes over a row that stays in the first cache.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (rms_norm) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (rms_norm) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageNormArgs *args = call->args;
  const float *weight = call->src[1].data;
  int64_t k = call->dst.ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *x = swage_view_nth_row (&call->src[0], r);
      vf a = vf_set (0), b = a;
      int64_t p = 0;
      for (; p + 2 * VL <= k; p += 2 * VL)
        {
          vf u = vf_load (x + p), v = vf_load (x + p + VL);
          a = vf_fma (u, u, a);
          b = vf_fma (v, v, b);
        }
      for (; p < k; p += VL)
        {
          vf u = vf_load_upto (x + p, k - p);
          a = vf_fma (u, u, a);
        }
      vf scale = vf_set ((float)(1.0 / sqrt ((double)vf_sum (a + b) / (double)k + args->eps)));
      for (p = 0; p < k; p += VL)
        {
          vf v = vf_load_upto (x + p, k - p) * scale;
          if (weight)
            v = v * vf_load_upto (weight + p, k - p);
          vf_store_upto (y + p, v, k - p);
        }
    }
}
