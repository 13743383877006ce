/* SPDX-License-Identifier: MIT
 *
 * The best approximation of a matrix by one of rank r, for the methods that factor weights or what
 * quantizing has taken from them.
 *
 *   plain      minimise ‖M − B·A‖²               (Eckart and Young 1936)
 *   whitened   minimise ‖(M − B·A)·X‖², the error of the layer's outputs on its calibration inputs X
 *
 * The results are the same bits for any number of threads.
 */
#pragma once

#include "core/linear/swage-weight.h"
#include "core/stats/swage-stats.h"
#include "core/base/swage-job.h"

typedef struct
{
  const float *values; /* rows × cols, row-major; borrowed until swage_low_rank_clear() */
  int64_t rows, cols;
  const double *moment; /* cols × cols, X·Xᵀ up to a factor; NULL: plain. Borrowed likewise */
  double damp;          /* share of the mean of the moment's diagonal that is added to it */
  const char *layer;    /* for messages */
} SwageLowRankProblem;

typedef struct
{
  SwageLowRankProblem problem;
  int64_t n;       /* min (rows, cols): the largest rank */
  double *squares; /* n, falling: σ², what the squared error grows by when one rank less is kept */
  double *vectors; /* private: n × n, one a row */
  double *root;    /* private: cols × cols, rows q_j·√λ_j; NULL where it is not needed */
  double *lambda;  /* private: cols, the damped eigenvalues of the moment */
  double *product; /* private: rows × cols, values·rootᵀ */
} SwageLowRank;

/* Solve the problem for all ranks; steps `job` from share `from` to share `upto` of the stage. FALSE with
 * CANCELLED, NUMERIC naming the layer, or UNSUPPORTED without LAPACK; `solved` is then cleared. */
bool swage_low_rank_solve (SwageLowRank *solved, const SwageLowRankProblem *problem, double from, double upto,
                           SwageJob *job, GError **error);
/* The factors of rank `rank` ≤ n: `*a` is rank × cols and `*b` is rank × rows (the columns of B as rows), new
 * arrays. Both factors have the same share of every singular value. Once for a solved problem. */
bool swage_low_rank_take_factors (SwageLowRank *solved, int64_t rank, double **a, double **b, double from,
                                  double upto, SwageJob *job, GError **error);
void swage_low_rank_clear (SwageLowRank *solved);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SwageLowRank, swage_low_rank_clear)

/* The smallest multiple of `multiple` of the largest squares that carries the share `energy` of them all. */
int64_t swage_low_rank_find_energy (const double *squares, int64_t n, double energy, int64_t multiple);

/* rank × length doubles as a weight of the float type `type`, or of `bits` in groups when it is
 * SWAGE_TYPE_INT; turned over when `turn`. NULL with NUMERIC naming the layer when the type cannot express a
 * value. */
SwageWeight *swage_low_rank_store (const double *rows, int64_t rank, int64_t length, bool turn,
                                   SwageType type, int bits, int group_size, const char *layer,
                                   GError **error);

/* The second moment to whiten with, borrowed from `stats`. NULL with INVALID when there is none of n inputs.
 */
const double *swage_low_rank_get_moment (const SwageActStats *stats, int64_t n, const char *layer,
                                         GError **error);
