/* SPDX-License-Identifier: MIT
 *
 * svd against a one-sided Jacobi decomposition (see jacobi.h) of the weights, and of what the layer gives for
 * its inputs.
 */
#include "jacobi.h"
#include "method-fixture.h"

static double
frobenius_distance (const SwageLinear *a, const SwageLinear *b)
{
  g_autofree float *x = swage_linear_get_effective (a), *y = swage_linear_get_effective (b);
  double sum = 0;
  for (int64_t i = 0; i < a->n_out * a->n_in; i++)
    sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  return sqrt (sum);
}

static const int64_t shapes[][2]
    = { { 24, 24 }, { 17, 40 }, { 40, 17 }, { 200, 9 }, { 1, 12 }, { 12, 1 }, { 200, 210 } };

/* Eckart and Young: the error of rank r is the root of the sum of the σ² left out. */
static void
test_eckart_young (void)
{
  for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      int64_t rows = shapes[s][0], cols = shapes[s][1], n = MIN (rows, cols);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 100 + s);
      g_autofree float *w = swage_linear_get_effective (in);
      g_autofree double *sigma = jacobi_singular_values (w, rows, cols);
      double norm = tail (sigma, n, 0);
      for (int64_t rank = 1; rank <= n; rank += MAX (1, n / 5))
        {
          g_autofree char *text = g_strdup_printf ("by=rank,type=f32,rank=%d", (int)rank);
          g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", text, in, NULL);
          g_assert_cmpint (swage_linear_get_rank (out), ==, rank);
          g_assert_null (out->weight);
          g_assert_cmpfloat (fabs (frobenius_distance (in, out) - tail (sigma, n, rank)), <=, 1e-6 * norm);
        }
    }
}

/* Factors share √Σ: row i of A and column i of B have norm √σ_i, and the rows of A are orthogonal. */
static void
test_factors (void)
{
  for (size_t s = 0; s < 3; s++)
    {
      int64_t rows = shapes[s][0], cols = shapes[s][1], rank = 8;
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 100 + s);
      g_autofree float *w = swage_linear_get_effective (in);
      g_autofree double *sigma = jacobi_singular_values (w, rows, cols);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", "by=rank,type=f32,rank=8", in, NULL);
      g_autofree float *a = swage_weight_decode_all (out->a), *b = swage_weight_decode_all (out->b);
      for (int64_t i = 0; i < rank; i++)
        {
          double square = 0;
          for (int64_t j = 0; j < rows; j++)
            square += (double)b[j * rank + i] * (double)b[j * rank + i];
          g_assert_cmpfloat_with_epsilon (square, sigma[i], 1e-5 * sigma[0]);
          for (int64_t k = 0; k <= i; k++)
            {
              double dot = 0;
              for (int64_t j = 0; j < cols; j++)
                dot += (double)a[i * cols + j] * (double)a[k * cols + j];
              g_assert_cmpfloat_with_epsilon (dot, i == k ? sigma[i] : 0, 1e-5 * sigma[0]);
            }
        }
    }
}

static void
test_energy (void)
{
  static const double shares[] = { 0.01, 0.3, 0.5, 0.9, 0.999, 1 };
  for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      int64_t rows = shapes[s][0], cols = shapes[s][1], n = MIN (rows, cols);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 3 + s);
      g_autofree float *w = swage_linear_get_effective (in);
      g_autofree double *sigma = jacobi_singular_values (w, rows, cols);
      double total = tail (sigma, n, 0) * tail (sigma, n, 0);
      for (size_t e = 0; e < G_N_ELEMENTS (shares); e++)
        {
          int64_t rank = 1;
          while (rank < n && total - tail (sigma, n, rank) * tail (sigma, n, rank) < shares[e] * total)
            rank++;
          g_autofree char *text = g_strdup_printf ("by=energy,type=f32,energy=%g", shares[e]);
          g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", text, in, NULL);
          g_assert_cmpint (swage_linear_get_rank (out), ==, rank);
        }
    }
}

