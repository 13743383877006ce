/* SPDX-License-Identifier: MIT
 *
 * The page of the trade-off: plot and, as its twin, a table of all plans tried; snapshots A and B.
 * Actions: tradeoff.snapshot ("a" or "b"), tradeoff.compare, tradeoff.restore (number of a trial),
 * tradeoff.clear.
 */
#pragma once

#include "ui/shell/swage-session-history.h"

#include "ui/inspect/swage-plot.h"

#define SWAGE_TYPE_TRADEOFF_PAGE (swage_tradeoff_page_get_type ())
G_DECLARE_FINAL_TYPE (SwageTradeoffPage, swage_tradeoff_page, SWAGE, TRADEOFF_PAGE, GtkWidget)

void swage_tradeoff_page_set_session (SwageTradeoffPage *page, SwageSession *session);
SwagePlot *swage_tradeoff_page_get_plot (SwageTradeoffPage *page);
