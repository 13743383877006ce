/* SPDX-License-Identifier: MIT
 *
 * Opening a model: find the files, read the config, give every tensor its one name and check it against the
 * config. What the rest of the program then relies on: every tensor that the architecture needs is there,
 * with the shape the config says, in a type that can be read.
 *
 *   files (safetensors shards or GGUF parts) → config (JSON or metadata) → list_tensors → layers, counts
 */
#include "core/model/swage-model-private.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#define MAX_CONFIG ((size_t)16 << 20)
#define MAX_INDEX ((size_t)100 << 20)
#define MAX_SHARDS 4096

/* ---- names ---- */

typedef struct
{
  const SwageTensorInfo *info;
  int file, index;
  bool used;
} Source;

static void
add_source (GHashTable *sources, const SwageTensorInfo *info, int file, int index)
{
  Source *source = g_new0 (Source, 1);
  source->info = info;
  source->file = file;
  source->index = index;
  g_hash_table_insert (sources, info->name, source);
}

/* Hugging Face names come with and without the parts in front ("transformer.", "model.", "model.decoder."),
 * depending on which class saved the checkpoint. */
static Source *
find_source (GHashTable *sources, const char *name, const char *suffix)
{
  for (const char *from = name; from != NULL;)
    {
      g_autofree char *full = g_strconcat (from, suffix, NULL);
      Source *source = g_hash_table_lookup (sources, full);
      if (source != NULL)
        return source;
      const char *dot = strchr (from, '.');
      from = dot != NULL
                     && (g_str_has_prefix (from, "model.") || g_str_has_prefix (from, "transformer.")
                         || g_str_has_prefix (from, "decoder."))
                 ? dot + 1
                 : NULL;
    }
  return NULL;
}

static char *
format_name (const char *pattern, int block)
{
  const char *at = strstr (pattern, "%d");
  return at == NULL ? g_strdup (pattern)
                    : g_strdup_printf ("%.*s%d%s", (int)(at - pattern), pattern, block, at + 2);
}

static char *
describe_shape (int n_dims, const int64_t *shape)
{
  GString *text = g_string_new (NULL);
  for (int d = 0; d < n_dims; d++)
    g_string_append_printf (text, "%s%" PRId64, d > 0 ? " × " : "", shape[d]);
  return g_string_free (text, FALSE);
}

static void
tensor_free (gpointer p)
{
  SwageModelTensor *tensor = p;
  g_free (tensor->pub.name);
  g_free (tensor->pub.source_name);
  g_free (tensor);
}

/* ---- the list of tensors ---- */

/* `shape` is the canonical one. */
static bool
add_tensor (SwageModel *model, const SwageArchTensor *entry, int block, bool is_bias, Source *source,
            int n_dims, const int64_t *shape, GError **error)
{
  const SwageTensorInfo *info = source->info;
  bool gguf = model->gguf != NULL, transposed = entry->transposed && !gguf && n_dims == 2;
  int64_t stored[2] = { transposed ? shape[1] : shape[0], transposed ? shape[0] : shape[1] };
  if (info->n_dims != n_dims || memcmp (info->shape, stored, (size_t)n_dims * sizeof *stored) != 0)
    {
      g_autofree char *is = describe_shape (info->n_dims, info->shape);
      g_autofree char *should = describe_shape (n_dims, stored);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("Tensor “%s” of “%s” is %s, but by the model's configuration it should be %s."),
                   info->name, model->shown, is, should);
      return false;
    }
  bool is_float
      = info->type == SWAGE_TYPE_F32 || info->type == SWAGE_TYPE_F16 || info->type == SWAGE_TYPE_BF16;
  if (info->type == SWAGE_TYPE_NONE || (!is_float && swage_type_get_info (info->type)->block == 1))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("Tensor “%s” of “%s” is stored as %s, which cannot be computed with here."), info->name,
                   model->shown, info->dtype);
      return false;
    }

  SwageModelTensor *tensor = g_new0 (SwageModelTensor, 1);
  SwageTensor *pub = &tensor->pub;
  const char *id = swage_role_get_id (entry->role), *suffix = is_bias ? ".bias" : "";
  pub->name
      = block >= 0 ? g_strdup_printf ("blk.%d.%s%s", block, id, suffix) : g_strconcat (id, suffix, NULL);
  pub->source_name = g_strdup (info->name);
  pub->role = entry->role;
  pub->is_bias = is_bias;
  pub->block = block;
  pub->type = info->type;
  g_strlcpy (pub->dtype, info->dtype, sizeof pub->dtype);
  pub->n_dims = n_dims;
  memcpy (pub->shape, shape, (size_t)n_dims * sizeof *shape);
  pub->bytes = info->bytes;
  pub->file = source->file;
  pub->offset = info->offset;
  tensor->index = source->index;
  tensor->transposed = transposed;
  if (gguf && entry->permuted_gguf)
    tensor->permuted = entry->role == SWAGE_ROLE_ATTN_K ? model->config.n_kv_heads : model->config.n_heads;
  source->used = true;
  g_ptr_array_add (model->tensors, tensor);
  g_hash_table_insert (model->by_name, pub->name, tensor);

  model->bytes += info->bytes;
  model->parameters += shape[0] * (n_dims == 2 ? shape[1] : 1);
  if (!is_bias && (swage_role_is_linear (entry->role) || entry->role == SWAGE_ROLE_TOKEN_EMBD))
    g_ptr_array_add (model->layers, tensor);
  return true;
}

