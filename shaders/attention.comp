#version 450
/* SPDX-License-Identifier: MIT
 *
 * attention (kernels/ref/attention.c): a workgroup is ROWS rows, queries times the heads that share a key head, so that keys
 * and values are read once for all of them. It walks over the keys, KEYS at a time, with a running maximum and sum (online
 * softmax: Milakov and Gimelshein, arXiv:1805.02867; as tiles: Dao et al., arXiv:2205.14135), so contexts of any length take
 * the same memory:
 *
 *   m' = max (m, max_u s_u),  l' = l e^(m − m') + Σ_u e^(s_u − m'),  o' = o e^(m − m') + Σ_u e^(s_u − m') v_u
 *
 * Heads go through shared memory in pieces of DEPTH. A thread has 2 · 4 scores, and 2 · 4 outputs of each piece of the
 * values; PIECES pieces at a time, wider values are made in several walks.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/math.glsl"

#define ROWS 32
#define KEYS 32
#define DEPTH 32
#define STRIDE 33 /* of a row in shared memory: no two rows in one bank */
#define PIECES 4
#define THREADS 128

SWAGE_WRITE (SWAGE_DST, float, o)
SWAGE_READ (SWAGE_SRC (0), float, q)
SWAGE_READ (SWAGE_SRC (1), float, key)
SWAGE_READ (SWAGE_SRC (2), float, value)
SWAGE_READ (SWAGE_SRC (3), int, len)
SWAGE_PUSH (SwageAttentionArgs)

shared float q_tile[ROWS * STRIDE];
shared float kv_tile[KEYS * STRIDE];
shared float s_tile[ROWS * STRIDE];
shared float part_max[THREADS];
shared float part_sum[THREADS];
shared float row_scale[ROWS];

const uint MASKED = 0xff800000u; /* −∞ */

/* Keys [x, y) that query t of sequence `seq` sees. */
ivec2
range_of (uint seq, uint t)
{
  uint used = view_src (3).present != 0 ? uint (len[view_src (3).offset / 4 + seq]) : view_src (1).ne.z;
  int last = int (used) - int (view_src (0).ne.z) + int (t) + 1;
  return ivec2 (args.window != 0 ? max (0, last - int (args.window)) : 0, min (last, int (view_src (1).ne.z)));
}

