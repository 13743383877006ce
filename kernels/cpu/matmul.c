/* SPDX-License-Identifier: MIT
 *
 * matmul, fast. The tile's rows of W are decoded a batch at a time, 512 columns deep, and turned into panels
 * [k][NR], once for all rows of x in the tile; so a packed weight never exists as a dense matrix, and
 * decoding is paid once for hundreds of rows. MR rows of x are copied to a buffer of constant stride (rows a
 * power of two apart would share the sets of the first cache) that stays in the first cache while the panels
 * of W stream by from the second. (The scheme is Goto and van de Geijn's, ACM TOMS 34:12, 2008, with x and
 * W's roles chosen so that the one that must be turned over is the one that must be decoded anyway.)
 *
 * Few rows of x: rows of W are decoded and multiplied one after the other; memory is the limit there.
 */
#include "kernels/cpu/gemm.h"

#define LDA (SWAGE_MATMUL_KB + 16)

typedef struct
{
  SwageRows rows;
  const SwageView *x, *y;
  const float *bias;
  float alpha;
  bool accumulate;
} Matmul;

static void
pack_w (const Matmul *mm, int64_t j0, int64_t j1, int64_t from, int64_t kc, float *panels, float *batch)
{
  for (int64_t j = j0; j < j1; j += VL)
    {
      const float *row[VL];
      for (int i = 0; i < VL; i++)
        row[i]
            = j + i < j1 ? swage_rows_decode (&mm->rows, j + i, from, kc, batch + i * SWAGE_MATMUL_KB) : NULL;
      int64_t at = j - j0;
      gemm_pack (row, kc, panels + at / NR * NR * kc + at % NR, NR);
      if (j + VL >= j1 && at % NR == 0) /* the other half of the last panel */
        for (int64_t p = 0; p < kc; p++)
          vf_store (panels + at / NR * NR * kc + p * NR + VL, vf_set (0));
    }
}

static void
pack_x (const Matmul *mm, int64_t i0, int rows, int64_t from, int64_t kc, float *out)
{
  for (int r = 0; r < rows; r++, out += LDA)
    {
      const float *x = (const float *)swage_view_row (mm->x, i0 + r, 0, 0) + from;
      if (mm->alpha == 1)
        memcpy (out, x, (size_t)kc * sizeof (float));
      else
        for (int64_t p = 0; p < kc; p++)
          out[p] = mm->alpha * x[p];
    }
}

static void
multiply_tile (const Matmul *mm, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *scratch)
{
  float *panels = scratch, *ax = panels + SWAGE_MATMUL_NB * SWAGE_MATMUL_KB, *batch = ax + 14 * LDA;
  int64_t k = mm->x->ne[0], ldc = mm->y->nb[1] / (int64_t)sizeof (float);

  for (int64_t from = 0; from == 0 || from < k; from += SWAGE_MATMUL_KB)
    {
      int64_t kc = swage_min64 (SWAGE_MATMUL_KB, k - from);
      pack_w (mm, j0, j1, from, kc, panels, batch);
      for (int64_t i = i0; i < i1; i += MR)
        {
          int rows = (int)swage_min64 (MR, i1 - i);
          pack_x (mm, i, rows, from, kc, ax);
          for (int64_t j = j0; j < j1; j += NR)
            {
              float first[NR];
              GemmOut out = { .c = (float *)swage_view_row (mm->y, i, 0, 0) + j,
                              .ldc = ldc,
                              .cols = swage_min64 (NR, j1 - j),
                              .add = from > 0 || mm->accumulate };
              int64_t ahead = from + (j - j0) / NR * (GEMM_NEXT / (int64_t)sizeof (float));
              if (i + 2 * MR <= i1
                  && ahead < k) /* the next rows of x; the hardware does not follow MR streams */
                {
                  out.next
                      = (const char *)swage_view_row (mm->x, i + MR, 0, 0) + ahead * (int64_t)sizeof (float);
                  out.next_stride = mm->x->nb[1];
                }
              if (mm->bias && from == 0)
                {
                  for (int64_t c = 0; c < out.cols; c++)
                    first[c] = mm->bias[j + c];
                  if (out.add) /* y += x·W + bias: the bias goes first */
                    for (int r = 0; r < rows; r++)
                      for (int64_t c = 0; c < out.cols; c++)
                        out.c[r * ldc + c] += first[c];
                  out.first = first;
                }
              gemm_panel (rows, ax, LDA, 1, panels + (j - j0) * kc, kc, &out);
            }
        }
    }
}

