/* SPDX-License-Identifier: MIT
 *
 * What stands before and after the blocks, and the engine's working space.
 *
 * Everything runs in slices of rows so that working space stays bounded whatever the length of the text; it
 * is kept between calls, because fresh memory costs page faults that take as long as a matrix product of the
 * same size in a small model. On a backend that can run on host memory, hidden states and logits are used
 * where they lie.
 */
#include "core/engine/swage-engine-private.h"

#include <glib/gi18n-lib.h>
#include "core/model/swage-rope.h"

/* Rows of logits or of a single layer at once. */
#define SLICE_ROWS 2048

static const char *const op_ids[N_OPS] = {
  [OP_MATMUL] = "matmul",     [OP_SPARSE_MATMUL] = "sparse_matmul", [OP_TRANSFORM] = "transform",
  [OP_BCQ_MATMUL] = "bcq_matmul",
  [OP_ROTATE] = "rotate",     [OP_QUANT_ACT] = "quant_act",         [OP_EMBED] = "embed",
  [OP_ADD] = "add",           [OP_RMS_NORM] = "rms_norm",           [OP_LAYER_NORM] = "layer_norm",
  [OP_ROPE] = "rope",         [OP_ATTENTION] = "attention",         [OP_ACT] = "act",
  [OP_SILU_MUL] = "silu_mul",
};

SwageEngine *
swage_engine_new (SwageModel *model, SwageBackend *backend, GError **error)
{
  g_autoptr (SwageEngine) engine = g_new0 (SwageEngine, 1);

  engine->model = model;
  engine->config = swage_model_get_config (model);
  engine->own_backend = backend == NULL;
  engine->backend = backend != NULL ? backend : swage_backend_cpu ();
  engine->position_rows = -1;
  for (int i = 0; i < N_OPS; i++)
    {
      engine->op[i] = swage_op_find (op_ids[i]);
      g_assert (engine->op[i] != NULL);
    }

  const SwageConfig *config = engine->config;
  if (config->position == SWAGE_POS_ROPE)
    {
      int half = config->rope_dims / 2;
      float *inv_freq = g_new0 (float, (size_t)half);
      swage_config_get_inv_freq (model, inv_freq, &engine->rope_mscale);
      g_autoptr (GBytes) bytes = g_bytes_new_take (inv_freq, (size_t)half * sizeof (float));
      engine->inv_freq = swage_backend_import (engine->backend, bytes, error);
      if (engine->inv_freq == NULL)
        return NULL;
    }
  return g_steal_pointer (&engine);
}

void
swage_engine_free (SwageEngine *engine)
{
  if (engine == NULL)
    return;
  for (int i = 0; i < N_SPACES; i++)
    swage_buffer_unref (engine->space[i]);
  swage_buffer_unref (engine->inv_freq);
  if (engine->own_backend)
    swage_backend_unref (engine->backend);
  g_free (engine->tap_memory);
  g_free (engine);
}

SwageBuffer *
swage_engine_get_space (SwageEngine *engine, SwageEngineSpace space, size_t bytes, GError **error)
{
  if (engine->space[space] == NULL || engine->space[space]->bytes < bytes)
    {
      g_clear_pointer (&engine->space[space], swage_buffer_unref);
      if (space == SPACE_POSITIONS)
        engine->position_rows = -1;
      engine->space[space] = swage_backend_alloc (engine->backend, bytes, error);
    }
  return engine->space[space];
}

size_t
swage_engine_get_slice_bytes (SwageEngine *engine)
{
  uint64_t limit = swage_backend_get_memory_limit (engine->backend);

  return limit > 0 ? (size_t)MIN (limit / 6, SIZE_MAX / 2) : SIZE_MAX / 2;
}

bool
swage_engine_run (SwageEngine *engine, SwageEngineOp op, const SwageDispatch *dispatch, GError **error)
{
  return swage_backend_run (engine->backend, engine->op[op], dispatch, error)
         && swage_job_step (engine->job, engine->job_done, engine->job_total, error);
}

SwageBuffer *
swage_engine_import (SwageEngine *engine, const void *memory, size_t n, GError **error)
{
  if (swage_backend_is_host (engine->backend))
    {
      g_autoptr (GBytes) bytes = g_bytes_new_static (memory, n);
      return swage_backend_import (engine->backend, bytes, error);
    }
  /* A device may keep imports for later, which asks for memory that nobody else writes to. */
  SwageBuffer *buffer = swage_backend_alloc (engine->backend, n, error);
  if (buffer != NULL && !swage_buffer_upload (buffer, 0, memory, n, error))
    g_clear_pointer (&buffer, swage_buffer_unref);
  return buffer;
}

