/* SPDX-License-Identifier: MIT
 *
 * With e = w − ŵ and g = e·H the error of a row is e·g. Adding δ to ŵ along a direction a (over columns)
 * changes it by
 *
 *   δ²·(a·H·aᵀ) − 2·δ·(a·g)
 *
 * so the best step is a·g / a·H·aᵀ, and among the few values that a format allows near it the best is found
 * by evaluating that. A code's direction is one column. A sub-block's integer scale has the direction of its
 * levels, its minimum that of ones, and the two are solved together; a super-block's half has the levels
 * times the integer scales. (QuantEase, arXiv 2309.01885, descends over codes so; that scales take part is
 * what two-level formats add.)
 *
 * Columns are worked on in chunks of CHUNK: within one, g follows every step; g of all other columns follows
 * once, as a product with the sum of the chunk's steps.
 */
#include "core/method/swage-feedback.h"

#include <math.h>
#include <string.h>

#define ROWS SWAGE_TARGET_ROWS
#define CHUNK 256
#define PANEL 32

typedef struct
{
  const SwageRounder *r;
  SwageTarget *t;
  int64_t n, from, upto; /* columns of the chunk */
  float *e, *g;          /* n × ROWS */
  float *before;         /* CHUNK × ROWS: e when the chunk began */
  float *level, *along;  /* CHUNK × ROWS: a direction and its product with H */
  float *old;            /* CHUNK × ROWS: what codes meant */
  bool changed;
} Descent;

static const float *
h_at (const Descent *d, int64_t i, int64_t j)
{
  return d->r->h + i * d->n + j;
}

/* g of columns [j0, j1) after e of columns [c0, c0 + n) has grown by `de`, n × ROWS. */
static void
spread (const Descent *d, const float *de, int64_t c0, int64_t n, int64_t j0, int64_t j1)
{
  const int rows = ROWS, depth = (int)n, width = (int)(j1 - j0), stride = (int)d->n;
  const float one = 1;

  if (width > 0)
    d->r->blas->sgemm ("N", "T", &rows, &width, &depth, &one, de, &rows, h_at (d, c0, j0), &stride, &one,
                       d->g + j0 * ROWS, &rows);
}

/* e of a column grows by `de`; whether it did. */
static bool
add_error (Descent *d, int64_t col, const float *de)
{
  float *restrict e = d->e + col * ROWS;
  bool moved = false;

  for (int i = 0; i < ROWS; i++)
    {
      moved |= de[i] < 0 || de[i] > 0;
      e[i] += de[i];
    }
  d->changed |= moved;
  return moved;
}

/* ---- codes ---- */

/* The best code of one column for every lane; g follows within columns [from, upto), `de` is how e grew. */
static void
step_code (Descent *d, int64_t col, int64_t from, int64_t upto, float *de)
{
  const float inverse = 1 / *h_at (d, col, col);
  const float *g = d->g + col * ROWS;
  float old[ROWS], best[ROWS];

  swage_target_decode (d->t, col, old);
  for (int i = 0; i < ROWS; i++)
    best[i] = old[i] + g[i] * inverse;
  swage_target_round (d->t, col, best, de);
  for (int i = 0; i < ROWS; i++)
    de[i] = old[i] - de[i];
  if (!add_error (d, col, de))
    return;
  for (int64_t k = from; k < upto; k++)
    {
      const float factor = *h_at (d, col, k);
      float *restrict to = d->g + k * ROWS;
      for (int i = 0; i < ROWS; i++)
        to[i] += de[i] * factor;
    }
}

/* The codes of the chunk, panel by panel: the other panels follow when one is done. */
static void
step_codes (Descent *d)
{
  float *de = d->level;

  for (int64_t c0 = d->from; c0 < d->upto; c0 += PANEL)
    {
      int64_t end = MIN (c0 + PANEL, d->upto);
      for (int64_t col = c0; col < end; col++)
        step_code (d, col, c0, end, de + (col - c0) * ROWS);
      spread (d, de, c0, end - c0, d->from, c0);
      spread (d, de, c0, end - c0, end, d->upto);
    }
}

/* ---- scales ---- */

/* The error's change over steps along two directions a and b, in double. */
typedef struct
{
  double aa, ab, bb, ag, bg;
} Quadratic;

static double
evaluate (const Quadratic *q, double a, double b)
{
  return a * a * q->aa + 2 * a * b * q->ab + b * b * q->bb - 2 * (a * q->ag + b * q->bg);
}

/* The best step along both, or along a alone where there is no b. */
static void
solve (const Quadratic *q, bool both, double *a, double *b)
{
  double det = q->aa * q->bb - q->ab * q->ab;

  *a = q->aa > 0 ? q->ag / q->aa : 0;
  *b = 0;
  if (both && det > 1e-7 * q->aa * q->bb)
    {
      *a = (q->ag * q->bb - q->bg * q->ab) / det;
      *b = (q->bg * q->aa - q->ag * q->ab) / det;
    }
}

