/* SPDX-License-Identifier: MIT */
#include "core/stats/swage-stats-json.h"

#include <math.h>

json_t *
swage_needs_to_json (SwageNeeds needs)
{
  static const struct
  {
    SwageNeeds need;
    const char *id;
  } names[] = { { SWAGE_NEED_COL_SQUARES, "col_squares" }, { SWAGE_NEED_COL_ABSMAX, "col_absmax" },
                { SWAGE_NEED_COL_RANGE, "col_range" },     { SWAGE_NEED_HESSIAN, "hessian" },
                { SWAGE_NEED_SUMMARY, "summary" },         { SWAGE_NEED_COL_ABS, "col_abs" },
                { SWAGE_NEED_SAMPLES, "samples" } };
  json_t *json = json_array ();

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (needs & names[i].need)
      json_array_append_new (json, json_string (names[i].id));
  return json;
}

/* Moments of values near the largest float may overflow even a double: JSON has no infinity. */
static json_t *
real (double value)
{
  return json_real (isfinite (value) ? value : 0);
}

static json_t *
histogram_to_json (const SwageHistogram *h)
{
  json_t *json = json_object (), *edges = json_array (), *counts = json_array ();

  for (int i = 0; i <= h->n_bins && h->n_bins > 0; i++)
    json_array_append_new (edges, real (swage_histogram_get_edge (h, i)));
  for (int i = 0; i < h->n_bins; i++)
    json_array_append_new (counts, json_integer (h->counts[i]));
  json_object_set_new (json, "edges", edges);
  json_object_set_new (json, "counts", counts);
  return json;
}

json_t *
swage_summary_to_json (const SwageSummary *summary)
{
  json_t *json = json_object ();

  json_object_set_new (json, "n", json_integer (summary->n));
  json_object_set_new (json, "n_nonfinite", json_integer (summary->n_nonfinite));
  json_object_set_new (json, "n_zero", json_integer (summary->n_zero));
  json_object_set_new (json, "min", real (summary->min));
  json_object_set_new (json, "max", real (summary->max));
  json_object_set_new (json, "mean", real (summary->mean));
  json_object_set_new (json, "std", real (summary->std));
  json_object_set_new (json, "absmax", real (summary->absmax));
  json_object_set_new (json, "kurtosis", real (summary->kurtosis));
  json_object_set_new (json, "outlier_sigma", real (summary->outlier_sigma));
  json_object_set_new (json, "outlier_share", real (summary->outlier_share));
  json_object_set_new (json, "outlier_exact", json_boolean (summary->outlier_exact));
  json_object_set_new (json, "histogram", histogram_to_json (&summary->histogram));
  return json;
}

static json_t *
top_channels_to_json (const float *absmax, int64_t n, int k)
{
  json_t *json = json_array ();
  g_autofree SwageChannel *top = g_new (SwageChannel, (gsize)k);
  double median;
  int n_top = swage_channels_find_top (absmax, n, k, top, &median);

  for (int i = 0; i < n_top; i++)
    {
      json_t *channel = json_object ();
      json_object_set_new (channel, "channel", json_integer (top[i].channel));
      json_object_set_new (channel, "absmax", real (top[i].value));
      json_object_set_new (channel, "ratio", real (median > 0 ? top[i].value / median : 0));
      json_array_append_new (json, channel);
    }
  return json;
}

json_t *
swage_weight_stats_to_json (const SwageWeightStats *stats, int top)
{
  json_t *json = swage_summary_to_json (&stats->summary);

  if (top > 0)
    json_object_set_new (json, "top_channels", top_channels_to_json (stats->col_absmax, stats->cols, top));
  return json;
}

json_t *
swage_act_stats_to_json (const SwageActStats *stats, int top)
{
  json_t *json = stats->needs & SWAGE_NEED_SUMMARY ? swage_summary_to_json (&stats->summary) : json_object ();

  json_object_set_new (json, "tokens", json_integer (stats->n_tokens));
  if (top > 0 && stats->col_absmax != NULL)
    json_object_set_new (json, "top_channels", top_channels_to_json (stats->col_absmax, stats->n_in, top));
  return json;
}
