#version 450
/* SPDX-License-Identifier: MIT
 *
 * add: a thread is one element of y. See kernels/ref/add.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, a)
SWAGE_READ (SWAGE_SRC (1), float, b)

void
main ()
{
  uint k = view_dst.ne.x, t = swage_thread (), r = t / k, p = t - r * k;
  if (r >= swage_rows (view_dst))
    return;
  uvec3 i = swage_row_at (view_dst, r);
  uint ai = swage_row (view_src (0), i) / 4 + p;
  uint bi = swage_row (view_src (1), i % view_src (1).ne.yzw) / 4 + p;
  y[swage_row (view_dst, i) / 4 + p] = a[ai] + b[bi];
}
