/* SPDX-License-Identifier: MIT */
#pragma once

#include <adwaita.h>

#define SWAGE_APPLICATION_ID "io.github.swage.Swage"

#define SWAGE_TYPE_APPLICATION (swage_application_get_type ())
/* `swage [MODEL [PLAN]]`: a window for each MODEL. */
G_DECLARE_FINAL_TYPE (SwageApplication, swage_application, SWAGE, APPLICATION, AdwApplication)

SwageApplication *swage_application_new (void);
