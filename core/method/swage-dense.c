/* SPDX-License-Identifier: MIT
 *
 * A product is cut into TILE × TILE tiles, one slice of the pool each, which sum over DEPTH columns at a
 * time: pieces of both operands are converted to double and handed to dgemm. Converting costs 1/TILE of the
 * multiplications.
 *
 * The eigenproblem is LAPACK's dsyevd, one call that nothing can interrupt and that may take half a minute.
 * It runs on a thread of its own with memory of its own; whoever cancels goes away at once, and the thread
 * finds nobody waiting and cleans up.
 */
#include "core/method/swage-dense.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "core/base/swage-blas.h"
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"

#define TILE 192
#define DEPTH 256

static const SwageBlas *
get_blas (GError **error)
{
  const SwageBlas *blas = swage_blas_get ();
  if (blas == NULL)
    g_set_error_literal (
        error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
        _ ("This needs OpenBLAS, which is not installed; on Debian: apt install libopenblas0."));
  return blas;
}

/* sum (ni × nj) += x (ni × nk) · y (nj × nk)ᵀ, all row-major. Fortran sees them turned over: sumᵀ += y · xᵀ.
 */
static void
gemm (const SwageBlas *blas, int64_t ni, int64_t nj, int64_t nk, const double *x, const double *y,
      double *sum)
{
  int m = (int)nj, n = (int)ni, k = (int)nk;
  double one = 1;
  blas->dgemm ("T", "N", &m, &n, &k, &one, y, &k, x, &k, &one, sum, &m);
}

/* Eigenvectors over `a`, one a row, by rising value. LAPACK's error code, 0 for success. */
static int
solve_symmetric (const SwageBlas *blas, const char *what, int64_t n, double *a, double *values)
{
  int size = (int)n, info = 0, iquery, minus = -1;
  double query;

  blas->dsyevd (what, "L", &size, a, &size, values, &query, &minus, &iquery, &minus, &info);
  if (info != 0)
    return info;
  int n_work = (int)query, n_iwork = iquery;
  double *work = g_try_new (double, (gsize)n_work);
  int *iwork = g_new (int, (gsize)n_iwork);
  if (work != NULL)
    blas->dsyevd (what, "L", &size, a, &size, values, work, &n_work, iwork, &n_iwork, &info);
  else
    info = -100;
  g_free (work);
  g_free (iwork);
  return info;
}

/* ---- products ---- */

typedef struct
{
  const SwageBlas *blas;
  const SwageDenseView *x, *y;
  int64_t nx, ny, depth, y_tiles;
  bool symmetric;
  double *c;
  double from, upto;
  SwageJob *job;
  int64_t n_tiles;
  atomic_int_fast64_t done;
} Product;

/* Rows [i0, i0 + n) and columns [k0, k0 + depth) of v, as n × depth doubles. */
static void
convert_piece (const SwageDenseView *v, int64_t i0, int64_t n, int64_t k0, int64_t depth, double *out)
{
  bool by_columns = v->row_step < v->depth_step; /* read along whatever lies together */
  int64_t n_outer = by_columns ? depth : n, n_inner = by_columns ? n : depth;

  for (int64_t o = 0; o < n_outer; o++)
    for (int64_t j = 0; j < n_inner; j++)
      {
        int64_t i = by_columns ? j : o, k = by_columns ? o : j;
        int64_t at = (i0 + i) * v->row_step + (k0 + k) * v->depth_step;
        out[i * depth + k] = v->f != NULL ? (double)v->f[at] : v->d[at];
      }
}

static void
multiply_tile (Product *p, int64_t i0, int64_t j0, double *buffer)
{
  int64_t ni = MIN (TILE, p->nx - i0), nj = MIN (TILE, p->ny - j0);
  double *xs = buffer, *ys = xs + TILE * DEPTH, *sum = ys + TILE * DEPTH;
  bool diagonal = p->symmetric && i0 == j0;

  for (int64_t i = 0; i < ni * nj; i++)
    sum[i] = 0;
  for (int64_t k0 = 0; k0 < p->depth; k0 += DEPTH)
    {
      int64_t nk = MIN (DEPTH, p->depth - k0);
      if (swage_job_is_cancelled (p->job))
        return;
      convert_piece (p->x, i0, ni, k0, nk, xs);
      if (!diagonal)
        convert_piece (p->y, j0, nj, k0, nk, ys);
      gemm (p->blas, ni, nj, nk, xs, diagonal ? xs : ys, sum);
    }
  for (int64_t i = 0; i < ni; i++)
    for (int64_t j = 0; j < nj; j++)
      {
        p->c[(i0 + i) * p->ny + j0 + j] = sum[i * nj + j];
        if (p->symmetric)
          p->c[(j0 + j) * p->ny + i0 + i] = sum[i * nj + j];
      }
}

static void
multiply_tiles (int64_t begin, int64_t end, int worker, void *user_data)
{
  Product *p = user_data;
  g_autofree double *buffer = g_new (double, 2 * TILE * DEPTH + TILE * TILE);

  for (int64_t t = begin; t < end; t++)
    {
      int64_t i = t / p->y_tiles, j = t % p->y_tiles;
      if (!p->symmetric || i <= j)
        multiply_tile (p, i * TILE, j * TILE, buffer);
      double done = (double)(atomic_fetch_add (&p->done, 1) + 1);
      swage_job_step (p->job, p->from + (p->upto - p->from) * done / (double)p->n_tiles, 1, NULL);
    }
}

