#version 450
/* SPDX-License-Identifier: MIT
 *
 * quantize: a thread has a sub-block of a row, 16 or 32 elements under one scale; a workgroup has 32 of them, so whole blocks.
 * They search (include/search.glsl), leave codes and scales in shared memory, and put the blocks' bytes together. See
 * kernels/ref/quantize.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

layout (constant_id = 1) const uint TYPE = 3;   /* of the result */
layout (constant_id = 2) const uint X_TYPE = 0; /* F32, F16, BF16 */

SWAGE_WRITE (SWAGE_DST, uint, blocks)
SWAGE_READ (SWAGE_SRC (0), uint, words)
SWAGE_READ (SWAGE_SRC (1), float, importance)

#define W_WORD(i) words[i]
#define W_VIEW view_src (0)
#define DST_WORD(i) blocks[i]
#include "include/weight.glsl"
#include "include/store.glsl"

#define THREADS 32
shared float x_tile[32 * THREADS]; /* element e of sub-block t at e · THREADS + t; later its code */
shared float w_tile[32 * THREADS];
shared float scales[THREADS], minima[THREADS], k_scales[THREADS], k_minima[THREADS];

#define IS(name) (TYPE == SWAGE_SHADER_##name)
const bool BOOK = IS (IQ4_NL) || IS (IQ4_XS);
const bool SUPER_SYM = IS (Q3_K) || IS (Q6_K) || IS (IQ4_XS);
const bool SUPER_AFFINE = IS (Q2_K) || IS (Q4_K) || IS (Q5_K);
const bool AFFINE = IS (Q4_1) || IS (Q5_1);
const bool NEGATIVE = SUPER_AFFINE;
const uint LEN = IS (Q2_K) || IS (Q3_K) || IS (Q6_K) ? 16u : 32u;
const uint JOINT = SUPER_SYM || SUPER_AFFINE ? 256u / LEN : 1u;
const float SYM_LO = IS (Q4_0) ? -8.0 : IS (Q5_0) ? -16.0 : IS (Q3_K) ? -4.0 : IS (Q6_K) ? -32.0 : -127.0;
const float SYM_HI = IS (Q4_0) ? 7.0 : IS (Q5_0) ? 15.0 : IS (Q3_K) ? 3.0 : IS (Q6_K) ? 31.0 : IS (Q8_0) ? 127.0 : 113.0;
const float TOP = IS (Q2_K) ? 3.0 : IS (Q4_1) || IS (Q4_K) ? 15.0 : 31.0;
const float K_LO = IS (Q6_K) ? -128.0 : -32.0;
const float K_HI = IS (Q2_K) ? 15.0 : SUPER_AFFINE ? 63.0 : IS (Q6_K) ? 127.0 : 31.0;
const uint N_GRID = IS (Q5_0) || IS (Q8_0) || BOOK ? 8u : 4u;
const uint N_NEAR = IS (Q6_K) ? 8u : 4u;
const uint BYTES = IS (Q4_0) || IS (IQ4_NL) ? 18u : IS (Q4_1) ? 20u : IS (Q5_0) ? 22u : IS (Q5_1) ? 24u : IS (Q8_0) ? 34u
                   : IS (Q2_K) ? 84u : IS (Q3_K) ? 110u : IS (Q4_K) ? 144u : IS (Q5_K) ? 176u : IS (Q6_K) ? 210u : 136u;

/* The candidates of codec-q32.c, codec-k.c and codec-iq4.c, where it is said how they were found. */
const float q4_0_grid[8] = float[] (-8.72, -8.24, -7.92, -7.12, 0.0, 0.0, 0.0, 0.0);
const float q5_0_grid[8] = float[] (-16.80, -16.48, -16.16, -15.84, -15.20, -14.88, -13.12, 14.10);
const float q8_0_grid[8] = float[] (127.0, 126.4, 125.8, 125.2, 124.6, 124.0, 123.4, 122.8);
const float q3_k_grid[8] = float[] (-4.44, -4.12, -3.80, -3.16, 0.0, 0.0, 0.0, 0.0);
const float q6_k_grid[8] = float[] (-32.0, -31.4, -30.8, -30.2, 0.0, 0.0, 0.0, 0.0);
const float iq4_grid[8] = float[] (-137.2, -129.5, -124.5, -119.4, -109.2, 110.7, 115.3, 122.0);
const float near4[8] = float[] (0.0, -1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0);
const float near8[8] = float[] (0.0, -1.0, 1.0, 2.0, -2.0, 3.0, 4.0, 5.0);
const vec2 q4_1_clips[8] = vec2[] (vec2 (0.0, 0.0), vec2 (0.0, 0.02), vec2 (0.02, 0.0), vec2 (0.04, 0.0), vec2 (0.0, 0.04),
                                   vec2 (-0.04, 0.0), vec2 (0.02, -0.04), vec2 (0.02, 0.02));
