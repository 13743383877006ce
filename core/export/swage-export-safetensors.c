/* SPDX-License-Identifier: MIT
 *
 * A Hugging Face folder: tensors under their own names and in their own orientation, in one type throughout.
 *
 * transformers casts every tensor to the one type that config.json names, so mixing types in a file would
 * lose what the wider ones hold. Therefore: the source's type where all values are exact in it (nothing was
 * changed, or pruned alone), else F32.
 *
 * The folder is made beside the target under a hidden name and renamed when it is whole.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-sha256.h"
#include "core/export/swage-export-folder.h"
#include "core/export/swage-export-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define SHARD_BYTES ((uint64_t)5000 * 1000 * 1000)
#define MAX_COPIED ((gsize)256 << 20)

/* ---- types ---- */

static bool
floats_fit (SwageModel *model, const SwageTensor *tensor, SwageType type)
{
  int64_t n;
  if (tensor->type == type)
    return true;
  if (tensor->n_dims == 2 && tensor->type != SWAGE_TYPE_F32)
    return false; /* F16 in BF16 or the other way round: never mind single values */
  g_autofree float *values = swage_model_load_floats (model, tensor, &n, NULL);
  if (values == NULL)
    return false;
  for (int64_t i = 0; i < n; i++)
    {
      uint16_t stored;
      float back;
      swage_type_from_f32 (type, &values[i], NULL, &stored, 1);
      swage_type_to_f32 (type, &stored, &back, 1);
      if (back != values[i])
        return false;
    }
  return true;
}

/* The type of the whole file. */
static SwageType
choose_type (SwageExportRun *run)
{
  SwageType type = run->options.dense_type;
  if (type != SWAGE_TYPE_NONE)
    return type;
  for (int i = 0; i < swage_model_get_n_layers (run->model); i++)
    {
      const SwageLinearSpec *spec = &run->specs[i];
      bool stored = (spec->parts & ~(SwageParts)SWAGE_PART_BIAS) == SWAGE_PART_DENSE;
      if (!stored || (type != SWAGE_TYPE_NONE && spec->weight.type != type)
          || spec->weight.type == SWAGE_TYPE_F32)
        return SWAGE_TYPE_F32;
      type = spec->weight.type;
    }
  /* a GGUF file's norms are F32, mostly of values that were narrower once */
  for (int i = 0; i < swage_model_get_n_tensors (run->model); i++)
    {
      const SwageTensor *tensor = swage_model_get_tensor (run->model, i);
      bool of_layer = swage_role_is_linear (tensor->role) || tensor->role == SWAGE_ROLE_TOKEN_EMBD;
      if ((tensor->is_bias || !of_layer) && !floats_fit (run->model, tensor, type))
        return SWAGE_TYPE_F32;
    }
  return type;
}

static const char *
torch_name (SwageType type)
{
  return type == SWAGE_TYPE_F16 ? "float16" : type == SWAGE_TYPE_BF16 ? "bfloat16" : "float32";
}

/* ---- tensors ---- */

static char *
target_name (SwageExportRun *run, const SwageTensor *tensor)
{
  if (swage_model_get_gguf (run->model) == NULL)
    return g_strdup (tensor->source_name);
  const SwageArchTensor *at = swage_export_find_arch_tensor (run->arch, tensor->role);
  return swage_export_format_name (at->hf, tensor->block, tensor->is_bias ? ".bias" : ".weight");
}

static void
add_entries (SwageExportRun *run, SwageType type)
{
  for (int i = 0; i < swage_model_get_n_tensors (run->model); i++)
    {
      const SwageTensor *tensor = swage_model_get_tensor (run->model, i);
      const SwageLinearSpec *spec = swage_export_run_get_spec (run, tensor);
      bool of_layer = swage_role_is_linear (tensor->role) || tensor->role == SWAGE_ROLE_TOKEN_EMBD;
      SwageExportEntry entry = {
        .kind = spec != NULL ? SWAGE_ENTRY_LAYER
                : of_layer   ? SWAGE_ENTRY_BIAS
                             : SWAGE_ENTRY_FLOATS,
        .name = target_name (run, tensor),
        .tensor = tensor,
        .type = type,
        .n_dims = tensor->n_dims,
        .shape = { tensor->shape[0], tensor->shape[1] },
      };
      if (spec != NULL)
        {
          entry.dense
              = (spec->parts & ~(SwageParts)SWAGE_PART_BIAS) != SWAGE_PART_DENSE || spec->weight.type != type;
          entry.transposed = swage_export_find_arch_tensor (run->arch, tensor->role)->transposed;
          if (entry.transposed)
            {
              entry.shape[0] = tensor->shape[1];
              entry.shape[1] = tensor->shape[0];
            }
        }
      swage_export_add_entry (run, &entry);
    }
}

