/* SPDX-License-Identifier: MIT
 *
 * Entries to bytes. A layer is fetched, written and dropped. Where its matrix is stored as it is, the bytes
 * go through untouched (or with their rows in another order); where it has to be multiplied out,
 *
 *   row o  =  Ŵ[o,:] + B[o,:]·A + S[o,:],
 *
 * that happens a few MiB of rows at a time, in double precision before the one rounding, so that memory is
 * bounded by the factors.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/export/swage-export-private.h"
#include "core/model/swage-rope.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define PIECE ((size_t)4 << 20)

static bool
write_bytes (SwageExportRun *run, const uint8_t *data, size_t n, SwageExportWriteFunc write, gpointer writer,
             SwageJob *job, GError **error)
{
  for (size_t at = 0; at < n;)
    {
      size_t piece = MIN (PIECE, n - at);
      if (!write (data + at, piece, writer, error))
        return false;
      at += piece;
      run->done += piece;
      if (!swage_job_step (job, (double)at, (double)n, error))
        return false;
    }
  return true;
}

/* ---- multiplied out ---- */

typedef struct
{
  const SwageLinear *linear;
  const float *a;         /* the low-rank factor A, rank × n_in */
  const float *effective; /* the whole matrix, where a transform has to be folded in */
  SwageType type;
  size_t row_bytes;
  int permuted;
  int64_t first; /* target row of slice 0 */
  uint8_t *out;
} Dense;

/* The row of the layer that stands at `row` of the target. */
static int64_t
source_row (const Dense *dense, int64_t row)
{
  if (dense->permuted == 0)
    return row;
  int64_t dim = dense->linear->n_out / dense->permuted, in_head = row % dim;
  return row - in_head + in_head % 2 * (dim / 2) + in_head / 2;
}

static void
add_sparse (const SwageSparse *sparse, int64_t row, double *sum)
{
  const uint32_t *columns;
  int64_t n, first = swage_sparse_get_row (sparse, row, &n, &columns);
  for (int64_t i = first; i < first + n; i++)
    {
      uint16_t half;
      float value;
      if (sparse->type == SWAGE_TYPE_F16)
        {
          memcpy (&half, (const uint8_t *)sparse->values + 2 * i, 2);
          value = swage_f16_to_f32 (half);
        }
      else
        memcpy (&value, (const uint8_t *)sparse->values + 4 * i, 4);
      sum[columns[i - first]] += (double)value;
    }
}

static void
dense_rows (int64_t begin, int64_t end, int worker, void *user_data)
{
  const Dense *dense = user_data;
  const SwageLinear *linear = dense->linear;
  int64_t n = linear->n_in, rank = swage_linear_get_rank (linear);
  g_autofree float *row = g_new (float, n);
  g_autofree float *b = g_new (float, rank + 1);
  g_autofree double *sum = g_new (double, n);
  for (int64_t i = begin; i < end; i++)
    {
      int64_t o = source_row (dense, dense->first + i);
      if (dense->effective != NULL)
        memcpy (row, dense->effective + o * n, (size_t)n * sizeof *row);
      else if (linear->weight != NULL)
        swage_weight_decode (linear->weight, o, o + 1, row);
      else
        memset (row, 0, (size_t)n * sizeof *row);
      if (dense->effective == NULL && (linear->a != NULL || linear->sparse != NULL))
        {
          for (int64_t c = 0; c < n; c++)
            sum[c] = (double)row[c];
          if (linear->a != NULL)
            swage_weight_decode (linear->b, o, o + 1, b);
          for (int64_t r = 0; r < rank; r++)
            for (int64_t c = 0; c < n; c++)
              sum[c] += (double)b[r] * (double)dense->a[r * n + c];
          if (linear->sparse != NULL)
            add_sparse (linear->sparse, o, sum);
          for (int64_t c = 0; c < n; c++)
            row[c] = (float)sum[c];
        }
      swage_type_from_f32 (dense->type, row, NULL, dense->out + (size_t)i * dense->row_bytes, n);
    }
}

static void
transpose (const uint8_t *src, uint8_t *dst, int64_t rows, int64_t cols, size_t size)
{
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++)
      memcpy (dst + (size_t)(c * rows + r) * size, src + (size_t)(r * cols + c) * size, size);
}

static bool
write_transposed (SwageExportRun *run, const uint8_t *data, const SwageLinear *linear, SwageType type,
                  SwageExportWriteFunc write, gpointer writer, SwageJob *job, GError **error)
{
  size_t size = (size_t)swage_type_get_info (type)->bytes, n = (size_t)(linear->n_out * linear->n_in) * size;
  g_autofree uint8_t *turned = g_malloc (n);
  transpose (data, turned, linear->n_out, linear->n_in, size);
  return write_bytes (run, turned, n, write, writer, job, error);
}

