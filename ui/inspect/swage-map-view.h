/* SPDX-License-Identifier: MIT */
#pragma once

#include "ui/inspect/swage-plot.h"
#include "ui/shell/swage-session.h"

#define SWAGE_TYPE_MAP_VIEW (swage_map_view_get_type ())
/* Signal: layer-chosen (SwageLayerItem, gboolean extend), when a cell is pressed or chosen by key. */
G_DECLARE_FINAL_TYPE (SwageMapView, swage_map_view, SWAGE, MAP_VIEW, SwagePlot)

typedef enum
{
  SWAGE_METRIC_KURTOSIS,
  SWAGE_METRIC_OUTLIERS,
  SWAGE_METRIC_BITS,
  SWAGE_METRIC_ERROR,
  SWAGE_N_METRICS
} SwageMetric;
const char *swage_metric_get_title (SwageMetric metric); /* translated */

void swage_map_view_set_session (SwageMapView *view, SwageSession *session);
void swage_map_view_set_metric (SwageMapView *view, SwageMetric metric);
