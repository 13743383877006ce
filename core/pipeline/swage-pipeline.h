/* SPDX-License-Identifier: MIT
 *
 * The pipeline runs a plan over a model block by block and never holds the model: one block, the hidden
 * states of the texts at the block boundary, that block's statistics. What did not change is not computed
 * again: compressed layers and boundary states are kept under keys made of everything that shaped them
 * (model, tokens, and the recipes of all earlier blocks), within a memory budget.
 *
 * Calibration statistics are of the inputs that the *already compressed* prefix produces. A pipeline is used
 * from one thread at a time (any thread); its cache lives as long as it does.
 */
#pragma once

#include "core/engine/swage-engine.h"
#include "core/plan/swage-plan.h"
#include "core/text/swage-corpus.h"

typedef struct _SwagePipeline SwagePipeline;

/* Borrows nothing: refs model. `backend` NULL: the CPU. `budget` bytes of cached states and layers (0: 2 GiB,
 * or a quarter of memory). */
SwagePipeline *swage_pipeline_new (SwageModel *model, SwageBackend *backend, uint64_t budget, GError **error);
void swage_pipeline_free (SwagePipeline *pipeline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwagePipeline, swage_pipeline_free)
SwageModel *swage_pipeline_get_model (SwagePipeline *pipeline);
SwageEngine *swage_pipeline_get_engine (SwagePipeline *pipeline);
SwageBackend *swage_pipeline_get_backend (SwagePipeline *pipeline);
/* Go on with another backend (referenced; NULL: the CPU). What is remembered of the old one stays, for when it comes back. */
bool swage_pipeline_set_backend (SwagePipeline *pipeline, SwageBackend *backend, GError **error);
/* The calibration text (NULL: none; plans whose methods need statistics then fail with a message that says
 * so). */
void swage_pipeline_set_calibration (SwagePipeline *pipeline, SwageCorpus *corpus);
/* Keep boundary states also in `folder` (NULL: memory alone), at most `limit` bytes, so that another process
 * finds them. */
void swage_pipeline_set_cache_folder (SwagePipeline *pipeline, const char *folder, uint64_t limit);

/* Block `index` with the plan's recipes applied. New. */
SwageBlock *swage_pipeline_get_block (SwagePipeline *pipeline, SwagePlan *plan, int index, SwageJob *job,
                                      GError **error);
/* What stands before and after, the plan applied to token_embd and output. New. */
SwageEnds *swage_pipeline_get_ends (SwagePipeline *pipeline, SwagePlan *plan, SwageJob *job, GError **error);
/* One layer by name, for export and the inspector. Layers are best asked for in model order. New reference.
 */
SwageLinear *swage_pipeline_get_layer (SwagePipeline *pipeline, SwagePlan *plan, const char *layer,
                                       SwageJob *job, GError **error);

/* The weight or bias of a norm as the plan's layers want it: what they have folded into it (see
 * swage_plan_find_fold()) is done to `values`, the tensor's own; other tensors stay. For export. */
bool swage_pipeline_fold_floats (SwagePipeline *pipeline, SwagePlan *plan, const SwageTensor *tensor,
                                 float *values, SwageJob *job, GError **error);

/* Hidden states after the last block, [n_windows·context × n_embd], for the plan (NULL: the original).
 * Borrowed until the next call on the pipeline unless retained with g_bytes_ref(). `blocks_run` (may be NULL)
 * counts the blocks that had to be computed. */
GBytes *swage_pipeline_run (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                            int *blocks_run, SwageJob *job, GError **error);

/* Activation statistics of every linear layer's input on the windows, for the plan (NULL: the original).
 * `filter` NULL or returns TRUE for layers that are wanted. `out[i]` (array of swage_model_get_n_layers()
 * pointers) gets new statistics or NULL (token_embd has none). */
typedef bool (*SwageLayerFilter) (const char *layer, gpointer user_data);
bool swage_pipeline_collect (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                             SwageNeeds needs, int bins, double sigma, SwageLayerFilter filter,
                             gpointer user_data, SwageActStats **out, SwageJob *job, GError **error);

typedef struct
{
  int64_t blocks_run, blocks_cached, layers_compressed, layers_cached;
  uint64_t cache_bytes;
} SwagePipelineCounters;
void swage_pipeline_get_counters (SwagePipeline *pipeline, SwagePipelineCounters *counters);
