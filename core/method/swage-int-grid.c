/* SPDX-License-Identifier: MIT
 *
 * The search for a scale is the type's own (kernels/type/codec-int.c); rounding and packing follow its layout.
 */
#include "core/method/swage-int-grid.h"

#include <math.h>
#include "core/base/swage-pool.h"

void
swage_int_grid_init (SwageIntGrid *grid, int64_t rows, int64_t cols, int bits, int group_size, bool symmetric)
{
  *grid = (SwageIntGrid){ .rows = rows,
                          .cols = cols,
                          .groups = swage_int_groups (cols, group_size),
                          .bits = bits,
                          .group_size = group_size,
                          .symmetric = symmetric };
  grid->codes = g_malloc0_n ((gsize)rows, (gsize)cols);
  grid->scales = g_malloc0_n ((gsize)rows, (gsize)grid->groups * sizeof (uint16_t));
  grid->zeros = symmetric ? NULL : g_malloc0_n ((gsize)rows, (gsize)grid->groups);
}

void
swage_int_grid_clear (SwageIntGrid *grid)
{
  g_free (grid->codes);
  g_free (grid->scales);
  g_free (grid->zeros);
  *grid = (SwageIntGrid){ 0 };
}

void
swage_int_grid_choose (SwageIntGrid *grid, int64_t row, int64_t g, const float *w, const float *importance)
{
  int64_t n = swage_int_grid_length (grid, g), at = row * grid->groups + g;

  /* codes are found one by one later; these go where the group's own will be */
  g_assert (swage_int_row_bytes (n, grid->bits) <= (size_t)n);
  swage_int_from_f32 (w, importance, n, grid->bits, (int)n, grid->symmetric,
                      grid->codes + row * grid->cols + g * grid->group_size, grid->scales + at,
                      grid->symmetric ? NULL : grid->zeros + at);
}

float
swage_int_grid_round (SwageIntGrid *grid, int64_t row, int64_t col, float w)
{
  int64_t at = row * grid->groups + col / grid->group_size;
  float scale = swage_f16_to_f32 (grid->scales[at]), top = (float)((1 << grid->bits) - 1);
  float zero = grid->symmetric ? (float)(1 << (grid->bits - 1)) : (float)grid->zeros[at];
  float code = scale != 0 ? rintf (w / scale) + zero : zero;

  code = CLAMP (code, 0, top);
  grid->codes[row * grid->cols + col] = (uint8_t)code;
  return scale * (code - zero);
}

typedef struct
{
  const uint8_t *codes;
  uint8_t *packed;
  int64_t cols;
  size_t row_bytes;
  int bits;
} Pack;

static void
pack_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Pack *p = user_data;

  for (int64_t r = begin; r < end; r++)
    {
      const uint8_t *code = p->codes + r * p->cols;
      uint8_t *to = p->packed + (size_t)r * p->row_bytes;
      uint32_t held = 0;
      int n_held = 0;
      for (int64_t i = 0; i < p->cols; i++)
        {
          held |= (uint32_t)code[i] << n_held;
          for (n_held += p->bits; n_held >= 8; n_held -= 8, held >>= 8)
            *to++ = (uint8_t)held;
        }
      if (n_held > 0)
        *to = (uint8_t)held;
    }
}

GBytes *
swage_int_grid_pack (const uint8_t *codes, int64_t rows, int64_t cols, int bits)
{
  size_t row_bytes = swage_int_row_bytes (cols, bits);
  Pack p = { codes, g_malloc_n ((gsize)rows, row_bytes), cols, row_bytes, bits };

  swage_pool_run (rows, 16, pack_rows, &p);
  return g_bytes_new_take (p.packed, (gsize)rows * row_bytes);
}

SwageWeight *
swage_int_grid_take_weight (SwageIntGrid *grid)
{
  gsize n = (gsize)grid->rows * (gsize)grid->groups;
  GBytes *scales = g_bytes_new_take (g_steal_pointer (&grid->scales), n * sizeof (uint16_t));
  GBytes *zeros = grid->symmetric ? NULL : g_bytes_new_take (g_steal_pointer (&grid->zeros), n);

  return swage_weight_new_int (grid->rows, grid->cols, grid->bits, grid->group_size, grid->symmetric,
                               swage_int_grid_pack (grid->codes, grid->rows, grid->cols, grid->bits), scales,
                               zeros);
}
