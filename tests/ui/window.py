#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The window on a display of its own, worked through the accessibility bus and the actions that it has on the session bus.

    window.py SWAGE        prints TAP; skips, with the reason, where there is no Xvfb, session bus or accessibility binding

What is asserted is what a user would see: texts of labels, what buttons do, that nothing interactive is without a name.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings

PATIENCE = int(os.environ.get("SWAGE_TEST_PATIENCE", "240"))  # seconds; reached only when something hangs, also under sanitizers on a busy machine
APP_ID = "io.github.swage.Swage"


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def start_display():
    """An X server and its number. Two that start at the same moment may want the same number: then one tries again."""
    for attempt in range(5):
        read, write = os.pipe()
        display = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-noreset"],
                                   pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"/tmp/.X11-unix/X{number}")
            if number and display.poll() is None:
                return display, number
        except OSError:
            pass
        display.terminate()
        display.wait()
        time.sleep(1 + attempt)
    skip_all("Xvfb does not start")


def start_inside(executable, script=__file__):
    """Run this script again on a display and a session bus of its own."""
    for program in ("Xvfb", "dbus-run-session"):
        if shutil.which(program) is None:
            skip_all(f"there is no {program} here")
    try:
        import gi
        gi.require_version("Atspi", "2.0")
        from gi.repository import Atspi  # noqa: F401
    except (ImportError, ValueError) as error:
        skip_all(f"no accessibility binding for Python: {error}")
    display, number = start_display()
    try:
        with tempfile.TemporaryDirectory(prefix="swage-window-") as home:
            environment = dict(os.environ, SWAGE_WINDOW_INSIDE=home, DISPLAY=f":{number}", GDK_BACKEND="x11",
                               GSK_RENDERER="cairo", GTK_A11Y="atspi", SWAGE_FRESH_SETTINGS="1", SWAGE_WATCHDOG="1",
                               XDG_CACHE_HOME=f"{home}/cache", XDG_DATA_HOME=f"{home}/data", XDG_CONFIG_HOME=f"{home}/config",
                               XDG_RUNTIME_DIR=home, NO_AT_BRIDGE="0", GTK_USE_PORTAL="0", ADW_DISABLE_PORTAL="1",
                               LC_ALL="C.UTF-8", LANGUAGE="C")
            for name in ("DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY", "AT_SPI_BUS_ADDRESS"):
                environment.pop(name, None)
            # the toolkit keeps what it has loaded until the end: leaks are looked for in the tests without it
            options = environment.get("ASAN_OPTIONS", "")
            environment["ASAN_OPTIONS"] = f"{options}:detect_leaks=0" if options else "detect_leaks=0"
            inner = subprocess.Popen(["dbus-run-session", "--", sys.executable, script, executable], env=environment,
                                     stdout=subprocess.PIPE, text=True, errors="replace")
            for line in inner.stdout:  # what the services of the bus say is no TAP
                tap = line.startswith(("ok ", "not ok ", "1..", "#"))
                print(line if tap else f"# {line}", end="", flush=True)
            return inner.wait()
    finally:
        display.terminate()
        display.wait()


