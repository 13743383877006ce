#version 450
/* SPDX-License-Identifier: MIT
 *
 * transform: a thread is one element. See kernels/ref/transform.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), float, scale)
SWAGE_READ (SWAGE_SRC (2), float, shift)
SWAGE_READ (SWAGE_SRC (3), int, permutation)

void
main ()
{
  uint n = view_dst.ne.x, t = swage_thread (), i = t / n, j = t - i * n;
  if (i >= view_dst.ne.y)
    return;
  uint from = view_src (3).present != 0 ? uint (permutation[view_src (3).offset / 4 + j]) : j;
  float v = from < view_src (0).ne.x ? x[(view_src (0).offset + i * view_src (0).nb.y) / 4 + from] : 0.0;
  if (view_src (1).present != 0)
    v *= scale[view_src (1).offset / 4 + j];
  if (view_src (2).present != 0)
    v += shift[view_src (2).offset / 4 + j];
  y[(view_dst.offset + i * view_dst.nb.y) / 4 + j] = v;
}
