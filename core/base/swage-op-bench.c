/* SPDX-License-Identifier: MIT
 *
 * Shapes are those of a 7B model (hidden 4096, 32 heads of 128, vocabulary 32000) on 512 tokens.
 */
#include "core/base/swage-op-bench.h"

#include <glib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "kernels/swage-op.h"

#define TOKENS 512
#define HIDDEN 4096
#define VOCAB 32000

typedef struct
{
  SwageOpCall call;
  void *memory[SWAGE_OP_MAX_SRC + 1];
  int n_memory;
  size_t args_bytes;
  bool failed;
  bool reads_only; /* the result's bytes do not count */
  bool by_bytes;   /* memory is the limit although the operator counts operations */
} Run;

/* ---- tensors ---- */

static SwageView
add_tensor (Run *run, SwageType type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)
{
  size_t bytes = swage_type_row_bytes (type, ne0) * (size_t)(ne1 * ne2 * ne3);
  void *memory = g_try_malloc (bytes + 64);
  if (memory == NULL)
    {
      run->failed = true;
      return (SwageView){ 0 };
    }
  run->memory[run->n_memory++] = memory;
  memset (memory, 0, bytes);
  return swage_view (type, (void *)(((uintptr_t)memory + 63) & ~(uintptr_t)63), ne0, ne1, ne2, ne3);
}

/* Random numbers, roughly normal: a few rows of them over and over. */
static SwageView
add_random (Run *run, SwageType type, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3)
{
  SwageView v = add_tensor (run, type, ne0, ne1, ne2, ne3);
  if (run->failed)
    return v;
  size_t row = swage_type_row_bytes (type, ne0);
  int64_t rows = ne1 * ne2 * ne3, fresh = MIN (rows, MAX (1, 65536 / ne0));
  g_autofree float *values = g_new (float, ne0);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (int64_t r = 0; r < fresh; r++)
    {
      for (int64_t i = 0; i < ne0; i++)
        values[i] = (float)(g_rand_double (rand) + g_rand_double (rand) + g_rand_double (rand) - 1.5);
      swage_type_from_f32 (type, values, NULL, (char *)v.data + (size_t)r * row, ne0);
    }
  for (int64_t r = fresh; r < rows; r++)
    memcpy ((char *)v.data + (size_t)r * row, (char *)v.data + (size_t)(r % fresh) * row, row);
  return v;
}

static SwageView
add_ints (Run *run, int64_t n, int64_t step, int64_t below)
{
  SwageView v = add_tensor (run, SWAGE_TYPE_I32, n, 1, 1, 1);
  for (int64_t i = 0; !run->failed && i < n; i++)
    ((gint32 *)v.data)[i] = (gint32)(i * step % below);
  return v;
}

/* ---- one builder for each operator ---- */

static void
build_matmul (Run *run, int64_t m, SwageType type)
{
  run->call.dst = add_tensor (run, SWAGE_TYPE_F32, HIDDEN, m, 1, 1);
  run->call.src[0] = add_random (run, SWAGE_TYPE_F32, HIDDEN, m, 1, 1);
  run->call.src[1] = add_random (run, type, HIDDEN, HIDDEN, 1, 1);
  run->by_bytes = m == 1;
}

static void
build_embed (Run *run, int64_t m, SwageType type)
{
  run->call.dst = add_tensor (run, SWAGE_TYPE_F32, HIDDEN, m, 1, 1);
  run->call.src[0] = add_random (run, type, HIDDEN, VOCAB, 1, 1);
  run->call.src[1] = add_ints (run, m, 7919, VOCAB);
}

/* y = f (x, …) on rows: n_src of them of x's shape, then `n_vectors` of one row. */
static void
build_rows (Run *run, int64_t k, int64_t m, int n_src, int n_vectors)
{
  run->call.dst = add_tensor (run, SWAGE_TYPE_F32, k, m, 1, 1);
  for (int i = 0; i < n_src; i++)
    run->call.src[i] = add_random (run, SWAGE_TYPE_F32, k, m, 1, 1);
  for (int i = 0; i < n_vectors; i++)
    run->call.src[n_src + i] = add_random (run, SWAGE_TYPE_F32, k, 1, 1, 1);
}

