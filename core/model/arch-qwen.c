/* SPDX-License-Identifier: MIT
 *
 * Qwen2 (also 2.5) and Qwen3: Llama's shape with biases on queries, keys and values (Qwen2), or with a norm
 * over each head's queries and keys (Qwen3). GGUF keeps their rows in Hugging Face's order.
 */
#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define ENDS_BEFORE                                                                                          \
  {                                                                                                          \
    SWAGE_ROLE_TOKEN_EMBD, "model.embed_tokens", "token_embd"                                                \
  }
#define FFN_AND_AFTER                                                                                        \
  { SWAGE_ROLE_FFN_NORM, "model.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm" },                    \
      { SWAGE_ROLE_FFN_GATE, "model.layers.%d.mlp.gate_proj", "blk.%d.ffn_gate" },                           \
      { SWAGE_ROLE_FFN_UP, "model.layers.%d.mlp.up_proj", "blk.%d.ffn_up" },                                 \
      { SWAGE_ROLE_FFN_DOWN, "model.layers.%d.mlp.down_proj", "blk.%d.ffn_down" },                           \
      { SWAGE_ROLE_OUTPUT_NORM, "model.norm", "output_norm" }, { SWAGE_ROLE_OUTPUT, "lm_head", "output" },   \
  {                                                                                                          \
    SWAGE_ROLE_NONE                                                                                          \
  }

static const SwageArchTensor qwen2_tensors[] = {
  ENDS_BEFORE,
  { SWAGE_ROLE_ATTN_NORM, "model.layers.%d.input_layernorm", "blk.%d.attn_norm" },
  { SWAGE_ROLE_ATTN_Q, "model.layers.%d.self_attn.q_proj", "blk.%d.attn_q", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_K, "model.layers.%d.self_attn.k_proj", "blk.%d.attn_k", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_V, "model.layers.%d.self_attn.v_proj", "blk.%d.attn_v", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_OUTPUT, "model.layers.%d.self_attn.o_proj", "blk.%d.attn_output" },
  FFN_AND_AFTER,
};

static const SwageArchTensor qwen3_tensors[] = {
  ENDS_BEFORE,
  { SWAGE_ROLE_ATTN_NORM, "model.layers.%d.input_layernorm", "blk.%d.attn_norm" },
  { SWAGE_ROLE_ATTN_Q, "model.layers.%d.self_attn.q_proj", "blk.%d.attn_q", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_K, "model.layers.%d.self_attn.k_proj", "blk.%d.attn_k", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_V, "model.layers.%d.self_attn.v_proj", "blk.%d.attn_v", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_Q_NORM, "model.layers.%d.self_attn.q_norm", "blk.%d.attn_q_norm" },
  { SWAGE_ROLE_ATTN_K_NORM, "model.layers.%d.self_attn.k_norm", "blk.%d.attn_k_norm" },
  { SWAGE_ROLE_ATTN_OUTPUT, "model.layers.%d.self_attn.o_proj", "blk.%d.attn_output",
    .bias = SWAGE_BIAS_OPTIONAL },
  FFN_AND_AFTER,
};

/* Blocks from max_window_layers on have the sliding window, if use_sliding_window is on at all. */
static bool
read_window (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  bool use = false;
  int first = 28; /* transformers' default */
  if (!swage_json_get_bool (config, "use_sliding_window", &use, origin, error))
    return false;
  if (!use)
    return true;
  if (!swage_arch_get_int (config, "sliding_window", 0, INT32_MAX, &out->sliding_window, origin, error))
    return false;
  if (json_is_array (json_object_get (config, "layer_types")))
    return swage_arch_json_layer_types (config, origin, out, error);
  if (!swage_arch_get_int (config, "max_window_layers", 0, INT32_MAX, &first, origin, error))
    return false;
  if (first >= out->n_blocks)
    out->sliding_window = 0;
  else if (first > 0 && out->sliding_window > 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“%s” has a sliding window in some blocks alone (“max_window_layers” is %d), which is "
                      "not supported."),
                   origin, first);
      return false;
    }
  return true;
}

static bool
config_from_json (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  static const char *const activations[] = { "silu", "swish", NULL };
  bool qwen3 = g_strcmp0 (json_string_value (json_object_get (config, "model_type")), "qwen3") == 0;
  int activation = 0;
  out->norm = SWAGE_NORM_RMS;
  out->norm_eps = 1e-6;
  out->ffn = SWAGE_FFN_SILU_GATED;
  out->max_context = 32768;
  if (!swage_arch_need_int (config, "num_hidden_layers", SWAGE_MAX_BLOCKS, &out->n_blocks, origin, error)
      || !swage_arch_need_int (config, "hidden_size", SWAGE_MAX_EMBD, &out->n_embd, origin, error)
      || !swage_arch_need_int (config, "intermediate_size", SWAGE_MAX_FF, &out->n_ff, origin, error)
      || !swage_arch_need_int (config, "num_attention_heads", SWAGE_MAX_HEADS, &out->n_heads, origin, error)
      || !swage_arch_need_int (config, "vocab_size", SWAGE_MAX_VOCAB, &out->n_vocab, origin, error))
    return false;
  out->n_kv_heads = out->n_heads;
  out->head_dim = qwen3 ? 128 : MAX (1, out->n_embd / out->n_heads);
  return swage_arch_get_int (config, "num_key_value_heads", 1, SWAGE_MAX_HEADS, &out->n_kv_heads, origin,
                             error)
         && swage_arch_get_int (config, "head_dim", 1, SWAGE_MAX_HEAD_DIM, &out->head_dim, origin, error)
         && swage_arch_get_int (config, "max_position_embeddings", 1, SWAGE_MAX_CONTEXT, &out->max_context,
                                origin, error)
         && swage_json_get_double (config, "rms_norm_eps", 0, 1, &out->norm_eps, origin, error)
         && swage_json_get_bool (config, "tie_word_embeddings", &out->tied_output, origin, error)
         && swage_arch_json_choice (config, "hidden_act", activations, &activation, origin, error)
         && swage_arch_json_rope (config, origin, out, error) && read_window (config, origin, out, error);
}

static bool
config_from_gguf (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error)
{
  out->norm = SWAGE_NORM_RMS;
  out->norm_eps = 1e-6;
  out->position = SWAGE_POS_ROPE;
  out->ffn = SWAGE_FFN_SILU_GATED;
  return swage_arch_gguf_common (gguf, origin, out, error);
}

const SwageArch swage_arch_qwen2 = {
  .id = "qwen2",
  .model_types = (const char *const[]){ "qwen2", NULL },
  .gguf_archs = (const char *const[]){ "qwen2", NULL },
  .gguf_write = "qwen2",
  .tensors = qwen2_tensors,
  .config_from_json = config_from_json,
  .config_from_gguf = config_from_gguf,
};

const SwageArch swage_arch_qwen3 = {
  .id = "qwen3",
  .model_types = (const char *const[]){ "qwen3", NULL },
  .gguf_archs = (const char *const[]){ "qwen3", NULL },
  .gguf_write = "qwen3",
  .tensors = qwen3_tensors,
  .config_from_json = config_from_json,
  .config_from_gguf = config_from_gguf,
};
