/* SPDX-License-Identifier: MIT
 *
 * Where the file system can, the bytes go to a file that has no name (O_TMPFILE): until commit gives it one,
 * the kernel drops it with the process, however that ends. Elsewhere it is a hidden file, removed by free.
 *
 * Commit order: data to disk (fsync), the name (link or rename), the folder to disk. A reader sees the old
 * file or the new one. Without leave to overwrite the name is made by link(2), which never replaces anything,
 * so a file that appeared in the meantime is safe too.
 */
#include "core/base/swage-output.h"
#include "core/base/swage-error.h"
#include "core/base/swage-sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)
#define N_BUFFERS 4
/* Ask for writeback this often, or the fsync at the end takes it all. */
#define WRITEBACK_BYTES ((uint64_t)32 << 20)

struct _SwageOutput
{
  char *path;   /* as the user gave it: for messages */
  char *target; /* basename inside the folder */
  char *hidden; /* basename of the temporary file, or NULL while it has no name */
  int dir, fd;
  bool overwrite;

  uint64_t position; /* bytes taken so far, also those in the buffers */

  /* Hashing and writing go on in a thread of their own, beside the work that makes the next bytes. A small
   * file never starts it. Buffers are used in turn: the caller fills number `filled`, the thread empties
   * number `emptied`. */
  GThread *thread;
  GMutex lock;
  GCond changed;
  uint64_t filled, emptied;
  bool quit;
  uint8_t *buffers[N_BUFFERS];
  size_t fill; /* of the buffer being filled */
  int failed;  /* errno of the first failure: nothing works after it; under the lock while the thread runs */
  bool done;

  SwageSha256 sha; /* from here on the thread's, while it runs */
  uint64_t flushed, kicked;
};

/* with the thread stopped or the lock held */
static void
set_failed (SwageOutput *out, int err)
{
  if (out->failed == 0)
    out->failed = err;
}

static bool
fail (SwageOutput *out, int err, GError **error)
{
  g_mutex_lock (&out->lock);
  set_failed (out, err);
  int first = out->failed;
  g_mutex_unlock (&out->lock);
  swage_error_set_errno (error, first, _ ("write"), out->path);
  return false;
}

