/* SPDX-License-Identifier: MIT
 *
 * Llama (1, 2, 3) and Mistral: RMS norms, rotary positions, grouped-query attention, gated SiLU. The entry to
 * copy for a new architecture: a table of tensors, a reader of config.json, a reader of GGUF metadata.
 *
 * llama.cpp's graph for "llama" turns neighbouring elements where Hugging Face turns the halves of a head, so
 * GGUF files have the rows of queries and keys in another order: `.permuted_gguf`.
 */
#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const SwageArchTensor tensors[] = {
  { SWAGE_ROLE_TOKEN_EMBD, "model.embed_tokens", "token_embd" },
  { SWAGE_ROLE_ATTN_NORM, "model.layers.%d.input_layernorm", "blk.%d.attn_norm" },
  { SWAGE_ROLE_ATTN_Q, "model.layers.%d.self_attn.q_proj", "blk.%d.attn_q", .permuted_gguf = true,
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_K, "model.layers.%d.self_attn.k_proj", "blk.%d.attn_k", .permuted_gguf = true,
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_V, "model.layers.%d.self_attn.v_proj", "blk.%d.attn_v", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_OUTPUT, "model.layers.%d.self_attn.o_proj", "blk.%d.attn_output",
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_FFN_NORM, "model.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm" },
  { SWAGE_ROLE_FFN_GATE, "model.layers.%d.mlp.gate_proj", "blk.%d.ffn_gate", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_FFN_UP, "model.layers.%d.mlp.up_proj", "blk.%d.ffn_up", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_FFN_DOWN, "model.layers.%d.mlp.down_proj", "blk.%d.ffn_down", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_OUTPUT_NORM, "model.norm", "output_norm" },
  { SWAGE_ROLE_OUTPUT, "lm_head", "output" },
  { SWAGE_ROLE_NONE },
};

static bool
config_from_json (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  static const char *const activations[] = { "silu", "swish", NULL };
  const char *model_type = json_string_value (json_object_get (config, "model_type"));
  int activation = 0;
  out->norm = SWAGE_NORM_RMS;
  out->norm_eps = 1e-6;
  out->ffn = SWAGE_FFN_SILU_GATED;
  out->max_context = 2048;
  if (!swage_arch_need_int (config, "num_hidden_layers", SWAGE_MAX_BLOCKS, &out->n_blocks, origin, error)
      || !swage_arch_need_int (config, "hidden_size", SWAGE_MAX_EMBD, &out->n_embd, origin, error)
      || !swage_arch_need_int (config, "intermediate_size", SWAGE_MAX_FF, &out->n_ff, origin, error)
      || !swage_arch_need_int (config, "num_attention_heads", SWAGE_MAX_HEADS, &out->n_heads, origin, error)
      || !swage_arch_need_int (config, "vocab_size", SWAGE_MAX_VOCAB, &out->n_vocab, origin, error))
    return false;
  out->n_kv_heads = out->n_heads;
  out->head_dim = MAX (1, out->n_embd / out->n_heads);
  if (!swage_arch_get_int (config, "num_key_value_heads", 1, SWAGE_MAX_HEADS, &out->n_kv_heads, origin, error)
      || !swage_arch_get_int (config, "head_dim", 1, SWAGE_MAX_HEAD_DIM, &out->head_dim, origin, error)
      || !swage_arch_get_int (config, "max_position_embeddings", 1, SWAGE_MAX_CONTEXT, &out->max_context,
                              origin, error)
      || !swage_json_get_double (config, "rms_norm_eps", 0, 1, &out->norm_eps, origin, error)
      || !swage_json_get_bool (config, "tie_word_embeddings", &out->tied_output, origin, error)
      || !swage_arch_json_choice (config, "hidden_act", activations, &activation, origin, error)
      || !swage_arch_json_rope (config, origin, out, error))
    return false;
  /* Llama's configs have no window; one left over from another family would not be used there either */
  return g_strcmp0 (model_type, "mistral") != 0
         || (swage_arch_get_int (config, "sliding_window", 0, INT32_MAX, &out->sliding_window, origin, error)
             && swage_arch_json_layer_types (config, origin, out, error));
}

static bool
config_from_gguf (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error)
{
  int64_t experts = 0;
  out->norm = SWAGE_NORM_RMS;
  out->norm_eps = 1e-5;
  out->position = SWAGE_POS_ROPE;
  out->ffn = SWAGE_FFN_SILU_GATED;
  if (swage_gguf_get_int (gguf, "llama.expert_count", &experts) && experts > 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“%s” is a mixture of experts, which is not supported."), origin);
      return false;
    }
  return swage_arch_gguf_common (gguf, origin, out, error);
}

static void
write_gguf (const SwageConfig *config, SwageGgufWriter *writer)
{
  if (config->sliding_window > 0)
    swage_gguf_writer_set_u32 (writer, "llama.attention.sliding_window", (uint32_t)config->sliding_window);
}

const SwageArch swage_arch_llama = {
  .id = "llama",
  .model_types = (const char *const[]){ "llama", "mistral", NULL },
  .gguf_archs = (const char *const[]){ "llama", NULL },
  .gguf_write = "llama",
  .tensors = tensors,
  .config_from_json = config_from_json,
  .config_from_gguf = config_from_gguf,
  .write_gguf = write_gguf,
};
