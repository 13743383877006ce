/* SPDX-License-Identifier: MIT
 *
 * Methods that weigh activations against weights all end alike: the input is divided by a scale, the weight
 * multiplied by it, which changes nothing before something is rounded,
 *
 *   W·x + b  =  (W·diag(s)) · ((x − z)/s)  +  (b + W·z)
 *
 * and then the weight, the input or both are. What a change E of the weight costs in the output is known
 * exactly from the second moments of the input: E ‖E·x‖² = tr (E·H·Eᵀ), H = Σ x xᵀ / n.
 */
#include "core/method/swage-act.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-rows.h"

#define PACK_ROWS 256 /* between two looks at the job */

const char *const swage_act_types[]
    = { "f32",  "f16",  "bf16", "q4_0", "q4_1",   "q5_0",   "q5_1", "q8_0", "q2_k",
        "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "int",  NULL };
const char *const swage_act_choices[] = { "none", "token", "tensor", "static", NULL };

/* ---- storage ---- */

SwageStorage
swage_act_get_storage (int type, int bits, int group_size, bool symmetric)
{
  if (type == SWAGE_ACT_TYPE_INT)
    return (SwageStorage){
      .type = SWAGE_TYPE_INT, .bits = bits, .group_size = group_size, .symmetric = symmetric
    };
  return (SwageStorage){ .type = swage_type_from_id (swage_act_types[type]) };
}

bool
swage_act_storage_rounds (const SwageStorage *storage)
{
  return storage->type != SWAGE_TYPE_F32;
}

static size_t
row_bytes (const SwageStorage *storage, int64_t n)
{
  return storage->type == SWAGE_TYPE_INT ? swage_int_row_bytes (n, storage->bits)
                                         : swage_type_row_bytes (storage->type, n);
}

static int64_t
count_groups (const SwageStorage *storage, int64_t n)
{
  return storage->type == SWAGE_TYPE_INT ? swage_int_groups (n, storage->group_size) : 0;
}

size_t
swage_act_scratch_bytes (const SwageStorage *storage, int64_t n)
{
  return (size_t)count_groups (storage, n) * 3 + row_bytes (storage, n) + 16;
}

void
swage_act_round_row (const SwageStorage *storage, const float *values, const float *importance, int64_t n,
                     float *dst, void *scratch)
{
  size_t groups = (size_t)count_groups (storage, n);
  uint16_t *scales = scratch;
  uint8_t *zeros = (uint8_t *)(scales + groups), *codes = zeros + groups;

  if (storage->type == SWAGE_TYPE_F32)
    memcpy (dst, values, (size_t)n * sizeof *dst);
  else if (storage->type == SWAGE_TYPE_INT)
    {
      swage_int_from_f32 (values, importance, n, storage->bits, storage->group_size, storage->symmetric,
                          codes, scales, storage->symmetric ? NULL : zeros);
      swage_int_to_f32 (codes, scales, zeros, n, storage->bits, storage->group_size, storage->symmetric, dst);
    }
  else
    {
      swage_type_from_f32 (storage->type, values, importance, codes, n);
      swage_type_to_f32 (storage->type, codes, dst, n);
    }
}

typedef struct
{
  const SwageStorage *storage;
  const float *values, *importance;
  int64_t cols, groups, first;
  size_t row_bytes;
  uint8_t *codes, *zeros;
  uint16_t *scales;
} Packing;

static void
pack_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Packing *p = user_data;

  for (int64_t i = p->first + begin; i < p->first + end; i++)
    {
      const float *row = p->values + i * p->cols;
      uint8_t *codes = p->codes + (size_t)i * p->row_bytes;
      if (p->storage->type != SWAGE_TYPE_INT)
        swage_type_from_f32 (p->storage->type, row, p->importance, codes, p->cols);
      else
        swage_int_from_f32 (row, p->importance, p->cols, p->storage->bits, p->storage->group_size,
                            p->storage->symmetric, codes, p->scales + i * p->groups,
                            p->zeros != NULL ? p->zeros + i * p->groups : NULL);
    }
}

