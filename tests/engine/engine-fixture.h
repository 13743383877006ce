/* SPDX-License-Identifier: MIT
 *
 * A model with everything loaded, goldens, and the whole forward pass in one call.
 */
#pragma once

#include <math.h>
#include <string.h>
#include "core/base/swage-pool.h"
#include "core/engine/swage-engine.h"
#include "core/format/swage-safetensors.h"

typedef struct
{
  SwageModel *model;
  const SwageConfig *config;
  SwageBackend *backend;
  SwageEngine *engine;
  SwageEnds *ends;
  SwageBlock **blocks;
} Rig;

static inline void
rig_clear (Rig *rig)
{
  for (int i = 0; rig->blocks != NULL && i < rig->config->n_blocks; i++)
    swage_block_free (rig->blocks[i]);
  g_free (rig->blocks);
  swage_ends_free (rig->ends);
  swage_engine_free (rig->engine);
  swage_backend_unref (rig->backend);
  swage_model_unref (rig->model);
  *rig = (Rig){ 0 };
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

/* backend NULL: the CPU; else taken. */
static inline void
rig_open (Rig *rig, const char *path, SwageBackend *backend)
{
  g_autoptr (GError) error = NULL;

  *rig = (Rig){ .backend = backend };
  rig->model = swage_model_open (path, &error);
  g_assert_no_error (error);
  rig->config = swage_model_get_config (rig->model);
  rig->engine = swage_engine_new (rig->model, backend, &error);
  g_assert_no_error (error);
  rig->ends = swage_ends_load (rig->model, &error);
  g_assert_no_error (error);
  rig->blocks = g_new0 (SwageBlock *, rig->config->n_blocks);
  for (int i = 0; i < rig->config->n_blocks; i++)
    {
      rig->blocks[i] = swage_block_load (rig->model, i, &error);
      g_assert_no_error (error);
    }
}

/* Hidden states after the last block; new. With kv: the tokens follow `position` others. */
static inline float *
rig_hidden (Rig *rig, const int32_t *tokens, int n_seq, int n_tok, SwageKv *kv, int position)
{
  g_autoptr (GError) error = NULL;
  float *h = g_new (float, (size_t)n_seq *n_tok * rig->config->n_embd);

  swage_engine_embed (rig->engine, rig->ends, tokens, n_seq, n_tok, position, h, &error);
  g_assert_no_error (error);
  for (int i = 0; i < rig->config->n_blocks; i++)
    {
      swage_engine_run_block (rig->engine, rig->blocks[i], n_seq, n_tok, h, kv, NULL, NULL, NULL, &error);
      g_assert_no_error (error);
    }
  return h;
}

/* Logits of all positions; new. */
static inline float *
rig_logits (Rig *rig, const int32_t *tokens, int n_seq, int n_tok, SwageKv *kv, int position)
{
  g_autoptr (GError) error = NULL;
  g_autofree float *h = rig_hidden (rig, tokens, n_seq, n_tok, kv, position);
  float *logits = g_new (float, (size_t)n_seq *n_tok * rig->config->n_vocab);

  swage_engine_logits (rig->engine, rig->ends, h, (int64_t)n_seq * n_tok, logits, &error);
  g_assert_no_error (error);
  return logits;
}

static inline double
max_difference (const float *a, const float *b, size_t n)
{
  double most = 0;

  for (size_t i = 0; i < n; i++)
    {
      double d = fabs ((double)a[i] - (double)b[i]);
      if (!(d <= most)) /* NaN too */
        most = d;
    }
  return most;
}

typedef struct
{
  int n_seq, n_tok, n_vocab;
  int32_t *tokens;
  float *logits;
} Golden;

static inline void
golden_clear (Golden *golden)
{
  g_free (golden->tokens);
  g_free (golden->logits);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Golden, golden_clear)

static inline char *
golden_path (const char *name, const char *file)
{
  return g_build_filename (g_getenv ("SWAGE_SOURCE_ROOT"), "tests", "golden", "models", name, file, NULL);
}

static inline void
golden_open (Golden *golden, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = golden_path (name, "logits.safetensors");
  g_autoptr (SwageSafetensors) st = swage_safetensors_open (path, &error);

  g_assert_no_error (error);
  *golden = (Golden){ 0 };
  for (int i = 0; i < swage_safetensors_get_n_tensors (st); i++)
    {
      const SwageTensorInfo *info = swage_safetensors_get_tensor (st, i);
      g_autoptr (GBytes) bytes = swage_safetensors_get_data (st, i);
      void *copy = g_memdup2 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
      if (strcmp (info->name, "tokens") == 0)
        {
          golden->n_seq = (int)info->shape[0];
          golden->n_tok = (int)info->shape[1];
          golden->tokens = copy;
        }
      else
        {
          golden->n_vocab = (int)info->shape[2];
          golden->logits = copy;
        }
    }
  g_assert_nonnull (golden->tokens);
  g_assert_nonnull (golden->logits);
}

/* A path below the shared files, or NULL (and the test is marked as skipped) when it is not there. */
static inline char *
shared_path (const char *relative)
{
  const char *root = g_getenv ("SWAGE_SHARED");
  g_autofree char *fallback = g_build_filename (g_getenv ("SWAGE_SOURCE_ROOT"), "..", "shared", NULL);
  g_autofree char *path = g_build_filename (root != NULL ? root : fallback, relative, NULL);

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_autofree char *reason = g_strdup_printf ("%s is not here (SWAGE_SHARED names the folder)", relative);
  g_test_skip (reason);
  return NULL;
}
