/* SPDX-License-Identifier: MIT
 *
 * Tiles and the searches in their lanes; the contract is in tile.h.
 *
 * The loops over elements are inlined into a plain and a weighted version (and one for IQ4's book) and called
 * from everywhere else: a call costs nothing beside the hundreds of operations in it.
 */
#include "kernels/type/tile.h"
#include "kernels/type/iq4-book.h"

/* Above what any block type can hold (65504·128·32) and far below where squares overflow. */
#define TILE_MAX 3e8f
/* Smaller ranges are noise below the smallest half (6e-8), and their reciprocals could overflow. */
#define TILE_TINY 1e-20f

/* ---- in and out ---- */

typedef float v4f __attribute__ ((vector_size (16)));
typedef uint8_t v16b __attribute__ ((vector_size (16)));

/* `count` sub-blocks of `len` consecutive floats at `src` into the first lanes of `out`; the others become 0.
 */
static void
tile_transpose (float (*out)[LANES], const float *src, int len, int count)
{
  static const float none[32];
  for (int l = 0; l < LANES; l += 4)
    {
      const float *p[4];
      for (int k = 0; k < 4; k++)
        p[k] = l + k < count ? src + (l + k) * len : none;
      for (int e = 0; e < len; e += 4)
        {
          v4f a, b, c, d;
          memcpy (&a, p[0] + e, 16);
          memcpy (&b, p[1] + e, 16);
          memcpy (&c, p[2] + e, 16);
          memcpy (&d, p[3] + e, 16);
          v4f ab0 = __builtin_shufflevector (a, b, 0, 4, 1, 5),
              ab1 = __builtin_shufflevector (a, b, 2, 6, 3, 7);
          v4f cd0 = __builtin_shufflevector (c, d, 0, 4, 1, 5),
              cd1 = __builtin_shufflevector (c, d, 2, 6, 3, 7);
          a = __builtin_shufflevector (ab0, cd0, 0, 1, 4, 5);
          b = __builtin_shufflevector (ab0, cd0, 2, 3, 6, 7);
          c = __builtin_shufflevector (ab1, cd1, 0, 1, 4, 5);
          d = __builtin_shufflevector (ab1, cd1, 2, 3, 6, 7);
          memcpy (&out[e][l], &a, 16);
          memcpy (&out[e + 1][l], &b, 16);
          memcpy (&out[e + 2][l], &c, 16);
          memcpy (&out[e + 3][l], &d, 16);
        }
    }
}

/* Weights are scaled by a power of two so that the largest of each `joint` sub-blocks lies in [1, 2), and
 * none is zero: a sub-block without importance still gets its best plain scale. */
static void
tile_scale_weights (Tile *t, int joint)
{
  const int len = t->len;
  float top[LANES] ALIGNED;
  FOR_COLUMNS (l)
  {
    vf m = v_all (0);
    for (int e = 0; e < len; e++)
      {
        vf w = v_load (&t->w[e][l]);
        w = v_min (v_max (w, v_all (0)), v_all (1e30f)); /* also NaN to 0: maxps takes its second operand */
        v_store (&t->w[e][l], w);
        m = v_max (m, w);
      }
    v_store (&top[l], m);
  }
  for (int from = 0; from < LANES; from += joint)
    {
      float m = 1e-30f;
      for (int l = from; l < from + joint; l++)
        m = top[l] > m ? top[l] : m;
      float scale = half_float ((254u << 23) - (half_bits (m) & 0x7f800000));
      for (int l = from; l < from + joint; l++)
        top[l] = scale;
    }
  FOR_COLUMNS (l)
  {
    for (int e = 0; e < len; e++)
      v_store (&t->w[e][l], v_load (&t->w[e][l]) * v_load (&top[l]) + 0x1p-40f);
  }
}

void
tile_load (Tile *t, const float *src, const float *importance, int len, int count, int joint)
{
  t->len = len;
  t->weighted = importance != NULL;
  tile_transpose (t->x, src, len, count);
  FOR_COLUMNS (l)
  {
    for (int e = 0; e < len; e++)
      {
        vf x = v_load (&t->x[e][l]);
        x = (vf)((vi)x & (x == x));
        v_store (&t->x[e][l], v_clamp (x, v_all (-TILE_MAX), v_all (TILE_MAX)));
      }
  }
  if (importance)
    {
      tile_transpose (t->w, importance, len, count);
      tile_scale_weights (t, joint);
    }
}

INLINE void
tile_min_max (const Tile *t, int l, vf *min, vf *max)
{
  vf lo = v_load (&t->x[0][l]), hi = lo;
  for (int e = 1; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]);
      lo = v_min (lo, x);
      hi = v_max (hi, x);
    }
  *min = lo;
  *max = hi;
}

