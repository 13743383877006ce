/* SPDX-License-Identifier: MIT
 *
 * Two hash tables with open addressing, at most half full: piece → id, and (left id, right id) → rank and
 * merged id. They are what encoding spends its time in, so entries are flat and the keys of merges are single
 * words.
 */
#include "core/text/swage-vocab.h"

#include <string.h>

#define NO_PAIR UINT64_MAX

/* A multiplicative hash, eight bytes at a time; the tables it serves are private, so it need not withstand an
 * adversary beyond degrading to a slow look-up. */
uint64_t
swage_text_hash (const void *data, size_t n)
{
  const unsigned char *p = data;
  uint64_t h = 0x9e3779b97f4a7c15u ^ n;
  for (; n >= 8; n -= 8, p += 8)
    {
      uint64_t w;
      memcpy (&w, p, 8);
      h = (h ^ w) * 0xff51afd7ed558ccdu;
      h ^= h >> 32;
    }
  uint64_t tail = 0;
  memcpy (&tail, p, n);
  h = (h ^ tail) * 0xc4ceb9fe1a85ec53u;
  return h ^ (h >> 29);
}

static inline uint32_t
pair_hash (uint64_t key)
{
  key *= 0x9e3779b97f4a7c15u;
  return (uint32_t)(key >> 32);
}

SwageVocab *
swage_vocab_new (void)
{
  SwageVocab *vocab = g_new0 (SwageVocab, 1);
  vocab->bytes = g_byte_array_new ();
  vocab->merge_text = g_string_new (NULL);
  for (int i = 0; i < SWAGE_VOCAB_N_DIRECT; i++)
    vocab->direct[i] = -1;
  for (int i = 0; i < 256; i++)
    vocab->byte_ids[i] = -1;
  return vocab;
}

void
swage_vocab_free (SwageVocab *vocab)
{
  if (vocab == NULL)
    return;
  g_byte_array_unref (vocab->bytes);
  g_free (vocab->offsets);
  g_free (vocab->scores);
  g_free (vocab->kinds);
  g_free (vocab->slots);
  g_free (vocab->merge_keys);
  g_free (vocab->merge_values);
  g_free (vocab->merges);
  g_string_free (vocab->merge_text, TRUE);
  g_free (vocab);
}

bool
swage_vocab_add (SwageVocab *vocab, const char *piece, size_t length, float score, SwageTokenKind kind)
{
  if (vocab->n >= SWAGE_VOCAB_MAX_TOKENS || length >= SWAGE_VOCAB_MAX_BYTES
      || vocab->bytes->len + length + 1 > SWAGE_VOCAB_MAX_BYTES)
    return false;
  if ((vocab->n & (vocab->n + 1)) == 0) /* n + 1 is a power of two: the arrays double */
    {
      size_t room = 2 * ((size_t)vocab->n + 1);
      vocab->offsets = g_renew (uint32_t, vocab->offsets, room + 1);
      vocab->scores = g_renew (float, vocab->scores, room);
      vocab->kinds = g_renew (uint8_t, vocab->kinds, room);
      vocab->offsets[0] = 0;
    }
  g_byte_array_append (vocab->bytes, (const guint8 *)piece, (guint)length);
  g_byte_array_append (vocab->bytes, (const guint8 *)"", 1);
  vocab->scores[vocab->n] = score;
  vocab->kinds[vocab->n] = (uint8_t)kind;
  vocab->n++;
  vocab->offsets[vocab->n] = vocab->bytes->len;
  vocab->max_length = MAX (vocab->max_length, length);
  return true;
}

