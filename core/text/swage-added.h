/* SPDX-License-Identifier: MIT
 *
 * Added and special tokens: strings found in the text before anything else happens to it. Private to
 * core/text.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Longest spelling; a search walks at most this far from every position of the text. */
#define SWAGE_ADDED_MAX_LENGTH 1024

typedef struct
{
  int32_t id;
  char *text; /* what is looked for */
  size_t n;
  bool special;        /* found only where special tokens are parsed */
  bool single_word;    /* not next to a word character */
  bool lstrip, rstrip; /* takes the white space beside it along */
} SwageAdded;

typedef struct _SwageAddedSet SwageAddedSet;

SwageAddedSet *swage_added_set_new (void);
void swage_added_set_free (SwageAddedSet *set);
/* Copies `text`. An empty spelling is left out. FALSE when it is too long or all together are too many. */
bool swage_added_set_add (SwageAddedSet *set, const char *text, size_t n, const SwageAdded *like);
guint swage_added_set_get_size (const SwageAddedSet *set);

/* A stretch of the text: a token (id >= 0) or text to go on with (-1). */
typedef struct
{
  size_t start, end;
  int32_t id;
} SwageStretch;

/* tokenizer.json's way: from left to right, the longest spelling at each place. Appends SwageStretch. */
void swage_added_set_scan (const SwageAddedSet *set, const char *text, size_t n, bool special,
                           GArray *stretches);
/* llama.cpp's way: token after token, longest spelling first, wherever no earlier one was found. */
void swage_added_set_partition (const SwageAddedSet *set, const char *text, size_t n, bool special,
                                GArray *stretches);
