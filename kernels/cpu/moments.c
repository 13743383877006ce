/* SPDX-License-Identifier: MIT
 *
 * moments, vectorized: power sums in double, the rest in float. A vector that holds NaN or infinity is rare
 * and goes element by element.
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (moments) (const SwageOpCall *call, int64_t begin, int64_t end);

#define PIECE 4096 /* elements decoded at once */

typedef struct
{
  double c;
  const float *limits;
  int64_t n_limits;
  vd s[4];
  vf min, max;
  int64_t n, bad, zeros, over[SWAGE_MOMENT_MAX_THRESHOLDS];
} Moments;

static void
add_one (Moments *m, float x)
{
  float a = fabsf (x);
  if (!isfinite (x))
    {
      m->bad++;
      return;
    }
  double d = x - m->c;
  m->n++;
  m->s[0][0] += d;
  m->s[1][0] += d * d;
  m->s[2][0] += d * d * d;
  m->s[3][0] += d * d * d * d;
  m->min = vf_min (vf_set (x), m->min);
  m->max = vf_max (vf_set (x), m->max);
  m->zeros += x == 0;
  for (int64_t j = 0; j < m->n_limits; j++)
    m->over[j] += a > m->limits[j];
}

static int64_t
count_lanes (vi count)
{
  int64_t n = 0;
  for (int i = 0; i < VL; i++)
    n += count[i];
  return n;
}

static void
add_piece (Moments *m, const float *x, int64_t n)
{
  Moments s = *m;
  vd c = (vd){ 0 } + s.c;
  vi zeros = { 0 }, over[SWAGE_MOMENT_MAX_THRESHOLDS] = { { 0 } };
  int64_t i = 0;

  for (; i + VL <= n; i += VL)
    {
      vf v = vf_load (x + i), a = vf_abs (v);
      if (__builtin_expect (vi_any ((vi)a >= 0x7f800000), 0))
        {
          for (int l = 0; l < VL; l++)
            add_one (&s, x[i + l]);
          continue;
        }
      vd d[2] = { vd_low (v) - c, vd_high (v) - c };
      for (int h = 0; h < 2; h++)
        {
          vd q = d[h] * d[h];
          s.s[0] += d[h];
          s.s[1] += q;
          s.s[2] = vd_fma (q, d[h], s.s[2]);
          s.s[3] = vd_fma (q, q, s.s[3]);
        }
      s.n += VL;
      s.min = vf_min (v, s.min);
      s.max = vf_max (v, s.max);
      zeros -= (vi)(v == vf_set (0));
      for (int64_t j = 0; j < s.n_limits; j++)
        over[j] -= (vi)(a > vf_set (s.limits[j]));
    }
  for (; i < n; i++)
    add_one (&s, x[i]);
  s.zeros += count_lanes (zeros);
  for (int64_t j = 0; j < s.n_limits; j++)
    s.over[j] += count_lanes (over[j]);
  *m = s;
}

void
SWAGE_FAST (moments) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageView *x = &call->src[0], *centre = &call->src[1], *threshold = &call->src[2];
  int64_t n = x->ne[0];

  for (int64_t part = begin; part < end; part++)
    {
      double *out = swage_view_row (&call->dst, part, 0, 0);
      Moments m = { .min = vf_set (INFINITY), .max = vf_set (-INFINITY) };
      int64_t r0, r1;
      m.c = centre->data ? *(float *)swage_view_row (centre, part % centre->ne[1], 0, 0) : 0;
      m.n_limits = threshold->data ? threshold->ne[0] : 0;
      m.limits = m.n_limits ? swage_view_row (threshold, part % threshold->ne[1], 0, 0) : NULL;
      swage_part_rows (x, call->dst.ne[1], part, &r0, &r1);
      for (int64_t r = r0; r < r1; r++)
        for (int64_t from = 0; from < n; from += PIECE)
          {
            float piece[PIECE];
            int64_t len = swage_min64 (PIECE, n - from);
            add_piece (&m, swage_row_decode (x->type, swage_view_nth_row (x, r), from, len, piece), len);
          }
      double min = -vf_top (-m.min), max = vf_top (m.max);
      out[SWAGE_MOMENT_N] = (double)m.n;
      out[SWAGE_MOMENT_BAD] = (double)m.bad;
      out[SWAGE_MOMENT_MIN] = m.n ? min : 0;
      out[SWAGE_MOMENT_MAX] = m.n ? max : 0;
      for (int j = 0; j < 4; j++)
        out[SWAGE_MOMENT_S1 + j] = vd_sum (m.s[j]);
      out[SWAGE_MOMENT_ZEROS] = (double)m.zeros;
      out[SWAGE_MOMENT_ABSMAX] = m.n ? fmax (fabs (min), fabs (max)) : 0;
      for (int64_t j = 0; j < m.n_limits; j++)
        out[SWAGE_MOMENT_COUNTS + j] = (double)m.over[j];
    }
}
