/* SPDX-License-Identifier: MIT
 *
 * CompressedLinear: what any compressed layer is.
 *
 *   y = Qa(T·x)·Ŵᵀ + (T·x·A)·B + x·Sᵀ + b        T may also turn the first product: see SwageTransform
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
  /* The other side: the product with Ŵ, and it alone, is turned back, y ↦ (U1 ⊗ U2)ᵀ·y (QuIP). Both or neither; orthogonal,
   * row-major, u1_n·u2_n = n_out. */
  float *u1, *u2;
  int u1_n, u2_n;
} SwageTransform;

typedef enum { SWAGE_ACT_PER_TENSOR, SWAGE_ACT_PER_TOKEN, SWAGE_ACT_PER_GROUP } SwageActScope;
/* OVP: outlier-victim pairs (OliVe); outliers are what a static range leaves outside. */
typedef enum { SWAGE_ACT_INT, SWAGE_ACT_FP8_E4M3, SWAGE_ACT_FP8_E5M2, SWAGE_ACT_FP4_E2M1, SWAGE_ACT_OVP } SwageActFormat;
/* Qa: a dynamic activation quantizer; its values are quantized and decoded again. */
typedef struct {
  SwageActFormat format;
  SwageActScope scope;
  int bits, group_size;    /* bits for SWAGE_ACT_INT and OVP (4 or 8); columns a group for SWAGE_ACT_PER_GROUP */
  bool symmetric;
  int n_outliers;
  int32_t *outliers;       /* columns left as they are; ascending */
  /* Runs of columns that are quantized as if each were an input of its own (RPTQ): run i is columns
   * [cluster_start[i], cluster_start[i+1]); n_clusters + 1 numbers from 0 to n_in. 0 and NULL: none. Not with
   * PER_GROUP nor with outliers. */
  int n_clusters;
  int32_t *cluster_start;
  /* Static ranges (lo, hi): one, one a group, or one a cluster. 0 and NULL: ranges are taken from the data. */
  int n_ranges;
  float *ranges;
} SwageActQuant;

/* S: rows of output, compressed sparse row; or column-wise, where all rows have values in the same columns: then row_start is
 * NULL, `column` names those n_values / rows columns once, rising, and values are rows × columns. */
typedef struct {
  int64_t rows, cols, n_values;
  int64_t *row_start;      /* rows + 1; NULL: column-wise */
  uint32_t *column;
  SwageType type;          /* F16 or F32 */
  void *values;
} SwageSparse;

/* The values of a row: the first one's index, how many, and their columns. */
static inline int64_t
swage_sparse_get_row (const SwageSparse *s, int64_t row, int64_t *n, const uint32_t **columns)
{
  *n = s->row_start != NULL ? s->row_start[row + 1] - s->row_start[row] : s->n_values / s->rows;
  *columns = s->row_start != NULL ? s->column + s->row_start[row] : s->column;
  return s->row_start != NULL ? s->row_start[row] : row * *n;
}
/* Entries of `column`. */
static inline int64_t
swage_sparse_get_n_columns (const SwageSparse *s)
{
  return s->row_start != NULL ? s->n_values : s->n_values / s->rows;
}

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
  /* What attention keeps of this layer's output is quantized so: keys after their rotation, and values. Runs in the block, not in
   * swage_engine_linear(). Rows of tokens; groups count from the first key or value. */
  SwageActQuant *out_quant;
  /* Folded: what stands before the layer already does x ↦ x ⊙ absorbed_in + absorbed_shift (n_in), what stands after it expects
   * y ⊙ absorbed_out (n_out). Absent: all ones (zeros). Marks only: they cost nothing and neither engine nor exporter look at
   * them; get_effective() relates the layer to the original with them. */
  float *absorbed_in, *absorbed_shift, *absorbed_out;
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

/* Forget the marks of folding (`linear` is not published yet). */
void swage_linear_clear_absorbed (SwageLinear *linear);
/* Bytes of a quantizer's numbers: outlier columns, clusters, static ranges. NULL counts 0. */
uint64_t swage_act_quant_get_bytes (const SwageActQuant *quant);
void swage_act_quant_free (SwageActQuant *quant);
void swage_transform_free (SwageTransform *transform);

/* The rows of a matrix as one vector each of rows values, turned: m (n1·n2 × cols) ← (U1 ⊗ U2)·m, or with its transpose. On the
 * pool, products summed in double. */
void swage_linear_rotate_rows (float *m, int64_t cols, const float *u1, int n1, const float *u2, int n2, bool transposed);

int64_t swage_linear_get_rank (const SwageLinear *linear);
/* Exact sum of the parts, in bytes as stored. */
uint64_t swage_linear_get_bytes (const SwageLinear *linear);
/* n_out·n_in: the parameters of the original layer, the denominator of bits per weight. */
int64_t swage_linear_get_parameters (const SwageLinear *linear);
/* The dense n_out × n_in matrix that the layer multiplies its *untransformed* input by where that is linear (Ŵ·T, A·B, S
 * summed; Qa ignored), as a new g_malloc'ed array: for error figures, heat maps, goldens. What has been folded into neighbours is
 * put back: the matrix is comparable with the original's. */
float *swage_linear_get_effective (const SwageLinear *linear);
/* The same for `n` rows of it, row i of dst being row rows[i] (rows NULL: the first n): what a compressed token table gives for a text. */
void swage_linear_get_effective_rows (const SwageLinear *linear, const int32_t *rows, int64_t n, float *dst);
