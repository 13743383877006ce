/* SPDX-License-Identifier: MIT
 *
 * A pass works on three lengths. Within a *span* of 16 columns corrections are made one by one; after a span
 * they go to the rest of the *block* as one product, after a block to the rest of the *panel*. What all
 * earlier panels ask of a panel P comes at once when its turn comes, so that no weight is written twice, and
 * from F and not from U, so that H need not be inverted: with E = W − Ŵ over the columns before P,
 *
 *   w_P ← w_P + (E·F_P)·F_PP⁻¹,     F_PP⁻¹ = diag (R_PP)·U_PP
 *
 * (E·F_P is what column j asks for when columns of P before it were rounded as well; the inverse turns it
 * into what is best when none is.)
 *
 * Descent keeps the gradient G = (W − Ŵ)·H beside Ŵ: a change δ of column i takes δ·H_i from it. Slices of
 * rows go through all passes by themselves.
 */
#include "core/method/swage-columns.h"

#include <glib/gi18n-lib.h>
#include <stdatomic.h>
#include <string.h>
#include "core/base/swage-blas.h"
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-rows.h"

#define SPAN 16
#define PANEL 512
/* Columns of a panel that a product with a triangle is made for together. */
#define STRIPE 128
/* Rows of one matrix product: enough for BLAS to be fast, few enough to share out. */
#define PRODUCT_ROWS 256
/* The columns of one, so that a cancelled job need not wait. */
#define PRODUCT_COLS 2048

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

/* c (rows × n, stride ldc) ← alpha·a (rows × k) · b (k × n) + beta·c. Fortran sees all of them turned over.
 */
static void
product (const SwageBlas *blas, int64_t rows, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
         const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
  int m_ = (int)n, n_ = (int)rows, k_ = (int)k, a_ = (int)lda, b_ = (int)ldb, c_ = (int)ldc;
  if (rows > 0 && n > 0 && k > 0)
    blas->sgemm ("N", "N", &m_, &n_, &k_, &alpha, b, &b_, a, &a_, &beta, c, &c_);
}

/* ---- one pass with corrections ---- */

typedef struct
{
  const SwageColumnSolve *s;
  const SwageBlas *blas;
  float *e; /* rows × panel */
  int64_t e_stride;
  float *all;     /* rows × n: w − ŵ of the panels before; the weight as it was, in the panel at work */
  float *inverse; /* F_PP⁻¹, a dense panel × panel */
  int64_t before; /* where the last panel began */
  int64_t p0, p1, b0, b1; /* the panel and the block at work */
} Solving;

static const float *
get_u (const SwageColumnSolve *s, int64_t i, int64_t j)
{
  return s->second->u + i * s->second->u_stride + j;
}

static void
round_span (const SwageColumnSolve *s, int64_t row, int64_t c0, int64_t c1, float *e)
{
  float *w = s->w + row * s->n;

  for (int64_t i = c0; i < c1; i++)
    {
      const float *u = get_u (s, i, 0);
      float old = w[i], value = s->round (row, i, old, s->user_data), error = (old - value) / u[i];
      w[i] = value;
      e[i - c0] = error;
      for (int64_t j = i + 1; j < c1; j++)
        w[j] -= error * u[j];
    }
}

/* A block of some rows. Slices are of SWAGE_COLUMN_ROWS rows. */
static void
solve_block (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Solving *v = user_data;
  const SwageColumnSolve *s = v->s;

  for (int64_t slice = begin; slice < end; slice++)
    {
      int64_t r0 = slice * SWAGE_COLUMN_ROWS, r1 = MIN (s->rows, r0 + SWAGE_COLUMN_ROWS);
      float *e = v->e + r0 * v->e_stride;
      float *w = s->w + r0 * s->n;
      int64_t next;
      if (swage_job_is_cancelled (s->job))
        return;
      for (int64_t c0 = v->b0; c0 < v->b1; c0 = next)
        {
          next = c0 + 1;
          while (next < MIN (v->b1, c0 + SPAN) && !(s->begins != NULL && s->begins[next]))
            next++;
          if (s->begin_span != NULL)
            s->begin_span (r0, r1, c0, next, s->user_data);
          for (int64_t r = r0; r < r1; r++)
            round_span (s, r, c0, next, e + (r - r0) * v->e_stride + c0 - v->p0);
          product (v->blas, r1 - r0, v->b1 - next, next - c0, -1, e + c0 - v->p0, v->e_stride,
                   get_u (s, c0, next), s->second->u_stride, 1, w + next, s->n);
        }
      product (v->blas, r1 - r0, v->p1 - v->b1, v->b1 - v->b0, -1, e + v->b0 - v->p0, v->e_stride,
               get_u (s, v->b0, v->b1), s->second->u_stride, 1, w + v->b1, s->n);
    }
}