static bool
write_dense (SwageExportRun *run, const SwageExportEntry *entry, const SwageLinear *linear,
             SwageExportWriteFunc write, gpointer writer, SwageJob *job, GError **error)
{
  Dense dense = { .linear = linear, .type = entry->type, .permuted = entry->permuted };
  g_autofree float *a = NULL;
  g_autofree float *effective = NULL;
  if (linear->transform != NULL && linear->transform->shift != NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("Layer “%s” shifts its input, which cannot be folded into its matrix."), linear->name);
      return false;
    }
  if (linear->transform != NULL)
    {
      /* what neighbours have taken up is in their tensors */
      g_autoptr (SwageLinear) bare = swage_linear_dup (linear);
      swage_linear_clear_absorbed (bare);
      dense.effective = effective = swage_linear_get_effective (bare);
    }
  else if (linear->a != NULL)
    dense.a = a = swage_weight_decode_all (linear->a);

  dense.row_bytes = swage_type_row_bytes (entry->type, linear->n_in);
  int64_t chunk = entry->transposed ? linear->n_out : MAX (1, (int64_t)(PIECE / dense.row_bytes));
  chunk = MIN (chunk, linear->n_out);
  g_autofree uint8_t *out = g_malloc ((size_t)chunk * dense.row_bytes);
  dense.out = out;
  for (dense.first = 0; dense.first < linear->n_out; dense.first += chunk)
    {
      int64_t rows = MIN (chunk, linear->n_out - dense.first);
      swage_pool_run (rows, 8, dense_rows, &dense);
      bool ok = entry->transposed
                    ? write_transposed (run, out, linear, entry->type, write, writer, job, error)
                    : write (out, (size_t)rows * dense.row_bytes, writer, error)
                          && swage_job_step (job, (double)(dense.first + rows), (double)linear->n_out, error);
      if (!ok)
        return false;
      if (!entry->transposed)
        run->done += (uint64_t)rows * dense.row_bytes;
    }
  return true;
}

/* ---- as it is ---- */

static bool
write_packed (SwageExportRun *run, const SwageExportEntry *entry, const SwageLinear *linear,
              SwageExportWriteFunc write, gpointer writer, SwageJob *job, GError **error)
{
  const SwageWeight *weight = linear->weight;
  size_t n = (size_t)weight->rows * weight->row_bytes;
  const uint8_t *data = g_bytes_get_data (weight->data, NULL);
  if (entry->transposed)
    return write_transposed (run, data, linear, entry->type, write, writer, job, error);
  if (entry->permuted == 0)
    return write_bytes (run, data, n, write, writer, job, error);
  g_autofree uint8_t *permuted = g_malloc (n);
  swage_arch_permute_rows (data, permuted, weight->rows, weight->row_bytes, entry->permuted, true);
  return write_bytes (run, permuted, n, write, writer, job, error);
}

static bool
write_floats (SwageExportRun *run, const SwageExportEntry *entry, const float *values, int64_t n,
              SwageExportWriteFunc write, gpointer writer, SwageJob *job, GError **error)
{
  size_t size = (size_t)swage_type_get_info (entry->type)->bytes;
  g_autofree uint8_t *bytes = g_malloc ((size_t)n * size);
  g_autofree float *back = g_new (float, n);
  swage_type_from_f32 (entry->type, values, NULL, bytes, n);
  swage_type_to_f32 (entry->type, bytes, back, n);
  if (run->options.dense_type == SWAGE_TYPE_NONE && memcmp (back, values, (size_t)n * sizeof *back) != 0)
    for (int64_t i = 0; i < n; i++)
      if (back[i] != values[i] && values[i] == values[i])
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                       _ ("The values of “%s” do not fit type %s exactly; choose the type f32."), entry->name,
                       swage_type_get_info (entry->type)->title);
          return false;
        }
  if (entry->permuted > 0)
    {
      g_autofree uint8_t *permuted = g_malloc ((size_t)n * size);
      swage_arch_permute_rows (bytes, permuted, n, size, entry->permuted, true);
      return write_bytes (run, permuted, (size_t)n * size, write, writer, job, error);
    }
  return write_bytes (run, bytes, (size_t)n * size, write, writer, job, error);
}

/* ---- all of them ---- */

