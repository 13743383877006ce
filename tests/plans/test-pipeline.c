/* SPDX-License-Identifier: MIT
 *
 * The pipeline's promises on the shipped sample: what did not change is not computed again, the cached answer
 * is the answer, the number of threads does not matter, and a preview's figures agree with a plain
 * computation from the logits.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/preview/swage-preview.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct
{
  SwageModel *model;
  SwageCorpus *calibration, *text;
  SwageWindows *windows;
} Fixture;

/* A short text: what is tested does not need a long one. */
#define TEXT_BYTES 6000
#define CONTEXT 128

static SwageCorpus *
open_text (SwageModel *model, const char *name)
{
  GError *error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", name, NULL), *text = NULL;
  gsize n;
  g_file_get_contents (path, &text, &n, &error);
  g_assert_no_error (error);
  SwageCorpus *corpus = swage_corpus_new_from_text (swage_model_get_tokenizer (model, &error), text,
                                                    MIN (n, TEXT_BYTES), name, &error);
  g_assert_no_error (error);
  return corpus;
}

static void
fixture_init (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  f->model = swage_model_open (path, &error);
  g_assert_no_error (error);
  f->calibration = open_text (f->model, "kjv.calibration.txt");
  f->text = open_text (f->model, "kjv.eval.txt");
  f->windows = swage_windows_new (f->text, SWAGE_PROTOCOL_HF, CONTEXT, 512, &error);
  g_assert_no_error (error);
}

static void
fixture_clear (Fixture *f, gconstpointer data)
{
  swage_windows_free (f->windows);
  swage_corpus_unref (f->calibration);
  swage_corpus_unref (f->text);
  swage_model_unref (f->model);
}

static SwagePipeline *
new_pipeline (Fixture *f, uint64_t budget)
{
  GError *error = NULL;
  SwagePipeline *pipeline = swage_pipeline_new (f->model, NULL, budget, &error);
  g_assert_no_error (error);
  swage_pipeline_set_calibration (pipeline, f->calibration);
  return pipeline;
}

static SwagePlan *
new_plan (const char *first, ...)
{
  SwagePlan *plan = swage_plan_new ();
  va_list args;
  va_start (args, first);
  for (const char *rule = first; rule != NULL; rule = va_arg (args, const char *))
    {
      GError *error = NULL;
      swage_plan_add_rule_text (plan, rule, &error);
      g_assert_no_error (error);
    }
  va_end (args);
  SwageCalibration calibration
      = { .text = (char *)"kjv", .fingerprint = (char *)"", .samples = 4, .context = CONTEXT };
  swage_plan_set_calibration (plan, &calibration);
  return plan;
}

static void
run (SwagePipeline *pipeline, SwagePlan *plan, Fixture *f, SwagePreviewResult *result)
{
  GError *error = NULL;
  swage_preview_run (pipeline, plan, f->windows, SWAGE_PROTOCOL_HF, NULL, NULL, NULL, result, &error);
  g_assert_no_error (error);
}

static void
assert_same (const SwagePreviewResult *a, const SwagePreviewResult *b)
{
  g_assert_true (a->perplexity == b->perplexity && a->perplexity_stderr == b->perplexity_stderr
                 && a->kld_mean == b->kld_mean && a->kld_p99 == b->kld_p99
                 && a->top1_agreement == b->top1_agreement
                 && a->baseline_perplexity == b->baseline_perplexity);
}

static void
test_cache (Fixture *f, gconstpointer data)
{
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
  g_autoptr (SwagePlan) first = new_plan ("blk.*=rtn:type=q4_k", NULL);
  g_autoptr (SwagePlan) last_changed = new_plan ("blk.*=rtn:type=q4_k", "blk.7.*=rtn:type=q6_k", NULL);
  g_autoptr (SwagePlan) middle_changed = new_plan ("blk.*=rtn:type=q4_k", "blk.5.ffn_up=", NULL);
  SwagePreviewResult a, b, c, d, e;
  run (pipeline, first, f, &a);
  g_assert_cmpint (a.blocks_run, ==, 16);
  run (pipeline, first, f, &b);
  g_assert_cmpint (b.blocks_run, ==, 0);
  assert_same (&a, &b);
  run (pipeline, last_changed, f, &c);
  g_assert_cmpint (c.blocks_run, ==, 1);
  run (pipeline, middle_changed, f, &d);
  g_assert_cmpint (d.blocks_run, ==, 3);
  /* what came from the cache is what a fresh computation gives, to the last bit */
  g_autoptr (SwagePipeline) fresh = new_pipeline (f, 0);
  run (fresh, middle_changed, f, &e);
  assert_same (&d, &e);
  SwagePreviewResult *all[] = { &a, &b, &c, &d, &e };
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    swage_preview_result_clear (all[i]);
}

/* A budget too small for anything: everything goes through files or is dropped, and nothing changes but the
 * time. */
