/* SPDX-License-Identifier: MIT
 *
 * Round to nearest: every matrix of the layer is stored in another type, each weight becoming the nearest
 * value that the type can express. This is the base line of every quantization paper, what llama-quantize
 * does without an importance matrix, and the last step of a recipe that has changed the weights otherwise.
 *
 * For a block of weights w the type offers values d·q (or d·q + m) with integers q in a range, and "nearest"
 * leaves the choice of the scale d open:
 *
 *   min over d, m, q of  Σ (w_i − (d·q_i + m))²
 *
 * That search is the type's own (kernels/type), so this file only walks over rows, or has the device do it
 * that the layer will run on.
 *
 * --- This is the file to copy for a new method. From top to bottom: what the method does and where it comes
 * from; the struct of its parameters and one row for each; `cost`, which says without any numbers what the
 * layer will look like; `apply`, which does it; the table entry. Then one line in meson.build, and command
 * line, plan files, sidebar, manual and the parameter tests know the method.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include "core/base/swage-error.h"
#include "core/method/swage-device-round.h"
#include "core/method/swage-rows.h"

/* What the user chooses. One plain struct; a plan stores names and text, never these bytes. */
typedef struct
{
  int type;
  int bits, group_size;
  bool symmetric;
} RtnParams;

static const char *const types[]
    = { "f32",  "f16",  "bf16", "q4_0", "q4_1",   "q5_0",   "q5_1", "q8_0", "q2_k",
        "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "int",  NULL };

/* A row's id is the member's name and the key in plans. Ids that several methods share mean the same
 * everywhere. */
static const SwageParam params[] = {
  SWAGE_CHOICE (RtnParams, type, 10 /* q4_k */, types, N_ ("Type"),
                N_ ("How the weights are stored; fewer bits make a smaller model and a larger error.")),
  SWAGE_INT (RtnParams, bits, 4, 2, 8, N_ ("Bits"),
             N_ ("Bits for each weight; fewer make a smaller model and a larger error."), .unit = N_ ("bits"),
             .when = "type=int"),
  SWAGE_INT (RtnParams, group_size, 128, 8, 65536, N_ ("Group size"),
             N_ ("Neighbouring weights of a row that share a scale; smaller groups follow the weights more "
                 "closely and cost more bytes."),
             .soft_min = 32, .soft_max = 256, .when = "type=int"),
  SWAGE_BOOL (RtnParams, symmetric, true, N_ ("Symmetric"),
              N_ ("Leave out the zero point: one byte less for each group, a larger error where weights lean "
                  "to one side."),
              .when = "type=int"),
  { 0 },
};

static SwageStorage
get_storage (const RtnParams *p)
{
  SwageType type = swage_type_from_id (types[p->type]);

  if (g_str_equal (types[p->type], "int"))
    return (SwageStorage){
      .type = SWAGE_TYPE_INT, .bits = p->bits, .group_size = p->group_size, .symmetric = p->symmetric
    };
  return (SwageStorage){ .type = type };
}

/* Of the quantized types that hold rows of n values the one nearest in size to `type`; NULL when there is
 * none. */
static const char *
find_fitting (SwageType type, int64_t n)
{
  const SwageTypeInfo *wanted = swage_type_get_info (type);
  const char *best = NULL;
  double best_distance = 0;

  for (int i = 0; types[i] != NULL; i++)
    {
      const SwageTypeInfo *info = swage_type_get_info (swage_type_from_id (types[i]));
      if (!info->quantized || info->bytes == 0 || n % info->block != 0)
        continue;
      double distance = (double)info->bytes / info->block - (double)wanted->bytes / wanted->block;
      distance = distance < 0 ? -distance : distance;
      if (best == NULL || distance <= best_distance)
        {
          best = info->id;
          best_distance = distance;
        }
    }
  return best;
}

/* Whether rows of n values can be stored so. `what` names the matrix. */
static bool
check_rows (const SwageStorage *storage, int64_t n, const char *what, GError **error)
{
  const SwageTypeInfo *info = swage_type_get_info (storage->type);

  if (storage->type == SWAGE_TYPE_INT || n % info->block == 0)
    return true;

  const char *other = find_fitting (storage->type, n);
  if (other != NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                 _ ("%s has rows of %" PRId64
                    " values, and %s holds multiples of %d only; the nearest type that "
                    "fits is %s, and int fits any length."),
                 what, n, info->id, info->block, other);
  else
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                 _ ("%s has rows of %" PRId64
                    " values, and %s holds multiples of %d only; no block type fits, take "
                    "int or f16."),
                 what, n, info->id, info->block);
  return false;
}

