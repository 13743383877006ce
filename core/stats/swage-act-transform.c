/* SPDX-License-Identifier: MIT
 *
 * Statistics of T·x from those of x, so that a step after one that transforms the input (SmoothQuant, then
 * GPTQ) sees what its layer will see, and one calibration pass serves the whole recipe.
 *
 * With y = diag(s)·x + t and n tokens:
 *
 *   Σ y      = s Σx + n t
 *   Σ y²     = s² Σx² + 2 s t Σx + n t²
 *   Σ y yᵀ   = S (Σ x xᵀ) S + (S Σx) tᵀ + t (S Σx)ᵀ + n t tᵀ
 *
 * A permutation reorders all of them. A rotation R makes R (Σ y yᵀ) Rᵀ of the matrix; per-channel numbers
 * have no such rule and are then those of the rotated samples, squares the matrix's diagonal.
 */
#include "core/stats/swage-stats.h"

#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/linear/swage-linear.h"

/* row ← R·row for R = Q1 ⊗ Q2: element (a, b) of the row seen as n1 × n2 becomes Σ Q1[a,c] Q2[b,d] row(c,d).
 */
static void
rotate (const SwageTransform *t, int64_t n, double *row, double *tmp)
{
  int64_t n2 = t->q2 != NULL ? t->q2_n : n / MAX (1, t->q1_n), n1 = n / n2;

  if (t->q2 != NULL)
    {
      for (int64_t c = 0; c < n1; c++)
        for (int64_t b = 0; b < n2; b++)
          {
            double sum = 0;
            for (int64_t d = 0; d < n2; d++)
              sum += (double)t->q2[b * n2 + d] * row[c * n2 + d];
            tmp[c * n2 + b] = sum;
          }
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
  if (t->q1 != NULL)
    {
      memset (tmp, 0, (size_t)n * sizeof (double));
      for (int64_t a = 0; a < n1; a++)
        for (int64_t c = 0; c < n1; c++)
          for (int64_t b = 0; b < n2; b++)
            tmp[a * n2 + b] += (double)t->q1[a * n1 + c] * row[c * n2 + b];
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
}

typedef struct
{
  const SwageActStats *from;
  SwageActStats *to;
  const SwageTransform *t;
  double *matrix; /* rows to rotate */
} Work;

static double
scale_of (const SwageTransform *t, int64_t c)
{
  return t->scale != NULL ? (double)t->scale[c] : 1;
}

static double
shift_of (const SwageTransform *t, int64_t c)
{
  return t->shift != NULL ? (double)t->shift[c] : 0;
}

static void
transform_samples (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Work *w = user_data;
  const SwageTransform *t = w->t;
  int64_t n = w->from->n_in;
  g_autofree double *row = g_new (double, (gsize)n);
  g_autofree double *tmp = g_new (double, (gsize)n);

  for (int64_t i = begin; i < end; i++)
    {
      const float *x = w->from->samples + i * n;
      for (int64_t j = 0; j < n; j++)
        {
          int64_t c = t->permutation != NULL ? t->permutation[j] : j;
          row[j] = (double)x[c] * scale_of (t, c) + shift_of (t, c);
        }
      if (t->q1 != NULL || t->q2 != NULL)
        rotate (t, n, row, tmp);
      for (int64_t j = 0; j < n; j++)
        w->to->samples[i * n + j] = (float)row[j];
    }
}

static void
transform_hessian (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Work *w = user_data;
  const SwageActStats *from = w->from;
  const SwageTransform *t = w->t;
  int64_t n = from->n_in;

  for (int64_t i = begin; i < end; i++)
    {
      int64_t a = t->permutation != NULL ? t->permutation[i] : i;
      for (int64_t j = 0; j < n; j++)
        {
          int64_t b = t->permutation != NULL ? t->permutation[j] : j;
          double v = from->hessian[a * n + b] * scale_of (t, a) * scale_of (t, b);
          if (t->shift != NULL)
            v += scale_of (t, a) * from->col_sum[a] * shift_of (t, b)
                 + scale_of (t, b) * from->col_sum[b] * shift_of (t, a)
                 + (double)from->n_tokens * shift_of (t, a) * shift_of (t, b);
          w->to->hessian[i * n + j] = v;
        }
    }
}

static void
rotate_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Work *w = user_data;
  int64_t n = w->from->n_in;
  g_autofree double *tmp = g_new (double, (gsize)n);

  for (int64_t i = begin; i < end; i++)
    rotate (w->t, n, w->matrix + i * n, tmp);
}

/* H ← R H Rᵀ: the rows, then, H being symmetric, the rows of what that gives turned over. */
static void
rotate_hessian (Work *w)
{
  int64_t n = w->from->n_in;

  w->matrix = w->to->hessian;
  for (int side = 0; side < 2; side++)
    {
      swage_pool_run (n, 8, rotate_rows, w);
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
          {
            double v = w->matrix[i * n + j];
            w->matrix[i * n + j] = w->matrix[j * n + i];
            w->matrix[j * n + i] = v;
          }
    }
}

/* Per-channel numbers where there is no rotation. */
static void
transform_channels (const SwageActStats *from, SwageActStats *to, const SwageTransform *t)
{
  for (int64_t j = 0; j < from->n_in; j++)
    {
      int64_t c = t->permutation != NULL ? t->permutation[j] : j;
      double s = scale_of (t, c), z = shift_of (t, c), n = (double)from->n_tokens;
      double sum = from->col_sum != NULL ? from->col_sum[c] : 0;
      double lo = from->col_min != NULL ? s * (double)from->col_min[c] + z : 0;
      double hi = from->col_max != NULL ? s * (double)from->col_max[c] + z : 0;
      if (to->col_squares != NULL)
        to->col_squares[j] = s * s * from->col_squares[c] + 2 * s * z * sum + n * z * z;
      if (to->col_absmax != NULL)
        to->col_absmax[j]
            = (float)(z != 0 ? fmax (fabs (lo), fabs (hi)) : fabs (s) * (double)from->col_absmax[c]);
      if (to->col_sum != NULL)
        {
          to->col_sum[j] = s * sum + n * z;
          to->col_min[j] = (float)fmin (lo, hi);
          to->col_max[j] = (float)fmax (lo, hi);
        }
      if (to->col_abs != NULL)
        to->col_abs[j] = fabs (s) * from->col_abs[c];
    }
}

/* Per-channel numbers of the samples, sums and squares as if they stood for all tokens. */
static void
measure_samples (SwageActStats *to)
{
  double share = to->n_samples > 0 ? (double)to->n_tokens / (double)to->n_samples : 0;

  for (int64_t j = 0; j < to->n_in; j++)
    {
      double squares = 0, sum = 0, abs = 0, lo = INFINITY, hi = -INFINITY;
      for (int64_t i = 0; i < to->n_samples; i++)
        {
          double v = (double)to->samples[i * to->n_in + j];
          squares += v * v;
          sum += v;
          abs += fabs (v);
          lo = fmin (lo, v);
          hi = fmax (hi, v);
        }
      lo = to->n_samples > 0 ? lo : 0;
      hi = to->n_samples > 0 ? hi : 0;
      if (to->col_squares != NULL)
        to->col_squares[j] = squares * share;
      if (to->col_absmax != NULL)
        to->col_absmax[j] = (float)fmax (fabs (lo), fabs (hi));
      if (to->col_sum != NULL)
        {
          to->col_sum[j] = sum * share;
          to->col_min[j] = (float)lo;
          to->col_max[j] = (float)hi;
        }
      if (to->col_abs != NULL)
        to->col_abs[j] = abs * share;
    }
}

SwageActStats *
swage_act_stats_new_transformed (const SwageActStats *stats, const SwageTransform *t)
{
  bool rotates = t->q1 != NULL || t->q2 != NULL, sums = t->shift == NULL || stats->col_sum != NULL;
  SwageNeeds needs = stats->needs & ~(SwageNeeds)SWAGE_NEED_SUMMARY;

  if (!sums)
    needs &= ~(SwageNeeds)(SWAGE_NEED_HESSIAN | SWAGE_NEED_COL_SQUARES | SWAGE_NEED_COL_ABSMAX);
  if (t->shift != NULL && !rotates && stats->samples == NULL)
    needs &= ~(SwageNeeds)SWAGE_NEED_COL_ABS;
  if (rotates && stats->samples == NULL)
    needs &= SWAGE_NEED_HESSIAN | (stats->hessian != NULL && sums ? SWAGE_NEED_COL_SQUARES : 0);

  SwageActStats *to = swage_act_stats_new (stats->n_in, needs, 0, 0);
  Work w = { .from = stats, .to = to, .t = t };
  int64_t n = stats->n_in;
  to->n_tokens = stats->n_tokens;
  to->n_nonfinite = stats->n_nonfinite;
  if (to->samples != NULL)
    {
      to->n_samples = stats->n_samples;
      to->sample_stride = stats->sample_stride;
      swage_pool_run (to->n_samples, 8, transform_samples, &w);
    }
  if (to->hessian != NULL)
    {
      swage_pool_run (n, 16, transform_hessian, &w);
      if (rotates)
        rotate_hessian (&w);
    }
  if ((rotates || (t->shift != NULL && to->col_abs != NULL)) && to->samples != NULL)
    measure_samples (to);
  if (!rotates)
    {
      double *abs = t->shift != NULL ? g_steal_pointer (&to->col_abs) : NULL; /* those of the samples */
      transform_channels (stats, to, t);
      to->col_abs = abs != NULL ? abs : to->col_abs;
    }
  else if (to->hessian != NULL && to->col_squares != NULL)
    for (int64_t j = 0; j < n; j++)
      to->col_squares[j] = to->hessian[j * n + j];
  return to;
}
