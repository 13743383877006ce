/* SPDX-License-Identifier: MIT
 *
 * Sharing a size out to layers that are factored: which rank does each get, so that together they take a
 * given part of their bytes and lose least? The answer is written into the plan as numbers, so the plan stays
 * a record and what comes later reproduces it without asking again.
 */
#pragma once

#include "core/pipeline/swage-pipeline.h"

typedef struct
{
  int n_layers, n_kept;           /* layers that take part; those of them that are better left as they are */
  uint64_t bytes, original_bytes; /* of these layers, now and in the file */
  double lost; /* mean share of their squared outputs (or weights) that these layers lose */
} SwageAllocation;

/* For every layer whose recipe has a step with ranks (SwageMethod.get_spectrum), replace that step's choice
 * by a rank of its own, so that these layers take at most `size_ratio` of their original bytes together, as
 * one undo step. `calibration`: windows for steps that look at activations (else NULL); statistics are those
 * of the original model. Least in a sum over layers that swage-allocate.c tells,
 * within one edge of the relaxation; deterministic. FALSE with INVALID when no layer has such a step or the
 * size cannot be reached: the plan is then as it was. `result` may be NULL. */
bool swage_allocate_ranks (SwagePipeline *pipeline, SwagePlan *plan, double size_ratio,
                           const SwageWindows *calibration, SwageAllocation *result, SwageJob *job,
                           GError **error);
