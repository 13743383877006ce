/* SPDX-License-Identifier: MIT
 *
 * LoRC, low-rank compensation (Yao et al. 2023, ZeroQuant-V2): what quantizing took from a layer is given
 * back approximately, by a matrix of small rank beside it,
 *
 *   E = W − Ŵ ≈ Er = Û·V̂,     Û = Ur·√Σr,  V̂ = √Σr·Vrᵀ,     y = x·Ŵᵀ + (x·V̂ᵀ)·Ûᵀ
 *
 * W being the layer before its recipe. It goes after the step that quantizes. The paper finds rank 8 enough
 * and 8 bits for the factors harmless. With `whiten` the error of the outputs is what is approximated, which
 * the paper does not do: Zhang et al. 2024 (LQER, arXiv 2402.02446) do so with a diagonal; here it is the
 * full second moment.
 *
 * A layer with a transformed input multiplies T·x, and so do its factors: then E is the error of the matrix
 * behind the transform, E·(R·P·diag(s))⁻¹.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-low-rank.h"

typedef struct
{
  int rank, type, bits, group_size;
  bool whiten;
  double damp;
} LorcParams;

static const char *const types[] = { "f32", "f16", "bf16", "int", NULL };

static const SwageParam params[] = {
  SWAGE_INT (LorcParams, rank, 8, 1, 65536, N_ ("Rank"),
             N_ ("How many singular values of the error are given back; each costs n_in + n_out values."),
             .soft_min = 1, .soft_max = 64),
  SWAGE_CHOICE (LorcParams, type, 1 /* f16 */, types, N_ ("Type"),
                N_ ("How the factors are stored; 8-bit integers halve them at hardly any loss.")),
  SWAGE_INT (LorcParams, bits, 8, 2, 8, N_ ("Bits"), N_ ("Bits for each value of the factors."),
             .unit = N_ ("bits"), .when = "type=int"),
  SWAGE_INT (LorcParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring values of a factor's row that share a scale."), .soft_min = 32,
             .soft_max = 256, .when = "type=int"),
  SWAGE_BOOL (LorcParams, whiten, false, N_ ("Whiten"),
              N_ ("Give back what the outputs miss most on the calibration text, not what the weights do; "
                  "needs a text.")),
  SWAGE_DOUBLE (LorcParams, damp, 1e-6, 0, 1, N_ ("Damping"),
                N_ ("Share of the mean squared input that every channel is given on top of its own."),
                .soft_min = 0, .soft_max = 0.1, .when = "whiten=true"),
  { 0 },
};

static SwageNeeds
get_needs (const void *data)
{
  return ((const LorcParams *)data)->whiten ? SWAGE_NEED_HESSIAN : SWAGE_NEED_NONE;
}

static SwageStorage
get_storage (const LorcParams *p)
{
  SwageType type = swage_type_from_id (types[p->type]);

  if (type != SWAGE_TYPE_INT)
    return (SwageStorage){ .type = type };
  return (SwageStorage){ .type = type, .bits = p->bits, .group_size = p->group_size, .symmetric = true };
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const LorcParams *p = data;
  int64_t full = MIN (in->n_in, in->n_out);

  if (p->rank > full)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("a matrix of %" PRId64 " × %" PRId64 " has rank %" PRId64
                      " at most, not %d; choose a smaller rank."),
                   in->n_out, in->n_in, full, p->rank);
      return false;
    }
  if (p->whiten && in->parts & SWAGE_PART_TRANSFORM)
    {
      g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                           _ ("the layer's input is transformed, and whitening wants to see it as it was "
                              "measured; turn whiten off."));
      return false;
    }
  out->parts |= SWAGE_PART_LOW_RANK;
  out->rank = p->rank;
  out->a = out->b = get_storage (p);
  return true;
}

typedef struct
{
  const SwageLinear *original, *in;
  const float *kept; /* the effective matrix of `in` */
  float *lost;
  GMutex lock;
  int64_t bad; /* the first row with a number that is none, or −1 */
} Losing;

