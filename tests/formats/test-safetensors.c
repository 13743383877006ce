/* SPDX-License-Identifier: MIT
 *
 * The safetensors reader against a file of the reference writer, against every way of cutting it short and
 * against headers that lie; the writer against the reader.
 */
#include "core/format/swage-safetensors.h"
#include "tests/formats/tiny.h"

/* Makes a file of this header and `n` bytes of buffer and parses it. */
static GPtrArray *
parse (const char *header, size_t n, GError **error)
{
  size_t length = strlen (header), size = 8 + length + n;
  g_autofree uint8_t *file = g_malloc0 (size);
  for (int i = 0; i < 8; i++)
    file[i] = (uint8_t)((uint64_t)length >> (8 * i));
  memcpy (file + 8, header, length);
  return swage_safetensors_parse (file, size, size, "test", NULL, error);
}

static void
test_foreign (void)
{
  GError *error = NULL;
  g_autofree char *path = tiny_fixture ("foreign.safetensors");
  g_autoptr (SwageSafetensors) st = swage_safetensors_open (path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (swage_safetensors_get_n_tensors (st), ==, 8);
  g_assert_cmpstr (swage_safetensors_get_metadata (st, "format"), ==, "pt");
  g_assert_cmpstr (swage_safetensors_get_metadata (st, "note"), ==, "Grüße");
  g_assert_null (swage_safetensors_get_metadata (st, "nothing"));

  static const struct
  {
    const char *name, *dtype;
    SwageType type;
    int n_dims;
    int64_t shape[3];
    int k; /* of the value formula; 0: not floats */
  } expected[] = {
    { "float32", "F32", SWAGE_TYPE_F32, 2, { 3, 5 }, 1 },
    { "float16", "F16", SWAGE_TYPE_F16, 2, { 4, 2 }, 2 },
    { "bfloat16", "BF16", SWAGE_TYPE_BF16, 3, { 2, 2, 3 }, 3 },
    { "int64", "I64", SWAGE_TYPE_I64, 1, { 7 }, 0 },
    { "bool", "BOOL", SWAGE_TYPE_BOOL, 1, { 3 }, 0 },
    { "scalar", "F32", SWAGE_TYPE_F32, 0, { 0 }, 0 },
    { "empty", "F32", SWAGE_TYPE_F32, 2, { 0, 4 }, 0 },
    { "fp8", "F8_E4M3", SWAGE_TYPE_NONE, 1, { 2 }, 0 },
  };
  uint64_t end = 0;
  for (int i = 0; i < swage_safetensors_get_n_tensors (st); i++)
    {
      const SwageTensorInfo *info = swage_safetensors_get_tensor (st, i);
      g_assert_cmpuint (info->offset, >=, end); /* in file order */
      end = info->offset + info->bytes;
      bool found = false;
      for (size_t e = 0; e < G_N_ELEMENTS (expected); e++)
        {
          if (strcmp (expected[e].name, info->name) != 0)
            continue;
          found = true;
          g_assert_cmpstr (info->dtype, ==, expected[e].dtype);
          g_assert_cmpint (info->type, ==, expected[e].type);
          g_assert_cmpint (info->n_dims, ==, expected[e].n_dims);
          int64_t elements = 1;
          for (int d = 0; d < info->n_dims; d++)
            {
              g_assert_cmpint (info->shape[d], ==, expected[e].shape[d]);
              elements *= info->shape[d];
            }
          g_autoptr (GBytes) data = swage_safetensors_get_data (st, i);
          g_assert_cmpuint (g_bytes_get_size (data), ==, info->bytes);
          if (expected[e].k == 0)
            continue;
          g_autofree float *values = g_new (float, elements);
          swage_type_to_f32 (info->type, g_bytes_get_data (data, NULL), values, elements);
          for (int64_t v = 0; v < elements; v++)
            g_assert_cmpfloat (values[v], ==, tiny_value (v, expected[e].k));
        }
      g_assert_true (found);
    }
}

static void
test_cut_short (void)
{
  g_autofree char *path = tiny_fixture ("foreign.safetensors");
  g_autofree char *text = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &text, &n, NULL));
  for (gsize length = 0; length < n; length++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree uint8_t *copy = g_memdup2 (text, length);
      g_assert_null (swage_safetensors_parse (copy, length, length, "cut", NULL, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
    }
  g_autofree uint8_t *longer = g_malloc0 (n + 1);
  g_autoptr (GError) error = NULL;
  memcpy (longer, text, n);
  g_assert_null (swage_safetensors_parse (longer, n + 1, n + 1, "long", NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
}

static void
test_hostile (void)
{
#define T(offsets) "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}"
  static const struct
  {
    const char *header;
    size_t buffer;
  } cases[] = {
    { "[]", 0 },
    { "{", 0 },
    { "{\"a\":1}", 0 },
    { "{\"a\":{}}", 0 },
    { "{\"a\":" T ("[0,8]") "", 8 },                                           /* not closed */
    { "{\"a\":" T ("[0,8]") "}", 7 },                                          /* beyond the end */
    { "{\"a\":" T ("[0,8]") "}", 9 },                                          /* bytes behind */
    { "{\"a\":" T ("[8,0]") "}", 8 },                                          /* backwards */
    { "{\"a\":" T ("[-8,0]") "}", 8 },                                         /* before the buffer */
    { "{\"a\":" T ("[0]") "}", 8 },                                            /* one offset */
    { "{\"a\":" T ("[0,8.0]") "}", 8 },                                        /* not whole */
    { "{\"a\":" T ("[0,\"8\"]") "}", 8 },                                      /* not a number */
    { "{\"a\":" T ("[0,8]") ",\"b\":" T ("[4,12]") "}", 12 },                  /* overlap */
    { "{\"a\":" T ("[0,8]") ",\"b\":" T ("[0,8]") "}", 8 },                    /* the same bytes */
    { "{\"a\":" T ("[0,8]") ",\"b\":" T ("[12,20]") "}", 20 },                 /* hole */
    { "{\"a\":" T ("[4,12]") "}", 12 },                                        /* hole in front */
    { "{\"a\":" T ("[0,8]") ",\"a\":" T ("[8,16]") "}", 16 },                  /* twice */
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8 }, /* shape and bytes differ */
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":{\"dtype\":\"A_TYPE_WITH_A_LONG_NAME\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
      8 }, /* nine dimensions */
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],\"data_offsets\":[0,0]}}",
      0 }, /* 2^65 */
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}",
      0 }, /* 2^62 · 4 */
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8 },
    { "{\"a\":" T ("[0,9223372036854775807]") "}", 8 },
    { "{\"__metadata__\":7,\"a\":" T ("[0,8]") "}", 8 },
    { "{\"__metadata__\":{\"k\":7},\"a\":" T ("[0,8]") "}", 8 },
    { "{\"a\\u0000b\":" T ("[0,8]") "}", 8 },
    { " {\"a\":" T ("[0,8]") "}", 8 }, /* the reference wants the brace first */
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_test_message ("%s", cases[i].header);
      g_assert_null (parse (cases[i].header, cases[i].buffer, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }

  /* lengths of the header itself */
  static const uint64_t lengths[] = { 0, 1, 9, 100000001, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 8 };
  for (size_t i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      uint8_t file[16] = "        {\"a\":{}";
      g_autoptr (GError) error = NULL;
      for (int b = 0; b < 8; b++)
        file[b] = (uint8_t)(lengths[i] >> (8 * b));
      g_assert_null (swage_safetensors_parse (file, sizeof file, sizeof file, "test", NULL, &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
    }

  /* and some that are odd but right */
  static const struct
  {
    const char *header;
    size_t buffer;
    guint n;
  } good[] = {
    { "{}", 0, 0 },
    { "{\"__metadata__\":{}}   ", 0, 0 },
    { "{\"b\":" T ("[8,16]") ",\"a\":" T ("[0,8]") "}", 16, 2 },
    { "{\"a\":" T ("[0,8]") ",\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[8,8]}}", 8, 2 },
    { "{\"a\":" T ("[0,8]") ",\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 8, 2 },
    { "{\"a\":{\"dtype\":\"F4\",\"shape\":[16],\"data_offsets\":[0,8]}}", 8, 1 }, /* a type of the future */
  };
  for (size_t i = 0; i < G_N_ELEMENTS (good); i++)
    {
      GError *error = NULL;
      g_autoptr (GPtrArray) tensors = parse (good[i].header, good[i].buffer, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (tensors->len, ==, good[i].n);
    }
#undef T
}

static void
test_write (void)
{
  GError *error = NULL;
  g_autofree char *folder = tiny_folder ();
  g_autofree char *path = g_build_filename (folder, "out.safetensors", NULL);
  SwageTensorInfo infos[] = { { .name = (char *)"z", .type = SWAGE_TYPE_F32, .n_dims = 2, .shape = { 2, 3 } },
                              { .name = (char *)"a", .type = SWAGE_TYPE_BF16, .n_dims = 1, .shape = { 5 } },
                              { .name = (char *)"ü", .type = SWAGE_TYPE_I64, .n_dims = 0 } };
  const char *metadata[] = { "format", "pt", NULL };
  const float z[6] = { 1, 2, 3, 4, 5, 6 };
  const uint16_t a[5] = { 0x3f80, 0, 0, 0, 0xbf80 };
  const int64_t u = -7;
  g_autofree char *sha256[2] = { NULL, NULL };
  uint64_t bytes = 0;
  for (int round = 0; round < 2; round++)
    {
      g_autoptr (SwageSafetensorsWriter) w
          = swage_safetensors_writer_new (path, infos, 3, metadata, round > 0, &error);
      g_assert_no_error (error);
      g_assert_true (swage_safetensors_writer_write (w, z, 4, &error)); /* in pieces */
      g_assert_true (swage_safetensors_writer_write (w, z + 1, 20, &error));
      g_assert_true (swage_safetensors_writer_write (w, a, sizeof a, &error));
      g_assert_true (swage_safetensors_writer_write (w, &u, sizeof u, &error));
      g_assert_true (swage_safetensors_writer_commit (w, &sha256[round], &bytes, &error));
      g_assert_cmpuint (bytes, ==, swage_safetensors_count_bytes (infos, 3, metadata));
    }
  g_assert_cmpstr (sha256[0], ==, sha256[1]);
  g_free (g_steal_pointer (&sha256[1]));

  g_autoptr (SwageSafetensors) st = swage_safetensors_open (path, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (swage_safetensors_get_tensor (st, 0)->name, ==, "z");
  g_assert_cmpuint (swage_safetensors_get_tensor (st, 0)->offset % 8, ==, 0);
  g_assert_cmpstr (swage_safetensors_get_tensor (st, 2)->name, ==, "ü");
  g_autoptr (GBytes) data = swage_safetensors_get_data (st, 1);
  g_assert_cmpmem (g_bytes_get_data (data, NULL), g_bytes_get_size (data), a, sizeof a);

  /* too little, too much, a type the format lacks, a file that is there: nothing changes on disk */
  g_autofree char *other = g_build_filename (folder, "other.safetensors", NULL);
  g_autoptr (SwageSafetensorsWriter) w = swage_safetensors_writer_new (other, infos, 3, NULL, false, &error);
  g_assert_no_error (error);
  g_assert_true (swage_safetensors_writer_write (w, z, sizeof z, &error));
  g_assert_false (swage_safetensors_writer_commit (w, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED);
  g_clear_error (&error);
  uint8_t much[100] = { 0 };
  g_assert_false (swage_safetensors_writer_write (w, much, sizeof much, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED);
  g_clear_error (&error);
  g_clear_pointer (&w, swage_safetensors_writer_free);
  infos[0].type = SWAGE_TYPE_Q4_K;
  g_assert_null (swage_safetensors_writer_new (other, infos, 3, NULL, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  infos[0].type = SWAGE_TYPE_F32;
  g_assert_null (swage_safetensors_writer_new (path, infos, 3, NULL, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_cmpint (tiny_count_files (folder), ==, 1);
  tiny_remove (folder);
}

static void
test_not_a_file (void)
{
  g_autofree char *folder = tiny_folder ();
  g_autofree char *empty = g_build_filename (folder, "empty", NULL);
  g_autofree char *absent = g_build_filename (folder, "absent", NULL);
  const char *paths[] = { folder, empty, absent, "/dev/null" };
  const int codes[]
      = { SWAGE_ERROR_INVALID, SWAGE_ERROR_CORRUPT, SWAGE_ERROR_NOT_FOUND, SWAGE_ERROR_INVALID };
  tiny_write (folder, "empty", "", 0);
  for (size_t i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (swage_safetensors_open (paths[i], &error));
      g_assert_error (error, SWAGE_ERROR, codes[i]);
    }
  tiny_remove (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/safetensors/foreign", test_foreign);
  g_test_add_func ("/safetensors/cut-short", test_cut_short);
  g_test_add_func ("/safetensors/hostile", test_hostile);
  g_test_add_func ("/safetensors/write", test_write);
  g_test_add_func ("/safetensors/not-a-file", test_not_a_file);
  return g_test_run ();
}
