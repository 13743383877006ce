/* SPDX-License-Identifier: MIT
 *
 * What an open model gives: its facts, its tensors, its tokenizer, its fingerprint.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-sha256.h"
#include "core/format/swage-mapping.h"
#include "core/model/swage-model-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

const char *
swage_model_get_path (SwageModel *model)
{
  return model->path;
}
const char *
swage_model_get_name (SwageModel *model)
{
  return model->name;
}
const char *
swage_model_get_format (SwageModel *model)
{
  return model->gguf != NULL ? "gguf" : "safetensors";
}
const SwageConfig *
swage_model_get_config (SwageModel *model)
{
  return &model->config;
}
int64_t
swage_model_get_parameters (SwageModel *model)
{
  return model->parameters;
}
uint64_t
swage_model_get_bytes (SwageModel *model)
{
  return model->bytes;
}
const char *
swage_model_get_config_path (SwageModel *model)
{
  return model->config_path;
}
const char *
swage_model_get_folder (SwageModel *model)
{
  return model->folder;
}
SwageGguf *
swage_model_get_gguf (SwageModel *model)
{
  return model->gguf;
}
int
swage_model_get_n_tensors (SwageModel *model)
{
  return (int)model->tensors->len;
}
int
swage_model_get_n_layers (SwageModel *model)
{
  return (int)model->layers->len;
}
int
swage_model_get_n_ignored (SwageModel *model)
{
  return model->n_ignored;
}
const SwageArch *
swage_model_get_arch (SwageModel *model)
{
  return model->arch;
}

const float *
swage_model_get_rope_factors (SwageModel *model, int *n)
{
  *n = model->n_rope_factors;
  return model->rope_factors;
}

const SwageTensor *
swage_model_get_tensor (SwageModel *model, int i)
{
  g_return_val_if_fail (i >= 0 && (guint)i < model->tensors->len, NULL);
  return model->tensors->pdata[i];
}

const SwageTensor *
swage_model_get_layer (SwageModel *model, int i)
{
  g_return_val_if_fail (i >= 0 && (guint)i < model->layers->len, NULL);
  return model->layers->pdata[i];
}

const SwageTensor *
swage_model_find_tensor (SwageModel *model, const char *name)
{
  return g_hash_table_lookup (model->by_name, name);
}

/* ---- bytes ---- */

GBytes *
swage_model_get_data (SwageModel *model, const SwageModelTensor *tensor)
{
  return model->gguf != NULL
             ? swage_gguf_get_data (model->gguf, tensor->index)
             : swage_safetensors_get_data (model->shards->pdata[tensor->pub.file], tensor->index);
}

/* [rows, cols] elements of 2 or 4 bytes to [cols, rows], by tiles that stay in the cache. */
static void
transpose (const uint8_t *src, uint8_t *dst, int64_t rows, int64_t cols, size_t size)
{
  const int64_t tile = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += tile)
    for (int64_t c0 = 0; c0 < cols; c0 += tile)
      for (int64_t r = r0; r < MIN (r0 + tile, rows); r++)
        for (int64_t c = c0; c < MIN (c0 + tile, cols); c++)
          memcpy (dst + (size_t)(c * rows + r) * size, src + (size_t)(r * cols + c) * size, size);
}

static GBytes *
get_canonical (SwageModel *model, const SwageModelTensor *tensor, GError **error)
{
  const SwageTensor *pub = &tensor->pub;
  g_autoptr (GBytes) bytes = swage_model_get_data (model, tensor);
  const SwageTypeInfo *type = swage_type_get_info (pub->type);
  gsize n;
  const uint8_t *data = g_bytes_get_data (bytes, &n);
  /* the header of a safetensors file may have any length, and then floats lie askew */
  bool askew = type->block == 1 && (uintptr_t)data % (size_t)type->bytes != 0;
  if (!tensor->transposed && tensor->permuted == 0 && !askew)
    return g_steal_pointer (&bytes);

  uint8_t *copy = g_try_malloc (n);
  if (copy == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                   _ ("There is not enough memory for tensor “%s”."), pub->name);
      return NULL;
    }
  if (tensor->transposed)
    transpose (data, copy, pub->shape[1], pub->shape[0], (size_t)type->bytes);
  else if (tensor->permuted > 0)
    {
      /* whole rows move, so packed types need no decoding; a bias has rows of one element */
      size_t row = pub->n_dims == 2 ? swage_type_row_bytes (pub->type, pub->shape[1]) : (size_t)type->bytes;
      swage_arch_permute_rows (data, copy, pub->shape[0], row, tensor->permuted, false);
    }
  else
    memcpy (copy, data, n);
  return g_bytes_new_take (copy, n);
}

