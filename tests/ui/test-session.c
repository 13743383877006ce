/* SPDX-License-Identifier: MIT
 *
 * The session without a window: sizes at once, background statistics, preview, cancelling, what is
 * superseded, export.
 */
#include "wait.h"
#include "ui/shell/swage-session.h"

#include "core/base/swage-error.h"

#include <glib/gstdio.h>

typedef struct
{
  SwageSession *session;
  char *sample;
  bool opened;
  GError *error;
  int previewed, previewed_well, n_errors;
  char *exported, *message;
} Fixture;

static void
on_opened (GObject *source, GAsyncResult *result, gpointer data)
{
  Fixture *f = data;
  swage_session_open_finish (SWAGE_SESSION (source), result, &f->error);
  f->opened = true;
}

static void
on_previewed (Fixture *f, gboolean success)
{
  f->previewed++;
  f->previewed_well += success;
}

static void
on_exported (Fixture *f, const char *path)
{
  g_free (f->exported);
  f->exported = g_strdup (path);
}

static void
on_message (Fixture *f, const char *text, gboolean is_error)
{
  g_free (f->message);
  f->message = g_strdup (text);
  f->n_errors += is_error;
}

static void
open_path (Fixture *f, const char *path)
{
  f->opened = false;
  g_clear_error (&f->error);
  swage_session_open_async (f->session, path, NULL, on_opened, f);
  WAIT_FOR (f->opened);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  const char *folder = g_getenv ("SWAGE_DATA_DIR");
  f->sample = g_build_filename (folder != NULL ? folder : "data", "sample", NULL);
  f->session = swage_session_new ();
  g_autofree char *calibration = g_build_filename (f->sample, "kjv.calibration.txt", NULL);
  g_autofree char *evaluation = g_build_filename (f->sample, "kjv.eval.txt", NULL);
  swage_session_set_calibration (f->session, calibration);
  swage_session_set_evaluation (f->session, evaluation);
  g_signal_connect_swapped (f->session, "previewed", G_CALLBACK (on_previewed), f);
  g_signal_connect_swapped (f->session, "exported", G_CALLBACK (on_exported), f);
  g_signal_connect_swapped (f->session, "message", G_CALLBACK (on_message), f);
  open_path (f, f->sample);
  g_assert_no_error (f->error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_object_run_dispose (G_OBJECT (f->session));
  g_clear_object (&f->session);
  /* what was running ends by itself; give it the chance, so that nothing is reported as lost */
  gint64 until = g_get_monotonic_time () + G_USEC_PER_SEC / 5;
  while (g_get_monotonic_time () < until)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (2000);
  g_free (f->sample);
  g_free (f->exported);
  g_free (f->message);
  g_clear_error (&f->error);
}

static void
select_layer (Fixture *f, const char *name)
{
  SwageLayerItem *item = swage_session_find_layer (f->session, name);
  g_assert_nonnull (item);
  swage_session_set_selection (f->session, &item, 1);
}

static void
set_recipe (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (text, &error);
  g_assert_no_error (error);
  swage_session_set_recipe (f->session, recipe, text);
}

static void
count (int *n)
{
  ++*n;
}

/* A device that is not there is told once, and the work is done all the same. */
static void
test_device (Fixture *f, gconstpointer data)
{
  int n_failures = 0;
  g_assert_cmpstr (swage_session_get_device (f->session), ==, "cpu");
  g_signal_connect_swapped (f->session, "device-failed", G_CALLBACK (count), &n_failures);
  swage_session_set_device (f->session, "vulkan:no such device");
  select_layer (f, "blk.2.attn_q");
  set_recipe (f, "rtn:type=q4_k");
  SwageLayerItem *item = swage_session_get_focus (f->session);
  WAIT_FOR (item->has_error);
  g_assert_cmpint (n_failures, ==, 1);
  g_assert_cmpstr (swage_session_get_device (f->session), ==, "cpu");
  select_layer (f, "blk.3.attn_q");
  set_recipe (f, "rtn:type=q4_k");
  item = swage_session_get_focus (f->session);
  WAIT_FOR (item->has_error);
  g_assert_cmpint (n_failures, ==, 1);
  /* asked for again, it is looked for again */
  swage_session_set_device (f->session, "vulkan:no such device");
  set_recipe (f, "rtn:type=q5_k");
  WAIT_FOR (item->has_error && n_failures == 2);
  g_assert_cmpint (f->n_errors, ==, 0);
  g_signal_handlers_disconnect_by_data (f->session, &n_failures);
}

static void
test_open (Fixture *f, gconstpointer data)
{
  GListModel *layers = swage_session_get_layers (f->session);
  /* eight blocks of seven linear layers, and the tied embedding */
  g_assert_cmpuint (g_list_model_get_n_items (layers), ==, 57);
  SwagePlanSize size;
  g_assert_true (swage_session_get_size (f->session, &size, NULL));
  g_assert_cmpuint (size.bytes, ==, size.original_bytes);
  g_assert_false (swage_session_is_modified (f->session));
  g_assert_false (swage_plan_can_undo (swage_session_get_plan (f->session)));
  /* what cannot be opened leaves what is open */
  open_path (f, "/nowhere/at/all");
  g_assert_nonnull (f->error);
  g_assert_nonnull (swage_session_get_model (f->session));
  g_assert_cmpuint (g_list_model_get_n_items (layers), ==, 57);
}

static void
test_sizes (Fixture *f, gconstpointer data)
{
  SwagePlanSize before, after;
  swage_session_get_size (f->session, &before, NULL);
  select_layer (f, "blk.3.ffn_down");
  set_recipe (f, "rtn:type=q4_k");
  /* at once: no main loop has run */
  g_assert_true (swage_session_get_size (f->session, &after, NULL));
  /* 256 × 768 weights from 16 to 4.5 bits */
  g_assert_cmpuint (before.bytes - after.bytes, ==, 256 * 768 * 23 / 2 / 8);
  SwageLayerItem *item = swage_session_get_focus (f->session);
  g_assert_cmpfloat_with_epsilon (swage_layer_item_get_bits (item), 4.5, 1e-9);
  g_assert_true (isnan (swage_layer_item_get_relative_error (item)));
  g_assert_true (swage_session_is_modified (f->session));
  swage_plan_undo (swage_session_get_plan (f->session));
  swage_session_get_size (f->session, &after, NULL);
  g_assert_cmpuint (before.bytes, ==, after.bytes);
  g_assert_false (swage_session_is_modified (f->session));
  g_assert_cmpfloat (swage_layer_item_get_relative_error (item), ==, 0);
}

static void
test_statistics (Fixture *f, gconstpointer data)
{
  select_layer (f, "blk.2.ffn_up");
  SwageLayerItem *item = swage_session_get_focus (f->session);
  set_recipe (f, "rtn:type=q4_0");
  WAIT_FOR (item->weight_before != NULL && item->weight_after != NULL);
  g_assert_cmpint (item->weight_before->summary.n, ==, 768 * 256);
  g_assert_true (swage_session_is_current (f->session, item));
  double coarse = swage_layer_item_get_relative_error (item);
  g_assert_cmpfloat (coarse, >, 0.01);
  g_assert_cmpfloat (coarse, <, 0.2);
  /* superseded in quick succession: the last one counts */
  set_recipe (f, "rtn:type=q2_k");
  set_recipe (f, "rtn:type=q3_k");
  set_recipe (f, "rtn:type=q8_0");
  g_assert_true (isnan (swage_layer_item_get_relative_error (item)));
  WAIT_FOR (!isnan (swage_layer_item_get_relative_error (item)));
  g_assert_cmpfloat (swage_layer_item_get_relative_error (item), <, coarse / 5);
  g_assert_true (swage_session_is_current (f->session, item));
  /* activations come only when they are looked at */
  g_assert_null (item->act_before);
  swage_session_set_want_activations (f->session, true);
  WAIT_FOR (item->act_before != NULL);
  g_assert_cmpint (item->act_before->n_in, ==, 256);
  g_assert_cmpint (item->act_before->summary.n, >, 0);
  /* one pass brings those of all layers, and of the embedding as far as it is the output layer too */
  g_assert_cmpint (swage_session_find_layer (f->session, "blk.7.ffn_down")->act_before->n_in, ==, 768);
  SwageLayerItem *embedding = swage_session_find_layer (f->session, "token_embd");
  g_assert_true ((embedding->act_before != NULL) == swage_layer_item_has_activations (embedding));
  g_assert_cmpint (f->n_errors, ==, 0);
}

static void
test_preview (Fixture *f, gconstpointer data)
{
  select_layer (f, "blk.7.ffn_down");
  set_recipe (f, "rtn:type=q4_k");
  swage_session_preview (f->session);
  g_assert_true (swage_session_is_busy (f->session));
  WAIT_FOR (f->previewed == 1);
  g_assert_cmpint (f->previewed_well, ==, 1);
  g_assert_false (swage_session_is_busy (f->session));
  const SwagePreviewResult *result = swage_session_get_result (f->session);
  /* the reference value of the sample for windows of 512 tokens, computed outside of this project */
  g_assert_cmpfloat_with_epsilon (result->baseline_perplexity, 33.689, 33.689 * 0.001);
  g_assert_cmpfloat (result->kld_mean, >, 0);
  g_assert_cmpfloat (result->top1_agreement, >, 0.9);
  gboolean stale;
  g_object_get (f->session, "stale", &stale, NULL);
  g_assert_false (stale);
  /* another plan: the numbers are not its numbers; and back again: they are */
  set_recipe (f, "rtn:type=q6_k");
  g_object_get (f->session, "stale", &stale, NULL);
  g_assert_true (stale);
  swage_plan_undo (swage_session_get_plan (f->session));
  g_object_get (f->session, "stale", &stale, NULL);
  g_assert_false (stale);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  /* before it has begun */
  swage_session_preview (f->session);
  swage_session_cancel (f->session);
  g_assert_false (swage_session_is_busy (f->session));
  g_assert_cmpint (f->previewed, ==, 1);
  /* while it runs */
  swage_session_preview (f->session);
  double progress = 0;
  WAIT_FOR ((g_object_get (f->session, "progress", &progress, NULL), progress > 0));
  swage_session_cancel (f->session);
  WAIT_FOR (!swage_session_is_busy (f->session));
  g_assert_cmpint (f->previewed, ==, 2);
  g_assert_cmpint (f->previewed_well, ==, 0);
  g_assert_null (swage_session_get_result (f->session));
  g_assert_cmpint (f->n_errors, ==, 0);
  /* another model while it runs */
  swage_session_preview (f->session);
  open_path (f, f->sample);
  g_assert_no_error (f->error);
  g_assert_false (swage_session_is_busy (f->session));
}

static void
test_export (Fixture *f, gconstpointer data)
{
  g_autofree char *folder = g_dir_make_tmp ("swage-ui-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "out.gguf", NULL);
  select_layer (f, "blk.0.attn_q");
  set_recipe (f, "rtn:type=q8_0");
  uint64_t bytes = 0;
  g_autoptr (GPtrArray) lint = swage_session_lint (f->session, SWAGE_EXPORT_GGUF, SWAGE_TYPE_NONE, &bytes);
  g_assert_nonnull (lint);
  swage_session_export (f->session, SWAGE_EXPORT_GGUF, path, SWAGE_TYPE_NONE, false);
  WAIT_FOR (!swage_session_is_busy (f->session));
  g_assert_cmpstr (f->exported, ==, path);
  GStatBuf info;
  g_assert_cmpint (g_stat (path, &info), ==, 0);
  g_assert_cmpuint ((uint64_t)info.st_size, ==, bytes);
  /* not over what is there */
  g_clear_pointer (&f->exported, g_free);
  swage_session_export (f->session, SWAGE_EXPORT_GGUF, path, SWAGE_TYPE_NONE, false);
  WAIT_FOR (!swage_session_is_busy (f->session));
  g_assert_null (f->exported);
  g_assert_cmpint (f->n_errors, ==, 1);
  g_remove (path);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_plan_files (Fixture *f, gconstpointer data)
{
  g_autofree char *folder = g_dir_make_tmp ("swage-ui-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.plan.json", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *warning = NULL;
  select_layer (f, "blk.1.attn_k");
  set_recipe (f, "rtn:type=q5_k");
  g_assert_true (swage_session_save_plan (f->session, path, &error));
  g_assert_no_error (error);
  g_assert_false (swage_session_is_modified (f->session));
  swage_session_set_recipe (f->session, NULL, "clear");
  g_assert_true (swage_session_is_modified (f->session));
  g_assert_true (swage_session_load_plan (f->session, path, &warning, &error));
  g_assert_no_error (error);
  g_assert_null (warning);
  g_assert_cmpfloat_with_epsilon (swage_layer_item_get_bits (swage_session_get_focus (f->session)), 5.5,
                                  1e-9);
  g_assert_false (swage_session_is_modified (f->session));
  /* a bad one leaves what is there */
  g_assert_true (g_file_set_contents (path, "{\"swage_plan\": 1, \"nonsense\": 2}", -1, NULL));
  g_assert_false (swage_session_load_plan (f->session, path, &warning, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_cmpint (swage_plan_get_n_rules (swage_session_get_plan (f->session)), ==, 1);
  g_remove (path);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, func) g_test_add ("/session/" path, Fixture, NULL, set_up, func, tear_down)
  ADD ("open", test_open);
  ADD ("sizes", test_sizes);
  ADD ("statistics", test_statistics);
  ADD ("device", test_device);
  ADD ("preview", test_preview);
  ADD ("cancel", test_cancel);
  ADD ("export", test_export);
  ADD ("plan-files", test_plan_files);
  return g_test_run ();
}
