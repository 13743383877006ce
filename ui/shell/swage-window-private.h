/* SPDX-License-Identifier: MIT
 *
 * Shared by swage-window.c (the widget), swage-actions.c (what it can do) and swage-window-files.c (choosers,
 * prompts).
 */
#pragma once

#include "ui/inspect/swage-inspector.h"
#include "ui/inspect/swage-layer-list.h"
#include "ui/plan/swage-recipe-panel.h"
#include "ui/preview/swage-numbers-strip.h"
#include "ui/shell/swage-recovery.h"
#include "ui/shell/swage-window.h"

enum
{
  WIDTH_NARROW,
  WIDTH_USUAL,
  WIDTH_WIDE,
};

struct _SwageWindow
{
  AdwApplicationWindow parent_instance;
  SwageSession *session;
  GSettings *settings; /* may be NULL */
  GCancellable *opening;
  char *opening_path, *opening_plan;
  char *waiting_plan; /* dropped before its model was open */
  SwageRecovery *recovery;
  SwageLost *restoring; /* the session that the model is being opened for */
  GFileMonitor *monitor;
  bool closing;
  int width; /* WIDTH_NARROW … */
  guint width_id;
  GtkFileChooserNative *chooser;

  AdwToast *lasting_toast; /* stays until the next one; weak */
  GListModel *toast_children;
  AdwToastOverlay *toasts;
  GtkInfoBar *banner;
  GtkLabel *banner_label;
  GtkButton *banner_button;
  GtkStack *stack;
  GtkSpinner *opening_spinner;
  AdwFlap *list_flap, *recipe_flap;
  SwageLayerList *list;
  SwageInspector *inspector;
  SwageRecipePanel *recipe;
  SwageNumbersStrip *numbers;
  AdwWindowTitle *title;
  GtkMenuButton *open_button, *export_button;
  GtkWidget *undo_box, *undo_button, *redo_button;
  GMenu *recent_menu;
};

/* swage-actions.c */
void swage_window_install_actions (SwageWindow *window);
void swage_window_update_actions (SwageWindow *window);

/* swage-window.c */
/* Takes `lost`. */
void swage_window_restore (SwageWindow *window, SwageLost *lost);

/* swage-window-restore.c */
/* The button does `action`, with `target` when it is not NULL. */
void swage_window_show_banner (SwageWindow *window, const char *text, const char *button, const char *action,
                               const char *target);
void swage_window_hide_banner (SwageWindow *window);
/* Say so when the file that is open changes. */
void swage_window_watch_model (SwageWindow *window);

/* swage-window-files.c */
typedef void (*SwageWindowFunc) (SwageWindow *window, gpointer data);
/* Call func when the plan is saved, or its changes may go; not at all when the user thinks better of it.
 * Takes data. */
void swage_window_confirm_unsaved (SwageWindow *window, SwageWindowFunc func, gpointer data,
                                   GDestroyNotify free_data);
typedef void (*SwageWindowPathFunc) (SwageWindow *window, const char *path);
void swage_window_choose (SwageWindow *window, GtkFileChooserAction action, const char *title,
                          const char *accept, const char *name, GtkFileFilter *filter,
                          SwageWindowPathFunc func);
void swage_window_save_plan (SwageWindow *window, bool as);
void swage_window_show_error (SwageWindow *window, const char *heading, const char *message);
void swage_window_watch_toasts (SwageWindow *window);
void swage_window_toast (SwageWindow *window, const char *text);
/* With a button that takes the last change of the plan back. */
void swage_window_toast_undo (SwageWindow *window, const char *text);
/* Takes the toast; `text` is what it says. */
void swage_window_add_toast (SwageWindow *window, AdwToast *toast, const char *text);
GtkFileFilter *swage_window_plan_filter (void);
GtkFileFilter *swage_window_model_filter (void);
GtkFileFilter *swage_window_text_filter (void);