/* The spec after the step: exact and at once. What is not mentioned passes through (`out` starts as a copy of
 * `in`). */
static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  SwageStorage storage = get_storage (data);
  const SwageTypeInfo *info = swage_type_get_info (storage.type);

  if (in->parts & (SWAGE_PART_DENSE | SWAGE_PART_PACKED))
    {
      if (!check_rows (&storage, in->n_in, _ ("the weight"), error))
        return false;
      out->weight = storage;
      out->parts &= ~(SWAGE_PART_DENSE | SWAGE_PART_PACKED);
      out->parts |= info->quantized || storage.type == SWAGE_TYPE_INT ? SWAGE_PART_PACKED : SWAGE_PART_DENSE;
      /* a type without an exact zero brings pruned weights back to life */
      if (storage.type != SWAGE_TYPE_INT && !info->zero_exact)
        out->sparsity = 0;
    }
  if (in->parts & SWAGE_PART_LOW_RANK)
    {
      if (!check_rows (&storage, in->n_in, _ ("the factor A"), error))
        return false;
      if (in->exact)
        {
          if (!check_rows (&storage, in->rank, _ ("the factor B (as long as the rank)"), error))
            return false;
        }
      else if (storage.type != SWAGE_TYPE_INT && MAX (1, in->rank_multiple) % info->block != 0)
        {
          /* the rank will be known when the numbers are: then it must fit */
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("the rank depends on the weights, and %s holds factors whose rank is a multiple of "
                          "%d only; have "
                          "the rank rounded to that multiple, or take int or f16."),
                       info->id, info->block);
          return false;
        }
      out->a = out->b = storage;
    }
  return true;
}

/* One matrix on its way from one storage to the other. */
typedef struct
{
  SwageStorage to;
  int64_t cols, groups;
  size_t row_bytes;
  uint8_t *codes, *zeros;
  uint16_t *scales;
} Rounding;

static void
round_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  const Rounding *r = user_data;

  for (int64_t i = row; i < row + n; i++, values += r->cols)
    {
      uint8_t *codes = r->codes + (size_t)i * r->row_bytes;
      if (r->to.type != SWAGE_TYPE_INT)
        swage_type_from_f32 (r->to.type, values, NULL, codes, r->cols);
      else
        swage_int_from_f32 (values, NULL, r->cols, r->to.bits, r->to.group_size, r->to.symmetric, codes,
                            r->scales + i * r->groups, r->zeros != NULL ? r->zeros + i * r->groups : NULL);
    }
}

/* The largest magnitude that `type` can express: beyond it, weights would become infinite. Block types and
 * int keep their scales as half floats. */
static float
get_limit (SwageType type)
{
  switch (type)
    {
    case SWAGE_TYPE_F32:
      return G_MAXFLOAT;
    case SWAGE_TYPE_BF16:
      return 0x1.fep127f;
    default:
      return 65504.0f;
    }
}

