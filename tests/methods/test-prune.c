/* SPDX-License-Identifier: MIT
 *
 * magnitude and wanda against their formulas: scores in double, sorted whole (the methods select without
 * sorting).
 */
#include <stdlib.h>
#include "method-fixture.h"

typedef struct
{
  double score;
  int64_t index;
} Scored;

static int
compare_scored (const void *a, const void *b)
{
  const Scored *x = a, *y = b;
  if (x->score != y->score)
    return x->score < y->score ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

/* Zero the k lowest of |w_i|·norm_i; norm NULL: 1. */
static void
prune_sorted (float *w, const double *norm, int64_t n, int64_t k)
{
  g_autofree Scored *s = g_new (Scored, (gsize)n);
  for (int64_t i = 0; i < n; i++)
    s[i] = (Scored){ fabs ((double)w[i]) * (norm != NULL ? norm[i] : 1), i };
  qsort (s, (size_t)n, sizeof *s, compare_scored);
  for (int64_t i = 0; i < k; i++)
    w[s[i].index] = 0;
}

static int64_t
count_zeros (const float *w, int64_t n)
{
  int64_t zeros = 0;
  for (int64_t i = 0; i < n; i++)
    zeros += w[i] == 0;
  return zeros;
}

static void
assert_weights (const SwageLinear *linear, const float *expected)
{
  g_autofree float *got = swage_linear_get_effective (linear);
  g_assert_cmpmem (got, (size_t)(linear->n_out * linear->n_in) * sizeof (float), expected,
                   (size_t)(linear->n_out * linear->n_in) * sizeof (float));
}

static SwageActStats *
make_stats (int64_t n_in, uint64_t seed)
{
  SwageActStats *stats = swage_act_stats_new (n_in, SWAGE_NEED_COL_SQUARES, 0, 0);
  g_autofree float *x = fixture_normals (50 * n_in, 1, seed);
  for (int64_t i = 0; i < 50 * n_in; i++)
    x[i] *= (float)(1 + 30 * (i % n_in % 7 == 0)); /* outlier channels */
  swage_act_stats_add (stats, x, 50);
  swage_act_stats_finish (stats);
  return stats;
}

/* ‖X_j‖₂ of the same rows, without the collector. */
static double *
make_norms (int64_t n_in, uint64_t seed)
{
  g_autofree float *x = fixture_normals (50 * n_in, 1, seed);
  double *norm = g_new0 (double, (gsize)n_in);
  for (int64_t i = 0; i < 50 * n_in; i++)
    {
      double v = (double)(x[i] * (float)(1 + 30 * (i % n_in % 7 == 0)));
      norm[i % n_in] += v * v;
    }
  for (int64_t j = 0; j < n_in; j++)
    norm[j] = sqrt (norm[j]);
  return norm;
}

static const SwageType float_types[] = { SWAGE_TYPE_F32, SWAGE_TYPE_F16, SWAGE_TYPE_BF16 };
static const double sparsities[] = { 0, 0.1, 0.3333, 0.5, 0.87, 1 };

/* Half-precision weights have many equal magnitudes: the order of ties matters there. */
static void
test_magnitude_layer (void)
{
  for (size_t t = 0; t < G_N_ELEMENTS (float_types); t++)
    for (size_t s = 0; s < G_N_ELEMENTS (sparsities); s++)
      {
        enum
        {
          ROWS = 37,
          COLS = 131
        };
        g_autofree char *text = g_strdup_printf ("sparsity=%g", sparsities[s]);
        g_autoptr (SwageLinear) in = fixture_linear (float_types[t], ROWS, COLS, 21 + s);
        g_autoptr (SwageLinear) out = fixture_apply_ok ("magnitude", text, in, NULL);
        g_autofree float *expected = swage_linear_get_effective (in);
        int64_t k = (int64_t)floor (sparsities[s] * ROWS * COLS + 0.5);
        prune_sorted (expected, NULL, ROWS * COLS, k);
        assert_weights (out, expected);
        g_assert_cmpint (count_zeros (expected, ROWS * COLS), ==, k);
        g_assert_cmpint (out->weight->type, ==, float_types[t]);
      }
}

static void
test_magnitude_row (void)
{
  for (size_t t = 0; t < G_N_ELEMENTS (float_types); t++)
    for (size_t s = 0; s < G_N_ELEMENTS (sparsities); s++)
      {
        enum
        {
          ROWS = 300,
          COLS = 171
        };
        g_autofree char *text = g_strdup_printf ("per=row,sparsity=%g", sparsities[s]);
        g_autoptr (SwageLinear) in = fixture_linear (float_types[t], ROWS, COLS, 5 + s);
        g_autoptr (SwageLinear) out = fixture_apply_ok ("magnitude", text, in, NULL);
        g_autofree float *expected = swage_linear_get_effective (in);
        for (int r = 0; r < ROWS; r++)
          prune_sorted (expected + r * COLS, NULL, COLS, (int64_t)floor (sparsities[s] * COLS + 0.5));
        assert_weights (out, expected);
      }
}

static const struct
{
  const char *id;
  int keep, of;
} patterns[] = {
  { "1:2", 1, 2 }, { "1:4", 1, 4 }, { "2:4", 2, 4 },   { "3:4", 3, 4 },
  { "2:8", 2, 8 }, { "4:8", 4, 8 }, { "8:16", 8, 16 },
};

static void
test_patterns (void)
{
  enum
  {
    ROWS = 33,
    COLS = 176
  };
  g_autoptr (SwageActStats) stats = make_stats (COLS, 3);
  g_autofree double *norm = make_norms (COLS, 3);

  for (size_t p = 0; p < G_N_ELEMENTS (patterns); p++)
    for (int wanda = 0; wanda < 2; wanda++)
      {
        g_autofree char *text = g_strdup_printf ("pattern=%s", patterns[p].id);
        g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 40 + p);
        g_autoptr (SwageLinear) out
            = fixture_apply_ok (wanda ? "wanda" : "magnitude", text, in, wanda ? stats : NULL);
        g_autofree float *expected = swage_linear_get_effective (in);
        int of = patterns[p].of, n_zero = of - patterns[p].keep;
        for (int g = 0; g < ROWS * COLS; g += of)
          {
            prune_sorted (expected + g, wanda ? norm + g % COLS : NULL, of, n_zero);
            g_assert_cmpint (count_zeros (expected + g, of), ==, n_zero);
          }
        assert_weights (out, expected);
      }
  /* every choice was tried */
  const SwageParam *param = swage_method_find_param (swage_method_find ("wanda"), "pattern");
  g_assert_cmpint (g_strv_length ((char **)param->choices), ==, G_N_ELEMENTS (patterns) + 1);
}

