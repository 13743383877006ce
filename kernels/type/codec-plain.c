/* SPDX-License-Identifier: MIT
 *
 * Floating-point and storage-only types. Elements may lie at any address, so they are read and written by
 * memcpy.
 *
 * To integers: round half to even, saturate, NaN to 0. To bool: anything but zero (and NaN) is true.
 */
#include "kernels/type/codec.h"
#include "kernels/type/half.h"

#include <math.h>

#define READ(ctype, src, i)                                                                                  \
  ({                                                                                                         \
    ctype read_;                                                                                             \
    memcpy (&read_, (const char *)(src) + (i) * (int64_t)sizeof read_, sizeof read_);                        \
    read_;                                                                                                   \
  })
#define WRITE(ctype, dst, i, value)                                                                          \
  do                                                                                                         \
    {                                                                                                        \
      ctype write_ = (value);                                                                                \
      memcpy ((char *)(dst) + (i) * (int64_t)sizeof write_, &write_, sizeof write_);                         \
    }                                                                                                        \
  while (0)

void
LEVEL (f32_to_f32) (const void *src, float *dst, int64_t n)
{
  memmove (dst, src, (size_t)n * 4);
}

void
LEVEL (f32_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  memmove (dst, src, (size_t)n * 4);
}

void
LEVEL (f16_to_f32) (const void *src, float *dst, int64_t n)
{
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps (dst + i,
                      _mm512_cvtph_ps (_mm256_loadu_si256 ((const void *)((const char *)src + 2 * i))));
#elif defined(__AVX2__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps (dst + i, _mm256_cvtph_ps (_mm_loadu_si128 ((const void *)((const char *)src + 2 * i))));
#endif
  for (; i < n; i++)
    dst[i] = half_f16_to_f32 (READ (uint16_t, src, i));
}

void
LEVEL (f16_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256 ((void *)((char *)dst + 2 * i),
                         _mm512_cvtps_ph (_mm512_loadu_ps (src + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__AVX2__)
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128 ((void *)((char *)dst + 2 * i),
                      _mm256_cvtps_ph (_mm256_loadu_ps (src + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; i++)
    WRITE (uint16_t, dst, i, half_f32_to_f16 (src[i]));
}

void
LEVEL (bf16_to_f32) (const void *src, float *restrict dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    dst[i] = half_bf16_to_f32 (READ (uint16_t, src, i));
}

void
LEVEL (bf16_from_f32) (const float *restrict src, const float *importance, void *restrict dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    WRITE (uint16_t, dst, i, half_f32_to_bf16 (src[i]));
}

void
LEVEL (f64_to_f32) (const void *src, float *dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    dst[i] = (float)READ (double, src, i);
}

void
LEVEL (f64_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    WRITE (double, dst, i, (double)src[i]);
}

#define INTEGER(name, ctype, lo, hi)                                                                         \
  void LEVEL (name##_to_f32) (const void *src, float *dst, int64_t n)                                        \
  {                                                                                                          \
    for (int64_t i = 0; i < n; i++)                                                                          \
      dst[i] = (float)READ (ctype, src, i);                                                                  \
  }                                                                                                          \
  void LEVEL (name##_from_f32) (const float *src, const float *importance, void *dst, int64_t n)             \
  {                                                                                                          \
    for (int64_t i = 0; i < n; i++)                                                                          \
      {                                                                                                      \
        double x = rint ((double)src[i]);                                                                    \
        WRITE (ctype, dst, i, x != x ? 0 : x <= (double)(lo) ? (lo) : x >= (double)(hi) ? (hi) : (ctype)x);  \
      }                                                                                                      \
  }

INTEGER (i8, int8_t, INT8_MIN, INT8_MAX)
INTEGER (u8, uint8_t, 0, UINT8_MAX)
INTEGER (i16, int16_t, INT16_MIN, INT16_MAX)
INTEGER (i32, int32_t, INT32_MIN, INT32_MAX)
INTEGER (i64, int64_t, INT64_MIN, INT64_MAX)

void
LEVEL (bool_to_f32) (const void *src, float *dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    dst[i] = READ (uint8_t, src, i) != 0 ? 1.0f : 0.0f;
}

void
LEVEL (bool_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    WRITE (uint8_t, dst, i, src[i] < 0 || src[i] > 0);
}
