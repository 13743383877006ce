/* SPDX-License-Identifier: MIT
 *
 * Speed and error of the number types, one thread:
 *
 *     bench-types [MODEL.safetensors] [TYPE …]
 *
 * over all matrices of a safetensors file, or over a synthetic one of 1024 × 4096 normal weights. Prints for
 * each type encoding speed (in terms of the half-precision weights read), decoding speed (of floats written)
 * and the RMSE. Time is the thread's own, so that a busy machine disturbs less.
 */
#include "tests/ops/types/matrices.h"

#include <math.h>
#include <time.h>

static double
seconds (void)
{
  struct timespec t;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static GPtrArray *
synthetic (void)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (matrix_free);
  Matrix *m = g_new0 (Matrix, 1);
  uint64_t seed = 1;
  *m = (Matrix){ g_strdup ("synthetic"), 1024, 4096, g_new (float, 1024 * 4096) };
  for (int64_t i = 0; i < m->rows * m->cols; i++)
    m->x[i] = (float)(0.02 * noise_normal (&seed));
  g_ptr_array_add (all, m);
  return all;
}

static void
bench_type (SwageType type, GPtrArray *matrices)
{
  double encode = 0, decode = 0, error = 0;
  int64_t n = 0;
  for (guint i = 0; i < matrices->len; i++)
    {
      const Matrix *m = matrices->pdata[i];
      if (swage_type_row_bytes (type, m->cols) == 0)
        continue;
      /* Many rows to a call, as an exporter does: blocks do not know of rows. */
      int64_t all = m->rows * m->cols, step = MAX (1, 65536 / m->cols) * m->cols;
      uint8_t *bytes = g_malloc (swage_type_row_bytes (type, step));
      float *y = g_new (float, step);
      for (int64_t from = 0; from < all; from += step)
        {
          const float *x = m->x + from;
          int64_t count = MIN (step, all - from);
          double begin = seconds ();
          swage_type_from_f32 (type, x, NULL, bytes, count);
          double middle = seconds ();
          swage_type_to_f32 (type, bytes, y, count);
          decode += seconds () - middle;
          encode += middle - begin;
          for (int64_t c = 0; c < count; c++)
            error += ((double)x[c] - (double)y[c]) * ((double)x[c] - (double)y[c]);
        }
      n += m->rows * m->cols;
      g_free (bytes);
      g_free (y);
    }
  if (n > 0)
    g_print ("%-7s  encode %8.1f MB/s  decode %8.1f MB/s  RMSE %.8f\n", swage_type_get_info (type)->id,
             2e-6 * (double)n / encode, 4e-6 * (double)n / decode, sqrt (error / (double)n));
}

int
main (int argc, char **argv)
{
  int first = 1;
  GPtrArray *matrices = NULL;
  if (argc > 1 && g_str_has_suffix (argv[1], ".safetensors"))
    {
      first = 2;
      matrices = matrices_load (argv[1]);
      if (!matrices)
        {
          g_printerr ("bench-types: cannot read %s\n", argv[1]);
          return 1;
        }
    }
  else
    matrices = synthetic ();
  for (SwageType t = SWAGE_TYPE_F32; t <= SWAGE_TYPE_IQ4_XS; t++)
    {
      gboolean wanted = first >= argc;
      for (int a = first; a < argc; a++)
        wanted = wanted || swage_type_from_id (argv[a]) == t;
      if (wanted)
        bench_type (t, matrices);
    }
  g_ptr_array_unref (matrices);
  return 0;
}