static void
test_wanda (void)
{
  for (size_t s = 0; s < G_N_ELEMENTS (sparsities); s++)
    {
      enum
      {
        ROWS = 65,
        COLS = 203
      };
      g_autofree char *text = g_strdup_printf ("sparsity=%g", sparsities[s]);
      g_autoptr (SwageActStats) stats = make_stats (COLS, 11);
      g_autofree double *norm = make_norms (COLS, 11);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 31 + s);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("wanda", text, in, stats);
      g_autofree float *expected = swage_linear_get_effective (in);
      for (int r = 0; r < ROWS; r++)
        prune_sorted (expected + r * COLS, norm, COLS, (int64_t)floor (sparsities[s] * COLS + 0.5));
      assert_weights (out, expected);
    }
}

/* The sum Σx² of every channel is the same: nothing but magnitudes is left. */
static void
test_wanda_equal_norms (void)
{
  enum
  {
    COLS = 96
  };
  g_autoptr (SwageActStats) stats = swage_act_stats_new (COLS, SWAGE_NEED_COL_SQUARES, 0, 0);
  g_autofree float *x = g_new (float, COLS * 4);
  for (int i = 0; i < COLS * 4; i++)
    x[i] = i % 3 == 0 ? 0.5f : -0.5f;
  swage_act_stats_add (stats, x, 4);
  swage_act_stats_finish (stats);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 200, COLS, 6);
  static const char *const texts[][2]
      = { { "sparsity=0.6", "sparsity=0.6,per=row" }, { "pattern=2:4", "pattern=2:4" } };
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (SwageLinear) a = fixture_apply_ok ("wanda", texts[i][0], in, stats);
      g_autoptr (SwageLinear) b = fixture_apply_ok ("magnitude", texts[i][1], in, NULL);
      g_assert_true (weights_equal (a->weight, b->weight));
    }
}

