/* SPDX-License-Identifier: MIT
 *
 * A preview on the Vulkan device gives the CPU's numbers, the same bits each time, for the dense model and
 * for a plan of each family; it uploads what changed and no more; it stays within the memory it was granted;
 * and when the device fails, in whatever way, it is made on the CPU and says so once.
 */
#include "core/engine/backend/swage-backend-null.h"
#include "core/engine/swage-device.h"
#include "core/preview/swage-preview.h"
#include "gpu-fixture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum
{
  CONTEXT = 48
};

typedef struct
{
  SwageModel *model;
  SwageCorpus *calibration, *text;
  SwageWindows *windows;
} Rig;

static SwageCorpus *
cut_text (SwageModel *model, const char *name, gsize most)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", name, NULL), *text = NULL;
  g_autofree char *cut = NULL;
  gsize n;

  g_file_get_contents (path, &text, &n, &error);
  g_assert_no_error (error);
  int fd = g_file_open_tmp ("swage-text-XXXXXX", &cut, &error);
  g_assert_no_error (error);
  g_close (fd, NULL);
  g_file_set_contents (cut, text, (gssize)MIN (n, most), &error);
  g_assert_no_error (error);
  SwageCorpus *corpus = swage_corpus_open (swage_model_get_tokenizer (model, NULL), cut, &error);
  g_assert_no_error (error);
  g_unlink (cut);
  return corpus;
}

static void
rig_init (Rig *rig, const char *path, gsize bytes)
{
  g_autoptr (GError) error = NULL;
  rig->model = swage_model_open (path, &error);
  g_assert_no_error (error);
  rig->calibration = cut_text (rig->model, "kjv.calibration.txt", 1000);
  rig->text = cut_text (rig->model, "kjv.eval.txt", bytes);
  rig->windows = swage_windows_new (rig->text, SWAGE_PROTOCOL_HF, CONTEXT, 512, &error);
  g_assert_no_error (error);
}

static void
rig_clear (Rig *rig)
{
  swage_windows_free (rig->windows);
  swage_corpus_unref (rig->calibration);
  swage_corpus_unref (rig->text);
  swage_model_unref (rig->model);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

static char *
sample_path (void)
{
  return g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
}

static SwagePlan *
new_plan (const char *rules)
{
  g_autoptr (GError) error = NULL;
  SwagePlan *plan = swage_plan_new ();
  SwageCalibration calibration
      = { .text = (char *)"kjv", .fingerprint = (char *)"", .samples = 2, .context = CONTEXT };

  g_auto (GStrv) list = g_strsplit (rules, " ", -1);
  for (int i = 0; list[i] != NULL && list[i][0] != '\0'; i++)
    {
      swage_plan_add_rule_text (plan, list[i], &error);
      g_assert_no_error (error);
    }
  swage_plan_set_calibration (plan, &calibration);
  return plan;
}

static SwagePipeline *
new_pipeline (Rig *rig, SwageBackend *backend)
{
  g_autoptr (GError) error = NULL;
  SwagePipeline *pipeline = swage_pipeline_new (rig->model, backend, 0, &error);
  g_assert_no_error (error);
  swage_pipeline_set_calibration (pipeline, rig->calibration);
  return pipeline;
}

/* The result's strings are freed; device_failure tells whether there was one. */
static SwagePreviewResult
preview (SwagePipeline *pipeline, Rig *rig, const char *rules, char **failure)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwagePlan) plan = new_plan (rules);
  SwagePreviewResult result;

  swage_preview_run (pipeline, plan, rig->windows, SWAGE_PROTOCOL_HF, NULL, NULL, NULL, &result, &error);
  g_assert_no_error (error);
  if (failure != NULL)
    *failure = g_strdup (result.device_failure);
  else
    g_assert_null (result.device_failure);
  swage_preview_result_clear (&result);
  return result;
}

static void
assert_same (const SwagePreviewResult *a, const SwagePreviewResult *b)
{
  g_assert_true (a->perplexity == b->perplexity && a->perplexity_stderr == b->perplexity_stderr
                 && a->kld_mean == b->kld_mean && a->kld_max == b->kld_max
                 && a->top1_agreement == b->top1_agreement
                 && a->baseline_perplexity == b->baseline_perplexity);
}

/* 0.05 % of the perplexity, 2 % of the divergence. */
static void
assert_close (const SwagePreviewResult *a, const SwagePreviewResult *b)
{
  g_assert_cmpfloat (fabs (a->perplexity / b->perplexity - 1), <=, 5e-4);
  g_assert_cmpfloat (fabs (a->baseline_perplexity / b->baseline_perplexity - 1), <=, 5e-4);
  g_assert_cmpfloat (fabs (a->kld_mean - b->kld_mean), <=, 0.02 * b->kld_mean + 1e-12);
}

