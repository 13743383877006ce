/* SPDX-License-Identifier: MIT
 *
 * Both models are run to their last hidden states (from what the pipeline remembers), then compared slice by
 * slice: the logits of some hundred scored positions of the original and of the plan, their divergence, and
 * nothing kept but four numbers a position.
 */
#include "core/preview/swage-preview.h"
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/pipeline/swage-pipeline-private.h"
#include "kernels/swage-op-args.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>

#define LOGITS_BYTES                                                                                         \
  ((size_t)32 << 20) /* of each of the two slices of logits: they stay near the last-level cache */
#define MIN_ROWS 16
#define MAX_ROWS 2048
#define RESULT_VERSION 1

/* What one position gave. */
typedef struct
{
  double nll, base_nll, kld, same_top;
} Score;

void
swage_preview_result_clear (SwagePreviewResult *result)
{
  g_clear_pointer (&result->device, g_free);
  g_clear_pointer (&result->device_failure, g_free);
}

static uint64_t
peak_rss (void)
{
  struct rusage usage;
  getrusage (RUSAGE_SELF, &usage);
  return (uint64_t)usage.ru_maxrss * 1024;
}

/* Mean, and the standard error of the mean: s/√n with s² the unbiased variance. */
static void
mean_and_error (const double *values, size_t stride, int64_t n, double *mean, double *error)
{
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++)
    sum += values[(size_t)i * stride];
  *mean = n > 0 ? sum / (double)n : 0;
  for (int64_t i = 0; i < n; i++)
    squares += (values[(size_t)i * stride] - *mean) * (values[(size_t)i * stride] - *mean);
  *error = n > 1 ? sqrt (squares / (double)(n - 1) / (double)n) : 0;
}

