/* SPDX-License-Identifier: MIT
 *
 * The transformer forward pass, block by block, over an abstract backend. The engine never holds the model: a block is a small
 * struct of CompressedLinears that the caller loads, runs and lets go.
 *
 * Hidden states are float32, row-major [n_seq·n_tok × n_embd], sequences one after the other.
 * An engine is used from one thread at a time; backends spread work over the pool.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/engine/swage-backend.h"
#include "core/model/swage-model.h"

/* One transformer block: linear layers (absent roles NULL) and norms. Owned references. */
typedef struct {
  int index;
  SwageLinear *linear[SWAGE_N_ROLES];   /* attn_q … ffn_down */
  float *norm_weight[SWAGE_N_ROLES];    /* attn_norm, ffn_norm, attn_q_norm, attn_k_norm */
  float *norm_bias[SWAGE_N_ROLES];      /* layer norms alone */
} SwageBlock;

/* The original block `index`. NULL with an error when a tensor is missing or cannot be read. */
SwageBlock *swage_block_load (SwageModel *model, int index, GError **error);
/* Replace one linear layer; takes `linear`. */
void swage_block_set_linear (SwageBlock *block, SwageRole role, SwageLinear *linear);
void swage_block_free (SwageBlock *block);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageBlock, swage_block_free)

/* What stands before and after the blocks. */
typedef struct {
  SwageLinear *token_embd;              /* weight n_vocab × n_embd; rows are gathered */
  float *pos_embd;                      /* n_positions × n_embd or NULL */
  int64_t n_positions;
  float *output_norm_weight, *output_norm_bias;
  SwageLinear *output;                  /* n_vocab × n_embd; for tied models the same weight as token_embd */
} SwageEnds;
SwageEnds *swage_ends_load (SwageModel *model, GError **error);
void swage_ends_free (SwageEnds *ends);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageEnds, swage_ends_free)

typedef struct _SwageEngine SwageEngine;
/* `backend` NULL: the CPU. Both are borrowed and must outlive the engine. */
SwageEngine *swage_engine_new (SwageModel *model, SwageBackend *backend, GError **error);
void swage_engine_free (SwageEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageEngine, swage_engine_free)

/* Keys and values of the tokens run so far, for generation. One sequence; capacity in tokens. */
typedef struct _SwageKv SwageKv;
SwageKv *swage_kv_new (SwageEngine *engine, int capacity, GError **error);
void swage_kv_free (SwageKv *kv);
void swage_kv_truncate (SwageKv *kv, int n);

/* Called with the input x [n × n_in] of a linear layer, before its transform, while the block runs; x is borrowed, host memory.
 * attn_q, attn_k and attn_v share one input, so do ffn_gate and ffn_up: the tap is called once for each role all the same. */
typedef void (*SwageTapFunc) (SwageRole role, const float *x, int64_t n, int64_t n_in, gpointer user_data);

/* h ← token (and position) embeddings of `tokens` [n_seq × n_tok]; `position` is that of each sequence's first token. Ids outside
 * the vocabulary are an error. */
bool swage_engine_embed (SwageEngine *engine, const SwageEnds *ends, const int32_t *tokens, int n_seq, int n_tok, int position, float *h, GError **error);
/* h ← block(h), in place. With `kv` (n_seq must be 1) keys and values are appended for this block. `tap` may be NULL.
 * Works in slices of sequences so that scratch memory stays within some tens of MiB; steps `job` (NULL allowed) by tokens done. After a failure
 * what h holds is undefined, and kv is as long as before. */
bool swage_engine_run_block (SwageEngine *engine, const SwageBlock *block, int n_seq, int n_tok, float *h, SwageKv *kv,
                             SwageTapFunc tap, gpointer user_data, SwageJob *job, GError **error);
/* logits [n × n_vocab] ← output(norm(h)) for n rows of h. h is not changed. `ends->output` may be compressed. */
bool swage_engine_logits (SwageEngine *engine, const SwageEnds *ends, const float *h, int64_t n, float *logits, GError **error);
/* y [n × n_out] ← the CompressedLinear applied to x [n × n_in]: all parts of it. */
bool swage_engine_linear (SwageEngine *engine, const SwageLinear *linear, const float *x, int64_t n, float *y, GError **error);
