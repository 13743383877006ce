/* SPDX-License-Identifier: MIT
 *
 * Jansson parses; the limits, the messages and the writing are ours. Jansson's own dumper prints reals with a
 * fixed number of digits (0.01 becomes 0.01, 0.1 as 0.10000000000000001); a plan is read by people, so ours
 * looks for the shortest digits that read back as the same double.
 */
#include "core/base/swage-json.h"
#include "core/base/swage-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

/* HF tokenizer_config.json files say "model_max_length": 1000000000000000019884624838656 for "no limit".
 * Jansson refuses integers beyond 64 bits; as reals they are fine. Returns the text with ".0" after every
 * integer of 19 and more digits. */
static GString *
widen_integers (const char *text, size_t n)
{
  GString *wide = g_string_sized_new (n + 64);
  bool in_string = false;
  for (size_t i = 0; i < n; i++)
    {
      g_string_append_c (wide, text[i]);
      if (in_string && text[i] == '\\' && i + 1 < n)
        g_string_append_c (wide, text[++i]);
      else if (text[i] == '"')
        in_string = !in_string;
      else if (!in_string && g_ascii_isdigit (text[i]))
        {
          size_t digits = 1;
          while (i + 1 < n && g_ascii_isdigit (text[i + 1]))
            {
              g_string_append_c (wide, text[++i]);
              digits++;
            }
          bool real = i + 1 < n && strchr (".eE", text[i + 1]) != NULL && text[i + 1] != '\0';
          if (real)
            while (i + 1 < n && strchr (".eE+-0123456789", text[i + 1]) != NULL && text[i + 1] != '\0')
              g_string_append_c (wide, text[++i]);
          else if (digits >= 19)
            g_string_append (wide, ".0");
        }
    }
  return wide;
}

json_t *
swage_json_parse (const char *text, size_t n, const char *origin, GError **error)
{
  if (n >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark some editors put in front */
    {
      text += 3;
      n -= 3;
    }

  json_error_t failure;
  json_t *json = json_loadb (text, n, JSON_REJECT_DUPLICATES, &failure);
  if (json == NULL && json_error_code (&failure) == json_error_numeric_overflow)
    {
      GString *wide = widen_integers (text, n);
      json = json_loadb (wide->str, wide->len, JSON_REJECT_DUPLICATES, &failure);
      g_string_free (wide, TRUE);
    }
  if (json == NULL)
    {
      /* the parser quotes a piece of the text, which may be cut inside a character */
      g_autofree char *reason = g_utf8_make_valid (failure.text, -1);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("%s: not valid JSON at line %d, column %d: %s"), origin, failure.line, failure.column,
                   reason);
    }
  return json;
}

json_t *
swage_json_load (const char *path, size_t max_bytes, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
  struct stat st;
  if (fd < 0 || fstat (fd, &st) != 0)
    {
      swage_error_set_errno (error, errno, _ ("open"), path);
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  if (!S_ISREG (st.st_mode))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("Cannot read “%s”: it is not a regular file."),
                   shown);
      close (fd);
      return NULL;
    }
  if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
    {
      g_autofree char *limit = g_format_size_full (max_bytes, G_FORMAT_SIZE_IEC_UNITS);
      g_autofree char *size = g_format_size_full ((guint64)st.st_size, G_FORMAT_SIZE_IEC_UNITS);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("“%s” has %s; files of this kind are read up to %s."), shown, size, limit);
      close (fd);
      return NULL;
    }

  size_t size = (size_t)st.st_size, n = 0;
  g_autofree char *text = g_try_malloc (size + 1);
  int err = text == NULL ? ENOMEM : 0;
  while (err == 0 && n < size)
    {
      ssize_t got = read (fd, text + n, size - n);
      if (got < 0 && errno != EINTR)
        err = errno;
      else if (got == 0) /* it became shorter meanwhile: the parser will say what is wrong */
        break;
      else if (got > 0)
        n += (size_t)got;
    }
  close (fd);
  if (err != 0)
    {
      swage_error_set_errno (error, err, _ ("read"), path);
      return NULL;
    }
  return swage_json_parse (text, n, shown, error);
}

/* ---- typed getters ---- */

/* The value as the file has it, shortened, for a message. */
static char *
describe (json_t *value)
{
  g_autofree char *text = NULL;
  switch (json_typeof (value))
    {
    case JSON_OBJECT:
      return g_strdup (_ ("an object"));
    case JSON_ARRAY:
      return g_strdup (_ ("an array"));
    case JSON_STRING:
      if (g_utf8_strlen (json_string_value (value), -1) > 40)
        {
          g_autofree char *head = g_utf8_substring (json_string_value (value), 0, 40);
          return g_strdup_printf ("\"%s…\"", head);
        }
      return g_strdup_printf ("\"%s\"", json_string_value (value));
    default:
      text = swage_json_dump (value);
      return g_strdup (g_strchomp (text));
    }
}

static bool
refuse (json_t *value, const char *key, const char *wanted, const char *origin, GError **error)
{
  g_autofree char *got = describe (value);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s: “%s” must be %s, not %s."), origin, key,
               wanted, got);
  return false;
}

static json_t *
get_member (json_t *object, const char *key)
{
  json_t *value = json_object_get (object, key);
  return json_is_null (value) ? NULL : value;
}

