/* SPDX-License-Identifier: MIT
 *
 * quant_act, vectorized: the runs of columns between outliers, with the same float32 operations as the
 * reference.
 */
#include "kernels/cpu/simd.h"
#include "kernels/swage-quant-act.h"

void SWAGE_FAST (quant_act) (const SwageOpCall *call, int64_t begin, int64_t end);

typedef struct
{
  const int32_t *outliers;
  int64_t n, next;
} Runs;

/* The next run [*from, *to) of columns below `end` without outliers, beginning at *to; false when there is
 * none. Columns between runs are outliers. */
static bool
next_run (Runs *runs, int64_t end, int64_t *from, int64_t *to)
{
  int64_t c = *to;
  while (runs->next < runs->n && runs->outliers[runs->next] < c)
    runs->next++;
  while (runs->next < runs->n && runs->outliers[runs->next] == c && c < end)
    {
      runs->next++;
      c++;
    }
  if (c >= end)
    return false;
  *from = c;
  *to = runs->next < runs->n ? swage_min64 (end, runs->outliers[runs->next]) : end;
  return true;
}

static void
widen (const SwageOpCall *call, const float *x, int64_t c0, int64_t c1, float *lo, float *hi)
{
  Runs runs = { call->src[1].data, call->src[1].data ? call->src[1].ne[0] : 0, 0 };
  int64_t from, to = c0;
  vf min = vf_set (*lo), max = vf_set (*hi);

  while (next_run (&runs, c1, &from, &to))
    {
      int64_t c = from;
      for (; c + VL <= to; c += VL)
        {
          vf v = vf_load (x + c);
          min = vf_min (v, min);
          max = vf_max (v, max);
        }
      for (; c < to; c++)
        {
          min = vf_min (vf_set (x[c]), min);
          max = vf_max (vf_set (x[c]), max);
        }
    }
  *lo = -vf_top (-min);
  *hi = vf_top (max);
}

SWAGE_INLINE vf
round_vector (const SwageQuantGrid *g, vf x)
{
  vf v = x / vf_set (g->scale);
  if (g->kind == SWAGE_QUANT_INT)
    {
      /* vf_round is for |x| < 2^22 in the portable version; what a static range leaves outside is clamped
       * anyway */
      v = vf_max (vf_set (-1e6f), vf_min (vf_set (1e6f), v));
      v = vf_round (v) + vf_set (g->zero);
      v = vf_min (vf_set (g->max), vf_max (vf_set (g->min), v));
      return (v - vf_set (g->zero)) * vf_set (g->scale);
    }
  v = vf_min (vf_set (g->max), vf_max (vf_set (g->min), v));
  vf power = vf_max ((vf)((vi)v & 0x7f800000), vf_set (g->emin == -6 ? 0x1p-6f : g->emin == 0 ? 1.0f : 0x1p-14f));
  vf step = power * vf_set (g->mantissa == 3 ? 0.125f : g->mantissa == 2 ? 0.25f : 0.5f);
  return vf_round (v / step) * step * vf_set (g->scale);
}

static void
round_run (const SwageQuantGrid *g, const float *x, float *y, int64_t n)
{
  if (!(g->scale > 0))
    memset (y, 0, (size_t)n * sizeof (float));
  else
    for (int64_t c = 0; c < n; c += VL)
      vf_store_upto (y + c, round_vector (g, vf_load_upto (x + c, n - c)), n - c);
}

static void
round_row (const SwageOpCall *call, const SwageQuantGrid *g, const float *x, float *y, int64_t c0, int64_t c1)
{
  Runs runs = { call->src[1].data, call->src[1].data ? call->src[1].ne[0] : 0, 0 };
  int64_t from, to = c0, done = c0;

  if (g->kind == SWAGE_QUANT_OVP)
    {
      swage_quant_grid_round_pairs (g, runs.outliers, runs.n, x, y, c0, c1);
      return;
    }
  while (next_run (&runs, c1, &from, &to))
    {
      if (x != y)
        memcpy (y + done, x + done, (size_t)(from - done) * sizeof (float));
      round_run (g, x + from, y + from, to - from);
      done = to;
    }
  if (x != y)
    memcpy (y + done, x + done, (size_t)(c1 - done) * sizeof (float));
}

void
SWAGE_FAST (quant_act) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageQuantActArgs *args = call->args;
  const SwageView *range = &call->src[2];
  int64_t k = call->dst.ne[0], group = args->scope == SWAGE_SCOPE_GROUP ? swage_max64 (1, args->group) : k;
  bool whole = args->scope == SWAGE_SCOPE_TENSOR && !range->data;
  float lo = 0, hi = 0;

  if (whole)
    {
      for (int64_t i = 0; i < call->dst.ne[1]; i++)
        widen (call, swage_view_row (&call->src[0], i, 0, 0), 0, k, &lo, &hi);
      end = begin < end ? call->dst.ne[1] : begin;
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
