/* SPDX-License-Identifier: MIT
 *
 * Manual pages in man(7), made from the same tables as --help, so that they cannot disagree.
 */
#include "app/cli/cli-manual.h"
#include "core/method/swage-method-doc.h"

#include <stdio.h>
#include <string.h>

/* Text as roff: hyphens that can be typed, no escape or request by accident. */
static void
print_text (const char *text)
{
  bool line_start = true;
  for (const char *p = text; *p != '\0'; p++)
    {
      if (line_start && (*p == '.' || *p == '\''))
        fputs ("\\&", stdout);
      line_start = *p == '\n';
      if (*p == '-')
        fputs ("\\-", stdout);
      else if (*p == '\\')
        fputs ("\\e", stdout);
      else
        putchar (*p);
    }
}

static void
print_macro (const char *macro, const char *text)
{
  printf ("%s ", macro);
  print_text (text);
  putchar ('\n');
}

/* Lines that begin with spaces are examples and keep their breaks. */
static void
print_paragraphs (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  bool example = false;
  for (int i = 0; lines[i] != NULL; i++)
    {
      bool is_example = lines[i][0] == ' ';
      if (is_example != example)
        puts (is_example ? ".PP\n.nf" : ".fi");
      example = is_example;
      if (lines[i][0] == '\0')
        fputs (".PP", stdout);
      else
        print_text (lines[i]);
      putchar ('\n');
    }
  if (example)
    puts (".fi");
}

static void
print_option (const GOptionEntry *entry)
{
  puts (".TP");
  fputs (".B ", stdout);
  if (entry->short_name != 0)
    printf ("\\-%c, ", entry->short_name);
  fputs ("\\-\\-", stdout);
  print_text (entry->long_name);
  if (entry->arg_description != NULL)
    {
      fputs ("=\\fI", stdout);
      print_text (_ (entry->arg_description));
      fputs ("\\fR", stdout);
    }
  putchar ('\n');
  print_text (_ (entry->description));
  putchar ('\n');
}

static void
print_head (const char *name)
{
  g_autofree char *upper = g_ascii_strup (name, -1);
  fputs (".TH ", stdout);
  print_text (upper);
  puts (" 1 \"\" \"Swage " SWAGE_VERSION "\" \"Swage\"\n.SH NAME");
}

static void
print_tail (void)
{
  puts (".SH EXIT STATUS\n0 done; 1 the work failed, the message is on standard error; 2 wrong usage; 130 "
        "interrupted.\n"
        ".SH ENVIRONMENT\n.TP\n.B SWAGE_THREADS\nThe number of threads, like \\-\\-threads.\n.TP\n.B "
        "SWAGE_CPU\n"
        "Lowers the choice of kernels: ref, portable, avx2 or avx512.\n.SH SEE ALSO");
}

void
cli_print_command_manual (const CliCommand *command, const GOptionEntry *entries, const GOptionEntry *common)
{
  g_autofree char *name = g_strconcat ("swage-cli-", command->name, NULL);
  print_head (name);
  print_text (name);
  fputs (" \\- ", stdout);
  print_text (_ (command->summary));
  puts ("\n.SH SYNOPSIS");
  g_autofree char *synopsis
      = g_strdup_printf ("swage-cli %s [OPTION…] %s", command->name, command->arguments);
  print_macro (".B", synopsis);
  puts (".SH DESCRIPTION");
  print_text (_ (command->summary));
  puts (".");
  if (command->details != NULL)
    {
      puts (".PP");
      print_paragraphs (_ (command->details));
    }
  puts (".SH OPTIONS");
  for (const GOptionEntry *entry = entries; entry != NULL && entry->long_name != NULL; entry++)
    print_option (entry);
  for (const GOptionEntry *entry = common; entry->long_name != NULL; entry++)
    print_option (entry);
  if (command == &cli_methods)
    {
      puts (".SH METHODS");
      g_autofree char *methods = swage_method_doc_to_roff (NULL);
      fputs (methods, stdout);
    }
  print_tail ();
  puts (".BR swage\\-cli (1)");
}

void
cli_print_manual (void)
{
  print_head ("swage-cli");
  puts ("swage\\-cli \\- compress large language models\n.SH SYNOPSIS\n.B swage\\-cli\n.I COMMAND\n[OPTION…] "
        "[ARGUMENT…]\n.SH DESCRIPTION\n"
        "Looks into language models (Hugging Face folders and GGUF files), chooses pruning, quantization or "
        "factorization for each layer, "
        "measures what that costs, and writes models that other programs run. The window of the same name "
        "is\n.BR swage .\n.SH COMMANDS");
  for (int i = 0; cli_commands[i] != NULL; i++)
    {
      puts (".TP");
      printf (".BR swage\\-cli\\-%s (1)\n", cli_commands[i]->name);
      print_text (_ (cli_commands[i]->summary));
      putchar ('\n');
    }
  print_tail ();
  for (int i = 0; cli_commands[i] != NULL; i++)
    printf (".BR swage\\-cli\\-%s (1)%s\n", cli_commands[i]->name, cli_commands[i + 1] != NULL ? "," : "");
}
