/* SPDX-License-Identifier: MIT
 *
 * Weights are reference-counted boxes around GBytes. Encoding and decoding go row by row over the worker
 * pool: a row is the unit of every codec (importance, groups, zero points), so the result cannot depend on
 * how rows are shared out.
 */
#include "core/linear/swage-weight.h"

#include <stdatomic.h>
#include "core/base/swage-pool.h"
#include "kernels/swage-layout.h"

/* Elements worth a trip through the pool: below this, handing out work costs more than decoding. */
#define CHUNK_ELEMENTS 16384

static int64_t
rows_per_chunk (int64_t cols)
{
  return MAX (1, CHUNK_ELEMENTS / MAX (1, cols));
}

SwageWeight *
swage_weight_new (SwageType type, int64_t rows, int64_t cols, GBytes *data)
{
  size_t row_bytes = swage_type_row_bytes (type, cols);

  g_assert (type != SWAGE_TYPE_INT && rows > 0 && row_bytes > 0);
  g_assert (g_bytes_get_size (data) / row_bytes >= (size_t)rows);

  SwageWeight *w = g_atomic_rc_box_new0 (SwageWeight);
  w->type = type;
  w->rows = rows;
  w->cols = cols;
  w->row_bytes = row_bytes;
  w->data = data;
  return w;
}

SwageWeight *
swage_weight_new_int (int64_t rows, int64_t cols, int bits, int group_size, bool symmetric, GBytes *codes,
                      GBytes *scales, GBytes *zeros)
{
  g_assert (rows > 0 && cols > 0 && bits >= 2 && bits <= 8 && group_size >= 1);

  size_t row_bytes = swage_int_row_bytes (cols, bits);
  size_t groups = (size_t)swage_int_groups (cols, group_size);
  g_assert (g_bytes_get_size (codes) / row_bytes >= (size_t)rows);
  g_assert (g_bytes_get_size (scales) / sizeof (uint16_t) / groups >= (size_t)rows);
  g_assert (symmetric == (zeros == NULL));
  g_assert (symmetric || g_bytes_get_size (zeros) / groups >= (size_t)rows);

  SwageWeight *w = g_atomic_rc_box_new0 (SwageWeight);
  w->type = SWAGE_TYPE_INT;
  w->rows = rows;
  w->cols = cols;
  w->row_bytes = row_bytes;
  w->data = codes;
  w->bits = bits;
  w->group_size = group_size;
  w->symmetric = symmetric;
  w->scales = scales;
  w->zeros = zeros;
  return w;
}

SwageWeight *
swage_weight_new_int_two_level (int64_t rows, int64_t cols, int bits, int group_size, int stat_bits,
                                int stat_group, GBytes *codes, GBytes *steps, GBytes *levels, GBytes *zeros)
{
  g_assert (stat_bits >= 1 && stat_bits <= 8 && stat_group >= 1);

  int64_t groups = swage_int_groups (cols, group_size);
  size_t n = (size_t)rows * (size_t)groups, n_steps = (size_t)((rows + stat_group - 1) / stat_group * groups);
  g_assert (g_bytes_get_size (levels) >= n && g_bytes_get_size (steps) / (2 * sizeof (uint16_t)) >= n_steps);

  const uint8_t *level = g_bytes_get_data (levels, NULL);
  const uint16_t *step = g_bytes_get_data (steps, NULL);
  uint16_t *scales = g_new (uint16_t, n);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t g = 0; g < groups; g++)
      {
        const uint16_t *pair = step + 2 * (r / stat_group * groups + g);
        scales[r * groups + g] = swage_f32_to_f16 (
            swage_f16_to_f32 (pair[0]) + swage_f16_to_f32 (pair[1]) * (float)level[r * groups + g]);
      }
  SwageWeight *w = swage_weight_new_int (rows, cols, bits, group_size, false, codes,
                                         g_bytes_new_take (scales, n * sizeof (uint16_t)), zeros);
  w->stat_bits = stat_bits;
  w->stat_group = stat_group;
  w->levels = levels;
  w->steps = steps;
  return w;
}

uint64_t
swage_weight_count_two_level_bytes (int bits, int group_size, int stat_bits, int stat_group, int64_t rows,
                                    int64_t cols)
{
  uint64_t groups, n, n_steps, codes;

  if (rows <= 0 || cols <= 0 || group_size < 1 || stat_group < 1)
    return 0;
  groups = (uint64_t)swage_int_groups (cols, group_size);
  n_steps = ((uint64_t)rows + (uint64_t)stat_group - 1) / (uint64_t)stat_group * groups;
  if (!g_uint64_checked_mul (&n, (uint64_t)rows, groups)
      || !g_uint64_checked_mul (&codes, (uint64_t)rows, swage_int_row_bytes (cols, bits))
      || n > G_MAXUINT64 / 32)
    return 0;
  return codes + (n * (uint64_t)(bits + stat_bits) + 7) / 8 + n_steps * 2 * sizeof (uint16_t);
}

