/* SPDX-License-Identifier: MIT
 *
 * The two lanes of background work. A run carries everything its thread needs (references and copies), so the
 * thread never looks at the session; results travel back with the run and are taken, on the main thread, only
 * when they are still wanted. Progress is coalesced: however often the thread reports, at most one idle is
 * pending.
 */
#include "ui/shell/swage-session-look.h"
#include "ui/shell/swage-session-private.h"
#include "ui/shell/swage-session-text.h"

#include "core/base/swage-error.h"
#include "core/engine/swage-device.h"
#include "core/export/swage-export-plan.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* A histogram of 256 bins is about one bin a pixel or two in the window; 6σ is where LLM.int8() sets
 * outliers. */
#define BINS 256
#define SIGMA 6.0
/* Of a quantizer without groups; more are no ticks but a bar. */
#define MAX_LEVELS 64
/* Activation statistics for the eye: 16 windows of 512 tokens settle a histogram; methods take what the plan
 * says. */
#define SHOWN_SAMPLES 16
#define SHOWN_CONTEXT 512
/* Models up to this size have all their layers measured in the background, larger ones the selected layers
 * alone. */
#define SMALL_MODEL_PARAMETERS 500000000
#define SMALL_MODEL_BYTES (UINT64_C (2) << 30)

typedef enum
{
  RUN_WEIGHT,      /* weight lane: statistics of an original weight */
  RUN_LAYER,       /* pipeline lane from here: what the plan makes of one layer */
  RUN_ACTIVATIONS, /* of the original, all layers */
  RUN_ACT_AFTER,   /* of the plan, one layer */
  RUN_SHOWN,       /* a layer's weights themselves, of original and plan */
  RUN_TEXT,
  RUN_PREVIEW,
  RUN_EXPORT,
} RunKind;

struct _SwageRun
{
  gatomicrefcount refs;
  SwageSession *session;
  RunKind kind;
  bool detached; /* the session has moved on: take nothing */
  GCancellable *cancellable;

  SwageDesk *desk;
  SwagePlan *plan;
  SwageLayerItem *item; /* main thread */
  char *layer, *key, *calibration, *evaluation;
  SwageProtocol protocol;
  int context;
  SwageExportRequest *request;
  uint64_t cache;
  char *device;

  GMutex lock; /* guards what follows, until "results" */
  bool pending;
  double fraction, seconds_left;
  char *stage;
  SwagePreviewResult running;
  bool has_running;

  /* results, written by the thread, read when the task is done */
  SwageWeightStats *weight;
  float *levels; /* of `weight` */
  int n_levels;
  SwageWeight *shown[2];
  SwageTextRun *text; /* guards itself */
  SwageActStats **act;
  int n_act;
  SwageLayerError error;
  SwagePreviewResult result;
  SwageExportResult exported;
  char *device_failure; /* why `device` was given up, or NULL */
};

/* --- the desk
 * ------------------------------------------------------------------------------------------------ */

SwageDesk *
swage_desk_new (SwageModel *model)
{
  SwageDesk *desk = g_new0 (SwageDesk, 1);
  g_atomic_ref_count_init (&desk->refs);
  desk->model = swage_model_ref (model);
  return desk;
}

void
swage_desk_unref (SwageDesk *desk)
{
  if (desk == NULL || !g_atomic_ref_count_dec (&desk->refs))
    return;
  swage_pipeline_free (desk->pipeline);
  swage_corpus_unref (desk->calibration);
  swage_windows_free (desk->evaluation);
  swage_model_unref (desk->model);
  g_free (desk->calibration_path);
  g_free (desk->evaluation_key);
  g_free (desk->device);
  g_free (desk);
}

/* Compute on the run's device. One that cannot be used is no reason not to do the work: the CPU does it, and
 * the run says why. */
static bool
desk_set_device (SwageDesk *desk, SwageRun *run, GError **error)
{
  if (g_strcmp0 (desk->device, run->device) == 0)
    return true;
  g_autoptr (GError) cause = NULL;
  g_autoptr (SwageBackend) backend = swage_device_open (run->device, 0, &cause);
  if (backend == NULL)
    run->device_failure = g_strdup (cause->message);
  g_free (desk->device);
  desk->device = g_strdup (run->device);
  return swage_pipeline_set_backend (desk->pipeline, backend, error);
}

