/* SPDX-License-Identifier: MIT
 *
 * silu_mul, vectorized.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (silu_mul) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (silu_mul) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  int64_t k = call->dst.ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *gate = swage_view_nth_row (&call->src[0], r), *up = swage_view_nth_row (&call->src[1], r);
      for (int64_t p = 0; p < k; p += VL)
        {
          vf g = vf_load_upto (gate + p, k - p);
          vf_store_upto (y + p, g / (vf_exp (-g) + 1.0f) * vf_load_upto (up + p, k - p), k - p);
        }
    }
}
