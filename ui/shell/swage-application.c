/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-application.h"

#include "ui/shell/swage-actions.h"
#include "ui/shell/swage-watchdog.h"
#include "ui/shell/swage-window.h"
#include "ui/swage-ui-resources.h"

#include <glib/gi18n-lib.h>

struct _SwageApplication
{
  AdwApplication parent_instance;
};

G_DEFINE_FINAL_TYPE (SwageApplication, swage_application, ADW_TYPE_APPLICATION)

static void
new_window (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  gtk_window_present (GTK_WINDOW (swage_window_new (user_data)));
}

static void
show_about (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  GtkApplication *application = user_data;
  adw_show_about_window (gtk_application_get_active_window (application), "application-name", "Swage",
                         "application-icon", SWAGE_APPLICATION_ID, "version", SWAGE_VERSION, "license-type",
                         GTK_LICENSE_MIT_X11, "comments",
                         _ ("A workbench for compressing language models: look, choose, preview, export."),
                         "developer-name", _ ("The Swage developers"), NULL);
}

/* Closes the windows one by one, so that each asks about unsaved changes. */
static void
quit (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GList) windows = g_list_copy (gtk_application_get_windows (user_data));
  for (GList *l = windows; l != NULL; l = l->next)
    gtk_window_close (l->data);
}

static void
activate (GApplication *application)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (application));
  if (window == NULL)
    window = GTK_WINDOW (swage_window_new (GTK_APPLICATION (application)));
  gtk_window_present (window);
}

static void
open_files (GApplication *application, GFile **files, int n, const char *hint)
{
  GtkWindow *active = gtk_application_get_active_window (GTK_APPLICATION (application));
  SwageWindow *window = SWAGE_IS_WINDOW (active) && !swage_window_is_used (SWAGE_WINDOW (active))
                            ? SWAGE_WINDOW (active)
                            : swage_window_new (GTK_APPLICATION (application));
  g_autofree char *model = g_file_get_path (files[0]), *plan = n > 1 ? g_file_get_path (files[1]) : NULL;
  gtk_window_present (GTK_WINDOW (window));
  if (model != NULL)
    swage_window_open (window, model, plan);
}

static void
startup (GApplication *application)
{
  static const GActionEntry entries[]
      = { { "new-window", new_window }, { "about", show_about }, { "quit", quit } };
  swage_ui_register_resource ();
  G_APPLICATION_CLASS (swage_application_parent_class)->startup (application);
  g_action_map_add_action_entries (G_ACTION_MAP (application), entries, G_N_ELEMENTS (entries), application);
  swage_actions_set_accels (GTK_APPLICATION (application));
  gtk_window_set_default_icon_name (SWAGE_APPLICATION_ID);
  swage_watchdog_start (application);
}

static void
swage_application_class_init (SwageApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);
  application_class->startup = startup;
  application_class->activate = activate;
  application_class->open = open_files;
}

static void
swage_application_init (SwageApplication *application)
{
}

SwageApplication *
swage_application_new (void)
{
  return g_object_new (SWAGE_TYPE_APPLICATION, "application-id", SWAGE_APPLICATION_ID, "flags",
                       G_APPLICATION_HANDLES_OPEN, "resource-base-path", "/io/github/swage/Swage", NULL);
}
