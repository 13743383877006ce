/* SPDX-License-Identifier: MIT
 *
 * GGUF, little-endian, in file order (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
 *
 *  1. "GGUF", u32 version (2 or 3; version 1 had 32-bit lengths and is gone).
 *  2. u64 number of tensors, u64 number of metadata entries.
 *  3. Metadata: key (string), u32 kind, value. A string is u64 length and bytes without a terminator;
 *     an array is u32 kind of its elements, u64 count, elements; a bool is one byte.
 *  4. Tensors: name (string), u32 n_dims, u64 ne[n_dims] with the row first, u32 type, u64 offset into
 *     the data section.
 *  5. Padding to the alignment ("general.alignment", a power of two, else 32).
 *  6. Data: every tensor at exactly the sum of the padded sizes before it.
 *
 * A file in parts (NAME-00001-of-00003.gguf) has "split.no", "split.count" and "split.tensors.count" in each
 * part; the rest of the metadata is in the first.
 *
 * Reading walks the metadata once, hopping over values; a value is converted when it is first asked for.
 */
#include "core/format/swage-gguf.h"
#include "core/base/swage-error.h"
#include "core/format/swage-mapping.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_KEYS 65536
#define MAX_TENSORS 1000000
#define MAX_KEY_BYTES 65535
#define MAX_NAME_BYTES 255
#define MAX_DIMS 4
#define MAX_NESTING 4
#define MAX_ALIGNMENT (1u << 20)
#define MAX_PARTS 1000
#define MAX_ELEMENTS ((int64_t)1 << 28) /* of an array that is converted */
#define DEFAULT_ALIGNMENT 32

typedef struct
{
  char *key;
  SwageGgufKind kind, element; /* element: of an array */
  const uint8_t *payload;
  size_t n;
  int64_t count;   /* elements of an array */
  void *converted; /* by the first getter, under the lock: char *, const char **, float * or int32_t * */
  char *blob;      /* what the strings of an array lie in */
  size_t *lengths;
  SwageGgufKind converted_to; /* STRING, F32 or I32 */
} Entry;

typedef struct
{
  GBytes *bytes;
  char *path;
} Part;

struct _SwageGguf
{
  GArray *parts;      /* Part; bytes is NULL when only a header was parsed */
  GBytes *header;     /* what the entries point into when there are no parts to hold them */
  GArray *entries;    /* Entry */
  GHashTable *keys;   /* key → index + 1 */
  GPtrArray *tensors; /* SwageTensorInfo */
  GMutex lock;
};

#define CORRUPT(...) g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, __VA_ARGS__)

/* Types that Swage does not decode, so that a file which has them can be listed all the same. */
static const struct
{
  int id;
  const char *name;
  int block, bytes;
} foreign_types[] = {
  { 9, "Q8_1", 32, 36 },      { 15, "Q8_K", 256, 292 }, { 16, "IQ2_XXS", 256, 66 }, { 17, "IQ2_XS", 256, 74 },
  { 18, "IQ3_XXS", 256, 98 }, { 19, "IQ1_S", 256, 50 }, { 21, "IQ3_S", 256, 110 },  { 22, "IQ2_S", 256, 82 },
  { 24, "I8", 1, 1 },         { 25, "I16", 1, 2 },      { 26, "I32", 1, 4 },        { 27, "I64", 1, 8 },
  { 28, "F64", 1, 8 },        { 29, "IQ1_M", 256, 56 }, { 34, "TQ1_0", 256, 54 },   { 35, "TQ2_0", 256, 66 },
  { 39, "MXFP4", 32, 17 },    { 40, "NVFP4", 64, 36 },  { 41, "Q1_0", 128, 18 },    { 42, "Q2_0", 64, 18 },
};

/* ---- a cursor that cannot run over the end ---- */

typedef struct
{
  const uint8_t *data;
  size_t n, at;
  const char *origin;
  bool failed;
} Cursor;

