"""A new value of one of these enums: the compiler names each place that distinguishes them.

gcc and clang report a value that a switch leaves out (-Wswitch), but only where the switch has no
default.
"""

import re
import unittest
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"

# The enums of which CONTRIBUTING says so, each with the file that defines it.
FULL = {"config_client_auth": "config/types.h", "config_identity": "config/types.h",
        "config_proxy_protocol": "config/types.h", "config_mqtt": "config/types.h",
        "config_client_id": "config/types.h", "x509_key": "tls/x509.h"}


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def members(enum, text):
    body = re.search(rf"\benum {enum} \{{(.*?)\}}", without_comments(text), re.S)[1]
    return {word.split("=")[0].strip() for word in body.split(",") if word.strip()}


def block_at(text, start):
    """What stands from start to the end of the block that begins there."""
    depth = 0
    for at in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at]
    raise ValueError("a block without an end")


def switches(text):
    """(labels, whether there is a default) of each switch."""
    text = without_comments(text)
    for found in re.finditer(r"\bswitch\b", text):
        block = block_at(text, found.end())
        yield set(re.findall(r"\bcase (\w+):", block)), re.search(r"\bdefault:", block) is not None


class Switches(unittest.TestCase):
    def setUp(self):
        self.sources = {file: file.read_text(encoding="utf-8") for file in sorted(SRC.rglob("*.c"))}

    def test_no_default_hides_a_new_value(self):
        for enum, header in FULL.items():
            values = members(enum, (SRC / header).read_text(encoding="utf-8"))
            about = [(file.relative_to(SRC), labels, has_default)
                     for file, text in self.sources.items()
                     for labels, has_default in switches(text) if labels & values]
            with self.subTest(enum=enum):
                self.assertGreater(len(values), 2)
                self.assertTrue(about, "no switch distinguishes its values")
                for file, labels, has_default in about:
                    self.assertFalse(has_default, f"{file}: {sorted(labels)} with a default")

    def test_a_default_is_seen(self):
        text = "switch (a) { case X: { b(); } /* default: */ break; default: c(); } switch (d) { case Y: e(); }"
        self.assertEqual(list(switches(text)), [({"X"}, True), ({"Y"}, False)])


if __name__ == "__main__":
    unittest.main()
