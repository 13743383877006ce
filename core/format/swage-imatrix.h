/* SPDX-License-Identifier: MIT
 *
 * llama.cpp's importance matrices: for each weight the sum of squares of every input channel over a
 * calibration text.
 *
 * Two forms. The newer is a GGUF file:
 *  1. general.type = "imatrix", imatrix.datasets (strings), imatrix.chunk_count and imatrix.chunk_size (u32;
 * tokens a chunk).
 *  2. For each weight two F32 tensors, sorted by name: "NAME.in_sum2", matrices × channels, and
 * "NAME.counts", matrices × 1: the tokens seen (one matrix, or one for each expert). The older (.dat),
 * little-endian:
 *  1. i32 n; n times: i32 length and bytes of a name, i32 calls, i32 n_values, f32 values (mean square ×
 * calls).
 *  2. Optionally i32 last chunk, i32 length and bytes of the text's name.
 *
 * Names are GGUF's ("blk.0.ffn_down.weight"). Built from one thread, then read from any.
 */
#pragma once

#include "core/format/swage-gguf.h"

typedef struct
{
  char *name;
  int64_t n_in, n_matrices;
  float *squares; /* n_matrices × n_in: Σx² */
  float *counts;  /* n_matrices: tokens; 0: nothing is known of this one */
} SwageImatrixEntry;

typedef struct
{
  GPtrArray *entries; /* SwageImatrixEntry, sorted by name */
  char *dataset;      /* what it was made from, or NULL */
  uint32_t n_chunks, chunk_size;
} SwageImatrix;

SwageImatrix *swage_imatrix_new (void);
void swage_imatrix_free (SwageImatrix *imatrix);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageImatrix, swage_imatrix_free)
/* Add sums over `count` tokens for one matrix; copies. A name that is there already is replaced. */
void swage_imatrix_add (SwageImatrix *imatrix, const char *name, int64_t n_in, const double *squares,
                        int64_t count);
const SwageImatrixEntry *swage_imatrix_find (const SwageImatrix *imatrix,
                                             const char *name); /* NULL when there is none */
/* Mean squares of one matrix, n_in numbers; all 1 where nothing is known, as llama.cpp has it. */
void swage_imatrix_get_means (const SwageImatrixEntry *entry, int64_t matrix, float *means);

/* Either form, told apart by content. CORRUPT names the file and what is wrong in it. */
SwageImatrix *swage_imatrix_load (const char *path, GError **error);
/* The older form in memory. */
SwageImatrix *swage_imatrix_parse (const uint8_t *data, size_t n, const char *origin, GError **error);
bool swage_imatrix_save (const SwageImatrix *imatrix, const char *path, bool overwrite, GError **error);
bool swage_imatrix_save_legacy (const SwageImatrix *imatrix, const char *path, bool overwrite,
                                GError **error);
