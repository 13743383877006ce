/* SPDX-License-Identifier: MIT
 *
 * The pipeline. Two questions are asked of it, and everything is remembered under a key of all that shaped
 * the answer:
 *
 *   states (plan, windows, k)   hidden states before block k: the embeddings run through the plan's blocks 0
 * … k−1 layer (plan, name)          the layer after its recipe. Where a step needs statistics, they are of
 * the inputs that the calibration windows produce in the block: states (plan, calibration, k) run through the
 * *original* block k, as the GPTQ, SparseGPT and Wanda papers do; one pass serves all layers of the block.
 */
#include "core/pipeline/swage-pipeline.h"
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/pipeline/swage-cache.h"
#include "core/pipeline/swage-pipeline-private.h"
#include "core/pipeline/swage-recipe-run.h"
#include "kernels/swage-op-args.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BUDGET ((uint64_t)2 << 30)
#define NORM_ROWS 1024 /* rows of the output layer's input that are made at once */

struct _SwagePipeline
{
  SwageModel *model;
  SwageBackend *own_backend, *backend; /* ours, when the caller gave none; the one in use */
  SwageEngine *engine;
  SwageCorpus *corpus; /* of calibration */
  SwageCache *cache;
  SwageWindows *calibration; /* windows cut from corpus for `calibration_key` */
  char *calibration_key;
  SwagePipelineCounters counters;
};

/* A plan seen from this model: each layer's recipe and its canonical text. */
typedef struct
{
  SwagePlan *plan; /* borrowed for the call; NULL: the original */
  int n_layers;
  SwageRecipe **recipes; /* owned references, NULL where nothing applies */
  char **texts;          /* "" where nothing applies */
  SwageCalibration calibration;
} View;

static View *
view_new (SwagePipeline *pipeline, SwagePlan *plan)
{
  View *view = g_new0 (View, 1);
  view->plan = plan;
  view->n_layers = swage_model_get_n_layers (pipeline->model);
  view->recipes = g_new0 (SwageRecipe *, view->n_layers);
  view->texts = g_new0 (char *, view->n_layers);
  for (int i = 0; i < view->n_layers; i++)
    {
      SwageRecipe *recipe
          = plan != NULL ? swage_plan_get_recipe (plan, swage_model_get_layer (pipeline->model, i)->name)
                         : NULL;
      view->texts[i] = recipe != NULL ? swage_recipe_to_text (recipe) : g_strdup ("");
      if (view->texts[i][0] != '\0')
        view->recipes[i] = swage_recipe_ref (recipe);
    }
  if (plan != NULL)
    {
      view->calibration = *swage_plan_get_calibration (plan);
      view->calibration.text = view->calibration.fingerprint = NULL;
    }
  return view;
}

