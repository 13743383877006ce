/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/preview/swage-allocate.h"

#include <stdio.h>
#include <string.h>

static void
print_presets (void)
{
  const char *const *ids = swage_plan_get_presets ();
  for (int i = 0; ids[i] != NULL; i++)
    printf ("%-14s %s\n", ids[i], swage_plan_get_preset_title (ids[i]));
}

/* To stderr: stdout may be the plan itself. */
static bool
print_size (SwagePlan *plan, SwageModel *model, GError **error)
{
  SwagePlanSize size;
  if (!swage_plan_get_size (plan, model, &size, error))
    return false;
  g_autofree char *before = cli_format_bytes (size.original_bytes), *after = cli_format_bytes (size.bytes);
  fprintf (stderr, _ ("%s%s → %s (%+.1f %%), %.2f → %.2f bits per weight\n"),
           size.exact ? "" : _ ("at most "), before, after,
           100.0 * ((double)size.bytes / (double)size.original_bytes - 1), size.original_bits_per_weight,
           size.bits_per_weight);
  return true;
}

static int
check_plan (const char *path, SwageModel *model, gboolean as_json)
{
  CliPlanOptions options = { .plan_path = (char *)path };
  int status;
  g_autoptr (SwagePlan) plan = cli_plan_from_options (&options, model, &status);
  if (plan == NULL)
    return status;
  GError *error = NULL;
  SwagePlanSize size;
  if (!swage_plan_get_size (plan, model, &size, &error))
    return cli_fail (error);
  if (as_json)
    return cli_print_json (json_pack (
        "{s:b, s:I, s:I, s:f, s:b}", "valid", 1, "bytes", (json_int_t)size.bytes, "original_bytes",
        (json_int_t)size.original_bytes, "bits_per_weight", size.bits_per_weight, "exact", size.exact));
  printf (_ ("%s is a valid plan for %s.\n"), path, swage_model_get_name (model));
  return print_size (plan, model, &error) ? CLI_DONE : cli_fail (error);
}

/* --allocate: ranks for the layers that are factored, so that they take `ratio` of their bytes. */
static bool
allocate (SwagePlan *plan, SwageModel *model, SwageCorpus *corpus, double ratio, GError **error)
{
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, error);
  const SwageCalibration *calibration = swage_plan_get_calibration (plan);
  g_autoptr (SwageWindows) windows = NULL;
  SwageAllocation found;

  if (pipeline == NULL)
    return false;
  if (corpus != NULL)
    {
      windows = swage_windows_new_calibration (corpus, calibration->samples, calibration->context,
                                               swage_model_get_config (model)->max_context, calibration->seed,
                                               error);
      if (windows == NULL)
        return false;
    }
  if (!swage_allocate_ranks (pipeline, plan, ratio, windows, &found, cli_job (), error))
    return false;
  cli_progress_end ();
  fprintf (stderr, _ ("%d layers share %.1f %% of their bytes; %d stay as they are.\n"), found.n_layers,
           100.0 * (double)found.bytes / (double)found.original_bytes, found.n_kept);
  return true;
}

static int
run_plan (int argc, char **argv)
{
  CliPlanOptions options = { 0 };
  g_autofree char *output = NULL, *check = NULL;
  double ratio = 0;
  gboolean presets = FALSE, force = FALSE, as_json = FALSE;
  const GOptionEntry entries[] = {
    CLI_PLAN_OPTIONS (options),
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
      N_ ("Write the plan to FILE (standard output otherwise)"), N_ ("FILE") },
    { "force", 'f', 0, G_OPTION_ARG_NONE, &force, N_ ("Replace FILE when it exists"), NULL },
    { "check", 0, 0, G_OPTION_ARG_FILENAME, &check,
      N_ ("Validate the plan FILE against MODEL; write nothing"), N_ ("FILE") },
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("With --check: print one JSON object"), NULL },
    { "allocate", 0, 0, G_OPTION_ARG_DOUBLE, &ratio,
      N_ ("Give every layer that is factored a rank of its own, so that together they take RATIO of their "
          "bytes and lose least"),
      N_ ("RATIO") },
    { "presets", 0, 0, G_OPTION_ARG_NONE, &presets, N_ ("List the presets"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  bool lists_presets = false;
  for (int i = 1; i < argc; i++)
    lists_presets |= strcmp (argv[i], "--presets") == 0;
  if (!cli_parse (&cli_plan, entries, &argc, &argv, lists_presets ? 0 : 1, 1, &status))
    {
      cli_plan_options_clear (&options);
      return status;
    }
  GError *error = NULL;
  g_autoptr (SwageModel) model = NULL;
  g_autoptr (SwagePlan) plan = NULL;
  if (presets)
    print_presets ();
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else if (check != NULL)
    status = check_plan (check, model, as_json);
  else if (ratio != 0 && !(ratio > 0 && ratio <= 1))
    status = cli_misuse_text (_ ("--allocate takes a part between 0 and 1, such as 0.5."));
  else if ((plan = cli_plan_from_options (&options, model, &status)) != NULL)
    {
      g_autoptr (SwageCorpus) corpus = NULL;
      if ((options.calibration != NULL || ratio > 0)
          && !cli_open_calibration (&options, plan, model, &corpus, &error))
        status = cli_fail (error);
      else if (ratio > 0 && !allocate (plan, model, corpus, ratio, &error))
        status = cli_fail (error);
      else if (output != NULL && strcmp (output, "-") != 0)
        status = swage_plan_save (plan, output, force, &error) && print_size (plan, model, &error)
                     ? CLI_DONE
                     : cli_fail (error);
      else
        {
          g_autofree char *text = swage_plan_to_text (plan);
          fputs (text, stdout);
          status = print_size (plan, model, &error) ? CLI_DONE : cli_fail (error);
        }
    }
  cli_plan_options_clear (&options);
  return status;
}

const CliCommand cli_plan
    = { "plan", N_ ("MODEL"), N_ ("Write a plan, or check one"),
        N_ ("Layers are named token_embd, blk.N.attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, "
            "ffn_down and output; patterns may use *, ? and [abc]. "
            "An empty step (“blk.0.*=”) leaves layers as they are.\n\nExamples:\n"
            "  swage-cli plan MODEL --preset q4_k_m -o plan.json\n"
            "  swage-cli plan MODEL --rule 'blk.*=METHOD:key=value' --rule 'blk.0.*=' -o plan.json\n"
            "  swage-cli plan MODEL --rule 'blk.*=METHOD:whiten=true' --allocate 0.5 -o plan.json\n"
            "  swage-cli plan --check plan.json MODEL"),
        run_plan };
