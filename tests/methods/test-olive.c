/* SPDX-License-Identifier: MIT
 *
 * olive against its paper's pairs stated anew in double: tables of the numbers, the nearest by looking
 * through all of them, the larger of two outliers kept; the stored codes read back by hand; what the
 * threshold's search must reach; and the same for inputs, run by the engine.
 */
#include "act-fixture.h"

/* The paper's numbers: integers, and abfloat beyond them: (2^m + mantissa)·2^(exponent + bias) without the
 * first, to 2^15 in 8 bits. */
typedef struct
{
  double number[512];
  int n, n_normal;
} Numbers;

static void
numbers_init (Numbers *t, int bits)
{
  int m = bits == 4 ? 1 : 3, bias = bits == 4 ? 2 : 4, exponents = 1 << (bits - 1 - m);
  t->n = 0;
  for (int i = 0; i < 1 << (bits - 1); i++)
    t->number[t->n++] = i;
  t->n_normal = t->n;
  for (int e = 0; e < exponents; e++)
    for (int k = e == 0; k < 1 << m; k++)
      if (ldexp ((1 << m) + k, e + bias) <= 32768)
        t->number[t->n++] = ldexp ((1 << m) + k, e + bias);
}

static int
find_nearest (const Numbers *t, double v)
{
  int best = 0;
  for (int i = 1; i < t->n; i++)
    if (fabs (fabs (v) - t->number[i]) < fabs (fabs (v) - t->number[best]))
      best = i;
  return best;
}

/* n values in pairs, in place; returns how many outliers there are. */
static int
encode (const Numbers *t, double *x, int n, double s)
{
  int outliers = 0;
  for (int i = 0; i < n; i += 2)
    {
      int count = MIN (2, n - i), found[2] = { 0, 0 };
      for (int k = 0; k < count; k++)
        found[k] = s > 0 ? find_nearest (t, x[i + k] / s) : 0;
      int keep = -1;
      if (found[0] >= t->n_normal || found[1] >= t->n_normal)
        keep = count == 1 || fabs (x[i]) >= fabs (x[i + 1]) ? 0 : 1;
      for (int k = 0; k < count; k++)
        x[i + k] = keep >= 0 && k != keep ? 0 : copysign (s * t->number[found[k]], x[i + k]);
      outliers += keep >= 0;
    }
  return outliers;
}

static double
encode_error (const Numbers *t, const float *w, int n, double s)
{
  g_autofree double *x = g_new (double, n);
  double sum = 0;
  for (int i = 0; i < n; i++)
    x[i] = (double)w[i];
  encode (t, x, n, s);
  for (int i = 0; i < n; i++)
    sum += (x[i] - (double)w[i]) * (x[i] - (double)w[i]);
  return sum;
}

/* Normal values with one in `every` 12 to 40 times as large. */
static float *
make_heavy (int64_t n, int every, uint64_t seed)
{
  float *w = fixture_normals (n, 0.05, seed);
  for (int64_t i = 0; i < n; i++)
    if (fixture_uniform (&seed) * every < 1)
      w[i] *= (float)(12 + 28 * fixture_uniform (&seed));
  return w;
}

static double
squared_error (const float *a, const float *b, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return sum;
}

