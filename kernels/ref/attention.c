/* SPDX-License-Identifier: MIT
 *
 * attention: causal softmax attention with grouped heads, of n_seq sequences at once.
 *
 *   o[h, t] = Σ_u softmax_u (scale · q[h, t] · k[g, u]) v[g, u],   g = h / (heads / kv_heads)
 *
 *   dst    o    F32 [value_dim, heads, n_tok, n_seq]
 *   src 0  q    F32 [head_dim, heads, n_tok, n_seq]
 *   src 1  k    F32 [head_dim, kv_heads, capacity, n_seq]
 *   src 2  v    F32 [value_dim, kv_heads, capacity, n_seq]
 *   src 3  len  I32 [n_seq]: keys of each sequence in use, n_tok <= len <= capacity; absent: capacity
 *   args   SwageAttentionArgs: scale; window (0: none)
 *
 * Query t of a sequence stands at position p = len − n_tok + t and sees the keys u <= p, with a window only
 * those with u > p − window. heads is a multiple of kv_heads. A slice is a tile of SWAGE_ATTENTION_TILE
 * queries of the heads that share one key head of one sequence.
 */
#include <math.h>
#include "kernels/swage-attention.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_attention_tiles (call).slices;
}

static size_t
scratch_bytes (const SwageOpCall *call)
{
  return swage_attention_scratch (call);
}

static double
flops (const SwageOpCall *call)
{
  const SwageView *q = &call->src[0];
  double len = (double)call->src[1].ne[2], n_tok = (double)q->ne[2]; /* pairs seen, without a window */
  double pairs = n_tok * len - n_tok * (n_tok - 1) / 2;
  return 2.0 * pairs * (double)(q->ne[0] + call->dst.ne[0]) * (double)q->ne[1] * (double)q->ne[3];
}

static double
dot (const float *a, const float *b, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += (double)a[i] * b[i];
  return sum;
}

/* Two passes, so that no scores are stored: the greatest score, then weights and values. The sum goes over
 * the output in pieces of 64 dimensions in double. */
static void
attend (const SwageOpCall *call, int64_t h, int64_t t, int64_t s)
{
  const SwageAttentionArgs *args = call->args;
  const SwageView *q = &call->src[0], *k = &call->src[1], *v = &call->src[2];
  int64_t g = h / (q->ne[1] / k->ne[1]), first, last;
  const float *query = swage_view_row (q, h, t, s);
  float *out = swage_view_row (&call->dst, h, t, s);
  double top = -INFINITY;

  swage_attention_range (call, s, t, &first, &last);
  for (int64_t u = first; u < last; u++)
    top = fmax (top, args->scale * dot (query, swage_view_row (k, g, u, s), q->ne[0]));
  for (int64_t d0 = 0; d0 < call->dst.ne[0]; d0 += 64)
    {
      int64_t d1 = swage_min64 (call->dst.ne[0], d0 + 64);
      double sum = 0, acc[64] = { 0 };
      for (int64_t u = first; u < last; u++)
        {
          double weight = exp (args->scale * dot (query, swage_view_row (k, g, u, s), q->ne[0]) - top);
          const float *value = swage_view_row (v, g, u, s);
          sum += weight;
          for (int64_t d = d0; d < d1; d++)
            acc[d - d0] += weight * value[d];
        }
      for (int64_t d = d0; d < d1; d++)
        out[d] = (float)(acc[d - d0] / sum);
    }
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  SwageAttentionTiles tiles = swage_attention_tiles (call);
  int64_t group = call->src[0].ne[1] / call->src[1].ne[1];

  for (int64_t slice = begin; slice < end; slice++)
    {
      SwageAttentionTile tile = swage_attention_tile (call, &tiles, slice);
      for (int64_t h = tile.kv_head * group; h < (tile.kv_head + 1) * group; h++)
        for (int64_t t = tile.t0; t < tile.t1; t++)
          attend (call, h, t, tile.seq);
    }
}

const SwageOp swage_op_attention = {
  .id = "attention",
  .summary = "o = softmax (scale q k^T, causal) v, grouped heads, many sequences",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-11,
  .flops = flops,
};
