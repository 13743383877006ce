/* SPDX-License-Identifier: MIT
 *
 * What tokenizers must do whatever the vocabulary: merge as the definition says, keep every text, mind the
 * flags, survive long words and bad bytes, and refuse bad files with a clear error.
 */
#include "text-fixture.h"

#include "core/base/swage-error.h"
#include "core/text/swage-pretokenizer.h"

#include <jansson.h>

/* ---- merging, against the definition ---- */

/* A random vocabulary over a, b, c: pieces are closed under the merges. */
typedef struct
{
  GPtrArray *pieces, *merges;
  GArray *scores;
} Toy;

static guint
toy_find (const Toy *toy, const char *piece)
{
  guint i;
  return g_ptr_array_find_with_equal_func (toy->pieces, piece, g_str_equal, &i) ? i : G_MAXUINT;
}

static Toy
toy_new (GRand *rand, guint n_merges)
{
  Toy toy = { g_ptr_array_new_with_free_func (g_free), g_ptr_array_new_with_free_func (g_free),
              g_array_new (FALSE, FALSE, sizeof (float)) };
  for (const char *p = "abc"; *p != '\0'; p++)
    g_ptr_array_add (toy.pieces, g_strndup (p, 1));
  g_array_set_size (toy.scores, 3);
  while (toy.merges->len < n_merges)
    {
      const char *left = toy.pieces->pdata[g_rand_int_range (rand, 0, (gint32)toy.pieces->len)];
      const char *right = toy.pieces->pdata[g_rand_int_range (rand, 0, (gint32)toy.pieces->len)];
      g_autofree char *joined = g_strconcat (left, right, NULL);
      if (strlen (joined) > 9 || toy_find (&toy, joined) != G_MAXUINT)
        continue;
      g_ptr_array_add (toy.merges, g_strconcat (left, " ", right, NULL));
      g_ptr_array_add (toy.pieces, g_steal_pointer (&joined));
      float score = (float)g_rand_int_range (rand, -20, 0); /* ties are wanted */
      g_array_append_val (toy.scores, score);
    }
  return toy;
}

static void
toy_clear (Toy *toy)
{
  g_ptr_array_unref (toy->pieces);
  g_ptr_array_unref (toy->merges);
  g_array_unref (toy->scores);
}

static SwageTokenizer *
toy_tokenizer (const Toy *toy, const char *model)
{
  SwageTokenizerData data = { .model = model,
                              .pre = "gpt-2",
                              .n_tokens = toy->pieces->len,
                              .tokens = (const char *const *)toy->pieces->pdata,
                              .scores = (const float *)(const void *)toy->scores->data,
                              .n_merges = toy->merges->len,
                              .merges = (const char *const *)toy->merges->pdata,
                              .bos = -1,
                              .eos = -1,
                              .unk = -1,
                              .pad = -1,
                              .add_bos = 0,
                              .add_eos = 0,
                              .add_space_prefix = 0 };
  g_autoptr (GError) error = NULL;
  SwageTokenizer *tok = swage_tokenizer_new (&data, "toy", &error);
  g_assert_no_error (error);
  return tok;
}

/* The definition: look over all neighbours, merge the best one (the leftmost of equals), until none merges.
 */
