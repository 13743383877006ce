/* SPDX-License-Identifier: MIT
 *
 * The common ground of methods that weigh errors by the second moments of a layer's inputs (GPTQ and its
 * kin). The error of a row w of the weight that becomes ŵ is, up to a constant factor,
 *
 *   ‖(w − ŵ)·X‖² = (w − ŵ) · H · (w − ŵ)ᵀ,     H = 2/n · Σ x xᵀ  over the n tokens x
 *
 * Preparing H means: refuse what is not finite, note dead channels, choose the order in which columns are
 * worked on, add a share of the mean diagonal to the diagonal, and factor. With R upper triangular and H =
 * R·Rᵀ in that order, two factors are offered, row-major floats with zeros below the diagonal:
 *
 *   inverse    U = R⁻¹, so H⁻¹ = Uᵀ·U: the "upper Cholesky factor of the inverse" that GPTQ and SparseGPT
 * use. Rounding column i with error e = (w_i − ŵ_i)/U_ii is made up for by w_j −= e·U_ij for all j > i.
 *   feedback   F = R·diag(R)⁻¹, so H = F·D·Fᵀ with a unit diagonal in F and D = diag(R)²: QuIP's LDL form.
 * Column j is best rounded at w_j + Σ_{i<j} (w_i − ŵ_i)·F_ij, and the error of the row is then Σ_j
 * D_j·(rounding error of j)². The same numbers as with U, without inverting anything.
 *
 * Most solvers need U near the diagonal alone, and F for what is far off: with `band` set, only the elements
 * with j − i < band are computed, in a small part of the time and memory. A diagonal block of U is the
 * inverse of that block of R.
 *
 * Both come from one Cholesky factorization blocked, on the worker pool, in single precision for large
 * matrices that allow it and else in double; the same bits for any number of threads. Everything is indexed
 * by position in the working order unless it says "by column".
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/stats/swage-stats.h"

typedef enum
{
  SWAGE_FACTOR_NONE = 0,
  SWAGE_FACTOR_INVERSE = 1 << 0,
  SWAGE_FACTOR_FEEDBACK = 1 << 1,
  SWAGE_FACTOR_HESSIAN = 1 << 2, /* H itself, damped, in the working order */
} SwageFactors;

typedef struct
{
  const char *layer;    /* for messages */
  const char *method;   /* id, for messages */
  SwageFactors factors; /* which arrays are wanted */
  int64_t band;         /* of the inverse: elements with j − i < band; 0: all */
  double damping;       /* share of the mean diagonal that is added to the diagonal, >= 0 */
  bool act_order;       /* columns by falling diagonal (equal ones by index) instead of left to right */
  const int32_t
      *order; /* n_in columns in the order the caller wants, or NULL; act_order is then not looked at */
  double from, upto; /* shares of the job's current stage that the work takes; 0 and 0 count as 0 and 1 */
} SwageSecondOrderOptions;

typedef struct
{
  int64_t n;         /* n_in */
  int32_t *order;    /* the column at position i */
  int32_t *position; /* by column: its place in the order */
  double *diagonal;  /* by column: H_jj before damping; 0 for dead channels */
  /* A dead channel was 0 for every token: nothing is known about it, so it is cut off from the others (H_jj =
   * the mean diagonal, the rest of its row 0), which makes every method treat it by plain rounding. */
  bool *dead; /* by column */
  int64_t n_dead;
  double mean;      /* mean diagonal of the channels that are not dead; 1 when all are */
  double damping;   /* the share that was added in the end: more than was asked for when H was not positive
                       definite */
  double *pivot;    /* R_ii > 0; 1/R_ii is U_ii, R_ii² is D_i */
  float *u;         /* element (i, j) at u[i·u_stride + j], defined for i <= j < i + band; or NULL */
  int64_t u_stride; /* n when all elements are there: then below the diagonal there are zeros */
  float *f;         /* n × n or NULL */
  float *h;         /* n × n (both triangles) or NULL */
} SwageSecondOrder;

/* Prepare stats->hessian. When the factorization breaks down (fewer tokens than channels, channels that
 * repeat each other) the damping grows tenfold, from 1e-6 at least, until it does not: `damping` tells. NULL
 * with INVALID when there are no statistics of `n_in` channels, with NUMERIC naming the layer and a channel
 * when inputs were not finite, with CANCELLED, with UNSUPPORTED without LAPACK. */
SwageSecondOrder *swage_second_order_new (const SwageActStats *stats, int64_t n_in,
                                          const SwageSecondOrderOptions *options, SwageJob *job,
                                          GError **error);
void swage_second_order_free (SwageSecondOrder *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageSecondOrder, swage_second_order_free)

/* Σ over rows of (w − ŵ)·H·(w − ŵ)ᵀ for the undamped H = 2/n·Σ x xᵀ, in double: the error that methods are
 * compared by. `w` and `w_hat` are rows × n_in, by column. */
double swage_second_order_get_error (const SwageActStats *stats, const float *w, const float *w_hat,
                                     int64_t rows);
