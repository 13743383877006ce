/* SPDX-License-Identifier: MIT
 *
 * GGUF: metadata, then tensors in the order of the model. A file that was GGUF keeps all its metadata, also
 * what Swage does not know; for others it is written from config and tokenizer, under the names that
 * llama.cpp reads (src/llama-arch.cpp).
 *
 * Norms, biases and rotary factors are F32, as every GGUF runtime expects; matrices keep their type.
 */
#include "core/base/swage-error.h"
#include "core/export/swage-export-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define QUANTIZATION_VERSION 2 /* GGML_QNT_VERSION */

/* general.file_type (llama_ftype): a word for people, taken from the type that most weights have. */
static uint32_t
get_file_type (SwageExportRun *run)
{
  static const int16_t file_types[SWAGE_N_TYPES] = {
    [SWAGE_TYPE_F32] = 0,   [SWAGE_TYPE_F16] = 1,     [SWAGE_TYPE_BF16] = 32,   [SWAGE_TYPE_Q4_0] = 2,
    [SWAGE_TYPE_Q4_1] = 3,  [SWAGE_TYPE_Q5_0] = 8,    [SWAGE_TYPE_Q5_1] = 9,    [SWAGE_TYPE_Q8_0] = 7,
    [SWAGE_TYPE_Q2_K] = 10, [SWAGE_TYPE_Q3_K] = 11,   [SWAGE_TYPE_Q4_K] = 14,   [SWAGE_TYPE_Q5_K] = 16,
    [SWAGE_TYPE_Q6_K] = 18, [SWAGE_TYPE_IQ4_NL] = 25, [SWAGE_TYPE_IQ4_XS] = 30,
  };
  int64_t counts[SWAGE_N_TYPES] = { 0 };
  int best = SWAGE_TYPE_F32;
  for (guint i = 0; i < run->entries->len; i++)
    {
      const SwageExportEntry *entry = &g_array_index (run->entries, SwageExportEntry, i);
      if (entry->kind == SWAGE_ENTRY_LAYER && entry->tensor->block >= 0)
        counts[entry->type] += entry->shape[0] * entry->shape[1];
    }
  for (int t = 0; t < SWAGE_N_TYPES; t++)
    if (counts[t] > counts[best])
      best = t;
  return (uint32_t)file_types[best];
}

static void
set_arch_u32 (SwageGgufWriter *w, const char *arch, const char *name, int value)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", arch, name);
  swage_gguf_writer_set_u32 (w, key, (uint32_t)value);
}

static void
set_arch_f32 (SwageGgufWriter *w, const char *arch, const char *name, double value)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", arch, name);
  swage_gguf_writer_set_f32 (w, key, (float)value);
}

static void
write_config (SwageExportRun *run, SwageGgufWriter *w)
{
  const SwageConfig *c = swage_model_get_config (run->model);
  const char *arch = run->arch->gguf_write;
  swage_gguf_writer_set_string (w, "general.architecture", arch);
  swage_gguf_writer_set_string (w, "general.type", "model");
  swage_gguf_writer_set_string (w, "general.name", swage_model_get_name (run->model));
  set_arch_u32 (w, arch, "block_count", c->n_blocks);
  set_arch_u32 (w, arch, "context_length", c->max_context);
  set_arch_u32 (w, arch, "embedding_length", c->n_embd);
  set_arch_u32 (w, arch, "feed_forward_length", c->n_ff);
  set_arch_u32 (w, arch, "attention.head_count", c->n_heads);
  set_arch_u32 (w, arch, "attention.head_count_kv", c->n_kv_heads);
  if (c->head_dim * c->n_heads != c->n_embd)
    {
      set_arch_u32 (w, arch, "attention.key_length", c->head_dim);
      set_arch_u32 (w, arch, "attention.value_length", c->head_dim);
    }
  set_arch_f32 (w, arch,
                c->norm == SWAGE_NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                          : "attention.layer_norm_epsilon",
                c->norm_eps);
  if (c->position == SWAGE_POS_ROPE)
    {
      set_arch_u32 (w, arch, "rope.dimension_count", c->rope_dims);
      set_arch_f32 (w, arch, "rope.freq_base", c->rope_base);
    }
  if (c->rope_scaling == SWAGE_ROPE_SCALING_LINEAR)
    {
      g_autofree char *key = g_strdup_printf ("%s.rope.scaling.type", arch);
      swage_gguf_writer_set_string (w, key, "linear");
      set_arch_f32 (w, arch, "rope.scaling.factor", c->rope_factor);
    }
  set_arch_u32 (w, arch, "vocab_size", c->n_vocab);
  if (run->arch->write_gguf != NULL)
    run->arch->write_gguf (c, w);
}

static void
copy_metadata (SwageGguf *gguf, SwageGgufWriter *w)
{
  for (int i = 0; i < swage_gguf_get_n_keys (gguf); i++)
    {
      SwageGgufKind kind;
      const uint8_t *payload;
      size_t n;
      const char *key = swage_gguf_get_key (gguf, i, &kind, &payload, &n);
      if (!g_str_has_prefix (key, "split."))
        swage_gguf_writer_set_raw (w, key, kind, payload, n);
    }
}

/* ---- tensors ---- */

