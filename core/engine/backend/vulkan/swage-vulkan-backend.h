/* SPDX-License-Identifier: MIT
 *
 * The Vulkan backend: operators as shaders on one device. Operators without a shader, and calls that no
 * shader can do, run on the CPU on downloaded copies; the counters say how many.
 *
 * Any failure of the device (lost, out of memory, no answer within the time limit, a pipeline that cannot be
 * made) is SWAGE_ERROR_DEVICE: the work can be done again on the CPU. From then on the backend fails every
 * call, and the device is out for the rest of this process: it cannot be opened again.
 *
 * Imported weights are uploaded when an operator first reads them and stay until their place is needed.
 * Threads: any; calls are served one after the other.
 */
#pragma once

#include "core/engine/backend/vulkan/swage-vulkan-devices.h"
#include "core/engine/swage-backend.h"

/* Where a device is made to fail, for tests. The n-th time that … */
typedef enum
{
  SWAGE_VULKAN_FAULT_NONE,
  SWAGE_VULKAN_FAULT_LOST,     /* … work is handed to the queue, the device is lost */
  SWAGE_VULKAN_FAULT_MEMORY,   /* … memory is asked for, there is none */
  SWAGE_VULKAN_FAULT_FEATURE,  /* the device lacks what the backend needs; n does not matter */
  SWAGE_VULKAN_FAULT_PIPELINE, /* … a pipeline is made, the driver refuses */
  SWAGE_VULKAN_FAULT_HANG,     /* … work is waited for, it does not end */
} SwageVulkanFault;

typedef struct
{
  int index;             /* as in "vulkan:N" */
  uint64_t memory_limit; /* bytes of device memory in use at most; 0: what the driver grants */
  double timeout;        /* seconds that one piece of work may take; 0: a default by the kind of device */
  bool validate; /* with the validation layers: SWAGE_ERROR_UNSUPPORTED where they are not installed */
  bool staged;   /* copy through staging memory even where the host could write device memory itself */
  bool no_cache; /* neither read nor write the pipeline cache on disk */
  SwageVulkanFault fault;
  int fault_at; /* from 1 */
} SwageVulkanOptions;

/* NULL with SWAGE_ERROR_NOT_FOUND (no such device), SWAGE_ERROR_DEVICE (it is out, or cannot do the work). */
SwageBackend *swage_vulkan_backend_new (const SwageVulkanOptions *options, GError **error);
/* Messages of the validation layers so far; each is also logged as a warning. */
int swage_vulkan_backend_get_messages (SwageBackend *backend);
/* Forget that devices have failed; for tests. */
void swage_vulkan_forgive_devices (void);
/* Whether the device with this UUID (SwageVulkanDevice.uuid) is out, and a new sentence that says why. */
bool swage_vulkan_device_is_out (const uint8_t uuid[16], char **reason);
