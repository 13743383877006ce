/* SPDX-License-Identifier: MIT
 *
 * Columns of plain text for a GtkColumnView: each shows one string property of its items.
 */
#pragma once

#include <gtk/gtk.h>

/* A column that follows `property` of the items; `numeric`: digits of one width, at the right edge. New. */
GtkColumnViewColumn *swage_text_column_new (const char *title, GType type, const char *property,
                                            gboolean numeric);
