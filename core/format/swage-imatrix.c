/* SPDX-License-Identifier: MIT
 *
 * Reading and writing importance matrices; the layout is in swage-imatrix.h. In the older form a value is a
 * mean square times the number of calls, so `calls` stands where the newer form has tokens: only the quotient
 * matters.
 */
#include "core/format/swage-imatrix.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/format/swage-mapping.h"

#define MAX_ENTRIES 1000000
#define MAX_NAME 4096

static void
entry_free (gpointer data)
{
  SwageImatrixEntry *entry = data;
  g_free (entry->name);
  g_free (entry->squares);
  g_free (entry->counts);
  g_free (entry);
}

SwageImatrix *
swage_imatrix_new (void)
{
  SwageImatrix *imatrix = g_new0 (SwageImatrix, 1);
  imatrix->entries = g_ptr_array_new_with_free_func (entry_free);
  return imatrix;
}

void
swage_imatrix_free (SwageImatrix *imatrix)
{
  if (imatrix == NULL)
    return;
  g_ptr_array_unref (imatrix->entries);
  g_free (imatrix->dataset);
  g_free (imatrix);
}

/* Where `name` is, or should be put; `found` says which. */
static guint
find_place (const SwageImatrix *imatrix, const char *name, bool *found)
{
  guint low = 0, high = imatrix->entries->len;

  *found = false;
  while (low < high && !*found)
    {
      guint middle = low + (high - low) / 2;
      const SwageImatrixEntry *entry = imatrix->entries->pdata[middle];
      int order = strcmp (name, entry->name);
      *found = order == 0;
      if (order > 0)
        low = middle + 1;
      else
        high = middle;
    }
  return *found ? high : low;
}

static SwageImatrixEntry *
add_entry (SwageImatrix *imatrix, const char *name, int64_t n_in, int64_t n_matrices)
{
  SwageImatrixEntry *entry = g_new0 (SwageImatrixEntry, 1);
  bool found;
  guint place = find_place (imatrix, name, &found);

  entry->name = g_strdup (name);
  entry->n_in = n_in;
  entry->n_matrices = n_matrices;
  entry->squares = g_new0 (float, (gsize)(n_in * n_matrices));
  entry->counts = g_new0 (float, (gsize)n_matrices);
  if (found)
    g_ptr_array_remove_index (imatrix->entries, place);
  g_ptr_array_insert (imatrix->entries, (gint)place, entry);
  return entry;
}

void
swage_imatrix_add (SwageImatrix *imatrix, const char *name, int64_t n_in, const double *squares,
                   int64_t count)
{
  SwageImatrixEntry *entry = add_entry (imatrix, name, n_in, 1);

  for (int64_t j = 0; j < n_in; j++)
    entry->squares[j] = (float)squares[j];
  entry->counts[0] = (float)count;
}

const SwageImatrixEntry *
swage_imatrix_find (const SwageImatrix *imatrix, const char *name)
{
  bool found;
  guint place = find_place (imatrix, name, &found);
  return found ? imatrix->entries->pdata[place] : NULL;
}

void
swage_imatrix_get_means (const SwageImatrixEntry *entry, int64_t matrix, float *means)
{
  float count = entry->counts[matrix];

  for (int64_t j = 0; j < entry->n_in; j++)
    means[j] = count > 0 ? entry->squares[matrix * entry->n_in + j] / count : 1;
}

/* ---- the newer form ---- */

static bool
corrupt (const char *origin, const char *what, GError **error)
{
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” is not a usable importance matrix: %s"),
               origin, what);
  return false;
}

static bool
all_usable (const float *values, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    if (!isfinite (values[i]) || values[i] < 0)
      return false;
  return true;
}

static float *
dup_floats (SwageGguf *gguf, int i, int64_t *n)
{
  g_autoptr (GBytes) data = swage_gguf_get_data (gguf, i);
  gsize size = 0;
  const void *bytes = data != NULL ? g_bytes_get_data (data, &size) : NULL;
  *n = (int64_t)(size / sizeof (float));
  return g_memdup2 (bytes, size);
}

static bool
load_entry (SwageGguf *gguf, int sums, int counts, SwageImatrix *imatrix, const char *origin, GError **error)
{
  const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, sums),
                        *count_info = swage_gguf_get_tensor (gguf, counts);
  int64_t n, n_counts, n_in = info->n_dims > 0 ? info->shape[info->n_dims - 1] : 0;
  g_autofree char *name = g_strndup (info->name, strlen (info->name) - strlen (".in_sum2"));

  if (info->type != SWAGE_TYPE_F32 || count_info->type != SWAGE_TYPE_F32 || n_in < 1)
    return corrupt (origin, _ ("a tensor is not F32"), error);
  g_autofree float *squares = dup_floats (gguf, sums, &n);
  g_autofree float *tokens = dup_floats (gguf, counts, &n_counts);
  if (n_counts < 1 || n % n_in != 0 || n / n_in != n_counts)
    return corrupt (origin, _ ("sums and counts do not belong together"), error);
  if (!all_usable (squares, n) || !all_usable (tokens, n_counts))
    return corrupt (origin, _ ("a number in it is negative or not finite"), error);
  SwageImatrixEntry *entry = add_entry (imatrix, name, n_in, n_counts);
  memcpy (entry->squares, squares, (size_t)n * sizeof (float));
  memcpy (entry->counts, tokens, (size_t)n_counts * sizeof (float));
  return true;
}