/* The weight is the paper's encoding at its scale, and no threshold that is tried does better. */
static void
test_weights (void)
{
  static const struct
  {
    int bits, cols, group;
  } cases[]
      = { { 4, 400, 65536 }, { 4, 333, 64 }, { 8, 400, 65536 }, { 8, 333, 64 }, { 4, 1, 8 }, { 8, 1, 8 } };
  for (size_t c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      enum
      {
        ROWS = 9
      };
      int bits = cases[c].bits, cols = cases[c].cols, group = cases[c].group, outliers = 0;
      int groups = (cols + group - 1) / group;
      double largest_normal = bits == 4 ? 7 : 127;
      Numbers t;
      numbers_init (&t, bits);
      g_autofree float *w = make_heavy (ROWS * cols, 25, 31 + c);
      g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, cols, w);
      g_autofree char *text = g_strdup_printf ("bits=%d,group_size=%d,n_grid=15,act=none", bits, group);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("olive", text, in, NULL);
      g_autofree float *got = swage_linear_get_effective (out);
      const uint16_t *halves = g_bytes_get_data (out->weight->scales, NULL);
      g_assert_cmpint (out->weight->type, ==, SWAGE_TYPE_OVP);
      g_assert_cmpuint (swage_linear_get_bytes (out), ==, ROWS * ((cols + 1) / 2 * (bits / 4) + 2 * groups));
      for (int g = 0; g < ROWS * groups; g++)
        {
          int from = g / groups * cols + g % groups * group, n = MIN (group, cols - g % groups * group);
          double s = (double)swage_f16_to_f32 (halves[g]), mean = 0, square = 0, top = 0;
          g_autofree double *want = g_new (double, n);
          for (int i = 0; i < n; i++)
            {
              want[i] = (double)w[from + i];
              mean += want[i] / n;
              square += want[i] * want[i] / n;
              top = fmax (top, fabs (want[i]));
            }
          outliers += encode (&t, want, n, s);
          for (int i = 0; i < n; i++)
            g_assert_cmpfloat ((double)got[from + i], ==, want[i]);
          double sigma3 = fabs (mean) + 3 * sqrt (fmax (0, square - mean * mean));
          double reached = encode_error (&t, w + from, n, s);
          bool tried = false;
          for (int k = 0; k <= 15; k++)
            {
              double limit = k == 15 ? top : sigma3 * (0.2 + 0.1 * k);
              double one = (double)swage_f16_to_f32 (swage_f32_to_f16 ((float)(limit / largest_normal)));
              tried = tried || fabs (one - s) <= 1e-3 * s;
              g_assert_cmpfloat (reached, <=, encode_error (&t, w + from, n, one) * (1 + 1e-9));
            }
          g_assert_true (tried);
        }
      if (cols > 1)
        g_assert_cmpint (outliers, >, bits == 4 ? 20 : 0);
    }
}

/* Codes by hand, every one of them beside every other: marks, abfloat, integers. */
static void
test_codes (void)
{
  for (int bits = 4; bits <= 8; bits += 4)
    {
      int n_codes = 1 << bits, mark = n_codes / 2, m = bits == 4 ? 1 : 3, bias = bits == 4 ? 2 : 4;
      uint16_t scale = swage_f32_to_f16 (0.375f);
      for (int a = 0; a < n_codes; a++)
        for (int b = 0; b < n_codes; b++)
          {
            uint8_t codes[2] = { (uint8_t)a, (uint8_t)b };
            float got[2];
            int code[2] = { a, b };
            if (bits == 4)
              codes[0] = (uint8_t)(a | b << 4);
            swage_layout_decode (SWAGE_TYPE_OVP, codes, &scale, 2, 0, 2, bits, 8, true, got);
            for (int k = 0; k < 2; k++)
              {
                int own = code[k], rest = own & (mark - 1);
                double want = own >= mark ? own - n_codes : own;
                if (own == mark || (code[1 - k] == mark && rest == 0))
                  want = 0;
                else if (code[1 - k] == mark)
                  want = (own & mark ? -1 : 1) * ldexp ((1 << m) + rest % (1 << m), rest / (1 << m) + bias);
                g_assert_cmpfloat ((double)got[k], ==, 0.375 * want);
              }
          }
      g_assert_cmpuint (swage_layout_code_bytes (SWAGE_TYPE_OVP, 7, bits, 8), ==, bits);
      g_assert_cmpint (swage_layout_scales (SWAGE_TYPE_OVP, 17, bits, 8, true), ==, 3);
      g_assert_false (swage_layout_is_valid (SWAGE_TYPE_OVP, 8, bits, 12));
      g_assert_false (swage_layout_is_valid (SWAGE_TYPE_OVP, 8, bits - 1, 8));
    }
}

/* What the paper promises: with outliers far below integers of as many bits, whose scale is searched too;
 * never worse than integers up to the largest; a pair keeps one outlier, the larger. */
