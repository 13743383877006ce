/* SPDX-License-Identifier: MIT
 *
 * Element types: how numbers lie in memory, and the way to and from float.
 *
 * A *type* is a layout of `block` consecutive elements of one row in `bytes` bytes. Rows of block types must be
 * multiples of `block`. Every type that GGUF names keeps GGUF's exact byte layout, so a row quantized here is a
 * row of a GGUF file. Nothing in this header allocates or fails; the caller checks lengths first
 * (swage_type_row_bytes() returns 0 for a row length that the type cannot hold).
 *
 * Threads: everything here is pure and may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  /* floating point */
  SWAGE_TYPE_F32, SWAGE_TYPE_F16, SWAGE_TYPE_BF16,
  /* GGUF block types */
  SWAGE_TYPE_Q4_0, SWAGE_TYPE_Q4_1, SWAGE_TYPE_Q5_0, SWAGE_TYPE_Q5_1, SWAGE_TYPE_Q8_0,
  SWAGE_TYPE_Q2_K, SWAGE_TYPE_Q3_K, SWAGE_TYPE_Q4_K, SWAGE_TYPE_Q5_K, SWAGE_TYPE_Q6_K,
  SWAGE_TYPE_IQ4_NL, SWAGE_TYPE_IQ4_XS,
  /* storage-only types: found in checkpoints (buffers, masks); convertible to float where that has a meaning */
  SWAGE_TYPE_F64, SWAGE_TYPE_I8, SWAGE_TYPE_U8, SWAGE_TYPE_BOOL, SWAGE_TYPE_I16, SWAGE_TYPE_I32, SWAGE_TYPE_I64,
  /* plain N-bit integers in groups with a scale (and zero point): parameters live in SwageWeight, not in the type */
  SWAGE_TYPE_INT,
  /* further layouts with parameters, see swage-layout.h: a table for each row, binary codes, tensor trains,
   * outlier-victim pairs */
  SWAGE_TYPE_LUT, SWAGE_TYPE_BCQ, SWAGE_TYPE_TT, SWAGE_TYPE_OVP,
  SWAGE_N_TYPES,
  SWAGE_TYPE_NONE = -1
} SwageType;

typedef struct {
  const char *id;          /* "q4_k": plan files, command line, JSON */
  const char *title;       /* "Q4_K": screens */
  int ggml_id;             /* ggml_type, or -1 where GGUF has none */
  const char *safetensors; /* safetensors dtype ("BF16"), or NULL where it has none */
  int block;               /* elements in one block */
  int bytes;               /* bytes of one block; 0 for the layouts of swage-layout.h */
  bool quantized;          /* a block type that a quantizer can aim at */
  bool zero_exact;         /* the value 0.0 is always representable, so pruned weights stay zero */
} SwageTypeInfo;

/* Information on `type`; never NULL for a valid type. Static storage. */
const SwageTypeInfo *swage_type_get_info (SwageType type);
/* Look up by "q4_k" (case-insensitive), by ggml_type id, by safetensors dtype. SWAGE_TYPE_NONE when unknown. */
SwageType swage_type_from_id (const char *id);
SwageType swage_type_from_ggml (int ggml_id);
SwageType swage_type_from_safetensors (const char *dtype);

/* Bytes of a row of `n` elements, or 0 when n is not positive, not a multiple of the block, or overflows. */
size_t swage_type_row_bytes (SwageType type, int64_t n);

/* Decode `n` elements (a multiple of the block) at `src` to floats. Exact: the value the format defines.
 * Fast version chosen at run time; bit-identical to the scalar one for every type. `src` needs no alignment. */
void swage_type_to_f32 (SwageType type, const void *src, float *dst, int64_t n);

/* Encode one row of `n` floats at `dst`.
 * `importance` (n values >= 0, or NULL): weight of each element's squared error (imatrix, Hessian diagonal).
 * Float types round to nearest even. Block types search their scales (said at the top of each file of
 * kernels/type); NaN is encoded as 0, infinities as the largest finite value. Deterministic: the same bytes on every
 * CPU and for any slicing into rows. */
void swage_type_from_f32 (SwageType type, const float *src, const float *importance, void *dst, int64_t n);

/* Half-precision scalars, IEEE 754, round to nearest even; NaN stays NaN. */
float swage_f16_to_f32 (uint16_t h);
uint16_t swage_f32_to_f16 (float f);
float swage_bf16_to_f32 (uint16_t h);
uint16_t swage_f32_to_bf16 (float f);

/* Plain N-bit groups. Group g of a row covers elements [g·group, (g+1)·group) (the last may be shorter).
 * symmetric: x = scale·(q − 2^(bits−1)), no zero point;  asymmetric: x = scale·(q − zero), zero in 0..2^bits−1.
 * Codes are packed little-endian, `bits` each, rows padded to a byte. Scales are IEEE half, zeros one byte each.
 * bits in 2..8, group >= 1. Sizes: swage_int_row_bytes() for codes; swage_int_groups() scales and zeros a row. */
size_t swage_int_row_bytes (int64_t n, int bits);
int64_t swage_int_groups (int64_t n, int group);
/* Quantize one row with a search for the scale that minimises the (importance-weighted) squared error; `zeros` may
 * be NULL when symmetric. Zero stays exactly zero in both forms. */
void swage_int_from_f32 (const float *src, const float *importance, int64_t n, int bits, int group, bool symmetric,
                         uint8_t *codes, uint16_t *scales, uint8_t *zeros);
void swage_int_to_f32 (const uint8_t *codes, const uint16_t *scales, const uint8_t *zeros, int64_t n, int bits,
                       int group, bool symmetric, float *dst);
