/* SPDX-License-Identifier: MIT */
#include "method-fixture.h"

/* Types and the row lengths they hold, from the format's block sizes. */
static const struct
{
  const char *id;
  int block, bytes; /* as GGUF defines them */
  double worst;     /* no more than this relative error on normal weights: bits alone tell it */
} types[] = {
  { "f32", 1, 4, 0 },          { "f16", 1, 2, 1e-3 },      { "bf16", 1, 2, 4e-3 },
  { "q4_0", 32, 18, 0.12 },    { "q4_1", 32, 20, 0.10 },   { "q5_0", 32, 22, 0.06 },
  { "q5_1", 32, 24, 0.05 },    { "q8_0", 32, 34, 0.008 },  { "q2_k", 256, 84, 0.35 },
  { "q3_k", 256, 110, 0.20 },  { "q4_k", 256, 144, 0.09 }, { "q5_k", 256, 176, 0.05 },
  { "q6_k", 256, 210, 0.025 }, { "iq4_nl", 32, 18, 0.09 }, { "iq4_xs", 256, 136, 0.09 },
};

static double
relative_error (const SwageLinear *a, const SwageLinear *b)
{
  g_autofree float *x = swage_linear_get_effective (a), *y = swage_linear_get_effective (b);
  double square = 0, error = 0;
  for (int64_t i = 0; i < a->n_out * a->n_in; i++)
    {
      square += (double)x[i] * (double)x[i];
      error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    }
  return square > 0 ? sqrt (error / square) : sqrt (error);
}

static void
test_types (void)
{
  static const int64_t shapes[][2] = { { 1, 256 }, { 7, 512 }, { 300, 256 }, { 3, 2816 } };

  for (size_t t = 0; t < G_N_ELEMENTS (types); t++)
    for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
      {
        g_autofree char *text = g_strdup_printf ("type=%s", types[t].id);
        g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, shapes[s][0], shapes[s][1], 17 + s);
        g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", text, in, NULL);
        g_assert_cmpuint (swage_linear_get_bytes (out), ==,
                          (guint64)(shapes[s][0] * shapes[s][1] / types[t].block * types[t].bytes));
        g_assert_cmpfloat (relative_error (in, out), <=, types[t].worst);
      }
}

/* Sizes of int groups, from the layout: codes padded to bytes in each row, two bytes a scale, one a zero
 * point. */
static void
test_int_sizes (void)
{
  static const int64_t cols[] = { 5, 64, 172, 300 };
  static const int groups[] = { 8, 32, 128, 4096 };

  for (int bits = 2; bits <= 8; bits++)
    for (size_t c = 0; c < G_N_ELEMENTS (cols); c++)
      for (size_t g = 0; g < G_N_ELEMENTS (groups); g++)
        for (int symmetric = 0; symmetric < 2; symmetric++)
          {
            g_autofree char *text = g_strdup_printf ("type=int,bits=%d,group_size=%d,symmetric=%s", bits,
                                                     groups[g], symmetric ? "true" : "false");
            g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 9, cols[c], 5);
            g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", text, in, NULL);
            int64_t n_groups = (cols[c] + groups[g] - 1) / groups[g];
            g_assert_cmpuint (swage_linear_get_bytes (out), ==,
                              (guint64)(9 * ((cols[c] * bits + 7) / 8 + n_groups * (symmetric ? 2 : 3))));
          }
}

/* With the scale that covers the group, every weight is within half a step of its code; a searched scale may
 * do better on the whole, never worse. */
