/* SPDX-License-Identifier: MIT
 *
 * The references against PyTorch (tests/golden/make_ops.py wrote ops.json), so that what the other versions
 * are held to is itself held to something; and small checks of what PyTorch has no function for against a
 * plain formula.
 */
#include "kernels/swage-op.h"

#include <glib.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static json_t *goldens;

typedef struct
{
  json_t *json;
  void *memory[32];
  int n;
} Golden;

static Golden
open_golden (const char *name)
{
  Golden g = { .json = json_object_get (goldens, name) };
  g_assert_nonnull (g.json);
  return g;
}

static void
close_golden (Golden *g)
{
  for (int i = 0; i < g->n; i++)
    g_free (g->memory[i]);
}

static void *
take (Golden *g, size_t bytes)
{
  return g->memory[g->n++] = g_malloc0 (bytes);
}

static int64_t
get_int (Golden *g, const char *key)
{
  return json_integer_value (json_object_get (g->json, key));
}

static float *
get_floats (Golden *g, const char *key)
{
  json_t *list = json_object_get (g->json, key);
  float *values = take (g, json_array_size (list) * sizeof *values + 1);
  g_assert_cmpint (json_array_size (list), >, 0);
  for (size_t i = 0; i < json_array_size (list); i++)
    values[i] = (float)json_number_value (json_array_get (list, i));
  return values;
}

static gint32 *
get_ints (Golden *g, const char *key)
{
  json_t *list = json_object_get (g->json, key);
  gint32 *values = take (g, json_array_size (list) * sizeof *values + 1);
  for (size_t i = 0; i < json_array_size (list); i++)
    values[i] = (gint32)json_integer_value (json_array_get (list, i));
  return values;
}

static int64_t
get_length (Golden *g, const char *key)
{
  return (int64_t)json_array_size (json_object_get (g->json, key));
}

static SwageView
floats (const void *data, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)
{
  return swage_view (SWAGE_TYPE_F32, data, ne0, ne1, ne2, ne3);
}

static SwageView
ints (const void *data, int64_t n)
{
  return swage_view (SWAGE_TYPE_I32, data, n, 1, 1, 1);
}

static void
run_ref (const char *id, SwageOpCall *call)
{
  const SwageOp *op = swage_op_find (id);
  g_assert_nonnull (op);
  void *scratch = g_aligned_alloc (1, (swage_op_scratch_bytes (op, call) + 127) / 64 * 64, 64);
  call->scratch = scratch;
  op->ref (call, 0, op->slices (call));
  g_aligned_free (scratch);
}