static void
view_free (View *view)
{
  for (int i = 0; i < view->n_layers; i++)
    {
      swage_recipe_unref (view->recipes[i]);
      g_free (view->texts[i]);
    }
  g_free (view->recipes);
  g_free (view->texts);
  g_free (view);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (View, view_free)

SwagePipeline *
swage_pipeline_new (SwageModel *model, SwageBackend *backend, uint64_t budget, GError **error)
{
  g_autoptr (SwagePipeline) pipeline = g_new0 (SwagePipeline, 1);
  pipeline->model = swage_model_ref (model);
  if (backend == NULL)
    pipeline->own_backend = swage_backend_cpu ();
  pipeline->backend = backend != NULL ? backend : pipeline->own_backend;
  pipeline->engine = swage_engine_new (model, pipeline->backend, error);
  if (budget == 0)
    {
      uint64_t memory = (uint64_t)sysconf (_SC_PHYS_PAGES) * (uint64_t)sysconf (_SC_PAGESIZE);
      budget = MIN (DEFAULT_BUDGET, memory / 4);
    }
  pipeline->cache = swage_cache_new (budget);
  return pipeline->engine != NULL ? g_steal_pointer (&pipeline) : NULL;
}

void
swage_pipeline_free (SwagePipeline *pipeline)
{
  if (pipeline == NULL)
    return;
  swage_engine_free (pipeline->engine);
  swage_backend_unref (pipeline->own_backend);
  swage_cache_free (pipeline->cache);
  swage_windows_free (pipeline->calibration);
  g_free (pipeline->calibration_key);
  swage_corpus_unref (pipeline->corpus);
  swage_model_unref (pipeline->model);
  g_free (pipeline);
}

SwageModel *
swage_pipeline_get_model (SwagePipeline *pipeline)
{
  return pipeline->model;
}

SwageEngine *
swage_pipeline_get_engine (SwagePipeline *pipeline)
{
  return pipeline->engine;
}

SwageBackend *
swage_pipeline_get_backend (SwagePipeline *pipeline)
{
  return pipeline->backend;
}

bool
swage_pipeline_set_backend (SwagePipeline *pipeline, SwageBackend *backend, GError **error)
{
  g_autoptr (SwageBackend) next = backend != NULL ? swage_backend_ref (backend) : swage_backend_cpu ();
  SwageEngine *engine = swage_engine_new (pipeline->model, next, error);
  if (engine == NULL)
    return false;
  swage_engine_free (pipeline->engine);
  pipeline->engine = engine;
  pipeline->backend = next;
  swage_backend_unref (pipeline->own_backend);
  pipeline->own_backend = g_steal_pointer (&next);
  return true;
}

SwageCache *
swage_pipeline_get_cache (SwagePipeline *pipeline)
{
  return pipeline->cache;
}

void
swage_pipeline_set_calibration (SwagePipeline *pipeline, SwageCorpus *corpus)
{
  if (corpus == pipeline->corpus)
    return;
  swage_corpus_unref (pipeline->corpus);
  pipeline->corpus = corpus != NULL ? swage_corpus_ref (corpus) : NULL;
  g_clear_pointer (&pipeline->calibration, swage_windows_free);
  g_clear_pointer (&pipeline->calibration_key, g_free);
}

void
swage_pipeline_set_cache_folder (SwagePipeline *pipeline, const char *folder, uint64_t limit)
{
  swage_cache_set_folder (pipeline->cache, folder, limit);
}

void
swage_pipeline_get_counters (SwagePipeline *pipeline, SwagePipelineCounters *counters)
{
  *counters = pipeline->counters;
  counters->cache_bytes = swage_cache_get_bytes (pipeline->cache);
}

/* The calibration windows that the view asks for. Borrowed. */
static const SwageWindows *
get_calibration (SwagePipeline *pipeline, View *view, GError **error)
{
  if (pipeline->corpus == NULL)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("This plan has steps that look at activations, and there is no calibration text; give one."));
      return NULL;
    }
  const SwageCalibration *wanted = &view->calibration;
  g_autofree char *key = g_strdup_printf ("%d %d %" PRIu64, wanted->samples, wanted->context, wanted->seed);
  if (g_strcmp0 (key, pipeline->calibration_key) != 0)
    {
      int max_context = swage_model_get_config (pipeline->model)->max_context;
      SwageWindows *windows = swage_windows_new_calibration (
          pipeline->corpus, wanted->samples, wanted->context, max_context, wanted->seed, error);
      if (windows == NULL)
        return NULL;
      swage_windows_free (pipeline->calibration);
      pipeline->calibration = windows;
      g_free (pipeline->calibration_key);
      pipeline->calibration_key = g_steal_pointer (&key);
    }
  return pipeline->calibration;
}

static bool
layer_is_before (const SwageTensor *layer, int k)
{
  return layer->role == SWAGE_ROLE_TOKEN_EMBD || (layer->block >= 0 && layer->block < k);
}

/* The key of the hidden states before block k. NULL when calibration is needed and missing. */
static char *
states_key (SwagePipeline *pipeline, View *view, const SwageWindows *windows, int k, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *head
      = g_strdup_printf ("states 1\n%s\n%s\n%s\n%d\n", swage_model_get_fingerprint (pipeline->model),
                         windows->fingerprint, swage_backend_get_name (pipeline->backend), k);
  g_checksum_update (sum, (const guchar *)head, -1);
  bool calibrated = false;
  for (int i = 0; i < view->n_layers; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (pipeline->model, i);
      if (!layer_is_before (layer, k) || view->recipes[i] == NULL)
        continue;
      g_checksum_update (sum, (const guchar *)layer->name, -1);
      g_checksum_update (sum, (const guchar *)"=", 1);
      g_checksum_update (sum, (const guchar *)view->texts[i], -1);
      g_checksum_update (sum, (const guchar *)"\n", 1);
      calibrated |= swage_recipe_get_needs (view->recipes[i]) != SWAGE_NEED_NONE;
    }
  if (calibrated)
    {
      const SwageWindows *calibration = get_calibration (pipeline, view, error);
      if (calibration == NULL)
        return NULL;
      g_checksum_update (sum, (const guchar *)calibration->fingerprint, -1);
    }
  return g_strdup (g_checksum_get_string (sum));
}