/* The pipeline, with the run's device and calibration text. A text that cannot be read is an error only for
 * work that reads it, which says so itself where the text is not `needed` here. */
static bool
desk_prepare (SwageDesk *desk, SwageRun *run, bool needed, GError **error)
{
  if (desk->pipeline != NULL && desk->cache != run->cache)
    {
      g_clear_pointer (&desk->device, g_free);
      g_clear_pointer (&desk->pipeline, swage_pipeline_free);
      g_clear_pointer (&desk->calibration_path, g_free);
      g_clear_pointer (&desk->calibration, swage_corpus_unref);
    }
  if (desk->pipeline == NULL)
    desk->pipeline = swage_pipeline_new (desk->model, NULL, desk->cache = run->cache, error);
  if (desk->pipeline == NULL || !desk_set_device (desk, run, error))
    return false;
  if (g_strcmp0 (run->calibration, desk->calibration_path) != 0
      || (run->calibration != NULL && desk->calibration == NULL))
    {
      swage_pipeline_set_calibration (desk->pipeline, NULL);
      g_clear_pointer (&desk->calibration, swage_corpus_unref);
      g_free (desk->calibration_path);
      desk->calibration_path = g_strdup (run->calibration);
      if (run->calibration != NULL)
        {
          g_autoptr (GError) cause = NULL;
          SwageTokenizer *tokenizer = swage_model_get_tokenizer (desk->model, &cause);
          if (tokenizer != NULL)
            desk->calibration = swage_corpus_open (tokenizer, run->calibration, &cause);
          if (desk->calibration == NULL && needed)
            {
              g_propagate_error (error, g_steal_pointer (&cause));
              return false;
            }
        }
      swage_pipeline_set_calibration (desk->pipeline, desk->calibration);
    }
  if (needed && desk->calibration == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("There is no calibration text; choose one."));
      return false;
    }
  return true;
}

static const SwageWindows *
desk_get_evaluation (SwageDesk *desk, SwageRun *run, GError **error)
{
  if (run->evaluation == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("There is no text to measure on; choose one."));
      return NULL;
    }
  g_autofree char *key = g_strdup_printf ("%d %d %s", run->protocol, run->context, run->evaluation);
  if (g_strcmp0 (key, desk->evaluation_key) == 0 && desk->evaluation != NULL)
    return desk->evaluation;
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (desk->model, error);
  if (tokenizer == NULL)
    return NULL;
  g_autoptr (SwageCorpus) corpus = swage_corpus_open (tokenizer, run->evaluation, error);
  if (corpus == NULL)
    return NULL;
  SwageWindows *windows = swage_windows_new (corpus, run->protocol, run->context,
                                             swage_model_get_config (desk->model)->max_context, error);
  if (windows == NULL)
    return NULL;
  swage_windows_free (desk->evaluation);
  desk->evaluation = windows;
  g_free (desk->evaluation_key);
  desk->evaluation_key = g_steal_pointer (&key);
  return windows;
}

/* --- runs
 * ---------------------------------------------------------------------------------------------------- */

void
swage_export_request_free (SwageExportRequest *request)
{
  if (request == NULL)
    return;
  g_free (request->path);
  g_free (request);
}

static bool
is_foreground (RunKind kind)
{
  return kind == RUN_PREVIEW || kind == RUN_EXPORT || kind == RUN_TEXT;
}

/* Main thread. */
static SwageRun *
run_new (SwageSession *session, RunKind kind, SwageLayerItem *item)
{
  SwageRun *run = g_new0 (SwageRun, 1);
  g_atomic_ref_count_init (&run->refs);
  g_mutex_init (&run->lock);
  run->session = g_object_ref (session);
  run->kind = kind;
  run->cancellable = g_cancellable_new ();
  g_atomic_ref_count_inc (&session->desk->refs);
  run->desk = session->desk;
  run->seconds_left = -1;
  run->calibration = g_strdup (session->calibration);
  run->cache = session->cache;
  run->device = g_strdup (session->device);
  if (item != NULL)
    {
      run->item = g_object_ref (item);
      run->layer = g_strdup (item->name);
    }
  if (kind != RUN_WEIGHT)
    run->plan = swage_plan_dup (session->plan);
  return run;
}

