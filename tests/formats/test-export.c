/* SPDX-License-Identifier: MIT
 *
 * Exports, read back: by tensor against a file that the gguf package wrote, against the source, against the
 * layers that went in. What a target cannot hold is said before anything is written; what fails or is
 * cancelled leaves nothing behind.
 */
#include "core/export/swage-export.h"
#include "core/format/swage-gguf.h"
#include "core/model/swage-rope.h"
#include "tests/formats/tiny.h"

#include <math.h>

/* ---- a source of layers ---- */

typedef struct
{
  SwageModel *model;
  SwageLinear *(*change) (SwageLinear *linear); /* takes and gives a mutable layer; NULL: as it is */
  const char *only;                             /* the one layer it is for; NULL: all */
  const char *fail_at, *cancel_at;
  GCancellable *cancellable;
  bool lie; /* say something else than what comes */
  GString *asked;
} Recipe;

static SwageLinear *
make_layer (Recipe *recipe, const char *name, GError **error)
{
  g_autoptr (SwageLinear) plain = swage_model_load_linear (recipe->model, name, error);
  g_assert_nonnull (plain);
  SwageLinear *linear = swage_linear_dup (plain);
  bool wanted = recipe->change != NULL && (recipe->only == NULL || strcmp (recipe->only, name) == 0);
  return wanted ? recipe->change (linear) : linear;
}

static bool
recipe_spec (const char *name, SwageLinearSpec *spec, gpointer user_data, GError **error)
{
  Recipe *recipe = user_data;
  g_autoptr (SwageLinear) linear
      = recipe->lie ? swage_model_load_linear (recipe->model, name, error) : make_layer (recipe, name, error);
  swage_linear_spec_init_from (spec, linear);
  return true;
}

static SwageLinear *
recipe_layer (const char *name, SwageJob *job, gpointer user_data, GError **error)
{
  Recipe *recipe = user_data;
  if (recipe->asked != NULL)
    g_string_append_printf (recipe->asked, "%s ", name);
  if (g_strcmp0 (name, recipe->fail_at) == 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC, "%s is singular", name);
      return NULL;
    }
  if (g_strcmp0 (name, recipe->cancel_at) == 0)
    g_cancellable_cancel (recipe->cancellable);
  return make_layer (recipe, name, error);
}

static SwageExportSource
source_of (Recipe *recipe)
{
  return (SwageExportSource){ .spec = recipe_spec, .layer = recipe_layer, .user_data = recipe };
}

static SwageLinear *
to_type (SwageLinear *linear, SwageType type)
{
  g_autofree float *values = swage_weight_decode_all (linear->weight);
  if (swage_type_row_bytes (type, linear->n_in) > 0)
    swage_linear_set_weight (linear,
                             swage_weight_new_from_f32 (type, linear->n_out, linear->n_in, values, NULL));
  return linear;
}

static SwageLinear *
to_q8_0 (SwageLinear *linear)
{
  return to_type (linear, SWAGE_TYPE_Q8_0);
}
static SwageLinear *
to_iq4_nl (SwageLinear *linear)
{
  return to_type (linear, SWAGE_TYPE_IQ4_NL);
}
static SwageLinear *
to_bf16 (SwageLinear *linear)
{
  return to_type (linear, SWAGE_TYPE_BF16);
}

static SwageLinear *
to_int (SwageLinear *linear)
{
  g_autofree float *values = swage_weight_decode_all (linear->weight);
  swage_linear_set_weight (
      linear, swage_weight_new_int_from_f32 (linear->n_out, linear->n_in, 3, 16, false, values, NULL));
  return linear;
}

static SwageWeight *
make_weight (SwageType type, int64_t rows, int64_t cols, int64_t k)
{
  g_autofree float *values = g_new (float, rows *cols);
  for (int64_t i = 0; i < rows * cols; i++)
    values[i] = tiny_value (i, k) / 4;
  return swage_weight_new_from_f32 (type, rows, cols, values, NULL);
}

static SwageLinear *
to_low_rank (SwageLinear *linear)
{
  int64_t n_out = linear->n_out, n_in = linear->n_in;
  swage_linear_set_weight (linear, NULL);
  swage_linear_set_low_rank (linear, make_weight (SWAGE_TYPE_F16, 5, n_in, 1),
                             make_weight (SWAGE_TYPE_F32, n_out, 5, 2));
  return linear;
}

/* Everything at once: packed weight, factors, sparse values, a scaled and permuted input. */
static SwageLinear *
to_everything (SwageLinear *linear)
{
  int64_t n_out = linear->n_out, n_in = linear->n_in;
  linear = to_int (linear);
  swage_linear_set_low_rank (linear, make_weight (SWAGE_TYPE_F16, 3, n_in, 1),
                             make_weight (SWAGE_TYPE_F16, n_out, 3, 2));
  SwageSparse *sparse = linear->sparse = g_new0 (SwageSparse, 1);
  *sparse = (SwageSparse){ .rows = n_out, .cols = n_in, .n_values = n_out, .type = SWAGE_TYPE_F32 };
  sparse->row_start = g_new (int64_t, n_out + 1);
  sparse->column = g_new (uint32_t, n_out);
  float *kept = g_new (float, n_out);
  sparse->values = kept;
  for (int64_t i = 0; i <= n_out; i++)
    sparse->row_start[i] = i;
  for (int64_t i = 0; i < n_out; i++)
    {
      sparse->column[i] = (uint32_t)(7 * i % n_in);
      kept[i] = (float)i / 8;
    }
  return linear;
}

