/* SPDX-License-Identifier: MIT
 *
 * Building, sharing, sizing and flattening CompressedLinears. Running them is the engine's work.
 *
 * The effective matrix folds everything linear into one: with Tx = R·P·(diag(s)·x + t), R = Q1 ⊗ Q2,
 *
 *   E = (Ŵ + B·A)·R·P·diag(s) + S
 *
 * Row by row: a row m of Ŵ + B·A seen as a q1_n × q2_n matrix M becomes Q1ᵀ·M·Q2, is scattered by the
 * permutation and scaled. The constant (Ŵ + B·A)·R·P·t that a shift adds belongs to the bias, not to the
 * matrix.
 */
#include "core/linear/swage-linear.h"

#include <string.h>
#include "core/base/swage-pool.h"

SwageLinear *
swage_linear_new (const char *name, SwageWeight *weight, float *bias)
{
  SwageLinear *linear = g_atomic_rc_box_new0 (SwageLinear);

  linear->name = g_strdup (name);
  linear->weight = weight;
  linear->bias = bias;
  if (weight != NULL)
    {
      linear->n_out = weight->rows;
      linear->n_in = weight->cols;
    }
  return linear;
}

void
swage_transform_free (SwageTransform *t)
{
  if (t == NULL)
    return;
  g_free (t->scale);
  g_free (t->shift);
  g_free (t->permutation);
  g_free (t->q1);
  g_free (t->q2);
  g_free (t->u1);
  g_free (t->u2);
  g_free (t);
}

static SwageTransform *
transform_dup (const SwageTransform *t, int64_t n_in)
{
  SwageTransform *copy = g_memdup2 (t, sizeof *t);
  size_t n = (size_t)n_in;

  copy->scale = g_memdup2 (t->scale, n * sizeof (float));
  copy->shift = g_memdup2 (t->shift, n * sizeof (float));
  copy->permutation = g_memdup2 (t->permutation, n * sizeof (int32_t));
  copy->q1 = g_memdup2 (t->q1, (size_t)t->q1_n * (size_t)t->q1_n * sizeof (float));
  copy->q2 = g_memdup2 (t->q2, (size_t)t->q2_n * (size_t)t->q2_n * sizeof (float));
  copy->u1 = g_memdup2 (t->u1, (size_t)t->u1_n * (size_t)t->u1_n * sizeof (float));
  copy->u2 = g_memdup2 (t->u2, (size_t)t->u2_n * (size_t)t->u2_n * sizeof (float));
  return copy;
}

uint64_t
swage_act_quant_get_bytes (const SwageActQuant *q)
{
  if (q == NULL)
    return 0;
  return (uint64_t)q->n_outliers * sizeof (int32_t) + (uint64_t)q->n_ranges * 2 * sizeof (float)
         + (q->n_clusters > 0 ? (uint64_t)(q->n_clusters + 1) * sizeof (int32_t) : 0);
}

void
swage_act_quant_free (SwageActQuant *q)
{
  if (q == NULL)
    return;
  g_free (q->outliers);
  g_free (q->cluster_start);
  g_free (q->ranges);
  g_free (q);
}

static SwageActQuant *
act_quant_dup (const SwageActQuant *q)
{
  SwageActQuant *copy = g_memdup2 (q, sizeof *q);

  copy->outliers = g_memdup2 (q->outliers, (size_t)q->n_outliers * sizeof (int32_t));
  copy->cluster_start = g_memdup2 (q->cluster_start, (size_t)(q->n_clusters + 1) * sizeof (int32_t));
  copy->ranges = g_memdup2 (q->ranges, (size_t)q->n_ranges * 2 * sizeof (float));
  return copy;
}

static void
sparse_free (SwageSparse *s)
{
  if (s == NULL)
    return;
  g_free (s->row_start);
  g_free (s->column);
  g_free (s->values);
  g_free (s);
}

static size_t
sparse_value_bytes (SwageType type)
{
  return type == SWAGE_TYPE_F16 ? sizeof (uint16_t) : sizeof (float);
}

static SwageSparse *
sparse_dup (const SwageSparse *s)
{
  SwageSparse *copy = g_memdup2 (s, sizeof *s);
  size_t n = (size_t)s->n_values;

  copy->row_start = g_memdup2 (s->row_start, (size_t)(s->rows + 1) * sizeof (int64_t));
  copy->column = g_memdup2 (s->column, (size_t)swage_sparse_get_n_columns (s) * sizeof (uint32_t));
  copy->values = g_memdup2 (s->values, n * sparse_value_bytes (s->type));
  return copy;
}

