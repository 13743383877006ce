/* SPDX-License-Identifier: MIT
 *
 * The null device borrows the CPU's memory and operators and hides both. A failed device stays failed: code
 * that carries on after an error shows at once.
 */
#include "core/engine/backend/swage-backend-null.h"

#include "core/engine/backend/swage-backend-host.h"

typedef struct
{
  SwageBackend backend;
  int calls, fail_at, buffers;
  bool failed;
} NullBackend;

static bool
null_call (SwageBackend *backend, const char *what, GError **error)
{
  NullBackend *null = (NullBackend *)backend;

  null->calls++;
  if (null->fail_at > 0 && --null->fail_at == 0)
    null->failed = true;
  if (!null->failed)
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE, "The null device was told to fail (%s, call %d)", what, null->calls);
  return false;
}

static SwageBuffer *
null_count (SwageBackend *backend, SwageBuffer *buffer)
{
  if (buffer != NULL)
    ((NullBackend *)backend)->buffers++;
  return buffer;
}

static SwageBuffer *
null_alloc (SwageBackend *backend, size_t bytes, GError **error)
{
  if (!null_call (backend, "alloc", error))
    return NULL;
  return null_count (backend, swage_host_buffer_alloc (backend, bytes, error));
}

static SwageBuffer *
null_import (SwageBackend *backend, GBytes *bytes, GError **error)
{
  size_t n = 0;
  const void *data = g_bytes_get_data (bytes, &n);

  if (!null_call (backend, "import", error))
    return NULL;
  SwageBuffer *buffer = null_count (backend, swage_host_buffer_alloc (backend, MAX (n, 1), error));
  if (buffer != NULL && n > 0)
    swage_host_buffer_upload (buffer, 0, data, n, error);
  return buffer;
}

static void
null_free_buffer (SwageBuffer *buffer)
{
  ((NullBackend *)buffer->backend)->buffers--;
  swage_host_buffer_free (buffer);
}

static bool
null_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error)
{
  return null_call (buffer->backend, "upload", error)
         && swage_host_buffer_upload (buffer, offset, src, n, error);
}

static bool
null_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error)
{
  return null_call (buffer->backend, "download", error)
         && swage_host_buffer_download (buffer, offset, dst, n, error);
}

static void *
null_get_host (SwageBuffer *buffer)
{
  return NULL;
}

static bool
null_run (SwageBackend *backend, const SwageOp *op, const SwageDispatch *dispatch, GError **error)
{
  if (!null_call (backend, op->id, error))
    return false;
  swage_host_run (op, dispatch);
  return true;
}

static bool
null_sync (SwageBackend *backend, GError **error)
{
  return null_call (backend, "sync", error);
}

static void
null_free (SwageBackend *backend)
{
  g_free (backend);
}

static const SwageBackendClass null_class = {
  .alloc = null_alloc,
  .import = null_import,
  .free_buffer = null_free_buffer,
  .upload = null_upload,
  .download = null_download,
  .get_host = null_get_host,
  .run = null_run,
  .sync = null_sync,
  .free = null_free,
};

SwageBackend *
swage_backend_null_new (void)
{
  NullBackend *null = g_new0 (NullBackend, 1);

  swage_backend_init (&null->backend, &null_class, "null");
  return &null->backend;
}

void
swage_backend_null_fail_at (SwageBackend *backend, int n)
{
  ((NullBackend *)backend)->fail_at = n;
  ((NullBackend *)backend)->failed = false;
}

int
swage_backend_null_get_calls (SwageBackend *backend)
{
  return ((NullBackend *)backend)->calls;
}

int
swage_backend_null_get_buffers (SwageBackend *backend)
{
  return ((NullBackend *)backend)->buffers;
}
