/* SPDX-License-Identifier: MIT
 *
 * Scales are found by the type's own quantizer, which is asked to encode the unit and whose blocks are then
 * taken apart (kernels/swage-grid.h): one search for each type, whoever uses it. Lanes are handed to it side
 * by side, so that its sixteen-block tiles are full also where a unit is a single small block.
 */
#include "core/method/swage-target.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define ROWS SWAGE_TARGET_ROWS

const char *const swage_target_types[] = { "q4_0", "q4_1", "q5_0", "q5_1",   "q8_0",   "q2_k", "q3_k",
                                           "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "int",  NULL };

SwageStorage
swage_target_get_storage (int choice, int bits, int group_size, bool symmetric)
{
  const char *id = swage_target_types[choice];

  if (g_str_equal (id, "int"))
    return (SwageStorage){
      .type = SWAGE_TYPE_INT, .bits = bits, .group_size = group_size, .symmetric = symmetric
    };
  return (SwageStorage){ .type = swage_type_from_id (id) };
}

bool
swage_target_is_stored_so (const SwageWeight *w, const SwageStorage *to)
{
  return w->type == to->type
         && (to->type != SWAGE_TYPE_INT
             || (w->bits == to->bits && w->group_size == to->group_size && w->symmetric == to->symmetric));
}

/* Of the types offered the one that holds rows of n values and is nearest in size to `type`; NULL when none
 * does. */
static const char *
find_fitting (SwageType type, int64_t n)
{
  const SwageTypeInfo *wanted = swage_type_get_info (type);
  const char *best = NULL;
  double best_distance = 0;

  for (int i = 0; swage_target_types[i] != NULL; i++)
    {
      const SwageTypeInfo *info = swage_type_get_info (swage_type_from_id (swage_target_types[i]));
      if (info->bytes == 0 || n % info->block != 0)
        continue;
      double distance = fabs ((double)info->bytes / info->block - (double)wanted->bytes / wanted->block);
      if (best == NULL || distance <= best_distance)
        {
          best = info->id;
          best_distance = distance;
        }
    }
  return best;
}

bool
swage_target_cost (const SwageStorage *to, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SwageTypeInfo *info = swage_type_get_info (to->type);

  if (!(in->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED)))
    {
      g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                           _ ("there is no weight left to round: an earlier step has replaced it."));
      return false;
    }
  if (to->type != SWAGE_TYPE_INT && in->n_in % info->block != 0)
    {
      const char *other = find_fitting (to->type, in->n_in);
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          other != NULL
              ? _ ("the weight has rows of %" PRId64
                   " values, and %s holds multiples of %d only; the nearest type that fits is %s, and "
                   "int fits any length.")
              : _ ("the weight has rows of %" PRId64
                   " values, and %s holds multiples of %d only; no block type fits, take int."),
          in->n_in, info->id, info->block, other);
      return false;
    }
  out->weight = *to;
  out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= SWAGE_PART_PACKED;
  out->sparsity = 0; /* errors are made up for by all weights, also by pruned ones */
  return true;
}

SwageTarget *
swage_target_new (const SwageStorage *to, int64_t cols)
{
  SwageTarget *t = g_new0 (SwageTarget, 1);

  t->to = *to;
  t->cols = cols;
  if (!swage_grid_get_info (to->type, &t->info))
    {
      t->unit = t->sub = MIN (to->group_size, cols);
      t->info = (SwageGridInfo){ .n_subs = 1, .levels = 1 << to->bits, .k_lo = 1, .k_hi = 1 };
      t->info.offset = to->symmetric ? (float)(1 << (to->bits - 1)) : 0;
    }
  else
    {
      t->unit = t->info.block;
      t->sub = t->info.sub;
    }
  t->n_units = (cols + t->unit - 1) / t->unit;
  t->n_subs = (cols + t->sub - 1) / t->sub;
  swage_grid_get_levels (&t->info, t->level);
  t->top = (float)(t->info.levels - 1);
  t->grids = g_new0 (SwageGrid, (gsize)t->n_units * ROWS);
  float **arrays[] = { &t->scale, &t->inverse, &t->min, &t->lowest };
  for (size_t i = 0; i < G_N_ELEMENTS (arrays); i++)
    *arrays[i] = g_new0 (float, (gsize)t->n_subs *ROWS);
  t->codes = g_malloc0 ((gsize)cols * ROWS);
  t->values = g_new (float, (gsize)t->unit *ROWS);
  t->importance = g_new (float, (gsize)t->unit *ROWS);
  size_t bytes = to->type == SWAGE_TYPE_INT ? swage_int_row_bytes (t->unit, to->bits)
                                            : ROWS * swage_type_row_bytes (to->type, t->unit);
  t->bytes = g_malloc (bytes);
  return t;
}

void
swage_target_free (SwageTarget *t)
{
  if (t == NULL)
    return;
  g_free (t->grids);
  g_free (t->scale);
  g_free (t->inverse);
  g_free (t->min);
  g_free (t->lowest);
  g_free (t->codes);
  g_free (t->values);
  g_free (t->importance);
  g_free (t->bytes);
  g_free (t);
}

int64_t
swage_target_unit_length (const SwageTarget *t, int64_t unit)
{
  return MIN (t->unit, t->cols - unit * t->unit);
}

void
swage_target_update (SwageTarget *t, int64_t unit)
{
  int n_subs = t->info.n_subs;

  for (int s = 0; s < n_subs; s++)
    {
      int64_t at = (unit * n_subs + s) * ROWS;
      for (int r = 0; r < ROWS; r++)
        {
          const SwageGrid *g = &t->grids[unit * ROWS + r];
          float scale = g->d * (float)g->k[s];
          t->scale[at + r] = scale;
          t->inverse[at + r] = fabsf (scale) > 1e-30f ? 1 / scale : 0;
          t->min[at + r] = g->dm * (float)g->km[s];
        }
    }
}