vf
tile_extreme (const Tile *t, int l)
{
  vf min, max;
  tile_min_max (t, l, &min, &max);
  return v_sel (v_lt (-min, max), max, min);
}

/* Turn codes back: out[l·len + e] = row[e][l]. A 16 × 16 byte matrix is transposed by four rounds of
 * interleaving row i with row i + 8. */
void
tile_codes_get (const TileCodes *codes, int len, uint8_t *out)
{
  for (int e = 0; e < len; e += 16)
    {
      v16b r[16], s[16];
      memcpy (r, codes->row[e], sizeof r);
      for (int round = 0; round < 4; round++)
        {
          for (int i = 0; i < 8; i++)
            {
              s[2 * i] = __builtin_shufflevector (r[i], r[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                                  22, 7, 23);
              s[2 * i + 1] = __builtin_shufflevector (r[i], r[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                      13, 29, 14, 30, 15, 31);
            }
          memcpy (r, s, sizeof r);
        }
      for (int l = 0; l < LANES; l++)
        memcpy (out + l * len + e, &r[l], 16);
    }
}

/* ---- IQ4's book ---- */

/* table[index], index in 0..15 or 0..31. */
INLINE vf
lookup16 (const float *table, vi index)
{
#if defined(__AVX512F__)
  return (vf)_mm512_permutexvar_ps ((__m512i)index, _mm512_loadu_ps (table));
#elif defined(__AVX2__)
  return (vf)_mm256_i32gather_ps (table, (__m256i)index, 4);
#else
  vf v;
  for (int i = 0; i < W; i++)
    v[i] = table[index[i]];
  return v;
#endif
}

INLINE vi
lookup32 (const uint32_t *table, vi index)
{
#if defined(__AVX512F__)
  return (vi)_mm512_permutex2var_epi32 (_mm512_loadu_si512 (table), (__m512i)index,
                                        _mm512_loadu_si512 (table + 16));
#elif defined(__AVX2__)
  return (vi)_mm256_i32gather_epi32 ((const int *)table, (__m256i)index, 4);
#else
  vi v;
  for (int i = 0; i < W; i++)
    v[i] = (int32_t)table[index[i]];
  return v;
#endif
}

/* The index of the value nearest to y, which must lie within the book's range. */
INLINE vi
book_index (vf y)
{
  vi entry = lookup32 (iq4_bins, __builtin_convertvector(y * 0.125f + 16.0f, vi));
  return (entry & 15) + v_one_if (v_lt ((vf)entry, y));
}

/* ---- without a minimum ---- */

INLINE vf
sym_round (Sym sym, bool book, vf y)
{
  y = v_clamp (y, v_all (sym.lo), v_all (sym.hi));
  return book ? lookup16 (iq4_book, book_index (y)) : v_round (y);
}

INLINE void
sym_sums_of (const Tile *t, int l, Sym sym, bool weighted, bool book, int n, const vf *id, vf *sum_xq,
             vf *sum_qq)
{
  vf xq[GROUP], qq[GROUP];
  EACH (k, n) xq[k] = qq[k] = v_all (0);
  for (int e = 0; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]), w = weighted ? v_load (&t->w[e][l]) : v_all (1);
      EACH (k, n)
      {
        vf q = sym_round (sym, book, x * id[k]), wq = weighted ? w * q : q;
        xq[k] += wq * x;
        qq[k] += wq * q;
      }
    }
  EACH (k, n)
  {
    sum_xq[k] = xq[k];
    sum_qq[k] = qq[k];
  }
}

static void
sym_sums_group (const Tile *t, int l, Sym sym, const vf *id, vf *sum_xq, vf *sum_qq)
{
  if (sym.book && t->weighted)
    sym_sums_of (t, l, sym, true, true, GROUP, id, sum_xq, sum_qq);
  else if (sym.book)
    sym_sums_of (t, l, sym, false, true, GROUP, id, sum_xq, sum_qq);
  else if (t->weighted)
    sym_sums_of (t, l, sym, true, false, GROUP, id, sum_xq, sum_qq);
  else
    sym_sums_of (t, l, sym, false, false, GROUP, id, sum_xq, sum_qq);
}

void
sym_sums (const Tile *t, int l, Sym sym, vf id, vf *sum_xq, vf *sum_qq)
{
  if (sym.book && t->weighted)
    sym_sums_of (t, l, sym, true, true, 1, &id, sum_xq, sum_qq);
  else if (sym.book)
    sym_sums_of (t, l, sym, false, true, 1, &id, sum_xq, sum_qq);
  else if (t->weighted)
    sym_sums_of (t, l, sym, true, false, 1, &id, sum_xq, sum_qq);
  else
    sym_sums_of (t, l, sym, false, false, 1, &id, sum_xq, sum_qq);
}

