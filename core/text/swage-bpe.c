/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding of one word. Its characters are a linked list; a binary heap holds every neighbouring
 * pair that could merge, best first (lowest rank, or highest score; of equals the leftmost). Merging a pair
 * adds at most two new pairs, so a word of n characters takes O(n log n) whatever it looks like. Entries are
 * not removed when a neighbour is merged away: since a symbol only ever grows, an entry is stale exactly when
 * the two lengths no longer add up to its own.
 *
 * Two things make it quick on ordinary text. Words are cached by their bytes. And where a vocabulary works on
 * whole lines (SentencePiece style, no splitting before), the line is cut before each ▁ that no piece has
 * inside: no merge can cross there.
 */
#include "core/text/swage-bpe.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Longest stretch without a cut, in characters: its symbols and pairs take about 40 bytes each. */
#define MAX_SYMBOLS (1 << 26)
/* The cache: words up to so many bytes, so many of them; a text has few distinct words that come often. */
#define CACHE_WORD_BYTES 48
#define CACHE_WORDS 65536

#define LOWER_BLOCK "\xe2\x96\x81"

typedef struct
{
  int32_t prev, next; /* -1: none */
  uint32_t start, n;  /* bytes of the word; n 0: merged away */
  int32_t id;
} Symbol;

typedef struct
{
  uint32_t priority; /* smaller merges first */
  uint32_t left;     /* index of the left symbol */
  uint32_t n;        /* bytes of both */
  int32_t id;        /* of the merged piece */
} Pair;

typedef struct
{
  uint64_t hash;
  uint32_t word, n_word; /* in cache_words */
  uint32_t ids, n_ids;   /* in cache_ids */
} CacheEntry;

struct _SwageBpeState
{
  const SwageBpe *bpe;
  GArray *symbols, *heap;
  CacheEntry *cache;
  uint32_t cache_mask, n_cached;
  GByteArray *cache_words;
  GArray *cache_ids;
};

SwageBpeState *
swage_bpe_state_new (const SwageBpe *bpe)
{
  SwageBpeState *state = g_new0 (SwageBpeState, 1);
  state->bpe = bpe;
  state->symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
  state->heap = g_array_new (FALSE, FALSE, sizeof (Pair));
  state->cache_mask = 255;
  state->cache = g_new0 (CacheEntry, state->cache_mask + 1);
  state->cache_words = g_byte_array_new ();
  state->cache_ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  return state;
}

void
swage_bpe_state_free (SwageBpeState *state)
{
  if (state == NULL)
    return;
  g_array_unref (state->symbols);
  g_array_unref (state->heap);
  g_free (state->cache);
  g_byte_array_unref (state->cache_words);
  g_array_unref (state->cache_ids);
  g_free (state);
}

/* ---- the heap ---- */

static inline bool
pair_before (const Pair *a, const Pair *b)
{
  return a->priority != b->priority ? a->priority < b->priority : a->left < b->left;
}

static void
heap_push (GArray *heap, Pair pair)
{
  g_array_set_size (heap, heap->len + 1);
  Pair *pairs = (Pair *)(void *)heap->data;
  guint i = heap->len - 1;
  while (i > 0 && pair_before (&pair, &pairs[(i - 1) / 2]))
    {
      pairs[i] = pairs[(i - 1) / 2];
      i = (i - 1) / 2;
    }
  pairs[i] = pair;
}

static Pair
heap_pop (GArray *heap)
{
  Pair *pairs = (Pair *)(void *)heap->data;
  Pair best = pairs[0], last = pairs[heap->len - 1];
  g_array_set_size (heap, heap->len - 1);
  guint n = heap->len, i = 0;
  while (2 * i + 1 < n)
    {
      guint child = 2 * i + 1;
      if (child + 1 < n && pair_before (&pairs[child + 1], &pairs[child]))
        child++;
      if (!pair_before (&pairs[child], &last))
        break;
      pairs[i] = pairs[child];
      i = child;
    }
  if (n > 0)
    pairs[i] = last;
  return best;
}

/* ---- one word ---- */

/* A float as an integer that is smaller for higher scores; NaN is the worst. */
static uint32_t
score_priority (float score)
{
  uint32_t bits;
  if (score != score)
    return UINT32_MAX;
  memcpy (&bits, &score, sizeof bits);
  if (bits == 0x80000000u) /* -0 is 0 */
    bits = 0;
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u; /* now increasing with the score */
  return ~bits;
}

static inline void
consider (SwageBpeState *state, const char *word, int32_t left, int32_t right)
{
  if (left < 0 || right < 0)
    return;
  const SwageBpe *bpe = state->bpe;
  const Symbol *symbols = (const Symbol *)(const void *)state->symbols->data;
  Pair pair = { .left = (uint32_t)left, .n = symbols[left].n + symbols[right].n };
  if (bpe->kind == SWAGE_BPE_MERGES)
    {
      const SwageMerge *merge = swage_vocab_find_merge (bpe->vocab, symbols[left].id, symbols[right].id);
      if (merge == NULL)
        return;
      pair.priority = merge->rank;
      pair.id = merge->id;
    }
  else
    {
      pair.id = swage_vocab_find (bpe->vocab, word + symbols[left].start, pair.n);
      if (pair.id < 0)
        return;
      pair.priority = score_priority (bpe->vocab->scores[pair.id]);
    }
  heap_push (state->heap, pair);
}