/* Block types and int keep their scales as half floats. */
static bool
check_limit (const SwageStorage *storage, const float *values, int64_t rows, int64_t cols, const char *layer,
             GError **error)
{
  float limit = storage->type == SWAGE_TYPE_F32    ? G_MAXFLOAT
                : storage->type == SWAGE_TYPE_BF16 ? 0x1.fep127f
                                                   : 65504.0f;
  for (int64_t i = 0; i < rows * cols; i++)
    if (!(fabsf (values[i]) <= limit))
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                     _ ("%s: the weight in row %" PRId64 ", column %" PRId64
                        " becomes %g, and %s ends at %g; choose another type."),
                     layer, i / cols, i % cols, (double)values[i], swage_type_get_info (storage->type)->title,
                     (double)limit);
        return false;
      }
  return true;
}

SwageWeight *
swage_act_pack (const SwageStorage *storage, int64_t rows, int64_t cols, const float *values,
                const float *importance, const char *layer, SwageJob *job, GError **error)
{
  size_t n_groups = (size_t)rows * (size_t)count_groups (storage, cols);
  Packing p = { .storage = storage,
                .values = values,
                .importance = importance,
                .cols = cols,
                .groups = count_groups (storage, cols),
                .row_bytes = row_bytes (storage, cols) };

  if (!check_limit (storage, values, rows, cols, layer, error))
    return NULL;
  g_autofree uint8_t *codes = p.codes = g_malloc_n ((size_t)rows, p.row_bytes);
  g_autofree uint16_t *scales = NULL;
  g_autofree uint8_t *zeros = NULL;
  if (storage->type == SWAGE_TYPE_INT)
    {
      scales = p.scales = g_new (uint16_t, n_groups);
      zeros = p.zeros = storage->symmetric ? NULL : g_malloc (n_groups);
    }
  for (p.first = 0; p.first < rows; p.first += PACK_ROWS)
    {
      swage_pool_run (MIN (PACK_ROWS, rows - p.first), 4, pack_rows, &p);
      if (!swage_job_step (job, (double)(p.first + MIN (PACK_ROWS, rows - p.first)), (double)rows, error))
        return NULL;
    }
  GBytes *data = g_bytes_new_take (g_steal_pointer (&codes), (size_t)rows * p.row_bytes);
  if (storage->type != SWAGE_TYPE_INT)
    return swage_weight_new (storage->type, rows, cols, data);
  GBytes *zero_bytes = zeros != NULL ? g_bytes_new_take (g_steal_pointer (&zeros), n_groups) : NULL;
  return swage_weight_new_int (rows, cols, storage->bits, storage->group_size, storage->symmetric, data,
                               g_bytes_new_take (g_steal_pointer (&scales), n_groups * sizeof (uint16_t)),
                               zero_bytes);
}

/* ---- the input's quantizer ---- */

SwageActQuant *
swage_act_make_quant (int act, int bits, bool symmetric, double lo, double hi)
{
  if (act == SWAGE_ACT_CHOICE_NONE)
    return NULL;
  SwageActQuant *q = g_new0 (SwageActQuant, 1);
  *q = (SwageActQuant){ .format = SWAGE_ACT_INT,
                        .scope = act == SWAGE_ACT_CHOICE_TOKEN ? SWAGE_ACT_PER_TOKEN : SWAGE_ACT_PER_TENSOR,
                        .bits = bits,
                        .symmetric = symmetric };
  if (act == SWAGE_ACT_CHOICE_STATIC)
    {
      q->n_ranges = 1;
      q->ranges = g_new (float, 2);
      q->ranges[0] = (float)lo;
      q->ranges[1] = (float)hi;
    }
  return q;
}

/* ---- statistics ---- */

bool
swage_act_check_stats (const SwageMethodContext *context, const char *id, int64_t n_in, SwageNeeds needs,
                       GError **error)
{
  const SwageActStats *stats = context->stats;

  if (stats == NULL || stats->n_tokens == 0 || stats->n_in != n_in || (stats->needs & needs) != needs)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("%s: %s needs statistics of the layer's inputs and there are none; give a calibration "
                      "text."),
                   context->layer, id);
      return false;
    }
  bool finite = stats->n_nonfinite == 0;
  for (int64_t c = 0; c < n_in && finite; c++)
    finite = (stats->col_absmax == NULL || isfinite (stats->col_absmax[c]))
             && (stats->col_squares == NULL || isfinite (stats->col_squares[c]))
             && (stats->hessian == NULL || isfinite (stats->hessian[c * n_in + c]));
  if (!finite)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                 _ ("%s: some of its inputs are not finite on this calibration text (%" PRId64 " values)."),
                 context->layer, stats->n_nonfinite);
  return finite;
}

