/* SPDX-License-Identifier: MIT */
#include "core/pipeline/swage-cache.h"
#include "core/base/swage-error.h"
#include "core/base/swage-output.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utime.h>

#define SPILL_LIMIT ((uint64_t)32 << 30) /* of unnamed files */
#define SPILL_DISK_SHARE 2               /* never more than 1/2 of the free disk */
#define NOTE_MAX_BYTES 65536

typedef struct
{
  char *key;
  GBytes *states; /* one of these two */
  SwageLinear *layer;
  uint64_t bytes;
  bool mapped;
  guint64 tick;
} Entry;

struct _SwageCache
{
  GHashTable *entries; /* key → Entry */
  GHashTable *notes;
  uint64_t budget, used, spilled;
  guint64 tick;
  char *folder;
  uint64_t folder_limit;
};

typedef struct
{
  void *data;
  size_t bytes;
} Mapping;

static void
mapping_free (Mapping *mapping)
{
  munmap (mapping->data, mapping->bytes);
  g_free (mapping);
}

static void
entry_free (Entry *entry)
{
  g_clear_pointer (&entry->states, g_bytes_unref);
  swage_linear_unref (entry->layer);
  g_free (entry->key);
  g_free (entry);
}

SwageCache *
swage_cache_new (uint64_t budget)
{
  SwageCache *cache = g_new0 (SwageCache, 1);
  cache->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)entry_free);
  cache->notes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  cache->budget = budget;
  return cache;
}

void
swage_cache_free (SwageCache *cache)
{
  if (cache == NULL)
    return;
  g_hash_table_unref (cache->entries);
  g_hash_table_unref (cache->notes);
  g_free (cache->folder);
  g_free (cache);
}

void
swage_cache_set_folder (SwageCache *cache, const char *folder, uint64_t limit)
{
  g_free (cache->folder);
  cache->folder = g_strdup (folder);
  cache->folder_limit = limit;
  if (folder != NULL && g_mkdir_with_parents (folder, 0700) != 0)
    g_clear_pointer (&cache->folder, g_free);
}

/* An unnamed file of `bytes`, or −1. */
static int
open_unnamed (const char *folder, size_t bytes)
{
  struct statvfs disk;
  if (statvfs (folder, &disk) != 0 || (uint64_t)disk.f_bavail * disk.f_frsize / SPILL_DISK_SHARE < bytes)
    return -1;
  int fd = open (folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0)
    {
      g_autofree char *name = g_build_filename (folder, ".swage-XXXXXX", NULL);
      fd = g_mkstemp_full (name, O_RDWR | O_CLOEXEC, 0600);
      if (fd >= 0)
        g_unlink (name);
    }
  /* allocate, not just extend: writing to a mapping of a full disk would be a SIGBUS */
  if (fd >= 0 && posix_fallocate (fd, 0, (off_t)bytes) != 0)
    {
      close (fd);
      fd = -1;
    }
  return fd;
}

static void *
map_unnamed (SwageCache *cache, size_t bytes)
{
  const char *folders[] = { cache->folder, "/var/tmp", g_get_user_cache_dir (), g_get_tmp_dir () };
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
    {
      int fd = folders[i] != NULL ? open_unnamed (folders[i], bytes) : -1;
      if (fd < 0)
        continue;
      void *data = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      close (fd);
      if (data != MAP_FAILED)
        return data;
    }
  return NULL;
}

bool
swage_states_init (SwageStates *states, SwageCache *cache, size_t bytes, GError **error)
{
  *states = (SwageStates){ .bytes = bytes };
  if (bytes > cache->budget / 4)
    {
      states->data = map_unnamed (cache, bytes);
      states->mapped = states->data != NULL;
    }
  if (states->data == NULL)
    states->data = g_try_malloc (bytes);
  if (states->data == NULL)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_NO_SPACE,
                 _ ("There is not enough memory for %zu MiB of hidden states; use a shorter text."),
                 bytes >> 20);
  return states->data != NULL;
}

void
swage_states_clear (SwageStates *states)
{
  if (states->mapped)
    munmap (states->data, states->bytes);
  else
    g_free (states->data);
  *states = (SwageStates){ 0 };
}

GBytes *
swage_states_seal (SwageStates *states)
{
  GBytes *bytes;
  if (states->mapped)
    {
      Mapping *mapping = g_new (Mapping, 1);
      *mapping = (Mapping){ states->data, states->bytes };
      bytes = g_bytes_new_with_free_func (states->data, states->bytes, (GDestroyNotify)mapping_free, mapping);
    }
  else
    bytes = g_bytes_new_take (states->data, states->bytes);
  *states = (SwageStates){ 0 };
  return bytes;
}

static void
drop (SwageCache *cache, Entry *entry)
{
  *(entry->mapped ? &cache->spilled : &cache->used) -= entry->bytes;
  g_hash_table_remove (cache->entries, entry->key);
}

static Entry *
find_oldest (SwageCache *cache, bool mapped)
{
  GHashTableIter iter;
  gpointer value;
  Entry *oldest = NULL;
  g_hash_table_iter_init (&iter, cache->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Entry *entry = value;
      if (entry->mapped == mapped && (oldest == NULL || entry->tick < oldest->tick))
        oldest = entry;
    }
  return oldest;
}