static void
test_small_budget (Fixture *f, gconstpointer data)
{
  g_autoptr (SwagePlan) plan = new_plan ("blk.*=wanda:sparsity=0.5", NULL);
  g_autoptr (SwagePipeline) large = new_pipeline (f, 0), small = new_pipeline (f, 4096);
  SwagePreviewResult a, b, c;
  run (large, plan, f, &a);
  run (small, plan, f, &b);
  run (small, plan, f, &c);
  assert_same (&a, &b);
  assert_same (&a, &c);
  SwagePipelineCounters counters;
  swage_pipeline_get_counters (small, &counters);
  g_assert_cmpuint (counters.cache_bytes, <=, 4096);
  swage_preview_result_clear (&a);
  swage_preview_result_clear (&b);
  swage_preview_result_clear (&c);
}

static void
test_folder (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("swage-test-XXXXXX", &error);
  g_assert_no_error (error);
  g_autoptr (SwagePlan) plan = new_plan ("blk.7.*=rtn:type=q4_k", NULL),
                        other = new_plan ("blk.7.*=rtn:type=q3_k", NULL);
  SwagePreviewResult a, b, c;
  {
    g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
    swage_pipeline_set_cache_folder (pipeline, folder, 1 << 30);
    run (pipeline, plan, f, &a);
  }
  g_autoptr (SwagePipeline) next = new_pipeline (f, 0); /* another process, as it were */
  swage_pipeline_set_cache_folder (next, folder, 1 << 30);
  run (next, plan, f, &b);
  g_assert_cmpint (b.blocks_run, ==, 0);
  assert_same (&a, &b);
  run (next, other, f, &c);
  g_assert_cmpint (c.blocks_run, ==, 1);
  swage_preview_result_clear (&a);
  swage_preview_result_clear (&b);
  swage_preview_result_clear (&c);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_unlink (path);
    }
  g_rmdir (folder);
}

static void
test_threads (Fixture *f, gconstpointer data)
{
  const char *const recipes[]
      = { "rtn:type=q3_k", "wanda:sparsity=0.5,pattern=2:4", "magnitude:sparsity=0.6+rtn:type=q4_0",
          "svd:by=size_ratio,size_ratio=0.5+rtn:type=int,bits=8" };
  int threads = swage_pool_get_threads ();
  for (guint i = 0; i < G_N_ELEMENTS (recipes); i++)
    {
      g_autofree char *rule = g_strconcat ("blk.1.*=", recipes[i], NULL);
      g_autoptr (SwagePlan) plan = new_plan (rule, NULL);
      SwagePreviewResult a, b;
      swage_pool_set_threads (1);
      g_autoptr (SwagePipeline) one = new_pipeline (f, 0);
      run (one, plan, f, &a);
      swage_pool_set_threads (3);
      g_autoptr (SwagePipeline) three = new_pipeline (f, 0);
      run (three, plan, f, &b);
      assert_same (&a, &b);
      swage_preview_result_clear (&a);
      swage_preview_result_clear (&b);
    }
  swage_pool_set_threads (threads);
}

/* log softmax in double precision, straight from the definition */
static double
log_sum_exp (const float *x, int n)
{
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++)
    top = fmax (top, x[i]);
  for (int i = 0; i < n; i++)
    sum += exp (x[i] - top);
  return top + log (sum);
}

