/* SPDX-License-Identifier: MIT */
#include "ui/shell/swage-layer-item.h"

#include <glib/gi18n-lib.h>
#include <string.h>

enum
{
  PROP_0,
  PROP_NAME,
  PROP_TITLE,
  PROP_SHAPE,
  PROP_TYPE_TEXT,
  PROP_BITS,
  PROP_BITS_TEXT,
  PROP_BYTES,
  PROP_SIZE_TEXT,
  PROP_ERROR,
  PROP_ERROR_TEXT,
  PROP_KURTOSIS,
  PROP_OUTLIERS,
  PROP_INDEX,
  PROP_PARAMETERS,
  PROP_CHANGED,
  PROP_STATISTICS,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (SwageLayerItem, swage_layer_item, G_TYPE_OBJECT)

bool
swage_layer_item_is_group (SwageLayerItem *item)
{
  return item->children != NULL;
}

int
swage_layer_item_get_block (SwageLayerItem *item)
{
  return item->tensor != NULL ? item->tensor->block : -1;
}

SwageRole
swage_layer_item_get_role (SwageLayerItem *item)
{
  return item->tensor != NULL ? item->tensor->role : SWAGE_ROLE_NONE;
}

bool
swage_layer_item_has_activations (SwageLayerItem *item)
{
  SwageRole role = swage_layer_item_get_role (item);
  return role != SWAGE_ROLE_NONE
         && (swage_role_is_linear (role)
             || (role == SWAGE_ROLE_TOKEN_EMBD && swage_model_get_config (item->model)->tied_output));
}

double
swage_layer_item_get_bits (SwageLayerItem *item)
{
  return item->parameters > 0 ? 8.0 * (double)item->bytes / (double)item->parameters : 0;
}

double
swage_layer_item_get_relative_error (SwageLayerItem *item)
{
  if (item->children != NULL)
    {
      /* the worst of its layers: a mean would hide it */
      double worst = NAN;
      guint n = g_list_model_get_n_items (G_LIST_MODEL (item->children));
      for (guint i = 0; i < n; i++)
        {
          g_autoptr (SwageLayerItem) child = g_list_model_get_item (G_LIST_MODEL (item->children), i);
          worst = fmax (worst, swage_layer_item_get_relative_error (child));
        }
      return worst;
    }
  if (!item->changed)
    return 0;
  return item->has_error ? item->error.relative_error : NAN;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  SwageLayerItem *item = SWAGE_LAYER_ITEM (object);
  switch (id)
    {
    case PROP_NAME:
      g_value_set_string (value, item->name);
      break;
    case PROP_TITLE:
      g_value_set_string (value, item->title);
      break;
    case PROP_SHAPE:
      g_value_set_string (value, item->shape);
      break;
    case PROP_TYPE_TEXT:
      g_value_set_string (value, item->problem != NULL ? "⚠" : item->type_text);
      break;
    case PROP_BITS:
      g_value_set_double (value, swage_layer_item_get_bits (item));
      break;
    case PROP_BITS_TEXT:
      g_value_take_string (value, g_strdup_printf ("%.2f", swage_layer_item_get_bits (item)));
      break;
    case PROP_BYTES:
      g_value_set_uint64 (value, item->bytes);
      break;
    case PROP_SIZE_TEXT:
      g_value_take_string (value, g_format_size_full (item->bytes, G_FORMAT_SIZE_IEC_UNITS));
      break;
    case PROP_ERROR:
      {
        double error = swage_layer_item_get_relative_error (item);
        g_value_set_double (value, isnan (error) ? -1 : error);
        break;
      }
    case PROP_ERROR_TEXT:
      {
        double error = swage_layer_item_get_relative_error (item);
        if (isnan (error))
          g_value_set_static_string (value, "…");
        else if (error > 0)
          g_value_take_string (value, g_strdup_printf ("%.2f %%", 100 * error));
        else
          g_value_set_static_string (value, "");
        break;
      }
    case PROP_KURTOSIS:
      g_value_set_double (value, item->weight_before != NULL ? item->weight_before->summary.kurtosis : -1);
      break;
    case PROP_OUTLIERS:
      g_value_set_double (value,
                          item->weight_before != NULL ? item->weight_before->summary.outlier_share : -1);
      break;
    case PROP_INDEX:
      g_value_set_int (value, item->index);
      break;
    case PROP_PARAMETERS:
      g_value_set_int64 (value, item->parameters);
      break;
    case PROP_CHANGED:
      g_value_set_boolean (value, item->changed);
      break;
    case PROP_STATISTICS:
      g_value_set_boolean (value, item->weight_before != NULL);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
finalize (GObject *object)
{
  SwageLayerItem *item = SWAGE_LAYER_ITEM (object);
  swage_weight_stats_free (item->weight_before);
  swage_weight_stats_free (item->weight_after);
  g_free (item->levels);
  swage_act_stats_free (item->act_before);
  swage_act_stats_free (item->act_after);
  g_free (item->after_key);
  g_free (item->act_after_key);
  g_free (item->after_problem);
  g_free (item->name);
  g_free (item->title);
  g_free (item->shape);
  g_free (item->type_text);
  g_free (item->problem);
  g_clear_object (&item->children);
  g_clear_pointer (&item->model, swage_model_unref);
  G_OBJECT_CLASS (swage_layer_item_parent_class)->finalize (object);
}

static void
swage_layer_item_class_init (SwageLayerItemClass *klass)
{
  G_OBJECT_CLASS (klass)->get_property = get_property;
  G_OBJECT_CLASS (klass)->finalize = finalize;
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  props[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, NULL, flags);
  props[PROP_SHAPE] = g_param_spec_string ("shape", NULL, NULL, NULL, flags);
  props[PROP_TYPE_TEXT] = g_param_spec_string ("type-text", NULL, NULL, NULL, flags);
  props[PROP_BITS] = g_param_spec_double ("bits", NULL, NULL, 0, G_MAXDOUBLE, 0, flags);
  props[PROP_BITS_TEXT] = g_param_spec_string ("bits-text", NULL, NULL, NULL, flags);
  props[PROP_BYTES] = g_param_spec_uint64 ("bytes", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  props[PROP_SIZE_TEXT] = g_param_spec_string ("size-text", NULL, NULL, NULL, flags);
  /* −1: not known */
  props[PROP_ERROR] = g_param_spec_double ("error", NULL, NULL, -1, G_MAXDOUBLE, -1, flags);
  props[PROP_ERROR_TEXT] = g_param_spec_string ("error-text", NULL, NULL, NULL, flags);
  props[PROP_KURTOSIS] = g_param_spec_double ("kurtosis", NULL, NULL, -1, G_MAXDOUBLE, -1, flags);
  props[PROP_OUTLIERS] = g_param_spec_double ("outliers", NULL, NULL, -1, G_MAXDOUBLE, -1, flags);
  props[PROP_INDEX] = g_param_spec_int ("index", NULL, NULL, -1, G_MAXINT, -1, flags);
  props[PROP_PARAMETERS] = g_param_spec_int64 ("parameters", NULL, NULL, 0, G_MAXINT64, 0, flags);
  props[PROP_CHANGED] = g_param_spec_boolean ("changed", NULL, NULL, FALSE, flags);
  props[PROP_STATISTICS] = g_param_spec_boolean ("statistics", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (G_OBJECT_CLASS (klass), N_PROPS, props);
}

static void
swage_layer_item_init (SwageLayerItem *item)
{
  item->index = -1;
}

SwageLayerItem *
swage_layer_item_new (SwageModel *model, int index)
{
  SwageLayerItem *item = g_object_new (SWAGE_TYPE_LAYER_ITEM, NULL);
  item->model = swage_model_ref (model);
  item->tensor = swage_model_get_layer (model, index);
  item->index = index;
  item->name = g_strdup (item->tensor->name);
  item->title = g_strdup (item->tensor->block >= 0 ? strrchr (item->name, '.') + 1 : item->name);
  int64_t rows = item->tensor->shape[0], columns = item->tensor->n_dims > 1 ? item->tensor->shape[1] : 1;
  item->shape = g_strdup_printf ("%lld × %lld", (long long)rows, (long long)columns);
  item->parameters = rows * columns;
  item->bytes = item->original_bytes = item->tensor->bytes;
  item->type_text = g_strdup (swage_type_get_info (item->tensor->type)->title);
  return item;
}

SwageLayerItem *
swage_layer_item_new_group (const char *name, const char *title)
{
  SwageLayerItem *item = g_object_new (SWAGE_TYPE_LAYER_ITEM, NULL);
  item->children = g_list_store_new (SWAGE_TYPE_LAYER_ITEM);
  item->name = g_strdup (name);
  item->title = g_strdup (title);
  return item;
}

void
swage_layer_item_add (SwageLayerItem *group, SwageLayerItem *layer)
{
  if (group->index < 0 || layer->index < group->index)
    group->index = layer->index;
  g_list_store_append (group->children, layer);
}

void
swage_layer_item_set_spec (SwageLayerItem *item, const SwageLinearSpec *spec, const char *problem)
{
  g_autofree char *text = spec != NULL ? swage_linear_spec_describe (spec) : g_strdup (item->type_text);
  uint64_t bytes = spec != NULL ? swage_linear_spec_get_bytes (spec) : item->bytes;
  bool same_text = g_strcmp0 (text, item->type_text) == 0 && g_strcmp0 (problem, item->problem) == 0;
  g_object_freeze_notify (G_OBJECT (item));
  if (!same_text)
    {
      g_free (item->type_text);
      item->type_text = g_steal_pointer (&text);
      g_free (item->problem);
      item->problem = g_strdup (problem);
      g_object_notify_by_pspec (G_OBJECT (item), props[PROP_TYPE_TEXT]);
    }
  if (bytes != item->bytes)
    {
      item->bytes = bytes;
      g_object_notify_by_pspec (G_OBJECT (item), props[PROP_BITS]);
      g_object_notify_by_pspec (G_OBJECT (item), props[PROP_BITS_TEXT]);
      g_object_notify_by_pspec (G_OBJECT (item), props[PROP_BYTES]);
      g_object_notify_by_pspec (G_OBJECT (item), props[PROP_SIZE_TEXT]);
    }
  g_object_thaw_notify (G_OBJECT (item));
}

void
swage_layer_item_update_group (SwageLayerItem *group)
{
  uint64_t bytes = 0;
  int64_t parameters = 0;
  bool changed = false;
  const char *type = NULL;
  bool mixed = false;
  guint n = g_list_model_get_n_items (G_LIST_MODEL (group->children));
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (SwageLayerItem) child = g_list_model_get_item (G_LIST_MODEL (group->children), i);
      bytes += child->bytes;
      parameters += child->parameters;
      changed |= child->changed;
      mixed |= type != NULL && g_strcmp0 (type, child->type_text) != 0;
      type = child->type_text;
    }
  g_autofree char *text = g_strdup (mixed ? _ ("mixed") : type);
  bool notify_bytes = bytes != group->bytes || parameters != group->parameters;
  bool notify_type = g_strcmp0 (text, group->type_text) != 0;
  group->bytes = bytes;
  group->parameters = parameters;
  group->changed = changed;
  g_free (group->type_text);
  group->type_text = g_steal_pointer (&text);
  g_object_freeze_notify (G_OBJECT (group));
  if (notify_type)
    g_object_notify_by_pspec (G_OBJECT (group), props[PROP_TYPE_TEXT]);
  if (notify_bytes)
    {
      g_object_notify_by_pspec (G_OBJECT (group), props[PROP_BITS]);
      g_object_notify_by_pspec (G_OBJECT (group), props[PROP_BITS_TEXT]);
      g_object_notify_by_pspec (G_OBJECT (group), props[PROP_BYTES]);
      g_object_notify_by_pspec (G_OBJECT (group), props[PROP_SIZE_TEXT]);
    }
  g_object_notify_by_pspec (G_OBJECT (group), props[PROP_ERROR]);
  g_object_notify_by_pspec (G_OBJECT (group), props[PROP_ERROR_TEXT]);
  g_object_thaw_notify (G_OBJECT (group));
}

void
swage_layer_item_take_weight_before (SwageLayerItem *item, SwageWeightStats *stats)
{
  swage_weight_stats_free (item->weight_before);
  item->weight_before = stats;
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_KURTOSIS]);
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_OUTLIERS]);
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_STATISTICS]);
}

