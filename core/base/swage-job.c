/* SPDX-License-Identifier: MIT
 *
 * A step costs one look at the cancellable and one at the clock, so that loops may call it as often as they
 * like; only every 33 ms it goes on to the reporting function.
 */
#include "core/base/swage-job.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>

#define REPORT_INTERVAL (G_USEC_PER_SEC / 30)
#define MAX_DEPTH 16
#define ESTIMATE_AFTER (G_USEC_PER_SEC / 2) /* an estimate from less than this much work is a guess */

/* A range of the whole job, and the current stage as a share of that range. */
typedef struct
{
  double base, span;
  double from, upto;
  bool begun;
} Frame;

struct _SwageJob
{
  int refs;                  /* atomic */
  GCancellable *cancellable; /* our reference */
  SwageJobFunc func;
  gpointer user_data;

  GMutex lock; /* all below; several workers may step one job */
  char *stage;
  Frame frames[MAX_DEPTH];
  int depth;        /* pushes deeper than MAX_DEPTH are counted and otherwise have no effect */
  double fraction;  /* last reported: never goes back */
  bool stage_ended; /* the last step of this stage has been reported */
  gint64 started, reported;
};

SwageJob *
swage_job_new (GCancellable *cancellable, SwageJobFunc func, gpointer user_data)
{
  SwageJob *job = g_new0 (SwageJob, 1);
  job->refs = 1;
  g_mutex_init (&job->lock);
  if (cancellable != NULL)
    job->cancellable = g_object_ref (cancellable);
  job->func = func;
  job->user_data = user_data;
  job->frames[0] = (Frame){ .span = 1.0, .upto = 1.0 };
  job->started = g_get_monotonic_time ();
  return job;
}

SwageJob *
swage_job_ref (SwageJob *job)
{
  if (job != NULL)
    g_atomic_int_inc (&job->refs);
  return job;
}

void
swage_job_unref (SwageJob *job)
{
  if (job == NULL || !g_atomic_int_dec_and_test (&job->refs))
    return;
  g_clear_object (&job->cancellable);
  g_mutex_clear (&job->lock);
  g_free (job->stage);
  g_free (job);
}

/* with the lock held */
static void
report (SwageJob *job, double fraction, gint64 now)
{
  job->fraction = MAX (job->fraction, CLAMP (fraction, 0.0, 1.0));
  job->reported = now;
  if (job->func == NULL)
    return;

  double elapsed = (double)(now - job->started);
  double left = -1;
  if (elapsed > ESTIMATE_AFTER && job->fraction > 0.005)
    left = elapsed * (1.0 - job->fraction) / job->fraction / G_USEC_PER_SEC;
  job->func (job->fraction, job->stage != NULL ? job->stage : "", left, job->user_data);
}

static Frame *
current (SwageJob *job)
{
  return &job->frames[MIN (job->depth, MAX_DEPTH - 1)];
}

/* with the lock held: the first stage of a range starts at its beginning, each later one where the one before
 * ended */
static void
begin (SwageJob *job, double upto, const char *stage)
{
  Frame *frame = current (job);
  frame->from = frame->begun ? frame->upto : 0.0;
  frame->upto = CLAMP (upto, frame->from, 1.0);
  frame->begun = true;
  job->stage_ended = false;
  if (stage != NULL)
    {
      g_free (job->stage);
      job->stage = g_strdup (stage);
    }
  gint64 now = g_get_monotonic_time ();
  if (now - job->reported >= REPORT_INTERVAL)
    report (job, frame->base + frame->span * frame->from, now);
}

void
swage_job_begin (SwageJob *job, double upto, const char *stage)
{
  if (job == NULL)
    return;
  g_mutex_lock (&job->lock);
  begin (job, upto, stage);
  g_mutex_unlock (&job->lock);
}

void
swage_job_push (SwageJob *job, double upto, const char *stage)
{
  if (job == NULL)
    return;
  g_mutex_lock (&job->lock);
  begin (job, upto, stage);
  const Frame *outer = current (job);
  job->depth++;
  if (job->depth < MAX_DEPTH)
    *current (job) = (Frame){
      .base = outer->base + outer->span * outer->from,
      .span = outer->span * (outer->upto - outer->from),
      .upto = 1.0,
    };
  g_mutex_unlock (&job->lock);
}

void
swage_job_pop (SwageJob *job)
{
  if (job == NULL)
    return;
  g_mutex_lock (&job->lock);
  g_warn_if_fail (job->depth > 0);
  job->depth = MAX (job->depth - 1, 0);
  g_mutex_unlock (&job->lock);
}

bool
swage_job_step (SwageJob *job, double done, double total, GError **error)
{
  if (job == NULL)
    return true;
  if (swage_job_is_cancelled (job))
    {
      g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED, _ ("The work was cancelled."));
      return false;
    }

  gint64 now = g_get_monotonic_time ();
  g_mutex_lock (&job->lock);
  bool last = done >= total && !job->stage_ended;
  if (last || now - job->reported >= REPORT_INTERVAL)
    {
      double share = total > 0 ? CLAMP (done / total, 0.0, 1.0) : 1.0;
      job->stage_ended |= last;
      const Frame *frame = current (job);
      report (job, frame->base + frame->span * (frame->from + share * (frame->upto - frame->from)), now);
    }
  g_mutex_unlock (&job->lock);
  return true;
}

bool
swage_job_is_cancelled (SwageJob *job)
{
  return job != NULL && job->cancellable != NULL && g_cancellable_is_cancelled (job->cancellable);
}