static bool
take (Cursor *c, uint64_t n, const uint8_t **data)
{
  if (c->failed || n > c->n - c->at)
    {
      c->failed = true;
      return false;
    }
  *data = c->data + c->at;
  c->at += (size_t)n;
  return true;
}

static uint64_t
take_int (Cursor *c, int bytes)
{
  const uint8_t *p;
  uint64_t v = 0;
  if (take (c, (uint64_t)bytes, &p))
    for (int i = 0; i < bytes; i++)
      v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static uint64_t
get_le (const uint8_t *p, int bytes)
{
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++)
    v |= (uint64_t)p[i] << (8 * i);
  return v;
}

/* Bytes of a scalar; 0 for strings and arrays, -1 for what is no kind at all. */
static int
kind_bytes (uint64_t kind)
{
  static const int8_t bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
  return kind < G_N_ELEMENTS (bytes) ? bytes[kind] : -1;
}

/* A key or a tensor's name: it will stand in messages, so it must be text. */
static char *
take_name (Cursor *c, uint64_t max, const char *what, GError **error)
{
  const uint8_t *p;
  uint64_t n = take_int (c, 8);
  if (!c->failed && (n == 0 || n > max))
    {
      CORRUPT (_ ("“%s” has a %s of %" PRIu64 " bytes at byte %zu; 1 to %" PRIu64 " are possible."),
               c->origin, what, n, c->at - 8, max);
      return NULL;
    }
  if (!take (c, n, &p))
    return NULL; /* the caller reports the end of the file */
  if (memchr (p, 0, (size_t)n) != NULL || !g_utf8_validate ((const char *)p, (gssize)n, NULL))
    {
      CORRUPT (_ ("“%s” has a %s that is not text at byte %zu."), c->origin, what, c->at - (size_t)n);
      return NULL;
    }
  return g_strndup ((const char *)p, (gsize)n);
}

/* Hop over a value. FALSE with an error, or without one when the data ends (c->failed). */
static bool
skip_value (Cursor *c, uint64_t kind, int depth, SwageGgufKind *element, int64_t *count, GError **error)
{
  const uint8_t *p;
  if (kind == SWAGE_GGUF_STRING)
    {
      uint64_t n = take_int (c, 8);
      return take (c, n, &p);
    }
  if (kind != SWAGE_GGUF_ARRAY)
    {
      int bytes = kind_bytes (kind);
      if (bytes < 0)
        {
          CORRUPT (_ ("“%s” has metadata of unknown kind %" PRIu64 " at byte %zu."), c->origin, kind, c->at);
          return false;
        }
      return take (c, (uint64_t)bytes, &p);
    }

  uint64_t of = take_int (c, 4), n = take_int (c, 8);
  int bytes = kind_bytes (of);
  if (c->failed)
    return false;
  if (bytes < 0 || depth >= MAX_NESTING)
    {
      CORRUPT (bytes < 0 ? _ ("“%s” has an array of an unknown kind at byte %zu.")
                         : _ ("“%s” nests arrays too deeply at byte %zu."),
               c->origin, c->at);
      return false;
    }
  if (element != NULL)
    {
      *element = (SwageGgufKind)of;
      *count = (int64_t)MIN (n, (uint64_t)INT64_MAX);
    }
  /* every element takes at least this much, so a lying count ends here and not in a long loop */
  uint64_t least = bytes > 0 ? (uint64_t)bytes : of == SWAGE_GGUF_STRING ? 8 : 12;
  if (n > (c->n - c->at) / least)
    {
      c->failed = true;
      return false;
    }
  if (bytes > 0)
    return take (c, n * (uint64_t)bytes, &p);
  for (uint64_t i = 0; i < n; i++)
    if (!skip_value (c, of, depth + 1, NULL, NULL, error))
      return false;
  return true;
}

