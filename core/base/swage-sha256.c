/* SPDX-License-Identifier: MIT
 *
 * FIPS 180-4, sections 4.1.2 to 6.2. The native version does four rounds per step of its loop: SHA256RNDS2
 * works on the state as (A B E F) and (C D G H), and the message schedule keeps the last sixteen words in
 * four registers.
 */
#include "core/base/swage-sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t
rotate (uint32_t x, int n)
{
  return x >> n | x << (32 - n);
}

void
swage_sha256_blocks_portable (uint32_t state[8], const uint8_t *data, size_t n_blocks)
{
  for (; n_blocks > 0; n_blocks--, data += 64)
    {
      uint32_t w[64];
      for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)data[4 * t] << 24 | (uint32_t)data[4 * t + 1] << 16 | (uint32_t)data[4 * t + 2] << 8
               | data[4 * t + 3];
      for (int t = 16; t < 64; t++)
        {
          uint32_t s0 = rotate (w[t - 15], 7) ^ rotate (w[t - 15], 18) ^ w[t - 15] >> 3;
          uint32_t s1 = rotate (w[t - 2], 17) ^ rotate (w[t - 2], 19) ^ w[t - 2] >> 10;
          w[t] = w[t - 16] + s0 + w[t - 7] + s1;
        }

      uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
      uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
      for (int t = 0; t < 64; t++)
        {
          uint32_t t1
              = h + (rotate (e, 6) ^ rotate (e, 11) ^ rotate (e, 25)) + ((e & f) ^ (~e & g)) + K[t] + w[t];
          uint32_t t2 = (rotate (a, 2) ^ rotate (a, 13) ^ rotate (a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
          h = g;
          g = f;
          f = e;
          e = d + t1;
          d = c;
          c = b;
          b = a;
          a = t1 + t2;
        }
      state[0] += a;
      state[1] += b;
      state[2] += c;
      state[3] += d;
      state[4] += e;
      state[5] += f;
      state[6] += g;
      state[7] += h;
    }
}

#if defined(__x86_64__)
__attribute__ ((target ("sha,sse4.1"))) static void
blocks_sha_ni (uint32_t state[8], const uint8_t *data, size_t n_blocks)
{
  const __m128i big_endian = _mm_set_epi64x (0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abcd = _mm_shuffle_epi32 (_mm_loadu_si128 ((const __m128i *)state), 0xb1);
  __m128i efgh = _mm_shuffle_epi32 (_mm_loadu_si128 ((const __m128i *)(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8 (abcd, efgh, 8);
  __m128i cdgh = _mm_blend_epi16 (efgh, abcd, 0xf0);

  for (; n_blocks > 0; n_blocks--, data += 64)
    {
      const __m128i abef_before = abef, cdgh_before = cdgh;
      __m128i w[4];
#pragma GCC unroll 16
      for (int g = 0; g < 16; g++)
        {
          if (g < 4)
            w[g] = _mm_shuffle_epi8 (_mm_loadu_si128 ((const __m128i *)(data + 16 * g)), big_endian);
          else
            {
              __m128i last = w[(g + 3) & 3];
              __m128i sum = _mm_add_epi32 (_mm_sha256msg1_epu32 (w[g & 3], w[(g + 1) & 3]),
                                           _mm_alignr_epi8 (last, w[(g + 2) & 3], 4));
              w[g & 3] = _mm_sha256msg2_epu32 (sum, last);
            }
          __m128i wk = _mm_add_epi32 (w[g & 3], _mm_loadu_si128 ((const __m128i *)(K + 4 * g)));
          cdgh = _mm_sha256rnds2_epu32 (cdgh, abef, wk);
          abef = _mm_sha256rnds2_epu32 (abef, cdgh, _mm_shuffle_epi32 (wk, 0x0e));
        }
      abef = _mm_add_epi32 (abef, abef_before);
      cdgh = _mm_add_epi32 (cdgh, cdgh_before);
    }

  __m128i feba = _mm_shuffle_epi32 (abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32 (cdgh, 0xb1);
  _mm_storeu_si128 ((__m128i *)state, _mm_blend_epi16 (feba, dchg, 0xf0));
  _mm_storeu_si128 ((__m128i *)(state + 4), _mm_alignr_epi8 (dchg, feba, 8));
}
#endif

SwageSha256Func
swage_sha256_get_native (void)
{
#if defined(__x86_64__)
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count (7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_SHA) != 0
      && __get_cpuid (1, &eax, &ebx, &ecx, &edx) && (ecx & bit_SSE4_1) != 0 && (ecx & bit_SSSE3) != 0)
    return blocks_sha_ni;
#endif
  return NULL;
}

void
swage_sha256_init (SwageSha256 *sha)
{
  static const uint32_t start[8]
      = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
  memcpy (sha->state, start, sizeof start);
  sha->bytes = 0;
  sha->blocks = swage_sha256_get_native ();
  if (sha->blocks == NULL)
    sha->blocks = swage_sha256_blocks_portable;
}

void
swage_sha256_update (SwageSha256 *sha, const void *data, size_t n)
{
  const uint8_t *p = data;
  size_t fill = sha->bytes % 64;
  sha->bytes += n;
  if (n == 0)
    return;
  if (fill > 0)
    {
      size_t part = n < 64 - fill ? n : 64 - fill;
      memcpy (sha->block + fill, p, part);
      p += part;
      n -= part;
      if (fill + part < 64)
        return;
      sha->blocks (sha->state, sha->block, 1);
    }
  if (n >= 64)
    {
      sha->blocks (sha->state, p, n / 64);
      p += n / 64 * 64;
      n %= 64;
    }
  memcpy (sha->block, p, n);
}

void
swage_sha256_finish (SwageSha256 *sha, char hex[65])
{
  uint64_t bits = sha->bytes * 8;
  size_t fill = sha->bytes % 64;
  uint8_t tail[72] = { 0x80 };
  size_t n = (fill < 56 ? 56 : 120) - fill;
  for (int i = 0; i < 8; i++)
    tail[n + i] = (uint8_t)(bits >> (56 - 8 * i));
  swage_sha256_update (sha, tail, n + 8);
  for (int i = 0; i < 64; i++)
    hex[i] = "0123456789abcdef"[sha->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
  hex[64] = '\0';
}
