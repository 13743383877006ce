/* SPDX-License-Identifier: MIT
 *
 * Integer scales of sub-blocks; why and what is in super.h.
 */
#include "kernels/type/super.h"

static double
lanes_sum (const float *v, int from, int joint)
{
  double sum = 0;
  for (int l = from; l < from + joint; l++)
    sum += (double)v[l];
  return sum;
}

/* Write f to every lane of the super-block at `from`. */
static void
lanes_fill (float *v, int from, int joint, double f)
{
  for (int l = from; l < from + joint; l++)
    v[l] = (float)f;
}

static void
lanes_round_half (float *v)
{
  FOR_COLUMNS (l)
  v_store (&v[l], v_f16 (v_load (&v[l])));
}

/* Keep, super-block by super-block, the better of `best` and `tried`. */
static void
super_keep (Super *best, const Super *tried, int joint)
{
  for (int from = 0; from < LANES; from += joint)
    if (lanes_sum (tried->error, from, joint) < lanes_sum (best->error, from, joint))
      for (int l = from; l < from + joint; l++)
        {
          best->d[l] = tried->d[l];
          best->k[l] = tried->k[l];
          best->dm[l] = tried->dm[l];
          best->km[l] = tried->km[l];
          best->error[l] = tried->error[l];
        }
}

/* ---- without a minimum ---- */

/* For each sub-block the integer with the least error, among n (a multiple of GROUP) around s/d. */
static void
sym_super_pick (const Tile *t, const SymSuper *p, const float *s, int n, Super *try)
{
  const vf lo = v_all (p->k_lo), hi = v_all (p->k_hi);
  FOR_COLUMNS (l)
  {
    vf d = v_load (&try->d[l]), best = v_all (0), best_k = v_all (0);
    vf base = v_round (v_clamp (v_div (v_load (&s[l]), d), lo, hi));
    for (int i = 0; i < n; i += GROUP)
      {
        vf k[GROUP], scale[GROUP], error[GROUP];
        EACH (j, GROUP)
        {
          k[j] = v_clamp (base + p->near[i + j], lo, hi);
          scale[j] = d * k[j];
        }
        sym_errors (t, l, p->sym, scale, error);
        EACH (j, GROUP)
        {
          vm better = v_lt (error[j], best);
          best = i + j == 0 ? error[j] : v_sel (better, error[j], best);
          best_k = i + j == 0 ? k[j] : v_sel (better, k[j], best_k);
        }
      }
    v_store (&try->k[l], best_k);
    v_store (&try->error[l], best);
  }
}

void
sym_super_search (const Tile *t, const SymSuper *p, const float *s, Super *best)
{
  Super try = { 0 };
  float own[LANES] ALIGNED, xq[LANES] ALIGNED, qq[LANES] ALIGNED;
  for (int from = 0; from < LANES; from += p->joint)
    {
      float top = 0;
      for (int l = from; l < from + p->joint; l++)
        if ((top < 0 ? -top : top) < (s[l] < 0 ? -s[l] : s[l]))
          top = s[l];
      lanes_fill (best->d, from, p->joint, (double)(top / p->k_lo));
    }
  lanes_round_half (best->d);
  sym_super_pick (t, p, s, p->n_near, best);
  /* x ≈ d·(k·q): least squares over the super-block. */
  FOR_COLUMNS (l)
  {
    vf k = v_load (&best->k[l]), scale = v_load (&best->d[l]) * k, sxq, sqq;
    sym_sums (t, l, p->sym, v_div (v_all (1), scale), &sxq, &sqq);
    v_store (&own[l], scale);
    v_store (&xq[l], sxq * k);
    v_store (&qq[l], sqq * k * k);
  }
  for (int from = 0; from < LANES; from += p->joint)
    {
      double num = lanes_sum (xq, from, p->joint), den = lanes_sum (qq, from, p->joint);
      lanes_fill (try.d, from, p->joint, den > 0 ? num / den : 0);
    }
  lanes_round_half (try.d);
  sym_super_pick (t, p, own, GROUP, &try);
  super_keep (best, &try, p->joint);
}

/* ---- with a minimum ---- */

