/* SPDX-License-Identifier: MIT */
#pragma once

#include "app/cli/cli.h"

/* The manual page of one command on stdout: swage-cli-NAME(1). */
void cli_print_command_manual (const CliCommand *command, const GOptionEntry *entries,
                               const GOptionEntry *common);
/* That of swage-cli as a whole. */
void cli_print_manual (void);
