/* SPDX-License-Identifier: MIT
 *
 * A device that fails: at whatever call it happens, the engine returns an error and leaves nothing behind.
 * And the list of real devices, which may be empty.
 */
#include "engine-fixture.h"
#include "core/engine/backend/swage-backend-null.h"
#include "core/engine/backend/vulkan/swage-vulkan-devices.h"

static void
ignore_tap (SwageRole role, const float *x, int64_t n, int64_t n_in, gpointer user_data)
{
  *(double *)user_data += x[0];
}

/* The whole forward pass, with a tap and kept keys and values in turn. */
static bool
run_everything (SwageModel *model, SwageBackend *backend, const SwageEnds *ends, SwageBlock *const *blocks,
                const int32_t *tokens, int n_tok, float *logits, GError **error)
{
  const SwageConfig *config = swage_model_get_config (model);
  g_autoptr (SwageEngine) engine = swage_engine_new (model, backend, error);
  g_autofree float *h = g_new (float, (size_t)n_tok * config->n_embd);
  double sum = 0;

  if (engine == NULL || !swage_engine_embed (engine, ends, tokens, 1, n_tok, 0, h, error))
    return false;
  SwageKv *kv = swage_kv_new (engine, n_tok, error);
  bool ok = kv != NULL;
  for (int i = 0; ok && i < config->n_blocks; i++)
    ok = swage_engine_run_block (engine, blocks[i], 1, n_tok, h, i % 2 ? kv : NULL, i % 2 ? NULL : ignore_tap,
                                 &sum, NULL, error);
  ok = ok && swage_engine_logits (engine, ends, h, n_tok, logits, error);
  swage_kv_free (kv);
  return ok;
}

static void
test_faults (gconstpointer name)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");
  g_autoptr (SwageBackend) backend = swage_backend_null_new ();

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  int n_tok = golden.n_tok;
  size_t n = (size_t)n_tok * golden.n_vocab;
  g_autofree float *logits = g_new0 (float, n);

  g_assert_true (
      run_everything (rig.model, backend, rig.ends, rig.blocks, golden.tokens, n_tok, logits, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (max_difference (logits, golden.logits, n), <=, 2e-4);
  g_assert_cmpint (swage_backend_null_get_buffers (backend), ==, 0);
  int calls = swage_backend_null_get_calls (backend);
  g_assert_cmpint (calls, >, 50);

  for (int i = 1; i <= calls; i++)
    {
      swage_backend_null_fail_at (backend, i);
      g_assert_false (
          run_everything (rig.model, backend, rig.ends, rig.blocks, golden.tokens, n_tok, logits, &error));
      g_assert_true (error != NULL && error->domain == SWAGE_ERROR);
      g_clear_error (&error);
      g_assert_cmpint (swage_backend_null_get_buffers (backend), ==, 0);
    }

  /* And well again afterwards. */
  swage_backend_null_fail_at (backend, 0);
  g_assert_true (
      run_everything (rig.model, backend, rig.ends, rig.blocks, golden.tokens, n_tok, logits, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (max_difference (logits, golden.logits, n), <=, 2e-4);
}

static void
test_cpu (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageBackend) cpu = swage_backend_cpu ();
  g_autoptr (GBytes) bytes = g_bytes_new_static ("swage", 5);
  char back[3] = { 0 };

  g_assert_cmpstr (swage_backend_get_name (cpu), ==, "cpu");
  SwageBuffer *buffer = swage_backend_alloc (cpu, 100, &error);
  g_assert_no_error (error);
  g_assert_cmpuint ((uintptr_t)swage_buffer_get_host (buffer) % 64, ==, 0);
  g_assert_true (swage_buffer_upload (buffer, 40, "abc", 3, &error));
  g_assert_true (swage_buffer_download (buffer, 41, back, 2, &error));
  g_assert_cmpmem (back, 2, "bc", 2);
  swage_buffer_unref (buffer);

  /* Mapped weights are used where they lie. */
  SwageBuffer *imported = swage_backend_import (cpu, bytes, &error);
  g_assert_true (swage_buffer_get_host (imported) == g_bytes_get_data (bytes, NULL));
  swage_buffer_unref (imported);

  /* More memory than there is. */
  g_assert_null (swage_backend_alloc (cpu, SIZE_MAX - 100, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
}

static void
test_vulkan_devices (void)
{
  g_autofree char *reason = NULL;
  int n = -1;
  SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, &reason);

  g_assert_true ((n == 0) == (devices == NULL));
  g_assert_true ((n == 0) == (reason != NULL));
  for (int i = 0; i < n; i++)
    {
      const SwageVulkanDevice *d = &devices[i];
      g_test_message ("vulkan:%d %s (%s, %s, %s) Vulkan %d.%d.%d, %.1f GiB, subgroups of %u", d->index,
                      d->name, d->driver, d->driver_info, swage_vulkan_kind_get_id (d->kind), d->api_major,
                      d->api_minor, d->api_patch, (double)d->memory_bytes / (1 << 30), d->subgroup_size);
      g_assert_cmpint (d->index, ==, i);
      g_assert_true (g_utf8_validate (d->name, -1, NULL) && d->name[0] != '\0');
      g_assert_nonnull (d->driver);
      g_assert_nonnull (d->driver_info);
      g_assert_cmpint (d->api_major, >=, 1);
      g_assert_cmpuint (d->memory_bytes, >, 0);
    }
  swage_vulkan_devices_free (devices, n);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/engine/faults/qwen3", "qwen3", test_faults);
  g_test_add_data_func ("/engine/faults/gpt2", "gpt2", test_faults);
  g_test_add_func ("/engine/cpu", test_cpu);
  g_test_add_func ("/engine/vulkan-devices", test_vulkan_devices);
  return g_test_run ();
}
