/* SPDX-License-Identifier: MIT */
#include "ui/preview/swage-text-page.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <math.h>

/* From 0.01 on a divergence begins to be seen in the choice of words; each tint is ten times the last. */
#define N_TINTS 3
static const double tint_from[N_TINTS] = { 0.01, 0.1, 1 };

struct _SwageTextPage
{
  GtkWidget parent_instance;
  SwageSession *session;
  GtkEntry *prompt;
  GtkSpinButton *length;
  GtkButton *write_button;
  GtkTextView *views[2];
  GtkLabel *summary;
  GArray *tokens[2]; /* as shown */
  guint serial;
  int divergence;    /* as shown */
  SwageTextRun *run; /* that is shown; borrowed, only compared */
  bool busy;
};

G_DEFINE_FINAL_TYPE (SwageTextPage, swage_text_page, GTK_TYPE_WIDGET)

static void
make_tags (GtkTextBuffer *buffer)
{
  bool dark = adw_style_manager_get_dark (adw_style_manager_get_default ());
  static const double alpha[N_TINTS] = { 0.16, 0.34, 0.55 };
  GtkTextTagTable *table = gtk_text_buffer_get_tag_table (buffer);
  for (int i = 0; i < N_TINTS; i++)
    {
      g_autofree char *name = g_strdup_printf ("tint-%d", i);
      GtkTextTag *tag = gtk_text_tag_table_lookup (table, name);
      if (tag == NULL)
        tag = gtk_text_buffer_create_tag (buffer, name, NULL);
      GdkRGBA color = dark ? (GdkRGBA){ 1, 0.64f, 0.28f, (float)alpha[i] * 0.8f }
                           : (GdkRGBA){ 1, 0.47f, 0, (float)alpha[i] };
      g_object_set (tag, "background-rgba", &color, NULL);
    }
  if (gtk_text_tag_table_lookup (table, "diverged") != NULL)
    return;
  gtk_text_buffer_create_tag (buffer, "prompt", "style", PANGO_STYLE_ITALIC, "foreground-rgba",
                              &(GdkRGBA){ 0.5f, 0.5f, 0.5f, 1 }, NULL);
  gtk_text_buffer_create_tag (buffer, "diverged", "weight", PANGO_WEIGHT_BOLD, "underline",
                              PANGO_UNDERLINE_DOUBLE, NULL);
}

static bool
is_same (const SwageTextToken *a, const SwageTextToken *b)
{
  return a->id == b->id && (a->kld == b->kld || (isnan (a->kld) && isnan (b->kld)));
}

/* Writes what differs from `old`, which is on screen: mostly one more token. NULL: all of it. */
static void
show_side (SwageTextPage *page, int side, GArray *old, int divergence)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (page->views[side]);
  GArray *tokens = page->tokens[side];
  const char *prompt = swage_text_run_get_prompt (page->run);
  GtkTextIter end;
  guint kept = 0;
  make_tags (buffer);
  if (old == NULL)
    {
      gtk_text_buffer_set_text (buffer, "", 0);
      gtk_text_buffer_get_end_iter (buffer, &end);
      gtk_text_buffer_insert_with_tags_by_name (buffer, &end, prompt, -1, "prompt", NULL);
    }
  else
    {
      glong at = g_utf8_strlen (prompt, -1);
      guint same = MIN (old->len, tokens->len);
      /* the mark of the first difference may have come or gone */
      if (divergence != page->divergence)
        same = (guint)CLAMP (
            MIN (divergence < 0 ? G_MAXINT : divergence, page->divergence < 0 ? G_MAXINT : page->divergence),
            0, (int)same);
      while (kept < same
             && is_same (&g_array_index (old, SwageTextToken, kept),
                         &g_array_index (tokens, SwageTextToken, kept)))
        at += g_utf8_strlen (g_array_index (tokens, SwageTextToken, kept++).piece, -1);
      GtkTextIter start;
      gtk_text_buffer_get_iter_at_offset (buffer, &start, (int)at);
      gtk_text_buffer_get_end_iter (buffer, &end);
      gtk_text_buffer_delete (buffer, &start, &end);
      gtk_text_buffer_get_end_iter (buffer, &end);
    }
  for (guint i = kept; i < tokens->len; i++)
    {
      const SwageTextToken *token = &g_array_index (tokens, SwageTextToken, i);
      int from = gtk_text_iter_get_offset (&end);
      gtk_text_buffer_insert (buffer, &end, token->piece, -1);
      GtkTextIter start;
      gtk_text_buffer_get_iter_at_offset (buffer, &start, from);
      for (int t = N_TINTS - 1; t >= 0; t--)
        if (token->kld >= tint_from[t])
          {
            g_autofree char *name = g_strdup_printf ("tint-%d", t);
            gtk_text_buffer_apply_tag_by_name (buffer, name, &start, &end);
            break;
          }
      if ((int)i == divergence)
        gtk_text_buffer_apply_tag_by_name (buffer, "diverged", &start, &end);
    }
}

