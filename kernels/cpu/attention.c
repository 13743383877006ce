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
  float *top;    /* [rows] */
  float *sum;    /* [rows][VL]: a sum for every lane */
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
      vf_store (at->sum + r * VL, vf_set (0));
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

/* e^x for x <= 0, where e^−87 does for everything below: it adds nothing to a sum of at least 1. */
SWAGE_INLINE vf
exp_below (vf x)
{
  x = vf_max (vf_set (-87), x);
  vf n = vf_round (x * 1.44269504088896341f);
  return vf_exp_reduced (x, n);
}

/* Turn scores s[0..n−1], of which keys lo..hi−1 are visible, into weights relative to the row's maximum,
 * which may grow. Writes whole vectors. */
SWAGE_INLINE void
weigh (Attention *at, int64_t r, int64_t lo, int64_t hi, int64_t n)
{
  float *s = at->scores + r * LDS, *o = at->o + r * at->ldo, *sums = at->sum + r * VL;
  int64_t whole = swage_ceil_div (n, VL) * VL;

  for (int64_t u = 0; u < lo; u++)
    s[u] = -INFINITY;
  for (int64_t u = hi; u < whole; u++)
    s[u] = -INFINITY;
  vf most = vf_load (s), sum = vf_load (sums);
  for (int64_t u = VL; u < whole; u += VL)
    most = vf_max (most, vf_load (s + u));
  float top = vf_top (most);
  if (top > at->top[r])
    {
      vf shrink = exp_below (vf_set (at->top[r] - top));
      at->top[r] = top;
      sum = sum * shrink;
      for (int64_t d = 0; d < at->ldo - 16; d += VL)
        vf_store (o + d, vf_load (o + d) * shrink);
    }
  vf base = vf_set (at->top[r]);
  for (int64_t u = 0; u < whole; u += VL)
    {
      vf w = exp_below (vf_load (s + u) - base);
      vf_store (s + u, w);
      sum += w;
    }
  vf_store (sums, sum);
  for (int64_t u = 0; u < lo; u++)
    s[u] = 0;
  for (int64_t u = hi; u < whole; u++)
    s[u] = 0;
}

/* Rows r0..r0+rows−1 against keys u0..u0+n−1. */
static void
step_panel (Attention *at, int64_t r0, int rows, int64_t u0, int64_t n)
{
  int64_t first, last, t = r0 / at->group, h = r0 % at->group;

  /* The last row sees most. */
  swage_attention_range (at->call, at->tile.seq, at->tile.t0 + (r0 + rows - 1) / at->group, &first, &last);
  n = swage_min64 (n, last - u0);
  if (n <= 0)
    return;
  for (int64_t u = 0; u < n; u += NR)
    {
      GemmOut out = { .c = at->scores + r0 * LDS + u, .ldc = LDS, .cols = NR };
      gemm_panel (rows, at->q + r0 * at->dim, 1, MR, at->k + u * at->dim, at->dim, &out);
    }
  swage_attention_range (at->call, at->tile.seq, at->tile.t0 + t, &first, &last);
  for (int64_t r = r0; r < r0 + rows; r++)
    {
      int64_t lo = swage_max64 (0, first - u0), hi = swage_min64 (n, last - u0);
      if (lo < hi)
        weigh (at, r, lo, hi, n);
      else
        memset (at->scores + r * LDS, 0, (size_t)n * sizeof (float));
      if (++h == at->group)
        {
          h = 0;
          swage_attention_range (at->call, at->tile.seq, at->tile.t0 + ++t, &first, &last);
        }
    }
  for (int64_t d = 0; d < at->value_dim; d += NR)
    {
      GemmOut out = { .c = at->o + r0 * at->ldo + d, .ldc = at->ldo, .cols = NR, .add = true };
      gemm_panel (rows, at->scores + r0 * LDS, LDS, 1, at->v + d * KEYS, n, &out);
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
      vf scale = vf_set (1 / vf_sum (vf_load (at->sum + r * VL)));
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
        {
          int64_t n = swage_min64 (KEYS, last - u0);
          load_keys (&at, u0, n);
          for (int64_t r = 0; r < at.n_rows; r += MR)
            step_panel (&at, r, (int)swage_min64 (MR, at.n_rows - r), u0, n);
        }
      store (&at);
    }
}
