/* SPDX-License-Identifier: MIT
 *
 * The catalogue of methods, generated from the table: for programs, for a web page and for the manual. New
 * strings and references; any thread. `method` NULL: all of them.
 */
#pragma once

#include "core/base/swage-json.h"
#include "core/method/swage-method.h"

/* {"methods": [{"id", "version", "family", "title", "summary", "paper", "scope", "accepts": […], "needs":
 * […], "params": [{"id", "type", "default", "min", "max", "choices", "help", …}]}]}. A parameter's "type" is
 * "int", "number", "bool" or "choice"; min and max are there for the first two, choices for the last. Texts
 * are untranslated: programs compare them. */
json_t *swage_method_doc_to_json (const SwageMethod *method);
char *swage_method_doc_to_markdown (const SwageMethod *method);
/* A fragment of man(7) macros: a .SS section for each method, to be put below a heading of the manual page.
 */
char *swage_method_doc_to_roff (const SwageMethod *method);
