/* SPDX-License-Identifier: MIT
 *
 * Before an export: what it will weigh, and what the target cannot hold, with a remedy for each. Then the
 * file chooser.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <adwaita.h>

#define SWAGE_TYPE_EXPORT_DIALOG (swage_export_dialog_get_type ())
G_DECLARE_FINAL_TYPE (SwageExportDialog, swage_export_dialog, SWAGE, EXPORT_DIALOG, AdwWindow)

/* Presents itself over `parent`; the export runs in the session. */
void swage_export_dialog_present (GtkWindow *parent, SwageSession *session, SwageExportFormat format);
