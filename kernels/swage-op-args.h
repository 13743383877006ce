/* SPDX-License-Identifier: MIT
 *
 * The operators' arguments, read by C and (with SWAGE_GLSL defined) by the shaders as push constants: plain
 * 32-bit members in one order, no padding. Shapes and strides are not here, they belong to the views. What
 * the members mean is said at the top of kernels/ref/NAME.c; all-zero arguments are valid unless that says
 * otherwise.
 */
#ifndef SWAGE_OP_ARGS_H
#define SWAGE_OP_ARGS_H

#ifdef SWAGE_GLSL
#define SWAGE_ARGS(Name, members)                                                                            \
  struct Name                                                                                                \
  {                                                                                                          \
    members                                                                                                  \
  };
#define SWAGE_ARG_UINT(name) uint name;
#define SWAGE_ARG_INT(name) int name;
#define SWAGE_ARG_FLOAT(name) float name;
#else
#include <stdint.h>
#define SWAGE_ARGS(Name, members)                                                                            \
  typedef struct                                                                                             \
  {                                                                                                          \
    members                                                                                                  \
  } Name;
#define SWAGE_ARG_UINT(name) uint32_t name;
#define SWAGE_ARG_INT(name) int32_t name;
#define SWAGE_ARG_FLOAT(name) float name;
#endif

/* SwageActArgs.kind */
#define SWAGE_ACT_SILU 0
#define SWAGE_ACT_RELU 1
#define SWAGE_ACT_GELU_TANH 2
#define SWAGE_ACT_GELU_ERF 3

/* SwageQuantActArgs.kind and .scope */
#define SWAGE_QUANT_INT 0
#define SWAGE_QUANT_E4M3 1
#define SWAGE_QUANT_E5M2 2
#define SWAGE_QUANT_E2M1 3
#define SWAGE_QUANT_OVP 4
#define SWAGE_SCOPE_TOKEN 0
#define SWAGE_SCOPE_GROUP 1
#define SWAGE_SCOPE_TENSOR 2

/* Rows of `moments` before the counts over thresholds, and of `channel_stats`. */
#define SWAGE_MOMENT_N 0
#define SWAGE_MOMENT_BAD 1
#define SWAGE_MOMENT_MIN 2
#define SWAGE_MOMENT_MAX 3
#define SWAGE_MOMENT_S1 4
#define SWAGE_MOMENT_S2 5
#define SWAGE_MOMENT_S3 6
#define SWAGE_MOMENT_S4 7
#define SWAGE_MOMENT_ZEROS 8
#define SWAGE_MOMENT_ABSMAX 9
#define SWAGE_MOMENT_COUNTS 10
#define SWAGE_MOMENT_MAX_THRESHOLDS 8

#define SWAGE_CHANNEL_ABSMAX 0
#define SWAGE_CHANNEL_SUM 1
#define SWAGE_CHANNEL_SUM_SQUARES 2
#define SWAGE_CHANNEL_MIN 3
#define SWAGE_CHANNEL_MAX 4
#define SWAGE_CHANNEL_ROWS 5

/* Rows of the results of `softmax_nll` and `softmax_kld`. */
#define SWAGE_NLL_NLL 0
#define SWAGE_NLL_LSE 1
#define SWAGE_NLL_ARGMAX 2
#define SWAGE_NLL_ROWS 3
#define SWAGE_KLD_KLD 0
#define SWAGE_KLD_SAME_TOP 1
#define SWAGE_KLD_NLL_BASE 2
#define SWAGE_KLD_NLL_OTHER 3
#define SWAGE_KLD_ROWS 4

/* alpha counts as 1 when the whole pointer is NULL. bits and group describe a weight in a layout. */
SWAGE_ARGS (SwageMatmulArgs,
            SWAGE_ARG_FLOAT (alpha) SWAGE_ARG_UINT (accumulate) SWAGE_ARG_UINT (bits) SWAGE_ARG_UINT (group))
SWAGE_ARGS (SwageEmbedArgs, SWAGE_ARG_UINT (accumulate) SWAGE_ARG_UINT (bits) SWAGE_ARG_UINT (group))
SWAGE_ARGS (SwageNormArgs, SWAGE_ARG_FLOAT (eps))
SWAGE_ARGS (SwageRopeArgs, SWAGE_ARG_UINT (rope_dim) SWAGE_ARG_FLOAT (mscale))
SWAGE_ARGS (SwageAttentionArgs, SWAGE_ARG_FLOAT (scale) SWAGE_ARG_UINT (window))
SWAGE_ARGS (SwageActArgs, SWAGE_ARG_UINT (kind))
SWAGE_ARGS (SwageQuantActArgs, SWAGE_ARG_UINT (kind) SWAGE_ARG_UINT (scope) SWAGE_ARG_UINT (bits)
                                   SWAGE_ARG_UINT (symmetric) SWAGE_ARG_UINT (group))
SWAGE_ARGS (SwageSparseArgs, SWAGE_ARG_FLOAT (alpha) SWAGE_ARG_UINT (accumulate))
SWAGE_ARGS (SwageRotateArgs, SWAGE_ARG_UINT (inverse))
SWAGE_ARGS (SwageHistogramArgs, SWAGE_ARG_FLOAT (lo) SWAGE_ARG_FLOAT (hi) SWAGE_ARG_UINT (bins))
SWAGE_ARGS (SwageChannelStatsArgs, SWAGE_ARG_UINT (accumulate))
SWAGE_ARGS (SwageQuantizeIntArgs, SWAGE_ARG_UINT (bits) SWAGE_ARG_UINT (group) SWAGE_ARG_UINT (symmetric))
SWAGE_ARGS (SwagePruneArgs, SWAGE_ARG_UINT (count) SWAGE_ARG_UINT (keep) SWAGE_ARG_UINT (of))

#endif
