/* SPDX-License-Identifier: MIT
 *
 * rope: rotary position embedding in the rotate-half layout (Su et al., arXiv:2104.09864, as HF lays it out).
 * With d = rope_dim, a = pos · inv_freq[i] for i in 0..d/2−1:
 *
 *   y[i]       = mscale · (x[i] cos a − x[i + d/2] sin a)
 *   y[i + d/2] = mscale · (x[i + d/2] cos a + x[i] sin a)         and y = x from d on
 *
 *   dst    y         F32 [head_dim, heads, tokens]
 *   src 0  x         F32, the same shape
 *   src 1  pos       I32 [tokens]
 *   src 2  inv_freq  F32 [d/2]
 *   args   SwageRopeArgs: rope_dim (0: head_dim), mscale (1 for plain rope)
 *
 * The product pos · inv_freq is rounded to float32 as PyTorch does; everything after it is exact. y may be x.
 * A slice is one token, all its heads.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[2];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0] * call->dst.ne[1]));
}

/* The fast version keeps cosines and sines of one token. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  return (size_t)swage_align64 ((size_t)call->dst.ne[0] * sizeof (float)) * 2;
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageRopeArgs *args = call->args;
  const int32_t *pos = call->src[1].data;
  const float *inv_freq = call->src[2].data;
  int64_t dim = call->dst.ne[0], half = (args->rope_dim ? args->rope_dim : dim) / 2;

  for (int64_t t = begin; t < end; t++)
    for (int64_t h = 0; h < call->dst.ne[1]; h++)
      {
        float *y = swage_view_row (&call->dst, h, t, 0);
        const float *x = swage_view_row (&call->src[0], h, t, 0);
        for (int64_t i = 0; i < half; i++)
          {
            double angle = (float)pos[t] * inv_freq[i];
            double c = cos (angle) * args->mscale, s = sin (angle) * args->mscale;
            double a = x[i], b = x[i + half];
            y[i] = (float)(a * c - b * s);
            y[i + half] = (float)(b * c + a * s);
          }
        for (int64_t i = 2 * half; i < dim; i++)
          y[i] = x[i];
      }
}

const SwageOp swage_op_rope = {
  .id = "rope",
  .summary = "rotate halves of each head by pos inv_freq",
  .slices = slices,
  .grain = grain,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-12,
};
