/* SPDX-License-Identifier: MIT
 *
 * Bytes of a result whose rows and blocks need not begin at words. A word that holds other bytes too is changed by an and
 * and an or, both atomic: whoever has the other bytes does the same with theirs. Wants DST_WORD (i).
 */

/* The bytes `bytes` of word `word` under `mask`. */
void
store_word (uint word, uint mask, uint bytes)
{
  if (mask == 0xffffffffu)
    DST_WORD (word) = bytes;
  else if (mask != 0u)
    {
      atomicAnd (DST_WORD (word), ~mask);
      atomicOr (DST_WORD (word), bytes & mask);
    }
}

/* Which bytes of word `word` lie in [from, to). */
uint
store_mask (uint word, uint from, uint to)
{
  uint mask = 0u;
  for (uint b = 0u; b < 4u; b++)
    if (word * 4u + b >= from && word * 4u + b < to)
      mask |= 0xffu << b * 8u;
  return mask;
}

/* Bits of a float's half, which it is already (the range is that of finite halves). */
uint
store_half_bits (float f)
{
  uint u = floatBitsToUint (f), a = u & 0x7fffffffu;
  uint h = a < 0x38800000u ? uint (abs (f) * 16777216.0) : (a >> 13) - (112u << 10);
  return (u >> 16 & 0x8000u) | h;
}

/* The nearest finite half, kept as a float. */
float
store_round_half (float x)
{
  uint sign = floatBitsToUint (x) & 0x80000000u;
  float a = min (abs (x), 65504.0);
  uint bits = floatBitsToUint (a);
  precise float shifted = a + 0.5;
  precise float small = shifted - 0.5;
  uint rounded = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
  return uintBitsToFloat ((a < 6.103515625e-5 ? floatBitsToUint (small) : rounded) | sign);
}
