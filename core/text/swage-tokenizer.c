/* SPDX-License-Identifier: MIT
 *
 * Running a tokenizer. Everything that changes while encoding lives in a Session on the caller's stack, so
 * one tokenizer serves any number of threads.
 */
#include "core/text/swage-tokenizer-private.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_TEXT_BYTES ((size_t)1 << 30)
#define LOWER_BLOCK "\xe2\x96\x81"

SwageTokenizer *
swage_tokenizer_alloc (void)
{
  SwageTokenizer *tok = g_new0 (SwageTokenizer, 1);
  g_atomic_ref_count_init (&tok->refs);
  tok->info.bos = tok->info.eos = tok->info.unk = tok->info.pad = -1;
  tok->vocab = swage_vocab_new ();
  tok->bpe.vocab = tok->vocab;
  tok->bpe.unk = -1;
  tok->added = swage_added_set_new ();
  tok->normalized = swage_added_set_new ();
  swage_normalizer_init (&tok->normalizer);
  swage_pretokenizer_init (&tok->pretokenizer);
  swage_decoder_init (&tok->decoder);
  tok->prefix = g_array_new (FALSE, FALSE, sizeof (int32_t));
  tok->suffix = g_array_new (FALSE, FALSE, sizeof (int32_t));
  return tok;
}

SwageTokenizer *
swage_tokenizer_ref (SwageTokenizer *tok)
{
  g_atomic_ref_count_inc (&tok->refs);
  return tok;
}

void
swage_tokenizer_unref (SwageTokenizer *tok)
{
  if (tok == NULL || !g_atomic_ref_count_dec (&tok->refs))
    return;
  swage_vocab_free (tok->vocab);
  g_clear_pointer (&tok->bpe.glued, g_hash_table_unref);
  swage_added_set_free (tok->added);
  swage_added_set_free (tok->normalized);
  swage_normalizer_clear (&tok->normalizer);
  swage_pretokenizer_clear (&tok->pretokenizer);
  swage_decoder_clear (&tok->decoder);
  g_array_unref (tok->prefix);
  g_array_unref (tok->suffix);
  g_free (tok->fingerprint);
  g_free (tok);
}

void
swage_tokenizer_finish (SwageTokenizer *tok, const char *pipeline)
{
  const SwageVocab *vocab = tok->vocab;
  const SwageTokenizerInfo *info = &tok->info;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *head = g_strdup_printf (
      "%s %s %d  %d %d %d %d  %d %d %d  %d %d %d %d %d\n", info->model, info->pre, info->n_tokens, info->bos,
      info->eos, info->unk, info->pad, info->add_bos, info->add_eos, info->add_space_prefix, tok->gguf,
      tok->bpe.kind, tok->bpe.ignore_merges, tok->bpe.byte_fallback, tok->bpe.fuse_unk);
  g_checksum_update (sum, (const guchar *)head, (gssize)strlen (head));
  g_checksum_update (sum, vocab->bytes->data, vocab->bytes->len);
  g_checksum_update (sum, vocab->kinds, vocab->n);
  if (tok->bpe.kind == SWAGE_BPE_SCORES)
    g_checksum_update (sum, (const guchar *)vocab->scores, (gssize)sizeof (float) * vocab->n);
  g_checksum_update (sum, (const guchar *)vocab->merge_text->str, (gssize)vocab->merge_text->len);
  g_checksum_update (sum, (const guchar *)tok->prefix->data, (gssize)(tok->prefix->len * sizeof (int32_t)));
  g_checksum_update (sum, (const guchar *)"/", 1);
  g_checksum_update (sum, (const guchar *)tok->suffix->data, (gssize)(tok->suffix->len * sizeof (int32_t)));
  if (pipeline != NULL)
    g_checksum_update (sum, (const guchar *)pipeline, (gssize)strlen (pipeline));
  tok->fingerprint = g_strdup (g_checksum_get_string (sum));
}

const SwageTokenizerInfo *
swage_tokenizer_get_info (SwageTokenizer *tok)
{
  return &tok->info;
}

const char *
swage_tokenizer_get_piece (SwageTokenizer *tok, int id, size_t *length, float *score, SwageTokenKind *kind)
{
  const SwageVocab *vocab = tok->vocab;
  if (id < 0 || id >= vocab->n)
    return NULL;
  size_t n;
  const char *piece = swage_vocab_get (vocab, id, &n);
  if (length != NULL)
    *length = n;
  if (score != NULL)
    *score = vocab->scores[id];
  if (kind != NULL)
    *kind = (SwageTokenKind)vocab->kinds[id];
  return piece;
}

