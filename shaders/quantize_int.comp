#version 450
/* SPDX-License-Identifier: MIT
 *
 * quantize_int: sixteen threads have a group of a row, thread i its elements i, i + 16 …, so that sums have the partial sums
 * and the tree of kernels/type/codec-int.c and the same numbers come out. Pass 0 clears the result's bytes, pass 1 sets
 * bits: codes of neighbouring groups may share a byte. See kernels/ref/quantize_int.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint X_TYPE = 0; /* F32, F16, BF16 */

SWAGE_WRITE (SWAGE_DST, uint, rows)
SWAGE_READ (SWAGE_SRC (0), uint, words)
SWAGE_READ (SWAGE_SRC (1), float, importance)
SWAGE_PUSH (SwageQuantizeIntArgs)

#define W_WORD(i) words[i]
#define W_VIEW view_src (0)
#define DST_WORD(i) rows[i]
#include "include/weight.glsl"
#include "include/store.glsl"

#define LANES 16
shared float parts[2 * gl_WorkGroupSize.x];

/* The thread's group: its row and elements [from, to) of it. */
uint row_at, lane, from, to;
float w_scale;

float
x_of (uint e)
{
  float x = weight_plain (X_TYPE, row_at, e);
  return swage_is_nan (x) ? 0.0 : x > -3e8 ? (x < 3e8 ? x : 3e8) : -3e8;
}

float
w_of (uint e)
{
  if (view_src (1).present == 0)
    return 1.0;
  float w = importance[view_src (1).offset / 4 + e];
  w = w > 0.0 ? w : 0.0;
  precise float scaled = (w < 1e30 ? w : 1e30) * w_scale;
  return scaled;
}

/* Both values over the group: the tree of tree_sum() in codec-int.c. */
vec2
tree_sum (float a, float b)
{
  uint t = gl_LocalInvocationID.x, first = t / LANES * LANES;
  barrier ();
  parts[t] = a;
  parts[gl_WorkGroupSize.x + t] = b;
  barrier ();
  precise float va[LANES], vb[LANES];
  [[unroll]] for (uint i = 0; i < LANES; i++)
    {
      va[i] = parts[first + i];
      vb[i] = parts[gl_WorkGroupSize.x + first + i];
    }
  [[unroll]] for (uint step = LANES / 2; step > 0; step /= 2)
    [[unroll]] for (uint i = 0; i < step; i++)
      {
        va[i] += va[i + step];
        vb[i] += vb[i + step];
      }
  return vec2 (va[0], vb[0]);
}

float
lanes_max (float v)
{
  uint t = gl_LocalInvocationID.x, first = t / LANES * LANES;
  barrier ();
  parts[t] = v;
  barrier ();
  float top = parts[first];
  for (uint i = 1; i < LANES; i++)
    top = max (top, parts[first + i]);
  return top;
}

float
round_code (float x, float inverse, float lo, float hi)
{
  precise float y = x * inverse;
  y = y > lo ? y : lo;
  return roundEven (y < hi ? y : hi);
}

/* The least-squares scale for the codes of step 1/inverse, and 0 where there is none. */
float
refit (float inverse, float lo, float hi)
{
  precise float xq = 0.0, qq = 0.0;
  for (uint e = from + lane; e < to; e += LANES)
    {
      precise float x = x_of (e), q = round_code (x, inverse, lo, hi), wq = w_of (e) * q;
      xq += wq * x;
      qq += wq * q;
    }
  vec2 sums = tree_sum (xq, qq);
  return sums.y > 0.0 ? swage_divide (sums.x, sums.y) : 0.0;
}

float
error_of (float s, float lo, float hi)
{
  float inverse = s != 0.0 ? swage_divide (1.0, s) : 0.0;
  precise float error = 0.0;
  for (uint e = from + lane; e < to; e += LANES)
    {
      precise float x = x_of (e), r = x - s * round_code (x, inverse, lo, hi);
      error += w_of (e) * r * r;
    }
  return tree_sum (error, 0.0).x;
}

struct Choice
{
  float s, error;
  int zero;
};

/* Judge step s and the refit of its codes; all threads do, `wanted` says whether it counts for this group. */
void
try_step (float s, int zero, int top, bool wanted, inout Choice best)
{
  float lo = float (-zero), hi = float (top - zero);
  float inverse = abs (s) > 1e-20 ? swage_divide (1.0, s) : 0.0;
  for (int i = 0; i < 2; i++)
    {
      float tried = s;
      if (i == 1)
        tried = refit (inverse, lo, hi);
      tried = store_round_half (tried);
      float error = error_of (tried, lo, hi);
      if (wanted && error < best.error)
        best = Choice (tried, error, zero);
    }
}