static char *
merge_slowly (const Toy *toy, const char *word, bool by_score)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  for (const char *p = word; *p != '\0'; p++)
    g_ptr_array_add (parts, g_strndup (p, 1));
  for (;;)
    {
      double best = G_MAXDOUBLE;
      guint at = G_MAXUINT;
      for (guint i = 0; i + 1 < parts->len; i++)
        {
          g_autofree char *pair = g_strconcat (parts->pdata[i], " ", parts->pdata[i + 1], NULL);
          g_autofree char *joined = g_strconcat (parts->pdata[i], parts->pdata[i + 1], NULL);
          guint rank = G_MAXUINT, piece = toy_find (toy, joined);
          double cost = G_MAXDOUBLE;
          if (by_score && piece != G_MAXUINT)
            cost = -(double)g_array_index (toy->scores, float, piece);
          if (!by_score && g_ptr_array_find_with_equal_func (toy->merges, pair, g_str_equal, &rank))
            cost = rank;
          if (cost < best)
            {
              best = cost;
              at = i;
            }
        }
      if (at == G_MAXUINT)
        break;
      char *joined = g_strconcat (parts->pdata[at], parts->pdata[at + 1], NULL);
      g_free (parts->pdata[at]);
      parts->pdata[at] = joined;
      g_ptr_array_remove_index (parts, at + 1);
    }
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  for (guint i = 0; i < parts->len; i++)
    g_array_append_vals (ids, &(int32_t){ (int32_t)toy_find (toy, parts->pdata[i]) }, 1);
  return spell_ids (ids);
}

static void
test_merging (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (42);
  for (int round = 0; round < 20; round++)
    {
      Toy toy = toy_new (rand, 30);
      for (int by_score = 0; by_score < 2; by_score++)
        {
          g_autoptr (SwageTokenizer) tok = toy_tokenizer (&toy, by_score ? "llama" : "gpt2");
          for (int k = 0; k < 30; k++)
            {
              char word[64];
              int n = g_rand_int_range (rand, 1, 60);
              for (int i = 0; i < n; i++)
                word[i] = (char)g_rand_int_range (rand, 'a', 'd');
              word[n] = '\0';
              g_autoptr (GArray) ids = encode (tok, word, (gsize)n, SWAGE_ENCODE_PLAIN);
              g_autofree char *got = spell_ids (ids), *want = merge_slowly (&toy, word, by_score);
              g_assert_cmpstr (got, ==, want);
            }
        }
      toy_clear (&toy);
    }
}

/* ---- pre-tokenizers ---- */

/* The 256 characters of the byte alphabet as pieces: what comes out is what the cutting leaves, byte by byte.
 */
static SwageTokenizer *
byte_tokenizer (const char *pre, GError **error)
{
  g_autoptr (GPtrArray) pieces = g_ptr_array_new_with_free_func (g_free);
  for (int byte = 0; byte < 256; byte++)
    {
      GString *piece = g_string_new (NULL);
      swage_bytes_to_alphabet (&(char){ (char)byte }, 1, piece);
      g_assert_cmpint (swage_alphabet_to_byte (g_utf8_get_char (piece->str)), ==, byte);
      g_ptr_array_add (pieces, g_string_free (piece, FALSE));
    }
  SwageTokenizerData data = { .model = "gpt2",
                              .pre = pre,
                              .n_tokens = 256,
                              .tokens = (const char *const *)pieces->pdata,
                              .bos = -1,
                              .eos = -1,
                              .unk = -1,
                              .pad = -1,
                              .add_bos = -1,
                              .add_eos = -1,
                              .add_space_prefix = -1 };
  return swage_tokenizer_new (&data, "bytes", error);
}

static const char *const nasty[]
    = { "",
        " ",
        "\n",
        "\r\n\t ",
        "Hello, y'all! WE'LL 3.14159 \xc2\xa0\xe2\x80\x83x",
        "1234567 12 1,000,000",
        "snake_case camelCase HTTPServer",
        "\xe4\xb8\xad\xe6\x96\x87 \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 \xe3\x81\xb2\xe3\x82\x89 "
        "\xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80",
        "\xf0\x9f\x9a\x80\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9 e\xcc\x81",
        "a\n\n\n  b \n c",
        "IMGIMGABCZ<sentinel:12>",
        "((x|y.,!?\xe2\x80\xa6))" };

