/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-devices.h"

#include "core/engine/backend/vulkan/swage-vulkan-devices.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define NAME "swage-name" /* the label without mnemonics */

static GMenu *devices;
static bool looking;

static void
append (GMenu *menu, const char *name, const char *device)
{
  g_auto (GStrv) parts = g_strsplit (name, "_", -1);
  g_autofree char *label = g_strjoinv ("__", parts);
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
  g_menu_item_set_attribute (item, NAME, "s", name);
  if (device != NULL)
    g_menu_item_set_action_and_target (item, "win.device", "s", device);
  else
    g_menu_item_set_action_and_target (item, "win.no-device", NULL); /* there is none: cannot be chosen */
  g_menu_append_item (menu, item);
}

GMenuModel *
swage_devices_get_menu (void)
{
  if (devices == NULL)
    {
      devices = g_menu_new ();
      append (devices, _ ("CPU"), "cpu");
    }
  return G_MENU_MODEL (devices);
}

/* --- looking for devices
 * ---------------------------------------------------------------------------------- */

typedef struct
{
  SwageVulkanDevice *devices;
  int n;
  char *reason;
} Found;

static void
found_free (gpointer data)
{
  Found *found = data;
  swage_vulkan_devices_free (found->devices, found->n);
  g_free (found->reason);
  g_free (found);
}

static void
look_in_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Found *found = g_new0 (Found, 1);
  found->devices = swage_vulkan_list_devices (&found->n, &found->reason);
  g_task_return_pointer (task, found, found_free);
}

static void
append_device (GMenu *menu, const SwageVulkanDevice *device)
{
  g_autoptr (GString) id = g_string_new ("vulkan:");
  for (gsize i = 0; i < sizeof device->uuid; i++)
    g_string_append_printf (id, "%02x", device->uuid[i]);
  g_autofree char *name = device->kind == SWAGE_VULKAN_SOFTWARE
                              ? g_strdup_printf (_ ("Software: %s"), device->name)
                              : g_strdup (device->name);
  append (menu, name, id->str);
}

static void
on_looked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Found *found = g_task_propagate_pointer (G_TASK (result), NULL);
  bool any = false;
  g_menu_remove (devices, 1);
  for (int i = 0; i < found->n; i++)
    if (swage_vulkan_device_is_usable (&found->devices[i]))
      {
        append_device (devices, &found->devices[i]);
        any = true;
      }
  if (!any)
    append (devices, _ ("No Vulkan device"), NULL);
  found_free (found);
}

void
swage_devices_load (void)
{
  if (looking)
    return;
  looking = true;
  swage_devices_get_menu ();
  append (devices, _ ("Looking for Vulkan devices…"), NULL);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_looked, NULL);
  g_task_set_source_tag (task, swage_devices_load);
  g_task_run_in_thread (task, look_in_thread);
}

char *
swage_devices_dup_name (const char *device)
{
  GMenuModel *menu = swage_devices_get_menu ();
  int n = g_menu_model_get_n_items (menu);
  for (int i = 0; i < n; i++)
    {
      g_autofree char *target = NULL, *name = NULL;
      if (g_menu_model_get_item_attribute (menu, i, G_MENU_ATTRIBUTE_TARGET, "s", &target)
          && strcmp (target, device) == 0 && g_menu_model_get_item_attribute (menu, i, NAME, "s", &name))
        return g_steal_pointer (&name);
    }
  return g_strdup ("Vulkan");
}
