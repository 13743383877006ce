/* SPDX-License-Identifier: MIT
 *
 * The header is checked as a whole before the first tensor is handed out, by the rules of the reference
 * reader (https://github.com/huggingface/safetensors): sizes follow from shapes, tensors lie one behind the
 * other from the first byte of the buffer to its last. After that every offset is safe and readers need no
 * checks of their own.
 */
#include "core/format/swage-safetensors.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"
#include "core/format/swage-mapping.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#define MAX_HEADER 100000000 /* the reference reader's ceiling */
#define MAX_TENSORS 1000000
#define MAX_NAME 1024
#define HEADER_ALIGNMENT 8

struct _SwageSafetensors
{
  GBytes *map;
  GPtrArray *tensors; /* SwageTensorInfo, by offset */
  GHashTable *metadata;
};

static void
tensor_info_free (gpointer p)
{
  SwageTensorInfo *info = p;
  if (info != NULL)
    g_free (info->name);
  g_free (info);
}

#define CORRUPT(...) g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, __VA_ARGS__)

/* One member of the header: {"dtype", "shape", "data_offsets"}; offsets become absolute by `base`. */
static SwageTensorInfo *
parse_tensor (const char *name, json_t *value, uint64_t base, uint64_t buffer, const char *origin,
              GError **error)
{
  json_t *shape = json_object_get (value, "shape");
  json_t *offsets = json_object_get (value, "data_offsets");
  const char *dtype = json_string_value (json_object_get (value, "dtype"));
  if (strlen (name) > MAX_NAME)
    {
      CORRUPT (_ ("“%s” has a tensor name of more than %d bytes."), origin, MAX_NAME);
      return NULL;
    }
  if (dtype == NULL || strlen (dtype) >= sizeof ((SwageTensorInfo *)0)->dtype || !json_is_array (shape)
      || !json_is_array (offsets) || json_array_size (offsets) != 2)
    {
      CORRUPT (_ ("Tensor “%s” in “%s” lacks a usable dtype, shape or data_offsets."), name, origin);
      return NULL;
    }
  if (json_array_size (shape) > SWAGE_MAX_DIMS)
    {
      CORRUPT (_ ("Tensor “%s” in “%s” has %zu dimensions; at most %d are possible."), name, origin,
               json_array_size (shape), SWAGE_MAX_DIMS);
      return NULL;
    }

  g_autofree SwageTensorInfo *info = g_new0 (SwageTensorInfo, 1);
  uint64_t elements = 1;
  bool overflow = false;
  info->n_dims = (int)json_array_size (shape);
  for (int d = 0; d < info->n_dims; d++)
    {
      json_t *dim = json_array_get (shape, d);
      if (!json_is_integer (dim) || json_integer_value (dim) < 0)
        {
          CORRUPT (_ ("Tensor “%s” in “%s” has a shape that is not made of whole numbers."), name, origin);
          return NULL;
        }
      info->shape[d] = json_integer_value (dim);
      overflow |= __builtin_mul_overflow (elements, (uint64_t)info->shape[d], &elements);
    }

  json_t *first = json_array_get (offsets, 0), *last = json_array_get (offsets, 1);
  if (!json_is_integer (first) || !json_is_integer (last) || json_integer_value (first) < 0
      || json_integer_value (last) < json_integer_value (first)
      || (uint64_t)json_integer_value (last) > buffer)
    {
      CORRUPT (_ ("The data_offsets of tensor “%s” in “%s” lie outside the file; it is damaged or cut off."),
               name, origin);
      return NULL;
    }
  info->bytes = (uint64_t)(json_integer_value (last) - json_integer_value (first));
  info->offset = base + (uint64_t)json_integer_value (first);
  g_strlcpy (info->dtype, dtype, sizeof info->dtype);
  info->type = swage_type_from_safetensors (dtype);
  if (info->type != SWAGE_TYPE_NONE)
    {
      uint64_t bytes;
      overflow
          |= __builtin_mul_overflow (elements, (uint64_t)swage_type_get_info (info->type)->bytes, &bytes);
      if (overflow || bytes != info->bytes)
        {
          CORRUPT (_ ("Tensor “%s” in “%s” has %" PRIu64 " bytes, which its shape and dtype %s contradict."),
                   name, origin, info->bytes, dtype);
          return NULL;
        }
    }
  info->name = g_strdup (name);
  return g_steal_pointer (&info);
}

static int
compare_offset (gconstpointer pa, gconstpointer pb)
{
  const SwageTensorInfo *a = *(const SwageTensorInfo *const *)pa, *b = *(const SwageTensorInfo *const *)pb;
  if (a->offset != b->offset)
    return a->offset < b->offset ? -1 : 1;
  if (a->bytes != b->bytes) /* empty tensors come before the one that begins at the same place */
    return a->bytes < b->bytes ? -1 : 1;
  return strcmp (a->name, b->name);
}