static bool
missing (SwageModel *model, const char *name, const char *suffix, GError **error)
{
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” lacks tensor “%s%s”."), model->shown, name,
               suffix);
  return false;
}

/* One line of the architecture's table, for one block (−1: outside). */
static bool
map_entry (SwageModel *model, GHashTable *sources, const SwageArchTensor *entry, int block, GError **error)
{
  int64_t shape[2];
  int n_dims = swage_config_get_shape (&model->config, entry->role, shape);
  g_autofree char *name = format_name (model->gguf != NULL ? entry->gguf : entry->hf, block);
  Source *weight = find_source (sources, name, ".weight");
  if (weight == NULL)
    return missing (model, name, ".weight", error);
  if (!add_tensor (model, entry, block, false, weight, n_dims, shape, error))
    return false;
  if (entry->bias == SWAGE_BIAS_NONE)
    return true;

  Source *bias = find_source (sources, name, ".bias");
  bool wanted = entry->bias == SWAGE_BIAS_REQUIRED;
  if (!wanted && block > 0)
    {
      g_autofree char *first = g_strdup_printf ("blk.0.%s.bias", swage_role_get_id (entry->role));
      wanted = g_hash_table_contains (model->by_name, first);
      if (!wanted && bias != NULL)
        {
          g_autofree char *first_name = format_name (model->gguf != NULL ? entry->gguf : entry->hf, 0);
          return missing (model, first_name, ".bias", error);
        }
    }
  if (bias == NULL)
    return !wanted || missing (model, name, ".bias", error);
  return add_tensor (model, entry, block, true, bias, 1, shape, error);
}

static bool
list_tensors (SwageModel *model, GHashTable *sources, GError **error)
{
  const SwageArchTensor *table = model->arch->tensors, *entry;
  for (entry = table; entry->role != SWAGE_ROLE_NONE && !swage_role_is_in_block (entry->role); entry++)
    if (!map_entry (model, sources, entry, -1, error))
      return false;
  const SwageArchTensor *first = entry, *end = entry;
  while (end->role != SWAGE_ROLE_NONE && swage_role_is_in_block (end->role))
    end++;
  for (int block = 0; block < model->config.n_blocks; block++)
    for (entry = first; entry < end; entry++)
      if (!map_entry (model, sources, entry, block, error))
        return false;
  for (entry = end; entry->role != SWAGE_ROLE_NONE; entry++)
    {
      if (entry->role == SWAGE_ROLE_OUTPUT && model->config.tied_output)
        {
          /* a copy of the embedding that some files carry */
          Source *copy = find_source (sources, model->gguf != NULL ? entry->gguf : entry->hf, ".weight");
          if (copy != NULL)
            copy->used = true;
          continue;
        }
      if (!map_entry (model, sources, entry, -1, error))
        return false;
    }

  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, sources);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    model->n_ignored += !((Source *)value)->used;
  return true;
}

/* "rope_freqs.weight": divisors of the rotary frequencies, one for each pair. */
static bool
read_rope_factors (SwageModel *model, GHashTable *sources, GError **error)
{
  Source *source = model->gguf != NULL ? g_hash_table_lookup (sources, "rope_freqs.weight") : NULL;
  if (source == NULL || model->config.position != SWAGE_POS_ROPE)
    return true;
  const SwageTensorInfo *info = source->info;
  int n = model->config.rope_dims / 2;
  bool ok = info->type == SWAGE_TYPE_F32 && info->n_dims == 1 && info->shape[0] == n;
  if (ok)
    {
      g_autoptr (GBytes) data = swage_gguf_get_data (model->gguf, source->index);
      model->rope_factors = g_new (float, n);
      model->n_rope_factors = n;
      memcpy (model->rope_factors, g_bytes_get_data (data, NULL), (size_t)n * sizeof (float));
      for (int i = 0; i < n; i++)
        ok &= model->rope_factors[i] > 0 && model->rope_factors[i] < 1e9f;
    }
  if (!ok)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                 _ ("Tensor “rope_freqs.weight” of “%s” is not %d positive numbers."), model->shown, n);
  source->used = true;
  return ok;
}

