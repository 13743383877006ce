/* SPDX-License-Identifier: MIT
 *
 * In slices of rows, so that a job can be cancelled and no single piece of work keeps a slow device busy for
 * long. Slices begin at multiples of 64 rows, hence of 64 bytes of the result, whatever the type.
 */
#include "core/method/swage-device-round.h"

#include <string.h>
#include "kernels/swage-op-args.h"
#include "kernels/swage-quantize.h"

#define SLICE_VALUES (1 << 20)
#define SLICE_ROWS 64
/* Of the device's memory, what the weight before and after may take: the engine's own working space needs
 * room too. */
#define MEMORY_SHARE 8
/* Scales are half floats: beyond their range weights would become infinite. */
#define LIMIT 65504.0f

/* What the operator writes: a block type's rows, or those that kernels/swage-quantize.h lays out. */
typedef struct
{
  const SwageDeviceRound *round;
  const SwageWeight *w;
  int64_t row_bytes, stride;
  SwageArray from, to, importance;
} Work;

static bool
is_for_device (Work *work)
{
  const SwageDeviceRound *round = work->round;
  const SwageWeight *w = work->w;
  const SwageStorage *to = &round->to;
  size_t value = w->type == SWAGE_TYPE_F32 ? sizeof (float) : sizeof (uint16_t);

  if (round->backend == NULL || swage_backend_is_host (round->backend)
      || (w->type != SWAGE_TYPE_F32 && w->type != SWAGE_TYPE_F16 && w->type != SWAGE_TYPE_BF16)
      || (uintptr_t)g_bytes_get_data (w->data, NULL) % value != 0)
    return false;
  if (to->type == SWAGE_TYPE_INT)
    work->row_bytes = swage_quantize_row_bytes (w->cols, to->bits, to->group_size, to->symmetric);
  else if (to->type >= SWAGE_TYPE_Q4_0 && to->type <= SWAGE_TYPE_IQ4_XS)
    work->row_bytes = (int64_t)swage_type_row_bytes (to->type, w->cols);
  else
    return false;
  /* whole scales at even places: rows of int are padded */
  work->stride = to->type == SWAGE_TYPE_INT ? (work->row_bytes + 1) / 2 * 2 : work->row_bytes;
  uint64_t limit = swage_backend_get_memory_limit (round->backend);
  return work->row_bytes > 0
         && (limit == 0
             || g_bytes_get_size (w->data) + (uint64_t)(w->rows * work->stride) <= limit / MEMORY_SHARE);
}

/* Rows [row, row + n) of an array. */
static SwageArray
slice (SwageArray a, int64_t row, int64_t n)
{
  a.offset += (size_t)(row * a.view.nb[1]);
  a.view.ne[1] = n;
  return a;
}

static bool
open_arrays (Work *work, GError **error)
{
  const SwageDeviceRound *round = work->round;
  const SwageWeight *w = work->w;
  size_t importance_bytes = (size_t)w->cols * sizeof (float);

  work->from = (SwageArray){ .buffer = swage_backend_import (round->backend, w->data, error),
                             .view = swage_view (w->type, NULL, w->cols, w->rows, 1, 1) };
  if (work->from.buffer == NULL)
    return false;
  bool ints = round->to.type == SWAGE_TYPE_INT;
  work->to.buffer = swage_backend_alloc (round->backend, (size_t)(w->rows * work->stride), error);
  if (work->to.buffer == NULL)
    return false;
  work->to.view = swage_view (ints ? SWAGE_TYPE_U8 : round->to.type, NULL, ints ? work->row_bytes : w->cols,
                              w->rows, 1, 1);
  work->to.view.nb[1] = work->stride;
  work->to.view.nb[2] = work->to.view.nb[3] = w->rows * work->stride;
  if (round->importance == NULL)
    return true;
  work->importance = (SwageArray){ .buffer = swage_backend_alloc (round->backend, importance_bytes, error),
                                   .view = swage_view (SWAGE_TYPE_F32, NULL, w->cols, 1, 1, 1) };
  return work->importance.buffer != NULL
         && swage_buffer_upload (work->importance.buffer, 0, round->importance, importance_bytes, error);
}

/* Whether no weight is NaN, infinite or beyond the scales' range. The CPU's walk says which one it is. */
static bool
check_values (Work *work, bool *good, GError **error)
{
  enum
  {
    BINS = 1
  };
  SwageBackend *backend = work->round->backend;
  SwageHistogramArgs args = { .lo = -LIMIT, .hi = LIMIT, .bins = BINS };
  int64_t count[BINS + 3] = { 0 };
  SwageBuffer *buffer = swage_backend_alloc (backend, sizeof count, error);

  if (buffer == NULL)
    return false;
  SwageDispatch d = { .dst = { buffer, 0, swage_view (SWAGE_TYPE_I64, NULL, BINS + 3, 1, 1, 1) },
                      .src = { work->from },
                      .args = &args,
                      .args_bytes = sizeof args };
  bool ok = swage_backend_run (backend, swage_op_find ("histogram"), &d, error)
            && swage_buffer_download (buffer, 0, count, sizeof count, error);
  swage_buffer_unref (buffer);
  *good = count[BINS] == 0 && count[BINS + 1] == 0 && count[BINS + 2] == 0;
  return ok;
}

