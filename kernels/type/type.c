/* SPDX-License-Identifier: MIT
 *
 * The table of element types and the choice of codecs for this CPU.
 */
#include "kernels/swage-type.h"
#include "kernels/type/half.h"
#include "kernels/type/type-level.h"

#include <strings.h>

/* Layouts and ids of the block types are GGUF's (ggml.h, ggml-common.h). A symmetric code or a nonzero-free
 * code book decides zero_exact: IQ4's book has 1 but not 0, and a stored minimum need not be a multiple of
 * the step. */
static const SwageTypeInfo type_infos[SWAGE_N_TYPES] = {
  /* clang-format off */
  [SWAGE_TYPE_F32]    = { "f32",    "F32",    0,  "F32",  1,   4,   false, true },
  [SWAGE_TYPE_F16]    = { "f16",    "F16",    1,  "F16",  1,   2,   false, true },
  [SWAGE_TYPE_BF16]   = { "bf16",   "BF16",   30, "BF16", 1,   2,   false, true },
  [SWAGE_TYPE_Q4_0]   = { "q4_0",   "Q4_0",   2,  NULL,   32,  18,  true,  true },
  [SWAGE_TYPE_Q4_1]   = { "q4_1",   "Q4_1",   3,  NULL,   32,  20,  true,  false },
  [SWAGE_TYPE_Q5_0]   = { "q5_0",   "Q5_0",   6,  NULL,   32,  22,  true,  true },
  [SWAGE_TYPE_Q5_1]   = { "q5_1",   "Q5_1",   7,  NULL,   32,  24,  true,  false },
  [SWAGE_TYPE_Q8_0]   = { "q8_0",   "Q8_0",   8,  NULL,   32,  34,  true,  true },
  [SWAGE_TYPE_Q2_K]   = { "q2_k",   "Q2_K",   10, NULL,   256, 84,  true,  false },
  [SWAGE_TYPE_Q3_K]   = { "q3_k",   "Q3_K",   11, NULL,   256, 110, true,  true },
  [SWAGE_TYPE_Q4_K]   = { "q4_k",   "Q4_K",   12, NULL,   256, 144, true,  false },
  [SWAGE_TYPE_Q5_K]   = { "q5_k",   "Q5_K",   13, NULL,   256, 176, true,  false },
  [SWAGE_TYPE_Q6_K]   = { "q6_k",   "Q6_K",   14, NULL,   256, 210, true,  true },
  [SWAGE_TYPE_IQ4_NL] = { "iq4_nl", "IQ4_NL", 20, NULL,   32,  18,  true,  false },
  [SWAGE_TYPE_IQ4_XS] = { "iq4_xs", "IQ4_XS", 23, NULL,   256, 136, true,  false },
  [SWAGE_TYPE_F64]    = { "f64",    "F64",    28, "F64",  1,   8,   false, true },
  [SWAGE_TYPE_I8]     = { "i8",     "I8",     24, "I8",   1,   1,   false, true },
  [SWAGE_TYPE_U8]     = { "u8",     "U8",     -1, "U8",   1,   1,   false, true },
  [SWAGE_TYPE_BOOL]   = { "bool",   "Bool",   -1, "BOOL", 1,   1,   false, true },
  [SWAGE_TYPE_I16]    = { "i16",    "I16",    25, "I16",  1,   2,   false, true },
  [SWAGE_TYPE_I32]    = { "i32",    "I32",    26, "I32",  1,   4,   false, true },
  [SWAGE_TYPE_I64]    = { "i64",    "I64",    27, "I64",  1,   8,   false, true },
  [SWAGE_TYPE_INT]    = { "int",    "Int",    -1, NULL,   1,   0,   true,  true },
  [SWAGE_TYPE_LUT]    = { "lut",    "LUT",    -1, NULL,   1,   0,   false, false },
  [SWAGE_TYPE_BCQ]    = { "bcq",    "BCQ",    -1, NULL,   1,   0,   false, false },
  [SWAGE_TYPE_TT]     = { "tt",     "TT",     -1, NULL,   1,   0,   false, false },
  [SWAGE_TYPE_OVP]    = { "ovp",    "OVP",    -1, NULL,   1,   0,   false, true },
  /* clang-format on */
};

const SwageTypeInfo *
swage_type_get_info (SwageType type)
{
  return type >= 0 && type < SWAGE_N_TYPES ? &type_infos[type] : NULL;
}

