/* SPDX-License-Identifier: MIT */
#include "app/cli/cli.h"

#include <inttypes.h>
#include <stdio.h>

static char *
format_shape (const SwageTensor *tensor)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < tensor->n_dims; i++)
    g_string_append_printf (text, "%s%" PRId64, i > 0 ? " × " : "", tensor->shape[i]);
  return g_string_free (text, FALSE);
}

static json_t *
tensor_to_json (const SwageTensor *tensor)
{
  json_t *shape = json_array ();
  for (int i = 0; i < tensor->n_dims; i++)
    json_array_append_new (shape, json_integer (tensor->shape[i]));
  return json_pack ("{s:s, s:s, s:s, s:o, s:I, s:I}", "name", tensor->name, "source_name",
                    tensor->source_name, "dtype", tensor->dtype, "shape", shape, "bytes",
                    (json_int_t)tensor->bytes, "block", (json_int_t)tensor->block);
}

static json_t *
tokenizer_to_json (SwageTokenizer *tokenizer, const GError *reason)
{
  if (tokenizer == NULL)
    return json_pack ("{s:n, s:s}", "model", "error", reason->message);
  const SwageTokenizerInfo *info = swage_tokenizer_get_info (tokenizer);
  return json_pack ("{s:s, s:s, s:i, s:i, s:i, s:b, s:b}", "model", info->model, "pre", info->pre, "tokens",
                    info->n_tokens, "bos", info->bos, "eos", info->eos, "add_bos", info->add_bos, "add_eos",
                    info->add_eos);
}

static int
run_info (int argc, char **argv)
{
  gboolean as_json = FALSE, all = FALSE;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_ ("Print one JSON object"), NULL },
    { "all", 'a', 0, G_OPTION_ARG_NONE, &all, N_ ("List all tensors, not one block's"), NULL },
    G_OPTION_ENTRY_NULL,
  };
  int status;
  if (!cli_parse (&cli_info, entries, &argc, &argv, 1, 1, &status))
    return status;
  GError *error = NULL;
  g_autoptr (SwageModel) model = swage_model_open (argv[1], &error);
  if (model == NULL)
    return cli_fail (error);
  const SwageConfig *config = swage_model_get_config (model);
  g_autoptr (GError) reason = NULL;
  SwageTokenizer *tokenizer = swage_model_get_tokenizer (model, &reason);
  int n = swage_model_get_n_tensors (model);
  int64_t parameters = swage_model_get_parameters (model);
  uint64_t bytes = swage_model_get_bytes (model);

  if (as_json)
    {
      json_t *tensors = json_array ();
      for (int i = 0; i < n; i++)
        json_array_append_new (tensors, tensor_to_json (swage_model_get_tensor (model, i)));
      return cli_print_json (
          json_pack ("{s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:s, s:o, s:o}",
                     "name", swage_model_get_name (model), "format", swage_model_get_format (model),
                     "architecture", config->architecture, "parameters", (json_int_t)parameters, "bytes",
                     (json_int_t)bytes, "blocks", config->n_blocks, "hidden_size", config->n_embd,
                     "intermediate_size", config->n_ff, "heads", config->n_heads, "kv_heads",
                     config->n_kv_heads, "vocabulary", config->n_vocab, "context", config->max_context,
                     "tied_output", config->tied_output, "fingerprint", swage_model_get_fingerprint (model),
                     "tokenizer", tokenizer_to_json (tokenizer, reason), "tensors", tensors));
    }

  g_autofree char *size = cli_format_bytes (bytes);
  printf (_ ("%s: %s, %s\n"), swage_model_get_name (model), config->architecture,
          swage_model_get_format (model));
  printf (_ ("  parameters   %.1f M in %d tensors, %s, %.2f bits each\n"), (double)parameters / 1e6, n, size,
          parameters > 0 ? 8.0 * (double)bytes / (double)parameters : 0);
  printf (_ ("  blocks       %d, hidden %d, feed-forward %d\n"), config->n_blocks, config->n_embd,
          config->n_ff);
  printf (_ ("  attention    %d heads of %d, %d for keys and values\n"), config->n_heads, config->head_dim,
          config->n_kv_heads);
  printf (_ ("  context      %d tokens, vocabulary %d%s\n"), config->max_context, config->n_vocab,
          config->tied_output ? _ (", output tied to the embedding") : "");
  if (tokenizer != NULL)
    {
      const SwageTokenizerInfo *info = swage_tokenizer_get_info (tokenizer);
      printf (_ ("  tokenizer    %s (%s), %d tokens\n"), info->model, info->pre, info->n_tokens);
    }
  else
    printf (_ ("  tokenizer    none: %s\n"), reason->message);
  putchar ('\n');
  bool cut = false;
  for (int i = 0; i < n; i++)
    {
      const SwageTensor *tensor = swage_model_get_tensor (model, i);
      if (!all && tensor->block > 0)
        {
          cut = true;
          continue;
        }
      g_autofree char *shape = format_shape (tensor), *tensor_size = cli_format_bytes (tensor->bytes);
      printf ("  %-24s %-8s %16s %12s\n", tensor->name, tensor->dtype, shape, tensor_size);
    }
  if (cut)
    printf (_ ("  … and the same for %d more blocks (--all lists them)\n"), config->n_blocks - 1);
  return CLI_DONE;
}

const CliCommand cli_info
    = { "info", N_ ("MODEL"), N_ ("Architecture, parameters, tensors, tokenizer, size"),
        N_ ("MODEL is a Hugging Face folder, a .safetensors file or a GGUF file. No weight is read."),
        run_info };
