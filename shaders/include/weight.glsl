/* SPDX-License-Identifier: MIT
 *
 * Weights of any type, decoded eight elements at a time to exactly the floats of swage_type_to_f32(). Rows begin at any
 * byte; memory is read in words. Before including this file define
 *
 *   W_WORD(i), W_VIEW               word i of the weight's binding, its view
 *   S_WORD(i), S_VIEW, Z_WORD(i), Z_VIEW, W_BITS, W_GROUP     scales, zeros and shape of SWAGE_SHADER_INT, or none of them
 *
 *   W_VECTOR(i), W_ALIGNED          uvec4 i of the binding, and whether rows of F32, F16 and BF16 (no other plain types) begin
 *                                   at multiples of 16 bytes; or neither
 *
 * The layouts are GGUF's; kernels/type/codec-decode.c has them in C. `type` is meant to be a specialization constant: then
 * one branch is left.
 */
#ifndef SWAGE_WEIGHT_INCLUDED
#define SWAGE_WEIGHT_INCLUDED

#include "double.glsl"

const float weight_book[16] = float[] (-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0,
                                       53.0, 69.0, 89.0, 113.0);

uint
weight_u8 (uint at)
{
  return W_WORD (at >> 2) >> (at & 3u) * 8u & 0xffu;
}

uint
weight_u16 (uint at)
{
  uint v = W_WORD (at >> 2) >> (at & 3u) * 8u;
  if ((at & 3u) == 3u)
    v |= W_WORD ((at >> 2) + 1u) << 8;
  return v & 0xffffu;
}

uint
weight_u32 (uint at)
{
  uint shift = (at & 3u) * 8u, v = W_WORD (at >> 2);
  return shift == 0u ? v : v >> shift | W_WORD ((at >> 2) + 1u) << (32u - shift);
}

/* Four bytes, of which only those inside the binding are asked for. */
uint
weight_u32_upto (uint at)
{
  uint shift = (at & 3u) * 8u, word = at >> 2, last = W_VIEW.bytes / 4u - 1u;
  uint v = W_WORD (min (word, last));
  return shift == 0u ? v : v >> shift | W_WORD (min (word + 1u, last)) << (32u - shift);
}

uvec2
weight_8_bytes (uint at)
{
  return uvec2 (weight_u32 (at), weight_u32 (at + 4u));
}

/* Not unpackHalf2x16, which may flush subnormal halves; those are ordinary floats. */
float
weight_f16 (uint h)
{
  uint sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
  uint normal = (rest << 13) + (112u << 23);
  uint small = floatBitsToUint (float (rest) * 5.9604644775390625e-8);
  return uintBitsToFloat (sign | (rest >= 0x7c00u ? rest << 13 | 0x7f800000u : rest < 0x400u ? small : normal));
}

float
weight_half (uint at)
{
  return weight_f16 (weight_u16 (at));
}

/* One element of a type whose block is one element. */
float
weight_plain (uint type, uint row, uint p)
{
  switch (type)
    {
    case SWAGE_SHADER_F32:
      return uintBitsToFloat (weight_u32 (row + 4u * p));
    case SWAGE_SHADER_F16:
      return weight_half (row + 2u * p);
    case SWAGE_SHADER_BF16:
      return uintBitsToFloat (weight_u16 (row + 2u * p) << 16);
    case SWAGE_SHADER_F64:
      return float_from_double (weight_8_bytes (row + 8u * p));
    case SWAGE_SHADER_I8:
      return float (bitfieldExtract (int (weight_u8 (row + p)), 0, 8));
    case SWAGE_SHADER_U8:
      return float (weight_u8 (row + p));
    case SWAGE_SHADER_BOOL:
      return weight_u8 (row + p) != 0u ? 1.0 : 0.0;
    case SWAGE_SHADER_I16:
      return float (bitfieldExtract (int (weight_u16 (row + 2u * p)), 0, 16));
    default:
      return float (int (weight_u32 (row + 4u * p)));
    }
}

