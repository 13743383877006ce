/* SPDX-License-Identifier: MIT
 *
 * Steps, recipes, rules, undo, the plan file and its messages, sizes and presets, on the shipped sample.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"
#include "core/plan/swage-plan.h"

#include <glib/gstdio.h>
#include <string.h>

static SwageModel *
open_sample (void)
{
  GError *error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("SWAGE_DATA_DIR"), "sample", NULL);
  SwageModel *model = swage_model_open (path, &error);
  g_assert_no_error (error);
  return model;
}

/* A method that the table has whatever else it holds; tests need not know more of it than its parameters. */
#define STEP "rtn:type=q4_k"

static void
test_step_text (void)
{
  for (int i = 0; swage_methods[i] != NULL; i++)
    {
      GError *error = NULL;
      g_autoptr (SwageStep) step = swage_step_new (swage_methods[i]);
      g_autofree char *text = swage_step_to_text (step);
      g_autoptr (SwageStep) again = swage_step_new_from_text (text, &error);
      g_assert_no_error (error);
      g_assert_true (swage_step_equal (step, again));
      g_autoptr (SwageStep) off = swage_step_new_enabled (step, false);
      g_assert_false (swage_step_equal (step, off));
    }
}

static void
assert_step_fails (const char *text, const char *mentions)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SwageStep) step = swage_step_new_from_text (text, &error);
  g_assert_null (step);
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  if (strstr (error->message, mentions) == NULL)
    g_error ("“%s” does not mention “%s”", error->message, mentions);
}

static void
test_step_errors (void)
{
  assert_step_fails ("nonsense", "nonsense");
  assert_step_fails ("rtn:nonsense=1", "nonsense");
  assert_step_fails ("rtn:bits", "bits");
  assert_step_fails ("rtn:bits=99", "bits");
  assert_step_fails ("rtn:bits=four", "bits");
  assert_step_fails ("rtn:type=q9_z", "type");
  assert_step_fails ("wanda:sparsity=1.5", "sparsity");
}

static void
test_recipe (void)
{
  GError *error = NULL;
  g_autoptr (SwageRecipe) recipe
      = swage_recipe_new_from_text ("wanda:sparsity=5e-1,pattern=2:4+" STEP, &error);
  g_assert_no_error (error);
  g_assert_cmpint (swage_recipe_get_n (recipe), ==, 2);
  g_assert_cmpuint (swage_recipe_get_needs (recipe) & SWAGE_NEED_COL_SQUARES, !=, 0);
  g_autoptr (SwageRecipe) exponent
      = swage_recipe_new_from_text ("wanda:sparsity=5e-1,pattern=2:4+rtn:type=q4_k", &error);
  g_assert_no_error (error);
  g_assert_true (swage_recipe_equal (recipe, exponent));
  g_autoptr (SwageRecipe) empty = swage_recipe_new_from_text ("", &error);
  g_assert_no_error (error);
  g_assert_cmpint (swage_recipe_get_n (empty), ==, 0);
}

static void
test_last_match_wins (void)
{
  GError *error = NULL;
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  g_assert_true (swage_plan_add_rule_text (plan, "blk.*=" STEP, &error));
  g_assert_true (swage_plan_add_rule_text (plan, "blk.*.ffn_down=rtn:type=q6_k", &error));
  g_assert_true (swage_plan_add_rule_text (plan, "blk.0.attn_*=", &error));
  g_assert_no_error (error);
  g_autofree char *q = swage_recipe_to_text (swage_plan_get_recipe (plan, "blk.3.attn_q"));
  g_autofree char *down = swage_recipe_to_text (swage_plan_get_recipe (plan, "blk.0.ffn_down"));
  g_autofree char *kept = swage_recipe_to_text (swage_plan_get_recipe (plan, "blk.0.attn_q"));
  g_assert_true (g_str_has_prefix (q, "rtn:type=q4_k"));
  g_assert_true (g_str_has_prefix (down, "rtn:type=q6_k"));
  g_assert_cmpstr (kept, ==, "");
  g_assert_null (swage_plan_get_recipe (plan, "output"));
}

static void
count_change (SwagePlan *plan, gpointer user_data)
{
  (*(int *)user_data)++;
}

