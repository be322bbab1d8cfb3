"""SECURITY.md says which macros keep a flaw of the library out of our build. The build must agree.

usage: test_security.py COMPILER...
"""

import re
import subprocess
import sys
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TEXT = (TOP / "SECURITY.md").read_text(encoding="utf-8")
CLAIM = re.compile(r"`([A-Z][A-Z0-9_]+)` (on|off)\b")
WRAP = (TOP / "subprojects/wolfssl.wrap").read_text(encoding="utf-8")
COMPILER = None  # set below


def wrap_value(key):
    return re.search(rf"^{key} *= *(.*(?:\n +.*)*)", WRAP, re.MULTILINE).group(1)


def unfixed():
    """The rows of the table of flaws that the library's release still has."""
    part = TEXT[TEXT.index("### Published for"):TEXT.index("### Fixed in")]
    return [line for line in part.splitlines() if line.startswith("| CVE-")]


def defined():
    """Every macro that is defined once the library's settings are known."""
    library = TOP / "subprojects" / wrap_value("directory")
    done = subprocess.run([*COMPILER, "-I", library, "-DWOLFSSL_USER_SETTINGS", "-dM", "-E", "-"],
                          input="#include <wolfssl/wolfcrypt/settings.h>\n", check=True,
                          capture_output=True, text=True)
    return set(re.findall(r"^#define (\w+)", done.stdout, re.MULTILINE))


class Security(unittest.TestCase):
    def test_each_macro_is_as_the_table_says(self):
        macros = defined()
        self.assertIn("WOLFSSL_TLS13", macros)
        claims = [claim for row in unfixed() for claim in CLAIM.findall(row)]
        self.assertGreater(len(claims), 10)
        for macro, state in claims:
            self.assertEqual(macro in macros, state == "on", macro)

    def test_each_flaw_is_listed_once(self):
        numbers = []
        for row in re.findall(r"^\| (CVE-.*?) \|", TEXT, re.MULTILINE):
            numbers += re.findall(r"-(\d+)(?:,|$)", row)
        self.assertGreater(len(numbers), 80)
        self.assertEqual(sorted(numbers), sorted(set(numbers)))

    def test_each_change_that_it_names_is_applied_to_the_library(self):
        for name in re.findall(r"`([\w-]+\.diff)`", TEXT):
            self.assertIn(f"wolfssl/{name}", wrap_value("diff_files"))

    def test_it_is_about_the_release_that_is_built(self):
        release = re.fullmatch(r"wolfssl-([\d.]+)-stable", wrap_value("directory")).group(1)
        self.assertIn(f"built with wolfSSL {release} ", TEXT)
        self.assertIn(f"### Published for {release}\n", TEXT)


if __name__ == "__main__":
    COMPILER = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
