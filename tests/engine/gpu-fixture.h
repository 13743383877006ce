/* SPDX-License-Identifier: MIT
 *
 * A Vulkan device for tests: the software one before others, so that results are comparable; with the
 * validation layers, unless SWAGE_TEST_NO_VALIDATION is set.
 */
#pragma once

#include <dlfcn.h>
#include <link.h>
#include "core/engine/backend/vulkan/swage-vulkan-backend.h"

/* Drivers and layers keep things until the process ends; unloaded before, those look lost to a leak checker.
 */
static inline int
keep_loaded (struct dl_phdr_info *info, size_t size, void *user_data)
{
  if (info->dlpi_name != NULL && info->dlpi_name[0] == '/')
    g_ptr_array_add (user_data, g_strdup (info->dlpi_name));
  return 0;
}

static inline void
keep_libraries (void)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  dl_iterate_phdr (keep_loaded, names);
  for (guint i = 0; i < names->len; i++)
    dlopen (g_ptr_array_index (names, i), RTLD_NOLOAD | RTLD_NODELETE | RTLD_LAZY);
}

/* NULL where there is no device; then the test has been skipped. Taken by the caller. */
static inline SwageBackend *
open_vulkan (SwageVulkanOptions options)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *reason = NULL;
  int n = 0, index = -1;
  SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, &reason);

  for (int i = n - 1; i >= 0; i--)
    if (index < 0 || devices[i].kind == SWAGE_VULKAN_SOFTWARE)
      index = i;
  swage_vulkan_devices_free (devices, n);
  if (index < 0)
    {
      g_test_skip (reason);
      return NULL;
    }
  options.index = index;
  options.validate = g_getenv ("SWAGE_TEST_NO_VALIDATION") == NULL;
  SwageBackend *backend = swage_vulkan_backend_new (&options, &error);
  /* Without the layers nothing would look for hazards, and silence would prove nothing. */
  if (g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED))
    g_test_message ("Install the validation layers, or set SWAGE_TEST_NO_VALIDATION=1 to do without them.");
  keep_libraries ();
  g_assert_no_error (error);
  return backend;
}

/* Nothing that the validation layers complain of. */
static inline void
assert_valid (SwageBackend *backend)
{
  g_assert_cmpint (swage_vulkan_backend_get_messages (backend), ==, 0);
}
