/* SPDX-License-Identifier: MIT
 *
 * The safetensors file format.
 *  1. u64 little-endian: length N of the header (N <= 100 MB).
 *  2. N bytes of JSON: {"name": {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [begin, end]}, …,
 *     "__metadata__": {"key": "text"}} (optional). Padding with spaces is allowed.
 *  3. The buffer. Offsets are relative to its start; tensors do not overlap and together fill it.
 * Reading maps the file; no tensor byte is touched that is not asked for. Readers are immutable, any thread.
 */
#pragma once

#include "core/base/swage-output.h"
#include "kernels/swage-type.h"

#define SWAGE_MAX_DIMS 8

/* One tensor of a file, of any format. `shape` is outermost first (PyTorch's order): shape[n_dims−1] is the row. */
typedef struct {
  char *name;
  SwageType type;      /* SWAGE_TYPE_NONE: a dtype that Swage cannot read; `dtype` names it */
  char dtype[16];      /* the file's own word for the type */
  int n_dims;
  int64_t shape[SWAGE_MAX_DIMS];
  uint64_t offset;     /* absolute, in its file */
  uint64_t bytes;
  int file;            /* index of the file in a sharded model; 0 for a single file */
} SwageTensorInfo;

typedef struct _SwageSafetensors SwageSafetensors;

SwageSafetensors *swage_safetensors_open (const char *path, GError **error);
void swage_safetensors_free (SwageSafetensors *st);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageSafetensors, swage_safetensors_free)
int swage_safetensors_get_n_tensors (SwageSafetensors *st);
const SwageTensorInfo *swage_safetensors_get_tensor (SwageSafetensors *st, int i);   /* in file order */
/* The bytes of tensor i: a slice of the mapping, gives a reference that keeps the mapping alive. */
GBytes *swage_safetensors_get_data (SwageSafetensors *st, int i);
/* Value of a __metadata__ key, or NULL. */
const char *swage_safetensors_get_metadata (SwageSafetensors *st, const char *key);
/* Parse a header in memory (what the fuzzer drives): `size` is the whole file's size, `data` its first `n` bytes. */
GPtrArray *swage_safetensors_parse (const uint8_t *data, size_t n, uint64_t size, const char *origin, GHashTable **metadata, GError **error);

/* Writing: declare all tensors first (name, type with a safetensors dtype, shape), then give their data in the same order,
 * each in any number of pieces. `file` and `offset` of the declarations are ignored. */
typedef struct _SwageSafetensorsWriter SwageSafetensorsWriter;
SwageSafetensorsWriter *swage_safetensors_writer_new (const char *path, const SwageTensorInfo *tensors, int n_tensors,
                                                      const char *const *metadata /* key, value, …, NULL */, bool overwrite, GError **error);
/* Exact size of the file that the writer would make of these declarations. */
uint64_t swage_safetensors_count_bytes (const SwageTensorInfo *tensors, int n_tensors, const char *const *metadata);
bool swage_safetensors_writer_write (SwageSafetensorsWriter *w, const void *data, size_t n, GError **error);
/* Fails when fewer or more bytes were written than declared. */
bool swage_safetensors_writer_commit (SwageSafetensorsWriter *w, char **sha256, uint64_t *bytes, GError **error);
void swage_safetensors_writer_free (SwageSafetensorsWriter *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageSafetensorsWriter, swage_safetensors_writer_free)
