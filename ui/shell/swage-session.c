/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-session-private.h"
#include "ui/shell/swage-session-text.h"

#include "core/export/swage-export-plan.h"
#include "ui/shell/swage-devices.h"
#include "ui/shell/swage-recovery.h"

#include <glib/gi18n-lib.h>
#include <string.h>

enum
{
  PROP_0,
  PROP_MODEL_TITLE,
  PROP_MODEL_SUBTITLE,
  PROP_SIZE_TEXT,
  PROP_BITS_TEXT,
  PROP_PERPLEXITY_TEXT,
  PROP_KLD_TEXT,
  PROP_AGREEMENT_TEXT,
  PROP_DEVICE,
  PROP_DEVICE_TEXT,
  PROP_STALE,
  PROP_BUSY,
  PROP_PROGRESS,
  PROP_STAGE,
  PROP_ACTIVITY,
  PROP_MODIFIED,
  N_PROPS
};
static GParamSpec *props[N_PROPS];
guint swage_session_signals[SESSION_N_SIGNALS];

G_DEFINE_FINAL_TYPE (SwageSession, swage_session, G_TYPE_OBJECT)

/* --- texts for people
 * --------------------------------------------------------------------------------------- */

static char *
format_parameters (int64_t n)
{
  if (n >= 1000000000)
    return g_strdup_printf (_ ("%.2f B parameters"), (double)n / 1e9);
  if (n >= 1000000)
    return g_strdup_printf (_ ("%.1f M parameters"), (double)n / 1e6);
  return g_strdup_printf (_ ("%.0f k parameters"), (double)n / 1e3);
}

static char *
get_model_subtitle (SwageSession *session)
{
  if (session->model == NULL)
    return NULL;
  const SwageConfig *config = swage_model_get_config (session->model);
  g_autofree char *parameters = format_parameters (swage_model_get_parameters (session->model));
  return g_strdup_printf ("%s · %s · %s", config->architecture, parameters,
                          swage_model_get_format (session->model));
}

static char *
get_size_text (SwageSession *session)
{
  if (session->model == NULL)
    return NULL;
  if (!session->has_size)
    return g_strdup (_ ("The plan does not fit"));
  g_autofree char *size = g_format_size_full (session->size.bytes, G_FORMAT_SIZE_IEC_UNITS);
  double change = session->size.original_bytes > 0
                      ? 100 * ((double)session->size.bytes / (double)session->size.original_bytes - 1)
                      : 0;
  if (session->size.bytes == session->size.original_bytes)
    return g_steal_pointer (&size);
  const char *bound = session->size.exact ? "" : "≤ ";
  return g_strdup_printf ("%s%s (%s%.0f %%)", bound, size, change < 0 ? "−" : "+", ABS (change));
}

static char *
get_bits_text (SwageSession *session)
{
  if (session->model == NULL || !session->has_size)
    return NULL;
  return g_strdup_printf (_ ("%.2f bpw"), session->size.bits_per_weight);
}

/* The estimate while it runs, else the last result. */
static const SwagePreviewResult *
get_shown (SwageSession *session)
{
  return session->has_running ? &session->running : session->has_result ? &session->result : NULL;
}

static char *
get_perplexity_text (SwageSession *session)
{
  const SwagePreviewResult *shown = get_shown (session);
  if (shown == NULL)
    return g_strdup ("–");
  if (shown->perplexity == shown->baseline_perplexity)
    return g_strdup_printf ("%.3f ± %.2f", shown->perplexity, shown->perplexity_stderr);
  return g_strdup_printf ("%.2f → %.2f ± %.2f", shown->baseline_perplexity, shown->perplexity,
                          shown->perplexity_stderr);
}

static char *
get_kld_text (SwageSession *session)
{
  const SwagePreviewResult *shown = get_shown (session);
  if (shown == NULL)
    return g_strdup ("–");
  if (shown->kld_mean > 0 && shown->kld_mean < 0.001)
    return g_strdup_printf ("%.2e", shown->kld_mean);
  /* while it narrows */
  if (session->has_running && shown->kld_stderr > 0)
    return g_strdup_printf ("%.4f ± %.4f", shown->kld_mean, shown->kld_stderr);
  return g_strdup_printf ("%.4f", shown->kld_mean);
}

static char *
get_agreement_text (SwageSession *session)
{
  const SwagePreviewResult *shown = get_shown (session);
  return shown == NULL ? g_strdup ("–") : g_strdup_printf ("%.1f %%", 100 * shown->top1_agreement);
}

