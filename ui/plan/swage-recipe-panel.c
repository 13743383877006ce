/* SPDX-License-Identifier: MIT
 *
 * Rows are kept as long as the recipe has the same methods in the same order, and only shown other values: so
 * a slider that is being dragged survives the changes that it makes itself.
 */
#include "ui/plan/swage-recipe-panel.h"

#include "ui/plan/swage-step-row.h"

#include <glib/gi18n-lib.h>

struct _SwageRecipePanel
{
  GtkWidget parent_instance;
  SwageSession *session;
  SwageRecipe *recipe; /* common to the selected layers; NULL: none, or they differ */
  bool differs;
  GPtrArray *rows; /* SwageStepRow, borrowed from the list box */

  GtkLabel *title, *hint, *problem, *size_value, *bits_value, *error_value;
  GtkWidget *mixed, *clear_button;
  GtkListBox *steps;
  GtkMenuButton *add_button, *presets_button;
  AdwPreferencesGroup *results;
};

G_DEFINE_FINAL_TYPE (SwageRecipePanel, swage_recipe_panel, GTK_TYPE_WIDGET)

/* --- changing the recipe
 * ------------------------------------------------------------------------------------- */

static GPtrArray *
dup_steps (SwageRecipePanel *self)
{
  GPtrArray *steps = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_step_unref);
  int n = self->recipe != NULL ? swage_recipe_get_n (self->recipe) : 0;
  for (int i = 0; i < n; i++)
    g_ptr_array_add (steps, swage_step_ref (swage_recipe_get (self->recipe, i)));
  return steps;
}

static void
set_steps (SwageRecipePanel *self, GPtrArray *steps, const char *label)
{
  g_autoptr (SwageRecipe) recipe
      = steps->len > 0 ? swage_recipe_new ((SwageStep *const *)steps->pdata, (int)steps->len) : NULL;
  swage_session_set_recipe (self->session, recipe, label);
}

static int
find_row (SwageRecipePanel *self, SwageStepRow *row)
{
  guint position;
  return g_ptr_array_find (self->rows, row, &position) ? (int)position : -1;
}

static void
on_edited (SwageRecipePanel *self, SwageStep *step, const char *label, SwageStepRow *row)
{
  int position = find_row (self, row);
  g_autoptr (GPtrArray) steps = dup_steps (self);
  if (position < 0 || position >= (int)steps->len)
    return;
  swage_step_unref (steps->pdata[position]);
  steps->pdata[position] = swage_step_ref (step);
  set_steps (self, steps, label);
}

static void
on_moved (SwageRecipePanel *self, int direction, SwageStepRow *row)
{
  int position = find_row (self, row), other = position + direction;
  g_autoptr (GPtrArray) steps = dup_steps (self);
  if (position < 0 || other < 0 || other >= (int)steps->len)
    return;
  gpointer step = steps->pdata[position];
  steps->pdata[position] = steps->pdata[other];
  steps->pdata[other] = step;
  set_steps (self, steps, _ ("Move step"));
}

static void
on_removed (SwageRecipePanel *self, SwageStepRow *row)
{
  int position = find_row (self, row);
  g_autoptr (GPtrArray) steps = dup_steps (self);
  if (position < 0 || position >= (int)steps->len)
    return;
  g_ptr_array_remove_index (steps, (guint)position);
  set_steps (self, steps, _ ("Remove step"));
}

static void
add_step (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageRecipePanel *self = SWAGE_RECIPE_PANEL (widget);
  const SwageMethod *method = swage_method_find (g_variant_get_string (parameter, NULL));
  if (method == NULL || swage_session_get_selection (self->session)->len == 0)
    return;
  gtk_menu_button_popdown (self->add_button);
  g_autoptr (GPtrArray) steps = dup_steps (self);
  g_ptr_array_add (steps, swage_step_new (method));
  g_autofree char *label = g_strdup_printf (_ ("Add %s"), _ (method->title));
  set_steps (self, steps, label);
  /* what has just been added is what will be set next */
  if (self->rows->len > 0)
    adw_expander_row_set_expanded (ADW_EXPANDER_ROW (self->rows->pdata[self->rows->len - 1]), TRUE);
}

