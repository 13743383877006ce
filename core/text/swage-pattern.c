/* SPDX-License-Identifier: MIT */
#include "core/text/swage-pattern.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Longest expression that is compiled; the longest in use has about 1,000 bytes. */
#define MAX_REGEX_BYTES 65536
/* Backtracking steps within one search, and memory that the interpreter may use for it (KiB). */
#define MATCH_LIMIT 20000000
#define HEAP_LIMIT_KIB (64 * 1024)
#define JIT_STACK_BYTES (16 * 1024 * 1024)
/* Time for a text: generous for any sane pattern (2 µs a byte; ours need about 0.05), small against for ever.
 */
#define TIME_BASE_US (10 * G_USEC_PER_SEC)
#define TIME_PER_BYTE_US 2

struct _SwagePattern
{
  char *source;
  char *literal;
  size_t n_literal;
  pcre2_code *code;
};

/* Oniguruma's word characters as items of a PCRE2 set; white space likewise (PCRE2's own \s has U+180E, too).
 */
#define WORD_ITEMS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define SPACE_ITEM "\\p{White_Space}"
#define NOT_SPACE_ITEM "\\P{White_Space}"

/* Copy the escape at `p` (which points at the backslash); returns what follows it, NULL when it cannot be
 * said in PCRE2. */
static const char *
translate_escape (const char *p, bool in_set, GString *out)
{
  char c = p[1];
  switch (c)
    {
    case '\0': /* PCRE2 says what is wrong with it */
      g_string_append_c (out, '\\');
      return p + 1;
    case 's':
      g_string_append (out, SPACE_ITEM);
      return p + 2;
    case 'S':
      g_string_append (out, NOT_SPACE_ITEM);
      return p + 2;
    case 'w':
      g_string_append (out, in_set ? WORD_ITEMS : "[" WORD_ITEMS "]");
      return p + 2;
    case 'W':
      if (in_set)
        return NULL;
      g_string_append (out, "[^" WORD_ITEMS "]");
      return p + 2;
    case 'u':
      for (int i = 2; i < 6; i++)
        if (!g_ascii_isxdigit (p[i]))
          return NULL;
      g_string_append_printf (out, "\\x{%.4s}", p + 2);
      return p + 6;
    default:
      {
        const char *end = g_utf8_next_char (p + 1);
        g_string_append_len (out, p, end - p);
        return end;
      }
    }
}

/* Rewrite an Oniguruma expression for PCRE2; NULL with `*what` set to the construct that has no counterpart.
 */
static GString *
translate (const char *regex, const char **what)
{
  GString *out = g_string_sized_new (strlen (regex) + 32);
  int depth = 0;          /* of sets in sets */
  bool set_start = false; /* a ] here is a literal */
  for (const char *p = regex; *p != '\0';)
    {
      if (*p == '\\')
        {
          p = translate_escape (p, depth > 0, out);
          set_start = false;
          if (p == NULL)
            {
              *what = "\\W or \\u";
              goto unsupported;
            }
          continue;
        }
      if (depth == 0)
        {
          if (*p == '[')
            {
              depth = 1;
              set_start = true;
              g_string_append_c (out, *p++);
              if (*p == '^')
                g_string_append_c (out, *p++);
              continue;
            }
        }
      else if (*p == '[' && p[1] == ':') /* [:alpha:] is the same in both */
        {
          const char *end = strstr (p, ":]");
          if (end == NULL)
            {
              *what = "[:";
              goto unsupported;
            }
          g_string_append_len (out, p, end + 2 - p);
          p = end + 2;
          set_start = false;
          continue;
        }
      else if (*p == '[')
        {
          if (p[1] == '^')
            {
              *what = "[^…] in […]";
              goto unsupported;
            }
          depth++;
          p++;
          continue;
        }
      else if (*p == '&' && p[1] == '&')
        {
          *what = "&&";
          goto unsupported;
        }
      else if (*p == ']' && !set_start)
        {
          if (--depth == 0)
            g_string_append_c (out, ']');
          p++;
          continue;
        }
      set_start = false;
      g_string_append_c (out, *p++);
    }
  return out;

unsupported:
  g_string_free (out, TRUE);
  return NULL;
}

static char *
shorten (const char *text)
{
  if (g_utf8_strlen (text, -1) <= 60)
    return g_strdup (text);
  g_autofree char *head = g_utf8_substring (text, 0, 60);
  return g_strconcat (head, "…", NULL);
}

SwagePattern *
swage_pattern_new_regex (const char *regex, GError **error)
{
  g_autofree char *shown = shorten (regex);
  if (strlen (regex) > MAX_REGEX_BYTES)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("the pattern “%s” is longer than %d bytes"), shown, MAX_REGEX_BYTES);
      return NULL;
    }

  const char *what = NULL;
  GString *translated = translate (regex, &what);
  if (translated == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("the pattern “%s” uses %s, which cannot be run here"), shown, what);
      return NULL;
    }

  pcre2_compile_context *context = pcre2_compile_context_create (NULL);
  pcre2_set_newline (context, PCRE2_NEWLINE_LF);
  int code = 0;
  PCRE2_SIZE at = 0;
  pcre2_code *compiled = pcre2_compile ((PCRE2_SPTR)translated->str, translated->len,
                                        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                        &code, &at, context);
  pcre2_compile_context_free (context);
  g_string_free (translated, TRUE);
  if (compiled == NULL)
    {
      PCRE2_UCHAR reason[200];
      pcre2_get_error_message (code, reason, sizeof reason);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("the pattern “%s” is not valid: %s"), shown,
                   (const char *)reason);
      return NULL;
    }
  /* Where there is no just-in-time compiler the interpreter gives the same matches. */
  (void)pcre2_jit_compile (compiled, PCRE2_JIT_COMPLETE);

  SwagePattern *pattern = g_new0 (SwagePattern, 1);
  pattern->source = g_strdup (regex);
  pattern->code = compiled;
  return pattern;
}

