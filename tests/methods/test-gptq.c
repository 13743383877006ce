/* SPDX-License-Identifier: MIT
 *
 * GPTQ against the paper's equations in double (the inverse Hessian and its elimination, eq. 2 and 3, not the
 * factor that the program uses), and what must hold on any layer. The last test compares with the authors'
 * program on the same inputs: tests/golden/make_gptq.py.
 */
#include "method-fixture.h"

#include "core/method/swage-second-order.h"
#include "kernels/swage-grid.h"

static SwageActStats *
collect (const float *x, int64_t tokens, int64_t n)
{
  SwageActStats *stats = swage_act_stats_new (n, SWAGE_NEED_HESSIAN, 0, 0);
  swage_act_stats_add (stats, x, tokens);
  swage_act_stats_finish (stats);
  return stats;
}

/* Channels that follow one another and have unlike sizes. */
static float *
make_inputs (int64_t tokens, int64_t n, uint64_t seed)
{
  float *x = fixture_normals (tokens * n, 1, seed);
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t j = 0; j < n; j++)
      x[t * n + j] = (float)((j > 0 ? 0.6 * (double)x[t * n + j - 1] : 0)
                             + (double)x[t * n + j] * (0.4 + (double)((j * 7) % 11) / 8));
  return x;
}

static SwageActStats *
make_stats (int64_t tokens, int64_t n, uint64_t seed)
{
  g_autofree float *x = make_inputs (tokens, n, seed);
  return collect (x, tokens, n);
}

static double
get_error (const SwageActStats *stats, const SwageWeight *before, const SwageWeight *after)
{
  g_autofree float *w = swage_weight_decode_all (before), *w_hat = swage_weight_decode_all (after);
  return swage_second_order_get_error (stats, w, w_hat, before->rows);
}

static int
get_code (const SwageWeight *w, int64_t row, int64_t col)
{
  const uint8_t *codes = g_bytes_get_data (w->data, NULL);
  int64_t bit = col * w->bits;
  const uint8_t *p = codes + row * (int64_t)w->row_bytes + bit / 8;
  int two = p[0] | (bit % 8 + w->bits > 8 ? p[1] << 8 : 0);
  return two >> (bit % 8) & ((1 << w->bits) - 1);
}

/* (H + λI)⁻¹ by Gauss and Jordan. */
static double *
invert (const SwageActStats *stats, double damp)
{
  int64_t n = stats->n_in, width = 2 * n;
  g_autofree double *a = g_new0 (double, (gsize)(n * width));
  double *inverse = g_new (double, (gsize)(n * n)), mean = 0;

  for (int64_t i = 0; i < n; i++)
    mean += 2 * stats->hessian[i * n + i] / (double)stats->n_tokens / (double)n;
  for (int64_t i = 0; i < n; i++)
    {
      for (int64_t j = 0; j < n; j++)
        a[i * width + j]
            = 2 * stats->hessian[i * n + j] / (double)stats->n_tokens + (i == j ? damp * mean : 0);
      a[i * width + n + i] = 1;
    }
  for (int64_t i = 0; i < n; i++)
    {
      double pivot = a[i * width + i];
      for (int64_t j = 0; j < width; j++)
        a[i * width + j] /= pivot;
      for (int64_t k = 0; k < n; k++)
        if (k != i)
          {
            double f = a[k * width + i];
            for (int64_t j = 0; j < width; j++)
              a[k * width + j] -= f * a[i * width + j];
          }
    }
  for (int64_t i = 0; i < n; i++)
    memcpy (inverse + i * n, a + i * width + n, (size_t)n * sizeof (double));
  return inverse;
}

/* The columns in turn: the code must be the nearest to the weight as eq. 2 has changed it by then, with the
 * scale that was stored. Where the weight lies within rounding errors of the middle between two codes, either
 * will do. */
