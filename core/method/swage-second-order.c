/* SPDX-License-Identifier: MIT
 *
 * How. U = R⁻¹ with H = R·Rᵀ would ask for a Cholesky factorization that starts in the lower right corner, so
 * the order is turned round: with J the reversal, J·H·J = L·Lᵀ and R = J·L·J, U = J·L⁻¹·J. That is one
 * factorization (and one triangular inverse for U) where inverting H and factoring the inverse takes three
 * times the work and loses digits twice.
 *
 * The lower triangle is held in square tiles. Tile column k is factored by LAPACK, the tiles below it are
 * multiplied by the inverse of that factor, and all tiles to the right are updated, each by one matrix
 * product on the pool. What a tile's numbers are added from, and in which order, follows from n alone.
 *
 * Large matrices are first tried in single precision, which takes half the time and memory; diagonal tiles
 * are factored and inverted in double all the same. The factor of a Cholesky factorization is exact for a
 * matrix that is off by a modest multiple of ε·√(h_ii·h_jj) (Higham, Accuracy and Stability of Numerical
 * Algorithms, theorem 10.3), so what counts is how small a pivot becomes beside its own diagonal element:
 * where one falls below SINGLE_PIVOT, all is done over in double.
 */
#include "core/method/swage-second-order.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-blas.h"
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"

/* The width of a tile: products of floats need larger ones for the same speed. */
#define TILE_DOUBLE 256
#define TILE_SINGLE 512
/* From this many channels on. */
#define SINGLE_FROM 1024
/* Pivots smaller than this share of their diagonal element have lost too many of a float's 24 bits; those
 * smaller than this share of the mean are near its range. */
#define SINGLE_PIVOT 1e-4
#define SINGLE_RANGE 1e-20

/* Sums in float leave noise of some 1e-7 of a channel's own moment; what a factorization finds below that is
 * noise. */
#define PIVOT_NOISE 1e-8
#define MIN_DAMPING 1e-6

typedef struct
{
  const SwageBlas *blas;
  int64_t n, n_tiles;
  const double *h; /* Σ x xᵀ, by column */
  double factor;   /* 2/tokens */
  double added;    /* to the diagonal */
  const SwageSecondOrder *s;
  bool single;      /* tiles are of floats, and of the matrix in units of its mean diagonal */
  double unit;      /* what the tiles' matrix has been divided by */
  int64_t tile;     /* rows and columns of a tile */
  gsize tile_bytes; /* of one */
  char *tiles;      /* lower block triangle of L; tile (i, j) column-major */
  char *inverses;   /* of the diagonal tiles */
  char *scratch;    /* one tile per worker */
  double *diagonal; /* the diagonal tile at work and its inverse */
  int64_t k;        /* tile column at work */
  int64_t band;     /* of the inverse */
  int64_t reach;    /* tiles below the diagonal that it touches */
  char **columns;   /* scratch per worker: a tile column of L⁻¹ */
  SwageJob *job;
} Factoring;

static void *
get_tile (const Factoring *f, int64_t i, int64_t j)
{
  return f->tiles + (gsize)(i * (i + 1) / 2 + j) * f->tile_bytes;
}

static void *
get_inverse (const Factoring *f, int64_t i)
{
  return f->inverses + (gsize)i * f->tile_bytes;
}

static int
tile_size (const Factoring *f, int64_t i)
{
  return (int)MIN (f->tile, f->n - i * f->tile);
}

static double
get_number (const Factoring *f, const void *tile, int64_t at)
{
  return f->single ? (double)((const float *)tile)[at] : ((const double *)tile)[at];
}

/* c ← alpha·a·op (b) + beta·c for tiles a: m × k, c: m × n */
static void
multiply (const Factoring *f, const char *op_b, int m, int n, int k, int alpha, const void *a, const void *b,
          int beta, void *c)
{
  const int stride = (int)f->tile;

  if (f->single)
    {
      const float x = (float)alpha, y = (float)beta;
      f->blas->sgemm ("N", op_b, &m, &n, &k, &x, a, &stride, b, &stride, &y, c, &stride);
    }
  else
    {
      const double x = alpha, y = beta;
      f->blas->dgemm ("N", op_b, &m, &n, &k, &x, a, &stride, b, &stride, &y, c, &stride);
    }
}

