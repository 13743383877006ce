/* SPDX-License-Identifier: MIT
 *
 * moments: what there is to say of a set of numbers in one pass. Of the finite ones, with c the given centre:
 *
 *   dst    result     F64 [SWAGE_MOMENT_COUNTS + T, parts]:
 *                     n, how many were NaN or infinite, min, max (0 when n = 0), Σ(x−c)ʲ for j = 1..4, how
 * many are 0, max |x|, and for each threshold how many |x| are greater src 0  x          [n, r1, r2, r3] of
 * any type src 1  centre     F32 [1, 1] or [1, parts], absent: 0 src 2  threshold  F32 [T, 1] or [T, parts],
 * T <= SWAGE_MOMENT_MAX_THRESHOLDS, absent: T = 0
 *
 * Rows are shared out to the parts as in histogram; a part for every row gives each row its own. A slice is
 * one part.
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
  int64_t values = call->src[0].ne[0] * swage_view_rows (&call->src[0]);
  return swage_max64 (1, 16384 * call->dst.ne[1] / swage_max64 (1, values));
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *x = &call->src[0], *centre = &call->src[1], *threshold = &call->src[2];
  int64_t n = x->ne[0], n_thresholds = threshold->data ? threshold->ne[0] : 0;

  for (int64_t part = begin; part < end; part++)
    {
      double *out = swage_view_row (&call->dst, part, 0, 0);
      double c = centre->data ? *(float *)swage_view_row (centre, part % centre->ne[1], 0, 0) : 0;
      const float *limits = n_thresholds ? swage_view_row (threshold, part % threshold->ne[1], 0, 0) : NULL;
      int64_t r0, r1;
      for (int64_t i = 0; i < SWAGE_MOMENT_COUNTS + n_thresholds; i++)
        out[i] = 0;
      swage_part_rows (x, call->dst.ne[1], part, &r0, &r1);
      for (int64_t r = r0; r < r1; r++)
        for (int64_t from = 0; from < n; from += 256)
          {
            float piece[256];
            int64_t len = swage_min64 (256, n - from);
            const float *v = swage_row_decode (x->type, swage_view_nth_row (x, r), from, len, piece);
            for (int64_t i = 0; i < len; i++)
              {
                double d = v[i] - c, a = fabsf (v[i]);
                if (!isfinite (v[i]))
                  {
                    out[SWAGE_MOMENT_BAD]++;
                    continue;
                  }
                if (out[SWAGE_MOMENT_N]++ == 0)
                  out[SWAGE_MOMENT_MIN] = out[SWAGE_MOMENT_MAX] = v[i];
                out[SWAGE_MOMENT_MIN] = fmin (out[SWAGE_MOMENT_MIN], v[i]);
                out[SWAGE_MOMENT_MAX] = fmax (out[SWAGE_MOMENT_MAX], v[i]);
                out[SWAGE_MOMENT_S1] += d;
                out[SWAGE_MOMENT_S2] += d * d;
                out[SWAGE_MOMENT_S3] += d * d * d;
                out[SWAGE_MOMENT_S4] += d * d * d * d;
                out[SWAGE_MOMENT_ZEROS] += v[i] == 0;
                out[SWAGE_MOMENT_ABSMAX] = fmax (out[SWAGE_MOMENT_ABSMAX], a);
                for (int64_t j = 0; j < n_thresholds; j++)
                  out[SWAGE_MOMENT_COUNTS + j] += a > limits[j];
              }
          }
    }
}

const SwageOp swage_op_moments = {
  .id = "moments",
  .summary = "count, range, power sums about a centre, zeros and counts over thresholds",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-18,
};
