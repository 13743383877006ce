/* SPDX-License-Identifier: MIT
 *
 * Column j is rounded at v_j = w_j + Σ_{i<j} e_i·F_ij with e_i = w_i − ŵ_i. The sum over columns of earlier
 * blocks is one matrix product for each block, over earlier panels of the block one for each panel, and
 * within a panel it is added column by column: the work is that of GPTQ's lazy batches, but no weight is
 * written twice.
 */
#include "core/method/swage-feedback.h"

#include <string.h>

#define ROWS SWAGE_TARGET_ROWS
#define PANEL 32

/* c += a·b for a ROWS × k and c ROWS × n in memory column after column, b k × n row after row with a stride.
 */
static void
add_product (const SwageBlas *blas, const float *a, const float *b, int64_t stride, int64_t k, int64_t n,
             float *c)
{
  const int rows = ROWS, depth = (int)k, width = (int)n, ld = (int)stride;
  const float one = 1;

  if (k > 0 && n > 0)
    blas->sgemm ("N", "T", &rows, &width, &depth, &one, a, &rows, b, &ld, &one, c, &rows);
}

/* Scales of the unit that begins at position p, column j of the block at `v`. Where the block does not hold
 * all of the unit, or is between panels, its columns are brought up to date apart. */
static void
choose_scales (const SwageRounder *r, SwageTarget *t, int64_t p, int64_t j, int64_t n_block, const float *x,
               const float *e, const float *v, float *apart)
{
  int64_t unit = p / t->unit, n = swage_target_unit_length (t, unit);
  const float *importance = r->importance != NULL ? r->importance + p : NULL;

  if (j % PANEL == 0 && j + n <= n_block)
    {
      swage_target_choose (t, unit, v + j * ROWS, importance);
      return;
    }
  memcpy (apart, x + p * ROWS, (size_t)(n * ROWS) * sizeof (float));
  add_product (r->blas, e, r->second->f + p, r->n, p, n, apart);
  swage_target_choose (t, unit, apart, importance);
}

static void
choose_all_scales (const SwageRounder *r, SwageTarget *t, const float *x, float *apart)
{
  for (int64_t u = 0; u < t->n_units; u++)
    {
      int64_t from = u * t->unit, n = swage_target_unit_length (t, u);
      for (int64_t c = 0; c < n; c++)
        memcpy (apart + c * ROWS, x + (int64_t)r->second->position[from + c] * ROWS, ROWS * sizeof (float));
      swage_target_choose (t, u, apart, r->importance != NULL ? r->importance + from : NULL);
    }
}

bool
swage_rounder_step (const SwageRounder *r, int64_t columns)
{
  double done = (double)(atomic_fetch_add (r->done, columns) + columns);
  double total = (double)(r->n_slices * r->n * (1 + r->sweeps));

  return swage_job_step (r->job, r->from + (r->upto - r->from) * MIN (1, done / total), 1, NULL);
}

size_t
swage_rounder_get_scratch (const SwageRounder *r, const SwageTarget *t)
{
  size_t feedback = (size_t)(r->block + t->unit), descent = (size_t)r->n + 6 * 256;
  return MAX (feedback, descent) * ROWS;
}

void
swage_feedback_run (const SwageRounder *r, SwageTarget *t, const float *x, float *e, float *scratch)
{
  const float *f = r->second->f;
  const int64_t n = r->n;
  float *v = scratch, *apart = scratch + (int64_t)r->block * ROWS;
  float w_hat[ROWS];

  if (r->static_groups)
    choose_all_scales (r, t, x, apart);
  for (int64_t p0 = 0; p0 < n && swage_rounder_step (r, MIN (r->block, n - p0)); p0 += r->block)
    {
      int64_t n_block = MIN (r->block, n - p0);
      memcpy (v, x + p0 * ROWS, (size_t)(n_block * ROWS) * sizeof (float));
      add_product (r->blas, e, f + p0, n, p0, n_block, v);
      for (int64_t q0 = 0; q0 < n_block; q0 += PANEL)
        {
          int64_t end = MIN (q0 + PANEL, n_block);
          for (int64_t j = q0; j < end; j++)
            {
              const int64_t p = p0 + j, col = r->second->order[p];
              const float *restrict weight = x + p * ROWS;
              float *restrict error = e + p * ROWS;
              if (!r->static_groups && col % t->unit == 0)
                choose_scales (r, t, p, j, n_block, x, e, v, apart);
              swage_target_round (t, col, v + j * ROWS, w_hat);
              for (int i = 0; i < ROWS; i++)
                error[i] = weight[i] - w_hat[i];
              for (int64_t k = j + 1; k < end; k++)
                {
                  const float factor = f[p * n + p0 + k];
                  float *restrict to = v + k * ROWS;
                  for (int i = 0; i < ROWS; i++)
                    to[i] += error[i] * factor;
                }
            }
          add_product (r->blas, e + (p0 + q0) * ROWS, f + (p0 + q0) * n + p0 + end, n, end - q0,
                       n_block - end, v + end * ROWS);
        }
    }
}
