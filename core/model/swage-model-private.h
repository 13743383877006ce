/* SPDX-License-Identifier: MIT
 *
 * Inside core/model alone: what an open model is.
 */
#pragma once

#include "core/model/swage-arch.h"

/* A listed tensor and where its bytes are. */
typedef struct
{
  SwageTensor pub; /* first: a SwageTensor pointer is one to this */
  int index;       /* of its file's tensors; for GGUF of all parts' together */
  bool transposed; /* stored [n_in, n_out] */
  int permuted;    /* heads whose rows are interleaved; 0: none */
} SwageModelTensor;

struct _SwageModel
{
  gatomicrefcount refs;
  char *path, *shown /* path for messages */, *name, *folder, *config_path;
  GPtrArray *shards; /* SwageSafetensors; empty for GGUF */
  SwageGguf *gguf;
  const SwageArch *arch;
  SwageConfig config;
  GPtrArray *tensors;  /* SwageModelTensor, canonical order */
  GHashTable *by_name; /* name → SwageModelTensor */
  GPtrArray *layers;   /* borrowed from tensors */
  int64_t parameters;
  uint64_t bytes;
  int n_ignored;
  float *rope_factors;
  int n_rope_factors;

  GMutex lock; /* what is made on first use */
  SwageTokenizer *tokenizer;
  GError *tokenizer_error;
  char *fingerprint;
};

/* The bytes of a tensor as the file has them; a reference that keeps the mapping. */
GBytes *swage_model_get_data (SwageModel *model, const SwageModelTensor *tensor);
