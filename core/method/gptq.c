/* SPDX-License-Identifier: MIT
 *
 * GPTQ: rounding with second-order error feedback (Frantar, Ashkboos, Hoefler, Alistarh 2022, arXiv
 * 2210.17323). With H = 2/n·Σ x xᵀ over calibration inputs, damped, and H⁻¹ = Uᵀ·U, the columns of W are
 * rounded in turn, and what rounding column i costs is made up for by all later ones (eq. 2, 3 and the
 * Cholesky form of section 3.3, step 3):
 *
 *   e = (w_i − round (w_i)) / U_ii,     w_j −= e·U_ij  for j > i
 *
 * This file does the same in the form of swage-feedback.h, which needs no inverse.
 *
 * What the paper leaves to a grid "fixed before the process" is, for the types of GGUF, a question of its
 * own: scales in two levels over 256 columns. They are chosen when the first column of a block comes up, for
 * the weights as the feedback has changed them by then, by the type's own search with column j's error
 * weighted by D_j, which is what it will cost. With `act_order` (columns of larger inputs first) or
 * `static_groups` all scales are chosen before anything is rounded, because a file's layout does not allow
 * blocks to follow the order.
 *
 * A token table that is the output layer too is used in two ways: as a matrix, with the error that H
 * measures, and row by row, where the error of a row is ‖w − ŵ‖². The sum of both is the error under H + λ·I,
 * so it is a matter of damping: `tied_damp`. (On the sample model at Q2_K, damping the table by 1 instead of
 * 0.01 lowers the KL divergence by 15 %.)
 *
 * Beyond the paper, and set by `sweeps` and `refine`: descent over codes and scales from where GPTQ ends
 * (swage-descent.c). With `sweeps` 0 this is the paper's algorithm.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/method/swage-feedback.h"
#include "core/method/swage-rows.h"

#define ROWS SWAGE_TARGET_ROWS

typedef struct
{
  int type;
  int bits, group_size;
  bool symmetric;
  double damp, tied_damp;
  bool act_order, static_groups;
  int sweeps;
  bool refine;
  int block;
} GptqParams;

static const SwageParam params[] = {
  SWAGE_CHOICE (GptqParams, type, SWAGE_TARGET_DEFAULT_TYPE, swage_target_types, N_ ("Type"),
                N_ ("How the weights are stored; fewer bits make a smaller model and a larger error.")),
  SWAGE_INT (GptqParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."), .unit = N_ ("bits"),
             .when = "type=int"),
  SWAGE_INT (GptqParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256, .when = "type=int"),
  SWAGE_BOOL (GptqParams, symmetric, true, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side."),
              .when = "type=int"),
  SWAGE_DOUBLE (GptqParams, damp, 0.01, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean squared input that is added to every channel's: more of it trusts the "
                    "calibration text less."),
                .soft_max = 0.1),
  SWAGE_DOUBLE (
      GptqParams, tied_damp, 1, 0, 10, N_ ("Damping of a tied table"),
      N_ ("The same for a token table that is the output layer too: its rows are also read as they are, so "
          "their own errors must count beside those of the output."),
      .soft_max = 5),
  SWAGE_BOOL (GptqParams, act_order, false, N_ ("Activation order"),
              N_ ("Round the columns that matter most first, with all scales chosen beforehand.")),
  SWAGE_BOOL (GptqParams, static_groups, false, N_ ("Static groups"),
              N_ ("Choose all scales before anything is rounded instead of group by group on the way."),
              .when = "act_order=false"),
  SWAGE_INT (
      GptqParams, sweeps, 4, 0, 100, N_ ("Sweeps"),
      N_ ("Passes of coordinate descent over all weights after the rounding; 0 ends where the paper does."),
      .soft_max = 10),
  SWAGE_BOOL (GptqParams, refine, true, N_ ("Refine scales"), N_ ("Let those passes change scales too.")),
  SWAGE_INT (GptqParams, block, 256, 32, 4096, N_ ("Block"),
             N_ ("Columns whose errors are passed on to the others together; it changes the speed alone."),
             .soft_min = 128, .soft_max = 1024),
  { 0 },
};

static SwageStorage
get_storage (const GptqParams *p)
{
  return swage_target_get_storage (p->type, p->bits, p->group_size, p->symmetric);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  SwageStorage storage = get_storage (data);
  return swage_target_cost (&storage, in, out, error);
}

/* What a thread works with. */
typedef struct
{
  SwageTarget *target;
  float *row;     /* ROWS × n: decoded */
  float *x, *e;   /* n × ROWS, in the working order */
  float *ordered; /* n × ROWS: e by column, where the order is another */
  float *scratch;
} Bench;