static int
compare_doubles (const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The figures of the first n scores. */
static void
summarize (const Score *scores, int64_t n, bool final, SwagePreviewResult *result)
{
  const size_t stride = sizeof (Score) / sizeof (double);
  double nll, nll_error, unused;
  mean_and_error (&scores->nll, stride, n, &nll, &nll_error);
  result->perplexity = exp (nll);
  result->perplexity_stderr = result->perplexity * nll_error;
  mean_and_error (&scores->base_nll, stride, n, &nll, &nll_error);
  result->baseline_perplexity = exp (nll);
  result->baseline_perplexity_stderr = result->baseline_perplexity * nll_error;
  mean_and_error (&scores->kld, stride, n, &result->kld_mean, &result->kld_stderr);
  mean_and_error (&scores->same_top, stride, n, &result->top1_agreement, &unused);
  result->done = n;
  if (!final || n <= 0)
    return;
  g_autofree double *sorted = g_new (double, n);
  for (int64_t i = 0; i < n; i++)
    sorted[i] = scores[i].kld;
  qsort (sorted, (size_t)n, sizeof (double), compare_doubles);
  result->kld_median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  result->kld_p99 = sorted[MIN (n - 1, (int64_t)ceil (0.99 * (double)n) - 1)]; /* nearest rank */
  result->kld_max = sorted[n - 1];
}

/* One model's side of the comparison. */
typedef struct
{
  GBytes *states;
  SwageEnds *ends;
  float *rows, *logits;
} Side;

static void
side_clear (Side *side)
{
  g_clear_pointer (&side->states, g_bytes_unref);
  swage_ends_free (side->ends);
  g_free (side->rows);
  g_free (side->logits);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Side, side_clear)

static bool
run_side (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows, Side *side, int *blocks,
          SwageJob *job, GError **error)
{
  int run = 0;
  side->states = swage_pipeline_run (pipeline, plan, windows, &run, job, error);
  if (side->states != NULL)
    side->ends = swage_pipeline_get_ends (pipeline, plan, NULL, error);
  *blocks += run;
  return side->ends != NULL;
}

/* Logits of the scored positions `index[0 … n)`. */
static bool
run_logits (SwagePipeline *pipeline, Side *side, const int64_t *index, int64_t n, int64_t n_embd,
            GError **error)
{
  const float *h = g_bytes_get_data (side->states, NULL);
  for (int64_t i = 0; i < n; i++)
    memcpy (side->rows + i * n_embd, h + index[i] * n_embd, (size_t)n_embd * sizeof (float));
  return swage_engine_logits (swage_pipeline_get_engine (pipeline), side->ends, side->rows, n, side->logits,
                              error);
}

static bool
score (SwagePipeline *pipeline, Side *plan, Side *base, const SwageWindows *windows, Score *scores,
       SwagePreviewFunc func, gpointer user_data, SwagePreviewResult *result, SwageJob *job, GError **error)
{
  const SwageConfig *config = swage_model_get_config (swage_pipeline_get_model (pipeline));
  int64_t n_embd = config->n_embd, n_vocab = config->n_vocab, n_scored = windows->n_scored;
  int64_t rows = CLAMP ((int64_t)(LOGITS_BYTES / sizeof (float)) / n_vocab, MIN_ROWS, MAX_ROWS);
  rows = MIN (rows, MAX (n_scored, 1));
  for (Side *side = plan; side != NULL; side = side == plan ? base : NULL)
    {
      side->rows = g_new (float, rows *n_embd);
      side->logits = g_try_new (float, rows *n_vocab);
      if (side->logits == NULL)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                       _ ("There is not enough memory for the logits."));
          return false;
        }
    }
  g_autofree int64_t *index = g_new (int64_t, rows);
  g_autofree int32_t *targets = g_new (int32_t, rows);
  g_autofree double *out = g_new (double, rows *SWAGE_KLD_ROWS);
  int64_t n_positions = (int64_t)windows->n_windows * windows->context, position = 0, done = 0;
  const SwageOp *op = swage_op_find (base != NULL ? "softmax_kld" : "softmax_nll");
  gint64 reported = g_get_monotonic_time ();
  while (done < n_scored)
    {
      int64_t n = 0;
      for (; position < n_positions && n < rows; position++)
        if (windows->targets[position] >= 0)
          {
            index[n] = position;
            targets[n++] = windows->targets[position];
          }
      if (n == 0)
        break;
      if (!run_logits (pipeline, plan, index, n, n_embd, error)
          || (base != NULL && !run_logits (pipeline, base, index, n, n_embd, error)))
        return false;
      int n_out = base != NULL ? SWAGE_KLD_ROWS : SWAGE_NLL_ROWS;
      SwageView logits = swage_view (SWAGE_TYPE_F32, plan->logits, n_vocab, n, 1, 1);
      SwageView target_view = swage_view (SWAGE_TYPE_I32, targets, n, 1, 1, 1);
      SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F64, out, n_out, n, 1, 1) };
      if (base != NULL)
        {
          call.src[0] = swage_view (SWAGE_TYPE_F32, base->logits, n_vocab, n, 1, 1);
          call.src[1] = logits;
          call.src[2] = target_view;
        }
      else
        {
          call.src[0] = logits;
          call.src[1] = target_view;
        }
      swage_pool_run_op (op, &call);
      for (int64_t i = 0; i < n; i++)
        {
          const double *row = out + i * n_out;
          scores[done + i] = base != NULL ? (Score){ row[SWAGE_KLD_NLL_OTHER], row[SWAGE_KLD_NLL_BASE],
                                                     row[SWAGE_KLD_KLD], row[SWAGE_KLD_SAME_TOP] }
                                          : (Score){ row[SWAGE_NLL_NLL], row[SWAGE_NLL_NLL], 0, 1 };
          if (!isfinite (scores[done + i].nll) || !isfinite (scores[done + i].base_nll))
            {
              g_set_error (
                  error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                  isfinite (scores[done + i].base_nll)
                      ? _ ("The plan's model gives values that are not numbers: some layer overflows or "
                           "holds NaN.")
                      : _ ("The model gives values that are not numbers: its weights hold NaN or infinity."));
              return false;
            }
        }
      done += n;
      gint64 now = g_get_monotonic_time ();
      if (func != NULL && now - reported > G_USEC_PER_SEC / 10)
        {
          summarize (scores, done, false, result);
          func (result, user_data);
          reported = now;
        }
      if (!swage_job_step (job, (double)done, (double)n_scored, error))
        return false;
    }
  summarize (scores, done, true, result);
  return true;
}

/* The measured part of a result as a note under the keys of both models' states, so that an unchanged plan is
 * not computed again. */