SwageLinear *
swage_linear_dup (const SwageLinear *linear)
{
  SwageLinear *copy = g_atomic_rc_box_new0 (SwageLinear);

  copy->name = g_strdup (linear->name);
  copy->n_out = linear->n_out;
  copy->n_in = linear->n_in;
  if (linear->transform != NULL)
    copy->transform = transform_dup (linear->transform, linear->n_in);
  if (linear->act_quant != NULL)
    copy->act_quant = act_quant_dup (linear->act_quant);
  if (linear->out_quant != NULL)
    copy->out_quant = act_quant_dup (linear->out_quant);
  copy->absorbed_in = g_memdup2 (linear->absorbed_in, (size_t)linear->n_in * sizeof (float));
  copy->absorbed_shift = g_memdup2 (linear->absorbed_shift, (size_t)linear->n_in * sizeof (float));
  copy->absorbed_out = g_memdup2 (linear->absorbed_out, (size_t)linear->n_out * sizeof (float));
  if (linear->weight != NULL)
    copy->weight = swage_weight_ref (linear->weight);
  if (linear->a != NULL)
    copy->a = swage_weight_ref (linear->a);
  if (linear->b != NULL)
    copy->b = swage_weight_ref (linear->b);
  if (linear->sparse != NULL)
    copy->sparse = sparse_dup (linear->sparse);
  copy->bias = g_memdup2 (linear->bias, (size_t)linear->n_out * sizeof (float));
  return copy;
}

void
swage_linear_clear_absorbed (SwageLinear *linear)
{
  g_clear_pointer (&linear->absorbed_in, g_free);
  g_clear_pointer (&linear->absorbed_shift, g_free);
  g_clear_pointer (&linear->absorbed_out, g_free);
}

SwageLinear *
swage_linear_ref (SwageLinear *linear)
{
  return g_atomic_rc_box_acquire (linear);
}

static void
linear_clear (gpointer box)
{
  SwageLinear *linear = box;

  g_free (linear->name);
  swage_transform_free (linear->transform);
  swage_act_quant_free (linear->act_quant);
  swage_act_quant_free (linear->out_quant);
  swage_linear_clear_absorbed (linear);
  swage_weight_unref (linear->weight);
  swage_weight_unref (linear->a);
  swage_weight_unref (linear->b);
  sparse_free (linear->sparse);
  g_free (linear->bias);
}

void
swage_linear_unref (SwageLinear *linear)
{
  if (linear != NULL)
    g_atomic_rc_box_release_full (linear, linear_clear);
}

void
swage_linear_set_weight (SwageLinear *linear, SwageWeight *weight)
{
  if (weight != NULL)
    {
      g_assert (linear->n_out == 0 || (weight->rows == linear->n_out && weight->cols == linear->n_in));
      linear->n_out = weight->rows;
      linear->n_in = weight->cols;
    }
  swage_weight_unref (linear->weight);
  linear->weight = weight;
}

void
swage_linear_set_low_rank (SwageLinear *linear, SwageWeight *a, SwageWeight *b)
{
  g_assert ((a == NULL) == (b == NULL));
  if (a != NULL)
    {
      g_assert (a->rows == b->cols);
      g_assert (linear->n_out == 0 || (b->rows == linear->n_out && a->cols == linear->n_in));
      linear->n_out = b->rows;
      linear->n_in = a->cols;
    }
  swage_weight_unref (linear->a);
  swage_weight_unref (linear->b);
  linear->a = a;
  linear->b = b;
}

int64_t
swage_linear_get_rank (const SwageLinear *linear)
{
  return linear->a != NULL ? linear->a->rows : 0;
}

