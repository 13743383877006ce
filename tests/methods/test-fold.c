/* SPDX-License-Identifier: MIT
 *
 * Folding on whole models: a recipe that only transforms leaves what the model computes as it is, to 1e-5,
 * whether its scales are kept, folded into norms and layers, or written to a file and read back. Models with
 * RMS and with layer norms, gated and ReLU feed-forwards, shared key/value heads and fused ones.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/export/swage-export-plan.h"

#define CONTEXT 32

typedef struct
{
  SwageModel *model;
  SwageCorpus *corpus;
  SwageWindows *windows;
} Fixture;

static char *
model_path (const char *name)
{
  if (g_str_equal (name, "sample"))
    return g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  return g_test_build_filename (G_TEST_DIST, "golden", "models", name, NULL);
}

/* A text of the sample's, its ids brought into the model's vocabulary: the small models have no tokenizer. */
static void
fixture_init (Fixture *f, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = model_path (name), *sample = model_path ("sample"), *text = NULL;
  g_autofree char *text_path = g_build_filename (sample, "kjv.calibration.txt", NULL);
  gsize n;
  size_t n_tokens;
  f->model = swage_model_open (path, &error);
  g_assert_no_error (error);
  g_autoptr (SwageModel) other = swage_model_open (sample, &error);
  g_assert_no_error (error);
  g_file_get_contents (text_path, &text, &n, &error);
  g_assert_no_error (error);
  f->corpus
      = swage_corpus_new_from_text (swage_model_get_tokenizer (other, &error), text, 3000, "kjv", &error);
  g_assert_no_error (error);
  int32_t *tokens = (int32_t *)swage_corpus_get_tokens (f->corpus, &n_tokens);
  for (size_t i = 0; i < n_tokens; i++)
    tokens[i] %= swage_model_get_config (f->model)->n_vocab;
  f->windows = swage_windows_new (f->corpus, SWAGE_PROTOCOL_HF, CONTEXT, CONTEXT, &error);
  g_assert_no_error (error);
}

static void
fixture_clear (Fixture *f)
{
  swage_windows_free (f->windows);
  swage_corpus_unref (f->corpus);
  swage_model_unref (f->model);
}

static SwagePlan *
new_plan (const char *rules)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) list = g_strsplit (rules, ";", -1);
  SwagePlan *plan = swage_plan_new ();
  for (int i = 0; list[i] != NULL; i++)
    swage_plan_add_rule_text (plan, list[i], &error);
  g_assert_no_error (error);
  SwageCalibration calibration
      = { .text = (char *)"kjv", .fingerprint = (char *)"", .samples = 4, .context = CONTEXT };
  swage_plan_set_calibration (plan, &calibration);
  return plan;
}

static SwagePipeline *
new_pipeline (Fixture *f, SwageModel *model)
{
  g_autoptr (GError) error = NULL;
  SwagePipeline *pipeline = swage_pipeline_new (model, NULL, 0, &error);
  g_assert_no_error (error);
  swage_pipeline_set_calibration (pipeline, f->corpus);
  return pipeline;
}

/* The model's final states; new. */
static GBytes *
run (Fixture *f, SwageModel *model, SwagePlan *plan)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, model);
  GBytes *states = swage_pipeline_run (pipeline, plan, f->windows, NULL, NULL, &error);
  g_assert_no_error (error);
  return states;
}

/* max |a − b| / max |a| */
static double
compare (GBytes *a, GBytes *b)
{
  gsize n, m;
  const float *x = g_bytes_get_data (a, &n), *y = g_bytes_get_data (b, &m);
  double top = 0, difference = 0;
  g_assert_cmpuint (n, ==, m);
  for (gsize i = 0; i < n / sizeof *x; i++)
    {
      top = fmax (top, fabs ((double)x[i]));
      difference = fmax (difference, fabs ((double)x[i] - (double)y[i]));
    }
  return difference / top;
}

