/* SPDX-License-Identifier: MIT
 *
 * QuantEase: layer-wise quantization by cyclic coordinate descent (Behdin, Acharya, Gupta et al. 2023, arXiv
 * 2309.01885). With Σ = X·Xᵀ the problem
 *
 *   min over Ŵ on the grid of  f (Ŵ) = ‖W·X − Ŵ·X‖²
 *
 * is solved one column at a time, all others held, for all rows at once (lemma 1, algorithm 1):
 *
 *   Ŵ_:j ← round (β̃_j),     β̃_j = Ŵ_:j + [(W − Ŵ)·Σ]_:j / Σ_jj
 *
 * over and over. From Ŵ = W on; one pass of three leaves β̃ unrounded, which lets the iteration leave a bad
 * corner, and the last ones round (section 3.2). With `start=feedback` the first Ŵ is what GPTQ makes on the
 * same grid, and all passes round, so f only falls from there. What the descent ends with is kept where it is
 * better than plain rounding, row by row.
 *
 * The outlier-aware variant (section 4) looks for Ŵ + Ĥ with at most s weights in Ĥ, at full precision. The
 * s largest weights begin there and leave the range of the grid; then steps of descent on Ŵ for the target W
 * − Ĥ alternate with projected gradient steps of length 1/L, L the largest eigenvalue of Σ (algorithm 3):
 *
 *   Ĥ ← the s largest of  Ĥ + (W − Ŵ − Ĥ)·Σ / L
 *
 * `structured` outliers are whole columns. Both become the layer's sparse part S.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-columns.h"
#include "core/method/swage-int-grid.h"
#include "core/method/swage-prune.h"
#include "core/method/swage-second-order.h"

#define BLOCK 128 /* columns that corrections are passed on from together */

/* Descent passes between two steps of Ĥ. */
#define PASSES_PER_STEP 3

typedef struct
{
  int bits, group_size;
  bool symmetric;
  int start, passes;
  double outliers;
  bool structured;
  double damp;
} QuanteaseParams;

enum
{
  START_WEIGHTS,
  START_FEEDBACK
};
static const char *const starts[] = { "weights", "feedback", NULL };

static const SwageParam params[] = {
  SWAGE_INT (QuanteaseParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."),
             .unit = N_ ("bits")),
  SWAGE_INT (QuanteaseParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256),
  SWAGE_BOOL (QuanteaseParams, symmetric, false, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side.")),
  SWAGE_CHOICE (
      QuanteaseParams, start, START_WEIGHTS, starts, N_ ("Start"),
      N_ ("Where the descent begins: at the weights themselves, or at what one pass of rounding with "
          "feedback (GPTQ) makes of them, and then never gets worse than that.")),
  SWAGE_INT (QuanteaseParams, passes, 25, 1, 200, N_ ("Passes"),
             N_ ("How often the descent goes over all columns."), .soft_min = 5, .soft_max = 50),
  SWAGE_DOUBLE (QuanteaseParams, outliers, 0, 0, 0.5, N_ ("Outliers"),
                N_ ("Share of the weights that are kept apart as half floats; 0.01 is what the paper takes."),
                .soft_max = 0.05),
  SWAGE_BOOL (QuanteaseParams, structured, false, N_ ("Whole columns"),
              N_ ("Outliers are whole input channels, which cost two bytes a weight instead of six.")),
  SWAGE_DOUBLE (QuanteaseParams, damp, 0, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean second moment that is added to each channel's own; more trusts the "
                    "calibration text less."),
                .soft_max = 0.2),
  { 0 },
};

/* Weights, or columns when structured. */
static int64_t
count_outliers (const QuanteaseParams *p, int64_t rows, int64_t n)
{
  return (int64_t)floor (p->outliers * (double)(p->structured ? n : rows * n) + 0.5);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const QuanteaseParams *p = data;
  int64_t n_outliers = count_outliers (p, in->n_out, in->n_in);

  out->weight = (SwageStorage){
    .type = SWAGE_TYPE_INT, .bits = p->bits, .group_size = p->group_size, .symmetric = p->symmetric
  };
  out->parts &= ~SWAGE_PART_DENSE;
  out->parts |= SWAGE_PART_PACKED;
  if (n_outliers > 0)
    {
      out->parts |= SWAGE_PART_SPARSE;
      out->n_sparse = p->structured ? n_outliers * in->n_out : n_outliers;
      out->sparse_columns = p->structured ? n_outliers : 0;
      out->sparse_type = SWAGE_TYPE_F16;
    }
  return true;
}

