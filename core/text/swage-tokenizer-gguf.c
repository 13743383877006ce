/* SPDX-License-Identifier: MIT
 *
 * A tokenizer from GGUF's metadata, by llama.cpp's rules (src/llama-vocab.cpp): "gpt2" merges by rank after
 * the cutting its pre-tokenizer's name stands for; "llama" merges whatever neighbours spell the piece of
 * highest score.
 */
#include "core/text/swage-tokenizer-private.h"
#include "core/base/swage-error.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <string.h>

/* A special token's id: the file's when it is in range, else the model's own if that is. */
static int
pick_id (int64_t given, int fallback, int64_t n)
{
  if (given >= 0 && given < n)
    return (int)given;
  return fallback < n ? fallback : -1;
}

/* Pieces that end a text in one family of models or another: llama.cpp takes them for control tokens by their
 * spelling, since files exist that call them something else. */
static bool
looks_like_end (const char *text, size_t n)
{
  static const char *const ends[] = { "<|eot_id|>",
                                      "<|im_end|>",
                                      "<|end|>",
                                      "<|return|>",
                                      "<|call|>",
                                      "<|flush|>",
                                      "<|calls|>",
                                      "<end_of_turn>",
                                      "<|endoftext|>",
                                      "</s>",
                                      "<|eom_id|>",
                                      "<EOT>",
                                      "_<EOT>",
                                      "[EOT]",
                                      "[EOS]",
                                      "<|end_of_text|>",
                                      "<end_of_utterance>",
                                      "<eos>",
                                      "<turn|>",
                                      "<|tool_response>",
                                      "<｜end▁of▁sentence｜>",
                                      "[e~[" };
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    if (strlen (ends[i]) == n && memcmp (ends[i], text, n) == 0)
      return true;
  return false;
}

/* Phi-3's special tokens swallow the white space behind them, except for these three; the file does not say
 * so. */
static bool
swallows_space (const SwageTokenizerData *data, const char *text)
{
  if (data->name == NULL)
    return false;
  g_autofree char *name = g_ascii_strdown (data->name, -1);
  return (strstr (name, "phi-3") != NULL || strstr (name, "phi3") != NULL) && !g_str_equal (text, "<unk>")
         && !g_str_equal (text, "<s>") && !g_str_equal (text, "<|endoftext|>");
}

static bool
fill_vocab (SwageTokenizer *tok, const SwageTokenizerData *data, const char *origin, GError **error)
{
  for (int64_t i = 0; i < data->n_tokens; i++)
    {
      int32_t kind = data->kinds != NULL ? data->kinds[i] : SWAGE_TOKEN_NORMAL;
      if (kind < SWAGE_TOKEN_NORMAL || kind > SWAGE_TOKEN_BYTE)
        kind = SWAGE_TOKEN_NORMAL;
      const char *text = data->tokens[i];
      size_t n = data->token_lengths != NULL ? data->token_lengths[i] : strlen (text);
      char empty[32];
      if (n == 0)
        {
          g_snprintf (empty, sizeof empty, "[EMPTY_%d]", (int)i);
          text = empty;
          n = strlen (empty);
        }
      bool end = kind != SWAGE_TOKEN_CONTROL && looks_like_end (text, n);
      bool is_added = end || kind == SWAGE_TOKEN_CONTROL || kind == SWAGE_TOKEN_UNKNOWN
                      || kind == SWAGE_TOKEN_USER_DEFINED;
      SwageAdded added = { .id = (int32_t)i,
                           .special = end || kind != SWAGE_TOKEN_USER_DEFINED,
                           .rstrip = is_added && swallows_space (data, text) };
      if (!swage_vocab_add (tok->vocab, text, n, data->scores != NULL ? data->scores[i] : 0,
                            (SwageTokenKind)kind)
          || (is_added && !swage_added_set_add (tok->added, text, n, &added)))
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                       _ ("%s: token %d is too long (%zu bytes), or the tokens are too much together."),
                       origin, (int)i, n);
          return false;
        }
    }
  swage_vocab_index (tok->vocab);
  return true;
}

