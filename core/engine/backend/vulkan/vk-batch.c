/* SPDX-License-Identifier: MIT
 *
 * Work goes to the device in batches: while one runs, the next is recorded and its bytes are copied into
 * staging memory. One queue, submissions in order, a fence each. Between commands there is a barrier where
 * one touches what another has written, and none elsewhere, so that the three projections of an attention
 * layer run side by side.
 */
#include "core/engine/backend/vulkan/vk-private.h"

#include <string.h>

#define STAGING_MAX ((uint64_t)16 << 20)
#define STAGING_MIN ((uint64_t)256 << 10)

/* Arithmetic in one submission: enough to hide the cost of submitting, little enough that a desktop's screen
 * keeps moving and that no driver takes the device for hung. */
#define BATCH_WORK 1e11
#define BATCH_WORK_SOFTWARE 4e9

bool
vk_batch_open (VkBackend *vk, GError **error)
{
  uint64_t most = vk->direct_write && vk->direct_read ? STAGING_MIN : STAGING_MAX; /* hardly needed there */
  uint64_t staging = CLAMP (vk->limit / 32, STAGING_MIN, most) / VK_ALIGN * VK_ALIGN;

  vk->serial = 1;
  for (int i = 0; i < VK_BATCHES; i++)
    {
      VkBatch *b = &vk->batches[i];
      VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                       .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                       .queueFamilyIndex = vk->family };
      VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, VK_BATCH_SETS * VK_BINDINGS };
      VkDescriptorPoolCreateInfo sets = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                          .maxSets = VK_BATCH_SETS,
                                          .poolSizeCount = 1,
                                          .pPoolSizes = &size };
      VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
      b->garbage = g_array_new (FALSE, FALSE, sizeof (VkSpan));
      if (!vk_check (vk, vkCreateCommandPool (vk->device, &pool, NULL, &b->pool), "vkCreateCommandPool",
                     error)
          || !vk_check (vk, vkCreateDescriptorPool (vk->device, &sets, NULL, &b->sets),
                        "vkCreateDescriptorPool", error)
          || !vk_check (vk, vkCreateFence (vk->device, &fence, NULL, &b->fence), "vkCreateFence", error))
        return false;
      VkCommandBufferAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                               .commandPool = b->pool,
                                               .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                               .commandBufferCount = 1 };
      if (!vk_check (vk, vkAllocateCommandBuffers (vk->device, &allocate, &b->commands),
                     "vkAllocateCommandBuffers", error))
        return false;
      b->calls = vk_chunk_new (vk, VK_BATCH_SETS * VK_CALL_BYTES, vk->staging_type, true, error);
      b->staging = b->calls != NULL ? vk_chunk_new (vk, staging, vk->staging_type, true, error) : NULL;
      if (b->staging == NULL)
        return false;
    }
  vk->dummy = vk_chunk_new (vk, VK_ALIGN, vk->staging_type, true, error);
  if (vk->dummy != NULL)
    memset (vk->dummy->mapped, 0, VK_ALIGN);
  return vk->dummy != NULL;
}

static void
free_garbage (VkBackend *vk, VkBatch *b)
{
  for (guint i = 0; i < b->garbage->len; i++)
    vk_span_free (vk, &g_array_index (b->garbage, VkSpan, i));
  g_array_set_size (b->garbage, 0);
}

void
vk_batch_close (VkBackend *vk)
{
  for (int i = 0; i < VK_BATCHES; i++)
    {
      VkBatch *b = &vk->batches[i];
      if (b->garbage != NULL)
        {
          free_garbage (vk, b);
          g_array_unref (b->garbage);
        }
      vk_chunk_free (vk, b->calls);
      vk_chunk_free (vk, b->staging);
      if (vk->hung)
        continue;
      if (b->fence != VK_NULL_HANDLE)
        vkDestroyFence (vk->device, b->fence, NULL);
      if (b->sets != VK_NULL_HANDLE)
        vkDestroyDescriptorPool (vk->device, b->sets, NULL);
      if (b->pool != VK_NULL_HANDLE)
        vkDestroyCommandPool (vk->device, b->pool, NULL);
    }
  vk_chunk_free (vk, vk->dummy);
}

/* ---- ends of batches ---- */

