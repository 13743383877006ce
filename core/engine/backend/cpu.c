/* SPDX-License-Identifier: MIT
 *
 * The CPU backend: buffers are host memory, mapped files are used where they lie, operators run on the worker
 * pool and are done when the call returns.
 */
#include "core/engine/backend/swage-backend-host.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "core/base/swage-pool.h"

/* From here on huge pages pay: a first pass over 16 MiB of scratch otherwise takes 4096 page faults. */
#define HUGE_PAGES_FROM ((size_t)4 << 20)

SwageBuffer *
swage_host_buffer_alloc (SwageBackend *backend, size_t bytes, GError **error)
{
  size_t alignment = bytes >= HUGE_PAGES_FROM ? (size_t)2 << 20 : 64;
  void *memory = NULL;

  if (bytes > SIZE_MAX / 2 || posix_memalign (&memory, alignment, (bytes + 63) & ~(size_t)63) != 0)
    {
      g_autofree char *size = g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                   _ ("There is not enough memory for %s of working space"), size);
      return NULL;
    }
#ifdef MADV_HUGEPAGE
  if (bytes >= HUGE_PAGES_FROM)
    madvise (memory, bytes, MADV_HUGEPAGE);
#endif
  SwageHostBuffer *host = g_new0 (SwageHostBuffer, 1);
  swage_buffer_init (&host->buffer, backend, bytes);
  host->memory = memory;
  return &host->buffer;
}

SwageBuffer *
swage_host_buffer_import (SwageBackend *backend, GBytes *bytes, GError **error)
{
  SwageHostBuffer *host = g_new0 (SwageHostBuffer, 1);
  size_t n = 0;

  host->imported = g_bytes_ref (bytes);
  host->memory = (uint8_t *)g_bytes_get_data (bytes, &n);
  swage_buffer_init (&host->buffer, backend, n);
  return &host->buffer;
}

SwageBuffer *
swage_host_buffer_wrap (SwageBackend *backend, void *memory, size_t bytes)
{
  SwageHostBuffer *host = g_new0 (SwageHostBuffer, 1);

  host->memory = memory;
  host->wrapped = true;
  swage_buffer_init (&host->buffer, backend, bytes);
  return &host->buffer;
}

void
swage_host_buffer_free (SwageBuffer *buffer)
{
  SwageHostBuffer *host = (SwageHostBuffer *)buffer;

  if (host->imported != NULL)
    g_bytes_unref (host->imported);
  else if (!host->wrapped)
    free (host->memory);
  g_free (host);
}

bool
swage_host_buffer_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error)
{
  memcpy (((SwageHostBuffer *)buffer)->memory + offset, src, n);
  return true;
}

bool
swage_host_buffer_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error)
{
  memcpy (dst, ((SwageHostBuffer *)buffer)->memory + offset, n);
  return true;
}

static SwageView
resolve (const SwageArray *array)
{
  SwageView view = array->view;

  view.data = array->buffer != NULL ? ((SwageHostBuffer *)array->buffer)->memory + array->offset : NULL;
  return view;
}

void
swage_host_run (const SwageOp *op, const SwageDispatch *dispatch)
{
  SwageOpCall call = { .dst = resolve (&dispatch->dst), .args = dispatch->args };

  for (int i = 0; i < SWAGE_OP_MAX_SRC; i++)
    call.src[i] = resolve (&dispatch->src[i]);
  swage_pool_run_op (op, &call);
}

static void *
cpu_get_host (SwageBuffer *buffer)
{
  return ((SwageHostBuffer *)buffer)->memory;
}

static bool
cpu_run (SwageBackend *backend, const SwageOp *op, const SwageDispatch *dispatch, GError **error)
{
  swage_host_run (op, dispatch);
  return true;
}

static bool
cpu_sync (SwageBackend *backend, GError **error)
{
  return true;
}

static void
cpu_free (SwageBackend *backend)
{
  g_free (backend);
}

static const SwageBackendClass cpu_class = {
  .alloc = swage_host_buffer_alloc,
  .import = swage_host_buffer_import,
  .free_buffer = swage_host_buffer_free,
  .upload = swage_host_buffer_upload,
  .download = swage_host_buffer_download,
  .get_host = cpu_get_host,
  .run = cpu_run,
  .sync = cpu_sync,
  .free = cpu_free,
  .wrap = swage_host_buffer_wrap,
};

SwageBackend *
swage_backend_cpu (void)
{
  static gsize ready;
  static SwageBackend *the_one; /* keeps its first reference for ever */

  if (g_once_init_enter (&ready))
    {
      the_one = g_new0 (SwageBackend, 1);
      swage_backend_init (the_one, &cpu_class, "cpu");
      g_once_init_leave (&ready, 1);
    }
  return swage_backend_ref (the_one);
}