static void
tie (const SwageMethodContext *context, int64_t n_in, double *v, bool mean)
{
  if (context->tied == NULL)
    return;
  g_autofree double *sum = g_new0 (double, (gsize)n_in);
  g_autofree int *n = g_new0 (int, (gsize)n_in);
  for (int64_t c = 0; c < n_in; c++)
    {
      int32_t t = context->tied[c];
      sum[t] = mean || n[t] == 0 ? sum[t] + v[c] : fmax (sum[t], v[c]);
      n[t]++;
    }
  for (int64_t c = 0; c < n_in; c++)
    v[c] = mean ? sum[context->tied[c]] / n[context->tied[c]] : sum[context->tied[c]];
}

void
swage_act_tie_max (const SwageMethodContext *context, int64_t n_in, double *v)
{
  tie (context, n_in, v, false);
}

void
swage_act_tie_mean (const SwageMethodContext *context, int64_t n_in, double *v)
{
  tie (context, n_in, v, true);
}

/* ---- the matrix ---- */

typedef struct
{
  float *values;
  int64_t cols;
} Decoding;

static void
keep_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Decoding *d = user_data;
  memcpy (d->values + row * d->cols, values, (size_t)(n * d->cols) * sizeof *values);
}

float *
swage_act_decode (const SwageWeight *weight, const char *layer, SwageJob *job, GError **error)
{
  g_autofree float *values = g_new (float, (gsize)(weight->rows * weight->cols));
  Decoding d = { values, weight->cols };
  SwageRowWalk walk = { .weight = weight, .layer = layer, .job = job };

  return swage_rows_walk (&walk, keep_rows, &d, error) ? g_steal_pointer (&values) : NULL;
}

int
swage_act_count_siblings (const SwageMethodContext *context)
{
  return MAX (1, context->n_siblings);
}

void
swage_act_get_sibling (const SwageMethodContext *context, int i, const void *own_params,
                       const SwageLinear **original, const void **params)
{
  bool alone = context->n_siblings == 0;
  *original = alone ? context->original : context->siblings[i].original;
  *params = alone ? own_params : context->siblings[i].params;
}

typedef struct
{
  double *max; /* of each worker's rows, worker by worker */
  int64_t cols;
} ColumnMax;

static void
widen_columns (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const ColumnMax *m = user_data;
  double *max = m->max + worker * m->cols;

  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < m->cols; c++)
      max[c] = fmax (max[c], fabs ((double)values[i * m->cols + c]));
}

double *
swage_act_get_column_max (const SwageMethodContext *context, int64_t n_in, SwageJob *job, GError **error)
{
  int workers = swage_pool_get_threads ();
  g_autofree double *max = g_new0 (double, (gsize)n_in *(gsize)workers);
  ColumnMax m = { max, n_in };

  for (int i = 0; i < swage_act_count_siblings (context); i++)
    {
      const SwageLinear *original;
      const void *params;
      swage_act_get_sibling (context, i, NULL, &original, &params);
      SwageRowWalk walk = { .weight = original->weight, .layer = original->name, .job = job };
      if (!swage_rows_walk (&walk, widen_columns, &m, error))
        return NULL;
    }
  for (int w = 1; w < workers; w++)
    for (int64_t c = 0; c < n_in; c++)
      max[c] = fmax (max[c], max[w * n_in + c]);
  return g_steal_pointer (&max);
}

/* ---- errors ---- */

float *
swage_act_get_hessian (const SwageActStats *stats)
{
  int64_t n = stats->n_in * stats->n_in;
  float *h = g_new (float, (gsize)n);

  for (int64_t i = 0; i < n; i++)
    h[i] = (float)(stats->hessian[i] / (double)stats->n_tokens);
  return h;
}