SwagePattern *
swage_pattern_new_literal (const char *literal)
{
  SwagePattern *pattern = g_new0 (SwagePattern, 1);
  pattern->source = g_strconcat ("=", literal, NULL);
  pattern->literal = g_strdup (literal);
  pattern->n_literal = strlen (literal);
  return pattern;
}

void
swage_pattern_free (SwagePattern *pattern)
{
  if (pattern == NULL)
    return;
  g_free (pattern->source);
  g_free (pattern->literal);
  pcre2_code_free (pattern->code);
  g_free (pattern);
}

const char *
swage_pattern_get_source (const SwagePattern *pattern)
{
  return pattern->source;
}

const char *
swage_pattern_get_literal (const SwagePattern *pattern, size_t *n)
{
  *n = pattern->n_literal;
  return pattern->literal;
}

/* ---- matching ---- */

void
swage_matcher_init (SwageMatcher *matcher, size_t n)
{
  memset (matcher, 0, sizeof *matcher);
  matcher->deadline = g_get_monotonic_time () + TIME_BASE_US + (gint64)MIN (n, 1u << 30) * TIME_PER_BYTE_US;
}

void
swage_matcher_clear (SwageMatcher *matcher)
{
  pcre2_match_data_free (matcher->data);
  pcre2_match_context_free (matcher->context);
  pcre2_jit_stack_free (matcher->stack);
  memset (matcher, 0, sizeof *matcher);
}

static void
matcher_prepare (SwageMatcher *matcher)
{
  if (matcher->data != NULL)
    return;
  matcher->data = pcre2_match_data_create (1, NULL);
  matcher->context = pcre2_match_context_create (NULL);
  pcre2_set_match_limit (matcher->context, MATCH_LIMIT);
  pcre2_set_heap_limit (matcher->context, HEAP_LIMIT_KIB);
}

/* One search from `from`. The small default stack of the just-in-time code does for nearly all; a large one
 * comes when it is asked for, and the interpreter, which keeps its state on the heap, after that. */
static int
search (const SwagePattern *pattern, SwageMatcher *matcher, const char *text, size_t n, size_t from)
{
  PCRE2_SPTR subject = (PCRE2_SPTR)text;
  int rc = pcre2_match (pattern->code, subject, n, from, PCRE2_NO_UTF_CHECK, matcher->data, matcher->context);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT && matcher->stack == NULL)
    {
      matcher->stack = pcre2_jit_stack_create (64 * 1024, JIT_STACK_BYTES, NULL);
      pcre2_jit_stack_assign (matcher->context, NULL, matcher->stack);
      rc = pcre2_match (pattern->code, subject, n, from, PCRE2_NO_UTF_CHECK, matcher->data, matcher->context);
    }
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
    rc = pcre2_match (pattern->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, matcher->data,
                      matcher->context);
  return rc;
}

void
swage_matches_init (SwageMatches *matches, const SwagePattern *pattern, SwageMatcher *matcher,
                    const char *text, size_t n)
{
  *matches = (SwageMatches){ .pattern = pattern, .matcher = matcher, .text = text, .n = n };
  if (pattern->code != NULL)
    matcher_prepare (matcher);
}

static size_t
next_char (const char *text, size_t n, size_t at)
{
  at++;
  while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80)
    at++;
  return at;
}

int
swage_matches_next (SwageMatches *m, size_t *start, size_t *end, GError **error)
{
  const SwagePattern *pattern = m->pattern;
  if (pattern->literal != NULL)
    {
      if (pattern->n_literal == 0 || m->from >= m->n)
        return 0;
      const char *found = memmem (m->text + m->from, m->n - m->from, pattern->literal, pattern->n_literal);
      if (found == NULL)
        return 0;
      *start = (size_t)(found - m->text);
      *end = m->from = *start + pattern->n_literal;
      return 1;
    }

  while (m->from <= m->n)
    {
      if (++m->matcher->n_searches % 16 == 0 && g_get_monotonic_time () > m->matcher->deadline)
        {
          g_autofree char *shown = shorten (pattern->source);
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                       _ ("The tokenizer's pattern “%s” takes too long on this text."), shown);
          return -1;
        }
      int rc = search (pattern, m->matcher, m->text, m->n, m->from);
      if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
      if (rc < 0)
        {
          g_autofree char *shown = shorten (pattern->source);
          PCRE2_UCHAR reason[200];
          pcre2_get_error_message (rc, reason, sizeof reason);
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                       _ ("The tokenizer's pattern “%s” gives up on this text at byte %zu: %s."), shown,
                       m->from, (const char *)reason);
          return -1;
        }
      const PCRE2_SIZE *range = pcre2_get_ovector_pointer (m->matcher->data);
      *start = range[0];
      *end = range[1];
      if (*end < *start) /* \K in a look-ahead can say so */
        *start = *end;
      if (*start == *end && m->any && *end == m->last_end)
        {
          m->from = next_char (m->text, m->n, m->from);
          continue;
        }
      if (*start < m->last_end) /* \K in a look-behind: keep the pieces in order */
        {
          m->from = next_char (m->text, m->n, m->from);
          continue;
        }
      m->from = m->last_end = *end;
      m->any = true;
      return 1;
    }
  return 0;
}
