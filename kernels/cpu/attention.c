/* SPDX-License-Identifier: MIT
 *
 * attention, fast: keys stream by in steps of SWAGE_ATTENTION_KEYS, and every row (a query of a head) keeps
 * its running maximum, its running sum and its unfinished output, which are rescaled when the maximum grows
 * (Milakov and Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135). Both products use the tile of
 * gemm.h: scores from turned-over keys, outputs from values as they lie. Rows are ordered by query first,
 * head second, so those that see a step's keys are neighbours.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/swage-attention.h"

#define KEYS SWAGE_ATTENTION_KEYS
#define LDS (KEYS + 16) /* stride of the scores: no power of two */

typedef struct
{
  const SwageOpCall *call;
  SwageAttentionTile tile;
  int64_t group, n_rows, dim, value_dim, ldo;
  float *q;      /* panels [dim][MR] */
  float *k;      /* panels [dim][NR] of a step */
  float *v;      /* panels [KEYS][NR] of a step */
  float *scores; /* [rows][LDS] */
  float *o;      /* [rows][ldo] */
  float *top, *sum;
} Attention;

static void
load_queries (Attention *at)
{
  const SwageAttentionArgs *args = at->call->args;

  for (int64_t r = 0; r < at->n_rows; r++)
    {
      const float *q = swage_view_row (&at->call->src[0], at->tile.kv_head * at->group + r % at->group,
                                       at->tile.t0 + r / at->group, at->tile.seq);
      float *out = at->q + r / MR * MR * at->dim + r % MR;
      for (int64_t d = 0; d < at->dim; d++)
        out[d * MR] = q[d] * args->scale;
      at->top[r] = -INFINITY;
      at->sum[r] = 0;
      memset (at->o + r * at->ldo, 0, (size_t)at->ldo * sizeof (float));
    }
}

static void
load_keys (Attention *at, int64_t u0, int64_t n)
{
  const SwageView *k = &at->call->src[1], *v = &at->call->src[2];

  for (int64_t u = 0; u < KEYS; u += VL)
    {
      const float *row[VL];
      if (u / NR * NR >= n)
        break;
      for (int i = 0; i < VL; i++)
        row[i] = u + i < n ? swage_view_row (k, at->tile.kv_head, u0 + u + i, at->tile.seq) : NULL;
      gemm_pack (row, at->dim, at->k + u / NR * NR * at->dim + u % NR, NR);
    }
  for (int64_t u = 0; u < n; u++)
    {
      const float *value = swage_view_row (v, at->tile.kv_head, u0 + u, at->tile.seq);
      for (int64_t d = 0; d < at->ldo - 16; d += VL)
        vf_store (at->v + d / NR * NR * KEYS + u * NR + d % NR,
                  vf_load_upto (value + d, swage_max64 (0, at->value_dim - d)));
    }
}

/* Turn a row of scores of keys u0..u0+n−1 into weights relative to the row's maximum, which may grow. */
static void
weigh (Attention *at, int64_t r, int64_t u0, int64_t n)
{
  float *s = at->scores + r * LDS, *o = at->o + r * at->ldo;
  int64_t first, last;

  swage_attention_range (at->call, at->tile.seq, at->tile.t0 + r / at->group, &first, &last);
  for (int64_t u = 0; u < swage_min64 (first - u0, KEYS); u++)
    s[u] = -INFINITY;
  for (int64_t u = swage_max64 (0, swage_min64 (n, last - u0)); u < KEYS; u++)
    s[u] = -INFINITY;
  vf most = vf_load (s);
  for (int64_t u = VL; u < KEYS; u += VL)
    most = vf_max (most, vf_load (s + u));
  float top = vf_top (most);
  if (top > at->top[r])
    {
      float shrink = at->sum[r] > 0 ? expf (at->top[r] - top) : 0;
      at->top[r] = top;
      at->sum[r] *= shrink;
      for (int64_t d = 0; d < at->ldo; d += VL)
        vf_store (o + d, vf_load (o + d) * shrink);
    }
  vf sum = vf_set (0);
  vf base = vf_set (at->top[r] > -INFINITY ? at->top[r] : 0);
  for (int64_t u = 0; u < KEYS; u += VL)
    {
      vf w = vf_exp (vf_load (s + u) - base);
      vf_store (s + u, w);
      sum += w;
    }
  at->sum[r] += vf_sum (sum);
}

