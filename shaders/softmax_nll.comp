#version 450
/* SPDX-License-Identifier: MIT
 *
 * softmax_nll: a workgroup is a row of logits, read twice: for its maximum, and for the sum of exponentials. See
 * kernels/ref/softmax_nll.c.
 */
#extension GL_GOOGLE_include_directive : require
#include "include/swage.glsl"

SWAGE_WRITE (SWAGE_DST, uint, result)
SWAGE_READ (SWAGE_SRC (0), float, x)
SWAGE_READ (SWAGE_SRC (1), int, target)

#define ROW_VALUE(which, j) x[(view_src (0).offset + which * view_src (0).nb.y) / 4 + j]
#include "include/logits.glsl"

void
main ()
{
  uint r = swage_group (), t = gl_LocalInvocationID.x, vocab = view_src (0).ne.x, index;
  bool any_nan;
  if (r >= view_src (0).ne.y)
    return;
  int aim = target[view_src (1).offset / 4 + r];
  if (aim < 0 || aim >= int (vocab))
    {
      if (t < SWAGE_NLL_ROWS)
        logits_store (r, t, vec2 (0.0));
      return;
    }
  float top = logits_top (r, vocab, index, any_nan);
  vec2 sum = vec2 (0.0);
  for (uint j = t; j < vocab; j += gl_WorkGroupSize.x)
    sum = pair_add (sum, swage_exp (ROW_VALUE (r, j) - top));
  sum = logits_sum (sum);
  if (t != 0)
    return;
  float log_sum = any_nan ? SWAGE_NAN : swage_log (sum.x);
  vec2 lse = pair_two_sum (top, log_sum);
  logits_store (r, SWAGE_NLL_NLL, pair_add (lse, -ROW_VALUE (r, aim)));
  logits_store (r, SWAGE_NLL_LSE, lse);
  logits_store (r, SWAGE_NLL_ARGMAX, vec2 (float (index), 0.0));
}
