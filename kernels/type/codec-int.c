/* SPDX-License-Identifier: MIT
 *
 * Plain N-bit groups: x ≈ s·(q − z) with integer q and z, so zero is always exact.
 *
 * Groups may be of any length, so here the lanes are elements: element e of a group adds to partial sum e mod
 * 16, and the 16 partial sums are added in a fixed tree, whatever the width of the vectors. A candidate scale
 * gives codes, their least-squares refit rounded to half precision gives the scale to judge, and its error is
 * computed as such (with 8 bits the error is too small a part of Σx² to be found by subtraction). The scale
 * may be negative when symmetric: codes reach one step further below zero than above.
 */
#include "kernels/type/codec.h"
#include "kernels/type/half.h"

#define LANES 16
#define PARTS (LANES / W)
#define INT_MAX_VALUE 3e8f

typedef struct
{
  const float *x, *w; /* w may be NULL */
  int64_t len;
  float w_scale;
} Group;

/* 16 elements from e on, W at a time in `part`; beyond the end all is zero. */
INLINE void
group_load (const Group *g, int64_t e, int part, vf *x, vf *w)
{
  int64_t from = e + (int64_t)part * W;
  float xs[W] ALIGNED = { 0 }, ws[W] ALIGNED = { 0 };
  const float *px = g->x + from, *pw = g->w ? g->w + from : NULL;
  if (g->len - from < W)
    {
      for (int64_t i = from; i < g->len; i++)
        {
          xs[i - from] = g->x[i];
          ws[i - from] = g->w ? g->w[i] : 1.0f;
        }
      px = xs;
      pw = ws;
    }
  vf v = v_load (px);
  v = (vf)((vi)v & (v == v));
  *x = v_clamp (v, v_all (-INT_MAX_VALUE), v_all (INT_MAX_VALUE));
  *w = v_all (1);
  if (pw)
    *w = v_min (v_max (v_load (pw), v_all (0)), v_all (1e30f)) * g->w_scale;
}

INLINE float
tree_sum (const vf parts[PARTS])
{
  float v[LANES] ALIGNED;
  for (int p = 0; p < PARTS; p++)
    v_store (v + p * W, parts[p]);
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int i = 0; i < step; i++)
      v[i] += v[i + step];
  return v[0];
}

static void
group_range (Group *g, float *min, float *max)
{
  vf lo = v_all (0), hi = v_all (0), top = v_all (1e-30f);
  float v[W] ALIGNED;
  for (int64_t e = 0; e < g->len; e += LANES)
    for (int p = 0; p < PARTS && e + p * W < g->len; p++)
      {
        vf x, w;
        group_load (g, e, p, &x, &w);
        lo = v_min (lo, x);
        hi = v_max (hi, x);
        top = v_max (top, w);
      }
  *min = *max = 0;
  v_store (v, lo);
  for (int i = 0; i < W; i++)
    *min = v[i] < *min ? v[i] : *min;
  v_store (v, hi);
  for (int i = 0; i < W; i++)
    *max = v[i] > *max ? v[i] : *max;
  /* A power of two that takes the largest weight to [1, 2). */
  v_store (v, top);
  float w = v[0];
  for (int i = 1; i < W; i++)
    w = v[i] > w ? v[i] : w;
  if (g->w)
    g->w_scale = half_float ((254u << 23) - (half_bits (w) & 0x7f800000));
}

/* The least-squares scale for the codes of step 1/id, and 0 where there is none. */
static float
group_refit (const Group *g, float id, float lo, float hi)
{
  vf xq[PARTS], qq[PARTS];
  for (int p = 0; p < PARTS; p++)
    xq[p] = qq[p] = v_all (0);
  for (int64_t e = 0; e < g->len; e += LANES)
    for (int p = 0; p < PARTS && e + p * W < g->len; p++)
      {
        vf x, w;
        group_load (g, e, p, &x, &w);
        vf q = v_round (v_clamp (x * id, v_all (lo), v_all (hi)));
        xq[p] += w * q * x;
        qq[p] += w * q * q;
      }
  float num = tree_sum (xq), den = tree_sum (qq);
  return den > 0 ? num / den : 0;
}

static float
group_error (const Group *g, float s, float lo, float hi)
{
  float id = s != 0 ? 1 / s : 0;
  vf error[PARTS];
  for (int p = 0; p < PARTS; p++)
    error[p] = v_all (0);
  for (int64_t e = 0; e < g->len; e += LANES)
    for (int p = 0; p < PARTS && e + p * W < g->len; p++)
      {
        vf x, w;
        group_load (g, e, p, &x, &w);
        vf r = x - s * v_round (v_clamp (x * id, v_all (lo), v_all (hi)));
        error[p] += w * r * r;
      }
  return tree_sum (error);
}

INLINE float
round_half (float f)
{
  f = f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f;
  return half_f16_to_f32 (half_f32_to_f16 (f));
}

typedef struct
{
  float s, error;
  int zero;
} Choice;

