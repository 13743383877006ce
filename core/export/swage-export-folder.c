/* SPDX-License-Identifier: MIT
 *
 * The files are written to a hidden folder beside the target, ".NAME.swage-PID-XXXXXX". At the end one rename
 * puts it in place: with RENAME_NOREPLACE where nothing stood, with RENAME_EXCHANGE where a model did, whose
 * files are then removed. After kill −9 the hidden folder stays; the next export to the same target removes
 * those whose process is gone.
 */
#include "core/export/swage-export-folder.h"
#include "core/base/swage-error.h"
#include "core/base/swage-output.h"
#include "core/base/swage-sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct
{
  char *name, *sha256;
} Noted;

struct _SwageExportFolder
{
  char *path, *parent, *base, *shown;
  char *hidden; /* path of the folder being filled; NULL after commit */
  bool replace; /* something stands at the target */
  uint64_t bytes;
  GArray *files; /* Noted */
};

static void
noted_clear (gpointer p)
{
  Noted *noted = p;
  g_free (noted->name);
  g_free (noted->sha256);
}

/* Flat: our folders have no folders in them. */
static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_unlink (file);
    }
  g_rmdir (path);
}

/* What export writes and checkpoints come with; a folder that has anything else in it is somebody's own. */
static bool
is_model_file (const char *name)
{
  static const char *const names[] = { "config.json",
                                       "generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "vocab.json",
                                       "merges.txt",
                                       "tokenizer.model",
                                       "chat_template.jinja",
                                       "chat_template.json",
                                       "model.safetensors.index.json",
                                       NULL };
  return g_strv_contains (names, name) || g_str_has_suffix (name, ".safetensors");
}

/* FALSE with an error when replacing `path` would take more away than a model. */
static bool
check_replaceable (SwageExportFolder *folder, GError **error)
{
  GError *local = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder->path, 0, &local);
  const char *name;
  if (dir == NULL)
    {
      swage_error_wrap_io (&local, folder->path);
      g_propagate_error (error, local);
      return false;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (folder->path, name, NULL);
      if (is_model_file (name) && !g_file_test (file, G_FILE_TEST_IS_DIR))
        continue;
      g_autofree char *shown = g_filename_display_name (name);
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("“%s” also holds “%s”, which is no part of a model and would be lost; choose another folder."),
          folder->shown, shown);
      return false;
    }
  return true;
}

/* Hidden folders that an export to this target left behind when it was killed. */
static void
sweep (SwageExportFolder *folder)
{
  g_autofree char *prefix = g_strdup_printf (".%s.swage-", folder->base);
  g_autoptr (GDir) dir = g_dir_open (folder->parent, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      if (!g_str_has_prefix (name, prefix))
        continue;
      long pid = strtol (name + strlen (prefix), NULL, 10);
      if (pid > 0 && kill ((pid_t)pid, 0) != 0 && errno == ESRCH)
        {
          g_autofree char *path = g_build_filename (folder->parent, name, NULL);
          remove_folder (path);
        }
    }
}

static bool
check_space (SwageExportFolder *folder, uint64_t expected, GError **error)
{
  struct statvfs fs;
  if (statvfs (folder->parent, &fs) != 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= expected)
    return true;
  g_autofree char *need = g_format_size (expected);
  g_autofree char *have = g_format_size ((uint64_t)fs.f_bavail * fs.f_frsize);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE, _ ("“%s” would take %s; only %s are free there."),
               folder->shown, need, have);
  return false;
}

