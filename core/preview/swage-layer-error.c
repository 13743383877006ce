/* SPDX-License-Identifier: MIT
 *
 * The error of one layer's weights: what it multiplies its input by, before and after, row slice by row
 * slice.
 */
#include "core/preview/swage-preview.h"
#include "core/base/swage-error.h"

#include <math.h>

bool
swage_preview_layer_error (SwagePipeline *pipeline, SwagePlan *plan, const char *layer, SwageJob *job,
                           SwageLayerError *out, GError **error)
{
  g_autoptr (SwageLinear) original
      = swage_model_load_linear (swage_pipeline_get_model (pipeline), layer, error);
  if (original == NULL)
    return false;
  g_autoptr (SwageLinear) linear = swage_pipeline_get_layer (pipeline, plan, layer, job, error);
  if (linear == NULL)
    return false;
  g_autofree float *before = swage_linear_get_effective (original);
  g_autofree float *after = swage_linear_get_effective (linear);
  double error_squares = 0, before_squares = 0, after_squares = 0, product = 0, largest = 0;
  int64_t n = original->n_out * original->n_in;
  for (int64_t i = 0; i < n; i++)
    {
      double w = before[i], v = after[i], d = v - w;
      error_squares += d * d;
      before_squares += w * w;
      after_squares += v * v;
      product += w * v;
      largest = fmax (largest, fabs (d));
    }
  double norms = sqrt (before_squares) * sqrt (after_squares);
  *out = (SwageLayerError){ .rmse = n > 0 ? sqrt (error_squares / (double)n) : 0,
                            .relative_error = before_squares > 0 ? sqrt (error_squares / before_squares) : 0,
                            .max_error = largest,
                            .cosine = norms > 0 ? product / norms : 1 };
  return swage_job_step (job, 1, 1, error);
}
