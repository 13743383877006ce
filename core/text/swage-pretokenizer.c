/* SPDX-License-Identifier: MIT
 *
 * The text goes through the steps depth first: a word cut by one step is handed to the next at once, so
 * nothing is ever collected, however long the text. A split's behaviour decides what its matches (delimiters)
 * become, given the sequence of stretches that match and stretches that do not:
 *
 *   Isolated            every stretch is a word                    Removed     the stretches between the
 * matches MergedWithPrevious  a match ends the stretch before it         Contiguous  matches in a row are one
 * word MergedWithNext      a match begins the stretch after it
 *
 * In the merging kinds a match beside another match stays alone (HF tokenizers, normalizer.rs, for the exact
 * rules).
 */
#include "core/text/swage-pretokenizer.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* The expression GPT-2 cut its words with; HF's ByteLevel has it built in. */
#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PUNCTUATION_REGEX "[\\p{P}!-/:-@\\[-`{-~]"

#define MAX_STEPS 64

static void
step_free (gpointer data)
{
  SwageStep *step = data;
  swage_pattern_free (step->pattern);
  g_free (step->replacement);
  g_free (step);
}

void
swage_pretokenizer_init (SwagePretokenizer *pre)
{
  pre->steps = g_ptr_array_new_with_free_func (step_free);
}

void
swage_pretokenizer_clear (SwagePretokenizer *pre)
{
  g_clear_pointer (&pre->steps, g_ptr_array_unref);
}

bool
swage_pretokenizer_has (const SwagePretokenizer *pre, SwageStepKind kind)
{
  for (guint i = 0; i < pre->steps->len; i++)
    if (((SwageStep *)pre->steps->pdata[i])->kind == kind)
      return true;
  return false;
}

static SwageStep *
add_step (SwagePretokenizer *pre, SwageStepKind kind)
{
  SwageStep *step = g_new0 (SwageStep, 1);
  step->kind = kind;
  g_ptr_array_add (pre->steps, step);
  return step;
}

/* Takes `pattern`, which may be NULL after an error. */
static bool
add_split (SwagePretokenizer *pre, SwagePattern *pattern, SwageSplitBehavior behavior, bool invert)
{
  if (pattern == NULL)
    return false;
  SwageStep *step = add_step (pre, SWAGE_STEP_SPLIT);
  step->pattern = pattern;
  step->behavior = behavior;
  step->invert = invert;
  return true;
}

/* ---- GPT-2's byte alphabet ---- */

static inline bool
stands_for_itself (int byte)
{
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* For every byte the two bytes of its character's UTF-8; the second is 0 when one is enough. */
static const unsigned char *
get_alphabet (void)
{
  static unsigned char table[512];
  static gsize ready = 0;
  if (g_once_init_enter (&ready))
    {
      int next = 0x100;
      for (int byte = 0; byte < 256; byte++)
        {
          int c = stands_for_itself (byte) ? byte : next++;
          table[2 * byte] = (unsigned char)(c < 0x80 ? c : 0xc0 | c >> 6);
          table[2 * byte + 1] = (unsigned char)(c < 0x80 ? 0 : 0x80 | (c & 0x3f));
        }
      g_once_init_leave (&ready, 1);
    }
  return table;
}

void
swage_bytes_to_alphabet (const char *bytes, size_t n, GString *out)
{
  const unsigned char *table = get_alphabet ();
  size_t old = out->len;
  g_string_set_size (out, old + 2 * n);
  char *to = out->str + old;
  for (size_t i = 0; i < n; i++)
    {
      const unsigned char *c = table + 2 * (size_t)(unsigned char)bytes[i];
      *to++ = (char)c[0];
      if (c[1] != 0)
        *to++ = (char)c[1];
    }
  g_string_set_size (out, (gsize)(to - out->str));
}

int
swage_alphabet_to_byte (gunichar c)
{
  if (c < 0x100)
    return stands_for_itself ((int)c) ? (int)c : -1;
  if (c >= 0x100 + 68)
    return -1;
  /* the 68 others in order: 0x00–0x20, 0x7f–0xa0, 0xad */
  int i = (int)c - 0x100;
  return i <= 0x20 ? i : i < 0x21 + 34 ? i - 0x21 + 0x7f : 0xad;
}

/* ---- tokenizer.json ---- */

static const char *
get_type (json_t *json)
{
  const char *type = json_string_value (json_object_get (json, "type"));
  return type != NULL ? type : "?";
}

static bool
get_behavior (json_t *json, SwageSplitBehavior *behavior, const char *origin, GError **error)
{
  static const char *const names[]
      = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
  const char *name = NULL;
  if (!swage_json_get_string (json, "behavior", &name, origin, error))
    return false;
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (name, names[i]))
      {
        *behavior = (SwageSplitBehavior)i;
        return true;
      }
  if (name == NULL)
    return true; /* the default stands */
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED, _ ("%s: the split behavior “%s” is not known."),
               origin, name);
  return false;
}

