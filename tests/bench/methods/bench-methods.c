/* SPDX-License-Identifier: MIT
 *
 * How far do rounded weights stray, and how fast are they rounded?
 *
 *   bench-methods MODEL [TYPE…]            round every matrix of MODEL to each type (default: all that rtn
 * offers) bench-methods MODEL --against FILE     compare with the weights of another copy of the model, e.g.
 * a GGUF made from it by another program
 *
 * Prints for each type (or file) the root of the mean squared error over all matrices, bytes, bits per
 * weight, seconds, and MB of 16-bit weights per second.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/method/swage-method.h"

typedef struct
{
  double square, seconds;
  uint64_t bytes;
  int64_t values, skipped;
} Total;

static double
sum_square_difference (const float *x, const float *y, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  return sum;
}

static void
add_layer (Total *total, const SwageWeight *before, const SwageWeight *after)
{
  g_autofree float *x = swage_weight_decode_all (before), *y = swage_weight_decode_all (after);
  total->square += sum_square_difference (x, y, before->rows * before->cols);
  total->values += before->rows * before->cols;
  total->bytes += swage_weight_get_bytes (after);
}

static void
print_total (const char *what, const Total *t)
{
  double mb = 2e-6 * (double)t->values;
  printf ("%-24s %12.6e %14" G_GUINT64_FORMAT " %8.4f", what,
          t->values > 0 ? sqrt (t->square / (double)t->values) : 0, t->bytes,
          t->values > 0 ? 8.0 * (double)t->bytes / (double)t->values : 0);
  if (t->seconds > 0)
    printf (" %8.2f %9.1f", t->seconds, mb / t->seconds);
  if (t->skipped > 0)
    printf ("  (%" G_GINT64_FORMAT " matrices do not fit)", t->skipped);
  printf ("\n");
  fflush (stdout);
}

static bool
round_model (SwageModel *model, const char *type, GError **error)
{
  const SwageMethod *method = swage_method_find ("rtn");
  const SwageParam *param = swage_method_find_param (method, "type");
  g_autofree void *params = g_malloc0 (method->params_size);
  Total total = { 0 };

  swage_params_init (method, params);
  if (!swage_param_set_text (method, params, param, type, error))
    return false;
  for (int i = 0; i < swage_model_get_n_layers (model); i++)
    {
      const SwageTensor *tensor = swage_model_get_layer (model, i);
      SwageMethodContext context = { .layer = tensor->name, .role = tensor->role, .block = tensor->block };
      SwageLinearSpec in, out;
      g_autoptr (SwageLinear) linear = swage_model_load_linear (model, tensor->name, error);
      if (linear == NULL)
        return false;
      swage_linear_spec_init_from (&in, linear);
      if (!swage_method_cost (method, params, tensor->name, &in, &out, NULL))
        {
          total.skipped++;
          continue;
        }
      gint64 start = g_get_monotonic_time ();
      g_autoptr (SwageLinear) rounded = method->apply (params, linear, &context, NULL, error);
      if (rounded == NULL)
        return false;
      total.seconds += (double)(g_get_monotonic_time () - start) / G_USEC_PER_SEC;
      add_layer (&total, linear->weight, rounded->weight);
    }
  print_total (type, &total);
  return true;
}

static bool
compare_models (SwageModel *model, const char *path, GError **error)
{
  g_autoptr (SwageModel) other = swage_model_open (path, error);
  Total total = { 0 };

  if (other == NULL)
    return false;
  for (int i = 0; i < swage_model_get_n_layers (model); i++)
    {
      const SwageTensor *tensor = swage_model_get_layer (model, i),
                        *match = swage_model_find_tensor (other, tensor->name);
      if (match == NULL)
        {
          total.skipped++;
          continue;
        }
      g_autoptr (SwageWeight) a = swage_model_load_weight (model, tensor, error);
      g_autoptr (SwageWeight) b = a != NULL ? swage_model_load_weight (other, match, error) : NULL;
      if (b == NULL)
        return false;
      if (a->rows != b->rows || a->cols != b->cols)
        total.skipped++;
      else
        add_layer (&total, a, b);
    }
  g_autofree char *name = g_path_get_basename (path);
  print_total (name, &total);
  return true;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  if (argc < 2 || (argc >= 3 && g_str_equal (argv[2], "--against") && argc < 4))
    {
      fprintf (stderr, "usage: %s MODEL [TYPE…] | MODEL --against FILE…\n", argv[0]);
      return 2;
    }
  g_autoptr (SwageModel) model = swage_model_open (argv[1], &error);
  bool ok = model != NULL;
  if (ok)
    printf ("%-24s %12s %14s %8s %8s %9s   %d threads\n", "type", "RMSE", "bytes", "bpw", "s", "MB/s",
            swage_pool_get_threads ());
  if (ok && argc >= 4 && g_str_equal (argv[2], "--against"))
    for (int i = 3; i < argc && ok; i++)
      ok = compare_models (model, argv[i], &error);
  else if (ok && argc >= 3)
    for (int i = 2; i < argc && ok; i++)
      ok = round_model (model, argv[i], &error);
  else if (ok)
    {
      const SwageParam *param = swage_method_find_param (swage_method_find ("rtn"), "type");
      for (int i = 0; param->choices[i] != NULL && ok; i++)
        ok = round_model (model, param->choices[i], &error);
    }
  if (!ok)
    fprintf (stderr, "%s\n", error->message);
  return ok ? 0 : 1;
}