INLINE void
sym_errors_of (const Tile *t, int l, Sym sym, bool weighted, bool book, const vf *d, vf *errors)
{
  vf id[GROUP], error[GROUP];
  EACH (k, GROUP)
  {
    id[k] = v_div (v_all (1), d[k]);
    error[k] = v_all (0);
  }
  for (int e = 0; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]), w = weighted ? v_load (&t->w[e][l]) : v_all (1);
      EACH (k, GROUP)
      {
        vf r = x - d[k] * sym_round (sym, book, x * id[k]);
        error[k] += weighted ? w * r * r : r * r;
      }
    }
  EACH (k, GROUP) errors[k] = error[k];
}

void
sym_errors (const Tile *t, int l, Sym sym, const vf *d, vf *errors)
{
  if (sym.book && t->weighted)
    sym_errors_of (t, l, sym, true, true, d, errors);
  else if (sym.book)
    sym_errors_of (t, l, sym, false, true, d, errors);
  else if (t->weighted)
    sym_errors_of (t, l, sym, true, false, d, errors);
  else
    sym_errors_of (t, l, sym, false, false, d, errors);
}

vf
sym_search (const Tile *t, int l, Sym sym, const float *grid, int n_grid)
{
  vf extreme = tile_extreme (t, l);
  extreme = v_sel (v_lt (v_all (TILE_TINY), v_abs (extreme)), extreme, v_all (0));
  vf inverse = v_div (v_all (1), extreme), best = v_all (0), best_d = v_all (0);
  vf id[GROUP], xq[GROUP], qq[GROUP];
  for (int i = 0; i < n_grid; i += GROUP)
    {
      EACH (k, GROUP) id[k] = inverse * grid[i + k];
      sym_sums_group (t, l, sym, id, xq, qq);
      EACH (k, GROUP)
      {
        vf d = v_div (xq[k], qq[k]), gain = d * xq[k];
        vm better = v_lt (best, gain);
        best = v_sel (better, gain, best);
        best_d = v_sel (better, d, best_d);
      }
    }
  sym_sums (t, l, sym, v_div (v_all (1), best_d), xq, qq);
  vf d = v_div (xq[0], qq[0]);
  return v_sel (v_lt (best, d * xq[0]), d, best_d);
}

void
sym_codes (const Tile *t, int l, Sym sym, vf d, float offset, TileCodes *codes)
{
  vf id = v_div (v_all (1), d);
  for (int e = 0; e < t->len; e++)
    {
      vf y = v_clamp (v_load (&t->x[e][l]) * id, v_all (sym.lo), v_all (sym.hi));
      vf code = sym.book ? __builtin_convertvector(book_index (y), vf) : v_round (y) + offset;
      v_put_bytes (&codes->row[e][l], code);
    }
}

/* As many at once as there are registers for their sums. */
#define AT_ONCE (W == 16 ? GROUP : 2)

/* ---- with a minimum ---- */

/* Sums over the codes of q = (x − m)/s, given as x·is + off. `w` and `x` of the sums are left alone. */
INLINE void
affine_sums_of (const Tile *t, int l, float top, bool weighted, int n, const vf *is, const vf *off,
                AffineSums *sums)
{
  vf sq[GROUP], qq[GROUP], xq[GROUP];
  EACH (k, n) sq[k] = qq[k] = xq[k] = v_all (0);
  for (int e = 0; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]), w = weighted ? v_load (&t->w[e][l]) : v_all (1);
      EACH (k, n)
      {
        vf q = v_round (v_clamp (x * is[k] + off[k], v_all (0), v_all (top))), wq = weighted ? w * q : q;
        sq[k] += wq;
        qq[k] += wq * q;
        xq[k] += wq * x;
      }
    }
  EACH (k, n)
  {
    sums[k].q = sq[k];
    sums[k].qq = qq[k];
    sums[k].xq = xq[k];
  }
}

static void
affine_sums_group (const Tile *t, int l, float top, const vf *is, const vf *off, AffineSums *sums)
{
  for (int k = 0; k < GROUP; k += AT_ONCE)
    if (t->weighted)
      affine_sums_of (t, l, top, true, AT_ONCE, is + k, off + k, sums + k);
    else
      affine_sums_of (t, l, top, false, AT_ONCE, is + k, off + k, sums + k);
}

static void
affine_totals (const Tile *t, int l, AffineSums *sums)
{
  vf sw = v_all (0), sx = v_all (0);
  for (int e = 0; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]);
      vf w = t->weighted ? v_load (&t->w[e][l]) : v_all (1);
      sw += w;
      sx += w * x;
    }
  sums->w = sw;
  sums->x = sx;
}

