/* SPDX-License-Identifier: MIT
 *
 * Running a CompressedLinear: y = Qa(T·x)·Ŵᵀ + (T·x·A)·B + x·Sᵀ + b.
 *
 * Everything is a sum into y: the first matrix product sets it (or adds to the residual stream) and carries
 * the bias, the others accumulate. Absent parts are not dispatched, so a plain layer is one matrix product
 * from the file's own bytes. Rows of the output can be asked for in ranges: a fused attn_qkv gives queries,
 * keys and values to three places, and products so large that a cancelled job would have to wait are cut,
 * which costs nothing because operators work on bands of rows anyway.
 */
#include "core/engine/swage-engine-private.h"

#include <glib/gi18n-lib.h>
#include "kernels/swage-layout.h"

/* Arithmetic in one dispatch: some 50 ms on two slow cores with vectors. */
#define DISPATCH_FLOPS 1.5e10
/* Rows of Ŵ in one dispatch at least, so that all threads of a large machine find bands to work on. */
#define DISPATCH_ROWS 4096
/* Rows of inputs up to which binary codes are multiplied by table. */
#define BCQ_ROWS 8

static SwageArray
array_of (SwageBuffer *buffer, SwageType type, int64_t n)
{
  return (SwageArray){ buffer, 0, swage_view (type, NULL, n, 1, 1, 1) };
}

/* Slices of mapped files may begin anywhere; operators read plain numbers through pointers to them. */
static SwageBuffer *
import_aligned (SwageEngine *engine, GBytes *bytes, size_t alignment, GError **error)
{
  size_t n = 0;
  const void *data = g_bytes_get_data (bytes, &n);

  if ((uintptr_t)data % alignment == 0)
    return swage_backend_import (engine->backend, bytes, error);
  g_autoptr (GBytes) copy = g_bytes_new (data, n);
  return swage_backend_import (engine->backend, copy, error);
}

static bool
bind_weight (SwageEngine *engine, SwageBoundWeight *bound, const SwageWeight *w, GError **error)
{
  const SwageTypeInfo *info = swage_type_get_info (w->type);

  bound->rows = w->rows;
  bound->cols = w->cols;
  bound->codes.buffer = import_aligned (engine, w->data, info->block == 1 ? MAX (info->bytes, 1) : 1, error);
  if (bound->codes.buffer == NULL)
    return false;
  bound->codes.view = swage_view (w->type, NULL, w->cols, w->rows, 1, 1);
  if (!swage_type_is_layout (w->type))
    return true;

  int64_t groups = swage_layout_scales (w->type, w->cols, w->bits, w->group_size, w->symmetric);
  bound->bits = w->bits;
  bound->group = w->group_size;
  bound->codes.view.nb[1] = (int64_t)w->row_bytes;
  bound->codes.view.nb[2] = bound->codes.view.nb[3] = w->rows * (int64_t)w->row_bytes;
  if (w->scales == NULL)
    return true;
  bound->scales.buffer = import_aligned (engine, w->scales, sizeof (uint16_t), error);
  bound->scales.view = swage_view (SWAGE_TYPE_F16, NULL, groups, w->rows, 1, 1);
  if (bound->scales.buffer == NULL)
    return false;
  if (w->zeros != NULL)
    {
      bound->zeros.buffer = swage_backend_import (engine->backend, w->zeros, error);
      bound->zeros.view = swage_view (SWAGE_TYPE_U8, NULL, groups, w->rows, 1, 1);
    }
  return w->zeros == NULL || bound->zeros.buffer != NULL;
}

static bool
bind_floats (SwageEngine *engine, SwageArray *array, const float *values, int64_t n, GError **error)
{
  if (values == NULL)
    return true;
  *array
      = array_of (swage_engine_import (engine, values, (size_t)n * sizeof (float), error), SWAGE_TYPE_F32, n);
  return array->buffer != NULL;
}

/* Memory made here, that the buffer takes along. */
static SwageBuffer *
import_take (SwageEngine *engine, void *memory, size_t n, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (memory, n);
  return swage_backend_is_host (engine->backend) ? swage_backend_import (engine->backend, bytes, error)
                                                 : swage_engine_import (engine, memory, n, error);
}

