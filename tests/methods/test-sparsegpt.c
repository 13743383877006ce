/* SPDX-License-Identifier: MIT
 *
 * sparsegpt against the paper's algorithm in double, column by column and without blocks of corrections, and
 * its properties.
 */
#include <stdlib.h>
#include "so-fixture.h"

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

/* Algorithm 1 of the paper: w becomes its pruned self. keep/of: 0 is unstructured, in blocks of `block`. */
static void
prune_paper (double *w, int64_t rows, int64_t n, const double *u, double sparsity, int64_t block, int keep,
             int of)
{
  g_autofree bool *gone = g_new0 (bool, (gsize)(rows * n));
  g_autofree Scored *s = g_new (Scored, (gsize)(rows * MAX (block, of)));
  int64_t n_gone = 0;

  for (int64_t i = 0; i < n; i++)
    {
      if (of == 0 && i % block == 0)
        {
          int64_t width = MIN (block, n - i),
                  wanted = (int64_t)floor (sparsity * (double)(rows * (i + width)) + 0.5);
          for (int64_t k = 0; k < rows * width; k++)
            {
              int64_t r = k / width, c = i + k % width;
              s[k] = (Scored){ pow (w[r * n + c] / u[c * n + c], 2), r * n + c };
            }
          qsort (s, (size_t)(rows * width), sizeof *s, compare_scored);
          for (int64_t k = 0; k < wanted - n_gone; k++)
            gone[s[k].index] = true;
          n_gone = wanted;
        }
      for (int64_t r = 0; r < rows; r++)
        {
          if (of > 0 && i % of == 0)
            {
              for (int k = 0; k < of; k++)
                s[k] = (Scored){ pow (w[r * n + i + k] / u[(i + k) * n + i + k], 2), r * n + i + k };
              qsort (s, (size_t)of, sizeof *s, compare_scored);
              for (int k = 0; k < of - keep; k++)
                gone[s[k].index] = true;
            }
          if (!gone[r * n + i])
            continue;
          double e = w[r * n + i] / u[i * n + i];
          w[r * n + i] = 0;
          for (int64_t j = i + 1; j < n; j++)
            w[r * n + j] -= e * u[i * n + j];
        }
    }
}

static void
test_formula (void)
{
  static const struct
  {
    const char *text;
    double sparsity;
    int block, keep, of;
  } cases[] = {
    { "sparsity=0.5", 0.5, 128, 0, 0 },
    { "sparsity=0.5,block_size=16", 0.5, 16, 0, 0 },
    { "sparsity=0.83,block_size=50", 0.83, 50, 0, 0 },
    { "sparsity=0.1,block_size=7", 0.1, 7, 0, 0 },
    { "pattern=2:4", 0, 0, 2, 4 },
    { "pattern=4:8", 0, 0, 4, 8 },
    { "pattern=1:4", 0, 0, 1, 4 },
    { "pattern=8:16", 0, 0, 8, 16 },
  };
  enum
  {
    ROWS = 67,
    COLS = 144,
    TOKENS = 300
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 0, 1);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0.01);
  g_autofree double *inverse = so_invert (h, COLS);
  g_autofree double *u = so_cholesky_upper (inverse, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 2);
  g_autofree float *w = swage_linear_get_effective (in);

  for (size_t c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      g_autofree double *expected = g_new (double, ROWS *COLS);
      for (int i = 0; i < ROWS * COLS; i++)
        expected[i] = (double)w[i];
      prune_paper (expected, ROWS, COLS, u, cases[c].sparsity, cases[c].block, cases[c].keep, cases[c].of);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("sparsegpt", cases[c].text, in, stats);
      g_autofree float *got = swage_linear_get_effective (out);
      for (int i = 0; i < ROWS * COLS; i++)
        {
          g_assert_cmpint (got[i] == 0, ==, expected[i] == 0);
          g_assert_cmpfloat_with_epsilon ((double)got[i], expected[i], 2e-4);
        }
    }
}

/* Longer than a panel, so that corrections come from blocks, panels and beyond. */
static void
test_long_rows (void)
{
  enum
  {
    ROWS = 5,
    COLS = 1200,
    TOKENS = 1500
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 0, 8);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  SwageSecondOrderOptions options
      = { .layer = "test", .method = "test", .factors = SWAGE_FACTOR_INVERSE, .damping = 0.01 };
  g_autoptr (SwageSecondOrder) s = swage_second_order_new (stats, COLS, &options, NULL, NULL);
  g_autofree double *u = g_new (double, COLS *COLS); /* its own test is elsewhere */
  for (int i = 0; i < COLS * COLS; i++)
    u[i] = (double)s->u[i];
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 4);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree double *expected = g_new (double, ROWS *COLS);
  for (int i = 0; i < ROWS * COLS; i++)
    expected[i] = (double)w[i];
  prune_paper (expected, ROWS, COLS, u, 0.6, 128, 0, 0);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("sparsegpt", "sparsity=0.6", in, stats);
  g_autofree float *got = swage_linear_get_effective (out);
  for (int i = 0; i < ROWS * COLS; i++)
    {
      g_assert_cmpint (got[i] == 0, ==, expected[i] == 0);
      g_assert_cmpfloat_with_epsilon ((double)got[i], expected[i], 2e-4);
    }
}

