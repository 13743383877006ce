/* SPDX-License-Identifier: MIT
 *
 * The vector layer of the codecs: one element type, three widths.
 *
 * `vf` holds W floats, `vi` W int32. Arithmetic and comparison use GCC's vector operators; what C has no
 * operator for is below. Every function gives the same bits lane by lane at every width:
 *  - v_min (a, b) is a < b ? a : b, v_max (a, b) is a > b ? a : b (what minps and maxps do);
 *  - v_round rounds half to even by adding and subtracting 1.5·2^23, right for |x| < 2^22;
 *  - v_f16 rounds to the nearest finite half, kept as float.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__AVX512F__)
#define W 16
typedef __mmask16 vm;
#elif defined(__AVX2__)
#define W 8
typedef int32_t vm __attribute__ ((vector_size (32)));
#else
#define W 4
typedef int32_t vm __attribute__ ((vector_size (16)));
#endif

typedef float vf __attribute__ ((vector_size (W * 4)));
typedef int32_t vi __attribute__ ((vector_size (W * 4)));

/* Names of the level's global symbols. */
#define LEVEL_PASTE2(a, b) a##_##b
#define LEVEL_PASTE(a, b) LEVEL_PASTE2 (a, b)
#define LEVEL(name) LEVEL_PASTE (name, SWAGE_LEVEL)

#define INLINE static inline __attribute__ ((always_inline, unused))
#define ALIGNED __attribute__ ((aligned (64)))

INLINE vf
v_all (float x)
{
  return x - (vf){ 0 };
}

INLINE vf
v_load (const float *p)
{
  vf v;
  memcpy (&v, p, sizeof v);
  return v;
}

INLINE void
v_store (float *p, vf v)
{
  memcpy (p, &v, sizeof v);
}

/* clang-format off */
#if defined(__AVX512F__)
INLINE vf v_min (vf a, vf b) { return (vf)_mm512_min_ps ((__m512)a, (__m512)b); }
INLINE vf v_max (vf a, vf b) { return (vf)_mm512_max_ps ((__m512)a, (__m512)b); }
INLINE vm v_lt (vf a, vf b) { return _mm512_cmp_ps_mask ((__m512)a, (__m512)b, _CMP_LT_OQ); }
INLINE vf v_sel (vm m, vf a, vf b) { return (vf)_mm512_mask_blend_ps (m, (__m512)b, (__m512)a); }
#elif defined(__AVX2__)
INLINE vf v_min (vf a, vf b) { return (vf)_mm256_min_ps ((__m256)a, (__m256)b); }
INLINE vf v_max (vf a, vf b) { return (vf)_mm256_max_ps ((__m256)a, (__m256)b); }
INLINE vm v_lt (vf a, vf b) { return (vm)_mm256_cmp_ps ((__m256)a, (__m256)b, _CMP_LT_OQ); }
INLINE vf v_sel (vm m, vf a, vf b) { return (vf)_mm256_blendv_ps ((__m256)b, (__m256)a, (__m256)m); }
#else
INLINE vm v_lt (vf a, vf b) { return (vm)(a < b); }
INLINE vf v_sel (vm m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }
#if defined(__SSE2__)
INLINE vf v_min (vf a, vf b) { return (vf)_mm_min_ps ((__m128)a, (__m128)b); }
INLINE vf v_max (vf a, vf b) { return (vf)_mm_max_ps ((__m128)a, (__m128)b); }
#else
INLINE vf v_min (vf a, vf b) { return v_sel (v_lt (a, b), a, b); }
INLINE vf v_max (vf a, vf b) { return v_sel (v_lt (b, a), a, b); }
#endif
#endif
/* clang-format on */

/* 1 where the mask is set, else 0. */
INLINE vi
v_one_if (vm m)
{
#if defined(__AVX512F__)
  return (vi)_mm512_maskz_set1_epi32 (m, 1);
#else
  return (vi)m & 1;
#endif
}

INLINE vf
v_abs (vf x)
{
  return (vf)((vi)x & 0x7fffffff);
}

INLINE vf
v_round (vf x)
{
  return (x + 12582912.0f) - 12582912.0f;
}

/* a / b, and 0 where b is 0. */
INLINE vf
v_div (vf a, vf b)
{
  vf zero = { 0 };
  return v_sel (v_lt (zero, v_abs (b)), a / b, zero);
}

INLINE vf
v_clamp (vf x, vf lo, vf hi)
{
  return v_min (v_max (x, lo), hi);
}

/* The nearest half; too large a value becomes the largest finite one. Normal halves drop 13 bits of the
 * float, and the units of 0.5 + |x| are those of subnormal ones. */
INLINE vf
v_f16 (vf x)
{
  vi sign = (vi)x & (int32_t)0x80000000;
  vf a = v_min (v_abs (x), v_all (65504.0f));
  vi bits = (vi)a;
  vf normal = (vf)((bits + 0xfff + ((bits >> 13) & 1)) & ~0x1fff);
  vf subnormal = (a + 0.5f) - 0.5f;
  return (vf)((vi)v_sel (v_lt (a, v_all (0x1p-14f)), subnormal, normal) | sign);
}

/* W bytes of integers in -128..127 (or codes in 0..127) kept as floats. */
INLINE void
v_put_bytes (uint8_t *p, vf x)
{
#if defined(__AVX512F__)
  _mm_storeu_si128 ((__m128i *)p, _mm512_cvtepi32_epi8 (_mm512_cvtps_epi32 ((__m512)x)));
#elif defined(__AVX2__)
  __m256i v = _mm256_cvtps_epi32 ((__m256)x);
  __m128i h = _mm_packs_epi32 (_mm256_castsi256_si128 (v), _mm256_extracti128_si256 (v, 1));
  _mm_storel_epi64 ((__m128i *)p, _mm_packs_epi16 (h, h));
#else
  for (int i = 0; i < W; i++)
    p[i] = (uint8_t)(int32_t)x[i];
#endif
}
