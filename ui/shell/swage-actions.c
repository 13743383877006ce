/* SPDX-License-Identifier: MIT
 *
 * THE table of actions: what the window can do, by which keys, and how the shortcuts window calls it.
 */
#include "ui/shell/swage-actions.h"

#include "ui/export/swage-export-dialog.h"
#include "ui/shell/swage-paths.h"
#include "ui/shell/swage-window-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

typedef void (*ActionFunc) (SwageWindow *window, GVariant *parameter);

typedef struct
{
  const char *name; /* with its group: "win.", "app.", or that of a widget */
  const char *parameter;
  ActionFunc func;           /* NULL: somebody else's action, here for its keys */
  const char *group, *title; /* in the shortcuts window; NULL: not there */
  const char *accels[3];
} Action;

static void
open_folder_chosen (SwageWindow *window, const char *path)
{
  swage_window_open (window, path, NULL);
}

static void
open_folder (SwageWindow *window, GVariant *parameter)
{
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("Open a Model Folder"), _ ("_Open"),
                       NULL, NULL, open_folder_chosen);
}

static void
open_file (SwageWindow *window, GVariant *parameter)
{
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("Open a Model File"), _ ("_Open"), NULL,
                       swage_window_model_filter (), open_folder_chosen);
}

static void
open_plan (SwageWindow *window, GVariant *parameter)
{
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("Open a Plan"), _ ("_Open"), NULL,
                       swage_window_plan_filter (), open_folder_chosen);
}

static void
open_path (SwageWindow *window, GVariant *parameter)
{
  swage_window_open (window, g_variant_get_string (parameter, NULL), NULL);
}

static void
open_sample (SwageWindow *window, GVariant *parameter)
{
  g_autofree char *path = swage_paths_find_data ("sample");
  if (path != NULL)
    swage_window_open (window, path, NULL);
  else
    swage_window_show_error (window, _ ("The sample is not there"),
                             _ ("This copy of Swage came without its sample model."));
}

static void
save_plan (SwageWindow *window, GVariant *parameter)
{
  swage_window_save_plan (window, false);
}

static void
save_plan_as (SwageWindow *window, GVariant *parameter)
{
  swage_window_save_plan (window, true);
}

static void
save_plan_to (SwageWindow *window, GVariant *parameter)
{
  g_autoptr (GError) error = NULL;
  if (!swage_session_save_plan (window->session, g_variant_get_string (parameter, NULL), &error))
    swage_window_show_error (window, _ ("The plan was not saved"), error->message);
}

static void
undo (SwageWindow *window, GVariant *parameter)
{
  swage_plan_undo (swage_session_get_plan (window->session));
}

static void
redo (SwageWindow *window, GVariant *parameter)
{
  swage_plan_redo (swage_session_get_plan (window->session));
}

static void
clear_plan (SwageWindow *window, GVariant *parameter)
{
  SwagePlan *plan = swage_session_get_plan (window->session);
  if (swage_plan_get_n_rules (plan) == 0)
    return;
  swage_plan_clear (plan);
  swage_window_toast_undo (window, _ ("Plan cleared"));
}

static void
preview (SwageWindow *window, GVariant *parameter)
{
  swage_session_preview (window->session);
}

static void
cancel (SwageWindow *window, GVariant *parameter)
{
  swage_session_cancel (window->session);
}

static void export(SwageWindow *window, GVariant *parameter)
{
  SwageExportFormat format;
  if (swage_export_format_from_id (g_variant_get_string (parameter, NULL), &format))
    swage_export_dialog_present (GTK_WINDOW (window), window->session, format);
}

/* Without questions, for scripts: ("gguf", "/path"). Never overwrites. */
static void
export_to (SwageWindow *window, GVariant *parameter)
{
  const char *id, *path;
  SwageExportFormat format;
  g_variant_get (parameter, "(&s&s)", &id, &path);
  if (swage_export_format_from_id (id, &format))
    swage_session_export (window->session, format, path, SWAGE_TYPE_NONE, false);
}

static void
evaluation_chosen (SwageWindow *window, const char *path)
{
  swage_session_set_evaluation (window->session, path);
  if (window->settings != NULL)
    g_settings_set_string (window->settings, "evaluation-text", path);
}