static void
batch_ended (VkBackend *vk, VkBatch *b)
{
  b->running = false;
  vk->completed = MAX (vk->completed, b->serial);
  free_garbage (vk, b);
}

static bool
batch_wait (VkBackend *vk, VkBatch *b, GError **error)
{
  if (!b->running)
    return true;
  VkResult result = vk_fault (vk, SWAGE_VULKAN_FAULT_HANG)
                        ? VK_TIMEOUT
                        : vkWaitForFences (vk->device, 1, &b->fence, VK_TRUE, (uint64_t)(vk->timeout * 1e9));
  if (result != VK_SUCCESS)
    return vk_fail (vk, result, "vkWaitForFences", error);
  batch_ended (vk, b);
  return true;
}

void
vk_poll (VkBackend *vk)
{
  for (uint64_t serial = vk->completed + 1; serial < vk->serial && !vk->out; serial++)
    {
      VkBatch *b = &vk->batches[serial % VK_BATCHES];
      if (!b->running || vkGetFenceStatus (vk->device, b->fence) != VK_SUCCESS)
        return;
      batch_ended (vk, b);
    }
}

bool
vk_wait (VkBackend *vk, uint64_t serial, GError **error)
{
  if (!vk_is_usable (vk, error))
    return false;
  if (serial >= vk->serial && vk->batch != NULL && !vk_batch_submit (vk, error))
    return false;
  for (uint64_t s = vk->completed + 1; s <= serial && s < vk->serial; s++)
    if (!batch_wait (vk, &vk->batches[s % VK_BATCHES], error))
      return false;
  return true;
}

bool
vk_wait_all (VkBackend *vk, GError **error)
{
  return vk_wait (vk, vk->serial, error);
}

/* ---- recording ---- */

static bool
batch_begin (VkBackend *vk, GError **error)
{
  VkBatch *b = &vk->batches[vk->serial % VK_BATCHES];
  VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };

  if (!batch_wait (vk, b, error)
      || !vk_check (vk, vkResetCommandPool (vk->device, b->pool, 0), "vkResetCommandPool", error)
      || !vk_check (vk, vkResetDescriptorPool (vk->device, b->sets, 0), "vkResetDescriptorPool", error)
      || !vk_check (vk, vkBeginCommandBuffer (b->commands, &begin), "vkBeginCommandBuffer", error))
    return false;
  b->serial = vk->serial;
  b->n_sets = 0;
  b->staged = 0;
  b->work = 0;
  vk->batch = b;
  return true;
}

VkBatch *
vk_batch_get (VkBackend *vk, uint32_t sets, GError **error)
{
  double most = vk->info.kind == SWAGE_VULKAN_SOFTWARE ? BATCH_WORK_SOFTWARE : BATCH_WORK;

  if (!vk_is_usable (vk, error))
    return NULL;
  if (vk->batch != NULL && sets > 0 && (vk->batch->n_sets + sets > VK_BATCH_SETS || vk->batch->work > most)
      && !vk_batch_submit (vk, error))
    return NULL;
  return vk->batch != NULL || batch_begin (vk, error) ? vk->batch : NULL;
}

bool
vk_batch_submit (VkBackend *vk, GError **error)
{
  VkBatch *b = vk->batch;
  VkSubmitInfo submit
      = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &b->commands };
  /* What the host reads of it comes after the fence; this makes it visible. */
  VkMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT };

  vk->batch = NULL;
  vkCmdPipelineBarrier (b->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                        VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
  if (!vk_check (vk, vkEndCommandBuffer (b->commands), "vkEndCommandBuffer", error)
      || !vk_check (vk, vkResetFences (vk->device, 1, &b->fence), "vkResetFences", error))
    return false;
  VkResult result = vk_fault (vk, SWAGE_VULKAN_FAULT_LOST) ? VK_ERROR_DEVICE_LOST
                                                           : vkQueueSubmit (vk->queue, 1, &submit, b->fence);
  if (!vk_check (vk, result, "vkQueueSubmit", error))
    return false;
  b->running = true;
  vk->serial++;
  return true;
}

/* ---- barriers ---- */

void
vk_touches_add (VkTouches *t, VkBuffer buffer, uint64_t begin, uint64_t end, bool write)
{
  g_assert (t->n < (int)G_N_ELEMENTS (t->ranges));
  t->ranges[t->n++] = (VkHazard){ buffer, begin, end, write };
}

