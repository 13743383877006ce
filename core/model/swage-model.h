/* SPDX-License-Identifier: MIT
 *
 * A model: one language model on disk, whatever its files. Tensors have one name and one orientation:
 *
 *   token_embd, pos_embd, blk.N.attn_norm|attn_q|attn_k|attn_v|attn_qkv|attn_q_norm|attn_k_norm|attn_output|ffn_norm|
 *   ffn_gate|ffn_up|ffn_down, output_norm, output
 *
 * Linear layers are [n_out × n_in], queries and keys in Hugging Face's order of rows (rotate-half), whatever the file: a GGUF
 * Llama's interleaved rows and GPT-2's transposed Conv1D matrices are put right when they are loaded. Everything else is mapped,
 * and nothing is read that is not asked for. Immutable after opening; any thread.
 */
#pragma once

#include "core/format/swage-safetensors.h"
#include "core/linear/swage-linear.h"
#include "core/text/swage-tokenizer.h"

typedef enum {
  SWAGE_ROLE_TOKEN_EMBD, SWAGE_ROLE_POS_EMBD,
  SWAGE_ROLE_ATTN_NORM, SWAGE_ROLE_ATTN_Q, SWAGE_ROLE_ATTN_K, SWAGE_ROLE_ATTN_V, SWAGE_ROLE_ATTN_QKV,
  SWAGE_ROLE_ATTN_Q_NORM, SWAGE_ROLE_ATTN_K_NORM, SWAGE_ROLE_ATTN_OUTPUT,
  SWAGE_ROLE_FFN_NORM, SWAGE_ROLE_FFN_GATE, SWAGE_ROLE_FFN_UP, SWAGE_ROLE_FFN_DOWN,
  SWAGE_ROLE_OUTPUT_NORM, SWAGE_ROLE_OUTPUT,
  SWAGE_N_ROLES, SWAGE_ROLE_NONE = -1
} SwageRole;
/* "attn_q" and so on; static. */
const char *swage_role_get_id (SwageRole role);
/* TRUE for the roles that are matrices of a linear layer within a block, and for output (not token_embd). */
bool swage_role_is_linear (SwageRole role);

typedef enum { SWAGE_NORM_RMS, SWAGE_NORM_LAYER } SwageNormKind;
typedef enum { SWAGE_POS_ROPE, SWAGE_POS_LEARNED } SwagePosKind;
typedef enum { SWAGE_FFN_SILU_GATED, SWAGE_FFN_GELU_TANH, SWAGE_FFN_GELU, SWAGE_FFN_RELU } SwageFfnKind;
typedef enum { SWAGE_ROPE_SCALING_NONE, SWAGE_ROPE_SCALING_LINEAR, SWAGE_ROPE_SCALING_LLAMA3 } SwageRopeScaling;

/* The shape of the transformer: what the engine needs to know, and no more. */
typedef struct {
  const char *architecture;     /* GGUF's word: "llama", "qwen2", "qwen3", "gpt2", "opt" (static) */
  int n_blocks, n_embd, n_ff, n_heads, n_kv_heads, head_dim, n_vocab, max_context;
  SwageNormKind norm;
  double norm_eps;
  SwagePosKind position;
  int position_offset;          /* added to positions before the learned table (OPT: 2) */
  double rope_base;
  int rope_dims;
  SwageRopeScaling rope_scaling;
  double rope_factor, rope_low_freq_factor, rope_high_freq_factor;
  int rope_original_context;
  int sliding_window;           /* 0: none */
  SwageFfnKind ffn;
  bool tied_output;             /* output shares token_embd */
} SwageConfig;

/* A tensor by its one name. */
typedef struct {
  char *name;                   /* "blk.0.attn_q", and ".bias" appended for biases: "blk.0.attn_q.bias" */
  char *source_name;            /* in the file */
  SwageRole role;
  bool is_bias;
  int block;                    /* −1 outside blocks */
  SwageType type;
  char dtype[16];               /* the file's own word */
  int n_dims;
  int64_t shape[SWAGE_MAX_DIMS]; /* canonical: linear layers [n_out, n_in] */
  uint64_t bytes;               /* in the file */
  int file; uint64_t offset;
} SwageTensor;

