/* SPDX-License-Identifier: MIT
 *
 * Quantizers of the K types: 256 elements under one half (and one for the minima), 8 or 16 sub-blocks with
 * integer scales. First each sub-block's own best scale, then the integers and the halves together (super.h).
 */
#include "kernels/type/super.h"

/* Tried first for each sub-block: extreme element / grid, or the range clipped at its ends. Greedy choices on
 * the sample model, as in codec-q32.c. Q6_K's grid is coarse because its integer scales are a finer one. */
static const float q3_k_grid[] = { -4.44f, -4.12f, -3.80f, -3.16f };
static const float q6_k_grid[] = { -32.0f, -31.4f, -30.8f, -30.2f };
/* clang-format off */
static const AffineClip q2_k_clips[] = {
  { 0, 0 }, { 0, 0.16f }, { 0.08f, 0.08f }, { 0.16f, 0 },
  { 0.08f, -0.08f }, { 0.08f, 0.16f }, { 0.16f, 0.08f }, { -0.08f, 0.08f },
};
static const AffineClip q4_k_clips[] = {
  { 0, 0 }, { 0, 0.02f }, { 0.02f, 0 }, { 0.04f, 0 },
  { 0, 0.04f }, { -0.04f, 0.02f }, { 0, -0.04f }, { 0.02f, 0.02f },
};
static const AffineClip q5_k_clips[] = {
  { 0, 0 }, { 0, 0.01f }, { 0.01f, 0 }, { -0.02f, 0 },
  { -0.01f, 0.01f }, { 0, -0.02f }, { 0.01f, -0.02f }, { 0.01f, -0.01f },
};
/* clang-format on */

/* Integer scales tried, by distance from the nearest one. Q6_K's are so fine that the next ones are a search
 * of their own; a larger scale clips nothing, so there are more of them. */
static const float near4[] = { 0, -1, 1, 2 }, near8[] = { 0, -1, 1, 2, -2, 3, 4, 5 };
static const SymSuper q3_k_super = { { -4, 3, false }, 16, 16, -32, 31, near4, 4 };
static const SymSuper q6_k_super = { { -32, 31, false }, 16, 16, -128, 127, near8, 8 };
static const AffineSuper q2_k_super = { 16, 16, 3, 15 };
static const AffineSuper q4_k_super = { 32, 8, 15, 63 };
static const AffineSuper q5_k_super = { 32, 8, 31, 63 };

/* ---- search ---- */

/* Codes of a tile without minima, offset to start at 0. */
static void
sym_tile (const Tile *t, const SymSuper *p, const float *grid, int n_grid, Super *best, uint8_t *q)
{
  float s[LANES] ALIGNED;
  TileCodes codes;
  FOR_COLUMNS (l)
  v_store (&s[l], sym_search (t, l, p->sym, grid, n_grid));
  sym_super_search (t, p, s, best);
  FOR_COLUMNS (l)
  sym_codes (t, l, p->sym, v_load (&best->d[l]) * v_load (&best->k[l]), -p->sym.lo, &codes);
  tile_codes_get (&codes, t->len, q);
}

static void
affine_tile (const Tile *t, const AffineSuper *p, const AffineClip *clips, int n_clips, Super *best,
             uint8_t *q)
{
  float s[LANES] ALIGNED, m[LANES] ALIGNED;
  TileCodes codes;
  FOR_COLUMNS (l)
  {
    vf scale, min;
    affine_search (t, l, p->top, true, clips, n_clips, &scale, &min);
    v_store (&s[l], scale);
    v_store (&m[l], -min);
  }
  affine_super_search (t, p, s, m, best);
  FOR_COLUMNS (l)
  affine_codes (t, l, p->top, v_load (&best->d[l]) * v_load (&best->k[l]),
                -(v_load (&best->dm[l]) * v_load (&best->km[l])), &codes);
  tile_codes_get (&codes, t->len, q);
}

/* ---- packing: `l` is the first lane of the super-block, q its 256 codes ---- */

static void
pack_q2_k (uint8_t *dst, const Super *b, int l, const uint8_t *q)
{
  for (int j = 0; j < 16; j++)
    dst[j] = (uint8_t)((int)b->k[l + j] | (int)b->km[l + j] << 4);
  for (int h = 0; h < 2; h++)
    for (int j = 0; j < 32; j++)
      {
        const uint8_t *p = q + 128 * h + j;
        dst[16 + 32 * h + j] = (uint8_t)(p[0] | p[32] << 2 | p[64] << 4 | p[96] << 6);
      }
  put_half (dst + 80, b->d[l]);
  put_half (dst + 82, b->dm[l]);
}

