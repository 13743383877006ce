/* SPDX-License-Identifier: MIT
 *
 * Layouts: types whose rows need numbers beside the codes and parameters beside the type. A layer's weight
 * keeps the parameters (SwageWeight.bits, group_size, symmetric), a row has `codes` bytes and `scales` half
 * floats. Nothing here allocates or fails; any thread.
 *
 *   INT   plain N-bit integers in groups, see swage-type.h
 *   LUT   non-uniform codes (SqueezeLLM): `bits` a value, packed as for INT; scales are the row's table of
 *         2^bits values in rising order, x = table[code]. No groups: `group` is 0
 *   BCQ   binary codes (LUT-GEMM): `bits` planes of signs one after the other, each padded to a byte, value i
 * in bit i%8 of byte i/8, a set bit being +1; scales hold for each group of `group` values (a multiple of 8)
 * the `bits` factors α_q, and an offset z unless `symmetric`: x = Σ_q α_q·b_q + z TT    a tensor train for
 * each row (TensorGPT): codes are its cores as half floats, there are no scales. `bits` is the number of
 * cores N, `group` bounds the ranks. The row is a tensor of the dimensions that swage_tt_shape() gives, the
 * first one slowest; x[i_1 … i_N] = G_1[:, i_1, :]·…·G_N[:, i_N, :], cores in order, each [r_{k−1}][d_k][r_k]
 *   OVP   outlier-victim pairs (OliVe): `bits` (4 or 8) a value, packed as for INT, rows padded to a whole
 *         pair of neighbours; scales hold one s for each group of `group` values (a multiple of 8). The code
 *         −2^(bits−1) says that its value is a victim, x = 0, and that the other of the pair is an outlier,
 *         x = ±s·(2^m + mantissa)·2^(exponent + bias): sign, exponent, m mantissa bits from the top, m = 1
 *         and bias 2 in 4 bits, 3 and 4 in 8, exponent and mantissa both 0 being x = 0. All else are
 *         integers in two's complement, x = s·code
 */
#pragma once

#include "kernels/swage-type.h"

#define SWAGE_TT_MAX_CORES 8
#define SWAGE_TT_MAX_RANK 64

/* Whether the type is one of these. */
bool swage_type_is_layout (SwageType type);
/* Bytes of a row's codes, and half floats beside them; 0 where there are none. Rows of n > 0 values. */
size_t swage_layout_code_bytes (SwageType type, int64_t n, int bits, int group);
int64_t swage_layout_scales (SwageType type, int64_t n, int bits, int group, bool symmetric);
/* Whether a row of n values can be stored so: parameters in range. */
bool swage_layout_is_valid (SwageType type, int64_t n, int bits, int group);
/* Elements [from, from + count) of a row of n values, of any of them but INT. `from` is a multiple of 8.
 * Exact: the values that the layout defines, products summed in the order of the formulas above in float. */
void swage_layout_decode (SwageType type, const void *codes, const uint16_t *scales, int64_t n, int64_t from,
                          int64_t count, int bits, int group, bool symmetric, float *out);

/* The dimensions d_1 … d_N of a row of n values with N = `cores`, as equal as its prime factors allow, and
 * the ranks r_0 = 1 … r_N = 1: as large as `rank` and the shape allow. Returns how many numbers the cores
 * have, or 0 for a shape that cannot be. */
int64_t swage_tt_shape (int64_t n, int cores, int rank, int64_t dims[SWAGE_TT_MAX_CORES],
                        int ranks[SWAGE_TT_MAX_CORES + 1]);
