/* SPDX-License-Identifier: MIT
 *
 * Sharing a size out to ranks, on the shipped sample: the size is met, no single exchange of ranks between
 * two layers would lose less, and the plan that comes out says everything.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/preview/swage-allocate.h"

#include <math.h>
#include <string.h>

static SwageModel *
open_sample (void)
{
  GError *error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  SwageModel *model = swage_model_open (path, &error);
  g_assert_no_error (error);
  return model;
}

static SwagePlan *
new_plan (SwageModel *model, const char *rule)
{
  GError *error = NULL;
  SwagePlan *plan = swage_plan_new ();
  swage_plan_set_model (plan, model, NULL);
  swage_plan_add_rule_text (plan, rule, &error);
  g_assert_no_error (error);
  return plan;
}

static SwageAllocation
allocate (SwagePipeline *pipeline, SwagePlan *plan, double ratio, const SwageWindows *windows)
{
  GError *error = NULL;
  SwageAllocation found = { 0 };
  swage_allocate_ranks (pipeline, plan, ratio, windows, &found, NULL, &error);
  g_assert_no_error (error);
  return found;
}

/* Bytes of the layers that the glob names. */
static uint64_t
count_bytes (SwagePlan *plan, SwageModel *model, const char *prefix)
{
  uint64_t bytes = 0;
  for (int i = 0; i < swage_model_get_n_layers (model); i++)
    {
      SwageLinearSpec spec;
      const SwageTensor *layer = swage_model_get_layer (model, i);
      if (!g_str_has_prefix (layer->name, prefix))
        continue;
      g_assert_true (swage_plan_get_layer_spec (plan, model, layer, &spec, NULL));
      bytes += swage_linear_spec_get_bytes (&spec);
    }
  return bytes;
}

static void
test_sizes (void)
{
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, NULL);
  double lost = INFINITY;
  for (int percent = 20; percent <= 100; percent += 20)
    {
      g_autoptr (SwagePlan) plan = new_plan (model, "blk.[01].*=svd");
      uint64_t all = count_bytes (NULL, model, "blk.0.") + count_bytes (NULL, model, "blk.1.");
      SwageAllocation found = allocate (pipeline, plan, percent / 100.0, NULL);
      uint64_t got = count_bytes (plan, model, "blk.0.") + count_bytes (plan, model, "blk.1.");
      g_assert_cmpint (found.n_layers, ==, 14);
      g_assert_cmpuint (found.original_bytes, ==, all);
      g_assert_cmpuint (found.bytes, ==, got);
      g_assert_cmpuint (got * 100, <=, all * (uint64_t)percent);
      g_assert_cmpuint (got * 100 + all * 2, >=, all * (uint64_t)percent); /* nothing large is left over */
      g_assert_cmpfloat (found.lost, <=, lost);
      lost = found.lost;
      if (percent == 100)
        g_assert_cmpint (found.n_kept, ==, 14);
      /* what the plan says can be read back, and other layers are as they were */
      g_autofree char *text = swage_plan_to_text (plan);
      g_autoptr (SwagePlan) again = swage_plan_parse (text, strlen (text), "again", NULL);
      g_assert_nonnull (again);
      g_assert_cmpuint (count_bytes (again, model, "blk."), ==, count_bytes (plan, model, "blk."));
      g_assert_cmpuint (count_bytes (plan, model, "blk.5."), ==, count_bytes (NULL, model, "blk.5."));
      swage_plan_undo (plan);
      g_assert_cmpint (swage_plan_get_n_rules (plan), ==, 1);
    }
}

/* loss(r) of a layer, as the planner counts it, from the method's own spectrum. */
static double *
get_losses (SwageModel *model, const char *name, int64_t *n)
{
  g_autoptr (SwageLinear) linear = swage_model_load_linear (model, name, NULL);
  g_autoptr (SwageStep) step = swage_step_new_from_text ("svd", NULL);
  SwageMethodContext context = { .layer = name, .original = linear };
  double *spectrum = swage_step_get_method (step)->get_spectrum (swage_step_get_params (step), linear,
                                                                 &context, n, NULL, NULL);
  double total = 0, rest = 0;
  for (int64_t i = 0; i < *n; i++)
    total += spectrum[i];
  double *loss = g_new (double, (gsize)*n + 1);
  for (int64_t r = *n; r >= 0; r--)
    {
      double lost = MIN (rest / total, 1 - 1e-9);
      loss[r] = pow (1 - lost, -3) - 1;
      rest += r > 0 ? spectrum[r - 1] : 0;
    }
  g_free (spectrum);
  return loss;
}

