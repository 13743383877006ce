/* SPDX-License-Identifier: MIT
 *
 * The Vulkan backend's own pieces. Private to this folder. Everything here is called with the backend's lock
 * held.
 *
 *   vk-device.c    instance, device, queue; what failure means
 *   vk-memory.c    device memory, buffers, resident weights
 *   vk-batch.c     recording and submitting, staging, waiting
 *   vk-pipeline.c  pipelines and their cache on disk
 *   vk-backend.c   the SwageBackend
 */
#pragma once

#include <vulkan/vulkan.h>
#include "core/engine/backend/vulkan/swage-vulkan-backend.h"
#include "core/engine/backend/vulkan/swage-vulkan-shaders.h"

#define VK_BATCHES 3      /* one is recorded while others run */
#define VK_BATCH_SETS 256 /* dispatches in a batch at most */
#define VK_BINDINGS 11
#define VK_CALL_BYTES 512 /* room for binding 0 of one pass; a multiple of every offset alignment */
#define VK_ALIGN 256 /* of every piece of memory: the largest alignment that Vulkan may ask of an offset */
#define VK_HAZARDS 96

/* A piece of device memory with one VkBuffer over all of it. */
typedef struct
{
  VkDeviceMemory memory;
  VkBuffer buffer;
  uint64_t bytes, used;
  uint8_t *mapped; /* or NULL */
  GArray *holes;   /* of VkHole, ascending; NULL: one span takes all of it */
} VkChunk;

typedef struct
{
  uint64_t offset, bytes;
} VkHole;

/* A part of a chunk. All zeros: none. */
typedef struct
{
  VkChunk *chunk;
  uint64_t offset, bytes;
} VkSpan;

typedef struct
{
  VkCommandPool pool;
  VkCommandBuffer commands;
  VkDescriptorPool sets;
  VkFence fence;
  VkChunk *calls, *staging; /* host memory: binding 0 of every dispatch; bytes on their way */
  uint32_t n_sets;
  uint64_t staged;
  double work;     /* what the dispatches ask, in floating-point operations */
  uint64_t serial; /* of the submission */
  bool running;    /* submitted and not yet waited for */
  GArray *garbage; /* of VkSpan, to be given back when the batch has ended */
} VkBatch;

/* Weights in device memory: bytes of an import, or of a part of one. */
typedef struct
{
  const void *host;
  size_t bytes;
  GBytes *owner; /* keeps the host's bytes what they are */
  VkSpan span;
  uint64_t last_use; /* serial of the last batch that reads it */
  uint64_t pinned;   /* number of the dispatch that is being recorded with it */
  GList link;        /* in `lru`, least recently used first */
} VkResident;

typedef struct
{
  SwageBuffer buffer;
  VkSpan span;      /* what was allocated … */
  GBytes *imported; /* … or what is made resident when it is read */
  uint64_t last_use;
} VkArrayBuffer;

typedef struct
{
  VkBuffer buffer;
  uint64_t begin, end;
  bool write;
} VkHazard;

typedef struct
{
  SwageBackend backend;
  GMutex lock;
  SwageVulkanDevice info;
  SwageVulkanOptions options;
  double timeout;
  bool out;  /* it failed: nothing is asked of it any more … */
  bool hung; /* … and nothing of it can be freed, because it may still be at work */
  char *why;
  int fault_count;

  VkInstance instance;
  VkDebugUtilsMessengerEXT messenger;
  gint n_messages;
  VkPhysicalDevice physical;
  VkDevice device;
  VkQueue queue;
  uint32_t family;
  VkPhysicalDeviceLimits limits;
  uint8_t cache_uuid[VK_UUID_SIZE];
  uint32_t driver_version;
  uint64_t max_allocation;

  VkPhysicalDeviceMemoryProperties memory;
  uint32_t local_type, staging_type;
  bool direct_write; /* device memory is mapped, and writing it from the host is as good as writing staging
                        memory … */
  bool direct_read;  /* … and so is reading */
  uint64_t limit, piece_bytes, chunk_bytes, idle_limit;
  uint64_t allocated, peak;
  GPtrArray *chunks;
  GHashTable *residents; /* of VkResident */
  GQueue lru;
  uint64_t resident_bytes;

  VkBatch batches[VK_BATCHES];
  VkBatch *batch;     /* being recorded, or NULL */
  uint64_t serial;    /* of the batch being recorded, or of the next one */
  uint64_t completed; /* all batches up to this one have ended */
  uint64_t dispatch;  /* running number, for pinning */
  VkHazard hazards[VK_HAZARDS];
  int n_hazards;
  VkChunk *dummy; /* bound where a source is absent */
  VkSpan scratch;
  uint64_t scratch_use;

  VkDescriptorSetLayout set_layout;
  VkPipelineLayout layout;
  VkPipelineCache cache;
  GHashTable *pipelines; /* "variant c0 c1 …" → VkPipeline */
  bool cache_changed;

  SwageBackendCounters counters;
} VkBackend;

