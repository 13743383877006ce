/* SPDX-License-Identifier: MIT
 *
 * Any bytes as an importance matrix of the older form. What is accepted holds only numbers that rounding can use.
 */
#include "core/format/swage-imatrix.h"

#include <math.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  GError *error = NULL;
  SwageImatrix *imatrix = swage_imatrix_parse (data, size, "fuzz", &error);
  g_assert ((imatrix == NULL) == (error != NULL));
  if (imatrix == NULL)
    {
      g_assert (g_utf8_validate (error->message, -1, NULL));
      g_error_free (error);
      return 0;
    }
  for (guint i = 0; i < imatrix->entries->len; i++)
    {
      const SwageImatrixEntry *entry = imatrix->entries->pdata[i];
      g_assert (swage_imatrix_find (imatrix, entry->name) == entry);
      for (int64_t j = 0; j < entry->n_in * entry->n_matrices; j++)
        g_assert (isfinite (entry->squares[j]) && entry->squares[j] >= 0);
    }
  swage_imatrix_free (imatrix);
  return 0;
}
