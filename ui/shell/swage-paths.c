/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-paths.h"

#define G_SETTINGS_ENABLE_BACKEND
#include <gio/gsettingsbackend.h>
#include <string.h>

#define SCHEMA "io.github.swage.Swage"

const char *
swage_paths_get_build (void)
{
  static gsize once;
  static char *folder;
  if (g_once_init_enter (&once))
    {
      g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
      g_autofree char *app = exe != NULL ? g_path_get_dirname (exe) : NULL;
      g_autofree char *build = app != NULL ? g_path_get_dirname (app) : NULL;
      g_autofree char *mark = build != NULL ? g_build_filename (build, "data", "source-folder", NULL) : NULL;
      if (mark != NULL && g_file_test (mark, G_FILE_TEST_IS_REGULAR))
        folder = g_steal_pointer (&build);
      g_once_init_leave (&once, 1);
    }
  return folder;
}

const char *
swage_paths_get_data (void)
{
  static gsize once;
  static char *folder;
  if (g_once_init_enter (&once))
    {
      const char *build = swage_paths_get_build ();
      folder = g_strdup (g_getenv ("SWAGE_DATA_DIR"));
      if (folder == NULL && build != NULL)
        {
          g_autofree char *mark = g_build_filename (build, "data", "source-folder", NULL);
          if (g_file_get_contents (mark, &folder, NULL, NULL))
            g_strchomp (folder);
        }
      if (folder == NULL)
        folder = g_strdup (SWAGE_PKGDATADIR);
      g_once_init_leave (&once, 1);
    }
  return folder;
}

char *
swage_paths_find_data (const char *name)
{
  char *path = g_build_filename (swage_paths_get_data (), name, NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_clear_pointer (&path, g_free);
  return path;
}

GSettings *
swage_settings_new (void)
{
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();
  g_autoptr (GSettingsSchema) schema
      = source != NULL ? g_settings_schema_source_lookup (source, SCHEMA, TRUE) : NULL;
  g_autoptr (GSettingsSchemaSource) own = NULL;
  if (swage_paths_get_build () != NULL)
    {
      /* the schema of this build, which may be newer than the installed one */
      g_autofree char *folder = g_build_filename (swage_paths_get_build (), "data", NULL);
      own = g_settings_schema_source_new_from_directory (folder, source, FALSE, NULL);
      GSettingsSchema *built = own != NULL ? g_settings_schema_source_lookup (own, SCHEMA, FALSE) : NULL;
      if (built != NULL)
        {
          g_clear_pointer (&schema, g_settings_schema_unref);
          schema = built;
        }
    }
  if (schema == NULL)
    return NULL;
  g_autoptr (GSettingsBackend) backend = NULL;
  if (g_getenv ("SWAGE_FRESH_SETTINGS") != NULL)
    backend = g_memory_settings_backend_new ();
  return g_settings_new_full (schema, backend, NULL);
}
