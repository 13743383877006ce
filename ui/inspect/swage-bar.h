/* SPDX-License-Identifier: MIT
 *
 * A small bar in a cell: its length is value / maximum on a square-root scale, so that small errors beside
 * large ones are seen.
 */
#pragma once

#include <gtk/gtk.h>

#define SWAGE_TYPE_BAR (swage_bar_get_type ())
/* Properties: value (< 0: not known), maximum, text (spoken). */
G_DECLARE_FINAL_TYPE (SwageBar, swage_bar, SWAGE, BAR, GtkWidget)
