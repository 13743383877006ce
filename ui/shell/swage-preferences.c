/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-preferences.h"

#include "core/base/swage-pool.h"
#include "core/plan/swage-plan.h"

#include <glib/gi18n-lib.h>
#include <string.h>

struct _SwagePreferences
{
  AdwPreferencesWindow parent_instance;
  GSettings *settings;
  AdwComboRow *scheme_row, *preset_row, *protocol_row;
  GtkAdjustment *context, *threads, *cache;
  GtkSwitch *live, *notifications;
};

G_DEFINE_FINAL_TYPE (SwagePreferences, swage_preferences, ADW_TYPE_PREFERENCES_WINDOW)

static const char *const schemes[] = { "system", "light", "dark", NULL };
static const char *const protocols[] = { "hf", "llama.cpp", NULL };

static guint
find_id (const char *const *ids, const char *id)
{
  for (guint i = 0; ids[i] != NULL; i++)
    if (strcmp (ids[i], id) == 0)
      return i;
  return 0;
}

/* Between a key that holds an id and the number of a row's choice. */
static gboolean
get_choice (GValue *value, GVariant *variant, gpointer ids)
{
  g_value_set_uint (value, find_id (ids, g_variant_get_string (variant, NULL)));
  return TRUE;
}

static GVariant *
set_choice (const GValue *value, const GVariantType *type, gpointer ids)
{
  guint selected = g_value_get_uint (value);
  const char *const *list = ids;
  return selected < g_strv_length ((char **)list) ? g_variant_new_string (list[selected]) : NULL;
}

static void
bind_choice (SwagePreferences *self, const char *key, AdwComboRow *row, const char *const *ids)
{
  g_settings_bind_with_mapping (self->settings, key, row, "selected", G_SETTINGS_BIND_DEFAULT, get_choice,
                                set_choice, (gpointer)ids, NULL);
}

/* The presets of the table, after "None". */
static const char *const *
get_preset_ids (void)
{
  static const char **ids;
  if (ids == NULL)
    {
      const char *const *presets = swage_plan_get_presets ();
      guint n = g_strv_length ((char **)presets);
      ids = g_new0 (const char *, n + 2);
      ids[0] = "";
      memcpy (ids + 1, presets, n * sizeof *ids);
    }
  return ids;
}

static void
dispose (GObject *object)
{
  g_clear_object (&SWAGE_PREFERENCES (object)->settings);
  G_OBJECT_CLASS (swage_preferences_parent_class)->dispose (object);
}

static void
swage_preferences_class_init (SwagePreferencesClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/shell/swage-preferences.ui");
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, scheme_row);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, preset_row);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, protocol_row);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, context);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, threads);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, cache);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, live);
  gtk_widget_class_bind_template_child (widget_class, SwagePreferences, notifications);
}

static void
swage_preferences_init (SwagePreferences *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

void
swage_preferences_present (GtkWindow *parent, GSettings *settings)
{
  SwagePreferences *self
      = g_object_new (SWAGE_TYPE_PREFERENCES, "transient-for", parent, "modal", TRUE, NULL);
  self->settings = g_object_ref (settings);
  if (G_IS_ACTION_GROUP (parent)) /* texts are chosen by the window's actions */
    gtk_widget_insert_action_group (GTK_WIDGET (self), "win", G_ACTION_GROUP (parent));
  g_autoptr (GtkStringList) presets = gtk_string_list_new (NULL);
  const char *const *ids = get_preset_ids ();
  gtk_string_list_append (presets, _ ("None"));
  for (guint i = 1; ids[i] != NULL; i++)
    gtk_string_list_append (presets, swage_plan_get_preset_title (ids[i]));
  adw_combo_row_set_model (self->preset_row, G_LIST_MODEL (presets));
  bind_choice (self, "default-preset", self->preset_row, ids);
  bind_choice (self, "color-scheme", self->scheme_row, schemes);
  bind_choice (self, "protocol", self->protocol_row, protocols);
  g_settings_bind (settings, "context", self->context, "value", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "threads", self->threads, "value", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "cache-size", self->cache, "value", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "live-preview", self->live, "active", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind (settings, "notifications", self->notifications, "active", G_SETTINGS_BIND_DEFAULT);
  gtk_window_present (GTK_WINDOW (self));
}

static void
apply_scheme (GSettings *settings)
{
  static const AdwColorScheme values[]
      = { ADW_COLOR_SCHEME_DEFAULT, ADW_COLOR_SCHEME_FORCE_LIGHT, ADW_COLOR_SCHEME_FORCE_DARK };
  g_autofree char *id = g_settings_get_string (settings, "color-scheme");
  adw_style_manager_set_color_scheme (adw_style_manager_get_default (), values[find_id (schemes, id)]);
}

void
swage_preferences_apply (GSettings *settings)
{
  int threads = g_settings_get_int (settings, "threads");
  if (threads > 0 && g_getenv ("SWAGE_THREADS") == NULL)
    swage_pool_set_threads (threads);
  apply_scheme (settings);
  g_signal_connect (settings, "changed::color-scheme", G_CALLBACK (apply_scheme), NULL);
}