/* Code i of eight bytes. */
uint
weight_code (uvec2 bytes, int i, uint shift, uint mask)
{
  return (i < 4 ? bytes.x : bytes.y) >> (uint (i & 3) * 8u + shift) & mask;
}

/* Sub-block s's scale (x) and minimum (y), 6 bits each, from the 12 bytes of Q4_K and Q5_K. */
vec2
weight_k_scale (uint at, uint s)
{
  uint a, b;
  if (s < 4u)
    {
      a = weight_u8 (at + s) & 63u;
      b = weight_u8 (at + s + 4u) & 63u;
    }
  else
    {
      uint both = weight_u8 (at + s + 4u);
      a = (both & 15u) | weight_u8 (at + s - 4u) >> 6 << 4;
      b = both >> 4 | weight_u8 (at + s) >> 6 << 4;
    }
  return vec2 (float (a), float (b));
}

#ifdef W_BITS
float
weight_int_scale (uint r, uint g)
{
  uint at = S_VIEW.offset + r * S_VIEW.nb.y + 2u * g;
  return weight_f16 (S_WORD (at >> 2) >> (at & 2u) * 8u & 0xffffu);
}

float
weight_int_zero (uint r, uint g)
{
  if (Z_VIEW.present == 0u)
    return float (1u << (W_BITS - 1u));
  uint at = Z_VIEW.offset + r * Z_VIEW.nb.y + g;
  return float (Z_WORD (at >> 2) >> (at & 3u) * 8u & 0xffu);
}

void
weight_decode_int (uint r, uint row, uint p, uint k, out float v[8])
{
  uint at = row + p / 8u * W_BITS; /* eight codes take W_BITS bytes */
  uvec2 held = uvec2 (weight_u32_upto (at), W_BITS > 4u ? weight_u32_upto (at + 4u) : 0u);
  uint mask = (1u << W_BITS) - 1u, g = p / W_GROUP, end = (g + 1u) * W_GROUP;
  float scale = weight_int_scale (r, g), zero = weight_int_zero (r, g);
  [[unroll]] for (int i = 0; i < 8; i++)
    {
      uint bit = uint (i) * W_BITS, code;
      if (bit >= 32u)
        code = held.y >> (bit - 32u);
      else
        code = held.x >> bit | (bit > 0u ? held.y << (32u - bit) : 0u);
      uint e = p + uint (i);
      if (e >= end && e < k)
        {
          g++;
          end += W_GROUP;
          scale = weight_int_scale (r, g);
          zero = weight_int_zero (r, g);
        }
      precise float value = scale * (float (code & mask) - zero);
      v[i] = e < k ? value : 0.0;
    }
}
#endif

