/* SPDX-License-Identifier: MIT
 *
 * With M the one of W and Wᵀ that has fewer rows (n), the eigenvalues of G = M·Mᵀ are the σ² of W. G is
 * summed in double from float weights; its own rounding and that of the eigenvalues are some ε·σ_1² with ε =
 * 2⁻⁵³·n at most (Weyl's inequality: no eigenvalue moves farther than the norm of the perturbation), so a σ_i
 * moves by ε·σ_1²/σ_i, and those near zero by √ε·σ_1: about 10⁻⁶ of the largest for n = 8192. A decomposition
 * of W in float would not know them better, and costs far more where W is far from square.
 */
#include "core/method/swage-spectrum.h"

#include <float.h>
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include "core/base/swage-error.h"
#include "core/method/swage-dense.h"

SwageSpectrum *
swage_spectrum_new (const SwageWeight *weight, const char *layer, SwageJob *job, GError **error)
{
  int64_t n = MIN (weight->rows, weight->cols), depth = MAX (weight->rows, weight->cols);
  if (n > SWAGE_SPECTRUM_MAX)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("%s has %" PRId64 " singular values; up to %d are computed here."), layer, n,
                   SWAGE_SPECTRUM_MAX);
      return NULL;
    }
  if (!swage_job_step (job, 0, 1, error))
    return NULL;
  g_autofree float *values = swage_weight_decode_all (weight);
  for (int64_t i = 0; i < weight->rows * weight->cols; i++)
    if (!isfinite (values[i]))
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NUMERIC,
                     _ ("%s holds numbers that are not finite: it has no singular values."), layer);
        return NULL;
      }
  bool turned = weight->rows > weight->cols;
  SwageDenseView rows
      = { .f = values, .row_step = turned ? 1 : weight->cols, .depth_step = turned ? weight->cols : 1 };
  double *gram = g_malloc_n ((gsize)n, (gsize)n * sizeof (double));
  if (!swage_dense_multiply (&rows, n, &rows, n, depth, true, gram, 0.05, 0.5, job, error))
    {
      g_free (gram);
      return NULL;
    }
  g_autoptr (SwageSpectrum) spectrum = g_new0 (SwageSpectrum, 1);
  spectrum->rows = weight->rows;
  spectrum->cols = weight->cols;
  spectrum->n = n;
  spectrum->sigma = g_new (double, (gsize)MAX (n, 1));
  for (int64_t i = 0; i < n; i++)
    spectrum->energy += gram[i * n + i];
  if (!swage_dense_take_eigenvalues (gram, n, spectrum->sigma, layer, job, error))
    return NULL;
  for (int64_t i = 0; i < n; i++)
    spectrum->sigma[i] = sqrt (fmax (0, spectrum->sigma[i]));
  spectrum->accuracy = n > 0 ? sqrt (DBL_EPSILON / 2 * (double)n) * spectrum->sigma[0] : 0;
  return g_steal_pointer (&spectrum);
}

void
swage_spectrum_free (SwageSpectrum *spectrum)
{
  if (spectrum == NULL)
    return;
  g_free (spectrum->sigma);
  g_free (spectrum);
}

double
swage_spectrum_get_energy (const SwageSpectrum *spectrum, int64_t rank)
{
  double sum = 0;
  if (rank >= spectrum->n || spectrum->energy <= 0)
    return 1;
  for (int64_t i = 0; i < rank; i++)
    sum += spectrum->sigma[i] * spectrum->sigma[i];
  return fmin (1, sum / spectrum->energy);
}

int64_t
swage_spectrum_find_rank (const SwageSpectrum *spectrum, double share)
{
  double sum = 0;
  for (int64_t i = 0; i < spectrum->n; i++)
    {
      if (sum >= share * spectrum->energy)
        return i;
      sum += spectrum->sigma[i] * spectrum->sigma[i];
    }
  return spectrum->n;
}

int64_t
swage_spectrum_get_break_even (int64_t rows, int64_t cols)
{
  int64_t product = rows * cols, sum = rows + cols;
  return product > 0 ? (product - 1) / sum : 0;
}
