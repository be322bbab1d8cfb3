"""Which structs have fields that other rooms than their own use, and why they may.

    test_contracts.py BUILD_FOLDER

A struct whose fields only its own room uses can change without a look at the rest of the program.
The others are listed here, each with what other rooms may do with it and the reason. The test fails
for a struct that is missing from the list, for one that need not be in it, and for a field that
another room writes although the list does not allow it.

The compiler finds all this. In a copy of the sources each field in a header is marked as
deprecated, so that every use of one is a warning that names its struct, and each field that others
may only read is const, so that assigning it is an error. Initialisers cause no warning and are
found in the text. A write by a function that was given the field's address is not found.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What other rooms may write: nothing, every field (and make a value of their own), or fields.
NOTHING = frozenset()
ALL = None

# struct: (its room, what others may write, why its fields are open).
AGREED = {
    "address": ("core", ALL, "a value, which others copy; they set port and scope alone"),
    "address_parts": ("core", NOTHING, "a result: parts of a text"),
    "buf": ("core", ALL, "a value, embedded in what uses it; others set len alone"),
    "error": ("core", NOTHING, "a result: one text"),
    "list": ("core", NOTHING, "embedded; others walk along it"),
    "config": ("config", NOTHING, "a value that is immutable once it is loaded"),
    "config_admin": ("config", NOTHING, "part of struct config"),
    "config_backend": ("config", NOTHING, "part of struct config"),
    "config_certificate": ("config", NOTHING, "part of struct config"),
    "config_listener": ("config", NOTHING, "part of struct config"),
    "config_networks": ("config", NOTHING, "part of struct config"),
    "config_dials": ("config", NOTHING, "part of struct config"),
    "config_protocols": ("config", {"all", "count"}, "part of struct config; a context copies them"),
    "config_sources": ("config", {"all", "count"}, "part of struct config; a probe has a copy"),
    "config_rate": ("config", NOTHING, "part of struct config"),
    "config_option": ("config", ALL, "an argument of config_from_options"),
    "client_hello": ("wire", NOTHING, "the result of client_hello_parse"),
    "hello_share": ("wire", NOTHING, "part of struct client_hello"),
    "mqtt_answer": ("wire", NOTHING, "embedded in a session, which logs the refusal"),
    "mqtt_connect": ("wire", NOTHING, "the result of mqtt_connect_parse"),
    "mqtt_follower": ("wire", NOTHING, "embedded in a session, which reports the fault"),
    "mqtt_text": ("wire", NOTHING, "part of struct mqtt_connect"),
    "proxy_header": ("wire", NOTHING, "the result of proxy_header_parse"),
    "proxy_tls": ("wire", ALL, "an argument of proxy_header_v2"),
    "agreement_step": ("tls", ALL, "an argument of agreements_compute"),
    "engine_input": ("tls", ALL, "an argument of an engine's calls, which leave the rest in it"),
    "tls_allow_counts": ("tls", NOTHING, "a value for --check"),
    "tls_certificate_info": ("tls", NOTHING, "a value for the log and --check"),
    "tls_expiry": ("tls", NOTHING, "a value for warnings before it expires"),
    "tls_shared": ("tls", ALL, "an argument of tls_context_load"),
    "conn": ("net", {"ended", "handle", "readable", "reading", "secret"}, "embedded in a session"),
    "deadline": ("net", NOTHING, "embedded in a session; its pool notes the earliest one"),
    "loop_hooks": ("net", ALL, "an argument of loop_new"),
    "poll_handle": ("net", {"fd", "on_ready"}, "embedded in what owns the descriptor"),
    "dial_target": ("broker", ALL, "an argument of dial_start"),
    "backend_counts": ("broker", NOTHING, "a value for the metrics"),
    "listing_row": ("session", NOTHING, "a value for the list of sessions"),
    "metrics": ("session", {"loop_delay"}, "written by its worker, read by the page of metrics"),
    "metrics_listener": ("session", NOTHING, "part of struct metrics"),
    "pool_hooks": ("session", ALL, "an argument of pool_init"),
    "runtime": ("session", NOTHING, "a value that is immutable once it is loaded"),
    "runtime_listener": ("session", NOTHING, "part of struct runtime"),
    "server_source": ("server", ALL, "an argument of server_run and server_check"),
}

SRC = Path(__file__).resolve().parents[2] / "src"
BUILD = None  # set below

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRUCT = re.compile(r"\bstruct (\w+) \{")
USE = re.compile(r"^(.*?):\d+:\d+: warning: .(\w+). is deprecated: struct (\w+) ", re.MULTILINE)
ERROR = re.compile(r"^(.*?):\d+:\d+: error: (.*)", re.MULTILINE)
# "assignment of read-only member 'len'", "increment of read-only location 'hello->name[0]'". (But
# "read-only variable 'hello'" where a whole value is copied, which does not use a field by its name.)
WRITE = re.compile(r"(?:assignment|increment|decrement) of (?:read-only )?(?:member|location) .*?"
                   r"(\w+)(?:\[[^\]]*\])?.(?: in read-only object)?$")
# A value with an initialiser that is more than {0}, {NULL} or {""}.
MADE = re.compile(r'(?:\(struct (\w+)\)|\bstruct (\w+) \w+(?:\[\w*\])? =) ?'
                  r'\{(?! ?(?:0|NULL|"")? ?\})')


def room_of(file):
    return file.parts[0] if len(file.parts) > 1 else "main"


def without_comments(text):
    """The text with blanks in place of comments: every offset stays."""
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def closing(text, at):
    """Where the brace at that offset is closed."""
    depth = 0
    for offset in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[offset], 0)
        if depth == 0:
            return offset
    raise ValueError(f"a brace is not closed: {text[at:at + 60]}")


def declarations(text, start, end):
    """(start, end) of each declaration of fields between these offsets, those in a nested struct or
    union too. A nested one without a name has no declaration of its own."""
    at = start
    while text[at:end].strip():
        at += len(text[at:end]) - len(text[at:end].lstrip())
        brace, semicolon = text.find("{", at, end), text.index(";", at, end)
        if 0 <= brace < semicolon:
            inner_end = closing(text, brace)
            semicolon = text.index(";", inner_end, end)
            if not text.startswith("enum", at):
                yield from declarations(text, brace + 1, inner_end)
            if text[inner_end + 1:semicolon].strip():
                yield at, semicolon
        elif not text.startswith("_Static_assert", at):
            yield at, semicolon
        at = semicolon + 1


def names_in(declaration):
    """(offset, name) of each field that it declares."""
    if function := re.search(r"\(\s*\*+\s*(\w+)\s*\)", declaration):
        return [(function.start(1), function.group(1))]
    names = r"\b(\w+)\s*(?:\[[^\]]*\]|:\s*\w+)*\s*(?:,|$)"
    return [(match.start(1), match.group(1)) for match in re.finditer(names, declaration)]


def structs(text):
    """(name, its declarations) of each struct that the text, without comments, defines."""
    for match in STRUCT.finditer(text):
        brace = match.end() - 1
        yield match.group(1), list(declarations(text, brace + 1, closing(text, brace)))


def marks(text, agreed):
    """(offset, what to put there) for the fields of every struct."""
    for struct, fields in structs(text):
        writable = agreed[struct][1] if struct in agreed else ALL
        for start, end in fields:
            yield start, f'__attribute__((deprecated("struct {struct} "))) '
            for number, (offset, name) in enumerate(names_in(text[start:end])):
                is_pointer = text[:start + offset].rstrip().endswith("*")
                if writable is not ALL and name not in writable and (number == 0 or is_pointer):
                    yield start + offset, "const "


def mark(header, agreed):
    text = header.read_text(encoding="utf-8")
    for offset, words in sorted(marks(without_comments(text), agreed), reverse=True):
        text = text[:offset] + words + text[offset:]
    header.write_text(text, encoding="utf-8")


def program_files():
    """(file below src/, the compiler's command line) of each file of the program."""
    with open(BUILD / "compile_commands.json", encoding="utf-8") as file:
        for entry in json.load(file):
            source = Path(os.path.normpath(BUILD / entry["file"]))
            if SRC in source.parents and entry["output"].startswith(("src/", "postern.p/")):
                yield source.relative_to(SRC), shlex.split(entry["command"])


def syntax_check(command, source, src):
    """That command line for a file of the copy: it writes nothing, its messages are plain."""
    kept = [f"-I{src}" if argument.startswith("-I")
            and Path(os.path.normpath(BUILD / argument[2:])) == SRC else argument
            for argument in command[:command.index("-MD")]
            if not argument.startswith(("-Werror", "-fdiagnostics-color"))]
    return [*kept, "-Wdeprecated-declarations", "-fmax-errors=0", "-fsyntax-only",
            str(src / source)]


class Source:
    """A copy of the sources, and what the compiler finds in it."""

    def __init__(self, src, agreed):
        self.src = src
        self.agreed = agreed
        self.owner = {}   # {struct: its room}
        self.fields = {}  # {struct: {its fields}}
        self.used = {}    # {struct: {other room: {fields}}}
        self.wrong = []   # a sentence for each difference
        for header in sorted(src.rglob("*.h")):
            self._note_structs(header)
        for file in [*src.rglob("*.c"), *src.rglob("*.h")]:
            self._note_made(file)
        for header in src.rglob("*.h"):
            mark(header, agreed)

    def _note_structs(self, header):
        text = without_comments(header.read_text(encoding="utf-8"))
        for struct, fields in structs(text):
            self.owner[struct] = room_of(header.relative_to(self.src))
            self.fields[struct] = {name for start, end in fields
                                   for _, name in names_in(text[start:end])}

    def _note_made(self, file):
        text = without_comments(file.read_text(encoding="utf-8"))
        for match in MADE.finditer(text):
            struct, room = match.group(1) or match.group(2), room_of(file.relative_to(self.src))
            if self._note_use(struct, room, "a whole value") and struct in self.agreed \
                    and self.agreed[struct][1] == NOTHING:
                self.wrong.append(f"{room} makes a struct {struct}, which it may only read")

    def _note_use(self, struct, room, field):
        if struct not in self.owner or room == self.owner[struct]:
            return False
        self.used.setdefault(struct, {}).setdefault(room, set()).add(field)
        return True

    def _relative(self, file):
        return Path(os.path.normpath(BUILD / file)).relative_to(self.src)

    def _note_error(self, file, message):
        """A room's own structs are const for it as well; those errors are expected."""
        room, write = room_of(self._relative(file)), WRITE.search(message)
        if "read-only" not in message:
            raise AssertionError(f"{file}: {message}")
        if write is None:
            return
        structs_of = [struct for struct, (_, writable, _) in self.agreed.items()
                      if write.group(1) in self.fields[struct]
                      and writable is not ALL and write.group(1) not in writable]
        if structs_of and room not in [self.owner[struct] for struct in structs_of]:
            self.wrong.append(f"{self._relative(file)} writes {write.group(1)} "
                              f"of struct {' or '.join(structs_of)}")

    def _compile(self, item):
        source, command = item
        done = subprocess.run(syntax_check(command, source, self.src), cwd=BUILD, text=True,
                              capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)
        if done.returncode != 0 and not ERROR.search(done.stderr):
            raise AssertionError(f"{source}: {done.stderr}")
        return set(USE.findall(done.stderr)), set(ERROR.findall(done.stderr))

    def compile(self, files):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(self._compile, files))
        for file, field, struct in set().union(*(uses for uses, _ in results)):
            self._note_use(struct, room_of(self._relative(file)), field)
        for file, message in sorted(set().union(*(errors for _, errors in results))):
            self._note_error(file, message)
        for struct in self.used:
            if struct not in self.agreed:
                self.wrong.append(f"struct {struct} is not in the list: {self.used[struct]}")
        for struct in self.agreed:
            if struct not in self.used:
                self.wrong.append(f"struct {struct} need not be in the list")


