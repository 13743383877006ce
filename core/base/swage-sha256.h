/* SPDX-License-Identifier: MIT
 *
 * SHA-256 (FIPS 180-4), with the CPU's own instructions where it has them: GChecksum's portable loop would
 * take longer over an exported model than writing it does. Any thread; one context per thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef void (*SwageSha256Func) (uint32_t state[8], const uint8_t *data, size_t n_blocks);

typedef struct
{
  uint32_t state[8];
  uint64_t bytes;
  uint8_t block[64];
  SwageSha256Func blocks; /* set by init; a test may put another in */
} SwageSha256;

void swage_sha256_init (SwageSha256 *sha);
void swage_sha256_update (SwageSha256 *sha, const void *data, size_t n);
/* Writes 64 hexadecimal digits and a NUL; the context is used up. */
void swage_sha256_finish (SwageSha256 *sha, char hex[65]);

/* The compression of whole 64-byte blocks: portable C; and by the CPU's instructions, or NULL where it has
 * none. */
void swage_sha256_blocks_portable (uint32_t state[8], const uint8_t *data, size_t n_blocks);
SwageSha256Func swage_sha256_get_native (void);
