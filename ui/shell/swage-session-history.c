/* SPDX-License-Identifier: MIT
 *
 * A trial is written by the preview that measured it, under the plan it was measured with, which need not be
 * the one that is set when the preview ends. Measuring the same plan again replaces its numbers. The front
 * (Pareto: nothing else is both smaller and closer to the original) is of divergence, which tells plans apart
 * sooner than perplexity does.
 */
#include "ui/shell/swage-session-history.h"

#include "core/base/swage-json.h"
#include "core/base/swage-output.h"
#include "ui/shell/swage-session-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* More than anybody looks at; the oldest go first. */
#define MAX_TRIALS 500
#define MAX_FILE (32u << 20)

struct _SwageHistory
{
  GObject parent_instance;
  SwageSession *session; /* owns this */
  char *folder, *path;   /* path: of the open model's file, or NULL */
  GPtrArray *all;        /* SwageTrial, also those measured in other ways */
  GListStore *shown;
  SwageTrial *snapshots[2];
};

G_DEFINE_FINAL_TYPE (SwageTrial, swage_trial, G_TYPE_OBJECT)
G_DEFINE_FINAL_TYPE (SwageHistory, swage_history, G_TYPE_OBJECT)
G_DEFINE_FINAL_TYPE (SwageDifference, swage_difference, G_TYPE_OBJECT)

static guint changed_signal;

