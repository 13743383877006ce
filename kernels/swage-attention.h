/* SPDX-License-Identifier: MIT
 *
 * How attention is cut into slices: shared by the reference and the fast version. Private to kernels/.
 */
#pragma once

#include "kernels/swage-view.h"

#define SWAGE_ATTENTION_ROWS                                                                                 \
  224 /* rows (queries times heads of a group) that a slice aims at: 16 panels of 14 */
#define SWAGE_ATTENTION_KEYS 128 /* keys in a step of the streaming softmax */

typedef struct
{
  int64_t group;    /* heads that share a key head */
  int64_t tile;     /* queries in a slice */
  int64_t per_head; /* slices of a key head of a sequence */
  int64_t slices;
} SwageAttentionTiles;

typedef struct
{
  int64_t seq, kv_head, t0, t1;
} SwageAttentionTile;

static inline SwageAttentionTiles
swage_attention_tiles (const SwageOpCall *call)
{
  const SwageView *q = &call->src[0], *k = &call->src[1];
  SwageAttentionTiles t;
  t.group = q->ne[1] / k->ne[1];
  t.tile = swage_max64 (1, SWAGE_ATTENTION_ROWS / t.group);
  t.tile = swage_min64 (t.tile, swage_max64 (1, q->ne[2]));
  t.per_head = swage_ceil_div (q->ne[2], t.tile);
  t.slices = t.per_head * k->ne[1] * q->ne[3];
  return t;
}

static inline SwageAttentionTile
swage_attention_tile (const SwageOpCall *call, const SwageAttentionTiles *tiles, int64_t slice)
{
  SwageAttentionTile t;
  int64_t head = slice / tiles->per_head;
  /* Late queries see most keys: the long slices first, the short ones fill the gaps at the end. */
  int64_t nth = tiles->per_head - 1 - slice % tiles->per_head;
  t.kv_head = head % call->src[1].ne[1];
  t.seq = head / call->src[1].ne[1];
  t.t0 = nth * tiles->tile;
  t.t1 = swage_min64 (call->src[0].ne[2], t.t0 + tiles->tile);
  return t;
}

/* Keys [*first, *last) that query t of sequence s sees. */
static inline void
swage_attention_range (const SwageOpCall *call, int64_t s, int64_t t, int64_t *first, int64_t *last)
{
  const SwageAttentionArgs *args = call->args;
  const SwageView *k = &call->src[1], *len = &call->src[3];
  int64_t used = len->data ? ((const int32_t *)len->data)[s] : k->ne[2];
  *last = used - call->src[0].ne[2] + t + 1;
  *first = args->window ? swage_max64 (0, *last - (int64_t)args->window) : 0;
}

/* Packed keys, scores, queries, outputs, and running maxima and sums. */
static inline size_t
swage_attention_scratch (const SwageOpCall *call)
{
  SwageAttentionTiles t = swage_attention_tiles (call);
  size_t rows = (size_t)(t.group * t.tile) + 14, dim = swage_align64 ((size_t)call->src[0].ne[0]) + 16;
  size_t value_dim = swage_align64 ((size_t)call->dst.ne[0]) + 16;
  size_t floats = dim * SWAGE_ATTENTION_KEYS + value_dim * SWAGE_ATTENTION_KEYS
                  + rows * (dim + value_dim + SWAGE_ATTENTION_KEYS + 16 + 16 + 1);
  return floats * sizeof (float) + 1024;
}
