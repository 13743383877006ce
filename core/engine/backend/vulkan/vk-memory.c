/* SPDX-License-Identifier: MIT
 *
 * Device memory. Small arrays share chunks, large ones have one each; all of it is counted, staging memory
 * too, and stays under the limit. When there is no room, weights leave that were read longest ago: they lie
 * on the host and come back when they are read again. Weights whose layers are gone stay too, for the next
 * preview will ask for most of them again.
 */
#include "core/engine/backend/vulkan/vk-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES ((uint64_t)8 << 20)
#define LIMIT_MIN ((uint64_t)4 << 20)

static uint64_t
align_up (uint64_t n, uint64_t alignment)
{
  return (n + alignment - 1) / alignment * alignment;
}

/* ---- chunks ---- */

static VkResult
chunk_init (VkBackend *vk, VkChunk *chunk, uint64_t bytes, uint32_t type, bool map)
{
  VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                              .size = bytes,
                              .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT
                                       | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                              .sharingMode = VK_SHARING_MODE_EXCLUSIVE };
  VkMemoryRequirements need;

  if (vk_fault (vk, SWAGE_VULKAN_FAULT_MEMORY))
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  VkResult result = vkCreateBuffer (vk->device, &info, NULL, &chunk->buffer);
  if (result != VK_SUCCESS)
    {
      chunk->buffer = VK_NULL_HANDLE;
      return result;
    }
  vkGetBufferMemoryRequirements (vk->device, chunk->buffer, &need);
  if (vk->allocated + need.size > vk->limit || need.size > vk->max_allocation)
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  VkMemoryAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                    .allocationSize = need.size,
                                    .memoryTypeIndex = type };
  result = vkAllocateMemory (vk->device, &allocate, NULL, &chunk->memory);
  if (result != VK_SUCCESS)
    {
      chunk->memory = VK_NULL_HANDLE;
      return result;
    }
  chunk->bytes = need.size;
  vk->allocated += need.size;
  vk->peak = MAX (vk->peak, vk->allocated);
  result = vkBindBufferMemory (vk->device, chunk->buffer, chunk->memory, 0);
  if (result == VK_SUCCESS && map)
    result = vkMapMemory (vk->device, chunk->memory, 0, VK_WHOLE_SIZE, 0, (void **)&chunk->mapped);
  return result;
}

void
vk_chunk_free (VkBackend *vk, VkChunk *chunk)
{
  if (chunk == NULL)
    return;
  if (!vk->hung)
    {
      if (chunk->buffer != VK_NULL_HANDLE)
        vkDestroyBuffer (vk->device, chunk->buffer, NULL);
      if (chunk->memory != VK_NULL_HANDLE)
        vkFreeMemory (vk->device, chunk->memory, NULL);
    }
  vk->allocated -= chunk->bytes;
  if (chunk->holes != NULL)
    g_array_unref (chunk->holes);
  g_free (chunk);
}

static VkChunk *
chunk_try (VkBackend *vk, uint64_t bytes, uint32_t type, bool map, VkResult *result)
{
  VkChunk *chunk = g_new0 (VkChunk, 1);

  *result = chunk_init (vk, chunk, bytes, type, map);
  if (*result == VK_SUCCESS)
    return chunk;
  vk_chunk_free (vk, chunk);
  return NULL;
}

VkChunk *
vk_chunk_new (VkBackend *vk, uint64_t bytes, uint32_t type, bool map, GError **error)
{
  VkResult result;
  VkChunk *chunk = chunk_try (vk, align_up (bytes, VK_ALIGN), type, map, &result);

  if (chunk == NULL)
    vk_fail (vk, result, "vkAllocateMemory", error);
  return chunk;
}

/* ---- spans ---- */

static bool
take_hole (VkChunk *chunk, uint64_t bytes, VkSpan *span)
{
  for (guint i = 0; chunk->holes != NULL && i < chunk->holes->len; i++)
    {
      VkHole *hole = &g_array_index (chunk->holes, VkHole, i);
      if (hole->bytes < bytes)
        continue;
      *span = (VkSpan){ chunk, hole->offset, bytes };
      hole->offset += bytes;
      hole->bytes -= bytes;
      if (hole->bytes == 0)
        g_array_remove_index (chunk->holes, i);
      chunk->used += bytes;
      return true;
    }
  return false;
}

