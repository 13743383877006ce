/* SPDX-License-Identifier: MIT
 *
 * One transformer block.
 *
 *   x ← norm(h);   q, k, v ← W_q x, W_k x, W_v x;   q, k ← rope(norm_head(q, k))
 *   h ← h + W_o attention(q, k, v)
 *   x ← norm(h);   h ← h + W_down (silu(W_gate x) ⊙ W_up x)     or     h ← h + W_down act(W_up x)
 *
 * Both sums into the residual stream are done by the matrix product that ends the branch, so a branch never
 * exists as an array of its own. Tokens go through in slices: whole sequences side by side while they fit,
 * and one after the other in pieces of a sequence when it is long or generated token by token; then keys and
 * values of the tokens before are kept. What a row of the result is does not depend on its neighbours in the
 * slice.
 */
#include "core/engine/swage-engine-private.h"

#include <glib/gi18n-lib.h>
#include <math.h>

/* Tokens in a slice: enough rows to feed the matrix product, few enough that working space stays in some tens
 * of MiB and, for small models, in the last-level cache. */
#define SLICE_TOKENS 2048
#define SLICE_TOKENS_MIN 512
#define SLICE_BYTES ((size_t)64 << 20)

/* ---- keys and values ---- */

SwageKv *
swage_kv_new (SwageEngine *engine, int capacity, GError **error)
{
  SwageKv *kv = g_new0 (SwageKv, 1);
  size_t n_blocks = (size_t)engine->config->n_blocks;

  kv->engine = engine;
  kv->capacity = MAX (capacity, 1);
  kv->n_blocks = engine->config->n_blocks;
  kv->keys = g_new0 (SwageBuffer *, n_blocks);
  kv->values = g_new0 (SwageBuffer *, n_blocks);
  kv->n = g_new0 (int, n_blocks);
  return kv;
}

void
swage_kv_free (SwageKv *kv)
{
  if (kv == NULL)
    return;
  for (int i = 0; i < kv->n_blocks; i++)
    {
      swage_buffer_unref (kv->keys[i]);
      swage_buffer_unref (kv->values[i]);
    }
  g_free (kv->keys);
  g_free (kv->values);
  g_free (kv->n);
  g_free (kv);
}

void
swage_kv_truncate (SwageKv *kv, int n)
{
  for (int i = 0; i < kv->n_blocks; i++)
    kv->n[i] = CLAMP (n, 0, kv->n[i]);
}

/* Room for the block's keys and values: allocated when the block first runs, so that a cache costs nothing
 * until then. */
static bool
kv_reserve (SwageKv *kv, int block, size_t row_bytes, GError **error)
{
  if (kv->keys[block] == NULL)
    kv->keys[block] = swage_backend_alloc (kv->engine->backend, (size_t)kv->capacity * row_bytes, error);
  if (kv->keys[block] != NULL && kv->values[block] == NULL)
    kv->values[block] = swage_backend_alloc (kv->engine->backend, (size_t)kv->capacity * row_bytes, error);
  return kv->values[block] != NULL;
}

/* ---- a block on the backend ---- */

typedef struct
{
  SwageBoundLinear linear[SWAGE_N_ROLES];
  SwageBuffer *norm_weight[SWAGE_N_ROLES], *norm_bias[SWAGE_N_ROLES];
} BoundBlock;

static void
bound_block_clear (BoundBlock *bound)
{
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      swage_bound_linear_clear (&bound->linear[role]);
      swage_buffer_unref (bound->norm_weight[role]);
      swage_buffer_unref (bound->norm_bias[role]);
    }
}

static bool
bound_block_init (SwageEngine *engine, BoundBlock *bound, const SwageBlock *block, GError **error)
{
  const SwageConfig *c = engine->config;

  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      bool per_head = role == SWAGE_ROLE_ATTN_Q_NORM || role == SWAGE_ROLE_ATTN_K_NORM;
      size_t bytes = (size_t)(per_head ? c->head_dim : c->n_embd) * sizeof (float);
      if (block->linear[role] != NULL
          && !swage_bound_linear_init (engine, &bound->linear[role], block->linear[role], error))
        return false;
      if (block->norm_weight[role] != NULL)
        {
          bound->norm_weight[role] = swage_engine_import (engine, block->norm_weight[role], bytes, error);
          if (bound->norm_weight[role] == NULL)
            return false;
        }
      if (block->norm_bias[role] != NULL)
        {
          bound->norm_bias[role] = swage_engine_import (engine, block->norm_bias[role], bytes, error);
          if (bound->norm_bias[role] == NULL)
            return false;
        }
    }
  return true;
}

