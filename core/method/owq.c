/* SPDX-License-Identifier: MIT
 *
 * OWQ: outlier-aware weight quantization (Lee, Jin, Kim, Kim, Park 2023, arXiv 2306.02272). A few input
 * channels carry activation outliers, and whatever their weights lose is multiplied by those. Such *weak*
 * columns stay at 16 bits, the others are rounded as in GPTQ. How weak column j is, is what its rounding
 * would cost (eq. 3):
 *
 *   sensitivity_j = λ_j · ‖ΔW_{:,j}‖²      λ_j = H_jj, ΔW = W − round (W)
 *
 * The weak columns come last in the order of work: they are never rounded, and make up for the errors of all
 * others. They leave the integers (where their code stands for 0 and counts as nothing when scales are
 * chosen) and become the column-wise part S of the layer.
 *
 * How many: the paper's budget is `extra_bits` for each weight of the layer; a column that is not rounded
 * costs 16 bits instead of `bits`, so k = extra_bits·n_in / (16 − bits), and one at least.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/method/swage-columns.h"
#include "core/method/swage-int-grid.h"
#include "core/method/swage-second-order.h"

#define BLOCK 128 /* columns that corrections are passed on from together */

typedef struct
{
  int bits, group_size;
  bool symmetric;
  double extra_bits, damp;
  bool act_order;
} OwqParams;

static const SwageParam params[] = {
  SWAGE_INT (OwqParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."),
             .unit = N_ ("bits")),
  SWAGE_INT (OwqParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256),
  SWAGE_BOOL (OwqParams, symmetric, false, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side.")),
  SWAGE_DOUBLE (
      OwqParams, extra_bits, 0.01, 0, 4, N_ ("Extra bits"),
      N_ ("Bits a weight that may be spent on columns that stay as they are: the most sensitive ones, "
          "one at least; 0 keeps none."),
      .unit = N_ ("bits"), .soft_max = 0.25),
  SWAGE_DOUBLE (OwqParams, damp, 0.01, 0, 10, N_ ("Damping"),
                N_ ("Share of the mean second moment that is added to each channel's own; more trusts the "
                    "calibration text less."),
                .soft_max = 0.2),
  SWAGE_BOOL (OwqParams, act_order, false, N_ ("Activation order"),
              N_ ("Round the more sensitive columns first; scales are then chosen beforehand.")),
  { 0 },
};

static int64_t
count_weak (const OwqParams *p, int64_t n_in)
{
  if (p->extra_bits <= 0)
    return 0;
  int64_t n = (int64_t)floor (p->extra_bits * (double)n_in / (16 - p->bits) + 0.5);
  return CLAMP (n, MIN (1, n_in - 1), n_in - 1);
}

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const OwqParams *p = data;
  int64_t n_weak = count_weak (p, in->n_in);

  out->weight = (SwageStorage){
    .type = SWAGE_TYPE_INT, .bits = p->bits, .group_size = p->group_size, .symmetric = p->symmetric
  };
  out->parts &= ~SWAGE_PART_DENSE;
  out->parts |= SWAGE_PART_PACKED;
  if (n_weak > 0)
    {
      out->parts |= SWAGE_PART_SPARSE;
      out->n_sparse = n_weak * in->n_out;
      out->sparse_columns = n_weak;
      out->sparse_type = SWAGE_TYPE_F16;
    }
  return true;
}

/* ---- which columns, and in which order ---- */

typedef struct
{
  const float *w, *rounded;
  int64_t rows, n;
  double *lost; /* ‖ΔW_j‖² */
} Losses;

static void
sum_losses (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Losses *l = user_data;

  for (int64_t r = 0; r < l->rows; r++)
    for (int64_t j = begin; j < end; j++)
      {
        double d = (double)l->w[r * l->n + j] - (double)l->rounded[r * l->n + j];
        l->lost[j] += d * d;
      }
}

typedef struct
{
  double sensitivity;
  int32_t column;
} Ranked;

static int
compare_ranked (const void *a, const void *b)
{
  const Ranked *x = a, *y = b;
  if (x->sensitivity > y->sensitivity || x->sensitivity < y->sensitivity)
    return x->sensitivity > y->sensitivity ? -1 : 1;
  return x->column < y->column ? -1 : x->column > y->column;
}

