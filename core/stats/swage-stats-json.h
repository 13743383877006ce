/* SPDX-License-Identifier: MIT
 *
 * Statistics as JSON, with the keys that other programs rely on. New references; numbers that JSON cannot
 * express do not occur.
 */
#pragma once

#include "core/base/swage-json.h"
#include "core/stats/swage-stats.h"

/* ["col_squares", "hessian", …] */
json_t *swage_needs_to_json (SwageNeeds needs);
/* {"n", "n_nonfinite", "n_zero", "min", "max", "mean", "std", "absmax", "kurtosis", "outlier_sigma",
 * "outlier_share", "outlier_exact", "histogram": {"edges": [n+1], "counts": [n]}} */
json_t *swage_summary_to_json (const SwageSummary *summary);
/* The summary and, with `top` > 0, "top_channels": [{"channel", "absmax", "ratio"}]: the `top` input channels
 * with the largest magnitude and how many times the median channel's that is (0 when the median is 0). */
json_t *swage_weight_stats_to_json (const SwageWeightStats *stats, int top);
/* The same of activations; without NEED_SUMMARY, or NEED_COL_ABSMAX for the channels, those keys are left
 * out. Adds "tokens". */
json_t *swage_act_stats_to_json (const SwageActStats *stats, int top);
