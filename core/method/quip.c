/* SPDX-License-Identifier: MIT
 *
 * QuIP: quantization with incoherence processing (Chee, Cai, Kuleshov, De Sa 2023, arXiv 2307.13304).
 * Rounding is kindest to a weight whose entries are all of one size, in directions that the inputs treat
 * alike. So W and H are made *incoherent* first (algorithms 1 and 2):
 *
 *   rescale   W ← W·D, H ← D⁻¹·H·D⁻¹ with D = (diag H / diag WᵀW)^¼, which balances the two
 *   turn      W ← U·W·Vᵀ, H ← V·H·Vᵀ with random orthogonal U and V. Each is a Kronecker product of two small
 *             matrices, drawn from the uniform distribution, so that undoing it costs O(n √n); V comes after
 *             a random permutation
 *
 * Then all weights are rounded on one grid of 2^bits levels from −s to s, s = ρ·‖W‖_F/√(m·n), by LDLQ, that
 * is with the optimal linear feedback of errors from column to column (section 3; swage-columns.h), followed
 * by `passes` of greedy descent (QuIP-RG). The layer that results is
 *
 *   y = Uᵀ·(Ŵ·(V·P·D⁻¹·x))
 *
 * The levels lie at odd multiples of half a step, where plain integers have multiples of whole ones: the half
 * step, the same for all weights, is a matrix of rank one, and goes into the low-rank part: A = 1ᵀ,
 * B = d/2·Uᵀ·1.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-columns.h"
#include "core/method/swage-int-grid.h"
#include "core/method/swage-second-order.h"

#define BLOCK 128 /* columns that corrections are passed on from together */

/* Factors larger than this would cost more than what they are to save; a side that has none smaller (a prime)
 * is left as it is. */
#define MAX_FACTOR 512

typedef struct
{
  int bits;
  double rho, damp;
  bool rescale, rotate;
  int passes, seed;
} QuipParams;

static const SwageParam params[] = {
  SWAGE_INT (QuipParams, bits, 2, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."),
             .unit = N_ ("bits")),
  SWAGE_DOUBLE (QuipParams, rho, 2.4, 0.5, 10, N_ ("Range"),
                N_ ("Where the grid ends, in root mean squares of all weights; what lies beyond is clipped."),
                .soft_min = 1.5, .soft_max = 4),
  SWAGE_DOUBLE (QuipParams, damp, 0.01, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean second moment that is added to each channel's own; more trusts the "
                    "calibration text less."),
                .soft_max = 0.2),
  SWAGE_BOOL (QuipParams, rescale, true, N_ ("Rescale"),
              N_ ("Balance the sizes of weights and inputs channel by channel first.")),
  SWAGE_BOOL (QuipParams, rotate, true, N_ ("Rotate"),
              N_ ("Turn inputs and outputs randomly, so that no single weight stands out.")),
  SWAGE_INT (QuipParams, passes, 0, 0, 100, N_ ("Greedy passes"),
             N_ ("Passes of coordinate descent over the rounded weights."), .soft_max = 10),
  SWAGE_INT (QuipParams, seed, 0, 0, 2147483647, N_ ("Seed"), N_ ("Chooses the random rotations.")),
  { 0 },
};

/* n = a·b with a <= b as near to each other as can be. FALSE where b would be too large. */
static bool
find_factors (int64_t n, int *a, int *b)
{
  for (int64_t f = (int64_t)sqrt ((double)n) + 1; f >= 1; f--)
    if (n % f == 0 && f <= n / f)
      {
        *a = (int)f;
        *b = (int)MIN (n / f, G_MAXINT);
        return n / f <= MAX_FACTOR;
      }
  return false;
}