/* H_ab by position, scaled and damped. */
static double
get_moment (const Factoring *f, int64_t a, int64_t b)
{
  const SwageSecondOrder *s = f->s;
  int32_t ca = s->order[a], cb = s->order[b];

  if (ca == cb)
    return (s->dead[ca] ? s->mean : s->diagonal[ca]) + f->added;
  return f->h[(int64_t)ca * f->n + cb] * f->factor;
}

/* Fill tile rows with the reversed matrix. */
static void
load_tiles (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;

  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j <= i && !swage_job_is_cancelled (f->job); j++)
      {
        void *tile = get_tile (f, i, j);
        for (int r = 0; r < tile_size (f, i); r++)
          for (int c = 0; c < tile_size (f, j); c++)
            {
              double h = get_moment (f, f->n - 1 - (i * f->tile + r), f->n - 1 - (j * f->tile + c));
              if (f->single)
                ((float *)tile)[c * f->tile + r] = (float)(h / f->unit);
              else
                ((double *)tile)[c * f->tile + r] = h;
            }
      }
}

/* inverse ← L⁻¹ of the n × n lower triangle `l`, both column-major with the stride of a tile. */
static void
invert_lower (const double *l, int n, int64_t stride, double *inverse)
{
  memset (inverse, 0, (size_t)(stride * stride) * sizeof (double));
  for (int c = 0; c < n; c++)
    {
      double *x = inverse + c * stride;
      x[c] = 1;
      for (int k = c; k < n; k++)
        {
          double v = x[k] /= l[k * stride + k];
          for (int r = k + 1; r < n; r++)
            x[r] -= l[k * stride + r] * v;
        }
    }
}

/* Tiles (i, k) below the diagonal: L_ik = A_ik · L_kk⁻ᵀ. */
static void
solve_tiles (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;
  const int nk = tile_size (f, f->k);
  char *product = f->scratch + (gsize)worker * f->tile_bytes;

  for (int64_t i = f->k + 1 + begin; i < f->k + 1 + end; i++)
    {
      if (swage_job_is_cancelled (f->job))
        return;
      multiply (f, "T", tile_size (f, i), nk, nk, 1, get_tile (f, i, f->k), get_inverse (f, f->k), 0,
                product);
      memcpy (get_tile (f, i, f->k), product, f->tile_bytes);
    }
}

/* Tiles (i, j) with k < j <= i, counted row by row: A_ij −= L_ik · L_jkᵀ. */
static void
update_tiles (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;

  for (int64_t t = begin; t < end; t++)
    {
      int64_t i = (int64_t)((sqrt (8 * (double)t + 1) - 1) / 2);
      while (i * (i + 1) / 2 > t)
        i--;
      while ((i + 1) * (i + 2) / 2 <= t)
        i++;
      int64_t row = f->k + 1 + i, column = f->k + 1 + t - i * (i + 1) / 2;
      if (swage_job_is_cancelled (f->job))
        return;
      multiply (f, "T", tile_size (f, row), tile_size (f, column), tile_size (f, f->k), -1,
                get_tile (f, row, f->k), get_tile (f, column, f->k), 1, get_tile (f, row, column));
    }
}

