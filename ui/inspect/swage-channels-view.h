/* SPDX-License-Identifier: MIT */
#pragma once

#include "ui/inspect/swage-plot.h"

#define SWAGE_TYPE_CHANNELS_VIEW (swage_channels_view_get_type ())
G_DECLARE_FINAL_TYPE (SwageChannelsView, swage_channels_view, SWAGE, CHANNELS_VIEW, SwagePlot)

/* Arrays of n are borrowed until the next call; NULL: nothing. */
void swage_channels_view_set_data (SwageChannelsView *view, const float *before, const float *after,
                                   int64_t n, const char *x_label, bool reset);
void swage_channels_view_set_log (SwageChannelsView *view, bool log_y);