/* What all panels before ask of the panel. Slices are of PRODUCT_ROWS rows. */
static void
begin_panel (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Solving *v = user_data;
  const SwageColumnSolve *s = v->s;
  const int64_t n = s->n, width = v->p1 - v->p0;

  for (int64_t slice = begin; slice < end; slice++)
    {
      int64_t r0 = slice * PRODUCT_ROWS, rows = MIN (PRODUCT_ROWS, s->rows - r0);
      float *w = s->w + r0 * n, *all = v->all + r0 * n, *y = v->e + r0 * v->e_stride;
      if (swage_job_is_cancelled (s->job))
        return;
      for (int64_t r = 0; r < rows; r++)
        {
          for (int64_t j = v->before; j < v->p0; j++)
            all[r * n + j] -= w[r * n + j];
          memcpy (all + r * n + v->p0, w + r * n + v->p0, (size_t)width * sizeof (float));
        }
      product (v->blas, rows, width, v->p0, 1, all, n, s->second->f + v->p0, n, 0, y, v->e_stride);
      for (int64_t c = 0; c < width && v->p0 > 0; c += STRIPE)
        product (v->blas, rows, MIN (STRIPE, width - c), MIN (c + STRIPE, width), 1, y, v->e_stride,
                 v->inverse + c, v->e_stride, 1, w + v->p0 + c, n);
    }
}

static void
fill_inverse (const Solving *v)
{
  int64_t width = v->p1 - v->p0;

  for (int64_t i = 0; i < width; i++)
    {
      float *row = v->inverse + i * v->e_stride;
      const float *u = get_u (v->s, v->p0 + i, v->p0), pivot = (float)v->s->second->pivot[v->p0 + i];
      for (int64_t j = 0; j < width; j++)
        row[j] = j < i ? 0 : pivot * u[j];
    }
}

/* What all panels before have asked for so far, as a share of all: a triangle that grows. */
static double
share_done (const Solving *v, int64_t column)
{
  double done = (double)column / (double)v->s->n;
  return v->s->from + (v->s->upto - v->s->from) * done * done;
}

/* Where what begins at `from` had best end, `limit` at most: before a group. */
static int64_t
find_cut (const Solving *v, int64_t from, int64_t limit)
{
  if (v->s->begins == NULL || limit == v->s->n)
    return limit;
  for (int64_t i = limit; i > from; i--)
    if (v->s->begins[i])
      return i;
  return limit;
}

