/* SPDX-License-Identifier: MIT
 *
 * Rotary positions: the frequencies that a model turns its queries and keys by.
 */
#pragma once

#include "core/model/swage-model.h"

/* inv_freq[i], i < rope_dims/2: radians per position of pair i, with the model's scaling (linear, Llama 3) or a GGUF file's own factors
 * applied. *mscale (may be NULL) gets the factor on cos and sin. FALSE when the model has no rotary positions. */
bool swage_config_get_inv_freq (SwageModel *model, float *out, double *mscale);

/* The divisors of the frequencies that the config's scaling amounts to, in the form GGUF stores them: new array of rope_dims/2, or NULL
 * when the scaling is not Llama 3's. */
float *swage_config_get_rope_factors (const SwageConfig *config);
