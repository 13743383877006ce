/* SPDX-License-Identifier: MIT
 *
 * Outlier channels: the few input channels of a layer whose magnitudes dwarf the others and so set the scale
 * of everything that is quantized with them.
 */
#include "core/stats/swage-stats.h"

#include <math.h>
#include <stdlib.h>

static int
compare_channels (const void *a, const void *b)
{
  const SwageChannel *x = a, *y = b;
  if (x->value != y->value)
    return x->value < y->value ? 1 : -1;
  return (x->channel > y->channel) - (x->channel < y->channel);
}

int
swage_channels_find_top (const float *values, int64_t n, int k, SwageChannel *top, double *median)
{
  g_autofree SwageChannel *all = g_new (SwageChannel, (gsize)MAX (n, 1));
  int64_t n_all = 0;

  for (int64_t i = 0; i < n; i++)
    if (!isnan (values[i]))
      all[n_all++] = (SwageChannel){ .channel = i, .value = (double)values[i] };
  qsort (all, (size_t)n_all, sizeof *all, compare_channels);
  if (median != NULL)
    *median = n_all == 0 ? 0 : (all[(n_all - 1) / 2].value + all[n_all / 2].value) / 2;
  int n_top = (int)MIN (k, n_all);
  for (int i = 0; i < n_top; i++)
    top[i] = all[i];
  return n_top;
}
