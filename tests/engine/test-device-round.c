/* SPDX-License-Identifier: MIT
 *
 * Methods that round on the device give the CPU's bytes without the CPU reading a weight, and leave the
 * result where it will be run; numbers that no method can work with, a cancelled job and a device that fails
 * at any moment are as on the CPU.
 */
#include "core/engine/backend/swage-backend-null.h"
#include "core/method/swage-method.h"
#include "gpu-fixture.h"
#include "kernels/swage-op-args.h"

#include <math.h>
#include <string.h>

static const char *const storages[] = { "type=q4_0",
                                        "type=q4_1",
                                        "type=q5_0",
                                        "type=q5_1",
                                        "type=q8_0",
                                        "type=q2_k",
                                        "type=q3_k",
                                        "type=q4_k",
                                        "type=q5_k",
                                        "type=q6_k",
                                        "type=iq4_nl",
                                        "type=iq4_xs",
                                        "type=int,bits=4,group_size=128,symmetric=true",
                                        "type=int,bits=3,group_size=40,symmetric=false" };

/* Numbers around zero, some of them far out, a row of zeros. */
static SwageLinear *
new_layer (SwageType type, int64_t rows, int64_t cols)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (17);
  g_autofree float *values = g_new0 (float, rows *cols);

  for (int64_t i = cols; i < rows * cols; i++)
    values[i] = (float)(g_rand_double_range (rand, -0.05, 0.05) * (i % 97 == 0 ? 9 : 1));
  return swage_linear_new ("blk.0.ffn_down", swage_weight_new_from_f32 (type, rows, cols, values, NULL),
                           NULL);
}

static SwageLinear *
apply_with (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats,
            SwageBackend *backend, SwageJob *job, GError **error)
{
  const SwageMethod *method = swage_method_find (id);
  g_autofree void *params = g_malloc0 (method->params_size);
  g_auto (GStrv) pairs = g_strsplit (text, ",", -1);
  SwageMethodContext context = {
    .layer = in->name, .role = SWAGE_ROLE_FFN_DOWN, .stats = stats, .original = in, .backend = backend
  };

  swage_params_init (method, params);
  for (int i = 0; pairs[i] != NULL; i++)
    {
      g_auto (GStrv) sides = g_strsplit (pairs[i], "=", 2);
      swage_param_set_text (method, params, swage_method_find_param (method, sides[0]), sides[1], NULL);
    }
  return method->apply (params, in, &context, job, error);
}

static void
assert_same_bytes (GBytes *a, GBytes *b)
{
  g_assert_true ((a == NULL) == (b == NULL));
  g_assert_true (a == NULL || g_bytes_equal (a, b));
}

/* The same weight, bit for bit. */
static void
assert_same_weight (const SwageLinear *a, const SwageLinear *b)
{
  const SwageWeight *x = a->weight, *y = b->weight;

  g_assert_cmpint (x->type, ==, y->type);
  g_assert_true (x->bits == y->bits && x->group_size == y->group_size && x->symmetric == y->symmetric);
  assert_same_bytes (x->data, y->data);
  assert_same_bytes (x->scales, y->scales);
  assert_same_bytes (x->zeros, y->zeros);
}

/* Work on the device, of which the CPU has no part. Gives what came out. */
static SwageLinear *
check_one (const char *id, const char *text, const SwageLinear *in, const SwageActStats *stats,
           SwageBackend *backend)
{
  g_autoptr (GError) error = NULL;
  SwageBackendCounters before, after;
  g_autoptr (SwageLinear) want = apply_with (id, text, in, stats, NULL, NULL, &error);
  g_assert_no_error (error);

  uint64_t decoded = swage_weight_get_decoded_bytes ();
  swage_backend_get_counters (backend, &before);
  SwageLinear *got = apply_with (id, text, in, stats, backend, NULL, &error);
  swage_backend_get_counters (backend, &after);
  g_assert_no_error (error);
  g_test_message ("%s of %s: %s", id, swage_type_get_info (in->weight->type)->id, text);
  g_assert_cmpuint (swage_weight_get_decoded_bytes (), ==, decoded);
  g_assert_cmpuint (after.cpu_fallback_ops, ==, before.cpu_fallback_ops);
  assert_same_weight (got, want);
  return got;
}