char *
swage_pipeline_states_key (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                           GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  return states_key (pipeline, view, windows, swage_model_get_config (pipeline->model)->n_blocks, error);
}

char *
swage_pipeline_get_calibration_fingerprint (SwagePipeline *pipeline, SwagePlan *plan, GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  const SwageWindows *calibration = get_calibration (pipeline, view, error);
  return calibration != NULL ? g_strdup (calibration->fingerprint) : NULL;
}

static SwagePlanFold
get_fold (SwagePipeline *pipeline, View *view, int index)
{
  SwagePlanFold fold;
  swage_plan_find_fold (view->plan, pipeline->model, swage_model_get_layer (pipeline->model, index), &fold);
  return fold;
}

/* What the layer's recipe itself needs, and, where the layer's rows take up the transform of the layer that
 * reads them, what that one's needs. */
static SwageNeeds
get_all_needs (SwagePipeline *pipeline, View *view, int index)
{
  SwageNeeds needs = swage_recipe_get_needs (view->recipes[index]);
  SwagePlanFold fold = get_fold (pipeline, view, index);
  if (fold.feeds != SWAGE_ROLE_NONE)
    {
      int block = swage_model_get_layer (pipeline->model, index)->block;
      needs |= swage_recipe_get_needs (
          view->recipes[swage_model_find_layer_index (pipeline->model, block, fold.feeds)]);
    }
  return needs;
}

static char *
layer_key (SwagePipeline *pipeline, View *view, int index, const char *stats_key)
{
  g_autofree char *around = swage_recipe_describe_surroundings (
      view->plan, pipeline->model, swage_model_get_layer (pipeline->model, index));
  g_autofree char *text
      = g_strdup_printf ("layer 1\n%s\n%s=%s%s\n%s", swage_model_get_fingerprint (pipeline->model),
                         swage_model_get_layer (pipeline->model, index)->name, view->texts[index], around,
                         stats_key != NULL ? stats_key : "");
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

/* Run the recipe. `stats` of the layer's input, or NULL where no step needs any; `row_scale` as the layer's
 * reader wants it, or NULL. */
static SwageLinear *
run_recipe (SwagePipeline *pipeline, View *view, int index, const SwageActStats *stats,
            const float *row_scale, SwageJob *job, GError **error)
{
  SwageRecipeRun run = { .model = pipeline->model,
                         .plan = view->plan,
                         .layer = swage_model_get_layer (pipeline->model, index),
                         .recipe = view->recipes[index],
                         .stats = stats,
                         .row_scale = row_scale,
                         .seed = view->calibration.seed,
                         .backend = pipeline->backend };
  SwageLinear *linear = swage_recipe_run (&run, job, error);
  if (linear != NULL)
    pipeline->counters.layers_compressed++;
  return linear;
}

/* Statistics that a tap fills: one set for each group of layers that share an input. */
typedef struct
{
  SwageActStats *stats[SWAGE_N_ROLES]; /* borrowed from owned[]; NULL: not wanted */
  GPtrArray *owned;
  bool leader[SWAGE_N_ROLES]; /* this role adds to its group's set */
} Taps;

static void
tap_add (SwageRole role, const float *x, int64_t n, int64_t n_in, gpointer user_data)
{
  Taps *taps = user_data;
  if (taps->leader[role])
    swage_act_stats_add (taps->stats[role], x, n);
}

/* Layers that see the same input. */
static int
input_group (SwageRole role)
{
  switch (role)
    {
    case SWAGE_ROLE_ATTN_Q:
    case SWAGE_ROLE_ATTN_K:
    case SWAGE_ROLE_ATTN_V:
    case SWAGE_ROLE_ATTN_QKV:
      return SWAGE_ROLE_ATTN_Q;
    case SWAGE_ROLE_FFN_GATE:
    case SWAGE_ROLE_FFN_UP:
      return SWAGE_ROLE_FFN_UP;
    default:
      return role;
    }
}

static void
taps_init (Taps *taps)
{
  memset (taps, 0, sizeof *taps);
  taps->owned = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_act_stats_free);
}

static void
taps_want (Taps *taps, SwageRole role, int64_t n_in, SwageNeeds needs, int bins, double sigma)
{
  for (int r = 0; r < SWAGE_N_ROLES; r++)
    if (taps->leader[r] && input_group (r) == input_group (role) && taps->stats[r]->needs == needs)
      {
        taps->stats[role] = taps->stats[r];
        return;
      }
  taps->stats[role] = swage_act_stats_new (n_in, needs, bins, sigma);
  taps->leader[role] = true;
  g_ptr_array_add (taps->owned, taps->stats[role]);
}

