/* SPDX-License-Identifier: MIT
 *
 * How fast the operators are on a device, beside what the device can do: the cases of
 * core/base/swage-op-bench.h.
 */
#pragma once

#include "core/base/swage-op-bench.h"
#include "core/engine/swage-backend.h"

/* By two programs of nothing else: a copy in device memory, and multiply-adds in registers. False with an
 * error when the device cannot run them. `quick`: for devices that are slow, a hundredth of the work. */
bool swage_device_bench_get_ceilings (SwageBackend *backend, bool quick, SwageOpCeilings *ceilings,
                                      GError **error);
/* Benchmark `i` on the device; `quick`: on few rows. False without an error when the device does not run this
 * case itself, with one when it fails. */
bool swage_device_bench_run (SwageBackend *backend, int i, bool quick, SwageOpBenchResult *result,
                             GError **error);
