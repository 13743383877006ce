/* SPDX-License-Identifier: MIT
 *
 * The code book of IQ4_NL and IQ4_XS (a constant of the GGUF format): denser around zero.
 */
#pragma once

#include <stdint.h>

#define IQ4_BOOK -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

static const float iq4_book[16] = { IQ4_BOOK };
static const int8_t iq4_book_bytes[16] __attribute__ ((unused)) = { IQ4_BOOK };

/* Nearest value without a search. The midpoints between neighbours are at least 11.5 apart, so a bin of width
 * 8 holds at most one. Entry i, for [8i - 128, 8i - 120), is the float of that midpoint (1e9 where there is
 * none) with the index of the value below it in its last four bits: index = bits & 15, plus one above the
 * midpoint. */
static const uint32_t iq4_bins[32] __attribute__ ((unused)) = {
  0x4e6e6b20, 0xc2e70000, 0x4e6e6b21, 0x4e6e6b21, 0xc2bb0001, 0x4e6e6b22, 0xc2940002, 0x4e6e6b23,
  0xc2640003, 0x4e6e6b24, 0xc2280004, 0x4e6e6b25, 0xc1e40005, 0x4e6e6b26, 0xc1800006, 0xc0900007,
  0x40e00008, 0x4e6e6b29, 0x41980009, 0x41fc000a, 0x4e6e6b2b, 0x4236000b, 0x4e6e6b2c, 0x4274000c,
  0x4e6e6b2d, 0x429e000d, 0x4e6e6b2e, 0x4e6e6b2e, 0x42ca000e, 0x4e6e6b2f, 0x4e6e6b2f, 0x4e6e6b2f,
};