static void
pack_q3_k (uint8_t *dst, const Super *b, int l, const uint8_t *q)
{
  memset (dst, 0, 110);
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 32; j++)
      {
        dst[j] |= (uint8_t)(q[32 * i + j] >> 2 << i);
        dst[32 + 32 * (i / 4) + j] |= (uint8_t)((q[32 * i + j] & 3) << (2 * (i % 4)));
      }
  for (int j = 0; j < 16; j++)
    {
      int k = (int)b->k[l + j] + 32;
      dst[96 + j % 8] |= (uint8_t)((k & 15) << (j < 8 ? 0 : 4));
      dst[104 + j % 4] |= (uint8_t)(k >> 4 << (2 * (j / 4)));
    }
  put_half (dst + 108, b->d[l]);
}

static void
pack_k_scales (uint8_t *dst, const Super *b, int l)
{
  put_half (dst, b->d[l]);
  put_half (dst + 2, b->dm[l]);
  dst += 4;
  memset (dst, 0, 12);
  for (int j = 0; j < 8; j++)
    {
      int k = (int)b->k[l + j], m = (int)b->km[l + j];
      if (j < 4)
        {
          dst[j] = (uint8_t)k;
          dst[j + 4] = (uint8_t)m;
        }
      else
        {
          dst[j + 4] = (uint8_t)((k & 15) | (m & 15) << 4);
          dst[j - 4] |= (uint8_t)(k >> 4 << 6);
          dst[j] |= (uint8_t)(m >> 4 << 6);
        }
    }
}

static void
pack_q4_k (uint8_t *dst, const Super *b, int l, const uint8_t *q)
{
  pack_k_scales (dst, b, l);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 32; j++)
      dst[16 + 32 * i + j] = (uint8_t)(q[64 * i + j] | q[64 * i + 32 + j] << 4);
}

static void
pack_q5_k (uint8_t *dst, const Super *b, int l, const uint8_t *q)
{
  pack_k_scales (dst, b, l);
  memset (dst + 16, 0, 32);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 32; j++)
      {
        uint8_t low = q[64 * i + j], high = q[64 * i + 32 + j];
        dst[16 + j] |= (uint8_t)((low >> 4) << (2 * i) | (high >> 4) << (2 * i + 1));
        dst[48 + 32 * i + j] = (uint8_t)((low & 15) | (high & 15) << 4);
      }
}

static void
pack_q6_k (uint8_t *dst, const Super *b, int l, const uint8_t *q)
{
  for (int h = 0; h < 2; h++, q += 128)
    for (int j = 0; j < 32; j++)
      {
        dst[64 * h + j] = (uint8_t)((q[j] & 15) | (q[j + 64] & 15) << 4);
        dst[64 * h + 32 + j] = (uint8_t)((q[j + 32] & 15) | (q[j + 96] & 15) << 4);
        dst[128 + 32 * h + j]
            = (uint8_t)(q[j] >> 4 | q[j + 32] >> 4 << 2 | q[j + 64] >> 4 << 4 | q[j + 96] >> 4 << 6);
      }
  for (int j = 0; j < 16; j++)
    dst[192 + j] = (uint8_t)(int8_t)b->k[l + j];
  put_half (dst + 208, b->d[l]);
}

/* ---- rows ---- */

/* A tile is one super-block of 16 sub-blocks or two of 8. */
#define ROWS(name, SEARCH, SUPER, SETS, BYTES)                                                               \
  void LEVEL (name##_from_f32) (const float *src, const float *importance, void *dst, int64_t n)             \
  {                                                                                                          \
    uint8_t *out = dst, q[LANES * 32];                                                                       \
    const int elements = LANES * SUPER.len;                                                                  \
    for (int64_t i = 0; i < n; i += elements)                                                                \
      {                                                                                                      \
        Tile t;                                                                                              \
        Super best = { 0 };                                                                                  \
        int count = n - i < elements ? (int)((n - i) / SUPER.len) : LANES;                                   \
        tile_load (&t, src + i, importance ? importance + i : NULL, SUPER.len, count, SUPER.joint);          \
        SEARCH (&t, &SUPER, SETS, COUNT (SETS), &best, q);                                                   \
        for (int l = 0; l < count; l += SUPER.joint)                                                         \
          pack_##name (out + (i / 256 + l / SUPER.joint) * (BYTES), &best, l, q + l * SUPER.len);            \
      }                                                                                                      \
  }

ROWS (q2_k, affine_tile, q2_k_super, q2_k_clips, 84)
ROWS (q3_k, sym_tile, q3_k_super, q3_k_grid, 110)
ROWS (q4_k, affine_tile, q4_k_super, q4_k_clips, 144)
ROWS (q5_k, affine_tile, q5_k_super, q5_k_clips, 176)
ROWS (q6_k, sym_tile, q6_k_super, q6_k_grid, 210)
