/* SPDX-License-Identifier: MIT
 *
 * act, vectorized. gelu (tanh) is x / (1 + exp (−2u)), u = √(2/π) (x + 0.044715 x³): the same function
 * without the cancellation of 1 + tanh. gelu (erf) calls the C library, no model here spends time in it.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (act) (const SwageOpCall *call, int64_t begin, int64_t end);

SWAGE_INLINE vf
apply (uint32_t kind, vf x)
{
  switch (kind)
    {
    case SWAGE_ACT_RELU:
      return vf_max (x, vf_set (0));
    case SWAGE_ACT_GELU_TANH:
      return x
             / (vf_exp (x
                        * vf_fma (x * x, vf_set (-2 * 0.7978845608028654f * 0.044715f),
                                  vf_set (-2 * 0.7978845608028654f)))
                + 1.0f);
    case SWAGE_ACT_GELU_ERF:
      {
        float lane[VL];
        vf_store (lane, x);
        for (int i = 0; i < VL; i++)
          lane[i] = 0.5f * lane[i] * erfcf (-lane[i] * (float)M_SQRT1_2);
        return vf_load (lane);
      }
    default:
      return x / (vf_exp (-x) + 1.0f);
    }
}

void
SWAGE_FAST (act) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageActArgs *args = call->args;
  int64_t k = call->dst.ne[0];

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *x = swage_view_nth_row (&call->src[0], r);
      for (int64_t p = 0; p < k; p += VL)
        vf_store_upto (y + p, apply (args->kind, vf_load_upto (x + p, k - p)), k - p);
    }
}
