#version 450
/* SPDX-License-Identifier: MIT
 *
 * quant_act: the arithmetic of kernels/swage-quant-act.h, bit by bit; see kernels/ref/quant_act.c. SPREAD says who finds the
 * range:
 *
 *   0  it is given: a workgroup rounds a row
 *   1  a row's own: a workgroup finds it, then rounds
 *   2  a group's own: a thread has a group of columns of a row
 *   3  the tensor's own: in pass 0 each workgroup leaves the range of its rows in scratch, in pass 1 all read them
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"
#include "include/reduce.glsl"

layout (constant_id = 1) const uint SPREAD = 1;
layout (constant_id = 2) const uint PARTS = 1; /* workgroups of pass 0 */

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), int, outlier)
SWAGE_READ (SWAGE_SRC (2), float, range)
SWAGE_WRITE (SWAGE_SCRATCH, float, parts)
SWAGE_PUSH (SwageQuantActArgs)

struct Grid
{
  float scale, zero, least, most;
  int mantissa, emin;
};

Grid
grid_of (float lo, float hi)
{
  Grid g = Grid (0.0, 0.0, 0.0, 0.0, 0, 0);
  float a = -lo > hi ? -lo : hi;
  a = a < 0.0 ? 0.0 : a;
  if (args.kind == SWAGE_QUANT_INT && args.symmetric == 0)
    {
      lo = lo < 0.0 ? lo : 0.0;
      hi = hi > 0.0 ? hi : 0.0;
      precise float width = hi - lo;
      g.most = float ((1 << args.bits) - 1);
      g.scale = swage_divide (width, g.most);
      g.zero = g.scale > 0.0 ? roundEven (swage_divide (-lo, g.scale)) : 0.0;
      return g;
    }
  if (args.kind == SWAGE_QUANT_INT)
    g.most = float ((1 << (args.bits - 1)) - 1);
  else
    {
      bool e4m3 = args.kind == SWAGE_QUANT_E4M3, e5m2 = args.kind == SWAGE_QUANT_E5M2;
      g.most = e4m3 ? 448.0 : e5m2 ? 57344.0 : 6.0;
      g.mantissa = e4m3 ? 3 : e5m2 ? 2 : 1;
      g.emin = e4m3 ? -6 : e5m2 ? -14 : 0;
    }
  g.least = -g.most;
  g.scale = swage_divide (a, g.most);
  return g;
}

float
grid_round (Grid g, float value)
{
  if (!(g.scale > 0.0))
    return 0.0;
  precise float v = swage_divide (value, g.scale);
  if (args.kind == SWAGE_QUANT_INT)
    {
      v = roundEven (v) + g.zero;
      v = v < g.least ? g.least : v > g.most ? g.most : v;
      precise float back = (v - g.zero) * g.scale;
      return back;
    }
  v = v < g.least ? g.least : v > g.most ? g.most : v;
  int e = max (int (floatBitsToUint (v) >> 23 & 0xffu) - 127, g.emin) - g.mantissa;
  precise float steps = roundEven (swage_scale (v, -e));
  precise float rounded = swage_scale (steps, e) * g.scale;
  return rounded;
}

/* Whether column c is one of the ascending list. */
bool
is_outlier (uint c)
{
  if (view_src (1).present == 0)
    return false;
  uint from = 0, to = view_src (1).ne.x, list = view_src (1).offset / 4;
  while (from < to)
    {
      uint middle = (from + to) / 2;
      if (uint (outlier[list + middle]) < c)
        from = middle + 1;
      else
        to = middle;
    }
  return from < view_src (1).ne.x && uint (outlier[list + from]) == c;
}

void
widen (uint xr, uint c, inout float lo, inout float hi)
{
  float v = x[xr + c];
  if (is_outlier (c))
    return;
  lo = v < lo ? v : lo;
  hi = v > hi ? v : hi;
}

void
round_columns (Grid g, uint xr, uint yr, uint c0, uint c1, uint step)
{
  for (uint c = c0; c < c1; c += step)
    y[yr + c] = is_outlier (c) ? x[xr + c] : grid_round (g, x[xr + c]);
}

void
main ()
{
  uint k = view_dst.ne.x, rows = view_dst.ne.y, t = gl_LocalInvocationID.x, size = gl_WorkGroupSize.x;
  uint group = args.scope == SWAGE_SCOPE_GROUP ? max (1, args.group) : k;

  if (SPREAD == 2)
    {
      uint each = (k + group - 1) / group, thread = swage_thread (), row = thread / each, c0 = (thread - row * each) * group;
      if (row >= rows)
        return;
      uint xr = (view_src (0).offset + row * view_src (0).nb.y) / 4, yr = (view_dst.offset + row * view_dst.nb.y) / 4;
      uint c1 = min (k, c0 + group);
      float lo = 0.0, hi = 0.0;
      for (uint c = c0; c < c1; c++)
        widen (xr, c, lo, hi);
      round_columns (grid_of (lo, hi), xr, yr, c0, c1, 1);
      return;
    }

  uint row = swage_group ();
  if (SPREAD == 3 && swage_call.pass == 0)
    {
      float lo = 0.0, hi = 0.0;
      for (uint r = row; r < rows; r += PARTS)
        for (uint c = t; c < k; c += size)
          widen ((view_src (0).offset + r * view_src (0).nb.y) / 4, c, lo, hi);
      lo = reduce_min (lo);
      hi = reduce_max (hi);
      if (t == 0 && row < PARTS)
        {
          parts[2 * row] = lo;
          parts[2 * row + 1] = hi;
        }
      return;
    }
  if (row >= rows)
    return;
  uint xr = (view_src (0).offset + row * view_src (0).nb.y) / 4, yr = (view_dst.offset + row * view_dst.nb.y) / 4;
  if (SPREAD == 0)
    for (uint c0 = 0; c0 < k; c0 += group)
      {
        uint at = view_src (2).offset + (args.scope == SWAGE_SCOPE_GROUP ? c0 / group : 0) * view_src (2).nb.y;
        round_columns (grid_of (range[at / 4], range[at / 4 + 1]), xr, yr, c0 + t, min (k, c0 + group), size);
      }
  else
    {
      float lo = 0.0, hi = 0.0;
      if (SPREAD == 3)
        for (uint p = 0; p < PARTS; p++)
          {
            lo = min (lo, parts[2 * p]);
            hi = max (hi, parts[2 * p + 1]);
          }
      else
        {
          for (uint c = t; c < k; c += size)
            widen (xr, c, lo, hi);
          lo = reduce_min (lo);
          hi = reduce_max (hi);
        }
      round_columns (grid_of (lo, hi), xr, yr, t, k, size);
    }
}
