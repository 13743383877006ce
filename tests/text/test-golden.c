/* SPDX-License-Identifier: MIT
 *
 * Tokenizers against Hugging Face's `tokenizers`: goldens by tests/golden/make_tokens.py.
 */
#include "text-fixture.h"

#include <jansson.h>

/* ---- 10,000 lines ---- */

typedef struct
{
  SwageTokenizer *tok;
  char *file, *text;
  gsize n, at; /* where the next line starts */
  guint line;  /* its number, from 1 */
  guint n_lines, n_blocks;
} LineReader;

static void
check_whole_file (LineReader *r, const char *count, const char *hash)
{
  g_autoptr (GArray) ids = encode (r->tok, r->text, r->n, SWAGE_ENCODE_PARSE_SPECIAL);
  int32_t end = -1;
  g_autofree char *got = g_strdup_printf (
      "%u %016" G_GINT64_MODIFIER "x", ids->len,
      hash_ids (hash_ids (HASH_START, (const int32_t *)(const void *)ids->data, ids->len), &end, 1));
  g_autofree char *expected = g_strconcat (count, " ", hash, NULL);
  g_assert_cmpstr (got, ==, expected);
}

static void
check_block (LineReader *r, guint first, guint n_lines, const char *count, const char *hash)
{
  g_assert_cmpuint (r->line, ==, first);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  int32_t end = -1;
  for (guint i = 0; i < n_lines; i++, r->line++)
    {
      const char *line = r->text + r->at, *stop = memchr (line, '\n', r->n - r->at);
      gsize n = stop != NULL ? (gsize)(stop - line) : r->n - r->at;
      g_autoptr (GArray) more = encode (r->tok, line, n, SWAGE_ENCODE_PARSE_SPECIAL);
      g_array_append_vals (ids, more->data, more->len);
      g_array_append_val (ids, end);
      r->at += n + 1;
    }
  uint64_t h = hash_ids (HASH_START, (const int32_t *)(const void *)ids->data, ids->len);
  g_autofree char *got
      = g_strdup_printf ("%s:%u %u %016" G_GINT64_MODIFIER "x", r->file, first, ids->len - n_lines, h);
  g_autofree char *expected = g_strdup_printf ("%s:%u %s %s", r->file, first, count, hash);
  g_assert_cmpstr (got, ==, expected);
  r->n_lines += n_lines;
  r->n_blocks++;
}

/* `column` of the golden belongs to the tokenizer; `prefix` chooses the files, `folder` has them. */
static guint
check_lines (SwageTokenizer *tok, int column, const char *folder, const char *prefix)
{
  g_autofree char *path = source_path ("tests/golden/tokens/lines.tsv"), *golden = read_file (path, NULL);
  g_auto (GStrv) rows = g_strsplit (golden, "\n", -1);
  LineReader r = { .tok = tok };
  for (guint i = 0; rows[i] != NULL && rows[i][0] != '\0'; i++)
    {
      g_auto (GStrv) cells = g_strsplit (rows[i], "\t", -1);
      g_assert_cmpuint (g_strv_length (cells), ==, 7);
      if (!g_str_has_prefix (cells[0], prefix))
        continue;
      if (g_strcmp0 (r.file, cells[0]) != 0)
        {
          g_free (r.file);
          g_free (r.text);
          r.file = g_strdup (cells[0]);
          g_autofree char *text_path = g_build_filename (folder, cells[0], NULL);
          r.text = read_file (text_path, &r.n);
          r.at = 0;
          r.line = 1;
        }
      guint first = (guint)g_ascii_strtoull (cells[1], NULL, 10),
            n = (guint)g_ascii_strtoull (cells[2], NULL, 10);
      if (first == 0)
        check_whole_file (&r, cells[column], cells[column + 1]);
      else
        check_block (&r, first, n, cells[column], cells[column + 1]);
    }
  g_free (r.file);
  g_free (r.text);
  g_test_message ("%u lines in %u blocks agree", r.n_lines, r.n_blocks);
  return r.n_lines;
}

static void
test_lines_sample_kjv (void)
{
  g_autofree char *folder = source_path ("data/sample");
  g_autoptr (SwageTokenizer) tok = open_tokenizer (folder);
  g_assert_cmpuint (check_lines (tok, 3, folder, "kjv"), ==, 2344);
}

