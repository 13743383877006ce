/* SPDX-License-Identifier: MIT
 *
 * `swage`, the workbench.
 */
#include "core/base/swage-blas.h"
#include "ui/shell/swage-application.h"
#include "ui/shell/swage-paths.h"

#include <glib/gi18n-lib.h>
#include <locale.h>

static gboolean show_version;

static const GOptionEntry options[] = {
  { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, N_ ("Print the version"), NULL },
  { NULL },
};

static int
handle_options (GApplication *application, GVariantDict *dict, gpointer data)
{
  if (!show_version)
    return -1;
  g_print ("swage %s\n", SWAGE_VERSION);
  return 0;
}

int
main (int argc, char **argv)
{
  swage_blas_prepare ();
  setlocale (LC_ALL, "");
  /* translations beside the build, where there is one */
  g_autofree char *po
      = swage_paths_get_build () != NULL ? g_build_filename (swage_paths_get_build (), "po", NULL) : NULL;
  bindtextdomain (GETTEXT_PACKAGE, po != NULL ? po : LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);

  g_autoptr (SwageApplication) application = swage_application_new ();
  g_application_set_option_context_parameter_string (G_APPLICATION (application), _ ("[MODEL [PLAN]]"));
  g_application_add_main_option_entries (G_APPLICATION (application), options);
  g_signal_connect (application, "handle-local-options", G_CALLBACK (handle_options), NULL);
  return g_application_run (G_APPLICATION (application), argc, argv);
}