SwageWeight *
swage_model_load_weight (SwageModel *model, const SwageTensor *tensor, GError **error)
{
  g_return_val_if_fail (tensor->n_dims == 2, NULL);
  GBytes *bytes = get_canonical (model, (const SwageModelTensor *)tensor, error);
  return bytes != NULL ? swage_weight_new (tensor->type, tensor->shape[0], tensor->shape[1], bytes) : NULL;
}

float *
swage_model_load_floats (SwageModel *model, const SwageTensor *tensor, int64_t *n, GError **error)
{
  g_autoptr (GBytes) bytes = get_canonical (model, (const SwageModelTensor *)tensor, error);
  if (bytes == NULL)
    return NULL;
  int64_t elements = tensor->shape[0] * (tensor->n_dims == 2 ? tensor->shape[1] : 1);
  float *values = g_try_new (float, elements);
  if (values == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                   _ ("There is not enough memory for tensor “%s”."), tensor->name);
      return NULL;
    }
  swage_type_to_f32 (tensor->type, g_bytes_get_data (bytes, NULL), values, elements);
  if (n != NULL)
    *n = elements;
  return values;
}

SwageLinear *
swage_model_load_linear (SwageModel *model, const char *name, GError **error)
{
  bool shared = model->config.tied_output && strcmp (name, "output") == 0;
  const SwageTensor *tensor = swage_model_find_tensor (model, shared ? "token_embd" : name);
  if (tensor == NULL || tensor->n_dims != 2 || tensor->is_bias)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND, _ ("“%s” has no linear layer “%s”."),
                   model->shown, name);
      return NULL;
    }
  g_autofree char *bias_name = g_strconcat (name, ".bias", NULL);
  const SwageTensor *bias_tensor = swage_model_find_tensor (model, bias_name);
  g_autofree float *bias = NULL;
  if (bias_tensor != NULL && (bias = swage_model_load_floats (model, bias_tensor, NULL, error)) == NULL)
    return NULL;
  SwageWeight *weight = swage_model_load_weight (model, tensor, error);
  return weight != NULL ? swage_linear_new (name, weight, g_steal_pointer (&bias)) : NULL;
}

static void
advise_block (SwageModel *model, int block, void (*advise) (const void *data, gsize n))
{
  for (guint i = 0; i < model->tensors->len; i++)
    {
      const SwageModelTensor *tensor = model->tensors->pdata[i];
      if (tensor->pub.block != block)
        continue;
      g_autoptr (GBytes) bytes = swage_model_get_data (model, tensor);
      gsize n;
      const void *data = g_bytes_get_data (bytes, &n);
      advise (data, n);
    }
}

void
swage_model_prefetch_block (SwageModel *model, int block)
{
  advise_block (model, block, swage_mapping_prefetch);
}

void
swage_model_release_block (SwageModel *model, int block)
{
  advise_block (model, block, swage_mapping_release);
}

/* ---- tokenizer ---- */

static SwageTokenizer *
open_gguf_tokenizer (SwageModel *model, GError **error)
{
  SwageGguf *gguf = model->gguf;
  SwageTokenizerData data
      = { .bos = -1, .eos = -1, .unk = -1, .pad = -1, .add_bos = -1, .add_eos = -1, .add_space_prefix = -1 };
  int64_t n_scores = 0, n_kinds = 0;
  bool flag;
  data.model = swage_gguf_get_string (gguf, "tokenizer.ggml.model");
  data.pre = swage_gguf_get_string (gguf, "tokenizer.ggml.pre");
  data.name = swage_gguf_get_string (gguf, "general.name");
  data.tokens = swage_gguf_get_strings (gguf, "tokenizer.ggml.tokens", &data.token_lengths, &data.n_tokens);
  if (data.model == NULL || data.tokens == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("“%s” has no tokenizer (“tokenizer.ggml.model” and “tokenizer.ggml.tokens”)."),
                   model->shown);
      return NULL;
    }
  data.scores = swage_gguf_get_floats (gguf, "tokenizer.ggml.scores", &n_scores);
  data.kinds = swage_gguf_get_ints (gguf, "tokenizer.ggml.token_type", &n_kinds);
  data.merges = swage_gguf_get_strings (gguf, "tokenizer.ggml.merges", NULL, &data.n_merges);
  if ((data.scores != NULL && n_scores < data.n_tokens) || (data.kinds != NULL && n_kinds < data.n_tokens))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("The tokenizer of “%s” has fewer scores or kinds than tokens."), model->shown);
      return NULL;
    }
  swage_gguf_get_int (gguf, "tokenizer.ggml.bos_token_id", &data.bos);
  swage_gguf_get_int (gguf, "tokenizer.ggml.eos_token_id", &data.eos);
  swage_gguf_get_int (gguf, "tokenizer.ggml.unknown_token_id", &data.unk);
  swage_gguf_get_int (gguf, "tokenizer.ggml.padding_token_id", &data.pad);
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_bos_token", &flag))
    data.add_bos = flag;
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_eos_token", &flag))
    data.add_eos = flag;
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_space_prefix", &flag))
    data.add_space_prefix = flag;
  return swage_tokenizer_new (&data, model->shown, error);
}

