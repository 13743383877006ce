/* SPDX-License-Identifier: MIT
 *
 * inv_freq[i] = base^(−2i/d), in single precision step by step, because that is how checkpoints were trained
 * and how others run them: at position 10⁴ the last bit of a frequency is 10⁻³ of an angle.
 *
 * Linear scaling (Chen et al. 2023, arXiv 2306.15595) divides all frequencies by the factor. Llama 3's
 * divides the low ones alone: with λ = 2π/inv_freq and C the original context,
 *
 *   λ > C/low:  inv_freq / factor        λ < C/high:  inv_freq        between:  (1−s)·inv_freq/factor +
 * s·inv_freq, s = (C/λ − low) / (high − low).
 *
 * GGUF has no word for it and stores the quotient (before / after) of each pair as the tensor rope_freqs.
 */
#include "core/model/swage-rope.h"

#include <math.h>

static float
base_frequency (const SwageConfig *config, int i)
{
  float exponent = (float)(2 * i) / (float)config->rope_dims;
  return 1.0f / (float)pow (config->rope_base, exponent);
}

static float
scale_llama3 (const SwageConfig *config, float inv_freq)
{
  const double pi = 3.14159265358979323846;
  float factor = (float)config->rope_factor, original = (float)config->rope_original_context;
  float low = (float)config->rope_low_freq_factor, high = (float)config->rope_high_freq_factor;
  float wavelength = (float)(2 * pi) / inv_freq;
  if (wavelength > original / low)
    return inv_freq / factor;
  if (wavelength < original / high)
    return inv_freq;
  float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * inv_freq / factor + smooth * inv_freq;
}

bool
swage_config_get_inv_freq (SwageModel *model, float *out, double *mscale)
{
  const SwageConfig *config = swage_model_get_config (model);
  if (mscale != NULL)
    *mscale = 1.0;
  if (config->position != SWAGE_POS_ROPE)
    return false;

  int n_factors = 0;
  const float *factors = swage_model_get_rope_factors (model, &n_factors);
  for (int i = 0; i < config->rope_dims / 2; i++)
    {
      out[i] = base_frequency (config, i);
      if (config->rope_scaling == SWAGE_ROPE_SCALING_LINEAR)
        out[i] /= (float)config->rope_factor;
      else if (config->rope_scaling == SWAGE_ROPE_SCALING_LLAMA3)
        out[i] = scale_llama3 (config, out[i]);
      if (i < n_factors)
        out[i] /= factors[i];
    }
  return true;
}

float *
swage_config_get_rope_factors (const SwageConfig *config)
{
  if (config->position != SWAGE_POS_ROPE || config->rope_scaling != SWAGE_ROPE_SCALING_LLAMA3)
    return NULL;
  float *factors = g_new (float, config->rope_dims / 2);
  for (int i = 0; i < config->rope_dims / 2; i++)
    {
      float inv_freq = base_frequency (config, i);
      factors[i] = inv_freq / scale_llama3 (config, inv_freq);
    }
  return factors;
}
