/* SPDX-License-Identifier: MIT
 *
 * Normalizers run one after the other on a whole stretch of text. A growing text has a ceiling, since a
 * hostile file can ask to replace every character by a long one.
 */
#include "core/text/swage-normalizer.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_STEPS 64
#define MAX_TEXT ((size_t)3 << 30)

static void
normalize_free (gpointer data)
{
  SwageNormalize *step = data;
  g_free (step->text);
  swage_pattern_free (step->pattern);
  g_free (step);
}

void
swage_normalizer_init (SwageNormalizer *normalizer)
{
  normalizer->steps = g_ptr_array_new_with_free_func (normalize_free);
}

void
swage_normalizer_clear (SwageNormalizer *normalizer)
{
  g_clear_pointer (&normalizer->steps, g_ptr_array_unref);
}

static SwageNormalize *
add_step (SwageNormalizer *normalizer, SwageNormalizeKind kind)
{
  SwageNormalize *step = g_new0 (SwageNormalize, 1);
  step->kind = kind;
  g_ptr_array_add (normalizer->steps, step);
  return step;
}

void
swage_normalizer_add_replace (SwageNormalizer *normalizer, const char *literal, const char *text)
{
  SwageNormalize *step = add_step (normalizer, SWAGE_NORMALIZE_REPLACE);
  step->pattern = swage_pattern_new_literal (literal);
  step->text = g_strdup (text);
}

static bool
add_kind (SwageNormalizer *normalizer, json_t *json, const char *type, const char *origin, GError **error)
{
  static const struct
  {
    const char *name;
    GNormalizeMode form;
  } forms[] = { { "NFC", G_NORMALIZE_NFC },
                { "NFD", G_NORMALIZE_NFD },
                { "NFKC", G_NORMALIZE_NFKC },
                { "NFKD", G_NORMALIZE_NFKD } };
  for (guint i = 0; i < G_N_ELEMENTS (forms); i++)
    if (g_str_equal (type, forms[i].name))
      {
        add_step (normalizer, SWAGE_NORMALIZE_UNICODE)->form = forms[i].form;
        return true;
      }
  if (g_str_equal (type, "Prepend"))
    {
      const char *text = "";
      if (!swage_json_get_string (json, "prepend", &text, origin, error))
        return false;
      add_step (normalizer, SWAGE_NORMALIZE_PREPEND)->text = g_strdup (text);
      return true;
    }
  if (g_str_equal (type, "Replace"))
    {
      const char *text = "";
      if (!swage_json_get_string (json, "content", &text, origin, error))
        return false;
      SwagePattern *pattern = swage_pattern_new_json (json_object_get (json, "pattern"), origin, error);
      if (pattern == NULL)
        return false;
      SwageNormalize *step = add_step (normalizer, SWAGE_NORMALIZE_REPLACE);
      step->pattern = pattern;
      step->text = g_strdup (text);
      return true;
    }
  if (g_str_equal (type, "Strip"))
    {
      SwageNormalize *step = add_step (normalizer, SWAGE_NORMALIZE_STRIP);
      step->left = step->right = true;
      return swage_json_get_bool (json, "strip_left", &step->left, origin, error)
             && swage_json_get_bool (json, "strip_right", &step->right, origin, error);
    }
  if (g_str_equal (type, "Lowercase"))
    add_step (normalizer, SWAGE_NORMALIZE_LOWERCASE);
  else if (g_str_equal (type, "StripAccents"))
    add_step (normalizer, SWAGE_NORMALIZE_STRIP_ACCENTS);
  else if (g_str_equal (type, "ByteLevel"))
    add_step (normalizer, SWAGE_NORMALIZE_BYTES);
  else
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("%s: the normalizer “%s” is not supported."), origin, type);
      return false;
    }
  return true;
}

