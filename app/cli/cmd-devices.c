/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/base/swage-blas.h"
#include "core/base/swage-pool.h"
#include "core/engine/backend/vulkan/swage-vulkan-devices.h"
#include "kernels/swage-op.h"

#include <stdio.h>

typedef struct
{
  const char *id;
  bool has;
} Feature;

enum
{
  N_FEATURES = 15
};

static void
get_features (const SwageVulkanDevice *device, Feature features[N_FEATURES])
{
  const Feature list[N_FEATURES] = {
    { "storage_16bit", device->storage_16bit },
    { "storage_8bit", device->storage_8bit },
    { "float16", device->float16 },
    { "int8", device->int8 },
    { "subgroup_arithmetic", device->subgroup_arithmetic },
    { "subgroup_shuffle", device->subgroup_shuffle },
    { "subgroup_size_control", device->subgroup_size_control },
    { "integer_dot_product", device->integer_dot_product },
    { "cooperative_matrix_khr", device->cooperative_matrix_khr },
    { "cooperative_matrix_nv", device->cooperative_matrix_nv },
    { "buffer_device_address", device->buffer_device_address },
    { "memory_budget", device->memory_budget },
    { "timeline_semaphore", device->timeline_semaphore },
    { "external_host_memory", device->external_host_memory },
    { "transfer_queue", device->has_transfer_queue },
  };
  for (int i = 0; i < N_FEATURES; i++)
    features[i] = list[i];
}

static json_t *
device_to_json (const SwageVulkanDevice *device)
{
  Feature features[N_FEATURES];
  get_features (device, features);
  json_t *list = json_array ();
  for (int i = 0; i < N_FEATURES; i++)
    if (features[i].has)
      json_array_append_new (list, json_string (features[i].id));
  json_t *paths = json_array ();
  for (const char *const *path = swage_vulkan_device_get_paths (device); *path != NULL; path++)
    json_array_append_new (paths, json_string (*path));
  g_autoptr (GString) uuid = g_string_new (NULL);
  for (int i = 0; i < 16; i++)
    g_string_append_printf (uuid, "%02x", device->uuid[i]);
  g_autofree char *api
      = g_strdup_printf ("%d.%d.%d", device->api_major, device->api_minor, device->api_patch);
  return json_pack ("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:i, s:o, s:o}", "index",
                    device->index, "name", device->name, "kind", swage_vulkan_kind_get_id (device->kind),
                    "driver", device->driver, "driver_info", device->driver_info, "api", api, "uuid",
                    uuid->str, "usable", (int)swage_vulkan_device_is_usable (device), "memory_bytes",
                    (json_int_t)device->memory_bytes, "memory_free_bytes", (json_int_t)device->memory_free,
                    "subgroup_size", (int)device->subgroup_size, "features", list, "paths", paths);
}

static void
print_device (const SwageVulkanDevice *device)
{
  Feature features[N_FEATURES];
  get_features (device, features);
  g_autofree char *memory = cli_format_bytes (device->memory_bytes);
  printf (_ ("vulkan:%d  %s (%s), %s, Vulkan %d.%d, %s %s\n         "), device->index, device->name,
          swage_vulkan_kind_get_id (device->kind), memory, device->api_major, device->api_minor,
          device->driver, device->driver_info);
  for (int i = 0; i < N_FEATURES; i++)
    if (features[i].has)
      printf (" %s", features[i].id);
  printf (swage_vulkan_device_is_usable (device) ? _ ("\n          in use:")
                                                 : _ ("\n          cannot be used"));
  for (const char *const *path = swage_vulkan_device_get_paths (device); *path != NULL; path++)
    printf (" %s", *path);
  putchar ('\n');
}

static const char *
level_id (SwageCpuLevel level)
{
  static const char *const ids[] = { "portable", "avx2", "avx512", "avx512_bf16" };
  return ids[level];
}

static int
run_devices (int argc, char **argv)
{
  gboolean as_json = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  if (!cli_parse (&cli_devices, entries, &argc, &argv, 0, 0, &status))
    return status;
  const SwageBlas *blas = swage_blas_get ();
  const char *core = blas != NULL ? swage_blas_get_corename () : NULL;
  int n = 0;
  g_autofree char *reason = NULL;
  SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, &reason);
  if (as_json)
    {
      json_t *list = json_array ();
      for (int i = 0; i < n; i++)
        json_array_append_new (list, device_to_json (&devices[i]));
      status = cli_print_json (json_pack ("{s:{s:s, s:s, s:s?, s:i}, s:o}", "cpu", "features",
                                          swage_cpu_get_features (), "kernels",
                                          level_id (swage_cpu_get_level ()), "blas", core, "threads",
                                          swage_pool_get_threads (), "vulkan", list));
    }
  else
    {
      printf (_ ("cpu       %d threads, %s kernels, BLAS kernels: %s\n          %s\n"),
              swage_pool_get_threads (), level_id (swage_cpu_get_level ()),
              core != NULL ? core : _ ("none (OpenBLAS is not installed)"), swage_cpu_get_features ());
      for (int i = 0; i < n; i++)
        print_device (&devices[i]);
      if (n == 0)
        printf (_ ("vulkan    none: %s\n"), reason);
    }
  swage_vulkan_devices_free (devices, n);
  return status;
}

const CliCommand cli_devices
    = { "devices", "", N_ ("CPU features, the BLAS kernel in use, and every Vulkan device"), NULL,
        run_devices };