double
swage_act_output_error (const float *h, int64_t n_in, const float *e, int64_t rows)
{
  enum
  {
    BAND = 256
  };
  g_autofree float *product = g_new (float, (gsize)(MIN (BAND, rows) * n_in));
  double sum = 0;

  for (int64_t first = 0; first < rows; first += BAND)
    {
      int64_t n = MIN (BAND, rows - first);
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, product, n_in, n, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, e + first * n_in, n_in, n, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, h, n_in, n_in, 1, 1) } };
      swage_pool_run_op (swage_op_find ("matmul"), &call);
      for (int64_t i = 0; i < n * n_in; i++)
        sum += (double)product[i] * (double)e[first * n_in + i];
    }
  return MAX (sum, 0);
}

/* ---- the result ---- */

static void
shift_bias (SwageLinear *out, const double *z, const float *values)
{
  int64_t n_in = out->n_in;

  if (out->bias == NULL)
    out->bias = g_new0 (float, (gsize)out->n_out);
  for (int64_t r = 0; r < out->n_out; r++)
    {
      double sum = (double)out->bias[r];
      for (int64_t c = 0; c < n_in; c++)
        sum += (double)values[r * n_in + c] * z[c];
      out->bias[r] = (float)sum;
    }
}

SwageLinear *
swage_act_finish (const SwageLinear *in, SwageActResult result, float *values, SwageJob *job, GError **error)
{
  g_autoptr (SwageLinear) out = swage_linear_dup (in);
  int64_t n_in = in->n_in;

  if (result.quant != NULL)
    {
      swage_act_quant_free (out->act_quant);
      out->act_quant = result.quant;
    }
  if (result.s != NULL)
    {
      SwageTransform *t = g_new0 (SwageTransform, 1);
      if (result.z != NULL)
        {
          shift_bias (out, result.z, values);
          t->shift = g_new (float, (gsize)n_in);
        }
      t->scale = g_new (float, (gsize)n_in);
      for (int64_t c = 0; c < n_in; c++)
        {
          t->scale[c] = (float)(1 / result.s[c]);
          if (result.z != NULL)
            t->shift[c] = (float)(-result.z[c] / result.s[c]);
        }
      for (int64_t r = 0; r < in->n_out; r++)
        for (int64_t c = 0; c < n_in; c++)
          values[r * n_in + c] = (float)((double)values[r * n_in + c] / (double)t->scale[c]);
      swage_transform_free (out->transform);
      out->transform = t;
    }
  SwageWeight *weight
      = swage_act_pack (&result.storage, in->n_out, n_in, values, result.importance, in->name, job, error);
  if (weight == NULL)
    return NULL;
  swage_linear_set_weight (out, weight);
  return g_steal_pointer (&out);
}

bool
swage_act_cost (const SwageStorage *storage, bool transforms, bool shifts, int act, const SwageLinearSpec *in,
                SwageLinearSpec *out, GError **error)
{
  const SwageTypeInfo *info = swage_type_get_info (storage->type);

  if (!(in->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED)))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("the layer has no main weight to work on."));
      return false;
    }
  if (storage->type != SWAGE_TYPE_INT && in->n_in % info->block != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("the weight has rows of %" PRId64
                      " values, and %s holds multiples of %d only; int fits any length."),
                   in->n_in, info->id, info->block);
      return false;
    }
  out->weight = *storage;
  out->parts &= ~(SwageParts)(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
  out->parts |= info->quantized || storage->type == SWAGE_TYPE_INT ? SWAGE_PART_PACKED : SWAGE_PART_DENSE;
  if (storage->type != SWAGE_TYPE_INT && !info->zero_exact)
    out->sparsity = 0;
  if (transforms)
    {
      out->parts |= SWAGE_PART_TRANSFORM;
      out->transform_bytes = (uint64_t)in->n_in * 4 * (shifts ? 2 : 1);
      out->shifts = shifts;
      if (shifts)
        out->parts |= SWAGE_PART_BIAS;
    }
  if (act != SWAGE_ACT_CHOICE_NONE)
    {
      out->parts |= SWAGE_PART_ACT_QUANT;
      out->n_act_outliers = 0;
      out->act_bytes = act == SWAGE_ACT_CHOICE_STATIC ? 2 * sizeof (float) : 0;
    }
  return true;
}