bool
swage_normalizer_add_json (SwageNormalizer *normalizer, json_t *json, const char *origin, GError **error)
{
  if (json == NULL || json_is_null (json))
    return true;
  const char *type = json_string_value (json_object_get (json, "type"));
  if (!json_is_object (json) || type == NULL || normalizer->steps->len > MAX_STEPS)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("%s: “normalizer” must be an object with a “type”, of at most %d steps."), origin,
                   MAX_STEPS);
      return false;
    }
  if (!g_str_equal (type, "Sequence"))
    return add_kind (normalizer, json, type, origin, error);
  json_t *list = json_object_get (json, "normalizers"), *item;
  size_t i;
  json_array_foreach (list, i,
                      item) if (!swage_normalizer_add_json (normalizer, item, origin, error)) return false;
  return true;
}

/* ---- running ---- */

/* Characters below U+0300 are in form C already, ASCII in every form: the common text is not touched. */
static bool
is_normalized (const char *text, size_t n, GNormalizeMode form)
{
  unsigned char limit = form == G_NORMALIZE_NFC ? 0xcc : 0x80;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] >= limit)
      return false;
  return true;
}

static void
normalize_unicode (GString *text, GNormalizeMode form)
{
  if (is_normalized (text->str, text->len, form))
    return;
  GString *out = g_string_sized_new (text->len + 16);
  for (size_t at = 0; at < text->len;)
    {
      /* g_utf8_normalize() stops at a NUL; nothing combines across one */
      size_t n = strnlen (text->str + at, text->len - at);
      if (n > 0)
        {
          g_autofree char *part = g_utf8_normalize (text->str + at, (gssize)n, form);
          g_string_append (out, part != NULL ? part : "");
        }
      at += n;
      for (; at < text->len && text->str[at] == '\0'; at++)
        g_string_append_c (out, '\0');
    }
  g_string_truncate (text, 0);
  g_string_append_len (text, out->str, (gssize)out->len);
  g_string_free (out, TRUE);
}

static void
lowercase (GString *text)
{
  GString *out = g_string_sized_new (text->len + 16);
  const char *end = text->str + text->len;
  for (const char *p = text->str; p < end; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (c == 0x130) /* İ, the one character that becomes two: i and a combining dot */
        g_string_append (out, "i\xcc\x87");
      else if (c == 0)
        g_string_append_c (out, '\0');
      else
        g_string_append_unichar (out, g_unichar_tolower (c));
    }
  g_string_truncate (text, 0);
  g_string_append_len (text, out->str, (gssize)out->len);
  g_string_free (out, TRUE);
}

static void
strip_accents (GString *text)
{
  char *to = text->str;
  const char *end = text->str + text->len;
  for (const char *p = text->str; p < end;)
    {
      const char *next = g_utf8_next_char (p);
      if (!g_unichar_ismark (g_utf8_get_char (p)))
        {
          memmove (to, p, (size_t)(next - p));
          to += next - p;
        }
      p = next;
    }
  g_string_truncate (text, (gsize)(to - text->str));
}

/* Unicode's White_Space. */
static bool
is_space (gunichar c)
{
  return c == 0x20 || (c >= 9 && c <= 13) || c == 0x85 || (c > 0x85 && g_unichar_isspace (c));
}

static void
strip (GString *text, bool left, bool right)
{
  const char *start = text->str, *end = text->str + text->len;
  while (left && start < end && is_space (g_utf8_get_char (start)))
    start = g_utf8_next_char (start);
  while (right && end > start)
    {
      const char *last = g_utf8_prev_char (end);
      if (!is_space (g_utf8_get_char (last)))
        break;
      end = last;
    }
  g_string_truncate (text, (gsize)(end - text->str));
  g_string_erase (text, 0, start - text->str);
}

static bool
replace (const SwageNormalize *step, SwageMatcher *matcher, GString *text, GError **error)
{
  SwageMatches matches;
  swage_matches_init (&matches, step->pattern, matcher, text->str, text->len);
  GString *out = NULL;
  size_t done = 0, start, end, n_new = strlen (step->text);
  int found;
  while ((found = swage_matches_next (&matches, &start, &end, error)) > 0)
    {
      if (out == NULL)
        out = g_string_sized_new (text->len + text->len / 8 + 16);
      if (out->len + (start - done) + n_new > MAX_TEXT)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                       _ ("The tokenizer's normalizer makes a text of more than 3 GiB."));
          found = -1;
          break;
        }
      g_string_append_len (out, text->str + done, (gssize)(start - done));
      g_string_append_len (out, step->text, (gssize)n_new);
      done = end;
    }
  if (out == NULL)
    return found == 0;
  if (found == 0)
    {
      g_string_append_len (out, text->str + done, (gssize)(text->len - done));
      g_string_truncate (text, 0);
      g_string_append_len (text, out->str, (gssize)out->len);
    }
  g_string_free (out, TRUE);
  return found == 0;
}

