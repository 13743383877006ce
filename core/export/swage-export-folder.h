/* SPDX-License-Identifier: MIT
 *
 * A folder of files that appears whole or not at all: what SwageOutput is to a file.
 */
#pragma once

#include "core/export/swage-export.h"

typedef struct _SwageExportFolder SwageExportFolder;

/* Begin a folder that will be `path`. An existing one is left alone until commit; without `overwrite` it is an error, and so is one, even
 * then, that holds files which are no part of a model: they would be lost. `expected` bytes are checked against the free space. */
SwageExportFolder *swage_export_folder_new (const char *path, uint64_t expected, bool overwrite, GError **error);
/* Where to write file `name`; new string. Say swage_export_folder_note() when it is written. */
char *swage_export_folder_get_path (SwageExportFolder *folder, const char *name);
void swage_export_folder_note (SwageExportFolder *folder, const char *name, uint64_t bytes, const char *sha256);
bool swage_export_folder_write (SwageExportFolder *folder, const char *name, const void *data, size_t n, GError **error);
/* Put it in its place and fill in bytes, n_files and sha256. */
bool swage_export_folder_commit (SwageExportFolder *folder, SwageExportResult *result, GError **error);
/* Without a commit before, everything is removed. NULL is allowed. */
void swage_export_folder_free (SwageExportFolder *folder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SwageExportFolder, swage_export_folder_free)