static GHashTable *
parse_metadata (json_t *value, const char *origin, GError **error)
{
  g_autoptr (GHashTable) metadata = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  const char *key;
  json_t *text;
  if (value != NULL && !json_is_object (value))
    {
      CORRUPT (_ ("“__metadata__” in “%s” is not an object."), origin);
      return NULL;
    }
  json_object_foreach (value, key, text)
  {
    if (!json_is_string (text))
      {
        CORRUPT (_ ("“__metadata__” in “%s” holds something that is not text under “%s”."), origin, key);
        return NULL;
      }
    g_hash_table_insert (metadata, g_strdup (key), g_strdup (json_string_value (text)));
  }
  return g_steal_pointer (&metadata);
}

GPtrArray *
swage_safetensors_parse (const uint8_t *data, size_t n, uint64_t size, const char *origin,
                         GHashTable **metadata, GError **error)
{
  uint64_t length = 0;
  if (n >= 8)
    for (int i = 0; i < 8; i++)
      length |= (uint64_t)data[i] << (8 * i);
  if (n < 8 || size < 8)
    {
      CORRUPT (_ ("“%s” is too short to be a safetensors file."), origin);
      return NULL;
    }
  if (length < 2 || length > MAX_HEADER)
    {
      CORRUPT (_ ("“%s” is not a safetensors file: its header would have %" PRIu64 " bytes."), origin,
               length);
      return NULL;
    }
  if (length > n - 8 || length > size - 8)
    {
      CORRUPT (_ ("“%s” is cut off: its header should have %" PRIu64 " bytes, %zu are there."), origin,
               length, n - 8);
      return NULL;
    }
  if (data[8] != '{')
    {
      CORRUPT (_ ("“%s” is not a safetensors file: its header does not begin with “{”."), origin);
      return NULL;
    }

  g_autoptr (json_t) header = swage_json_parse ((const char *)data + 8, (size_t)length, origin, error);
  if (header == NULL)
    return NULL;
  if (!json_is_object (header) || json_object_size (header) > MAX_TENSORS)
    {
      CORRUPT (_ ("The header of “%s” is not an object of at most %d tensors."), origin, MAX_TENSORS);
      return NULL;
    }

  g_autoptr (GHashTable) meta = parse_metadata (json_object_get (header, "__metadata__"), origin, error);
  if (meta == NULL)
    return NULL;

  uint64_t base = 8 + length, buffer = size - base;
  g_autoptr (GPtrArray) tensors = g_ptr_array_new_with_free_func (tensor_info_free);
  const char *name;
  json_t *value;
  json_object_foreach (header, name, value)
  {
    if (strcmp (name, "__metadata__") == 0)
      continue;
    SwageTensorInfo *info = parse_tensor (name, value, base, buffer, origin, error);
    if (info == NULL)
      return NULL;
    g_ptr_array_add (tensors, info);
  }

  g_ptr_array_sort (tensors, compare_offset);
  uint64_t end = base;
  for (guint i = 0; i < tensors->len; i++)
    {
      const SwageTensorInfo *info = tensors->pdata[i];
      if (info->offset != end)
        {
          CORRUPT (info->offset < end ? _ ("Tensor “%s” in “%s” overlaps the one before it.")
                                      : _ ("There are unused bytes before tensor “%s” in “%s”."),
                   info->name, origin);
          return NULL;
        }
      end += info->bytes;
    }
  if (end != size)
    {
      CORRUPT (_ ("“%s” has %" PRIu64 " bytes behind its last tensor."), origin, size - end);
      return NULL;
    }
  if (metadata != NULL)
    *metadata = g_steal_pointer (&meta);
  return g_steal_pointer (&tensors);
}

SwageSafetensors *
swage_safetensors_open (const char *path, GError **error)
{
  g_autoptr (GBytes) map = swage_mapping_open (path, error);
  if (map == NULL)
    return NULL;
  gsize n;
  const uint8_t *data = g_bytes_get_data (map, &n);
  g_autofree char *shown = g_filename_display_name (path);
  GHashTable *metadata = NULL;
  GPtrArray *tensors = swage_safetensors_parse (data, n, n, shown, &metadata, error);
  if (tensors == NULL)
    return NULL;
  SwageSafetensors *st = g_new0 (SwageSafetensors, 1);
  st->map = g_steal_pointer (&map);
  st->tensors = tensors;
  st->metadata = metadata;
  return st;
}

void
swage_safetensors_free (SwageSafetensors *st)
{
  if (st == NULL)
    return;
  g_bytes_unref (st->map);
  g_ptr_array_unref (st->tensors);
  g_hash_table_unref (st->metadata);
  g_free (st);
}

int
swage_safetensors_get_n_tensors (SwageSafetensors *st)
{
  return (int)st->tensors->len;
}

const SwageTensorInfo *
swage_safetensors_get_tensor (SwageSafetensors *st, int i)
{
  g_return_val_if_fail (i >= 0 && (guint)i < st->tensors->len, NULL);
  return st->tensors->pdata[i];
}