static SwageRun *
run_ref (SwageRun *run)
{
  g_atomic_ref_count_inc (&run->refs);
  return run;
}

/* What the thread has written. */
static void
run_clear_results (SwageRun *run)
{
  for (int i = 0; run->act != NULL && i < run->n_act; i++)
    swage_act_stats_free (run->act[i]);
  g_clear_pointer (&run->act, g_free);
  g_clear_pointer (&run->weight, swage_weight_stats_free);
  g_clear_pointer (&run->levels, g_free);
  g_clear_pointer (&run->shown[0], swage_weight_unref);
  g_clear_pointer (&run->shown[1], swage_weight_unref);
  swage_preview_result_clear (&run->result);
  swage_export_result_clear (&run->exported);
}

static void
run_unref (SwageRun *run)
{
  if (!g_atomic_ref_count_dec (&run->refs))
    return;
  swage_desk_unref (run->desk);
  g_clear_object (&run->session);
  g_clear_object (&run->plan);
  g_clear_object (&run->item);
  g_clear_object (&run->cancellable);
  swage_export_request_free (run->request);
  run_clear_results (run);
  g_clear_pointer (&run->text, swage_text_run_unref);
  g_free (run->layer);
  g_free (run->key);
  g_free (run->calibration);
  g_free (run->evaluation);
  g_free (run->device);
  g_free (run->device_failure);
  g_free (run->stage);
  g_mutex_clear (&run->lock);
  g_free (run);
}

/* --- progress
 * ------------------------------------------------------------------------------------------------ */

static void
set_activity (SwageSession *session, char *text)
{
  if (g_strcmp0 (session->activity, text) == 0)
    {
      g_free (text);
      return;
    }
  g_free (session->activity);
  session->activity = text;
  swage_session_notify_work (session);
}

static gboolean
report (gpointer data)
{
  SwageRun *run = data;
  SwageSession *session = run->session;
  g_mutex_lock (&run->lock);
  run->pending = false;
  double fraction = run->fraction, left = run->seconds_left;
  g_autofree char *stage = g_strdup (run->stage);
  bool has_running = run->has_running;
  SwagePreviewResult running = run->running;
  g_mutex_unlock (&run->lock);
  if (run->detached || run != session->pipeline_run)
    return G_SOURCE_REMOVE;
  if (is_foreground (run->kind))
    {
      session->progress = CLAMP (fraction, 0, 1);
      session->seconds_left = left;
      g_free (session->stage);
      session->stage = g_steal_pointer (&stage);
      swage_session_notify_work (session);
      if (has_running)
        {
          session->running = running;
          session->has_running = true;
          swage_session_notify_numbers (session);
        }
    }
  else if (run->kind == RUN_ACTIVATIONS || run->kind == RUN_ACT_AFTER)
    set_activity (session, g_strdup_printf (_ ("Collecting activations · %.0f %%"), 100 * fraction));
  else
    set_activity (session, run->kind == RUN_SHOWN ? g_strdup_printf (_ ("Reading %s"), run->layer)
                                                  : g_strdup_printf (_ ("Measuring %s"), run->layer));
  return G_SOURCE_REMOVE;
}

/* Working thread, lock held. */
static void
post_report (SwageRun *run)
{
  if (run->pending)
    return;
  run->pending = true;
  /* below redraws: progress never holds up the picture */
  g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, report, run_ref (run), (GDestroyNotify)run_unref);
}

static void
on_step (double fraction, const char *stage, double seconds_left, gpointer user_data)
{
  SwageRun *run = user_data;
  g_mutex_lock (&run->lock);
  run->fraction = fraction;
  run->seconds_left = seconds_left;
  if (g_strcmp0 (run->stage, stage) != 0)
    {
      g_free (run->stage);
      run->stage = g_strdup (stage);
    }
  post_report (run);
  g_mutex_unlock (&run->lock);
}

