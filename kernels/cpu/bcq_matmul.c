/* SPDX-License-Identifier: MIT
 *
 * bcq_matmul by look-up: for every 8 inputs the 256 signed sums are made once, by doubling (255 additions, in
 * vectors), and serve all rows of the band; a plane of signs then costs one load and one addition for 8
 * weights. Inputs are taken a piece at a time so that the tables stay in the second cache.
 */
#include "kernels/cpu/simd.h"

#include "kernels/swage-layout.h"

void SWAGE_FAST (bcq_matmul) (const SwageOpCall *call, int64_t begin, int64_t end);

/* table[c] = Σ_b (c has bit b ? x_b : −x_b); inputs past the end are 0. */
static void
make_table (const float *x, int64_t n, float *table)
{
  float sum = 0;

  for (int64_t b = 0; b < n; b++)
    sum -= x[b];
  table[0] = sum;
  for (int b = 0; b < 8; b++)
    {
      float twice = b < n ? 2 * x[b] : 0;
      for (int i = 0; i < 1 << b; i++)
        table[(1 << b) + i] = table[i] + twice;
    }
}

/* Four partial sums hide the latency of the loads. */
static inline float
look_up (const float *tables, const uint8_t *codes, int64_t n)
{
  float a = 0, b = 0, c = 0, d = 0;
  int64_t t = 0;

  for (; t + 4 <= n; t += 4)
    {
      a += tables[t * 256 + codes[t]];
      b += tables[(t + 1) * 256 + codes[t + 1]];
      c += tables[(t + 2) * 256 + codes[t + 2]];
      d += tables[(t + 3) * 256 + codes[t + 3]];
    }
  for (; t < n; t++)
    a += tables[t * 256 + codes[t]];
  return (a + b) + (c + d);
}

void
SWAGE_FAST (bcq_matmul) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageMatmulArgs *args = call->args;
  const SwageView *y = &call->dst, *x = &call->src[0], *w = &call->src[1], *scales = &call->src[3];
  const float *bias = call->src[2].data;
  int64_t n = y->ne[0], k = x->ne[0], bands = swage_ceil_div (n, SWAGE_BCQ_ROWS);
  int64_t group = args->group, plane = (k + 7) / 8;
  int64_t groups = swage_int_groups (k, (int)group);
  int bits = (int)args->bits, each = (int)(scales->ne[0] / swage_max64 (groups, 1));
  float *tables = call->scratch, *sum = tables + SWAGE_BCQ_COLS / 8 * 256;

  for (int64_t s = begin; s < end; s++)
    {
      int64_t i = s / bands, first = s % bands * SWAGE_BCQ_ROWS;
      int64_t last = swage_min64 (n, first + SWAGE_BCQ_ROWS);
      const float *xi = swage_view_row (x, i, 0, 0);
      float *yi = swage_view_row (y, i, 0, 0);

      for (int64_t j = first; j < last; j++)
        sum[j - first] = 0;
      for (int64_t from = 0; from < k; from += SWAGE_BCQ_COLS)
        {
          int64_t to = swage_min64 (k, from + SWAGE_BCQ_COLS);
          for (int64_t c = from; c < to; c += 8)
            make_table (xi + c, swage_min64 (8, to - c), tables + (c - from) / 8 * 256);
          for (int64_t j = first; j < last; j++)
            {
              const uint8_t *codes = swage_view_row (w, j, 0, 0);
              const uint16_t *alpha = swage_view_row (scales, j, 0, 0);
              float total = 0;
              for (int64_t c = from, stop; c < to; c = stop)
                {
                  int64_t g = c / group;
                  stop = swage_min64 (to, (g + 1) * group);
                  const float *table = tables + (c - from) / 8 * 256;
                  int64_t n_tables = swage_ceil_div (stop - c, 8);
                  for (int q = 0; q < bits; q++)
                    total += swage_f16_to_f32 (alpha[g * each + q])
                             * look_up (table, codes + q * plane + c / 8, n_tables);
                  if (each > bits) /* all signs set: the sum of the inputs */
                    {
                      float inputs = 0;
                      for (int64_t t = 0; t < n_tables; t++)
                        inputs += table[t * 256 + 255];
                      total += swage_f16_to_f32 (alpha[g * each + bits]) * inputs;
                    }
                }
              sum[j - first] += total;
            }
        }
      for (int64_t j = first; j < last; j++)
        {
          float v = args->alpha * sum[j - first] + (bias ? bias[j] : 0);
          yi[j] = args->accumulate ? yi[j] + v : v;
        }
    }
}