/* values[permutation[i]], or a copy: the operator scales after permuting, the layer before it. */
static bool
bind_permuted (SwageEngine *engine, SwageArray *array, const float *values, const int32_t *permutation,
               int64_t n, GError **error)
{
  if (values == NULL || permutation == NULL)
    return bind_floats (engine, array, values, n, error);

  float *permuted = g_new (float, (size_t)n);
  for (int64_t i = 0; i < n; i++)
    permuted[i] = values[permutation[i]];
  *array = array_of (import_take (engine, permuted, (size_t)n * sizeof (float), error), SWAGE_TYPE_F32, n);
  return array->buffer != NULL;
}

/* A factor of the rotation; the operator wants both, so an absent one is made an identity. */
static bool
bind_factor (SwageEngine *engine, SwageArray *array, const float *q, int64_t n, GError **error)
{
  size_t bytes = (size_t)(n * n) * sizeof (float);

  if (q != NULL)
    array->buffer = swage_engine_import (engine, q, bytes, error);
  else
    {
      float *identity = g_new0 (float, (size_t)(n * n));
      for (int64_t i = 0; i < n; i++)
        identity[i * n + i] = 1.0f;
      array->buffer = import_take (engine, identity, bytes, error);
    }
  array->view = swage_view (SWAGE_TYPE_F32, NULL, n, n, 1, 1);
  return array->buffer != NULL;
}

static bool
bind_transform (SwageEngine *engine, SwageBoundLinear *bound, const SwageTransform *t, int64_t n,
                GError **error)
{
  if (!bind_permuted (engine, &bound->scale, t->scale, t->permutation, n, error)
      || !bind_permuted (engine, &bound->shift, t->shift, t->permutation, n, error))
    return false;
  if (t->permutation != NULL)
    {
      bound->permutation
          = array_of (swage_engine_import (engine, t->permutation, (size_t)n * sizeof (int32_t), error),
                      SWAGE_TYPE_I32, n);
      if (bound->permutation.buffer == NULL)
        return false;
    }
  if (t->u1 != NULL
      && (!bind_factor (engine, &bound->u1, t->u1, t->u1_n, error)
          || !bind_factor (engine, &bound->u2, t->u2, t->u2_n, error)))
    return false;
  if (t->q1 == NULL && t->q2 == NULL)
    return true;
  int64_t n1 = t->q1 != NULL ? t->q1_n : n / t->q2_n;
  return bind_factor (engine, &bound->q1, t->q1, n1, error)
         && bind_factor (engine, &bound->q2, t->q2, n / n1, error);
}

static bool
bind_sparse (SwageEngine *engine, SwageBoundLinear *bound, const SwageSparse *s, GError **error)
{
  size_t n = (size_t)s->n_values,
         value_bytes = s->type == SWAGE_TYPE_F16 ? sizeof (uint16_t) : sizeof (float);
  size_t start_bytes = (size_t)(s->rows + 1) * sizeof (int64_t);

  if (s->row_start != NULL)
    {
      bound->row_start = swage_engine_import (engine, s->row_start, start_bytes, error);
      if (bound->row_start != NULL)
        bound->column = swage_engine_import (engine, s->column, n * sizeof (uint32_t), error);
    }
  else /* the operator knows no column-wise form */
    {
      int64_t *row_start = g_malloc (start_bytes), n_columns = swage_sparse_get_n_columns (s);
      uint32_t *column = g_new (uint32_t, MAX (n, 1));
      for (int64_t r = 0; r <= s->rows; r++)
        row_start[r] = r * n_columns;
      for (size_t i = 0; i < n; i++)
        column[i] = s->column[i % (size_t)n_columns];
      bound->row_start = import_take (engine, row_start, start_bytes, error);
      if (bound->row_start != NULL)
        bound->column = import_take (engine, column, MAX (n, 1) * sizeof (uint32_t), error);
      else
        g_free (column);
    }
  if (bound->row_start == NULL || bound->column == NULL)
    return false;
  bound->values
      = array_of (swage_engine_import (engine, s->values, n * value_bytes, error), s->type, s->n_values);
  return bound->values.buffer != NULL;
}