/* Whether tile column k could be factored: all pivots stand out from the noise. */
static bool
factor_diagonal (const Factoring *f)
{
  void *tile = get_tile (f, f->k, f->k), *inverse = get_inverse (f, f->k);
  double *l = f->single ? f->diagonal : tile, *l_inverse = f->single ? l + f->tile * f->tile : inverse;
  const int n = tile_size (f, f->k), stride = (int)f->tile;
  int info = 0;

  for (int64_t i = 0; f->single && i < f->tile * f->tile; i++)
    l[i] = (double)((float *)tile)[i];
  f->blas->dpotrf ("L", &n, l, &stride, &info);
  if (info != 0)
    return false;
  for (int r = 0; r < n; r++)
    {
      int64_t a = f->n - 1 - (f->k * f->tile + r);
      double square = l[r * f->tile + r] * l[r * f->tile + r], moment = get_moment (f, a, a) / f->unit;
      double least = f->single ? MAX (SINGLE_PIVOT * moment, SINGLE_RANGE)
                               : PIVOT_NOISE * MIN (moment, 100 * f->s->mean);
      if (!(square >= least))
        return false;
    }
  invert_lower (l, n, f->tile, l_inverse);
  for (int64_t i = 0; f->single && i < f->tile * f->tile; i++)
    {
      ((float *)tile)[i] = (float)l[i];
      ((float *)inverse)[i] = (float)l_inverse[i];
    }
  return true;
}

/* L over the tiles. FALSE with `error` when cancelled, and without when H is not positive definite. */
static bool
factor (Factoring *f, double from, double upto, GError **error)
{
  swage_pool_run (f->n_tiles, 1, load_tiles, f);
  for (f->k = 0; f->k < f->n_tiles; f->k++)
    {
      double left = (double)(f->n_tiles - f->k) / (double)f->n_tiles;
      int64_t below = f->n_tiles - f->k - 1;
      if (!swage_job_step (f->job, from + (upto - from) * (1 - left * left * left), 1, error)
          || !factor_diagonal (f))
        return false;
      swage_pool_run (below, 1, solve_tiles, f);
      swage_pool_run (below * (below + 1) / 2, 1, update_tiles, f);
    }
  return swage_job_step (f->job, upto, 1, error);
}

/* Row-major at `out`, by position: element (i, j), i <= j < i + band, of J·X·J for the tile (row, column) of
 * a lower X, times `factor` and, with `divide`, by one over element j of that. */
static void
put_reversed (const Factoring *f, float *out, int64_t stride, int64_t band, int64_t row, int64_t column,
              const void *tile, double factor, const double *divide)
{
  const int ni = tile_size (f, row), nj = tile_size (f, column);

  for (int r = 0; r < ni; r++)
    {
      int64_t i = f->n - 1 - (row * f->tile + r);
      for (int c = 0; c < nj && (row != column || c <= r); c++)
        {
          int64_t j = f->n - 1 - (column * f->tile + c);
          double x = get_number (f, tile, c * f->tile + r) * factor;
          if (j - i < band)
            out[i * stride + j] = (float)(divide != NULL ? x / divide[j] : x);
        }
    }
}

static void
put_feedback (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;

  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j <= i; j++)
      put_reversed (f, f->s->f, f->n, f->n, i, j, get_tile (f, i, j), sqrt (f->unit), f->s->pivot);
}

/* Tile columns of M = L⁻¹ from M_ij = −M_ii · Σ_{j<=k<i} L_ik · M_kj, each in one go. */
static void
invert_columns (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;
  const SwageSecondOrder *s = f->s;
  const double factor = 1 / sqrt (f->unit);

  if (f->columns[worker] == NULL)
    f->columns[worker] = g_malloc_n ((gsize)f->reach + 2, f->tile_bytes);
  char *column = f->columns[worker], *sum = column + (gsize)(f->reach + 1) * f->tile_bytes;
  for (int64_t j = begin; j < end; j++)
    {
      const int nj = tile_size (f, j);
      memcpy (column, get_inverse (f, j), f->tile_bytes);
      put_reversed (f, s->u, s->u_stride, f->band, j, j, column, factor, NULL);
      for (int64_t i = j + 1; i < f->n_tiles && i <= j + f->reach; i++)
        {
          const int ni = tile_size (f, i);
          char *to = column + (gsize)(i - j) * f->tile_bytes;
          if (swage_job_is_cancelled (f->job))
            return;
          for (int64_t k = j; k < i; k++)
            multiply (f, "N", ni, nj, tile_size (f, k), 1, get_tile (f, i, k),
                      column + (gsize)(k - j) * f->tile_bytes, k > j, sum);
          multiply (f, "N", ni, nj, ni, -1, get_inverse (f, i), sum, 0, to);
          put_reversed (f, s->u, s->u_stride, f->band, i, j, to, factor, NULL);
        }
    }
}

