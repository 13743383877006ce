/* SPDX-License-Identifier: MIT
 *
 * The table of architectures, assembled by core/model/meson.build, and what its entries share.
 */
#include "core/model/swage-arch.h"
#include "core/base/swage-error.h"
#include "core/model/swage-arch-table.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define X(name) extern const SwageArch swage_arch_##name;
SWAGE_ARCH_TABLE (X)
#undef X

const SwageArch *const swage_archs[] = {
#define X(name) &swage_arch_##name,
  SWAGE_ARCH_TABLE (X)
#undef X
      NULL
};

const SwageArch *
swage_arch_find_model_type (const char *model_type)
{
  for (int i = 0; swage_archs[i] != NULL; i++)
    if (g_strv_contains (swage_archs[i]->model_types, model_type))
      return swage_archs[i];
  return NULL;
}

const SwageArch *
swage_arch_find_gguf (const char *architecture)
{
  for (int i = 0; swage_archs[i] != NULL; i++)
    if (g_strv_contains (swage_archs[i]->gguf_archs, architecture))
      return swage_archs[i];
  return NULL;
}

/* ---- config.json ---- */

bool
swage_arch_get_int (json_t *config, const char *key, int min, int max, int *value, const char *origin,
                    GError **error)
{
  int64_t wide = *value;
  if (!swage_json_get_int (config, key, min, max, &wide, origin, error))
    return false;
  *value = (int)wide;
  return true;
}

bool
swage_arch_need_int (json_t *config, const char *key, int max, int *value, const char *origin, GError **error)
{
  json_t *found = json_object_get (config, key);
  if (found == NULL || json_is_null (found))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” lacks “%s”."), origin, key);
      return false;
    }
  return swage_arch_get_int (config, key, 1, max, value, origin, error);
}

bool
swage_arch_json_choice (json_t *config, const char *key, const char *const *names, int *index,
                        const char *origin, GError **error)
{
  const char *name = NULL;
  if (!swage_json_get_string (config, key, &name, origin, error))
    return false;
  if (name == NULL)
    return true;
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp (names[i], name) == 0)
      {
        *index = i;
        return true;
      }
  g_autofree char *known = g_strjoinv (", ", (char **)names);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("“%s” in “%s” is “%s”; possible here are: %s."), key, origin, name, known);
  return false;
}

/* `scaling` is rope_scaling, or rope_parameters of newer files, which has the base in it too. */
static bool
read_scaling (json_t *scaling, const char *origin, SwageConfig *out, GError **error)
{
  const char *type = NULL;
  if (!json_is_object (scaling))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("The rope scaling in “%s” is not an object."),
                   origin);
      return false;
    }
  if (!swage_json_get_string (scaling, "rope_type", &type, origin, error)
      || (type == NULL && !swage_json_get_string (scaling, "type", &type, origin, error))
      || !swage_json_get_double (scaling, "rope_theta", 1e-6, 1e15, &out->rope_base, origin, error))
    return false;
  /* dynamic scaling begins beyond the model's own context, where nothing here goes */
  if (type == NULL || strcmp (type, "default") == 0 || strcmp (type, "dynamic") == 0)
    return true;
  bool llama3 = strcmp (type, "llama3") == 0;
  if (!llama3 && strcmp (type, "linear") != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("The rope scaling “%s” of “%s” is not supported; possible are: default, linear, "
                      "dynamic, llama3."),
                   type, origin);
      return false;
    }
  out->rope_scaling = llama3 ? SWAGE_ROPE_SCALING_LLAMA3 : SWAGE_ROPE_SCALING_LINEAR;
  out->rope_factor = out->rope_low_freq_factor = 1;
  out->rope_high_freq_factor = 4;
  out->rope_original_context = MIN (out->max_context, 8192);
  if (!swage_json_get_double (scaling, "factor", 1e-3, 1e6, &out->rope_factor, origin, error))
    return false;
  if (!llama3)
    return true;
  if (!swage_json_get_double (scaling, "low_freq_factor", 1e-3, 1e6, &out->rope_low_freq_factor, origin,
                              error)
      || !swage_json_get_double (scaling, "high_freq_factor", 1e-3, 1e6, &out->rope_high_freq_factor, origin,
                                 error)
      || !swage_arch_get_int (scaling, "original_max_position_embeddings", 1, SWAGE_MAX_CONTEXT,
                              &out->rope_original_context, origin, error))
    return false;
  if (out->rope_high_freq_factor <= out->rope_low_freq_factor)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("“high_freq_factor” in “%s” must be above “low_freq_factor”."), origin);
      return false;
    }
  return true;
}