static bool
is_stale (SwageSession *session)
{
  if (!session->has_result || session->has_running)
    return false;
  g_autofree char *key = swage_session_result_key (session);
  return g_strcmp0 (key, session->result_key) != 0;
}

static char *
get_stage_text (SwageSession *session)
{
  if (session->cancelling)
    return g_strdup (_ ("Cancelling…"));
  if (!session->busy)
    return NULL;
  if (session->stage == NULL || session->stage[0] == '\0')
    return g_strdup (_ ("Preparing…"));
  if (session->seconds_left < 1)
    return g_strdup (session->stage);
  int left = (int)(session->seconds_left + 0.5);
  if (left >= 3600)
    return g_strdup_printf ("%s · %d:%02d:%02d", session->stage, left / 3600, left / 60 % 60, left % 60);
  return g_strdup_printf ("%s · %d:%02d", session->stage, left / 60, left % 60);
}

/* --- sizes and keys
 * ----------------------------------------------------------------------------------------- */

char *
swage_session_layer_key (SwageSession *session, SwageLayerItem *item)
{
  SwageRecipe *recipe = swage_plan_get_recipe (session->plan, item->name);
  if (recipe == NULL)
    return g_strdup ("");
  char *text = swage_recipe_to_text (recipe);
  if (text[0] == '\0' || swage_recipe_get_needs (recipe) == SWAGE_NEED_NONE)
    return text;
  g_autofree char *own = text;
  return g_strdup_printf ("%s\n%s\n%s", own, session->calibration != NULL ? session->calibration : "",
                          session->plan_text);
}

char *
swage_session_act_key (SwageSession *session)
{
  return g_strdup_printf ("%s\n%s", session->calibration != NULL ? session->calibration : "",
                          session->plan_text);
}

char *
swage_session_result_key (SwageSession *session)
{
  return g_strdup_printf ("%s\n%s\n%s\n%d\n%s", session->calibration != NULL ? session->calibration : "",
                          session->evaluation != NULL ? session->evaluation : "",
                          swage_protocol_get_id (session->protocol), session->context, session->plan_text);
}

bool
swage_session_is_current (SwageSession *session, SwageLayerItem *item)
{
  g_autofree char *key = swage_session_layer_key (session, item);
  return g_strcmp0 (key, item->after_key != NULL ? item->after_key : "") == 0;
}

bool
swage_session_is_act_current (SwageSession *session, SwageLayerItem *item)
{
  g_autofree char *key = swage_session_act_key (session);
  return g_strcmp0 (key, item->act_after_key) == 0;
}

static void
update_layer (SwageSession *session, SwageLayerItem *item)
{
  SwageLinearSpec spec;
  g_autoptr (GError) error = NULL;
  bool fits = swage_plan_get_layer_spec (session->plan, session->model, item->tensor, &spec, &error);
  g_autofree char *key = swage_session_layer_key (session, item);
  item->changed = key[0] != '\0';
  swage_layer_item_set_spec (item, fits ? &spec : NULL, fits ? NULL : error->message);
  if (g_strcmp0 (key, item->after_key != NULL ? item->after_key : "") != 0)
    {
      /* an untouched layer has no error; another recipe's error is not this one's */
      if (key[0] == '\0')
        swage_layer_item_take_after (item, "", NULL, NULL, NULL);
      else if (item->has_error)
        swage_layer_item_take_after (item, NULL, NULL, NULL, NULL);
    }
}

static void
update_plan (SwageSession *session)
{
  g_free (session->plan_text);
  session->plan_text = swage_plan_to_text (session->plan);
  g_clear_pointer (&session->size_problem, g_free);
  session->has_size = false;
  if (session->model != NULL)
    {
      g_autoptr (GError) error = NULL;
      session->has_size = swage_plan_get_size (session->plan, session->model, &session->size, &error);
      if (!session->has_size)
        session->size_problem = g_strdup (error->message);
      guint n = g_list_model_get_n_items (G_LIST_MODEL (session->layers));
      for (guint i = 0; i < n; i++)
        {
          g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (session->layers), i);
          update_layer (session, item);
        }
    }
  g_object_freeze_notify (G_OBJECT (session));
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_SIZE_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_BITS_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_STALE]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_MODIFIED]);
  g_object_thaw_notify (G_OBJECT (session));
  g_signal_emit (session, swage_session_signals[SESSION_PLAN_CHANGED], 0);
  /* a slider gives many changes in a row: work begins when it rests */
  swage_session_reschedule (session, 80);
}

