/* SPDX-License-Identifier: MIT
 *
 * The table of one CPU level; see type-level.h.
 */
#include "kernels/type/codec.h"

/* clang-format off */
#define PAIR(TYPE, name) .to_f32[SWAGE_TYPE_##TYPE] = LEVEL (name##_to_f32), \
                         .from_f32[SWAGE_TYPE_##TYPE] = LEVEL (name##_from_f32)

const SwageTypeLevel LEVEL (swage_type_level) = {
  .name = LEVEL_STRING,
  PAIR (F32, f32), PAIR (F16, f16), PAIR (BF16, bf16), PAIR (F64, f64),
  PAIR (I8, i8), PAIR (U8, u8), PAIR (BOOL, bool), PAIR (I16, i16), PAIR (I32, i32), PAIR (I64, i64),
  PAIR (Q4_0, q4_0), PAIR (Q4_1, q4_1), PAIR (Q5_0, q5_0), PAIR (Q5_1, q5_1), PAIR (Q8_0, q8_0),
  PAIR (Q2_K, q2_k), PAIR (Q3_K, q3_k), PAIR (Q4_K, q4_k), PAIR (Q5_K, q5_k), PAIR (Q6_K, q6_k),
  PAIR (IQ4_NL, iq4_nl), PAIR (IQ4_XS, iq4_xs),
  .int_from_f32 = LEVEL (int_from_f32),
  .int_to_f32 = LEVEL (int_to_f32),
};
/* clang-format on */
