/* SPDX-License-Identifier: MIT
 *
 * Statistics against plain loops: two passes in long double, bins by comparing with their edges.
 */
#include <stdlib.h>
#include "core/stats/swage-stats-json.h"
#include "method-fixture.h"

typedef struct
{
  int64_t n, n_bad, n_zero;
  long double min, max, absmax, mean, std, kurtosis;
  double outlier_share;
} Naive;

static Naive
summarize (const float *x, int64_t n, double sigma)
{
  Naive s = { 0 };
  long double sum = 0, m2 = 0, m4 = 0;
  int64_t outliers = 0;

  for (int64_t i = 0; i < n; i++)
    {
      if (!isfinite (x[i]))
        {
          s.n_bad++;
          continue;
        }
      long double v = x[i];
      s.min = s.n == 0 ? v : MIN (s.min, v);
      s.max = s.n == 0 ? v : MAX (s.max, v);
      s.absmax = MAX (s.absmax, fabsl (v));
      s.n_zero += v == 0;
      s.n++;
      sum += v;
    }
  if (s.n == 0)
    return s;
  s.mean = sum / s.n;
  for (int64_t i = 0; i < n; i++)
    if (isfinite (x[i]))
      {
        long double d = x[i] - s.mean;
        m2 += d * d;
        m4 += d * d * d * d;
      }
  s.std = sqrtl (m2 / s.n);
  s.kurtosis = s.std > 0 ? m4 / s.n / (s.std * s.std * s.std * s.std) : 0;
  for (int64_t i = 0; i < n; i++)
    outliers += isfinite (x[i]) && s.std > 0 && fabsl (x[i] - s.mean) > sigma * s.std;
  s.outlier_share = (double)outliers / (double)s.n;
  return s;
}

static void
assert_near (double got, long double expected, double relative, double floor_)
{
  double allowed = relative * MAX (fabs ((double)expected), floor_);
  if (!(fabs (got - (double)expected) <= allowed))
    g_error ("%.17g is not %.17g", got, (double)expected);
}

static void
assert_summary (const SwageSummary *s, const float *x, int64_t n, double share_slack)
{
  Naive naive = summarize (x, n, s->outlier_sigma);
  g_assert_cmpint (s->n, ==, naive.n);
  g_assert_cmpint (s->n_nonfinite, ==, naive.n_bad);
  g_assert_cmpint (s->n_zero, ==, naive.n_zero);
  g_assert_cmpfloat (s->min, ==, (double)naive.min);
  g_assert_cmpfloat (s->max, ==, (double)naive.max);
  g_assert_cmpfloat (s->absmax, ==, (double)naive.absmax);
  assert_near (s->mean, naive.mean, 1e-9, (double)naive.std);
  assert_near (s->std, naive.std, 1e-6, 0);
  assert_near (s->kurtosis, naive.kurtosis, 1e-5, 0);
  g_assert_cmpfloat (fabs (s->outlier_share - naive.outlier_share), <=, share_slack);
}

/* Every bin holds the values between its edges, and all values are in one. */
static void
assert_histogram (const SwageHistogram *h, const float *x, int64_t n, int bins)
{
  g_autofree int64_t *counts = g_new0 (int64_t, (gsize)MAX (1, h->n_bins));
  int64_t finite = 0;

  g_assert_cmpint (h->n_bins, <=, bins);
  for (int64_t i = 0; i < n; i++)
    {
      if (!isfinite (x[i]))
        continue;
      finite++;
      int lo = 0, hi = h->n_bins; /* the last edge that is not above x */
      while (hi - lo > 1)
        {
          int mid = (lo + hi) / 2;
          if (swage_histogram_get_edge (h, mid) <= (double)x[i])
            lo = mid;
          else
            hi = mid;
        }
      g_assert_cmpfloat (swage_histogram_get_edge (h, lo), <=, (double)x[i]);
      g_assert_cmpfloat (swage_histogram_get_edge (h, lo + 1), >, (double)x[i]);
      counts[lo]++;
    }
  for (int i = 0; i < h->n_bins; i++)
    g_assert_cmpint (h->counts[i], ==, counts[i]);
  g_assert_cmpint (swage_histogram_get_total (h), ==, finite);
}