static void
put_hole (VkChunk *chunk, uint64_t offset, uint64_t bytes)
{
  guint i = 0;

  while (i < chunk->holes->len && g_array_index (chunk->holes, VkHole, i).offset < offset)
    i++;
  VkHole hole = { offset, bytes };
  g_array_insert_val (chunk->holes, i, hole);
  if (i + 1 < chunk->holes->len)
    {
      VkHole *here = &g_array_index (chunk->holes, VkHole, i), *next = here + 1;
      if (here->offset + here->bytes == next->offset)
        {
          here->bytes += next->bytes;
          g_array_remove_index (chunk->holes, i + 1);
        }
    }
  if (i > 0)
    {
      VkHole *before = &g_array_index (chunk->holes, VkHole, i - 1), *here = before + 1;
      if (before->offset + before->bytes == here->offset)
        {
          before->bytes += here->bytes;
          g_array_remove_index (chunk->holes, i);
        }
    }
}

static bool
span_try (VkBackend *vk, uint64_t bytes, VkSpan *span, VkResult *result)
{
  bool shared = bytes <= vk->chunk_bytes / 8;

  for (guint i = 0; shared && i < vk->chunks->len; i++)
    if (take_hole (g_ptr_array_index (vk->chunks, i), bytes, span))
      return true;
  VkChunk *chunk = chunk_try (vk, shared ? vk->chunk_bytes : bytes, vk->local_type,
                              vk->direct_write || vk->direct_read, result);
  if (chunk == NULL)
    return false;
  g_ptr_array_add (vk->chunks, chunk);
  if (!shared)
    {
      chunk->used = bytes;
      *span = (VkSpan){ chunk, 0, bytes };
      return true;
    }
  chunk->holes = g_array_new (FALSE, FALSE, sizeof (VkHole));
  VkHole all = { 0, chunk->bytes / VK_ALIGN * VK_ALIGN };
  g_array_append_val (chunk->holes, all);
  return take_hole (chunk, bytes, span);
}

void
vk_span_free (VkBackend *vk, VkSpan *span)
{
  VkChunk *chunk = span->chunk;

  if (chunk == NULL)
    return;
  chunk->used -= span->bytes;
  if (chunk->holes != NULL)
    put_hole (chunk, span->offset, span->bytes);
  if (chunk->used == 0 && g_ptr_array_remove_fast (vk->chunks, chunk))
    vk_chunk_free (vk, chunk);
  *span = (VkSpan){ 0 };
}

void
vk_span_discard (VkBackend *vk, VkSpan *span, uint64_t last_use)
{
  if (span->chunk == NULL)
    return;
  vk_poll (vk);
  if (last_use > vk->completed)
    for (int i = 0; i < VK_BATCHES; i++)
      {
        VkBatch *b = &vk->batches[i];
        if ((b->running || b == vk->batch) && b->serial == last_use)
          {
            g_array_append_val (b->garbage, *span);
            *span = (VkSpan){ 0 };
            return;
          }
      }
  vk_span_free (vk, span);
}

/* ---- resident weights ---- */

static guint
resident_hash (gconstpointer key)
{
  const VkResident *r = key;
  return g_direct_hash (r->host) ^ (guint)(r->bytes * 2654435761u);
}

static gboolean
resident_equal (gconstpointer a, gconstpointer b)
{
  const VkResident *x = a, *y = b;
  return x->host == y->host && x->bytes == y->bytes;
}

static void
resident_drop (VkBackend *vk, VkResident *r)
{
  g_hash_table_remove (vk->residents, r);
  g_queue_unlink (&vk->lru, &r->link);
  vk->resident_bytes -= r->bytes;
  vk_span_discard (vk, &r->span, r->last_use);
  g_bytes_unref (r->owner);
  g_free (r);
}

/* Let the weight go that was read longest ago, of those that nothing in flight reads. */
static bool
evict_one (VkBackend *vk)
{
  for (GList *l = vk->lru.head; l != NULL; l = l->next)
    {
      VkResident *r = l->data;
      if (r->last_use <= vk->completed && r->pinned != vk->dispatch)
        {
          resident_drop (vk, r);
          return true;
        }
    }
  return false;
}

