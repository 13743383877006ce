/* SPDX-License-Identifier: MIT
 *
 * The export source that runs a plan.
 *
 *   SwageExportPlan run;
 *   swage_export_plan_init (&run, model, pipeline, plan);
 *   swage_export (model, SWAGE_EXPORT_GGUF, &run.source, path, &options, job, &result, &error);
 */
#pragma once

#include "core/export/swage-export.h"
#include "core/pipeline/swage-pipeline.h"

typedef struct
{
  SwageExportSource source;
  SwageModel *model;
  SwagePipeline *pipeline;
  SwagePlan *plan;
} SwageExportPlan;

/* Borrows all, which must outlive it; they are used from the thread that calls swage_export() and its kin. `pipeline` may be NULL where
 * only descriptions are asked for (lint, bytes). */
void swage_export_plan_init (SwageExportPlan *run, SwageModel *model, SwagePipeline *pipeline, SwagePlan *plan);