static void
test_int_error (void)
{
  enum
  {
    ROWS = 16,
    COLS = 256
  };
  for (int bits = 2; bits <= 8; bits++)
    for (int symmetric = 0; symmetric < 2; symmetric++)
      {
        int group = 64, levels = (1 << bits) - 1;
        g_autofree char *text = g_strdup_printf ("type=int,bits=%d,group_size=%d,symmetric=%s", bits, group,
                                                 symmetric ? "true" : "false");
        g_autofree float *w = fixture_normals (ROWS * COLS, 1, (uint64_t)(77 + bits));
        g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
        g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", text, in, NULL);
        g_autofree float *got = swage_linear_get_effective (out);
        double error = 0, plain = 0;
        for (int64_t g = 0; g < ROWS * COLS; g += group)
          {
            double lo = 0, hi = 0;
            for (int i = 0; i < group; i++)
              {
                lo = MIN (lo, (double)w[g + i]);
                hi = MAX (hi, (double)w[g + i]);
              }
            if (symmetric)
              {
                hi = MAX (-lo, hi);
                lo = -hi;
              }
            double step = symmetric ? hi / ((1 << (bits - 1)) - 1) : (hi - lo) / levels;
            double zero = symmetric ? 0 : round (-lo / step) * step;
            for (int i = 0; i < group; i++)
              {
                double x = (double)w[g + i], q = round (x / step) * step;
                q = CLAMP (q, symmetric ? -hi : -zero, symmetric ? hi : levels * step - zero);
                plain += (x - q) * (x - q);
                error += (x - (double)got[g + i]) * (x - (double)got[g + i]);
              }
          }
        g_assert_cmpfloat (error, <=, plain * 1.002); /* scales are rounded to half precision */
      }
}

/* Q8_0 and Q4_0 as llama.cpp's references define them: d = max|x|/127 and (signed value of largest
 * magnitude)/−8. */
static void
test_not_worse_than_plain (void)
{
  enum
  {
    N = 64 * 256
  };
  g_autofree float *w = fixture_normals (N, 0.02, 4);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 64, 256, w);
  double plain8 = 0, plain4 = 0;

  for (int b = 0; b < N; b += 32)
    {
      double extreme = 0;
      for (int i = 0; i < 32; i++)
        if (fabs ((double)w[b + i]) > fabs (extreme))
          extreme = (double)w[b + i];
      for (int i = 0; i < 32; i++)
        {
          double x = (double)w[b + i], d8 = fabs (extreme) / 127, d4 = extreme / -8;
          double e8 = x - d8 * round (x / d8), e4 = x - d4 * CLAMP (floor (x / d4 + 0.5), -8, 7);
          plain8 += e8 * e8;
          plain4 += e4 * e4;
        }
    }
  g_autoptr (SwageLinear) q8 = fixture_apply_ok ("rtn", "type=q8_0", in, NULL);
  g_autoptr (SwageLinear) q4 = fixture_apply_ok ("rtn", "type=q4_0", in, NULL);
  double norm = 0;
  for (int i = 0; i < N; i++)
    norm += (double)w[i] * (double)w[i];
  g_assert_cmpfloat (relative_error (in, q8), <=, sqrt (plain8 / norm) * 1.001);
  g_assert_cmpfloat (relative_error (in, q4), <=, sqrt (plain4 / norm) * 1.001);
}

static void
test_odd_rows (void)
{
  g_autoptr (SwageLinear) odd = fixture_linear (SWAGE_TYPE_F32, 4, 172, 1);
  fixture_assert_fails ("rtn", "type=q8_0", odd, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "172", "q8_0", "32", "int"));
  fixture_assert_fails ("rtn", "type=q4_k", odd, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "172", "256"));

  g_autoptr (SwageLinear) short_rows = fixture_linear (SWAGE_TYPE_F32, 4, 96, 1);
  fixture_assert_fails ("rtn", "type=q6_k", short_rows, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("96", "q6_k", "q5_1"));
  fixture_assert_fails ("rtn", "type=q5_k", short_rows, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("96", "q5_k", "q5_0"));
  fixture_assert_fails ("rtn", "type=q4_k", short_rows, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("96", "q4_k", "iq4_nl"));
}

static void
test_keeps_what_is_so (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 8, 256, 3);
  g_autoptr (SwageLinear) once = fixture_apply_ok ("rtn", "type=q3_k", in, NULL);
  g_autoptr (SwageLinear) twice = fixture_apply_ok ("rtn", "type=q3_k", once, NULL);
  g_assert_true (weights_equal (once->weight, twice->weight));
  /* a packed weight can be stored as floats: its values stay */
  g_autoptr (SwageLinear) wide = fixture_apply_ok ("rtn", "type=f32", twice, NULL);
  g_assert_cmpint (wide->weight->type, ==, SWAGE_TYPE_F32);
  g_assert_cmpfloat (relative_error (once, wide), ==, 0);
}

