/* SPDX-License-Identifier: MIT
 *
 * add, vectorized.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (add) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (add) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *y = &call->dst, *b = &call->src[1];

  for (int64_t r = begin; r < end; r++)
    {
      int64_t i1 = r % y->ne[1], i2 = r / y->ne[1] % y->ne[2], i3 = r / y->ne[1] / y->ne[2], k = y->ne[0];
      float *yr = swage_view_row (y, i1, i2, i3);
      const float *ar = swage_view_row (&call->src[0], i1, i2, i3);
      const float *br = swage_view_row (b, i1 % b->ne[1], i2 % b->ne[2], i3 % b->ne[3]);
      for (int64_t p = 0; p < k; p += VL)
        vf_store_upto (yr + p, vf_load_upto (ar + p, k - p) + vf_load_upto (br + p, k - p), k - p);
    }
}
