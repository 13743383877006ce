#version 450
/* SPDX-License-Identifier: MIT
 *
 * embed: a thread is eight elements of a row of y. See kernels/ref/embed.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint TYPE = 0; /* of the table */

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), uint, weight_words)
SWAGE_READ (SWAGE_SRC (1), int, id)
SWAGE_READ (SWAGE_SRC (3), uint, scale_words)
SWAGE_READ (SWAGE_SRC (4), uint, zero_words)
SWAGE_PUSH (SwageEmbedArgs)

#define W_WORD(i) weight_words[i]
#define W_VIEW view_src (0)
#define S_WORD(i) scale_words[i]
#define S_VIEW view_src (3)
#define Z_WORD(i) zero_words[i]
#define Z_VIEW view_src (4)
#define W_BITS args.bits
#define W_GROUP args.group
#include "include/weight.glsl"

void
main ()
{
  uint k = view_dst.ne.x, runs = (k + 7) / 8, t = swage_thread (), i = t / runs, p = (t - i * runs) * 8;
  if (i >= view_dst.ne.y)
    return;
  int row = id[view_src (1).offset / 4 + i];
  float v[8];
  [[unroll]] for (int e = 0; e < 8; e++) v[e] = 0.0;
  if (row >= 0 && row < int (view_src (0).ne.y))
    weight_decode (TYPE, uint (row), p, k, v);
  uint at = (view_dst.offset + i * view_dst.nb.y) / 4 + p;
  [[unroll]] for (uint e = 0; e < 8; e++)
    if (p + e < k)
      y[at + e] = args.accumulate != 0 ? y[at + e] + v[e] : v[e];
}