/* A channel that the text never lights up goes first; small inputs outweigh large weights. */
static void
test_wanda_by_hand (void)
{
  static const float w[8] = { 4, -3, 2, 1, 1, 2, -3, 4 };
  static const float x[2][4] = { { 0, 1, 3, 10 }, { 0, 1, -4, 0 } }; /* norms 0, √2, 5, 10 */
  static const float expected[8] = { 0, 0, 2, 1, 0, 0, -3, 4 };
  g_autoptr (SwageActStats) stats = swage_act_stats_new (4, SWAGE_NEED_COL_SQUARES, 0, 0);
  swage_act_stats_add (stats, x[0], 2);
  swage_act_stats_finish (stats);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 2, 4, w);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("wanda", "sparsity=0.5", in, stats);
  assert_weights (out, expected);
}

static void
test_wanda_refuses (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 4, 8, 1);
  fixture_assert_fails ("wanda", "sparsity=0.5", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "calibration"));
  g_autoptr (SwageActStats) empty = swage_act_stats_new (8, SWAGE_NEED_COL_SQUARES, 0, 0);
  fixture_assert_fails ("wanda", "sparsity=0.5", in, empty, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "calibration"));
  g_autoptr (SwageActStats) other = make_stats (9, 1);
  fixture_assert_fails ("wanda", "sparsity=0.5", in, other, SWAGE_ERROR_INVALID, WORDS ("blk.0.ffn_down"));

  /* an embedding has no inputs */
  SwageLinearSpec spec, out;
  g_autoptr (GError) error = NULL;
  swage_linear_spec_init_from (&spec, in);
  spec.no_input = true;
  const SwageMethod *method = swage_method_find ("wanda");
  g_autofree void *params = fixture_params (method, "");
  g_assert_false (swage_method_cost (method, params, "token_embd", &spec, &out, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "token_embd"));
}

static void
test_refuses (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 4, 172, 1);
  fixture_assert_fails ("magnitude", "pattern=4:8", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "172", "4:8"));
  g_autoptr (SwageLinear) fits = fixture_apply_ok ("magnitude", "pattern=2:4", in, NULL);

  g_autoptr (SwageLinear) wide = fixture_linear (SWAGE_TYPE_F32, 4, 64, 1);
  g_autoptr (SwageLinear) packed = fixture_apply_ok ("rtn", "type=q8_0", wide, NULL);
  fixture_assert_fails ("magnitude", "", packed, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "Q8_0", "before"));
  g_autoptr (SwageLinear) floats = fixture_apply_ok ("rtn", "type=f16", packed, NULL);
  g_autoptr (SwageLinear) pruned = fixture_apply_ok ("magnitude", "", floats, NULL);

  g_autofree float *w = fixture_normals (4 * 64, 1, 2);
  w[2 * 64 + 7] = NAN;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, 4, 64, w);
  fixture_assert_fails ("magnitude", "", bad, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 2", "column 7"));
  fixture_assert_fails ("magnitude", "per=row", bad, NULL, SWAGE_ERROR_NUMERIC, WORDS ("row 2", "column 7"));
}

/* Magnitudes that differ in the last bit alone, signs mixed, denormals, zeros of both signs. */
static void
test_hard_ties (void)
{
  enum
  {
    N = 4096
  };
  g_autofree float *w = g_new (float, N);
  uint64_t state = 99;
  for (int i = 0; i < N; i++)
    {
      static const float odd[]
          = { 0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-126f, 1.0f, -1.0f, 0x1.000002p0f, 65504.0f, 3e38f };
      w[i] = odd[(int)(fixture_uniform (&state) * G_N_ELEMENTS (odd))];
    }
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 4, N / 4, w);
  for (int percent = 1; percent < 100; percent += 7)
    {
      g_autofree char *text = g_strdup_printf ("sparsity=%g", percent / 100.0);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("magnitude", text, in, NULL);
      g_autofree float *expected = g_memdup2 (w, N * sizeof *w);
      prune_sorted (expected, NULL, N, (int64_t)floor (percent / 100.0 * N + 0.5));
      assert_weights (out, expected);
    }
}

