/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-session-look.h"

#include "ui/shell/swage-session-private.h"

#include <string.h>

float *
swage_weight_find_levels (const SwageWeight *weight, int max, int *n)
{
  g_autofree float *levels = g_new (float, max + 1), *row = g_new (float, (gsize)MAX (weight->cols, 1));
  int count = 0;
  *n = 0;
  /* a matrix of many values shows it in its first row */
  for (int64_t r = 0; r < weight->rows; r++)
    {
      swage_weight_decode (weight, r, r + 1, row);
      for (int64_t c = 0; c < weight->cols; c++)
        {
          int at = 0;
          while (at < count && levels[at] < row[c])
            at++;
          if (at < count && levels[at] == row[c])
            continue;
          if (count == max || !(row[c] == row[c]))
            return NULL;
          memmove (levels + at + 1, levels + at, (size_t)(count - at) * sizeof *levels);
          levels[at] = row[c];
          count++;
        }
    }
  *n = count;
  return g_steal_pointer (&levels);
}

static bool
is_there (SwageSession *session, SwageLayerItem *item)
{
  g_autofree char *key = swage_session_layer_key (session, item);
  return session->shown_item == item && g_strcmp0 (key, session->shown_key) == 0;
}

void
swage_session_clear_weights (SwageSession *session)
{
  g_clear_object (&session->shown_item);
  g_clear_pointer (&session->shown_key, g_free);
  g_clear_pointer (&session->shown_problem, g_free);
  g_clear_pointer (&session->shown[0], swage_weight_unref);
  g_clear_pointer (&session->shown[1], swage_weight_unref);
}

bool
swage_session_wants_weights (SwageSession *session)
{
  SwageLayerItem *focus = swage_session_get_focus (session);
  return session->want_weights && focus != NULL && focus->problem == NULL && !is_there (session, focus);
}

void
swage_session_take_weights (SwageSession *session, SwageLayerItem *item, const char *key,
                            SwageWeight **weights, const char *problem)
{
  swage_session_clear_weights (session);
  session->shown_item = g_object_ref (item);
  session->shown_key = g_strdup (key);
  session->shown_problem = g_strdup (problem);
  for (int i = 0; i < 2; i++)
    session->shown[i] = g_steal_pointer (&weights[i]);
  g_signal_emit (session, swage_session_signals[SESSION_STATISTICS_CHANGED], 0, item);
}

void
swage_session_set_want_weights (SwageSession *session, bool want)
{
  if (session->want_weights == want)
    return;
  session->want_weights = want;
  /* they may be large */
  if (!want)
    swage_session_clear_weights (session);
  swage_session_reschedule (session, 20);
}

bool
swage_session_get_weights (SwageSession *session, SwageLayerItem *item, SwageWeight *weights[2],
                           const char **problem)
{
  bool there = item != NULL && is_there (session, item);
  if (problem != NULL)
    *problem = there ? session->shown_problem : item != NULL ? item->problem : NULL;
  for (int i = 0; i < 2; i++)
    weights[i] = there ? session->shown[i] : NULL;
  return weights[0] != NULL;
}
