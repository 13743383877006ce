/* SPDX-License-Identifier: MIT
 *
 * A thread asks the main loop for an answer every few milliseconds, at a priority above drawing, and takes
 * the time until it comes. That measures what the user feels: anything that keeps the loop from turning,
 * whoever does it.
 */
#include "ui/shell/swage-watchdog.h"

#define INTERVAL_US 4000

static struct
{
  GMutex lock;
  GCond answered;
  gint64 asked;   /* 0: no question is open */
  gint64 longest; /* microseconds */
  gint64 second;  /* the next longest, to tell one hiccup from a habit */
} watchdog;

static void
record (gint64 took)
{
  if (took > watchdog.longest)
    {
      watchdog.second = watchdog.longest;
      watchdog.longest = took;
    }
  else if (took > watchdog.second)
    watchdog.second = took;
}

static gboolean
answer (gpointer data)
{
  g_mutex_lock (&watchdog.lock);
  record (g_get_monotonic_time () - watchdog.asked);
  watchdog.asked = 0;
  g_cond_signal (&watchdog.answered);
  g_mutex_unlock (&watchdog.lock);
  return G_SOURCE_REMOVE;
}

static gpointer
ask (gpointer data)
{
  for (;;)
    {
      g_usleep (INTERVAL_US);
      g_mutex_lock (&watchdog.lock);
      watchdog.asked = g_get_monotonic_time ();
      g_idle_add_full (G_PRIORITY_HIGH, answer, NULL, NULL);
      while (watchdog.asked != 0)
        g_cond_wait (&watchdog.answered, &watchdog.lock);
      g_mutex_unlock (&watchdog.lock);
    }
  return NULL;
}

static gboolean
publish (gpointer action)
{
  g_mutex_lock (&watchdog.lock);
  double longest = (double)watchdog.longest / 1000;
  g_mutex_unlock (&watchdog.lock);
  g_simple_action_set_state (action, g_variant_new_double (longest));
  return G_SOURCE_CONTINUE;
}

static void
reset (GSimpleAction *action, GVariant *parameter, gpointer data)
{
  g_mutex_lock (&watchdog.lock);
  watchdog.longest = watchdog.second = 0;
  g_mutex_unlock (&watchdog.lock);
  g_simple_action_set_state (action, g_variant_new_double (0));
}

static void
print (GApplication *application, gpointer data)
{
  g_mutex_lock (&watchdog.lock);
  g_printerr ("main loop blocked for at most %.1f ms (next %.1f ms)\n", (double)watchdog.longest / 1000,
              (double)watchdog.second / 1000);
  g_mutex_unlock (&watchdog.lock);
}

void
swage_watchdog_start (GApplication *application)
{
  if (g_getenv ("SWAGE_WATCHDOG") == NULL)
    return;
  GSimpleAction *action = g_simple_action_new_stateful ("watchdog", NULL, g_variant_new_double (0));
  g_signal_connect (action, "activate", G_CALLBACK (reset), NULL);
  g_action_map_add_action (G_ACTION_MAP (application), G_ACTION (action));
  g_timeout_add (100, publish, action);
  g_signal_connect (application, "shutdown", G_CALLBACK (print), NULL);
  g_thread_unref (g_thread_new ("watchdog", ask, NULL));
}