static void
test_lines_sample (void)
{
  g_autofree char *folder = source_path ("data/sample"), *texts = shared_path ("text");
  if (texts == NULL)
    return;
  g_autoptr (SwageTokenizer) tok = open_tokenizer (folder);
  g_assert_cmpuint (check_lines (tok, 3, texts, ""), ==, 10000);
}

static void
test_lines_stories (void)
{
  g_autofree char *folder = shared_path ("models/stories260K-hf"), *texts = shared_path ("text");
  if (folder == NULL || texts == NULL)
    return;
  g_autoptr (SwageTokenizer) tok = open_tokenizer (folder);
  g_assert_cmpuint (check_lines (tok, 5, texts, ""), ==, 10000);
}

/* ---- cases ---- */

static void
check_ids_equal (json_t *expected, const GArray *ids, const char *name, const char *text)
{
  g_autoptr (GArray) wanted = g_array_new (FALSE, FALSE, sizeof (int32_t));
  size_t i;
  json_t *id;
  json_array_foreach (expected, i, id)
      g_array_append_vals (wanted, &(int32_t){ (int32_t)json_integer_value (id) }, 1);
  g_autofree char *got = spell_ids (ids), *want = spell_ids (wanted);
  if (!g_str_equal (got, want))
    g_test_message ("%s: “%s”", name, text);
  g_assert_cmpstr (got, ==, want);
}

/* A golden is text; where the ids spell cut characters, HF shows U+FFFD and ours has the bytes. */
static void
check_decoded (SwageTokenizer *tok, GArray *ids, const char *expected, const char *name, const char *text)
{
  g_autoptr (GString) got = decode (tok, ids, false);
  if (strstr (expected, "\xef\xbf\xbd") != NULL)
    return;
  if (!g_str_equal (got->str, expected))
    g_test_message ("%s: “%s”", name, text);
  g_assert_cmpstr (got->str, ==, expected);
}

static void
test_cases (gconstpointer data)
{
  const char *name = data;
  g_autofree char *golden = source_path ("tests/golden/tokens/cases.json"), *path = NULL;
  if (g_str_equal (name, "sample"))
    path = source_path ("data/sample");
  else if (g_str_equal (name, "stories260K-hf"))
    path = shared_path ("models/stories260K-hf");
  else
    {
      g_autofree char *file = g_strdup_printf ("tests/golden/tokens/%s.json", name);
      path = source_path (file);
    }
  if (path == NULL)
    return;
  g_autoptr (SwageTokenizer) tok = open_tokenizer (path);
  json_t *cases = json_load_file (golden, 0, NULL), *item;
  g_assert_nonnull (cases);
  size_t i;
  json_array_foreach (cases, i, item)
  {
    const char *text = json_string_value (json_object_get (item, "text"));
    json_t *row = json_object_get (item, name), *plain, *decoded;
    g_assert_nonnull (row);
    g_autoptr (GArray) ids
        = encode (tok, text, strlen (text), SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL);
    check_ids_equal (json_object_get (row, "ids"), ids, name, text);
    decoded = json_object_get (row, "decoded");
    check_decoded (tok, ids, decoded != NULL ? json_string_value (decoded) : text, name, text);
    if ((plain = json_object_get (row, "plain")) != NULL)
      {
        g_autoptr (GArray) bare = encode (tok, text, strlen (text), SWAGE_ENCODE_PLAIN);
        check_ids_equal (plain, bare, name, text);
      }
  }
  g_test_message ("%zu cases", json_array_size (cases));
  json_decref (cases);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/golden/lines/sample-kjv", test_lines_sample_kjv);
  g_test_add_func ("/text/golden/lines/sample", test_lines_sample);
  g_test_add_func ("/text/golden/lines/stories260K", test_lines_stories);
  static const char *const names[] = { "sample", "stories260K-hf", "llama3",   "qwen2",      "metaspace",
                                       "mixed",  "falcon",         "prefixed", "meta-always" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_strdup_printf ("/text/golden/cases/%s", names[i]);
      g_test_add_data_func (path, names[i], test_cases);
    }
  return g_test_run ();
}