static void
set_plan (SwageSession *session, SwagePlan *plan, const char *path)
{
  if (session->plan != NULL)
    g_signal_handlers_disconnect_by_data (session->plan, session);
  g_set_object (&session->plan, plan);
  g_signal_connect_swapped (plan, "changed", G_CALLBACK (update_plan), session);
  char *copy = g_strdup (path);
  g_free (session->plan_path);
  session->plan_path = copy;
  g_free (session->saved_text);
  session->saved_text = swage_plan_to_text (plan);
}

/* A plan records its calibration. Set before there is a history, so that it is no step of undo. */
static SwagePlan *
new_plan (SwageSession *session)
{
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  if (session->calibration != NULL)
    {
      SwageCalibration calibration = *swage_plan_get_calibration (plan);
      g_autofree char *name = g_path_get_basename (session->calibration);
      calibration.text = name;
      swage_plan_set_calibration (plan, &calibration);
    }
  /* a preset that cannot be used here is no reason not to open the model */
  if (session->model != NULL && session->preset != NULL && session->preset[0] != '\0')
    swage_plan_apply_preset (plan, session->preset, session->model, NULL);
  SwagePlan *fresh = swage_plan_dup (plan);
  if (session->model != NULL)
    swage_plan_adopt_model (fresh, session->model);
  return fresh;
}

/* --- opening
 * ------------------------------------------------------------------------------------------------- */

static void
set_model (SwageSession *session, SwageModel *model)
{
  swage_session_stop_work (session);
  swage_session_clear_weights (session);
  g_clear_pointer (&session->text, swage_text_run_unref);
  g_clear_pointer (&session->desk, swage_desk_unref);
  g_ptr_array_set_size (session->selection, 0);
  g_list_store_remove_all (session->layers);
  g_clear_pointer (&session->model, swage_model_unref);
  session->model = swage_model_ref (model);
  session->desk = swage_desk_new (model);
  g_clear_pointer (&session->activation_problem, g_free);
  if (session->has_result)
    swage_preview_result_clear (&session->result);
  session->has_result = session->has_running = false;

  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);
  int n = swage_model_get_n_layers (model);
  for (int i = 0; i < n; i++)
    g_ptr_array_add (items, swage_layer_item_new (model, i));
  g_list_store_splice (session->layers, 0, 0, items->pdata, items->len);

  g_autoptr (SwagePlan) plan = new_plan (session);
  set_plan (session, plan, NULL);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_MODEL_TITLE]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_MODEL_SUBTITLE]);
  swage_session_notify_numbers (session);
  update_plan (session);
  g_signal_emit (session, swage_session_signals[SESSION_MODEL_CHANGED], 0);
  g_signal_emit (session, swage_session_signals[SESSION_SELECTION_CHANGED], 0);
}

static void
open_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  SwageModel *model = swage_model_open (data, &error);
  if (model == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  /* reads a sample of the tensors: here, so that the main thread need not */
  swage_model_get_fingerprint (model);
  g_task_return_pointer (task, model, (GDestroyNotify)swage_model_unref);
}

void
swage_session_open_async (SwageSession *session, const char *path, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (session, cancellable, callback, user_data);
  g_task_set_source_tag (task, swage_session_open_async);
  g_task_set_task_data (task, g_strdup (path), g_free);
  g_task_run_in_thread (task, open_in_thread);
}

bool
swage_session_open_finish (SwageSession *session, GAsyncResult *result, GError **error)
{
  g_autoptr (SwageModel) model = g_task_propagate_pointer (G_TASK (result), error);
  if (model == NULL)
    return false;
  set_model (session, model);
  return true;
}

SwageModel *
swage_session_get_model (SwageSession *session)
{
  return session->model;
}

SwagePlan *
swage_session_get_plan (SwageSession *session)
{
  return session->plan;
}

GListModel *
swage_session_get_layers (SwageSession *session)
{
  return G_LIST_MODEL (session->layers);
}

SwageLayerItem *
swage_session_find_layer (SwageSession *session, const char *name)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (session->layers));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (session->layers), i);
      if (strcmp (item->name, name) == 0)
        return item;
    }
  return NULL;
}

bool
swage_session_get_size (SwageSession *session, SwagePlanSize *size, const char **problem)
{
  if (problem != NULL)
    *problem = session->size_problem;
  if (session->has_size)
    *size = session->size;
  return session->has_size;
}

/* --- plan files
 * ---------------------------------------------------------------------------------------------- */