static void
test_bias_passes (void)
{
  g_autofree float *w = fixture_normals (4 * 64, 1, 9);
  float *bias = g_new0 (float, 4);
  bias[2] = 3;
  g_autoptr (SwageLinear) in
      = swage_linear_new ("blk.0.ffn_down", swage_weight_new_from_f32 (SWAGE_TYPE_F32, 4, 64, w, NULL), bias);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", "type=q8_0", in, NULL);
  g_assert_cmpfloat (out->bias[2], ==, 3);
  g_assert_true (out->bias != in->bias);
}

static void
test_zeros (void)
{
  g_autofree float *zeros = g_new0 (float, 3 * 256);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F16, 3, 256, zeros);
  for (size_t t = 0; t < G_N_ELEMENTS (types); t++)
    {
      g_autofree char *text = g_strdup_printf ("type=%s", types[t].id);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", text, in, NULL);
      g_assert_cmpfloat (relative_error (in, out), ==, 0);
    }
  g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", "type=int,symmetric=false,bits=3", in, NULL);
  g_assert_cmpfloat (relative_error (in, out), ==, 0);
}

static void
test_bad_numbers (void)
{
  static const float bad[] = { NAN, INFINITY, -INFINITY };
  for (int i = 0; i < 3; i++)
    {
      g_autofree float *w = fixture_normals (300 * 256, 1, 2);
      w[123 * 256 + 45] = bad[i];
      w[200 * 256 + 1] = NAN;
      g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 300, 256, w);
      for (int threads = 1; threads <= 4; threads++)
        {
          swage_pool_set_threads (threads);
          fixture_assert_fails ("rtn", "type=q4_0", in, NULL, SWAGE_ERROR_NUMERIC,
                                WORDS ("blk.0.ffn_down", "row 123", "column 45"));
        }
      swage_pool_set_threads (2);
    }

  g_autofree float *w = fixture_normals (4 * 64, 1, 2);
  w[70] = 1e6f;
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 4, 64, w);
  fixture_assert_fails ("rtn", "type=f16", in, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 1", "1e+06", "F16"));
  g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", "type=bf16", in, NULL);
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 1001, 256, 8);
  fixture_assert_thread_invariant ("rtn", "type=q4_k", in, NULL);
  fixture_assert_thread_invariant ("rtn", "type=q8_0", in, NULL);
  fixture_assert_thread_invariant ("rtn", "type=int,bits=3,group_size=48,symmetric=false", in, NULL);
}

static void
test_cancel (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 64, 256, 8);
  fixture_assert_cancels ("rtn", "type=q4_k", in, NULL);
}

/* Every type that a quantizer can aim at is a choice. */
static void
test_all_types_offered (void)
{
  const SwageMethod *method = swage_method_find ("rtn");
  const SwageParam *param = swage_method_find_param (method, "type");
  for (int t = 0; t < SWAGE_N_TYPES; t++)
    {
      const SwageTypeInfo *info = swage_type_get_info ((SwageType)t);
      if (info->quantized || t == SWAGE_TYPE_INT)
        g_assert_true (g_strv_contains (param->choices, info->id));
    }
  for (int i = 0; param->choices[i] != NULL; i++)
    g_assert_cmpint (swage_type_from_id (param->choices[i]), !=, SWAGE_TYPE_NONE);
  g_autofree void *params = fixture_params (method, "");
  g_autofree char *def = swage_param_get_text (param, params);
  g_assert_cmpstr (def, ==, "q4_k");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rtn/types", test_types);
  g_test_add_func ("/rtn/int-sizes", test_int_sizes);
  g_test_add_func ("/rtn/int-error", test_int_error);
  g_test_add_func ("/rtn/not-worse-than-plain", test_not_worse_than_plain);
  g_test_add_func ("/rtn/odd-rows", test_odd_rows);
  g_test_add_func ("/rtn/keeps-what-is-so", test_keeps_what_is_so);
  g_test_add_func ("/rtn/bias-passes", test_bias_passes);
  g_test_add_func ("/rtn/zeros", test_zeros);
  g_test_add_func ("/rtn/bad-numbers", test_bad_numbers);
  g_test_add_func ("/rtn/threads", test_threads);
  g_test_add_func ("/rtn/cancel", test_cancel);
  g_test_add_func ("/rtn/all-types-offered", test_all_types_offered);
  return g_test_run ();
}