static uint64_t
entry_bytes (const SwageExportEntry *entry)
{
  uint64_t rows = entry->n_dims == 2 ? (uint64_t)entry->shape[0] : 1;
  return rows * swage_type_row_bytes (entry->type, entry->shape[entry->n_dims - 1]);
}

/* Where each shard begins: indices into the entries, and their number at the end. A shard ends before the
 * tensor that would make it too large, but not between a layer and its bias. */
static GArray *
cut_shards (SwageExportRun *run)
{
  uint64_t limit = run->options.shard_bytes > 0 ? run->options.shard_bytes : SHARD_BYTES, filled = 0;
  GArray *cuts = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < run->entries->len; i++)
    {
      const SwageExportEntry *entry = &g_array_index (run->entries, SwageExportEntry, i);
      uint64_t bytes = entry_bytes (entry);
      if (i == 0 || (entry->kind != SWAGE_ENTRY_BIAS && filled + bytes > limit))
        {
          g_array_append_val (cuts, i);
          filled = 0;
        }
      filled += bytes;
    }
  g_array_append_val (cuts, run->entries->len);
  return cuts;
}

static char *
shard_name (guint shard, guint n_shards)
{
  return n_shards == 1 ? g_strdup ("model.safetensors")
                       : g_strdup_printf ("model-%05u-of-%05u.safetensors", shard + 1, n_shards);
}

static SwageTensorInfo *
make_infos (SwageExportRun *run, guint begin, guint end)
{
  SwageTensorInfo *infos = g_new0 (SwageTensorInfo, end - begin + 1);
  for (guint i = begin; i < end; i++)
    {
      const SwageExportEntry *entry = &g_array_index (run->entries, SwageExportEntry, i);
      infos[i - begin] = (SwageTensorInfo){ .name = entry->name,
                                            .type = entry->type,
                                            .n_dims = entry->n_dims,
                                            .shape = { entry->shape[0], entry->shape[1] } };
    }
  return infos;
}

/* transformers refuses a file whose metadata does not name the framework that its layout is for. */
static void
fill_metadata (SwageExportRun *run, const char *metadata[5])
{
  metadata[0] = "format";
  metadata[1] = "pt";
  metadata[2] = run->options.provenance != NULL ? "swage.plan" : NULL;
  metadata[3] = run->options.provenance;
  metadata[4] = NULL;
}

bool
swage_export_safetensors_get_bytes (SwageExportRun *run, uint64_t *bytes, GError **error)
{
  const char *metadata[5];
  fill_metadata (run, metadata);
  add_entries (run, choose_type (run));
  g_autoptr (GArray) cuts = cut_shards (run);
  *bytes = 0;
  for (guint s = 0; s + 1 < cuts->len; s++)
    {
      guint begin = g_array_index (cuts, guint, s), end = g_array_index (cuts, guint, s + 1);
      g_autofree SwageTensorInfo *infos = make_infos (run, begin, end);
      *bytes += swage_safetensors_count_bytes (infos, (int)(end - begin), metadata);
    }
  return true;
}

/* ---- files ---- */

static bool
write_piece (const void *data, size_t n, gpointer writer, GError **error)
{
  return swage_safetensors_writer_write (writer, data, n, error);
}

