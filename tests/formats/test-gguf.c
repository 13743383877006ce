/* SPDX-License-Identifier: MIT
 *
 * The GGUF reader against files of the gguf package, cut short at every length and with every kind of lie in
 * the header; the writer against the reader.
 */
#include "core/format/swage-gguf.h"
#include "tests/formats/tiny.h"

/* ---- headers by hand ---- */

static void
put (GByteArray *to, uint64_t value, int bytes)
{
  uint8_t le[8];
  for (int i = 0; i < bytes; i++)
    le[i] = (uint8_t)(value >> (8 * i));
  g_byte_array_append (to, le, (guint)bytes);
}

static void
put_text (GByteArray *to, const char *text)
{
  put (to, strlen (text), 8);
  g_byte_array_append (to, (const uint8_t *)text, (guint)strlen (text));
}

static GByteArray *
header (uint64_t version, uint64_t n_tensors, uint64_t n_keys)
{
  GByteArray *file = g_byte_array_new ();
  g_byte_array_append (file, (const uint8_t *)"GGUF", 4);
  put (file, version, 4);
  put (file, n_tensors, 8);
  put (file, n_keys, 8);
  return file;
}

static void
put_tensor (GByteArray *to, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
            uint64_t offset)
{
  put_text (to, name);
  put (to, n_dims, 4);
  for (uint32_t d = 0; d < n_dims; d++)
    put (to, ne[d], 8);
  put (to, type, 4);
  put (to, offset, 8);
}

/* Pads to 32, appends n bytes of data, and asserts that parsing fails (code) or works (0). Takes the array.
 */