bool
swage_arch_json_rope (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  double partial = 1;
  json_t *scaling = json_object_get (config, "rope_scaling"),
         *parameters = json_object_get (config, "rope_parameters");
  out->position = SWAGE_POS_ROPE;
  out->rope_base = 10000;
  if (!swage_json_get_double (config, "rope_theta", 1e-6, 1e15, &out->rope_base, origin, error)
      || !swage_json_get_double (config, "partial_rotary_factor", 1e-6, 1, &partial, origin, error))
    return false;
  if (partial != 1)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“partial_rotary_factor” in “%s” is %g; rotary positions over a part of the head are "
                      "not supported."),
                   origin, partial);
      return false;
    }
  out->rope_dims = out->head_dim;
  if (parameters != NULL && !json_is_null (parameters))
    scaling = parameters;
  return scaling == NULL || json_is_null (scaling) || read_scaling (scaling, origin, out, error);
}

bool
swage_arch_json_layer_types (json_t *config, const char *origin, SwageConfig *out, GError **error)
{
  json_t *types = json_object_get (config, "layer_types"), *type;
  size_t i, full = 0, sliding = 0;
  if (out->sliding_window == 0 || !json_is_array (types) || json_array_size (types) == 0)
    return true;
  json_array_foreach (types, i, type)
  {
    const char *word = json_string_value (type);
    full += g_strcmp0 (word, "full_attention") == 0;
    sliding += g_strcmp0 (word, "sliding_attention") == 0;
  }
  if (full != json_array_size (types) && sliding != json_array_size (types))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“%s” mixes kinds of attention (“layer_types”), which is not supported."), origin);
      return false;
    }
  if (full > 0)
    out->sliding_window = 0;
  return true;
}

/* ---- GGUF metadata ---- */

/* A number, or an array with the same number for every block. `*found` tells whether the key is there. */
static bool
gguf_int (SwageGguf *gguf, const char *arch, const char *name, int64_t min, int64_t max, int *value,
          bool *found, const char *origin, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", arch, name);
  int64_t v, n;
  const int32_t *array;
  *found = swage_gguf_get_int (gguf, key, &v);
  if (!*found && (array = swage_gguf_get_ints (gguf, key, &n)) != NULL && n > 0)
    {
      *found = true;
      v = array[0];
      for (int64_t i = 1; i < n; i++)
        if (array[i] != v)
          {
            g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                         _ ("“%s” in “%s” differs from block to block, which is not supported."), key,
                         origin);
            return false;
          }
    }
  if (!*found)
    return true;
  if (v < min || v > max)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("“%s” in “%s” is %" PRId64 "; %" PRId64 " to %" PRId64 " are possible."), key, origin,
                   v, min, max);
      return false;
    }
  *value = (int)MIN (v, INT32_MAX);
  return true;
}

static bool
gguf_need_int (SwageGguf *gguf, const char *arch, const char *name, int64_t max, int *value,
               const char *origin, GError **error)
{
  bool found;
  if (!gguf_int (gguf, arch, name, 1, max, value, &found, origin, error))
    return false;
  if (!found)
    g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” lacks “%s.%s”."), origin, arch, name);
  return found;
}

static bool
gguf_double (SwageGguf *gguf, const char *arch, const char *name, double min, double max, double *value,
             const char *origin, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s.%s", arch, name);
  double v;
  if (!swage_gguf_get_double (gguf, key, &v))
    return true;
  if (!(v >= min && v <= max))
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, _ ("“%s” in “%s” is %g; %g to %g are possible."),
                   key, origin, v, min, max);
      return false;
    }
  *value = v;
  return true;
}

