/* SPDX-License-Identifier: MIT
 *
 * Methods that quantize a layer's input, run by the engine, against their papers' equations in double on the
 * inputs themselves: zeroquant, llm_int8, outlier_suppression_plus, rptq, fptq, zeroquant_fp, kv_quant.
 */
#include <stdlib.h>
#include "act-fixture.h"

/* ---- the papers' quantizers, in double ---- */

static double
int_symmetric (double x, double top, int bits)
{
  double q = (1 << (bits - 1)) - 1, s = top / q;
  return s > 0 ? s * CLAMP (rint (x / s), -q, q) : 0;
}

static double
int_asymmetric (double x, double lo, double hi, int bits)
{
  double q = (1 << bits) - 1, s, z;
  lo = MIN (lo, 0);
  hi = MAX (hi, 0);
  s = (hi - lo) / q;
  z = s > 0 ? rint (-lo / s) : 0;
  return s > 0 ? s * (CLAMP (rint (x / s) + z, 0, q) - z) : 0;
}

static const double fp4[] = { 0, 0.5, 1, 1.5, 2, 3, 4, 6 };

/* The nearest of the numbers, the even one of two. */
static double
fp4_nearest (double x)
{
  int best = 0;
  for (int i = 1; i < 8; i++)
    {
      double d = fabs (fabs (x) - fp4[i]), e = fabs (fabs (x) - fp4[best]);
      if (d < e || (d == e && i % 2 == 0))
        best = i;
    }
  return copysign (fp4[best], x);
}

/* The engine's output against `want`, to rounding. */
static void
assert_output (const Problem *p, const SwageLinear *linear, const double *want)
{
  g_autofree float *y = problem_run (p, linear);
  double top = 0;
  for (int i = 0; i < p->n_tok * p->n_out; i++)
    top = fmax (top, fabs (want[i]));
  for (int i = 0; i < p->n_tok * p->n_out; i++)
    g_assert_cmpfloat_with_epsilon ((double)y[i], want[i], 2e-5 * top);
}

/* y += x·wᵀ for rows that are already quantized. */
static void
add_product (const Problem *p, const double *x, const float *w, double *y)
{
  for (int t = 0; t < p->n_tok; t++)
    for (int o = 0; o < p->n_out; o++)
      for (int j = 0; j < p->n_in; j++)
        y[t * p->n_out + o] += x[t * p->n_in + j] * (double)w[o * p->n_in + j];
}

static double
token_max (const Problem *p, int t, const bool *skip)
{
  double top = 0;
  for (int j = 0; j < p->n_in; j++)
    if (skip == NULL || !skip[j])
      top = fmax (top, fabs ((double)p->x[t * p->n_in + j]));
  return top;
}

/* ---- the methods ---- */

/* Weights in groups, activations token by token. */
static void
test_zeroquant (void)
{
  static const int bits[] = { 8, 4 };
  for (size_t b = 0; b < G_N_ELEMENTS (bits); b++)
    {
      Problem p;
      problem_init (&p, 21, 50, 30, 17);
      g_autofree char *text = g_strdup_printf ("bits=%d,group_size=16", bits[b]);
      g_autoptr (SwageLinear) out = problem_apply ("zeroquant", text, &p);
      g_autofree float *w = g_memdup2 (p.w, sizeof (float) * (size_t)(p.n_out * p.n_in));
      g_autofree double *x = g_new (double, p.n_tok *p.n_in), *y = g_new0 (double, p.n_tok *p.n_out);
      for (int o = 0; o < p.n_out; o++)
        round_int (w + o * p.n_in, p.n_in, bits[b], 16, true);
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        x[i] = int_symmetric ((double)p.x[i], token_max (&p, i / p.n_in, NULL), 8);
      add_product (&p, x, w, y);
      assert_output (&p, out, y);
      problem_clear (&p);
    }
}

