/* SPDX-License-Identifier: MIT
 *
 * make-7b OUT.gguf|OUT_FOLDER [--bf16] [--blocks N]: a Llama of the shape of Llama-2-7B but with two blocks
 * (1.3 GB), for measuring what does not depend on what a model knows: opening, statistics, quantizing,
 * memory, tokens per second.
 *
 * Weights are normal with the deviation a trained model's have, the same for every run and for both formats
 * (the rows of a GGUF file's queries and keys are in GGUF's order). The tokenizer is the sample's; rows of
 * the vocabulary beyond its tokens are unused.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/format/swage-gguf.h"
#include "core/model/swage-arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_EMBD 4096
#define N_FF 11008
#define N_HEADS 32
#define N_VOCAB 32000
#define N_CONTEXT 4096
#define MAX_BLOCKS 64
#define PIECE ((size_t)16 << 20)

typedef struct
{
  char *hf, *gguf;
  int64_t rows, cols; /* rows 0: a norm of `cols` ones */
  int permuted;       /* heads */
  uint64_t seed;
} Tensor;

/* Quantiles of the normal distribution at (i + 1/2) / 65536, by Newton's method on erfc. */
static void
make_quantiles (float *table)
{
  double x = -4.2;
  for (int i = 0; i < 65536; i++)
    {
      double p = (i + 0.5) / 65536;
      for (int k = 0; k < 20; k++)
        {
          double error = 0.5 * erfc (-x / sqrt (2.0)) - p, density = exp (-x * x / 2) / sqrt (2 * G_PI);
          x -= error / density;
          if (fabs (error) < 1e-15)
            break;
        }
      table[i] = (float)x;
    }
}

/* Steele, Lea, Flood 2014: splitmix64. */
static uint64_t
next (uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

typedef struct
{
  const Tensor *tensor;
  const uint16_t *table; /* 65536 stored values */
  int permuted;
  int64_t first;
  uint16_t *out;
} Fill;

static void
fill_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Fill *fill = user_data;
  int64_t cols = fill->tensor->cols;
  for (int64_t i = begin; i < end; i++)
    {
      int64_t row = fill->first + i;
      if (fill->permuted > 0)
        {
          int64_t dim = fill->tensor->rows / fill->permuted, in_head = row % dim;
          row += in_head % 2 * (dim / 2) + in_head / 2 - in_head;
        }
      uint64_t state = fill->tensor->seed * 0x2545f4914f6cdd1du + (uint64_t)row;
      state = next (&state);
      for (int64_t c = 0; c < cols; c += 4)
        {
          uint64_t bits = next (&state);
          for (int k = 0; k < 4; k++)
            fill->out[i * cols + c + k] = fill->table[(bits >> (16 * k)) & 0xffff];
        }
    }
}

static void
add (GArray *tensors, int block, const char *hf, const char *gguf, int64_t rows, int64_t cols, int permuted)
{
  Tensor tensor = { .rows = rows, .cols = cols, .permuted = permuted, .seed = tensors->len + 1 };
  tensor.hf = block < 0 ? g_strdup (hf) : g_strdup_printf ("model.layers.%d.%s.weight", block, hf);
  tensor.gguf = block < 0 ? g_strdup (gguf) : g_strdup_printf ("blk.%d.%s.weight", block, gguf);
  g_array_append_val (tensors, tensor);
}

static GArray *
make_list (int n_blocks)
{
  GArray *t = g_array_new (FALSE, FALSE, sizeof (Tensor));
  add (t, -1, "model.embed_tokens.weight", "token_embd.weight", N_VOCAB, N_EMBD, 0);
  for (int b = 0; b < n_blocks; b++)
    {
      add (t, b, "input_layernorm", "attn_norm", 0, N_EMBD, 0);
      add (t, b, "self_attn.q_proj", "attn_q", N_EMBD, N_EMBD, N_HEADS);
      add (t, b, "self_attn.k_proj", "attn_k", N_EMBD, N_EMBD, N_HEADS);
      add (t, b, "self_attn.v_proj", "attn_v", N_EMBD, N_EMBD, 0);
      add (t, b, "self_attn.o_proj", "attn_output", N_EMBD, N_EMBD, 0);
      add (t, b, "post_attention_layernorm", "ffn_norm", 0, N_EMBD, 0);
      add (t, b, "mlp.gate_proj", "ffn_gate", N_FF, N_EMBD, 0);
      add (t, b, "mlp.up_proj", "ffn_up", N_FF, N_EMBD, 0);
      add (t, b, "mlp.down_proj", "ffn_down", N_EMBD, N_FF, 0);
    }
  add (t, -1, "model.norm.weight", "output_norm.weight", 0, N_EMBD, 0);
  add (t, -1, "lm_head.weight", "output.weight", N_VOCAB, N_EMBD, 0);
  return t;
}

typedef bool (*WriteFunc) (void *writer, const void *data, size_t n, GError **error);

static bool
write_gguf (void *writer, const void *data, size_t n, GError **error)
{
  return swage_gguf_writer_write (writer, data, n, error);
}