static uint64_t
count_transform_bytes (const QuipParams *p, int64_t n_in, int64_t n_out)
{
  uint64_t n = p->rescale ? (uint64_t)n_in * 4 : 0;
  int a, b;

  if (p->rotate && find_factors (n_in, &a, &b))
    n += 4 * ((uint64_t)n_in + (uint64_t)a * (uint64_t)a + (uint64_t)b * (uint64_t)b);
  if (p->rotate && find_factors (n_out, &a, &b))
    n += 4 * ((uint64_t)a * (uint64_t)a + (uint64_t)b * (uint64_t)b);
  return n;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const QuipParams *p = data;

  out->weight = (SwageStorage){
    .type = SWAGE_TYPE_INT, .bits = p->bits, .group_size = (int)MIN (in->n_in, G_MAXINT), .symmetric = true
  };
  out->parts &= ~SWAGE_PART_DENSE;
  out->parts |= SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK;
  out->rank = 1;
  out->a = out->b = (SwageStorage){ .type = SWAGE_TYPE_F16 };
  out->transform_bytes = count_transform_bytes (p, in->n_in, in->n_out);
  out->parts |= out->transform_bytes > 0 ? SWAGE_PART_TRANSFORM : 0;
  out->sparsity = 0;
  return true;
}

/* ---- random orthogonal matrices ---- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t
next_random (uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double
next_uniform (uint64_t *state)
{
  return ((double)(next_random (state) >> 11) + 0.5) * 0x1p-53;
}

/* n × n, uniformly distributed: the Gram-Schmidt basis of normal vectors, made twice for its rounding errors.
 */
static float *
new_orthogonal (int n, uint64_t *state)
{
  g_autofree double *q = g_new (double, (gsize)n *(gsize)n);
  float *result = g_new (float, (gsize)n *(gsize)n);

  for (int i = 0; i < n; i++)
    {
      double *v = q + (gsize)i * (gsize)n, norm = 0;
      for (int j = 0; j < n; j++)
        v[j] = sqrt (-2 * log (next_uniform (state))) * cos (2 * G_PI * next_uniform (state));
      for (int round = 0; round < 2; round++)
        for (int k = 0; k < i; k++)
          {
            const double *other = q + (gsize)k * (gsize)n;
            double dot = 0;
            for (int j = 0; j < n; j++)
              dot += v[j] * other[j];
            for (int j = 0; j < n; j++)
              v[j] -= dot * other[j];
          }
      for (int j = 0; j < n; j++)
        norm += v[j] * v[j];
      for (int j = 0; j < n; j++)
        v[j] /= sqrt (norm);
    }
  for (gsize i = 0; i < (gsize)n * (gsize)n; i++)
    result[i] = (float)q[i];
  return result;
}

static int32_t *
new_permutation (int64_t n, uint64_t *state)
{
  int32_t *p = g_new (int32_t, (gsize)n);

  for (int64_t i = 0; i < n; i++)
    p[i] = (int32_t)i;
  for (int64_t i = n - 1; i > 0; i--)
    {
      int64_t j = (int64_t)(next_uniform (state) * (double)(i + 1));
      int32_t t = p[i];
      p[i] = p[j];
      p[j] = t;
    }
  return p;
}

/* ---- the transform ---- */

typedef struct
{
  const float *w;
  int64_t rows, n;
  double *squares;
} Squares;

static void
sum_squares (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Squares *s = user_data;

  for (int64_t r = 0; r < s->rows; r++)
    for (int64_t j = begin; j < end; j++)
      s->squares[j] += (double)s->w[r * s->n + j] * (double)s->w[r * s->n + j];
}

/* D⁻¹: what the inputs are multiplied by. Channels nothing is known of, or that carry no weights, are kept
 * from running away. */
static float *
new_scale (const float *w, int64_t rows, int64_t n, const double *hessian)
{
  g_autofree double *squares = g_new0 (double, (gsize)n);
  float *scale = g_new (float, (gsize)n);
  double h_max = 0, w_max = 0, h_mean = 0;
  Squares s = { w, rows, n, squares };

  swage_pool_run (n, 64, sum_squares, &s);
  for (int64_t j = 0; j < n; j++)
    {
      h_max = MAX (h_max, hessian[j * n + j]);
      w_max = MAX (w_max, squares[j]);
      h_mean += hessian[j * n + j] / (double)n;
    }
  h_mean = h_max > 0 ? h_mean / h_max : 1;
  for (int64_t j = 0; j < n; j++)
    {
      double h = hessian[j * n + j] > 0 ? MAX (hessian[j * n + j] / h_max, 1e-8) : h_mean;
      double v = w_max > 0 ? MAX (squares[j] / w_max, 1e-8) : 1;
      scale[j] = (float)pow (v / h, 0.25);
    }
  return scale;
}

