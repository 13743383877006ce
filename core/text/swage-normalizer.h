/* SPDX-License-Identifier: MIT
 *
 * Rewriting text before it is cut: tokenizer.json's normalizers. Private to core/text.
 */
#pragma once

#include "core/text/swage-pretokenizer.h"

typedef enum
{
  SWAGE_NORMALIZE_PREPEND, /* put `text` in front of what is not empty */
  SWAGE_NORMALIZE_REPLACE, /* matches of `pattern` become `text` */
  SWAGE_NORMALIZE_UNICODE, /* Unicode normalization form `form` */
  SWAGE_NORMALIZE_LOWERCASE,
  SWAGE_NORMALIZE_STRIP, /* white space at the ends */
  SWAGE_NORMALIZE_STRIP_ACCENTS,
  SWAGE_NORMALIZE_BYTES, /* GPT-2's byte alphabet */
} SwageNormalizeKind;

typedef struct
{
  SwageNormalizeKind kind;
  char *text;
  SwagePattern *pattern;
  GNormalizeMode form;
  bool left, right; /* STRIP */
} SwageNormalize;

typedef struct
{
  GPtrArray *steps; /* of SwageNormalize */
} SwageNormalizer;

void swage_normalizer_init (SwageNormalizer *normalizer);
void swage_normalizer_clear (SwageNormalizer *normalizer);
bool swage_normalizer_add_json (SwageNormalizer *normalizer, json_t *json, const char *origin,
                                GError **error);
/* GGUF "llama": spaces become ▁. */
void swage_normalizer_add_replace (SwageNormalizer *normalizer, const char *literal, const char *text);

/* Rewrite `text` (valid UTF-8) in place. */
bool swage_normalizer_run (const SwageNormalizer *normalizer, SwageMatcher *matcher, GString *text,
                           GError **error);

/* A copy of `n` bytes with everything that is not UTF-8 mended as llama.cpp does (each bad byte becomes
 * U+FFFD, overlong forms their character), or NULL when there is nothing to mend. */
GString *swage_text_mend (const char *text, size_t n);
