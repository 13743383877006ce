/* SPDX-License-Identifier: MIT
 *
 * The singular values of a weight, without its vectors: how fast they fall says what a low-rank step would
 * cost.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-weight.h"

typedef struct
{
  int64_t rows, cols;
  int64_t n;       /* min (rows, cols) */
  double *sigma;   /* n, largest first */
  double energy;   /* Σσ², the squared Frobenius norm */
  double accuracy; /* no σ is farther than this from the true one */
} SwageSpectrum;

/* Larger ones would take minutes and gigabytes: their smaller side may be this at most. */
#define SWAGE_SPECTRUM_MAX 8192

/* Blocking; cancelled at once. UNSUPPORTED without LAPACK or beyond SWAGE_SPECTRUM_MAX, NUMERIC where the
 * weight holds numbers that are not finite. */
SwageSpectrum *swage_spectrum_new (const SwageWeight *weight, const char *layer, SwageJob *job,
                                   GError **error);
void swage_spectrum_free (SwageSpectrum *spectrum);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageSpectrum, swage_spectrum_free)

/* The share of the energy that the `rank` largest carry, 0 … 1. */
double swage_spectrum_get_energy (const SwageSpectrum *spectrum, int64_t rank);
/* The smallest rank that carries a share of the energy. */
int64_t swage_spectrum_find_rank (const SwageSpectrum *spectrum, double share);
/* The largest rank whose two factors have fewer parameters than the matrix: r·(rows + cols) < rows·cols. */
int64_t swage_spectrum_get_break_even (int64_t rows, int64_t cols);
