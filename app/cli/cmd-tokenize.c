/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_STDIN ((size_t)1 << 30)

static GString *
read_input (GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  static char buffer[1 << 16];
  for (;;)
    {
      ssize_t n = read (STDIN_FILENO, buffer, sizeof buffer);
      if (n == 0)
        return g_steal_pointer (&text);
      if (n < 0 && errno != EINTR)
        {
          swage_error_set_errno (error, errno, _ ("read"), _ ("standard input"));
          return NULL;
        }
      if (n > 0)
        g_string_append_len (text, buffer, n);
      if (text->len > MAX_STDIN)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("The text on standard input is larger than 1 GiB."));
          return NULL;
        }
    }
}

static int
decode (SwageTokenizer *tokenizer, const GString *input)
{
  GError *error = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  g_auto (GStrv) words = g_strsplit_set (input->str, " \t\r\n,", -1);
  for (int i = 0; words[i] != NULL; i++)
    {
      guint64 id;
      if (words[i][0] == '\0')
        continue;
      if (!g_ascii_string_to_unsigned (words[i], 10, 0, G_MAXINT32, &id, NULL))
        return cli_fail (
            g_error_new (SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("“%s” is not a token id."), words[i]));
      int32_t value = (int32_t)id;
      g_array_append_val (ids, value);
    }
  g_autoptr (GString) text
      = swage_tokenizer_decode (tokenizer, (int32_t *)(void *)ids->data, ids->len, true, &error);
  if (text == NULL)
    return cli_fail (error);
  fwrite (text->str, 1, text->len, stdout);
  return CLI_DONE;
}

static int
run_tokenize (int argc, char **argv)
{
  gboolean decodes = FALSE, special = FALSE, parse = FALSE;
  const GOptionEntry entries[] = {
    { "decode", 0, 0, G_OPTION_ARG_NONE, &decodes, N_ ("Ids on standard input to text"), NULL },
    { "special", 0, 0, G_OPTION_ARG_NONE, &special,
      N_ ("Add the tokens that the model wants at the beginning and end"), NULL },
    { "parse-special", 0, 0, G_OPTION_ARG_NONE, &parse, N_ ("Text that spells a special token becomes it"),
      NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  if (!cli_parse (&cli_tokenize, entries, &argc, &argv, 1, 1, &status))
    return status;
  GError *error = NULL;
  g_autoptr (SwageModel) model = swage_model_open (argv[1], &error);
  SwageTokenizer *tokenizer = model != NULL ? swage_model_get_tokenizer (model, &error) : NULL;
  g_autoptr (GString) input = tokenizer != NULL ? read_input (&error) : NULL;
  if (input == NULL)
    return cli_fail (error);
  if (decodes)
    return decode (tokenizer, input);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  SwageEncodeFlags flags
      = (special ? SWAGE_ENCODE_ADD_SPECIAL : 0) | (parse ? SWAGE_ENCODE_PARSE_SPECIAL : 0);
  if (!swage_tokenizer_encode (tokenizer, input->str, input->len, flags, ids, &error))
    return cli_fail (error);
  for (guint i = 0; i < ids->len; i++)
    printf ("%s%d", i > 0 ? " " : "", g_array_index (ids, int32_t, i));
  putchar ('\n');
  return CLI_DONE;
}

const CliCommand cli_tokenize
    = { "tokenize", N_ ("MODEL"), N_ ("Text on standard input to token ids on one line, or back"), NULL,
        run_tokenize };