bool
swage_rows_open (SwageEngine *engine, SwageRowsIo *io, SwageEngineSpace space, float *host, int64_t n,
                 int64_t cols, bool read, GError **error)
{
  size_t bytes = (size_t)(n * cols) * sizeof (float);
  SwageBuffer *buffer = swage_backend_wrap (engine->backend, host, bytes);

  *io = (SwageRowsIo){ .host = host, .wrapped = buffer != NULL };
  if (buffer == NULL)
    {
      buffer = swage_engine_get_space (engine, space, bytes, error);
      if (buffer == NULL || (read && !swage_buffer_upload (buffer, 0, host, bytes, error)))
        return false;
    }
  io->array = swage_array_f32 (buffer, 0, cols, n);
  return true;
}

bool
swage_rows_close (SwageEngine *engine, SwageRowsIo *io, bool write, GError **error)
{
  size_t bytes = (size_t)(io->array.view.ne[0] * io->array.view.ne[1]) * sizeof (float);
  bool ok = swage_backend_sync (engine->backend, error);

  if (ok && write && !io->wrapped)
    ok = swage_buffer_download (io->array.buffer, 0, io->host, bytes, error);
  swage_rows_clear (io);
  return ok;
}

void
swage_rows_clear (SwageRowsIo *io)
{
  if (io->wrapped)
    swage_buffer_unref (io->array.buffer);
  *io = (SwageRowsIo){ 0 };
}

bool
swage_engine_norm (SwageEngine *engine, SwageNormKind kind, SwageBuffer *weight, SwageBuffer *bias,
                   SwageArray x, SwageArray dst, GError **error)
{
  int64_t n = x.view.ne[0];
  SwageNormArgs args = { .eps = (float)engine->config->norm_eps };
  SwageDispatch d = { .dst = dst, .src = { x }, .args = &args, .args_bytes = sizeof args };

  d.src[1] = swage_array_f32 (weight, 0, n, 1);
  if (bias != NULL)
    d.src[2] = swage_array_f32 (bias, 0, n, 1);
  return swage_engine_run (engine, kind == SWAGE_NORM_LAYER ? OP_LAYER_NORM : OP_RMS_NORM, &d, error);
}

/* dst ← (dst +) rows `ids` of a table in a buffer. */
static bool
gather (SwageEngine *engine, SwageArray table, SwageArray scales, SwageArray zeros, SwageEmbedArgs args,
        const int32_t *ids, SwageArray dst, GError **error)
{
  int64_t n = dst.view.ne[1];
  size_t bytes = (size_t)n * sizeof (int32_t);
  SwageBuffer *space = swage_engine_get_space (engine, SPACE_IDS, bytes, error);

  if (space == NULL || !swage_buffer_upload (space, 0, ids, bytes, error))
    return false;
  SwageDispatch d = { .dst = dst, .args = &args, .args_bytes = sizeof args };
  d.src[0] = table;
  d.src[1] = (SwageArray){ space, 0, swage_view (SWAGE_TYPE_I32, NULL, n, 1, 1, 1) };
  d.src[3] = scales;
  d.src[4] = zeros;
  return swage_engine_run (engine, OP_EMBED, &d, error);
}

static bool
check_tokens (SwageEngine *engine, const SwageEnds *ends, const int32_t *tokens, int64_t n, int n_tok,
              int position, GError **error)
{
  int64_t n_vocab = ends->token_embd->n_out,
          last = (int64_t)position + n_tok + engine->config->position_offset;

  for (int64_t i = 0; i < n; i++)
    if (tokens[i] < 0 || tokens[i] >= n_vocab)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                     _ ("Token %d is not in the model's vocabulary of %d; is the tokenizer this model's?"),
                     tokens[i], (int)n_vocab);
        return false;
      }
  if (ends->pos_embd != NULL && last > ends->n_positions)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("Position %lld is beyond the %lld that this model has learned"),
                   (long long)position + n_tok - 1,
                   (long long)ends->n_positions - engine->config->position_offset);
      return false;
    }
  return true;
}

