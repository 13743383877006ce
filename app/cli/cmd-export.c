/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/export/swage-export-plan.h"

#include <stdio.h>

#define BUDGET ((uint64_t)256 << 20) /* what the pipeline may remember: an export passes every layer once */

/* Notes and warnings to stderr; the number of errors. */
static int
print_lint (GPtrArray *items)
{
  int errors = 0;
  for (guint i = 0; i < items->len; i++)
    {
      const SwageLintItem *item = items->pdata[i];
      fprintf (stderr, "swage-cli: %s: %s%s%s%s%s\n", swage_lint_severity_get_id (item->severity),
               item->layer != NULL ? item->layer : "", item->layer != NULL ? ": " : "", item->message,
               item->fix != NULL ? " " : "", item->fix != NULL ? item->fix : "");
      errors += item->severity == SWAGE_LINT_ERROR;
    }
  return errors;
}

static int
export_model (SwageModel *model, SwagePlan *plan, const CliPlanOptions *plan_options,
              SwageExportFormat format, const char *output, SwageExportOptions *options, bool as_json)
{
  GError *error = NULL;
  g_autoptr (SwageCorpus) calibration = NULL;
  if (!cli_open_calibration (plan_options, plan, model, &calibration, &error))
    return cli_fail (error);
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, BUDGET, &error);
  if (pipeline == NULL)
    return cli_fail (error);
  swage_pipeline_set_calibration (pipeline, calibration);
  g_autofree char *text = swage_plan_get_n_rules (plan) > 0 ? swage_plan_to_text (plan) : NULL;
  options->provenance = text;
  SwageExportPlan run;
  swage_export_plan_init (&run, model, pipeline, plan);
  g_autoptr (GPtrArray) lint = swage_export_lint (model, format, &run.source, options);
  if (print_lint (lint) > 0)
    return cli_fail (g_error_new (SWAGE_ERROR, SWAGE_ERROR_INVALID,
                                  _ ("The format %s cannot hold this plan; nothing was written."),
                                  swage_export_format_get_id (format)));
  SwageExportResult result;
  if (!swage_export (model, format, &run.source, output, options, cli_job (), &result, &error))
    return cli_fail (error);
  cli_progress_end ();
  int status = CLI_DONE;
  if (as_json)
    status = cli_print_json (json_pack (
        "{s:s, s:s, s:I, s:s, s:i}", "path", result.path, "format", swage_export_format_get_id (format),
        "bytes", (json_int_t)result.bytes, "sha256", result.sha256, "files", result.n_files));
  else
    {
      g_autofree char *size = cli_format_bytes (result.bytes);
      printf ("%s  %s  (%s)\n", result.sha256, result.path, size);
    }
  swage_export_result_clear (&result);
  return status;
}

static int
run_export (int argc, char **argv)
{
  CliPlanOptions plan_options = { 0 };
  SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
  g_autofree char *format_id = NULL, *output = NULL, *dense = NULL;
  gboolean force = FALSE, as_json = FALSE;
  const GOptionEntry entries[] = {
    CLI_PLAN_OPTIONS (plan_options),
    { "format", 0, 0, G_OPTION_ARG_STRING, &format_id, N_ ("gguf or safetensors"), N_ ("NAME") },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
      N_ ("The file (GGUF) or folder (safetensors) to write"), N_ ("OUT") },
    { "dense-type", 0, 0, G_OPTION_ARG_STRING, &dense,
      N_ ("Store what the format cannot hold as plain f32, f16 or bf16 (safetensors: everything)"),
      N_ ("TYPE") },
    { "force", 'f', 0, G_OPTION_ARG_NONE, &force, N_ ("Replace OUT when it exists"), NULL },
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  GError *error = NULL;
  SwageExportFormat format = SWAGE_EXPORT_GGUF;
  g_autoptr (SwageModel) model = NULL;
  g_autoptr (SwagePlan) plan = NULL;
  if (!cli_parse (&cli_export, entries, &argc, &argv, 1, 1, &status))
    ;
  else if (output == NULL || format_id == NULL)
    status = cli_misuse_text (_ ("export needs a format and a target: --format gguf|safetensors -o OUT."));
  else if (!swage_export_format_from_id (format_id, &format))
    status = cli_misuse_text (_ ("“%s” is not a format; there are gguf and safetensors."), format_id);
  else if (dense != NULL && (options.dense_type = swage_type_from_id (dense)) != SWAGE_TYPE_F32
           && options.dense_type != SWAGE_TYPE_F16 && options.dense_type != SWAGE_TYPE_BF16)
    status = cli_misuse_text (_ ("--dense-type takes f32, f16 or bf16."));
  else if ((model = swage_model_open (argv[1], &error)) == NULL)
    status = cli_fail (error);
  else if ((plan = cli_plan_from_options (&plan_options, model, &status)) != NULL)
    {
      options.overwrite = force;
      status = export_model (model, plan, &plan_options, format, output, &options, as_json);
    }
  cli_plan_options_clear (&plan_options);
  return status;
}

const CliCommand cli_export = {
  "export", N_ ("MODEL"), N_ ("Write the model, a plan applied, for other programs"),
  N_ ("Prints the SHA-256 of what was written. The target appears whole or not at all; an existing one is "
      "replaced with --force alone."),
  run_export
};
