/* SPDX-License-Identifier: MIT
 *
 * A matrix as tiles of several levels. Level 0 is the elements; in level l one sample stands for 2^l × 2^l of
 * them: the one of largest magnitude, so that a single outlier is seen from afar (for zeros: the share of
 * them). Coarse levels are made in one pass over the matrix in the background, fine ones tile by tile as they
 * are looked at; the matrix is never decoded as a whole. Main thread.
 */
#pragma once

#include "core/linear/swage-weight.h"

#define SWAGE_HEAT_TILE 256

typedef enum
{
  SWAGE_HEAT_ORIGINAL,
  SWAGE_HEAT_PLAN,
  SWAGE_HEAT_ERROR, /* plan − original */
  SWAGE_HEAT_ZEROS, /* of the plan, or the original where it does nothing */
  SWAGE_HEAT_N_MODES
} SwageHeatMode;

typedef struct
{
  uint64_t serial; /* another one for every tile that ever was */
  int width, height;
  float *values; /* SWAGE_HEAT_TILE a row */
  guint used;    /* private */
} SwageHeatTile;

typedef struct _SwageHeatTiles SwageHeatTiles;
/* Called on the main thread whenever there is more to see. */
typedef void (*SwageHeatFunc) (gpointer user_data);

/* `plan` NULL: the plan leaves the layer alone; both have the same shape. */
SwageHeatTiles *swage_heat_tiles_new (SwageWeight *original, SwageWeight *plan, SwageHeatMode mode,
                                      SwageHeatFunc func, gpointer user_data);
/* Stops what runs; func is not called any more. */
void swage_heat_tiles_free (SwageHeatTiles *tiles);
int64_t swage_heat_tiles_get_rows (SwageHeatTiles *tiles);
int64_t swage_heat_tiles_get_cols (SwageHeatTiles *tiles);
int swage_heat_tiles_get_n_levels (SwageHeatTiles *tiles);
/* Whether the coarse levels are there, and with them the largest magnitude. */
bool swage_heat_tiles_is_ready (SwageHeatTiles *tiles);
double swage_heat_tiles_get_absmax (SwageHeatTiles *tiles);
/* Begin to ask for another picture: what an earlier one lacked, and this one does not ask for, is dropped. */
void swage_heat_tiles_begin (SwageHeatTiles *tiles);
/* A tile, borrowed until the picture after the next one; NULL: not there, and fetched if nothing else is
 * asked for meanwhile. */
const SwageHeatTile *swage_heat_tiles_get (SwageHeatTiles *tiles, int level, int64_t row, int64_t col);
void swage_heat_tiles_end (SwageHeatTiles *tiles);
/* The element itself, exactly: of the original and of the plan (NaN without one). Decodes one row. */
void swage_heat_tiles_get_element (SwageHeatTiles *tiles, int64_t row, int64_t col, double *original,
                                   double *plan);