static void
test_energy_multiple (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 96, 128, 3);
  g_autoptr (SwageLinear) plain = fixture_apply_ok ("svd", "by=energy,energy=0.4", in, NULL);
  g_autoptr (SwageLinear) rounded = fixture_apply_ok ("svd", "by=energy,energy=0.4,multiple=32", in, NULL);
  int64_t rank = swage_linear_get_rank (plain);
  g_assert_cmpint (rank % 32, !=, 0);
  g_assert_cmpint (swage_linear_get_rank (rounded), ==, (rank + 31) / 32 * 32);
  g_autoptr (SwageLinear) full = fixture_apply_ok ("svd", "by=energy,energy=1,multiple=64", in, NULL);
  g_assert_cmpint (swage_linear_get_rank (full), ==, 64); /* the largest multiple that a rank can be */
  fixture_assert_fails ("svd", "by=energy,multiple=100", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "100", "multiple"));
}

static void
test_size_ratio (void)
{
  static const SwageType stored[] = { SWAGE_TYPE_F32, SWAGE_TYPE_BF16 };
  static const char *const factor[] = { "f32", "f16", "bf16" };
  for (size_t s = 0; s < 2; s++)
    for (size_t f = 0; f < 3; f++)
      for (int percent = 20; percent <= 100; percent += 40)
        {
          g_autoptr (SwageLinear) in = fixture_linear (stored[s], 60, 90, 3);
          g_autofree char *text
              = g_strdup_printf ("by=size_ratio,size_ratio=%g,type=%s", percent / 100.0, factor[f]);
          g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", text, in, NULL);
          int64_t budget = (int64_t)swage_linear_get_bytes (in) * percent / 100,
                  each = (60 + 90) * (f == 0 ? 4 : 2);
          g_assert_cmpint ((int64_t)swage_linear_get_bytes (out), <=, budget);
          if (swage_linear_get_rank (out) < 60)
            g_assert_cmpint ((int64_t)swage_linear_get_bytes (out) + each, >, budget);
        }
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 60, 90, 3);
  fixture_assert_fails ("svd", "by=size_ratio,size_ratio=0.01", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "size_ratio"));
  fixture_assert_fails ("svd", "by=rank,rank=61", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "60", "61"));
}

/* Rank 2 exactly, equal singular values, zero and one tiny value among large ones. */
static void
test_degenerate (void)
{
  enum
  {
    ROWS = 20,
    COLS = 30
  };
  g_autofree float *x = fixture_normals (2 * ROWS, 1, 1), *y = fixture_normals (2 * COLS, 1, 2);
  g_autofree float *w = g_new0 (float, ROWS *COLS);
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLS; j++)
      w[i * COLS + j] = x[i] * y[j] + x[ROWS + i] * y[COLS + j];
  g_autoptr (SwageLinear) two = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", "by=rank,type=f32,rank=2", two, NULL);
  g_assert_cmpfloat (frobenius_distance (two, out), <=, 1e-5);
  g_autoptr (SwageLinear) full = fixture_apply_ok ("svd", "by=rank,type=f32,rank=20", two, NULL);
  g_assert_cmpfloat (frobenius_distance (two, full), <=, 1e-5);
  g_autoptr (SwageLinear) energetic
      = fixture_apply_ok ("svd", "by=energy,type=f32,energy=0.9999999", two, NULL);
  g_assert_cmpint (swage_linear_get_rank (energetic), ==, 2);

  memset (w, 0, ROWS * COLS * sizeof *w);
  g_autoptr (SwageLinear) nothing = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  g_autoptr (SwageLinear) none = fixture_apply_ok ("svd", "by=rank,rank=5", nothing, NULL);
  g_assert_cmpfloat (frobenius_distance (nothing, none), ==, 0);
  g_autoptr (SwageLinear) one = fixture_apply_ok ("svd", "by=energy,energy=1", nothing, NULL);
  g_assert_cmpint (swage_linear_get_rank (one), ==, 1);

  for (int i = 0; i < ROWS; i++)
    w[i * COLS + i] = i % 2 ? 3 : -3;
  g_autoptr (SwageLinear) equal = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  g_autoptr (SwageLinear) half = fixture_apply_ok ("svd", "by=rank,type=f32,rank=10", equal, NULL);
  g_assert_cmpfloat_with_epsilon (frobenius_distance (equal, half), 3 * sqrt (10), 1e-5);

  for (int i = 0; i < ROWS; i++)
    w[i * COLS + i] = i == 0 ? 1e30f : 1e-30f;
  g_autoptr (SwageLinear) wide = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  g_autoptr (SwageLinear) kept = fixture_apply_ok ("svd", "by=rank,type=f32,rank=20", wide, NULL);
  g_autofree float *got = swage_linear_get_effective (kept);
  g_assert_cmpfloat_with_epsilon ((double)got[0], 1e30, 1e24);
  fixture_assert_fails ("svd", "by=rank,type=f16,rank=2", wide, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "f16", "bf16"));

  w[3 * COLS + 4] = INFINITY;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("svd", "by=rank,rank=2", bad, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 3", "column 4"));
}

