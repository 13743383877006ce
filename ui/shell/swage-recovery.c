/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-recovery.h"

#include "ui/shell/swage-session-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SUFFIX ".session.json"
/* A slider gives many changes in a row; so long a session may be behind when the program is killed. */
#define DELAY_MS 150
#define MAX_BYTES (64 << 20)

struct _SwageRecovery
{
  SwageSession *session;
  char *file, *lock_file;
  int lock;    /* -1: no model has been open yet, or the folder cannot be written */
  guint timer; /* set: there is something to write */
  GMutex mutex;
  GCond written;
  bool writing; /* under the mutex: a thread writes */
};

/* What a thread writes. */
typedef struct
{
  SwageRecovery *recovery;
  char *file, *model, *plan_path, *plan_text;
  bool modified;
} Record;

static char *
get_folder (void)
{
  return g_build_filename (g_get_user_data_dir (), "swage", "sessions", NULL);
}

static int
open_lock (const char *path, int flags)
{
  int fd = g_open (path, O_RDWR | O_CLOEXEC | flags, 0600);
  if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) != 0)
    {
      close (fd);
      return -1;
    }
  return fd;
}

/* --- writing
 * ----------------------------------------------------------------------------------------------------- */

static Record *
record_new (SwageRecovery *recovery)
{
  SwageSession *session = recovery->session;
  Record *record = g_new0 (Record, 1);
  record->recovery = recovery;
  record->file = g_strdup (recovery->file);
  record->model = g_filename_to_uri (swage_model_get_path (session->model), NULL, NULL);
  if (session->plan_path != NULL)
    record->plan_path = g_filename_to_uri (session->plan_path, NULL, NULL);
  record->plan_text = g_strdup (session->plan_text);
  record->modified = swage_session_is_modified (session);
  return record;
}

static void
record_free (Record *record)
{
  g_free (record->file);
  g_free (record->model);
  g_free (record->plan_path);
  g_free (record->plan_text);
  g_free (record);
}

static void
record_write (Record *record)
{
  g_autoptr (GError) error = NULL;
  json_t *root
      = json_pack ("{s:i, s:I, s:s?, s:s?, s:b, s:s}", "swage_session", 1, "time",
                   (json_int_t)(g_get_real_time () / G_USEC_PER_SEC), "model", record->model, "plan_path",
                   record->plan_path, "modified", record->modified, "plan", record->plan_text);
  char *text = root != NULL ? json_dumps (root, JSON_INDENT (2)) : NULL;
  if (text == NULL
      || !g_file_set_contents_full (record->file, text, (gssize)strlen (text), G_FILE_SET_CONTENTS_CONSISTENT,
                                    0600, &error))
    g_warning ("The session cannot be kept: %s", error != NULL ? error->message : "out of memory");
  free (text);
  json_decref (root);
}

static void
write_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Record *record = data;
  SwageRecovery *recovery = record->recovery;
  record_write (record);
  g_mutex_lock (&recovery->mutex);
  recovery->writing = false;
  g_cond_broadcast (&recovery->written);
  g_mutex_unlock (&recovery->mutex);
  g_task_return_boolean (task, TRUE);
}

static gboolean
write_now (gpointer data)
{
  SwageRecovery *recovery = data;
  g_mutex_lock (&recovery->mutex);
  bool writing = recovery->writing;
  recovery->writing = true;
  g_mutex_unlock (&recovery->mutex);
  if (writing) /* a slow disk: look again after the same delay */
    return G_SOURCE_CONTINUE;
  recovery->timer = 0;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  g_task_set_task_data (task, record_new (recovery), (GDestroyNotify)record_free);
  g_task_run_in_thread (task, write_in_thread);
  return G_SOURCE_REMOVE;
}

static void
write_soon (SwageRecovery *recovery)
{
  if (recovery->lock >= 0 && recovery->timer == 0)
    recovery->timer = g_timeout_add (DELAY_MS, write_now, recovery);
}

static void
wait_for_thread (SwageRecovery *recovery)
{
  g_mutex_lock (&recovery->mutex);
  while (recovery->writing)
    g_cond_wait (&recovery->written, &recovery->mutex);
  g_mutex_unlock (&recovery->mutex);
}

static void
on_model_changed (SwageRecovery *recovery)
{
  if (recovery->lock < 0)
    {
      g_autofree char *folder = get_folder (), *id = g_uuid_string_random (),
                      *name = g_strconcat (id, SUFFIX, NULL), *lock_name = g_strconcat (id, ".lock", NULL);
      g_free (recovery->file);
      g_free (recovery->lock_file);
      recovery->file = g_build_filename (folder, name, NULL);
      recovery->lock_file = g_build_filename (folder, lock_name, NULL);
      if (g_mkdir_with_parents (folder, 0700) == 0)
        recovery->lock = open_lock (recovery->lock_file, O_CREAT);
      if (recovery->lock < 0)
        g_warning ("Sessions cannot be kept in %s: %s", folder, g_strerror (errno));
    }
  write_soon (recovery);
}

