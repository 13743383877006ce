/* SPDX-License-Identifier: MIT
 *
 * The method table. A compression method is one file that ends in one entry of this type;
 * core/method/meson.build is THE list. Five readers use the table and none names a method: command line, plan
 * validation, sidebar rows, generated documentation and schema, parameter tests.
 */
#pragma once

#include "core/base/swage-job.h"
#include "core/engine/swage-backend.h"
#include "core/linear/swage-linear-spec.h"
#include "core/model/swage-model.h"
#include "core/stats/swage-stats.h"

typedef enum
{
  SWAGE_PARAM_END,
  SWAGE_PARAM_INT,
  SWAGE_PARAM_DOUBLE,
  SWAGE_PARAM_BOOL,
  SWAGE_PARAM_CHOICE
} SwageParamKind;

/* One parameter: where its value lies in the method's own struct, its default and its ranges. INT is `int`,
 * DOUBLE is `double`, BOOL is `bool`, CHOICE is `int`, an index into `choices`. Written by the macros below,
 * which refuse a member of the wrong type. */
typedef struct
{
  SwageParamKind kind;
  const char *id; /* plan key */
  size_t offset;
  double def;                 /* INT, DOUBLE, BOOL, and CHOICE's index */
  double min, max;            /* hard range */
  double soft_min, soft_max;  /* sensible range: the slider's; equal to the hard one when both are 0 */
  const char *const *choices; /* ids, NULL-terminated */
  const char *title, *help;   /* N_() marked; help is one sentence */
  const char *unit;           /* "bits", "%" … or NULL */
  /* The row matters only when another parameter has a certain value or one of several: "type=int",
   * "by=energy|size_ratio"; NULL: always. */
  const char *when;
} SwageParam;

#define SWAGE_PARAM_OFFSET(Struct, member, type)                                                             \
  (offsetof (Struct, member) + 0 * sizeof (_Generic(&((Struct *)0)->member, type * : 1)))
#define SWAGE_INT(Struct, member, def_, min_, max_, title_, help_, ...)                                      \
  {                                                                                                          \
    .kind = SWAGE_PARAM_INT, .id = #member, .offset = SWAGE_PARAM_OFFSET (Struct, member, int), .def = def_, \
    .min = min_, .max = max_, .title = title_, .help = help_, ##__VA_ARGS__                                  \
  }
#define SWAGE_DOUBLE(Struct, member, def_, min_, max_, title_, help_, ...)                                   \
  {                                                                                                          \
    .kind = SWAGE_PARAM_DOUBLE, .id = #member, .offset = SWAGE_PARAM_OFFSET (Struct, member, double),        \
    .def = def_, .min = min_, .max = max_, .title = title_, .help = help_, ##__VA_ARGS__                     \
  }
#define SWAGE_BOOL(Struct, member, def_, title_, help_, ...)                                                 \
  {                                                                                                          \
    .kind = SWAGE_PARAM_BOOL, .id = #member, .offset = SWAGE_PARAM_OFFSET (Struct, member, bool),            \
    .def = def_, .min = 0, .max = 1, .title = title_, .help = help_, ##__VA_ARGS__                           \
  }
#define SWAGE_CHOICE(Struct, member, def_, choices_, title_, help_, ...)                                     \
  {                                                                                                          \
    .kind = SWAGE_PARAM_CHOICE, .id = #member, .offset = SWAGE_PARAM_OFFSET (Struct, member, int),           \
    .def = def_, .choices = choices_, .title = title_, .help = help_, ##__VA_ARGS__                          \
  }

typedef enum
{
  SWAGE_FAMILY_QUANTIZATION,
  SWAGE_FAMILY_ACTIVATION,
  SWAGE_FAMILY_PRUNING,
  SWAGE_FAMILY_FACTORIZATION,
  SWAGE_FAMILY_COMPENSATION
} SwageFamily;
const char *swage_family_get_id (SwageFamily family);    /* "quantization" … */
const char *swage_family_get_title (SwageFamily family); /* translated */
typedef enum
{
  SWAGE_SCOPE_LINEAR,
  SWAGE_SCOPE_BLOCK,
  SWAGE_SCOPE_MODEL
} SwageScope;
const char *swage_scope_get_id (SwageScope scope);

/* A layer that reads the same input as another (q, k and v; gate and up), in this method's eyes. */
typedef struct
{
  SwageRole role;
  const SwageLinear *original; /* as it is in the file */
  const void *params;          /* of this method in its recipe */
} SwageMethodSibling;

