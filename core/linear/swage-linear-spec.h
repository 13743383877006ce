/* SPDX-License-Identifier: MIT
 *
 * The description of a CompressedLinear without its numbers: what parts it has and how they are stored. Enough for exact sizes,
 * for checking whether a chain of steps fits together, and for writing a file's header before its data exists. Plain value.
 */
#pragma once

#include "core/linear/swage-linear.h"

typedef enum {
  SWAGE_PART_DENSE     = 1 << 0,  /* Ŵ in a float type */
  SWAGE_PART_PACKED    = 1 << 1,  /* Ŵ in a block type or INT */
  SWAGE_PART_LOW_RANK  = 1 << 2,  /* A·B; their types may be float or packed */
  SWAGE_PART_SPARSE    = 1 << 3,
  SWAGE_PART_TRANSFORM = 1 << 4,
  SWAGE_PART_ACT_QUANT = 1 << 5,
  SWAGE_PART_BIAS      = 1 << 6,
  SWAGE_PART_OUT_QUANT = 1 << 7,  /* keys or values quantized as they are kept */
} SwageParts;

/* How one matrix is stored. */
typedef struct {
  SwageType type;
  int bits, group_size;      /* layouts alone */
  bool symmetric;
  int stat_bits, stat_group; /* SWAGE_TYPE_INT with scales in two levels; 0: as they are */
} SwageStorage;

typedef struct {
  int64_t n_out, n_in;
  SwageParts parts;
  SwageStorage weight;       /* when DENSE or PACKED */
  int64_t rank;              /* when LOW_RANK */
  int64_t rank_multiple;     /* when !exact: the rank will be a multiple of this; 0 counts as 1 */
  SwageStorage a, b;
  int64_t n_sparse;          /* values in S */
  SwageType sparse_type;
  int64_t sparse_columns;    /* of a column-wise S; 0: compressed sparse row */
  uint64_t transform_bytes;
  int n_act_outliers;
  uint64_t act_bytes;        /* numbers of the quantizers beside outlier columns: clusters, static ranges */
  bool shifts;               /* the transform has a shift */
  bool no_input;             /* rows are looked up by number and never multiplied: nothing to collect statistics of */
  double sparsity;           /* share of zeros in Ŵ that a pruning step put there: 0..1 */
  bool exact;                /* FALSE: rank or counts depend on the data; bytes are then an upper bound */
} SwageLinearSpec;

/* The spec of a layer that exists; exact. */
void swage_linear_spec_init_from (SwageLinearSpec *spec, const SwageLinear *linear);
/* Exact bytes as stored (an upper bound when !spec->exact). Equals swage_linear_get_bytes() of a layer of this spec. */
uint64_t swage_linear_spec_get_bytes (const SwageLinearSpec *spec);
/* "Q4_K", "INT4 g128", "BF16, 50 % zero", "rank 64 (F16)": for screens; new string. */
char *swage_linear_spec_describe (const SwageLinearSpec *spec);
