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

static int
generate (SwageModel *model, SwagePlan *plan, const CliPlanOptions *options, const char *prompt,
          const SwageGenerateOptions *how)
{
  GError *error = NULL;
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
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, &error);
  if (pipeline == NULL)
    return cli_fail (error);
  swage_pipeline_set_calibration (pipeline, calibration);
  int n_blocks = swage_model_get_config (model)->n_blocks;
  g_autoptr (GPtrArray) blocks = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_block_free);
  for (int i = 0; i < n_blocks; i++)
    {
      SwageBlock *block = swage_pipeline_get_block (pipeline, plan, i, NULL, &error);
      if (block == NULL || !swage_job_step (cli_job (), i, n_blocks, &error))
        {
          swage_block_free (block);
          return cli_fail (error);
        }
      g_ptr_array_add (blocks, block);
    }
  g_autoptr (SwageEnds) ends = swage_pipeline_get_ends (pipeline, plan, NULL, &error);
  if (ends == NULL)
    return cli_fail (error);
  cli_progress_end ();
  fputs (prompt, stdout);
  fflush (stdout);
  Printer printer = { tokenizer, g_array_new (FALSE, FALSE, sizeof (int32_t)), 0 };
  SwageGenerateOptions full = *how;
  full.stop = info->eos;
  bool good = swage_generate (swage_pipeline_get_engine (pipeline), ends, (SwageBlock **)blocks->pdata,
                              (int32_t *)(void *)ids->data, (int)ids->len, &full, print_token, &printer, NULL,
                              NULL, &error);
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
  SwageGenerateOptions how = { .max_tokens = 64 };
  gint64 seed = 0;
  const GOptionEntry entries[] = {
    CLI_PLAN_OPTIONS (options),
    { "prompt", 0, 0, G_OPTION_ARG_STRING, &prompt, N_ ("The text to continue"), N_ ("TEXT") },
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
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else if ((plan = cli_plan_from_options (&options, model, &status)) != NULL)
    {
      how.seed = (uint64_t)seed;
      status = generate (model, plan, &options, prompt, &how);
    }
  cli_plan_options_clear (&options);
  return status;
}

const CliCommand cli_generate
    = { "generate", N_ ("MODEL"), N_ ("Continue a text, a plan applied"),
        N_ ("Greedy unless a temperature is given; the same seed gives the same text."), run_generate };
