/* SPDX-License-Identifier: MIT
 *
 * Where things lie, installed or not. A program run from its build folder finds what the build left beside it
 * (BUILD/data, BUILD/po) and, through BUILD/data/source-folder, the data of the source tree.
 */
#pragma once

#include <gio/gio.h>

/* The folder with "sample": $SWAGE_DATA_DIR, the source tree's data folder, or the installed one. Static. */
const char *swage_paths_get_data (void);
/* The build folder this program runs from, or NULL when it is installed. Static. */
const char *swage_paths_get_build (void);
/* A file or folder below the data folder, or NULL when it is not there. New string. */
char *swage_paths_find_data (const char *name);
/* The program’s settings, or NULL where no schema is to be found (defaults hold then). With
 * SWAGE_FRESH_SETTINGS in the environment: defaults, forgotten at exit. New reference. */
GSettings *swage_settings_new (void);
