/* SPDX-License-Identifier: MIT
 *
 * SHA-256 against the vectors of FIPS 180-4 / NIST's example values and against GChecksum, in every version
 * that this CPU can run.
 */
#include "core/base/swage-sha256.h"

#include <glib.h>
#include <string.h>

static void
check (SwageSha256Func blocks, const uint8_t *data, size_t n, size_t piece, const char *want)
{
  SwageSha256 sha;
  char hex[65];
  swage_sha256_init (&sha);
  sha.blocks = blocks;
  for (size_t at = 0; at < n; at += piece)
    swage_sha256_update (&sha, data + at, MIN (piece, n - at));
  swage_sha256_finish (&sha, hex);
  g_assert_cmpstr (hex, ==, want);
}

static void
test_vectors (gconstpointer blocks)
{
  static const struct
  {
    const char *text, *hex;
  } vectors[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqr"
      "stnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
  };
  if (blocks == NULL)
    {
      g_test_skip ("this CPU has no SHA instructions");
      return;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (vectors); i++)
    check ((SwageSha256Func)(uintptr_t)blocks, (const uint8_t *)vectors[i].text, strlen (vectors[i].text), 7,
           vectors[i].hex);

  g_autofree uint8_t *million = g_malloc (1000000);
  memset (million, 'a', 1000000);
  check ((SwageSha256Func)(uintptr_t)blocks, million, 1000000, 4099,
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void
test_against_glib (gconstpointer blocks)
{
  if (blocks == NULL)
    {
      g_test_skip ("this CPU has no SHA instructions");
      return;
    }
  uint8_t data[400];
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)g_rand_int (rand);
  for (size_t n = 0; n <= sizeof data; n++)
    {
      g_autofree char *want = g_compute_checksum_for_data (G_CHECKSUM_SHA256, data, n);
      check ((SwageSha256Func)(uintptr_t)blocks, data, n, 1 + n % 90, want);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gconstpointer portable = (gconstpointer)(uintptr_t)swage_sha256_blocks_portable;
  gconstpointer native = (gconstpointer)(uintptr_t)swage_sha256_get_native ();
  g_test_add_data_func ("/base/sha256/portable/vectors", portable, test_vectors);
  g_test_add_data_func ("/base/sha256/portable/glib", portable, test_against_glib);
  g_test_add_data_func ("/base/sha256/native/vectors", native, test_vectors);
  g_test_add_data_func ("/base/sha256/native/glib", native, test_against_glib);
  return g_test_run ();
}
