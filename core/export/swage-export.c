/* SPDX-License-Identifier: MIT
 *
 * The way in: formats by name, the specs of all layers, the checks that every export begins with.
 */
#include "core/base/swage-error.h"
#include "core/export/swage-export-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const struct
{
  const char *id, *title;
  bool folder;
} formats[SWAGE_N_EXPORT_FORMATS] = {
  [SWAGE_EXPORT_GGUF] = { "gguf", N_ ("GGUF file"), false },
  [SWAGE_EXPORT_SAFETENSORS] = { "safetensors", N_ ("Hugging Face folder (safetensors)"), true },
};

const char *
swage_export_format_get_id (SwageExportFormat format)
{
  return formats[format].id;
}

const char *
swage_export_format_get_title (SwageExportFormat format)
{
  return _ (formats[format].title);
}

bool
swage_export_format_is_folder (SwageExportFormat format)
{
  return formats[format].folder;
}

bool
swage_export_format_from_id (const char *id, SwageExportFormat *format)
{
  for (int i = 0; i < SWAGE_N_EXPORT_FORMATS; i++)
    if (strcmp (formats[i].id, id) == 0)
      {
        *format = (SwageExportFormat)i;
        return true;
      }
  return false;
}

char *
swage_export_format_suggest_name (SwageExportFormat format, SwageModel *model, const char *suffix)
{
  char *name = g_strconcat (swage_model_get_name (model), suffix != NULL ? "-" : "",
                            suffix != NULL ? suffix : "", formats[format].folder ? "" : ".gguf", NULL);
  return g_strdelimit (name, "/\\:", '-');
}

const char *
swage_lint_severity_get_id (SwageLintSeverity severity)
{
  static const char *const ids[] = { "note", "warning", "error" };
  return ids[severity];
}

void
swage_export_result_clear (SwageExportResult *result)
{
  g_clear_pointer (&result->path, g_free);
  g_clear_pointer (&result->sha256, g_free);
  result->bytes = 0;
  result->n_files = 0;
}

/* ---- a run ---- */

static void
entry_clear (gpointer p)
{
  g_free (((SwageExportEntry *)p)->name);
}

/* What load_linear() will give. */
static void
spec_of_tensor (SwageModel *model, const SwageTensor *tensor, SwageLinearSpec *spec)
{
  g_autofree char *bias = g_strconcat (tensor->name, ".bias", NULL);
  *spec = (SwageLinearSpec){ .n_out = tensor->shape[0], .n_in = tensor->shape[1], .exact = true };
  spec->parts = swage_type_get_info (tensor->type)->quantized ? SWAGE_PART_PACKED : SWAGE_PART_DENSE;
  spec->weight.type = tensor->type;
  if (swage_model_find_tensor (model, bias) != NULL)
    spec->parts |= SWAGE_PART_BIAS;
}

bool
swage_export_run_init (SwageExportRun *run, SwageModel *model, SwageExportFormat format,
                       const SwageExportSource *source, const SwageExportOptions *options, GError **error)
{
  static const SwageExportOptions defaults = SWAGE_EXPORT_OPTIONS_INIT;
  int n = swage_model_get_n_layers (model);
  *run = (SwageExportRun){
    .model = model, .arch = swage_model_get_arch (model), .source = source, .format = format
  };
  run->options = options != NULL ? *options : defaults;
  run->specs = g_new0 (SwageLinearSpec, n);
  run->entries = g_array_new (FALSE, TRUE, sizeof (SwageExportEntry));
  g_array_set_clear_func (run->entries, entry_clear);

  SwageType dense = run->options.dense_type;
  if (dense != SWAGE_TYPE_NONE && dense != SWAGE_TYPE_F32 && dense != SWAGE_TYPE_F16
      && dense != SWAGE_TYPE_BF16)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The type of dense layers must be f32, f16 or bf16."));
      return false;
    }
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      if (source == NULL || source->spec == NULL)
        spec_of_tensor (model, layer, &run->specs[i]);
      else if (!source->spec (layer->name, &run->specs[i], source->user_data, error))
        return false;
    }
  return true;
}