/* row ← Q1·M·Q2ᵀ, M being `row` as q1_n × q2_n: what undoes the rotation of a row of the effective matrix. */
static void
unrotate (const SwageTransform *t, int64_t n, double *row, double *tmp)
{
  int64_t n2 = t->q2 != NULL ? t->q2_n : n / MAX (1, t->q1_n), n1 = n / n2;

  if (t->q2 != NULL)
    {
      for (int64_t i = 0; i < n1; i++)
        for (int64_t b = 0; b < n2; b++)
          {
            double sum = 0;
            for (int64_t d = 0; d < n2; d++)
              sum += row[i * n2 + d] * (double)t->q2[b * n2 + d];
            tmp[i * n2 + b] = sum;
          }
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
  if (t->q1 != NULL)
    {
      memset (tmp, 0, (size_t)n * sizeof (double));
      for (int64_t a = 0; a < n1; a++)
        for (int64_t c = 0; c < n1; c++)
          for (int64_t d = 0; d < n2; d++)
            tmp[a * n2 + d] += (double)t->q1[a * n1 + c] * row[c * n2 + d];
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
}

static void
find_lost_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  Losing *l = user_data;
  const SwageTransform *t = l->in->transform;
  int64_t n = l->in->n_in;
  g_autofree double *row = g_new (double, (gsize)n);
  g_autofree double *tmp = g_new (double, (gsize)n);
  g_autofree float *before = g_new (float, (gsize)n);

  for (int64_t i = begin; i < end; i++)
    {
      bool finite = true;
      swage_weight_decode (l->original->weight, i, i + 1, before);
      for (int64_t j = 0; j < n; j++)
        {
          row[j] = (double)before[j] - (double)l->kept[i * n + j];
          finite = finite && isfinite (row[j]);
        }
      if (!finite)
        {
          g_mutex_lock (&l->lock);
          l->bad = l->bad < 0 || i < l->bad ? i : l->bad;
          g_mutex_unlock (&l->lock);
          continue;
        }
      if (t != NULL && t->scale != NULL)
        for (int64_t j = 0; j < n; j++) /* what a scale of 0 has cut off, nothing behind it can mend */
          row[j] = t->scale[j] != 0 ? row[j] / (double)t->scale[j] : 0;
      if (t != NULL && t->permutation != NULL)
        {
          for (int64_t j = 0; j < n; j++)
            tmp[j] = row[t->permutation[j]];
          memcpy (row, tmp, (size_t)n * sizeof (double));
        }
      if (t != NULL)
        unrotate (t, n, row, tmp);
      for (int64_t j = 0; j < n; j++)
        l->lost[i * n + j] = (float)row[j];
    }
}

/* E, n_out × n_in; NULL with NUMERIC. */
static float *
find_lost (const SwageLinear *in, const SwageMethodContext *context, GError **error)
{
  g_autofree float *kept = swage_linear_get_effective (in);
  g_autofree float *lost = g_malloc_n ((gsize)in->n_out, (gsize)in->n_in * sizeof (float));
  Losing l = { .original = context->original, .in = in, .kept = kept, .lost = lost, .bad = -1 };

  g_mutex_init (&l.lock);
  swage_pool_run (in->n_out, MAX (1, 32768 / in->n_in), find_lost_rows, &l);
  g_mutex_clear (&l.lock);
  if (l.bad < 0)
    return g_steal_pointer (&lost);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
               _ ("%s: a weight in row %" PRId64 " is not a number or infinite; the checkpoint is damaged "
                  "there."),
               context->layer, l.bad);
  return NULL;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const LorcParams *p = data;
  SwageStorage storage = get_storage (p);

  if (!swage_job_step (job, 0, 1, error))
    return NULL;
  g_autofree float *lost = find_lost (in, context, error);
  if (lost == NULL)
    return NULL;
  SwageLowRankProblem problem
      = { .values = lost, .rows = in->n_out, .cols = in->n_in, .damp = p->damp, .layer = context->layer };
  if (p->whiten)
    {
      problem.moment = swage_low_rank_get_moment (context->stats, in->n_in, context->layer, error);
      if (problem.moment == NULL)
        return NULL;
    }
  g_auto (SwageLowRank) solved = { 0 };
  g_autofree double *a_rows = NULL, *b_rows = NULL;
  if (!swage_low_rank_solve (&solved, &problem, 0.1, 0.9, job, error)
      || !swage_low_rank_take_factors (&solved, p->rank, &a_rows, &b_rows, 0.9, 1, job, error))
    return NULL;
  g_autoptr (SwageWeight) a = swage_low_rank_store (a_rows, p->rank, in->n_in, false, storage.type,
                                                    storage.bits, storage.group_size, context->layer, error);
  if (a == NULL)
    return NULL;
  SwageWeight *b = swage_low_rank_store (b_rows, p->rank, in->n_out, true, storage.type, storage.bits,
                                         storage.group_size, context->layer, error);
  if (b == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_low_rank (out, g_steal_pointer (&a), b);
  return out;
}

const SwageMethod swage_method_lorc = {
  .id = "lorc",
  .version = 1,
  .family = SWAGE_FAMILY_COMPENSATION,
  .title = N_ ("LoRC"),
  .summary
  = N_ ("Adds a product of two thin matrices that gives back what the steps before it took from the weights: "
        "the best one of its rank. Put it after a step that quantizes to few bits; it costs little."),
  .paper = "Yao et al. 2023, ZeroQuant-V2, arXiv 2303.08302",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts
  = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_SPARSE | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_LOW_RANK,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (LorcParams),
  .cost = cost,
  .apply = apply,
  .get_needs = get_needs,
};