bool
swage_dense_multiply (const SwageDenseView *x, int64_t nx, const SwageDenseView *y, int64_t ny, int64_t depth,
                      bool symmetric, double *c, double from, double upto, SwageJob *job, GError **error)
{
  int64_t y_tiles = (ny + TILE - 1) / TILE, n_tiles = (nx + TILE - 1) / TILE * y_tiles;
  Product p = { .blas = get_blas (error),
                .x = x,
                .y = y,
                .nx = nx,
                .ny = ny,
                .depth = depth,
                .y_tiles = y_tiles,
                .symmetric = symmetric,
                .c = c,
                .from = from,
                .upto = upto,
                .job = job,
                .n_tiles = n_tiles };

  if (p.blas == NULL)
    return false;
  swage_pool_run (n_tiles, 1, multiply_tiles, &p);
  return swage_job_step (job, upto, 1, error);
}

/* ---- eigenvectors ---- */

/* Owned by two: the caller and the thread. */
typedef struct
{
  gatomicrefcount refs;
  const SwageBlas *blas;
  int64_t n;
  double *a, *values;
  GMutex lock;
  GCond changed;
  bool finished, vectors;
  int info;
} Eigen;

static void
eigen_unref (Eigen *e)
{
  if (!g_atomic_ref_count_dec (&e->refs))
    return;
  g_mutex_clear (&e->lock);
  g_cond_clear (&e->changed);
  g_free (e->a);
  g_free (e->values);
  g_free (e);
}

static atomic_int n_running;

/* A program that ends while an abandoned call is still at work must not unload OpenBLAS, buffers and all,
 * from under it: it leaves without the last rites of its libraries. */
static void
leave_at_once (int status, void *unused)
{
  if (atomic_load (&n_running) == 0)
    return;
  fflush (NULL);
  _exit (status);
}

static gpointer
run_eigen (gpointer data)
{
  Eigen *e = data;
  int info = solve_symmetric (e->blas, e->vectors ? "V" : "N", e->n, e->a, e->values);

  atomic_fetch_sub (&n_running, 1);
  g_mutex_lock (&e->lock);
  e->info = info;
  e->finished = true;
  g_cond_signal (&e->changed);
  g_mutex_unlock (&e->lock);
  eigen_unref (e);
  return NULL;
}

/* The sign of an eigenvector is nobody's choice; ours is that the largest component is positive. */
static void
normalize_sign (double *v, int64_t n)
{
  int64_t largest = 0;
  for (int64_t i = 1; i < n; i++)
    if (fabs (v[i]) > fabs (v[largest]))
      largest = i;
  bool turn = v[largest] < 0;
  for (int64_t i = 0; i < n && turn; i++)
    v[i] = -v[i];
}

/* Solved by a thread that is left behind when the job is cancelled. NULL with an error, or a reference. */
static Eigen *
solve (double *a, int64_t n, bool vectors, const char *layer, SwageJob *job, GError **error)
{
  const SwageBlas *blas = get_blas (error);
  if (blas == NULL)
    {
      g_free (a);
      return NULL;
    }

  Eigen *e = g_new0 (Eigen, 1);
  g_atomic_ref_count_init (&e->refs);
  g_atomic_ref_count_inc (&e->refs);
  e->blas = blas;
  e->n = n;
  e->a = a;
  e->vectors = vectors;
  e->values = g_new (double, (gsize)n);
  g_mutex_init (&e->lock);
  g_cond_init (&e->changed);
  static gsize registered;
  if (g_once_init_enter (&registered))
    {
      on_exit (leave_at_once, NULL);
      g_once_init_leave (&registered, 1);
    }
  atomic_fetch_add (&n_running, 1);
  g_thread_unref (g_thread_new ("swage-eigen", run_eigen, e));

  g_mutex_lock (&e->lock);
  while (!e->finished && !swage_job_is_cancelled (job))
    g_cond_wait_until (&e->changed, &e->lock, g_get_monotonic_time () + 20 * G_TIME_SPAN_MILLISECOND);
  bool finished = e->finished;
  g_mutex_unlock (&e->lock);

  if (finished && e->info == 0)
    return e;
  if (!finished)
    swage_job_step (job, 0, 1, error);
  else
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                 _ ("%s: the singular values could not be computed (LAPACK says %d); the weights may span "
                    "too large a range."),
                 layer, e->info);
  eigen_unref (e);
  return NULL;
}

double *
swage_dense_take_eigen (double *a, int64_t n, double *values, const char *layer, SwageJob *job,
                        GError **error)
{
  Eigen *e = solve (a, n, true, layer, job, error);
  if (e == NULL)
    return NULL;
  /* LAPACK's columns are our rows; it sorts rising. */
  double *vectors = g_steal_pointer (&e->a);
  for (int64_t i = 0; i < n / 2; i++)
    for (int64_t j = 0; j < n; j++)
      {
        double t = vectors[i * n + j];
        vectors[i * n + j] = vectors[(n - 1 - i) * n + j];
        vectors[(n - 1 - i) * n + j] = t;
      }
  for (int64_t i = 0; i < n; i++)
    {
      values[i] = e->values[n - 1 - i];
      normalize_sign (vectors + i * n, n);
    }
  eigen_unref (e);
  return vectors;
}

bool
swage_dense_take_eigenvalues (double *a, int64_t n, double *values, const char *layer, SwageJob *job,
                              GError **error)
{
  Eigen *e = solve (a, n, false, layer, job, error);
  if (e == NULL)
    return false;
  for (int64_t i = 0; i < n; i++)
    values[i] = e->values[n - 1 - i];
  eigen_unref (e);
  return true;
}
