/* SPDX-License-Identifier: MIT
 *
 * The block quantizers: error against llama.cpp's on the sample model and against exhaustive searches in
 * double on single blocks, the same bytes at every CPU level, the use of importance, and inputs that no
 * weight should hold.
 */
#include "kernels/type/type-level.h"
#include "tests/ops/types/matrices.h"

#include <float.h>
#include <math.h>

#define EACH_BLOCK_TYPE(t) for (SwageType t = SWAGE_TYPE_Q4_0; t <= SWAGE_TYPE_IQ4_XS; t++)

static double
weighted_error (SwageType type, const float *x, const float *importance, const float *judge, int64_t n)
{
  uint8_t *bytes = g_malloc (swage_type_row_bytes (type, n));
  float *y = g_new (float, n);
  double error = 0;
  swage_type_from_f32 (type, x, importance, bytes, n);
  swage_type_to_f32 (type, bytes, y, n);
  for (int64_t i = 0; i < n; i++)
    error += (judge ? (double)judge[i] : 1) * ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  g_free (bytes);
  g_free (y);
  return error;
}

/* Not above llama.cpp's error for any type: tests/golden/types/rmse.json. */
static void
test_sample (void)
{
  char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", "model.safetensors", NULL);
  char *golden
      = g_build_filename (g_getenv ("SWAGE_SOURCE_ROOT"), "tests", "golden", "types", "rmse.json", NULL);
  GPtrArray *matrices = matrices_load (path);
  json_t *root = json_load_file (golden, 0, NULL), *rmse = json_object_get (root, "rmse");
  g_assert_nonnull (matrices);
  g_assert_cmpuint (json_object_size (rmse), ==, 12);
  EACH_BLOCK_TYPE (t)
  {
    const char *id = swage_type_get_info (t)->id;
    double error = 0;
    int64_t n = 0;
    for (guint i = 0; i < matrices->len; i++)
      {
        const Matrix *m = matrices->pdata[i];
        for (int64_t r = 0; r < m->rows; r++)
          error += weighted_error (t, m->x + r * m->cols, NULL, NULL, m->cols);
        n += m->rows * m->cols;
      }
    g_assert_cmpint (n, ==, json_integer_value (json_object_get (root, "weights")));
    double ours = sqrt (error / (double)n), theirs = json_real_value (json_object_get (rmse, id));
    g_test_message ("%-7s %.8f, llama.cpp %.8f: %.4f", id, ours, theirs, ours / theirs);
    g_assert_cmpfloat (ours, <=, theirs);
  }
  json_decref (root);
  g_ptr_array_unref (matrices);
  g_free (golden);
  g_free (path);
}

/* ---- exhaustive searches in double ---- */

static double
nearest_error (const float *x, int n, double d, double lo, double hi)
{
  double error = 0;
  for (int i = 0; i < n; i++)
    {
      double q = d != 0 ? rint (fmin (fmax ((double)x[i] / d, lo), hi)) : 0;
      error += ((double)x[i] - d * q) * ((double)x[i] - d * q);
    }
  return error;
}

static double
book_error (const float *x, int n, double d)
{
  const double book[] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
  double error = 0;
  for (int i = 0; i < n; i++)
    {
      double best = DBL_MAX;
      for (int k = 0; k < 16; k++)
        best = fmin (best, ((double)x[i] - d * book[k]) * ((double)x[i] - d * book[k]));
      error += best;
    }
  return error;
}

/* Over every half between the extreme divided by 1.15 and by 0.6 of the codes' range, of either sign. */
static double
exhaustive (SwageType type, const float *x)
{
  double top = 0, best = DBL_MAX;
  for (int i = 0; i < 32; i++)
    top = fmax (top, fabs ((double)x[i]));
  double levels = type == SWAGE_TYPE_Q4_0 ? 8 : type == SWAGE_TYPE_Q5_0 ? 16 : 127;
  unsigned from = swage_f32_to_f16 ((float)(top / (levels * 1.15)));
  unsigned to = swage_f32_to_f16 ((float)(top / (levels * 0.6)));
  for (unsigned h = from; h <= to; h++)
    for (int sign = -1; sign <= 1; sign += 2)
      {
        double d = sign * (double)swage_f16_to_f32 ((uint16_t)h);
        if (type == SWAGE_TYPE_IQ4_NL)
          best = fmin (best, book_error (x, 32, d));
        else if (type == SWAGE_TYPE_Q8_0)
          best = fmin (best, nearest_error (x, 32, d, -127, 127));
        else
          best = fmin (best, nearest_error (x, 32, d, -levels, levels - 1));
      }
  return best;
}