const vec2 q5_1_clips[8] = vec2[] (vec2 (0.0, 0.0), vec2 (0.0, 0.01), vec2 (0.01, 0.0), vec2 (-0.02, 0.0),
                                   vec2 (-0.01, 0.01), vec2 (0.0, -0.02), vec2 (0.01, -0.02), vec2 (0.01, -0.01));
const vec2 q2_k_clips[8] = vec2[] (vec2 (0.0, 0.0), vec2 (0.0, 0.16), vec2 (0.08, 0.08), vec2 (0.16, 0.0),
                                   vec2 (0.08, -0.08), vec2 (0.08, 0.16), vec2 (0.16, 0.08), vec2 (-0.08, 0.08));
const vec2 q4_k_clips[8] = vec2[] (vec2 (0.0, 0.0), vec2 (0.0, 0.02), vec2 (0.02, 0.0), vec2 (0.04, 0.0), vec2 (0.0, 0.04),
                                   vec2 (-0.04, 0.02), vec2 (0.0, -0.04), vec2 (0.02, 0.02));

float
GRID (uint i)
{
  return IS (Q4_0) ? q4_0_grid[i] : IS (Q5_0) ? q5_0_grid[i] : IS (Q8_0) ? q8_0_grid[i] : IS (Q3_K) ? q3_k_grid[i]
         : IS (Q6_K) ? q6_k_grid[i] : iq4_grid[i];
}

float
NEAR (uint i)
{
  return IS (Q6_K) ? near8[i] : near4[i];
}

vec2
CLIP (uint i)
{
  return IS (Q4_1) ? q4_1_clips[i] : IS (Q2_K) ? q2_k_clips[i] : IS (Q4_K) ? q4_k_clips[i] : q5_1_clips[i];
}

#define x_at(e) x_tile[(e) * THREADS + gl_LocalInvocationID.x]
#define w_at(e) w_tile[(e) * THREADS + gl_LocalInvocationID.x]
#include "include/search.glsl"

/* ---- in ---- */

void
load (uint row, uint first)
{
  uint t = gl_LocalInvocationID.x, k = view_src (0).ne.x;
  bool weighted = view_src (1).present != 0;
  for (uint i = t; i < THREADS * LEN; i += THREADS)
    {
      uint p = first * LEN + i, at = i % LEN * THREADS + i / LEN;
      float x = p < k ? weight_plain (X_TYPE, row, p) : 0.0, w = 1.0;
      x_tile[at] = swage_is_nan (x) ? 0.0 : search_clamp (x, -3e8, 3e8);
      if (weighted)
        {
          w = p < k ? importance[view_src (1).offset / 4 + p] : 0.0;
          w = search_clamp (w, 0.0, 1e30);
        }
      w_tile[at] = w;
    }
  barrier ();
  if (!weighted)
    return;
  /* The largest weight of the joint sub-blocks to [1, 2) by a power of two, and none is zero. */
  float top = 0.0;
  for (uint e = 0; e < LEN; e++)
    top = max (top, w_at (e));
  top = max (1e-30, search_joint_max (top));
  float scale = uintBitsToFloat ((254u << 23) - (floatBitsToUint (top) & 0x7f800000u));
  for (uint e = 0; e < LEN; e++)
    {
      precise float w = w_at (e) * scale + 9.094947017729282e-13; /* 2^−40 */
      w_at (e) = w;
    }
}

/* ---- search ---- */

void
leave_sym_codes (float d, float offset)
{
  float id = search_div (1.0, d);
  for (uint e = 0; e < LEN; e++)
    {
      precise float y = x_at (e) * id;
      y = search_clamp (y, SYM_LO, SYM_HI);
      x_at (e) = BOOK ? float (search_index (y)) : roundEven (y) + offset;
    }
}

