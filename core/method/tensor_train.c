/* SPDX-License-Identifier: MIT
 *
 * Tensor trains for embeddings (Xu et al. 2023, TensorGPT): every row of the table is read as a tensor of
 * d_1 × … × d_N and stored as a chain of small cores,
 *
 *   x[i_1 … i_N] = G_1[i_1]·G_2[i_2]·…·G_N[i_N],     G_k[i] an r_{k−1} × r_k matrix, r_0 = r_N = 1
 *
 * so a token is still looked up alone, and tokens can come and go. The cores come from TT-SVD (Oseledets
 * 2011): what is left is unfolded to (r_{k−1}·d_k) × rest, its r_k largest left singular vectors become core
 * k, and its projection on them is what is left for the next. Cores before the last are orthonormal, so the
 * squared error is the sum of what the N − 1 truncations cut off, each measured on what the earlier ones
 * left, and within √(N − 1) of the best train of these ranks.
 *
 * Singular vectors of the small unfoldings are eigenvectors of the smaller of its two Gram matrices, by
 * cyclic Jacobi rotations in double: no library, the same bits on every machine.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-rows.h"
#include "kernels/swage-layout.h"

typedef struct
{
  int by, rank;
  double size_ratio;
  int cores;
} TrainParams;

enum
{
  BY_RANK,
  BY_SIZE_RATIO
};
static const char *const by_choices[] = { "rank", "size_ratio", NULL };

#define LARGEST 65504.0 /* of a half float, which cores are stored in */

static const SwageParam params[] = {
  SWAGE_CHOICE (
      TrainParams, by, BY_SIZE_RATIO, by_choices, N_ ("Choose by"),
      N_ ("What decides how large the cores are: a bound on their ranks, or the size of the result.")),
  SWAGE_INT (TrainParams, rank, 4, 1, SWAGE_TT_MAX_RANK, N_ ("Rank"),
             N_ ("Largest rank between two cores; the shape may ask for less."), .soft_min = 1,
             .soft_max = 16, .when = "by=rank"),
  SWAGE_DOUBLE (TrainParams, size_ratio, 0.5, 0.001, 4, N_ ("Size"),
                N_ ("Bytes of all cores as a share of the bytes that the table takes before this step."),
                .soft_min = 0.05, .soft_max = 1, .when = "by=size_ratio"),
  SWAGE_INT (TrainParams, cores, 3, 1, SWAGE_TT_MAX_CORES, N_ ("Cores"),
             N_ ("Dimensions that a row is read as; they are made as equal as its length allows."),
             .soft_min = 2, .soft_max = 6),
  { 0 },
};

/* The bound on the ranks; 0 with INVALID. */
static int
find_rank (const TrainParams *p, const SwageLinearSpec *in, GError **error)
{
  int64_t dims[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];

  if (in->n_in > INT32_MAX)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("rows of %" PRId64 " values are too long."),
                   in->n_in);
      return 0;
    }
  if (p->by == BY_RANK)
    return p->rank;
  double had = (double)swage_weight_count_bytes (in->weight.type, in->weight.bits, in->weight.group_size,
                                                 in->weight.symmetric, in->n_out, in->n_in);
  for (int rank = SWAGE_TT_MAX_RANK; rank >= 1; rank--)
    {
      double bytes = 2.0 * (double)swage_tt_shape (in->n_in, p->cores, rank, dims, ranks) * (double)in->n_out;
      if (bytes <= p->size_ratio * had)
        return rank;
    }
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("even rank 1 with %d cores takes more than %g of the table's bytes; raise size_ratio or "
                  "cores."),
               p->cores, p->size_ratio);
  return 0;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const TrainParams *p = data;
  int rank = find_rank (p, in, error);

  if (rank == 0)
    return false;
  out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= SWAGE_PART_PACKED;
  out->weight
      = (SwageStorage){ .type = SWAGE_TYPE_TT, .bits = p->cores, .group_size = rank, .symmetric = true };
  out->sparsity = 0;
  return true;
}

/* ---- a row ---- */

