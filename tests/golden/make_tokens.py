#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goldens of the tokenizer tests, by Hugging Face's `tokenizers` (0.23.3). Run by hand; the results are committed.

    python tests/golden/make_tokens.py [SHARED]

writes to tests/golden/tokens/
  lines.tsv        10,000 lines of the shared texts, in blocks of ten: file, first line, and for the sample's and for
                   stories260K's tokenizer the number of ids and FNV-1a-64 over the ids of the block (each as four bytes,
                   little-endian, every line closed by -1); at the end a row for each file as a whole (line 0)
  NAME.json        small tokenizers of other kinds, trained on Genesis
  cases.json       texts with their ids and the text they decode to, for every NAME and the two above
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared"
OUT = HERE / "tokens"
FILES = ("kjv.eval.txt", "kjv.calibration.txt", "wikitext-2.test.raw", "c4.calibration.txt", "tinystories.val.txt")
TOTAL = 10000
BLOCK = 10

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")


def fnv(ids, h=0xCBF29CE484222325):
    for i in ids:
        for b in (i & 0xFFFFFFFF).to_bytes(4, "little"):
            h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def read(name):
    return (SHARED / "text" / name).read_bytes().decode("utf-8")


def make_lines(toks):
    rows, left = [], TOTAL
    files = {}
    for name in FILES:
        lines = read(name).split("\n")
        if lines[-1] == "":
            lines.pop()
        files[name] = min(len(lines), left)
        left -= files[name]
        for first in range(0, files[name], BLOCK):
            row = [name, str(first + 1)]
            block = lines[first:min(first + BLOCK, files[name])]
            row.append(str(len(block)))
            for tok in toks:
                ids = []
                for line in block:
                    ids += tok.encode(line, add_special_tokens=False).ids + [-1]
                row += [str(len(ids) - len(block)), f"{fnv(ids):016x}"]
            rows.append("\t".join(row))
    for name in files:
        row = [name, "0", "0"]
        for tok in toks:
            ids = tok.encode(read(name), add_special_tokens=False).ids
            row += [str(len(ids)), f"{fnv(ids + [-1]):016x}"]
        rows.append("\t".join(row))
    assert left == 0, files
    (OUT / "lines.tsv").write_text("\n".join(rows) + "\n")


def train(tok, size, special):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if "byte" in tok.kind else [])
    lines = read("kjv.calibration.txt").split("\n")
    tok.tok.train_from_iterator(lines, trainer)


class Holder:
    def __init__(self, tok, kind):
        self.tok, self.kind = tok, kind


def llama3():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    train(Holder(tok, "byte"), 700, ["<|begin_of_text|>", "<|end_of_text|>"])
    tok.add_special_tokens([AddedToken("<|eot_id|>", special=True)])
    tok.add_tokens([AddedToken("LORD", normalized=False, lstrip=True),
                    AddedToken("Jacob", single_word=True, normalized=False),
                    AddedToken("<tool>", rstrip=True, normalized=False)])
    begin = tok.token_to_id("<|begin_of_text|>")
    tok.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
                                      special_tokens=[("<|begin_of_text|>", begin)])])
    return tok


def qwen2():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    train(Holder(tok, "byte"), 600, ["<|endoftext|>"])
    tok.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tok.add_tokens([AddedToken("caf\u00e9", normalized=True), AddedToken("  ", normalized=True)])
    return tok


def metaspace():
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    train(Holder(tok, "meta"), 700, ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)])
    # as in Llama's files the bytes are plain pieces: drop them from the added tokens
    state = json.loads(tok.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    tok = Tokenizer.from_str(json.dumps(state))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B",
                                                       special_tokens=[("<s>", 1), ("</s>", 2)])
    return tok


def mixed():
    """Every other kind of step, in an order no model uses."""
    tok = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=False))
    tok.normalizer = normalizers.Sequence([
        normalizers.NFKC(), normalizers.Strip(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s{2,}"), " "),
        normalizers.Replace("begat", "be-gat"), normalizers.NFD(), normalizers.StripAccents()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), "merged_with_next", invert=True),
        pre_tokenizers.Split(",", "merged_with_previous"),
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex("[aeiou]{2}"), "merged_with_next"),
        pre_tokenizers.CharDelimiterSplit("x"),
        pre_tokenizers.Split(Regex("(?=th)"), "isolated")])
    tok.decoder = decoders.Fuse()
    train(Holder(tok, "words"), 500, ["[UNK]", "[PAD]"])
    tok.add_tokens([AddedToken("the beginning", normalized=True)])
    return tok


