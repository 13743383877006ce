/* SPDX-License-Identifier: MIT
 *
 * Continuing a text: greedy, or drawn from the tempered distribution with a seeded generator. Keys and values are kept, so
 * that each new token costs one pass over the weights.
 */
#pragma once

#include "core/engine/swage-engine.h"

typedef struct {
  int max_tokens;         /* new tokens at most */
  double temperature;     /* 0: greedy (the lowest id among equals) */
  int top_k;              /* draw among the k most likely alone; 0: all */
  double top_p;           /* … and among the most likely that together have this probability; 0 or 1: all */
  uint64_t seed;          /* the same seed, the same text */
  int32_t stop;           /* a token that ends the text (not reported), or −1 */
} SwageGenerateOptions;

/* Called with each new token as it comes, and with the logits it was chosen from (n_vocab, borrowed). FALSE stops, without an error. */
typedef bool (*SwageTokenFunc) (int32_t token, const float *logits, gpointer user_data);

/* Continue `prompt` (n ≥ 1 tokens). `blocks` are the model's n_blocks blocks in order, compressed or not. Ends when max_tokens are there, at `stop`, when
 * func says so, or when the model's context is full. `n_new` (NULL allowed) gets the number of tokens reported. */
bool swage_generate (SwageEngine *engine, const SwageEnds *ends, SwageBlock *const *blocks, const int32_t *prompt, int n,
                     const SwageGenerateOptions *options, SwageTokenFunc func, gpointer user_data, int *n_new,
                     SwageJob *job, GError **error);