class Contracts(unittest.TestCase):
    def test_fields_are_used_by_other_rooms_only_as_agreed(self):
        with tempfile.TemporaryDirectory() as folder:
            src = Path(folder).resolve() / "src"
            shutil.copytree(SRC, src)
            source = Source(src, AGREED)
            source.compile(list(program_files()))
        self.assertEqual(source.wrong, [])
        self.assertEqual({struct: source.owner[struct] for struct in AGREED},
                         {struct: room for struct, (room, _, _) in AGREED.items()})
        print(f"{len(AGREED)} of {len(source.owner)} structs in headers are open to other rooms:")
        for struct, (room, writable, reason) in AGREED.items():
            may = "read" if writable == NOTHING else "write" if writable is ALL \
                else f"read, and write {', '.join(sorted(writable))}"
            print(f"  {room}: {struct}: {', '.join(sorted(source.used[struct]))} {may}: {reason}")


class TheRule(unittest.TestCase):
    """The test finds what breaks it."""

    def wrong(self, code, agreed):
        """What is found in a file of net/ that uses a struct of core/."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        src = Path(folder.name).resolve() / "src"
        for file, text in {"core/s.h": "struct s { int a, *b; struct { char c[2]; } d;\n"
                                       "    void (*e)(int); }; /* struct t { int a; }; */\n"
                                       "static inline int get(struct s *s) { return s->a; }\n",
                           "net/n.c": f'#include "core/s.h"\nvoid f(struct s *s);\n'
                                      f'void f(struct s *s) {{ {code} }}\n'}.items():
            (src / file).parent.mkdir(parents=True)
            (src / file).write_text(text, encoding="utf-8")
        _, command = next(program_files())
        source = Source(src, agreed)
        source.compile([(Path("net/n.c"), command)])
        return source.wrong

    def test_a_use_that_is_not_in_the_list_is_found(self):
        for code in ("(void)s->a;", "*s->b = 1;", "s->e(1);", "s->d.c[0] = 1;",
                     "struct s t = {.a = 1}; (void)t;", "*s = (struct s){1};"):
            self.assertEqual(len(self.wrong(code, {})), 1, code)

    def test_what_names_no_field_is_no_use(self):
        for code in ("get(s);", "struct s t = {0}; *s = t;"):
            self.assertEqual(self.wrong(code, {}), [], code)

    def test_a_write_that_is_not_in_the_list_is_found(self):
        for code in ("s->a = 1;", "s->a++;", "s->b = 0;", "s->d.c[1] = 1;", "s->e = 0;",
                     "struct s t = {.a = 1}; (void)t.a;"):
            self.assertEqual(len(self.wrong(code, {"s": ("core", NOTHING, "")})), 1, code)
            self.assertEqual(self.wrong(code, {"s": ("core", ALL, "")}), [], code)
        self.assertEqual(self.wrong("s->a = 1;", {"s": ("core", {"a"}, "")}), [])
        self.assertEqual(len(self.wrong("s->b = 0;", {"s": ("core", {"a"}, "")})), 1)

    def test_a_struct_that_need_not_be_in_the_list_is_found(self):
        self.assertEqual(self.wrong("get(s);", {"s": ("core", NOTHING, "")}),
                         ["struct s need not be in the list"])


if __name__ == "__main__":
    BUILD = Path(sys.argv.pop(1)).resolve()
    unittest.main()
