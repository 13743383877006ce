/* SPDX-License-Identifier: MIT
 *
 * Corpora and windows: counts and positions against the formulas worked out by hand.
 */
#include "text-fixture.h"

#include "core/base/swage-error.h"
#include "core/text/swage-corpus.h"

#include <glib/gstdio.h>

/* A tokenizer of single letters, "a" = 3, with BOS 1 when `add_bos`; no space in front. */
static SwageTokenizer *
letters (bool add_bos)
{
  const char *tokens[29] = { "<unk>", "<s>", "</s>" };
  static char text[26][2];
  int32_t kinds[29] = { SWAGE_TOKEN_UNKNOWN, SWAGE_TOKEN_CONTROL, SWAGE_TOKEN_CONTROL };
  for (int i = 0; i < 26; i++)
    {
      text[i][0] = (char)('a' + i);
      tokens[3 + i] = text[i];
      kinds[3 + i] = SWAGE_TOKEN_NORMAL;
    }
  SwageTokenizerData data = { .model = "llama",
                              .n_tokens = 29,
                              .tokens = tokens,
                              .kinds = kinds,
                              .bos = -1,
                              .eos = -1,
                              .unk = -1,
                              .pad = -1,
                              .add_bos = add_bos,
                              .add_eos = 1,
                              .add_space_prefix = 0 };
  g_autoptr (GError) error = NULL;
  SwageTokenizer *tok = swage_tokenizer_new (&data, "letters", &error);
  g_assert_no_error (error);
  return tok;
}

/* `n` letters: token i is 3 + i % 26. */
static SwageCorpus *
alphabet (SwageTokenizer *tok, guint n)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < n; i++)
    g_string_append_c (text, (char)('a' + i % 26));
  g_autoptr (GError) error = NULL;
  SwageCorpus *corpus = swage_corpus_new_from_text (tok, text->str, text->len, "alphabet", &error);
  g_assert_no_error (error);
  return corpus;
}

static void
test_stream (void)
{
  for (int add_bos = 0; add_bos < 2; add_bos++)
    {
      g_autoptr (SwageTokenizer) tok = letters (add_bos);
      g_autoptr (SwageCorpus) corpus = alphabet (tok, 100);
      size_t n;
      const int32_t *ids = swage_corpus_get_tokens (corpus, &n);
      g_assert_cmpuint (n, ==, 100 + (size_t)add_bos); /* BOS, but no EOS in a stream */
      if (add_bos)
        g_assert_cmpint (*ids++, ==, 1);
      for (int i = 0; i < 100; i++)
        g_assert_cmpint (ids[i], ==, 3 + i % 26);
      g_assert_cmpstr (swage_corpus_get_name (corpus), ==, "alphabet");
      ids = swage_corpus_get_tokens (corpus, &n);
      g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)ids, n * 4);
      g_assert_cmpstr (swage_corpus_get_fingerprint (corpus), ==, sum);
    }
}

static void
test_hf (void)
{
  g_autoptr (SwageTokenizer) tok = letters (false);
  g_autoptr (SwageCorpus) corpus = alphabet (tok, 1000);
  size_t n;
  const int32_t *ids = swage_corpus_get_tokens (corpus, &n);
  g_autoptr (GError) error = NULL;
  for (int context = 2; context <= 1000; context += 37)
    {
      g_autoptr (SwageWindows) w = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, context, 0, &error);
      g_assert_no_error (error);
      g_assert_cmpint (w->n_windows, ==, 1000 / context);
      g_assert_cmpint (w->context, ==, context);
      g_assert_cmpint (w->n_scored, ==, (int64_t)(1000 / context) * (context - 1));
      for (int k = 0; k < w->n_windows * context; k++)
        {
          g_assert_cmpint (w->tokens[k], ==, ids[k]);
          g_assert_cmpint (w->targets[k], ==, k % context == context - 1 ? -1 : ids[k + 1]);
        }
    }
}

