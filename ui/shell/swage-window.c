/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-window-private.h"

#include "core/base/swage-json.h"
#include "core/engine/swage-device.h"
#include "ui/open/swage-open-page.h"
#include "ui/shell/swage-paths.h"
#include "ui/shell/swage-session-live.h"
#include "ui/shell/swage-session-history.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* From here on there is room for all columns of the layer list. */
#define WIDE 1440
/* Below this there is room for one pane, and for symbols in place of words. */
#define NARROW 640

enum
{
  PROP_0,
  PROP_SESSION,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageWindow, swage_window, ADW_TYPE_APPLICATION_WINDOW)

SwageSession *
swage_window_get_session (SwageWindow *window)
{
  return window->session;
}

bool
swage_window_is_used (SwageWindow *window)
{
  return window->opening != NULL || swage_session_get_model (window->session) != NULL;
}

/* --- opening
 * ------------------------------------------------------------------------------------------------- */

static void
load_plan (SwageWindow *window, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *warning = NULL;
  if (!swage_session_load_plan (window->session, path, &warning, &error))
    swage_window_show_error (window, _ ("The plan cannot be used"), error->message);
  else if (warning != NULL)
    swage_window_show_banner (window, _ ("This plan was made for another model"), _ ("_Details"),
                              "win.explain", warning);
}

static void
explain (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  swage_window_show_error (user_data, _ ("This plan was made for another model"),
                           g_variant_get_string (parameter, NULL));
}

static void
show_state (SwageWindow *window)
{
  bool open = swage_session_get_model (window->session) != NULL;
  gtk_stack_set_visible_child_name (window->stack, open                      ? "workbench"
                                                   : window->opening != NULL ? "opening"
                                                                             : "open");
  /* one that turns where nobody sees it keeps the frame clock running */
  gtk_spinner_set_spinning (window->opening_spinner, !open && window->opening != NULL);
  gtk_widget_set_visible (GTK_WIDGET (window->export_button), open);
  gtk_widget_set_visible (window->undo_button, open);
  gtk_widget_set_visible (window->redo_button, open);
}

/* Its record goes when the one of this window has been written. */
static bool
take_lost (SwageWindow *window, SwageLost *lost)
{
  g_autoptr (GError) error = NULL;
  if (!swage_session_restore (window->session, lost, &error))
    {
      swage_window_show_error (window, _ ("The plan cannot be used"), error->message);
      return false;
    }
  swage_recovery_flush (window->recovery);
  swage_lost_discard (lost);
  swage_window_toast (window, _ ("The session is back"));
  return true;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (SwageWindow) window = user_data;
  g_autoptr (GError) error = NULL;
  bool ok = swage_session_open_finish (SWAGE_SESSION (source), result, &error);
  /* another one has been asked for meanwhile */
  if (g_task_get_cancellable (G_TASK (result)) != window->opening)
    return;
  g_clear_object (&window->opening);
  g_autofree char *path = g_steal_pointer (&window->opening_path),
                  *plan = g_steal_pointer (&window->opening_plan);
  SwageLost *lost = g_steal_pointer (&window->restoring);
  if (!window->closing)
    {
      show_state (window);
      if (!ok && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        swage_window_show_error (window, _ ("The model cannot be opened"), error->message);
      if (ok)
        {
          swage_recent_add (path);
          swage_window_watch_model (window);
          swage_window_hide_banner (window);
          if (lost != NULL && take_lost (window, lost))
            lost = NULL;
          if (plan != NULL)
            load_plan (window, plan);
        }
    }
  swage_lost_free (lost);
}

static void
open_now (SwageWindow *window, gpointer data)
{
  char **paths = data;
  if (window->opening != NULL)
    g_cancellable_cancel (window->opening);
  g_clear_object (&window->opening);
  g_clear_pointer (&window->restoring, swage_lost_free);
  window->opening = g_cancellable_new ();
  g_free (window->opening_path);
  g_free (window->opening_plan);
  window->opening_path = g_strdup (paths[0]);
  window->opening_plan = paths[1] != NULL ? g_strdup (paths[1]) : g_steal_pointer (&window->waiting_plan);
  swage_session_open_async (window->session, paths[0], window->opening, on_opened, g_object_ref (window));
  show_state (window);
}

void
swage_window_restore (SwageWindow *window, SwageLost *lost)
{
  open_now (window, (char *[]){ lost->model, NULL });
  window->restoring = lost;
}

static void
load_plan_now (SwageWindow *window, gpointer data)
{
  load_plan (window, data);
}

/* A plan is small and says what it is in its first key. */
bool
swage_window_is_plan (const char *path)
{
  g_autofree char *text = NULL;
  gsize length;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInfo) info = g_file_query_info (
      file, G_FILE_ATTRIBUTE_STANDARD_SIZE "," G_FILE_ATTRIBUTE_STANDARD_TYPE, 0, NULL, NULL);
  if (!g_str_has_suffix (path, ".json") || info == NULL
      || g_file_info_get_file_type (info) != G_FILE_TYPE_REGULAR || g_file_info_get_size (info) > 16 << 20
      || !g_file_get_contents (path, &text, &length, NULL))
    return false;
  return g_strstr_len (text, MIN ((gssize)length, 4096), "\"swage_plan\"") != NULL;
}