static char *
note_key (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows, GError **error)
{
  g_autofree char *states = swage_pipeline_states_key (pipeline, plan, windows, error);
  if (states == NULL)
    return NULL;
  SwageModel *model = swage_pipeline_get_model (pipeline);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "preview %d\n%s\n", RESULT_VERSION, states);
  for (int i = 0; i < swage_model_get_n_layers (model) && plan != NULL; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      SwageRecipe *recipe
          = layer->role == SWAGE_ROLE_OUTPUT ? swage_plan_get_recipe (plan, layer->name) : NULL;
      g_autofree char *recipe_text = recipe != NULL ? swage_recipe_to_text (recipe) : NULL;
      g_autofree char *calibration = NULL;
      if (recipe != NULL && swage_recipe_get_needs (recipe) != SWAGE_NEED_NONE)
        {
          calibration = swage_pipeline_get_calibration_fingerprint (pipeline, plan, error);
          if (calibration == NULL)
            return NULL;
        }
      if (recipe_text != NULL)
        g_string_append_printf (text, "output=%s\n%s\n", recipe_text, calibration != NULL ? calibration : "");
    }
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, (gssize)text->len);
}

#define NOTE_FIELDS(X)                                                                                       \
  X (perplexity)                                                                                             \
  X (perplexity_stderr) X (baseline_perplexity) X (baseline_perplexity_stderr) X (kld_mean) X (kld_stderr)   \
      X (kld_median) X (kld_p99) X (kld_max) X (top1_agreement)