void
vk_drop_residents (VkBackend *vk)
{
  while (vk->lru.head != NULL)
    resident_drop (vk, vk->lru.head->data);
}

bool
vk_span_alloc (VkBackend *vk, uint64_t bytes, VkSpan *span, GError **error)
{
  VkResult result = VK_SUCCESS;

  *span = (VkSpan){ 0 };
  if (bytes > vk->limit)
    return vk_fail (vk, VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkAllocateMemory", error);
  bytes = align_up (MAX (bytes, 1), VK_ALIGN);
  vk_poll (vk);
  for (bool waited = false;;)
    {
      if (span_try (vk, bytes, span, &result))
        return true;
      if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY && result != VK_ERROR_OUT_OF_HOST_MEMORY)
        return vk_fail (vk, result, "vkAllocateMemory", error);
      if (evict_one (vk))
        continue;
      if (waited)
        return vk_fail (vk, VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkAllocateMemory", error);
      if (!vk_wait_all (vk, error))
        return false;
      waited = true;
    }
}

/* Host memory is held as long as its copy stays: not without bounds. */
static void
make_idle_room (VkBackend *vk, size_t n)
{
  while (vk->resident_bytes + n > vk->idle_limit && evict_one (vk))
    ;
}

static void
resident_add (VkBackend *vk, VkResident *r, GBytes *owner)
{
  r->owner = g_bytes_ref (owner);
  r->link.data = r;
  vk->resident_bytes += r->bytes;
  g_hash_table_add (vk->residents, r);
}

VkResident *
vk_get_resident (VkBackend *vk, GBytes *bytes, size_t offset, size_t n, GError **error)
{
  const char *host = (const char *)g_bytes_get_data (bytes, NULL) + offset;
  VkResident key = { .host = host, .bytes = n };
  VkResident *r = g_hash_table_lookup (vk->residents, &key);

  if (r != NULL)
    g_queue_unlink (&vk->lru, &r->link);
  else
    {
      make_idle_room (vk, n);
      r = g_new0 (VkResident, 1);
      *r = key;
      if (!vk_span_alloc (vk, n, &r->span, error))
        {
          g_free (r);
          return NULL;
        }
      if (!vk_upload (vk, &r->span, 0, host, n, 0, error))
        {
          vk_span_free (vk, &r->span);
          g_free (r);
          return NULL;
        }
      r->last_use = vk->batch != NULL ? vk->serial : 0;
      resident_add (vk, r, bytes);
    }
  g_queue_push_tail_link (&vk->lru, &r->link);
  r->pinned = vk->dispatch;
  return r;
}

void
vk_adopt_resident (VkBackend *vk, GBytes *bytes, VkSpan *span, uint64_t last_use)
{
  VkResident key = { .host = g_bytes_get_data (bytes, NULL), .bytes = g_bytes_get_size (bytes) };

  if (g_hash_table_contains (vk->residents, &key))
    {
      vk_span_discard (vk, span, last_use);
      return;
    }
  make_idle_room (vk, key.bytes);
  VkResident *r = g_new0 (VkResident, 1);
  *r = key;
  r->span = *span;
  r->last_use = last_use;
  *span = (VkSpan){ 0 };
  resident_add (vk, r, bytes);
  g_queue_push_tail_link (&vk->lru, &r->link);
}

/* ---- opening ---- */

/* The type with all of `flags` in the largest heap; -1 when there is none. */
static int
find_type (VkBackend *vk, uint32_t allowed, VkMemoryPropertyFlags flags, VkMemoryPropertyFlags without)
{
  int best = -1;

  for (uint32_t i = 0; i < vk->memory.memoryTypeCount; i++)
    {
      const VkMemoryType *t = &vk->memory.memoryTypes[i];
      if (!(allowed & (1u << i)) || (t->propertyFlags & flags) != flags || (t->propertyFlags & without))
        continue;
      if (best < 0
          || vk->memory.memoryHeaps[t->heapIndex].size
                 > vk->memory.memoryHeaps[vk->memory.memoryTypes[best].heapIndex].size)
        best = (int)i;
    }
  return best;
}

static bool
find_types (VkBackend *vk, GError **error)
{
  const VkMemoryPropertyFlags local
      = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
      host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
      cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
      odd = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT
            | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
  VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                              .size = VK_ALIGN,
                              .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT
                                       | VK_BUFFER_USAGE_TRANSFER_DST_BIT };
  VkMemoryRequirements need;
  VkBuffer buffer;

  if (!vk_check (vk, vkCreateBuffer (vk->device, &info, NULL, &buffer), "vkCreateBuffer", error))
    return false;
  vkGetBufferMemoryRequirements (vk->device, buffer, &need);
  vkDestroyBuffer (vk->device, buffer, NULL);
  uint32_t allowed = need.memoryTypeBits;

  int plain = find_type (vk, allowed, local, odd), both = find_type (vk, allowed, local | host, odd);
  if (plain < 0)
    plain = find_type (vk, allowed, 0, odd);
  int staging = find_type (vk, allowed, host | cached, odd | local);
  if (staging < 0)
    staging = find_type (vk, allowed, host | cached, odd);
  if (staging < 0)
    staging = find_type (vk, allowed, host, odd);
  if (plain < 0 || staging < 0)
    return vk_fail (vk, VK_ERROR_FEATURE_NOT_PRESENT, "vkGetPhysicalDeviceMemoryProperties", error);
  vk->local_type = (uint32_t)plain;
  vk->staging_type = (uint32_t)staging;

  /* A small window into device memory is no place for weights; all of it is. */
  uint64_t window = both >= 0 ? vk->memory.memoryHeaps[vk->memory.memoryTypes[both].heapIndex].size : 0;
  uint64_t whole = vk->memory.memoryHeaps[vk->memory.memoryTypes[plain].heapIndex].size;
  if (both >= 0 && window >= whole && !vk->options.staged)
    {
      vk->local_type = (uint32_t)both;
      vk->direct_write = true;
      vk->direct_read = vk->memory.memoryTypes[both].propertyFlags & cached;
    }
  return true;
}

