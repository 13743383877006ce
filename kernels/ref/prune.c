/* SPDX-License-Identifier: MIT
 *
 * prune: the weights of each row with the lowest scores become zero, the others stay as they are.
 *
 *   S[i, j] = |W[i, j]| · norm[j]          (Wanda, arXiv:2306.11695; without norm: magnitude,
 * arXiv:1506.02626)
 *
 *   dst    y     F32 [k, n]
 *   src 0  W     F32, F16 or BF16 [k, n], finite
 *   src 1  norm  F32 [k], finite and >= 0, absent: 1
 *   args   SwagePruneArgs: of = 0: the `count` lowest of each row; else of every `of` neighbours (k is a
 * multiple of it) all but the `keep` highest
 *
 * Scores are compared exactly (a product of two floats is exact in a double); of equal ones the first go. y
 * may be W. A slice is one row.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

static size_t
scratch_bytes (const SwageOpCall *call)
{
  return swage_align64 ((size_t)call->dst.ne[0] * sizeof (uint64_t))
         + (size_t)call->dst.ne[0] * sizeof (float);
}

/* Non-negative doubles order like the integers that have their bits. */
static uint64_t
score_key (const SwageOpCall *call, float w, int64_t j)
{
  double score = fabs ((double)w) * swage_view_float (&call->src[1], j, 1);
  uint64_t bits;
  memcpy (&bits, &score, sizeof bits);
  return bits & INT64_MAX;
}

/* The count-th lowest of n keys, bit by bit from the highest: how many begin with what is known, and then a
 * 0? */
static uint64_t
select_key (const uint64_t *keys, int64_t n, int64_t count)
{
  uint64_t known = 0;
  for (int bit = 63; bit >= 0; bit--)
    {
      int64_t zeros = 0;
      for (int64_t j = 0; j < n; j++)
        zeros += keys[j] >> bit == known << 1;
      known = known << 1 | (count > zeros);
      count -= count > zeros ? zeros : 0;
    }
  return known;
}

static void
prune_count (const uint64_t *keys, const float *w, float *y, int64_t n, int64_t count)
{
  uint64_t threshold = count > 0 ? select_key (keys, n, count) : 0;
  int64_t equal = count; /* of those at the threshold, how many go */

  for (int64_t j = 0; j < n; j++)
    equal -= keys[j] < threshold;
  for (int64_t j = 0; j < n; j++)
    {
      bool goes = count > 0 && (keys[j] < threshold || (keys[j] == threshold && equal-- > 0));
      y[j] = goes ? 0 : w[j];
    }
}

static void
prune_pattern (const uint64_t *keys, const float *w, float *y, int64_t n, int keep, int of)
{
  for (int64_t g = 0; g < n; g += of)
    for (int64_t i = g; i < swage_min64 (n, g + of); i++)
      {
        int place = 0; /* among the group in rising order */
        for (int64_t j = g; j < swage_min64 (n, g + of); j++)
          place += keys[j] < keys[i] || (keys[j] == keys[i] && j < i);
        y[i] = place < of - keep ? 0 : w[i];
      }
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwagePruneArgs *args = call->args;
  const SwageView *x = &call->src[0];
  int64_t k = call->dst.ne[0];
  uint64_t *keys = call->scratch;
  float *values = (float *)((char *)call->scratch + swage_align64 ((size_t)k * sizeof (uint64_t)));

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_row (&call->dst, r, 0, 0);
      const float *w = swage_row_decode (x->type, swage_view_row (x, r, 0, 0), 0, k, values);
      for (int64_t j = 0; j < k; j++)
        keys[j] = score_key (call, w[j], j);
      if (args->of > 0)
        prune_pattern (keys, w, y, k, (int)args->keep, (int)args->of);
      else
        prune_count (keys, w, y, k, swage_min64 (k, args->count));
    }
}

const SwageOp swage_op_prune = {
  .id = "prune",
  .summary = "the lowest |W| norm of each row, or of every M neighbours, become zero",
  .slices = slices,
  .grain = grain,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 0,
};
