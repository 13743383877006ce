/* SPDX-License-Identifier: MIT
 *
 * A walk over the rows of a weight, for methods: decoded slice by slice on the worker pool, so that no dense
 * copy of the matrix exists; cancellable; refusing numbers that no method can work with.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/linear/swage-weight.h"

typedef struct
{
  const SwageWeight *weight;
  const char *layer;        /* for messages */
  float limit;              /* largest |w| allowed; 0: any finite one */
  const char *limit_reason; /* translated: why, the end of "…holds 7e4, but " */
  int pass,
      n_passes; /* for progress: this is pass `pass` of `n_passes` over the rows; 0 and 0 count as 0 and 1 */
  SwageJob *job;
} SwageRowWalk;

/* `values` are rows [row, row + n) decoded, the function's own to change; `worker` is in
 * 0..swage_pool_get_threads()-1. How rows are cut into slices depends on the shape alone. */
typedef void (*SwageRowFunc) (int64_t row, int64_t n, float *values, int worker, void *user_data);

/* Call func for all rows, from several threads. FALSE with CANCELLED, or with NUMERIC naming layer, row and
 * column of the first NaN, infinity or number beyond the limit; func has not seen its slice then. */
bool swage_rows_walk (const SwageRowWalk *walk, SwageRowFunc func, void *user_data, GError **error);
