/* SPDX-License-Identifier: MIT
 *
 * Vectors of floats of the width of the level being compiled, so that one source serves all levels: 16 lanes
 * with AVX-512, 8 with AVX2 and FMA, else 4 by GCC's vector extension (SSE2 on x86-64, NEON on AArch64). vf
 * is a vector of floats, vi of as many int32; +, −, *, / and comparisons are the compiler's.
 */
#pragma once

#include <math.h>
#include "kernels/swage-view.h"

#define SWAGE_PASTE3(a, b, c) a##b##_##c
#define SWAGE_PASTE2(a, b, c) SWAGE_PASTE3 (a, b, c)
/* The name of the fast version of an operator in this level. */
#define SWAGE_FAST(name) SWAGE_PASTE2 (swage_cpu_, name, SWAGE_LEVEL)

#define SWAGE_INLINE static inline __attribute__ ((always_inline))

#if defined(__AVX512F__)
#include <immintrin.h>
#define VL 16
typedef __m512 vf;
typedef int vi __attribute__ ((vector_size (64)));
typedef float vf_loose __attribute__ ((vector_size (64), aligned (4), may_alias));

SWAGE_INLINE vf
vf_set (float x)
{
  return _mm512_set1_ps (x);
}

SWAGE_INLINE vf
vf_fma (vf a, vf b, vf c)
{
  return _mm512_fmadd_ps (a, b, c);
}

SWAGE_INLINE vf
vf_max (vf a, vf b)
{
  return _mm512_max_ps (a, b);
}

SWAGE_INLINE vf
vf_min (vf a, vf b)
{
  return _mm512_min_ps (a, b);
}

/* The first n of VL lanes, zero beyond. */
SWAGE_INLINE vf
vf_load_n (const float *p, int64_t n)
{
  return _mm512_maskz_loadu_ps ((__mmask16)((1u << n) - 1), p);
}

SWAGE_INLINE void
vf_store_n (float *p, vf x, int64_t n)
{
  _mm512_mask_storeu_ps (p, (__mmask16)((1u << n) - 1), x);
}

SWAGE_INLINE vf
vf_round (vf x)
{
  return _mm512_roundscale_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x · 2^n for integral n */
SWAGE_INLINE vf
vf_scale2 (vf x, vf n)
{
  return _mm512_scalef_ps (x, n);
}

/* Lanes of a where the mask (−1 or 0) says so, else of b. */
SWAGE_INLINE vf
vf_pick (vi mask, vf a, vf b)
{
  return _mm512_mask_blend_ps (_mm512_movepi32_mask ((__m512i)mask), b, a);
}

#elif defined(__AVX2__)
#include <immintrin.h>
#define VL 8
typedef __m256 vf;
typedef int vi __attribute__ ((vector_size (32)));
typedef float vf_loose __attribute__ ((vector_size (32), aligned (4), may_alias));

SWAGE_INLINE vf
vf_set (float x)
{
  return _mm256_set1_ps (x);
}

SWAGE_INLINE vf
vf_fma (vf a, vf b, vf c)
{
  return _mm256_fmadd_ps (a, b, c);
}

SWAGE_INLINE vf
vf_max (vf a, vf b)
{
  return _mm256_max_ps (a, b);
}

SWAGE_INLINE vf
vf_min (vf a, vf b)
{
  return _mm256_min_ps (a, b);
}

SWAGE_INLINE __m256i
vf_mask (int64_t n)
{
  return _mm256_cmpgt_epi32 (_mm256_set1_epi32 ((int)n), _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7));
}

SWAGE_INLINE vf
vf_load_n (const float *p, int64_t n)
{
  return _mm256_maskload_ps (p, vf_mask (n));
}

SWAGE_INLINE void
vf_store_n (float *p, vf x, int64_t n)
{
  _mm256_maskstore_ps (p, vf_mask (n), x);
}