static void
clear_steps (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageRecipePanel *self = SWAGE_RECIPE_PANEL (widget);
  swage_session_set_recipe (self->session, NULL, _ ("Remove all steps"));
}

static void
use_first (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageRecipePanel *self = SWAGE_RECIPE_PANEL (widget);
  SwageLayerItem *focus = swage_session_get_focus (self->session);
  if (focus == NULL)
    return;
  SwageRecipe *recipe = swage_plan_get_recipe (swage_session_get_plan (self->session), focus->name);
  g_autoptr (SwageRecipe) held = recipe != NULL ? swage_recipe_ref (recipe) : NULL;
  swage_session_set_recipe (self->session, held, _ ("Use one recipe"));
}

/* --- showing it
 * ---------------------------------------------------------------------------------------------- */

static bool
has_same_methods (SwageRecipePanel *self)
{
  int n = self->recipe != NULL ? swage_recipe_get_n (self->recipe) : 0;
  if (n != (int)self->rows->len)
    return false;
  for (int i = 0; i < n; i++)
    if (swage_step_row_get_method (self->rows->pdata[i])
        != swage_step_get_method (swage_recipe_get (self->recipe, i)))
      return false;
  return true;
}

static void
update_steps (SwageRecipePanel *self)
{
  int n = self->recipe != NULL ? swage_recipe_get_n (self->recipe) : 0;
  if (!has_same_methods (self))
    {
      for (guint i = 0; i < self->rows->len; i++)
        gtk_list_box_remove (self->steps, self->rows->pdata[i]);
      g_ptr_array_set_size (self->rows, 0);
      for (int i = 0; i < n; i++)
        {
          GtkWidget *row = swage_step_row_new (swage_recipe_get (self->recipe, i));
          g_signal_connect_swapped (row, "edited", G_CALLBACK (on_edited), self);
          g_signal_connect_swapped (row, "moved", G_CALLBACK (on_moved), self);
          g_signal_connect_swapped (row, "removed", G_CALLBACK (on_removed), self);
          gtk_list_box_append (self->steps, row);
          g_ptr_array_add (self->rows, row);
          /* a short recipe has room for all of its settings */
          adw_expander_row_set_expanded (ADW_EXPANDER_ROW (row), n <= 2);
        }
    }
  for (int i = 0; i < n; i++)
    swage_step_row_set_step (self->rows->pdata[i], swage_recipe_get (self->recipe, i), i, n);
}

static void
update_results (SwageRecipePanel *self)
{
  GPtrArray *selection = swage_session_get_selection (self->session);
  uint64_t bytes = 0, original = 0;
  int64_t parameters = 0;
  double squares = 0, norms = 0, worst = 0;
  bool known = true;
  const char *problem = NULL;
  for (guint i = 0; i < selection->len; i++)
    {
      SwageLayerItem *item = selection->pdata[i];
      bytes += item->bytes;
      original += item->original_bytes;
      parameters += item->parameters;
      double error = swage_layer_item_get_relative_error (item);
      known = known && !isnan (error);
      worst = fmax (worst, error);
      /* the error of all layers together: weighted by their norms where these are known */
      double norm = item->weight_before != NULL
                        ? item->weight_before->summary.std * item->weight_before->summary.std
                              * (double)item->parameters
                        : (double)item->parameters;
      squares += error * error * norm;
      norms += norm;
      if (problem == NULL)
        problem = item->problem != NULL ? item->problem : item->changed ? item->after_problem : NULL;
    }
  gtk_widget_set_visible (GTK_WIDGET (self->results), selection->len > 0);
  if (selection->len > 0)
    {
      g_autofree char *size = g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
      g_autofree char *all
          = bytes == original || original == 0
                ? g_strdup (size)
                : g_strdup_printf ("%s (%+.0f %%)", size, 100 * ((double)bytes / (double)original - 1));
      g_autofree char *bits
          = g_strdup_printf ("%.3f", parameters > 0 ? 8.0 * (double)bytes / (double)parameters : 0);
      double mean = norms > 0 ? sqrt (squares / norms) : 0;
      g_autofree char *error = !known       ? g_strdup ("…")
                               : worst == 0 ? g_strdup (_ ("none"))
                               : selection->len > 1
                                   ? g_strdup_printf (_ ("%.2f %% (worst %.2f %%)"), 100 * mean, 100 * worst)
                                   : g_strdup_printf ("%.3f %%", 100 * mean);
      gtk_label_set_label (self->size_value, all);
      gtk_label_set_label (self->bits_value, bits);
      gtk_label_set_label (self->error_value, error);
    }
  gtk_label_set_label (self->problem, problem != NULL ? problem : "");
  gtk_widget_set_visible (GTK_WIDGET (self->problem), problem != NULL);
}