/* Every name llama.cpp knows that we know: it opens, and no byte is lost by its cutting. */
static void
test_named (void)
{
  const char *const *names = swage_pretokenizer_get_names ();
  guint n = 0;
  for (; names[n] != NULL; n++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SwageTokenizer) tok = byte_tokenizer (names[n], &error);
      g_assert_no_error (error);
      g_assert_cmpstr (swage_tokenizer_get_info (tok)->pre, ==, names[n]);
      for (guint i = 0; i < G_N_ELEMENTS (nasty); i++)
        {
          g_autoptr (GArray) ids = encode (tok, nasty[i], strlen (nasty[i]), SWAGE_ENCODE_PLAIN);
          g_assert_cmpuint (ids->len, ==, strlen (nasty[i]));
          g_autoptr (GString) back = decode (tok, ids, true);
          g_assert_cmpstr (back->str, ==, nasty[i]);
        }
    }
  g_test_message ("%u names", n);
  g_assert_cmpuint (n, >=, 60);
  g_autoptr (GError) error = NULL;
  g_assert_null (byte_tokenizer ("no-such-thing", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "no-such-thing"));
}

static bool
collect_word (const char *word, size_t n, void *user_data, GError **error)
{
  GString *out = user_data;
  if (out->len > 0)
    g_string_append_c (out, '|');
  g_string_append_len (out, word, (gssize)n);
  return true;
}

static void
test_cutting (void)
{
  /* what the expressions say, worked out by hand; spaces are Ġ in the byte alphabet */
  static const struct
  {
    const char *pre, *text, *words;
  } cases[] = {
    { "gpt-2", "I'll go  now 123x", "I|'ll|Ġgo|Ġ|Ġnow|Ġ123|x" },
    { "llama-bpe", "I'LL (see) 12345", "I|'LL|Ġ(|see|)|Ġ|123|45" },
    { "qwen2", "a\n\nb 12", "a|ĊĊ|b|Ġ|1|2" },
    { "starcoder", "x12 y", "x|1|2|Ġy" },
    { "falcon", "a+b 1234", "a|+|b|Ġ|123|4" },
    { "deepseek-llm", "Hi there,\nyou", "Hi|Ġthere|,|Ċ|you" },
    { "deepseek-coder", "x ,  12", "x|Ġ,|ĠĠ|1|2" },
    { "deepseek-v3", "(foo 12345", "(foo|Ġ|123|45" },
    { "tekken", "HTTPServer helloWorld 12", "HTTPServer|Ġhello|World|Ġ|1|2" },
    { "gpt-4o", "helloWORLD's a/b/", "hello|WORLD's|Ġa|/b|/" },
    { "tiny_aya", "1234567", "1|234|567" },
    { "afmoe", "x1234567", "x|1|234|567" },
    { "superbpe", "1234567", "1|234|567" },
    { "bloom", "a b,c", "a|Ġb|,|c" },
    { "viking", "ab12", "ab|1|2" },
    { "default", "a 1234", "a|Ġ|123|4" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      SwagePretokenizer pre;
      SwagePretokenizerState state;
      swage_pretokenizer_init (&pre);
      g_assert_true (swage_pretokenizer_add_named (&pre, cases[i].pre, NULL, &error));
      swage_pretokenizer_state_init (&state, &pre, strlen (cases[i].text));
      g_autoptr (GString) words = g_string_new (NULL);
      g_assert_true (swage_pretokenizer_run (&pre, &state, cases[i].text, strlen (cases[i].text), true,
                                             collect_word, words, &error));
      if (!g_str_equal (words->str, cases[i].words))
        g_test_message ("%s: “%s”", cases[i].pre, cases[i].text);
      g_assert_cmpstr (words->str, ==, cases[i].words);
      swage_pretokenizer_state_clear (&state);
      swage_pretokenizer_clear (&pre);
    }
}

/* A tokenizer.json is given the name under which llama.cpp cuts in the same way. */
static void
test_recognized (void)
{
  static const struct
  {
    const char *path, *model, *pre;
    bool add_bos, add_space_prefix;
  } files[] = {
    { "data/sample", "gpt2", "gpt-2", false, false },
    { "tests/golden/tokens/llama3.json", "gpt2", "llama-bpe", true, false },
    { "tests/golden/tokens/qwen2.json", "gpt2", "qwen2", false, false },
    { "tests/golden/tokens/falcon.json", "gpt2", "falcon", false, false },
    { "tests/golden/tokens/prefixed.json", "gpt2", "default", true, true },
    { "tests/golden/tokens/metaspace.json", "llama", "default", true, true },
  };
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *path = source_path (files[i].path);
      g_autoptr (SwageTokenizer) tok = open_tokenizer (path);
      const SwageTokenizerInfo *info = swage_tokenizer_get_info (tok);
      g_assert_cmpstr (info->model, ==, files[i].model);
      g_assert_cmpstr (info->pre, ==, files[i].pre);
      g_assert_cmpint (info->add_bos, ==, files[i].add_bos);
      g_assert_cmpint (info->add_space_prefix, ==, files[i].add_space_prefix);
    }
}

