/* SPDX-License-Identifier: MIT */
#pragma once

#include <gtk/gtk.h>

/* Bind the shortcuts of the table. */
void swage_actions_set_accels (GtkApplication *application);