/* U, or the band of it that is asked for: a band has its rows one after the other, each from the diagonal on,
 * which is a matrix with a stride shorter by one. */
static void
make_inverse (Factoring *f, SwageSecondOrder *s)
{
  int n_workers = swage_pool_get_threads ();
  bool all = f->band <= 0 || f->band >= s->n;

  f->band = all ? s->n : MAX (f->band, 2);
  f->reach = MIN (f->n_tiles - 1, (f->band - 2 + f->tile) / f->tile);
  s->u_stride = all ? s->n : f->band - 1;
  s->u = g_malloc0_n ((gsize)s->n, (gsize)f->band * sizeof (float));
  f->columns = g_new0 (char *, (gsize)n_workers);
  swage_pool_run (f->n_tiles, 1, invert_columns, f);
  for (int i = 0; i < n_workers; i++)
    g_free (f->columns[i]);
  g_free (f->columns);
}

static void
put_hessian (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Factoring *f = user_data;

  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < f->n; j++)
      f->s->h[i * f->n + j] = (float)get_moment (f, i, j);
}

/* ---- what comes before the factorization ---- */

typedef struct
{
  int32_t column;
  double value;
} Ranked;

static int
compare_ranked (const void *a, const void *b)
{
  const Ranked *x = a, *y = b;
  if (x->value > y->value || x->value < y->value)
    return x->value > y->value ? -1 : 1;
  return x->column < y->column ? -1 : x->column > y->column;
}

static void
choose_order (SwageSecondOrder *s, const SwageSecondOrderOptions *options)
{
  for (int64_t i = 0; i < s->n; i++)
    s->order[i] = options->order != NULL ? options->order[i] : (int32_t)i;
  if (options->order == NULL && options->act_order)
    {
      g_autofree Ranked *ranked = g_new (Ranked, (gsize)s->n);
      for (int64_t i = 0; i < s->n; i++)
        ranked[i] = (Ranked){ (int32_t)i, s->diagonal[i] };
      qsort (ranked, (size_t)s->n, sizeof (Ranked), compare_ranked);
      for (int64_t i = 0; i < s->n; i++)
        s->order[i] = ranked[i].column;
    }
  for (int64_t i = 0; i < s->n; i++)
    s->position[s->order[i]] = (int32_t)i;
}

typedef struct
{
  const double *h;
  int64_t n;
  int64_t *bad; /* by row: the first column that is not finite, or −1 */
} Check;

static void
check_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Check *c = user_data;

  for (int64_t i = begin; i < end; i++)
    {
      const double *row = c->h + i * c->n;
      double sum = 0; /* x·0 is NaN for what is not finite */
      for (int64_t j = 0; j < c->n; j++)
        sum += row[j] * 0.0;
      c->bad[i] = -1;
      for (int64_t j = 0; j < c->n && sum != 0; j++)
        if (!isfinite (row[j]))
          {
            c->bad[i] = j;
            break;
          }
    }
}

static bool
check_stats (const SwageActStats *stats, int64_t n_in, const SwageSecondOrderOptions *options, GError **error)
{
  if (stats == NULL || stats->hessian == NULL || stats->n_tokens == 0 || stats->n_in != n_in)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("%s: %s needs statistics of the layer's inputs and there are none; give a calibration text."),
          options->layer, options->method);
      return false;
    }

  if (stats->n_nonfinite > 0)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
          _ ("%s: %" PRId64
             " of the inputs are not finite on this calibration text, so %s cannot weigh errors by them; a "
             "step before this layer, or the checkpoint, makes numbers that are too large."),
          options->layer, stats->n_nonfinite, options->method);
      return false;
    }

  g_autofree int64_t *bad = g_new (int64_t, (gsize)n_in);
  Check check = { stats->hessian, n_in, bad };
  swage_pool_run (n_in, 16, check_rows, &check);
  for (int64_t i = 0; i < n_in; i++)
    if (bad[i] >= 0 || stats->hessian[i * n_in + i] < 0)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                     _ ("%s: the inputs in channel %" PRId64
                        " are not finite on this calibration text, so %s cannot weigh errors by them."),
                     options->layer, i, options->method);
        return false;
      }
  return true;
}