def falcon():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    tok.decoder = decoders.ByteLevel()
    train(Holder(tok, "byte"), 500, ["<|endoftext|>"])
    return tok


def prefixed():
    """ByteLevel with a space in front; words by white space; Metaspace's way of decoding is in `meta-always`."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=True)])
    tok.decoder = decoders.ByteLevel()
    train(Holder(tok, "byte"), 450, ["<s>", "</s>"])
    tok.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return tok


def meta_always():
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("_"), normalizers.Replace("_", "-")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=False)
    tok.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always", split=False)
    train(Holder(tok, "meta"), 300, ["<unk>"])
    return tok


def texts():
    rng = random.Random(1611)
    kjv = read("kjv.eval.txt").split("\n")
    out = ["", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\t \n x", "Hello world", " Hello  World!", "Hello\n\nworld\n",
           "I've told 'em: WE'LL see, you're not HE'D", "3 33 333 3333 33333 333333", "1.5e-10 (x,y)=z; a_b__c", "ab_LORD  LORD LORDS",
           "the LORD spake unto Jacob", "Jacobs Jacob, xJacob Jacob", "<tool>   run<tool>", "caf\u00e9 cafe\u0301 CAF\u00c9",
           "a  b   c    d", "<|begin_of_text|>In the beginning<|eot_id|>", "<s>x</s>", "<unk> [UNK] <0x41>", "\u2581under\u2581 bars \u2581",
           "\u00c5\u212b \ufb01ne \u00bd \u2460 \uff21\uff22", "\u0130stanbul STRASSE \u1e9e \u03a3\u03a3", "\u4e2d\u6587\u5b57\u7b26 \u65e5\u672c\u8a9e\u3067\u3059\u3002 \ud55c\uad6d\uc5b4",
           "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", "\U0001f680\U0001f999 \U0001f636\u200d\U0001f32b\ufe0f \u2705", "nbsp\u00a0here\u2003em\u3000wide\u0085nel",
           "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940 \u05e2\u05d1\u05e8\u05d9\u05ea", "!!!???...''``\"\"", "a" * 80, " " * 60 + "x", "ab" * 40,
           "the beginning The Beginning THE BEGINNING", "begat, begat,, begat", "x\u200by\u00adz", "\u180e mongolian\u180e", "tab\tsep\tvalues\t1\t2", "The Beginning, thethath,xth"]
    alphabet = list("abcdefgh   \n\t'.,;:!?-_()[]{}<>/\\|@#$%^&*+=~`\"0123456789ABCDEFGH") + \
        list("\u00e9\u00df\u00e6\u0301\u0430\u0431\u4e2d\u6587\u3042\u30a2\uac00\u0e01\u0939\u2581\u00a0\u2003\U0001f600\u0130\u01c5\u2160\u00b2\u20ac\u2028\u200d")
    for _ in range(40):
        out.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 40))))
    out += rng.sample([l for l in kjv if l], 10)
    out.append("\n".join(kjv[40:43]))
    return out


def main():
    OUT.mkdir(exist_ok=True)
    sample = Tokenizer.from_file(str(ROOT / "data/sample/tokenizer.json"))
    stories = Tokenizer.from_file(str(SHARED / "models/stories260K-hf/tokenizer.json"))
    make_lines([sample, stories])
    made = {"llama3": llama3(), "qwen2": qwen2(), "metaspace": metaspace(), "mixed": mixed(), "falcon": falcon(),
            "prefixed": prefixed(), "meta-always": meta_always()}
    for name, tok in made.items():
        (OUT / f"{name}.json").write_text(tok.to_str(pretty=False) + "\n")
    made = {n: Tokenizer.from_file(str(OUT / f"{n}.json")) for n in made}
    made.update({"sample": sample, "stories260K-hf": stories})
    cases = []
    for text in texts():
        case = {"text": text}
        for name, tok in made.items():
            tok.encode_special_tokens = False
            ids = tok.encode(text, add_special_tokens=True).ids
            tok.encode_special_tokens = True
            plain = tok.encode(text, add_special_tokens=False).ids
            tok.encode_special_tokens = False
            row = {"ids": ids}
            decoded = tok.decode(ids, skip_special_tokens=True)
            if decoded != text:
                row["decoded"] = decoded
            bare = tok.encode(text, add_special_tokens=False).ids
            if plain != bare:
                row["plain"] = plain
            case[name] = row
        cases.append(case)
    with open(OUT / "cases.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