static void
build_two_rows (Run *run, int64_t m, SwageType type)
{
  build_rows (run, HIDDEN, m, 2, 0);
}

static void
build_norm (Run *run, int64_t m, SwageType type)
{
  static const SwageNormArgs args = { 1e-5f };
  build_rows (run, HIDDEN, m, 1, 2);
  run->call.args = &args;
  run->args_bytes = sizeof args;
}

static void
build_act (Run *run, int64_t m, SwageType type)
{
  static const SwageActArgs args = { SWAGE_ACT_GELU_TANH };
  build_rows (run, HIDDEN, m, 1, 0);
  run->call.args = &args;
  run->args_bytes = sizeof args;
}

static void
build_rope (Run *run, int64_t m, SwageType type)
{
  static const SwageRopeArgs args = { 0, 1 };
  run->call.dst = add_tensor (run, SWAGE_TYPE_F32, 128, 32, m, 1);
  run->call.src[0] = add_random (run, SWAGE_TYPE_F32, 128, 32, m, 1);
  run->call.src[1] = add_ints (run, m, 1, TOKENS);
  run->call.src[2] = add_random (run, SWAGE_TYPE_F32, 64, 1, 1, 1);
  run->call.args = &args;
  run->args_bytes = sizeof args;
}

static void
build_attention (Run *run, int64_t n_seq, SwageType type)
{
  static const SwageAttentionArgs args = { 0.088f, 0 };
  run->call.dst = add_tensor (run, SWAGE_TYPE_F32, 128, 32, TOKENS, n_seq);
  for (int i = 0; i < 3; i++)
    run->call.src[i] = add_random (run, SWAGE_TYPE_F32, 128, 32, TOKENS, n_seq);
  run->call.args = &args;
  run->args_bytes = sizeof args;
}

static void
build_nll (Run *run, int64_t m, SwageType type)
{
  run->call.dst = add_tensor (run, SWAGE_TYPE_F64, SWAGE_NLL_ROWS, m, 1, 1);
  run->call.src[0] = add_random (run, SWAGE_TYPE_F32, VOCAB, m, 1, 1);
  run->call.src[1] = add_ints (run, m, 7919, VOCAB);
}

static void
build_kld (Run *run, int64_t m, SwageType type)
{
  run->call.dst = add_tensor (run, SWAGE_TYPE_F64, SWAGE_KLD_ROWS, m, 1, 1);
  run->call.src[0] = add_random (run, SWAGE_TYPE_F32, VOCAB, m, 1, 1);
  run->call.src[1] = add_random (run, SWAGE_TYPE_F32, VOCAB, m, 1, 1);
  run->call.src[2] = add_ints (run, m, 7919, VOCAB);
}

static void
build_transform (Run *run, int64_t m, SwageType type)
{
  build_rows (run, HIDDEN, m, 1, 2);
}

static void
build_quant_act (Run *run, int64_t m, SwageType type)
{
  static const SwageQuantActArgs args = { SWAGE_QUANT_INT, SWAGE_SCOPE_TOKEN, 8, 1, 0 };
  build_rows (run, HIDDEN, m, 1, 0);
  run->call.args = &args;
  run->args_bytes = sizeof args;
}

static void
build_sparse (Run *run, int64_t m, SwageType type)
{
  int64_t each = HIDDEN / 100; /* 1 % */
  build_rows (run, HIDDEN, m, 1, 0);
  run->call.src[1] = add_tensor (run, SWAGE_TYPE_I32, HIDDEN + 1, 1, 1, 1);
  for (int64_t o = 0; !run->failed && o <= HIDDEN; o++)
    ((gint32 *)run->call.src[1].data)[o] = (gint32)(o * each);
  run->call.src[2] = add_ints (run, HIDDEN * each, 1013, HIDDEN);
  run->call.src[3] = add_random (run, type, HIDDEN * each, 1, 1, 1);
}

static void
build_rotate (Run *run, int64_t m, SwageType type)
{
  build_rows (run, HIDDEN, m, 1, 0);
  run->call.src[1] = add_random (run, SWAGE_TYPE_F32, 64, 64, 1, 1);
  run->call.src[2] = add_random (run, SWAGE_TYPE_F32, 64, 64, 1, 1);
}