/* At most SWAGE_MATMUL_GEMV rows of x against one row of W after the other. Four sums per row of x hide the
 * latency. */
SWAGE_INLINE void
dot_rows (int rows, const Matmul *mm, int64_t from, int64_t kc, const float *w, float *sum)
{
  for (int r = 0; r < rows; r++)
    {
      const float *x = (const float *)swage_view_row (mm->x, r, 0, 0) + from;
      vf a = vf_set (0), b = a, c = a, d = a;
      int64_t p = 0;
      for (; p + 4 * VL <= kc; p += 4 * VL)
        {
          a = vf_fma (vf_load (x + p), vf_load (w + p), a);
          b = vf_fma (vf_load (x + p + VL), vf_load (w + p + VL), b);
          c = vf_fma (vf_load (x + p + 2 * VL), vf_load (w + p + 2 * VL), c);
          d = vf_fma (vf_load (x + p + 3 * VL), vf_load (w + p + 3 * VL), d);
        }
      for (; p + VL <= kc; p += VL)
        a = vf_fma (vf_load (x + p), vf_load (w + p), a);
      if (p < kc)
        b = vf_fma (vf_load_n (x + p, kc - p), vf_load_n (w + p, kc - p), b);
      sum[r] += vf_sum ((a + b) + (c + d));
    }
}

static void
multiply_few (const Matmul *mm, int64_t j0, int64_t j1, float *batch)
{
  int64_t k = mm->x->ne[0], m = mm->y->ne[1];

  for (int64_t j = j0; j < j1; j++)
    {
      float sum[SWAGE_MATMUL_GEMV] = { 0 };
      for (int64_t from = 0; from < k; from += SWAGE_MATMUL_KB)
        {
          int64_t kc = swage_min64 (SWAGE_MATMUL_KB, k - from);
          const float *w = swage_rows_decode (&mm->rows, j, from, kc, batch);
          dot_rows ((int)m, mm, from, kc, w, sum);
        }
      for (int64_t i = 0; i < m; i++)
        {
          float *y = (float *)swage_view_row (mm->y, i, 0, 0) + j;
          float v = mm->alpha * sum[i] + (mm->bias ? mm->bias[j] : 0);
          *y = mm->accumulate ? *y + v : v;
        }
    }
}

void SWAGE_FAST (matmul) (const SwageOpCall *call, int64_t begin, int64_t end);

void
SWAGE_FAST (matmul) (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageMatmulArgs *args = call->args;
  Matmul mm = { .rows = { &call->src[1], &call->src[3], &call->src[4], args ? (int)args->bits : 0,
                          args ? (int)args->group : 0 },
                .x = &call->src[0],
                .y = &call->dst,
                .bias = call->src[2].data,
                .alpha = args ? args->alpha : 1,
                .accumulate = args && args->accumulate };
  SwageMatmulTiles t = swage_matmul_tiles (call);
  int64_t n = call->dst.ne[0], m = call->dst.ne[1];

  for (int64_t s = begin; s < end; s++)
    {
      int64_t i0 = s % t.m_tiles * t.mb, i1 = swage_min64 (m, i0 + t.mb);
      int64_t j0 = s / t.m_tiles * t.nb, j1 = swage_min64 (n, j0 + t.nb);
      if (m <= SWAGE_MATMUL_GEMV)
        multiply_few (&mm, j0, j1, call->scratch);
      else
        multiply_tile (&mm, i0, i1, j0, j1, call->scratch);
    }
}
