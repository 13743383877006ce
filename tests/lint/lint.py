#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that a machine can check; HACKING.md says what they are for. One TAP case a rule."""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
CODE = ("kernels", "core", "ui", "app", "tests")
MAX_LINES = 1000


def find(folders, suffixes):
    """[(path relative to the root, text)] of the files below `folders`, in a stable order."""
    paths = sorted(p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in suffixes and p.is_file())
    return [(p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8", errors="replace")) for p in paths]


SOURCES = find(CODE, {".c", ".h"})


def listed(meson_file, variable):
    """The quoted words of `variable = [ … ]` or `foreach … : [ … ]` in a meson file."""
    path = ROOT / meson_file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(variable + r"\s*[:=]\s*\[(.*?)\]", text, re.S)
    body = re.sub(r"#.*", "", found.group(1)) if found else ""
    return re.findall(r"'([^']+)'", body)


def lex(text):
    """C without its comments: (line, kind, value) for every identifier and string."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|[A-Za-z_]\w*|\n', re.S)
    line = 1
    for match in pattern.finditer(text):
        piece = match.group()
        if piece[0] == '"':
            yield line, "string", piece[1:-1]
        elif piece[0].isalpha() or piece[0] == "_":
            yield line, "name", piece
        line += piece.count("\n")


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1)


GLIB = r"(glib|gio|gmodule|gobject)(/|-|\.h)|glib-object|glib\.h|gio/"
GTK = r"(gtk|gdk|gsk|graphene|pango)(/|\.h)|adwaita\.h"
VULKAN = r"(vulkan|vk_|volk)"
EPOXY = r"epoxy/|GL/"

# (files the rule is for, files it is not for, includes it forbids, why)
INCLUDE_RULES = [
    (r"kernels/", None, GLIB + r"|jansson|" + GTK + r"|cairo|^(core|ui|app)/", "kernels know nothing but C and libm"),
    (r"core/", None, GTK + r"|cairo|" + EPOXY + r"|^(ui|app)/", "core has no GTK, no Cairo, no epoxy"),
    (r"ui/chart/", None, GTK + r"|" + EPOXY, "chart painters take only a cairo_t"),
    (r"ui/", None, r"^app/", "ui does not know app"),
    (r"app/cli/", None, GTK + r"|" + EPOXY + r"|^ui/(?!chart/)", "swage-cli links no GTK"),
    (r"", r"core/engine/backend/vulkan/", r"^" + VULKAN, "Vulkan headers only under core/engine/backend/vulkan"),
    (r"", r"ui/heatmap/", r"^(" + EPOXY + r")", "epoxy only under ui/heatmap"),
]


def check_includes():
    for path, text in SOURCES:
        for number, header in includes(text):
            for where, except_where, forbidden, why in INCLUDE_RULES:
                if re.match(where, path) and not (except_where and re.match(except_where, path)) \
                        and re.search(forbidden, header):
                    yield f"{path}:{number}: {header}: {why}"


def check_core_order():
    """Data moves from left to right: a folder of core knows those before it in core/meson.build, not those after."""
    order = listed("core/meson.build", r"foreach folder ")
    if not order:
        yield "core/meson.build: cannot find the list of folders"
    for path, text in SOURCES:
        own = path.split("/")[1] if path.startswith("core/") else None
        for number, header in includes(text):
            other = header.split("/")[1] if header.startswith("core/") else None
            if own in order and other in order and order.index(other) > order.index(own):
                yield f"{path}:{number}: core/{own} comes before core/{other}"


def check_kernel_calls():
    """Kernels neither allocate nor print nor fail."""
    forbidden = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "alloca", "printf", "fprintf",
                 "abort", "exit", "perror", "puts"}
    for path, text in SOURCES:
        if path.startswith("kernels/"):
            for line, kind, value in lex(text):
                if kind == "name" and value in forbidden:
                    yield f"{path}:{line}: {value}"


def check_method_names():
    """The table is the only way to a method: whoever names one has to be changed for the next."""
    ids = listed("core/method/meson.build", "(?:swage_)?methods?(?:_list|_names)?")
    if not ids:
        yield "core/method/meson.build: cannot find the list of methods"
    for path, text in SOURCES:
        if not re.match(r"app/|ui/|core/plan/", path):
            continue
        for line, kind, value in lex(text):
            for name in ids:
                if kind == "name" and value in (name, "swage_method_" + name) \
                        or kind == "string" and re.search(r"(^|[+=])" + re.escape(name) + r"($|[:+])", value):
                    yield f"{path}:{line}: names the method {name}"


def check_licence():
    for path, text in SOURCES:
        if not re.match(r"(/\*|//) SPDX-License-Identifier: MIT", text):
            yield f"{path}:1: the first line must be the SPDX line"
    for path, text in find(("tests",), {".py", ".sh"}) + [(p, (ROOT / p).read_text()) for p in ("run", ".ci/run")
                                                        if (ROOT / p).exists()]:
        if "SPDX-License-Identifier: MIT" not in "".join(text.splitlines(True)[:2]):
            yield f"{path}: no SPDX line at the top"


def check_length():
    for path, text in SOURCES + find(("tests",), {".py"}):
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines; past {MAX_LINES} it wants splitting"


def check_marks():
    # in pieces, so that this file does not contain them
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|not (yet )?imple" r"mented|place" r"holder(?![-_]text)", re.I)
    texts = SOURCES + find(CODE + ("data", "shaders", ".ci"), {".py", ".sh", ".build", ".ui", ".comp", ".md"})
    for path, text in texts:
        for number, line in enumerate(text.splitlines(), 1):
            match = marks.search(line)
            if match and not (match.group().lower() in ("ha" "ck",) and match.group().islower()):
                yield f"{path}:{number}: {match.group()}"


def check_fuzz():
    targets = [p for p, _ in SOURCES if re.match(r"tests/fuzz/fuzz-[^/]+\.c$", p)]
    if not targets:
        yield "tests/fuzz: no targets"
    for path in targets:
        name = pathlib.Path(path).stem[len("fuzz-"):]
        corpus = ROOT / "tests/fuzz/corpus" / name
        if not corpus.is_dir() or not any(corpus.iterdir()):
            yield f"{path}: tests/fuzz/corpus/{name} has no seeds"


def check_translations():
    """Every file with a translatable string is in po/POTFILES, and every file there exists."""
    potfiles = ROOT / "po/POTFILES"
    if not potfiles.exists():
        yield "po/POTFILES is not there"
        return
    names = {line.strip() for line in potfiles.read_text().splitlines() if line.strip() and not line.startswith("#")}
    for name in sorted(names):
        if not (ROOT / name).exists():
            yield f"{potfiles.name}: {name} does not exist"
    for path, text in SOURCES:
        if re.match(r"(core|ui|app)/", path) and path not in names and re.search(r"\bN?_ ?\(\s*\"", text):
            yield f"{path}: has translatable strings and is not in po/{potfiles.name}"
    for path, text in find(("ui",), {".ui"}):
        if path not in names and 'translatable="yes"' in text:
            yield f"{path}: has translatable strings and is not in po/{potfiles.name}"


RULES = [
    ("includes", check_includes),
    ("core-order", check_core_order),
    ("kernel-calls", check_kernel_calls),
    ("method-names", check_method_names),
    ("licence", check_licence),
    ("length", check_length),
    ("marks", check_marks),
    ("fuzz-corpus", check_fuzz),
    ("translations", check_translations),
]


def main():
    print(f"1..{len(RULES)}")
    failed = 0
    for number, (name, rule) in enumerate(RULES, 1):
        problems = list(rule())
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} /lint/{name}")
        for problem in problems:
            print(f"# {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
