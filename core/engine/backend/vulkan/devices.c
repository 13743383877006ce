/* SPDX-License-Identifier: MIT
 *
 * Enumerating asks for the oldest Vulkan that could do our work (1.1: subgroups, 16-bit storage) and takes
 * what is newer from extensions or from later core versions, whichever a device has. A loader without
 * drivers, a driver that cannot start, and no device at all are ordinary: the caller gets an empty list and a
 * sentence.
 */
#include "core/engine/backend/vulkan/swage-vulkan-devices.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define MAX_DEVICES 64

/* Newer than the headers that some distributions have. */
#define COOPERATIVE_MATRIX_KHR "VK_KHR_cooperative_matrix"

const char *
swage_vulkan_kind_get_id (SwageVulkanKind kind)
{
  switch (kind)
    {
    case SWAGE_VULKAN_DISCRETE:
      return "discrete";
    case SWAGE_VULKAN_INTEGRATED:
      return "integrated";
    case SWAGE_VULKAN_VIRTUAL:
      return "virtual";
    case SWAGE_VULKAN_SOFTWARE:
      return "software";
    default:
      return "other";
    }
}

static SwageVulkanKind
kind_of (VkPhysicalDeviceType type)
{
  switch (type)
    {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return SWAGE_VULKAN_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return SWAGE_VULKAN_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return SWAGE_VULKAN_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return SWAGE_VULKAN_SOFTWARE;
    default:
      return SWAGE_VULKAN_OTHER;
    }
}

/* A driver's string of at most `size` bytes, made safe to show. */
static char *
dup_string (const char *text, size_t size)
{
  return g_utf8_make_valid (text, (gssize)strnlen (text, size));
}

typedef struct
{
  VkExtensionProperties *list;
  uint32_t n;
} Extensions;

static void
extensions_load (Extensions *e, VkPhysicalDevice device)
{
  *e = (Extensions){ 0 };
  if (vkEnumerateDeviceExtensionProperties (device, NULL, &e->n, NULL) != VK_SUCCESS || e->n == 0)
    {
      e->n = 0;
      return;
    }
  e->list = g_new0 (VkExtensionProperties, e->n);
  if (vkEnumerateDeviceExtensionProperties (device, NULL, &e->n, e->list) != VK_SUCCESS)
    e->n = 0;
}

static bool
extensions_have (const Extensions *e, const char *name)
{
  for (uint32_t i = 0; i < e->n; i++)
    if (strcmp (e->list[i].extensionName, name) == 0)
      return true;
  return false;
}

/* Put `link` at the front of a pNext chain. */
#define CHAIN(head, link) ((link).pNext = (head)->pNext, (head)->pNext = &(link))

static void
read_features (VkPhysicalDevice device, uint32_t api, const Extensions *e, SwageVulkanDevice *out)
{
  VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 };
  VkPhysicalDevice16BitStorageFeatures storage16
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES };
  VkPhysicalDevice8BitStorageFeatures storage8
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES };
  VkPhysicalDeviceShaderFloat16Int8Features float16
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES };
  VkPhysicalDeviceBufferDeviceAddressFeatures address
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES };
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES };
  VkPhysicalDeviceSubgroupSizeControlFeatures size_control
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES };
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES };

  /* A struct may be asked for only where its version or extension is there. */
  CHAIN (&features, storage16);
  if (api >= VK_API_VERSION_1_2 || extensions_have (e, VK_KHR_8BIT_STORAGE_EXTENSION_NAME))
    CHAIN (&features, storage8);
  if (api >= VK_API_VERSION_1_2 || extensions_have (e, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME))
    CHAIN (&features, float16);
  if (api >= VK_API_VERSION_1_2 || extensions_have (e, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME))
    CHAIN (&features, address);
  if (api >= VK_API_VERSION_1_2 || extensions_have (e, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME))
    CHAIN (&features, timeline);
  if (api >= VK_API_VERSION_1_3 || extensions_have (e, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME))
    CHAIN (&features, size_control);
  if (api >= VK_API_VERSION_1_3 || extensions_have (e, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME))
    CHAIN (&features, dot);
  vkGetPhysicalDeviceFeatures2 (device, &features);

  out->storage_16bit = storage16.storageBuffer16BitAccess;
  out->storage_8bit = storage8.storageBuffer8BitAccess;
  out->float16 = float16.shaderFloat16;
  out->int8 = float16.shaderInt8;
  out->buffer_device_address = address.bufferDeviceAddress;
  out->timeline_semaphore = timeline.timelineSemaphore;
  out->subgroup_size_control = size_control.subgroupSizeControl;
  out->integer_dot_product = dot.shaderIntegerDotProduct;
}