void
main ()
{
  uint dim = view_src (0).ne.x, value_dim = view_dst.ne.x, n_tok = view_src (0).ne.z, kv_heads = view_src (1).ne.y;
  uint heads = view_src (0).ne.y / kv_heads, rows = n_tok * heads, tiles = (rows + ROWS - 1) / ROWS;
  uint g = swage_group (), tile = tiles - 1 - g % tiles, kv_head = g / tiles % kv_heads, seq = g / tiles / kv_heads;
  if (seq >= view_src (0).ne.w)
    return;
  uint t = gl_LocalInvocationID.x, tr = t / 8, tc = t % 8, r0 = tile * ROWS;
  int first = range_of (seq, r0 / heads).x, last = range_of (seq, min (rows - 1, r0 + ROWS - 1) / heads).y;
  ivec2 seen[2]; /* by the thread's rows tr and tr + 16 */
  [[unroll]] for (uint i = 0; i < 2; i++)
    {
      uint r = r0 + tr + 16 * i;
      seen[i] = r < rows ? range_of (seq, r / heads) : ivec2 (0);
    }

  for (uint v0 = 0; v0 < value_dim; v0 += PIECES * DEPTH)
    {
      float out_sum[PIECES * 8];
      [[unroll]] for (int i = 0; i < PIECES * 8; i++) out_sum[i] = 0.0;
      float top = -SWAGE_INF, total = 0.0; /* of row t / 4, the same in four threads */

      for (int u0 = first; u0 < last; u0 += KEYS)
        {
          float s[8];
          [[unroll]] for (int i = 0; i < 8; i++) s[i] = 0.0;
          for (uint d0 = 0; d0 < dim; d0 += DEPTH)
            {
              barrier ();
              [[unroll]] for (uint i = t; i < ROWS * DEPTH; i += THREADS)
                {
                  uint r = i / DEPTH, d = i % DEPTH, row = r0 + r;
                  uint at = swage_row (view_src (0), uvec3 (kv_head * heads + row % heads, row / heads, seq)) / 4;
                  q_tile[r * STRIDE + d] = row < rows && d0 + d < dim ? q[at + d0 + d] : 0.0;
                  int u = u0 + int (r);
                  at = swage_row (view_src (1), uvec3 (kv_head, u, seq)) / 4;
                  kv_tile[r * STRIDE + d] = u < last && d0 + d < dim ? key[at + d0 + d] : 0.0;
                }
              barrier ();
              for (uint d = 0; d < DEPTH; d++)
                {
                  float a0 = q_tile[tr * STRIDE + d], a1 = q_tile[(tr + 16) * STRIDE + d];
                  [[unroll]] for (uint j = 0; j < 4; j++)
                    {
                      float b = kv_tile[(tc + 8 * j) * STRIDE + d];
                      s[j] += a0 * b;
                      s[4 + j] += a1 * b;
                    }
                }
            }
          [[unroll]] for (uint i = 0; i < 2; i++)
            [[unroll]] for (uint j = 0; j < 4; j++)
              {
                int u = u0 + int (tc + 8 * j);
                bool visible = u >= seen[i].x && u < seen[i].y;
                s_tile[(tr + 16 * i) * STRIDE + tc + 8 * j] = visible ? args.scale * s[4 * i + j] : uintBitsToFloat (MASKED);
              }
          barrier ();

          uint at = t / 4 * STRIDE + t % 4 * 8;
          float most = uintBitsToFloat (MASKED);
          for (uint j = 0; j < 8; j++)
            most = max (most, s_tile[at + j]);
          part_max[t] = most;
          barrier ();
          for (uint j = 0; j < 4; j++)
            most = max (most, part_max[t / 4 * 4 + j]);
          most = max (most, top);
          float sum = 0.0, scale = floatBitsToUint (top) == MASKED ? 0.0 : swage_exp (top - most);
          for (uint j = 0; j < 8; j++)
            {
              float v = s_tile[at + j];
              float e = floatBitsToUint (v) == MASKED ? 0.0 : swage_exp (v - most);
              s_tile[at + j] = e;
              sum += e;
            }
          part_sum[t] = sum;
          if (t % 4 == 0)
            row_scale[t / 4] = scale;
          barrier ();
          uint four = t / 4 * 4;
          total = total * scale + ((part_sum[four] + part_sum[four + 1]) + (part_sum[four + 2] + part_sum[four + 3]));
          top = most;

          float scale0 = row_scale[tr], scale1 = row_scale[tr + 16];
          [[unroll]] for (uint c = 0; c < PIECES; c++)
            {
              uint d0 = v0 + c * DEPTH;
              if (d0 < value_dim)
                {
                  barrier ();
                  [[unroll]] for (uint i = t; i < KEYS * DEPTH; i += THREADS)
                    {
                      uint r = i / DEPTH, d = d0 + i % DEPTH;
                      int u = u0 + int (r);
                      uint row = swage_row (view_src (2), uvec3 (kv_head, u, seq)) / 4;
                      kv_tile[r * STRIDE + i % DEPTH] = u < last && d < value_dim ? value[row + d] : 0.0;
                    }
                  barrier ();
                  [[unroll]] for (uint j = 0; j < 4; j++)
                    {
                      out_sum[c * 8 + j] *= scale0;
                      out_sum[c * 8 + 4 + j] *= scale1;
                    }
                  for (uint u = 0; u < KEYS; u++)
                    {
                      float a0 = s_tile[tr * STRIDE + u], a1 = s_tile[(tr + 16) * STRIDE + u];
                      [[unroll]] for (uint j = 0; j < 4; j++)
                        {
                          float b = kv_tile[u * STRIDE + tc + 8 * j];
                          out_sum[c * 8 + j] += a0 * b;
                          out_sum[c * 8 + 4 + j] += a1 * b;
                        }
                    }
                }
            }
        }

      barrier ();
      if (t % 4 == 0)
        row_scale[t / 4] = total;
      barrier ();
      [[unroll]] for (uint i = 0; i < 2; i++)
        {
          uint row = r0 + tr + 16 * i;
          if (row >= rows)
            continue;
          uint at = swage_row (view_dst, uvec3 (kv_head * heads + row % heads, row / heads, seq)) / 4;
          float inverse = swage_divide (1.0, row_scale[tr + 16 * i]);
          [[unroll]] for (uint c = 0; c < PIECES; c++)
            [[unroll]] for (uint j = 0; j < 4; j++)
              {
                uint d = v0 + c * DEPTH + tc + 8 * j;
                if (d < value_dim)
                  o[at + d] = out_sum[c * 8 + 4 * i + j] * inverse;
              }
        }
    }
}
