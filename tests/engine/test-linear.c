/* SPDX-License-Identifier: MIT
 *
 * Every part of a CompressedLinear, alone and together, against the formula evaluated here in double on
 * decoded weights:
 *
 *   y = Qa(T·x)·Ŵᵀ + (T·x·A)·B + x·Sᵀ + b
 */
#include "engine-fixture.h"
#include "core/engine/backend/swage-backend-null.h"
#include "core/linear/swage-linear-spec.h"

enum
{
  N_OUT = 70,
  N_IN = 96, /* 8 × 12 for the rotation; a multiple of 32 for block types */
  RANK = 9
};

static float
randf (GRand *rand)
{
  return (float)g_rand_double_range (rand, -1, 1);
}

static float *
random_floats (GRand *rand, size_t n)
{
  float *x = g_new (float, n);

  for (size_t i = 0; i < n; i++)
    x[i] = randf (rand);
  return x;
}

/* An orthogonal matrix: Gram-Schmidt on random rows. */
static float *
random_orthogonal (GRand *rand, int n)
{
  g_autofree double *q = g_new (double, (size_t)n *n);
  float *out = g_new (float, (size_t)n *n);

  for (int i = 0; i < n; i++)
    {
      double *row = q + (size_t)i * n, norm = 0;
      for (int j = 0; j < n; j++)
        row[j] = randf (rand);
      for (int k = 0; k < i; k++)
        {
          double dot = 0;
          for (int j = 0; j < n; j++)
            dot += row[j] * q[k * n + j];
          for (int j = 0; j < n; j++)
            row[j] -= dot * q[k * n + j];
        }
      for (int j = 0; j < n; j++)
        norm += row[j] * row[j];
      for (int j = 0; j < n; j++)
        row[j] /= sqrt (norm);
    }
  for (int i = 0; i < n * n; i++)
    out[i] = (float)q[i];
  return out;
}

/* ---- the formula ---- */

static void
apply_transform (const SwageTransform *t, const double *x, double *out)
{
  double scaled[N_IN], permuted[N_IN];

  for (int i = 0; i < N_IN; i++)
    scaled[i] = x[i] * (t->scale ? t->scale[i] : 1.0) + (t->shift ? t->shift[i] : 0.0);
  for (int i = 0; i < N_IN; i++)
    permuted[i] = scaled[t->permutation ? t->permutation[i] : i];
  if (t->q1 == NULL && t->q2 == NULL)
    {
      memcpy (out, permuted, sizeof permuted);
      return;
    }
  int n2 = t->q2 ? t->q2_n : N_IN / t->q1_n, n1 = N_IN / n2;
  for (int a = 0; a < n1; a++)
    for (int b = 0; b < n2; b++)
      {
        double sum = 0;
        for (int c = 0; c < n1; c++)
          for (int d = 0; d < n2; d++)
            sum += (t->q1 ? t->q1[a * n1 + c] : a == c) * (t->q2 ? t->q2[b * n2 + d] : b == d)
                   * permuted[c * n2 + d];
        out[a * n2 + b] = sum;
      }
}

static bool
is_outlier (const SwageActQuant *q, int column)
{
  for (int i = 0; i < q->n_outliers; i++)
    if (q->outliers[i] == column)
      return true;
  return false;
}

/* Integers with a range per group of columns of a token, or per token. */
static void
apply_act_quant (const SwageActQuant *q, double *x)
{
  int group = q->scope == SWAGE_ACT_PER_GROUP ? q->group_size : N_IN;

  for (int g = 0; g < N_IN; g += group)
    {
      double lo = 0, hi = 0;
      for (int i = g; i < MIN (g + group, N_IN); i++)
        if (!is_outlier (q, i))
          {
            lo = MIN (lo, x[i]);
            hi = MAX (hi, x[i]);
          }
      double levels = q->symmetric ? (1 << (q->bits - 1)) - 1 : (1 << q->bits) - 1;
      double scale = q->symmetric ? MAX (-lo, hi) / levels : (hi - lo) / levels;
      double zero = q->symmetric || scale == 0 ? 0 : nearbyint (-lo / scale);
      for (int i = g; i < MIN (g + group, N_IN); i++)
        if (!is_outlier (q, i))
          {
            double code = scale == 0 ? 0 : nearbyint (x[i] / scale) + zero;
            code = CLAMP (code, q->symmetric ? -levels : 0, levels);
            x[i] = scale * (code - zero);
          }
    }
}

