/* SPDX-License-Identifier: MIT
 *
 * quant_act: round activations to what a narrow format holds, and give them back as floats ("fake
 * quantization").
 *
 *   dst    y         F32 [k, m]
 *   src 0  x         F32 [k, m]
 *   src 1  outliers  I32 [n], ascending: columns that are copied and do not count for the range; may be
 * absent src 2  range     F32 [2, r] of (lo, hi): static ranges, absent: dynamic ones args SwageQuantActArgs:
 * kind, bits 2..8 (for SWAGE_QUANT_INT; 4 or 8 for SWAGE_QUANT_OVP), symmetric, scope, group
 *
 * scope says who shares a range: SWAGE_SCOPE_TOKEN a row, SWAGE_SCOPE_GROUP `group` neighbouring columns of a
 * row, SWAGE_SCOPE_TENSOR all. A static range stands at entry column/group for SWAGE_SCOPE_GROUP, else at
 * entry 0. In float32 arithmetic, a = max (|lo|, |hi|), round to nearest even:
 *
 *   symmetric int   s = a / Q, Q = 2^(bits−1) − 1            y = s · clamp (round (x/s), −Q, Q)
 *   asymmetric int  s = (max (hi, 0) − min (lo, 0)) / Q, Q = 2^bits − 1, z = round (−min (lo, 0) / s)
 *                                                            y = s · (clamp (round (x/s) + z, 0, Q) − z)
 *   E4M3, E5M2      s = a / M, M = 448 or 57344              y = s · fp8 (clamp (x/s, −M, M))
 *   E2M1            s = a / 6                                y = s · fp4 (clamp (x/s, −6, 6)): 0, ½, 1, 1½, 2, 3, 4, 6
 *   OVP             s = a / N, N = 7 or 127                  y = s · pair (x/s): outlier-victim pairs, see
 *                   kernels/swage-ovp.h, counted from the group's first column; only static ranges have outliers
 *
 * s = 0 gives y = 0. (LLM.int8, arXiv:2208.07339; ZeroQuant, arXiv:2206.01861; FP8, arXiv:2209.05433.) y may
 * be x. A slice is one row; with SWAGE_SCOPE_TENSOR and no static range everything is one slice.
 */
#include "kernels/swage-quant-act.h"

static int64_t
slices (const SwageOpCall *call)
{
  const SwageQuantActArgs *args = call->args;
  return args->scope == SWAGE_SCOPE_TENSOR && !call->src[2].data ? call->dst.ne[1] > 0 : call->dst.ne[1];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

/* Widen [*lo, *hi] by columns [c0, c1) of a row, outliers left out. */
static void
widen (const SwageOpCall *call, const float *x, int64_t c0, int64_t c1, float *lo, float *hi)
{
  const int32_t *outliers = call->src[1].data;
  int64_t n = outliers ? call->src[1].ne[0] : 0, o = 0;

  for (int64_t c = c0; c < c1; c++)
    {
      while (o < n && outliers[o] < c)
        o++;
      if (o < n && outliers[o] == c)
        continue;
      *lo = x[c] < *lo ? x[c] : *lo;
      *hi = x[c] > *hi ? x[c] : *hi;
    }
}

static void
round_row (const SwageOpCall *call, const SwageQuantGrid *grid, const float *x, float *y, int64_t c0,
           int64_t c1)
{
  const int32_t *outliers = call->src[1].data;
  int64_t n = outliers ? call->src[1].ne[0] : 0, o = 0;

  if (grid->kind == SWAGE_QUANT_OVP)
    {
      swage_quant_grid_round_pairs (grid, outliers, n, x, y, c0, c1);
      return;
    }
  for (int64_t c = c0; c < c1; c++)
    {
      while (o < n && outliers[o] < c)
        o++;
      y[c] = o < n && outliers[o] == c ? x[c] : swage_quant_grid_round (grid, x[c]);
    }
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageQuantActArgs *args = call->args;
  const SwageView *range = &call->src[2];
  int64_t k = call->dst.ne[0], group = args->scope == SWAGE_SCOPE_GROUP ? swage_max64 (1, args->group) : k;
  float lo = 0, hi = 0;
  bool whole = args->scope == SWAGE_SCOPE_TENSOR && !range->data;

  if (whole)
    {
      for (int64_t i = 0; i < call->dst.ne[1]; i++)
        widen (call, swage_view_row (&call->src[0], i, 0, 0), 0, k, &lo, &hi);
      end = begin < end ? call->dst.ne[1] : begin; /* the one slice is the whole tensor */
    }
  for (int64_t i = begin; i < end; i++)
    {
      const float *x = swage_view_row (&call->src[0], i, 0, 0);
      float *y = swage_view_row (&call->dst, i, 0, 0);
      for (int64_t c0 = 0; c0 < k; c0 += group)
        {
          int64_t c1 = swage_min64 (k, c0 + group);
          if (range->data)
            {
              const float *r
                  = swage_view_row (range, args->scope == SWAGE_SCOPE_GROUP ? c0 / group : 0, 0, 0);
              lo = r[0];
              hi = r[1];
            }
          else if (!whole)
            {
              lo = hi = 0;
              widen (call, x, c0, c1, &lo, &hi);
            }
          SwageQuantGrid grid = swage_quant_grid (args, lo, hi);
          round_row (call, &grid, x, y, c0, c1);
        }
    }
}

const SwageOp swage_op_quant_act = {
  .id = "quant_act",
  .summary
  = "fake quantization of activations: int 2..8, FP8, FP4, outlier-victim pairs; per token, group, tensor; "
    "outlier columns kept",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 0,
};
