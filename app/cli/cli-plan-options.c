/* SPDX-License-Identifier: MIT
 *
 * From --plan, --preset and --rule to a checked plan.
 */
#include "app/cli/cli.h"

#include <stdio.h>

void
cli_plan_options_clear (CliPlanOptions *options)
{
  g_free (options->plan_path);
  g_free (options->preset);
  g_strfreev (options->rules);
  g_free (options->calibration);
}

SwagePlan *
cli_plan_from_options (const CliPlanOptions *options, SwageModel *model, int *status)
{
  GError *error = NULL;
  g_autoptr (SwagePlan) plan = NULL;
  *status = CLI_FAILED;
  if (options->plan_path != NULL)
    {
      plan = swage_plan_load (options->plan_path, &error);
      if (plan == NULL)
        {
          *status = cli_fail (error);
          return NULL;
        }
    }
  else
    plan = swage_plan_new ();

  g_autofree char *warning = NULL;
  swage_plan_set_model (plan, model, &warning);
  if (warning != NULL)
    fprintf (stderr, _ ("swage-cli: Warning: %s\n"), warning);
  if (options->preset != NULL && !swage_plan_apply_preset (plan, options->preset, model, &error))
    {
      *status = cli_misuse (error);
      return NULL;
    }
  for (int i = 0; options->rules != NULL && options->rules[i] != NULL; i++)
    if (!swage_plan_add_rule_text (plan, options->rules[i], &error))
      {
        *status = cli_misuse (error);
        return NULL;
      }
  g_auto (GStrv) unmatched = NULL;
  if (!swage_plan_check (plan, model, &unmatched, &error))
    {
      *status = cli_fail (error);
      return NULL;
    }
  for (int i = 0; unmatched[i] != NULL; i++)
    fprintf (stderr, _ ("swage-cli: Warning: The rule for “%s” matches no layer of this model.\n"),
             unmatched[i]);
  *status = CLI_DONE;
  return g_steal_pointer (&plan);
}

static bool
plan_needs_statistics (SwagePlan *plan)
{
  SwageNeeds needs = SWAGE_NEED_NONE;
  for (int i = 0; i < swage_plan_get_n_rules (plan); i++)
    {
      SwageRecipe *recipe;
      swage_plan_get_rule (plan, i, &recipe);
      needs |= swage_recipe_get_needs (recipe);
    }
  return needs != SWAGE_NEED_NONE;
}

bool
cli_open_calibration (const CliPlanOptions *options, SwagePlan *plan, SwageModel *model, SwageCorpus **corpus,
                      GError **error)
{
  *corpus = NULL;
  if (!plan_needs_statistics (plan))
    return true;
  const SwageCalibration *known = swage_plan_get_calibration (plan);
  g_autofree char *folder = g_file_test (swage_model_get_path (model), G_FILE_TEST_IS_DIR)
                                ? g_strdup (swage_model_get_path (model))
                                : g_path_get_dirname (swage_model_get_path (model));
  g_autofree char *path = NULL;
  if (options->calibration != NULL)
    path = g_strdup (options->calibration);
  else if (known->text != NULL && known->text[0] != '\0')
    path = g_strdup (known->text);
  const char *names[] = { "calibration.txt", "kjv.calibration.txt" };
  for (guint i = 0; i < G_N_ELEMENTS (names) && path == NULL; i++)
    {
      g_autofree char *candidate = g_build_filename (folder, names[i], NULL);
      if (g_file_test (candidate, G_FILE_TEST_IS_REGULAR))
        path = g_steal_pointer (&candidate);
    }
  if (path == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("This plan has steps that look at activations; give a text with --calibration FILE."));
      return false;
    }
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, error);
  *corpus = tokenizer != NULL ? swage_corpus_open (tokenizer, path, error) : NULL;
  if (*corpus == NULL)
    return false;
  /* the plan is a record: it says what it was calibrated on */
  SwageCalibration record = *known;
  g_autofree char *fingerprint = g_strdup_printf ("sha256:%s", swage_corpus_get_fingerprint (*corpus));
  if (known->fingerprint != NULL && known->fingerprint[0] != '\0'
      && g_strcmp0 (known->fingerprint, fingerprint) != 0)
    fprintf (stderr,
             _ ("swage-cli: Warning: “%s” is not the calibration text that the plan was made with.\n"), path);
  record.text = path;
  record.fingerprint = fingerprint;
  swage_plan_set_calibration (plan, &record);
  return true;
}
