/* SPDX-License-Identifier: MIT
 *
 * For preview, which keeps its results beside the states that they come from.
 */
#pragma once

#include "core/pipeline/swage-cache.h"
#include "core/pipeline/swage-pipeline.h"

SwageCache *swage_pipeline_get_cache (SwagePipeline *pipeline);
/* The key of the states after the last block: everything that shapes them. New string. */
char *swage_pipeline_states_key (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                                 GError **error);
/* The fingerprint of the calibration windows that the plan asks for. New string; NULL with an error when
 * there is no text. */
char *swage_pipeline_get_calibration_fingerprint (SwagePipeline *pipeline, SwagePlan *plan, GError **error);
