/* SPDX-License-Identifier: MIT
 *
 * OPT: layer norms before attention and feed-forward, learned positions whose table begins two rows early.
 * The 350M model, which norms afterwards and projects its embeddings, is another architecture in all but name
 * and refused. No GGUF runtime has OPT.
 */
#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const SwageArchTensor tensors[] = {
  { SWAGE_ROLE_TOKEN_EMBD, "model.decoder.embed_tokens", "token_embd" },
  { SWAGE_ROLE_POS_EMBD, "model.decoder.embed_positions", "position_embd" },
  { SWAGE_ROLE_ATTN_NORM, "model.decoder.layers.%d.self_attn_layer_norm", "blk.%d.attn_norm",
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_ATTN_Q, "model.decoder.layers.%d.self_attn.q_proj", "blk.%d.attn_q",
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_K, "model.decoder.layers.%d.self_attn.k_proj", "blk.%d.attn_k",
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_V, "model.decoder.layers.%d.self_attn.v_proj", "blk.%d.attn_v",
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_ATTN_OUTPUT, "model.decoder.layers.%d.self_attn.out_proj", "blk.%d.attn_output",
    .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_FFN_NORM, "model.decoder.layers.%d.final_layer_norm", "blk.%d.ffn_norm",
    .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_FFN_UP, "model.decoder.layers.%d.fc1", "blk.%d.ffn_up", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_FFN_DOWN, "model.decoder.layers.%d.fc2", "blk.%d.ffn_down", .bias = SWAGE_BIAS_OPTIONAL },
  { SWAGE_ROLE_OUTPUT_NORM, "model.decoder.final_layer_norm", "output_norm", .bias = SWAGE_BIAS_REQUIRED },
  { SWAGE_ROLE_OUTPUT, "lm_head", "output" },
  { SWAGE_ROLE_NONE },
};

static bool
config_from_json (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  static const char *const activations[] = { "relu", "gelu", "gelu_new", "gelu_pytorch_tanh", NULL };
  static const SwageFfnKind kinds[]
      = { SWAGE_FFN_RELU, SWAGE_FFN_GELU, SWAGE_FFN_GELU_TANH, SWAGE_FFN_GELU_TANH };
  bool before = true, affine = true, no_final_norm = false;
  int activation = 0;
  out->norm = SWAGE_NORM_LAYER;
  out->norm_eps = 1e-5;
  out->position = SWAGE_POS_LEARNED;
  out->position_offset = 2;
  out->max_context = 2048;
  out->tied_output = true;
  if (!swage_arch_need_int (config, "num_hidden_layers", SWAGE_MAX_BLOCKS, &out->n_blocks, origin, error)
      || !swage_arch_need_int (config, "hidden_size", SWAGE_MAX_EMBD, &out->n_embd, origin, error)
      || !swage_arch_need_int (config, "ffn_dim", SWAGE_MAX_FF, &out->n_ff, origin, error)
      || !swage_arch_need_int (config, "num_attention_heads", SWAGE_MAX_HEADS, &out->n_heads, origin, error)
      || !swage_arch_need_int (config, "vocab_size", SWAGE_MAX_VOCAB, &out->n_vocab, origin, error))
    return false;
  out->n_kv_heads = out->n_heads;
  out->head_dim = MAX (1, out->n_embd / out->n_heads);
  int projection = out->n_embd;
  if (!swage_arch_get_int (config, "max_position_embeddings", 1, SWAGE_MAX_CONTEXT, &out->max_context, origin,
                           error)
      || !swage_arch_get_int (config, "word_embed_proj_dim", 1, SWAGE_MAX_EMBD, &projection, origin, error)
      || !swage_json_get_bool (config, "tie_word_embeddings", &out->tied_output, origin, error)
      || !swage_json_get_bool (config, "do_layer_norm_before", &before, origin, error)
      || !swage_json_get_bool (config, "layer_norm_elementwise_affine", &affine, origin, error)
      || !swage_json_get_bool (config, "_remove_final_layer_norm", &no_final_norm, origin, error)
      || !swage_arch_json_choice (config, "activation_function", activations, &activation, origin, error))
    return false;
  out->ffn = kinds[activation];

  const char *problem = NULL;
  if (!before)
    problem = "do_layer_norm_before: false";
  else if (projection != out->n_embd)
    problem = "word_embed_proj_dim";
  else if (!affine)
    problem = "layer_norm_elementwise_affine: false";
  else if (no_final_norm)
    problem = "_remove_final_layer_norm";
  if (problem != NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                 _ ("“%s” is an OPT model of a kind that is not supported (“%s”)."), origin, problem);
  return problem == NULL;
}

static bool
config_from_gguf (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error)
{
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("“%s”: OPT models are read from safetensors alone."), origin);
  return false;
}

const SwageArch swage_arch_opt = {
  .id = "opt",
  .model_types = (const char *const[]){ "opt", NULL },
  .gguf_archs = (const char *const[]){ NULL },
  .gguf_write = NULL,
  .tensors = tensors,
  .config_from_json = config_from_json,
  .config_from_gguf = config_from_gguf,
};
