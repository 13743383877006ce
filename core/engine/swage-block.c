/* SPDX-License-Identifier: MIT
 *
 * From a model to the small structs that the engine runs. Which roles a block needs follows from the config;
 * shapes are checked here once, so that the forward pass can trust them.
 */
#include "core/engine/swage-engine.h"

#include <glib/gi18n-lib.h>

/* Rows and columns that the config asks of a linear role; FALSE when a block of this config has no such role.
 */
static bool
expect_shape (const SwageConfig *c, SwageRole role, int64_t *n_out, int64_t *n_in)
{
  int64_t q = (int64_t)c->n_heads * c->head_dim, kv = (int64_t)c->n_kv_heads * c->head_dim;

  *n_in = c->n_embd;
  switch (role)
    {
    case SWAGE_ROLE_ATTN_Q:
      *n_out = q;
      return true;
    case SWAGE_ROLE_ATTN_K:
    case SWAGE_ROLE_ATTN_V:
      *n_out = kv;
      return true;
    case SWAGE_ROLE_ATTN_QKV:
      *n_out = q + 2 * kv;
      return true;
    case SWAGE_ROLE_ATTN_OUTPUT:
      *n_out = c->n_embd;
      *n_in = q;
      return true;
    case SWAGE_ROLE_FFN_GATE:
    case SWAGE_ROLE_FFN_UP:
      *n_out = c->n_ff;
      return role == SWAGE_ROLE_FFN_UP || c->ffn == SWAGE_FFN_SILU_GATED;
    case SWAGE_ROLE_FFN_DOWN:
      *n_out = c->n_embd;
      *n_in = c->n_ff;
      return true;
    default:
      return false;
    }
}

static float *
load_vector (SwageModel *model, const char *name, int64_t n, GError **error)
{
  const SwageTensor *tensor = swage_model_find_tensor (model, name);
  int64_t found = 0;

  if (tensor == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("“%s” has no tensor “%s”, which its architecture needs"), swage_model_get_path (model),
                   name);
      return NULL;
    }
  g_autofree float *values = swage_model_load_floats (model, tensor, &found, error);
  if (values == NULL)
    return NULL;
  if (found != n)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("Tensor “%s” of “%s” has %lld values where its config asks for %lld"),
                   tensor->source_name, swage_model_get_path (model), (long long)found, (long long)n);
      return NULL;
    }
  return g_steal_pointer (&values);
}

static bool
load_norm (SwageModel *model, const char *name, int64_t n, bool with_bias, float **weight, float **bias,
           GError **error)
{
  *weight = load_vector (model, name, n, error);
  if (*weight == NULL || !with_bias)
    return *weight != NULL;

  g_autofree char *bias_name = g_strconcat (name, ".bias", NULL);
  *bias = load_vector (model, bias_name, n, error);
  return *bias != NULL;
}

static SwageLinear *
load_linear (SwageModel *model, const char *name, int64_t n_out, int64_t n_in, GError **error)
{
  g_autoptr (SwageLinear) linear = swage_model_load_linear (model, name, error);

  if (linear == NULL)
    return NULL;
  if (linear->n_out != n_out || linear->n_in != n_in)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("Tensor “%s” of “%s” is %d × %d where its config asks for %d × %d"), name,
                   swage_model_get_path (model), (int)linear->n_out, (int)linear->n_in, (int)n_out,
                   (int)n_in);
      return NULL;
    }
  return g_steal_pointer (&linear);
}

