"""The files of the Debian package agree with the project's."""

import configparser
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DEBIAN = TOP / "debian"


def read(path):
    return (TOP / path).read_text("utf-8")


def version():
    return re.search("^  version: '(.*)',", read("meson.build"), re.M)[1]


class Package(unittest.TestCase):
    def test_its_version_is_the_project_s(self):
        newest = re.match(r"postern \((.*)-[0-9.]+\) (\w+); ", read("debian/changelog"))
        self.assertEqual(newest[1], version())

    @unittest.skipUnless(shutil.which("dpkg-parsechangelog"), "no dpkg-dev here")
    def test_the_changelog_is_one(self):
        done = subprocess.run(["dpkg-parsechangelog", "--all", "-l", DEBIAN / "changelog"],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")

    def test_it_needs_what_the_build_needs(self):
        build = read("meson.build")
        control = read("debian/control")
        self.assertIn(f"meson (>= {re.search('meson_version: .>=(.*).,', build)[1]})", control)
        libuv = re.search(r"dependency\('libuv', version: '>=(.*)'\)", build)[1]
        self.assertIn(f"libuv1-dev (>= {libuv})", control)
        http = re.search(r"dependency\('libmicrohttpd', version: '>=(.*?)'", build)[1]
        self.assertIn(f"libmicrohttpd-dev (>= {http})", control)

    @unittest.skipUnless(shutil.which("make"), "no make here")
    def test_every_change_of_the_library_is_applied(self):
        """rules reads the wrap with sed, as meson is not asked."""
        wrap = configparser.ConfigParser(interpolation=None)
        wrap.read_string(read("subprojects/wolfssl.wrap"))
        changes = re.split(r",\s*", wrap["wrap-file"]["diff_files"])
        environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
        done = subprocess.run(
            ["make", "--silent", "--file=debian/rules", "--eval=show: ; @echo $(LIBRARY) $(CHANGES)",
             "show"], cwd=TOP, env=environment, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split(),
                         [f"subprojects/{wrap['wrap-file']['directory']}", *changes])

    def test_the_example_is_the_configuration(self):
        self.assertIn("config/postern.conf etc/postern", read("debian/install").splitlines())

    def test_each_licence_that_is_named_is_given(self):
        text = read("debian/copyright")
        paragraphs = re.split(r"\n\n+", text)
        given = {re.match("License: (.*)", p)[1] for p in paragraphs if p.startswith("License: ")}
        named = set()
        for paragraph in paragraphs:
            if paragraph.startswith("Files: "):
                licence = re.search("^License: (.*)((?:\n .*)*)", paragraph, re.M)
                if not licence[2]:
                    named |= set(re.split(" and | or ", licence[1]))
        self.assertEqual(named - given, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
