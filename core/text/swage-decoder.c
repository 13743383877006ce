/* SPDX-License-Identifier: MIT
 *
 * Decoders go over the list of pieces one after the other, as HF's do; only where HF puts U+FFFD for bytes
 * that are not UTF-8 (a character cut in two by the end of the ids) we keep the bytes.
 */
#include "core/text/swage-decoder.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_STEPS 64
#define LOWER_BLOCK "\xe2\x96\x81"

static void
decode_free (gpointer data)
{
  SwageDecode *step = data;
  swage_pattern_free (step->pattern);
  g_free (step->text);
  g_free (step);
}

void
swage_decoder_init (SwageDecoder *decoder)
{
  decoder->steps = g_ptr_array_new_with_free_func (decode_free);
  decoder->join_with_spaces = false;
}

void
swage_decoder_clear (SwageDecoder *decoder)
{
  g_clear_pointer (&decoder->steps, g_ptr_array_unref);
}

bool
swage_decoder_has (const SwageDecoder *decoder, SwageDecodeKind kind)
{
  for (guint i = 0; i < decoder->steps->len; i++)
    if (((const SwageDecode *)decoder->steps->pdata[i])->kind == kind)
      return true;
  return false;
}

static SwageDecode *
add_step (SwageDecoder *decoder, SwageDecodeKind kind, const char *text)
{
  SwageDecode *step = g_new0 (SwageDecode, 1);
  step->kind = kind;
  step->text = g_strdup (text);
  g_ptr_array_add (decoder->steps, step);
  return step;
}

static bool
add_kind (SwageDecoder *decoder, json_t *json, const char *type, const char *origin, GError **error)
{
  if (g_str_equal (type, "ByteLevel"))
    add_step (decoder, SWAGE_DECODE_BYTES, NULL);
  else if (g_str_equal (type, "ByteFallback"))
    add_step (decoder, SWAGE_DECODE_BYTE_FALLBACK, NULL);
  else if (g_str_equal (type, "Fuse"))
    add_step (decoder, SWAGE_DECODE_FUSE, NULL);
  else if (g_str_equal (type, "Replace"))
    {
      const char *text = "";
      if (!swage_json_get_string (json, "content", &text, origin, error))
        return false;
      SwagePattern *pattern = swage_pattern_new_json (json_object_get (json, "pattern"), origin, error);
      if (pattern == NULL)
        return false;
      add_step (decoder, SWAGE_DECODE_REPLACE, text)->pattern = pattern;
    }
  else if (g_str_equal (type, "Strip"))
    {
      const char *text = " ";
      int64_t start = 0, stop = 0;
      if (!swage_json_get_string (json, "content", &text, origin, error)
          || !swage_json_get_int (json, "start", 0, INT32_MAX, &start, origin, error)
          || !swage_json_get_int (json, "stop", 0, INT32_MAX, &stop, origin, error))
        return false;
      SwageDecode *step = add_step (decoder, SWAGE_DECODE_STRIP, text);
      step->start = (int)start;
      step->stop = (int)stop;
    }
  else if (g_str_equal (type, "Metaspace"))
    {
      const char *text = LOWER_BLOCK, *scheme = NULL;
      bool add_prefix = true;
      if (!swage_json_get_string (json, "replacement", &text, origin, error)
          || !swage_json_get_string (json, "prepend_scheme", &scheme, origin, error)
          || !swage_json_get_bool (json, "add_prefix_space", &add_prefix, origin, error))
        return false;
      SwageDecode *step = add_step (decoder, SWAGE_DECODE_METASPACE, text);
      step->first = scheme != NULL ? !g_str_equal (scheme, "never") : add_prefix;
    }
  else
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED, _ ("%s: the decoder “%s” is not supported."),
                   origin, type);
      return false;
    }
  return true;
}

bool
swage_decoder_add_json (SwageDecoder *decoder, json_t *json, const char *origin, GError **error)
{
  if (json == NULL || json_is_null (json))
    {
      decoder->join_with_spaces = decoder->steps->len == 0;
      return true;
    }
  const char *type = json_string_value (json_object_get (json, "type"));
  if (!json_is_object (json) || type == NULL || decoder->steps->len > MAX_STEPS)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("%s: “decoder” must be an object with a “type”, of at most %d steps."), origin,
                   MAX_STEPS);
      return false;
    }
  if (!g_str_equal (type, "Sequence"))
    return add_kind (decoder, json, type, origin, error);
  json_t *list = json_object_get (json, "decoders"), *item;
  size_t i;
  json_array_foreach (list, i, item) if (!swage_decoder_add_json (decoder, item, origin, error)) return false;
  return true;
}

/* ---- running ---- */