enum
{
  PROP_0,
  PROP_TITLE,
  PROP_SIZE_TEXT,
  PROP_BITS_TEXT,
  PROP_PERPLEXITY_TEXT,
  PROP_KLD_TEXT,
  PROP_AGREEMENT_TEXT,
  PROP_MARKS,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

/* --- a trial
 * ------------------------------------------------------------------------------------------------- */

static void
trial_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageTrial *trial = SWAGE_TRIAL (object);
  switch (id)
    {
    case PROP_TITLE:
      g_value_set_string (value, trial->title);
      break;
    case PROP_SIZE_TEXT:
      g_value_take_string (value, g_format_size_full (trial->bytes, G_FORMAT_SIZE_IEC_UNITS));
      break;
    case PROP_BITS_TEXT:
      g_value_take_string (value, g_strdup_printf ("%.2f", trial->bits_per_weight));
      break;
    case PROP_PERPLEXITY_TEXT:
      g_value_take_string (value, trial->measured ? g_strdup_printf ("%.2f ± %.2f", trial->perplexity,
                                                                     trial->perplexity_stderr)
                                                  : g_strdup ("–"));
      break;
    case PROP_KLD_TEXT:
      g_value_take_string (value, !trial->measured ? g_strdup ("–")
                                  : trial->kld > 0 && trial->kld < 0.001
                                      ? g_strdup_printf ("%.2e", trial->kld)
                                      : g_strdup_printf ("%.4f", trial->kld));
      break;
    case PROP_AGREEMENT_TEXT:
      g_value_take_string (value,
                           trial->measured ? g_strdup_printf ("%.1f %%", 100 * trial->top1) : g_strdup ("–"));
      break;
    case PROP_MARKS:
      g_value_set_string (value, trial->marks);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
trial_finalize (GObject *object)
{
  SwageTrial *trial = SWAGE_TRIAL (object);
  g_free (trial->title);
  g_free (trial->plan_text);
  g_free (trial->measure);
  G_OBJECT_CLASS (swage_trial_parent_class)->finalize (object);
}

static void
swage_trial_class_init (SwageTrialClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->get_property = trial_get_property;
  object_class->finalize = trial_finalize;
  static const char *const names[N_PROPS]
      = { NULL, "title", "size-text", "bits-text", "perplexity-text", "kld-text", "agreement-text", "marks" };
  for (guint i = 1; i < N_PROPS; i++)
    props[i] = g_param_spec_string (names[i], NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
swage_trial_init (SwageTrial *trial)
{
}

/* --- a difference
 * -------------------------------------------------------------------------------------------- */

enum
{
  PROP_NAME = 1,
  PROP_A_TEXT,
  PROP_B_TEXT,
  PROP_CHANGE_TEXT
};

static void
difference_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageDifference *d = SWAGE_DIFFERENCE (object);
  switch (id)
    {
    case PROP_NAME:
      g_value_set_string (value, d->name);
      break;
    case PROP_A_TEXT:
      g_value_set_string (value, d->a_text);
      break;
    case PROP_B_TEXT:
      g_value_set_string (value, d->b_text);
      break;
    case PROP_CHANGE_TEXT:
      if (d->a_bytes == 0 || d->b_bytes == 0)
        g_value_set_static_string (value, "–");
      else
        {
          bool more = d->b_bytes >= d->a_bytes;
          g_autofree char *size = g_format_size_full (
              more ? d->b_bytes - d->a_bytes : d->a_bytes - d->b_bytes, G_FORMAT_SIZE_IEC_UNITS);
          g_value_take_string (value, g_strdup_printf ("%s%s", more ? "+" : "−", size));
        }
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
difference_finalize (GObject *object)
{
  SwageDifference *d = SWAGE_DIFFERENCE (object);
  g_free (d->name);
  g_free (d->a_text);
  g_free (d->b_text);
  G_OBJECT_CLASS (swage_difference_parent_class)->finalize (object);
}

static void
swage_difference_class_init (SwageDifferenceClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->get_property = difference_get_property;
  object_class->finalize = difference_finalize;
  static const char *const names[] = { "name", "a-text", "b-text", "change-text" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_object_class_install_property (
        object_class, i + 1,
        g_param_spec_string (names[i], NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
swage_difference_init (SwageDifference *d)
{
}

/* --- what a plan does
 * ---------------------------------------------------------------------------------------- */

static SwagePlan *
parse_plan (SwageTrial *trial, GError **error)
{
  return swage_plan_parse (trial->plan_text, strlen (trial->plan_text), _ ("the plan of this trial"), error);
}

/* "Round to nearest · Q4_K": its methods, and what they make of a layer. */
static char *
describe_recipe (SwagePlan *plan, SwageModel *model, const SwageTensor *layer)
{
  SwageRecipe *recipe = swage_plan_get_recipe (plan, layer->name);
  GString *text = g_string_new (NULL);
  for (int i = 0; recipe != NULL && i < swage_recipe_get_n (recipe); i++)
    {
      const SwageStep *step = swage_recipe_get (recipe, i);
      if (swage_step_get_enabled (step))
        g_string_append_printf (text, "%s%s", text->len > 0 ? " + " : "",
                                _ (swage_step_get_method (step)->title));
    }
  SwageLinearSpec spec;
  if (swage_plan_get_layer_spec (plan, model, layer, &spec, NULL))
    {
      g_autofree char *type = swage_linear_spec_describe (&spec);
      g_string_append_printf (text, "%s%s", text->len > 0 ? " · " : "", type);
    }
  else
    g_string_append (text, _ (" (cannot be applied)"));
  return g_string_free (text, FALSE);
}

/* The recipe that most parameters get, and how many layers have others. */
static char *
describe_plan (SwagePlan *plan, SwageModel *model)
{
  g_autoptr (GHashTable) parameters = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  int n = swage_model_get_n_layers (model), others = 0;
  const char *most = NULL;
  g_autofree char **texts = g_new0 (char *, n + 1);
  int64_t largest = -1;
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      SwageRecipe *recipe = swage_plan_get_recipe (plan, layer->name);
      char *text = recipe != NULL ? swage_recipe_to_text (recipe) : g_strdup ("");
      int64_t *sum = g_hash_table_lookup (parameters, text);
      if (sum == NULL)
        {
          sum = g_new0 (int64_t, 1);
          g_hash_table_insert (parameters, g_strdup (text), sum);
        }
      *sum += layer->shape[0] * (layer->n_dims > 1 ? layer->shape[1] : 1);
      texts[i] = text;
    }
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, parameters);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (*(int64_t *)value > largest && (*(char *)key != '\0' || g_hash_table_size (parameters) == 1))
      {
        largest = *(int64_t *)value;
        most = key;
      }
  const SwageTensor *typical = NULL;
  for (int i = 0; i < n; i++)
    {
      bool same = g_strcmp0 (texts[i], most) == 0;
      others += !same;
      if (same && typical == NULL)
        typical = swage_model_get_layer (model, i);
      g_free (texts[i]);
    }
  if (typical == NULL || most[0] == '\0')
    return g_strdup (_ ("The original"));
  g_autofree char *title = describe_recipe (plan, model, typical);
  return others > 0 ? g_strdup_printf (g_dngettext (GETTEXT_PACKAGE, "%s, %d layer otherwise",
                                                    "%s, %d layers otherwise", (gulong)others),
                                       title, others)
                    : g_steal_pointer (&title);
}

static char *
get_measure (SwageSession *session)
{
  return g_strdup_printf ("%s · %d · %s", swage_protocol_get_id (session->protocol), session->context,
                          session->evaluation != NULL ? session->evaluation : "");
}

/* The rules alone: a plan that says the same has the same numbers, whatever else is in its file. */
static bool
same_plan (const char *a, const char *b)
{
  return g_strcmp0 (a, b) == 0;
}

/* --- files
 * --------------------------------------------------------------------------------------------------- */

static SwageTrial *
trial_from_json (json_t *json, const char *origin)
{
  SwageTrial *trial = g_object_new (SWAGE_TYPE_TRIAL, NULL);
  const char *title = "", *plan = NULL, *measure = "";
  int64_t bytes = 0, number = 0;
  const double huge = 1e300;
  bool ok
      = json_is_object (json) && swage_json_get_string (json, "title", &title, origin, NULL)
        && swage_json_get_string (json, "plan", &plan, origin, NULL)
        && swage_json_get_string (json, "measure", &measure, origin, NULL)
        && swage_json_get_int (json, "number", 1, G_MAXINT, &number, origin, NULL)
        && swage_json_get_int (json, "time", 0, G_MAXINT64, &trial->time, origin, NULL)
        && swage_json_get_int (json, "bytes", 0, G_MAXINT64, &bytes, origin, NULL)
        && swage_json_get_double (json, "bits_per_weight", 0, 1e6, &trial->bits_per_weight, origin, NULL)
        && swage_json_get_double (json, "perplexity", 0, huge, &trial->perplexity, origin, NULL)
        && swage_json_get_double (json, "perplexity_stderr", 0, huge, &trial->perplexity_stderr, origin, NULL)
        && swage_json_get_double (json, "baseline_perplexity", 0, huge, &trial->baseline_perplexity, origin,
                                  NULL)
        && swage_json_get_double (json, "kld_mean", -huge, huge, &trial->kld, origin, NULL)
        && swage_json_get_double (json, "kld_stderr", 0, huge, &trial->kld_stderr, origin, NULL)
        && swage_json_get_double (json, "top1_agreement", 0, 1, &trial->top1, origin, NULL) && plan != NULL;
  if (!ok)
    {
      g_object_unref (trial);
      return NULL;
    }
  trial->number = (int)number;
  trial->bytes = (uint64_t)bytes;
  trial->title = g_strdup (title);
  trial->plan_text = g_strdup (plan);
  trial->measure = g_strdup (measure);
  trial->measured = true;
  return trial;
}

static json_t *
trial_to_json (SwageTrial *t)
{
  return json_pack ("{s:I, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "number",
                    (json_int_t)t->number, "title", t->title, "measure", t->measure, "time",
                    (json_int_t)t->time, "bytes", (json_int_t)t->bytes, "bits_per_weight", t->bits_per_weight,
                    "perplexity", t->perplexity, "perplexity_stderr", t->perplexity_stderr,
                    "baseline_perplexity", t->baseline_perplexity, "kld_mean", t->kld, "kld_stderr",
                    t->kld_stderr, "top1_agreement", t->top1, "plan", t->plan_text);
}

static void
load_trials (SwageHistory *history)
{
  g_ptr_array_set_size (history->all, 0);
  if (history->path == NULL || !g_file_test (history->path, G_FILE_TEST_EXISTS))
    return;
  /* a history that cannot be read is no reason to stop anybody: it begins anew */
  g_autoptr (json_t) json = swage_json_load (history->path, MAX_FILE, NULL);
  json_t *trials = json_object_get (json, "trials"), *one;
  size_t i;
  json_array_foreach (trials, i, one)
  {
    SwageTrial *trial = history->all->len < MAX_TRIALS ? trial_from_json (one, history->path) : NULL;
    if (trial != NULL)
      g_ptr_array_add (history->all, trial);
  }
}

typedef struct
{
  char *path, *folder, *text;
} Save;

static void
save_free (Save *save)
{
  g_free (save->path);
  g_free (save->folder);
  g_free (save->text);
  g_free (save);
}

/* Two that follow each other quickly must not overtake. */
static GMutex save_lock;

static void
save_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Save *save = data;
  g_autoptr (GError) error = NULL;
  g_mutex_lock (&save_lock);
  g_mkdir_with_parents (save->folder, 0700);
  if (!swage_output_write_file (save->path, save->text, strlen (save->text), true, NULL, &error))
    g_info ("history: %s", error->message);
  g_mutex_unlock (&save_lock);
  g_task_return_boolean (task, TRUE);
}

static void
save_trials (SwageHistory *history)
{
  if (history->path == NULL)
    return;
  g_autoptr (json_t) json = json_object ();
  g_autoptr (json_t) trials = json_array ();
  json_object_set_new (json, "swage_trials", json_integer (1));
  for (guint i = 0; i < history->all->len; i++)
    json_array_append_new (trials, trial_to_json (history->all->pdata[i]));
  json_object_set (json, "trials", trials);
  Save *save = g_new0 (Save, 1);
  save->path = g_strdup (history->path);
  save->folder = g_strdup (history->folder);
  save->text = swage_json_dump (json);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, NULL, NULL);
  g_task_set_source_tag (task, save_trials);
  g_task_set_task_data (task, save, (GDestroyNotify)save_free);
  g_task_run_in_thread (task, save_in_thread);
}

/* --- what is shown
 * ------------------------------------------------------------------------------------------- */

static bool
is_better (SwageTrial *a, SwageTrial *b)
{
  return a->bytes <= b->bytes && a->kld <= b->kld && (a->bytes < b->bytes || a->kld < b->kld);
}

static void
set_marks (SwageHistory *history, SwageTrial *trial)
{
  char marks[sizeof trial->marks] = "";
  if (trial->current)
    g_strlcat (marks, "●", sizeof marks);
  if (trial->front)
    g_strlcat (marks, "◆", sizeof marks);
  for (int slot = 0; slot < 2; slot++)
    if (history->snapshots[slot] != NULL && same_plan (history->snapshots[slot]->plan_text, trial->plan_text))
      g_strlcat (marks, slot == 0 ? "A" : "B", sizeof marks);
  if (strcmp (marks, trial->marks) == 0)
    return;
  strcpy (trial->marks, marks);
  g_object_notify_by_pspec (G_OBJECT (trial), props[PROP_MARKS]);
}

/* Fit the shown list and its marks to what holds now. */
static void
update (SwageHistory *history)
{
  SwageSession *session = history->session;
  g_autofree char *measure = get_measure (session);
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  for (guint i = 0; i < history->all->len; i++)
    if (g_strcmp0 (((SwageTrial *)history->all->pdata[i])->measure, measure) == 0)
      g_ptr_array_add (wanted, history->all->pdata[i]);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (history->shown));
  bool same = n == wanted->len;
  for (guint i = 0; i < n && same; i++)
    {
      g_autoptr (SwageTrial) trial = g_list_model_get_item (G_LIST_MODEL (history->shown), i);
      same = trial == wanted->pdata[i];
    }
  if (!same)
    g_list_store_splice (history->shown, 0, n, wanted->pdata, wanted->len);
  for (guint i = 0; i < wanted->len; i++)
    {
      SwageTrial *trial = wanted->pdata[i];
      trial->front = true;
      for (guint j = 0; j < wanted->len && trial->front; j++)
        trial->front = !is_better (wanted->pdata[j], trial);
      trial->current = same_plan (trial->plan_text, session->plan_text);
      set_marks (history, trial);
    }
  g_signal_emit (history, changed_signal, 0);
}

static void
on_model_changed (SwageHistory *history)
{
  g_clear_pointer (&history->path, g_free);
  g_clear_object (&history->snapshots[0]);
  g_clear_object (&history->snapshots[1]);
  if (history->folder != NULL && history->session->model != NULL)
    {
      const char *fingerprint = swage_model_get_fingerprint (history->session->model);
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, fingerprint, -1);
      g_autofree char *name = g_strconcat (hash, ".trials.json", NULL);
      history->path = g_build_filename (history->folder, name, NULL);
    }
  load_trials (history);
  update (history);
}

/* The plan that the finished preview ran stands at the end of its key. */
static const char *
get_measured_plan (SwageSession *session)
{
  const char *at = session->result_key;
  for (int line = 0; line < 4 && at != NULL; line++)
    at = strchr (at, '\n') != NULL ? strchr (at, '\n') + 1 : NULL;
  return at;
}

static void
on_previewed (SwageHistory *history, gboolean success)
{
  SwageSession *session = history->session;
  const char *text = success && session->has_result ? get_measured_plan (session) : NULL;
  g_autoptr (SwagePlan) plan
      = text != NULL ? swage_plan_parse (text, strlen (text), "the measured plan", NULL) : NULL;
  if (plan == NULL)
    return;
  const SwagePreviewResult *result = &session->result;
  SwageTrial *trial = NULL;
  g_autofree char *measure
      = g_strdup_printf ("%s · %d · %s", swage_protocol_get_id (result->protocol), session->context,
                         session->evaluation != NULL ? session->evaluation : "");
  int last = 0;
  for (guint i = 0; i < history->all->len; i++)
    {
      SwageTrial *other = history->all->pdata[i];
      last = MAX (last, other->number);
      if (same_plan (other->plan_text, text) && g_strcmp0 (other->measure, measure) == 0)
        trial = other;
    }
  if (trial == NULL)
    {
      if (history->all->len >= MAX_TRIALS)
        g_ptr_array_remove_index (history->all, 0);
      trial = g_object_new (SWAGE_TYPE_TRIAL, NULL);
      trial->number = last + 1;
      trial->plan_text = g_strdup (text);
      trial->measure = g_steal_pointer (&measure);
      trial->title = describe_plan (plan, session->model);
      g_ptr_array_add (history->all, trial);
    }
  trial->time = g_get_real_time () / G_USEC_PER_SEC;
  trial->bytes = result->bytes;
  trial->bits_per_weight = result->bits_per_weight;
  trial->measured = true;
  trial->perplexity = result->perplexity;
  trial->perplexity_stderr = result->perplexity_stderr;
  trial->baseline_perplexity = result->baseline_perplexity;
  trial->kld = result->kld_mean;
  trial->kld_stderr = result->kld_stderr;
  trial->top1 = result->top1_agreement;
  for (int i = PROP_TITLE; i < PROP_MARKS; i++)
    g_object_notify_by_pspec (G_OBJECT (trial), props[i]);
  update (history);
  save_trials (history);
}

/* --- for the window
 * ------------------------------------------------------------------------------------------ */

void
swage_history_set_folder (SwageHistory *history, const char *folder)
{
  char *copy = g_strdup (folder);
  g_free (history->folder);
  history->folder = copy;
}

GListModel *
swage_history_get_trials (SwageHistory *history)
{
  return G_LIST_MODEL (history->shown);
}

bool
swage_history_restore (SwageHistory *history, SwageTrial *trial, GError **error)
{
  if (history->session->model == NULL || same_plan (trial->plan_text, history->session->plan_text))
    return true;
  g_autoptr (SwagePlan) plan = parse_plan (trial, error);
  if (plan == NULL)
    return false;
  g_autofree char *label = trial->number > 0 ? g_strdup_printf (_ ("Restore trial %d"), trial->number)
                                             : g_strdup (_ ("Restore snapshot"));
  swage_plan_assign (history->session->plan, plan, label);
  return true;
}

void
swage_history_clear (SwageHistory *history)
{
  g_ptr_array_set_size (history->all, 0);
  update (history);
  save_trials (history);
}

static void
put_snapshot (SwageHistory *history, int slot, SwageTrial *trial)
{
  g_clear_object (&history->snapshots[slot]);
  history->snapshots[slot] = trial;
  update (history);
}

void
swage_history_set_snapshot (SwageHistory *history, int slot, SwageTrial *trial)
{
  put_snapshot (history, slot, g_object_ref (trial));
}

void
swage_history_take_snapshot (SwageHistory *history, int slot)
{
  SwageSession *session = history->session;
  if (session->model == NULL || !session->has_size)
    return;
  guint n = g_list_model_get_n_items (G_LIST_MODEL (history->shown));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageTrial) trial = g_list_model_get_item (G_LIST_MODEL (history->shown), i);
      if (trial->current)
        {
          put_snapshot (history, slot, g_steal_pointer (&trial));
          return;
        }
    }
  SwageTrial *trial = g_object_new (SWAGE_TYPE_TRIAL, NULL);
  trial->plan_text = g_strdup (session->plan_text);
  trial->measure = get_measure (session);
  trial->title = describe_plan (session->plan, session->model);
  trial->time = g_get_real_time () / G_USEC_PER_SEC;
  trial->bytes = session->size.bytes;
  trial->bits_per_weight = session->size.bits_per_weight;
  put_snapshot (history, slot, trial);
}

SwageTrial *
swage_history_get_snapshot (SwageHistory *history, int slot)
{
  SwageTrial *kept = history->snapshots[slot];
  if (kept == NULL || kept->measured)
    return kept;
  /* what was taken before it was measured has its numbers as soon as they are there */
  guint n = g_list_model_get_n_items (G_LIST_MODEL (history->shown));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageTrial) trial = g_list_model_get_item (G_LIST_MODEL (history->shown), i);
      if (same_plan (trial->plan_text, kept->plan_text))
        {
          g_set_object (&history->snapshots[slot], trial);
          break;
        }
    }
  return history->snapshots[slot];
}

