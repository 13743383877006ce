#version 450
/* SPDX-License-Identifier: MIT
 *
 * rope: a thread is pair i of a token, in HEADS heads one after another, because the angle is the same in all of them; the
 * threads beyond the pairs copy what is not rotated. See kernels/ref/rope.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"

layout (constant_id = 1) const uint HEADS = 4;

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), int, pos)
SWAGE_READ (SWAGE_SRC (2), float, inv_freq)
SWAGE_PUSH (SwageRopeArgs)

void
main ()
{
  uint dim = view_dst.ne.x, half_dim = (args.rope_dim != 0 ? args.rope_dim : dim) / 2, heads = view_dst.ne.y;
  uint each = dim - half_dim, bands = (heads + HEADS - 1) / HEADS;
  uint thread = swage_thread (), q = thread / each, i = thread - q * each, t = q / bands, h0 = (q - t * bands) * HEADS;
  if (t >= view_dst.ne.z)
    return;
  float c = 1.0, s = 0.0;
  if (i < half_dim)
    {
      precise float angle = float (pos[view_src (1).offset / 4 + t]) * inv_freq[view_src (2).offset / 4 + i];
      swage_cos_sin (angle, c, s);
      c *= args.mscale;
      s *= args.mscale;
    }
  for (uint h = h0; h < min (h0 + HEADS, heads); h++)
    {
      uint yr = swage_row (view_dst, uvec3 (h, t, 0)) / 4, xr = swage_row (view_src (0), uvec3 (h, t, 0)) / 4;
      if (i < half_dim)
        {
          float a = x[xr + i], b = x[xr + i + half_dim];
          y[yr + i] = a * c - b * s;
          y[yr + i + half_dim] = b * c + a * s;
        }
      else
        y[yr + i + half_dim] = x[xr + i + half_dim];
    }
}