static void
entry_clear (gpointer data)
{
  Entry *entry = data;
  g_free (entry->key);
  g_free (entry->converted);
  g_free (entry->blob);
  g_free (entry->lengths);
}

static void
part_clear (gpointer data)
{
  Part *part = data;
  g_clear_pointer (&part->bytes, g_bytes_unref);
  g_free (part->path);
}

static void
tensor_info_free (gpointer p)
{
  SwageTensorInfo *info = p;
  if (info != NULL)
    g_free (info->name);
  g_free (info);
}

static bool
parse_metadata (SwageGguf *gguf, Cursor *c, uint64_t n, GError **error)
{
  for (uint64_t i = 0; i < n; i++)
    {
      Entry entry = { .key = take_name (c, MAX_KEY_BYTES, _ ("metadata key"), error) };
      if (entry.key == NULL)
        return false;
      uint64_t kind = take_int (c, 4);
      size_t begin = c->at;
      bool ok = !c->failed && skip_value (c, kind, 0, &entry.element, &entry.count, error);
      if (ok && g_hash_table_contains (gguf->keys, entry.key))
        {
          CORRUPT (_ ("“%s” has the metadata key “%s” twice."), c->origin, entry.key);
          ok = false;
        }
      if (!ok)
        {
          entry_clear (&entry);
          return false;
        }
      entry.kind = (SwageGgufKind)kind;
      entry.payload = c->data + begin;
      entry.n = c->at - begin;
      g_array_append_val (gguf->entries, entry);
      g_hash_table_insert (gguf->keys, entry.key, GUINT_TO_POINTER (gguf->entries->len));
    }
  return true;
}

/* The type's name, and the bytes of a tensor whose rows have ne0 elements; FALSE when the type is unknown. */
static bool
describe_type (uint64_t id, SwageTensorInfo *info, int *block, int *bytes)
{
  info->type = id <= INT32_MAX ? swage_type_from_ggml ((int)id) : SWAGE_TYPE_NONE;
  if (info->type != SWAGE_TYPE_NONE)
    {
      const SwageTypeInfo *type = swage_type_get_info (info->type);
      g_strlcpy (info->dtype, type->title, sizeof info->dtype);
      *block = type->block;
      *bytes = type->bytes;
      return true;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (foreign_types); i++)
    if ((uint64_t)foreign_types[i].id == id)
      {
        g_strlcpy (info->dtype, foreign_types[i].name, sizeof info->dtype);
        *block = foreign_types[i].block;
        *bytes = foreign_types[i].bytes;
        return true;
      }
  return false;
}

static SwageTensorInfo *
parse_tensor (Cursor *c, GError **error)
{
  g_autofree char *name = take_name (c, MAX_NAME_BYTES, _ ("tensor name"), error);
  if (name == NULL)
    return NULL;
  uint64_t n_dims = take_int (c, 4);
  if (!c->failed && n_dims > MAX_DIMS)
    {
      CORRUPT (_ ("Tensor “%s” in “%s” has %" PRIu64 " dimensions; at most %d are possible."), name,
               c->origin, n_dims, MAX_DIMS);
      return NULL;
    }

  g_autofree SwageTensorInfo *info = g_new0 (SwageTensorInfo, 1);
  uint64_t elements = 1, ne[MAX_DIMS] = { 1 };
  bool bad = false;
  info->n_dims = (int)n_dims;
  for (int d = 0; !c->failed && d < info->n_dims; d++)
    {
      ne[d] = take_int (c, 8);
      bad |= ne[d] == 0 || ne[d] > INT64_MAX || __builtin_mul_overflow (elements, ne[d], &elements);
      info->shape[info->n_dims - 1 - d] = (int64_t)ne[d];
    }
  uint64_t type = take_int (c, 4);
  info->offset = take_int (c, 8);
  if (c->failed)
    return NULL;

  int block, bytes;
  if (!describe_type (type, info, &block, &bytes))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("Tensor “%s” in “%s” is stored in type %" PRIu64 ", which is not known here."), name,
                   c->origin, type);
      return NULL;
    }
  if (bad || ne[0] % (uint64_t)block != 0
      || __builtin_mul_overflow (elements / (uint64_t)block, (uint64_t)bytes, &info->bytes)
      || info->bytes > INT64_MAX / 2)
    {
      CORRUPT (_ ("Tensor “%s” in “%s” has an impossible shape for type %s."), name, c->origin, info->dtype);
      return NULL;
    }
  info->name = g_steal_pointer (&name);
  return g_steal_pointer (&info);
}

