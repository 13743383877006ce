/* SPDX-License-Identifier: MIT
 *
 * What the files of core/plan share.
 */
#pragma once

#include "core/plan/swage-plan.h"

typedef struct
{
  char *glob;
  SwageRecipe *recipe;
} SwageRule;

/* A version of the document: immutable once it is in the history. */
typedef struct
{
  gatomicrefcount refs;
  GPtrArray *rules; /* of SwageRule */
  SwageCalibration calibration;
} SwagePlanState;

typedef struct
{
  char *name, *architecture, *fingerprint;
} SwagePlanModel;

struct _SwagePlan
{
  GObject parent_instance;
  SwagePlanModel model;
  SwagePlanState *state;
  GPtrArray *undo, *redo; /* of Change */
  char *last_label;       /* of the change that a next one may join */
  gint64 last_time;
};

SwageRule *swage_rule_new (const char *glob, SwageRecipe *recipe); /* refs recipe */
void swage_rule_free (SwageRule *rule);

SwagePlanState *swage_plan_state_new (void);
/* A copy whose rule array may be changed; the rules themselves are copied by reference to their recipes. */
SwagePlanState *swage_plan_state_dup (const SwagePlanState *state);
void swage_plan_state_unref (SwagePlanState *state);
SwageRecipe *swage_plan_state_find (const SwagePlanState *state, const char *layer); /* borrowed */

/* Make `state` (taken) the current one, as one undo step named `label`, and emit "changed". */
void swage_plan_commit (SwagePlan *plan, SwagePlanState *state, const char *label);
/* Replace without history: loading. */
void swage_plan_replace (SwagePlan *plan, SwagePlanState *state);
void swage_calibration_copy (SwageCalibration *to, const SwageCalibration *from);
void swage_calibration_clear (SwageCalibration *calibration);
bool swage_glob_match (const char *glob, const char *layer);
/* The layer as it is in the file, without reading it. */
void swage_plan_original_spec (SwageModel *model, const SwageTensor *layer, SwageLinearSpec *spec);