void
affine_sums (const Tile *t, int l, float top, vf s, vf m, AffineSums *sums)
{
  vf is = v_div (v_all (1), s), off = -m * is;
  affine_totals (t, l, sums);
  if (t->weighted)
    affine_sums_of (t, l, top, true, 1, &is, &off, sums);
  else
    affine_sums_of (t, l, top, false, 1, &is, &off, sums);
}

INLINE void
affine_errors_of (const Tile *t, int l, float top, bool weighted, vf s, const vf *m, vf *errors)
{
  vf is = v_div (v_all (1), s), off[GROUP], error[GROUP];
  EACH (k, 3)
  {
    off[k] = -m[k] * is;
    error[k] = v_all (0);
  }
  for (int e = 0; e < t->len; e++)
    {
      vf x = v_load (&t->x[e][l]), w = weighted ? v_load (&t->w[e][l]) : v_all (1), y = x * is;
      EACH (k, 3)
      {
        vf r = x - (v_round (v_clamp (y + off[k], v_all (0), v_all (top))) * s + m[k]);
        error[k] += weighted ? w * r * r : r * r;
      }
    }
  EACH (k, 3) errors[k] = error[k];
}

void
affine_errors (const Tile *t, int l, float top, vf s, const vf *m, vf *errors)
{
  if (t->weighted)
    affine_errors_of (t, l, top, true, s, m, errors);
  else
    affine_errors_of (t, l, top, false, s, m, errors);
}

/* Least squares for fixed codes; with `negative` the minimum must not be above 0. Returns what the fit
 * explains of Σwx²; a singular system explains nothing. */
INLINE vf
affine_fit (const AffineSums *sums, bool negative, vf *s, vf *m)
{
  vf det = sums->w * sums->qq - sums->q * sums->q;
  vf scale = v_div (sums->w * sums->xq - sums->x * sums->q, det);
  vf min = v_div (sums->qq * sums->x - sums->q * sums->xq, det);
  if (negative)
    {
      vm above = v_lt (v_all (0), min);
      scale = v_sel (above, v_div (sums->xq, sums->qq), scale);
      min = v_sel (above, v_all (0), min);
    }
  vm bad = v_lt (scale, v_all (0));
  *s = v_sel (bad, v_all (0), scale);
  *m = v_sel (bad, v_all (0), min);
  return v_sel (bad, v_all (0), scale * sums->xq + min * sums->x);
}

typedef struct
{
  vf gain, s, m;
} AffineBest;

INLINE void
affine_judge (AffineBest *best, const AffineSums *sums, bool negative)
{
  vf s, m, gain = affine_fit (sums, negative, &s, &m);
  vm better = v_lt (best->gain, gain);
  best->gain = v_sel (better, gain, best->gain);
  best->s = v_sel (better, s, best->s);
  best->m = v_sel (better, m, best->m);
}

void
affine_search (const Tile *t, int l, float top, bool negative, const AffineClip *clips, int n_clips,
               vf *best_s, vf *best_m)
{
  AffineSums sums[GROUP];
  vf min, max, is[GROUP], off[GROUP];
  affine_totals (t, l, &sums[0]);
  EACH (k, GROUP) sums[k] = sums[0];
  tile_min_max (t, l, &min, &max);
  /* Without a step the best line is the mean, or 0 where the mean is above. */
  vf mean = v_div (sums[0].x, sums[0].w);
  if (negative)
    {
      min = v_min (min, v_all (0));
      mean = v_min (mean, v_all (0));
    }
  vf range = max - min;
  AffineBest best = { mean * sums[0].x, v_all (0), mean };
  vf inverse = v_sel (v_lt (range, v_all (TILE_TINY)), v_all (0), v_all (1) / range);
  for (int i = 0; i < n_clips; i += GROUP)
    {
      EACH (k, GROUP)
      {
        is[k] = inverse * (top / (1 - clips[i + k].low - clips[i + k].high));
        off[k] = -(min + range * clips[i + k].low) * is[k];
      }
      affine_sums_group (t, l, top, is, off, sums);
      EACH (k, GROUP) affine_judge (&best, &sums[k], negative);
    }
  affine_sums (t, l, top, best.s, best.m, &sums[0]);
  affine_judge (&best, &sums[0], negative);
  *best_s = best.s;
  *best_m = best.m;
}

void
affine_codes (const Tile *t, int l, float top, vf s, vf m, TileCodes *codes)
{
  vf is = v_div (v_all (1), s), off = -m * is;
  for (int e = 0; e < t->len; e++)
    v_put_bytes (&codes->row[e][l],
                 v_round (v_clamp (v_load (&t->x[e][l]) * is + off, v_all (0), v_all (top))));
}
