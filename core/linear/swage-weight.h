/* SPDX-License-Identifier: MIT
 *
 * A weight matrix as it is stored: dense, or packed in a layout that dequantizes exactly. Immutable, refcounted; the bytes
 * may be a slice of a memory-mapped file. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <gio/gio.h>
#include "kernels/swage-op.h"

typedef struct _SwageWeight SwageWeight;
struct _SwageWeight {
  SwageType type;          /* any float or GGUF type, or SWAGE_TYPE_INT */
  int64_t rows, cols;      /* n_out × n_in; row-major */
  size_t row_bytes;        /* of the codes, for SWAGE_TYPE_INT */
  GBytes *data;            /* rows × row_bytes */
  /* SWAGE_TYPE_INT alone */
  int bits, group_size;
  bool symmetric;
  GBytes *scales;          /* IEEE half, rows × swage_int_groups() */
  GBytes *zeros;           /* u8, the same shape; NULL when symmetric */
};

/* takes `data` (GBytes of at least rows × row bytes; checked by assertion). */
SwageWeight *swage_weight_new (SwageType type, int64_t rows, int64_t cols, GBytes *data);
/* takes the three buffers. */
SwageWeight *swage_weight_new_int (int64_t rows, int64_t cols, int bits, int group_size, bool symmetric, GBytes *codes, GBytes *scales, GBytes *zeros);
/* Quantize rows × cols floats to `type` (any float or block type) on the worker pool. `importance`: per column, or NULL. The
 * caller has checked that swage_type_row_bytes(type, cols) > 0. */
SwageWeight *swage_weight_new_from_f32 (SwageType type, int64_t rows, int64_t cols, const float *values, const float *importance);
SwageWeight *swage_weight_new_int_from_f32 (int64_t rows, int64_t cols, int bits, int group_size, bool symmetric, const float *values, const float *importance);
SwageWeight *swage_weight_ref (SwageWeight *w);
void swage_weight_unref (SwageWeight *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageWeight, swage_weight_unref)

/* Exact bytes this weight takes in a file (codes + scales + zeros). */
uint64_t swage_weight_get_bytes (const SwageWeight *w);
/* Exact bytes a rows × cols weight of this description would take; 0 when the type cannot hold rows of that length. */
uint64_t swage_weight_count_bytes (SwageType type, int bits, int group_size, bool symmetric, int64_t rows, int64_t cols);
/* Decode rows [begin, end) to floats: (end−begin) × cols. */
void swage_weight_decode (const SwageWeight *w, int64_t begin, int64_t end, float *dst);
/* The whole matrix, decoded on the worker pool into a new g_malloc'ed array. */
float *swage_weight_decode_all (const SwageWeight *w);
/* For the operators (not for SWAGE_TYPE_INT). */
SwageView swage_weight_get_view (const SwageWeight *w);
