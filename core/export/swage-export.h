/* SPDX-License-Identifier: MIT
 *
 * Export: a model with its compressed layers, as files that other programs run.
 *
 *   SWAGE_EXPORT_GGUF         one .gguf file: packed types as they are, metadata and tokenizer complete (llama.cpp and its kin)
 *   SWAGE_EXPORT_SAFETENSORS  a folder as Hugging Face has it: model.safetensors (or shards and their index), config.json, tokenizer
 *                             files. Matrices are dense: what is packed, pruned or factored is written as the values it stands for,
 *                             so that transformers gives the same logits as a preview here.
 *
 * An export asks its *source* twice: first for the description of every layer (headers come before data in both formats), then, in
 * the order of the model and one at a time, for the layers themselves, which it lets go as soon as they are written. Nothing is
 * seen at the target before the last byte is written; errors and cancelling leave nothing behind. Everything here blocks: call it
 * from a thread of your own. The same model, plan and options give the same bytes.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-linear-spec.h"
#include "core/model/swage-model.h"

typedef enum { SWAGE_EXPORT_GGUF, SWAGE_EXPORT_SAFETENSORS, SWAGE_N_EXPORT_FORMATS } SwageExportFormat;
const char *swage_export_format_get_id (SwageExportFormat format);          /* "gguf", "safetensors" */
const char *swage_export_format_get_title (SwageExportFormat format);       /* translated, for menus */
bool swage_export_format_from_id (const char *id, SwageExportFormat *format);
/* Whether the target is a folder (safetensors) or one file (GGUF). */
bool swage_export_format_is_folder (SwageExportFormat format);
/* A proposal for the target's name, without a folder: "sample-q4_k.gguf", "sample-q4_k"; `suffix` may be NULL. New string. */
char *swage_export_format_suggest_name (SwageExportFormat format, SwageModel *model, const char *suffix);

/* Where the layers come from. A NULL source, or NULL functions, stand for the model as it is. See swage-export-plan.h for the source
 * that runs a plan. */
typedef struct
{
  /* What layer `name` will be, without computing it. */
  bool (*spec) (const char *name, SwageLinearSpec *spec, gpointer user_data, GError **error);
  /* The layer itself, a new reference: asked for in the order of swage_model_get_layer(), once each. `job` is for stepping only. */
  SwageLinear *(*layer) (const char *name, SwageJob *job, gpointer user_data, GError **error);
  gpointer user_data;
  /* A vector that is no layer's, loaded from the model, is to be as the layers want it: changed in place. NULL: as it is. */
  bool (*floats) (const SwageTensor *tensor, float *values, SwageJob *job, gpointer user_data, GError **error);
} SwageExportSource;

typedef struct
{
  bool overwrite;         /* replace what stands at the target; else an existing one is an error (INVALID) */
  const char *provenance; /* kept in the file's metadata as "swage.plan": the plan's JSON text. NULL: nothing */
  /* A float type, or NONE.
   * GGUF: layers that the format cannot hold (low-rank and sparse parts, plain integers, transforms) are multiplied out and stored
   * in this type; NONE: such a layer is an error.
   * Safetensors: the type of all tensors; NONE: the source's own where every value is exact in it, else F32. */
  SwageType dense_type;
  uint64_t shard_bytes; /* safetensors: largest file; 0: 5 GB */
} SwageExportOptions;
#define SWAGE_EXPORT_OPTIONS_INIT { .dense_type = SWAGE_TYPE_NONE }

typedef struct
{
  char *path;     /* as given */
  uint64_t bytes; /* of all files */
  int n_files;
  /* Hex. One file: its SHA-256. A folder: that of the listing `LC_ALL=C sha256sum *` prints in it. */
  char *sha256;
} SwageExportResult;
void swage_export_result_clear (SwageExportResult *result);

/* Write `model` with the layers of `source` to `path`. `options`, `job` and `result` may be NULL. */
bool swage_export (SwageModel *model, SwageExportFormat format, const SwageExportSource *source, const char *path,
                   const SwageExportOptions *options, SwageJob *job, SwageExportResult *result, GError **error);

/* Bytes that swage_export() would write: exact for GGUF; safetensors without config and tokenizer files. Quick, reads no matrix.
 * Fails where swage_export() would fail before writing. */
bool swage_export_get_bytes (SwageModel *model, SwageExportFormat format, const SwageExportSource *source,
                             const SwageExportOptions *options, uint64_t *bytes, GError **error);

typedef enum
{
  SWAGE_LINT_NOTE,    /* worth knowing: the file is right */
  SWAGE_LINT_WARNING, /* the file is written, but some readers will not take it, or it loses something */
  SWAGE_LINT_ERROR    /* swage_export() would fail */
} SwageLintSeverity;
const char *swage_lint_severity_get_id (SwageLintSeverity severity); /* "note", "warning", "error" */

typedef struct
{
  SwageLintSeverity severity;
  char *layer;   /* NULL: the model as a whole */
  char *message; /* what the target cannot hold; a sentence, translated */
  char *fix;     /* what to do about it; a sentence, or NULL */
} SwageLintItem;

/* What the target cannot hold: an array of SwageLintItem (free with g_ptr_array_unref), worst first, then in model order; empty when all
 * is well. Quick, reads no matrix. Never NULL. */
GPtrArray *swage_export_lint (SwageModel *model, SwageExportFormat format, const SwageExportSource *source,
                              const SwageExportOptions *options);