static void
on_estimate (const SwagePreviewResult *result, gpointer user_data)
{
  SwageRun *run = user_data;
  g_mutex_lock (&run->lock);
  run->running = *result;
  run->running.device = NULL;
  run->has_running = true;
  post_report (run);
  g_mutex_unlock (&run->lock);
}

/* --- work, on the thread
 * ------------------------------------------------------------------------------------- */

/* A float matrix of what the layer stands for, where its main weight alone does not tell: factors, sparse
 * rest, transform. */
static SwageWeight *
dup_shown_weight (const SwageLinear *linear)
{
  if (linear->weight != NULL && linear->transform == NULL && linear->a == NULL && linear->sparse == NULL)
    return swage_weight_ref (linear->weight);
  float *values = swage_linear_get_effective (linear);
  gsize bytes = (gsize)linear->n_out * (gsize)linear->n_in * sizeof (float);
  return swage_weight_new (SWAGE_TYPE_F32, linear->n_out, linear->n_in, g_bytes_new_take (values, bytes));
}

static bool
work_weight (SwageRun *run, SwageJob *job, GError **error)
{
  const SwageTensor *tensor = swage_model_find_tensor (run->desk->model, run->layer);
  g_autoptr (SwageWeight) weight = swage_model_load_weight (run->desk->model, tensor, error);
  if (weight == NULL)
    return false;
  run->weight = swage_weight_stats_new (weight, BINS, SIGMA, job, error);
  return run->weight != NULL;
}

static bool
work_layer (SwageRun *run, SwageJob *job, GError **error)
{
  SwagePipeline *pipeline = run->desk->pipeline;
  if (!swage_preview_layer_error (pipeline, run->plan, run->layer, job, &run->error, error))
    return false;
  g_autoptr (SwageLinear) linear = swage_pipeline_get_layer (pipeline, run->plan, run->layer, job, error);
  if (linear == NULL)
    return false;
  g_autoptr (SwageWeight) weight = dup_shown_weight (linear);
  run->levels = swage_weight_find_levels (weight, MAX_LEVELS, &run->n_levels);
  run->weight = swage_weight_stats_new (weight, BINS, SIGMA, job, error);
  return run->weight != NULL;
}

static bool
work_shown (SwageRun *run, SwageJob *job, GError **error)
{
  const SwageTensor *tensor = swage_model_find_tensor (run->desk->model, run->layer);
  run->shown[0] = swage_model_load_weight (run->desk->model, tensor, error);
  if (run->shown[0] == NULL)
    return false;
  if (run->key[0] == '\0') /* left as it is */
    return true;
  g_autoptr (SwageLinear) linear
      = swage_pipeline_get_layer (run->desk->pipeline, run->plan, run->layer, job, error);
  if (linear == NULL)
    return false;
  run->shown[1] = dup_shown_weight (linear);
  return true;
}

static bool
is_this_layer (const char *layer, gpointer user_data)
{
  return strcmp (layer, user_data) == 0;
}

static bool
work_activations (SwageRun *run, SwageJob *job, GError **error)
{
  SwageDesk *desk = run->desk;
  g_autoptr (SwageWindows) windows
      = swage_windows_new_calibration (desk->calibration, SHOWN_SAMPLES, SHOWN_CONTEXT,
                                       swage_model_get_config (desk->model)->max_context, 0, error);
  if (windows == NULL)
    return false;
  bool after = run->kind == RUN_ACT_AFTER;
  run->n_act = swage_model_get_n_layers (desk->model);
  run->act = g_new0 (SwageActStats *, run->n_act);
  return swage_pipeline_collect (desk->pipeline, after ? run->plan : NULL, windows,
                                 SWAGE_NEED_SUMMARY | SWAGE_NEED_COL_ABSMAX, BINS, SIGMA,
                                 after ? is_this_layer : NULL, run->layer, run->act, job, error);
}

