/* SPDX-License-Identifier: MIT
 *
 * The factors that second-order methods share, against their definitions in double: H = R·Rᵀ, U·R = 1,
 * F = R·diag(R)⁻¹, with the moments summed here from the inputs themselves.
 */
#include "method-fixture.h"

#include "core/method/swage-second-order.h"

static SwageActStats *
collect (const float *x, int64_t tokens, int64_t n)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_HESSIAN, 0, 0);
  swage_act_stats_add (stats, x, tokens);
  swage_act_stats_finish (stats);
  return stats;
}

/* Inputs whose channels follow one another and have unlike sizes. */
static float *
make_inputs (int64_t tokens, int64_t n, uint64_t seed)
{
  float *x = fixture_normals (tokens * n, 1, seed);
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t j = 0; j < n; j++)
      x[t * n + j] = (float)((j > 0 ? 0.6 * (double)x[t * n + j - 1] : 0)
                             + (double)x[t * n + j] * (0.3 + (double)((j * 7) % 11) / 5));
  return x;
}

#define FACTORS (SWAGE_FACTOR_INVERSE | SWAGE_FACTOR_FEEDBACK | SWAGE_FACTOR_HESSIAN)

static void
check_factors (int64_t n, int64_t tokens, bool act_order)
{
  g_autofree float *x = make_inputs (tokens, n, (uint64_t)n);
  g_autoptr (SwageActStats) stats = collect (x, tokens, n);
  SwageSecondOrderOptions options = {
    .layer = "blk.0.ffn_up", .method = "gptq", .factors = FACTORS, .damping = 0.01, .act_order = act_order
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (s->damping, ==, 0.01);
  g_assert_cmpint (s->n_dead, ==, 0);

  g_autofree double *h = g_new0 (double, (gsize)(n * n));
  double mean = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      {
        for (int64_t t = 0; t < tokens; t++)
          h[i * n + j]
              += 2.0 / (double)tokens * (double)x[t * n + s->order[i]] * (double)x[t * n + s->order[j]];
        mean += i == j ? h[i * n + j] / (double)n : 0;
      }
  for (int64_t i = 0; i < n; i++)
    {
      g_assert_cmpint (s->position[s->order[i]], ==, i);
      if (act_order && i > 0)
        g_assert_cmpfloat (s->diagonal[s->order[i - 1]], >=, s->diagonal[s->order[i]]);
      h[i * n + i] += 0.01 * mean;
    }

  /* F·D·Fᵀ = H, and Uᵀ·U·H = 1: U·R = 1 with R = F·diag(pivot) */
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      {
        double product = 0, unit = 0;
        for (int64_t k = MAX (i, j); k < n; k++)
          product += (double)s->f[i * n + k] * s->pivot[k] * s->pivot[k] * (double)s->f[j * n + k];
        for (int64_t k = i; k <= j; k++)
          unit += (double)s->u[i * n + k] * (double)s->f[k * n + j] * s->pivot[j];
        g_assert_cmpfloat (fabs (product - h[i * n + j]), <=, 2e-5 * mean);
        g_assert_cmpfloat (fabs (unit - (i == j)), <=, 2e-5);
        g_assert_cmpfloat (fabs ((double)s->h[i * n + j] - h[i * n + j]), <=, 1e-5 * mean);
        if (i > j)
          g_assert_true (s->u[i * n + j] == 0 && s->f[i * n + j] == 0);
      }
}

static void
test_factors (void)
{
  check_factors (1, 40, false);
  check_factors (7, 40, true);
  check_factors (64, 200, false);
  check_factors (300, 700, true); /* more than one tile */
}

/* Large matrices are factored in single precision where that is safe: channels that nearly repeat each other
 * and are much larger than all others must not be. Some rows of the definitions, errors as shares of
 * √(H_ii·H_jj). */
static void
check_large (bool hard, double tolerance)
{
  const int64_t n = 1100, tokens = 1300;
  g_autofree float *x = make_inputs (tokens, n, 21);
  for (int64_t t = 0; t < tokens && hard; t++)
    {
      x[t * n + 700] *= 2000;
      x[t * n + 90] = x[t * n + 700] + x[t * n + 90];
    }
  g_autoptr (SwageActStats) stats = collect (x, tokens, n);
  SwageSecondOrderOptions options
      = { .layer = "blk.0.ffn_up", .method = "gptq", .factors = FACTORS, .damping = 1e-6 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, NULL, NULL);
  g_assert_nonnull (s);
  g_assert_cmpfloat (s->damping, ==, 1e-6);
  g_autofree double *h = g_memdup2 (stats->hessian, (gsize)(n * n) * sizeof (double));
  for (int64_t i = 0; i < n * n; i++)
    h[i] = h[i] * 2 / (double)tokens + (i % (n + 1) == 0 ? 1e-6 * s->mean : 0);

  for (int64_t i = 0; i < n; i += i == 90 || i == 699 ? 1 : 30)
    for (int64_t j = i; j < n; j++)
      {
        double product = 0, unit = 0, size = sqrt (h[i * n + i] * h[j * n + j]);
        for (int64_t k = j; k < n; k++)
          product += (double)s->f[i * n + k] * s->pivot[k] * s->pivot[k] * (double)s->f[j * n + k];
        for (int64_t k = i; k <= j; k++)
          unit += (double)s->u[i * n + k] * (double)s->f[k * n + j] * s->pivot[j];
        g_assert_cmpfloat (fabs (product - h[i * n + j]), <=, tolerance * size);
        g_assert_cmpfloat (fabs (unit - (i == j)) * s->pivot[i], <=, 1e-4 * sqrt (h[j * n + j]));
      }
}

static void
test_large (void)
{
  check_large (false, 2e-6);
  check_large (true, 3e-7); /* what is left is the rounding of F */
}

/* A band of the inverse holds the same numbers as all of it. */
static void
test_band (void)
{
  static const int64_t sizes[] = { 1, 2, 300, 600, 1100 };
  static const int64_t bands[] = { 1, 2, 100, 257, 512, 1024 };

  for (size_t k = 0; k < G_N_ELEMENTS (sizes); k++)
    {
      const int64_t n = sizes[k], tokens = n + 50;
      g_autofree float *x = make_inputs (tokens, n, 3);
      g_autoptr (SwageActStats) stats = collect (x, tokens, n);
      SwageSecondOrderOptions options
          = { .layer = "blk.0.ffn_up", .method = "gptq", .factors = SWAGE_FACTOR_INVERSE, .damping = 0.01 };
      g_autoptr (SwageSecondOrder) all = swage_second_order_new (stats, n, &options, NULL, NULL);
      g_assert_nonnull (all);
      g_assert_cmpint (all->u_stride, ==, n);
      for (size_t b = 0; b < G_N_ELEMENTS (bands); b++)
        {
          options.band = bands[b];
          g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, NULL, NULL);
          g_assert_nonnull (s);
          for (int64_t i = 0; i < n; i++)
            for (int64_t j = i; j < MIN (n, i + bands[b]); j++)
              g_assert_true (s->u[i * s->u_stride + j] == all->u[i * n + j]);
        }
    }
}

