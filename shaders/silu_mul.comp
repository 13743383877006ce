#version 450
/* SPDX-License-Identifier: MIT
 *
 * silu_mul: a thread is one element. See kernels/ref/silu_mul.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, gate)
SWAGE_READ (SWAGE_SRC (1), float, up)

void
main ()
{
  uint k = view_dst.ne.x, t = swage_thread (), r = t / k, p = t - r * k;
  if (r >= swage_rows (view_dst))
    return;
  uvec3 i = swage_row_at (view_dst, r);
  float g = gate[swage_row (view_src (0), i) / 4 + p];
  y[swage_row (view_dst, i) / 4 + p] = swage_silu (g) * up[swage_row (view_src (1), i) / 4 + p];
}
