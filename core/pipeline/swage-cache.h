/* SPDX-License-Identifier: MIT
 *
 * What the pipeline remembers: boundary states, compressed layers and notes (results), each under a key that
 * is made of everything that shaped it. Memory is bounded: the least recently used states move to unnamed
 * files (the disk's pages, not ours), layers are dropped. With a folder, states and notes are kept there for
 * other processes too. Losing an entry is never an error. One thread at a time.
 */
#pragma once

#include "core/linear/swage-linear.h"

typedef struct _SwageCache SwageCache;

/* `budget` bytes of memory. */
SwageCache *swage_cache_new (uint64_t budget);
void swage_cache_free (SwageCache *cache);
/* Keep states and notes in `folder` (created when missing; NULL: no longer), at most `limit` bytes of states:
 * the oldest go first. */
void swage_cache_set_folder (SwageCache *cache, const char *folder, uint64_t limit);

/* Memory for `bytes` of states: ordinary memory, or a mapped unnamed file when it is more than a fourth of
 * the budget. The array is the caller's to fill and to publish with swage_states_seal(). */
typedef struct
{
  float *data;
  size_t bytes;
  bool mapped;
} SwageStates;
bool swage_states_init (SwageStates *states, SwageCache *cache, size_t bytes, GError **error);
void swage_states_clear (SwageStates *states);
/* The finished states as immutable bytes; `states` is empty afterwards. */
GBytes *swage_states_seal (SwageStates *states);

GBytes *swage_cache_get_states (SwageCache *cache, const char *key, size_t bytes); /* a reference, or NULL */
bool swage_cache_has_states (SwageCache *cache, const char *key, size_t bytes);
void swage_cache_put_states (SwageCache *cache, const char *key, GBytes *states);
SwageLinear *swage_cache_get_layer (SwageCache *cache, const char *key); /* a reference, or NULL */
void swage_cache_put_layer (SwageCache *cache, const char *key, SwageLinear *layer);
char *swage_cache_get_note (SwageCache *cache, const char *key); /* new string, or NULL */
void swage_cache_put_note (SwageCache *cache, const char *key, const char *note);
/* Bytes of memory in use, mapped files not counted. */
uint64_t swage_cache_get_bytes (SwageCache *cache);