/* The order of work: the columns that are rounded, then the weak ones by rising index. */
static int32_t *
choose_order (const OwqParams *p, const SwageActStats *stats, const float *w, int64_t rows, int64_t n)
{
  int64_t n_weak = count_weak (p, n), at = 0;
  g_autoptr (SwageWeight) plain
      = swage_weight_new_int_from_f32 (rows, n, p->bits, p->group_size, p->symmetric, w, NULL);
  g_autofree float *rounded = swage_weight_decode_all (plain);
  g_autofree double *lost = g_new0 (double, (gsize)n);
  g_autofree Ranked *ranked = g_new (Ranked, (gsize)n);
  g_autofree bool *weak = g_new0 (bool, (gsize)n);
  Losses losses = { w, rounded, rows, n, lost };
  int32_t *order = g_new (int32_t, (gsize)n);

  swage_pool_run (n, 64, sum_losses, &losses);
  for (int64_t j = 0; j < n; j++)
    ranked[j] = (Ranked){ stats->hessian[j * n + j] * lost[j], (int32_t)j };
  qsort (ranked, (size_t)n, sizeof *ranked, compare_ranked);
  for (int64_t i = 0; i < n_weak; i++)
    weak[ranked[i].column] = true;
  for (int64_t i = 0; i < n; i++)
    {
      int32_t column = p->act_order ? ranked[i].column : (int32_t)i;
      if (!weak[column])
        order[at++] = column;
    }
  for (int64_t j = 0; j < n; j++)
    if (weak[j])
      order[at++] = (int32_t)j;
  return order;
}

/* ---- rounding ---- */

typedef struct
{
  const SwageSecondOrder *s;
  float *w;             /* rows × n in the order of work */
  int64_t n, n_rounded; /* the weak columns come last */
  float *importance;    /* by column; 0 for the weak ones */
  uint8_t *begins;
  SwageIntGrid grid;
} Owq;