static bool
has_transform (Fixture *f, SwagePlan *plan, const char *layer)
{
  g_autoptr (GError) error = NULL;
  SwageLinearSpec spec;
  swage_plan_get_layer_spec (plan, f->model, swage_model_find_tensor (f->model, layer), &spec, &error);
  g_assert_no_error (error);
  return (spec.parts & SWAGE_PART_TRANSFORM) != 0;
}

static SwageModel *export(Fixture *f, SwagePlan *plan, SwageExportFormat format, const char *path,
                          SwageType dense)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwagePipeline) pipeline = new_pipeline (f, f->model);
  SwageExportPlan source;
  SwageExportOptions options = SWAGE_EXPORT_OPTIONS_INIT;
  options.dense_type = dense;
  swage_export_plan_init (&source, f->model, pipeline, plan);
  swage_export (f->model, format, &source.source, path, &options, NULL, NULL, &error);
  g_assert_no_error (error);
  SwageModel *back = swage_model_open (path, &error);
  g_assert_no_error (error);
  return back;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inner = g_build_filename (path, name, NULL);
      remove_tree (inner);
    }
  g_remove (path);
}

static const struct
{
  const char *model, *rules;
  int n_folded; /* of the layers of block 1 */
  bool gguf;
} cases[] = {
  { "sample", "blk.*=smoothquant:type=f32,act=none", 7, true },
  { "sample", "blk.*=awq:type=f32,n_grid=4", 7, true },
  { "opt", "blk.*=smoothquant:type=f32,act=none", 6, false },
  { "gpt2", "blk.*=smoothquant:type=f32,act=none", 3, true },
  /* shifts go into a layer norm's bias, and only there */
  { "opt",
    "blk.*=outlier_suppression_plus:type=f32,act=none,n_grid=2;"
    "blk.*.attn_output=outlier_suppression_plus:type=f32,act=none,n_grid=2,shift=false;"
    "blk.*.ffn_down=outlier_suppression_plus:type=f32,act=none,n_grid=2,shift=false",
    6, false },
};

/* What the fold is: the same numbers, no transform left, in both formats. */
static void
test_round_trip (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Fixture f;
      g_autoptr (GError) error = NULL;
      g_autofree char *folder = g_dir_make_tmp ("swage-fold-XXXXXX", &error);
      fixture_init (&f, cases[i].model);
      g_autoptr (SwagePlan) plan = new_plan (cases[i].rules);
      g_autoptr (GBytes) original = run (&f, f.model, NULL);
      g_autoptr (GBytes) transformed = run (&f, f.model, plan);
      g_assert_cmpfloat (compare (original, transformed), <, 1e-5);

      int n_folded = 0;
      for (int l = 0; l < swage_model_get_n_layers (f.model); l++)
        {
          const SwageTensor *layer = swage_model_get_layer (f.model, l);
          n_folded += layer->block == 1 && !has_transform (&f, plan, layer->name);
        }
      g_assert_cmpint (n_folded, ==, cases[i].n_folded);

      /* what is left as a transform is multiplied out */
      int n_layers = 0;
      for (int l = 0; l < swage_model_get_n_layers (f.model); l++)
        n_layers += swage_model_get_layer (f.model, l)->block == 1;
      SwageType dense = n_folded < n_layers ? SWAGE_TYPE_F32 : SWAGE_TYPE_NONE;
      for (int format = 0; format < SWAGE_N_EXPORT_FORMATS; format++)
        {
          if (format == SWAGE_EXPORT_GGUF && !cases[i].gguf)
            continue;
          g_autofree char *path
              = g_build_filename (folder, format == SWAGE_EXPORT_GGUF ? "out.gguf" : "out", NULL);
          g_autoptr (SwageModel) back = export(&f, plan, (SwageExportFormat)format, path, dense);
          g_autoptr (GBytes) read = run (&f, back, NULL);
          g_assert_cmpfloat (compare (original, read), <, 1e-5);
        }
      remove_tree (folder);
      fixture_clear (&f);
    }
}

