/* SPDX-License-Identifier: MIT
 *
 * From pieces back to bytes: tokenizer.json's decoders. Private to core/text.
 */
#pragma once

#include "core/text/swage-pretokenizer.h"

typedef enum
{
  SWAGE_DECODE_BYTES,         /* GPT-2's byte alphabet; a piece with another character stands for itself */
  SWAGE_DECODE_BYTE_FALLBACK, /* <0xNN> becomes the byte */
  SWAGE_DECODE_REPLACE,
  SWAGE_DECODE_FUSE,      /* from here on the pieces are one string */
  SWAGE_DECODE_STRIP,     /* up to `start` / `stop` times `text` at the ends of each string */
  SWAGE_DECODE_METASPACE, /* `text` becomes a space, and vanishes from the first piece when `first` */
} SwageDecodeKind;

typedef struct
{
  SwageDecodeKind kind;
  SwagePattern *pattern;
  char *text;
  int start, stop;
  bool first;
} SwageDecode;

typedef struct
{
  GPtrArray *steps;      /* of SwageDecode */
  bool join_with_spaces; /* no decoder at all: HF puts a space between the pieces */
} SwageDecoder;

void swage_decoder_init (SwageDecoder *decoder);
void swage_decoder_clear (SwageDecoder *decoder);
bool swage_decoder_add_json (SwageDecoder *decoder, json_t *json, const char *origin, GError **error);
bool swage_decoder_has (const SwageDecoder *decoder, SwageDecodeKind kind);

/* Undo the byte alphabet in place; a string with a character outside of it stays as it is. */
void swage_decode_alphabet (GString *piece);
/* <0xNN> becomes the byte. */
void swage_decode_fallback (GString *piece);

/* Decode `pieces` (GString, rewritten on the way) and append the result to `out`. */
bool swage_decoder_run (const SwageDecoder *decoder, SwageMatcher *matcher, GPtrArray *pieces, GString *out,
                        GError **error);
