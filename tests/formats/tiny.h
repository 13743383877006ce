/* SPDX-License-Identifier: MIT
 *
 * What the format tests share: the formula of the fixtures' values, scratch folders, and small models made on the spot for any config.
 */
#pragma once

#include "core/base/swage-error.h"
#include "core/model/swage-arch.h"

#include <glib/gstdio.h>
#include <string.h>

/* Element i of tensor k: as in tests/golden/make_formats.py. Exact in F16 and BF16. */
static inline float
tiny_value (int64_t i, int64_t k)
{
  return (float)((37 * i + 11 * k) % 101 - 50) / 16;
}

static inline char *
tiny_fixture (const char *name)
{
  return g_test_build_filename (G_TEST_DIST, "formats", "fixtures", name, NULL);
}

/* A new empty folder; remove it with tiny_remove(). */
static inline char *
tiny_folder (void)
{
  GError *error = NULL;
  char *path = g_dir_make_tmp ("swage-test-XXXXXX", &error);
  g_assert_no_error (error);
  return path;
}

static inline void
tiny_remove (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      if (g_file_test (file, G_FILE_TEST_IS_DIR) && !g_file_test (file, G_FILE_TEST_IS_SYMLINK))
        tiny_remove (file);
      else
        g_unlink (file);
    }
  g_rmdir (path);
}

static inline int
tiny_count_files (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  int n = 0;
  while (dir != NULL && g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static inline void
tiny_write (const char *folder, const char *name, const void *data, gsize n)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  GError *error = NULL;
  g_file_set_contents (path, data, (gssize)n, &error);
  g_assert_no_error (error);
}

/* folder/config.json with this text and folder/model.safetensors with every tensor the architecture asks for, biases too, but for those
 * whose name contains `skip`. */
static inline void
tiny_model (const char *folder, const char *config_text, SwageType type, const char *skip)
{
  SwageConfig config;
  GError *error = NULL;
  tiny_write (folder, "config.json", config_text, strlen (config_text));
  swage_config_parse (config_text, strlen (config_text), "config.json", &config, &error);
  g_assert_no_error (error);
  const SwageArch *arch = NULL;
  for (int i = 0; swage_archs[i] != NULL; i++)
    if (strcmp (swage_archs[i]->id, config.architecture) == 0)
      arch = swage_archs[i];

  GArray *infos = g_array_new (FALSE, TRUE, sizeof (SwageTensorInfo));
  for (const SwageArchTensor *t = arch->tensors; t->role != SWAGE_ROLE_NONE; t++)
    for (int block = 0; block < (swage_role_is_in_block (t->role) ? config.n_blocks : 1); block++)
      for (int bias = 0; bias <= (t->bias != SWAGE_BIAS_NONE); bias++)
        {
          int64_t shape[2];
          int n_dims = swage_config_get_shape (&config, t->role, shape);
          const char *at = strstr (t->hf, "%d");
          const char *suffix = bias ? ".bias" : ".weight";
          SwageTensorInfo info = { .type = type, .n_dims = bias ? 1 : n_dims, .shape = { shape[0], bias ? 0 : shape[1] } };
          if (t->role == SWAGE_ROLE_OUTPUT && config.tied_output)
            continue;
          if (t->transposed && !bias)
            {
              info.shape[0] = shape[1];
              info.shape[1] = shape[0];
            }
          info.name = at == NULL ? g_strconcat (t->hf, suffix, NULL)
                                 : g_strdup_printf ("%.*s%d%s%s", (int)(at - t->hf), t->hf, block, at + 2, suffix);
          if (skip != NULL && strstr (info.name, skip) != NULL)
            g_free (info.name);
          else
            g_array_append_val (infos, info);
        }

  const char *metadata[] = { "format", "pt", NULL };
  g_autofree char *path = g_build_filename (folder, "model.safetensors", NULL);
  SwageSafetensorsWriter *w
      = swage_safetensors_writer_new (path, (SwageTensorInfo *)infos->data, (int)infos->len, metadata, true, &error);
  g_assert_no_error (error);
  for (guint k = 0; k < infos->len; k++)
    {
      const SwageTensorInfo *info = &g_array_index (infos, SwageTensorInfo, k);
      int64_t n = info->shape[0] * (info->n_dims == 2 ? info->shape[1] : 1);
      for (int64_t i = 0; i < n; i++)
        {
          float value = tiny_value (i, k);
          uint8_t stored[4];
          swage_type_from_f32 (type, &value, NULL, stored, 1);
          swage_safetensors_writer_write (w, stored, (size_t)swage_type_get_info (type)->bytes, &error);
          g_assert_no_error (error);
        }
      g_free (info->name);
    }
  swage_safetensors_writer_commit (w, NULL, NULL, &error);
  g_assert_no_error (error);
  swage_safetensors_writer_free (w);
  g_array_unref (infos);
}

/* Small configs, one of each architecture. Rows of Llama's matrices are multiples of 32. */
#define TINY_LLAMA_SIZES                                                                                     \
  "\"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "   \
  "\"num_key_value_heads\": 2, \"vocab_size\": 50, \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-6"
#define TINY_LLAMA "{\"model_type\": \"llama\", " TINY_LLAMA_SIZES ", \"tie_word_embeddings\": false, \"rope_theta\": 10000.0}"
#define TINY_MISTRAL "{\"model_type\": \"mistral\", " TINY_LLAMA_SIZES ", \"head_dim\": 8, \"sliding_window\": 32}"
#define TINY_QWEN2 "{\"model_type\": \"qwen2\", " TINY_LLAMA_SIZES ", \"tie_word_embeddings\": true}"
#define TINY_QWEN3 "{\"model_type\": \"qwen3\", " TINY_LLAMA_SIZES ", \"head_dim\": 32, \"tie_word_embeddings\": true}"
#define TINY_GPT2                                                                                            \
  "{\"model_type\": \"gpt2\", \"n_embd\": 32, \"n_layer\": 2, \"n_head\": 4, \"n_positions\": 16, \"vocab_size\": 40, "  \
  "\"n_inner\": null, \"activation_function\": \"gelu_new\"}"
#define TINY_OPT                                                                                             \
  "{\"model_type\": \"opt\", \"hidden_size\": 32, \"ffn_dim\": 64, \"num_hidden_layers\": 2, "               \
  "\"num_attention_heads\": 4, \"max_position_embeddings\": 16, \"vocab_size\": 40, \"word_embed_proj_dim\": 32}"
