/* SPDX-License-Identifier: MIT
 *
 * The session behind the views, without a window: trials and snapshots, weights that are looked at, text of
 * both models, live preview.
 */
#include "wait.h"
#include "ui/shell/swage-session-history.h"
#include "ui/shell/swage-session-live.h"
#include "ui/shell/swage-session-look.h"
#include "ui/shell/swage-session-text.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

typedef struct
{
  SwageSession *session;
  SwageHistory *history;
  char *folder;
  bool opened;
  int previewed, previewed_well, n_messages;
} Fixture;

static void
on_opened (GObject *source, GAsyncResult *result, gpointer data)
{
  Fixture *f = data;
  g_autoptr (GError) error = NULL;
  swage_session_open_finish (SWAGE_SESSION (source), result, &error);
  g_assert_no_error (error);
  f->opened = true;
}

static void
on_previewed (Fixture *f, gboolean success)
{
  f->previewed++;
  f->previewed_well += success;
}

static void
on_message (Fixture *f, const char *text, gboolean is_error)
{
  g_test_message ("%s", text);
  f->n_messages++;
}

static void
open_sample (Fixture *f)
{
  const char *data = g_getenv ("SWAGE_DATA_DIR");
  g_autofree char *sample = g_build_filename (data != NULL ? data : "data", "sample", NULL);
  g_autofree char *calibration = g_build_filename (sample, "kjv.calibration.txt", NULL);
  g_autofree char *text = g_build_filename (sample, "kjv.eval.txt", NULL);
  g_autofree char *evaluation = g_build_filename (f->folder, "eval.txt", NULL);
  /* a few windows: what is asserted here is not what they give */
  if (!g_file_test (evaluation, G_FILE_TEST_EXISTS))
    {
      g_autofree char *all = NULL;
      g_assert_true (g_file_get_contents (text, &all, NULL, NULL));
      g_assert_true (g_file_set_contents (evaluation, all, 6000, NULL));
    }
  swage_session_set_calibration (f->session, calibration);
  swage_session_set_evaluation (f->session, evaluation);
  swage_session_set_protocol (f->session, SWAGE_PROTOCOL_HF, 128);
  f->opened = false;
  swage_session_open_async (f->session, sample, NULL, on_opened, f);
  WAIT_FOR (f->opened);
}

static void
begin_session (Fixture *f)
{
  f->session = swage_session_new ();
  f->history = swage_session_get_history (f->session);
  swage_history_set_folder (f->history, f->folder);
  g_signal_connect_swapped (f->session, "previewed", G_CALLBACK (on_previewed), f);
  g_signal_connect_swapped (f->session, "message", G_CALLBACK (on_message), f);
  open_sample (f);
}