static char *
dup_piece (GArray *tokens, int i)
{
  if (i >= (int)tokens->len)
    return g_strdup (_ ("the end"));
  g_autofree char *escaped = g_strescape (g_array_index (tokens, SwageTextToken, i).piece, NULL);
  /* letters outside of ASCII stand for themselves */
  g_autofree char *piece = g_strcompress (escaped);
  g_strdelimit (piece, "\n", ' ');
  return g_strdup_printf ("“%s”", piece);
}

static void
show_summary (SwageTextPage *page, int divergence)
{
  g_autofree char *text = NULL;
  double sum = 0;
  int known = 0;
  for (guint i = 0; page->run != NULL && i < page->tokens[0]->len; i++)
    {
      double kld = g_array_index (page->tokens[0], SwageTextToken, i).kld;
      sum += isnan (kld) ? 0 : kld;
      known += !isnan (kld);
    }
  if (page->run == NULL)
    text = g_strdup (_ ("Write a beginning: both models continue it, and what differs is marked."));
  else if (divergence >= 0)
    {
      g_autofree char *a = dup_piece (page->tokens[0], divergence),
                      *b = dup_piece (page->tokens[1], divergence);
      text = g_strdup_printf (
          _ ("The first %d tokens are the same; then the original writes %s, the plan %s. Mean KLD on "
             "the original’s text: %.4f."),
          divergence, a, b, known > 0 ? sum / known : 0);
    }
  else if (!page->busy && page->tokens[1]->len > 0)
    text = g_strdup_printf (_ ("All %u tokens are the same. Mean KLD: %.4f."), page->tokens[1]->len,
                            known > 0 ? sum / known : 0);
  else
    text = g_strdup (page->busy ? _ ("Writing…") : _ ("Stopped."));
  gtk_label_set_label (page->summary, text);
}

static void
show (SwageTextPage *page)
{
  SwageTextRun *run = swage_session_get_text (page->session);
  guint serial = run != NULL ? swage_text_run_get_serial (run) : 0;
  bool busy = swage_session_is_busy (page->session);
  if (run == page->run && serial == page->serial && busy == page->busy)
    return;
  bool same = run == page->run && serial == page->serial, grown = run == page->run;
  page->run = run;
  page->serial = serial;
  page->busy = busy;
  int divergence = run != NULL ? swage_text_run_get_divergence (run) : -1;
  for (int side = 0; side < 2 && !same; side++)
    {
      g_autoptr (GArray) old = g_steal_pointer (&page->tokens[side]);
      if (run != NULL)
        {
          page->tokens[side] = swage_text_run_get_tokens (run, (SwageTextSide)side);
          show_side (page, side, grown ? old : NULL, divergence);
        }
      else
        gtk_text_buffer_set_text (gtk_text_view_get_buffer (page->views[side]), "", 0);
    }
  page->divergence = divergence;
  show_summary (page, divergence);
}

static void
update_button (SwageTextPage *page)
{
  bool busy = swage_session_is_busy (page->session);
  gtk_button_set_label (page->write_button, busy ? _ ("Stop") : _ ("Write"));
  gtk_widget_set_sensitive (GTK_WIDGET (page->write_button),
                            busy || swage_session_get_model (page->session) != NULL);
  show (page);
}