/* ---- one slice ---- */

typedef struct
{
  SwageEngine *engine;
  const BoundBlock *block;
  SwageTapFunc tap;
  gpointer user_data;
  int64_t n_seq, n_tok;       /* of this slice */
  int64_t position;           /* of the first token of each sequence */
  SwageArray h;               /* [n_embd × n] */
  SwageBuffer *keys, *values; /* of the sequence so far, or NULL: those of the slice are all there are */
} Slice;

/* Rows for the tap in host memory; NULL on failure. */
static const float *
fetch (Slice *s, SwageArray x, GError **error)
{
  SwageEngine *engine = s->engine;
  size_t bytes = (size_t)(x.view.ne[0] * x.view.ne[1]) * sizeof (float);

  if (!swage_backend_sync (engine->backend, error))
    return NULL;
  const char *host = swage_buffer_get_host (x.buffer);
  if (host != NULL)
    return (const float *)(host + x.offset);
  if (engine->tap_bytes < bytes)
    {
      g_free (engine->tap_memory);
      engine->tap_memory = g_malloc (bytes);
      engine->tap_bytes = bytes;
    }
  return swage_buffer_download (x.buffer, x.offset, engine->tap_memory, bytes, error) ? engine->tap_memory
                                                                                      : NULL;
}

/* Show x to the tap as the input of `n_roles` roles; those that the block does not have are left out. */
static bool
show (Slice *s, SwageArray x, const SwageRole *roles, int n_roles, GError **error)
{
  if (s->tap == NULL)
    return true;
  const float *rows = fetch (s, x, error);
  if (rows == NULL)
    return false;
  for (int i = 0; i < n_roles; i++)
    if (s->block->linear[roles[i]].linear != NULL)
      s->tap (roles[i], rows, x.view.ne[1], x.view.ne[0], s->user_data);
  return true;
}

/* dst ← (dst +) all outputs of `role` applied to x. */
static bool
run_role (Slice *s, SwageRole role, SwageArray x, SwageArray dst, bool accumulate, GError **error)
{
  const SwageBoundLinear *linear = &s->block->linear[role];
  SwageLinearInput in;

  return swage_bound_linear_prepare (s->engine, linear, x, s->n_tok, &in, error)
         && swage_bound_linear_apply (s->engine, linear, &in, 0, linear->linear->n_out, dst, accumulate,
                                      error);
}

/* A [head_dim × heads × tokens] view of rows of heads. */
static SwageArray
by_heads (SwageArray x, int64_t head_dim)
{
  int64_t heads = x.view.ne[0] / head_dim, n = x.view.ne[1];

  x.view = swage_view (SWAGE_TYPE_F32, NULL, head_dim, heads, n, 1);
  return x;
}

static bool
norm_heads (Slice *s, SwageRole role, SwageArray x, GError **error)
{
  SwageBuffer *weight = s->block->norm_weight[role];
  SwageArray heads = by_heads (x, s->engine->config->head_dim);

  return weight == NULL || swage_engine_norm (s->engine, SWAGE_NORM_RMS, weight, NULL, heads, heads, error);
}

/* The position of every row of the slice, on the backend. */
static bool
get_positions (Slice *s, SwageArray *out, GError **error)
{
  SwageEngine *engine = s->engine;
  int64_t n = s->n_seq * s->n_tok;
  size_t bytes = (size_t)n * sizeof (int32_t);
  SwageBuffer *space = swage_engine_get_space (engine, SPACE_POSITIONS, bytes, error);

  if (space == NULL)
    return false;
  *out = (SwageArray){ space, 0, swage_view (SWAGE_TYPE_I32, NULL, n, 1, 1, 1) };
  if (engine->position_rows >= n && engine->position_first == s->position
      && engine->position_n_tok == s->n_tok)
    return true;

  g_autofree int32_t *positions = g_new (int32_t, (size_t)n);
  for (int64_t i = 0; i < n; i++)
    positions[i] = (int32_t)(s->position + i % s->n_tok);
  engine->position_rows = -1;
  if (!swage_buffer_upload (space, 0, positions, bytes, error))
    return false;
  engine->position_rows = n;
  engine->position_first = s->position;
  engine->position_n_tok = s->n_tok;
  return true;
}

