/* SPDX-License-Identifier: MIT
 *
 * The greatest of a row of logits and where it stands: the first of equals, as a walk from the left finds it. A NaN is never
 * greater; one at the very beginning stays the greatest. Wants ROW_VALUE (which, j) for element j of row `which`.
 */
#include "double.glsl"
#include "reduce.glsl"

shared uint logits_index[gl_WorkGroupSize.x];

float
logits_top (uint which, uint n, out uint index, out bool any_nan)
{
  uint t = gl_LocalInvocationID.x;
  float best = -SWAGE_INF, bad = 0.0;
  uint best_at = 0xffffffffu;
  for (uint j = t; j < n; j += gl_WorkGroupSize.x)
    {
      float v = ROW_VALUE (which, j);
      if (swage_is_nan (v))
        bad = 1.0;
      else if (v > best || best_at == 0xffffffffu)
        {
          best = v;
          best_at = j;
        }
    }
  any_nan = reduce_max (bad) > 0.0;
  reduce_memory[t] = best;
  logits_index[t] = best_at;
  for (uint step = gl_WorkGroupSize.x / 2u; step > 0u; step /= 2u)
    {
      barrier ();
      if (t < step)
        {
          float a = reduce_memory[t], b = reduce_memory[t + step];
          uint ia = logits_index[t], ib = logits_index[t + step];
          if (b > a || (b == a && ib < ia))
            {
              reduce_memory[t] = b;
              logits_index[t] = ib;
            }
        }
    }
  barrier ();
  float first = ROW_VALUE (which, 0);
  bool stuck = swage_is_nan (first);
  index = stuck ? 0u : logits_index[0];
  return stuck ? first : reduce_memory[0];
}

/* Sum of pairs over the workgroup; all threads get it. */
shared vec2 logits_pairs[gl_WorkGroupSize.x];

vec2
logits_sum (vec2 v)
{
  uint t = gl_LocalInvocationID.x;
  barrier ();
  logits_pairs[t] = v;
  for (uint step = gl_WorkGroupSize.x / 2u; step > 0u; step /= 2u)
    {
      barrier ();
      if (t < step)
        logits_pairs[t] = pair_add (logits_pairs[t], logits_pairs[t + step]);
    }
  barrier ();
  return logits_pairs[0];
}

/* Entry i of row r of a result that is F64 or F32. */
void
logits_store (uint r, uint i, vec2 v)
{
  uint at = view_dst.offset + r * view_dst.nb.y;
  if (view_dst.type == SWAGE_SHADER_F64)
    {
      uvec2 d = double_from_pair (v);
      result[at / 4u + 2u * i] = d.x;
      result[at / 4u + 2u * i + 1u] = d.y;
    }
  else
    result[at / 4u + i] = floatBitsToUint (v.x);
}