static void
on_write (SwageTextPage *page)
{
  if (swage_session_is_busy (page->session))
    {
      swage_session_cancel (page->session);
      return;
    }
  swage_session_write_text (page->session, gtk_editable_get_text (GTK_EDITABLE (page->prompt)),
                            gtk_spin_button_get_value_as_int (page->length));
  show (page);
}

static gboolean
on_tooltip (GtkWidget *widget, int x, int y, gboolean keyboard, GtkTooltip *tooltip, SwageTextPage *page)
{
  int side = widget == GTK_WIDGET (page->views[1]), bx, by;
  GtkTextIter iter;
  if (page->run == NULL || page->tokens[side] == NULL || keyboard)
    return FALSE;
  gtk_text_view_window_to_buffer_coords (page->views[side], GTK_TEXT_WINDOW_WIDGET, x, y, &bx, &by);
  if (!gtk_text_view_get_iter_at_location (page->views[side], &iter, bx, by))
    return FALSE;
  glong at = gtk_text_iter_get_offset (&iter) - g_utf8_strlen (swage_text_run_get_prompt (page->run), -1);
  for (guint i = 0; at >= 0 && i < page->tokens[side]->len; i++)
    {
      const SwageTextToken *token = &g_array_index (page->tokens[side], SwageTextToken, i);
      glong length = g_utf8_strlen (token->piece, -1);
      if (at < length)
        {
          g_autofree char *text = isnan (token->kld)
                                      ? g_strdup_printf (_ ("token %u"), i + 1)
                                      : g_strdup_printf (_ ("token %u · KLD %.4g"), i + 1, token->kld);
          gtk_tooltip_set_text (tooltip, text);
          return TRUE;
        }
      at -= length;
    }
  return FALSE;
}

static void
on_model_changed (SwageTextPage *page)
{
  page->run = NULL;
  page->serial = 1;
  update_button (page);
}

void
swage_text_page_set_session (SwageTextPage *page, SwageSession *session)
{
  g_set_object (&page->session, session);
  g_signal_connect_object (session, "notify::progress", G_CALLBACK (show), page, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "notify::busy", G_CALLBACK (update_button), page, G_CONNECT_SWAPPED);
  g_signal_connect_object (session, "model-changed", G_CALLBACK (on_model_changed), page, G_CONNECT_SWAPPED);
  update_button (page);
  show_summary (page, -1);
}

static void
restyle (SwageTextPage *page)
{
  for (int side = 0; side < 2; side++)
    make_tags (gtk_text_view_get_buffer (page->views[side]));
}

static void
dispose (GObject *object)
{
  SwageTextPage *page = SWAGE_TEXT_PAGE (object);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (page))) != NULL)
    gtk_widget_unparent (child);
  g_clear_pointer (&page->tokens[0], g_array_unref);
  g_clear_pointer (&page->tokens[1], g_array_unref);
  g_clear_object (&page->session);
  G_OBJECT_CLASS (swage_text_page_parent_class)->dispose (object);
}

static void
swage_text_page_class_init (SwageTextPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  G_OBJECT_CLASS (klass)->dispose = dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/swage/Swage/preview/swage-text-page.ui");
  gtk_widget_class_bind_template_child (widget_class, SwageTextPage, prompt);
  gtk_widget_class_bind_template_child (widget_class, SwageTextPage, length);
  gtk_widget_class_bind_template_child (widget_class, SwageTextPage, write_button);
  gtk_widget_class_bind_template_child (widget_class, SwageTextPage, summary);
  gtk_widget_class_bind_template_child_full (widget_class, "original_view", FALSE,
                                             G_STRUCT_OFFSET (SwageTextPage, views[0]));
  gtk_widget_class_bind_template_child_full (widget_class, "plan_view", FALSE,
                                             G_STRUCT_OFFSET (SwageTextPage, views[1]));
  gtk_widget_class_bind_template_callback (widget_class, on_write);
  gtk_widget_class_bind_template_callback (widget_class, on_tooltip);
}

static void
swage_text_page_init (SwageTextPage *page)
{
  gtk_widget_init_template (GTK_WIDGET (page));
  restyle (page);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark", G_CALLBACK (restyle), page,
                           G_CONNECT_SWAPPED);
}
