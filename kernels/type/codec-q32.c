/* SPDX-License-Identifier: MIT
 *
 * Quantizers of the types with one scale (and one minimum) to 32 elements: Q4_0, Q5_0, Q8_0, Q4_1, Q5_1.
 *
 * The plain rule, scale = largest magnitude / largest code, is far from the least squared error: a slightly
 * different scale moves every rounding error, and among a dozen of them the best is 10 to 20 % better. With 8
 * bits the refitted scale differs from the tried one by less than the rounding to half precision, so Q8_0
 * compares errors at stored scales; with fewer bits each candidate is refitted by least squares before it is
 * judged.
 */
#include "kernels/type/tile.h"

/* Steps tried: extreme element / these. Each list (but Q8_0's, evenly spaced) is a greedy choice, from a fine
 * grid, of the candidates that together leave the least error on 40,000 blocks of the sample model; the whole
 * grid would gain another 0.5 %, with minima 1 %. */
static const float q4_0_grid[] = { -8.72f, -8.24f, -7.92f, -7.12f };
static const float q5_0_grid[] = { -16.80f, -16.48f, -16.16f, -15.84f, -15.20f, -14.88f, -13.12f, 14.10f };
static const float q8_0_grid[] = { 127.0f, 126.4f, 125.8f, 125.2f, 124.6f, 124.0f, 123.4f, 122.8f };
/* clang-format off */
static const AffineClip q4_1_clips[] = {
  { 0, 0 }, { 0, 0.02f }, { 0.02f, 0 }, { 0.04f, 0 },
  { 0, 0.04f }, { -0.04f, 0 }, { 0.02f, -0.04f }, { 0.02f, 0.02f },
};
static const AffineClip q5_1_clips[] = {
  { 0, 0 }, { 0, 0.01f }, { 0.01f, 0 }, { -0.02f, 0 },
  { -0.01f, 0.01f }, { 0, -0.02f }, { 0.01f, -0.02f }, { 0.01f, -0.01f },
};
/* clang-format on */

/* The fifth bits of 32 codes as one little-endian word. */
static void
put_fifth (uint8_t *p, const uint8_t *q)
{
  uint32_t h = 0;
  for (int j = 0; j < 32; j++)
    h |= (uint32_t)(q[j] >> 4 & 1) << j;
  for (int j = 0; j < 4; j++)
    p[j] = (uint8_t)(h >> (8 * j));
}

/* Halves, fifth bits and nibbles of the first `count` blocks of a tile; `mins` is NULL where there are none.
 */
static void
put_blocks (uint8_t *dst, int count, int bits, const float *scales, const float *mins, const uint8_t *q)
{
  for (int b = 0; b < count; b++, q += 32)
    {
      put_half (dst, scales[b]);
      dst += 2;
      if (mins)
        {
          put_half (dst, mins[b]);
          dst += 2;
        }
      if (bits == 5)
        {
          put_fifth (dst, q);
          dst += 4;
        }
      put_nibbles (dst, q);
      dst += 16;
    }
}

/* ---- Q4_0, Q5_0 ---- */

static void
symmetric_row (const float *src, const float *importance, uint8_t *dst, int64_t n, int bits,
               const float *grid, int n_grid)
{
  const float half_range = (float)(1 << (bits - 1));
  const Sym sym = { -half_range, half_range - 1, false };
  const int bytes = bits == 5 ? 22 : 18;
  uint8_t q[LANES * 32];
  for (int64_t i = 0; i < n; i += LANES * 32)
    {
      Tile t;
      TileCodes codes;
      float scales[LANES] ALIGNED;
      int count = n - i < LANES * 32 ? (int)((n - i) / 32) : LANES;
      tile_load (&t, src + i, importance ? importance + i : NULL, 32, count, 1);
      FOR_COLUMNS (l)
      {
        vf d = v_f16 (sym_search (&t, l, sym, grid, n_grid));
        v_store (&scales[l], d);
        sym_codes (&t, l, sym, d, half_range, &codes);
      }
      tile_codes_get (&codes, 32, q);
      put_blocks (dst + i / 32 * bytes, count, bits, scales, NULL, q);
    }
}

void
LEVEL (q4_0_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  symmetric_row (src, importance, dst, n, 4, q4_0_grid, COUNT (q4_0_grid));
}

void
LEVEL (q5_0_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  symmetric_row (src, importance, dst, n, 5, q5_0_grid, COUNT (q5_0_grid));
}

/* ---- Q8_0 ---- */

INLINE vf
q8_0_search (const Tile *t, int l, Sym sym)
{
  vf extreme = v_abs (tile_extreme (t, l)), best_d = v_all (0), best = v_all (0);
  for (int i = 0; i < COUNT (q8_0_grid); i += GROUP)
    {
      vf d[GROUP], error[GROUP];
      EACH (k, GROUP) d[k] = v_f16 (extreme * (1 / q8_0_grid[i + k]));
      sym_errors (t, l, sym, d, error);
      EACH (k, GROUP)
      {
        vm better = v_lt (error[k], best);
        best = i + k == 0 ? error[k] : v_sel (better, error[k], best);
        best_d = i + k == 0 ? d[k] : v_sel (better, d[k], best_d);
      }
    }
  return best_d;
}

void
LEVEL (q8_0_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  const Sym sym = { -127, 127, false };
  uint8_t *out = dst, q[LANES * 32];
  for (int64_t i = 0; i < n; i += LANES * 32)
    {
      Tile t;
      TileCodes codes;
      float scales[LANES] ALIGNED;
      int count = n - i < LANES * 32 ? (int)((n - i) / 32) : LANES;
      tile_load (&t, src + i, importance ? importance + i : NULL, 32, count, 1);
      FOR_COLUMNS (l)
      {
        vf d = q8_0_search (&t, l, sym);
        v_store (&scales[l], d);
        sym_codes (&t, l, sym, d, 0, &codes);
      }
      tile_codes_get (&codes, 32, q);
      for (int b = 0; b < count; b++)
        {
          uint8_t *block = out + (i / 32 + b) * 34;
          put_half (block, scales[b]);
          memcpy (block + 2, q + 32 * b, 32);
        }
    }
}

/* ---- Q4_1, Q5_1 ---- */

static void
affine_row (const float *src, const float *importance, uint8_t *dst, int64_t n, int bits,
            const AffineClip *clips, int n_clips)
{
  const float top = (float)((1 << bits) - 1);
  const int bytes = bits == 5 ? 24 : 20;
  uint8_t q[LANES * 32];
  for (int64_t i = 0; i < n; i += LANES * 32)
    {
      Tile t;
      TileCodes codes;
      float scales[LANES] ALIGNED, mins[LANES] ALIGNED;
      int count = n - i < LANES * 32 ? (int)((n - i) / 32) : LANES;
      tile_load (&t, src + i, importance ? importance + i : NULL, 32, count, 1);
      FOR_COLUMNS (l)
      {
        vf s, m;
        affine_search (&t, l, top, false, clips, n_clips, &s, &m);
        s = v_f16 (s);
        m = v_f16 (m);
        v_store (&scales[l], s);
        v_store (&mins[l], m);
        affine_codes (&t, l, top, s, m, &codes);
      }
      tile_codes_get (&codes, 32, q);
      put_blocks (dst + i / 32 * bytes, count, bits, scales, mins, q);
    }
}

void
LEVEL (q4_1_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  affine_row (src, importance, dst, n, 4, q4_1_clips, COUNT (q4_1_clips));
}

void
LEVEL (q5_1_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  affine_row (src, importance, dst, n, 5, q5_1_clips, COUNT (q5_1_clips));
}