static SwageActStats *
new_stats (int64_t n_in)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  g_autofree float *x = g_new (float, 8 * n_in);
  SwageActStats *stats = swage_act_stats_new (n_in, SWAGE_NEED_COL_SQUARES, 0, 0);

  for (int64_t i = 0; i < 8 * n_in; i++)
    x[i] = i % n_in == 3 ? 0 : (float)g_rand_double_range (rand, -2, 2);
  swage_act_stats_add (stats, x, 8);
  swage_act_stats_finish (stats);
  return stats;
}

static void
check_all (SwageBackend *backend)
{
  static const SwageType sources[] = { SWAGE_TYPE_F32, SWAGE_TYPE_F16, SWAGE_TYPE_BF16 };
  g_autoptr (SwageActStats) stats = new_stats (512);

  for (size_t i = 0; i < G_N_ELEMENTS (storages); i++)
    {
      g_autoptr (SwageLinear) in = new_layer (sources[i % 3], 7, 512);
      g_autoptr (SwageLinear) plain = check_one ("rtn", storages[i], in, NULL, backend);
      g_autoptr (SwageLinear) weighted = check_one ("imatrix", storages[i], in, stats, backend);
    }
}

static void
test_null (void)
{
  g_autoptr (SwageBackend) backend = swage_backend_null_new ();

  check_all (backend);
  g_assert_cmpint (swage_backend_null_get_calls (backend), >, 0);
  g_assert_cmpint (swage_backend_null_get_buffers (backend), ==, 0);
}

/* What one weight is asked for costs no upload. */
static uint64_t
count_upload (SwageBackend *backend, const SwageWeight *w)
{
  g_autoptr (GError) error = NULL;
  SwageBackendCounters before, after;
  SwageHistogramArgs args = { .lo = -10, .hi = 10, .bins = 1 };
  int64_t count[4];

  swage_backend_get_counters (backend, &before);
  SwageBuffer *weight = swage_backend_import (backend, w->data, &error),
              *dst = swage_backend_alloc (backend, sizeof count, &error);
  g_assert_no_error (error);
  SwageDispatch d = { .dst = { dst, 0, swage_view (SWAGE_TYPE_I64, NULL, 4, 1, 1, 1) },
                      .src = { { weight, 0, swage_view (w->type, NULL, w->cols, w->rows, 1, 1) } },
                      .args = &args,
                      .args_bytes = sizeof args };
  swage_backend_run (backend, swage_op_find ("histogram"), &d, &error);
  g_assert_no_error (error);
  swage_buffer_download (dst, 0, count, sizeof count, &error);
  g_assert_no_error (error);
  g_assert_cmpint (count[0], ==, w->rows * w->cols);
  swage_buffer_unref (weight);
  swage_buffer_unref (dst);
  swage_backend_get_counters (backend, &after);
  return after.uploaded_bytes - before.uploaded_bytes;
}

static void
test_vulkan (void)
{
  SwageBackend *opened = open_vulkan ((SwageVulkanOptions){ .no_cache = true });
  if (opened == NULL)
    return;
  g_autoptr (SwageBackend) backend = opened;
  check_all (backend);

  /* Several slices; the source is there after the first, the results are there from the beginning. */
  g_autoptr (SwageLinear) in = new_layer (SWAGE_TYPE_F16, 70, 16384);
  g_assert_cmpuint (count_upload (backend, in->weight), ==, g_bytes_get_size (in->weight->data));
  SwageBackendCounters before, after;
  swage_backend_get_counters (backend, &before);
  g_autoptr (SwageLinear) small = check_one ("rtn", "type=q4_0", in, NULL, backend);
  g_autoptr (SwageLinear) large = check_one ("rtn", "type=q8_0", in, NULL, backend);
  swage_backend_get_counters (backend, &after);
  g_assert_cmpuint (after.uploaded_bytes, ==, before.uploaded_bytes);
  g_assert_cmpuint (count_upload (backend, small->weight), ==, 0);
  g_assert_cmpuint (count_upload (backend, large->weight), ==, 0);
  assert_valid (backend);
}

