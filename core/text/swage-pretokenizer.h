/* SPDX-License-Identifier: MIT
 *
 * Cutting text into words before the model sees it: the steps of tokenizer.json's pre_tokenizer, and
 * llama.cpp's named ones expressed in the same steps. Private to core/text. Every kind of pre-tokenizer comes
 * down to four kinds of step.
 */
#pragma once

#include "core/text/swage-pattern.h"
#include <jansson.h>

typedef enum
{
  SWAGE_SPLIT_REMOVED,
  SWAGE_SPLIT_ISOLATED,
  SWAGE_SPLIT_MERGED_WITH_PREVIOUS,
  SWAGE_SPLIT_MERGED_WITH_NEXT,
  SWAGE_SPLIT_CONTIGUOUS
} SwageSplitBehavior;

typedef enum
{
  SWAGE_STEP_SPLIT,        /* cut at the matches of a pattern */
  SWAGE_STEP_PREFIX_SPACE, /* a space in front of every stretch that has none */
  SWAGE_STEP_BYTES,        /* every byte becomes its character of GPT-2's byte alphabet */
  SWAGE_STEP_METASPACE,    /* spaces become a character, which is also put in front */
} SwageStepKind;

typedef enum
{
  SWAGE_PREPEND_NEVER,
  SWAGE_PREPEND_FIRST,
  SWAGE_PREPEND_ALWAYS
} SwagePrepend;

typedef struct
{
  SwageStepKind kind;
  SwagePattern *pattern;       /* SPLIT */
  SwageSplitBehavior behavior; /* SPLIT */
  bool invert;                 /* SPLIT: what does not match is the match */
  char *replacement;           /* METASPACE */
  SwagePrepend prepend;        /* METASPACE */
} SwageStep;

typedef struct
{
  GPtrArray *steps; /* of SwageStep */
} SwagePretokenizer;

void swage_pretokenizer_init (SwagePretokenizer *pre);
void swage_pretokenizer_clear (SwagePretokenizer *pre);

/* Add the steps of tokenizer.json's "pre_tokenizer" value; UNSUPPORTED names a kind that is not known. */
bool swage_pretokenizer_add_json (SwagePretokenizer *pre, json_t *json, const char *origin, GError **error);

/* A pattern value of tokenizer.json: {"String": …}, {"Regex": …} or a plain string. */
SwagePattern *swage_pattern_new_json (json_t *json, const char *origin, GError **error);

/* What llama.cpp attaches to a pre-tokenizer's name. */
typedef struct
{
  bool ignore_merges, add_bos;
} SwagePretokenizerTraits;
/* Add the steps that the GGUF name stands for; UNSUPPORTED for an unknown name. `traits` may be NULL. */
bool swage_pretokenizer_add_named (SwagePretokenizer *pre, const char *name, SwagePretokenizerTraits *traits,
                                   GError **error);
/* The GGUF name whose cutting is the same as that of these steps, "default" when there is none. */
const char *swage_pretokenizer_recognize (const SwagePretokenizer *pre, bool ignore_merges);
bool swage_pretokenizer_has (const SwagePretokenizer *pre, SwageStepKind kind);

/* Names of all pre-tokenizers known, NULL-terminated: for tests. */
const char *const *swage_pretokenizer_get_names (void);

typedef bool (*SwageWordFunc) (const char *word, size_t n, void *user_data, GError **error);
/* Working memory: one buffer for every step. */
typedef struct
{
  SwageMatcher matcher;
  GPtrArray *buffers; /* of GString */
} SwagePretokenizerState;
void swage_pretokenizer_state_init (SwagePretokenizerState *state, const SwagePretokenizer *pre, size_t n);
void swage_pretokenizer_state_clear (SwagePretokenizerState *state);
/* Cut `n` bytes of valid UTF-8 into words, in order. `at_start`: the text stands at the very beginning of the
 * input. */
bool swage_pretokenizer_run (const SwagePretokenizer *pre, SwagePretokenizerState *state, const char *text,
                             size_t n, bool at_start, SwageWordFunc func, void *user_data, GError **error);

/* GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 … in order. */
void swage_bytes_to_alphabet (const char *bytes, size_t n, GString *out);
/* The byte a character of the alphabet stands for, or -1. */
int swage_alphabet_to_byte (gunichar c);