/* ---- flags and special tokens ---- */

static void
check_encode (SwageTokenizer *tok, const char *text, SwageEncodeFlags flags, const char *expected)
{
  g_autoptr (GArray) ids = encode (tok, text, strlen (text), flags);
  g_autofree char *got = spell_ids (ids);
  g_assert_cmpstr (got, ==, expected);
}

static SwageTokenizer *
special_tokenizer (const char *model)
{
  static const char *const tokens[] = { "<unk>", "<s>", "</s>", "a",   "b",     "c",      "d",
                                        "e",     "f",   "g",    "abc", "cdefg", "<0xFF>", "\xe2\x96\x81" };
  static const int32_t kinds[] = { 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, 4, 6, 1 };
  SwageTokenizerData data = { .model = model,
                              .pre = "gpt-2",
                              .n_tokens = G_N_ELEMENTS (tokens),
                              .tokens = tokens,
                              .kinds = kinds,
                              .bos = 1,
                              .eos = 2,
                              .unk = -1,
                              .pad = 4294967295,
                              .add_bos = 1,
                              .add_eos = 1,
                              .add_space_prefix = -1 };
  g_autoptr (GError) error = NULL;
  SwageTokenizer *tok = swage_tokenizer_new (&data, "special", &error);
  g_assert_no_error (error);
  return tok;
}

