/* SPDX-License-Identifier: MIT
 *
 * How quantize_int lays out a row: codes, padded to an even number of bytes, then the scales of its groups,
 * then (when not symmetric) their zero points. Read as three strided views, such rows are a weight of
 * SWAGE_TYPE_INT as matmul takes it.
 */
#pragma once

#include "kernels/swage-op.h"

/* Where a row's scales begin, and its zeros. */
static inline int64_t
swage_quantize_scales_at (int64_t k, int bits)
{
  return ((int64_t)swage_int_row_bytes (k, bits) + 1) / 2 * 2;
}

static inline int64_t
swage_quantize_zeros_at (int64_t k, int bits, int group)
{
  return swage_quantize_scales_at (k, bits) + 2 * swage_int_groups (k, group);
}

/* Bytes of a row of k values. */
static inline int64_t
swage_quantize_row_bytes (int64_t k, int bits, int group, bool symmetric)
{
  return swage_quantize_zeros_at (k, bits, group) + (symmetric ? 0 : swage_int_groups (k, group));
}