SwageType
swage_type_from_id (const char *id)
{
  for (int t = 0; id && t < SWAGE_N_TYPES; t++)
    if (strcasecmp (type_infos[t].id, id) == 0)
      return t;
  return SWAGE_TYPE_NONE;
}

SwageType
swage_type_from_ggml (int ggml_id)
{
  for (int t = 0; ggml_id >= 0 && t < SWAGE_N_TYPES; t++)
    if (type_infos[t].ggml_id == ggml_id)
      return t;
  return SWAGE_TYPE_NONE;
}

SwageType
swage_type_from_safetensors (const char *dtype)
{
  for (int t = 0; dtype && t < SWAGE_N_TYPES; t++)
    if (type_infos[t].safetensors && strcmp (type_infos[t].safetensors, dtype) == 0)
      return t;
  return SWAGE_TYPE_NONE;
}

size_t
swage_type_row_bytes (SwageType type, int64_t n)
{
  const SwageTypeInfo *info = swage_type_get_info (type);
  if (!info || info->bytes == 0 || n <= 0 || n % info->block != 0)
    return 0;
  uint64_t blocks = (uint64_t)(n / info->block);
  if (blocks > (uint64_t)PTRDIFF_MAX / (uint64_t)info->bytes)
    return 0;
  return (size_t)(blocks * (uint64_t)info->bytes);
}

float
swage_f16_to_f32 (uint16_t h)
{
  return half_f16_to_f32 (h);
}

uint16_t
swage_f32_to_f16 (float f)
{
  return half_f32_to_f16 (f);
}

float
swage_bf16_to_f32 (uint16_t h)
{
  return half_bf16_to_f32 (h);
}

uint16_t
swage_f32_to_bf16 (float f)
{
  return half_f32_to_bf16 (f);
}

const SwageTypeLevel *
swage_type_get_level (SwageCpuLevel level)
{
#ifdef __x86_64__
  if (level >= SWAGE_CPU_AVX512)
    return &swage_type_level_avx512;
  if (level == SWAGE_CPU_AVX2)
    return &swage_type_level_avx2;
#endif
  return level == SWAGE_CPU_PORTABLE ? &swage_type_level_portable : NULL;
}

/* Every thread that gets here first finds the same answer, so the race is harmless. */
static const SwageTypeLevel *
current_level (void)
{
  static const SwageTypeLevel *chosen;
  const SwageTypeLevel *level = __atomic_load_n (&chosen, __ATOMIC_RELAXED);
  if (!level)
    {
      level = swage_type_get_level (swage_cpu_get_level ());
      if (!level)
        level = &swage_type_level_portable;
      __atomic_store_n (&chosen, level, __ATOMIC_RELAXED);
    }
  return level;
}

void
swage_type_to_f32 (SwageType type, const void *src, float *dst, int64_t n)
{
  const SwageTypeInfo *info = swage_type_get_info (type);
  if (info && info->bytes > 0 && n > 0)
    current_level ()->to_f32[type](src, dst, n);
}

void
swage_type_from_f32 (SwageType type, const float *src, const float *importance, void *dst, int64_t n)
{
  const SwageTypeInfo *info = swage_type_get_info (type);
  if (info && info->bytes > 0 && n > 0)
    current_level ()->from_f32[type](src, importance, dst, n);
}

size_t
swage_int_row_bytes (int64_t n, int bits)
{
  if (n <= 0 || bits < 2 || bits > 8 || n > INT64_MAX / 8 - 1)
    return 0;
  return (size_t)((n * bits + 7) / 8);
}

int64_t
swage_int_groups (int64_t n, int group)
{
  return n <= 0 || group < 1 ? 0 : (n - 1) / group + 1;
}

void
swage_int_from_f32 (const float *src, const float *importance, int64_t n, int bits, int group, bool symmetric,
                    uint8_t *codes, uint16_t *scales, uint8_t *zeros)
{
  if (swage_int_row_bytes (n, bits) > 0 && group >= 1)
    current_level ()->int_from_f32 (src, importance, n, bits, group, symmetric, codes, scales, zeros);
}

void
swage_int_to_f32 (const uint8_t *codes, const uint16_t *scales, const uint8_t *zeros, int64_t n, int bits,
                  int group, bool symmetric, float *dst)
{
  if (swage_int_row_bytes (n, bits) > 0 && group >= 1)
    current_level ()->int_to_f32 (codes, scales, zeros, n, bits, group, symmetric, dst);
}
