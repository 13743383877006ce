/* SPDX-License-Identifier: MIT
 *
 * Snapshots A and B side by side: size, measured numbers, and the layers that they treat differently.
 */
#pragma once

#include "ui/shell/swage-session-history.h"

#include <gtk/gtk.h>

/* Both snapshots must be there. */
void swage_compare_dialog_present (GtkWindow *parent, SwageSession *session, SwageHistory *history);
