/* SPDX-License-Identifier: MIT
 *
 * What the user starts by hand is never taken away: only a preview that began by itself is cancelled by a
 * change.
 */
#include "ui/shell/swage-session-live.h"

#include "ui/shell/swage-session-private.h"

/* Long enough for the next pull at a slider, short enough to feel immediate. */
#define REST_MS 700

typedef struct
{
  SwageSession *session;
  bool on, own, restarting; /* own: the preview that runs began by itself */
  guint timeout_id;
} Live;

static void
live_free (gpointer data)
{
  Live *live = data;
  g_clear_handle_id (&live->timeout_id, g_source_remove);
  g_free (live);
}

static gboolean
begin (gpointer data)
{
  Live *live = data;
  SwageSession *session = live->session;
  if (session->busy)
    return live->on ? G_SOURCE_CONTINUE : (live->timeout_id = 0, G_SOURCE_REMOVE); /* after what runs */
  live->timeout_id = 0;
  live->restarting = false;
  g_autofree char *key = swage_session_result_key (session);
  if (live->on && session->model != NULL && session->has_size
      && !(session->has_result && g_strcmp0 (key, session->result_key) == 0))
    {
      live->own = true;
      swage_session_preview (session);
    }
  return G_SOURCE_REMOVE;
}

static void
on_changed (SwageSession *session, Live *live)
{
  if (!live->on)
    return;
  g_clear_handle_id (&live->timeout_id, g_source_remove);
  if (session->busy && live->own && !session->cancelling)
    {
      live->restarting = true;
      swage_session_cancel (session);
    }
  live->timeout_id = g_timeout_add (REST_MS, begin, live);
}

static void
on_previewed (SwageSession *session, gboolean success, Live *live)
{
  live->own = false;
}

static Live *
get_live (SwageSession *session)
{
  Live *live = g_object_get_data (G_OBJECT (session), "live");
  if (live != NULL)
    return live;
  live = g_new0 (Live, 1);
  live->session = session;
  g_object_set_data_full (G_OBJECT (session), "live", live, live_free);
  g_signal_connect (session, "plan-changed", G_CALLBACK (on_changed), live);
  g_signal_connect (session, "previewed", G_CALLBACK (on_previewed), live);
  return live;
}

bool
swage_session_is_live_restart (SwageSession *session)
{
  Live *live = g_object_get_data (G_OBJECT (session), "live");
  return live != NULL && live->restarting;
}

void
swage_session_set_live (SwageSession *session, bool on)
{
  Live *live = get_live (session);
  if (live->on == on)
    return;
  live->on = on;
  if (on)
    live->timeout_id = g_timeout_add (20, begin, live);
  else
    {
      g_clear_handle_id (&live->timeout_id, g_source_remove);
      if (session->busy && live->own)
        {
          live->restarting = true; /* goes quietly */
          swage_session_cancel (session);
          live->restarting = false;
        }
    }
}

bool
swage_session_get_live (SwageSession *session)
{
  return get_live (session)->on;
}