static void
test_undo (void)
{
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  g_autoptr (SwageRecipe) a = swage_recipe_new_from_text (STEP, NULL),
                          b = swage_recipe_new_from_text ("rtn:type=q6_k", NULL);
  const char *one[] = { "blk.1.ffn_up", NULL }, *two[] = { "blk.1.ffn_up", "blk.2.ffn_up", NULL };
  int changes = 0;
  g_signal_connect (plan, "changed", G_CALLBACK (count_change), &changes);
  g_autofree char *start = swage_plan_to_text (plan);
  swage_plan_set_layers (plan, model, one, a, "First");
  g_autofree char *first = swage_plan_to_text (plan);
  swage_plan_set_layers (plan, model, two, b, "Second");
  g_autofree char *second = swage_plan_to_text (plan);
  g_assert_cmpint (changes, ==, 2);
  g_assert_cmpstr (swage_plan_get_undo_label (plan), ==, "Second");
  swage_plan_undo (plan);
  g_autofree char *back = swage_plan_to_text (plan);
  g_assert_cmpstr (back, ==, first);
  swage_plan_undo (plan);
  g_autofree char *begin = swage_plan_to_text (plan);
  g_assert_cmpstr (begin, ==, start);
  g_assert_false (swage_plan_can_undo (plan));
  swage_plan_redo (plan);
  swage_plan_redo (plan);
  g_autofree char *end = swage_plan_to_text (plan);
  g_assert_cmpstr (end, ==, second);
  g_assert_false (swage_plan_can_redo (plan));
  g_assert_cmpint (changes, ==, 6);
  /* the same again is no change */
  swage_plan_set_layers (plan, model, two, b, "Third");
  g_assert_cmpint (changes, ==, 6);
  /* a slider: two changes of one label are one step */
  swage_plan_set_layers (plan, model, one, a, "Slide");
  swage_plan_set_layers (plan, model, one, b, "Slide");
  swage_plan_set_layers (plan, model, one, a, "Slide");
  swage_plan_undo (plan);
  g_autofree char *before_slide = swage_plan_to_text (plan);
  g_assert_cmpstr (before_slide, ==, second);
}

/* Whatever is set on whatever layers: afterwards those have the recipe, the others what they had, and the
 * file stays short. */
static void
test_set_layers (void)
{
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  int n = swage_model_get_n_layers (model);
  const char *texts[] = { STEP, "rtn:type=q6_k", "rtn:type=q8_0", "" };
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  g_auto (GStrv) expected = g_new0 (char *, n + 1);
  for (int i = 0; i < n; i++)
    expected[i] = g_strdup ("");
  for (int round = 0; round < 200; round++)
    {
      g_autoptr (GPtrArray) layers = g_ptr_array_new ();
      int kind = g_rand_int_range (random, 0, 4), pick = g_rand_int_range (random, 0, n),
          t = g_rand_int_range (random, 0, 4);
      g_autoptr (SwageRecipe) recipe = t < 3 ? swage_recipe_new_from_text (texts[t], NULL) : NULL;
      for (int i = 0; i < n; i++)
        {
          const SwageTensor *layer = swage_model_get_layer (model, i),
                            *chosen = swage_model_get_layer (model, pick);
          bool in = kind == 0   ? i == pick
                    : kind == 1 ? layer->role == chosen->role
                    : kind == 2 ? layer->block == chosen->block
                                : g_rand_boolean (random);
          if (in)
            {
              g_autofree char *text = recipe != NULL ? swage_recipe_to_text (recipe) : g_strdup ("");
              g_ptr_array_add (layers, layer->name);
              g_free (expected[i]);
              expected[i] = g_steal_pointer (&text);
            }
        }
      if (layers->len == 0)
        continue;
      g_ptr_array_add (layers, NULL);
      swage_plan_set_layers (plan, model, (const char *const *)layers->pdata, recipe, "Change");
      for (int i = 0; i < n; i++)
        {
          g_autofree char *text
              = swage_recipe_to_text (swage_plan_get_recipe (plan, swage_model_get_layer (model, i)->name));
          g_assert_cmpstr (text, ==, expected[i]);
        }
      g_assert_cmpint (swage_plan_get_n_rules (plan), <=, 2 * n);
    }
  g_autoptr (GPtrArray) all = g_ptr_array_new ();
  for (int i = 0; i < n; i++)
    g_ptr_array_add (all, swage_model_get_layer (model, i)->name);
  g_ptr_array_add (all, NULL);
  g_autoptr (SwageRecipe) recipe = swage_recipe_new_from_text (STEP, NULL);
  swage_plan_set_layers (plan, model, (const char *const *)all->pdata, recipe, "All");
  g_assert_cmpint (swage_plan_get_n_rules (plan), ==, 1);
  swage_plan_set_layers (plan, model, (const char *const *)all->pdata, NULL, "None");
  g_assert_cmpint (swage_plan_get_n_rules (plan), ==, 0);
}

