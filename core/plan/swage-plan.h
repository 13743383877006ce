/* SPDX-License-Identifier: MIT
 *
 * The plan document: which layers get which steps. See PRODUCT.md for the file. A step and a rule list are
 * immutable values, so undo, comparison and handing a plan to a background thread cost a reference.
 */
#pragma once

#include "core/method/swage-method.h"

/* A step: a method with all its parameters. Immutable, refcounted, any thread. */
typedef struct _SwageStep SwageStep;
SwageStep *swage_step_new (const SwageMethod *method); /* defaults */
/* "wanda:sparsity=0.5,pattern=2:4": errors name method, key and allowed range. */
SwageStep *swage_step_new_from_text (const char *text, GError **error);
SwageStep *swage_step_new_with (const SwageStep *step, const char *param, const char *text,
                                GError **error); /* a copy, one value changed */
SwageStep *swage_step_new_enabled (const SwageStep *step, bool enabled);
SwageStep *swage_step_ref (const SwageStep *step);
void swage_step_unref (SwageStep *step);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageStep, swage_step_unref)
const SwageMethod *swage_step_get_method (const SwageStep *step);
const void *swage_step_get_params (const SwageStep *step);
bool swage_step_get_enabled (const SwageStep *step);
bool swage_step_equal (const SwageStep *a, const SwageStep *b);
/* Canonical text: cache keys, --rule syntax. New string. */
char *swage_step_to_text (const SwageStep *step);

/* A recipe: a stack of steps, applied in order. NULL-terminated array inside; immutable, refcounted. */
typedef struct _SwageRecipe SwageRecipe;
SwageRecipe *swage_recipe_new (SwageStep *const *steps, int n); /* refs the steps */
SwageRecipe *swage_recipe_new_from_text (const char *text,
                                         GError **error); /* "wanda:…+rtn:…"; "" or "keep" is empty */
SwageRecipe *swage_recipe_ref (const SwageRecipe *recipe);
void swage_recipe_unref (SwageRecipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageRecipe, swage_recipe_unref)
int swage_recipe_get_n (const SwageRecipe *recipe);
const SwageStep *swage_recipe_get (const SwageRecipe *recipe, int i);
bool swage_recipe_equal (const SwageRecipe *a, const SwageRecipe *b);
/* Canonical text of the enabled steps: what shapes the result; "" when nothing does. */
char *swage_recipe_to_text (const SwageRecipe *recipe);
SwageNeeds swage_recipe_get_needs (const SwageRecipe *recipe); /* of the enabled steps */
/* The spec after all enabled steps. Errors name the layer and the step. */
bool swage_recipe_cost (const SwageRecipe *recipe, const char *layer, const SwageLinearSpec *in,
                        SwageLinearSpec *out, GError **error);

typedef struct
{
  char *text, *fingerprint;
  int samples, context;
  uint64_t seed;
} SwageCalibration;

#define SWAGE_TYPE_PLAN (swage_plan_get_type ())
/* The document. Main thread; signals: "changed" after every change (also undo/redo). */
G_DECLARE_FINAL_TYPE (SwagePlan, swage_plan, SWAGE, PLAN, GObject)

SwagePlan *swage_plan_new (void);
/* An independent copy for another thread: rules and calibration, no history. */
SwagePlan *swage_plan_dup (SwagePlan *plan);

/* Files. `origin` names the source in messages; all keys are checked: error messages say file, line, key,
 * allowed range. */
SwagePlan *swage_plan_parse (const char *text, size_t n, const char *origin, GError **error);
SwagePlan *swage_plan_load (const char *path, GError **error); /* "-" is standard input */
bool swage_plan_save (SwagePlan *plan, const char *path, bool overwrite, GError **error);
char *swage_plan_to_text (SwagePlan *plan);
/* Fit to a model: fills the "model" section when empty; a section for another model is reported in *warning
 * (new string, what differs) and replaced only by swage_plan_adopt_model(). */
void swage_plan_set_model (SwagePlan *plan, SwageModel *model, char **warning);
void swage_plan_adopt_model (SwagePlan *plan, SwageModel *model);
/* Every layer of the model against its recipe: parts, types, sizes. The first failure is the error. Rules
 * that match nothing are collected in *unmatched (strv, may be NULL). */
