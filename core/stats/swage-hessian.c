/* SPDX-License-Identifier: MIT
 *
 * The second-moment matrix of a layer's inputs, Σ x xᵀ over all tokens x, which GPTQ and its kin start from.
 *
 * Products are summed in float over at most DEPTH tokens, by the operator matmul, and these sums are added in
 * double: some 10⁵ tokens would wear out a float accumulator, and double arithmetic throughout would take
 * twice the time for digits that inputs of float precision do not have. The matrix is made in bands of ROWS
 * rows, from the diagonal to the right, so the float sums take little memory.
 */
#include "core/stats/swage-summary.h"

#include "core/base/swage-pool.h"

#define DEPTH 512
#define ROWS 512

typedef struct
{
  double *h;
  int64_t n_in, n; /* channels; tokens in this batch */
  const float *x;
  float *turned; /* n_in × n: the batch's columns as rows */
  float *band;   /* ROWS × n_in */
  int64_t first; /* of the band */
} Adding;

static void
turn_channels (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Adding *a = user_data;

  for (int64_t t = 0; t < a->n; t++)
    for (int64_t j = begin; j < end; j++)
      a->turned[j * a->n + t] = a->x[t * a->n_in + j];
}

static void
add_band (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Adding *a = user_data;
  int64_t width = a->n_in - a->first;

  for (int64_t i = begin; i < end; i++)
    {
      double *to = a->h + (a->first + i) * a->n_in;
      const float *from = a->band + i * width - a->first;
      for (int64_t j = a->first + i; j < a->n_in; j++)
        to[j] += (double)from[j];
    }
}

static void
add_batch (Adding *a)
{
  swage_pool_run (a->n_in, 16, turn_channels, a);
  for (a->first = 0; a->first < a->n_in; a->first += ROWS)
    {
      int64_t width = a->n_in - a->first, rows = MIN (ROWS, width);
      const float *corner = a->turned + a->first * a->n;
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, a->band, width, rows, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, corner, a->n, rows, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, corner, a->n, width, 1, 1) } };
      swage_pool_run_op (swage_op_find ("matmul"), &call);
      swage_pool_run (rows, 16, add_band, a);
    }
}

void
swage_hessian_add (double *h, int64_t n_in, const float *x, int64_t n)
{
  g_autofree float *turned = g_new (float, (gsize)(n_in * MIN (n, DEPTH)));
  g_autofree float *band = g_new (float, (gsize)(n_in * MIN (n_in, ROWS)));

  for (int64_t from = 0; from < n; from += DEPTH)
    {
      Adding a = {
        .h = h, .n_in = n_in, .n = MIN (DEPTH, n - from), .x = x + from * n_in, .turned = turned, .band = band
      };
      add_batch (&a);
    }
}

typedef struct
{
  double *h;
  int64_t n;
} Mirroring;

static void
mirror_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Mirroring *m = user_data;

  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < i; j++)
      m->h[i * m->n + j] = m->h[j * m->n + i];
}

void
swage_hessian_finish (double *h, int64_t n_in)
{
  Mirroring m = { h, n_in };
  swage_pool_run (n_in, 16, mirror_rows, &m);
}