SwagePattern *
swage_pattern_new_json (json_t *json, const char *origin, GError **error)
{
  GError *reason = NULL;
  const char *text;
  if ((text = json_string_value (json_object_get (json, "String"))) != NULL
      || (text = json_string_value (json)) != NULL)
    return swage_pattern_new_literal (text);
  if ((text = json_string_value (json_object_get (json, "Regex"))) != NULL)
    {
      SwagePattern *pattern = swage_pattern_new_regex (text, &reason);
      if (pattern == NULL)
        {
          g_set_error (error, reason->domain, reason->code, _ ("%s: %s."), origin, reason->message);
          g_error_free (reason);
        }
      return pattern;
    }
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("%s: a pattern is neither “String” nor “Regex”."),
               origin);
  return NULL;
}

static bool
add_regex (SwagePretokenizer *pre, const char *regex, SwageSplitBehavior behavior, bool invert,
           GError **error)
{
  return add_split (pre, swage_pattern_new_regex (regex, error), behavior, invert);
}

static bool
add_byte_level (SwagePretokenizer *pre, json_t *json, const char *origin, GError **error)
{
  bool prefix = true, use_regex = true;
  if (!swage_json_get_bool (json, "add_prefix_space", &prefix, origin, error)
      || !swage_json_get_bool (json, "use_regex", &use_regex, origin, error))
    return false;
  if (prefix)
    add_step (pre, SWAGE_STEP_PREFIX_SPACE);
  if (use_regex && !add_regex (pre, GPT2_REGEX, SWAGE_SPLIT_ISOLATED, false, error))
    return false;
  add_step (pre, SWAGE_STEP_BYTES);
  return true;
}

static bool
add_metaspace (SwagePretokenizer *pre, json_t *json, const char *origin, GError **error)
{
  const char *replacement = "▁", *scheme = NULL;
  bool split = true, add_prefix = true;
  if (!swage_json_get_string (json, "replacement", &replacement, origin, error)
      || !swage_json_get_string (json, "prepend_scheme", &scheme, origin, error)
      || !swage_json_get_bool (json, "split", &split, origin, error)
      || !swage_json_get_bool (json, "add_prefix_space", &add_prefix, origin, error))
    return false;
  if (scheme == NULL)
    scheme = add_prefix ? "always" : "never";
  SwagePrepend prepend = g_str_equal (scheme, "always")  ? SWAGE_PREPEND_ALWAYS
                         : g_str_equal (scheme, "first") ? SWAGE_PREPEND_FIRST
                                                         : SWAGE_PREPEND_NEVER;
  if (g_utf8_strlen (replacement, -1) != 1
      || (prepend == SWAGE_PREPEND_NEVER && !g_str_equal (scheme, "never")))
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
          _ ("%s: Metaspace has a “replacement” that is not one character or an unknown “prepend_scheme”."),
          origin);
      return false;
    }
  SwageStep *step = add_step (pre, SWAGE_STEP_METASPACE);
  step->replacement = g_strdup (replacement);
  step->prepend = prepend;
  return !split
         || add_split (pre, swage_pattern_new_literal (replacement), SWAGE_SPLIT_MERGED_WITH_NEXT, false);
}

