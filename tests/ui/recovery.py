#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Swage is killed (SIGKILL) in the middle of editing and of exporting; the next start offers everything back.

    recovery.py SWAGE      prints TAP; skips, with the reason, where window.py does
"""
import os
import signal
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from window import Window, start_inside  # noqa: E402

ASKED = r"Bring back the lost session\?"


def kill(window):
    window.process.send_signal(signal.SIGKILL)
    window.process.wait()


def records(home):
    folder = os.path.join(home, "data", "swage", "sessions")
    return [name for name in os.listdir(folder) if name.endswith(".json")] if os.path.isdir(folder) else []


def read_records(home):
    folder = os.path.join(home, "data", "swage", "sessions")
    return "".join(open(os.path.join(folder, name)).read() for name in records(home))


def test_editing(executable, sample, home):
    """kill -9 while editing: the next start brings the plan back"""
    window = Window(executable, sample)
    window.see(r"1 of 57 layers selected")
    window.act("preset", "s", "q4_k_m")
    size = window.see(r"[34]\.\d MiB \(−\d+ %\)")
    window.wait("the record", lambda: "q4_k" in read_records(home))
    kill(window)
    assert len(records(home)) == 1, records(home)

    window = Window(executable)
    window.see(ASKED)
    window.click("Bring Back", within=ASKED)
    window.hear(r"The session is back")
    assert window.see(r"[34]\.\d MiB \(−\d+ %\)") == size
    window.see(r"• sample|sample")
    # the record of this window has taken the place of the lost one
    assert len(records(home)) == 1, records(home)
    assert "q4_k" in read_records(home)
    return window


def test_exporting(executable, sample, home, window):
    """kill -9 while exporting: no half-written file, and the session is back again"""
    folder = os.path.join(home, "out")
    os.mkdir(folder)
    path = os.path.join(folder, "sample.gguf")
    window.act("export-to", "(ss)", ("gguf", path))
    window.wait("the export to begin", lambda: window.describe("cancel")[0] or os.path.exists(path), pause=0.002)
    kill(window)
    left = os.listdir(folder)
    print(f"# left behind: {left}")
    if left:  # it was quicker than the signal: then the file is whole
        assert left == ["sample.gguf"], left
        with open(path, "rb") as file:
            assert file.read(4) == b"GGUF"
        assert os.path.getsize(path) > 3e6

    window = Window(executable)
    window.see(ASKED)
    window.click("Bring Back", within=ASKED)
    window.hear(r"The session is back")
    window.see(r"[34]\.\d MiB \(−\d+ %\)")
    return window


def test_twice(executable, sample, home, window):
    """what is not brought back now is offered again; what is discarded is not"""
    kill(window)
    window = Window(executable)
    window.see(ASKED)
    window.click("Not Now", within=ASKED)
    window.see(r"Open a Model")
    kill(window)
    window = Window(executable)
    window.see(ASKED)
    window.click("Discard", within=ASKED)
    window.wait("no record", lambda: not records(home))
    return window


def test_order(executable, sample, home, window):
    """a session that ends in order leaves nothing to bring back"""
    window.act("open-path", "s", sample)
    window.see(r"1 of 57 layers selected")
    window.wait("the record", lambda: len(records(home)) == 1)
    window.act("quit", path="/io/github/swage/Swage")
    window.wait("the end", lambda: window.process.poll() is not None)
    assert not records(home), records(home)


def main():
    executable = sys.argv[1]
    home = os.environ.get("SWAGE_WINDOW_INSIDE")
    if home is None:
        sys.exit(start_inside(executable, __file__))
    warnings.simplefilter("ignore", DeprecationWarning)
    sample = os.path.join(os.environ.get("SWAGE_DATA_DIR", os.path.join(os.path.dirname(__file__), "..", "..", "data")), "sample")
    tests = [test_editing, test_exporting, test_twice, test_order]
    print(f"1..{len(tests)}", flush=True)
    window = None
    for i, test in enumerate(tests):  # each goes on where the one before has ended
        try:
            window = test(executable, sample, home, *([window] if i > 0 else []))
            print(f"ok {i + 1} {test.__doc__}", flush=True)
        except Exception as error:
            print(f"# {type(error).__name__}: {error}".replace("\n", " "))
            print(f"not ok {i + 1} {test.__doc__}", flush=True)
            sys.exit(1)


if __name__ == "__main__":
    main()
