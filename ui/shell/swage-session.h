/* SPDX-License-Identifier: MIT
 *
 * The session: one open model, its plan, and all work done on them. The window shows what is here and asks
 * for changes; nothing here knows a widget.
 *
 * Work runs on two lanes, each of which does one thing at a time on a thread of its own: weight statistics,
 * and everything that needs the pipeline. What is to be done is not queued but derived from the state: what
 * the user asked for (preview, export) first, then what the selection lacks. So work that is superseded is
 * cancelled, and work that is no longer wanted never starts. All functions are for the main thread and return
 * at once.
 *
 * Properties to bind to (strings are translated, numbers are formatted for people): model-title,
 * model-subtitle, size-text, bits-text, perplexity-text, kld-text, agreement-text, device-text, stale (the
 * measured numbers belong to another plan), device (see below), busy (a preview or an export is running),
 * progress (0 … 1), stage, activity (what goes on in the background, or NULL), modified.
 */
#pragma once

#include "core/export/swage-export.h"
#include "ui/shell/swage-layer-item.h"

#define SWAGE_TYPE_SESSION (swage_session_get_type ())
/* Signals:
 *   model-changed ()               another model is open; layers, plan, selection are new
 *   plan-changed ()                after every change of the plan, when layers and sizes have been updated
 *   selection-changed ()
 *   statistics-changed (item)      something new is known of a layer
 *   message (text, is_error)       a sentence for the user
 *   previewed (success)
 *   exported (path)
 *   device-failed (reason)         what it was doing is done on the CPU, and the device is "cpu" now */
G_DECLARE_FINAL_TYPE (SwageSession, swage_session, SWAGE, SESSION, GObject)

SwageSession *swage_session_new (void);

/* Open a model: what was open stays until this one is there. */
void swage_session_open_async (SwageSession *session, const char *path, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
bool swage_session_open_finish (SwageSession *session, GAsyncResult *result, GError **error);
SwageModel *swage_session_get_model (SwageSession *session);  /* NULL before the first one */
SwagePlan *swage_session_get_plan (SwageSession *session);    /* never NULL */
GListModel *swage_session_get_layers (SwageSession *session); /* SwageLayerItem, in model order */
SwageLayerItem *swage_session_find_layer (SwageSession *session, const char *name);
/* FALSE when the plan cannot be applied; why. */
bool swage_session_get_size (SwageSession *session, SwagePlanSize *size, const char **problem);

/* Plans. Loading replaces the rules; *warning (new string or NULL) says when the plan was made for another
 * model. */
bool swage_session_load_plan (SwageSession *session, const char *path, char **warning, GError **error);
bool swage_session_save_plan (SwageSession *session, const char *path, GError **error);
const char *swage_session_get_plan_path (SwageSession *session); /* NULL: never saved */
bool swage_session_is_modified (SwageSession *session);

/* Texts and protocol of the preview. Paths may be NULL. `context` 0: the protocol's own. */
void swage_session_set_calibration (SwageSession *session, const char *path);
const char *swage_session_get_calibration (SwageSession *session);
void swage_session_set_evaluation (SwageSession *session, const char *path);
const char *swage_session_get_evaluation (SwageSession *session);
void swage_session_set_protocol (SwageSession *session, SwageProtocol protocol, int context);
void swage_session_get_protocol (SwageSession *session, SwageProtocol *protocol, int *context);

/* The preset that the plan of a newly opened model begins with; NULL or "": none. */
void swage_session_set_preset (SwageSession *session, const char *id);
/* Memory for states and layers that are kept, in bytes; 0: as much as the pipeline thinks right. */
void swage_session_set_cache (SwageSession *session, uint64_t bytes);

/* What previews are computed on, as in swage_device_open(); NULL is "cpu". It is opened when there is work to
 * do, on its thread; work that is running ends where it began. */
void swage_session_set_device (SwageSession *session, const char *device);
const char *swage_session_get_device (SwageSession *session); /* never NULL */

/* What the window looks at. The first item is the one that is inspected; groups are not allowed here. */
void swage_session_set_selection (SwageSession *session, SwageLayerItem *const *items, guint n);
GPtrArray *swage_session_get_selection (SwageSession *session);  /* SwageLayerItem; borrowed */
SwageLayerItem *swage_session_get_focus (SwageSession *session); /* NULL when nothing is selected */
/* Whether activations are looked at: they cost a pass over the calibration text. */
void swage_session_set_want_activations (SwageSession *session, bool want);
/* Why activations are not there, or NULL: they are, or will be. */
const char *swage_session_get_activation_problem (SwageSession *session);
/* Whether the after-statistics of the item are those of the plan as it is now. */
bool swage_session_is_current (SwageSession *session, SwageLayerItem *item);
/* The same for its activations. */
bool swage_session_is_act_current (SwageSession *session, SwageLayerItem *item);

/* Set the recipe of the selected layers, as one step of undo. NULL: leave them as they are. */
void swage_session_set_recipe (SwageSession *session, SwageRecipe *recipe, const char *label);

/* Long work. One at a time: while busy, these do nothing. */
void swage_session_preview (SwageSession *session);
void swage_session_export (SwageSession *session, SwageExportFormat format, const char *path,
                           SwageType dense_type, bool overwrite);
void swage_session_cancel (SwageSession *session);
bool swage_session_is_busy (SwageSession *session);
/* The last finished preview, or NULL. */
const SwagePreviewResult *swage_session_get_result (SwageSession *session);
/* What an export would meet: array of SwageLintItem, and the bytes it would write (0: unknown). */
GPtrArray *swage_session_lint (SwageSession *session, SwageExportFormat format, SwageType dense_type,
                               uint64_t *bytes);
