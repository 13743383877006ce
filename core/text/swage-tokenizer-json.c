/* SPDX-License-Identifier: MIT
 *
 * A tokenizer from HF's tokenizer.json, with the special tokens that tokenizer_config.json names. The file
 * describes a pipeline; every part of it is either carried out exactly or refused by name.
 *
 * Ids are taken as the file states them. Ids that nothing claims become unused pieces "[PADn]", as converters
 * to GGUF do.
 */
#include "core/text/swage-tokenizer-private.h"
#include "core/base/swage-error.h"
#include "core/base/swage-json.h"

#include <inttypes.h>
#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_JSON_BYTES ((size_t)256 << 20)
#define MAX_CONFIG_BYTES ((size_t)32 << 20)
/* Ids may leave holes, but not be mostly holes. */
#define MAX_HOLES(n) ((n) + 65536)

/* One piece while it is collected; text borrows from the JSON. */
typedef struct
{
  const char *text; /* NULL: nobody claims the id */
  SwageTokenKind kind;
} Piece;

typedef struct
{
  SwageTokenizer *tok;
  const char *origin;
  json_t *root, *model;
  GArray *pieces; /* of Piece */
  int64_t n_claimed;
  GHashTable *ids;   /* text → id of added tokens that are no pieces of the model */
  bool has_template; /* the post-processor says what goes around a text */
} Loader;

G_GNUC_PRINTF (3, 4)
static bool
corrupt (const Loader *loader, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_CORRUPT, "%s: %s", loader->origin, what);
  return false;
}

static bool
unsupported (const Loader *loader, GError **error, const char *what)
{
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED, _ ("%s: %s is not supported."), loader->origin,
               what);
  return false;
}

/* ---- vocabulary ---- */

static bool
claim (Loader *loader, int64_t id, const char *text, SwageTokenKind kind, GError **error)
{
  if (id < 0 || id >= SWAGE_VOCAB_MAX_TOKENS)
    return corrupt (loader, error, _ ("the token “%s” has the id %" PRId64 "; ids go from 0 to %d."),
                    text, id, SWAGE_VOCAB_MAX_TOKENS - 1);
  if ((guint)id >= loader->pieces->len)
    g_array_set_size (loader->pieces, (guint)id + 1);
  Piece *piece = &g_array_index (loader->pieces, Piece, id);
  if (piece->text != NULL && !g_str_equal (piece->text, text))
    return corrupt (loader, error, _ ("the id %" PRId64 " is given to both “%s” and “%s”."), id,
                    piece->text, text);
  loader->n_claimed += piece->text == NULL;
  piece->text = text;
  piece->kind = kind;
  return true;
}

static bool
read_vocab (Loader *loader, GError **error)
{
  json_t *vocab = json_object_get (loader->model, "vocab"), *value;
  if (!json_is_object (vocab) || json_object_size (vocab) == 0)
    return corrupt (loader, error, _ ("“model.vocab” must be an object with at least one piece."));
  const char *text;
  json_object_foreach (vocab, text, value)
  {
    if (!json_is_integer (value))
      return corrupt (loader, error, _ ("the id of “%s” is not a whole number."), text);
    if (!claim (loader, json_integer_value (value), text, SWAGE_TOKEN_NORMAL, error))
      return false;
  }
  return true;
}

static int64_t
find_token (const Loader *loader, const char *text)
{
  json_t *id = json_object_get (json_object_get (loader->model, "vocab"), text);
  gpointer added;
  if (json_is_integer (id))
    return json_integer_value (id);
  return g_hash_table_lookup_extended (loader->ids, text, NULL, &added) ? (int64_t)GPOINTER_TO_SIZE (added)
                                                                        : -1;
}

/* The added tokens' claims on ids; their search sets are filled when the normalizer is known. */
static bool
read_added (Loader *loader, GError **error)
{
  json_t *list = json_object_get (loader->root, "added_tokens"), *item;
  if (list != NULL && !json_is_null (list) && !json_is_array (list))
    return corrupt (loader, error, _ ("“added_tokens” must be a list."));
  size_t i;
  json_array_foreach (list, i, item)
  {
    const char *text = NULL;
    int64_t id = -1;
    bool special = false;
    if (!json_is_object (item))
      return corrupt (loader, error, _ ("an added token is not an object."));
    if (!swage_json_get_string (item, "content", &text, loader->origin, error)
        || !swage_json_get_int (item, "id", 0, SWAGE_VOCAB_MAX_TOKENS - 1, &id, loader->origin, error)
        || !swage_json_get_bool (item, "special", &special, loader->origin, error))
      return false;
    if (text == NULL)
      return corrupt (loader, error, _ ("an added token has no “content”."));
    int64_t known = find_token (loader, text);
    if (known >= 0) /* the model's own id counts */
      id = known;
    if (id < 0)
      return corrupt (loader, error, _ ("the added token “%s” has no “id”."), text);
    if (!claim (loader, id, text, special ? SWAGE_TOKEN_CONTROL : SWAGE_TOKEN_USER_DEFINED, error))
      return false;
    g_hash_table_insert (loader->ids, (gpointer)text, GSIZE_TO_POINTER ((gsize)id));
  }
  return true;
}