typedef struct
{
  SwageRounder rounder;
  SwageStorage to;
  const SwageWeight *from;
  int64_t n, groups;
  bool ordered; /* the order is not left to right */
  size_t row_bytes;
  uint8_t *codes, *zeros;
  uint16_t *scales;
  Bench *benches; /* one per worker */
} Gptq;

static void
bench_init (Bench *b, const Gptq *g)
{
  gsize size = (gsize)g->n * ROWS;

  b->target = swage_target_new (&g->to, g->n);
  b->row = g_new (float, size);
  b->x = g_new (float, size);
  b->e = g_new (float, size);
  b->ordered = g->ordered ? g_new (float, size) : NULL;
  b->scratch = g_new (float, swage_rounder_get_scratch (&g->rounder, b->target));
}

static void
bench_clear (Bench *b)
{
  swage_target_free (b->target);
  g_free (b->row);
  g_free (b->x);
  g_free (b->e);
  g_free (b->ordered);
  g_free (b->scratch);
}

/* Rows [row, row + n) of the weight as columns in the working order; lanes beyond n are 0. */
static void
load_rows (const Gptq *g, Bench *b, int64_t row, int64_t n)
{
  swage_weight_decode (g->from, row, row + n, b->row);
  memset (b->row + n * g->n, 0, (size_t)((ROWS - n) * g->n) * sizeof (float));
  for (int64_t p0 = 0; p0 < g->n; p0 += 16)
    for (int r = 0; r < ROWS; r++)
      for (int64_t p = p0; p < MIN (g->n, p0 + 16); p++)
        b->x[p * ROWS + r] = b->row[r * g->n + g->rounder.second->order[p]];
}

static void
round_slice (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Gptq *g = user_data;
  Bench *b = &g->benches[worker];

  if (swage_job_is_cancelled (g->rounder.job))
    return;
  if (b->target == NULL)
    bench_init (b, g);
  load_rows (g, b, begin, end - begin);
  swage_feedback_run (&g->rounder, b->target, b->x, b->e, b->scratch);
  if (g->rounder.sweeps > 0)
    {
      for (int64_t p = 0; p < g->n && g->ordered; p++)
        memcpy (b->ordered + g->rounder.second->order[p] * ROWS, b->e + p * ROWS, ROWS * sizeof (float));
      swage_descent_run (&g->rounder, b->target, g->ordered ? b->ordered : b->e, b->scratch);
    }
  for (int64_t r = begin; r < end; r++)
    swage_target_write (b->target, (int)(r - begin), g->codes + (size_t)r * g->row_bytes,
                        g->scales != NULL ? g->scales + r * g->groups : NULL,
                        g->zeros != NULL ? g->zeros + r * g->groups : NULL);
}

static void
look_at_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
}

/* H by column, whatever the working order. Takes over the array of `second`, in place. */
typedef struct
{
  const SwageSecondOrder *second;
  float *h;
} Unordering;

static void
unorder_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Unordering *u = user_data;
  int64_t n = u->second->n;

  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < n; j++)
      u->h[i * n + j] = u->second->h[(int64_t)u->second->position[i] * n + u->second->position[j]];
}

/* D_j by column, or NULL when all are the same: then the plain search does. */
static float *
get_importance (const SwageSecondOrder *s)
{
  g_autofree float *importance = g_new (float, (gsize)s->n);
  bool same = true;

  for (int64_t j = 0; j < s->n; j++)
    {
      double pivot = s->pivot[s->position[j]];
      importance[j] = (float)(pivot * pivot / s->mean);
      same = same && fabsf (importance[j] - importance[0]) <= 1e-6f * importance[0];
    }
  return same ? NULL : g_steal_pointer (&importance);
}

static SwageWeight *
take_weight (Gptq *g)
{
  gsize rows = (gsize)g->from->rows;
  GBytes *codes = g_bytes_new_take (g_steal_pointer (&g->codes), rows * g->row_bytes);

  if (g->to.type != SWAGE_TYPE_INT)
    return swage_weight_new (g->to.type, g->from->rows, g->n, codes);
  GBytes *scales
      = g_bytes_new_take (g_steal_pointer (&g->scales), rows * (gsize)g->groups * sizeof (uint16_t));
  GBytes *zeros
      = g->zeros != NULL ? g_bytes_new_take (g_steal_pointer (&g->zeros), rows * (gsize)g->groups) : NULL;
  return swage_weight_new_int (g->from->rows, g->n, g->to.bits, g->to.group_size, g->to.symmetric, codes,
                               scales, zeros);
}