uint64_t
swage_linear_get_bytes (const SwageLinear *linear)
{
  uint64_t n = 0, n_in = (uint64_t)linear->n_in;

  if (linear->weight != NULL)
    n += swage_weight_get_bytes (linear->weight);
  if (linear->a != NULL)
    n += swage_weight_get_bytes (linear->a) + swage_weight_get_bytes (linear->b);
  if (linear->sparse != NULL)
    {
      const SwageSparse *s = linear->sparse;
      n += s->row_start != NULL ? (uint64_t)(s->rows + 1) * sizeof (int64_t) : 0;
      n += (uint64_t)swage_sparse_get_n_columns (s) * sizeof (uint32_t)
           + (uint64_t)s->n_values * sparse_value_bytes (s->type);
    }
  if (linear->transform != NULL)
    {
      const SwageTransform *t = linear->transform;
      n += (t->scale != NULL ? n_in * 4 : 0) + (t->shift != NULL ? n_in * 4 : 0);
      n += t->permutation != NULL ? n_in * 4 : 0;
      n += t->q1 != NULL ? (uint64_t)t->q1_n * (uint64_t)t->q1_n * 4 : 0;
      n += t->q2 != NULL ? (uint64_t)t->q2_n * (uint64_t)t->q2_n * 4 : 0;
      n += t->u1 != NULL ? (uint64_t)t->u1_n * (uint64_t)t->u1_n * 4 : 0;
      n += t->u2 != NULL ? (uint64_t)t->u2_n * (uint64_t)t->u2_n * 4 : 0;
    }
  n += swage_act_quant_get_bytes (linear->act_quant) + swage_act_quant_get_bytes (linear->out_quant);
  if (linear->bias != NULL)
    n += (uint64_t)linear->n_out * sizeof (float);
  return n;
}

int64_t
swage_linear_get_parameters (const SwageLinear *linear)
{
  return linear->n_out * linear->n_in;
}

typedef struct
{
  float *m;
  int64_t cols;
  const float *u1, *u2;
  int64_t n1, n2;
  bool transposed;
} Turn;

/* Some columns: first along the inner index of a row's number (U2), then along the outer (U1). */
static void
turn_columns (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Turn *t = user_data;
  int64_t width = end - begin, n = t->n1 * t->n2;
  g_autofree double *half = g_new0 (double, (size_t)(n * width));
  g_autofree double *sum = g_new (double, (size_t)width);

  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < t->n2; k++)
      {
        int64_t j = i % t->n2;
        double u = (double)(t->transposed ? t->u2[k * t->n2 + j] : t->u2[j * t->n2 + k]);
        const float *row = t->m + (i - j + k) * t->cols + begin;
        for (int64_t c = 0; c < width; c++)
          half[i * width + c] += u * (double)row[c];
      }
  for (int64_t i = 0; i < n; i++)
    {
      int64_t outer = i / t->n2, j = i % t->n2;
      memset (sum, 0, (size_t)width * sizeof (double));
      for (int64_t k = 0; k < t->n1; k++)
        {
          double u = (double)(t->transposed ? t->u1[k * t->n1 + outer] : t->u1[outer * t->n1 + k]);
          for (int64_t c = 0; c < width; c++)
            sum[c] += u * half[(k * t->n2 + j) * width + c];
        }
      for (int64_t c = 0; c < width; c++)
        t->m[i * t->cols + begin + c] = (float)sum[c];
    }
}

void
swage_linear_rotate_rows (float *m, int64_t cols, const float *u1, int n1, const float *u2, int n2,
                          bool transposed)
{
  Turn t = { m, cols, u1, u2, n1, n2, transposed };
  swage_pool_run (cols, 64, turn_columns, &t);
}

typedef struct
{
  const SwageLinear *linear;
  float *a;            /* decoded, rank × n_in, or NULL */
  float *turned;       /* all of Ŵ with its product turned back, or NULL where nothing turns it */
  const int32_t *rows; /* which rows are wanted; NULL: all */
  float *effective;
} Effective;

