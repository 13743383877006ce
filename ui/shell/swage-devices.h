/* SPDX-License-Identifier: MIT
 *
 * The devices that previews can be computed on, as one menu for all windows: the CPU, and every Vulkan device
 * that can be used. Main thread.
 */
#pragma once

#include <gio/gio.h>

/* Items of the action win.device, whose targets swage_device_open() understands; borrowed. Begins with the
 * CPU alone. */
GMenuModel *swage_devices_get_menu (void);
/* Look for the others, on a thread, the first time that this is called: drivers can take long to load. The
 * menu changes when they are known. */
void swage_devices_load (void);
/* What the device is called in the menu, or what can be said of it as long as that is not known. New. */
char *swage_devices_dup_name (const char *device);
