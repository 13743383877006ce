/* SPDX-License-Identifier: MIT
 *
 * The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): one multiplication chain over a counter,
 * so that the n-th draw of a seed is the same everywhere. The draw is by the inverse of the cumulative
 * distribution over tokens in order of probability, ids breaking ties; sums are in double, in that order.
 */
#include "core/engine/swage-generate.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <stdlib.h>
#include "core/engine/swage-engine-private.h"

static uint64_t
next_random (uint64_t *state)
{
  uint64_t z = *state += UINT64_C (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

typedef struct
{
  int32_t id;
  double p;
} Candidate;

static int
by_probability (const void *a, const void *b)
{
  const Candidate *x = a, *y = b;

  if (x->p != y->p)
    return x->p > y->p ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}

static int32_t
choose_greedy (const float *logits, int n)
{
  int top = 0;

  for (int i = 1; i < n; i++)
    if (logits[i] > logits[top])
      top = i;
  return top;
}

static int32_t
choose (const float *logits, Candidate *candidates, int n, const SwageGenerateOptions *options,
        uint64_t *state)
{
  if (options->temperature <= 0)
    return choose_greedy (logits, n);

  double top = logits[choose_greedy (logits, n)], total = 0;
  for (int i = 0; i < n; i++)
    candidates[i] = (Candidate){ i, exp (((double)logits[i] - top) / options->temperature) };
  qsort (candidates, (size_t)n, sizeof *candidates, by_probability);
  int kept = options->top_k > 0 ? MIN (options->top_k, n) : n;
  for (int i = 0; i < kept; i++)
    total += candidates[i].p;
  if (options->top_p > 0 && options->top_p < 1)
    {
      double sum = 0;
      int i = 0;
      while (i < kept && sum < options->top_p * total)
        sum += candidates[i++].p;
      kept = MAX (i, 1);
      total = MAX (sum, candidates[0].p);
    }

  double left = (double)(next_random (state) >> 11) * 0x1p-53 * total;
  for (int i = 0; i < kept; i++)
    {
      left -= candidates[i].p;
      if (left < 0)
        return candidates[i].id;
    }
  return candidates[kept - 1].id;
}

/* logits ← what follows `tokens`, which follow the `position` tokens in kv. */
static bool
advance (SwageEngine *engine, const SwageEnds *ends, SwageBlock *const *blocks, SwageKv *kv,
         const int32_t *tokens, int n, int position, float *h, float *logits, SwageJob *job, GError **error)
{
  const SwageConfig *config = swage_model_get_config (engine->model);

  if (!swage_engine_embed (engine, ends, tokens, 1, n, position, h, error))
    return false;
  for (int i = 0; i < config->n_blocks; i++)
    if (swage_job_is_cancelled (job)
            ? !swage_job_step (job, 0, 1, error)
            : !swage_engine_run_block (engine, blocks[i], 1, n, h, kv, NULL, NULL, NULL, error))
      return false;
  return swage_engine_logits (engine, ends, h + (int64_t)(n - 1) * config->n_embd, 1, logits, error);
}

bool
swage_generate (SwageEngine *engine, const SwageEnds *ends, SwageBlock *const *blocks, const int32_t *prompt,
                int n, const SwageGenerateOptions *options, SwageTokenFunc func, gpointer user_data,
                int *n_new, SwageJob *job, GError **error)
{
  const SwageConfig *config = swage_model_get_config (engine->model);
  int context = config->max_context > 0 ? config->max_context : G_MAXINT;
  int n_vocab = (int)ends->output->n_out, made = 0;
  uint64_t state = options->seed;

  if (n_new != NULL)
    *n_new = 0;
  if (n < 1 || n > context)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The prompt has %d tokens; this model takes 1 to %d. Shorten it."), n, context);
      return false;
    }
  int capacity = (int)MIN ((int64_t)context, (int64_t)n + MAX (options->max_tokens, 0));
  SwageKv *kv = swage_kv_new (engine, capacity, error);
  if (kv == NULL)
    return false;

  g_autofree float *h = g_new (float, (size_t)n *(size_t)config->n_embd);
  g_autofree float *logits = g_new (float, (size_t)n_vocab);
  g_autofree Candidate *candidates = g_new (Candidate, (size_t)n_vocab);
  const int32_t *tokens = prompt;
  int32_t token;
  bool ok = true;
  for (int position = 0, m = n; made < options->max_tokens; position += m, m = 1)
    {
      if (position + m > capacity)
        break;
      ok = advance (engine, ends, blocks, kv, tokens, m, position, h, logits, job, error);
      if (!ok)
        break;
      token = choose (logits, candidates, n_vocab, options, &state);
      tokens = &token;
      if (token == options->stop)
        break;
      made++;
      if (n_new != NULL)
        *n_new = made;
      if (!func (token, logits, user_data))
        break;
      ok = swage_job_step (job, made, options->max_tokens, error);
      if (!ok)
        break;
    }
  swage_kv_free (kv);
  return ok;
}
