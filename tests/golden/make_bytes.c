/* SPDX-License-Identifier: MIT
 *
 * Goldens by llama.cpp itself: ids of tokens/bytes.bin (random words, characters of many scripts, special
 * tokens' names and bytes that are no UTF-8) under each vocabulary given, with and without special tokens.
 * Needs a build of llama.cpp; run by hand, the result is committed:
 *
 *   cc make_bytes.c -I LLAMA/include -I LLAMA/ggml/include -L LLAMA/build/bin -lllama -lggml -lggml-base -o
 * make_bytes
 *   ./make_bytes tokens/bytes.bin SHARED/vocab/ggml-vocab-*.gguf > tokens/bytes.tsv
 *
 * A row: vocabulary, 1 for add special + 2 for parse special, number of ids, FNV-1a-64 over the ids as
 * little-endian words.
 */
#include "llama.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
be_quiet (enum ggml_log_level level, const char *text, void *data)
{
  (void)level, (void)text, (void)data;
}

int
main (int argc, char **argv)
{
  static char text[1 << 20];
  static llama_token ids[sizeof text + 16];
  FILE *file = fopen (argv[1], "rb");
  int n = file != NULL ? (int)fread (text, 1, sizeof text, file) : 0;
  llama_log_set (be_quiet, NULL);
  llama_backend_init ();
  for (int i = 2; i < argc; i++)
    {
      struct llama_model_params params = llama_model_default_params ();
      params.vocab_only = true;
      struct llama_model *model = llama_model_load_from_file (argv[i], params);
      if (model == NULL)
        return 1;
      const char *slash = strrchr (argv[i], '/');
      for (int flags = 0; flags < 4; flags += 3)
        {
          int count = llama_tokenize (llama_model_get_vocab (model), text, n, ids, (int)sizeof text + 16,
                                      flags & 1, flags & 2);
          uint64_t h = 0xcbf29ce484222325u;
          for (int k = 0; k < count; k++)
            for (int b = 0; b < 4; b++)
              h = (h ^ ((uint32_t)ids[k] >> (8 * b) & 0xff)) * 0x100000001b3u;
          printf ("%s\t%d\t%d\t%016" PRIx64 "\n", slash != NULL ? slash + 1 : argv[i], flags, count, h);
        }
      llama_model_free (model);
    }
  return 0;
}