static bool
work_preview (SwageRun *run, SwageJob *job, GError **error)
{
  const SwageWindows *windows = desk_get_evaluation (run->desk, run, error);
  return windows != NULL
         && swage_preview_run (run->desk->pipeline, run->plan, windows, run->protocol, on_estimate, run, job,
                               &run->result, error);
}

static bool
work_export (SwageRun *run, SwageJob *job, GError **error)
{
  SwageExportPlan source;
  swage_export_plan_init (&source, run->desk->model, run->desk->pipeline, run->plan);
  g_autofree char *provenance = swage_plan_to_text (run->plan);
  SwageExportOptions options = { .overwrite = run->request->overwrite,
                                 .provenance = provenance,
                                 .dense_type = run->request->dense_type };
  return swage_export (run->desk->model, run->request->format, &source.source, run->request->path, &options,
                       job, &run->exported, error);
}

static bool
work (SwageRun *run, SwageJob *job, GError **error)
{
  if (run->kind != RUN_WEIGHT
      && !desk_prepare (run->desk, run, run->kind == RUN_ACTIVATIONS || run->kind == RUN_ACT_AFTER, error))
    return false;
  switch (run->kind)
    {
    case RUN_WEIGHT:
      return work_weight (run, job, error);
    case RUN_LAYER:
      return work_layer (run, job, error);
    case RUN_ACTIVATIONS:
    case RUN_ACT_AFTER:
      return work_activations (run, job, error);
    case RUN_SHOWN:
      return work_shown (run, job, error);
    case RUN_TEXT:
      return swage_text_run_work (run->text, run->desk->pipeline, run->plan, job, error);
    case RUN_PREVIEW:
      return work_preview (run, job, error);
    case RUN_EXPORT:
      return work_export (run, job, error);
    }
  g_return_val_if_reached (false);
}

static void
work_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  SwageRun *run = data;
  GError *error = NULL;
  g_autoptr (SwageJob) job = swage_job_new (run->cancellable, on_step, run);
  bool ok = work (run, job, &error);
  if (!ok && run->device != NULL && g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE)
      && run->desk->pipeline != NULL && swage_pipeline_set_backend (run->desk->pipeline, NULL, NULL))
    {
      /* once more, on the CPU; the preview does that by itself */
      g_free (run->device_failure);
      run->device_failure = g_strdup (error->message);
      g_clear_error (&error);
      run_clear_results (run);
      ok = work (run, job, &error);
    }
  if (ok && run->result.device_failure != NULL && run->device_failure == NULL)
    run->device_failure = g_strdup (run->result.device_failure);
  /* one that has failed is looked at again when it is chosen again, or was given up in a preview that was
   * cancelled before it could say so */
  if (run->kind != RUN_WEIGHT && run->device != NULL && run->desk->pipeline != NULL
      && swage_backend_is_host (swage_pipeline_get_backend (run->desk->pipeline)))
    g_clear_pointer (&run->desk->device, g_free);
  if (ok)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

/* --- results, on the main thread
 * ----------------------------------------------------------------------------- */

static void
emit_statistics (SwageSession *session, SwageLayerItem *item)
{
  g_signal_emit (session, swage_session_signals[SESSION_STATISTICS_CHANGED], 0, item);
}

static void
take_activations (SwageSession *session, SwageRun *run)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (session->layers));
  for (guint i = 0; i < n && (int)i < run->n_act; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (session->layers), i);
      if (run->act[i] == NULL)
        continue;
      swage_layer_item_take_act_before (item, g_steal_pointer (&run->act[i]));
      emit_statistics (session, item);
    }
}

static void
take_preview (SwageSession *session, SwageRun *run, bool ok)
{
  session->has_running = false;
  if (ok)
    {
      if (session->has_result)
        swage_preview_result_clear (&session->result);
      session->result = run->result;
      memset (&run->result, 0, sizeof run->result);
      session->has_result = true;
      g_free (session->result_key);
      session->result_key = g_steal_pointer (&run->key);
    }
  swage_session_notify_numbers (session);
  g_signal_emit (session, swage_session_signals[SESSION_PREVIEWED], 0, ok);
}

