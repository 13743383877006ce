/* SPDX-License-Identifier: MIT
 *
 * The one error domain of core. A message says what failed, on what (file, tensor, byte offset, key), why,
 * and what to do; it is a whole sentence for the user, translated, without a trailing newline.
 */
#pragma once

#include <gio/gio.h>

#define SWAGE_ERROR (swage_error_quark ())
GQuark swage_error_quark (void);

typedef enum
{
  SWAGE_ERROR_FAILED,      /* anything without a code of its own */
  SWAGE_ERROR_NOT_FOUND,   /* a file, tensor, layer, method, device that is not there */
  SWAGE_ERROR_IO,          /* the operating system refused: permission, read error */
  SWAGE_ERROR_NO_SPACE,    /* disk or memory budget */
  SWAGE_ERROR_CORRUPT,     /* truncated or damaged input */
  SWAGE_ERROR_UNSUPPORTED, /* well-formed, but nothing here can handle it */
  SWAGE_ERROR_INVALID,     /* a plan, parameter or argument out of its range */
  SWAGE_ERROR_NUMERIC,     /* NaN, singular matrix: names the layer */
  SWAGE_ERROR_CANCELLED,   /* the user stopped the job */
  SWAGE_ERROR_DEVICE,      /* a GPU failed; the same work can be done again on the CPU */
} SwageError;

/* Replace *error by one in SWAGE_ERROR, whose message names `path`, mapping errno-like G_FILE_ERROR and
 * G_IO_ERROR codes. Does nothing when error or *error is NULL or is of SWAGE_ERROR already. */
void swage_error_wrap_io (GError **error, const char *path);
/* Set *error from errno value `err`: "Cannot VERB “path”: reason". ENOSPC and EDQUOT become NO_SPACE. */
void swage_error_set_errno (GError **error, int err, const char *verb, const char *path);