typedef struct
{
  const QuanteaseParams *p;
  int64_t rows, n, n_outliers;
  float *w;      /* the layer's */
  float *target; /* w − Ĥ; w itself where there are no outliers */
  float *w_hat;
  float *h_hat; /* Ĥ, or NULL */
  float *gradient;
  bool *free_pass; /* by slice: this pass does not round */
  const float *moments;
  const double *pivot;
  double lipschitz;
  int passes_done, passes_all;
  SwageIntGrid grid;
} Quantease;

static void
clear (Quantease *v)
{
  if (v->target != v->w)
    g_free (v->target);
  g_free (v->w);
  g_free (v->w_hat);
  g_free (v->h_hat);
  g_free (v->gradient);
  g_free (v->free_pass);
  swage_int_grid_clear (&v->grid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Quantease, clear)

/* Scales for what is left of the weights without the outliers; an error counts by what no other
 * column can make up for. */
static void
choose_scales (int64_t begin, int64_t end, int worker, void *user_data)
{
  Quantease *v = user_data;
  g_autofree float *importance = g_new (float, (gsize)v->n);

  for (int64_t j = 0; j < v->n; j++)
    importance[j] = (float)(v->pivot[j] * v->pivot[j]);
  for (int64_t r = begin; r < end; r++)
    for (int64_t g = 0; g < v->grid.groups; g++)
      swage_int_grid_choose (&v->grid, r, g, v->target + r * v->n + g * v->p->group_size,
                             importance + g * v->p->group_size);
}

/* ---- outliers ---- */

/* Ĥ ← the largest of `all`, everything else 0: single values, or columns by their norm. */
static void
project (Quantease *v, const float *all)
{
  int64_t total = v->rows * v->n, k = v->n_outliers;

  if (v->p->structured)
    {
      g_autofree double *norm = g_new0 (double, (gsize)v->n);
      g_autofree uint64_t *scratch = g_new (uint64_t, (gsize)v->n);
      g_autofree float *keep = g_new (float, (gsize)v->n);
      for (int64_t j = 0; j < v->n; j++)
        keep[j] = 1;
      for (int64_t i = 0; i < total; i++)
        norm[i % v->n] += (double)all[i] * (double)all[i];
      swage_prune_row (keep, norm, v->n, v->n - k, scratch);
      for (int64_t i = 0; i < total; i++)
        v->h_hat[i] = all[i] * keep[i % v->n];
      return;
    }
  g_autofree double *size = g_new (double, (gsize)total);
  g_autofree uint64_t *scratch = g_new (uint64_t, (gsize)total);
  for (int64_t i = 0; i < total; i++)
    {
      size[i] = fabs ((double)all[i]);
      v->h_hat[i] = all[i];
    }
  swage_prune_row (v->h_hat, size, total, total - k, scratch);
}

static void
set_target (Quantease *v)
{
  for (int64_t i = 0; i < v->rows * v->n; i++)
    v->target[i] = v->w[i] - v->h_hat[i];
}

/* The largest eigenvalue of Σ, and a little more, by the power method. */
static double
find_lipschitz (const float *moments, int64_t n)
{
  g_autofree double *x = g_new (double, (gsize)n);
  g_autofree double *y = g_new (double, (gsize)n);
  double value = 0;

  for (int64_t i = 0; i < n; i++)
    x[i] = 1 + 0.5 * sin ((double)i);
  for (int step = 0; step < 30; step++)
    {
      double norm = 0;
      for (int64_t i = 0; i < n; i++)
        norm += x[i] * x[i];
      norm = sqrt (norm);
      if (!(norm > 0))
        return 1;
      value = norm;
      for (int64_t i = 0; i < n; i++)
        {
          double sum = 0;
          for (int64_t j = 0; j < n; j++)
            sum += (double)moments[i * n + j] * x[j] / norm;
          y[i] = sum;
        }
      memcpy (x, y, (gsize)n * sizeof (double));
    }
  return 1.05 * value;
}

/* Ĥ + (W − Ŵ − Ĥ)·Σ/L, projected. */
static bool
step_outliers (Quantease *v, SwageJob *job, GError **error)
{
  int64_t total = v->rows * v->n;
  g_autofree float *rest = g_new (float, (gsize)total);

  for (int64_t i = 0; i < total; i++)
    {
      rest[i] = v->target[i] - v->w_hat[i];
      v->gradient[i] = v->h_hat[i];
    }
  double done = 0.2 + 0.8 * v->passes_done / v->passes_all;
  if (!swage_columns_multiply (rest, v->moments, v->gradient, v->rows, v->n, v->n, (float)(1 / v->lipschitz),
                               1, done, done, job, error))
    return false;
  project (v, v->gradient);
  set_target (v);
  return true;
}

static SwageSparse *
take_outliers (Quantease *v)
{
  SwageSparse *s = g_new0 (SwageSparse, 1);
  int64_t n_values = v->p->structured ? v->n_outliers * v->rows : v->n_outliers, at = 0;
  int64_t n_columns = v->p->structured ? v->n_outliers : n_values;
  uint16_t *values = g_new0 (uint16_t, (gsize)MAX (n_values, 1));
  g_autofree bool *has = g_new0 (bool, (gsize)v->n);

  *s = (SwageSparse){ .rows = v->rows,
                      .cols = v->n,
                      .n_values = n_values,
                      .row_start = v->p->structured ? NULL : g_new0 (int64_t, (gsize)v->rows + 1),
                      .column = g_new0 (uint32_t, (gsize)MAX (n_columns, 1)),
                      .type = SWAGE_TYPE_F16,
                      .values = values };
  for (int64_t i = 0; i < v->rows * v->n; i++)
    has[i % v->n] |= v->h_hat[i] != 0;
  if (v->p->structured) /* columns of zeros fill up */
    {
      int64_t n_has = 0;
      for (int64_t j = 0; j < v->n; j++)
        n_has += has[j];
      for (int64_t j = 0; j < v->n && n_has < n_columns; j++)
        if (!has[j])
          {
            has[j] = true;
            n_has++;
          }
      for (int64_t j = 0; j < v->n; j++)
        if (has[j])
          s->column[at++] = (uint32_t)j;
      for (int64_t i = 0; i < n_values; i++)
        values[i] = swage_f32_to_f16 (
            CLAMP (v->h_hat[i / n_columns * v->n + (int64_t)s->column[i % n_columns]], -65504.0f, 65504.0f));
      return s;
    }
  int64_t n_zero = n_values; /* places left that hold zeros, if fewer weights than wanted are not 0 */
  for (int64_t i = 0; i < v->rows * v->n; i++)
    n_zero -= v->h_hat[i] != 0;
  for (int64_t r = 0; r < v->rows; r++)
    {
      s->row_start[r] = at;
      for (int64_t j = 0; j < v->n; j++)
        {
          float value = v->h_hat[r * v->n + j];
          if (value == 0 && n_zero-- <= 0)
            continue;
          s->column[at] = (uint32_t)j;
          values[at++] = swage_f32_to_f16 (CLAMP (value, -65504.0f, 65504.0f));
        }
    }
  s->row_start[v->rows] = at;
  return s;
}

/* ---- descent ---- */

static float
round_weight (int64_t row, int64_t column, float w, void *user_data)
{
  Quantease *v = user_data;

  if (v->free_pass[row])
    return w;
  return swage_int_grid_round (&v->grid, row, column, w);
}

static void
begin_pass (int64_t r0, int64_t r1, int pass, void *user_data)
{
  Quantease *v = user_data;
  int number = v->passes_done + pass;

  /* one of three, but not where the passes that are left could not make up for it */
  for (int64_t r = r0; r < r1; r++)
    v->free_pass[r] = v->p->start == START_WEIGHTS && number % 3 == 1 && number < v->passes_all - 2;
}

static bool
descend (Quantease *v, int n_passes, SwageJob *job, GError **error)
{
  double all = v->passes_all;
  SwageColumnDescent descent = { .w = v->target,
                                 .w_hat = v->w_hat,
                                 .rows = v->rows,
                                 .n = v->n,
                                 .h = v->moments,
                                 .round = round_weight,
                                 .begin_pass = begin_pass,
                                 .user_data = v,
                                 .n_passes = n_passes,
                                 .from = 0.2 + 0.8 * v->passes_done / all,
                                 .upto = 0.2 + 0.8 * (v->passes_done + n_passes) / all,
                                 .job = job };

  bool good = swage_columns_descend (&descent, error);
  v->passes_done += n_passes;
  return good;
}

/* One pass with feedback from column to column, on the grid that is there. */
static bool
begin_with_feedback (Quantease *v, const SwageSecondOrder *s, SwageJob *job, GError **error)
{
  SwageColumnSolve solve = { .w = v->w_hat,
                             .rows = v->rows,
                             .n = v->n,
                             .second = s,
                             .block = BLOCK,
                             .round = round_weight,
                             .user_data = v,
                             .from = 0.15,
                             .upto = 0.2,
                             .job = job };
  return swage_columns_solve (&solve, error);
}

static bool
run (Quantease *v, SwageJob *job, GError **error)
{
  int left = v->passes_all;

  if (v->n_outliers == 0)
    return descend (v, left, job, error);
  while (left > 0)
    {
      int n = MIN (left, PASSES_PER_STEP);
      if (left - n < PASSES_PER_STEP)
        n = left;
      if (!descend (v, n, job, error))
        return false;
      left -= n;
      if (left > 0 && !step_outliers (v, job, error))
        return false;
    }
  return true;
}

/* Rows that plain rounding of the target would leave with a smaller error get that. */
static void
keep_better (int64_t begin, int64_t end, int worker, void *user_data)
{
  Quantease *v = user_data;
  int64_t n = v->n;
  g_autofree float *plain = g_new (float, (gsize)n);
  g_autofree uint8_t *codes = g_malloc ((gsize)n);

  for (int64_t r = begin; r < end; r++)
    {
      const float *target = v->target + r * n, *w_hat = v->w_hat + r * n;
      double errors[2] = { 0 };
      memcpy (codes, v->grid.codes + r * n, (gsize)n);
      for (int64_t j = 0; j < n; j++)
        plain[j] = swage_int_grid_round (&v->grid, r, j, target[j]);
      for (int64_t i = 0; i < n; i++)
        {
          double a = 0, b = 0;
          for (int64_t j = 0; j < n; j++)
            {
              a += (double)v->moments[i * n + j] * (double)(target[j] - w_hat[j]);
              b += (double)v->moments[i * n + j] * (double)(target[j] - plain[j]);
            }
          errors[0] += a * (double)(target[i] - w_hat[i]);
          errors[1] += b * (double)(target[i] - plain[i]);
        }
      if (errors[0] <= errors[1])
        memcpy (v->grid.codes + r * n, codes, (gsize)n);
    }
}

static bool
init (Quantease *v, SwageJob *job, GError **error)
{
  const QuanteaseParams *p = v->p;
  gsize total = (gsize)(v->rows * v->n);

  v->target = v->w;
  v->free_pass = g_new0 (bool, (gsize)v->rows);
  swage_int_grid_init (&v->grid, v->rows, v->n, p->bits, p->group_size, p->symmetric);
  if (v->n_outliers > 0)
    {
      v->h_hat = g_new (float, total);
      v->gradient = g_new (float, total);
      v->target = g_new (float, total);
      v->lipschitz = find_lipschitz (v->moments, v->n);
      project (v, v->w);
      set_target (v);
    }
  swage_pool_run (v->rows, 16, choose_scales, v);
  v->w_hat = g_memdup2 (v->target, total * sizeof (float));
  return swage_job_step (job, 0.15, 1, error);
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const QuanteaseParams *p = data;
  bool feedback = p->start == START_FEEDBACK;
  SwageSecondOrderOptions options
      = { .layer = context->layer,
          .method = "quantease",
          .factors = SWAGE_FACTOR_HESSIAN | (feedback ? SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK : 0),
          .band = swage_columns_get_panel (in->n_in, BLOCK),
          .damping = p->damp,
          .upto = 0.15 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (context->stats, in->n_in, &options, job, error);
  if (s == NULL)
    return NULL;

  g_auto (Quantease) v = { .p = p,
                           .rows = in->n_out,
                           .n = in->n_in,
                           .n_outliers = count_outliers (p, in->n_out, in->n_in),
                           .moments = s->h,
                           .pivot = s->pivot,
                           .passes_all = p->passes };
  v.w = swage_columns_load (in->weight, NULL, 65504.0f, _ ("scales and outliers are stored as half floats"),
                            context->layer, NULL, error);
  if (v.w == NULL)
    return NULL;
  if (!init (&v, job, error) || (feedback && !begin_with_feedback (&v, s, job, error))
      || !run (&v, job, error))
    return NULL;
  swage_pool_run (v.rows, 4, keep_better, &v);
  if (!swage_job_step (job, 1, 1, error))
    return NULL;

  SwageLinear *out = swage_linear_dup (in);
  if (v.n_outliers > 0)
    out->sparse = take_outliers (&v);
  swage_linear_set_weight (out, swage_int_grid_take_weight (&v.grid));
  return out;
}

const SwageMethod swage_method_quantease = {
  .id = "quantease",
  .version = 2,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("QuantEase"),
  .summary
  = N_ ("Rounds to integers by going over all columns again and again, each time to the best value given "
        "all others. Slower than GPTQ with a smaller error; with outliers kept apart down to 3 bits."),
  .paper = "Behdin et al. 2023, arXiv 2309.01885",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_SPARSE,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (QuanteaseParams),
  .cost = cost,
  .apply = apply,
};
