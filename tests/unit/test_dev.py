"""The functions of ./dev, where they can be called one by one."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
USER_PATH = "/usr/local/bin:/usr/bin:/bin"  # what Debian gives an ordinary user


def dev(script, cwd=TOP):
    """Runs bash commands that may call what ./dev defines; returns the finished process."""
    return subprocess.run(["bash", "-c", f"source ./dev help >/dev/null\n{script}", "./dev"],
                          cwd=cwd, env={"PATH": USER_PATH, "HOME": "/nonexistent"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Programs(unittest.TestCase):
    def test_an_ordinary_user_finds_the_programs_of_sbin(self):
        done = dev('printf "%s" "$PATH"')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/usr/sbin", done.stdout.split(":"))


class Source(unittest.TestCase):
    """Where wolfSSL's source comes from. The network is a function here."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.tree = Path(scratch.name)
        (self.tree / "subprojects").mkdir()
        shutil.copy(TOP / "dev", self.tree)
        wrap = (TOP / "subprojects/wolfssl.wrap").read_text(encoding="utf-8")
        right = hashlib.sha256(b"right\n").hexdigest()
        (self.tree / "subprojects/wolfssl.wrap").write_text(
            re.sub("(?<=^source_hash = ).*", right, wrap, flags=re.M), encoding="utf-8")
        self.file = self.tree / "subprojects/packagecache" / re.search(
            "^source_filename = (.*)", wrap, re.M)[1]

    def dev(self, script):
        return dev(script, cwd=self.tree)

    def test_the_first_address_with_the_right_bytes_is_used(self):
        done = self.dev("""download() {
            case $1 in
            https://snapshot.debian.org/*) echo right >"$2" ;;
            */pool/*) return 1 ;;
            *) echo wrong >"$2" ;;
            esac
        }
        fill_cache""")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.file.read_text(encoding="ascii"), "right\n")
        self.assertEqual(os.listdir(self.file.parent), [self.file.name])

    def test_no_file_is_left_when_no_address_has_the_source(self):
        done = self.dev('download() { echo wrong >"$2"; }; fill_cache')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(os.listdir(self.file.parent), [])

    def test_a_file_that_is_there_needs_no_network(self):
        self.file.parent.mkdir()
        self.file.write_text("right\n", encoding="ascii")
        self.assertEqual(self.dev("download() { exit 9; }; fill_cache").returncode, 0)

    def test_mirrors_of_any_label_and_the_common_one_are_listed(self):
        done = self.dev("""apt-get() { printf '%s\\n' 'Raspbian|Raspbian|http://a/' \
            'Debian|ours|http://b/debian/' 'Debian|Debian-Security|http://c/' \
            'Debian|Debian|http://d/debian/' 'Debian|Debian|http://d/debian/'; }
        debian_mirrors""")
        self.assertEqual(done.stdout.split(), ["http://d/debian/", "http://b/debian/",
                                               "http://deb.debian.org/debian/"])

    def test_without_apt_there_are_still_addresses(self):
        done = self.dev("apt-get() { return 127; }; source_addresses")
        self.assertGreaterEqual(len(done.stdout.split()), 3)


class Packages(unittest.TestCase):
    """What is asked of apt and sudo; both are functions here."""

    MISSING = "missing_packages() { echo 'gcc check '; }; "

    def test_all_is_installed_by_one_command_as_root(self):
        done = dev(self.MISSING + "id() { echo 1000; }; sudo() { echo sudo; }; need gcc check")
        self.assertEqual((done.returncode, done.stderr.count("\nsudo\n")), (0, 1), done.stderr)

    def test_a_sudo_that_refuses_is_asked_once(self):
        done = dev(self.MISSING + "id() { echo 1000; }; sudo() { echo sudo; return 1; }; "
                   "need gcc check")
        self.assertEqual((done.returncode, done.stderr.count("\nsudo\n")), (1, 1), done.stderr)
        self.assertIn("apt-get install gcc check", done.stderr)

    def test_without_sudo_the_command_for_root_is_shown(self):
        done = dev(self.MISSING + "id() { echo 1000; }; has() { [ $1 != sudo ]; }; need gcc check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("apt-get install gcc check", done.stderr)


class Build(unittest.TestCase):
    def test_the_image_has_the_project_s_version(self):
        project = re.search("version: '(.*)'", (TOP / "meson.build").read_text("utf-8"))[1]
        dockerfile = (TOP / "docker/Dockerfile").read_text("utf-8")
        self.assertEqual(re.search("^ARG VERSION=(.*)", dockerfile, re.M)[1], project)

    def test_tests_are_chosen_by_name(self):
        done = dev("need() { :; }; wolfssl_option() { :; }; configure() { :; }; ninja() { :; }; "
                   "python3() { :; }; meson() { echo meson \"$@\" >&2; }; "
                   "cd \"$(mktemp -d)\"; run_tests --asan config limits; rmdir \"$PWD\"")
        self.assertRegex(done.stderr, "meson test -C build-asan .* config limits\n")
        done = dev("run_tests --nonsense")
        self.assertIn("unknown option --nonsense", done.stderr)

    def test_meson_gets_the_options(self):
        done = dev("need() { :; }; wolfssl_option() { echo -Dwolfssl=system; }; "
                   "meson() { echo meson \"$@\" >&2; }; ninja() { :; }; build --prefix=/usr")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "meson .*-Dwolfssl=system .*--prefix=/usr")

    def test_a_run_lets_nothing_but_mqtt_reach_the_broker(self):
        self.assertIn("\nmqtt = check\n", dev("write_run_config /dev/stdout /tmp").stdout)

    def test_a_package_is_built_without_the_tests_unless_it_is_checked(self):
        with tempfile.TemporaryDirectory() as tree:
            shutil.copy(TOP / "dev", tree)
            for script in ("scripts/package.sh", "tests/package.sh"):
                file = Path(tree) / script
                file.parent.mkdir()
                file.write_text("#!/bin/sh\necho options=$DEB_BUILD_OPTIONS >&2\n")
                file.chmod(0o755)
            prepare = "need() { :; }; fill_cache() { :; }; "
            self.assertIn("options=nocheck", dev(prepare + "package", cwd=tree).stderr)
            self.assertEqual(dev(prepare + "package --check", cwd=tree).stderr, "options=\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
