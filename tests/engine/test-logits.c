/* SPDX-License-Identifier: MIT
 *
 * The forward pass against transformers (tests/golden/make_logits.py), and against itself: kept keys and
 * values, batches, threads, slices.
 */
#include "engine-fixture.h"

#define TOLERANCE 2e-4

static const char *const names[] = { "llama", "llama3", "mistral", "qwen2", "qwen3", "gpt2", "opt" };

static void
check_golden (const char *model_path, const char *name)
{
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };

  golden_open (&golden, name);
  rig_open (&rig, model_path, NULL);
  g_assert_cmpint (rig.config->n_vocab, ==, golden.n_vocab);
  g_autofree float *logits = rig_logits (&rig, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
  double d = max_difference (logits, golden.logits, (size_t)golden.n_seq * golden.n_tok * golden.n_vocab);
  g_test_message ("%s: max abs difference %.2e", name, d);
  g_assert_cmpfloat (d, <=, TOLERANCE);
}

static void
test_golden (gconstpointer name)
{
  g_autofree char *path = golden_path (name, "");

  check_golden (path, name);
}

static void
test_golden_shared (gconstpointer data)
{
  const char *const *pair = data; /* folder under models/, golden */
  g_autofree char *relative = g_build_filename ("models", pair[0], NULL);
  g_autofree char *path = shared_path (relative);

  if (path != NULL)
    check_golden (path, pair[1]);
}

/* Token by token, and in two pieces, with keys and values kept. */
static void
test_kv (gconstpointer name)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  size_t row = (size_t)golden.n_vocab;
  int n = golden.n_tok, split = n / 3;
  SwageKv *kv = swage_kv_new (rig.engine, n, &error);
  g_assert_no_error (error);
  for (int t = 0; t < n; t++)
    {
      g_autofree float *logits = rig_logits (&rig, golden.tokens + t, 1, 1, kv, t);
      g_assert_cmpfloat (max_difference (logits, golden.logits + row * t, row), <=, TOLERANCE);
    }
  /* Full: one more is an error, not a crash. */
  g_autofree float *h = g_new0 (float, rig.config->n_embd);
  g_assert_false (swage_engine_run_block (rig.engine, rig.blocks[0], 1, 1, h, kv, NULL, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);

  swage_kv_truncate (kv, split);
  g_autofree float *rest = rig_logits (&rig, golden.tokens + split, 1, n - split, kv, split);
  g_assert_cmpfloat (max_difference (rest, golden.logits + row * split, row * (n - split)), <=, TOLERANCE);
  swage_kv_free (kv);
}