/* ---- vk-device.c ---- */

bool vk_device_open (VkBackend *vk, GError **error);
void vk_device_close (VkBackend *vk);
/* The device has failed: out it goes. Gives FALSE. */
bool vk_fail (VkBackend *vk, VkResult result, const char *what, GError **error);
/* vk_fail() where result is a failure. */
bool vk_check (VkBackend *vk, VkResult result, const char *what, GError **error);
/* Sets the error again when the device is out. */
bool vk_is_usable (VkBackend *vk, GError **error);
/* Whether the fault under test happens here and now. */
bool vk_fault (VkBackend *vk, SwageVulkanFault fault);

/* ---- vk-memory.c ---- */

bool vk_memory_open (VkBackend *vk, GError **error);
void vk_memory_close (VkBackend *vk);
VkChunk *vk_chunk_new (VkBackend *vk, uint64_t bytes, uint32_t type, bool map, GError **error);
void vk_chunk_free (VkBackend *vk, VkChunk *chunk);
/* Room in device memory; makes room by letting resident weights go that nothing is reading. */
bool vk_span_alloc (VkBackend *vk, uint64_t bytes, VkSpan *span, GError **error);
void vk_span_free (VkBackend *vk, VkSpan *span);
/* Give back when everything that has been recorded so far has ended. */
void vk_span_discard (VkBackend *vk, VkSpan *span, uint64_t last_use);
/* Bytes [offset, offset + n) of an import in device memory, pinned for the dispatch being recorded. */
VkResident *vk_get_resident (VkBackend *vk, GBytes *bytes, size_t offset, size_t n, GError **error);
/* Memory that holds all of `bytes` already becomes their resident copy; `span` is empty afterwards. */
void vk_adopt_resident (VkBackend *vk, GBytes *bytes, VkSpan *span, uint64_t last_use);
void vk_drop_residents (VkBackend *vk);

/* ---- vk-batch.c ---- */

bool vk_batch_open (VkBackend *vk, GError **error);
void vk_batch_close (VkBackend *vk);
/* A batch that is being recorded, with room for `sets` dispatches. */
VkBatch *vk_batch_get (VkBackend *vk, uint32_t sets, GError **error);
bool vk_batch_submit (VkBackend *vk, GError **error);
/* Wait until the batch `serial` has ended; one being recorded is submitted first. */
bool vk_wait (VkBackend *vk, uint64_t serial, GError **error);
bool vk_wait_all (VkBackend *vk, GError **error);
/* Forget batches that have ended, without waiting. */
void vk_poll (VkBackend *vk);
/* What the next command reads and writes: gathered, then one barrier where something before touches the same.
 */
typedef struct
{
  VkHazard ranges[VK_BINDINGS + 1];
  int n;
} VkTouches;
void vk_touches_add (VkTouches *t, VkBuffer buffer, uint64_t begin, uint64_t end, bool write);
void vk_touches_apply (VkBackend *vk, const VkTouches *t);
bool vk_upload (VkBackend *vk, const VkSpan *span, uint64_t offset, const void *src, uint64_t n,
                uint64_t last_use, GError **error);
bool vk_download (VkBackend *vk, const VkSpan *span, uint64_t offset, void *dst, uint64_t n, GError **error);

/* ---- vk-pipeline.c ---- */

bool vk_pipeline_open (VkBackend *vk, GError **error);
void vk_pipeline_close (VkBackend *vk);
VkPipeline vk_get_pipeline (VkBackend *vk, const SwageShaderChoice *choice, GError **error);