void
swage_layer_item_take_act_before (SwageLayerItem *item, SwageActStats *stats)
{
  swage_act_stats_free (item->act_before);
  item->act_before = stats;
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_STATISTICS]);
}

void
swage_layer_item_take_after (SwageLayerItem *item, const char *key, SwageWeightStats *stats,
                             const SwageLayerError *error, const char *problem)
{
  char *copy = g_strdup (key);
  g_free (item->after_key);
  item->after_key = copy;
  swage_weight_stats_free (item->weight_after);
  item->weight_after = stats;
  g_clear_pointer (&item->levels, g_free);
  item->n_levels = 0;
  item->has_error = error != NULL;
  if (error != NULL)
    item->error = *error;
  copy = g_strdup (problem);
  g_free (item->after_problem);
  item->after_problem = copy;
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_ERROR]);
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_ERROR_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_STATISTICS]);
}

void
swage_layer_item_take_act_after (SwageLayerItem *item, const char *key, SwageActStats *stats)
{
  char *copy = g_strdup (key);
  g_free (item->act_after_key);
  item->act_after_key = copy;
  swage_act_stats_free (item->act_after);
  item->act_after = stats;
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_STATISTICS]);
}

void
swage_layer_item_clear_activations (SwageLayerItem *item)
{
  g_clear_pointer (&item->act_before, swage_act_stats_free);
  g_clear_pointer (&item->act_after, swage_act_stats_free);
  g_clear_pointer (&item->act_after_key, g_free);
  g_object_notify_by_pspec (G_OBJECT (item), props[PROP_STATISTICS]);
}
