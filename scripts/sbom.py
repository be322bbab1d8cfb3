"""Writes a software bill of materials: SPDX 2.3 as JSON.

    sbom.py OUTPUT WRAP VERSION own|system WOLFSSL LIBRARY=VERSION...
    sbom.py OUTPUT WRAP VERSION TARBALL

WRAP is subprojects/wolfssl.wrap. The first is about a build, and meson.build calls it: the versions are
those that the program was built with, of wolfSSL and of each library in LIBRARIES below that it is
linked with. The second is about a source tarball, which contains wolfSSL's, and scripts/release.sh
calls it. The same arguments and SOURCE_DATE_EPOCH make the same file.
"""

import configparser
import datetime
import hashlib
import json
import os
import re
import sys
import uuid

NAMESPACE = "https://spdx.org/spdxdocs"
# wolfSSL's ChangeLog: version 3 of the GPL instead of version 2 since this release.
WOLFSSL_GPL3 = (5, 8, 2)

# Linked dynamically: the licence, the package's name, and what the tag of a version begins with.
LIBRARIES = {
    "libuv": ("MIT", "pkg:github/libuv/libuv", "v"),
    "inih": ("BSD-3-Clause", "pkg:github/benhoyt/inih", "r"),
    "libmicrohttpd": ("LGPL-2.1-or-later", "pkg:generic/libmicrohttpd", ""),
    "libseccomp": ("LGPL-2.1-only", "pkg:github/seccomp/libseccomp", "v"),
}


def created():
    """Debian's tools set the variable to the time of the newest entry of debian/changelog."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    utc = datetime.timezone.utc
    now = datetime.datetime.fromtimestamp(int(epoch), utc) if epoch else datetime.datetime.now(utc)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def package(name, version, licence, location, purl, **more):
    """What SPDX calls a package. Nobody has read these sources file by file for their licences, so
    none is concluded unless `more` does."""
    return {
        "SPDXID": f"SPDXRef-{name}",
        "name": name,
        "versionInfo": version,
        "licenseDeclared": licence,
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "downloadLocation": location,
        "filesAnalyzed": False,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": purl}],
        **more,
    }


def wolfssl_licence(version):
    numbers = tuple(int(part) for part in version.split("."))
    return "GPL-3.0-or-later" if numbers >= WOLFSSL_GPL3 else "GPL-2.0-or-later"


def wolfssl(wrap, version, own):
    found = package("wolfssl", version, wolfssl_licence(version), "NOASSERTION",
                    f"pkg:github/wolfSSL/wolfssl@v{version}-stable")
    found["externalRefs"].append({
        "referenceCategory": "SECURITY", "referenceType": "cpe23Type",
        "referenceLocator": f"cpe:2.3:a:wolfssl:wolfssl:{version}:*:*:*:*:*:*:*"})
    if own:
        found["downloadLocation"] = wrap["source_url"]
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": wrap["source_hash"]}]
        found["comment"] = ("The checksum is the source archive's. Built with the changes in "
                            "subprojects/packagefiles/wolfssl of Postern's source.")
    return found


def linked(name, version):
    licence, purl, tag = LIBRARIES[name]
    return package(name, version, licence, "NOASSERTION", f"{purl}@{tag}{version}")


def needed(name):
    """A library of which no version is known: a build decides."""
    licence, purl, _ = LIBRARIES[name]
    found = package(name, "", licence, "NOASSERTION", purl)
    del found["versionInfo"]
    return found


def postern(version, library, **more):
    return package("postern", version, "GPL-2.0-or-later", "NOASSERTION",
                   f"pkg:generic/postern@{version}", licenseConcluded=library["licenseDeclared"],
                   **more)


def of_build(wrap, version, kind, wolfssl_version, *libraries):
    """The packages, and how Postern uses each of the others."""
    own = kind == "own"
    libraries = dict(library.split("=") for library in libraries)
    library = wolfssl(wrap, wolfssl_version, own)
    packages = [postern(version, library, primaryPackagePurpose="APPLICATION"), library,
                *(linked(name, number) for name, number in libraries.items())]
    return packages, {"wolfssl": "STATIC_LINK" if own else "DYNAMIC_LINK",
                      **dict.fromkeys(libraries, "DYNAMIC_LINK")}


def of_tarball(wrap, version, tarball):
    with open(tarball, "rb") as file:
        checksum = hashlib.sha256(file.read()).hexdigest()
    library = wolfssl(wrap, re.fullmatch(r"wolfssl-([0-9.]+)-stable", wrap["directory"])[1], True)
    packages = [postern(version, library, primaryPackagePurpose="SOURCE",
                        packageFileName=os.path.basename(tarball),
                        checksums=[{"algorithm": "SHA256", "checksumValue": checksum}]),
                library, *map(needed, LIBRARIES)]
    return packages, {"wolfssl": "CONTAINS", **dict.fromkeys(LIBRARIES, "DEPENDS_ON")}


def document(version, packages, uses):
    links = [("DOCUMENT", "DESCRIBES", "postern"),
             *(("postern", kind, name) for name, kind in uses.items())]
    contents = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"postern-{version}",
        "creationInfo": {"created": created(), "creators": [f"Tool: postern-sbom-{version}"]},
        "packages": packages,
        "relationships": [relationship(*link) for link in links],
    }
    identify(contents)
    return contents


def relationship(one, kind, other):
    return {"spdxElementId": f"SPDXRef-{one}", "relationshipType": kind,
            "relatedSpdxElement": f"SPDXRef-{other}"}


def identify(contents):
    """Gives the document its own name: other contents must have another one."""
    contents.pop("documentNamespace", None)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE + json.dumps(contents, sort_keys=True))
    contents["documentNamespace"] = f"{NAMESPACE}/{contents['name']}-{identity}"


def write(contents, output):
    with open(output, "w", encoding="utf-8") as file:
        json.dump(contents, file, indent=2)
        file.write("\n")


def main():
    output, wrap_file, version, *about = sys.argv[1:]
    wrap = configparser.ConfigParser(interpolation=None)
    with open(wrap_file, encoding="utf-8") as file:
        wrap.read_file(file)
    of = of_build if about[0] in ("own", "system") else of_tarball
    packages, uses = of(wrap["wrap-file"], version, *about)
    write(document(version, packages, uses), output)


if __name__ == "__main__":
    main()