static const char *const families[] = { "",
                                        "*=rtn:type=q4_k",
                                        "*=rtn:type=int,bits=4,group_size=64",
                                        "*=magnitude:sparsity=0.5",
                                        "blk.*=wanda:sparsity=0.5",
                                        "blk.*.ffn_*=svd" };

static void
compare_families (const char *path, gsize bytes, const char *block_type)
{
  g_auto (Rig) rig = { 0 };
  SwageBackend *opened = open_vulkan ((SwageVulkanOptions){ .no_cache = true });
  if (opened == NULL)
    return;
  g_autoptr (SwageBackend) backend = opened;
  rig_init (&rig, path, bytes);
  g_autoptr (SwagePipeline) cpu = new_pipeline (&rig, NULL), gpu = new_pipeline (&rig, backend);
  for (size_t i = 0; i < G_N_ELEMENTS (families); i++)
    {
      const char *rules = i == 1 ? block_type : families[i];
      SwagePreviewResult want = preview (cpu, &rig, rules, NULL), got = preview (gpu, &rig, rules, NULL);
      g_test_message ("“%s”: perplexity %.9g on the CPU, %.9g on the device; divergence %.6g, %.6g", rules,
                      want.perplexity, got.perplexity, want.kld_mean, got.kld_mean);
      assert_close (&got, &want);
      g_assert_cmpuint (got.dispatches, >, 0);
      g_assert_cmpuint (got.cpu_fallback_ops, ==, 0);
    }
  /* Once more from the beginning: the same bits. */
  g_autoptr (SwagePipeline) again = new_pipeline (&rig, backend);
  SwagePreviewResult first = preview (gpu, &rig, block_type, NULL),
                     second = preview (again, &rig, block_type, NULL);
  g_assert_cmpint (second.blocks_run, >, 0);
  assert_same (&first, &second);
  assert_valid (backend);
}

static void
test_sample (void)
{
  g_autofree char *path = sample_path ();
  compare_families (path, 400, families[1]);
}

static void
test_stories (void)
{
  const char *shared = g_getenv ("SWAGE_SHARED");
  g_autofree char *base = shared != NULL
                              ? g_strdup (shared)
                              : g_build_filename (g_getenv ("SWAGE_SOURCE_ROOT"), "..", "shared", NULL);
  g_autofree char *path = g_build_filename (base, "models", "stories260K-hf", NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("stories260K is not there");
      return;
    }
  compare_families (path, 200, "blk.*.attn_*=rtn:type=q4_0"); /* its rows are too short for q4_k */
}

/* One layer's type changes: the device compresses that layer from the original that lies there, its block and
 * what follows run. */
static void
test_one_layer (void)
{
  g_autofree char *path = sample_path ();
  g_auto (Rig) rig = { 0 };
  SwageBackend *opened = open_vulkan ((SwageVulkanOptions){ .no_cache = true });
  if (opened == NULL)
    return;
  g_autoptr (SwageBackend) backend = opened;
  rig_init (&rig, path, 400);
  g_autoptr (SwagePipeline) pipeline = new_pipeline (&rig, backend);
  const SwageConfig *config = swage_model_get_config (rig.model);
  g_autofree char *change
      = g_strdup_printf ("*=rtn:type=q4_k blk.%d.ffn_down=rtn:type=q8_0", config->n_blocks - 1);
  SwagePipelineCounters before, after;

  SwagePreviewResult first = preview (pipeline, &rig, "*=rtn:type=q4_k", NULL);
  swage_pipeline_get_counters (pipeline, &before);
  SwagePreviewResult second = preview (pipeline, &rig, change, NULL);
  swage_pipeline_get_counters (pipeline, &after);

  /* Hidden states and norms of one block and of the output; no weight, neither the new one nor the others. */
  int64_t n = (int64_t)rig.windows->n_windows * CONTEXT;
  uint64_t weight = swage_type_row_bytes (SWAGE_TYPE_Q8_0, config->n_ff) * (uint64_t)config->n_embd;
  uint64_t states = (uint64_t)(4 * n * config->n_embd) * sizeof (float);
  g_test_message ("uploaded %" G_GUINT64_FORMAT " bytes, then %" G_GUINT64_FORMAT
                  " (the weight: %" G_GUINT64_FORMAT "); blocks %d, then %d; layers %d, then %d",
                  first.uploaded_bytes, second.uploaded_bytes, weight, first.blocks_run, second.blocks_run,
                  (int)before.layers_compressed, (int)(after.layers_compressed - before.layers_compressed));
  g_assert_cmpint (second.blocks_run, ==, 1);
  g_assert_cmpint (after.layers_compressed - before.layers_compressed, ==, 1);
  g_assert_cmpuint (second.uploaded_bytes, <=, states + 65536);
  g_assert_cmpuint (second.uploaded_bytes, <, first.uploaded_bytes / 10);
  g_assert_cmpuint (first.cpu_weight_bytes, ==, 0);
  g_assert_cmpuint (second.cpu_weight_bytes, ==, 0);
  g_assert_cmpuint (second.downloaded_bytes, >=, weight); /* for cache, size and export */
  assert_valid (backend);
}