static bool
gguf_rope (SwageGguf *gguf, const char *arch, const char *origin, SwageConfig *out, GError **error)
{
  g_autofree char *type_key = g_strdup_printf ("%s.rope.scaling.type", arch);
  const char *type = swage_gguf_get_string (gguf, type_key);
  double factor = 0;
  bool found;
  out->rope_base = 10000;
  out->rope_dims = out->head_dim;
  if (!gguf_double (gguf, arch, "rope.freq_base", 1e-6, 1e15, &out->rope_base, origin, error)
      || !gguf_int (gguf, arch, "rope.dimension_count", 1, SWAGE_MAX_HEAD_DIM, &out->rope_dims, &found,
                    origin, error)
      || !gguf_double (gguf, arch, "rope.scale_linear", 0, 1e6, &factor, origin, error)
      || !gguf_double (gguf, arch, "rope.scaling.factor", 0, 1e6, &factor, origin, error))
    return false;
  if (out->rope_dims != out->head_dim)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
          _ ("“%s” has rotary positions over %d of %d dimensions of a head, which is not supported."), origin,
          out->rope_dims, out->head_dim);
      return false;
    }
  if (type != NULL && strcmp (type, "none") != 0 && strcmp (type, "linear") != 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("The rope scaling “%s” of “%s” is not supported; possible are: none, linear."), type,
                   origin);
      return false;
    }
  if (factor > 0 && factor != 1 && (type == NULL || strcmp (type, "linear") == 0))
    {
      out->rope_scaling = SWAGE_ROPE_SCALING_LINEAR;
      out->rope_factor = factor;
    }
  return true;
}

bool
swage_arch_gguf_common (SwageGguf *gguf, const char *origin, SwageConfig *out, GError **error)
{
  const char *arch = swage_gguf_get_string (gguf, "general.architecture");
  bool found, found_value;
  int value_length = 0;
  if (!gguf_need_int (gguf, arch, "block_count", SWAGE_MAX_BLOCKS, &out->n_blocks, origin, error)
      || !gguf_need_int (gguf, arch, "context_length", UINT32_MAX, &out->max_context, origin, error)
      || !gguf_need_int (gguf, arch, "embedding_length", SWAGE_MAX_EMBD, &out->n_embd, origin, error)
      || !gguf_need_int (gguf, arch, "feed_forward_length", SWAGE_MAX_FF, &out->n_ff, origin, error)
      || !gguf_need_int (gguf, arch, "attention.head_count", SWAGE_MAX_HEADS, &out->n_heads, origin, error))
    return false;
  out->max_context = MIN (out->max_context, SWAGE_MAX_CONTEXT);

  out->n_kv_heads = out->n_heads;
  out->head_dim = MAX (1, out->n_embd / out->n_heads);
  if (!gguf_int (gguf, arch, "attention.head_count_kv", 1, SWAGE_MAX_HEADS, &out->n_kv_heads, &found, origin,
                 error)
      || !gguf_int (gguf, arch, "attention.key_length", 1, SWAGE_MAX_HEAD_DIM, &out->head_dim, &found, origin,
                    error)
      || !gguf_int (gguf, arch, "attention.value_length", 1, SWAGE_MAX_HEAD_DIM, &value_length, &found_value,
                    origin, error)
      || !gguf_int (gguf, arch, "attention.sliding_window", 0, INT32_MAX, &out->sliding_window, &found,
                    origin, error))
    return false;
  if (found_value && value_length != out->head_dim)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
                   _ ("“%s” has keys of %d and values of %d elements a head, which is not supported."),
                   origin, out->head_dim, value_length);
      return false;
    }
  if (out->position == SWAGE_POS_ROPE && !gguf_rope (gguf, arch, origin, out, error))
    return false;

  out->tied_output = true;
  for (int i = 0; i < swage_gguf_get_n_tensors (gguf); i++)
    {
      const SwageTensorInfo *info = swage_gguf_get_tensor (gguf, i);
      if (strcmp (info->name, "output.weight") == 0)
        out->tied_output = false;
      else if (strcmp (info->name, "token_embd.weight") == 0 && info->n_dims == 2
               && info->shape[0] <= SWAGE_MAX_VOCAB)
        out->n_vocab = (int)info->shape[0];
    }
  if (out->n_vocab == 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT,
                   _ ("“%s” has no usable tensor “token_embd.weight”; it may hold a vocabulary alone."),
                   origin);
      return false;
    }
  const char *eps
      = out->norm == SWAGE_NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
  return gguf_double (gguf, arch, eps, 0, 1, &out->norm_eps, origin, error);
}
