/* SPDX-License-Identifier: MIT
 *
 * Instance, device and queue. Vulkan 1.1 without optional features is enough; what else the device has is
 * switched on, for the variants of shaders that want it.
 */
#include "core/engine/backend/vulkan/vk-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

/* Devices that failed in this process: UUID as text → why. */
static GMutex out_lock;
static GHashTable *out_devices;

static char *
uuid_text (const uint8_t uuid[16])
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < 16; i++)
    g_string_append_printf (text, "%02x", uuid[i]);
  return g_string_free (text, FALSE);
}

bool
swage_vulkan_device_is_out (const uint8_t uuid[16], char **reason)
{
  g_autofree char *key = uuid_text (uuid);
  g_mutex_lock (&out_lock);
  const char *why = out_devices != NULL ? g_hash_table_lookup (out_devices, key) : NULL;
  if (reason != NULL)
    *reason = g_strdup (why);
  g_mutex_unlock (&out_lock);
  return why != NULL;
}

void
swage_vulkan_forgive_devices (void)
{
  g_mutex_lock (&out_lock);
  g_clear_pointer (&out_devices, g_hash_table_unref);
  g_mutex_unlock (&out_lock);
}

static void
put_out (VkBackend *vk)
{
  g_mutex_lock (&out_lock);
  if (out_devices == NULL)
    out_devices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_hash_table_insert (out_devices, uuid_text (vk->info.uuid), g_strdup (vk->why));
  g_mutex_unlock (&out_lock);
}

static const char *
result_text (VkResult result)
{
  switch (result)
    {
    case VK_ERROR_DEVICE_LOST:
      return _ ("the device was lost");
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return _ ("its memory is full");
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return _ ("its driver ran out of memory");
    case VK_TIMEOUT:
      return _ ("it does not answer");
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
      return _ ("it lacks a feature");
    case VK_ERROR_INITIALIZATION_FAILED:
      return _ ("its driver could not start");
    default:
      return _ ("its driver reports an error");
    }
}

bool
vk_is_usable (VkBackend *vk, GError **error)
{
  if (vk->out)
    g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE, vk->why);
  return !vk->out;
}

bool
vk_fail (VkBackend *vk, VkResult result, const char *what, GError **error)
{
  if (!vk->out)
    {
      /* %s: device, reason, call, number */
      vk->why = g_strdup_printf (
          _ ("“%s” failed: %s (%s: %d). It is not used again until the program is restarted."), vk->info.name,
          result_text (result), what, (int)result);
      vk->out = true;
      vk->hung = result == VK_TIMEOUT
                 && vk->options.fault != SWAGE_VULKAN_FAULT_HANG; /* a feigned one can be freed */
      put_out (vk);
    }
  return vk_is_usable (vk, error);
}

bool
vk_check (VkBackend *vk, VkResult result, const char *what, GError **error)
{
  return result >= 0 ? true : vk_fail (vk, result, what, error);
}

bool
vk_fault (VkBackend *vk, SwageVulkanFault fault)
{
  return vk->options.fault == fault && ++vk->fault_count >= MAX (vk->options.fault_at, 1);
}

/* ---- opening ---- */

static VKAPI_ATTR VkBool32 VKAPI_CALL
hear_message (VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
              const VkDebugUtilsMessengerCallbackDataEXT *data, void *user_data)
{
  VkBackend *vk = user_data;

  /* The loader speaks too (of layers and drivers it found); only what the layers say of our calls counts. */
  if (!(types
        & (VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT)))
    return VK_FALSE;
  g_atomic_int_inc (&vk->n_messages);
  g_printerr ("# validation: %s\n", data->pMessage);
  return VK_FALSE;
}

static bool
has_validation_layer (void)
{
  uint32_t n = 0;
  vkEnumerateInstanceLayerProperties (&n, NULL);
  g_autofree VkLayerProperties *layers = g_new0 (VkLayerProperties, MAX (n, 1));
  vkEnumerateInstanceLayerProperties (&n, layers);
  for (uint32_t i = 0; i < n; i++)
    if (strcmp (layers[i].layerName, VALIDATION_LAYER) == 0)
      return true;
  return false;
}

