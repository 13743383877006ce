/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"
#include "app/cli/cli-manual.h"
#include "core/base/swage-blas.h"
#include "core/base/swage-pool.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPARSE_INTERVAL (10 * G_USEC_PER_SEC) /* between lines when stderr is no terminal */
#define BAR_INTERVAL (G_USEC_PER_SEC / 10)

static GCancellable *cancellable;
static SwageJob *job;
static bool quiet, bar_shown;
static gint64 last_report;

static void
show_bar (double fraction, const char *stage, double left)
{
  struct winsize size;
  int columns = ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
  g_autofree char *time
      = left >= 0 ? g_strdup_printf ("%02d:%02d", (int)left / 60, (int)left % 60) : g_strdup ("     ");
  enum
  {
    BAR = 24
  };
  char bar[BAR + 1];
  for (int i = 0; i < BAR; i++)
    bar[i] = i < (int)(fraction * BAR) ? '#' : '.';
  bar[BAR] = '\0';
  g_autofree char *line = g_strdup_printf ("[%s] %3d %% %s %s", bar, (int)(fraction * 100), time, stage);
  if (g_utf8_strlen (line, -1) > columns - 1)
    *g_utf8_offset_to_pointer (line, columns - 1) = '\0';
  fprintf (stderr, "\r\033[K%s", line);
  fflush (stderr);
  bar_shown = true;
}

static void
report (double fraction, const char *stage, double left, gpointer user_data)
{
  gint64 now = g_get_monotonic_time ();
  bool terminal = isatty (STDERR_FILENO);
  if (quiet || now - last_report < (terminal ? BAR_INTERVAL : SPARSE_INTERVAL))
    return;
  last_report = now;
  if (terminal)
    show_bar (fraction, stage, left);
  else
    fprintf (stderr, "%3d %% %s\n", (int)(fraction * 100), stage);
}

void
cli_progress_end (void)
{
  if (bar_shown)
    fputs ("\r\033[K", stderr);
  bar_shown = false;
}

/* SIGINT and SIGTERM are waited for in a thread of their own: what cancelling does is not for signal
 * handlers. A second one ends at once. */
static void *
wait_for_signals (void *set)
{
  int number;
  while (sigwait (set, &number) != 0)
    ;
  g_cancellable_cancel (cancellable);
  while (sigwait (set, &number) != 0)
    ;
  _exit (CLI_INTERRUPTED);
}

static void
catch_signals (void)
{
  static sigset_t set;
  sigemptyset (&set);
  sigaddset (&set, SIGINT);
  sigaddset (&set, SIGTERM);
  pthread_sigmask (SIG_BLOCK, &set, NULL);
  pthread_t thread;
  if (pthread_create (&thread, NULL, wait_for_signals, &set) == 0)
    pthread_detach (thread);
  signal (SIGPIPE, SIG_IGN);
}

SwageJob *
cli_job (void)
{
  if (job == NULL)
    {
      last_report = g_get_monotonic_time ();
      job = swage_job_new (cancellable, report, NULL);
    }
  return job;
}

bool
cli_interrupted (void)
{
  return g_cancellable_is_cancelled (cancellable);
}

static int
print_error (GError *error, int status)
{
  cli_progress_end ();
  if (g_error_matches (error, SWAGE_ERROR, SWAGE_ERROR_CANCELLED) || cli_interrupted ())
    {
      fprintf (stderr, "swage-cli: %s\n", _ ("Interrupted; nothing was left behind."));
      status = CLI_INTERRUPTED;
    }
  else
    fprintf (stderr, "swage-cli: %s\n", error->message);
  g_error_free (error);
  return status;
}

int
cli_fail (GError *error)
{
  return print_error (error, CLI_FAILED);
}

int
cli_misuse (GError *error)
{
  return print_error (error, CLI_USAGE);
}

int
cli_misuse_text (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  fprintf (stderr, "swage-cli: %s\n", message);
  return CLI_USAGE;
}

int
cli_print_json (json_t *json)
{
  cli_progress_end ();
  g_autofree char *text = swage_json_dump (json);
  json_decref (json);
  if (fputs (text, stdout) < 0 || fflush (stdout) != 0)
    {
      fprintf (stderr, "swage-cli: %s: %s\n", _ ("Cannot write to standard output"), g_strerror (errno));
      return CLI_FAILED;
    }
  return CLI_DONE;
}

char *
cli_format_bytes (uint64_t bytes)
{
  return g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
}

bool
cli_parse_size (const char *text, uint64_t *bytes, GError **error)
{
  char *end;
  errno = 0;
  double value = g_ascii_strtod (text, &end);
  const char *units = "KMGT", *unit = *end != '\0' ? strchr (units, g_ascii_toupper (*end)) : NULL;
  bool good = end != text && value > 0 && isfinite (value) && errno == 0
              && (*end == '\0' || (unit != NULL && (end[1] == '\0' || strcmp (end + 1, "iB") == 0)));
  double size = unit != NULL ? value * pow (1024, (double)(unit - units + 1)) : value;
  if (!good || size > 1e18)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID, _ ("“%s” is not a size such as 64M or 2G."),
                   text);
      return false;
    }
  *bytes = (uint64_t)size;
  return true;
}