/* The same bits from any number of threads. */
static void
check_threads (int64_t n, int64_t tokens)
{
  g_autofree float *x = make_inputs (tokens, n, 5);
  g_autoptr (SwageActStats) stats = collect (x, tokens, n);
  SwageSecondOrderOptions options
      = { .layer = "blk.0.ffn_up", .method = "gptq", .factors = FACTORS, .damping = 0.01 };
  g_autoptr (SwageSecondOrder) first = NULL;

  for (int threads = 1; threads <= 3; threads++)
    {
      swage_pool_set_threads (threads);
      SwageSecondOrder *s = swage_second_order_new (stats, n, &options, NULL, NULL);
      g_assert_nonnull (s);
      if (first == NULL)
        {
          first = s;
          continue;
        }
      g_assert_cmpmem (s->u, (gsize)(n * n) * 4, first->u, (gsize)(n * n) * 4);
      g_assert_cmpmem (s->f, (gsize)(n * n) * 4, first->f, (gsize)(n * n) * 4);
      g_assert_cmpmem (s->pivot, (gsize)n * 8, first->pivot, (gsize)n * 8);
      swage_second_order_free (s);
    }
  swage_pool_set_threads (2);
}

static void
test_threads (void)
{
  check_threads (600, 900);
  check_threads (1600, 1700);
}

/* Fewer tokens than channels: the damping grows until there is a factor, and tells. Channels that nothing
 * came through are cut off. */
static void
test_poor (void)
{
  const int64_t n = 48, tokens = 10;
  g_autofree float *x = make_inputs (tokens, n, 9);
  for (int64_t t = 0; t < tokens; t++)
    x[t * n + 3] = x[t * n + 40] = 0;
  g_autoptr (SwageActStats) stats = collect (x, tokens, n);
  SwageSecondOrderOptions options = { .layer = "blk.0.ffn_up", .method = "gptq", .factors = FACTORS };
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, n, &options, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (s->damping, >, 0);
  g_assert_cmpint (s->n_dead, ==, 2);
  g_assert_true (s->dead[3] && s->dead[40]);
  for (int64_t j = 0; j < n; j++)
    {
      g_assert_true (s->pivot[j] > 0);
      for (int64_t i = 0; i < n; i++)
        g_assert_true (isfinite (s->u[i * n + j]) && isfinite (s->f[i * n + j]));
      if (j > 3)
        g_assert_true (s->f[3 * n + j] == 0);
    }
}

static void
test_refuses (void)
{
  const int64_t n = 16;
  g_autofree float *x = make_inputs (40, n, 2);
  g_autoptr (SwageActStats) stats = collect (x, 40, n);
  SwageSecondOrderOptions options = { .layer = "blk.0.ffn_up", .method = "gptq", .factors = FACTORS };
  g_autoptr (GError) error = NULL;

  g_assert_null (swage_second_order_new (NULL, n, &options, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "blk.0.ffn_up"));
  g_clear_error (&error);
  g_assert_null (swage_second_order_new (stats, n + 1, &options, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);

  g_autoptr (SwageJob) job = fixture_cancelled_job ();
  g_assert_null (swage_second_order_new (stats, n, &options, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  g_clear_error (&error);

  stats->hessian[5 * n + 5] = NAN;
  g_assert_null (swage_second_order_new (stats, n, &options, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC);
  g_assert_nonnull (strstr (error->message, "blk.0.ffn_up"));
  g_assert_nonnull (strstr (error->message, "channel 5"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/second-order/factors", test_factors);
  g_test_add_func ("/methods/second-order/large", test_large);
  g_test_add_func ("/methods/second-order/band", test_band);
  g_test_add_func ("/methods/second-order/threads", test_threads);
  g_test_add_func ("/methods/second-order/poor", test_poor);
  g_test_add_func ("/methods/second-order/refuses", test_refuses);
  return g_test_run ();
}
