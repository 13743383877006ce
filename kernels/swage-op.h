/* SPDX-License-Identifier: MIT
 *
 * The operator contract.
 *
 * An operator is a pure function on views. It is written twice: `ref` is scalar C with double accumulators
 * and nothing clever (the specification), `cpu` is optional and fast. Both process any range of *slices*;
 * slices are independent of each other, so a result does not depend on how a call is cut up, nor on the
 * number of threads. A missing fast version is slow, never broken. The table is assembled from
 * kernels/meson.build.
 *
 * Nothing here allocates, locks, logs or fails. Threads: any, as long as slice ranges in flight are disjoint.
 */
#pragma once

#include "kernels/swage-op-args.h"
#include "kernels/swage-type.h"

#define SWAGE_OP_MAX_SRC 8

/* A view of up to four dimensions; ne[0] is the fastest (the row). nb[d] is the stride of dimension d in
 * bytes; nb[0] is the size of one element for plain types and of one block for block types. Borrowed memory.
 */
typedef struct
{
  void *data;
  SwageType type;
  int64_t ne[4];
  int64_t nb[4];
} SwageView;

typedef struct
{
  SwageView dst;
  SwageView src[SWAGE_OP_MAX_SRC]; /* data == NULL: absent */
  const void *args;                /* the operator's own struct of swage-op-args.h, or NULL */
  void *scratch; /* swage_op_scratch_bytes() bytes for this slice range, 64-byte aligned, or NULL */
} SwageOpCall;

typedef struct SwageOp SwageOp;
typedef void (*SwageOpFunc) (const SwageOpCall *call, int64_t begin, int64_t end);

struct SwageOp
{
  const char *id;                                    /* "rms_norm": file stem, shader stem, bench name */
  const char *summary;                               /* one line: the formula */
  int64_t (*slices) (const SwageOpCall *call);       /* independent units of work (rows, tiles, heads …) */
  int64_t (*grain) (const SwageOpCall *call);        /* slices handed out at once; NULL: 1 */
  size_t (*scratch_bytes) (const SwageOpCall *call); /* per range in flight; NULL: none */
  SwageOpFunc ref;                                   /* never NULL */
  double nmse;                                       /* agreement asked of cpu and shader against ref */
  double (*flops) (const SwageOpCall *call); /* for the bench; NULL: bandwidth-bound, bytes are counted */
};

/* What the CPU has: AVX2 means AVX2+FMA+F16C; AVX512 means F, BW, DQ, VL on top. */
typedef enum
{
  SWAGE_CPU_PORTABLE,
  SWAGE_CPU_AVX2,
  SWAGE_CPU_AVX512,
  SWAGE_CPU_AVX512_BF16
} SwageCpuLevel;

/* The table, in the order of kernels/meson.build. */
extern const SwageOp *const swage_ops[];
extern const int swage_n_ops;

/* NULL when there is no such operator. */
const SwageOp *swage_op_find (const char *id);
/* The fastest version for this CPU (`ref` when there is no other). Chosen once;
 * SWAGE_CPU=ref|portable|avx2|avx512 in the environment lowers the choice. */
SwageOpFunc swage_op_get_func (const SwageOp *op);
size_t swage_op_scratch_bytes (const SwageOp *op, const SwageOpCall *call);

/* The fast version built for `level`, or NULL when this CPU cannot run that level or the operator has none.
 * Ignores SWAGE_CPU; for tests and the bench. */
SwageOpFunc swage_op_get_func_at (const SwageOp *op, SwageCpuLevel level);

/* A contiguous view. For block types ne0 must be a multiple of the block. */
SwageView swage_view (SwageType type, const void *data, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3);

/* The level in use. Honours SWAGE_CPU. */
SwageCpuLevel swage_cpu_get_level (void);
/* "AVX2 FMA F16C AVX512F …": static storage. */
const char *swage_cpu_get_features (void);

/* Run `rounds` rounds of independent multiply-adds in registers at the level in use, for the bench: the
 * floating-point operations that took. One round is 12 to 24 vectors. */
double swage_cpu_run_peak (int64_t rounds);