static void
test_flags (void)
{
  g_autoptr (SwageTokenizer) bpe = special_tokenizer ("gpt2"), spm = special_tokenizer ("llama");
  g_assert_cmpint (swage_tokenizer_get_info (bpe)->pad, ==, -1); /* out of range: none */
  check_encode (bpe, "", SWAGE_ENCODE_PLAIN, "");
  check_encode (bpe, "", SWAGE_ENCODE_ADD_SPECIAL, "1 2");
  check_encode (bpe, "a", SWAGE_ENCODE_ADD_SPECIAL, "1 3 2");
  check_encode (bpe, "a</s>b", SWAGE_ENCODE_PARSE_SPECIAL, "3 2 4");
  /* user-defined tokens always; longest first, as llama.cpp: “cdefg” wins over “abc” */
  check_encode (bpe, "abcdefg", SWAGE_ENCODE_PLAIN, "3 4 11");
  check_encode (bpe, "abcd", SWAGE_ENCODE_PLAIN, "10 6");
  /* a space in front of the text and after every special token; unknown bytes without a piece are <unk> */
  check_encode (spm, "a</s>b", SWAGE_ENCODE_PARSE_SPECIAL, "13 3 2 13 4");
  check_encode (spm, "a", SWAGE_ENCODE_ADD_SPECIAL, "1 13 3 2");
  check_encode (spm, "z\xff", SWAGE_ENCODE_PLAIN, "13 0 12");

  g_autoptr (GArray) ids = encode (spm, "a</s>b", 6, SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL);
  g_autoptr (GString) plain = decode (spm, ids, false), all = decode (spm, ids, true);
  g_assert_cmpstr (plain->str, ==, "a b");
  g_assert_cmpstr (all->str, ==, "<s> a</s> b</s>");

  g_autoptr (GError) error = NULL;
  g_assert_null (swage_tokenizer_decode (bpe, (const int32_t[]){ 3, 14 }, 2, true, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (swage_tokenizer_decode (bpe, (const int32_t[]){ -1 }, 1, true, &error));
  g_assert_null (swage_tokenizer_get_piece (bpe, 14, NULL, NULL, NULL));
  g_assert_null (swage_tokenizer_get_piece (bpe, -1, NULL, NULL, NULL));
}

static void
test_fingerprint (void)
{
  g_autofree char *a_path = source_path ("tests/golden/tokens/llama3.json"),
                  *b_path = source_path ("tests/golden/tokens/qwen2.json");
  g_autoptr (SwageTokenizer) a = open_tokenizer (a_path), again = open_tokenizer (a_path),
                             b = open_tokenizer (b_path);
  g_assert_cmpstr (swage_tokenizer_get_fingerprint (a), ==, swage_tokenizer_get_fingerprint (again));
  g_assert_cmpstr (swage_tokenizer_get_fingerprint (a), !=, swage_tokenizer_get_fingerprint (b));
  g_assert_cmpuint (strlen (swage_tokenizer_get_fingerprint (a)), ==, 64);
}

/* ---- bytes that are no text ---- */

static void
test_invalid_utf8 (void)
{
  static const struct
  {
    const char *bytes, *text;
  } cases[] = {
    { "a\xff"
      "b",
      "a\xef\xbf\xbd"
      "b" },
    { "\xc3(", "\xef\xbf\xbd(" },
    { "x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xe0\x80\xaf", "/" }, /* overlong: llama.cpp takes the character */
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageTokenizer) tok = byte_tokenizer ("gpt-2", &error);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GArray) ids = encode (tok, cases[i].bytes, strlen (cases[i].bytes), SWAGE_ENCODE_PLAIN);
      g_autoptr (GString) back = decode (tok, ids, true);
      g_assert_cmpstr (back->str, ==, cases[i].text);
    }
  /* NUL is a character like others */
  g_autoptr (GArray) ids = encode (tok, "a\0b", 3, SWAGE_ENCODE_PLAIN);
  g_autoptr (GString) back = decode (tok, ids, true);
  g_assert_cmpmem (back->str, back->len, "a\0b", 3);
}

/* ---- long words ---- */

static void
test_long_words (void)
{
  static const char *const files[]
      = { "data/sample", "tests/golden/tokens/llama3.json", "tests/golden/tokens/qwen2.json",
          "tests/golden/tokens/metaspace.json", "tests/golden/tokens/falcon.json" };
  static const char *const units[] = { "a", " ", "\n", "the", "\xe2\x96\x81", "1", "." };
  for (guint f = 0; f < G_N_ELEMENTS (files); f++)
    {
      g_autofree char *path = source_path (files[f]);
      g_autoptr (SwageTokenizer) tok = open_tokenizer (path);
      for (guint u = 0; u < G_N_ELEMENTS (units); u++)
        {
          gsize n = u < 2 ? 1 << 20 : 1 << 17;
          g_autoptr (GString) text = g_string_sized_new (n + 4);
          while (text->len < n)
            g_string_append (text, units[u]);
          gint64 start = g_get_monotonic_time ();
          g_autoptr (GArray) ids = encode (tok, text->str, text->len, SWAGE_ENCODE_PLAIN);
          g_test_message ("%s, “%s”: %u ids, %.0f ms", files[f],
                          g_str_equal (units[u], "\n") ? "\\n" : units[u], ids->len,
                          (double)(g_get_monotonic_time () - start) / 1000);
          g_assert_cmpuint (ids->len, >, 0);
          g_autoptr (GString) back = decode (tok, ids, true);
          if (g_str_equal (files[f], "tests/golden/tokens/metaspace.json")
              && (g_str_equal (units[u], "\xe2\x96\x81") || g_str_equal (units[u], " ")))
            continue; /* a bar and a space are one to it */
          g_assert_cmpuint (back->len, ==, text->len);
          g_assert_true (g_str_equal (back->str, text->str));
        }
    }
}

