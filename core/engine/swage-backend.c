/* SPDX-License-Identifier: MIT
 *
 * The part that all backends share: references, and bounds that are checked once, here.
 */
#include "core/engine/swage-backend.h"

void
swage_backend_init (SwageBackend *backend, const SwageBackendClass *klass, const char *name)
{
  backend->klass = klass;
  g_atomic_ref_count_init (&backend->refs);
  backend->name = g_strdup (name);
}

void
swage_buffer_init (SwageBuffer *buffer, SwageBackend *backend, size_t bytes)
{
  buffer->backend = swage_backend_ref (backend);
  g_atomic_ref_count_init (&buffer->refs);
  buffer->bytes = bytes;
}

const char *
swage_backend_get_name (SwageBackend *backend)
{
  return backend->name;
}

SwageBackend *
swage_backend_ref (SwageBackend *backend)
{
  g_atomic_ref_count_inc (&backend->refs);
  return backend;
}

void
swage_backend_unref (SwageBackend *backend)
{
  if (backend == NULL || !g_atomic_ref_count_dec (&backend->refs))
    return;
  g_free (backend->name);
  backend->klass->free (backend);
}

SwageBuffer *
swage_backend_alloc (SwageBackend *backend, size_t bytes, GError **error)
{
  return backend->klass->alloc (backend, MAX (bytes, 1), error);
}

SwageBuffer *
swage_backend_import (SwageBackend *backend, GBytes *bytes, GError **error)
{
  return backend->klass->import (backend, bytes, error);
}

SwageBuffer *
swage_backend_wrap (SwageBackend *backend, void *memory, size_t bytes)
{
  return backend->klass->wrap != NULL ? backend->klass->wrap (backend, memory, bytes) : NULL;
}

SwageBuffer *
swage_buffer_ref (SwageBuffer *buffer)
{
  g_atomic_ref_count_inc (&buffer->refs);
  return buffer;
}

void
swage_buffer_unref (SwageBuffer *buffer)
{
  if (buffer == NULL || !g_atomic_ref_count_dec (&buffer->refs))
    return;
  g_autoptr (SwageBackend) backend = buffer->backend; /* outlives its last buffer */
  backend->klass->free_buffer (buffer);
}

bool
swage_buffer_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error)
{
  g_assert (offset <= buffer->bytes && n <= buffer->bytes - offset);
  return n == 0 || buffer->backend->klass->upload (buffer, offset, src, n, error);
}

bool
swage_buffer_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error)
{
  g_assert (offset <= buffer->bytes && n <= buffer->bytes - offset);
  return n == 0 || buffer->backend->klass->download (buffer, offset, dst, n, error);
}

void
swage_buffer_adopt (SwageBuffer *buffer, GBytes *bytes)
{
  g_assert (g_bytes_get_size (bytes) == buffer->bytes);
  if (buffer->backend->klass->adopt != NULL)
    buffer->backend->klass->adopt (buffer, bytes);
}

void *
swage_buffer_get_host (SwageBuffer *buffer)
{
  return buffer->backend->klass->get_host (buffer);
}

bool
swage_backend_run (SwageBackend *backend, const SwageOp *op, const SwageDispatch *dispatch, GError **error)
{
  return backend->klass->run (backend, op, dispatch, error);
}

bool
swage_backend_sync (SwageBackend *backend, GError **error)
{
  return backend->klass->sync (backend, error);
}

void
swage_backend_get_counters (SwageBackend *backend, SwageBackendCounters *counters)
{
  *counters = (SwageBackendCounters){ 0 };
  if (backend->klass->get_counters != NULL)
    backend->klass->get_counters (backend, counters);
}

uint64_t
swage_backend_get_memory_limit (SwageBackend *backend)
{
  return backend->klass->get_memory_limit != NULL ? backend->klass->get_memory_limit (backend) : 0;
}

bool
swage_backend_is_host (SwageBackend *backend)
{
  return backend->klass->wrap != NULL;
}
