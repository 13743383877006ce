/* SPDX-License-Identifier: MIT
 *
 * The preferences: rows over the program's settings. What a row changes holds at once, in every window.
 */
#pragma once

#include <adwaita.h>

#define SWAGE_TYPE_PREFERENCES (swage_preferences_get_type ())
G_DECLARE_FINAL_TYPE (SwagePreferences, swage_preferences, SWAGE, PREFERENCES, AdwPreferencesWindow)

void swage_preferences_present (GtkWindow *parent, GSettings *settings);

/* Colours and number of threads as the settings have them; colours follow from then on. At the start of the
 * program. */
void swage_preferences_apply (GSettings *settings);