static void
check_parse (GByteArray *file, size_t n, int code, const char *what)
{
  g_autoptr (GError) error = NULL;
  g_test_message ("%s", what);
  while (file->len % 32 != 0)
    put (file, 0, 1);
  size_t size = file->len + n;
  g_autofree uint8_t *copy = g_malloc0 (size);
  memcpy (copy, file->data, file->len);
  g_byte_array_unref (file);
  g_autoptr (SwageGguf) gguf = swage_gguf_parse (copy, size, size, "test", &error);
  if (code == 0)
    {
      g_assert_no_error (error);
      g_assert_nonnull (gguf);
    }
  else
    {
      g_assert_null (gguf);
      g_assert_error (error, SWAGE_ERROR, code);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
}

/* ---- reading ---- */

static void
test_foreign (void)
{
  GError *error = NULL;
  g_autofree char *path = tiny_fixture ("foreign.gguf");
  g_autoptr (SwageGguf) gguf = swage_gguf_open (path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (swage_gguf_get_n_files (gguf), ==, 1);
  g_assert_cmpstr (swage_gguf_get_string (gguf, "general.architecture"), ==, "test");
  g_assert_cmpstr (swage_gguf_get_string (gguf, "k.string"), ==, "Grüße ▁Ġ");
  g_assert_null (swage_gguf_get_string (gguf, "k.u8"));
  g_assert_null (swage_gguf_get_string (gguf, "absent"));

  static const struct
  {
    const char *key;
    int64_t value;
  } ints[] = { { "k.u8", 200 },
               { "k.i8", -100 },
               { "k.u16", 60000 },
               { "k.i16", -30000 },
               { "k.u32", 4000000000 },
               { "k.i32", -2000000000 },
               { "k.i64", -(INT64_C (1) << 62) } };
  int64_t i;
  double d;
  bool b;
  for (size_t k = 0; k < G_N_ELEMENTS (ints); k++)
    {
      g_assert_true (swage_gguf_get_int (gguf, ints[k].key, &i));
      g_assert_cmpint (i, ==, ints[k].value);
      g_assert_true (swage_gguf_get_double (gguf, ints[k].key, &d));
      g_assert_cmpfloat (d, ==, (double)ints[k].value);
    }
  g_assert_false (swage_gguf_get_int (gguf, "k.u64", &i)); /* does not fit */
  g_assert_false (swage_gguf_get_int (gguf, "k.f32", &i));
  g_assert_true (swage_gguf_get_double (gguf, "k.f32", &d));
  g_assert_cmpfloat (d, ==, (double)0.1f);
  g_assert_true (swage_gguf_get_double (gguf, "k.f64", &d));
  g_assert_cmpfloat (d, ==, 0.1);
  g_assert_true (swage_gguf_get_bool (gguf, "k.bool", &b));
  g_assert_true (b);
  g_assert_false (swage_gguf_get_bool (gguf, "k.u8", &b));

  int64_t n;
  const size_t *lengths;
  const char *const *strings = swage_gguf_get_strings (gguf, "k.strings", &lengths, &n);
  g_assert_cmpint (n, ==, 4);
  g_assert_cmpstr (strings[0], ==, "");
  g_assert_cmpstr (strings[2], ==, "▁the");
  g_assert_cmpuint (lengths[2], ==, 6);
  g_assert_true (swage_gguf_get_strings (gguf, "k.strings", NULL, &n) == strings);
  g_assert_null (swage_gguf_get_strings (gguf, "k.ints", NULL, &n));
  const int32_t *numbers = swage_gguf_get_ints (gguf, "k.ints", &n);
  g_assert_cmpint (n, ==, 3);
  g_assert_cmpint (numbers[1], ==, -2);
  g_assert_null (swage_gguf_get_ints (gguf, "k.floats", &n));
  const float *floats = swage_gguf_get_floats (gguf, "k.floats", &n);
  g_assert_cmpint (n, ==, 2);
  g_assert_cmpfloat (floats[1], ==, -1.25f);

  static const struct
  {
    const char *name;
    SwageType type;
    int64_t rows, cols;
    int k;
  } tensors[] = { { "float32", SWAGE_TYPE_F32, 3, 5, 1 },
                  { "float16", SWAGE_TYPE_F16, 4, 2, 2 },
                  { "q8_0", SWAGE_TYPE_Q8_0, 2, 64, 3 },
                  { "vector", SWAGE_TYPE_F32, 1, 9, 4 } };
  g_assert_cmpint (swage_gguf_get_n_tensors (gguf), ==, G_N_ELEMENTS (tensors));
  for (int t = 0; t < swage_gguf_get_n_tensors (gguf); t++)
    {
      const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, t);
      g_assert_cmpstr (info->name, ==, tensors[t].name);
      g_assert_cmpint (info->type, ==, tensors[t].type);
      g_assert_cmpint (info->n_dims, ==, tensors[t].rows > 1 ? 2 : 1);
      g_assert_cmpint (info->shape[0], ==, tensors[t].rows > 1 ? tensors[t].rows : tensors[t].cols);
      g_assert_cmpuint (info->offset % 64, ==, 0); /* general.alignment */
      g_autoptr (GBytes) data = swage_gguf_get_data (gguf, t);
      g_assert_cmpuint (g_bytes_get_size (data), ==, info->bytes);
      int64_t elements = tensors[t].rows * tensors[t].cols;
      g_autofree float *values = g_new (float, elements);
      swage_type_to_f32 (info->type, g_bytes_get_data (data, NULL), values, elements);
      /* Q8_0: half a step of absmax/127 */
      double tolerance = info->type == SWAGE_TYPE_Q8_0 ? 50.0 / 16 / 127 * 0.51 : 0;
      for (int64_t v = 0; v < elements; v++)
        g_assert_cmpfloat_with_epsilon (values[v], tiny_value (v, tensors[t].k), tolerance + 1e-30);
    }
}

static void
test_cut_short (void)
{
  static const char *const names[] = { "foreign.gguf", "split-00001-of-00003.gguf" };
  for (size_t f = 0; f < G_N_ELEMENTS (names); f++)
    {
      g_autofree char *path = tiny_fixture (names[f]);
      g_autofree char *text = NULL;
      gsize n;
      GError *error = NULL;
      g_assert_true (g_file_get_contents (path, &text, &n, NULL));
      g_autoptr (SwageGguf) whole = swage_gguf_parse ((const uint8_t *)text, n, n, "whole", &error);
      g_assert_no_error (error);
      const SwageTensorInfo *last = swage_gguf_get_tensor (whole, swage_gguf_get_n_tensors (whole) - 1);
      for (gsize length = 0; length < n; length++)
        {
          g_autofree uint8_t *copy = g_memdup2 (text, length);
          g_autoptr (SwageGguf) gguf = swage_gguf_parse (copy, length, length, "cut", &error);
          if (length >= last->offset + last->bytes) /* padding alone is missing */
            {
              g_assert_no_error (error);
              continue;
            }
          g_assert_null (gguf);
          g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
          g_clear_error (&error);
        }
    }
}

/* Any one byte changed: an error or a file that is as safe as another. */
static void
test_flipped (void)
{
  g_autofree char *path = tiny_fixture ("foreign.gguf");
  g_autofree char *text = NULL;
  gsize n;
  g_assert_true (g_file_get_contents (path, &text, &n, NULL));
  static const uint8_t masks[] = { 0x01, 0x80, 0xff };
  for (gsize at = 0; at < n; at++)
    for (size_t m = 0; m < G_N_ELEMENTS (masks); m++)
      {
        g_autofree uint8_t *copy = g_memdup2 (text, n);
        copy[at] ^= masks[m];
        g_autoptr (SwageGguf) gguf = swage_gguf_parse (copy, n, n, "flipped", NULL);
        for (int t = 0; gguf != NULL && t < swage_gguf_get_n_tensors (gguf); t++)
          {
            const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, t);
            g_assert_true (info->offset <= n && info->bytes <= n - info->offset);
          }
      }
}

