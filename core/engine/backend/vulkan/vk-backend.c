/* SPDX-License-Identifier: MIT
 *
 * From a dispatch to commands: where each view lies in device memory, which shader, what must have ended
 * before. A matrix product whose weight is larger than one piece of memory may be is run in bands of rows, so
 * that a model needs no more device memory than some pieces of it. What no shader can do runs on the CPU, on
 * copies.
 */
#include "core/engine/backend/vulkan/vk-private.h"

#include <string.h>
#include "core/base/swage-pool.h"

#define BAND_ROWS 64 /* bands of a cut matrix are multiples of this, where they can be */

/* Binding 0, as shaders/include/swage.glsl has it. */
typedef struct
{
  uint32_t ne[4], nb[4], offset, type, present, bytes;
} ShaderView;
typedef struct
{
  uint32_t pass, passes, unused[2];
  ShaderView views[SWAGE_OP_MAX_SRC + 1];
} ShaderCall;
G_STATIC_ASSERT (sizeof (ShaderCall) <= VK_CALL_BYTES);

/* Where a view lies. */
typedef struct
{
  VkBuffer buffer;
  uint64_t begin, bytes; /* of the binding */
  uint32_t rest;         /* from there to the view's first byte */
  uint64_t *last_use;
} Place;

/* ---- buffers ---- */

static SwageBuffer *
vulkan_alloc (SwageBackend *backend, size_t bytes, GError **error)
{
  VkBackend *vk = (VkBackend *)backend;
  VkSpan span;

  g_mutex_lock (&vk->lock);
  vk->dispatch++;
  bool ok = vk_is_usable (vk, error) && vk_span_alloc (vk, bytes, &span, error);
  g_mutex_unlock (&vk->lock);
  if (!ok)
    return NULL;
  VkArrayBuffer *array = g_new0 (VkArrayBuffer, 1);
  array->span = span;
  swage_buffer_init (&array->buffer, backend, bytes);
  return &array->buffer;
}

static SwageBuffer *
vulkan_import (SwageBackend *backend, GBytes *bytes, GError **error)
{
  VkBackend *vk = (VkBackend *)backend;

  g_mutex_lock (&vk->lock);
  bool ok = vk_is_usable (vk, error);
  g_mutex_unlock (&vk->lock);
  if (!ok)
    return NULL;
  VkArrayBuffer *array = g_new0 (VkArrayBuffer, 1);
  array->imported = g_bytes_ref (bytes);
  swage_buffer_init (&array->buffer, backend, g_bytes_get_size (bytes));
  return &array->buffer;
}

static void
vulkan_free_buffer (SwageBuffer *buffer)
{
  VkArrayBuffer *array = (VkArrayBuffer *)buffer;
  VkBackend *vk = (VkBackend *)buffer->backend;

  if (array->imported != NULL)
    g_bytes_unref (array->imported);
  else
    {
      g_mutex_lock (&vk->lock);
      vk_span_discard (vk, &array->span, array->last_use);
      g_mutex_unlock (&vk->lock);
    }
  g_free (array);
}

static bool
upload (VkBackend *vk, VkArrayBuffer *array, size_t offset, const void *src, size_t n, GError **error)
{
  g_assert (array->imported == NULL);
  if (!vk_upload (vk, &array->span, offset, src, n, array->last_use, error))
    return false;
  if (vk->batch != NULL)
    array->last_use = vk->serial;
  return true;
}

static bool
vulkan_upload (SwageBuffer *buffer, size_t offset, const void *src, size_t n, GError **error)
{
  VkBackend *vk = (VkBackend *)buffer->backend;

  g_mutex_lock (&vk->lock);
  bool ok = upload (vk, (VkArrayBuffer *)buffer, offset, src, n, error);
  g_mutex_unlock (&vk->lock);
  return ok;
}

static bool
download (VkBackend *vk, VkArrayBuffer *array, size_t offset, void *dst, size_t n, GError **error)
{
  if (array->imported == NULL)
    return vk_is_usable (vk, error) && vk_download (vk, &array->span, offset, dst, n, error);
  memcpy (dst, (const char *)g_bytes_get_data (array->imported, NULL) + offset, n);
  return true;
}

