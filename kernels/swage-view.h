/* SPDX-License-Identifier: MIT
 *
 * What the reference and the fast version of an operator share: addresses inside views, and decoding pieces
 * of weight rows. Private to kernels/.
 */
#pragma once

#include <string.h>
#include "kernels/swage-op.h"

/* Address of row (i1, i2, i3). */
static inline void *
swage_view_row (const SwageView *v, int64_t i1, int64_t i2, int64_t i3)
{
  return (char *)v->data + i1 * v->nb[1] + i2 * v->nb[2] + i3 * v->nb[3];
}

/* Rows in dimensions 1..3, and the address of the r-th of them. */
static inline int64_t
swage_view_rows (const SwageView *v)
{
  return v->ne[1] * v->ne[2] * v->ne[3];
}

static inline void *
swage_view_nth_row (const SwageView *v, int64_t r)
{
  int64_t i1 = r % v->ne[1], q = r / v->ne[1];
  return swage_view_row (v, i1, q % v->ne[2], q / v->ne[2]);
}

/* Element i of a vector of floats that may be absent. */
static inline float
swage_view_float (const SwageView *v, int64_t i, float absent)
{
  return v->data ? ((const float *)v->data)[i] : absent;
}

/* Row r of a result that is F64 or F32, as the caller chose. */
static inline void
swage_view_store_doubles (const SwageView *v, int64_t r, const double *values, int n)
{
  void *row = swage_view_row (v, r, 0, 0);
  for (int i = 0; i < n; i++)
    if (v->type == SWAGE_TYPE_F64)
      ((double *)row)[i] = values[i];
    else
      ((float *)row)[i] = (float)values[i];
}

static inline int64_t
swage_min64 (int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static inline int64_t
swage_max64 (int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static inline int64_t
swage_ceil_div (int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

static inline size_t
swage_align64 (size_t n)
{
  return (n + 63) & ~(size_t)63;
}

/* Rows of a weight of any type; layouts take their scales (and SWAGE_TYPE_INT its zeros) from two more views.
 */
typedef struct
{
  const SwageView *codes, *scales, *zeros;
  int bits, group;
} SwageRows;

/* Decode elements [from, from + n) of row r to out. `from` is a multiple of 256, and `from + n` too unless it
 * is the end of the row, so that no block is cut. Returns out, or the row itself where it already is float32.
 */
const float *swage_rows_decode (const SwageRows *w, int64_t r, int64_t from, int64_t n, float *out);

/* Elements [from, from + n) of a row of a plain or block type, with the same rule. */
static inline const float *
swage_row_decode (SwageType type, const void *row, int64_t from, int64_t n, float *out)
{
  if (type == SWAGE_TYPE_F32 && (uintptr_t)row % sizeof (float) == 0) /* a mapped file may lie askew */
    return (const float *)row + from;
  const SwageTypeInfo *info = swage_type_get_info (type);
  swage_type_to_f32 (type, (const char *)row + from / info->block * info->bytes, out, n);
  return out;
}

/* The tiles of matmul: fixed by the shape alone, so a result does not depend on who computes it. */
#define SWAGE_MATMUL_GEMV 8  /* at most this many rows of x: one dot product after another, no packing */
#define SWAGE_MATMUL_NB 256  /* rows of W in a tile */
#define SWAGE_MATMUL_KB 512  /* columns decoded at once */
#define SWAGE_MATMUL_MB 2072 /* most rows of x in a tile */

typedef struct
{
  int64_t mb, nb, m_tiles, n_tiles;
} SwageMatmulTiles;

SwageMatmulTiles swage_matmul_tiles (const SwageOpCall *call);

/* bcq_matmul: rows of W that share tables, and inputs whose tables are held at once (128 KiB). */
#define SWAGE_BCQ_ROWS 512
#define SWAGE_BCQ_COLS 1024

/* Whether the fast histogram counts 16-bit patterns, which wants 2^18 values or more in a part. */
static inline bool
swage_histogram_by_pattern (const SwageOpCall *call)
{
  const SwageView *x = &call->src[0];
  return (x->type == SWAGE_TYPE_F16 || x->type == SWAGE_TYPE_BF16)
         && x->ne[0] * swage_view_rows (x) / swage_max64 (1, call->dst.ne[1]) >= 1 << 18;
}

#define SWAGE_CHANNEL_BLOCK 128 /* columns in a slice of channel_stats */

/* Rows of a view that are shared out to the columns of the result: part p takes rows [*r0, *r1). */
static inline void
swage_part_rows (const SwageView *x, int64_t parts, int64_t p, int64_t *r0, int64_t *r1)
{
  int64_t n = swage_view_rows (x), each = swage_ceil_div (n, parts);
  *r0 = swage_min64 (n, p * each);
  *r1 = swage_min64 (n, *r0 + each);
}