static char *
get_recipe_text (SwagePlan *plan, const char *layer)
{
  SwageRecipe *recipe = swage_plan_get_recipe (plan, layer);
  return recipe != NULL ? swage_recipe_to_text (recipe) : g_strdup ("");
}

static uint64_t
get_layer_bytes (SwagePlan *plan, SwageModel *model, const SwageTensor *layer)
{
  SwageLinearSpec spec;
  return swage_plan_get_layer_spec (plan, model, layer, &spec, NULL) ? swage_linear_spec_get_bytes (&spec)
                                                                     : 0;
}

GListModel *
swage_history_compare (SwageHistory *history, SwageTrial *a, SwageTrial *b, GError **error)
{
  SwageModel *model = history->session->model;
  g_autoptr (SwagePlan) plan_a = parse_plan (a, error);
  g_autoptr (SwagePlan) plan_b = plan_a != NULL ? parse_plan (b, error) : NULL;
  if (plan_b == NULL)
    return NULL;
  GListStore *store = g_list_store_new (SWAGE_TYPE_DIFFERENCE);
  int n = swage_model_get_n_layers (model);
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      g_autofree char *text_a = get_recipe_text (plan_a, layer->name),
                      *text_b = get_recipe_text (plan_b, layer->name);
      if (strcmp (text_a, text_b) == 0)
        continue;
      g_autoptr (SwageDifference) d = g_object_new (SWAGE_TYPE_DIFFERENCE, NULL);
      d->name = g_strdup (layer->name);
      d->a_bytes = get_layer_bytes (plan_a, model, layer);
      d->b_bytes = get_layer_bytes (plan_b, model, layer);
      d->a_text = describe_recipe (plan_a, model, layer);
      d->b_text = describe_recipe (plan_b, model, layer);
      if (strcmp (d->a_text, d->b_text) == 0)
        {
          /* the same methods with other parameters */
          g_free (d->a_text);
          g_free (d->b_text);
          d->a_text = g_steal_pointer (&text_a);
          d->b_text = g_steal_pointer (&text_b);
        }
      g_list_store_append (store, d);
    }
  return G_LIST_MODEL (store);
}

