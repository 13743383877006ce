/* SPDX-License-Identifier: MIT
 *
 * Sessions that were lost are offered back; and what the window says in its banner.
 */
#include "ui/shell/swage-window-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* --- banner
 * ------------------------------------------------------------------------------------------------------ */

/* libadwaita 1.2 has no AdwBanner. */
void
swage_window_show_banner (SwageWindow *window, const char *text, const char *button, const char *action,
                          const char *target)
{
  gtk_label_set_label (window->banner_label, text);
  gtk_button_set_label (window->banner_button, button);
  gtk_actionable_set_action_target_value (GTK_ACTIONABLE (window->banner_button),
                                          target != NULL ? g_variant_new_string (target) : NULL);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (window->banner_button), action);
  gtk_info_bar_set_revealed (window->banner, TRUE);
}

void
swage_window_hide_banner (SwageWindow *window)
{
  gtk_info_bar_set_revealed (window->banner, FALSE);
}

static void
on_file_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
                 SwageWindow *window)
{
  SwageModel *model = swage_session_get_model (window->session);
  g_autofree char *name = g_file_get_basename (file);
  if (model == NULL || event == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED
      || !(g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".gguf")
           || strcmp (name, "config.json") == 0))
    return;
  const char *path = swage_model_get_path (model);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      g_autofree char *own = g_path_get_basename (path);
      if (strcmp (own, name) != 0)
        return;
    }
  swage_window_show_banner (window, _ ("The model has changed on disk"), _ ("_Open Again"), "win.open-path",
                            path);
}

void
swage_window_watch_model (SwageWindow *window)
{
  if (window->monitor != NULL)
    g_signal_handlers_disconnect_by_data (window->monitor, window);
  g_clear_object (&window->monitor);
  SwageModel *model = swage_session_get_model (window->session);
  if (model == NULL)
    return;
  g_autoptr (GFile) file = g_file_new_for_path (swage_model_get_path (model));
  window->monitor = g_file_monitor (file, G_FILE_MONITOR_NONE, NULL, NULL);
  if (window->monitor != NULL)
    g_signal_connect (window->monitor, "changed", G_CALLBACK (on_file_changed), window);
}

/* --- lost sessions
 * ----------------------------------------------------------------------------------------------- */

static void
restore_all (SwageWindow *window, GPtrArray *lost)
{
  while (lost->len > 0)
    {
      SwageWindow *target = window;
      if (swage_window_is_used (target))
        {
          target = swage_window_new (gtk_window_get_application (GTK_WINDOW (window)));
          gtk_window_present (GTK_WINDOW (target));
        }
      swage_window_restore (target, g_ptr_array_steal_index (lost, 0));
    }
}

static void
on_response (SwageWindow *window, const char *response, GtkWidget *dialog)
{
  GPtrArray *lost = g_object_get_data (G_OBJECT (dialog), "lost");
  if (g_strcmp0 (response, "restore") == 0)
    restore_all (window, lost);
  else if (g_strcmp0 (response, "discard") == 0)
    while (lost->len > 0)
      swage_lost_discard (g_ptr_array_steal_index (lost, 0));
  /* else they stay, for the next time */
}

bool
swage_window_offer_lost (SwageWindow *window)
{
  g_autoptr (GPtrArray) lost = swage_recovery_find_lost ();
  if (lost->len == 0)
    return false;
  g_autoptr (GString) names = g_string_new (NULL);
  for (guint i = 0; i < lost->len; i++)
    {
      const SwageLost *one = lost->pdata[i];
      g_autofree char *name = g_path_get_basename (one->model);
      g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (one->time);
      g_autofree char *when = time != NULL ? g_date_time_format (time, "%x %H:%M") : g_strdup ("");
      g_string_append_printf (names, "\n%s · %s", name, when);
    }
  g_autofree char *body = g_strdup_printf (
      "%s\n%s",
      g_dngettext (
          GETTEXT_PACKAGE,
          "Swage did not end in order while this model was open. Its plan was kept, with all changes.",
          "Swage did not end in order while these models were open. Their plans were kept, with all changes.",
          lost->len),
      names->str);
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (window),
                                              g_dngettext (GETTEXT_PACKAGE, "Bring back the lost session?",
                                                           "Bring back the lost sessions?", lost->len),
                                              body);
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "later", _ ("_Not Now"), "discard",
                                    _ ("_Discard"), "restore", _ ("_Bring Back"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "discard",
                                              ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "restore", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "restore");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "later");
  g_object_set_data_full (G_OBJECT (dialog), "lost", g_steal_pointer (&lost),
                          (GDestroyNotify)g_ptr_array_unref);
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_response), window, G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
  return true;
}