static void
test_against_integers (void)
{
  for (int bits = 4; bits <= 8; bits += 4)
    {
      g_autofree float *w = make_heavy (24 * 512, 60, 7);
      g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 24, 512, w);
      g_autofree char *text = g_strdup_printf ("bits=%d,act=none", bits);
      g_autofree char *int_text = g_strdup_printf ("type=int,bits=%d,group_size=512", bits);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("olive", text, in, NULL);
      g_autoptr (SwageLinear) grid = fixture_apply_ok ("rtn", int_text, in, NULL);
      g_autofree float *x = swage_linear_get_effective (out), *y = swage_linear_get_effective (grid);
      double pairs = squared_error (w, x, 24 * 512), integers = squared_error (w, y, 24 * 512);
      g_test_message ("%d bits: squared error %.4g, integers %.4g", bits, pairs, integers);
      g_assert_cmpuint (swage_linear_get_bytes (out), ==, swage_linear_get_bytes (grid));
      g_assert_cmpfloat (pairs, <, (bits == 4 ? 0.25 : 0.75) * integers);
    }

  g_autofree float *two = fixture_normals (4096, 0.05, 3);
  two[10] = 0.9f;
  two[11] = -1.0f; /* larger: it stays */
  two[20] = 1.0f;
  two[21] = 0.8f;
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, 1, 4096, two);
  g_autoptr (SwageLinear) out = fixture_apply_ok ("olive", "bits=4,act=none", in, NULL);
  g_autofree float *x = swage_linear_get_effective (out);
  double s = (double)swage_f16_to_f32 (*(const uint16_t *)g_bytes_get_data (out->weight->scales, NULL));
  g_assert_cmpfloat (9.5 * s, <, 0.8);
  g_assert_cmpfloat (x[10], ==, 0);
  g_assert_cmpfloat_with_epsilon (x[11], -1.0, 0.25);
  g_assert_cmpfloat_with_epsilon (x[20], 1.0, 0.25);
  g_assert_cmpfloat (x[21], ==, 0);
}

static void
test_degenerate (void)
{
  enum
  {
    ROWS = 5,
    COLS = 37
  };
  g_autofree float *w = g_new0 (float, ROWS *COLS);
  for (int j = 0; j < COLS; j++)
    {
      w[COLS + j] = -0.25f;
      w[2 * COLS + j] = 1e-9f; /* no half float is its step */
      w[4 * COLS + j] = j % 2 ? 60000.0f : -60000.0f;
    }
  w[3 * COLS + COLS - 1] = 3.0f; /* alone in its pair */
  for (int bits = 4; bits <= 8; bits += 4)
    {
      g_autofree char *text = g_strdup_printf ("bits=%d,act=none", bits);
      g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("olive", text, in, NULL);
      g_autofree float *x = swage_linear_get_effective (out);
      for (int j = 0; j < COLS; j++)
        {
          g_assert_cmpfloat (x[j], ==, 0);
          g_assert_cmpfloat_with_epsilon (x[COLS + j], -0.25f, 2e-4f);
          g_assert_cmpfloat (fabsf (x[2 * COLS + j]), <, 1e-6f);
          g_assert_cmpfloat_with_epsilon (x[3 * COLS + j], w[3 * COLS + j], 0.01f);
          g_assert_cmpfloat_with_epsilon (x[4 * COLS + j], w[4 * COLS + j], 60.0f);
        }
    }
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("olive", "bits=5", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "bits", "5"));
  fixture_assert_fails ("olive", "act_bits=6", in, NULL, SWAGE_ERROR_INVALID, WORDS ("act_bits", "6"));
  fixture_assert_fails ("olive", "group_size=12", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("12", "multiple of 8"));
  fixture_assert_fails ("olive", "", in, NULL, SWAGE_ERROR_INVALID, WORDS ("blk.0.ffn_down", "calibration"));
  w[3 * COLS + 4] = NAN;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, ROWS, COLS, w);
  fixture_assert_fails ("olive", "act=none", bad, NULL, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "row 3", "column 4"));
}

