/* SPDX-License-Identifier: MIT
 *
 * The chain of models behind the view:
 *
 *   roots (groups and layers outside of groups) → filter → tree (children filtered as well) → sort within
 * parents → multi-selection
 */
#include "ui/inspect/swage-layer-list.h"

#include "ui/inspect/swage-bar.h"

#include <fnmatch.h>
#include <glib/gi18n-lib.h>
#include <string.h>

/* Pixels from which on there is room for all columns. */
#define ROOMY 520

struct _SwageLayerList
{
  GtkWidget parent_instance;
  SwageSession *session;
  char *group; /* "block", "role", "none" */
  char *search_text;
  gboolean wide, inner_change;
  bool roomy; /* what the columns were chosen for */
  guint columns_id;

  GtkSearchEntry *search;
  GtkStack *stack;
  GtkColumnView *view;
  GtkLabel *summary;
  GtkColumnViewColumn *column_name, *column_shape, *column_type, *column_bits, *column_size, *column_error;

  GListStore *roots;
  GtkFilter *filter;
  GtkTreeListModel *tree;
  GtkMultiSelection *selection;
};

enum
{
  PROP_0,
  PROP_GROUP,
  PROP_WIDE,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageLayerList, swage_layer_list, GTK_TYPE_WIDGET)

static SwageLayerItem *
get_item (SwageLayerList *self, guint position)
{
  g_autoptr (GtkTreeListRow) row = g_list_model_get_item (G_LIST_MODEL (self->selection), position);
  return row != NULL ? gtk_tree_list_row_get_item (row) : NULL;
}

/* --- search
 * -------------------------------------------------------------------------------------------------- */

static gboolean
matches (gpointer object, gpointer user_data)
{
  SwageLayerItem *item = object;
  SwageLayerList *self = user_data;
  if (self->search_text == NULL || self->search_text[0] == '\0')
    return TRUE;
  if (!swage_layer_item_is_group (item))
    {
      g_autofree char *name = g_utf8_casefold (item->name, -1), *type = g_utf8_casefold (item->type_text, -1);
      return strstr (name, self->search_text) != NULL || strstr (type, self->search_text) != NULL;
    }
  guint n = g_list_model_get_n_items (G_LIST_MODEL (item->children));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) child = g_list_model_get_item (G_LIST_MODEL (item->children), i);
      if (matches (child, self))
        return TRUE;
    }
  return FALSE;
}

static void
update_summary (SwageLayerList *self)
{
  bool any = g_list_model_get_n_items (G_LIST_MODEL (self->selection)) > 0 || self->search_text == NULL;
  gtk_stack_set_visible_child_name (self->stack, any ? "list" : "empty");
  if (self->session == NULL)
    return;
  guint n = swage_session_get_selection (self->session)->len;
  guint all = g_list_model_get_n_items (swage_session_get_layers (self->session));
  g_autofree char *text
      = n > 0 ? g_strdup_printf (
            g_dngettext (GETTEXT_PACKAGE, "%u of %u layers selected", "%u of %u layers selected", n), n, all)
              : g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%u layer", "%u layers", all), all);
  gtk_label_set_label (self->summary, text);
}

static void
on_search_changed (SwageLayerList *self)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (self->search));
  g_free (self->search_text);
  self->search_text = text[0] != '\0' ? g_utf8_casefold (text, -1) : NULL;
  self->inner_change = TRUE;
  gtk_filter_changed (self->filter, GTK_FILTER_CHANGE_DIFFERENT);
  self->inner_change = FALSE;
  update_summary (self);
}

/* --- tree
 * ---------------------------------------------------------------------------------------------------- */

static GListModel *
create_children (gpointer object, gpointer user_data)
{
  SwageLayerItem *item = object;
  SwageLayerList *self = user_data;
  if (!swage_layer_item_is_group (item))
    return NULL;
  return G_LIST_MODEL (
      gtk_filter_list_model_new (g_object_ref (G_LIST_MODEL (item->children)), g_object_ref (self->filter)));
}

static void
update_groups (SwageLayerList *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->roots));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (self->roots), i);
      if (swage_layer_item_is_group (item))
        swage_layer_item_update_group (item);
    }
}