static void
test_exhaustive (void)
{
  /* How much larger an RMSE may be than the best of some 2000 scales, over 60 normal blocks. Q8_0's best is
   * luck: one scale of many at which 32 rounding errors happen to be small; eight tries find part of it. */
  const struct
  {
    SwageType type;
    double slack;
  } cases[] = { { SWAGE_TYPE_Q4_0, 1.02 },
                { SWAGE_TYPE_Q5_0, 1.03 },
                { SWAGE_TYPE_Q8_0, 1.12 },
                { SWAGE_TYPE_IQ4_NL, 1.02 } };
  uint64_t seed = 7;
  double ours[G_N_ELEMENTS (cases)] = { 0 }, best[G_N_ELEMENTS (cases)] = { 0 };
  for (int b = 0; b < 60; b++)
    {
      float x[32];
      for (int i = 0; i < 32; i++)
        x[i] = (float)(0.02 * noise_normal (&seed));
      for (gsize c = 0; c < G_N_ELEMENTS (cases); c++)
        {
          ours[c] += weighted_error (cases[c].type, x, NULL, NULL, 32);
          best[c] += exhaustive (cases[c].type, x);
        }
    }
  for (gsize c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      double ratio = sqrt (ours[c] / best[c]);
      g_test_message ("%s: %.4f of the exhaustive RMSE", swage_type_get_info (cases[c].type)->id, ratio);
      g_assert_cmpfloat (ratio, <, cases[c].slack);
      g_assert_cmpfloat (ratio, >, 0.999);
    }
}

/* Scale and minimum: a grid of 40 × 40 ranges, each refitted by least squares twice. */
static double
exhaustive_affine (const float *x, int top)
{
  double min = (double)x[0], max = min, best = DBL_MAX;
  for (int i = 1; i < 32; i++)
    {
      min = fmin (min, (double)x[i]);
      max = fmax (max, (double)x[i]);
    }
  for (int a = 0; a < 40; a++)
    for (int c = 0; c < 40; c++)
      {
        double low = min + (max - min) * (a - 15) / (8.0 * top),
               high = max - (max - min) * (c - 15) / (8.0 * top);
        double s = (high - low) / top, m = low;
        for (int round = 0; round < 3; round++)
          {
            double n = 32, sq = 0, qq = 0, sx = 0, xq = 0, error = 0;
            for (int i = 0; i < 32; i++)
              {
                double q = rint (fmin (fmax (((double)x[i] - m) / s, 0), top)), r = (double)x[i] - s * q - m;
                error += r * r;
                sq += q;
                qq += q * q;
                sx += (double)x[i];
                xq += q * (double)x[i];
              }
            best = fmin (best, error);
            double det = n * qq - sq * sq;
            if (det <= 0)
              break;
            s = (n * xq - sx * sq) / det;
            m = (sx - s * sq) / n;
            if (s <= 0)
              break;
          }
      }
  return best;
}

static void
test_exhaustive_affine (void)
{
  uint64_t seed = 8;
  double ours[2] = { 0 }, best[2] = { 0 };
  for (int b = 0; b < 40; b++)
    {
      float x[32];
      for (int i = 0; i < 32; i++)
        x[i] = (float)(0.02 * noise_normal (&seed) + 0.01);
      ours[0] += weighted_error (SWAGE_TYPE_Q4_1, x, NULL, NULL, 32);
      best[0] += exhaustive_affine (x, 15);
      ours[1] += weighted_error (SWAGE_TYPE_Q5_1, x, NULL, NULL, 32);
      best[1] += exhaustive_affine (x, 31);
    }
  for (int i = 0; i < 2; i++)
    {
      double ratio = sqrt (ours[i] / best[i]);
      g_test_message ("%s: %.4f of the exhaustive RMSE", i == 0 ? "q4_1" : "q5_1", ratio);
      g_assert_cmpfloat (ratio, <, 1.05);
    }
}