/* Static ranges of a quantizer, pairs of (lo, hi). */
static bool
bind_ranges (SwageEngine *engine, SwageArray *array, const SwageActQuant *q, GError **error)
{
  if (q == NULL || q->n_ranges == 0)
    return true;
  array->buffer = swage_engine_import (engine, q->ranges, (size_t)q->n_ranges * 2 * sizeof (float), error);
  array->view = swage_view (SWAGE_TYPE_F32, NULL, 2, q->n_ranges, 1, 1);
  return array->buffer != NULL;
}

bool
swage_bound_linear_init (SwageEngine *engine, SwageBoundLinear *bound, const SwageLinear *linear,
                         GError **error)
{
  bool ok = true;

  *bound = (SwageBoundLinear){ .linear = linear };
  if (linear->weight == NULL && linear->a == NULL && linear->sparse == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("Layer “%s” has no weights"), linear->name);
      return false;
    }
  if (linear->weight != NULL)
    ok = bind_weight (engine, &bound->weight, linear->weight, error);
  if (ok && linear->a != NULL)
    ok = bind_weight (engine, &bound->a, linear->a, error)
         && bind_weight (engine, &bound->b, linear->b, error);
  if (ok && linear->bias != NULL)
    {
      bound->bias = swage_engine_import (engine, linear->bias, (size_t)linear->n_out * sizeof (float), error);
      ok = bound->bias != NULL;
    }
  if (ok && linear->transform != NULL)
    ok = bind_transform (engine, bound, linear->transform, linear->n_in, error);
  if (ok && linear->act_quant != NULL && linear->act_quant->n_outliers > 0)
    {
      const SwageActQuant *q = linear->act_quant;
      bound->outliers = array_of (
          swage_engine_import (engine, q->outliers, (size_t)q->n_outliers * sizeof (int32_t), error),
          SWAGE_TYPE_I32, q->n_outliers);
      ok = bound->outliers.buffer != NULL;
    }
  ok = ok && bind_ranges (engine, &bound->ranges, linear->act_quant, error)
       && bind_ranges (engine, &bound->out_ranges, linear->out_quant, error);
  if (ok && linear->sparse != NULL)
    ok = bind_sparse (engine, bound, linear->sparse, error);
  if (!ok)
    swage_bound_linear_clear (bound);
  return ok;
}

static void
clear_weight (SwageBoundWeight *w)
{
  swage_buffer_unref (w->codes.buffer);
  swage_buffer_unref (w->scales.buffer);
  swage_buffer_unref (w->zeros.buffer);
}

void
swage_bound_linear_clear (SwageBoundLinear *bound)
{
  clear_weight (&bound->weight);
  clear_weight (&bound->a);
  clear_weight (&bound->b);
  swage_buffer_unref (bound->bias);
  swage_buffer_unref (bound->scale.buffer);
  swage_buffer_unref (bound->shift.buffer);
  swage_buffer_unref (bound->permutation.buffer);
  swage_buffer_unref (bound->q1.buffer);
  swage_buffer_unref (bound->q2.buffer);
  swage_buffer_unref (bound->u1.buffer);
  swage_buffer_unref (bound->u2.buffer);
  swage_buffer_unref (bound->outliers.buffer);
  swage_buffer_unref (bound->ranges.buffer);
  swage_buffer_unref (bound->out_ranges.buffer);
  swage_buffer_unref (bound->row_start);
  swage_buffer_unref (bound->column);
  swage_buffer_unref (bound->values.buffer);
  *bound = (SwageBoundLinear){ 0 };
}

