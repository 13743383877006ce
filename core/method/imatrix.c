/* SPDX-License-Identifier: MIT
 *
 * Importance-weighted rounding to nearest, as llama.cpp does it with an "importance matrix": each weight's
 * squared error counts as much as the mean square of the input that it meets over the calibration text,
 *
 *   min over scales and codes of  Σ_j ‖x_j‖²/n · (w_j − ŵ_j)²
 *
 * which is the error of the output where channels are uncorrelated. No weight makes up for another: that is
 * `gptq`. The search for the best scales under such weights is the type's own (kernels/type).
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include "core/base/swage-error.h"
#include "core/method/swage-device-round.h"
#include "core/method/swage-rows.h"
#include "core/method/swage-target.h"

typedef struct
{
  int type;
  int bits, group_size;
  bool symmetric;
} ImatrixParams;

static const SwageParam params[] = {
  SWAGE_CHOICE (ImatrixParams, type, SWAGE_TARGET_DEFAULT_TYPE, swage_target_types, N_ ("Type"),
                N_ ("How the weights are stored; fewer bits make a smaller model and a larger error.")),
  SWAGE_INT (ImatrixParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."), .unit = N_ ("bits"),
             .when = "type=int"),
  SWAGE_INT (ImatrixParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256, .when = "type=int"),
  SWAGE_BOOL (ImatrixParams, symmetric, true, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side."),
              .when = "type=int"),
  { 0 },
};

static SwageStorage
get_storage (const ImatrixParams *p)
{
  return swage_target_get_storage (p->type, p->bits, p->group_size, p->symmetric);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  SwageStorage storage = get_storage (data);
  return swage_target_cost (&storage, in, out, error);
}

/* Mean squares by column; NULL with the reason why there are none. All alike where the text left every
 * channel at 0. */
static float *
get_importance (const SwageMethodContext *context, int64_t n_in, GError **error)
{
  const SwageActStats *stats = context->stats;
  bool any = false;

  if (stats == NULL || stats->col_squares == NULL || stats->n_tokens == 0 || stats->n_in != n_in)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("%s: imatrix needs statistics of the layer's inputs and there are none; give a "
                      "calibration text."),
                   context->layer);
      return NULL;
    }
  g_autofree float *importance = g_new (float, (gsize)n_in);
  for (int64_t j = 0; j < n_in; j++)
    {
      importance[j] = (float)(stats->col_squares[j] / (double)stats->n_tokens);
      any = any || importance[j] > 0;
      if (!isfinite (importance[j]))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                       _ ("%s: the inputs in channel %" PRId64 " are not finite on this calibration text."),
                       context->layer, j);
          return NULL;
        }
    }
  for (int64_t j = 0; j < n_in && !any; j++)
    importance[j] = 1;
  return g_steal_pointer (&importance);
}

typedef struct
{
  SwageStorage to;
  const float *importance;
  int64_t cols, groups;
  size_t row_bytes;
  uint8_t *codes, *zeros;
  uint16_t *scales;
} Rounding;

static void
round_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Rounding *r = user_data;

  for (int64_t i = row; i < row + n; i++, values += r->cols)
    {
      uint8_t *codes = r->codes + (size_t)i * r->row_bytes;
      if (r->to.type != SWAGE_TYPE_INT)
        swage_type_from_f32 (r->to.type, values, r->importance, codes, r->cols);
      else
        swage_int_from_f32 (values, r->importance, r->cols, r->to.bits, r->to.group_size, r->to.symmetric,
                            codes, r->scales + i * r->groups,
                            r->zeros != NULL ? r->zeros + i * r->groups : NULL);
    }
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SwageWeight *w = in->weight;
  g_autofree float *importance = get_importance (context, in->n_in, error);
  Rounding r = { .to = get_storage (data), .importance = importance, .cols = w->cols };
  SwageRowWalk walk = { .weight = w,
                        .layer = context->layer,
                        .limit = 65504.0f,
                        .limit_reason = _ ("packed weights keep their scales as half floats"),
                        .job = job };
  gsize rows = (gsize)w->rows, n_groups = 0;

  if (importance == NULL)
    return NULL;
  if (swage_target_is_stored_so (w, &r.to)) /* rounding once more could only move values */
    return swage_linear_dup (in);
  SwageDeviceRound there = { .backend = context->backend, .to = r.to, .importance = importance, .job = job };
  SwageWeight *rounded = NULL;
  if (!swage_device_round (&there, w, &rounded, error))
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  if (rounded != NULL)
    {
      swage_linear_set_weight (out, rounded);
      return out;
    }
  if (r.to.type == SWAGE_TYPE_INT)
    {
      r.row_bytes = swage_int_row_bytes (w->cols, r.to.bits);
      r.groups = swage_int_groups (w->cols, r.to.group_size);
      n_groups = rows * (gsize)r.groups;
      r.scales = g_new (uint16_t, n_groups);
      r.zeros = r.to.symmetric ? NULL : g_malloc (n_groups);
    }
  else
    r.row_bytes = swage_type_row_bytes (r.to.type, w->cols);
  r.codes = g_malloc_n (rows, r.row_bytes);
  if (!swage_rows_walk (&walk, round_rows, &r, error))
    {
      g_free (r.codes);
      g_free (r.scales);
      g_free (r.zeros);
      swage_linear_unref (out);
      return NULL;
    }

  GBytes *codes = g_bytes_new_take (r.codes, rows * r.row_bytes);
  if (r.to.type != SWAGE_TYPE_INT)
    swage_linear_set_weight (out, swage_weight_new (r.to.type, w->rows, w->cols, codes));
  else
    swage_linear_set_weight (
        out, swage_weight_new_int (w->rows, w->cols, r.to.bits, r.to.group_size, r.to.symmetric, codes,
                                   g_bytes_new_take (r.scales, n_groups * sizeof (uint16_t)),
                                   r.zeros != NULL ? g_bytes_new_take (r.zeros, n_groups) : NULL));
  return out;
}

const SwageMethod swage_method_imatrix = {
  .id = "imatrix",
  .version = 1,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("Importance matrix"),
  .summary = N_ (
      "Round to nearest, with the scales of each block searched for the inputs that a calibration text "
      "brings: weights "
      "that meet large inputs count more. Nearly as fast as plain rounding, and better at 4 bits and less."),
  .paper = "ggml-org/llama.cpp, tools/imatrix",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE
             | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_COL_SQUARES,
  .params = params,
  .params_size = sizeof (ImatrixParams),
  .cost = cost,
  .apply = apply,
};
