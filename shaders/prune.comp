#version 450
/* SPDX-License-Identifier: MIT
 *
 * prune (kernels/ref/prune.c). Scores are compared as 64-bit keys: the exact product of two floats as exponent and 48 bits
 * of mantissa, in two words; without norms a magnitude's own bits.
 *
 * PATTERN 0: a workgroup is a row. The count-th lowest key is found digit by digit, 8 bits each, by counting in shared memory;
 * then those lower go, and of those equal the first ones, told by a running sum along the row.
 * PATTERN 1: a thread is a group of neighbours.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint TYPE = 0;
layout (constant_id = 2) const uint PATTERN = 0;

SWAGE_WRITE (SWAGE_DST, float, y)
SWAGE_READ (SWAGE_SRC (0), uint, words)
SWAGE_READ (SWAGE_SRC (1), float, norm)
SWAGE_PUSH (SwagePruneArgs)

#define W_WORD(i) words[i]
#define W_VIEW view_src (0)
#include "include/weight.glsl"

shared uint counts[256];
shared uint sums[gl_WorkGroupSize.x];
shared uint found[3]; /* digit, what is left to find, how many have it */

/* Mantissa of 24 bits with the top one set, and the exponent that goes with it; 0 for 0. */
uint
mantissa (float v, out int e)
{
  uint bits = floatBitsToUint (v) & 0x7fffffffu, m = bits & 0x7fffffu;
  e = int (bits >> 23);
  if (e > 0)
    return m | 0x800000u;
  if (m == 0u)
    return 0u;
  int up = 23 - findMSB (m);
  e = 1 - up;
  return m << up;
}

/* (high, low) */
uvec2
key_of (uint row, uint j)
{
  float w = weight_plain (TYPE, row, j);
  if (view_src (1).present == 0)
    return uvec2 (floatBitsToUint (w) & 0x7fffffffu, 0u);
  int ea, eb;
  uint a = mantissa (w, ea), b = mantissa (norm[view_src (1).offset / 4 + j], eb), high, low;
  if (a == 0u || b == 0u)
    return uvec2 (0u);
  umulExtended (a, b, high, low); /* 47 or 48 bits */
  int e = ea + eb;
  if ((high & 0x8000u) == 0u)
    {
      high = high << 1 | low >> 31;
      low <<= 1;
    }
  else
    e++;
  return uvec2 (uint (e + 64) << 16 | high, low);
}

bool
lower (uvec2 a, uvec2 b)
{
  return a.x < b.x || (a.x == b.x && a.y < b.y);
}

void
prune_group (uint row, uint out_row, uint g)
{
  uint going = 0; /* all are read before one is written: y may be W */
  for (uint i = 0; i < args.of; i++)
    {
      uvec2 key = key_of (row, g + i);
      uint place = 0;
      for (uint j = 0; j < args.of; j++)
        {
          uvec2 other = key_of (row, g + j);
          place += lower (other, key) || (other == key && j < i) ? 1 : 0;
        }
      if (place + args.keep < args.of)
        going |= 1u << i;
    }
  for (uint i = 0; i < args.of; i++)
    y[out_row + g + i] = (going >> i & 1u) != 0u ? 0.0 : weight_plain (TYPE, row, g + i);
}

/* The count-th lowest key of a row (count from 1), and how many with it are among the count lowest. */
uvec2
select_key (uint row, uint k, uint count, out uint n_equal)
{
  uint t = gl_LocalInvocationID.x, left = count, equal = k;
  uvec2 known = uvec2 (0u), mask = uvec2 (0u); /* the digits found so far, and where they are */
  int last = view_src (1).present != 0 ? 0 : 4;

  for (int digit = 7; digit >= last && equal > 1; digit--)
    {
      int shift = (digit & 3) * 8;
      barrier ();
      for (uint i = t; i < 256; i += gl_WorkGroupSize.x)
        counts[i] = 0;
      barrier ();
      for (uint j = t; j < k; j += gl_WorkGroupSize.x)
        {
          uvec2 key = key_of (row, j);
          if ((key & mask) == known)
            atomicAdd (counts[(digit >= 4 ? key.x : key.y) >> shift & 255u], 1);
        }
      barrier ();
      if (t == 0)
        {
          uint d = 0;
          for (; left > counts[d]; d++)
            left -= counts[d];
          found[0] = d;
          found[1] = left;
          found[2] = counts[d];
        }
      barrier ();
      left = found[1];
      equal = found[2];
      if (digit >= 4)
        {
          known.x |= found[0] << shift;
          mask.x |= 255u << shift;
        }
      else
        {
          known.y |= found[0] << shift;
          mask.y |= 255u << shift;
        }
    }
  /* With one candidate left its other digits are not known, and not needed but by those who compare. */
  if (equal == 1 && mask.y != 0xffffffffu)
    {
      barrier ();
      for (uint j = t; j < k; j += gl_WorkGroupSize.x)
        {
          uvec2 key = key_of (row, j);
          if ((key & mask) == known)
            {
              counts[0] = key.x;
              counts[1] = key.y;
            }
        }
      barrier ();
      known = uvec2 (counts[0], counts[1]);
    }
  n_equal = left;
  return known;
}

void
main ()
{
  uint k = view_dst.ne.x, n = view_dst.ne.y, t = gl_LocalInvocationID.x;

  if (PATTERN == 1)
    {
      uint groups = k / args.of, thread = swage_thread (), r = thread / groups;
      if (r < n)
        prune_group (view_src (0).offset + r * view_src (0).nb.y, (view_dst.offset + r * view_dst.nb.y) / 4,
                     (thread - r * groups) * args.of);
      return;
    }

  uint r = swage_group (), count = min (args.count, k), n_equal = 0, before = 0;
  if (r >= n)
    return;
  uint row = view_src (0).offset + r * view_src (0).nb.y, out_row = (view_dst.offset + r * view_dst.nb.y) / 4;
  uvec2 threshold = uvec2 (0u);
  if (count > 0)
    threshold = select_key (row, k, count, n_equal);
  for (uint from = 0; from < k; from += gl_WorkGroupSize.x)
    {
      uint j = from + t;
      uvec2 key = j < k ? key_of (row, j) : uvec2 (0xffffffffu);
      uint equal = key == threshold ? 1 : 0;
      barrier ();
      sums[t] = equal;
      for (uint step = 1; step < gl_WorkGroupSize.x; step *= 2) /* running sums */
        {
          barrier ();
          uint v = t >= step ? sums[t - step] : 0;
          barrier ();
          sums[t] += v;
        }
      barrier ();
      bool goes = count > 0 && (lower (key, threshold) || (equal == 1 && before + sums[t] <= n_equal));
      if (j < k)
        y[out_row + j] = goes ? 0.0 : weight_plain (TYPE, row, j);
      before += sums[gl_WorkGroupSize.x - 1];
    }
}
