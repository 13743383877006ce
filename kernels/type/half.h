/* SPDX-License-Identifier: MIT
 *
 * Half-precision scalars by integer arithmetic, written so that loops over them vectorise. The results are
 * those of VCVTPS2PH and VCVTPH2PS (round to nearest even, signalling NaNs made quiet, payload kept).
 */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint32_t
half_bits (float f)
{
  uint32_t u;
  memcpy (&u, &f, 4);
  return u;
}

static inline float
half_float (uint32_t u)
{
  float f;
  memcpy (&f, &u, 4);
  return f;
}

static inline float
half_f16_to_f32 (uint16_t h)
{
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
  uint32_t normal = (rest << 13) + (112u << 23);
  uint32_t subnormal = half_bits ((float)(int32_t)rest * 0x1p-24f);
  uint32_t special = (rest << 13) | 0x7f800000 | (rest > 0x7c00 ? 0x400000 : 0);
  uint32_t u = rest < 0x400 ? subnormal : normal;
  return half_float (sign | (rest >= 0x7c00 ? special : u));
}

static inline uint16_t
half_f32_to_f16 (float f)
{
  uint32_t u = half_bits (f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
  /* 2^-14 and more: rebias, round away the lower 13 bits; a carry into the exponent is the right result. */
  uint32_t normal = (a - (112u << 23) + 0xfff + ((a >> 13) & 1)) >> 13;
  /* Below: the units of 0.5 + |f| are those of a subnormal half, 2^-24. */
  uint32_t subnormal = half_bits (half_float (a < 0x38800000 ? a : 0) + 0.5f) - 0x3f000000;
  uint32_t h = a < 0x38800000 ? subnormal : normal;
  h = a >= 0x477ff000 ? 0x7c00 : h; /* 65520 and more */
  h = a > 0x7f800000 ? (0x7e00 | ((a >> 13) & 0x3ff)) : h;
  return (uint16_t)(sign | h);
}

static inline float
half_bf16_to_f32 (uint16_t h)
{
  return half_float ((uint32_t)h << 16);
}

static inline uint16_t
half_f32_to_bf16 (float f)
{
  uint32_t u = half_bits (f);
  uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? ((u >> 16) | 0x40) : rounded);
}
