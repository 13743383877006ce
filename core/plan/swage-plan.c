/* SPDX-License-Identifier: MIT
 *
 * The plan document. Its whole content is one immutable state, so a change makes a new state and undo is a
 * stack of old ones.
 */
#include "core/plan/swage-plan-private.h"
#include "core/base/swage-error.h"

#include <fnmatch.h>
#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>

#define MAX_HISTORY 500
#define JOIN_INTERVAL                                                                                        \
  G_USEC_PER_SEC /* changes of one label within this time of each other are one undo step */

typedef struct
{
  SwagePlanState *state; /* to go back (forward) to */
  char *label;
} Change;

G_DEFINE_FINAL_TYPE (SwagePlan, swage_plan, G_TYPE_OBJECT)

static guint changed_signal;

static void
change_free (Change *change)
{
  swage_plan_state_unref (change->state);
  g_free (change->label);
  g_free (change);
}

static Change *
change_new (SwagePlanState *state, const char *label)
{
  Change *change = g_new (Change, 1);
  change->state = state;
  change->label = g_strdup (label);
  return change;
}

SwageRule *
swage_rule_new (const char *glob, SwageRecipe *recipe)
{
  SwageRule *rule = g_new (SwageRule, 1);
  rule->glob = g_strdup (glob);
  rule->recipe = swage_recipe_ref (recipe);
  return rule;
}

void
swage_rule_free (SwageRule *rule)
{
  g_free (rule->glob);
  swage_recipe_unref (rule->recipe);
  g_free (rule);
}

void
swage_calibration_copy (SwageCalibration *to, const SwageCalibration *from)
{
  *to = *from;
  to->text = g_strdup (from->text);
  to->fingerprint = g_strdup (from->fingerprint);
}

void
swage_calibration_clear (SwageCalibration *calibration)
{
  g_clear_pointer (&calibration->text, g_free);
  g_clear_pointer (&calibration->fingerprint, g_free);
}

SwagePlanState *
swage_plan_state_new (void)
{
  SwagePlanState *state = g_new0 (SwagePlanState, 1);
  g_atomic_ref_count_init (&state->refs);
  state->rules = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_rule_free);
  /* 64 windows of 512: enough for stable second moments (the papers use 128 of 2048) at an eighth of the time
   */
  state->calibration = (SwageCalibration){ g_strdup (""), g_strdup (""), 64, 512, 0 };
  return state;
}

SwagePlanState *
swage_plan_state_dup (const SwagePlanState *state)
{
  SwagePlanState *copy = g_new0 (SwagePlanState, 1);
  g_atomic_ref_count_init (&copy->refs);
  copy->rules = g_ptr_array_new_with_free_func ((GDestroyNotify)swage_rule_free);
  for (guint i = 0; i < state->rules->len; i++)
    {
      const SwageRule *rule = state->rules->pdata[i];
      g_ptr_array_add (copy->rules, swage_rule_new (rule->glob, rule->recipe));
    }
  swage_calibration_copy (&copy->calibration, &state->calibration);
  return copy;
}

void
swage_plan_state_unref (SwagePlanState *state)
{
  if (state == NULL || !g_atomic_ref_count_dec (&state->refs))
    return;
  g_ptr_array_unref (state->rules);
  swage_calibration_clear (&state->calibration);
  g_free (state);
}

bool
swage_glob_match (const char *glob, const char *layer)
{
  return fnmatch (glob, layer, 0) == 0;
}

SwageRecipe *
swage_plan_state_find (const SwagePlanState *state, const char *layer)
{
  for (guint i = state->rules->len; i > 0; i--)
    {
      const SwageRule *rule = state->rules->pdata[i - 1];
      if (swage_glob_match (rule->glob, layer))
        return rule->recipe;
    }
  return NULL;
}

static void
swage_plan_finalize (GObject *object)
{
  SwagePlan *plan = SWAGE_PLAN (object);
  swage_plan_state_unref (plan->state);
  g_ptr_array_unref (plan->undo);
  g_ptr_array_unref (plan->redo);
  g_free (plan->last_label);
  g_free (plan->model.name);
  g_free (plan->model.architecture);
  g_free (plan->model.fingerprint);
  G_OBJECT_CLASS (swage_plan_parent_class)->finalize (object);
}

