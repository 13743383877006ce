/* SPDX-License-Identifier: MIT
 *
 * What the codec-*.c files of one CPU level offer to its table.
 */
#pragma once

#include "kernels/type/type-level.h"
#include "kernels/type/vec.h"

#define LEVEL_STRING2(x) #x
#define LEVEL_STRING1(x) LEVEL_STRING2 (x)
#define LEVEL_STRING LEVEL_STRING1 (SWAGE_LEVEL)

#define CODEC(name)                                                                                          \
  void LEVEL (name##_to_f32) (const void *src, float *dst, int64_t n);                                       \
  void LEVEL (name##_from_f32) (const float *src, const float *importance, void *dst, int64_t n)

CODEC (f32);
CODEC (f16);
CODEC (bf16);
CODEC (f64);
CODEC (i8);
CODEC (u8);
CODEC (bool);
CODEC (i16);
CODEC (i32);
CODEC (i64);
CODEC (q4_0);
CODEC (q4_1);
CODEC (q5_0);
CODEC (q5_1);
CODEC (q8_0);
CODEC (q2_k);
CODEC (q3_k);
CODEC (q4_k);
CODEC (q5_k);
CODEC (q6_k);
CODEC (iq4_nl);
CODEC (iq4_xs);

void LEVEL (int_from_f32) (const float *src, const float *importance, int64_t n, int bits, int group,
                           bool symmetric, uint8_t *codes, uint16_t *scales, uint8_t *zeros);
void LEVEL (int_to_f32) (const uint8_t *codes, const uint16_t *scales, const uint8_t *zeros, int64_t n,
                         int bits, int group, bool symmetric, float *dst);

#undef CODEC
