/* SPDX-License-Identifier: MIT
 *
 * A job: progress reports and cancellation of one long piece of work. Every long function takes a SwageJob
 * (NULL is allowed and means: silent, not cancellable) and calls swage_job_step() at least every 50 ms.
 */
#pragma once

#include <stdbool.h>
#include <gio/gio.h>

typedef struct _SwageJob SwageJob;

/* Called on the working thread, at most 30 times a second and for the last step of a stage. `fraction` is in
 * 0..1 of the whole job, `stage` says what is being done now (translated; valid during the call),
 * `seconds_left` is an estimate or -1. A GUI hands these values to its main loop. */
typedef void (*SwageJobFunc) (double fraction, const char *stage, double seconds_left, gpointer user_data);

/* gives a reference; `cancellable` is borrowed and may be NULL. */
SwageJob *swage_job_new (GCancellable *cancellable, SwageJobFunc func, gpointer user_data);
SwageJob *swage_job_ref (SwageJob *job);
void swage_job_unref (SwageJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageJob, swage_job_unref)

/* Begin a stage that takes the share of the whole job from where the last stage ended to `upto` (0..1). NULL
 * job: no-op. */
void swage_job_begin (SwageJob *job, double upto, const char *stage);
/* A stage made of stages: like swage_job_begin(), but until the matching pop the shares of further stages are
 * of this one's, so that a long function can call others without knowing how they divide their work. NULL
 * job: no-op. */
void swage_job_push (SwageJob *job, double upto, const char *stage);
void swage_job_pop (SwageJob *job);
/* Report `done` of `total` units of the current stage. FALSE with SWAGE_ERROR_CANCELLED when cancelled. NULL
 * job: TRUE. */
bool swage_job_step (SwageJob *job, double done, double total, GError **error);
bool swage_job_is_cancelled (SwageJob *job);