/* What apply knows of its surroundings. All borrowed for the call. */
typedef struct
{
  const char *layer; /* "blk.3.ffn_down" */
  SwageRole role;
  int block;
  const SwageActStats *stats; /* of this layer's input after the transform that it has by now, holding what the
                                 method needs as far as it can be derived; NULL when it needs nothing */
  const SwageLinear *original; /* the layer before the recipe's first step */
  uint64_t seed;
  /* This layer and those that read the same input and whose step `joins` this one's, by role: what a transform
   * of the input has to serve together. Empty (0): the layer is alone. */
  const SwageMethodSibling *siblings;
  int n_siblings;
  /* n_in numbers: channels of one number must be transformed alike, because one channel of what comes before
   * makes them (values that several heads share). NULL: every channel is free. */
  const int32_t *tied;
  /* What the layer will run on. A method may work there, and where that fails it works on the CPU, with the same
   * result. NULL: the CPU. */
  SwageBackend *backend;
} SwageMethodContext;

typedef struct
{
  const char *id; /* "rtn": file stem, plan key, manual page section */
  int version;    /* grows when the same parameters give other numbers */
  SwageFamily family;
  const char *title;   /* N_() */
  const char *summary; /* N_(): one or two sentences: what it does, when to use it */
  const char *paper;   /* "Frantar et al. 2022, arXiv 2210.17323" or NULL */
  SwageScope scope;
  SwageParts accepts; /* parts the incoming layer may have (BIAS is always accepted) */
  SwageParts emits;   /* parts the result may have beyond those that pass through */
  SwageNeeds needs;     /* the most that any parameters make it need */
  const SwageParam *params; /* ends with kind END */
  size_t params_size;
  /* Rules between parameters; NULL when there are none. */
  bool (*check) (const void *params, GError **error);
  /* The spec after this step, at once and exactly, without numbers. FALSE with INVALID naming layer and
   * remedy when the step cannot be applied to such a layer. */
  bool (*cost) (const void *params, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error);
  /* The step itself: a new layer. Blocking, on the worker pool, cancellable, deterministic. The result's spec
   * equals what cost said. */
  SwageLinear *(*apply) (const void *params, const SwageLinear *in, const SwageMethodContext *context,
                         SwageJob *job, GError **error);
  /* What these parameters need: `needs` or less of it; NULL: always `needs`. Ask swage_method_get_needs(). */
  SwageNeeds (*get_needs) (const void *params);
  /* For those who share a size out to many layers. A method that has it has parameters `by` (with the choice
   * `rank`) and `rank` too. A new array of *n numbers, falling: number r is what the squared error grows by
   * when rank r+1 becomes rank r, so the error of rank r is the sum of the numbers from r on. NULL: the
   * method has no ranks. */
  double *(*get_spectrum) (const void *params, const SwageLinear *in, const SwageMethodContext *context,
                           int64_t *n, SwageJob *job, GError **error);
  /* For methods whose transform of the input is a positive scale of each channel (and a shift where the spec
   * says so) that depends on the siblings' originals, their statistics and parameters alone: whether two
   * layers that read one input and have these parameters get the same one, being each other's siblings. Then
   * it can be folded into what comes before. NULL: it never is. */
  bool (*joins) (const void *params, const void *other);
  /* The layers that the step makes sense for, by the last word of their names ("attn_k"); NULL-terminated. NULL:
   * all. */
  const char *const *layers;
} SwageMethod;

extern const SwageMethod *const swage_methods[]; /* NULL-terminated, in the order of meson.build */
const SwageMethod *swage_method_find (const char *id);

/* What a calibration pass must collect for the method with these parameters. */
SwageNeeds swage_method_get_needs (const SwageMethod *method, const void *params);

/* Fill a params struct with defaults. */
void swage_params_init (const SwageMethod *method, void *params);
const SwageParam *swage_method_find_param (const SwageMethod *method,
                                           const char *id); /* NULL when there is none */
/* Values as text ("0.01", "true", "q4_k") and as numbers. set fails with INVALID, naming the key and the
 * allowed range or choices. */
bool swage_param_set_text (const SwageMethod *method, void *params, const SwageParam *param, const char *text,
                           GError **error);
char *swage_param_get_text (const SwageParam *param, const void *params);
bool swage_param_set_number (const SwageMethod *method, void *params, const SwageParam *param, double value,
                             GError **error);
double swage_param_get_number (const SwageParam *param, const void *params);
/* "4 … 8", "q4_0, q4_1, …", "true or false": new string. */
char *swage_param_describe_range (const SwageParam *param);
/* Whether `when` holds for these values. */
bool swage_param_is_relevant (const SwageMethod *method, const SwageParam *param, const void *params);
/* Run check, the part rules (accepts) and cost for one layer. */
bool swage_method_cost (const SwageMethod *method, const void *params, const char *layer,
                        const SwageLinearSpec *in, SwageLinearSpec *out, GError **error);
