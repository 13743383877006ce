/* SPDX-License-Identifier: MIT
 *
 * Devices by name: from what a user writes to a backend.
 */
#pragma once

#include "core/engine/swage-backend.h"

/* One of: "cpu"; "auto" (the best GPU, else the CPU); "vulkan" (the best Vulkan device); "vulkan:N" (the
 * loader's N-th), "vulkan:UUID" (32 hexadecimal digits, dashes allowed), "vulkan:NAME" (a part of the name,
 * case does not matter). Discrete before integrated before virtual ones; software devices last, and never for
 * "auto". NULL is "cpu".
 *
 * NULL with INVALID when `spec` is none of these, NOT_FOUND when there is no such device, DEVICE when it
 * cannot be used: the work can then be done on the CPU. `memory_limit`: bytes of device memory to use at
 * most, 0: what the driver grants.
 *
 * SWAGE_DEVICE_FAULT=lost|memory|feature|pipeline|hang[:N] in the environment lets the device fail at the
 * N-th occasion, for tests. */
SwageBackend *swage_device_open (const char *spec, uint64_t memory_limit, GError **error);
/* Whether `spec` has one of these forms; does not look for the device. INVALID when not. */
bool swage_device_check_spec (const char *spec, GError **error);
