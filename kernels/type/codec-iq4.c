/* SPDX-License-Identifier: MIT
 *
 * Quantizers of IQ4_NL (a half to 32 elements) and IQ4_XS (a half to 256, integer scales to 32): codes are
 * indices into a book of 16 values. The searches are those of the symmetric types with another rounding.
 */
#include "kernels/type/super.h"

static const Sym book = { -127, 113, true };
/* Steps tried: extreme element / these; chosen like those in codec-q32.c. */
static const float iq4_grid[] = { -137.2f, -129.5f, -124.5f, -119.4f, -109.2f, 110.7f, 115.3f, 122.0f };
static const float near4[] = { 0, -1, 1, 2 };
static const SymSuper iq4_xs_super = { { -127, 113, true }, 32, 8, -32, 31, near4, 4 };

void
LEVEL (iq4_nl_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
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
        vf d = v_f16 (sym_search (&t, l, book, iq4_grid, COUNT (iq4_grid)));
        v_store (&scales[l], d);
        sym_codes (&t, l, book, d, 0, &codes);
      }
      tile_codes_get (&codes, 32, q);
      for (int b = 0; b < count; b++)
        {
          uint8_t *block = out + (i / 32 + b) * 18;
          put_half (block, scales[b]);
          put_nibbles (block + 2, q + 32 * b);
        }
    }
}

static void
pack_iq4_xs (uint8_t *block, const Super *best, int l, const uint8_t *q)
{
  int high = 0;
  put_half (block, best->d[l]);
  memset (block + 4, 0, 4);
  for (int j = 0; j < 8; j++)
    {
      int k = (int)best->k[l + j] + 32;
      high |= k >> 4 << (2 * j);
      block[4 + j / 2] |= (uint8_t)((k & 15) << (4 * (j % 2)));
      put_nibbles (block + 8 + 16 * j, q + 32 * j);
    }
  block[2] = (uint8_t)high;
  block[3] = (uint8_t)(high >> 8);
}

void
LEVEL (iq4_xs_from_f32) (const float *src, const float *importance, void *dst, int64_t n)
{
  uint8_t *out = dst, q[LANES * 32];
  for (int64_t i = 0; i < n; i += LANES * 32)
    {
      Tile t;
      TileCodes codes;
      Super best = { 0 };
      float s[LANES] ALIGNED;
      int count = n - i < LANES * 32 ? (int)((n - i) / 32) : LANES;
      tile_load (&t, src + i, importance ? importance + i : NULL, 32, count, 8);
      FOR_COLUMNS (l)
      v_store (&s[l], sym_search (&t, l, book, iq4_grid, COUNT (iq4_grid)));
      sym_super_search (&t, &iq4_xs_super, s, &best);
      FOR_COLUMNS (l)
      sym_codes (&t, l, book, v_load (&best.d[l]) * v_load (&best.k[l]), 0, &codes);
      tile_codes_get (&codes, 32, q);
      for (int l = 0; l < count; l += 8)
        pack_iq4_xs (out + (i / 256 + l / 8) * 136, &best, l, q + 32 * l);
    }
}