static void
update (SwageRecipePanel *self)
{
  GPtrArray *selection = swage_session_get_selection (self->session);
  SwagePlan *plan = swage_session_get_plan (self->session);
  SwageRecipe *common = NULL;
  self->differs = false;
  for (guint i = 0; i < selection->len && !self->differs; i++)
    {
      SwageRecipe *recipe = swage_plan_get_recipe (plan, ((SwageLayerItem *)selection->pdata[i])->name);
      /* no rule and an empty recipe leave a layer alone in the same way */
      if (recipe != NULL && swage_recipe_get_n (recipe) == 0)
        recipe = NULL;
      if (i == 0)
        common = recipe;
      else
        self->differs
            = common == NULL || recipe == NULL ? common != recipe : !swage_recipe_equal (common, recipe);
    }
  if (self->differs)
    common = NULL;
  SwageRecipe *held = common != NULL ? swage_recipe_ref (common) : NULL;
  g_clear_pointer (&self->recipe, swage_recipe_unref);
  self->recipe = held;

  g_autofree char *title = NULL;
  if (selection->len == 1)
    title = g_strdup (((SwageLayerItem *)selection->pdata[0])->name);
  else if (selection->len > 1)
    title = g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%u layer", "%u layers", selection->len),
                             selection->len);
  gtk_label_set_label (self->title, title != NULL ? title : _ ("no layer"));
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->title), title);

  update_steps (self);
  gtk_widget_set_visible (GTK_WIDGET (self->steps), self->rows->len > 0);
  gtk_widget_set_visible (self->mixed, self->differs);
  gtk_widget_set_visible (GTK_WIDGET (self->hint), self->rows->len == 0 && !self->differs);
  gtk_label_set_label (self->hint, selection->len > 0 ? _ ("No steps: these layers stay as they are.")
                                                      : _ ("Select layers to give them a recipe."));
  gtk_widget_set_sensitive (GTK_WIDGET (self->add_button), selection->len > 0);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "recipe.clear", self->rows->len > 0 || self->differs);
  update_results (self);
}

/* --- the list of methods
 * ------------------------------------------------------------------------------------- */

static GtkWidget *
make_method_button (const SwageMethod *method)
{
  GtkWidget *button = gtk_button_new (), *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  GtkWidget *title = gtk_label_new (_ (method->title)), *summary = gtk_label_new (_ (method->summary));
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_label_set_xalign (GTK_LABEL (summary), 0);
  gtk_label_set_wrap (GTK_LABEL (summary), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (summary), 44);
  gtk_label_set_width_chars (GTK_LABEL (summary), 44);
  gtk_widget_add_css_class (title, "heading");
  gtk_widget_add_css_class (summary, "caption");
  gtk_widget_add_css_class (summary, "dim-label");
  gtk_box_append (GTK_BOX (box), title);
  gtk_box_append (GTK_BOX (box), summary);
  gtk_button_set_child (GTK_BUTTON (button), box);
  gtk_widget_add_css_class (button, "flat");
  gtk_accessible_update_property (GTK_ACCESSIBLE (button), GTK_ACCESSIBLE_PROPERTY_LABEL, _ (method->title),
                                  GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, _ (method->summary), -1);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), "recipe.add");
  gtk_actionable_set_action_target (GTK_ACTIONABLE (button), "s", method->id);
  return button;
}

