/* SPDX-License-Identifier: MIT
 *
 * How many windows there are and which positions count, for a stream of T tokens and a context of C (W =
 * floor (T / C)):
 *
 *   hf          W windows, positions 0 … C-2 scored:                     W (C-1) tokens
 *   llama.cpp   W windows, positions floor (C/2) … C-2 scored:           W (C-1-floor (C/2)) tokens
 *
 * Position i is scored on token i+1 of the same window. What is left at the end of the stream is not used.
 */
#include "core/text/swage-corpus.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <string.h>

#define MAX_FILE_BYTES ((goffset)1 << 30)
#define CALIBRATION_CONTEXT 512

struct _SwageCorpus
{
  gatomicrefcount refs;
  char *name;
  GArray *tokens;
  int32_t bos; /* -1 where the tokenizer adds none */
  char *fingerprint;
};

SwageCorpus *
swage_corpus_new_from_text (SwageTokenizer *tok, const char *text, size_t n, const char *name, GError **error)
{
  const SwageTokenizerInfo *info = swage_tokenizer_get_info (tok);
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (info->add_bos)
    g_array_append_vals (tokens, &(int32_t){ info->bos }, 1);
  if (!swage_tokenizer_encode (tok, text, n, SWAGE_ENCODE_PLAIN, tokens, error))
    return NULL;

  SwageCorpus *corpus = g_new0 (SwageCorpus, 1);
  g_atomic_ref_count_init (&corpus->refs);
  corpus->name = g_strdup (name);
  corpus->bos = info->add_bos ? info->bos : -1;
  corpus->fingerprint = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)tokens->data,
                                                     (gsize)tokens->len * sizeof (int32_t));
  corpus->tokens = g_steal_pointer (&tokens);
  return corpus;
}

SwageCorpus *
swage_corpus_open (SwageTokenizer *tok, const char *path, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  GStatBuf st;
  if (g_stat (path, &st) != 0)
    {
      swage_error_set_errno (error, errno, _ ("open"), path);
      return NULL;
    }
  if (!S_ISREG (st.st_mode) || st.st_size > MAX_FILE_BYTES)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The text “%s” must be a regular file of up to 1 GiB."), shown);
      return NULL;
    }
  g_autofree char *text = NULL;
  gsize n = 0;
  if (!g_file_get_contents (path, &text, &n, error))
    {
      swage_error_wrap_io (error, path);
      return NULL;
    }
  g_autofree char *name = g_path_get_basename (shown);
  return swage_corpus_new_from_text (tok, text, n, name, error);
}

SwageCorpus *
swage_corpus_ref (SwageCorpus *corpus)
{
  g_atomic_ref_count_inc (&corpus->refs);
  return corpus;
}

void
swage_corpus_unref (SwageCorpus *corpus)
{
  if (corpus == NULL || !g_atomic_ref_count_dec (&corpus->refs))
    return;
  g_array_unref (corpus->tokens);
  g_free (corpus->name);
  g_free (corpus->fingerprint);
  g_free (corpus);
}

const char *
swage_corpus_get_name (SwageCorpus *corpus)
{
  return corpus->name;
}

const int32_t *
swage_corpus_get_tokens (SwageCorpus *corpus, size_t *n)
{
  *n = corpus->tokens->len;
  return (const int32_t *)(const void *)corpus->tokens->data;
}

const char *
swage_corpus_get_fingerprint (SwageCorpus *corpus)
{
  return corpus->fingerprint;
}

/* ---- protocols ---- */

static const struct
{
  const char *id;
  int context;
  int min_context; /* fewer leave nothing to score */
  int min_windows;
} protocols[] = {
  [SWAGE_PROTOCOL_HF] = { "hf", 2048, 2, 1 },
  [SWAGE_PROTOCOL_LLAMA_CPP] = { "llama.cpp", 512, 3, 2 },
};

const char *
swage_protocol_get_id (SwageProtocol protocol)
{
  return protocols[protocol].id;
}

bool
swage_protocol_from_id (const char *id, SwageProtocol *protocol)
{
  for (guint i = 0; i < G_N_ELEMENTS (protocols); i++)
    if (g_strcmp0 (id, protocols[i].id) == 0)
      {
        *protocol = (SwageProtocol)i;
        return true;
      }
  return false;
}

int
swage_protocol_get_default_context (SwageProtocol protocol)
{
  return protocols[protocol].context;
}

/* ---- windows ---- */

