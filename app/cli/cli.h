/* SPDX-License-Identifier: MIT
 *
 * What the commands of swage-cli share: options, progress, results, exit status.
 */
#pragma once

#include "core/base/swage-error.h"
#include "core/base/swage-job.h"
#include "core/base/swage-json.h"
#include "core/engine/swage-backend.h"
#include "core/model/swage-model.h"
#include "core/plan/swage-plan.h"
#include "core/text/swage-corpus.h"

#include <glib/gi18n.h>

enum
{
  CLI_DONE = 0,
  CLI_FAILED = 1,
  CLI_USAGE = 2,
  CLI_INTERRUPTED = 130
};

typedef struct
{
  const char *name;      /* "preview" */
  const char *arguments; /* "MODEL": behind the options in the usage line */
  const char *summary;   /* N_(): one line */
  const char *details;   /* N_(): more for --help and the manual, or NULL */
  int (*run) (int argc, char **argv);
} CliCommand;

extern const CliCommand cli_info, cli_inspect, cli_methods, cli_plan, cli_preview, cli_export, cli_generate,
    cli_tokenize, cli_devices, cli_bench;
extern const CliCommand *const cli_commands[]; /* NULL-terminated */

/* Parse options; argv keeps what is left, argv[0] the command. `min` and `max` (−1: any) bound the positional
 * arguments. FALSE: *status is the exit status (0 after --help, 2 after an error that has been printed).
 * --threads, --help and --quiet are added to every command. */
bool cli_parse (const CliCommand *command, const GOptionEntry *entries, int *argc, char ***argv, int min,
                int max, int *status);
/* Print "swage-cli: message" and give the exit status for it: 130 when cancelled, else 1. Frees error. */
int cli_fail (GError *error);
/* The same for wrong usage: 2. */
int cli_misuse (GError *error);
int cli_misuse_text (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* The job of this run: cancelled by SIGINT and SIGTERM, shown on stderr as a bar on a terminal and as sparse
 * lines elsewhere. Borrowed. */
SwageJob *cli_job (void);
/* Take the bar away before other output. */
void cli_progress_end (void);
/* One JSON object on stdout. Takes json. */
int cli_print_json (json_t *json);
/* Whether the user has interrupted. */
bool cli_interrupted (void);

/* "12.3 MiB". New string. */
char *cli_format_bytes (uint64_t bytes);

/* Sizes such as "64M", "2G", "4096". */
bool cli_parse_size (const char *text, uint64_t *bytes, GError **error);
/* A whole number option, given as text so that the message can name the range. */

/* Options that plan, preview and export share. */
typedef struct
{
  char *plan_path, *preset, **rules, *calibration;
} CliPlanOptions;
#define CLI_PLAN_OPTIONS(options)                                                                            \
  { "plan",                                                                                                  \
    'p',                                                                                                     \
    0,                                                                                                       \
    G_OPTION_ARG_FILENAME,                                                                                   \
    &(options).plan_path,                                                                                    \
    N_ ("A plan file; “-” is standard input"),                                                               \
    N_ ("FILE") },                                                                                           \
      { "preset",                                                                                            \
        0,                                                                                                   \
        0,                                                                                                   \
        G_OPTION_ARG_STRING,                                                                                 \
        &(options).preset,                                                                                   \
        N_ ("Begin with a named plan (see “swage-cli plan --presets”)"),                                     \
        N_ ("NAME") },                                                                                       \
      { "rule",                                                                                              \
        'r',                                                                                                 \
        0,                                                                                                   \
        G_OPTION_ARG_STRING_ARRAY,                                                                           \
        &(options).rules,                                                                                    \
        N_ ("Add a rule LAYERS=STEP[:key=value,…][+STEP…]; the last one that matches a layer wins"),         \
        N_ ("RULE") },                                                                                       \
  {                                                                                                          \
    "calibration", 0, 0, G_OPTION_ARG_FILENAME, &(options).calibration,                                      \
        N_ ("The text that steps measure activations on"), N_ ("FILE")                                       \
  }
void cli_plan_options_clear (CliPlanOptions *options);
/* The plan that the options describe, fitted to the model and checked; warnings go to stderr. NULL: *status.
 */
SwagePlan *cli_plan_from_options (const CliPlanOptions *options, SwageModel *model, int *status);
/* The calibration text: the option's, else the plan's, else kjv.calibration.txt or calibration.txt beside the
 * model; NULL without error when there is none. */
bool cli_open_calibration (const CliPlanOptions *options, SwagePlan *plan, SwageModel *model,
                           SwageCorpus **corpus, GError **error);

/* Options of the commands that can compute on a GPU. */
typedef struct
{
  char *device, *memory;
} CliDeviceOptions;
#define CLI_DEVICE_OPTIONS(options)                                                                          \
  { "device",                                                                                                \
    'd',                                                                                                     \
    0,                                                                                                       \
    G_OPTION_ARG_STRING,                                                                                     \
    &(options).device,                                                                                       \
    N_ ("cpu (default), auto, vulkan, or vulkan: with a number, a name or a UUID"),                          \
    N_ ("NAME") },                                                                                           \
  {                                                                                                          \
    "device-memory", 0, 0, G_OPTION_ARG_STRING, &(options).memory,                                           \
        N_ ("Use at most this much of the device's memory (“512M”, “4G”)"), N_ ("SIZE")                      \
  }
void cli_device_options_clear (CliDeviceOptions *options);
/* Before anything is opened: FALSE with the exit status for wrong usage. */
bool cli_check_device (const CliDeviceOptions *options, uint64_t *memory, int *status);
/* The device; the CPU, after a warning, when it is there and cannot be used. NULL: *status. */
SwageBackend *cli_open_device (const CliDeviceOptions *options, uint64_t memory, int *status);
/* A warning: this is why the CPU does the work. */
void cli_tell_device_failure (const char *failure);
