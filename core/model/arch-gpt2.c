/* SPDX-License-Identifier: MIT
 *
 * GPT-2: layer norms, learned positions, fused queries, keys and values. Hugging Face stores its matrices the
 * other way round (Conv1D, [n_in, n_out]); GGUF does not.
 */
#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const SwageArchTensor tensors[] = {
  { SWAGE_ROLE_TOKEN_EMBD, "transformer.wte", "token_embd" },
  { SWAGE_ROLE_POS_EMBD, "transformer.wpe", "position_embd" },
  { SWAGE_ROLE_ATTN_NORM, "transformer.h.%d.ln_1", "blk.%d.attn_norm", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_QKV, "transformer.h.%d.attn.c_attn", "blk.%d.attn_qkv", .transposed = true,
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_OUTPUT, "transformer.h.%d.attn.c_proj", "blk.%d.attn_output", .transposed = true,
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_FFN_NORM, "transformer.h.%d.ln_2", "blk.%d.ffn_norm", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_FFN_UP, "transformer.h.%d.mlp.c_fc", "blk.%d.ffn_up", .transposed = true,
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_FFN_DOWN, "transformer.h.%d.mlp.c_proj", "blk.%d.ffn_down", .transposed = true,
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_OUTPUT_NORM, "transformer.ln_f", "output_norm", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_OUTPUT, "lm_head", "output" },
  { SWAGE_ROLE_NONE },
};

static bool
config_from_json (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  static const char *const activations[]
      = { "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu", "relu", NULL };
  static const SwageFfnKind kinds[]
      = { SWAGE_FFN_GELU_TANH, SWAGE_FFN_GELU_TANH, SWAGE_FFN_GELU_TANH, SWAGE_FFN_GELU, SWAGE_FFN_RELU };
  bool scale = true, inverse = false, cross = false;
  int activation = 0;
  out->norm = SWAGE_NORM_LAYER;
  out->norm_eps = 1e-5;
  out->position = SWAGE_POS_LEARNED;
  out->max_context = 1024;
  out->tied_output = true;
  if (!swage_arch_need_int (config, "n_layer", SWAGE_MAX_BLOCKS, &out->n_blocks, origin, error)
      || !swage_arch_need_int (config, "n_embd", SWAGE_MAX_EMBD, &out->n_embd, origin, error)
      || !swage_arch_need_int (config, "n_head", SWAGE_MAX_HEADS, &out->n_heads, origin, error)
      || !swage_arch_need_int (config, "vocab_size", SWAGE_MAX_VOCAB, &out->n_vocab, origin, error))
    return false;
  out->n_kv_heads = out->n_heads;
  out->head_dim = MAX (1, out->n_embd / out->n_heads);
  out->n_ff = 4 * out->n_embd;
  if (!swage_arch_get_int (config, "n_inner", 1, SWAGE_MAX_FF, &out->n_ff, origin, error)
      || !swage_arch_get_int (config, "n_positions", 1, SWAGE_MAX_CONTEXT, &out->max_context, origin, error)
      || !swage_json_get_double (config, "layer_norm_epsilon", 0, 1, &out->norm_eps, origin, error)
      || !swage_json_get_bool (config, "tie_word_embeddings", &out->tied_output, origin, error)
      || !swage_json_get_bool (config, "scale_attn_weights", &scale, origin, error)
      || !swage_json_get_bool (config, "scale_attn_by_inverse_layer_idx", &inverse, origin, error)
      || !swage_json_get_bool (config, "add_cross_attention", &cross, origin, error)
      || !swage_arch_json_choice (config, "activation_function", activations, &activation, origin, error))
    return false;
  out->ffn = kinds[activation];
  if (!scale || inverse || cross)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“%s” asks for a kind of attention that is not supported: “%s”."), origin,
                   !scale    ? "scale_attn_weights: false"
                   : inverse ? "scale_attn_by_inverse_layer_idx"
                             : "add_cross_attention");
      return false;
    }
  return true;
}

static bool
config_from_gguf (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error)
{
  out->norm = SWAGE_NORM_LAYER;
  out->norm_eps = 1e-5;
  out->position = SWAGE_POS_LEARNED;
  out->ffn = SWAGE_FFN_GELU_TANH;
  return swage_arch_gguf_common (gguf, origin, out, error);
}

const SwageArch swage_arch_gpt2 = {
  .id = "gpt2",
  .model_types = (const char *const[]){ "gpt2", NULL },
  .gguf_archs = (const char *const[]){ "gpt2", NULL },
  .gguf_write = "gpt2",
  .tensors = tensors,
  .config_from_json = config_from_json,
  .config_from_gguf = config_from_gguf,
};
