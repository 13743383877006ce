/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "core/engine/swage-device.h"

#include <stdio.h>

bool
cli_check_device (const CliDeviceOptions *options, uint64_t *memory, int *status)
{
  GError *error = NULL;
  *memory = 0;
  if (!swage_device_check_spec (options->device, &error)
      || (options->memory != NULL && !cli_parse_size (options->memory, memory, &error)))
    {
      *status = cli_misuse (error);
      return false;
    }
  return true;
}

void
cli_tell_device_failure (const char *failure)
{
  cli_progress_end ();
  fprintf (stderr, _ ("swage-cli: Warning: %s The work is done on the CPU.\n"), failure);
}

SwageBackend *
cli_open_device (const CliDeviceOptions *options, uint64_t memory, int *status)
{
  GError *error = NULL;
  SwageBackend *backend = swage_device_open (options->device, memory, &error);
  if (backend == NULL && g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_DEVICE))
    {
      cli_tell_device_failure (error->message);
      g_clear_error (&error);
      backend = swage_device_open (NULL, 0, &error);
    }
  if (backend == NULL)
    *status = cli_fail (error);
  return backend;
}

void
cli_device_options_clear (CliDeviceOptions *options)
{
  g_clear_pointer (&options->device, g_free);
  g_clear_pointer (&options->memory, g_free);
}
