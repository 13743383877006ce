/* SPDX-License-Identifier: MIT
 *
 * histogram: exact counts of values in `bins` equal bins from lo to hi.
 *
 *   dst    count  I64 [bins + 3, parts]: the bins, then how many lay below lo, above hi, and were NaN
 *   src 0  x      F32, F16 or BF16 (or any other type) [n, r1, r2, r3]
 *   args   SwageHistogramArgs: lo < hi, bins 1..4096
 *
 * Bin of x, in float32: min (⌊(x − lo) · (bins / (hi − lo))⌋, bins − 1), so hi itself lies in the last one.
 * The rows of x are shared out evenly to the parts, which the caller adds up: as many parts as give every
 * thread work. A slice is one part.
 */
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

/* Two tables of 16-bit patterns, or four private histograms and a piece of decoded values. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  const SwageHistogramArgs *args = call->args;
  if (swage_histogram_by_pattern (call))
    return 2 * 65536 * sizeof (uint32_t);
  return (swage_align64 (((size_t)args->bins + 3) * 4) + 4096) * sizeof (uint32_t);
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageHistogramArgs *args = call->args;
  const SwageView *x = &call->src[0];
  int64_t bins = args->bins, n = x->ne[0];
  float scale = (float)bins / (args->hi - args->lo);

  for (int64_t part = begin; part < end; part++)
    {
      int64_t *count = swage_view_row (&call->dst, part, 0, 0), r0, r1;
      memset (count, 0, sizeof (int64_t) * (size_t)(bins + 3));
      swage_part_rows (x, call->dst.ne[1], part, &r0, &r1);
      for (int64_t r = r0; r < r1; r++)
        for (int64_t from = 0; from < n; from += 256)
          {
            float piece[256];
            int64_t len = swage_min64 (256, n - from);
            const float *v = swage_row_decode (x->type, swage_view_nth_row (x, r), from, len, piece);
            for (int64_t i = 0; i < len; i++)
              {
                if (v[i] != v[i])
                  count[bins + 2]++;
                else if (v[i] < args->lo)
                  count[bins]++;
                else if (v[i] > args->hi)
                  count[bins + 1]++;
                else
                  count[swage_min64 ((int64_t)((v[i] - args->lo) * scale), bins - 1)]++;
              }
          }
    }
}

const SwageOp swage_op_histogram = {
  .id = "histogram",
  .summary = "exact counts in equal bins, below, above and NaN",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 0,
};
