/* SPDX-License-Identifier: MIT
 *
 * Roles: what a tensor is for, its name and its shape.
 */
#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const struct
{
  const char *id;
  bool linear, in_block;
} roles[SWAGE_N_ROLES] = {
  [SWAGE_ROLE_TOKEN_EMBD] = { "token_embd", false, false },
  [SWAGE_ROLE_POS_EMBD] = { "pos_embd", false, false },
  [SWAGE_ROLE_ATTN_NORM] = { "attn_norm", false, true },
  [SWAGE_ROLE_ATTN_Q] = { "attn_q", true, true },
  [SWAGE_ROLE_ATTN_K] = { "attn_k", true, true },
  [SWAGE_ROLE_ATTN_V] = { "attn_v", true, true },
  [SWAGE_ROLE_ATTN_QKV] = { "attn_qkv", true, true },
  [SWAGE_ROLE_ATTN_Q_NORM] = { "attn_q_norm", false, true },
  [SWAGE_ROLE_ATTN_K_NORM] = { "attn_k_norm", false, true },
  [SWAGE_ROLE_ATTN_OUTPUT] = { "attn_output", true, true },
  [SWAGE_ROLE_FFN_NORM] = { "ffn_norm", false, true },
  [SWAGE_ROLE_FFN_GATE] = { "ffn_gate", true, true },
  [SWAGE_ROLE_FFN_UP] = { "ffn_up", true, true },
  [SWAGE_ROLE_FFN_DOWN] = { "ffn_down", true, true },
  [SWAGE_ROLE_OUTPUT_NORM] = { "output_norm", false, false },
  [SWAGE_ROLE_OUTPUT] = { "output", true, false },
};

const char *
swage_role_get_id (SwageRole role)
{
  g_return_val_if_fail (role >= 0 && role < SWAGE_N_ROLES, NULL);
  return roles[role].id;
}

bool
swage_role_is_linear (SwageRole role)
{
  return role >= 0 && role < SWAGE_N_ROLES && roles[role].linear;
}

bool
swage_role_is_in_block (SwageRole role)
{
  return role >= 0 && role < SWAGE_N_ROLES && roles[role].in_block;
}

int
swage_config_get_shape (const SwageConfig *c, SwageRole role, int64_t shape[2])
{
  int64_t embd = c->n_embd, ff = c->n_ff, q = (int64_t)c->n_heads * c->head_dim,
          kv = (int64_t)c->n_kv_heads * c->head_dim;
  int64_t rows = 0, cols = 0; /* cols 0: a vector */
  switch (role)
    {
    case SWAGE_ROLE_TOKEN_EMBD:
    case SWAGE_ROLE_OUTPUT:
      rows = c->n_vocab;
      cols = embd;
      break;
    case SWAGE_ROLE_POS_EMBD:
      rows = (int64_t)c->max_context + c->position_offset;
      cols = embd;
      break;
    case SWAGE_ROLE_ATTN_NORM:
    case SWAGE_ROLE_FFN_NORM:
    case SWAGE_ROLE_OUTPUT_NORM:
      rows = embd;
      break;
    case SWAGE_ROLE_ATTN_Q:
      rows = q;
      cols = embd;
      break;
    case SWAGE_ROLE_ATTN_K:
    case SWAGE_ROLE_ATTN_V:
      rows = kv;
      cols = embd;
      break;
    case SWAGE_ROLE_ATTN_QKV:
      rows = q + 2 * kv;
      cols = embd;
      break;
    case SWAGE_ROLE_ATTN_Q_NORM:
    case SWAGE_ROLE_ATTN_K_NORM:
      rows = c->head_dim;
      break;
    case SWAGE_ROLE_ATTN_OUTPUT:
      rows = embd;
      cols = q;
      break;
    case SWAGE_ROLE_FFN_GATE:
    case SWAGE_ROLE_FFN_UP:
      rows = ff;
      cols = embd;
      break;
    case SWAGE_ROLE_FFN_DOWN:
      rows = embd;
      cols = ff;
      break;
    case SWAGE_N_ROLES:
    case SWAGE_ROLE_NONE:
      break;
    }
  shape[0] = rows;
  shape[1] = cols;
  return cols > 0 ? 2 : 1;
}

bool
swage_config_check (const SwageConfig *c, const char *origin, GError **error)
{
  const char *problem = NULL;
  if (c->n_heads % c->n_kv_heads != 0)
    problem = _ ("the number of attention heads is not a multiple of the number of key/value heads");
  else if ((int64_t)c->n_heads * c->head_dim > SWAGE_MAX_FF)
    problem = _ ("the attention heads are too wide");
  else if (c->position == SWAGE_POS_ROPE
           && (c->rope_dims < 2 || c->rope_dims % 2 != 0 || c->rope_dims > c->head_dim))
    problem = _ ("the rotary dimensions are not an even part of the head");
  if (problem != NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("The model in “%s” is impossible: %s."), origin,
                 problem);
  return problem == NULL;
}

void
swage_arch_permute_rows (const uint8_t *src, uint8_t *dst, int64_t rows, size_t row_bytes, int n_heads,
                         bool to_gguf)
{
  int64_t dim = rows / n_heads, half = dim / 2;
  for (int64_t h = 0; h < n_heads; h++)
    for (int64_t i = 0; i < half; i++)
      for (int64_t s = 0; s < 2; s++)
        {
          int64_t interleaved = h * dim + 2 * i + s, halves = h * dim + s * half + i;
          int64_t from = to_gguf ? halves : interleaved, to = to_gguf ? interleaved : halves;
          memcpy (dst + (size_t)to * row_bytes, src + (size_t)from * row_bytes, row_bytes);
        }
}