static void
test_hostile (void)
{
  static const uint64_t one[1] = { 32 }, big[2] = { UINT64_C (1) << 40, UINT64_C (1) << 40 },
                        zero[2] = { 32, 0 }, odd[1] = { 33 }, negative[1] = { UINT64_MAX },
                        huge[1] = { UINT64_C (1) << 62 }, five[5] = { 1, 1, 1, 1, 1 },
                        four[4] = { 2, 2, 2, 4 };
  GByteArray *f;

  check_parse (header (3, 0, 0), 0, 0, "nothing in it");
  check_parse (header (2, 0, 0), 0, 0, "version 2");
  check_parse (header (1, 0, 0), 0, SWAGE_ERROR_UNSUPPORTED, "version 1");
  check_parse (header (4, 0, 0), 0, SWAGE_ERROR_UNSUPPORTED, "version 4");
  check_parse (header (0x03000000, 0, 0), 0, SWAGE_ERROR_UNSUPPORTED, "big-endian");
  check_parse (header (3, UINT64_MAX, 0), 0, SWAGE_ERROR_CORRUPT, "endless tensors");
  check_parse (header (3, 0, UINT64_MAX), 0, SWAGE_ERROR_CORRUPT, "endless metadata");
  check_parse (header (3, 1000, 0), 0, SWAGE_ERROR_CORRUPT, "more tensors than there are");
  check_parse (header (3, 0, 1000), 0, SWAGE_ERROR_CORRUPT, "more metadata than there is");

  static const uint64_t lengths[] = { 0, 70000, UINT32_MAX, INT64_MAX, UINT64_MAX };
  for (size_t i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      f = header (3, 0, 1);
      put (f, lengths[i], 8);
      check_parse (f, 100, SWAGE_ERROR_CORRUPT, "length of a key");
      f = header (3, 1, 0);
      put (f, lengths[i], 8);
      check_parse (f, 100, SWAGE_ERROR_CORRUPT, "length of a tensor's name");
      if (lengths[i] == 0)
        continue;
      f = header (3, 0, 1);
      put_text (f, "k");
      put (f, SWAGE_GGUF_STRING, 4);
      put (f, lengths[i], 8);
      check_parse (f, 100, SWAGE_ERROR_CORRUPT, "length of a string");
      for (int kind = 0; kind <= 13; kind++)
        {
          f = header (3, 0, 1);
          put_text (f, "k");
          put (f, SWAGE_GGUF_ARRAY, 4);
          put (f, (uint64_t)kind, 4);
          put (f, lengths[i], 8);
          check_parse (f, 100, SWAGE_ERROR_CORRUPT, "length of an array");
        }
    }

  f = header (3, 0, 1);
  put_text (f, "k");
  put (f, 13, 4);
  check_parse (f, 100, SWAGE_ERROR_CORRUPT, "unknown kind");
  f = header (3, 0, 1);
  put_text (f, "\xff\xfe");
  put (f, 0, 4);
  check_parse (f, 100, SWAGE_ERROR_CORRUPT, "key that is not text");
  f = header (3, 0, 2);
  for (int i = 0; i < 2; i++)
    {
      put_text (f, "k");
      put (f, SWAGE_GGUF_U8, 4);
      put (f, 7, 1);
    }
  check_parse (f, 0, SWAGE_ERROR_CORRUPT, "a key twice");
  for (int depth = 2; depth <= 64; depth += 31)
    {
      f = header (3, 0, 1);
      put_text (f, "k");
      put (f, SWAGE_GGUF_ARRAY, 4);
      for (int i = 0; i < depth; i++)
        {
          put (f, i < depth - 1 ? SWAGE_GGUF_ARRAY : SWAGE_GGUF_U8, 4);
          put (f, 1, 8);
        }
      put (f, 5, 1);
      check_parse (f, 0, depth <= 4 ? 0 : SWAGE_ERROR_CORRUPT, "nested arrays");
    }

  static const struct
  {
    const char *what;
    const char *name;
    uint32_t n_dims;
    const uint64_t *ne;
    uint32_t type;
    uint64_t offset;
    size_t data;
    int code;
  } tensors[] = {
    { "right", "t", 1, one, 0, 0, 128, 0 },
    { "four dimensions", "t", 4, four, 0, 0, 128, 0 },
    { "no dimensions", "t", 0, one, 0, 0, 4, 0 },
    { "a foreign type", "t", 1, one, 39, 0, 17, 0 },
    { "cut off", "t", 1, one, 0, 0, 127, SWAGE_ERROR_CORRUPT },
    { "unknown type", "t", 1, one, 4, 0, 128, SWAGE_ERROR_UNSUPPORTED },
    { "unknown type", "t", 1, one, UINT32_MAX, 0, 128, SWAGE_ERROR_UNSUPPORTED },
    { "five dimensions", "t", 5, five, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "endless dimensions", "t", UINT32_MAX - 4, NULL, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "2^80 elements", "t", 2, big, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "none", "t", 2, zero, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "rows cut a block", "t", 1, odd, 8, 0, 128, SWAGE_ERROR_CORRUPT },
    { "negative", "t", 1, negative, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "2^64 bytes", "t", 1, huge, 0, 0, 128, SWAGE_ERROR_CORRUPT },
    { "a gap", "t", 1, one, 0, 32, 200, SWAGE_ERROR_CORRUPT },
    { "far away", "t", 1, one, 0, UINT64_MAX, 128, SWAGE_ERROR_CORRUPT },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (tensors); i++)
    {
      f = header (3, 1, 0);
      if (tensors[i].ne == NULL)
        {
          put_text (f, "t");
          put (f, tensors[i].n_dims, 4);
        }
      else
        put_tensor (f, tensors[i].name, tensors[i].n_dims, tensors[i].ne, tensors[i].type, tensors[i].offset);
      check_parse (f, tensors[i].data, tensors[i].code, tensors[i].what);
    }
  f = header (3, 2, 0);
  put_tensor (f, "t", 1, one, 0, 0);
  put_tensor (f, "t", 1, one, 0, 128);
  check_parse (f, 256, SWAGE_ERROR_CORRUPT, "a tensor twice");
  f = header (3, 2, 0);
  put_tensor (f, "t", 1, one, 0, 0);
  put_tensor (f, "u", 1, one, 0, 0);
  check_parse (f, 256, SWAGE_ERROR_CORRUPT, "overlap");

  static const uint32_t alignments[] = { 0, 3, 48, 1u << 21, UINT32_MAX, 8 };
  for (size_t i = 0; i < G_N_ELEMENTS (alignments); i++)
    {
      f = header (3, 1, 1);
      put_text (f, "general.alignment");
      put (f, SWAGE_GGUF_U32, 4);
      put (f, alignments[i], 4);
      put_tensor (f, "t", 1, one, 0, 0);
      check_parse (f, 128, alignments[i] == 8 ? 0 : SWAGE_ERROR_CORRUPT, "alignment");
    }
  f = header (3, 0, 1);
  put_text (f, "general.alignment");
  put (f, SWAGE_GGUF_STRING, 4);
  put_text (f, "32");
  check_parse (f, 0, SWAGE_ERROR_CORRUPT, "alignment that is no number");
}