static bool
add_kind (SwagePretokenizer *pre, json_t *json, const char *origin, GError **error)
{
  const char *type = get_type (json);
  SwageSplitBehavior behavior = SWAGE_SPLIT_ISOLATED;

  if (g_str_equal (type, "ByteLevel"))
    return add_byte_level (pre, json, origin, error);
  if (g_str_equal (type, "Metaspace"))
    return add_metaspace (pre, json, origin, error);
  if (g_str_equal (type, "Split"))
    {
      bool invert = false;
      return get_behavior (json, &behavior, origin, error)
             && swage_json_get_bool (json, "invert", &invert, origin, error)
             && add_split (pre, swage_pattern_new_json (json_object_get (json, "pattern"), origin, error),
                           behavior, invert);
    }
  if (g_str_equal (type, "Digits"))
    {
      bool individual = false;
      return swage_json_get_bool (json, "individual_digits", &individual, origin, error)
             && add_regex (pre, individual ? "\\p{N}" : "\\p{N}+", SWAGE_SPLIT_ISOLATED, false, error);
    }
  if (g_str_equal (type, "Punctuation"))
    return get_behavior (json, &behavior, origin, error)
           && add_regex (pre, PUNCTUATION_REGEX, behavior, false, error);
  if (g_str_equal (type, "Whitespace"))
    return add_regex (pre, "\\w+|[^\\w\\s]+", SWAGE_SPLIT_REMOVED, true, error);
  if (g_str_equal (type, "WhitespaceSplit"))
    return add_regex (pre, "\\s", SWAGE_SPLIT_REMOVED, false, error);
  if (g_str_equal (type, "BertPreTokenizer"))
    return add_regex (pre, "\\s", SWAGE_SPLIT_REMOVED, false, error)
           && add_regex (pre, PUNCTUATION_REGEX, SWAGE_SPLIT_ISOLATED, false, error);
  if (g_str_equal (type, "CharDelimiterSplit"))
    {
      const char *delimiter = "";
      return swage_json_get_string (json, "delimiter", &delimiter, origin, error)
             && add_split (pre, swage_pattern_new_literal (delimiter), SWAGE_SPLIT_REMOVED, false);
    }
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("%s: the pre-tokenizer “%s” is not supported."), origin, type);
  return false;
}

bool
swage_pretokenizer_add_json (SwagePretokenizer *pre, json_t *json, const char *origin, GError **error)
{
  if (json == NULL || json_is_null (json))
    return true;
  if (!json_is_object (json) || pre->steps->len > MAX_STEPS)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("%s: “pre_tokenizer” must be an object of at most %d steps."), origin, MAX_STEPS);
      return false;
    }
  if (!g_str_equal (get_type (json), "Sequence"))
    return add_kind (pre, json, origin, error);
  json_t *list = json_object_get (json, "pretokenizers"), *item;
  size_t i;
  json_array_foreach (list, i,
                      item) if (!swage_pretokenizer_add_json (pre, item, origin, error)) return false;
  return true;
}

/* ---- running ---- */

void
swage_pretokenizer_state_init (SwagePretokenizerState *state, const SwagePretokenizer *pre, size_t n)
{
  swage_matcher_init (&state->matcher, n);
  state->buffers = g_ptr_array_new ();
  for (guint i = 0; i < pre->steps->len; i++)
    g_ptr_array_add (state->buffers, g_string_new (NULL));
}

void
swage_pretokenizer_state_clear (SwagePretokenizerState *state)
{
  swage_matcher_clear (&state->matcher);
  for (guint i = 0; i < state->buffers->len; i++)
    g_string_free (state->buffers->pdata[i], TRUE);
  g_clear_pointer (&state->buffers, g_ptr_array_unref);
}

typedef struct
{
  const SwagePretokenizer *pre;
  SwagePretokenizerState *state;
  SwageWordFunc func;
  void *user_data;
} Run;

static bool run_step (const Run *run, guint index, const char *text, size_t n, bool at_start, GError **error);

/* A split being carried out: stretches come in, words go out to the next step. */
typedef struct
{
  const Run *run;
  const SwageStep *step;
  guint index;
  const char *text;
  bool at_start;
  bool have; /* a word is held back, because the next stretch may join it */
  size_t start, end;
  bool previous_match;
} Splitting;

static bool
pass_on (Splitting *s, size_t start, size_t end, GError **error)
{
  return start == end
         || run_step (s->run, s->index + 1, s->text + start, end - start, s->at_start && start == 0, error);
}

/* Let go of the word held back and hold [start, end) instead. */
static bool
hold (Splitting *s, size_t start, size_t end, GError **error)
{
  bool ok = !s->have || pass_on (s, s->start, s->end, error);
  s->have = true;
  s->start = start;
  s->end = end;
  return ok;
}

