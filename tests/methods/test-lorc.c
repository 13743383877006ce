/* SPDX-License-Identifier: MIT
 *
 * lorc: what is left of the error is what the singular values of W − Ŵ say (Jacobi, see jacobi.h); nothing is
 * left at full rank, whatever the layer was made of.
 */
#include "jacobi.h"
#include "method-fixture.h"

/* lorc on `in`, which came from `original`; its cost checked. */
static SwageLinear *
compensate (const char *text, const SwageLinear *original, const SwageLinear *in, const SwageActStats *stats,
            GError **error)
{
  const SwageMethod *lorc = swage_method_find ("lorc");
  g_autofree void *params = fixture_params (lorc, text);
  SwageMethodContext context = { .layer = in->name, .original = original, .stats = stats };
  SwageLinearSpec before, promised, got;

  swage_linear_spec_init_from (&before, in);
  if (!swage_method_cost (lorc, params, in->name, &before, &promised, error))
    return NULL;
  SwageLinear *out = lorc->apply (params, in, &context, NULL, error);
  if (out == NULL)
    return NULL;
  swage_linear_spec_init_from (&got, out);
  g_assert_cmpint (got.parts, ==, promised.parts);
  g_assert_cmpint (got.rank, ==, promised.rank);
  assert_storage_equal (&got.a, &promised.a);
  assert_storage_equal (&got.b, &promised.b);
  g_assert_cmpuint (swage_linear_get_bytes (out), ==, swage_linear_spec_get_bytes (&promised));
  g_assert_true (weights_equal (in->weight, out->weight));
  return out;
}

static SwageLinear *
compensate_ok (const char *text, const SwageLinear *original, const SwageLinear *in,
               const SwageActStats *stats)
{
  g_autoptr (GError) error = NULL;
  SwageLinear *out = compensate (text, original, in, stats, &error);
  g_assert_no_error (error);
  return out;
}

/* original − in, as floats. */
static float *
get_lost (const SwageLinear *original, const SwageLinear *in)
{
  float *x = swage_linear_get_effective (original);
  g_autofree float *y = swage_linear_get_effective (in);
  for (int64_t i = 0; i < in->n_out * in->n_in; i++)
    x[i] -= y[i];
  return x;
}

static double
norm_of (const float *x, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += (double)x[i] * (double)x[i];
  return sqrt (sum);
}

static double
error_of (const SwageLinear *original, const SwageLinear *in)
{
  g_autofree float *lost = get_lost (original, in);
  return norm_of (lost, in->n_out * in->n_in);
}

static const int64_t shapes[][2] = { { 24, 24 }, { 17, 40 }, { 40, 17 }, { 1, 12 }, { 12, 1 }, { 70, 64 } };

static void
test_best_of_its_rank (void)
{
  for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      int64_t rows = shapes[s][0], cols = shapes[s][1], n = MIN (rows, cols);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 10 + s);
      g_autoptr (SwageLinear) rounded = fixture_apply_ok ("rtn", "type=int,bits=3,group_size=8", in, NULL);
      g_autofree float *lost = get_lost (in, rounded);
      g_autofree double *sigma = jacobi_singular_values (lost, rows, cols);
      for (int64_t rank = 1; rank <= n; rank += MAX (1, n / 4))
        {
          g_autofree char *text = g_strdup_printf ("type=f32,rank=%d", (int)rank);
          g_autoptr (SwageLinear) out = compensate_ok (text, in, rounded, NULL);
          g_assert_cmpint (swage_linear_get_rank (out), ==, rank);
          g_assert_cmpfloat (fabs (error_of (in, out) - tail (sigma, n, rank)), <=,
                             1e-5 * tail (sigma, n, 0));
        }
    }
}

