/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/engine/swage-generate.h"
#include "core/pipeline/swage-pipeline.h"

#include <stdio.h>
#include <string.h>

typedef struct
{
  SwageTokenizer *tokenizer;
  GArray *ids;   /* of the new text */
  gsize printed; /* bytes of it that are out */
  bool begun;    /* the prompt is out */
} Printer;

/* The length of the longest prefix that does not end within a character. */
static gsize
whole_characters (const GString *text)
{
  const char *end;
  if (g_utf8_validate_len (text->str, text->len, &end))
    return text->len;
  gsize good = (gsize)(end - text->str);
  /* a few bytes may still become a character; more never will */
  return text->len - good < 4 ? good : text->len;
}

/* Decoding all of the text each time, because a piece may depend on its neighbours. */
static bool
print_token (int32_t token, const float *logits, gpointer user_data)
{
  Printer *printer = user_data;
  g_array_append_val (printer->ids, token);
  g_autoptr (GString) text = swage_tokenizer_decode (
      printer->tokenizer, (int32_t *)(void *)printer->ids->data, printer->ids->len, false, NULL);
  if (text == NULL)
    return true;
  gsize whole = whole_characters (text);
  if (whole > printer->printed)
    {
      fwrite (text->str + printer->printed, 1, whole - printer->printed, stdout);
      fflush (stdout);
      printer->printed = whole;
    }
  return !cli_interrupted ();
}

/* Take the plan's blocks, then write. FALSE with an error; once text is out it stays out. */
static bool
write_text (SwagePipeline *pipeline, SwagePlan *plan, const char *prompt, GArray *ids,
            const SwageGenerateOptions *how, Printer *printer, GError **error)
{
  int n_blocks = swage_model_get_config (swage_pipeline_get_model (pipeline))->n_blocks;
  g_autoptr (GPtrArray) blocks = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_block_free);
  for (int i = 0; i < n_blocks; i++)
    {
      SwageBlock *block = swage_pipeline_get_block (pipeline, plan, i, NULL, error);
      if (block == NULL || !swage_job_step (cli_job (), i, n_blocks, error))
        {
          swage_block_free (block);
          return false;
        }
      g_ptr_array_add (blocks, block);
    }
  g_autoptr (SwageEnds) ends = swage_pipeline_get_ends (pipeline, plan, NULL, error);
  if (ends == NULL)
    return false;
  cli_progress_end ();
  if (!printer->begun)
    fputs (prompt, stdout);
  fflush (stdout);
  printer->begun = true;
  return swage_generate (swage_pipeline_get_engine (pipeline), ends, (SwageBlock **)blocks->pdata,
                         (int32_t *)(void *)ids->data, (int)ids->len, how, print_token, printer, NULL, NULL,
                         error);
}

static int
generate (SwageModel *model, SwagePlan *plan, const CliPlanOptions *options, const char *prompt,
          const SwageGenerateOptions *how, const CliDeviceOptions *device, uint64_t memory)
{
  GError *error = NULL;
  int status = CLI_DONE;
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, &error);
  if (tokenizer == NULL)
    return cli_fail (error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (!swage_tokenizer_encode (tokenizer, prompt, strlen (prompt),
                               SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL, ids, &error))
    return cli_fail (error);
  const SwageTokenizerInfo *info = swage_tokenizer_get_info (tokenizer);
  if (ids->len == 0 && info->bos >= 0)
    g_array_append_val (ids, info->bos);
  if (ids->len == 0)
    return cli_misuse_text (_ ("The prompt is empty, and this model has no token to begin with."));

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
  Printer printer = { .tokenizer = tokenizer, .ids = g_array_new (FALSE, FALSE, sizeof (int32_t)) };
  SwageGenerateOptions full = *how;
  full.stop = info->eos;
  bool good = write_text (pipeline, plan, prompt, ids, &full, &printer, &error);
  if (g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE))
    {
      /* The same seed gives the same text again: what is out already is not printed twice. */
      cli_tell_device_failure (error->message);
      g_clear_error (&error);
      g_array_set_size (printer.ids, 0);
      good = swage_pipeline_set_backend (pipeline, NULL, &error)
             && write_text (pipeline, plan, prompt, ids, &full, &printer, &error);
    }
  if (printer.begun)
    putchar ('\n');
  g_array_unref (printer.ids);
  if (!good)
    return cli_fail (error);
  return cli_interrupted () ? CLI_INTERRUPTED : CLI_DONE;
}

static int
run_generate (int argc, char **argv)
{
  CliPlanOptions options = { 0 };
  g_autofree char *prompt = NULL;
  CliDeviceOptions device = { 0 };
  uint64_t memory = 0;
  SwageGenerateOptions how = { .max_tokens = 64 };
  gint64 seed = 0;
  const GOptionEntry entries[] = {
    CLI_PLAN_OPTIONS (options),
    { "prompt", 0, 0, G_OPTION_ARG_STRING, &prompt, N_ ("The text to continue"), N_ ("TEXT") },
    CLI_DEVICE_OPTIONS (device),
    { "tokens", 'n', 0, G_OPTION_ARG_INT, &how.max_tokens, N_ ("Tokens to add at most (64)"), "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, N_ ("Seed of the generator (0)"), "N" },
    { "temperature", 0, 0, G_OPTION_ARG_DOUBLE, &how.temperature,
      N_ ("0 (default): always the most likely token"), "T" },
    { "top-k", 0, 0, G_OPTION_ARG_INT, &how.top_k, N_ ("Draw among the K most likely tokens alone"), "K" },
    { "top-p", 0, 0, G_OPTION_ARG_DOUBLE, &how.top_p,
      N_ ("Draw among the most likely tokens that together have probability P"), "P" },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  GError *error = NULL;
  g_autoptr (SwageModel) model = NULL;
  g_autoptr (SwagePlan) plan = NULL;
  if (!cli_parse (&cli_generate, entries, &argc, &argv, 1, 1, &status))
    ;
  else if (prompt == NULL)
    status = cli_misuse_text (_ ("generate needs a prompt: --prompt TEXT."));
  else if (how.max_tokens < 1 || how.temperature < 0 || how.top_k < 0 || how.top_p < 0 || how.top_p > 1
           || seed < 0)
    status = cli_misuse_text (
        _ ("-n is 1 or more, --temperature, --top-k and --seed are not negative, --top-p is from 0 to 1."));
  else if (!cli_check_device (&device, &memory, &status))
    ;
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else if ((plan = cli_plan_from_options (&options, model, &status)) != NULL)
    {
      how.seed = (uint64_t)seed;
      status = generate (model, plan, &options, prompt, &how, &device, memory);
    }
  cli_device_options_clear (&device);
  cli_plan_options_clear (&options);
  return status;
}

const CliCommand cli_generate
    = { "generate", N_ ("MODEL"), N_ ("Continue a text, a plan applied"),
        N_ ("Greedy unless a temperature is given; the same seed gives the same text."), run_generate };