static void
evaluate (const SwageLinear *linear, const float *x, double *y)
{
  double plain[N_IN], transformed[N_IN], quantized[N_IN];

  for (int i = 0; i < N_IN; i++)
    plain[i] = transformed[i] = x[i];
  if (linear->transform != NULL)
    apply_transform (linear->transform, plain, transformed);
  memcpy (quantized, transformed, sizeof quantized);
  if (linear->act_quant != NULL)
    apply_act_quant (linear->act_quant, quantized);
  for (int o = 0; o < N_OUT; o++)
    y[o] = linear->bias != NULL ? linear->bias[o] : 0;
  if (linear->weight != NULL)
    {
      g_autofree float *w = swage_weight_decode_all (linear->weight);
      for (int o = 0; o < N_OUT; o++)
        for (int i = 0; i < N_IN; i++)
          y[o] += quantized[i] * w[o * N_IN + i];
      const SwageTransform *t = linear->transform;
      for (int o = 0; t != NULL && t->u1 != NULL && o < N_OUT; o++) /* (U1 ⊗ U2)ᵀ of the product, without the bias */
        {
          double turned = linear->bias != NULL ? linear->bias[o] : 0;
          for (int k = 0; k < N_OUT; k++)
            {
              double product = 0;
              for (int i = 0; i < N_IN; i++)
                product += quantized[i] * w[k * N_IN + i];
              turned += (double)t->u1[k / t->u2_n * t->u1_n + o / t->u2_n]
                        * (double)t->u2[k % t->u2_n * t->u2_n + o % t->u2_n] * product;
            }
          y[o] = turned;
        }
    }
  if (linear->a != NULL)
    {
      g_autofree float *a = swage_weight_decode_all (linear->a);
      g_autofree float *b = swage_weight_decode_all (linear->b);
      for (int r = 0; r < RANK; r++)
        {
          double mid = 0;
          for (int i = 0; i < N_IN; i++)
            mid += transformed[i] * a[r * N_IN + i];
          for (int o = 0; o < N_OUT; o++)
            y[o] += mid * b[o * RANK + r];
        }
    }
  if (linear->sparse != NULL)
    for (int o = 0; o < N_OUT; o++)
      for (int64_t e = linear->sparse->row_start[o]; e < linear->sparse->row_start[o + 1]; e++)
        y[o] += plain[linear->sparse->column[e]]
                * (linear->sparse->type == SWAGE_TYPE_F16
                       ? swage_f16_to_f32 (((uint16_t *)linear->sparse->values)[e])
                       : ((float *)linear->sparse->values)[e]);
}

/* ---- making layers ---- */

typedef struct
{
  const char *name;
  SwageType type; /* NONE: no Ŵ */
  int bits, group;
  bool symmetric;
  bool bias, low_rank, scale, shift, permutation, q1, q2, turned;
  SwageType sparse; /* 0 (F32) counts as absent: see has_sparse */
  bool has_sparse;
  int act_bits; /* 0: none */
  SwageActScope act_scope;
  bool act_symmetric;
  int act_outliers;
  double tolerance;
} Case;

