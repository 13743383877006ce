/* SPDX-License-Identifier: MIT
 *
 * Plain. With M the one of W and Wᵀ that has fewer rows (n), G = M·Mᵀ has the left singular vectors of M as
 * eigenvectors and σ² as eigenvalues. G is summed in double from float weights, so σ is known to about
 * 10⁻⁸·σ_1, better than a decomposition of W in float could give, and an n × n eigenproblem costs a fraction
 * of an SVD when W is far from square. The other factor is P = Urᵀ·M, which makes the result the exact
 * projection M → Ur·Urᵀ·M: with r = n nothing is lost whatever the small eigenvalues look like.
 *
 * Whitened (Wang et al. 2024, SVD-LLM). With H = X·Xᵀ = S·Sᵀ, ‖(W − W')·X‖ = ‖(W − W')·S‖, so the optimum is
 * W' = SVDr(W·S)·S⁻¹. The paper takes S from Cholesky; any root of H gives the same W':
 *
 *   n_out ≤ n_in   The left singular vectors U of W·S are the eigenvectors of W·H·Wᵀ, and
 *                  Ur·Urᵀ·(W·S)·S⁻¹ = Ur·(Urᵀ·W): no root, no inverse, nothing that a dead channel or a
 *                  singular H could upset.
 *   n_out > n_in   S = Q·√Λ from the eigenvectors of H, which unlike Cholesky needs no positive definite H.
 *                  The right singular vectors V of W·S are those of (W·S)ᵀ·(W·S);
 *                  B = W·S·Vr, A = Vrᵀ·S⁻¹ = Vrᵀ·Λ^(−½)·Qᵀ.
 *
 * Channels that calibration has not seen count through the damping alone, so that among solutions that are
 * equally good on the text the one nearest to W is taken.
 */
#include "core/method/swage-low-rank.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-dense.h"

/* Eigenvalues of the moment below this share of the largest are noise of its float inputs. */
#define LAMBDA_FLOOR 1e-13

/* A piece of the stage for one sub-step. */
static double
share (double from, double upto, double at)
{
  return from + (upto - from) * at;
}

static double
get_damping (const SwageLowRankProblem *p)
{
  double sum = 0;

  for (int64_t j = 0; j < p->cols; j++)
    sum += p->moment[j * p->cols + j];
  return p->damp * sum / (double)p->cols;
}

/* W as rows (or columns) of whichever is shorter. */
static SwageDenseView
view_of_rows (const SwageLowRankProblem *p)
{
  return (SwageDenseView){ .f = p->values, .row_step = p->cols, .depth_step = 1 };
}

static SwageDenseView
view_of_cols (const SwageLowRankProblem *p)
{
  return (SwageDenseView){ .f = p->values, .row_step = 1, .depth_step = p->cols };
}

static bool
solve_plain (SwageLowRank *s, double from, double upto, SwageJob *job, GError **error)
{
  const SwageLowRankProblem *p = &s->problem;
  bool turned = p->rows > p->cols;
  int64_t m = MAX (p->rows, p->cols);
  SwageDenseView rows = turned ? view_of_cols (p) : view_of_rows (p);
  double *gram = g_malloc_n ((gsize)s->n, (gsize)s->n * sizeof (double));

  if (!swage_dense_multiply (&rows, s->n, &rows, s->n, m, true, gram, from, share (from, upto, 0.4), job,
                             error))
    {
      g_free (gram);
      return false;
    }
  s->vectors = swage_dense_take_eigen (gram, s->n, s->squares, p->layer, job, error);
  return s->vectors != NULL;
}

