/* SPDX-License-Identifier: MIT
 *
 * What is seen while no model is open: how to open one, and those opened lately. Its buttons are the window's
 * actions.
 */
#pragma once

#include <gtk/gtk.h>

#define SWAGE_TYPE_OPEN_PAGE (swage_open_page_get_type ())
G_DECLARE_FINAL_TYPE (SwageOpenPage, swage_open_page, SWAGE, OPEN_PAGE, GtkWidget)

/* Models opened lately, newest first: NULL-terminated paths that still exist. New. */
char **swage_recent_get (void);
void swage_recent_add (const char *path);
