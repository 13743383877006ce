/* SPDX-License-Identifier: MIT
 *
 * owq against the paper in double: the choice of columns, the update of those that stay; and its properties.
 */
#include <stdlib.h>
#include "so-fixture.h"

enum
{
  ROWS = 40,
  COLS = 96,
  TOKENS = 400,
  BITS = 3,
  GROUP = 32
};

/* H_jj·‖W_j − round (W)_j‖². */
static double *
sensitivities (const float *w, const float *x)
{
  g_autofree float *rounded = NULL;
  g_autoptr (SwageWeight) plain = swage_weight_new_int_from_f32 (ROWS, COLS, BITS, GROUP, false, w, NULL);
  double *s = g_new0 (double, COLS);

  rounded = swage_weight_decode_all (plain);
  for (int j = 0; j < COLS; j++)
    {
      double squares = 0, lost = 0;
      for (int t = 0; t < TOKENS; t++)
        squares += pow ((double)x[t * COLS + j], 2);
      for (int r = 0; r < ROWS; r++)
        lost += pow ((double)w[r * COLS + j] - (double)rounded[r * COLS + j], 2);
      s[j] = squares * lost;
    }
  return s;
}

static void
test_columns (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 31, 4);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 5);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree double *s = sensitivities (w, x);

  for (int k = 1; k <= 5; k++)
    {
      g_autofree char *text
          = g_strdup_printf ("bits=%d,group_size=%d,extra_bits=%.9f", BITS, GROUP, k * (16.0 - BITS) / COLS);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("owq", text, in, stats);
      g_assert_null (out->sparse->row_start);
      g_assert_cmpint (out->sparse->n_values, ==, (int64_t)k * ROWS);
      for (int i = 0; i < k; i++)
        {
          int larger = 0, column = (int)out->sparse->column[i];
          g_assert_true (i == 0 || (int)out->sparse->column[i - 1] < column);
          for (int j = 0; j < COLS; j++)
            larger += s[j] > s[column];
          g_assert_cmpint (larger, <, k);
        }
      /* Ŵ is 0 there */
      g_autofree float *main = swage_weight_decode_all (out->weight);
      for (int i = 0; i < k; i++)
        for (int r = 0; r < ROWS; r++)
          g_assert_cmpfloat (main[r * COLS + (int)out->sparse->column[i]], ==, 0);
    }
}

/* The columns that stay come last in the order, so given all others they hold what is best for the layer:
 * Ŵ_weak = W_weak + ΔW·H[:, weak]·H[weak, weak]⁻¹. */
static void
test_update (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 31, 9);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0.01);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 15);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("owq", "bits=3,group_size=32,extra_bits=0.6", in, stats);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree float *got = swage_linear_get_effective (out);
  int k = (int)(out->sparse->n_values / ROWS);
  const uint32_t *weak = out->sparse->column;
  g_autofree double *inner = g_new (double, (gsize)(k * k));

  g_assert_cmpint (k, ==, 4);
  for (int a = 0; a < k; a++)
    for (int b = 0; b < k; b++)
      inner[a * k + b] = h[weak[a] * COLS + weak[b]];
  g_autofree double *inverse = so_invert (inner, k);
  for (int r = 0; r < ROWS; r++)
    for (int a = 0; a < k; a++)
      {
        double expected = (double)w[r * COLS + (int)weak[a]];
        for (int b = 0; b < k; b++)
          for (int j = 0; j < COLS; j++)
            {
              bool is_weak = false;
              for (int c = 0; c < k; c++)
                is_weak |= (int)weak[c] == j;
              if (!is_weak)
                expected += ((double)w[r * COLS + j] - (double)got[r * COLS + j]) * h[j * COLS + (int)weak[b]]
                            * inverse[b * k + a];
            }
        g_assert_cmpfloat_with_epsilon ((double)got[r * COLS + (int)weak[a]], expected,
                                        1e-4 + 1e-3 * fabs (expected)); /* half floats */
      }
}