static void
add_layer (SwageExportRun *run, const SwageTensor *tensor, const SwageArchTensor *at)
{
  const SwageConfig *config = swage_model_get_config (run->model);
  const SwageLinearSpec *spec = swage_export_run_get_spec (run, tensor);
  SwageType type = spec->weight.type;
  bool plain = (spec->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED)) != 0
               && (spec->parts & (SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM)) == 0
               && swage_type_get_info (type)->ggml_id >= 0 && swage_type_row_bytes (type, spec->n_in) > 0;
  SwageExportEntry entry = {
    .kind = SWAGE_ENTRY_LAYER,
    .name = swage_export_format_name (at->gguf, tensor->block, ".weight"),
    .tensor = tensor,
    .type = plain ? type : run->options.dense_type,
    .n_dims = 2,
    .shape = { spec->n_out, spec->n_in },
    .dense = !plain,
  };
  if (at->permuted_gguf)
    entry.permuted = tensor->role == SWAGE_ROLE_ATTN_K ? config->n_kv_heads : config->n_heads;
  swage_export_add_entry (run, &entry);

  if (spec->parts & SWAGE_PART_BIAS)
    {
      SwageExportEntry bias = {
        .kind = SWAGE_ENTRY_BIAS,
        .name = swage_export_format_name (at->gguf, tensor->block, ".bias"),
        .tensor = tensor,
        .type = SWAGE_TYPE_F32,
        .n_dims = 1,
        .shape = { spec->n_out },
        .permuted = entry.permuted,
      };
      swage_export_add_entry (run, &bias);
    }
}

static void
add_floats (SwageExportRun *run, const SwageTensor *tensor, const SwageArchTensor *at)
{
  SwageExportEntry entry = {
    .kind = SWAGE_ENTRY_FLOATS,
    .name = swage_export_format_name (at->gguf, tensor->block, tensor->is_bias ? ".bias" : ".weight"),
    .tensor = tensor,
    .type
    = tensor->n_dims == 1 || swage_type_get_info (tensor->type)->block > 1 ? SWAGE_TYPE_F32 : tensor->type,
    .n_dims = tensor->n_dims,
    .shape = { tensor->shape[0], tensor->shape[1] },
  };
  swage_export_add_entry (run, &entry);
}

/* Llama 3's scaling, or what a GGUF file had: before the blocks, where llama.cpp's converter has it. */
static void
add_factors (SwageExportRun *run)
{
  const SwageConfig *config = swage_model_get_config (run->model);
  int n;
  if (swage_model_get_rope_factors (run->model, &n) == NULL
      && config->rope_scaling != SWAGE_ROPE_SCALING_LLAMA3)
    return;
  SwageExportEntry entry = {
    .kind = SWAGE_ENTRY_FACTORS,
    .name = g_strdup ("rope_freqs.weight"),
    .type = SWAGE_TYPE_F32,
    .n_dims = 1,
    .shape = { config->rope_dims / 2 },
  };
  swage_export_add_entry (run, &entry);
}

SwageGgufWriter *
swage_export_gguf_prepare (SwageExportRun *run, GError **error)
{
  g_autoptr (SwageGgufWriter) w = swage_gguf_writer_new ();
  SwageGguf *gguf = swage_model_get_gguf (run->model);
  add_factors (run);
  for (int i = 0; i < swage_model_get_n_tensors (run->model); i++)
    {
      const SwageTensor *tensor = swage_model_get_tensor (run->model, i);
      const SwageArchTensor *at = swage_export_find_arch_tensor (run->arch, tensor->role);
      bool of_layer = swage_role_is_linear (tensor->role) || tensor->role == SWAGE_ROLE_TOKEN_EMBD;
      if (!of_layer)
        add_floats (run, tensor, at);
      else if (!tensor->is_bias)
        add_layer (run, tensor, at);
    }

  if (gguf != NULL)
    copy_metadata (gguf, w);
  else
    write_config (run, w);
  swage_gguf_writer_set_u32 (w, "general.quantization_version", QUANTIZATION_VERSION);
  swage_gguf_writer_set_u32 (w, "general.file_type", get_file_type (run));
  if (gguf == NULL && !swage_export_gguf_tokenizer (run->model, w, error))
    return NULL;
  if (run->options.provenance != NULL)
    swage_gguf_writer_set_string (w, "swage.plan", run->options.provenance);

  for (guint i = 0; i < run->entries->len; i++)
    {
      const SwageExportEntry *entry = &g_array_index (run->entries, SwageExportEntry, i);
      swage_gguf_writer_add_tensor (w, entry->name, entry->type, entry->n_dims, entry->shape);
    }
  return g_steal_pointer (&w);
}

static bool
write_piece (const void *data, size_t n, gpointer writer, GError **error)
{
  return swage_gguf_writer_write (writer, data, n, error);
}

bool
swage_export_gguf (SwageExportRun *run, const char *path, SwageJob *job, SwageExportResult *result,
                   GError **error)
{
  g_autoptr (SwageGgufWriter) w = swage_export_gguf_prepare (run, error);
  if (w == NULL || !swage_gguf_writer_start (w, path, run->options.overwrite, error)
      || !swage_export_write_entries (run, 0, run->entries->len, write_piece, w, job, error))
    return false;
  result->n_files = 1;
  return swage_gguf_writer_commit (w, &result->sha256, &result->bytes, error);
}