static void
check_equations (int64_t rows, int64_t n, int bits, int group, bool symmetric)
{
  const double damp = 0.01;
  g_autoptr (SwageActStats) stats = make_stats (5 * n, n, (uint64_t)(n + bits));
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, n, 3);
  g_autofree char *text = g_strdup_printf ("type=int,bits=%d,group_size=%d,symmetric=%s,sweeps=0", bits,
                                           group, symmetric ? "true" : "false");
  g_autoptr (SwageLinear) out = fixture_apply_ok ("gptq", text, in, stats);
  g_autofree float *w_hat = swage_weight_decode_all (out->weight),
                   *weights = swage_weight_decode_all (in->weight);
  g_autofree double *inverse = invert (stats, damp);
  const uint16_t *scales = g_bytes_get_data (out->weight->scales, NULL);
  const uint8_t *zeros = symmetric ? NULL : g_bytes_get_data (out->weight->zeros, NULL);
  g_autofree double *w = g_new (double, (gsize)(rows * n));
  int64_t groups = swage_int_groups (n, group);

  for (int64_t i = 0; i < rows * n; i++)
    w[i] = (double)weights[i];
  for (int64_t i = 0; i < n; i++)
    {
      double d = inverse[i * n + i];
      for (int64_t r = 0; r < rows; r++)
        {
          double *row = w + r * n, scale = (double)swage_f16_to_f32 (scales[r * groups + i / group]);
          double zero = zeros != NULL ? zeros[r * groups + i / group] : 1 << (bits - 1);
          double exact = scale != 0 ? CLAMP (row[i] / scale + zero, 0, (1 << bits) - 1) : zero;
          int code = get_code (out->weight, r, i);
          g_assert_cmpfloat (fabs (exact - code), <=, 0.5 + 2e-3);
          double e = (row[i] - (double)w_hat[r * n + i]) / d;
          for (int64_t j = i; j < n; j++)
            row[j] -= e * inverse[i * n + j];
        }
      /* eq. 3: the inverse of what is left of H */
      for (int64_t j = i + 1; j < n; j++)
        for (int64_t k = i + 1; k < n; k++)
          inverse[j * n + k] -= inverse[j * n + i] * inverse[i * n + k] / d;
    }
}

static void
test_equations (void)
{
  check_equations (5, 64, 4, 32, true);
  check_equations (3, 48, 3, 20, false); /* groups across panels */
  check_equations (4, 90, 2, 64, true);
  check_equations (2, 300, 4, 300, false); /* a group larger than a block */
}

/* Channels that know nothing of each other and are of one size: there is nothing to make up for. */
static void
test_diagonal (void)
{
  static const char *const types[] = { "q4_0", "q4_1", "q5_0", "q5_1", "q8_0",   "q2_k",
                                       "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs" };
  const int64_t n = 512, rows = 6;
  g_autoptr (SwageActStats) stats = swage_act_stats_new (n, SWAGE_NEED_HESSIAN, 0, 0);
  g_autofree float *x = g_new0 (float, (gsize)(n * n));
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, n, 11);

  for (int64_t i = 0; i < n; i++)
    x[i * n + i] = 2;
  swage_act_stats_add (stats, x, n);
  swage_act_stats_finish (stats);
  for (size_t i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autofree char *rtn = g_strdup_printf ("type=%s", types[i]);
      g_autofree char *gptq = g_strdup_printf ("type=%s,damp=0,sweeps=0", types[i]);
      g_autofree char *ordered = g_strdup_printf ("type=%s,damp=0,sweeps=0,act_order=true", types[i]);
      g_autoptr (SwageLinear) plain = fixture_apply_ok ("rtn", rtn, in, NULL);
      g_autoptr (SwageLinear) out = fixture_apply_ok ("gptq", gptq, in, stats);
      g_autoptr (SwageLinear) out2 = fixture_apply_ok ("gptq", ordered, in, stats);
      g_assert_true (weights_equal (plain->weight, out->weight));
      g_assert_true (weights_equal (plain->weight, out2->weight));
    }
  g_autoptr (SwageLinear) plain
      = fixture_apply_ok ("rtn", "type=int,bits=3,group_size=100,symmetric=false", in, NULL);
  g_autoptr (SwageLinear) out = fixture_apply_ok (
      "gptq", "type=int,bits=3,group_size=100,symmetric=false,damp=0,sweeps=0", in, stats);
  g_assert_true (weights_equal (plain->weight, out->weight));
}

