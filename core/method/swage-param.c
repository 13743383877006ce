/* SPDX-License-Identifier: MIT
 *
 * Parameters by their rows. A value lives in the method's own struct, where apply reads it without any
 * lookup; text and numbers are how everybody else sees it. The row alone knows the range.
 */
#include "core/method/swage-method.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>
#include "core/base/swage-error.h"

static void *
member (const SwageParam *param, const void *params)
{
  return (char *)params + param->offset;
}

static int
count_choices (const SwageParam *param)
{
  int n = 0;
  while (param->choices[n] != NULL)
    n++;
  return n;
}

static void
store (const SwageParam *param, void *params, double value)
{
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
    case SWAGE_PARAM_CHOICE:
      *(int *)member (param, params) = (int)value;
      break;
    case SWAGE_PARAM_DOUBLE:
      *(double *)member (param, params) = value;
      break;
    case SWAGE_PARAM_BOOL:
      *(bool *)member (param, params) = value != 0;
      break;
    case SWAGE_PARAM_END:
      break;
    }
}

void
swage_params_init (const SwageMethod *method, void *params)
{
  memset (params, 0, method->params_size);
  for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
    store (p, params, p->def);
}

const SwageParam *
swage_method_find_param (const SwageMethod *method, const char *id)
{
  for (const SwageParam *p = method->params; p->kind != SWAGE_PARAM_END; p++)
    if (g_str_equal (p->id, id))
      return p;
  return NULL;
}

double
swage_param_get_number (const SwageParam *param, const void *params)
{
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
    case SWAGE_PARAM_CHOICE:
      return *(int *)member (param, params);
    case SWAGE_PARAM_DOUBLE:
      return *(double *)member (param, params);
    case SWAGE_PARAM_BOOL:
      return *(bool *)member (param, params);
    case SWAGE_PARAM_END:
      break;
    }
  return 0;
}

/* The shortest decimal that reads back as the same double. */
static char *
format_double (double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE], format[8];

  for (int digits = 1; digits <= 17; digits++)
    {
      g_snprintf (format, sizeof format, "%%.%dg", digits);
      g_ascii_formatd (text, sizeof text, format, value);
      if (g_ascii_strtod (text, NULL) == value)
        break;
    }
  return g_strdup (text);
}

char *
swage_param_get_text (const SwageParam *param, const void *params)
{
  double value = swage_param_get_number (param, params);

  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
      return g_strdup_printf ("%d", (int)value);
    case SWAGE_PARAM_DOUBLE:
      return format_double (value);
    case SWAGE_PARAM_BOOL:
      return g_strdup (value != 0 ? "true" : "false");
    case SWAGE_PARAM_CHOICE:
      return g_strdup (param->choices[(int)value]);
    case SWAGE_PARAM_END:
      break;
    }
  return g_strdup ("");
}

char *
swage_param_describe_range (const SwageParam *param)
{
  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
    case SWAGE_PARAM_DOUBLE:
      {
        g_autofree char *min = format_double (param->min);
        g_autofree char *max = format_double (param->max);
        return g_strdup_printf ("%s … %s", min, max);
      }
    case SWAGE_PARAM_BOOL:
      return g_strdup (_ ("true or false"));
    case SWAGE_PARAM_CHOICE:
      return g_strjoinv (", ", (char **)param->choices);
    case SWAGE_PARAM_END:
      break;
    }
  return g_strdup ("");
}

static bool
refuse (const SwageMethod *method, const SwageParam *param, const char *text, GError **error)
{
  g_autofree char *range = swage_param_describe_range (param);

  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("%s: “%s” must be a whole number in %s, not “%s”."), method->id, param->id, range,
                   text);
      break;
    case SWAGE_PARAM_DOUBLE:
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s: “%s” must be a number in %s, not “%s”."),
                   method->id, param->id, range, text);
      break;
    case SWAGE_PARAM_BOOL:
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s: “%s” must be %s, not “%s”."), method->id,
                   param->id, range, text);
      break;
    case SWAGE_PARAM_CHOICE:
    case SWAGE_PARAM_END:
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("%s: “%s” must be one of %s, not “%s”."),
                   method->id, param->id, range, text);
      break;
    }
  return false;
}

bool
swage_param_set_number (const SwageMethod *method, void *params, const SwageParam *param, double value,
                        GError **error)
{
  double min = param->min, max = param->max;

  if (param->kind == SWAGE_PARAM_CHOICE)
    {
      min = 0;
      max = count_choices (param) - 1;
    }
  /* written so that NaN fails */
  bool good = value >= min && value <= max;
  if (param->kind != SWAGE_PARAM_DOUBLE)
    good = good && value == floor (value);
  if (!good)
    {
      g_autofree char *text = format_double (value);
      return refuse (method, param, text, error);
    }
  store (param, params, value + 0.0); /* −0 becomes 0 */
  return true;
}

bool
swage_param_set_text (const SwageMethod *method, void *params, const SwageParam *param, const char *text,
                      GError **error)
{
  char *end = NULL;

  switch (param->kind)
    {
    case SWAGE_PARAM_INT:
    case SWAGE_PARAM_DOUBLE:
      {
        double value = g_ascii_strtod (text, &end);
        /* strtod also knows leading space, hexadecimal and "inf": none of them a value that a plan holds */
        bool plain = text[0] != '\0' && strspn (text, "+-.0123456789eE") == strlen (text);
        if (!plain || *end != '\0' || !isfinite (value) || value < param->min || value > param->max
            || (param->kind == SWAGE_PARAM_INT && value != floor (value)))
          return refuse (method, param, text, error);
        store (param, params, value + 0.0);
        return true;
      }
    case SWAGE_PARAM_BOOL:
      if (!g_str_equal (text, "true") && !g_str_equal (text, "false"))
        return refuse (method, param, text, error);
      store (param, params, text[0] == 't');
      return true;
    case SWAGE_PARAM_CHOICE:
      for (int i = 0; param->choices[i] != NULL; i++)
        if (g_ascii_strcasecmp (text, param->choices[i]) == 0)
          {
            store (param, params, i);
            return true;
          }
      return refuse (method, param, text, error);
    case SWAGE_PARAM_END:
      break;
    }
  return false;
}

bool
swage_param_is_relevant (const SwageMethod *method, const SwageParam *param, const void *params)
{
  if (param->when == NULL)
    return true;

  g_auto (GStrv) sides = g_strsplit (param->when, "=", 2);
  const SwageParam *other = swage_method_find_param (method, sides[0]);
  g_return_val_if_fail (other != NULL && sides[1] != NULL, true);
  g_autofree char *value = swage_param_get_text (other, params);
  g_auto (GStrv) wanted = g_strsplit (sides[1], "|", -1);
  return g_strv_contains ((const char *const *)wanted, value)
         && swage_param_is_relevant (method, other, params);
}
