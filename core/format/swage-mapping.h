/* SPDX-License-Identifier: MIT
 *
 * A whole file as memory: mapped read-only, private, nothing read until it is touched.
 */
#pragma once

#include <gio/gio.h>

/* Map the regular file `path`. Anything else (a folder, a pipe, a device) is an error, and opening never waits. The result keeps the
 * mapping; slices of it (g_bytes_new_from_bytes) keep it too. */
GBytes *swage_mapping_open (const char *path, GError **error);

/* Tell the system that [data, data+n) of a mapping will be read soon, or not soon again. Hints: they cannot fail. */
void swage_mapping_prefetch (const void *data, gsize n);
void swage_mapping_release (const void *data, gsize n);
