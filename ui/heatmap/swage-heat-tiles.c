/* SPDX-License-Identifier: MIT */
#include "ui/heatmap/swage-heat-tiles.h"

#include <math.h>
#include <string.h>

#define T SWAGE_HEAT_TILE
/* Levels of this many samples or fewer are kept as a whole: 16 MiB, and a third more for those above. */
#define WHOLE_SAMPLES (INT64_C (4) << 20)
/* Rows decoded at a time while the coarse levels are made. */
#define SLICE_ELEMENTS (INT64_C (1) << 20)
#define MAX_LEVELS 24
#define MAX_TILES 192 /* of 256 KiB */

/* What threads share with the main one. */
typedef struct
{
  gatomicrefcount refs;
  SwageWeight *original, *plan;
  SwageHeatMode mode;
  int64_t rows, cols;
  int base; /* the finest level that is kept as a whole */
  GCancellable *cancellable;
  /* made by the first task */
  float *whole[MAX_LEVELS];
  int n_levels;
  double absmax;
} Source;

struct _SwageHeatTiles
{
  Source *source; /* whole, absmax: only when ready */
  SwageHeatFunc func;
  gpointer user_data;
  bool ready, fetching;
  GHashTable *tiles; /* key → SwageHeatTile */
  GArray *wanted;    /* keys */
  guint clock;
  int64_t element_row; /* that element_values are of */
  float *element_values[2];
};

static void
source_unref (Source *source)
{
  if (!g_atomic_ref_count_dec (&source->refs))
    return;
  for (int i = 0; i < MAX_LEVELS; i++)
    g_free (source->whole[i]);
  swage_weight_unref (source->original);
  g_clear_pointer (&source->plan, swage_weight_unref);
  g_object_unref (source->cancellable);
  g_free (source);
}

static Source *
source_ref (Source *source)
{
  g_atomic_ref_count_inc (&source->refs);
  return source;
}

static int64_t
count (int64_t n, int level)
{
  return (n + (INT64_C (1) << level) - 1) >> level;
}

static uint64_t
make_key (int level, int64_t row, int64_t col)
{
  return (uint64_t)level << 56 | (uint64_t)row << 28 | (uint64_t)col;
}

/* Rows [begin, end) as they are shown at level 0. `scratch` has room for as many. */
static void
decode (const Source *source, int64_t begin, int64_t end, float *dst, float *scratch)
{
  int64_t n = (end - begin) * source->cols;
  const SwageWeight *shown
      = source->mode == SWAGE_HEAT_ORIGINAL || source->plan == NULL ? source->original : source->plan;
  swage_weight_decode (shown, begin, end, dst);
  if (source->mode == SWAGE_HEAT_ZEROS)
    for (int64_t i = 0; i < n; i++)
      dst[i] = dst[i] == 0;
  else if (source->mode == SWAGE_HEAT_ERROR)
    {
      if (source->plan == NULL)
        memset (dst, 0, (size_t)n * sizeof *dst);
      else
        {
          swage_weight_decode (source->original, begin, end, scratch);
          for (int64_t i = 0; i < n; i++)
            dst[i] -= scratch[i];
        }
    }
}

/* One sample of `side`² values (fewer at the edges) with `stride` between rows. */
static float
pool (const float *values, int64_t width, int64_t height, int64_t stride, bool share)
{
  float best = 0;
  double sum = 0;
  for (int64_t r = 0; r < height; r++)
    for (int64_t c = 0; c < width; c++)
      {
        float v = values[r * stride + c];
        if (share)
          sum += (double)v;
        else if (!(fabsf (v) <= fabsf (best))) /* what is not a number wins */
          best = v;
      }
  return share ? (float)(sum / (double)(width * height)) : best;
}

/* `rows` × `cols` values pooled into blocks of side 2^shift. */
static void
pool_all (const float *values, int64_t rows, int64_t cols, int64_t stride, int shift, bool share, float *dst,
          int64_t dst_stride)
{
  int64_t side = INT64_C (1) << shift;
  for (int64_t r = 0; r < rows; r += side)
    for (int64_t c = 0; c < cols; c += side)
      dst[(r >> shift) * dst_stride + (c >> shift)]
          = pool (values + r * stride + c, MIN (side, cols - c), MIN (side, rows - r), stride, share);
}

/* --- coarse levels
 * ------------------------------------------------------------------------------------------- */