static void
take_results (SwageSession *session, SwageRun *run, const GError *error)
{
  bool cancelled = g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED)
                   || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  switch (run->kind)
    {
    case RUN_WEIGHT:
      if (error == NULL)
        swage_layer_item_take_weight_before (run->item, g_steal_pointer (&run->weight));
      else if (!cancelled)
        {
          run->item->weight_failed = true;
          g_signal_emit (session, swage_session_signals[SESSION_MESSAGE], 0, error->message, TRUE);
        }
      emit_statistics (session, run->item);
      break;
    case RUN_LAYER:
      if (cancelled)
        break;
      swage_layer_item_take_after (run->item, run->key, g_steal_pointer (&run->weight),
                                   error == NULL ? &run->error : NULL, error != NULL ? error->message : NULL);
      run->item->levels = g_steal_pointer (&run->levels);
      run->item->n_levels = run->n_levels;
      emit_statistics (session, run->item);
      break;
    case RUN_ACTIVATIONS:
      if (error == NULL)
        take_activations (session, run);
      else if (!cancelled)
        {
          g_free (session->activation_problem);
          session->activation_problem = g_strdup (error->message);
          emit_statistics (session, run->item);
        }
      break;
    case RUN_ACT_AFTER:
      if (cancelled)
        break;
      swage_layer_item_take_act_after (run->item, run->key,
                                       error == NULL ? g_steal_pointer (&run->act[run->item->index]) : NULL);
      emit_statistics (session, run->item);
      break;
    case RUN_SHOWN:
      if (!cancelled)
        swage_session_take_weights (session, run->item, run->key, run->shown,
                                    error != NULL ? error->message : NULL);
      break;
    case RUN_TEXT:
      break;
    case RUN_PREVIEW:
      take_preview (session, run, error == NULL);
      break;
    case RUN_EXPORT:
      if (error == NULL)
        g_signal_emit (session, swage_session_signals[SESSION_EXPORTED], 0, run->exported.path);
      break;
    }
  if (is_foreground (run->kind) && error != NULL)
    {
      const char *text = !cancelled                ? error->message
                         : run->kind == RUN_TEXT   ? NULL /* what is there is shown */
                         : run->kind == RUN_EXPORT ? _ ("Export cancelled. Nothing was written.")
                                                   : _ ("Preview cancelled.");
      if (text != NULL && !swage_session_is_live_restart (session))
        g_signal_emit (session, swage_session_signals[SESSION_MESSAGE], 0, text, !cancelled);
    }
}

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  SwageRun *run = user_data;
  SwageSession *session = run->session;
  g_autoptr (GError) error = NULL;
  g_task_propagate_boolean (G_TASK (result), &error);
  if (!run->detached)
    {
      if (run == session->weight_run)
        session->weight_run = NULL;
      else
        {
          session->pipeline_run = NULL;
          g_clear_pointer (&session->activity, g_free);
        }
      if (is_foreground (run->kind))
        {
          session->busy = session->cancelling = false;
          session->progress = 0;
          g_clear_pointer (&session->stage, g_free);
        }
      if (run->device_failure != NULL)
        swage_session_give_up_device (session, run->device, run->device_failure);
      take_results (session, run, error);
      if (run->kind != RUN_WEIGHT)
        swage_session_notify_work (session);
      swage_session_reschedule (session, 0);
    }
  run_unref (run);
}

static void
start (SwageRun **lane, SwageRun *run)
{
  *lane = run;
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_done, run);
  g_task_set_source_tag (task, start);
  g_task_set_task_data (task, run_ref (run), (GDestroyNotify)run_unref);
  g_task_run_in_thread (task, work_in_thread);
}

/* --- what is to be done
 * -------------------------------------------------------------------------------------- */

static bool
needs_after (SwageSession *session, SwageLayerItem *item)
{
  return item->changed && item->problem == NULL && !swage_session_is_current (session, item);
}

static bool
plan_does_something (SwageSession *session)
{
  for (int i = 0; i < swage_plan_get_n_rules (session->plan); i++)
    {
      SwageRecipe *recipe;
      swage_plan_get_rule (session->plan, i, &recipe);
      g_autofree char *text = swage_recipe_to_text (recipe);
      if (text[0] != '\0')
        return true;
    }
  return false;
}