static void
taps_finish (Taps *taps)
{
  for (guint i = 0; i < taps->owned->len; i++)
    swage_act_stats_finish (taps->owned->pdata[i]);
}

static void
taps_clear (Taps *taps)
{
  g_ptr_array_unref (taps->owned);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Taps, taps_clear)

static GBytes *get_states (SwagePipeline *pipeline, View *view, const SwageWindows *windows, int k,
                           int *blocks_run, SwageJob *job, GError **error);

static size_t
states_bytes (SwagePipeline *pipeline, const SwageWindows *windows)
{
  return (size_t)windows->n_windows * (size_t)windows->context
         * (size_t)swage_model_get_config (pipeline->model)->n_embd * sizeof (float);
}

/* A private copy of states that a block can be run on in place. */
static bool
copy_states (SwagePipeline *pipeline, GBytes *from, SwageStates *to, GError **error)
{
  if (!swage_states_init (to, pipeline->cache, g_bytes_get_size (from), error))
    return false;
  memcpy (to->data, g_bytes_get_data (from, NULL), g_bytes_get_size (from));
  return true;
}

static bool
name_block (GError **error, int k)
{
  g_prefix_error (error, _ ("Block %d: "), k);
  return false;
}

/* The statistics of `taps` for block k, on states before it. */
static bool
run_taps (SwagePipeline *pipeline, const SwageBlock *block, const SwageWindows *windows, GBytes *states,
          Taps *taps, SwageJob *job, GError **error)
{
  SwageStates h;
  if (!copy_states (pipeline, states, &h, error))
    return false;
  bool good = swage_engine_run_block (pipeline->engine, block, windows->n_windows, windows->context, h.data,
                                      NULL, tap_add, taps, job, error);
  swage_states_clear (&h);
  pipeline->counters.blocks_run++;
  if (good)
    taps_finish (taps);
  return good;
}

/* The input of the output layer: the normalized states after the last block. */
static bool
run_output_tap (SwagePipeline *pipeline, const SwageEnds *ends, GBytes *states, SwageActStats *stats,
                SwageJob *job, GError **error)
{
  const SwageConfig *config = swage_model_get_config (pipeline->model);
  const float *h = g_bytes_get_data (states, NULL);
  int64_t n_embd = config->n_embd, n = (int64_t)(g_bytes_get_size (states) / sizeof (float)) / n_embd;
  const SwageOp *op = swage_op_find (config->norm == SWAGE_NORM_RMS ? "rms_norm" : "layer_norm");
  SwageNormArgs args = { .eps = (float)config->norm_eps };
  g_autofree float *x = g_new (float, NORM_ROWS *n_embd);
  for (int64_t row = 0; row < n; row += NORM_ROWS)
    {
      int64_t rows = MIN (NORM_ROWS, n - row);
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F32, x, n_embd, rows, 1, 1),
                           .src = { swage_view (SWAGE_TYPE_F32, h + row * n_embd, n_embd, rows, 1, 1),
                                    swage_view (SWAGE_TYPE_F32, ends->output_norm_weight, n_embd, 1, 1, 1) },
                           .args = &args };
      if (ends->output_norm_bias != NULL)
        call.src[2] = swage_view (SWAGE_TYPE_F32, ends->output_norm_bias, n_embd, 1, 1, 1);
      swage_pool_run_op (op, &call);
      swage_act_stats_add (stats, x, rows);
      if (!swage_job_step (job, (double)(row + rows), (double)n, error))
        return false;
    }
  swage_act_stats_finish (stats);
  return true;
}

static SwageLinear *get_end_layer (SwagePipeline *pipeline, View *view, int index, SwageJob *job,
                                   GError **error);

/* Layer `index` of block k and its siblings: everything of the block that has a recipe, into the cache; `out`
 * (n_layers pointers) gets references. */