static SwageImatrix *
load_gguf (const char *path, GError **error)
{
  g_autoptr (SwageGguf) gguf = swage_gguf_open (path, error);
  if (gguf == NULL)
    return NULL;
  if (g_strcmp0 (swage_gguf_get_string (gguf, "general.type"), "imatrix") != 0)
    {
      corrupt (path, _ ("its general.type is not “imatrix”"), error);
      return NULL;
    }

  g_autoptr (SwageImatrix) imatrix = swage_imatrix_new ();
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);
  int n = swage_gguf_get_n_tensors (gguf);
  int64_t value, n_datasets = 0;
  const size_t *lengths;
  const char *const *datasets = swage_gguf_get_strings (gguf, "imatrix.datasets", &lengths, &n_datasets);
  if (datasets != NULL && n_datasets > 0)
    imatrix->dataset = g_strdup (datasets[0]);
  if (swage_gguf_get_int (gguf, "imatrix.chunk_count", &value))
    imatrix->n_chunks = (uint32_t)CLAMP (value, 0, UINT32_MAX);
  if (swage_gguf_get_int (gguf, "imatrix.chunk_size", &value))
    imatrix->chunk_size = (uint32_t)CLAMP (value, 0, UINT32_MAX);
  for (int i = 0; i < n; i++)
    g_hash_table_insert (by_name, swage_gguf_get_tensor (gguf, i)->name, GINT_TO_POINTER (i + 1));
  for (int i = 0; i < n; i++)
    {
      const char *name = swage_gguf_get_tensor (gguf, i)->name;
      if (!g_str_has_suffix (name, ".in_sum2"))
        continue;
      g_autofree char *stem = g_strndup (name, strlen (name) - strlen (".in_sum2"));
      g_autofree char *other = g_strconcat (stem, ".counts", NULL);
      int counts = GPOINTER_TO_INT (g_hash_table_lookup (by_name, other)) - 1;
      if (counts < 0)
        {
          corrupt (path, _ ("sums without counts"), error);
          return NULL;
        }
      if (!load_entry (gguf, i, counts, imatrix, path, error))
        return NULL;
    }
  return g_steal_pointer (&imatrix);
}

bool
swage_imatrix_save (const SwageImatrix *imatrix, const char *path, bool overwrite, GError **error)
{
  g_autoptr (SwageGgufWriter) w = swage_gguf_writer_new ();
  const char *dataset = imatrix->dataset != NULL ? imatrix->dataset : "";
  const size_t length = strlen (dataset);

  swage_gguf_writer_set_string (w, "general.type", "imatrix");
  swage_gguf_writer_set_strings (w, "imatrix.datasets", &dataset, &length, 1);
  swage_gguf_writer_set_u32 (w, "imatrix.chunk_count", imatrix->n_chunks);
  swage_gguf_writer_set_u32 (w, "imatrix.chunk_size", imatrix->chunk_size);
  for (guint i = 0; i < imatrix->entries->len; i++)
    {
      const SwageImatrixEntry *entry = imatrix->entries->pdata[i];
      g_autofree char *counts = g_strconcat (entry->name, ".counts", NULL);
      g_autofree char *sums = g_strconcat (entry->name, ".in_sum2", NULL);
      swage_gguf_writer_add_tensor (w, counts, SWAGE_TYPE_F32, 2, (const int64_t[]){ entry->n_matrices, 1 });
      swage_gguf_writer_add_tensor (w, sums, SWAGE_TYPE_F32, 2,
                                    (const int64_t[]){ entry->n_matrices, entry->n_in });
    }
  if (!swage_gguf_writer_start (w, path, overwrite, error))
    return false;
  for (guint i = 0; i < imatrix->entries->len; i++)
    {
      const SwageImatrixEntry *entry = imatrix->entries->pdata[i];
      size_t n = (size_t)entry->n_matrices;
      if (!swage_gguf_writer_write (w, entry->counts, n * sizeof (float), error)
          || !swage_gguf_writer_write (w, entry->squares, n * (size_t)entry->n_in * sizeof (float), error))
        return false;
    }
  return swage_gguf_writer_commit (w, NULL, NULL, error);
}