static void
test_llama_cpp (void)
{
  for (int add_bos = 0; add_bos < 2; add_bos++)
    {
      g_autoptr (SwageTokenizer) tok = letters (add_bos);
      g_autoptr (SwageCorpus) corpus = alphabet (tok, 777);
      size_t n;
      const int32_t *ids = swage_corpus_get_tokens (corpus, &n);
      g_autoptr (GError) error = NULL;
      for (int context = 3; context <= (int)n / 2; context += 11)
        {
          g_autoptr (SwageWindows) w
              = swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, context, 0, &error);
          g_assert_no_error (error);
          int windows = (int)n / context, first = context / 2, scored = 0;
          g_assert_cmpint (w->n_windows, ==, windows);
          g_assert_cmpint (w->n_scored, ==, (int64_t)windows * (context - 1 - first));
          for (int k = 0; k < windows * context; k++)
            {
              int i = k % context;
              g_assert_cmpint (w->tokens[k], ==, i == 0 && add_bos ? 1 : ids[k]);
              bool counts = i >= first && i <= context - 2;
              g_assert_cmpint (w->targets[k], ==, counts ? ids[k + 1] : -1);
              scored += counts;
            }
          g_assert_cmpint (scored, ==, w->n_scored);
        }
    }
}

static void
test_defaults_and_limits (void)
{
  g_autoptr (SwageTokenizer) tok = letters (false);
  g_autoptr (SwageCorpus) corpus = alphabet (tok, 5000);
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageWindows) a = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 0, 0, &error);
  g_assert_cmpint (a->context, ==, 2048);
  g_autoptr (SwageWindows) b = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 0, 512, &error);
  g_assert_cmpint (b->context, ==, 512);
  g_autoptr (SwageWindows) c = swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, 0, 4096, &error);
  g_assert_cmpint (c->context, ==, 512);
  g_assert_cmpstr (a->fingerprint, !=, b->fingerprint);
  g_assert_cmpstr (b->fingerprint, !=, c->fingerprint);
  g_autoptr (SwageWindows) again = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 512, 0, &error);
  g_assert_cmpstr (again->fingerprint, ==, b->fingerprint);

  /* beyond what the model takes; too short to score anything */
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 513, 512, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 1, 0, &error));
  g_clear_error (&error);
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, 2, 0, &error));
  g_clear_error (&error);
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, -5, 0, &error));
  g_clear_error (&error);

  SwageProtocol protocol;
  g_assert_true (swage_protocol_from_id ("hf", &protocol) && protocol == SWAGE_PROTOCOL_HF);
  g_assert_true (swage_protocol_from_id ("llama.cpp", &protocol) && protocol == SWAGE_PROTOCOL_LLAMA_CPP);
  g_assert_false (swage_protocol_from_id ("other", &protocol));
  g_assert_false (swage_protocol_from_id (NULL, &protocol));
  g_assert_cmpstr (swage_protocol_get_id (SWAGE_PROTOCOL_LLAMA_CPP), ==, "llama.cpp");
}

static void
test_too_short (void)
{
  g_autoptr (SwageTokenizer) tok = letters (false);
  g_autoptr (SwageCorpus) corpus = alphabet (tok, 99);
  g_autoptr (GError) error = NULL;
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 100, 0, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "99 tokens"));
  g_assert_nonnull (strstr (error->message, "at least 100"));
  g_clear_error (&error);
  g_assert_null (swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, 50, 0, &error));
  g_assert_nonnull (strstr (error->message, "at least 100"));
  g_clear_error (&error);
  g_autoptr (SwageWindows) one = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 99, 0, &error);
  g_assert_cmpint (one->n_windows, ==, 1);
  g_autoptr (SwageWindows) two = swage_windows_new (corpus, SWAGE_PROTOCOL_LLAMA_CPP, 49, 0, &error);
  g_assert_cmpint (two->n_windows, ==, 2);
}

