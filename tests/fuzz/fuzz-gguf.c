/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a GGUF file: every key in every form, every tensor within the file; and the config of whatever
 * architecture it says it is.
 */
#include "core/model/swage-arch.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
read_config (SwageGguf *gguf)
{
  const char *name = swage_gguf_get_string (gguf, "general.architecture");
  const SwageArch *arch = name != NULL ? swage_arch_find_gguf (name) : NULL;
  SwageConfig config = { 0 };
  GError *error = NULL;
  if (arch == NULL)
    return;
  if (arch->config_from_gguf (gguf, "fuzz", &config, &error) && swage_config_check (&config, "fuzz", &error))
    {
      int64_t shape[2];
      g_assert (config.n_blocks > 0 && config.n_kv_heads > 0 && config.n_heads % config.n_kv_heads == 0);
      for (int role = 0; role < SWAGE_N_ROLES; role++)
        swage_config_get_shape (&config, (SwageRole)role, shape);
    }
  else
    g_assert (error != NULL && g_utf8_validate (error->message, -1, NULL));
  g_clear_error (&error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  GError *error = NULL;
  SwageGguf *gguf = swage_gguf_parse (data, size, size, "fuzz", &error);
  g_assert ((gguf == NULL) == (error != NULL));
  if (gguf == NULL)
    {
      g_assert (g_utf8_validate (error->message, -1, NULL));
      g_error_free (error);
      return 0;
    }
  for (int i = 0; i < swage_gguf_get_n_keys (gguf); i++)
    {
      SwageGgufKind kind;
      const uint8_t *payload;
      const size_t *lengths;
      size_t n;
      int64_t integer, count;
      double number;
      bool flag;
      const char *key = swage_gguf_get_key (gguf, i, &kind, &payload, &n);
      swage_gguf_get_int (gguf, key, &integer);
      swage_gguf_get_double (gguf, key, &number);
      swage_gguf_get_bool (gguf, key, &flag);
      const char *text = swage_gguf_get_string (gguf, key);
      g_assert (text == NULL || g_utf8_validate (text, -1, NULL));
      const char *const *strings = swage_gguf_get_strings (gguf, key, &lengths, &count);
      for (int64_t k = 0; strings != NULL && k < count; k++)
        g_assert (strings[k][lengths[k]] == '\0');
      if ((size & 1) != 0) /* the first of the two converts */
        swage_gguf_get_floats (gguf, key, &count);
      swage_gguf_get_ints (gguf, key, &count);
      swage_gguf_get_floats (gguf, key, &count);
    }
  for (int i = 0; i < swage_gguf_get_n_tensors (gguf); i++)
    {
      const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, i);
      g_assert (info->offset <= size && info->bytes <= size - info->offset);
    }
  read_config (gguf);
  swage_gguf_free (gguf);
  return 0;
}