/* Judge step `s`, and the refit of its codes, with zero point `zero`. */
static void
try_step (const Group *g, float s, int zero, int top, Choice *best)
{
  float lo = (float)-zero, hi = (float)(top - zero);
  float id = s > 1e-20f || s < -1e-20f ? 1 / s : 0;
  for (int i = 0; i < 2; i++)
    {
      float rounded = round_half (i == 0 ? s : group_refit (g, id, lo, hi));
      float error = group_error (g, rounded, lo, hi);
      if (error < best->error)
        *best = (Choice){ rounded, error, zero };
    }
}

static Choice
group_search (Group *g, int bits, bool symmetric)
{
  int top = (1 << bits) - 1, half = 1 << (bits - 1);
  float min, max;
  group_range (g, &min, &max);
  Choice best = { 0, 0, symmetric ? half : 0 };
  if (!(max - min > 0))
    return best;
  best.error = group_error (g, 0, 0, 0);
  if (symmetric)
    {
      float extreme = -min < max ? max : min;
      /* Down to where codes of 2 bits clip a third; finer steps of clipping for more bits. */
      float step = half > 2 ? 0.35f : 0.15f;
      for (int i = 0; i < 6; i++)
        {
          try_step (g, extreme / -((float)half + 0.4f - step * (float)i), half, top, &best);
          try_step (g, extreme / ((float)half - 0.6f - step * (float)i * (half > 2 ? 1.0f : 0.5f)), half, top,
                    &best);
        }
    }
  else
    for (int i = 0; i < 6; i++)
      {
        float s = (max - min) / ((float)top + 0.4f * (float)(i - 1) * (top > 3 ? 1.0f : 0.5f));
        int zero = (int)(-min / s + 0.5f);
        for (int z = zero - 1; z <= zero + 1; z++)
          if (z >= 0 && z <= top)
            try_step (g, s, z, top, &best);
      }
  /* Codes of the best scale, refitted again. */
  float s = best.s;
  if (s != 0)
    try_step (g, s, best.zero, top, &best);
  return best;
}

typedef struct
{
  uint8_t *p;
  uint32_t held;
  int n_held;
} BitWriter;

INLINE void
put_bits (BitWriter *out, uint32_t code, int bits)
{
  out->held |= code << out->n_held;
  out->n_held += bits;
  while (out->n_held >= 8)
    {
      *out->p++ = (uint8_t)out->held;
      out->held >>= 8;
      out->n_held -= 8;
    }
}

static void
group_write (const Group *g, Choice c, int bits, BitWriter *out)
{
  int top = (1 << bits) - 1;
  float id = c.s != 0 ? 1 / c.s : 0, lo = (float)-c.zero, hi = (float)(top - c.zero);
  for (int64_t e = 0; e < g->len; e += LANES)
    {
      float q[LANES] ALIGNED;
      for (int p = 0; p < PARTS && e + p * W < g->len; p++)
        {
          vf x, w;
          group_load (g, e, p, &x, &w);
          v_store (q + p * W, v_round (v_clamp (x * id, v_all (lo), v_all (hi))));
        }
      for (int i = 0; i < LANES && e + i < g->len; i++)
        put_bits (out, (uint32_t)((int)q[i] + c.zero), bits);
    }
}

void
LEVEL (int_from_f32) (const float *src, const float *importance, int64_t n, int bits, int group,
                      bool symmetric, uint8_t *codes, uint16_t *scales, uint8_t *zeros)
{
  BitWriter out = { codes, 0, 0 };
  for (int64_t from = 0, i = 0; from < n; from += group, i++)
    {
      Group g
          = { src + from, importance ? importance + from : NULL, n - from < group ? n - from : group, 1.0f };
      Choice c = group_search (&g, bits, symmetric);
      scales[i] = half_f32_to_f16 (c.s);
      if (!symmetric)
        zeros[i] = (uint8_t)c.zero;
      group_write (&g, c, bits, &out);
    }
  if (out.n_held > 0)
    *out.p = (uint8_t)out.held;
}

void
LEVEL (int_to_f32) (const uint8_t *codes, const uint16_t *scales, const uint8_t *zeros, int64_t n, int bits,
                    int group, bool symmetric, float *dst)
{
  const uint32_t mask = (1u << bits) - 1;
  int64_t bytes = (n * bits + 7) / 8;
  for (int64_t from = 0, i = 0; from < n; from += group, i++)
    {
      int64_t to = n - from < group ? n : from + group;
      float s = half_f16_to_f32 (scales[i]);
      int zero = symmetric ? 1 << (bits - 1) : zeros[i];
      for (int64_t e = from; e < to; e++)
        {
          int64_t bit = e * bits, byte = bit / 8;
          uint32_t two = codes[byte] | (byte + 1 < bytes ? (uint32_t)codes[byte + 1] << 8 : 0);
          dst[e] = s * (float)((int)(two >> (bit % 8) & mask) - zero);
        }
    }
}