const char *const *
swage_tokenizer_get_merges (SwageTokenizer *tok, int64_t *n)
{
  *n = tok->vocab->n_merges;
  return (const char *const *)tok->vocab->merges;
}

const char *
swage_tokenizer_get_fingerprint (SwageTokenizer *tok)
{
  return tok->fingerprint;
}

/* ---- encoding ---- */

typedef struct
{
  SwageTokenizer *tok;
  SwageBpeState *bpe;
  SwagePretokenizerState pre;
  bool special;
  GArray *ids;
} Session;

static bool
encode_word (const char *word, size_t n, void *user_data, GError **error)
{
  Session *session = user_data;
  return swage_bpe_encode (session->bpe, word, n, session->ids, error);
}

static bool
encode_words (Session *session, const char *text, size_t n, bool at_start, GError **error)
{
  return swage_pretokenizer_run (&session->tok->pretokenizer, &session->pre, text, n, at_start, encode_word,
                                 session, error);
}

/* Normalize a stretch between added tokens, take out the tokens that are looked for in normalized text, cut
 * and encode. */
static bool
encode_stretch (Session *session, const char *text, size_t n, bool at_start, bool prefix_space,
                GError **error)
{
  SwageTokenizer *tok = session->tok;
  g_autoptr (GString) buffer = NULL;
  if (prefix_space || tok->normalizer.steps->len > 0)
    {
      buffer = g_string_sized_new (n + n / 4 + 16);
      if (prefix_space)
        g_string_append_c (buffer, ' ');
      g_string_append_len (buffer, text, (gssize)n);
      if (!swage_normalizer_run (&tok->normalizer, &session->pre.matcher, buffer, error))
        return false;
      text = buffer->str;
      n = buffer->len;
    }
  if (swage_added_set_get_size (tok->normalized) == 0)
    return encode_words (session, text, n, at_start, error);

  g_autoptr (GArray) stretches = g_array_new (FALSE, FALSE, sizeof (SwageStretch));
  swage_added_set_scan (tok->normalized, text, n, session->special, stretches);
  for (guint i = 0; i < stretches->len; i++)
    {
      const SwageStretch *s = &g_array_index (stretches, SwageStretch, i);
      if (s->id >= 0)
        g_array_append_val (session->ids, s->id);
      else if (!encode_words (session, text + s->start, s->end - s->start, at_start && s->start == 0, error))
        return false;
    }
  return true;
}

static bool
encode_text (Session *session, const char *text, size_t n, GError **error)
{
  SwageTokenizer *tok = session->tok;
  g_autoptr (GArray) stretches = g_array_new (FALSE, FALSE, sizeof (SwageStretch));
  if (tok->gguf)
    swage_added_set_partition (tok->added, text, n, session->special, stretches);
  else
    swage_added_set_scan (tok->added, text, n, session->special, stretches);

  bool spm = tok->bpe.kind == SWAGE_BPE_SCORES, after_special = true;
  for (guint i = 0; i < stretches->len; i++)
    {
      const SwageStretch *s = &g_array_index (stretches, SwageStretch, i);
      if (s->id >= 0)
        {
          g_array_append_val (session->ids, s->id);
          after_special = true;
          continue;
        }
      /* llama.cpp puts the space in front of every stretch that follows a special token or begins the text */
      bool prefix_space = spm && tok->info.add_space_prefix && after_special;
      after_special = false;
      if (!encode_stretch (session, text + s->start, s->end - s->start, s->start == 0, prefix_space, error))
        return false;
    }
  return true;
}

bool
swage_tokenizer_encode (SwageTokenizer *tok, const char *text, size_t n, SwageEncodeFlags flags, GArray *ids,
                        GError **error)
{
  if (n > MAX_TEXT_BYTES)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("A text of %zu bytes is too long: the limit is 1 GiB."), n);
      return false;
    }
  guint before = ids->len;
  if (flags & SWAGE_ENCODE_ADD_SPECIAL)
    g_array_append_vals (ids, tok->prefix->data, tok->prefix->len);

  bool ok = true;
  if (n > 0)
    {
      /* score-driven pieces take any bytes; everything else works on characters */
      g_autoptr (GString) mended = tok->bpe.kind == SWAGE_BPE_SCORES ? NULL : swage_text_mend (text, n);
      if (mended != NULL)
        {
          text = mended->str;
          n = mended->len;
        }
      Session session = { .tok = tok,
                          .bpe = swage_bpe_state_new (&tok->bpe),
                          .special = (flags & SWAGE_ENCODE_PARSE_SPECIAL) != 0,
                          .ids = ids };
      swage_pretokenizer_state_init (&session.pre, &tok->pretokenizer, n);
      ok = encode_text (&session, text, n, error);
      swage_pretokenizer_state_clear (&session.pre);
      swage_bpe_state_free (session.bpe);
    }
  if (!ok)
    g_array_set_size (ids, before);
  else if (flags & SWAGE_ENCODE_ADD_SPECIAL)
    g_array_append_vals (ids, tok->suffix->data, tok->suffix->len);
  return ok;
}