static bool
open_instance (VkBackend *vk, GError **error)
{
  static const char *const layers[] = { VALIDATION_LAYER };
  static const char *const extensions[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME };
  static const VkValidationFeatureEnableEXT enables[]
      = { VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT };
  VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                            .pApplicationName = "Swage",
                            .apiVersion = VK_API_VERSION_1_3 };
  VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app };
  VkDebugUtilsMessengerCreateInfoEXT messages = {
    .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
    .messageSeverity
    = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
    .messageType
    = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
    .pfnUserCallback = hear_message,
    .pUserData = vk,
  };
  VkValidationFeaturesEXT features = { .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                       .pNext = &messages,
                                       .enabledValidationFeatureCount = G_N_ELEMENTS (enables),
                                       .pEnabledValidationFeatures = enables };

  if (vk->options.validate)
    {
      if (!has_validation_layer ())
        {
          g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                               _ ("The Vulkan validation layers are not installed."));
          return false;
        }
      info.pNext = &features;
      info.enabledLayerCount = G_N_ELEMENTS (layers);
      info.ppEnabledLayerNames = layers;
      info.enabledExtensionCount = G_N_ELEMENTS (extensions);
      info.ppEnabledExtensionNames = extensions;
    }
  VkResult result = vkCreateInstance (&info, NULL, &vk->instance);
  if (result != VK_SUCCESS)
    {
      vk->instance = VK_NULL_HANDLE;
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE, _ ("Vulkan could not be started (%d)."),
                   (int)result);
      return false;
    }
  if (vk->options.validate)
    {
      PFN_vkCreateDebugUtilsMessengerEXT create = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr (
          vk->instance, "vkCreateDebugUtilsMessengerEXT");
      if (create != NULL)
        create (vk->instance, &messages, NULL, &vk->messenger);
    }
  return true;
}

static bool
find_physical (VkBackend *vk, GError **error)
{
  uint32_t n = 0;

  vkEnumeratePhysicalDevices (vk->instance, &n, NULL);
  g_autofree VkPhysicalDevice *handles = g_new0 (VkPhysicalDevice, MAX (n, 1));
  vkEnumeratePhysicalDevices (vk->instance, &n, handles);
  if (vk->options.index < 0 || (uint32_t)vk->options.index >= n)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND, _ ("There is no Vulkan device %d."),
                   vk->options.index);
      return false;
    }
  vk->physical = handles[vk->options.index];

  int n_infos = 0;
  SwageVulkanDevice *infos = swage_vulkan_list_devices (&n_infos, NULL);
  bool found = vk->options.index < n_infos;
  if (found)
    {
      SwageVulkanDevice *info = &infos[vk->options.index];
      vk->info = *info;
      info->name = info->driver = info->driver_info = NULL;
    }
  else
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND, _ ("There is no Vulkan device %d."),
                 vk->options.index);
  swage_vulkan_devices_free (infos, n_infos);
  return found;
}

static bool
refuse (VkBackend *vk, const char *what, GError **error)
{
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE, _ ("“%s” cannot be used: it lacks %s."), vk->info.name,
               what);
  return false;
}

/* What no device may lack. */
static bool
check_floor (VkBackend *vk, GError **error)
{
  VkPhysicalDeviceProperties2 p = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
  VkPhysicalDeviceMaintenance3Properties m3
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES };

  if (vk->info.api_major < 1 || (vk->info.api_major == 1 && vk->info.api_minor < 1))
    return refuse (vk, "Vulkan 1.1", error);
  p.pNext = &m3;
  vkGetPhysicalDeviceProperties2 (vk->physical, &p);
  vk->limits = p.properties.limits;
  vk->driver_version = p.properties.driverVersion;
  memcpy (vk->cache_uuid, p.properties.pipelineCacheUUID, VK_UUID_SIZE);
  vk->max_allocation = m3.maxMemoryAllocationSize;
  if (vk->limits.maxPerStageDescriptorStorageBuffers < VK_BINDINGS
      || vk->limits.maxDescriptorSetStorageBuffers < VK_BINDINGS || vk_fault (vk, SWAGE_VULKAN_FAULT_FEATURE))
    return refuse (vk, _ ("room for enough buffers in a shader"), error);
  if (vk->limits.maxPushConstantsSize < 128)
    return refuse (vk, _ ("room for the arguments of a shader"), error);
  return true;
}