/* ---- configs ---- */

static void
set_unknown_architecture (const char *origin, const char *name, bool gguf, GError **error)
{
  GString *known = g_string_new (NULL);
  for (int i = 0; swage_archs[i] != NULL; i++)
    for (const char *const *type = gguf ? swage_archs[i]->gguf_archs : swage_archs[i]->model_types;
         *type != NULL; type++)
      g_string_append_printf (known, "%s%s", known->len > 0 ? ", " : "", *type);
  if (name == NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                 _ ("“%s” does not say which architecture it is (“%s”)."), origin,
                 gguf ? "general.architecture" : "model_type");
  else
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                 _ ("The architecture “%s” of “%s” is not supported; those that are: %s."), name, origin,
                 known->str);
  g_string_free (known, TRUE);
}

static const SwageArch *
config_from_json (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  const char *type = NULL;
  if (!json_is_object (config))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” is not an object."), origin);
      return NULL;
    }
  if (!swage_json_get_string (config, "model_type", &type, origin, error))
    return NULL;
  const SwageArch *arch = type != NULL ? swage_arch_find_model_type (type) : NULL;
  if (arch == NULL)
    set_unknown_architecture (origin, type, false, error);
  else if (!arch->config_from_json (config, origin, out, error) || !swage_config_check (out, origin, error))
    arch = NULL;
  else
    out->architecture = arch->id;
  return arch;
}

bool
swage_config_parse (const char *text, size_t n, const char *origin, SwageConfig *out, GError **error)
{
  memset (out, 0, sizeof *out);
  g_autoptr (json_t) config = swage_json_parse (text, n, origin, error);
  return config != NULL && config_from_json (config, origin, out, error) != NULL;
}

static bool
read_gguf_config (SwageModel *model, GError **error)
{
  const char *name = swage_gguf_get_string (model->gguf, "general.architecture");
  model->arch = name != NULL ? swage_arch_find_gguf (name) : NULL;
  if (model->arch == NULL)
    {
      set_unknown_architecture (model->shown, name, true, error);
      return false;
    }
  if (!model->arch->config_from_gguf (model->gguf, model->shown, &model->config, error)
      || !swage_config_check (&model->config, model->shown, error))
    return false;
  model->config.architecture = model->arch->id;
  return true;
}

/* ---- files ---- */

static bool
is_file (const char *path)
{
  return g_file_test (path, G_FILE_TEST_IS_REGULAR);
}

/* The shards that model.safetensors.index.json names, and which of them each tensor is in. */
static bool
open_shards (SwageModel *model, const char *index_path, GHashTable *sources, GError **error)
{
  g_autoptr (json_t) index = swage_json_load (index_path, MAX_INDEX, error);
  if (index == NULL)
    return false;
  json_t *map = json_object_get (index, "weight_map"), *value;
  if (!json_is_object (map))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” has no “weight_map”."), index_path);
      return false;
    }

  g_autoptr (GHashTable) files = g_hash_table_new (g_str_hash, g_str_equal); /* name → number + 1 */
  const char *tensor;
  json_object_foreach (map, tensor, value)
  {
    const char *file = json_string_value (value);
    if (file == NULL || *file == '\0' || strchr (file, '/') != NULL || *file == '.')
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                     _ ("“%s” gives no usable file name for tensor “%s”."), index_path, tensor);
        return false;
      }
    if (g_hash_table_contains (files, file))
      continue;
    if (g_hash_table_size (files) >= MAX_SHARDS)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” names more than %d files."),
                     index_path, MAX_SHARDS);
        return false;
      }
    g_autofree char *path = g_build_filename (model->folder, file, NULL);
    SwageSafetensors *st = swage_safetensors_open (path, error);
    if (st == NULL)
      return false;
    g_ptr_array_add (model->shards, st);
    g_hash_table_insert (files, (gpointer)file, GUINT_TO_POINTER (model->shards->len));
    for (int i = 0; i < swage_safetensors_get_n_tensors (st); i++)
      {
        const SwageTensorInfo *info = swage_safetensors_get_tensor (st, i);
        const char *home = json_string_value (json_object_get (map, info->name));
        if (g_strcmp0 (home, file) == 0)
          add_source (sources, info, (int)model->shards->len - 1, i);
      }
  }
  json_object_foreach (map, tensor, value) if (!g_hash_table_contains (sources, tensor))
  {
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                 _ ("“%s” says that tensor “%s” is in “%s”, where it is not."), index_path, tensor,
                 json_string_value (value));
    return false;
  }
  return true;
}