/* Weights that take more of the device than they should are the CPU's. */
static void
test_little_memory (void)
{
  g_autoptr (GError) error = NULL;
  SwageBackend *opened
      = open_vulkan ((SwageVulkanOptions){ .no_cache = true, .memory_limit = (uint64_t)4 << 20 });
  if (opened == NULL)
    return;
  g_autoptr (SwageBackend) backend = opened;
  g_autoptr (SwageLinear) in = new_layer (SWAGE_TYPE_F32, 256, 512);
  uint64_t decoded = swage_weight_get_decoded_bytes ();
  g_autoptr (SwageLinear) out = apply_with ("rtn", "type=q8_0", in, NULL, backend, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (swage_weight_get_decoded_bytes () - decoded, ==, g_bytes_get_size (in->weight->data));
}

static void
test_failing (void)
{
  static const char *const texts[] = { "type=q4_k", "type=int,bits=4,group_size=64" };
  g_autoptr (SwageLinear) in = new_layer (SWAGE_TYPE_F32, 5, 512);
  g_autoptr (SwageActStats) stats = new_stats (512);

  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
    for (int at = 1; at <= 12; at++)
      {
        g_autoptr (GError) error = NULL;
        g_autoptr (SwageBackend) backend = swage_backend_null_new ();
        swage_backend_null_fail_at (backend, at);
        g_autoptr (SwageLinear) want = apply_with ("imatrix", texts[i], in, stats, NULL, NULL, &error);
        g_assert_no_error (error);
        g_autoptr (SwageLinear) got = apply_with ("imatrix", texts[i], in, stats, backend, NULL, &error);
        g_assert_no_error (error);
        assert_same_weight (got, want);
        g_assert_cmpint (swage_backend_null_get_buffers (backend), ==, 0);
      }
}

static void
test_bad_numbers (void)
{
  static const float bad[] = { NAN, -INFINITY, 7e4f };
  g_autoptr (SwageBackend) backend = swage_backend_null_new ();

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) here = NULL, there = NULL;
      float *values = g_new0 (float, 4 * 256);
      values[2 * 256 + 11] = bad[i];
      g_autoptr (SwageLinear) in = swage_linear_new (
          "blk.0.ffn_down",
          swage_weight_new (SWAGE_TYPE_F32, 4, 256, g_bytes_new_take (values, 4 * 256 * sizeof (float))),
          NULL);
      g_assert_null (apply_with ("rtn", "type=q4_k", in, NULL, NULL, NULL, &here));
      g_assert_null (apply_with ("rtn", "type=q4_k", in, NULL, backend, NULL, &there));
      g_assert_error (there, SWAGE_ERROR, SWAGE_ERROR_NUMERIC);
      g_assert_cmpstr (there->message, ==, here->message);
    }
}

static void
test_cancelled (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageBackend) backend = swage_backend_null_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_autoptr (SwageLinear) in = new_layer (SWAGE_TYPE_F32, 5, 512);

  g_cancellable_cancel (cancellable);
  g_assert_null (apply_with ("rtn", "type=q4_k", in, NULL, backend, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  g_assert_cmpint (swage_backend_null_get_buffers (backend), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device-round/null", test_null);
  g_test_add_func ("/device-round/failing", test_failing);
  g_test_add_func ("/device-round/bad-numbers", test_bad_numbers);
  g_test_add_func ("/device-round/cancelled", test_cancelled);
  g_test_add_func ("/device-round/little-memory", test_little_memory);
  g_test_add_func ("/device-round/vulkan", test_vulkan);
  return g_test_run ();
}
