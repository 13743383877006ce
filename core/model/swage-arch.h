/* SPDX-License-Identifier: MIT
 *
 * The architecture table: one entry per family, one file per entry (core/model/arch-NAME.c), collected in core/model/meson.build.
 * An entry says how a config (JSON or GGUF metadata) becomes a SwageConfig, and how tensor names map both ways.
 */
#pragma once

#include "core/base/swage-json.h"
#include "core/format/swage-gguf.h"
#include "core/model/swage-model.h"

/* Whether a file has the bias of a tensor. OPTIONAL ones are there in every block or in none. */
typedef enum { SWAGE_BIAS_NONE, SWAGE_BIAS_OPTIONAL, SWAGE_BIAS_REQUIRED } SwageArchBias;

typedef struct {
  SwageRole role;
  const char *hf;      /* "model.layers.%d.self_attn.q_proj" without ".weight"; %d is the block */
  const char *gguf;    /* "blk.%d.attn_q" */
  bool transposed;     /* stored [n_in, n_out] in HF files (Conv1D) */
  bool permuted_gguf;  /* rows interleaved for rotary embeddings in GGUF files */
  SwageArchBias bias;
} SwageArchTensor;

typedef struct {
  const char *id;                       /* "llama" */
  const char *const *model_types;       /* HF config "model_type", NULL-terminated */
  const char *const *gguf_archs;        /* general.architecture, NULL-terminated */
  const char *gguf_write;               /* general.architecture for export; NULL: no GGUF runtime knows it */
  const SwageArchTensor *tensors;       /* ends with role NONE */
  bool (*config_from_json) (json_t *config, const char *origin, SwageConfig *out, GError **error);
  bool (*config_from_gguf) (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error);
  /* Metadata beyond what every architecture writes; may be NULL. */
  void (*write_gguf) (const SwageConfig *config, SwageGgufWriter *writer);
} SwageArch;

extern const SwageArch *const swage_archs[];   /* NULL-terminated */
const SwageArch *swage_arch_find_model_type (const char *model_type);
const SwageArch *swage_arch_find_gguf (const char *architecture);
/* The entry of an open model. */
const SwageArch *swage_model_get_arch (SwageModel *model);

/* Every dimension a config may name, in one place: what is beyond is not a model. */
#define SWAGE_MAX_BLOCKS 4096
#define SWAGE_MAX_EMBD (1 << 20)
#define SWAGE_MAX_FF (1 << 22)
#define SWAGE_MAX_HEADS (1 << 16)
#define SWAGE_MAX_HEAD_DIM (1 << 16)
#define SWAGE_MAX_VOCAB (1 << 24)
#define SWAGE_MAX_CONTEXT (1 << 28)

/* For the entries. Each sets an error that names `origin` and the key. */

/* A whole number that must be there, 1 … max. */
bool swage_arch_need_int (json_t *config, const char *key, int max, int *value, const char *origin, GError **error);
/* One that may be absent or null: then *value stays. */
bool swage_arch_get_int (json_t *config, const char *key, int min, int max, int *value, const char *origin, GError **error);
/* rope_theta, rope_scaling, rope_parameters, partial_rotary_factor; head_dim must be known. */
bool swage_arch_json_rope (json_t *config, const char *origin, SwageConfig *out, GError **error);
/* layer_types: FALSE with UNSUPPORTED where full and sliding attention are mixed; clears sliding_window where all is full. */
bool swage_arch_json_layer_types (json_t *config, const char *origin, SwageConfig *out, GError **error);
/* The activation's name must be in `names` (NULL-terminated): *index gets which; absent: stays. */
bool swage_arch_json_choice (json_t *config, const char *key, const char *const *names, int *index, const char *origin, GError **error);
/* What every GGUF architecture has: sizes, heads, context, rope, window, vocabulary and whether the output is tied. */
bool swage_arch_gguf_common (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error);
/* Relations that must hold between the numbers. */
bool swage_config_check (const SwageConfig *config, const char *origin, GError **error);
/* The canonical shape of a role's tensor: number of dimensions. Linear layers: [n_out, n_in]. */
int swage_config_get_shape (const SwageConfig *config, SwageRole role, int64_t shape[2]);
/* Whether the role stands in every block. */
bool swage_role_is_in_block (SwageRole role);

/* Rows of a matrix or vector of `n_heads` heads, from the order of GGUF's Llama (pairs interleaved) to that of Hugging Face (halves), or
 * back. `rows` must be a multiple of 2·n_heads. */
void swage_arch_permute_rows (const uint8_t *src, uint8_t *dst, int64_t rows, size_t row_bytes, int n_heads, bool to_gguf);
/* config.json in memory to a SwageConfig (what the fuzzer drives). */
bool swage_config_parse (const char *text, size_t n, const char *origin, SwageConfig *out, GError **error);
