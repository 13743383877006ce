/* SPDX-License-Identifier: MIT
 *
 * A weight of plain integers in groups (SWAGE_TYPE_INT) while a method fills it: scales group by group, codes
 * one by one, in any order. Different groups and codes may be set from different threads.
 */
#pragma once

#include "core/linear/swage-weight.h"

typedef struct
{
  int64_t rows, cols, groups;
  int bits, group_size;
  bool symmetric;
  uint8_t *codes;   /* rows × cols, a byte each */
  uint16_t *scales; /* rows × groups, IEEE half */
  uint8_t *zeros;   /* rows × groups, or NULL when symmetric */
} SwageIntGrid;

void swage_int_grid_init (SwageIntGrid *grid, int64_t rows, int64_t cols, int bits, int group_size,
                          bool symmetric);
void swage_int_grid_clear (SwageIntGrid *grid);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SwageIntGrid, swage_int_grid_clear)

/* Columns of group g. */
static inline int64_t
swage_int_grid_length (const SwageIntGrid *grid, int64_t g)
{
  int64_t left = grid->cols - g * grid->group_size;
  return left < grid->group_size ? left : grid->group_size;
}

/* Scale and zero point for the columns of group g, by the type's own search: least Σ importance·error². */
void swage_int_grid_choose (SwageIntGrid *grid, int64_t row, int64_t g, const float *w,
                            const float *importance);
/* Round w: the code is noted, what it means returned. Scales must not have changed since for it to stay true.
 */
float swage_int_grid_round (SwageIntGrid *grid, int64_t row, int64_t col, float w);
/* The weight; its scales and zero points leave the grid. */
SwageWeight *swage_int_grid_take_weight (SwageIntGrid *grid);
/* N-bit codes of rows × cols, a byte each, as SWAGE_TYPE_INT stores them. */
GBytes *swage_int_grid_pack (const uint8_t *codes, int64_t rows, int64_t cols, int bits);