static void
swage_plan_class_init (SwagePlanClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = swage_plan_finalize;
  changed_signal
      = g_signal_new ("changed", SWAGE_TYPE_PLAN, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
swage_plan_init (SwagePlan *plan)
{
  plan->state = swage_plan_state_new ();
  plan->undo = g_ptr_array_new_with_free_func ((GDestroyNotify)change_free);
  plan->redo = g_ptr_array_new_with_free_func ((GDestroyNotify)change_free);
}

SwagePlan *
swage_plan_new (void)
{
  return g_object_new (SWAGE_TYPE_PLAN, NULL);
}

SwagePlan *
swage_plan_dup (SwagePlan *plan)
{
  SwagePlan *copy = swage_plan_new ();
  swage_plan_state_unref (copy->state);
  g_atomic_ref_count_inc (&plan->state->refs);
  copy->state = plan->state;
  copy->model.name = g_strdup (plan->model.name);
  copy->model.architecture = g_strdup (plan->model.architecture);
  copy->model.fingerprint = g_strdup (plan->model.fingerprint);
  return copy;
}

void
swage_plan_replace (SwagePlan *plan, SwagePlanState *state)
{
  swage_plan_state_unref (plan->state);
  plan->state = state;
  g_signal_emit (plan, changed_signal, 0);
}

void
swage_plan_commit (SwagePlan *plan, SwagePlanState *state, const char *label)
{
  gint64 now = g_get_monotonic_time ();
  bool joins = plan->undo->len > 0 && plan->redo->len == 0 && g_strcmp0 (label, plan->last_label) == 0
               && now - plan->last_time < JOIN_INTERVAL;
  if (joins)
    swage_plan_state_unref (plan->state); /* the undo stack already holds what was before the first of them */
  else
    {
      g_ptr_array_add (plan->undo, change_new (plan->state, label));
      if (plan->undo->len > MAX_HISTORY)
        g_ptr_array_remove_index (plan->undo, 0);
    }
  g_ptr_array_set_size (plan->redo, 0);
  plan->state = state;
  g_free (plan->last_label);
  plan->last_label = g_strdup (label);
  plan->last_time = now;
  g_signal_emit (plan, changed_signal, 0);
}

int
swage_plan_get_n_rules (SwagePlan *plan)
{
  return (int)plan->state->rules->len;
}

const char *
swage_plan_get_rule (SwagePlan *plan, int i, SwageRecipe **recipe)
{
  g_return_val_if_fail (i >= 0 && i < swage_plan_get_n_rules (plan), NULL);
  const SwageRule *rule = plan->state->rules->pdata[i];
  if (recipe != NULL)
    *recipe = rule->recipe;
  return rule->glob;
}

void
swage_plan_add_rule (SwagePlan *plan, const char *glob, SwageRecipe *recipe)
{
  SwagePlanState *state = swage_plan_state_dup (plan->state);
  g_ptr_array_add (state->rules, swage_rule_new (glob, recipe));
  swage_plan_commit (plan, state, _ ("Add rule"));
}

bool
swage_plan_add_rule_text (SwagePlan *plan, const char *text, GError **error)
{
  const char *equals = strchr (text, '=');
  g_autofree char *glob = equals != NULL ? g_strstrip (g_strndup (text, equals - text)) : NULL;
  if (glob == NULL || glob[0] == '\0')
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("The rule “%s” is not of the form LAYERS=STEP[+STEP…], for example “blk.*=METHOD:key=value”."),
          text);
      return false;
    }
  g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (equals + 1, error);
  if (recipe == NULL)
    {
      g_prefix_error (error, _ ("Rule “%s”: "), text);
      return false;
    }
  swage_plan_add_rule (plan, glob, recipe);
  return true;
}

void
swage_plan_clear (SwagePlan *plan)
{
  SwagePlanState *state = swage_plan_state_dup (plan->state);
  g_ptr_array_set_size (state->rules, 0);
  swage_plan_commit (plan, state, _ ("Clear plan"));
}

void
swage_plan_assign (SwagePlan *plan, SwagePlan *source, const char *label)
{
  if (plan->state != source->state)
    swage_plan_commit (plan, swage_plan_state_dup (source->state), label);
}