static bool
vulkan_download (SwageBuffer *buffer, size_t offset, void *dst, size_t n, GError **error)
{
  VkBackend *vk = (VkBackend *)buffer->backend;

  g_mutex_lock (&vk->lock);
  bool ok = download (vk, (VkArrayBuffer *)buffer, offset, dst, n, error);
  g_mutex_unlock (&vk->lock);
  return ok;
}

static void
vulkan_adopt (SwageBuffer *buffer, GBytes *bytes)
{
  VkArrayBuffer *array = (VkArrayBuffer *)buffer;
  VkBackend *vk = (VkBackend *)buffer->backend;

  g_mutex_lock (&vk->lock);
  /* larger ones are read in pieces, each resident by itself */
  if (array->imported == NULL && !vk->out && buffer->bytes <= vk->piece_bytes)
    {
      vk_adopt_resident (vk, bytes, &array->span, array->last_use);
      array->imported = g_bytes_ref (bytes);
    }
  g_mutex_unlock (&vk->lock);
}

static void *
vulkan_get_host (SwageBuffer *buffer)
{
  return NULL;
}

static bool
vulkan_sync (SwageBackend *backend, GError **error)
{
  VkBackend *vk = (VkBackend *)backend;

  g_mutex_lock (&vk->lock);
  bool ok = vk_wait_all (vk, error);
  g_mutex_unlock (&vk->lock);
  return ok;
}

/* ---- views ---- */

/* Whether the rows of a type are what its table entry or the stride says; those of codebooks and tensor
 * trains lie elsewhere. */
static bool
has_rows (SwageType type)
{
  return type == SWAGE_TYPE_INT || swage_type_get_info (type)->bytes > 0;
}

/* Bytes from the view's first to its last, within the buffer. */
static uint64_t
view_span (const SwageArray *a)
{
  const SwageView *v = &a->view;
  size_t row = v->type == SWAGE_TYPE_INT ? (size_t)v->nb[1] : swage_type_row_bytes (v->type, v->ne[0]);
  uint64_t bytes = row;

  if (!has_rows (v->type))
    return a->buffer->bytes - a->offset;
  for (int d = 1; d < 4; d++)
    {
      if (v->ne[d] <= 0)
        return 0;
      bytes += (uint64_t)(v->ne[d] - 1) * (uint64_t)v->nb[d];
    }
  return v->ne[0] > 0 ? MIN (bytes, a->buffer->bytes - a->offset) : 0;
}

/* Whether a shader can be told of the view. */
static bool
view_fits (VkBackend *vk, const SwageArray *a)
{
  for (int d = 0; d < 4; d++)
    if (a->view.ne[d] > UINT32_MAX || (a->view.nb[d] > UINT32_MAX && a->view.ne[d] > 1) || a->view.nb[d] < 0)
      return false;
  VkArrayBuffer *array = (VkArrayBuffer *)a->buffer;
  uint64_t most = MIN (vk->limits.maxStorageBufferRange, UINT32_MAX) - 2 * VK_ALIGN, span = view_span (a);
  /* an import of some pages is one piece; of a large one, what is read */
  return span <= (array->imported != NULL ? MIN (most, vk->piece_bytes) : most);
}

static bool
find_place (VkBackend *vk, const SwageArray *a, Place *place, GError **error)
{
  VkArrayBuffer *array = (VkArrayBuffer *)a->buffer;
  uint64_t span = view_span (a), at = a->offset, align = vk->limits.minStorageBufferOffsetAlignment;
  const VkSpan *memory = &array->span;

  place->last_use = &array->last_use;
  if (array->imported != NULL)
    {
      bool whole = a->buffer->bytes <= vk->piece_bytes;
      VkResident *r = vk_get_resident (vk, array->imported, whole ? 0 : a->offset,
                                       whole ? a->buffer->bytes : span, error);
      if (r == NULL)
        return false;
      memory = &r->span;
      at = whole ? a->offset : 0;
      place->last_use = &r->last_use;
    }
  at += memory->offset;
  place->buffer = memory->chunk->buffer;
  place->begin = at / align * align;
  place->rest = (uint32_t)(at - place->begin);
  place->bytes = (MAX (span, 1) + place->rest + 3) / 4 * 4;
  return true;
}