/* ---- levels, importance, hostile input ---- */

/* Rows of every character: normal, heavy-tailed, all of one sign, with zeros, tiny, huge, not finite. */
static void
fill_row (float *x, int n, int kind, uint64_t *seed)
{
  for (int i = 0; i < n; i++)
    {
      double z = noise_normal (seed), u = noise_uniform (seed);
      uint32_t bits = (uint32_t)noise_bits (seed);
      switch (kind)
        {
        case 0:
          x[i] = (float)(0.02 * z);
          break;
        case 1:
          x[i] = (float)(0.02 * z * z * z);
          break;
        case 2:
          x[i] = (float)(1 + fabs (z));
          break;
        case 3:
          x[i] = (float)-u;
          break;
        case 4:
          x[i] = u < 0.7 ? 0.0f : (float)z;
          break;
        case 5:
          x[i] = (float)(z * 1e-7);
          break;
        case 6:
          x[i] = (float)(z * 1e-39);
          break;
        case 7:
          x[i] = (float)(z * 1e6);
          break;
        case 8:
          x[i] = (float)(z * 1e37);
          break;
        case 9:
          x[i] = 0.37f;
          break;
        case 10:
          x[i] = i % 17 == 0 ? NAN : i % 13 == 0 ? INFINITY : i % 11 == 0 ? -INFINITY : (float)z;
          break;
        case 11:
          x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
          break;
        case 12:
          memcpy (&x[i], &bits, 4);
          break;
        default:
          x[i] = i == n / 2 ? (float)z : 0.0f;
          break;
        }
    }
}

#define N_KINDS 14

static void
fill_importance (float *w, int n, int kind, uint64_t *seed)
{
  for (int i = 0; i < n; i++)
    {
      double z = noise_normal (seed);
      uint32_t bits = (uint32_t)noise_bits (seed);
      switch (kind % 6)
        {
        case 0:
          w[i] = (float)exp (z);
          break;
        case 1:
          w[i] = i % 64 < 32 ? 0.0f : (float)exp (2 * z);
          break;
        case 2:
          w[i] = 0;
          break;
        case 3:
          w[i] = (float)(1e-35 * exp (z));
          break;
        case 4:
          w[i] = (float)(1e35 * exp (z));
          break;
        default:
          memcpy (&w[i], &bits, 4);
          break;
        }
    }
}

/* Every level the same bytes, every slicing into blocks the same bytes, every decoded value finite. */
static void
test_levels (void)
{
  uint64_t seed = 42;
  const int sizes[] = { 256, 512, 768, 5 * 256, 11 * 256 };
  EACH_BLOCK_TYPE (t)
  {
    const SwageTypeInfo *info = swage_type_get_info (t);
    for (int kind = 0; kind < N_KINDS * 6; kind++)
      {
        int n = sizes[kind % 5] + (info->block == 32 ? 32 * (kind % 7) : 0);
        gsize size = swage_type_row_bytes (t, n);
        float *x = g_new (float, n), *w = g_new (float, n), *y = g_new (float, n), *z = g_new (float, n);
        uint8_t *expected = g_malloc (size), *got = g_malloc (size + 8);
        fill_row (x, n, kind % N_KINDS, &seed);
        fill_importance (w, n, kind / N_KINDS, &seed);
        for (int weighted = 0; weighted < 2; weighted++)
          {
            const SwageTypeLevel *portable = swage_type_get_level (SWAGE_CPU_PORTABLE);
            portable->from_f32[t](x, weighted ? w : NULL, expected, n);
            portable->to_f32[t](expected, y, n);
            for (int i = 0; i < n; i++)
              g_assert_true (isfinite (y[i]));
            for (SwageCpuLevel level = SWAGE_CPU_PORTABLE; level <= swage_cpu_get_level (); level++)
              {
                memset (got, 0xa5, size + 8);
                swage_type_get_level (level)->from_f32[t](x, weighted ? w : NULL, got, n);
                g_assert_cmpmem (got, size, expected, size);
                for (int i = 0; i < 8; i++)
                  g_assert_cmpuint (got[size + i], ==, 0xa5);
                swage_type_get_level (level)->to_f32[t](got, z, n);
                g_assert_cmpmem (z, 4 * n, y, 4 * n);
              }
            for (int i = 0; i < n; i += info->block)
              {
                swage_type_from_f32 (t, x + i, weighted ? w + i : NULL, got, info->block);
                g_assert_cmpmem (got, info->bytes, expected + i / info->block * info->bytes, info->bytes);
              }
          }
        g_free (x);
        g_free (w);
        g_free (y);
        g_free (z);
        g_free (expected);
        g_free (got);
      }
  }
}

