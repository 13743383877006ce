/* SPDX-License-Identifier: MIT
 *
 * What pruning methods share: which weights of a row go when each has a score. The lowest scores are zeroed;
 * of equal ones those with the lowest index. Counts are exact always. Any thread.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-linear-spec.h"

/* N:M keeps N of every M consecutive weights of a row; of == 0 is unstructured. */
typedef struct
{
  int keep, of;
} SwagePattern;

/* The choices of a parameter `pattern`: "unstructured", "2:4" … NULL-terminated; the first is unstructured.
 */
extern const char *const swage_prune_patterns[];
SwagePattern swage_prune_get_pattern (int choice);

/* How many of n weights a sparsity of 0..1 zeroes: the nearest whole number. */
int64_t swage_prune_count (double sparsity, int64_t n);

/* Zero the k lowest of n scores (>= 0, no NaN) in `row`. `scratch` has room for n numbers. */
void swage_prune_row (float *row, const double *score, int64_t n, int64_t k, uint64_t *scratch);
/* Zero all but `keep` of every `of` weights. n is a multiple of `of`. */
void swage_prune_row_pattern (float *row, const double *score, int64_t n, SwagePattern pattern);

/* The part of `cost` that pruning methods have in common: the float types alone, rows that the pattern
 * divides, the share of zeros. FALSE with INVALID, without the layer's name. */
bool swage_prune_cost (SwagePattern pattern, double sparsity, bool per_layer, const SwageLinearSpec *in,
                       SwageLinearSpec *out, GError **error);

/* The scores of the n weights of a row, >= 0. Called from several threads. */
typedef void (*SwageScoreFunc) (int64_t row, const float *values, int64_t n, double *score,
                                const void *user_data);

/* Prune `weight` (f32, f16 or bf16) row by row: by the pattern, or the share `sparsity` of each row when it
 * is unstructured. The weights that stay keep their bits. NULL with CANCELLED or with NUMERIC naming `layer`.
 */
SwageWeight *swage_prune_weight (const SwageWeight *weight, SwagePattern pattern, double sparsity,
                                 SwageScoreFunc score, const void *user_data, const char *layer,
                                 SwageJob *job, GError **error);