/* Every type: less error than rounding to nearest, and no more with the descent than without. */
static void
test_error (void)
{
  static const char *const types[] = { "type=q4_0",
                                       "type=q4_1",
                                       "type=q5_0",
                                       "type=q5_1",
                                       "type=q8_0",
                                       "type=q2_k",
                                       "type=q3_k",
                                       "type=q4_k",
                                       "type=q5_k",
                                       "type=q6_k",
                                       "type=iq4_nl",
                                       "type=iq4_xs",
                                       "type=int,bits=2,group_size=64",
                                       "type=int,bits=4,group_size=128,symmetric=false" };
  const int64_t n = 512, rows = 40;
  g_autoptr (SwageActStats) stats = make_stats (1500, n, 21);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_BF16, rows, n, 4);

  for (size_t i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autofree char *paper = g_strdup_printf ("%s,sweeps=0", types[i]);
      g_autofree char *ordered = g_strdup_printf ("%s,sweeps=0,act_order=true", types[i]);
      g_autofree char *codes = g_strdup_printf ("%s,refine=false", types[i]);
      g_autoptr (SwageLinear) rtn = fixture_apply_ok ("rtn", types[i], in, NULL);
      g_autoptr (SwageLinear) a = fixture_apply_ok ("gptq", paper, in, stats);
      g_autoptr (SwageLinear) b = fixture_apply_ok ("gptq", ordered, in, stats);
      g_autoptr (SwageLinear) c = fixture_apply_ok ("gptq", codes, in, stats);
      g_autoptr (SwageLinear) d = fixture_apply_ok ("gptq", types[i], in, stats);
      double plain = get_error (stats, in->weight, rtn->weight),
             error = get_error (stats, in->weight, a->weight);
      double descended = get_error (stats, in->weight, c->weight),
             refined = get_error (stats, in->weight, d->weight);
      g_test_message ("%s: rtn %g, gptq %.3f, act_order %.3f, descent %.3f, with scales %.3f", types[i],
                      plain, error / plain, get_error (stats, in->weight, b->weight) / plain,
                      descended / plain, refined / plain);
      g_assert_cmpfloat (error, <, plain);
      g_assert_cmpfloat (get_error (stats, in->weight, b->weight), <, plain);
      g_assert_cmpfloat (descended, <=, error * 1.001);
      g_assert_cmpfloat (refined, <=, descended * 1.02);
    }
}

static void
test_threads (void)
{
  g_autoptr (SwageActStats) stats = make_stats (900, 512, 8);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F16, 300, 512, 9);

  fixture_assert_thread_invariant ("gptq", "type=q4_k,sweeps=1", in, stats);
  fixture_assert_thread_invariant ("gptq", "type=iq4_nl,act_order=true,sweeps=1", in, stats);
  fixture_assert_thread_invariant ("gptq", "type=int,bits=3,sweeps=1", in, stats);
}

static void
assert_finite (const SwageWeight *w)
{
  g_autofree float *values = swage_weight_decode_all (w);
  for (int64_t i = 0; i < w->rows * w->cols; i++)
    g_assert_true (isfinite (values[i]));
}

/* Channels without input, fewer tokens than channels, rows and columns of zeros, constant rows. */
static void
test_poor (void)
{
  const int64_t n = 256, rows = 9, tokens = 40;
  g_autofree float *x = make_inputs (tokens, n, 31), *w = fixture_normals (rows * n, 0.1, 32);
  static const char *const texts[] = { "type=q2_k,damp=0", "type=q4_k", "type=q4_0,act_order=true",
                                       "type=int,bits=2,group_size=24,symmetric=false,damp=0" };

  for (int64_t j = 0; j < n; j++)
    {
      w[2 * n + j] = 0;
      w[3 * n + j] = 0.25f;
    }
  for (int64_t r = 0; r < rows; r++)
    w[r * n + 17] = 0;
  for (int64_t t = 0; t < tokens; t++)
    x[t * n + 5] = x[t * n + 200] = 0;
  g_autoptr (SwageActStats) stats = collect (x, tokens, n);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F32, rows, n, w);
  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (SwageLinear) out = fixture_apply_ok ("gptq", texts[i], in, stats);
      g_autoptr (SwageLinear) rtn = fixture_apply_ok ("rtn",
                                                      i == 3 ? "type=int,bits=2,group_size=24,symmetric=false"
                                                      : i == 2 ? "type=q4_0"
                                                      : i == 1 ? "type=q4_k"
                                                               : "type=q2_k",
                                                      in, NULL);
      assert_finite (out->weight);
      g_assert_cmpfloat (get_error (stats, in->weight, out->weight), <,
                         get_error (stats, in->weight, rtn->weight));
    }
}