/* All rows against keys u0..u0+n−1. */
static void
step (Attention *at, int64_t u0, int64_t n)
{
  int64_t first, last, lo = 0, hi = at->n_rows / at->group;

  load_keys (at, u0, n);
  for (; lo < hi; lo++) /* queries before the keys see none of them, those a window behind neither */
    {
      swage_attention_range (at->call, at->tile.seq, at->tile.t0 + lo, &first, &last);
      if (last > u0)
        break;
    }
  for (; hi > lo; hi--)
    {
      swage_attention_range (at->call, at->tile.seq, at->tile.t0 + hi - 1, &first, &last);
      if (first < u0 + n)
        break;
    }
  lo *= at->group;
  hi *= at->group;
  for (int64_t r0 = lo / MR * MR; r0 < hi; r0 += MR)
    {
      int rows = (int)swage_min64 (MR, at->n_rows - r0);
      for (int64_t u = 0; u < n; u += NR)
        {
          GemmOut out = { .c = at->scores + r0 * LDS + u, .ldc = LDS, .cols = NR };
          gemm_panel (rows, at->q + r0 * at->dim, 1, MR, at->k + u * at->dim, at->dim, &out);
        }
      for (int64_t r = r0; r < r0 + rows; r++)
        if (r >= lo && r < hi)
          weigh (at, r, u0, n);
        else
          memset (at->scores + r * LDS, 0, KEYS * sizeof (float));
      for (int64_t d = 0; d < at->value_dim; d += NR)
        {
          GemmOut out = { .c = at->o + r0 * at->ldo + d, .ldc = at->ldo, .cols = NR, .add = true };
          gemm_panel (rows, at->scores + r0 * LDS, LDS, 1, at->v + d * KEYS, n, &out);
        }
    }
}

static void
store (const Attention *at)
{
  for (int64_t r = 0; r < at->n_rows; r++)
    {
      float *y = swage_view_row (&at->call->dst, at->tile.kv_head * at->group + r % at->group,
                                 at->tile.t0 + r / at->group, at->tile.seq);
      const float *o = at->o + r * at->ldo;
      vf scale = vf_set (1 / at->sum[r]);
      for (int64_t d = 0; d < at->value_dim; d += VL)
        vf_store_upto (y + d, vf_load (o + d) * scale, at->value_dim - d);
    }
}

void SWAGE_FAST (attention) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (attention) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  SwageAttentionTiles tiles = swage_attention_tiles (call);
  Attention at
      = { .call = call, .group = tiles.group, .dim = call->src[0].ne[0], .value_dim = call->dst.ne[0] };
  int64_t most_rows = swage_ceil_div (tiles.group * tiles.tile, MR) * MR;

  at.ldo = swage_ceil_div (at.value_dim, NR) * NR + 16;
  at.q = call->scratch;
  at.k = at.q + swage_align64 ((size_t)(most_rows * at.dim));
  at.v = at.k + KEYS * at.dim;
  at.scores = at.v + KEYS * (at.ldo - 16);
  at.o = at.scores + most_rows * LDS;
  at.top = at.o + most_rows * at.ldo;
  at.sum = at.top + most_rows;
  for (int64_t s = begin; s < end; s++)
    {
      int64_t first, last, ignored;
      at.tile = swage_attention_tile (call, &tiles, s);
      at.n_rows = (at.tile.t1 - at.tile.t0) * at.group;
      swage_attention_range (call, at.tile.seq, at.tile.t0, &first, &ignored);
      swage_attention_range (call, at.tile.seq, at.tile.t1 - 1, &ignored, &last);
      load_queries (&at);
      for (int64_t u0 = first / KEYS * KEYS; u0 < last; u0 += KEYS)
        step (&at, u0, swage_min64 (KEYS, last - u0));
      store (&at);
    }
}