static bool
is_byte_piece (const char *text)
{
  return strlen (text) == 6 && g_str_has_prefix (text, "<0x") && text[5] == '>' && g_ascii_isxdigit (text[3])
         && g_ascii_isxdigit (text[4]);
}

static bool
fill_vocab (Loader *loader, GError **error)
{
  SwageTokenizer *tok = loader->tok;
  guint n = loader->pieces->len;
  if ((int64_t)n - loader->n_claimed > MAX_HOLES (loader->n_claimed))
    return corrupt (loader, error, _ ("ids go up to %u, but only %" PRId64 " tokens are there."),
                    n - 1, loader->n_claimed);
  for (guint id = 0; id < n; id++)
    {
      Piece *piece = &g_array_index (loader->pieces, Piece, id);
      char hole[32];
      const char *text = piece->text;
      if (text == NULL)
        {
          g_snprintf (hole, sizeof hole, "[PAD%u]", id);
          text = hole;
          piece->kind = SWAGE_TOKEN_UNUSED;
        }
      else if (piece->kind == SWAGE_TOKEN_NORMAL && tok->bpe.byte_fallback && is_byte_piece (text))
        piece->kind = SWAGE_TOKEN_BYTE;
      if (!swage_vocab_add (tok->vocab, text, strlen (text), 0, piece->kind))
        return corrupt (loader, error, _ ("the pieces have more than %u bytes together."),
                        SWAGE_VOCAB_MAX_BYTES);
    }
  tok->info.n_tokens = (int)n;
  swage_vocab_index (tok->vocab);
  return true;
}

/* ---- merges ---- */

static bool
read_merge (json_t *item, const char **left, size_t *n_left, const char **right)
{
  const char *text = json_string_value (item);
  if (text != NULL)
    {
      const char *space = text[0] != '\0' ? strchr (text + 1, ' ') : NULL;
      if (space == NULL)
        return false;
      *left = text;
      *n_left = (size_t)(space - text);
      *right = space + 1;
      return true;
    }
  if (json_array_size (item) != 2)
    return false;
  *left = json_string_value (json_array_get (item, 0));
  *right = json_string_value (json_array_get (item, 1));
  if (*left == NULL || *right == NULL)
    return false;
  *n_left = strlen (*left);
  return true;
}

static bool
read_merges (Loader *loader, GError **error)
{
  SwageVocab *vocab = loader->tok->vocab;
  json_t *list = json_object_get (loader->model, "merges"), *item;
  if (!json_is_array (list) || json_array_size (list) > SWAGE_VOCAB_MAX_MERGES)
    return corrupt (loader, error, _ ("“model.merges” must be a list of at most %d merges."),
                    SWAGE_VOCAB_MAX_MERGES);
  swage_vocab_reserve_merges (vocab, (int64_t)json_array_size (list));
  /* Score-driven merging (GGUF "llama") shall take the merges in the order of the ranks: the earlier, the
   * higher. */
  float lowest = -(float)json_array_size (list);
  for (int id = 0; id < vocab->n; id++)
    if (vocab->kinds[id] == SWAGE_TOKEN_NORMAL)
      vocab->scores[id] = lowest;

  size_t i;
  json_array_foreach (list, i, item)
  {
    const char *left, *right;
    size_t n_left;
    int32_t merged;
    if (!read_merge (item, &left, &n_left, &right))
      return corrupt (loader, error, _ ("merge %zu is not a pair of pieces."), i);
    if (!swage_vocab_add_merge (vocab, left, n_left, right, strlen (right), true, &merged))
      return corrupt (loader, error, _ ("merge %zu (“%.*s” and “%s”) joins what is no piece, or into none."),
                      i, (int)MIN (n_left, 100), left, right);
    if (vocab->kinds[merged] == SWAGE_TOKEN_NORMAL && vocab->scores[merged] == lowest)
      vocab->scores[merged] = -(float)i;
  }
  swage_vocab_finish_merges (vocab);
  return true;
}

/* ---- the model ---- */

