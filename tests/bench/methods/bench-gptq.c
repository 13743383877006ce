/* SPDX-License-Identifier: MIT
 *
 * How long does second-order rounding of one large layer take, and how much memory?
 *
 *   bench-gptq ROWS COLS TOKENS [PARAMS…]      e.g. bench-gptq 4096 11008 2048
 * type=int,bits=4,group_size=128,sweeps=0 type=q4_k
 *
 * The layer is random. TOKENS random inputs are summed into the Hessian and timed (0: none); then it is
 * replaced by one of neighbouring channels that correlate, H_ij = 0.5^|i−j|, so that the rounding does not
 * depend on how many tokens there was patience for. Prints seconds by the clock, seconds of processor time
 * and the peak of anonymous memory.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/base/swage-pool.h"
#include "methods/method-fixture.h"

static double
processor_seconds (void)
{
  struct timespec t;
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double
anonymous_mb (void)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return 0;
  const char *at = strstr (text, "VmHWM:"), *file = strstr (text, "RssFile:");
  return ((at != NULL ? g_ascii_strtod (at + 6, NULL) : 0)
          - (file != NULL ? g_ascii_strtod (file + 8, NULL) : 0))
         / 1024;
}

static void
fill_hessian (int64_t begin, int64_t end, int worker, void *user_data)
{
  SwageActStats *stats = user_data;
  for (int64_t i = begin; i < end; i++)
    for (int64_t j = 0; j < stats->n_in; j++)
      stats->hessian[i * stats->n_in + j]
          = ABS (i - j) < 60 ? ldexp (0.5 * (double)stats->n_tokens, (int)-ABS (i - j)) : 0;
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  if (argc < 4)
    {
      fprintf (stderr, "bench-gptq ROWS COLS TOKENS [PARAMS…]\n");
      return 2;
    }
  int64_t rows = atoll (argv[1]), cols = atoll (argv[2]), tokens = atoll (argv[3]);
  g_autofree float *w = fixture_normals (rows * cols, 0.02, 1);
  g_autoptr (SwageLinear) in = fixture_linear_from (SWAGE_TYPE_F16, rows, cols, w);
  g_autoptr (SwageActStats) stats = swage_act_stats_new (cols, SWAGE_NEED_HESSIAN, 0, 0);

  g_clear_pointer (&w, g_free);
  if (tokens > 0)
    {
      g_autofree float *x = fixture_normals (tokens * cols, 1, 2);
      gint64 start = g_get_monotonic_time ();
      double cpu = processor_seconds ();
      swage_act_stats_add (stats, x, tokens);
      printf ("Hessian of %" G_GINT64_FORMAT " tokens: %.2f s, processor %.2f s\n", tokens,
              1e-6 * (double)(g_get_monotonic_time () - start), processor_seconds () - cpu);
    }
  stats->n_tokens = MAX (tokens, 1);
  swage_pool_run (cols, 16, fill_hessian, stats);
  printf ("before: anonymous memory %.0f MB\n", anonymous_mb ());
  for (int i = 4; i < argc; i++)
    {
      const SwageMethod *method = swage_method_find ("gptq");
      g_autofree void *params = fixture_params (method, argv[i]);
      SwageMethodContext context
          = { .layer = in->name, .role = SWAGE_ROLE_FFN_DOWN, .stats = stats, .original = in };
      gint64 start = g_get_monotonic_time ();
      double cpu = processor_seconds ();
      g_autoptr (SwageLinear) out = method->apply (params, in, &context, NULL, NULL);
      g_assert_nonnull (out);
      printf ("gptq %s: %.2f s, processor %.2f s, peak of anonymous memory %.0f MB\n", argv[i],
              1e-6 * (double)(g_get_monotonic_time () - start), processor_seconds () - cpu, anonymous_mb ());
      fflush (stdout);
    }
  return 0;
}
