/* SPDX-License-Identifier: MIT
 *
 * Patterns that cut text: literal strings, and regular expressions in the dialect of tokenizer.json
 * (Oniguruma's), run by PCRE2. Private to core/text. A pattern is immutable; a matcher belongs to one thread.
 *
 * What differs between the dialects is mended when a pattern is compiled: \s, \w and \uHHHH get Oniguruma's
 * meaning, ^ and $ match at line ends, sets nested in a set are flattened; set intersections (&&) are
 * refused. Matching is bounded: a pattern that backtracks without end becomes an error, not a hang.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

typedef struct _SwagePattern SwagePattern;

SwagePattern *swage_pattern_new_regex (const char *regex, GError **error);
SwagePattern *swage_pattern_new_literal (const char *literal);
void swage_pattern_free (SwagePattern *pattern);
/* The expression as it was given; a literal is preceded by "=". */
const char *swage_pattern_get_source (const SwagePattern *pattern);
/* The literal and its length; NULL for an expression. */
const char *swage_pattern_get_literal (const SwagePattern *pattern, size_t *n);

typedef struct
{
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
  uint32_t n_searches;
  gint64 deadline; /* of the whole text, in g_get_monotonic_time()'s microseconds */
} SwageMatcher;

/* `n` is the length of the text that the matcher will be used on: it sets the time allowed. */
void swage_matcher_init (SwageMatcher *matcher, size_t n);
void swage_matcher_clear (SwageMatcher *matcher);

/* One walk over the matches of a pattern in a subject of valid UTF-8. */
typedef struct
{
  const SwagePattern *pattern;
  SwageMatcher *matcher;
  const char *text;
  size_t n, from, last_end;
  bool any;
} SwageMatches;

void swage_matches_init (SwageMatches *matches, const SwagePattern *pattern, SwageMatcher *matcher,
                         const char *text, size_t n);
/* The next match [*start, *end): 1 found, 0 no more, -1 error. An empty match right behind the last match is
 * passed over. */
int swage_matches_next (SwageMatches *matches, size_t *start, size_t *end, GError **error);