/* eq. 8 with the outliers that reach the threshold in X. */
static void
test_llm_int8 (void)
{
  static const double thresholds[] = { 6, 30, 1e5 };
  for (size_t k = 0; k < G_N_ELEMENTS (thresholds); k++)
    {
      Problem p;
      problem_init (&p, 19, 60, 40, 23);
      g_autofree char *text = g_strdup_printf ("threshold=%g,share=0.5", thresholds[k]);
      g_autoptr (SwageLinear) out = problem_apply ("llm_int8", text, &p);
      g_autofree bool *outlier = g_new0 (bool, p.n_in);
      int n = 0;
      for (int j = 0; j < p.n_in; j++)
        {
          for (int t = 0; t < p.n_tok; t++)
            outlier[j] = outlier[j] || fabs ((double)p.x[t * p.n_in + j]) >= thresholds[k];
          n += outlier[j];
        }
      g_assert_cmpint (out->act_quant->n_outliers, ==, n);
      g_autofree float *rest = g_memdup2 (p.w, sizeof (float) * (size_t)(p.n_out * p.n_in));
      g_autofree float *kept = g_new0 (float, p.n_out *p.n_in);
      g_autofree double *x = g_new (double, p.n_tok *p.n_in), *y = g_new0 (double, p.n_tok *p.n_out);
      for (int o = 0; o < p.n_out; o++)
        {
          for (int j = 0; j < p.n_in; j++)
            if (outlier[j])
              {
                kept[o * p.n_in + j] = swage_f16_to_f32 (swage_f32_to_f16 (p.w[o * p.n_in + j]));
                rest[o * p.n_in + j] = 0;
              }
          round_int (rest + o * p.n_in, p.n_in, 8, 65536, true);
        }
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        x[i] = outlier[i % p.n_in] ? (double)p.x[i]
                                   : int_symmetric ((double)p.x[i], token_max (&p, i / p.n_in, outlier), 8);
      add_product (&p, x, rest, y);
      add_product (&p, x, kept, y);
      assert_output (&p, out, y);
      problem_clear (&p);
    }
}

/* Keeping the outliers is what makes 8 bits enough. */
static void
test_llm_int8_helps (void)
{
  Problem p;
  problem_init (&p, 32, 90, 60, 4);
  g_autoptr (SwageLinear) kept = problem_apply ("llm_int8", "share=0.2", &p);
  g_autoptr (SwageLinear) none = problem_apply ("llm_int8", "threshold=1e5", &p);
  g_assert_cmpfloat (problem_error (&p, kept), <, 0.25 * problem_error (&p, none));
  problem_clear (&p);
}

/* eq. 3 to 7: the threshold found by trying all of them on the inputs. */
static void
test_osp (void)
{
  enum
  {
    GRID = 8
  };
  Problem p;
  problem_init (&p, 16, 40, 50, 41);
  g_autoptr (SwageLinear) out = problem_apply ("outlier_suppression_plus", "n_grid=8,act_bits=6", &p);
  double z[40], top[40], largest = 0, best = INFINITY, best_t = 0;
  for (int j = 0; j < p.n_in; j++)
    {
      double lo = INFINITY, hi = -INFINITY;
      for (int t = 0; t < p.n_tok; t++)
        {
          lo = fmin (lo, (double)p.x[t * p.n_in + j]);
          hi = fmax (hi, (double)p.x[t * p.n_in + j]);
        }
      z[j] = (lo + hi) / 2;
      top[j] = (hi - lo) / 2;
      largest = fmax (largest, top[j]);
    }
  for (int g = 0; g < GRID; g++)
    {
      double t = largest * (GRID - g) / GRID, s[40], lo = 0, hi = 0, sum = 0;
      g_autofree float *w = g_memdup2 (p.w, sizeof (float) * (size_t)(p.n_out * p.n_in));
      g_autofree double *x = g_new (double, p.n_tok *p.n_in), *y = g_new0 (double, p.n_tok *p.n_out);
      for (int j = 0; j < p.n_in; j++)
        s[j] = fmax (1, top[j] / t);
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        {
          x[i] = ((double)p.x[i] - z[i % p.n_in]) / s[i % p.n_in];
          lo = fmin (lo, x[i]);
          hi = fmax (hi, x[i]);
        }
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        x[i] = int_asymmetric (x[i], lo, hi, 6);
      for (int o = 0; o < p.n_out; o++)
        {
          for (int j = 0; j < p.n_in; j++)
            w[o * p.n_in + j] *= (float)s[j];
          round_int (w + o * p.n_in, p.n_in, 8, 65536, true);
        }
      add_product (&p, x, w, y);
      for (int k = 0; k < p.n_tok; k++)
        for (int o = 0; o < p.n_out; o++)
          {
            double d = y[k * p.n_out + o];
            for (int j = 0; j < p.n_in; j++)
              d += (double)p.w[o * p.n_in + j] * (z[j] - (double)p.x[k * p.n_in + j]);
            sum += d * d;
          }
      if (sum < best)
        {
          best = sum;
          best_t = t;
        }
    }
  for (int j = 0; j < p.n_in; j++)
    {
      double s = fmax (1, top[j] / best_t);
      g_assert_cmpfloat_with_epsilon ((double)out->transform->scale[j], 1 / s, 1e-5);
      g_assert_cmpfloat_with_epsilon ((double)out->transform->shift[j], -z[j] / s, 1e-4);
    }
  g_assert_cmpfloat_with_epsilon (problem_error (&p, out), best,
                                  5e-2 * best); /* a zero point may round either way */
  g_autoptr (SwageLinear) plain
      = problem_apply ("zeroquant", "group_size=65536,act=tensor,act_symmetric=false,act_bits=6", &p);
  g_assert_cmpfloat (best, <, 0.7 * problem_error (&p, plain));
  problem_clear (&p);
}

