/* SPDX-License-Identifier: MIT
 *
 * SparseGPT: one-shot pruning with second-order weight updates (Frantar, Alistarh 2023, arXiv 2301.00774).
 * What removing a weight does to the outputs is made up for by the weights of its row that are still to come.
 * With H the second moments of the layer's inputs, damped, and H⁻¹ = Uᵀ·U (U upper triangular, the paper's
 * Cholesky factor), columns go from left to right; column i of a row becomes q_i, which is 0, or w_i, and
 *
 *   w_j ← w_j − (w_i − q_i)/U_ii · U_ij    for all j > i
 *
 * Which weights go is decided by the error that it costs, ε_ij = w_ij² / U_jj² (the paper's w²/[H⁻¹]_cc):
 *   unstructured  for each block of Bs columns at once, over all rows, when the block's turn comes, so that
 *                 the sparsity may differ from column to column ("adaptive mask selection", section 3.3)
 *   N:M           for each M neighbours of a row when their turn comes
 *
 * With the type `int` the weights that stay are rounded to integers in groups in the same pass (section 3.4,
 * "joint sparsification and quantization"): q_i is then the rounded w_i and later weights make up for both.
 * Otherwise the weight keeps its type, and rounding to that is made up for as well.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-columns.h"
#include "core/method/swage-int-grid.h"
#include "core/method/swage-prune.h"
#include "core/method/swage-second-order.h"

typedef struct
{
  int pattern;
  double sparsity, damp;
  int block_size;
  int type;
  int bits, group_size;
  bool symmetric;
} SparsegptParams;

enum
{
  TYPE_KEEP,
  TYPE_INT
};
static const char *const types[] = { "keep", "int", NULL };

static const SwageParam params[] = {
  SWAGE_CHOICE (
      SparsegptParams, pattern, 0, swage_prune_patterns, N_ ("Pattern"),
      N_ ("Which weights may stay: any, or N of every M neighbours, which some hardware runs faster.")),
  SWAGE_DOUBLE (SparsegptParams, sparsity, 0.5, 0, 1, N_ ("Sparsity"),
                N_ ("Share of the layer's weights that become zero."), .soft_max = 0.9,
                .when = "pattern=unstructured"),
  SWAGE_DOUBLE (SparsegptParams, damp, 0.01, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean second moment that is added to each channel's own; more trusts the "
                    "calibration text less."),
                .soft_max = 0.2),
  SWAGE_INT (SparsegptParams, block_size, 128, 1, 65536, N_ ("Block size"),
             N_ ("Columns among which the weights to go are chosen together."), .soft_min = 16,
             .soft_max = 512, .when = "pattern=unstructured"),
  SWAGE_CHOICE (SparsegptParams, type, TYPE_KEEP, types, N_ ("Type"),
                N_ ("How the weights that stay are stored: as they were, or rounded in the same pass.")),
  SWAGE_INT (SparsegptParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."), .unit = N_ ("bits"),
             .when = "type=int"),
  SWAGE_INT (SparsegptParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256, .when = "type=int"),
  SWAGE_BOOL (SparsegptParams, symmetric, true, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side."),
              .when = "type=int"),
  { 0 },
};

static bool
check (const void *data, GError **error)
{
  const SparsegptParams *p = data;
  SwagePattern pattern = swage_prune_get_pattern (p->pattern);

  if (p->type == TYPE_INT && pattern.of > 0 && p->group_size % pattern.of != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("group_size is %d, and the pattern %d:%d needs a multiple of %d."), p->group_size,
                   pattern.keep, pattern.of, pattern.of);
      return false;
    }
  return true;
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const SparsegptParams *p = data;

  if (!swage_prune_cost (swage_prune_get_pattern (p->pattern), p->sparsity, true, in, out, error))
    return false;
  if (p->type == TYPE_INT)
    {
      out->weight = (SwageStorage){
        .type = SWAGE_TYPE_INT, .bits = p->bits, .group_size = p->group_size, .symmetric = p->symmetric
      };
      out->parts &= ~SWAGE_PART_DENSE;
      out->parts |= SWAGE_PART_PACKED;
    }
  return true;
}

typedef struct
{
  const SparsegptParams *p;
  SwagePattern pattern;
  SwageType float_type; /* of a weight that keeps it */
  int64_t rows, n;
  float *w;
  const SwageSecondOrder *second;
  double *cost; /* by column: 1/U_jj², or next to nothing for dead channels */
  float *importance;
  /* the block at work: 1 for a weight that stays, rows × width */
  int64_t b0, b1;
  float *mask;
  double *scores;
  uint64_t *scratch;
  int64_t n_gone; /* so far */
  /* TYPE_INT */
  SwageIntGrid grid;
  uint8_t *begins;
} Pruning;

