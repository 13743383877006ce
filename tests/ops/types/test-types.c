/* SPDX-License-Identifier: MIT
 *
 * The table of element types, the plain conversions, and the decoders of every block type against goldens
 * made by the gguf package (tests/golden/make_types.py).
 */
#include "kernels/type/type-level.h"
#include "tests/ops/types/matrices.h"

#include <float.h>
#include <math.h>
#include "kernels/swage-layout.h"

static void
test_table (void)
{
  for (int t = 0; t < SWAGE_N_TYPES; t++)
    {
      const SwageTypeInfo *info = swage_type_get_info (t);
      g_assert_nonnull (info);
      g_assert_nonnull (info->id);
      g_assert_nonnull (info->title);
      g_assert_cmpint (info->block, >=, 1);
      g_assert_true ((info->bytes > 0) != swage_type_is_layout (t));
      g_assert_cmpint (swage_type_from_id (info->id), ==, t);
      char *upper = g_ascii_strup (info->id, -1);
      g_assert_cmpint (swage_type_from_id (upper), ==, t);
      g_free (upper);
      if (info->ggml_id >= 0)
        g_assert_cmpint (swage_type_from_ggml (info->ggml_id), ==, t);
      if (info->safetensors)
        g_assert_cmpint (swage_type_from_safetensors (info->safetensors), ==, t);
    }
  /* GGUF's ids and sizes, as its specification lists them. */
  const struct
  {
    const char *id;
    int ggml, block, bytes;
  } gguf[] = { { "f32", 0, 1, 4 },       { "f16", 1, 1, 2 },         { "q4_0", 2, 32, 18 },
               { "q4_1", 3, 32, 20 },    { "q5_0", 6, 32, 22 },      { "q5_1", 7, 32, 24 },
               { "q8_0", 8, 32, 34 },    { "q2_k", 10, 256, 84 },    { "q3_k", 11, 256, 110 },
               { "q4_k", 12, 256, 144 }, { "q5_k", 13, 256, 176 },   { "q6_k", 14, 256, 210 },
               { "iq4_nl", 20, 32, 18 }, { "iq4_xs", 23, 256, 136 }, { "i8", 24, 1, 1 },
               { "i16", 25, 1, 2 },      { "i32", 26, 1, 4 },        { "i64", 27, 1, 8 },
               { "f64", 28, 1, 8 },      { "bf16", 30, 1, 2 } };
  for (gsize i = 0; i < G_N_ELEMENTS (gguf); i++)
    {
      const SwageTypeInfo *info = swage_type_get_info (swage_type_from_id (gguf[i].id));
      g_assert_cmpint (info->ggml_id, ==, gguf[i].ggml);
      g_assert_cmpint (info->block, ==, gguf[i].block);
      g_assert_cmpint (info->bytes, ==, gguf[i].bytes);
    }
  g_assert_cmpint (swage_type_from_id ("q9_9"), ==, SWAGE_TYPE_NONE);
  g_assert_cmpint (swage_type_from_id (NULL), ==, SWAGE_TYPE_NONE);
  g_assert_cmpint (swage_type_from_ggml (-1), ==, SWAGE_TYPE_NONE);
  g_assert_cmpint (swage_type_from_ggml (4), ==, SWAGE_TYPE_NONE);
  g_assert_cmpint (swage_type_from_safetensors ("F8_E4M3"), ==, SWAGE_TYPE_NONE);
  g_assert_cmpint (swage_type_from_safetensors (NULL), ==, SWAGE_TYPE_NONE);
}

static void
test_row_bytes (void)
{
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_Q4_K, 512), ==, 288);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_Q8_0, 32), ==, 34);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_F32, 3), ==, 12);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_Q8_0, 33), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_Q4_K, 128), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_F32, 0), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_F32, -4), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_F64, INT64_MAX), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_INT, 64), ==, 0);
  g_assert_cmpuint (swage_type_row_bytes (SWAGE_TYPE_NONE, 64), ==, 0);
}

static gboolean
same_float (float a, float b)
{
  return memcmp (&a, &b, 4) == 0;
}

