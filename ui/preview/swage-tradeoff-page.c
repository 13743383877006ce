/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-tradeoff-page.h"

#include "ui/preview/swage-cells.h"
#include "ui/preview/swage-compare-dialog.h"
#include "ui/preview/swage-tradeoff-view.h"

#include <glib/gi18n-lib.h>

struct _SwageTradeoffPage
{
  GtkWidget parent_instance;
  SwageSession *session;
  SwageHistory *history;

  SwageTradeoffView *plot;
  GtkColumnView *table;
  GtkStack *table_stack;
  GtkLabel *snapshots;
  GtkDropDown *axis;
};

G_DEFINE_FINAL_TYPE (SwageTradeoffPage, swage_tradeoff_page, GTK_TYPE_WIDGET)

static char *
describe_snapshot (SwageTrial *trial, char letter)
{
  if (trial == NULL)
    return g_strdup_printf (_ ("%c: none"), letter);
  g_autofree char *size = NULL, *kld = NULL;
  g_object_get (trial, "size-text", &size, "kld-text", &kld, NULL);
  return trial->measured ? g_strdup_printf (_ ("%c: %s, KLD %s"), letter, size, kld)
                         : g_strdup_printf (_ ("%c: %s, not measured"), letter, size);
}

static void
on_changed (SwageTradeoffPage *page)
{
  bool open = swage_session_get_model (page->session) != NULL;
  SwageTrial *a = swage_history_get_snapshot (page->history, 0),
             *b = swage_history_get_snapshot (page->history, 1);
  g_autofree char *text_a = describe_snapshot (a, 'A'), *text_b = describe_snapshot (b, 'B');
  g_autofree char *text = g_strdup_printf ("%s · %s", text_a, text_b);
  gtk_label_set_label (page->snapshots, text);
  guint n = g_list_model_get_n_items (swage_history_get_trials (page->history));
  gtk_stack_set_visible_child_name (page->table_stack, n > 0 ? "table" : "empty");
  gtk_widget_action_set_enabled (GTK_WIDGET (page), "tradeoff.snapshot", open);
  gtk_widget_action_set_enabled (GTK_WIDGET (page), "tradeoff.compare", a != NULL && b != NULL);
  gtk_widget_action_set_enabled (GTK_WIDGET (page), "tradeoff.clear", n > 0);
  gtk_widget_action_set_enabled (GTK_WIDGET (page), "tradeoff.restore", n > 0);
}

static void
restore (SwageTradeoffPage *page, SwageTrial *trial)
{
  g_autoptr (GError) error = NULL;
  if (!swage_history_restore (page->history, trial, &error))
    g_signal_emit_by_name (page->session, "message", error->message, TRUE);
}

static void
on_row_activated (SwageTradeoffPage *page, guint position)
{
  g_autoptr (SwageTrial) trial
      = g_list_model_get_item (G_LIST_MODEL (gtk_column_view_get_model (page->table)), position);
  if (trial != NULL)
    restore (page, trial);
}

static void
on_axis_changed (SwageTradeoffPage *page)
{
  swage_tradeoff_view_set_perplexity (page->plot, gtk_drop_down_get_selected (page->axis) == 1);
}

static void
take_snapshot (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageTradeoffPage *page = SWAGE_TRADEOFF_PAGE (widget);
  int slot = g_str_equal (g_variant_get_string (parameter, NULL), "b") ? 1 : 0;
  swage_history_take_snapshot (page->history, slot);
}

static void
compare (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageTradeoffPage *page = SWAGE_TRADEOFF_PAGE (widget);
  swage_compare_dialog_present (GTK_WINDOW (gtk_widget_get_root (widget)), page->session, page->history);
}

static void
restore_number (GtkWidget *widget, const char *name, GVariant *parameter)
{
  SwageTradeoffPage *page = SWAGE_TRADEOFF_PAGE (widget);
  GListModel *trials = swage_history_get_trials (page->history);
  guint n = g_list_model_get_n_items (trials);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageTrial) trial = g_list_model_get_item (trials, i);
      if (trial->number == g_variant_get_int32 (parameter))
        {
          restore (page, trial);
          return;
        }
    }
}

