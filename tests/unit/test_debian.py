"""The files of the packages, Debian's and RPM's, agree with the project's."""

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


def least_versions():
    """Of meson and of the libraries, as meson.build wants them."""
    build = read("meson.build")
    return {"meson": re.search("meson_version: .>=(.*).,", build)[1],
            **dict(re.findall(r"= dependency\('(\w+)', version: '>=([0-9.]+)'", build))}


def startable_units():
    return {path.name for path in (TOP / "systemd").glob("postern*.[st]*")
            if "[Install]" in path.read_text("utf-8")}


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
        least = least_versions()
        control = read("debian/control")
        for package, name in (("meson", "meson"), ("libuv1-dev", "libuv"),
                              ("libmicrohttpd-dev", "libmicrohttpd"),
                              ("libseccomp-dev", "libseccomp")):
            self.assertIn(f" {package} (>= {least[name]}),\n", control)

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

    def test_a_removal_stops_every_unit_that_an_administrator_can_start(self):
        stopped = re.findall(r"[\w-]+\.(?:service|socket|timer)", read("debian/postern.prerm"))
        self.assertEqual(set(stopped), startable_units())

    def test_the_example_is_the_configuration(self):
        self.assertIn("config/postern.conf etc/postern", read("debian/install").splitlines())

    def test_it_has_the_pages_that_users_are_sent_to(self):
        named = set(re.findall(r"\]\((docs/[\w-]+\.md)", read("README.md")))
        self.assertLessEqual(named - {"docs/architecture.md"}, set(read("debian/postern.docs").split()))

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


class Rpm(unittest.TestCase):
    SPEC = read("scripts/postern.spec")

    def test_its_version_is_the_project_s(self):
        self.assertIn(f"\nVersion:        {version()}\n", self.SPEC)

    def test_it_names_the_library_inside(self):
        library = re.search("^directory = wolfssl-(.*)-stable$", read("subprojects/wolfssl.wrap"), re.M)
        self.assertIn(f"\nProvides:       bundled(wolfssl) = {library[1]}\n", self.SPEC)

    def test_it_needs_what_the_build_needs(self):
        least = least_versions()
        self.assertIn(f" meson >= {least.pop('meson')}\n", self.SPEC)
        del least["wolfssl"]
        self.assertEqual(sorted(least), ["libmicrohttpd", "libseccomp", "libuv"])
        for name, number in least.items():
            self.assertIn(f" pkgconfig({name}) >= {number}\n", self.SPEC)

    def test_it_has_every_unit(self):
        for scriptlet in ("systemd_post", "systemd_preun"):
            units = re.search(f"^%{scriptlet} (.*)", self.SPEC, re.M)[1].split()
            self.assertEqual(set(units), startable_units())


if __name__ == "__main__":
    unittest.main(verbosity=2)
