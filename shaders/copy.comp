#version 450
/* SPDX-License-Identifier: MIT
 *
 * A copy of floats at multiples of 16 bytes, for the bench: how fast memory is.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

SWAGE_WRITE (SWAGE_DST, vec4, y)
SWAGE_READ (SWAGE_SRC (0), vec4, x)

void
main ()
{
  uint t = swage_thread ();
  if (t < view_dst.ne.x / 4)
    y[view_dst.offset / 16 + t] = x[view_src (0).offset / 16 + t];
}