static void
read_properties (VkPhysicalDevice device, uint32_t api, const Extensions *e, SwageVulkanDevice *out)
{
  VkPhysicalDeviceProperties2 properties = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
  VkPhysicalDeviceSubgroupProperties subgroup
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES };
  VkPhysicalDeviceDriverProperties driver = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES };
  VkPhysicalDeviceShaderIntegerDotProductProperties dot
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES };

  VkPhysicalDeviceIDProperties id = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES };

  CHAIN (&properties, subgroup);
  CHAIN (&properties, id);
  if (api >= VK_API_VERSION_1_2 || extensions_have (e, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME))
    CHAIN (&properties, driver);
  if (api >= VK_API_VERSION_1_3 || extensions_have (e, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME))
    CHAIN (&properties, dot);
  vkGetPhysicalDeviceProperties2 (device, &properties);

  const VkPhysicalDeviceProperties *p = &properties.properties;
  out->driver = dup_string (driver.driverName, sizeof driver.driverName);
  out->driver_info = dup_string (driver.driverInfo, sizeof driver.driverInfo);
  memcpy (out->uuid, id.deviceUUID, sizeof out->uuid);
  out->max_buffer_bytes = p->limits.maxStorageBufferRange;
  out->max_shared_bytes = p->limits.maxComputeSharedMemorySize;
  out->max_workgroup_size = p->limits.maxComputeWorkGroupInvocations;
  out->subgroup_size = subgroup.subgroupSize;
  bool in_compute = subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT;
  out->subgroup_arithmetic
      = in_compute && (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
  out->subgroup_shuffle = in_compute && (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
  out->integer_dot_product_fast = dot.integerDotProduct4x8BitPackedSignedAccelerated;
}

static void
read_memory (VkPhysicalDevice device, SwageVulkanDevice *out)
{
  VkPhysicalDeviceMemoryProperties2 memory
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2 };
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT };

  if (out->memory_budget)
    CHAIN (&memory, budget);
  vkGetPhysicalDeviceMemoryProperties2 (device, &memory);
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount && i < VK_MAX_MEMORY_HEAPS; i++)
    if (memory.memoryProperties.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
      {
        out->memory_bytes += memory.memoryProperties.memoryHeaps[i].size;
        if (budget.heapBudget[i] > budget.heapUsage[i])
          out->memory_free += budget.heapBudget[i] - budget.heapUsage[i];
      }
}

