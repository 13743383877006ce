/* SPDX-License-Identifier: MIT
 *
 * bcq_matmul:  y = alpha · x · Wᵀ + bias  (+ y),  W in binary codes
 *
 *   dst    y       F32 [n, m]
 *   src 0  x       F32 [k, m]
 *   src 1  W       SWAGE_TYPE_BCQ [k, n] (nb[1] = bytes of a row), see swage-layout.h
 *   src 2  bias    F32 [n], may be absent
 *   src 3  scales  F16 [groups · bits, n], or [groups · (bits + 1), n] with offsets
 *   args   SwageMatmulArgs; alpha as given (no default)
 *
 *   y_i = Σ_groups ( Σ_q α_q · (b_q · x) + z · Σ x )
 *
 * It is matmul for one type, there for the way it is computed: b_q · x over 8 inputs is one of 256 sums,
 * which all rows of W share (LUT-GEMM, Park et al. 2022). A slice is a band of W's rows against one row of x.
 */
#include "kernels/swage-layout.h"
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_ceil_div (call->dst.ne[0], SWAGE_BCQ_ROWS) * call->dst.ne[1];
}

/* The tables of SWAGE_BCQ_COLS inputs, and a sum for each row of the band. */
static size_t
scratch_bytes (const SwageOpCall *call)
{
  return sizeof (float) * (SWAGE_BCQ_COLS / 8 * 256 + SWAGE_BCQ_ROWS);
}

static double
flops (const SwageOpCall *call)
{
  return 2.0 * (double)call->dst.ne[0] * (double)call->dst.ne[1] * (double)call->src[0].ne[0];
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageMatmulArgs *args = call->args;
  const SwageView *y = &call->dst, *x = &call->src[0], *w = &call->src[1], *scales = &call->src[3];
  int64_t n = y->ne[0], k = x->ne[0], bands = swage_ceil_div (n, SWAGE_BCQ_ROWS);
  int64_t group = args->group, groups = swage_int_groups (k, (int)group), plane = (k + 7) / 8;
  int bits = (int)args->bits, each = (int)(scales->ne[0] / swage_max64 (groups, 1));

  for (int64_t s = begin; s < end; s++)
    {
      int64_t i = s / bands, first = s % bands * SWAGE_BCQ_ROWS;
      const float *xi = swage_view_row (x, i, 0, 0);
      float *yi = swage_view_row (y, i, 0, 0);
      for (int64_t j = first; j < swage_min64 (n, first + SWAGE_BCQ_ROWS); j++)
        {
          const uint8_t *codes = swage_view_row (w, j, 0, 0);
          const uint16_t *alpha = swage_view_row (scales, j, 0, 0);
          double sum = 0;
          for (int64_t g = 0; g < groups; g++)
            for (int q = 0; q < each; q++)
              {
                double part = 0;
                for (int64_t c = g * group; c < swage_min64 (k, (g + 1) * group); c++)
                  part += q == bits || codes[q * plane + c / 8] >> c % 8 & 1 ? (double)xi[c] : -(double)xi[c];
                sum += (double)swage_f16_to_f32 (alpha[g * each + q]) * part;
              }
          double v = (double)args->alpha * sum + (double)swage_view_float (&call->src[2], j, 0);
          yi[j] = (float)(args->accumulate ? (double)yi[j] + v : v);
        }
    }
}

const SwageOp swage_op_bcq_matmul = {
  .id = "bcq_matmul",
  .summary = "y = alpha x W^T + bias (+ y), W in binary codes, by tables of partial sums",
  .slices = slices,
  .scratch_bytes = scratch_bytes,
  .ref = ref,
  .nmse = 1e-11,
  .flops = flops,
};
