/* SPDX-License-Identifier: MIT
 *
 * GMappedFile would do but for two things: it waits on a pipe that nobody writes to, and it says of a folder
 * only that there is "no such device".
 */
#include "core/format/swage-mapping.h"
#include "core/base/swage-error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  void *data;
  gsize n;
} Mapping;

static void
mapping_free (gpointer p)
{
  Mapping *mapping = p;
  munmap (mapping->data, mapping->n);
  g_free (mapping);
}

GBytes *
swage_mapping_open (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    {
      swage_error_set_errno (error, errno, _ ("open"), path);
      return NULL;
    }

  struct stat st;
  GBytes *bytes = NULL;
  if (fstat (fd, &st) != 0)
    swage_error_set_errno (error, errno, _ ("read"), path);
  else if (!S_ISREG (st.st_mode))
    {
      g_autofree char *shown = g_filename_display_name (path);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("“%s” is not a regular file."), shown);
    }
  else if (st.st_size == 0)
    bytes = g_bytes_new (NULL, 0);
  else if ((uintmax_t)st.st_size > G_MAXSIZE)
    swage_error_set_errno (error, EFBIG, _ ("map"), path);
  else
    {
      gsize n = (gsize)st.st_size;
      void *data = mmap (NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
      if (data == MAP_FAILED)
        swage_error_set_errno (error, errno, _ ("map"), path);
      else
        {
          Mapping *mapping = g_new (Mapping, 1);
          *mapping = (Mapping){ data, n };
          bytes = g_bytes_new_with_free_func (data, n, mapping_free, mapping);
        }
    }
  close (fd);
  return bytes;
}

/* madvise() wants whole pages: `outward` takes those that the range touches, else those that lie within it.
 */
static void
advise (const void *data, gsize n, int advice, bool outward)
{
  uintptr_t page = (uintptr_t)sysconf (_SC_PAGESIZE);
  uintptr_t begin = (uintptr_t)data, end = begin + n;
  begin = outward ? begin & ~(page - 1) : (begin + page - 1) & ~(page - 1);
  end = outward ? end : end & ~(page - 1);
  if (n > 0 && end > begin)
    (void)madvise ((void *)begin, end - begin, advice);
}

void
swage_mapping_prefetch (const void *data, gsize n)
{
  advise (data, n, MADV_WILLNEED, true);
}

/* MADV_DONTNEED drops the process's own page tables; what others share with us stays in the file cache, and a
 * late reader only faults it in again. */
void
swage_mapping_release (const void *data, gsize n)
{
  advise (data, n, MADV_DONTNEED, false);
}