static void
build_histogram (Run *run, int64_t rows, SwageType type)
{
  static const SwageHistogramArgs args = { -1.5f, 1.5f, 512 };
  run->call.src[0] = add_random (run, type, HIDDEN, rows, 1, 1);
  run->call.dst = add_tensor (run, SWAGE_TYPE_I64, 512 + 3, 2 * swage_pool_get_threads (), 1, 1);
  run->call.args = &args;
  run->args_bytes = sizeof args;
  run->reads_only = true;
}

static void
build_moments (Run *run, int64_t rows, SwageType type)
{
  run->call.src[0] = add_random (run, type, HIDDEN, rows, 1, 1);
  run->call.src[2] = add_random (run, SWAGE_TYPE_F32, 2, 1, 1, 1);
  run->call.dst = add_tensor (run, SWAGE_TYPE_F64, SWAGE_MOMENT_COUNTS + 2, 64, 1, 1);
  run->reads_only = true;
}

static void
build_channels (Run *run, int64_t m, SwageType type)
{
  run->call.src[0] = add_random (run, type, HIDDEN, m, 1, 1);
  run->call.dst = add_tensor (run, SWAGE_TYPE_F64, HIDDEN, SWAGE_CHANNEL_ROWS, 1, 1);
}

static const struct
{
  const char *name, *op;
  void (*build) (Run *run, int64_t rows, SwageType type);
  int64_t rows;
  SwageType type;
} benches[] = {
  { "matmul", "matmul", build_matmul, TOKENS, SWAGE_TYPE_BF16 },
  { "matmul-f16", "matmul", build_matmul, TOKENS, SWAGE_TYPE_F16 },
  { "matmul-f32", "matmul", build_matmul, TOKENS, SWAGE_TYPE_F32 },
  { "matmul-q8_0", "matmul", build_matmul, TOKENS, SWAGE_TYPE_Q8_0 },
  { "matmul-q4_k", "matmul", build_matmul, TOKENS, SWAGE_TYPE_Q4_K },
  { "matmul-1-row", "matmul", build_matmul, 1, SWAGE_TYPE_BF16 },
  { "embed", "embed", build_embed, TOKENS, SWAGE_TYPE_BF16 },
  { "add", "add", build_two_rows, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "rms_norm", "rms_norm", build_norm, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "layer_norm", "layer_norm", build_norm, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "rope", "rope", build_rope, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "attention", "attention", build_attention, 1, SWAGE_TYPE_F32 },
  { "silu_mul", "silu_mul", build_two_rows, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "act", "act", build_act, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "softmax_nll", "softmax_nll", build_nll, TOKENS, SWAGE_TYPE_F32 },
  { "softmax_kld", "softmax_kld", build_kld, TOKENS, SWAGE_TYPE_F32 },
  { "transform", "transform", build_transform, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "quant_act", "quant_act", build_quant_act, 4 * TOKENS, SWAGE_TYPE_F32 },
  { "sparse_matmul", "sparse_matmul", build_sparse, TOKENS, SWAGE_TYPE_F16 },
  { "rotate", "rotate", build_rotate, TOKENS, SWAGE_TYPE_F32 },
  { "histogram", "histogram", build_histogram, 8192, SWAGE_TYPE_BF16 },
  { "histogram-f32", "histogram", build_histogram, 4096, SWAGE_TYPE_F32 },
  { "moments", "moments", build_moments, 4096, SWAGE_TYPE_BF16 },
  { "channel_stats", "channel_stats", build_channels, 4 * TOKENS, SWAGE_TYPE_F32 },
};

/* ---- measuring ---- */

static double
now (void)
{
  return (double)g_get_monotonic_time () / 1e6;
}

static void
copy_slices (int64_t begin, int64_t end, int worker, void *user_data)
{
  char *const *pair = user_data;
  memcpy (pair[1] + (begin << 20), pair[0] + (begin << 20), (size_t)(end - begin) << 20);
}

static void
peak_slices (int64_t begin, int64_t end, int worker, void *user_data)
{
  double *flops = user_data;
  for (int64_t s = begin; s < end; s++)
    flops[s] = swage_cpu_run_peak (1000000);
}

