/* SPDX-License-Identifier: MIT
 *
 * Sessions that outlive the program. While a model is open in a window, a record of it (model, plan with all
 * its changes) is kept in a folder, written on a thread after every change; a session that ends in order
 * removes its record. What is found at the next start was lost: killed, crashed, out of power. A record is
 * held with flock(2), which the kernel gives up with the process however that ends, so a record of a program
 * that runs is never taken for a lost one. Main thread.
 */
#pragma once

#include "ui/shell/swage-session.h"

/* The record of one session, from its next model on. The session outlives it. */
typedef struct _SwageRecovery SwageRecovery;
SwageRecovery *swage_recovery_new (SwageSession *session);
/* Write now what is not written yet, and wait for it. */
void swage_recovery_flush (SwageRecovery *recovery);
/* The session has ended in order: the record goes. */
void swage_recovery_end (SwageRecovery *recovery);
/* Frees; the record stays for the next start. NULL is allowed. */
void swage_recovery_free (SwageRecovery *recovery);

/* A lost session. It is held while this exists, so that no other window offers it too. */
typedef struct
{
  char *model;     /* path */
  char *plan_path; /* NULL: never saved */
  char *plan_text;
  bool modified; /* the plan had changes that plan_path has not */
  int64_t time;  /* seconds since 1970 */
  char *file, *lock_file;
  int lock;
} SwageLost;
/* All of them, newest first: SwageLost. Freeing the array keeps them for the next start. New. */
GPtrArray *swage_recovery_find_lost (void);
void swage_lost_free (SwageLost *lost);
/* For good. Frees. */
void swage_lost_discard (SwageLost *lost);
/* Make the plan of a lost session that of this one, which has its model open. */
bool swage_session_restore (SwageSession *session, const SwageLost *lost, GError **error);