static void
make_whole (GTask *task, gpointer object, gpointer data, GCancellable *cancellable)
{
  Source *source = data;
  bool share = source->mode == SWAGE_HEAT_ZEROS;
  int base = source->base;
  int64_t side = INT64_C (1) << base;
  int64_t slice = MAX (side, SLICE_ELEMENTS / MAX (1, source->cols) / side * side);
  g_autofree float *values = g_new (float, (gsize)(slice * source->cols));
  g_autofree float *scratch = g_new (float, (gsize)(slice * source->cols));
  int64_t cols = count (source->cols, base);
  float *level = g_new (float, (gsize)(count (source->rows, base) * cols));
  source->whole[base] = level;
  for (int64_t row = 0; row < source->rows; row += slice)
    {
      int64_t n = MIN (slice, source->rows - row);
      if (g_cancellable_is_cancelled (source->cancellable))
        {
          g_task_return_boolean (task, FALSE);
          return;
        }
      decode (source, row, row + n, values, scratch);
      pool_all (values, n, source->cols, source->cols, base, share, level + (row >> base) * cols, cols);
    }
  for (int i = base; i + 1 < source->n_levels; i++)
    {
      int64_t rows = count (source->rows, i);
      cols = count (source->cols, i);
      int64_t above = count (source->cols, i + 1);
      source->whole[i + 1] = g_new (float, (gsize)(count (source->rows, i + 1) * above));
      /* at the edges a share of shares is a little off: the last sample may stand for fewer elements */
      pool_all (source->whole[i], rows, cols, cols, 1, share, source->whole[i + 1], above);
    }
  int top = source->n_levels - 1;
  int64_t n = count (source->rows, top) * count (source->cols, top);
  for (int64_t i = 0; i < n; i++)
    if (isfinite (source->whole[top][i]))
      source->absmax = fmax (source->absmax, fabs ((double)source->whole[top][i]));
  g_task_return_boolean (task, TRUE);
}

static void
on_whole (GObject *object, GAsyncResult *result, gpointer user_data)
{
  SwageHeatTiles *tiles = user_data;
  Source *source = g_task_get_task_data (G_TASK (result));
  /* freed meanwhile: then nobody may look at `tiles` */
  if (!g_task_propagate_boolean (G_TASK (result), NULL) || g_cancellable_is_cancelled (source->cancellable))
    return;
  tiles->ready = true;
  tiles->func (tiles->user_data);
}

SwageHeatTiles *
swage_heat_tiles_new (SwageWeight *original, SwageWeight *plan, SwageHeatMode mode, SwageHeatFunc func,
                      gpointer user_data)
{
  SwageHeatTiles *tiles = g_new0 (SwageHeatTiles, 1);
  Source *source = g_new0 (Source, 1);
  g_atomic_ref_count_init (&source->refs);
  source->original = swage_weight_ref (original);
  source->plan = plan != NULL ? swage_weight_ref (plan) : NULL;
  source->mode = mode;
  source->rows = original->rows;
  source->cols = original->cols;
  source->cancellable = g_cancellable_new ();
  while (count (source->rows, source->base) * count (source->cols, source->base) > WHOLE_SAMPLES)
    source->base++;
  source->n_levels = source->base + 1;
  while (source->n_levels < MAX_LEVELS
         && MAX (count (source->rows, source->n_levels - 1), count (source->cols, source->n_levels - 1)) > 1)
    source->n_levels++;
  tiles->source = source;
  tiles->func = func;
  tiles->user_data = user_data;
  tiles->wanted = g_array_new (FALSE, FALSE, sizeof (uint64_t));
  tiles->element_row = -1;
  tiles->tiles = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_whole, tiles);
  g_task_set_source_tag (task, swage_heat_tiles_new);
  g_task_set_task_data (task, source_ref (source), (GDestroyNotify)source_unref);
  g_task_run_in_thread (task, make_whole);
  return tiles;
}

static void
tile_free (SwageHeatTile *tile)
{
  g_free (tile->values);
  g_free (tile);
}

