/* SPDX-License-Identifier: MIT
 *
 * Which Vulkan devices there are and what they can do: for `devices`, for the device menu, and for choosing kernels. Plain values; no
 * Vulkan type is seen outside this folder.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "core/base/swage-error.h"

typedef enum {
  SWAGE_VULKAN_DISCRETE, SWAGE_VULKAN_INTEGRATED, SWAGE_VULKAN_VIRTUAL, SWAGE_VULKAN_SOFTWARE, SWAGE_VULKAN_OTHER
} SwageVulkanKind;

typedef struct {
  int index;                          /* as in "vulkan:N" */
  char *name, *driver, *driver_info;  /* "NVIDIA L4", "NVIDIA", "535.104.05"; never NULL */
  SwageVulkanKind kind;
  int api_major, api_minor, api_patch;
  uint32_t vendor_id, device_id;
  uint8_t uuid[16];                   /* of the device, the same in every process */
  uint64_t memory_bytes;              /* of all device-local heaps */
  uint64_t memory_free;               /* what the driver thinks we may use of it now; 0 when it does not say */
  uint64_t max_buffer_bytes;          /* largest storage buffer range */
  uint32_t max_shared_bytes;          /* of one workgroup */
  uint32_t max_workgroup_size;
  uint32_t subgroup_size;
  bool has_compute_queue, has_transfer_queue;   /* the second: a queue family for copies alone */
  /* features */
  bool storage_16bit, storage_8bit, float16, int8;
  bool subgroup_arithmetic, subgroup_shuffle, subgroup_size_control;
  bool integer_dot_product, integer_dot_product_fast; /* the second: accelerated for packed 4×8 bit */
  bool cooperative_matrix_khr, cooperative_matrix_nv;
  bool buffer_device_address, memory_budget, timeline_semaphore, external_host_memory;
} SwageVulkanDevice;

/* "discrete", "integrated", "virtual", "software", "other"; static. */
const char *swage_vulkan_kind_get_id (SwageVulkanKind kind);
/* Whether the backend can compute on it, by what is listed here. */
bool swage_vulkan_device_is_usable (const SwageVulkanDevice *device);
/* The paths that the backend takes on it, of those that depend on the device: ids, NULL-terminated, static. "direct_upload": the
 * host writes device memory itself; "f32_tiles": how matrices are multiplied. Empty for one that is not usable. */
const char *const *swage_vulkan_device_get_paths (const SwageVulkanDevice *device);
/* All devices, in the loader's order: array of `*n`. No loader, no driver or no device is not an error: NULL with *n = 0, and `reason` (NULL
 * allowed) then gets a new sentence that says which. Starts and ends its own Vulkan instance; any thread, but it can take long
 * the first time (drivers are loaded). */
SwageVulkanDevice *swage_vulkan_list_devices (int *n, char **reason);
void swage_vulkan_devices_free (SwageVulkanDevice *devices, int n);