static SwageLinear *
to_transformed (SwageLinear *linear)
{
  linear = to_everything (linear);
  linear->transform = g_new0 (SwageTransform, 1);
  linear->transform->scale = g_new (float, linear->n_in);
  linear->transform->permutation = g_new (int32_t, linear->n_in);
  for (int64_t i = 0; i < linear->n_in; i++)
    {
      linear->transform->scale[i] = 1 + (float)(i % 5);
      linear->transform->permutation[i] = (int32_t)((i + 3) % linear->n_in);
    }
  return linear;
}

static SwageLinear *
to_act_quant (SwageLinear *linear)
{
  linear->act_quant = g_new0 (SwageActQuant, 1);
  linear->act_quant->bits = 8;
  return linear;
}

static SwageLinear *
to_biased (SwageLinear *linear)
{
  g_free (linear->bias);
  linear->bias = g_new0 (float, linear->n_out);
  return linear;
}

/* ---- helpers ---- */

typedef struct
{
  char *folder, *in, *out;
  SwageModel *model;
} Fixture;

static void
set_up (Fixture *f, const char *config, SwageType type, const char *skip)
{
  GError *error = NULL;
  f->folder = tiny_folder ();
  f->in = g_build_filename (f->folder, "in", NULL);
  f->out = g_build_filename (f->folder, "out", NULL);
  g_assert_cmpint (g_mkdir (f->in, 0777), ==, 0);
  tiny_model (f->in, config, type, skip);
  f->model = swage_model_open (f->in, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f)
{
  swage_model_unref (f->model);
  tiny_remove (f->folder);
  g_free (f->folder);
  g_free (f->in);
  g_free (f->out);
}

/* Exports and opens the result; checks what the result says of itself. */
static SwageModel *
export_and_open (SwageModel *model, SwageExportFormat format, Recipe *recipe, const char *path,
                 const SwageExportOptions *options)
{
  GError *error = NULL;
  SwageExportResult result;
  SwageExportSource source = source_of (recipe);
  uint64_t ahead = 0;
  swage_export_get_bytes (model, format, recipe != NULL ? &source : NULL, options, &ahead, &error);
  g_assert_no_error (error);
  swage_export (model, format, recipe != NULL ? &source : NULL, path, options, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (result.path, ==, path);
  g_assert_cmpuint (strlen (result.sha256), ==, 64);
  if (format == SWAGE_EXPORT_GGUF)
    {
      g_autofree char *text = NULL;
      gsize n;
      g_assert_true (g_file_get_contents (path, &text, &n, NULL));
      g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guchar *)text, n);
      g_assert_cmpuint (n, ==, ahead);
      g_assert_cmpuint (n, ==, result.bytes);
      g_assert_cmpstr (sum, ==, result.sha256);
      g_assert_cmpint (result.n_files, ==, 1);
    }
  else
    g_assert_cmpint (result.n_files, ==, tiny_count_files (path));
  swage_export_result_clear (&result);
  SwageModel *back = swage_model_open (path, &error);
  g_assert_no_error (error);
  return back;
}

