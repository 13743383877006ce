/* SPDX-License-Identifier: MIT
 *
 * smoothquant and awq against their papers' equations, written out in double on small random problems: inputs
 * are kept as a matrix here, the methods see statistics of it.
 */
#include "act-fixture.h"

/* eq. 4: s = max|X|^α / max|W|^(1−α), the maximum over all layers that read X. */
static void
test_smoothquant_scale (void)
{
  static const double alphas[] = { 0, 0.3, 0.5, 0.85, 1 };
  for (size_t a = 0; a < G_N_ELEMENTS (alphas); a++)
    {
      Problem p;
      problem_init (&p, 24, 40, 60, 100 + a);
      g_autoptr (SwageLinear) other = fixture_linear (SWAGE_TYPE_F32, 12, 40, 7);
      g_autofree float *w2 = swage_linear_get_effective (other);
      g_autofree char *text = g_strdup_printf ("type=f32,act=none,alpha=%g", alphas[a]);
      g_autoptr (SwageLinear) out = problem_apply_with ("smoothquant", text, &p, other, text);
      for (int j = 0; j < p.n_in; j++)
        {
          double x = 0, w = 0;
          for (int t = 0; t < p.n_tok; t++)
            x = fmax (x, fabs ((double)p.x[t * p.n_in + j]));
          for (int o = 0; o < p.n_out; o++)
            w = fmax (w, fabs ((double)p.w[o * p.n_in + j]));
          for (int o = 0; o < 12; o++)
            w = fmax (w, fabs ((double)w2[o * p.n_in + j]));
          double s = pow (x, alphas[a]) / pow (w, 1 - alphas[a]);
          g_assert_cmpfloat_with_epsilon (out->transform->scale[j], 1 / s, 1e-5 / s);
        }
      assert_same_function (p.linear, out);
      problem_clear (&p);
    }
}

/* W8A8 with outlier channels: scaling makes the quantized layer better than without (the paper's point). */
static void
test_smoothquant_helps (void)
{
  static const char *const acts[] = { "token", "tensor", "static" };
  for (size_t a = 0; a < G_N_ELEMENTS (acts); a++)
    {
      Problem p;
      problem_init (&p, 48, 64, 128, 5);
      g_autofree char *plain = g_strdup_printf ("act=%s,alpha=0", acts[a]);
      g_autofree char *smooth = g_strdup_printf ("act=%s,alpha=0.5", acts[a]);
      g_autoptr (SwageLinear) good = problem_apply ("smoothquant", smooth, &p);
      g_autoptr (SwageLinear) same = problem_apply ("zeroquant", "bits=8,group_size=65536", &p);
      g_assert_nonnull (good->act_quant);
      g_assert_cmpint (good->weight->bits, ==, 8);
      g_assert_cmpfloat (problem_error (&p, good), <, 0.5 * problem_error (&p, same));
      problem_clear (&p);
    }
}

/* The grid of eq. 5, every candidate's error taken from the inputs themselves. */
static double *
awq_brute_force (const Problem *p, int n_grid, int bits, int group, double *best_error)
{
  double *best = g_new (double, p->n_in), mean[512], s[512];
  *best_error = INFINITY;
  for (int j = 0; j < p->n_in; j++)
    {
      mean[j] = 0;
      for (int t = 0; t < p->n_tok; t++)
        mean[j] += fabs ((double)p->x[t * p->n_in + j]) / p->n_tok;
    }
  for (int g = 0; g < n_grid; g++)
    {
      double lo = INFINITY, hi = 0, sum = 0;
      for (int j = 0; j < p->n_in; j++)
        {
          s[j] = fmax (pow (mean[j], (double)g / n_grid), 1e-4);
          lo = fmin (lo, s[j]);
          hi = fmax (hi, s[j]);
        }
      for (int j = 0; j < p->n_in; j++)
        s[j] /= sqrt (lo * hi);
      for (int o = 0; o < p->n_out; o++)
        {
          float row[512];
          for (int j = 0; j < p->n_in; j++)
            row[j] = (float)((double)p->w[o * p->n_in + j] * s[j]);
          round_int (row, p->n_in, bits, group, false);
          for (int t = 0; t < p->n_tok; t++)
            {
              double y = 0;
              for (int j = 0; j < p->n_in; j++)
                y += ((double)row[j] / s[j] - (double)p->w[o * p->n_in + j]) * (double)p->x[t * p->n_in + j];
              sum += y * y;
            }
        }
      if (sum < *best_error)
        {
          *best_error = sum;
          memcpy (best, s, sizeof (double) * (size_t)p->n_in);
        }
    }
  return best;
}

static void
test_awq_scale (void)
{
  static const int bits[] = { 2, 3, 4 }, groups[] = { 16, 33, 128 };
  for (size_t i = 0; i < G_N_ELEMENTS (bits); i++)
    {
      Problem p;
      double error;
      problem_init (&p, 20, 70, 90, 31 + i);
      g_autofree double *s = awq_brute_force (&p, 20, bits[i], groups[i], &error);
      g_autofree char *text = g_strdup_printf ("bits=%d,group_size=%d,clip=false", bits[i], groups[i]);
      g_autofree char *clipped = g_strdup_printf ("bits=%d,group_size=%d", bits[i], groups[i]);
      g_autofree char *plain
          = g_strdup_printf ("type=int,symmetric=false,bits=%d,group_size=%d", bits[i], groups[i]);
      g_autoptr (SwageLinear) out = problem_apply ("awq", text, &p);
      g_autoptr (SwageLinear) cut = problem_apply ("awq", clipped, &p);
      g_autoptr (SwageLinear) rtn = problem_apply ("rtn", plain, &p);
      for (int j = 0; j < p.n_in; j++)
        g_assert_cmpfloat_with_epsilon (out->transform->scale[j], 1 / s[j], 1e-4 / s[j]);
      g_assert_cmpfloat_with_epsilon (problem_error (&p, out), error, 1e-3 * error);
      g_assert_cmpfloat (error, <, 0.8 * problem_error (&p, rtn));
      g_assert_cmpfloat (problem_error (&p, cut), <, 1.02 * error);
      problem_clear (&p);
    }
}