static bool
solve_panel (Solving *v, int64_t block, GError **error)
{
  const SwageColumnSolve *s = v->s;
  int64_t n_slices = (s->rows + SWAGE_COLUMN_ROWS - 1) / SWAGE_COLUMN_ROWS;

  if (v->p0 > 0)
    fill_inverse (v);
  swage_pool_run ((s->rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS, 1, begin_panel, v);
  v->before = v->p0;
  for (v->b0 = v->p0; v->b0 < v->p1; v->b0 = v->b1)
    {
      v->b1 = find_cut (v, v->b0, MIN (v->p1, v->b0 + block));
      if (s->begin_block != NULL)
        s->begin_block (v->b0, v->b1, s->user_data);
      swage_pool_run (n_slices, 1, solve_block, v);
      if (!swage_job_step (s->job, share_done (v, v->b0), 1, error))
        return false;
    }
  return swage_job_step (s->job, share_done (v, v->p1), 1, error);
}

int64_t
swage_columns_get_panel (int64_t n, int64_t block)
{
  block = MAX (1, block);
  return MIN (n, (PANEL + block - 1) / block * block);
}

bool
swage_columns_solve (const SwageColumnSolve *s, GError **error)
{
  Solving v = { .s = s, .blas = get_blas (error) };
  int64_t block = MAX (1, s->block), panel = swage_columns_get_panel (s->n, block);
  bool good = true;

  if (v.blas == NULL)
    return false;
  v.e_stride = panel;
  v.e = g_malloc_n ((gsize)s->rows, (gsize)panel * sizeof (float));
  v.all = g_malloc_n ((gsize)s->rows, (gsize)s->n * sizeof (float));
  if (panel < s->n)
    v.inverse = g_malloc_n ((gsize)panel, (gsize)panel * sizeof (float));
  for (v.p0 = 0; good && v.p0 < s->n; v.p0 = v.p1)
    {
      v.p1 = find_cut (&v, v.p0, MIN (s->n, v.p0 + panel));
      good = solve_panel (&v, block, error);
    }
  g_free (v.e);
  g_free (v.all);
  g_free (v.inverse);
  return good;
}

/* ---- coordinate descent ---- */

typedef struct
{
  const SwageColumnDescent *d;
  const SwageBlas *blas;
  float **scratch; /* by worker: the gradient of a slice, and a block's changes */
  double n_steps;
  atomic_int_fast64_t done;
} Descending;

#define DESCENT_ROWS 128
#define DESCENT_BLOCK 128

/* Columns [c0, c1) of a row: G and Ŵ, and the changes. */
static void
descend_span (const SwageColumnDescent *d, int64_t row, int64_t c0, int64_t c1, float *g, float *change)
{
  float *w = d->w_hat + row * d->n;

  for (int64_t i = c0; i < c1; i++)
    {
      const float *h = d->h + i * d->n;
      float value = d->round (row, i, w[i] + g[i] / h[i], d->user_data), delta = value - w[i];
      w[i] = value;
      change[i - c0] = delta;
      for (int64_t j = i + 1; j < c1; j++)
        g[j] -= delta * h[j];
    }
}

static void
descend_block (const Descending *v, int64_t r0, int64_t rows, int64_t b0, int64_t b1, float *g, float *change)
{
  const SwageColumnDescent *d = v->d;
  int64_t n = d->n;

  for (int64_t c0 = b0; c0 < b1; c0 += SPAN)
    {
      int64_t c1 = MIN (b1, c0 + SPAN);
      for (int64_t r = 0; r < rows; r++)
        {
          float before[SPAN];
          memcpy (before, g + r * n + c0, (size_t)(c1 - c0) * sizeof (float));
          descend_span (d, r0 + r, c0, c1, g + r * n, change + r * DESCENT_BLOCK + c0 - b0);
          /* the product after the block takes all changes from all of G: what was taken here is given back */
          memcpy (g + r * n + c0, before, (size_t)(c1 - c0) * sizeof (float));
        }
      product (v->blas, rows, b1 - c1, c1 - c0, -1, change + c0 - b0, DESCENT_BLOCK, d->h + c0 * n + c1, n, 1,
               g + c1, n);
    }
  /* the columns before the block, its own up to each span's end, and those after it */
  product (v->blas, rows, b0, b1 - b0, -1, change, DESCENT_BLOCK, d->h + b0 * n, n, 1, g, n);
  product (v->blas, rows, n - b1, b1 - b0, -1, change, DESCENT_BLOCK, d->h + b0 * n + b1, n, 1, g + b1, n);
  for (int64_t c0 = b0; c0 < b1; c0 += SPAN)
    {
      int64_t c1 = MIN (b1, c0 + SPAN);
      product (v->blas, rows, c1 - c0, b1 - c0, -1, change + c0 - b0, DESCENT_BLOCK, d->h + c0 * n + c0, n, 1,
               g + c0, n);
    }
}

static void
descend_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  Descending *v = user_data;
  const SwageColumnDescent *d = v->d;
  int64_t n = d->n;

  if (v->scratch[worker] == NULL)
    v->scratch[worker] = g_malloc_n (DESCENT_ROWS, (gsize)(2 * n + DESCENT_BLOCK) * sizeof (float));
  float *g = v->scratch[worker], *difference = g + DESCENT_ROWS * n, *change = difference + DESCENT_ROWS * n;
  for (int64_t slice = begin; slice < end; slice++)
    {
      int64_t r0 = slice * DESCENT_ROWS, rows = MIN (DESCENT_ROWS, d->rows - r0);
      for (int64_t i = 0; i < rows * n; i++)
        difference[i] = d->w[r0 * n + i] - d->w_hat[r0 * n + i];
      for (int64_t c = 0; c < n && !swage_job_is_cancelled (d->job); c += PRODUCT_COLS)
        product (v->blas, rows, MIN (PRODUCT_COLS, n - c), n, 1, difference, n, d->h + c, n, 0, g + c, n);
      for (int pass = 0; pass < d->n_passes; pass++)
        {
          if (d->begin_pass != NULL)
            d->begin_pass (r0, r0 + rows, pass, d->user_data);
          for (int64_t b0 = 0; b0 < n; b0 += DESCENT_BLOCK)
            {
              if (swage_job_is_cancelled (d->job))
                return;
              descend_block (v, r0, rows, b0, MIN (n, b0 + DESCENT_BLOCK), g, change);
            }
          double done = (double)(atomic_fetch_add (&v->done, 1) + 1);
          swage_job_step (d->job, d->from + (d->upto - d->from) * done / v->n_steps, 1, NULL);
        }
    }
}

