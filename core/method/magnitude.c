/* SPDX-License-Identifier: MIT
 *
 * Magnitude pruning: the smallest weights become zero (Han et al. 2015). The score of a weight is
 *
 *   S_ij = |W_ij|
 *
 * and what is compared with what is the layer, a row, or every M neighbours of a row (N:M). Zeros stay where
 * they are stored: the matrix keeps its float type and size. It is the base line that every pruning paper
 * starts from.
 *
 * Over a whole layer the k-th smallest of up to a hundred million magnitudes is needed. Magnitudes are 31-bit
 * integers (a float's bits without its sign), so two counting passes find it exactly: one over the high 16
 * bits, one over the low 15 of those that share the k-th one's high bits. A third counts, for every row, the
 * weights that equal it, so that ties fall in the order of their index; the last writes. Counts are integers,
 * hence the same for any number of threads.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/method/swage-prune.h"
#include "core/method/swage-rows.h"

typedef struct
{
  int pattern;
  double sparsity;
  int per;
} MagnitudeParams;

enum
{
  PER_LAYER,
  PER_ROW
};
static const char *const per_choices[] = { "layer", "row", NULL };

static const SwageParam params[] = {
  SWAGE_CHOICE (
      MagnitudeParams, pattern, 0, swage_prune_patterns, N_ ("Pattern"),
      N_ ("Which weights may stay: any, or N of every M neighbours, which some hardware runs faster.")),
  SWAGE_DOUBLE (MagnitudeParams, sparsity, 0.5, 0, 1, N_ ("Sparsity"),
                N_ ("Share of the weights that become zero."), .soft_max = 0.9,
                .when = "pattern=unstructured"),
  SWAGE_CHOICE (MagnitudeParams, per, PER_LAYER, per_choices, N_ ("Compare within"),
                N_ ("Whether the smallest weights are sought in the whole layer or in each row, so that "
                    "every output loses as many."),
                .when = "pattern=unstructured"),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  const MagnitudeParams *p = data;
  return swage_prune_cost (swage_prune_get_pattern (p->pattern), p->sparsity, p->per == PER_LAYER, in, out,
                           error);
}

#define HIGH_BINS 65536
#define LOW_BINS 32768

static void
score_row (int64_t row, const float *values, int64_t n, double *score, const void *user_data)
{
  for (int64_t j = 0; j < n; j++)
    score[j] = fabs ((double)values[j]);
}

/* ---- the whole layer ---- */

typedef struct
{
  const SwageWeight *weight;
  int64_t **count; /* per worker: HIGH_BINS */
  uint32_t high;   /* of the threshold */
  uint32_t threshold;
  int64_t *equal; /* per row: weights at the threshold, then how many of them go */
  uint8_t *data;  /* of the result */
} Selection;

static uint32_t
magnitude_key (float w)
{
  uint32_t bits;
  memcpy (&bits, &w, sizeof bits);
  return bits & 0x7fffffffu;
}

static void
count_high (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Selection *s = user_data;

  if (s->count[worker] == NULL)
    s->count[worker] = g_new0 (int64_t, HIGH_BINS);
  for (int64_t i = 0; i < n * s->weight->cols; i++)
    s->count[worker][magnitude_key (values[i]) >> 15]++;
}

static void
count_low (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Selection *s = user_data;

  if (s->count[worker] == NULL)
    s->count[worker] = g_new0 (int64_t, HIGH_BINS);
  for (int64_t i = 0; i < n * s->weight->cols; i++)
    {
      uint32_t key = magnitude_key (values[i]);
      if (key >> 15 == s->high)
        s->count[worker][key & (LOW_BINS - 1)]++;
    }
}

static void
count_equal (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Selection *s = user_data;
  int64_t cols = s->weight->cols;

  for (int64_t r = row; r < row + n; r++, values += cols)
    for (int64_t i = 0; i < cols; i++)
      s->equal[r] += magnitude_key (values[i]) == s->threshold;
}