/* row ← Q1ᵀ·M·Q2, M being `row` seen as q1_n × q2_n; either factor may be absent (identity). */
static void
rotate_row (const SwageTransform *t, int64_t n, double *row, double *tmp)
{
  int64_t n2 = t->q2 != NULL ? t->q2_n : n / MAX (1, t->q1_n);
  int64_t n1 = n / n2;

  if (t->q2 != NULL)
    {
      for (int64_t i = 0; i < n1; i++)
        for (int64_t b = 0; b < n2; b++)
          {
            double m = row[i * n2 + b];
            for (int64_t d = 0; d < n2; d++)
              tmp[i * n2 + d] = (b == 0 ? 0.0 : tmp[i * n2 + d]) + m * (double)t->q2[b * n2 + d];
          }
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
  if (t->q1 != NULL)
    {
      memset (tmp, 0, (size_t)n * sizeof (double));
      for (int64_t a = 0; a < n1; a++)
        for (int64_t c = 0; c < n1; c++)
          for (int64_t d = 0; d < n2; d++)
            tmp[c * n2 + d] += (double)t->q1[a * n1 + c] * row[a * n2 + d];
      memcpy (row, tmp, (size_t)n * sizeof (double));
    }
}

static void
effective_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Effective *e = user_data;
  const SwageLinear *linear = e->linear;
  const SwageTransform *t = linear->transform;
  int64_t n = linear->n_in, rank = swage_linear_get_rank (linear);
  g_autofree double *row = g_new (double, (size_t)n);
  g_autofree double *tmp = g_new (double, (size_t)n);
  g_autofree float *b = rank > 0 ? g_new (float, (size_t)rank) : NULL;

  for (int64_t k = begin; k < end; k++)
    {
      int64_t r = e->rows != NULL ? e->rows[k] : k;
      float *dst = e->effective + k * n;
      if (e->turned != NULL)
        memcpy (dst, e->turned + r * n, (size_t)n * sizeof (float));
      else if (linear->weight != NULL)
        swage_weight_decode (linear->weight, r, r + 1, dst);
      for (int64_t i = 0; i < n; i++)
        row[i] = linear->weight != NULL ? (double)dst[i] : 0.0;
      if (rank > 0)
        {
          swage_weight_decode (linear->b, r, r + 1, b);
          for (int64_t j = 0; j < rank; j++)
            for (int64_t i = 0; i < n; i++)
              row[i] += (double)b[j] * (double)e->a[j * n + i];
        }
      if (t != NULL)
        {
          rotate_row (t, n, row, tmp);
          if (t->permutation != NULL)
            {
              memset (tmp, 0, (size_t)n * sizeof (double));
              for (int64_t i = 0; i < n; i++)
                tmp[t->permutation[i]] += row[i];
              memcpy (row, tmp, (size_t)n * sizeof (double));
            }
          if (t->scale != NULL)
            for (int64_t i = 0; i < n; i++)
              row[i] *= (double)t->scale[i];
        }
      if (linear->sparse != NULL)
        {
          const SwageSparse *s = linear->sparse;
          const uint32_t *columns;
          int64_t n_values, first = swage_sparse_get_row (s, r, &n_values, &columns);
          for (int64_t j = first; j < first + n_values; j++)
            row[columns[j - first]] += s->type == SWAGE_TYPE_F16
                                     ? (double)swage_f16_to_f32 (((const uint16_t *)s->values)[j])
                                     : (double)((const float *)s->values)[j];
        }
      double out = linear->absorbed_out != NULL ? (double)linear->absorbed_out[r] : 1;
      for (int64_t i = 0; i < n; i++)
        dst[i] = (float)(row[i] * (linear->absorbed_in != NULL ? (double)linear->absorbed_in[i] : 1) / out);
    }
}

void
swage_linear_get_effective_rows (const SwageLinear *linear, const int32_t *rows, int64_t n, float *dst)
{
  Effective e = { .linear = linear, .rows = rows, .effective = dst };

  e.a = linear->a != NULL ? swage_weight_decode_all (linear->a) : NULL;
  if (linear->transform != NULL && linear->transform->u1 != NULL && linear->weight != NULL)
    {
      const SwageTransform *t = linear->transform;
      e.turned = swage_weight_decode_all (linear->weight);
      swage_linear_rotate_rows (e.turned, linear->n_in, t->u1, t->u1_n, t->u2, t->u2_n, true);
    }
  swage_pool_run (n, 16, effective_rows, &e);
  g_free (e.a);
  g_free (e.turned);
}

float *
swage_linear_get_effective (const SwageLinear *linear)
{
  if (linear->weight != NULL && linear->a == NULL && linear->sparse == NULL && linear->transform == NULL
      && linear->absorbed_in == NULL && linear->absorbed_out == NULL)
    return swage_weight_decode_all (linear->weight);

  float *effective = g_malloc_n ((size_t)linear->n_out, (size_t)linear->n_in * sizeof (float));
  swage_linear_get_effective_rows (linear, NULL, linear->n_out, effective);
  return effective;
}
