/* SPDX-License-Identifier: MIT
 *
 * Second-order rounding of some rows of a layer to a target, in two phases that may be used alone:
 *
 *   feedback   columns are rounded one after the other, each at its weight plus what makes up best for the
 * errors before it (GPTQ in QuIP's form, see swage-second-order.h); descent    from any codes on, coordinate
 * descent on (w − ŵ)·H·(w − ŵ)ᵀ over codes and scales: every step is the best value of one code, of one
 * integer scale, or of one super-block's halves with all others held, and none makes the error larger.
 *
 * Matrices over lanes are columns × SWAGE_TARGET_ROWS floats. Everything here runs on the calling thread,
 * meant for slices of the pool, and gives the same bits whatever runs beside it.
 */
#pragma once

#include <stdatomic.h>
#include "core/base/swage-blas.h"
#include "core/method/swage-second-order.h"
#include "core/method/swage-target.h"

typedef struct
{
  const SwageBlas *blas;
  const SwageSecondOrder *second; /* with the factor F; feedback alone */
  const float *h;                 /* n × n by column, damped; descent alone */
  const float *importance;        /* by column: weights for the search of scales, or NULL */
  int64_t n;
  int block;          /* columns whose errors are passed on together, a multiple of 32 */
  bool static_groups; /* all scales are chosen before the first column is rounded; must be set when the order
                         is not left to right */
  int sweeps;         /* of the descent, at most: it ends when nothing changes */
  bool refine;        /* whether descent changes scales too */
  SwageJob *job;
  double from, upto;         /* shares of the job's current stage */
  int64_t n_slices;          /* that will be run: for the progress */
  atomic_int_fast64_t *done; /* pieces of work so far, counted here */
} SwageRounder;

/* Count a piece of work: `columns` of one slice in one phase. FALSE when cancelled. */
bool swage_rounder_step (const SwageRounder *rounder, int64_t columns);
/* Floats of scratch memory that both functions need. */
size_t swage_rounder_get_scratch (const SwageRounder *rounder, const SwageTarget *target);
/* `x`: the weights in the working order. `e` gets x − ŵ in that order. */
void swage_feedback_run (const SwageRounder *rounder, SwageTarget *target, const float *x, float *e,
                         float *scratch);
/* `e`: w − ŵ by column, kept up to date. */
void swage_descent_run (const SwageRounder *rounder, SwageTarget *target, float *e, float *scratch);