/* Kinds of values that have troubled somebody. */
enum
{
  NORMAL,
  OFFSET,
  OUTLIERS,
  POSITIVE,
  CONSTANT,
  ZERO,
  TINY,
  HUGE_VALUES,
  MIXED_SIGNS,
  BAD,
  ALL_BAD,
  N_KINDS
};

static float *
make_values (int kind, int64_t n)
{
  uint64_t state = (uint64_t)(kind + 1) * 977;
  float *x = g_new (float, (gsize)n);
  for (int64_t i = 0; i < n; i++)
    {
      double z = fixture_normal (&state), u = fixture_uniform (&state);
      switch (kind)
        {
        case NORMAL:
          x[i] = (float)(0.02 * z);
          break;
        case OFFSET:
          x[i] = (float)(100 + 0.01 * z);
          break;
        case OUTLIERS:
          x[i] = (float)(u < 0.001 ? 50 * z : z);
          break;
        case POSITIVE:
          x[i] = (float)fabs (z);
          break;
        case CONSTANT:
          x[i] = 0.1f;
          break;
        case ZERO:
          x[i] = i % 2 ? 0.0f : -0.0f;
          break;
        case TINY:
          x[i] = (float)(1e-42 * z);
          break;
        case HUGE_VALUES:
          x[i] = (float)(1e36 * z);
          break;
        case MIXED_SIGNS:
          x[i] = (float)(z * pow (10, -9 * u));
          break;
        case BAD:
          x[i] = u < 0.01 ? NAN : u < 0.02 ? INFINITY : u < 0.03 ? -INFINITY : (float)(3 + z);
          break;
        default:
          x[i] = i % 3 ? NAN : INFINITY;
          break;
        }
    }
  return x;
}

static void
test_weight_summary (void)
{
  static const int64_t shapes[][2] = { { 1, 1 }, { 3, 5 }, { 1, 5000 }, { 700, 33 }, { 257, 256 } };
  static const int bins[] = { 0, 16, 100, 4096 };

  for (int kind = 0; kind < N_KINDS; kind++)
    for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
      {
        int64_t rows = shapes[s][0], cols = shapes[s][1];
        g_autofree float *x = make_values (kind, rows * cols);
        g_autoptr (SwageWeight) w = swage_weight_new_from_f32 (SWAGE_TYPE_F32, rows, cols, x, NULL);
        g_autoptr (GError) error = NULL;
        g_autoptr (SwageWeightStats) stats
            = swage_weight_stats_new (w, bins[s % 4], 3 + (double)s, NULL, &error);
        g_assert_no_error (error);
        g_assert_true (stats->summary.outlier_exact);
        assert_summary (&stats->summary, x, rows * cols, 0);
        assert_histogram (&stats->summary.histogram, x, rows * cols, bins[s % 4] == 0 ? 256 : bins[s % 4]);
      }
}

static void
test_weight_channels (void)
{
  enum
  {
    ROWS = 300,
    COLS = 77
  };
  for (int kind = 0; kind < N_KINDS; kind++)
    {
      g_autofree float *x = make_values (kind, ROWS * COLS);
      g_autoptr (SwageWeight) w = swage_weight_new_from_f32 (SWAGE_TYPE_F32, ROWS, COLS, x, NULL);
      g_autoptr (SwageWeightStats) stats = swage_weight_stats_new (w, 0, 0, NULL, NULL);
      for (int j = 0; j < COLS; j++)
        {
          double absmax = 0, square = 0;
          for (int i = 0; i < ROWS; i++)
            if (isfinite (x[i * COLS + j]))
              {
                absmax = MAX (absmax, fabs ((double)x[i * COLS + j]));
                square += (double)x[i * COLS + j] * (double)x[i * COLS + j];
              }
          g_assert_cmpfloat ((double)stats->col_absmax[j], ==, absmax);
          assert_near ((double)stats->col_norm[j], sqrt (square), 1e-6, 1e-39);
        }
      for (int i = 0; i < ROWS; i++)
        {
          double absmax = 0, square = 0;
          for (int j = 0; j < COLS; j++)
            if (isfinite (x[i * COLS + j]))
              {
                absmax = MAX (absmax, fabs ((double)x[i * COLS + j]));
                square += (double)x[i * COLS + j] * (double)x[i * COLS + j];
              }
          g_assert_cmpfloat ((double)stats->row_absmax[i], ==, absmax);
          assert_near ((double)stats->row_norm[i], sqrt (square), 1e-6, 1e-39);
        }
    }
}