/* Off, the layer computes what it did: also with a bias of its own, and without the shift. */
static void
test_off (void)
{
  static const char *const off[][2] = {
    { "outlier_suppression_plus", "type=f32,act=none,n_grid=3" },
    { "outlier_suppression_plus", "type=f32,act=none,n_grid=3,shift=false" },
    { "rptq", "type=f32,act=none" },
    { "zeroquant", "type=f32,act=none" },
    { "zeroquant_fp", "weights=f32,act=none" },
    { "smoothquant", "type=f32,act=none" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (off); i++)
    {
      Problem p;
      problem_init (&p, 20, 36, 48, 60 + i);
      g_autoptr (SwageLinear) out = problem_apply (off[i][0], off[i][1], &p);
      double size = 0;
      for (int t = 0; t < p.n_tok; t++)
        for (int o = 0; o < p.n_out; o++)
          {
            double y = 0;
            for (int j = 0; j < p.n_in; j++)
              y += (double)p.w[o * p.n_in + j] * (double)p.x[t * p.n_in + j];
            size += y * y;
          }
      g_assert_cmpfloat (sqrt (problem_error (&p, out) / size), <, 1e-5);
      problem_clear (&p);
    }
}

/* A permutation into runs that are a fixed point of k-means over (max, min), each with its own range. */
static void
test_rptq (void)
{
  static const char *const acts[] = { "static", "token", "tensor" };
  for (size_t a = 0; a < G_N_ELEMENTS (acts); a++)
    {
      Problem p;
      problem_init (&p, 14, 66, 40, 52);
      g_autofree char *text = g_strdup_printf ("clusters=5,act_bits=4,bits=8,act=%s", acts[a]);
      g_autoptr (SwageLinear) out = problem_apply ("rptq", text, &p);
      const SwageActQuant *q = out->act_quant;
      const int32_t *perm = out->transform->permutation;
      g_assert_cmpint (q->n_clusters, ==, 5);
      g_assert_cmpint (q->cluster_start[0], ==, 0);
      g_assert_cmpint (q->cluster_start[5], ==, p.n_in);

      bool seen[66] = { false };
      double lo[66], hi[66], cx[5] = { 0 }, cy[5] = { 0 };
      for (int j = 0; j < p.n_in; j++)
        {
          g_assert_false (seen[perm[j]]);
          seen[perm[j]] = true;
          lo[j] = INFINITY;
          hi[j] = -INFINITY;
          for (int t = 0; t < p.n_tok; t++)
            {
              lo[j] = fmin (lo[j], (double)p.x[t * p.n_in + perm[j]]);
              hi[j] = fmax (hi[j], (double)p.x[t * p.n_in + perm[j]]);
            }
        }
      for (int c = 0; c < 5; c++)
        for (int j = q->cluster_start[c]; j < q->cluster_start[c + 1]; j++)
          {
            cx[c] += hi[j] / (q->cluster_start[c + 1] - q->cluster_start[c]);
            cy[c] += lo[j] / (q->cluster_start[c + 1] - q->cluster_start[c]);
          }
      g_autofree double *x = g_new (double, p.n_tok *p.n_in), *y = g_new0 (double, p.n_tok *p.n_out);
      for (int c = 0; c < 5; c++)
        for (int j = q->cluster_start[c]; j < q->cluster_start[c + 1]; j++)
          for (int other = 0; other < 5; other++)
            if (q->cluster_start[other] < q->cluster_start[other + 1])
              g_assert_cmpfloat (hypot (hi[j] - cx[c], lo[j] - cy[c]), <=,
                                 hypot (hi[j] - cx[other], lo[j] - cy[other]) + 1e-6);
      for (int t = 0; t < p.n_tok; t++)
        for (int c = 0; c < 5; c++)
          {
            double from = 0, to = 0;
            int first = q->cluster_start[c], last = q->cluster_start[c + 1];
            for (int k = 0; k < p.n_tok; k++)
              for (int j = first; j < last; j++)
                if (a != 1 || k == t)
                  {
                    from = fmin (from, (double)p.x[k * p.n_in + perm[j]]);
                    to = fmax (to, (double)p.x[k * p.n_in + perm[j]]);
                  }
            for (int j = first; j < last; j++)
              x[t * p.n_in + j] = int_asymmetric ((double)p.x[t * p.n_in + perm[j]], from, to, 4);
          }
      g_autofree float *w = g_new (float, p.n_out *p.n_in);
      for (int o = 0; o < p.n_out; o++)
        {
          for (int j = 0; j < p.n_in; j++)
            w[o * p.n_in + j] = p.w[o * p.n_in + perm[j]];
          round_int (w + o * p.n_in, p.n_in, 8, 65536, false);
        }
      add_product (&p, x, w, y);
      assert_output (&p, out, y);
      g_autoptr (SwageLinear) one = problem_apply ("rptq", "clusters=1,act_bits=4,bits=8", &p);
      g_assert_cmpfloat (problem_error (&p, out), <, 0.5 * problem_error (&p, one));
      problem_clear (&p);
    }
}

/* Three ranges of inputs, three strategies. */
static void
test_fptq (void)
{
  static const float sizes[] = { 0.1f, 1, 10 };
  for (int k = 0; k < 3; k++)
    {
      Problem p;
      double m = 0;
      problem_fill (&p, 12, 45, 50, 71);
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        {
          p.x[i] *= sizes[k];
          m = fmax (m, fabs ((double)p.x[i]));
        }
      problem_take (&p);
      g_assert_true (k == 0 ? m <= 15 : k == 1 ? m > 15 && m < 150 : m >= 150);
      g_autoptr (SwageLinear) out = problem_apply ("fptq", "group_size=16", &p);
      for (int j = 0; j < p.n_in; j++)
        {
          double top = 0;
          for (int t = 0; t < p.n_tok; t++)
            top = fmax (top, fabs ((double)p.x[t * p.n_in + j]));
          double s = k == 1 ? top / log2 (2 + top) : 1;
          g_assert_cmpfloat_with_epsilon ((double)out->transform->scale[j], 1 / s, 1e-5 / s);
        }
      g_assert_cmpint (out->act_quant->scope, ==, k == 2 ? SWAGE_ACT_PER_TOKEN : SWAGE_ACT_PER_TENSOR);
      g_assert_cmpint (out->act_quant->n_ranges, ==, k == 2 ? 0 : 1);
      problem_clear (&p);
    }
}

/* FP4 weights: the nearest numbers for the scale; scales as the constraints say. */
static void
test_zeroquant_fp (void)
{
  static const char *const scales[] = { "free", "m1", "m2" };
  for (int k = 0; k < 3; k++)
    {
      enum
      {
        GROUP = 16
      };
      Problem p;
      problem_init (&p, 18, 52, 30, 81);
      g_autofree char *text = g_strdup_printf ("group_size=16,act=none,scale=%s", scales[k]);
      g_autoptr (SwageLinear) out = problem_apply ("zeroquant_fp", text, &p);
      g_autofree float *got = swage_linear_get_effective (out);
      const uint16_t *halves = g_bytes_get_data (out->weight->scales, NULL);
      for (int o = 0; o < p.n_out; o++)
        {
          double largest = 0;
          for (int g = 0; g < 4; g++)
            {
              double top = 0;
              for (int j = g * GROUP; j < MIN (p.n_in, (g + 1) * GROUP); j++)
                top = fmax (top, fabs ((double)p.w[o * p.n_in + j]));
              largest = fmax (largest, 2 * (double)swage_f16_to_f32 (halves[o * 4 + g]));
              double s = 2 * (double)swage_f16_to_f32 (halves[o * 4 + g]);
              if (k == 0)
                g_assert_cmpfloat_with_epsilon (s, top / 6, 1e-3 * top);
              else if (k == 1)
                g_assert_cmpfloat (exp2 (rint (log2 (s))), ==, s);
              if (k > 0)
                g_assert_true (s > top / 12.1 && s < top / 2.9);
              for (int j = g * GROUP; j < MIN (p.n_in, (g + 1) * GROUP); j++)
                g_assert_cmpfloat_with_epsilon ((double)got[o * p.n_in + j],
                                                s * fp4_nearest ((double)p.w[o * p.n_in + j] / s), 1e-6 * s);
            }
          for (int g = 0; g < 4 && k == 2; g++)
            {
              double n = log2 (largest / (2 * (double)swage_f16_to_f32 (halves[o * 4 + g])));
              g_assert_cmpfloat_with_epsilon (n, rint (n), 2e-3); /* stored as half floats */
            }
        }
      problem_clear (&p);
    }
}

/* FP4 and FP8 inputs token by token: numbers of the formats, found by looking through all of them. */
static double
fp8_nearest (double x, int mantissa, int bias, double largest)
{
  double best = 0;
  for (int e = 0; e < 1 << (7 - mantissa); e++)
    for (int m = 0; m < 1 << mantissa; m++)
      {
        double v = e == 0 ? ldexp (m, 1 - bias - mantissa) : ldexp ((1 << mantissa) + m, e - bias - mantissa);
        double d = fabs (fabs (x) - v), old = fabs (fabs (x) - best);
        if (v <= largest && (d < old || (d == old && m % 2 == 0)))
          best = v;
      }
  return copysign (best, x);
}

static void
test_float_inputs (void)
{
  static const char *const formats[] = { "fp8_e4m3", "fp8_e5m2", "fp4_e2m1" };
  static const double largest[] = { 448, 57344, 6 };
  for (int k = 0; k < 3; k++)
    {
      Problem p;
      problem_init (&p, 15, 40, 25, 91);
      g_autofree char *text = g_strdup_printf ("weights=f32,act=%s", formats[k]);
      g_autoptr (SwageLinear) out = problem_apply ("zeroquant_fp", text, &p);
      g_autofree double *x = g_new (double, p.n_tok *p.n_in), *y = g_new0 (double, p.n_tok *p.n_out);
      for (int i = 0; i < p.n_tok * p.n_in; i++)
        {
          double s = (double)((float)token_max (&p, i / p.n_in, NULL) / (float)largest[k]);
          double v = (double)(p.x[i] / (float)s);
          x[i]
              = s * (k == 2 ? fp4_nearest (v) : fp8_nearest (v, k == 0 ? 3 : 2, k == 0 ? 7 : 15, largest[k]));
        }
      add_product (&p, x, p.w, y);
      assert_output (&p, out, y);
      problem_clear (&p);
    }
}

static const char *const all[][2] = {
  { "zeroquant", "act=static" }, { "llm_int8", "" },          { "outlier_suppression_plus", "n_grid=4" },
  { "rptq", "clusters=64" },     { "fptq", "group_size=64" }, { "zeroquant_fp", "scale=m2" },
};

static void
test_degenerate (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    {
      Problem p;
      problem_init_degenerate (&p, 10, 32, 40, 9);
      g_autoptr (SwageLinear) out = problem_apply (all[i][0], all[i][1], &p);
      g_assert_true (isfinite (problem_error (&p, out)));
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
      if (!g_str_equal (all[i][0], "zeroquant_fp"))
        {
          fixture_assert_fails (all[i][0], all[i][1], p.linear, NULL, SWAGE_ERROR_INVALID,
                                WORDS ("blk.0.ffn_down", "calibration"));
          fixture_assert_fails (all[i][0], all[i][1], nan.linear, nan.stats, SWAGE_ERROR_NUMERIC,
                                WORDS ("blk.0.ffn_down", "not finite"));
        }
      fixture_assert_cancels (all[i][0], all[i][1], p.linear, p.stats);
      fixture_assert_thread_invariant (all[i][0], all[i][1], p.linear, p.stats);
      problem_clear (&p);
      problem_clear (&nan);
    }
}

/* ---- keys and values ---- */

typedef struct
{
  float *v_input, *attended;
  int64_t n_in, n_out;
} Seen;

static void
tap (SwageRole role, const float *x, int64_t n, int64_t n_in, gpointer user_data)
{
  Seen *seen = user_data;
  if (role == SWAGE_ROLE_ATTN_V)
    {
      seen->v_input = g_memdup2 (x, sizeof (float) * (gsize)(n * n_in));
      seen->n_in = n_in;
    }
  if (role == SWAGE_ROLE_ATTN_OUTPUT)
    {
      seen->attended = g_memdup2 (x, sizeof (float) * (gsize)(n * n_in));
      seen->n_out = n_in;
    }
}

/* With one token attention gives its value, so what it gives is the rounded value. */
static void
test_kv_quant (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  g_autoptr (SwageModel) model = swage_model_open (path, &error);
  g_autoptr (SwageEngine) engine = swage_engine_new (model, NULL, &error);
  g_autoptr (SwageBlock) block = swage_block_load (model, 0, &error);
  g_assert_no_error (error);
  const SwageConfig *config = swage_model_get_config (model);
  SwageLinear *plain = swage_linear_ref (block->linear[SWAGE_ROLE_ATTN_V]);
  const SwageMethod *method = swage_method_find ("kv_quant");
  g_autofree void *params = fixture_params (method, "bits=4,group_size=16");
  SwageMethodContext context = { .layer = "blk.0.attn_v", .role = SWAGE_ROLE_ATTN_V, .original = plain };
  swage_block_set_linear (block, SWAGE_ROLE_ATTN_V, method->apply (params, plain, &context, NULL, &error));
  g_assert_no_error (error);

  Seen seen = { 0 };
  g_autofree float *h = fixture_normals (config->n_embd, 1, 5), *v = g_new (float, plain->n_out);
  swage_engine_run_block (engine, block, 1, 1, h, NULL, tap, &seen, NULL, &error);
  swage_engine_linear (engine, plain, seen.v_input, 1, v, &error);
  g_assert_no_error (error);
  int dim = config->head_dim, share = config->n_heads / config->n_kv_heads;
  for (int64_t c = 0; c < seen.n_out; c++)
    {
      int64_t r = c / dim / share * dim + c % dim;
      double top = 0;
      for (int64_t g = r / 16 * 16; g < r / 16 * 16 + 16; g++)
        top = fmax (top, fabs ((double)v[g]));
      g_assert_cmpfloat_with_epsilon ((double)seen.attended[c], int_symmetric ((double)v[r], top, 4),
                                      1e-5 * top);
    }
  g_free (seen.v_input);
  g_free (seen.attended);

  /* only where there are keys and values */
  SwageLinearSpec in, out;
  swage_linear_spec_init_from (&in, plain);
  g_assert_true (swage_method_cost (method, params, "blk.0.attn_k", &in, &out, &error));
  g_assert_true (out.parts & SWAGE_PART_OUT_QUANT);
  g_assert_false (swage_method_cost (method, params, "blk.0.ffn_up", &in, &out, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  swage_linear_unref (plain);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/zeroquant", test_zeroquant);
  g_test_add_func ("/methods/llm_int8/equation", test_llm_int8);
  g_test_add_func ("/methods/llm_int8/helps", test_llm_int8_helps);
  g_test_add_func ("/methods/outlier_suppression_plus", test_osp);
  g_test_add_func ("/methods/rptq", test_rptq);
  g_test_add_func ("/methods/fptq", test_fptq);
  g_test_add_func ("/methods/zeroquant_fp/weights", test_zeroquant_fp);
  g_test_add_func ("/methods/zeroquant_fp/inputs", test_float_inputs);
  g_test_add_func ("/methods/kv_quant", test_kv_quant);
  g_test_add_func ("/methods/act-quant/off", test_off);
  g_test_add_func ("/methods/act-quant/degenerate", test_degenerate);
  g_test_add_func ("/methods/act-quant/refusals", test_refusals);
  return g_test_run ();
}
