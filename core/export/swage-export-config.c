/* SPDX-License-Identifier: MIT
 *
 * config.json for a model that came as GGUF: the words of transformers' configuration classes.
 */
#include "core/export/swage-export-private.h"

#include <string.h>

static void
set_int (json_t *config, const char *key, int value)
{
  json_object_set_new (config, key, json_integer (value));
}

static void
make_gpt2 (const SwageConfig *c, json_t *config)
{
  set_int (config, "n_layer", c->n_blocks);
  set_int (config, "n_embd", c->n_embd);
  set_int (config, "n_inner", c->n_ff);
  set_int (config, "n_head", c->n_heads);
  set_int (config, "n_positions", c->max_context);
  json_object_set_new (config, "layer_norm_epsilon", json_real (c->norm_eps));
  json_object_set_new (config, "activation_function", json_string ("gelu_new"));
}

static void
make_llama (const SwageConfig *c, json_t *config)
{
  set_int (config, "num_hidden_layers", c->n_blocks);
  set_int (config, "hidden_size", c->n_embd);
  set_int (config, "intermediate_size", c->n_ff);
  set_int (config, "num_attention_heads", c->n_heads);
  set_int (config, "num_key_value_heads", c->n_kv_heads);
  set_int (config, "head_dim", c->head_dim);
  set_int (config, "max_position_embeddings", c->max_context);
  json_object_set_new (config, "rms_norm_eps", json_real (c->norm_eps));
  json_object_set_new (config, "rope_theta", json_real (c->rope_base));
  json_object_set_new (config, "hidden_act", json_string ("silu"));
  if (c->rope_scaling == SWAGE_ROPE_SCALING_LINEAR)
    json_object_set_new (config, "rope_scaling",
                         json_pack ("{s:s, s:f}", "rope_type", "linear", "factor", c->rope_factor));
}

json_t *
swage_export_make_config (const SwageConfig *c)
{
  static const struct
  {
    const char *architecture, *model_type, *class_name;
  } classes[] = {
    { "llama", "llama", "LlamaForCausalLM" },
    { "qwen2", "qwen2", "Qwen2ForCausalLM" },
    { "qwen3", "qwen3", "Qwen3ForCausalLM" },
    { "gpt2", "gpt2", "GPT2LMHeadModel" },
  };
  json_t *config = json_object ();
  for (size_t i = 0; i < G_N_ELEMENTS (classes); i++)
    if (strcmp (classes[i].architecture, c->architecture) == 0)
      {
        /* Mistral is Llama with a window */
        bool mistral = c->sliding_window > 0 && i == 0;
        json_object_set_new (config, "architectures",
                             json_pack ("[s]", mistral ? "MistralForCausalLM" : classes[i].class_name));
        json_object_set_new (config, "model_type", json_string (mistral ? "mistral" : classes[i].model_type));
      }
  if (strcmp (c->architecture, "gpt2") == 0)
    make_gpt2 (c, config);
  else
    make_llama (c, config);
  if (c->sliding_window > 0)
    {
      set_int (config, "sliding_window", c->sliding_window);
      if (strcmp (c->architecture, "llama") != 0)
        {
          json_object_set_new (config, "use_sliding_window", json_true ());
          set_int (config, "max_window_layers", 0);
        }
    }
  set_int (config, "vocab_size", c->n_vocab);
  json_object_set_new (config, "tie_word_embeddings", json_boolean (c->tied_output));
  return config;
}