static void
read_queues (VkPhysicalDevice device, SwageVulkanDevice *out)
{
  uint32_t n = 0;

  vkGetPhysicalDeviceQueueFamilyProperties (device, &n, NULL);
  g_autofree VkQueueFamilyProperties *queues = g_new0 (VkQueueFamilyProperties, MAX (n, 1));
  vkGetPhysicalDeviceQueueFamilyProperties (device, &n, queues);
  for (uint32_t i = 0; i < n; i++)
    {
      bool compute = queues[i].queueFlags & VK_QUEUE_COMPUTE_BIT;
      bool graphics = queues[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
      out->has_compute_queue |= compute;
      out->has_transfer_queue |= (queues[i].queueFlags & VK_QUEUE_TRANSFER_BIT) && !compute && !graphics;
    }
}

static void
read_device (VkPhysicalDevice device, int index, SwageVulkanDevice *out)
{
  VkPhysicalDeviceProperties p;
  Extensions e;

  vkGetPhysicalDeviceProperties (device, &p);
  *out = (SwageVulkanDevice){ .index = index,
                              .name = dup_string (p.deviceName, sizeof p.deviceName),
                              .kind = kind_of (p.deviceType),
                              .api_major = (int)VK_API_VERSION_MAJOR (p.apiVersion),
                              .api_minor = (int)VK_API_VERSION_MINOR (p.apiVersion),
                              .api_patch = (int)VK_API_VERSION_PATCH (p.apiVersion),
                              .vendor_id = p.vendorID,
                              .device_id = p.deviceID };
  read_queues (device, out);
  if (p.apiVersion < VK_API_VERSION_1_1)
    {
      /* Too old to be asked more, and to run our shaders. */
      out->driver = g_strdup ("");
      out->driver_info = g_strdup_printf ("%u", p.driverVersion);
      read_memory (device, out);
      return;
    }
  extensions_load (&e, device);
  out->cooperative_matrix_khr = extensions_have (&e, COOPERATIVE_MATRIX_KHR);
  out->cooperative_matrix_nv = extensions_have (&e, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
  out->memory_budget = extensions_have (&e, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  out->external_host_memory = extensions_have (&e, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  read_features (device, p.apiVersion, &e, out);
  read_properties (device, p.apiVersion, &e, out);
  read_memory (device, out);
  g_free (e.list);
}

SwageVulkanDevice *
swage_vulkan_list_devices (int *n, char **reason)
{
  VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                            .pApplicationName = "Swage",
                            .apiVersion = VK_API_VERSION_1_3 };
  VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app };
  VkPhysicalDevice handles[MAX_DEVICES];
  uint32_t count = MAX_DEVICES, version = 0;
  VkInstance instance = VK_NULL_HANDLE;

  *n = 0;
  if (reason != NULL)
    *reason = NULL;
  /* An instance of Vulkan 1.0 refuses to be asked for more, and lacks the calls below. */
  if (vkEnumerateInstanceVersion (&version) != VK_SUCCESS || version < VK_API_VERSION_1_1
      || vkCreateInstance (&info, NULL, &instance) != VK_SUCCESS)
    {
      if (reason != NULL)
        *reason
            = g_strdup (_ ("No Vulkan driver could be started; install your graphics card's Vulkan driver."));
      return NULL;
    }

  VkResult result = vkEnumeratePhysicalDevices (instance, &count, handles);
  SwageVulkanDevice *devices = NULL;
  if ((result == VK_SUCCESS || result == VK_INCOMPLETE) && count > 0)
    {
      devices = g_new0 (SwageVulkanDevice, count);
      for (uint32_t i = 0; i < count; i++)
        read_device (handles[i], (int)i, &devices[i]);
      *n = (int)count;
    }
  else if (reason != NULL)
    *reason = g_strdup (_ ("Vulkan is there, but it has no device."));
  vkDestroyInstance (instance, NULL);
  return devices;
}

bool
swage_vulkan_device_is_usable (const SwageVulkanDevice *device)
{
  return device->has_compute_queue && (device->api_major > 1 || device->api_minor >= 1);
}

const char *const *
swage_vulkan_device_get_paths (const SwageVulkanDevice *device)
{
  static const char *const shared[] = { "f32_tiles", "direct_upload", NULL },
                           *const apart[] = { "f32_tiles", NULL }, *const none[] = { NULL };
  if (!swage_vulkan_device_is_usable (device))
    return none;
  return device->kind == SWAGE_VULKAN_INTEGRATED || device->kind == SWAGE_VULKAN_SOFTWARE ? shared : apart;
}

void
swage_vulkan_devices_free (SwageVulkanDevice *devices, int n)
{
  for (int i = 0; i < n; i++)
    {
      g_free (devices[i].name);
      g_free (devices[i].driver);
      g_free (devices[i].driver_info);
    }
  g_free (devices);
}