SwageExportFolder *
swage_export_folder_new (const char *path, uint64_t expected, bool overwrite, GError **error)
{
  g_autoptr (SwageExportFolder) folder = g_new0 (SwageExportFolder, 1);
  struct stat st;
  folder->path = g_canonicalize_filename (path, NULL);
  folder->shown = g_filename_display_name (path);
  folder->parent = g_path_get_dirname (folder->path);
  folder->base = g_path_get_basename (folder->path);
  folder->files = g_array_new (FALSE, TRUE, sizeof (Noted));
  g_array_set_clear_func (folder->files, noted_clear);

  if (lstat (folder->path, &st) == 0)
    {
      folder->replace = true;
      if (!S_ISDIR (st.st_mode))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("“%s” is a file; this export makes a folder."), folder->shown);
          return NULL;
        }
      if (!overwrite)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("“%s” exists already."), folder->shown);
          return NULL;
        }
      if (!check_replaceable (folder, error))
        return NULL;
    }
  if (!check_space (folder, expected, error))
    return NULL;

  sweep (folder);
  folder->hidden = g_strdup_printf ("%s/.%s.swage-%ld-XXXXXX", folder->parent, folder->base, (long)getpid ());
  if (g_mkdtemp_full (folder->hidden, 0777) == NULL)
    {
      swage_error_set_errno (error, errno, _ ("create"), folder->path);
      g_clear_pointer (&folder->hidden, g_free);
      return NULL;
    }
  return g_steal_pointer (&folder);
}

char *
swage_export_folder_get_path (SwageExportFolder *folder, const char *name)
{
  return g_build_filename (folder->hidden, name, NULL);
}

void
swage_export_folder_note (SwageExportFolder *folder, const char *name, uint64_t bytes, const char *sha256)
{
  Noted noted = { g_strdup (name), g_strdup (sha256) };
  folder->bytes += bytes;
  g_array_append_val (folder->files, noted);
}

bool
swage_export_folder_write (SwageExportFolder *folder, const char *name, const void *data, size_t n,
                           GError **error)
{
  g_autofree char *path = swage_export_folder_get_path (folder, name);
  g_autofree char *sha256 = NULL;
  if (!swage_output_write_file (path, data, n, false, &sha256, error))
    return false;
  swage_export_folder_note (folder, name, n, sha256);
  return true;
}

static int
compare_name (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Noted *)a)->name, ((const Noted *)b)->name);
}

/* SHA-256 over the lines of `sha256sum *`. */
static char *
hash_listing (SwageExportFolder *folder)
{
  SwageSha256 sha;
  char hex[65];
  g_array_sort (folder->files, compare_name);
  swage_sha256_init (&sha);
  for (guint i = 0; i < folder->files->len; i++)
    {
      const Noted *noted = &g_array_index (folder->files, Noted, i);
      g_autofree char *line = g_strdup_printf ("%s  %s\n", noted->sha256, noted->name);
      swage_sha256_update (&sha, line, strlen (line));
    }
  swage_sha256_finish (&sha, hex);
  return g_strdup (hex);
}

static void
sync_folder (const char *path)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    {
      (void)fsync (fd);
      close (fd);
    }
}

bool
swage_export_folder_commit (SwageExportFolder *folder, SwageExportResult *result, GError **error)
{
  /* again: hours may have gone by */
  if (folder->replace && !check_replaceable (folder, error))
    return false;
  sync_folder (folder->hidden);
  bool moved = renameat2 (AT_FDCWD, folder->hidden, AT_FDCWD, folder->path,
                          folder->replace ? RENAME_EXCHANGE : RENAME_NOREPLACE)
               == 0;
  if (!moved && errno == EINVAL)
    {
      /* a file system without these: between the two steps there is a moment with neither, but never half of
       * one */
      if (folder->replace)
        remove_folder (folder->path);
      moved = rename (folder->hidden, folder->path) == 0;
      folder->replace = false;
    }
  if (!moved)
    {
      swage_error_set_errno (error, errno, _ ("write"), folder->path);
      return false;
    }
  if (folder->replace)
    remove_folder (folder->hidden); /* which is the old one now */
  g_clear_pointer (&folder->hidden, g_free);
  sync_folder (folder->parent);

  result->bytes = folder->bytes;
  result->n_files = (int)folder->files->len;
  result->sha256 = folder->files->len == 1 ? g_strdup (g_array_index (folder->files, Noted, 0).sha256)
                                           : hash_listing (folder);
  return true;
}

void
swage_export_folder_free (SwageExportFolder *folder)
{
  if (folder == NULL)
    return;
  if (folder->hidden != NULL)
    remove_folder (folder->hidden);
  g_clear_pointer (&folder->files, g_array_unref);
  g_free (folder->hidden);
  g_free (folder->path);
  g_free (folder->parent);
  g_free (folder->base);
  g_free (folder->shown);
  g_free (folder);
}
