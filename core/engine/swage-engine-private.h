/* SPDX-License-Identifier: MIT
 *
 * The engine's own pieces: working space, dispatches, and CompressedLinears bound to a backend. Private to
 * core/engine.
 */
#pragma once

#include "core/engine/swage-engine.h"
#include "kernels/swage-op-args.h"

/* Operators that the forward pass is made of; names in swage-engine.c. */
typedef enum
{
  OP_MATMUL,
  OP_BCQ_MATMUL,
  OP_SPARSE_MATMUL,
  OP_TRANSFORM,
  OP_ROTATE,
  OP_QUANT_ACT,
  OP_EMBED,
  OP_ADD,
  OP_RMS_NORM,
  OP_LAYER_NORM,
  OP_ROPE,
  OP_ATTENTION,
  OP_ACT,
  OP_SILU_MUL,
  N_OPS
} SwageEngineOp;

/* Working space, one growing buffer each, kept between calls. */
typedef enum
{
  SPACE_IN,   /* host rows on their way to a device … */
  SPACE_OUT,  /* … and back */
  SPACE_NORM, /* what a norm gives: [n_embd] a token */
  SPACE_WORK, /* attention: q | attended (| k | v); feed-forward: gate | up */
  SPACE_KEYS, /* keys and values of one long sequence */
  SPACE_VALUES,
  SPACE_TRANSFORMED, /* T·x */
  SPACE_QUANTIZED,   /* Qa(T·x) */
  SPACE_RANK,        /* T·x·A */
  SPACE_TURNED,      /* (U1 ⊗ U2)ᵀ·(Qa(T·x)·Ŵᵀ) */
  SPACE_IDS,
  SPACE_POSITIONS,
  N_SPACES
} SwageEngineSpace;

struct _SwageEngine
{
  SwageModel *model;
  const SwageConfig *config;
  SwageBackend *backend;
  bool own_backend;
  const SwageOp *op[N_OPS];
  SwageBuffer *space[N_SPACES];
  SwageBuffer *inv_freq; /* rope_dims / 2 floats, or NULL */
  double rope_mscale;
  int64_t position_rows, position_first, position_n_tok; /* what SPACE_POSITIONS holds */
  float *tap_memory;                                     /* rows fetched from a device for a tap */
  size_t tap_bytes;

  SwageJob *job; /* of the call in progress */
  double job_done, job_total;
};

struct _SwageKv
{
  SwageEngine *engine;
  int capacity, n_blocks;
  SwageBuffer **keys, **values; /* a block each, allocated on first use */
  int *n;                       /* tokens held, a block each */
};

/* ---- swage-engine.c: space, rows, dispatches ---- */

/* A contiguous float array. */
static inline SwageArray
swage_array_f32 (SwageBuffer *buffer, size_t offset, int64_t ne0, int64_t ne1)
{
  return (SwageArray){ buffer, offset, swage_view (SWAGE_TYPE_F32, NULL, ne0, ne1, 1, 1) };
}

/* At least `bytes` of working space; contents undefined. Borrowed. */
SwageBuffer *swage_engine_get_space (SwageEngine *engine, SwageEngineSpace space, size_t bytes,
                                     GError **error);
/* Working space that one slice may take, by what the backend has. */
size_t swage_engine_get_slice_bytes (SwageEngine *engine);
/* Run an operator, then look whether the job was cancelled. */
bool swage_engine_run (SwageEngine *engine, SwageEngineOp op, const SwageDispatch *dispatch, GError **error);
/* A buffer with `n` bytes of memory that outlives it. */
SwageBuffer *swage_engine_import (SwageEngine *engine, const void *memory, size_t n, GError **error);

/* Host rows [n × cols] as an array of the backend: the same memory where it can be, else SPACE_IN or
 * SPACE_OUT. */
typedef struct
{
  SwageArray array;
  float *host;
  bool wrapped;
} SwageRowsIo;
bool swage_rows_open (SwageEngine *engine, SwageRowsIo *io, SwageEngineSpace space, float *host, int64_t n,
                      int64_t cols, bool read, GError **error);
/* `write`: the host gets the rows. Frees what was opened, whatever happens. */
bool swage_rows_close (SwageEngine *engine, SwageRowsIo *io, bool write, GError **error);
void swage_rows_clear (SwageRowsIo *io);

/* dst ← norm(x), rows of ne0 values. `bias` NULL for an RMS norm without one. */
bool swage_engine_norm (SwageEngine *engine, SwageNormKind kind, SwageBuffer *weight, SwageBuffer *bias,
                        SwageArray x, SwageArray dst, GError **error);

/* ---- swage-engine-linear.c ---- */

typedef struct
{
  SwageArray codes, scales, zeros;
  int bits, group;
  int64_t rows, cols;
} SwageBoundWeight;

/* A CompressedLinear whose parts are buffers of the backend. All zeros: nothing bound. */
typedef struct
{
  const SwageLinear *linear; /* borrowed */
  SwageBoundWeight weight, a, b;
  SwageBuffer *bias;
  SwageArray scale, shift, permutation, q1, q2, u1, u2;
  SwageArray outliers, ranges;
  SwageArray out_ranges; /* of linear->out_quant */
  SwageBuffer *row_start, *column;
  SwageArray values;
} SwageBoundLinear;

bool swage_bound_linear_init (SwageEngine *engine, SwageBoundLinear *bound, const SwageLinear *linear,
                              GError **error);
void swage_bound_linear_clear (SwageBoundLinear *bound);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SwageBoundLinear, swage_bound_linear_clear)

/* What the terms of a layer read; x itself where nothing transforms or quantizes it. */
typedef struct
{
  SwageArray x, quantized, rank;
  SwageArray turned; /* all outputs of Ŵ, turned back; where the layer does so */
} SwageLinearInput;
/* x [n_in × n], contiguous; a per-tensor quantizer takes every `tensor_rows` rows for one tensor. The result
 * is good until the next call. */
bool swage_bound_linear_prepare (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x,
                                 int64_t tensor_rows, SwageLinearInput *in, GError **error);
/* x [rows of tokens] ← what attention keeps of it, where the layer has a quantizer for that; in place. */
bool swage_bound_linear_keep (SwageEngine *engine, const SwageBoundLinear *bound, SwageArray x,
                              int64_t tensor_rows, GError **error);
/* dst [n_rows × n] ← outputs [row0, row0 + n_rows) of the layer; `accumulate` adds to what is there. */
bool swage_bound_linear_apply (SwageEngine *engine, const SwageBoundLinear *bound, const SwageLinearInput *in,
                               int64_t row0, int64_t n_rows, SwageArray dst, bool accumulate, GError **error);