static void
assert_near (const float *got, const float *want, int64_t n, double relative)
{
  double top = 0;
  for (int64_t i = 0; i < n; i++)
    top = fmax (top, fabs (want[i]));
  for (int64_t i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (got[i], want[i], relative * top + 1e-30);
}

static void
test_norms (void)
{
  static const char *const ids[] = { "rms_norm", "layer_norm" };
  for (int i = 0; i < 2; i++)
    {
      Golden g = open_golden (ids[i]);
      int64_t k = get_int (&g, "k"), m = get_int (&g, "m");
      SwageNormArgs args = { (float)json_number_value (json_object_get (g.json, "eps")) };
      SwageOpCall call = { .dst = floats (take (&g, (size_t)(k * m) * 4), k, m, 1, 1), .args = &args };
      call.src[0] = floats (get_floats (&g, "x"), k, m, 1, 1);
      call.src[1] = floats (get_floats (&g, "weight"), k, 1, 1, 1);
      if (i == 1)
        call.src[2] = floats (get_floats (&g, "bias"), k, 1, 1, 1);
      run_ref (ids[i], &call);
      assert_near (call.dst.data, get_floats (&g, "y"), k * m, 1e-6);
      close_golden (&g);
    }
}

static void
test_act (void)
{
  static const char *const names[] = { "silu", "relu", "gelu_tanh", "gelu_erf" }; /* by SWAGE_ACT_… */
  Golden g = open_golden ("act");
  int64_t n = get_length (&g, "x");
  g_autofree float *ones = g_new (float, n);

  for (guint kind = 0; kind < 4; kind++)
    {
      SwageActArgs args = { kind };
      SwageOpCall call = { .dst = floats (take (&g, (size_t)n * 4), n, 1, 1, 1), .args = &args };
      call.src[0] = floats (get_floats (&g, "x"), n, 1, 1, 1);
      run_ref ("act", &call);
      assert_near (call.dst.data, get_floats (&g, names[kind]), n, 1e-6);
    }
  for (int64_t i = 0; i < n; i++)
    ones[i] = 1;
  SwageOpCall call = { .dst = floats (take (&g, (size_t)n * 4), n, 1, 1, 1) };
  call.src[0] = floats (get_floats (&g, "x"), n, 1, 1, 1);
  call.src[1] = floats (ones, n, 1, 1, 1);
  run_ref ("silu_mul", &call);
  assert_near (call.dst.data, get_floats (&g, "silu"), n, 1e-6);
  close_golden (&g);
}

static void
test_rope (void)
{
  Golden g = open_golden ("rope");
  int64_t dim = get_int (&g, "dim"), heads = get_int (&g, "heads"), tokens = get_int (&g, "tokens");
  SwageRopeArgs args = { 0, 1 };
  SwageOpCall call = { .dst = floats (take (&g, (size_t)(dim * heads * tokens) * 4), dim, heads, tokens, 1),
                       .args = &args };

  call.src[0] = floats (get_floats (&g, "x"), dim, heads, tokens, 1);
  call.src[1] = ints (get_ints (&g, "pos"), tokens);
  call.src[2] = floats (get_floats (&g, "inv_freq"), dim / 2, 1, 1, 1);
  run_ref ("rope", &call);
  assert_near (call.dst.data, get_floats (&g, "y"), dim * heads * tokens, 1e-6);
  close_golden (&g);
}

static void
test_attention (void)
{
  Golden g = open_golden ("attention");
  int64_t dim = get_int (&g, "dim"), heads = get_int (&g, "heads"), kv = get_int (&g, "kv_heads");
  int64_t n_tok = get_int (&g, "n_tok"), n_key = get_int (&g, "n_key"), n_seq = get_int (&g, "n_seq");
  SwageAttentionArgs args = { (float)json_number_value (json_object_get (g.json, "scale")), 0 };
  SwageOpCall call
      = { .dst = floats (take (&g, (size_t)(dim * heads * n_tok * n_seq) * 4), dim, heads, n_tok, n_seq),
          .args = &args };

  call.src[0] = floats (get_floats (&g, "q"), dim, heads, n_tok, n_seq);
  call.src[1] = floats (get_floats (&g, "k"), dim, kv, n_key, n_seq);
  call.src[2] = floats (get_floats (&g, "v"), dim, kv, n_key, n_seq);
  run_ref ("attention", &call);
  assert_near (call.dst.data, get_floats (&g, "y"), dim * heads * n_tok * n_seq, 1e-6);
  close_golden (&g);
}

static void
test_softmax (void)
{
  Golden g = open_golden ("softmax");
  int64_t vocab = get_int (&g, "vocab"), m = get_int (&g, "m");
  float *nll = take (&g, (size_t)(m * SWAGE_NLL_ROWS) * 4),
        *kld = take (&g, (size_t)(m * SWAGE_KLD_ROWS) * 4);
  const gint32 *argmax = get_ints (&g, "argmax"), *same = get_ints (&g, "same_top");
  const float *lse = get_floats (&g, "lse"), *base = get_floats (&g, "nll_base"),
              *other = get_floats (&g, "nll_other");
  const float *want = get_floats (&g, "kld");

  SwageOpCall call = { .dst = floats (nll, SWAGE_NLL_ROWS, m, 1, 1) };
  call.src[0] = floats (get_floats (&g, "base"), vocab, m, 1, 1);
  call.src[1] = ints (get_ints (&g, "target"), m);
  run_ref ("softmax_nll", &call);
  call.dst = floats (kld, SWAGE_KLD_ROWS, m, 1, 1);
  call.src[2] = call.src[1];
  call.src[1] = floats (get_floats (&g, "other"), vocab, m, 1, 1);
  run_ref ("softmax_kld", &call);
  for (int64_t r = 0; r < m; r++)
    {
      g_assert_cmpfloat_with_epsilon (nll[r * SWAGE_NLL_ROWS + SWAGE_NLL_NLL], base[r], 1e-5);
      g_assert_cmpfloat_with_epsilon (nll[r * SWAGE_NLL_ROWS + SWAGE_NLL_LSE], lse[r], 1e-5);
      g_assert_cmpint ((int)nll[r * SWAGE_NLL_ROWS + SWAGE_NLL_ARGMAX], ==, argmax[r]);
      g_assert_cmpfloat_with_epsilon (kld[r * SWAGE_KLD_ROWS + SWAGE_KLD_KLD], want[r], 1e-7);
      g_assert_cmpint ((int)kld[r * SWAGE_KLD_ROWS + SWAGE_KLD_SAME_TOP], ==, same[r]);
      g_assert_cmpfloat_with_epsilon (kld[r * SWAGE_KLD_ROWS + SWAGE_KLD_NLL_BASE], base[r], 1e-5);
      g_assert_cmpfloat_with_epsilon (kld[r * SWAGE_KLD_ROWS + SWAGE_KLD_NLL_OTHER], other[r], 1e-5);
    }
  close_golden (&g);
}

static void
test_quant (void)
{
  static const struct
  {
    const char *name;
    guint kind;
  } kinds[] = { { "quant_int8", SWAGE_QUANT_INT },
                { "quant_e4m3", SWAGE_QUANT_E4M3 },
                { "quant_e5m2", SWAGE_QUANT_E5M2 } };
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      Golden g = open_golden (kinds[i].name);
      int64_t n = get_length (&g, "x");
      SwageQuantActArgs args = { kinds[i].kind, SWAGE_SCOPE_TENSOR, 8, 1, 0 };
      SwageOpCall call = { .dst = floats (take (&g, (size_t)n * 4), n, 1, 1, 1), .args = &args };
      call.src[0] = floats (get_floats (&g, "x"), n, 1, 1, 1);
      run_ref ("quant_act", &call);
      assert_near (call.dst.data, get_floats (&g, "y"), n, 1e-7);
      close_golden (&g);
    }
}