Choice
search (int top, int half_range, bool symmetric, bool some)
{
  float least = 0.0, most = 0.0, heaviest = 1e-30;
  w_scale = 1.0;
  for (uint e = from + lane; e < to; e += LANES)
    {
      float x = x_of (e);
      least = min (least, x);
      most = max (most, x);
      heaviest = max (heaviest, w_of (e));
    }
  least = -lanes_max (-least);
  most = lanes_max (most);
  heaviest = lanes_max (heaviest);
  if (view_src (1).present != 0)
    w_scale = uintBitsToFloat ((254u << 23) - (floatBitsToUint (heaviest) & 0x7f800000u));

  Choice best = Choice (0.0, 0.0, symmetric ? half_range : 0);
  bool any = some && most - least > 0.0;
  float nothing = error_of (0.0, 0.0, 0.0);
  best.error = any ? nothing : 0.0;
  float middle = float (half_range), extreme = -least < most ? most : least;
  int last = symmetric ? 12 : 18; /* of all candidates the last are the codes of the best scale, refitted again */
  for (int i = 0; i <= last; i++)
    {
      float s = best.s;
      int zero = best.zero;
      bool wanted = s != 0.0;
      if (i < last && symmetric)
        {
          precise float clipped = (half_range > 2 ? 0.35 : 0.15) * float (i / 2);
          precise float under = -(middle + 0.4 - clipped), over = middle - 0.6 - clipped * (half_range > 2 ? 1.0 : 0.5);
          s = swage_divide (extreme, (i & 1) == 0 ? under : over);
          zero = half_range;
          wanted = any;
        }
      else if (i < last)
        {
          precise float wider = 0.4 * float (i / 3 - 1), steps = float (top) + wider * (top > 3 ? 1.0 : 0.5);
          precise float width = most - least;
          s = any ? swage_divide (width, steps) : 1.0;
          precise float place = swage_divide (-least, s) + 0.5;
          zero = int (place) + i % 3 - 1;
          wanted = any && zero >= 0 && zero <= top;
        }
      try_step (s, zero, top, wanted, best);
    }
  return best;
}

/* Set `n` bits at bit `bit` of the binding. */
void
put_bits (uint byte, uint bit, uint value, uint n)
{
  uint at = (byte & 3u) * 8u + bit, word = byte / 4u + at / 32u, shift = at % 32u;
  atomicOr (rows[word], value << shift);
  if (shift + n > 32u)
    atomicOr (rows[word + 1u], value >> (32u - shift));
}

void
main ()
{
  uint t = gl_LocalInvocationID.x, k = view_src (0).ne.x, n = view_dst.ne.y, g = swage_group ();

  if (swage_call.pass == 0)
    {
      uint first = view_dst.offset + g * view_dst.nb.y, last = first + view_dst.ne.x;
      for (uint word = first / 4 + t; word * 4 < last && g < n; word += gl_WorkGroupSize.x)
        store_word (word, store_mask (word, first, last), 0);
      return;
    }

  uint groups = (k + args.group - 1) / args.group, teams = gl_WorkGroupSize.x / LANES;
  uint chunks = (groups + teams - 1) / teams, r = g / chunks, i = g % chunks * teams + t / LANES;
  if (r >= n)
    return;
  bool some = i < groups, symmetric = args.symmetric != 0; /* all stay until the end: they meet at barriers */
  lane = t % LANES;
  row_at = view_src (0).offset + r * view_src (0).nb.y;
  from = some ? i * args.group : 0;
  to = some ? min (k, from + args.group) : 0;
  int top = (1 << args.bits) - 1, half_range = 1 << (args.bits - 1);
  Choice c = search (top, half_range, symmetric, some);
  if (!some)
    return;
  uint row = view_dst.offset + r * view_dst.nb.y;
  float inverse = c.s != 0.0 ? swage_divide (1.0, c.s) : 0.0;
  for (uint e = from + lane; e < to; e += LANES)
    {
      int q = int (round_code (x_of (e), inverse, float (-c.zero), float (top - c.zero))) + c.zero;
      put_bits (row + e * args.bits / 8u, e * args.bits % 8u, uint (q), args.bits);
    }
  uint scales_at = ((k * args.bits + 7u) / 8u + 1u) / 2u * 2u;
  if (lane == 0)
    put_bits (row + scales_at + 2u * i, 0, store_half_bits (c.s), 16);
  else if (lane == 1 && !symmetric)
    put_bits (row + scales_at + 2u * groups + i, 0, uint (c.zero), 8);
}