static int
hex_digit (char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void
swage_vocab_index (SwageVocab *vocab)
{
  uint32_t size = 16;
  while (size < 2 * (uint32_t)vocab->n)
    size *= 2;
  vocab->slot_mask = size - 1;
  vocab->slots = g_new0 (uint32_t, size);
  for (int id = 0; id < vocab->n; id++)
    {
      size_t n;
      const char *piece = swage_vocab_get (vocab, id, &n);
      uint32_t at = (uint32_t)swage_text_hash (piece, n) & vocab->slot_mask;
      for (; vocab->slots[at] != 0; at = (at + 1) & vocab->slot_mask)
        {
          size_t n_other;
          const char *other = swage_vocab_get (vocab, (int)vocab->slots[at] - 1, &n_other);
          if (n == n_other && memcmp (piece, other, n) == 0)
            break;
        }
      vocab->slots[at] = (uint32_t)id + 1;

      if (n == 6 && memcmp (piece, "<0x", 3) == 0 && piece[5] == '>' && hex_digit (piece[3]) >= 0
          && hex_digit (piece[4]) >= 0)
        vocab->byte_ids[hex_digit (piece[3]) * 16 + hex_digit (piece[4])] = id;
      if (n == 1 && (unsigned char)piece[0] < 0x80)
        vocab->direct[(unsigned char)piece[0]] = id;
      else if (n == 2 && ((unsigned char)piece[0] & 0xe0) == 0xc0 && ((unsigned char)piece[1] & 0xc0) == 0x80)
        {
          int c = (piece[0] & 0x1f) << 6 | (piece[1] & 0x3f);
          if (c >= 0x80 && c < SWAGE_VOCAB_N_DIRECT)
            vocab->direct[c] = id;
        }
    }
}

int32_t
swage_vocab_find (const SwageVocab *vocab, const char *piece, size_t length)
{
  if (length > vocab->max_length)
    return -1;
  uint32_t at = (uint32_t)swage_text_hash (piece, length) & vocab->slot_mask;
  for (; vocab->slots[at] != 0; at = (at + 1) & vocab->slot_mask)
    {
      size_t n;
      const char *other = swage_vocab_get (vocab, (int)vocab->slots[at] - 1, &n);
      if (n == length && memcmp (piece, other, n) == 0)
        return (int32_t)vocab->slots[at] - 1;
    }
  return -1;
}

int32_t
swage_vocab_find_char (const SwageVocab *vocab, const char *utf8, size_t length)
{
  const unsigned char *p = (const unsigned char *)utf8;
  if (length == 1 && p[0] < 0x80)
    return vocab->direct[p[0]];
  if (length == 2 && (p[0] & 0xe0) == 0xc0 && (p[1] & 0xc0) == 0x80)
    {
      int c = (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
      if (c >= 0x80 && c < SWAGE_VOCAB_N_DIRECT) /* not an overlong form */
        return vocab->direct[c];
    }
  return swage_vocab_find (vocab, utf8, length);
}

/* ---- merges ---- */

void
swage_vocab_reserve_merges (SwageVocab *vocab, int64_t n)
{
  uint32_t size = 16;
  while (size < 2 * (uint64_t)n)
    size *= 2;
  vocab->merge_mask = size - 1;
  vocab->merge_keys = g_new (uint64_t, size);
  memset (vocab->merge_keys, 0xff, size * sizeof *vocab->merge_keys);
  vocab->merge_values = g_new (SwageMerge, size);
  vocab->merges = g_new0 (char *, (size_t)n + 1);
}

bool
swage_vocab_add_merge (SwageVocab *vocab, const char *left, size_t n_left, const char *right, size_t n_right,
                       bool last_wins, int32_t *merged)
{
  uint32_t rank = (uint32_t)vocab->n_merges;
  /* an offset for now: the text still moves */
  vocab->merges[vocab->n_merges++] = GSIZE_TO_POINTER (vocab->merge_text->len);
  GString *text = vocab->merge_text;
  g_string_append_len (text, left, (gssize)n_left);
  g_string_append_c (text, ' ');
  g_string_append_len (text, right, (gssize)n_right);
  g_string_append_c (text, '\0');

  *merged = -1;
  if (n_left > vocab->max_length || n_right > vocab->max_length || n_left + n_right > vocab->max_length)
    return false;
  int32_t l = swage_vocab_find (vocab, left, n_left), r = swage_vocab_find (vocab, right, n_right);
  if (l < 0 || r < 0)
    return false;
  g_autofree char *joined = g_malloc (n_left + n_right + 1);
  memcpy (joined, left, n_left);
  memcpy (joined + n_left, right, n_right);
  int32_t id = swage_vocab_find (vocab, joined, n_left + n_right);
  if (id < 0)
    return false;
  *merged = id;

  uint64_t key = (uint64_t)(uint32_t)l << 32 | (uint32_t)r;
  uint32_t at = pair_hash (key) & vocab->merge_mask;
  while (vocab->merge_keys[at] != NO_PAIR && vocab->merge_keys[at] != key)
    at = (at + 1) & vocab->merge_mask;
  if (vocab->merge_keys[at] == NO_PAIR || last_wins)
    vocab->merge_values[at] = (SwageMerge){ .rank = rank, .id = id };
  vocab->merge_keys[at] = key;
  return true;
}

void
swage_vocab_finish_merges (SwageVocab *vocab)
{
  for (int64_t i = 0; i < vocab->n_merges; i++)
    vocab->merges[i] = vocab->merge_text->str + GPOINTER_TO_SIZE (vocab->merges[i]);
}

const SwageMerge *
swage_vocab_find_merge (const SwageVocab *vocab, int32_t left, int32_t right)
{
  if (vocab->merge_keys == NULL || left < 0 || right < 0)
    return NULL;
  uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  uint32_t at = pair_hash (key) & vocab->merge_mask;
  for (; vocab->merge_keys[at] != NO_PAIR; at = (at + 1) & vocab->merge_mask)
    if (vocab->merge_keys[at] == key)
      return &vocab->merge_values[at];
  return NULL;
}
