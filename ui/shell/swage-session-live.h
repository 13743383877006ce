/* SPDX-License-Identifier: MIT
 *
 * Live preview: a preview that begins by itself a moment after the last change of the plan, and anew after
 * the next one.
 */
#pragma once

#include "ui/shell/swage-session.h"

void swage_session_set_live (SwageSession *session, bool live);
bool swage_session_get_live (SwageSession *session);