SWAGE_INLINE vf
vf_round (vf x)
{
  return _mm256_round_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

SWAGE_INLINE vf
vf_pick (vi mask, vf a, vf b)
{
  return _mm256_blendv_ps (b, a, (__m256)mask);
}

#else
#define VL 4
typedef float vf __attribute__ ((vector_size (16)));
typedef int vi __attribute__ ((vector_size (16)));
typedef float vf_loose __attribute__ ((vector_size (16), aligned (4), may_alias));

/* Lanes of a where the mask (−1 or 0) says so, else of b. */
SWAGE_INLINE vf
vf_pick (vi mask, vf a, vf b)
{
  return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

SWAGE_INLINE vf
vf_set (float x)
{
  return (vf){ x, x, x, x };
}

SWAGE_INLINE vf
vf_fma (vf a, vf b, vf c)
{
  return a * b + c;
}

SWAGE_INLINE vf
vf_max (vf a, vf b)
{
  return vf_pick ((vi)(a > b), a, b);
}

SWAGE_INLINE vf
vf_min (vf a, vf b)
{
  return vf_pick ((vi)(a < b), a, b);
}

SWAGE_INLINE vf
vf_load_n (const float *p, int64_t n)
{
  vf x = { 0 };
  for (int64_t i = 0; i < VL && i < n; i++)
    x[i] = p[i];
  return x;
}

SWAGE_INLINE void
vf_store_n (float *p, vf x, int64_t n)
{
  for (int64_t i = 0; i < VL && i < n; i++)
    p[i] = x[i];
}

/* For |x| < 2^22, the range that exp and the like ask for. */
SWAGE_INLINE vf
vf_round (vf x)
{
  vf magic = vf_set (12582912.0f); /* 1.5 · 2^23: adding it leaves no fraction bits */
  return (x + magic) - magic;
}
#endif

#ifndef __AVX512F__
SWAGE_INLINE vf
vf_scale2 (vf x, vf n)
{
  vi half = __builtin_convertvector(n, vi) >> 1, rest = __builtin_convertvector(n, vi) - half;
  return x * (vf)((half + 127) << 23) * (vf)((rest + 127) << 23);
}
#endif

SWAGE_INLINE vf
vf_load (const float *p)
{
  return (vf) * (const vf_loose *)p;
}

SWAGE_INLINE void
vf_store (float *p, vf x)
{
  *(vf_loose *)p = (vf_loose)x;
}

/* The same where `left` may be fewer than VL: zero beyond, nothing stored beyond. */
SWAGE_INLINE vf
vf_load_upto (const float *p, int64_t left)
{
  return left >= VL ? vf_load (p) : vf_load_n (p, left);
}

SWAGE_INLINE void
vf_store_upto (float *p, vf x, int64_t left)
{
  if (left >= VL)
    vf_store (p, x);
  else
    vf_store_n (p, x, left);
}

SWAGE_INLINE vf
vf_abs (vf x)
{
  return (vf)((vi)x & 0x7fffffff);
}

/* The lower and the upper half as doubles. */
typedef double vd __attribute__ ((vector_size (VL * 4)));
#if defined(__AVX512F__)
SWAGE_INLINE vd
vd_low (vf x)
{
  return _mm512_cvtps_pd (_mm512_castps512_ps256 (x));
}

SWAGE_INLINE vd
vd_high (vf x)
{
  return _mm512_cvtps_pd (_mm512_extractf32x8_ps (x, 1));
}

SWAGE_INLINE vd
vd_fma (vd a, vd b, vd c)
{
  return _mm512_fmadd_pd (a, b, c);
}
#elif defined(__AVX2__)
SWAGE_INLINE vd
vd_low (vf x)
{
  return _mm256_cvtps_pd (_mm256_castps256_ps128 (x));
}

SWAGE_INLINE vd
vd_high (vf x)
{
  return _mm256_cvtps_pd (_mm256_extractf128_ps (x, 1));
}

SWAGE_INLINE vd
vd_fma (vd a, vd b, vd c)
{
  return _mm256_fmadd_pd (a, b, c);
}
#else
SWAGE_INLINE vd
vd_low (vf x)
{
  return (vd){ x[0], x[1] };
}

SWAGE_INLINE vd
vd_high (vf x)
{
  return (vd){ x[2], x[3] };
}

SWAGE_INLINE vd
vd_fma (vd a, vd b, vd c)
{
  return a * b + c;
}
#endif

SWAGE_INLINE double
vd_sum (vd x)
{
  double lane[VL / 2];
  memcpy (lane, &x, sizeof x);
  for (int n = VL / 4; n; n /= 2)
    for (int i = 0; i < n; i++)
      lane[i] += lane[i + n];
  return lane[0];
}

/* Lanes are combined in a fixed order: the same for every call. */
#if VL == 16
#define VF_FOLD(x, op)                                                                                       \
  x = op (x, __builtin_shufflevector (x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));    \
  x = op (x, __builtin_shufflevector (x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));                \
  x = op (x, __builtin_shufflevector (x, x, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));                \
  x = op (x, __builtin_shufflevector (x, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
#elif VL == 8
#define VF_FOLD(x, op)                                                                                       \
  x = op (x, __builtin_shufflevector (x, x, 4, 5, 6, 7, 4, 5, 6, 7));                                        \
  x = op (x, __builtin_shufflevector (x, x, 2, 3, 2, 3, 2, 3, 2, 3));                                        \
  x = op (x, __builtin_shufflevector (x, x, 1, 1, 1, 1, 1, 1, 1, 1));
#else
#define VF_FOLD(x, op)                                                                                       \
  x = op (x, __builtin_shufflevector (x, x, 2, 3, 2, 3));                                                    \
  x = op (x, __builtin_shufflevector (x, x, 1, 1, 1, 1));
#endif

SWAGE_INLINE vf
vf_add (vf a, vf b)
{
  return a + b;
}

SWAGE_INLINE float
vf_sum (vf x)
{
  VF_FOLD (x, vf_add)
  return x[0];
}

SWAGE_INLINE float
vf_top (vf x)
{
  VF_FOLD (x, vf_max)
  return x[0];
}

/* Whether a lane of a mask is set. */
SWAGE_INLINE bool
vi_any (vi mask)
{
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask ((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256 ((__m256i)mask, (__m256i)mask);
#else
  int any = 0;
  for (int i = 0; i < VL; i++)
    any |= mask[i];
  return any != 0;
#endif
}

/* 2^n · p(r), x = n ln 2 + r, |r| <= ln 2 / 2, p the Taylor polynomial of degree 7 of e^r: its rest is below
 * 2^−28. */
SWAGE_INLINE vf
vf_exp_reduced (vf x, vf n)
{
  vf r = vf_fma (n, vf_set (-0.693145751953125f), x); /* ln 2 in two parts: n times the first is exact */
  r = vf_fma (n, vf_set (-1.42860682030941723212e-6f), r);
  vf p = vf_set (1.9841269841e-4f);
  p = vf_fma (p, r, vf_set (1.3888888889e-3f));
  p = vf_fma (p, r, vf_set (8.3333333333e-3f));
  p = vf_fma (p, r, vf_set (4.1666666667e-2f));
  p = vf_fma (p, r, vf_set (1.6666666667e-1f));
  p = vf_fma (p, r, vf_set (0.5f));
  p = vf_fma (p, r * r, r) + 1.0f;
  return vf_scale2 (p, n);
}

/* e^x within 1 unit in the last place or so. Below −87.3, where e^x stops being a normal number, it is 0:
 * subnormal results cost a hundred cycles each. Above 88.7 it is infinity; NaN stays NaN (the clamps return
 * their second operand for it). */
SWAGE_INLINE vf
vf_exp (vf x)
{
  vf c = vf_max (vf_set (-87.33f), vf_min (vf_set (89.0f), x));
  vf y = vf_exp_reduced (c, vf_round (c * 1.44269504088896341f));
  return vf_pick ((vi)(x < vf_set (-87.33f)), vf_set (0), y);
}