/* Statistics of `tokens` random inputs of different sizes and correlated channels; every `dead`-th channel is
 * silent (0: none). `*x` gets the inputs, tokens × n. */
static SwageActStats *
random_inputs (int64_t n, int64_t tokens, int64_t dead, uint64_t seed, float **x)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_HESSIAN, 0, 0);

  *x = fixture_normals (tokens * n, 1, seed);
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t j = 0; j < n; j++)
      {
        float *at = *x + t * n + j;
        *at = (*at + (j > 0 ? 0.7f * at[-1] : 0)) * (j % 7 == 3 ? 4.0f : 0.5f);
        if (dead > 0 && j % dead == 1)
          *at = 0;
      }
  swage_act_stats_add (stats, *x, tokens);
  swage_act_stats_finish (stats);
  return stats;
}

/* W·Xᵀ of a layer: what it gives for inputs without its bias, rows × tokens. */
static float *
outputs_of (const SwageLinear *linear, const float *x, int64_t tokens)
{
  g_autofree float *w = swage_linear_get_effective (linear);
  float *y = g_new (float, (gsize)(linear->n_out * tokens));
  for (int64_t i = 0; i < linear->n_out; i++)
    for (int64_t t = 0; t < tokens; t++)
      {
        double sum = 0;
        for (int64_t j = 0; j < linear->n_in; j++)
          sum += (double)w[i * linear->n_in + j] * (double)x[t * linear->n_in + j];
        y[i * tokens + t] = (float)sum;
      }
  return y;
}

static double
distance (const float *x, const float *y, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  return sqrt (sum);
}

/* The least possible ‖(W − W')·X‖ at rank r is the tail of the singular values of W·X: no whitening matrix is
 * needed to say so. Wide and tall layers, fewer tokens than channels, silent channels. */
static void
test_whitened (void)
{
  static const int64_t cases[][4]
      = { { 24, 24, 90, 0 }, { 17, 40, 200, 0 }, { 40, 17, 100, 0 }, { 60, 24, 15, 0 }, { 24, 60, 30, 0 },
          { 50, 20, 64, 4 }, { 20, 50, 80, 3 },  { 1, 12, 30, 0 },   { 12, 1, 30, 0 } };
  for (size_t s = 0; s < G_N_ELEMENTS (cases); s++)
    {
      int64_t rows = cases[s][0], cols = cases[s][1], tokens = cases[s][2], n = MIN (rows, cols);
      g_autofree float *x = NULL;
      g_autoptr (SwageActStats) stats = random_inputs (cols, tokens, cases[s][3], 50 + s, &x);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 100 + s);
      g_autofree float *y = outputs_of (in, x, tokens);
      g_autofree double *sigma = jacobi_singular_values (y, rows, tokens);
      int64_t n_sigma = MIN (rows, tokens);
      double norm = tail (sigma, n_sigma, 0);
      for (int64_t rank = 1; rank <= n; rank += MAX (1, n / 5))
        {
          g_autofree char *text = g_strdup_printf ("by=rank,type=f32,rank=%d,whiten=true,damp=0", (int)rank);
          g_autoptr (SwageLinear) out = fixture_apply_ok ("svd", text, in, stats);
          g_autofree float *y_out = outputs_of (out, x, tokens);
          double least = rank < n_sigma ? tail (sigma, n_sigma, rank) : 0;
          g_assert_cmpfloat (fabs (distance (y, y_out, rows * tokens) - least), <=, 2e-5 * norm);

          g_autofree char *plain_text = g_strdup_printf ("by=rank,type=f32,rank=%d", (int)rank);
          g_autoptr (SwageLinear) plain = fixture_apply_ok ("svd", plain_text, in, NULL);
          g_autofree float *y_plain = outputs_of (plain, x, tokens);
          g_assert_cmpfloat (least, <=, distance (y, y_plain, rows * tokens) + 1e-6 * norm);
        }
    }
}

