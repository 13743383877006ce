/* SPDX-License-Identifier: MIT
 *
 * The spectrum of the selected layer. Computed in the background while the page is on screen; what is superseded is cancelled.
 */
#pragma once

#include "ui/inspect/swage-plot.h"
#include "ui/shell/swage-session-look.h"

#define SWAGE_TYPE_SPECTRUM_VIEW (swage_spectrum_view_get_type ())
/* Properties: note (what is going on, or NULL: the plot is there), facts (ranks and shares in words). */
G_DECLARE_FINAL_TYPE (SwageSpectrumView, swage_spectrum_view, SWAGE, SPECTRUM_VIEW, SwagePlot)

void swage_spectrum_view_set_session (SwageSpectrumView *view, SwageSession *session);
