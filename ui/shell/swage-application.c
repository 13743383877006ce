/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-application.h"

#include "ui/shell/swage-actions.h"
#include "ui/shell/swage-paths.h"
#include "ui/shell/swage-preferences.h"
#include "ui/shell/swage-watchdog.h"
#include "ui/shell/swage-window.h"
#include "ui/swage-ui-resources.h"

#include <glib/gi18n-lib.h>

struct _SwageApplication
{
  AdwApplication parent_instance;
  GSettings *settings; /* for colours; may be NULL */
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
                         "developer-name", _ ("The Swage developers"), "translator-credits",
                         /* Translators: your name, and how to reach you */
                         _ ("translator-credits"), NULL);
}

static void
show_preferences (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  SwageApplication *self = user_data;
  GtkWindow *window = gtk_application_get_active_window (user_data);
  if (SWAGE_IS_WINDOW (window))
    swage_window_save_settings (SWAGE_WINDOW (window));
  if (self->settings != NULL && window != NULL)
    swage_preferences_present (window, self->settings);
}

/* The manual is a text that any reader shows. */
static void
show_help (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autofree char *path = swage_paths_find_data ("README.md");
  if (path == NULL)
    path = swage_paths_find_data ("../README.md");
  if (path == NULL)
    return;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autofree char *uri = g_file_get_uri (file);
  gtk_show_uri (gtk_application_get_active_window (user_data), uri, GDK_CURRENT_TIME);
}

/* Closes the windows one by one, so that each asks about unsaved changes. */
static void
quit (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GList) windows = g_list_copy (gtk_application_get_windows (user_data));
  for (GList *l = windows; l != NULL; l = l->next)
    gtk_window_close (l->data);
}

/* Once a run: what was lost is offered over the first window. */
static void
offer_lost (SwageWindow *window)
{
  static bool offered;
  if (!offered)
    swage_window_offer_lost (window);
  offered = true;
}

static void
activate (GApplication *application)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (application));
  if (window == NULL)
    window = GTK_WINDOW (swage_window_new (GTK_APPLICATION (application)));
  gtk_window_present (window);
  if (SWAGE_IS_WINDOW (window))
    offer_lost (SWAGE_WINDOW (window));
}

/* Each model in a window of its own; a plan goes to the first model, or to the window that is there. */
static void
open_files (GApplication *application, GFile **files, int n, const char *hint)
{
  GtkWindow *active = gtk_application_get_active_window (GTK_APPLICATION (application));
  SwageWindow *window = SWAGE_IS_WINDOW (active) ? SWAGE_WINDOW (active) : NULL, *first = window;
  g_autoptr (GPtrArray) models = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *plan = NULL;
  for (int i = 0; i < n; i++)
    {
      g_autofree char *path = g_file_get_path (files[i]);
      if (path != NULL && plan == NULL && swage_window_is_plan (path))
        plan = g_steal_pointer (&path);
      else if (path != NULL)
        g_ptr_array_add (models, g_steal_pointer (&path));
    }
  if (window == NULL || (models->len > 0 && swage_window_is_used (window)))
    window = swage_window_new (GTK_APPLICATION (application));
  if (first == NULL)
    first = window;
  if (models->len == 0 && plan != NULL)
    swage_window_open (window, plan, NULL);
  for (guint i = 0; i < models->len; i++)
    {
      if (i > 0)
        window = swage_window_new (GTK_APPLICATION (application));
      swage_window_open (window, models->pdata[i], i == 0 ? plan : NULL);
      gtk_window_present (GTK_WINDOW (window));
    }
  gtk_window_present (GTK_WINDOW (window));
  offer_lost (first);
}

static void
startup (GApplication *application)
{
  static const GActionEntry entries[] = { { "new-window", new_window },
                                          { "about", show_about },
                                          { "preferences", show_preferences },
                                          { "help", show_help },
                                          { "quit", quit } };
  swage_ui_register_resource ();
  G_APPLICATION_CLASS (swage_application_parent_class)->startup (application);
  g_action_map_add_action_entries (G_ACTION_MAP (application), entries, G_N_ELEMENTS (entries), application);
  swage_actions_set_accels (GTK_APPLICATION (application));
  gtk_window_set_default_icon_name (SWAGE_APPLICATION_ID);
  swage_watchdog_start (application);
  SWAGE_APPLICATION (application)->settings = swage_settings_new ();
  if (SWAGE_APPLICATION (application)->settings != NULL)
    swage_preferences_apply (SWAGE_APPLICATION (application)->settings);
}

static void
dispose (GObject *object)
{
  g_clear_object (&SWAGE_APPLICATION (object)->settings);
  G_OBJECT_CLASS (swage_application_parent_class)->dispose (object);
}

static void
swage_application_class_init (SwageApplicationClass *klass)
{
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
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
