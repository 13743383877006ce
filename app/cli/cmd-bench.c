/* SPDX-License-Identifier: MIT
 *
 * Figures for this machine: operators against measured ceilings, and the product's own long work end to end.
 * A figure is a ratio wherever it can be; absolute ones change with what else the machine is doing.
 */
#include "app/cli/cli.h"
#include "core/base/swage-blas.h"
#include "core/base/swage-op-bench.h"
#include "core/base/swage-pool.h"
#include "core/engine/swage-device-bench.h"
#include "core/preview/swage-preview.h"
#include "core/stats/swage-stats.h"

#include <stdio.h>
#include <string.h>

#define CONTEXT 512

typedef struct
{
  SwageModel *model;
  SwageBackend *backend; /* NULL: the CPU */
  bool quick;            /* the device is a slow one */
  char *text;            /* to preview on, or NULL */
  json_t *results;
  bool as_json;
} Bench;

static double
seconds_since (gint64 started)
{
  return (double)(g_get_monotonic_time () - started) / G_USEC_PER_SEC;
}

/* One line, or one object: name, seconds, and one rate. Takes nothing. */
static void
add_result (Bench *bench, const char *name, double seconds, const char *unit, double rate,
            const char *share_of, double share)
{
  cli_progress_end ();
  json_t *json
      = json_pack ("{s:s, s:f, s:f, s:s}", "name", name, "seconds", seconds, "rate", rate, "unit", unit);
  if (share_of != NULL)
    {
      json_object_set_new (json, "share", json_real (share));
      json_object_set_new (json, "share_of", json_string (share_of));
    }
  json_array_append_new (bench->results, json);
  if (bench->as_json)
    return;
  printf ("%-28s %10.3f ms %12.2f %-10s", name, seconds * 1e3, rate, unit);
  if (share_of != NULL)
    printf (_ (" %5.1f %% of %s"), 100 * share, share_of);
  putchar ('\n');
  fflush (stdout);
}

static bool
selected (char **names, const char *name)
{
  if (names[0] == NULL)
    return true;
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp (names[i], name) == 0 || (g_str_has_prefix (name, names[i]) && name[strlen (names[i])] == '-'))
      return true;
  return false;
}

static bool
bench_open (Bench *bench, GError **error)
{
  gint64 started = g_get_monotonic_time ();
  g_autoptr (SwageModel) again = swage_model_open (swage_model_get_path (bench->model), error);
  if (again == NULL)
    return false;
  double seconds = seconds_since (started);
  add_result (bench, "open", seconds, "models/s", 1 / seconds, NULL, 0);
  return true;
}

static bool
bench_statistics (Bench *bench, double copy_rate, GError **error)
{
  uint64_t bytes = 0;
  gint64 started = g_get_monotonic_time ();
  for (int i = 0; i < swage_model_get_n_layers (bench->model); i++)
    {
      g_autoptr (SwageWeight) weight
          = swage_model_load_weight (bench->model, swage_model_get_layer (bench->model, i), error);
      g_autoptr (SwageWeightStats) stats
          = weight != NULL ? swage_weight_stats_new (weight, 0, 0, NULL, error) : NULL;
      if (stats == NULL || !swage_job_step (cli_job (), i, swage_model_get_n_layers (bench->model), error))
        return false;
      bytes += swage_weight_get_bytes (weight);
    }
  double seconds = seconds_since (started), rate = (double)bytes / seconds / 1e9;
  add_result (bench, "statistics", seconds, "GB/s", rate, copy_rate > 0 ? _ ("copy") : NULL,
              copy_rate > 0 ? rate / copy_rate : 0);
  return true;
}

/* All layers of the model to each block type. */
static bool
bench_quantize (Bench *bench, char **names, GError **error)
{
  for (SwageType type = 0; type < SWAGE_N_TYPES; type++)
    {
      const SwageTypeInfo *info = swage_type_get_info (type);
      g_autofree char *name = g_strconcat ("quantize-", info->id, NULL);
      if (!info->quantized || type == SWAGE_TYPE_INT || !selected (names, name))
        continue;
      double seconds = 0, values = 0;
      for (int i = 0; i < swage_model_get_n_layers (bench->model); i++)
        {
          g_autoptr (SwageWeight) weight
              = swage_model_load_weight (bench->model, swage_model_get_layer (bench->model, i), error);
          if (weight == NULL
              || !swage_job_step (cli_job (), i, swage_model_get_n_layers (bench->model), error))
            return false;
          if (swage_type_row_bytes (type, weight->cols) == 0)
            continue;
          g_autofree float *dense = swage_weight_decode_all (weight);
          gint64 started = g_get_monotonic_time ();
          g_autoptr (SwageWeight) packed
              = swage_weight_new_from_f32 (type, weight->rows, weight->cols, dense, NULL);
          seconds += seconds_since (started);
          values += (double)weight->rows * (double)weight->cols;
        }
      if (values > 0)
        add_result (bench, name, seconds, _ ("MB/s (F16)"), 2 * values / seconds / 1e6, NULL, 0);
    }
  return true;
}

