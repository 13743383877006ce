/* SPDX-License-Identifier: MIT
 *
 * The window: a session and the panes that show it. Everything it can do is an action in the table of
 * swage-actions.c, which menus, shortcuts, the shortcuts window and scripts on the bus share.
 */
#pragma once

#include "ui/shell/swage-session.h"

#include <adwaita.h>

#define SWAGE_TYPE_WINDOW (swage_window_get_type ())
/* Property: session */
G_DECLARE_FINAL_TYPE (SwageWindow, swage_window, SWAGE, WINDOW, AdwApplicationWindow)

SwageWindow *swage_window_new (GtkApplication *application);
SwageSession *swage_window_get_session (SwageWindow *window);
/* A model, or a plan (told by content); asks first when there are unsaved changes. `plan` (may be NULL) is
 * opened after the model. */
void swage_window_open (SwageWindow *window, const char *path, const char *plan);
/* Whether a model is open, or being opened. */
bool swage_window_is_used (SwageWindow *window);
/* Whether the file says that it is a plan. */
bool swage_window_is_plan (const char *path);
/* Offer the sessions that were lost; FALSE when there is none. */
bool swage_window_offer_lost (SwageWindow *window);
/* What the window's own controls have changed, into the program's settings. */
void swage_window_save_settings (SwageWindow *window);