static void
test_figures (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
  g_autoptr (SwagePlan) plan = new_plan ("blk.*=rtn:type=q2_k", NULL);
  SwagePreviewResult result;
  run (pipeline, plan, f, &result);

  SwageEngine *engine = swage_pipeline_get_engine (pipeline);
  int n_vocab = swage_model_get_config (f->model)->n_vocab, n = f->windows->n_windows * f->windows->context;
  g_autoptr (GBytes) base = swage_pipeline_run (pipeline, NULL, f->windows, NULL, NULL, &error);
  g_autoptr (GBytes) other = swage_pipeline_run (pipeline, plan, f->windows, NULL, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (SwageEnds) ends = swage_ends_load (f->model, &error);
  g_autofree float *p = g_new (float, (gsize)n *n_vocab), *q = g_new (float, (gsize)n *n_vocab);
  g_assert_true (swage_engine_logits (engine, ends, g_bytes_get_data (base, NULL), n, p, &error));
  g_assert_true (swage_engine_logits (engine, ends, g_bytes_get_data (other, NULL), n, q, &error));

  double nll = 0, nll_squares = 0, base_nll = 0, kld = 0;
  int64_t same = 0, scored = 0;
  for (int i = 0; i < n; i++)
    {
      int target = f->windows->targets[i];
      if (target < 0)
        continue;
      const float *a = p + (gsize)i * n_vocab, *b = q + (gsize)i * n_vocab;
      double log_a = log_sum_exp (a, n_vocab), log_b = log_sum_exp (b, n_vocab), divergence = 0;
      int top_a = 0, top_b = 0;
      for (int v = 0; v < n_vocab; v++)
        {
          divergence += exp (a[v] - log_a) * ((a[v] - log_a) - (b[v] - log_b));
          top_a = a[v] > a[top_a] ? v : top_a;
          top_b = b[v] > b[top_b] ? v : top_b;
        }
      kld += divergence;
      same += top_a == top_b;
      double x = log_b - b[target];
      nll += x;
      nll_squares += x * x;
      base_nll += log_a - a[target];
      scored++;
    }
  g_assert_cmpint (scored, ==, result.tokens);
  double mean = nll / (double)scored, perplexity = exp (mean);
  double variance = (nll_squares - (double)scored * mean * mean) / (double)(scored - 1);
  g_assert_cmpfloat_with_epsilon (result.perplexity / perplexity, 1, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.perplexity_stderr / (perplexity * sqrt (variance / (double)scored)),
                                  1, 1e-5);
  g_assert_cmpfloat_with_epsilon (result.baseline_perplexity / exp (base_nll / (double)scored), 1, 1e-6);
  g_assert_cmpfloat_with_epsilon (result.kld_mean / (kld / (double)scored), 1, 1e-4);
  g_assert_cmpfloat_with_epsilon (result.top1_agreement, (double)same / (double)scored, 1e-12);
  g_assert_cmpfloat (result.kld_p99, >, result.kld_median);
  g_assert_cmpfloat (result.kld_max, >=, result.kld_p99);
  swage_preview_result_clear (&result);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
  g_autoptr (SwagePlan) plan = new_plan ("blk.*=rtn:type=q4_k", NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_autoptr (GError) error = NULL;
  SwagePreviewResult result;
  g_cancellable_cancel (cancellable);
  g_assert_false (
      swage_preview_run (pipeline, plan, f->windows, SWAGE_PROTOCOL_HF, NULL, NULL, job, &result, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  /* and the pipeline is as good as before */
  run (pipeline, plan, f, &result);
  swage_preview_result_clear (&result);
}

static void
test_no_calibration (Fixture *f, gconstpointer data)
{
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
  swage_pipeline_set_calibration (pipeline, NULL);
  g_autoptr (SwagePlan) plan = new_plan ("blk.0.ffn_up=wanda:sparsity=0.5", NULL);
  g_autoptr (GError) error = NULL;
  SwagePreviewResult result;
  g_assert_false (
      swage_preview_run (pipeline, plan, f->windows, SWAGE_PROTOCOL_HF, NULL, NULL, NULL, &result, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "calibration"));
}

/* Σx² of a layer's inputs from the pass over the text, against the states themselves for the one input that
 * can be had without the engine's help: that of the first block's attention, the normalized embeddings. */
static void
test_collect (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, 0);
  int n_layers = swage_model_get_n_layers (f->model), n_embd = swage_model_get_config (f->model)->n_embd;
  g_autofree SwageActStats **stats = g_new0 (SwageActStats *, n_layers);
  g_assert_true (swage_pipeline_collect (pipeline, NULL, f->windows,
                                         SWAGE_NEED_COL_SQUARES | SWAGE_NEED_SUMMARY, 0, 0, NULL, NULL, stats,
                                         NULL, &error));
  g_assert_no_error (error);
  g_autoptr (SwageEnds) ends = swage_ends_load (f->model, &error);
  g_autoptr (SwageBlock) block = swage_block_load (f->model, 0, &error);
  int n = f->windows->n_windows * f->windows->context;
  g_autofree float *h = g_new (float, (gsize)n *n_embd);
  g_assert_true (swage_engine_embed (swage_pipeline_get_engine (pipeline), ends, f->windows->tokens,
                                     f->windows->n_windows, f->windows->context, 0, h, &error));
  g_autofree double *squares = g_new0 (double, n_embd);
  const float *weight = block->norm_weight[SWAGE_ROLE_ATTN_NORM];
  for (int t = 0; t < n; t++)
    {
      double mean = 0;
      for (int i = 0; i < n_embd; i++)
        mean += (double)h[t * n_embd + i] * h[t * n_embd + i] / n_embd;
      double scale = 1 / sqrt (mean + swage_model_get_config (f->model)->norm_eps);
      for (int i = 0; i < n_embd; i++)
        squares[i] += pow (h[t * n_embd + i] * scale * weight[i], 2);
    }
  for (int l = 0; l < n_layers; l++)
    {
      const SwageTensor *layer = swage_model_get_layer (f->model, l);
      g_assert_nonnull (stats[l]); /* the embedding too: it is tied, so it is the output layer */
      g_assert_cmpint (stats[l]->n_tokens, ==, n);
      g_assert_cmpint (stats[l]->summary.n, ==, (int64_t)n * stats[l]->n_in);
      if (strcmp (layer->name, "blk.0.attn_q") == 0 || strcmp (layer->name, "blk.0.attn_v") == 0)
        for (int i = 0; i < n_embd; i++)
          g_assert_cmpfloat_with_epsilon (stats[l]->col_squares[i] / squares[i], 1, 1e-4);
      swage_act_stats_free (stats[l]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/pipeline/" name, Fixture, NULL, fixture_init, func, fixture_clear)
  ADD ("cache", test_cache);
  ADD ("small-budget", test_small_budget);
  ADD ("folder", test_folder);
  ADD ("threads", test_threads);
  ADD ("figures", test_figures);
  ADD ("cancel", test_cancel);
  ADD ("no-calibration", test_no_calibration);
  ADD ("collect", test_collect);
  return g_test_run ();
}
