/* SPDX-License-Identifier: MIT
 *
 * What every variant of matmul finds bound (kernels/ref/matmul.c), and the weight's decoder.
 */
#define MATMUL_ARGS 1      /* there are arguments */
#define MATMUL_X_VECTORS 2 /* rows of x lie at multiples of 16 bytes and have multiples of 8 elements */
#define MATMUL_W_VECTORS 4 /* rows of a W of F32, F16 or BF16 lie at multiples of 16 bytes */

layout (constant_id = 1) const uint TYPE = 0; /* of W */
layout (constant_id = 7) const uint FLAGS = 1;

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (0), vec4, x_vectors)
SWAGE_READ (SWAGE_SRC (1), uint, weight_words)
SWAGE_READ (SWAGE_SRC (1), uvec4, weight_vectors)
SWAGE_READ (SWAGE_SRC (2), float, bias)
SWAGE_READ (SWAGE_SRC (3), uint, scale_words)
SWAGE_READ (SWAGE_SRC (4), uint, zero_words)
SWAGE_PUSH (SwageMatmulArgs)

#define W_WORD(i) weight_words[i]
#define W_VIEW view_src (1)
#define W_VECTOR(i) weight_vectors[i]
#define W_ALIGNED ((FLAGS & MATMUL_W_VECTORS) != 0)
#define S_WORD(i) scale_words[i]
#define S_VIEW view_src (3)
#define Z_WORD(i) zero_words[i]
#define Z_VIEW view_src (4)
#define W_BITS args.bits
#define W_GROUP args.group
#include "weight.glsl"

/* Elements p … p + 7 of a row of x, zeros beyond k. */
void
matmul_load_x (uint row, uint p, uint k, out vec4 v[2])
{
  uint at = (view_src (0).offset + row * view_src (0).nb.y) / 4 + p;
  if ((FLAGS & MATMUL_X_VECTORS) != 0)
    {
      v[0] = p < k ? x_vectors[at / 4] : vec4 (0.0);
      v[1] = p < k ? x_vectors[at / 4 + 1] : vec4 (0.0);
    }
  else
    [[unroll]] for (uint e = 0; e < 4; e++)
      {
        v[0][e] = p + e < k ? x[at + e] : 0.0;
        v[1][e] = p + e + 4 < k ? x[at + e + 4] : 0.0;
      }
}

/* y[row, column] from the sum of products. */
void
matmul_store (uint row, uint column, float sum)
{
  uint at = (view_dst.offset + row * view_dst.nb.y) / 4 + column;
  float v = ((FLAGS & MATMUL_ARGS) != 0 ? args.alpha : 1.0) * sum;
  if (view_src (2).present != 0)
    v += bias[view_src (2).offset / 4 + column];
  y[at] = args.accumulate != 0 ? y[at] + v : v;
}