static bool
pad_to (uint64_t *value, uint64_t alignment)
{
  uint64_t sum;
  if (__builtin_add_overflow (*value, alignment - 1, &sum))
    return false;
  *value = sum & ~(alignment - 1);
  return true;
}

/* One file's header, appended to `gguf` as part `file`. Metadata is taken from the first part alone. */
static bool
parse_part (SwageGguf *gguf, const uint8_t *data, size_t n, uint64_t size, int file, const char *origin,
            GError **error)
{
  Cursor c = { .data = data, .n = n, .origin = origin };
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  const uint8_t *magic;
  if (!take (&c, 4, &magic) || memcmp (magic, "GGUF", 4) != 0)
    {
      CORRUPT (_ ("“%s” is not a GGUF file."), origin);
      return false;
    }
  uint64_t version = take_int (&c, 4);
  if (!c.failed && version != 2 && version != 3)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   (version & 0xffff) == 0
                       ? _ ("“%s” is a big-endian GGUF file, which cannot be read here (version %u).")
                       : _ ("“%s” is GGUF version %u; versions 2 and 3 can be read."),
                   origin, (unsigned)version);
      return false;
    }
  uint64_t n_tensors = take_int (&c, 8), n_keys = take_int (&c, 8);
  if (!c.failed && (n_tensors > MAX_TENSORS || n_keys > MAX_KEYS))
    {
      CORRUPT (_ ("“%s” claims %" PRIu64 " tensors and %" PRIu64
                  " metadata entries; at most %d and %d are possible."),
               origin, n_tensors, n_keys, MAX_TENSORS, MAX_KEYS);
      return false;
    }

  if (c.failed || !parse_metadata (gguf, &c, n_keys, error))
    goto cut_off;

  int64_t alignment = DEFAULT_ALIGNMENT;
  if (g_hash_table_contains (gguf->keys, "general.alignment")
      && (!swage_gguf_get_int (gguf, "general.alignment", &alignment) || alignment < 1
          || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0))
    {
      CORRUPT (_ ("“general.alignment” in “%s” is not a power of two up to %u."), origin, MAX_ALIGNMENT);
      return false;
    }

  guint first = gguf->tensors->len;
  for (guint i = 0; i < first; i++)
    g_hash_table_add (names, ((SwageTensorInfo *)gguf->tensors->pdata[i])->name);
  uint64_t end = 0;
  for (uint64_t i = 0; i < n_tensors; i++)
    {
      SwageTensorInfo *info = parse_tensor (&c, error);
      if (info == NULL)
        goto cut_off;
      info->file = file;
      g_ptr_array_add (gguf->tensors, info);
      if (!g_hash_table_add (names, info->name))
        {
          CORRUPT (_ ("“%s” has tensor “%s” twice."), origin, info->name);
          return false;
        }
      if (info->offset != end)
        {
          CORRUPT (_ ("Tensor “%s” in “%s” begins at %" PRIu64 " and not at %" PRIu64
                      ", where the one before it ends."),
                   info->name, origin, info->offset, end);
          return false;
        }
      if (__builtin_add_overflow (end, info->bytes, &end) || !pad_to (&end, (uint64_t)alignment))
        {
          CORRUPT (_ ("The tensors of “%s” are larger than any file."), origin);
          return false;
        }
    }

  uint64_t base = c.at;
  pad_to (&base, (uint64_t)alignment);
  for (guint i = first; i < gguf->tensors->len; i++)
    {
      SwageTensorInfo *info = gguf->tensors->pdata[i];
      if (base > size || info->offset > size - base || info->bytes > size - base - info->offset)
        {
          CORRUPT (
              _ ("“%s” is cut off: tensor “%s” should end at byte %" PRIu64 ", the file has %" PRIu64 "."),
              origin, info->name, base + info->offset + info->bytes, size);
          return false;
        }
      info->offset += base;
    }
  return true;