static bool
check_model (Loader *loader, GError **error)
{
  SwageTokenizer *tok = loader->tok;
  json_t *model = loader->model;
  const char *type = NULL, *affix = NULL;
  double dropout = 0;
  if (!json_is_object (model))
    return corrupt (loader, error, _ ("there is no “model”."));
  if (!swage_json_get_string (model, "type", &type, loader->origin, error)
      || !swage_json_get_double (model, "dropout", 0, 1, &dropout, loader->origin, error)
      || !swage_json_get_bool (model, "byte_fallback", &tok->bpe.byte_fallback, loader->origin, error)
      || !swage_json_get_bool (model, "fuse_unk", &tok->bpe.fuse_unk, loader->origin, error)
      || !swage_json_get_bool (model, "ignore_merges", &tok->bpe.ignore_merges, loader->origin, error))
    return false;
  if (type == NULL ? json_object_get (model, "merges") == NULL : !g_str_equal (type, "BPE"))
    {
      g_autofree char *what = g_strdup_printf (_ ("the tokenizer model “%s”"), type != NULL ? type : "?");
      return unsupported (loader, error, what);
    }
  if (dropout > 0)
    return unsupported (loader, error, _ ("a tokenizer with dropout"));
  static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
  for (guint i = 0; i < G_N_ELEMENTS (affixes); i++)
    {
      affix = NULL;
      if (!swage_json_get_string (model, affixes[i], &affix, loader->origin, error))
        return false;
      if (affix != NULL && affix[0] != '\0')
        return unsupported (loader, error, affixes[i]);
    }
  tok->bpe.kind = SWAGE_BPE_MERGES;
  return true;
}

static bool
read_unk (Loader *loader, GError **error)
{
  const char *text = NULL;
  if (!swage_json_get_string (loader->model, "unk_token", &text, loader->origin, error))
    return false;
  int64_t id = text != NULL ? find_token (loader, text) : -1;
  loader->tok->bpe.unk = loader->tok->info.unk = (int)id;
  return true;
}

/* ---- added tokens, once the normalizer is there ---- */

static bool
fill_added (Loader *loader, GError **error)
{
  SwageTokenizer *tok = loader->tok;
  SwageMatcher matcher;
  swage_matcher_init (&matcher, 1 << 20);
  bool ok = true;
  size_t i;
  json_t *item;
  json_array_foreach (json_object_get (loader->root, "added_tokens"), i, item)
  {
    const char *text = json_string_value (json_object_get (item, "content"));
    SwageAdded added = { .id = (int32_t)find_token (loader, text) };
    bool normalized = false;
    ok = swage_json_get_bool (item, "special", &added.special, loader->origin, error)
         && swage_json_get_bool (item, "single_word", &added.single_word, loader->origin, error)
         && swage_json_get_bool (item, "lstrip", &added.lstrip, loader->origin, error)
         && swage_json_get_bool (item, "rstrip", &added.rstrip, loader->origin, error)
         && swage_json_get_bool (item, "normalized", &normalized, loader->origin, error);
    if (!ok)
      break;
    g_autoptr (GString) spelled = g_string_new (text);
    if (normalized && !(ok = swage_normalizer_run (&tok->normalizer, &matcher, spelled, error)))
      break;
    if (!swage_added_set_add (normalized ? tok->normalized : tok->added, spelled->str, spelled->len, &added))
      {
        ok = corrupt (loader, error,
                      _ ("the added token “%.60s…” has more than %d bytes, or there are too many."), text,
                      SWAGE_ADDED_MAX_LENGTH);
        break;
      }
  }
  swage_matcher_clear (&matcher);
  return ok;
}

/* ---- post-processor ---- */

static bool
append_special (Loader *loader, GArray *ids, int64_t id, GError **error)
{
  if (id < 0 || id >= loader->tok->vocab->n || ids->len >= 64)
    return corrupt (loader, error,
                    _ ("the post-processor uses the id %" PRId64 ", which no token has."), id);
  g_array_append_vals (ids, &(int32_t){ (int32_t)id }, 1);
  return true;
}

static bool
read_template (Loader *loader, json_t *json, GError **error)
{
  json_t *specials = json_object_get (json, "special_tokens"), *item, *value;
  bool before = true;
  size_t i, k;
  json_array_foreach (json_object_get (json, "single"), i, item)
  {
    json_t *special = json_object_get (item, "SpecialToken");
    if (special == NULL)
      {
        before = false;
        continue;
      }
    const char *name = json_string_value (json_object_get (special, "id"));
    json_t *ids = name != NULL ? json_object_get (json_object_get (specials, name), "ids") : NULL;
    if (!json_is_array (ids))
      return corrupt (loader, error, _ ("the post-processor's special token “%s” is not explained."),
                      name != NULL ? name : "?");
    json_array_foreach (
        ids, k, value) if (!append_special (loader, before ? loader->tok->prefix : loader->tok->suffix,
                                            json_is_integer (value) ? json_integer_value (value) : -1,
                                            error)) return false;
  }
  loader->has_template = true;
  return true;
}

