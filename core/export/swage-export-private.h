/* SPDX-License-Identifier: MIT
 *
 * Inside core/export alone. An export is a list of *entries*, the tensors of the target in file order, each knowing how its bytes come
 * about; the two formats differ in names, types and containers, and share how entries are made into bytes (swage-export-write.c).
 */
#pragma once

#include "core/export/swage-export.h"
#include "core/model/swage-arch.h"

typedef enum
{
  SWAGE_ENTRY_LAYER,  /* the matrix of a layer */
  SWAGE_ENTRY_BIAS,   /* the bias of the layer before it */
  SWAGE_ENTRY_FLOATS, /* a tensor no plan can name: norms, positions */
  SWAGE_ENTRY_FACTORS /* the rotary factors */
} SwageExportEntryKind;

typedef struct
{
  SwageExportEntryKind kind;
  char *name;                /* in the target */
  const SwageTensor *tensor; /* in the model; NULL for FACTORS */
  SwageType type;
  int n_dims;
  int64_t shape[2]; /* as stored in the target */
  bool dense;       /* multiply the layer out, and round to `type` */
  bool transposed;  /* store [n_in, n_out] */
  int permuted;     /* heads whose rows are to be interleaved; 0: none */
} SwageExportEntry;

typedef struct
{
  SwageModel *model;
  const SwageArch *arch;
  const SwageExportSource *source; /* may be NULL */
  SwageExportOptions options;
  SwageExportFormat format;
  SwageLinearSpec *specs; /* of swage_model_get_layer() */
  GArray *entries;        /* SwageExportEntry */
  uint64_t done, total;   /* bytes, for progress */
} SwageExportRun;

/* Ask the source for all specs. */
bool swage_export_run_init (SwageExportRun *run, SwageModel *model, SwageExportFormat format,
                            const SwageExportSource *source, const SwageExportOptions *options, GError **error);
void swage_export_run_clear (SwageExportRun *run);
/* The spec of a layer, NULL when the tensor is none. */
const SwageLinearSpec *swage_export_run_get_spec (SwageExportRun *run, const SwageTensor *tensor);
/* The table entry of a role. */
const SwageArchTensor *swage_export_find_arch_tensor (const SwageArch *arch, SwageRole role);
/* pattern with its %d replaced, and suffix behind it; new string. */
char *swage_export_format_name (const char *pattern, int block, const char *suffix);
void swage_export_add_entry (SwageExportRun *run, const SwageExportEntry *entry);

typedef bool (*SwageExportWriteFunc) (const void *data, size_t n, gpointer writer, GError **error);
/* The bytes of entries [begin, end), to `write` in pieces; begin must not cut a layer from its bias. */
bool swage_export_write_entries (SwageExportRun *run, guint begin, guint end, SwageExportWriteFunc write, gpointer writer,
                                 SwageJob *job, GError **error);

GPtrArray *swage_export_lint_run (SwageExportRun *run);

/* swage-export-gguf.c */
SwageGgufWriter *swage_export_gguf_prepare (SwageExportRun *run, GError **error);
bool swage_export_gguf (SwageExportRun *run, const char *path, SwageJob *job, SwageExportResult *result, GError **error);
/* swage-export-tokenizer.c: the tokenizer as GGUF metadata. */
bool swage_export_gguf_tokenizer (SwageModel *model, SwageGgufWriter *writer, GError **error);
/* swage-export-safetensors.c */
bool swage_export_safetensors_get_bytes (SwageExportRun *run, uint64_t *bytes, GError **error);
bool swage_export_safetensors (SwageExportRun *run, const char *path, SwageJob *job, SwageExportResult *result,
                               GError **error);
/* swage-export-config.c: config.json for a model that came without one. */
json_t *swage_export_make_config (const SwageConfig *config);