/* ---- threads ---- */

static gpointer
encode_in_thread (gpointer data)
{
  gsize n;
  g_autofree char *path = source_path ("data/sample/kjv.eval.txt"), *text = read_file (path, &n);
  return encode (data, text, n, SWAGE_ENCODE_PLAIN);
}

static void
test_threads (void)
{
  g_autofree char *path = source_path ("data/sample");
  g_autoptr (SwageTokenizer) tok = open_tokenizer (path);
  GThread *threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("encode", encode_in_thread, tok);
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GArray) ids = g_thread_join (threads[i]);
      g_assert_cmpuint (ids->len, ==, 27002);
      g_assert_cmphex (hash_ids (HASH_START, (const int32_t *)(const void *)ids->data, ids->len), ==,
                       hash_ids (HASH_START, (const int32_t *)(const void *)ids->data, 27002));
    }
}

/* ---- files that are not right ---- */

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<unk>\":3}"
#define MODEL "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}"

static const struct
{
  const char *json;
  int code; /* of SWAGE_ERROR; -1: opens */
  const char *says;
} bad_files[] = {
  { "{" MODEL "}", -1, NULL },
  { "", SWAGE_ERROR_CORRUPT, "JSON" },
  { "[]", SWAGE_ERROR_CORRUPT, "object" },
  { "{}", SWAGE_ERROR_CORRUPT, "model" },
  { "{\"model\":[]}", SWAGE_ERROR_CORRUPT, "model" },
  { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", SWAGE_ERROR_UNSUPPORTED, "Unigram" },
  { "{\"model\":{\"type\":7}}", SWAGE_ERROR_INVALID, "type" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", SWAGE_ERROR_CORRUPT, "vocab" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", SWAGE_ERROR_CORRUPT, "vocab" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", SWAGE_ERROR_CORRUPT,
    "whole number" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", SWAGE_ERROR_CORRUPT, "id -1" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}", SWAGE_ERROR_CORRUPT,
    "99999999999" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000},\"merges\":[]}}", SWAGE_ERROR_CORRUPT,
    "ids go up" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", SWAGE_ERROR_CORRUPT, "both" },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}", SWAGE_ERROR_CORRUPT, NULL },
  { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":900},\"merges\":[]}}", -1, NULL },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB "}}", SWAGE_ERROR_CORRUPT, "merges" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"ab\"]}}", SWAGE_ERROR_CORRUPT, "merge 0" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\",\"b a\"]}}", SWAGE_ERROR_CORRUPT, "merge 1" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[[\"a\"]]}}", SWAGE_ERROR_CORRUPT, "merge 0" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[[1,2]]}}", SWAGE_ERROR_CORRUPT, "merge 0" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[],\"dropout\":0.1}}", SWAGE_ERROR_UNSUPPORTED,
    "dropout" },
  { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}",
    SWAGE_ERROR_UNSUPPORTED, "end_of_word_suffix" },
  { "{\"added_tokens\":{}," MODEL "}", SWAGE_ERROR_CORRUPT, "added_tokens" },
  { "{\"added_tokens\":[1]," MODEL "}", SWAGE_ERROR_CORRUPT, "added token" },
  { "{\"added_tokens\":[{\"content\":\"x\"}]," MODEL "}", SWAGE_ERROR_CORRUPT, "“x”" },
  { "{\"added_tokens\":[{\"id\":4}]," MODEL "}", SWAGE_ERROR_CORRUPT, "content" },
  { "{\"added_tokens\":[{\"id\":2,\"content\":\"x\"}]," MODEL "}", SWAGE_ERROR_CORRUPT, "both" },
  { "{\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"special\":1}]," MODEL "}", SWAGE_ERROR_INVALID,
    "special" },
  { "{\"added_tokens\":[{\"id\":9,\"content\":\"a\",\"special\":true}]," MODEL "}", -1, NULL },
  { "{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL "}", SWAGE_ERROR_UNSUPPORTED, "Precompiled" },
  { "{\"normalizer\":7," MODEL "}", SWAGE_ERROR_CORRUPT, "normalizer" },
  { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}", SWAGE_ERROR_UNSUPPORTED,
    "UnicodeScripts" },
  { "{\"pre_tokenizer\":[]," MODEL "}", SWAGE_ERROR_CORRUPT, "pre_tokenizer" },
  { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{}}," MODEL "}", SWAGE_ERROR_CORRUPT, "pattern" },
  { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}}," MODEL "}", SWAGE_ERROR_CORRUPT,
    "(" },
  { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&[^b]]\"}}," MODEL "}",
    SWAGE_ERROR_UNSUPPORTED, "&&" },
  { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Sideways\"}," MODEL
    "}",
    SWAGE_ERROR_UNSUPPORTED, "Sideways" },
  { "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\"}," MODEL "}", SWAGE_ERROR_CORRUPT,
    "Metaspace" },
  { "{\"decoder\":{\"type\":\"WordPiece\"}," MODEL "}", SWAGE_ERROR_UNSUPPORTED, "WordPiece" },
  { "{\"post_processor\":{\"type\":\"Other\"}," MODEL "}", SWAGE_ERROR_UNSUPPORTED, "Other" },
  { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}]}"
    "," MODEL "}",
    SWAGE_ERROR_CORRUPT, "<s>" },
  { "{\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"a\",70],\"sep\":[\"b\",1]}," MODEL "}",
    SWAGE_ERROR_CORRUPT, "70" },
};

