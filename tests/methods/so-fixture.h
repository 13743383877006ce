/* SPDX-License-Identifier: MIT
 *
 * What the tests of second-order methods share: correlated inputs with outlier channels, their moments, and
 * the plain algebra of the papers in double (Gauss-Jordan and textbook Cholesky), with nothing of the
 * product's in it.
 */
#pragma once

#include "method-fixture.h"
#include "core/method/swage-second-order.h"

/* tokens × n: neighbours are alike, every `outlier`-th channel is 10 times as large (0: none). */
static inline float *
so_inputs (int64_t n_tokens, int64_t n, int outlier, uint64_t seed)
{
  float *x = fixture_normals (n_tokens * n, 1, seed);
  for (int64_t t = 0; t < n_tokens; t++)
    {
      double common = fixture_normal (&seed);
      for (int64_t j = 0; j < n; j++)
        {
          double v = (double)x[t * n + j] + common * (0.5 + 0.5 * sin (0.7 * (double)j));
          if (j > 0)
            v += 0.6 * (double)x[t * n + j - 1];
          x[t * n + j] = (float)(v * (outlier > 0 && j % outlier == outlier / 2 ? 10 : 1));
        }
    }
  return x;
}

static inline SwageActStats *
so_stats (const float *x, int64_t n_tokens, int64_t n)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_HESSIAN | SWAGE_NEED_COL_SQUARES, 0, 0);
  swage_act_stats_add (stats, x, n_tokens);
  swage_act_stats_finish (stats);
  return stats;
}

/* 2/n·Σ x xᵀ + damp·mean diagonal, n × n. */
static inline double *
so_hessian (const float *x, int64_t n_tokens, int64_t n, double damp)
{
  double *h = g_new0 (double, (gsize)(n * n)), mean = 0;
  for (int64_t t = 0; t < n_tokens; t++)
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++)
        h[i * n + j] += 2.0 / (double)n_tokens * (double)x[t * n + i] * (double)x[t * n + j];
  for (int64_t i = 0; i < n; i++)
    mean += h[i * n + i] / (double)n;
  for (int64_t i = 0; i < n; i++)
    h[i * n + i] += damp * mean;
  return h;
}

/* New n × n. */
static inline double *
so_invert (const double *h, int64_t n)
{
  g_autofree double *a = g_memdup2 (h, (gsize)(n * n) * sizeof *h);
  double *inverse = g_new0 (double, (gsize)(n * n));
  for (int64_t i = 0; i < n; i++)
    inverse[i * n + i] = 1;
  for (int64_t i = 0; i < n; i++)
    {
      double pivot = a[i * n + i];
      for (int64_t j = 0; j < n; j++)
        {
          a[i * n + j] /= pivot;
          inverse[i * n + j] /= pivot;
        }
      for (int64_t r = 0; r < n; r++)
        {
          double f = a[r * n + i];
          for (int64_t j = 0; j < n && r != i; j++)
            {
              a[r * n + j] -= f * a[i * n + j];
              inverse[r * n + j] -= f * inverse[i * n + j];
            }
        }
    }
  return inverse;
}

/* U upper triangular with Uᵀ·U = a. New n × n. */
static inline double *
so_cholesky_upper (const double *a, int64_t n)
{
  double *u = g_new0 (double, (gsize)(n * n));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i; j < n; j++)
      {
        double sum = a[i * n + j];
        for (int64_t k = 0; k < i; k++)
          sum -= u[k * n + i] * u[k * n + j];
        u[i * n + j] = i == j ? sqrt (sum) : sum / u[i * n + i];
      }
  return u;
}

/* ‖(w − ŵ)·X‖² over all tokens and rows. */
static inline double
so_error (const float *w, const float *w_hat, int64_t rows, int64_t n, const float *x, int64_t n_tokens)
{
  double sum = 0;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t t = 0; t < n_tokens; t++)
      {
        double y = 0;
        for (int64_t j = 0; j < n; j++)
          y += ((double)w[r * n + j] - (double)w_hat[r * n + j]) * (double)x[t * n + j];
        sum += y * y;
      }
  return sum;
}

static inline double
so_layer_error (const SwageLinear *a, const SwageLinear *b, const float *x, int64_t n_tokens)
{
  g_autofree float *wa = swage_linear_get_effective (a);
  g_autofree float *wb = swage_linear_get_effective (b);
  return so_error (wa, wb, a->n_out, a->n_in, x, n_tokens);
}

/* What every method that needs second moments refuses or survives: no statistics, NaN in the calibration, a
 * NaN weight, fewer tokens than channels, dead channels, zero and constant rows, a layer smaller than a
 * group, threads, cancelling. */
static inline void
so_assert_robust (const char *id, const char *text)
{
  enum
  {
    ROWS = 70,
    COLS = 48,
    TOKENS = 12
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 9, 5);
  g_autofree float *w = fixture_normals (ROWS * COLS, 0.05, 77);
  for (int j = 0; j < COLS; j++)
    {
      w[3 * COLS + j] = 0;
      w[4 * COLS + j] = 0.25f;
    }
  for (int t = 0; t < TOKENS; t++)
    x[t * COLS + 7] = x[t * COLS + 30] = 0;
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);

  g_autoptr (SwageLinear) out = fixture_apply_ok (id, text, in, stats);
  g_autofree float *effective = swage_linear_get_effective (out);
  for (int i = 0; i < ROWS * COLS; i++)
    g_assert_true (isfinite (effective[i]) && fabsf (effective[i]) < 10);
  fixture_assert_thread_invariant (id, text, in, stats);
  fixture_assert_cancels (id, text, in, stats);

  fixture_assert_fails (id, text, in, NULL, SWAGE_ERROR_INVALID, WORDS ("blk.0.ffn_down", id, "calibration"));
  g_autoptr (SwageActStats) poisoned = so_stats (x, TOKENS, COLS);
  poisoned->hessian[5 * COLS + 6] = poisoned->hessian[6 * COLS + 5] = NAN;
  fixture_assert_fails (id, text, in, poisoned, SWAGE_ERROR_NUMERIC, WORDS ("blk.0.ffn_down", "5"));
  w[2 * COLS + 7] = NAN;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails (id, text, bad, stats, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 2", "column 7"));

  /* nothing known about any channel */
  memset (x, 0, sizeof (float) * TOKENS * COLS);
  g_autoptr (SwageActStats) dark = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) blind = fixture_apply_ok (id, text, in, dark);
  g_autofree float *blind_w = swage_linear_get_effective (blind);
  for (int i = 0; i < ROWS * COLS; i++)
    g_assert_true (isfinite (blind_w[i]) && fabsf (blind_w[i]) < 10);

  /* one row of one column; one row of many */
  static const int shapes[][2] = { { 1, 1 }, { 1, 33 }, { 3, 5 }, { 17, 300 } };
  for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      int rows = shapes[s][0], cols = shapes[s][1];
      g_autofree float *inputs = so_inputs (20, cols, 0, 3 + s);
      g_autoptr (SwageActStats) few = so_stats (inputs, 20, cols);
      g_autoptr (SwageLinear) small = fixture_linear (SWAGE_TYPE_BF16, rows, cols, 9 + s);
      SwageLinearSpec spec, promised;
      swage_linear_spec_init_from (&spec, small);
      if (!fixture_cost (id, text, &spec, &promised, NULL)) /* a pattern that does not divide it */
        continue;
      g_autoptr (SwageLinear) done = fixture_apply_ok (id, text, small, few);
      g_autofree float *got = swage_linear_get_effective (done);
      for (int i = 0; i < rows * cols; i++)
        g_assert_true (isfinite (got[i]));
    }
}