void
swage_heat_tiles_free (SwageHeatTiles *tiles)
{
  if (tiles == NULL)
    return;
  GHashTableIter iter;
  gpointer tile;
  g_hash_table_iter_init (&iter, tiles->tiles);
  while (g_hash_table_iter_next (&iter, NULL, &tile))
    tile_free (tile);
  g_hash_table_unref (tiles->tiles);
  g_array_unref (tiles->wanted);
  g_cancellable_cancel (tiles->source->cancellable);
  source_unref (tiles->source);
  g_free (tiles->element_values[0]);
  g_free (tiles->element_values[1]);
  g_free (tiles);
}

int64_t
swage_heat_tiles_get_rows (SwageHeatTiles *tiles)
{
  return tiles->source->rows;
}

int64_t
swage_heat_tiles_get_cols (SwageHeatTiles *tiles)
{
  return tiles->source->cols;
}

int
swage_heat_tiles_get_n_levels (SwageHeatTiles *tiles)
{
  return tiles->source->n_levels;
}

bool
swage_heat_tiles_is_ready (SwageHeatTiles *tiles)
{
  return tiles->ready;
}

double
swage_heat_tiles_get_absmax (SwageHeatTiles *tiles)
{
  return tiles->ready ? tiles->source->absmax : 0;
}

/* --- fine levels
 * --------------------------------------------------------------------------------------------- */

typedef struct
{
  Source *source;
  int n;
  struct
  {
    int level;
    int64_t row, col;
    SwageHeatTile *tile;
  } jobs[32]; /* of one level and row of tiles: their elements are decoded together */
} Fetch;

static void
fetch_free (Fetch *fetch)
{
  for (int i = 0; i < fetch->n; i++)
    if (fetch->jobs[i].tile != NULL)
      tile_free (fetch->jobs[i].tile);
  source_unref (fetch->source);
  g_free (fetch);
}

static SwageHeatTile *
tile_new (const Source *source, int level, int64_t row, int64_t col)
{
  SwageHeatTile *tile = g_new0 (SwageHeatTile, 1);
  tile->width = (int)MIN (T, count (source->cols, level) - col * T);
  tile->height = (int)MIN (T, count (source->rows, level) - row * T);
  tile->values = g_new0 (float, T *T);
  return tile;
}

static void
fetch_in_thread (GTask *task, gpointer object, gpointer data, GCancellable *cancellable)
{
  Fetch *fetch = data;
  const Source *source = fetch->source;
  int level = fetch->jobs[0].level;
  bool share = source->mode == SWAGE_HEAT_ZEROS;
  int64_t side = INT64_C (1) << level, first = fetch->jobs[0].row * T * side;
  int64_t last = MIN (source->rows, first + T * side),
          slice = MAX (side, SLICE_ELEMENTS / 4 / source->cols / side * side);
  g_autofree float *values = g_new (float, (gsize)(slice * source->cols));
  g_autofree float *scratch = g_new (float, (gsize)(slice * source->cols));
  for (int i = 0; i < fetch->n; i++)
    fetch->jobs[i].tile = tile_new (source, level, fetch->jobs[i].row, fetch->jobs[i].col);
  for (int64_t row = first; row < last && !g_cancellable_is_cancelled (source->cancellable); row += slice)
    {
      int64_t n = MIN (slice, last - row);
      decode (source, row, row + n, values, scratch);
      for (int i = 0; i < fetch->n; i++)
        {
          int64_t col = fetch->jobs[i].col * T * side, width = MIN (T * side, source->cols - col);
          pool_all (values + col, n, width, source->cols, level, share,
                    fetch->jobs[i].tile->values + ((row - first) >> level) * T, T);
        }
    }
  g_task_return_boolean (task, TRUE);
}

static void
evict (SwageHeatTiles *tiles)
{
  while (g_hash_table_size (tiles->tiles) >= MAX_TILES)
    {
      GHashTableIter iter;
      gpointer key, value, oldest = NULL;
      guint age = 0;
      g_hash_table_iter_init (&iter, tiles->tiles);
      while (g_hash_table_iter_next (&iter, &key, &value))
        if (oldest == NULL || tiles->clock - ((SwageHeatTile *)value)->used > age)
          {
            oldest = key;
            age = tiles->clock - ((SwageHeatTile *)value)->used;
          }
      tile_free (g_hash_table_lookup (tiles->tiles, oldest));
      g_hash_table_remove (tiles->tiles, oldest);
    }
}