static void
test_importance (void)
{
  enum
  {
    N = 4096
  };
  uint64_t seed = 3;
  float *x = g_new (float, N), *w = g_new (float, N);
  for (int kind = 0; kind < 2; kind++)
    {
      fill_row (x, N, kind, &seed);
      fill_importance (w, N, 0, &seed);
      EACH_BLOCK_TYPE (t)
      {
        double with = weighted_error (t, x, w, w, N), without = weighted_error (t, x, NULL, w, N);
        double plain = weighted_error (t, x, NULL, NULL, N), astray = weighted_error (t, x, w, NULL, N);
        g_assert_cmpfloat (with, <, without);
        g_assert_cmpfloat (plain, <, astray);
        /* Weights all alike are no weights. */
        float *one = g_new (float, N);
        for (int i = 0; i < N; i++)
          one[i] = 4.0f;
        double alike = weighted_error (t, x, one, NULL, N);
        g_assert_cmpfloat (fabs (alike / plain - 1), <, 0.01);
        g_free (one);
      }
    }
  g_free (x);
  g_free (w);
}

static void
test_hostile (void)
{
  enum
  {
    N = 512
  };
  float x[N], y[N];
  uint8_t bytes[N * 2];
  EACH_BLOCK_TYPE (t)
  {
    const SwageTypeInfo *info = swage_type_get_info (t);
    memset (x, 0, sizeof x);
    swage_type_from_f32 (t, x, NULL, bytes, N);
    swage_type_to_f32 (t, bytes, y, N);
    for (int i = 0; i < N; i++)
      g_assert_cmpfloat (y[i], ==, 0);
    /* Pruned weights stay zero where the type promises it. */
    uint64_t seed = 9;
    fill_row (x, N, 4, &seed);
    swage_type_from_f32 (t, x, NULL, bytes, N);
    swage_type_to_f32 (t, bytes, y, N);
    for (int i = 0; i < N; i++)
      if (info->zero_exact && x[i] == 0)
        g_assert_cmpfloat (y[i], ==, 0);
    /* A constant row comes back to within half a step in 2^-10 of itself, or of a code's reach. */
    for (int i = 0; i < N; i++)
      x[i] = -0.37f;
    swage_type_from_f32 (t, x, NULL, bytes, N);
    swage_type_to_f32 (t, bytes, y, N);
    for (int i = 0; i < N; i++)
      g_assert_cmpfloat (fabsf (y[i] - x[i]), <, 0.37f / 256);
    /* NaN as zero: the same bytes. */
    uint8_t other[N * 2];
    fill_row (x, N, 0, &seed);
    x[5] = x[300] = 0;
    swage_type_from_f32 (t, x, NULL, bytes, N);
    x[5] = x[300] = NAN;
    swage_type_from_f32 (t, x, NULL, other, N);
    g_assert_cmpmem (bytes, swage_type_row_bytes (t, N), other, swage_type_row_bytes (t, N));
    /* Infinity: large and of the right sign. */
    fill_row (x, N, 0, &seed);
    x[40] = INFINITY;
    x[420] = -INFINITY;
    swage_type_from_f32 (t, x, NULL, bytes, N);
    swage_type_to_f32 (t, bytes, y, N);
    g_assert_cmpfloat (y[40], >, 60000);
    g_assert_cmpfloat (y[420], <, -60000);
    g_assert_true (isfinite (y[40]) && isfinite (y[420]));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quantize/sample", test_sample);
  g_test_add_func ("/quantize/exhaustive", test_exhaustive);
  g_test_add_func ("/quantize/exhaustive-affine", test_exhaustive_affine);
  g_test_add_func ("/quantize/levels", test_levels);
  g_test_add_func ("/quantize/importance", test_importance);
  g_test_add_func ("/quantize/hostile", test_hostile);
  return g_test_run ();
}
