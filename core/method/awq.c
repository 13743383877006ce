/* SPDX-License-Identifier: MIT
 *
 * AWQ: activation-aware weight quantization (Lin, Tang, Tang, Yang, Chen, Wang, Xiao, Dang, Gan, Han 2023,
 * arXiv 2306.00978). One weight in a hundred matters far more than the rest, and which it is the activations
 * tell: those in columns whose input is large. Scaling such a column up before rounding, and its input down,
 * makes its relative rounding error smaller. The scale of all columns has one free number (eq. 4 and 5):
 *
 *   s = s_X^α,    s_X,j = mean |X_j|,    α* = argmin over a grid on [0, 1) of ‖Q (W·diag(s)) (diag(s)⁻¹·X) −
 * W·X‖²
 *
 * normalized as the authors do, s / √(max s · min s). The error is exact over all calibration tokens, not
 * over a sample: it is tr (E·H·Eᵀ) with E = Q (W·diag(s))·diag(s)⁻¹ − W. Layers that read one input are
 * searched together.
 *
 * Then every group of weights is clipped: of 10 thresholds from its largest magnitude down to half of it,
 * each with the full range as the authors have it and with the range that serves the cut weights best, the
 * one with the smallest error in the group's own part of the output, eᵀ·H_gg·e. Not for queries and keys,
 * whose product makes that measure misleading (the authors' code leaves them out as well).
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-act.h"
#include "core/method/swage-int-grid.h"

#define CLIP_GRID 20 /* the authors': thresholds (1 − i/20)·max, i < 10 */
#define CLIP_STEPS 10

typedef struct
{
  SWAGE_STORAGE_MEMBERS;
  int n_grid;
  bool clip;
} AwqParams;

static const SwageParam params[] = {
  SWAGE_STORAGE_ROWS (AwqParams, 4, 128, false),
  SWAGE_INT (AwqParams, n_grid, 20, 1, 100, N_ ("Grid"),
             N_ ("Exponents tried for the scale: more take longer and find a slightly better one."),
             .soft_min = 10, .soft_max = 40),
  SWAGE_BOOL (AwqParams, clip, true, N_ ("Clip"),
              N_ ("Search for each group of weights how far its largest ones may be cut off."),
              .when = "type=int"),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const AwqParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  return swage_act_cost (&storage, true, false, SWAGE_ACT_CHOICE_NONE, in, out, error);
}

static bool
joins (const void *data, const void *other)
{
  const AwqParams *a = data, *b = other;
  return a->n_grid == b->n_grid;
}

/* What is searched for when the step itself rounds nothing: the scale that 4-bit groups would want. */
static SwageStorage
get_search_storage (const AwqParams *p)
{
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  if (!swage_act_storage_rounds (&storage))
    storage = swage_act_get_storage (SWAGE_ACT_TYPE_INT, p->bits, p->group_size, p->symmetric);
  return storage;
}

typedef struct
{
  const SwageStorage *storage;
  const float *values; /* rows × n_in */
  const double *s;
  int64_t n_in;
  float *e;
} Trying;

/* e ← Q (w·s)/s − w */
static void
try_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Trying *t = user_data;
  int64_t n = t->n_in;
  g_autofree float *row = g_new (float, (gsize)n);
  g_autofree void *scratch = g_malloc (swage_act_scratch_bytes (t->storage, n));

  for (int64_t r = begin; r < end; r++)
    {
      const float *w = t->values + r * n;
      float *e = t->e + r * n;
      for (int64_t c = 0; c < n; c++)
        row[c] = (float)((double)w[c] * t->s[c]);
      swage_act_round_row (t->storage, row, NULL, n, e, scratch);
      for (int64_t c = 0; c < n; c++)
        e[c] = (float)((double)e[c] / t->s[c] - (double)w[c]);
    }
}

/* mean |X_j|^ratio, normalized; channels that never carry anything keep 1. */
static void
make_scale (const double *mean, double ratio, int64_t n, double *s)
{
  double lo = INFINITY, hi = 0;

  for (int64_t c = 0; c < n; c++)
    {
      s[c] = mean[c] > 0 ? fmax (pow (mean[c], ratio), 1e-4) : 0;
      if (s[c] > 0)
        {
          lo = fmin (lo, s[c]);
          hi = fmax (hi, s[c]);
        }
    }
  double norm = hi > 0 ? sqrt (lo * hi) : 1;
  for (int64_t c = 0; c < n; c++)
    s[c] = s[c] > 0 ? s[c] / norm : 1;
}

