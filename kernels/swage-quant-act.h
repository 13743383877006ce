/* SPDX-License-Identifier: MIT
 *
 * The grid that quant_act rounds to, in float32 arithmetic, so that every version gives the same bits.
 * Private to kernels/.
 */
#pragma once

#include "kernels/swage-ovp.h"
#include "kernels/swage-view.h"

typedef struct
{
  uint32_t kind;
  float scale;        /* 0: everything becomes 0 */
  float zero;         /* added after rounding, taken off after clamping */
  float min, max;     /* clamp, in steps (int) or in units of scale (FP8, FP4) */
  int mantissa, emin; /* FP8, FP4: mantissa bits, exponent of the smallest normal number */
  int bits;           /* outlier-victim pairs: 4 or 8 */
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
  else if (args->kind == SWAGE_QUANT_OVP)
    {
      g.bits = args->bits == 8 ? 8 : 4;
      g.max = g.bits == 8 ? 127 : 7;
    }
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

/* Columns [c0, c1) of a row as outlier-victim pairs, counted from c0. Columns of the ascending list are
 * copied; the other of their pair is alone, as one is at the end of an odd number. y may be x. */
static inline void
swage_quant_grid_round_pairs (const SwageQuantGrid *g, const int32_t *outliers, int64_t n, const float *x,
                              float *y, int64_t c0, int64_t c1)
{
  int64_t o = 0;

  for (int64_t c = c0; c < c1; c += 2)
    {
      int64_t upto = c + 2 < c1 ? 2 : c1 - c;
      float pair[2] = { 0, 0 };
      bool kept[2] = { false, false };
      for (int64_t i = 0; i < upto; i++)
        {
          while (o < n && outliers[o] < c + i)
            o++;
          kept[i] = o < n && outliers[o] == c + i;
          pair[i] = kept[i] || !(g->scale > 0) ? 0 : x[c + i] / g->scale;
        }
      swage_ovp_round_pair (pair, g->bits);
      for (int64_t i = 0; i < upto; i++)
        y[c + i] = kept[i] ? x[c + i] : pair[i] * g->scale;
    }
}