void
swage_export_run_clear (SwageExportRun *run)
{
  g_clear_pointer (&run->specs, g_free);
  g_clear_pointer (&run->entries, g_array_unref);
}

const SwageLinearSpec *
swage_export_run_get_spec (SwageExportRun *run, const SwageTensor *tensor)
{
  /* entries are made in the order of the layers, but a search is quick enough: some thousand layers at most
   */
  for (int i = 0; i < swage_model_get_n_layers (run->model); i++)
    if (swage_model_get_layer (run->model, i) == tensor)
      return &run->specs[i];
  return NULL;
}

const SwageArchTensor *
swage_export_find_arch_tensor (const SwageArch *arch, SwageRole role)
{
  for (const SwageArchTensor *t = arch->tensors; t->role != SWAGE_ROLE_NONE; t++)
    if (t->role == role)
      return t;
  return NULL;
}

char *
swage_export_format_name (const char *pattern, int block, const char *suffix)
{
  const char *at = strstr (pattern, "%d");
  return at == NULL ? g_strconcat (pattern, suffix, NULL)
                    : g_strdup_printf ("%.*s%d%s%s", (int)(at - pattern), pattern, block, at + 2, suffix);
}

void
swage_export_add_entry (SwageExportRun *run, const SwageExportEntry *entry)
{
  uint64_t rows = entry->n_dims == 2 ? (uint64_t)entry->shape[0] : 1;
  run->total += rows * swage_type_row_bytes (entry->type, entry->shape[entry->n_dims - 1]);
  g_array_append_val (run->entries, *entry);
}

/* ---- the way in ---- */

/* The first error of the linter, as an error. */
static bool
check (SwageExportRun *run, GError **error)
{
  g_autoptr (GPtrArray) items = swage_export_lint_run (run);
  const SwageLintItem *first = items->len > 0 ? items->pdata[0] : NULL;
  if (first == NULL || first->severity != SWAGE_LINT_ERROR)
    return true;
  g_autofree char *text = g_strjoin (" ", first->message, first->fix, NULL);
  if (first->layer != NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED, _ ("Layer “%s”: %s"), first->layer, text);
  else
    g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED, text);
  return false;
}

bool
swage_export (SwageModel *model, SwageExportFormat format, const SwageExportSource *source, const char *path,
              const SwageExportOptions *options, SwageJob *job, SwageExportResult *result, GError **error)
{
  SwageExportRun run;
  SwageExportResult unused = { 0 }, *out = result != NULL ? result : &unused;
  *out = (SwageExportResult){ .path = g_strdup (path) };
  bool ok = swage_export_run_init (&run, model, format, source, options, error) && check (&run, error)
            && (format == SWAGE_EXPORT_GGUF ? swage_export_gguf (&run, path, job, out, error)
                                            : swage_export_safetensors (&run, path, job, out, error));
  swage_export_run_clear (&run);
  if (!ok || result == NULL)
    swage_export_result_clear (out);
  return ok;
}

bool
swage_export_get_bytes (SwageModel *model, SwageExportFormat format, const SwageExportSource *source,
                        const SwageExportOptions *options, uint64_t *bytes, GError **error)
{
  SwageExportRun run;
  bool ok = swage_export_run_init (&run, model, format, source, options, error) && check (&run, error);
  if (ok && format == SWAGE_EXPORT_GGUF)
    {
      g_autoptr (SwageGgufWriter) writer = swage_export_gguf_prepare (&run, error);
      ok = writer != NULL;
      if (ok)
        *bytes = swage_gguf_writer_get_size (writer);
    }
  else if (ok)
    ok = swage_export_safetensors_get_bytes (&run, bytes, error);
  swage_export_run_clear (&run);
  return ok;
}
