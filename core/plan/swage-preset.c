/* SPDX-License-Identifier: MIT
 *
 * Presets: named plans for any model. They are data (data/presets/ID.json, compiled in), so that nothing here
 * knows a method. A preset is
 *
 *   {"title": "…", "rules": [{"layers": GLOB, "blocks": "all|more_bits|first_eighth|first_sixteenth",
 * "recipe": TEXT}], "fallback": [TEXT, …]}
 *
 * `blocks` narrows a rule to some blocks. "more_bits" are those that llama.cpp's mixes give more bits to:
 * with n blocks, i < n/8, i ≥ 7n/8, and every third between. `fallback` recipes are tried in order for a
 * layer whose shape the rule's recipe cannot hold.
 */
#include "core/plan/swage-plan-private.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"
#include "core/plan/swage-presets.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define PRESET_FOLDER "/io/github/swage/presets"

static char **preset_ids;
static GHashTable *preset_titles;

/* A resource in a static library is linked in only when something asks for it by name. */
static void
register_presets (void)
{
  static gsize once;
  if (g_once_init_enter (&once))
    {
      swage_presets_register_resource ();
      g_once_init_leave (&once, 1);
    }
}

static json_t *
load_preset (const char *id, GError **error)
{
  register_presets ();
  g_autofree char *path = g_strdup_printf ("%s/%s.json", PRESET_FOLDER, id);
  g_autoptr (GBytes) bytes = g_resources_lookup_data (path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  if (bytes == NULL)
    {
      g_autofree char *known = g_strjoinv (", ", (char **)swage_plan_get_presets ());
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("There is no preset “%s”; there are: %s."), id,
                   known);
      return NULL;
    }
  return swage_json_parse (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), path, error);
}

/* The order is that of the key "order" in each file: the way people read a list, largest first. */
static int
compare_order (gconstpointer a, gconstpointer b, gpointer orders)
{
  return GPOINTER_TO_INT (g_hash_table_lookup (orders, *(char *const *)a))
         - GPOINTER_TO_INT (g_hash_table_lookup (orders, *(char *const *)b));
}

