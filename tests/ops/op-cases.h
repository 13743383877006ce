/* SPDX-License-Identifier: MIT
 *
 * Cases for every operator of the table: shapes that break things. A case owns its memory; the result lies
 * between guard bands, and what is not an element of a source (gaps between rows, bytes around it) is NaN.
 */
#pragma once

#include "kernels/swage-op.h"
#include <glib.h>

typedef struct
{
  char *base;
  size_t size;
} OpBlock;

typedef struct
{
  SwageOpCall call;
  union
  {
    SwageMatmulArgs matmul;
    SwageEmbedArgs embed;
    SwageNormArgs norm;
    SwageRopeArgs rope;
    SwageAttentionArgs attention;
    SwageActArgs act;
    SwageQuantActArgs quant_act;
    SwageSparseArgs sparse;
    SwageRotateArgs rotate;
    SwageHistogramArgs histogram;
    SwageChannelStatsArgs channel_stats;
    SwageQuantizeIntArgs quantize_int;
    SwagePruneArgs prune;
  } args;
  OpBlock blocks[SWAGE_OP_MAX_SRC + 1]; /* [0] is the result's */
  int n_blocks;
  int quantities; /* 0: the result is one thing; 1, 2: a thing for each index of dimension 0, 1 */
  bool in_place;  /* the result may lie in source 0 */
} OpCase;

int op_cases_count (const char *id);
/* Case `i` of operator `id`. op_case_clear() frees its memory. */
void op_case_build (OpCase *c, const char *id, int i);
void op_case_clear (OpCase *c);
/* A contiguous copy of the result's elements; free with g_free. */
void *op_case_dup_result (const OpCase *c, size_t *n);
/* Whether nothing but elements of the result differs from `before`, a copy of blocks[0]. */
bool op_case_guards_intact (const OpCase *c, const char *before);
/* Normalized squared error of `got` against `want` (as op_case_dup_result() gives them), the worst over the
 * quantities. Infinite where one is NaN and the other is not. */
double op_case_nmse (const OpCase *c, const void *got, const void *want);
