/* SPDX-License-Identifier: MIT
 *
 * The ceiling that products are measured against: independent multiply-adds in registers, as many as hide
 * their latency.
 */
#include "kernels/cpu/simd.h"

#define CHAINS (VL == 16 ? 24 : 12)

float SWAGE_FAST (peak) (int64_t rounds, int *flops);

float
SWAGE_FAST (peak) (int64_t rounds, int *flops)
{
  vf a[CHAINS], b = vf_set (0.999f), c = vf_set (0.001f);

#pragma GCC unroll 24
  for (int i = 0; i < CHAINS; i++)
    a[i] = vf_set ((float)i);
  for (int64_t r = 0; r < rounds; r++)
    {
#pragma GCC unroll 24
      for (int i = 0; i < CHAINS; i++)
        a[i] = vf_fma (a[i], b, c);
      __asm__ volatile("" : "+m"(*(char *)flops)); /* rounds are not to be merged */
    }
#pragma GCC unroll 24
  for (int i = 1; i < CHAINS; i++)
    a[0] += a[i];
  *flops = 2 * CHAINS * VL;
  return vf_sum (a[0]);
}
