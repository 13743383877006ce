/* SPDX-License-Identifier: MIT */
#include "ui/plan/swage-step-row.h"

#include "ui/param/swage-param-row.h"

#include <glib/gi18n-lib.h>

struct _SwageStepRow
{
  AdwExpanderRow parent_instance;
  SwageStep *step;
  GPtrArray *rows; /* SwageParamRow, borrowed */
  GSimpleActionGroup *actions;
  GtkWidget *number;
};

enum
{
  EDITED,
  MOVED,
  REMOVED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (SwageStepRow, swage_step_row, ADW_TYPE_EXPANDER_ROW)

const SwageMethod *
swage_step_row_get_method (SwageStepRow *row)
{
  return swage_step_get_method (row->step);
}

static void
emit_edited (SwageStepRow *row, SwageStep *step, const char *label)
{
  g_signal_emit (row, signals[EDITED], 0, step, label);
}

static void
on_param_edited (SwageStepRow *row, const char *text, SwageParamRow *param_row)
{
  const SwageParam *param = swage_param_row_get_param (param_row);
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageStep) step = swage_step_new_with (row->step, param->id, text, &error);
  if (step == NULL)
    {
      /* a rule between parameters: show what holds, and why */
      gtk_widget_set_tooltip_text (GTK_WIDGET (param_row), error->message);
      gtk_widget_error_bell (GTK_WIDGET (param_row));
      swage_param_row_set_params (param_row, swage_step_get_params (row->step));
      return;
    }
  /* one label for one parameter: a drag along the slider is one step of undo */
  g_autofree char *label = g_strdup_printf (_ ("Change %s"), _ (param->title));
  emit_edited (row, step, label);
}

/* "q4_k, 0.5": the values that matter, in the order of the table. */
static char *
summarize (const SwageStep *step)
{
  const SwageMethod *method = swage_step_get_method (step);
  const void *params = swage_step_get_params (step);
  GString *text = g_string_new (NULL);
  for (const SwageParam *param = method->params; param->kind != SWAGE_PARAM_END; param++)
    {
      if (!swage_param_is_relevant (method, param, params))
        continue;
      if (param->kind == SWAGE_PARAM_BOOL)
        {
          if (swage_param_get_number (param, params) != 0)
            g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", _ (param->title));
          continue;
        }
      g_autofree char *value = swage_param_get_text (param, params);
      g_string_append_printf (text, "%s%s", text->len > 0 ? ", " : "", value);
    }
  return g_string_free (text, FALSE);
}

static void
set_enabled_action (SwageStepRow *row, const char *name, bool enabled)
{
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (row->actions), name);
  g_simple_action_set_enabled (G_SIMPLE_ACTION (action), enabled);
}

void
swage_step_row_set_step (SwageStepRow *row, const SwageStep *step, int position, int count)
{
  SwageStep *fresh = swage_step_ref (step);
  g_clear_pointer (&row->step, swage_step_unref);
  row->step = fresh;
  bool enabled = swage_step_get_enabled (step);
  g_autofree char *summary = enabled ? summarize (step) : g_strdup (_ ("switched off"));
  g_autofree char *number = g_strdup_printf ("%d", position + 1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), _ (swage_step_get_method (step)->title));
  g_autofree char *escaped = g_markup_escape_text (summary, -1);
  adw_expander_row_set_subtitle (ADW_EXPANDER_ROW (row), escaped);
  gtk_label_set_label (GTK_LABEL (row->number), number);
  if (enabled)
    gtk_widget_remove_css_class (GTK_WIDGET (row), "off");
  else
    gtk_widget_add_css_class (GTK_WIDGET (row), "off");
  for (guint i = 0; i < row->rows->len; i++)
    swage_param_row_set_params (row->rows->pdata[i], swage_step_get_params (step));
  set_enabled_action (row, "earlier", position > 0);
  set_enabled_action (row, "later", position + 1 < count);
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (row->actions), "enabled");
  g_simple_action_set_state (G_SIMPLE_ACTION (action), g_variant_new_boolean (enabled));
}

static void
move_earlier (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_signal_emit (user_data, signals[MOVED], 0, -1);
}

static void
move_later (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_signal_emit (user_data, signals[MOVED], 0, 1);
}

static void
remove_step (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_signal_emit (user_data, signals[REMOVED], 0);
}

static void
reset_step (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  SwageStepRow *row = user_data;
  g_autoptr (SwageStep) step = swage_step_new (swage_step_get_method (row->step));
  emit_edited (row, step, _ ("Reset step"));
}

