/* SPDX-License-Identifier: MIT
 *
 * The pre-tokenizers that GGUF files name in tokenizer.ggml.pre (names: llama.cpp, src/llama-vocab.cpp;
 * expressions: the tokenizer.json files of the models they come from). Several names share a row of
 * expressions. Each expression isolates its matches within what the one before it left; then the bytes are
 * spelled in GPT-2's alphabet.
 */
#include "core/text/swage-pretokenizer.h"
#include "core/base/swage-error.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OTHERS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
#define OTHERS_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define ASCII_PUNCTUATION "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define CJK "[一-龥぀-ゟ゠-ヿ]+"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1,3}|" OTHERS SPACES
#define QWEN2 CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}|" OTHERS SPACES
#define DEEPSEEK3                                                                                            \
  ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "                                \
                    "?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define GPT4O                                                                                                \
  LEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" LEAD UPPER "+" LOWER "*" CONTRACTIONS                           \
             "?|\\p{N}{1,3}|" OTHERS_SLASH SPACES

/* Letters with case in scripts that have it: the class deepseek-llm spells out. */
/* clang-format off: it counts bytes, not characters */
#define DEEPSEEK_LETTERS \
  "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-" \
  "ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼ" \
  "ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-" \
  "𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
/* clang-format on */

#define MAX_EXPRESSIONS 7

typedef struct
{
  const char *names[14]; /* GGUF names, the first is written for a tokenizer.json with this cutting;
                            NULL-terminated */
  const char *expressions[MAX_EXPRESSIONS];
  bool ignore_merges, add_bos;
  bool read_only; /* tokenizer.json spells it in another way: never written */
} Row;