static void
compare_tensors (SwageModel *a, SwageModel *b)
{
  GError *error = NULL;
  g_assert_cmpint (swage_model_get_n_tensors (a), ==, swage_model_get_n_tensors (b));
  for (int i = 0; i < swage_model_get_n_tensors (a); i++)
    {
      const SwageTensor *ta = swage_model_get_tensor (a, i), *tb = swage_model_get_tensor (b, i);
      int64_t na, nb;
      g_assert_cmpstr (ta->name, ==, tb->name);
      g_autofree float *va = swage_model_load_floats (a, ta, &na, &error);
      g_autofree float *vb = swage_model_load_floats (b, tb, &nb, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (va, (size_t)na * 4, vb, (size_t)nb * 4);
    }
}

static void
compare_configs (const SwageConfig *a, const SwageConfig *b)
{
  g_assert_cmpstr (a->architecture, ==, b->architecture);
  g_assert_cmpint (a->n_blocks, ==, b->n_blocks);
  g_assert_cmpint (a->n_embd, ==, b->n_embd);
  g_assert_cmpint (a->n_ff, ==, b->n_ff);
  g_assert_cmpint (a->n_heads, ==, b->n_heads);
  g_assert_cmpint (a->n_kv_heads, ==, b->n_kv_heads);
  g_assert_cmpint (a->head_dim, ==, b->head_dim);
  g_assert_cmpint (a->n_vocab, ==, b->n_vocab);
  g_assert_cmpint (a->max_context, ==, b->max_context);
  g_assert_cmpint (a->norm, ==, b->norm);
  g_assert_cmpfloat ((float)a->norm_eps, ==, (float)b->norm_eps);
  g_assert_cmpint (a->position, ==, b->position);
  g_assert_cmpfloat (a->rope_base, ==, b->rope_base);
  g_assert_cmpint (a->rope_dims, ==, b->rope_dims);
  g_assert_cmpint (a->sliding_window, ==, b->sliding_window);
  g_assert_cmpint (a->ffn, ==, b->ffn);
  g_assert_true (a->tied_output == b->tied_output);
}

/* ---- GGUF ---- */

/* Our file of the fixture against the gguf package's, tensor by tensor. */
static void
test_gguf_foreign (void)
{
  GError *error = NULL;
  g_autofree char *folder = tiny_folder ();
  g_autofree char *out = g_build_filename (folder, "out.gguf", NULL);
  g_autofree char *in = tiny_fixture ("llama");
  g_autofree char *golden_path = tiny_fixture ("llama.gguf");
  g_autoptr (SwageModel) model = swage_model_open (in, &error);
  g_assert_no_error (error);
  g_autoptr (SwageModel) back = export_and_open (model, SWAGE_EXPORT_GGUF, NULL, out, NULL);
  g_autoptr (SwageGguf) golden = swage_gguf_open (golden_path, &error);
  g_assert_no_error (error);
  SwageGguf *ours = swage_model_get_gguf (back);
  g_assert_cmpint (swage_gguf_get_n_tensors (ours), ==, swage_gguf_get_n_tensors (golden));
  for (int i = 0; i < swage_gguf_get_n_tensors (golden); i++)
    {
      const SwageTensorInfo *a = swage_gguf_get_tensor (golden, i);
      bool found = false;
      for (int j = 0; j < swage_gguf_get_n_tensors (ours); j++)
        {
          const SwageTensorInfo *b = swage_gguf_get_tensor (ours, j);
          if (strcmp (a->name, b->name) != 0)
            continue;
          found = true;
          g_assert_cmpint (a->type, ==, b->type);
          g_assert_cmpint (a->n_dims, ==, b->n_dims);
          g_assert_cmpmem (a->shape, sizeof a->shape, b->shape, sizeof b->shape);
          g_autoptr (GBytes) da = swage_gguf_get_data (golden, i);
          g_autoptr (GBytes) db = swage_gguf_get_data (ours, j);
          if (strcmp (a->name, "rope_freqs.weight") != 0)
            g_assert_true (g_bytes_equal (da, db));
          else
            for (int64_t k = 0; k < a->shape[0]; k++)
              {
                double want = (double)((const float *)g_bytes_get_data (da, NULL))[k];
                g_assert_cmpfloat_with_epsilon ((double)((const float *)g_bytes_get_data (db, NULL))[k], want,
                                                4e-7 * want);
              }
        }
      g_assert_true (found);
    }
  /* every key the foreign writer has, with its value */
  for (int i = 0; i < swage_gguf_get_n_keys (golden); i++)
    {
      SwageGgufKind kind;
      const uint8_t *payload;
      size_t n;
      double a, b;
      const char *key = swage_gguf_get_key (golden, i, &kind, &payload, &n);
      if (kind == SWAGE_GGUF_STRING)
        g_assert_cmpstr (swage_gguf_get_string (ours, key), ==, swage_gguf_get_string (golden, key));
      else
        {
          g_assert_true (swage_gguf_get_double (golden, key, &a) && swage_gguf_get_double (ours, key, &b));
          g_assert_cmpfloat (a, ==, b);
        }
    }
  tiny_remove (folder);
}

static void
test_gguf_architectures (void)
{
  static const struct
  {
    const char *config, *skip;
    SwageType type;
  } cases[] = {
    { TINY_LLAMA, NULL, SWAGE_TYPE_F16 },      { TINY_LLAMA, ".bias", SWAGE_TYPE_BF16 },
    { TINY_MISTRAL, ".bias", SWAGE_TYPE_F32 }, { TINY_QWEN2, NULL, SWAGE_TYPE_BF16 },
    { TINY_QWEN3, ".bias", SWAGE_TYPE_F16 },   { TINY_GPT2, NULL, SWAGE_TYPE_F32 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Fixture f;
      set_up (&f, cases[i].config, cases[i].type, cases[i].skip);
      Recipe recipe = { .model = f.model, .asked = g_string_new (NULL) };
      g_autoptr (SwageModel) back = export_and_open (f.model, SWAGE_EXPORT_GGUF, &recipe, f.out, NULL);
      compare_tensors (f.model, back);
      compare_configs (swage_model_get_config (f.model), swage_model_get_config (back));

      /* each layer once, in order */
      GString *order = g_string_new (NULL);
      for (int l = 0; l < swage_model_get_n_layers (f.model); l++)
        g_string_append_printf (order, "%s ", swage_model_get_layer (f.model, l)->name);
      g_assert_cmpstr (recipe.asked->str, ==, order->str);
      g_string_free (order, TRUE);
      g_string_free (recipe.asked, TRUE);

      /* vectors are F32, whatever they were */
      for (int t = 0; t < swage_model_get_n_tensors (back); t++)
        if (swage_model_get_tensor (back, t)->n_dims == 1)
          g_assert_cmpint (swage_model_get_tensor (back, t)->type, ==, SWAGE_TYPE_F32);

      /* and from GGUF to safetensors again */
      g_autofree char *again = g_build_filename (f.folder, "again", NULL);
      g_autoptr (SwageModel) hf = export_and_open (back, SWAGE_EXPORT_SAFETENSORS, NULL, again, NULL);
      compare_tensors (f.model, hf);
      compare_configs (swage_model_get_config (f.model), swage_model_get_config (hf));
      g_assert_cmpint (swage_model_get_tensor (hf, 0)->type, ==, cases[i].type);
      tear_down (&f);
    }
}

static void
test_gguf_packed (void)
{
  static SwageLinear *(*const changes[]) (SwageLinear *) = { to_q8_0, to_iq4_nl, to_bf16 };
  static const SwageType types[] = { SWAGE_TYPE_Q8_0, SWAGE_TYPE_IQ4_NL, SWAGE_TYPE_BF16 };
  static const int file_types[] = { 7, 25, 32 };
  Fixture f;
  GError *error = NULL;
  set_up (&f, TINY_LLAMA, SWAGE_TYPE_F16, NULL);
  for (size_t c = 0; c < G_N_ELEMENTS (changes); c++)
    {
      Recipe recipe = { .model = f.model, .change = changes[c] };
      SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
      options.overwrite = true;
      options.provenance = "{\"swage_plan\": 1}";
      g_autoptr (SwageModel) back = export_and_open (f.model, SWAGE_EXPORT_GGUF, &recipe, f.out, &options);
      int64_t file_type = 0;
      g_assert_true (swage_gguf_get_int (swage_model_get_gguf (back), "general.file_type", &file_type));
      g_assert_cmpint (file_type, ==, file_types[c]);
      g_assert_cmpstr (swage_gguf_get_string (swage_model_get_gguf (back), "swage.plan"), ==,
                       options.provenance);
      for (int l = 0; l < swage_model_get_n_layers (f.model); l++)
        {
          const char *name = swage_model_get_layer (f.model, l)->name;
          g_autoptr (SwageLinear) want = make_layer (&recipe, name, &error);
          g_autoptr (SwageLinear) got = swage_model_load_linear (back, name, &error);
          g_assert_no_error (error);
          g_assert_cmpint (got->weight->type, ==, types[c]);
          g_assert_true (g_bytes_equal (got->weight->data, want->weight->data));
          g_assert_true ((got->bias == NULL) == (want->bias == NULL));
          if (want->bias != NULL)
            g_assert_cmpmem (got->bias, (size_t)got->n_out * 4, want->bias, (size_t)want->n_out * 4);
        }

      /* a GGUF file exported again as it is keeps metadata and tensors, byte for byte */
      g_autofree char *copy_path = g_build_filename (f.folder, "copy", NULL);
      options.provenance = NULL;
      g_autoptr (SwageModel) copy = export_and_open (back, SWAGE_EXPORT_GGUF, NULL, copy_path, &options);
      g_autofree char *a = NULL;
      g_autofree char *b = NULL;
      gsize na, nb;
      g_assert_true (g_file_get_contents (f.out, &a, &na, NULL)
                     && g_file_get_contents (copy_path, &b, &nb, NULL));
      g_assert_cmpmem (a, na, b, nb);
    }
  tear_down (&f);
}

/* Multiplied out: the same matrix as the layer's own flattening, to a few roundings. */
static void
test_dense (void)
{
  static SwageLinear *(*const changes[]) (SwageLinear *)
      = { to_int, to_low_rank, to_everything, to_transformed };
  static const char *const configs[] = { TINY_LLAMA, TINY_GPT2 };
  GError *error = NULL;
  for (size_t k = 0; k < G_N_ELEMENTS (configs); k++)
    for (size_t c = 0; c < G_N_ELEMENTS (changes); c++)
      for (int format = 0; format < SWAGE_N_EXPORT_FORMATS; format++)
        {
          Fixture f;
          set_up (&f, configs[k], SWAGE_TYPE_F32, k == 0 ? ".bias" : NULL);
          Recipe recipe = { .model = f.model, .change = changes[c] };
          SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
          if (format == SWAGE_EXPORT_GGUF)
            options.dense_type = SWAGE_TYPE_F32;
          g_autoptr (SwageModel) back
              = export_and_open (f.model, (SwageExportFormat)format, &recipe, f.out, &options);
          for (int l = 0; l < swage_model_get_n_layers (f.model); l++)
            {
              const char *name = swage_model_get_layer (f.model, l)->name;
              g_autoptr (SwageLinear) linear = make_layer (&recipe, name, &error);
              g_autoptr (SwageLinear) got = swage_model_load_linear (back, name, &error);
              g_assert_no_error (error);
              g_autofree float *want = swage_linear_get_effective (linear);
              g_autofree float *is = swage_weight_decode_all (got->weight);
              double largest = 0;
              for (int64_t i = 0; i < linear->n_out * linear->n_in; i++)
                largest = fmax (largest, fabs ((double)want[i]));
              for (int64_t i = 0; i < linear->n_out * linear->n_in; i++)
                g_assert_cmpfloat_with_epsilon (is[i], want[i], 1e-6 * largest + 1e-30);
            }
          tear_down (&f);
        }
}

static void
test_tokenizer (void)
{
  GError *error = NULL;
  g_autofree char *in = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  g_autofree char *folder = tiny_folder ();
  g_autofree char *out = g_build_filename (folder, "sample.gguf", NULL);
  g_autofree char *hf_out = g_build_filename (folder, "sample", NULL);
  g_autoptr (SwageModel) model = swage_model_open (in, &error);
  g_assert_no_error (error);
  g_autoptr (SwageModel) back = export_and_open (model, SWAGE_EXPORT_GGUF, NULL, out, NULL);
  SwageTokenizer *a = swage_model_get_tokenizer (model, &error),
                 *b = swage_model_get_tokenizer (back, &error);
  g_assert_no_error (error);
  static const char text[] = "And it came to pass in those days, that Jesus came from Nazareth of Galilee: "
                             "1234 ünïcode 😀\n\n<|endoftext|> x";
  for (int special = 0; special < 2; special++)
    {
      g_autoptr (GArray) ia = g_array_new (FALSE, FALSE, sizeof (int32_t));
      g_autoptr (GArray) ib = g_array_new (FALSE, FALSE, sizeof (int32_t));
      SwageEncodeFlags flags
          = special ? SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL : SWAGE_ENCODE_PLAIN;
      g_assert_true (swage_tokenizer_encode (a, text, sizeof text - 1, flags, ia, &error));
      g_assert_true (swage_tokenizer_encode (b, text, sizeof text - 1, flags, ib, &error));
      g_assert_cmpmem (ia->data, ia->len * 4, ib->data, ib->len * 4);
    }
  const SwageTokenizerInfo *info_a = swage_tokenizer_get_info (a), *info_b = swage_tokenizer_get_info (b);
  g_assert_cmpint (info_b->n_tokens, ==, 4096);
  g_assert_cmpint (info_a->bos, ==, info_b->bos);
  g_assert_cmpint (info_a->eos, ==, info_b->eos);
  g_assert_true (info_a->add_bos == info_b->add_bos);
  g_assert_cmpstr (info_a->pre, ==, info_b->pre);
  /* what llama.cpp will not load without */
  static const char *const keys[] = { "general.architecture",
                                      "llama.context_length",
                                      "llama.embedding_length",
                                      "llama.block_count",
                                      "llama.feed_forward_length",
                                      "llama.attention.head_count",
                                      "llama.attention.layer_norm_rms_epsilon",
                                      "tokenizer.ggml.model",
                                      "tokenizer.ggml.pre",
                                      "tokenizer.ggml.tokens",
                                      "tokenizer.ggml.token_type",
                                      "tokenizer.ggml.merges",
                                      "tokenizer.ggml.eos_token_id",
                                      "general.file_type",
                                      "general.quantization_version" };
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      bool found = false;
      SwageGgufKind kind;
      const uint8_t *payload;
      size_t n;
      for (int k = 0; k < swage_gguf_get_n_keys (swage_model_get_gguf (back)); k++)
        found |= strcmp (swage_gguf_get_key (swage_model_get_gguf (back), k, &kind, &payload, &n), keys[i])
                 == 0;
      g_test_message ("%s", keys[i]);
      g_assert_true (found);
    }

  /* a folder has the tokenizer's files as they were */
  g_autoptr (SwageModel) hf = export_and_open (model, SWAGE_EXPORT_SAFETENSORS, NULL, hf_out, NULL);
  g_assert_cmpstr (swage_tokenizer_get_fingerprint (swage_model_get_tokenizer (hf, &error)), ==,
                   swage_tokenizer_get_fingerprint (a));
  compare_tensors (model, hf);
  tiny_remove (folder);
}

/* ---- safetensors ---- */

static void
test_safetensors (void)
{
  static const char *const configs[] = { TINY_LLAMA, TINY_QWEN3, TINY_GPT2, TINY_OPT };
  GError *error = NULL;
  for (size_t k = 0; k < G_N_ELEMENTS (configs); k++)
    {
      Fixture f;
      set_up (&f, configs[k], SWAGE_TYPE_BF16, NULL);
      tiny_write (f.in, "tokenizer.json", "{}", 2);
      tiny_write (f.in, "notes.txt", "no part of the model", 20);
      SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
      options.overwrite = true;

      /* as it is: the same tensors under the same names, byte for byte */
      g_autoptr (SwageModel) same
          = export_and_open (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options);
      g_autofree char *a_path = g_build_filename (f.in, "model.safetensors", NULL);
      g_autofree char *b_path = g_build_filename (f.out, "model.safetensors", NULL);
      g_autoptr (SwageSafetensors) a = swage_safetensors_open (a_path, &error);
      g_autoptr (SwageSafetensors) b = swage_safetensors_open (b_path, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (swage_safetensors_get_metadata (b, "format"), ==, "pt");
      g_assert_cmpint (swage_safetensors_get_n_tensors (a), ==, swage_safetensors_get_n_tensors (b));
      for (int i = 0; i < swage_safetensors_get_n_tensors (a); i++)
        for (int j = 0; j < swage_safetensors_get_n_tensors (b); j++)
          if (strcmp (swage_safetensors_get_tensor (a, i)->name, swage_safetensors_get_tensor (b, j)->name)
              == 0)
            {
              g_autoptr (GBytes) da = swage_safetensors_get_data (a, i);
              g_autoptr (GBytes) db = swage_safetensors_get_data (b, j);
              g_assert_true (g_bytes_equal (da, db));
            }
      g_assert_cmpint (tiny_count_files (f.out), ==, 3); /* model, config, tokenizer */
      g_autofree char *config = g_build_filename (f.out, "config.json", NULL);
      g_autoptr (json_t) json = swage_json_load (config, 1 << 20, &error);
      g_assert_cmpstr (json_string_value (json_object_get (json, "torch_dtype")), ==, "bfloat16");
      g_clear_pointer (&json, json_decref);

      /* one layer packed: F32 throughout, so that nothing is rounded again */
      Recipe recipe
          = { .model = f.model, .change = to_q8_0, .only = k >= 2 ? "blk.1.ffn_up" : "blk.1.ffn_gate" };
      g_autoptr (SwageModel) packed
          = export_and_open (f.model, SWAGE_EXPORT_SAFETENSORS, &recipe, f.out, &options);
      for (int i = 0; i < swage_model_get_n_tensors (packed); i++)
        {
          const SwageTensor *tensor = swage_model_get_tensor (packed, i);
          g_assert_cmpint (tensor->type, ==, SWAGE_TYPE_F32);
          if (strcmp (tensor->name, recipe.only) != 0)
            continue;
          g_autoptr (SwageLinear) want = make_layer (&recipe, tensor->name, &error);
          g_autofree float *values = swage_weight_decode_all (want->weight);
          int64_t n;
          g_autofree float *got = swage_model_load_floats (packed, tensor, &n, &error);
          g_assert_cmpmem (got, (size_t)n * 4, values, (size_t)n * 4);
        }
      json = swage_json_load (config, 1 << 20, &error);
      g_assert_cmpstr (json_string_value (json_object_get (json, "torch_dtype")), ==, "float32");
      g_clear_pointer (&json, json_decref);

      /* in a type that is asked for */
      options.dense_type = SWAGE_TYPE_F16;
      g_autoptr (SwageModel) half
          = export_and_open (f.model, SWAGE_EXPORT_SAFETENSORS, &recipe, f.out, &options);
      g_assert_cmpint (swage_model_get_tensor (half, 0)->type, ==, SWAGE_TYPE_F16);
      options.dense_type = SWAGE_TYPE_NONE;

      /* in shards; a layer and its bias stay together, and all the old files are gone */
      options.shard_bytes = 4000;
      g_autoptr (SwageModel) shards
          = export_and_open (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options);
      compare_tensors (f.model, shards);
      g_assert_false (g_file_test (b_path, G_FILE_TEST_EXISTS));
      g_assert_cmpint (tiny_count_files (f.out), >, 5);
      tear_down (&f);
    }
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* The folder's SHA-256 is that of the listing which sha256sum prints. */
static void
test_listing (void)
{
  Fixture f;
  GError *error = NULL;
  SwageExportResult result;
  set_up (&f, TINY_LLAMA, SWAGE_TYPE_F16, ".bias");
  tiny_write (f.in, "tokenizer.json", "{}", 2);
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, NULL, NULL, &result, &error));
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (f.out, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_strings);
  GString *listing = g_string_new (NULL);
  uint64_t bytes = 0;
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (f.out, names->pdata[i], NULL);
      g_autofree char *text = NULL;
      gsize n;
      g_assert_true (g_file_get_contents (path, &text, &n, NULL));
      g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guchar *)text, n);
      g_string_append_printf (listing, "%s  %s\n", sum, (char *)names->pdata[i]);
      bytes += n;
    }
  g_autofree char *sum
      = g_compute_checksum_for_string (G_CHECKSUM_SHA256, listing->str, (gssize)listing->len);
  g_assert_cmpstr (sum, ==, result.sha256);
  g_assert_cmpuint (bytes, ==, result.bytes);
  g_string_free (listing, TRUE);
  swage_export_result_clear (&result);
  tear_down (&f);
}

