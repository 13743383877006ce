/* SPDX-License-Identifier: MIT
 *
 * What has been tried on the open model: every plan that a preview has measured, and two snapshots, A and B,
 * to compare. Trials are kept per model in a folder, so that they are there on another day. Main thread;
 * files are read when a model opens and written on a thread.
 */
#pragma once

#include "ui/shell/swage-session.h"

#define SWAGE_TYPE_TRIAL (swage_trial_get_type ())
/* One plan with what was measured of it. Properties for rows: title, size-text, bits-text, perplexity-text,
 * kld-text, agreement-text, marks (what it is now: "A", "B", "●" for the plan that is set, "◆" on the front).
 */
G_DECLARE_FINAL_TYPE (SwageTrial, swage_trial, SWAGE, TRIAL, GObject)
struct _SwageTrial
{
  GObject parent_instance;
  int number;      /* from 1, in order of trying; 0: a snapshot that was never measured */
  char *title;     /* what the plan mostly does */
  char *plan_text; /* the plan's file */
  char *measure;   /* text, protocol and context: numbers of one kind can be compared */
  int64_t time;    /* seconds since 1970 */
  uint64_t bytes;
  double bits_per_weight;
  bool measured; /* whether what follows is known */
  double perplexity, perplexity_stderr, baseline_perplexity;
  double kld, kld_stderr, top1;
  bool front, current; /* on the front of what can be compared; the plan that is set */
  char marks[16];
};

#define SWAGE_TYPE_HISTORY (swage_history_get_type ())
/* Signal: changed (), after a trial, a snapshot or the plan that is set has changed. */
G_DECLARE_FINAL_TYPE (SwageHistory, swage_history, SWAGE, HISTORY, GObject)

/* The session's, made when it is first asked for; borrowed. */
SwageHistory *swage_session_get_history (SwageSession *session);
/* Where trials are kept from now on (created when missing); NULL: nowhere. Takes effect with the next model.
 */
void swage_history_set_folder (SwageHistory *history, const char *folder);
/* SwageTrial, those that were measured as the session measures now; borrowed. */
GListModel *swage_history_get_trials (SwageHistory *history);
/* The plan of a trial becomes the plan, as one step of undo. */
bool swage_history_restore (SwageHistory *history, SwageTrial *trial, GError **error);
/* Forget all trials of this model, also in the folder. */
void swage_history_clear (SwageHistory *history);

/* Snapshots: slot 0 is A, slot 1 is B. */
void swage_history_take_snapshot (SwageHistory *history, int slot);
/* The same of a trial. */
void swage_history_set_snapshot (SwageHistory *history, int slot, SwageTrial *trial);
SwageTrial *swage_history_get_snapshot (SwageHistory *history, int slot); /* borrowed, NULL: none */

#define SWAGE_TYPE_DIFFERENCE (swage_difference_get_type ())
/* A layer that two plans treat differently. Properties: name, a-text, b-text, change-text (of bytes, B
 * against A). */
G_DECLARE_FINAL_TYPE (SwageDifference, swage_difference, SWAGE, DIFFERENCE, GObject)
struct _SwageDifference
{
  GObject parent_instance;
  char *name, *a_text, *b_text; /* type, and recipe */
  uint64_t a_bytes, b_bytes;    /* 0: the recipe cannot be applied */
};
/* The layers that differ, in model order: SwageDifference. NULL when a plan cannot be read. New. */
GListModel *swage_history_compare (SwageHistory *history, SwageTrial *a, SwageTrial *b, GError **error);
