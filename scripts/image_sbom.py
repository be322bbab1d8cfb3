"""Adds what a container image has beside the program to the program's bill of materials.

    image_sbom.py SBOM OUTPUT ARCHITECTURE PACKAGE=VERSION...

SBOM is what scripts/sbom.py wrote. The packages are those of the distribution that the image's
libraries come from; their licences are described by the copyright files in the image.
"""

import json
import platform
import re
import sys
import urllib.parse

import sbom


def distribution():
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return "debian"


def library(name, version, architecture):
    """Apart from the library's own package in SBOM, which has the version of its upstream."""
    purl = (f"pkg:deb/{distribution()}/{urllib.parse.quote(name)}@{urllib.parse.quote(version, safe='.-~')}"
            f"?arch={architecture}")
    identifier = re.sub("[^A-Za-z0-9.-]", "-", f"deb-{name}")
    found = sbom.package(identifier, version, "NOASSERTION", "NOASSERTION", purl)
    found["name"] = name
    found["comment"] = f"/usr/share/doc/postern/{name}-copyright in the image has its licence."
    return found


def main():
    source, output, architecture, *packages = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        contents = json.load(file)
    program = next(package for package in contents["packages"] if package["name"] == "postern")
    version = program["versionInfo"]
    contents["name"] = f"postern-image-{version}-{architecture}"
    image = sbom.package("image", version, program["licenseDeclared"], "NOASSERTION",
                         f"pkg:oci/postern?arch={architecture}",
                         primaryPackagePurpose="CONTAINER",
                         licenseConcluded=program["licenseConcluded"])
    image["name"] = "postern-image"
    libraries = [library(*item.split("=", 1), architecture) for item in packages]
    contents["packages"] += [image, *libraries]
    contents["relationships"] += [
        sbom.relationship("DOCUMENT", "DESCRIBES", "image"),
        sbom.relationship("image", "CONTAINS", "postern"),
        *(sbom.relationship("image", "CONTAINS", "deb-" + item["name"]) for item in libraries)]
    sbom.identify(contents)
    sbom.write(contents, output)


if __name__ == "__main__":
    main()
