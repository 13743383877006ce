/* SPDX-License-Identifier: MIT
 *
 * The trade-off plot of a session's history: pointing at a trial tells its numbers, pressing it, or Return on
 * the one that the arrow keys have reached, restores its plan.
 */
#pragma once

#include "ui/inspect/swage-plot.h"
#include "ui/shell/swage-session-history.h"

#define SWAGE_TYPE_TRADEOFF_VIEW (swage_tradeoff_view_get_type ())
/* Signal: trial-activated (trial) */
G_DECLARE_FINAL_TYPE (SwageTradeoffView, swage_tradeoff_view, SWAGE, TRADEOFF_VIEW, SwagePlot)

void swage_tradeoff_view_set_session (SwageTradeoffView *view, SwageSession *session);
/* The vertical axis: perplexity, or divergence. */
void swage_tradeoff_view_set_perplexity (SwageTradeoffView *view, bool perplexity);