/* Factors in 8 bits: a little worse than in 16, far better than none. */
static void
test_packed_factors (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 96, 128, 10);
  g_autoptr (SwageLinear) rounded = fixture_apply_ok ("rtn", "type=int,bits=2,group_size=64", in, NULL);
  g_autoptr (SwageLinear) half = compensate_ok ("rank=16", in, rounded, NULL);
  g_autoptr (SwageLinear) bytes = compensate_ok ("rank=16,type=int", in, rounded, NULL);
  double none = error_of (in, rounded), best = error_of (in, half), packed = error_of (in, bytes);
  g_assert_cmpfloat (best, <, 0.9 * none);
  g_assert_cmpfloat (packed, <, best + 0.02 * none);
  g_assert_cmpuint (swage_linear_get_bytes (half) - swage_linear_get_bytes (rounded), ==,
                    16 * (96 + 128) * 2);
  g_assert_cmpuint (swage_linear_get_bytes (bytes) - swage_linear_get_bytes (rounded), ==,
                    16 * (128 + 2) + 96 * (16 + 2));
}

/* An orthogonal n × n matrix from a Householder reflection. */
static float *
reflection (int n, uint64_t seed)
{
  g_autofree float *v = fixture_normals (n, 1, seed);
  float *q = g_new (float, (gsize)(n * n));
  double square = 0;
  for (int i = 0; i < n; i++)
    square += (double)v[i] * (double)v[i];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      q[i * n + j] = (float)((i == j) - 2 * (double)v[i] * (double)v[j] / square);
  return q;
}

/* Behind a transform, and beside a sparse part, full rank gives back everything. */
static void
test_behind_a_transform (void)
{
  enum
  {
    ROWS = 20,
    COLS = 24
  };
  for (int parts = 0; parts < 16; parts++)
    {
      g_autoptr (SwageLinear) original = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 3);
      g_autoptr (SwageLinear) in = fixture_apply_ok ("rtn", "type=int,bits=4,group_size=8", original, NULL);
      SwageTransform *t = g_new0 (SwageTransform, 1);
      if (parts & 1)
        {
          t->scale = g_new (float, COLS);
          for (int j = 0; j < COLS; j++)
            t->scale[j] = 0.5f + (float)(j % 5);
        }
      if (parts & 2)
        {
          t->permutation = g_new (int32_t, COLS);
          for (int j = 0; j < COLS; j++)
            t->permutation[j] = (j * 7 + 3) % COLS;
        }
      if (parts & 4)
        {
          t->q1_n = 4;
          t->q2_n = 6;
          t->q1 = reflection (4, 5);
          t->q2 = reflection (6, 6);
        }
      if (parts & 8)
        {
          SwageSparse *s = g_new0 (SwageSparse, 1);
          *s = (SwageSparse){ .rows = ROWS, .cols = COLS, .n_values = 1, .type = SWAGE_TYPE_F32 };
          s->row_start = g_new0 (int64_t, ROWS + 1);
          for (int i = 3; i <= ROWS; i++)
            s->row_start[i] = 1;
          s->column = g_new0 (uint32_t, 1);
          s->values = g_new0 (float, 1);
          *(float *)s->values = 0.7f;
          in->sparse = s;
        }
      in->transform = t;
      g_autoptr (SwageLinear) out = compensate_ok ("type=f32,rank=20", original, in, NULL);
      g_autofree float *w = swage_linear_get_effective (original);
      g_assert_cmpfloat (error_of (original, out), <=, 1e-5 * norm_of (w, ROWS * COLS));
      if (parts == 1)
        {
          g_autoptr (GError) error = NULL;
          g_autoptr (SwageLinear) none = compensate ("whiten=true", original, in, NULL, &error);
          g_assert_null (none);
          g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
        }
    }
}

