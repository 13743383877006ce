#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count the test cases of meson build folders and of the fuzz targets; the last line is "N passed, N failed, N skipped".

A TAP program counts with each of its cases. A program that fails as a whole (a crash, a leak found at exit, a time limit)
while all the cases it reported passed counts as one failure more.
"""
import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as xml


def program_of(name):
    """The bare name of a test; versions of meson spell it "swage:base / job", "base - swage:job" or "job"."""
    return name.split(" - ")[-1].split(" / ")[-1].split(":")[-1]


def count_build(folder):
    """(passed, failed, skipped, names of what failed, programs, seconds) of one build folder."""
    logs = pathlib.Path(folder) / "meson-logs"
    cases = {}  # program -> [passed, failed, skipped]
    failures, seconds = [], 0.0
    for suite in xml.parse(logs / "testlog.junit.xml").getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            # A program with cases has a suite of its own, "project.program"; others are cases of the suite "project".
            program = program_of(suite.get("name").partition(".")[2] or case.get("name"))
            row = cases.setdefault(program, [0, 0, 0])
            if case.find("failure") is not None or case.find("error") is not None:
                row[1] += 1
                failures.append(f"{program}: {case.get('name')}")
            elif case.find("skipped") is not None:
                row[2] += 1
            else:
                row[0] += 1
    programs = 0
    for line in (logs / "testlog.json").read_text().splitlines():
        test = json.loads(line)
        programs += 1
        seconds += test.get("duration") or 0
        name = program_of(test["name"])
        row = cases.setdefault(name, [0, 0, 0])
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and row[1] == 0:
            row[1] += 1
            failures.append(f"{name}: {test['result']}, exit status {test.get('returncode')}")
    passed, failed, skipped = (sum(row[i] for row in cases.values()) for i in range(3))
    return passed, failed, skipped, failures, programs, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+")
    parser.add_argument("--fuzz", help="lines of: target, executions, exit status")
    options = parser.parse_args()

    total = [0, 0, 0]
    for folder in options.folder:
        try:
            passed, failed, skipped, failures, programs, seconds = count_build(folder)
        except (OSError, xml.ParseError, ValueError, KeyError) as error:
            passed, failed, skipped, failures, programs, seconds = 0, 1, 0, [f"no test results: {error}"], 0, 0
        print(f"{folder}: {passed + failed + skipped} test cases in {programs} programs, {seconds / 60:.1f} min "
              f"of program time: {passed} passed, {failed} failed, {skipped} skipped")
        for failure in failures:
            print(f"  FAILED {failure}")
        total = [total[0] + passed, total[1] + failed, total[2] + skipped]

    if options.fuzz:
        try:
            rows = [line.split() for line in pathlib.Path(options.fuzz).read_text().splitlines()]
        except OSError as error:
            print(f"fuzz: no results: {error}")
            rows = []
            total[1] += 1
        for name, runs, status in rows:
            bad = status != "0" or runs == "0"
            print(f"fuzz {name}: {runs} executions" + (f", FAILED with status {status}" if bad else ""))
            total[bad] += 1

    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
