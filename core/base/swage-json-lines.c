/* SPDX-License-Identifier: MIT
 *
 * A scanner that only knows where values begin and end. It trusts nothing but the length: on text that is not
 * JSON it stops at the end like everywhere else, with some place as the answer.
 */
#include "core/base/swage-json-lines.h"

#include <jansson.h>
#include <string.h>

typedef struct
{
  const char *text;
  size_t n, at;
} Scanner;

static bool
ended (const Scanner *s)
{
  return s->at >= s->n;
}

static char
peek (const Scanner *s)
{
  return ended (s) ? '\0' : s->text[s->at];
}

static void
skip_space (Scanner *s)
{
  while (!ended (s) && memchr (" \t\r\n", s->text[s->at], 4) != NULL)
    s->at++;
}

/* at the opening quote; ends behind the closing one */
static void
skip_string (Scanner *s)
{
  for (s->at++; !ended (s) && s->text[s->at] != '"'; s->at++)
    if (s->text[s->at] == '\\')
      s->at++;
  s->at = s->at < s->n ? s->at + 1 : s->n;
}

static void
skip_value (Scanner *s)
{
  size_t depth = 0;
  skip_space (s);
  do
    {
      char c = peek (s);
      if (c == '"')
        skip_string (s);
      else if (c == '{' || c == '[')
        {
          depth++;
          s->at++;
        }
      else if (c == '}' || c == ']')
        {
          if (depth == 0) /* the end of the container around us */
            return;
          depth--;
          s->at++;
        }
      else if (depth > 0)
        s->at++;
      else /* a number or a word: up to the next delimiter */
        while (!ended (s) && memchr (",]} \t\r\n", s->text[s->at], 7) == NULL)
          s->at++;
    }
  while (depth > 0 && !ended (s));
}

static void
locate (const Scanner *s, size_t at, int *line, int *column)
{
  *line = *column = 1;
  for (size_t i = 0; i < at && i < s->n; i++)
    if (s->text[i] == '\n')
      {
        (*line)++;
        *column = 1;
      }
    else if ((s->text[i] & 0xc0) != 0x80) /* not the continuation of a UTF-8 character */
      (*column)++;
}

static bool
key_equals (const char *quoted, size_t n, const char *key)
{
  if (memchr (quoted, '\\', n) == NULL)
    return n == strlen (key) + 2 && memcmp (quoted + 1, key, n - 2) == 0;
  json_t *string = json_loadb (quoted, n, JSON_DECODE_ANY, NULL);
  bool same = json_is_string (string) && strcmp (json_string_value (string), key) == 0;
  json_decref (string);
  return same;
}

/* at '{'; stands on the value of `key` when TRUE */
static bool
enter_member (Scanner *s, const char *key, size_t *key_at)
{
  s->at++;
  for (;;)
    {
      skip_space (s);
      if (peek (s) != '"')
        return false;
      size_t begin = s->at;
      skip_string (s);
      bool found = s->at - begin >= 2 && key_equals (s->text + begin, s->at - begin, key);
      skip_space (s);
      if (peek (s) != ':')
        return false;
      s->at++;
      skip_space (s);
      if (found)
        {
          *key_at = begin;
          return !ended (s);
        }
      skip_value (s);
      skip_space (s);
      if (peek (s) != ',')
        return false;
      s->at++;
    }
}

/* at '['; stands on element `index` when TRUE */
static bool
enter_element (Scanner *s, size_t index)
{
  s->at++;
  for (size_t i = 0;; i++)
    {
      skip_space (s);
      if (ended (s) || peek (s) == ']')
        return false;
      if (i == index)
        return true;
      skip_value (s);
      skip_space (s);
      if (peek (s) != ',')
        return false;
      s->at++;
    }
}

bool
swage_json_find_place (const char *text, size_t n, const SwageJsonStep *path, size_t n_path,
                       SwageJsonPlace *place)
{
  Scanner s = { text, n, 0 };
  if (n >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    s = (Scanner){ text + 3, n - 3, 0 };
  skip_space (&s);

  size_t key_at = s.at, value_at = s.at;
  bool found = true;
  for (size_t i = 0; i < n_path && found; i++)
    {
      size_t key = 0;
      if (path[i].key != NULL)
        found = peek (&s) == '{' && enter_member (&s, path[i].key, &key);
      else
        found = peek (&s) == '[' && enter_element (&s, path[i].index);
      if (found)
        {
          value_at = s.at;
          key_at = path[i].key != NULL ? key : value_at;
        }
    }
  locate (&s, key_at, &place->key_line, &place->key_column);
  locate (&s, value_at, &place->line, &place->column);
  return found;
}
