/* SPDX-License-Identifier: MIT
 *
 * The left pane: all layers of the model as a tree, grouped by block or by role, sortable, searchable; its
 * selection is the session's. Actions: layers-view.group ("block", "role", "none"), layers.select-role,
 * layers.select-all, layers.expand, layers.column-NAME.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_LAYER_LIST (swage_layer_list_get_type ())
/* Property: wide (the window is: columns that need room are shown when the list itself has it, too). */
G_DECLARE_FINAL_TYPE (SwageLayerList, swage_layer_list, SWAGE, LAYER_LIST, GtkWidget)

void swage_layer_list_set_session (SwageLayerList *list, SwageSession *session);
/* `extend`: add to the selection. Scrolls there. */
void swage_layer_list_select (SwageLayerList *list, SwageLayerItem *item, bool extend);
/* The layers whose names match, like a rule of a plan. */
void swage_layer_list_select_glob (SwageLayerList *list, const char *glob);
/* Move the keyboard to the search entry. */
void swage_layer_list_focus_search (SwageLayerList *list);