/* Zeros of a pruned layer survive packing in types that have an exact zero, and the spec says so. */
static void
test_zeros_survive (void)
{
  const SwageParam *type = swage_method_find_param (swage_method_find ("rtn"), "type");
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 16, 256, 13);
  g_autoptr (SwageLinear) pruned = fixture_apply_ok ("magnitude", "pattern=2:4", in, NULL);
  g_autofree float *before = swage_linear_get_effective (pruned);
  SwageLinearSpec spec, sparse, packed;
  swage_linear_spec_init_from (&spec, in);
  g_assert_true (fixture_cost ("magnitude", "pattern=2:4", &spec, &sparse, NULL));
  g_assert_cmpfloat (sparse.sparsity, ==, 0.5);

  for (int i = 0; type->choices[i] != NULL; i++)
    {
      g_autofree char *text = g_strdup_printf ("type=%s", type->choices[i]);
      SwageType t = swage_type_from_id (type->choices[i]);
      bool exact = t == SWAGE_TYPE_INT || swage_type_get_info (t)->zero_exact;
      g_assert_true (fixture_cost ("rtn", text, &sparse, &packed, NULL));
      g_assert_cmpfloat (packed.sparsity, ==, exact ? 0.5 : 0);
      if (!exact)
        continue;
      g_autoptr (SwageLinear) out = fixture_apply_ok ("rtn", text, pruned, NULL);
      g_autofree float *after = swage_linear_get_effective (out);
      for (int j = 0; j < 16 * 256; j++)
        if (before[j] == 0)
          g_assert_cmpfloat (after[j], ==, 0);
    }
}

static void
test_spec_sparsity (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 3, 10, 1);
  SwageLinearSpec spec, out;
  swage_linear_spec_init_from (&spec, in);
  g_assert_true (fixture_cost ("magnitude", "sparsity=0.5", &spec, &out, NULL));
  g_assert_cmpfloat (out.sparsity, ==, 0.5);
  g_assert_true (fixture_cost ("magnitude", "sparsity=0.42,per=row", &spec, &out, NULL));
  g_assert_cmpfloat (out.sparsity, ==, 0.4); /* 4 of 10 */
  g_assert_true (fixture_cost ("magnitude", "sparsity=0.42", &spec, &out, NULL));
  g_assert_cmpfloat (out.sparsity, ==, 13.0 / 30); /* round (12.6) of 30 */
  g_autofree char *described = swage_linear_spec_describe (&out);
  g_assert_cmpstr (described, ==, "F32, 43.3 % zero");
  SwageLinearSpec again;
  g_assert_true (fixture_cost ("magnitude", "sparsity=0.2", &out, &again, NULL));
  g_assert_cmpfloat (again.sparsity, ==, 13.0 / 30);
}

static void
test_threads (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 1500, 160, 8);
  g_autoptr (SwageActStats) stats = make_stats (160, 2);
  fixture_assert_thread_invariant ("magnitude", "sparsity=0.37", in, NULL);
  fixture_assert_thread_invariant ("magnitude", "sparsity=0.37,per=row", in, NULL);
  fixture_assert_thread_invariant ("wanda", "sparsity=0.37", in, stats);
  fixture_assert_cancels ("magnitude", "", in, NULL);
  fixture_assert_cancels ("magnitude", "per=row", in, NULL);
  fixture_assert_cancels ("wanda", "pattern=2:4", in, stats);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/magnitude/layer", test_magnitude_layer);
  g_test_add_func ("/magnitude/row", test_magnitude_row);
  g_test_add_func ("/magnitude/hard-ties", test_hard_ties);
  g_test_add_func ("/magnitude/refuses", test_refuses);
  g_test_add_func ("/prune/patterns", test_patterns);
  g_test_add_func ("/prune/zeros-survive", test_zeros_survive);
  g_test_add_func ("/prune/spec-sparsity", test_spec_sparsity);
  g_test_add_func ("/prune/threads", test_threads);
  g_test_add_func ("/wanda/formula", test_wanda);
  g_test_add_func ("/wanda/equal-norms", test_wanda_equal_norms);
  g_test_add_func ("/wanda/by-hand", test_wanda_by_hand);
  g_test_add_func ("/wanda/refuses", test_wanda_refuses);
  return g_test_run ();
}
