/* SPDX-License-Identifier: MIT
 *
 * channel_stats: what passes through every column of x.
 *
 *   dst    result  F64 [k, SWAGE_CHANNEL_ROWS]: max |x|, Σ x, Σ x², min, max of each column
 *   src 0  x       F32 [k, m]
 *   args   SwageChannelStatsArgs: accumulate continues what dst holds; without it dst is begun anew
 *
 * NaN counts for the sums only. With m = 0 and no accumulation: zeros, min +∞, max −∞. A slice is
 * SWAGE_CHANNEL_BLOCK columns.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_ceil_div (call->src[0].ne[0], SWAGE_CHANNEL_BLOCK);
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageChannelStatsArgs *args = call->args;
  const SwageView *x = &call->src[0];
  double *row[SWAGE_CHANNEL_ROWS];

  for (int i = 0; i < SWAGE_CHANNEL_ROWS; i++)
    row[i] = swage_view_row (&call->dst, i, 0, 0);
  for (int64_t c = begin * SWAGE_CHANNEL_BLOCK; c < swage_min64 (x->ne[0], end * SWAGE_CHANNEL_BLOCK); c++)
    {
      if (!args || !args->accumulate)
        {
          row[SWAGE_CHANNEL_ABSMAX][c] = row[SWAGE_CHANNEL_SUM][c] = row[SWAGE_CHANNEL_SUM_SQUARES][c] = 0;
          row[SWAGE_CHANNEL_MIN][c] = INFINITY;
          row[SWAGE_CHANNEL_MAX][c] = -INFINITY;
        }
      for (int64_t i = 0; i < x->ne[1]; i++)
        {
          double v = ((const float *)swage_view_row (x, i, 0, 0))[c];
          row[SWAGE_CHANNEL_ABSMAX][c] = fmax (row[SWAGE_CHANNEL_ABSMAX][c], fabs (v));
          row[SWAGE_CHANNEL_SUM][c] += v;
          row[SWAGE_CHANNEL_SUM_SQUARES][c] += v * v;
          row[SWAGE_CHANNEL_MIN][c] = fmin (row[SWAGE_CHANNEL_MIN][c], v);
          row[SWAGE_CHANNEL_MAX][c] = fmax (row[SWAGE_CHANNEL_MAX][c], v);
        }
    }
}

const SwageOp swage_op_channel_stats = {
  .id = "channel_stats",
  .summary = "per column: max |x|, sum, sum of squares, min, max; accumulating",
  .slices = slices,
  .ref = ref,
  .nmse = 1e-18,
};
