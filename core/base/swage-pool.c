/* SPDX-License-Identifier: MIT
 *
 * A caller publishes a run, wakes as many sleepers as there are further chunks, and takes chunks itself. When
 * the counter has run out it closes the run: workers that have not joined by then never will, so a short run
 * costs one wake-up call and never waits for a thread that is still waking. Workers look for the next run for
 * some µs before they sleep, because the operators of a forward pass follow each other closely.
 */
#include "core/base/swage-pool.h"

#include <glib.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define MAX_THREADS 256
#define SPINS 64 /* about 3 µs */

typedef struct
{
  void *scratch;
  size_t scratch_bytes;
  char pad[64 - sizeof (void *) - sizeof (size_t)]; /* a cache line each */
} Worker;

static struct
{
  GMutex callers;     /* one run at a time; guards threads and started as well */
  atomic_int threads; /* 0: not decided yet; read by anyone */
  bool started;
  GThread *thread[MAX_THREADS];

  GMutex lock; /* the run that is published */
  GCond wake;
  GCond finished;
  int sleeping;
  bool open, quit;
  atomic_uint generation; /* counts the runs published */
  atomic_int active;      /* workers inside the open run; joins happen under the lock */

  SwagePoolFunc func;
  void *user_data;
  int64_t n, grain, chunks;
  atomic_int_fast64_t next;

  Worker worker[MAX_THREADS];
} pool;

static _Thread_local int this_worker = -1; /* >= 0 inside a run */

static void
relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause ();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int
default_threads (void)
{
  guint64 wanted;
  const char *text = g_getenv ("SWAGE_THREADS");
  if (text != NULL && g_ascii_string_to_unsigned (text, 10, 1, MAX_THREADS, &wanted, NULL))
    return (int)wanted;

  cpu_set_t set;
  CPU_ZERO (&set);
  /* Fails on machines with more CPUs than the set holds (1024): more than we use in any case. */
  int n = sched_getaffinity (0, sizeof set, &set) == 0 ? CPU_COUNT (&set) : (int)g_get_num_processors ();
  return CLAMP (n, 1, MAX_THREADS);
}

static void
run_chunk (SwagePoolFunc func, int64_t chunk, int64_t n, int64_t grain, int worker, void *user_data)
{
  int64_t begin = chunk * grain;
  int64_t end = n - begin > grain ? begin + grain : n;
  func (begin, end, worker, user_data);
}

static void
take_chunks (int worker)
{
  int64_t chunk;
  while ((chunk = atomic_fetch_add_explicit (&pool.next, 1, memory_order_relaxed)) < pool.chunks)
    run_chunk (pool.func, chunk, pool.n, pool.grain, worker, pool.user_data);
}

static gpointer
worker_main (gpointer data)
{
  int worker = GPOINTER_TO_INT (data);
  unsigned seen = 0;
  this_worker = worker;
  g_mutex_lock (&pool.lock);
  for (;;)
    {
      while (!pool.quit && !(pool.open && atomic_load (&pool.generation) != seen))
        {
          pool.sleeping++;
          g_cond_wait (&pool.wake, &pool.lock);
          pool.sleeping--;
        }
      if (pool.quit)
        break;
      seen = atomic_load (&pool.generation);
      atomic_fetch_add (&pool.active, 1);
      g_mutex_unlock (&pool.lock);

      take_chunks (worker);

      g_mutex_lock (&pool.lock);
      if (atomic_fetch_sub (&pool.active, 1) == 1 && !pool.open)
        g_cond_signal (&pool.finished);
      g_mutex_unlock (&pool.lock);
      for (int i = 0; i < SPINS && atomic_load_explicit (&pool.generation, memory_order_relaxed) == seen; i++)
        relax ();
      g_mutex_lock (&pool.lock);
    }
  g_mutex_unlock (&pool.lock);
  return NULL;
}

/* with callers locked */
static void
start (void)
{
  if (pool.threads == 0)
    pool.threads = default_threads ();
  for (int i = 1; i < pool.threads; i++)
    {
      g_autofree char *name = g_strdup_printf ("swage-%d", i);
      pool.thread[i] = g_thread_try_new (name, worker_main, GINT_TO_POINTER (i), NULL);
      if (pool.thread[i] == NULL) /* the system has no more threads for us: go on with what there is */
        break;
    }
  pool.started = true;
}

