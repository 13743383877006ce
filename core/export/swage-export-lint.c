/* SPDX-License-Identifier: MIT
 *
 * What a target cannot hold. Errors name each layer, because each can be mended by itself; notes are said
 * once for all layers they concern.
 */
#include "core/base/swage-error.h"
#include "core/export/swage-export-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

typedef struct
{
  SwageExportRun *run;
  GPtrArray *items;
} Lint;

static void
item_free (gpointer p)
{
  SwageLintItem *item = p;
  g_free (item->layer);
  g_free (item->message);
  g_free (item->fix);
  g_free (item);
}

/* takes `message` */
static void
add (Lint *lint, SwageLintSeverity severity, const char *layer, char *message, const char *fix)
{
  SwageLintItem *item = g_new0 (SwageLintItem, 1);
  *item = (SwageLintItem){ severity, g_strdup (layer), message, g_strdup (fix) };
  g_ptr_array_add (lint->items, item);
}

static int
compare_severity (gconstpointer pa, gconstpointer pb)
{
  const SwageLintItem *a = *(const SwageLintItem *const *)pa, *b = *(const SwageLintItem *const *)pb;
  return (int)b->severity - (int)a->severity; /* the sort is stable */
}

/* The type to take for rows that `type` cannot hold: llama.cpp's own choices. */
static SwageType
nearest_type (SwageType type, int64_t n_in)
{
  static const SwageType nearest[SWAGE_N_TYPES] = {
    [SWAGE_TYPE_Q2_K] = SWAGE_TYPE_Q4_0, [SWAGE_TYPE_Q3_K] = SWAGE_TYPE_Q4_0,
    [SWAGE_TYPE_Q4_K] = SWAGE_TYPE_Q5_0, [SWAGE_TYPE_Q5_K] = SWAGE_TYPE_Q5_1,
    [SWAGE_TYPE_Q6_K] = SWAGE_TYPE_Q8_0, [SWAGE_TYPE_IQ4_XS] = SWAGE_TYPE_IQ4_NL,
  };
  SwageType other = nearest[type];
  return other != SWAGE_TYPE_F32 && swage_type_row_bytes (other, n_in) > 0 ? other : SWAGE_TYPE_F16;
}

/* ---- GGUF ---- */

/* The first part of a layer that GGUF has no place for; NULL when there is none. */
static const char *
foreign_part (const SwageLinearSpec *spec)
{
  if (spec->parts & SWAGE_PART_TRANSFORM)
    return _ ("a transform of its input");
  if (spec->parts & SWAGE_PART_LOW_RANK)
    return _ ("low-rank factors");
  if (spec->parts & SWAGE_PART_SPARSE)
    return _ ("separately kept sparse values");
  if (spec->parts & SWAGE_PART_PACKED && spec->weight.type == SWAGE_TYPE_INT)
    return _ ("plain integer groups");
  if (spec->parts & SWAGE_PART_PACKED && spec->weight.type == SWAGE_TYPE_LUT)
    return _ ("a table of values for each row");
  if (spec->parts & SWAGE_PART_PACKED && spec->weight.type == SWAGE_TYPE_BCQ)
    return _ ("binary codes");
  if (spec->parts & SWAGE_PART_PACKED && spec->weight.type == SWAGE_TYPE_TT)
    return _ ("tensor trains");
  if (spec->parts & SWAGE_PART_PACKED && spec->weight.type == SWAGE_TYPE_OVP)
    return _ ("outlier-victim pairs");
  return NULL;
}

