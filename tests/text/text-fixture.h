/* SPDX-License-Identifier: MIT
 *
 * Where the tests of core/text find their files.
 */
#pragma once

#include "core/text/swage-tokenizer.h"

#include <string.h>

static inline char *
source_path (const char *name)
{
  const char *root = g_getenv ("SWAGE_SOURCE_ROOT");
  return g_build_filename (root != NULL ? root : ".", name, NULL);
}

/* NULL, with the test skipped, when the shared files are not on this machine. */
static inline char *
shared_path (const char *name)
{
  const char *shared = g_getenv ("SWAGE_SHARED");
  g_autofree char *beside = source_path ("../shared");
  char *path = g_build_filename (shared != NULL ? shared : beside, name, NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_autofree char *reason = g_strdup_printf ("%s is not here; set SWAGE_SHARED", path);
      g_test_skip (reason);
      g_clear_pointer (&path, g_free);
    }
  return path;
}

static inline char *
read_file (const char *path, gsize *n)
{
  char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (path, &text, n, &error);
  g_assert_no_error (error);
  return text;
}

/* The tokenizer in `folder`, or the file `folder`.json. */
static inline SwageTokenizer *
open_tokenizer (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *config = NULL, *json = g_strdup (path);
  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      g_free (json);
      json = g_build_filename (path, "tokenizer.json", NULL);
      config = g_build_filename (path, "tokenizer_config.json", NULL);
    }
  SwageTokenizer *tok = swage_tokenizer_open_json (json, config, &error);
  g_assert_no_error (error);
  return tok;
}

static inline GArray *
encode (SwageTokenizer *tok, const char *text, gsize n, SwageEncodeFlags flags)
{
  g_autoptr (GError) error = NULL;
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  bool ok = swage_tokenizer_encode (tok, text, n, flags, ids, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
  return ids;
}

static inline GString *
decode (SwageTokenizer *tok, GArray *ids, bool special)
{
  g_autoptr (GError) error = NULL;
  GString *text
      = swage_tokenizer_decode (tok, (const int32_t *)(const void *)ids->data, ids->len, special, &error);
  g_assert_no_error (error);
  return text;
}

/* The ids as "1 2 3", for messages. */
static inline char *
spell_ids (const GArray *ids)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (text, "%s%d", i > 0 ? " " : "", g_array_index (ids, int32_t, i));
  return g_string_free (text, FALSE);
}

/* FNV-1a-64 over the ids as little-endian words. */
static inline uint64_t
hash_ids (uint64_t h, const int32_t *ids, gsize n)
{
  for (gsize i = 0; i < n; i++)
    for (int b = 0; b < 4; b++)
      h = (h ^ ((uint32_t)ids[i] >> (8 * b) & 0xff)) * 0x100000001b3u;
  return h;
}
#define HASH_START 0xcbf29ce484222325u
