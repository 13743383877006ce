/* SPDX-License-Identifier: MIT
 *
 * A job reports seldom, in order and at the end of each stage, and stops when it is cancelled.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-job.h"

#include <errno.h>

typedef struct
{
  int calls;
  double fraction;
  char stage[32];
  bool went_back;
} Seen;

static void
see (double fraction, const char *stage, double seconds_left, gpointer user_data)
{
  Seen *seen = user_data;
  seen->calls++;
  seen->went_back |= fraction < seen->fraction;
  seen->fraction = fraction;
  g_strlcpy (seen->stage, stage, sizeof seen->stage);
  g_assert_true (seconds_left >= 0 || seconds_left == -1);
}

static void
test_rate (void)
{
  Seen seen = { 0 };
  g_autoptr (SwageJob) job = swage_job_new (NULL, see, &seen);
  gint64 start = g_get_monotonic_time ();
  swage_job_begin (job, 1.0, "count");
  for (int i = 0; i <= 1000000; i++)
    g_assert_true (swage_job_step (job, i, 1000000, NULL));
  double seconds = (double)(g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_assert_cmpint (seen.calls, <=, (int)(seconds * 30) + 3);
  g_assert_cmpfloat (seen.fraction, ==, 1.0);
  g_assert_false (seen.went_back);
}

static void
test_stages (void)
{
  Seen seen = { 0 };
  g_autoptr (SwageJob) job = swage_job_new (NULL, see, &seen);
  swage_job_begin (job, 0.25, "read");
  g_assert_cmpstr (seen.stage, ==, "read");
  g_assert_true (swage_job_step (job, 4, 4, NULL)); /* the last step is always told */
  g_assert_cmpfloat (seen.fraction, ==, 0.25);
  int calls = seen.calls;
  g_assert_true (swage_job_step (job, 4, 4, NULL)); /* but once */
  g_assert_cmpint (seen.calls, ==, calls);
  swage_job_begin (job, 0.75, "work");
  g_assert_true (swage_job_step (job, 2, 2, NULL));
  g_assert_cmpfloat (seen.fraction, ==, 0.75);
  g_assert_cmpstr (seen.stage, ==, "work");
  swage_job_begin (job, 1.0, "write");
  g_assert_true (swage_job_step (job, 0, 0, NULL)); /* nothing to do is done */
  g_assert_cmpfloat (seen.fraction, ==, 1.0);
  g_assert_false (seen.went_back);
}

static void
test_nested (void)
{
  Seen seen = { 0 };
  g_autoptr (SwageJob) job = swage_job_new (NULL, see, &seen);
  swage_job_begin (job, 0.2, "open");
  g_assert_true (swage_job_step (job, 1, 1, NULL));
  swage_job_push (job, 0.6, "calibrate"); /* 0.2 to 0.6 */
  swage_job_begin (job, 0.5, "read");
  g_assert_true (swage_job_step (job, 1, 1, NULL));
  g_assert_cmpfloat_with_epsilon (seen.fraction, 0.4, 1e-12);
  swage_job_push (job, 1.0, "run"); /* 0.4 to 0.6, and a callee that begins no stage of its own */
  g_assert_true (swage_job_step (job, 2, 2, NULL));
  g_assert_cmpfloat_with_epsilon (seen.fraction, 0.6, 1e-12);
  g_assert_cmpstr (seen.stage, ==, "run");
  swage_job_pop (job);
  swage_job_pop (job);
  swage_job_begin (job, 1.0, "write");
  g_assert_true (swage_job_step (job, 1, 1, NULL));
  g_assert_cmpfloat (seen.fraction, ==, 1.0);
  g_assert_false (seen.went_back);

  for (int i = 0; i < 40; i++)
    swage_job_push (job, 1.0, "deep");
  for (int i = 0; i < 40; i++)
    swage_job_pop (job);
  swage_job_push (NULL, 1.0, "none");
  swage_job_pop (NULL);
}

static void
test_cancel (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_assert_true (swage_job_step (job, 1, 2, &error));
  g_assert_false (swage_job_is_cancelled (job));
  g_cancellable_cancel (cancellable);
  g_assert_true (swage_job_is_cancelled (job));
  g_assert_false (swage_job_step (job, 2, 2, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
}

static void
test_null (void)
{
  swage_job_begin (NULL, 1.0, "x");
  g_assert_true (swage_job_step (NULL, 1, 2, NULL));
  g_assert_false (swage_job_is_cancelled (NULL));
  g_assert_null (swage_job_ref (NULL));
  swage_job_unref (NULL);
}

static void
test_errors (void)
{
  g_autoptr (GError) error = NULL;
  swage_error_set_errno (&error, ENOSPC, "write", "/a/b");
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, "/a/b"));
  g_clear_error (&error);
  swage_error_set_errno (&error, EACCES, "write", "/a/b");
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_IO);
  g_clear_error (&error);

  swage_error_wrap_io (&error, "x");
  g_assert_no_error (error);
  swage_error_wrap_io (NULL, "x");
  g_autofree char *text = NULL;
  g_assert_false (g_file_get_contents ("/nowhere/at/all", &text, NULL, &error));
  swage_error_wrap_io (&error, "/nowhere/at/all");
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nowhere/at/all"));
  g_autofree char *before = g_strdup (error->message);
  swage_error_wrap_io (&error, "other");
  g_assert_cmpstr (error->message, ==, before);
  g_clear_error (&error);

  g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "full");
  swage_error_wrap_io (&error, "/a/b");
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, "/a/b"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/job/rate", test_rate);
  g_test_add_func ("/base/job/stages", test_stages);
  g_test_add_func ("/base/job/nested", test_nested);
  g_test_add_func ("/base/job/cancel", test_cancel);
  g_test_add_func ("/base/job/null", test_null);
  g_test_add_func ("/base/error", test_errors);
  return g_test_run ();
}