/* Two layers of one shape that are both factored: taking a rank from one and giving it to the other does not
 * help. */
static void
test_no_better_exchange (void)
{
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, NULL);
  g_autoptr (SwagePlan) plan = new_plan (model, "blk.[012].ffn_up=svd");
  allocate (pipeline, plan, 0.4, NULL);
  double *loss[3];
  int64_t rank[3];
  for (int b = 0; b < 3; b++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%d.ffn_up", b);
      int64_t n;
      SwageLinearSpec spec;
      loss[b] = get_losses (model, name, &n);
      g_assert_true (
          swage_plan_get_layer_spec (plan, model, swage_model_find_tensor (model, name), &spec, NULL));
      g_assert_true (spec.parts & SWAGE_PART_LOW_RANK);
      rank[b] = spec.rank;
    }
  for (int from = 0; from < 3; from++)
    for (int to = 0; to < 3; to++)
      if (from != to)
        g_assert_cmpfloat (loss[from][rank[from] - 1] + loss[to][rank[to] + 1] + 1e-9, >=,
                           loss[from][rank[from]] + loss[to][rank[to]]);
  for (int b = 0; b < 3; b++)
    g_free (loss[b]);
}

/* With statistics, with a later step that packs, for any number of threads. */
static void
test_whitened (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  g_autofree char *path
      = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", "kjv.calibration.txt", NULL);
  g_autoptr (SwageCorpus) corpus
      = swage_corpus_open (swage_model_get_tokenizer (model, &error), path, &error);
  g_assert_no_error (error);
  g_autoptr (SwageWindows) windows = swage_windows_new_calibration (corpus, 4, 64, 512, 0, &error);
  g_assert_no_error (error);
  g_autofree char *first = NULL;
  for (int threads = 1; threads <= 3; threads += 2)
    {
      swage_pool_set_threads (threads);
      g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, NULL);
      g_autoptr (SwagePlan) plan = new_plan (model, "blk.0.attn_*=svd:whiten=true,multiple=32+rtn:type=q8_0");
      SwageAllocation found = allocate (pipeline, plan, 0.3, windows);
      g_assert_cmpuint (found.bytes * 10, <=, found.original_bytes * 3);
      g_assert_true (swage_plan_check (plan, model, NULL, &error));
      g_assert_no_error (error);
      g_autofree char *text = swage_plan_to_text (plan);
      if (first == NULL)
        first = g_strdup (text);
      g_assert_cmpstr (text, ==, first);

      g_assert_false (swage_allocate_ranks (pipeline, plan, 0.3, NULL, NULL, NULL, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
      g_clear_error (&error);
    }
  swage_pool_set_threads (2);
}

static void
test_refusals (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePipeline) pipeline = swage_pipeline_new (model, NULL, 0, NULL);
  g_autoptr (SwagePlan) plan = new_plan (model, "blk.*=rtn:type=q8_0");
  g_assert_false (swage_allocate_ranks (pipeline, plan, 0.5, NULL, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);

  g_autoptr (SwagePlan) small = new_plan (model, "blk.0.*=svd");
  g_autofree char *before = swage_plan_to_text (small);
  g_assert_false (swage_allocate_ranks (pipeline, small, 0.001, NULL, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_autofree char *after = swage_plan_to_text (small);
  g_assert_cmpstr (before, ==, after);

  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_cancellable_cancel (cancellable);
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_assert_false (swage_allocate_ranks (pipeline, small, 0.5, NULL, NULL, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
  g_clear_error (&error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/allocate/sizes", test_sizes);
  g_test_add_func ("/allocate/no-better-exchange", test_no_better_exchange);
  g_test_add_func ("/allocate/whitened", test_whitened);
  g_test_add_func ("/allocate/refusals", test_refusals);
  return g_test_run ();
}