static bool
write_safetensors (void *writer, const void *data, size_t n, GError **error)
{
  return swage_safetensors_writer_write (writer, data, n, error);
}

static bool
write_all (GArray *tensors, SwageType type, bool gguf, WriteFunc write, void *writer, GError **error)
{
  static float quantiles[65536];
  static uint16_t table[65536];
  g_autofree uint16_t *out = g_malloc (PIECE);
  make_quantiles (quantiles);
  for (guint t = 0; t < tensors->len; t++)
    {
      const Tensor *tensor = &g_array_index (tensors, Tensor, t);
      if (tensor->rows == 0)
        {
          g_autofree float *ones = g_new (float, tensor->cols);
          for (int64_t i = 0; i < tensor->cols; i++)
            ones[i] = 1;
          if (!gguf)
            swage_type_from_f32 (type, ones, NULL, out, tensor->cols);
          if (!write (writer, gguf ? (void *)ones : out, (size_t)tensor->cols * (gguf ? 4 : 2), error))
            return false;
          continue;
        }
      float deviation = 1 / sqrtf ((float)tensor->cols);
      for (int i = 0; i < 65536; i++)
        {
          float value = quantiles[i] * deviation;
          swage_type_from_f32 (type, &value, NULL, &table[i], 1);
        }
      int64_t chunk = (int64_t)(PIECE / 2) / tensor->cols;
      Fill fill = { .tensor = tensor, .table = table, .permuted = gguf ? tensor->permuted : 0, .out = out };
      for (; fill.first < tensor->rows; fill.first += chunk)
        {
          int64_t n = MIN (chunk, tensor->rows - fill.first);
          swage_pool_run (n, 16, fill_rows, &fill);
          if (!write (writer, out, (size_t)(n * tensor->cols) * 2, error))
            return false;
        }
    }
  return true;
}

/* ---- the two containers ---- */

static char *
sample_file (const char *name)
{
  const char *data = g_getenv ("SWAGE_DATA_DIR");
  return g_build_filename (data != NULL ? data : "data", "sample", name, NULL);
}

static bool
make_folder (const char *path, GArray *tensors, int n_blocks, SwageType type, GError **error)
{
  static const char *const copied[] = { "tokenizer.json", "tokenizer_config.json" };
  g_autofree char *model = g_build_filename (path, "model.safetensors", NULL);
  g_autofree char *config = g_build_filename (path, "config.json", NULL);
  g_autofree SwageTensorInfo *infos = g_new0 (SwageTensorInfo, tensors->len);
  const char *metadata[] = { "format", "pt", NULL };
  if (g_mkdir_with_parents (path, 0777) != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_IO, "cannot make %s", path);
      return false;
    }
  for (guint i = 0; i < tensors->len; i++)
    {
      const Tensor *t = &g_array_index (tensors, Tensor, i);
      infos[i] = (SwageTensorInfo){ .name = t->hf, .type = type, .n_dims = t->rows > 0 ? 2 : 1 };
      infos[i].shape[0] = t->rows > 0 ? t->rows : t->cols;
      infos[i].shape[1] = t->cols;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (copied); i++)
    {
      g_autofree char *from = sample_file (copied[i]);
      g_autofree char *to = g_build_filename (path, copied[i], NULL);
      g_autofree char *text = NULL;
      gsize n;
      if (!g_file_get_contents (from, &text, &n, error)
          || !swage_output_write_file (to, text, n, true, NULL, error))
        return false;
    }
  g_autofree char *text = g_strdup_printf (
      "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n  \"hidden_size\": "
      "%d,\n"
      "  \"intermediate_size\": %d,\n  \"num_hidden_layers\": %d,\n  \"num_attention_heads\": %d,\n"
      "  \"num_key_value_heads\": %d,\n  \"vocab_size\": %d,\n  \"max_position_embeddings\": %d,\n"
      "  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n  \"hidden_act\": \"silu\",\n"
      "  \"tie_word_embeddings\": false,\n  \"torch_dtype\": \"%s\"\n}\n",
      N_EMBD, N_FF, n_blocks, N_HEADS, N_HEADS, N_VOCAB, N_CONTEXT,
      type == SWAGE_TYPE_BF16 ? "bfloat16" : "float16");
  g_autoptr (SwageSafetensorsWriter) w
      = swage_safetensors_writer_new (model, infos, (int)tensors->len, metadata, true, error);
  return w != NULL && write_all (tensors, type, false, write_safetensors, w, error)
         && swage_safetensors_writer_commit (w, NULL, NULL, error)
         && swage_output_write_file (config, text, strlen (text), true, NULL, error);
}

