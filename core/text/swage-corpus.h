/* SPDX-License-Identifier: MIT
 *
 * A text as the stream of token ids a model sees, and windows cut from it for evaluation and calibration.
 */
#pragma once

#include "core/text/swage-tokenizer.h"

typedef struct _SwageCorpus SwageCorpus;

/* Read the file `path` (a ceiling of 1 GiB) and encode it whole, special tokens in it not parsed, with BOS at the start
 * when the tokenizer adds one. */
SwageCorpus *swage_corpus_open (SwageTokenizer *tok, const char *path, GError **error);
SwageCorpus *swage_corpus_new_from_text (SwageTokenizer *tok, const char *text, size_t n, const char *name, GError **error);
SwageCorpus *swage_corpus_ref (SwageCorpus *corpus);
void swage_corpus_unref (SwageCorpus *corpus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageCorpus, swage_corpus_unref)

const char *swage_corpus_get_name (SwageCorpus *corpus);
const int32_t *swage_corpus_get_tokens (SwageCorpus *corpus, size_t *n);
/* SHA-256 (hex) of the token ids. */
const char *swage_corpus_get_fingerprint (SwageCorpus *corpus);

/* Windows of tokens to run through a model, and which of their positions are scored. */
typedef enum { SWAGE_PROTOCOL_HF, SWAGE_PROTOCOL_LLAMA_CPP } SwageProtocol;
const char *swage_protocol_get_id (SwageProtocol protocol);             /* "hf", "llama.cpp" */
bool swage_protocol_from_id (const char *id, SwageProtocol *protocol);
int swage_protocol_get_default_context (SwageProtocol protocol);        /* 2048, 512 */

typedef struct {
  int n_windows, context;
  int32_t *tokens;       /* n_windows × context, what the model sees */
  int32_t *targets;      /* n_windows × context: the token that position is scored on, or -1 where it is not scored */
  int64_t n_scored;
  char *fingerprint;     /* SHA-256 hex over all of the above */
} SwageWindows;

/* Cut the stream by PRODUCT.md's protocols. `context` 0 means the protocol's default, lowered to the model's `max_context`.
 * `hf`: floor(n/context) windows without overlap; position i is scored on token i+1 of the same window, so context−1 a window.
 * `llama.cpp`: the same windows; the first token of each is *seen* as BOS where the tokenizer adds BOS (targets are unchanged);
 * positions first … context−2 with first = context/2 are scored on token i+1.
 * A text shorter than one window (llama.cpp: two) is an error that says how many tokens it has and how many are needed. */
SwageWindows *swage_windows_new (SwageCorpus *corpus, SwageProtocol protocol, int context, int max_context, GError **error);
/* `samples` windows of `context` tokens, evenly spread over the stream when seed is 0, else drawn with a generator seeded by
 * it; fewer when the text is short (at least one, shortened if need be). Nothing is scored. */
SwageWindows *swage_windows_new_calibration (SwageCorpus *corpus, int samples, int context, int max_context, uint64_t seed, GError **error);
void swage_windows_free (SwageWindows *windows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageWindows, swage_windows_free)
