/* SPDX-License-Identifier: MIT
 *
 * An output is there whole or not at all: after an error, a cancel, a kill, a full disk; with and without
 * O_TMPFILE.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-output.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct
{
  char *folder, *path;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  /* The build folder: /tmp is often a tmpfs, and both kinds of file system matter. */
  const char *root = g_getenv ("SWAGE_BUILD_ROOT");
  f->folder = g_build_filename (root != NULL ? root : g_get_tmp_dir (), "swage-output-XXXXXX", NULL);
  g_assert_nonnull (g_mkdtemp (f->folder));
  f->path = g_build_filename (f->folder, "model.gguf", NULL);
  if (data != NULL)
    g_setenv ("SWAGE_NO_TMPFILE", "1", TRUE);
  else
    g_unsetenv ("SWAGE_NO_TMPFILE");
}

/* How many names the folder holds, hidden ones too. */
static int
count (const char *folder)
{
  int n = 0;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (f->folder, name, NULL);
      g_unlink (path);
    }
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->path);
}

static void
check_contents (const char *path, const void *want, size_t n)
{
  g_autofree char *text = NULL;
  gsize got;
  g_assert_true (g_file_get_contents (path, &text, &got, NULL));
  g_assert_cmpmem (text, got, want, n);
}

/* The body runs in a child, which may lose rights, be killed, or hit its limits. Returns the wait status. */
static int
in_child (void (*body) (Fixture *f), Fixture *f)
{
  pid_t pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      body (f);
      _exit (0);
    }
  int status;
  while (waitpid (pid, &status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  return status;
}

static void
test_write (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageOutput) out = swage_output_new (f->path, 5000000, false, &error);
  g_assert_no_error (error);
  g_autoptr (GByteArray) want = g_byte_array_new ();
  g_autofree uint8_t *noise = g_malloc (3000000);
  for (size_t i = 0; i < 3000000; i++)
    noise[i] = (uint8_t)(i * 31 >> 3);
  static const size_t sizes[] = { 0, 1, 31, 1048576, 1048577, 5, 3000000, 17 };
  for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_assert_true (swage_output_write (out, noise, sizes[i], &error));
      g_byte_array_append (want, noise, (guint)sizes[i]);
      g_assert_true (swage_output_pad (out, 32, &error));
      static const uint8_t zeros[32];
      g_byte_array_append (want, zeros, (32 - want->len % 32) % 32);
      g_assert_cmpuint (swage_output_get_position (out), ==, want->len);
      g_assert_cmpint (access (f->path, F_OK), !=, 0);
    }
  g_assert_true (swage_output_pad (out, 1 << 16, &error));
  guint len = want->len;
  g_byte_array_set_size (want, (len + 65535) / 65536 * 65536);
  memset (want->data + len, 0, want->len - len);

  g_autofree char *sha = NULL;
  g_assert_true (swage_output_commit (out, &sha, &error));
  g_assert_no_error (error);
  g_clear_pointer (&out, swage_output_free);
  check_contents (f->path, want->data, want->len);
  g_autofree char *expected = g_compute_checksum_for_data (G_CHECKSUM_SHA256, want->data, want->len);
  g_assert_cmpstr (sha, ==, expected);
  g_assert_cmpint (count (f->folder), ==, 1);
}

static void
test_dropped (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (swage_output_write_file (f->path, "old", 3, false, NULL, &error));
  SwageOutput *out = swage_output_new (f->path, 0, true, &error);
  g_assert_no_error (error);
  g_autofree uint8_t *zeros = g_malloc0 (3 << 20);
  g_assert_true (swage_output_write (out, zeros, 3 << 20, &error));
  swage_output_free (out); /* cancelled */
  check_contents (f->path, "old", 3);
  g_assert_cmpint (count (f->folder), ==, 1);
  swage_output_free (NULL);
}

