/* SPDX-License-Identifier: MIT
 *
 * The weights themselves of the layer that is looked at, for pages that draw them: of the original, and of
 * what the plan makes of it. They come in the background when a page asks for them. "statistics-changed"
 * tells of them.
 */
#pragma once

#include "ui/shell/swage-session.h"

/* Whether a page that draws weights is on screen. */
void swage_session_set_want_weights (SwageSession *session, bool want);
/* The weights of a layer: [0] the original, [1] the plan's or NULL when it leaves the layer alone. Borrowed
 * until the main loop runs again. FALSE: not there (yet); *problem (may be NULL) then says why, if they will
 * not come. */
bool swage_session_get_weights (SwageSession *session, SwageLayerItem *item, SwageWeight *weights[2],
                                const char **problem);

/* What is said of a weight beside its statistics: the values that it takes, ascending, when there are `max`
 * or fewer; else NULL with *n 0. Any thread; new array. */
float *swage_weight_find_levels (const SwageWeight *weight, int max, int *n);
