/* SPDX-License-Identifier: MIT
 *
 * What softmax_nll and softmax_kld share: the greatest logit and where it stands.
 */
#pragma once

#include "kernels/cpu/simd.h"

/* Vectors of single-precision sums before they are added to a double: 64 keeps their error near 1e-8. */
#define SOFTMAX_BLOCK (64 * VL)

/* The first j with the greatest row[j]; *top becomes row[j]. (With NaN among them anything: the sums are NaN
 * then.) */
SWAGE_INLINE int64_t
softmax_argmax (const float *row, int64_t n, float *top)
{
  vf a = vf_set (-INFINITY), b = a;
  int64_t j = 0;
  for (; j + 2 * VL <= n; j += 2 * VL)
    {
      a = vf_max (vf_load (row + j), a);
      b = vf_max (vf_load (row + j + VL), b);
    }
  *top = vf_top (vf_max (a, b));
  for (; j < n; j++)
    *top = row[j] > *top ? row[j] : *top;
  for (j = 0; j + VL <= n; j += VL)
    if (vi_any ((vi)(vf_load (row + j) == vf_set (*top))))
      break;
  for (; j < n; j++)
    if (row[j] == *top)
      return j;
  return 0;
}
