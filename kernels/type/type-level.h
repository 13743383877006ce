/* SPDX-License-Identifier: MIT
 *
 * Internal to kernels/type and its tests: one table of codecs per CPU level.
 *
 * The files codec-*.c are compiled once per level (see meson.build) with SWAGE_LEVEL set to the level's name.
 * Each level must produce the same bytes: all arithmetic is plain IEEE single precision without contraction,
 * and sums run element by element inside one vector lane, so the width of the vectors cannot show. test-types
 * compares levels.
 */
#pragma once

#include "kernels/swage-op.h"

typedef void (*SwageTypeToFunc) (const void *src, float *dst, int64_t n);
typedef void (*SwageTypeFromFunc) (const float *src, const float *importance, void *dst, int64_t n);

typedef struct
{
  const char *name;
  SwageTypeToFunc to_f32[SWAGE_N_TYPES];     /* NULL for SWAGE_TYPE_INT */
  SwageTypeFromFunc from_f32[SWAGE_N_TYPES]; /* NULL for SWAGE_TYPE_INT */
  void (*int_from_f32) (const float *src, const float *importance, int64_t n, int bits, int group,
                        bool symmetric, uint8_t *codes, uint16_t *scales, uint8_t *zeros);
  void (*int_to_f32) (const uint8_t *codes, const uint16_t *scales, const uint8_t *zeros, int64_t n, int bits,
                      int group, bool symmetric, float *dst);
} SwageTypeLevel;

/* The codecs of `level`, or NULL when they are not built in. The caller makes sure that the CPU has the
 * level. */
const SwageTypeLevel *swage_type_get_level (SwageCpuLevel level);

extern const SwageTypeLevel swage_type_level_portable;
#ifdef __x86_64__
extern const SwageTypeLevel swage_type_level_avx2;
extern const SwageTypeLevel swage_type_level_avx512;
#endif
