/* SPDX-License-Identifier: MIT
 *
 * Singular values by one-sided Jacobi rotations (Hestenes 1958) in double, which share no step with the
 * methods: columns are rotated in pairs until all are orthogonal; their norms are the singular values.
 */
#pragma once

#include <glib.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static inline int
compare_falling (const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

/* Singular values of a (rows × cols), largest first: min (rows, cols) of them. */
static inline double *
jacobi_singular_values (const float *a, int64_t rows, int64_t cols)
{
  bool turn = rows < cols; /* work on the side with fewer columns */
  int64_t m = MAX (rows, cols), n = MIN (rows, cols);
  g_autofree double *u = g_new (double, (gsize)(m * n)); /* n columns, each contiguous */
  double *sigma = g_new (double, (gsize)n);

  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < m; i++)
      u[j * m + i] = (double)(turn ? a[j * cols + i] : a[i * cols + j]);
  for (int sweep = 0; sweep < 40; sweep++)
    {
      double off = 0;
      for (int64_t p = 0; p < n; p++)
        for (int64_t q = p + 1; q < n; q++)
          {
            double *x = u + p * m, *y = u + q * m, alpha = 0, beta = 0, gamma = 0;
            for (int64_t i = 0; i < m; i++)
              {
                alpha += x[i] * x[i];
                beta += y[i] * y[i];
                gamma += x[i] * y[i];
              }
            if (fabs (gamma) <= 1e-15 * sqrt (alpha * beta))
              continue;
            off = MAX (off, fabs (gamma) / sqrt (alpha * beta));
            double zeta = (beta - alpha) / (2 * gamma);
            double t = (zeta >= 0 ? 1 : -1) / (fabs (zeta) + sqrt (1 + zeta * zeta)),
                   c = 1 / sqrt (1 + t * t), s = c * t;
            for (int64_t i = 0; i < m; i++)
              {
                double xi = x[i];
                x[i] = c * xi - s * y[i];
                y[i] = s * xi + c * y[i];
              }
          }
      if (off < 1e-14)
        break;
    }
  for (int64_t j = 0; j < n; j++)
    {
      double square = 0;
      for (int64_t i = 0; i < m; i++)
        square += u[j * m + i] * u[j * m + i];
      sigma[j] = sqrt (square);
    }
  qsort (sigma, (size_t)n, sizeof *sigma, compare_falling);
  return sigma;
}

/* The root of the sum of squares of all but the first `rank`: the least error of that rank. */
static inline double
tail (const double *sigma, int64_t n, int64_t rank)
{
  double sum = 0;
  for (int64_t i = n - 1; i >= rank; i--)
    sum += sigma[i] * sigma[i];
  return sqrt (sum);
}
