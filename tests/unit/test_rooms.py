"""Which room may include which (docs/architecture.md has the rooms).

Each rule is also tried on a tree that breaks it, so that it cannot pass because it checks nothing.
"""

import re
import tempfile
import unittest
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"

# From the bottom to the top. A file may include its own room and those below it.
ROOMS = ["core", "config", "wire", "tls", "net", "broker", "session", "server", "main"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def room_of(path):
    """The room of a file below src/: its folder; main.c is above all of them."""
    if path.parent == Path("."):
        return "main"
    return path.parts[0]


def includes(src):
    """(file below src, '<' or '"', what it includes) for every include of every file."""
    for file in sorted([*src.rglob("*.c"), *src.rglob("*.h"), *src.rglob("*.S")]):
        for mark, name in INCLUDE.findall(file.read_text(encoding="utf-8")):
            yield file.relative_to(src), mark, name


def wolfssl_outside_tls(src):
    return [f"{file} includes {name}" for file, _, name in includes(src)
            if name.startswith(("wolfssl/", "cyassl/", "postern_", "vector/")) and room_of(file) != "tls"]


def inih_outside_config(src):
    return [f"{file} includes {name}" for file, _, name in includes(src)
            if name == "ini.h" and file != Path("config/config.c")]


def libuv_below_net(src):
    return [f"{file} includes {name}" for file, _, name in includes(src)
            if (name == "uv.h" or name.startswith("uv/"))
            and room_of(file) in ("tls", "wire", "config", "core")]


def upward_includes(src):
    wrong = []
    for file, mark, name in includes(src):
        if mark == "<":
            continue
        if not (src / name).is_file():
            wrong.append(f"{file} includes {name}, which is not a file below src/")
        elif ROOMS.index(room_of(Path(name))) > ROOMS.index(room_of(file)):
            wrong.append(f"{file} includes {name} above it")
    return wrong


def arrows(src):
    """Between units, a unit being NAME.c and NAME.h: who includes whom."""
    found = {}
    for file, mark, name in includes(src):
        unit, target = file.with_suffix(""), Path(name).with_suffix("")
        found.setdefault(unit, set())
        if mark == '"' and (src / name).is_file() and target != unit:
            found[unit].add(target)
    return found


def circles(src):
    """The sets of units that reach each other; none, where all arrows can be drawn downward."""
    graph = arrows(src)

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for unit in graph.get(todo.pop(), ()):
                if unit not in seen:
                    seen.add(unit)
                    todo.append(unit)
        return seen

    reached = {unit: reach(unit) for unit in graph}
    found = {frozenset(other for other in reached[unit] if unit in reached.get(other, ()))
             for unit in graph if unit in reached[unit]}
    return sorted(sorted(map(str, circle)) for circle in found)


def long_files(src, most=500):
    return [f"{file.relative_to(src)} has {lines} lines"
            for file in sorted([*src.rglob("*.c"), *src.rglob("*.h")])
            if (lines := len(file.read_text(encoding="utf-8").splitlines())) > most]


def epoll_outside_its_file(src):
    return [f"{file} includes {name}" for file, _, name in includes(src)
            if name == "sys/epoll.h" and file != Path("net/poller.c")]


def libseccomp_outside_its_file(src):
    return [f"{file} includes {name}" for file, _, name in includes(src)
            if name == "seccomp.h" and file != Path("server/filter.c")]


def unknown_rooms(src):
    return [str(file.relative_to(src)) for file in [*src.rglob("*.c"), *src.rglob("*.h")]
            if room_of(file.relative_to(src)) not in ROOMS]


class Rooms(unittest.TestCase):
    def test_wolfssl_headers_appear_under_tls_alone(self):
        self.assertEqual(wolfssl_outside_tls(SRC), [])

    def test_inih_appears_in_config_alone(self):
        self.assertEqual(inih_outside_config(SRC), [])

    def test_libuv_appears_nowhere_under_tls_wire_config_and_core(self):
        self.assertEqual(libuv_below_net(SRC), [])

    def test_a_file_includes_only_its_own_room_and_those_below(self):
        self.assertEqual(upward_includes(SRC), [])

    def test_every_file_is_in_a_room(self):
        self.assertEqual(unknown_rooms(SRC), [])

    def test_no_circle_of_files(self):
        graph = arrows(SRC)
        found = circles(SRC)
        print(f"{len(graph)} units, {sum(map(len, graph.values()))} arrows, "
              f"{len(upward_includes(SRC))} upward between rooms, {len(found)} circles")
        self.assertEqual(found, [])

    def test_no_file_is_over_500_lines(self):
        self.assertEqual(long_files(SRC), [])

    def test_epoll_appears_in_one_file(self):
        self.assertEqual(epoll_outside_its_file(SRC), [])

    def test_libseccomp_appears_in_one_file(self):
        self.assertEqual(libseccomp_outside_its_file(SRC), [])


class TheRules(unittest.TestCase):
    """Every rule finds what breaks it."""

    def broken(self, path, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        src = Path(folder.name)
        for name in ("core/buf.h", "wire/w.h", "tls/t.h", "net/n.h", "session/s.h", path):
            (src / name).parent.mkdir(exist_ok=True)
            (src / name).touch()
        (src / path).write_text(text, encoding="utf-8")
        return src

    def test_wolfssl_in_another_room_is_found(self):
        for path in ("core/x.c", "wire/x.h", "session/x.c", "server/x.c", "main.c"):
            for name in ("wolfssl/ssl.h", "postern_pause.h"):
                src = self.broken(path, f"#include <{name}>\n")
                self.assertEqual(len(wolfssl_outside_tls(src)), 1, path)
        self.assertEqual(wolfssl_outside_tls(self.broken("tls/x.c", "#include <wolfssl/ssl.h>\n")),
                         [])

    def test_inih_in_another_file_is_found(self):
        for path in ("base/x.c", "config/config.h", "proxy/config.c", "main.c"):
            src = self.broken(path, "#  include <ini.h>\n")
            self.assertEqual(len(inih_outside_config(src)), 1, path)

    def test_libseccomp_in_another_file_is_found(self):
        for path in ("server/sandbox.c", "main.c"):
            src = self.broken(path, "#include <seccomp.h>\n")
            self.assertEqual(len(libseccomp_outside_its_file(src)), 1, path)
        src = self.broken("server/filter.c", "#include <seccomp.h>\n")
        self.assertEqual(libseccomp_outside_its_file(src), [])

    def test_libuv_below_net_is_found(self):
        for path in ("core/x.c", "config/x.c", "wire/x.h", "tls/x.c"):
            for header in ("uv.h", "uv/unix.h"):
                src = self.broken(path, f"#include <{header}>\n")
                self.assertEqual(len(libuv_below_net(src)), 1, path)

    def test_an_include_from_above_is_found(self):
        for path, name in (("core/x.c", "wire/w.h"), ("wire/x.c", "tls/t.h"),
                           ("tls/x.h", "net/n.h"), ("net/x.c", "session/s.h")):
            src = self.broken(path, f'\t#include "{name}"\n')
            self.assertEqual(upward_includes(src), [f"{path} includes {name} above it"])
            lower, upper = path, name
            src = self.broken(f"{Path(upper).parts[0]}/y.c",
                              f'#include "{Path(lower).parts[0]}/x.h"\n')
            (src / Path(lower).parts[0] / "x.h").touch()
            self.assertEqual(upward_includes(src), [])

    def test_an_include_that_is_not_relative_to_src_is_found(self):
        self.assertEqual(len(upward_includes(self.broken("core/x.c", '#include "buf.h"\n'))), 1)

    def test_a_circle_is_found(self):
        src = self.broken("core/x.c", '#include "core/x.h"\n')
        (src / "core/x.h").write_text('#include "core/y.h"\n', encoding="utf-8")
        (src / "core/y.h").touch()
        self.assertEqual(circles(src), [])
        (src / "core/y.c").write_text('#include "core/z.h"\n', encoding="utf-8")
        (src / "core/z.h").write_text('#include "core/x.h"\n', encoding="utf-8")
        self.assertEqual(circles(src), [["core/x", "core/y", "core/z"]])

    def test_a_long_file_is_found(self):
        src = self.broken("core/x.c", "\n" * 501)
        self.assertEqual(long_files(src), ["core/x.c has 501 lines"])

    def test_epoll_elsewhere_is_found(self):
        for path in ("net/conn.c", "broker/dial.c", "net/poller.h"):
            src = self.broken(path, "#include <sys/epoll.h>\n")
            self.assertEqual(len(epoll_outside_its_file(src)), 1, path)

    def test_a_file_without_a_room_is_found(self):
        self.assertEqual(unknown_rooms(self.broken("util/x.c", "")), ["util/x.c"])


if __name__ == "__main__":
    unittest.main()
