/* SPDX-License-Identifier: MIT
 *
 * What a tokenizer is made of. Private to core/text: swage-tokenizer.c runs it, swage-tokenizer-json.c and
 * swage-tokenizer-gguf.c build it.
 *
 * Text flows through it like this; the parts in brackets exist for one of the two sources only:
 *
 *   bytes ─ mend UTF-8 ─▶ added tokens ─▶ normalizer ─▶ [json: normalized added tokens] ─▶ pre-tokenizer ─▶
 * BPE ─▶ ids cut out         [gguf llama: a space in front, ▁ for spaces]
 */
#pragma once

#include "core/text/swage-added.h"
#include "core/text/swage-bpe.h"
#include "core/text/swage-decoder.h"
#include "core/text/swage-normalizer.h"
#include "core/text/swage-pretokenizer.h"
#include "core/text/swage-tokenizer.h"

struct _SwageTokenizer
{
  gatomicrefcount refs;
  SwageTokenizerInfo info;
  SwageVocab *vocab;
  SwageBpe bpe;
  bool gguf;                 /* llama.cpp's rules where the two differ */
  SwageAddedSet *added;      /* looked for in the text as it is */
  SwageAddedSet *normalized; /* looked for after normalizing (json) */
  SwageNormalizer normalizer;
  SwagePretokenizer pretokenizer;
  SwageDecoder decoder;    /* json */
  GArray *prefix, *suffix; /* int32_t: what ADD_SPECIAL puts around */
  char *fingerprint;
};

/* An empty tokenizer with one reference; the builders fill it and call finish. */
SwageTokenizer *swage_tokenizer_alloc (void);
/* Set the fingerprint from all parts; `pipeline` (may be NULL) is text that describes the others. */
void swage_tokenizer_finish (SwageTokenizer *tok, const char *pipeline);