bool
swage_session_load_plan (SwageSession *session, const char *path, char **warning, GError **error)
{
  *warning = NULL;
  g_autoptr (SwagePlan) plan = swage_plan_load (path, error);
  if (plan == NULL)
    return false;
  if (session->model != NULL)
    {
      swage_plan_set_model (plan, session->model, warning);
      swage_plan_adopt_model (plan, session->model);
    }
  set_plan (session, plan, path);
  update_plan (session);
  return true;
}

bool
swage_session_restore (SwageSession *session, const SwageLost *lost, GError **error)
{
  g_autoptr (SwagePlan) plan
      = swage_plan_parse (lost->plan_text, strlen (lost->plan_text), _ ("lost session"), error);
  if (plan == NULL)
    return false;
  swage_plan_adopt_model (plan, session->model);
  set_plan (session, plan, lost->plan_path);
  if (lost->modified)
    {
      /* what has been saved is in the file, if anything is */
      g_autoptr (SwagePlan) saved = lost->plan_path != NULL ? swage_plan_load (lost->plan_path, NULL) : NULL;
      g_free (session->saved_text);
      session->saved_text = saved != NULL ? swage_plan_to_text (saved) : NULL;
    }
  update_plan (session);
  return true;
}

bool
swage_session_save_plan (SwageSession *session, const char *path, GError **error)
{
  if (!swage_plan_save (session->plan, path, true, error))
    return false;
  char *copy = g_strdup (path);
  g_free (session->plan_path);
  session->plan_path = copy;
  g_free (session->saved_text);
  session->saved_text = g_strdup (session->plan_text);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_MODIFIED]);
  return true;
}

const char *
swage_session_get_plan_path (SwageSession *session)
{
  return session->plan_path;
}

bool
swage_session_is_modified (SwageSession *session)
{
  return session->model != NULL && g_strcmp0 (session->plan_text, session->saved_text) != 0;
}

/* --- texts
 * --------------------------------------------------------------------------------------------------- */

void
swage_session_set_calibration (SwageSession *session, const char *path)
{
  if (g_strcmp0 (session->calibration, path) == 0)
    return;
  char *copy = g_strdup (path);
  g_free (session->calibration);
  session->calibration = copy;
  g_clear_pointer (&session->activation_problem, g_free);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (session->layers));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) item = g_list_model_get_item (G_LIST_MODEL (session->layers), i);
      swage_layer_item_clear_activations (item);
    }
  if (session->model == NULL)
    return;
  SwageCalibration calibration = *swage_plan_get_calibration (session->plan);
  g_autofree char *name = path != NULL ? g_path_get_basename (path) : g_strdup ("");
  calibration.text = name;
  calibration.fingerprint = (char *)"";
  swage_plan_set_calibration (session->plan, &calibration);
  update_plan (session);
}

const char *
swage_session_get_calibration (SwageSession *session)
{
  return session->calibration;
}

void
swage_session_set_evaluation (SwageSession *session, const char *path)
{
  char *copy = g_strdup (path);
  g_free (session->evaluation);
  session->evaluation = copy;
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_STALE]);
}

const char *
swage_session_get_evaluation (SwageSession *session)
{
  return session->evaluation;
}

void
swage_session_set_protocol (SwageSession *session, SwageProtocol protocol, int context)
{
  session->protocol = protocol;
  session->context = context;
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_STALE]);
}

void
swage_session_get_protocol (SwageSession *session, SwageProtocol *protocol, int *context)
{
  *protocol = session->protocol;
  *context = session->context;
}

void
swage_session_set_preset (SwageSession *session, const char *id)
{
  char *copy = g_strdup (id);
  g_free (session->preset);
  session->preset = copy;
}

void
swage_session_set_cache (SwageSession *session, uint64_t bytes)
{
  session->cache = bytes;
}

static void
notify_device (SwageSession *session)
{
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_DEVICE]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_DEVICE_TEXT]);
}

void
swage_session_set_device (SwageSession *session, const char *device)
{
  if (g_strcmp0 (device, "cpu") == 0)
    device = NULL;
  if (g_strcmp0 (session->device, device) == 0)
    return;
  char *copy = g_strdup (device);
  g_free (session->device);
  session->device = copy;
  if (device != NULL)
    swage_devices_load (); /* its name */
  notify_device (session);
}

const char *
swage_session_get_device (SwageSession *session)
{
  return session->device != NULL ? session->device : "cpu";
}

