#version 450
/* SPDX-License-Identifier: MIT
 *
 * sparse_matmul: a thread is one output of ROWS rows of x, so that an entry is read once for all of them. See
 * kernels/ref/sparse_matmul.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

#define ROWS 8
layout (constant_id = 7) const uint HAS_ARGS = 1;

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), uint, start)
SWAGE_READ (SWAGE_SRC (2), int, column)
SWAGE_READ (SWAGE_SRC (3), uint, value)
SWAGE_PUSH (SwageSparseArgs)

#define W_WORD(i) value[i]
#define W_VIEW view_src (3)
#include "include/weight.glsl"

/* Only the low word of a 64-bit start: entries are counted in 32 bits. */
uint
start_of (uint o)
{
  return start[view_src (1).offset / 4 + (view_src (1).type == SWAGE_SHADER_I64 ? 2 * o : o)];
}

void
main ()
{
  uint n = view_dst.ne.x, m = view_dst.ne.y, bands = (n + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
  uint g = swage_group (), o = g % bands * gl_WorkGroupSize.x + gl_LocalInvocationID.x, i0 = g / bands * ROWS;
  if (o >= n || i0 >= m)
    return;
  float sum[ROWS];
  [[unroll]] for (int i = 0; i < ROWS; i++) sum[i] = 0.0;
  uint end = start_of (o + 1), xr = view_src (0).offset / 4, step = view_src (0).nb.y / 4;
  for (uint e = start_of (o); e < end; e++)
    {
      uint c = uint (column[view_src (2).offset / 4 + e]);
      float v = view_src (3).type == SWAGE_SHADER_F16 ? weight_half (view_src (3).offset + 2 * e)
                                                      : uintBitsToFloat (value[view_src (3).offset / 4 + e]);
      [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] += v * x[xr + min (i0 + i, m - 1) * step + c];
    }
  [[unroll]] for (uint i = 0; i < ROWS; i++)
    if (i0 + i < m)
      {
        uint at = (view_dst.offset + (i0 + i) * view_dst.nb.y) / 4 + o;
        float v = (HAS_ARGS != 0 ? args.alpha : 1.0) * sum[i];
        y[at] = args.accumulate != 0 ? y[at] + v : v;
      }
}