/* Whitened, the outputs are what is mended: never worse than plain, measured there. */
static void
test_whitened (void)
{
  enum
  {
    ROWS = 24,
    COLS = 30,
    TOKENS = 80
  };
  g_autoptr (SwageActStats) stats = swage_act_stats_new (COLS, SWAGE_NEED_HESSIAN, 0, 0);
  g_autofree float *x = fixture_normals (TOKENS * COLS, 1, 9);
  for (int i = 0; i < TOKENS * COLS; i++)
    x[i] *= (float)(1 + 6 * (i % COLS % 5 == 0));
  swage_act_stats_add (stats, x, TOKENS);
  swage_act_stats_finish (stats);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 3);
  g_autoptr (SwageLinear) rounded = fixture_apply_ok ("rtn", "type=int,bits=2,group_size=8", in, NULL);
  g_autofree float *e = get_lost (in, rounded);
  g_autofree float *y = g_new (float, ROWS *TOKENS);
  for (int i = 0; i < ROWS; i++)
    for (int t = 0; t < TOKENS; t++)
      {
        double sum = 0;
        for (int j = 0; j < COLS; j++)
          sum += (double)e[i * COLS + j] * (double)x[t * COLS + j];
        y[i * TOKENS + t] = (float)sum;
      }
  g_autofree double *sigma = jacobi_singular_values (y, ROWS, TOKENS);
  g_autoptr (SwageLinear) out = compensate_ok ("type=f32,whiten=true,damp=0", in, rounded, stats);
  g_autofree float *rest = get_lost (in, out);
  double square = 0;
  for (int i = 0; i < ROWS; i++)
    for (int t = 0; t < TOKENS; t++)
      {
        double sum = 0;
        for (int j = 0; j < COLS; j++)
          sum += (double)rest[i * COLS + j] * (double)x[t * COLS + j];
        square += sum * sum;
      }
  g_assert_cmpfloat_with_epsilon (sqrt (square), tail (sigma, ROWS, 8), 1e-4 * sigma[0]);
}

static void
test_degenerate (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 20, 30, 3);
  /* nothing was lost: nothing to give back */
  g_autoptr (SwageLinear) same = compensate_ok ("", in, in, NULL);
  g_assert_cmpfloat (error_of (in, same), ==, 0);

  g_autoptr (GError) error = NULL;
  g_autoptr (SwageLinear) none = compensate ("rank=21", in, in, NULL, &error);
  g_assert_null (none);
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "blk.0.ffn_down"));
  fixture_assert_fails ("lorc", "", same, NULL, SWAGE_ERROR_INVALID, WORDS ("blk.0.ffn_down", "rank 8"));

  g_autofree float *w = swage_linear_get_effective (in);
  w[4 * 30 + 7] = NAN;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, 20, 30, w);
  fixture_assert_fails ("lorc", "", bad, NULL, SWAGE_ERROR_NUMERIC, WORDS ("blk.0.ffn_down", "row 4"));
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 250, 224, 8);
  g_autoptr (SwageLinear) rounded = fixture_apply_ok ("rtn", "type=q4_0", in, NULL);
  g_autoptr (SwageLinear) first = NULL;
  static const int threads[] = { 1, 2, 5 };
  for (size_t i = 0; i < G_N_ELEMENTS (threads); i++)
    {
      swage_pool_set_threads (threads[i]);
      g_autoptr (SwageLinear) out = compensate_ok ("", in, rounded, NULL);
      if (first == NULL)
        first = swage_linear_ref (out);
      g_assert_true (weights_equal (out->a, first->a));
      g_assert_true (weights_equal (out->b, first->b));
    }
  swage_pool_set_threads (2);
  fixture_assert_cancels ("lorc", "", in, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lorc/best-of-its-rank", test_best_of_its_rank);
  g_test_add_func ("/lorc/packed-factors", test_packed_factors);
  g_test_add_func ("/lorc/behind-a-transform", test_behind_a_transform);
  g_test_add_func ("/lorc/whitened", test_whitened);
  g_test_add_func ("/lorc/degenerate", test_degenerate);
  g_test_add_func ("/lorc/threads", test_threads);
  return g_test_run ();
}