/* ---- what goes wrong ---- */

static void
test_lint (void)
{
  static const struct
  {
    const char *config, *skip;
    SwageLinear *(*change) (SwageLinear *linear);
    SwageExportFormat format;
    SwageType dense;
    SwageLintSeverity worst; /* besides the missing tokenizer */
    bool per_layer, clean;
  } cases[] = {
    { TINY_LLAMA, ".bias", NULL, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_WARNING, false,
      false }, /* no tokenizer */
    { TINY_LLAMA, ".bias", NULL, SWAGE_EXPORT_SAFETENSORS, SWAGE_TYPE_NONE, SWAGE_LINT_NOTE, false, true },
    { TINY_LLAMA, ".bias", to_q8_0, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_WARNING, false, false },
    { TINY_LLAMA, ".bias", to_q8_0, SWAGE_EXPORT_SAFETENSORS, SWAGE_TYPE_NONE, SWAGE_LINT_NOTE, false,
      false },
    { TINY_LLAMA, ".bias", to_int, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true, false },
    { TINY_LLAMA, ".bias", to_int, SWAGE_EXPORT_GGUF, SWAGE_TYPE_F16, SWAGE_LINT_WARNING, false, false },
    { TINY_LLAMA, ".bias", to_low_rank, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true, false },
    { TINY_LLAMA, ".bias", to_everything, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true, false },
    { TINY_LLAMA, ".bias", to_transformed, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true,
      false },
    { TINY_LLAMA, ".bias", to_low_rank, SWAGE_EXPORT_SAFETENSORS, SWAGE_TYPE_NONE, SWAGE_LINT_NOTE, false,
      false },
    { TINY_LLAMA, ".bias", to_act_quant, SWAGE_EXPORT_GGUF, SWAGE_TYPE_F16, SWAGE_LINT_ERROR, true, false },
    { TINY_LLAMA, ".bias", to_act_quant, SWAGE_EXPORT_SAFETENSORS, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true,
      false },
    { TINY_LLAMA, ".bias", to_biased, SWAGE_EXPORT_SAFETENSORS, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true,
      false },
    { TINY_QWEN2, NULL, to_biased, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, true, false },
    { TINY_OPT, NULL, NULL, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_ERROR, false, false },
    { TINY_MISTRAL, ".bias", NULL, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, SWAGE_LINT_WARNING, false, false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Fixture f;
      GError *error = NULL;
      uint64_t bytes;
      set_up (&f, cases[i].config, SWAGE_TYPE_F16, cases[i].skip);
      Recipe recipe = { .model = f.model, .change = cases[i].change };
      SwageExportSource source = source_of (&recipe);
      SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
      options.dense_type = cases[i].dense;
      g_autoptr (GPtrArray) items = swage_export_lint (f.model, cases[i].format, &source, &options);
      g_test_message ("case %zu: %u items", i, items->len);
      g_assert_true ((items->len == 0) == cases[i].clean);
      for (guint k = 0; k < items->len; k++)
        {
          const SwageLintItem *item = items->pdata[k];
          g_assert_nonnull (item->message);
          if (k > 0)
            g_assert_cmpint (item->severity, <=, ((SwageLintItem *)items->pdata[k - 1])->severity);
          else
            {
              g_assert_cmpint (item->severity, ==, cases[i].worst);
              g_assert_true ((item->layer != NULL) == cases[i].per_layer);
              g_assert_true (item->severity != SWAGE_LINT_ERROR || item->fix != NULL);
            }
        }
      /* the linter's errors, and they alone, are what export fails of; then nothing is written */
      bool refused = items->len > 0 && cases[i].worst == SWAGE_LINT_ERROR;
      g_assert_true (swage_export (f.model, cases[i].format, &source, f.out, &options, NULL, NULL, &error)
                     == !refused);
      if (refused)
        {
          g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
          g_clear_error (&error);
          g_assert_false (
              swage_export_get_bytes (f.model, cases[i].format, &source, &options, &bytes, &error));
          g_clear_error (&error);
          g_assert_cmpint (tiny_count_files (f.folder), ==, 1);
        }
      tear_down (&f);
    }
}

static void
test_atomic (void)
{
  for (int format = 0; format < SWAGE_N_EXPORT_FORMATS; format++)
    for (int existing = 0; existing < 2; existing++)
      for (int way = 0; way < 3; way++)
        {
          Fixture f;
          GError *error = NULL;
          set_up (&f, TINY_LLAMA, SWAGE_TYPE_F16, ".bias");
          SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
          options.overwrite = true;
          SwageExportResult first = { 0 }, second = { 0 };
          if (existing)
            swage_export (f.model, (SwageExportFormat)format, NULL, f.out, &options, NULL, &first, &error);
          g_assert_no_error (error);

          g_autoptr (GCancellable) cancellable = g_cancellable_new ();
          g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
          Recipe recipe = { .model = f.model, .change = to_q8_0, .cancellable = cancellable };
          recipe.fail_at = way == 0 ? "blk.1.ffn_up" : NULL;
          recipe.cancel_at = way == 1 ? "output" : NULL;
          recipe.lie = way == 2;
          SwageExportSource source = source_of (&recipe);
          static const int codes[] = { SWAGE_ERROR_NUMERIC, SWAGE_ERROR_CANCELLED, SWAGE_ERROR_FAILED };
          bool ok = swage_export (f.model, (SwageExportFormat)format, &source, f.out, &options, job, NULL,
                                  &error);
          if (way == 2 && format == SWAGE_EXPORT_SAFETENSORS)
            g_assert_false (ok); /* said F16, came as Q8_0 */
          g_assert_false (ok);
          g_assert_error (error, SWAGE_ERROR, codes[way]);
          g_clear_error (&error);
          g_assert_cmpint (tiny_count_files (f.folder), ==, 1 + existing);
          if (existing) /* the old one is whole, and exporting it again gives the same bytes */
            {
              g_autofree char *again = g_build_filename (f.folder, "again", NULL);
              g_autoptr (SwageModel) old = swage_model_open (f.out, &error);
              g_assert_no_error (error);
              compare_tensors (f.model, old);
              swage_export (f.model, (SwageExportFormat)format, NULL, again, NULL, NULL, &second, &error);
              g_assert_no_error (error);
              g_assert_cmpstr (first.sha256, ==, second.sha256);
              g_assert_cmpuint (first.bytes, ==, second.bytes);
            }
          swage_export_result_clear (&first);
          swage_export_result_clear (&second);
          tear_down (&f);
        }
}

static void
test_targets (void)
{
  Fixture f;
  GError *error = NULL;
  set_up (&f, TINY_LLAMA, SWAGE_TYPE_F16, ".bias");
  SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
  g_autofree char *nowhere = g_build_filename (f.folder, "absent", "out", NULL);
  g_autofree char *notes = g_build_filename (f.out, "notes.txt", NULL);

  for (int format = 0; format < SWAGE_N_EXPORT_FORMATS; format++)
    {
      g_assert_false (
          swage_export (f.model, (SwageExportFormat)format, NULL, nowhere, NULL, NULL, NULL, &error));
      g_assert_true (error->domain == SWAGE_ERROR);
      g_clear_error (&error);
    }

  /* a folder that is there: not without leave, and never one that holds something else */
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options, NULL, NULL, &error));
  g_assert_false (
      swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  options.overwrite = true;
  tiny_write (f.out, "notes.txt", "mine", 4);
  g_assert_false (
      swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "notes.txt"));
  g_clear_error (&error);
  g_assert_true (g_file_test (notes, G_FILE_TEST_EXISTS));
  g_unlink (notes);
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options, NULL, NULL, &error));

  /* onto the folder it was opened from */
  g_autofree char *before = g_strdup (swage_model_get_fingerprint (f.model));
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.in, &options, NULL, NULL, &error));
  g_assert_no_error (error);
  g_autoptr (SwageModel) again = swage_model_open (f.in, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_model_get_fingerprint (again), ==, before);

  /* a file where a folder should be, and the other way round */
  g_autofree char *file = g_build_filename (f.folder, "file", NULL);
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_GGUF, NULL, file, &options, NULL, NULL, &error));
  g_assert_false (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, file, &options, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (swage_export (f.model, SWAGE_EXPORT_GGUF, NULL, f.out, &options, NULL, NULL, &error));
  g_assert_true (error->domain == SWAGE_ERROR);
  g_clear_error (&error);

  /* what a killed export left is swept away, that of a living one is not */
  g_autofree char *dead = g_strdup_printf ("%s/.swept.swage-%d-abcdef", f.folder, 0x3ffffff);
  g_autofree char *alive = g_strdup_printf ("%s/.swept.swage-%d-abcdef", f.folder, 1);
  g_autofree char *swept = g_build_filename (f.folder, "swept", NULL);
  g_mkdir (dead, 0777);
  g_mkdir (alive, 0777);
  g_assert_true (swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, swept, &options, NULL, NULL, &error));
  g_assert_false (g_file_test (dead, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (alive, G_FILE_TEST_EXISTS));

  /* bad options */
  options.dense_type = SWAGE_TYPE_Q8_0;
  g_assert_false (
      swage_export (f.model, SWAGE_EXPORT_SAFETENSORS, NULL, f.out, &options, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  tear_down (&f);
}

static void
test_formats (void)
{
  Fixture f;
  SwageExportFormat format;
  set_up (&f, TINY_LLAMA, SWAGE_TYPE_F16, ".bias");
  for (int i = 0; i < SWAGE_N_EXPORT_FORMATS; i++)
    {
      g_assert_true (
          swage_export_format_from_id (swage_export_format_get_id ((SwageExportFormat)i), &format));
      g_assert_cmpint (format, ==, i);
      g_assert_nonnull (swage_export_format_get_title (format));
    }
  g_assert_false (swage_export_format_from_id ("pickle", &format));
  g_autofree char *gguf = swage_export_format_suggest_name (SWAGE_EXPORT_GGUF, f.model, "q4_k");
  g_autofree char *folder = swage_export_format_suggest_name (SWAGE_EXPORT_SAFETENSORS, f.model, NULL);
  g_assert_cmpstr (gguf, ==, "in-q4_k.gguf");
  g_assert_cmpstr (folder, ==, "in");
  tear_down (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export/formats", test_formats);
  g_test_add_func ("/export/gguf/foreign", test_gguf_foreign);
  g_test_add_func ("/export/gguf/architectures", test_gguf_architectures);
  g_test_add_func ("/export/gguf/packed", test_gguf_packed);
  g_test_add_func ("/export/tokenizer", test_tokenizer);
  g_test_add_func ("/export/dense", test_dense);
  g_test_add_func ("/export/safetensors", test_safetensors);
  g_test_add_func ("/export/listing", test_listing);
  g_test_add_func ("/export/lint", test_lint);
  g_test_add_func ("/export/atomic", test_atomic);
  g_test_add_func ("/export/targets", test_targets);
  return g_test_run ();
}