/* The value of a half by its definition. */
static double
half_value (unsigned h)
{
  unsigned exponent = h >> 10 & 31, fraction = h & 1023;
  double v = exponent == 0 ? ldexp (fraction, -24) : ldexp (1024 + fraction, (int)exponent - 25);
  if (exponent == 31)
    v = fraction ? (double)NAN : (double)INFINITY;
  return h & 0x8000 ? -v : v;
}

static void
test_halves (void)
{
  uint16_t all[65536], back[65536];
  float *out = g_new (float, 65536);
  for (unsigned h = 0; h < 65536; h++)
    {
      all[h] = (uint16_t)h;
      float f = swage_f16_to_f32 ((uint16_t)h), b = swage_bf16_to_f32 ((uint16_t)h);
      double v = half_value (h);
      if (isnan (v))
        {
          g_assert_true (isnan (f));
          g_assert_true ((swage_f32_to_f16 (f) & 0x7fff) > 0x7c00);
        }
      else
        {
          g_assert_true (same_float (f, (float)v));
          g_assert_cmpuint (swage_f32_to_f16 (f), ==, h);
        }
      uint32_t bits;
      memcpy (&bits, &b, 4);
      g_assert_cmpuint (bits, ==, h << 16);
      if (!isnan (b))
        g_assert_cmpuint (swage_f32_to_bf16 (b), ==, h);
      else
        g_assert_true (isnan (swage_bf16_to_f32 (swage_f32_to_bf16 (b))));
    }
  /* Between two halves: the nearer, and at the middle the even one. */
  for (unsigned h = 0; h < 0x7c00; h++)
    {
      float middle = (float)((half_value (h) + (h == 0x7bff ? 65536.0 : half_value (h + 1))) / 2);
      g_assert_cmpuint (swage_f32_to_f16 (nextafterf (middle, 0)), ==, h);
      g_assert_cmpuint (swage_f32_to_f16 (middle), ==, h % 2 == 0 ? h : h + 1);
      g_assert_cmpuint (swage_f32_to_f16 (-nextafterf (middle, INFINITY)), ==, (h + 1) | 0x8000);
    }
  for (unsigned h = 0; h < 0x7f80; h++)
    {
      uint32_t bits = h << 16 | 0x8000;
      float middle;
      memcpy (&middle, &bits, 4);
      g_assert_cmpuint (swage_f32_to_bf16 (middle), ==, h % 2 == 0 ? h : h + 1);
      g_assert_cmpuint (swage_f32_to_bf16 (-nextafterf (middle, 0)), ==, h | 0x8000);
      g_assert_cmpuint (swage_f32_to_bf16 (nextafterf (middle, INFINITY)), ==, h + 1);
    }
  /* Rows give what single conversions give, at any alignment and tail. */
  for (int n = 65536; n > 65500; n -= 7)
    {
      swage_type_to_f32 (SWAGE_TYPE_F16, all, out, n);
      for (int i = 0; i < n; i++)
        g_assert_true (same_float (out[i], swage_f16_to_f32 (all[i])));
      swage_type_from_f32 (SWAGE_TYPE_F16, out, NULL, back, n);
      for (int i = 0; i < n; i++)
        g_assert_cmpuint (back[i], ==, swage_f32_to_f16 (out[i]));
    }
  uint64_t seed = 1;
  for (int i = 0; i < 65536; i++)
    {
      uint32_t bits = (uint32_t)noise_bits (&seed);
      memcpy (&out[i], &bits, 4);
    }
  swage_type_from_f32 (SWAGE_TYPE_F16, out, NULL, back, 65536);
  for (int i = 0; i < 65536; i++)
    g_assert_cmpuint (back[i], ==, swage_f32_to_f16 (out[i]));
  swage_type_from_f32 (SWAGE_TYPE_BF16, out, NULL, back, 65536);
  for (int i = 0; i < 65536; i++)
    g_assert_cmpuint (back[i], ==, swage_f32_to_bf16 (out[i]));
  g_free (out);
}