void
swage_op_bench_get_ceilings (SwageOpCeilings *ceilings)
{
  enum
  {
    MEBIBYTES = 128
  };
  g_autofree char *from = g_try_malloc ((gsize)MEBIBYTES << 20), *to = g_try_malloc ((gsize)MEBIBYTES << 20);
  int threads = swage_pool_get_threads ();
  g_autofree double *flops = g_new0 (double, threads);
  double best_copy = INFINITY, best_peak = INFINITY, done = 0;

  if (from != NULL && to != NULL)
    {
      char *pair[2] = { from, to };
      memset (from, 1, (gsize)MEBIBYTES << 20);
      memset (to, 2, (gsize)MEBIBYTES << 20);
      for (int i = 0; i < 8; i++)
        {
          double start = now ();
          swage_pool_run (MEBIBYTES, 4, copy_slices, pair);
          best_copy = MIN (best_copy, now () - start);
        }
    }
  for (int i = 0; i < 8; i++)
    {
      double start = now ();
      swage_pool_run (threads, 1, peak_slices, flops);
      best_peak = MIN (best_peak, now () - start);
    }
  for (int i = 0; i < threads; i++)
    done += flops[i];
  ceilings->bytes_per_second = (double)MEBIBYTES * 1048576 / best_copy;
  ceilings->flops_per_second = done / best_peak;
}

int
swage_op_bench_n (void)
{
  return G_N_ELEMENTS (benches);
}

const char *
swage_op_bench_get_name (int i)
{
  g_return_val_if_fail (i >= 0 && i < swage_op_bench_n (), NULL);
  return benches[i].name;
}

static double
count_bytes (const SwageView *v)
{
  return v->data == NULL
             ? 0
             : (double)swage_type_row_bytes (v->type, v->ne[0]) * (double)(v->ne[1] * v->ne[2] * v->ne[3]);
}

/* On the pool. */
typedef struct
{
  const SwageOp *op;
  const SwageOpCall *call;
} PoolRun;

static bool
pool_begin (const SwageOp *op, const SwageOpCall *call, size_t args_bytes, void *user_data)
{
  *(PoolRun *)user_data = (PoolRun){ op, call };
  return true;
}

static bool
pool_run (void *user_data)
{
  swage_pool_run_op (((PoolRun *)user_data)->op, ((PoolRun *)user_data)->call);
  return true;
}

static void
pool_end (void *user_data)
{
}

bool
swage_op_bench_run (int i, SwageOpBenchResult *result)
{
  static const SwageOpBenchRunner pool = { pool_begin, pool_run, pool_end };
  PoolRun run;

  return swage_op_bench_run_with (i, 0, &pool, &run, result);
}

bool
swage_op_bench_run_with (int i, int64_t rows, const SwageOpBenchRunner *runner, void *user_data,
                         SwageOpBenchResult *result)
{
  g_return_val_if_fail (i >= 0 && i < swage_op_bench_n (), false);
  const SwageOp *op = swage_op_find (benches[i].op);
  Run run = { 0 };
  bool good = false;

  rows = rows > 0 ? MIN (rows, benches[i].rows) : benches[i].rows;
  benches[i].build (&run, rows, benches[i].type);
  if (op != NULL && !run.failed && runner->begin (op, &run.call, run.args_bytes, user_data))
    {
      double begin = now (), best = INFINITY;
      good = true;
      for (int n = 0; good && (n < 3 || (n < 1000 && now () - begin < 0.25)); n++)
        {
          double start = now ();
          good = runner->run (user_data);
          best = MIN (best, now () - start);
        }
      result->seconds = best;
      result->flops = op->flops != NULL && !run.by_bytes ? op->flops (&run.call) : 0;
      result->bytes = run.reads_only ? 0 : count_bytes (&run.call.dst);
      for (int s = 0; s < SWAGE_OP_MAX_SRC; s++)
        if (benches[i].build != build_embed || s > 0)
          result->bytes += count_bytes (&run.call.src[s]);
        else /* the rows that are asked for */
          result->bytes += (double)swage_type_row_bytes (benches[i].type, HIDDEN) * (double)rows;
      runner->end (user_data);
    }
  for (int m = 0; m < run.n_memory; m++)
    g_free (run.memory[m]);
  return good;
}
