#version 450
/* SPDX-License-Identifier: MIT
 *
 * layer_norm: a workgroup is a row; the mean first, then squares of what is left. See kernels/ref/layer_norm.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"
#include "include/reduce.glsl"

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), float, weight)
SWAGE_READ (SWAGE_SRC (2), float, bias)
SWAGE_PUSH (SwageNormArgs)

void
main ()
{
  uint k = view_dst.ne.x, r = swage_group ();
  if (r >= swage_rows (view_dst))
    return;
  uvec3 i = swage_row_at (view_dst, r);
  uint xr = swage_row (view_src (0), i) / 4, yr = swage_row (view_dst, i) / 4;
  float sum = 0.0;
  for (uint p = gl_LocalInvocationID.x; p < k; p += gl_WorkGroupSize.x)
    sum += x[xr + p];
  float mean = swage_divide (reduce_sum (sum), float (k));
  sum = 0.0;
  for (uint p = gl_LocalInvocationID.x; p < k; p += gl_WorkGroupSize.x)
    sum += (x[xr + p] - mean) * (x[xr + p] - mean);
  sum = reduce_sum (sum);
  float scale = swage_divide (1.0, sqrt (sum / float (k) + args.eps));
  bool weighted = view_src (1).present != 0, shifted = view_src (2).present != 0;
  uint wr = view_src (1).offset / 4, br = view_src (2).offset / 4;
  for (uint p = gl_LocalInvocationID.x; p < k; p += gl_WorkGroupSize.x)
    y[yr + p] = (x[xr + p] - mean) * scale * (weighted ? weight[wr + p] : 1.0) + (shifted ? bias[br + p] : 0.0);
}
