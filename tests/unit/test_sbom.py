"""The software bill of materials names what the program consists of.

    test_sbom.py PROGRAM SBOM SCRIPT WRAP
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SBOM, SCRIPT, WRAP = sys.argv[1:5]
# How meson runs a program of another machine.
EMULATOR = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))


class Sbom(unittest.TestCase):
    def setUp(self):
        with open(SBOM, encoding="utf-8") as file:
            self.document = json.load(file)
        self.packages = {package["name"]: package for package in self.document["packages"]}
        self.version = subprocess.run([*EMULATOR, PROGRAM, "--version"], check=True,
                                      capture_output=True, text=True).stdout

    def links(self, package):
        return {link["relationshipType"] for link in self.document["relationships"]
                if link["relatedSpdxElement"] == f"SPDXRef-{package}"}

    def test_the_versions_are_those_that_the_program_reports(self):
        for name, package in (("Postern", "postern"), ("wolfSSL", "wolfssl"), ("libuv", "libuv")):
            reported = re.search(rf"^{name} ([0-9.]+)", self.version, re.M)[1]
            self.assertEqual(self.packages[package]["versionInfo"], reported)

    def test_each_library_is_named_with_how_it_is_linked(self):
        built_in = "of the distribution" not in self.version
        self.assertEqual(self.links("wolfssl"), {"STATIC_LINK" if built_in else "DYNAMIC_LINK"})
        self.assertEqual(self.links("libuv"), {"DYNAMIC_LINK"})
        self.assertEqual(self.links("inih"), {"DYNAMIC_LINK"})
        if "libmicrohttpd" in self.packages:
            self.assertEqual(self.links("libmicrohttpd"), {"DYNAMIC_LINK"})
        if "libseccomp" in self.packages:
            self.assertEqual(self.links("libseccomp"), {"DYNAMIC_LINK"})
        self.assertRegex(self.packages["inih"]["versionInfo"], "^[0-9]+$")
        self.assertEqual("checksums" in self.packages["wolfssl"], built_in)

    def test_the_program_s_licence_is_that_of_the_combination(self):
        self.assertEqual(self.packages["postern"]["licenseDeclared"], "GPL-2.0-or-later")
        self.assertEqual(self.packages["postern"]["licenseConcluded"],
                         self.packages["wolfssl"]["licenseDeclared"])

    def test_what_spdx_requires_is_there(self):
        self.assertEqual(self.document["spdxVersion"], "SPDX-2.3")
        self.assertEqual(self.document["dataLicense"], "CC0-1.0")
        self.assertRegex(self.document["creationInfo"]["created"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(self.document["documentNamespace"], "^https://[^#]+$")
        elements = {self.document["SPDXID"]} | {p["SPDXID"] for p in self.document["packages"]}
        for element in elements:
            self.assertRegex(element, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for link in self.document["relationships"]:
            self.assertLessEqual({link["spdxElementId"], link["relatedSpdxElement"]}, elements)
        for package in self.document["packages"]:
            for field in ("name", "downloadLocation", "licenseDeclared", "copyrightText"):
                self.assertTrue(package[field])


class Script(unittest.TestCase):
    def write(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "sbom.json")
            subprocess.run([sys.executable, SCRIPT, output, WRAP, *arguments], check=True,
                           env={**os.environ, "SOURCE_DATE_EPOCH": "1795600000"})
            with open(output, "rb") as file:
                return file.read()

    def test_the_same_build_has_the_same_bytes_and_another_has_another_name(self):
        first = self.write("1.0.0", "own", "5.9.2", "libuv=1.44.2", "inih=55")
        self.assertEqual(self.write("1.0.0", "own", "5.9.2", "libuv=1.44.2", "inih=55"), first)
        other = self.write("1.0.0", "own", "5.9.2", "libuv=1.50.0", "inih=55")
        self.assertNotEqual(json.loads(other)["documentNamespace"],
                            json.loads(first)["documentNamespace"])
        self.assertEqual(json.loads(first)["creationInfo"]["created"], "2026-11-25T09:46:40Z")

    def test_a_library_that_the_build_is_without_is_not_named(self):
        names = [package["name"] for package in json.loads(
            self.write("1.0.0", "own", "5.9.2", "libuv=1.44.2", "inih=55"))["packages"]]
        self.assertNotIn("libmicrohttpd", names)

    def test_a_tarball_has_its_checksum_and_contains_the_library_s_source(self):
        with tempfile.TemporaryDirectory() as folder:
            tarball = os.path.join(folder, "postern-1.0.0.tar.gz")
            with open(tarball, "wb") as file:
                file.write(b"bytes")
            document = json.loads(self.write("1.0.0", tarball))
        postern, wolfssl, libuv = document["packages"][:3]
        self.assertEqual(postern["packageFileName"], "postern-1.0.0.tar.gz")
        self.assertEqual(postern["checksums"][0]["checksumValue"],
                         hashlib.sha256(b"bytes").hexdigest())
        with open(WRAP, encoding="utf-8") as file:
            self.assertIn(f"directory = wolfssl-{wolfssl['versionInfo']}-stable\n", file.readlines())
        self.assertNotIn("versionInfo", libuv)
        self.assertEqual([link["relationshipType"] for link in document["relationships"][:3]],
                         ["DESCRIBES", "CONTAINS", "DEPENDS_ON"])

    def test_older_libraries_of_a_distribution_are_under_version_2(self):
        old = json.loads(self.write("1.0.0", "system", "5.5.4", "libuv=1.44.2", "inih=55"))
        self.assertEqual(old["packages"][0]["licenseConcluded"], "GPL-2.0-or-later")


class Image(unittest.TestCase):
    """What docker/build.sh adds for a container image."""

    def test_the_image_contains_the_program_and_the_distribution_s_packages(self):
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, "image.json")
            subprocess.run([sys.executable, os.path.join(os.path.dirname(SCRIPT), "image_sbom.py"),
                            SBOM, output, "arm64", "libuv1=1.44.2-1+deb12u1", "libc6=2:2.36-9"],
                           check=True)
            with open(output, encoding="utf-8") as file:
                image = json.load(file)
        with open(SBOM, encoding="utf-8") as file:
            program = json.load(file)
        self.assertEqual(image["packages"][:len(program["packages"])], program["packages"])
        self.assertNotEqual(image["documentNamespace"], program["documentNamespace"])
        added = {package["name"]: package for package in image["packages"]}
        self.assertEqual(added["libuv1"]["versionInfo"], "1.44.2-1+deb12u1")
        self.assertRegex(added["libc6"]["externalRefs"][0]["referenceLocator"],
                         r"^pkg:deb/[a-z]+/libc6@2%3A2\.36-9\?arch=arm64$")
        self.assertEqual(added["postern-image"]["licenseConcluded"],
                         added["postern"]["licenseConcluded"])
        contents = {link["relatedSpdxElement"] for link in image["relationships"]
                    if (link["spdxElementId"], link["relationshipType"])
                    == ("SPDXRef-image", "CONTAINS")}
        self.assertEqual(contents, {added[name]["SPDXID"]
                                    for name in ("postern", "libuv1", "libc6")})
        names = [package["SPDXID"] for package in image["packages"]]
        self.assertEqual(len(set(names)), len(names))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