static void
clear (Owq *v)
{
  g_free (v->w);
  g_free (v->importance);
  g_free (v->begins);
  swage_int_grid_clear (&v->grid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Owq, clear)

static void
choose_scale (Owq *v, int64_t row, int64_t g)
{
  int64_t from = g * v->grid.group_size, n = swage_int_grid_length (&v->grid, g);
  g_autofree float *group = g_new (float, (gsize)n);

  for (int64_t j = 0; j < n; j++)
    {
      int64_t at = v->s->position[from + j];
      group[j] = at < v->n_rounded ? v->w[row * v->n + at] : 0;
    }
  swage_int_grid_choose (&v->grid, row, g, group, v->importance + from);
}

static void
begin_span (int64_t r0, int64_t r1, int64_t c0, int64_t c1, void *user_data)
{
  Owq *v = user_data;

  for (int64_t r = r0; r < r1 && v->begins[c0]; r++)
    choose_scale (v, r, v->s->order[c0] / v->grid.group_size);
}

static void
choose_all (int64_t begin, int64_t end, int worker, void *user_data)
{
  Owq *v = user_data;

  for (int64_t r = begin; r < end; r++)
    for (int64_t g = 0; g < v->grid.groups; g++)
      choose_scale (v, r, g);
}

static float
round_weight (int64_t row, int64_t column, float w, void *user_data)
{
  Owq *v = user_data;
  return column < v->n_rounded ? swage_int_grid_round (&v->grid, row, v->s->order[column], w) : w;
}

/* Where groups begin in the order of work: at their first column that is rounded. */
static void
init (Owq *v, const OwqParams *p, int64_t rows)
{
  int64_t last = -1;

  v->importance = g_new0 (float, (gsize)v->n);
  v->begins = g_malloc0 ((gsize)v->n);
  swage_int_grid_init (&v->grid, rows, v->n, p->bits, p->group_size, p->symmetric);
  for (int64_t i = 0; i < v->n_rounded; i++)
    {
      int64_t g = v->s->order[i] / p->group_size;
      v->importance[v->s->order[i]] = (float)(v->s->pivot[i] * v->s->pivot[i] / v->s->mean);
      v->begins[i] = !p->act_order && g != last;
      last = g;
    }
  /* a group of nothing but weak columns has no scale, and code 0 with zero point 0 is 0 */
  if (p->symmetric)
    memset (v->grid.codes, 1 << (p->bits - 1), (gsize)(rows * v->n));
}

/* The weak columns, and codes that mean 0 in their place. */
static SwageSparse *
take_weak (Owq *v)
{
  int64_t rows = v->grid.rows, n_weak = v->n - v->n_rounded;
  if (n_weak == 0)
    return NULL;

  SwageSparse *sparse = g_new0 (SwageSparse, 1);
  uint16_t *values = g_new (uint16_t, (gsize)(rows * n_weak));
  *sparse = (SwageSparse){ .rows = rows,
                           .cols = v->n,
                           .n_values = rows * n_weak,
                           .column = g_new (uint32_t, (gsize)n_weak),
                           .type = SWAGE_TYPE_F16,
                           .values = values };
  for (int64_t i = 0; i < n_weak; i++)
    {
      int32_t column = v->s->order[v->n_rounded + i];
      sparse->column[i] = (uint32_t)column;
      for (int64_t r = 0; r < rows; r++)
        {
          values[r * n_weak + i]
              = swage_f32_to_f16 (CLAMP (v->w[r * v->n + v->n_rounded + i], -65504.0f, 65504.0f));
          swage_int_grid_round (&v->grid, r, column, 0);
        }
    }
  return sparse;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const OwqParams *p = data;
  const SwageActStats *stats = context->stats;
  int64_t n = in->n_in;
  bool known = stats != NULL && stats->hessian != NULL && stats->n_in == n;
  g_autofree int32_t *order = NULL;
  const char *reason = _ ("scales and the columns that stay are stored as half floats");
  g_autofree float *w = swage_columns_load (in->weight, NULL, 65504.0f, reason, context->layer, job, error);

  if (w == NULL)
    return NULL;
  if (known) /* what follows refuses the rest */
    order = choose_order (p, stats, w, in->n_out, n);
  SwageSecondOrderOptions options = { .layer = context->layer,
                                      .method = "owq",
                                      .factors = SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK,
                                      .band = swage_columns_get_panel (n, BLOCK),
                                      .damping = p->damp,
                                      .order = order,
                                      .from = 0.1,
                                      .upto = 0.5 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, job, error);
  if (s == NULL)
    return NULL;

  g_auto (Owq) v = { .s = s, .n = n, .n_rounded = n - count_weak (p, n) };
  v.w = swage_columns_load (in->weight, s->order, 65504.0f, reason, context->layer, NULL, error);
  if (v.w == NULL)
    return NULL;
  init (&v, p, in->n_out);
  if (p->act_order)
    swage_pool_run (in->n_out, 16, choose_all, &v);
  SwageColumnSolve solve = { .w = v.w,
                             .rows = in->n_out,
                             .n = n,
                             .second = s,
                             .block = BLOCK,
                             .begins = v.begins,
                             .begin_span = begin_span,
                             .round = round_weight,
                             .user_data = &v,
                             .from = 0.5,
                             .upto = 1,
                             .job = job };
  if (!swage_columns_solve (&solve, error))
    return NULL;

  SwageLinear *out = swage_linear_dup (in);
  out->sparse = take_weak (&v);
  swage_linear_set_weight (out, swage_int_grid_take_weight (&v.grid));
  return out;
}

const SwageMethod swage_method_owq = {
  .id = "owq",
  .version = 2,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("OWQ"),
  .summary
  = N_ ("Rounds to integers as GPTQ does, but for a few columns that meet activation outliers: they "
        "stay at 16 bits and make up for the others. For 3 and 4 bits where single channels dominate."),
  .paper = "Lee et al. 2023, arXiv 2306.02272",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_PACKED | SWAGE_PART_SPARSE,
  .needs = SWAGE_NEED_HESSIAN,
  .params = params,
  .params_size = sizeof (OwqParams),
  .cost = cost,
  .apply = apply,
};
