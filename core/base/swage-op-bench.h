/* SPDX-License-Identifier: MIT
 *
 * How fast the operators are here: each one at a representative large shape, on the pool, beside what the
 * machine can do.
 */
#pragma once

#include <stdbool.h>
#include "kernels/swage-op.h"

typedef struct
{
  double bytes_per_second; /* copied: a large memcpy on all threads, counting every byte once */
  double flops_per_second; /* single-precision multiply-adds on all threads, two operations each */
} SwageOpCeilings;

typedef struct
{
  double seconds; /* of one run, the best of a few */
  double bytes;   /* read and written; for `histogram` and `moments` what they read */
  double flops;   /* 0: limited by memory, bytes count */
} SwageOpBenchResult;

/* Measures for about half a second. */
void swage_op_bench_get_ceilings (SwageOpCeilings *ceilings);

/* Benchmarks, 0..n−1: at least one for every operator. */
int swage_op_bench_n (void);
/* "matmul", "matmul-q4_k" …: static storage. */
const char *swage_op_bench_get_name (int i);
/* Run benchmark `i` for about a quarter of a second. False when the memory for it (up to 512 MiB) is not to
 * be had. */
bool swage_op_bench_run (int i, SwageOpBenchResult *result);

/* Another way to run an operator, on a device for example. `begin` is given the case, `run` runs it once and
 * returns when it is done, `end` follows a `begin` that succeeded. False: this case cannot be run. */
typedef struct
{
  bool (*begin) (const SwageOp *op, const SwageOpCall *call, size_t args_bytes, void *user_data);
  bool (*run) (void *user_data);
  void (*end) (void *user_data);
} SwageOpBenchRunner;
/* Like swage_op_bench_run(), with at most `rows` rows (0: as many as the case has) for devices to which the
 * whole case is minutes. */
bool swage_op_bench_run_with (int i, int64_t rows, const SwageOpBenchRunner *runner, void *user_data,
                              SwageOpBenchResult *result);
