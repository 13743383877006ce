/* SPDX-License-Identifier: MIT
 *
 * Wanda: pruning by weights and activations (Sun, Liu, Bair, Kolter 2023, arXiv 2306.11695). A weight matters
 * as much as it moves the output, so its magnitude is taken times the norm of the input it meets over the
 * calibration text (eq. 1):
 *
 *   S_ij = |W_ij| · ‖X_j‖₂        X: tokens × n_in
 *
 * Scores are compared within each row (each output), which the paper finds essential, or within every M
 * neighbours of a row (N:M). There is no weight update. With all norms equal this is magnitude pruning per
 * row.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include "core/base/swage-error.h"
#include "core/method/swage-prune.h"

typedef struct
{
  int pattern;
  double sparsity;
} WandaParams;

static const SwageParam params[] = {
  SWAGE_CHOICE (
      WandaParams, pattern, 0, swage_prune_patterns, N_ ("Pattern"),
      N_ ("Which weights may stay: any, or N of every M neighbours, which some hardware runs faster.")),
  SWAGE_DOUBLE (WandaParams, sparsity, 0.5, 0, 1, N_ ("Sparsity"),
                N_ ("Share of the weights of each row that become zero."), .soft_max = 0.9,
                .when = "pattern=unstructured"),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const WandaParams *p = data;
  return swage_prune_cost (swage_prune_get_pattern (p->pattern), p->sparsity, false, in, out, error);
}

static void
score_row (int64_t row, const float *values, int64_t n, double *score, const void *user_data)
{
  const double *norm = user_data;
  for (int64_t j = 0; j < n; j++)
    score[j] = fabs ((double)values[j]) * norm[j];
}

/* ‖X_j‖₂, or NULL with the reason why there is nothing to go by. */
static double *
get_norms (const SwageMethodContext *context, int64_t n_in, GError **error)
{
  const SwageActStats *stats = context->stats;

  if (stats == NULL || stats->col_squares == NULL || stats->n_tokens == 0 || stats->n_in != n_in)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("%s: wanda needs statistics of the layer's inputs and there are none; give a calibration text."),
          context->layer);
      return NULL;
    }
  double *norm = g_new (double, (gsize)n_in);
  for (int64_t i = 0; i < n_in; i++)
    {
      norm[i] = sqrt (stats->col_squares[i]);
      if (!isfinite (norm[i]))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                       _ ("%s: the inputs in channel %" PRId64 " are not finite on this calibration text."),
                       context->layer, i);
          g_free (norm);
          return NULL;
        }
    }
  return norm;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const WandaParams *p = data;
  SwagePattern pattern = swage_prune_get_pattern (p->pattern);
  g_autofree double *norm = get_norms (context, in->n_in, error);

  if (norm == NULL)
    return NULL;
  SwageWeight *weight
      = swage_prune_weight (in->weight, pattern, p->sparsity, score_row, norm, context->layer, job, error);
  if (weight == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (out, weight);
  return out;
}

const SwageMethod swage_method_wanda = {
  .id = "wanda",
  .version = 1,
  .family = SWAGE_FAMILY_PRUNING,
  .title = N_ ("Wanda"),
  .summary = N_ (
      "Sets those weights to zero that move the outputs least on a calibration text: small ones that "
      "meet small inputs. One pass and no weight update; on large models far better than magnitude pruning."),
  .paper = "Sun et al. 2023, arXiv 2306.11695",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE,
  .emits = SWAGE_PART_DENSE,
  .needs = SWAGE_NEED_COL_SQUARES,
  .params = params,
  .params_size = sizeof (WandaParams),
  .cost = cost,
  .apply = apply,
};
