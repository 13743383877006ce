/* SPDX-License-Identifier: MIT
 *
 * What the tests of methods share: reproducible random layers, and applying a step while checking what holds
 * for every method: the layer that comes out is the one that cost promised, and the one that went in is
 * untouched.
 */
#pragma once

#include <glib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-method.h"
#include "kernels/swage-layout.h"

/* Knuth's MMIX generator; the upper bits. */
static inline double
fixture_uniform (uint64_t *state)
{
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(*state >> 11) * 0x1p-53;
}

/* Normal by Box and Muller. */
static inline double
fixture_normal (uint64_t *state)
{
  double u = fixture_uniform (state), v = fixture_uniform (state);
  return sqrt (-2 * log (u + 1e-300)) * cos (2 * G_PI * v);
}

static inline float *
fixture_normals (int64_t n, double scale, uint64_t seed)
{
  float *x = g_new (float, (gsize)n);
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)(scale * fixture_normal (&seed));
  return x;
}

static inline SwageLinear *
fixture_linear_from (SwageType type, int64_t rows, int64_t cols, const float *values)
{
  return swage_linear_new ("blk.0.ffn_down", swage_weight_new_from_f32 (type, rows, cols, values, NULL),
                           NULL);
}

static inline SwageLinear *
fixture_linear (SwageType type, int64_t rows, int64_t cols, uint64_t seed)
{
  g_autofree float *values = fixture_normals (rows * cols, 0.05, seed);
  return fixture_linear_from (type, rows, cols, values);
}

/* "sparsity=0.5,per=row": defaults for the rest. New; free with g_free(). */
static inline void *
fixture_params (const SwageMethod *method, const char *text)
{
  void *params = g_malloc0 (MAX (method->params_size, 1));
  g_auto (GStrv) pairs = g_strsplit (text, ",", -1);

  swage_params_init (method, params);
  for (int i = 0; pairs[i] != NULL; i++)
    {
      g_auto (GStrv) sides = g_strsplit (pairs[i], "=", 2);
      g_autoptr (GError) error = NULL;
      if (sides[0] == NULL)
        continue;
      const SwageParam *param = swage_method_find_param (method, sides[0]);
      g_assert_nonnull (param);
      swage_param_set_text (method, params, param, sides[1], &error);
      g_assert_no_error (error);
    }
  return params;
}

static inline bool
fixture_cost (const char *id, const char *text, const SwageLinearSpec *in, SwageLinearSpec *out,
              GError **error)
{
  const SwageMethod *method = swage_method_find (id);
  g_assert_nonnull (method);
  g_autofree void *params = fixture_params (method, text);
  return swage_method_cost (method, params, "blk.0.ffn_down", in, out, error);
}

static inline void
assert_storage_equal (const SwageStorage *a, const SwageStorage *b)
{
  g_assert_cmpint (a->type, ==, b->type);
  if (!swage_type_is_layout (a->type))
    return;
  g_assert_cmpint (a->bits, ==, b->bits);
  g_assert_cmpint (a->group_size, ==, b->group_size);
  g_assert_cmpint (a->symmetric, ==, b->symmetric);
}

static inline GBytes *
fixture_get_bytes (const SwageWeight *w)
{
  return g_bytes_new_from_bytes (w->data, 0, (gsize)w->rows * w->row_bytes);
}