static void
test_bad_files (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad_files); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SwageTokenizer) tok = swage_tokenizer_new_json (
          bad_files[i].json, strlen (bad_files[i].json), NULL, 0, "file.json", &error);
      if (bad_files[i].code < 0)
        {
          g_assert_no_error (error);
          check_encode (tok, "ab", SWAGE_ENCODE_PLAIN,
                        strstr (bad_files[i].json, "\"ab\"") != NULL ? "2"
                        : strstr (bad_files[i].json, "900") != NULL  ? "0 900"
                                                                     : "0 1");
          continue;
        }
      if (tok != NULL)
        g_test_message ("%s", bad_files[i].json);
      g_assert_null (tok);
      g_assert_error (error, SWAGE_ERROR, bad_files[i].code);
      g_assert_nonnull (strstr (error->message, "file.json"));
      if (bad_files[i].says != NULL && strstr (error->message, bad_files[i].says) == NULL)
        g_error ("%s\ndoes not say %s", error->message, bad_files[i].says);
    }
  g_test_message ("%zu files", G_N_ELEMENTS (bad_files));

  g_autoptr (GError) error = NULL;
  g_assert_null (swage_tokenizer_open_json ("/nonexistent/tokenizer.json", NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
}

/* Every value of a good file, one at a time, becomes one of another type: an error or not, but never worse.
 */
static void
test_wrong_types (void)
{
  static const char *const others[] = { "null", "true", "-1", "1e300", "\"\"", "[]", "{}", "[[[]]]" };
  g_autofree char *path = source_path ("tests/fuzz/corpus/tokenizer/byte-level.json"),
                  *text = read_file (path, NULL);
  guint tried = 0, opened = 0;
  for (gsize at = 0; text[at] != '\0'; at++)
    for (guint k = 0; text[at] == ':' && k < G_N_ELEMENTS (others); k++)
      {
        gsize end = at + 1 + strcspn (text + at + 1, ",}]");
        g_autofree char *changed = g_strdup_printf ("%.*s%s%s", (int)(at + 1), text, others[k], text + end);
        g_autoptr (GError) error = NULL;
        g_autoptr (SwageTokenizer) tok
            = swage_tokenizer_new_json (changed, strlen (changed), NULL, 0, "changed", &error);
        g_assert_true ((tok == NULL) == (error != NULL));
        tried++;
        if (tok == NULL)
          continue;
        opened++;
        g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
        g_autoptr (GError) failure = NULL;
        swage_tokenizer_encode (tok, "hello <s> the  x", 16,
                                SWAGE_ENCODE_ADD_SPECIAL | SWAGE_ENCODE_PARSE_SPECIAL, ids, &failure);
      }
  g_test_message ("%u changes, %u still open", tried, opened);
  g_assert_cmpuint (tried, >, 300);
}

static void
test_bad_data (void)
{
  const char *tokens[] = { "a", "", "a" };
  SwageTokenizerData data = { .model = "bert",
                              .n_tokens = 3,
                              .tokens = tokens,
                              .bos = -1,
                              .eos = -1,
                              .unk = -1,
                              .pad = -1,
                              .add_bos = -1,
                              .add_eos = -1,
                              .add_space_prefix = -1 };
  g_autoptr (GError) error = NULL;
  g_assert_null (swage_tokenizer_new (&data, "file.gguf", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "bert"));
  g_clear_error (&error);
  data.model = "llama";
  data.n_tokens = 0;
  g_assert_null (swage_tokenizer_new (&data, "file.gguf", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_clear_error (&error);
  data.n_tokens = INT64_MAX;
  g_assert_null (swage_tokenizer_new (&data, "file.gguf", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_clear_error (&error);
  /* an empty piece gets a name, of equal ones the last counts, a missing <unk> and missing bytes give nothing
   */
  data.n_tokens = 3;
  data.add_space_prefix = 0;
  data.unk = 2;
  g_autoptr (SwageTokenizer) tok = swage_tokenizer_new (&data, "file.gguf", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_tokenizer_get_piece (tok, 1, NULL, NULL, NULL), ==, "[EMPTY_1]");
  check_encode (tok, "aa", SWAGE_ENCODE_PLAIN, "2 2");
}

/* A pattern that backtracks without end is an error, and soon. */
static void
test_catastrophic (void)
{
  g_autofree char *path = source_path ("tests/fuzz/corpus/tokenizer/catastrophic.json"),
                  *json = read_file (path, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageTokenizer) tok
      = swage_tokenizer_new_json (json, strlen (json), NULL, 0, "file.json", &error);
  g_assert_no_error (error);
  g_autoptr (GString) text = g_string_new (NULL);
  for (int i = 0; i < 5000; i++)
    g_string_append_c (text, 'a');
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  g_array_append_vals (ids, &(int32_t){ 5 }, 1);
  g_assert_false (swage_tokenizer_encode (tok, text->str, text->len, SWAGE_ENCODE_ADD_SPECIAL, ids, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED);
  g_assert_cmpuint (ids->len, ==, 1); /* what was there stays, nothing is added */
  g_test_message ("%s", error->message);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/tokenizer/merging", test_merging);
  g_test_add_func ("/text/tokenizer/named", test_named);
  g_test_add_func ("/text/tokenizer/cutting", test_cutting);
  g_test_add_func ("/text/tokenizer/recognized", test_recognized);
  g_test_add_func ("/text/tokenizer/flags", test_flags);
  g_test_add_func ("/text/tokenizer/fingerprint", test_fingerprint);
  g_test_add_func ("/text/tokenizer/invalid-utf8", test_invalid_utf8);
  g_test_add_func ("/text/tokenizer/long-words", test_long_words);
  g_test_add_func ("/text/tokenizer/threads", test_threads);
  g_test_add_func ("/text/tokenizer/bad-files", test_bad_files);
  g_test_add_func ("/text/tokenizer/wrong-types", test_wrong_types);
  g_test_add_func ("/text/tokenizer/bad-data", test_bad_data);
  g_test_add_func ("/text/tokenizer/catastrophic", test_catastrophic);
  return g_test_run ();
}