static bool
rope (Slice *s, SwageArray x, SwageArray positions, GError **error)
{
  SwageEngine *engine = s->engine;
  int rope_dims = engine->config->rope_dims;
  SwageRopeArgs args = { .rope_dim = (uint32_t)rope_dims, .mscale = (float)engine->rope_mscale };
  SwageArray heads = by_heads (x, engine->config->head_dim);
  SwageDispatch d = { .dst = heads, .src = { heads, positions }, .args = &args, .args_bytes = sizeof args };

  d.src[2] = swage_array_f32 (engine->inv_freq, 0, rope_dims / 2, 1);
  return swage_engine_run (engine, OP_ROPE, &d, error);
}

/* q, k, v ← the projections of x, from one fused layer or from three. */
static bool
project (Slice *s, SwageArray x, SwageArray q, SwageArray k, SwageArray v, GError **error)
{
  static const SwageRole roles[]
      = { SWAGE_ROLE_ATTN_Q, SWAGE_ROLE_ATTN_K, SWAGE_ROLE_ATTN_V, SWAGE_ROLE_ATTN_QKV };
  const SwageBoundLinear *fused = &s->block->linear[SWAGE_ROLE_ATTN_QKV];
  SwageEngine *engine = s->engine;
  SwageLinearInput in;

  if (!show (s, x, roles, G_N_ELEMENTS (roles), error))
    return false;
  if (fused->linear == NULL)
    return run_role (s, SWAGE_ROLE_ATTN_Q, x, q, false, error)
           && run_role (s, SWAGE_ROLE_ATTN_K, x, k, false, error)
           && run_role (s, SWAGE_ROLE_ATTN_V, x, v, false, error);

  int64_t n_q = q.view.ne[0], n_kv = k.view.ne[0];
  return swage_bound_linear_prepare (engine, fused, x, s->n_tok, &in, error)
         && swage_bound_linear_apply (engine, fused, &in, 0, n_q, q, false, error)
         && swage_bound_linear_apply (engine, fused, &in, n_q, n_kv, k, false, error)
         && swage_bound_linear_apply (engine, fused, &in, n_q + n_kv, n_kv, v, false, error);
}

static bool
attend (Slice *s, SwageArray x, SwageBuffer *work, GError **error)
{
  static const SwageRole output[] = { SWAGE_ROLE_ATTN_OUTPUT };
  const SwageConfig *c = s->engine->config;
  int64_t head_dim = c->head_dim, n_q = c->n_heads * head_dim, n_kv = c->n_kv_heads * head_dim;
  int64_t n = s->n_seq * s->n_tok, kept = s->keys != NULL ? s->position : 0;
  size_t row = sizeof (float) * (size_t)n, kept_bytes = (size_t)(kept * n_kv) * sizeof (float);
  SwageArray q = swage_array_f32 (work, 0, n_q, n), o = swage_array_f32 (work, row * (size_t)n_q, n_q, n);
  SwageArray k = swage_array_f32 (s->keys != NULL ? s->keys : work,
                                  s->keys != NULL ? kept_bytes : row * (size_t)(2 * n_q), n_kv, n);
  SwageArray v = swage_array_f32 (s->values != NULL ? s->values : work,
                                  s->values != NULL ? kept_bytes : row * (size_t)(2 * n_q + n_kv), n_kv, n);

  if (!project (s, x, q, k, v, error) || !norm_heads (s, SWAGE_ROLE_ATTN_Q_NORM, q, error)
      || !norm_heads (s, SWAGE_ROLE_ATTN_K_NORM, k, error))
    return false;
  if (c->position == SWAGE_POS_ROPE)
    {
      SwageArray positions;
      if (!get_positions (s, &positions, error) || !rope (s, q, positions, error)
          || !rope (s, k, positions, error))
        return false;
    }

  /* what is kept for later tokens: keys rotated, values as they are */
  const SwageBoundLinear *linear = s->block->linear;
  bool fused = linear[SWAGE_ROLE_ATTN_QKV].linear != NULL;
  if (!swage_bound_linear_keep (s->engine, &linear[fused ? SWAGE_ROLE_ATTN_QKV : SWAGE_ROLE_ATTN_K], k,
                                s->n_tok, error)
      || !swage_bound_linear_keep (s->engine, &linear[fused ? SWAGE_ROLE_ATTN_QKV : SWAGE_ROLE_ATTN_V], v,
                                   s->n_tok, error))
    return false;

  SwageAttentionArgs args
      = { .scale = (float)(1.0 / sqrt ((double)head_dim)), .window = (uint32_t)c->sliding_window };
  SwageDispatch d = { .dst = o, .src = { q, k, v }, .args = &args, .args_bytes = sizeof args };
  d.dst.view = swage_view (SWAGE_TYPE_F32, NULL, head_dim, c->n_heads, s->n_tok, s->n_seq);
  d.src[0].view = d.dst.view;
  d.src[1].view = swage_view (SWAGE_TYPE_F32, NULL, head_dim, c->n_kv_heads, kept + s->n_tok, s->n_seq);
  d.src[2].view = d.src[1].view;
  if (s->keys != NULL)
    d.src[1].offset = d.src[2].offset = 0;
  return swage_engine_run (s->engine, OP_ATTENTION, &d, error) && show (s, o, output, 1, error)
         && run_role (s, SWAGE_ROLE_ATTN_OUTPUT, o, s->h, true, error);
}

