/* SPDX-License-Identifier: MIT
 *
 * Dense double-precision algebra for methods that need it: products of matrices seen through strides, and the
 * eigenvectors of a symmetric matrix. Same results for any number of threads: BLAS runs on one, and the
 * pool's tiles are cut by the shape alone.
 */
#pragma once

#include <stdint.h>
#include "core/base/swage-job.h"

/* A rows × depth matrix in borrowed memory, floats or doubles (the other is NULL); element (i, k) lies at
 * i·row_step + k·depth_step. */
typedef struct
{
  const float *f;
  const double *d;
  int64_t row_step, depth_step;
} SwageDenseView;

/* c (nx × ny, row-major) ← X·Yᵀ with products summed over `depth` in double. `symmetric`: Y is X, and only
 * tiles on or above the diagonal are computed and mirrored. Steps `job` from `from` to `upto` (shares of the
 * stage). FALSE when cancelled, or UNSUPPORTED without BLAS. */
bool swage_dense_multiply (const SwageDenseView *x, int64_t nx, const SwageDenseView *y, int64_t ny,
                           int64_t depth, bool symmetric, double *c, double from, double upto, SwageJob *job,
                           GError **error);

/* Eigenvalues, largest first, and eigenvectors of the symmetric n × n matrix `a` (taken; g_malloc'ed):
 * `values` gets n numbers, and the result is a new n × n array whose row i is the unit eigenvector to
 * values[i], its largest component (of equal ones the first) positive. NULL with CANCELLED at once when
 * cancelled, with NUMERIC naming `layer` when the iteration fails, with UNSUPPORTED without LAPACK. */
double *swage_dense_take_eigen (double *a, int64_t n, double *values, const char *layer, SwageJob *job,
                                GError **error);
/* The eigenvalues alone, at a fraction of the time. */
bool swage_dense_take_eigenvalues (double *a, int64_t n, double *values, const char *layer, SwageJob *job,
                                   GError **error);