cut_off:
  if (c.failed && (error == NULL || *error == NULL))
    CORRUPT (_ ("“%s” is cut off or damaged: its header does not end within the file (%" PRIu64 " bytes)."),
             origin, size);
  return false;
}

static SwageGguf *
gguf_new (void)
{
  SwageGguf *gguf = g_new0 (SwageGguf, 1);
  g_mutex_init (&gguf->lock);
  gguf->parts = g_array_new (FALSE, TRUE, sizeof (Part));
  g_array_set_clear_func (gguf->parts, part_clear);
  gguf->entries = g_array_new (FALSE, TRUE, sizeof (Entry));
  g_array_set_clear_func (gguf->entries, entry_clear);
  gguf->keys = g_hash_table_new (g_str_hash, g_str_equal);
  gguf->tensors = g_ptr_array_new_with_free_func (tensor_info_free);
  return gguf;
}

void
swage_gguf_free (SwageGguf *gguf)
{
  if (gguf == NULL)
    return;
  g_hash_table_unref (gguf->keys);
  g_array_unref (gguf->entries);
  g_ptr_array_unref (gguf->tensors);
  g_array_unref (gguf->parts);
  g_clear_pointer (&gguf->header, g_bytes_unref);
  g_mutex_clear (&gguf->lock);
  g_free (gguf);
}

SwageGguf *
swage_gguf_parse (const uint8_t *data, size_t n, uint64_t size, const char *origin, GError **error)
{
  g_autoptr (SwageGguf) gguf = gguf_new ();
  GError *local = NULL;
  Part part = { .path = g_strdup (origin) };
  g_array_append_val (gguf->parts, part);
  gguf->header = g_bytes_new (data, n);
  if (!parse_part (gguf, g_bytes_get_data (gguf->header, NULL), n, size, 0, origin, &local))
    {
      g_propagate_error (error, local);
      return NULL;
    }
  return g_steal_pointer (&gguf);
}

static bool
open_part (SwageGguf *gguf, const char *path, GError **error)
{
  Part part = { .bytes = swage_mapping_open (path, error), .path = g_strdup (path) };
  if (part.bytes == NULL)
    {
      g_free (part.path);
      return false;
    }
  g_array_append_val (gguf->parts, part);
  g_autofree char *shown = g_filename_display_name (path);
  gsize n;
  const uint8_t *data = g_bytes_get_data (part.bytes, &n);
  GError *local = NULL;
  if (!parse_part (gguf, data, n, n, (int)gguf->parts->len - 1, shown, &local))
    {
      g_propagate_error (error, local);
      return false;
    }
  return true;
}

/* The prefix of "PREFIX-00002-of-00003.gguf" for the counts that the metadata has; NULL when the name is not
 * like that. */
static char *
split_prefix (const char *path, int64_t part, int64_t count)
{
  g_autofree char *suffix = g_strdup_printf ("-%05" PRId64 "-of-%05" PRId64 ".gguf", part + 1, count);
  return g_str_has_suffix (path, suffix) ? g_strndup (path, strlen (path) - strlen (suffix)) : NULL;
}

