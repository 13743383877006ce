/* SPDX-License-Identifier: MIT
 *
 * The grid that quant_act rounds to, in float32 arithmetic, so that every version gives the same bits.
 * Private to kernels/.
 */
#pragma once

#include <math.h>
#include "kernels/swage-view.h"

typedef struct
{
  uint32_t kind;
  float scale;        /* 0: everything becomes 0 */
  float zero;         /* added after rounding, taken off after clamping */
  float min, max;     /* clamp, in steps (int) or in units of scale (FP8, FP4) */
  int mantissa, emin; /* FP8, FP4: mantissa bits, exponent of the smallest normal number */
} SwageQuantGrid;

static inline SwageQuantGrid
swage_quant_grid (const SwageQuantActArgs *args, float lo, float hi)
{
  SwageQuantGrid g = { .kind = args->kind };
  float a = -lo > hi ? -lo : hi;

  a = a < 0 ? 0 : a;
  if (args->kind == SWAGE_QUANT_INT && !args->symmetric)
    {
      lo = lo < 0 ? lo : 0;
      hi = hi > 0 ? hi : 0;
      g.max = (float)((1 << args->bits) - 1);
      g.scale = (hi - lo) / g.max;
      g.zero = g.scale > 0 ? rintf (-lo / g.scale) : 0;
      return g;
    }
  if (args->kind == SWAGE_QUANT_INT)
    g.max = (float)((1 << (args->bits - 1)) - 1);
  else
    {
      bool e4m3 = args->kind == SWAGE_QUANT_E4M3, e5m2 = args->kind == SWAGE_QUANT_E5M2;
      g.max = e4m3 ? 448 : e5m2 ? 57344 : 6;
      g.mantissa = e4m3 ? 3 : e5m2 ? 2 : 1;
      g.emin = e4m3 ? -6 : e5m2 ? -14 : 0;
    }
  g.min = -g.max;
  g.scale = a / g.max;
  return g;
}

static inline float
swage_quant_grid_round (const SwageQuantGrid *g, float x)
{
  if (!(g->scale > 0))
    return 0;
  float v = x / g->scale;
  if (g->kind == SWAGE_QUANT_INT)
    {
      v = rintf (v) + g->zero;
      v = v < g->min ? g->min : v > g->max ? g->max : v;
      return (v - g->zero) * g->scale;
    }
  v = v < g->min ? g->min : v > g->max ? g->max : v;
  int e;
  frexpf (v, &e); /* |v| in [2^(e−1), 2^e) */
  float step = ldexpf (1, (e - 1 > g->emin ? e - 1 : g->emin) - g->mantissa);
  return rintf (v / step) * step * g->scale;
}
