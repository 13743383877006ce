/* SPDX-License-Identifier: MIT
 *
 * The matrices of a safetensors file as floats, for tests and bench of the number types. The files are our
 * own, so the reading is short; the product's careful reader stands in core/format.
 */
#pragma once

#include "kernels/swage-type.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>

typedef struct
{
  char *name;
  int64_t rows, cols;
  float *x;
} Matrix;

static inline void
matrix_free (gpointer data)
{
  Matrix *m = data;
  g_free (m->name);
  g_free (m->x);
  g_free (m);
}

/* Every tensor of two dimensions, or NULL when the file cannot be read. */
static inline GPtrArray *
matrices_load (const char *path)
{
  GMappedFile *file = g_mapped_file_new (path, FALSE, NULL);
  if (!file)
    return NULL;
  const char *bytes = g_mapped_file_get_contents (file), *name;
  uint64_t header;
  memcpy (&header, bytes, 8);
  json_t *root = json_loadb (bytes + 8, header, 0, NULL), *tensor;
  GPtrArray *all = g_ptr_array_new_with_free_func (matrix_free);
  json_object_foreach (root, name, tensor)
  {
    json_t *shape = json_object_get (tensor, "shape");
    if (json_array_size (shape) != 2)
      continue;
    Matrix *m = g_new0 (Matrix, 1);
    m->name = g_strdup (name);
    m->rows = json_integer_value (json_array_get (shape, 0));
    m->cols = json_integer_value (json_array_get (shape, 1));
    m->x = g_new (float, m->rows * m->cols);
    json_int_t from = json_integer_value (json_array_get (json_object_get (tensor, "data_offsets"), 0));
    SwageType type = swage_type_from_safetensors (json_string_value (json_object_get (tensor, "dtype")));
    swage_type_to_f32 (type, bytes + 8 + header + from, m->x, m->rows * m->cols);
    g_ptr_array_add (all, m);
  }
  json_decref (root);
  g_mapped_file_unref (file);
  return all;
}

/* A small generator, the same everywhere: splitmix64, and a roughly normal sum of its uniforms. */
static inline uint64_t
noise_bits (uint64_t *state)
{
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline double
noise_uniform (uint64_t *state)
{
  return (double)(noise_bits (state) >> 11) * 0x1p-53;
}

static inline double
noise_normal (uint64_t *state)
{
  double sum = -6;
  for (int i = 0; i < 12; i++)
    sum += noise_uniform (state);
  return sum;
}