bool
cli_parse (const CliCommand *command, const GOptionEntry *entries, int *argc, char ***argv, int min, int max,
           int *status)
{
  int threads = 0;
  gboolean be_quiet = FALSE;
  const GOptionEntry common[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, N_ ("Use at most N threads"), "N" },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &be_quiet, N_ ("No progress"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (command->arguments);
  g_option_context_set_summary (context, _ (command->summary));
  if (command->details != NULL)
    g_option_context_set_description (context, _ (command->details));
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, common, GETTEXT_PACKAGE);
  if (*argc == 2 && strcmp ((*argv)[1], "--manual") == 0) /* what the build makes the manual pages from */
    {
      cli_print_command_manual (command, entries, common);
      *status = CLI_DONE;
      return false;
    }
  g_option_context_set_help_enabled (context, FALSE); /* ours goes on with status 0 and names the command */
  for (int i = 1; i < *argc && strcmp ((*argv)[i], "--") != 0; i++)
    if (strcmp ((*argv)[i], "--help") == 0 || strcmp ((*argv)[i], "-h") == 0)
      {
        g_autofree char *name = g_strdup_printf ("swage-cli %s", command->name);
        g_set_prgname (name);
        g_autofree char *help = g_option_context_get_help (context, TRUE, NULL);
        fputs (help, stdout);
        *status = CLI_DONE;
        return false;
      }
  g_autoptr (GError) error = NULL;
  if (!g_option_context_parse (context, argc, argv, &error))
    {
      fprintf (stderr, "swage-cli %s: %s\n", command->name, error->message);
      *status = CLI_USAGE;
      return false;
    }
  /* what stands behind "--" is positional */
  int n = 1;
  bool separator = false;
  for (int i = 1; i < *argc; i++)
    if (!separator && strcmp ((*argv)[i], "--") == 0)
      separator = true;
    else
      (*argv)[n++] = (*argv)[i];
  (*argv)[n] = NULL;
  *argc = n;
  *status = CLI_USAGE;
  if (threads < 0 || threads > 256)
    cli_misuse_text (_ ("--threads takes a number from 1 to 256."));
  else if (n - 1 < min || (max >= 0 && n - 1 > max))
    fprintf (stderr, _ ("Usage: swage-cli %s [OPTION…] %s\nTry “swage-cli %s --help”.\n"), command->name,
             command->arguments, command->name);
  else
    *status = CLI_DONE;
  if (*status != CLI_DONE)
    return false;
  if (threads > 0)
    swage_pool_set_threads (threads);
  quiet = be_quiet;
  return true;
}

const CliCommand *const cli_commands[]
    = { &cli_info,     &cli_inspect,  &cli_methods, &cli_plan,  &cli_preview, &cli_export,
        &cli_generate, &cli_tokenize, &cli_devices, &cli_bench, NULL };

static void
print_commands (FILE *file)
{
  fputs (_ ("Usage: swage-cli COMMAND [OPTION…] [ARGUMENT…]\n\nCompress large language models: look, choose, "
            "preview, export.\n\nCommands:\n"),
         file);
  for (int i = 0; cli_commands[i] != NULL; i++)
    fprintf (file, "  %-10s %s\n", cli_commands[i]->name, _ (cli_commands[i]->summary));
  fputs (_ ("\n“swage-cli COMMAND --help” tells more. “swage-cli --version” prints the version.\n"), file);
}

int
main (int argc, char **argv)
{
  swage_blas_prepare ();
  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, SWAGE_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_set_prgname ("swage-cli");

  if (argc < 2)
    {
      print_commands (stderr);
      return CLI_USAGE;
    }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0 || strcmp (argv[1], "help") == 0)
    {
      print_commands (stdout);
      return CLI_DONE;
    }
  if (strcmp (argv[1], "--version") == 0)
    {
      puts ("swage-cli " SWAGE_VERSION);
      return CLI_DONE;
    }
  if (strcmp (argv[1], "--manual") == 0)
    {
      cli_print_manual ();
      return CLI_DONE;
    }
  cancellable = g_cancellable_new ();
  catch_signals ();
  for (int i = 0; cli_commands[i] != NULL; i++)
    if (strcmp (argv[1], cli_commands[i]->name) == 0)
      {
        int status = cli_commands[i]->run (argc - 1, argv + 1);
        cli_progress_end ();
        g_clear_pointer (&job, swage_job_unref);
        return status;
      }
  fprintf (stderr, _ ("swage-cli: There is no command “%s”.\n"), argv[1]);
  print_commands (stderr);
  return CLI_USAGE;
}