/* ["[SEP]", 102] */
static int64_t
named_id (json_t *pair)
{
  json_t *id = json_array_get (pair, 1);
  return json_is_integer (id) ? json_integer_value (id) : -1;
}

static bool
read_post_processor (Loader *loader, json_t *json, GError **error)
{
  if (json == NULL || json_is_null (json))
    return true;
  const char *type = json_string_value (json_object_get (json, "type"));
  if (type == NULL)
    return corrupt (loader, error, _ ("“post_processor” has no “type”."));
  if (g_str_equal (type, "ByteLevel")) /* concerns offsets only */
    return true;
  if (g_str_equal (type, "TemplateProcessing"))
    return read_template (loader, json, error);
  if (g_str_equal (type, "BertProcessing") || g_str_equal (type, "RobertaProcessing"))
    {
      loader->has_template = true;
      return append_special (loader, loader->tok->prefix, named_id (json_object_get (json, "cls")), error)
             && append_special (loader, loader->tok->suffix, named_id (json_object_get (json, "sep")), error);
    }
  if (g_str_equal (type, "Sequence"))
    {
      json_t *item;
      size_t i;
      json_array_foreach (json_object_get (json, "processors"), i,
                          item) if (!read_post_processor (loader, item, error)) return false;
      return true;
    }
  g_autofree char *what = g_strdup_printf (_ ("the post-processor “%s”"), type);
  return unsupported (loader, error, what);
}

/* ---- tokenizer_config.json ---- */

/* "bos_token": "<s>" or {"content": "<s>", …}. */
static int
config_token (const Loader *loader, json_t *config, const char *key)
{
  json_t *value = json_object_get (config, key);
  if (json_is_object (value))
    value = json_object_get (value, "content");
  const char *text = json_string_value (value);
  return text != NULL ? (int)find_token (loader, text) : -1;
}

static bool
read_config (Loader *loader, json_t *config, GError **error)
{
  SwageTokenizer *tok = loader->tok;
  SwageTokenizerInfo *info = &tok->info;
  bool add_bos = false, add_eos = false;
  if (config != NULL)
    {
      if (!json_is_object (config))
        return corrupt (loader, error, _ ("the tokenizer's configuration is not an object."));
      info->bos = config_token (loader, config, "bos_token");
      info->eos = config_token (loader, config, "eos_token");
      info->pad = config_token (loader, config, "pad_token");
      if (info->unk < 0)
        info->unk = config_token (loader, config, "unk_token");
      if (!swage_json_get_bool (config, "add_bos_token", &add_bos, loader->origin, error)
          || !swage_json_get_bool (config, "add_eos_token", &add_eos, loader->origin, error))
        return false;
    }
  /* A template says it all; without one the configuration's two switches do. */
  if (!loader->has_template && add_bos && info->bos >= 0)
    g_array_append_vals (tok->prefix, &(int32_t){ info->bos }, 1);
  if (!loader->has_template && add_eos && info->eos >= 0)
    g_array_append_vals (tok->suffix, &(int32_t){ info->eos }, 1);
  if (tok->prefix->len > 0)
    info->bos = g_array_index (tok->prefix, int32_t, 0);
  if (tok->suffix->len > 0)
    info->eos = g_array_index (tok->suffix, int32_t, tok->suffix->len - 1);
  info->add_bos = tok->prefix->len > 0;
  info->add_eos = tok->suffix->len > 0;
  return true;
}

/* ---- all together ---- */

static bool
puts_space_in_front (const SwageTokenizer *tok)
{
  for (guint i = 0; i < tok->normalizer.steps->len; i++)
    if (((const SwageNormalize *)tok->normalizer.steps->pdata[i])->kind == SWAGE_NORMALIZE_PREPEND)
      return true;
  for (guint i = 0; i < tok->pretokenizer.steps->len; i++)
    {
      const SwageStep *step = tok->pretokenizer.steps->pdata[i];
      if (step->kind == SWAGE_STEP_PREFIX_SPACE
          || (step->kind == SWAGE_STEP_METASPACE && step->prepend != SWAGE_PREPEND_NEVER))
        return true;
    }
  return false;
}