static void
free_chunk (gpointer data, gpointer user_data)
{
  vk_chunk_free (user_data, data);
}

bool
vk_memory_open (VkBackend *vk, GError **error)
{
  vkGetPhysicalDeviceMemoryProperties (vk->physical, &vk->memory);
  vk->chunks = g_ptr_array_new ();
  vk->residents = g_hash_table_new (resident_hash, resident_equal);
  g_queue_init (&vk->lru);
  if (!find_types (vk, error))
    return false;

  /* A tenth stays for the driver and for others. */
  uint64_t heap = vk->memory.memoryHeaps[vk->memory.memoryTypes[vk->local_type].heapIndex].size;
  uint64_t granted = vk->info.memory_free > 0 ? MIN (vk->info.memory_free, heap) : heap;
  vk->limit = vk->options.memory_limit > 0 ? vk->options.memory_limit : granted / 10 * 9;
  if (vk->limit < LIMIT_MIN)
    {
      g_autofree char *least = g_format_size_full (LIMIT_MIN, G_FORMAT_SIZE_IEC_UNITS);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE,
                   _ ("“%s” has too little memory to work with: at least %s are needed."), vk->info.name,
                   least);
      return false;
    }
  vk->piece_bytes
      = MIN (MIN (vk->limit / 8, vk->limits.maxStorageBufferRange), vk->max_allocation) / VK_ALIGN * VK_ALIGN;
  vk->chunk_bytes = CLAMP (vk->limit / 64 / VK_ALIGN * VK_ALIGN, (uint64_t)256 << 10, CHUNK_BYTES);
  uint64_t host = (uint64_t)sysconf (_SC_PHYS_PAGES) * (uint64_t)sysconf (_SC_PAGESIZE);
  vk->idle_limit = MAX (host / 4, vk->piece_bytes);
  return true;
}

void
vk_memory_close (VkBackend *vk)
{
  if (vk->residents != NULL)
    {
      vk_drop_residents (vk);
      g_hash_table_unref (vk->residents);
    }
  if (vk->chunks != NULL)
    {
      g_ptr_array_foreach (vk->chunks, free_chunk, vk);
      g_ptr_array_unref (vk->chunks);
    }
}
