/* SPDX-License-Identifier: MIT
 *
 * Writing GGUF version 3: the layout is at the top of swage-gguf.c. Metadata is kept encoded, as (kind,
 * payload), so that what was copied from another file comes out as it went in.
 */
#include "core/base/swage-error.h"
#include "core/format/swage-gguf.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define DEFAULT_ALIGNMENT 32
#define MAX_NAME 63 /* bytes: what ggml has room for */

typedef struct
{
  char *key;
  SwageGgufKind kind;
  GByteArray *payload;
} Entry;

struct _SwageGgufWriter
{
  GPtrArray *entries; /* Entry */
  GPtrArray *tensors; /* SwageTensorInfo; offset is relative to the data section */
  char *path;
  SwageOutput *out;
  uint64_t base;   /* of the data section */
  guint current;   /* tensor being written */
  uint64_t filled; /* bytes of it that are there */
};

static void
entry_free (gpointer p)
{
  Entry *entry = p;
  g_free (entry->key);
  g_byte_array_unref (entry->payload);
  g_free (entry);
}

static void
tensor_info_free (gpointer p)
{
  g_free (((SwageTensorInfo *)p)->name);
  g_free (p);
}

SwageGgufWriter *
swage_gguf_writer_new (void)
{
  SwageGgufWriter *w = g_new0 (SwageGgufWriter, 1);
  w->entries = g_ptr_array_new_with_free_func (entry_free);
  w->tensors = g_ptr_array_new_with_free_func (tensor_info_free);
  return w;
}

void
swage_gguf_writer_free (SwageGgufWriter *w)
{
  if (w == NULL)
    return;
  g_ptr_array_unref (w->entries);
  g_ptr_array_unref (w->tensors);
  swage_output_free (w->out);
  g_free (w->path);
  g_free (w);
}

static Entry *
find_entry (SwageGgufWriter *w, const char *key)
{
  for (guint i = 0; i < w->entries->len; i++)
    if (strcmp (((Entry *)w->entries->pdata[i])->key, key) == 0)
      return w->entries->pdata[i];
  return NULL;
}

bool
swage_gguf_writer_has (SwageGgufWriter *w, const char *key)
{
  return find_entry (w, key) != NULL;
}

/* The empty payload for `key`: in the place of an earlier value, or at the end. */
static GByteArray *
begin_entry (SwageGgufWriter *w, const char *key, SwageGgufKind kind)
{
  Entry *entry = find_entry (w, key);
  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      entry->key = g_strdup (key);
      entry->payload = g_byte_array_new ();
      g_ptr_array_add (w->entries, entry);
    }
  entry->kind = kind;
  g_byte_array_set_size (entry->payload, 0);
  return entry->payload;
}

static void
put_int (GByteArray *to, uint64_t value, int bytes)
{
  uint8_t le[8];
  for (int i = 0; i < bytes; i++)
    le[i] = (uint8_t)(value >> (8 * i));
  g_byte_array_append (to, le, (guint)bytes);
}

static void
put_string (GByteArray *to, const char *text, size_t n)
{
  put_int (to, n, 8);
  g_byte_array_append (to, (const uint8_t *)text, (guint)n);
}

static void
put_float (GByteArray *to, float value)
{
  uint32_t bits;
  memcpy (&bits, &value, sizeof bits);
  put_int (to, bits, 4);
}

static GByteArray *
begin_array (SwageGgufWriter *w, const char *key, SwageGgufKind element, int64_t n)
{
  GByteArray *payload = begin_entry (w, key, SWAGE_GGUF_ARRAY);
  put_int (payload, element, 4);
  put_int (payload, (uint64_t)n, 8);
  return payload;
}

void
swage_gguf_writer_set_u32 (SwageGgufWriter *w, const char *key, uint32_t value)
{
  put_int (begin_entry (w, key, SWAGE_GGUF_U32), value, 4);
}

void
swage_gguf_writer_set_f32 (SwageGgufWriter *w, const char *key, float value)
{
  put_float (begin_entry (w, key, SWAGE_GGUF_F32), value);
}

void
swage_gguf_writer_set_bool (SwageGgufWriter *w, const char *key, bool value)
{
  put_int (begin_entry (w, key, SWAGE_GGUF_BOOL), value, 1);
}

void
swage_gguf_writer_set_string (SwageGgufWriter *w, const char *key, const char *value)
{
  put_string (begin_entry (w, key, SWAGE_GGUF_STRING), value, strlen (value));
}

void
swage_gguf_writer_set_strings (SwageGgufWriter *w, const char *key, const char *const *values,
                               const size_t *lengths, int64_t n)
{
  GByteArray *payload = begin_array (w, key, SWAGE_GGUF_STRING, n);
  for (int64_t i = 0; i < n; i++)
    put_string (payload, values[i], lengths != NULL ? lengths[i] : strlen (values[i]));
}

void
swage_gguf_writer_set_floats (SwageGgufWriter *w, const char *key, const float *values, int64_t n)
{
  GByteArray *payload = begin_array (w, key, SWAGE_GGUF_F32, n);
  for (int64_t i = 0; i < n; i++)
    put_float (payload, values[i]);
}

void
swage_gguf_writer_set_ints (SwageGgufWriter *w, const char *key, const int32_t *values, int64_t n)
{
  GByteArray *payload = begin_array (w, key, SWAGE_GGUF_I32, n);
  for (int64_t i = 0; i < n; i++)
    put_int (payload, (uint32_t)values[i], 4);
}