bool swage_plan_check (SwagePlan *plan, SwageModel *model, char ***unmatched, GError **error);

/* Rules, in order; the last that matches a layer wins. Globs: *, ?, [abc] within one name. */
int swage_plan_get_n_rules (SwagePlan *plan);
const char *swage_plan_get_rule (SwagePlan *plan, int i, SwageRecipe **recipe /* borrowed */);
/* Append "GLOB=STEP+STEP" (the command line's --rule). */
bool swage_plan_add_rule_text (SwagePlan *plan, const char *text, GError **error);
void swage_plan_add_rule (SwagePlan *plan, const char *glob, SwageRecipe *recipe);
/* Set the recipe of exactly these layers (one undo step): rules are rewritten so that the file stays short: a
 * rule whose glob is the very name is replaced, rules that no layer of the model needs any more are dropped.
 * recipe NULL: back to unmatched. `label` names the change. */
void swage_plan_set_layers (SwagePlan *plan, SwageModel *model, const char *const *layers,
                            SwageRecipe *recipe, const char *label);
/* A recipe of its own for each of n layers, as one undo step: a rule each, by name. */
void swage_plan_set_each_layer (SwagePlan *plan, SwageModel *model, const char *const *layers,
                                SwageRecipe *const *recipes, int n, const char *label);
void swage_plan_clear (SwagePlan *plan);
/* Take over the rules and the calibration of another plan, as one undo step named `label`. */
void swage_plan_assign (SwagePlan *plan, SwagePlan *source, const char *label);
/* Borrowed; NULL when no rule matches. */
SwageRecipe *swage_plan_get_recipe (SwagePlan *plan, const char *layer);
const SwageCalibration *swage_plan_get_calibration (SwagePlan *plan);
void swage_plan_set_calibration (SwagePlan *plan, const SwageCalibration *calibration);

/* Undo. Consecutive changes with the same label within a second (a slider) are one. */
bool swage_plan_can_undo (SwagePlan *plan);
bool swage_plan_can_redo (SwagePlan *plan);
void swage_plan_undo (SwagePlan *plan);
void swage_plan_redo (SwagePlan *plan);
const char *swage_plan_get_undo_label (SwagePlan *plan); /* translated, NULL when there is nothing */
const char *swage_plan_get_redo_label (SwagePlan *plan);

/* Presets: named plans for any model ("q4_k_m", "wanda-50" …), from a table. Ids NULL-terminated. */
const char *const *swage_plan_get_presets (void);
const char *swage_plan_get_preset_title (const char *id);
bool swage_plan_apply_preset (SwagePlan *plan, const char *id, SwageModel *model, GError **error);

/* Where the transform goes that a recipe puts before a layer: what comes before may take it up, then it is no
 * part of the layer any more (see swage-plan-fold.c for when). */
typedef struct
{
  SwageRole into;  /* the norm or layer of the same block that does this layer's transform; NONE: it stays */
  SwageRole feeds; /* the layer whose transform this one's rows do; NONE */
} SwagePlanFold;
/* `plan` may be NULL: nothing folds. */
void swage_plan_find_fold (SwagePlan *plan, SwageModel *model, const SwageTensor *layer, SwagePlanFold *fold);
/* The layers whose step is a sibling of `step` of `layer`, itself among them, by role: at most
 * SWAGE_PLAN_SIBLINGS; 0 when the method has no siblings. Borrowed. */
#define SWAGE_PLAN_SIBLINGS 4
int swage_plan_find_siblings (SwagePlan *plan, SwageModel *model, const SwageTensor *layer,
                              const SwageStep *step, const SwageTensor **layers, const SwageStep **steps);

/* Exact sizes at once, without reading weights. */
typedef struct
{
  uint64_t bytes,
      original_bytes; /* all tensors of the model: compressed layers by their parts, the rest as stored */
  double bits_per_weight,
      original_bits_per_weight; /* over the parameters of the layers that a plan can name */
  bool exact;
} SwagePlanSize;
bool swage_plan_get_size (SwagePlan *plan, SwageModel *model, SwagePlanSize *size, GError **error);
/* One layer. */
bool swage_plan_get_layer_spec (SwagePlan *plan, SwageModel *model, const SwageTensor *layer,
                                SwageLinearSpec *spec, GError **error);
