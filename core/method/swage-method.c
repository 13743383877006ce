/* SPDX-License-Identifier: MIT
 *
 * The table and what is asked of every method alike. What a single parameter is, and how it goes to and from
 * text, is in swage-param.c.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/method/swage-method-table.h"

#define DECLARE(name) extern const SwageMethod swage_method_##name;
#define ENTRY(name) &swage_method_##name,

/* A name in the list without its entry in NAME.c fails at link time. */
SWAGE_METHOD_TABLE (DECLARE)
const SwageMethod *const swage_methods[] = { SWAGE_METHOD_TABLE (ENTRY) NULL };

const SwageMethod *
swage_method_find (const char *id)
{
  for (const SwageMethod *const *m = swage_methods; id != NULL && *m != NULL; m++)
    if (g_str_equal ((*m)->id, id))
      return *m;
  return NULL;
}

const char *
swage_family_get_id (SwageFamily family)
{
  static const char *const ids[]
      = { "quantization", "activation", "pruning", "factorization", "compensation" };
  return ids[family];
}

const char *
swage_family_get_title (SwageFamily family)
{
  static const char *const titles[] = { N_ ("Weight quantization"), N_ ("Activation quantization"),
                                        N_ ("Pruning"), N_ ("Factorization"), N_ ("Compensation") };
  return _ (titles[family]);
}

const char *
swage_scope_get_id (SwageScope scope)
{
  static const char *const ids[] = { "linear", "block", "model" };
  return ids[scope];
}

/* What stands in the way, and what to do about it. */
static void
refuse_parts (SwageParts extra, const SwageLinearSpec *in, const char *layer, const SwageMethod *method,
              GError **error)
{
  g_autofree char *stored = swage_linear_spec_describe (in);

  if (extra & SWAGE_PART_LOW_RANK)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: the layer is already factored (%s), which %s cannot work on; move this step before the "
           "one that factors it."),
        layer, stored, method->id);
  else if (extra & SWAGE_PART_PACKED)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: the weight is already packed (%s), which %s cannot work on; move this step before the one "
           "that packs it, or put one before it that stores the weight as f16 or f32."),
        layer, stored, method->id);
  else if (extra & SWAGE_PART_DENSE)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: the weight is dense (%s), but %s works on packed or factored layers; put a step before it "
           "that packs or factors the layer."),
        layer, stored, method->id);
  else if (extra & SWAGE_PART_SPARSE)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: some weights are already kept apart (%s), which %s cannot work on; move this step before "
           "the one that does so."),
        layer, stored, method->id);
  else if (extra & SWAGE_PART_TRANSFORM)
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: the layer's input is already transformed (%s), which %s cannot work on; move this step "
           "before the one that does so."),
        layer, stored, method->id);
  else
    g_set_error (
        error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
        _ ("%s: the layer's input is already quantized (%s), which %s cannot work on; move this step "
           "before the one that does so."),
        layer, stored, method->id);
}

SwageNeeds
swage_method_get_needs (const SwageMethod *method, const void *params)
{
  return method->get_needs != NULL ? method->get_needs (params) : method->needs;
}

bool
swage_method_cost (const SwageMethod *method, const void *params, const char *layer,
                   const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  SwageParts extra = in->parts & ~(method->accepts | SWAGE_PART_BIAS | SWAGE_PART_OUT_QUANT);

  if (method->check != NULL && !method->check (params, error))
    {
      g_prefix_error (error, "%s: ", layer);
      return false;
    }
  if (extra != 0)
    {
      refuse_parts (extra, in, layer, method, error);
      return false;
    }
  const char *last = strrchr (layer, '.') != NULL ? strrchr (layer, '.') + 1 : layer;
  if (method->layers != NULL && !g_strv_contains (method->layers, last))
    {
      g_autofree char *all = g_strjoinv (", ", (char **)method->layers);
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("%s: %s is a step for %s only; leave it out of this layer's recipe."), layer, method->id,
                   all);
      return false;
    }
  /* Rows of an embedding are looked up by number: there is no input to collect statistics of, unless the table is the
   * output layer too. */
  if (in->no_input && swage_method_get_needs (method, params) != SWAGE_NEED_NONE)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("%s: %s needs statistics of a layer's inputs, and an embedding has none; leave this layer out, "
             "for example with a rule for blk.*."),
          layer, method->id);
      return false;
    }

  SwageLinearSpec spec = *in;
  if (!method->cost (params, in, &spec, error))
    {
      g_prefix_error (error, "%s: ", layer);
      return false;
    }
  *out = spec;
  return true;
}