/* with callers locked */
static void
stop (void)
{
  g_mutex_lock (&pool.lock);
  pool.quit = true;
  g_cond_broadcast (&pool.wake);
  g_mutex_unlock (&pool.lock);
  for (int i = 0; i < MAX_THREADS; i++)
    {
      if (pool.thread[i] != NULL)
        g_thread_join (g_steal_pointer (&pool.thread[i]));
      g_clear_pointer (&pool.worker[i].scratch, free);
      pool.worker[i].scratch_bytes = 0;
    }
  pool.quit = false;
  pool.started = false;
}

void
swage_pool_set_threads (int n)
{
  g_return_if_fail (this_worker < 0);
  g_mutex_lock (&pool.callers);
  if (pool.started)
    stop ();
  pool.threads = CLAMP (n, 1, MAX_THREADS);
  g_mutex_unlock (&pool.callers);
}

int
swage_pool_get_threads (void)
{
  /* Without the lock, which a running caller holds for as long as its run takes. */
  int n = pool.threads;
  if (n == 0)
    {
      g_mutex_lock (&pool.callers);
      if (pool.threads == 0)
        pool.threads = default_threads ();
      n = pool.threads;
      g_mutex_unlock (&pool.callers);
    }
  return n;
}

void
swage_pool_run (int64_t n, int64_t grain, SwagePoolFunc func, void *user_data)
{
  if (n <= 0)
    return;
  grain = CLAMP (grain, 1, n);
  int64_t chunks = (n - 1) / grain + 1;

  if (this_worker >= 0) /* from inside a run: the other threads are busy; same chunks, one after the other */
    {
      for (int64_t i = 0; i < chunks; i++)
        run_chunk (func, i, n, grain, this_worker, user_data);
      return;
    }

  g_mutex_lock (&pool.callers);
  if (!pool.started)
    start ();
  this_worker = 0;
  if (pool.threads == 1 || chunks == 1)
    {
      for (int64_t i = 0; i < chunks; i++)
        run_chunk (func, i, n, grain, 0, user_data);
    }
  else
    {
      g_mutex_lock (&pool.lock);
      pool.func = func;
      pool.user_data = user_data;
      pool.n = n;
      pool.grain = grain;
      pool.chunks = chunks;
      atomic_store (&pool.next, 0);
      pool.open = true;
      atomic_fetch_add (&pool.generation, 1);
      if (pool.sleeping > 0 && chunks - 1 < pool.sleeping)
        for (int64_t i = 0; i < chunks - 1; i++)
          g_cond_signal (&pool.wake);
      else if (pool.sleeping > 0)
        g_cond_broadcast (&pool.wake);
      g_mutex_unlock (&pool.lock);

      take_chunks (0);

      g_mutex_lock (&pool.lock);
      pool.open = false;
      g_mutex_unlock (&pool.lock);
      for (int i = 0; i < SPINS && atomic_load (&pool.active) > 0; i++)
        relax ();
      g_mutex_lock (&pool.lock);
      while (atomic_load (&pool.active) > 0)
        g_cond_wait (&pool.finished, &pool.lock);
      g_mutex_unlock (&pool.lock);
    }
  this_worker = -1;
  g_mutex_unlock (&pool.callers);
}

/* ---- operators ---- */

typedef struct
{
  const SwageOpCall *call;
  SwageOpFunc func;
  size_t scratch_bytes;
} OpRun;

static void *
get_scratch (int index, size_t bytes)
{
  Worker *worker = &pool.worker[index];
  if (bytes > worker->scratch_bytes)
    {
      free (worker->scratch);
      size_t rounded = (bytes + 4095) & ~(size_t)4095;
      worker->scratch = aligned_alloc (64, rounded);
      if (worker->scratch == NULL)
        g_error ("out of memory: %zu bytes of scratch", rounded);
      worker->scratch_bytes = rounded;
    }
  return worker->scratch;
}

static void
run_op_chunk (int64_t begin, int64_t end, int worker, void *user_data)
{
  const OpRun *run = user_data;
  SwageOpCall call = *run->call;
  call.scratch = run->scratch_bytes > 0 ? get_scratch (worker, run->scratch_bytes) : NULL;
  run->func (&call, begin, end);
}

void
swage_pool_run_op (const SwageOp *op, const SwageOpCall *call)
{
  OpRun run = {
    .call = call,
    .func = swage_op_get_func (op),
    .scratch_bytes = swage_op_scratch_bytes (op, call),
  };
  swage_pool_run (op->slices (call), op->grain != NULL ? op->grain (call) : 1, run_op_chunk, &run);
}