static bool
compress_block (SwagePipeline *pipeline, View *view, int k, SwageLinear **out, SwageJob *job, GError **error)
{
  g_autofree char **keys = g_new0 (char *, view->n_layers);
  g_autoptr (GPtrArray) key_owner = g_ptr_array_new_with_free_func (g_free);
  g_auto (Taps) taps;
  taps_init (&taps);
  g_autofree char *stats_key = NULL;
  bool need_pass = false;
  int n_missing = 0;
  for (int i = 0; i < view->n_layers; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (pipeline->model, i);
      if (layer->block != k || view->recipes[i] == NULL)
        continue;
      SwageNeeds needs = swage_recipe_get_needs (view->recipes[i]);
      SwageNeeds all_needs = get_all_needs (pipeline, view, i);
      if (all_needs != SWAGE_NEED_NONE && stats_key == NULL)
        {
          const SwageWindows *calibration = get_calibration (pipeline, view, error);
          stats_key = calibration != NULL ? states_key (pipeline, view, calibration, k, error) : NULL;
          if (stats_key == NULL)
            {
              g_prefix_error (error, "%s: ", layer->name);
              return false;
            }
        }
      keys[i] = layer_key (pipeline, view, i, all_needs != SWAGE_NEED_NONE ? stats_key : NULL);
      g_ptr_array_add (key_owner, keys[i]);
      out[i] = swage_cache_get_layer (pipeline->cache, keys[i]);
      if (out[i] != NULL)
        {
          pipeline->counters.layers_cached++;
          continue;
        }
      n_missing++;
      if (needs != SWAGE_NEED_NONE)
        {
          taps_want (&taps, layer->role, layer->shape[1], needs, 0, 0);
          need_pass = true;
        }
    }
  if (n_missing == 0)
    return true;

  if (need_pass)
    {
      swage_job_push (job, 0.6, NULL);
      const SwageWindows *calibration = get_calibration (pipeline, view, error);
      g_autoptr (GBytes) states = NULL;
      g_autoptr (SwageBlock) original = NULL;
      swage_job_push (job, 0.8, NULL);
      states = calibration != NULL ? get_states (pipeline, view, calibration, k, NULL, job, error) : NULL;
      swage_job_pop (job);
      g_autofree char *stage = g_strdup_printf (_ ("Block %d: statistics"), k);
      swage_job_begin (job, 1, stage);
      original = states != NULL ? swage_block_load (pipeline->model, k, error) : NULL;
      bool good = original != NULL && run_taps (pipeline, original, calibration, states, &taps, job, error);
      swage_job_pop (job);
      if (!good)
        return false;
    }
  /* Layers whose transform may be folded into the rows of another come before that other. */
  int done = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < view->n_layers; i++)
      {
        const SwageTensor *layer = swage_model_get_layer (pipeline->model, i);
        bool reads = layer->role == SWAGE_ROLE_FFN_DOWN || layer->role == SWAGE_ROLE_ATTN_OUTPUT;
        if (keys[i] == NULL || out[i] != NULL || reads != (pass == 0))
          continue;
        double share = need_pass ? 0.6 + 0.4 * (done + 1) / n_missing : (double)(done + 1) / n_missing;
        SwagePlanFold fold = get_fold (pipeline, view, i);
        int reader = fold.feeds != SWAGE_ROLE_NONE
                         ? swage_model_find_layer_index (pipeline->model, k, fold.feeds)
                         : -1;
        g_autofree float *row_scale
            = reader >= 0 ? swage_recipe_get_row_scale (pipeline->model, layer, out[reader]) : NULL;
        swage_job_push (job, share, layer->name);
        out[i] = run_recipe (pipeline, view, i, taps.stats[layer->role], row_scale, job, error);
        swage_job_pop (job);
        if (out[i] == NULL)
          return false;
        swage_cache_put_layer (pipeline->cache, keys[i], out[i]);
        done++;
      }
  return true;
}

static void
unref_layers (SwageLinear **layers, int n)
{
  for (int i = 0; i < n; i++)
    swage_linear_unref (layers[i]);
  g_free (layers);
}

static SwageBlock *
get_block (SwagePipeline *pipeline, View *view, int k, SwageJob *job, GError **error)
{
  g_autoptr (SwageBlock) block = swage_block_load (pipeline->model, k, error);
  if (block == NULL)
    return NULL;
  SwageLinear **layers = g_new0 (SwageLinear *, view->n_layers);
  bool good = compress_block (pipeline, view, k, layers, job, error);
  for (int i = 0; i < view->n_layers && good; i++)
    if (layers[i] != NULL)
      swage_block_set_linear (block, swage_model_get_layer (pipeline->model, i)->role,
                              swage_linear_ref (layers[i]));
  good = good && swage_recipe_fold_norms (view->plan, pipeline->model, layers, block, error);
  unref_layers (layers, view->n_layers);
  return good ? g_steal_pointer (&block) : NULL;
}