void
swage_gguf_writer_set_raw (SwageGgufWriter *w, const char *key, SwageGgufKind kind, const uint8_t *payload,
                           size_t n)
{
  g_byte_array_append (begin_entry (w, key, kind), payload, (guint)n);
}

static uint64_t
get_alignment (SwageGgufWriter *w)
{
  const Entry *entry = find_entry (w, "general.alignment");
  if (entry == NULL || entry->kind != SWAGE_GGUF_U32)
    return DEFAULT_ALIGNMENT;
  const uint8_t *p = entry->payload->data;
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static uint64_t
padded (uint64_t value, uint64_t alignment)
{
  return (value + alignment - 1) / alignment * alignment;
}

void
swage_gguf_writer_add_tensor (SwageGgufWriter *w, const char *name, SwageType type, int n_dims,
                              const int64_t *shape)
{
  g_return_if_fail (w->out == NULL);
  SwageTensorInfo *info = g_new0 (SwageTensorInfo, 1);
  info->name = g_strdup (name);
  info->type = type;
  info->n_dims = n_dims;
  info->bytes = swage_type_row_bytes (type, shape[n_dims - 1]);
  for (int d = 0; d < n_dims; d++)
    {
      info->shape[d] = shape[d];
      if (d < n_dims - 1)
        info->bytes *= (uint64_t)shape[d];
    }
  g_ptr_array_add (w->tensors, info);
}

static GByteArray *
make_header (SwageGgufWriter *w)
{
  uint64_t alignment = get_alignment (w), offset = 0;
  GByteArray *header = g_byte_array_new ();
  g_byte_array_append (header, (const uint8_t *)"GGUF", 4);
  put_int (header, 3, 4);
  put_int (header, w->tensors->len, 8);
  put_int (header, w->entries->len, 8);
  for (guint i = 0; i < w->entries->len; i++)
    {
      const Entry *entry = w->entries->pdata[i];
      put_string (header, entry->key, strlen (entry->key));
      put_int (header, entry->kind, 4);
      g_byte_array_append (header, entry->payload->data, entry->payload->len);
    }
  for (guint i = 0; i < w->tensors->len; i++)
    {
      SwageTensorInfo *info = w->tensors->pdata[i];
      info->offset = offset;
      put_string (header, info->name, strlen (info->name));
      put_int (header, (uint64_t)info->n_dims, 4);
      for (int d = info->n_dims - 1; d >= 0; d--)
        put_int (header, (uint64_t)info->shape[d], 8);
      put_int (header, (uint64_t)swage_type_get_info (info->type)->ggml_id, 4);
      put_int (header, offset, 8);
      offset += padded (info->bytes, alignment);
    }
  while (header->len % alignment != 0)
    put_int (header, 0, 1);
  return header;
}

uint64_t
swage_gguf_writer_get_size (SwageGgufWriter *w)
{
  GByteArray *header = make_header (w);
  uint64_t size = header->len, alignment = get_alignment (w);
  g_byte_array_unref (header);
  for (guint i = 0; i < w->tensors->len; i++)
    size += padded (((SwageTensorInfo *)w->tensors->pdata[i])->bytes, alignment);
  return size;
}

bool
swage_gguf_writer_start (SwageGgufWriter *w, const char *path, bool overwrite, GError **error)
{
  g_return_val_if_fail (w->out == NULL, false);
  for (guint i = 0; i < w->tensors->len; i++)
    {
      const SwageTensorInfo *info = w->tensors->pdata[i];
      if (info->type < 0 || swage_type_get_info (info->type)->ggml_id < 0 || info->bytes == 0
          || strlen (info->name) > MAX_NAME)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                       _ ("GGUF cannot hold tensor “%s”: its type, the length of its rows or its name is not "
                          "possible there."),
                       info->name);
          return false;
        }
    }
  uint64_t size = swage_gguf_writer_get_size (w);
  w->path = g_strdup (path);
  w->out = swage_output_new (path, size, overwrite, error);
  if (w->out == NULL)
    return false;
  GByteArray *header = make_header (w);
  bool ok = swage_output_write (w->out, header->data, header->len, error);
  w->base = header->len;
  g_byte_array_unref (header);
  return ok;
}

bool
swage_gguf_writer_write (SwageGgufWriter *w, const void *data, size_t n, GError **error)
{
  const uint8_t *from = data;
  while (n > 0)
    {
      if (w->current == w->tensors->len)
        {
          g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED,
                       _ ("More data than declared was given for “%s”."), w->path);
          return false;
        }
      const SwageTensorInfo *info = w->tensors->pdata[w->current];
      size_t piece = (size_t)MIN ((uint64_t)n, info->bytes - w->filled);
      if (!swage_output_write (w->out, from, piece, error))
        return false;
      from += piece;
      n -= piece;
      w->filled += piece;
      if (w->filled == info->bytes)
        {
          if (!swage_output_pad (w->out, get_alignment (w), error))
            return false;
          w->current++;
          w->filled = 0;
        }
    }
  return true;
}

bool
swage_gguf_writer_commit (SwageGgufWriter *w, char **sha256, uint64_t *bytes, GError **error)
{
  if (w->current != w->tensors->len)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED, _ ("Less data than declared was given for “%s”."),
                   w->path);
      return false;
    }
  if (bytes != NULL)
    *bytes = swage_output_get_position (w->out);
  return swage_output_commit (w->out, sha256, error);
}