/* With damping, what the text does not use is approximated like the rest, and full rank loses nothing. */
static void
test_whitened_silence (void)
{
  for (int tall = 0; tall < 2; tall++)
    {
      int64_t rows = tall ? 40 : 20, cols = tall ? 20 : 40;
      g_autofree float *x = NULL;
      g_autoptr (SwageActStats) stats = random_inputs (cols, 90, 3, 5, &x);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 6);
      g_autoptr (SwageLinear) full
          = fixture_apply_ok ("svd", "by=rank,type=f32,rank=20,whiten=true", in, stats);
      g_autoptr (SwageLinear) other = fixture_linear (SWAGE_TYPE_F32, rows, cols, 7);
      g_assert_cmpfloat (frobenius_distance (in, full), <=, 1e-4 * frobenius_distance (in, other));

      /* no input at all: the plain problem */
      memset (stats->hessian, 0, (size_t)(cols * cols) * sizeof (double));
      g_autoptr (SwageLinear) dead = fixture_apply_ok ("svd", "by=rank,rank=5,whiten=true", in, stats);
      g_autoptr (SwageLinear) plain = fixture_apply_ok ("svd", "by=rank,rank=5", in, NULL);
      g_assert_true (weights_equal (dead->a, plain->a));
      g_assert_true (weights_equal (dead->b, plain->b));

      stats->hessian[3 * cols + 3] = 1;
      stats->hessian[3 * cols + 4] = NAN;
      fixture_assert_fails ("svd", "by=rank,rank=5,whiten=true", in, stats, SWAGE_ERROR_NUMERIC,
                            WORDS ("blk.0.ffn_down", "channel 3"));
    }
}

/* The spectrum is what the squared error grows by, rank by rank, and energy counts in it. */
static void
test_spectrum (void)
{
  const SwageMethod *svd = swage_method_find ("svd");
  for (int tall = 0; tall < 2; tall++)
    for (int whiten = 0; whiten < 2; whiten++)
      {
        int64_t rows = tall ? 40 : 16, cols = tall ? 16 : 40, tokens = 70, n = 0;
        g_autofree float *x = NULL;
        g_autoptr (SwageActStats) stats = random_inputs (cols, tokens, 0, 9, &x);
        g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, cols, 6);
        g_autofree float *y = outputs_of (in, x, tokens), *w = swage_linear_get_effective (in);
        g_autofree double *sigma
            = whiten ? jacobi_singular_values (y, rows, tokens) : jacobi_singular_values (w, rows, cols);
        g_autofree void *params = fixture_params (svd, whiten ? "whiten=true,damp=0" : "");
        SwageMethodContext context = { .layer = in->name, .stats = stats, .original = in };
        g_autofree double *spectrum = svd->get_spectrum (params, in, &context, &n, NULL, NULL);
        g_assert_cmpint (n, ==, 16);
        for (int64_t i = 0; i < n; i++)
          g_assert_cmpfloat_with_epsilon (spectrum[i], sigma[i] * sigma[i], 1e-4 * sigma[0] * sigma[0]);
        g_assert_cmpint (swage_method_get_needs (svd, params), ==,
                         whiten ? SWAGE_NEED_HESSIAN : SWAGE_NEED_NONE);

        double total = 0, kept = 0;
        int64_t rank = 0;
        for (int64_t i = 0; i < n; i++)
          total += spectrum[i];
        while (kept < 0.8 * total)
          kept += spectrum[rank++];
        g_autoptr (SwageLinear) out = fixture_apply_ok (
            "svd", whiten ? "by=energy,energy=0.8,whiten=true,damp=0" : "by=energy,energy=0.8", in, stats);
        g_assert_cmpint (swage_linear_get_rank (out), ==, rank);
      }
}

