/* SPDX-License-Identifier: MIT
 *
 * Truncated singular value decomposition: W is replaced by the product of two thin matrices,
 *
 *   W ≈ Wr = Σ_{i≤r} σ_i u_i v_iᵀ,      y = (x·A)·B,   A = V √Σ,   B = √Σ Uᵀ
 *
 * which is the best approximation of rank r in the Frobenius norm (Eckart and Young 1936): the squared error
 * is the sum of the σ_i² left out. It pays when r·(n_in + n_out) < n_in·n_out; √Σ goes to both factors so
 * that both can be packed equally well afterwards.
 *
 * With `whiten`, it is the best one for the layer's outputs on the calibration text (Wang et al. 2024,
 * SVD-LLM): with S·Sᵀ = X·Xᵀ the singular values of W·S are truncated, and their squares are exactly what
 * ‖(W − Wr)·X‖² grows by. How both are computed is told in swage-low-rank.c.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/method/swage-low-rank.h"
#include "core/method/swage-rows.h"

typedef struct
{
  int by, rank;
  double energy, size_ratio;
  int multiple, type;
  bool whiten;
  double damp;
} SvdParams;

enum
{
  BY_RANK,
  BY_ENERGY,
  BY_SIZE_RATIO
};
static const char *const by_choices[] = { "rank", "energy", "size_ratio", NULL };
static const char *const types[] = { "f32", "f16", "bf16", NULL };

static const SwageParam params[] = {
  SWAGE_CHOICE (SvdParams, by, BY_SIZE_RATIO, by_choices, N_ ("Choose by"),
                N_ ("What decides how many singular values stay: their number, the share of the squared "
                    "weights that they carry, or the size of the result.")),
  SWAGE_INT (SvdParams, rank, 64, 1, 65536, N_ ("Rank"),
             N_ ("How many singular values stay; the factors are smaller than the matrix while this is below "
                 "n_in·n_out/(n_in+n_out)."),
             .soft_min = 1, .soft_max = 1024, .when = "by=rank"),
  SWAGE_DOUBLE (SvdParams, energy, 0.95, 0.01, 1, N_ ("Energy"),
                N_ ("Share of the sum of squared weights that stays."), .soft_min = 0.5, .soft_max = 1,
                .when = "by=energy"),
  SWAGE_DOUBLE (SvdParams, size_ratio, 0.5, 0.001, 4, N_ ("Size"),
                N_ ("Bytes of both factors as a share of the bytes that the weight takes before this step."),
                .soft_min = 0.05, .soft_max = 1, .when = "by=size_ratio"),
  SWAGE_INT (SvdParams, multiple, 1, 1, 256, N_ ("Multiple"),
             N_ ("The rank is rounded to a multiple of this, up for energy and down for size, so that a "
                 "block type can pack the factors."),
             .when = "by=energy|size_ratio"),
  SWAGE_CHOICE (SvdParams, type, 1 /* f16 */, types, N_ ("Type"),
                N_ ("How the factors are stored; a later step may pack them.")),
  SWAGE_BOOL (
      SvdParams, whiten, false, N_ ("Whiten"),
      N_ ("Keep what matters most to the layer's outputs on the calibration text, not to its weights; "
          "needs a text and is better at every size.")),
  SWAGE_DOUBLE (SvdParams, damp, 1e-6, 0, 1, N_ ("Damping"),
                N_ ("Share of the mean squared input that every channel is given on top of its own, so that "
                    "channels which the text does not use keep their weights."),
                .soft_min = 0, .soft_max = 0.1, .when = "whiten=true"),
  { 0 },
};

/* Rank, and whether it is known before the weights are. 0 with INVALID when the layer cannot be factored so.
 */
static int64_t
find_rank (const SvdParams *p, const SwageLinearSpec *in, bool *exact, GError **error)
{
  int64_t full = MIN (in->n_in, in->n_out), rank = full;

  *exact = true;
  switch (p->by)
    {
    case BY_RANK:
      if (p->rank > full)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("a matrix of %" PRId64 " × %" PRId64 " has rank %" PRId64
                          " at most, not %d; choose a smaller rank, or choose by size_ratio."),
                       in->n_out, in->n_in, full, p->rank);
          return 0;
        }
      return p->rank;
    case BY_ENERGY:
      *exact = false;
      break;
    default:
      {
        double had
            = (double)swage_weight_count_bytes (in->weight.type, in->weight.bits, in->weight.group_size,
                                                in->weight.symmetric, in->n_out, in->n_in);
        SwageType type = swage_type_from_id (types[p->type]);
        double each
            = (double)swage_type_row_bytes (type, in->n_in) + (double)swage_type_row_bytes (type, in->n_out);
        rank = (int64_t)MIN ((double)full, floor (p->size_ratio * had / each));
      }
      break;
    }
  rank = rank / p->multiple * p->multiple;
  if (rank < 1)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        p->by == BY_ENERGY
            ? _ ("no rank of a matrix of %" PRId64 " × %" PRId64 " is a multiple of %d; lower multiple.")
            : _ ("the size leaves a matrix of %" PRId64 " × %" PRId64
                 " no rank that is a multiple of %d; raise size_ratio or lower multiple."),
        in->n_out, in->n_in, p->multiple);
  return rank;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SvdParams *p = data;
  bool exact;
  int64_t rank = find_rank (p, in, &exact, error);

  if (rank < 1)
    return false;
  if (p->whiten && in->parts & SWAGE_PART_TRANSFORM)
    {
      g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                           _ ("the layer's input is already transformed, and whitening wants to see it as it "
                              "was measured; move this step before the one that transforms it."));
      return false;
    }
  out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= SWAGE_PART_LOW_RANK;
  out->weight = (SwageStorage){ 0 };
  out->sparsity = 0;
  out->rank = rank;
  out->a = out->b = (SwageStorage){ .type = swage_type_from_id (types[p->type]) };
  if (!exact)
    {
      out->exact = false;
      out->rank_multiple = p->multiple;
    }
  return true;
}

