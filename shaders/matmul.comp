#version 450
/* SPDX-License-Identifier: MIT
 *
 * matmul (kernels/ref/matmul.c), three variants. W is decoded on the way to where it is multiplied; no dense copy of it is
 * made. The sum over k has a fixed order.
 *
 * matmul: many rows of x. A workgroup is a tile of y, BM rows by BN columns, a thread TM · TN of its elements. Tiles of x
 * and W, BK columns deep, go through shared memory in vectors of four along k. A thread's rows and columns are spread over
 * the tile (BM/TM and BN/TN apart), so that neighbours read neighbours from shared memory and write neighbours to y.
 *
 * matmul_vec: at most MAX_M rows of x. A workgroup makes ROWS columns of y; its threads take eight elements of k in turn,
 * and their sums are added in a tree.
 *
 * matmul_matrix: include/matmul-matrix.glsl.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"
#include "include/matmul-bindings.glsl"

#if defined(MATMUL_MATRIX)
#include "include/matmul-matrix.glsl"

#elif defined(MATMUL_VEC)

layout (constant_id = 2) const uint ROWS = 2;
layout (constant_id = 3) const uint MAX_M = 8;

shared float sums[ROWS * MAX_M * gl_WorkGroupSize.x];

void
main ()
{
  uint k = view_src (0).ne.x, n = view_dst.ne.x, m = view_dst.ne.y, j0 = swage_group () * ROWS;
  uint t = gl_LocalInvocationID.x;
  float sum[ROWS * MAX_M];
  [[unroll]] for (uint i = 0; i < ROWS * MAX_M; i++) sum[i] = 0.0;

  for (uint p = t * 8; p < k; p += gl_WorkGroupSize.x * 8)
    {
      float w[ROWS * 8];
      [[unroll]] for (uint r = 0; r < ROWS; r++)
        {
          float v[8];
          weight_decode (TYPE, min (j0 + r, n - 1), p, k, v);
          [[unroll]] for (uint e = 0; e < 8; e++) w[r * 8 + e] = v[e];
        }
      [[unroll]] for (uint i = 0; i < MAX_M; i++)
        {
          vec4 v[2];
          matmul_load_x (min (i, m - 1), p, k, v);
          [[unroll]] for (uint r = 0; r < ROWS; r++)
            {
              float part = v[0].x * w[r * 8];
              part += v[0].y * w[r * 8 + 1];
              part += v[0].z * w[r * 8 + 2];
              part += v[0].w * w[r * 8 + 3];
              part += v[1].x * w[r * 8 + 4];
              part += v[1].y * w[r * 8 + 5];
              part += v[1].z * w[r * 8 + 6];
              part += v[1].w * w[r * 8 + 7];
              sum[r * MAX_M + i] += part;
            }
        }
    }

  [[unroll]] for (uint i = 0; i < ROWS * MAX_M; i++) sums[i * gl_WorkGroupSize.x + t] = sum[i];
  for (uint width = gl_WorkGroupSize.x / 2; width > 0; width /= 2)
    {
      barrier ();
      for (uint s = t; s < ROWS * MAX_M * width; s += gl_WorkGroupSize.x)
        {
          uint at = s / width * gl_WorkGroupSize.x + s % width;
          sums[at] += sums[at + width];
        }
    }
  barrier ();
  for (uint s = t; s < ROWS * MAX_M; s += gl_WorkGroupSize.x)
    if (s % MAX_M < m && j0 + s / MAX_M < n)
      matmul_store (s % MAX_M, j0 + s / MAX_M, sums[s * gl_WorkGroupSize.x]);
}

#else

layout (constant_id = 2) const uint BM = 64;
layout (constant_id = 3) const uint BN = 64;
layout (constant_id = 4) const uint TM = 8;
layout (constant_id = 5) const uint TN = 4;

#define BK 16
#define STRIDE 5 /* vectors from row to row: one more than a row has, so that rows lie in different banks */
shared vec4 x_tile[BM * STRIDE];
shared vec4 w_tile[BN * STRIDE];

const uint THREADS_N = BN / TN, THREADS_M = BM / TM;

void
main ()
{
  uint k = view_src (0).ne.x, n = view_dst.ne.x, m = view_dst.ne.y;
  uint tiles_m = (m + BM - 1) / BM, group = swage_group ();
  uint i0 = group % tiles_m * BM, j0 = group / tiles_m * BN; /* neighbours share W, which is dear to decode */
  if (j0 >= n)
    return;
  uint t = gl_LocalInvocationID.x, tn = t % THREADS_N, tm = t / THREADS_N;
  float sum[TM * TN];
  [[unroll]] for (uint i = 0; i < TM * TN; i++) sum[i] = 0.0;

  for (uint k0 = 0; k0 < k; k0 += BK)
    {
      for (uint run = t; run < BM * 2; run += gl_WorkGroupSize.x)
        {
          uint row = run / 2, depth = run % 2;
          vec4 v[2] = vec4[] (vec4 (0.0), vec4 (0.0));
          if (i0 + row < m)
            matmul_load_x (i0 + row, k0 + 8 * depth, k, v);
          x_tile[row * STRIDE + 2 * depth] = v[0];
          x_tile[row * STRIDE + 2 * depth + 1] = v[1];
        }
      for (uint run = t; run < BN * 2; run += gl_WorkGroupSize.x)
        {
          uint row = run / 2, depth = run % 2, p = k0 + 8 * depth;
          float v[8];
          [[unroll]] for (uint e = 0; e < 8; e++) v[e] = 0.0;
          if (j0 + row < n && p < k)
            weight_decode (TYPE, j0 + row, p, k, v);
          w_tile[row * STRIDE + 2 * depth] = vec4 (v[0], v[1], v[2], v[3]);
          w_tile[row * STRIDE + 2 * depth + 1] = vec4 (v[4], v[5], v[6], v[7]);
        }
      barrier ();
      for (uint p = 0; p < BK / 4; p++)
        {
          vec4 a[TM];
          [[unroll]] for (uint i = 0; i < TM; i++) a[i] = x_tile[(tm + i * THREADS_M) * STRIDE + p];
          [[unroll]] for (uint j = 0; j < TN; j++)
            {
              vec4 b = w_tile[(tn + j * THREADS_N) * STRIDE + p];
              [[unroll]] for (uint i = 0; i < TM; i++)
                {
                  float s = sum[i * TN + j];
                  s += a[i].x * b.x;
                  s += a[i].y * b.y;
                  s += a[i].z * b.z;
                  sum[i * TN + j] = s + a[i].w * b.w;
                }
            }
        }
      barrier ();
    }

  [[unroll]] for (uint i = 0; i < TM; i++)
    [[unroll]] for (uint j = 0; j < TN; j++)
      {
        uint row = i0 + tm + i * THREADS_M, column = j0 + tn + j * THREADS_N;
        if (row < m && column < n)
          matmul_store (row, column, sum[i * TN + j]);
      }
}

#endif
