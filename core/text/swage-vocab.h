/* SPDX-License-Identifier: MIT
 *
 * The pieces of a tokenizer and the pairs that merge. Private to core/text. Filled by one thread, then
 * immutable.
 */
#pragma once

#include "core/text/swage-tokenizer.h"

/* Ids are dense: 0 … n-1. Ceilings hold for every source. */
#define SWAGE_VOCAB_MAX_TOKENS (1 << 22)
#define SWAGE_VOCAB_MAX_BYTES (1u << 29)
#define SWAGE_VOCAB_MAX_MERGES (1 << 23)
/* Code points below this are looked up in a table: ASCII and all of the byte-level alphabet. */
#define SWAGE_VOCAB_N_DIRECT 0x250

typedef struct
{
  uint32_t rank;
  int32_t id; /* of the merged piece */
} SwageMerge;

typedef struct
{
  int n;
  GByteArray *bytes; /* all pieces, each NUL-terminated */
  uint32_t *offsets; /* [n + 1] into bytes */
  float *scores;     /* [n] */
  uint8_t *kinds;    /* [n] SwageTokenKind */
  size_t max_length; /* of a piece, bytes */

  uint32_t *slots; /* open addressing: id + 1, 0 = free */
  uint32_t slot_mask;
  int32_t direct[SWAGE_VOCAB_N_DIRECT]; /* id of the piece that is this one character, -1 */
  int32_t byte_ids[256];                /* id of "<0xNN>", -1 */

  uint64_t *merge_keys; /* open addressing: left << 32 | right, UINT64_MAX = free */
  SwageMerge *merge_values;
  uint32_t merge_mask;
  int64_t n_merges;
  char **merges; /* "left right" in rank order, borrowed from merge_text */
  GString *merge_text;
} SwageVocab;

SwageVocab *swage_vocab_new (void);
void swage_vocab_free (SwageVocab *vocab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageVocab, swage_vocab_free)

/* Append the piece with the next id. FALSE when a ceiling is reached. */
bool swage_vocab_add (SwageVocab *vocab, const char *piece, size_t length, float score, SwageTokenKind kind);
/* Build the look-up tables; of equal pieces the last wins. Call once, after all are added. */
void swage_vocab_index (SwageVocab *vocab);

static inline const char *
swage_vocab_get (const SwageVocab *vocab, int id, size_t *length)
{
  *length = vocab->offsets[id + 1] - vocab->offsets[id] - 1;
  return (const char *)vocab->bytes->data + vocab->offsets[id];
}
/* The id of a piece, or -1. */
int32_t swage_vocab_find (const SwageVocab *vocab, const char *piece, size_t length);
/* The id of one character (its UTF-8), or -1. */
int32_t swage_vocab_find_char (const SwageVocab *vocab, const char *utf8, size_t length);

/* Room for `n` merges; then each in rank order. swage_vocab_add_merge() keeps the text for exporters in any
 * case and returns FALSE when a part or the result is no piece. A pair seen before keeps its first rank
 * unless `last_wins`. */
void swage_vocab_reserve_merges (SwageVocab *vocab, int64_t n);
bool swage_vocab_add_merge (SwageVocab *vocab, const char *left, size_t n_left, const char *right,
                            size_t n_right, bool last_wins, int32_t *merged);
/* Call after the last merge. */
void swage_vocab_finish_merges (SwageVocab *vocab);
const SwageMerge *swage_vocab_find_merge (const SwageVocab *vocab, int32_t left, int32_t right);

uint64_t swage_text_hash (const void *data, size_t n);
