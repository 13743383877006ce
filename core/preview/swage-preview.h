/* SPDX-License-Identifier: MIT
 *
 * Preview: what a plan does to perplexity, to the distribution of the next token, and to size. Measured, with
 * a standard error.
 *
 *   NLL_i = −log p(t_{i+1} | t_{≤i});  perplexity = exp(mean NLL);  its standard error by the delta method:
 * PPL·s/√n KLD   = mean over scored positions of Σ_v p_orig(v) (log p_orig(v) − log p_plan(v)) top-1
 * agreement = share of scored positions where both give the same most likely token
 *
 * The original is run over the same tokens; its logits are computed again per slice from cached hidden states
 * and never stored.
 */
#pragma once

#include "core/base/swage-json.h"
#include "core/pipeline/swage-pipeline.h"

typedef struct
{
  double perplexity, perplexity_stderr;
  double baseline_perplexity, baseline_perplexity_stderr;
  double kld_mean, kld_stderr, kld_median, kld_p99, kld_max;
  double top1_agreement;
  uint64_t bytes, original_bytes;
  double bits_per_weight;
  int64_t tokens;                    /* scored */
  int64_t tokens_run;                /* tokens that went through at least one block in this run */
  double seconds, tokens_per_second; /* tokens seen by the plan's model per second of this run */
  char *device;                      /* as swage_backend_get_name(); owned */
  SwageProtocol protocol;
  int context;
  uint64_t peak_rss_bytes;
  int blocks_run;      /* blocks computed in this run, original and plan together */
  int64_t done, total; /* scored positions so far, in a running estimate */
  /* of a GPU in this run; zeros on the CPU */
  uint64_t uploaded_bytes, downloaded_bytes, dispatches, cpu_fallback_ops, device_peak_bytes;
  uint64_t cpu_weight_bytes; /* of weights, as stored, that were read on the CPU to compress them, in this process */
  char *device_failure; /* NULL, or why the device was given up and all of this measured on the CPU; owned */
} SwagePreviewResult;
void swage_preview_result_clear (SwagePreviewResult *result);

/* Called on the working thread with running estimates while logits are compared (at most 10 a second);
 * `result` is borrowed. */
typedef void (*SwagePreviewFunc) (const SwagePreviewResult *result, gpointer user_data);

/* Blocking. When the pipeline's device fails, the pipeline goes on on the CPU and the preview is made there from the beginning:
 * result->device_failure says so once. `plan` NULL or without rules: the original alone (kld 0, agreement 1). */
bool swage_preview_run (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                        SwageProtocol protocol, SwagePreviewFunc func, gpointer user_data, SwageJob *job,
                        SwagePreviewResult *result, GError **error);
/* The keys of PRODUCT.md. */
json_t *swage_preview_result_to_json (const SwagePreviewResult *result);

/* Weight error of a compressed layer against its original: the numbers of layer list and inspector. */
typedef struct
{
  double rmse, relative_error /* ‖W−Ŵ‖/‖W‖ */, max_error, cosine;
} SwageLayerError;
bool swage_preview_layer_error (SwagePipeline *pipeline, SwagePlan *plan, const char *layer, SwageJob *job,
                                SwageLayerError *out, GError **error);