SwageRecovery *
swage_recovery_new (SwageSession *session)
{
  SwageRecovery *recovery = g_new0 (SwageRecovery, 1);
  recovery->session = session;
  recovery->lock = -1;
  g_mutex_init (&recovery->mutex);
  g_cond_init (&recovery->written);
  g_signal_connect_swapped (session, "model-changed", G_CALLBACK (on_model_changed), recovery);
  g_signal_connect_swapped (session, "plan-changed", G_CALLBACK (write_soon), recovery);
  g_signal_connect_swapped (session, "notify::modified", G_CALLBACK (write_soon), recovery);
  return recovery;
}

void
swage_recovery_flush (SwageRecovery *recovery)
{
  wait_for_thread (recovery);
  if (recovery->timer == 0)
    return;
  g_clear_handle_id (&recovery->timer, g_source_remove);
  Record *record = record_new (recovery);
  record_write (record);
  record_free (record);
}

static void
stop (SwageRecovery *recovery, bool keep)
{
  g_signal_handlers_disconnect_by_data (recovery->session, recovery);
  g_clear_handle_id (&recovery->timer, g_source_remove);
  wait_for_thread (recovery);
  if (recovery->lock < 0)
    return;
  if (!keep)
    {
      g_unlink (recovery->file);
      g_unlink (recovery->lock_file);
    }
  close (recovery->lock);
  recovery->lock = -1;
}

void
swage_recovery_end (SwageRecovery *recovery)
{
  stop (recovery, false);
}

void
swage_recovery_free (SwageRecovery *recovery)
{
  if (recovery == NULL)
    return;
  stop (recovery, true);
  g_mutex_clear (&recovery->mutex);
  g_cond_clear (&recovery->written);
  g_free (recovery->file);
  g_free (recovery->lock_file);
  g_free (recovery);
}

/* --- finding
 * ----------------------------------------------------------------------------------------------------- */

static char *
get_path (json_t *root, const char *key)
{
  const char *uri = json_string_value (json_object_get (root, key));
  return uri != NULL ? g_filename_from_uri (uri, NULL, NULL) : NULL;
}

/* NULL when the record says nothing. */
static SwageLost *
read_record (const char *file)
{
  g_autofree char *text = NULL;
  gsize length;
  GStatBuf st;
  if (g_stat (file, &st) != 0 || st.st_size > MAX_BYTES || !g_file_get_contents (file, &text, &length, NULL))
    return NULL;
  json_t *root = json_loadb (text, length, 0, NULL);
  const char *plan = json_string_value (json_object_get (root, "plan"));
  g_autofree char *model = get_path (root, "model");
  SwageLost *lost = NULL;
  if (json_integer_value (json_object_get (root, "swage_session")) == 1 && plan != NULL && model != NULL)
    {
      lost = g_new0 (SwageLost, 1);
      lost->model = g_steal_pointer (&model);
      lost->plan_path = get_path (root, "plan_path");
      lost->plan_text = g_strdup (plan);
      lost->modified = json_is_true (json_object_get (root, "modified"));
      lost->time = json_integer_value (json_object_get (root, "time"));
      lost->file = g_strdup (file);
      lost->lock = -1;
    }
  json_decref (root);
  return lost;
}

static int
compare_lost (gconstpointer a, gconstpointer b)
{
  const SwageLost *first = *(SwageLost *const *)a, *second = *(SwageLost *const *)b;
  return first->time < second->time ? 1 : first->time > second->time ? -1 : 0;
}

GPtrArray *
swage_recovery_find_lost (void)
{
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_lost_free);
  g_autofree char *folder = get_folder ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      if (!g_str_has_suffix (name, SUFFIX))
        continue;
      g_autofree char *stem = g_strndup (name, strlen (name) - strlen (SUFFIX)),
                      *lock_name = g_strconcat (stem, ".lock", NULL),
                      *lock_file = g_build_filename (folder, lock_name, NULL),
                      *file = g_build_filename (folder, name, NULL);
      int lock = open_lock (lock_file, O_CREAT);
      if (lock < 0)
        continue;
      SwageLost *lost = read_record (file);
      if (lost == NULL)
        {
          /* not ours, or of a version to come: left alone */
          close (lock);
          continue;
        }
      lost->lock = lock;
      lost->lock_file = g_steal_pointer (&lock_file);
      g_ptr_array_add (found, lost);
    }
  g_ptr_array_sort (found, compare_lost);
  return found;
}

void
swage_lost_free (SwageLost *lost)
{
  if (lost == NULL)
    return;
  if (lost->lock >= 0)
    close (lost->lock);
  g_free (lost->model);
  g_free (lost->plan_path);
  g_free (lost->plan_text);
  g_free (lost->file);
  g_free (lost->lock_file);
  g_free (lost);
}

void
swage_lost_discard (SwageLost *lost)
{
  g_unlink (lost->file);
  g_unlink (lost->lock_file);
  swage_lost_free (lost);
}