SwageGguf *
swage_gguf_open (const char *path, GError **error)
{
  g_autoptr (SwageGguf) gguf = gguf_new ();
  if (!open_part (gguf, path, error))
    return NULL;
  int64_t count = 1, number = 0, total = 0;
  if (!swage_gguf_get_int (gguf, "split.count", &count) || count <= 1)
    return g_steal_pointer (&gguf);

  g_autofree char *shown = g_filename_display_name (path);
  if (!swage_gguf_get_int (gguf, "split.no", &number) || number < 0 || number >= count || count > MAX_PARTS)
    {
      CORRUPT (_ ("“%s” is one of %" PRId64 " parts but does not say which."), shown, count);
      return NULL;
    }
  g_autofree char *prefix = split_prefix (path, number, count);
  if (prefix == NULL)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND,
                   _ ("“%s” is part %" PRId64 " of %" PRId64
                      "; to find the others, its name must end in “-%05" PRId64 "-of-%05" PRId64 ".gguf”."),
                   shown, number + 1, count, number + 1, count);
      return NULL;
    }

  g_autoptr (SwageGguf) whole = gguf_new ();
  for (int64_t i = 0; i < count; i++)
    {
      g_autofree char *name
          = g_strdup_printf ("%s-%05" PRId64 "-of-%05" PRId64 ".gguf", prefix, i + 1, count);
      g_autoptr (SwageGguf) part = gguf_new ();
      if (!open_part (part, name, error))
        return NULL;
      int64_t part_number = -1, part_count = -1;
      swage_gguf_get_int (part, "split.no", &part_number);
      swage_gguf_get_int (part, "split.count", &part_count);
      if (part_number != i || part_count != count)
        {
          g_autofree char *part_shown = g_filename_display_name (name);
          CORRUPT (_ ("“%s” is not part %" PRId64 " of the %" PRId64 " that “%s” belongs to."), part_shown,
                   i + 1, count, shown);
          return NULL;
        }

      if (i == 0)
        {
          swage_gguf_free (g_steal_pointer (&whole));
          whole = g_steal_pointer (&part);
          swage_gguf_get_int (whole, "split.tensors.count", &total);
          continue;
        }
      g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
      for (guint t = 0; t < whole->tensors->len; t++)
        g_hash_table_add (names, ((SwageTensorInfo *)whole->tensors->pdata[t])->name);
      for (guint t = 0; t < part->tensors->len; t++)
        {
          SwageTensorInfo *info = part->tensors->pdata[t];
          if (g_hash_table_contains (names, info->name))
            {
              CORRUPT (_ ("The parts of “%s” have tensor “%s” twice."), shown, info->name);
              return NULL;
            }
          info->file = (int)i;
        }
      g_ptr_array_extend_and_steal (whole->tensors, g_steal_pointer (&part->tensors));
      part->tensors = g_ptr_array_new ();
      Part moved = g_array_index (part->parts, Part, 0);
      g_array_index (part->parts, Part, 0) = (Part){ 0 };
      g_array_append_val (whole->parts, moved);
    }
  if (total != (int64_t)whole->tensors->len)
    {
      CORRUPT (_ ("The parts of “%s” have %u tensors together; %" PRId64 " are declared."), shown,
               whole->tensors->len, total);
      return NULL;
    }
  return g_steal_pointer (&whole);
}

/* ---- tensors ---- */

int
swage_gguf_get_n_tensors (SwageGguf *gguf)
{
  return (int)gguf->tensors->len;
}

const SwageTensorInfo *
swage_gguf_get_tensor (SwageGguf *gguf, int i)
{
  g_return_val_if_fail (i >= 0 && (guint)i < gguf->tensors->len, NULL);
  return gguf->tensors->pdata[i];
}

GBytes *
swage_gguf_get_data (SwageGguf *gguf, int i)
{
  const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, i);
  const Part *part = &g_array_index (gguf->parts, Part, (guint)info->file);
  g_return_val_if_fail (part->bytes != NULL, NULL);
  return g_bytes_new_from_bytes (part->bytes, info->offset, info->bytes);
}

int
swage_gguf_get_n_files (SwageGguf *gguf)
{
  return (int)gguf->parts->len;
}

