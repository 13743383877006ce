/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-window-private.h"

#include <glib/gi18n-lib.h>

/* --- messages
 * ------------------------------------------------------------------------------------------------ */

/* What was said last stays in the state of an action: a toast is gone before everybody has read it. */
static void
remember_message (SwageWindow *window, const char *text)
{
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (window), "last-message");
  g_simple_action_set_state (G_SIMPLE_ACTION (action), g_variant_new_string (text));
}

/* The close buttons of toasts and of the banner have no name of their own. */
static void
name_buttons (GtkWidget *widget)
{
  if (GTK_IS_BUTTON (widget) && gtk_button_get_label (GTK_BUTTON (widget)) == NULL)
    gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    _ ("Dismiss the message"), -1);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    name_buttons (child);
}

static void
on_toasts_changed (GListModel *children, guint position, guint removed, guint added, SwageWindow *window)
{
  for (guint i = position; i < position + added; i++)
    {
      g_autoptr (GtkWidget) child = g_list_model_get_item (children, i);
      if (child != adw_toast_overlay_get_child (window->toasts))
        name_buttons (child);
    }
}

void
swage_window_watch_toasts (SwageWindow *window)
{
  name_buttons (GTK_WIDGET (window->banner));
  window->toast_children = gtk_widget_observe_children (GTK_WIDGET (window->toasts));
  g_signal_connect_object (window->toast_children, "items-changed", G_CALLBACK (on_toasts_changed), window,
                           0);
}

void
swage_window_add_toast (SwageWindow *window, AdwToast *toast, const char *text)
{
  remember_message (window, text);
  /* toasts queue: one that stays would hold up the others */
  if (window->lasting_toast != NULL)
    adw_toast_dismiss (window->lasting_toast);
  if (adw_toast_get_timeout (toast) == 0)
    g_set_weak_pointer (&window->lasting_toast, toast);
  adw_toast_overlay_add_toast (window->toasts, toast);
}

void
swage_window_toast (SwageWindow *window, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  swage_window_add_toast (window, adw_toast_new (escaped), text);
}

void
swage_window_toast_undo (SwageWindow *window, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  AdwToast *toast = adw_toast_new (escaped);
  adw_toast_set_button_label (toast, _ ("_Undo"));
  adw_toast_set_action_name (toast, "win.undo");
  swage_window_add_toast (window, toast, text);
}

void
swage_window_show_error (SwageWindow *window, const char *heading, const char *message)
{
  g_autofree char *text = g_strdup_printf ("%s: %s", heading, message);
  remember_message (window, text);
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (window), heading, message);
  adw_message_dialog_add_response (ADW_MESSAGE_DIALOG (dialog), "close", _ ("_Close"));
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "close");
  gtk_window_present (GTK_WINDOW (dialog));
}

/* --- choosers
 * ------------------------------------------------------------------------------------------------ */

static GtkFileFilter *
make_filter (const char *name, const char *const *suffixes)
{
  GtkFileFilter *filter = gtk_file_filter_new ();
  gtk_file_filter_set_name (filter, name);
  for (int i = 0; suffixes[i] != NULL; i++)
    gtk_file_filter_add_suffix (filter, suffixes[i]);
  return filter;
}

GtkFileFilter *
swage_window_plan_filter (void)
{
  return make_filter (_ ("Plans"), (const char *const[]){ "json", NULL });
}

GtkFileFilter *
swage_window_model_filter (void)
{
  return make_filter (_ ("Models"), (const char *const[]){ "gguf", "safetensors", "json", NULL });
}

GtkFileFilter *
swage_window_text_filter (void)
{
  return make_filter (_ ("Texts"), (const char *const[]){ "txt", "md", "raw", NULL });
}

static void
on_response (SwageWindow *window, int response, GtkFileChooserNative *chooser)
{
  SwageWindowPathFunc func = (SwageWindowPathFunc)g_object_get_data (G_OBJECT (chooser), "func");
  g_autoptr (GFile) file
      = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (chooser)) : NULL;
  g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;
  g_clear_object (&window->chooser);
  if (path != NULL)
    func (window, path);
  else
    g_object_set_data (G_OBJECT (window), "after-save", NULL); /* not saved: what was to follow does not */
}