/* Packed weights behind folded scales: a GGUF file holds them, and gives the preview's very numbers. */
static void
test_packed (void)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("swage-fold-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "out.gguf", NULL);
  fixture_init (&f, "sample");
  g_autoptr (SwagePlan) plan = new_plan ("blk.*=awq:type=q4_0,n_grid=4");
  g_autoptr (GBytes) preview = run (&f, f.model, plan);
  g_autoptr (SwageModel) back = export(&f, plan, SWAGE_EXPORT_GGUF, path, SWAGE_TYPE_NONE);
  g_autoptr (GBytes) read = run (&f, back, NULL);
  g_assert_cmpfloat (compare (preview, read), <, 1e-6);
  remove_tree (folder);

  /* the error of a layer is told against the original, whatever has moved into its neighbours */
  g_autoptr (SwagePipeline) pipeline = new_pipeline (&f, f.model);
  static const char *const layers[] = { "blk.2.ffn_up", "blk.2.ffn_down", "blk.2.attn_v", "blk.2.attn_q" };
  for (size_t i = 0; i < G_N_ELEMENTS (layers); i++)
    {
      g_autoptr (SwageLinear) linear = swage_pipeline_get_layer (pipeline, plan, layers[i], NULL, &error);
      g_autoptr (SwageLinear) before = swage_model_load_linear (f.model, layers[i], &error);
      g_assert_no_error (error);
      g_assert_null (linear->transform);
      g_autofree float *w = swage_linear_get_effective (before), *v = swage_linear_get_effective (linear);
      double e = 0, s = 0;
      for (int64_t k = 0; k < linear->n_out * linear->n_in; k++)
        {
          e += pow ((double)w[k] - (double)v[k], 2);
          s += pow ((double)w[k], 2);
        }
      g_assert_cmpfloat (sqrt (e / s), <, 0.15);
    }
  fixture_clear (&f);
}

/* Where neighbours do not agree the transform stays, and the function too. */
static void
test_kept (void)
{
  static const struct
  {
    const char *rules, *kept;
  } kept[] = {
    { "blk.*.attn_q=smoothquant:type=f32,act=none", "blk.1.attn_q" },
    { "blk.*.attn_?=smoothquant:type=f32,act=none;blk.*.attn_k=smoothquant:type=f32,act=none,alpha=0.7",
      "blk.1.attn_v" },
    { "blk.*.ffn_down=smoothquant:type=f32,act=none", "blk.1.ffn_down" },
    { "blk.*.ffn_down=smoothquant:type=f32,act=none;blk.*.ffn_up=wanda:sparsity=0", "blk.1.ffn_down" },
    { "blk.*.attn_output=awq:type=f32,n_grid=2", "blk.1.attn_output" },
    { "blk.*=rptq:type=f32,act=none", "blk.1.attn_q" },
    { "blk.*=outlier_suppression_plus:type=f32,act=none,n_grid=2", "blk.1.ffn_down" },
  };
  Fixture f;
  fixture_init (&f, "sample");
  g_autoptr (GBytes) original = run (&f, f.model, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (kept); i++)
    {
      g_autoptr (SwagePlan) plan = new_plan (kept[i].rules);
      g_autoptr (GBytes) transformed = run (&f, f.model, plan);
      g_assert_true (has_transform (&f, plan, kept[i].kept));
      g_assert_cmpfloat (compare (original, transformed), <, 1e-5);
    }
  /* different bits do not keep two layers from sharing a scale; a second step after the scaling neither */
  g_autoptr (SwagePlan) mixed = new_plan ("blk.*.attn_?=awq:type=f32,n_grid=2+rtn:type=q4_0;"
                                          "blk.*.attn_v=awq:type=q8_0,n_grid=2");
  g_autoptr (GBytes) states = run (&f, f.model, mixed);
  g_assert_false (has_transform (&f, mixed, "blk.1.attn_k"));
  g_assert_false (has_transform (&f, mixed, "blk.1.attn_v"));
  g_assert_nonnull (states);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/fold/round-trip", test_round_trip);
  g_test_add_func ("/methods/fold/packed", test_packed);
  g_test_add_func ("/methods/fold/kept", test_kept);
  return g_test_run ();
}