bool
swage_columns_descend (const SwageColumnDescent *d, GError **error)
{
  int n_workers = swage_pool_get_threads ();
  int64_t n_slices = (d->rows + DESCENT_ROWS - 1) / DESCENT_ROWS;
  Descending v = { .d = d, .blas = get_blas (error) };

  if (v.blas == NULL)
    return false;
  v.n_steps = (double)n_slices * MAX (1, d->n_passes);
  v.scratch = g_new0 (float *, (gsize)n_workers);
  swage_pool_run (n_slices, 1, descend_rows, &v);
  for (int i = 0; i < n_workers; i++)
    g_free (v.scratch[i]);
  g_free (v.scratch);
  return swage_job_step (d->job, d->upto, 1, error);
}

/* ---- products ---- */

typedef struct
{
  const SwageBlas *blas;
  const float *a, *b;
  float *c;
  int64_t rows, k, n, n_tiles;
  float alpha, beta;
  SwageJob *job;
} Multiply;

static void
multiply_tiles (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Multiply *m = user_data;

  for (int64_t t = begin; t < end; t++)
    {
      int64_t r0 = t / m->n_tiles * PRODUCT_ROWS, c0 = t % m->n_tiles * PRODUCT_COLS;
      if (swage_job_is_cancelled (m->job))
        return;
      product (m->blas, MIN (PRODUCT_ROWS, m->rows - r0), MIN (PRODUCT_COLS, m->n - c0), m->k, m->alpha,
               m->a + r0 * m->k, m->k, m->b + c0, m->n, m->beta, m->c + r0 * m->n + c0, m->n);
    }
}

bool
swage_columns_multiply (const float *a, const float *b, float *c, int64_t rows, int64_t k, int64_t n,
                        float alpha, float beta, double from, double upto, SwageJob *job, GError **error)
{
  Multiply m
      = { get_blas (error), a, b, c, rows, k, n, (n + PRODUCT_COLS - 1) / PRODUCT_COLS, alpha, beta, job };

  if (m.blas == NULL)
    return false;
  swage_pool_run ((rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS * m.n_tiles, 1, multiply_tiles, &m);
  return swage_job_step (job, upto, 1, error);
}

/* ---- in and out ---- */

typedef struct
{
  float *all;
  const int32_t *order;
  int64_t cols;
} Load;

static void
load_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Load *load = user_data;

  for (int64_t r = row; r < row + n; r++, values += load->cols)
    {
      float *to = load->all + r * load->cols;
      if (load->order == NULL)
        memcpy (to, values, (size_t)load->cols * sizeof (float));
      else
        for (int64_t i = 0; i < load->cols; i++)
          to[i] = values[load->order[i]];
    }
}

float *
swage_columns_load (const SwageWeight *weight, const int32_t *order, float limit, const char *reason,
                    const char *layer, SwageJob *job, GError **error)
{
  /* of very many passes, so that the walk takes next to nothing of the stage */
  SwageRowWalk walk = {
    .weight = weight, .layer = layer, .limit = limit, .limit_reason = reason, .n_passes = 1000, .job = job
  };
  Load load = { g_malloc_n ((gsize)weight->rows, (gsize)weight->cols * sizeof (float)), order, weight->cols };

  if (swage_rows_walk (&walk, load_rows, &load, error))
    return load.all;
  g_free (load.all);
  return NULL;
}
