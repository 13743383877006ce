/* SPDX-License-Identifier: MIT
 *
 * A tokenizer as GGUF metadata (tokenizer.ggml.*), as llama.cpp's vocabulary loader reads it.
 */
#include "core/base/swage-error.h"
#include "core/export/swage-export-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_TOKENIZER_CONFIG ((size_t)64 << 20)
#define MAX_TEMPLATE ((gsize)4 << 20)

static json_t *
load_beside (SwageModel *model, const char *name)
{
  g_autofree char *path = g_build_filename (swage_model_get_folder (model), name, NULL);
  return g_file_test (path, G_FILE_TEST_IS_REGULAR) ? swage_json_load (path, MAX_TOKENIZER_CONFIG, NULL)
                                                    : NULL;
}

/* The chat template: a file of its own in newer checkpoints, or a key of tokenizer_config.json (a text, or a
 * list of named ones of which "default" counts). */
static char *
get_chat_template (SwageModel *model)
{
  g_autofree char *path = g_build_filename (swage_model_get_folder (model), "chat_template.jinja", NULL);
  char *text = NULL;
  gsize n;
  if (g_file_get_contents (path, &text, &n, NULL))
    {
      if (n <= MAX_TEMPLATE && g_utf8_validate (text, (gssize)n, NULL))
        return text;
      g_free (text);
    }

  g_autoptr (json_t) config = load_beside (model, "tokenizer_config.json");
  json_t *value = json_object_get (config, "chat_template"), *item;
  size_t i;
  if (json_is_string (value))
    return g_strdup (json_string_value (value));
  json_array_foreach (
      value, i, item) if (g_strcmp0 (json_string_value (json_object_get (item, "name")), "default")
                          == 0) return g_strdup (json_string_value (json_object_get (item, "template")));
  return NULL;
}

/* A token id from generation_config.json or config.json: a number, or the first of a list. */
static int
get_config_id (SwageModel *model, const char *key, int n_vocab)
{
  static const char *const files[] = { "generation_config.json", "config.json" };
  for (size_t i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autoptr (json_t) config = load_beside (model, files[i]);
      json_t *value = json_object_get (config, key);
      if (json_is_array (value))
        value = json_array_get (value, 0);
      if (json_is_integer (value) && json_integer_value (value) >= 0 && json_integer_value (value) < n_vocab)
        return (int)json_integer_value (value);
    }
  return -1;
}

static void
set_id (SwageGgufWriter *w, const char *key, int id)
{
  if (id >= 0)
    swage_gguf_writer_set_u32 (w, key, (uint32_t)id);
}

/* Pieces, scores and kinds for all rows of the embedding: rows beyond the tokenizer's tokens (vocabularies
 * are padded to round numbers) get names of their own and the kind "unused". */
static void
set_tokens (SwageTokenizer *tokenizer, const SwageTokenizerInfo *info, int n_vocab, bool scored,
            SwageGgufWriter *w)
{
  g_autofree const char **pieces = g_new (const char *, n_vocab);
  g_autofree size_t *lengths = g_new (size_t, n_vocab);
  g_autofree float *scores = g_new (float, n_vocab);
  g_autofree int32_t *kinds = g_new (int32_t, n_vocab);
  g_autoptr (GPtrArray) padding = g_ptr_array_new_with_free_func (g_free);
  for (int i = 0; i < n_vocab; i++)
    {
      SwageTokenKind kind = SWAGE_TOKEN_UNUSED;
      scores[i] = 0;
      pieces[i] = i < info->n_tokens
                      ? swage_tokenizer_get_piece (tokenizer, i, &lengths[i], &scores[i], &kind)
                      : NULL;
      if (pieces[i] == NULL)
        {
          char *name = g_strdup_printf ("[PAD%d]", i);
          g_ptr_array_add (padding, name);
          pieces[i] = name;
          lengths[i] = strlen (name);
          scores[i] = -1000;
          kind = SWAGE_TOKEN_UNUSED;
        }
      kinds[i] = (int32_t)kind;
    }
  swage_gguf_writer_set_strings (w, "tokenizer.ggml.tokens", pieces, lengths, n_vocab);
  if (scored)
    swage_gguf_writer_set_floats (w, "tokenizer.ggml.scores", scores, n_vocab);
  swage_gguf_writer_set_ints (w, "tokenizer.ggml.token_type", kinds, n_vocab);
}

bool
swage_export_gguf_tokenizer (SwageModel *model, SwageGgufWriter *w, GError **error)
{
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, NULL);
  int n_vocab = swage_model_get_config (model)->n_vocab;
  if (tokenizer == NULL)
    {
      /* llama.cpp's word for a model that is given token ids */
      swage_gguf_writer_set_string (w, "tokenizer.ggml.model", "none");
      return true;
    }

  const SwageTokenizerInfo *info = swage_tokenizer_get_info (tokenizer);
  bool scored = strcmp (info->model, "llama") == 0;
  if (info->n_tokens > n_vocab)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("The tokenizer of “%s” has %d tokens, but the model has embeddings for %d."),
                   swage_model_get_name (model), info->n_tokens, n_vocab);
      return false;
    }
  swage_gguf_writer_set_string (w, "tokenizer.ggml.model", info->model);
  swage_gguf_writer_set_string (w, "tokenizer.ggml.pre", info->pre != NULL ? info->pre : "default");
  set_tokens (tokenizer, info, n_vocab, scored, w);
  if (!scored)
    {
      int64_t n;
      const char *const *merges = swage_tokenizer_get_merges (tokenizer, &n);
      swage_gguf_writer_set_strings (w, "tokenizer.ggml.merges", merges, NULL, n);
    }
  set_id (w, "tokenizer.ggml.bos_token_id",
          info->bos >= 0 ? info->bos : get_config_id (model, "bos_token_id", n_vocab));
  set_id (w, "tokenizer.ggml.eos_token_id",
          info->eos >= 0 ? info->eos : get_config_id (model, "eos_token_id", n_vocab));
  set_id (w, "tokenizer.ggml.unknown_token_id", info->unk);
  set_id (w, "tokenizer.ggml.padding_token_id", info->pad);
  swage_gguf_writer_set_bool (w, "tokenizer.ggml.add_bos_token", info->add_bos);
  swage_gguf_writer_set_bool (w, "tokenizer.ggml.add_eos_token", info->add_eos);
  if (scored)
    swage_gguf_writer_set_bool (w, "tokenizer.ggml.add_space_prefix", info->add_space_prefix);
  g_autofree char *template = get_chat_template (model);
  if (template != NULL)
    swage_gguf_writer_set_string (w, "tokenizer.chat_template", template);
  return true;
}