static bool
open_single (SwageModel *model, const char *path, GHashTable *sources, GError **error)
{
  SwageSafetensors *st = swage_safetensors_open (path, error);
  if (st == NULL)
    return false;
  g_ptr_array_add (model->shards, st);
  for (int i = 0; i < swage_safetensors_get_n_tensors (st); i++)
    add_source (sources, swage_safetensors_get_tensor (st, i), 0, i);
  return true;
}

/* The one file in `folder` whose name ends so; NULL when there is none or more. Of a file in parts the first
 * stands for all. */
static char *
find_only (const char *folder, const char *suffix)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autofree char *found = NULL;
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, suffix) && *name != '.'
        && !g_regex_match_simple ("-(?!00001)[0-9]{5}-of-[0-9]{5}\\.gguf$", name, 0, 0))
      {
        if (found != NULL)
          return NULL;
        found = g_strdup (name);
      }
  return found != NULL ? g_build_filename (folder, found, NULL) : NULL;
}

static bool
has_any (const char *folder, const char *suffix)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, suffix) && *name != '.')
      return true;
  return false;
}

static bool
open_folder (SwageModel *model, GHashTable *sources, GError **error)
{
  g_autofree char *single = g_build_filename (model->folder, "model.safetensors", NULL);
  g_autofree char *index = g_build_filename (model->folder, "model.safetensors.index.json", NULL);
  if (is_file (single))
    return open_single (model, single, sources, error);
  if (is_file (index))
    return open_shards (model, index, sources, error);
  g_autofree char *only = find_only (model->folder, ".safetensors");
  if (only != NULL)
    return open_single (model, only, sources, error);
  g_autofree char *pickle = g_build_filename (model->folder, "pytorch_model.bin", NULL);
  g_set_error (
      error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
      is_file (pickle)
          ? _ ("“%s” has its weights in pytorch_model.bin; convert them to model.safetensors first.")
          : _ ("“%s” has no model.safetensors, no model.safetensors.index.json and no single GGUF file."),
      model->shown);
  return false;
}

/* A .safetensors file: the whole model, or one shard of the model whose index lies beside it. */
static bool
open_bare (SwageModel *model, const char *path, GHashTable *sources, GError **error)
{
  g_autofree char *index = g_build_filename (model->folder, "model.safetensors.index.json", NULL);
  g_autofree char *base = g_path_get_basename (path);
  bool shard = g_regex_match_simple ("-[0-9]{5}-of-[0-9]{5}\\.safetensors$", base, 0, 0);
  return shard && is_file (index) ? open_shards (model, index, sources, error)
                                  : open_single (model, path, sources, error);
}

typedef enum
{
  FORMAT_NEITHER,
  FORMAT_GGUF,
  FORMAT_SAFETENSORS
} Format;

/* By the first bytes: "GGUF", or the length of a header and the brace it begins with. */
static Format
sniff (const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) in = is_file (path) ? g_file_read (file, NULL, NULL) : NULL;
  char head[9];
  gsize n = 0;
  if (in == NULL || !g_input_stream_read_all (G_INPUT_STREAM (in), head, sizeof head, &n, NULL, NULL))
    return FORMAT_NEITHER;
  if (n >= 4 && memcmp (head, "GGUF", 4) == 0)
    return FORMAT_GGUF;
  return n == sizeof head && head[8] == '{' ? FORMAT_SAFETENSORS : FORMAT_NEITHER;
}

/* The name for people: "sample", "stories260K", "llama-7b" of "llama-7b-00001-of-00003.gguf"; of a file with
 * a general name, its folder's. */