/* w²/U² over a block, and a mask of those that stay. */
static void
score_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Pruning *v = user_data;
  int64_t width = v->b1 - v->b0;

  for (int64_t r = begin; r < end; r++)
    for (int64_t j = 0; j < width; j++)
      {
        double w = (double)v->w[r * v->n + v->b0 + j];
        v->scores[r * width + j] = w * w * v->cost[v->b0 + j];
        v->mask[r * width + j] = 1;
      }
}

/* Exactly the share of all columns so far is gone after each block, so of the whole layer in the end. */
static void
begin_block (int64_t c0, int64_t c1, void *user_data)
{
  Pruning *v = user_data;

  v->b0 = c0;
  v->b1 = c1;
  if (v->pattern.of > 0)
    return;
  int64_t gone = swage_prune_count (v->p->sparsity, v->rows * c1);
  swage_pool_run (v->rows, 16, score_rows, v);
  swage_prune_row (v->mask, v->scores, v->rows * (c1 - c0), gone - v->n_gone, v->scratch);
  v->n_gone = gone;
}

/* The mask of some neighbours of a row. */
static void
choose_pattern (Pruning *v, int64_t row, int64_t c0, int64_t c1)
{
  double score[16];
  float *mask = v->mask + row * (v->b1 - v->b0) + c0 - v->b0;

  for (int64_t j = c0; j < c1; j++)
    {
      double w = (double)v->w[row * v->n + j];
      score[j - c0] = w * w * v->cost[j];
      mask[j - c0] = 1;
    }
  swage_prune_row_pattern (mask, score, c1 - c0, v->pattern);
}

/* What the weights of a group that begins at c0 will be when those of the block that go are made up for, and
 * none is rounded: `w` and `importance` of the group's n columns. Scales fit that better than what is there
 * now, the more so the more weights go. */
static void
look_ahead (const Pruning *v, int64_t row, int64_t c0, int64_t n, float *w, float *importance)
{
  int m = v->pattern.of;

  n = MIN (n, v->b1 - c0);
  for (int64_t i = 0; i < n; i++)
    {
      const float *u = v->second->u + (c0 + i) * v->second->u_stride + c0;
      if (m > 0 && i % m == 0)
        {
          double score[16];
          for (int k = 0; k < m; k++)
            {
              score[k] = (double)w[i + k] * (double)w[i + k] * v->cost[c0 + i + k];
              v->mask[row * (v->b1 - v->b0) + c0 - v->b0 + i + k] = 1;
            }
          swage_prune_row_pattern (v->mask + row * (v->b1 - v->b0) + c0 - v->b0 + i, score, m, v->pattern);
        }
      if (v->mask[row * (v->b1 - v->b0) + c0 - v->b0 + i] != 0)
        continue;
      float e = w[i] / u[i];
      for (int64_t j = i + 1; j < n; j++)
        w[j] -= e * u[j];
      w[i] = importance[i] = 0;
    }
}

/* Scales and zero points of groups that begin here. */
static void
begin_span (int64_t r0, int64_t r1, int64_t c0, int64_t c1, void *user_data)
{
  Pruning *v = user_data;
  int64_t g = c0 / v->p->group_size;

  if (v->begins == NULL || !v->begins[c0])
    return;
  gsize n = (gsize)swage_int_grid_length (&v->grid, g);
  g_autofree float *w = g_new (float, n);
  g_autofree float *importance = g_new (float, n);
  for (int64_t r = r0; r < r1; r++)
    {
      memcpy (w, v->w + r * v->n + c0, n * sizeof (float));
      memcpy (importance, v->importance + c0, n * sizeof (float));
      look_ahead (v, r, c0, (int64_t)n, w, importance);
      swage_int_grid_choose (&v->grid, r, g, w, importance);
    }
}

/* Whether a weight stays. N:M is decided at the first of its M neighbours, when the corrections for
 * everything before them are in; no span ends among them. */
static bool
stays (Pruning *v, int64_t row, int64_t column)
{
  if (v->pattern.of > 0 && column % v->pattern.of == 0)
    choose_pattern (v, row, column, column + v->pattern.of);
  return v->mask[row * (v->b1 - v->b0) + column - v->b0] != 0;
}