static void
choose_evaluation (SwageWindow *window, GVariant *parameter)
{
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("Text to Measure On"), _ ("_Choose"), NULL,
                       swage_window_text_filter (), evaluation_chosen);
}

static void
calibration_chosen (SwageWindow *window, const char *path)
{
  swage_session_set_calibration (window->session, path);
  if (window->settings != NULL)
    g_settings_set_string (window->settings, "calibration-text", path);
}

static void
choose_calibration (SwageWindow *window, GVariant *parameter)
{
  swage_window_choose (window, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("Calibration Text"), _ ("_Choose"), NULL,
                       swage_window_text_filter (), calibration_chosen);
}

static void
find (SwageWindow *window, GVariant *parameter)
{
  adw_flap_set_reveal_flap (window->list_flap, TRUE);
  swage_layer_list_focus_search (window->list);
}

static void
select_layers (SwageWindow *window, GVariant *parameter)
{
  swage_layer_list_select_glob (window->list, g_variant_get_string (parameter, NULL));
}

static void
select_role (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->list), "layers.select-role", NULL);
}

static void
select_all (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->list), "layers.select-all", NULL);
}

static void
show_page (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->inspector), "inspect.page", "s",
                              g_variant_get_string (parameter, NULL));
}

static void
show_source (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->inspector), "inspect.source", "s",
                              g_variant_get_string (parameter, NULL));
}

static void
save_plot (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->inspector), "inspect.save-to", "s",
                              g_variant_get_string (parameter, NULL));
}

static void
add_step (SwageWindow *window, GVariant *parameter)
{
  gtk_widget_activate_action (GTK_WIDGET (window->recipe), "recipe.add", "s",
                              g_variant_get_string (parameter, NULL));
}

static void
apply_preset (SwageWindow *window, GVariant *parameter)
{
  SwagePlan *plan = swage_session_get_plan (window->session);
  SwageModel *model = swage_session_get_model (window->session);
  const char *id = g_variant_get_string (parameter, NULL), *title = swage_plan_get_preset_title (id);
  g_autoptr (GError) error = NULL;
  if (!swage_plan_apply_preset (plan, id, model, &error))
    {
      swage_window_show_error (window, _ ("The preset cannot be used"), error->message);
      return;
    }
  g_autofree char *text
      = g_strdup_printf (_ ("Preset “%s” applied to all layers"), title != NULL ? title : id);
  swage_window_toast_undo (window, text);
}

static void
toggle_list (SwageWindow *window, GVariant *parameter)
{
  adw_flap_set_reveal_flap (window->list_flap, !adw_flap_get_reveal_flap (window->list_flap));
}

static void
toggle_recipe (SwageWindow *window, GVariant *parameter)
{
  adw_flap_set_reveal_flap (window->recipe_flap, !adw_flap_get_reveal_flap (window->recipe_flap));
}

static void
choose_device (SwageWindow *window, GVariant *parameter)
{
  swage_numbers_strip_choose_device (window->numbers);
}

static void show_shortcuts (SwageWindow *window, GVariant *parameter);