static SwageWeight *
round_weight (const GptqParams *p, const SwageWeight *w, const SwageStorage *to,
              const SwageSecondOrder *second, const float *h, SwageJob *job, GError **error)
{
  g_autofree float *importance = get_importance (second);
  atomic_int_fast64_t done = 0;
  gsize rows = (gsize)w->rows;
  int n_workers = swage_pool_get_threads ();
  Gptq g = { .to = *to, .from = w, .n = w->cols, .ordered = p->act_order };
  SwageWeight *weight = NULL;

  g.rounder = (SwageRounder){ .blas = swage_blas_get (),
                              .second = second,
                              .h = h,
                              .importance = importance,
                              .n = w->cols,
                              .block = (p->block + 31) / 32 * 32,
                              .static_groups = p->static_groups || p->act_order,
                              .sweeps = p->sweeps,
                              .refine = p->refine,
                              .job = job,
                              .from = 0.3,
                              .upto = 1,
                              .n_slices = (w->rows + ROWS - 1) / ROWS,
                              .done = &done };
  if (to->type == SWAGE_TYPE_INT)
    {
      g.row_bytes = swage_int_row_bytes (g.n, to->bits);
      g.groups = swage_int_groups (g.n, to->group_size);
      g.scales = g_new (uint16_t, rows * (gsize)g.groups);
      g.zeros = to->symmetric ? NULL : g_malloc (rows * (gsize)g.groups);
    }
  else
    g.row_bytes = swage_type_row_bytes (to->type, g.n);
  g.codes = g_malloc_n (rows, g.row_bytes);
  g.benches = g_new0 (Bench, (gsize)n_workers);
  swage_pool_run (w->rows, ROWS, round_slice, &g);
  for (int i = 0; i < n_workers; i++)
    bench_clear (&g.benches[i]);
  g_free (g.benches);
  if (swage_job_step (job, 1, 1, error))
    weight = take_weight (&g);
  g_free (g.codes);
  g_free (g.scales);
  g_free (g.zeros);
  return weight;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const GptqParams *p = data;
  SwageStorage to = get_storage (p);
  SwageRowWalk walk = { .weight = in->weight,
                        .layer = context->layer,
                        .limit = 65504.0f,
                        .limit_reason = _ ("packed weights keep their scales as half floats"),
                        .n_passes = 20,
                        .job = job };
  if (!swage_rows_walk (&walk, look_at_rows, NULL, error))
    return NULL;
  if (swage_target_is_stored_so (in->weight, &to)) /* rounding once more could only move values */
    return swage_linear_dup (in);

  SwageSecondOrderOptions options
      = { .layer = context->layer,
          .method = "gptq",
          .factors = SWAGE_FACTOR_FEEDBACK | (p->sweeps > 0 ? SWAGE_FACTOR_HESSIAN : 0),
          .damping = context->role == SWAGE_ROLE_TOKEN_EMBD ? MAX (p->damp, p->tied_damp) : p->damp,
          .act_order = p->act_order,
          .from = 0.05,
          .upto = 0.3 };
  g_autoptr (SwageSecondOrder) second
      = swage_second_order_new (context->stats, in->n_in, &options, job, error);
  if (second == NULL)
    return NULL;
  if (second->h != NULL && p->act_order)
    {
      Unordering u = { second, g_malloc_n ((gsize)second->n, (gsize)second->n * sizeof (float)) };
      swage_pool_run (second->n, 16, unorder_rows, &u);
      g_free (second->h);
      second->h = u.h;
    }
  SwageWeight *weight = round_weight (p, in->weight, &to, second, second->h, job, error);
  if (weight == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (out, weight);
  return out;
}

const SwageMethod swage_method_gptq = {
  .id = "gptq",
  .version = 2,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("GPTQ"),
  .summary
  = N_ ("Rounds weights column by column and lets the later ones make up for the errors of the earlier ones, "
        "as "
        "measured on a calibration text. For every packed type; the smaller the type, the more it gains over "
        "round to nearest."),
  .paper = "Frantar et al. 2022, arXiv 2210.17323",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE
             | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (GptqParams),
  .cost = cost,
  .apply = apply,
};
