/* SPDX-License-Identifier: MIT
 *
 * Singular values against NumPy's, and what is told about them.
 */
#include "core/method/swage-spectrum.h"

#include "core/base/swage-error.h"
#include "core/base/swage-json.h"

#include <math.h>

static SwageWeight *
make_matrix (int64_t rows, int64_t cols, uint32_t seed)
{
  float *values = g_new (float, (gsize)(rows * cols));
  uint32_t state = seed;
  for (int64_t i = 0; i < rows * cols; i++)
    {
      state = state * 1664525u + 1013904223u;
      values[i] = ((float)(state >> 8) / 16777216.0f - 0.5f) * ldexpf (1, -(int)(i % cols % 8));
    }
  return swage_weight_new (SWAGE_TYPE_F32, rows, cols,
                           g_bytes_new_take (values, (gsize)(rows * cols) * sizeof (float)));
}

static void
test_golden (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "golden", "spectrum.json", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (json_t) json = swage_json_load (path, 1 << 20, &error);
  g_assert_no_error (error);
  json_t *one, *cases = json_object_get (json, "cases");
  size_t i;
  g_assert_cmpuint (json_array_size (cases), >=, 6);
  json_array_foreach (cases, i, one)
  {
    int64_t rows = json_integer_value (json_object_get (one, "rows"));
    int64_t cols = json_integer_value (json_object_get (one, "cols"));
    json_t *sigma = json_object_get (one, "sigma");
    g_autoptr (SwageWeight) weight
        = make_matrix (rows, cols, (uint32_t)json_integer_value (json_object_get (one, "seed")));
    g_autoptr (SwageSpectrum) spectrum = swage_spectrum_new (weight, "w", NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpint (spectrum->n, ==, MIN (rows, cols));
    g_assert_cmpint ((int64_t)json_array_size (sigma), ==, spectrum->n);
    double energy = 0;
    for (int64_t k = 0; k < spectrum->n; k++)
      {
        double expected = json_real_value (json_array_get (sigma, (size_t)k));
        energy += expected * expected;
        g_assert_cmpfloat (fabs (spectrum->sigma[k] - expected), <=, spectrum->accuracy);
      }
    g_assert_cmpfloat_with_epsilon (spectrum->energy, energy, 1e-9 * energy);
    g_assert_cmpfloat (spectrum->accuracy, <, 1e-6 * spectrum->sigma[0]);
  }
}

static void
test_ranks (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageWeight) weight = make_matrix (40, 17, 5);
  g_autoptr (SwageSpectrum) spectrum = swage_spectrum_new (weight, "w", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (swage_spectrum_get_energy (spectrum, 0), ==, 0);
  g_assert_cmpfloat (swage_spectrum_get_energy (spectrum, 17), ==, 1);
  g_assert_cmpint (swage_spectrum_find_rank (spectrum, 0), ==, 0);
  for (int64_t rank = 1; rank < 17; rank++)
    {
      double share = swage_spectrum_get_energy (spectrum, rank);
      g_assert_cmpint (swage_spectrum_find_rank (spectrum, share * (1 - 1e-12)), ==, rank);
    }
  /* r·(m + n) < m·n, and r + 1 is no longer so */
  for (int64_t rows = 1; rows < 60; rows += 7)
    for (int64_t cols = 1; cols < 60; cols += 5)
      {
        int64_t r = swage_spectrum_get_break_even (rows, cols);
        g_assert_true (r * (rows + cols) < rows * cols && (r + 1) * (rows + cols) >= rows * cols);
      }
}

static void
test_bad (void)
{
  g_autoptr (GError) error = NULL;
  float *values = g_new0 (float, 6);
  values[4] = NAN;
  g_autoptr (SwageWeight) weight = swage_weight_new (SWAGE_TYPE_F32, 2, 3, g_bytes_new_take (values, 24));
  g_assert_null (swage_spectrum_new (weight, "w", NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC);
  g_clear_error (&error);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_cancellable_cancel (cancellable);
  g_autoptr (SwageJob) job = swage_job_new (cancellable, NULL, NULL);
  g_autoptr (SwageWeight) good = make_matrix (8, 8, 1);
  g_assert_null (swage_spectrum_new (good, "w", job, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spectrum/golden", test_golden);
  g_test_add_func ("/spectrum/ranks", test_ranks);
  g_test_add_func ("/spectrum/bad", test_bad);
  return g_test_run ();
}