static void
zero_selected (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Selection *s = user_data;
  const SwageWeight *w = s->weight;
  int64_t cols = w->cols;

  for (int64_t r = row; r < row + n; r++, values += cols)
    {
      for (int64_t i = 0; i < cols; i++)
        {
          uint32_t bits; /* a mask instead of a branch: which weights go is random to a processor */
          memcpy (&bits, &values[i], sizeof bits);
          bits &= -(uint32_t)((bits & 0x7fffffffu) >= s->threshold);
          memcpy (&values[i], &bits, sizeof bits);
        }
      int64_t n_equal = s->equal[r];
      for (int64_t i = 0; i < cols && n_equal > 0; i++)
        if (magnitude_key (values[i]) == s->threshold)
          {
            values[i] = 0;
            n_equal--;
          }
      swage_type_from_f32 (w->type, values, NULL, s->data + (size_t)r * w->row_bytes, cols);
    }
}

/* Add up and clear the workers' counts, find the bin with the k-th one; *k becomes its rank within that bin.
 */
static uint32_t
find_bin (Selection *s, int64_t *k)
{
  g_autofree int64_t *sum = g_new0 (int64_t, HIGH_BINS);
  uint32_t bin = 0;

  for (int w = 0; w < swage_pool_get_threads (); w++)
    for (int i = 0; i < HIGH_BINS && s->count[w] != NULL; i++)
      {
        sum[i] += s->count[w][i];
        s->count[w][i] = 0;
      }
  for (; *k > sum[bin]; bin++)
    *k -= sum[bin];
  return bin;
}

static bool
select_and_zero (Selection *s, SwageRowWalk *walk, int64_t n_zero, GError **error)
{
  int64_t left = n_zero;

  walk->n_passes = 4;
  if (!swage_rows_walk (walk, count_high, s, error))
    return false;
  s->high = find_bin (s, &left);
  walk->pass = 1;
  if (!swage_rows_walk (walk, count_low, s, error))
    return false;
  s->threshold = s->high << 15 | find_bin (s, &left);
  walk->pass = 2;
  if (!swage_rows_walk (walk, count_equal, s, error))
    return false;
  for (int64_t r = 0; r < walk->weight->rows; r++) /* the first `left` of them go */
    {
      s->equal[r] = MIN (s->equal[r], left);
      left -= s->equal[r];
    }
  walk->pass = 3;
  return swage_rows_walk (walk, zero_selected, s, error);
}

static SwageWeight *
prune_layer (const SwageWeight *w, double sparsity, const char *layer, SwageJob *job, GError **error)
{
  int n_workers = swage_pool_get_threads ();
  int64_t n_zero = swage_prune_count (sparsity, w->rows * w->cols);
  size_t n_bytes = (size_t)w->rows * w->row_bytes;
  SwageRowWalk walk = { .weight = w, .layer = layer, .job = job };

  if (n_zero == 0)
    return swage_weight_ref ((SwageWeight *)w);
  Selection s = { .weight = w,
                  .count = g_new0 (int64_t *, (gsize)n_workers),
                  .equal = g_new0 (int64_t, (gsize)w->rows),
                  .data = g_malloc (n_bytes) };
  bool ok = select_and_zero (&s, &walk, n_zero, error);
  for (int i = 0; i < n_workers; i++)
    g_free (s.count[i]);
  g_free (s.count);
  g_free (s.equal);
  if (!ok)
    {
      g_free (s.data);
      return NULL;
    }
  return swage_weight_new (w->type, w->rows, w->cols, g_bytes_new_take (s.data, n_bytes));
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const MagnitudeParams *p = data;
  SwagePattern pattern = swage_prune_get_pattern (p->pattern);
  SwageWeight *weight;

  if (pattern.of == 0 && p->per == PER_LAYER)
    weight = prune_layer (in->weight, p->sparsity, context->layer, job, error);
  else
    weight
        = swage_prune_weight (in->weight, pattern, p->sparsity, score_row, NULL, context->layer, job, error);
  if (weight == NULL)
    return NULL;
  SwageLinear *out = swage_linear_dup (in);
  swage_linear_set_weight (out, weight);
  return out;
}

const SwageMethod swage_method_magnitude = {
  .id = "magnitude",
  .version = 1,
  .family = SWAGE_FAMILY_PRUNING,
  .title = N_ ("Magnitude pruning"),
  .summary = N_ ("Sets the smallest weights to zero. Needs no text; the base line to beat. The stored size "
                 "stays the same: zeros save "
                 "bytes only in formats that leave them out."),
  .paper = "Han et al. 2015, arXiv 1506.02626",
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE,
  .emits = SWAGE_PART_DENSE,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (MagnitudeParams),
  .cost = cost,
  .apply = apply,
};