static void
test_split (void)
{
  for (int part = 1; part <= 3; part++)
    {
      GError *error = NULL;
      g_autofree char *name = g_strdup_printf ("split-%05d-of-00003.gguf", part);
      g_autofree char *path = tiny_fixture (name);
      g_autoptr (SwageGguf) gguf = swage_gguf_open (path, &error);
      int64_t value = 0;
      g_assert_no_error (error);
      g_assert_cmpint (swage_gguf_get_n_files (gguf), ==, 3);
      g_assert_cmpint (swage_gguf_get_n_tensors (gguf), ==, 5);
      g_assert_true (swage_gguf_get_int (gguf, "k.first", &value));
      for (int t = 0; t < 5; t++)
        {
          const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, t);
          g_autofree char *expected = g_strdup_printf ("t%d", t);
          g_assert_cmpstr (info->name, ==, expected);
          g_assert_cmpint (info->file, ==, t / 2);
          g_autoptr (GBytes) data = swage_gguf_get_data (gguf, t);
          const float *values = g_bytes_get_data (data, NULL);
          for (int64_t i = 0; i < (t + 1) * 4; i++)
            g_assert_cmpfloat (values[i], ==, tiny_value (i, t));
        }
    }

  /* a part is missing; a part is another's; a name that does not tell the others' */
  g_autofree char *folder = tiny_folder ();
  g_autofree char *first = g_build_filename (folder, "split-00001-of-00003.gguf", NULL);
  g_autofree char *renamed = g_build_filename (folder, "renamed.gguf", NULL);
  g_autofree char *text[3] = { NULL };
  gsize n[3];
  for (int i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("split-%05d-of-00003.gguf", i + 1);
      g_autofree char *path = tiny_fixture (name);
      g_assert_true (g_file_get_contents (path, &text[i], &n[i], NULL));
    }
  GError *error = NULL;
  tiny_write (folder, "split-00001-of-00003.gguf", text[0], n[0]);
  tiny_write (folder, "split-00002-of-00003.gguf", text[1], n[1]);
  g_assert_null (swage_gguf_open (first, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  tiny_write (folder, "split-00003-of-00003.gguf", text[1], n[1]);
  g_assert_null (swage_gguf_open (first, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_clear_error (&error);
  tiny_write (folder, "renamed.gguf", text[0], n[0]);
  g_assert_null (swage_gguf_open (renamed, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  for (int i = 0; i < 3; i++)
    g_free (g_steal_pointer (&text[i]));
  tiny_remove (folder);
}

/* ---- writing ---- */

static void
test_write (void)
{
  GError *error = NULL;
  g_autofree char *from = tiny_fixture ("foreign.gguf");
  g_autofree char *folder = tiny_folder ();
  g_autofree char *path = g_build_filename (folder, "out.gguf", NULL);
  g_autoptr (SwageGguf) source = swage_gguf_open (from, &error);
  g_assert_no_error (error);

  /* copied key by key and tensor by tensor, the foreign file comes out byte for byte */
  g_autoptr (SwageGgufWriter) w = swage_gguf_writer_new ();
  for (int i = 0; i < swage_gguf_get_n_keys (source); i++)
    {
      SwageGgufKind kind;
      const uint8_t *payload;
      size_t n;
      const char *key = swage_gguf_get_key (source, i, &kind, &payload, &n);
      swage_gguf_writer_set_raw (w, key, kind, payload, n);
      g_assert_true (swage_gguf_writer_has (w, key));
    }
  for (int i = 0; i < swage_gguf_get_n_tensors (source); i++)
    {
      const SwageTensorInfo *info = swage_gguf_get_tensor (source, i);
      swage_gguf_writer_add_tensor (w, info->name, info->type, info->n_dims, info->shape);
    }
  uint64_t ahead = swage_gguf_writer_get_size (w), bytes = 0;
  g_autofree char *sha256 = NULL;
  g_assert_true (swage_gguf_writer_start (w, path, false, &error));
  for (int i = 0; i < swage_gguf_get_n_tensors (source); i++)
    {
      g_autoptr (GBytes) data = swage_gguf_get_data (source, i);
      gsize n;
      const uint8_t *p = g_bytes_get_data (data, &n);
      g_assert_true (swage_gguf_writer_write (w, p, n / 3, &error));
      g_assert_true (swage_gguf_writer_write (w, p + n / 3, n - n / 3, &error));
    }
  g_assert_true (swage_gguf_writer_commit (w, &sha256, &bytes, &error));
  g_assert_cmpuint (bytes, ==, ahead);
  g_autofree char *was = NULL;
  g_autofree char *is = NULL;
  gsize n_was, n_is;
  g_assert_true (g_file_get_contents (from, &was, &n_was, NULL)
                 && g_file_get_contents (path, &is, &n_is, NULL));
  g_assert_cmpmem (is, n_is, was, n_was);
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)is, n_is);
  g_assert_cmpstr (sha256, ==, sum);

  /* typed setters, and setting twice */
  g_autoptr (SwageGgufWriter) v = swage_gguf_writer_new ();
  const char *words[] = { "a", "", "ü" };
  swage_gguf_writer_set_u32 (v, "u", 1);
  swage_gguf_writer_set_string (v, "s", "x");
  swage_gguf_writer_set_u32 (v, "u", UINT32_MAX);
  swage_gguf_writer_set_f32 (v, "f", 0.1f);
  swage_gguf_writer_set_bool (v, "b", true);
  swage_gguf_writer_set_strings (v, "w", words, NULL, 3);
  swage_gguf_writer_set_floats (v, "fs", (const float[]){ 1, -2 }, 2);
  swage_gguf_writer_set_ints (v, "is", (const int32_t[]){ -1, 2 }, 2);
  swage_gguf_writer_set_ints (v, "none", NULL, 0);
  g_assert_true (swage_gguf_writer_start (v, path, true, &error));
  g_assert_true (swage_gguf_writer_commit (v, NULL, NULL, &error));
  g_autoptr (SwageGguf) back = swage_gguf_open (path, &error);
  g_assert_no_error (error);
  int64_t i, n;
  double d;
  bool b;
  g_assert_cmpint (swage_gguf_get_n_keys (back), ==, 8);
  g_assert_true (swage_gguf_get_int (back, "u", &i));
  g_assert_cmpint (i, ==, UINT32_MAX);
  g_assert_true (swage_gguf_get_double (back, "f", &d));
  g_assert_cmpfloat (d, ==, (double)0.1f);
  g_assert_true (swage_gguf_get_bool (back, "b", &b));
  g_assert_cmpstr (swage_gguf_get_strings (back, "w", NULL, &n)[2], ==, "ü");
  g_assert_cmpfloat (swage_gguf_get_floats (back, "fs", &n)[1], ==, -2);
  g_assert_cmpint (swage_gguf_get_ints (back, "is", &n)[0], ==, -1);
  g_assert_nonnull (swage_gguf_get_ints (back, "none", &n));
  g_assert_cmpint (n, ==, 0);

  /* too little, too much, impossible rows: nothing is left */
  g_autofree char *other = g_build_filename (folder, "other.gguf", NULL);
  g_autoptr (SwageGgufWriter) x = swage_gguf_writer_new ();
  swage_gguf_writer_add_tensor (x, "t", SWAGE_TYPE_F32, 1, (const int64_t[]){ 4 });
  g_assert_true (swage_gguf_writer_start (x, other, false, &error));
  g_assert_false (swage_gguf_writer_commit (x, NULL, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED);
  g_clear_error (&error);
  uint8_t much[17] = { 0 };
  g_assert_false (swage_gguf_writer_write (x, much, sizeof much, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED);
  g_clear_error (&error);
  g_clear_pointer (&x, swage_gguf_writer_free);
  x = swage_gguf_writer_new ();
  swage_gguf_writer_add_tensor (x, "t", SWAGE_TYPE_Q4_K, 1, (const int64_t[]){ 100 });
  g_assert_false (swage_gguf_writer_start (x, other, false, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  g_clear_pointer (&x, swage_gguf_writer_free);
  g_assert_cmpint (tiny_count_files (folder), ==, 1);
  tiny_remove (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gguf/foreign", test_foreign);
  g_test_add_func ("/gguf/cut-short", test_cut_short);
  g_test_add_func ("/gguf/flipped", test_flipped);
  g_test_add_func ("/gguf/hostile", test_hostile);
  g_test_add_func ("/gguf/split", test_split);
  g_test_add_func ("/gguf/write", test_write);
  return g_test_run ();
}