/* What every column is worth in GPTQ's algorithm with these scales: column by column in double. */
static void
test_formula (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 0, 2);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autofree double *h = so_hessian (x, TOKENS, COLS, 0.01);
  g_autofree double *inverse = so_invert (h, COLS);
  g_autofree double *u = so_cholesky_upper (inverse, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, ROWS, COLS, 25);
  g_autoptr (SwageLinear) out
      = fixture_apply_ok ("owq", "bits=4,group_size=32,extra_bits=0,symmetric=true", in, stats);
  g_autofree float *w = swage_linear_get_effective (in);
  g_autofree float *got = swage_linear_get_effective (out);
  const uint16_t *scales = g_bytes_get_data (out->weight->scales, NULL);
  int n_off = 0;

  g_assert_null (out->sparse);
  for (int r = 0; r < ROWS; r++)
    {
      double row[COLS];
      for (int j = 0; j < COLS; j++)
        row[j] = (double)w[r * COLS + j];
      for (int i = 0; i < COLS; i++)
        {
          double scale = (double)swage_f16_to_f32 (scales[r * (COLS / 32) + i / 32]);
          double code = CLAMP (rint (row[i] / scale), -8, 7), q = (double)got[r * COLS + i];
          n_off += fabs (code * scale - q) > 1e-6; /* a tie that went the other way */
          double e = (row[i] - q) / u[i * COLS + i];
          for (int j = i; j < COLS; j++)
            row[j] -= e * u[i * COLS + j];
        }
    }
  g_assert_cmpint (n_off, <=, 4);
}

static void
test_beats (void)
{
  g_autofree float *x = so_inputs (TOKENS, COLS, 31, 12);
  g_autoptr (SwageActStats) stats = so_stats (x, TOKENS, COLS);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, ROWS, COLS, 8);
  g_autoptr (SwageLinear) plain
      = fixture_apply_ok ("rtn", "type=int,bits=3,group_size=32,symmetric=false", in, NULL);
  g_autoptr (SwageLinear) none = fixture_apply_ok ("owq", "bits=3,group_size=32,extra_bits=0", in, stats);
  g_autoptr (SwageLinear) few = fixture_apply_ok ("owq", "bits=3,group_size=32,extra_bits=0.4", in, stats);
  g_autoptr (SwageLinear) ordered
      = fixture_apply_ok ("owq", "bits=3,group_size=32,extra_bits=0.4,act_order=true", in, stats);
  double rtn = so_layer_error (in, plain, x, TOKENS), gptq = so_layer_error (in, none, x, TOKENS);

  g_assert_cmpfloat (gptq, <, rtn);
  g_assert_cmpfloat (so_layer_error (in, few, x, TOKENS), <, 0.85 * gptq);
  g_assert_cmpfloat (so_layer_error (in, ordered, x, TOKENS), <, 0.85 * gptq);
}

static void
test_size (void)
{
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, 64, 1024, 1);
  SwageLinearSpec spec, out;
  swage_linear_spec_init_from (&spec, in);
  g_assert_true (fixture_cost ("owq", "bits=3,group_size=128,extra_bits=0.05", &spec, &out, NULL));
  /* 0.05·1024/13 = 3.9 columns of 64 halves, each with its number */
  g_assert_cmpuint (swage_linear_spec_get_bytes (&out), ==, 64 * (1024 * 3 / 8 + 8 * 3) + 4 * 64 * 2 + 4 * 4);
  g_assert_true (fixture_cost ("owq", "extra_bits=0.0001", &spec, &out, NULL));
  g_assert_cmpint (out.n_sparse, ==, 64);
}

static void
test_robust (void)
{
  so_assert_robust ("owq", "bits=3,group_size=16,extra_bits=0.5");
  so_assert_robust ("owq", "bits=4,group_size=40,extra_bits=4,symmetric=true");
  so_assert_robust ("owq", "bits=2,group_size=128,extra_bits=0.5,act_order=true");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/owq/columns", test_columns);
  g_test_add_func ("/owq/update", test_update);
  g_test_add_func ("/owq/formula", test_formula);
  g_test_add_func ("/owq/beats", test_beats);
  g_test_add_func ("/owq/size", test_size);
  g_test_add_func ("/owq/robust", test_robust);
  return g_test_run ();
}