static void
build_roots (SwageLayerList *self)
{
  self->inner_change = TRUE;
  gtk_selection_model_unselect_all (GTK_SELECTION_MODEL (self->selection));
  g_list_store_remove_all (self->roots);
  GListModel *layers = self->session != NULL ? swage_session_get_layers (self->session) : NULL;
  guint n = layers != NULL ? g_list_model_get_n_items (layers) : 0;
  /* groups are filled before they enter the tree: one change of the view instead of one for each layer */
  g_autoptr (GPtrArray) roots = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GHashTable) groups = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (layers, i);
      int block = swage_layer_item_get_block (item);
      if (block < 0 || strcmp (self->group, "none") == 0)
        {
          g_ptr_array_add (roots, g_object_ref (item));
          continue;
        }
      g_autofree char *name = strcmp (self->group, "role") == 0
                                  ? g_strdup (swage_role_get_id (swage_layer_item_get_role (item)))
                                  : g_strdup_printf ("blk.%d", block);
      SwageLayerItem *group = g_hash_table_lookup (groups, name);
      if (group == NULL)
        {
          group = swage_layer_item_new_group (name, name);
          g_ptr_array_add (roots, group);
          g_hash_table_insert (groups, g_strdup (name), group);
        }
      swage_layer_item_add (group, item);
    }
  g_list_store_splice (self->roots, 0, 0, roots->pdata, roots->len);
  update_groups (self);
  self->inner_change = FALSE;
}

static void
set_expanded (SwageLayerList *self, bool expanded)
{
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->tree)); i++)
    {
      g_autoptr (GtkTreeListRow) row = gtk_tree_list_model_get_row (self->tree, i);
      gtk_tree_list_row_set_expanded (row, expanded);
    }
}

/* --- selection
 * ----------------------------------------------------------------------------------------------- */

static void
add_layer (GPtrArray *items, GHashTable *seen, SwageLayerItem *item)
{
  if (g_hash_table_add (seen, item))
    g_ptr_array_add (items, item);
}

static void
on_selection_changed (SwageLayerList *self)
{
  if (self->inner_change || self->session == NULL)
    return;
  g_autoptr (GPtrArray) items = g_ptr_array_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GtkBitset) set = gtk_selection_model_get_selection (GTK_SELECTION_MODEL (self->selection));
  GtkBitsetIter iter;
  guint position;
  for (gboolean more = gtk_bitset_iter_init_first (&iter, set, &position); more;
       more = gtk_bitset_iter_next (&iter, &position))
    {
      g_autoptr (SwageLayerItem) item = get_item (self, position);
      if (!swage_layer_item_is_group (item))
        {
          add_layer (items, seen, item);
          continue;
        }
      guint n = g_list_model_get_n_items (G_LIST_MODEL (item->children));
      for (guint i = 0; i < n; i++)
        {
          g_autoptr (SwageLayerItem) child = g_list_model_get_item (G_LIST_MODEL (item->children), i);
          if (matches (child, self))
            add_layer (items, seen, child);
        }
    }
  swage_session_set_selection (self->session, (SwageLayerItem *const *)items->pdata, items->len);
  update_summary (self);
}

/* The list inside of the column view is the one that can scroll. */
static void
scroll_to (SwageLayerList *self, guint position)
{
  for (GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (self->view)); child != NULL;
       child = gtk_widget_get_next_sibling (child))
    if (GTK_IS_LIST_VIEW (child))
      gtk_widget_activate_action (child, "list.scroll-to-item", "u", position);
}

/* Select the rows of the layers for which `wanted` says so. */
static void
select_rows (SwageLayerList *self, bool (*wanted) (SwageLayerItem *item, gpointer data), gpointer data,
             bool extend)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->selection)), first = GTK_INVALID_LIST_POSITION;
  g_autoptr (GtkBitset) set = gtk_bitset_new_empty (), mask = gtk_bitset_new_range (0, n);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = get_item (self, i);
      if (swage_layer_item_is_group (item) || !wanted (item, data))
        continue;
      gtk_bitset_add (set, i);
      if (first == GTK_INVALID_LIST_POSITION)
        first = i;
    }
  gtk_selection_model_set_selection (GTK_SELECTION_MODEL (self->selection), set, extend ? set : mask);
  if (first != GTK_INVALID_LIST_POSITION)
    scroll_to (self, first);
}

static bool
is_item (SwageLayerItem *item, gpointer data)
{
  return item == data;
}

static bool
has_role (SwageLayerItem *item, gpointer data)
{
  return (int)swage_layer_item_get_role (item) == GPOINTER_TO_INT (data);
}

