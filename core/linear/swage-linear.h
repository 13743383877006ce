/* SPDX-License-Identifier: MIT
 *
 * CompressedLinear: what any compressed layer is.
 *
 *   y = Qa(T·x)·Ŵᵀ + (T·x·A)·B + x·Sᵀ + b
 *
 * Absent parts are NULL and cost nothing. A layer nobody has compressed has Ŵ and b alone, Ŵ being the file's own bytes.
 * Immutable once published (built by swage_linear_new_with and the like), refcounted, any thread.
 */
#pragma once

#include "core/linear/swage-weight.h"

/* T: x ↦ rotate(permute(x ⊙ scale + shift)). Parts may be NULL. Lengths n_in. rotate = Q1 ⊗ Q2, orthogonal, row-major. */
typedef struct {
  float *scale, *shift;
  int32_t *permutation;    /* out[i] = in[permutation[i]] */
  float *q1, *q2;          /* q1_n × q1_n and q2_n × q2_n with q1_n·q2_n = n_in */
  int q1_n, q2_n;
} SwageTransform;

typedef enum { SWAGE_ACT_PER_TENSOR, SWAGE_ACT_PER_TOKEN, SWAGE_ACT_PER_GROUP } SwageActScope;
typedef enum { SWAGE_ACT_INT, SWAGE_ACT_FP8_E4M3, SWAGE_ACT_FP8_E5M2, SWAGE_ACT_FP4_E2M1 } SwageActFormat;
/* Qa: a dynamic activation quantizer; its values are quantized and decoded again. */
typedef struct {
  SwageActFormat format;
  SwageActScope scope;
  int bits, group_size;    /* bits for SWAGE_ACT_INT; columns a group for SWAGE_ACT_PER_GROUP */
  bool symmetric;
  int n_outliers;
  int32_t *outliers;       /* columns left as they are; ascending */
} SwageActQuant;

/* S: rows of output, compressed sparse row. */
typedef struct {
  int64_t rows, cols, n_values;
  int64_t *row_start;      /* rows + 1 */
  uint32_t *column;
  SwageType type;          /* F16 or F32 */
  void *values;
} SwageSparse;

typedef struct _SwageLinear SwageLinear;
struct _SwageLinear {
  char *name;              /* "blk.3.ffn_down" */
  int64_t n_out, n_in;
  SwageTransform *transform;
  SwageActQuant *act_quant;
  SwageWeight *weight;     /* n_out × n_in, or NULL when the low-rank term is all there is */
  SwageWeight *a;          /* rank × n_in: stored as the rows of Aᵀ, so that both factors are plain weights */
  SwageWeight *b;          /* n_out × rank: the rows of Bᵀ */
  SwageSparse *sparse;
  float *bias;             /* n_out */
};

/* A plain layer; takes `weight` and `bias` (g_malloc'ed, may be NULL), copies `name`. */
SwageLinear *swage_linear_new (const char *name, SwageWeight *weight, float *bias);
/* A mutable copy that shares the parts of `linear` (weights by reference, small parts deep-copied): the start of every step.
 * Change it only before publishing it. */
SwageLinear *swage_linear_dup (const SwageLinear *linear);
SwageLinear *swage_linear_ref (SwageLinear *linear);
void swage_linear_unref (SwageLinear *linear);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageLinear, swage_linear_unref)
void swage_linear_set_weight (SwageLinear *linear, SwageWeight *weight);                       /* takes; NULL removes */
void swage_linear_set_low_rank (SwageLinear *linear, SwageWeight *a, SwageWeight *b);          /* takes; NULLs remove */

int64_t swage_linear_get_rank (const SwageLinear *linear);
/* Exact sum of the parts, in bytes as stored. */
uint64_t swage_linear_get_bytes (const SwageLinear *linear);
/* n_out·n_in: the parameters of the original layer, the denominator of bits per weight. */
int64_t swage_linear_get_parameters (const SwageLinear *linear);
/* The dense n_out × n_in matrix that the layer multiplies its *untransformed* input by where that is linear (Ŵ·T, A·B, S
 * summed; Qa ignored), as a new g_malloc'ed array: for error figures, heat maps, goldens. */
float *swage_linear_get_effective (const SwageLinear *linear);
/* The same for `n` rows of it, row i of dst being row rows[i] (rows NULL: the first n): what a compressed token table gives for a text. */
void swage_linear_get_effective_rows (const SwageLinear *linear, const int32_t *rows, int64_t n, float *dst);
