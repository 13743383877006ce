/* SPDX-License-Identifier: MIT
 *
 * What the methods share that work on weights and activations together: parameters for how the weight is
 * stored and how the input is quantized, statistics that can be relied on, scaling a layer's input against
 * its weight, and the error that a change of the weight makes in the output.
 */
#pragma once

#include "core/method/swage-method.h"

/* ---- the weight's storage ---- */

/* Choices of `type`: the float types (no quantization), every block type, plain integers last. */
extern const char *const swage_act_types[];
#define SWAGE_ACT_TYPE_INT 15

/* Members `type`, `bits`, `group_size`, `symmetric`, the names that all methods have for them. */
#define SWAGE_STORAGE_MEMBERS                                                                                \
  int type;                                                                                                  \
  int bits, group_size;                                                                                      \
  bool symmetric
#define SWAGE_STORAGE_ROWS(Struct, bits_, group_, symmetric_)                                                \
  SWAGE_CHOICE (Struct, type, SWAGE_ACT_TYPE_INT, swage_act_types, N_ ("Type"),                              \
                N_ ("How the weights are stored afterwards; f32 leaves them as they are, for a step that "   \
                    "follows.")),                                                                            \
      SWAGE_INT (Struct, bits, bits_, 2, 8, N_ ("Bits"),                                                     \
                 N_ ("Bits for each weight; fewer make a smaller model and a larger error."),                \
                 .unit = N_ ("bits"), .when = "type=int"),                                                   \
      SWAGE_INT (                                                                                            \
          Struct, group_size, group_, 8, 65536, N_ ("Group size"),                                           \
          N_ ("Neighbouring weights of a row that share a scale; more than a row has means one scale "       \
              "for each output."),                                                                           \
          .soft_min = 32, .soft_max = 256, .when = "type=int"),                                              \
      SWAGE_BOOL (                                                                                           \
          Struct, symmetric, symmetric_, N_ ("Symmetric"),                                                   \
          N_ ("Leave out the zero point: one byte less for each group, a larger error where weights "        \
              "lean to one side."),                                                                          \
          .when = "type=int")
#define SWAGE_STORAGE_OF(p) swage_act_get_storage ((p)->type, (p)->bits, (p)->group_size, (p)->symmetric)
SwageStorage swage_act_get_storage (int type, int bits, int group_size, bool symmetric);
/* Whether the values are changed by storing them so (not f32). */
bool swage_act_storage_rounds (const SwageStorage *storage);

/* One row through the storage and back: what its values become. `importance` may be NULL. `scratch`: bytes of
 * swage_act_scratch_bytes(). */
size_t swage_act_scratch_bytes (const SwageStorage *storage, int64_t n);
void swage_act_round_row (const SwageStorage *storage, const float *values, const float *importance,
                          int64_t n, float *dst, void *scratch);
/* A rows × cols matrix as a weight; NULL with CANCELLED or NUMERIC (the type ends before the values do). */
SwageWeight *swage_act_pack (const SwageStorage *storage, int64_t rows, int64_t cols, const float *values,
                             const float *importance, const char *layer, SwageJob *job, GError **error);

/* ---- the input's quantizer ---- */

/* Choices of `act`. "static": one range for all, from the calibration text. */
typedef enum
{
  SWAGE_ACT_CHOICE_NONE,
  SWAGE_ACT_CHOICE_TOKEN,
  SWAGE_ACT_CHOICE_TENSOR,
  SWAGE_ACT_CHOICE_STATIC
} SwageActChoice;
extern const char *const swage_act_choices[];
#define SWAGE_ACT_MEMBERS                                                                                    \
  int act;                                                                                                   \
  int act_bits;                                                                                              \
  bool act_symmetric
#define SWAGE_ACT_ROWS(Struct, act_, bits_, symmetric_)                                                      \
  SWAGE_CHOICE (Struct, act, act_, swage_act_choices, N_ ("Activations"),                                    \
                N_ ("What shares a range when the input is quantized: the channels of a token, all tokens "  \
                    "that run together, or all with one range fixed beforehand.")),                          \
      SWAGE_INT (Struct, act_bits, bits_, 2, 8, N_ ("Activation bits"),                                      \
                 N_ ("Bits for each value of the input."), .unit = N_ ("bits"),                              \
                 .when = "act=token|tensor|static"),                                                         \
      SWAGE_BOOL (Struct, act_symmetric, symmetric_, N_ ("Symmetric activations"),                           \
                  N_ ("Use a range that is the same on both sides of zero."),                                \
                  .when = "act=token|tensor|static")
/* NULL for "none". `lo` and `hi`: the range of the quantizer's input over the calibration text, for "static".
 */
SwageActQuant *swage_act_make_quant (int act, int bits, bool symmetric, double lo, double hi);

/* ---- statistics ---- */

/* TRUE when the context has usable statistics of n_in channels holding `needs`; else INVALID (there are none)
 * or NUMERIC (some inputs are not finite), naming the layer. */
bool swage_act_check_stats (const SwageMethodContext *context, const char *id, int64_t n_in, SwageNeeds needs,
                            GError **error);
/* v[c] ← the largest, or the mean, over the channels that are tied to c; nothing when none are. */
void swage_act_tie_max (const SwageMethodContext *context, int64_t n_in, double *v);
void swage_act_tie_mean (const SwageMethodContext *context, int64_t n_in, double *v);

/* ---- the matrix ---- */

/* The layer's main weight as floats; NULL with NUMERIC naming the first number that is not finite. */
float *swage_act_decode (const SwageWeight *weight, const char *layer, SwageJob *job, GError **error);
/* The number of siblings, 1 when the layer is alone; and one of them: its original and its parameters. */
int swage_act_count_siblings (const SwageMethodContext *context);
void swage_act_get_sibling (const SwageMethodContext *context, int i, const void *own_params,
                            const SwageLinear **original, const void **params);
/* max |w| of each column over the originals of all siblings. */
double *swage_act_get_column_max (const SwageMethodContext *context, int64_t n_in, SwageJob *job,
                                  GError **error);

/* ---- errors ---- */

/* H / n as floats: what swage_act_output_error() reads. */
float *swage_act_get_hessian (const SwageActStats *stats);
/* Σ over rows e·H·eᵀ for a rows × n_in matrix `e`: the mean squared error of the outputs times rows, for a
 * change of the weight by e. */
double swage_act_output_error (const float *h, int64_t n_in, const float *e, int64_t rows);

/* ---- the result ---- */

/* What a step leaves: x ↦ (x − z) / s before, W·diag(s) stored, b + W·z, the input quantized. */
typedef struct
{
  const double *s; /* n_in, positive; NULL: no transform */
  const double *z; /* n_in or NULL */
  SwageStorage storage;
  const float *importance; /* n_in or NULL */
  SwageActQuant *quant;    /* taken; NULL: none */
} SwageActResult;
/* `values` is the decoded weight before scaling; it is changed. NULL with an error: quant is freed all the
 * same. */
SwageLinear *swage_act_finish (const SwageLinear *in, SwageActResult result, float *values, SwageJob *job,
                               GError **error);
/* The spec of that. */
bool swage_act_cost (const SwageStorage *storage, bool transforms, bool shifts, int act,
                     const SwageLinearSpec *in, SwageLinearSpec *out, GError **error);