/* Elements p … p + 7 of row r, which begins at byte `row`; p is a multiple of 8. Beyond k zeros. */
void
weight_decode_at (uint type, uint row, uint r, uint p, uint k, out float v[8])
{
  uint b32 = p / 32u, j = p & 31u, b256 = p / 256u, e = p & 255u;
  /* what a symmetric type multiplies: value = d · q; what the others have: d · q ± m */
  precise float d = 0.0, m = 0.0;
  precise float q[8];
  [[unroll]] for (int i = 0; i < 8; i++) q[i] = 0.0;
  uint at;
  switch (type)
    {
    case SWAGE_SHADER_F32:
    case SWAGE_SHADER_F16:
    case SWAGE_SHADER_BF16:
    case SWAGE_SHADER_F64:
    case SWAGE_SHADER_I8:
    case SWAGE_SHADER_U8:
    case SWAGE_SHADER_BOOL:
    case SWAGE_SHADER_I16:
    case SWAGE_SHADER_I32:
#ifdef W_VECTOR
      if (W_ALIGNED && p + 8u <= k)
        {
          if (type == SWAGE_SHADER_F32)
            {
              vec4 a = uintBitsToFloat (W_VECTOR (row / 16u + p / 4u)), b = uintBitsToFloat (W_VECTOR (row / 16u + p / 4u + 1u));
              v = float[] (a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w);
              return;
            }
          uvec4 eight = W_VECTOR (row / 16u + p / 8u);
          [[unroll]] for (int i = 0; i < 4; i++)
            {
              v[2 * i] = type == SWAGE_SHADER_F16 ? weight_f16 (eight[i] & 0xffffu) : uintBitsToFloat (eight[i] << 16);
              v[2 * i + 1] = type == SWAGE_SHADER_F16 ? weight_f16 (eight[i] >> 16) : uintBitsToFloat (eight[i] & 0xffff0000u);
            }
          return;
        }
#endif
      if ((type == SWAGE_SHADER_F16 || type == SWAGE_SHADER_BF16) && p + 8u <= k)
        {
          [[unroll]] for (int i = 0; i < 8; i += 2)
            {
              uint two = weight_u32 (row + 2u * p + 2u * uint (i));
              v[i] = type == SWAGE_SHADER_F16 ? weight_f16 (two & 0xffffu) : uintBitsToFloat (two << 16);
              v[i + 1] = type == SWAGE_SHADER_F16 ? weight_f16 (two >> 16) : uintBitsToFloat (two & 0xffff0000u);
            }
          return;
        }
      [[unroll]] for (int i = 0; i < 8; i++)
        v[i] = p + uint (i) < k ? weight_plain (type, row, p + uint (i)) : 0.0;
      return;

    case SWAGE_SHADER_Q4_0:
    case SWAGE_SHADER_Q4_1:
    case SWAGE_SHADER_Q5_0:
    case SWAGE_SHADER_Q5_1:
      {
        bool five = type == SWAGE_SHADER_Q5_0 || type == SWAGE_SHADER_Q5_1;
        bool affine = type == SWAGE_SHADER_Q4_1 || type == SWAGE_SHADER_Q5_1;
        at = row + b32 * (18u + (five ? 4u : 0u) + (affine ? 2u : 0u));
        d = weight_half (at);
        at += 2u;
        if (affine)
          {
            m = weight_half (at);
            at += 2u;
          }
        uint high = 0u;
        if (five)
          {
            high = weight_u32 (at) >> j;
            at += 4u;
          }
        uvec2 bytes = weight_8_bytes (at + (j & 8u));
        float zero = affine ? 0.0 : five ? 16.0 : 8.0;
        [[unroll]] for (int i = 0; i < 8; i++)
          q[i] = float (weight_code (bytes, i, j >= 16u ? 4u : 0u, 15u) | (high >> uint (i) & 1u) << 4) - zero;
        break;
      }
    case SWAGE_SHADER_Q8_0:
      {
        at = row + b32 * 34u;
        d = weight_half (at);
        uvec2 bytes = weight_8_bytes (at + 2u + j);
        [[unroll]] for (int i = 0; i < 8; i++)
          q[i] = float (bitfieldExtract (int (i < 4 ? bytes.x : bytes.y), (i & 3) * 8, 8));
        break;
      }
    case SWAGE_SHADER_Q2_K:
      {
        at = row + b256 * 84u;
        uint s = e / 16u, sc = weight_u8 (at + s);
        uvec2 bytes = weight_8_bytes (at + 16u + 32u * (s / 8u) + 16u * (s & 1u) + (e & 15u));
        [[unroll]] for (int i = 0; i < 8; i++) q[i] = float (weight_code (bytes, i, s % 8u / 2u * 2u, 3u));
        d = weight_half (at + 80u) * float (sc & 15u);
        m = -(weight_half (at + 82u) * float (sc >> 4));
        break;
      }
    case SWAGE_SHADER_Q3_K:
      {
        at = row + b256 * 110u;
        uint s = e / 16u, within = 16u * (s & 1u) + (e & 15u);
        uvec2 high = weight_8_bytes (at + within), bytes = weight_8_bytes (at + 32u + 32u * (s / 8u) + within);
        uint low4 = s < 8u ? weight_u8 (at + 96u + s) & 15u : weight_u8 (at + 88u + s) >> 4;
        uint sc = low4 | (weight_u8 (at + 104u + s % 4u) >> 2u * (s / 4u) & 3u) << 4;
        [[unroll]] for (int i = 0; i < 8; i++)
          q[i] = float (weight_code (bytes, i, s % 8u / 2u * 2u, 3u) | weight_code (high, i, s / 2u, 1u) << 2) - 4.0;
        d = weight_half (at + 108u) * (float (sc) - 32.0);
        break;
      }
    case SWAGE_SHADER_Q4_K:
      {
        at = row + b256 * 144u;
        uint s = e / 32u;
        vec2 k6 = weight_k_scale (at + 4u, s);
        uvec2 bytes = weight_8_bytes (at + 16u + 32u * (s / 2u) + j);
        [[unroll]] for (int i = 0; i < 8; i++) q[i] = float (weight_code (bytes, i, 4u * (s & 1u), 15u));
        d = weight_half (at) * k6.x;
        m = -(weight_half (at + 2u) * k6.y);
        break;
      }
    case SWAGE_SHADER_Q5_K:
      {
        at = row + b256 * 176u;
        uint s = e / 32u;
        vec2 k6 = weight_k_scale (at + 4u, s);
        uvec2 bytes = weight_8_bytes (at + 48u + 32u * (s / 2u) + j), high = weight_8_bytes (at + 16u + j);
        [[unroll]] for (int i = 0; i < 8; i++)
          q[i] = float (weight_code (bytes, i, 4u * (s & 1u), 15u) | weight_code (high, i, s, 1u) << 4);
        d = weight_half (at) * k6.x;
        m = -(weight_half (at + 2u) * k6.y);
        break;
      }
    case SWAGE_SHADER_Q6_K:
      {
        at = row + b256 * 210u;
        uint side = e / 128u, quarter = e / 32u & 3u;
        uvec2 low = weight_8_bytes (at + 64u * side + 32u * (quarter & 1u) + j);
        uvec2 high = weight_8_bytes (at + 128u + 32u * side + j);
        int sc = bitfieldExtract (int (weight_u8 (at + 192u + e / 16u)), 0, 8);
        [[unroll]] for (int i = 0; i < 8; i++)
          q[i] = float (weight_code (low, i, 4u * (quarter >> 1), 15u) | weight_code (high, i, 2u * quarter, 3u) << 4)
                 - 32.0;
        d = weight_half (at + 208u) * float (sc);
        break;
      }
    case SWAGE_SHADER_IQ4_NL:
    case SWAGE_SHADER_IQ4_XS:
      {
        if (type == SWAGE_SHADER_IQ4_NL)
          {
            at = row + b32 * 18u;
            d = weight_half (at);
            at += 2u;
          }
        else
          {
            at = row + b256 * 136u;
            uint s = e / 32u;
            uint sc = (weight_u8 (at + 4u + s / 2u) >> 4u * (s & 1u) & 15u) | (weight_u16 (at + 2u) >> 2u * s & 3u) << 4;
            d = weight_half (at) * (float (sc) - 32.0);
            at += 8u + 16u * s;
          }
        uvec2 bytes = weight_8_bytes (at + (j & 8u));
        [[unroll]] for (int i = 0; i < 8; i++) q[i] = weight_book[weight_code (bytes, i, j >= 16u ? 4u : 0u, 15u)];
        break;
      }
    default:
#ifdef W_BITS
      weight_decode_int (r, row, p, k, v);
#else
      [[unroll]] for (int i = 0; i < 8; i++) v[i] = 0.0;
#endif
      return;
    }
  [[unroll]] for (int i = 0; i < 8; i++)
    {
      precise float value = d * q[i];
      if (type == SWAGE_SHADER_Q4_1 || type == SWAGE_SHADER_Q5_1 || type == SWAGE_SHADER_Q2_K || type == SWAGE_SHADER_Q4_K
          || type == SWAGE_SHADER_Q5_K)
        value = value + m;
      v[i] = value;
    }
}

void
weight_decode (uint type, uint r, uint p, uint k, out float v[8])
{
  weight_decode_at (type, W_VIEW.offset + r * W_VIEW.nb.y, r, p, k, v);
}

#endif