static SwageTransform *
new_transform (const QuipParams *p, const float *w, int64_t rows, int64_t n, const double *hessian,
               const SwageMethodContext *context)
{
  uint64_t state = context->seed ^ (uint64_t)p->seed << 32 ^ g_str_hash (context->layer);
  SwageTransform *t = g_new0 (SwageTransform, 1);
  int a, b;

  if (p->rescale)
    t->scale = new_scale (w, rows, n, hessian);
  if (p->rotate && find_factors (n, &a, &b))
    {
      t->permutation = new_permutation (n, &state);
      t->q1 = new_orthogonal (t->q1_n = a, &state);
      t->q2 = new_orthogonal (t->q2_n = b, &state);
    }
  if (p->rotate && find_factors (rows, &a, &b))
    {
      t->u1 = new_orthogonal (t->u1_n = a, &state);
      t->u2 = new_orthogonal (t->u2_n = b, &state);
    }
  return t;
}

typedef struct
{
  float *w;
  int64_t n;
  const SwageTransform *t;
} Scaling;

/* Rows of W·D·Pᵀ. */
static void
scale_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Scaling *s = user_data;
  g_autofree float *row = g_new (float, (gsize)s->n);

  for (int64_t r = begin; r < end; r++)
    {
      float *w = s->w + r * s->n;
      for (int64_t j = 0; j < s->n; j++)
        {
          int64_t from = s->t->permutation != NULL ? s->t->permutation[j] : j;
          row[j] = w[from] / (s->t->scale != NULL ? s->t->scale[from] : 1);
        }
      memcpy (w, row, (gsize)s->n * sizeof (float));
    }
}

/* w ← U·W·D·Pᵀ·Vᵀ */
static void
transform_weight (const SwageTransform *t, float *w, int64_t rows, int64_t n)
{
  Scaling scaling = { w, n, t };

  swage_pool_run (rows, 16, scale_rows, &scaling);
  if (t->q1 != NULL)
    {
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, w, n, rows, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, w, n, rows, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, t->q1, t->q1_n, t->q1_n, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, t->q2, t->q2_n, t->q2_n, 1, 1) } };
      swage_pool_run_op (swage_op_find ("rotate"), &call);
    }
  if (t->u1 != NULL)
    swage_linear_rotate_rows (w, n, t->u1, t->u1_n, t->u2, t->u2_n, false);
}

/* ---- rounding ---- */

typedef struct
{
  SwageIntGrid grid;
  float step, top; /* d; 2^bits − 1 */
} Quip;