/* Run a step, cost first. NULL with error when either fails. */
static inline SwageLinear *
fixture_apply (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats,
               SwageJob *job, GError **error)
{
  const SwageMethod *method = swage_method_find (id);
  g_autofree void *params = fixture_params (method, text);
  SwageMethodContext context
      = { .layer = in->name, .role = SWAGE_ROLE_FFN_DOWN, .block = 0, .stats = stats, .original = in };
  SwageLinearSpec before, promised, got;
  g_autoptr (GBytes) bytes = in->weight != NULL ? fixture_get_bytes (in->weight) : NULL;
  g_autofree char *checksum = bytes != NULL ? g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes) : NULL;

  swage_linear_spec_init_from (&before, in);
  if (!swage_method_cost (method, params, in->name, &before, &promised, error))
    return NULL;
  SwageLinear *out = method->apply (params, in, &context, job, error);
  if (out == NULL)
    return NULL;

  g_assert_cmpstr (out->name, ==, in->name);
  swage_linear_spec_init_from (&got, out);
  g_assert_cmpint (got.n_out, ==, promised.n_out);
  g_assert_cmpint (got.n_in, ==, promised.n_in);
  g_assert_cmpint (got.parts, ==, promised.parts);
  if (got.parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED))
    assert_storage_equal (&got.weight, &promised.weight);
  if (got.parts & SWAGE_PART_LOW_RANK)
    {
      assert_storage_equal (&got.a, &promised.a);
      assert_storage_equal (&got.b, &promised.b);
    }
  if (promised.exact)
    {
      g_assert_cmpint (got.rank, ==, promised.rank);
      g_assert_cmpuint (swage_linear_get_bytes (out), ==, swage_linear_spec_get_bytes (&promised));
    }
  else
    {
      g_assert_cmpint (got.rank, <=, promised.rank);
      g_assert_cmpint (got.rank % MAX (1, promised.rank_multiple), ==, 0);
      g_assert_cmpuint (swage_linear_get_bytes (out), <=, swage_linear_spec_get_bytes (&promised));
    }
  g_assert_cmpuint (swage_linear_get_bytes (out), ==, swage_linear_spec_get_bytes (&got));
  if (bytes != NULL)
    {
      g_autofree char *after = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
      g_assert_cmpstr (after, ==, checksum);
    }
  return out;
}

static inline SwageLinear *
fixture_apply_ok (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats)
{
  g_autoptr (GError) error = NULL;
  SwageLinear *out = fixture_apply (id, text, in, stats, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (out);
  return out;
}

/* The step fails with `code`, and the message holds every one of the NULL-terminated words. */
static inline void
fixture_assert_fails (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats,
                      int code, const char *const *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageLinear) out = fixture_apply (id, text, in, stats, NULL, &error);
  g_assert_null (out);
  g_assert_error (error, SWAGE_ERROR, code);
  for (; *words != NULL; words++)
    if (strstr (error->message, *words) == NULL)
      g_error ("no “%s” in: %s", *words, error->message);
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline bool
weights_equal (const SwageWeight *a, const SwageWeight *b)
{
  if (a == NULL || b == NULL)
    return a == b;
  if (a->type != b->type || a->rows != b->rows || a->cols != b->cols)
    return false;
  g_autoptr (GBytes) x = fixture_get_bytes (a);
  g_autoptr (GBytes) y = fixture_get_bytes (b);
  if (!g_bytes_equal (x, y))
    return false;
  if (a->scales == NULL)
    return true;
  return g_bytes_equal (a->scales, b->scales) && (a->zeros == NULL || g_bytes_equal (a->zeros, b->zeros));
}

/* The same bytes from 1, 2 and 5 threads. */
static inline void
fixture_assert_thread_invariant (const char *id, const char *text, const SwageLinear *in,
                                 const SwageActStats *stats)
{
  static const int threads[] = { 1, 2, 5 };
  g_autoptr (SwageLinear) first = NULL;

  for (size_t i = 0; i < G_N_ELEMENTS (threads); i++)
    {
      swage_pool_set_threads (threads[i]);
      g_autoptr (SwageLinear) out = fixture_apply_ok (id, text, in, stats);
      if (first == NULL)
        first = swage_linear_ref (out);
      g_assert_true (weights_equal (out->weight, first->weight));
      g_assert_true (weights_equal (out->a, first->a));
      g_assert_true (weights_equal (out->b, first->b));
    }
  swage_pool_set_threads (2);
}

/* A job that is cancelled already. */
static inline SwageJob *
fixture_cancelled_job (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_cancellable_cancel (cancellable);
  return swage_job_new (cancellable, NULL, NULL);
}

static inline void
fixture_assert_cancels (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats)
{
  g_autoptr (SwageJob) job = fixture_cancelled_job ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageLinear) out = fixture_apply (id, text, in, stats, job, &error);
  g_assert_null (out);
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
}
