/* SPDX-License-Identifier: MIT
 *
 * Blocks taken apart and put together; the contract is in swage-grid.h. Layouts are GGUF's. Reading goes
 * through the same fields as codec-decode.c and writing gives the bytes of the quantizers, so that a block
 * that was read and is written again is the same block.
 */
#include "kernels/swage-grid.h"
#include "kernels/type/half.h"
#include "kernels/type/iq4-book.h"

static const SwageGridInfo infos[SWAGE_N_TYPES] = {
  /* clang-format off */
  /*                     block sub n levels offset book   min    negative  k_lo  k_hi km_hi */
  [SWAGE_TYPE_Q4_0]   = { 32,  32, 1,  16,    8, false, false, false,    1,   1,  0 },
  [SWAGE_TYPE_Q4_1]   = { 32,  32, 1,  16,    0, false, true,  true,     1,   1,  1 },
  [SWAGE_TYPE_Q5_0]   = { 32,  32, 1,  32,   16, false, false, false,    1,   1,  0 },
  [SWAGE_TYPE_Q5_1]   = { 32,  32, 1,  32,    0, false, true,  true,     1,   1,  1 },
  [SWAGE_TYPE_Q8_0]   = { 32,  32, 1, 256,  128, false, false, false,    1,   1,  0 },
  [SWAGE_TYPE_Q2_K]   = { 256, 16, 16,  4,    0, false, true,  false,    0,  15, 15 },
  [SWAGE_TYPE_Q3_K]   = { 256, 16, 16,  8,    4, false, false, false,  -32,  31,  0 },
  [SWAGE_TYPE_Q4_K]   = { 256, 32, 8,  16,    0, false, true,  false,    0,  63, 63 },
  [SWAGE_TYPE_Q5_K]   = { 256, 32, 8,  32,    0, false, true,  false,    0,  63, 63 },
  [SWAGE_TYPE_Q6_K]   = { 256, 16, 16, 64,   32, false, false, false, -128, 127,  0 },
  [SWAGE_TYPE_IQ4_NL] = { 32,  32, 1,  16,    0, true,  false, false,    1,   1,  0 },
  [SWAGE_TYPE_IQ4_XS] = { 256, 32, 8,  16,    0, true,  false, false,  -32,  31,  0 },
  /* clang-format on */
};

bool
swage_grid_get_info (SwageType type, SwageGridInfo *info)
{
  if (type < 0 || type >= SWAGE_N_TYPES || infos[type].block == 0)
    return false;
  *info = infos[type];
  return true;
}

void
swage_grid_get_levels (const SwageGridInfo *info, float *level)
{
  for (int q = 0; q < info->levels; q++)
    level[q] = info->book ? iq4_book[q & 15] : (float)q - info->offset;
}

int
swage_grid_find_level (const SwageGridInfo *info, float x)
{
  if (info->book)
    {
      x = x > -127 ? x : -127;
      x = x < 113 ? x : 113;
      uint32_t bits = iq4_bins[(int)((x + 128) * 0.125f)];
      return (int)(bits & 15) + (x > half_float (bits));
    }
  float top = (float)(info->levels - 1) - info->offset;
  x = x > -info->offset ? x : -info->offset;
  x = x < top ? x : top;
  return (int)((x + 12582912.0f) - 12582912.0f + info->offset); /* to the nearest integer, halves to even */
}

static float
get_half (const uint8_t *p)
{
  return half_f16_to_f32 ((uint16_t)(p[0] | p[1] << 8));
}

static void
set_half (uint8_t *p, float f)
{
  uint16_t h = half_f32_to_f16 (f);
  p[0] = (uint8_t)h;
  p[1] = (uint8_t)(h >> 8);
}

static void
get_nibbles (const uint8_t *p, uint8_t *q)
{
  for (int j = 0; j < 16; j++)
    {
      q[j] = p[j] & 15;
      q[j + 16] = p[j] >> 4;
    }
}

