/* SPDX-License-Identifier: MIT
 *
 * matmul_matrix: the tiles of `matmul` on matrix units (GL_NV_cooperative_matrix), which multiply halves and add in float.
 * A half has 11 bits, so a float is taken as two of them,
 *
 *   a = h + l · 2^−11,   h = half (a),  l = half ((a − h) · 2^11),      x · w ≈ hx · hw + (hx · lw + lx · hw) · 2^−11
 *
 * three products that leave out 2^−22 of the largest. The small ones have sums of their own. x is scaled by 2^−8 first: then
 * ±1.6e7 is in range, and what is too small for h is still in l. Units may cut sums off instead of rounding them, so every
 * FLUSH steps they are added to rounded ones.
 *
 * A workgroup is four subgroups of 32 threads; each has a quarter of a tile of 64 by 64, as 2 · 2 matrices of 16 by 16.
 */
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix : require
#define MatrixHalf fcoopmatNV<16, gl_ScopeSubgroup, 16, 16>
#define MatrixFloat fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>
#define MATRIX_LOAD(m, tile, at) coopMatLoadNV (m, tile, at, STRIDE, false)
#define MATRIX_LOAD_TURNED(m, tile, at) coopMatLoadNV (m, tile, at, STRIDE, true)
#define MATRIX_STORE(m, tile, at) coopMatStoreNV (m, tile, at, 16, false)
#define matrix_of(f) MatrixFloat (f)
#define matrix_multiply_add(a, b, c) coopMatMulAddNV (a, b, c)
#define matrix_add(a, b, scale) ((a) + (b) * (scale))

#define BM 64
#define BN 64
#define BK 16
#define STRIDE 24 /* halves from row to row, a multiple of 16 bytes */
#define FLUSH 8
#define X_SCALE 0.00390625

shared float16_t x_high[BM * STRIDE], x_low[BM * STRIDE];
shared float16_t w_high[BN * STRIDE], w_low[BN * STRIDE];
shared float result_tile[4 * 256];

void
split (float v, out float16_t high, out float16_t low)
{
  high = float16_t (v);
  precise float rest = v - float (high);
  low = float16_t (rest * 2048.0);
}

void
main ()
{
  uint k = view_src (0).ne.x, n = view_dst.ne.x, m = view_dst.ne.y;
  uint tiles_m = (m + BM - 1) / BM, group = swage_group ();
  uint i0 = group % tiles_m * BM, j0 = group / tiles_m * BN;
  if (j0 >= n)
    return;
  uint t = gl_LocalInvocationID.x, quarter = t / 32, qi = quarter / 2 * 32, qj = quarter % 2 * 32;
  MatrixFloat total[4], main_sum[4], small_sum[4];
  [[unroll]] for (int q = 0; q < 4; q++) total[q] = main_sum[q] = small_sum[q] = matrix_of (0.0);

  uint steps = (k + BK - 1) / BK;
  for (uint step = 0; step < steps; step++)
    {
      uint k0 = step * BK, row = t / 2, depth = t % 2 * 8; /* 128 threads: eight elements of x and of W each */
      vec4 v[2] = vec4[] (vec4 (0.0), vec4 (0.0));
      float w[8];
      [[unroll]] for (uint e = 0; e < 8; e++) w[e] = 0.0;
      if (i0 + row < m)
        matmul_load_x (i0 + row, k0 + depth, k, v);
      if (j0 + row < n && k0 + depth < k)
        weight_decode (TYPE, j0 + row, k0 + depth, k, w);
      barrier ();
      [[unroll]] for (uint e = 0; e < 8; e++)
        {
          float16_t high, low;
          uint at = row * STRIDE + depth + e;
          split (v[e / 4][e % 4] * X_SCALE, high, low);
          x_high[at] = high;
          x_low[at] = low;
          split (w[e], high, low);
          w_high[at] = high;
          w_low[at] = low;
        }
      barrier ();
      MatrixHalf a_high[2], a_low[2];
      [[unroll]] for (uint i = 0; i < 2; i++)
        {
          MATRIX_LOAD (a_high[i], x_high, (qi + 16 * i) * STRIDE);
          MATRIX_LOAD (a_low[i], x_low, (qi + 16 * i) * STRIDE);
        }
      [[unroll]] for (uint j = 0; j < 2; j++)
        {
          MatrixHalf b_high, b_low;
          MATRIX_LOAD_TURNED (b_high, w_high, (qj + 16 * j) * STRIDE);
          MATRIX_LOAD_TURNED (b_low, w_low, (qj + 16 * j) * STRIDE);
          [[unroll]] for (uint i = 0; i < 2; i++)
            {
              uint q = 2 * i + j;
              main_sum[q] = matrix_multiply_add (a_high[i], b_high, main_sum[q]);
              small_sum[q] = matrix_multiply_add (a_high[i], b_low, small_sum[q]);
              small_sum[q] = matrix_multiply_add (a_low[i], b_high, small_sum[q]);
            }
        }
      if ((step + 1) % FLUSH == 0 || step + 1 == steps)
        [[unroll]] for (int q = 0; q < 4; q++)
          {
            total[q] = matrix_add (total[q], main_sum[q], 1.0 / X_SCALE);
            total[q] = matrix_add (total[q], small_sum[q], 1.0 / X_SCALE / 2048.0);
            main_sum[q] = small_sum[q] = matrix_of (0.0);
          }
    }

  [[unroll]] for (uint q = 0; q < 4; q++)
    {
      barrier ();
      MATRIX_STORE (total[q], result_tile, quarter * 256);
      barrier ();
      for (uint e = t % 32; e < 256; e += 32)
        {
          uint row = i0 + qi + q / 2 * 16 + e / 16, column = j0 + qj + q % 2 * 16 + e % 16;
          if (row < m && column < n)
            matmul_store (row, column, result_tile[quarter * 256 + e]);
        }
    }
}
