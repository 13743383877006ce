/* SPDX-License-Identifier: MIT
 *
 * The middle of the window: pictures of the selected layer. A page is one child of the stack in
 * swage-inspector.ui and a few lines in update() here. Actions: inspect.source ("weights" or "activations"),
 * inspect.log, inspect.reset-zoom, inspect.copy, inspect.page.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_INSPECTOR (swage_inspector_get_type ())
/* Signal: layer-chosen (SwageLayerItem, gboolean extend), from the map. */
G_DECLARE_FINAL_TYPE (SwageInspector, swage_inspector, SWAGE, INSPECTOR, GtkWidget)

void swage_inspector_set_session (SwageInspector *inspector, SwageSession *session);