static void
clear (GtkWidget *widget, const char *name, GVariant *parameter)
{
  swage_history_clear (SWAGE_TRADEOFF_PAGE (widget)->history);
}

void
swage_tradeoff_page_set_session (SwageTradeoffPage *page, SwageSession *session)
{
  g_set_object (&page->session, session);
  page->history = swage_session_get_history (session);
  swage_tradeoff_view_set_session (page->plot, session);
  GtkSingleSelection *selection
      = gtk_single_selection_new (g_object_ref (swage_history_get_trials (page->history)));
  gtk_single_selection_set_autoselect (selection, FALSE);
  gtk_column_view_set_model (page->table, GTK_SELECTION_MODEL (selection));
  g_object_unref (selection);
  g_signal_connect_object (page->history, "changed", G_CALLBACK (on_changed), page, G_CONNECT_SWAPPED);
  on_changed (page);
}

SwagePlot *
swage_tradeoff_page_get_plot (SwageTradeoffPage *page)
{
  return SWAGE_PLOT (page->plot);
}

static void
dispose (GObject *object)
{
  SwageTradeoffPage *page = SWAGE_TRADEOFF_PAGE (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (page))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&page->session);
  G_OBJECT_CLASS (swage_tradeoff_page_parent_class)->dispose (object);
}

static void
swage_tradeoff_page_class_init (SwageTradeoffPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  g_type_ensure (SWAGE_TYPE_TRADEOFF_VIEW);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/preview/swage-tradeoff-page.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageTradeoffPage, plot);
  gtk_widget_class_bind_template_child (widget_class, SwageTradeoffPage, table);
  gtk_widget_class_bind_template_child (widget_class, SwageTradeoffPage, table_stack);
  gtk_widget_class_bind_template_child (widget_class, SwageTradeoffPage, snapshots);
  gtk_widget_class_bind_template_child (widget_class, SwageTradeoffPage, axis);
  gtk_widget_class_bind_template_callback (widget_class, on_row_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_axis_changed);
  gtk_widget_class_bind_template_callback (widget_class, restore);
  gtk_widget_class_install_action (widget_class, "tradeoff.snapshot", "s", take_snapshot);
  gtk_widget_class_install_action (widget_class, "tradeoff.compare", NULL, compare);
  gtk_widget_class_install_action (widget_class, "tradeoff.restore", "i", restore_number);
  gtk_widget_class_install_action (widget_class, "tradeoff.clear", NULL, clear);
}

static void
swage_tradeoff_page_init (SwageTradeoffPage *page)
{
  static const struct
  {
    const char *title, *property;
    bool numeric;
  } columns[] = { { "", "marks", false },
                  { N_ ("Size"), "size-text", true },
                  { N_ ("KLD"), "kld-text", true },
                  { N_ ("Plan"), "title", false },
                  { N_ ("Bits"), "bits-text", true },
                  { N_ ("Perplexity"), "perplexity-text", true },
                  { N_ ("Top-1"), "agreement-text", true } };
  gtk_widget_init_template (GTK_WIDGET (page));
  /* the button within a drop-down has no name of its own */
  gtk_accessible_update_property (GTK_ACCESSIBLE (gtk_widget_get_first_child (GTK_WIDGET (page->axis))),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, _ ("The vertical axis"), -1);
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      const char *title = columns[i].title[0] != '\0' ? _ (columns[i].title) : "";
      g_autoptr (GtkColumnViewColumn) column
          = swage_text_column_new (title, SWAGE_TYPE_TRIAL, columns[i].property, columns[i].numeric);
      if (i == 0)
        {
          gtk_column_view_column_set_expand (column, FALSE);
          gtk_column_view_column_set_fixed_width (column, 48);
        }
      gtk_column_view_append_column (page->table, column);
    }
}