static void
test_plain (void)
{
  const float x[]
      = { 0.0f, -0.0f, 1.5f, 2.5f, -3.5f, 127.6f, -1000.0f, 4e9f, -4e9f, 1e30f, NAN, INFINITY, -INFINITY };
  enum
  {
    N = G_N_ELEMENTS (x)
  };
  const int8_t i8[N] = { 0, 0, 2, 2, -4, 127, -128, 127, -128, 127, 0, 127, -128 };
  const uint8_t u8[N] = { 0, 0, 2, 2, 0, 128, 0, 255, 0, 255, 0, 255, 0 };
  const uint8_t boolean[N] = { 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1 };
  const int16_t i16[N] = { 0, 0, 2, 2, -4, 128, -1000, 32767, -32768, 32767, 0, 32767, -32768 };
  const int32_t i32[N]
      = { 0, 0, 2, 2, -4, 128, -1000, INT32_MAX, INT32_MIN, INT32_MAX, 0, INT32_MAX, INT32_MIN };
  const int64_t i64[N]
      = { 0, 0, 2, 2, -4, 128, -1000, 4000000000, -4000000000, INT64_MAX, 0, INT64_MAX, INT64_MIN };
  const struct
  {
    SwageType type;
    const void *expected;
    gsize size;
  } rows[] = { { SWAGE_TYPE_I8, i8, sizeof i8 },
               { SWAGE_TYPE_U8, u8, sizeof u8 },
               { SWAGE_TYPE_BOOL, boolean, sizeof boolean },
               { SWAGE_TYPE_I16, i16, sizeof i16 },
               { SWAGE_TYPE_I32, i32, sizeof i32 },
               { SWAGE_TYPE_I64, i64, sizeof i64 } };
  for (gsize r = 0; r < G_N_ELEMENTS (rows); r++)
    {
      uint8_t bytes[N * 8];
      swage_type_from_f32 (rows[r].type, x, NULL, bytes, N);
      g_assert_cmpmem (bytes, rows[r].size, rows[r].expected, rows[r].size);
      float back[N];
      swage_type_to_f32 (rows[r].type, bytes, back, N);
      for (int i = 0; i < 5; i++)
        if (rows[r].type != SWAGE_TYPE_BOOL && (rows[r].type != SWAGE_TYPE_U8 || x[i] >= 0))
          g_assert_cmpfloat (back[i], ==, rintf (x[i]));
    }
  double wide[N];
  float back[N];
  swage_type_from_f32 (SWAGE_TYPE_F64, x, NULL, wide, N);
  swage_type_to_f32 (SWAGE_TYPE_F64, wide, back, N);
  g_assert_cmpmem (back, sizeof x, x, sizeof x);
  swage_type_from_f32 (SWAGE_TYPE_F32, x, NULL, back, N);
  g_assert_cmpmem (back, sizeof x, x, sizeof x);
}

static void
test_decode (void)
{
  char *path
      = g_build_filename (g_getenv ("SWAGE_SOURCE_ROOT"), "tests", "golden", "types", "decode.bin", NULL),
      *data;
  gsize size, at = 0;
  int n_types = 0;
  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  while (at < size)
    {
      uint32_t head[3]; /* ggml type, bytes, floats */
      g_assert_cmpuint (size - at, >=, sizeof head);
      memcpy (head, data + at, sizeof head);
      at += sizeof head;
      SwageType type = swage_type_from_ggml ((int)head[0]);
      g_assert_cmpint (type, !=, SWAGE_TYPE_NONE);
      g_assert_cmpuint (swage_type_row_bytes (type, head[2]), ==, head[1]);
      float *expected = g_new (float, head[2]), *got = g_new (float, head[2]);
      memcpy (expected, data + at + head[1], 4 * head[2]);
      for (SwageCpuLevel level = SWAGE_CPU_PORTABLE; level <= swage_cpu_get_level (); level++)
        {
          swage_type_get_level (level)->to_f32[type](data + at, got, head[2]);
          for (uint32_t i = 0; i < head[2]; i++)
            if (got[i] != expected[i])
              g_error ("%s at %s: element %u is %a, not %a", swage_type_get_info (type)->id,
                       swage_type_get_level (level)->name, i, (double)got[i], (double)expected[i]);
        }
      at += head[1] + 4 * head[2];
      g_free (expected);
      g_free (got);
      n_types++;
    }
  g_assert_cmpint (n_types, ==, 12);
  g_free (data);
  g_free (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/types/table", test_table);
  g_test_add_func ("/types/row-bytes", test_row_bytes);
  g_test_add_func ("/types/halves", test_halves);
  g_test_add_func ("/types/plain", test_plain);
  g_test_add_func ("/types/decode-golden", test_decode);
  return g_test_run ();
}
