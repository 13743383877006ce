/* SPDX-License-Identifier: MIT
 *
 * One step of a recipe: the method's name, its parameters below, and a menu to move, switch off, reset or
 * remove it.
 */
#pragma once

#include "core/plan/swage-plan.h"

#include <adwaita.h>

#define SWAGE_TYPE_STEP_ROW (swage_step_row_get_type ())
/* Signals:
 *   edited (SwageStep *step, const char *label)   replace the step by this one
 *   moved (int direction)                         −1: earlier, +1: later
 *   removed ()                                                                 */
G_DECLARE_FINAL_TYPE (SwageStepRow, swage_step_row, SWAGE, STEP_ROW, AdwExpanderRow)

GtkWidget *swage_step_row_new (const SwageStep *step);
/* Show another step of the same method. `position` of `count`, from 0. */
void swage_step_row_set_step (SwageStepRow *row, const SwageStep *step, int position, int count);
const SwageMethod *swage_step_row_get_method (SwageStepRow *row);
