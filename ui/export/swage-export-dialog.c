/* SPDX-License-Identifier: MIT */
#include "ui/export/swage-export-dialog.h"

#include <glib/gi18n-lib.h>

/* More than this tells nothing more. */
#define MAX_SHOWN 12

struct _SwageExportDialog
{
  AdwWindow parent_instance;
  SwageSession *session;
  GtkFileChooserNative *chooser;
  GPtrArray *rows;

  AdwComboRow *format_row, *dense_row;
  GtkLabel *bytes;
  AdwPreferencesGroup *lint;
  GtkWidget *export_button;
};

G_DEFINE_FINAL_TYPE (SwageExportDialog, swage_export_dialog, ADW_TYPE_WINDOW)

static SwageExportFormat
get_format (SwageExportDialog *self)
{
  return (SwageExportFormat)adw_combo_row_get_selected (self->format_row);
}

static SwageType
get_dense_type (SwageExportDialog *self)
{
  static const SwageType types[] = { SWAGE_TYPE_NONE, SWAGE_TYPE_F16, SWAGE_TYPE_BF16, SWAGE_TYPE_F32 };
  return types[MIN (adw_combo_row_get_selected (self->dense_row), G_N_ELEMENTS (types) - 1)];
}

static void
add_row (SwageExportDialog *self, const char *icon, const char *title, const char *subtitle)
{
  GtkWidget *row = adw_action_row_new ();
  g_autofree char *escaped = g_markup_escape_text (title, -1);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), escaped);
  if (subtitle != NULL)
    {
      g_autofree char *text = g_markup_escape_text (subtitle, -1);
      adw_action_row_set_subtitle (ADW_ACTION_ROW (row), text);
    }
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), gtk_image_new_from_icon_name (icon));
  adw_preferences_group_add (self->lint, row);
  g_ptr_array_add (self->rows, row);
}

static void
update (SwageExportDialog *self)
{
  static const char *const icons[] = {
    [SWAGE_LINT_NOTE] = "dialog-information-symbolic",
    [SWAGE_LINT_WARNING] = "dialog-warning-symbolic",
    [SWAGE_LINT_ERROR] = "dialog-error-symbolic",
  };
  if (self->session == NULL)
    return;
  uint64_t bytes = 0;
  g_autoptr (GPtrArray) items
      = swage_session_lint (self->session, get_format (self), get_dense_type (self), &bytes);
  for (guint i = 0; i < self->rows->len; i++)
    adw_preferences_group_remove (self->lint, self->rows->pdata[i]);
  g_ptr_array_set_size (self->rows, 0);
  bool possible = true;
  for (guint i = 0; i < items->len; i++)
    {
      const SwageLintItem *item = items->pdata[i];
      possible = possible && item->severity != SWAGE_LINT_ERROR;
      if (i < MAX_SHOWN)
        add_row (self, icons[item->severity], item->message, item->fix);
    }
  if (items->len > MAX_SHOWN)
    {
      guint more = items->len - MAX_SHOWN;
      g_autofree char *text
          = g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "and %u more", "and %u more", more), more);
      add_row (self, icons[SWAGE_LINT_NOTE], text, NULL);
    }
  if (items->len == 0)
    add_row (self, "object-select-symbolic", _ ("Nothing: everything in this plan is kept exactly"), NULL);
  g_autofree char *size = bytes > 0 ? g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS) : g_strdup ("–");
  gtk_label_set_label (self->bytes, size);
  gtk_widget_set_sensitive (self->export_button, possible);
}

static void
on_response (SwageExportDialog *self, int response)
{
  if (response == GTK_RESPONSE_ACCEPT)
    {
      g_autoptr (GFile) file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (self->chooser));
      g_autofree char *path = file != NULL ? g_file_get_path (file) : NULL;
      /* the chooser has asked before an existing file is replaced */
      if (path != NULL)
        swage_session_export (self->session, get_format (self), path, get_dense_type (self), true);
      gtk_window_close (GTK_WINDOW (self));
    }
  g_clear_object (&self->chooser);
}

static void
on_export (SwageExportDialog *self)
{
  SwageExportFormat format = get_format (self);
  g_autofree char *name
      = swage_export_format_suggest_name (format, swage_session_get_model (self->session), "swage");
  self->chooser = gtk_file_chooser_native_new (_ ("Export"), GTK_WINDOW (self), GTK_FILE_CHOOSER_ACTION_SAVE,
                                               _ ("_Export"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (self->chooser), TRUE);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (self->chooser), name);
  g_signal_connect_swapped (self->chooser, "response", G_CALLBACK (on_response), self);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (self->chooser));
}

void
swage_export_dialog_present (GtkWindow *parent, SwageSession *session, SwageExportFormat format)
{
  SwageExportDialog *self
      = g_object_new (SWAGE_TYPE_EXPORT_DIALOG, "transient-for", parent, "title", _ ("Export"), NULL);
  g_autoptr (GtkStringList) formats = gtk_string_list_new (NULL);
  for (int i = 0; i < SWAGE_N_EXPORT_FORMATS; i++)
    gtk_string_list_append (formats, swage_export_format_get_title ((SwageExportFormat)i));
  adw_combo_row_set_model (self->format_row, G_LIST_MODEL (formats));
  adw_combo_row_set_selected (self->format_row, (guint)format);
  self->session = g_object_ref (session);
  update (self);
  gtk_window_present (GTK_WINDOW (self));
}

static void
dispose (GObject *object)
{
  SwageExportDialog *self = SWAGE_EXPORT_DIALOG (object);
  g_clear_object (&self->chooser);
  g_clear_object (&self->session);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  G_OBJECT_CLASS (swage_export_dialog_parent_class)->dispose (object);
}

static void
swage_export_dialog_class_init (SwageExportDialogClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/export/swage-export-dialog.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageExportDialog, format_row);
  gtk_widget_class_bind_template_child (widget_class, SwageExportDialog, dense_row);
  gtk_widget_class_bind_template_child (widget_class, SwageExportDialog, bytes);
  gtk_widget_class_bind_template_child (widget_class, SwageExportDialog, lint);
  gtk_widget_class_bind_template_child (widget_class, SwageExportDialog, export_button);
  gtk_widget_class_bind_template_callback (widget_class, update);
  gtk_widget_class_bind_template_callback (widget_class, on_export);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
swage_export_dialog_init (SwageExportDialog *self)
{
  self->rows = g_ptr_array_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
}
