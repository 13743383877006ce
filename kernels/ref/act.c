/* SPDX-License-Identifier: MIT
 *
 * act: one function of each element, args SwageActArgs.kind:
 *
 *   SWAGE_ACT_SILU       x / (1 + exp (−x))
 *   SWAGE_ACT_RELU       max (x, 0)
 *   SWAGE_ACT_GELU_TANH  x/2 · (1 + tanh (√(2/π) (x + 0.044715 x³)))      (gelu_new, gelu_pytorch_tanh)
 *   SWAGE_ACT_GELU_ERF   x/2 · (1 + erf (x/√2))                           (gelu)
 *
 *   dst    y  F32 [k, r1, r2, r3]
 *   src 0  x  F32, the same shape
 *
 * y may be x. A slice is one row.
 */
#include <math.h>
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return swage_view_rows (&call->dst);
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

static double
apply (uint32_t kind, double x)
{
  switch (kind)
    {
    case SWAGE_ACT_RELU:
      return x > 0 ? x : 0;
    case SWAGE_ACT_GELU_TANH:
      return x
             / (1
                + exp (-2 * sqrt (2 / M_PI)
                       * (x + 0.044715 * x * x * x))); /* (1 + tanh u) / 2, not cancelling */
    case SWAGE_ACT_GELU_ERF:
      return 0.5 * x * erfc (-x * M_SQRT1_2); /* 1 + erf (z) = erfc (−z), without cancellation */
    default:
      return x / (1 + exp (-x));
    }
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageActArgs *args = call->args;

  for (int64_t r = begin; r < end; r++)
    {
      float *y = swage_view_nth_row (&call->dst, r);
      const float *x = swage_view_nth_row (&call->src[0], r);
      for (int64_t p = 0; p < call->dst.ne[0]; p++)
        y[p] = (float)apply (args->kind, x[p]);
    }
}

const SwageOp swage_op_act = {
  .id = "act",
  .summary = "silu, relu, gelu (tanh), gelu (erf)",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 1e-11, /* single-precision arguments of 30 lose 2e-6 of an exponential */
};
