#version 450
/* SPDX-License-Identifier: MIT
 *
 * What the device can do at most, for the bench: `rounds` times 32 independent multiply-adds a thread in registers. The sum
 * goes to dst, a float a thread, so that nothing is left out.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (push_constant) uniform Push { uint rounds; };
SWAGE_WRITE (SWAGE_DST, float, y)

void
main ()
{
  uint t = swage_thread ();
  vec4 a[8];
  vec4 scale = vec4 (0.999 + 1e-9 * float (t)), shift = vec4 (1e-3, 2e-3, 3e-3, 4e-3);
  for (int i = 0; i < 8; i++)
    a[i] = vec4 (float (i + 1));
  for (uint r = 0; r < rounds; r++)
    for (int i = 0; i < 8; i++)
      a[i] = fma (a[i], scale, shift);
  vec4 sum = a[0];
  for (int i = 1; i < 8; i++)
    sum += a[i];
  if (t < view_dst.ne.x)
    y[view_dst.offset / 4 + t] = sum.x + sum.y + sum.z + sum.w;
}