void
swage_window_open (SwageWindow *window, const char *path, const char *plan)
{
  if (swage_window_is_plan (path))
    {
      if (swage_session_get_model (window->session) != NULL)
        swage_window_confirm_unsaved (window, load_plan_now, g_strdup (path), g_free);
      else
        {
          char **waiting = window->opening != NULL ? &window->opening_plan : &window->waiting_plan;
          g_free (*waiting);
          *waiting = g_strdup (path);
          swage_window_toast (window, _ ("Now open the model that the plan is for"));
        }
      return;
    }
  char **paths = g_new0 (char *, 3);
  paths[0] = g_strdup (path);
  paths[1] = g_strdup (plan);
  swage_window_confirm_unsaved (window, open_now, paths, (GDestroyNotify)g_strfreev);
}

static gboolean
on_drop (GtkDropTarget *target, const GValue *value, double x, double y, SwageWindow *window)
{
  g_autofree char *model = NULL, *plan = NULL;
  for (GSList *l = g_value_get_boxed (value); l != NULL; l = l->next)
    {
      g_autofree char *path = g_file_get_path (l->data);
      char **kind = path != NULL && swage_window_is_plan (path) ? &plan : &model;
      if (*kind == NULL)
        *kind = g_steal_pointer (&path);
    }
  if (model == NULL && plan == NULL)
    return FALSE;
  swage_window_open (window, model != NULL ? model : plan, model != NULL ? plan : NULL);
  return TRUE;
}

static void
fill_recent (SwageWindow *window)
{
  g_menu_remove_all (window->recent_menu);
  g_auto (GStrv) paths = swage_recent_get ();
  for (int i = 0; paths[i] != NULL; i++)
    {
      g_autofree char *label = g_path_get_basename (paths[i]);
      g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
      g_menu_item_set_action_and_target (item, "win.open-path", "s", paths[i]);
      g_menu_append_item (window->recent_menu, item);
    }
}

/* --- session
 * ------------------------------------------------------------------------------------------------- */

static void
update_title (SwageWindow *window)
{
  g_autofree char *title = NULL, *subtitle = NULL;
  g_object_get (window->session, "model-title", &title, "model-subtitle", &subtitle, NULL);
  bool modified = swage_session_is_modified (window->session);
  g_autofree char *shown
      = title != NULL ? g_strconcat (modified ? "• " : "", title, NULL) : g_strdup ("Swage");
  adw_window_title_set_title (window->title, shown);
  adw_window_title_set_subtitle (window->title, subtitle != NULL ? subtitle : "");
  gtk_window_set_title (GTK_WINDOW (window), shown);
}

