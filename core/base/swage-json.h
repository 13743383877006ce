/* SPDX-License-Identifier: MIT
 *
 * Jansson with our limits and messages: files up to a ceiling, duplicate keys rejected, depth bounded by
 * Jansson, typed getters that name file and key in their errors.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <gio/gio.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (json_t, json_decref)

/* Read and parse `path`; a file of more than `max_bytes` is an error. The result is a new reference. Errors
 * name file, line and column. */
json_t *swage_json_load (const char *path, size_t max_bytes, GError **error);
/* Parse `n` bytes; `origin` is what errors call the source. */
json_t *swage_json_parse (const char *text, size_t n, const char *origin, GError **error);

/* Typed getters. The key absent or null: *value keeps its default and TRUE is returned. Wrong type or outside
 * [min, max]: FALSE with an error that names `origin`, the key and the allowed range. */
bool swage_json_get_int (json_t *object, const char *key, int64_t min, int64_t max, int64_t *value,
                         const char *origin, GError **error);
bool swage_json_get_double (json_t *object, const char *key, double min, double max, double *value,
                            const char *origin, GError **error);
bool swage_json_get_bool (json_t *object, const char *key, bool *value, const char *origin, GError **error);
/* *value borrows from the object; it stays NULL-terminated UTF-8. */
bool swage_json_get_string (json_t *object, const char *key, const char **value, const char *origin,
                            GError **error);

/* Pretty-printed with two spaces, keys in insertion order, shortest reals that read back the same, a newline
 * at the end. */
char *swage_json_dump (json_t *json);