static char *
stem (const char *path, bool folder)
{
  g_autofree char *full = g_canonicalize_filename (path, NULL);
  g_autofree char *base = g_path_get_basename (full);
  if (!folder)
    {
      if (g_str_has_prefix (base, "model.safetensors")
          || g_regex_match_simple ("^model-[0-9]{5}-of-", base, 0, 0))
        {
          g_autofree char *parent = g_path_get_dirname (full);
          g_free (base);
          base = g_path_get_basename (parent);
          return g_filename_display_name (base);
        }
      g_autoptr (GRegex) tail = g_regex_new ("(-[0-9]{5}-of-[0-9]{5})?\\.(gguf|safetensors)$", 0, 0, NULL);
      g_autofree char *shown = g_filename_display_name (base);
      return g_regex_replace_literal (tail, shown, -1, 0, "", 0, NULL);
    }
  return g_filename_display_name (base);
}

static bool
open_safetensors (SwageModel *model, const char *path, bool folder, GHashTable *sources, GError **error)
{
  if (!folder && sniff (path) == FORMAT_NEITHER)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("“%s” is neither a GGUF nor a safetensors file."), model->shown);
      return false;
    }
  if (folder && !has_any (model->folder, ".safetensors") && !is_file (model->config_path))
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
          _ ("“%s” has neither a checkpoint (config.json, model.safetensors) nor a single GGUF file."),
          model->shown);
      return false;
    }
  if (!is_file (model->config_path))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("There is no config.json beside the weights of “%s”; without it they have no meaning."),
                   model->shown);
      return false;
    }
  g_autoptr (json_t) config = swage_json_load (model->config_path, MAX_CONFIG, error);
  if (config == NULL)
    return false;
  g_autofree char *shown = g_filename_display_name (model->config_path);
  model->arch = config_from_json (config, shown, &model->config, error);
  if (model->arch == NULL)
    return false;
  return folder ? open_folder (model, sources, error) : open_bare (model, path, sources, error);
}

static bool
open_gguf (SwageModel *model, const char *path, GHashTable *sources, GError **error)
{
  model->gguf = swage_gguf_open (path, error);
  if (model->gguf == NULL || !read_gguf_config (model, error))
    return false;
  for (int i = 0; i < swage_gguf_get_n_tensors (model->gguf); i++)
    {
      const SwageTensorInfo *info = swage_gguf_get_tensor (model->gguf, i);
      add_source (sources, info, info->file, i);
    }
  return true;
}

SwageModel *
swage_model_open (const char *path, GError **error)
{
  bool folder = g_file_test (path, G_FILE_TEST_IS_DIR);
  g_autofree char *gguf_path = folder ? NULL : g_strdup (path);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_autofree char *shown = g_filename_display_name (path);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND, _ ("There is no “%s”."), shown);
      return NULL;
    }

  g_autoptr (SwageModel) model = g_new0 (SwageModel, 1);
  g_atomic_ref_count_init (&model->refs);
  g_mutex_init (&model->lock);
  model->path = g_strdup (path);
  model->shown = g_filename_display_name (path);
  model->name = stem (path, folder);
  model->folder = folder ? g_strdup (path) : g_path_get_dirname (path);
  model->config_path = g_build_filename (model->folder, "config.json", NULL);
  model->shards = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_safetensors_free);
  model->tensors = g_ptr_array_new_with_free_func (tensor_free);
  model->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  model->layers = g_ptr_array_new ();

  if (folder && !has_any (path, ".safetensors"))
    gguf_path = find_only (path, ".gguf");
  g_autoptr (GHashTable) sources = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  bool gguf = gguf_path != NULL && sniff (gguf_path) == FORMAT_GGUF;
  bool ok = gguf ? open_gguf (model, gguf_path, sources, error)
                 : open_safetensors (model, path, folder, sources, error);
  if (!ok || !read_rope_factors (model, sources, error) || !list_tensors (model, sources, error))
    return NULL;
  if (gguf || !is_file (model->config_path))
    g_clear_pointer (&model->config_path, g_free);
  return g_steal_pointer (&model);
}

SwageModel *
swage_model_ref (SwageModel *model)
{
  g_atomic_ref_count_inc (&model->refs);
  return model;
}

void
swage_model_unref (SwageModel *model)
{
  if (model == NULL || !g_atomic_ref_count_dec (&model->refs))
    return;
  g_free (model->path);
  g_free (model->shown);
  g_free (model->name);
  g_free (model->folder);
  g_free (model->config_path);
  g_ptr_array_unref (model->layers);
  g_hash_table_unref (model->by_name);
  g_ptr_array_unref (model->tensors);
  g_ptr_array_unref (model->shards);
  swage_gguf_free (model->gguf);
  g_free (model->rope_factors);
  swage_tokenizer_unref (model->tokenizer);
  g_clear_error (&model->tokenizer_error);
  g_free (model->fingerprint);
  g_mutex_clear (&model->lock);
  g_free (model);
}