/* dst ← (dst +) x·Wᵀ + bias for rows [row0, row0 + n_rows) of W. */
static bool
matmul (SwageEngine *engine, const SwageBoundWeight *w, SwageArray x, int64_t row0, int64_t n_rows,
        SwageBuffer *bias, SwageArray dst, bool accumulate, GError **error)
{
  SwageMatmulArgs args
      = { .alpha = 1.0f, .accumulate = accumulate, .bits = (uint32_t)w->bits, .group = (uint32_t)w->group };
  double row_flops = 2.0 * (double)w->cols * (double)x.view.ne[1];
  int64_t most = MAX (DISPATCH_ROWS, (int64_t)(DISPATCH_FLOPS / row_flops) / DISPATCH_ROWS * DISPATCH_ROWS);

  for (int64_t done = 0; done < n_rows; done += most)
    {
      int64_t r = row0 + done, n = MIN (most, n_rows - done);
      SwageDispatch d = { .dst = dst, .src = { x, w->codes }, .args = &args, .args_bytes = sizeof args };
      d.dst.offset += (size_t)done * sizeof (float);
      d.dst.view.ne[0] = n;
      d.src[1].offset += (size_t)(r * w->codes.view.nb[1]);
      d.src[1].view.ne[1] = n;
      if (bias != NULL)
        d.src[2] = swage_array_f32 (bias, (size_t)r * sizeof (float), n, 1);
      if (w->scales.buffer != NULL)
        {
          d.src[3] = w->scales;
          d.src[3].offset += (size_t)(r * w->scales.view.nb[1]);
          d.src[3].view.ne[1] = n;
        }
      if (w->zeros.buffer != NULL)
        {
          d.src[4] = w->zeros;
          d.src[4].offset += (size_t)(r * w->zeros.view.nb[1]);
          d.src[4].view.ne[1] = n;
        }
      /* for a few rows of inputs, tables of their sums are cheaper than decoding */
      bool by_table = w->codes.view.type == SWAGE_TYPE_BCQ && x.view.ne[1] <= BCQ_ROWS;
      if (!swage_engine_run (engine, by_table ? OP_BCQ_MATMUL : OP_MATMUL, &d, error))
        return false;
    }
  return true;
}

static bool
run_transform (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x, SwageArray *out,
               GError **error)
{
  int64_t n_in = x.view.ne[0], n = x.view.ne[1];
  SwageBuffer *space
      = swage_engine_get_space (engine, SPACE_TRANSFORMED, (size_t)(n_in * n) * sizeof (float), error);

  if (space == NULL)
    return false;
  *out = swage_array_f32 (space, 0, n_in, n);
  if (bound->scale.buffer != NULL || bound->shift.buffer != NULL || bound->permutation.buffer != NULL)
    {
      SwageDispatch d = { .dst = *out, .src = { x, bound->scale, bound->shift, bound->permutation } };
      if (!swage_engine_run (engine, OP_TRANSFORM, &d, error))
        return false;
      x = *out;
    }
  if (bound->q1.buffer != NULL)
    {
      SwageRotateArgs args = { 0 };
      SwageDispatch d
          = { .dst = *out, .src = { x, bound->q1, bound->q2 }, .args = &args, .args_bytes = sizeof args };
      if (!swage_engine_run (engine, OP_ROTATE, &d, error))
        return false;
      x = *out;
    }
  *out = x;
  return true;
}

static bool
get_quant_kind (const SwageActQuant *q, const char *name, uint32_t *kind, GError **error)
{
  switch (q->format)
    {
    case SWAGE_ACT_INT:
      *kind = SWAGE_QUANT_INT;
      return true;
    case SWAGE_ACT_FP8_E4M3:
      *kind = SWAGE_QUANT_E4M3;
      return true;
    case SWAGE_ACT_FP8_E5M2:
      *kind = SWAGE_QUANT_E5M2;
      return true;
    case SWAGE_ACT_FP4_E2M1:
      *kind = SWAGE_QUANT_E2M1;
      return true;
    case SWAGE_ACT_OVP:
      *kind = SWAGE_QUANT_OVP;
      return true;
    }
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("Layer “%s” asks for an activation format that this engine does not run"), name);
  return false;
}