/* Packed weights are judged by what they decode to. */
static void
test_packed (void)
{
  g_autofree float *x = make_values (NORMAL, 64 * 256);
  static const SwageType types[] = { SWAGE_TYPE_BF16, SWAGE_TYPE_F16, SWAGE_TYPE_Q4_K, SWAGE_TYPE_Q8_0 };
  for (size_t t = 0; t <= G_N_ELEMENTS (types); t++)
    {
      g_autoptr (SwageWeight) w = t < G_N_ELEMENTS (types)
                                      ? swage_weight_new_from_f32 (types[t], 64, 256, x, NULL)
                                      : swage_weight_new_int_from_f32 (64, 256, 4, 32, false, x, NULL);
      g_autofree float *decoded = swage_weight_decode_all (w);
      g_autoptr (SwageWeightStats) stats = swage_weight_stats_new (w, 0, 0, NULL, NULL);
      assert_summary (&stats->summary, decoded, 64 * 256, 0);
      assert_histogram (&stats->summary.histogram, decoded, 64 * 256, 256);
    }
}

static void
assert_summary_equal (const SwageSummary *a, const SwageSummary *b)
{
  g_autoptr (json_t) x = swage_summary_to_json (a);
  g_autoptr (json_t) y = swage_summary_to_json (b);
  g_assert_true (json_equal (x, y));
}

static void
test_weight_threads (void)
{
  g_autofree float *x = make_values (OUTLIERS, 3000 * 100);
  g_autoptr (SwageWeight) w = swage_weight_new_from_f32 (SWAGE_TYPE_F32, 3000, 100, x, NULL);
  g_autoptr (SwageWeightStats) one = NULL;
  for (int threads = 1; threads <= 5; threads += 2)
    {
      swage_pool_set_threads (threads);
      g_autoptr (SwageWeightStats) stats = swage_weight_stats_new (w, 0, 0, NULL, NULL);
      if (one != NULL)
        {
          assert_summary_equal (&stats->summary, &one->summary);
          g_assert_cmpmem (stats->col_norm, 100 * sizeof (float), one->col_norm, 100 * sizeof (float));
          g_assert_cmpmem (stats->row_norm, 3000 * sizeof (float), one->row_norm, 3000 * sizeof (float));
        }
      else
        one = g_steal_pointer (&stats);
    }
  swage_pool_set_threads (2);
}

