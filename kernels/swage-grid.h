/* SPDX-License-Identifier: MIT
 *
 * Block types taken apart: the numbers that a block can express, without rounding anything. For methods that
 * choose codes and scales themselves and need exactly these in a file.
 *
 * A block has `n_subs` sub-blocks of `sub` elements. Code q (0 <= q < levels) of an element of sub-block s
 * means
 *
 *   scale_s·level(q) − min_s,     scale_s = d·k_s,   min_s = dm·km_s,   level(q) = q − offset, or a value of
 * IQ4's book
 *
 * in float arithmetic, one rounding per product and per difference: what swage_type_to_f32() gives. d and dm
 * are halves as floats; k and km are integers (1 where the type has none; km 0 where it has no minimum).
 *
 * Pure functions of any thread, without allocation; for the quantized types but SWAGE_TYPE_INT.
 */
#pragma once

#include "kernels/swage-type.h"

#define SWAGE_GRID_SUBS 16
#define SWAGE_GRID_BLOCK 256

typedef struct
{
  int block, sub, n_subs; /* elements of a block, of a sub-block; sub-blocks of a block */
  int levels;
  float offset; /* of codes; 0 with a book or a minimum */
  bool book, has_min;
  bool min_negative; /* dm may be below 0 (Q4_1, Q5_1: any minimum) */
  int k_lo, k_hi;    /* range of k; both 1: the type has no integer scales */
  int km_hi;         /* km is in 0..km_hi; 1 with has_min and k_hi 1: always 1 */
} SwageGridInfo;

typedef struct
{
  float d, dm;
  int16_t k[SWAGE_GRID_SUBS], km[SWAGE_GRID_SUBS];
} SwageGrid;

/* FALSE for types that are not made of such blocks. */
bool swage_grid_get_info (SwageType type, SwageGridInfo *info);
/* The levels in rising order, `levels` numbers (256 at most). */
void swage_grid_get_levels (const SwageGridInfo *info, float *level);
/* The index of the level nearest to x (of two the one that the type's quantizer takes). */
int swage_grid_find_level (const SwageGridInfo *info, float x);

/* Take the block at `src` apart; `codes` gets `block` codes and may be NULL. */
void swage_grid_read (SwageType type, const void *src, SwageGrid *grid, uint8_t *codes);
/* Write a block: d and dm are rounded to half precision (they are halves already, or the caller wants that).
 */
void swage_grid_write (SwageType type, const SwageGrid *grid, const uint8_t *codes, void *dst);
/* n codes of `bits` each, little-endian, as SWAGE_TYPE_INT has them: swage_int_row_bytes (n, bits) bytes. */
void swage_int_put_codes (const uint8_t *codes, int64_t n, int bits, uint8_t *dst);