/* ---- decoding ---- */

static bool
check_ids (SwageTokenizer *tok, const int32_t *ids, size_t n, GError **error)
{
  for (size_t i = 0; i < n; i++)
    if (ids[i] < 0 || ids[i] >= tok->vocab->n)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                     _ ("Token %zu has the id %d; the tokenizer has ids from 0 to %d."), i, ids[i],
                     tok->vocab->n - 1);
        return false;
      }
  return true;
}

/* llama.cpp's way, token by token; the space put in front of a text is taken off again. */
static void
decode_gguf (SwageTokenizer *tok, const int32_t *ids, size_t n, bool special, GString *out)
{
  bool llama = tok->bpe.kind == SWAGE_BPE_SCORES, first = true;
  g_autoptr (GString) piece = g_string_new (NULL);
  for (size_t i = 0; i < n; i++)
    {
      size_t length;
      const char *text = swage_vocab_get (tok->vocab, ids[i], &length);
      SwageTokenKind kind = (SwageTokenKind)tok->vocab->kinds[ids[i]];
      bool control = kind == SWAGE_TOKEN_CONTROL || kind == SWAGE_TOKEN_UNKNOWN;
      if (control && !special)
        continue;
      g_string_truncate (piece, 0);
      g_string_append_len (piece, text, (gssize)length);
      if (kind == SWAGE_TOKEN_BYTE)
        swage_decode_fallback (piece);
      else if (control || kind == SWAGE_TOKEN_USER_DEFINED)
        ; /* as it is spelled */
      else if (llama)
        g_string_replace (piece, LOWER_BLOCK, " ", 0);
      else
        swage_decode_alphabet (piece);
      if (first && llama && tok->info.add_space_prefix && !control && piece->len > 0 && piece->str[0] == ' ')
        g_string_erase (piece, 0, 1);
      first = false;
      g_string_append_len (out, piece->str, (gssize)piece->len);
    }
}

static void
free_piece (gpointer data)
{
  g_string_free (data, TRUE);
}

GString *
swage_tokenizer_decode (SwageTokenizer *tok, const int32_t *ids, size_t n, bool special, GError **error)
{
  if (!check_ids (tok, ids, n, error))
    return NULL;
  GString *out = g_string_sized_new (n * 4 + 16);
  if (tok->gguf)
    {
      decode_gguf (tok, ids, n, special, out);
      return out;
    }

  /* Added tokens are spelled plainly; in the byte alphabet's spelling they come out of the decoder unharmed.
   */
  bool alphabet = swage_decoder_has (&tok->decoder, SWAGE_DECODE_BYTES);
  g_autoptr (GPtrArray) pieces = g_ptr_array_new_with_free_func (free_piece);
  for (size_t i = 0; i < n; i++)
    {
      size_t length;
      const char *text = swage_vocab_get (tok->vocab, ids[i], &length);
      SwageTokenKind kind = (SwageTokenKind)tok->vocab->kinds[ids[i]];
      if (!special && (kind == SWAGE_TOKEN_CONTROL || kind == SWAGE_TOKEN_UNKNOWN))
        continue;
      GString *piece = g_string_sized_new (length + 1);
      if (alphabet && kind != SWAGE_TOKEN_NORMAL)
        swage_bytes_to_alphabet (text, length, piece);
      else
        g_string_append_len (piece, text, (gssize)length);
      g_ptr_array_add (pieces, piece);
    }
  SwageMatcher matcher;
  swage_matcher_init (&matcher, n);
  bool ok = swage_decoder_run (&tok->decoder, &matcher, pieces, out, error);
  swage_matcher_clear (&matcher);
  if (!ok)
    {
      g_string_free (out, TRUE);
      return NULL;
    }
  return out;
}
