/* SPDX-License-Identifier: MIT
 *
 * rope, vectorized: cosines and sines of a token once for all heads. They are computed in double with
 * polynomials on [−π/4, π/4] in a loop that the compiler vectorizes; positions up to 2^24 or so keep float
 * accuracy.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (rope) (const SwageOpCall *call, int64_t begin, int64_t end);

static void
cos_sin (float pos, const float *inv_freq, int64_t n, float scale, float *restrict cosines,
         float *restrict sines)
{
  for (int64_t i = 0; i < n; i++)
    {
      double a = pos * inv_freq[i];
      double t = a * 0.63661977236758134308
                 + 6755399441055744.0; /* 1.5 · 2^52: the low bits become round (2a/π) */
      double turns = t - 6755399441055744.0;
      int64_t bits;
      memcpy (&bits, &t, sizeof bits);
      /* π/2 in two parts, the first of 33 bits: turns times it is exact */
      double r = (a - turns * 1.57079632673412561417) - turns * 6.07710050650619224932e-11, z = r * r;
      double s
          = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 - z / 39916800))));
      double c = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 - z / 3628800))));
      double odd = (double)(bits & 1), flip_s = 1 - (double)(bits & 2), flip_c = 1 - (double)((bits + 1) & 2);
      cosines[i] = (float)(flip_c * (c + odd * (s - c))) * scale;
      sines[i] = (float)(flip_s * (s + odd * (c - s))) * scale;
    }
}

void
SWAGE_FAST (rope) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageRopeArgs *args = call->args;
  const int32_t *pos = call->src[1].data;
  int64_t dim = call->dst.ne[0], half = (args->rope_dim ? args->rope_dim : dim) / 2;
  float *cosines = call->scratch,
        *sines = cosines + swage_align64 ((size_t)dim * sizeof (float)) / sizeof (float);

  for (int64_t t = begin; t < end; t++)
    {
      cos_sin ((float)pos[t], call->src[2].data, half, args->mscale, cosines, sines);
      for (int64_t h = 0; h < call->dst.ne[1]; h++)
        {
          float *y = swage_view_row (&call->dst, h, t, 0);
          const float *x = swage_view_row (&call->src[0], h, t, 0);
          for (int64_t i = 0; i < half; i += VL)
            {
              vf a = vf_load_upto (x + i, half - i), b = vf_load_upto (x + half + i, half - i);
              vf c = vf_load_upto (cosines + i, half - i), s = vf_load_upto (sines + i, half - i);
              vf_store_upto (y + i, a * c - b * s, half - i);
              vf_store_upto (y + half + i, b * c + a * s, half - i);
            }
          for (int64_t i = 2 * half; i < dim; i++)
            y[i] = x[i];
        }
    }
}