static void
test_rotate (void)
{
  Golden g = open_golden ("rotate");
  int64_t a = get_int (&g, "a"), b = get_int (&g, "b"), m = get_int (&g, "m");

  for (guint inverse = 0; inverse < 2; inverse++)
    {
      SwageRotateArgs args = { inverse };
      SwageOpCall call
          = { .dst = floats (take (&g, (size_t)(a * b * m) * 4), a * b, m, 1, 1), .args = &args };
      call.src[0] = floats (get_floats (&g, "x"), a * b, m, 1, 1);
      call.src[1] = floats (get_floats (&g, "q1"), a, a, 1, 1);
      call.src[2] = floats (get_floats (&g, "q2"), b, b, 1, 1);
      run_ref ("rotate", &call);
      assert_near (call.dst.data, get_floats (&g, inverse ? "inverse" : "y"), a * b * m, 1e-6);
    }
  close_golden (&g);
}

/* By hand: y = 2 · x · Wᵀ + bias + y. */
static void
test_matmul (void)
{
  float x[] = { 1, 2, 3, 4, 5, 6 }, w[] = { 1, 0, -1, 0.5f, 0.5f, 0.5f }, bias[] = { 10, 20 },
        y[] = { 1, 1, 1, 1 };
  SwageMatmulArgs args = { 2, 1, 0, 0 };
  SwageOpCall call = { .dst = floats (y, 2, 2, 1, 1), .args = &args };

  call.src[0] = floats (x, 3, 2, 1, 1);
  call.src[1] = floats (w, 3, 2, 1, 1);
  call.src[2] = floats (bias, 2, 1, 1, 1);
  run_ref ("matmul", &call);
  const float want[] = { 2 * -2 + 10 + 1, 2 * 3 + 20 + 1, 2 * -2 + 10 + 1, 2 * 7.5f + 20 + 1 };
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat (y[i], ==, want[i]);
}

/* A sparse matrix equals itself written out and multiplied densely. */
static void
test_sparse (void)
{
  float x[] = { 1, 2, 3, 4, 5, 6, 7, 8 }, value[] = { 2, -1, 3 },
        dense[12] = { 2, 0, 0, -1, 0, 0, 0, 0, 0, 3, 0, 0 };
  float got[6] = { 0 }, want[6] = { 0 };
  gint32 start[] = { 0, 2, 2, 3 }, column[] = { 0, 3, 1 };
  SwageOpCall call = { .dst = floats (want, 3, 2, 1, 1) };

  call.src[0] = floats (x, 4, 2, 1, 1);
  call.src[1] = floats (dense, 4, 3, 1, 1);
  run_ref ("matmul", &call);
  call.dst = floats (got, 3, 2, 1, 1);
  call.src[1] = ints (start, 4);
  call.src[2] = ints (column, 3);
  call.src[3] = floats (value, 3, 1, 1, 1);
  run_ref ("sparse_matmul", &call);
  for (int i = 0; i < 6; i++)
    g_assert_cmpfloat (got[i], ==, want[i]);
}