static void
describe (const SwageArray *a, const Place *place, ShaderView *out)
{
  *out = (ShaderView){ .type = (uint32_t)a->view.type };
  if (a->buffer == NULL)
    return;
  for (int d = 0; d < 4; d++)
    {
      out->ne[d] = (uint32_t)a->view.ne[d];
      out->nb[d] = a->view.nb[d] <= UINT32_MAX ? (uint32_t)a->view.nb[d] : 0;
    }
  out->offset = place->rest;
  out->bytes = (uint32_t)place->bytes;
  out->present = 1;
}

/* ---- on the device ---- */

static const SwageArray *
nth_array (const SwageDispatch *d, int i)
{
  return i == 0 ? &d->dst : &d->src[i - 1];
}

static double
work_of (const SwageOp *op, const SwageDispatch *d)
{
  SwageOpCall call = { .dst = d->dst.view, .args = d->args };

  call.dst.data = NULL; /* shapes are all that is asked */
  for (int i = 0; i < SWAGE_OP_MAX_SRC; i++)
    {
      call.src[i] = d->src[i].view;
      call.src[i].data = NULL;
    }
  double bytes = 0;
  for (int i = 0; i <= SWAGE_OP_MAX_SRC; i++)
    if (nth_array (d, i)->buffer != NULL)
      bytes += (double)view_span (nth_array (d, i));
  return (op->flops != NULL ? op->flops (&call) : 0) + bytes;
}

/* Room for binding 10, kept between calls. */
static bool
get_scratch (VkBackend *vk, size_t bytes, GError **error)
{
  if (vk->scratch.chunk != NULL && vk->scratch.bytes >= bytes)
    return true;
  vk_span_discard (vk, &vk->scratch, vk->scratch_use);
  return vk_span_alloc (vk, bytes, &vk->scratch, error);
}