static void
change_enabled (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  SwageStepRow *row = user_data;
  bool enabled = g_variant_get_boolean (state);
  g_autoptr (SwageStep) step = swage_step_new_enabled (row->step, enabled);
  emit_edited (row, step, enabled ? _ ("Switch step on") : _ ("Switch step off"));
}

/* The arrow of an expander row is an image without a name. */
static void
name_arrow (GtkWidget *widget)
{
  if (gtk_widget_has_css_class (widget, "expander-row-arrow"))
    gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    _ ("Settings of the step"), -1);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    name_arrow (child);
}

static GMenuModel *
make_menu (void)
{
  GMenu *menu = g_menu_new (), *order = g_menu_new (), *state = g_menu_new (), *end = g_menu_new ();
  g_menu_append (order, _ ("Move _Up"), "step.earlier");
  g_menu_append (order, _ ("Move _Down"), "step.later");
  g_menu_append (state, _ ("Switched _On"), "step.enabled");
  g_menu_append (state, _ ("Reset to _Defaults"), "step.reset");
  g_menu_append (end, _ ("_Remove"), "step.remove");
  g_menu_append_section (menu, NULL, G_MENU_MODEL (order));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (state));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (end));
  g_object_unref (order);
  g_object_unref (state);
  g_object_unref (end);
  return G_MENU_MODEL (menu);
}

GtkWidget *
swage_step_row_new (const SwageStep *step)
{
  SwageStepRow *row = g_object_new (SWAGE_TYPE_STEP_ROW, NULL);
  const SwageMethod *method = swage_step_get_method (step);
  row->step = swage_step_ref (step);
  for (const SwageParam *param = method->params; param->kind != SWAGE_PARAM_END; param++)
    {
      GtkWidget *param_row = swage_param_row_new (method, param);
      g_signal_connect_swapped (param_row, "edited", G_CALLBACK (on_param_edited), row);
      adw_expander_row_add_row (ADW_EXPANDER_ROW (row), param_row);
      g_ptr_array_add (row->rows, param_row);
    }
  g_autofree char *tooltip = NULL;
  if (method->paper != NULL)
    tooltip = g_strdup_printf ("%s\n%s", _ (method->summary), method->paper);
  gtk_widget_set_tooltip_text (GTK_WIDGET (row), tooltip != NULL ? tooltip : _ (method->summary));
  swage_step_row_set_step (row, step, 0, 1);
  return GTK_WIDGET (row);
}

static void
finalize (GObject *object)
{
  SwageStepRow *row = SWAGE_STEP_ROW (object);
  swage_step_unref (row->step);
  g_ptr_array_unref (row->rows);
  g_object_unref (row->actions);
  G_OBJECT_CLASS (swage_step_row_parent_class)->finalize (object);
}

static void
swage_step_row_class_init (SwageStepRowClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = finalize;
  signals[EDITED] = g_signal_new ("edited", SWAGE_TYPE_STEP_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                  G_TYPE_NONE, 2, G_TYPE_POINTER, G_TYPE_STRING);
  signals[MOVED] = g_signal_new ("moved", SWAGE_TYPE_STEP_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                 G_TYPE_NONE, 1, G_TYPE_INT);
  signals[REMOVED]
      = g_signal_new ("removed", SWAGE_TYPE_STEP_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
swage_step_row_init (SwageStepRow *row)
{
  static const GActionEntry entries[] = {
    { "earlier", move_earlier },
    { "later", move_later },
    { "reset", reset_step },
    { "remove", remove_step },
    { "enabled", NULL, NULL, "true", change_enabled },
  };
  row->rows = g_ptr_array_new ();
  row->actions = g_simple_action_group_new ();
  g_action_map_add_action_entries (G_ACTION_MAP (row->actions), entries, G_N_ELEMENTS (entries), row);
  gtk_widget_insert_action_group (GTK_WIDGET (row), "step", G_ACTION_GROUP (row->actions));

  row->number = gtk_label_new (NULL);
  gtk_widget_add_css_class (row->number, "dim-label");
  gtk_widget_add_css_class (row->number, "numeric");
  adw_expander_row_add_prefix (ADW_EXPANDER_ROW (row), row->number);

  g_autoptr (GMenuModel) menu = make_menu ();
  GtkWidget *button = gtk_menu_button_new ();
  gtk_menu_button_set_icon_name (GTK_MENU_BUTTON (button), "view-more-symbolic");
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (button), menu);
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "flat");
  gtk_widget_set_tooltip_text (button, _ ("Step menu"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("Step menu"),
                                  -1);
  adw_expander_row_add_action (ADW_EXPANDER_ROW (row), button);
  name_arrow (GTK_WIDGET (row));
}