void
leave_affine_codes (float s, float m)
{
  float inverse = search_div (1.0, s);
  precise float off = -m * inverse;
  for (uint e = 0; e < LEN; e++)
    {
      precise float y = x_at (e) * inverse + off;
      x_at (e) = roundEven (search_clamp (y, 0.0, TOP));
    }
}

void
search ()
{
  uint t = gl_LocalInvocationID.x;
  float d = 0.0, m = 0.0, k = 0.0, km = 0.0;
  if (SUPER_AFFINE)
    {
      float s, least;
      affine_search (s, least);
      affine_super_search (s, -least, d, m, k, km);
      precise float scale = d * k, minimum = -(m * km);
      leave_affine_codes (scale, minimum);
    }
  else if (SUPER_SYM)
    {
      sym_super_search (sym_search (), d, k);
      precise float scale = d * k;
      leave_sym_codes (scale, BOOK ? 0.0 : -SYM_LO);
    }
  else if (AFFINE)
    {
      affine_search (d, m);
      d = store_round_half (d);
      m = store_round_half (m);
      leave_affine_codes (d, m);
    }
  else if (IS (Q8_0))
    {
      float extreme = abs (search_extreme ()), best = 0.0;
      for (uint i = 0; i < N_GRID; i++)
        {
          precise float step = extreme * swage_divide (1.0, GRID (i));
          float tried = store_round_half (step), error = sym_error (tried);
          if (i == 0 || error < best)
            {
              best = error;
              d = tried;
            }
        }
      leave_sym_codes (d, 0.0);
    }
  else
    {
      d = store_round_half (sym_search ());
      leave_sym_codes (d, BOOK ? 0.0 : -SYM_LO);
    }
  scales[t] = d;
  minima[t] = m;
  k_scales[t] = k;
  k_minima[t] = km;
  barrier ();
}

/* ---- out: byte i of block b of the workgroup, as codec-q32.c, codec-k.c and codec-iq4.c pack it ---- */

/* Code `i` of block b. */
uint
code (uint b, uint i)
{
  uint sub = b * JOINT + i / LEN;
  return uint (int (x_tile[i % LEN * THREADS + sub])) & 0xffu;
}

uint
half_byte (float f, uint i)
{
  return store_half_bits (f) >> 8u * i & 0xffu;
}

/* Codes i and i + 16 in the halves of a byte. */
uint
nibbles (uint b, uint i)
{
  return (code (b, i) & 15u) | (code (b, i + 16u) & 15u) << 4;
}

uint
byte_of_32 (uint b, uint i)
{
  bool five = IS (Q5_0) || IS (Q5_1);
  if (i < 2u)
    return half_byte (scales[b], i);
  i -= 2u;
  if (IS (Q8_0))
    return code (b, i);
  if (AFFINE)
    {
      if (i < 2u)
        return half_byte (minima[b], i);
      i -= 2u;
    }
  if (five && i < 4u)
    {
      uint bits = 0u;
      for (uint j = 0u; j < 8u; j++)
        bits |= (code (b, 8u * i + j) >> 4 & 1u) << j;
      return bits;
    }
  return nibbles (b, five ? i - 4u : i);
}

uint
k_scale (uint b, uint j)
{
  return uint (int (k_scales[b * JOINT + j]) + (IS (Q3_K) || IS (IQ4_XS) ? 32 : 0)) & 0xffu;
}

uint
k_minimum (uint b, uint j)
{
  return uint (k_minima[b * JOINT + j]);
}

uint
byte_of_q2_k (uint b, uint i)
{
  if (i < 16u)
    return k_scale (b, i) | k_minimum (b, i) << 4;
  if (i >= 80u)
    return half_byte (i < 82u ? scales[b * JOINT] : minima[b * JOINT], i & 1u);
  uint p = (i - 16u) / 32u * 128u + (i - 16u) % 32u;
  return code (b, p) | code (b, p + 32u) << 2 | code (b, p + 64u) << 4 | code (b, p + 96u) << 6;
}

uint
byte_of_q3_k (uint b, uint i)
{
  uint bits = 0u;
  if (i >= 108u)
    return half_byte (scales[b * JOINT], i & 1u);
  if (i >= 104u)
    for (uint r = 0u; r < 4u; r++)
      bits |= k_scale (b, 4u * r + i - 104u) >> 4 << 2u * r;
  else if (i >= 96u)
    bits = (k_scale (b, i - 96u) & 15u) | (k_scale (b, i - 88u) & 15u) << 4;
  else if (i >= 32u)
    for (uint r = 0u; r < 4u; r++)
      bits |= (code (b, (i - 32u) / 32u * 128u + 32u * r + i % 32u) & 3u) << 2u * r;
  else
    for (uint r = 0u; r < 8u; r++)
      bits |= code (b, 32u * r + i) >> 2 << r;
  return bits;
}

