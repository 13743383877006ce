/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a plan file: parsed, and when they are a plan, written and parsed again to the same text.
 */
#include "core/plan/swage-plan.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwagePlan) plan = swage_plan_parse ((const char *)data, n, "fuzz", &error);
  if (plan == NULL)
    {
      g_assert (error != NULL);
      return 0;
    }
  g_autofree char *text = swage_plan_to_text (plan);
  g_autoptr (SwagePlan) again = swage_plan_parse (text, strlen (text), "again", &error);
  g_assert (again != NULL);
  g_autofree char *same = swage_plan_to_text (again);
  g_assert (strcmp (text, same) == 0);
  return 0;
}