/* A name that is hidden and free; the kernel applies the umask. */
static int
open_hidden (SwageOutput *out)
{
  for (int i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf (".swage-%08x%08x", g_random_int (), g_random_int ());
      int fd = openat (out->dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
      if (fd >= 0)
        out->hidden = g_steal_pointer (&name);
      if (fd >= 0 || errno != EEXIST)
        return fd;
    }
  return -1;
}

static int
open_unnamed (SwageOutput *out)
{
  /* linkat() of an unnamed file goes through /proc, which a bare chroot may lack. */
  if (access ("/proc/self/fd", X_OK) == 0 && g_getenv ("SWAGE_NO_TMPFILE") == NULL)
    {
      int fd = openat (out->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
      /* EISDIR: a kernel without O_TMPFILE; EOPNOTSUPP: a file system without; others some FUSE file systems
       * give */
      if (fd >= 0 || (errno != EISDIR && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOENT))
        return fd;
    }
  return open_hidden (out);
}

static bool
check_space (SwageOutput *out, uint64_t expected, GError **error)
{
  struct statvfs vfs;
  if (fstatvfs (out->fd, &vfs) == 0)
    {
      uint64_t blocks = geteuid () == 0 ? vfs.f_bfree : vfs.f_bavail;
      uint64_t unit = vfs.f_frsize > 0 ? vfs.f_frsize : vfs.f_bsize;
      if (unit > 0 && (expected - 1) / unit >= blocks)
        {
          g_autofree char *need = g_format_size_full (expected, G_FORMAT_SIZE_IEC_UNITS);
          g_autofree char *have = g_format_size_full (blocks * unit, G_FORMAT_SIZE_IEC_UNITS);
          g_set_error (
              error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
              _ ("Cannot write “%s”: it needs %s, and only %s are free there. Free some space or choose "
                 "another folder."),
              out->path, need, have);
          return false;
        }
    }

  /* Reserve it, so that the disk does not fill up hours later. On tmpfs that would clear all the memory
   * first. */
  struct statfs fs;
  if (expected <= INT64_MAX && fstatfs (out->fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC
      && fallocate (out->fd, 1 /* FALLOC_FL_KEEP_SIZE */, 0, (off_t)expected) != 0
      && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
    return fail (out, errno, error);
  return true;
}

/* What stands at the target: fills *mode, resolves a symbolic link, refuses what must not be replaced. */
static bool
check_target (SwageOutput *out, const char *path, char **resolved, mode_t *mode, GError **error)
{
  struct stat st;
  *mode = 0;
  if (lstat (path, &st) != 0)
    {
      if (errno == ENOENT)
        return true;
      swage_error_set_errno (error, errno, _ ("write"), out->path);
      return false;
    }
  if (S_ISLNK (st.st_mode) && stat (path, &st) == 0)
    {
      char *real = realpath (path, NULL);
      *resolved = real != NULL ? g_strdup (real) : NULL;
      free (real);
    }
  if (S_ISDIR (st.st_mode))
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("Cannot write “%s”: it is a folder."),
                 out->path);
  else if (!S_ISREG (st.st_mode) && !S_ISLNK (st.st_mode))
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("Cannot write “%s”: it is not a regular file."),
                 out->path);
  else if (!out->overwrite)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                 _ ("“%s” exists already. Choose another name, or allow it to be overwritten."), out->path);
  else if (S_ISREG (st.st_mode) && access (path, W_OK) != 0)
    swage_error_set_errno (error, errno, _ ("overwrite"), out->path);
  else
    {
      if (S_ISREG (st.st_mode))
        *mode = st.st_mode & 07777;
      return true;
    }
  return false;
}

SwageOutput *
swage_output_new (const char *path, uint64_t expected, bool overwrite, GError **error)
{
  /* A write past RLIMIT_FSIZE shall be an error like a full disk, not the end of the program. */
  static gsize once;
  if (g_once_init_enter (&once))
    {
      struct sigaction action;
      if (sigaction (SIGXFSZ, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal (SIGXFSZ, SIG_IGN);
      g_once_init_leave (&once, 1);
    }

  g_autoptr (SwageOutput) out = g_new0 (SwageOutput, 1);
  g_mutex_init (&out->lock);
  g_cond_init (&out->changed);
  out->dir = out->fd = -1;
  out->overwrite = overwrite;
  out->path = g_filename_display_name (path);

  g_autofree char *resolved = NULL;
  mode_t mode;
  if (!check_target (out, path, &resolved, &mode, error))
    return NULL;
  const char *place = resolved != NULL ? resolved : path;
  g_autofree char *folder = g_path_get_dirname (place);
  out->target = g_path_get_basename (place);
  if (place[0] == '\0' || g_str_has_suffix (place, "/"))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("“%s” is not the name of a file."), out->path);
      return NULL;
    }

  out->dir = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (out->dir < 0)
    {
      swage_error_set_errno (error, errno, _ ("open the folder"), folder);
      return NULL;
    }
  out->fd = open_unnamed (out);
  if (out->fd < 0)
    {
      swage_error_set_errno (error, errno, _ ("write"), out->path);
      return NULL;
    }
  if (mode != 0 && fchmod (out->fd, mode) != 0)
    {
      swage_error_set_errno (error, errno, _ ("set the permissions of"), out->path);
      return NULL;
    }
  if (expected > 0 && !check_space (out, expected, error))
    return NULL;

  out->buffers[0] = g_malloc (BUFFER_BYTES);
  swage_sha256_init (&out->sha);
  return g_steal_pointer (&out);
}

/* Hash and write, while the bytes are in the cache. Returns 0 or an errno. */
static int
write_out (SwageOutput *out, const uint8_t *data, size_t n)
{
  swage_sha256_update (&out->sha, data, n);
  while (n > 0)
    {
      ssize_t done = write (out->fd, data, n);
      if (done < 0 && errno == EINTR)
        continue;
      if (done <= 0)
        return done < 0 ? errno : EIO;
      data += done;
      n -= (size_t)done;
      out->flushed += (uint64_t)done;
    }
  if (out->flushed - out->kicked >= WRITEBACK_BYTES)
    {
      (void)sync_file_range (out->fd, (off_t)out->kicked, (off_t)(out->flushed - out->kicked),
                             SYNC_FILE_RANGE_WRITE);
      out->kicked = out->flushed;
    }
  return 0;
}

static gpointer
writer_main (gpointer data)
{
  SwageOutput *out = data;
  g_mutex_lock (&out->lock);
  for (;;)
    {
      while (out->emptied == out->filled && !out->quit)
        g_cond_wait (&out->changed, &out->lock);
      if (out->quit)
        break;
      const uint8_t *buffer = out->buffers[out->emptied % N_BUFFERS];
      bool skip = out->failed != 0;
      g_mutex_unlock (&out->lock);
      int err = skip ? 0 : write_out (out, buffer, BUFFER_BYTES);
      g_mutex_lock (&out->lock);
      if (err != 0)
        set_failed (out, err);
      out->emptied++;
      g_cond_signal (&out->changed);
    }
  g_mutex_unlock (&out->lock);
  return NULL;
}

/* Give the full buffer away and have an empty one. Returns the first failure so far, or 0. */
static int
hand_over (SwageOutput *out)
{
  if (out->thread == NULL)
    {
      for (int i = 1; i < N_BUFFERS; i++)
        out->buffers[i] = g_malloc (BUFFER_BYTES);
      out->thread = g_thread_new ("swage-output", writer_main, out);
    }
  g_mutex_lock (&out->lock);
  out->filled++;
  g_cond_signal (&out->changed);
  while (out->filled - out->emptied >= N_BUFFERS)
    g_cond_wait (&out->changed, &out->lock);
  int err = out->failed;
  g_mutex_unlock (&out->lock);
  out->fill = 0;
  return err;
}

/* Wait for the thread, if `all` after what was handed over is written. */
static void
stop_thread (SwageOutput *out, bool all)
{
  if (out->thread == NULL)
    return;
  g_mutex_lock (&out->lock);
  while (all && out->emptied != out->filled)
    g_cond_wait (&out->changed, &out->lock);
  out->quit = true;
  g_cond_signal (&out->changed);
  g_mutex_unlock (&out->lock);
  g_thread_join (g_steal_pointer (&out->thread));
}

bool
swage_output_write (SwageOutput *out, const void *data, size_t n, GError **error)
{
  g_return_val_if_fail (!out->done, false);
  const uint8_t *p = data;
  g_mutex_lock (&out->lock);
  int err = out->failed;
  g_mutex_unlock (&out->lock);
  out->position += n;
  while (n > 0 && err == 0)
    {
      size_t part = MIN (n, BUFFER_BYTES - out->fill);
      memcpy (out->buffers[out->filled % N_BUFFERS] + out->fill, p, part);
      out->fill += part;
      p += part;
      n -= part;
      if (out->fill == BUFFER_BYTES)
        err = hand_over (out);
    }
  return err == 0 || fail (out, err, error);
}

bool
swage_output_pad (SwageOutput *out, uint64_t alignment, GError **error)
{
  static const uint8_t zeros[4096];
  uint64_t left = alignment > 1 ? (alignment - out->position % alignment) % alignment : 0;
  while (left > 0)
    {
      size_t part = (size_t)MIN (left, sizeof zeros);
      if (!swage_output_write (out, zeros, part, error))
        return false;
      left -= part;
    }
  return true;
}

uint64_t
swage_output_get_position (SwageOutput *out)
{
  return out->position;
}

/* Give the finished file its name. Returns 0 or an errno. */
static int
publish (SwageOutput *out)
{
  char self[64];
  g_snprintf (self, sizeof self, "/proc/self/fd/%d", out->fd);

  if (!out->overwrite)
    {
      int linked = out->hidden != NULL ? linkat (out->dir, out->hidden, out->dir, out->target, 0)
                                       : linkat (AT_FDCWD, self, out->dir, out->target, AT_SYMLINK_FOLLOW);
      if (linked == 0)
        return 0; /* the hidden name, if any, goes with free */
      if (out->hidden == NULL || (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS))
        return errno;
      /* a file system without hard links (FAT): rename, but never on top of something */
      if (renameat2 (out->dir, out->hidden, out->dir, out->target, RENAME_NOREPLACE) != 0)
        return errno;
      g_clear_pointer (&out->hidden, g_free);
      return 0;
    }

  for (int i = 0; out->hidden == NULL && i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf (".swage-%08x%08x", g_random_int (), g_random_int ());
      if (linkat (AT_FDCWD, self, out->dir, name, AT_SYMLINK_FOLLOW) == 0)
        out->hidden = g_steal_pointer (&name);
      else if (errno != EEXIST)
        return errno;
    }
  if (out->hidden == NULL)
    return EEXIST;
  if (renameat (out->dir, out->hidden, out->dir, out->target) != 0)
    return errno;
  g_clear_pointer (&out->hidden, g_free);
  return 0;
}

bool
swage_output_commit (SwageOutput *out, char **sha256, GError **error)
{
  g_return_val_if_fail (!out->done, false);
  stop_thread (out, true);
  if (out->failed == 0)
    out->failed = write_out (out, out->buffers[out->filled % N_BUFFERS], out->fill);
  out->fill = 0;
  if (out->failed != 0)
    return fail (out, out->failed, error);
  if (ftruncate (out->fd, (off_t)out->flushed) != 0) /* returns what was reserved beyond the end */
    return fail (out, errno, error);
  if (fsync (out->fd) != 0 && errno != EINVAL && errno != EROFS)
    return fail (out, errno, error);
  int err = publish (out);
  if (err == EEXIST && !out->overwrite)
    {
      out->failed = err;
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("“%s” exists already. Choose another name, or allow it to be overwritten."), out->path);
      return false;
    }
  if (err != 0)
    return fail (out, err, error);
  (void)fsync (out->dir); /* some file systems refuse this for folders; the file itself is safe by now */

  out->done = true;
  char hex[65];
  swage_sha256_finish (&out->sha, hex);
  if (sha256 != NULL)
    *sha256 = g_strdup (hex);
  return true;
}

void
swage_output_free (SwageOutput *out)
{
  if (out == NULL)
    return;
  stop_thread (out, false);
  if (out->hidden != NULL)
    (void)unlinkat (out->dir, out->hidden, 0);
  if (out->fd >= 0)
    close (out->fd);
  if (out->dir >= 0)
    close (out->dir);
  for (int i = 0; i < N_BUFFERS; i++)
    g_free (out->buffers[i]);
  g_mutex_clear (&out->lock);
  g_cond_clear (&out->changed);
  g_free (out->hidden);
  g_free (out->target);
  g_free (out->path);
  g_free (out);
}

bool
swage_output_write_file (const char *path, const void *data, size_t n, bool overwrite, char **sha256,
                         GError **error)
{
  g_autoptr (SwageOutput) out = swage_output_new (path, n, overwrite, error);
  return out != NULL && swage_output_write (out, data, n, error) && swage_output_commit (out, sha256, error);
}