/* Ends with the embedding compressed (what states need), and with the output too when `with_output`. */
static SwageEnds *
get_ends (SwagePipeline *pipeline, View *view, bool with_output, SwageJob *job, GError **error)
{
  g_autoptr (SwageEnds) ends = swage_ends_load (pipeline->model, error);
  if (ends == NULL)
    return NULL;
  bool tied = swage_model_get_config (pipeline->model)->tied_output;
  for (int i = 0; i < view->n_layers; i++)
    {
      SwageRole role = swage_model_get_layer (pipeline->model, i)->role;
      if (view->recipes[i] == NULL
          || (role != SWAGE_ROLE_TOKEN_EMBD && (role != SWAGE_ROLE_OUTPUT || !with_output)))
        continue;
      SwageLinear *linear = get_end_layer (pipeline, view, i, job, error);
      if (linear == NULL)
        return NULL;
      SwageLinear **place = role == SWAGE_ROLE_OUTPUT ? &ends->output : &ends->token_embd;
      swage_linear_unref (*place);
      *place = linear;
      if (role == SWAGE_ROLE_TOKEN_EMBD && tied)
        {
          swage_linear_unref (ends->output);
          ends->output = swage_linear_ref (linear);
        }
    }
  return g_steal_pointer (&ends);
}

/* token_embd or output. The statistics of an output layer's input come from the plan's blocks; those of a
 * tied embedding, which shapes its own input, from the original model. */
static SwageLinear *
get_end_layer (SwagePipeline *pipeline, View *view, int index, SwageJob *job, GError **error)
{
  const SwageTensor *layer = swage_model_get_layer (pipeline->model, index);
  const SwageConfig *config = swage_model_get_config (pipeline->model);
  SwageNeeds needs = swage_recipe_get_needs (view->recipes[index]);
  g_autoptr (View) original = NULL;
  g_autofree char *stats_key = NULL;
  const SwageWindows *calibration = NULL;
  View *source = view;
  if (needs != SWAGE_NEED_NONE)
    {
      if (layer->role == SWAGE_ROLE_TOKEN_EMBD && !config->tied_output)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("%s: its recipe looks at activations, and an embedding table has no input to look "
                          "at; use a step that does not."),
                       layer->name);
          return NULL;
        }
      if (layer->role == SWAGE_ROLE_TOKEN_EMBD)
        {
          source = original = view_new (pipeline, NULL);
          original->calibration = view->calibration;
        }
      calibration = get_calibration (pipeline, view, error);
      stats_key
          = calibration != NULL ? states_key (pipeline, source, calibration, config->n_blocks, error) : NULL;
      if (stats_key == NULL)
        return NULL;
    }
  g_autofree char *key = layer_key (pipeline, view, index, stats_key);
  SwageLinear *linear = swage_cache_get_layer (pipeline->cache, key);
  if (linear != NULL)
    {
      pipeline->counters.layers_cached++;
      return linear;
    }
  g_autoptr (SwageActStats) stats = NULL;
  if (needs != SWAGE_NEED_NONE)
    {
      swage_job_push (job, 0.7, NULL);
      g_autoptr (GBytes) states
          = get_states (pipeline, source, calibration, config->n_blocks, NULL, job, error);
      g_autoptr (SwageEnds) ends = states != NULL ? swage_ends_load (pipeline->model, error) : NULL;
      swage_job_pop (job);
      swage_job_begin (job, 0.75, layer->name);
      stats = swage_act_stats_new (config->n_embd, needs, 0, 0);
      if (ends == NULL || !run_output_tap (pipeline, ends, states, stats, job, error))
        return NULL;
    }
  swage_job_push (job, 1, layer->name);
  linear = run_recipe (pipeline, view, index, stats, NULL, job, error);
  swage_job_pop (job);
  if (linear != NULL)
    swage_cache_put_layer (pipeline->cache, key, linear);
  return linear;
}

/* Embed all windows. */
static GBytes *
embed (SwagePipeline *pipeline, View *view, const SwageWindows *windows, SwageJob *job, GError **error)
{
  g_autoptr (SwageEnds) ends = get_ends (pipeline, view, false, job, error);
  SwageStates h;
  if (ends == NULL || !swage_states_init (&h, pipeline->cache, states_bytes (pipeline, windows), error))
    return NULL;
  if (!swage_engine_embed (pipeline->engine, ends, windows->tokens, windows->n_windows, windows->context, 0,
                           h.data, error))
    {
      swage_states_clear (&h);
      return NULL;
    }
  return swage_states_seal (&h);
}

