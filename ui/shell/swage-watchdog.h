/* SPDX-License-Identifier: MIT
 *
 * How long the main loop was blocked. With SWAGE_WATCHDOG in the environment the application has an action
 * "watchdog" whose state is the longest time in milliseconds since it was activated last, and prints it at
 * exit; the tests read it.
 */
#pragma once

#include <gio/gio.h>

/* Does nothing without SWAGE_WATCHDOG. Main thread, once. */
void swage_watchdog_start (GApplication *application);
