/* SPDX-License-Identifier: MIT
 *
 * Tiles and entries of sparse_matmul. Private to kernels/.
 */
#pragma once

#include "kernels/swage-view.h"

#define SWAGE_SPARSE_ROWS 32
#define SWAGE_SPARSE_OUTPUTS 1024

typedef struct
{
  int64_t i0, i1, o0, o1;
} SwageSparseTile;

static inline SwageSparseTile
swage_sparse_tile (const SwageOpCall *call, int64_t s)
{
  int64_t bands = swage_ceil_div (call->dst.ne[0], SWAGE_SPARSE_OUTPUTS);
  SwageSparseTile t = { .i0 = s / bands * SWAGE_SPARSE_ROWS, .o0 = s % bands * SWAGE_SPARSE_OUTPUTS };
  t.i1 = swage_min64 (call->dst.ne[1], t.i0 + SWAGE_SPARSE_ROWS);
  t.o1 = swage_min64 (call->dst.ne[0], t.o0 + SWAGE_SPARSE_OUTPUTS);
  return t;
}

static inline int64_t
swage_sparse_start (const SwageOpCall *call, int64_t o)
{
  const SwageView *start = &call->src[1];
  return start->type == SWAGE_TYPE_I64 ? ((const int64_t *)start->data)[o]
                                       : ((const int32_t *)start->data)[o];
}

static inline float
swage_sparse_value (const SwageOpCall *call, int64_t e)
{
  const SwageView *value = &call->src[3];
  return value->type == SWAGE_TYPE_F16 ? swage_f16_to_f32 (((const uint16_t *)value->data)[e])
                                       : ((const float *)value->data)[e];
}