/* Less memory than the weights take: they come and go. */
static void
test_small_memory (void)
{
  const uint64_t limit = (uint64_t)8 << 20;
  g_autofree char *path = sample_path ();
  g_auto (Rig) rig = { 0 };
  SwageBackend *opened
      = open_vulkan ((SwageVulkanOptions){ .no_cache = true, .memory_limit = limit, .staged = true });
  if (opened == NULL)
    return;
  g_autoptr (SwageBackend) backend = opened;
  rig_init (&rig, path, 200);
  g_autoptr (SwagePipeline) cpu = new_pipeline (&rig, NULL), gpu = new_pipeline (&rig, backend);
  SwagePreviewResult want = preview (cpu, &rig, "blk.*=rtn:type=q8_0", NULL);
  SwagePreviewResult got = preview (gpu, &rig, "blk.*=rtn:type=q8_0", NULL);
  g_test_message ("%" G_GUINT64_FORMAT " bytes of weights within %" G_GUINT64_FORMAT, want.original_bytes,
                  got.device_peak_bytes);
  assert_close (&got, &want);
  g_assert_cmpuint (got.device_peak_bytes, <=, limit);
  g_assert_cmpuint (want.original_bytes, >, limit);
  assert_valid (backend);
}

/* ---- faults ---- */

static void
check_failed_preview (SwageBackend *backend, Rig *rig, const SwagePreviewResult *want, const char *word)
{
  g_autofree char *failure = NULL;
  g_autoptr (SwagePipeline) pipeline = new_pipeline (rig, backend);
  SwagePreviewResult got = preview (pipeline, rig, families[1], &failure);

  g_assert_nonnull (failure);
  g_test_message ("%s", failure);
  g_assert_nonnull (strstr (failure, word));
  assert_same (&got, want);
  g_assert_cmpuint (got.dispatches, ==, 0);
  g_assert_cmpstr (swage_backend_get_name (swage_pipeline_get_backend (pipeline)), ==, "cpu");
  /* The user has been told; the next preview is an ordinary one. */
  preview (pipeline, rig, "*=rtn:type=q8_0", NULL);
}

static void
test_faults (void)
{
  static const struct
  {
    SwageVulkanFault fault;
    int at;
    const char *word;
  } faults[] = {
    { SWAGE_VULKAN_FAULT_LOST, 1, "lost" },     { SWAGE_VULKAN_FAULT_LOST, 4, "lost" },
    { SWAGE_VULKAN_FAULT_MEMORY, 8, "memory" }, { SWAGE_VULKAN_FAULT_PIPELINE, 3, "driver" },
    { SWAGE_VULKAN_FAULT_HANG, 3, "answer" },
  };
  g_autofree char *path = sample_path ();
  g_auto (Rig) rig = { 0 };
  rig_init (&rig, path, 200);
  g_autoptr (SwagePipeline) cpu = new_pipeline (&rig, NULL);
  SwagePreviewResult want = preview (cpu, &rig, families[1], NULL);

  for (size_t i = 0; i < G_N_ELEMENTS (faults); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *why = NULL;
      SwageVulkanOptions options
          = { .no_cache = true, .staged = true, .fault = faults[i].fault, .fault_at = faults[i].at };
      g_autoptr (SwageBackend) backend = open_vulkan (options);
      if (backend == NULL)
        return;
      check_failed_preview (backend, &rig, &want, faults[i].word);
      assert_valid (backend);
      /* The device stays out … */
      int n = 0;
      SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, NULL);
      for (int k = 0; k < n; k++)
        if (swage_vulkan_device_is_out (devices[k].uuid, &why))
          {
            options.index = k;
            options.fault = SWAGE_VULKAN_FAULT_NONE;
            g_assert_null (swage_vulkan_backend_new (&options, &error));
            g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE);
            g_assert_cmpstr (error->message, ==, why);
          }
      g_assert_nonnull (why);
      swage_vulkan_devices_free (devices, n);
      swage_vulkan_forgive_devices ();
    }
}