static void
test_overwrite (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *sha = NULL;
  g_assert_true (swage_output_write_file (f->path, "abc", 3, false, &sha, &error));
  g_assert_cmpstr (sha, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  g_assert_false (swage_output_write_file (f->path, "new", 3, false, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, f->path));
  g_clear_error (&error);
  check_contents (f->path, "abc", 3);

  /* the mode of what is replaced stays */
  g_assert_cmpint (g_chmod (f->path, 0640), ==, 0);
  g_assert_true (swage_output_write_file (f->path, "longer", 6, true, NULL, &error));
  check_contents (f->path, "longer", 6);
  struct stat st;
  g_assert_cmpint (stat (f->path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0640);
  g_assert_cmpint (count (f->folder), ==, 1);
}

/* A file that appears between new and commit is not replaced without leave. */
static void
test_race (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageOutput) out = swage_output_new (f->path, 0, false, &error);
  g_assert_true (swage_output_write (out, "mine", 4, &error));
  g_assert_true (g_file_set_contents (f->path, "theirs", 6, NULL));
  g_assert_false (swage_output_commit (out, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_pointer (&out, swage_output_free);
  check_contents (f->path, "theirs", 6);
  g_assert_cmpint (count (f->folder), ==, 1);
}

static void
test_umask (Fixture *f, gconstpointer data)
{
  struct stat st;
  mode_t before = umask (027);
  g_assert_true (swage_output_write_file (f->path, "x", 1, false, NULL, NULL));
  umask (before);
  g_assert_cmpint (stat (f->path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 07777, ==, 0640);
}

static void
test_symlink (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *link = g_build_filename (f->folder, "latest", NULL);
  g_assert_true (swage_output_write_file (f->path, "old", 3, false, NULL, &error));
  g_assert_cmpint (symlink ("model.gguf", link), ==, 0);
  g_assert_true (swage_output_write_file (link, "new", 3, true, NULL, &error));
  g_assert_true (g_file_test (link, G_FILE_TEST_IS_SYMLINK));
  check_contents (f->path, "new", 3);
}

static void
test_bad_targets (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *nowhere = g_build_filename (f->folder, "no", "such", "folder", NULL);
  g_assert_null (swage_output_new (nowhere, 0, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (swage_output_new (f->folder, 0, true, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (swage_output_new ("/dev/null", 0, true, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (swage_output_new ("", 0, true, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_autofree char *slash = g_strconcat (f->folder, "/new/", NULL);
  g_assert_null (swage_output_new (slash, 0, true, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (swage_output_new (f->path, (uint64_t)1 << 60, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, f->path));
  g_clear_error (&error);
  g_autofree char *name = g_strnfill (300, 'x');
  g_autofree char *too_long = g_build_filename (f->folder, name, NULL);
  g_assert_false (swage_output_write_file (too_long, "x", 1, false, NULL, &error));
  g_assert_nonnull (error);
  g_assert_cmpint (count (f->folder), ==, 0);
}

static void
write_as_nobody (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  if (geteuid () == 0 && setuid (65534) != 0)
    _exit (77);
  g_assert_null (swage_output_new (f->path, 0, true, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_IO);
  g_assert_nonnull (strstr (error->message, f->path));
}

static void
test_read_only_folder (Fixture *f, gconstpointer data)
{
  /* reachable and readable by everyone, writable by no one */
  g_free (f->path);
  g_autofree char *folder = g_dir_make_tmp ("swage-output-XXXXXX", NULL);
  f->path = g_build_filename (folder, "x.gguf", NULL);
  g_assert_cmpint (g_chmod (folder, 0555), ==, 0);
  int status = in_child (write_as_nobody, f);
  g_assert_cmpint (count (folder), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
    g_test_skip ("cannot drop root's rights here");
  else
    g_assert_cmpint (status, ==, 0);
}

static void
write_until_killed (Fixture *f)
{
  SwageOutput *out = swage_output_new (f->path, 0, true, NULL);
  g_autofree uint8_t *zeros = g_malloc0 (5 << 20);
  if (out == NULL || !swage_output_write (out, zeros, 5 << 20, NULL))
    _exit (1);
  kill (getpid (), SIGKILL);
}

static void
test_killed (Fixture *f, gconstpointer data)
{
  int fd = open (f->folder, O_TMPFILE | O_RDWR, 0600);
  if (fd < 0)
    {
      g_test_skip ("this file system has no O_TMPFILE");
      return;
    }
  close (fd);
  g_assert_true (swage_output_write_file (f->path, "old", 3, false, NULL, NULL));
  int status = in_child (write_until_killed, f);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  check_contents (f->path, "old", 3);
  g_assert_cmpint (count (f->folder), ==, 1);
}

/* Writes 4 MiB where there is room for one. */
static void
write_too_much (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageOutput) out = swage_output_new (f->path, 0, true, &error);
  g_assert_no_error (error);
  g_autofree uint8_t *zeros = g_malloc0 (1 << 18);
  bool ok = true;
  for (int i = 0; i < 16 && ok; i++)
    ok = swage_output_write (out, zeros, 1 << 18, &error);
  g_assert_true (!ok || !swage_output_commit (out, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, f->path));
  g_clear_error (&error);
  /* and it stays failed */
  g_assert_false (swage_output_write (out, zeros, 1, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  g_clear_error (&error);
  g_assert_false (swage_output_commit (out, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
}

static void
write_past_limit (Fixture *f)
{
  struct rlimit limit = { 1 << 20, 1 << 20 };
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  write_too_much (f);
}

static void
test_file_size_limit (Fixture *f, gconstpointer data)
{
  g_assert_true (swage_output_write_file (f->path, "old", 3, false, NULL, NULL));
  g_assert_cmpint (in_child (write_past_limit, f), ==, 0);
  check_contents (f->path, "old", 3);
  g_assert_cmpint (count (f->folder), ==, 1);
}

static void
write_to_small_disk (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  if (unshare (CLONE_NEWNS) != 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
      || mount ("swage", f->folder, "tmpfs", 0, "size=1m") != 0)
    _exit (77);
  g_assert_true (swage_output_write_file (f->path, "old", 3, false, NULL, NULL));
  g_assert_null (swage_output_new (f->path, 2 << 20, true, &error)); /* told before a byte is written */
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  write_too_much (f);
  check_contents (f->path, "old", 3);
  g_assert_cmpint (count (f->folder), ==, 1);

  g_clear_error (&error);
  g_assert_cmpint (mount (NULL, f->folder, NULL, MS_REMOUNT | MS_RDONLY, "size=1m"), ==, 0);
  g_assert_false (swage_output_write_file (f->path, "new", 3, true, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_IO);
  check_contents (f->path, "old", 3);
}

static void
test_full_disk (Fixture *f, gconstpointer data)
{
  int status = in_child (write_to_small_disk, f);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
    g_test_skip ("may not mount a small file system here");
  else
    g_assert_cmpint (status, ==, 0);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*func) (Fixture *f, gconstpointer data);
  } tests[] = {
    { "write", test_write },
    { "dropped", test_dropped },
    { "overwrite", test_overwrite },
    { "race", test_race },
    { "umask", test_umask },
    { "symlink", test_symlink },
    { "bad-targets", test_bad_targets },
    { "read-only-folder", test_read_only_folder },
    { "file-size-limit", test_file_size_limit },
    { "full-disk", test_full_disk },
  };
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (tests); i++)
    {
      g_autofree char *unnamed = g_strconcat ("/base/output/unnamed/", tests[i].name, NULL);
      g_autofree char *hidden = g_strconcat ("/base/output/hidden/", tests[i].name, NULL);
      g_test_add (unnamed, Fixture, NULL, set_up, tests[i].func, tear_down);
      g_test_add (hidden, Fixture, "hidden", set_up, tests[i].func, tear_down);
    }
  g_test_add ("/base/output/unnamed/killed", Fixture, NULL, set_up, test_killed, tear_down);
  return g_test_run ();
}