void
swage_decode_alphabet (GString *piece)
{
  g_autoptr (GString) out = g_string_sized_new (piece->len);
  const char *end = piece->str + piece->len;
  for (const char *p = piece->str; p < end; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char_validated (p, end - p);
      int byte = c < 0x200 ? swage_alphabet_to_byte (c) : -1;
      if (byte < 0)
        return;
      g_string_append_c (out, (char)byte);
    }
  g_string_truncate (piece, 0);
  g_string_append_len (piece, out->str, (gssize)out->len);
}

void
swage_decode_fallback (GString *piece)
{
  if (piece->len == 6 && memcmp (piece->str, "<0x", 3) == 0 && piece->str[5] == '>'
      && g_ascii_isxdigit (piece->str[3]) && g_ascii_isxdigit (piece->str[4]))
    {
      char byte = (char)(g_ascii_xdigit_value (piece->str[3]) * 16 + g_ascii_xdigit_value (piece->str[4]));
      g_string_truncate (piece, 0);
      g_string_append_c (piece, byte);
    }
}

static void
decode_strip (const SwageDecode *step, GString *piece)
{
  size_t n = strlen (step->text), start = 0, end = piece->len;
  if (n == 0)
    return;
  for (int i = 0; i < step->start && end - start >= n && memcmp (piece->str + start, step->text, n) == 0; i++)
    start += n;
  for (int i = 0; i < step->stop && end - start >= n && memcmp (piece->str + end - n, step->text, n) == 0;
       i++)
    end -= n;
  g_string_truncate (piece, end);
  g_string_erase (piece, 0, (gssize)start);
}

static bool
decode_replace (const SwagePattern *pattern, const char *text, SwageMatcher *matcher, GString *piece,
                GError **error)
{
  size_t n;
  if (swage_pattern_get_literal (pattern, &n) == NULL
      && !g_utf8_validate (piece->str, (gssize)piece->len, NULL))
    return true; /* bytes that are no text: nothing an expression could match */
  SwageMatches matches;
  swage_matches_init (&matches, pattern, matcher, piece->str, piece->len);
  g_autoptr (GString) out = NULL;
  size_t done = 0, start, end;
  int found;
  while ((found = swage_matches_next (&matches, &start, &end, error)) > 0)
    {
      if (out == NULL)
        out = g_string_new (NULL);
      g_string_append_len (out, piece->str + done, (gssize)(start - done));
      g_string_append (out, text);
      done = end;
    }
  if (out != NULL && found == 0)
    {
      g_string_append_len (out, piece->str + done, (gssize)(piece->len - done));
      g_string_truncate (piece, 0);
      g_string_append_len (piece, out->str, (gssize)out->len);
    }
  return found == 0;
}

static bool
run_step (const SwageDecode *step, SwageMatcher *matcher, GPtrArray *pieces, GError **error)
{
  if (step->kind == SWAGE_DECODE_FUSE)
    {
      if (pieces->len == 0)
        return true;
      GString *all = pieces->pdata[0];
      for (guint i = 1; i < pieces->len; i++)
        {
          const GString *piece = pieces->pdata[i];
          g_string_append_len (all, piece->str, (gssize)piece->len);
        }
      g_ptr_array_set_size (pieces, 1);
      return true;
    }
  for (guint i = 0; i < pieces->len; i++)
    {
      GString *piece = pieces->pdata[i];
      switch (step->kind)
        {
        case SWAGE_DECODE_BYTES:
          swage_decode_alphabet (piece);
          break;
        case SWAGE_DECODE_BYTE_FALLBACK:
          swage_decode_fallback (piece);
          break;
        case SWAGE_DECODE_REPLACE:
          if (!decode_replace (step->pattern, step->text, matcher, piece, error))
            return false;
          break;
        case SWAGE_DECODE_STRIP:
          decode_strip (step, piece);
          break;
        case SWAGE_DECODE_METASPACE:
          if (step->text[0] != '\0')
            g_string_replace (piece, step->text, i == 0 && step->first ? "" : " ", 0);
          break;
        case SWAGE_DECODE_FUSE:
          break;
        }
    }
  return true;
}

bool
swage_decoder_run (const SwageDecoder *decoder, SwageMatcher *matcher, GPtrArray *pieces, GString *out,
                   GError **error)
{
  for (guint i = 0; i < decoder->steps->len; i++)
    if (!run_step (decoder->steps->pdata[i], matcher, pieces, error))
      return false;
  for (guint i = 0; i < pieces->len; i++)
    {
      const GString *piece = pieces->pdata[i];
      if (i > 0 && decoder->join_with_spaces)
        g_string_append_c (out, ' ');
      g_string_append_len (out, piece->str, (gssize)piece->len);
    }
  return true;
}