static bool
is_selected (SwageSession *session, SwageLayerItem *item)
{
  return g_ptr_array_find (session->selection, item, NULL);
}

/* Whether what runs on the pipeline lane should go on. */
static bool
is_wanted (SwageSession *session, SwageRun *run)
{
  if (is_foreground (run->kind))
    return true;
  if (session->wants_preview || session->wants_export != NULL || session->wants_text
      || g_strcmp0 (run->calibration, session->calibration) != 0)
    return false;
  SwageLayerItem *focus = swage_session_get_focus (session);
  if (run->kind == RUN_LAYER)
    {
      g_autofree char *key = swage_session_layer_key (session, run->item);
      /* a layer of the list gives way to the selected one */
      return g_strcmp0 (key, run->key) == 0
             && (is_selected (session, run->item) || focus == NULL || !needs_after (session, focus));
    }
  if (run->kind == RUN_ACTIVATIONS)
    return session->want_activations;
  if (run->kind == RUN_SHOWN)
    return swage_session_wants_weights (session) && run->item == focus;
  g_autofree char *key = swage_session_act_key (session);
  return session->want_activations && run->item == focus && g_strcmp0 (key, run->key) == 0;
}

static SwageLayerItem *
find_layer_to_do (SwageSession *session)
{
  for (guint i = 0; i < session->selection->len; i++)
    if (needs_after (session, session->selection->pdata[i]))
      return session->selection->pdata[i];
  return NULL;
}

/* The first layer of the list that lacks something; borrowed from the list. */
static SwageLayerItem *
find_in_list (SwageSession *session, bool weights)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (session->layers));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (session->layers), i);
      if (weights ? item->weight_before == NULL && !item->weight_failed : needs_after (session, item))
        return item;
    }
  return NULL;
}

static SwageRun *
next_layer_run (SwageSession *session, SwageLayerItem *item)
{
  SwageRun *run = run_new (session, RUN_LAYER, item);
  run->key = swage_session_layer_key (session, item);
  return run;
}

static SwageRun *
next_pipeline_run (SwageSession *session)
{
  SwageLayerItem *focus = swage_session_get_focus (session), *item;
  if (session->wants_export != NULL)
    {
      SwageRun *run = run_new (session, RUN_EXPORT, NULL);
      run->request = g_steal_pointer (&session->wants_export);
      return run;
    }
  if (session->wants_preview)
    {
      session->wants_preview = false;
      SwageRun *run = run_new (session, RUN_PREVIEW, NULL);
      run->key = swage_session_result_key (session);
      run->evaluation = g_strdup (session->evaluation);
      run->protocol = session->protocol;
      run->context = session->context;
      return run;
    }
  if (session->wants_text)
    {
      session->wants_text = false;
      SwageRun *run = run_new (session, RUN_TEXT, NULL);
      run->text = swage_text_run_ref (session->text);
      return run;
    }
  if (focus != NULL && needs_after (session, focus))
    return next_layer_run (session, focus);
  if (focus != NULL && swage_session_wants_weights (session))
    {
      SwageRun *run = run_new (session, RUN_SHOWN, focus);
      run->key = swage_session_layer_key (session, focus);
      return run;
    }
  if (session->want_activations && focus != NULL && swage_layer_item_has_activations (focus)
      && session->activation_problem == NULL)
    {
      if (focus->act_before == NULL)
        return run_new (session, RUN_ACTIVATIONS, focus);
      if (plan_does_something (session) && session->has_size
          && !swage_session_is_act_current (session, focus))
        {
          SwageRun *run = run_new (session, RUN_ACT_AFTER, focus);
          run->key = swage_session_act_key (session);
          return run;
        }
    }
  item = find_layer_to_do (session);
  if (item == NULL && swage_model_get_parameters (session->model) <= SMALL_MODEL_PARAMETERS)
    item = find_in_list (session, false);
  return item != NULL ? next_layer_run (session, item) : NULL;
}

