/* SPDX-License-Identifier: MIT
 *
 * Importance matrices: both forms written and read again, the older one against bytes laid out by hand after
 * llama.cpp's reader, damaged files.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/format/swage-imatrix.h"

static SwageImatrix *
make (void)
{
  SwageImatrix *imatrix = swage_imatrix_new ();
  const double a[] = { 4, 8, 0, 12 }, b[] = { 1, 3 };

  swage_imatrix_add (imatrix, "blk.1.ffn_up.weight", 2, b, 7);
  swage_imatrix_add (imatrix, "blk.0.attn_q.weight", 4, a, 4);
  swage_imatrix_add (imatrix, "blk.1.ffn_up.weight", 2, b, 2); /* replaces */
  imatrix->dataset = g_strdup ("genesis.txt");
  imatrix->n_chunks = 3;
  imatrix->chunk_size = 512;
  return imatrix;
}

static void
check (const SwageImatrix *imatrix)
{
  float means[4];

  g_assert_cmpuint (imatrix->entries->len, ==, 2);
  g_assert_cmpstr (imatrix->dataset, ==, "genesis.txt");
  g_assert_cmpuint (imatrix->n_chunks, ==, 3);
  const SwageImatrixEntry *q = swage_imatrix_find (imatrix, "blk.0.attn_q.weight");
  const SwageImatrixEntry *up = swage_imatrix_find (imatrix, "blk.1.ffn_up.weight");
  g_assert_nonnull (q);
  g_assert_nonnull (up);
  g_assert_null (swage_imatrix_find (imatrix, "blk.0.attn_k.weight"));
  g_assert_cmpint (q->n_in, ==, 4);
  g_assert_cmpint (q->n_matrices, ==, 1);
  swage_imatrix_get_means (q, 0, means);
  g_assert_true (means[0] == 1 && means[1] == 2 && means[2] == 0 && means[3] == 3);
  swage_imatrix_get_means (up, 0, means);
  g_assert_true (means[0] == 0.5f && means[1] == 1.5f);
}

static void
test_round_trip (void)
{
  g_autofree char *folder = g_dir_make_tmp ("swage-imatrix-XXXXXX", NULL);
  g_autofree char *newer = g_build_filename (folder, "i.gguf", NULL),
                  *older = g_build_filename (folder, "i.dat", NULL);
  g_autoptr (SwageImatrix) imatrix = make ();
  g_autoptr (GError) error = NULL;

  check (imatrix);
  g_assert_true (swage_imatrix_save (imatrix, newer, false, &error));
  g_assert_no_error (error);
  g_assert_true (swage_imatrix_save_legacy (imatrix, older, false, &error));
  g_assert_no_error (error);
  g_autoptr (SwageImatrix) a = swage_imatrix_load (newer, &error);
  g_assert_no_error (error);
  check (a);
  g_assert_cmpuint (a->chunk_size, ==, 512);
  g_autoptr (SwageImatrix) b = swage_imatrix_load (older, &error);
  g_assert_no_error (error);
  check (b);
  g_assert_false (swage_imatrix_save (imatrix, newer, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_remove (newer);
  g_remove (older);
  g_rmdir (folder);
}

/* One entry "ab" of 2 values, 5 calls; then chunk 9 and the text "t". */
static const uint8_t bytes[] = { 1,    0,
                                 0,    0,
                                 2,    0,
                                 0,    0,
                                 'a',  'b',
                                 5,    0,
                                 0,    0,
                                 2,    0,
                                 0,    0,
                                 0,    0,
                                 0x20, 0x41 /* 10 */,
                                 0,    0,
                                 0xa0, 0x40 /* 5 */,
                                 9,    0,
                                 0,    0,
                                 1,    0,
                                 0,    0,
                                 't' };

static void
test_legacy (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageImatrix) imatrix = swage_imatrix_parse (bytes, sizeof bytes, "x.dat", &error);
  float means[2];

  g_assert_no_error (error);
  g_assert_cmpuint (imatrix->n_chunks, ==, 9);
  g_assert_cmpstr (imatrix->dataset, ==, "t");
  const SwageImatrixEntry *entry = swage_imatrix_find (imatrix, "ab");
  g_assert_nonnull (entry);
  swage_imatrix_get_means (entry, 0, means);
  g_assert_true (means[0] == 2 && means[1] == 1);
}

/* Cut anywhere before the text's name, it is refused; with any byte changed, read or refused. */
static void
test_damaged (void)
{
  for (size_t n = 0; n <= sizeof bytes; n++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree uint8_t *copy = g_memdup2 (bytes, n);
      g_autoptr (SwageImatrix) imatrix = swage_imatrix_parse (copy, n, "x.dat", &error);
      g_assert_cmpint (imatrix != NULL, ==, n >= 26);
      if (imatrix == NULL)
        {
          g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
          g_assert_nonnull (strstr (error->message, "x.dat"));
        }
    }
  for (size_t i = 0; i < sizeof bytes; i++)
    for (int bit = 0; bit < 8; bit++)
      {
        g_autofree uint8_t *copy = g_memdup2 (bytes, sizeof bytes);
        copy[i] ^= (uint8_t)(1 << bit);
        g_autoptr (SwageImatrix) imatrix = swage_imatrix_parse (copy, sizeof bytes, "x.dat", NULL);
        (void)imatrix;
      }
}

static void
test_not_imatrix (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "formats", "fixtures", "llama.gguf", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageImatrix) imatrix = swage_imatrix_load (path, &error);
  g_assert_null (imatrix);
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, "imatrix"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/formats/imatrix/round-trip", test_round_trip);
  g_test_add_func ("/formats/imatrix/legacy", test_legacy);
  g_test_add_func ("/formats/imatrix/damaged", test_damaged);
  g_test_add_func ("/formats/imatrix/not-imatrix", test_not_imatrix);
  return g_test_run ();
}