static void
test_weight_cancel (void)
{
  g_autofree float *x = make_values (NORMAL, 100 * 100);
  g_autoptr (SwageWeight) w = swage_weight_new_from_f32 (SWAGE_TYPE_F32, 100, 100, x, NULL);
  g_autoptr (SwageJob) job = fixture_cancelled_job ();
  g_autoptr (GError) error = NULL;
  g_assert_null (swage_weight_stats_new (w, 0, 0, job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
}

#define ALL_NEEDS                                                                                            \
  (SWAGE_NEED_COL_SQUARES | SWAGE_NEED_COL_ABSMAX | SWAGE_NEED_COL_RANGE | SWAGE_NEED_HESSIAN                \
   | SWAGE_NEED_SUMMARY)

/* In portions of uneven size, as windows of a text come. */
static SwageActStats *
collect (const float *x, int64_t n, int64_t n_in, SwageNeeds needs)
{
  SwageActStats *stats = swage_act_stats_new (n_in, needs, 128, 4);
  for (int64_t from = 0, portion = 1; from < n; from += portion, portion = portion * 3 + 1)
    swage_act_stats_add (stats, x + from * n_in, MIN (portion, n - from));
  swage_act_stats_add (stats, x, 0);
  swage_act_stats_finish (stats);
  return stats;
}

static void
test_act (void)
{
  static const int64_t shapes[][2] = { { 1, 1 }, { 1000, 40 }, { 90, 530 } };

  for (int kind = 0; kind < N_KINDS; kind++)
    for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
      {
        int64_t n = shapes[s][0], n_in = shapes[s][1];
        g_autofree float *x = make_values (kind, n * n_in);
        g_autoptr (SwageActStats) stats = collect (x, n, n_in, ALL_NEEDS);
        g_assert_cmpint (stats->n_tokens, ==, n);
        assert_histogram (&stats->summary.histogram, x, n * n_in, 128);

        /* outliers are told from the fine grid: off by the two bins that the limits cut at most */
        Naive naive = summarize (x, n * n_in, 4);
        double width = ldexp (1, ilogb ((double)naive.absmax + 1e-300) - 11), cut = 0;
        for (int64_t i = 0; i < n * n_in; i++)
          {
            double d = fabs ((double)x[i] - (double)naive.mean);
            cut += isfinite (x[i]) && fabs (d - 4 * (double)naive.std) <= width;
          }
        assert_summary (&stats->summary, x, n * n_in, cut / (double)MAX (1, naive.n) + 1e-12);
        g_assert_false (stats->summary.outlier_exact);

        for (int64_t j = 0; j < n_in; j++)
          {
            double absmax = 0, sum = 0, square = 0, min = INFINITY, max = -INFINITY, size = 0;
            for (int64_t i = 0; i < n; i++)
              {
                double v = (double)x[i * n_in + j];
                if (!isfinite (v))
                  continue;
                absmax = MAX (absmax, fabs (v));
                sum += v;
                size += fabs (v);
                square += v * v;
                min = MIN (min, v);
                max = MAX (max, v);
              }
            g_assert_cmpfloat ((double)stats->col_absmax[j], ==, absmax);
            g_assert_cmpfloat ((double)stats->col_min[j], ==, min <= max ? min : 0);
            g_assert_cmpfloat ((double)stats->col_max[j], ==, min <= max ? max : 0);
            assert_near (stats->col_squares[j], square, 1e-12, 0);
            assert_near (stats->col_sum[j], sum, 1e-12, size);
          }
      }
}

/* Σ x xᵀ: products and short sums are in float. */
static void
test_hessian (void)
{
  static const int64_t shapes[][2] = { { 1, 3 }, { 700, 65 }, { 40, 600 }, { 1300, 20 } };

  for (size_t s = 0; s < G_N_ELEMENTS (shapes); s++)
    for (int kind = 0; kind < 2; kind++)
      {
        int64_t n = shapes[s][0], n_in = shapes[s][1];
        g_autofree float *x = make_values (kind == 0 ? NORMAL : BAD, n * n_in);
        g_autoptr (SwageActStats) stats = collect (x, n, n_in, SWAGE_NEED_HESSIAN);
        for (int64_t i = 0; i < n_in; i++)
          for (int64_t j = 0; j < n_in; j++)
            {
              double sum = 0, size = 0;
              for (int64_t t = 0; t < n; t++)
                {
                  double p = (double)x[t * n_in + i] * (double)x[t * n_in + j];
                  if (!isfinite (x[t * n_in + i]) || !isfinite (x[t * n_in + j]))
                    continue;
                  sum += p;
                  size += fabs (p);
                }
              assert_near (stats->hessian[i * n_in + j], sum, 2e-6, size);
              g_assert_cmpfloat (stats->hessian[i * n_in + j], ==, stats->hessian[j * n_in + i]);
            }
      }
}

static void
test_act_threads (void)
{
  enum
  {
    N = 900,
    IN = 130
  };
  g_autofree float *x = make_values (OUTLIERS, N * IN);
  g_autoptr (SwageActStats) one = NULL;
  for (int threads = 1; threads <= 5; threads += 2)
    {
      swage_pool_set_threads (threads);
      g_autoptr (SwageActStats) stats = collect (x, N, IN, ALL_NEEDS);
      if (one != NULL)
        {
          assert_summary_equal (&stats->summary, &one->summary);
          g_assert_cmpmem (stats->col_squares, IN * sizeof (double), one->col_squares, IN * sizeof (double));
          g_assert_cmpmem (stats->col_sum, IN * sizeof (double), one->col_sum, IN * sizeof (double));
          g_assert_cmpmem (stats->hessian, IN * IN * sizeof (double), one->hessian,
                           IN * IN * sizeof (double));
        }
      else
        one = g_steal_pointer (&stats);
    }
  swage_pool_set_threads (2);
}

/* The grid doubles from the smallest floats to the largest, whatever comes first: the counts are those of one
 * portion. */
static void
test_range_doubling (void)
{
  enum
  {
    N = 600
  };
  g_autofree float *x = g_new (float, N);
  uint64_t state = 5;
  for (int i = 0; i < N; i++)
    x[i] = (float)(fixture_normal (&state) * pow (10, -40 + 76 * (double)i / N));

  for (int order = 0; order < 2; order++)
    {
      g_autoptr (SwageActStats) stats = swage_act_stats_new (1, SWAGE_NEED_SUMMARY, 4096, 0);
      for (int i = 0; i < N; i++)
        swage_act_stats_add (stats, x + (order == 0 ? i : N - 1 - i), 1);
      swage_act_stats_finish (stats);
      assert_histogram (&stats->summary.histogram, x, N, 4096);
      g_assert_cmpint (stats->summary.n, ==, N);
    }
}

/* Nothing added: everything is zero, nothing is divided by. */
static void
test_empty (void)
{
  g_autoptr (SwageActStats) stats = swage_act_stats_new (7, ALL_NEEDS, 0, 0);
  swage_act_stats_finish (stats);
  g_assert_cmpint (stats->summary.n, ==, 0);
  g_assert_cmpint (stats->summary.histogram.n_bins, ==, 0);
  g_autoptr (json_t) json = swage_act_stats_to_json (stats, 3);
  g_assert_cmpint (json_integer_value (json_object_get (json, "tokens")), ==, 0);
}

static void
test_top_channels (void)
{
  static const float values[] = { 1, 7, NAN, 2, 7, 3, 0 };
  SwageChannel top[10];
  double median;
  g_assert_cmpint (swage_channels_find_top (values, 7, 3, top, &median), ==, 3);
  g_assert_cmpint (top[0].channel, ==, 1);
  g_assert_cmpint (top[1].channel, ==, 4);
  g_assert_cmpint (top[2].channel, ==, 5);
  g_assert_cmpfloat (top[2].value, ==, 3);
  g_assert_cmpfloat (median, ==, 2.5);
  g_assert_cmpint (swage_channels_find_top (values, 7, 10, top, NULL), ==, 6);
  g_assert_cmpint (swage_channels_find_top (values, 0, 10, top, &median), ==, 0);
  g_assert_cmpfloat (median, ==, 0);
}

static void
test_json (void)
{
  static const float x[] = { 0, 0.25f, -0.5f, 1, 1, 1, -3, 0.125f };
  g_autoptr (SwageWeight) w = swage_weight_new_from_f32 (SWAGE_TYPE_F32, 2, 4, x, NULL);
  g_autoptr (SwageWeightStats) stats = swage_weight_stats_new (w, 16, 2, NULL, NULL);
  g_autoptr (json_t) json = swage_weight_stats_to_json (stats, 2);
  static const char *const keys[]
      = { "min", "max", "mean", "std", "absmax", "kurtosis", "outlier_share", "histogram", "top_channels" };
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_nonnull (json_object_get (json, keys[i]));
  g_assert_cmpfloat (json_real_value (json_object_get (json, "min")), ==, -3);
  g_assert_cmpfloat (json_real_value (json_object_get (json, "mean")), ==, -0.015625);
  json_t *h = json_object_get (json, "histogram");
  g_assert_cmpuint (json_array_size (json_object_get (h, "edges")), ==,
                    json_array_size (json_object_get (h, "counts")) + 1);
  /* from −3 to 1 in bins of 1/2, the narrowest power of two that needs no more than 16 */
  g_assert_cmpfloat (json_real_value (json_array_get (json_object_get (h, "edges"), 1)), ==, -2.5);
  json_t *first = json_array_get (json_object_get (json, "top_channels"), 0);
  g_assert_cmpint (json_integer_value (json_object_get (first, "channel")), ==, 2);
  g_assert_cmpfloat (json_real_value (json_object_get (first, "absmax")), ==, 3);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stats/weight/summary", test_weight_summary);
  g_test_add_func ("/stats/weight/channels", test_weight_channels);
  g_test_add_func ("/stats/weight/packed", test_packed);
  g_test_add_func ("/stats/weight/threads", test_weight_threads);
  g_test_add_func ("/stats/weight/cancel", test_weight_cancel);
  g_test_add_func ("/stats/act/all", test_act);
  g_test_add_func ("/stats/act/hessian", test_hessian);
  g_test_add_func ("/stats/act/threads", test_act_threads);
  g_test_add_func ("/stats/act/range-doubling", test_range_doubling);
  g_test_add_func ("/stats/act/empty", test_empty);
  g_test_add_func ("/stats/top-channels", test_top_channels);
  g_test_add_func ("/stats/json", test_json);
  return g_test_run ();
}