/* Copy an entry's states to an unnamed file. */
static bool
spill (SwageCache *cache, Entry *entry)
{
  if (entry->states == NULL || cache->spilled + entry->bytes > SPILL_LIMIT)
    return false;
  SwageStates states = { .data = map_unnamed (cache, entry->bytes), .bytes = entry->bytes, .mapped = true };
  if (states.data == NULL)
    return false;
  memcpy (states.data, g_bytes_get_data (entry->states, NULL), entry->bytes);
  g_bytes_unref (entry->states);
  entry->states = swage_states_seal (&states);
  entry->mapped = true;
  cache->used -= entry->bytes;
  cache->spilled += entry->bytes;
  return true;
}

static void
make_room (SwageCache *cache)
{
  while (cache->used > cache->budget)
    {
      Entry *oldest = find_oldest (cache, false);
      if (!spill (cache, oldest))
        drop (cache, oldest);
    }
  while (cache->spilled > SPILL_LIMIT)
    drop (cache, find_oldest (cache, true));
}

static Entry *
lookup (SwageCache *cache, const char *key)
{
  Entry *entry = g_hash_table_lookup (cache->entries, key);
  if (entry != NULL)
    entry->tick = ++cache->tick;
  return entry;
}

static void
insert (SwageCache *cache, Entry *entry)
{
  Entry *old = g_hash_table_lookup (cache->entries, entry->key);
  if (old != NULL)
    drop (cache, old);
  entry->tick = ++cache->tick;
  *(entry->mapped ? &cache->spilled : &cache->used) += entry->bytes;
  g_hash_table_insert (cache->entries, entry->key, entry);
  make_room (cache);
}

static char *
file_of (SwageCache *cache, const char *key, const char *suffix)
{
  return g_strconcat (cache->folder, G_DIR_SEPARATOR_S, key, suffix, NULL);
}

GBytes *
swage_cache_get_states (SwageCache *cache, const char *key, size_t bytes)
{
  Entry *entry = lookup (cache, key);
  if (entry != NULL && entry->states != NULL && entry->bytes == bytes)
    return g_bytes_ref (entry->states);
  if (cache->folder == NULL)
    return NULL;
  g_autofree char *path = file_of (cache, key, ".states");
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  if (file == NULL || g_mapped_file_get_length (file) != bytes)
    return NULL;
  g_utime (path, NULL); /* recently used */
  return g_mapped_file_get_bytes (file);
}

bool
swage_cache_has_states (SwageCache *cache, const char *key, size_t bytes)
{
  g_autoptr (GBytes) states = swage_cache_get_states (cache, key, bytes);
  return states != NULL;
}

/* Remove the oldest files until `extra` more bytes fit. */
static void
trim_folder (SwageCache *cache, uint64_t extra)
{
  for (;;)
    {
      g_autoptr (GDir) dir = g_dir_open (cache->folder, 0, NULL);
      uint64_t total = extra;
      g_autofree char *oldest = NULL;
      gint64 oldest_time = 0;
      const char *name;
      while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *path = g_build_filename (cache->folder, name, NULL);
          GStatBuf info;
          if (!g_str_has_suffix (name, ".states") || g_stat (path, &info) != 0)
            continue;
          total += (uint64_t)info.st_size;
          if (oldest == NULL || info.st_mtime < oldest_time)
            {
              g_free (oldest);
              oldest = g_steal_pointer (&path);
              oldest_time = info.st_mtime;
            }
        }
      if (total <= cache->folder_limit || oldest == NULL || g_unlink (oldest) != 0)
        return;
    }
}

void
swage_cache_put_states (SwageCache *cache, const char *key, GBytes *states)
{
  Entry *entry = g_new0 (Entry, 1);
  entry->key = g_strdup (key);
  entry->states = g_bytes_ref (states);
  entry->bytes = g_bytes_get_size (states);
  entry->mapped = entry->bytes > cache->budget / 4; /* as swage_states_init() made them */
  insert (cache, entry);
  if (cache->folder != NULL && g_bytes_get_size (states) <= cache->folder_limit)
    {
      g_autofree char *path = file_of (cache, key, ".states");
      trim_folder (cache, g_bytes_get_size (states));
      swage_output_write_file (path, g_bytes_get_data (states, NULL), g_bytes_get_size (states), true, NULL,
                               NULL);
    }
}

SwageLinear *
swage_cache_get_layer (SwageCache *cache, const char *key)
{
  Entry *entry = lookup (cache, key);
  return entry != NULL && entry->layer != NULL ? swage_linear_ref (entry->layer) : NULL;
}

void
swage_cache_put_layer (SwageCache *cache, const char *key, SwageLinear *layer)
{
  Entry *entry = g_new0 (Entry, 1);
  entry->key = g_strdup (key);
  entry->layer = swage_linear_ref (layer);
  entry->bytes = swage_linear_get_bytes (layer);
  insert (cache, entry);
}

char *
swage_cache_get_note (SwageCache *cache, const char *key)
{
  const char *note = g_hash_table_lookup (cache->notes, key);
  if (note != NULL || cache->folder == NULL)
    return g_strdup (note);
  g_autofree char *path = file_of (cache, key, ".json");
  GStatBuf info;
  char *text = NULL;
  if (g_stat (path, &info) != 0 || info.st_size > NOTE_MAX_BYTES
      || !g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  return text;
}

void
swage_cache_put_note (SwageCache *cache, const char *key, const char *note)
{
  g_hash_table_insert (cache->notes, g_strdup (key), g_strdup (note));
  if (cache->folder != NULL)
    {
      g_autofree char *path = file_of (cache, key, ".json");
      swage_output_write_file (path, note, strlen (note), true, NULL, NULL);
    }
}

uint64_t
swage_cache_get_bytes (SwageCache *cache)
{
  return cache->used;
}
