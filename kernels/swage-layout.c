/* SPDX-License-Identifier: MIT */
#include "kernels/swage-layout.h"

#include "kernels/type/half.h"

bool
swage_type_is_layout (SwageType type)
{
  return type == SWAGE_TYPE_INT || type == SWAGE_TYPE_LUT || type == SWAGE_TYPE_BCQ || type == SWAGE_TYPE_TT
         || type == SWAGE_TYPE_OVP;
}

bool
swage_layout_is_valid (SwageType type, int64_t n, int bits, int group)
{
  int64_t dims[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];

  if (n <= 0 || n > INT64_MAX / 64)
    return false;
  switch (type)
    {
    case SWAGE_TYPE_INT:
      return bits >= 2 && bits <= 8 && group >= 1;
    case SWAGE_TYPE_LUT:
      return bits >= 1 && bits <= 8;
    case SWAGE_TYPE_BCQ:
      return bits >= 1 && bits <= 8 && group >= 8 && group % 8 == 0;
    case SWAGE_TYPE_TT:
      return swage_tt_shape (n, bits, group, dims, ranks) > 0;
    case SWAGE_TYPE_OVP:
      return (bits == 4 || bits == 8) && group >= 8 && group % 8 == 0;
    default:
      return false;
    }
}

size_t
swage_layout_code_bytes (SwageType type, int64_t n, int bits, int group)
{
  int64_t dims[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];

  if (!swage_layout_is_valid (type, n, bits, group))
    return 0;
  switch (type)
    {
    case SWAGE_TYPE_BCQ:
      return (size_t)bits * (size_t)((n + 7) / 8);
    case SWAGE_TYPE_TT:
      return sizeof (uint16_t) * (size_t)swage_tt_shape (n, bits, group, dims, ranks);
    case SWAGE_TYPE_OVP:
      return (size_t)((n + 1) / 2) * (size_t)(bits / 4);
    default:
      return (size_t)((n * bits + 7) / 8);
    }
}

int64_t
swage_layout_scales (SwageType type, int64_t n, int bits, int group, bool symmetric)
{
  if (!swage_layout_is_valid (type, n, bits, group))
    return 0;
  switch (type)
    {
    case SWAGE_TYPE_INT:
    case SWAGE_TYPE_OVP:
      return swage_int_groups (n, group);
    case SWAGE_TYPE_LUT:
      return (int64_t)1 << bits;
    case SWAGE_TYPE_BCQ:
      return swage_int_groups (n, group) * (symmetric ? bits : bits + 1);
    default:
      return 0;
    }
}

/* Scales may lie askew in a mapped file. */
static inline float
read_half (const uint16_t *at)
{
  const uint8_t *bytes = (const uint8_t *)at;
  return half_f16_to_f32 ((uint16_t)(bytes[0] | bytes[1] << 8));
}

static void
decode_lut (const uint8_t *codes, const uint16_t *scales, int64_t from, int64_t count, int bits, float *out)
{
  float table[256];
  unsigned mask = (1u << bits) - 1;

  for (int i = 0; i < 1 << bits; i++)
    table[i] = read_half (scales + i);
  if (bits == 8)
    {
      for (int64_t i = 0; i < count; i++)
        out[i] = table[codes[from + i]];
      return;
    }
  /* eight values take `bits` whole bytes */
  const uint8_t *at = codes + from * bits / 8;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8, at += bits)
    {
      uint64_t eight = 0;
      for (int b = 0; b < bits; b++)
        eight |= (uint64_t)at[b] << (8 * b);
      for (int k = 0; k < 8; k++)
        out[i + k] = table[eight >> (k * bits) & mask];
    }
  for (int k = 0; i + k < count; k++)
    {
      int bit = k * bits;
      unsigned two = at[bit >> 3];
      if ((bit & 7) + bits > 8)
        two |= (unsigned)at[(bit >> 3) + 1] << 8;
      out[i + k] = table[two >> (bit & 7) & mask];
    }
}

static void
decode_bcq (const uint8_t *codes, const uint16_t *scales, int64_t n, int64_t from, int64_t count, int bits,
            int group, bool symmetric, float *out)
{
  int64_t plane = (n + 7) / 8;
  int each = symmetric ? bits : bits + 1;

  for (int64_t i = 0; i < count; i += 8)
    {
      const uint16_t *alpha = scales + (from + i) / group * each;
      float eight[8];
      float z = symmetric ? 0 : read_half (alpha + bits);
      for (int k = 0; k < 8; k++)
        eight[k] = 0;
      for (int q = 0; q < bits; q++)
        {
          float a = read_half (alpha + q);
          unsigned signs = codes[q * plane + (from + i) / 8];
          for (int k = 0; k < 8; k++)
            eight[k] += signs >> k & 1 ? a : -a;
        }
      for (int k = 0; k < 8 && i + k < count; k++)
        out[i + k] = eight[k] + z;
    }
}

/* The products of the first k cores for the current indices are kept, so that an element costs what its fast
 * indices change. */