/* out ← Q(x), columns [c0, c0 + n_cols); `range` is the entry of the first static range. */
static bool
quantize_columns (SwageEngine *engine, const SwageQuantActArgs *args, SwageArray outliers, SwageArray ranges,
                  int range, SwageArray x, int64_t c0, int64_t n_cols, int64_t tensor_rows, SwageArray out,
                  GError **error)
{
  int64_t n = x.view.ne[1];
  int64_t step = args->scope == SWAGE_SCOPE_TENSOR && ranges.buffer == NULL ? tensor_rows : n;

  if (ranges.buffer != NULL)
    {
      ranges.offset += (size_t)range * 2 * sizeof (float);
      ranges.view.ne[1] -= range;
    }
  for (int64_t row = 0; row < n; row += step)
    {
      SwageDispatch d
          = { .dst = out, .src = { x, outliers, ranges }, .args = args, .args_bytes = sizeof *args };
      d.dst.offset += (size_t)(row * out.view.nb[1] + c0 * (int64_t)sizeof (float));
      d.src[0].offset += (size_t)(row * x.view.nb[1] + c0 * (int64_t)sizeof (float));
      d.dst.view.ne[0] = d.src[0].view.ne[0] = n_cols;
      d.dst.view.ne[1] = d.src[0].view.ne[1] = MIN (step, n - row);
      if (!swage_engine_run (engine, OP_QUANT_ACT, &d, error))
        return false;
    }
  return true;
}

static bool
quantize (SwageEngine *engine, const SwageActQuant *q, const char *name, SwageArray outliers,
          SwageArray ranges, SwageArray x, int64_t tensor_rows, SwageArray out, GError **error)
{
  SwageQuantActArgs args
      = { .bits = (uint32_t)q->bits, .symmetric = q->symmetric, .group = (uint32_t)q->group_size };

  if (!get_quant_kind (q, name, &args.kind, error))
    return false;
  args.scope = q->scope == SWAGE_ACT_PER_GROUP    ? SWAGE_SCOPE_GROUP
               : q->scope == SWAGE_ACT_PER_TENSOR ? SWAGE_SCOPE_TENSOR
                                                  : SWAGE_SCOPE_TOKEN;
  if (q->n_clusters == 0)
    return quantize_columns (engine, &args, outliers, ranges, 0, x, 0, x.view.ne[0], tensor_rows, out, error);
  for (int i = 0; i < q->n_clusters; i++)
    {
      int64_t c0 = q->cluster_start[i], n_cols = q->cluster_start[i + 1] - c0;
      if (n_cols > 0
          && !quantize_columns (engine, &args, outliers, ranges, i, x, c0, n_cols, tensor_rows, out, error))
        return false;
    }
  return true;
}

static bool
run_act_quant (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x, int64_t tensor_rows,
               SwageArray *out, GError **error)
{
  int64_t n_in = x.view.ne[0], n = x.view.ne[1];
  SwageBuffer *space
      = swage_engine_get_space (engine, SPACE_QUANTIZED, (size_t)(n_in * n) * sizeof (float), error);

  if (space == NULL)
    return false;
  *out = swage_array_f32 (space, 0, n_in, n);
  return quantize (engine, bound->linear->act_quant, bound->linear->name, bound->outliers, bound->ranges, x,
                   tensor_rows, *out, error);
}

bool
swage_bound_linear_keep (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x,
                         int64_t tensor_rows, GError **error)
{
  const SwageActQuant *q = bound->linear != NULL ? bound->linear->out_quant : NULL;
  SwageArray none = { 0 };

  return q == NULL
         || quantize (engine, q, bound->linear->name, none, bound->out_ranges, x, tensor_rows, x, error);
}

/* All of Qa(T·x)·Ŵᵀ, turned back: a row of it needs all rows of Ŵ. */
static bool
run_turned (SwageEngine *engine, const SwageBoundLinear *bound, SwageLinearInput *in, GError **error)
{
  int64_t n_out = bound->weight.rows, n = in->x.view.ne[1];
  SwageBuffer *space
      = swage_engine_get_space (engine, SPACE_TURNED, (size_t)(n_out * n) * sizeof (float), error);

  if (space == NULL)
    return false;
  in->turned = swage_array_f32 (space, 0, n_out, n);
  if (!matmul (engine, &bound->weight, in->quantized, 0, n_out, NULL, in->turned, false, error))
    return false;
  SwageRotateArgs args = { .inverse = true };
  SwageDispatch d = { .dst = in->turned,
                      .src = { in->turned, bound->u1, bound->u2 },
                      .args = &args,
                      .args_bytes = sizeof args };
  return swage_engine_run (engine, OP_ROTATE, &d, error);
}