static void
add_symbol (SwageBpeState *state, uint32_t start, uint32_t n, int32_t id)
{
  int32_t i = (int32_t)state->symbols->len;
  Symbol symbol = { .prev = i - 1, .next = i + 1, .start = start, .n = n, .id = id };
  g_array_append_val (state->symbols, symbol);
}

static inline size_t
char_length (unsigned char lead)
{
  return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The characters of a word as symbols, by the rules of tokenizer.json's BPE: pieces, else bytes, else
 * unknown. */
static void
split_characters (SwageBpeState *state, const char *word, size_t n_word)
{
  const SwageBpe *bpe = state->bpe;
  const SwageVocab *vocab = bpe->vocab;
  uint32_t unknown_start = 0, unknown_n = 0; /* a pending unknown token */
  for (size_t at = 0, n; at < n_word; at += n)
    {
      n = MIN (char_length ((unsigned char)word[at]), n_word - at);
      int32_t id = swage_vocab_find_char (vocab, word + at, n);
      if (id >= 0)
        {
          if (unknown_n > 0)
            add_symbol (state, unknown_start, unknown_n, bpe->unk);
          unknown_n = 0;
          add_symbol (state, (uint32_t)at, (uint32_t)n, id);
          continue;
        }
      bool bytes = bpe->byte_fallback;
      for (size_t i = 0; i < n && bytes; i++)
        bytes = vocab->byte_ids[(unsigned char)word[at + i]] >= 0;
      if (bytes)
        {
          for (size_t i = 0; i < n; i++)
            add_symbol (state, (uint32_t)(at + i), 1, vocab->byte_ids[(unsigned char)word[at + i]]);
          continue;
        }
      if (bpe->unk < 0)
        {
          if (bpe->unknown_parts)
            add_symbol (state, (uint32_t)at, (uint32_t)n, -1);
          continue;
        }
      if (unknown_n > 0 && !bpe->fuse_unk)
        {
          add_symbol (state, unknown_start, unknown_n, bpe->unk);
          unknown_n = 0;
        }
      if (unknown_n == 0)
        unknown_start = (uint32_t)at;
      unknown_n += (uint32_t)n;
    }
  if (unknown_n > 0)
    add_symbol (state, unknown_start, unknown_n, bpe->unk);
}

/* SentencePiece style: every character is a symbol, known or not; what is unknown at the end becomes bytes.
 */
static void
split_any (SwageBpeState *state, const char *word, size_t n_word)
{
  for (size_t at = 0, n; at < n_word; at += n)
    {
      n = MIN (char_length ((unsigned char)word[at]), n_word - at);
      add_symbol (state, (uint32_t)at, (uint32_t)n, swage_vocab_find_char (state->bpe->vocab, word + at, n));
    }
}

static void
emit_bytes (const SwageBpe *bpe, const char *bytes, size_t n, GArray *ids)
{
  for (size_t i = 0; i < n; i++)
    {
      int32_t id = bpe->vocab->byte_ids[(unsigned char)bytes[i]];
      if (id < 0)
        id = bpe->unk;
      if (id >= 0)
        g_array_append_val (ids, id);
    }
}

static bool
encode_word (SwageBpeState *state, const char *word, size_t n_word, GArray *ids, GError **error)
{
  const SwageBpe *bpe = state->bpe;
  if (bpe->ignore_merges)
    {
      int32_t id = swage_vocab_find (bpe->vocab, word, n_word);
      if (id >= 0)
        {
          g_array_append_val (ids, id);
          return true;
        }
    }
  if (n_word > MAX_SYMBOLS)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
          _ ("The text has %zu bytes in a row without a place to cut; the tokenizer takes up to %d."), n_word,
          MAX_SYMBOLS);
      return false;
    }

  g_array_set_size (state->symbols, 0);
  g_array_set_size (state->heap, 0);
  if (bpe->kind == SWAGE_BPE_MERGES)
    split_characters (state, word, n_word);
  else
    split_any (state, word, n_word);
  if (state->symbols->len == 0)
    return true;

  Symbol *symbols = (Symbol *)(void *)state->symbols->data;
  symbols[state->symbols->len - 1].next = -1;
  for (int32_t i = 1; i < (int32_t)state->symbols->len; i++)
    consider (state, word, i - 1, i);
  while (state->heap->len > 0)
    {
      Pair pair = heap_pop (state->heap);
      Symbol *left = &symbols[pair.left];
      if (left->n == 0 || left->next < 0)
        continue;
      Symbol *right = &symbols[left->next];
      if (left->n + right->n != pair.n)
        continue;
      left->n = pair.n;
      left->id = pair.id;
      left->next = right->next;
      right->n = 0;
      if (left->next >= 0)
        symbols[left->next].prev = (int32_t)pair.left;
      consider (state, word, left->prev, (int32_t)pair.left);
      consider (state, word, (int32_t)pair.left, left->next);
    }

  for (int32_t i = 0; i >= 0; i = symbols[i].next)
    if (symbols[i].id >= 0)
      g_array_append_val (ids, symbols[i].id);
    else if (bpe->kind == SWAGE_BPE_SCORES)
      emit_bytes (bpe, word + symbols[i].start, symbols[i].n, ids);
  return true;
}

