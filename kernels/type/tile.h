/* SPDX-License-Identifier: MIT
 *
 * The common ground of the block quantizers: sixteen sub-blocks at once, one to a lane.
 *
 * A tile holds 16 sub-blocks of 16 or 32 elements, transposed: element e of sub-block l stands at x[e][l]. A
 * search then runs in every lane on its own data, no sum ever crosses lanes, and a lane's result is the same
 * whether the machine takes 4, 8 or 16 lanes in one instruction. What joins the sub-blocks of a super-block
 * is scalar code.
 *
 * Functions with a parameter `l` work on the W lanes from l on: call them inside FOR_COLUMNS (l).
 */
#pragma once

#include "kernels/type/codec.h"
#include "kernels/type/half.h"

#define LANES 16
#define FOR_COLUMNS(l) for (int l = 0; l < LANES; l += W)

/* Candidates that are judged in one pass over the data: their sums are independent and hide each other's
 * latency. */
#define GROUP 4
#define EACH(k, n) _Pragma ("GCC unroll 4") for (int k = 0; k < (n); k++)

#define COUNT(a) ((int)(sizeof (a) / sizeof (a)[0]))

/* One instance of these to a level. */
#define tile_load LEVEL (tile_load)
#define tile_codes_get LEVEL (tile_codes_get)
#define tile_extreme LEVEL (tile_extreme)
#define sym_errors LEVEL (sym_errors)
#define sym_sums LEVEL (sym_sums)
#define sym_search LEVEL (sym_search)
#define sym_codes LEVEL (sym_codes)
#define affine_errors LEVEL (affine_errors)
#define affine_sums LEVEL (affine_sums)
#define affine_search LEVEL (affine_search)
#define affine_codes LEVEL (affine_codes)

typedef struct
{
  float x[32][LANES];
  float w[32][LANES]; /* importance */
  int len;            /* 16 or 32 */
  bool weighted;      /* else all weights are 1 and `w` is not read */
} ALIGNED Tile;

typedef struct
{
  uint8_t row[32][LANES];
} ALIGNED TileCodes; /* codes before they are turned back, element e of sub-block l at row[e][l] */

/* Take `count` sub-blocks of `len` consecutive floats; the other lanes become 0. `importance` may be NULL.
 * `joint` sub-blocks share a super-block and so a scale of weights. Elements are finite from here on: NaN is
 * 0, and magnitudes stop above what any block type can hold. */
void tile_load (Tile *t, const float *src, const float *importance, int len, int count, int joint);
/* out[l·len + e] = row[e][l] */
void tile_codes_get (const TileCodes *codes, int len, uint8_t *out);
/* The element of largest magnitude, with its sign; a tie is the negative one. */
vf tile_extreme (const Tile *t, int l);

/* Codes without a minimum: x ≈ d·q, q an integer in lo..hi or a value of IQ4's book (then lo..hi is its
 * range). */
typedef struct
{
  float lo, hi;
  bool book;
} Sym;

/* errors[k] = Σw(x − d[k]·q)² with the codes that d[k] itself gives, for GROUP scales. */
void sym_errors (const Tile *t, int l, Sym sym, const vf *d, vf *errors);
/* Σwxq and Σwq² for the codes of step 1/id. Their quotient is the least-squares scale of these codes, and
 * explains (Σwxq)² / Σwq² of Σwx². */
void sym_sums (const Tile *t, int l, Sym sym, vf id, vf *sum_xq, vf *sum_qq);
/* The scale with the least squared error among the least-squares refits of steps extreme / grid[k] and one
 * more refit of the best. `n_grid` is a multiple of GROUP. */
vf sym_search (const Tile *t, int l, Sym sym, const float *grid, int n_grid);
/* Codes of scale `d`: q + offset, or the index into the book. */
void sym_codes (const Tile *t, int l, Sym sym, vf d, float offset, TileCodes *codes);

/* Codes with a minimum: x ≈ s·q + m, q in 0..top. */
typedef struct
{
  vf w, x, q, qq, xq; /* Σw, Σwx, Σwq, Σwq², Σwxq */
} AffineSums;

/* A fraction of the range to clip at either end. */
typedef struct
{
  float low, high;
} AffineClip;

/* errors[k] = Σw(x − s·q − m[k])² with the codes that s and m[k] themselves give, for 3 minima. */
void affine_errors (const Tile *t, int l, float top, vf s, const vf *m, vf *errors);
/* Sums for the codes of s and m. */
void affine_sums (const Tile *t, int l, float top, vf s, vf m, AffineSums *sums);
/* Like sym_search(): each clip gives codes, each set of codes its least-squares line; `negative` keeps the
 * minimum from going above 0. `n_clips` is a multiple of GROUP. */
void affine_search (const Tile *t, int l, float top, bool negative, const AffineClip *clips, int n_clips,
                    vf *s, vf *m);
void affine_codes (const Tile *t, int l, float top, vf s, vf m, TileCodes *codes);

/* `f` is a half already, or close to one. */
INLINE void
put_half (uint8_t *p, float f)
{
  uint16_t h = half_f32_to_f16 (f);
  p[0] = (uint8_t)h;
  p[1] = (uint8_t)(h >> 8);
}

/* 32 codes of 4 bits as GGUF's 32-element types have them: element j low, element j + 16 high. */
INLINE void
put_nibbles (uint8_t *p, const uint8_t *q)
{
  for (int j = 0; j < 16; j++)
    p[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}