static const Case cases[] = {
  { "f32", .type = SWAGE_TYPE_F32 },
  { "f16-bias", .type = SWAGE_TYPE_F16, .bias = true },
  { "bf16", .type = SWAGE_TYPE_BF16, .bias = true },
  { "q8_0", .type = SWAGE_TYPE_Q8_0 },
  { "q4_0", .type = SWAGE_TYPE_Q4_0 },
  { "q5_1", .type = SWAGE_TYPE_Q5_1, .bias = true },
  { "iq4_nl", .type = SWAGE_TYPE_IQ4_NL },
  { "int4-g32", .type = SWAGE_TYPE_INT, .bits = 4, .group = 32, .symmetric = true },
  { "int3-g40-asym", .type = SWAGE_TYPE_INT, .bits = 3, .group = 40, .bias = true },
  { "int5-g7", .type = SWAGE_TYPE_INT, .bits = 5, .group = 7, .symmetric = true },
  { "low-rank", .type = SWAGE_TYPE_NONE, .low_rank = true },
  { "low-rank-bias", .type = SWAGE_TYPE_NONE, .low_rank = true, .bias = true },
  { "weight-low-rank", .type = SWAGE_TYPE_Q4_0, .low_rank = true, .bias = true },
  { "sparse-alone", .type = SWAGE_TYPE_NONE, .has_sparse = true, .sparse = SWAGE_TYPE_F32, .bias = true },
  { "weight-sparse", .type = SWAGE_TYPE_Q4_0, .has_sparse = true, .sparse = SWAGE_TYPE_F16 },
  { "scale", .type = SWAGE_TYPE_F32, .scale = true },
  { "scale-shift", .type = SWAGE_TYPE_F32, .scale = true, .shift = true, .bias = true },
  { "permutation", .type = SWAGE_TYPE_F32, .permutation = true },
  { "scale-shift-permutation", .type = SWAGE_TYPE_F32, .scale = true, .shift = true, .permutation = true },
  { "rotation", .type = SWAGE_TYPE_F32, .q1 = true, .q2 = true },
  { "rotation-left", .type = SWAGE_TYPE_F32, .q1 = true },
  { "rotation-right", .type = SWAGE_TYPE_F32, .q2 = true },
  { "turned", .type = SWAGE_TYPE_F32, .turned = true },
  { "turned-all", .type = SWAGE_TYPE_INT, .bits = 4, .group = 32, .bias = true, .low_rank = true, .q1 = true,
    .q2 = true, .turned = true, .has_sparse = true, .sparse = SWAGE_TYPE_F16 },
  { "transform", .type = SWAGE_TYPE_BF16, .scale = true, .shift = true, .permutation = true, .q1 = true,
    .q2 = true },
  { "act-int8-token", .type = SWAGE_TYPE_F32, .act_bits = 8, .act_scope = SWAGE_ACT_PER_TOKEN,
    .act_symmetric = true },
  { "act-int6-group", .type = SWAGE_TYPE_F32, .act_bits = 6, .act_scope = SWAGE_ACT_PER_GROUP },
  { "act-int8-outliers", .type = SWAGE_TYPE_F32, .act_bits = 8, .act_scope = SWAGE_ACT_PER_TOKEN,
    .act_symmetric = true, .act_outliers = 3 },
  { "everything", .type = SWAGE_TYPE_INT, .bits = 4, .group = 32, .bias = true, .low_rank = true,
    .scale = true, .shift = true, .permutation = true, .q1 = true, .q2 = true, .has_sparse = true,
    .sparse = SWAGE_TYPE_F16, .act_bits = 8, .act_scope = SWAGE_ACT_PER_TOKEN, .act_symmetric = true,
    .act_outliers = 2 },
};

static SwageSparse *
make_sparse (GRand *rand, SwageType type)
{
  SwageSparse *s = g_new0 (SwageSparse, 1);
  g_autoptr (GArray) columns = g_array_new (FALSE, FALSE, sizeof (uint32_t));

  s->rows = N_OUT;
  s->cols = N_IN;
  s->type = type;
  s->row_start = g_new0 (int64_t, N_OUT + 1);
  for (int o = 0; o < N_OUT; o++)
    {
      for (uint32_t i = 0; i < N_IN; i++)
        if (g_rand_int_range (rand, 0, 20) == 0)
          g_array_append_val (columns, i);
      s->row_start[o + 1] = columns->len;
    }
  s->n_values = columns->len;
  s->column = g_memdup2 (columns->data, columns->len * sizeof (uint32_t));
  g_autofree float *values = random_floats (rand, columns->len);
  s->values = g_malloc0 (columns->len * sizeof (float));
  swage_type_from_f32 (type, values, NULL, s->values, columns->len);
  return s;
}

