/* SPDX-License-Identifier: MIT
 *
 * One row of the layer list: a layer that a plan can name, or a group of them (a block, a role). Texts and
 * numbers are properties that rows bind to; statistics are plain fields that the session fills when the
 * background work for them is done. Main thread.
 */
#pragma once

#include "core/plan/swage-plan.h"
#include "core/preview/swage-preview.h"

#include <math.h>

#define SWAGE_TYPE_LAYER_ITEM (swage_layer_item_get_type ())
G_DECLARE_FINAL_TYPE (SwageLayerItem, swage_layer_item, SWAGE, LAYER_ITEM, GObject)

struct _SwageLayerItem
{
  GObject parent_instance;

  const SwageTensor *tensor; /* NULL for a group; owned by the model, which the item holds */
  SwageModel *model;
  int index; /* of the layer in the model */
  char *name, *title, *shape;
  GListStore *children; /* of a group, SwageLayerItem; NULL for a layer */

  /* What the plan makes of it; see swage_layer_item_set_spec(). */
  char *type_text; /* "Q4_K", "BF16" */
  char *problem;   /* why the recipe cannot be applied; NULL: it can */
  uint64_t bytes, original_bytes;
  int64_t parameters;
  bool changed; /* by the plan */

  /* Statistics of the original. NULL: not known (yet). */
  SwageWeightStats *weight_before;
  bool weight_failed; /* there will be none */
  SwageActStats *act_before;
  /* Of what the plan makes of it; each is valid for the key beside it, which is empty when the layer is left
   * as it is. */
  char *after_key;
  SwageWeightStats *weight_after;
  float *levels; /* all values that weight_after is of, ascending, where they are few; else NULL */
  int n_levels;
  bool has_error;
  SwageLayerError error;
  char *after_problem; /* why there is none, for after_key */
  char *act_after_key;
  SwageActStats *act_after;
};

SwageLayerItem *swage_layer_item_new (SwageModel *model, int index);
/* `name` identifies the group ("blk.3", "attn_q"), `title` is what is shown. */
SwageLayerItem *swage_layer_item_new_group (const char *name, const char *title);
void swage_layer_item_add (SwageLayerItem *group, SwageLayerItem *layer);
bool swage_layer_item_is_group (SwageLayerItem *item);
int swage_layer_item_get_block (SwageLayerItem *item);
SwageRole swage_layer_item_get_role (SwageLayerItem *item);
/* Whether anything is multiplied by it: not a token embedding, unless it is the output layer as well. */
bool swage_layer_item_has_activations (SwageLayerItem *item);

/* Spec NULL: the recipe cannot be applied, for the reason `problem`. */
void swage_layer_item_set_spec (SwageLayerItem *item, const SwageLinearSpec *spec, const char *problem);
double swage_layer_item_get_bits (SwageLayerItem *item);
/* Relative weight error, NaN when it is not known, 0 when the layer is left as it is. */
double swage_layer_item_get_relative_error (SwageLayerItem *item);
/* A group's numbers from its layers'. */
void swage_layer_item_update_group (SwageLayerItem *group);

/* These take the statistics and notify "statistics". */
void swage_layer_item_take_weight_before (SwageLayerItem *item, SwageWeightStats *stats);
void swage_layer_item_take_act_before (SwageLayerItem *item, SwageActStats *stats);
void swage_layer_item_take_after (SwageLayerItem *item, const char *key, SwageWeightStats *stats,
                                  const SwageLayerError *error, const char *problem);
void swage_layer_item_take_act_after (SwageLayerItem *item, const char *key, SwageActStats *stats);
/* Forget what another calibration text gave. */
void swage_layer_item_clear_activations (SwageLayerItem *item);