/* The number of zeros is exact, and N:M is exactly N:M. */
static void
test_counts (void)
{
  static const double sparsities[] = { 0, 0.123, 0.5, 0.9, 1 };
  enum
  {
    ROWS = 37,
    COLS = 208,
    TOKENS = 256
  };
  g_autofree float *x = so_inputs (TOKENS, COLS, 13, 3);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 6);

  for (size_t i = 0; i < G_N_ELEMENTS (sparsities); i++)
    {
      g_autofree char *text = g_strdup_printf ("block_size=48,sparsity=%g", sparsities[i]);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("sparsegpt", text, in, stats);
      g_autofree float *w = swage_linear_get_effective (out);
      int64_t zeros = 0;
      for (int k = 0; k < ROWS * COLS; k++)
        zeros += w[k] == 0;
      g_assert_cmpint (zeros, ==, (int64_t)floor (sparsities[i] * ROWS * COLS + 0.5));
      g_assert_cmpint (out->weight->type, ==, SWAGE_TYPE_BF16);
    }
  static const int patterns[][2] = { { 1, 2 }, { 1, 4 }, { 2, 4 }, { 3, 4 }, { 2, 8 }, { 4, 8 }, { 8, 16 } };
  for (size_t i = 0; i < G_N_ELEMENTS (patterns); i++)
    for (int joint = 0; joint < 2; joint++)
      {
        int keep = patterns[i][0], of = patterns[i][1];
        g_autofree char *text
            = g_strdup_printf ("pattern=%d:%d%s", keep, of, joint ? ",type=int,bits=8,group_size=16" : "");
        g_autoptr (SwageLinear) out = fixture_apply_ok ("sparsegpt", text, in, stats);
        g_autofree float *w = swage_linear_get_effective (out);
        for (int g = 0; g < ROWS * COLS; g += of)
          {
            int kept = 0;
            for (int k = 0; k < of; k++)
              kept += w[g + k] != 0;
            if (joint)
              g_assert_cmpint (kept, <=, keep); /* small ones round to 0 */
            else
              g_assert_cmpint (kept, ==, keep);
          }
      }
}

/* On the layer's error: never worse than the same sparsity by Wanda, nor than magnitude. Joint rounding beats
 * pruning and then rounding. */
static void
test_beats (void)
{
  static const char *const texts[]
      = { "sparsity=0.3", "sparsity=0.5", "sparsity=0.8", "pattern=2:4", "pattern=4:8" };
  enum
  {
    ROWS = 96,
    COLS = 256,
    TOKENS = 512
  };
  for (int outlier = 0; outlier <= 17; outlier += 17)
    {
      g_autofree float *x = so_inputs (TOKENS, COLS, outlier, 30);
      g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
      g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 12);
      for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
        {
          g_autoptr (SwageLinear) ours = fixture_apply_ok ("sparsegpt", texts[i], in, stats);
          g_autoptr (SwageLinear) wanda = fixture_apply_ok ("wanda", texts[i], in, stats);
          g_autoptr (SwageLinear) magnitude = fixture_apply_ok ("magnitude", texts[i], in, NULL);
          double error = so_layer_error (in, ours, x, TOKENS);
          g_assert_cmpfloat (error, <, so_layer_error (in, wanda, x, TOKENS));
          g_assert_cmpfloat (error, <, so_layer_error (in, magnitude, x, TOKENS));

          g_autofree char *joint_text = g_strconcat (texts[i], ",type=int,bits=4,group_size=64", NULL);
          g_autoptr (SwageLinear) joint = fixture_apply_ok ("sparsegpt", joint_text, in, stats);
          g_autoptr (SwageLinear) after
              = fixture_apply_ok ("rtn", "type=int,bits=4,group_size=64", ours, NULL);
          g_assert_cmpfloat (so_layer_error (in, joint, x, TOKENS), <, so_layer_error (in, after, x, TOKENS));
        }
    }
}

/* Nothing pruned and nothing rounded: nothing changed. With inputs that know nothing of each other there is
 * nothing to make up with: Wanda's choice, by block instead of by row. */
static void
test_limits (void)
{
  enum
  {
    ROWS = 40,
    COLS = 64
  };
  g_autofree float *x = g_new0 (float, COLS *COLS);
  for (int i = 0; i < COLS; i++)
    x[i * COLS + i] = (float)(1 + i % 5);
  g_autoptr (SwageActStats) stats = so_stats (x, COLS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 3);
  g_autoptr (SwageLinear) same = fixture_apply_ok ("sparsegpt", "sparsity=0", in, stats);
  g_assert_true (weights_equal (in->weight, same->weight));
  g_autoptr (SwageLinear) ours = fixture_apply_ok ("sparsegpt", "pattern=2:4,damp=0", in, stats);
  g_autoptr (SwageLinear) wanda = fixture_apply_ok ("wanda", "pattern=2:4", in, stats);
  g_assert_true (weights_equal (ours->weight, wanda->weight));
}

static void
test_refuses (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 4, 172, 1);
  fixture_assert_fails ("sparsegpt", "pattern=4:8", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "172", "4:8"));
  const SwageMethod *method = swage_method_find ("sparsegpt");
  g_autofree void *params = fixture_params (method, "pattern=8:16,type=int,group_size=24");
  g_autoptr (GError) error = NULL;
  g_assert_false (method->check (params, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "group_size"));
}

static void
test_robust (void)
{
  so_assert_robust ("sparsegpt", "sparsity=0.5");
  so_assert_robust ("sparsegpt", "pattern=2:4");
  so_assert_robust ("sparsegpt", "sparsity=0.4,type=int,bits=3,group_size=20");
  so_assert_robust ("sparsegpt", "sparsity=0.4,type=int,bits=4,group_size=200,symmetric=false,block_size=30");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sparsegpt/formula", test_formula);
  g_test_add_func ("/sparsegpt/long-rows", test_long_rows);
  g_test_add_func ("/sparsegpt/counts", test_counts);
  g_test_add_func ("/sparsegpt/beats", test_beats);
  g_test_add_func ("/sparsegpt/limits", test_limits);
  g_test_add_func ("/sparsegpt/refuses", test_refuses);
  g_test_add_func ("/sparsegpt/robust", test_robust);
  return g_test_run ();
}
