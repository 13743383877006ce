/* SPDX-License-Identifier: MIT */
#pragma once

#include "core/stats/swage-stats.h"
#include "ui/inspect/swage-plot.h"

#define SWAGE_TYPE_HISTOGRAM_VIEW (swage_histogram_view_get_type ())
G_DECLARE_FINAL_TYPE (SwageHistogramView, swage_histogram_view, SWAGE, HISTOGRAM_VIEW, SwagePlot)

/* Both are borrowed until the next call and may be NULL. `x_label` is copied. `reset`: another tensor, show
 * all of it. */
void swage_histogram_view_set_data (SwageHistogramView *view, const SwageSummary *before,
                                    const SwageSummary *after, const char *x_label, bool reset);
/* The values that the plan's weights can take: ticks below the axis. Borrowed like the data; NULL: none.
 * Before set_data. */
void swage_histogram_view_set_levels (SwageHistogramView *view, const float *levels, int n);
void swage_histogram_view_set_log (SwageHistogramView *view, bool log_y);
