/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/preview/swage-preview.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CACHE_LIMIT ((uint64_t)8 << 30)

static void
print_result (const SwagePreviewResult *result, bool changed)
{
  g_autofree char *before = cli_format_bytes (result->original_bytes),
                  *after = cli_format_bytes (result->bytes);
  if (changed)
    {
      printf (_ ("perplexity   %.4f ± %.4f   (original %.4f ± %.4f)\n"), result->perplexity,
              result->perplexity_stderr, result->baseline_perplexity, result->baseline_perplexity_stderr);
      printf (_ ("KL diverg.   %.6f ± %.6f   median %.6f, 99 %% below %.6f, largest %.4f\n"),
              result->kld_mean, result->kld_stderr, result->kld_median, result->kld_p99, result->kld_max);
      printf (_ ("same top-1   %.2f %%\n"), 100 * result->top1_agreement);
      printf (_ ("size         %s → %s (%+.1f %%), %.3f bits per weight\n"), before, after,
              100.0 * ((double)result->bytes / (double)result->original_bytes - 1), result->bits_per_weight);
    }
  else
    {
      printf (_ ("perplexity   %.4f ± %.4f\n"), result->perplexity, result->perplexity_stderr);
      printf (_ ("size         %s, %.3f bits per weight\n"), before, result->bits_per_weight);
    }
  printf (_ ("measured on  %" PRId64 " positions, protocol %s, context %d, %s, %.2f s, %.0f tokens/s\n"),
          result->tokens, swage_protocol_get_id (result->protocol), result->context, result->device,
          result->seconds, result->tokens_per_second);
}

static int
preview (SwageModel *model, SwagePlan *plan, const CliPlanOptions *options, const char *text,
         SwageProtocol protocol, int context, const char *cache, const CliDeviceOptions *device,
         uint64_t memory, bool as_json)
{
  GError *error = NULL;
  int status = CLI_DONE;
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, &error);
  if (tokenizer == NULL)
    return cli_fail (error);
  g_autoptr (SwageCorpus) corpus = swage_corpus_open (tokenizer, text, &error);
  if (corpus == NULL)
    return cli_fail (error);
  int max_context = swage_model_get_config (model)->max_context;
  g_autoptr (SwageWindows) windows = swage_windows_new (corpus, protocol, context, max_context, &error);
  if (windows == NULL)
    return cli_fail (error);
  g_autoptr (SwageCorpus) calibration = NULL;
  if (!cli_open_calibration (options, plan, model, &calibration, &error))
    return cli_fail (error);
  g_autoptr (SwageBackend) backend = cli_open_device (device, memory, &status);
  if (backend == NULL)
    return status;
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, backend, 0, &error);
  if (pipeline == NULL)
    return cli_fail (error);
  swage_pipeline_set_calibration (pipeline, calibration);
  if (cache != NULL)
    swage_pipeline_set_cache_folder (pipeline, cache, CACHE_LIMIT);
  SwagePreviewResult result;
  if (!swage_preview_run (pipeline, plan, windows, protocol, NULL, NULL, cli_job (), &result, &error))
    return cli_fail (error);
  cli_progress_end ();
  if (result.device_failure != NULL)
    cli_tell_device_failure (result.device_failure);
  if (as_json)
    status = cli_print_json (swage_preview_result_to_json (&result));
  else
    print_result (&result, swage_plan_get_n_rules (plan) > 0);
  swage_preview_result_clear (&result);
  return status;
}

static int
run_preview (int argc, char **argv)
{
  CliPlanOptions options = { 0 };
  g_autofree char *text = NULL, *protocol_id = NULL, *cache = NULL;
  CliDeviceOptions device = { 0 };
  uint64_t memory = 0;
  int context = 0;
  gboolean as_json = FALSE;
  const GOptionEntry entries[] = {
    CLI_PLAN_OPTIONS (options),
    { "text", 't', 0, G_OPTION_ARG_FILENAME, &text, N_ ("The text to measure on"), N_ ("FILE") },
    { "protocol", 0, 0, G_OPTION_ARG_STRING, &protocol_id, N_ ("hf (default) or llama.cpp"), N_ ("NAME") },
    { "context", 'c', 0, G_OPTION_ARG_INT, &context,
      N_ ("Tokens a window (hf: 2048, llama.cpp: 512, at most the model's)"), "N" },
    CLI_DEVICE_OPTIONS (device),
    { "cache", 0, 0, G_OPTION_ARG_FILENAME, &cache,
      N_ ("Keep hidden states in FOLDER, so that the next preview begins where plans differ"),
      N_ ("FOLDER") },
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  GError *error = NULL;
  SwageProtocol protocol = SWAGE_PROTOCOL_HF;
  g_autoptr (SwageModel) model = NULL;
  g_autoptr (SwagePlan) plan = NULL;
  if (!cli_parse (&cli_preview, entries, &argc, &argv, 1, 1, &status))
    ;
  else if (text == NULL)
    status = cli_misuse_text (_ ("preview needs a text: --text FILE."));
  else if (protocol_id != NULL && !swage_protocol_from_id (protocol_id, &protocol))
    status = cli_misuse_text (_ ("“%s” is not a protocol; there are hf and llama.cpp."), protocol_id);
  else if (context < 0 || context == 1)
    status = cli_misuse_text (_ ("--context takes a number of tokens, 2 or more."));
  else if (!cli_check_device (&device, &memory, &status))
    ;
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else if ((plan = cli_plan_from_options (&options, model, &status)) != NULL)
    status = preview (model, plan, &options, text, protocol, context, cache, &device, memory, as_json);
  cli_device_options_clear (&device);
  cli_plan_options_clear (&options);
  return status;
}

const CliCommand cli_preview
    = { "preview", N_ ("MODEL"), N_ ("Measure what a plan does to perplexity and size"),
        N_ ("Measures perplexity with its standard error, the KL divergence from the original and how often "
            "both agree on the next token. "
            "Without a plan it measures the original."),
        run_preview };