static SwageLinear *
make_layer (const Case *c, GRand *rand)
{
  SwageWeight *weight = NULL;
  SwageLinear *linear;

  if (c->type != SWAGE_TYPE_NONE)
    {
      g_autofree float *w = random_floats (rand, N_OUT * N_IN);
      weight = c->type == SWAGE_TYPE_INT
                   ? swage_weight_new_int_from_f32 (N_OUT, N_IN, c->bits, c->group, c->symmetric, w, NULL)
                   : swage_weight_new_from_f32 (c->type, N_OUT, N_IN, w, NULL);
    }
  linear = swage_linear_new (c->name, weight, c->bias ? random_floats (rand, N_OUT) : NULL);
  linear->n_out = N_OUT;
  linear->n_in = N_IN;
  if (c->low_rank)
    {
      g_autofree float *a = random_floats (rand, RANK * N_IN);
      g_autofree float *b = random_floats (rand, N_OUT * RANK);
      swage_linear_set_low_rank (linear, swage_weight_new_from_f32 (SWAGE_TYPE_F16, RANK, N_IN, a, NULL),
                                 swage_weight_new_from_f32 (SWAGE_TYPE_F32, N_OUT, RANK, b, NULL));
    }
  if (c->has_sparse)
    linear->sparse = make_sparse (rand, c->sparse);
  if (c->scale || c->shift || c->permutation || c->q1 || c->q2 || c->turned)
    {
      SwageTransform *t = linear->transform = g_new0 (SwageTransform, 1);
      t->scale = c->scale ? random_floats (rand, N_IN) : NULL;
      t->shift = c->shift ? random_floats (rand, N_IN) : NULL;
      if (c->permutation)
        {
          t->permutation = g_new (int32_t, N_IN);
          for (int i = 0; i < N_IN; i++)
            t->permutation[i] = i;
          for (int i = N_IN - 1; i > 0; i--)
            {
              int j = g_rand_int_range (rand, 0, i + 1);
              int32_t other = t->permutation[i];
              t->permutation[i] = t->permutation[j];
              t->permutation[j] = other;
            }
        }
      if (c->q1)
        t->q1 = random_orthogonal (rand, t->q1_n = 8);
      if (c->turned)
        {
          t->u1 = random_orthogonal (rand, t->u1_n = 7);
          t->u2 = random_orthogonal (rand, t->u2_n = 10);
        }
      if (c->q2)
        t->q2 = random_orthogonal (rand, t->q2_n = 12);
    }
  if (c->act_bits > 0)
    {
      SwageActQuant *q = linear->act_quant = g_new0 (SwageActQuant, 1);
      q->format = SWAGE_ACT_INT;
      q->scope = c->act_scope;
      q->bits = c->act_bits;
      q->group_size = 32;
      q->symmetric = c->act_symmetric;
      q->n_outliers = c->act_outliers;
      q->outliers = g_new0 (int32_t, MAX (1, c->act_outliers));
      for (int i = 0; i < c->act_outliers; i++)
        q->outliers[i] = 5 + 40 * i;
    }
  return linear;
}

/* ---- tests ---- */

