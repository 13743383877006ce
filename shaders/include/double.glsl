/* SPDX-License-Identifier: MIT
 *
 * Sums that need more than a float holds, without 64-bit features: a pair of floats (x: the value, y: what x misses, at
 * most half a unit of x) carries 48 bits. And the bits of a 64-bit float, for results that are F64.
 * (Dekker, A floating-point technique for extending the available precision, 1971.)
 */
#ifndef SWAGE_DOUBLE_INCLUDED
#define SWAGE_DOUBLE_INCLUDED

#include "math.glsl"

/* x + y = a + b exactly. */
vec2
pair_two_sum (float a, float b)
{
  precise float s = a + b;
  precise float bb = s - a;
  precise float e = (a - (s - bb)) + (b - bb);
  return vec2 (s, swage_is_finite (s) ? e : 0.0);
}

vec2
pair_normal (float a, float b)
{
  precise float s = a + b;
  precise float e = b - (s - a);
  return vec2 (s, swage_is_finite (s) ? e : 0.0);
}

vec2
pair_add (vec2 a, float b)
{
  vec2 s = pair_two_sum (a.x, b);
  precise float low = a.y + s.y;
  return pair_normal (s.x, low);
}

vec2
pair_add (vec2 a, vec2 b)
{
  vec2 s = pair_two_sum (a.x, b.x), t = pair_two_sum (a.y, b.y);
  precise float low = s.y + t.x;
  s = pair_normal (s.x, low);
  precise float rest = s.y + t.y;
  return pair_normal (s.x, rest);
}

vec2
pair_multiply (vec2 a, vec2 b)
{
  float p, e;
  swage_two_product (a.x, b.x, p, e);
  precise float low = e + (a.x * b.y + a.y * b.x);
  if (!swage_is_finite (p))
    return vec2 (p, 0.0);
  return pair_normal (p, low);
}

/* ---- 64-bit floats as (low word, high word) ---- */

/* m · 2^e for a 53-bit m (bit 52 set), sign in bit 31 of `sign`. */
uvec2
double_pack (uint sign, int e, uvec2 m)
{
  return uvec2 (m.x, (sign & 0x80000000u) | uint (e + 52 + 1023) << 20 | (m.y & 0xfffffu));
}

/* An unsigned integer below 2^32. */
uvec2
double_from_uint (uint n)
{
  if (n == 0u)
    return uvec2 (0u);
  int top = findMSB (n), up = 52 - top; /* 21 … 52 */
  uvec2 m = up >= 32 ? uvec2 (0u, n << (up - 32)) : uvec2 (n << up, n >> (32 - up));
  return double_pack (0u, -up, m);
}

uvec2
double_from_pair (vec2 v)
{
  uint bits = floatBitsToUint (v.x);
  int e = int (bits >> 23 & 0xffu);
  if (e == 255)
    return uvec2 (0u, (bits & 0x80000000u) | 0x7ff00000u | ((bits & 0x7fffffu) != 0u ? 0x80000u : 0u));
  if (e == 0) /* below 1e-38: nothing here is that small unless it is 0 */
    return uvec2 (0u, bits & 0x80000000u);
  /* x = ± m24 · 2^(e − 150); in units of 2^(e − 179), y is an integer of at most 29 bits. */
  uint m24 = (bits & 0x7fffffu) | 0x800000u;
  precise float low = (bits >> 31) != 0u ? -v.y : v.y;
  int steps = 179 - e; /* −75 … 178 */
  precise float scaled = swage_scale (low, steps);
  int add = int (roundEven (scaled));
  uvec2 m = uvec2 (m24 << 29, m24 >> 3);
  if (add >= 0)
    {
      uint carry;
      m.x = uaddCarry (m.x, uint (add), carry);
      m.y += carry;
    }
  else
    {
      uint borrow;
      m.x = usubBorrow (m.x, uint (-add), borrow);
      m.y -= borrow;
    }
  int exponent = e - 179;
  if (m.y < 0x100000u) /* m24 was the smallest and y took some off */
    {
      m = uvec2 (m.x << 1, m.y << 1 | m.x >> 31);
      exponent--;
    }
  else if (m.y >= 0x200000u)
    {
      m = uvec2 (m.x >> 1 | m.y << 31, m.y >> 1);
      exponent++;
    }
  return double_pack (bits, exponent, m);
}

/* The pair nearest to a 64-bit float (48 of its 53 bits). */
vec2
pair_from_double (uvec2 d)
{
  int e = int (d.y >> 20 & 0x7ffu);
  uint sign = d.y & 0x80000000u;
  if (e == 0x7ff)
    return vec2 (uintBitsToFloat (sign | 0x7f800000u | ((d.x | (d.y & 0xfffffu)) != 0u ? 0x400000u : 0u)), 0.0);
  if (e < 1023 - 126)
    return vec2 (uintBitsToFloat (sign), 0.0);
  if (e > 1023 + 127)
    return vec2 (uintBitsToFloat (sign | 0x7f800000u), 0.0);
  /* 53 bits as 24 + 29, the lower part as a float of its own */
  uint high = (d.y & 0xfffffu) | 0x100000u;
  uint m24 = high << 3 | d.x >> 29, rest = d.x & 0x1fffffffu;
  float x = uintBitsToFloat (sign | uint (e - 1023 + 127) << 23 | (m24 & 0x7fffffu));
  precise float y = swage_scale (float (rest), e - 1023 - 52 < -252 ? -252 : e - 1023 - 52);
  return pair_normal (x, sign != 0u ? -y : y);
}

/* The nearest float to a 64-bit float, a tie to even. */
float
float_from_double (uvec2 d)
{
  int e = int (d.y >> 20 & 0x7ffu) - 1023 + 127;
  uint sign = d.y & 0x80000000u;
  if (e >= 255)
    {
      bool nan = int (d.y >> 20 & 0x7ffu) == 0x7ff && (d.x | (d.y & 0xfffffu)) != 0u;
      return uintBitsToFloat (sign | (nan ? 0x7fc00000u : 0x7f800000u));
    }
  uint m24 = ((d.y & 0xfffffu) | 0x100000u) << 3 | d.x >> 29, rest = d.x & 0x1fffffffu;
  if (e <= 0) /* subnormal: more bits fall off */
    {
      int down = 1 - e;
      if (down > 25)
        return uintBitsToFloat (sign);
      rest = (m24 << (32 - down)) | (rest != 0u ? 1u : 0u);
      m24 >>= down;
      m24 += rest > 0x80000000u || (rest == 0x80000000u && (m24 & 1u) != 0u) ? 1u : 0u;
      return uintBitsToFloat (sign | m24);
    }
  uint bits = uint (e) << 23 | (m24 & 0x7fffffu);
  bits += rest > 0x10000000u || (rest == 0x10000000u && (bits & 1u) != 0u) ? 1u : 0u;
  return uintBitsToFloat (sign | bits);
}

#endif