/* W·(H + λ)·Wᵀ; n_out ≤ n_in. */
static bool
solve_left (SwageLowRank *s, double from, double upto, SwageJob *job, GError **error)
{
  const SwageLowRankProblem *p = &s->problem;
  double damping = get_damping (p);
  SwageDenseView w = view_of_rows (p);
  SwageDenseView h = { .d = p->moment, .row_step = p->cols, .depth_step = 1 };
  g_autofree double *wh = g_malloc_n ((gsize)p->rows, (gsize)p->cols * sizeof (double));

  if (!swage_dense_multiply (&w, p->rows, &h, p->cols, p->cols, false, wh, from, share (from, upto, 0.35),
                             job, error))
    return false;
  for (int64_t i = 0; i < p->rows * p->cols; i++)
    wh[i] += damping * (double)p->values[i];

  SwageDenseView weighted = { .d = wh, .row_step = p->cols, .depth_step = 1 };
  double *gram = g_malloc_n ((gsize)s->n, (gsize)s->n * sizeof (double));
  if (!swage_dense_multiply (&weighted, p->rows, &w, p->rows, p->cols, false, gram, share (from, upto, 0.35),
                             share (from, upto, 0.5), job, error))
    {
      g_free (gram);
      return false;
    }
  s->vectors = swage_dense_take_eigen (gram, s->n, s->squares, p->layer, job, error);
  return s->vectors != NULL;
}

/* (W·S)ᵀ·(W·S) with S = Q·√Λ; n_out > n_in. */
static bool
solve_right (SwageLowRank *s, double from, double upto, SwageJob *job, GError **error)
{
  const SwageLowRankProblem *p = &s->problem;
  int64_t n = p->cols;
  double damping = get_damping (p);

  s->lambda = g_new (double, (gsize)n);
  s->root = swage_dense_take_eigen (g_memdup2 (p->moment, (gsize)n * (gsize)n * sizeof (double)), n,
                                    s->lambda, p->layer, job, error);
  if (s->root == NULL)
    return false;
  double least = LAMBDA_FLOOR * (s->lambda[0] + damping);
  for (int64_t j = 0; j < n; j++)
    {
      s->lambda[j] = MAX (MAX (0, s->lambda[j]) + damping, least);
      double root = sqrt (s->lambda[j]);
      for (int64_t k = 0; k < n; k++)
        s->root[j * n + k] *= root;
    }

  s->product = g_malloc_n ((gsize)p->rows, (gsize)n * sizeof (double));
  SwageDenseView w = view_of_rows (p), root = { .d = s->root, .row_step = n, .depth_step = 1 };
  if (!swage_dense_multiply (&w, p->rows, &root, n, n, false, s->product, share (from, upto, 0.4),
                             share (from, upto, 0.6), job, error))
    return false;
  SwageDenseView cols = { .d = s->product, .row_step = 1, .depth_step = n };
  double *gram = g_malloc_n ((gsize)n, (gsize)n * sizeof (double));
  if (!swage_dense_multiply (&cols, n, &cols, n, p->rows, true, gram, share (from, upto, 0.6),
                             share (from, upto, 0.8), job, error))
    {
      g_free (gram);
      return false;
    }
  s->vectors = swage_dense_take_eigen (gram, n, s->squares, p->layer, job, error);
  return s->vectors != NULL;
}

/* Inputs that were all zero say nothing about the columns: then the plain problem is the one to solve. */
static bool
moment_is_zero (const SwageLowRankProblem *p)
{
  for (int64_t j = 0; j < p->cols; j++)
    if (p->moment[j * p->cols + j] > 0)
      return false;
  return true;
}

/* NUMERIC, naming layer and channel, when the moment is not finite or negative on its diagonal. */
static bool
check_moment (const double *moment, int64_t n, const char *layer, GError **error)
{
  for (int64_t i = 0; i < n; i++)
    {
      bool good = moment[i * n + i] >= 0;
      for (int64_t j = 0; j < n && good; j++)
        good = isfinite (moment[i * n + j]);
      if (!good)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                       _ ("%s: the calibration inputs of channel %" PRId64
                          " are not finite; an earlier layer may overflow on this text."),
                       layer, i);
          return false;
        }
    }
  return true;
}

