/* SPDX-License-Identifier: MIT
 *
 * Block types to float. The loops are plain and short so that the compiler vectorises them; the order of the
 * multiplications is part of the format (one rounding per product and per sum).
 */
#include "kernels/type/codec.h"
#include "kernels/type/half.h"
#include "kernels/type/iq4-book.h"

INLINE float
read_half (const uint8_t *p)
{
  return half_f16_to_f32 ((uint16_t)(p[0] | p[1] << 8));
}

/* Codes of 4 bits at `qs`, minus `offset`, element j low and j + 16 high; when `qh` is given, bit j of its
 * 32-bit word is the fifth bit of element j. */
INLINE void
unpack_32 (const uint8_t *qs, const uint8_t *qh, int offset, int8_t q[32])
{
#if defined(__AVX2__)
  __m128i v = _mm_loadu_si128 ((const void *)qs), mask = _mm_set1_epi8 (15);
  __m256i codes = _mm256_set_m128i (_mm_and_si128 (_mm_srli_epi16 (v, 4), mask), _mm_and_si128 (v, mask));
  if (qh)
    {
      int32_t word;
      memcpy (&word, qh, 4);
      /* Every byte of the word eight times over, then of each its own bit. */
      __m256i bytes = _mm256_shuffle_epi8 (
          _mm256_set1_epi32 (word),
          _mm256_set_epi64x (0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0));
      __m256i bits = _mm256_set1_epi64x ((int64_t)0x8040201008040201u);
      __m256i set = _mm256_cmpeq_epi8 (_mm256_and_si256 (bytes, bits), bits);
      codes = _mm256_or_si256 (codes, _mm256_and_si256 (set, _mm256_set1_epi8 (16)));
    }
  _mm256_store_si256 ((void *)q, _mm256_sub_epi8 (codes, _mm256_set1_epi8 ((char)offset)));
#else
  for (int j = 0; j < 16; j++)
    {
      q[j] = (int8_t)((qs[j] & 15) - offset);
      q[j + 16] = (int8_t)((qs[j] >> 4) - offset);
    }
  for (int j = 0; qh && j < 32; j++)
    q[j] = (int8_t)(q[j] + (qh[j / 8] >> (j % 8) & 1) * 16);
#endif
}

/* dst[j] = q[j]·d */
INLINE void
scale_32 (const int8_t q[32], float d, float *restrict dst)
{
#if defined(__AVX512F__)
  for (int j = 0; j < 32; j += 16)
    _mm512_storeu_ps (
        dst + j,
        _mm512_mul_ps (_mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (_mm_load_si128 ((const void *)(q + j)))),
                       _mm512_set1_ps (d)));
#elif defined(__AVX2__)
  for (int j = 0; j < 32; j += 8)
    _mm256_storeu_ps (
        dst + j,
        _mm256_mul_ps (_mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const void *)(q + j)))),
                       _mm256_set1_ps (d)));
#else
  for (int j = 0; j < 32; j++)
    dst[j] = (float)q[j] * d;
#endif
}

void
LEVEL (q4_0_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 18, dst += 32)
    {
      int8_t q[32] ALIGNED;
      unpack_32 (b + 2, NULL, 8, q);
      scale_32 (q, read_half (b), dst);
    }
}

void
LEVEL (q4_1_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 20, dst += 32)
    {
      float d = read_half (b), m = read_half (b + 2);
      for (int j = 0; j < 16; j++)
        {
          dst[j] = (float)(b[4 + j] & 15) * d + m;
          dst[j + 16] = (float)(b[4 + j] >> 4) * d + m;
        }
    }
}

void
LEVEL (q5_0_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 22, dst += 32)
    {
      int8_t q[32] ALIGNED;
      unpack_32 (b + 6, b + 2, 16, q);
      scale_32 (q, read_half (b), dst);
    }
}

