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
 * How. With M the one of W and Wᵀ that has fewer rows (n), G = M·Mᵀ has the left singular vectors of M as
 * eigenvectors and σ² as eigenvalues. G is summed in double from float weights, so σ is known to about
 * 10⁻⁸·σ_1, better than a decomposition of W in float could give, and an n × n eigenproblem costs a fraction
 * of an SVD when W is far from square. The other factor is P = Urᵀ·M, which makes the result the exact
 * projection M → Ur·Urᵀ·M: with r = n nothing is lost whatever the small eigenvalues look like.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-dense.h"
#include "core/method/swage-rows.h"

typedef struct
{
  int by, rank;
  double energy, size_ratio;
  int multiple, type;
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

/* The smallest multiple of `multiple` of the largest eigenvalues that carries the share `energy` of them all.
 */
static int64_t
find_energy_rank (const double *values, int64_t n, double energy, int64_t multiple)
{
  double total = 0, kept = 0;
  int64_t rank = 0;

  for (int64_t i = n - 1; i >= 0; i--)
    total += MAX (0, values[i]);
  for (; rank < n && (rank == 0 || kept < energy * total); rank++)
    kept += MAX (0, values[rank]);
  /* the share of all is all: rounding must not lose the last of them */
  if (energy >= 1 && total > 0)
    for (rank = n; rank > 1 && values[rank - 1] <= 0;)
      rank--;
  rank = (rank + multiple - 1) / multiple * multiple;
  return MIN (rank, n / multiple * multiple);
}

/* Share √σ between u_i and P_i = σ_i v_iᵀ: both become rows (of length n and m) times √σ_i. A σ of 0 leaves
 * zeros. */
static void
split_sigma (double *u, int64_t n, double *p, int64_t m, int64_t rank)
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

/* rank × length doubles as a weight, turned over when `turn`. */
static SwageWeight *
store_factor (const double *rows, int64_t rank, int64_t length, bool turn, SwageType type, const char *layer,
              GError **error)
{
  g_autofree float *values = g_new (float, (gsize)(rank * length));
  double limit = type == SWAGE_TYPE_F16 ? 65504 : 3.3895e38;

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
  return turn ? swage_weight_new_from_f32 (type, length, rank, values, NULL)
              : swage_weight_new_from_f32 (type, rank, length, values, NULL);
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

  g_autofree float *all = g_malloc_n ((gsize)w->rows, (gsize)w->cols * sizeof (float));
  void *copy_data[] = { all, (void *)w };
  SwageRowWalk walk = { .weight = w, .layer = context->layer, .n_passes = 20, .job = job };
  if (!swage_rows_walk (&walk, copy_rows, copy_data, error))
    return NULL;

  /* M is n × m with n ≤ m */
  bool turned = w->rows > w->cols;
  int64_t n = MIN (w->rows, w->cols), m = MAX (w->rows, w->cols);
  SwageDenseView rows_of_m
      = { .f = all, .row_step = turned ? 1 : w->cols, .depth_step = turned ? w->cols : 1 };
  SwageDenseView cols_of_m = { .f = all, .row_step = rows_of_m.depth_step, .depth_step = rows_of_m.row_step };

  double *gram = g_malloc_n ((gsize)n, (gsize)n * sizeof (double));
  if (!swage_dense_multiply (&rows_of_m, n, &rows_of_m, n, m, true, gram, 0.05, 0.3, job, error))
    {
      g_free (gram);
      return NULL;
    }
  g_autofree double *values = g_new (double, (gsize)n);
  g_autofree double *u = swage_dense_take_eigen (gram, n, values, context->layer, job, error);
  if (u == NULL)
    return NULL;
  if (params_->by == BY_ENERGY)
    rank = find_energy_rank (values, n, params_->energy, params_->multiple);

  g_autofree double *p = g_malloc_n ((gsize)rank, (gsize)m * sizeof (double));
  SwageDenseView rows_of_u = { .d = u, .row_step = n, .depth_step = 1 };
  if (!swage_dense_multiply (&rows_of_u, rank, &cols_of_m, m, n, false, p, 0.8, 1.0, job, error))
    return NULL;
  split_sigma (u, n, p, m, rank);

  /* A holds the side of the inputs, B that of the outputs */
  g_autoptr (SwageWeight) a
      = store_factor (turned ? u : p, rank, w->cols, false, type, context->layer, error);
  if (a == NULL)
    return NULL;
  SwageWeight *b = store_factor (turned ? p : u, rank, w->rows, true, type, context->layer, error);
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
      "approximation of that rank. A step after it may pack the factors."),
  .paper = "Eckart and Young 1936, Psychometrika 1(3)",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM,
  .emits = SWAGE_PART_LOW_RANK,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (SvdParams),
  .cost = cost,
  .apply = apply,
};