static void
insert (SwageHeatTiles *tiles, uint64_t key, SwageHeatTile *tile)
{
  static uint64_t last_serial; /* of all that ever were: textures are known by it */
  evict (tiles);
  tile->serial = ++last_serial;
  tile->used = tiles->clock;
  g_hash_table_insert (tiles->tiles, g_memdup2 (&key, sizeof key), tile);
}

static void fetch_next (SwageHeatTiles *tiles);

static void
on_fetched (GObject *object, GAsyncResult *result, gpointer user_data)
{
  SwageHeatTiles *tiles = user_data;
  Fetch *fetch = g_task_get_task_data (G_TASK (result));
  if (g_cancellable_is_cancelled (fetch->source->cancellable))
    return;
  tiles->fetching = false;
  for (int i = 0; i < fetch->n; i++)
    {
      uint64_t key = make_key (fetch->jobs[i].level, fetch->jobs[i].row, fetch->jobs[i].col);
      if (g_hash_table_lookup (tiles->tiles, &key) == NULL)
        insert (tiles, key, g_steal_pointer (&fetch->jobs[i].tile));
      for (guint w = 0; w < tiles->wanted->len; w++)
        if (g_array_index (tiles->wanted, uint64_t, w) == key)
          g_array_remove_index (tiles->wanted, w--);
    }
  tiles->func (tiles->user_data);
  fetch_next (tiles);
}

static void
fetch_next (SwageHeatTiles *tiles)
{
  if (tiles->fetching || tiles->wanted->len == 0)
    return;
  Fetch *fetch = g_new0 (Fetch, 1);
  fetch->source = source_ref (tiles->source);
  uint64_t first = g_array_index (tiles->wanted, uint64_t, 0);
  for (guint i = 0; i < tiles->wanted->len && fetch->n < (int)G_N_ELEMENTS (fetch->jobs); i++)
    {
      uint64_t key = g_array_index (tiles->wanted, uint64_t, i);
      if (key >> 28 != first >> 28)
        continue;
      fetch->jobs[fetch->n].level = (int)(key >> 56);
      fetch->jobs[fetch->n].row = (int64_t)(key >> 28 & 0xfffffff);
      fetch->jobs[fetch->n].col = (int64_t)(key & 0xfffffff);
      fetch->n++;
    }
  tiles->fetching = true;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_fetched, tiles);
  g_task_set_source_tag (task, fetch_next);
  g_task_set_task_data (task, fetch, (GDestroyNotify)fetch_free);
  g_task_run_in_thread (task, fetch_in_thread);
}

void
swage_heat_tiles_begin (SwageHeatTiles *tiles)
{
  tiles->clock++;
  g_array_set_size (tiles->wanted, 0);
}

void
swage_heat_tiles_end (SwageHeatTiles *tiles)
{
  fetch_next (tiles);
}

const SwageHeatTile *
swage_heat_tiles_get (SwageHeatTiles *tiles, int level, int64_t row, int64_t col)
{
  const Source *source = tiles->source;
  if (!tiles->ready)
    return NULL;
  uint64_t key = make_key (level, row, col);
  SwageHeatTile *tile = g_hash_table_lookup (tiles->tiles, &key);
  if (tile == NULL && level >= source->base)
    {
      int64_t cols = count (source->cols, level);
      tile = tile_new (source, level, row, col);
      for (int i = 0; i < tile->height; i++)
        memcpy (tile->values + i * T, source->whole[level] + (row * T + i) * cols + col * T,
                (size_t)tile->width * sizeof (float));
      insert (tiles, key, tile);
    }
  if (tile == NULL)
    {
      g_array_append_val (tiles->wanted, key);
      return NULL;
    }
  tile->used = tiles->clock;
  return tile;
}

void
swage_heat_tiles_get_element (SwageHeatTiles *tiles, int64_t row, int64_t col, double *original, double *plan)
{
  const SwageWeight *weights[2] = { tiles->source->original, tiles->source->plan };
  double *out[2] = { original, plan };
  for (int i = 0; i < 2; i++)
    {
      *out[i] = NAN;
      if (weights[i] == NULL)
        continue;
      if (tiles->element_values[i] == NULL)
        tiles->element_values[i] = g_new (float, (gsize)tiles->source->cols);
      if (tiles->element_row != row)
        swage_weight_decode (weights[i], row, row + 1, tiles->element_values[i]);
      *out[i] = (double)tiles->element_values[i][col];
    }
  tiles->element_row = row;
}
