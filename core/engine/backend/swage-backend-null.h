/* SPDX-License-Identifier: MIT
 *
 * A device made of nothing, for tests: it behaves like a GPU (its buffers cannot be seen from the host, imports are copies)
 * and computes on the CPU, so that everything around a device is exercised without one; and it fails when told to.
 */
#pragma once

#include "core/engine/swage-backend.h"

/* A new one each time. */
SwageBackend *swage_backend_null_new (void);
/* Let the n-th call from now on that can fail (alloc, import, upload, download, run, sync) fail; 0: never. Like a lost device, it
 * stays failed from then on. */
void swage_backend_null_fail_at (SwageBackend *backend, int n);
/* Calls that could have failed since it was made, and buffers that are alive. */
int swage_backend_null_get_calls (SwageBackend *backend);
int swage_backend_null_get_buffers (SwageBackend *backend);
