/* SPDX-License-Identifier: MIT
 *
 * embed:  y[i] = table[id[i]]  (+ y[i])
 *
 *   dst    y       F32 [k, m]
 *   src 0  table   [k, rows] of any type (as W of matmul)
 *   src 1  id      I32 [m]; an id outside the table gives a row of zeros
 *   src 3, src 4   scales and zeros of SWAGE_TYPE_INT (as matmul)
 *   args   SwageEmbedArgs or NULL. accumulate adds, for learned positions
 *
 * A slice is one row of y.
 */
#include "kernels/swage-view.h"

static int64_t
slices (const SwageOpCall *call)
{
  return call->dst.ne[1];
}

static int64_t
grain (const SwageOpCall *call)
{
  return swage_max64 (1, 16384 / swage_max64 (1, call->dst.ne[0]));
}

static void
ref (const SwageOpCall *call, int64_t begin, int64_t end)
{
  const SwageEmbedArgs *args = call->args;
  const SwageView *y = &call->dst, *table = &call->src[0];
  SwageRows rows
      = { table, &call->src[3], &call->src[4], args ? (int)args->bits : 0, args ? (int)args->group : 0 };
  const int32_t *ids = call->src[1].data;
  int64_t k = y->ne[0];

  for (int64_t i = begin; i < end; i++)
    {
      float *yi = swage_view_row (y, i, 0, 0);
      bool known = ids[i] >= 0 && ids[i] < table->ne[1];
      for (int64_t from = 0; from < k; from += 256)
        {
          float piece[256] = { 0 };
          int64_t len = swage_min64 (256, k - from);
          const float *row = known ? swage_rows_decode (&rows, ids[i], from, len, piece) : piece;
          for (int64_t p = 0; p < len; p++)
            yi[from + p] = args && args->accumulate ? yi[from + p] + row[p] : row[p];
        }
    }
}

const SwageOp swage_op_embed = {
  .id = "embed",
  .summary = "y[i] = table[id[i]] (+ y[i]), table of any type",
  .slices = slices,
  .grain = grain,
  .ref = ref,
  .nmse = 0,
};