/* Groups of plain integers, lane by lane: their search works along the row. */
static void
choose_int (SwageTarget *t, int64_t unit, int64_t n, const float *importance)
{
  const SwageStorage *to = &t->to;

  for (int r = 0; r < ROWS; r++)
    {
      uint16_t scale;
      uint8_t zero = (uint8_t)t->info.offset;
      swage_int_from_f32 (t->values + r * n, importance, n, to->bits, (int)n, to->symmetric, t->bytes, &scale,
                          &zero);
      t->grids[unit * ROWS + r] = (SwageGrid){ .d = swage_f16_to_f32 (scale), .k = { 1 } };
      t->lowest[unit * ROWS + r] = -(float)zero;
    }
}

void
swage_target_choose (SwageTarget *t, int64_t unit, const float *v, const float *importance)
{
  int64_t n = swage_target_unit_length (t, unit);
  bool is_int = t->to.type == SWAGE_TYPE_INT;

  for (int64_t c0 = 0; c0 < n; c0 += 16) /* by small tiles: both sides stay in the cache */
    for (int r = 0; r < ROWS; r++)
      for (int64_t c = c0; c < MIN (n, c0 + 16); c++)
        t->values[r * n + c] = v[c * ROWS + r];
  if (is_int)
    choose_int (t, unit, n, importance);
  else
    {
      for (int r = 0; r < ROWS && importance != NULL; r++)
        memcpy (t->importance + r * n, importance, (size_t)n * sizeof (float));
      swage_type_from_f32 (t->to.type, t->values, importance != NULL ? t->importance : NULL, t->bytes,
                           ROWS * n);
      size_t bytes = swage_type_row_bytes (t->to.type, n);
      for (int r = 0; r < ROWS; r++)
        swage_grid_read (t->to.type, t->bytes + (size_t)r * bytes, &t->grids[unit * ROWS + r], NULL);
      for (int64_t i = unit * t->info.n_subs * ROWS; i < (unit + 1) * t->info.n_subs * ROWS; i++)
        t->lowest[i] = t->level[0];
    }
  swage_target_update (t, unit);
}

void
swage_target_round (SwageTarget *t, int64_t col, const float *v, float *w_hat)
{
  const int64_t at = col / t->sub * ROWS;
  const float *restrict scale = t->scale + at, *restrict inverse = t->inverse + at,
                        *restrict min = t->min + at;
  const float *restrict lowest = t->lowest + at;
  uint8_t *restrict codes = t->codes + col * ROWS;
  const float top = t->top, magic = 12582912.0f; /* 1.5·2²³: adding it rounds to an integer, halves to even */

  if (t->info.book)
    {
      for (int r = 0; r < ROWS; r++)
        {
          codes[r] = (uint8_t)swage_grid_find_level (&t->info, v[r] * inverse[r]);
          w_hat[r] = scale[r] * t->level[codes[r]];
        }
      return;
    }
  /* −128 is left out: some readers negate codes */
  const float first = t->to.type == SWAGE_TYPE_Q8_0 ? 1 : 0;
  float q[ROWS];
  for (int r = 0; r < ROWS; r++)
    {
      float low = lowest[r] + first, high = lowest[r] + top, x = (v[r] + min[r]) * inverse[r];
      x = x > low ? x : low;
      x = x < high ? x : high;
      x = (x + magic) - magic;
      w_hat[r] = scale[r] * x - min[r];
      q[r] = x - lowest[r];
    }
  for (int r = 0; r < ROWS; r++)
    codes[r] = (uint8_t)(int)q[r];
}

void
swage_target_get_levels (const SwageTarget *t, int64_t col, float *level)
{
  const uint8_t *codes = t->codes + col * ROWS;
  const float *lowest = t->lowest + col / t->sub * ROWS;

  if (t->info.book)
    for (int r = 0; r < ROWS; r++)
      level[r] = t->level[codes[r]];
  else
    for (int r = 0; r < ROWS; r++)
      level[r] = (float)codes[r] + lowest[r];
}

void
swage_target_decode (const SwageTarget *t, int64_t col, float *w_hat)
{
  const int64_t at = col / t->sub * ROWS;

  swage_target_get_levels (t, col, w_hat);
  for (int r = 0; r < ROWS; r++)
    w_hat[r] = t->scale[at + r] * w_hat[r] - t->min[at + r];
}

void
swage_target_write (SwageTarget *t, int lane, uint8_t *codes, uint16_t *scales, uint8_t *zeros)
{
  if (t->to.type == SWAGE_TYPE_INT)
    {
      g_autofree uint8_t *row = g_malloc ((gsize)t->cols);
      for (int64_t c = 0; c < t->cols; c++)
        row[c] = t->codes[c * ROWS + lane];
      swage_int_put_codes (row, t->cols, t->to.bits, codes);
      for (int64_t u = 0; u < t->n_units; u++)
        {
          scales[u] = swage_f32_to_f16 (t->grids[u * ROWS + lane].d);
          if (zeros != NULL)
            zeros[u] = (uint8_t)(int)-t->lowest[u * ROWS + lane];
        }
      return;
    }

  size_t bytes = swage_type_row_bytes (t->to.type, t->unit);
  for (int64_t u = 0; u < t->n_units; u++)
    {
      uint8_t block[SWAGE_GRID_BLOCK];
      for (int64_t c = 0; c < t->unit; c++)
        block[c] = t->codes[(u * t->unit + c) * ROWS + lane];
      swage_grid_write (t->to.type, &t->grids[u * ROWS + lane], block, codes + (size_t)u * bytes);
    }
}