static void
test_calibration (void)
{
  g_autoptr (SwageTokenizer) tok = letters (true);
  g_autoptr (SwageCorpus) corpus = alphabet (tok, 999); /* 1000 with BOS */
  size_t n;
  const int32_t *ids = swage_corpus_get_tokens (corpus, &n);
  g_autoptr (GError) error = NULL;

  g_autoptr (SwageWindows) even = swage_windows_new_calibration (corpus, 5, 100, 0, 0, &error);
  g_assert_cmpint (even->n_windows, ==, 5);
  g_assert_cmpint (even->n_scored, ==, 0);
  for (int w = 0; w < 5; w++)
    for (int i = 0; i < 100; i++)
      {
        g_assert_cmpint (even->tokens[w * 100 + i], ==, ids[w * 900 / 4 + i]);
        g_assert_cmpint (even->targets[w * 100 + i], ==, -1);
      }

  g_autoptr (SwageWindows) drawn = swage_windows_new_calibration (corpus, 5, 100, 0, 7, &error);
  g_autoptr (SwageWindows) same = swage_windows_new_calibration (corpus, 5, 100, 0, 7, &error);
  g_autoptr (SwageWindows) other = swage_windows_new_calibration (corpus, 5, 100, 0, 8, &error);
  g_assert_cmpstr (drawn->fingerprint, ==, same->fingerprint);
  g_assert_cmpstr (drawn->fingerprint, !=, other->fingerprint);
  g_assert_cmpstr (drawn->fingerprint, !=, even->fingerprint);

  /* a short text gives fewer, then shorter windows; the model's context is a ceiling */
  g_autoptr (SwageWindows) fewer = swage_windows_new_calibration (corpus, 64, 300, 0, 0, &error);
  g_assert_cmpint (fewer->n_windows, ==, 3);
  g_autoptr (SwageWindows) shorter = swage_windows_new_calibration (corpus, 64, 5000, 0, 3, &error);
  g_assert_cmpint (shorter->n_windows, ==, 1);
  g_assert_cmpint (shorter->context, ==, 1000);
  g_autoptr (SwageWindows) capped = swage_windows_new_calibration (corpus, 2, 300, 128, 0, &error);
  g_assert_cmpint (capped->context, ==, 128);
  g_assert_null (swage_windows_new_calibration (corpus, 0, 100, 0, 0, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);

  g_autoptr (SwageTokenizer) bare = letters (false);
  g_autoptr (SwageCorpus) empty = swage_corpus_new_from_text (bare, "", 0, "empty", &error);
  g_assert_no_error (error);
  g_assert_null (swage_windows_new_calibration (empty, 4, 100, 0, 0, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
}

static void
test_files (void)
{
  g_autofree char *folder = source_path ("data/sample"), *path = source_path ("data/sample/kjv.eval.txt");
  g_autoptr (SwageTokenizer) tok = open_tokenizer (folder);
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageCorpus) corpus = swage_corpus_open (tok, path, &error);
  g_assert_no_error (error);
  size_t n;
  swage_corpus_get_tokens (corpus, &n);
  g_assert_cmpuint (n, ==, 27002); /* HF tokenizers on the whole file */
  g_assert_cmpstr (swage_corpus_get_name (corpus), ==, "kjv.eval.txt");
  g_autoptr (SwageWindows) w = swage_windows_new (corpus, SWAGE_PROTOCOL_HF, 512, 512, &error);
  g_assert_cmpint (w->n_windows, ==, 52);
  g_assert_cmpint (w->n_scored, ==, 52 * 511);

  g_assert_null (swage_corpus_open (tok, "/nonexistent/text", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (swage_corpus_open (tok, g_get_tmp_dir (), &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/corpus/stream", test_stream);
  g_test_add_func ("/text/corpus/hf", test_hf);
  g_test_add_func ("/text/corpus/llama.cpp", test_llama_cpp);
  g_test_add_func ("/text/corpus/defaults-and-limits", test_defaults_and_limits);
  g_test_add_func ("/text/corpus/too-short", test_too_short);
  g_test_add_func ("/text/corpus/calibration", test_calibration);
  g_test_add_func ("/text/corpus/files", test_files);
  return g_test_run ();
}