static void
test_file (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  swage_plan_set_model (plan, model, NULL);
  swage_plan_add_rule_text (plan, "blk.*=wanda:sparsity=0.3+" STEP, &error);
  swage_plan_add_rule_text (plan, "blk.0.*=", &error);
  g_assert_no_error (error);
  g_autofree char *text = swage_plan_to_text (plan);
  g_autoptr (json_t) json = swage_json_parse (text, strlen (text), "test", &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_integer_value (json_object_get (json, "swage_plan")), ==, 1);
  /* every parameter is written out */
  json_t *step
      = json_array_get (json_object_get (json_array_get (json_object_get (json, "rules"), 0), "steps"), 1);
  g_assert_cmpstr (json_string_value (json_object_get (step, "method")), ==, "rtn");
  const SwageMethod *method = swage_method_find ("rtn");
  for (const SwageParam *param = method->params; param->kind != SWAGE_PARAM_END; param++)
    g_assert_nonnull (json_object_get (step, param->id));

  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "swage-test-plan.json", NULL);
  g_unlink (path);
  g_assert_true (swage_plan_save (plan, path, false, &error));
  g_assert_no_error (error);
  g_assert_false (swage_plan_save (plan, path, false, NULL)); /* not over an existing one unless told so */
  g_autoptr (SwagePlan) loaded = swage_plan_load (path, &error);
  g_assert_no_error (error);
  g_autofree char *again = swage_plan_to_text (loaded);
  g_assert_cmpstr (again, ==, text);
  g_unlink (path);
}

typedef struct
{
  const char *text, *line, *mentions;
} BadPlan;

static const BadPlan bad_plans[] = {
  { "", "line", "line" },
  { "[]", "line 1", "object" },
  { "{}", "line 1", "swage_plan" },
  { "{\"swage_plan\": 2, \"rules\": []}", "line 1", "swage_plan" },
  { "{\"swage_plan\": 1}", "line 1", "rules" },
  { "{\n\"swage_plan\": 1,\n\"colour\": 3,\n\"rules\": []}", "line 3", "colour" },
  { "{\n\"swage_plan\": 1,\n\"rules\": [\n{\"steps\": []}\n]}", "line 4", "layers" },
  { "{\n\"swage_plan\": 1,\n\"rules\": [\n{\"layers\": \"*\",\n\"steps\": 3}\n]}", "line 5", "steps" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"magic\"}]}]}", "line 2",
    "method" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"rtn\",\n\"bits\": "
    "77}]}]}",
    "line 3", "bits" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"rtn\",\n\"bits\": "
    "\"4\"}]}]}",
    "line 3", "bits" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"rtn\",\n\"typo\": "
    "4}]}]}",
    "line 3", "typo" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"rtn\",\n\"type\": "
    "\"q5_9\"}]}]}",
    "line 3", "q4_k" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": \"rtn\",\n\"version\": "
    "99}]}]}",
    "line 3", "version" },
  { "{\"swage_plan\": 1, \"calibration\": {\n\"samples\": 0}, \"rules\": []}", "line 2", "samples" },
  { "{\"swage_plan\": 1, \"rules\": [{\"layers\": \"*\", \"steps\": [\n{\"method\": "
    "\"wanda\",\n\n\"sparsity\": 2}]}]}",
    "line 4", "sparsity" },
};

static void
test_file_errors (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad_plans); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SwagePlan) plan
          = swage_plan_parse (bad_plans[i].text, strlen (bad_plans[i].text), "bad.json", &error);
      g_assert_null (plan);
      g_assert_nonnull (error);
      if (strstr (error->message, "bad.json") == NULL || strstr (error->message, bad_plans[i].line) == NULL
          || strstr (error->message, bad_plans[i].mentions) == NULL)
        g_error ("plan %u: “%s” lacks the file, “%s” or “%s”", i, error->message, bad_plans[i].line,
                 bad_plans[i].mentions);
    }
}

static void
test_size (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  SwagePlanSize size;
  g_assert_true (swage_plan_get_size (plan, model, &size, &error));
  g_assert_cmpuint (size.bytes, ==, swage_model_get_bytes (model));
  g_assert_cmpfloat_with_epsilon (size.bits_per_weight, 16, 1e-12); /* the sample is BF16 */
  /* by hand: Q4_K is 144 bytes for 256 weights; all matrices of the sample have rows of 256 or 768 */
  g_assert_true (swage_plan_add_rule_text (plan, "*=rtn:type=q4_k", &error));
  g_assert_true (swage_plan_get_size (plan, model, &size, &error));
  g_assert_no_error (error);
  int64_t weights = 4096 * 256 + 8 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256);
  g_assert_cmpfloat_with_epsilon (size.bits_per_weight, 4.5, 1e-12);
  g_assert_cmpuint (size.bytes, ==, (uint64_t)(weights * 144 / 256 + 17 * 256 * 2)); /* 17 norms stay BF16 */
  g_assert_true (size.exact);
}

