/* SPDX-License-Identifier: MIT
 *
 * One layer's recipe, run: the steps one after the other, each with what it may know of its surroundings, and
 * the folding of what they leave into the neighbours. The pipeline's inner part; knows nothing of states and
 * caches.
 */
#pragma once

#include "core/engine/swage-engine.h"
#include "core/plan/swage-plan.h"

typedef struct
{
  SwageModel *model;
  SwagePlan *plan; /* NULL: the layer has neither siblings nor anything to fold */
  const SwageTensor *layer;
  const SwageRecipe *recipe;
  const SwageActStats *stats; /* of the layer's input; NULL where no step needs any */
  const float *row_scale;     /* what the rows are multiplied by before the first step; NULL: nothing */
  uint64_t seed;
  SwageBackend *backend; /* what the layer will run on, where methods may work too; NULL: the CPU */
} SwageRecipeRun;
/* The layer after its recipe. Where the plan folds its transform, the transform is gone and marked as
 * absorbed. */
SwageLinear *swage_recipe_run (const SwageRecipeRun *run, SwageJob *job, GError **error);

/* What beside its own recipe shapes a layer, as text for cache keys: its siblings' steps, and what is folded.
 * New string, mostly empty. */
char *swage_recipe_describe_surroundings (SwagePlan *plan, SwageModel *model, const SwageTensor *layer);
/* What the rows of `layer` are to be multiplied by because `reader`, the finished layer that it feeds, has
 * its transform folded into them. New; NULL: nothing. */
float *swage_recipe_get_row_scale (SwageModel *model, const SwageTensor *layer, const SwageLinear *reader);
/* The vector of a norm before `linear`, its weight or its bias, with what the layer has folded into it. */
void swage_recipe_fold_vector (const SwageLinear *linear, bool is_bias, float *values);
/* All norms of a block. `layers`: by index of swage_model_get_layer(), NULL where there is nothing. */
bool swage_recipe_fold_norms (SwagePlan *plan, SwageModel *model, SwageLinear *const *layers,
                              SwageBlock *block, GError **error);
/* The index of the layer for swage_model_get_layer(); −1 when there is none. */
int swage_model_find_layer_index (SwageModel *model, int block, SwageRole role);