/* For each sub-block the pair of integers with the least error, among the nine around s/d and m/dm. */
static void
affine_super_pick (const Tile *t, const AffineSuper *p, const float *s, const float *m, Super *try)
{
  const vf lo = v_all (0), hi = v_all (p->k_hi);
  FOR_COLUMNS (l)
  {
    vf d = v_load (&try->d[l]), dm = v_load (&try->dm[l]);
    vf base = v_round (v_clamp (v_div (v_load (&s[l]), d), lo, hi));
    vf base_m = v_round (v_clamp (v_div (v_load (&m[l]), dm), lo, hi));
    vf best = v_all (0), best_k = base, best_km = base_m;
    for (int i = -1; i <= 1; i++)
      {
        vf k = v_clamp (base + (float)i, lo, hi), km[3], min[3], error[3];
        EACH (j, 3)
        {
          km[j] = v_clamp (base_m + (float)(j - 1), lo, hi);
          min[j] = -(dm * km[j]);
        }
        affine_errors (t, l, p->top, d * k, min, error);
        EACH (j, 3)
        {
          vm better = v_lt (error[j], best);
          bool first = i == -1 && j == 0;
          best = first ? error[j] : v_sel (better, error[j], best);
          best_k = first ? k : v_sel (better, k, best_k);
          best_km = first ? km[j] : v_sel (better, km[j], best_km);
        }
      }
    v_store (&try->k[l], best_k);
    v_store (&try->km[l], best_km);
    v_store (&try->error[l], best);
  }
}

/* The normal equations of x ≈ d·(k·q) + dm·(−km) over each super-block, for the codes of `best`. */
static void
affine_super_refit (const Tile *t, const AffineSuper *p, const Super *best, Super *try)
{
  float kk[LANES] ALIGNED, km[LANES] ALIGNED, mm[LANES] ALIGNED, xk[LANES] ALIGNED, xm[LANES] ALIGNED;
  FOR_COLUMNS (l)
  {
    vf k = v_load (&best->k[l]), kmin = v_load (&best->km[l]);
    AffineSums sums;
    affine_sums (t, l, p->top, v_load (&best->d[l]) * k, -(v_load (&best->dm[l]) * kmin), &sums);
    v_store (&kk[l], sums.qq * k * k);
    v_store (&km[l], -(sums.q * k * kmin));
    v_store (&mm[l], sums.w * kmin * kmin);
    v_store (&xk[l], sums.xq * k);
    v_store (&xm[l], -(sums.x * kmin));
  }
  for (int from = 0; from < LANES; from += p->joint)
    {
      double a = lanes_sum (kk, from, p->joint), b = lanes_sum (km, from, p->joint);
      double c = lanes_sum (mm, from, p->joint);
      double u = lanes_sum (xk, from, p->joint), v = lanes_sum (xm, from, p->joint);
      double det = a * c - b * b, d = a > 0 ? u / a : 0, dm = 0;
      if (det > 1e-9 * a * c)
        {
          d = (u * c - v * b) / det;
          dm = (v * a - u * b) / det;
        }
      else if (c > 0 && !(a > 0))
        dm = v / c;
      lanes_fill (try->d, from, p->joint, d > 0 ? d : 0);
      lanes_fill (try->dm, from, p->joint, dm > 0 ? dm : 0);
    }
  lanes_round_half (try->d);
  lanes_round_half (try->dm);
}

void
affine_super_search (const Tile *t, const AffineSuper *p, const float *s, const float *m, Super *best)
{
  Super try = { 0 };
  float own[LANES] ALIGNED, own_m[LANES] ALIGNED;
  for (int from = 0; from < LANES; from += p->joint)
    {
      float top = 0, top_m = 0;
      for (int l = from; l < from + p->joint; l++)
        {
          top = s[l] > top ? s[l] : top;
          top_m = m[l] > top_m ? m[l] : top_m;
        }
      lanes_fill (best->d, from, p->joint, (double)(top / p->k_hi));
      lanes_fill (best->dm, from, p->joint, (double)(top_m / p->k_hi));
    }
  lanes_round_half (best->d);
  lanes_round_half (best->dm);
  affine_super_pick (t, p, s, m, best);
  affine_super_refit (t, p, best, &try);
  FOR_COLUMNS (l)
  {
    v_store (&own[l], v_load (&best->d[l]) * v_load (&best->k[l]));
    v_store (&own_m[l], v_load (&best->dm[l]) * v_load (&best->km[l]));
  }
  affine_super_pick (t, p, own, own_m, &try);
  super_keep (best, &try, p->joint);
}