/* Eigenvectors (columns of v) and values of the symmetric n × n matrix a, which is used up, by cyclic Jacobi
 * rotations; order[k] is the column with the k-th largest value. */
static void
find_eigen (double *a, int64_t n, double *v, int64_t *order)
{
  for (int64_t i = 0; i < n * n; i++)
    v[i] = i / n == i % n;
  for (int sweep = 0; sweep < 30; sweep++)
    {
      double off = 0, diagonal = 0;
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
          *(i == j ? &diagonal : &off) += a[i * n + j] * a[i * n + j];
      if (off <= 1e-26 * diagonal)
        break;
      for (int64_t p = 0; p < n; p++)
        for (int64_t q = p + 1; q < n; q++)
          {
            double apq = a[p * n + q];
            if (apq == 0)
              continue;
            double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
            double t = (theta >= 0 ? 1 : -1) / (fabs (theta) + sqrt (theta * theta + 1));
            double c = 1 / sqrt (t * t + 1), s = t * c;
            for (int64_t k = 0; k < n; k++)
              {
                double x = a[k * n + p], y = a[k * n + q];
                a[k * n + p] = c * x - s * y;
                a[k * n + q] = s * x + c * y;
              }
            for (int64_t k = 0; k < n; k++)
              {
                double x = a[p * n + k], y = a[q * n + k];
                a[p * n + k] = c * x - s * y;
                a[q * n + k] = s * x + c * y;
                x = v[k * n + p];
                y = v[k * n + q];
                v[k * n + p] = c * x - s * y;
                v[k * n + q] = s * x + c * y;
              }
          }
    }
  for (int64_t i = 0; i < n; i++) /* insertion: equal values keep their order */
    {
      int64_t at = i;
      for (; at > 0 && a[order[at - 1] * n + order[at - 1]] < a[i * n + i]; at--)
        order[at] = order[at - 1];
      order[at] = i;
    }
}

typedef struct
{
  double *rest, *next, *gram, *vectors, *core;
  int64_t *order;
} Scratch;

/* rest (m × n) ≈ core (m × r, orthonormal columns) · next (r × n). */
static void
split (Scratch *s, int64_t m, int64_t n, int r)
{
  bool left = m <= n;
  int64_t size = left ? m : n;

  for (int64_t i = 0; i < size; i++)
    for (int64_t j = 0; j <= i; j++)
      {
        double sum = 0;
        for (int64_t k = 0; k < (left ? n : m); k++)
          sum += left ? s->rest[i * n + k] * s->rest[j * n + k] : s->rest[k * n + i] * s->rest[k * n + j];
        s->gram[i * size + j] = s->gram[j * size + i] = sum;
      }
  find_eigen (s->gram, size, s->vectors, s->order);
  for (int c = 0; c < r; c++)
    {
      int64_t column = s->order[c];
      if (left)
        {
          for (int64_t i = 0; i < m; i++)
            s->core[i * r + c] = s->vectors[i * size + column];
        }
      else /* u = A·v / σ */
        {
          double square = 0;
          for (int64_t i = 0; i < m; i++)
            {
              double sum = 0;
              for (int64_t k = 0; k < n; k++)
                sum += s->rest[i * n + k] * s->vectors[k * size + column];
              s->core[i * r + c] = sum;
              square += sum * sum;
            }
          for (int64_t i = 0; i < m; i++)
            s->core[i * r + c] = square > 0 ? s->core[i * r + c] / sqrt (square) : 0;
        }
      for (int64_t k = 0; k < n; k++)
        {
          double sum = 0;
          for (int64_t i = 0; i < m; i++)
            sum += s->core[i * r + c] * s->rest[i * n + k];
          s->next[c * n + k] = sum;
        }
    }
}

typedef struct
{
  int64_t n, n_numbers;
  int n_cores;
  int64_t dims[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];
  uint16_t *cores;
  int64_t most_rest, most_gram, most_core; /* room that the steps need */
} Training;