static bool
write_shard (SwageExportRun *run, SwageExportFolder *folder, const char *name, guint begin, guint end,
             SwageJob *job, GError **error)
{
  const char *metadata[5];
  fill_metadata (run, metadata);
  g_autofree SwageTensorInfo *infos = make_infos (run, begin, end);
  g_autofree char *path = swage_export_folder_get_path (folder, name);
  g_autofree char *sha256 = NULL;
  uint64_t bytes = 0;
  g_autoptr (SwageSafetensorsWriter) w
      = swage_safetensors_writer_new (path, infos, (int)(end - begin), metadata, false, error);
  if (w == NULL || !swage_export_write_entries (run, begin, end, write_piece, w, job, error)
      || !swage_safetensors_writer_commit (w, &sha256, &bytes, error))
    return false;
  swage_export_folder_note (folder, name, bytes, sha256);
  return true;
}

static bool
write_index (SwageExportRun *run, SwageExportFolder *folder, GArray *cuts, GError **error)
{
  g_autoptr (json_t) index = json_object ();
  json_t *map = json_object ();
  for (guint s = 0; s + 1 < cuts->len; s++)
    {
      g_autofree char *name = shard_name (s, cuts->len - 1);
      for (guint i = g_array_index (cuts, guint, s); i < g_array_index (cuts, guint, s + 1); i++)
        json_object_set_new (map, g_array_index (run->entries, SwageExportEntry, i).name, json_string (name));
    }
  json_object_set_new (index, "metadata", json_pack ("{s:I}", "total_size", (json_int_t)run->total));
  json_object_set_new (index, "weight_map", map);
  g_autofree char *text = swage_json_dump (index);
  return swage_export_folder_write (folder, "model.safetensors.index.json", text, strlen (text), error);
}

static bool
write_config (SwageExportRun *run, SwageExportFolder *folder, SwageType type, GError **error)
{
  const char *path = swage_model_get_config_path (run->model);
  g_autoptr (json_t) config = path != NULL ? swage_json_load (path, MAX_COPIED, error)
                                           : swage_export_make_config (swage_model_get_config (run->model));
  if (config == NULL)
    return false;
  /* newer files say "dtype"; both words are understood, but two that differ would not be */
  bool newer = json_object_get (config, "dtype") != NULL;
  json_object_set_new (config, newer ? "dtype" : "torch_dtype", json_string (torch_name (type)));
  if (newer)
    json_object_del (config, "torch_dtype");
  g_autofree char *text = swage_json_dump (config);
  return swage_export_folder_write (folder, "config.json", text, strlen (text), error);
}

/* Everything transformers looks for beside the weights and that does not depend on them. */
static bool
copy_others (SwageExportRun *run, SwageExportFolder *folder, GError **error)
{
  static const char *const names[] = { "generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "vocab.json",
                                       "merges.txt",
                                       "tokenizer.model",
                                       "chat_template.jinja",
                                       "chat_template.json" };
  if (swage_model_get_gguf (run->model) != NULL)
    return true;
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (swage_model_get_folder (run->model), names[i], NULL);
      g_autofree char *data = NULL;
      gsize n;
      GError *local = NULL;
      if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
        continue;
      if (!g_file_get_contents (path, &data, &n, &local))
        {
          swage_error_wrap_io (&local, path);
          g_propagate_error (error, local);
          return false;
        }
      if (!swage_export_folder_write (folder, names[i], data, n, error))
        return false;
    }
  return true;
}

bool
swage_export_safetensors (SwageExportRun *run, const char *path, SwageJob *job, SwageExportResult *result,
                          GError **error)
{
  SwageType type = choose_type (run);
  add_entries (run, type);
  g_autoptr (GArray) cuts = cut_shards (run);
  g_autoptr (SwageExportFolder) folder
      = swage_export_folder_new (path, run->total, run->options.overwrite, error);
  if (folder == NULL)
    return false;
  for (guint s = 0; s + 1 < cuts->len; s++)
    {
      g_autofree char *name = shard_name (s, cuts->len - 1);
      if (!write_shard (run, folder, name, g_array_index (cuts, guint, s), g_array_index (cuts, guint, s + 1),
                        job, error))
        return false;
    }
  return (cuts->len <= 2 || write_index (run, folder, cuts, error)) && write_config (run, folder, type, error)
         && copy_others (run, folder, error) && swage_job_step (job, 1, 1, error)
         && swage_export_folder_commit (folder, result, error);
}
