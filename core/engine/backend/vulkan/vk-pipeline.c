/* SPDX-License-Identifier: MIT
 *
 * Pipelines are made when they are first needed. What the driver compiled is kept in the user's cache folder,
 * a file for each device and driver version; our own checksum stands before the driver's bytes, because
 * drivers have been seen to crash on damaged ones. Nothing depends on that file.
 */
#include "core/engine/backend/vulkan/vk-private.h"

#include <string.h>
#include "core/base/swage-output.h"

#define CACHE_MAX ((gsize)64 << 20)
#define DIGEST_BYTES 64 /* SHA-256 in hexadecimal */

static char *
cache_path (VkBackend *vk)
{
  g_autoptr (GString) name = g_string_new (NULL);
  g_string_append_printf (name, "%04x-%04x-%08x-", vk->info.vendor_id, vk->info.device_id,
                          vk->driver_version);
  for (guint i = 0; i < VK_UUID_SIZE; i++)
    g_string_append_printf (name, "%02x", vk->cache_uuid[i]);
  return g_build_filename (g_get_user_cache_dir (), "swage", "pipelines", name->str, NULL);
}

static VkPipelineCache
cache_new (VkBackend *vk)
{
  g_autofree char *path = cache_path (vk), *data = NULL;
  VkPipelineCacheCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
  VkPipelineCache cache = VK_NULL_HANDLE;
  gsize n = 0;

  if (!vk->options.no_cache && g_file_get_contents (path, &data, &n, NULL) && n > DIGEST_BYTES
      && n <= CACHE_MAX)
    {
      g_autofree char *digest
          = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guchar *)data + DIGEST_BYTES, n - DIGEST_BYTES);
      if (memcmp (digest, data, DIGEST_BYTES) == 0)
        {
          info.initialDataSize = n - DIGEST_BYTES;
          info.pInitialData = data + DIGEST_BYTES;
        }
    }
  if (vkCreatePipelineCache (vk->device, &info, NULL, &cache) == VK_SUCCESS)
    return cache;
  info.initialDataSize = 0;
  info.pInitialData = NULL;
  return vkCreatePipelineCache (vk->device, &info, NULL, &cache) == VK_SUCCESS ? cache : VK_NULL_HANDLE;
}

static void
cache_save (VkBackend *vk)
{
  size_t n = 0;

  if (!vk->cache_changed || vk->options.no_cache || vk->cache == VK_NULL_HANDLE
      || vkGetPipelineCacheData (vk->device, vk->cache, &n, NULL) != VK_SUCCESS || n == 0
      || n > CACHE_MAX - DIGEST_BYTES)
    return;
  g_autofree char *data = g_malloc (DIGEST_BYTES + n);
  if (vkGetPipelineCacheData (vk->device, vk->cache, &n, data + DIGEST_BYTES) != VK_SUCCESS)
    return;
  g_autofree char *digest = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guchar *)data + DIGEST_BYTES, n);
  g_autofree char *path = cache_path (vk), *folder = g_path_get_dirname (path);
  memcpy (data, digest, DIGEST_BYTES);
  if (g_mkdir_with_parents (folder, 0700) == 0)
    swage_output_write_file (path, data, DIGEST_BYTES + n, true, NULL, NULL);
}

bool
vk_pipeline_open (VkBackend *vk, GError **error)
{
  VkDescriptorSetLayoutBinding bindings[VK_BINDINGS];
  VkPushConstantRange push = { VK_SHADER_STAGE_COMPUTE_BIT, 0, 128 };

  for (uint32_t i = 0; i < VK_BINDINGS; i++)
    bindings[i] = (VkDescriptorSetLayoutBinding){ .binding = i,
                                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                  .descriptorCount = 1,
                                                  .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
  VkDescriptorSetLayoutCreateInfo sets = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                           .bindingCount = VK_BINDINGS,
                                           .pBindings = bindings };
  VkPipelineLayoutCreateInfo layout = { .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                        .setLayoutCount = 1,
                                        .pSetLayouts = &vk->set_layout,
                                        .pushConstantRangeCount = 1,
                                        .pPushConstantRanges = &push };
  vk->pipelines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!vk_check (vk, vkCreateDescriptorSetLayout (vk->device, &sets, NULL, &vk->set_layout),
                 "vkCreateDescriptorSetLayout", error)
      || !vk_check (vk, vkCreatePipelineLayout (vk->device, &layout, NULL, &vk->layout),
                    "vkCreatePipelineLayout", error))
    return false;
  vk->cache = cache_new (vk);
  return true;
}