static gboolean
schedule (gpointer data)
{
  SwageSession *session = data;
  session->schedule_id = 0;
  if (session->model == NULL)
    return G_SOURCE_REMOVE;

  if (session->weight_run == NULL)
    {
      SwageLayerItem *item = swage_session_get_focus (session);
      if (item == NULL || item->weight_before != NULL || item->weight_failed)
        item = swage_model_get_bytes (session->model) <= SMALL_MODEL_BYTES ? find_in_list (session, true)
                                                                           : NULL;
      if (item != NULL)
        start (&session->weight_run, run_new (session, RUN_WEIGHT, item));
    }
  else
    {
      SwageLayerItem *focus = swage_session_get_focus (session);
      if (focus != NULL && focus->weight_before == NULL && !focus->weight_failed
          && session->weight_run->item != focus)
        g_cancellable_cancel (session->weight_run->cancellable);
    }

  if (session->pipeline_run != NULL)
    {
      if (!is_wanted (session, session->pipeline_run))
        g_cancellable_cancel (session->pipeline_run->cancellable);
      return G_SOURCE_REMOVE;
    }
  SwageRun *run = next_pipeline_run (session);
  if (run != NULL)
    start (&session->pipeline_run, run);
  return G_SOURCE_REMOVE;
}

void
swage_session_reschedule (SwageSession *session, guint delay_ms)
{
  g_clear_handle_id (&session->schedule_id, g_source_remove);
  session->schedule_id
      = delay_ms > 0 ? g_timeout_add (delay_ms, schedule, session) : g_idle_add (schedule, session);
}

static void
detach (SwageRun **lane)
{
  if (*lane == NULL)
    return;
  g_cancellable_cancel ((*lane)->cancellable);
  (*lane)->detached = true;
  *lane = NULL;
}

void
swage_session_stop_work (SwageSession *session)
{
  g_clear_handle_id (&session->schedule_id, g_source_remove);
  detach (&session->pipeline_run);
  detach (&session->weight_run);
  session->wants_preview = session->wants_text = false;
  g_clear_pointer (&session->wants_export, swage_export_request_free);
  g_clear_pointer (&session->activity, g_free);
  g_clear_pointer (&session->stage, g_free);
  session->busy = session->cancelling = session->has_running = false;
  session->progress = 0;
}

void
swage_session_begin_foreground (SwageSession *session)
{
  session->busy = true;
  session->progress = 0;
  session->seconds_left = -1;
  g_clear_pointer (&session->stage, g_free);
  swage_session_notify_work (session);
  swage_session_reschedule (session, 0);
}

void
swage_session_preview (SwageSession *session)
{
  if (session->busy || session->model == NULL)
    return;
  session->wants_preview = true;
  swage_session_begin_foreground (session);
}

void
swage_session_export (SwageSession *session, SwageExportFormat format, const char *path, SwageType dense_type,
                      bool overwrite)
{
  if (session->busy || session->model == NULL)
    return;
  session->wants_export = g_new0 (SwageExportRequest, 1);
  *session->wants_export = (SwageExportRequest){ format, g_strdup (path), dense_type, overwrite };
  swage_session_begin_foreground (session);
}

void
swage_session_cancel (SwageSession *session)
{
  if (!session->busy)
    return;
  if (session->pipeline_run != NULL && is_foreground (session->pipeline_run->kind))
    {
      session->cancelling = true;
      g_cancellable_cancel (session->pipeline_run->cancellable);
    }
  else
    {
      /* not begun yet */
      bool preview = session->wants_preview, text = session->wants_text;
      session->wants_preview = session->wants_text = false;
      g_clear_pointer (&session->wants_export, swage_export_request_free);
      session->busy = false;
      if (!text && !swage_session_is_live_restart (session))
        g_signal_emit (session, swage_session_signals[SESSION_MESSAGE], 0,
                       preview ? _ ("Preview cancelled.") : _ ("Export cancelled. Nothing was written."),
                       FALSE);
      if (preview)
        g_signal_emit (session, swage_session_signals[SESSION_PREVIEWED], 0, FALSE);
      swage_session_reschedule (session, 0);
    }
  swage_session_notify_work (session);
}