static SwageTokenizer *
open_json_tokenizer (SwageModel *model, GError **error)
{
  g_autofree char *path = g_build_filename (model->folder, "tokenizer.json", NULL);
  g_autofree char *config = g_build_filename (model->folder, "tokenizer_config.json", NULL);
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("There is no tokenizer.json beside the weights of “%s”, so it cannot read texts."),
                   model->shown);
      return NULL;
    }
  return swage_tokenizer_open_json (path, g_file_test (config, G_FILE_TEST_IS_REGULAR) ? config : NULL,
                                    error);
}

SwageTokenizer *
swage_model_get_tokenizer (SwageModel *model, GError **error)
{
  g_mutex_lock (&model->lock);
  if (model->tokenizer == NULL && model->tokenizer_error == NULL)
    model->tokenizer = model->gguf != NULL ? open_gguf_tokenizer (model, &model->tokenizer_error)
                                           : open_json_tokenizer (model, &model->tokenizer_error);
  SwageTokenizer *tokenizer = model->tokenizer;
  if (tokenizer == NULL && error != NULL)
    *error = g_error_copy (model->tokenizer_error);
  g_mutex_unlock (&model->lock);
  return tokenizer;
}

/* ---- fingerprint ---- */

#define SAMPLES 4
#define SAMPLE_BYTES 64

static void
hash_config (SwageSha256 *sha, const SwageConfig *c)
{
  g_autofree char *text = g_strdup_printf (
      "%s %d %d %d %d %d %d %d %d %d %.17g %d %d %.17g %d %d %.17g %.17g %.17g %d %d %d %d", c->architecture,
      c->n_blocks, c->n_embd, c->n_ff, c->n_heads, c->n_kv_heads, c->head_dim, c->n_vocab, c->max_context,
      (int)c->norm, c->norm_eps, (int)c->position, c->position_offset, c->rope_base, c->rope_dims,
      (int)c->rope_scaling, c->rope_factor, c->rope_low_freq_factor, c->rope_high_freq_factor,
      c->rope_original_context, c->sliding_window, (int)c->ffn, (int)c->tied_output);
  swage_sha256_update (sha, text, strlen (text) + 1);
}

/* The first, the last and evenly spread pieces between: a few pages of each tensor, whatever its size. */
static void
hash_sample (SwageSha256 *sha, GBytes *bytes)
{
  gsize n;
  const uint8_t *data = g_bytes_get_data (bytes, &n);
  if (n <= SAMPLES * SAMPLE_BYTES)
    {
      swage_sha256_update (sha, data, n);
      return;
    }
  for (gsize i = 0; i < SAMPLES; i++)
    swage_sha256_update (sha, data + (n - SAMPLE_BYTES) / (SAMPLES - 1) * i, SAMPLE_BYTES);
}

const char *
swage_model_get_fingerprint (SwageModel *model)
{
  g_mutex_lock (&model->lock);
  if (model->fingerprint == NULL)
    {
      SwageSha256 sha;
      char hex[65];
      swage_sha256_init (&sha);
      hash_config (&sha, &model->config);
      for (guint i = 0; i < model->tensors->len; i++)
        {
          const SwageModelTensor *tensor = model->tensors->pdata[i];
          g_autofree char *line
              = g_strdup_printf ("%s %s %" PRId64 " %" PRId64, tensor->pub.name, tensor->pub.dtype,
                                 tensor->pub.shape[0], tensor->pub.n_dims == 2 ? tensor->pub.shape[1] : 1);
          swage_sha256_update (&sha, line, strlen (line) + 1);
          g_autoptr (GBytes) bytes = swage_model_get_data (model, tensor);
          hash_sample (&sha, bytes);
        }
      if (model->rope_factors != NULL)
        swage_sha256_update (&sha, model->rope_factors, (size_t)model->n_rope_factors * sizeof (float));
      swage_sha256_finish (&sha, hex);
      model->fingerprint = g_strconcat ("sha256:", hex, NULL);
    }
  const char *fingerprint = model->fingerprint;
  g_mutex_unlock (&model->lock);
  return fingerprint;
}