/* A driver without a feature: there is no backend to begin with. */
static void
test_missing_feature (void)
{
  g_autoptr (GError) error = NULL;
  g_setenv ("SWAGE_DEVICE_FAULT", "feature", TRUE);
  SwageBackend *backend = swage_device_open ("vulkan", 0, &error);
  g_unsetenv ("SWAGE_DEVICE_FAULT");
  g_assert_null (backend);
  if (g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND))
    {
      g_test_skip (error->message);
      return;
    }
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE);
  g_test_message ("%s", error->message);
}

/* The same without any Vulkan: a device made of nothing that fails at its n-th call. */
static void
test_null_device (void)
{
  g_autofree char *path = sample_path ();
  g_auto (Rig) rig = { 0 };
  rig_init (&rig, path, 200);
  g_autoptr (SwagePipeline) cpu = new_pipeline (&rig, NULL);
  SwagePreviewResult want = preview (cpu, &rig, families[1], NULL);
  g_autoptr (SwageBackend) well = swage_backend_null_new ();
  g_autoptr (SwagePipeline) through = new_pipeline (&rig, well);
  SwagePreviewResult whole = preview (through, &rig, families[1], NULL);
  assert_same (&whole, &want);
  for (int at = 2; at < swage_backend_null_get_calls (well); at = at * 4 + 1)
    {
      g_autoptr (SwageBackend) backend = swage_backend_null_new ();
      g_autoptr (SwagePipeline) pipeline = new_pipeline (&rig, backend);
      g_autofree char *failure = NULL;
      swage_backend_null_fail_at (backend, at);
      SwagePreviewResult got = preview (pipeline, &rig, families[1], &failure);
      assert_same (&got, &want);
      g_assert_nonnull (failure);
    }
}

static void
test_names (void)
{
  static const char *const good[] = { "cpu", "auto", "vulkan", "vulkan:0", "vulkan:some name", NULL };
  static const char *const bad[] = { "", "gpu", "vulkan:", "Vulkan", "cuda", NULL };
  g_autoptr (GError) error = NULL;

  for (int i = 0; good[i] != NULL; i++)
    g_assert_true (swage_device_check_spec (good[i], NULL));
  for (int i = 0; bad[i] != NULL; i++)
    {
      g_assert_false (swage_device_check_spec (bad[i], &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
      g_clear_error (&error);
    }
  g_autoptr (SwageBackend) cpu = swage_device_open (NULL, 0, &error);
  g_assert_cmpstr (swage_backend_get_name (cpu), ==, "cpu");
  g_assert_null (swage_device_open ("vulkan:no such device", 0, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);

  /* Each device by its index, its UUID, a part of its name. */
  int n = 0;
  SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, NULL);
  for (int i = 0; i < n; i++)
    {
      g_autoptr (GString) uuid = g_string_new ("vulkan:");
      g_autofree char *index = g_strdup_printf ("vulkan:%d", i), *part = g_strndup (devices[i].name, 5);
      g_autofree char *upper = g_utf8_strup (part, -1), *name = g_strconcat ("vulkan:", upper, NULL);
      for (int k = 0; k < 16; k++)
        g_string_append_printf (uuid, k == 4 ? "-%02x" : "%02X", devices[i].uuid[k]);
      const char *const specs[] = { index, uuid->str, name };
      for (size_t k = 0; k < G_N_ELEMENTS (specs); k++)
        {
          g_autoptr (GError) refused = NULL;
          g_autoptr (SwageBackend) backend = swage_device_open (specs[k], (uint64_t)64 << 20, &refused);
          if (backend == NULL)
            g_assert_error (refused, SWAGE_ERROR, SWAGE_ERROR_DEVICE);
          else if (k == 0)
            g_assert_cmpstr (swage_backend_get_name (backend), ==, devices[i].name);
        }
    }
  swage_vulkan_devices_free (devices, n);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vulkan/names", test_names);
  g_test_add_func ("/vulkan/null-device", test_null_device);
  g_test_add_func ("/vulkan/missing-feature", test_missing_feature);
  g_test_add_func ("/vulkan/faults", test_faults);
  g_test_add_func ("/vulkan/small-memory", test_small_memory);
  g_test_add_func ("/vulkan/one-layer", test_one_layer);
  g_test_add_func ("/vulkan/preview/stories260K", test_stories);
  g_test_add_func ("/vulkan/preview/sample", test_sample);
  return g_test_run ();
}