SwageWeight *
swage_weight_new_layout (SwageType type, int64_t rows, int64_t cols, int bits, int group_size, bool symmetric,
                         GBytes *codes, GBytes *scales)
{
  g_assert (rows > 0 && type != SWAGE_TYPE_INT && swage_layout_is_valid (type, cols, bits, group_size));

  size_t row_bytes = swage_layout_code_bytes (type, cols, bits, group_size);
  size_t n_scales = (size_t)swage_layout_scales (type, cols, bits, group_size, symmetric);
  g_assert (g_bytes_get_size (codes) / row_bytes >= (size_t)rows);
  g_assert ((n_scales == 0) == (scales == NULL));
  g_assert (n_scales == 0 || g_bytes_get_size (scales) / sizeof (uint16_t) / n_scales >= (size_t)rows);

  SwageWeight *w = g_atomic_rc_box_new0 (SwageWeight);
  w->type = type;
  w->rows = rows;
  w->cols = cols;
  w->row_bytes = row_bytes;
  w->data = codes;
  w->bits = bits;
  w->group_size = group_size;
  w->symmetric = symmetric;
  w->scales = scales;
  return w;
}

/* One pass over rows through the pool: what is encoded, and where it goes. */
typedef struct
{
  SwageType type;
  int64_t cols;
  const float *values, *importance;
  uint8_t *data;
  size_t row_bytes;
  int bits, group_size;
  bool symmetric;
  int64_t groups;
  uint16_t *scales;
  uint8_t *zeros;
} Encode;

static void
encode_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Encode *e = user_data;

  /* blocks do not know where rows end; the search is faster on many of them at once */
  if (e->type != SWAGE_TYPE_INT && e->importance == NULL)
    {
      swage_type_from_f32 (e->type, e->values + begin * e->cols, NULL, e->data + (size_t)begin * e->row_bytes,
                           (end - begin) * e->cols);
      return;
    }
  for (int64_t r = begin; r < end; r++)
    {
      const float *src = e->values + r * e->cols;
      uint8_t *dst = e->data + (size_t)r * e->row_bytes;
      if (e->type != SWAGE_TYPE_INT)
        swage_type_from_f32 (e->type, src, e->importance, dst, e->cols);
      else
        swage_int_from_f32 (src, e->importance, e->cols, e->bits, e->group_size, e->symmetric, dst,
                            e->scales + r * e->groups, e->zeros != NULL ? e->zeros + r * e->groups : NULL);
    }
}

SwageWeight *
swage_weight_new_from_f32 (SwageType type, int64_t rows, int64_t cols, const float *values,
                           const float *importance)
{
  Encode e = { .type = type, .cols = cols, .values = values, .importance = importance };

  e.row_bytes = swage_type_row_bytes (type, cols);
  g_assert (type != SWAGE_TYPE_INT && rows > 0 && e.row_bytes > 0);
  e.data = g_malloc_n ((size_t)rows, e.row_bytes);
  swage_pool_run (rows, rows_per_chunk (cols), encode_rows, &e);
  return swage_weight_new (type, rows, cols, g_bytes_new_take (e.data, (size_t)rows * e.row_bytes));
}

SwageWeight *
swage_weight_new_int_from_f32 (int64_t rows, int64_t cols, int bits, int group_size, bool symmetric,
                               const float *values, const float *importance)
{
  Encode e = { .type = SWAGE_TYPE_INT,
               .cols = cols,
               .values = values,
               .importance = importance,
               .bits = bits,
               .group_size = group_size,
               .symmetric = symmetric };

  g_assert (rows > 0 && cols > 0 && bits >= 2 && bits <= 8 && group_size >= 1);
  e.row_bytes = swage_int_row_bytes (cols, bits);
  e.groups = swage_int_groups (cols, group_size);
  size_t n_groups = (size_t)rows * (size_t)e.groups;
  e.data = g_malloc_n ((size_t)rows, e.row_bytes);
  e.scales = g_new (uint16_t, n_groups);
  e.zeros = symmetric ? NULL : g_new (uint8_t, n_groups);
  swage_pool_run (rows, rows_per_chunk (cols), encode_rows, &e);
  return swage_weight_new_int (rows, cols, bits, group_size, symmetric,
                               g_bytes_new_take (e.data, (size_t)rows * e.row_bytes),
                               g_bytes_new_take (e.scales, n_groups * sizeof (uint16_t)),
                               symmetric ? NULL : g_bytes_new_take (e.zeros, n_groups));
}

SwageWeight *
swage_weight_ref (SwageWeight *w)
{
  return g_atomic_rc_box_acquire (w);
}

