/* SPDX-License-Identifier: MIT
 *
 * The model of a tokenizer: one word (a stretch of text no merge crosses) to ids. Private to core/text.
 */
#pragma once

#include "core/text/swage-vocab.h"

typedef enum
{
  SWAGE_BPE_MERGES, /* the pair of lowest rank merges first (tokenizer.json; GGUF "gpt2") */
  SWAGE_BPE_SCORES, /* the pair whose joined text is the piece of highest score (GGUF "llama") */
} SwageBpeKind;

typedef struct
{
  SwageBpeKind kind;
  const SwageVocab *vocab;
  bool ignore_merges; /* a word that is a piece becomes it without merging */
  bool byte_fallback; /* a character that is no piece becomes its bytes' <0xNN> pieces */
  bool fuse_unk;      /* neighbouring unknown characters become one unknown token */
  bool unknown_parts; /* an unknown character keeps its neighbours apart (llama.cpp); else it vanishes (HF) */
  int32_t unk;        /* -1: unknown characters give nothing */
  /* Where a word can be cut without changing the result: in front of a ▁, unless the character before it
   * stands in `glued` (code points found before a ▁ inside some piece). NULL: nowhere. */
  GHashTable *glued;
} SwageBpe;

/* Look through the pieces for places where ▁ follows another character; fills bpe->glued. Leaves it NULL when
 * ▁ is no piece. */
void swage_bpe_find_cuts (SwageBpe *bpe);

/* What one thread needs while encoding a text. */
typedef struct _SwageBpeState SwageBpeState;
SwageBpeState *swage_bpe_state_new (const SwageBpe *bpe);
void swage_bpe_state_free (SwageBpeState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageBpeState, swage_bpe_state_free)

/* Append the ids of `n` bytes. Valid UTF-8, except for SWAGE_BPE_SCORES, which takes any bytes. */
bool swage_bpe_encode (SwageBpeState *state, const char *text, size_t n, GArray *ids, GError **error);
