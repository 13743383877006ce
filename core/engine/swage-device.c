/* SPDX-License-Identifier: MIT */
#include "core/engine/swage-device.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>
#include "core/engine/backend/vulkan/swage-vulkan-backend.h"

#define VULKAN "vulkan"

/* Smaller is better. */
static int
rank (SwageVulkanKind kind)
{
  static const int ranks[] = {
    [SWAGE_VULKAN_DISCRETE] = 0, [SWAGE_VULKAN_INTEGRATED] = 1, [SWAGE_VULKAN_VIRTUAL] = 2,
    [SWAGE_VULKAN_OTHER] = 3,    [SWAGE_VULKAN_SOFTWARE] = 4,
  };
  return ranks[kind];
}

bool
swage_device_check_spec (const char *spec, GError **error)
{
  if (spec == NULL || strcmp (spec, "cpu") == 0 || strcmp (spec, "auto") == 0 || strcmp (spec, VULKAN) == 0
      || (g_str_has_prefix (spec, VULKAN ":") && spec[strlen (VULKAN) + 1] != '\0'))
    return true;
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
               _ ("“%s” is not a device: cpu, auto, vulkan, or vulkan: with a number, a name or a UUID."),
               spec);
  return false;
}

/* -1 when `text` is not a number. */
static int
parse_index (const char *text)
{
  guint64 value;
  return g_ascii_string_to_unsigned (text, 10, 0, 1000, &value, NULL) ? (int)value : -1;
}

static bool
parse_uuid (const char *text, uint8_t uuid[16])
{
  int digits = 0;
  memset (uuid, 0, 16);
  for (const char *p = text; *p != '\0'; p++)
    {
      if (*p == '-')
        continue;
      int value = g_ascii_xdigit_value (*p);
      if (value < 0 || digits == 32)
        return false;
      uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | value);
      digits++;
    }
  return digits == 32;
}

static bool
has_name (const SwageVulkanDevice *device, const char *part)
{
  g_autofree char *name = g_utf8_casefold (device->name, -1), *wanted = g_utf8_casefold (part, -1);
  return strstr (name, wanted) != NULL;
}

/* The device that `which` (NULL: any) means; -1 when there is none. */
static int
choose (const SwageVulkanDevice *devices, int n, const char *which, bool software)
{
  uint8_t uuid[16];
  int best = -1, number = which != NULL ? parse_index (which) : -1;
  bool is_uuid = which != NULL && number < 0 && parse_uuid (which, uuid);

  if (number >= 0)
    return number < n ? number : -1;
  for (int i = 0; i < n; i++)
    {
      const SwageVulkanDevice *d = &devices[i];
      if (!d->has_compute_queue || (d->kind == SWAGE_VULKAN_SOFTWARE && !software))
        continue;
      if (is_uuid ? memcmp (d->uuid, uuid, sizeof uuid) != 0 : which != NULL && !has_name (d, which))
        continue;
      if (best < 0 || rank (d->kind) < rank (devices[best].kind))
        best = i;
    }
  return best;
}

/* The fault that the environment asks for. */
static void
read_fault (SwageVulkanOptions *options)
{
  static const char *const names[] = { "", "lost", "memory", "feature", "pipeline", "hang" };
  const char *text = g_getenv ("SWAGE_DEVICE_FAULT"), *colon = text != NULL ? strchr (text, ':') : NULL;

  for (size_t i = 1; text != NULL && i < G_N_ELEMENTS (names); i++)
    if (strncmp (text, names[i], colon != NULL ? (size_t)(colon - text) : strlen (text)) == 0)
      {
        options->fault = (SwageVulkanFault)i;
        options->fault_at = colon != NULL ? atoi (colon + 1) : 1;
      }
}

SwageBackend *
swage_device_open (const char *spec, uint64_t memory_limit, GError **error)
{
  SwageVulkanOptions options = { .memory_limit = memory_limit };
  g_autofree char *reason = NULL;
  int n = 0;

  if (!swage_device_check_spec (spec, error))
    return NULL;
  if (spec == NULL || strcmp (spec, "cpu") == 0)
    return swage_backend_cpu ();
  bool automatic = strcmp (spec, "auto") == 0;
  const char *which = g_str_has_prefix (spec, VULKAN ":") ? spec + strlen (VULKAN) + 1 : NULL;
  SwageVulkanDevice *devices = swage_vulkan_list_devices (&n, &reason);
  options.index = choose (devices, n, which, !automatic);
  swage_vulkan_devices_free (devices, n);
  read_fault (&options);
  if (options.index >= 0)
    {
      SwageBackend *backend = swage_vulkan_backend_new (&options, automatic ? NULL : error);
      return backend == NULL && automatic ? swage_backend_cpu () : backend;
    }
  if (automatic)
    return swage_backend_cpu ();
  if (n == 0)
    g_set_error_literal (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND, reason);
  else
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                 _ ("There is no device “%s”; “swage-cli devices” lists what the machine has."), spec);
  return NULL;
}