static bool
is_any (SwageLayerItem *item, gpointer data)
{
  return true;
}

static bool
is_in_array (SwageLayerItem *item, gpointer data)
{
  return g_ptr_array_find (data, item, NULL);
}

void
swage_layer_list_select (SwageLayerList *self, SwageLayerItem *item, bool extend)
{
  set_expanded (self, true);
  select_rows (self, is_item, item, extend);
}

static bool
matches_glob (SwageLayerItem *item, gpointer data)
{
  return fnmatch (data, item->name, 0) == 0;
}

void
swage_layer_list_select_glob (SwageLayerList *self, const char *glob)
{
  set_expanded (self, true);
  select_rows (self, matches_glob, (gpointer)glob, false);
}

static void
select_role (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  SwageLayerList *self = user_data;
  SwageLayerItem *focus = swage_session_get_focus (self->session);
  if (focus == NULL)
    return;
  set_expanded (self, true);
  select_rows (self, has_role, GINT_TO_POINTER ((int)swage_layer_item_get_role (focus)), false);
}

static void
select_all (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  set_expanded (user_data, true);
  select_rows (user_data, is_any, NULL, false);
}

static void
expand (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  set_expanded (user_data, g_variant_get_boolean (parameter));
}

void
swage_layer_list_focus_search (SwageLayerList *self)
{
  gtk_widget_grab_focus (GTK_WIDGET (self->search));
}

/* --- session
 * ------------------------------------------------------------------------------------------------- */

static void
on_model_changed (SwageLayerList *self)
{
  gtk_editable_set_text (GTK_EDITABLE (self->search), "");
  build_roots (self);
  /* something to look at from the first moment: the first matrix of the first block */
  GListModel *layers = swage_session_get_layers (self->session);
  guint n = g_list_model_get_n_items (layers);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (layers, i);
      if (swage_layer_item_get_block (item) < 0 && i + 1 < n)
        continue;
      select_rows (self, is_item, item, false);
      break;
    }
  update_summary (self);
}

static void
on_statistics_changed (SwageLayerList *self, SwageLayerItem *layer)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->roots));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (self->roots), i);
      if (swage_layer_item_is_group (item) && g_list_store_find (item->children, layer, NULL))
        swage_layer_item_update_group (item);
    }
}

void
swage_layer_list_set_session (SwageLayerList *self, SwageSession *session)
{
  g_set_object (&self->session, session);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (on_model_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update_groups), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "statistics-changed", G_CALLBACK (on_statistics_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "selection-changed", G_CALLBACK (update_summary), self,
                           G_CONNECT_SWAPPED);
  build_roots (self);
}

/* --- columns
 * ------------------------------------------------------------------------------------------------- */

/* A pane beside the list may leave it less than the window's width promises. Only changes are acted on, so
 * that what the user shows or hides by hand stays. */
static gboolean
choose_columns (gpointer data)
{
  SwageLayerList *self = data;
  double width = gtk_adjustment_get_page_size (gtk_scrollable_get_hadjustment (GTK_SCROLLABLE (self->view)));
  bool roomy = self->wide && (width <= 0 || width >= ROOMY);
  self->columns_id = 0;
  if (roomy != self->roomy)
    {
      self->roomy = roomy;
      gtk_column_view_column_set_visible (self->column_shape, roomy);
      gtk_column_view_column_set_visible (self->column_size, roomy);
    }
  return G_SOURCE_REMOVE;
}

/* Sizes are being given out: not now. */
static void
on_width_changed (SwageLayerList *self)
{
  if (self->columns_id == 0)
    self->columns_id = g_idle_add_full (G_PRIORITY_HIGH_IDLE, choose_columns, self, NULL);
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageLayerList *self = SWAGE_LAYER_LIST (object);
  if (id == PROP_GROUP)
    g_value_set_string (value, self->group);
  else
    g_value_set_boolean (value, self->wide);
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  SwageLayerList *self = SWAGE_LAYER_LIST (object);
  if (id == PROP_WIDE)
    {
      gboolean wide = g_value_get_boolean (value);
      if (wide == self->wide)
        return;
      self->wide = wide;
      choose_columns (self);
      return;
    }
  g_free (self->group);
  self->group = g_value_dup_string (value);
  g_autoptr (GPtrArray) kept = NULL;
  if (self->session != NULL)
    kept = g_ptr_array_ref (swage_session_get_selection (self->session));
  build_roots (self);
  if (kept != NULL && kept->len > 0)
    select_rows (self, is_in_array, kept, false);
}

