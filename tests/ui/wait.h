/* SPDX-License-Identifier: MIT
 *
 * Waiting for a session, which works on threads and answers through the main loop.
 */
#pragma once

#include <glib.h>

/* Long enough for a build with sanitizers on a busy machine; reached only when something hangs. */
#define PATIENCE_S 400

static inline gboolean
give_up (gpointer data)
{
  g_error ("waited for %d s in vain", PATIENCE_S);
  return G_SOURCE_REMOVE;
}

/* Run the main loop until the expression holds. */
#define WAIT_FOR(expression)                                                                                 \
  G_STMT_START                                                                                               \
  {                                                                                                          \
    guint wait_id = g_timeout_add_seconds (PATIENCE_S, give_up, NULL);                                       \
    while (!(expression))                                                                                    \
      g_main_context_iteration (NULL, TRUE);                                                                 \
    g_source_remove (wait_id);                                                                               \
  }                                                                                                          \
  G_STMT_END