const char *
swage_gguf_get_file (SwageGguf *gguf, int file)
{
  g_return_val_if_fail (file >= 0 && (guint)file < gguf->parts->len, NULL);
  return g_array_index (gguf->parts, Part, (guint)file).path;
}

/* ---- metadata ---- */

static Entry *
find_entry (SwageGguf *gguf, const char *key)
{
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (gguf->keys, key));
  return index > 0 ? &g_array_index (gguf->entries, Entry, index - 1) : NULL;
}

/* A scalar number as integer (`*i`, TRUE in *is_int) or double. */
static bool
decode_number (SwageGgufKind kind, const uint8_t *p, int64_t *i, double *d, bool *is_int)
{
  int bytes = kind_bytes (kind);
  uint64_t v = bytes > 0 ? get_le (p, bytes) : 0;
  *is_int = true;
  switch (kind)
    {
    case SWAGE_GGUF_U8:
    case SWAGE_GGUF_U16:
    case SWAGE_GGUF_U32:
      *i = (int64_t)v;
      break;
    case SWAGE_GGUF_U64:
      if (v > INT64_MAX)
        return false;
      *i = (int64_t)v;
      break;
    case SWAGE_GGUF_I8:
      *i = (int8_t)v;
      break;
    case SWAGE_GGUF_I16:
      *i = (int16_t)v;
      break;
    case SWAGE_GGUF_I32:
      *i = (int32_t)v;
      break;
    case SWAGE_GGUF_I64:
      *i = (int64_t)v;
      break;
    case SWAGE_GGUF_F32:
      {
        uint32_t bits = (uint32_t)v;
        float f;
        memcpy (&f, &bits, sizeof f);
        *d = f;
        *is_int = false;
        return true;
      }
    case SWAGE_GGUF_F64:
      memcpy (d, &v, sizeof *d);
      *is_int = false;
      return true;
    default:
      return false;
    }
  *d = (double)*i;
  return true;
}

bool
swage_gguf_get_int (SwageGguf *gguf, const char *key, int64_t *value)
{
  Entry *entry = find_entry (gguf, key);
  int64_t i;
  double d;
  bool is_int;
  if (entry == NULL || !decode_number (entry->kind, entry->payload, &i, &d, &is_int) || !is_int)
    return false;
  *value = i;
  return true;
}

bool
swage_gguf_get_double (SwageGguf *gguf, const char *key, double *value)
{
  Entry *entry = find_entry (gguf, key);
  int64_t i;
  double d;
  bool is_int;
  if (entry == NULL || !decode_number (entry->kind, entry->payload, &i, &d, &is_int))
    return false;
  *value = d;
  return true;
}

bool
swage_gguf_get_bool (SwageGguf *gguf, const char *key, bool *value)
{
  Entry *entry = find_entry (gguf, key);
  if (entry == NULL || entry->kind != SWAGE_GGUF_BOOL)
    return false;
  *value = entry->payload[0] != 0;
  return true;
}

const char *
swage_gguf_get_string (SwageGguf *gguf, const char *key)
{
  Entry *entry = find_entry (gguf, key);
  if (entry == NULL || entry->kind != SWAGE_GGUF_STRING)
    return NULL;
  g_mutex_lock (&gguf->lock);
  if (entry->converted == NULL)
    {
      /* cut at a NUL, and made valid, because it will stand on screens */
      g_autofree char *text = g_strndup ((const char *)entry->payload + 8, entry->n - 8);
      entry->converted = g_utf8_make_valid (text, -1);
    }
  const char *value = entry->converted;
  g_mutex_unlock (&gguf->lock);
  return value;
}