bool
swage_low_rank_solve (SwageLowRank *solved, const SwageLowRankProblem *problem, double from, double upto,
                      SwageJob *job, GError **error)
{
  bool good;

  *solved = (SwageLowRank){ .problem = *problem, .n = MIN (problem->rows, problem->cols) };
  if (problem->moment != NULL && !check_moment (problem->moment, problem->cols, problem->layer, error))
    return false;
  if (problem->moment != NULL && moment_is_zero (problem))
    solved->problem.moment = NULL;
  solved->squares = g_new (double, (gsize)solved->n);
  if (solved->problem.moment == NULL)
    good = solve_plain (solved, from, upto, job, error);
  else if (problem->rows <= problem->cols)
    good = solve_left (solved, from, upto, job, error);
  else
    good = solve_right (solved, from, upto, job, error);
  if (!good)
    swage_low_rank_clear (solved);
  return good;
}

/* Share √σ between u_i, a unit vector, and P_i, of length σ_i in the plain problem: both become rows (of
 * length n and m) times the root of that length. A length of 0 leaves zeros. */
static void
split_length (double *u, int64_t n, double *p, int64_t m, int64_t rank)
{
  for (int64_t i = 0; i < rank; i++)
    {
      double square = 0;
      for (int64_t j = 0; j < m; j++)
        square += p[i * m + j] * p[i * m + j];
      double root = sqrt (sqrt (square));
      for (int64_t j = 0; j < n; j++)
        u[i * n + j] *= root;
      for (int64_t j = 0; j < m && root > 0; j++)
        p[i * m + j] /= root;
    }
}

/* a_i = v_i·Λ^(−½)·Qᵀ and b_i = W·S·v_i; the rows of `root` are q_j·√λ_j, so a_i = Σ_j (v_ij/λ_j)·root_j. */
static bool
factor_right (SwageLowRank *s, int64_t rank, double *a, double *b, double from, double upto, SwageJob *job,
              GError **error)
{
  int64_t n = s->n, rows = s->problem.rows;
  g_autofree double *scaled = g_malloc_n ((gsize)rank, (gsize)n * sizeof (double));
  SwageDenseView v = { .d = s->vectors, .row_step = n, .depth_step = 1 };
  SwageDenseView product = { .d = s->product, .row_step = n, .depth_step = 1 };
  SwageDenseView scaled_v = { .d = scaled, .row_step = n, .depth_step = 1 };
  SwageDenseView root_cols = { .d = s->root, .row_step = 1, .depth_step = n };

  for (int64_t i = 0; i < rank; i++)
    for (int64_t j = 0; j < n; j++)
      scaled[i * n + j] = s->vectors[i * n + j] / s->lambda[j];
  if (!swage_dense_multiply (&v, rank, &product, rows, n, false, b, from, share (from, upto, 0.6), job, error)
      || !swage_dense_multiply (&scaled_v, rank, &root_cols, n, n, false, a, share (from, upto, 0.6), upto,
                                job, error))
    return false;
  for (int64_t i = 0; i < rank; i++)
    {
      double aa = 0, bb = 0;
      for (int64_t j = 0; j < n; j++)
        aa += a[i * n + j] * a[i * n + j];
      for (int64_t j = 0; j < rows; j++)
        bb += b[i * rows + j] * b[i * rows + j];
      /* equal lengths; a singular value of 0 leaves zeros on both sides */
      double ratio = aa > 0 && bb > 0 ? sqrt (sqrt (bb / aa)) : 0;
      for (int64_t j = 0; j < n; j++)
        a[i * n + j] *= ratio;
      for (int64_t j = 0; j < rows; j++)
        b[i * rows + j] = ratio > 0 ? b[i * rows + j] / ratio : 0;
    }
  return true;
}

