/* SPDX-License-Identifier: MIT
 *
 * Any bytes as config.json: an error, or numbers that fit together.
 */
#include "core/model/swage-arch.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SwageConfig config;
  GError *error = NULL;
  if (!swage_config_parse ((const char *)data, size, "fuzz", &config, &error))
    {
      g_assert (error != NULL && g_utf8_validate (error->message, -1, NULL));
      g_error_free (error);
      return 0;
    }
  g_assert (error == NULL);
  g_assert (config.n_blocks >= 1 && config.n_embd >= 1 && config.n_ff >= 1 && config.n_vocab >= 1
            && config.max_context >= 1);
  g_assert (config.n_kv_heads >= 1 && config.n_heads % config.n_kv_heads == 0 && config.head_dim >= 1);
  for (int role = 0; role < SWAGE_N_ROLES; role++)
    {
      int64_t shape[2];
      int n_dims = swage_config_get_shape (&config, (SwageRole)role, shape);
      g_assert (n_dims == 1 || n_dims == 2);
      g_assert (shape[0] > 0 && shape[0] < INT64_C (1) << 31 && shape[1] < INT64_C (1) << 31);
    }
  return 0;
}
