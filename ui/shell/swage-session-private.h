/* SPDX-License-Identifier: MIT
 *
 * Shared by swage-session.c (the document) and swage-session-work.c (the lanes).
 */
#pragma once

#include "ui/shell/swage-session.h"

/* What only the working thread of the pipeline lane touches, kept from run to run. */
typedef struct
{
  gatomicrefcount refs;
  SwageModel *model;
  SwagePipeline *pipeline;
  char *calibration_path; /* that calibration was read from */
  SwageCorpus *calibration;
  char *evaluation_key;
  SwageWindows *evaluation;
  uint64_t cache; /* that the pipeline was made with */
  char *device;   /* that the pipeline was told to use, whether it could or not; NULL: the CPU */
} SwageDesk;
SwageDesk *swage_desk_new (SwageModel *model);
void swage_desk_unref (SwageDesk *desk);

typedef struct _SwageRun SwageRun;
typedef struct _SwageTextRun SwageTextRun;

typedef struct
{
  SwageExportFormat format;
  char *path;
  SwageType dense_type;
  bool overwrite;
} SwageExportRequest;
void swage_export_request_free (SwageExportRequest *request);

struct _SwageSession
{
  GObject parent_instance;

  SwageModel *model;
  SwagePlan *plan;
  GListStore *layers;
  SwageDesk *desk;
  char *plan_text, *saved_text, *plan_path;
  SwagePlanSize size;
  bool has_size;
  char *size_problem;

  char *preset;
  uint64_t cache;
  char *device; /* NULL: the CPU */
  char *calibration, *evaluation;
  SwageProtocol protocol;
  int context;

  GPtrArray *selection;
  bool want_activations;

  /* swage-session-look.h, -text.h, -live.h */
  bool want_weights;
  SwageLayerItem *shown_item;
  char *shown_key, *shown_problem;
  SwageWeight *shown[2];
  bool wants_text;
  SwageTextRun *text;
  char *activation_problem;

  /* asked for and not yet begun */
  bool wants_preview;
  SwageExportRequest *wants_export;
  /* running */
  SwageRun *pipeline_run, *weight_run;
  guint schedule_id;
  char *activity;
  bool busy, cancelling;
  double progress, seconds_left;
  char *stage;

  /* measured */
  SwagePreviewResult result, running;
  bool has_result, has_running;
  char *result_key; /* plan text, texts and protocol that the result is of */
};

enum
{
  SESSION_MODEL_CHANGED,
  SESSION_PLAN_CHANGED,
  SESSION_SELECTION_CHANGED,
  SESSION_STATISTICS_CHANGED,
  SESSION_MESSAGE,
  SESSION_PREVIEWED,
  SESSION_EXPORTED,
  SESSION_DEVICE_FAILED,
  SESSION_N_SIGNALS
};
extern guint swage_session_signals[SESSION_N_SIGNALS];

/* Everything that shapes a layer's result: its recipe, and the whole plan where a step looks at activations.
 * "" when it is left alone. */
char *swage_session_layer_key (SwageSession *session, SwageLayerItem *item);
char *swage_session_act_key (SwageSession *session);
char *swage_session_result_key (SwageSession *session);
/* Soon, look what is to be done and drop what is no longer wanted. */
void swage_session_reschedule (SwageSession *session, guint delay_ms);
/* Show that preview, export or text has been asked for, and see to it. */
void swage_session_begin_foreground (SwageSession *session);
void swage_session_stop_work (SwageSession *session);
/* The device of a run is out: the CPU from now on, unless another one has been chosen meanwhile. */
void swage_session_give_up_device (SwageSession *session, const char *device, const char *reason);
void swage_session_notify_work (SwageSession *session);    /* busy, progress, stage, activity */
void swage_session_notify_numbers (SwageSession *session); /* measured numbers */

/* swage-session-look.c: the focused layer's weights are wanted and not there; they are now (takes both). */
bool swage_session_wants_weights (SwageSession *session);
void swage_session_take_weights (SwageSession *session, SwageLayerItem *item, const char *key,
                                 SwageWeight **weights, const char *problem);
void swage_session_clear_weights (SwageSession *session);
/* swage-session-live.c: what is being cancelled will begin again by itself; nobody need be told. */
bool swage_session_is_live_restart (SwageSession *session);