static void
check_layer (Rig *rig, const SwageLinear *linear, GRand *rand, int n, double tolerance)
{
  g_autoptr (GError) error = NULL;
  g_autofree float *x = random_floats (rand, (size_t)n * N_IN);
  g_autofree float *y = g_new (float, (size_t)n *N_OUT);
  double want[N_OUT], worst = 0;

  swage_engine_linear (rig->engine, linear, x, n, y, &error);
  g_assert_no_error (error);
  for (int i = 0; i < n; i++)
    {
      evaluate (linear, x + i * N_IN, want);
      for (int o = 0; o < N_OUT; o++)
        worst = MAX (worst, fabs (want[o] - y[i * N_OUT + o]));
    }
  g_test_message ("%d rows: max difference %.2e", n, worst);
  g_assert_cmpfloat (worst, <=, tolerance);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed (17);
  g_autofree char *path = golden_path ("llama", "");
  SwageLinearSpec spec;

  for (int device = 0; device < 2; device++)
    {
      g_auto (Rig) rig = { 0 };
      rig_open (&rig, path, device ? swage_backend_null_new () : NULL);
      g_autoptr (SwageLinear) linear = make_layer (c, rand);
      g_autoptr (SwageLinear) copy = swage_linear_dup (linear);
      /* Codes next to a rounding boundary may fall either way in single precision: one step of 1/127 of the
       * range. */
      double tolerance = c->act_bits > 0 ? 4e-2 : 2e-5;
      check_layer (&rig, linear, rand, 40, tolerance);
      check_layer (&rig, copy, rand, 3, tolerance);
      check_layer (&rig, copy, rand, 1, tolerance);

      swage_linear_spec_init_from (&spec, linear);
      g_assert_cmpuint (swage_linear_spec_get_bytes (&spec), ==, swage_linear_get_bytes (linear));
      g_autofree char *text = swage_linear_spec_describe (&spec);
      g_assert_cmpint (strlen (text), >, 0);
    }
}

/* Without Qa, shift and bias a layer is the matrix that get_effective() says it is. */
static void
test_effective (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  g_autofree char *path = golden_path ("llama", "");
  const Case c = { "effective",   .type = SWAGE_TYPE_Q8_0, .low_rank = true,
                   .scale = true, .permutation = true,     .q1 = true, .turned = true,
                   .q2 = true,    .has_sparse = true,      .sparse = SWAGE_TYPE_F32 };
  g_autoptr (SwageLinear) linear = make_layer (&c, rand);
  g_autofree float *effective = swage_linear_get_effective (linear);
  g_autofree float *x = random_floats (rand, 20 * N_IN);
  g_autofree float *y = g_new (float, 20 * N_OUT);
  g_auto (Rig) rig = { 0 };
  const int32_t rows[] = { 69, 0, 33 };
  g_autofree float *some = g_new (float, 3 * N_IN);

  rig_open (&rig, path, NULL);
  swage_engine_linear (rig.engine, linear, x, 20, y, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 20; i++)
    for (int o = 0; o < N_OUT; o++)
      {
        double sum = 0;
        for (int k = 0; k < N_IN; k++)
          sum += (double)x[i * N_IN + k] * effective[o * N_IN + k];
        g_assert_cmpfloat (fabs (sum - y[i * N_OUT + o]), <=, 2e-5);
      }
  swage_linear_get_effective_rows (linear, rows, 3, some);
  for (int i = 0; i < 3; i++)
    g_assert_cmpmem (some + i * N_IN, N_IN * sizeof (float), effective + rows[i] * N_IN,
                     N_IN * sizeof (float));
}