static void
test_histogram (void)
{
  float x[] = { 0, 0.5f, 0.999f, 1, 3.999f, 4, -1e-6f, 4.1f, NAN, INFINITY, -INFINITY, 2, 2, 2 };
  const gint64 want[] = { 3, 1, 3, 2, 2, 2, 1 }; /* four bins on 0..4, below, above, NaN */
  gint64 count[7] = { 0 };
  SwageHistogramArgs args = { 0, 4, 4 };
  SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_I64, count, 7, 1, 1, 1), .args = &args };

  call.src[0] = floats (x, G_N_ELEMENTS (x), 1, 1, 1);
  run_ref ("histogram", &call);
  for (int i = 0; i < 7; i++)
    g_assert_cmpint (count[i], ==, want[i]);
}

static void
test_moments (void)
{
  float x[] = { 1, -3, 0, 2, NAN, -INFINITY }, centre = 1, threshold[] = { 1, 2.5f };
  const double want[] = { 4, 2, -3, 2, -4, 18, -64, 258, 1, 3, 2, 1 };
  double got[SWAGE_MOMENT_COUNTS + 2] = { 0 };
  SwageOpCall call = { .dst = swage_view (SWAGE_TYPE_F64, got, G_N_ELEMENTS (got), 1, 1, 1) };

  call.src[0] = floats (x, G_N_ELEMENTS (x), 1, 1, 1);
  call.src[1] = floats (&centre, 1, 1, 1, 1);
  call.src[2] = floats (threshold, 2, 1, 1, 1);
  run_ref ("moments", &call);
  for (guint i = 0; i < G_N_ELEMENTS (got); i++)
    g_assert_cmpfloat (got[i], ==, want[i]);
}

/* Two rows at once, and one after the other. */
static void
test_channels (void)
{
  float x[] = { 1, -2, 3, -4, 5, 0 };
  const double want[] = { 4, 5, 3, -3, 3, 3, 17, 29, 9, -4, -2, 0, 1, 5, 3 };

  for (int rows = 2; rows >= 1; rows--)
    {
      double got[15] = { 0 };
      SwageChannelStatsArgs args = { 0 };
      SwageOpCall call
          = { .dst = swage_view (SWAGE_TYPE_F64, got, 3, SWAGE_CHANNEL_ROWS, 1, 1), .args = &args };
      for (int r = 0; r < 2; r += rows)
        {
          args.accumulate = r > 0;
          call.src[0] = floats (x + 3 * r, 3, rows, 1, 1);
          run_ref ("channel_stats", &call);
        }
      for (guint i = 0; i < G_N_ELEMENTS (got); i++)
        g_assert_cmpfloat (got[i], ==, want[i]);
    }
}

static void
test_transform (void)
{
  float x[] = { 1, 2, 3 }, scale[] = { 2, 3, 4, 5 }, shift[] = { 0, 1, 0, 1 }, y[4] = { 0 };
  gint32 from[] = { 2, 0, -1, 3 };
  const float want[] = { 6, 4, 0, 1 };
  SwageOpCall call = { .dst = floats (y, 4, 1, 1, 1) };

  call.src[0] = floats (x, 3, 1, 1, 1);
  call.src[1] = floats (scale, 4, 1, 1, 1);
  call.src[2] = floats (shift, 4, 1, 1, 1);
  call.src[3] = ints (from, 4);
  run_ref ("transform", &call);
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat (y[i], ==, want[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  const char *root = g_getenv ("SWAGE_SOURCE_ROOT");
  g_autofree char *path = g_build_filename (root ? root : ".", "tests", "golden", "ops.json", NULL);
  goldens = json_load_file (path, 0, NULL);
  g_assert_nonnull (goldens);
  g_test_add_func ("/ops-golden/norms", test_norms);
  g_test_add_func ("/ops-golden/act", test_act);
  g_test_add_func ("/ops-golden/rope", test_rope);
  g_test_add_func ("/ops-golden/attention", test_attention);
  g_test_add_func ("/ops-golden/softmax", test_softmax);
  g_test_add_func ("/ops-golden/quant", test_quant);
  g_test_add_func ("/ops-golden/rotate", test_rotate);
  g_test_add_func ("/ops-golden/matmul", test_matmul);
  g_test_add_func ("/ops-golden/sparse", test_sparse);
  g_test_add_func ("/ops-golden/histogram", test_histogram);
  g_test_add_func ("/ops-golden/moments", test_moments);
  g_test_add_func ("/ops-golden/channels", test_channels);
  g_test_add_func ("/ops-golden/transform", test_transform);
  int status = g_test_run ();
  json_decref (goldens);
  return status;
}
