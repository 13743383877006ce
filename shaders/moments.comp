#version 450
/* SPDX-License-Identifier: MIT
 *
 * moments: in pass 0 SPLIT workgroups take each part and leave what they have in scratch, in pass 1 it is put together.
 * Counts are integers, power sums pairs of floats. See kernels/ref/moments.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint TYPE = 0;
layout (constant_id = 2) const uint SPLIT = 1;

SWAGE_WRITE (SWAGE_DST, uint, result)
SWAGE_READ (SWAGE_SRC (0), uint, words)
SWAGE_READ (SWAGE_SRC (1), float, centre)
SWAGE_READ (SWAGE_SRC (2), float, threshold)
SWAGE_WRITE (SWAGE_SCRATCH, uint, scratch)

#define W_WORD(i) words[i]
#define W_VIEW view_src (0)
#include "include/weight.glsl"
#include "include/parts.glsl"

/* What a workgroup leaves: counters, extremes, sums. */
#define N 0
#define BAD 1
#define ZEROS 2
#define OVER 3 /* and one for each threshold */
#define COUNTERS (OVER + SWAGE_MOMENT_MAX_THRESHOLDS)
#define LEAST 0
#define MOST 1
#define SUMS 4
#define WORDS (COUNTERS + 2 + 2 * SUMS)

shared vec2 memory[gl_WorkGroupSize.x];
shared uint counters[COUNTERS];

/* Over the workgroup; what: 0 sum, 1 minimum, 2 maximum. Thread 0 has the result. */
vec2
together (vec2 v, int what)
{
  uint t = gl_LocalInvocationID.x;
  barrier ();
  memory[t] = v;
  for (uint step = gl_WorkGroupSize.x / 2; step > 0; step /= 2)
    {
      barrier ();
      if (t < step)
        {
          vec2 a = memory[t], b = memory[t + step];
          memory[t] = what == 0 ? pair_add (a, b) : what == 1 ? min (a, b) : max (a, b);
        }
    }
  barrier ();
  return memory[0];
}

void
put (uint at, uvec2 d)
{
  result[at] = d.x;
  result[at + 1] = d.y;
}

void
combine (uint part)
{
  uint t = gl_LocalInvocationID.x, at = (view_dst.offset + part * view_dst.nb.y) / 4, from = part * SPLIT * WORDS;
  if (t >= view_dst.ne.x)
    return;
  uint at_t = at + 2 * t, n = 0;
  for (uint s = 0; s < SPLIT; s++)
    n += scratch[from + s * WORDS + N];
  if (t == SWAGE_MOMENT_N)
    put (at_t, double_from_uint (n));
  else if (t == SWAGE_MOMENT_BAD || t == SWAGE_MOMENT_ZEROS || t >= SWAGE_MOMENT_COUNTS)
    {
      uint which = t == SWAGE_MOMENT_BAD ? BAD : t == SWAGE_MOMENT_ZEROS ? ZEROS : OVER + t - SWAGE_MOMENT_COUNTS, sum = 0;
      for (uint s = 0; s < SPLIT; s++)
        sum += scratch[from + s * WORDS + which];
      put (at_t, double_from_uint (sum));
    }
  else if (t >= SWAGE_MOMENT_S1 && t <= SWAGE_MOMENT_S4)
    {
      vec2 sum = vec2 (0.0);
      for (uint s = 0; s < SPLIT; s++)
        {
          uint i = from + s * WORDS + COUNTERS + 2 + 2 * (t - SWAGE_MOMENT_S1);
          sum = pair_add (sum, vec2 (uintBitsToFloat (scratch[i]), uintBitsToFloat (scratch[i + 1])));
        }
      put (at_t, double_from_pair (sum));
    }
  else
    {
      float least = SWAGE_INF, most = -SWAGE_INF;
      for (uint s = 0; s < SPLIT; s++)
        {
          uint i = from + s * WORDS + COUNTERS;
          least = min (least, uintBitsToFloat (scratch[i]));
          most = max (most, uintBitsToFloat (scratch[i + 1]));
        }
      float v = t == SWAGE_MOMENT_MIN ? least : t == SWAGE_MOMENT_MAX ? most : max (-least, most);
      put (at_t, double_from_pair (vec2 (n > 0 ? v : 0.0, 0.0)));
    }
}

