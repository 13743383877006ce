/* SPDX-License-Identifier: MIT
 *
 * Every parameter of every method, by the table: no method's name occurs here.
 */
#include <glib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"
#include "core/method/swage-method-doc.h"

typedef void (*ParamFunc) (const SwageMethod *method, const SwageParam *param, void *params);

static void
for_all (ParamFunc func)
{
  for (const SwageMethod *const *m = swage_methods; *m != NULL; m++)
    for (const SwageParam *p = (*m)->params; p->kind != SWAGE_PARAM_END; p++)
      {
        g_autofree void *params = g_malloc0 (MAX ((*m)->params_size, 1));
        swage_params_init (*m, params);
        func (*m, p, params);
      }
}

static size_t
kind_size (SwageParamKind kind)
{
  return kind == SWAGE_PARAM_DOUBLE ? sizeof (double)
         : kind == SWAGE_PARAM_BOOL ? sizeof (bool)
                                    : sizeof (int);
}

/* ids of plan keys and table entries */
static bool
is_id (const char *text)
{
  return text[0] >= 'a' && text[0] <= 'z'
         && strspn (text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen (text);
}

/* One sentence or two, with its full stop and a capital. */
static void
assert_sentence (const char *text)
{
  g_assert_nonnull (text);
  g_assert_cmpint ((int)strlen (text), >, 10);
  g_assert_true (g_ascii_isupper (text[0]));
  g_assert_cmpint (text[strlen (text) - 1], ==, '.');
}

static void
test_methods (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  int n = 0;

  for (const SwageMethod *const *m = swage_methods; *m != NULL; m++, n++)
    {
      g_assert_true (is_id ((*m)->id));
      g_assert_true (g_hash_table_add (seen, (gpointer)(*m)->id));
      g_assert_true (swage_method_find ((*m)->id) == *m);
      g_assert_cmpint ((*m)->version, >=, 1);
      g_assert_nonnull ((*m)->title);
      assert_sentence ((*m)->summary);
      g_assert_nonnull (swage_family_get_id ((*m)->family));
      g_assert_nonnull (swage_family_get_title ((*m)->family));
      g_assert_nonnull (swage_scope_get_id ((*m)->scope));
      g_assert_cmpint ((int)(*m)->accepts, !=, 0);
      g_assert_cmpint ((int)(*m)->emits, !=, 0);
      g_assert_nonnull ((*m)->cost);
      g_assert_nonnull ((*m)->apply);
      g_assert_nonnull ((*m)->params);
    }
  g_assert_cmpint (n, >=, 4);
  g_assert_null (swage_method_find ("no such method"));
  g_assert_null (swage_method_find (NULL));
}

static void
check_row (const SwageMethod *method, const SwageParam *param, void *params)
{
  g_assert_true (is_id (param->id));
  g_assert_cmpuint (param->offset + kind_size (param->kind), <=, method->params_size);
  g_assert_nonnull (param->title);
  assert_sentence (param->help);
  g_assert_true (swage_method_find_param (method, param->id) == param);
  for (const SwageParam *other = method->params; other < param; other++)
    {
      g_assert_cmpstr (other->id, !=, param->id);
      /* no two rows share memory */
      g_assert_true (other->offset + kind_size (other->kind) <= param->offset
                     || param->offset + kind_size (param->kind) <= other->offset);
    }
  if (param->kind == SWAGE_PARAM_CHOICE)
    for (int i = 0; param->choices[i] != NULL; i++)
      for (int j = 0; j < i; j++)
        g_assert_cmpint (g_ascii_strcasecmp (param->choices[i], param->choices[j]), !=, 0);
  else
    g_assert_cmpfloat (param->min, <, param->max);
  if (param->kind == SWAGE_PARAM_INT)
    {
      g_assert_cmpfloat (param->min, ==, floor (param->min));
      g_assert_cmpfloat (param->max, ==, floor (param->max));
      g_assert_cmpfloat (param->max, <=, G_MAXINT);
    }
  if (param->soft_min != 0 || param->soft_max != 0)
    {
      g_assert_cmpfloat (param->soft_min, >=, param->min);
      g_assert_cmpfloat (param->soft_max, <=, param->max);
      g_assert_cmpfloat (param->soft_min, <, param->soft_max);
    }
}

static void
check_default (const SwageMethod *method, const SwageParam *param, void *params)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpfloat (swage_param_get_number (param, params), ==, param->def);
  g_assert_true (swage_param_set_number (method, params, param, param->def, &error));
  g_assert_no_error (error);
  if (method->check != NULL)
    g_assert_true (method->check (params, NULL));
}

