#version 450
/* SPDX-License-Identifier: MIT
 *
 * softmax_kld: a workgroup is a pair of rows, read twice: for the maxima, and for the sums. The difference of the two models
 * is taken before their maxima are, so that nothing of it is rounded away where they agree. See kernels/ref/softmax_kld.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

SWAGE_WRITE (SWAGE_DST, uint, result)
SWAGE_READ (SWAGE_SRC (0), float, base)
SWAGE_READ (SWAGE_SRC (1), float, other)
SWAGE_READ (SWAGE_SRC (2), int, target)

uint row; /* this workgroup's */

float
row_value (uint which, uint j)
{
  return which == 0 ? base[(view_src (0).offset + row * view_src (0).nb.y) / 4 + j]
                    : other[(view_src (1).offset + row * view_src (1).nb.y) / 4 + j];
}

#define ROW_VALUE(which, j) row_value (which, j)
#include "include/logits.glsl"

void
main ()
{
  uint t = gl_LocalInvocationID.x, vocab = view_src (0).ne.x, index_x, index_y;
  bool nan_x, nan_y;
  row = swage_group ();
  if (row >= view_src (0).ne.y)
    return;
  int aim = target[view_src (2).offset / 4 + row];
  if (aim < 0 || aim >= int (vocab))
    {
      if (t < SWAGE_KLD_ROWS)
        logits_store (row, t, vec2 (0.0));
      return;
    }
  float top_x = logits_top (0, vocab, index_x, nan_x), top_y = logits_top (1, vocab, index_y, nan_y);
  precise float tops = top_x - top_y;
  vec2 sum_x = vec2 (0.0), sum_y = vec2 (0.0), cross = vec2 (0.0);
  for (uint j = t; j < vocab; j += gl_WorkGroupSize.x)
    {
      float x = row_value (0, j), y = row_value (1, j), p = swage_exp (x - top_x);
      precise float d = (x - y) - tops;
      precise float part = p * d;
      sum_x = pair_add (sum_x, p);
      sum_y = pair_add (sum_y, swage_exp (y - top_y));
      if (p > 0.0 || swage_is_nan (p))
        cross = pair_add (cross, part);
    }
  sum_x = logits_sum (sum_x);
  sum_y = logits_sum (sum_y);
  cross = logits_sum (cross);
  if (t != 0)
    return;
  /* log Z_y − log Z_x from their difference as pairs */
  vec2 difference = pair_add (sum_y, -sum_x);
  float s = difference.x / (sum_x.x + sum_y.x);
  float logs = abs (s) < 0.17 ? swage_atanh2 (s) : swage_log (sum_y.x / sum_x.x);
  float kld = swage_divide (cross.x, sum_x.x) + logs;
  if (nan_x || nan_y)
    kld = SWAGE_NAN;
  logits_store (row, SWAGE_KLD_KLD, vec2 (kld < 0.0 ? 0.0 : kld, 0.0));
  logits_store (row, SWAGE_KLD_SAME_TOP, vec2 (index_x == index_y ? 1.0 : 0.0, 0.0));
  vec2 nll = pair_add (pair_two_sum (top_x, -row_value (0, aim)), nan_x ? SWAGE_NAN : swage_log (sum_x.x));
  logits_store (row, SWAGE_KLD_NLL_BASE, nll);
  nll = pair_add (pair_two_sum (top_y, -row_value (1, aim)), nan_y ? SWAGE_NAN : swage_log (sum_y.x));
  logits_store (row, SWAGE_KLD_NLL_OTHER, nll);
}
