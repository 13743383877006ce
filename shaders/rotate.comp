#version 450
/* SPDX-License-Identifier: MIT
 *
 * rotate: two passes, Y = X · Q2ᵀ and then Y = Q1 · Y. Rows of X are independent of each other in the first, columns of Y in
 * the second, so a workgroup takes some of them into shared memory and writes them back to where they were: y may be x. A
 * thread has one column of up to BATCH rows (pass 0) or of one row of y (pass 1). See kernels/ref/rotate.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

#define BATCH 8
#define ROOM 4096
layout (constant_id = 1) const uint ROWS = 8;     /* of pass 0: ROWS · b <= ROOM, ROWS <= BATCH */
layout (constant_id = 2) const uint COLUMNS = 32; /* of pass 1: COLUMNS · a <= ROOM */

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), float, q1)
SWAGE_READ (SWAGE_SRC (2), float, q2)
SWAGE_PUSH (SwageRotateArgs)

shared float tile[ROOM];

void
main ()
{
  uint a = view_src (1).ne.x, b = view_src (2).ne.x, t = gl_LocalInvocationID.x, g = swage_group ();
  bool inverse = args.inverse != 0;

  if (swage_call.pass == 0)
    {
      uint batches = (a + ROWS - 1) / ROWS, i = g / batches, p0 = g % batches * ROWS;
      if (i >= view_dst.ne.y)
        return;
      uint count = min (ROWS, a - p0) * b;
      uint xr = (view_src (0).offset + i * view_src (0).nb.y) / 4 + p0 * b;
      uint yr = (view_dst.offset + i * view_dst.nb.y) / 4 + p0 * b;
      for (uint e = t; e < ROWS * b; e += gl_WorkGroupSize.x)
        tile[e] = e < count ? x[xr + e] : 0.0;
      barrier ();
      uint q_row = view_src (2).nb.y / 4, q_at = view_src (2).offset / 4;
      for (uint j = t; j < b; j += gl_WorkGroupSize.x)
        {
          float sum[BATCH];
          [[unroll]] for (int r = 0; r < BATCH; r++) sum[r] = 0.0;
          for (uint q = 0; q < b; q++)
            {
              float e = inverse ? q2[q_at + q * q_row + j] : q2[q_at + j * q_row + q];
              [[unroll]] for (uint r = 0; r < BATCH; r++)
                if (r < ROWS)
                  sum[r] += tile[r * b + q] * e;
            }
          [[unroll]] for (uint r = 0; r < BATCH; r++)
            if (r < ROWS && r * b < count)
              y[yr + r * b + j] = sum[r];
        }
      return;
    }

  uint batches = (b + COLUMNS - 1) / COLUMNS, i = g / batches, j0 = g % batches * COLUMNS;
  if (i >= view_dst.ne.y)
    return;
  uint columns = min (COLUMNS, b - j0), yr = (view_dst.offset + i * view_dst.nb.y) / 4 + j0;
  for (uint e = t; e < a * columns; e += gl_WorkGroupSize.x)
    tile[e] = y[yr + e / columns * b + e % columns];
  barrier ();
  uint q_row = view_src (1).nb.y / 4, q_at = view_src (1).offset / 4;
  for (uint e = t; e < a * columns; e += gl_WorkGroupSize.x)
    {
      uint row = e / columns, j = e % columns;
      float sum = 0.0;
      for (uint p = 0; p < a; p++)
        sum += (inverse ? q1[q_at + p * q_row + row] : q1[q_at + row * q_row + p]) * tile[p * columns + j];
      y[yr + row * b + j] = sum;
    }
}