static void
load_list (void)
{
  static gsize once;
  if (!g_once_init_enter (&once))
    return;
  register_presets ();
  g_auto (GStrv) files = g_resources_enumerate_children (PRESET_FOLDER, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  g_autoptr (GHashTable) orders = g_hash_table_new (g_str_hash, g_str_equal);
  preset_titles = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  for (int i = 0; files != NULL && files[i] != NULL; i++)
    if (g_str_has_suffix (files[i], ".json"))
      {
        char *id = g_strndup (files[i], strlen (files[i]) - strlen (".json"));
        g_autoptr (json_t) json = load_preset (id, NULL);
        g_ptr_array_add (ids, id);
        const char *title = json_string_value (json_object_get (json, "title"));
        g_hash_table_insert (preset_titles, id, g_strdup (title != NULL ? title : id));
        g_hash_table_insert (orders, id,
                             GINT_TO_POINTER ((int)json_integer_value (json_object_get (json, "order"))));
      }
  g_ptr_array_sort_with_data (ids, compare_order, orders);
  g_ptr_array_add (ids, NULL);
  preset_ids = (char **)g_ptr_array_free (g_steal_pointer (&ids), FALSE);
  g_once_init_leave (&once, 1);
}

const char *const *
swage_plan_get_presets (void)
{
  load_list ();
  return (const char *const *)preset_ids;
}

const char *
swage_plan_get_preset_title (const char *id)
{
  load_list ();
  const char *title = g_hash_table_lookup (preset_titles, id);
  return title != NULL ? _ (title) : NULL;
}

static bool
block_matches (const char *blocks, int block, int n)
{
  if (blocks == NULL || strcmp (blocks, "all") == 0)
    return true;
  if (strcmp (blocks, "more_bits") == 0)
    return block >= 0 && (block < n / 8 || block >= 7 * n / 8 || (block - n / 8) % 3 == 2);
  if (strcmp (blocks, "first_eighth") == 0)
    return block >= 0 && block < n / 8;
  if (strcmp (blocks, "first_sixteenth") == 0)
    return block >= 0 && block < n / 16;
  return false;
}

/* The first of the recipe and the fallbacks that the layer can hold; NULL with the recipe's own error when
 * none fits. */
static SwageRecipe *
fit_recipe (SwageModel *model, const SwageTensor *layer, const char *text, json_t *fallback, GError **error)
{
  SwageLinearSpec original, out;
  swage_plan_original_spec (model, layer, &original);
  g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (text, error);
  if (recipe == NULL)
    return NULL;
  g_autoptr (GError) cause = NULL;
  if (swage_recipe_cost (recipe, layer->name, &original, &out, &cause))
    return g_steal_pointer (&recipe);
  size_t i;
  json_t *item;
  json_array_foreach (fallback, i, item)
  {
    g_autoptr (SwageRecipe) other = swage_recipe_new_from_text (json_string_value (item), NULL);
    if (other != NULL && swage_recipe_cost (other, layer->name, &original, &out, NULL))
      return g_steal_pointer (&other);
  }
  g_propagate_error (error, g_steal_pointer (&cause));
  return NULL;
}

bool
swage_plan_apply_preset (SwagePlan *plan, const char *id, SwageModel *model, GError **error)
{
  g_autoptr (json_t) json = load_preset (id, error);
  if (json == NULL)
    return false;
  json_t *rules = json_object_get (json, "rules"), *fallback = json_object_get (json, "fallback");
  int n_blocks = swage_model_get_config (model)->n_blocks, n_layers = swage_model_get_n_layers (model);

  SwagePlanState *state = swage_plan_state_dup (plan->state);
  g_ptr_array_set_size (state->rules, 0);
  /* whole rules first, so that the plan reads like the preset; then the layers that need something else, one
   * by one */
  g_autoptr (GPtrArray) exceptions = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_rule_free);
  size_t r;
  json_t *rule;
  json_array_foreach (rules, r, rule)
  {
    const char *glob = json_string_value (json_object_get (rule, "layers"));
    const char *blocks = json_string_value (json_object_get (rule, "blocks"));
    const char *text = json_string_value (json_object_get (rule, "recipe"));
    if (glob != NULL && text != NULL && block_matches (blocks, -1, n_blocks))
      {
        g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (text, error);
        if (recipe == NULL)
          {
            swage_plan_state_unref (state);
            return false;
          }
        g_ptr_array_add (state->rules, swage_rule_new (glob, recipe));
      }
  }
  for (int i = 0; i < n_layers; i++)
    {
      const SwageTensor *layer = swage_model_get_layer (model, i);
      const char *wanted = NULL;
      json_array_foreach (rules, r, rule)
      {
        const char *glob = json_string_value (json_object_get (rule, "layers"));
        if (glob != NULL && swage_glob_match (glob, layer->name)
            && block_matches (json_string_value (json_object_get (rule, "blocks")), layer->block, n_blocks))
          wanted = json_string_value (json_object_get (rule, "recipe"));
      }
      if (wanted == NULL)
        continue;
      g_autoptr (SwageRecipe) recipe = fit_recipe (model, layer, wanted, fallback, error);
      if (recipe == NULL)
        {
          swage_plan_state_unref (state);
          return false;
        }
      if (!swage_recipe_equal (swage_plan_state_find (state, layer->name), recipe))
        g_ptr_array_add (exceptions, swage_rule_new (layer->name, recipe));
    }
  for (guint i = 0; i < exceptions->len; i++)
    {
      const SwageRule *exception = exceptions->pdata[i];
      g_ptr_array_add (state->rules, swage_rule_new (exception->glob, exception->recipe));
    }
  swage_plan_commit (plan, state, _ ("Apply preset"));
  return true;
}
