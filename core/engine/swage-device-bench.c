/* SPDX-License-Identifier: MIT
 *
 * The time of a run is from handing over the work to its end, so for small cases it says what handing over
 * costs.
 */
#include "core/engine/swage-device-bench.h"

#include <math.h>

#define QUICK_ROWS 16

/* ---- ceilings ---- */

static double
now (void)
{
  return (double)g_get_monotonic_time () / G_USEC_PER_SEC;
}

/* The best time of a few runs; INFINITY when it fails. */
static double
time_dispatch (SwageBackend *backend, const SwageOp *op, const SwageDispatch *d, GError **error)
{
  double best = INFINITY;

  for (int i = 0; i < 4; i++)
    {
      double start = now ();
      if (!swage_backend_run (backend, op, d, error) || !swage_backend_sync (backend, error))
        return INFINITY;
      best = MIN (best, now () - start);
    }
  return best;
}

bool
swage_device_bench_get_ceilings (SwageBackend *backend, bool quick, SwageOpCeilings *ceilings, GError **error)
{
  /* No operators: programs that only this file asks for. */
  static const SwageOp peak = { .id = "peak" }, copy = { .id = "copy" };
  const uint64_t limit = swage_backend_get_memory_limit (backend);
  const int64_t floats
      = (int64_t)(MIN ((uint64_t)(quick ? 16 : 100) << 20, limit / 4) / sizeof (float)) / 256 * 256;
  const int64_t threads = quick ? 1024 : 262144;
  struct
  {
    uint32_t rounds;
  } args = { quick ? 1000 : 4000 };
  SwageBuffer *from = swage_backend_alloc (backend, (size_t)floats * sizeof (float), error);
  SwageBuffer *to
      = from != NULL ? swage_backend_alloc (backend, (size_t)floats * sizeof (float), error) : NULL;
  bool ok = to != NULL;

  if (ok)
    {
      SwageView view = swage_view (SWAGE_TYPE_F32, NULL, floats, 1, 1, 1);
      SwageDispatch d = { .dst = { to, 0, view }, .src = { { from, 0, view } } };
      double seconds = time_dispatch (backend, &copy, &d, error);
      ok = isfinite (seconds);
      ceilings->bytes_per_second = 2.0 * (double)floats * sizeof (float) / seconds;
    }
  if (ok)
    {
      SwageView view = swage_view (SWAGE_TYPE_F32, NULL, MIN (threads, floats), 1, 1, 1);
      SwageDispatch d = { .dst = { to, 0, view }, .args = &args, .args_bytes = sizeof args };
      double seconds = time_dispatch (backend, &peak, &d, error);
      ok = isfinite (seconds);
      ceilings->flops_per_second = 2.0 * 32 * args.rounds * (double)view.ne[0] / seconds;
    }
  swage_buffer_unref (from);
  swage_buffer_unref (to);
  return ok;
}

/* ---- operators ---- */

typedef struct
{
  SwageBackend *backend;
  const SwageOp *op;
  SwageDispatch dispatch;
  SwageBuffer *buffers[SWAGE_OP_MAX_SRC + 1];
  GError *error;
  bool on_device;
} DeviceRun;

static void
device_end (void *user_data)
{
  DeviceRun *run = user_data;

  for (int i = 0; i <= SWAGE_OP_MAX_SRC; i++)
    g_clear_pointer (&run->buffers[i], swage_buffer_unref);
}

static bool
place (DeviceRun *run, int i, const SwageView *view, SwageArray *array)
{
  if (view->data == NULL)
    return true;
  size_t bytes = (size_t)(view->nb[3] * view->ne[3]);
  run->buffers[i] = swage_backend_alloc (run->backend, bytes, &run->error);
  *array = (SwageArray){ .buffer = run->buffers[i], .view = *view };
  array->view.data = NULL;
  return run->buffers[i] != NULL && swage_buffer_upload (run->buffers[i], 0, view->data, bytes, &run->error);
}

static bool
run_once (DeviceRun *run)
{
  return swage_backend_run (run->backend, run->op, &run->dispatch, &run->error)
         && swage_backend_sync (run->backend, &run->error);
}

static bool
device_begin (const SwageOp *op, const SwageOpCall *call, size_t args_bytes, void *user_data)
{
  DeviceRun *run = user_data;
  SwageBackendCounters before, after;
  bool ok = true;

  run->op = op;
  run->dispatch = (SwageDispatch){ .args = call->args, .args_bytes = args_bytes };
  ok = place (run, 0, &call->dst, &run->dispatch.dst);
  for (int i = 0; ok && i < SWAGE_OP_MAX_SRC; i++)
    ok = place (run, i + 1, &call->src[i], &run->dispatch.src[i]);
  swage_backend_get_counters (run->backend, &before);
  ok = ok && run_once (run); /* and the pipeline is made */
  swage_backend_get_counters (run->backend, &after);
  run->on_device = after.cpu_fallback_ops == before.cpu_fallback_ops;
  if (!ok || !run->on_device)
    device_end (run);
  return ok && run->on_device;
}

static bool
device_run (void *user_data)
{
  return run_once (user_data);
}

bool
swage_device_bench_run (SwageBackend *backend, int i, bool quick, SwageOpBenchResult *result, GError **error)
{
  static const SwageOpBenchRunner runner = { device_begin, device_run, device_end };
  DeviceRun run = { .backend = backend };
  bool ok = swage_op_bench_run_with (i, quick ? QUICK_ROWS : 0, &runner, &run, result);

  if (run.error != NULL)
    g_propagate_error (error, run.error);
  return ok;
}