static void
decode_tt (const uint16_t *cores, int64_t n, int64_t from, int64_t count, int n_cores, int rank, float *out)
{
  int64_t dims[SWAGE_TT_MAX_CORES], index[SWAGE_TT_MAX_CORES], start[SWAGE_TT_MAX_CORES];
  int ranks[SWAGE_TT_MAX_CORES + 1];
  float prefix[SWAGE_TT_MAX_CORES + 1][SWAGE_TT_MAX_RANK];
  int64_t at = 0, rest = from;

  swage_tt_shape (n, n_cores, rank, dims, ranks);
  for (int k = 0; k < n_cores; k++)
    {
      start[k] = at;
      at += ranks[k] * dims[k] * ranks[k + 1];
    }
  for (int k = n_cores - 1; k >= 0; k--)
    {
      index[k] = rest % dims[k];
      rest /= dims[k];
    }
  prefix[0][0] = 1;
  int changed = 0;
  for (int64_t i = 0; i < count; i++)
    {
      for (int k = changed; k < n_cores; k++)
        for (int c = 0; c < ranks[k + 1]; c++)
          {
            float sum = 0;
            for (int b = 0; b < ranks[k]; b++)
              sum += prefix[k][b]
                     * read_half (cores + start[k] + ((int64_t)b * dims[k] + index[k]) * ranks[k + 1] + c);
            prefix[k + 1][c] = sum;
          }
      out[i] = prefix[n_cores][0];
      for (changed = n_cores - 1; changed > 0 && ++index[changed] == dims[changed]; changed--)
        index[changed] = 0;
      if (changed == 0)
        index[0] = index[0] + 1 < dims[0] ? index[0] + 1 : 0;
    }
}

/* What a code means in steps of the scale, beside a victim or not. */
static inline float
read_ovp (unsigned code, bool outlier, int bits)
{
  unsigned sign = 1u << (bits - 1), rest = code & (sign - 1);
  int m = bits == 4 ? 1 : 3, bias = bits == 4 ? 2 : 4;

  if (!outlier)
    return (float)((int)rest - (int)(code & sign));
  if (rest == 0)
    return 0;
  float x = (float)(((1u << m) + (rest & ((1u << m) - 1))) << ((int)(rest >> m) + bias));
  return code & sign ? -x : x;
}

static void
decode_ovp (const uint8_t *codes, const uint16_t *scales, int64_t from, int64_t count, int bits, int group,
            float *out)
{
  unsigned victim = 1u << (bits - 1);

  for (int64_t i = from; i < from + count; i += 2)
    {
      unsigned a = bits == 4 ? codes[i / 2] & 15u : codes[i],
               b = bits == 4 ? codes[i / 2] >> 4 : codes[i + 1];
      float s = read_half (scales + i / group);
      *out++ = a == victim ? 0 : s * read_ovp (a, b == victim, bits);
      if (i + 1 < from + count)
        *out++ = b == victim ? 0 : s * read_ovp (b, a == victim, bits);
    }
}

void
swage_layout_decode (SwageType type, const void *codes, const uint16_t *scales, int64_t n, int64_t from,
                     int64_t count, int bits, int group, bool symmetric, float *out)
{
  if (type == SWAGE_TYPE_LUT)
    decode_lut (codes, scales, from, count, bits, out);
  else if (type == SWAGE_TYPE_BCQ)
    decode_bcq (codes, scales, n, from, count, bits, group, symmetric, out);
  else if (type == SWAGE_TYPE_TT)
    decode_tt (codes, n, from, count, bits, group, out);
  else if (type == SWAGE_TYPE_OVP)
    decode_ovp (codes, scales, from, count, bits, group, out);
}

int64_t
swage_tt_shape (int64_t n, int cores, int rank, int64_t dims[SWAGE_TT_MAX_CORES],
                int ranks[SWAGE_TT_MAX_CORES + 1])
{
  int64_t rest = n, total = 0, factors[64];
  int n_factors = 0;

  if (n < 1 || n > INT32_MAX || cores < 1 || cores > SWAGE_TT_MAX_CORES || rank < 1
      || rank > SWAGE_TT_MAX_RANK)
    return 0;
  for (int64_t f = 2; f * f <= rest; f++)
    for (; rest % f == 0; rest /= f)
      factors[n_factors++] = f;
  if (rest > 1)
    factors[n_factors++] = rest;
  for (int k = 0; k < cores; k++)
    dims[k] = 1;
  while (n_factors > 0) /* the largest factor left goes to the smallest dimension */
    {
      int least = 0;
      for (int k = 1; k < cores; k++)
        if (dims[k] < dims[least])
          least = k;
      dims[least] *= factors[--n_factors];
    }
  ranks[0] = ranks[cores] = 1;
  int64_t before = 1;
  for (int k = 1; k < cores; k++)
    {
      before *= dims[k - 1];
      int64_t after = n / before, most = before < after ? before : after;
      ranks[k] = most < rank ? (int)most : rank;
    }
  for (int k = 0; k < cores; k++)
    total += ranks[k] * dims[k] * ranks[k + 1];
  return total;
}