static bool
run_once (SwagePipeline *pipeline, const char *const *rules, const SwageWindows *windows,
          SwagePreviewResult *result, GError **error)
{
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  for (int i = 0; rules[i] != NULL; i++)
    if (!swage_plan_add_rule_text (plan, rules[i], error))
      return false;
  return swage_preview_run (pipeline, plan, windows, SWAGE_PROTOCOL_HF, NULL, NULL, cli_job (), result,
                            error);
}

/* Perplexity of the original; then a plan, the same plan, and the plan with its last block changed. The
 * recipes are a preset's, so that nothing here names a method. */
static bool
bench_preview (Bench *bench, GError **error)
{
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (bench->model, error);
  g_autoptr (SwageCorpus) corpus
      = tokenizer != NULL ? swage_corpus_open (tokenizer, bench->text, error) : NULL;
  if (corpus == NULL)
    return false;
  const SwageConfig *config = swage_model_get_config (bench->model);
  g_autoptr (SwageWindows) windows
      = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, CONTEXT, config->max_context, error);
  g_autoptr (SwagePipeline) pipeline
      = windows != NULL ? swage_pipeline_new (bench->model, bench->backend, 0, error) : NULL;
  g_autoptr (SwagePlan) preset = swage_plan_new ();
  if (pipeline == NULL || !swage_plan_apply_preset (preset, "q4_k_m", bench->model, error))
    return false;
  SwageRecipe *recipe;
  swage_plan_get_rule (preset, 0, &recipe);
  g_autofree char *text = swage_recipe_to_text (recipe), *all = g_strconcat ("blk.*=", text, NULL);
  g_autofree char *last = g_strdup_printf ("blk.%d.*=", config->n_blocks - 1);
  const struct
  {
    const char *name, *rules[3];
  } runs[] = {
    { "preview-original", { NULL } },
    { "preview-plan", { all, NULL } },
    { "preview-unchanged", { all, NULL } },
    { "preview-last-block", { all, last, NULL } },
  };
  double full = 0;
  for (guint i = 0; i < G_N_ELEMENTS (runs); i++)
    {
      SwagePreviewResult result;
      if (i
          == 1) /* from nothing, the original's states included: what a last-block change is compared with */
        {
          swage_pipeline_free (pipeline);
          pipeline = swage_pipeline_new (bench->model, bench->backend, 0, error);
          if (pipeline == NULL)
            return false;
        }
      if (!run_once (pipeline, runs[i].rules, windows, &result, error))
        return false;
      if (i == 1)
        full = result.seconds;
      add_result (bench, runs[i].name, result.seconds, "tokens/s", result.tokens_per_second,
                  i > 1 ? _ ("the full preview's time") : NULL, i > 1 ? result.seconds / full : 0);
      swage_preview_result_clear (&result);
    }
  return true;
}

static bool
bench_operators (Bench *bench, char **names, const SwageOpCeilings *ceilings, GError **error)
{
  for (int i = 0; i < swage_op_bench_n (); i++)
    {
      const char *name = swage_op_bench_get_name (i);
      if (!selected (names, name) && !selected (names, "operators"))
        continue;
      SwageOpBenchResult result;
      GError *failure = NULL;
      bool ran = bench->backend != NULL
                     ? swage_device_bench_run (bench->backend, i, bench->quick, &result, &failure)
                     : swage_op_bench_run (i, &result);
      if (failure != NULL)
        {
          g_propagate_error (error, failure);
          return false;
        }
      if (!ran)
        continue;
      if (!swage_job_step (cli_job (), i, swage_op_bench_n (), error))
        return false;
      if (result.flops > 0)
        add_result (bench, name, result.seconds, "GFLOP/s", result.flops / result.seconds / 1e9, _ ("peak"),
                    result.flops / result.seconds / ceilings->flops_per_second);
      else
        add_result (bench, name, result.seconds, "GB/s", result.bytes / result.seconds / 1e9, _ ("copy"),
                    result.bytes / result.seconds / ceilings->bytes_per_second);
    }
  return true;
}

/* The shipped sample: the source tree's when run from the build folder, else the installed one. */
static char *
find_sample (void)
{
  if (g_getenv ("SWAGE_DATA_DIR") != NULL)
    return g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *bin = exe != NULL ? g_path_get_dirname (exe) : g_strdup (".");
  g_autofree char *note = g_build_filename (bin, "..", "data", "source-folder", NULL), *folder = NULL;
  if (g_file_get_contents (note, &folder, NULL, NULL))
    return g_build_filename (g_strstrip (folder), "sample", NULL);
  return g_build_filename (SWAGE_PKGDATADIR, "sample", NULL);
}

