/* SPDX-License-Identifier: MIT
 *
 * channel_stats, vectorized: VL columns at a time, sums in double.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (channel_stats) (const SwageOpCall *call, int64_t begin, int64_t end);

#define BAND 16 /* rows read before the next columns: their lines stay in the first cache */

typedef struct
{
  vd sum[2], squares[2];
  vf min, max;
} Columns;

static void
add_band (Columns *c, const SwageView *x, int64_t r0, int64_t r1, int64_t at, int64_t left)
{
  Columns s = *c;
  for (int64_t r = r0; r < r1; r++)
    {
      vf v = vf_load_upto ((const float *)swage_view_row (x, r, 0, 0) + at, left);
      vd a = vd_low (v), b = vd_high (v);
      s.sum[0] += a;
      s.sum[1] += b;
      s.squares[0] = vd_fma (a, a, s.squares[0]);
      s.squares[1] = vd_fma (b, b, s.squares[1]);
      s.min = vf_min (v, s.min); /* NaN: the second operand stays */
      s.max = vf_max (v, s.max);
    }
  *c = s;
}

void
SWAGE_FAST (channel_stats) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageChannelStatsArgs *args = call->args;
  const SwageView *x = &call->src[0];
  double *row[SWAGE_CHANNEL_ROWS];

  for (int i = 0; i < SWAGE_CHANNEL_ROWS; i++)
    row[i] = swage_view_row (&call->dst, i, 0, 0);
  for (int64_t s = begin; s < end; s++)
    {
      int64_t c0 = s * SWAGE_CHANNEL_BLOCK, c1 = swage_min64 (x->ne[0], c0 + SWAGE_CHANNEL_BLOCK);
      Columns columns[SWAGE_CHANNEL_BLOCK / VL];
      for (int i = 0; i < SWAGE_CHANNEL_BLOCK / VL; i++)
        columns[i] = (Columns){ .min = vf_set (INFINITY), .max = vf_set (-INFINITY) };
      for (int64_t r = 0; r < x->ne[1]; r += BAND)
        for (int64_t c = c0; c < c1; c += VL)
          add_band (&columns[(c - c0) / VL], x, r, swage_min64 (x->ne[1], r + BAND), c, c1 - c);
      for (int64_t c = c0; c < c1; c++)
        {
          const Columns *from = &columns[(c - c0) / VL];
          int64_t lane = (c - c0) % VL, half = lane / (VL / 2), at = lane % (VL / 2);
          float lane_min[VL], lane_max[VL];
          vf_store (lane_min, from->min);
          vf_store (lane_max, from->max);
          double min = lane_min[lane], max = lane_max[lane], absmax = fmax (fabs (min), fabs (max));
          if (min > max) /* no row, or only NaN */
            absmax = 0;
          if (args && args->accumulate)
            {
              row[SWAGE_CHANNEL_ABSMAX][c] = fmax (row[SWAGE_CHANNEL_ABSMAX][c], absmax);
              row[SWAGE_CHANNEL_SUM][c] += from->sum[half][at];
              row[SWAGE_CHANNEL_SUM_SQUARES][c] += from->squares[half][at];
              row[SWAGE_CHANNEL_MIN][c] = fmin (row[SWAGE_CHANNEL_MIN][c], min);
              row[SWAGE_CHANNEL_MAX][c] = fmax (row[SWAGE_CHANNEL_MAX][c], max);
            }
          else
            {
              row[SWAGE_CHANNEL_ABSMAX][c] = absmax;
              row[SWAGE_CHANNEL_SUM][c] = from->sum[half][at];
              row[SWAGE_CHANNEL_SUM_SQUARES][c] = from->squares[half][at];
              row[SWAGE_CHANNEL_MIN][c] = min;
              row[SWAGE_CHANNEL_MAX][c] = max;
            }
        }
    }
}
