/* SPDX-License-Identifier: MIT
 *
 * The same prompt continued by the original and by the plan, side by side, token by token as they come. The
 * first token that differs is bold, underlined and named in a sentence; the ground of each token tells how
 * far the two distributions are apart there, and its tooltip says it in numbers.
 */
#pragma once

#include "ui/shell/swage-session-text.h"

#include <gtk/gtk.h>

#define SWAGE_TYPE_TEXT_PAGE (swage_text_page_get_type ())
G_DECLARE_FINAL_TYPE (SwageTextPage, swage_text_page, SWAGE, TEXT_PAGE, GtkWidget)

void swage_text_page_set_session (SwageTextPage *page, SwageSession *session);