/* value → text → value, and text → value → text */
static void
round_trip (const SwageMethod *method, const SwageParam *param, void *params, double value)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (swage_param_set_number (method, params, param, value, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (swage_param_get_number (param, params), ==, value);
  g_autofree char *text = swage_param_get_text (param, params);

  g_autofree void *again = g_malloc0 (method->params_size);
  swage_params_init (method, again);
  g_assert_true (swage_param_set_text (method, again, param, text, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (swage_param_get_number (param, again), ==, value);
  g_autofree char *same = swage_param_get_text (param, again);
  g_assert_cmpstr (text, ==, same);
  /* nothing else has moved */
  for (const SwageParam *other = method->params; other->kind != SWAGE_PARAM_END; other++)
    if (other != param)
      g_assert_cmpfloat (swage_param_get_number (other, again), ==, other->def);
}

static void
check_round_trip (const SwageMethod *method, const SwageParam *param, void *params)
{
  switch (param->kind)
    {
    case SWAGE_PARAM_CHOICE:
      for (int i = 0; param->choices[i] != NULL; i++)
        {
          round_trip (method, param, params, i);
          g_autofree char *text = swage_param_get_text (param, params);
          g_assert_cmpstr (text, ==, param->choices[i]);
        }
      break;
    case SWAGE_PARAM_DOUBLE:
      round_trip (method, param, params, param->min + (param->max - param->min) / 3);
      round_trip (method, param, params, nextafter (param->max, param->min));
      /* fall through */
    default:
      round_trip (method, param, params, param->min);
      round_trip (method, param, params, param->max);
      round_trip (method, param, params, param->def);
      break;
    }
}

static void
assert_refused (const SwageMethod *method, const SwageParam *param, const void *params, bool ok,
                const GError *error)
{
  g_assert_false (ok);
  g_assert_true (g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_INVALID));
  g_autofree char *range = swage_param_describe_range (param);
  g_assert_nonnull (strstr (error->message, param->id));
  g_assert_nonnull (strstr (error->message, range));
  g_assert_nonnull (strstr (error->message, method->id));
  g_assert_cmpfloat (swage_param_get_number (param, params), ==, param->def); /* and the value stayed */
}

static void
check_refusals (const SwageMethod *method, const SwageParam *param, void *params)
{
  static const char *const texts[]
      = { "",   "no such thing", "nan",   "inf",   "-inf",  "1e999", "0x4", "4 bits",
          " 4", "4,5",           "1.5.2", "true ", "TRUE!", "--1" };
  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      bool ok = swage_param_set_text (method, params, param, texts[i], &error);
      assert_refused (method, param, params, ok, error);
      g_assert_nonnull (strstr (error->message, texts[i]));
    }

  double highest = param->max, lowest = param->min;
  if (param->kind == SWAGE_PARAM_CHOICE)
    {
      lowest = 0;
      highest = (double)g_strv_length ((char **)param->choices) - 1;
    }
  const double numbers[] = { lowest - 1, highest + 1, -INFINITY, INFINITY, NAN, 1e300 };
  for (size_t i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autoptr (GError) error = NULL;
      bool ok = swage_param_set_number (method, params, param, numbers[i], &error);
      assert_refused (method, param, params, ok, error);
    }
  if (param->kind == SWAGE_PARAM_DOUBLE)
    {
      g_autoptr (GError) error = NULL;
      bool ok = swage_param_set_number (method, params, param, nextafter (param->max, INFINITY), &error);
      assert_refused (method, param, params, ok, error);
    }
  else
    {
      g_autoptr (GError) error = NULL;
      bool ok = swage_param_set_number (method, params, param, lowest + 0.5, &error);
      assert_refused (method, param, params, ok, error);
    }
  if (param->kind == SWAGE_PARAM_INT || param->kind == SWAGE_PARAM_DOUBLE)
    {
      g_autofree char *text = g_strdup_printf ("%g", param->max * 2 + 1);
      g_autoptr (GError) error = NULL;
      bool ok = swage_param_set_text (method, params, param, text, &error);
      assert_refused (method, param, params, ok, error);
    }
}

/* `when` names another row of the method and values that it can have; it holds for just these. */
static void
check_when (const SwageMethod *method, const SwageParam *param, void *params)
{
  if (param->when == NULL)
    {
      g_assert_true (swage_param_is_relevant (method, param, params));
      return;
    }
  g_auto (GStrv) sides = g_strsplit (param->when, "=", 2);
  const SwageParam *other = swage_method_find_param (method, sides[0]);
  g_assert_nonnull (other);
  g_assert_true (other != param);
  g_assert_null (other->when);
  g_auto (GStrv) wanted = g_strsplit (sides[1], "|", -1);
  for (int i = 0; wanted[i] != NULL; i++)
    {
      g_autoptr (GError) error = NULL;
      swage_param_set_text (method, params, other, wanted[i], &error);
      g_assert_no_error (error);
      g_assert_true (swage_param_is_relevant (method, param, params));
    }
  for (int i = 0; other->kind == SWAGE_PARAM_CHOICE && other->choices[i] != NULL; i++)
    if (!g_strv_contains ((const char *const *)wanted, other->choices[i]))
      {
        swage_param_set_number (method, params, other, i, NULL);
        g_assert_false (swage_param_is_relevant (method, param, params));
      }
}

static void
test_rows (void)
{
  for_all (check_row);
}
static void
test_defaults (void)
{
  for_all (check_default);
}
static void
test_round_trips (void)
{
  for_all (check_round_trip);
}
static void
test_refusals (void)
{
  for_all (check_refusals);
}
static void
test_when (void)
{
  for_all (check_when);
}

static void
test_choice_case (void)
{
  for (const SwageMethod *const *m = swage_methods; *m != NULL; m++)
    for (const SwageParam *p = (*m)->params; p->kind != SWAGE_PARAM_END; p++)
      {
        if (p->kind != SWAGE_PARAM_CHOICE)
          continue;
        g_autofree void *params = g_malloc0 ((*m)->params_size);
        g_autofree char *upper = g_ascii_strup (p->choices[1], -1);
        g_assert_true (swage_param_set_text (*m, params, p, upper, NULL));
        g_assert_cmpfloat (swage_param_get_number (p, params), ==, 1);
      }
}

/* The catalogue says what the table says. */
static void
test_json (void)
{
  g_autoptr (json_t) json = swage_method_doc_to_json (NULL);
  json_t *list = json_object_get (json, "methods");
  size_t i = 0;

  for (const SwageMethod *const *m = swage_methods; *m != NULL; m++, i++)
    {
      static const char *const keys[]
          = { "id", "version", "family", "title", "paper", "scope", "needs", "params" };
      json_t *method = json_array_get (list, i), *params = json_object_get (method, "params");
      size_t k = 0;
      for (size_t j = 0; j < G_N_ELEMENTS (keys); j++)
        g_assert_nonnull (json_object_get (method, keys[j]));
      g_assert_cmpstr (json_string_value (json_object_get (method, "id")), ==, (*m)->id);
      for (const SwageParam *p = (*m)->params; p->kind != SWAGE_PARAM_END; p++, k++)
        {
          json_t *param = json_array_get (params, k);
          g_assert_cmpstr (json_string_value (json_object_get (param, "id")), ==, p->id);
          g_assert_nonnull (json_object_get (param, "default"));
          g_assert_nonnull (json_object_get (param, "help"));
          g_assert_nonnull (json_object_get (param, "type"));
          if (p->kind == SWAGE_PARAM_CHOICE)
            g_assert_cmpuint (json_array_size (json_object_get (param, "choices")), ==,
                              g_strv_length ((char **)p->choices));
          if (p->kind == SWAGE_PARAM_INT || p->kind == SWAGE_PARAM_DOUBLE)
            {
              g_assert_cmpfloat (json_number_value (json_object_get (param, "min")), ==, p->min);
              g_assert_cmpfloat (json_number_value (json_object_get (param, "max")), ==, p->max);
            }
        }
      g_assert_cmpuint (json_array_size (params), ==, k);
      g_autoptr (json_t) one = swage_method_doc_to_json (*m);
      g_assert_true (json_equal (json_array_get (json_object_get (one, "methods"), 0), method));
    }
  g_assert_cmpuint (json_array_size (list), ==, i);
}

static void
test_texts (void)
{
  g_autofree char *markdown = swage_method_doc_to_markdown (NULL);
  g_autofree char *roff = swage_method_doc_to_roff (NULL);
  g_assert_true (g_utf8_validate (markdown, -1, NULL));
  g_assert_true (g_utf8_validate (roff, -1, NULL));
  for (const SwageMethod *const *m = swage_methods; *m != NULL; m++)
    {
      g_autofree char *heading = g_strdup_printf ("## %s", (*m)->id);
      g_autofree char *section = g_strdup_printf (".SS %s\n", (*m)->id);
      g_autofree char *one = swage_method_doc_to_markdown (*m);
      g_assert_nonnull (strstr (markdown, heading));
      g_assert_nonnull (strstr (markdown, one));
      g_assert_nonnull (strstr (roff, section));
      for (const SwageParam *p = (*m)->params; p->kind != SWAGE_PARAM_END; p++)
        {
          g_autofree char *row = g_strdup_printf ("| `%s` |", p->id);
          g_autofree char *item = g_strdup_printf (".B %s\n", p->id);
          g_assert_nonnull (strstr (one, row));
          g_assert_nonnull (strstr (roff, item));
        }
    }
  /* a line that begins with a dot is a request: only those that are meant */
  g_auto (GStrv) lines = g_strsplit (roff, "\n", -1);
  for (int i = 0; lines[i] != NULL; i++)
    if (lines[i][0] == '.' || lines[i][0] == '\'')
      g_assert_true (g_str_has_prefix (lines[i], ".SS ") || g_str_has_prefix (lines[i], ".TP")
                     || g_str_has_prefix (lines[i], ".B "));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/params/methods", test_methods);
  g_test_add_func ("/params/rows", test_rows);
  g_test_add_func ("/params/defaults", test_defaults);
  g_test_add_func ("/params/round-trips", test_round_trips);
  g_test_add_func ("/params/refusals", test_refusals);
  g_test_add_func ("/params/when", test_when);
  g_test_add_func ("/params/choice-case", test_choice_case);
  g_test_add_func ("/params/json", test_json);
  g_test_add_func ("/params/texts", test_texts);
  return g_test_run ();
}