/* ---- the cache ---- */

static CacheEntry *
cache_slot (CacheEntry *cache, uint32_t mask, const GByteArray *words, uint64_t hash, const char *word,
            size_t n)
{
  uint32_t at = (uint32_t)hash & mask;
  for (; cache[at].n_word != 0; at = (at + 1) & mask)
    if (cache[at].hash == hash && cache[at].n_word == n
        && memcmp (words->data + cache[at].word, word, n) == 0)
      break;
  return &cache[at];
}

static void
cache_grow (SwageBpeState *state)
{
  uint32_t mask = state->cache_mask * 2 + 1;
  CacheEntry *cache = g_new0 (CacheEntry, (size_t)mask + 1);
  for (uint32_t i = 0; i <= state->cache_mask; i++)
    if (state->cache[i].n_word != 0)
      {
        uint32_t at = (uint32_t)state->cache[i].hash & mask;
        while (cache[at].n_word != 0)
          at = (at + 1) & mask;
        cache[at] = state->cache[i];
      }
  g_free (state->cache);
  state->cache = cache;
  state->cache_mask = mask;
}

static bool
encode_cached (SwageBpeState *state, const char *word, size_t n, GArray *ids, GError **error)
{
  if (n == 0)
    return true;
  if (n > CACHE_WORD_BYTES)
    return encode_word (state, word, n, ids, error);

  uint64_t hash = swage_text_hash (word, n);
  CacheEntry *entry = cache_slot (state->cache, state->cache_mask, state->cache_words, hash, word, n);
  if (entry->n_word != 0)
    {
      if (entry->n_ids > 0)
        g_array_append_vals (ids, &g_array_index (state->cache_ids, int32_t, entry->ids), entry->n_ids);
      return true;
    }
  guint before = ids->len;
  if (!encode_word (state, word, n, ids, error))
    return false;
  if (state->n_cached >= CACHE_WORDS)
    return true;
  *entry = (CacheEntry){ .hash = hash,
                         .word = state->cache_words->len,
                         .n_word = (uint32_t)n,
                         .ids = state->cache_ids->len,
                         .n_ids = ids->len - before };
  g_byte_array_append (state->cache_words, (const guint8 *)word, (guint)n);
  if (ids->len > before) /* an empty result leaves nothing to copy */
    g_array_append_vals (state->cache_ids, &g_array_index (ids, int32_t, before), ids->len - before);
  if (++state->n_cached * 2 > state->cache_mask)
    cache_grow (state);
  return true;
}

/* ---- cutting ---- */

/* Walk on from the character at `*at` to the next ▁ behind a character; FALSE at the end. `*before` is that
 * character's bytes as a key. Characters are what the symbols are made of, also in text that is not UTF-8. */
static bool
next_block (const char *text, size_t n, size_t *at, gpointer *before)
{
  while (*at < n)
    {
      size_t start = *at, length = MIN (char_length ((unsigned char)text[start]), n - start);
      *at = start + length;
      if (n - *at >= 3 && memcmp (text + *at, LOWER_BLOCK, 3) == 0)
        {
          uint32_t key = 0;
          memcpy (&key, text + start, length);
          *before = GUINT_TO_POINTER (key);
          return true;
        }
    }
  return false;
}

void
swage_bpe_find_cuts (SwageBpe *bpe)
{
  const SwageVocab *vocab = bpe->vocab;
  if (swage_vocab_find (vocab, LOWER_BLOCK, 3) < 0)
    return;
  bpe->glued = g_hash_table_new (NULL, NULL);
  for (int id = 0; id < vocab->n; id++)
    {
      size_t n, at = 0;
      const char *piece = swage_vocab_get (vocab, id, &n);
      gpointer before;
      while (next_block (piece, n, &at, &before))
        g_hash_table_add (bpe->glued, before);
    }
}

bool
swage_bpe_encode (SwageBpeState *state, const char *text, size_t n, GArray *ids, GError **error)
{
  const SwageBpe *bpe = state->bpe;
  if (bpe->glued == NULL)
    return encode_cached (state, text, n, ids, error);

  size_t start = 0, at = 0;
  gpointer before;
  while (next_block (text, n, &at, &before))
    if (!g_hash_table_contains (bpe->glued, before))
      {
        if (!encode_cached (state, text + start, at - start, ids, error))
          return false;
        start = at;
      }
  return encode_cached (state, text + start, n - start, ids, error);
}