static void
copy_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  float *all = ((void **)user_data)[0];
  const SwageWeight *w = ((void **)user_data)[1];
  memcpy (all + row * w->cols, values, (size_t)(n * w->cols) * sizeof (float));
}

/* The weights as floats; NULL when cancelled or when one is not a number. */
static float *
decode (const SwageWeight *w, const char *layer, SwageJob *job, GError **error)
{
  float *all = g_malloc_n ((gsize)w->rows, (gsize)w->cols * sizeof (float));
  void *copy_data[] = { all, (void *)w };
  SwageRowWalk walk = { .weight = w, .layer = layer, .n_passes = 20, .job = job };

  if (swage_rows_walk (&walk, copy_rows, copy_data, error))
    return all;
  g_free (all);
  return NULL;
}

/* Solve the problem that the parameters pose; `values` must outlive it. */
static bool
solve (SwageLowRank *solved, const SvdParams *p, const SwageWeight *w, const float *values,
       const SwageMethodContext *context, double upto, SwageJob *job, GError **error)
{
  SwageLowRankProblem problem
      = { .values = values, .rows = w->rows, .cols = w->cols, .damp = p->damp, .layer = context->layer };

  if (p->whiten)
    {
      problem.moment = swage_low_rank_get_moment (context->stats, w->cols, context->layer, error);
      if (problem.moment == NULL)
        return false;
    }
  return swage_low_rank_solve (solved, &problem, 0.05, upto, job, error);
}

static double *
get_spectrum (const void *data, const SwageLinear *in, const SwageMethodContext *context, int64_t *n,
              SwageJob *job, GError **error)
{
  g_autofree float *values = decode (in->weight, context->layer, job, error);
  g_auto (SwageLowRank) solved = { 0 };

  if (values == NULL)
    return NULL;
  if (!solve (&solved, data, in->weight, values, context, 1, job, error))
    return NULL;
  *n = solved.n;
  for (int64_t i = 0; i < solved.n; i++) /* rounding may leave a zero a little below it */
    solved.squares[i] = MAX (0, solved.squares[i]);
  return g_steal_pointer (&solved.squares);
}

static SwageNeeds
get_needs (const void *data)
{
  return ((const SvdParams *)data)->whiten ? SWAGE_NEED_HESSIAN : SWAGE_NEED_NONE;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SvdParams *params_ = data;
  const SwageWeight *w = in->weight;
  SwageType type = swage_type_from_id (types[params_->type]);
  SwageLinearSpec spec;
  bool exact;

  swage_linear_spec_init_from (&spec, in);
  int64_t rank = find_rank (params_, &spec, &exact, error);
  if (rank < 1)
    {
      g_prefix_error (error, "%s: ", context->layer);
      return NULL;
    }

  g_autofree float *values = decode (w, context->layer, job, error);
  if (values == NULL)
    return NULL;
  g_auto (SwageLowRank) solved = { 0 };
  if (!solve (&solved, params_, w, values, context, 0.8, job, error))
    return NULL;
  if (params_->by == BY_ENERGY)
    rank = swage_low_rank_find_energy (solved.squares, solved.n, params_->energy, params_->multiple);

  g_autofree double *a_rows = NULL, *b_rows = NULL;
  if (!swage_low_rank_take_factors (&solved, rank, &a_rows, &b_rows, 0.8, 1, job, error))
    return NULL;
  g_autoptr (SwageWeight) a
      = swage_low_rank_store (a_rows, rank, w->cols, false, type, 0, 0, context->layer, error);
  if (a == NULL)
    return NULL;
  SwageWeight *b = swage_low_rank_store (b_rows, rank, w->rows, true, type, 0, 0, context->layer, error);
  if (b == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_low_rank (out, g_steal_pointer (&a), b);
  swage_linear_set_weight (out, NULL);
  return out;
}

const SwageMethod swage_method_svd = {
  .id = "svd",
  .version = 1,
  .family = SWAGE_FAMILY_FACTORIZATION,
  .title = N_ ("Truncated SVD"),
  .summary = N_ (
      "Replaces the matrix by the product of two thin ones that carry its largest singular values: the best "
      "approximation of that rank, of the weights or (whitened) of the outputs. A step after it may pack the "
      "factors."),
  .paper = "Eckart and Young 1936, Psychometrika 1(3); Wang et al. 2024, arXiv 2403.07378",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM,
  .emits = SWAGE_PART_LOW_RANK,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (SvdParams),
  .cost = cost,
  .apply = apply,
  .get_needs = get_needs,
  .get_spectrum = get_spectrum,
};
