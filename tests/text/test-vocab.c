/* SPDX-License-Identifier: MIT
 *
 * Tokenizers from GGUF metadata against llama.cpp's own test vectors: `.inp` holds texts, `.out` a line of
 * ids for each.
 */
#include "text-fixture.h"

#include "core/format/swage-gguf.h"

#include <stdlib.h>

#define SEPARATOR "\n__ggml_vocab_test__\n"

static SwageTokenizer *
open_gguf (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageGguf) gguf = swage_gguf_open (path, &error);
  g_assert_no_error (error);
  SwageTokenizerData data
      = { .bos = -1, .eos = -1, .unk = -1, .pad = -1, .add_bos = -1, .add_eos = -1, .add_space_prefix = -1 };
  int64_t n;
  bool flag;
  data.model = swage_gguf_get_string (gguf, "tokenizer.ggml.model");
  data.pre = swage_gguf_get_string (gguf, "tokenizer.ggml.pre");
  data.name = swage_gguf_get_string (gguf, "general.name");
  data.tokens = swage_gguf_get_strings (gguf, "tokenizer.ggml.tokens", &data.token_lengths, &data.n_tokens);
  data.scores = swage_gguf_get_floats (gguf, "tokenizer.ggml.scores", &n);
  g_assert_true (data.scores == NULL || n == data.n_tokens);
  data.kinds = swage_gguf_get_ints (gguf, "tokenizer.ggml.token_type", &n);
  g_assert_true (data.kinds == NULL || n == data.n_tokens);
  data.merges = swage_gguf_get_strings (gguf, "tokenizer.ggml.merges", NULL, &data.n_merges);
  if (data.merges == NULL)
    data.n_merges = 0;
  swage_gguf_get_int (gguf, "tokenizer.ggml.bos_token_id", &data.bos);
  swage_gguf_get_int (gguf, "tokenizer.ggml.eos_token_id", &data.eos);
  swage_gguf_get_int (gguf, "tokenizer.ggml.unknown_token_id", &data.unk);
  swage_gguf_get_int (gguf, "tokenizer.ggml.padding_token_id", &data.pad);
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_bos_token", &flag))
    data.add_bos = flag;
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_eos_token", &flag))
    data.add_eos = flag;
  if (swage_gguf_get_bool (gguf, "tokenizer.ggml.add_space_prefix", &flag))
    data.add_space_prefix = flag;
  SwageTokenizer *tok = swage_tokenizer_new (&data, path, &error);
  g_assert_no_error (error);
  return tok;
}

/* Every case of the pair is reproduced, and decodes to itself. */
static guint
check_vectors (SwageTokenizer *tok, const char *base)
{
  g_autofree char *inp = g_strconcat (base, ".inp", NULL), *out = g_strconcat (base, ".out", NULL);
  g_autofree char *texts = read_file (inp, NULL), *ids = read_file (out, NULL);
  g_auto (GStrv) cases = g_strsplit (texts, SEPARATOR, -1);
  g_auto (GStrv) lines = g_strsplit (ids, "\n", -1);
  guint n = g_strv_length (cases);
  if (n > 0 && cases[n - 1][0] == '\0') /* the last separator ends the file */
    n--;
  g_assert_cmpuint (g_strv_length (lines), >=, n);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GArray) got = encode (tok, cases[i], strlen (cases[i]), SWAGE_ENCODE_PLAIN);
      g_autofree char *spelled = spell_ids (got);
      if (!g_str_equal (spelled, g_strstrip (lines[i])))
        g_test_message ("case %u: “%s”", i, cases[i]);
      g_assert_cmpstr (spelled, ==, lines[i]);
      g_autoptr (GString) back = decode (tok, got, true);
      g_assert_cmpmem (back->str, back->len, cases[i], strlen (cases[i]));
    }
  g_test_message ("%u cases", n);
  return n;
}

static void
test_vectors (gconstpointer data)
{
  g_autofree char *name = g_strdup_printf ("vocab/ggml-vocab-%s.gguf", (const char *)data);
  g_autofree char *path = shared_path (name);
  if (path == NULL)
    return;
  g_autoptr (SwageTokenizer) tok = open_gguf (path);
  g_assert_cmpuint (check_vectors (tok, path), ==, 46);
}

/* Whatever pairs lie there beside their vocabulary: none is left out. */
static void
test_all_pairs (void)
{
  g_autofree char *folder = shared_path ("vocab");
  if (folder == NULL)
    return;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint pairs = 0;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL), *inp = g_strconcat (path, ".inp", NULL),
                      *out = g_strconcat (path, ".out", NULL);
      if (!g_str_has_suffix (name, ".gguf") || !g_file_test (inp, G_FILE_TEST_EXISTS)
          || !g_file_test (out, G_FILE_TEST_EXISTS))
        continue;
      g_autoptr (SwageTokenizer) tok = open_gguf (path);
      check_vectors (tok, path);
      pairs++;
    }
  g_assert_cmpuint (pairs, >=, 5);
}

