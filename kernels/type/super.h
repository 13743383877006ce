/* SPDX-License-Identifier: MIT
 *
 * The second level of the K types and IQ4_XS: sub-block scales that are themselves small integers times one
 * half.
 *
 * Rounding a good scale to the nearest integer step is not the best use of that step: codes can follow the
 * scale. So the integer is chosen by the error that it really gives, codes included, among a few neighbours;
 * then the super-block's own scale is refitted by least squares for all codes at once, and the choice
 * repeated with it. Only what lowers the total error is kept. (On the sample model more rounds, more
 * neighbours or several first scales gain less than 0.3 %.)
 */
#pragma once

#include "kernels/type/tile.h"

#define sym_super_search LEVEL (sym_super_search)
#define affine_super_search LEVEL (affine_super_search)

/* Arrays by sub-block; the super-block's scales are repeated in each of its lanes. */
typedef struct
{
  float d[LANES], k[LANES];   /* scale d·k */
  float dm[LANES], km[LANES]; /* minimum −dm·km (types without: unused) */
  float error[LANES];
} ALIGNED Super;

typedef struct
{
  Sym sym;
  int len, joint;    /* elements of a sub-block, sub-blocks of a super-block */
  float k_lo, k_hi;  /* range of the integer scale; the larger end in magnitude is k_lo */
  const float *near; /* distances tried from the nearest integer scale */
  int n_near;        /* a multiple of GROUP */
} SymSuper;

typedef struct
{
  int len, joint;
  float top, k_hi; /* largest code; largest integer scale and minimum */
} AffineSuper;

/* `s`: each sub-block's own best scale. */
void sym_super_search (const Tile *t, const SymSuper *p, const float *s, Super *best);
/* `s` and `m`: each sub-block's own best scale and (negated) minimum, both not below 0. */
void affine_super_search (const Tile *t, const AffineSuper *p, const float *s, const float *m, Super *best);
