/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a tokenizer: text that begins with "{" as tokenizer.json, everything else as lines that stand
 * for GGUF metadata (below). What opens must encode and decode whatever it is given, with ids in range.
 *
 *   gpt2 llama-bpe        the model and its pre-tokenizer
 *   t KIND SCORE PIECE    a token
 *   m LEFT RIGHT          a merge
 */
#include "core/text/swage-tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

static void
check_text (SwageTokenizer *tok, const char *text, size_t n, SwageEncodeFlags flags)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (!swage_tokenizer_encode (tok, text, n, flags, ids, &error))
    {
      g_assert (error != NULL && ids->len == 0);
      return;
    }
  for (guint i = 0; i < ids->len; i++)
    g_assert (swage_tokenizer_get_piece (tok, g_array_index (ids, int32_t, i), NULL, NULL, NULL) != NULL);
  GString *back
      = swage_tokenizer_decode (tok, (const int32_t *)(const void *)ids->data, ids->len, true, &error);
  g_assert ((back == NULL) == (error != NULL));
  if (back != NULL)
    g_string_free (back, TRUE);
}

static SwageTokenizer *
open_lines (const char *text, size_t n, GError **error)
{
  g_autofree char *copy = g_strndup (text, n);
  g_auto (GStrv) lines = g_strsplit (copy, "\n", 4096);
  if (lines[0] == NULL)
    return NULL;
  guint n_lines = g_strv_length (lines);
  g_autofree const char **tokens = g_new0 (const char *, n_lines), **merges = g_new0 (const char *, n_lines);
  g_autofree float *scores = g_new0 (float, n_lines);
  g_autofree int32_t *kinds = g_new0 (int32_t, n_lines);
  SwageTokenizerData data = { .tokens = tokens,
                              .scores = scores,
                              .kinds = kinds,
                              .merges = merges,
                              .bos = -1,
                              .eos = 1,
                              .unk = -1,
                              .pad = -1,
                              .add_bos = -1,
                              .add_eos = 1,
                              .add_space_prefix = -1 };
  for (guint i = 1; i < n_lines; i++)
    {
      char *line = lines[i];
      if (line[0] == 't')
        {
          char *end = line + 1;
          kinds[data.n_tokens] = (int32_t)strtol (end, &end, 10);
          scores[data.n_tokens] = strtof (end, &end);
          tokens[data.n_tokens++] = *end == ' ' ? end + 1 : end;
        }
      else if (line[0] == 'm')
        merges[data.n_merges++] = line[1] == ' ' ? line + 2 : line + 1;
    }
  char *space = strchr (lines[0], ' ');
  if (space != NULL)
    *space = '\0';
  data.model = lines[0];
  data.pre = space != NULL ? space + 1 : NULL;
  return swage_tokenizer_new (&data, "fuzz", error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t n)
{
  if (n == 0)
    return 0;
  const char *text = (const char *)data;
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageTokenizer) tok = text[0] == '{'
                                       ? swage_tokenizer_new_json (text, n, NULL, 0, "fuzz", &error)
                                       : open_lines (text, n, &error);
  if (tok == NULL)
    {
      g_assert (error != NULL || text[0] == '\0');
      return 0;
    }
  static const char *const texts[] = { "",
                                       " ",
                                       "Hello, world! It's 12345\n\n  x",
                                       "a▁b ▁▁c",
                                       "\xff\xc3(\xe2\x82 \xed\xa0\x80\xc0\x80é",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
                                       "<s>the</s> <|endoftext|>",
                                       "中文 हिन्दी 🚀\u2028" };
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    for (guint flags = 0; flags < 4; flags++)
      check_text (tok, texts[i], strlen (texts[i]), (SwageEncodeFlags)flags);
  check_text (tok, text, MIN (n, 2048), SWAGE_ENCODE_PARSE_SPECIAL);
  return 0;
}