static void
test_check (void)
{
  g_autoptr (SwageModel) model = open_sample ();
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  g_autoptr (GError) error = NULL;
  swage_plan_add_rule_text (plan, "layers.*=" STEP, NULL);
  g_auto (GStrv) unmatched = NULL;
  g_assert_true (swage_plan_check (plan, model, &unmatched, &error));
  g_assert_cmpuint (g_strv_length (unmatched), ==, 1);
  g_assert_cmpstr (unmatched[0], ==, "layers.*");
  /* pruning what is packed already cannot work, and says where */
  swage_plan_add_rule_text (plan, "blk.2.ffn_up=" STEP "+magnitude:sparsity=0.5", NULL);
  g_assert_false (swage_plan_check (plan, model, NULL, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "blk.2.ffn_up"));
}

static void
test_presets (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  const char *const *ids = swage_plan_get_presets ();
  g_assert_cmpuint (g_strv_length ((char **)ids), >=, 8);
  for (int i = 0; ids[i] != NULL; i++)
    {
      g_autoptr (SwagePlan) plan = swage_plan_new ();
      g_assert_nonnull (swage_plan_get_preset_title (ids[i]));
      g_assert_true (swage_plan_apply_preset (plan, ids[i], model, &error));
      g_assert_no_error (error);
      g_assert_true (swage_plan_check (plan, model, NULL, &error));
      g_assert_no_error (error);
    }
  /* llama.cpp's rule for Q4_K_M with 8 blocks: i < 1, i ≥ 7 and (i−1) % 3 == 2, so 0, 3, 6 and 7 have Q6_K in
   * attn_v and ffn_down */
  g_autoptr (SwagePlan) plan = swage_plan_new ();
  g_assert_true (swage_plan_apply_preset (plan, "q4_k_m", model, &error));
  for (int b = 0; b < 8; b++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%d.attn_v", b);
      SwageLinearSpec spec;
      swage_plan_get_layer_spec (plan, model, swage_model_find_tensor (model, name), &spec, &error);
      g_assert_no_error (error);
      g_assert_cmpint (spec.weight.type, ==,
                       b == 0 || b == 3 || b == 6 || b == 7 ? SWAGE_TYPE_Q6_K : SWAGE_TYPE_Q4_K);
    }
  g_assert_false (swage_plan_apply_preset (plan, "no-such", model, NULL));
}

static void
test_other_model (void)
{
  GError *error = NULL;
  g_autoptr (SwageModel) model = open_sample ();
  const char *text = "{\"swage_plan\": 1, \"model\": {\"name\": \"x\", \"architecture\": \"gpt2\", "
                     "\"fingerprint\": \"sha256:00\"}, \"rules\": []}";
  g_autoptr (SwagePlan) plan = swage_plan_parse (text, strlen (text), "test", &error);
  g_assert_no_error (error);
  g_autofree char *warning = NULL;
  swage_plan_set_model (plan, model, &warning);
  g_assert_nonnull (warning);
  g_assert_nonnull (strstr (warning, "gpt2"));
  g_autofree char *kept = swage_plan_to_text (plan);
  g_assert_nonnull (strstr (kept, "sha256:00"));
  swage_plan_adopt_model (plan, model);
  g_autofree char *none = NULL;
  swage_plan_set_model (plan, model, &none);
  g_assert_null (none);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/step-text", test_step_text);
  g_test_add_func ("/plan/step-errors", test_step_errors);
  g_test_add_func ("/plan/recipe", test_recipe);
  g_test_add_func ("/plan/last-match-wins", test_last_match_wins);
  g_test_add_func ("/plan/undo", test_undo);
  g_test_add_func ("/plan/set-layers", test_set_layers);
  g_test_add_func ("/plan/file", test_file);
  g_test_add_func ("/plan/file-errors", test_file_errors);
  g_test_add_func ("/plan/size", test_size);
  g_test_add_func ("/plan/check", test_check);
  g_test_add_func ("/plan/presets", test_presets);
  g_test_add_func ("/plan/other-model", test_other_model);
  return g_test_run ();
}
