/* SPDX-License-Identifier: MIT
 *
 * Reading with limits and messages, typed getters, the shortest reals, and places of values in the text.
 */
#include "core/base/swage-error.h"
#include "core/base/swage-json-lines.h"
#include "core/base/swage-json.h"

#include <float.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <math.h>
#include <string.h>

static json_t *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  json_t *json = swage_json_parse (text, strlen (text), "test", &error);
  g_assert_no_error (error);
  g_assert_nonnull (json);
  return json;
}

static void
test_bad (void)
{
  static const struct
  {
    const char *text, *says;
  } cases[] = {
    { "", "line" },
    { "{", "line 1" },
    { "{\n  \"a\": 1,\n  \"a\": 2\n}", "line 3" },
    { "{\"a\": 1} x", "line 1" },
    { "{\"a\": nul}", "line 1" },
    { "[1, 2,]", "line 1" },
    { "[\"\xff\xfe\"]", "line 1" },
    { "[\"\\ud800\"]", "line 1" },
    { "[\"\\u0000\"]", "line 1" },
    { "[1e999]", "line 1" },
    { "{\"a\": 12345678901234567890123, \"a\": 1}", "line 1" },
    { "[12345678901234567890123, \"", "line 1" },
    { "7", "line 1" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (swage_json_parse (cases[i].text, strlen (cases[i].text), "some.json", &error));
      g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
      g_assert_nonnull (strstr (error->message, "some.json"));
      g_assert_nonnull (strstr (error->message, cases[i].says));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
}

static void
test_deep (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *deep = g_strnfill (100000, '[');
  g_assert_null (swage_json_parse (deep, 100000, "deep", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
}

static void
test_huge_integers (void)
{
  g_autoptr (json_t) json
      = parse ("{\"n\": 1000000000000000019884624838656, \"s\": \"\\\"99999999999999999999\", "
               "\"e\": 12345678901234567890123e2, \"i\": 512, \"m\": -99999999999999999999}");
  g_assert_cmpfloat (json_real_value (json_object_get (json, "n")), ==, 1e30);
  g_assert_cmpstr (json_string_value (json_object_get (json, "s")), ==, "\"99999999999999999999");
  g_assert_cmpfloat (json_real_value (json_object_get (json, "e")), ==, 12345678901234567890123e2);
  g_assert_cmpfloat (json_real_value (json_object_get (json, "m")), ==, -1e20);
  g_assert_true (json_is_integer (json_object_get (json, "i")));

  g_autoptr (json_t) marked = parse ("\xef\xbb\xbf[1]");
  g_assert_cmpuint (json_array_size (marked), ==, 1);
}

static void
test_load (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("swage-json-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.json", NULL);
  g_assert_null (swage_json_load (path, 100, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, path));
  g_clear_error (&error);

  g_assert_null (swage_json_load (folder, 100, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (path, "{\"a\": [1, 2]}", -1, NULL));
  json_t *json = swage_json_load (path, 100, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (json_array_size (json_object_get (json, "a")), ==, 2);
  json_decref (json);

  g_assert_null (swage_json_load (path, 5, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (path, "{\"a\":\n [1, }", -1, NULL));
  g_assert_null (swage_json_load (path, 100, &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, "line 2"));
  g_unlink (path);
  g_rmdir (folder);
}

static void
test_getters (void)
{
  g_autoptr (json_t) json
      = parse ("{\"i\": 7, \"r\": 0.5, \"b\": true, \"s\": \"é\", \"n\": null, \"a\": [1]}");
  g_autoptr (GError) error = NULL;
  int64_t i = -1;
  double d = -1;
  bool b = false;
  const char *s = "unset";

  g_assert_true (swage_json_get_int (json, "i", 0, 10, &i, "o", &error));
  g_assert_cmpint (i, ==, 7);
  g_assert_true (swage_json_get_int (json, "absent", 0, 10, &i, "o", &error));
  g_assert_true (swage_json_get_int (json, "n", 0, 10, &i, "o", &error));
  g_assert_cmpint (i, ==, 7);
  g_assert_true (swage_json_get_double (json, "r", 0, 1, &d, "o", &error));
  g_assert_cmpfloat (d, ==, 0.5);
  g_assert_true (swage_json_get_double (json, "i", 0, 10, &d, "o", &error));
  g_assert_cmpfloat (d, ==, 7);
  g_assert_true (swage_json_get_bool (json, "b", &b, "o", &error));
  g_assert_true (b);
  g_assert_true (swage_json_get_string (json, "s", &s, "o", &error));
  g_assert_cmpstr (s, ==, "é");
  g_assert_true (swage_json_get_string (NULL, "s", &s, "o", &error)); /* no object: nothing is there */
  g_assert_no_error (error);

  g_assert_false (swage_json_get_int (json, "i", 8, 10, &i, "plan.json", &error));
  g_assert_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==, "plan.json: “i” must be a whole number from 8 to 10, not 7.");
  g_clear_error (&error);
  g_assert_false (swage_json_get_int (json, "r", 0, INT64_MAX, &i, "plan.json", &error));
  g_assert_cmpstr (error->message, ==, "plan.json: “r” must be a whole number of at least 0, not 0.5.");
  g_clear_error (&error);
  g_assert_false (swage_json_get_double (json, "s", 0, 1, &d, "plan.json", &error));
  g_assert_cmpstr (error->message, ==, "plan.json: “s” must be a number from 0 to 1, not \"é\".");
  g_clear_error (&error);
  g_assert_false (swage_json_get_double (json, "i", 0, 0.25, &d, "plan.json", &error));
  g_clear_error (&error);
  g_assert_false (swage_json_get_double (json, "a", -INFINITY, INFINITY, &d, "plan.json", &error));
  g_assert_cmpstr (error->message, ==, "plan.json: “a” must be a number, not an array.");
  g_clear_error (&error);
  g_assert_false (swage_json_get_bool (json, "i", &b, "plan.json", &error));
  g_clear_error (&error);
  g_assert_false (swage_json_get_string (json, "b", &s, "plan.json", &error));
  g_assert_cmpstr (error->message, ==, "plan.json: “b” must be a text, not true.");
  g_assert_cmpint (i, ==, 7);
}

static void
check_real (double value, const char *want)
{
  g_autoptr (json_t) array = json_array ();
  json_array_append_new (array, json_real (value));
  g_autofree char *text = swage_json_dump (array);
  if (want != NULL)
    {
      g_autofree char *line = g_strdup_printf ("[%s]\n", want);
      g_assert_cmpstr (text, ==, line);
    }
  g_autoptr (json_t) back = parse (text);
  json_t *real = json_array_get (back, 0);
  g_assert_true (json_is_real (real));
  g_assert_cmpmem (&value, sizeof value, &(double){ json_real_value (real) }, sizeof value);
}

static void
test_reals (void)
{
  check_real (0.1, "0.1");
  check_real (0.01, "0.01");
  check_real (1, "1.0");
  check_real (-3, "-3.0");
  check_real (1e30, "1e+30");
  check_real (1.0 / 3, "0.3333333333333333");
  check_real (DBL_MAX, NULL);
  check_real (DBL_TRUE_MIN, NULL);
  check_real (5e-324, NULL);
  check_real (123456789012345680.0, NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  for (int i = 0; i < 20000; i++)
    check_real (ldexp (g_rand_double_range (rand, -1, 1), g_rand_int_range (rand, -300, 300)), NULL);

  /* a decimal comma in the locale changes nothing */
  static const char *const locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8" };
  for (size_t i = 0; i < G_N_ELEMENTS (locales); i++)
    if (setlocale (LC_ALL, locales[i]) != NULL)
      {
        check_real (0.25, "0.25");
        break;
      }
  setlocale (LC_ALL, "C.UTF-8");
}

static void
test_dump (void)
{
  static const char want[] = "{\n"
                             "  \"z\": 1,\n"
                             "  \"a\": {\n"
                             "    \"text\": \"a\\\"\\\\\\n\\t\\u0001é/\",\n"
                             "    \"none\": null\n"
                             "  },\n"
                             "  \"list\": [1, 2.5, \"x\", true, false],\n"
                             "  \"objects\": [\n"
                             "    {\n"
                             "      \"k\": -9223372036854775808\n"
                             "    },\n"
                             "    []\n"
                             "  ],\n"
                             "  \"empty\": {}\n"
                             "}\n";
  g_autoptr (json_t) json = parse (want);
  g_autofree char *text = swage_json_dump (json);
  g_assert_cmpstr (text, ==, want);
}

static void
check_place (const char *text, const SwageJsonStep *path, size_t n, bool found, int line, int column,
             int key_line, int key_column)
{
  SwageJsonPlace place;
  g_assert_cmpint (swage_json_find_place (text, strlen (text), path, n, &place), ==, found);
  g_assert_cmpint (place.line, ==, line);
  g_assert_cmpint (place.column, ==, column);
  g_assert_cmpint (place.key_line, ==, key_line);
  g_assert_cmpint (place.key_column, ==, key_column);
}

static void
test_places (void)
{
  static const char text[] = "{\n"                                               /* 1 */
                             "  \"swage_plan\": 1,\n"                            /* 2 */
                             "  \"model\": {\"name\": \"é{[\\\"\", \"x\": 5},\n" /* 3 */
                             "  \"rules\": [\n"                                  /* 4 */
                             "    {\"layers\": \"*\", \"steps\": []},\n"         /* 5 */
                             "    {\"layers\": \"blk.*\", \"steps\": [\n"        /* 6 */
                             "      {\"method\": \"m\",\n"                       /* 7 */
                             "       \"d\\u0061mp\":\n"                          /* 8 */
                             "         0.01}\n"                                  /* 9 */
                             "    ]}\n"
                             "  ]\n"
                             "}\n";
  json_decref (parse (text)); /* it is valid */
  check_place (text, NULL, 0, true, 1, 1, 1, 1);
  check_place (text, (SwageJsonStep[]){ { "swage_plan", 0 } }, 1, true, 2, 17, 2, 3);
  check_place (text, (SwageJsonStep[]){ { "model", 0 }, { "x", 0 } }, 2, true, 3, 35, 3, 30);
  SwageJsonStep damp[] = { { "rules", 0 }, { NULL, 1 }, { "steps", 0 }, { NULL, 0 }, { "damp", 0 } };
  check_place (text, damp, 5, true, 9, 10, 8, 8);
  check_place (text, damp, 4, true, 7, 7, 7, 7);
  check_place (text, damp, 2, true, 6, 5, 6, 5);
  SwageJsonStep absent[] = { { "rules", 0 }, { NULL, 1 }, { "nothing", 0 }, { "more", 0 } };
  check_place (text, absent, 4, false, 6, 5, 6, 5);
  SwageJsonStep outside[] = { { "rules", 0 }, { NULL, 2 } };
  check_place (text, outside, 2, false, 4, 12, 4, 3);
  SwageJsonStep empty[] = { { "rules", 0 }, { NULL, 0 }, { "steps", 0 }, { NULL, 0 } };
  check_place (text, empty, 4, false, 5, 30, 5, 21);

  /* any prefix of the text: no crash, no endless loop */
  for (size_t n = 0; n < sizeof text; n++)
    {
      g_autofree char *prefix = g_memdup2 (text, n);
      SwageJsonPlace place;
      swage_json_find_place (prefix, n, damp, 5, &place);
      swage_json_find_place (prefix, n, absent, 4, &place);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/json/bad", test_bad);
  g_test_add_func ("/base/json/deep", test_deep);
  g_test_add_func ("/base/json/huge-integers", test_huge_integers);
  g_test_add_func ("/base/json/load", test_load);
  g_test_add_func ("/base/json/getters", test_getters);
  g_test_add_func ("/base/json/reals", test_reals);
  g_test_add_func ("/base/json/dump", test_dump);
  g_test_add_func ("/base/json/places", test_places);
  return g_test_run ();
}
