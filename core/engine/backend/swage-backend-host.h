/* SPDX-License-Identifier: MIT
 *
 * For backends whose buffers are host memory: from a dispatch to a call. Private to core/engine/backend.
 */
#pragma once

#include "core/engine/swage-backend.h"

typedef struct
{
  SwageBuffer buffer;
  uint8_t *memory;
  GBytes *imported; /* owner of the memory, or NULL */
  bool wrapped;     /* the memory is the caller's */
} SwageHostBuffer;

SwageBuffer *swage_host_buffer_alloc (SwageBackend *backend, size_t bytes, GError **error);
SwageBuffer *swage_host_buffer_import (SwageBackend *backend, GBytes *bytes, GError **error);
SwageBuffer *swage_host_buffer_wrap (SwageBackend *backend, void *memory, size_t bytes);
void swage_host_buffer_free (SwageBuffer *buffer);
bool swage_host_buffer_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error);
bool swage_host_buffer_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error);
/* Resolve the views of `dispatch` and run the operator on the worker pool. */
void swage_host_run (const SwageOp *op, const SwageDispatch *dispatch);
