/* SPDX-License-Identifier: MIT
 *
 * A row for one parameter of a method, generated from the method table: a switch, a list of choices, a number
 * with a slider. The row never knows which method it belongs to.
 */
#pragma once

#include "core/method/swage-method.h"

#include <adwaita.h>

#define SWAGE_TYPE_PARAM_ROW (swage_param_row_get_type ())
/* Signal: edited (const char *text): the user has chosen another value. */
G_DECLARE_FINAL_TYPE (SwageParamRow, swage_param_row, SWAGE, PARAM_ROW, AdwPreferencesRow)

GtkWidget *swage_param_row_new (const SwageMethod *method, const SwageParam *param);
const SwageParam *swage_param_row_get_param (SwageParamRow *row);
/* Show the value (and whether the row matters) of a params struct; emits nothing. */
void swage_param_row_set_params (SwageParamRow *row, const void *params);
