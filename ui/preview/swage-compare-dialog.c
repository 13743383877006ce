/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-compare-dialog.h"

#include "ui/preview/swage-cells.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define SWAGE_TYPE_COMPARE_DIALOG (swage_compare_dialog_get_type ())
G_DECLARE_FINAL_TYPE (SwageCompareDialog, swage_compare_dialog, SWAGE, COMPARE_DIALOG, AdwWindow)

struct _SwageCompareDialog
{
  AdwWindow parent_instance;
  SwageSession *session;
  SwageHistory *history;
  SwageTrial *trials[2];
  GtkGrid *numbers;
  GtkColumnView *table;
  GtkLabel *count;
};

G_DEFINE_FINAL_TYPE (SwageCompareDialog, swage_compare_dialog, ADW_TYPE_WINDOW)

static GtkWidget *
add_label (SwageCompareDialog *self, const char *text, int column, int row, const char *css_class)
{
  GtkWidget *label = gtk_label_new (text);
  gtk_label_set_xalign (GTK_LABEL (label), column == 0 ? 0 : 1);
  gtk_widget_set_hexpand (label, column > 0);
  gtk_widget_add_css_class (label, css_class);
  gtk_grid_attach (self->numbers, label, column, row, 1, 1);
  return label;
}

static char *
format_change (double a, double b, const char *unit, bool measured)
{
  if (!measured)
    return g_strdup ("–");
  double change = b - a;
  return g_strdup_printf ("%s%.4g%s", change < 0 ? "−" : "+", ABS (change), unit);
}

static void
fill_numbers (SwageCompareDialog *self)
{
  static const struct
  {
    const char *title, *property;
  } rows[] = { { N_ ("Size"), "size-text" },
               { N_ ("Bits per weight"), "bits-text" },
               { N_ ("Perplexity"), "perplexity-text" },
               { N_ ("Divergence (KLD)"), "kld-text" },
               { N_ ("Same top token"), "agreement-text" } };
  SwageTrial *a = self->trials[0], *b = self->trials[1];
  bool both = a->measured && b->measured && g_strcmp0 (a->measure, b->measure) == 0;
  g_autofree char *percent
      = g_strdup_printf ("%s%.1f %%", b->bytes < a->bytes ? "−" : "+",
                         a->bytes > 0 ? 100 * ABS ((double)b->bytes / (double)a->bytes - 1) : 0);
  g_autofree char *bits = format_change (a->bits_per_weight, b->bits_per_weight, "", true);
  g_autofree char *perplexity = format_change (a->perplexity, b->perplexity, "", both);
  g_autofree char *kld = format_change (a->kld, b->kld, "", both);
  g_autofree char *top = format_change (100 * a->top1, 100 * b->top1, " %", both);
  const char *changes[] = { percent, bits, perplexity, kld, top };
  add_label (self, "", 0, 0, "heading");
  add_label (self, "A", 1, 0, "heading");
  add_label (self, "B", 2, 0, "heading");
  add_label (self, _ ("B against A"), 3, 0, "heading");
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *text_a = NULL, *text_b = NULL;
      g_object_get (a, rows[i].property, &text_a, NULL);
      g_object_get (b, rows[i].property, &text_b, NULL);
      add_label (self, _ (rows[i].title), 0, (int)i + 1, "dim-label");
      add_label (self, text_a, 1, (int)i + 1, "numeric");
      add_label (self, text_b, 2, (int)i + 1, "numeric");
      add_label (self, changes[i], 3, (int)i + 1, "numeric");
    }
}

static void
restore (SwageCompareDialog *self, int slot)
{
  g_autoptr (GError) error = NULL;
  if (!swage_history_restore (self->history, self->trials[slot], &error))
    g_signal_emit_by_name (self->session, "message", error->message, TRUE);
  gtk_window_close (GTK_WINDOW (self));
}

static void
on_restore_a (SwageCompareDialog *self)
{
  restore (self, 0);
}

static void
on_restore_b (SwageCompareDialog *self)
{
  restore (self, 1);
}

static void
dispose (GObject *object)
{
  SwageCompareDialog *self = SWAGE_COMPARE_DIALOG (object);
  g_clear_object (&self->trials[0]);
  g_clear_object (&self->trials[1]);
  g_clear_object (&self->session);
  G_OBJECT_CLASS (swage_compare_dialog_parent_class)->dispose (object);
}

static void
swage_compare_dialog_class_init (SwageCompareDialogClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/preview/swage-compare-dialog.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageCompareDialog, numbers);
  gtk_widget_class_bind_template_child (widget_class, SwageCompareDialog, table);
  gtk_widget_class_bind_template_child (widget_class, SwageCompareDialog, count);
  gtk_widget_class_bind_template_callback (widget_class, on_restore_a);
  gtk_widget_class_bind_template_callback (widget_class, on_restore_b);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
swage_compare_dialog_init (SwageCompareDialog *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

void
swage_compare_dialog_present (GtkWindow *parent, SwageSession *session, SwageHistory *history)
{
  g_autoptr (GError) error = NULL;
  SwageTrial *a = swage_history_get_snapshot (history, 0), *b = swage_history_get_snapshot (history, 1);
  g_autoptr (GListModel) differences = swage_history_compare (history, a, b, &error);
  if (differences == NULL)
    {
      g_signal_emit_by_name (session, "message", error->message, TRUE);
      return;
    }
  SwageCompareDialog *self
      = g_object_new (SWAGE_TYPE_COMPARE_DIALOG, "transient-for", parent, "modal", TRUE, NULL);
  self->session = g_object_ref (session);
  self->history = history;
  self->trials[0] = g_object_ref (a);
  self->trials[1] = g_object_ref (b);
  fill_numbers (self);
  guint n = g_list_model_get_n_items (differences);
  g_autofree char *count
      = n > 0 ? g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%u layer differs", "%u layers differ", n), n)
              : g_strdup (_ ("No layer differs"));
  gtk_label_set_label (self->count, count);
  static const struct
  {
    const char *title, *property;
    bool numeric;
  } columns[] = { { N_ ("Layer"), "name", false },
                  { "A", "a-text", false },
                  { "B", "b-text", false },
                  { N_ ("Size"), "change-text", true } };
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      g_autoptr (GtkColumnViewColumn) column = swage_text_column_new (
          _ (columns[i].title), SWAGE_TYPE_DIFFERENCE, columns[i].property, columns[i].numeric);
      gtk_column_view_append_column (self->table, column);
    }
  GtkNoSelection *selection = gtk_no_selection_new (g_steal_pointer (&differences));
  gtk_column_view_set_model (self->table, GTK_SELECTION_MODEL (selection));
  g_object_unref (selection);
  gtk_window_present (GTK_WINDOW (self));
}