def spoken_name(name):
    """GTK 4.8 says labels of buttons twice, "_Close Close"."""
    half = name[(len(name) + name.count("_")) // 2 + 1:]
    return half if half and name.replace("_", "", 1) == f"{half} {half}" else name


class Node:
    """A widget at the moment of a look, as the accessibility bus tells of it."""

    def __init__(self, item, states, role_name):
        self.address, _, self.parent, self.index, self.count, self.interfaces, self.name, self.role, self.description, _ = item
        self.states, self.role_name, self.children = states, role_name, []


class Window:
    """The application, and how to look at it.

    A look takes the whole tree in one call. Asking widget by widget takes seconds where the machine is slow, and by then
    the tree is another one. The window's main loop stands still during a look: what is timed is awaited without one.
    """

    def __init__(self, executable, *arguments):
        import gi
        gi.require_version("Atspi", "2.0")
        from gi.repository import Atspi, Gio, GLib
        self.Atspi, self.Gio, self.GLib = Atspi, Gio, GLib
        self.process = subprocess.Popen([executable, *arguments])
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        address = self.bus.call_sync("org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress", None, None, 0, 60000,
                                     None).unpack()[0]
        flags = Gio.DBusConnectionFlags
        self.accessibility = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.root = None
        self.root = self.wait("the application on the accessibility bus", self.find_application)

    patience = PATIENCE

    def wait(self, what, test, pause=0.2):
        until = time.monotonic() + Window.patience
        while time.monotonic() < until:
            if self.process.poll() is not None and what != "the end":
                raise AssertionError(f"swage ended with {self.process.returncode} while waiting for {what}")
            try:
                result = test()
            except self.GLib.Error:  # a widget that has gone in between
                result = None
            if result:
                return result
            time.sleep(pause)
        Window.patience = min(Window.patience, 20)  # once something is amiss, the rest need not wait as long
        shown = self.texts() if self.root else []
        raise AssertionError(f"waited in vain for {what}; said last: “{self.said()}”; on screen: {shown}"[:1500])

    def ask(self, address, interface, method, arguments=None):
        return self.accessibility.call_sync(address[0], address[1], f"org.a11y.atspi.{interface}", method, arguments, None, 0,
                                            60000, None).unpack()

    def find_application(self):
        registry = ("org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root")
        for address in self.ask(registry, "Accessible", "GetChildren")[0]:
            process = self.accessibility.call_sync(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                self.GLib.Variant("(s)", (address[0],)), None, 0, 60000, None).unpack()[0]
            if process == self.process.pid:
                return address
        return None

    def look(self):
        """The tree: the node of the application."""
        asked = set()
        while True:
            nodes = self.list_nodes()
            # the toolkit lists a widget from the moment that somebody asks its parent for it
            unlisted = [node for node in nodes.values() if node.count > len(node.children) and node.address not in asked]
            if not unlisted:
                return nodes[self.root]
            for node in unlisted:
                asked.add(node.address)
                try:
                    self.ask(node.address, "Accessible", "GetChildren")
                except self.GLib.Error:  # has gone in between
                    pass

    def list_nodes(self):
        nodes = {}
        for item in self.ask((self.root[0], "/org/a11y/atspi/cache"), "Cache", "GetItems")[0]:
            low, high = item[9]
            role = self.Atspi.role_get_name(self.Atspi.Role(item[7]))
            nodes[item[0]] = Node(item, low | high << 32, role)
        for node in nodes.values():
            if node.address != self.root and node.parent in nodes:
                nodes[node.parent].children.append(node)
        for node in nodes.values():
            node.children.sort(key=lambda child: child.index)
        return nodes

    def has(self, node, state):
        return bool(node.states >> int(getattr(self.Atspi.StateType, state)) & 1)

    def all(self, node=None):
        """Every widget that is not hidden, depth first (GTK 4.8 does not tell what a stack has turned away)."""
        node = node or self.look()
        if node.parent[0] and not self.has(node, "SHOWING") and not self.has(node, "VISIBLE"):
            return
        yield node
        for child in node.children:
            yield from self.all(child)

    def texts(self):
        names = [node.name for node in self.all() if node.role_name == "label"]
        return [name.replace("\xa0", " ") for name in names if name]

    def can_press(self, node):
        if "org.a11y.atspi.Action" not in node.interfaces:
            return False
        answer = self.ask(node.address, "Action", "GetActions")[0]
        return len(answer) > 0

    def press(self, node):
        self.ask(node.address, "Action", "DoAction", self.GLib.Variant("(i)", (0,)))

    def find(self, name, roles=None, within=None):
        """The first one, for a button the first that can be pressed (menu buttons have their button inside)."""
        found = None
        for node in self.all(within):
            if (roles is None or node.role_name in roles) and re.fullmatch(name, spoken_name(node.name)):
                if roles is None or self.can_press(node):
                    return node
                found = found or node
        return found

    def see(self, pattern):
        """Wait for a label whose text matches; its text."""
        return self.wait(f"“{pattern}”", lambda: next((t for t in self.texts() if re.fullmatch(pattern, t)), None))

    def toplevel(self, text):
        """The window, or dialog, that shows this text."""
        for window in self.look().children:
            if self.find(text, within=window):
                return window
        return None

    def find_within(self, name, roles, within):
        """In the window that shows the text `within`, if that is given; nothing as long as there is no such window."""
        top = self.toplevel(within) if within else None
        return self.find(name, roles, top) if top or not within else None

    BUTTONS = ("push button", "toggle button", "button", "menu item")

    def click(self, name, within=None, roles=BUTTONS):
        node = self.wait(f"button “{name}”", lambda: self.find_within(name, roles, within))
        assert self.can_press(node), f"“{name}” cannot be pressed: {node.role_name}"
        self.press(node)

    def said(self):
        """The last message, which stays when its toast has gone."""
        try:
            return self.describe("last-message")[1]
        except self.GLib.Error:
            return ""

    def hear(self, pattern):
        """Wait for a message that matches."""
        return self.wait(f"the message “{pattern}”", lambda: re.fullmatch(pattern, self.said()), pause=0.05)

    def forget(self):
        """So that a message that is waited for is a new one."""
        parameters = ("last-message", self.GLib.Variant("s", ""), {})
        self.bus.call_sync(APP_ID, f"/{APP_ID.replace('.', '/')}/window/1", "org.gtk.Actions", "SetState",
                           self.GLib.Variant("(sva{sv})", parameters), None, 0, 60000, None)

    def act(self, name, signature=None, value=None, path=f"/{APP_ID.replace('.', '/')}/window/1"):
        parameters = [self.GLib.Variant(signature, value)] if signature else []
        self.bus.call_sync(APP_ID, path, "org.gtk.Actions", "Activate",
                           self.GLib.Variant("(sava{sv})", (name, parameters, {})), None, 0, 60000, None)

    def describe(self, name, path=f"/{APP_ID.replace('.', '/')}/window/1"):
        """(enabled, state or None) of an action."""
        answer = self.bus.call_sync(APP_ID, path, "org.gtk.Actions", "Describe", self.GLib.Variant("(s)", (name,)), None, 0,
                                    60000, None).unpack()[0]
        return answer[0], answer[2][0] if answer[2] else None

    def blocked(self, reset=False):
        path = f"/{APP_ID.replace('.', '/')}"
        time.sleep(0.15)
        longest = self.describe("watchdog", path)[1]
        if reset:
            self.act("watchdog", path=path)
        return longest


PERPLEXITY = r"([\d.]+) → ([\d.]+) ± [\d.]+"


def test_open(window, home):
    """opens the sample"""
    window.see(r"sample")
    window.see(r"llama · 7\.3 M parameters · safetensors")
    window.see(r"1 of 57 layers selected")
    window.see(r"14\.0 MiB")
    assert window.find("Layers"), "no layer list"
    assert window.wait("a histogram", lambda: window.find(r"Histogram of 65536 values.*"))


def test_select(window, home):
    """selects layers, one and all of a role"""
    window.act("select", "s", "blk.3.ffn_down")
    window.see(r"blk\.3\.ffn_down")
    assert window.wait("its histogram", lambda: window.find(r"Histogram of 196608 values.*"))
    window.act("select-role")
    window.see(r"8 of 57 layers selected")
    window.see(r"8 layers")
    window.act("select", "s", "blk.3.ffn_down")
    window.see(r"1 of 57 layers selected")


def test_step(window, home):
    """adds a step by its buttons, and the numbers change at once"""
    assert not window.describe("undo")[0]
    window.click("Add a step.*|Add Step")
    window.click("Round to nearest")
    window.see(r"13\.7 MiB \(−\d+ %\)")
    window.see(r"15\.69 bpw")
    window.see(r"4\.500")
    # the row was made from the table, and the error is measured in the background
    assert window.wait("the parameter", lambda: window.find("Type"))
    window.see(r"\d\.\d+ %")
    assert window.wait("before and after", lambda: window.find(r"Histogram of 196608 values.* With the plan: .*"))


def test_undo(window, home):
    """undoes and redoes"""
    window.click("Undo")
    window.see(r"14\.0 MiB")
    window.see(r"No steps: these layers stay as they are\.")
    window.click("Redo")
    window.see(r"13\.7 MiB \(−\d+ %\)")


def test_preview(window, home):
    """previews to the end: perplexity, divergence, agreement"""
    window.blocked(reset=True)
    window.act("preview")
    window.wait("the work to begin", lambda: window.describe("cancel")[0], pause=0.01)
    window.wait("the end of the preview", lambda: window.describe("preview")[0])
    longest = window.blocked()
    before, after = re.fullmatch(PERPLEXITY, window.see(PERPLEXITY)).groups()
    assert abs(float(before) - 33.689) < 0.034, before
    assert 33 < float(after) < 36, after
    window.see(r"\d\.\d\d\d\d|\d\.\d\de-\d+")
    window.see(r"\d\d\.\d %")
    print(f"# perplexity {before} → {after}; main loop blocked for at most {longest:.1f} ms during the preview")


def test_activations(window, home):
    """shows activations of the calibration text, channels and the map"""
    window.click("Activations")
    window.wait("the histogram of activations", lambda: window.find(r"Histogram of \d{7,} values.*"))
    window.act("page", "s", "channels")
    window.wait("channels", lambda: window.find(r"Largest magnitude of 768 channels.*"))
    window.wait("the top channels", lambda: window.find(r"Zoom to channel \d+"))
    window.act("page", "s", "map")
    window.wait("the map", lambda: window.find(r"Map of 56 layers by Kurtosis.*"))
    window.act("page", "s", "histogram")
    window.act("source", "s", "weights")


def test_cancel(window, home):
    """cancels a preview with the button"""
    window.act("preset", "s", "q4_k_m")
    window.see(r"[34]\.\d MiB \(−\d+ %\)")
    # the button is there before it is shown; it is looked up now, for the preview may be quicker than a look
    button = window.wait("the cancel button", lambda: window.find("Cancel", Window.BUTTONS))
    window.forget()
    window.blocked(reset=True)
    window.act("preview")
    window.wait("the work to begin", lambda: window.describe("cancel")[0], pause=0.01)
    window.press(button)
    window.hear(r"Preview cancelled\.")
    window.wait("rest", lambda: window.describe("preview")[0] and not window.describe("cancel")[0])
    print(f"# main loop blocked for at most {window.blocked():.1f} ms while cancelling")
    # the numbers are still those of the earlier plan
    before, after = re.fullmatch(PERPLEXITY, window.see(PERPLEXITY)).groups()
    assert abs(float(before) - 33.689) < 0.034, before


def test_export(window, home):
    """exports a GGUF file, and says what it did"""
    path = os.path.join(home, "sample.gguf")
    window.blocked(reset=True)
    window.forget()
    window.act("export-to", "(ss)", ("gguf", path))
    window.hear(r"Exported “sample\.gguf”")
    longest = window.blocked()
    window.see(r"Exported “sample\.gguf”")
    assert window.find("Show in Files", Window.BUTTONS), "no button"
    with open(path, "rb") as file:
        assert file.read(4) == b"GGUF"
    assert 3e6 < os.path.getsize(path) < 6e6, os.path.getsize(path)
    assert os.listdir(home).count("sample.gguf") == 1 and not [n for n in os.listdir(home) if n.startswith(".sample")]
    print(f"# main loop blocked for at most {longest:.1f} ms during the export")
    # never over what is there without being asked to
    window.act("export-to", "(ss)", ("gguf", path))
    said = window.hear(r".*sample\.gguf.*(exists|there).*").group(0)
    if said.startswith("That did not work"):  # too long for a toast
        window.click("Close", within="That did not work")


def test_device(window, home):
    """offers the CPU and what else there is to compute on, and says when a device is not there"""
    assert window.describe("device") == (True, "cpu"), window.describe("device")
    assert window.find("Previews are computed on: CPU")
    window.act("choose-device")
    window.wait("the list of devices",
                lambda: window.find(r"Software: .*|No Vulkan device|.*(NVIDIA|AMD|Radeon|Intel|Mali|Adreno|Virtio).*"))
    window.act("device", "s", "cpu")
    window.act("device", "s", "vulkan:no such device")
    window.act("preset", "s", "q8_0")
    window.see(r"The device cannot be used\. The work goes on with the CPU\.")
    assert window.describe("device")[1] == "cpu"
    window.act("undo")


def test_names(window, home):
    """has no control without a name"""
    interactive = {"push button", "button", "toggle button", "check box", "radio button", "combo box", "entry", "text",
                   "slider", "spin button", "switch", "image", "menu item", "link", "progress bar", "icon", "page tab"}
    nameless, seen = [], 0
    tree = window.look()
    nodes = {node.address: node for node in window.all(tree)}
    for node in nodes.values():
        role, name = node.role_name, node.name.strip()
        if role not in interactive:
            continue
        seen += 1
        # where there is no name, the toolkit gives that of the class
        if name and not re.fullmatch(r"(Gtk|Adw|Swage)[A-Za-z]+", name):
            continue
        trail, parent = [], node
        while parent is not None and len(trail) < 6:
            trail.append(f"{parent.role_name} “{parent.name}”")
            parent = nodes.get(parent.parent)
        nameless.append(" < ".join(trail))
    print(f"# {seen} controls seen, {len(nameless)} without a name")
    for line in sorted(set(nameless)):
        print(f"#   {line}")
    assert seen > 40, seen
    assert not nameless


def test_plan(window, home):
    """saves the plan and opens it again"""
    path = os.path.join(home, "a.plan.json")
    window.act("save-plan-to", "s", path)
    assert window.wait("the file", lambda: os.path.exists(path))
    window.act("clear-plan")
    window.see(r"14\.0 MiB")
    window.act("undo")
    window.see(r"[34]\.\d MiB \(−\d+ %\)")
    window.act("open-path", "s", path)
    window.see(r"[34]\.\d MiB \(−\d+ %\)")
    assert not window.describe("undo")[0]


def test_bad_model(window, home):
    """says why a model cannot be opened, and keeps the one that is open"""
    path = os.path.join(home, "bad.gguf")
    with open(path, "wb") as file:
        file.write(b"GGUF" + b"\xff" * 64)
    window.act("open-path", "s", path)
    window.see(r"The model cannot be opened")
    window.click("Close", within="The model cannot be opened")
    window.see(r"llama · 7\.3 M parameters · safetensors")


def test_close(window, home):
    """asks before unsaved changes are lost, and ends well"""
    window.act("clear-plan")
    window.see(r"14\.0 MiB")
    window.act("quit", path=f"/{APP_ID.replace('.', '/')}")
    window.see(r"Save the changes of the plan\?")
    window.click("Discard", within="Save the changes of the plan\\?")
    window.wait("the end", lambda: window.process.poll() is not None)
    assert window.process.returncode == 0, window.process.returncode


TESTS = [test_open, test_select, test_step, test_undo, test_preview, test_activations, test_cancel, test_export, test_device, test_names,
         test_plan, test_bad_model, test_close]


def main():
    executable = sys.argv[1]
    home = os.environ.get("SWAGE_WINDOW_INSIDE")
    if home is None:
        sys.exit(start_inside(executable))
    warnings.simplefilter("ignore", DeprecationWarning)
    sample = os.path.join(os.environ.get("SWAGE_DATA_DIR", os.path.join(os.path.dirname(__file__), "..", "..", "data")), "sample")
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    window = None
    try:
        window = Window(executable, sample)
    except AssertionError as error:
        print(f"# {error}")
    for i, test in enumerate(TESTS):
        started = time.monotonic()
        try:
            assert window is not None, "no window"
            assert window.process.poll() is None, f"swage has ended with {window.process.returncode}"
            test(window, home)
            print(f"ok {i + 1} {test.__doc__} # {time.monotonic() - started:.1f} s", flush=True)
        except Exception as error:  # one step that fails must not hide the others
            failed += 1
            print(f"# {type(error).__name__}: {error}".replace("\n", " "))
            print(f"not ok {i + 1} {test.__doc__}", flush=True)
    if window is not None and window.process.poll() is None:
        window.process.kill()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