static void
fill_merges (SwageTokenizer *tok, const SwageTokenizerData *data)
{
  swage_vocab_reserve_merges (tok->vocab, data->n_merges);
  for (int64_t i = 0; i < data->n_merges; i++)
    {
      const char *merge = data->merges[i];
      const char *space = merge[0] != '\0' ? strchr (merge + 1, ' ') : NULL;
      const char *right = space != NULL ? space + 1 : "";
      size_t n_left = space != NULL ? (size_t)(space - merge) : strlen (merge);
      int32_t merged;
      /* a merge of what is no piece can never happen; exporters still see it */
      (void)swage_vocab_add_merge (tok->vocab, merge, n_left, right, strlen (right), false, &merged);
    }
  swage_vocab_finish_merges (tok->vocab);
}

static bool
check_data (const SwageTokenizerData *data, const char *origin, GError **error)
{
  if (data->model == NULL || (!g_str_equal (data->model, "gpt2") && !g_str_equal (data->model, "llama")))
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                 _ ("%s: the tokenizer model “%s” is not supported; “gpt2” and “llama” are."), origin,
                 data->model != NULL ? data->model : "");
  else if (data->n_tokens <= 0 || data->n_tokens > SWAGE_VOCAB_MAX_TOKENS || data->tokens == NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                 _ ("%s: the tokenizer has %" PRId64 " tokens; it takes from 1 to %d."), origin,
                 data->n_tokens, SWAGE_VOCAB_MAX_TOKENS);
  else if (data->n_merges < 0 || data->n_merges > SWAGE_VOCAB_MAX_MERGES
           || (data->n_merges > 0 && data->merges == NULL))
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                 _ ("%s: the tokenizer has %" PRId64 " merges; the limit is %d."), origin,
                 data->n_merges, SWAGE_VOCAB_MAX_MERGES);
  else
    return true;
  return false;
}

SwageTokenizer *
swage_tokenizer_new (const SwageTokenizerData *data, const char *origin, GError **error)
{
  if (!check_data (data, origin, error))
    return NULL;

  g_autoptr (SwageTokenizer) tok = swage_tokenizer_alloc ();
  SwageTokenizerInfo *info = &tok->info;
  bool llama = g_str_equal (data->model, "llama");
  tok->gguf = true;
  info->n_tokens = (int)data->n_tokens;
  if (!fill_vocab (tok, data, origin, error))
    return NULL;

  SwagePretokenizerTraits traits = { false, llama };
  if (llama)
    {
      info->model = "llama";
      info->pre = "default";
      info->bos = pick_id (data->bos, 1, data->n_tokens);
      info->eos = pick_id (data->eos, 2, data->n_tokens);
      info->unk = pick_id (data->unk, 0, data->n_tokens);
      info->add_space_prefix = data->add_space_prefix != 0;
      tok->bpe.kind = SWAGE_BPE_SCORES;
      swage_normalizer_add_replace (&tok->normalizer, " ", "▁");
      swage_bpe_find_cuts (&tok->bpe);
    }
  else
    {
      const char *pre = data->pre != NULL ? data->pre : "default";
      GError *reason = NULL;
      if (!swage_pretokenizer_add_named (&tok->pretokenizer, pre, &traits, &reason))
        {
          g_set_error (error, reason->domain, reason->code, _ ("%s: %s."), origin, reason->message);
          g_error_free (reason);
          return NULL;
        }
      fill_merges (tok, data);
      info->model = "gpt2";
      info->pre = g_intern_string (pre);
      info->bos = pick_id (data->bos, -1, data->n_tokens);
      info->eos = pick_id (data->eos, -1, data->n_tokens);
      info->unk = pick_id (data->unk, -1, data->n_tokens);
      info->add_space_prefix = data->add_space_prefix > 0;
      tok->bpe.kind = SWAGE_BPE_MERGES;
      tok->bpe.ignore_merges = traits.ignore_merges;
      tok->bpe.unknown_parts = true;
    }
  info->pad = pick_id (data->pad, -1, data->n_tokens);
  tok->bpe.unk = llama ? info->unk : -1;

  info->add_bos = info->bos >= 0 && (data->add_bos >= 0 ? data->add_bos > 0 : traits.add_bos);
  info->add_eos = info->eos >= 0 && data->add_eos > 0;
  if (info->add_bos)
    g_array_append_vals (tok->prefix, &(int32_t){ info->bos }, 1);
  if (info->add_eos)
    g_array_append_vals (tok->suffix, &(int32_t){ info->eos }, 1);
  swage_tokenizer_finish (tok, NULL);
  return g_steal_pointer (&tok);
}
