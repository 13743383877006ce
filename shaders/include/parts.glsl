/* SPDX-License-Identifier: MIT
 *
 * Rows of x shared out to the columns ("parts") of the result, and each part's elements in runs of eight to SPLIT
 * workgroups. As swage_part_rows() in kernels/swage-view.h.
 */
uint
part_first_row (uint part)
{
  uint rows = swage_rows (view_src (0)), parts = view_dst.ne.y, each = (rows + parts - 1) / parts;
  return min (rows, part * each);
}

uint
part_runs (uint part)
{
  return (part_first_row (part + 1) - part_first_row (part)) * ((view_src (0).ne.x + 7) / 8);
}

/* Run `run` of a part: where its first element stands in its row, and the values. */
uint
part_decode (uint part, uint run, out float v[8])
{
  uint n = view_src (0).ne.x, each = (n + 7) / 8, r = part_first_row (part) + run / each, p = run % each * 8;
  uvec3 i = swage_row_at (view_src (0), r);
  weight_decode_at (TYPE, swage_row (view_src (0), i), 0, p, n, v);
  return p;
}
