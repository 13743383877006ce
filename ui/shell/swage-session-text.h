/* SPDX-License-Identifier: MIT
 *
 * The same prompt continued by the original and by the plan: greedy, so that every difference is the plan's.
 * Tokens come one by one; how far the two distributions are apart after the same words comes behind them.
 */
#pragma once

#include "core/pipeline/swage-pipeline.h"
#include "ui/shell/swage-session.h"

typedef enum
{
  SWAGE_TEXT_ORIGINAL,
  SWAGE_TEXT_PLAN
} SwageTextSide;

typedef struct
{
  int32_t id;
  char *piece; /* UTF-8; may be empty while a character is not complete */
  double kld;  /* of the plan from the original where this token was chosen; NaN: not known (yet) */
} SwageTextToken;

typedef struct _SwageTextRun SwageTextRun;
SwageTextRun *swage_text_run_ref (SwageTextRun *run);
void swage_text_run_unref (SwageTextRun *run);
/* A copy of what is there now, under the run's lock: SwageTextToken with pieces of its own. Free with
 * g_array_unref(). */
GArray *swage_text_run_get_tokens (SwageTextRun *run, SwageTextSide side);
/* The first token that differs, also where one text ends before the other; −1: none so far. */
int swage_text_run_get_divergence (SwageTextRun *run);
const char *swage_text_run_get_prompt (SwageTextRun *run);
/* Goes up with every change: what is drawn need be drawn again. */
guint swage_text_run_get_serial (SwageTextRun *run);

/* Continue `prompt` by `max_tokens`; long work, like a preview: does nothing while busy. */
void swage_session_write_text (SwageSession *session, const char *prompt, int max_tokens);
/* The last one, or NULL; borrowed. "notify::progress" comes while it runs, "notify::busy" at its end. */
SwageTextRun *swage_session_get_text (SwageSession *session);

/* For the working thread. */
bool swage_text_run_work (SwageTextRun *run, SwagePipeline *pipeline, SwagePlan *plan, SwageJob *job,
                          GError **error);
