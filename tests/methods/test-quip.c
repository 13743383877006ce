/* SPDX-License-Identifier: MIT
 *
 * quip: its rotations, its rounding against LDLQ in double, and its properties.
 */
#include "so-fixture.h"

enum
{
  ROWS = 60,
  COLS = 96,
  TOKENS = 400
};

static void
assert_orthogonal (const float *q, int n)
{
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      {
        double dot = 0;
        for (int k = 0; k < n; k++)
          dot += (double)q[i * n + k] * (double)q[j * n + k];
        g_assert_cmpfloat_with_epsilon (dot, i == j ? 1 : 0, 1e-6);
      }
}

static void
test_orthogonal (void)
{
  static const int shapes[][2] = { { ROWS, COLS }, { 172, 64 }, { 1, 7 }, { 1024, 12 } };
  for (size_t i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      int rows = shapes[i][0], cols = shapes[i][1];
      g_autofree float *x = so_inputs (50, cols, 0, 1);
      g_autoptr (SwageActStats) stats = so_stats (x, 50, cols);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 3);
      g_autoptr (SwageLinear) a = fixture_apply_ok ("quip", "", in, stats);
      g_autoptr (SwageLinear) b = fixture_apply_ok ("quip", "seed=1", in, stats);
      const SwageTransform *t = a->transform;
      assert_orthogonal (t->q1, t->q1_n);
      assert_orthogonal (t->q2, t->q2_n);
      assert_orthogonal (t->u1, t->u1_n);
      assert_orthogonal (t->u2, t->u2_n);
      g_assert_cmpint (t->q1_n * t->q2_n, ==, cols);
      g_assert_cmpint (t->u1_n * t->u2_n, ==, rows);
      g_autofree int *seen = g_new0 (int, cols);
      for (int j = 0; j < cols; j++)
        seen[t->permutation[j]]++;
      for (int j = 0; j < cols; j++)
        g_assert_cmpint (seen[j], ==, 1);
      if (cols > 7) /* another seed, other rotations */
        g_assert_true (memcmp (t->q2, b->transform->q2, sizeof (float) * (size_t)(t->q2_n * t->q2_n)) != 0);
    }
}

/* M (V·P·D⁻¹) as the layer's definition has it: row i of the matrix that x is multiplied by. */
static double *
input_matrix (const SwageTransform *t)
{
  double *v = g_new0 (double, COLS *COLS);
  for (int i = 0; i < COLS; i++)
    for (int j = 0; j < COLS; j++)
      {
        int from = t->permutation[j];
        v[i * COLS + from] = (double)t->q1[i / t->q2_n * t->q1_n + j / t->q2_n]
                             * (double)t->q2[i % t->q2_n * t->q2_n + j % t->q2_n] * (double)t->scale[from];
      }
  return v;
}

/* In the rotated space every code is what LDLQ says, column by column: H = F·D·Fᵀ there, and column j is
 * rounded to the nearest of the levels ±d/2, ±3d/2 … at w_j + Σ_{i<j} (w_i − ŵ_i)·F_ij. */
