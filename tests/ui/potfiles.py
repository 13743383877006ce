#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every file with strings for people stands in po/POTFILES, and every file there exists. `potfiles.py ROOT [--write]`"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
listed = [line for line in (root / "po" / "POTFILES").read_text().splitlines() if line and not line.startswith("#")]
wanted = ["data/io.github.swage.Swage.desktop.in", "data/io.github.swage.Swage.metainfo.xml.in"]
for folder in ("app", "core", "ui"):
    for path in sorted((root / folder).rglob("*")):
        if path.suffix in (".c", ".h") and re.search(r"\b(N?_|g_dngettext) ?\(", path.read_text(errors="replace")) \
                or path.suffix == ".ui" and "translatable" in path.read_text():
            wanted.append(str(path.relative_to(root)))
wanted.sort()
if "--write" in sys.argv:
    (root / "po" / "POTFILES").write_text("# Files with strings for people, in alphabetical order.\n" + "\n".join(wanted) + "\n")
    sys.exit(0)
missing, gone = sorted(set(wanted) - set(listed)), sorted(set(listed) - set(wanted))
for name in missing:
    print(f"po/POTFILES lacks {name}")
for name in gone:
    print(f"po/POTFILES lists {name}, which has no strings or is not there")
if missing or gone:
    print("Mend it with: tests/ui/potfiles.py . --write")
sys.exit(1 if missing or gone else 0)