static void
weight_clear (gpointer box)
{
  SwageWeight *w = box;

  g_bytes_unref (w->data);
  g_clear_pointer (&w->scales, g_bytes_unref);
  g_clear_pointer (&w->zeros, g_bytes_unref);
  g_clear_pointer (&w->levels, g_bytes_unref);
  g_clear_pointer (&w->steps, g_bytes_unref);
}

void
swage_weight_unref (SwageWeight *w)
{
  if (w != NULL)
    g_atomic_rc_box_release_full (w, weight_clear);
}

uint64_t
swage_weight_get_bytes (const SwageWeight *w)
{
  if (w->stat_group > 0)
    return swage_weight_count_two_level_bytes (w->bits, w->group_size, w->stat_bits, w->stat_group, w->rows,
                                               w->cols);
  return swage_weight_count_bytes (w->type, w->bits, w->group_size, w->symmetric, w->rows, w->cols);
}

uint64_t
swage_weight_count_bytes (SwageType type, int bits, int group_size, bool symmetric, int64_t rows,
                          int64_t cols)
{
  uint64_t row, total;

  if (rows <= 0 || cols <= 0)
    return 0;
  if (type == SWAGE_TYPE_INT)
    {
      if (bits < 2 || bits > 8 || group_size < 1)
        return 0;
      row = swage_int_row_bytes (cols, bits)
            + (uint64_t)swage_int_groups (cols, group_size) * (symmetric ? 2 : 3);
    }
  else if (swage_type_is_layout (type))
    row = swage_layout_code_bytes (type, cols, bits, group_size)
          + sizeof (uint16_t) * (uint64_t)swage_layout_scales (type, cols, bits, group_size, symmetric);
  else
    row = swage_type_row_bytes (type, cols);
  return g_uint64_checked_mul (&total, row, (uint64_t)rows) ? total : 0;
}

static atomic_uint_fast64_t decoded_bytes;

uint64_t
swage_weight_get_decoded_bytes (void)
{
  return atomic_load_explicit (&decoded_bytes, memory_order_relaxed);
}

void
swage_weight_decode (const SwageWeight *w, int64_t begin, int64_t end, float *dst)
{
  const uint8_t *data = g_bytes_get_data (w->data, NULL);

  g_assert (begin >= 0 && begin <= end && end <= w->rows);
  atomic_fetch_add_explicit (&decoded_bytes, (uint64_t)(end - begin) * w->row_bytes, memory_order_relaxed);
  if (swage_type_is_layout (w->type) && w->type != SWAGE_TYPE_INT)
    {
      int64_t n_scales = swage_layout_scales (w->type, w->cols, w->bits, w->group_size, w->symmetric);
      const uint16_t *all = w->scales != NULL ? g_bytes_get_data (w->scales, NULL) : NULL;
      for (int64_t r = begin; r < end; r++, dst += w->cols)
        swage_layout_decode (w->type, data + (size_t)r * w->row_bytes, all != NULL ? all + r * n_scales : NULL,
                             w->cols, 0, w->cols, w->bits, w->group_size, w->symmetric, dst);
      return;
    }
  if (w->type != SWAGE_TYPE_INT)
    {
      for (int64_t r = begin; r < end; r++, dst += w->cols)
        swage_type_to_f32 (w->type, data + (size_t)r * w->row_bytes, dst, w->cols);
      return;
    }

  int64_t groups = swage_int_groups (w->cols, w->group_size);
  const uint16_t *scales = g_bytes_get_data (w->scales, NULL);
  const uint8_t *zeros = w->zeros != NULL ? g_bytes_get_data (w->zeros, NULL) : NULL;
  for (int64_t r = begin; r < end; r++, dst += w->cols)
    swage_int_to_f32 (data + (size_t)r * w->row_bytes, scales + r * groups,
                      zeros != NULL ? zeros + r * groups : NULL, w->cols, w->bits, w->group_size,
                      w->symmetric, dst);
}

typedef struct
{
  const SwageWeight *w;
  float *dst;
} Decode;

static void
decode_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Decode *d = user_data;

  swage_weight_decode (d->w, begin, end, d->dst + begin * d->w->cols);
}

float *
swage_weight_decode_all (const SwageWeight *w)
{
  Decode d = { w, g_malloc_n ((size_t)w->rows, (size_t)w->cols * sizeof (float)) };

  swage_pool_run (w->rows, rows_per_chunk (w->cols), decode_rows, &d);
  return d.dst;
}

SwageView
swage_weight_get_view (const SwageWeight *w)
{
  g_assert (!swage_type_is_layout (w->type));
  return swage_view (w->type, g_bytes_get_data (w->data, NULL), w->cols, w->rows, 1, 1);
}
