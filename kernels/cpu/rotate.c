/* SPDX-License-Identifier: MIT
 *
 * rotate, fast: two small products a row with the tile of gemm.h. T = X·Q2ᵀ is written as panels, which Y =
 * Q1·T reads.
 */
#include "kernels/cpu/gemm.h"

void SWAGE_FAST (rotate) (const SwageOpCall *call, int64_t begin, int64_t end);

/* Panels [b][NR] of Q2ᵀ, or of Q2 for the inverse. */
static void
pack_q2 (const SwageView *q2, bool inverse, float *out)
{
  int64_t b = q2->ne[0];

  for (int64_t j = 0; j < b; j += VL)
    {
      float *to = out + j / NR * NR * b + j % NR;
      const float *row[VL];
      for (int i = 0; i < VL; i++)
        row[i] = j + i < b ? swage_view_row (q2, j + i, 0, 0) : NULL;
      if (!inverse)
        gemm_pack (row, b, to, NR);
      else
        for (int64_t q = 0; q < b; q++)
          vf_store (to + q * NR, vf_load_upto ((const float *)swage_view_row (q2, q, 0, 0) + j, b - j));
      if (j + VL >= b && j % NR == 0)
        for (int64_t q = 0; q < b; q++)
          vf_store (to + q * NR + VL, vf_set (0));
    }
}

void
SWAGE_FAST (rotate) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageRotateArgs *args = call->args;
  const SwageView *q1 = &call->src[1], *q2 = &call->src[2];
  int64_t a = q1->ne[0], b = q2->ne[0], ld1 = q1->nb[1] / (int64_t)sizeof (float);
  int64_t b_up = swage_ceil_div (b, NR) * NR;
  bool inverse = args && args->inverse;
  float *panels = call->scratch, *half = panels + b * b_up;

  if (begin < end)
    pack_q2 (q2, inverse, panels);
  for (int64_t r = begin; r < end; r++)
    {
      const float *x = swage_view_row (&call->src[0], r, 0, 0);
      float *y = swage_view_row (&call->dst, r, 0, 0);
      for (int64_t j = 0; j < b; j += NR)
        for (int64_t p = 0; p < a; p += MR)
          {
            GemmOut out = { .c = half + j * a + p * NR, .ldc = NR, .cols = NR };
            gemm_panel ((int)swage_min64 (MR, a - p), x + p * b, b, 1, panels + j * b, b, &out);
          }
      for (int64_t j = 0; j < b; j += NR)
        for (int64_t i = 0; i < a; i += MR)
          {
            GemmOut out = { .c = y + i * b + j, .ldc = b, .cols = swage_min64 (NR, b - j) };
            const float *q = (const float *)q1->data + (inverse ? i : i * ld1);
            gemm_panel ((int)swage_min64 (MR, a - i), q, inverse ? 1 : ld1, inverse ? ld1 : 1, half + j * a,
                        a, &out);
          }
    }
}