static const Row rows[] = {
  { { "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
      "modern-bert", "exaone4", "jina-v1-en", "jina-v2-code" },
    { GPT2 } },
  { { "mpt", "olmo", "jais", "trillion", "granite-docling", "roberta-bpe" }, { GPT2 } },
  { { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano" },
    { LLAMA3 },
    .ignore_merges = true,
    .add_bos = true },
  { { "glm4", "glm5" }, { LLAMA3 }, .ignore_merges = true },
  { { "dbrx", "smaug-bpe", "chatglm-bpe" }, { LLAMA3 } },
  { { "qwen2", "stablelm2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "hunyuan", "grok-2",
      "solar-open" },
    { QWEN2 } },
  { { "qwen35" },
    { CONTRACTIONS "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES } },
  { { "laguna" }, { "[^\\n]+|[\\n]+", QWEN2 } },
  { { "ufakzeka" }, { LEAD "\\p{L}+|\\p{N}|" OTHERS SPACES } },
  { { "minicpm5" },
    { "\\p{N}{1,3}", CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}+|" OTHERS SPACES },
    .ignore_merges = true },
  { { "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2" },
    { "\\p{N}", GPT2 } },
  { { "deepseek-llm" },
    { "[\r\n]", "\\s?[" DEEPSEEK_LETTERS "]+", "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$",
      "[一-龥ࠀ-一가-퟿]+", "\\p{N}" } },
  { { "deepseek-coder" }, { "[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}" } },
  { { "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4" }, { "\\p{N}{1,3}", CJK, DEEPSEEK3 } },
  { { "spark2_5" },
    { "\\p{N}{1,3}", CJK,
      ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\\r\\n]|"
                        "\\s+(?!\\S)|\\s+",
      "\\p{N}" } },
  { { "afmoe" },
    { "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]"
      "+",
      DEEPSEEK3 } },
  { { "youtu" },
    { "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
      LEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" LEAD UPPER "+" LOWER "*" CONTRACTIONS
                 "?|\\p{N}|" OTHERS_SLASH SPACES },
    .ignore_merges = true },
  { { "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2" }, { GPT4O } },
  { { "granite-embed-multi-97m" }, { GPT4O }, .ignore_merges = true },
  { { "tiny_aya", "cohere2moe" }, { "\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O } },
  { { "tekken" },
    { LEAD UPPER "*" LOWER "+|" LEAD UPPER "+" LOWER "*|\\p{N}|" OTHERS_SLASH SPACES },
    .ignore_merges = true,
    .add_bos = true },
  { { "kimi-k2" },
    { "[\\p{Han}]+|" LEAD "(?:(?!\\p{Han})" UPPER ")*(?:(?!\\p{Han})" LOWER ")+" CONTRACTIONS "?|" LEAD
      "(?:(?!\\p{Han})" UPPER ")+(?:(?!\\p{Han})" LOWER ")*" CONTRACTIONS "?|\\p{N}{1,3}|" OTHERS SPACES } },
  { { "falcon" }, { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]" } },
  { { "poro-chat", "bloom", "gpt3-finnish" }, { " ?[^(\\s|.,!?…。，、।۔،)]+" } },
  { { "viking" }, { " ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}" } },
  { { "jais-2" },
    { CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1,3}|" OTHERS
                   "\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!"
                   "\\S)|\\s{16}(?!\\S)|"
                   "\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}" } },
  { { "chameleon" },
    { "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2 },
    .add_bos = true },
  { { "superbpe" }, { "\\p{N}+", "(?=(\\d{3})+(?!\\d))" } },
  { { "bailingmoe", "bailingmoe2", "llada-moe" },
    { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| "
      "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|"
      "\\s+(?!\\S)|\\s+" } },
  { { "seed-coder" }, { CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES } },
  { { "exaone-moe" },
    { CONTRACTIONS
      "|" LEAD "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|"
      "\\s+(?!\\S)|\\s+" } },
  { { "default" }, { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, .read_only = true },
};

/* The same cutting in the words of a tokenizer.json, where its makers chose others. */
static const struct
{
  const char *name;
  const char *expressions[MAX_EXPRESSIONS];
} aliases[] = {
  { "falcon", { "[\\p{P}!-/:-@\\[-`{-~]", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
  { "deepseek-v3",
    { "\\p{N}{1,3}", CJK,
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
      "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+" } },
  { "seed-coder",
    { "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| "
      "?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|"
      "\\s+(?!\\S)|\\s+" } },
  { "gpt-4o",
    { LEAD UPPER "*" LOWER "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" LEAD UPPER "+" LOWER
                 "*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES } },
};

bool
swage_pretokenizer_add_named (SwagePretokenizer *pre, const char *name, SwagePretokenizerTraits *traits,
                              GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      if (!g_strv_contains (rows[i].names, name))
        continue;
      for (int e = 0; e < MAX_EXPRESSIONS && rows[i].expressions[e] != NULL; e++)
        {
          SwagePattern *pattern = swage_pattern_new_regex (rows[i].expressions[e], error);
          if (pattern == NULL)
            return false;
          SwageStep *step = g_new0 (SwageStep, 1);
          step->kind = SWAGE_STEP_SPLIT;
          step->pattern = pattern;
          step->behavior = SWAGE_SPLIT_ISOLATED;
          g_ptr_array_add (pre->steps, step);
        }
      SwageStep *bytes = g_new0 (SwageStep, 1);
      bytes->kind = SWAGE_STEP_BYTES;
      g_ptr_array_add (pre->steps, bytes);
      if (traits != NULL)
        *traits = (SwagePretokenizerTraits){ rows[i].ignore_merges, rows[i].add_bos };
      return true;
    }
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("the pre-tokenizer “%s” (tokenizer.ggml.pre) is not known"), name);
  return false;
}

/* ---- recognizing ---- */

/* Whether the steps cut by exactly these expressions. A split that removes what does not match (“invert”)
 * counts as one that isolates what does: these expressions leave nothing out. */
static bool
steps_are (const SwagePretokenizer *pre, const char *const *expressions)
{
  int e = 0;
  bool bytes = false;
  for (guint i = 0; i < pre->steps->len; i++)
    {
      const SwageStep *step = pre->steps->pdata[i];
      if (step->kind == SWAGE_STEP_BYTES)
        bytes = true;
      else if (step->kind != SWAGE_STEP_SPLIT)
        return false;
      else
        {
          bool isolates = step->invert ? step->behavior == SWAGE_SPLIT_REMOVED
                                       : step->behavior == SWAGE_SPLIT_ISOLATED
                                             || step->behavior == SWAGE_SPLIT_CONTIGUOUS;
          if (!isolates || e >= MAX_EXPRESSIONS || expressions[e] == NULL
              || !g_str_equal (expressions[e], swage_pattern_get_source (step->pattern)))
            return false;
          e++;
        }
    }
  return bytes && (e == MAX_EXPRESSIONS || expressions[e] == NULL);
}

const char *
swage_pretokenizer_recognize (const SwagePretokenizer *pre, bool ignore_merges)
{
  const char *fallback = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (!rows[i].read_only && steps_are (pre, rows[i].expressions))
      {
        if (rows[i].ignore_merges == ignore_merges)
          return rows[i].names[0];
        if (fallback == NULL)
          fallback = rows[i].names[0];
      }
  for (guint i = 0; i < G_N_ELEMENTS (aliases) && fallback == NULL; i++)
    if (steps_are (pre, aliases[i].expressions))
      fallback = aliases[i].name;
  return fallback != NULL ? fallback : "default";
}

const char *const *
swage_pretokenizer_get_names (void)
{
  static const char *names[G_N_ELEMENTS (rows) * 14 + 1];
  static gsize ready = 0;
  if (g_once_init_enter (&ready))
    {
      int n = 0;
      for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
        for (int k = 0; rows[i].names[k] != NULL; k++)
          names[n++] = rows[i].names[k];
      names[n] = NULL;
      g_once_init_leave (&ready, 1);
    }
  return names;
}