void
swage_session_give_up_device (SwageSession *session, const char *device, const char *reason)
{
  if (g_strcmp0 (session->device, device) == 0)
    swage_session_set_device (session, NULL);
  g_signal_emit (session, swage_session_signals[SESSION_DEVICE_FAILED], 0, reason);
}

/* --- selection
 * ----------------------------------------------------------------------------------------------- */

void
swage_session_set_selection (SwageSession *session, SwageLayerItem *const *items, guint n)
{
  bool same = session->selection->len == n;
  for (guint i = 0; i < n && same; i++)
    same = session->selection->pdata[i] == items[i];
  if (same)
    return;
  g_autoptr (GPtrArray) fresh = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (fresh, g_object_ref (items[i]));
  g_clear_pointer (&session->selection, g_ptr_array_unref);
  session->selection = g_steal_pointer (&fresh);
  g_signal_emit (session, swage_session_signals[SESSION_SELECTION_CHANGED], 0);
  swage_session_reschedule (session, 20);
}

GPtrArray *
swage_session_get_selection (SwageSession *session)
{
  return session->selection;
}

SwageLayerItem *
swage_session_get_focus (SwageSession *session)
{
  return session->selection->len > 0 ? session->selection->pdata[0] : NULL;
}

void
swage_session_set_want_activations (SwageSession *session, bool want)
{
  if (session->want_activations == want)
    return;
  session->want_activations = want;
  swage_session_reschedule (session, 20);
}

const char *
swage_session_get_activation_problem (SwageSession *session)
{
  return session->activation_problem;
}

void
swage_session_set_recipe (SwageSession *session, SwageRecipe *recipe, const char *label)
{
  if (session->model == NULL || session->selection->len == 0)
    return;
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; i < session->selection->len; i++)
    g_ptr_array_add (names, ((SwageLayerItem *)session->selection->pdata[i])->name);
  g_ptr_array_add (names, NULL);
  swage_plan_set_layers (session->plan, session->model, (const char *const *)names->pdata, recipe, label);
}

/* --- export
 * -------------------------------------------------------------------------------------------------- */

GPtrArray *
swage_session_lint (SwageSession *session, SwageExportFormat format, SwageType dense_type, uint64_t *bytes)
{
  SwageExportPlan run;
  SwageExportOptions options = { .dense_type = dense_type, .provenance = session->plan_text };
  swage_export_plan_init (&run, session->model, NULL, session->plan);
  if (!swage_export_get_bytes (session->model, format, &run.source, &options, bytes, NULL))
    *bytes = 0;
  return swage_export_lint (session->model, format, &run.source, &options);
}

const SwagePreviewResult *
swage_session_get_result (SwageSession *session)
{
  return session->has_result ? &session->result : NULL;
}

bool
swage_session_is_busy (SwageSession *session)
{
  return session->busy;
}

void
swage_session_notify_work (SwageSession *session)
{
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_BUSY]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_PROGRESS]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_STAGE]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_ACTIVITY]);
}