/* The layer, checked against what the header already says about it. */
static SwageLinear *
fetch_layer (SwageExportRun *run, const SwageExportEntry *entry, SwageJob *job, GError **error)
{
  const SwageExportSource *source = run->source;
  const char *name = entry->tensor->name;
  SwageLinear *linear = source != NULL && source->layer != NULL
                            ? source->layer (name, job, source->user_data, error)
                            : swage_model_load_linear (run->model, name, error);
  if (linear == NULL)
    return NULL;

  const SwageLinearSpec *spec = swage_export_run_get_spec (run, entry->tensor);
  bool plain
      = linear->weight != NULL && linear->a == NULL && linear->sparse == NULL && linear->transform == NULL;
  if (linear->n_out != spec->n_out || linear->n_in != spec->n_in || linear->act_quant != NULL
      || linear->out_quant != NULL || (linear->bias != NULL) != ((spec->parts & SWAGE_PART_BIAS) != 0)
      || (!entry->dense && (!plain || linear->weight->type != entry->type)))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                   _ ("Layer “%s” came out other than the plan foresaw."), name);
      swage_linear_unref (linear);
      return NULL;
    }
  return linear;
}

static bool
write_tensor (SwageExportRun *run, const SwageExportEntry *entry, const SwageLinear *linear,
              SwageExportWriteFunc write, gpointer writer, SwageJob *job, GError **error)
{
  int64_t n = 0;
  g_autofree float *values = NULL;
  switch (entry->kind)
    {
    case SWAGE_ENTRY_LAYER:
      return entry->dense ? write_dense (run, entry, linear, write, writer, job, error)
                          : write_packed (run, entry, linear, write, writer, job, error);
    case SWAGE_ENTRY_BIAS:
      return write_floats (run, entry, linear->bias, linear->n_out, write, writer, job, error);
    case SWAGE_ENTRY_FLOATS:
      values = swage_model_load_floats (run->model, entry->tensor, &n, error);
      if (values != NULL && run->source != NULL && run->source->floats != NULL)
        {
          /* a norm that takes up what its layers fold into it: they are made now, and remembered */
          double from = run->total > 0 ? (double)run->done / (double)run->total : 0;
          g_autofree char *stage = g_strdup_printf (_ ("Preparing %s"), entry->tensor->name);
          swage_job_push (job, from, stage);
          bool good = run->source->floats (entry->tensor, values, job, run->source->user_data, error);
          swage_job_pop (job);
          if (!good)
            return false;
        }
      return values != NULL && write_floats (run, entry, values, n, write, writer, job, error);
    case SWAGE_ENTRY_FACTORS:
      {
        int n_own;
        const float *own = swage_model_get_rope_factors (run->model, &n_own);
        values = own != NULL ? g_memdup2 (own, (gsize)n_own * sizeof *own)
                             : swage_config_get_rope_factors (swage_model_get_config (run->model));
        return write_floats (run, entry, values, entry->shape[0], write, writer, job, error);
      }
    }
  g_return_val_if_reached (false);
}

bool
swage_export_write_entries (SwageExportRun *run, guint begin, guint end, SwageExportWriteFunc write,
                            gpointer writer, SwageJob *job, GError **error)
{
  SwageLinear *linear = NULL;
  int block = -1;
  bool ok = true;
  for (guint i = begin; ok && i < end; i++)
    {
      const SwageExportEntry *entry = &g_array_index (run->entries, SwageExportEntry, i);
      int here = entry->tensor != NULL ? entry->tensor->block : -1;
      if (here != block && block >= 0)
        swage_model_release_block (run->model, block);
      block = here;
      if (entry->kind == SWAGE_ENTRY_LAYER)
        {
          uint64_t bytes = (uint64_t)entry->shape[0] * swage_type_row_bytes (entry->type, entry->shape[1]);
          double upto = run->total > 0 ? (double)(run->done + bytes) / (double)run->total : 1;
          double from = run->total > 0 ? (double)run->done / (double)run->total : 0;
          swage_linear_unref (linear);
          /* computing takes the time, writing little of it */
          g_autofree char *stage = g_strdup_printf (_ ("Preparing %s"), entry->tensor->name);
          swage_job_push (job, from + 0.9 * (upto - from), stage);
          linear = fetch_layer (run, entry, job, error);
          swage_job_pop (job);
          g_autofree char *stage_write = g_strdup_printf (_ ("Writing %s"), entry->tensor->name);
          swage_job_begin (job, upto, stage_write);
          ok = linear != NULL;
        }
      ok = ok && swage_job_step (job, 0, 1, error)
           && write_tensor (run, entry, linear, write, writer, job, error);
    }
  swage_linear_unref (linear);
  if (block >= 0)
    swage_model_release_block (run->model, block);
  return ok;
}
