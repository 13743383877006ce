#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pages of the inspector in a real window: trade-off, heat map, spectrum, text; live preview; plots saved as files.

    views.py SWAGE         prints TAP; skips, with the reason, where window.py does
"""
import os
import re
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from window import Window, start_inside  # noqa: E402


def make_sample(home):
    """The sample with a short text to measure on: previews take a tenth of the time."""
    data = os.environ.get("SWAGE_DATA_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data"))
    short = os.path.join(home, "short")
    os.makedirs(os.path.join(short, "sample"))
    for name in os.listdir(os.path.join(data, "sample")):
        os.symlink(os.path.join(data, "sample", name), os.path.join(short, "sample", name))
    text = os.path.join(short, "sample", "kjv.eval.txt")
    with open(text, encoding="utf-8") as file:
        beginning = file.read(6000)
    os.remove(text)
    with open(text, "w", encoding="utf-8") as file:
        file.write(beginning)
    os.environ["SWAGE_DATA_DIR"] = short
    return os.path.join(short, "sample")


def rest(window):
    window.wait("rest", lambda: window.describe("preview")[0] and not window.describe("cancel")[0])


def test_tradeoff(window, home):
    """every plan that was measured is a point and a row; a row's plan comes back and can be undone"""
    window.see(r"1 of 57 layers selected")
    window.act("page", "s", "tradeoff")
    window.see(r"Every plan that a preview measures is kept here\..*")
    window.act("preset", "s", "q8_0")
    window.see(r"7\.\d MiB \(−\d+ %\)")
    window.act("preview")
    window.wait("the trial", lambda: window.find(r"Size against KLD of 1 trials, 1 on the front\..*"))
    rest(window)
    window.click("Set A")
    window.see(r"A: 7\.\d MiB, KLD .* · B: none")
    window.act("preset", "s", "q4_k_m")
    size = window.see(r"4\.\d MiB \(−\d+ %\)")
    window.click("Set B")
    window.see(r"A: 7\.\d MiB, KLD .* · B: 4\.\d MiB, not measured")
    window.click("Compare")
    window.see(r"\d+ layers differ")
    window.click("Restore A", within=r"\d+ layers differ")
    window.see(r"7\.\d MiB \(−\d+ %\)")
    window.act("undo")
    assert window.see(r"4\.\d MiB \(−\d+ %\)") == size


def test_live(window, home):
    """a live preview begins by itself and adds its trial"""
    window.click("Live preview")
    window.wait("the second trial", lambda: window.find(r"Size against KLD of 2 trials, 2 on the front\..*"))
    rest(window)
    window.click("Live preview")


def test_heat_map(window, home):
    """the heat map comes, and says what it shows"""
    window.act("select", "s", "blk.3.ffn_down")
    window.act("page", "s", "heatmap")
    shown = r"Heat map of 256 rows and 768 columns, {}; largest magnitude (0\.\d+)\. .*"
    window.wait("the original", lambda: window.find(shown.format("Original")))
    window.click("Error")
    node = window.wait("the error", lambda: window.find(shown.format("Error")))
    assert float(re.fullmatch(shown.format("Error"), node.name).group(1)) < 0.05, node.name
    window.click("Zeros")
    window.wait("the zeros", lambda: window.find(r"Heat map of 256 rows and 768 columns, Zeros; .*"))


def test_spectrum(window, home):
    """singular values with the break-even rank, saved as SVG and PNG"""
    window.act("page", "s", "spectrum")
    window.wait("the spectrum", lambda: window.find(r"Spectrum of 256 singular values from .* Break-even is at rank 191, .*"))
    window.see(r"Energy 90 %: rank \d+ · 95 %: \d+ · 99 %: \d+[\s\S]*")
    for name, magic in (("a.svg", b"<?xml"), ("a.png", b"\x89PNG")):
        path = os.path.join(home, name)
        window.act("save-plot", "s", path)
        window.wait(name, lambda: os.path.exists(path))
        with open(path, "rb") as file:
            assert file.read(5).startswith(magic), name
        assert os.path.getsize(path) > 2000, name


def test_text(window, home):
    """both models continue a prompt, and the sentence below says where they part"""
    window.act("page", "s", "text")
    window.see(r"Write a beginning: .*")
    window.click("Write")
    window.see(r"(The first \d+ tokens are the same; then .*|All 48 tokens are the same\..*)")
    rest(window)


TESTS = [test_tradeoff, test_live, test_heat_map, test_spectrum, test_text]


def main():
    executable = sys.argv[1]
    home = os.environ.get("SWAGE_WINDOW_INSIDE")
    if home is None:
        sys.exit(start_inside(executable, __file__))
    warnings.simplefilter("ignore", DeprecationWarning)
    sample = make_sample(home)
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    window = Window(executable, sample)
    for i, test in enumerate(TESTS):
        try:
            test(window, home)
            print(f"ok {i + 1} {test.__doc__}", flush=True)
        except Exception as error:
            failed += 1
            print(f"# {type(error).__name__}: {error}".replace("\n", " "))
            print(f"not ok {i + 1} {test.__doc__}", flush=True)
    if window.process.poll() is None:
        window.process.kill()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