static const Action table[] = {
  { "win.open-folder", NULL, open_folder, N_ ("Files"), N_ ("Open a model folder"), { "<Control>o" } },
  { "win.open-file", NULL, open_file, N_ ("Files"), N_ ("Open a model file"), { "<Control><Shift>o" } },
  { "win.open-sample", NULL, open_sample, NULL, NULL, { NULL } },
  { "win.open-path", "s", open_path, NULL, NULL, { NULL } },
  { "win.open-plan", NULL, open_plan, N_ ("Files"), N_ ("Open a plan"), { "<Control>l" } },
  { "win.save-plan", NULL, save_plan, N_ ("Files"), N_ ("Save the plan"), { "<Control>s" } },
  { "win.save-plan-as", NULL, save_plan_as, N_ ("Files"), N_ ("Save the plan as"), { "<Control><Shift>s" } },
  { "win.save-plan-to", "s", save_plan_to, NULL, NULL, { NULL } },
  { "win.export::gguf", NULL, NULL, N_ ("Files"), N_ ("Export"), { "<Control>e" } },
  { "win.export", "s", export, NULL, NULL, { NULL } },
  { "win.export-to", "(ss)", export_to, NULL, NULL, { NULL } },
  { "win.undo", NULL, undo, N_ ("Plan"), N_ ("Undo"), { "<Control>z" } },
  { "win.redo", NULL, redo, N_ ("Plan"), N_ ("Redo"), { "<Control><Shift>z", "<Control>y" } },
  { "win.clear-plan", NULL, clear_plan, NULL, NULL, { NULL } },
  { "win.add-step", "s", add_step, NULL, NULL, { NULL } },
  { "win.preset", "s", apply_preset, NULL, NULL, { NULL } },
  { "win.preview", NULL, preview, N_ ("Plan"), N_ ("Preview"), { "<Control>Return", "F5" } },
  { "win.cancel", NULL, cancel, N_ ("Plan"), N_ ("Cancel the running work"), { "<Control>period" } },
  { "win.choose-device", NULL, choose_device, N_ ("Plan"), N_ ("Choose the device"), { "<Control>d" } },
  { "win.choose-evaluation", NULL, choose_evaluation, NULL, NULL, { NULL } },
  { "win.choose-calibration", NULL, choose_calibration, NULL, NULL, { NULL } },
  { "win.find", NULL, find, N_ ("Layers"), N_ ("Find layers"), { "<Control>f" } },
  { "win.select", "s", select_layers, NULL, NULL, { NULL } },
  { "win.select-role", NULL, select_role, N_ ("Layers"), N_ ("Select all of this role"), { "<Control>r" } },
  { "win.select-all", NULL, select_all, N_ ("Layers"), N_ ("Select all layers"), { "<Control><Shift>a" } },
  { "win.page::histogram", NULL, NULL, N_ ("View"), N_ ("Histogram"), { "<Alt>1" } },
  { "win.page::channels", NULL, NULL, N_ ("View"), N_ ("Channels"), { "<Alt>2" } },
  { "win.page::map", NULL, NULL, N_ ("View"), N_ ("Map"), { "<Alt>3" } },
  { "win.page::heatmap", NULL, NULL, N_ ("View"), N_ ("Heat map"), { "<Alt>4" } },
  { "win.page::spectrum", NULL, NULL, N_ ("View"), N_ ("Spectrum"), { "<Alt>5" } },
  { "win.page::text", NULL, NULL, N_ ("View"), N_ ("Text"), { "<Alt>6" } },
  { "win.page::tradeoff", NULL, NULL, N_ ("View"), N_ ("Trade-off"), { "<Alt>7" } },
  { "win.page", "s", show_page, NULL, NULL, { NULL } },
  { "win.save-plot", "s", save_plot, NULL, NULL, { NULL } },
  { "win.source::weights", NULL, NULL, N_ ("View"), N_ ("Weights"), { "<Control>1" } },
  { "win.source::activations", NULL, NULL, N_ ("View"), N_ ("Activations"), { "<Control>2" } },
  { "win.source", "s", show_source, NULL, NULL, { NULL } },
  { "win.toggle-list", NULL, toggle_list, N_ ("View"), N_ ("Show or hide the layers"), { "F9" } },
  { "win.toggle-recipe", NULL, toggle_recipe, N_ ("View"), N_ ("Show or hide the recipe"), { "<Shift>F9" } },
  { "win.last-message", NULL, NULL, N_ ("General"), N_ ("Repeat the last message"), { "<Control>m" } },
  { "app.preferences", NULL, NULL, N_ ("General"), N_ ("Preferences"), { "<Control>comma" } },
  { "app.help", NULL, NULL, N_ ("General"), N_ ("Help"), { "F1" } },
  { "win.shortcuts",
    NULL,
    show_shortcuts,
    N_ ("General"),
    N_ ("Keyboard shortcuts"),
    { "<Control>question" } },
  { "app.new-window", NULL, NULL, N_ ("General"), N_ ("New window"), { "<Control>n" } },
  { "window.close", NULL, NULL, N_ ("General"), N_ ("Close the window"), { "<Control>w" } },
  { "app.quit", NULL, NULL, N_ ("General"), N_ ("Quit"), { "<Control>q" } },
};
static const guint n_actions = G_N_ELEMENTS (table);

