/* SPDX-License-Identifier: MIT
 *
 * histogram, fast. What limits it is one increment in memory per element, about one a cycle. Two ways:
 *
 * - Much data of a 16-bit type: count the bit patterns themselves, which takes no arithmetic at all, and sort
 * the 65536 counts into bins at the end. Two tables, because an increment waits for the last one of the same
 * counter.
 * - Else: bins are computed a vector at a time and counted in four private histograms.
 *
 * Measured on BF16 weights in the second cache: patterns 0.96 cycles an element, bins 1.6 (Emerald Rapids,
 * AVX-512).
 */
#include "kernels/cpu/simd.h"

void SWAGE_FAST (histogram) (const SwageOpCall *call, int64_t begin, int64_t end);

#define PIECE 4096
#define TABLES 4
#define PATTERNS 65536

typedef struct
{
  float lo, hi, scale;
  int32_t bins;
  uint32_t *table; /* TABLES × (bins + 3) */
  float *piece;
} Histogram;

SWAGE_INLINE vi
find_bins (const Histogram *h, vf v)
{
  vf t
      = vf_max (vf_set (0), vf_min (vf_set ((float)(h->bins - 1)), (v - vf_set (h->lo)) * vf_set (h->scale)));
  vf bin = vf_pick ((vi)(v < vf_set (h->lo)), vf_set ((float)h->bins), t);
  bin = vf_pick ((vi)(v > vf_set (h->hi)), vf_set ((float)(h->bins + 1)), bin);
  bin = vf_pick ((vi)(v == v), bin, vf_set ((float)(h->bins + 2)));
  return __builtin_convertvector(bin, vi);
}

static void
count_values (const Histogram *h, const float *x, int64_t n)
{
  int32_t size = h->bins + 3, bin[64];
  uint32_t *t0 = h->table, *t1 = t0 + size, *t2 = t1 + size, *t3 = t2 + size;
  int64_t i = 0;

  for (; i + 64 <= n; i += 64)
    {
      for (int j = 0; j < 64; j += VL)
        {
          vi b = find_bins (h, vf_load (x + i + j));
          memcpy (bin + j, &b, sizeof b);
        }
      for (int j = 0; j < 64; j += 4)
        {
          t0[bin[j]]++;
          t1[bin[j + 1]]++;
          t2[bin[j + 2]]++;
          t3[bin[j + 3]]++;
        }
    }
  for (; i < n; i++)
    {
      vi b = find_bins (h, vf_set (x[i]));
      t0[b[0]]++;
    }
}

/* Add the private counts to the result and clear them. */
static void
collect (const Histogram *h, int64_t *count)
{
  int32_t size = h->bins + 3;
  for (int32_t b = 0; b < size; b++)
    for (int t = 0; t < TABLES; t++)
      {
        count[b] += h->table[t * size + b];
        h->table[t * size + b] = 0;
      }
}

static void
count_patterns (const char *x, int64_t n, uint32_t *even, uint32_t *odd)
{
  int64_t i = 0; /* bytes are copied out: a mapped file may lie askew */
  for (; i + 32 <= n; i += 32)
    {
      __builtin_prefetch (x + 2 * (i + 1024));
#pragma GCC unroll 8
      for (int j = 0; j < 32; j += 4)
        {
          uint64_t four;
          memcpy (&four, x + 2 * (i + j), sizeof four);
          even[(uint16_t)four]++;
          odd[(uint16_t)(four >> 16)]++;
          even[(uint16_t)(four >> 32)]++;
          odd[four >> 48]++;
        }
    }
  for (; i < n; i++)
    {
      uint16_t bits;
      memcpy (&bits, x + 2 * i, sizeof bits);
      even[bits]++;
    }
}

/* Sort the counts of patterns into bins and clear them. */
static void
collect_patterns (const Histogram *h, SwageType type, uint32_t *even, uint32_t *odd, int64_t *count)
{
  for (int32_t p = 0; p < PATTERNS; p += 16)
    {
      uint32_t any = 0;
      for (int i = 0; i < 16; i++)
        any |= even[p + i] | odd[p + i];
      if (!any)
        continue;
      for (int i = 0; i < 16; i++)
        {
          uint16_t bits = (uint16_t)(p + i);
          vi bin = find_bins (
              h, vf_set (type == SWAGE_TYPE_F16 ? swage_f16_to_f32 (bits) : swage_bf16_to_f32 (bits)));
          count[bin[0]] += (int64_t)even[p + i] + odd[p + i];
        }
      memset (even + p, 0, 16 * sizeof *even);
      memset (odd + p, 0, 16 * sizeof *odd);
    }
}

void
SWAGE_FAST (histogram) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageHistogramArgs *args = call->args;
  const SwageView *x = &call->src[0];
  int64_t n = x->ne[0];
  bool by_pattern = swage_histogram_by_pattern (call);
  Histogram h = { args->lo,      args->hi, (float)args->bins / (args->hi - args->lo), (int32_t)args->bins,
                  call->scratch, NULL };
  uint32_t *even = call->scratch, *odd = even + PATTERNS;

  h.piece = (float *)(h.table + swage_align64 ((size_t)(h.bins + 3) * TABLES));
  if (by_pattern)
    memset (even, 0, 2 * PATTERNS * sizeof *even);
  else
    memset (h.table, 0, (size_t)(h.bins + 3) * TABLES * sizeof *h.table);
  for (int64_t part = begin; part < end; part++)
    {
      int64_t *count = swage_view_row (&call->dst, part, 0, 0), r0, r1, seen = 0;
      memset (count, 0, sizeof (int64_t) * (size_t)(h.bins + 3));
      swage_part_rows (x, call->dst.ne[1], part, &r0, &r1);
      for (int64_t r = r0; r < r1; r++)
        {
          const void *row = swage_view_nth_row (x, r);
          /* Pieces keep every counter below 2^32. */
          for (int64_t from = 0; from < n; from += by_pattern ? 1 << 24 : PIECE)
            {
              int64_t len = swage_min64 (by_pattern ? 1 << 24 : PIECE, n - from);
              if (by_pattern)
                count_patterns ((const char *)row + 2 * from, len, even, odd);
              else
                count_values (&h, swage_row_decode (x->type, row, from, len, h.piece), len);
              seen += len;
              if (seen < (int64_t)1 << 31)
                continue;
              seen = 0;
              if (by_pattern)
                collect_patterns (&h, x->type, even, odd, count);
              else
                collect (&h, count);
            }
        }
      if (by_pattern)
        collect_patterns (&h, x->type, even, odd, count);
      else
        collect (&h, count);
    }
}
