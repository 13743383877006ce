/* SPDX-License-Identifier: MIT
 *
 * Outlier Suppression+ (Wei, Zhang, Li, Zhang, Gong, Guo, Liu 2023, arXiv 2304.09145). Outliers of a layer's
 * input sit in a few channels, and those are not centred on zero. So every channel is shifted first, then
 * scaled (eq. 3 to 5):
 *
 *   X' = (X − z) / s,   z_j = (max X_j + min X_j) / 2,   s_j = max (1, max |X_j − z_j| / t)
 *   W' = W·diag(s),     b' = b + W·z
 *
 * A single threshold t is left, and a grid search finds it: the one with the smallest error of the quantized
 * output (eq. 7), ‖Q(X')·Q(W')ᵀ + b' − (X·Wᵀ + b)‖², over sample rows of the calibration text and all layers
 * that read this input. A shift folds into a norm that has a bias; behind an RMS norm it stays with the
 * layer.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-act.h"

#define SEARCH_ROWS 256

typedef struct
{
  SWAGE_STORAGE_MEMBERS;
  SWAGE_ACT_MEMBERS;
  bool shift;
  int n_grid;
} OspParams;

static const SwageParam params[] = {
  SWAGE_STORAGE_ROWS (OspParams, 8, 65536, true),
  SWAGE_ACT_ROWS (OspParams, SWAGE_ACT_CHOICE_TENSOR, 8, false),
  SWAGE_BOOL (
      OspParams, shift, true, N_ ("Shift"),
      N_ ("Centre every channel on zero first; without it the scales alone can be stored where a norm has no "
          "bias.")),
  SWAGE_INT (OspParams, n_grid, 20, 1, 200, N_ ("Grid"), N_ ("Thresholds tried for the scale."),
             .soft_min = 10, .soft_max = 100),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const OspParams *p = data;
  SwageStorage storage = SWAGE_STORAGE_OF (p);
  return swage_act_cost (&storage, true, p->shift, p->act, in, out, error);
}

static bool
joins (const void *data, const void *other)
{
  const OspParams *a = data, *b = other;
  return a->shift == b->shift && a->n_grid == b->n_grid && a->act == b->act && a->act_bits == b->act_bits
         && a->act_symmetric == b->act_symmetric;
}

typedef struct
{
  const OspParams *own;
  const SwageMethodContext *context;
  int64_t n_in, n; /* sample rows */
  const double *z, *s;
  double lo, hi; /* of X' */
  float *x;      /* Q(X'), n × n_in */
  float *w;      /* Q(W') of one sibling */
  const SwageStorage *storage;
  const float *values;
} Search;

static void
round_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Search *k = user_data;
  g_autofree float *row = g_new (float, (gsize)k->n_in);
  g_autofree void *scratch = g_malloc (swage_act_scratch_bytes (k->storage, k->n_in));

  for (int64_t r = begin; r < end; r++)
    {
      for (int64_t c = 0; c < k->n_in; c++)
        row[c] = (float)((double)k->values[r * k->n_in + c] * k->s[c]);
      swage_act_round_row (k->storage, row, NULL, k->n_in, k->w + r * k->n_in, scratch);
    }
}

static void
multiply (const float *x, int64_t n, int64_t n_in, const float *w, int64_t n_out, float *y)
{
  SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, y, n_out, n, 1, 1),
                       .src = { swage_view (SWAGE_TYPE_F32, x, n_in, n, 1, 1),
                                swage_view (SWAGE_TYPE_F32, w, n_in, n_out, 1, 1) } };
  swage_pool_run_op (swage_op_find ("matmul"), &call);
}

/* X' of the samples, quantized as the engine will. */
static void
quantize_samples (Search *k)
{
  const SwageActStats *stats = k->context->stats;
  const OspParams *p = k->own;
  float range[2] = { (float)k->lo, (float)k->hi };
  SwageQuantActArgs args
      = { .kind = SWAGE_QUANT_INT,
          .scope = p->act == SWAGE_ACT_CHOICE_TOKEN ? SWAGE_SCOPE_TOKEN : SWAGE_SCOPE_TENSOR,
          .bits = (uint32_t)p->act_bits,
          .symmetric = p->act_symmetric };
  SwageView x = swage_view (SWAGE_TYPE_F32, k->x, k->n_in, k->n, 1, 1);
  SwageOpCall call = { .dst = x, .src = { x }, .args = &args };

  for (int64_t i = 0; i < k->n; i++)
    for (int64_t c = 0; c < k->n_in; c++)
      k->x[i * k->n_in + c] = (float)(((double)stats->samples[i * k->n_in + c] - k->z[c]) / k->s[c]);
  if (p->act == SWAGE_ACT_CHOICE_NONE)
    return;
  if (p->act == SWAGE_ACT_CHOICE_STATIC)
    call.src[2] = swage_view (SWAGE_TYPE_F32, range, 2, 1, 1, 1);
  swage_pool_run_op (swage_op_find ("quant_act"), &call);
}