/* --- object
 * -------------------------------------------------------------------------------------------------- */

static void
history_finalize (GObject *object)
{
  SwageHistory *history = SWAGE_HISTORY (object);
  g_clear_object (&history->snapshots[0]);
  g_clear_object (&history->snapshots[1]);
  g_ptr_array_unref (history->all);
  g_object_unref (history->shown);
  g_free (history->folder);
  g_free (history->path);
  G_OBJECT_CLASS (swage_history_parent_class)->finalize (object);
}

static void
swage_history_class_init (SwageHistoryClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = history_finalize;
  changed_signal
      = g_signal_new ("changed", SWAGE_TYPE_HISTORY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
swage_history_init (SwageHistory *history)
{
  history->all = g_ptr_array_new_with_free_func (g_object_unref);
  history->shown = g_list_store_new (SWAGE_TYPE_TRIAL);
}

SwageHistory *
swage_session_get_history (SwageSession *session)
{
  SwageHistory *history = g_object_get_data (G_OBJECT (session), "history");
  if (history != NULL)
    return history;
  history = g_object_new (SWAGE_TYPE_HISTORY, NULL);
  history->session = session;
  g_object_set_data_full (G_OBJECT (session), "history", history, g_object_unref);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (on_model_changed), history,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "previewed", G_CALLBACK (on_previewed), history, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "plan-changed", G_CALLBACK (update), history, G_CONNECT_SWAPPED);
  /* another text or protocol: other numbers */
  g_signal_connect_object (session, "notify::stale", G_CALLBACK (update), history, G_CONNECT_SWAPPED);
  return history;
}