static float
to_half (double x)
{
  return swage_f16_to_f32 (swage_f32_to_f16 ((float)CLAMP (x, -65504, 65504)));
}

/* What codes of columns [c0, c0 + n) mean, kept in `old`. */
static void
remember (Descent *d, int64_t c0, int64_t n)
{
  for (int64_t c = 0; c < n; c++)
    swage_target_decode (d->t, c0 + c, d->old + c * ROWS);
}

/* e and g after scales of these columns have changed. */
static void
follow (Descent *d, int64_t c0, int64_t n)
{
  float *de = d->old;
  bool moved = false;

  for (int64_t c = 0; c < n; c++)
    {
      float new[ROWS];
      swage_target_decode (d->t, c0 + c, new);
      for (int i = 0; i < ROWS; i++)
        de[c * ROWS + i] -= new[i];
      moved |= add_error (d, c0 + c, de + c * ROWS);
    }
  if (moved)
    spread (d, de, c0, n, d->from, d->upto);
}

/* along ← level·H over columns [c0, c0 + n). */
static void
multiply_direction (Descent *d, int64_t c0, int64_t n)
{
  const int rows = ROWS, size = (int)n, stride = (int)d->n;
  const float one = 1, zero = 0;

  d->r->blas->sgemm ("N", "T", &rows, &size, &size, &one, d->level, &rows, h_at (d, c0, c0), &stride, &zero,
                     d->along, &rows);
}

/* The numbers of `q` for lane i: a is `level`, and b is −weight over the sub-blocks of `sub` columns, weights
 * by sub-block. */
static void
sum_lane (const Descent *d, int i, int64_t c0, int64_t n, int64_t sub, const double *weight,
          const double *h_sums, int n_subs, Quadratic *q)
{
  *q = (Quadratic){ 0 };
  for (int s = 0; s < n_subs; s++)
    {
      double along = 0, g_sum = 0;
      for (int64_t c = s * sub; c < MIN (n, (s + 1) * sub); c++)
        {
          double a = (double)d->level[c * ROWS + i], t = (double)d->along[c * ROWS + i];
          double g = (double)d->g[(c0 + c) * ROWS + i];
          q->aa += a * t;
          q->ag += a * g;
          along += t;
          g_sum += g;
        }
      q->ab -= weight[s] * along;
      q->bg -= weight[s] * g_sum;
      for (int s2 = 0; s2 < n_subs; s2++)
        q->bb += weight[s] * weight[s2] * h_sums[s * n_subs + s2];
    }
}

/* Σ of H between sub-blocks. */
static void
sum_h (const Descent *d, int64_t c0, int64_t n, int64_t sub, int n_subs, double *sums)
{
  memset (sums, 0, (size_t)(n_subs * n_subs) * sizeof (double));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      sums[i / sub * n_subs + j / sub] += (double)*h_at (d, c0 + i, c0 + j);
}

/* The integer scales of sub-block s of a unit. */
static void
step_integers (Descent *d, int64_t unit, int s)
{
  SwageTarget *t = d->t;
  const SwageGridInfo *info = &t->info;
  const int64_t c0 = unit * t->unit + s * t->sub, n = t->sub;
  const double ones = 1;
  double h_sum;

  remember (d, c0, n);
  for (int64_t c = 0; c < n; c++)
    swage_target_get_levels (t, c0 + c, d->level + c * ROWS);
  multiply_direction (d, c0, n);
  sum_h (d, c0, n, n, 1, &h_sum);
  for (int i = 0; i < ROWS; i++)
    {
      SwageGrid *grid = &t->grids[unit * ROWS + i];
      const float scale = grid->d * (float)grid->k[s], min = grid->dm * (float)grid->km[s];
      const int k_old = grid->k[s], km_old = grid->km[s];
      Quadratic q;
      double a, b, least = 0;

      sum_lane (d, i, c0, n, n, &ones, &h_sum, 1, &q);
      bool with_min = info->has_min && grid->dm > 0;
      solve (&q, with_min, &a, &b);
      if (!(fabsf (grid->d) > 0))
        continue;
      int k_base = (int)CLAMP (rint (((double)scale + a) / (double)grid->d), info->k_lo, info->k_hi);
      int km_base
          = with_min ? (int)CLAMP (rint (((double)min + b) / (double)grid->dm), 0, info->km_hi) : km_old;
      for (int k = MAX (info->k_lo, k_base - 1); k <= MIN (info->k_hi, k_base + 1); k++)
        for (int km = with_min ? MAX (0, km_base - 1) : km_old;
             km <= (with_min ? MIN (info->km_hi, km_base + 1) : km_old); km++)
          {
            double change = evaluate (&q, (double)(grid->d * (float)k) - (double)scale,
                                      (double)(grid->dm * (float)km) - (double)min);
            if (change < least && (k != k_old || km != km_old))
              {
                least = change;
                grid->k[s] = (int16_t)k;
                grid->km[s] = (int16_t)km;
              }
          }
    }
  swage_target_update (t, unit);
  follow (d, c0, n);
}