void
swage_window_choose (SwageWindow *window, GtkFileChooserAction action, const char *title, const char *accept,
                     const char *name, GtkFileFilter *filter, SwageWindowPathFunc func)
{
  g_clear_object (&window->chooser);
  window->chooser = gtk_file_chooser_native_new (title, GTK_WINDOW (window), action, accept, NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (window->chooser), TRUE);
  if (name != NULL)
    gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (window->chooser), name);
  if (filter != NULL)
    {
      GtkFileFilter *all = gtk_file_filter_new ();
      gtk_file_filter_set_name (all, _ ("All files"));
      gtk_file_filter_add_pattern (all, "*");
      gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (window->chooser), filter);
      gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (window->chooser), all);
      g_object_unref (filter);
      g_object_unref (all);
    }
  g_object_set_data (G_OBJECT (window->chooser), "func", (gpointer)func);
  g_signal_connect_swapped (window->chooser, "response", G_CALLBACK (on_response), window);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (window->chooser));
}

/* --- plans
 * --------------------------------------------------------------------------------------------------- */

typedef struct
{
  SwageWindow *window; /* held */
  SwageWindowFunc func;
  gpointer data;
  GDestroyNotify free_data;
} Pending;

static void
pending_free (gpointer memory)
{
  Pending *pending = memory;
  if (pending->free_data != NULL)
    pending->free_data (pending->data);
  g_object_unref (pending->window);
  g_free (pending);
}

static void
save_to (SwageWindow *window, const char *path)
{
  g_autoptr (GError) error = NULL;
  Pending *then = g_object_steal_data (G_OBJECT (window), "after-save");
  if (!swage_session_save_plan (window->session, path, &error))
    swage_window_show_error (window, _ ("The plan was not saved"), error->message);
  else
    {
      if (then == NULL)
        swage_window_toast (window, _ ("Plan saved"));
      else
        then->func (window, then->data);
    }
  if (then != NULL)
    pending_free (then);
}

void
swage_window_save_plan (SwageWindow *window, bool as)
{
  const char *path = swage_session_get_plan_path (window->session);
  if (path != NULL && !as)
    {
      g_autofree char *copy = g_strdup (path);
      save_to (window, copy);
      return;
    }
  g_autofree char *name
      = path != NULL ? g_path_get_basename (path)
                     : g_strdup_printf ("%s.plan.json",
                                        swage_model_get_name (swage_session_get_model (window->session)));
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_SAVE, _ ("Save the Plan"), _ ("_Save"), name,
                       swage_window_plan_filter (), save_to);
}

static gboolean
go_on (gpointer data)
{
  Pending *pending = data;
  pending->func (pending->window, pending->data);
  return G_SOURCE_REMOVE;
}

static void
on_unsaved_response (SwageWindow *window, const char *response, GtkWidget *dialog)
{
  Pending *pending = g_object_steal_data (G_OBJECT (dialog), "pending");
  if (g_strcmp0 (response, "discard") == 0)
    /* when the dialog has gone: what follows may close the window that it belongs to */
    g_idle_add_full (G_PRIORITY_DEFAULT, go_on, pending, pending_free);
  else if (g_strcmp0 (response, "save") == 0)
    {
      g_object_set_data_full (G_OBJECT (window), "after-save", pending, pending_free);
      swage_window_save_plan (window, false);
    }
  else
    pending_free (pending);
}

void
swage_window_confirm_unsaved (SwageWindow *window, SwageWindowFunc func, gpointer data,
                              GDestroyNotify free_data)
{
  Pending *pending = g_new (Pending, 1);
  *pending = (Pending){ g_object_ref (window), func, data, free_data };
  if (!swage_session_is_modified (window->session))
    {
      func (window, data);
      pending_free (pending);
      return;
    }
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (window), _ ("Save the changes of the plan?"),
                                              _ ("Changes that are not saved will be lost."));
  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"), "discard",
                                    _ ("_Discard"), "save", _ ("_Save"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "discard",
                                              ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "save", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (ADW_MESSAGE_DIALOG (dialog), "save");
  adw_message_dialog_set_close_response (ADW_MESSAGE_DIALOG (dialog), "cancel");
  g_object_set_data_full (G_OBJECT (dialog), "pending", pending, pending_free);
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_unsaved_response), window, G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
}
