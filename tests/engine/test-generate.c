/* SPDX-License-Identifier: MIT
 *
 * Continuations: greedy against the goldens' own logits and a pass without kept keys, seeds, limits,
 * cancelling.
 */
#include "engine-fixture.h"
#include "core/engine/swage-generate.h"

typedef struct
{
  int32_t tokens[256];
  int n, stop_after;
  GCancellable *cancel;
} Text;

static bool
take (int32_t token, const float *logits, gpointer user_data)
{
  Text *text = user_data;

  g_assert_cmpint (text->n, <, 256);
  g_assert_true (isfinite (logits[token]));
  text->tokens[text->n++] = token;
  if (text->cancel != NULL)
    g_cancellable_cancel (text->cancel);
  return text->n != text->stop_after;
}

static int
generate (Rig *rig, const int32_t *prompt, int n, SwageGenerateOptions options, Text *text)
{
  g_autoptr (GError) error = NULL;
  int n_new = -1;

  swage_generate (rig->engine, rig->ends, rig->blocks, prompt, n, &options, take, text, &n_new, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (n_new, ==, text->n);
  return n_new;
}

/* Each greedy token is the most likely one of a fresh pass over all tokens before it. */
static void
test_greedy (gconstpointer name)
{
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");
  Text text = { 0 };
  int32_t all[64];
  enum
  {
    PROMPT = 12,
    NEW = 16
  };

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  memcpy (all, golden.tokens, PROMPT * sizeof *all);
  generate (&rig, all, PROMPT, (SwageGenerateOptions){ .max_tokens = NEW, .stop = -1 }, &text);
  g_assert_cmpint (text.n, ==, NEW);
  for (int i = 0; i < NEW; i++)
    {
      int n = PROMPT + i;
      g_autofree float *logits = rig_logits (&rig, all, 1, n, NULL, 0);
      const float *last = logits + (size_t)(n - 1) * rig.config->n_vocab;
      float top = last[0];
      for (int v = 1; v < rig.config->n_vocab; v++)
        top = MAX (top, last[v]);
      g_assert_cmpfloat (top - last[text.tokens[i]], <=, 1e-3);
      all[n] = text.tokens[i];
    }

  /* The same with an end: at a token, after a number of them, by the caller. */
  Text stopped = { 0 }, few = { 0 }, asked = { .stop_after = 3 };
  int first = 0;
  while (text.tokens[first] != text.tokens[5])
    first++;
  generate (&rig, all, PROMPT, (SwageGenerateOptions){ .max_tokens = NEW, .stop = text.tokens[5] }, &stopped);
  g_assert_cmpint (stopped.n, ==, first);
  generate (&rig, all, PROMPT, (SwageGenerateOptions){ .max_tokens = 0, .stop = -1 }, &few);
  g_assert_cmpint (few.n, ==, 0);
  generate (&rig, all, PROMPT, (SwageGenerateOptions){ .max_tokens = NEW, .stop = -1 }, &asked);
  g_assert_cmpint (asked.n, ==, 3);
  g_assert_cmpmem (asked.tokens, 3 * sizeof (int32_t), text.tokens, 3 * sizeof (int32_t));
}

static void
test_seed (void)
{
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path ("qwen3", "");
  const int32_t prompt[] = { 3, 1, 4, 1, 5 };
  const SwageGenerateOptions options = { .max_tokens = 40, .temperature = 1.0, .seed = 7, .stop = -1 };
  SwageGenerateOptions other = options, one = options, cold = options;
  Text a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, e = { 0 }, greedy = { 0 };

  rig_open (&rig, path, NULL);
  generate (&rig, prompt, 5, options, &a);
  generate (&rig, prompt, 5, options, &b);
  g_assert_cmpmem (a.tokens, sizeof a.tokens, b.tokens, sizeof b.tokens);
  other.seed = 8;
  generate (&rig, prompt, 5, other, &c);
  g_assert_true (memcmp (a.tokens, c.tokens, sizeof a.tokens) != 0);

  /* One candidate, or hardly any temperature: greedy. */
  one.top_k = 1;
  generate (&rig, prompt, 5, one, &d);
  cold.top_p = 1e-9;
  generate (&rig, prompt, 5, cold, &e);
  generate (&rig, prompt, 5, (SwageGenerateOptions){ .max_tokens = 40, .stop = -1 }, &greedy);
  g_assert_cmpmem (d.tokens, sizeof d.tokens, greedy.tokens, sizeof greedy.tokens);
  g_assert_cmpmem (e.tokens, sizeof e.tokens, greedy.tokens, sizeof greedy.tokens);
}

/* The frequencies of first tokens are those of the softmax. */
static void
test_distribution (void)
{
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path ("llama", "");
  const int32_t prompt[] = { 9, 8, 7 };
  enum
  {
    DRAWS = 2000
  };
  g_autofree int *count = NULL;
  double sum = 0, chi = 0;
  int bins = 0;

  rig_open (&rig, path, NULL);
  int n_vocab = rig.config->n_vocab;
  count = g_new0 (int, n_vocab);
  g_autofree float *logits = rig_logits (&rig, prompt, 1, 3, NULL, 0);
  const float *last = logits + 2 * (size_t)n_vocab;
  for (uint64_t seed = 0; seed < DRAWS; seed++)
    {
      Text text = { 0 };
      generate (&rig, prompt, 3,
                (SwageGenerateOptions){ .max_tokens = 1, .temperature = 2, .seed = seed, .stop = -1 }, &text);
      count[text.tokens[0]]++;
    }
  for (int v = 0; v < n_vocab; v++)
    sum += exp (last[v] / 2.0);
  for (int v = 0; v < n_vocab; v++)
    {
      double expected = DRAWS * exp (last[v] / 2.0) / sum;
      if (expected < 5)
        continue;
      chi += (count[v] - expected) * (count[v] - expected) / expected;
      bins++;
    }
  g_test_message ("chi squared %.1f over %d bins", chi, bins);
  g_assert_cmpint (bins, >, 20);
  g_assert_cmpfloat (chi, <, bins + 5 * sqrt (2.0 * bins));
}

static void
test_limits (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path ("gpt2", "");
  g_autofree int32_t *prompt = g_new0 (int32_t, 65);
  SwageGenerateOptions options = { .max_tokens = 100, .stop = -1 };
  Text text = { 0 }, none = { 0 };

  rig_open (&rig, path, NULL);
  g_assert_cmpint (rig.config->max_context, ==, 64);
  generate (&rig, prompt, 60, options, &text); /* the last token needs no position of its own */
  g_assert_cmpint (text.n, ==, 5);
  for (int n = 0; n <= 65; n += 65)
    {
      g_assert_false (swage_generate (rig.engine, rig.ends, rig.blocks, prompt, n, &options, take, &none,
                                      NULL, NULL, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
      g_clear_error (&error);
    }

  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  Text cancelled = { .cancel = cancellable };
  int n_new = 0;
  g_assert_false (swage_generate (rig.engine, rig.ends, rig.blocks, prompt, 4, &options, take, &cancelled,
                                  &n_new, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  g_assert_cmpint (n_new, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/engine/generate/greedy/llama3", "llama3", test_greedy);
  g_test_add_data_func ("/engine/generate/greedy/mistral", "mistral", test_greedy);
  g_test_add_data_func ("/engine/generate/greedy/opt", "opt", test_greedy);
  g_test_add_func ("/engine/generate/seed", test_seed);
  g_test_add_func ("/engine/generate/distribution", test_distribution);
  g_test_add_func ("/engine/generate/limits", test_limits);
  return g_test_run ();
}