void
vk_touches_apply (VkBackend *vk, const VkTouches *t)
{
  bool conflict = vk->n_hazards + t->n > VK_HAZARDS;

  for (int i = 0; i < t->n && !conflict; i++)
    for (int j = 0; j < vk->n_hazards && !conflict; j++)
      {
        const VkHazard *a = &t->ranges[i], *b = &vk->hazards[j];
        conflict = a->buffer == b->buffer && (a->write || b->write) && a->begin < b->end && b->begin < a->end;
      }
  if (conflict)
    {
      const VkPipelineStageFlags stages
          = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
      VkMemoryBarrier barrier
          = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
              .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT
                               | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT };
      vkCmdPipelineBarrier (vk->batch->commands, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
      vk->n_hazards = 0;
    }
  memcpy (vk->hazards + vk->n_hazards, t->ranges, (size_t)t->n * sizeof *t->ranges);
  vk->n_hazards += t->n;
}

/* ---- copies ---- */

bool
vk_upload (VkBackend *vk, const VkSpan *span, uint64_t offset, const void *src, uint64_t n, uint64_t last_use,
           GError **error)
{
  if (!vk_is_usable (vk, error))
    return false;
  vk->counters.uploaded_bytes += n;
  if (vk->direct_write)
    {
      vk_poll (vk);
      if (last_use <= vk->completed)
        {
          memcpy (span->chunk->mapped + span->offset + offset, src, n);
          return true;
        }
    }
  for (uint64_t done = 0; done < n;)
    {
      VkBatch *b = vk_batch_get (vk, 0, error);
      if (b != NULL && b->staging->bytes - b->staged < MIN (n - done, VK_ALIGN))
        b = vk_batch_submit (vk, error) ? vk_batch_get (vk, 0, error) : NULL;
      if (b == NULL)
        return false;
      uint64_t m = MIN (n - done, b->staging->bytes - b->staged), to = span->offset + offset + done;
      VkBufferCopy copy = { .srcOffset = b->staged, .dstOffset = to, .size = m };
      VkTouches touches = { .n = 0 };
      memcpy (b->staging->mapped + b->staged, (const char *)src + done, m);
      vk_touches_add (&touches, span->chunk->buffer, to, to + m, true);
      vk_touches_apply (vk, &touches);
      vkCmdCopyBuffer (b->commands, b->staging->buffer, span->chunk->buffer, 1, &copy);
      b->staged = MIN ((b->staged + m + VK_ALIGN - 1) / VK_ALIGN * VK_ALIGN, b->staging->bytes);
      done += m;
    }
  return true;
}

bool
vk_download (VkBackend *vk, const VkSpan *span, uint64_t offset, void *dst, uint64_t n, GError **error)
{
  vk->counters.downloaded_bytes += n;
  if (vk->direct_read)
    {
      if (!vk_wait_all (vk, error))
        return false;
      memcpy (dst, span->chunk->mapped + span->offset + offset, n);
      return true;
    }
  for (uint64_t done = 0; done < n;)
    {
      VkBatch *b = vk_batch_get (vk, 0, error);
      if (b != NULL && b->staging->bytes - b->staged < MIN (n - done, VK_ALIGN))
        b = vk_batch_submit (vk, error) ? vk_batch_get (vk, 0, error) : NULL;
      if (b == NULL)
        return false;
      uint64_t m = MIN (n - done, b->staging->bytes - b->staged), from = span->offset + offset + done,
               at = b->staged;
      VkBufferCopy copy = { .srcOffset = from, .dstOffset = at, .size = m };
      VkTouches touches = { .n = 0 };
      vk_touches_add (&touches, span->chunk->buffer, from, from + m, false);
      vk_touches_apply (vk, &touches);
      vkCmdCopyBuffer (b->commands, span->chunk->buffer, b->staging->buffer, 1, &copy);
      b->staged = MIN ((b->staged + m + VK_ALIGN - 1) / VK_ALIGN * VK_ALIGN, b->staging->bytes);
      if (!vk_wait_all (vk, error))
        return false;
      memcpy ((char *)dst + done, b->staging->mapped + at, m);
      done += m;
    }
  return true;
}