static void
dispose (GObject *object)
{
  SwageLayerList *self = SWAGE_LAYER_LIST (object);
  GtkWidget *child;
  self->inner_change = TRUE;
  g_clear_handle_id (&self->columns_id, g_source_remove);
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&self->selection);
  g_clear_object (&self->tree);
  g_clear_object (&self->filter);
  g_clear_object (&self->roots);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (swage_layer_list_parent_class)->dispose (object);
}

static void
finalize (GObject *object)
{
  g_free (SWAGE_LAYER_LIST (object)->group);
  g_free (SWAGE_LAYER_LIST (object)->search_text);
  G_OBJECT_CLASS (swage_layer_list_parent_class)->finalize (object);
}

static void
swage_layer_list_class_init (SwageLayerListClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
  props[PROP_GROUP] = g_param_spec_string ("group", NULL, NULL, "block", flags);
  props[PROP_WIDE] = g_param_spec_boolean ("wide", NULL, NULL, TRUE, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  g_type_ensure (SWAGE_TYPE_BAR);
  g_type_ensure (SWAGE_TYPE_LAYER_ITEM);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/inspect/swage-layer-list.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, search);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, stack);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, view);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, summary);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_name);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_shape);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_type);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_bits);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_size);
  gtk_widget_class_bind_template_child (widget_class, SwageLayerList, column_error);
  gtk_widget_class_bind_template_callback (widget_class, on_search_changed);
  gtk_widget_class_install_property_action (widget_class, "layers-view.group", "group");
}

/* Of an object other than the list itself: the action holds its object, and the list holds the action. */
static void
add_property_action (GSimpleActionGroup *actions, const char *name, gpointer object, const char *property)
{
  g_autoptr (GPropertyAction) action = g_property_action_new (name, object, property);
  g_action_map_add_action (G_ACTION_MAP (actions), G_ACTION (action));
}

static void
swage_layer_list_init (SwageLayerList *self)
{
  self->group = g_strdup ("block");
  self->wide = self->roomy = TRUE;
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect_object (gtk_scrollable_get_hadjustment (GTK_SCROLLABLE (self->view)), "notify::page-size",
                           G_CALLBACK (on_width_changed), self, G_CONNECT_SWAPPED);

  self->roots = g_list_store_new (SWAGE_TYPE_LAYER_ITEM);
  self->filter = GTK_FILTER (gtk_custom_filter_new (matches, self, NULL));
  GtkFilterListModel *filtered
      = gtk_filter_list_model_new (g_object_ref (G_LIST_MODEL (self->roots)), g_object_ref (self->filter));
  self->tree = gtk_tree_list_model_new (G_LIST_MODEL (filtered), FALSE, TRUE, create_children, self, NULL);
  GtkSorter *sorter
      = GTK_SORTER (gtk_tree_list_row_sorter_new (g_object_ref (gtk_column_view_get_sorter (self->view))));
  GtkSortListModel *sorted = gtk_sort_list_model_new (g_object_ref (G_LIST_MODEL (self->tree)), sorter);
  self->selection = gtk_multi_selection_new (G_LIST_MODEL (sorted));
  gtk_column_view_set_model (self->view, GTK_SELECTION_MODEL (self->selection));
  g_signal_connect_object (self->selection, "selection-changed", G_CALLBACK (on_selection_changed), self,
                           G_CONNECT_SWAPPED);

  static const GActionEntry entries[] = {
    { "select-role", select_role },
    { "select-all", select_all },
    { "expand", expand, "b" },
  };
  g_autoptr (GSimpleActionGroup) actions = g_simple_action_group_new ();
  g_action_map_add_action_entries (G_ACTION_MAP (actions), entries, G_N_ELEMENTS (entries), self);
  add_property_action (actions, "column-shape", self->column_shape, "visible");
  add_property_action (actions, "column-type", self->column_type, "visible");
  add_property_action (actions, "column-bits", self->column_bits, "visible");
  add_property_action (actions, "column-size", self->column_size, "visible");
  add_property_action (actions, "column-error", self->column_error, "visible");
  /* GtkListBase has a group "list" of its own further down; this one is found from the menus around it */
  gtk_widget_insert_action_group (GTK_WIDGET (self), "layers", G_ACTION_GROUP (actions));
}
