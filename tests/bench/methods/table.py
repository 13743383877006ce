#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every method at the usual sizes on one model: bits per weight, perplexity, KL divergence.

  tests/bench/methods/table.py MODEL --text FILE [--calibration FILE] [--cli PROGRAM] [--bytes N] [--json FILE]
                               [METHOD…]

The rows come from the catalogue (`swage-cli methods --json`): which settings a method gets follows from its
family and from the names of its parameters, so a new method appears by itself. Afterwards the orders that the
papers report (orders.tsv beside this file) are held against the figures. A measurement, not a test: the exit
status tells only whether everything ran.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

BITS = (2, 3, 4, 8)
HERE = os.path.dirname(os.path.abspath(__file__))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model")
    parser.add_argument("methods", nargs="*", help="only these (default: all)")
    parser.add_argument("--text", required=True, help="the text to measure on")
    parser.add_argument("--calibration", help="the text that methods look at")
    parser.add_argument("--cli", default="build/app/swage-cli")
    parser.add_argument("--layers", default="blk.*", help="which layers (default: %(default)s)")
    parser.add_argument("--bytes", type=int, default=0, help="measure on the beginning of the text alone")
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("--settings", help="only these, separated by commas (w4, w4a8, 50%%, 2:4 …)")
    parser.add_argument("--json", help="write the figures to this file too")
    return parser.parse_intermixed_args()


class Method:
    """A catalogue entry."""

    def __init__(self, entry):
        self.id = entry["id"]
        self.family = entry["family"]
        self.needs = entry["needs"]
        self.params = {param["id"]: param for param in entry["params"]}

    def has(self, name, value=None):
        """Whether there is such a parameter, and it may have this value."""
        param = self.params.get(name)
        if param is None:
            return False
        if value is None:
            return True
        if param.get("choices"):
            return value in param["choices"]
        return param.get("min", value) <= value <= param.get("max", value)

    def step(self, **values):
        """The step with these values, those left out that the method does not have."""
        given = [f"{key}={value}" for key, value in values.items() if self.has(key)]
        return self.id + (":" + ",".join(given) if given else "")


def weight_settings(method, bits):
    """Values that make a method store its weights in plain groups of so many bits."""
    values = {"bits": bits}
    if method.has("type", "int"):
        values["type"] = "int"
    return values


def rows_of(method, base):
    """(setting, variant, recipe) for each row of a method; base: the plain quantizer."""
    if method.family == "quantization":
        for bits in BITS:
            if method.has("bits", bits):
                yield f"w{bits}", "", method.step(**weight_settings(method, bits))
        for bits, name in ((2, "q2_k"), (3, "q3_k"), (4, "q4_k"), (8, "q8_0")):
            if method.has("type", name):
                yield f"k{bits}", "", method.step(type=name)
    elif method.family == "activation":
        if method.has("act_bits") or method.has("bits"):
            for weights in (8, 4):
                if not method.has("bits") or method.has("bits", weights):
                    yield f"w{weights}a8", "", method.step(act_bits=8, **weight_settings(method, weights))
        else:
            yield "default", "", method.step()
    elif method.family == "pruning":
        yield "50%", "", method.step(pattern="unstructured", sparsity=0.5)
        if method.has("pattern", "2:4"):
            yield "2:4", "", method.step(pattern="2:4")
    elif method.family == "factorization":
        for ratio in (0.5, 0.25):
            yield f"size {ratio}", "", method.step(by="size_ratio", size_ratio=ratio)
            if method.has("whiten"):
                yield f"size {ratio}", "whiten", method.step(by="size_ratio", size_ratio=ratio, whiten="true")
    elif method.family == "compensation" and base is not None:
        for bits in BITS[:3]:
            yield f"w{bits}", f"after {base.id}", base.step(**weight_settings(base, bits)) + "+" + method.step()


class Runner:
    """Previews of one model on one text."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.text = options.text
        if options.bytes > 0:
            self.text = os.path.join(folder, "text.txt")
            with open(options.text, "rb") as source, open(self.text, "wb") as out:
                out.write(source.read(options.bytes).decode("utf-8", "ignore").encode())

    def preview(self, recipe):
        """The figures as a dictionary, or the reason why there are none."""
        command = [self.options.cli, "preview", self.options.model, "--quiet", "--json", "--text", self.text]
        command += ["--cache", os.path.join(self.folder, "cache")]
        if self.options.calibration:
            command += ["--calibration", self.options.calibration]
        if self.options.context:
            command += ["--context", str(self.options.context)]
        if recipe:
            command += ["--rule", f"{self.options.layers}={recipe}"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines()
            return {"failed": lines[-1] if lines else f"status {run.returncode}"}
        return json.loads(run.stdout)


def read_orders():
    """(better, worse, settings) of each line."""
    with open(os.path.join(HERE, "orders.tsv"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                better, worse, settings, source = line.rstrip("\n").split("\t")
                yield better, worse, settings.split(","), source


def check_orders(figures):
    """Print whether the expected orders hold."""
    by_name = {}
    for row in figures:
        if "kld_mean" in row:
            name = row["method"] + (f" ({row['variant']})" if row["variant"] else "")
            by_name[name, row["setting"]] = row
    print("\n| expected (KLD) | setting | figures | |\n|---|---|---|---|")
    for better, worse, settings, source in read_orders():
        for setting in settings:
            first, second = by_name.get((better, setting)), by_name.get((worse, setting))
            if first is None or second is None:
                continue
            holds = first["kld_mean"] <= second["kld_mean"]
            print(f"| {better} ≤ {worse} [{source}] | {setting} | {first['kld_mean']:.5f}, "
                  f"{second['kld_mean']:.5f} | {'holds' if holds else '**does not hold**'} |")


def main():
    """Measure and print."""
    options = parse_arguments()
    catalogue = json.loads(subprocess.run([options.cli, "methods", "--json"], capture_output=True, check=True).stdout)
    methods = [Method(entry) for entry in catalogue["methods"]]
    base = next((m for m in methods if m.family == "quantization" and not m.needs and m.has("type", "int")), None)
    wanted = set(options.settings.split(",")) if options.settings else None
    figures, failures = [], 0
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(options, folder)
        original = runner.preview("")
        if "failed" in original:
            sys.exit(original["failed"])
        print(f"Original: {original['bits_per_weight']:.2f} bits per weight, perplexity "
              f"{original['perplexity']:.3f} ± {original['perplexity_stderr']:.3f}, {original['tokens']} tokens\n")
        print("| method | setting | bits per weight | perplexity | KLD | ± | same top | s |\n|---|---|---|---|---|---|---|---|")
        for method in methods:
            if options.methods and method.id not in options.methods:
                continue
            for setting, variant, recipe in rows_of(method, base):
                if wanted is not None and setting not in wanted:
                    continue
                name = method.id + (f" ({variant})" if variant else "")
                begun = time.monotonic()
                result = runner.preview(recipe)
                row = {"method": method.id, "variant": variant, "setting": setting, "recipe": recipe, **result}
                figures.append(row)
                if "failed" in result:
                    failures += 1
                    print(f"| {name} | {setting} | {result['failed']} | | | | | |", flush=True)
                    continue
                print(f"| {name} | {setting} | {result['bits_per_weight']:.3f} | {result['perplexity']:.3f} | "
                      f"{result['kld_mean']:.5f} | {result.get('kld_stderr', 0):.5f} | "
                      f"{100 * result['top1_agreement']:.1f} % | {time.monotonic() - begun:.1f} |", flush=True)
    check_orders(figures)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"original": original, "rows": figures}, file, indent=1)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