static SwageWeight *
round_weight (const SwageStorage *to, const SwageWeight *w, int pass, int n_passes,
              const SwageMethodContext *context, SwageJob *job, GError **error)
{
  /* Already so: rounding once more could only move values. Files that are quantized keep their bytes. */
  if (w->type == to->type
      && (to->type != SWAGE_TYPE_INT
          || (w->bits == to->bits && w->group_size == to->group_size && w->symmetric == to->symmetric
              && w->stat_group == 0)))
    return swage_weight_ref ((SwageWeight *)w);

  if (!check_rows (to, w->cols, context->layer, error))
    return NULL;

  SwageDeviceRound there
      = { .backend = context->backend, .to = *to, .pass = pass, .n_passes = n_passes, .job = job };
  SwageWeight *rounded = NULL;
  if (!swage_device_round (&there, w, &rounded, error) || rounded != NULL)
    return rounded;

  g_autofree char *reason
      = g_strdup_printf (_ ("%s ends at %g; bf16 and f32 go further"), swage_type_get_info (to->type)->title,
                         (double)get_limit (to->type));
  SwageRowWalk walk = { .weight = w,
                        .layer = context->layer,
                        .limit = get_limit (to->type),
                        .limit_reason = reason,
                        .pass = pass,
                        .n_passes = n_passes,
                        .job = job };
  Rounding r = { .to = *to, .cols = w->cols };
  size_t rows = (size_t)w->rows, n_groups = 0;

  if (to->type == SWAGE_TYPE_INT)
    {
      r.row_bytes = swage_int_row_bytes (w->cols, to->bits);
      r.groups = swage_int_groups (w->cols, to->group_size);
      n_groups = rows * (size_t)r.groups;
      r.scales = g_new (uint16_t, n_groups);
      r.zeros = to->symmetric ? NULL : g_malloc (n_groups);
    }
  else
    r.row_bytes = swage_type_row_bytes (to->type, w->cols);
  r.codes = g_malloc_n (rows, r.row_bytes);

  if (!swage_rows_walk (&walk, round_rows, &r, error))
    {
      g_free (r.codes);
      g_free (r.scales);
      g_free (r.zeros);
      return NULL;
    }

  GBytes *codes = g_bytes_new_take (r.codes, rows * r.row_bytes);
  if (to->type != SWAGE_TYPE_INT)
    return swage_weight_new (to->type, w->rows, w->cols, codes);
  return swage_weight_new_int (w->rows, w->cols, to->bits, to->group_size, to->symmetric, codes,
                               g_bytes_new_take (r.scales, n_groups * sizeof (uint16_t)),
                               r.zeros != NULL ? g_bytes_new_take (r.zeros, n_groups) : NULL);
}

/* The step: a copy of the layer that shares all parts, of which this method replaces its own. */
static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  SwageStorage storage = get_storage (data);
  int n_passes = (in->weight != NULL) + 2 * (in->a != NULL), pass = 0;
  g_autoptr (SwageLinear) out = swage_linear_dup (in);

  if (in->weight != NULL)
    {
      SwageWeight *weight = round_weight (&storage, in->weight, pass++, n_passes, context, job, error);
      if (weight == NULL)
        return NULL;
      swage_linear_set_weight (out, weight);
    }
  if (in->a != NULL)
    {
      g_autoptr (SwageWeight) a = round_weight (&storage, in->a, pass, n_passes, context, job, error);
      if (a == NULL)
        return NULL;
      SwageWeight *b = round_weight (&storage, in->b, pass + 1, n_passes, context, job, error);
      if (b == NULL)
        return NULL;
      swage_linear_set_low_rank (out, g_steal_pointer (&a), b);
    }
  return g_steal_pointer (&out);
}

const SwageMethod swage_method_rtn = {
  .id = "rtn",
  .version = 1,
  .family = SWAGE_FAMILY_QUANTIZATION,
  .title = N_ ("Round to nearest"),
  .summary
  = N_ ("Stores every weight as the nearest value that the type can express, with the scale of each block "
        "searched for "
        "the smallest squared error. Fast, needs no text, and close to the best at 5 bits and more."),
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE
             | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_DENSE | SWAGE_PART_PACKED,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (RtnParams),
  .cost = cost,
  .apply = apply,
};