static void
finish (SwageWindows *windows)
{
  gsize bytes = (gsize)windows->n_windows * (gsize)windows->context * sizeof (int32_t);
  int32_t shape[2] = { windows->n_windows, windows->context };
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (sum, (const guchar *)shape, sizeof shape);
  g_checksum_update (sum, (const guchar *)windows->tokens, (gssize)bytes);
  g_checksum_update (sum, (const guchar *)windows->targets, (gssize)bytes);
  windows->fingerprint = g_strdup (g_checksum_get_string (sum));
}

static SwageWindows *
windows_alloc (int n_windows, int context)
{
  SwageWindows *windows = g_new0 (SwageWindows, 1);
  gsize n = (gsize)n_windows * (gsize)context;
  windows->n_windows = n_windows;
  windows->context = context;
  windows->tokens = g_new (int32_t, n);
  windows->targets = g_new (int32_t, n);
  for (gsize i = 0; i < n; i++)
    windows->targets[i] = -1;
  return windows;
}

void
swage_windows_free (SwageWindows *windows)
{
  if (windows == NULL)
    return;
  g_free (windows->tokens);
  g_free (windows->targets);
  g_free (windows->fingerprint);
  g_free (windows);
}

SwageWindows *
swage_windows_new (SwageCorpus *corpus, SwageProtocol protocol, int context, int max_context, GError **error)
{
  if (context == 0)
    {
      context = protocols[protocol].context;
      if (max_context > 0)
        context = MIN (context, max_context);
    }
  if (context < protocols[protocol].min_context || (max_context > 0 && context > max_context))
    {
      if (max_context > 0)
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                     _ ("A context of %d does not work here: the protocol needs at least %d and the model "
                        "takes up to %d."),
                     context, protocols[protocol].min_context, max_context);
      else
        g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                     _ ("A context of %d is too short; use at least %d."), context,
                     protocols[protocol].min_context);
      return NULL;
    }

  size_t n = corpus->tokens->len, needed = (size_t)protocols[protocol].min_windows * (size_t)context;
  if (n < needed)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The text “%s” has %zu tokens; with a context of %d at least %zu are needed. Use a "
                      "longer text or "
                      "a shorter context."),
                   corpus->name, n, context, needed);
      return NULL;
    }

  SwageWindows *windows = windows_alloc ((int)(n / (size_t)context), context);
  bool llama = protocol == SWAGE_PROTOCOL_LLAMA_CPP;
  int first = llama ? context / 2 : 0;
  for (int w = 0; w < windows->n_windows; w++)
    {
      const int32_t *from = &g_array_index (corpus->tokens, int32_t, (size_t)w * (size_t)context);
      int32_t *tokens = windows->tokens + (size_t)w * (size_t)context;
      int32_t *targets = windows->targets + (size_t)w * (size_t)context;
      memcpy (tokens, from, (size_t)context * sizeof *tokens);
      for (int i = first; i < context - 1; i++)
        targets[i] = from[i + 1];
      if (llama && corpus->bos >= 0)
        tokens[0] = corpus->bos;
    }
  windows->n_scored = (int64_t)windows->n_windows * (context - 1 - first);
  finish (windows);
  return windows;
}

/* SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine and with every GLib. */
static uint64_t
next_random (uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

SwageWindows *
swage_windows_new_calibration (SwageCorpus *corpus, int samples, int context, int max_context, uint64_t seed,
                               GError **error)
{
  size_t n = corpus->tokens->len;
  if (context == 0)
    context = CALIBRATION_CONTEXT;
  if (max_context > 0)
    context = MIN (context, max_context);
  if (samples < 1 || context < 1)
    {
      g_set_error (
          error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
          _ ("Calibration needs at least one sample and a context of at least one token, not %d and %d."),
          samples, context);
      return NULL;
    }
  if (n == 0)
    {
      g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_INVALID,
                   _ ("The text “%s” has no tokens to calibrate on."), corpus->name);
      return NULL;
    }
  context = (int)MIN ((size_t)context, n);
  samples = (int)MIN ((size_t)samples, n / (size_t)context);

  SwageWindows *windows = windows_alloc (samples, context);
  uint64_t last = n - (size_t)context; /* where the last window can start */
  uint64_t state = seed;
  for (int w = 0; w < samples; w++)
    {
      uint64_t start = 0;
      if (seed != 0)
        start = next_random (&state) % (last + 1);
      else if (samples > 1)
        start = (uint64_t)w * last / (uint64_t)(samples - 1);
      memcpy (windows->tokens + (size_t)w * (size_t)context, &g_array_index (corpus->tokens, int32_t, start),
              (size_t)context * sizeof (int32_t));
    }
  finish (windows);
  return windows;
}
