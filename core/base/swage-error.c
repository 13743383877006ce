/* SPDX-License-Identifier: MIT
 *
 * One domain, so that a caller decides on the code and shows the message as it is. The two helpers turn what
 * GIO and the C library report into that form at the place where the path is still known.
 */
#include "core/base/swage-error.h"

#include <errno.h>
#include <glib/gi18n-lib.h>

G_DEFINE_QUARK (swage - error - quark, swage_error)

static SwageError
code_from_file_error (int code)
{
  switch (code)
    {
    case G_FILE_ERROR_NOENT:
    case G_FILE_ERROR_NOTDIR:
    case G_FILE_ERROR_NXIO:
    case G_FILE_ERROR_NODEV:
      return SWAGE_ERROR_NOT_FOUND;
    case G_FILE_ERROR_NOSPC:
    case G_FILE_ERROR_NOMEM:
      return SWAGE_ERROR_NO_SPACE;
    default:
      return SWAGE_ERROR_IO;
    }
}

static SwageError
code_from_io_error (int code)
{
  switch (code)
    {
    case G_IO_ERROR_NOT_FOUND:
    case G_IO_ERROR_NOT_DIRECTORY:
    case G_IO_ERROR_NOT_MOUNTED:
    case G_IO_ERROR_HOST_NOT_FOUND:
      return SWAGE_ERROR_NOT_FOUND;
    case G_IO_ERROR_NO_SPACE:
      return SWAGE_ERROR_NO_SPACE;
    case G_IO_ERROR_CANCELLED:
      return SWAGE_ERROR_CANCELLED;
    case G_IO_ERROR_INVALID_ARGUMENT:
    case G_IO_ERROR_INVALID_FILENAME:
    case G_IO_ERROR_EXISTS:
      return SWAGE_ERROR_INVALID;
    case G_IO_ERROR_NOT_SUPPORTED:
      return SWAGE_ERROR_UNSUPPORTED;
    case G_IO_ERROR_INVALID_DATA:
    case G_IO_ERROR_PARTIAL_INPUT:
      return SWAGE_ERROR_CORRUPT;
    default:
      return SWAGE_ERROR_IO;
    }
}

void
swage_error_wrap_io (GError **error, const char *path)
{
  if (error == NULL || *error == NULL || (*error)->domain == SWAGE_ERROR)
    return;

  GError *cause = *error;
  SwageError code = SWAGE_ERROR_FAILED;
  if (cause->domain == G_FILE_ERROR)
    code = code_from_file_error (cause->code);
  else if (cause->domain == G_IO_ERROR)
    code = code_from_io_error (cause->code);

  g_autofree char *shown = g_filename_display_name (path != NULL ? path : "?");
  /* GLib's own messages often name the file already; saying it twice would only be noise. */
  GError *wrapped = strstr (cause->message, shown) != NULL
                        ? g_error_new_literal (SWAGE_ERROR, code, cause->message)
                        : g_error_new (SWAGE_ERROR, code, _ ("“%s”: %s"), shown, cause->message);
  g_error_free (cause);
  *error = wrapped;
}

void
swage_error_set_errno (GError **error, int err, const char *verb, const char *path)
{
  SwageError code;
  switch (err)
    {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
      code = SWAGE_ERROR_NO_SPACE;
      break;
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO:
      code = SWAGE_ERROR_NOT_FOUND;
      break;
    case EEXIST:
    case EISDIR:
    case ENAMETOOLONG:
    case EINVAL:
      code = SWAGE_ERROR_INVALID;
      break;
    default:
      code = SWAGE_ERROR_IO;
      break;
    }
  g_autofree char *shown = g_filename_display_name (path != NULL ? path : "?");
  g_set_error (error, SWAGE_ERROR, code, _ ("Cannot %s “%s”: %s"), verb, shown, g_strerror (err));
}