/* OpenBLAS on a kernel far below what the CPU has is six times slower and says nothing: say it. */
static void
warn_of_slow_blas (void)
{
  const char *core = swage_blas_get () != NULL ? swage_blas_get_corename () : NULL;
  if (core != NULL && swage_cpu_get_level () >= SWAGE_CPU_AVX512
      && (g_ascii_strcasecmp (core, "Prescott") == 0 || g_ascii_strcasecmp (core, "Core2") == 0))
    fprintf (stderr,
             _ ("swage-cli: WARNING: OpenBLAS runs its %s kernels on a CPU with AVX-512: matrix work will be "
                "several times slower.\n"),
             core);
}

static int
bench_all (Bench *bench, char **names)
{
  GError *error = NULL;
  SwageOpCeilings ceilings;
  if (bench->backend == NULL)
    swage_op_bench_get_ceilings (&ceilings);
  else if (!swage_device_bench_get_ceilings (bench->backend, bench->quick, &ceilings, &error))
    return cli_fail (error);
  if (bench->backend == NULL)
    warn_of_slow_blas ();
  add_result (bench, "ceiling-copy", 0, "GB/s", ceilings.bytes_per_second / 1e9, NULL, 0);
  add_result (bench, "ceiling-fma", 0, "GFLOP/s", ceilings.flops_per_second / 1e9, NULL, 0);
  bool good = bench_operators (bench, names, &ceilings, &error);
  /* these are the host's */
  if (good && bench->backend == NULL && selected (names, "open"))
    good = bench_open (bench, &error);
  if (good && bench->backend == NULL && selected (names, "statistics"))
    good = bench_statistics (bench, ceilings.bytes_per_second / 1e9, &error);
  if (good && bench->backend == NULL)
    good = bench_quantize (bench, names, &error);
  if (good && bench->text != NULL && selected (names, "preview"))
    good = bench_preview (bench, &error);
  return good ? CLI_DONE : cli_fail (error);
}

static int
run_bench (int argc, char **argv)
{
  g_autofree char *model_path = NULL, *text = NULL;
  gboolean as_json = FALSE, quick = FALSE;
  CliDeviceOptions device = { 0 };
  uint64_t memory = 0;
  const GOptionEntry entries[] = {
    CLI_DEVICE_OPTIONS (device),
    { "quick", 0, 0, G_OPTION_ARG_NONE, &quick, N_ ("On a device: few rows of each case, for slow ones"),
      NULL },
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &model_path,
      N_ ("The model for end-to-end figures (the shipped sample)"), N_ ("MODEL") },
    { "text", 't', 0, G_OPTION_ARG_FILENAME, &text, N_ ("The text for previews (the sample's)"),
      N_ ("FILE") },
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  if (!cli_parse (&cli_bench, entries, &argc, &argv, 0, -1, &status)
      || !cli_check_device (&device, &memory, &status))
    {
      cli_device_options_clear (&device);
      return status;
    }
  GError *error = NULL;
  g_autofree char *sample = find_sample ();
  g_autoptr (SwageBackend) backend = cli_open_device (&device, memory, &status);
  cli_device_options_clear (&device);
  if (backend == NULL)
    return status;
  Bench bench = { .as_json = as_json, .quick = quick, .results = json_array () };
  if (!swage_backend_is_host (backend))
    bench.backend = backend;
  bench.model = swage_model_open (model_path != NULL ? model_path : sample, &error);
  if (bench.model == NULL)
    {
      json_decref (bench.results);
      return cli_fail (error);
    }
  bench.text = text != NULL         ? g_strdup (text)
               : model_path == NULL ? g_build_filename (sample, "kjv.eval.txt", NULL)
                                    : NULL;
  status = bench_all (&bench, argv + 1);
  const char *core = swage_blas_get () != NULL ? swage_blas_get_corename () : NULL;
  if (as_json && status == CLI_DONE)
    status
        = cli_print_json (json_pack ("{s:s, s:s, s:i, s:s?, s:O}", "device", swage_backend_get_name (backend),
                                     "cpu", swage_cpu_get_features (), "threads", swage_pool_get_threads (),
                                     "blas", core, "results", bench.results));
  json_decref (bench.results);
  swage_model_unref (bench.model);
  g_free (bench.text);
  return status;
}

const CliCommand cli_bench
    = { "bench", N_ ("[NAME…]"), N_ ("Speed of operators and of whole tasks on this machine"),
        N_ ("NAMEs choose figures: an operator, or open, statistics, quantize, quantize-TYPE, preview. "
            "Shares are of the copy bandwidth and the multiply-add peak "
            "that the same run measures."),
        run_bench };