static void
on_plan_changed (SwageWindow *window)
{
  SwagePlan *plan = swage_session_get_plan (window->session);
  update_title (window);
  swage_window_update_actions (window);
  const char *label = swage_plan_get_undo_label (plan);
  g_autofree char *undo = label != NULL ? g_strdup_printf (_ ("Undo “%s”"), label) : g_strdup (_ ("Undo"));
  label = swage_plan_get_redo_label (plan);
  g_autofree char *redo = label != NULL ? g_strdup_printf (_ ("Redo “%s”"), label) : g_strdup (_ ("Redo"));
  gtk_widget_set_tooltip_text (window->undo_button, undo);
  gtk_widget_set_tooltip_text (window->redo_button, redo);
}

static void
on_message (SwageWindow *window, const char *text, gboolean is_error)
{
  /* what fits on a line passes by; what does not is read in peace */
  if (is_error && g_utf8_strlen (text, -1) > 90)
    swage_window_show_error (window, _ ("That did not work"), text);
  else
    swage_window_toast (window, text);
}

static void
show_exported (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GFile) file = g_file_new_for_path (g_variant_get_string (parameter, NULL));
  g_autoptr (GFile) folder = g_file_get_parent (file);
  g_autofree char *uri = g_file_get_uri (folder != NULL ? folder : file);
  gtk_show_uri (GTK_WINDOW (user_data), uri, GDK_CURRENT_TIME);
}

static void
explain_device (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  swage_window_show_error (user_data, _ ("The device cannot be used"),
                           g_variant_get_string (parameter, NULL));
}

static void
on_device_failed (SwageWindow *window, const char *reason)
{
  swage_window_show_banner (window, _ ("The device cannot be used. The work goes on with the CPU."),
                            _ ("_Details"), "win.explain-device", reason);
}

static void
on_device_changed (SwageWindow *window)
{
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (window), "device");
  g_simple_action_set_state (G_SIMPLE_ACTION (action),
                             g_variant_new_string (swage_session_get_device (window->session)));
}

/* The user's choice, which is kept; a device that is given up is not forgotten for the next time. */
static void
change_device (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  SwageWindow *window = user_data;
  const char *device = g_variant_get_string (state, NULL);
  g_autoptr (GError) error = NULL;
  if (!swage_device_check_spec (device, &error))
    {
      swage_window_toast (window, error->message);
      return;
    }
  swage_session_set_device (window->session, device);
  if (window->settings != NULL)
    g_settings_set_string (window->settings, "device", device);
}

static void
repeat_message (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GVariant) state = g_action_get_state (G_ACTION (action));
  const char *text = g_variant_get_string (state, NULL);
  swage_window_toast (user_data, text[0] != '\0' ? text : _ ("Nothing has happened yet"));
}

static void
restore_lost (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  if (!swage_window_offer_lost (user_data))
    swage_window_toast (user_data, _ ("No session was lost"));
}

/* Work that ends while the user is elsewhere says so. */
static void
notify_user (SwageWindow *window, const char *id, const char *title, const char *body)
{
  GtkApplication *application = gtk_window_get_application (GTK_WINDOW (window));
  if (application == NULL || gtk_window_is_active (GTK_WINDOW (window)) || window->settings == NULL
      || !g_settings_get_boolean (window->settings, "notifications"))
    return;
  g_autoptr (GNotification) notification = g_notification_new (title);
  g_notification_set_body (notification, body);
  g_application_send_notification (G_APPLICATION (application), id, notification);
}

static void
on_exported (SwageWindow *window, const char *path)
{
  g_autofree char *name = g_path_get_basename (path), *text = g_strdup_printf (_ ("Exported “%s”"), name);
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  AdwToast *toast = adw_toast_new (escaped);
  adw_toast_set_button_label (toast, _ ("Show in Files"));
  adw_toast_set_action_name (toast, "win.show-exported");
  adw_toast_set_action_target (toast, "s", path);
  adw_toast_set_timeout (toast, 0); /* exports take long: the user may be elsewhere */
  swage_window_add_toast (window, toast, text);
  notify_user (window, "export", _ ("Export finished"), text);
}