static bool
feed_forward (Slice *s, SwageArray x, SwageBuffer *work, GError **error)
{
  static const SwageRole inputs[] = { SWAGE_ROLE_FFN_GATE, SWAGE_ROLE_FFN_UP },
                         down[] = { SWAGE_ROLE_FFN_DOWN };
  SwageEngine *engine = s->engine;
  int64_t n = x.view.ne[1], n_ff = engine->config->n_ff;
  SwageArray up = swage_array_f32 (work, 0, n_ff, n);

  if (!show (s, x, inputs, 2, error) || !run_role (s, SWAGE_ROLE_FFN_UP, x, up, false, error))
    return false;
  if (engine->config->ffn == SWAGE_FFN_SILU_GATED)
    {
      SwageArray gate = swage_array_f32 (work, sizeof (float) * (size_t)(n_ff * n), n_ff, n);
      SwageDispatch d = { .dst = up, .src = { gate, up } };
      if (!run_role (s, SWAGE_ROLE_FFN_GATE, x, gate, false, error)
          || !swage_engine_run (engine, OP_SILU_MUL, &d, error))
        return false;
    }
  else
    {
      SwageFfnKind kind = engine->config->ffn;
      SwageActArgs args = { .kind = kind == SWAGE_FFN_RELU   ? SWAGE_ACT_RELU
                                    : kind == SWAGE_FFN_GELU ? SWAGE_ACT_GELU_ERF
                                                             : SWAGE_ACT_GELU_TANH };
      SwageDispatch d = { .dst = up, .src = { up }, .args = &args, .args_bytes = sizeof args };
      if (!swage_engine_run (engine, OP_ACT, &d, error))
        return false;
    }
  return show (s, up, down, 1, error) && run_role (s, SWAGE_ROLE_FFN_DOWN, up, s->h, true, error);
}

/* Floats of SPACE_WORK a token. */
static size_t
work_row (const SwageConfig *c)
{
  size_t attention = 2 * ((size_t)c->n_heads + (size_t)c->n_kv_heads) * (size_t)c->head_dim;
  size_t ffn = (size_t)c->n_ff * (c->ffn == SWAGE_FFN_SILU_GATED ? 2 : 1);

  return MAX (attention, ffn);
}

static bool
run_slice (Slice *s, float *h, GError **error)
{
  SwageEngine *engine = s->engine;
  const SwageConfig *c = engine->config;
  const BoundBlock *block = s->block;
  int64_t n = s->n_seq * s->n_tok, n_embd = c->n_embd;
  SwageBuffer *norm
      = swage_engine_get_space (engine, SPACE_NORM, (size_t)(n * n_embd) * sizeof (float), error);
  SwageBuffer *work = norm != NULL ? swage_engine_get_space (engine, SPACE_WORK,
                                                             (size_t)n * work_row (c) * sizeof (float), error)
                                   : NULL;
  SwageRowsIo io;

  if (work == NULL || !swage_rows_open (engine, &io, SPACE_IN, h, n, n_embd, true, error))
    return false;
  s->h = io.array;
  SwageArray x = swage_array_f32 (norm, 0, n_embd, n);
  bool ok = swage_engine_norm (engine, c->norm, block->norm_weight[SWAGE_ROLE_ATTN_NORM],
                               block->norm_bias[SWAGE_ROLE_ATTN_NORM], s->h, x, error)
            && attend (s, x, work, error)
            && swage_engine_norm (engine, c->norm, block->norm_weight[SWAGE_ROLE_FFN_NORM],
                                  block->norm_bias[SWAGE_ROLE_FFN_NORM], s->h, x, error)
            && feed_forward (s, x, work, error);
  if (ok)
    return swage_rows_close (engine, &io, true, error);
  swage_rows_clear (&io);
  return false;
}

/* ---- all slices ---- */