static double *
search_scale (const AwqParams *own, const SwageMethodContext *context, const float *h, int64_t n_in,
              SwageJob *job, GError **error)
{
  int n = swage_act_count_siblings (context);
  g_autofree double *mean = g_new (double, (gsize)n_in);
  g_autofree double *s = g_new (double, (gsize)n_in);
  g_autofree double *best = g_new (double, (gsize)n_in);
  g_autoptr (GPtrArray) matrices = g_ptr_array_new_with_free_func (g_free);
  int64_t most = 0;
  double best_error = INFINITY;

  for (int64_t c = 0; c < n_in; c++)
    mean[c] = context->stats->col_abs[c] / (double)context->stats->n_tokens;
  swage_act_tie_mean (context, n_in, mean);
  for (int i = 0; i < n; i++)
    {
      const SwageLinear *original;
      const void *theirs;
      swage_act_get_sibling (context, i, own, &original, &theirs);
      float *values = swage_act_decode (original->weight, original->name, job, error);
      if (values == NULL)
        return NULL;
      g_ptr_array_add (matrices, values);
      most = MAX (most, original->n_out);
    }
  g_autofree float *e = g_new (float, (gsize)(most * n_in));
  for (int g = 0; g < own->n_grid; g++)
    {
      double error_sum = 0;
      make_scale (mean, (double)g / own->n_grid, n_in, s);
      for (int i = 0; i < n; i++)
        {
          const SwageLinear *original;
          const void *theirs;
          swage_act_get_sibling (context, i, own, &original, &theirs);
          SwageStorage storage = get_search_storage (theirs);
          Trying t = { .storage = &storage, .values = matrices->pdata[i], .s = s, .n_in = n_in, .e = e };
          swage_pool_run (original->n_out, 4, try_rows, &t);
          error_sum += swage_act_output_error (h, n_in, e, original->n_out);
          if (!swage_job_step (job, g * n + i + 1, own->n_grid * n, error))
            return NULL;
        }
      if (error_sum < best_error || g == 0)
        {
          best_error = error_sum;
          memcpy (best, s, (size_t)n_in * sizeof *s);
        }
    }
  return g_steal_pointer (&best);
}

/* ---- clipping ---- */

typedef struct
{
  const float *h; /* of the scaled input */
  int64_t n_in;
  const float *values; /* the scaled weight */
  SwageIntGrid *grid;
  int64_t first;
} Clipping;

static double
group_error (const Clipping *k, int64_t from, int64_t n, const float *e)
{
  double sum = 0;

  for (int64_t i = 0; i < n; i++)
    {
      const float *h = k->h + (from + i) * k->n_in + from;
      double dot = 0;
      for (int64_t j = 0; j < n; j++)
        dot += (double)h[j] * (double)e[j];
      sum += dot * (double)e[i];
    }
  return sum;
}

/* Scale and zero point for weights cut off at ±limit. */
static void
set_range (SwageIntGrid *grid, int64_t at, float lo, float hi, float limit)
{
  float top = (float)((1 << grid->bits) - 1), half = (float)((1 << (grid->bits - 1)) - 1);
  lo = MAX (lo, -limit);
  hi = MIN (hi, limit);
  float scale = grid->symmetric ? MAX (-lo, hi) / half : (hi - lo) / top;
  uint16_t stored = swage_f32_to_f16 (MIN (scale, 65504.0f));
  scale = swage_f16_to_f32 (stored);
  grid->scales[at] = stored;
  if (!grid->symmetric)
    grid->zeros[at] = scale > 0 ? (uint8_t)CLAMP (rintf (-lo / scale), 0, top) : 0;
}

/* e ← what the group becomes when it is cut off at ±limit, less what it was. */
static void
round_group (const Clipping *k, int64_t row, int64_t from, int64_t n, const float *w, float limit, float *e)
{
  for (int64_t c = 0; c < n; c++)
    e[c] = swage_int_grid_round (k->grid, row, from + c, CLAMP (w[c], -limit, limit)) - w[c];
}