void
main ()
{
  uint t = gl_LocalInvocationID.x, g = swage_group ();

  if (swage_call.pass == 1)
    {
      if (g < view_dst.ne.y)
        combine (g);
      return;
    }
  uint part = g / SPLIT, n_limits = view_src (2).present != 0 ? view_src (2).ne.x : 0, length = view_src (0).ne.x;
  if (part >= view_dst.ne.y)
    return;
  float c = 0.0, limit[SWAGE_MOMENT_MAX_THRESHOLDS];
  uint counted[COUNTERS];
  if (view_src (1).present != 0)
    c = centre[(view_src (1).offset + part % view_src (1).ne.y * view_src (1).nb.y) / 4];
  [[unroll]] for (uint j = 0; j < SWAGE_MOMENT_MAX_THRESHOLDS; j++)
    limit[j] = j < n_limits ? threshold[(view_src (2).offset + part % view_src (2).ne.y * view_src (2).nb.y) / 4 + j]
                            : SWAGE_INF;
  [[unroll]] for (uint i = 0; i < COUNTERS; i++) counted[i] = 0;
  float least = SWAGE_INF, most = -SWAGE_INF;
  vec2 sum[SUMS];
  [[unroll]] for (int j = 0; j < SUMS; j++) sum[j] = vec2 (0.0);

  uint runs = part_runs (part);
  for (uint run = g % SPLIT * gl_WorkGroupSize.x + t; run < runs; run += SPLIT * gl_WorkGroupSize.x)
    {
      float v[8];
      uint p = part_decode (part, run, v);
      for (uint i = 0; i < 8 && p + i < length; i++)
        {
          if (!swage_is_finite (v[i]))
            {
              counted[BAD]++;
              continue;
            }
          counted[N]++;
          counted[ZEROS] += v[i] == 0.0 ? 1 : 0;
          least = min (least, v[i]);
          most = max (most, v[i]);
          vec2 d = pair_two_sum (v[i], -c), d2 = pair_multiply (d, d);
          sum[0] = pair_add (sum[0], d);
          sum[1] = pair_add (sum[1], d2);
          sum[2] = pair_add (sum[2], pair_multiply (d2, d));
          sum[3] = pair_add (sum[3], pair_multiply (d2, d2));
          [[unroll]] for (uint j = 0; j < SWAGE_MOMENT_MAX_THRESHOLDS; j++)
            counted[OVER + j] += abs (v[i]) > limit[j] ? 1 : 0;
        }
    }

  uint at = g * WORDS;
  if (t < COUNTERS)
    counters[t] = 0;
  barrier ();
  [[unroll]] for (uint i = 0; i < COUNTERS; i++) atomicAdd (counters[i], counted[i]);
  vec2 low = together (vec2 (least), 1), high = together (vec2 (most), 2);
  if (t < COUNTERS)
    scratch[at + t] = counters[t];
  if (t == 0)
    {
      scratch[at + COUNTERS + LEAST] = floatBitsToUint (low.x);
      scratch[at + COUNTERS + MOST] = floatBitsToUint (high.x);
    }
  [[unroll]] for (uint j = 0; j < SUMS; j++)
    {
      vec2 s = together (sum[j], 0);
      if (t == 0)
        {
          scratch[at + COUNTERS + 2 + 2 * j] = floatBitsToUint (s.x);
          scratch[at + COUNTERS + 3 + 2 * j] = floatBitsToUint (s.y);
        }
    }
}
