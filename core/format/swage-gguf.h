/* SPDX-License-Identifier: MIT
 *
 * The GGUF file format, versions 2 and 3, little-endian (see the numbered layout at the top of swage-gguf.c).
 * Reading maps the file(s); split files (NAME-00001-of-0000N.gguf) open from any part. Readers are immutable, any thread.
 */
#pragma once

#include "core/format/swage-safetensors.h"

typedef enum {
  SWAGE_GGUF_U8, SWAGE_GGUF_I8, SWAGE_GGUF_U16, SWAGE_GGUF_I16, SWAGE_GGUF_U32, SWAGE_GGUF_I32, SWAGE_GGUF_F32,
  SWAGE_GGUF_BOOL, SWAGE_GGUF_STRING, SWAGE_GGUF_ARRAY, SWAGE_GGUF_U64, SWAGE_GGUF_I64, SWAGE_GGUF_F64
} SwageGgufKind; /* the format's own numbers */

typedef struct _SwageGguf SwageGguf;

SwageGguf *swage_gguf_open (const char *path, GError **error);
/* Parse a header in memory (what the fuzzer drives); `size` is the whole file's size. The data of tensors cannot be fetched. */
SwageGguf *swage_gguf_parse (const uint8_t *data, size_t n, uint64_t size, const char *origin, GError **error);
void swage_gguf_free (SwageGguf *gguf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageGguf, swage_gguf_free)

int swage_gguf_get_n_tensors (SwageGguf *gguf);
/* Shapes are outermost first, as everywhere in Swage (GGUF stores them the other way round). */
const SwageTensorInfo *swage_gguf_get_tensor (SwageGguf *gguf, int i);
GBytes *swage_gguf_get_data (SwageGguf *gguf, int i);
int swage_gguf_get_n_files (SwageGguf *gguf);
const char *swage_gguf_get_file (SwageGguf *gguf, int file);

/* Metadata. Getters return FALSE when the key is absent or of a kind that does not convert (any integer kind converts to
 * int where it fits, any number to double). */
bool swage_gguf_get_int (SwageGguf *gguf, const char *key, int64_t *value);
bool swage_gguf_get_double (SwageGguf *gguf, const char *key, double *value);
bool swage_gguf_get_bool (SwageGguf *gguf, const char *key, bool *value);
const char *swage_gguf_get_string (SwageGguf *gguf, const char *key);   /* NULL when absent; NUL-terminated copy owned by gguf */
/* Arrays: elements of strings are borrowed, NUL-terminated; numbers are converted. NULL when absent or of another kind. */
const char *const *swage_gguf_get_strings (SwageGguf *gguf, const char *key, const size_t **lengths, int64_t *n);
const float *swage_gguf_get_floats (SwageGguf *gguf, const char *key, int64_t *n);
const int32_t *swage_gguf_get_ints (SwageGguf *gguf, const char *key, int64_t *n);
/* All keys in file order, and the raw encoded value (kind + payload bytes, for copying unknown metadata verbatim). */
int swage_gguf_get_n_keys (SwageGguf *gguf);
const char *swage_gguf_get_key (SwageGguf *gguf, int i, SwageGgufKind *kind, const uint8_t **payload, size_t *n);

/* Writing: metadata, then tensor declarations, then swage_gguf_writer_start(), then data in the same order. */
typedef struct _SwageGgufWriter SwageGgufWriter;
SwageGgufWriter *swage_gguf_writer_new (void);
void swage_gguf_writer_set_u32 (SwageGgufWriter *w, const char *key, uint32_t value);
void swage_gguf_writer_set_f32 (SwageGgufWriter *w, const char *key, float value);
void swage_gguf_writer_set_bool (SwageGgufWriter *w, const char *key, bool value);
void swage_gguf_writer_set_string (SwageGgufWriter *w, const char *key, const char *value);
void swage_gguf_writer_set_strings (SwageGgufWriter *w, const char *key, const char *const *values, const size_t *lengths, int64_t n);
void swage_gguf_writer_set_floats (SwageGgufWriter *w, const char *key, const float *values, int64_t n);
void swage_gguf_writer_set_ints (SwageGgufWriter *w, const char *key, const int32_t *values, int64_t n);
void swage_gguf_writer_set_raw (SwageGgufWriter *w, const char *key, SwageGgufKind kind, const uint8_t *payload, size_t n);
bool swage_gguf_writer_has (SwageGgufWriter *w, const char *key);
void swage_gguf_writer_add_tensor (SwageGgufWriter *w, const char *name, SwageType type, int n_dims, const int64_t *shape);
/* Exact size of the file to come. */
uint64_t swage_gguf_writer_get_size (SwageGgufWriter *w);
bool swage_gguf_writer_start (SwageGgufWriter *w, const char *path, bool overwrite, GError **error);
/* Bytes of the current tensor; the writer pads between tensors. */
bool swage_gguf_writer_write (SwageGgufWriter *w, const void *data, size_t n, GError **error);
bool swage_gguf_writer_commit (SwageGgufWriter *w, char **sha256, uint64_t *bytes, GError **error);
void swage_gguf_writer_free (SwageGgufWriter *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageGgufWriter, swage_gguf_writer_free)