static void
clip_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Clipping *k = user_data;
  SwageIntGrid *grid = k->grid;
  int64_t n = k->n_in;
  g_autofree float *e = g_new (float, (gsize)MIN (grid->group_size, n));
  g_autofree float *cut = g_new (float, (gsize)MIN (grid->group_size, n));

  for (int64_t r = k->first + begin; r < k->first + end; r++)
    for (int64_t g = 0; g < grid->groups; g++)
      {
        int64_t from = g * grid->group_size, len = swage_int_grid_length (grid, g), at = r * grid->groups + g;
        const float *w = k->values + r * n + from;
        float lo = 0, hi = 0;
        for (int64_t c = 0; c < len; c++)
          {
            lo = MIN (lo, w[c]);
            hi = MAX (hi, w[c]);
          }
        double best = INFINITY;
        float best_limit = 0;
        uint16_t scale = 0;
        uint8_t zero = 0;
        for (int i = 0; i < 2 * CLIP_STEPS; i++)
          {
            float limit = MAX (-lo, hi) * (float)(1 - (double)(i / 2) / CLIP_GRID);
            if (i % 2 == 0)
              {
                for (int64_t c = 0; c < len; c++)
                  cut[c] = CLAMP (w[c], -limit, limit);
                swage_int_grid_choose (grid, r, g, cut, NULL);
              }
            else
              set_range (grid, at, lo, hi, limit);
            round_group (k, r, from, len, w, limit, e);
            double error = group_error (k, from, len, e);
            if (error < best || i == 0)
              {
                best = error;
                best_limit = limit;
                scale = grid->scales[at];
                zero = grid->symmetric ? 0 : grid->zeros[at];
              }
          }
        grid->scales[at] = scale;
        if (!grid->symmetric)
          grid->zeros[at] = zero;
        round_group (k, r, from, len, w, best_limit, e);
      }
}

/* The scaled weight, clipped and packed. */
static SwageWeight *
clip_weight (const SwageStorage *storage, const float *h, const double *s, int64_t n_out, int64_t n_in,
             const float *values, SwageJob *job, GError **error)
{
  enum
  {
    BAND = 64
  };
  g_auto (SwageIntGrid) grid;
  g_autofree float *scaled = g_new (float, (gsize)(n_in * n_in));
  for (int64_t i = 0; i < n_in; i++)
    for (int64_t j = 0; j < n_in; j++)
      scaled[i * n_in + j] = (float)((double)h[i * n_in + j] / (s[i] * s[j]));

  swage_int_grid_init (&grid, n_out, n_in, storage->bits, storage->group_size, storage->symmetric);
  Clipping k = { .h = scaled, .n_in = n_in, .values = values, .grid = &grid };
  for (k.first = 0; k.first < n_out; k.first += BAND)
    {
      int64_t rows = MIN (BAND, n_out - k.first);
      swage_pool_run (rows, 1, clip_rows, &k);
      if (!swage_job_step (job, (double)(k.first + rows), (double)n_out, error))
        return NULL;
    }
  return swage_int_grid_take_weight (&grid);
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const AwqParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  bool clips = p->clip && storage.type == SWAGE_TYPE_INT && context->role != SWAGE_ROLE_ATTN_Q
               && context->role != SWAGE_ROLE_ATTN_K && context->role != SWAGE_ROLE_ATTN_QKV;

  if (!swage_act_check_stats (context, "awq", in->n_in, SWAGE_NEED_COL_ABS | SWAGE_NEED_HESSIAN, error))
    return NULL;
  g_autofree float *h = swage_act_get_hessian (context->stats);
  swage_job_push (job, 0.7, NULL);
  g_autofree double *s = search_scale (p, context, h, in->n_in, job, error);
  swage_job_pop (job);
  swage_job_begin (job, 1, NULL);
  g_autofree float *values = s != NULL ? swage_act_decode (in->weight, context->layer, job, error) : NULL;
  if (values == NULL)
    return NULL;
  SwageActResult result = { .s = s, .storage = storage };
  if (clips)
    result.storage = (SwageStorage){ .type = SWAGE_TYPE_F32 };
  g_autoptr (SwageLinear) out = swage_act_finish (in, result, values, job, error);
  if (out == NULL || !clips)
    return g_steal_pointer (&out);
  SwageWeight *weight = clip_weight (&storage, h, s, in->n_out, in->n_in, values, job, error);
  if (weight == NULL)
    return NULL;
  swage_linear_set_weight (out, weight);
  return g_steal_pointer (&out);
}

const SwageMethod swage_method_awq = {
  .id = "awq",
  .version = 1,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("AWQ"),
  .summary
  = N_ ("Scales the weights that meet large inputs up before rounding, as far as a search on the calibration "
        "text "
        "finds best, and clips each group. For 3 and 4 bits; the scales cost nothing where a norm or a layer "
        "before can take them up."),
  .paper = "Lin et al. 2023, arXiv 2306.00978",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM,
  .needs = SWAGE_NEED_COL_ABS | SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (AwqParams),
  .cost = cost,
  .apply = apply,
  .joins = joins,
};
