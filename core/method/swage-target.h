/* SPDX-License-Identifier: MIT
 *
 * What a second-order method rounds to: any storage of packed weights, seen as scales that are chosen unit by
 * unit and values that are rounded one by one on them.
 *
 * A *unit* is what shares scales: a block of a GGUF type, or a group of plain integers. A target holds some
 * rows of a layer at once, lanes, and every array over them is SWAGE_TARGET_ROWS long, so that loops over
 * lanes vectorise; lanes without a row hold zeros. One target belongs to one thread at a time.
 */
#pragma once

#include "core/base/swage-error.h"
#include "core/linear/swage-linear-spec.h"
#include "kernels/swage-grid.h"

#define SWAGE_TARGET_ROWS 128

/* The ids of the types that methods of this kind offer as their parameter `type`, NULL-terminated; the last
 * is "int". */
extern const char *const swage_target_types[];
#define SWAGE_TARGET_DEFAULT_TYPE 7 /* q4_k */
SwageStorage swage_target_get_storage (int choice, int bits, int group_size, bool symmetric);

/* Whether a weight is stored so already. */
bool swage_target_is_stored_so (const SwageWeight *w, const SwageStorage *to);

/* The part of a method's `cost` that all of them share: rows that the type divides, the spec of the packed
 * weight. FALSE with INVALID, without the layer's name. */
bool swage_target_cost (const SwageStorage *to, const SwageLinearSpec *in, SwageLinearSpec *out,
                        GError **error);

typedef struct
{
  SwageStorage to;
  SwageGridInfo info; /* plain integers: one sub-block, the group */
  int64_t cols;
  int64_t unit, n_units; /* columns of a unit (the last may be shorter); units of a row */
  int64_t sub, n_subs;   /* columns that share a scale; such groups of a row */
  float level[256];
  float top;        /* largest code */
  SwageGrid *grids; /* n_units × ROWS; d alone is used for plain integers */
  /* By sub-block, n_subs × ROWS each: a code of level l means scale·l − min, inverse is 1/scale or 0,
   * `lowest` is the level of code 0 (one for the type, but each group's own for asymmetric integers). */
  float *scale, *inverse, *min, *lowest;
  uint8_t *codes; /* cols × ROWS */
  /* scratch */
  float *values, *importance;
  uint8_t *bytes;
} SwageTarget;

SwageTarget *swage_target_new (const SwageStorage *to, int64_t cols);
void swage_target_free (SwageTarget *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageTarget, swage_target_free)

int64_t swage_target_unit_length (const SwageTarget *target, int64_t unit);
/* Choose the scales of a unit for what its columns hold now, with the type's own search. `v` is columns ×
 * ROWS; `importance` one weight >= 0 a column, or NULL for the plain search. */
void swage_target_choose (SwageTarget *target, int64_t unit, const float *v, const float *importance);
/* Take the scales of a unit from its grids (after they were changed). */
void swage_target_update (SwageTarget *target, int64_t unit);
/* Round column `col` of all lanes: codes, and what they mean in `w_hat`. */
void swage_target_round (SwageTarget *target, int64_t col, const float *v, float *w_hat);
/* What the codes of a column mean now. */
void swage_target_decode (const SwageTarget *target, int64_t col, float *w_hat);
/* The level of each lane's code in a column: w_hat = scale·level − min. */
void swage_target_get_levels (const SwageTarget *target, int64_t col, float *level);
/* One lane as a row of the storage. `scales` and `zeros` for plain integers (zeros NULL when symmetric). */
void swage_target_write (SwageTarget *target, int lane, uint8_t *codes, uint16_t *scales, uint8_t *zeros);
