/* SPDX-License-Identifier: MIT
 *
 * The numbers of outlier-victim pairs (OliVe, arXiv 2304.07493), in steps of the scale: normal values are the
 * integers −N … N, outliers the numbers of abfloat (adaptive biased float), which begin where those end,
 *
 *   4 bits   N = 7     ±{12, 16, 24, 32, 48, 64, 96}                  E2M1, bias 2
 *   8 bits   N = 127   ±{144, 160 … 240, 256, 288 … 2^15}             E4M3, bias 4
 *
 * (the format goes on in 8 bits; beyond 2^15 sums of products would leave 32 bits, so encoders stop there, as
 * the paper does). A value becomes the nearest of all; where that is an outlier, the other of the pair, its
 * victim, becomes 0, and of two outliers the larger stays. In float32 arithmetic, so that all who round give
 * the same bits. Private to those who encode: kernels/ and core/method/olive.c.
 */
#pragma once

#include <math.h>
#include <stdbool.h>

/* Whether v is nearer to the outliers than to the normal values. */
static inline bool
swage_ovp_is_outlier (float v, int bits)
{
  return fabsf (v) > (bits == 4 ? 9.5f : 135.5f);
}

/* The nearest number; half way between two to even, in the gap to the normal one. NaN stays NaN. */
static inline float
swage_ovp_round (float v, int bits)
{
  float a = fabsf (v), normal = bits == 4 ? 7 : 127;

  if (!swage_ovp_is_outlier (v, bits))
    {
      a = rintf (a);
      return copysignf (a > normal ? normal : a, v);
    }
  float least = bits == 4 ? 12 : 144, most = bits == 4 ? 96 : 32768;
  a = a < least ? least : a > most ? most : a;
  int e;
  frexpf (a, &e); /* a in [2^(e−1), 2^e) */
  float step = ldexpf (1, e - 1 - (bits == 4 ? 1 : 3));
  return copysignf (rintf (a / step) * step, v);
}

static inline void
swage_ovp_round_pair (float pair[2], int bits)
{
  bool outlier = swage_ovp_is_outlier (pair[0], bits) || swage_ovp_is_outlier (pair[1], bits);
  bool first = fabsf (pair[0]) >= fabsf (pair[1]);

  pair[0] = outlier && !first ? 0 : swage_ovp_round (pair[0], bits);
  pair[1] = outlier && first ? 0 : swage_ovp_round (pair[1], bits);
}
