/* SPDX-License-Identifier: MIT
 *
 * Stands in for libFuzzer's main where there is no clang: runs a target on every file of its corpus, and on
 * every file cut short in a few places. The target must come back each time.
 */
#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static int
compare (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

static void
replay (gconstpointer data)
{
  const char *path = data;
  g_autofree char *text = NULL;
  gsize n;
  g_autoptr (GError) error = NULL;
  g_assert_true (g_file_get_contents (path, &text, &n, &error));
  g_assert_no_error (error);
  for (int part = 0; part <= 16; part++)
    {
      /* memory of exactly this size, so that the sanitizer sees one byte too many */
      gsize length = n / 16 * (gsize)part + (part == 16 ? n % 16 : 0);
      g_autofree uint8_t *copy = g_memdup2 (text, length);
      LLVMFuzzerTestOneInput (copy, length);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc < 2)
    g_error ("usage: %s CORPUS", argv[0]);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (argv[1], 0, &error);
  if (dir == NULL)
    g_error ("%s", error->message);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_build_filename (argv[1], name, NULL));
  g_ptr_array_sort (names, compare);
  g_autofree char *target = g_path_get_basename (argv[1]);
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *seed = g_path_get_basename (names->pdata[i]);
      g_autofree char *test = g_strdup_printf ("/fuzz/%s/%s", target, seed);
      g_test_add_data_func (test, names->pdata[i], replay);
    }
  return g_test_run ();
}