static bool
is_byte_level (const SwageTokenizer *tok)
{
  bool found = swage_pretokenizer_has (&tok->pretokenizer, SWAGE_STEP_BYTES);
  for (guint i = 0; i < tok->normalizer.steps->len && !found; i++)
    found = ((const SwageNormalize *)tok->normalizer.steps->pdata[i])->kind == SWAGE_NORMALIZE_BYTES;
  return found || swage_decoder_has (&tok->decoder, SWAGE_DECODE_BYTES);
}

static void
set_names (SwageTokenizer *tok)
{
  bool bytes = is_byte_level (tok);
  tok->info.model = bytes ? "gpt2" : "llama";
  tok->info.pre
      = bytes ? swage_pretokenizer_recognize (&tok->pretokenizer, tok->bpe.ignore_merges) : "default";
  tok->info.add_space_prefix = puts_space_in_front (tok);
  if (bytes)
    memset (tok->vocab->scores, 0, sizeof (float) * (size_t)tok->vocab->n);
  if (tok->bpe.unk >= 0 && !bytes)
    tok->vocab->kinds[tok->bpe.unk] = SWAGE_TOKEN_UNKNOWN;
  /* a text that is not cut before is one long word: find where it can be */
  if (!bytes && !tok->bpe.ignore_merges)
    swage_bpe_find_cuts (&tok->bpe);
}

/* What the fingerprint covers beside the vocabulary. */
static char *
describe_pipeline (json_t *root)
{
  static const char *const keys[] = { "normalizer", "pre_tokenizer", "added_tokens" };
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      json_t *part = json_object_get (root, keys[i]);
      char *dump = part != NULL ? json_dumps (part, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
      g_string_append_printf (text, "%s=%s\n", keys[i], dump != NULL ? dump : "");
      free (dump);
    }
  return g_string_free (text, FALSE);
}

static bool
build (Loader *loader, json_t *config, GError **error)
{
  SwageTokenizer *tok = loader->tok;
  json_t *root = loader->root;
  if (!json_is_object (root))
    return corrupt (loader, error, _ ("a tokenizer must be a JSON object."));
  loader->model = json_object_get (root, "model");
  if (!check_model (loader, error) || !read_vocab (loader, error) || !read_added (loader, error)
      || !fill_vocab (loader, error) || !read_merges (loader, error) || !read_unk (loader, error)
      || !swage_normalizer_add_json (&tok->normalizer, json_object_get (root, "normalizer"), loader->origin,
                                     error)
      || !swage_pretokenizer_add_json (&tok->pretokenizer, json_object_get (root, "pre_tokenizer"),
                                       loader->origin, error)
      || !swage_decoder_add_json (&tok->decoder, json_object_get (root, "decoder"), loader->origin, error)
      || !fill_added (loader, error)
      || !read_post_processor (loader, json_object_get (root, "post_processor"), error)
      || !read_config (loader, config, error))
    return false;
  set_names (tok);
  g_autofree char *pipeline = describe_pipeline (root);
  swage_tokenizer_finish (tok, pipeline);
  return true;
}

static SwageTokenizer *
load (json_t *root, json_t *config, const char *origin, GError **error)
{
  Loader loader = { .tok = swage_tokenizer_alloc (),
                    .origin = origin,
                    .root = root,
                    .pieces = g_array_new (FALSE, TRUE, sizeof (Piece)),
                    .ids = g_hash_table_new (g_str_hash, g_str_equal) };
  bool ok = build (&loader, config, error);
  g_array_unref (loader.pieces);
  g_hash_table_unref (loader.ids);
  if (ok)
    return loader.tok;
  swage_tokenizer_unref (loader.tok);
  return NULL;
}

SwageTokenizer *
swage_tokenizer_open_json (const char *path, const char *config_path, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  g_autoptr (json_t) root = swage_json_load (path, MAX_JSON_BYTES, error);
  if (root == NULL)
    return NULL;
  g_autoptr (json_t) config = NULL;
  if (config_path != NULL && (config = swage_json_load (config_path, MAX_CONFIG_BYTES, error)) == NULL)
    return NULL;
  return load (root, config, shown, error);
}

SwageTokenizer *
swage_tokenizer_new_json (const char *text, size_t n, const char *config, size_t n_config, const char *origin,
                          GError **error)
{
  g_autoptr (json_t) root = swage_json_parse (text, n, origin, error);
  if (root == NULL)
    return NULL;
  g_autoptr (json_t) parsed = NULL;
  if (config != NULL && (parsed = swage_json_parse (config, n_config, origin, error)) == NULL)
    return NULL;
  return load (root, parsed, origin, error);
}