bool
swage_normalizer_run (const SwageNormalizer *normalizer, SwageMatcher *matcher, GString *text, GError **error)
{
  for (guint i = 0; i < normalizer->steps->len; i++)
    {
      const SwageNormalize *step = normalizer->steps->pdata[i];
      switch (step->kind)
        {
        case SWAGE_NORMALIZE_PREPEND:
          if (text->len > 0)
            g_string_prepend (text, step->text);
          break;
        case SWAGE_NORMALIZE_REPLACE:
          if (!replace (step, matcher, text, error))
            return false;
          break;
        case SWAGE_NORMALIZE_UNICODE:
          normalize_unicode (text, step->form);
          break;
        case SWAGE_NORMALIZE_LOWERCASE:
          lowercase (text);
          break;
        case SWAGE_NORMALIZE_STRIP:
          strip (text, step->left, step->right);
          break;
        case SWAGE_NORMALIZE_STRIP_ACCENTS:
          strip_accents (text);
          break;
        case SWAGE_NORMALIZE_BYTES:
          {
            GString *bytes = g_string_new_len (text->str, (gssize)text->len);
            g_string_truncate (text, 0);
            swage_bytes_to_alphabet (bytes->str, bytes->len, text);
            g_string_free (bytes, TRUE);
            break;
          }
        }
    }
  return true;
}

/* ---- mending ---- */

/* The length of the valid character at p, 0 when it is not valid. */
static size_t
valid_length (const unsigned char *p, size_t n)
{
  if (p[0] < 0x80)
    return 1;
  if (p[0] >= 0xc2 && p[0] < 0xe0 && n >= 2 && (p[1] & 0xc0) == 0x80)
    return 2;
  if ((p[0] & 0xf0) == 0xe0 && n >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
    {
      bool overlong = p[0] == 0xe0 && p[1] < 0xa0, surrogate = p[0] == 0xed && p[1] >= 0xa0;
      return overlong || surrogate ? 0 : 3;
    }
  if (p[0] >= 0xf0 && p[0] <= 0xf4 && n >= 4 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80
      && (p[3] & 0xc0) == 0x80)
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90) ? 0 : 4;
  return 0;
}

/* The character of an overlong form at p, and its length; 0 when it is none. */
static size_t
overlong_length (const unsigned char *p, size_t n, gunichar *c)
{
  if ((p[0] & 0xfe) == 0xc0 && n >= 2 && (p[1] & 0xc0) == 0x80)
    {
      *c = (gunichar)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
      return 2;
    }
  if (p[0] == 0xe0 && n >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
    {
      *c = (gunichar)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
      return 3;
    }
  if (p[0] == 0xf0 && n >= 4 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80)
    {
      *c = (gunichar)(p[1] & 0x3f) << 12 | (gunichar)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
      return *c < 0xd800 || *c > 0xdfff ? 4 : 0;
    }
  return 0;
}

GString *
swage_text_mend (const char *text, size_t n)
{
  const unsigned char *p = (const unsigned char *)text;
  size_t at = 0, length;
  while (at < n && (length = valid_length (p + at, n - at)) > 0)
    at += length;
  if (at == n)
    return NULL;

  GString *out = g_string_sized_new (n + 16);
  g_string_append_len (out, text, (gssize)at);
  while (at < n)
    {
      gunichar c = 0xfffd;
      if ((length = valid_length (p + at, n - at)) > 0)
        g_string_append_len (out, text + at, (gssize)length);
      else
        {
          length = overlong_length (p + at, n - at, &c);
          if (length == 0)
            length = 1;
          if (c == 0)
            g_string_append_c (out, '\0');
          else
            g_string_append_unichar (out, c);
        }
      at += length;
    }
  return out;
}
