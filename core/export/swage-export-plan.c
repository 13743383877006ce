/* SPDX-License-Identifier: MIT
 *
 * A plan as a source of layers: specs from the plan's own arithmetic, layers from the pipeline.
 */
#include "core/export/swage-export-plan.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>

static bool
get_spec (const char *name, SwageLinearSpec *spec, gpointer user_data, GError **error)
{
  SwageExportPlan *run = user_data;
  const SwageTensor *layer = swage_model_find_tensor (run->model, name);
  return swage_plan_get_layer_spec (run->plan, run->model, layer, spec, error);
}

static SwageLinear *
get_layer (const char *name, SwageJob *job, gpointer user_data, GError **error)
{
  SwageExportPlan *run = user_data;
  if (run->pipeline == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED, _ ("There is no pipeline to compute layer “%s”."),
                   name);
      return NULL;
    }
  return swage_pipeline_get_layer (run->pipeline, run->plan, name, job, error);
}

static bool
get_floats (const SwageTensor *tensor, float *values, SwageJob *job, gpointer user_data, GError **error)
{
  SwageExportPlan *run = user_data;
  return run->pipeline == NULL
         || swage_pipeline_fold_floats (run->pipeline, run->plan, tensor, values, job, error);
}

void
swage_export_plan_init (SwageExportPlan *run, SwageModel *model, SwagePipeline *pipeline, SwagePlan *plan)
{
  *run = (SwageExportPlan){ .model = model, .pipeline = pipeline, .plan = plan };
  run->source = (SwageExportSource){ .spec = get_spec, .layer = get_layer, .user_data = run, .floats = get_floats };
}