static void
set_nibbles (uint8_t *p, const uint8_t *q)
{
  for (int j = 0; j < 16; j++)
    p[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

/* ---- 32 elements: half, half or not, fifth bits or not, nibbles ---- */

static void
read_32 (const uint8_t *p, bool min, bool fifth, SwageGrid *grid, uint8_t *q)
{
  grid->d = get_half (p);
  p += 2;
  if (min)
    {
      grid->dm = -get_half (p);
      grid->km[0] = 1;
      p += 2;
    }
  if (q == NULL)
    return;
  get_nibbles (fifth ? p + 4 : p, q);
  for (int j = 0; j < 32 && fifth; j++)
    q[j] = (uint8_t)(q[j] | (p[j / 8] >> (j % 8) & 1) << 4);
}

static void
write_32 (uint8_t *p, bool min, bool fifth, const SwageGrid *grid, const uint8_t *q)
{
  set_half (p, grid->d);
  p += 2;
  if (min)
    {
      set_half (p, -grid->dm);
      p += 2;
    }
  if (fifth)
    {
      memset (p, 0, 4);
      for (int j = 0; j < 32; j++)
        p[j / 8] |= (uint8_t)((q[j] >> 4 & 1) << (j % 8));
      p += 4;
    }
  set_nibbles (p, q);
}

/* ---- K types ---- */

static void
read_q2_k (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  for (int s = 0; s < 16; s++)
    {
      grid->k[s] = p[s] & 15;
      grid->km[s] = p[s] >> 4;
    }
  grid->d = get_half (p + 80);
  grid->dm = get_half (p + 82);
  for (int i = 0; i < 256 && q != NULL; i++)
    q[i] = p[16 + 32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3;
}

static void
write_q2_k (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  memset (p, 0, 84);
  for (int s = 0; s < 16; s++)
    p[s] = (uint8_t)(grid->k[s] | grid->km[s] << 4);
  for (int i = 0; i < 256; i++)
    p[16 + 32 * (i / 128) + i % 32] |= (uint8_t)(q[i] << (2 * (i % 128 / 32)));
  set_half (p + 80, grid->d);
  set_half (p + 82, grid->dm);
}

static void
read_q3_k (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  const uint8_t *scales = p + 96;
  for (int s = 0; s < 16; s++)
    {
      int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
      grid->k[s] = (int16_t)((low | (scales[8 + s % 4] >> (2 * (s / 4)) & 3) << 4) - 32);
    }
  grid->d = get_half (p + 108);
  for (int i = 0; i < 256 && q != NULL; i++)
    q[i] = (uint8_t)((p[32 + 32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3)
                     | (p[i % 32] >> (i / 32) & 1) << 2);
}

static void
write_q3_k (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  memset (p, 0, 110);
  for (int i = 0; i < 256; i++)
    {
      p[i % 32] |= (uint8_t)(q[i] >> 2 << (i / 32));
      p[32 + 32 * (i / 128) + i % 32] |= (uint8_t)((q[i] & 3) << (2 * (i % 128 / 32)));
    }
  for (int s = 0; s < 16; s++)
    {
      int k = grid->k[s] + 32;
      p[96 + s % 8] |= (uint8_t)((k & 15) << (s < 8 ? 0 : 4));
      p[104 + s % 4] |= (uint8_t)(k >> 4 << (2 * (s / 4)));
    }
  set_half (p + 108, grid->d);
}

static void
read_k_scales (const uint8_t *p, SwageGrid *grid)
{
  grid->d = get_half (p);
  grid->dm = get_half (p + 2);
  p += 4;
  for (int s = 0; s < 8; s++)
    {
      grid->k[s] = (int16_t)(s < 4 ? p[s] & 63 : (p[s + 4] & 15) | (p[s - 4] >> 6) << 4);
      grid->km[s] = (int16_t)(s < 4 ? p[s + 4] & 63 : (p[s + 4] >> 4) | (p[s] >> 6) << 4);
    }
}

static void
write_k_scales (uint8_t *p, const SwageGrid *grid)
{
  set_half (p, grid->d);
  set_half (p + 2, grid->dm);
  p += 4;
  memset (p, 0, 12);
  for (int s = 0; s < 8; s++)
    {
      int k = grid->k[s], m = grid->km[s];
      if (s < 4)
        {
          p[s] = (uint8_t)k;
          p[s + 4] = (uint8_t)m;
          continue;
        }
      p[s + 4] = (uint8_t)((k & 15) | (m & 15) << 4);
      p[s - 4] |= (uint8_t)(k >> 4 << 6);
      p[s] |= (uint8_t)(m >> 4 << 6);
    }
}

static void
read_q4_k (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  read_k_scales (p, grid);
  for (int i = 0; i < 256 && q != NULL; i++)
    q[i] = p[16 + 32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15;
}

static void
write_q4_k (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  write_k_scales (p, grid);
  memset (p + 16, 0, 128);
  for (int i = 0; i < 256; i++)
    p[16 + 32 * (i / 64) + i % 32] |= (uint8_t)(q[i] << (4 * (i / 32 % 2)));
}

static void
read_q5_k (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  read_k_scales (p, grid);
  for (int i = 0; i < 256 && q != NULL; i++)
    q[i] = (uint8_t)((p[48 + 32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15)
                     | (p[16 + i % 32] >> (i / 32) & 1) << 4);
}

static void
write_q5_k (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  write_k_scales (p, grid);
  memset (p + 16, 0, 160);
  for (int i = 0; i < 256; i++)
    {
      p[16 + i % 32] |= (uint8_t)(q[i] >> 4 << (i / 32));
      p[48 + 32 * (i / 64) + i % 32] |= (uint8_t)((q[i] & 15) << (4 * (i / 32 % 2)));
    }
}

static void
read_q6_k (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  for (int s = 0; s < 16; s++)
    grid->k[s] = (int8_t)p[192 + s];
  grid->d = get_half (p + 208);
  for (int i = 0; i < 256 && q != NULL; i++)
    {
      int half = i / 128, at = i % 128, low = 64 * half + at % 64, high = 128 + 32 * half + at % 32;
      q[i] = (uint8_t)((p[low] >> (at < 64 ? 0 : 4) & 15) | (p[high] >> (2 * (at / 32)) & 3) << 4);
    }
}

static void
write_q6_k (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  memset (p, 0, 192);
  for (int i = 0; i < 256; i++)
    {
      int half = i / 128, at = i % 128;
      p[64 * half + at % 64] |= (uint8_t)((q[i] & 15) << (at < 64 ? 0 : 4));
      p[128 + 32 * half + at % 32] |= (uint8_t)(q[i] >> 4 << (2 * (at / 32)));
    }
  for (int s = 0; s < 16; s++)
    p[192 + s] = (uint8_t)(int8_t)grid->k[s];
  set_half (p + 208, grid->d);
}

/* ---- Q8_0, IQ4 ---- */

static void
read_q8_0 (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  grid->d = get_half (p);
  for (int j = 0; j < 32 && q != NULL; j++)
    q[j] = (uint8_t)((int8_t)p[2 + j] + 128);
}

static void
write_q8_0 (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  set_half (p, grid->d);
  for (int j = 0; j < 32; j++)
    p[2 + j] = (uint8_t)(q[j] - 128);
}

static void
read_iq4_xs (const uint8_t *p, SwageGrid *grid, uint8_t *q)
{
  int high = p[2] | p[3] << 8;
  grid->d = get_half (p);
  for (int s = 0; s < 8; s++)
    {
      grid->k[s] = (int16_t)(((p[4 + s / 2] >> (4 * (s % 2)) & 15) | (high >> (2 * s) & 3) << 4) - 32);
      if (q != NULL)
        get_nibbles (p + 8 + 16 * s, q + 32 * s);
    }
}

static void
write_iq4_xs (uint8_t *p, const SwageGrid *grid, const uint8_t *q)
{
  int high = 0;
  set_half (p, grid->d);
  memset (p + 4, 0, 4);
  for (int s = 0; s < 8; s++)
    {
      int k = grid->k[s] + 32;
      high |= k >> 4 << (2 * s);
      p[4 + s / 2] |= (uint8_t)((k & 15) << (4 * (s % 2)));
      set_nibbles (p + 8 + 16 * s, q + 32 * s);
    }
  p[2] = (uint8_t)high;
  p[3] = (uint8_t)(high >> 8);
}

void
swage_grid_read (SwageType type, const void *src, SwageGrid *grid, uint8_t *codes)
{
  *grid = (SwageGrid){ .k = { 1 } };
  switch (type)
    {
    case SWAGE_TYPE_Q4_0:
    case SWAGE_TYPE_IQ4_NL:
      read_32 (src, false, false, grid, codes);
      break;
    case SWAGE_TYPE_Q4_1:
      read_32 (src, true, false, grid, codes);
      break;
    case SWAGE_TYPE_Q5_0:
      read_32 (src, false, true, grid, codes);
      break;
    case SWAGE_TYPE_Q5_1:
      read_32 (src, true, true, grid, codes);
      break;
    case SWAGE_TYPE_Q8_0:
      read_q8_0 (src, grid, codes);
      break;
    case SWAGE_TYPE_Q2_K:
      read_q2_k (src, grid, codes);
      break;
    case SWAGE_TYPE_Q3_K:
      read_q3_k (src, grid, codes);
      break;
    case SWAGE_TYPE_Q4_K:
      read_q4_k (src, grid, codes);
      break;
    case SWAGE_TYPE_Q5_K:
      read_q5_k (src, grid, codes);
      break;
    case SWAGE_TYPE_Q6_K:
      read_q6_k (src, grid, codes);
      break;
    case SWAGE_TYPE_IQ4_XS:
      read_iq4_xs (src, grid, codes);
      break;
    default:
      break;
    }
}

void
swage_grid_write (SwageType type, const SwageGrid *grid, const uint8_t *codes, void *dst)
{
  switch (type)
    {
    case SWAGE_TYPE_Q4_0:
    case SWAGE_TYPE_IQ4_NL:
      write_32 (dst, false, false, grid, codes);
      break;
    case SWAGE_TYPE_Q4_1:
      write_32 (dst, true, false, grid, codes);
      break;
    case SWAGE_TYPE_Q5_0:
      write_32 (dst, false, true, grid, codes);
      break;
    case SWAGE_TYPE_Q5_1:
      write_32 (dst, true, true, grid, codes);
      break;
    case SWAGE_TYPE_Q8_0:
      write_q8_0 (dst, grid, codes);
      break;
    case SWAGE_TYPE_Q2_K:
      write_q2_k (dst, grid, codes);
      break;
    case SWAGE_TYPE_Q3_K:
      write_q3_k (dst, grid, codes);
      break;
    case SWAGE_TYPE_Q4_K:
      write_q4_k (dst, grid, codes);
      break;
    case SWAGE_TYPE_Q5_K:
      write_q5_k (dst, grid, codes);
      break;
    case SWAGE_TYPE_Q6_K:
      write_q6_k (dst, grid, codes);
      break;
    case SWAGE_TYPE_IQ4_XS:
      write_iq4_xs (dst, grid, codes);
      break;
    default:
      break;
    }
}

void
swage_int_put_codes (const uint8_t *codes, int64_t n, int bits, uint8_t *dst)
{
  uint32_t held = 0;
  int n_held = 0;

  for (int64_t i = 0; i < n; i++)
    {
      held |= (uint32_t)codes[i] << n_held;
      n_held += bits;
      while (n_held >= 8)
        {
          *dst++ = (uint8_t)held;
          held >>= 8;
          n_held -= 8;
        }
    }
  if (n_held > 0)
    *dst = (uint8_t)held;
}