static SwageSecondOrder *
describe (const SwageActStats *stats, const SwageSecondOrderOptions *options)
{
  SwageSecondOrder *s = g_new0 (SwageSecondOrder, 1);
  int64_t n = s->n = stats->n_in;
  double sum = 0, factor = 2 / (double)stats->n_tokens;

  s->order = g_new (int32_t, (gsize)n);
  s->position = g_new (int32_t, (gsize)n);
  s->diagonal = g_new (double, (gsize)n);
  s->pivot = g_new (double, (gsize)n);
  s->dead = g_new (bool, (gsize)n);
  for (int64_t j = 0; j < n; j++)
    {
      s->diagonal[j] = stats->hessian[j * n + j] * factor;
      s->dead[j] = !(s->diagonal[j] > 0);
      s->n_dead += s->dead[j];
      sum += s->diagonal[j];
    }
  s->mean = s->n_dead < n ? sum / (double)(n - s->n_dead) : 1;
  s->damping = options->damping;
  choose_order (s, options);
  return s;
}

/* The factors that were asked for, from L. */
static bool
make_factors (Factoring *f, SwageSecondOrder *s, SwageFactors factors, GError **error)
{
  for (int64_t i = 0; i < f->n_tiles; i++)
    for (int r = 0; r < tile_size (f, i); r++)
      s->pivot[f->n - 1 - (i * f->tile + r)]
          = sqrt (f->unit) * get_number (f, get_tile (f, i, i), r * f->tile + r);
  if (factors & SWAGE_FACTOR_FEEDBACK)
    {
      s->f = g_malloc0_n ((gsize)s->n, (gsize)s->n * sizeof (float));
      swage_pool_run (f->n_tiles, 1, put_feedback, f);
    }
  if (factors & SWAGE_FACTOR_INVERSE)
    make_inverse (f, s);
  if (factors & SWAGE_FACTOR_HESSIAN)
    {
      s->h = g_malloc_n ((gsize)s->n, (gsize)s->n * sizeof (float));
      swage_pool_run (s->n, 16, put_hessian, f);
    }
  return !swage_job_is_cancelled (f->job) || swage_job_step (f->job, 0, 1, error);
}

static void
clear_tiles (Factoring *f)
{
  g_clear_pointer (&f->tiles, g_free);
  g_clear_pointer (&f->inverses, g_free);
  g_clear_pointer (&f->scratch, g_free);
  g_clear_pointer (&f->diagonal, g_free);
}

static void
init_tiles (Factoring *f, bool single)
{
  f->single = single;
  f->unit = single ? f->s->mean : 1;
  f->tile = single ? TILE_SINGLE : TILE_DOUBLE;
  f->tile_bytes = (gsize)(f->tile * f->tile) * (single ? sizeof (float) : sizeof (double));
  f->n_tiles = (f->n + f->tile - 1) / f->tile;
  f->tiles = g_malloc_n ((gsize)(f->n_tiles * (f->n_tiles + 1) / 2), f->tile_bytes);
  f->inverses = g_malloc_n ((gsize)f->n_tiles, f->tile_bytes);
  f->scratch = g_malloc_n ((gsize)swage_pool_get_threads (), f->tile_bytes);
  if (single)
    f->diagonal = g_new (double, (gsize)(2 * f->tile * f->tile));
}