/* The halves of a unit. */
static void
step_halves (Descent *d, int64_t unit)
{
  SwageTarget *t = d->t;
  const SwageGridInfo *info = &t->info;
  const int64_t c0 = unit * t->unit, n = swage_target_unit_length (t, unit);
  double h_sums[SWAGE_GRID_SUBS * SWAGE_GRID_SUBS];

  remember (d, c0, n);
  for (int64_t c = 0; c < n; c++)
    {
      float *level = d->level + c * ROWS;
      swage_target_get_levels (t, c0 + c, level);
      for (int i = 0; i < ROWS && info->n_subs > 1; i++)
        level[i] *= (float)t->grids[unit * ROWS + i].k[c / t->sub];
    }
  multiply_direction (d, c0, n);
  if (info->has_min)
    sum_h (d, c0, n, t->sub, info->n_subs, h_sums);
  for (int i = 0; i < ROWS; i++)
    {
      SwageGrid *grid = &t->grids[unit * ROWS + i];
      double weight[SWAGE_GRID_SUBS], a, b;
      Quadratic q;

      for (int s = 0; s < info->n_subs; s++)
        weight[s] = grid->km[s];
      sum_lane (d, i, c0, n, t->sub, weight, h_sums, info->has_min ? info->n_subs : 0, &q);
      if (!info->has_min)
        for (int64_t c = 0; c < n; c++)
          {
            double level = (double)d->level[c * ROWS + i];
            q.aa += level * (double)d->along[c * ROWS + i];
            q.ag += level * (double)d->g[(c0 + c) * ROWS + i];
          }
      solve (&q, info->has_min, &a, &b);
      float half = to_half ((double)grid->d + a), half_min = to_half ((double)grid->dm + b);
      if (info->has_min && !info->min_negative && (half < 0 || half_min < 0))
        continue;
      if (evaluate (&q, (double)half - (double)grid->d, (double)half_min - (double)grid->dm) < 0)
        {
          grid->d = half;
          grid->dm = half_min;
        }
    }
  swage_target_update (t, unit);
  follow (d, c0, n);
}

static void
refine_scales (Descent *d)
{
  const SwageTarget *t = d->t;

  for (int64_t u = d->from / t->unit; u < t->n_units && u * t->unit < d->upto; u++)
    {
      if (u * t->unit < d->from || u * t->unit + swage_target_unit_length (t, u) > d->upto)
        continue; /* a group that is larger than a chunk keeps its scale */
      step_halves (d, u);
      for (int s = 0; s < t->info.n_subs && t->info.k_hi > 1; s++)
        step_integers (d, u, s);
    }
}

/* g of the columns outside the chunk, for all that happened in it. */
static void
pass_on (Descent *d)
{
  const int64_t n = d->upto - d->from;

  for (int64_t i = 0; i < n * ROWS; i++)
    d->before[i] = d->e[d->from * ROWS + i] - d->before[i];
  spread (d, d->before, d->from, n, 0, d->from);
  spread (d, d->before, d->from, n, d->upto, d->n);
}

void
swage_descent_run (const SwageRounder *r, SwageTarget *t, float *e, float *scratch)
{
  Descent d = { .r = r, .t = t, .n = r->n, .e = e, .g = scratch };
  const int rows = ROWS, size = (int)r->n;
  const float one = 1, zero = 0;
  int64_t chunk = t->unit <= CHUNK ? CHUNK / t->unit * t->unit : CHUNK;

  d.before = d.g + r->n * ROWS;
  d.level = d.before + CHUNK * ROWS;
  d.along = d.level + CHUNK * ROWS;
  d.old = d.along + CHUNK * ROWS;
  r->blas->sgemm ("N", "T", &rows, &size, &size, &one, e, &rows, r->h, &size, &zero, d.g, &rows);
  for (int sweep = 0; sweep < r->sweeps; sweep++)
    {
      d.changed = false;
      for (d.from = 0; d.from < d.n; d.from += chunk)
        {
          d.upto = MIN (d.n, d.from + chunk);
          if (!swage_rounder_step (r, d.upto - d.from))
            return;
          memcpy (d.before, e + d.from * ROWS, (size_t)((d.upto - d.from) * ROWS) * sizeof (float));
          if (r->refine)
            refine_scales (&d);
          step_codes (&d);
          pass_on (&d);
        }
      if (!d.changed)
        break;
    }
}