/* svd, then rtn packs both factors. */
static void
test_with_rtn (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 128, 256, 3);
  g_autoptr (SwageLinear) thin = fixture_apply_ok ("svd", "by=rank,rank=64", in, NULL);
  g_autoptr (SwageLinear) packed = fixture_apply_ok ("rtn", "type=q8_0", thin, NULL);
  g_assert_cmpuint (swage_linear_get_bytes (packed), ==, 64 * (128 + 256) / 32 * 34);
  g_autoptr (SwageLinear) nothing = fixture_linear (SWAGE_TYPE_BF16, 128, 256, 4);
  g_assert_cmpfloat (frobenius_distance (thin, packed), <, 0.02 * frobenius_distance (in, nothing));

  g_autoptr (SwageLinear) odd = fixture_apply_ok ("svd", "by=rank,rank=20", in, NULL);
  fixture_assert_fails ("rtn", "type=q8_0", odd, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "20", "q8_0", "32"));
  g_autoptr (SwageLinear) any = fixture_apply_ok ("rtn", "type=int,bits=8,group_size=16", odd, NULL);
  fixture_assert_fails ("magnitude", "", thin, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "rank 64", "before"));
  fixture_assert_fails ("svd", "by=rank,rank=8", thin, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "rank 64"));

  /* a rank that only the weights tell must be a multiple of what the type asks */
  SwageLinearSpec spec, unknown, out;
  g_autoptr (GError) error = NULL;
  swage_linear_spec_init_from (&spec, in);
  g_assert_true (fixture_cost ("svd", "by=energy,energy=0.5", &spec, &unknown, NULL));
  g_assert_false (unknown.exact);
  g_assert_false (fixture_cost ("rtn", "type=q8_0", &unknown, &out, &error));
  g_assert_nonnull (strstr (error->message, "32"));
  g_assert_true (fixture_cost ("rtn", "type=int", &unknown, &out, NULL));
  g_assert_true (fixture_cost ("svd", "by=energy,energy=0.5,multiple=64", &spec, &unknown, NULL));
  g_assert_true (fixture_cost ("rtn", "type=q8_0", &unknown, &out, NULL));
  g_assert_false (out.exact);
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 300, 450, 8);
  fixture_assert_thread_invariant ("svd", "by=rank,rank=40", in, NULL);
  g_autoptr (SwageLinear) tall = fixture_linear (SWAGE_TYPE_F16, 450, 210, 8);
  fixture_assert_thread_invariant ("svd", "by=energy,energy=0.7", tall, NULL);
  fixture_assert_cancels ("svd", "by=rank,rank=4", in, NULL);
  g_autofree float *x = NULL, *x_tall = NULL;
  g_autoptr (SwageActStats) stats = random_inputs (450, 600, 0, 3, &x);
  g_autoptr (SwageActStats) stats_tall = random_inputs (210, 300, 0, 3, &x_tall);
  fixture_assert_thread_invariant ("svd", "by=rank,rank=40,whiten=true", in, stats);
  fixture_assert_thread_invariant ("svd", "by=rank,rank=40,whiten=true", tall, stats_tall);
  fixture_assert_cancels ("svd", "by=rank,rank=4,whiten=true", tall, stats_tall);
}

/* Cancelling while LAPACK is at work comes back at once, not when it is done. */
static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (200000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel_within (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 700, 700, 8);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);
  /* whether it was done before is a matter of speed; that both ends are clean is not */
  g_autoptr (SwageLinear) out = fixture_apply ("svd", "by=rank,rank=4", in, NULL, job, &error);
  if (out == NULL)
    g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  g_thread_join (thread);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/svd/eckart-young", test_eckart_young);
  g_test_add_func ("/svd/factors", test_factors);
  g_test_add_func ("/svd/energy", test_energy);
  g_test_add_func ("/svd/energy-multiple", test_energy_multiple);
  g_test_add_func ("/svd/size-ratio", test_size_ratio);
  g_test_add_func ("/svd/degenerate", test_degenerate);
  g_test_add_func ("/svd/whitened", test_whitened);
  g_test_add_func ("/svd/whitened-silence", test_whitened_silence);
  g_test_add_func ("/svd/spectrum", test_spectrum);
  g_test_add_func ("/svd/with-rtn", test_with_rtn);
  g_test_add_func ("/svd/threads", test_threads);
  g_test_add_func ("/svd/cancel-within", test_cancel_within);
  return g_test_run ();
}