static void
lint_gguf_layer (Lint *lint, const SwageTensor *layer, const SwageLinearSpec *spec, int *multiplied)
{
  const char *part = foreign_part (spec);
  SwageType type = spec->weight.type;
  bool has_weight = (spec->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED)) != 0;
  if (part != NULL)
    {
      if (lint->run->options.dense_type != SWAGE_TYPE_NONE)
        ++*multiplied;
      else
        add (lint, SWAGE_LINT_ERROR, layer->name, g_strdup_printf (_ ("GGUF cannot hold %s."), part),
             _ ("Export it multiplied out into a dense matrix, or choose another recipe for the layer."));
    }
  else if (has_weight
           && (swage_type_get_info (type)->ggml_id < 0 || swage_type_row_bytes (type, spec->n_in) == 0))
    {
      const SwageTypeInfo *info = swage_type_get_info (type);
      g_autofree char *fix = g_strdup_printf (_ ("Choose %s for it."),
                                              swage_type_get_info (nearest_type (type, spec->n_in))->title);
      if (info->ggml_id < 0)
        add (lint, SWAGE_LINT_ERROR, layer->name, g_strdup_printf (_ ("GGUF has no type %s."), info->title),
             fix);
      else
        add (lint, SWAGE_LINT_ERROR, layer->name,
             g_strdup_printf (
                 _ ("Type %s needs rows of a multiple of %d elements; this layer's have %" PRId64 "."),
                 info->title, info->block, spec->n_in),
             fix);
    }
}

static void
lint_gguf_model (Lint *lint)
{
  SwageModel *model = lint->run->model;
  const SwageConfig *config = swage_model_get_config (model);
  if (lint->run->arch->gguf_write == NULL)
    add (
        lint, SWAGE_LINT_ERROR, NULL,
        g_strdup_printf (_ ("No program that reads GGUF knows the architecture “%s”."), config->architecture),
        _ ("Export safetensors instead."));
  if (strcmp (config->architecture, "gpt2") == 0 && config->ffn != SWAGE_FFN_GELU_TANH)
    add (lint, SWAGE_LINT_ERROR, NULL,
         g_strdup (_ ("GGUF cannot say which activation a GPT-2 model has; this one's is not the usual.")),
         _ ("Export safetensors instead."));
  if (config->sliding_window > 0 && config->sliding_window < config->max_context)
    add (lint, SWAGE_LINT_WARNING, NULL,
         g_strdup_printf (_ ("llama.cpp does not apply this architecture's sliding window; texts of more "
                             "than %d tokens will differ."),
                          config->sliding_window),
         NULL);
  GError *error = NULL;
  SwageTokenizer *tokenizer
      = swage_model_get_gguf (model) == NULL ? swage_model_get_tokenizer (model, &error) : NULL;
  if (error != NULL)
    add (lint, SWAGE_LINT_WARNING, NULL,
         g_strdup_printf (_ ("The file will have no tokenizer: %s"), error->message), NULL);
  g_clear_error (&error);
  if (tokenizer != NULL && swage_tokenizer_get_info (tokenizer)->n_tokens > config->n_vocab)
    add (lint, SWAGE_LINT_ERROR, NULL,
         g_strdup_printf (_ ("The tokenizer has %d tokens, but the model has embeddings for %d."),
                          swage_tokenizer_get_info (tokenizer)->n_tokens, config->n_vocab),
         _ ("Take the tokenizer that belongs to the model."));
}

/* ---- safetensors ---- */

static void
lint_safetensors_model (Lint *lint)
{
  int n;
  if (swage_model_get_gguf (lint->run->model) == NULL)
    return;
  add (lint, SWAGE_LINT_WARNING, NULL,
       g_strdup (_ ("The model comes from a GGUF file, so the folder will have no tokenizer files.")),
       _ ("Copy tokenizer.json and tokenizer_config.json from the original checkpoint."));
  if (swage_model_get_rope_factors (lint->run->model, &n) != NULL)
    add (lint, SWAGE_LINT_ERROR, NULL,
         g_strdup (_ ("The GGUF file has rotary factors of its own, for which config.json has no words.")),
         _ ("Open the original checkpoint, or export GGUF."));
}

/* ---- both ---- */

