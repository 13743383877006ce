/* SPDX-License-Identifier: MIT
 *
 * Opening models: one model as Hugging Face folder and as GGUF (both by the reference writers) gives the same
 * tensors; configs of every architecture; rotary frequencies against transformers'; what is missing, wrong or
 * unknown is said.
 */
#include "core/model/swage-rope.h"
#include "tests/formats/tiny.h"

#include <math.h>

static void
compare_tensors (SwageModel *a, SwageModel *b)
{
  GError *error = NULL;
  g_assert_cmpint (swage_model_get_n_tensors (a), ==, swage_model_get_n_tensors (b));
  g_assert_cmpint (swage_model_get_parameters (a), ==, swage_model_get_parameters (b));
  for (int i = 0; i < swage_model_get_n_tensors (a); i++)
    {
      const SwageTensor *ta = swage_model_get_tensor (a, i), *tb = swage_model_get_tensor (b, i);
      int64_t na, nb;
      g_assert_cmpstr (ta->name, ==, tb->name);
      g_assert_cmpint (ta->n_dims, ==, tb->n_dims);
      g_autofree float *va = swage_model_load_floats (a, ta, &na, &error);
      g_assert_no_error (error);
      g_autofree float *vb = swage_model_load_floats (b, tb, &nb, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (va, (size_t)na * sizeof (float), vb, (size_t)nb * sizeof (float));
    }
}

/* One model by two foreign writers; queries and keys reordered by llama.cpp's formula, Llama 3's scaling as
 * rope_freqs. */
static void
test_two_formats (void)
{
  GError *error = NULL;
  g_autofree char *hf_path = tiny_fixture ("llama");
  g_autofree char *gguf_path = tiny_fixture ("llama.gguf");
  g_autoptr (SwageModel) hf = swage_model_open (hf_path, &error);
  g_assert_no_error (error);
  g_autoptr (SwageModel) gguf = swage_model_open (gguf_path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_model_get_format (hf), ==, "safetensors");
  g_assert_cmpstr (swage_model_get_format (gguf), ==, "gguf");
  g_assert_cmpstr (swage_model_get_name (gguf), ==, "llama");
  g_assert_nonnull (swage_model_get_config_path (hf));
  g_assert_null (swage_model_get_config_path (gguf));
  compare_tensors (hf, gguf);

  /* against the formula, not only against each other: blk.1.attn_k is the 19th tensor of the fixture (0:
   * token_embd, 13 a block) */
  const SwageTensor *k = swage_model_find_tensor (gguf, "blk.1.attn_k");
  g_autoptr (SwageWeight) weight = swage_model_load_weight (gguf, k, &error);
  g_assert_no_error (error);
  g_autofree float *rows = swage_weight_decode_all (weight);
  for (int64_t i = 0; i < k->shape[0] * k->shape[1]; i++)
    g_assert_cmpfloat (rows[i], ==, tiny_value (i, 1 + 13 + 2));

  float a[4], b[4];
  double mscale;
  g_assert_true (swage_config_get_inv_freq (hf, a, &mscale));
  g_assert_cmpfloat (mscale, ==, 1);
  g_assert_true (swage_config_get_inv_freq (gguf, b, NULL));
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat_with_epsilon (a[i], b[i], 2e-7 * (double)a[i]);
  int n;
  g_assert_null (swage_model_get_rope_factors (hf, &n));
  g_assert_nonnull (swage_model_get_rope_factors (gguf, &n));
  g_assert_cmpint (n, ==, 4);

  /* layers */
  g_autoptr (SwageLinear) q = swage_model_load_linear (gguf, "blk.0.attn_q", &error);
  g_assert_no_error (error);
  g_assert_nonnull (q->bias);
  for (int64_t i = 0; i < q->n_out; i++)
    g_assert_cmpfloat (q->bias[i], ==, tiny_value (i, 1 + 9));
  g_assert_null (swage_model_load_linear (gguf, "blk.7.attn_q", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_cmpint (swage_model_get_n_layers (hf), ==, 2 + 2 * 7);
  g_assert_cmpstr (swage_model_get_layer (hf, 0)->name, ==, "token_embd");
  g_assert_cmpstr (swage_model_get_layer (hf, 15)->name, ==, "output");
  g_assert_cmpuint (swage_model_get_bytes (hf), ==, (uint64_t)swage_model_get_parameters (hf) * 2);

  /* prefetching and releasing change nothing */
  swage_model_prefetch_block (gguf, 1);
  swage_model_release_block (gguf, 1);
  swage_model_release_block (gguf, 99);
  compare_tensors (hf, gguf);
}

static void
test_shared_models (void)
{
  GError *error = NULL;
  const char *shared = g_getenv ("SWAGE_SHARED"), *root = g_getenv ("SWAGE_SOURCE_ROOT");
  g_autofree char *folder
      = shared != NULL ? g_strdup (shared) : g_build_filename (root, "..", "shared", NULL);
  g_autofree char *hf_path = g_build_filename (folder, "models", "stories260K-hf", NULL);
  g_autofree char *gguf_path = g_build_filename (folder, "models", "stories260K-gguf", NULL);
  if (!g_file_test (hf_path, G_FILE_TEST_IS_DIR))
    {
      g_test_skip ("the shared models are not there");
      return;
    }
  g_autoptr (SwageModel) hf = swage_model_open (hf_path, &error);
  g_assert_no_error (error);
  g_autoptr (SwageModel) gguf = swage_model_open (gguf_path, &error); /* a folder with one GGUF file */
  g_assert_no_error (error);
  /* the GGUF file has a copy of the embedding as output */
  g_assert_cmpint (swage_model_get_n_tensors (gguf), ==, swage_model_get_n_tensors (hf) + 1);
  for (int i = 0; i < swage_model_get_n_tensors (hf); i++)
    {
      const SwageTensor *a = swage_model_get_tensor (hf, i), *b = swage_model_find_tensor (gguf, a->name);
      int64_t n;
      g_assert_nonnull (b);
      g_autofree float *va = swage_model_load_floats (hf, a, &n, &error);
      g_autofree float *vb = swage_model_load_floats (gguf, b, &n, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (va, (size_t)n * 4, vb, (size_t)n * 4);
    }
}

static SwageModel *
open_tiny (const char *config, const char *skip, char **folder)
{
  GError *error = NULL;
  *folder = tiny_folder ();
  tiny_model (*folder, config, SWAGE_TYPE_F16, skip);
  SwageModel *model = swage_model_open (*folder, &error);
  g_assert_no_error (error);
  return model;
}

static void
test_architectures (void)
{
  static const struct
  {
    const char *config, *architecture, *skip;
    int head_dim, sliding_window, position_offset, n_layers;
    bool tied, biased;
  } cases[] = {
    { TINY_LLAMA, "llama", ".bias", 16, 0, 0, 16, false, false },
    { TINY_LLAMA, "llama", "mlp.gate_proj.bias", 16, 0, 0, 16, false, true },
    { TINY_MISTRAL, "llama", ".bias", 8, 32, 0, 16, false, false },
    { TINY_QWEN2, "qwen2", NULL, 16, 0, 0, 15, true, true },
    { TINY_QWEN3, "qwen3", ".bias", 32, 0, 0, 15, true, false },
    { TINY_GPT2, "gpt2", NULL, 8, 0, 0, 9, true, true },
    { TINY_OPT, "opt", NULL, 8, 0, 2, 13, true, true },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *folder = NULL;
      g_autoptr (SwageModel) model = open_tiny (cases[i].config, cases[i].skip, &folder);
      const SwageConfig *c = swage_model_get_config (model);
      g_assert_cmpstr (c->architecture, ==, cases[i].architecture);
      g_assert_cmpint (c->head_dim, ==, cases[i].head_dim);
      g_assert_cmpint (c->sliding_window, ==, cases[i].sliding_window);
      g_assert_cmpint (c->position_offset, ==, cases[i].position_offset);
      g_assert_cmpint (swage_model_get_n_layers (model), ==, cases[i].n_layers);
      g_assert_true (c->tied_output == cases[i].tied);
      g_assert_cmpint (swage_model_get_n_ignored (model), ==, 0);
      g_assert_true ((swage_model_find_tensor (model, "blk.1.attn_qkv.bias") != NULL
                      || swage_model_find_tensor (model, "blk.1.attn_q.bias") != NULL)
                     == cases[i].biased);
      /* the shared output is a layer to load, not to list */
      GError *error = NULL;
      g_autoptr (SwageLinear) output = swage_model_load_linear (model, "output", &error);
      g_assert_no_error (error);
      g_assert_cmpint (output->n_out, ==, c->n_vocab);
      tiny_remove (folder);
    }

  /* GPT-2's matrices are turned: [n_out, n_in] whatever the file */
  g_autofree char *folder = NULL;
  g_autoptr (SwageModel) model = open_tiny (TINY_GPT2, NULL, &folder);
  GError *error = NULL;
  g_autoptr (SwageLinear) up = swage_model_load_linear (model, "blk.0.ffn_up", &error);
  g_assert_no_error (error);
  g_assert_cmpint (up->n_out, ==, 128);
  g_assert_cmpint (up->n_in, ==, 32);
  /* the fixture's tensors are numbered in the order of the table: wte, wpe, ln_1 ×4, c_attn ×4, c_proj ×4,
   * ln_2 ×4, c_fc */
  g_autofree float *values = swage_weight_decode_all (up->weight);
  for (int64_t o = 0; o < up->n_out; o++)
    for (int64_t n = 0; n < up->n_in; n++)
      g_assert_cmpfloat (values[o * up->n_in + n], ==, tiny_value (n * up->n_out + o, 18));
  tiny_remove (folder);
}

/* Names without the parts in front, old buffers, a copy of a tied output. */
static void
test_names (void)
{
  g_autofree char *folder = tiny_folder ();
  g_autofree char *path = g_build_filename (folder, "model.safetensors", NULL);
  GError *error = NULL;
  tiny_model (folder, TINY_GPT2, SWAGE_TYPE_F32, NULL);
  g_autoptr (SwageSafetensors) st = swage_safetensors_open (path, &error);
  g_assert_no_error (error);
  int n = swage_safetensors_get_n_tensors (st);
  g_autofree SwageTensorInfo *infos = g_new0 (SwageTensorInfo, n + 2);
  for (int i = 0; i < n; i++)
    {
      infos[i] = *swage_safetensors_get_tensor (st, i);
      infos[i].name += strlen ("transformer.");
    }
  infos[n] = (SwageTensorInfo){
    .name = (char *)"h.0.attn.masked_bias", .type = SWAGE_TYPE_F32, .n_dims = 0, .bytes = 4
  };
  infos[n + 1] = (SwageTensorInfo){ .name = (char *)"lm_head.weight",
                                    .type = SWAGE_TYPE_F32,
                                    .n_dims = 2,
                                    .shape = { 40, 32 },
                                    .bytes = 40 * 32 * 4 };
  g_autoptr (SwageSafetensorsWriter) w
      = swage_safetensors_writer_new (path, infos, n + 2, NULL, true, &error);
  g_assert_no_error (error);
  for (int i = 0; i < n + 2; i++)
    {
      g_autofree uint8_t *zeros = g_malloc0 (infos[i].bytes);
      g_assert_true (swage_safetensors_writer_write (w, zeros, infos[i].bytes, &error));
    }
  g_assert_true (swage_safetensors_writer_commit (w, NULL, NULL, &error));
  g_autoptr (SwageModel) model = swage_model_open (path, &error); /* the file itself */
  g_assert_no_error (error);
  g_assert_cmpint (swage_model_get_n_ignored (model), ==, 1);
  g_assert_cmpint (swage_model_get_n_tensors (model), ==, n);
  g_autofree char *base = g_path_get_basename (folder);
  g_assert_cmpstr (swage_model_get_name (model), ==, base);
  tiny_remove (folder);
}

static void
test_configs (void)
{
#define S TINY_LLAMA_SIZES
  static const struct
  {
    const char *text;
    int code;
    const char *says;
  } bad[] = {
    { "", SWAGE_ERROR_CORRUPT, NULL },
    { "[]", SWAGE_ERROR_CORRUPT, NULL },
    { "{}", SWAGE_ERROR_CORRUPT, "model_type" },
    { "{\"model_type\": 3}", -1, "model_type" },
    { "{\"model_type\": \"mamba\"}", SWAGE_ERROR_UNSUPPORTED, "llama, mistral, qwen2, qwen3, gpt2, opt" },
    { "{\"model_type\": \"llama\"}", SWAGE_ERROR_CORRUPT, "num_hidden_layers" },
    { "{\"model_type\": \"llama\", " S ", \"hidden_act\": \"gelu\"}", SWAGE_ERROR_UNSUPPORTED, "silu" },
    { "{\"model_type\": \"llama\", " S ", \"rope_theta\": 0}", -1, "rope_theta" },
    { "{\"model_type\": \"llama\", " S ", \"rope_theta\": \"x\"}", -1, "rope_theta" },
    { "{\"model_type\": \"llama\", " S ", \"head_dim\": 7}", SWAGE_ERROR_CORRUPT, NULL }, /* odd */
    { "{\"model_type\": \"llama\", " S ", \"head_dim\": 1000000}", -1, "head_dim" },
    { "{\"model_type\": \"llama\", " S ", \"partial_rotary_factor\": 0.5}", SWAGE_ERROR_UNSUPPORTED, NULL },
    { "{\"model_type\": \"llama\", " S ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}",
      SWAGE_ERROR_UNSUPPORTED, "yarn" },
    { "{\"model_type\": \"llama\", " S ", \"rope_scaling\": []}", SWAGE_ERROR_CORRUPT, NULL },
    { "{\"model_type\": \"llama\", " S ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", -1,
      "factor" },
    { "{\"model_type\": \"llama\", " S ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
      "\"low_freq_factor\": 4, \"high_freq_factor\": 4}}",
      SWAGE_ERROR_CORRUPT, "high_freq_factor" },
    { "{\"model_type\": \"qwen2\", " S
      ", \"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 1}",
      SWAGE_ERROR_UNSUPPORTED, "max_window_layers" },
    { "{\"model_type\": \"qwen3\", " S
      ", \"head_dim\": 16, \"use_sliding_window\": true, \"sliding_window\": 8, \"layer_types\": "
      "[\"full_attention\", \"sliding_attention\"]}",
      SWAGE_ERROR_UNSUPPORTED, "layer_types" },
    { "{\"model_type\": \"gpt2\", \"n_layer\": 1, \"n_embd\": 8, \"n_head\": 2, \"vocab_size\": 9, "
      "\"scale_attn_weights\": false}",
      SWAGE_ERROR_UNSUPPORTED, "scale_attn_weights" },
    { "{\"model_type\": \"opt\", \"hidden_size\": 8, \"ffn_dim\": 8, \"num_hidden_layers\": 1, "
      "\"num_attention_heads\": 1, "
      "\"vocab_size\": 9, \"do_layer_norm_before\": false}",
      SWAGE_ERROR_UNSUPPORTED, "do_layer_norm_before" },
    { "{\"model_type\": \"opt\", \"hidden_size\": 8, \"ffn_dim\": 8, \"num_hidden_layers\": 1, "
      "\"num_attention_heads\": 1, "
      "\"vocab_size\": 9, \"word_embed_proj_dim\": 4}",
      SWAGE_ERROR_UNSUPPORTED, "word_embed_proj_dim" },
  };
#define SIZES(layers, heads, kv)                                                                             \
  "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 96, \"vocab_size\": 50, "         \
  "\"num_hidden_layers\": " layers ", \"num_attention_heads\": " heads ", \"num_key_value_heads\": " kv "}"
  static const char *const sizes[]
      = { SIZES ("0", "4", "2"),    SIZES ("-1", "4", "2"),          SIZES ("1e3", "4", "2"),
          SIZES ("5000", "4", "2"), SIZES ("99999999999", "4", "2"), SIZES ("2", "0", "2"),
          SIZES ("2", "4", "0"),    SIZES ("2", "4", "3"),           SIZES ("2", "true", "2"),
          SIZES ("2", "\"4\"", "2") };
  SwageConfig config;
  for (size_t i = 0; i < G_N_ELEMENTS (bad) + G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GError) error = NULL;
      bool listed = i < G_N_ELEMENTS (bad);
      const char *text = listed ? bad[i].text : sizes[i - G_N_ELEMENTS (bad)];
      g_test_message ("%s", text);
      g_assert_false (swage_config_parse (text, strlen (text), "config.json", &config, &error));
      g_assert_true (error != NULL && error->domain == SWAGE_ERROR);
      if (listed && bad[i].code >= 0)
        g_assert_cmpint (error->code, ==, bad[i].code);
      if (listed && bad[i].says != NULL)
        g_assert_nonnull (strstr (error->message, bad[i].says));
      g_assert_nonnull (strstr (error->message, "config.json"));
    }

  /* windows: Mistral's own, Qwen's only when switched on, Llama's never */
  static const struct
  {
    const char *text;
    int window;
  } windows[] = {
    { "{\"model_type\": \"mistral\", " S ", \"sliding_window\": null}", 0 },
    { "{\"model_type\": \"mistral\", " S ", \"sliding_window\": 16}", 16 },
    { "{\"model_type\": \"llama\", " S ", \"sliding_window\": 16}", 0 },
    { "{\"model_type\": \"qwen2\", " S ", \"sliding_window\": 16, \"use_sliding_window\": false}", 0 },
    { "{\"model_type\": \"qwen2\", " S
      ", \"sliding_window\": 16, \"use_sliding_window\": true, \"max_window_layers\": 0}",
      16 },
    { "{\"model_type\": \"qwen2\", " S
      ", \"sliding_window\": 16, \"use_sliding_window\": true, \"max_window_layers\": 2}",
      0 },
    { "{\"model_type\": \"qwen2\", " S ", \"sliding_window\": 16, \"use_sliding_window\": true}",
      0 }, /* 28 is the default */
    { "{\"model_type\": \"qwen2\", " S ", \"sliding_window\": 16, \"use_sliding_window\": true, "
      "\"layer_types\": [\"sliding_attention\", \"sliding_attention\"]}",
      16 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (windows); i++)
    {
      GError *error = NULL;
      swage_config_parse (windows[i].text, strlen (windows[i].text), "config.json", &config, &error);
      g_assert_no_error (error);
      g_assert_cmpint (config.sliding_window, ==, windows[i].window);
    }
#undef S
}

/* transformers' own frequencies. */
static void
test_rope (void)
{
  static const struct
  {
    const char *name, *rope;
  } cases[] = {
    { "default", "\"rope_theta\": 10000.0" },
    { "default", "\"rope_scaling\": null" },
    { "theta", "\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 2.0}" },
    { "theta", "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500000.0}" },
    { "linear", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}" },
    { "linear",
      "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0, \"rope_theta\": 10000.0}" },
    { "llama3",
      "\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0, "
      "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}" },
  };
  GError *error = NULL;
  g_autofree char *path = tiny_fixture ("rope.safetensors");
  g_autoptr (SwageSafetensors) goldens = swage_safetensors_open (path, &error);
  g_assert_no_error (error);
  for (size_t c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      g_autofree char *config = g_strdup_printf (
          "{\"model_type\": \"llama\", \"hidden_size\": 256, \"intermediate_size\": 8, "
          "\"num_hidden_layers\": 1, "
          "\"num_attention_heads\": 2, \"vocab_size\": 4, \"max_position_embeddings\": 131072, %s}",
          cases[c].rope);
      g_autofree char *folder = NULL;
      g_autoptr (SwageModel) model = open_tiny (config, ".bias", &folder);
      float inv_freq[64];
      g_assert_true (swage_config_get_inv_freq (model, inv_freq, NULL));
      bool found = false;
      for (int i = 0; i < swage_safetensors_get_n_tensors (goldens); i++)
        {
          if (strcmp (swage_safetensors_get_tensor (goldens, i)->name, cases[c].name) != 0)
            continue;
          found = true;
          g_autoptr (GBytes) data = swage_safetensors_get_data (goldens, i);
          const float *golden = g_bytes_get_data (data, NULL);
          g_assert_cmpuint (g_bytes_get_size (data), ==, sizeof inv_freq);
          for (int f = 0; f < 64; f++) /* two units in the last place: pow differs from library to library */
            g_assert_cmpfloat_with_epsilon (inv_freq[f], golden[f], 2.4e-7 * (double)golden[f]);
        }
      g_assert_true (found);
      tiny_remove (folder);
    }
}

static void
test_errors (void)
{
  static const struct
  {
    const char *config, *skip, *says;
  } missing[] = {
    { TINY_LLAMA, "layers.1.mlp.down_proj.weight", "layers.1.mlp.down_proj.weight" },
    { TINY_LLAMA, "lm_head", "lm_head.weight" },
    { TINY_LLAMA, "layers.1.self_attn.q_proj.bias", "layers.1.self_attn.q_proj.bias" },
    { TINY_LLAMA, "layers.0.self_attn.q_proj.bias", "layers.0.self_attn.q_proj.bias" },
    { TINY_QWEN2, "layers.0.self_attn.k_proj.bias", "k_proj.bias" },
    { TINY_QWEN3, "q_norm", "q_norm.weight" },
    { TINY_GPT2, "wpe", "transformer.wpe.weight" },
    { TINY_GPT2, "h.0.attn.c_attn.bias", "c_attn.bias" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (missing); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *folder = tiny_folder ();
      tiny_model (folder, missing[i].config, SWAGE_TYPE_BF16, missing[i].skip);
      g_assert_null (swage_model_open (folder, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
      g_assert_nonnull (strstr (error->message, missing[i].says));
      tiny_remove (folder);
    }

  g_autofree char *folder = tiny_folder ();
  g_autofree char *bare = g_build_filename (folder, "model.safetensors", NULL);
  g_autofree char *absent = g_build_filename (folder, "absent", NULL);
  GError *error = NULL;
  tiny_model (folder, TINY_LLAMA, SWAGE_TYPE_F16, NULL);

  /* another config than the one the tensors are for */
  tiny_write (folder, "config.json", TINY_QWEN3, strlen (TINY_QWEN3));
  g_assert_null (swage_model_open (folder, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, "128 × 64"));
  g_clear_error (&error);

  /* no config, no tensors, nothing at all */
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_unlink (config);
  g_assert_null (swage_model_open (bare, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "config.json"));
  g_clear_error (&error);
  tiny_write (folder, "config.json", TINY_LLAMA, strlen (TINY_LLAMA));
  g_unlink (bare);
  g_assert_null (swage_model_open (folder, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  tiny_write (folder, "pytorch_model.bin", "", 0);
  g_assert_null (swage_model_open (folder, &error));
  g_assert_nonnull (strstr (error->message, "pytorch_model.bin"));
  g_clear_error (&error);
  g_assert_null (swage_model_open (absent, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);

  /* an index that lies */
  static const char *const indices[] = {
    "{}",
    "{\"weight_map\": []}",
    "{\"weight_map\": {\"a\": 7}}",
    "{\"weight_map\": {\"a\": \"../model.safetensors\"}}",
    "{\"weight_map\": {\"a\": \"\"}}",
    "{\"weight_map\": {\"a\": \".\"}}",
    "{\"weight_map\": {\"a\": \"absent.safetensors\"}}",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (indices); i++)
    {
      tiny_write (folder, "model.safetensors.index.json", indices[i], strlen (indices[i]));
      g_assert_null (swage_model_open (folder, &error));
      g_assert_nonnull (error);
      g_clear_error (&error);
    }
  tiny_remove (folder);

  /* a GGUF of another architecture */
  g_autofree char *gguf = tiny_fixture ("foreign.gguf");
  g_assert_null (swage_model_open (gguf, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "“test”"));
  g_clear_error (&error);

  /* a file that is none of the formats, although a config lies beside it */
  g_free (folder);
  folder = tiny_folder ();
  g_autofree char *text = g_build_filename (folder, "notes.txt", NULL);
  tiny_write (folder, "config.json", TINY_LLAMA, strlen (TINY_LLAMA));
  tiny_write (folder, "notes.txt", "hello, world: not a model", 25);
  g_assert_null (swage_model_open (text, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_clear_error (&error);
  tiny_remove (folder);
}

static void
test_fingerprint (void)
{
  g_autofree char *folder = NULL;
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_tiny (TINY_LLAMA, ".bias", &folder);
  g_autofree char *first = g_strdup (swage_model_get_fingerprint (model));
  g_assert_true (g_str_has_prefix (first, "sha256:") && strlen (first) == 7 + 64);

  /* the same again; then one value, then one number of the config changed */
  g_autoptr (SwageModel) again = swage_model_open (folder, &error);
  g_assert_cmpstr (swage_model_get_fingerprint (again), ==, first);
  g_autofree char *path = g_build_filename (folder, "model.safetensors", NULL);
  g_autofree char *text = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &text, &n, NULL));
  text[n - 1] ^= 1;
  tiny_write (folder, "model.safetensors", text, n);
  g_autoptr (SwageModel) changed = swage_model_open (folder, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_model_get_fingerprint (changed), !=, first);
  text[n - 1] ^= 1;
  tiny_write (folder, "model.safetensors", text, n);
  g_autofree char *config
      = g_strdup_printf ("{\"model_type\": \"llama\", %s, \"rope_theta\": 5000}", TINY_LLAMA_SIZES);
  tiny_write (folder, "config.json", config, strlen (config));
  g_autoptr (SwageModel) other = swage_model_open (folder, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_model_get_fingerprint (other), !=, first);

  /* no tokenizer: no error before it is asked for, and the same error each time */
  for (int i = 0; i < 2; i++)
    {
      g_assert_null (swage_model_get_tokenizer (model, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
      g_clear_error (&error);
    }
  tiny_remove (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/two-formats", test_two_formats);
  g_test_add_func ("/model/shared-models", test_shared_models);
  g_test_add_func ("/model/architectures", test_architectures);
  g_test_add_func ("/model/names", test_names);
  g_test_add_func ("/model/configs", test_configs);
  g_test_add_func ("/model/rope", test_rope);
  g_test_add_func ("/model/errors", test_errors);
  g_test_add_func ("/model/fingerprint", test_fingerprint);
  return g_test_run ();
}
