/* SPDX-License-Identifier: MIT
 *
 * Rounding on the device that the previews run on. The dense weight lies there already, from running the
 * original model, and what comes out stays there for running the compressed one: nothing but the finished
 * bytes crosses the bus, once, because cache, size and export want them on the host.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/engine/swage-backend.h"
#include "core/linear/swage-linear-spec.h"
#include "core/linear/swage-weight.h"

typedef struct
{
  SwageBackend *backend; /* NULL, or one that runs on host memory: nothing is done */
  SwageStorage to;
  const float *importance; /* of each column's squared errors; NULL: 1 */
  int pass, n_passes;      /* for progress, as in SwageRowWalk */
  SwageJob *job;
} SwageDeviceRound;

/* The weight stored as `to`: the same bytes as swage_type_from_f32() and swage_int_from_f32() give, for the
 * operators are defined by them. TRUE with *out NULL where that is no work for the device (other types;
 * numbers that no method can work with; too little memory; a device that fails, which whoever runs the model
 * on it next gets told): then the CPU does it. FALSE with CANCELLED. */
bool swage_device_round (const SwageDeviceRound *round, const SwageWeight *w, SwageWeight **out,
                         GError **error);
