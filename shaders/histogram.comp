#version 450
/* SPDX-License-Identifier: MIT
 *
 * histogram: pass 0 clears the result; in pass 1 SPLIT workgroups count each part in shared memory and add what they have
 * to the result. Integers: the order does not matter. What lies outside the bins is counted by threads, so that 4096 bins fit
 * 16 KiB. Counts are 32 bits, the upper words of the result stay 0. See kernels/ref/histogram.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint TYPE = 0;
layout (constant_id = 2) const uint SPLIT = 1;
layout (constant_id = 3) const uint BINS = 4096; /* args.bins or more */

SWAGE_WRITE (SWAGE_DST, uint, count)
SWAGE_READ (SWAGE_SRC (0), uint, words)
SWAGE_PUSH (SwageHistogramArgs)

#define W_WORD(i) words[i]
#define W_VIEW view_src (0)
#include "include/weight.glsl"
#include "include/parts.glsl"

shared uint bins[BINS];

void
main ()
{
  uint n = args.bins, t = gl_LocalInvocationID.x, g = swage_group ();

  if (swage_call.pass == 0)
    {
      uint at = (view_dst.offset + g * view_dst.nb.y) / 4;
      for (uint i = t; i < 2 * (n + 3) && g < view_dst.ne.y; i += gl_WorkGroupSize.x)
        count[at + i] = 0;
      return;
    }
  uint part = g / SPLIT;
  if (part >= view_dst.ne.y)
    return;
  uint at = (view_dst.offset + part * view_dst.nb.y) / 4, length = view_src (0).ne.x;
  for (uint i = t; i < n; i += gl_WorkGroupSize.x)
    bins[i] = 0;
  barrier ();
  precise float width = args.hi - args.lo;
  float scale = swage_divide (float (n), width);
  uint below = 0, above = 0, nan = 0, runs = part_runs (part);
  for (uint run = g % SPLIT * gl_WorkGroupSize.x + t; run < runs; run += SPLIT * gl_WorkGroupSize.x)
    {
      float v[8];
      uint p = part_decode (part, run, v);
      for (uint i = 0; i < 8 && p + i < length; i++)
        if (swage_is_nan (v[i]))
          nan++;
        else if (v[i] < args.lo)
          below++;
        else if (v[i] > args.hi)
          above++;
        else
          {
            precise float place = (v[i] - args.lo) * scale;
            atomicAdd (bins[min (uint (place), n - 1)], 1);
          }
    }
  barrier ();
  for (uint i = t; i < n; i += gl_WorkGroupSize.x)
    if (bins[i] > 0)
      atomicAdd (count[at + 2 * i], bins[i]);
  if (below > 0)
    atomicAdd (count[at + 2 * n], below);
  if (above > 0)
    atomicAdd (count[at + 2 * n + 2], above);
  if (nan > 0)
    atomicAdd (count[at + 2 * n + 4], nan);
}
