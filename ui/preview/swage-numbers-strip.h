/* SPDX-License-Identifier: MIT
 *
 * The bottom of the window: exact size, measured quality, and the one long piece of work that may be running.
 * The numbers are bound to the session's properties in the .ui file.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_NUMBERS_STRIP (swage_numbers_strip_get_type ())
/* Properties: session, live (whether a preview begins by itself) */
G_DECLARE_FINAL_TYPE (SwageNumbersStrip, swage_numbers_strip, SWAGE, NUMBERS_STRIP, GtkWidget)

/* Open the menu of devices. */
void swage_numbers_strip_choose_device (SwageNumbersStrip *strip);