static void
build_add_popover (SwageRecipePanel *self)
{
  GtkWidget *popover = gtk_popover_new (), *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
  GtkWidget *scrolled = gtk_scrolled_window_new ();
  for (int family = SWAGE_FAMILY_QUANTIZATION; family <= SWAGE_FAMILY_COMPENSATION; family++)
    {
      bool headed = false;
      for (int i = 0; swage_methods[i] != NULL; i++)
        {
          if ((int)swage_methods[i]->family != family)
            continue;
          if (!headed)
            {
              GtkWidget *heading = gtk_label_new (swage_family_get_title ((SwageFamily)family));
              gtk_label_set_xalign (GTK_LABEL (heading), 0);
              gtk_widget_add_css_class (heading, "caption-heading");
              gtk_widget_add_css_class (heading, "family");
              gtk_box_append (GTK_BOX (box), heading);
            }
          headed = true;
          gtk_box_append (GTK_BOX (box), make_method_button (swage_methods[i]));
        }
    }
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scrolled), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scrolled), TRUE);
  gtk_scrolled_window_set_propagate_natural_width (GTK_SCROLLED_WINDOW (scrolled), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scrolled), 480);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scrolled), box);
  gtk_popover_set_child (GTK_POPOVER (popover), scrolled);
  gtk_menu_button_set_popover (self->add_button, popover);
}

static void
build_presets_menu (SwageRecipePanel *self)
{
  g_autoptr (GMenu) menu = g_menu_new ();
  const char *const *ids = swage_plan_get_presets ();
  for (int i = 0; ids != NULL && ids[i] != NULL; i++)
    {
      /* in a menu a single underscore marks a key */
      g_auto (GStrv) parts = g_strsplit (swage_plan_get_preset_title (ids[i]), "_", -1);
      g_autofree char *label = g_strjoinv ("__", parts);
      g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
      g_menu_item_set_action_and_target (item, "win.preset", "s", ids[i]);
      g_menu_append_item (menu, item);
    }
  gtk_menu_button_set_menu_model (self->presets_button, G_MENU_MODEL (menu));
}

static void
on_statistics_changed (SwageRecipePanel *self, SwageLayerItem *item)
{
  if (g_ptr_array_find (swage_session_get_selection (self->session), item, NULL))
    update_results (self);
}

void
swage_recipe_panel_set_session (SwageRecipePanel *self, SwageSession *session)
{
  g_set_object (&self->session, session);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (on_statistics_changed), self,
                           G_CONNECT_SWAPPED);
  update (self);
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
dispose (GObject *object)
{
  SwageRecipePanel *self = SWAGE_RECIPE_PANEL (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&self->session);
  g_clear_pointer (&self->recipe, swage_recipe_unref);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  G_OBJECT_CLASS (swage_recipe_panel_parent_class)->dispose (object);
}

static void
swage_recipe_panel_class_init (SwageRecipePanelClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/plan/swage-recipe-panel.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, title);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, hint);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, problem);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, mixed);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, clear_button);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, steps);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, add_button);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, presets_button);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, results);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, size_value);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, bits_value);
  gtk_widget_class_bind_template_child (widget_class, SwageRecipePanel, error_value);
  gtk_widget_class_install_action (widget_class, "recipe.add", "s", add_step);
  gtk_widget_class_install_action (widget_class, "recipe.clear", NULL, clear_steps);
  gtk_widget_class_install_action (widget_class, "recipe.use-first", NULL, use_first);
}

static void
swage_recipe_panel_init (SwageRecipePanel *self)
{
  self->rows = g_ptr_array_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
  build_add_popover (self);
  build_presets_menu (self);
}