static void
end_session (Fixture *f)
{
  g_object_run_dispose (G_OBJECT (f->session));
  g_clear_object (&f->session);
  gint64 until = g_get_monotonic_time () + G_USEC_PER_SEC / 5;
  while (g_get_monotonic_time () < until)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (2000);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("swage-views-XXXXXX", NULL);
  begin_session (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  end_session (f);
  GDir *dir = g_dir_open (f->folder, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (f->folder, name, NULL);
      g_remove (path);
    }
  g_dir_close (dir);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
}

static void
set_recipe (Fixture *f, const char *layer, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (text, &error);
  g_assert_no_error (error);
  SwageLayerItem *item = swage_session_find_layer (f->session, layer);
  swage_session_set_selection (f->session, &item, 1);
  swage_session_set_recipe (f->session, recipe, text);
}

static void
preview (Fixture *f)
{
  int before = f->previewed_well;
  swage_session_preview (f->session);
  WAIT_FOR (!swage_session_is_busy (f->session));
  g_assert_cmpint (f->previewed_well, ==, before + 1);
}

static SwageTrial *
get_trial (Fixture *f, guint i)
{
  g_autoptr (SwageTrial) trial = g_list_model_get_item (swage_history_get_trials (f->history), i);
  g_assert_nonnull (trial);
  return trial;
}

static guint
count_trials (Fixture *f)
{
  return g_list_model_get_n_items (swage_history_get_trials (f->history));
}

static char *
get_plan_text (Fixture *f)
{
  return swage_plan_to_text (swage_session_get_plan (f->session));
}

static void
test_history (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpuint (count_trials (f), ==, 0);
  set_recipe (f, "blk.7.ffn_down", "rtn:type=q4_k");
  g_autofree char *first = get_plan_text (f);
  preview (f);
  g_assert_cmpuint (count_trials (f), ==, 1);
  SwageTrial *a = get_trial (f, 0);
  g_assert_true (a->current && a->front && a->measured);
  g_assert_cmpint (a->number, ==, 1);
  g_assert_cmpfloat (a->kld, >, 0);
  swage_history_take_snapshot (f->history, 0);
  g_assert_true (swage_history_get_snapshot (f->history, 0) == a);
  set_recipe (f, "blk.7.ffn_down", "rtn:type=q2_k");
  g_assert_false (a->current);
  /* B before it is measured, and after */
  swage_history_take_snapshot (f->history, 1);
  g_assert_false (swage_history_get_snapshot (f->history, 1)->measured);
  g_assert_cmpuint (swage_history_get_snapshot (f->history, 1)->bytes, <, a->bytes);
  preview (f);
  g_assert_cmpuint (count_trials (f), ==, 2);
  SwageTrial *b = get_trial (f, 1);
  g_assert_true (swage_history_get_snapshot (f->history, 1) == b);
  g_assert_true (a->front && b->front); /* smaller and worse: both */
  g_assert_cmpfloat (b->kld, >, a->kld);
  g_autoptr (GListModel) differences = swage_history_compare (f->history, a, b, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_list_model_get_n_items (differences), ==, 1);
  g_autoptr (SwageDifference) d = g_list_model_get_item (differences, 0);
  g_assert_cmpstr (d->name, ==, "blk.7.ffn_down");
  g_assert_cmpuint (d->a_bytes - d->b_bytes, ==, a->bytes - b->bytes);
  /* back to A, and that can be undone */
  g_assert_true (swage_history_restore (f->history, a, &error));
  g_autofree char *restored = get_plan_text (f);
  g_assert_cmpstr (restored, ==, first);
  g_assert_true (a->current);
  gboolean stale;
  g_assert_cmpstr (swage_plan_get_undo_label (swage_session_get_plan (f->session)), ==, "Restore trial 1");
  swage_plan_undo (swage_session_get_plan (f->session));
  g_assert_true (b->current);
  g_object_get (f->session, "stale", &stale, NULL);
  g_assert_false (stale);
  /* the same plan again replaces its numbers; another way of measuring is another list */
  preview (f);
  g_assert_cmpuint (count_trials (f), ==, 2);
  swage_session_set_protocol (f->session, SWAGE_PROTOCOL_HF, 64);
  g_assert_cmpuint (count_trials (f), ==, 0);
  swage_session_set_protocol (f->session, SWAGE_PROTOCOL_HF, 128);
  g_assert_cmpuint (count_trials (f), ==, 2);
  g_assert_cmpint (f->n_messages, ==, 0);

  /* another day */
  end_session (f);
  begin_session (f);
  g_assert_cmpuint (count_trials (f), ==, 2);
  SwageTrial *kept = get_trial (f, 0);
  g_assert_cmpint (kept->number, ==, 1);
  g_assert_false (kept->current);
  g_assert_true (swage_history_restore (f->history, kept, &error));
  g_autofree char *again = get_plan_text (f);
  g_assert_cmpstr (again, ==, first);
  swage_history_clear (f->history);
  g_assert_cmpuint (count_trials (f), ==, 0);
}

static void
test_weights (Fixture *f, gconstpointer data)
{
  SwageWeight *weights[2];
  const char *problem;
  SwageLayerItem *item = swage_session_find_layer (f->session, "blk.2.attn_q");
  swage_session_set_selection (f->session, &item, 1);
  g_assert_false (swage_session_get_weights (f->session, item, weights, &problem));
  swage_session_set_want_weights (f->session, true);
  WAIT_FOR (swage_session_get_weights (f->session, item, weights, &problem));
  g_assert_cmpint (weights[0]->rows, ==, 256);
  g_assert_null (weights[1]);
  set_recipe (f, "blk.2.attn_q", "magnitude:sparsity=0.5");
  g_assert_false (swage_session_get_weights (f->session, item, weights, &problem));
  WAIT_FOR (swage_session_get_weights (f->session, item, weights, &problem));
  g_assert_nonnull (weights[1]);
  g_autofree float *values = swage_weight_decode_all (weights[1]);
  int zeros = 0;
  for (int i = 0; i < 256 * 256; i++)
    zeros += values[i] == 0;
  g_assert_cmpint (zeros, >=, 256 * 128);
  /* nobody looks: they are let go */
  swage_session_set_want_weights (f->session, false);
  g_assert_false (swage_session_get_weights (f->session, item, weights, &problem));
}

static void
test_levels (void)
{
  float values[] = { 0.5f, -1, 0, 0.5f, 2, -1, 0, 0 };
  int n;
  g_autoptr (SwageWeight) weight
      = swage_weight_new (SWAGE_TYPE_F32, 2, 4, g_bytes_new (values, sizeof values));
  g_autofree float *levels = swage_weight_find_levels (weight, 4, &n);
  g_assert_cmpint (n, ==, 4);
  g_assert_true (levels[0] == -1 && levels[1] == 0 && levels[2] == 0.5f && levels[3] == 2);
  g_assert_null (swage_weight_find_levels (weight, 3, &n));
  g_assert_cmpint (n, ==, 0);
}

static void
test_text (Fixture *f, gconstpointer data)
{
  /* the original against itself */
  swage_session_write_text (f->session, "In the beginning", 6);
  g_assert_true (swage_session_is_busy (f->session));
  WAIT_FOR (!swage_session_is_busy (f->session));
  SwageTextRun *run = swage_session_get_text (f->session);
  g_assert_cmpint (swage_text_run_get_divergence (run), ==, -1);
  g_autoptr (GArray) original = swage_text_run_get_tokens (run, SWAGE_TEXT_ORIGINAL);
  g_assert_cmpuint (original->len, ==, 6);
  for (guint i = 0; i < 6; i++)
    g_assert_cmpfloat (g_array_index (original, SwageTextToken, i).kld, ==, 0);
  /* against a ruin */
  g_autoptr (GError) error = NULL;
  swage_plan_add_rule_text (swage_session_get_plan (f->session), "blk.*=magnitude:sparsity=0.9", &error);
  g_assert_no_error (error);
  swage_session_write_text (f->session, "In the beginning", 6);
  WAIT_FOR (!swage_session_is_busy (f->session));
  run = swage_session_get_text (f->session);
  int at = swage_text_run_get_divergence (run);
  g_assert_cmpint (at, >=, 0);
  g_autoptr (GArray) same = swage_text_run_get_tokens (run, SWAGE_TEXT_ORIGINAL);
  g_autoptr (GArray) plan = swage_text_run_get_tokens (run, SWAGE_TEXT_PLAN);
  for (guint i = 0; i < same->len; i++)
    {
      const SwageTextToken *token = &g_array_index (same, SwageTextToken, i);
      g_assert_cmpint (token->id, ==, g_array_index (original, SwageTextToken, i).id);
      g_assert_cmpstr (token->piece, ==, g_array_index (original, SwageTextToken, i).piece);
      g_assert_cmpfloat (token->kld, >, 0);
    }
  /* up to and with the first different token both were chosen after the same words */
  for (int i = 0; i <= at && i < (int)plan->len; i++)
    g_assert_cmpfloat_with_epsilon (g_array_index (plan, SwageTextToken, i).kld,
                                    g_array_index (same, SwageTextToken, i).kld, 1e-3);
  /* stopped */
  swage_session_write_text (f->session, "And God said", 400);
  WAIT_FOR (swage_text_run_get_serial (swage_session_get_text (f->session)) > 0);
  swage_session_cancel (f->session);
  WAIT_FOR (!swage_session_is_busy (f->session));
  g_autoptr (GArray) some
      = swage_text_run_get_tokens (swage_session_get_text (f->session), SWAGE_TEXT_ORIGINAL);
  g_assert_cmpuint (some->len, >, 0);
  g_assert_cmpint (f->n_messages, ==, 0);
}

static void
test_live (Fixture *f, gconstpointer data)
{
  swage_session_set_live (f->session, true);
  WAIT_FOR (f->previewed_well == 1); /* what is there, at once */
  /* changes in quick succession: measured once they rest */
  set_recipe (f, "blk.0.ffn_up", "rtn:type=q4_k");
  set_recipe (f, "blk.0.ffn_up", "rtn:type=q3_k");
  WAIT_FOR (swage_session_is_busy (f->session));
  /* while it runs: begun anew, without a word */
  set_recipe (f, "blk.0.ffn_up", "rtn:type=q2_k");
  gboolean stale = TRUE;
  WAIT_FOR (!swage_session_is_busy (f->session)
            && (g_object_get (f->session, "stale", &stale, NULL), !stale));
  g_assert_cmpint (f->n_messages, ==, 0);
  int before = f->previewed_well;
  swage_session_set_live (f->session, false);
  set_recipe (f, "blk.0.ffn_up", "rtn:type=q8_0");
  gint64 until = g_get_monotonic_time () + 1200 * 1000;
  while (g_get_monotonic_time () < until)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (5000);
  g_assert_cmpint (f->previewed_well, ==, before);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, func) g_test_add ("/session/" path, Fixture, NULL, set_up, func, tear_down)
  g_test_add_func ("/session/levels", test_levels);
  ADD ("history", test_history);
  ADD ("weights", test_weights);
  ADD ("text", test_text);
  ADD ("live", test_live);
  return g_test_run ();
}
