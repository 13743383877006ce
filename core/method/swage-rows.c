/* SPDX-License-Identifier: MIT
 *
 * The pool hands slices out in rising order, so every slice before one that failed has been started. A
 * started slice is always looked through: thus the place that is reported is the first one, whatever the
 * number of threads.
 */
#include "core/method/swage-rows.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"

/* Values decoded at once: 128 KiB of floats stay in the second-level cache, and the slowest quantizer (some 5
 * MB/s) still comes back within the 50 ms that cancelling may take. */
#define SLICE_VALUES 32768

typedef struct
{
  const SwageRowWalk *walk;
  SwageRowFunc func;
  void *user_data;
  float **buffers; /* one per worker */
  int64_t slice_rows;
  uint32_t limit; /* bits of the largest magnitude allowed */
  atomic_int_fast64_t done;
  atomic_bool stopped;
  GMutex lock;
  int64_t bad; /* flat index of the first number that cannot be, or −1 */
  float bad_value;
} Walk;

/* Bits of a float without its sign order like its magnitude, and those of NaN and infinity come after all
 * others. */
static uint32_t
magnitude_bits (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  return bits & 0x7fffffffu;
}

static uint32_t
largest_magnitude (const float *x, int64_t n)
{
  uint32_t m[4] = { 0 };
  int64_t i = 0;

  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++)
      {
        uint32_t bits = magnitude_bits (x[i + k]);
        m[k] = bits > m[k] ? bits : m[k];
      }
  for (; i < n; i++)
    m[0] = MAX (m[0], magnitude_bits (x[i]));
  return MAX (MAX (m[0], m[1]), MAX (m[2], m[3]));
}

static void
note_bad (Walk *w, int64_t first, const float *values, int64_t n)
{
  int64_t i = 0;
  while (i < n && magnitude_bits (values[i]) <= w->limit)
    i++;

  g_mutex_lock (&w->lock);
  if (w->bad < 0 || first + i < w->bad)
    {
      w->bad = first + i;
      w->bad_value = values[i];
    }
  g_mutex_unlock (&w->lock);
  atomic_store (&w->stopped, true);
}

static void
walk_slice (int64_t begin, int64_t end, int worker, void *user_data)
{
  Walk *w = user_data;
  const SwageRowWalk *walk = w->walk;
  int64_t cols = walk->weight->cols, n = (end - begin) * cols;

  if (atomic_load (&w->stopped))
    return;
  if (swage_job_is_cancelled (walk->job))
    {
      atomic_store (&w->stopped, true);
      return;
    }
  if (w->buffers[worker] == NULL)
    w->buffers[worker] = g_new (float, (gsize)(w->slice_rows * cols));
  float *values = w->buffers[worker];
  swage_weight_decode (walk->weight, begin, end, values);
  if (largest_magnitude (values, n) > w->limit)
    {
      note_bad (w, begin * cols, values, n);
      return;
    }
  w->func (begin, end - begin, values, worker, w->user_data);

  int64_t done = atomic_fetch_add (&w->done, end - begin) + (end - begin);
  double rows = (double)walk->weight->rows;
  swage_job_step (walk->job, (double)done + walk->pass * rows, rows * MAX (1, walk->n_passes), NULL);
}

bool
swage_rows_walk (const SwageRowWalk *walk, SwageRowFunc func, void *user_data, GError **error)
{
  int64_t rows = walk->weight->rows, cols = walk->weight->cols;
  int n_workers = swage_pool_get_threads ();
  Walk w = { .walk = walk, .func = func, .user_data = user_data, .bad = -1 };

  w.slice_rows = CLAMP (SLICE_VALUES / cols, 1, rows);
  w.limit = magnitude_bits (walk->limit > 0 ? walk->limit : G_MAXFLOAT);
  w.buffers = g_new0 (float *, (gsize)n_workers);
  g_mutex_init (&w.lock);
  swage_pool_run (rows, w.slice_rows, walk_slice, &w);
  g_mutex_clear (&w.lock);
  for (int i = 0; i < n_workers; i++)
    g_free (w.buffers[i]);
  g_free (w.buffers);

  if (w.bad >= 0 && !isfinite (w.bad_value))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                   _ ("%s: the weight in row %" PRId64 ", column %" PRId64
                      " is not a number or infinite; the checkpoint is damaged there."),
                   walk->layer, w.bad / cols, w.bad % cols);
      return false;
    }
  if (w.bad >= 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                   _ ("%s: the weight in row %" PRId64 ", column %" PRId64 " is %g, but %s."), walk->layer,
                   w.bad / cols, w.bad % cols, (double)w.bad_value, walk->limit_reason);
      return false;
    }
  return swage_job_step (walk->job, MAX (0, walk->pass) + 1, MAX (1, walk->n_passes), error);
}
