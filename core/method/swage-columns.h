/* SPDX-License-Identifier: MIT
 *
 * Column-by-column solvers, the common engine of methods that round or prune a weight against the second
 * moments H of its inputs (core/method/swage-second-order.h). Matrices are row-major floats, rows × n, their
 * columns in the working order. Rows do not depend on each other, so they are shared out in fixed slices:
 * same bits for any number of threads.
 *
 *   solve     one pass: column i becomes its rounded value, and what that changes in the outputs is made up
 *             for by the columns that follow: w_j −= e·U_ij for all j > i, e = (w_i − ŵ_i)/U_ii (OBS, GPTQ,
 *             SparseGPT; the same as QuIP's LDLQ). So all columns to the right are at any time what would be
 *             best if nothing more was rounded, which is what masks and scales should be chosen for. Columns
 *             far away get their corrections late, many at once, as matrix products, and these from the
 *             feedback factor F, which says the same.
 *   descend   passes of cyclic coordinate descent on tr (W − Ŵ)·H·(W − Ŵ)ᵀ: column j becomes the rounded
 *             value of ŵ_j + [(w − ŵ)·H]_j / H_jj (QuantEase; QuIP's greedy passes).
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-weight.h"
#include "core/method/swage-second-order.h"

/* The value that replaces `w` in (row, column). Called from several threads. */
typedef float (*SwageColumnRound) (int64_t row, int64_t column, float w, void *user_data);
/* Before columns [c0, c1) of rows [r0, r1) are rounded: w is up to date there, and up to the end of the
 * block. Called from several threads. */
typedef void (*SwageColumnSpan) (int64_t r0, int64_t r1, int64_t c0, int64_t c1, void *user_data);
/* Before a block of columns, on the calling thread: w is up to date there in all rows. */
typedef void (*SwageColumnBlock) (int64_t c0, int64_t c1, void *user_data);

typedef struct
{
  float *w; /* rows × n: in, the weight; out, what it became */
  int64_t rows, n;
  /* with SWAGE_FACTOR_FEEDBACK and SWAGE_FACTOR_INVERSE, whose band is swage_columns_get_panel () at least */
  const SwageSecondOrder *second;
  int64_t block; /* columns of a block, >= 1 */
  /* n flags, or NULL: a group of columns begins here, so a span must, and a block and a panel where they can:
   * all of a group's columns are up to date when its first span begins. */
  const uint8_t *begins;
  SwageColumnBlock begin_block; /* may be NULL */
  SwageColumnSpan begin_span;   /* may be NULL */
  SwageColumnRound round;
  void *user_data;
  double from, upto; /* shares of the job's stage */
  SwageJob *job;
} SwageColumnSolve;

/* Slices are of this many rows, or the last of fewer: spans see whole slices. */
#define SWAGE_COLUMN_ROWS 64
/* The columns that see each other through U when blocks are of `block` columns. */
int64_t swage_columns_get_panel (int64_t n, int64_t block);
/* FALSE with CANCELLED, or UNSUPPORTED without BLAS. */
bool swage_columns_solve (const SwageColumnSolve *solve, GError **error);

typedef struct
{
  const float *w; /* rows × n: the target */
  float *w_hat;   /* rows × n: in, the start; out, the result */
  int64_t rows, n;
  const float *h; /* n × n, symmetric, positive diagonal */
  SwageColumnRound round;
  /* Look at rows [r0, r1) before pass `pass` of them (from 0); may be NULL. */
  void (*begin_pass) (int64_t r0, int64_t r1, int pass, void *user_data);
  void *user_data;
  int n_passes;
  double from, upto;
  SwageJob *job;
} SwageColumnDescent;
bool swage_columns_descend (const SwageColumnDescent *descent, GError **error);

/* c (rows × n) ← alpha·a·b + beta·c for a rows × k and b k × n, on the pool. FALSE like the above. */
bool swage_columns_multiply (const float *a, const float *b, float *c, int64_t rows, int64_t k, int64_t n,
                             float alpha, float beta, double from, double upto, SwageJob *job,
                             GError **error);

/* `weight` as floats, rows × cols, column order[i] at i (NULL: as they are). NULL with CANCELLED, or NUMERIC
 * naming `layer` where a weight is not finite or larger than `limit` (0: any), for which `reason` is the
 * reason. */
float *swage_columns_load (const SwageWeight *weight, const int32_t *order, float limit, const char *reason,
                           const char *layer, SwageJob *job, GError **error);