/* States before block k: from the deepest boundary that is remembered, forward. */
static GBytes *
get_states (SwagePipeline *pipeline, View *view, const SwageWindows *windows, int k, int *blocks_run,
            SwageJob *job, GError **error)
{
  size_t bytes = states_bytes (pipeline, windows);
  g_autoptr (GBytes) states = NULL;
  int from = k;
  for (; from >= 0; from--)
    {
      g_autofree char *key = states_key (pipeline, view, windows, from, error);
      if (key == NULL)
        return NULL;
      states = swage_cache_get_states (pipeline->cache, key, bytes);
      if (states != NULL)
        break;
    }
  pipeline->counters.blocks_cached += MAX (from, 0);
  int total = k - MAX (from, 0) + 1;
  if (states == NULL)
    {
      swage_job_push (job, 1.0 / total, _ ("Embedding the text"));
      states = embed (pipeline, view, windows, job, error);
      swage_job_pop (job);
      if (states == NULL)
        return NULL;
      from = 0;
      g_autofree char *key = states_key (pipeline, view, windows, 0, error);
      swage_cache_put_states (pipeline->cache, key, states);
    }
  int n_blocks = swage_model_get_config (pipeline->model)->n_blocks;
  for (int b = from; b < k; b++)
    {
      g_autofree char *stage = g_strdup_printf (_ ("Block %d of %d"), b + 1, n_blocks);
      swage_job_push (job, (double)(b - from + 2) / total, stage);
      if (b + 1 < n_blocks)
        swage_model_prefetch_block (pipeline->model, b + 1);
      swage_job_push (job, 0.5, stage);
      g_autoptr (SwageBlock) block = get_block (pipeline, view, b, job, error);
      swage_job_pop (job);
      SwageStates h = { 0 };
      bool good = block != NULL && copy_states (pipeline, states, &h, error);
      swage_job_begin (job, 1, stage);
      good = good
             && swage_engine_run_block (pipeline->engine, block, windows->n_windows, windows->context, h.data,
                                        NULL, NULL, NULL, job, error);
      swage_job_pop (job);
      swage_model_release_block (pipeline->model, b);
      if (!good)
        {
          swage_states_clear (&h);
          name_block (error, b);
          return NULL;
        }
      g_bytes_unref (states);
      states = swage_states_seal (&h);
      pipeline->counters.blocks_run++;
      if (blocks_run != NULL)
        (*blocks_run)++;
      g_autofree char *key = states_key (pipeline, view, windows, b + 1, error);
      swage_cache_put_states (pipeline->cache, key, states);
    }
  return g_steal_pointer (&states);
}

SwageBlock *
swage_pipeline_get_block (SwagePipeline *pipeline, SwagePlan *plan, int index, SwageJob *job, GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  return get_block (pipeline, view, index, job, error);
}

SwageEnds *
swage_pipeline_get_ends (SwagePipeline *pipeline, SwagePlan *plan, SwageJob *job, GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  return get_ends (pipeline, view, true, job, error);
}

SwageLinear *
swage_pipeline_get_layer (SwagePipeline *pipeline, SwagePlan *plan, const char *name, SwageJob *job,
                          GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  int index = 0;
  while (index < view->n_layers && strcmp (swage_model_get_layer (pipeline->model, index)->name, name) != 0)
    index++;
  if (index == view->n_layers || view->recipes[index] == NULL)
    return swage_model_load_linear (pipeline->model, name, error);
  const SwageTensor *layer = swage_model_get_layer (pipeline->model, index);
  if (layer->block < 0)
    return get_end_layer (pipeline, view, index, job, error);
  if (get_all_needs (pipeline, view, index) == SWAGE_NEED_NONE
      && get_fold (pipeline, view, index).feeds == SWAGE_ROLE_NONE)
    {
      /* alone: its siblings are not wanted, so that an export holds one layer at a time */
      g_autofree char *key = layer_key (pipeline, view, index, NULL);
      SwageLinear *linear = swage_cache_get_layer (pipeline->cache, key);
      if (linear != NULL)
        pipeline->counters.layers_cached++;
      else
        linear = run_recipe (pipeline, view, index, NULL, NULL, job, error);
      if (linear != NULL)
        swage_cache_put_layer (pipeline->cache, key, linear);
      return linear;
    }
  SwageLinear **layers = g_new0 (SwageLinear *, view->n_layers);
  SwageLinear *linear = NULL;
  if (compress_block (pipeline, view, layer->block, layers, job, error))
    linear = swage_linear_ref (layers[index]);
  unref_layers (layers, view->n_layers);
  return linear;
}

