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
  SwageType type;          /* any float or GGUF type, or a layout of swage-layout.h */
  int64_t rows, cols;      /* n_out × n_in; row-major */
  size_t row_bytes;        /* of the codes, for layouts */
  GBytes *data;            /* rows × row_bytes */
  /* Layouts alone; zeros SWAGE_TYPE_INT alone */
  int bits, group_size;
  bool symmetric;
  GBytes *scales;          /* IEEE half, rows × swage_layout_scales(); NULL when that is 0 */
  GBytes *zeros;           /* u8, the same shape; NULL when symmetric */
  /* SWAGE_TYPE_INT whose scales are stored in two levels (SpQR): each is `stat_bits` wide and shares a base and a step with those
   * of the same group in `stat_group` consecutive rows; zero points take `bits` each. `scales` and `zeros` are what that decodes
   * to, so whoever reads them need not know. 0: scales and zero points are stored as they are. */
  int stat_bits, stat_group;
  GBytes *levels;          /* u8, rows × swage_int_groups() */
  GBytes *steps;           /* pairs of IEEE halves (base, step), ceil (rows / stat_group) × swage_int_groups() */
};

/* takes `data` (GBytes of at least rows × row bytes; checked by assertion). */
SwageWeight *swage_weight_new (SwageType type, int64_t rows, int64_t cols, GBytes *data);
/* takes the three buffers. */
SwageWeight *swage_weight_new_int (int64_t rows, int64_t cols, int bits, int group_size, bool symmetric, GBytes *codes, GBytes *scales, GBytes *zeros);
/* Asymmetric integers with two-level scales: scale = half (base + step·level). Takes the buffers; all scales are finite. */
SwageWeight *swage_weight_new_int_two_level (int64_t rows, int64_t cols, int bits, int group_size, int stat_bits, int stat_group,
                                             GBytes *codes, GBytes *steps, GBytes *levels, GBytes *zeros);
/* What such a weight takes: codes, levels and zero points bit by bit, bases and steps. */
uint64_t swage_weight_count_two_level_bytes (int bits, int group_size, int stat_bits, int stat_group, int64_t rows, int64_t cols);
/* A layout other than SWAGE_TYPE_INT, of valid parameters; takes the buffers; `scales` NULL where there are none. */
SwageWeight *swage_weight_new_layout (SwageType type, int64_t rows, int64_t cols, int bits, int group_size, bool symmetric, GBytes *codes, GBytes *scales);
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
/* Bytes of weights, as stored, that were decoded so far in this process: what methods read on the CPU. */
uint64_t swage_weight_get_decoded_bytes (void);
/* The whole matrix, decoded on the worker pool into a new g_malloc'ed array. */
float *swage_weight_decode_all (const SwageWeight *w);
/* For the operators (not for SWAGE_TYPE_INT). */
SwageView swage_weight_get_view (const SwageWeight *w);