/* A sequence has the same bits alone and among others, on one thread and on three. */
static void
test_same_bits (gconstpointer name)
{
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");
  int threads = swage_pool_get_threads ();

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  size_t n = (size_t)golden.n_tok * golden.n_vocab;
  g_autofree float *together = rig_logits (&rig, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
  for (int i = 0; i < golden.n_seq; i++)
    {
      g_autofree float *alone = rig_logits (&rig, golden.tokens + i * golden.n_tok, 1, golden.n_tok, NULL, 0);
      g_assert_cmpmem (alone, n * sizeof (float), together + i * n, n * sizeof (float));
    }
  for (int t = 1; t <= 3; t += 2)
    {
      swage_pool_set_threads (t);
      g_autofree float *again = rig_logits (&rig, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
      g_assert_cmpmem (again, golden.n_seq * n * sizeof (float), together, golden.n_seq * n * sizeof (float));
    }
  swage_pool_set_threads (threads);
}

/* Longer than a slice: keys and values of the earlier pieces are used, and a window reaches back across the
 * cut. */
static void
test_long (gconstpointer name)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path (name, "");
  enum
  {
    N = 2300,
    PIECE = 700
  };

  rig_open (&rig, path, NULL);
  int n_embd = rig.config->n_embd;
  g_autofree int32_t *tokens = g_new (int32_t, N);
  for (int i = 0; i < N; i++)
    tokens[i] = (i * 7 + i / 11) % rig.config->n_vocab;
  g_autofree float *whole = rig_hidden (&rig, tokens, 1, N, NULL, 0);
  SwageKv *kv = swage_kv_new (rig.engine, N, &error);
  g_assert_no_error (error);
  for (int t = 0; t < N; t += PIECE)
    {
      int m = MIN (PIECE, N - t);
      g_autofree float *h = rig_hidden (&rig, tokens + t, 1, m, kv, t);
      g_assert_cmpfloat (max_difference (h, whole + (size_t)t * n_embd, (size_t)m * n_embd), <=, 1e-4);
    }
  swage_kv_free (kv);
}

/* The GGUF and the HF copy of one model. */
static void
test_two_formats (void)
{
  g_autofree char *hf = shared_path ("models/stories260K-hf");
  g_autofree char *gguf = hf != NULL ? shared_path ("models/stories260K-gguf/stories260K.gguf") : NULL;
  g_auto (Rig) a = { 0 };
  g_auto (Rig) b = { 0 };
  g_auto (Golden) golden = { 0 };

  if (gguf == NULL)
    return;
  golden_open (&golden, "stories260K");
  rig_open (&a, hf, NULL);
  rig_open (&b, gguf, NULL);
  g_autofree float *from_hf = rig_logits (&a, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
  g_autofree float *from_gguf = rig_logits (&b, golden.tokens, golden.n_seq, golden.n_tok, NULL, 0);
  size_t n = (size_t)golden.n_seq * golden.n_tok * golden.n_vocab;
  double most = 0, d = max_difference (from_hf, from_gguf, n);
  for (size_t i = 0; i < n; i++)
    most = MAX (most, fabs (from_hf[i]));
  g_test_message ("largest logit %.2f, max difference %.2e", most, d);
  g_assert_cmpfloat (d, <=, 1e-4 * most);
}

static void
test_bad_tokens (void)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path ("opt", "");
  const int32_t bad[2][2] = { { 1, -1 }, { 1, 129 } };

  rig_open (&rig, path, NULL);
  g_autofree float *h = g_new0 (float, (size_t)70 * rig.config->n_embd);
  for (int i = 0; i < 2; i++)
    {
      g_assert_false (swage_engine_embed (rig.engine, rig.ends, bad[i], 1, 2, 0, h, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
      g_clear_error (&error);
    }
  /* 64 positions: the table ends there, though it has two rows more. */
  g_autofree int32_t *tokens = g_new0 (int32_t, 65);
  g_assert_true (swage_engine_embed (rig.engine, rig.ends, tokens, 1, 64, 0, h, &error));
  g_assert_false (swage_engine_embed (rig.engine, rig.ends, tokens, 1, 65, 0, h, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
}

typedef struct
{
  int64_t rows[SWAGE_N_ROLES];
  double sum[SWAGE_N_ROLES];
} Taps;

static void
count_tap (SwageRole role, const float *x, int64_t n, int64_t n_in, gpointer user_data)
{
  Taps *taps = user_data;

  taps->rows[role] += n;
  for (int64_t i = 0; i < n * n_in; i++)
    taps->sum[role] += fabs (x[i]);
}

/* Every linear layer is shown each row of its input once, and only when asked. */
static void
test_taps (gconstpointer name)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_auto (Golden) golden = { 0 };
  g_autofree char *path = golden_path (name, "");
  Taps taps = { 0 };

  golden_open (&golden, name);
  rig_open (&rig, path, NULL);
  int64_t n = (int64_t)golden.n_seq * golden.n_tok;
  g_autofree float *h = g_new (float, (size_t)n *rig.config->n_embd);
  swage_engine_embed (rig.engine, rig.ends, golden.tokens, golden.n_seq, golden.n_tok, 0, h, &error);
  g_assert_no_error (error);
  swage_engine_run_block (rig.engine, rig.blocks[0], golden.n_seq, golden.n_tok, h, NULL, count_tap, &taps,
                          NULL, &error);
  g_assert_no_error (error);
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      g_assert_cmpint (taps.rows[role], ==, rig.blocks[0]->linear[role] != NULL ? n : 0);
      g_assert_true (taps.rows[role] == 0 || taps.sum[role] > 0);
    }
  if (rig.blocks[0]->linear[SWAGE_ROLE_ATTN_Q] != NULL)
    g_assert_cmpfloat (taps.sum[SWAGE_ROLE_ATTN_Q], ==, taps.sum[SWAGE_ROLE_ATTN_V]);
}

static void
test_cancel (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_auto (Rig) rig = { 0 };
  g_autofree char *path = golden_path ("llama", "");

  rig_open (&rig, path, NULL);
  g_autofree float *h = g_new0 (float, (size_t)16 * rig.config->n_embd);
  g_cancellable_cancel (cancellable);
  g_assert_false (
      swage_engine_run_block (rig.engine, rig.blocks[0], 1, 16, h, NULL, NULL, NULL, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  static const char *const shared[][2] = { { "capp-gpt", "capp-gpt" },
                                           { "stories260K-hf", "stories260K" },
                                           { "stories260K-gguf/stories260K.gguf", "stories260K" } };

  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    {
      static const struct
      {
        const char *what;
        GTestDataFunc func;
      } tests[] = {
        { "golden", test_golden }, { "kv", test_kv }, { "same-bits", test_same_bits }, { "taps", test_taps }
      };
      for (size_t t = 0; t < G_N_ELEMENTS (tests); t++)
        {
          g_autofree char *test = g_strdup_printf ("/engine/%s/%s", tests[t].what, names[i]);
          g_test_add_data_func (test, names[i], tests[t].func);
        }
    }
  for (size_t i = 0; i < G_N_ELEMENTS (shared); i++)
    {
      g_autofree char *test = g_strdup_printf ("/engine/golden-shared/%s", shared[i][0]);
      g_test_add_data_func (test, shared[i], test_golden_shared);
    }
  g_test_add_data_func ("/engine/long/llama3", "llama3", test_long);
  g_test_add_data_func ("/engine/long/mistral", "mistral", test_long);
  g_test_add_func ("/engine/two-formats", test_two_formats);
  g_test_add_func ("/engine/bad-tokens", test_bad_tokens);
  g_test_add_func ("/engine/cancel", test_cancel);
  return g_test_run ();
}