static void
test_formula (void)
{
  enum
  {
    BITS = 3
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 0, 2);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 25);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("quip", "bits=3", in, stats);
  const SwageTransform *t = out->transform;
  g_autofree double *v = input_matrix (t);
  g_autofree double *back = g_new (double, COLS * COLS); /* its inverse */
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0), *turned = g_new0 (double, COLS *COLS);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree float *codes = swage_weight_decode_all (out->weight);
  double d = 2
             * (double)swage_f16_to_f32 (((const uint16_t *)g_bytes_get_data (out->weight->scales, NULL))[0])
             / 2;
  double mean = 0, squares = 0;
  int n_off = 0;

  for (int i = 0; i < COLS; i++)
    for (int j = 0; j < COLS; j++)
      back[j * COLS + i] = v[i * COLS + j] / pow ((double)t->scale[j], 2);
  /* H̃ = V·H·Vᵀ, damped; W̃ = U·W·V⁻¹ */
  for (int i = 0; i < COLS; i++)
    for (int a = 0; a < COLS; a++)
      {
        double vh = 0;
        for (int b = 0; b < COLS; b++)
          vh += v[i * COLS + b] * h[b * COLS + a];
        for (int j = 0; j < COLS; j++)
          turned[i * COLS + j] += vh * v[j * COLS + a];
      }
  for (int i = 0; i < COLS; i++)
    mean += turned[i * (COLS + 1)] / COLS;
  for (int i = 0; i < COLS; i++)
    turned[i * (COLS + 1)] += 0.01 * mean;
  g_autofree double *inverse = so_invert (turned, COLS);
  g_autofree double *u = so_cholesky_upper (inverse, COLS);
  g_autofree double *moved = g_new0 (double, ROWS *COLS);
  for (int r = 0; r < ROWS; r++)
    for (int k = 0; k < ROWS; k++)
      {
        double factor = (double)t->u1[r / t->u2_n * t->u1_n + k / t->u2_n]
                        * (double)t->u2[r % t->u2_n * t->u2_n + k % t->u2_n];
        for (int j = 0; j < COLS; j++)
          moved[r * COLS + j] += factor * (double)w[k * COLS + j];
      }
  for (int r = 0; r < ROWS; r++)
    {
      double row[COLS] = { 0 };
      for (int k = 0; k < COLS; k++)
        for (int j = 0; j < COLS; j++)
          row[j] += moved[r * COLS + k] * back[k * COLS + j];
      for (int i = 0; i < COLS; i++)
        squares += row[i] * row[i];
      for (int i = 0; i < COLS; i++)
        {
          double q = (double)codes[r * COLS + i] + d / 2;
          double level = CLAMP (rint (row[i] / d - 0.5), -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1);
          n_off += fabs (d * (level + 0.5) - q) > 1e-6;
          double e = (row[i] - q) / u[i * (COLS + 1)];
          for (int j = i; j < COLS; j++)
            row[j] -= e * u[i * COLS + j];
        }
    }
  g_assert_cmpint (n_off, <=, 6); /* of 5760: ties */
  g_assert_cmpfloat_with_epsilon (d, 2 * 2.4 * sqrt (squares / (ROWS * COLS)) / ((1 << BITS) - 1), 1e-3 * d);
}

/* With many bits nothing is left of the rotations but the layer. */
static void
test_identity (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 13, 5);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 6);
  g_autofree float *zero = g_new0 (float, ROWS *COLS);
  g_autofree float *w = swage_linear_get_effective (in);
  double all = so_error (w, zero, ROWS, COLS, x, TOKENS);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("quip", "bits=8,rho=4", in, stats);
  g_assert_cmpfloat (so_layer_error (in, out, x, TOKENS), <, 1e-3 * all);
}

static void
test_beats (void)
{
  enum
  {
    N = 256
  };
  g_autofree float *x = so_inputs (TOKENS, N, 31, 12);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, N);
  g_autofree float *w = fixture_normals (192 * N, 0.05, 3);
  uint64_t seed = 8;
  for (int i = 0; i < 192 * N; i++)
    w[i] *= fixture_uniform (&seed) < 0.01 ? 6 : 1;
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 192, N, w);
  g_autoptr (SwageLinear) ours = fixture_apply_ok ("quip", "bits=2", in, stats);
  g_autoptr (SwageLinear) greedy = fixture_apply_ok ("quip", "bits=2,passes=5", in, stats);
  g_autoptr (SwageLinear) plain = fixture_apply_ok ("quip", "bits=2,rotate=false,rescale=false", in, stats);
  g_autoptr (SwageLinear) gptq
      = fixture_apply_ok ("gptq", "type=int,bits=2,group_size=256,symmetric=false,sweeps=0", in, stats);
  double error = so_layer_error (in, ours, x, TOKENS);
  g_assert_cmpfloat (error, <, 0.8 * so_layer_error (in, plain, x, TOKENS));
  g_assert_cmpfloat (error, <, 0.8 * so_layer_error (in, gptq, x, TOKENS));
  g_assert_cmpfloat (so_layer_error (in, greedy, x, TOKENS), <, 1.01 * error);
}

static void
test_size (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 96, 4093, 1);
  SwageLinearSpec spec, out;
  swage_linear_spec_init_from (&spec, in);
  g_assert_true (fixture_cost ("quip", "bits=2", &spec, &out, NULL));
  /* codes and a scale a row; half step; D; 96 = 8·12, and 4093 is prime */
  g_assert_cmpuint (swage_linear_spec_get_bytes (&out), ==,
                    96 * (1024 + 2) + 2 * (96 + 4093) + 4 * 4093 + 4 * (64 + 144));
}

static void
test_robust (void)
{
  so_assert_robust ("quip", "bits=2");
  so_assert_robust ("quip", "bits=4,passes=2,rescale=false");
  so_assert_robust ("quip", "bits=3,rotate=false");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quip/orthogonal", test_orthogonal);
  g_test_add_func ("/quip/formula", test_formula);
  g_test_add_func ("/quip/identity", test_identity);
  g_test_add_func ("/quip/beats", test_beats);
  g_test_add_func ("/quip/size", test_size);
  g_test_add_func ("/quip/robust", test_robust);
  return g_test_run ();
}