SwageRecipe *
swage_plan_get_recipe (SwagePlan *plan, const char *layer)
{
  return swage_plan_state_find (plan->state, layer);
}

const SwageCalibration *
swage_plan_get_calibration (SwagePlan *plan)
{
  return &plan->state->calibration;
}

void
swage_plan_set_calibration (SwagePlan *plan, const SwageCalibration *calibration)
{
  const SwageCalibration *old = &plan->state->calibration;
  if (g_strcmp0 (old->text, calibration->text) == 0
      && g_strcmp0 (old->fingerprint, calibration->fingerprint) == 0 && old->samples == calibration->samples
      && old->context == calibration->context && old->seed == calibration->seed)
    return;
  SwagePlanState *state = swage_plan_state_dup (plan->state);
  SwageCalibration copy;
  swage_calibration_copy (&copy, calibration);
  swage_calibration_clear (&state->calibration);
  state->calibration = copy;
  swage_plan_commit (plan, state, _ ("Change calibration"));
}

/* The shortest glob among those people write that matches exactly these layers of the model, or NULL. */
static char *
find_glob (SwageModel *model, GHashTable *layers)
{
  g_autoptr (GPtrArray) candidates = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (candidates, g_strdup ("*"));
  g_ptr_array_add (candidates, g_strdup ("blk.*"));
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init (&iter, layers);
  if (g_hash_table_iter_next (&iter, &name, NULL))
    {
      int block;
      char role[64];
      if (sscanf (name, "blk.%d.%63s", &block, role) == 2)
        {
          g_ptr_array_add (candidates, g_strdup_printf ("blk.*.%s", role));
          g_ptr_array_add (candidates, g_strdup_printf ("blk.%d.*", block));
          const char *underscore = strchr (role, '_');
          if (underscore != NULL)
            {
              g_ptr_array_add (candidates, g_strdup_printf ("blk.*.%.*s_*", (int)(underscore - role), role));
              g_ptr_array_add (candidates,
                               g_strdup_printf ("blk.%d.%.*s_*", block, (int)(underscore - role), role));
            }
        }
    }
  int n_layers = swage_model_get_n_layers (model);
  for (guint c = 0; c < candidates->len; c++)
    {
      const char *glob = candidates->pdata[c];
      bool same = true;
      for (int i = 0; i < n_layers && same; i++)
        {
          const char *layer = swage_model_get_layer (model, i)->name;
          same = swage_glob_match (glob, layer) == g_hash_table_contains (layers, layer);
        }
      if (same)
        return g_strdup (glob);
    }
  return NULL;
}

/* A rule of which every layer that it matches belongs to a later rule says nothing; one that matches nothing
 * here is the user's and stays. */
static void
drop_shadowed_rules (SwagePlanState *state, SwageModel *model)
{
  int n_layers = swage_model_get_n_layers (model);
  g_autofree int *winner = g_new (int, n_layers);
  for (int i = 0; i < n_layers; i++)
    {
      winner[i] = -1;
      for (guint r = 0; r < state->rules->len; r++)
        if (swage_glob_match (((SwageRule *)state->rules->pdata[r])->glob,
                              swage_model_get_layer (model, i)->name))
          winner[i] = (int)r;
    }
  for (guint r = state->rules->len; r > 0; r--)
    {
      const SwageRule *rule = state->rules->pdata[r - 1];
      bool matches = false, wins = false;
      for (int i = 0; i < n_layers; i++)
        {
          matches |= swage_glob_match (rule->glob, swage_model_get_layer (model, i)->name);
          wins |= winner[i] == (int)r - 1;
        }
      if (matches && !wins)
        g_ptr_array_remove_index (state->rules, r - 1);
    }
}

