/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a safetensors file. What is accepted must lie within the file, tensor after tensor.
 */
#include "core/format/swage-safetensors.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  GHashTable *metadata = NULL;
  GError *error = NULL;
  GPtrArray *tensors = swage_safetensors_parse (data, size, size, "fuzz", &metadata, &error);
  g_assert ((tensors == NULL) == (error != NULL));
  if (tensors == NULL)
    {
      g_assert (g_utf8_validate (error->message, -1, NULL));
      g_error_free (error);
      return 0;
    }
  uint64_t end = 0;
  for (guint i = 0; i < tensors->len; i++)
    {
      const SwageTensorInfo *info = tensors->pdata[i];
      g_assert (info->offset <= size && info->bytes <= size - info->offset && info->offset >= end);
      end = info->offset + info->bytes;
    }
  g_ptr_array_unref (tensors);
  g_hash_table_unref (metadata);
  return 0;
}
