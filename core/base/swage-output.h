/* SPDX-License-Identifier: MIT
 *
 * An output file that appears whole or not at all. Bytes go to an unnamed (or hidden temporary) file in the
 * target's folder; commit syncs it and puts it in the target's place in one rename; dropping it leaves
 * nothing behind, also after kill -9 where the file system has O_TMPFILE. SHA-256 is computed on the way. One
 * thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <gio/gio.h>

typedef struct _SwageOutput SwageOutput;

/* Start writing `path`. `expected` bytes (0: unknown) are checked against the free space first (NO_SPACE). An
 * existing file is left alone until commit; with overwrite FALSE an existing one is an error (INVALID). */
SwageOutput *swage_output_new (const char *path, uint64_t expected, bool overwrite, GError **error);
bool swage_output_write (SwageOutput *out, const void *data, size_t n, GError **error);
/* Write zeros up to the next multiple of `alignment`. */
bool swage_output_pad (SwageOutput *out, uint64_t alignment, GError **error);
uint64_t swage_output_get_position (SwageOutput *out);
/* Finish. `sha256` (may be NULL) gets a new hex string. After this only free is allowed. */
bool swage_output_commit (SwageOutput *out, char **sha256, GError **error);
/* Frees; without a commit before, everything written is discarded. NULL is allowed. */
void swage_output_free (SwageOutput *out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageOutput, swage_output_free)

/* The whole of a small file at once, with the same promise. */
bool swage_output_write_file (const char *path, const void *data, size_t n, bool overwrite, char **sha256,
                              GError **error);