void
vk_pipeline_close (VkBackend *vk)
{
  GHashTableIter iter;
  gpointer pipeline;

  if (vk->pipelines == NULL)
    return;
  if (!vk->out)
    cache_save (vk);
  g_hash_table_iter_init (&iter, vk->pipelines);
  while (!vk->hung && g_hash_table_iter_next (&iter, NULL, &pipeline))
    vkDestroyPipeline (vk->device, (VkPipeline)pipeline, NULL);
  g_hash_table_unref (vk->pipelines);
  if (vk->hung)
    return;
  if (vk->cache != VK_NULL_HANDLE)
    vkDestroyPipelineCache (vk->device, vk->cache, NULL);
  if (vk->layout != VK_NULL_HANDLE)
    vkDestroyPipelineLayout (vk->device, vk->layout, NULL);
  if (vk->set_layout != VK_NULL_HANDLE)
    vkDestroyDescriptorSetLayout (vk->device, vk->set_layout, NULL);
}

VkPipeline
vk_get_pipeline (VkBackend *vk, const SwageShaderChoice *choice, GError **error)
{
  VkSpecializationMapEntry entries[SWAGE_SHADER_CONSTANTS];
  VkShaderModule module = VK_NULL_HANDLE;
  VkPipeline pipeline = VK_NULL_HANDLE;
  SwageShaderCode code;
  const uint32_t *c = choice->constants;
  g_autofree char *key = g_strdup_printf ("%s %u %u %u %u %u %u %u %u", choice->variant, c[0], c[1], c[2],
                                          c[3], c[4], c[5], c[6], c[7]);

  pipeline = (VkPipeline)g_hash_table_lookup (vk->pipelines, key);
  if (pipeline != VK_NULL_HANDLE)
    return pipeline;
  if (!swage_shader_find (choice->variant, &code))
    {
      vk_fail (vk, VK_ERROR_FEATURE_NOT_PRESENT, choice->variant, error);
      return VK_NULL_HANDLE;
    }
  for (uint32_t i = 0; i < SWAGE_SHADER_CONSTANTS; i++)
    entries[i] = (VkSpecializationMapEntry){ i, i * (uint32_t)sizeof (uint32_t), sizeof (uint32_t) };
  VkSpecializationInfo constants
      = { SWAGE_SHADER_CONSTANTS, entries, sizeof choice->constants, choice->constants };
  VkShaderModuleCreateInfo shader
      = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = code.bytes, .pCode = code.words };
  VkComputePipelineCreateInfo info
      = { .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
          .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                     .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                     .pName = "main",
                     .pSpecializationInfo = &constants },
          .layout = vk->layout };
  VkResult result = vk_fault (vk, SWAGE_VULKAN_FAULT_PIPELINE)
                        ? VK_ERROR_INVALID_SHADER_NV
                        : vkCreateShaderModule (vk->device, &shader, NULL, &module);
  if (result == VK_SUCCESS)
    {
      info.stage.module = module;
      result = vkCreateComputePipelines (vk->device, vk->cache, 1, &info, NULL, &pipeline);
      vkDestroyShaderModule (vk->device, module, NULL);
    }
  if (result != VK_SUCCESS)
    {
      g_autofree char *what = g_strdup_printf ("vkCreateComputePipelines, %s", choice->variant);
      vk_fail (vk, result, what, error);
      return VK_NULL_HANDLE;
    }
  vk->cache_changed = true;
  g_hash_table_insert (vk->pipelines, g_steal_pointer (&key), (gpointer)pipeline);
  return pipeline;
}