const char *const *
swage_gguf_get_strings (SwageGguf *gguf, const char *key, const size_t **lengths, int64_t *n)
{
  Entry *entry = find_entry (gguf, key);
  if (entry == NULL || entry->kind != SWAGE_GGUF_ARRAY || entry->element != SWAGE_GGUF_STRING
      || entry->count > MAX_ELEMENTS)
    return NULL;
  g_mutex_lock (&gguf->lock);
  if (entry->converted == NULL)
    {
      /* 8 bytes of length make room for the terminators */
      const char **strings = g_new (const char *, entry->count + 1);
      entry->lengths = g_new (size_t, entry->count + 1);
      entry->blob = g_malloc (entry->n);
      const uint8_t *p = entry->payload + 12;
      char *to = entry->blob;
      for (int64_t i = 0; i < entry->count; i++)
        {
          size_t length = (size_t)get_le (p, 8);
          memcpy (to, p + 8, length);
          to[length] = '\0';
          strings[i] = to;
          entry->lengths[i] = length;
          to += length + 1;
          p += 8 + length;
        }
      strings[entry->count] = NULL;
      entry->converted = strings;
    }
  const char *const *value = entry->converted;
  if (lengths != NULL)
    *lengths = entry->lengths;
  g_mutex_unlock (&gguf->lock);
  *n = entry->count;
  return value;
}

/* Numbers as floats or 32-bit integers; a value that does not fit makes the array unusable. */
static const void *
get_numbers (SwageGguf *gguf, const char *key, SwageGgufKind to, int64_t *n)
{
  Entry *entry = find_entry (gguf, key);
  int bytes = entry != NULL && entry->kind == SWAGE_GGUF_ARRAY ? kind_bytes (entry->element) : 0;
  if (bytes <= 0 || entry->count > MAX_ELEMENTS)
    return NULL;
  g_mutex_lock (&gguf->lock);
  if (entry->converted == NULL)
    {
      uint32_t *values = g_new (uint32_t, entry->count + 1);
      bool ok = true;
      for (int64_t k = 0; ok && k < entry->count; k++)
        {
          const uint8_t *p = entry->payload + 12 + k * bytes;
          int64_t i = 0;
          double d = 0;
          bool is_int;
          ok = entry->element == SWAGE_GGUF_BOOL
               || (decode_number (entry->element, p, &i, &d, &is_int) && (to == SWAGE_GGUF_F32 || is_int));
          if (entry->element == SWAGE_GGUF_BOOL)
            d = (double)(i = p[0] != 0);
          ok = ok && (to == SWAGE_GGUF_F32 || (i >= INT32_MIN && i <= INT32_MAX));
          int32_t as_int = (int32_t)i;
          float as_float = (float)d;
          memcpy (&values[k], to == SWAGE_GGUF_F32 ? (const void *)&as_float : (const void *)&as_int, 4);
        }
      if (ok)
        {
          entry->converted = values;
          entry->converted_to = to;
        }
      else
        g_free (values);
    }
  const void *value = entry->converted_to == to ? entry->converted : NULL;
  g_mutex_unlock (&gguf->lock);
  *n = value != NULL ? entry->count : 0;
  return value;
}

const float *
swage_gguf_get_floats (SwageGguf *gguf, const char *key, int64_t *n)
{
  return get_numbers (gguf, key, SWAGE_GGUF_F32, n);
}

const int32_t *
swage_gguf_get_ints (SwageGguf *gguf, const char *key, int64_t *n)
{
  return get_numbers (gguf, key, SWAGE_GGUF_I32, n);
}

int
swage_gguf_get_n_keys (SwageGguf *gguf)
{
  return (int)gguf->entries->len;
}

const char *
swage_gguf_get_key (SwageGguf *gguf, int i, SwageGgufKind *kind, const uint8_t **payload, size_t *n)
{
  g_return_val_if_fail (i >= 0 && (guint)i < gguf->entries->len, NULL);
  const Entry *entry = &g_array_index (gguf->entries, Entry, (guint)i);
  *kind = entry->kind;
  *payload = entry->payload;
  *n = entry->n;
  return entry->key;
}