bool
swage_pipeline_fold_floats (SwagePipeline *pipeline, SwagePlan *plan, const SwageTensor *tensor,
                            float *values, SwageJob *job, GError **error)
{
  static const SwageRole readers[] = { SWAGE_ROLE_ATTN_Q, SWAGE_ROLE_ATTN_QKV, SWAGE_ROLE_FFN_UP };
  if (tensor->role != SWAGE_ROLE_ATTN_NORM && tensor->role != SWAGE_ROLE_FFN_NORM)
    return true;
  g_autoptr (View) view = view_new (pipeline, plan);
  for (size_t r = 0; r < G_N_ELEMENTS (readers); r++)
    {
      int index = swage_model_find_layer_index (pipeline->model, tensor->block, readers[r]);
      if (index < 0 || get_fold (pipeline, view, index).into != tensor->role)
        continue;
      g_autoptr (SwageLinear) linear = swage_pipeline_get_layer (
          pipeline, plan, swage_model_get_layer (pipeline->model, index)->name, job, error);
      if (linear == NULL)
        return false;
      swage_recipe_fold_vector (linear, tensor->is_bias, values);
      return true;
    }
  return true;
}

GBytes *
swage_pipeline_run (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows, int *blocks_run,
                    SwageJob *job, GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  int run = 0;
  GBytes *states = get_states (pipeline, view, windows, swage_model_get_config (pipeline->model)->n_blocks,
                               &run, job, error);
  if (blocks_run != NULL)
    *blocks_run = run;
  return states;
}

bool
swage_pipeline_collect (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                        SwageNeeds needs, int bins, double sigma, SwageLayerFilter filter, gpointer user_data,
                        SwageActStats **out, SwageJob *job, GError **error)
{
  g_autoptr (View) view = view_new (pipeline, plan);
  const SwageConfig *config = swage_model_get_config (pipeline->model);
  int last = -1; /* the last block somebody wants; n_blocks is the output */
  for (int i = 0; i < view->n_layers; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (pipeline->model, i);
      out[i] = NULL;
      bool has_input = layer->block >= 0 || layer->role == SWAGE_ROLE_OUTPUT
                       || (layer->role == SWAGE_ROLE_TOKEN_EMBD && config->tied_output);
      if (has_input && (filter == NULL || filter (layer->name, user_data)))
        {
          int64_t n_in = layer->n_dims > 1 ? layer->shape[1] : 1;
          out[i] = swage_act_stats_new (n_in, needs, bins, sigma);
          last = MAX (last, layer->block >= 0 ? layer->block : config->n_blocks);
        }
    }
  bool good = true;
  for (int b = 0; b <= last && b < config->n_blocks && good; b++)
    {
      Taps taps = { 0 };
      bool wanted = false;
      for (int i = 0; i < view->n_layers; i++)
        {
          const SwageTensor *layer = swage_model_get_layer (pipeline->model, i);
          if (layer->block == b && out[i] != NULL)
            {
              taps.stats[layer->role] = out[i];
              taps.leader[layer->role] = wanted = true;
            }
        }
      if (!wanted)
        continue;
      taps.owned = g_ptr_array_new (); /* the stats are the caller's */
      swage_job_push (job, (double)(b + 1) / (last + 1), NULL);
      swage_job_push (job, 0.5, NULL);
      g_autoptr (GBytes) states = get_states (pipeline, view, windows, b, NULL, job, error);
      swage_job_pop (job);
      g_autofree char *stage = g_strdup_printf (_ ("Block %d: statistics"), b);
      swage_job_begin (job, 1, stage);
      g_autoptr (SwageBlock) block = states != NULL ? get_block (pipeline, view, b, NULL, error) : NULL;
      good = block != NULL && run_taps (pipeline, block, windows, states, &taps, job, error);
      for (int r = 0; r < SWAGE_N_ROLES && good; r++)
        if (taps.leader[r])
          swage_act_stats_finish (taps.stats[r]);
      g_ptr_array_unref (taps.owned);
      swage_job_pop (job);
    }
  for (int i = 0; i < view->n_layers && good && last == config->n_blocks; i++)
    if (out[i] != NULL && swage_model_get_layer (pipeline->model, i)->block < 0)
      {
        swage_job_push (job, 1, _ ("Output layer: statistics"));
        g_autoptr (GBytes) states = get_states (pipeline, view, windows, config->n_blocks, NULL, job, error);
        g_autoptr (SwageEnds) ends = states != NULL ? swage_ends_load (pipeline->model, error) : NULL;
        good = ends != NULL && run_output_tap (pipeline, ends, states, out[i], NULL, error);
        swage_job_pop (job);
      }
  if (!good)
    for (int i = 0; i < view->n_layers; i++)
      g_clear_pointer (&out[i], swage_act_stats_free);
  return good;
}