/* Layers smaller than a group, of one row, of one column. */
static void
test_small (void)
{
  g_autoptr (SwageActStats) stats = make_stats (50, 7, 1), one = make_stats (50, 1, 1);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 1, 7, 2),
                          dot = fixture_linear (SWAGE_TYPE_F32, 3, 1, 2);
  g_autoptr (SwageLinear) a = fixture_apply_ok ("gptq", "type=int,bits=4,group_size=128", in, stats);
  g_autoptr (SwageLinear) b
      = fixture_apply_ok ("gptq", "type=int,bits=8,group_size=128,symmetric=false", dot, one);
  assert_finite (a->weight);
  assert_finite (b->weight);
}

static void
test_refuses (void)
{
  const int64_t n = 256;
  g_autoptr (SwageActStats) stats = make_stats (300, n, 6);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, 4, n, 7),
                          odd = fixture_linear (SWAGE_TYPE_F32, 4, 40, 7);

  fixture_assert_fails ("gptq", "type=q4_k", in, NULL, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "calibration"));
  fixture_assert_fails ("gptq", "type=q4_k", odd, stats, SWAGE_ERROR_INVALID,
                        WORDS ("blk.0.ffn_down", "40", "int"));
  fixture_assert_cancels ("gptq", "type=q4_k", in, stats);

  g_autoptr (SwageLinear) packed = fixture_apply_ok ("rtn", "type=q4_k", in, NULL);
  g_autoptr (SwageLinear) same = fixture_apply_ok ("gptq", "type=q4_k", packed, stats);
  g_assert_true (weights_equal (packed->weight, same->weight));

  /* calibration that broke down on the way to this layer */
  g_autofree float *x = make_inputs (30, n, 4);
  x[7 * n + 2] = NAN;
  g_autoptr (SwageActStats) broken = collect (x, 30, n);
  fixture_assert_fails ("gptq", "type=q4_k", in, broken, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "finite"));

  stats->hessian[3 * n + 9] = NAN;
  fixture_assert_fails ("gptq", "type=q4_k", in, stats, SWAGE_ERROR_NUMERIC,
                        WORDS ("blk.0.ffn_down", "channel 3"));
  g_autofree float *w = fixture_normals (4 * n, 0.1, 2);
  w[n + 3] = INFINITY;
  g_autoptr (SwageLinear) bad = fixture_linear_from (SWAGE_TYPE_F32, 4, n, w);
  fixture_assert_fails ("gptq", "type=q4_k", bad, stats, SWAGE_ERROR_NUMERIC, WORDS ("row 1", "column 3"));
}