static void
on_previewed (SwageWindow *window, gboolean success)
{
  g_autofree char *numbers = NULL;
  g_object_get (window->session, "perplexity-text", &numbers, NULL);
  if (success)
    notify_user (window, "preview", _ ("Preview finished"), numbers);
}

static void
on_layer_chosen (SwageWindow *window, SwageLayerItem *item, gboolean extend)
{
  swage_layer_list_select (window->list, item, extend);
}

static char *
get_text_path (SwageWindow *window, const char *key, const char *fallback)
{
  g_autofree char *path
      = window->settings != NULL ? g_settings_get_string (window->settings, key) : g_strdup ("");
  if (path[0] != '\0' && g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return g_steal_pointer (&path);
  return swage_paths_find_data (fallback);
}

/* Settings that the session follows. `key` NULL: all of them. */
static void
on_setting (SwageWindow *window, const char *key)
{
  SwageSession *session = window->session;
  g_autofree char *id = g_settings_get_string (window->settings, "protocol"),
                  *preset = g_settings_get_string (window->settings, "default-preset");
  SwageProtocol protocol, now;
  int context = g_settings_get_int (window->settings, "context"), context_now;
  swage_session_get_protocol (session, &now, &context_now);
  if (swage_protocol_from_id (id, &protocol) && (protocol != now || context != context_now))
    swage_session_set_protocol (session, protocol, context);
  swage_session_set_preset (session, preset);
  swage_session_set_cache (session, (uint64_t)g_settings_get_int (window->settings, "cache-size") << 20);
  if (key == NULL || strcmp (key, "device") == 0)
    {
      g_autofree char *device = g_settings_get_string (window->settings, "device");
      if (swage_device_check_spec (device, NULL))
        swage_session_set_device (session, device);
    }
  bool live = g_settings_get_boolean (window->settings, "live-preview");
  if (live != swage_session_get_live (session))
    swage_session_set_live (session, live);
}

static void
load_settings (SwageWindow *window)
{
  g_autofree char *evaluation = get_text_path (window, "evaluation-text", "sample/kjv.eval.txt");
  g_autofree char *calibration = get_text_path (window, "calibration-text", "sample/kjv.calibration.txt");
  swage_session_set_evaluation (window->session, evaluation);
  swage_session_set_calibration (window->session, calibration);
  g_autofree char *history = g_build_filename (g_get_user_data_dir (), "swage", "history", NULL);
  swage_history_set_folder (swage_session_get_history (window->session), history);
  if (window->settings == NULL)
    return;
  on_setting (window, NULL);
  g_signal_connect_object (window->settings, "changed", G_CALLBACK (on_setting), window, G_CONNECT_SWAPPED);
  int width, height;
  g_settings_get (window->settings, "window-size", "(ii)", &width, &height);
  gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  if (g_settings_get_boolean (window->settings, "maximized"))
    gtk_window_maximize (GTK_WINDOW (window));
  g_settings_bind (window->settings, "log-axis", window->inspector, "log-axis", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (window->settings, "group", window->list, "group", G_SETTINGS_BIND_DEFAULT);
}

void
swage_window_save_settings (SwageWindow *window)
{
  if (window->settings == NULL)
    return;
  int width, height, context;
  SwageProtocol protocol;
  gtk_window_get_default_size (GTK_WINDOW (window), &width, &height);
  swage_session_get_protocol (window->session, &protocol, &context);
  g_settings_set (window->settings, "window-size", "(ii)", width, height);
  g_settings_set_boolean (window->settings, "maximized", gtk_window_is_maximized (GTK_WINDOW (window)));
  g_settings_set_string (window->settings, "protocol", swage_protocol_get_id (protocol));
  g_settings_set_int (window->settings, "context", context);
}

/* --- window
 * -------------------------------------------------------------------------------------------------- */

static void
set_symbol (GtkMenuButton *button, bool symbol, const char *icon, const char *label)
{
  if (symbol)
    gtk_menu_button_set_icon_name (button, icon);
  else
    gtk_menu_button_set_label (button, label);
}

static gboolean
apply_width (gpointer data)
{
  SwageWindow *window = data;
  bool wide = window->width == WIDTH_WIDE, narrow = window->width == WIDTH_NARROW;
  window->width_id = 0;
  gtk_widget_set_size_request (GTK_WIDGET (window->list), wide ? 560 : narrow ? 300 : 380, -1);
  gtk_widget_set_size_request (GTK_WIDGET (window->recipe), wide ? 370 : narrow ? 300 : 310, -1);
  g_object_set (window->list, "wide", wide, NULL);
  /* undo and redo are in the main menu too */
  gtk_widget_set_visible (window->undo_box, !narrow);
  set_symbol (window->open_button, narrow, "document-open-symbolic", _ ("_Open"));
  set_symbol (window->export_button, narrow, "document-save-symbolic", _ ("_Export"));
  /* the button under the numbers: it need not be scrolled to */
  GtkLayoutManager *layout = gtk_widget_get_layout_manager (GTK_WIDGET (window->numbers));
  if (GTK_IS_BOX_LAYOUT (layout))
    gtk_orientable_set_orientation (GTK_ORIENTABLE (layout),
                                    narrow ? GTK_ORIENTATION_VERTICAL : GTK_ORIENTATION_HORIZONTAL);
  for (GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (window->numbers)); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (!gtk_widget_get_hexpand (child))
      gtk_widget_set_halign (child, narrow ? GTK_ALIGN_START : GTK_ALIGN_FILL);
  return G_SOURCE_REMOVE;
}

static void
size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  SwageWindow *window = SWAGE_WINDOW (widget);
  GTK_WIDGET_CLASS (swage_window_parent_class)->size_allocate (widget, width, height, baseline);
  int now = width >= WIDE ? WIDTH_WIDE : width < NARROW ? WIDTH_NARROW : WIDTH_USUAL;
  /* not while sizes are being given out */
  if (now != window->width && window->width_id == 0)
    window->width_id = g_idle_add_full (G_PRIORITY_HIGH_IDLE, apply_width, window, NULL);
  window->width = now;
}

static void
close_now (SwageWindow *window, gpointer data)
{
  window->closing = true;
  gtk_window_close (GTK_WINDOW (window));
}

static gboolean
close_request (GtkWindow *widget)
{
  SwageWindow *window = SWAGE_WINDOW (widget);
  if (!window->closing && swage_session_is_modified (window->session))
    {
      swage_window_confirm_unsaved (window, close_now, NULL, NULL);
      return TRUE;
    }
  window->closing = true;
  swage_window_save_settings (window);
  swage_recovery_end (window->recovery);
  if (window->opening != NULL)
    g_cancellable_cancel (window->opening);
  /* work that runs is cancelled and leaves nothing behind */
  g_object_run_dispose (G_OBJECT (window->session));
  return GTK_WINDOW_CLASS (swage_window_parent_class)->close_request (widget);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_value_set_object (value, SWAGE_WINDOW (object)->session);
}

static void
dispose (GObject *object)
{
  SwageWindow *window = SWAGE_WINDOW (object);
  g_clear_handle_id (&window->width_id, g_source_remove);
  g_clear_object (&window->chooser);
  g_clear_object (&window->opening);
  g_clear_object (&window->settings);
  if (window->monitor != NULL)
    g_signal_handlers_disconnect_by_data (window->monitor, window);
  g_clear_object (&window->monitor);
  g_clear_pointer (&window->restoring, swage_lost_free);
  g_clear_pointer (&window->recovery, swage_recovery_free);
  g_clear_weak_pointer (&window->lasting_toast);
  g_clear_object (&window->toast_children);
  if (window->session != NULL)
    g_signal_handlers_disconnect_by_data (window->session, window);
  G_OBJECT_CLASS (swage_window_parent_class)->dispose (object);
}

static void
finalize (GObject *object)
{
  SwageWindow *window = SWAGE_WINDOW (object);
  g_clear_object (&window->session);
  g_free (window->opening_path);
  g_free (window->opening_plan);
  g_free (window->waiting_plan);
  G_OBJECT_CLASS (swage_window_parent_class)->finalize (object);
}

static void
swage_window_class_init (SwageWindowClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  object_class->get_property = get_property;
  widget_class->size_allocate = size_allocate;
  GTK_WINDOW_CLASS (klass)->close_request = close_request;
  props[PROP_SESSION] = g_param_spec_object ("session", NULL, NULL, SWAGE_TYPE_SESSION,
                                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);

  g_type_ensure (SWAGE_TYPE_OPEN_PAGE);
  g_type_ensure (SWAGE_TYPE_LAYER_LIST);
  g_type_ensure (SWAGE_TYPE_INSPECTOR);
  g_type_ensure (SWAGE_TYPE_RECIPE_PANEL);
  g_type_ensure (SWAGE_TYPE_NUMBERS_STRIP);
  gtk_widget_class_set_template_from_resource (widget_class, "/io/github/swage/Swage/shell/swage-window.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, stack);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, opening_spinner);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, banner);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, banner_label);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, banner_button);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, list_flap);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, recipe_flap);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, list);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, inspector);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, recipe);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, numbers);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, title);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, open_button);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, export_button);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, undo_box);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, undo_button);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, redo_button);
  gtk_widget_class_bind_template_child (widget_class, SwageWindow, recent_menu);
  gtk_widget_class_bind_template_callback (widget_class, on_layer_chosen);
  gtk_widget_class_bind_template_callback (widget_class, swage_window_hide_banner);
}

static void
swage_window_init (SwageWindow *window)
{
  static const GActionEntry entries[]
      = { { "show-exported", show_exported, "s" },   { "explain", explain, "s" },
          { "explain-device", explain_device, "s" }, { "device", NULL, "s", "'cpu'", change_device },
          { "restore-lost", restore_lost },          { "last-message", repeat_message, NULL, "''" } };
  window->session = swage_session_new ();
  window->recovery = swage_recovery_new (window->session);
  window->settings = swage_settings_new ();
  window->width = WIDTH_WIDE;
  gtk_widget_init_template (GTK_WIDGET (window));
  swage_window_install_actions (window);
  g_action_map_add_action_entries (G_ACTION_MAP (window), entries, G_N_ELEMENTS (entries), window);
  swage_window_watch_toasts (window);
  load_settings (window);

  SwageSession *session = window->session;
  swage_layer_list_set_session (window->list, session);
  swage_inspector_set_session (window->inspector, session);
  swage_recipe_panel_set_session (window->recipe, session);
  g_signal_connect_swapped (session, "plan-changed", G_CALLBACK (on_plan_changed), window);
  g_signal_connect_swapped (session, "model-changed", G_CALLBACK (on_plan_changed), window);
  g_signal_connect_swapped (session, "notify::modified", G_CALLBACK (update_title), window);
  g_signal_connect_swapped (session, "notify::busy", G_CALLBACK (swage_window_update_actions), window);
  g_signal_connect_swapped (session, "message", G_CALLBACK (on_message), window);
  g_signal_connect_swapped (session, "notify::device", G_CALLBACK (on_device_changed), window);
  g_signal_connect_swapped (session, "device-failed", G_CALLBACK (on_device_failed), window);
  g_signal_connect_swapped (session, "exported", G_CALLBACK (on_exported), window);
  g_signal_connect_swapped (session, "previewed", G_CALLBACK (on_previewed), window);

  GtkDropTarget *drop = gtk_drop_target_new (GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);
  g_signal_connect (drop, "drop", G_CALLBACK (on_drop), window);
  gtk_widget_add_controller (GTK_WIDGET (window), GTK_EVENT_CONTROLLER (drop));
  g_signal_connect_object (gtk_recent_manager_get_default (), "changed", G_CALLBACK (fill_recent), window,
                           G_CONNECT_SWAPPED);
  fill_recent (window);
  on_device_changed (window);
  on_plan_changed (window);
  show_state (window);
}

SwageWindow *
swage_window_new (GtkApplication *application)
{
  return g_object_new (SWAGE_TYPE_WINDOW, "application", application, NULL);
}