static void
on_activate (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  const Action *entry = g_object_get_data (G_OBJECT (action), "entry");
  entry->func (user_data, parameter);
}

void
swage_window_install_actions (SwageWindow *window)
{
  for (guint i = 0; i < n_actions; i++)
    {
      if (table[i].func == NULL)
        continue;
      g_autoptr (GVariantType) type
          = table[i].parameter != NULL ? g_variant_type_new (table[i].parameter) : NULL;
      g_autoptr (GSimpleAction) action = g_simple_action_new (table[i].name + strlen ("win."), type);
      g_object_set_data (G_OBJECT (action), "entry", (gpointer)&table[i]);
      g_signal_connect (action, "activate", G_CALLBACK (on_activate), window);
      g_action_map_add_action (G_ACTION_MAP (window), G_ACTION (action));
    }
}

static void
set_enabled (SwageWindow *window, const char *name, bool enabled)
{
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (window), name);
  g_simple_action_set_enabled (G_SIMPLE_ACTION (action), enabled);
}

void
swage_window_update_actions (SwageWindow *window)
{
  SwagePlan *plan = swage_session_get_plan (window->session);
  SwagePlanSize size;
  bool open = swage_session_get_model (window->session) != NULL,
       busy = swage_session_is_busy (window->session);
  bool fits = open && swage_session_get_size (window->session, &size, NULL);
  static const char *const need_model[]
      = { "open-plan", "save-plan", "save-plan-as", "save-plan-to",  "clear-plan",   "add-step",
          "preset",    "find",      "select-role",  "toggle-recipe", "select",       "select-all",
          "page",      "source",    "save-plot",    "toggle-list",   "choose-device" };
  for (guint i = 0; i < G_N_ELEMENTS (need_model); i++)
    set_enabled (window, need_model[i], open);
  set_enabled (window, "undo", open && swage_plan_can_undo (plan));
  set_enabled (window, "redo", open && swage_plan_can_redo (plan));
  set_enabled (window, "preview", fits && !busy);
  set_enabled (window, "export", fits && !busy);
  set_enabled (window, "export-to", fits && !busy);
  set_enabled (window, "cancel", busy);
}

void
swage_actions_set_accels (GtkApplication *application)
{
  for (guint i = 0; i < n_actions; i++)
    if (table[i].accels[0] != NULL)
      gtk_application_set_accels_for_action (application, table[i].name, table[i].accels);
}

/* The toolkit's shortcuts window can be put together by its builder alone; so the table is written as one of
 * its files. */
static void
show_shortcuts (SwageWindow *window, GVariant *parameter)
{
  g_autoptr (GString) xml = g_string_new (
      "<interface><object class='GtkShortcutsWindow' id='window'><property name='modal'>1</property>"
      "<child><object class='GtkShortcutsSection'>"
      "<property name='section-name'>shortcuts</property>"
      "<property name='max-height'>12</property>");
  const char *group = NULL;
  for (guint i = 0; i < n_actions; i++)
    {
      if (table[i].title == NULL)
        continue;
      if (g_strcmp0 (group, table[i].group) != 0)
        {
          g_autofree char *title = g_markup_escape_text (_ (table[i].group), -1);
          g_string_append_printf (
              xml, "%s<child><object class='GtkShortcutsGroup'><property name='title'>%s</property>",
              group != NULL ? "</object></child>" : "", title);
          group = table[i].group;
        }
      g_autofree char *keys = g_strjoinv (" ", (char **)table[i].accels);
      g_autofree char *accels = g_markup_escape_text (keys, -1),
                      *title = g_markup_escape_text (_ (table[i].title), -1);
      g_string_append_printf (
          xml,
          "<child><object class='GtkShortcutsShortcut'><property name='title'>%s</property>"
          "<property name='accelerator'>%s</property></object></child>",
          title, accels);
    }
  g_string_append (xml, "</object></child></object></child></object></interface>");
  g_autoptr (GtkBuilder) builder = gtk_builder_new_from_string (xml->str, (gssize)xml->len);
  GtkWindow *shortcuts = GTK_WINDOW (gtk_builder_get_object (builder, "window"));
  gtk_window_set_transient_for (shortcuts, GTK_WINDOW (window));
  gtk_window_present (shortcuts);
}