/* Random bytes, words and special tokens: the same ids as llama.cpp gives (tests/golden/make_bytes.c). */
static void
test_bytes (void)
{
  gsize n;
  g_autofree char *rows_path = source_path ("tests/golden/tokens/bytes.tsv"),
                  *rows_text = read_file (rows_path, NULL);
  g_autofree char *path = source_path ("tests/golden/tokens/bytes.bin"), *text = read_file (path, &n);
  g_auto (GStrv) rows = g_strsplit (rows_text, "\n", -1);
  guint checked = 0;
  for (guint i = 0; rows[i] != NULL && rows[i][0] != '\0'; i++)
    {
      g_auto (GStrv) cells = g_strsplit (rows[i], "\t", -1);
      g_autofree char *name = g_strconcat ("vocab/", cells[0], NULL), *vocab = shared_path (name);
      if (vocab == NULL)
        return;
      g_autoptr (SwageTokenizer) tok = open_gguf (vocab);
      SwageEncodeFlags flags
          = atoi (cells[1]) == 0 ? SWAGE_ENCODE_PLAIN : SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL;
      g_autoptr (GArray) ids = encode (tok, text, n, flags);
      g_autofree char *got
          = g_strdup_printf ("%s\t%s\t%u\t%016" G_GINT64_MODIFIER "x", cells[0], cells[1], ids->len,
                             hash_ids (HASH_START, (const int32_t *)(const void *)ids->data, ids->len));
      g_assert_cmpstr (got, ==, rows[i]);
      checked++;
    }
  g_assert_cmpuint (checked, ==, 12);
}

/* A vocabulary without vectors: "gpt2" without a pre-tokenizer's name opens as "default" and keeps every
 * text. */
static void
test_no_pre (void)
{
  g_autofree char *path = shared_path ("vocab/ggml-vocab-gpt-neox.gguf");
  if (path == NULL)
    return;
  g_autoptr (SwageTokenizer) tok = open_gguf (path);
  g_assert_cmpstr (swage_tokenizer_get_info (tok)->pre, ==, "default");
  const char *text = "Hello, y'all! 12345 \n\n  नमस्ते 🚀";
  g_autoptr (GArray) ids = encode (tok, text, strlen (text), SWAGE_ENCODE_PLAIN);
  g_autoptr (GString) back = decode (tok, ids, true);
  g_assert_cmpstr (back->str, ==, text);
}

/* stories260K as GGUF (scores) and as tokenizer.json (merges) say the same for every line of the shared texts
 * that the merges' order decides alike; the scores of the GGUF are those the model was trained with. */
static void
test_stories_both_ways (void)
{
  g_autofree char *gguf = shared_path ("models/stories260K-gguf/stories260K.gguf");
  g_autofree char *hf = shared_path ("models/stories260K-hf"),
                  *text_path = shared_path ("text/tinystories.val.txt");
  if (gguf == NULL || hf == NULL || text_path == NULL)
    return;
  g_autoptr (SwageTokenizer) a = open_gguf (gguf), b = open_tokenizer (hf);
  gsize n;
  g_autofree char *text = read_file (text_path, &n);
  g_autoptr (GArray) ids_a = encode (a, text, n, SWAGE_ENCODE_ADD_SPECIAL);
  g_autoptr (GArray) ids_b = encode (b, text, n, SWAGE_ENCODE_ADD_SPECIAL);
  g_assert_cmpmem (ids_a->data, ids_a->len * 4, ids_b->data, ids_b->len * 4);
}

/* What an exporter writes for a tokenizer.json of the "llama" kind gives the same ids when it is read back.
 */
static void
test_scores_from_ranks (void)
{
  g_autofree char *hf = shared_path ("models/stories260K-hf"),
                  *text_path = shared_path ("text/wikitext-2.test.raw");
  if (hf == NULL || text_path == NULL)
    return;
  g_autoptr (SwageTokenizer) a = open_tokenizer (hf);
  const SwageTokenizerInfo *info = swage_tokenizer_get_info (a);
  g_autofree const char **tokens = g_new0 (const char *, info->n_tokens);
  g_autofree size_t *lengths = g_new0 (size_t, info->n_tokens);
  g_autofree float *scores = g_new0 (float, info->n_tokens);
  g_autofree int32_t *kinds = g_new0 (int32_t, info->n_tokens);
  for (int i = 0; i < info->n_tokens; i++)
    {
      SwageTokenKind kind;
      tokens[i] = swage_tokenizer_get_piece (a, i, &lengths[i], &scores[i], &kind);
      kinds[i] = kind;
    }
  g_autoptr (GError) error = NULL;
  SwageTokenizerData data = { .model = info->model,
                              .pre = info->pre,
                              .n_tokens = info->n_tokens,
                              .tokens = tokens,
                              .token_lengths = lengths,
                              .scores = scores,
                              .kinds = kinds,
                              .bos = info->bos,
                              .eos = info->eos,
                              .unk = info->unk,
                              .pad = info->pad,
                              .add_bos = info->add_bos,
                              .add_eos = info->add_eos,
                              .add_space_prefix = info->add_space_prefix };
  g_autoptr (SwageTokenizer) b = swage_tokenizer_new (&data, "exported", &error);
  g_assert_no_error (error);
  gsize n;
  g_autofree char *text = read_file (text_path, &n);
  g_autoptr (GArray) ids_a = encode (a, text, n, SWAGE_ENCODE_ADD_SPECIAL);
  g_autoptr (GArray) ids_b = encode (b, text, n, SWAGE_ENCODE_ADD_SPECIAL);
  g_assert_cmpmem (ids_a->data, ids_a->len * 4, ids_b->data, ids_b->len * 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  static const char *const names[] = { "deepseek-llm", "gpt-2", "llama-spm", "phi-3", "starcoder" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_strdup_printf ("/text/vocab/%s", names[i]);
      g_test_add_data_func (path, names[i], test_vectors);
    }
  g_test_add_func ("/text/vocab/all-pairs", test_all_pairs);
  g_test_add_func ("/text/vocab/bytes", test_bytes);
  g_test_add_func ("/text/vocab/no-pre", test_no_pre);
  g_test_add_func ("/text/vocab/stories-both-ways", test_stories_both_ways);
  g_test_add_func ("/text/vocab/scores-from-ranks", test_scores_from_ranks);
  return g_test_run ();
}