/* The first 16 bytes of Q4_K and Q5_K. */
uint
byte_of_k_scales (uint b, uint i)
{
  if (i < 4u)
    return half_byte (i < 2u ? scales[b * JOINT] : minima[b * JOINT], i & 1u);
  uint j = i - 4u;
  if (j < 4u)
    return k_scale (b, j) | k_scale (b, j + 4u) >> 4 << 6;
  if (j < 8u)
    return k_minimum (b, j - 4u) | k_minimum (b, j) >> 4 << 6;
  return (k_scale (b, j - 4u) & 15u) | (k_minimum (b, j - 4u) & 15u) << 4;
}

uint
byte_of_q45_k (uint b, uint i)
{
  if (i < 16u)
    return byte_of_k_scales (b, i);
  i -= 16u;
  if (IS (Q5_K))
    {
      if (i < 32u)
        {
          uint bits = 0u;
          for (uint r = 0u; r < 8u; r++)
            bits |= code (b, 32u * r + i) >> 4 << r;
          return bits;
        }
      i -= 32u;
    }
  uint p = i / 32u * 64u + i % 32u;
  return (code (b, p) & 15u) | (code (b, p + 32u) & 15u) << 4;
}

uint
byte_of_q6_k (uint b, uint i)
{
  if (i >= 208u)
    return half_byte (scales[b * JOINT], i & 1u);
  if (i >= 192u)
    return k_scale (b, i - 192u);
  if (i >= 128u)
    {
      uint p = (i - 128u) / 32u * 128u + i % 32u;
      return code (b, p) >> 4 | code (b, p + 32u) >> 4 << 2 | code (b, p + 64u) >> 4 << 4 | code (b, p + 96u) >> 4 << 6;
    }
  uint p = i / 64u * 128u + i % 64u;
  return (code (b, p) & 15u) | (code (b, p + 64u) & 15u) << 4;
}

uint
byte_of_iq4_xs (uint b, uint i)
{
  if (i < 2u)
    return half_byte (scales[b * JOINT], i);
  if (i < 4u)
    {
      uint bits = 0u;
      for (uint r = 0u; r < 4u; r++)
        bits |= k_scale (b, 4u * (i - 2u) + r) >> 4 << 2u * r;
      return bits;
    }
  if (i < 8u)
    return (k_scale (b, 2u * (i - 4u)) & 15u) | (k_scale (b, 2u * (i - 4u) + 1u) & 15u) << 4;
  return nibbles (b, (i - 8u) / 16u * 32u + (i - 8u) % 16u);
}

uint
byte_of (uint b, uint i)
{
  if (IS (Q2_K))
    return byte_of_q2_k (b, i);
  if (IS (Q3_K))
    return byte_of_q3_k (b, i);
  if (IS (Q4_K) || IS (Q5_K))
    return byte_of_q45_k (b, i);
  if (IS (Q6_K))
    return byte_of_q6_k (b, i);
  if (IS (IQ4_XS))
    return byte_of_iq4_xs (b, i);
  return byte_of_32 (b, i);
}

void
main ()
{
  uint k = view_src (0).ne.x, subs = k / LEN, chunks = (subs + THREADS - 1) / THREADS, g = swage_group ();
  uint r = g / chunks, first = g % chunks * THREADS;
  if (r >= view_dst.ne.y)
    return;
  load (view_src (0).offset + r * view_src (0).nb.y, first);
  search ();
  uint n = min (THREADS, subs - first) / JOINT, from = view_dst.offset + r * view_dst.nb.y + first / JOINT * BYTES;
  uint to = from + n * BYTES;
  for (uint word = from / 4 + gl_LocalInvocationID.x; word * 4 < to; word += THREADS)
    {
      uint bytes = 0;
      for (uint b = 0; b < 4; b++)
        if (word * 4 + b >= from && word * 4 + b < to)
          bytes |= byte_of ((word * 4 + b - from) / BYTES, (word * 4 + b - from) % BYTES) << b * 8;
      store_word (word, store_mask (word, from, to), bytes);
    }
}
