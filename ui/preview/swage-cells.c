/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-cells.h"

typedef struct
{
  GType type;
  char *property;
  gboolean numeric;
  int width;
} Cell;

static void
cell_free (gpointer data, GClosure *closure)
{
  Cell *cell = data;
  g_free (cell->property);
  g_free (cell);
}

static void
on_setup (GtkSignalListItemFactory *factory, GtkListItem *item, Cell *cell)
{
  GtkWidget *label = gtk_label_new (NULL);
  if (!cell->numeric && cell->width > 0)
    gtk_label_set_width_chars (GTK_LABEL (label), cell->width);
  gtk_label_set_xalign (GTK_LABEL (label), cell->numeric ? 1 : 0);
  gtk_label_set_ellipsize (GTK_LABEL (label), cell->numeric ? PANGO_ELLIPSIZE_NONE : PANGO_ELLIPSIZE_END);
  if (cell->numeric)
    gtk_widget_add_css_class (label, "numeric");
  gtk_list_item_set_child (item, label);
  g_autoptr (GtkExpression) object = gtk_property_expression_new (GTK_TYPE_LIST_ITEM, NULL, "item");
  g_autoptr (GtkExpression) text
      = gtk_property_expression_new (cell->type, gtk_expression_ref (object), cell->property);
  gtk_expression_bind (gtk_expression_ref (text), label, "label", item);
  if (!cell->numeric)
    gtk_expression_bind (gtk_expression_ref (text), label, "tooltip-text", item);
}

GtkColumnViewColumn *
swage_text_column_new (const char *title, GType type, const char *property, gboolean numeric)
{
  Cell *cell = g_new0 (Cell, 1);
  cell->type = type;
  cell->property = g_strdup (property);
  cell->numeric = numeric;
  /* text without room is worth less than a scroll bar */
  cell->width = title[0] != '\0' ? 14 : 0;
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  g_signal_connect_data (factory, "setup", G_CALLBACK (on_setup), cell, cell_free, 0);
  GtkColumnViewColumn *column = gtk_column_view_column_new (title, factory);
  gtk_column_view_column_set_resizable (column, TRUE);
  gtk_column_view_column_set_expand (column, !numeric);
  return column;
}
