/* SPDX-License-Identifier: MIT
 *
 * The right pane: the recipe of the selected layers as rows generated from the method table, and what it
 * comes to for them. Actions: recipe.add (method id), recipe.preset (id, for all layers), recipe.clear,
 * recipe.use-first.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_RECIPE_PANEL (swage_recipe_panel_get_type ())
G_DECLARE_FINAL_TYPE (SwageRecipePanel, swage_recipe_panel, SWAGE, RECIPE_PANEL, GtkWidget)

void swage_recipe_panel_set_session (SwageRecipePanel *panel, SwageSession *session);
