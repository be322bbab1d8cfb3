"""The manual agrees with the program: keys, defaults, ranges, messages, reasons, options.

usage: test_manual.py FACTS      (the program built from manual_facts.c)
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COMMAND = (TOP / "docs/postern.8").read_text(encoding="utf-8")
CONF = (TOP / "docs/postern.conf.5").read_text(encoding="utf-8")
FACTS = None  # set below: the command that runs the program

STRINGS = re.compile(r'"((?:[^"\\\n]|\\.)*)"(?:\s*"((?:[^"\\\n]|\\.)*)")*')
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def facts(kind):
    lines = subprocess.run(FACTS, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split("\t")[1:] for line in lines if line.startswith(kind + "\t")]


def items(text, macro):
    """(head, first line of its text) of every list item with that macro."""
    found = re.findall(rf'^\.It {macro} (.*)\n(.*)', text, re.MULTILINE)
    return [(head.strip('"'), line) for head, line in found]


def part(text, first, last):
    return text[text.index(first):text.index(last)]


def messages():
    """Every string in the sources, adjacent ones joined as the compiler does."""
    for file in (TOP / "src").rglob("*.c"):
        for match in STRINGS.finditer(file.read_text(encoding="utf-8")):
            yield "".join(LITERAL.findall(match.group(0)))


class Manual(unittest.TestCase):
    maxDiff = None

    def test_every_key_is_described_with_its_default_and_range(self):
        described = items(CONF, "Ic")
        self.assertEqual(sorted(described), sorted((name, says) for _, name, says in facts("key")))

    def test_each_key_is_described_under_its_section(self):
        bounds = {"postern": (".Sh THE SECTION [postern]", ".Sh SECTIONS [listener"),
                  "listener": (".Sh SECTIONS [listener", ".Sh SECTIONS [route"),
                  "route": (".Sh SECTIONS [route", ".Sh SECTIONS [certificate"),
                  "certificate": (".Sh SECTIONS [certificate", ".Sh FILES")}
        for section, name, _ in facts("key"):
            heads = [head for head, _ in items(part(CONF, *bounds[section]), "Ic")]
            self.assertIn(name, heads, section)

    def test_the_keys_that_a_route_inherits_are_listed(self):
        text = part(CONF, ".Sh SECTIONS [route", ".Sh SECTIONS [certificate")
        listed = re.search(r"^\.Bd -ragged.*\n((?:\.Cm .*\n)+)\.Ed", text, re.MULTILINE).group(1)
        self.assertEqual(re.findall(r"^\.Cm (\w+)", listed, re.MULTILINE),
                         sorted(name for name, in facts("inherited")))

    def test_every_reason_is_described_with_its_line_and_no_other(self):
        bounds = {"session end": (".Ss Reasons of Dq session", ".Ss Reasons of Dq handshake"),
                  "handshake failed": (".Ss Reasons of Dq handshake", ".Sh SEE ALSO")}
        reasons = facts("reason")
        self.assertNotIn("unknown", [name for _, name in reasons])
        for line, between in bounds.items():
            described = [head for head, _ in items(part(CONF, *between), "Sy")]
            self.assertEqual(sorted(described), sorted(name for of, name in reasons if of == line))

    def test_every_message_described_is_one_the_program_has(self):
        known = list(messages())
        for head, _ in items(part(CONF, ".Sh DIAGNOSTICS", ".Ss Reasons of"), "Sy"):
            asked = re.sub(r"\b(NAME|KEY)\b", "%s", head)
            asked = [head, asked, asked.replace("%s", "%.80s")]
            self.assertTrue(any(text in message for text in asked for message in known), head)

    def test_no_message_has_a_bare_error_number(self):
        """Words for the reader: strerror's, libuv's, our own."""
        numbers = re.compile(r"\b(?:code|error|errno|status|returned) %[-0-9]*[diux]")
        self.assertEqual([text for text in messages() if numbers.search(text)], [])

    def test_every_option_is_described(self):
        source = (TOP / "src/main.c").read_text(encoding="utf-8")
        options = set(re.findall(r'\{"--([a-z-]+)"|\(struct option\)\{"([a-z-]+)"', source))
        names = {a or b for a, b in options}
        self.assertGreaterEqual(len(names), 14)
        described = set(re.findall(r"Fl -([a-z-]+)", part(COMMAND, ".Sh DESCRIPTION", ".Sh SIGN")))
        self.assertEqual(described, names)

    def test_every_example_of_a_file_loads(self):
        blocks = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed", CONF, re.MULTILINE)
        files = [block for block in blocks if "[listener" in block]
        self.assertGreaterEqual(len(files), 4)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, text in enumerate(files):
                if "[certificate" not in text:
                    text += "[certificate main]\ncert = c\nkey = k\n"
                paths.append(Path(folder) / f"{number}.conf")
                paths[-1].write_text(text, encoding="utf-8")
            done = subprocess.run([*FACTS, *paths], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc_finds_nothing_to_warn_about(self):
        for page in ("postern.8", "postern-ctl.8", "postern.conf.5"):
            done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", TOP / "docs" / page],
                                  capture_output=True, text=True)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    FACTS = [*shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")), sys.argv.pop(1)]
    unittest.main()
