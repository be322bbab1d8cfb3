"""What the pages for engineers name exists: files, functions, tests, options of ./dev."""

import re
import subprocess
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / name for name in ("docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md")]

FILE = re.compile(r"^[\w./*-]+\.(?:c|h|py|md|build|wrap|diff|txt|conf|5|8)$|^(?:src|tests)/[\w/]+$")
FUNCTION = re.compile(r"^[a-z]+(?:_[a-z0-9]+)+$")

# Names that stand for what the reader chooses.
PLACEHOLDERS = {"tests/fuzz/fuzz_NAME.c", "tests/fuzz/corpus/NAME", "room_verb"}

LIBRARY = sorted((TOP / "subprojects").glob("wolfssl-*"))
LIBRARY_FILES = {"src/internal.c", "src/ssl.c", "src/ssl_certman.c", "src/ssl_sess.c",
                 "src/x509_str.c", "wolfcrypt/src/asn.c"}


def words(page):
    """What stands in backticks, outside of indented commands."""
    text = re.sub(r"^    .*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def identifiers():
    """Every word of our sources, and the names of the tests."""
    texts = [(TOP / name).read_text("utf-8")
             for name in ("subprojects/wolfssl.wrap", "tests/fuzz/meson.build")]
    for folder in ("src", "subprojects/packagefiles"):
        texts += [file.read_text("utf-8", "replace") for file in sorted((TOP / folder).rglob("*"))
                  if file.is_file()]
    names = set(re.findall(r"[A-Za-z_]\w+", "\n".join(texts)))
    for file in (TOP / "tests").glob("*/*.py"):
        names |= set(re.findall(r"\bdef (\w+)", file.read_text("utf-8")))
    return names


def exists(name):
    """In the project, or among the library's sources where these are unpacked."""
    if name in LIBRARY_FILES:
        return not LIBRARY or (LIBRARY[0] / name).exists()
    places = [TOP, TOP / "subprojects/packagefiles/wolfssl", TOP / "docs"]
    return any((place / name).exists() for place in places)


def anchors(page):
    """What a link can name in a page: its headings, as the forges make anchors of them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


class Pages(unittest.TestCase):
    maxDiff = None

    def test_every_file_that_is_named_exists(self):
        named = {w for page in PAGES for w in words(page) if FILE.match(w)} - PLACEHOLDERS
        self.assertGreater(len(named), 40)
        self.assertEqual([w for w in sorted(named) if not exists(w)], [])

    def test_every_function_and_key_that_is_named_is_in_the_sources(self):
        named = {w for page in PAGES for w in words(page) if FUNCTION.match(w)} - PLACEHOLDERS
        self.assertGreater(len(named), 80)
        self.assertEqual(sorted(named - identifiers()), [])

    def test_functions_are_in_the_files_that_are_named_for_them(self):
        """`function` in `file`, `function` (`file`), and the rows of tables that name both."""
        pairs = []
        for page in PAGES:
            text = page.read_text("utf-8").replace("\n", " ")
            pairs += re.findall(r"`([a-z]\w+)` (?:in |\()`(src/[\w/.]+\.[ch])`", text)
        for row in re.findall(r"^\|.*\|$", PAGES[0].read_text("utf-8"), re.MULTILINE):
            files = " ".join(re.findall(r"`(src/[\w/.]+\.c)`", row))
            pairs += [(name, files) for name in re.findall(r"`(\w+_\w+)`", row) if files]
        keys = re.findall(r'\{"(\w+)",', (TOP / "src/config/config.c").read_text("utf-8"))
        pairs = [(name, files) for name, files in pairs
                 if name not in keys and files not in LIBRARY_FILES]
        self.assertGreater(len(pairs), 25)
        for function, files in pairs:
            found = any(re.search(rf"\b{function}\b", (TOP / file).read_text("utf-8"))
                        for file in files.split())
            self.assertTrue(found, f"{function} in {files}")

    def test_every_link_within_the_project_leads_somewhere(self):
        for page in [*sorted(TOP.glob("*.md")), *sorted(TOP.glob("docs/*.md"))]:
            for target, anchor in re.findall(r"\]\(([^)#:]*)#?([\w-]*)\)", page.read_text("utf-8")):
                file = page.parent / target if target else page
                self.assertTrue(file.exists(), f"{page.name}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(file), f"{page.name}: {target}#{anchor}")

    def test_every_verb_of_dev_is_one(self):
        text = subprocess.run([TOP / "dev", "help"], capture_output=True, text=True).stdout
        for page in [*PAGES, TOP / "README.md"]:
            for verb in re.findall(r"\./dev ([a-z]+)", page.read_text("utf-8")):
                self.assertIn(f"./dev {verb}", text, page.name)


if __name__ == "__main__":
    unittest.main()