/* ---- the older form ---- */

typedef struct
{
  const uint8_t *data;
  size_t left;
} Reader;

static bool
read_i32 (Reader *r, int32_t *value)
{
  if (r->left < 4)
    return false;
  uint32_t u = (uint32_t)r->data[0] | (uint32_t)r->data[1] << 8 | (uint32_t)r->data[2] << 16
               | (uint32_t)r->data[3] << 24;
  *value = (int32_t)u;
  r->data += 4;
  r->left -= 4;
  return true;
}

static char *
read_name (Reader *r)
{
  int32_t n;
  if (!read_i32 (r, &n) || n < 0 || n > MAX_NAME || (size_t)n > r->left
      || memchr (r->data, 0, (size_t)n) != NULL)
    return NULL;
  char *name = g_strndup ((const char *)r->data, (gsize)n);
  r->data += n;
  r->left -= (size_t)n;
  return name;
}

static bool
read_entry (Reader *r, SwageImatrix *imatrix)
{
  g_autofree char *name = read_name (r);
  int32_t calls, n;

  if (name == NULL || !read_i32 (r, &calls) || calls < 0 || !read_i32 (r, &n) || n < 1
      || (size_t)n > r->left / 4)
    return false;
  SwageImatrixEntry *entry = add_entry (imatrix, name, n, 1);
  for (int32_t j = 0; j < n; j++)
    {
      int32_t bits = 0;
      read_i32 (r, &bits);
      memcpy (&entry->squares[j], &bits, 4);
    }
  entry->counts[0] = (float)calls;
  return all_usable (entry->squares, n);
}

SwageImatrix *
swage_imatrix_parse (const uint8_t *data, size_t n, const char *origin, GError **error)
{
  g_autoptr (SwageImatrix) imatrix = swage_imatrix_new ();
  Reader r = { data, n };
  int32_t n_entries, chunks;

  if (!read_i32 (&r, &n_entries) || n_entries < 1 || n_entries > MAX_ENTRIES)
    {
      corrupt (origin, _ ("it is neither GGUF nor does it begin with a number of entries"), error);
      return NULL;
    }
  for (int32_t i = 0; i < n_entries; i++)
    if (!read_entry (&r, imatrix))
      {
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                     _ ("“%s” is not a usable importance matrix: entry %d of %d, %zu bytes from the end, is "
                        "cut off or "
                        "holds impossible numbers"),
                     origin, i + 1, n_entries, r.left);
        return NULL;
      }
  /* what follows is for people; old files end here */
  if (read_i32 (&r, &chunks) && chunks >= 0)
    imatrix->n_chunks = (uint32_t)chunks;
  imatrix->dataset = read_name (&r);
  return g_steal_pointer (&imatrix);
}

static void
put_i32 (GByteArray *to, int64_t value)
{
  uint32_t u = (uint32_t)value;
  const uint8_t bytes[4] = { (uint8_t)u, (uint8_t)(u >> 8), (uint8_t)(u >> 16), (uint8_t)(u >> 24) };
  g_byte_array_append (to, bytes, 4);
}

static void
put_name (GByteArray *to, const char *name)
{
  put_i32 (to, (int64_t)strlen (name));
  g_byte_array_append (to, (const guint8 *)name, (guint)strlen (name));
}

bool
swage_imatrix_save_legacy (const SwageImatrix *imatrix, const char *path, bool overwrite, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  put_i32 (out, imatrix->entries->len);
  for (guint i = 0; i < imatrix->entries->len; i++)
    {
      const SwageImatrixEntry *entry = imatrix->entries->pdata[i];
      g_autofree float *means = g_new (float, (gsize)entry->n_in);
      put_name (out, entry->name);
      put_i32 (out, 1);
      put_i32 (out, entry->n_matrices * entry->n_in);
      for (int64_t m = 0; m < entry->n_matrices; m++)
        {
          swage_imatrix_get_means (entry, m, means);
          for (int64_t j = 0; j < entry->n_in; j++)
            {
              int32_t bits;
              memcpy (&bits, &means[j], 4);
              put_i32 (out, bits);
            }
        }
    }
  put_i32 (out, imatrix->n_chunks);
  put_name (out, imatrix->dataset != NULL ? imatrix->dataset : "");
  return swage_output_write_file (path, out->data, out->len, overwrite, NULL, error);
}

SwageImatrix *
swage_imatrix_load (const char *path, GError **error)
{
  g_autoptr (GBytes) bytes = swage_mapping_open (path, error);
  if (bytes == NULL)
    return NULL;
  gsize n;
  const uint8_t *data = g_bytes_get_data (bytes, &n);
  if (n >= 4 && memcmp (data, "GGUF", 4) == 0)
    return load_gguf (path, error);
  return swage_imatrix_parse (data, n, path, error);
}