static bool
record (VkBackend *vk, const SwageOp *op, const SwageDispatch *d, const SwageShaderChoice *choice,
        GError **error)
{
  Place places[VK_BINDINGS] = { 0 };
  ShaderCall call = { .passes = (uint32_t)MAX (choice->passes, 1) };
  VkDescriptorBufferInfo infos[VK_BINDINGS];
  VkWriteDescriptorSet writes[VK_BINDINGS];
  uint32_t push[32] = { 0 };

  for (int i = 0; i <= SWAGE_OP_MAX_SRC; i++)
    {
      const SwageArray *a = nth_array (d, i);
      if (a->buffer != NULL && !find_place (vk, a, &places[i + 1], error))
        return false;
      describe (a, &places[i + 1], &call.views[i]);
    }
  if (choice->scratch_bytes > 0)
    {
      if (!get_scratch (vk, choice->scratch_bytes, error))
        return false;
      places[10]
          = (Place){ vk->scratch.chunk->buffer, vk->scratch.offset, vk->scratch.bytes, 0, &vk->scratch_use };
    }
  VkPipeline pipeline = vk_get_pipeline (vk, choice, error);
  VkBatch *b = pipeline != VK_NULL_HANDLE ? vk_batch_get (vk, call.passes, error) : NULL;
  if (b == NULL)
    return false;

  if (d->args != NULL)
    memcpy (push, d->args, MIN (d->args_bytes, sizeof push));
  else if (g_str_has_suffix (op->id, "matmul")) /* alpha, its first argument, counts as 1 */
    {
      const float one = 1.0f;
      memcpy (push, &one, sizeof one);
    }
  vkCmdBindPipeline (b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  vkCmdPushConstants (b->commands, vk->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
  for (uint32_t pass = 0; pass < call.passes; pass++)
    {
      VkDescriptorSet set;
      VkDescriptorSetAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                               .descriptorPool = b->sets,
                                               .descriptorSetCount = 1,
                                               .pSetLayouts = &vk->set_layout };
      uint64_t at = (uint64_t)b->n_sets * VK_CALL_BYTES, groups = choice->groups[pass];
      VkTouches touches = { .n = 0 };

      if (groups == 0)
        continue;
      if (!vk_check (vk, vkAllocateDescriptorSets (vk->device, &allocate, &set), "vkAllocateDescriptorSets",
                     error))
        return false;
      b->n_sets++;
      call.pass = pass;
      memcpy (b->calls->mapped + at, &call, sizeof call);
      for (uint32_t i = 0; i < VK_BINDINGS; i++)
        {
          const Place *p = &places[i];
          if (i == 0)
            infos[i] = (VkDescriptorBufferInfo){ b->calls->buffer, at, VK_CALL_BYTES };
          else if (p->buffer == VK_NULL_HANDLE)
            infos[i] = (VkDescriptorBufferInfo){ vk->dummy->buffer, 0, VK_ALIGN };
          else
            {
              infos[i] = (VkDescriptorBufferInfo){ p->buffer, p->begin, p->bytes };
              vk_touches_add (&touches, p->buffer, p->begin, p->begin + p->bytes, i == 1 || i == 10);
              *p->last_use = vk->serial;
            }
          writes[i] = (VkWriteDescriptorSet){ .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                              .dstSet = set,
                                              .dstBinding = i,
                                              .descriptorCount = 1,
                                              .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                              .pBufferInfo = &infos[i] };
        }
      vkUpdateDescriptorSets (vk->device, VK_BINDINGS, writes, 0, NULL);
      vkCmdBindDescriptorSets (b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, vk->layout, 0, 1, &set, 0, NULL);
      vk_touches_apply (vk, &touches);
      uint64_t most = vk->limits.maxComputeWorkGroupCount[0], y = (groups + most - 1) / most,
               x = (groups + y - 1) / y;
      vkCmdDispatch (b->commands, (uint32_t)x, (uint32_t)y, 1);
    }
  b->work += work_of (op, d);
  vk->counters.dispatches++;
  return true;
}

/* ---- on the CPU ---- */

/* A view's bytes on the host; `owned` where they are a copy. */
static bool
fetch (VkBackend *vk, const SwageArray *a, SwageView *view, void **owned, GError **error)
{
  VkArrayBuffer *array = (VkArrayBuffer *)a->buffer;
  uint64_t span = view_span (a);

  *view = a->view;
  view->data = NULL;
  if (array == NULL)
    return true;
  if (array->imported != NULL)
    {
      view->data = (char *)(uintptr_t)g_bytes_get_data (array->imported, NULL) + a->offset;
      return true;
    }
  view->data = *owned = g_aligned_alloc (1, (MAX (span, 1) + 63) / 64 * 64, 64);
  return span == 0 || download (vk, array, a->offset, *owned, span, error);
}

static bool
run_on_cpu (VkBackend *vk, const SwageOp *op, const SwageDispatch *d, GError **error)
{
  SwageOpCall call = { .args = d->args };
  void *owned[SWAGE_OP_MAX_SRC + 1] = { NULL };
  bool ok = true;

  for (int i = 0; ok && i <= SWAGE_OP_MAX_SRC; i++)
    ok = fetch (vk, nth_array (d, i), i == 0 ? &call.dst : &call.src[i - 1], &owned[i], error);
  if (ok)
    {
      swage_pool_run_op (op, &call);
      vk->counters.cpu_fallback_ops++;
      ok = upload (vk, (VkArrayBuffer *)d->dst.buffer, d->dst.offset, owned[0], view_span (&d->dst), error);
    }
  for (int i = 0; i <= SWAGE_OP_MAX_SRC; i++)
    g_aligned_free (owned[i]);
  return ok;
}

/* ---- which of the two ---- */

static bool
run_whole (VkBackend *vk, const SwageOp *op, const SwageDispatch *d, GError **error)
{
  SwageShaderChoice choice;
  bool fits = true;

  for (int i = 0; fits && i <= SWAGE_OP_MAX_SRC; i++)
    if (nth_array (d, i)->buffer != NULL)
      fits = view_fits (vk, nth_array (d, i));
  if (!fits || !swage_shader_choose (&vk->info, op, d, &choice))
    return run_on_cpu (vk, op, d, error);
  const uint64_t most
      = (uint64_t)vk->limits.maxComputeWorkGroupCount[0] * vk->limits.maxComputeWorkGroupCount[1];
  for (int i = 0; i < MAX (choice.passes, 1); i++)
    if (choice.groups[i] > most)
      return run_on_cpu (vk, op, d, error);
  vk->dispatch++;
  return choice.groups[0] == 0 || record (vk, op, d, &choice, error);
}

/* A matrix product in bands of W's rows that each fit a piece of memory. */
static bool
run_matmul (VkBackend *vk, const SwageOp *op, const SwageDispatch *d, GError **error)
{
  const SwageArray *w = &d->src[1];
  uint64_t most = MIN (vk->piece_bytes, vk->limits.maxStorageBufferRange - 4 * VK_ALIGN);
  int64_t n = w->view.ne[1], row = w->view.nb[1];

  if (w->buffer == NULL || row <= 0 || n <= 1 || !has_rows (w->view.type) || view_span (w) <= most)
    return run_whole (vk, op, d, error);
  int64_t band = (int64_t)(most / (uint64_t)row);
  if (band >= BAND_ROWS)
    band = band / BAND_ROWS * BAND_ROWS;
  if (band < 1)
    return run_on_cpu (vk, op, d, error);
  /* Cut at the same rows of the whole matrix, whatever part of it is asked for, so that a band is found
   * again. */
  int64_t first = (int64_t)w->offset / row % band;
  for (int64_t done = 0; done < n;)
    {
      int64_t m = MIN (n - done, band - first);
      SwageDispatch part = *d;
      first = 0;
      part.dst.offset += (size_t)done * sizeof (float);
      part.dst.view.ne[0] = m;
      for (int i = 1; i <= 4; i++)
        if (part.src[i].buffer != NULL)
          {
            bool bias = i == 2;
            part.src[i].offset += (size_t)done * (bias ? sizeof (float) : (size_t)part.src[i].view.nb[1]);
            part.src[i].view.ne[bias ? 0 : 1] = m;
          }
      if (!run_whole (vk, op, &part, error))
        return false;
      done += m;
    }
  return true;
}

static bool
vulkan_run (SwageBackend *backend, const SwageOp *op, const SwageDispatch *d, GError **error)
{
  VkBackend *vk = (VkBackend *)backend;

  g_mutex_lock (&vk->lock);
  bool ok = vk_is_usable (vk, error);
  if (ok)
    ok = strcmp (op->id, "matmul") == 0 ? run_matmul (vk, op, d, error) : run_whole (vk, op, d, error);
  g_mutex_unlock (&vk->lock);
  return ok;
}

/* ---- the backend ---- */

static void
vulkan_get_counters (SwageBackend *backend, SwageBackendCounters *counters)
{
  VkBackend *vk = (VkBackend *)backend;

  g_mutex_lock (&vk->lock);
  *counters = vk->counters;
  counters->device_bytes = vk->allocated;
  counters->device_peak_bytes = vk->peak;
  g_mutex_unlock (&vk->lock);
}

static uint64_t
vulkan_get_memory_limit (SwageBackend *backend)
{
  return ((VkBackend *)backend)->limit;
}

static void
vulkan_free (SwageBackend *backend)
{
  VkBackend *vk = (VkBackend *)backend;

  if (vk->device != VK_NULL_HANDLE)
    {
      if (!vk->hung)
        vkDeviceWaitIdle (vk->device);
      vk->batch = NULL;
      vk->completed = vk->serial;
      vk_span_free (vk, &vk->scratch);
      vk_pipeline_close (vk);
      vk_batch_close (vk);
      vk_memory_close (vk);
    }
  /* A device that still works on something of ours is left as it is. */
  if (!vk->hung)
    vk_device_close (vk);
  g_free (vk->info.name);
  g_free (vk->info.driver);
  g_free (vk->info.driver_info);
  g_free (vk->why);
  g_mutex_clear (&vk->lock);
  g_free (vk);
}

static const SwageBackendClass vulkan_class = {
  .alloc = vulkan_alloc,
  .import = vulkan_import,
  .free_buffer = vulkan_free_buffer,
  .upload = vulkan_upload,
  .download = vulkan_download,
  .get_host = vulkan_get_host,
  .run = vulkan_run,
  .sync = vulkan_sync,
  .free = vulkan_free,
  .get_counters = vulkan_get_counters,
  .get_memory_limit = vulkan_get_memory_limit,
  .adopt = vulkan_adopt,
};

SwageBackend *
swage_vulkan_backend_new (const SwageVulkanOptions *options, GError **error)
{
  VkBackend *vk = g_new0 (VkBackend, 1);

  vk->options = *options;
  g_mutex_init (&vk->lock);
  if (!vk_device_open (vk, error) || !vk_pipeline_open (vk, error) || !vk_memory_open (vk, error)
      || !vk_batch_open (vk, error))
    {
      vulkan_free (&vk->backend);
      return NULL;
    }
  swage_backend_init (&vk->backend, &vulkan_class, vk->info.name);
  return &vk->backend;
}

int
swage_vulkan_backend_get_messages (SwageBackend *backend)
{
  return g_atomic_int_get (&((VkBackend *)backend)->n_messages);
}
