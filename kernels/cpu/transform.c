/* SPDX-License-Identifier: MIT
 *
 * transform, vectorized but for the gather.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (transform) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (transform) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const float *scale = call->src[1].data, *shift = call->src[2].data;
  const int32_t *p = call->src[3].data;
  int64_t n = call->dst.ne[0], k = call->src[0].ne[0];

  for (int64_t i = begin; i < end; i++)
    {
      float *y = swage_view_row (&call->dst, i, 0, 0);
      const float *x = swage_view_row (&call->src[0], i, 0, 0);
      for (int64_t j = 0; j < n; j += VL)
        {
          int64_t left = n - j;
          float lane[VL] = { 0 };
          if (p)
            for (int l = 0; l < VL && l < left; l++)
              lane[l] = p[j + l] >= 0 && p[j + l] < k ? x[p[j + l]] : 0;
          vf v = p ? vf_load (lane) : vf_load_upto (x + j, left);
          vf b = shift ? vf_load_upto (shift + j, left) : vf_set (0);
          v = scale ? vf_fma (v, vf_load_upto (scale + j, left), b) : (vf)(v + b);
          vf_store_upto (y + j, v, left);
        }
    }
}