bool
swage_engine_embed (SwageEngine *engine, const SwageEnds *ends, const int32_t *tokens, int n_seq, int n_tok,
                    int position, float *h, GError **error)
{
  const SwageLinear *table = ends->token_embd;
  int64_t n = (int64_t)n_seq * n_tok, n_embd = table->n_in;
  bool plain = table->weight != NULL && table->a == NULL && table->sparse == NULL && table->transform == NULL;
  g_auto (SwageBoundLinear) bound = { 0 };
  SwageBuffer *positions = NULL;
  bool ok = true;

  engine->job = NULL;
  if (!check_tokens (engine, ends, tokens, n, n_tok, position, error))
    return false;
  if (!plain) /* few rows of a compressed table are asked for: its other terms are added up on the host */
    swage_linear_get_effective_rows (table, tokens, n, h);
  if (!plain && ends->pos_embd == NULL)
    return true;
  if (plain && !swage_bound_linear_init (engine, &bound, table, error))
    return false;
  if (ends->pos_embd != NULL)
    {
      positions = swage_engine_import (engine, ends->pos_embd,
                                       (size_t)(ends->n_positions * n_embd) * sizeof (float), error);
      if (positions == NULL)
        return false;
    }

  g_autofree int32_t *rows = g_new (int32_t, (size_t)MIN (n, SLICE_ROWS));
  for (int64_t done = 0; ok && done < n; done += SLICE_ROWS)
    {
      int64_t m = MIN (SLICE_ROWS, n - done);
      SwageRowsIo io;
      ok = swage_rows_open (engine, &io, SPACE_OUT, h + done * n_embd, m, n_embd, !plain, error);
      if (ok && plain)
        ok = gather (
            engine, bound.weight.codes, bound.weight.scales, bound.weight.zeros,
            (SwageEmbedArgs){ .bits = (uint32_t)bound.weight.bits, .group = (uint32_t)bound.weight.group },
            tokens + done, io.array, error);
      if (ok && positions != NULL)
        {
          for (int64_t i = 0; i < m; i++)
            rows[i] = (int32_t)(position + (done + i) % n_tok + engine->config->position_offset);
          ok = gather (engine, swage_array_f32 (positions, 0, n_embd, ends->n_positions), (SwageArray){ 0 },
                       (SwageArray){ 0 }, (SwageEmbedArgs){ .accumulate = 1 }, rows, io.array, error);
        }
      if (ok)
        ok = swage_rows_close (engine, &io, true, error);
      else
        swage_rows_clear (&io);
    }
  swage_buffer_unref (positions);
  return ok;
}

/* y [n × n_out] ← layer(norm(x)); without `norm_weight`, of x itself. */
static bool
run_rows (SwageEngine *engine, const SwageLinear *linear, const float *norm_weight, const float *norm_bias,
          const float *x, int64_t n, float *y, GError **error)
{
  int64_t n_in = linear->n_in, n_out = linear->n_out;
  bool per_tensor = linear->act_quant != NULL && linear->act_quant->scope == SWAGE_ACT_PER_TENSOR;
  size_t limit = swage_engine_get_slice_bytes (engine), row = (size_t)(2 * n_in + n_out) * sizeof (float);
  int64_t step = per_tensor ? n : CLAMP ((int64_t)(limit / row), 1, SLICE_ROWS); /* one range for all rows there */
  g_auto (SwageBoundLinear) bound = { 0 };
  SwageBuffer *weight = NULL, *bias = NULL;
  bool ok = swage_bound_linear_init (engine, &bound, linear, error);

  engine->job = NULL;
  if (ok && norm_weight != NULL)
    ok = (weight = swage_engine_import (engine, norm_weight, (size_t)n_in * sizeof (float), error)) != NULL;
  if (ok && norm_bias != NULL)
    ok = (bias = swage_engine_import (engine, norm_bias, (size_t)n_in * sizeof (float), error)) != NULL;
  for (int64_t done = 0; ok && done < n; done += step)
    {
      int64_t m = MIN (step, n - done);
      SwageRowsIo in = { 0 }, out = { 0 };
      SwageLinearInput input;
      ok = swage_rows_open (engine, &in, SPACE_IN, (float *)x + done * n_in, m, n_in, true, error)
           && swage_rows_open (engine, &out, SPACE_OUT, y + done * n_out, m, n_out, false, error);
      SwageArray source = in.array;
      if (ok && weight != NULL)
        {
          SwageBuffer *space
              = swage_engine_get_space (engine, SPACE_NORM, (size_t)(m * n_in) * sizeof (float), error);
          source = swage_array_f32 (space, 0, n_in, m);
          ok = space != NULL
               && swage_engine_norm (engine, engine->config->norm, weight, bias, in.array, source, error);
        }
      ok = ok && swage_bound_linear_prepare (engine, &bound, source, m, &input, error)
           && swage_bound_linear_apply (engine, &bound, &input, 0, n_out, out.array, false, error)
           && swage_rows_close (engine, &out, true, error);
      swage_rows_clear (&in);
      swage_rows_clear (&out);
    }
  swage_buffer_unref (weight);
  swage_buffer_unref (bias);
  return ok;
}

bool
swage_engine_logits (SwageEngine *engine, const SwageEnds *ends, const float *h, int64_t n, float *logits,
                     GError **error)
{
  return run_rows (engine, ends->output, ends->output_norm_weight, ends->output_norm_bias, h, n, logits,
                   error);
}

bool
swage_engine_linear (SwageEngine *engine, const SwageLinear *linear, const float *x, int64_t n, float *y,
                     GError **error)
{
  return run_rows (engine, linear, NULL, NULL, x, n, y, error);
}
