#!/usr/bin/env python3
"""certs/make-certs: what it makes, and what it never does."""
import grp
import hashlib
import os
import re
import stat
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAKE_CERTS = os.path.join(ROOT, "certs", "make-certs")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True,
                          **options).stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Certs(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dir = os.path.join(scratch.name, "certs")

    def run_it(self, *arguments):
        return subprocess.run([MAKE_CERTS, "--dir", self.dir, *arguments], text=True,
                              capture_output=True)

    def make(self, *arguments):
        result = self.run_it(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def refused(self, code, *arguments):
        result = self.run_it(*arguments)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stderr

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def text(self, name, *fields):
        return openssl("x509", "-in", self.path(name), "-noout", *fields).decode()

    def verify(self, name, *extra):
        return openssl("verify", "-x509_strict", "-CAfile", self.path("ca.pem"), *extra,
                       self.path(name))

    def serial(self):
        return self.text("server/cert.pem", "-serial")

    def test_names_and_addresses_become_entries_of_their_type(self):
        self.make("mqtt.example.org", "*.example.net", "192.0.2.7", "2001:db8::7")
        names = self.text("server/cert.pem", "-ext", "subjectAltName")
        self.assertIn("DNS:mqtt.example.org, DNS:*.example.net, IP Address:192.0.2.7, "
                      "IP Address:2001:DB8:0:0:0:0:0:7", names)
        for check in (["-verify_hostname", "mqtt.example.org"], ["-verify_hostname", "a.example.net"],
                      ["-verify_ip", "192.0.2.7"], ["-verify_ip", "2001:db8::7"]):
            self.verify("server/cert.pem", "-purpose", "sslserver", *check)

    def test_a_name_that_was_not_given_does_not_verify(self):
        self.make("mqtt.example.org")
        with self.assertRaises(subprocess.CalledProcessError):
            self.verify("server/cert.pem", "-verify_hostname", "other.example.org")

    def test_everybody_can_read_the_cas_certificate_and_nothing_else(self):
        self.make("a.lan")
        self.make("--client", "gateway-1")
        public = {self.dir: 0o755, self.path("ca.pem"): 0o644}
        for folder, folders, files in os.walk(self.dir):
            for name in [".", *folders, *files]:
                path = os.path.normpath(os.path.join(folder, name))
                if not os.path.islink(path):
                    wanted = public.get(path, 0o700 if os.path.isdir(path) else 0o600)
                    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), wanted, path)

    def test_a_folder_that_was_there_keeps_its_mode(self):
        os.mkdir(self.dir, 0o700)
        self.make("a.lan")
        self.assertEqual(stat.S_IMODE(os.stat(self.dir).st_mode), 0o700)

    def test_validity_is_ten_years_for_the_ca_and_825_days_for_the_server(self):
        self.make("a.lan")
        day = 86400
        for name, days in (("ca.pem", 3650), ("server/cert.pem", 825)):
            self.text(name, "-checkend", str((days - 1) * day))
            with self.assertRaises(subprocess.CalledProcessError):
                self.text(name, "-checkend", str(days * day))

    def test_a_second_call_renews_for_the_same_names_with_the_same_key(self):
        self.make("mqtt.example.org", "192.0.2.7", "::1")
        before = {name: read(self.path(name)) for name in ("ca.pem", "ca-key.pem")}
        old_names = self.text("server/cert.pem", "-ext", "subjectAltName")
        old_key, old_serial = read(self.path("server/privkey.pem")), self.serial()
        self.make()
        for name, content in before.items():
            self.assertEqual(read(self.path(name)), content)
        self.assertNotEqual(self.serial(), old_serial)
        self.assertEqual(self.text("server/cert.pem", "-ext", "subjectAltName"), old_names)
        self.assertEqual(read(self.path("server/privkey.pem")), old_key)
        self.verify("server/cert.pem")

    def test_other_names_replace_the_previous_names(self):
        self.make("a.lan")
        self.make("b.lan")
        self.assertNotIn("a.lan", self.text("server/cert.pem", "-text"))

    def test_certificate_and_key_change_in_one_step(self):
        self.make("a.lan")
        first = os.path.realpath(self.path("server/current"))
        with open(os.path.join(first, "cert.pem"), "rb") as held:
            self.make("--new-key")
            self.assertNotEqual(os.path.realpath(self.path("server/current")), first)
            for name in ("cert.pem", "privkey.pem"):
                self.assertEqual(os.readlink(self.path("server", name)), "current/" + name)
            self.assertEqual(held.read(), read(os.path.join(first, "cert.pem")))
        public = openssl("pkey", "-in", self.path("server/privkey.pem"), "-pubout").decode()
        self.assertEqual(self.text("server/cert.pem", "-pubkey"), public)

    def test_only_the_previous_generation_is_kept(self):
        for _ in range(4):
            self.make("a.lan")
        folders = [name for name in os.listdir(self.path("server")) if "Z." in name]
        self.assertEqual(len(folders), 2, folders)

    def test_the_servers_folder_works_wherever_it_is_mounted(self):
        self.make("a.lan")
        moved = self.dir + "-mounted"
        os.rename(self.path("server"), moved)
        self.assertIn(b"BEGIN", read(os.path.join(moved, "privkey.pem")))
        self.assertFalse(os.path.exists(os.path.join(moved, "ca-key.pem")))

    def test_key_types(self):
        self.make("--rsa", "a.lan")
        self.assertIn("Public-Key: (2048 bit)", self.text("server/cert.pem", "-text"))
        self.make("--ecdsa", "--as", "server-ecdsa", "a.lan")
        self.assertIn("NIST CURVE: P-256", self.text("server-ecdsa/cert.pem", "-text"))
        self.verify("server/cert.pem")
        self.verify("server-ecdsa/cert.pem")
        self.make()
        self.assertIn("Public-Key: (2048 bit)", self.text("server/cert.pem", "-text"))

    def test_a_new_key_type_warns_that_fingerprints_change(self):
        self.make("--ecdsa", "a.lan")
        self.assertIn("fingerprints", self.make("--rsa"))

    def test_a_half_missing_ca_is_not_replaced(self):
        self.make("a.lan")
        for name in ("ca.pem", "ca-key.pem"):
            aside = self.path(name) + ".aside"
            os.rename(self.path(name), aside)
            serial = self.serial()
            self.assertIn("without", self.refused(1, "a.lan"))
            self.assertFalse(os.path.exists(self.path(name)))
            self.assertEqual(self.serial(), serial)
            os.rename(aside, self.path(name))

    def test_a_ca_key_of_another_ca_is_refused(self):
        self.make("a.lan")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                self.path("ca-key.pem"))
        self.assertIn("is not the key of", self.refused(1))

    def test_client_certificates_are_for_clients_alone(self):
        output = self.make("--client", "gateway-1")
        self.assertIn("client_auth = required", output)
        self.verify("clients/gateway-1/cert.pem", "-purpose", "sslclient")
        with self.assertRaises(subprocess.CalledProcessError):
            self.verify("clients/gateway-1/cert.pem", "-purpose", "sslserver")
        subject = self.text("clients/gateway-1/cert.pem", "-subject")
        self.assertEqual(subject.replace(" ", ""), "subject=CN=gateway-1\n")

    def test_bad_arguments_change_nothing(self):
        for code, arguments, message in (
                (2, [], "which names"), (2, ["--nonsense"], "unknown option --nonsense"),
                (2, ["--client"], "needs a value"), (2, ["--client", "a/../b"], "client's name"),
                (2, ["--client", "+"], "client's name"), (2, ["--client", "a", "b"], "no further"),
                (2, ["--client", "a\n../../../b"], "control character"),
                (2, ["--client", "a\n"], "control character"),
                (2, ["--client", "a\x1b[2J"], "control character"),
                (2, ["--as", "a\n../../b", "a.lan"], "control character"),
                (2, ["--group", "a\tb", "a.lan"], "control character"),
                (2, ["--as", "../x", "a.lan"], "folder's name"),
                (1, ["a b"], "not a host name"), (1, ["a..b"], "not a host name"),
                (1, ["a,DNS:b"], "not a host name"), (1, ["x" * 64 + ".lan"], "not a host name"),
                (1, ["a.lan:8883"], "a.lan:8883 (leave out the port"),
                (1, ["192.0.2.7:8883"], "leave out the port"),
                (1, ["[2001:db8::7]:8883"], "leave out brackets and port"),
                (1, ["mqtts://a.lan"], "mqtts://a.lan (leave out the scheme"),
                (1, ["https://a.lan:8883/"], "leave out the scheme"),
                (1, ["300.1.1.1"], "not a host name"), (1, ["1.2.3"], "not a host name"),
                (1, ["2001:db8::zz"], "2001:db8::zz"), (1, ["::1,DNS:b"], "not a host name"),
                (1, ["*.lan"], "not a host name"), (1, ["a\nb"], "line break"),
                (1, ["a.lan\n"], "line break"), (1, ["a\r"], "control character"),
                (1, ["1.2.3.4\n5.6.7.8"], "line break")):
            with self.subTest(arguments=arguments):
                said = self.refused(code, *arguments)
                self.assertIn(message, said)
                self.assertNotRegex(said, r"[\x00-\x09\x0b-\x1f\x7f]")
                for folder in (self.dir, os.path.dirname(self.dir)):
                    if os.path.exists(folder):
                        self.assertLessEqual(set(os.listdir(folder)), {"certs", "clients"})

    def test_a_folder_with_a_control_character_is_refused(self):
        done = subprocess.run([MAKE_CERTS, "--dir", self.dir + "\n/x", "a.lan"], text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(os.listdir(os.path.dirname(self.dir)), [])

    def test_values_are_neither_options_nor_shortcuts_of_the_shell(self):
        self.assertRegex(self.refused(1, "--group", "--reference=/etc/passwd", "a.lan"),
                         "(no|files to) group --reference=")
        scratch = os.path.dirname(self.dir)
        elsewhere = os.path.join(scratch, "elsewhere")
        os.makedirs(os.path.join(elsewhere, "sub"))
        variables = {**os.environ, "CDPATH": elsewhere, "OLDPWD": elsewhere}
        for folder in ("sub", "-", "-P"):
            done = subprocess.run([MAKE_CERTS, "--dir", folder, "a.lan"], text=True,
                                  capture_output=True, cwd=scratch, env=variables)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("ca.pem", os.listdir(os.path.join(scratch, folder)))
        self.assertEqual(os.listdir(elsewhere), ["sub"])
        self.assertEqual(os.listdir(os.path.join(elsewhere, "sub")), [])

    def test_long_names_fit(self):
        name = ".".join(["a" * 40] * 4)
        self.make(name)
        self.verify("server/cert.pem", "-verify_hostname", name)

    @unittest.skipIf(os.getuid() != 0, "only root may give files to any group")
    def test_a_group_can_read_the_server_pair_but_not_the_ca_key(self):
        group = grp.getgrgid(1).gr_name
        for folder, owner in ((0o755, 0), (0o750, 1)):
            with self.subTest(folder=folder):
                if folder == 0o750:
                    self.dir += "-private"
                    os.mkdir(self.dir, 0o700)
                self.make("--group", group, "a.lan")
                self.make()
                for name, mode, gid in ((".", folder, owner), ("server/", 0o750, 1),
                                        ("server/privkey.pem", 0o640, 1), ("ca.pem", 0o644, 0),
                                        ("ca-key.pem", 0o600, 0)):
                    status = os.stat(self.path(name))
                    self.assertEqual(stat.S_IMODE(status.st_mode), mode, name)
                    self.assertEqual(status.st_gid, gid, name)

    def test_after_a_group_that_does_not_exist_the_right_one_works(self):
        self.assertIn("no group no-such-group: run systemd-sysusers first",
                      self.refused(1, "--group", "no-such-group", "a.lan"))
        self.assertEqual(os.listdir(self.dir), [])
        self.make("--group", grp.getgrgid(os.getgid()).gr_name, "a.lan")
        self.verify("server/cert.pem")

    def test_a_renewal_that_fails_leaves_the_previous_pair(self):
        self.make("a.lan")
        before, names = self.serial(), sorted(os.listdir(self.path("server")))
        tools = os.path.join(os.path.dirname(self.dir), "tools")
        os.mkdir(tools)
        # The first call is the check; the second one would give away the new pair.
        with open(os.path.join(tools, "chgrp"), "w", encoding="ascii") as file:
            file.write('#!/bin/sh\n[ -e "$0.called" ] && exit 1\n: >"$0.called"\n')
        os.chmod(os.path.join(tools, "chgrp"), 0o755)
        path = {**os.environ, "PATH": tools + ":" + os.environ["PATH"]}
        done = subprocess.run([MAKE_CERTS, "--dir", self.dir, "--group", "x"], env=path, text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(self.serial(), before)
        self.assertEqual(sorted(os.listdir(self.path("server"))), names)
        self.make()

    def test_what_clients_need_is_printed(self):
        output = self.make("mqtt.example.org")
        for piece in ("mosquitto_pub -h mqtt.example.org -p 8883 --cafile", "Node-RED", "MQTT.fx",
                      "MqttFingerprint1"):
            self.assertIn(piece, output)

    def tasmota(self, output):
        match = re.search(r"MqttFingerprint1 ((?:[0-9A-F]{2} ){19}[0-9A-F]{2})$", output, re.M)
        self.assertIsNotNone(match, output)
        return bytes.fromhex(match.group(1))

    def test_the_fingerprint_is_tasmotas_for_rsa(self):
        output = self.make("--rsa", "a.lan")
        modulus = bytes.fromhex(self.text("server/cert.pem", "-modulus").split("=")[1])
        parts = (b"ssh-rsa", b"\x01\x00\x01", modulus)
        want = hashlib.sha1(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()
        self.assertEqual(self.tasmota(output), want)

    def test_the_fingerprint_is_tasmotas_for_ecdsa(self):
        output = self.make("--ecdsa", "a.lan")
        text = self.text("server/cert.pem", "-text")
        point = bytes.fromhex(re.sub(r"[^0-9a-f]", "", re.search(
            r"pub:\n(.*?)ASN1", text, re.S).group(1)))
        self.assertEqual(len(point), 65)
        parts = (b"ecdsa-sha2-nistp256", point)
        want = hashlib.sha1(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()
        self.assertEqual(self.tasmota(output), want)


if __name__ == "__main__":
    unittest.main()
