/* SPDX-License-Identifier: MIT
 *
 * Selection without sorting. Non-negative doubles order like the integers that have their bits, so the k-th
 * lowest score is found digit by digit from the highest down, keeping each time only the candidates that
 * share the digit: linear in n whatever the scores, also when all are equal.
 */
#include "core/method/swage-prune.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/base/swage-pool.h"
#include "core/method/swage-rows.h"

const char *const swage_prune_patterns[]
    = { "unstructured", "1:2", "1:4", "2:4", "3:4", "2:8", "4:8", "8:16", NULL };

static const SwagePattern patterns[]
    = { { 0, 0 }, { 1, 2 }, { 1, 4 }, { 2, 4 }, { 3, 4 }, { 2, 8 }, { 4, 8 }, { 8, 16 } };

G_STATIC_ASSERT (G_N_ELEMENTS (patterns) + 1 == G_N_ELEMENTS (swage_prune_patterns));

SwagePattern
swage_prune_get_pattern (int choice)
{
  return patterns[choice];
}

int64_t
swage_prune_count (double sparsity, int64_t n)
{
  return CLAMP ((int64_t)floor (sparsity * (double)n + 0.5), 0, n);
}

static uint64_t
score_key (double score)
{
  uint64_t bits;
  score += 0.0; /* −0 would come last */
  memcpy (&bits, &score, sizeof bits);
  return bits;
}

/* x or +0, without a branch: which weights go is random to a processor. */
static inline float
keep_if (bool keep, float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  bits &= -(uint32_t)keep;
  memcpy (&x, &bits, sizeof bits);
  return x;
}

/* The k-th lowest of n keys, k from 1, and how many are lower than it. The keys are used up. Digits are the
 * exponent, which tells most keys apart, and then bytes of the fraction. */
static uint64_t
select_key (uint64_t *keys, int64_t n, int64_t k, int64_t *n_lower)
{
  static const int shifts[] = { 52, 44, 36, 28, 20, 12, 4, 0 };

  *n_lower = 0;
  for (size_t d = 0; d < G_N_ELEMENTS (shifts) && n > 1; d++)
    {
      int n_digits = d == 0 ? 2048 : 256, shift = shifts[d];
      uint64_t mask = (uint64_t)n_digits - 1, digit = 0;
      int64_t count[2048], kept = 0;

      memset (count, 0, (size_t)n_digits * sizeof *count);
      for (int64_t i = 0; i < n; i++)
        count[(keys[i] >> shift) & mask]++;
      for (; k > count[digit]; digit++)
        {
          k -= count[digit];
          *n_lower += count[digit];
        }
      for (int64_t i = 0; i < n; i++)
        {
          uint64_t key = keys[i];
          keys[kept] = key;
          kept += ((key >> shift) & mask) == digit;
        }
      n = kept;
    }
  return keys[0];
}

void
swage_prune_row (float *row, const double *score, int64_t n, int64_t k, uint64_t *scratch)
{
  int64_t n_lower;

  if (k <= 0)
    return;
  for (int64_t i = 0; i < n; i++)
    scratch[i] = score_key (score[i]);
  uint64_t threshold = select_key (scratch, n, MIN (k, n), &n_lower);
  for (int64_t i = 0; i < n; i++)
    row[i] = keep_if (score_key (score[i]) >= threshold, row[i]);
  /* of those at the threshold the first go too, as many as are missing */
  int64_t n_equal = MIN (k, n) - n_lower;
  for (int64_t i = 0; i < n && n_equal > 0; i++)
    if (score_key (score[i]) == threshold)
      {
        row[i] = 0;
        n_equal--;
      }
}

void
swage_prune_row_pattern (float *row, const double *score, int64_t n, SwagePattern pattern)
{
  int m = pattern.of, n_zero = pattern.of - pattern.keep;

  for (int64_t g = 0; g + m <= n; g += m)
    for (int i = 0; i < m; i++)
      {
        const double *s = score + g;
        int place = 0; /* of i among the group in rising order; of equal ones the first comes first */
        for (int j = 0; j < i; j++)
          place += s[j] <= s[i];
        for (int j = i + 1; j < m; j++)
          place += s[j] < s[i];
        row[g + i] = keep_if (place >= n_zero, row[g + i]);
      }
}