typedef struct _SwageModel SwageModel;

/* Open an HF folder, a .safetensors file (config.json and tokenizer looked for beside it), or a GGUF file. The format is told by
 * content, not by name. A missing tokenizer is not an error here (get_tokenizer says why); an unknown architecture is
 * UNSUPPORTED, naming it and those that are known. */
SwageModel *swage_model_open (const char *path, GError **error);
SwageModel *swage_model_ref (SwageModel *model);
void swage_model_unref (SwageModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageModel, swage_model_unref)

const char *swage_model_get_path (SwageModel *model);
const char *swage_model_get_name (SwageModel *model);          /* for people: the folder's or file's stem */
const char *swage_model_get_format (SwageModel *model);        /* "safetensors" or "gguf" */
const SwageConfig *swage_model_get_config (SwageModel *model);
/* Opened on first use; NULL with the reason when there is none or it cannot be read. Borrowed. Any thread. */
SwageTokenizer *swage_model_get_tokenizer (SwageModel *model, GError **error);
int64_t swage_model_get_parameters (SwageModel *model);        /* elements of all tensors; tied ones once */
uint64_t swage_model_get_bytes (SwageModel *model);            /* bytes of all tensors as stored */
/* "sha256:…" over config, names, shapes, types and a fixed sample of every tensor's bytes: quick at any size. Borrowed. */
const char *swage_model_get_fingerprint (SwageModel *model);

/* Tensors that the architecture knows, in canonical order (token_embd, pos_embd, blocks, output_norm, output). Others in the file
 * (masks, rotary buffers) are not listed. */
int swage_model_get_n_tensors (SwageModel *model);
const SwageTensor *swage_model_get_tensor (SwageModel *model, int i);
const SwageTensor *swage_model_find_tensor (SwageModel *model, const char *name);   /* NULL when absent */

/* The layers that a plan can name: token_embd, every linear layer, and output when it is not tied. Indices are stable. */
int swage_model_get_n_layers (SwageModel *model);
const SwageTensor *swage_model_get_layer (SwageModel *model, int i);

/* Load. Matrices come mapped where the file holds them in canonical order, else as a permuted or transposed copy. */
SwageWeight *swage_model_load_weight (SwageModel *model, const SwageTensor *tensor, GError **error);
/* A vector (norm, bias) or small matrix as floats; n gets the number of elements. g_malloc'ed. */
float *swage_model_load_floats (SwageModel *model, const SwageTensor *tensor, int64_t *n, GError **error);
/* The layer as an uncompressed CompressedLinear, its bias included. `name` is the layer's name; "output" works for tied models too. */
SwageLinear *swage_model_load_linear (SwageModel *model, const char *name, GError **error);
/* Tell the system that a block's pages will be needed soon / no longer (madvise); harmless when it cannot. */
void swage_model_prefetch_block (SwageModel *model, int block);
void swage_model_release_block (SwageModel *model, int block);

/* What exporters copy. HF: path of config.json and others (NULL when absent). GGUF: the open file. */
const char *swage_model_get_config_path (SwageModel *model);
const char *swage_model_get_folder (SwageModel *model);
struct _SwageGguf *swage_model_get_gguf (SwageModel *model);   /* NULL for safetensors */
/* Tensors of the file that the architecture does not use: masks and rotary buffers that old checkpoints carry, and whatever else. */
int swage_model_get_n_ignored (SwageModel *model);
/* A GGUF file's own divisors of the rotary frequencies ("rope_freqs.weight"), n = rope_dims/2; NULL when there are none. Borrowed. */
const float *swage_model_get_rope_factors (SwageModel *model, int *n);