static bool
set_tokenizer (SwageGgufWriter *w, GError **error)
{
  g_autofree char *json = sample_file ("tokenizer.json");
  g_autofree char *config = sample_file ("tokenizer_config.json");
  g_autoptr (SwageTokenizer) tokenizer = swage_tokenizer_open_json (json, config, error);
  if (tokenizer == NULL)
    return false;
  g_autoptr (GPtrArray) pieces = g_ptr_array_new_with_free_func (g_free);
  g_autofree int32_t *kinds = g_new (int32_t, N_VOCAB);
  for (int i = 0; i < N_VOCAB; i++)
    {
      SwageTokenKind kind = SWAGE_TOKEN_UNUSED;
      size_t length;
      float score;
      const char *piece = swage_tokenizer_get_piece (tokenizer, i, &length, &score, &kind);
      g_ptr_array_add (pieces, piece != NULL ? g_strndup (piece, length) : g_strdup_printf ("[PAD%d]", i));
      kinds[i] = (int32_t)(piece != NULL ? kind : SWAGE_TOKEN_UNUSED);
    }
  int64_t n;
  const char *const *merges = swage_tokenizer_get_merges (tokenizer, &n);
  const SwageTokenizerInfo *info = swage_tokenizer_get_info (tokenizer);
  swage_gguf_writer_set_string (w, "tokenizer.ggml.model", info->model);
  swage_gguf_writer_set_string (w, "tokenizer.ggml.pre", info->pre);
  swage_gguf_writer_set_strings (w, "tokenizer.ggml.tokens", (const char *const *)pieces->pdata, NULL,
                                 N_VOCAB);
  swage_gguf_writer_set_ints (w, "tokenizer.ggml.token_type", kinds, N_VOCAB);
  swage_gguf_writer_set_strings (w, "tokenizer.ggml.merges", merges, NULL, n);
  swage_gguf_writer_set_u32 (w, "tokenizer.ggml.bos_token_id", (uint32_t)info->bos);
  swage_gguf_writer_set_u32 (w, "tokenizer.ggml.eos_token_id", (uint32_t)info->eos);
  swage_gguf_writer_set_bool (w, "tokenizer.ggml.add_bos_token", info->add_bos);
  return true;
}

static bool
make_gguf (const char *path, GArray *tensors, int n_blocks, SwageType type, GError **error)
{
  g_autoptr (SwageGgufWriter) w = swage_gguf_writer_new ();
  swage_gguf_writer_set_string (w, "general.architecture", "llama");
  swage_gguf_writer_set_string (w, "general.name", "7b-shaped");
  swage_gguf_writer_set_u32 (w, "general.file_type", type == SWAGE_TYPE_BF16 ? 32 : 1);
  swage_gguf_writer_set_u32 (w, "llama.block_count", (uint32_t)n_blocks);
  swage_gguf_writer_set_u32 (w, "llama.context_length", N_CONTEXT);
  swage_gguf_writer_set_u32 (w, "llama.embedding_length", N_EMBD);
  swage_gguf_writer_set_u32 (w, "llama.feed_forward_length", N_FF);
  swage_gguf_writer_set_u32 (w, "llama.attention.head_count", N_HEADS);
  swage_gguf_writer_set_u32 (w, "llama.attention.head_count_kv", N_HEADS);
  swage_gguf_writer_set_f32 (w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
  swage_gguf_writer_set_u32 (w, "llama.rope.dimension_count", N_EMBD / N_HEADS);
  swage_gguf_writer_set_f32 (w, "llama.rope.freq_base", 10000);
  swage_gguf_writer_set_u32 (w, "llama.vocab_size", N_VOCAB);
  if (!set_tokenizer (w, error))
    return false;
  for (guint i = 0; i < tensors->len; i++)
    {
      const Tensor *t = &g_array_index (tensors, Tensor, i);
      int64_t shape[2] = { t->rows > 0 ? t->rows : t->cols, t->cols };
      swage_gguf_writer_add_tensor (w, t->gguf, t->rows > 0 ? type : SWAGE_TYPE_F32, t->rows > 0 ? 2 : 1,
                                    shape);
    }
  return swage_gguf_writer_start (w, path, true, error)
         && write_all (tensors, type, true, write_gguf, w, error)
         && swage_gguf_writer_commit (w, NULL, NULL, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean bf16 = FALSE;
  int blocks = 2;
  GOptionEntry entries[] = { { "bf16", 0, 0, G_OPTION_ARG_NONE, &bf16, "BF16 weights instead of F16", NULL },
                             { "blocks", 0, 0, G_OPTION_ARG_INT, &blocks, "Number of blocks (2)", "N" },
                             { NULL } };
  g_autoptr (GOptionContext) context = g_option_context_new ("OUT.gguf|OUT_FOLDER");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2 || blocks < 1
      || blocks > MAX_BLOCKS)
    {
      fprintf (stderr, "make-7b: %s\n", error != NULL ? error->message : "one output, and 1 to 64 blocks");
      return 2;
    }
  SwageType type = bf16 ? SWAGE_TYPE_BF16 : SWAGE_TYPE_F16;
  g_autoptr (GArray) tensors = make_list (blocks);
  bool ok = g_str_has_suffix (argv[1], ".gguf") ? make_gguf (argv[1], tensors, blocks, type, &error)
                                                : make_folder (argv[1], tensors, blocks, type, &error);
  if (!ok)
    fprintf (stderr, "make-7b: %s\n", error->message);
  for (guint i = 0; i < tensors->len; i++)
    {
      g_free (g_array_index (tensors, Tensor, i).hf);
      g_free (g_array_index (tensors, Tensor, i).gguf);
    }
  return ok ? 0 : 1;
}