SwageBlock *
swage_block_load (SwageModel *model, int index, GError **error)
{
  const SwageConfig *config = swage_model_get_config (model);
  bool layer_norm = config->norm == SWAGE_NORM_LAYER;

  g_return_val_if_fail (index >= 0 && index < config->n_blocks, NULL);
  g_autoptr (SwageBlock) block = g_new0 (SwageBlock, 1);
  block->index = index;

  g_autofree char *fused = g_strdup_printf ("blk.%d.attn_qkv", index);
  bool is_fused = swage_model_find_tensor (model, fused) != NULL;
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      int64_t n_out, n_in;
      if (!expect_shape (config, role, &n_out, &n_in))
        continue;
      bool apart = role == SWAGE_ROLE_ATTN_Q || role == SWAGE_ROLE_ATTN_K || role == SWAGE_ROLE_ATTN_V;
      if ((apart && is_fused) || (role == SWAGE_ROLE_ATTN_QKV && !is_fused))
        continue;
      g_autofree char *name = g_strdup_printf ("blk.%d.%s", index, swage_role_get_id (role));
      block->linear[role] = load_linear (model, name, n_out, n_in, error);
      if (block->linear[role] == NULL)
        return NULL;
    }

  static const SwageRole norms[]
      = { SWAGE_ROLE_ATTN_NORM, SWAGE_ROLE_FFN_NORM, SWAGE_ROLE_ATTN_Q_NORM, SWAGE_ROLE_ATTN_K_NORM };
  for (size_t i = 0; i < G_N_ELEMENTS (norms); i++)
    {
      SwageRole role = norms[i];
      bool per_head = role == SWAGE_ROLE_ATTN_Q_NORM || role == SWAGE_ROLE_ATTN_K_NORM;
      g_autofree char *name = g_strdup_printf ("blk.%d.%s", index, swage_role_get_id (role));
      if (per_head && swage_model_find_tensor (model, name) == NULL)
        continue;
      if (!load_norm (model, name, per_head ? config->head_dim : config->n_embd, layer_norm && !per_head,
                      &block->norm_weight[role], &block->norm_bias[role], error))
        return NULL;
    }
  return g_steal_pointer (&block);
}

void
swage_block_set_linear (SwageBlock *block, SwageRole role, SwageLinear *linear)
{
  SwageLinear *old = block->linear[role];

  g_return_if_fail (old == NULL || linear == NULL
                    || (old->n_out == linear->n_out && old->n_in == linear->n_in));
  block->linear[role] = linear;
  swage_linear_unref (old);
}

void
swage_block_free (SwageBlock *block)
{
  if (block == NULL)
    return;
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      swage_linear_unref (block->linear[role]);
      g_free (block->norm_weight[role]);
      g_free (block->norm_bias[role]);
    }
  g_free (block);
}

SwageEnds *
swage_ends_load (SwageModel *model, GError **error)
{
  const SwageConfig *config = swage_model_get_config (model);
  g_autoptr (SwageEnds) ends = g_new0 (SwageEnds, 1);

  ends->token_embd = load_linear (model, "token_embd", config->n_vocab, config->n_embd, error);
  if (ends->token_embd == NULL)
    return NULL;
  if (config->position == SWAGE_POS_LEARNED)
    {
      const SwageTensor *tensor = swage_model_find_tensor (model, "pos_embd");
      if (tensor != NULL && (tensor->n_dims != 2 || tensor->shape[1] != config->n_embd))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                       _ ("The position table “%s” of “%s” does not have rows of %d values"),
                       tensor->source_name, swage_model_get_path (model), config->n_embd);
          return NULL;
        }
      ends->n_positions = tensor != NULL ? tensor->shape[0] : 0;
      ends->pos_embd = load_vector (model, "pos_embd", ends->n_positions * config->n_embd, error);
      if (ends->pos_embd == NULL)
        return NULL;
    }
  if (!load_norm (model, "output_norm", config->n_embd, config->norm == SWAGE_NORM_LAYER,
                  &ends->output_norm_weight, &ends->output_norm_bias, error))
    return NULL;
  ends->output = load_linear (model, "output", config->n_vocab, config->n_embd, error);
  return ends->output != NULL ? g_steal_pointer (&ends) : NULL;
}

void
swage_ends_free (SwageEnds *ends)
{
  if (ends == NULL)
    return;
  swage_linear_unref (ends->token_embd);
  swage_linear_unref (ends->output);
  g_free (ends->pos_embd);
  g_free (ends->output_norm_weight);
  g_free (ends->output_norm_bias);
  g_free (ends);
}