/* Blocks taken apart mean what the decoder says, and put together they are the same bytes. */
static void
test_grid (void)
{
  for (int type = 0; type < SWAGE_N_TYPES; type++)
    {
      SwageGridInfo info;
      if (!swage_grid_get_info ((SwageType)type, &info))
        continue;
      g_assert_cmpint (info.block, ==, info.sub * info.n_subs);
      size_t bytes = swage_type_row_bytes ((SwageType)type, info.block);
      float level[256];
      swage_grid_get_levels (&info, level);
      for (uint64_t seed = 1; seed < 40; seed++)
        {
          g_autofree float *x = fixture_normals (info.block, 0.1, seed), *back = g_new (float, info.block);
          g_autofree uint8_t *block = g_malloc (bytes), *again = g_malloc (bytes),
                             *codes = g_malloc (info.block);
          SwageGrid grid;
          swage_type_from_f32 ((SwageType)type, x, NULL, block, info.block);
          swage_type_to_f32 ((SwageType)type, block, back, info.block);
          swage_grid_read ((SwageType)type, block, &grid, codes);
          swage_grid_write ((SwageType)type, &grid, codes, again);
          g_assert_cmpmem (block, bytes, again, bytes);
          for (int i = 0; i < info.block; i++)
            {
              int s = i / info.sub;
              float value = grid.d * (float)grid.k[s] * level[codes[i]] - grid.dm * (float)grid.km[s];
              g_assert_cmpfloat (value, ==, back[i]);
              if (grid.d * (float)grid.k[s] > 0)
                g_assert_cmpint (swage_grid_find_level (&info, (back[i] + grid.dm * (float)grid.km[s])
                                                                   / (grid.d * (float)grid.k[s])),
                                 ==, codes[i]);
            }
        }
    }
}

/* A number from the golden. */
static double
read_number (const char *text, const char *key)
{
  g_autofree char *quoted = g_strdup_printf ("\"%s\":", key);
  const char *at = strstr (text, quoted);
  g_assert_nonnull (at);
  return g_ascii_strtod (at + strlen (quoted), NULL);
}

/* The authors' program, float on one layer that both make from the same generator: our error is not larger.
 */
static void
test_authors (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("G_TEST_SRCDIR"), "golden", "gptq.json", NULL);
  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  const int64_t n = 128, rows = 48, tokens = 600;
  g_autoptr (SwageActStats) stats = make_stats (tokens, n, 77);
  g_autoptr (SwageLinear) in = fixture_linear (SWAGE_TYPE_F32, rows, n, 78);
  static const char *const cases[][2] = {
    { "int4_g32", "type=int,bits=4,group_size=32,symmetric=false" },
    { "int3_g32", "type=int,bits=3,group_size=32,symmetric=false" },
    { "int2_g32", "type=int,bits=2,group_size=32,symmetric=false" },
    { "int4_g128_sym", "type=int,bits=4,group_size=128" },
  };

  /* the same problem, or there is nothing to compare */
  g_autofree float *w = swage_weight_decode_all (in->weight);
  double sum = 0;
  for (int64_t i = 0; i < rows * n; i++)
    sum += fabs ((double)w[i]);
  g_assert_cmpfloat (fabs (sum - read_number (text, "sum_w")), <=, 1e-6 * sum);
  g_assert_cmpfloat (fabs (stats->hessian[3 * n + 4] - read_number (text, "moment")), <=,
                     1e-5 * fabs (stats->hessian[3 * n + 4]));
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *paper = g_strconcat (cases[i][1], ",sweeps=0", NULL);
      g_autoptr (SwageLinear) a = fixture_apply_ok ("gptq", paper, in, stats);
      g_autoptr (SwageLinear) b = fixture_apply_ok ("gptq", cases[i][1], in, stats);
      double theirs = read_number (text, cases[i][0]), plain = get_error (stats, in->weight, a->weight);
      double best = get_error (stats, in->weight, b->weight);
      g_test_message ("%s: authors %g, sweeps=0 %.3f, all %.3f", cases[i][0], theirs, plain / theirs,
                      best / theirs);
      g_assert_cmpfloat (plain, <=, theirs);
      g_assert_cmpfloat (best, <=, theirs);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/methods/gptq/equations", test_equations);
  g_test_add_func ("/methods/gptq/diagonal", test_diagonal);
  g_test_add_func ("/methods/gptq/error", test_error);
  g_test_add_func ("/methods/gptq/threads", test_threads);
  g_test_add_func ("/methods/gptq/poor", test_poor);
  g_test_add_func ("/methods/gptq/small", test_small);
  g_test_add_func ("/methods/gptq/refuses", test_refuses);
  g_test_add_func ("/methods/gptq/grid", test_grid);
  g_test_add_func ("/methods/gptq/authors", test_authors);
  return g_test_run ();
}
