"""What certbot's choice of keys means for small devices: with a real certbot and an ACME server."""

import hashlib
import os
import re
import shlex
import subprocess
import unittest

import test_certbot
from devices.field import DOWN, UP, Field
from harness import main

DEVICE = os.environ.get("DEVICE_BEARSSL", "")
NAME = test_certbot.NAME
RSA = NAME + "-rsa"


@unittest.skipUnless(DEVICE, "built without BearSSL (libbearssl-dev)")
class Keys(test_certbot.Renewal, Field):
    """Two lineages for one name, in front of a broker with a retained message."""

    def setUp(self):
        super().setUp()
        self.root = self.write("root.pem", self.pebble.root)

    def configure_lineages(self, *names):
        more = "".join(f"[certificate {name}]\ncert = certs/{name}/cert.pem\n"
                       f"chain = certs/{name}/chain.pem\nkey = certs/{name}/privkey.pem\n\n"
                       for name in names)
        self.write("postern.conf", self.config(self.broker, more=more, listener={
            "certificates": ", ".join(names)}))

    def obtain_lineage(self, *arguments):
        self.certbot("certonly", "--standalone", "--agree-tos",
                     "--register-unsafely-without-email", "--domain", NAME, "--deploy-hook",
                     shlex.quote(test_certbot.HOOK), *arguments, reload="true")

    def key_text(self, name):
        return subprocess.run(
            ["openssl", "pkey", "-in", self.path(f"certs/{name}/privkey.pem"), "-noout", "-text"],
            stdout=subprocess.PIPE, text=True, check=True).stdout

    def fingerprint(self):
        """Tasmota's: SHA-1 over type, exponent and modulus, each after its length."""
        modulus = re.search(r"modulus:\s+([0-9a-f:\s]+?)publicExp", self.key_text(RSA))[1]
        modulus = bytes.fromhex(re.sub(r"[:\s]", "", modulus)).lstrip(b"\0")
        parts = (b"ssh-rsa", b"\1\0\1", modulus)
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.sha1(text).hexdigest().upper()

    def device(self, postern, *arguments):
        return self.run_client(DEVICE, "--port", postern.port, "--name", NAME, "--down", DOWN,
                               "--up", UP, *arguments).stdout

    def test_by_default_it_makes_keys_that_older_firmware_refuses(self):
        self.configure_lineages(NAME)
        self.obtain_lineage()
        self.assertIn("NIST CURVE: P-256", self.key_text(NAME))
        postern = self.start(self.conf)
        self.assertEqual(self.device(postern, "--ca", self.root), "alert received (40)\n")
        postern.wait("handshake failed", reason="no_shared_cipher", sni=NAME)
        self.assertIn("10240 bytes, suite c02b", self.device(postern, "--ca", self.root,
                                                             "--ecdsa"))

    def test_an_rsa_lineage_beside_it_serves_every_device(self):
        self.configure_lineages(NAME, RSA)
        self.obtain_lineage()
        self.obtain_lineage("--key-type", "rsa", "--cert-name", RSA)
        postern = self.start(self.conf)
        for suites, found in (([], "c02f"), (["--ecdsa"], "c02b")):
            said = self.device(postern, "--ca", self.root, *suites)
            self.assertIn(f"10240 bytes, suite {found}", said)

    def test_reuse_key_keeps_the_fingerprint(self):
        self.configure_lineages(RSA)
        self.obtain_lineage("--key-type", "rsa", "--cert-name", RSA, "--reuse-key")
        pin = self.fingerprint()
        postern = self.start(self.conf)
        self.assertIn("10240 bytes", self.device(postern, "--fingerprint", pin))
        for arguments, kept in (((), True), (("--no-reuse-key",), False)):
            self.certbot("renew", "--force-renewal", "--no-random-sleep-on-renew", *arguments,
                         reload="true")
            self.assertEqual(postern.reload().name, "reload done")
            self.assertEqual(self.fingerprint() == pin, kept)
            said = self.device(postern, "--fingerprint", pin)
            self.assertIn("10240 bytes" if kept else "handshake failed (62)", said)


def load_tests(loader, _tests, _pattern):
    """Keys alone, and of it what is not inherited."""
    return unittest.TestSuite(Keys(name) for name in vars(Keys) if name.startswith("test_"))


if __name__ == "__main__":
    main()