static bool
take_stretch (Splitting *s, size_t start, size_t end, bool match, GError **error)
{
  bool previous = s->previous_match, ok = true;
  if (s->step->invert)
    match = !match;
  switch (s->step->behavior)
    {
    case SWAGE_SPLIT_ISOLATED:
      return pass_on (s, start, end, error);
    case SWAGE_SPLIT_REMOVED:
      return match || pass_on (s, start, end, error);
    case SWAGE_SPLIT_CONTIGUOUS:
      if (s->have && match == previous)
        s->end = end;
      else
        ok = hold (s, start, end, error);
      break;
    case SWAGE_SPLIT_MERGED_WITH_PREVIOUS:
      if (s->have && match && !previous)
        s->end = end;
      else
        ok = hold (s, start, end, error);
      break;
    case SWAGE_SPLIT_MERGED_WITH_NEXT:
      if (s->have && !match && previous)
        s->end = end;
      else
        ok = hold (s, start, end, error);
      break;
    }
  s->previous_match = match;
  return ok;
}

static bool
run_split (const Run *run, guint index, const char *text, size_t n, bool at_start, GError **error)
{
  const SwageStep *step = run->pre->steps->pdata[index];
  Splitting s = { .run = run, .step = step, .index = index, .text = text, .at_start = at_start };
  SwageMatches matches;
  swage_matches_init (&matches, step->pattern, &run->state->matcher, text, n);
  size_t done = 0, start, end;
  int found;
  while ((found = swage_matches_next (&matches, &start, &end, error)) > 0)
    {
      if (start > done && !take_stretch (&s, done, start, false, error))
        return false;
      if (!take_stretch (&s, start, end, true, error))
        return false;
      done = end;
    }
  if (found < 0 || (done < n && !take_stretch (&s, done, n, false, error)))
    return false;
  return !s.have || pass_on (&s, s.start, s.end, error);
}

static void
metaspace (const SwageStep *step, const char *text, size_t n, bool at_start, GString *out)
{
  size_t n_replacement = strlen (step->replacement);
  bool starts
      = n > 0
        && (text[0] == ' ' || (n >= n_replacement && memcmp (text, step->replacement, n_replacement) == 0));
  if (!starts
      && (step->prepend == SWAGE_PREPEND_ALWAYS || (step->prepend == SWAGE_PREPEND_FIRST && at_start)))
    g_string_append (out, step->replacement);
  for (const char *end = text + n; text < end;)
    {
      const char *space = memchr (text, ' ', (size_t)(end - text));
      g_string_append_len (out, text, (space != NULL ? space : end) - text);
      if (space == NULL)
        break;
      g_string_append (out, step->replacement);
      text = space + 1;
    }
}

static bool
run_step (const Run *run, guint index, const char *text, size_t n, bool at_start, GError **error)
{
  if (index == run->pre->steps->len)
    return run->func (text, n, run->user_data, error);

  const SwageStep *step = run->pre->steps->pdata[index];
  GString *buffer = run->state->buffers->pdata[index];
  switch (step->kind)
    {
    case SWAGE_STEP_SPLIT:
      return run_split (run, index, text, n, at_start, error);
    case SWAGE_STEP_PREFIX_SPACE:
      if (n > 0 && text[0] == ' ')
        return run_step (run, index + 1, text, n, at_start, error);
      g_string_assign (buffer, " ");
      g_string_append_len (buffer, text, (gssize)n);
      break;
    case SWAGE_STEP_BYTES:
      g_string_truncate (buffer, 0);
      swage_bytes_to_alphabet (text, n, buffer);
      break;
    case SWAGE_STEP_METASPACE:
      g_string_truncate (buffer, 0);
      metaspace (step, text, n, at_start, buffer);
      break;
    }
  return run_step (run, index + 1, buffer->str, buffer->len, at_start, error);
}

bool
swage_pretokenizer_run (const SwagePretokenizer *pre, SwagePretokenizerState *state, const char *text,
                        size_t n, bool at_start, SwageWordFunc func, void *user_data, GError **error)
{
  Run run = { .pre = pre, .state = state, .func = func, .user_data = user_data };
  return n == 0 || run_step (&run, 0, text, n, at_start, error);
}