/* dst ← (dst +) rows [row0, row0 + n_rows) of what was turned. */
static bool
take_turned (SwageEngine *engine, const SwageLinearInput *in, int64_t row0, int64_t n_rows, SwageArray dst,
             bool accumulate, GError **error)
{
  SwageDispatch d = { .dst = dst, .src = { in->turned } };

  d.dst.view.ne[0] = d.src[0].view.ne[0] = n_rows;
  d.src[0].offset += (size_t)row0 * sizeof (float);
  if (!accumulate)
    return swage_engine_run (engine, OP_TRANSFORM, &d, error); /* of nothing: a copy */
  d.src[1] = d.src[0];
  d.src[0] = d.dst;
  return swage_engine_run (engine, OP_ADD, &d, error);
}

bool
swage_bound_linear_prepare (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x,
                            int64_t tensor_rows, SwageLinearInput *in, GError **error)
{
  SwageArray transformed = x;

  *in = (SwageLinearInput){ .x = x, .quantized = x };
  if (bound->linear->transform != NULL && !run_transform (engine, bound, x, &transformed, error))
    return false;
  in->quantized = transformed;
  if (bound->linear->act_quant != NULL && bound->weight.codes.buffer != NULL
      && !run_act_quant (engine, bound, transformed, tensor_rows, &in->quantized, error))
    return false;
  if (bound->u1.buffer != NULL && bound->weight.codes.buffer != NULL && !run_turned (engine, bound, in, error))
    return false;
  if (bound->a.codes.buffer == NULL)
    return true;

  int64_t n = x.view.ne[1], rank = bound->a.rows;
  SwageBuffer *space
      = swage_engine_get_space (engine, SPACE_RANK, (size_t)(n * rank) * sizeof (float), error);
  if (space == NULL)
    return false;
  in->rank = swage_array_f32 (space, 0, rank, n);
  return matmul (engine, &bound->a, transformed, 0, rank, NULL, in->rank, false, error);
}

bool
swage_bound_linear_apply (SwageEngine *engine, const SwageBoundLinear *bound, const SwageLinearInput *in,
                          int64_t row0, int64_t n_rows, SwageArray dst, bool accumulate, GError **error)
{
  SwageBuffer *bias = bound->bias;

  if (bound->u1.buffer != NULL && bound->weight.codes.buffer != NULL)
    {
      if (!take_turned (engine, in, row0, n_rows, dst, accumulate, error))
        return false;
      accumulate = true;
    }
  else if (bound->weight.codes.buffer != NULL)
    {
      if (!matmul (engine, &bound->weight, in->quantized, row0, n_rows, bias, dst, accumulate, error))
        return false;
      bias = NULL;
      accumulate = true;
    }
  if (bound->b.codes.buffer != NULL)
    {
      if (!matmul (engine, &bound->b, in->rank, row0, n_rows, bias, dst, accumulate, error))
        return false;
      bias = NULL;
      accumulate = true;
    }
  if (bound->row_start != NULL)
    {
      SwageSparseArgs args = { .alpha = 1.0f, .accumulate = accumulate };
      int64_t n_values = bound->linear->sparse->n_values;
      SwageDispatch d = { .dst = dst, .args = &args, .args_bytes = sizeof args };
      d.dst.view.ne[0] = n_rows;
      d.src[0] = in->x;
      d.src[1] = (SwageArray){ bound->row_start, (size_t)row0 * sizeof (int64_t),
                               swage_view (SWAGE_TYPE_I64, NULL, n_rows + 1, 1, 1, 1) };
      d.src[2] = (SwageArray){ bound->column, 0, swage_view (SWAGE_TYPE_I32, NULL, n_values, 1, 1, 1) };
      d.src[3] = bound->values;
      if (!swage_engine_run (engine, OP_SPARSE_MATMUL, &d, error))
        return false;
    }
  if (bias == NULL)
    return true;

  SwageDispatch d = { .dst = dst };
  d.dst.view.ne[0] = n_rows;
  d.src[0] = d.dst;
  d.src[1] = swage_array_f32 (bias, (size_t)row0 * sizeof (float), n_rows, 1);
  return swage_engine_run (engine, OP_ADD, &d, error);
}
