#version 450
/* SPDX-License-Identifier: MIT
 *
 * act: a thread is one element. See kernels/ref/act.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_PUSH (SwageActArgs)

float
apply (float v)
{
  if (args.kind == SWAGE_ACT_RELU)
    return v > 0.0 ? v : 0.0;
  if (args.kind == SWAGE_ACT_GELU_TANH) /* (1 + tanh u) / 2 = 1 / (1 + exp (−2u)) */
    {
      float u = 0.797884561 * (v + 0.044715 * v * v * v);
      return u < -51.0 ? -0.0 : v / (1.0 + swage_exp (-2.0 * u));
    }
  if (args.kind == SWAGE_ACT_GELU_ERF)
    return 0.5 * v * swage_erfc (-0.707106781 * v);
  return swage_silu (v);
}

void
main ()
{
  uint k = view_dst.ne.x, t = swage_thread (), r = t / k, p = t - r * k;
  if (r >= swage_rows (view_dst))
    return;
  uvec3 i = swage_row_at (view_dst, r);
  y[swage_row (view_dst, i) / 4 + p] = apply (x[swage_row (view_src (0), i) / 4 + p]);
}
