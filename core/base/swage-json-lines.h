/* SPDX-License-Identifier: MIT
 *
 * Where in a JSON text a value stands. Jansson forgets positions; a message about a plan names the line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* One step into the document: a member of an object, or (key == NULL) an element of an array. */
typedef struct
{
  const char *key;
  size_t index;
} SwageJsonStep;

typedef struct
{
  int key_line,
      key_column;   /* of the opening quote of the member's key; for an element the same as the value */
  int line, column; /* of the value's first character; all count from 1, columns in characters */
} SwageJsonPlace;

/* Follow `path` through `text`, which is valid JSON (parsed before). TRUE and the place when it is there.
 * FALSE when the path breaks off: then `place` is that of the deepest part that is there (the object that
 * lacks the key). */
bool swage_json_find_place (const char *text, size_t n, const SwageJsonStep *path, size_t n_path,
                            SwageJsonPlace *place);
