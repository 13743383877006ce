/* SPDX-License-Identifier: MIT
 *
 * Recent models live in the desktop's list of recent files, under this program's name, so that other lists
 * show them too and clearing the desktop's history clears them.
 */
#include "ui/open/swage-open-page.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define MAX_RECENT 8
#define APPLICATION "Swage"

struct _SwageOpenPage
{
  GtkWidget parent_instance;
  AdwPreferencesGroup *recent;
  GPtrArray *rows;
};

G_DEFINE_FINAL_TYPE (SwageOpenPage, swage_open_page, GTK_TYPE_WIDGET)

static int
compare_recent (gconstpointer a, gconstpointer b)
{
  GtkRecentInfo *first = (GtkRecentInfo *)a, *second = (GtkRecentInfo *)b;
  return g_date_time_compare (gtk_recent_info_get_modified (second), gtk_recent_info_get_modified (first));
}

char **
swage_recent_get (void)
{
  GList *infos
      = g_list_sort (gtk_recent_manager_get_items (gtk_recent_manager_get_default ()), compare_recent);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  int n = 0;
  for (GList *l = infos; l != NULL && n < MAX_RECENT; l = l->next)
    {
      g_autofree char *path = NULL;
      if (gtk_recent_info_has_application (l->data, APPLICATION))
        path = g_filename_from_uri (gtk_recent_info_get_uri (l->data), NULL, NULL);
      if (path != NULL && g_file_test (path, G_FILE_TEST_EXISTS))
        {
          g_strv_builder_add (builder, path);
          n++;
        }
    }
  g_list_free_full (infos, (GDestroyNotify)gtk_recent_info_unref);
  return g_strv_builder_end (builder);
}

void
swage_recent_add (const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autofree char *uri = g_file_get_uri (file);
  bool folder = g_file_test (path, G_FILE_TEST_IS_DIR);
  GtkRecentData data = { .mime_type = folder ? (char *)"inode/directory" : (char *)"application/octet-stream",
                         .app_name = (char *)APPLICATION,
                         .app_exec = (char *)"swage %u" };
  gtk_recent_manager_add_full (gtk_recent_manager_get_default (), uri, &data);
}

static void
fill (SwageOpenPage *self)
{
  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (self->recent, self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  g_auto (GStrv) paths = swage_recent_get ();
  for (int i = 0; paths[i] != NULL; i++)
    {
      g_autofree char *name = g_path_get_basename (paths[i]), *folder = g_path_get_dirname (paths[i]);
      g_autofree char *title = g_markup_escape_text (name, -1), *subtitle = g_markup_escape_text (folder, -1);
      GtkWidget *row = adw_action_row_new ();
      adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), title);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), subtitle);
      adw_action_row_set_title_lines (ADW_ACTION_ROW (row), 1);
      adw_action_row_set_subtitle_lines (ADW_ACTION_ROW (row), 1);
      gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
      GtkWidget *arrow = g_object_new (GTK_TYPE_IMAGE, "icon-name", "go-next-symbolic", "accessible-role",
                                       GTK_ACCESSIBLE_ROLE_PRESENTATION, NULL);
      adw_action_row_add_suffix (ADW_ACTION_ROW (row), arrow);
      gtk_actionable_set_action_name (GTK_ACTIONABLE (row), "win.open-path");
      gtk_actionable_set_action_target (GTK_ACTIONABLE (row), "s", paths[i]);
      adw_preferences_group_add (self->recent, row);
      g_ptr_array_add (self->rows, row);
    }
  gtk_widget_set_visible (GTK_WIDGET (self->recent), self->rows->len > 0);
}

static void
dispose (GObject *object)
{
  SwageOpenPage *self = SWAGE_OPEN_PAGE (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  G_OBJECT_CLASS (swage_open_page_parent_class)->dispose (object);
}

static void
swage_open_page_class_init (SwageOpenPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/open/swage-open-page.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageOpenPage, recent);
}

static void
swage_open_page_init (SwageOpenPage *self)
{
  self->rows = g_ptr_array_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
  g_signal_connect (self, "map", G_CALLBACK (fill), NULL);
}
