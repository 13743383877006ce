#version 450
/* SPDX-License-Identifier: MIT
 *
 * channel_stats: a thread is a column; sums are pairs of floats. See kernels/ref/channel_stats.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/double.glsl"

SWAGE_WRITE (SWAGE_DST, uint, result)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_PUSH (SwageChannelStatsArgs)

uint
place (uint row, uint c)
{
  return (view_dst.offset + row * view_dst.nb.y) / 4 + 2 * c;
}

vec2
get (uint row, uint c)
{
  return pair_from_double (uvec2 (result[place (row, c)], result[place (row, c) + 1]));
}

void
put (uint row, uint c, vec2 v)
{
  uvec2 d = double_from_pair (v);
  result[place (row, c)] = d.x;
  result[place (row, c) + 1] = d.y;
}

void
main ()
{
  uint c = swage_thread ();
  if (c >= view_src (0).ne.x)
    return;
  float absmax = 0.0, least = SWAGE_INF, most = -SWAGE_INF;
  vec2 sum = vec2 (0.0), squares = vec2 (0.0);
  if (args.accumulate != 0)
    {
      absmax = get (SWAGE_CHANNEL_ABSMAX, c).x;
      least = get (SWAGE_CHANNEL_MIN, c).x;
      most = get (SWAGE_CHANNEL_MAX, c).x;
      sum = get (SWAGE_CHANNEL_SUM, c);
      squares = get (SWAGE_CHANNEL_SUM_SQUARES, c);
    }
  for (uint i = 0; i < view_src (0).ne.y; i++)
    {
      float v = x[(view_src (0).offset + i * view_src (0).nb.y) / 4 + c];
      if (!swage_is_nan (v))
        {
          absmax = max (absmax, abs (v));
          least = min (least, v);
          most = max (most, v);
        }
      sum = pair_add (sum, v);
      squares = pair_add (squares, pair_multiply (vec2 (v, 0.0), vec2 (v, 0.0)));
    }
  put (SWAGE_CHANNEL_ABSMAX, c, vec2 (absmax, 0.0));
  put (SWAGE_CHANNEL_SUM, c, sum);
  put (SWAGE_CHANNEL_SUM_SQUARES, c, squares);
  put (SWAGE_CHANNEL_MIN, c, vec2 (least, 0.0));
  put (SWAGE_CHANNEL_MAX, c, vec2 (most, 0.0));
}