/* Tokens of a slice at most, from the shape of the model, and from the memory of a small device. */
static int64_t
get_slice_tokens (SwageEngine *engine)
{
  const SwageConfig *c = engine->config;
  size_t row = ((size_t)c->n_embd + work_row (c)) * sizeof (float), limit = swage_engine_get_slice_bytes (engine);

  if (limit / (row + (size_t)c->n_embd * sizeof (float)) < SLICE_TOKENS_MIN)
    return MAX ((int64_t)(limit / (row + (size_t)c->n_embd * sizeof (float))), 1);
  return (int64_t)CLAMP (SLICE_BYTES / row / SLICE_TOKENS_MIN * SLICE_TOKENS_MIN, SLICE_TOKENS_MIN,
                         SLICE_TOKENS);
}

/* One sequence in pieces of equal size, keys and values kept from `position` on. */
static bool
run_long_sequence (Slice *s, int64_t n_tok, int64_t position, int64_t slice_tokens, float *h, GError **error)
{
  SwageEngine *engine = s->engine;
  int64_t pieces = (n_tok + slice_tokens - 1) / slice_tokens, piece = (n_tok + pieces - 1) / pieces;

  s->n_seq = 1;
  for (int64_t t = 0; t < n_tok; t += piece)
    {
      s->n_tok = MIN (piece, n_tok - t);
      s->position = position + t;
      if (!run_slice (s, h + t * engine->config->n_embd, error))
        return false;
      engine->job_done += (double)s->n_tok;
      if (!swage_job_step (engine->job, engine->job_done, engine->job_total, error))
        return false;
    }
  return true;
}

static bool
run_all (SwageEngine *engine, const BoundBlock *bound, int index, int64_t n_seq, int64_t n_tok, float *h,
         SwageKv *kv, SwageTapFunc tap, gpointer user_data, GError **error)
{
  const SwageConfig *c = engine->config;
  Slice s = { .engine = engine, .block = bound, .tap = tap, .user_data = user_data };
  int64_t slice_tokens = get_slice_tokens (engine), row = (int64_t)n_tok * c->n_embd;
  size_t kv_row = (size_t)c->n_kv_heads * (size_t)c->head_dim * sizeof (float);

  if (kv != NULL)
    {
      if (!kv_reserve (kv, index, kv_row, error))
        return false;
      s.keys = kv->keys[index];
      s.values = kv->values[index];
      if (!run_long_sequence (&s, n_tok, kv->n[index], slice_tokens, h, error))
        return false;
      kv->n[index] += (int)n_tok;
      return true;
    }
  if (n_tok > slice_tokens)
    {
      s.keys = swage_engine_get_space (engine, SPACE_KEYS, (size_t)n_tok * kv_row, error);
      s.values = s.keys != NULL ? swage_engine_get_space (engine, SPACE_VALUES, (size_t)n_tok * kv_row, error)
                                : NULL;
      if (s.values == NULL)
        return false;
      for (int64_t i = 0; i < n_seq; i++)
        if (!run_long_sequence (&s, n_tok, 0, slice_tokens, h + i * row, error))
          return false;
      return true;
    }

  int64_t most = slice_tokens / n_tok, slices = (n_seq + most - 1) / most,
          step = (n_seq + slices - 1) / slices;
  for (int64_t i = 0; i < n_seq; i += step)
    {
      s.n_seq = MIN (step, n_seq - i);
      s.n_tok = n_tok;
      if (!run_slice (&s, h + i * row, error))
        return false;
      engine->job_done += (double)(s.n_seq * n_tok);
      if (!swage_job_step (engine->job, engine->job_done, engine->job_total, error))
        return false;
    }
  return true;
}

bool
swage_engine_run_block (SwageEngine *engine, const SwageBlock *block, int n_seq, int n_tok, float *h,
                        SwageKv *kv, SwageTapFunc tap, gpointer user_data, SwageJob *job, GError **error)
{
  BoundBlock bound = { 0 };

  g_return_val_if_fail (kv == NULL || n_seq == 1, false);
  if (n_seq <= 0 || n_tok <= 0)
    return true;
  if (kv != NULL && kv->capacity - kv->n[block->index] < n_tok)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The context of %d tokens is full: %d are in it and %d more were asked for"),
                   kv->capacity, kv->n[block->index], n_tok);
      return false;
    }

  engine->job = job;
  engine->job_done = 0;
  engine->job_total = (double)n_seq * n_tok;
  bool ok = bound_block_init (engine, &bound, block, error)
            && run_all (engine, &bound, block->index, n_seq, n_tok, h, kv, tap, user_data, error);
  bound_block_clear (&bound);
  engine->job = NULL;
  return ok;
}