/* Inputs in pairs with one range, the best of those tried; the engine's output is theirs with that weight. */
static void
test_inputs (void)
{
  for (int bits = 4; bits <= 8; bits += 4)
    {
      Problem p;
      problem_fill (&p, 14, 53, 60, 17);
      g_free (p.x);
      p.x = make_heavy (p.n_tok * p.n_in, 60, 18);
      problem_take (&p);
      Numbers t;
      numbers_init (&t, bits);
      g_autofree char *text = g_strdup_printf ("bits=8,act_bits=%d,n_grid=15", bits);
      g_autoptr (SwageLinear) out = problem_apply ("olive", text, &p);
      const SwageActQuant *q = out->act_quant;
      g_assert_cmpint (q->format, ==, SWAGE_ACT_OVP);
      g_assert_cmpint (q->n_ranges, ==, 1);
      g_assert_cmpfloat (q->ranges[0], ==, -q->ranges[1]);

      int n = p.n_tok * p.n_in, outliers = 0;
      double mean = 0, square = 0, top = 0, largest_normal = bits == 4 ? 7 : 127;
      double s = (double)(q->ranges[1] / (float)largest_normal), reached = 0;
      for (int i = 0; i < n; i++)
        {
          mean += (double)p.x[i] / n;
          square += (double)p.x[i] * (double)p.x[i] / n;
          top = fmax (top, fabs ((double)p.x[i]));
        }
      for (int r = 0; r < p.n_tok; r++)
        reached += encode_error (&t, p.x + r * p.n_in, p.n_in, s);
      for (int k = 0; k <= 15; k++)
        {
          double limit = k == 15 ? top : (fabs (mean) + 3 * sqrt (square - mean * mean)) * (0.2 + 0.1 * k);
          double error = 0;
          for (int r = 0; r < p.n_tok; r++)
            error += encode_error (&t, p.x + r * p.n_in, p.n_in, limit / largest_normal);
          g_assert_cmpfloat (reached, <=, error * (1 + 1e-5));
        }

      g_autofree float *w = swage_linear_get_effective (out), *y = problem_run (&p, out);
      g_autofree double *x = g_new (double, n);
      double most = 0;
      for (int i = 0; i < n; i++)
        x[i] = (double)p.x[i];
      for (int r = 0; r < p.n_tok; r++)
        outliers += encode (&t, x + r * p.n_in, p.n_in, s);
      g_assert_cmpint (outliers, >, 0);
      for (int pass = 0; pass < 2; pass++) /* the largest output, then all against it */
        for (int i = 0; i < p.n_tok * p.n_out; i++)
          {
            double want = 0;
            for (int j = 0; j < p.n_in; j++)
              want += x[i / p.n_out * p.n_in + j] * (double)w[i % p.n_out * p.n_in + j];
            if (pass == 0)
              most = fmax (most, fabs (want));
            else
              g_assert_cmpfloat_with_epsilon ((double)y[i], want, 2e-5 * most);
          }
      problem_clear (&p);
    }

  Problem p, nan;
  problem_init_degenerate (&p, 10, 32, 40, 9);
  problem_init_nan (&nan, 10, 32, 40, 9);
  g_autoptr (SwageLinear) out = problem_apply ("olive", "", &p);
  g_assert_true (isfinite (problem_error (&p, out)));
  fixture_assert_fails ("olive", "", nan.linear, nan.stats, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "not finite"));
  problem_clear (&p);
  problem_clear (&nan);
}

static void
test_threads (void)
{
  Problem p;
  problem_init (&p, 300, 131, 40, 9);
  fixture_assert_thread_invariant ("olive", "", p.linear, p.stats);
  fixture_assert_thread_invariant ("olive", "bits=8,group_size=32,act_bits=8", p.linear, p.stats);
  float range = 0;
  for (int threads = 1; threads <= 5; threads += 2)
    {
      swage_pool_set_threads (threads);
      g_autoptr (SwageLinear) out = problem_apply ("olive", "", &p);
      if (threads == 1)
        range = out->act_quant->ranges[1];
      g_assert_cmpfloat (out->act_quant->ranges[1], ==, range);
    }
  swage_pool_set_threads (2);
  fixture_assert_cancels ("olive", "", p.linear, p.stats);
  problem_clear (&p);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/olive/weights", test_weights);
  g_test_add_func ("/olive/codes", test_codes);
  g_test_add_func ("/olive/against-integers", test_against_integers);
  g_test_add_func ("/olive/degenerate", test_degenerate);
  g_test_add_func ("/olive/inputs", test_inputs);
  g_test_add_func ("/olive/threads", test_threads);
  return g_test_run ();
}
