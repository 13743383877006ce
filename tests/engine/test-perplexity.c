/* SPDX-License-Identifier: MIT
 *
 * Perplexity of the sample on its evaluation text, by both protocols, against figures of a float32 reference
 * outside the project (transformers) and of llama.cpp: 33.689 and 41.919, within 0.1 %. With --bench prints
 * tokens per second instead.
 */
#include "engine-fixture.h"
#include "core/text/swage-corpus.h"

static double
perplexity (SwageProtocol protocol, int *n_tokens)
{
  g_autoptr (GError) error = NULL;
  g_auto (Rig) rig = { 0 };
  g_autofree char *folder = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  g_autofree char *text = g_build_filename (folder, "kjv.eval.txt", NULL);

  rig_open (&rig, folder, NULL);
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (rig.model, &error);
  g_assert_no_error (error);
  g_autoptr (SwageCorpus) corpus = swage_corpus_open (tokenizer, text, &error);
  g_assert_no_error (error);
  g_autoptr (SwageWindows) windows
      = swage_windows_new (corpus, protocol, 512, rig.config->max_context, &error);
  g_assert_no_error (error);

  int n_vocab = rig.config->n_vocab, n_embd = rig.config->n_embd, context = windows->context;
  g_autofree float *h = rig_hidden (&rig, windows->tokens, windows->n_windows, context, NULL, 0);
  g_autofree float *logits = g_new (float, (size_t)context *n_vocab);
  g_autofree double *nll = g_new0 (double, (size_t)context * 3);
  double sum = 0;
  for (int w = 0; w < windows->n_windows; w++)
    {
      const int32_t *targets = windows->targets + (size_t)w * context;
      int first = 0;
      while (first < context && targets[first] < 0)
        first++;
      swage_engine_logits (rig.engine, rig.ends, h + ((size_t)w * context + first) * n_embd, context - first,
                           logits, &error);
      g_assert_no_error (error);
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F64, nll, 3, context - first, 1, 1) };
      call.src[0] = swage_view (SWAGE_TYPE_F32, logits, n_vocab, context - first, 1, 1);
      call.src[1] = swage_view (SWAGE_TYPE_I32, targets + first, context - first, 1, 1, 1);
      swage_pool_run_op (swage_op_find ("softmax_nll"), &call);
      for (int t = first; t < context; t++)
        sum += targets[t] >= 0 ? nll[(t - first) * 3] : 0;
    }
  *n_tokens = windows->n_windows * context;
  return exp (sum / (double)windows->n_scored);
}

static void
test_perplexity (gconstpointer data)
{
  SwageProtocol protocol = GPOINTER_TO_INT (data);
  double want = protocol == SWAGE_PROTOCOL_HF ? 33.689 : 41.919;
  int n_tokens;
  double ppl = perplexity (protocol, &n_tokens);

  g_test_message ("perplexity %.4f, reference %.3f", ppl, want);
  g_assert_cmpfloat (fabs (ppl / want - 1), <=, 1e-3);
}

int
main (int argc, char **argv)
{
  if (argc > 1 && strcmp (argv[1], "--bench") == 0)
    {
      for (int i = 0; i < 3; i++)
        {
          int n_tokens;
          gint64 start = g_get_monotonic_time ();
          double ppl = perplexity (SWAGE_PROTOCOL_LLAMA_CPP, &n_tokens);
          double seconds = (double)(g_get_monotonic_time () - start) / G_USEC_PER_SEC;
          g_print ("%d threads: perplexity %.4f, %d tokens in %.3f s with opening: %.0f tokens/s\n",
                   swage_pool_get_threads (), ppl, n_tokens, seconds, n_tokens / seconds);
        }
      return 0;
    }
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/engine/perplexity/hf", GINT_TO_POINTER (SWAGE_PROTOCOL_HF), test_perplexity);
  g_test_add_data_func ("/engine/perplexity/llama.cpp", GINT_TO_POINTER (SWAGE_PROTOCOL_LLAMA_CPP),
                        test_perplexity);
  return g_test_run ();
}