void
LEVEL (q5_1_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 24, dst += 32)
    {
      float d = read_half (b), m = read_half (b + 2);
      int8_t q[32] ALIGNED;
      unpack_32 (b + 8, b + 4, 0, q);
      scale_32 (q, d, dst);
      for (int j = 0; j < 32; j++)
        dst[j] += m;
    }
}

void
LEVEL (q8_0_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 34, dst += 32)
    {
      float d = read_half (b);
      for (int j = 0; j < 32; j++)
        dst[j] = (float)(int8_t)b[2 + j] * d;
    }
}

void
LEVEL (q2_k_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 84)
    {
      const uint8_t *scales = b, *qs = b + 16;
      float d = read_half (b + 80), dmin = read_half (b + 82);
      for (int s = 0; s < 16; s++, dst += 16)
        {
          const uint8_t *q = qs + 32 * (s / 8) + 16 * (s % 2);
          int shift = s % 8 / 2 * 2;
          float scale = d * (float)(scales[s] & 15), min = dmin * (float)(scales[s] >> 4);
          for (int j = 0; j < 16; j++)
            dst[j] = scale * (float)(q[j] >> shift & 3) - min;
        }
    }
}

void
LEVEL (q3_k_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 110)
    {
      const uint8_t *high = b, *qs = b + 32, *scales = b + 96;
      float d = read_half (b + 108);
      for (int s = 0; s < 16; s++, dst += 16)
        {
          const uint8_t *q = qs + 32 * (s / 8) + 16 * (s % 2), *h = high + 16 * (s % 2);
          int shift = s % 8 / 2 * 2, bit = s / 2;
          int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
          int sc = (low | (scales[8 + s % 4] >> (2 * (s / 4)) & 3) << 4) - 32;
          float scale = d * (float)sc;
          for (int j = 0; j < 16; j++)
            dst[j] = scale * (float)((q[j] >> shift & 3) + ((h[j] >> bit & 1) << 2) - 4);
        }
    }
}

/* Sub-block j's scale and minimum, 6 bits each, from the 12 bytes of Q4_K and Q5_K. */
INLINE void
unpack_k_scale (const uint8_t *p, int j, int *scale, int *min)
{
  if (j < 4)
    {
      *scale = p[j] & 63;
      *min = p[j + 4] & 63;
    }
  else
    {
      *scale = (p[j + 4] & 15) | (p[j - 4] >> 6) << 4;
      *min = (p[j + 4] >> 4) | (p[j] >> 6) << 4;
    }
}

void
LEVEL (q4_k_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 144)
    {
      float d = read_half (b), dmin = read_half (b + 2);
      for (int s = 0; s < 8; s += 2, dst += 64)
        {
          const uint8_t *q = b + 16 + 16 * s;
          int sc0, m0, sc1, m1;
          unpack_k_scale (b + 4, s, &sc0, &m0);
          unpack_k_scale (b + 4, s + 1, &sc1, &m1);
          float scale0 = d * (float)sc0, min0 = dmin * (float)m0;
          float scale1 = d * (float)sc1, min1 = dmin * (float)m1;
          for (int j = 0; j < 32; j++)
            {
              dst[j] = scale0 * (float)(q[j] & 15) - min0;
              dst[j + 32] = scale1 * (float)(q[j] >> 4) - min1;
            }
        }
    }
}

void
LEVEL (q5_k_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 176)
    {
      const uint8_t *h = b + 16;
      float d = read_half (b), dmin = read_half (b + 2);
      for (int s = 0; s < 8; s += 2, dst += 64)
        {
          const uint8_t *q = b + 48 + 16 * s;
          int sc0, m0, sc1, m1;
          unpack_k_scale (b + 4, s, &sc0, &m0);
          unpack_k_scale (b + 4, s + 1, &sc1, &m1);
          float scale0 = d * (float)sc0, min0 = dmin * (float)m0;
          float scale1 = d * (float)sc1, min1 = dmin * (float)m1;
          for (int j = 0; j < 32; j++)
            {
              dst[j] = scale0 * (float)((q[j] & 15) | (h[j] >> s & 1) << 4) - min0;
              dst[j + 32] = scale1 * (float)((q[j] >> 4) | (h[j] >> (s + 1) & 1) << 4) - min1;
            }
        }
    }
}