static void
train_rows (int64_t row, int64_t n_rows, float *values, int worker, void *user_data)
{
  const Training *t = user_data;
  Scratch s = { .rest = g_new (double, (gsize)t->most_rest),
                .next = g_new (double, (gsize)t->most_rest),
                .gram = g_new (double, (gsize)(t->most_gram * t->most_gram)),
                .vectors = g_new (double, (gsize)(t->most_gram * t->most_gram)),
                .core = g_new (double, (gsize)t->most_core),
                .order = g_new (int64_t, (gsize)t->most_gram) };

  for (int64_t i = row; i < row + n_rows; i++, values += t->n)
    {
      uint16_t *out = t->cores + i * t->n_numbers;
      int64_t rest = t->n;
      for (int64_t j = 0; j < t->n; j++)
        s.rest[j] = (double)values[j];
      for (int k = 0; k + 1 < t->n_cores; k++)
        {
          int64_t m = t->ranks[k] * t->dims[k];
          rest /= t->dims[k];
          split (&s, m, rest, t->ranks[k + 1]);
          for (int64_t j = 0; j < m * t->ranks[k + 1]; j++)
            *out++ = swage_f32_to_f16 ((float)s.core[j]);
          double *swap = s.rest;
          s.rest = s.next;
          s.next = swap;
        }
      for (int64_t j = 0; j < t->ranks[t->n_cores - 1] * rest; j++)
        *out++ = swage_f32_to_f16 ((float)s.rest[j]);
    }
  g_free (s.rest);
  g_free (s.next);
  g_free (s.gram);
  g_free (s.vectors);
  g_free (s.core);
  g_free (s.order);
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const TrainParams *p = data;
  const SwageWeight *w = in->weight;
  SwageLinearSpec spec;

  swage_linear_spec_init_from (&spec, in);
  int rank = find_rank (p, &spec, error);
  if (rank == 0)
    {
      g_prefix_error (error, "%s: ", context->layer);
      return NULL;
    }
  Training t = { .n = w->cols, .n_cores = p->cores, .most_rest = w->cols, .most_gram = 1, .most_core = 1 };
  t.n_numbers = swage_tt_shape (w->cols, p->cores, rank, t.dims, t.ranks);
  for (int64_t k = 0, rest = t.n; k + 1 < t.n_cores; k++)
    {
      int64_t m = t.ranks[k] * t.dims[k];
      rest /= t.dims[k];
      t.most_rest = MAX (t.most_rest, t.ranks[k + 1] * rest);
      t.most_gram = MAX (t.most_gram, MIN (m, rest));
      t.most_core = MAX (t.most_core, m * t.ranks[k + 1]);
    }
  SwageRowWalk walk = { .weight = w,
                        .layer = context->layer,
                        /* the last core carries the row's length */
                        .limit = (float)(LARGEST / sqrt ((double)w->cols)),
                        .limit_reason = _ ("cores are stored as f16, which ends at 65504"),
                        .job = job };
  t.cores = g_malloc_n ((gsize)w->rows, (gsize)t.n_numbers * sizeof (uint16_t));
  if (!swage_rows_walk (&walk, train_rows, &t, error))
    {
      g_free (t.cores);
      return NULL;
    }
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (
      out, swage_weight_new_layout (
               SWAGE_TYPE_TT, w->rows, w->cols, p->cores, rank, true,
               g_bytes_new_take (t.cores, (gsize)w->rows * (gsize)t.n_numbers * sizeof (uint16_t)), NULL));
  return out;
}

const SwageMethod swage_method_tensor_train = {
  .id = "tensor_train",
  .version = 1,
  .family = SWAGE_FAMILY_FACTORIZATION,
  .title = N_ ("Tensor train"),
  .summary = N_ (
      "Stores every row of a table as a chain of small tensors of its own: for token embeddings where single "
      "tokens must stay apart. Needs no text; GGUF cannot hold it."),
  .paper = "Xu et al. 2023, TensorGPT, arXiv 2307.00526; Oseledets 2011, SIAM J. Sci. Comput. 33(5)",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (TrainParams),
  .cost = cost,
  .apply = apply,
};
