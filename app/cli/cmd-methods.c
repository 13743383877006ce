/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/method/swage-method-doc.h"

#include <stdio.h>

static void
print_method (const SwageMethod *method)
{
  printf ("%s %d · %s · %s\n", method->id, method->version, _ (method->title),
          swage_family_get_title (method->family));
  printf ("  %s\n", _ (method->summary));
  if (method->paper != NULL)
    printf (_ ("  Paper: %s\n"), method->paper);
  for (const SwageParam *param = method->params; param->kind != SWAGE_PARAM_END; param++)
    {
      g_autofree guint8 *params = g_malloc0 (MAX (method->params_size, 1));
      swage_params_init (method, params);
      g_autofree char *value = swage_param_get_text (param, params),
                      *range = swage_param_describe_range (param);
      printf ("    %-12s %s\n                 %s (%s)\n", param->id, _ (param->help), range, value);
    }
}

static int
run_methods (int argc, char **argv)
{
  gboolean as_json = FALSE, markdown = FALSE, roff = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    { "markdown", 0, 0, G_OPTION_ARG_NONE, &markdown, N_ ("Print Markdown"), NULL },
    { "roff", 0, 0, G_OPTION_ARG_NONE, &roff, N_ ("Print a fragment of a manual page"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  if (!cli_parse (&cli_methods, entries, &argc, &argv, 0, 1, &status))
    return status;
  const SwageMethod *method = argc > 1 ? swage_method_find (argv[1]) : NULL;
  if (argc > 1 && method == NULL)
    return cli_misuse_text (_ ("There is no method “%s”; “swage-cli methods” lists them."), argv[1]);
  if (as_json)
    return cli_print_json (swage_method_doc_to_json (method));
  if (markdown || roff)
    {
      g_autofree char *text
          = markdown ? swage_method_doc_to_markdown (method) : swage_method_doc_to_roff (method);
      fputs (text, stdout);
      return CLI_DONE;
    }
  if (method != NULL)
    {
      print_method (method);
      return CLI_DONE;
    }
  for (int i = 0; swage_methods[i] != NULL; i++)
    {
      if (i > 0)
        putchar ('\n');
      print_method (swage_methods[i]);
    }
  return CLI_DONE;
}

const CliCommand cli_methods
    = { "methods", N_ ("[ID]"), N_ ("The catalogue of compression methods and their parameters"), NULL,
        run_methods };