static void
clear (Quip *v)
{
  swage_int_grid_clear (&v->grid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Quip, clear)

static float
round_weight (int64_t row, int64_t column, float w, void *user_data)
{
  Quip *v = user_data;
  float middle = v->top / 2, code = v->step > 0 ? rintf (w / v->step + middle) : rintf (middle);

  code = CLAMP (code, 0, v->top);
  v->grid.codes[row * v->grid.cols + column] = (uint8_t)code;
  return v->step * (code - middle);
}

/* d such that the outer levels lie at ±ρ·rms, as the half that will be stored. */
static float
choose_step (const QuipParams *p, const float *w, int64_t rows, int64_t n)
{
  double sum = 0;

  for (int64_t r = 0; r < rows; r++)
    {
      double row = 0;
      for (int64_t j = 0; j < n; j++)
        row += (double)w[r * n + j] * (double)w[r * n + j];
      sum += row;
    }
  double range = p->rho * sqrt (sum / ((double)rows * (double)n));
  return swage_f16_to_f32 (swage_f32_to_f16 ((float)MIN (65504.0, 2 * range / ((1 << p->bits) - 1))));
}

/* The half step: A is all ones, B is d/2·Uᵀ·1. */
static void
set_half_step (SwageLinear *out, float step)
{
  const SwageTransform *t = out->transform;
  g_autofree float *ones = g_new (float, (gsize)out->n_in);
  g_autofree float *half = g_new (float, (gsize)out->n_out);

  for (int64_t i = 0; i < out->n_in; i++)
    ones[i] = 1;
  for (int64_t i = 0; i < out->n_out; i++)
    half[i] = step / 2;
  if (t != NULL && t->u1 != NULL)
    swage_linear_rotate_rows (half, 1, t->u1, t->u1_n, t->u2, t->u2_n, true);
  swage_linear_set_low_rank (out, swage_weight_new_from_f32 (SWAGE_TYPE_F16, 1, out->n_in, ones, NULL),
                             swage_weight_new_from_f32 (SWAGE_TYPE_F16, out->n_out, 1, half, NULL));
}

static bool
is_finite (const SwageActStats *stats)
{
  double sum = 0;
  for (int64_t i = 0; i < stats->n_in * stats->n_in; i++)
    sum += stats->hessian[i] * 0.0;
  return sum == 0;
}

static bool
round_all (const QuipParams *p, Quip *v, float *w, const SwageSecondOrder *s, SwageJob *job, GError **error)
{
  int64_t rows = v->grid.rows, n = v->grid.cols;
  g_autofree float *original = p->passes > 0 ? g_memdup2 (w, (gsize)(rows * n) * sizeof (float)) : NULL;
  SwageColumnSolve solve = { .w = w,
                             .rows = rows,
                             .n = n,
                             .second = s,
                             .block = BLOCK,
                             .round = round_weight,
                             .user_data = v,
                             .from = 0.5,
                             .upto = p->passes > 0 ? 0.6 : 1,
                             .job = job };
  SwageColumnDescent descent = { .w = original,
                                 .w_hat = w,
                                 .rows = rows,
                                 .n = n,
                                 .h = s->h,
                                 .round = round_weight,
                                 .user_data = v,
                                 .n_passes = p->passes,
                                 .from = 0.6,
                                 .upto = 1,
                                 .job = job };

  return swage_columns_solve (&solve, error) && (p->passes == 0 || swage_columns_descend (&descent, error));
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const QuipParams *p = data;
  const SwageActStats *stats = context->stats;
  int64_t rows = in->n_out, n = in->n_in;
  bool known = stats != NULL && stats->hessian != NULL && stats->n_in == n && is_finite (stats);
  g_autoptr (SwageLinear) out = swage_linear_dup (in);
  g_autoptr (SwageActStats) turned = NULL;
  g_autofree float *w = swage_columns_load (
      in->weight, NULL, 65504.0f, _ ("scales are stored as half floats"), context->layer, job, error);
  if (w == NULL)
    return NULL;
  if (known) /* what follows refuses the rest */
    {
      SwageTransform *t = new_transform (p, w, rows, n, stats->hessian, context);
      transform_weight (t, w, rows, n);
      stats = turned = swage_act_stats_new_transformed (stats, t);
      if (count_transform_bytes (p, n, rows) > 0)
        out->transform = t;
      else
        swage_transform_free (t);
    }
  SwageSecondOrderOptions options = { .layer = context->layer,
                                      .method = "quip",
                                      .factors = SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK
                                                 | (p->passes > 0 ? SWAGE_FACTOR_HESSIAN : 0),
                                      .band = swage_columns_get_panel (n, BLOCK),
                                      .damping = p->damp,
                                      .from = 0.2,
                                      .upto = 0.5 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, job, error);
  if (s == NULL)
    return NULL;

  g_auto (Quip) v = { .step = choose_step (p, w, rows, n), .top = (float)((1 << p->bits) - 1) };
  swage_int_grid_init (&v.grid, rows, n, p->bits, (int)n, true);
  for (int64_t r = 0; r < rows; r++)
    v.grid.scales[r] = swage_f32_to_f16 (v.step);
  if (!round_all (p, &v, w, s, job, error))
    return NULL;
  swage_linear_set_weight (out, swage_int_grid_take_weight (&v.grid));
  set_half_step (out, v.step);
  return g_steal_pointer (&out);
}

const SwageMethod swage_method_quip = {
  .id = "quip",
  .version = 2,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("QuIP"),
  .summary
  = N_ ("Turns inputs and outputs randomly, so that no weight stands out, and rounds all weights on one "
        "grid with feedback of errors. Made for 2 bits, where groups and scales cost too much."),
  .paper = "Chee et al. 2023, arXiv 2307.13304",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK | SWAGE_PART_TRANSFORM,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (QuipParams),
  .cost = cost,
  .apply = apply,
};