GBytes *
swage_safetensors_get_data (SwageSafetensors *st, int i)
{
  const SwageTensorInfo *info = swage_safetensors_get_tensor (st, i);
  return g_bytes_new_from_bytes (st->map, info->offset, info->bytes);
}

const char *
swage_safetensors_get_metadata (SwageSafetensors *st, const char *key)
{
  return g_hash_table_lookup (st->metadata, key);
}

struct _SwageSafetensorsWriter
{
  SwageOutput *out;
  char *path;
  uint64_t end; /* size of the whole file */
};

/* The header, padded with spaces so that the buffer begins at a multiple of HEADER_ALIGNMENT. */
static GString *
make_header (const SwageTensorInfo *tensors, int n_tensors, const char *const *metadata, uint64_t *buffer)
{
  g_autoptr (json_t) header = json_object ();
  if (metadata != NULL && metadata[0] != NULL)
    {
      json_t *meta = json_object ();
      for (int i = 0; metadata[i] != NULL; i += 2)
        json_object_set_new (meta, metadata[i], json_string (metadata[i + 1]));
      json_object_set_new (header, "__metadata__", meta);
    }
  uint64_t offset = 0;
  for (int i = 0; i < n_tensors; i++)
    {
      const SwageTypeInfo *type = swage_type_get_info (tensors[i].type);
      uint64_t bytes = (uint64_t)type->bytes;
      json_t *shape = json_array ();
      for (int d = 0; d < tensors[i].n_dims; d++)
        {
          json_array_append_new (shape, json_integer (tensors[i].shape[d]));
          bytes *= (uint64_t)tensors[i].shape[d];
        }
      json_object_set_new (header, tensors[i].name,
                           json_pack ("{s:s, s:o, s:[I, I]}", "dtype", type->safetensors, "shape", shape,
                                      "data_offsets", (json_int_t)offset, (json_int_t)(offset + bytes)));
      offset += bytes;
    }
  *buffer = offset;
  char *text = json_dumps (header, JSON_COMPACT);
  GString *string = g_string_new (text);
  free (text);
  while ((8 + string->len) % HEADER_ALIGNMENT != 0)
    g_string_append_c (string, ' ');
  return string;
}

uint64_t
swage_safetensors_count_bytes (const SwageTensorInfo *tensors, int n_tensors, const char *const *metadata)
{
  uint64_t buffer;
  GString *header = make_header (tensors, n_tensors, metadata, &buffer);
  uint64_t bytes = 8 + header->len + buffer;
  g_string_free (header, TRUE);
  return bytes;
}

SwageSafetensorsWriter *
swage_safetensors_writer_new (const char *path, const SwageTensorInfo *tensors, int n_tensors,
                              const char *const *metadata, bool overwrite, GError **error)
{
  for (int i = 0; i < n_tensors; i++)
    if (tensors[i].type < 0 || tensors[i].type >= SWAGE_N_TYPES
        || swage_type_get_info (tensors[i].type)->safetensors == NULL)
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                     _ ("Safetensors cannot hold tensor “%s”: the format has no such type."),
                     tensors[i].name);
        return NULL;
      }

  uint64_t buffer;
  GString *header = make_header (tensors, n_tensors, metadata, &buffer);
  g_autoptr (SwageSafetensorsWriter) w = g_new0 (SwageSafetensorsWriter, 1);
  uint8_t length[8];
  for (int i = 0; i < 8; i++)
    length[i] = (uint8_t)((uint64_t)header->len >> (8 * i));
  w->path = g_strdup (path);
  w->end = 8 + header->len + buffer;
  w->out = swage_output_new (path, w->end, overwrite, error);
  bool ok = w->out != NULL && swage_output_write (w->out, length, 8, error)
            && swage_output_write (w->out, header->str, header->len, error);
  g_string_free (header, TRUE);
  return ok ? g_steal_pointer (&w) : NULL;
}

bool
swage_safetensors_writer_write (SwageSafetensorsWriter *w, const void *data, size_t n, GError **error)
{
  if (n > w->end - swage_output_get_position (w->out))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED, _ ("More data than declared was given for “%s”."),
                   w->path);
      return false;
    }
  return swage_output_write (w->out, data, n, error);
}

bool
swage_safetensors_writer_commit (SwageSafetensorsWriter *w, char **sha256, uint64_t *bytes, GError **error)
{
  if (swage_output_get_position (w->out) != w->end)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_FAILED, _ ("Less data than declared was given for “%s”."),
                   w->path);
      return false;
    }
  if (bytes != NULL)
    *bytes = w->end;
  return swage_output_commit (w->out, sha256, error);
}

void
swage_safetensors_writer_free (SwageSafetensorsWriter *w)
{
  if (w == NULL)
    return;
  swage_output_free (w->out);
  g_free (w->path);
  g_free (w);
}