void
swage_plan_set_layers (SwagePlan *plan, SwageModel *model, const char *const *layers, SwageRecipe *recipe,
                       const char *label)
{
  g_autoptr (GHashTable) set = g_hash_table_new (g_str_hash, g_str_equal);
  bool changes = false;
  for (int i = 0; layers[i] != NULL; i++)
    {
      g_hash_table_add (set, (gpointer)layers[i]);
      SwageRecipe *old = swage_plan_get_recipe (plan, layers[i]);
      /* unmatched and matched by an empty recipe are the same to the layer */
      bool same = swage_recipe_get_n (old) == 0 ? swage_recipe_get_n (recipe) == 0
                                                : swage_recipe_equal (old, recipe);
      changes |= !same;
    }
  if (!changes)
    return;

  SwagePlanState *state = swage_plan_state_dup (plan->state);
  for (guint r = state->rules->len; r > 0; r--)
    if (g_hash_table_contains (set, ((SwageRule *)state->rules->pdata[r - 1])->glob))
      g_ptr_array_remove_index (state->rules, r - 1);

  g_autofree char *glob = find_glob (model, set);
  /* first drop what the new rule will shadow, so that "unmatched" needs no empty rule to hide an old one */
  g_autoptr (SwageRecipe) empty = swage_recipe_new (NULL, 0);
  guint first = state->rules->len;
  if (glob != NULL)
    g_ptr_array_add (state->rules, swage_rule_new (glob, recipe != NULL ? recipe : empty));
  else
    for (int i = 0; layers[i] != NULL; i++)
      g_ptr_array_add (state->rules, swage_rule_new (layers[i], recipe != NULL ? recipe : empty));
  drop_shadowed_rules (state, model);
  if (recipe == NULL)
    {
      first = state->rules->len - (glob != NULL ? 1 : g_hash_table_size (set));
      for (guint r = state->rules->len; r > first; r--)
        {
          SwageRule *rule = g_ptr_array_steal_index (state->rules, r - 1);
          bool needed = false;
          for (int i = 0; layers[i] != NULL; i++)
            needed |= swage_glob_match (rule->glob, layers[i])
                      && swage_plan_state_find (state, layers[i]) != NULL;
          if (needed)
            g_ptr_array_insert (state->rules, (int)r - 1, rule);
          else
            swage_rule_free (rule);
        }
    }
  swage_plan_commit (plan, state, label);
}

void
swage_plan_set_each_layer (SwagePlan *plan, SwageModel *model, const char *const *layers,
                           SwageRecipe *const *recipes, int n, const char *label)
{
  g_autoptr (GHashTable) set = g_hash_table_new (g_str_hash, g_str_equal);
  SwagePlanState *state = swage_plan_state_dup (plan->state);

  for (int i = 0; i < n; i++)
    g_hash_table_add (set, (gpointer)layers[i]);
  for (guint r = state->rules->len; r > 0; r--)
    if (g_hash_table_contains (set, ((SwageRule *)state->rules->pdata[r - 1])->glob))
      g_ptr_array_remove_index (state->rules, r - 1);
  for (int i = 0; i < n; i++)
    g_ptr_array_add (state->rules, swage_rule_new (layers[i], recipes[i]));
  drop_shadowed_rules (state, model);
  swage_plan_commit (plan, state, label);
}

static void
step_history (SwagePlan *plan, GPtrArray *from, GPtrArray *to)
{
  if (from->len == 0)
    return;
  Change *change = g_ptr_array_steal_index (from, from->len - 1);
  g_ptr_array_add (to, change_new (plan->state, change->label));
  plan->state = g_steal_pointer (&change->state);
  change_free (change);
  g_clear_pointer (&plan->last_label, g_free);
  g_signal_emit (plan, changed_signal, 0);
}

bool
swage_plan_can_undo (SwagePlan *plan)
{
  return plan->undo->len > 0;
}

bool
swage_plan_can_redo (SwagePlan *plan)
{
  return plan->redo->len > 0;
}

void
swage_plan_undo (SwagePlan *plan)
{
  step_history (plan, plan->undo, plan->redo);
}

void
swage_plan_redo (SwagePlan *plan)
{
  step_history (plan, plan->redo, plan->undo);
}

static const char *
top_label (GPtrArray *stack)
{
  return stack->len > 0 ? ((Change *)stack->pdata[stack->len - 1])->label : NULL;
}

const char *
swage_plan_get_undo_label (SwagePlan *plan)
{
  return top_label (plan->undo);
}

const char *
swage_plan_get_redo_label (SwagePlan *plan)
{
  return top_label (plan->redo);
}
