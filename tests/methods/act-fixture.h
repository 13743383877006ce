/* SPDX-License-Identifier: MIT
 *
 * Small problems for methods that look at activations: a weight, inputs with outlier channels as a matrix,
 * and statistics of it; the layer's output error straight from the inputs.
 */
#pragma once

#include "core/engine/swage-engine.h"
#include "method-fixture.h"

typedef struct
{
  int n_out, n_in, n_tok;
  SwageLinear *linear;
  float *w, *x;
  SwageActStats *stats;
} Problem;

#define PROBLEM_NEEDS                                                                                        \
  (SWAGE_NEED_COL_SQUARES | SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE | SWAGE_NEED_HESSIAN                \
   | SWAGE_NEED_COL_ABS | SWAGE_NEED_SAMPLES)

static inline void
problem_take (Problem *p)
{
  p->linear = fixture_linear_from (SWAGE_TYPE_F32, p->n_out, p->n_in, p->w);
  p->stats = swage_act_stats_new (p->n_in, PROBLEM_NEEDS, 0, 0);
  /* in portions, as the engine gives them */
  for (int t = 0; t < p->n_tok; t += 17)
    swage_act_stats_add (p->stats, p->x + t * p->n_in, MIN (17, p->n_tok - t));
  swage_act_stats_finish (p->stats);
}

static inline void
problem_fill (Problem *p, int n_out, int n_in, int n_tok, uint64_t seed)
{
  *p = (Problem){ .n_out = n_out, .n_in = n_in, .n_tok = n_tok };
  p->w = fixture_normals (n_out * n_in, 0.05, seed);
  p->x = fixture_normals (n_tok * n_in, 1, seed + 1);
  for (int i = 0; i < n_tok * n_in; i++)
    {
      int j = i % n_in;
      p->x[i] = p->x[i] * (j % 9 == 4 ? 20.0f : 0.3f + 0.1f * (float)(j % 5)) + (j % 11 == 2 ? 3.0f : 0.0f);
    }
}

static inline void
problem_init (Problem *p, int n_out, int n_in, int n_tok, uint64_t seed)
{
  problem_fill (p, n_out, n_in, n_tok, seed);
  problem_take (p);
}

/* Dead channels with and without weights, a row of zeros and a constant one. */
static inline void
problem_init_degenerate (Problem *p, int n_out, int n_in, int n_tok, uint64_t seed)
{
  problem_fill (p, n_out, n_in, n_tok, seed);
  for (int t = 0; t < n_tok; t++)
    p->x[t * n_in + 1] = p->x[t * n_in + 5] = 0;
  for (int o = 0; o < n_out; o++)
    p->w[o * n_in + 5] = p->w[o * n_in + 7] = 0;
  for (int j = 0; j < n_in; j++)
    {
      p->w[j] = 0;
      p->w[n_in + j] = 0.25f;
    }
  problem_take (p);
}

static inline void
problem_init_nan (Problem *p, int n_out, int n_in, int n_tok, uint64_t seed)
{
  problem_fill (p, n_out, n_in, n_tok, seed);
  p->x[3 * n_in + 2] = NAN;
  problem_take (p);
}

static inline void
problem_clear (Problem *p)
{
  swage_linear_unref (p->linear);
  swage_act_stats_free (p->stats);
  g_free (p->w);
  g_free (p->x);
}

static inline SwageLinear *
problem_apply (const char *id, const char *text, const Problem *p)
{
  return fixture_apply_ok (id, text, p->linear, p->stats);
}

/* With a sibling that has the same method with `other_text`. */
static inline SwageLinear *
problem_apply_with (const char *id, const char *text, const Problem *p, const SwageLinear *other,
                    const char *other_text)
{
  const SwageMethod *method = swage_method_find (id);
  g_autoptr (GError) error = NULL;
  g_autofree void *params = fixture_params (method, text), *theirs = fixture_params (method, other_text);
  SwageMethodSibling siblings[]
      = { { SWAGE_ROLE_FFN_GATE, p->linear, params }, { SWAGE_ROLE_FFN_UP, other, theirs } };
  SwageMethodContext context = { .layer = "blk.0.ffn_gate",
                                 .role = SWAGE_ROLE_FFN_GATE,
                                 .stats = p->stats,
                                 .original = p->linear,
                                 .siblings = siblings,
                                 .n_siblings = 2 };
  g_assert_true (method->joins (params, theirs));
  SwageLinear *out = method->apply (params, p->linear, &context, NULL, &error);
  g_assert_no_error (error);
  return out;
}

/* The engine's run of a layer on the inputs; new, n_tok × n_out. */
static inline float *
problem_run (const Problem *p, const SwageLinear *linear)
{
  static SwageModel *model;
  static SwageEngine *engine;
  g_autoptr (GError) error = NULL;
  float *y = g_new (float, p->n_tok * p->n_out);
  if (engine == NULL) /* any model: only the backend matters here */
    {
      g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
      model = swage_model_open (path, &error);
      g_assert_no_error (error);
      engine = swage_engine_new (model, NULL, &error);
      g_assert_no_error (error);
    }
  swage_engine_linear (engine, linear, p->x, p->n_tok, y, &error);
  g_assert_no_error (error);
  return y;
}

/* That against y = W·x by hand: Σ (difference)². */
static inline double
problem_error (const Problem *p, const SwageLinear *linear)
{
  g_autofree float *y = problem_run (p, linear);
  double sum = 0;
  for (int t = 0; t < p->n_tok; t++)
    for (int o = 0; o < p->n_out; o++)
      {
        double want = 0;
        for (int j = 0; j < p->n_in; j++)
          want += (double)p->w[o * p->n_in + j] * (double)p->x[t * p->n_in + j];
        sum += pow ((double)y[t * p->n_out + o] - want, 2);
      }
  return sum;
}

static inline void
assert_same_function (const SwageLinear *a, const SwageLinear *b)
{
  g_autofree float *x = swage_linear_get_effective (a), *y = swage_linear_get_effective (b);
  double top = 0;
  for (int64_t i = 0; i < a->n_out * a->n_in; i++)
    top = fmax (top, fabs ((double)x[i]));
  for (int64_t i = 0; i < a->n_out * a->n_in; i++)
    g_assert_cmpfloat_with_epsilon (x[i], y[i], 1e-5 * top);
}

/* A row through the format's own codec. */
static inline void
round_int (float *row, int n, int bits, int group, bool symmetric)
{
  g_autofree uint8_t *codes = g_malloc (swage_int_row_bytes (n, bits)), *zeros = g_malloc (n);
  g_autofree uint16_t *scales = g_new (uint16_t, n);
  swage_int_from_f32 (row, NULL, n, bits, group, symmetric, codes, scales, symmetric ? NULL : zeros);
  swage_int_to_f32 (codes, scales, zeros, n, bits, group, symmetric, row);
}
