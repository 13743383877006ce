/* SPDX-License-Identifier: MIT
 *
 * Where operators run. A backend owns buffers and runs operators of the kernel table on them; the engine speaks to nothing else.
 * The CPU backend's buffers are host memory (and mapped files without a copy); a GPU backend's are device memory.
 */
#pragma once

#include "core/base/swage-error.h"
#include "kernels/swage-op.h"

typedef struct _SwageBackend SwageBackend;
typedef struct _SwageBuffer SwageBuffer;

/* A view whose memory is a buffer of the backend. view.data is ignored. */
typedef struct {
  SwageBuffer *buffer;    /* NULL: absent */
  size_t offset;          /* bytes */
  SwageView view;         /* type and shape */
} SwageArray;

typedef struct {
  SwageArray dst;
  SwageArray src[SWAGE_OP_MAX_SRC];
  const void *args;
  size_t args_bytes;
} SwageDispatch;

/* "cpu", or the device's name for people. */
const char *swage_backend_get_name (SwageBackend *backend);
/* Device memory of `bytes`, 64-byte aligned, contents undefined. NULL with NO_SPACE. */
SwageBuffer *swage_backend_alloc (SwageBackend *backend, size_t bytes, GError **error);
/* A read-only buffer with the contents of `bytes`: wrapped without a copy where the backend can, uploaded elsewhere. */
SwageBuffer *swage_backend_import (SwageBackend *backend, GBytes *bytes, GError **error);
/* A writable buffer over `bytes` of host memory that stays the caller's, who keeps it until the buffer is gone. NULL without an
 * error when the backend cannot run on host memory: then alloc, upload and download. */
SwageBuffer *swage_backend_wrap (SwageBackend *backend, void *memory, size_t bytes);
SwageBuffer *swage_buffer_ref (SwageBuffer *buffer);
void swage_buffer_unref (SwageBuffer *buffer);
/* Copies; complete when they return. */
bool swage_buffer_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error);
bool swage_buffer_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error);
/* `bytes` are what all of the buffer holds, fetched from it: it becomes an import of them, and other imports of the same bytes find
 * them where they are instead of sending them there. Nothing may write to the buffer any more. A backend that cannot do so leaves the
 * buffer as it is. */
void swage_buffer_adopt (SwageBuffer *buffer, GBytes *bytes);
/* Host memory of the buffer, or NULL when there is none to see. */
void *swage_buffer_get_host (SwageBuffer *buffer);
/* Run operator `op`. May be asynchronous: later dispatches see its results, the host after swage_backend_sync(). */
bool swage_backend_run (SwageBackend *backend, const SwageOp *op, const SwageDispatch *dispatch, GError **error);
bool swage_backend_sync (SwageBackend *backend, GError **error);
SwageBackend *swage_backend_ref (SwageBackend *backend);
void swage_backend_unref (SwageBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageBackend, swage_backend_unref)

/* What went on since the backend was made. A CPU has zeros. */
typedef struct {
  uint64_t uploaded_bytes, downloaded_bytes;
  uint64_t dispatches;                      /* operators run on the device */
  uint64_t cpu_fallback_ops;                /* operators that the device has no program for, run on the CPU */
  uint64_t device_bytes, device_peak_bytes; /* memory allocated on the device */
} SwageBackendCounters;
void swage_backend_get_counters (SwageBackend *backend, SwageBackendCounters *counters);
/* Bytes of memory that the backend may use; 0: no limit of its own. Who works in slices makes them smaller for a small one. */
uint64_t swage_backend_get_memory_limit (SwageBackend *backend);
/* Whether operators run on host memory: wrapping works, and imports are not copied. */
bool swage_backend_is_host (SwageBackend *backend);

/* The CPU: every operator of the table, on the worker pool. Never NULL; gives a reference to the one there is. */
SwageBackend *swage_backend_cpu (void);

/* For those who write a backend. */
typedef struct {
  SwageBuffer *(*alloc) (SwageBackend *backend, size_t bytes, GError **error);
  SwageBuffer *(*import) (SwageBackend *backend, GBytes *bytes, GError **error);
  void (*free_buffer) (SwageBuffer *buffer);
  bool (*upload) (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error);
  bool (*download) (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error);
  void *(*get_host) (SwageBuffer *buffer);
  bool (*run) (SwageBackend *backend, const SwageOp *op, const SwageDispatch *dispatch, GError **error);
  bool (*sync) (SwageBackend *backend, GError **error);
  void (*free) (SwageBackend *backend);
  SwageBuffer *(*wrap) (SwageBackend *backend, void *memory, size_t bytes);   /* NULL: cannot */
  void (*get_counters) (SwageBackend *backend, SwageBackendCounters *counters);  /* NULL: zeros */
  uint64_t (*get_memory_limit) (SwageBackend *backend);                          /* NULL: none */
  void (*adopt) (SwageBuffer *buffer, GBytes *bytes);                            /* NULL: cannot */
} SwageBackendClass;
/* Fill in the common part; `buffer` then holds a reference to its backend. free_buffer is called with the last reference and frees
 * the memory of the struct too. Both structs stand first in the backend's own. */
void swage_backend_init (SwageBackend *backend, const SwageBackendClass *klass, const char *name);
void swage_buffer_init (SwageBuffer *buffer, SwageBackend *backend, size_t bytes);
struct _SwageBackend { const SwageBackendClass *klass; gatomicrefcount refs; char *name; };
struct _SwageBuffer { SwageBackend *backend; gatomicrefcount refs; size_t bytes; };