/* A queue for compute that is not the desktop's, where there is one. */
static bool
find_queue (VkBackend *vk, GError **error)
{
  uint32_t n = 0;
  bool found = false;

  vkGetPhysicalDeviceQueueFamilyProperties (vk->physical, &n, NULL);
  g_autofree VkQueueFamilyProperties *queues = g_new0 (VkQueueFamilyProperties, MAX (n, 1));
  vkGetPhysicalDeviceQueueFamilyProperties (vk->physical, &n, queues);
  for (uint32_t i = 0; i < n; i++)
    {
      bool compute = queues[i].queueFlags & VK_QUEUE_COMPUTE_BIT;
      bool graphics = queues[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
      if (compute && (!found || !graphics))
        {
          vk->family = i;
          found = true;
          if (!graphics)
            break;
        }
    }
  return found ? true : refuse (vk, _ ("a queue for compute"), error);
}

#define CHAIN(head, link) ((link).pNext = (void *)(head)->pNext, (head)->pNext = &(link))

static bool
open_device (VkBackend *vk, GError **error)
{
  const SwageVulkanDevice *have = &vk->info;
  bool v12 = have->api_major > 1 || have->api_minor >= 2, v13 = have->api_major > 1 || have->api_minor >= 3;
  const float priority = 0.5f;
  VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                    .queueFamilyIndex = vk->family,
                                    .queueCount = 1,
                                    .pQueuePriorities = &priority };
  VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                              .queueCreateInfoCount = 1,
                              .pQueueCreateInfos = &queue };
  VkPhysicalDevice16BitStorageFeatures storage16
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
          .storageBuffer16BitAccess = VK_TRUE };
  VkPhysicalDevice8BitStorageFeatures storage8
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
          .storageBuffer8BitAccess = VK_TRUE };
  VkPhysicalDeviceShaderFloat16Int8Features float16
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
          .shaderFloat16 = have->float16,
          .shaderInt8 = have->int8 };
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
          .shaderIntegerDotProduct = VK_TRUE };
  VkPhysicalDeviceCooperativeMatrixFeaturesNV matrix
      = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV,
          .cooperativeMatrix = VK_TRUE };
  const char *extensions[8];
  uint32_t n = 0;

  if (have->storage_16bit)
    CHAIN (&info, storage16);
  if (have->storage_8bit)
    {
      CHAIN (&info, storage8);
      if (!v12)
        {
          extensions[n++] = VK_KHR_STORAGE_BUFFER_STORAGE_CLASS_EXTENSION_NAME;
          extensions[n++] = VK_KHR_8BIT_STORAGE_EXTENSION_NAME;
        }
    }
  if (have->float16 || have->int8)
    {
      CHAIN (&info, float16);
      if (!v12)
        extensions[n++] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
    }
  if (have->integer_dot_product)
    {
      CHAIN (&info, dot);
      if (!v13)
        extensions[n++] = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
    }
  if (have->cooperative_matrix_nv)
    {
      CHAIN (&info, matrix);
      extensions[n++] = VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME;
    }
  if (have->memory_budget)
    extensions[n++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
  info.enabledExtensionCount = n;
  info.ppEnabledExtensionNames = extensions;
  if (!vk_check (vk, vkCreateDevice (vk->physical, &info, NULL, &vk->device), "vkCreateDevice", error))
    {
      vk->device = VK_NULL_HANDLE;
      return false;
    }
  vkGetDeviceQueue (vk->device, vk->family, 0, &vk->queue);
  return true;
}

bool
vk_device_open (VkBackend *vk, GError **error)
{
  if (!open_instance (vk, error) || !find_physical (vk, error))
    return false;
  g_autofree char *why = NULL;
  if (swage_vulkan_device_is_out (vk->info.uuid, &why))
    {
      g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE, why);
      return false;
    }
  vk->timeout = vk->options.timeout > 0                  ? vk->options.timeout
                : vk->info.kind == SWAGE_VULKAN_SOFTWARE ? 900
                                                         : 60;
  return check_floor (vk, error) && find_queue (vk, error) && open_device (vk, error);
}

void
vk_device_close (VkBackend *vk)
{
  if (vk->device != VK_NULL_HANDLE)
    vkDestroyDevice (vk->device, NULL);
  if (vk->messenger != VK_NULL_HANDLE)
    {
      PFN_vkDestroyDebugUtilsMessengerEXT destroy
          = (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr (vk->instance,
                                                                        "vkDestroyDebugUtilsMessengerEXT");
      if (destroy != NULL)
        destroy (vk->instance, vk->messenger, NULL);
    }
  if (vk->instance != VK_NULL_HANDLE)
    vkDestroyInstance (vk->instance, NULL);
}