/* One range for all rows of a call, FP8, and formats that are not there. */
static void
test_act_formats (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed (6);
  g_autofree char *path = golden_path ("llama", "");
  const Case c = { "tensor", .type = SWAGE_TYPE_F32, .act_bits = 8, .act_scope = SWAGE_ACT_PER_TENSOR,
                   .act_symmetric = true };
  g_autoptr (SwageLinear) linear = make_layer (&c, rand);
  g_autofree float *w = swage_weight_decode_all (linear->weight);
  g_autofree float *x = random_floats (rand, 12 * N_IN);
  g_autofree float *y = g_new (float, 12 * N_OUT);
  g_auto (Rig) rig = { 0 };
  float top = 0;

  rig_open (&rig, path, NULL);
  x[7] = 30; /* one large value: the other rows lose their resolution */
  swage_engine_linear (rig.engine, linear, x, 12, y, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 12 * N_IN; i++)
    top = MAX (top, fabsf (x[i]));
  for (int i = 0; i < 12; i++)
    for (int o = 0; o < N_OUT; o++)
      {
        double sum = 0, scale = top / 127;
        for (int k = 0; k < N_IN; k++)
          sum += nearbyint (x[i * N_IN + k] / scale) * scale * w[o * N_IN + k];
        g_assert_cmpfloat (fabs (sum - y[i * N_OUT + o]), <=, 0.3);
      }

  linear->act_quant->format = SWAGE_ACT_FP8_E4M3;
  linear->act_quant->scope = SWAGE_ACT_PER_TOKEN;
  swage_engine_linear (rig.engine, linear, x, 12, y, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 12; i++)
    for (int o = 0; o < N_OUT; o++)
      {
        double sum = 0, allowed = 0; /* three bits of fraction: a relative error of 2^-4 an element */
        for (int k = 0; k < N_IN; k++)
          {
            double term = (double)x[i * N_IN + k] * w[o * N_IN + k];
            sum += term;
            allowed += fabs (term) / 16 + 1e-4;
          }
        g_assert_cmpfloat (fabs (sum - y[i * N_OUT + o]), <=, allowed);
      }

  linear->act_quant->format = (SwageActFormat)99;
  g_assert_false (swage_engine_linear (rig.engine, linear, x, 12, y, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
}

/* A compressed token table, output and fused layer within a whole model: close to the original when the parts
 * are fine. */
static void
test_in_model (gconstpointer name)
{
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  for (int b = 0; b < rig.config->n_blocks; b++)
    for (int role = 0; role < SWAGE_N_ROLES; role++)
      {
        SwageLinear *old = rig.blocks[b]->linear[role];
        if (old == NULL)
          continue;
        /* An exact factorization: A = W, B = I. */
        g_autofree float *w = swage_weight_decode_all (old->weight);
        g_autofree float *identity = g_new0 (float, (size_t)(old->n_out * old->n_out));
        for (int64_t i = 0; i < old->n_out; i++)
          identity[i * old->n_out + i] = 1;
        SwageLinear *factored = swage_linear_dup (old);
        swage_linear_set_weight (factored, NULL);
        swage_linear_set_low_rank (
            factored, swage_weight_new_from_f32 (SWAGE_TYPE_F32, old->n_out, old->n_in, w, NULL),
            swage_weight_new_from_f32 (SWAGE_TYPE_F32, old->n_out, old->n_out, identity, NULL));
        swage_block_set_linear (rig.blocks[b], role, factored);
      }
  /* The table as half of itself twice: Ŵ/2 and a factorization of the other half. */
  SwageLinear *table = rig.ends->token_embd;
  g_autofree float *e = swage_weight_decode_all (table->weight);
  g_autofree float *identity = g_new0 (float, (size_t)(table->n_in * table->n_in));
  for (int64_t i = 0; i < table->n_in; i++)
    identity[i * table->n_in + i] = 1;
  for (int64_t i = 0; i < table->n_out * table->n_in; i++)
    e[i] *= 0.5f;
  SwageLinear *halves = swage_linear_new (
      "token_embd", swage_weight_new_from_f32 (SWAGE_TYPE_F32, table->n_out, table->n_in, e, NULL), NULL);
  swage_linear_set_low_rank (
      halves, swage_weight_new_from_f32 (SWAGE_TYPE_F32, table->n_in, table->n_in, identity, NULL),
      swage_weight_new_from_f32 (SWAGE_TYPE_F32, table->n_out, table->n_in, e, NULL));
  rig.ends->token_embd = halves;
  swage_linear_unref (table);

  g_autofree float *logits = rig_logits (&rig, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
  double d = max_difference (logits, golden.logits, (size_t)golden.n_seq * golden.n_tok * golden.n_vocab);
  g_assert_cmpfloat (d, <=, 2e-4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *test = g_strdup_printf ("/engine/linear/%s", cases[i].name);
      g_test_add_data_func (test, &cases[i], test_case);
    }
  g_test_add_func ("/engine/linear/effective", test_effective);
  g_test_add_func ("/engine/linear/act-formats", test_act_formats);
  g_test_add_data_func ("/engine/linear/in-model/qwen2", "qwen2", test_in_model);
  g_test_add_data_func ("/engine/linear/in-model/gpt2", "gpt2", test_in_model);
  return g_test_run ();
}