bool
swage_json_get_int (json_t *object, const char *key, int64_t min, int64_t max, int64_t *value,
                    const char *origin, GError **error)
{
  json_t *member = get_member (object, key);
  if (member == NULL)
    return true;
  if (!json_is_integer (member) || json_integer_value (member) < min || json_integer_value (member) > max)
    {
      g_autofree char *wanted
          = max == INT64_MAX && min == INT64_MIN ? g_strdup (_ ("a whole number"))
            : max == INT64_MAX
                ? g_strdup_printf (_ ("a whole number of at least %" PRId64), min)
                : g_strdup_printf (_ ("a whole number from %" PRId64 " to %" PRId64), min, max);
      return refuse (member, key, wanted, origin, error);
    }
  *value = json_integer_value (member);
  return true;
}

bool
swage_json_get_double (json_t *object, const char *key, double min, double max, double *value,
                       const char *origin, GError **error)
{
  json_t *member = get_member (object, key);
  if (member == NULL)
    return true;
  double number = json_number_value (member);
  if (!json_is_number (member) || !(number >= min && number <= max))
    {
      char low[G_ASCII_DTOSTR_BUF_SIZE], high[G_ASCII_DTOSTR_BUF_SIZE];
      g_ascii_formatd (low, sizeof low, "%.6g", min);
      g_ascii_formatd (high, sizeof high, "%.6g", max);
      bool from = min > -G_MAXDOUBLE, to = max < G_MAXDOUBLE;
      g_autofree char *wanted = from && to ? g_strdup_printf (_ ("a number from %s to %s"), low, high)
                                : from     ? g_strdup_printf (_ ("a number of at least %s"), low)
                                : to       ? g_strdup_printf (_ ("a number of at most %s"), high)
                                           : g_strdup (_ ("a number"));
      return refuse (member, key, wanted, origin, error);
    }
  *value = number;
  return true;
}

bool
swage_json_get_bool (json_t *object, const char *key, bool *value, const char *origin, GError **error)
{
  json_t *member = get_member (object, key);
  if (member == NULL)
    return true;
  if (!json_is_boolean (member))
    return refuse (member, key, _ ("true or false"), origin, error);
  *value = json_is_true (member);
  return true;
}

bool
swage_json_get_string (json_t *object, const char *key, const char **value, const char *origin,
                       GError **error)
{
  json_t *member = get_member (object, key);
  if (member == NULL)
    return true;
  if (!json_is_string (member))
    return refuse (member, key, _ ("a text"), origin, error);
  *value = json_string_value (member);
  return true;
}

/* ---- writing ---- */

static void
dump_string (GString *out, const char *text, size_t n)
{
  static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
  g_string_append_c (out, '"');
  for (size_t i = 0; i < n; i++)
    {
      const char *special = text[i] != '\0' ? strchr (letters, text[i]) : NULL;
      if (special != NULL)
        {
          g_string_append_c (out, '\\');
          g_string_append_c (out, escapes[special - letters]);
        }
      else if ((unsigned char)text[i] < 0x20)
        g_string_append_printf (out, "\\u%04x", (unsigned)text[i]);
      else
        g_string_append_c (out, text[i]);
    }
  g_string_append_c (out, '"');
}

static void
dump_real (GString *out, double value)
{
  static const char *const formats[] = { "%.15g", "%.16g", "%.17g" };
  char digits[G_ASCII_DTOSTR_BUF_SIZE];
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_ascii_formatd (digits, sizeof digits, formats[i], value);
      if (g_ascii_strtod (digits, NULL) == value)
        break;
    }
  g_string_append (out, digits);
  if (strpbrk (digits, ".e") == NULL) /* a real stays a real when it is read back */
    g_string_append (out, ".0");
}

static void
indent (GString *out, int depth)
{
  g_string_append_printf (out, "\n%*s", 2 * depth, "");
}

static bool
is_flat (json_t *array)
{
  size_t i;
  json_t *value;
  json_array_foreach (array, i, value)
  {
    if (json_is_object (value) || json_is_array (value))
      return false;
  }
  return true;
}

static void
dump (GString *out, json_t *json, int depth)
{
  switch (json_typeof (json))
    {
    case JSON_OBJECT:
      {
        const char *separator = "";
        g_string_append_c (out, '{');
        for (void *iter = json_object_iter (json); iter != NULL; iter = json_object_iter_next (json, iter))
          {
            const char *key = json_object_iter_key (iter);
            g_string_append (out, separator);
            indent (out, depth + 1);
            dump_string (out, key, strlen (key));
            g_string_append (out, ": ");
            dump (out, json_object_iter_value (iter), depth + 1);
            separator = ",";
          }
        if (json_object_size (json) > 0)
          indent (out, depth);
        g_string_append_c (out, '}');
        break;
      }
    case JSON_ARRAY:
      {
        /* shapes, edges and counts are lists of numbers: one line each */
        bool flat = is_flat (json);
        size_t i;
        json_t *value;
        g_string_append_c (out, '[');
        json_array_foreach (json, i, value)
        {
          if (i > 0)
            g_string_append (out, flat ? ", " : ",");
          if (!flat)
            indent (out, depth + 1);
          dump (out, value, depth + 1);
        }
        if (!flat)
          indent (out, depth);
        g_string_append_c (out, ']');
        break;
      }
    case JSON_STRING:
      dump_string (out, json_string_value (json), json_string_length (json));
      break;
    case JSON_INTEGER:
      g_string_append_printf (out, "%" JSON_INTEGER_FORMAT, json_integer_value (json));
      break;
    case JSON_REAL:
      dump_real (out, json_real_value (json));
      break;
    case JSON_TRUE:
      g_string_append (out, "true");
      break;
    case JSON_FALSE:
      g_string_append (out, "false");
      break;
    case JSON_NULL:
    default:
      g_string_append (out, "null");
      break;
    }
}

char *
swage_json_dump (json_t *json)
{
  GString *out = g_string_new (NULL);
  dump (out, json, 0);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}
