/* SPDX-License-Identifier: MIT
 *
 * The worker pool: runs slices on all threads. Work is handed out in chunks of `grain` slices, always cut at
 * the same multiples of grain, so what a chunk computes does not depend on the number of threads. Idle
 * workers sleep.
 */
#pragma once

#include <stdint.h>
#include "kernels/swage-op.h"

/* Threads to use, 1..256; the default is SWAGE_THREADS or the number of CPUs of this process. Main thread
 * only, before work is running. */
void swage_pool_set_threads (int n);
int swage_pool_get_threads (void);

/* `worker` is in 0..threads-1: an index for per-worker scratch memory. */
typedef void (*SwagePoolFunc) (int64_t begin, int64_t end, int worker, void *user_data);
/* Run func over [0, n) and return when all is done. The caller works too. Calls from several threads are
 * served one after the other; a call from inside func runs serially. */
void swage_pool_run (int64_t n, int64_t grain, SwagePoolFunc func, void *user_data);

/* Run an operator on all threads, its fast version, with scratch memory per worker. */
void swage_pool_run_op (const SwageOp *op, const SwageOpCall *call);