static void
lint_layer (Lint *lint, const SwageTensor *layer, const SwageLinearSpec *spec)
{
  const SwageArchTensor *at = swage_export_find_arch_tensor (lint->run->arch, layer->role);
  g_autofree char *bias = g_strconcat (layer->name, ".bias", NULL);
  bool had_bias = swage_model_find_tensor (lint->run->model, bias) != NULL;
  bool gguf = lint->run->format == SWAGE_EXPORT_GGUF;
  if (spec->parts & SWAGE_PART_ACT_QUANT)
    add (lint, SWAGE_LINT_ERROR, layer->name,
         g_strdup_printf (_ ("%s cannot hold a quantizer of activations."), gguf ? "GGUF" : "transformers"),
         _ ("Remove the step that quantizes activations from its recipe."));
  if (spec->parts & SWAGE_PART_OUT_QUANT)
    add (lint, SWAGE_LINT_ERROR, layer->name,
         g_strdup_printf (_ ("%s cannot hold a quantizer of keys and values; it is a setting of the program "
                             "that runs the model."),
                          gguf ? "GGUF" : "transformers"),
         _ ("Remove that step from its recipe, and give the program's own option when running it."));
  if (spec->parts & SWAGE_PART_TRANSFORM && spec->shifts)
    add (lint, SWAGE_LINT_ERROR, layer->name,
         g_strdup (
             _ ("The recipe shifts the layer's input, which neither its matrix nor the norm before it can "
                "take up.")),
         _ ("Turn off the shift in the step that transforms the input."));
  if (spec->parts & SWAGE_PART_BIAS && !had_bias && (!gguf || at->bias == SWAGE_BIAS_NONE))
    add (lint, SWAGE_LINT_ERROR, layer->name,
         g_strdup (_ ("The recipe gives the layer a bias, for which the architecture has no place.")),
         _ ("Remove the step that corrects the bias from its recipe."));
}

GPtrArray *
swage_export_lint_run (SwageExportRun *run)
{
  Lint lint = { run, g_ptr_array_new_with_free_func (item_free) };
  bool gguf = run->format == SWAGE_EXPORT_GGUF;
  int n = swage_model_get_n_layers (run->model), multiplied = 0, decoded = 0, pruned = 0;
  if (gguf)
    lint_gguf_model (&lint);
  else
    lint_safetensors_model (&lint);
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (run->model, i);
      const SwageLinearSpec *spec = &run->specs[i];
      lint_layer (&lint, layer, spec);
      if (gguf)
        lint_gguf_layer (&lint, layer, spec, &multiplied);
      else if (spec->parts & (SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM))
        multiplied++;
      else if (spec->parts & SWAGE_PART_PACKED)
        decoded++;
      pruned += spec->sparsity > 0;
    }
  if (multiplied > 0)
    add (&lint, SWAGE_LINT_NOTE, NULL,
         g_strdup_printf (
             ngettext (
                 "%d layer is multiplied out into a dense matrix: it does the same, but takes its full size.",
                 "%d layers are multiplied out into dense matrices: they do the same, but take their full "
                 "size.",
                 (gulong)multiplied),
             multiplied),
         NULL);
  if (decoded > 0)
    add (&lint, SWAGE_LINT_NOTE, NULL,
         g_strdup_printf (ngettext ("%d quantized layer is written as the values it stands for: the same "
                                    "results, but its full size.",
                                    "%d quantized layers are written as the values they stand for: the same "
                                    "results, but their full size.",
                                    (gulong)decoded),
                          decoded),
         _ ("Export GGUF to keep the size."));
  if (pruned > 0)
    add (&lint, SWAGE_LINT_NOTE, NULL,
         g_strdup_printf (
             ngettext (
                 "%d layer is pruned; its zeros are stored like other values and save no space in the file.",
                 "%d layers are pruned; their zeros are stored like other values and save no space in the "
                 "file.",
                 (gulong)pruned),
             pruned),
         NULL);
  g_ptr_array_sort (lint.items, compare_severity);
  return lint.items;
}

GPtrArray *
swage_export_lint (SwageModel *model, SwageExportFormat format, const SwageExportSource *source,
                   const SwageExportOptions *options)
{
  SwageExportRun run;
  g_autoptr (GError) error = NULL;
  GPtrArray *items;
  if (swage_export_run_init (&run, model, format, source, options, &error))
    items = swage_export_lint_run (&run);
  else
    {
      Lint lint = { &run, g_ptr_array_new_with_free_func (item_free) };
      add (&lint, SWAGE_LINT_ERROR, NULL, g_strdup (error->message), NULL);
      items = lint.items;
    }
  swage_export_run_clear (&run);
  return items;
}