static bool
run (Work *work, GError **error)
{
  const SwageDeviceRound *round = work->round;
  int64_t rows = work->w->rows, step = SLICE_VALUES / work->w->cols / SLICE_ROWS * SLICE_ROWS;
  bool ints = round->to.type == SWAGE_TYPE_INT;
  SwageQuantizeIntArgs args = { .bits = (uint32_t)round->to.bits,
                                .group = (uint32_t)round->to.group_size,
                                .symmetric = round->to.symmetric };
  const SwageOp *op = swage_op_find (ints ? "quantize_int" : "quantize");

  step = MAX (step, SLICE_ROWS);
  for (int64_t row = 0; row < rows; row += step)
    {
      int64_t n = MIN (step, rows - row);
      SwageDispatch d
          = { .dst = slice (work->to, row, n), .src = { slice (work->from, row, n), work->importance } };
      if (ints)
        {
          d.args = &args;
          d.args_bytes = sizeof args;
        }
      if (!swage_backend_run (round->backend, op, &d, error) || !swage_backend_sync (round->backend, error)
          || !swage_job_step (round->job, (double)(rows * round->pass + row + n),
                              (double)rows * MAX (1, round->n_passes), error))
        return false;
    }
  return true;
}

/* Rows as the operator lays them out, taken apart. */
static SwageWeight *
split_ints (const Work *work, const uint8_t *rows)
{
  const SwageStorage *to = &work->round->to;
  int64_t n = work->w->rows, cols = work->w->cols;
  size_t code_bytes = swage_int_row_bytes (cols, to->bits),
         groups = (size_t)swage_int_groups (cols, to->group_size);
  size_t scales_at = (size_t)swage_quantize_scales_at (cols, to->bits),
         zeros_at = (size_t)swage_quantize_zeros_at (cols, to->bits, to->group_size);
  uint8_t *codes = g_malloc_n ((gsize)n, code_bytes),
          *zeros = to->symmetric ? NULL : g_malloc_n ((gsize)n, groups);
  uint16_t *scales = g_new (uint16_t, (gsize)n * groups);

  for (size_t r = 0; r < (size_t)n; r++, rows += work->stride)
    {
      memcpy (codes + r * code_bytes, rows, code_bytes);
      memcpy (scales + r * groups, rows + scales_at, groups * sizeof (uint16_t));
      if (zeros != NULL)
        memcpy (zeros + r * groups, rows + zeros_at, groups);
    }
  return swage_weight_new_int (n, cols, to->bits, to->group_size, to->symmetric,
                               g_bytes_new_take (codes, (gsize)n * code_bytes),
                               g_bytes_new_take (scales, (gsize)n * groups * sizeof (uint16_t)),
                               zeros != NULL ? g_bytes_new_take (zeros, (gsize)n * groups) : NULL);
}

static SwageWeight *
fetch (Work *work, GError **error)
{
  const SwageWeight *w = work->w;
  size_t bytes = (size_t)(w->rows * work->stride);
  g_autofree uint8_t *rows = g_malloc (bytes);

  if (!swage_buffer_download (work->to.buffer, 0, rows, bytes, error))
    return NULL;
  if (work->round->to.type == SWAGE_TYPE_INT)
    return split_ints (work, rows);
  GBytes *data = g_bytes_new_take (g_steal_pointer (&rows), bytes);
  swage_buffer_adopt (work->to.buffer, data);
  return swage_weight_new (work->round->to.type, w->rows, w->cols, data);
}

bool
swage_device_round (const SwageDeviceRound *round, const SwageWeight *w, SwageWeight **out, GError **error)
{
  Work work = { .round = round, .w = w };
  g_autoptr (GError) cause = NULL;
  bool good = false;

  *out = NULL;
  if (!is_for_device (&work))
    return true;
  if (open_arrays (&work, &cause) && check_values (&work, &good, &cause) && good && run (&work, &cause))
    *out = fetch (&work, &cause);
  swage_buffer_unref (work.from.buffer);
  swage_buffer_unref (work.to.buffer);
  swage_buffer_unref (work.importance.buffer);
  if (!g_error_matches (cause, SWAGE_ERROR, SWAGE_ERROR_CANCELLED))
    return true;
  g_propagate_error (error, g_steal_pointer (&cause));
  return false;
}