void
LEVEL (q6_k_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 210)
    {
      float d = read_half (b + 208);
      for (int half = 0; half < 2; half++, dst += 128)
        {
          const uint8_t *low = b + 64 * half, *high = b + 128 + 32 * half, *sc = b + 192 + 8 * half;
          float scale[8];
          for (int s = 0; s < 8; s++)
            scale[s] = d * (float)(int8_t)sc[s];
          for (int s = 0; s < 2; s++)
            for (int j = 16 * s; j < 16 * s + 16; j++)
              {
                dst[j] = scale[s] * (float)(((low[j] & 15) | (high[j] & 3) << 4) - 32);
                dst[j + 32] = scale[s + 2] * (float)(((low[j + 32] & 15) | (high[j] >> 2 & 3) << 4) - 32);
                dst[j + 64] = scale[s + 4] * (float)(((low[j] >> 4) | (high[j] >> 4 & 3) << 4) - 32);
                dst[j + 96] = scale[s + 6] * (float)(((low[j + 32] >> 4) | (high[j] >> 6) << 4) - 32);
              }
        }
    }
}

/* 16 bytes of nibbles to 32 values of the book times `d`. */
INLINE void
decode_book (const uint8_t *restrict q, float d, float *restrict dst)
{
#if defined(__AVX512F__)
  __m512 book = _mm512_loadu_ps (iq4_book);
  __m512i v = _mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const void *)q));
  __m512 low = _mm512_permutexvar_ps (v, book), high = _mm512_permutexvar_ps (_mm512_srli_epi32 (v, 4), book);
  _mm512_storeu_ps (dst, _mm512_mul_ps (_mm512_set1_ps (d), low));
  _mm512_storeu_ps (dst + 16, _mm512_mul_ps (_mm512_set1_ps (d), high));
#elif defined(__AVX2__)
  __m128i book = _mm_loadu_si128 ((const void *)iq4_book_bytes), mask = _mm_set1_epi8 (15);
  __m128i v = _mm_loadu_si128 ((const void *)q);
  __m128i low = _mm_shuffle_epi8 (book, _mm_and_si128 (v, mask));
  __m128i high = _mm_shuffle_epi8 (book, _mm_and_si128 (_mm_srli_epi16 (v, 4), mask));
  __m256 scale = _mm256_set1_ps (d);
  for (int j = 0; j < 2; j++)
    {
      _mm256_storeu_ps (dst + 8 * j, _mm256_mul_ps (scale, _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (low))));
      _mm256_storeu_ps (dst + 16 + 8 * j,
                        _mm256_mul_ps (scale, _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (high))));
      low = _mm_srli_si128 (low, 8);
      high = _mm_srli_si128 (high, 8);
    }
#else
  for (int j = 0; j < 16; j++)
    {
      dst[j] = d * iq4_book[q[j] & 15];
      dst[j + 16] = d * iq4_book[q[j] >> 4];
    }
#endif
}

void
LEVEL (iq4_nl_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 32, b += 18, dst += 32)
    decode_book (b + 2, read_half (b), dst);
}

void
LEVEL (iq4_xs_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  const uint8_t *restrict b = src;
  for (int64_t i = 0; i < n; i += 256, b += 136)
    {
      float d = read_half (b);
      int high = b[2] | b[3] << 8;
      for (int s = 0; s < 8; s++, dst += 32)
        {
          int sc = (b[4 + s / 2] >> (4 * (s % 2)) & 15) | (high >> (2 * s) & 3) << 4;
          decode_book (b + 8 + 16 * s, d * (float)(sc - 32), dst);
        }
    }
}