bool
swage_low_rank_take_factors (SwageLowRank *s, int64_t rank, double **a, double **b, double from, double upto,
                             SwageJob *job, GError **error)
{
  const SwageLowRankProblem *p = &s->problem;
  bool turned = p->moment == NULL && p->rows > p->cols;

  *a = *b = NULL;
  if (s->root != NULL)
    {
      *a = g_malloc_n ((gsize)rank, (gsize)p->cols * sizeof (double));
      *b = g_malloc_n ((gsize)rank, (gsize)p->rows * sizeof (double));
      if (factor_right (s, rank, *a, *b, from, upto, job, error))
        return true;
      g_clear_pointer (a, g_free);
      g_clear_pointer (b, g_free);
      return false;
    }

  /* the projection of the matrix on the vectors */
  int64_t m = turned ? p->rows : p->cols;
  double *other = g_malloc_n ((gsize)rank, (gsize)m * sizeof (double));
  SwageDenseView u = { .d = s->vectors, .row_step = s->n, .depth_step = 1 };
  SwageDenseView matrix = turned ? view_of_rows (p) : view_of_cols (p);
  if (!swage_dense_multiply (&u, rank, &matrix, m, s->n, false, other, from, upto, job, error))
    {
      g_free (other);
      return false;
    }
  split_length (s->vectors, s->n, other, m, rank);
  /* A holds the side of the inputs, B that of the outputs */
  *a = turned ? g_steal_pointer (&s->vectors) : other;
  *b = turned ? other : g_steal_pointer (&s->vectors);
  return true;
}

void
swage_low_rank_clear (SwageLowRank *s)
{
  g_clear_pointer (&s->squares, g_free);
  g_clear_pointer (&s->vectors, g_free);
  g_clear_pointer (&s->root, g_free);
  g_clear_pointer (&s->lambda, g_free);
  g_clear_pointer (&s->product, g_free);
}

int64_t
swage_low_rank_find_energy (const double *squares, int64_t n, double energy, int64_t multiple)
{
  double total = 0, kept = 0;
  int64_t rank = 0;

  for (int64_t i = n - 1; i >= 0; i--)
    total += MAX (0, squares[i]);
  for (; rank < n && (rank == 0 || kept < energy * total); rank++)
    kept += MAX (0, squares[rank]);
  /* the share of all is all: rounding must not lose the last of them */
  if (energy >= 1 && total > 0)
    for (rank = n; rank > 1 && squares[rank - 1] <= 0;)
      rank--;
  rank = (rank + multiple - 1) / multiple * multiple;
  return MIN (rank, n / multiple * multiple);
}

SwageWeight *
swage_low_rank_store (const double *rows, int64_t rank, int64_t length, bool turn, SwageType type, int bits,
                      int group_size, const char *layer, GError **error)
{
  g_autofree float *values = g_new (float, (gsize)(rank * length));
  double limit = type == SWAGE_TYPE_F16 || type == SWAGE_TYPE_INT ? 65504 : 3.3895e38;

  for (int64_t i = 0; i < rank; i++)
    for (int64_t j = 0; j < length; j++)
      {
        double v = rows[i * length + j];
        if (!(fabs (v) <= limit))
          {
            g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                         _ ("%s: a factor holds %g, which %s cannot express; take bf16 or f32."), layer, v,
                         swage_type_get_info (type)->id);
            return NULL;
          }
        values[turn ? j * rank + i : i * length + j] = (float)v;
      }
  int64_t n_rows = turn ? length : rank, n_cols = turn ? rank : length;
  if (type == SWAGE_TYPE_INT)
    return swage_weight_new_int_from_f32 (n_rows, n_cols, bits, group_size, true, values, NULL);
  return swage_weight_new_from_f32 (type, n_rows, n_cols, values, NULL);
}

const double *
swage_low_rank_get_moment (const SwageActStats *stats, int64_t n, const char *layer, GError **error)
{
  if (stats != NULL && stats->hessian != NULL && stats->n_in == n)
    return stats->hessian;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("%s: there are no statistics of the layer's inputs; give a calibration text."), layer);
  return NULL;
}
