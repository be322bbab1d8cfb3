"""`./dev release` writes the version wherever it stands, and a security.txt as RFC 9116 wants it."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCRIPT = (TOP / "scripts/release.sh").read_text("utf-8")


class Release(unittest.TestCase):
    """The functions of scripts/release.sh, in a folder with the files that they change."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.tree = Path(scratch.name)
        for name in ("meson.build", "CHANGELOG.md", "docker/Dockerfile", "debian/changelog",
                     "docker/home-assistant/config.yaml", "debian/control", "docs/security.txt.in",
                     "scripts/release.sh", "scripts/postern.spec", "config/kubernetes/gateway.yaml",
                     "config/kubernetes/sidecar.yaml"):
            (self.tree / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(TOP / name, self.tree / name)
        (self.tree / "CHANGELOG.md").write_text(
            "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- All of it.\n\n## [0.0.1] - 2026-01-01\n",
            encoding="utf-8")

    def function(self, script):
        """Runs bash commands that may call what the script defines."""
        text = SCRIPT[:SCRIPT.index('\nread_arguments "$@"')].replace(
            'cd "$(dirname "$(readlink -f "$0")")/.."', "")
        return subprocess.run(["bash", "-c", f"{text}\nversion=9.8.7\n{script}"], cwd=self.tree,
                              capture_output=True, text=True, timeout=60)

    def file(self, name):
        return (self.tree / name).read_text("utf-8")

    def test_the_version_is_written_wherever_it_stands(self):
        done = self.function("write_version; changes_of 9.8.7")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("\n  version: '9.8.7',\n", self.file("meson.build"))
        self.assertIn("\nARG VERSION=9.8.7\n", self.file("docker/Dockerfile"))
        self.assertIn("\nversion: 9.8.7\n", self.file("docker/home-assistant/config.yaml"))
        self.assertIn("\nVersion:        9.8.7\n", self.file("scripts/postern.spec"))
        for name in ("gateway", "sidecar"):
            self.assertIn("/postern:9.8.7\n", self.file(f"config/kubernetes/{name}.yaml"))
        self.assertRegex(self.file("CHANGELOG.md"),
                         r"## \[Unreleased\]\n\n## \[9.8.7\] - \d{4}-\d\d-\d\d\n\n### Fixed\n")
        self.assertIn("- All of it.", done.stdout)
        self.assertTrue(self.file("debian/changelog").startswith("postern (9.8.7-1) unstable; "))

    def test_a_second_release_has_a_second_entry_in_debian_s_changelog(self):
        done = self.function("write_version; version=9.8.8; write_version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(re.findall(r"^postern \((.*)\)", self.file("debian/changelog"), re.M)[:2],
                         ["9.8.8-1", "9.8.7-1"])

    def security_txt(self, origin, arguments=""):
        done = self.function(f"""git() {{ echo '{origin}'; }}; output=.
            read_arguments 9.8.7 {arguments}; find_contact && write_security_txt""")
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.findall(r"^(\w[\w-]*): (\S+)$", self.file("security.txt"), re.M)

    def test_security_txt_names_the_forge_s_private_report(self):
        for origin, contact in (
                ("git@github.com:o/postern.git", "https://github.com/o/postern/security/advisories/new"),
                ("https://gitlab.com/o/postern",
                 "https://gitlab.com/o/postern/-/issues/new?issue[confidential]=true")):
            fields = dict(self.security_txt(origin))
            self.assertEqual(fields["Contact"], contact)
            self.assertTrue(fields["Policy"].endswith("/blob/v9.8.7/SECURITY.md"))

    def test_security_txt_has_what_rfc_9116_requires(self):
        fields = self.security_txt("nowhere", "--contact https://example.org/report")
        names = [name for name, _ in fields]
        self.assertEqual(sorted(names), ["Contact", "Expires", "Preferred-Languages"])
        self.assertRegex(dict(fields)["Expires"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotIn("@", self.file("security.txt"))

    def test_a_repository_elsewhere_or_nowhere_needs_a_contact(self):
        for git in ("echo /srv/git/postern", "return 2"):
            with self.subTest(git):
                done = self.function(f"git() {{ {git}; }}; find_contact")
                self.assertEqual(done.returncode, 1)
                self.assertIn("--contact", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
