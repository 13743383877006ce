/* SPDX-License-Identifier: MIT
 *
 * Tokenizers: text to token ids and back. Byte-level BPE (GPT-2, Llama 3, Qwen2 …) and SentencePiece-style BPE with
 * byte fallback, read from tokenizer.json (+ tokenizer_config.json) or from GGUF metadata. Immutable after opening;
 * every function may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <gio/gio.h>

typedef struct _SwageTokenizer SwageTokenizer;

typedef enum {
  SWAGE_TOKEN_NORMAL = 1, SWAGE_TOKEN_UNKNOWN, SWAGE_TOKEN_CONTROL, SWAGE_TOKEN_USER_DEFINED, SWAGE_TOKEN_UNUSED, SWAGE_TOKEN_BYTE
} SwageTokenKind; /* GGUF tokenizer.ggml.token_type values */

typedef struct {
  const char *model;         /* "gpt2" (byte-level BPE) or "llama" (SentencePiece-style BPE): GGUF's names */
  const char *pre;           /* GGUF's pre-tokenizer name ("gpt-2", "llama-bpe", "qwen2" …); "default" for "llama" */
  int n_tokens;
  int bos, eos, unk, pad;    /* -1 where there is none */
  bool add_bos, add_eos;     /* whether encoding for a model begins / ends with them */
  bool add_space_prefix;
} SwageTokenizerInfo;

/* From tokenizer.json; `config_path` is tokenizer_config.json or NULL. */
SwageTokenizer *swage_tokenizer_open_json (const char *path, const char *config_path, GError **error);

/* The same from text in memory; `config` may be NULL, `origin` is what errors call it. */
SwageTokenizer *swage_tokenizer_new_json (const char *text, size_t n, const char *config, size_t n_config,
                                          const char *origin, GError **error);

/* What GGUF metadata or a fuzzer gives: arrays are borrowed during the call. */
typedef struct {
  const char *model, *pre;                 /* pre may be NULL */
  int64_t n_tokens;
  const char *const *tokens; const size_t *token_lengths;   /* UTF-8 (GGUF spelling: ▁ and Ġ); lengths in bytes */
  const float *scores;                     /* NULL: none */
  const int32_t *kinds;                    /* SwageTokenKind; NULL: all normal */
  int64_t n_merges; const char *const *merges;  /* "left right" */
  int64_t bos, eos, unk, pad;              /* -1: not given (the model's default) */
  int add_bos, add_eos, add_space_prefix;  /* -1: not given */
  const char *name;                        /* general.name or NULL: llama.cpp knows Phi-3's special tokens by it */
} SwageTokenizerData;
SwageTokenizer *swage_tokenizer_new (const SwageTokenizerData *data, const char *origin, GError **error);

SwageTokenizer *swage_tokenizer_ref (SwageTokenizer *tok);
void swage_tokenizer_unref (SwageTokenizer *tok);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageTokenizer, swage_tokenizer_unref)

const SwageTokenizerInfo *swage_tokenizer_get_info (SwageTokenizer *tok);
/* The piece of token `id` as stored (GGUF spelling), its score and kind; NULL when out of range. For exporters. */
const char *swage_tokenizer_get_piece (SwageTokenizer *tok, int id, size_t *length, float *score, SwageTokenKind *kind);
/* Merges in rank order as "left right" (byte-level BPE); n may be 0. Borrowed. */
const char *const *swage_tokenizer_get_merges (SwageTokenizer *tok, int64_t *n);

typedef enum {
  SWAGE_ENCODE_PLAIN = 0,
  SWAGE_ENCODE_ADD_SPECIAL = 1 << 0,   /* BOS / EOS as the model asks */
  SWAGE_ENCODE_PARSE_SPECIAL = 1 << 1, /* text that spells a special token becomes it */
} SwageEncodeFlags;
/* Append the ids of `n` bytes of text (any bytes; invalid UTF-8 is handled as llama.cpp does) to `ids` (GArray of int32_t). */
bool swage_tokenizer_encode (SwageTokenizer *tok, const char *text, size_t n, SwageEncodeFlags flags, GArray *ids, GError **error);
/* A new string of the bytes that the ids spell (may hold NUL or cut characters; length in the GString). Ids out of range
 * are an error. `special` also spells control tokens. */
GString *swage_tokenizer_decode (SwageTokenizer *tok, const int32_t *ids, size_t n, bool special, GError **error);
/* SHA-256 over what encoding depends on: part of cache keys. Borrowed hex. */
const char *swage_tokenizer_get_fingerprint (SwageTokenizer *tok);