/* Σ over siblings and rows of the squared error; `wanted` are the outputs X·Wᵀ, sibling by sibling. */
static double
measure (Search *k, GPtrArray *matrices, GPtrArray *wanted, float *y)
{
  double sum = 0;

  quantize_samples (k);
  for (guint i = 0; i < matrices->len; i++)
    {
      const SwageLinear *original;
      const void *theirs;
      swage_act_get_sibling (k->context, (int)i, k->own, &original, &theirs);
      const OspParams *p = theirs;
      SwageStorage storage = SWAGE_STORAGE_OF (p);
      k->storage = &storage;
      k->values = matrices->pdata[i];
      swage_pool_run (original->n_out, 4, round_rows, k);
      multiply (k->x, k->n, k->n_in, k->w, original->n_out, y);
      const float *want = wanted->pdata[i];
      for (int64_t o = 0; o < original->n_out; o++)
        {
          double moved = 0; /* W·z, which the bias takes */
          for (int64_t c = 0; c < k->n_in; c++)
            moved += (double)k->values[o * k->n_in + c] * k->z[c];
          for (int64_t t = 0; t < k->n; t++)
            {
              double d = (double)y[t * original->n_out + o] + moved - (double)want[t * original->n_out + o];
              sum += d * d;
            }
        }
    }
  return sum;
}

/* s for threshold t, and the range of X'. */
static void
make_scale (Search *k, const double *top, double t, double *s)
{
  const SwageActStats *stats = k->context->stats;

  k->lo = k->hi = 0;
  for (int64_t c = 0; c < k->n_in; c++)
    {
      s[c] = t > 0 ? fmax (1, top[c] / t) : 1;
      k->lo = fmin (k->lo, ((double)stats->col_min[c] - k->z[c]) / s[c]);
      k->hi = fmax (k->hi, ((double)stats->col_max[c] - k->z[c]) / s[c]);
    }
}

static bool
search (Search *k, const double *top, double *s, SwageJob *job, GError **error)
{
  g_autoptr (GPtrArray) matrices = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) wanted = g_ptr_array_new_with_free_func (g_free);
  int64_t most = 0;
  double best = INFINITY, best_t = 0, largest = 0;

  for (int64_t c = 0; c < k->n_in; c++)
    largest = fmax (largest, top[c]);
  for (int i = 0; i < swage_act_count_siblings (k->context); i++)
    {
      const SwageLinear *original;
      const void *theirs;
      swage_act_get_sibling (k->context, i, k->own, &original, &theirs);
      float *values = swage_act_decode (original->weight, original->name, job, error);
      if (values == NULL)
        return false;
      g_ptr_array_add (matrices, values);
      float *y = g_new (float, (gsize)(k->n * original->n_out));
      multiply (k->context->stats->samples, k->n, k->n_in, values, original->n_out, y);
      g_ptr_array_add (wanted, y);
      most = MAX (most, original->n_out);
    }
  g_autofree float *y = g_new (float, (gsize)(k->n * most));
  g_autofree float *x = k->x = g_new (float, (gsize)(k->n * k->n_in));
  g_autofree float *w = k->w = g_new (float, (gsize)(most * k->n_in));
  k->s = s;
  for (int g = 0; g < k->own->n_grid; g++)
    {
      double t = largest * (double)(k->own->n_grid - g) / k->own->n_grid;
      make_scale (k, top, t, s);
      double sum = measure (k, matrices, wanted, y);
      if (sum < best || g == 0)
        {
          best = sum;
          best_t = t;
        }
      if (!swage_job_step (job, g + 1, k->own->n_grid, error))
        return false;
    }
  make_scale (k, top, best_t, s);
  return true;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const OspParams *p = data;
  int64_t n = in->n_in;

  if (!swage_act_check_stats (context, "outlier_suppression_plus", n,
                              SWAGE_NEED_COL_RANGE | SWAGE_NEED_SAMPLES, error))
    return NULL;
  const SwageActStats *stats = context->stats;
  g_autofree double *z = g_new0 (double, (gsize)n);
  g_autofree double *top = g_new (double, (gsize)n);
  g_autofree double *s = g_new (double, (gsize)n);
  for (int64_t c = 0; c < n; c++)
    {
      double lo = (double)stats->col_min[c], hi = (double)stats->col_max[c];
      z[c] = p->shift ? (double)(float)((lo + hi) / 2) : 0;
      top[c] = fmax (fabs (lo - z[c]), fabs (hi - z[c]));
    }
  swage_act_tie_max (context, n, top);
  Search k = { .own = p, .context = context, .n_in = n, .n = MIN (stats->n_samples, SEARCH_ROWS), .z = z };
  swage_job_push (job, 0.7, NULL);
  bool found = search (&k, top, s, job, error);
  swage_job_pop (job);
  swage_job_begin (job, 1, NULL);
  g_autofree float *values = found ? swage_act_decode (in->weight, context->layer, job, error) : NULL;
  if (values == NULL)
    return NULL;
  SwageActResult result
      = { .s = s,
          .z = p->shift ? z : NULL,
          .storage = SWAGE_STORAGE_OF (p),
          .quant = swage_act_make_quant (p->act, p->act_bits, p->act_symmetric, k.lo, k.hi) };
  return swage_act_finish (in, result, values, job, error);
}

const SwageMethod swage_method_outlier_suppression_plus = {
  .id = "outlier_suppression_plus",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("Outlier Suppression+"),
  .summary = N_ ("Centres the input's channels on zero and scales the widest down, as far as a search on the "
                 "calibration "
                 "text finds best, then quantizes weight and input."),
  .paper = "Wei et al. 2023, arXiv 2304.09145",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .needs = SWAGE_NEED_COL_RANGE | SWAGE_NEED_SAMPLES,
  .params = params,
  .params_size = sizeof (OspParams),
  .cost = cost,
  .apply = apply,
  .joins = joins,
};