static bool
run_factoring (const SwageActStats *stats, SwageSecondOrder *s, const SwageSecondOrderOptions *options,
               SwageJob *job, GError **error)
{
  double from = options->from, upto = options->upto > 0 ? options->upto : 1;
  double middle
      = (options->factors & SWAGE_FACTOR_INVERSE) && options->band == 0 ? from + (upto - from) / 2 : upto;
  Factoring f = { .blas = swage_blas_get (),
                  .n = s->n,
                  .h = stats->hessian,
                  .factor = 2 / (double)stats->n_tokens,
                  .s = s,
                  .band = options->band,
                  .job = job };
  bool good = false;

  if (f.blas == NULL)
    {
      g_set_error_literal (
          error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
          _ ("This needs OpenBLAS, which is not installed; on Debian: apt install libopenblas0."));
      return false;
    }
  init_tiles (&f, s->n >= SINGLE_FROM);
  /* ends: at a damping of 1 and more the matrix is far from singular whatever it holds */
  for (int attempt = 0; attempt < 17; attempt++)
    {
      g_autoptr (GError) cancelled = NULL;
      f.added = s->damping * s->mean;
      good = factor (&f, from, middle, &cancelled);
      if (good)
        break;
      if (cancelled != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&cancelled));
          break;
        }
      if (f.single)
        {
          clear_tiles (&f);
          init_tiles (&f, false);
          continue;
        }
      s->damping = MAX (MIN_DAMPING, 10 * s->damping);
      if (attempt == 16)
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                     _ ("%s: the second moments of the inputs cannot be factored whatever the damping."),
                     options->layer);
    }
  good = good && make_factors (&f, s, options->factors, error) && swage_job_step (job, upto, 1, error);
  clear_tiles (&f);
  return good;
}

SwageSecondOrder *
swage_second_order_new (const SwageActStats *stats, int64_t n_in, const SwageSecondOrderOptions *options,
                        SwageJob *job, GError **error)
{
  if (!check_stats (stats, n_in, options, error))
    return NULL;
  g_autoptr (SwageSecondOrder) s = describe (stats, options);
  return run_factoring (stats, s, options, job, error) ? g_steal_pointer (&s) : NULL;
}

void
swage_second_order_free (SwageSecondOrder *s)
{
  if (s == NULL)
    return;
  g_free (s->order);
  g_free (s->position);
  g_free (s->diagonal);
  g_free (s->dead);
  g_free (s->pivot);
  g_free (s->u);
  g_free (s->f);
  g_free (s->h);
  g_free (s);
}

/* ---- the error ---- */

typedef struct
{
  const double *h;
  int64_t n;
  const float *w, *w_hat;
  double *sums; /* by row */
} Measure;

static void
measure_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Measure *m = user_data;
  g_autofree double *e = g_new (double, (gsize)m->n);

  for (int64_t r = begin; r < end; r++)
    {
      double sum = 0;
      for (int64_t j = 0; j < m->n; j++)
        e[j] = (double)m->w[r * m->n + j] - (double)m->w_hat[r * m->n + j];
      for (int64_t i = 0; i < m->n; i++)
        {
          const double *row = m->h + i * m->n;
          double dot[4] = { 0 };
          int64_t j = 0;
          for (; j + 4 <= m->n; j += 4)
            for (int k = 0; k < 4; k++)
              dot[k] += row[j + k] * e[j + k];
          for (; j < m->n; j++)
            dot[0] += row[j] * e[j];
          sum += e[i] * ((dot[0] + dot[1]) + (dot[2] + dot[3]));
        }
      m->sums[r] = sum;
    }
}

double
swage_second_order_get_error (const SwageActStats *stats, const float *w, const float *w_hat, int64_t rows)
{
  g_autofree double *sums = g_new0 (double, (gsize)MAX (rows, 1));
  Measure m = { stats->hessian, stats->n_in, w, w_hat, sums };
  double sum = 0;

  swage_pool_run (rows, 1, measure_rows, &m);
  for (int64_t r = 0; r < rows; r++)
    sum += sums[r];
  return sum * 2 / (double)stats->n_tokens;
}