/* The authors' quantizer: the range of the numbers, a whole zero point. */
static void
round_full_range (float *row, int n, int bits)
{
  double lo = 0, hi = 0, q = (1 << bits) - 1;
  for (int j = 0; j < n; j++)
    {
      lo = fmin (lo, (double)row[j]);
      hi = fmax (hi, (double)row[j]);
    }
  double s = (double)swage_f16_to_f32 (swage_f32_to_f16 ((float)((hi - lo) / q))), z = rint (-lo / s);
  for (int j = 0; j < n; j++)
    row[j] = (float)((CLAMP (rint ((double)row[j] / s) + z, 0, q) - z) * s);
}

/* Of 10 thresholds, with two ranges each, the one with the smallest error in the group's part of the output,
 * from the inputs. */
static void
test_awq_clip (void)
{
  Problem p;
  problem_init (&p, 12, 48, 80, 77);
  g_autoptr (SwageLinear) out = problem_apply ("awq", "bits=3,group_size=16,n_grid=1", &p); /* s = 1 */
  g_autofree float *got = swage_linear_get_effective (out);
  for (int o = 0; o < p.n_out; o++)
    for (int from = 0; from < p.n_in; from += 16)
      {
        const float *w = p.w + o * p.n_in + from;
        double best = INFINITY, top = 0, ours = 0;
        for (int j = 0; j < 16; j++)
          top = fmax (top, fabs ((double)w[j]));
        for (int i = 0; i <= 20; i++) /* the last is ours */
          {
            float row[16];
            double limit = top * (1 - i % 10 / 20.0), sum = 0;
            for (int j = 0; j < 16; j++)
              row[j] = (float)CLAMP ((double)w[j], -limit, limit);
            if (i < 10)
              round_int (row, 16, 3, 16, false);
            else
              round_full_range (row, 16, 3);
            for (int t = 0; t < p.n_tok; t++)
              {
                double y = 0;
                for (int j = 0; j < 16; j++)
                  y += ((double)(i == 20 ? got[o * p.n_in + from + j] : row[j]) - (double)w[j])
                       * (double)p.x[t * p.n_in + from + j];
                sum += y * y;
              }
            if (i == 20)
              ours = sum;
            else
              best = fmin (best, sum);
          }
        g_assert_cmpfloat_with_epsilon (ours, best, 1e-4 * best + 1e-12);
      }
  problem_clear (&p);
}

static void
test_awq_off (void)
{
  Problem p;
  problem_init (&p, 33, 50, 64, 3);
  g_autoptr (SwageLinear) out = problem_apply ("awq", "type=f32", &p);
  assert_same_function (p.linear, out);
  problem_clear (&p);
}

static const char *const all[][2] = {
  { "smoothquant", "bits=8" },
  { "awq", "bits=4,group_size=16" },
  { "awq", "type=q4_0" },
};

/* Dead channels, a constant row, a row of zeros, groups longer than the row: finite numbers, no error. */
static void
test_degenerate (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    {
      Problem p;
      problem_init_degenerate (&p, 10, 32, 40, 9);
      g_autoptr (SwageLinear) out = problem_apply (all[i][0], all[i][1], &p);
      g_autofree float *w = swage_linear_get_effective (out);
      for (int k = 0; k < p.n_out * p.n_in; k++)
        g_assert_true (isfinite (w[k]));
      problem_clear (&p);
    }
}

static void
test_refusals (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    {
      Problem p, nan;
      problem_init (&p, 10, 32, 40, 9);
      problem_init_nan (&nan, 10, 32, 40, 9);
      fixture_assert_fails (all[i][0], all[i][1], p.linear, NULL, SWAGE_ERROR_INVALID,
                            WORDS ("blk.0.ffn_down", "calibration"));
      fixture_assert_fails (all[i][0], all[i][1], nan.linear, nan.stats, SWAGE_ERROR_NUMERIC,
                            WORDS ("blk.0.ffn_down", "not finite"));
      fixture_assert_cancels (all[i][0], all[i][1], p.linear, p.stats);
      fixture_assert_thread_invariant (all[i][0], all[i][1], p.linear, p.stats);
      problem_clear (&p);
      problem_clear (&nan);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/smoothquant/scale", test_smoothquant_scale);
  g_test_add_func ("/methods/smoothquant/helps", test_smoothquant_helps);
  g_test_add_func ("/methods/awq/scale", test_awq_scale);
  g_test_add_func ("/methods/awq/clip", test_awq_clip);
  g_test_add_func ("/methods/awq/off", test_awq_off);
  g_test_add_func ("/methods/act/degenerate", test_degenerate);
  g_test_add_func ("/methods/act/refusals", test_refusals);
  return g_test_run ();
}