void
swage_session_notify_numbers (SwageSession *session)
{
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_PERPLEXITY_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_KLD_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_AGREEMENT_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (session), props[PROP_STALE]);
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageSession *session = SWAGE_SESSION (object);
  switch (id)
    {
    case PROP_MODEL_TITLE:
      g_value_set_string (value, session->model != NULL ? swage_model_get_name (session->model) : NULL);
      break;
    case PROP_MODEL_SUBTITLE:
      g_value_take_string (value, get_model_subtitle (session));
      break;
    case PROP_SIZE_TEXT:
      g_value_take_string (value, get_size_text (session));
      break;
    case PROP_BITS_TEXT:
      g_value_take_string (value, get_bits_text (session));
      break;
    case PROP_PERPLEXITY_TEXT:
      g_value_take_string (value, get_perplexity_text (session));
      break;
    case PROP_KLD_TEXT:
      g_value_take_string (value, get_kld_text (session));
      break;
    case PROP_AGREEMENT_TEXT:
      g_value_take_string (value, get_agreement_text (session));
      break;
    case PROP_DEVICE:
      g_value_set_string (value, swage_session_get_device (session));
      break;
    case PROP_DEVICE_TEXT:
      g_value_take_string (value, swage_devices_dup_name (swage_session_get_device (session)));
      break;
    case PROP_STALE:
      g_value_set_boolean (value, is_stale (session));
      break;
    case PROP_BUSY:
      g_value_set_boolean (value, session->busy);
      break;
    case PROP_PROGRESS:
      g_value_set_double (value, session->progress);
      break;
    case PROP_STAGE:
      g_value_take_string (value, get_stage_text (session));
      break;
    case PROP_ACTIVITY:
      g_value_set_string (value, session->activity);
      break;
    case PROP_MODIFIED:
      g_value_set_boolean (value, swage_session_is_modified (session));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
dispose (GObject *object)
{
  SwageSession *session = SWAGE_SESSION (object);
  swage_session_stop_work (session);
  if (session->plan != NULL)
    g_signal_handlers_disconnect_by_data (session->plan, session);
  G_OBJECT_CLASS (swage_session_parent_class)->dispose (object);
}

static void
finalize (GObject *object)
{
  SwageSession *session = SWAGE_SESSION (object);
  swage_session_clear_weights (session);
  g_clear_pointer (&session->text, swage_text_run_unref);
  g_clear_pointer (&session->desk, swage_desk_unref);
  g_clear_pointer (&session->model, swage_model_unref);
  g_clear_pointer (&session->selection, g_ptr_array_unref);
  g_clear_object (&session->plan);
  g_clear_object (&session->layers);
  if (session->has_result)
    swage_preview_result_clear (&session->result);
  g_free (session->result_key);
  g_free (session->plan_text);
  g_free (session->saved_text);
  g_free (session->plan_path);
  g_free (session->size_problem);
  g_free (session->preset);
  g_free (session->device);
  g_free (session->calibration);
  g_free (session->evaluation);
  g_free (session->activation_problem);
  g_free (session->activity);
  g_free (session->stage);
  G_OBJECT_CLASS (swage_session_parent_class)->finalize (object);
}

static void
swage_session_class_init (SwageSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->get_property = get_property;
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  static const struct
  {
    guint id;
    const char *name;
  } texts[] = {
    { PROP_MODEL_TITLE, "model-title" },
    { PROP_MODEL_SUBTITLE, "model-subtitle" },
    { PROP_SIZE_TEXT, "size-text" },
    { PROP_BITS_TEXT, "bits-text" },
    { PROP_PERPLEXITY_TEXT, "perplexity-text" },
    { PROP_KLD_TEXT, "kld-text" },
    { PROP_AGREEMENT_TEXT, "agreement-text" },
    { PROP_DEVICE, "device" },
    { PROP_DEVICE_TEXT, "device-text" },
    { PROP_STAGE, "stage" },
    { PROP_ACTIVITY, "activity" },
  };
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    props[texts[i].id] = g_param_spec_string (texts[i].name, NULL, NULL, NULL, flags);
  props[PROP_STALE] = g_param_spec_boolean ("stale", NULL, NULL, FALSE, flags);
  props[PROP_BUSY] = g_param_spec_boolean ("busy", NULL, NULL, FALSE, flags);
  props[PROP_MODIFIED] = g_param_spec_boolean ("modified", NULL, NULL, FALSE, flags);
  props[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, 0, 1, 0, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  guint *signals = swage_session_signals;
  signals[SESSION_MODEL_CHANGED] = g_signal_new ("model-changed", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                                 NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SESSION_PLAN_CHANGED] = g_signal_new ("plan-changed", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                                NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SESSION_SELECTION_CHANGED] = g_signal_new ("selection-changed", SWAGE_TYPE_SESSION,
                                                     G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SESSION_STATISTICS_CHANGED]
      = g_signal_new ("statistics-changed", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                      G_TYPE_NONE, 1, SWAGE_TYPE_LAYER_ITEM);
  signals[SESSION_MESSAGE] = g_signal_new ("message", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                           NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_BOOLEAN);
  signals[SESSION_PREVIEWED] = g_signal_new ("previewed", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL,
                                             NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
  signals[SESSION_DEVICE_FAILED] = g_signal_new ("device-failed", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                                 NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[SESSION_EXPORTED] = g_signal_new ("exported", SWAGE_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                            NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
swage_session_init (SwageSession *session)
{
  session->layers = g_list_store_new (SWAGE_TYPE_LAYER_ITEM);
  session->selection = g_ptr_array_new_with_free_func (g_object_unref);
  session->protocol = SWAGE_PROTOCOL_HF;
  session->context = 512;
  g_signal_connect_object (swage_devices_get_menu (), "items-changed", G_CALLBACK (notify_device), session,
                           G_CONNECT_SWAPPED);
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  set_plan (session, plan, NULL);
  session->plan_text = swage_plan_to_text (plan);
}

SwageSession *
swage_session_new (void)
{
  return g_object_new (SWAGE_TYPE_SESSION, NULL);
}