static float
round_float (int64_t row, int64_t column, float w, void *user_data)
{
  Pruning *v = user_data;

  if (!stays (v, row, column))
    return 0;
  switch (v->float_type)
    {
    case SWAGE_TYPE_BF16:
      return swage_bf16_to_f32 (swage_f32_to_bf16 (w));
    case SWAGE_TYPE_F16:
      return swage_f16_to_f32 (swage_f32_to_f16 (CLAMP (w, -65504.0f, 65504.0f)));
    default:
      return w;
    }
}

static float
round_int (int64_t row, int64_t column, float w, void *user_data)
{
  Pruning *v = user_data;
  return swage_int_grid_round (&v->grid, row, column, stays (v, row, column) ? w : 0);
}

static void
clear (Pruning *v)
{
  g_free (v->w);
  g_free (v->cost);
  g_free (v->importance);
  g_free (v->mask);
  g_free (v->scores);
  g_free (v->scratch);
  g_free (v->begins);
  swage_int_grid_clear (&v->grid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pruning, clear)

/* What a weight is worth: its square times this. Dead channels are worth nothing, so they go first, by size.
 */
static void
init_costs (Pruning *v, const SwageSecondOrder *s)
{
  v->cost = g_new (double, (gsize)v->n);
  v->importance = g_new (float, (gsize)v->n);
  for (int64_t j = 0; j < v->n; j++)
    {
      double d = s->pivot[j] * s->pivot[j];
      v->cost[j] = s->dead[j] ? d * 1e-30 : d;
      v->importance[j] = (float)(d / s->mean);
    }
}

static void
init_buffers (Pruning *v, int64_t width)
{
  const SparsegptParams *p = v->p;
  gsize n = (gsize)(v->rows * width);

  v->mask = g_new (float, n);
  if (v->pattern.of == 0)
    {
      v->scores = g_new (double, n);
      v->scratch = g_new (uint64_t, n);
    }
  if (p->type != TYPE_INT)
    return;
  swage_int_grid_init (&v->grid, v->rows, v->n, p->bits, p->group_size, p->symmetric);
  v->begins = g_malloc ((gsize)v->n);
  for (int64_t i = 0; i < v->n; i++)
    v->begins[i] = i % p->group_size == 0;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const SparsegptParams *p = data;
  bool joint = p->type == TYPE_INT;
  SwagePattern pattern = swage_prune_get_pattern (p->pattern);
  int multiple = MAX (1, pattern.of);
  int64_t block = pattern.of > 0 ? 128 : MIN (p->block_size, in->n_in);

  block = (block + multiple - 1) / multiple * multiple;
  SwageSecondOrderOptions options = { .layer = context->layer,
                                      .method = "sparsegpt",
                                      .factors = SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK,
                                      .band = swage_columns_get_panel (in->n_in, block),
                                      .damping = p->damp,
                                      .upto = 0.5 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (context->stats, in->n_in, &options, job, error);
  if (s == NULL)
    return NULL;

  g_auto (Pruning) v = {
    .p = p, .pattern = pattern, .float_type = in->weight->type, .rows = in->n_out, .n = in->n_in, .second = s
  };
  SwageColumnSolve solve = { .rows = v.rows,
                             .n = v.n,
                             .second = s,
                             .block = block,
                             .begin_block = begin_block,
                             .begin_span = begin_span,
                             .round = joint ? round_int : round_float,
                             .user_data = &v,
                             .from = 0.5,
                             .upto = 1,
                             .job = job };
  v.w = swage_columns_load (in->weight, NULL, joint ? 65504.0f : 0, _ ("the scales of int end at 65504"),
                            context->layer, NULL, error);
  if (v.w == NULL)
    return NULL;
  solve.w = v.w;
  init_costs (&v, s);
  init_buffers (&v, solve.block);
  solve.begins = v.begins;
  if (!swage_columns_solve (&solve, error))
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (out, joint ? swage_int_grid_take_weight (&v.grid)
                                      : swage_weight_new_from_f32 (v.float_type, v.rows, v.n, v.w, NULL));
  return out;
}

const SwageMethod swage_method_sparsegpt = {
  .id = "sparsegpt",
  .version = 2,
  .family = SWAGE_FAMILY_PRUNING,
  .title = N_ ("SparseGPT"),
  .summary
  = N_ ("Sets the weights to zero that cost least on a calibration text and lets the others of their "
        "row make up for it. The best one-shot pruning here at a sparsity of 0.5 and more; slower than "
        "Wanda, and able to round to integers in the same pass."),
  .paper = "Frantar and Alistarh 2023, arXiv 2301.00774",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (SparsegptParams),
  .check = check,
  .cost = cost,
  .apply = apply,
};