bool
swage_prune_cost (SwagePattern pattern, double sparsity, bool per_layer, const SwageLinearSpec *in,
                  SwageLinearSpec *out, GError **error)
{
  SwageType type = in->weight.type;
  double zeros;

  if (type != SWAGE_TYPE_F32 && type != SWAGE_TYPE_F16 && type != SWAGE_TYPE_BF16)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("the weight is stored as %s, and pruning works on f32, f16 and bf16; put a step before "
                      "it that stores "
                      "it so."),
                   swage_type_get_info (type)->id);
      return false;
    }
  if (pattern.of > 0 && in->n_in % pattern.of != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("the weight has rows of %" PRId64
                      " values, which %d:%d does not divide; take the pattern "
                      "unstructured or one whose second number divides %" PRId64 "."),
                   in->n_in, pattern.keep, pattern.of, in->n_in);
      return false;
    }

  if (pattern.of > 0)
    zeros = 1 - (double)pattern.keep / pattern.of;
  else if (per_layer)
    zeros
        = (double)swage_prune_count (sparsity, in->n_in * in->n_out) / ((double)in->n_in * (double)in->n_out);
  else
    zeros = (double)swage_prune_count (sparsity, in->n_in) / (double)in->n_in;
  /* zeros that are there have the lowest scores and count among those that this step makes */
  out->sparsity = MAX (in->sparsity, zeros);
  return true;
}

typedef struct
{
  const SwageWeight *weight;
  SwagePattern pattern;
  int64_t n_zero; /* of a row */
  SwageScoreFunc score;
  const void *user_data;
  uint8_t *data;   /* of the result */
  double **scores; /* one row per worker */
  uint64_t **scratch;
} Pruning;

static void
prune_rows (int64_t row, int64_t n, float *values, int worker, void *user_data)
{
  Pruning *p = user_data;
  const SwageWeight *w = p->weight;

  if (p->scores[worker] == NULL)
    {
      p->scores[worker] = g_new (double, (gsize)w->cols);
      p->scratch[worker] = g_new (uint64_t, (gsize)w->cols);
    }
  for (int64_t r = row; r < row + n; r++, values += w->cols)
    {
      double *score = p->scores[worker];
      p->score (r, values, w->cols, score, p->user_data);
      if (p->pattern.of > 0)
        swage_prune_row_pattern (values, score, w->cols, p->pattern);
      else
        swage_prune_row (values, score, w->cols, p->n_zero, p->scratch[worker]);
      swage_type_from_f32 (w->type, values, NULL, p->data + (size_t)r * w->row_bytes, w->cols);
    }
}

SwageWeight *
swage_prune_weight (const SwageWeight *weight, SwagePattern pattern, double sparsity, SwageScoreFunc score,
                    const void *user_data, const char *layer, SwageJob *job, GError **error)
{
  SwageRowWalk walk = { .weight = weight, .layer = layer, .job = job };
  int n_workers = swage_pool_get_threads ();
  size_t n_bytes = (size_t)weight->rows * weight->row_bytes;
  Pruning p = { .weight = weight,
                .pattern = pattern,
                .n_zero = swage_prune_count (sparsity, weight->cols),
                .score = score,
                .user_data = user_data,
                .data = g_malloc (n_bytes),
                .scores = g_new0 (double *, (gsize)n_workers),
                .scratch = g_new0 (uint64_t *, (gsize)n_workers) };

  bool ok = swage_rows_walk (&walk, prune_rows, &p, error);

  for (int i = 0; i < n_workers; i++)
    {
      g_free (p.scores[i]);
      g_free (p.scratch[i]);
    }
  g_free (p.scores);
  g_free (p.scratch);
  if (!ok)
    {
      g_free (p.data);
      return NULL;
    }
  return swage_weight_new (weight->type, weight->rows, weight->cols, g_bytes_new_take (p.data, n_bytes));
}