static bool
read_note (SwagePipeline *pipeline, const char *key, SwagePreviewResult *result)
{
  g_autofree char *text = swage_cache_get_note (swage_pipeline_get_cache (pipeline), key);
  g_autoptr (json_t) json = text != NULL ? swage_json_parse (text, strlen (text), key, NULL) : NULL;
  if (json == NULL)
    return false;
  SwagePreviewResult copy = *result;
#define READ(field)                                                                                          \
  if (!json_is_number (json_object_get (json, #field)))                                                      \
    return false;                                                                                            \
  copy.field = json_number_value (json_object_get (json, #field));
  NOTE_FIELDS (READ)
#undef READ
  *result = copy;
  return true;
}

static void
write_note (SwagePipeline *pipeline, const char *key, const SwagePreviewResult *result)
{
  g_autoptr (json_t) json = json_object ();
#define WRITE(field) json_object_set_new (json, #field, json_real (result->field));
  NOTE_FIELDS (WRITE)
#undef WRITE
  g_autofree char *text = swage_json_dump (json);
  swage_cache_put_note (swage_pipeline_get_cache (pipeline), key, text);
}

static bool
plan_changes_something (SwagePlan *plan, SwageModel *model)
{
  for (int i = 0; plan != NULL && i < swage_model_get_n_layers (model); i++)
    {
      SwageRecipe *recipe = swage_plan_get_recipe (plan, swage_model_get_layer (model, i)->name);
      g_autofree char *text = swage_recipe_to_text (recipe);
      if (text[0] != '\0')
        return true;
    }
  return false;
}

static bool
run_once (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows, SwageProtocol protocol,
          SwagePreviewFunc func, gpointer user_data, SwageJob *job, SwagePreviewResult *result, GError **error)
{
  gint64 started = g_get_monotonic_time ();
  SwageModel *model = swage_pipeline_get_model (pipeline);
  *result = (SwagePreviewResult){ .protocol = protocol,
                                  .context = windows->context,
                                  .tokens = windows->n_scored,
                                  .total = windows->n_scored,
                                  .top1_agreement = 1 };
  bool changed = plan_changes_something (plan, model);
  SwagePlanSize size;
  g_autoptr (SwagePlan) empty = changed ? NULL : swage_plan_new ();
  if (!swage_plan_get_size (changed ? plan : empty, model, &size, error))
    return false;
  result->bytes = size.bytes;
  result->original_bytes = size.original_bytes;
  result->bits_per_weight = size.bits_per_weight;
  SwageBackend *backend = swage_pipeline_get_backend (pipeline);
  SwageBackendCounters before, after;
  result->device = g_strdup (swage_backend_get_name (backend));
  swage_backend_get_counters (backend, &before);
  uint64_t decoded = swage_weight_get_decoded_bytes ();

  g_autofree char *key = note_key (pipeline, changed ? plan : NULL, windows, error);
  bool good = key != NULL;
  if (good && read_note (pipeline, key, result))
    result->done = result->total;
  else if (good)
    {
      g_auto (Side) plan_side = { 0 };
      g_auto (Side) base_side = { 0 };
      g_autofree Score *scores = g_new0 (Score, MAX (windows->n_scored, 1));
      swage_job_push (job, changed ? 0.35 : 0.85, _ ("Original model"));
      good = run_side (pipeline, NULL, windows, &base_side, &result->blocks_run, job, error);
      swage_job_pop (job);
      if (good && changed)
        {
          swage_job_push (job, 0.85, _ ("The plan's model"));
          good = run_side (pipeline, plan, windows, &plan_side, &result->blocks_run, job, error);
          swage_job_pop (job);
        }
      swage_job_begin (job, 1, changed ? _ ("Comparing the two models") : _ ("Measuring"));
      good = good
             && score (pipeline, changed ? &plan_side : &base_side, changed ? &base_side : NULL, windows,
                       scores, func, user_data, result, job, error);
      if (good)
        write_note (pipeline, key, result);
    }
  if (!good)
    {
      swage_preview_result_clear (result);
      return false;
    }
  result->seconds = (double)(g_get_monotonic_time () - started) / G_USEC_PER_SEC;
  int64_t n_tokens = (int64_t)windows->n_windows * windows->context;
  result->tokens_run = result->blocks_run > 0 ? n_tokens : 0;
  result->tokens_per_second = result->seconds > 0 ? (double)n_tokens / result->seconds : 0;
  result->peak_rss_bytes = peak_rss ();
  swage_backend_get_counters (backend, &after);
  result->uploaded_bytes = after.uploaded_bytes - before.uploaded_bytes;
  result->downloaded_bytes = after.downloaded_bytes - before.downloaded_bytes;
  result->dispatches = after.dispatches - before.dispatches;
  result->cpu_fallback_ops = after.cpu_fallback_ops - before.cpu_fallback_ops;
  result->device_peak_bytes = after.device_peak_bytes;
  result->cpu_weight_bytes = swage_weight_get_decoded_bytes () - decoded;
  return true;
}

bool
swage_preview_run (SwagePipeline *pipeline, SwagePlan *plan, const SwageWindows *windows,
                   SwageProtocol protocol, SwagePreviewFunc func, gpointer user_data, SwageJob *job,
                   SwagePreviewResult *result, GError **error)
{
  g_autoptr (GError) cause = NULL;

  if (run_once (pipeline, plan, windows, protocol, func, user_data, job, result, &cause))
    return true;
  if (!g_error_matches (cause, SWAGE_ERROR, SWAGE_ERROR_DEVICE))
    {
      g_propagate_error (error, g_steal_pointer (&cause));
      return false;
    }
  if (!swage_pipeline_set_backend (pipeline, NULL, error)
      || !run_once (pipeline, plan, windows, protocol, func, user_data, job, result, error))
    return false;
  result->device_failure = g_strdup (cause->message);
  return true;
}

json_t *
swage_preview_result_to_json (const SwagePreviewResult *result)
{
  json_t *json = json_object ();
#define REAL(key) json_object_set_new (json, #key, json_real (result->key));
#define INTEGER(key) json_object_set_new (json, #key, json_integer ((json_int_t)result->key));
  REAL (perplexity)
  REAL (perplexity_stderr)
  REAL (baseline_perplexity)
  REAL (baseline_perplexity_stderr)
  REAL (kld_mean)
  REAL (kld_stderr)
  REAL (kld_median)
  REAL (kld_p99)
  REAL (kld_max)
  REAL (top1_agreement)
  INTEGER (bytes)
  INTEGER (original_bytes)
  REAL (bits_per_weight)
  INTEGER (tokens)
  REAL (seconds)
  REAL (tokens_per_second)
  json_object_set_new (json, "device", json_string (result->device));
  json_object_set_new (json, "protocol", json_string (swage_protocol_get_id (result->protocol)));
  INTEGER (context)
  INTEGER (blocks_run)
  INTEGER (peak_rss_bytes)
  INTEGER (uploaded_bytes)
  INTEGER (downloaded_bytes)
  INTEGER (dispatches)
  INTEGER (cpu_fallback_ops)
  INTEGER (device_peak_bytes)
  INTEGER (cpu_weight_bytes)
  if (result->device_failure != NULL)
    json_object_set_new (json, "device_failure", json_string (result->device_failure));
#undef REAL
#undef INTEGER
  return json;
}
