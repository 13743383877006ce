/* SPDX-License-Identifier: MIT
 *
 * The pool hands every slice out once, in the same chunks for any number of threads; nested and concurrent
 * calls work; operators get scratch memory of their own.
 */
#include "core/base/swage-pool.h"

#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#define N 10007

typedef struct
{
  atomic_int seen[N];
  int64_t chunk_end[N]; /* by first slice; 0: no chunk began there */
  atomic_int wrong_worker;
} Record;

static void
record (int64_t begin, int64_t end, int worker, void *user_data)
{
  Record *r = user_data;
  r->chunk_end[begin] = end;
  for (int64_t i = begin; i < end; i++)
    atomic_fetch_add (&r->seen[i], 1);
  if (worker < 0 || worker >= swage_pool_get_threads ())
    atomic_fetch_add (&r->wrong_worker, 1);
}

static void
test_chunks (void)
{
  static const int64_t grains[] = { 1, 7, 64, 5000, N, 3 * N };
  for (size_t g = 0; g < G_N_ELEMENTS (grains); g++)
    for (int threads = 1; threads <= 5; threads++)
      {
        g_autofree Record *r = g_new0 (Record, 1);
        swage_pool_set_threads (threads);
        g_assert_cmpint (swage_pool_get_threads (), ==, threads);
        swage_pool_run (N, grains[g], record, r);
        for (int64_t i = 0; i < N; i++)
          {
            g_assert_cmpint (r->seen[i], ==, 1);
            if (i % grains[g] == 0)
              g_assert_cmpint (r->chunk_end[i], ==, MIN (i + grains[g], N));
            else
              g_assert_cmpint (r->chunk_end[i], ==, 0);
          }
        g_assert_cmpint (r->wrong_worker, ==, 0);
      }
}

static void
test_odd_sizes (void)
{
  g_autofree Record *r = g_new0 (Record, 1);
  swage_pool_set_threads (3);
  swage_pool_run (0, 1, record, r);
  swage_pool_run (-5, 1, record, r);
  g_assert_cmpint (r->seen[0], ==, 0);
  swage_pool_run (3, 0, record, r); /* a grain below one counts as one */
  g_assert_cmpint (r->seen[2], ==, 1);
  g_assert_cmpint (r->chunk_end[1], ==, 2);
}

/* Sums of floats in chunk order: equal bits for any number of threads. */
typedef struct
{
  float partial[N];
} Sums;

static void
add_up (int64_t begin, int64_t end, int worker, void *user_data)
{
  Sums *sums = user_data;
  float sum = 0;
  for (int64_t i = begin; i < end; i++)
    sum += 1.0f / (float)(i + 1);
  sums->partial[begin] = sum;
}

static void
test_determinism (void)
{
  g_autofree Sums *one = g_new0 (Sums, 1);
  swage_pool_set_threads (1);
  swage_pool_run (N, 13, add_up, one);
  for (int threads = 2; threads <= 4; threads++)
    {
      g_autofree Sums *many = g_new0 (Sums, 1);
      swage_pool_set_threads (threads);
      swage_pool_run (N, 13, add_up, many);
      g_assert_cmpmem (one, sizeof *one, many, sizeof *many);
    }
}

static void
inner (int64_t begin, int64_t end, int worker, void *user_data)
{
  atomic_fetch_add ((atomic_int *)user_data, (int)(end - begin));
}

static void
outer (int64_t begin, int64_t end, int worker, void *user_data)
{
  for (int64_t i = begin; i < end; i++)
    swage_pool_run (100, 9, inner, user_data);
}

static void
test_nested (void)
{
  atomic_int total = 0;
  swage_pool_set_threads (3);
  swage_pool_run (50, 1, outer, &total);
  g_assert_cmpint (total, ==, 5000);
}

static gpointer
caller (gpointer data)
{
  for (int i = 0; i < 500; i++)
    swage_pool_run (40, 3, inner, data);
  return NULL;
}

static void
test_concurrent_callers (void)
{
  atomic_int total = 0;
  GThread *threads[4];
  swage_pool_set_threads (3);
  for (size_t i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new (NULL, caller, &total);
  for (size_t i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (total, ==, 4 * 500 * 40);
}

/* An operator that copies its slice by way of its scratch memory. */
static int64_t
copy_slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static int64_t
copy_grain (const SwageOpCall *call)
{
  return 3;
}

static size_t
copy_scratch (const SwageOpCall *call)
{
  return (size_t)call->dst.ne[0] * sizeof (float);
}

static void
copy (const SwageOpCall *call, int64_t begin, int64_t end)
{
  g_assert_nonnull (call->scratch);
  g_assert_cmpuint ((uintptr_t)call->scratch % 64, ==, 0);
  for (int64_t i = begin; i < end; i++)
    {
      size_t bytes = (size_t)call->dst.ne[0] * sizeof (float);
      memcpy (call->scratch, (const char *)call->src[0].data + i * call->src[0].nb[1], bytes);
      memcpy ((char *)call->dst.data + i * call->dst.nb[1], call->scratch, bytes);
    }
}

static void
test_operator (void)
{
  static const SwageOp op = {
    .id = "test_copy",
    .summary = "dst = src",
    .slices = copy_slices,
    .grain = copy_grain,
    .scratch_bytes = copy_scratch,
    .ref = copy,
  };
  for (int64_t width = 1; width <= 5000; width = width * 7 + 1)
    {
      int64_t rows = 101;
      g_autofree float *from = g_new (float, width *rows), *to = g_new0 (float, width *rows);
      for (int64_t i = 0; i < width * rows; i++)
        from[i] = (float)i;
      SwageOpCall call = {
        .dst = swage_view (SWAGE_TYPE_F32, to, width, rows, 1, 1),
        .src[0] = swage_view (SWAGE_TYPE_F32, from, width, rows, 1, 1),
      };
      swage_pool_set_threads (1 + (int)(width % 4));
      swage_pool_run_op (&op, &call);
      g_assert_cmpmem (from, (size_t)(width * rows) * sizeof (float), to,
                       (size_t)(width * rows) * sizeof (float));
    }
}

static void
test_environment (void)
{
  if (g_test_subprocess ())
    {
      g_assert_cmpint (swage_pool_get_threads (), ==, 3);
      return;
    }
  g_setenv ("SWAGE_THREADS", "3", TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_unsetenv ("SWAGE_THREADS");
  g_test_trap_assert_passed ();
}

static void
nothing (int64_t begin, int64_t end, int worker, void *user_data)
{
}

/* Prints what a run costs; the figure is not judged here. */
static void
test_cost (void)
{
  swage_pool_set_threads (2);
  swage_pool_run (2, 1, nothing, NULL);
  gint64 start = g_get_monotonic_time ();
  for (int i = 0; i < 10000; i++)
    swage_pool_run (2, 1, nothing, NULL);
  g_test_message ("an empty run with 2 threads: %.2f µs", (double)(g_get_monotonic_time () - start) / 10000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/pool/environment", test_environment);
  g_test_add_func ("/base/pool/chunks", test_chunks);
  g_test_add_func ("/base/pool/odd-sizes", test_odd_sizes);
  g_test_add_func ("/base/pool/determinism", test_determinism);
  g_test_add_func ("/base/pool/nested", test_nested);
  g_test_add_func ("/base/pool/concurrent-callers", test_concurrent_callers);
  g_test_add_func ("/base/pool/operator", test_operator);
  g_test_add_func ("/base/pool/cost", test_cost);
  return g_test_run ();
}
