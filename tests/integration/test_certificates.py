"""Several certificates on one listener: by server name, and by what the client can verify."""

import subprocess

from brokers import echo
from clients import PATIENCE, tls_context
from harness import Case, main, pki

BOTH = ("1.2", "1.3")


def certificate(name, *names, kind="ecdsa"):
    return pki.authority().issue(name, names=names or (name,), kind=kind)


class ByName(Case):
    def setUp(self):
        super().setUp()
        self.certs = {
            "first": certificate("localhost", "localhost", "127.0.0.1"),
            "a": certificate("a.example.org"),
            "b": certificate("b.example.org", "b.example.org", "B2.example.org"),
            "wild": certificate("wild", "*.example.org", "*.deep.example.net"),
        }
        more = "".join(self.certificate_section(n, c) for n, c in self.certs.items())
        self.server = self.postern(self.fake_broker(echo), more=more, listener={
            "certificates": ", ".join(self.certs)})

    def served(self, name, version=None):
        client = self.client(self.server, context=tls_context(None, version), server_name=name)
        serial = client.peer_serial()
        client.close()
        self.last = client
        return next(n for n, c in self.certs.items() if c.serial_hex == serial)

    def test_the_server_name_chooses_the_certificate(self):
        for version in BOTH:
            for name, expected in (
                    ("a.example.org", "a"), ("A.Example.ORG", "a"), ("b.example.org", "b"),
                    ("b2.example.org", "b"), ("c.example.org", "wild"),
                    ("x.deep.example.net", "wild"), ("localhost", "first")):
                with self.subTest(name=name, version=version):
                    self.assertEqual(self.served(name, version), expected)

    def test_a_wildcard_is_for_one_label(self):
        for name in ("x.y.example.org", "example.org", "deep.example.net", "xexample.org"):
            with self.subTest(name=name):
                self.assertEqual(self.served(name), "first")

    def test_an_unknown_or_absent_name_gets_the_first_and_the_log_has_the_name(self):
        self.assertEqual(self.served("elsewhere.example"), "first")
        self.assertEqual(self.server.end_of(self.last)["sni"], "elsewhere.example")
        self.assertEqual(self.served(None), "first")
        self.assertEqual(self.server.end_of(self.last)["sni"], "-")
        self.assertEqual(self.served("127.0.0.1"), "first")

    def test_a_reload_renews_one_of_them(self):
        self.certs["a"] = certificate("a.example.org")
        self.certs["a"].write(self.path("a"))
        self.assertEqual(self.server.reload().name, "reload done")
        for name, expected in (("a.example.org", "a"), ("b.example.org", "b")):
            self.assertEqual(self.served(name), expected)


class ByKeyType(Case):
    def setUp(self):
        super().setUp()
        self.certs = {
            "ecdsa": certificate("mqtt.example.org"),
            "rsa": certificate("mqtt.example.org", kind="rsa"),
            "other": certificate("other.example.org", kind="rsa"),
        }
        more = "".join(self.certificate_section(n, c) for n, c in self.certs.items())
        self.server = self.postern(self.fake_broker(echo), more=more, listener={
            "certificates": ", ".join(self.certs)})

    def served(self, *arguments, name="mqtt.example.org"):
        """The certificate that openssl gets when it connects like this."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", "-servername",
             name, *arguments], input=b"", timeout=PATIENCE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        pem = done.stdout.partition(b"-----BEGIN CERTIFICATE-----")[2]
        self.assertNotEqual(pem, b"", done.stdout)
        text = "-----BEGIN CERTIFICATE-----" + pem.decode().partition("-----END")[0]
        return next(n for n, c in self.certs.items() if c.pem.startswith(text))

    def test_ecdsa_where_the_client_can(self):
        for version in ("-tls1_2", "-tls1_3"):
            self.assertEqual(self.served(version), "ecdsa")

    def test_a_client_that_cannot_verify_ecdsa_gets_rsa(self):
        self.assertEqual(self.served("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "rsa")
        self.assertEqual(self.served("-tls1_2", "-sigalgs", "RSA+SHA256"), "rsa")
        self.assertEqual(self.served("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"), "rsa")

    def test_a_client_that_knows_ecdsa_alone(self):
        self.assertEqual(self.served("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
                         "ecdsa")
        self.assertEqual(self.served("-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"), "ecdsa")

    def test_the_name_comes_before_the_key_type(self):
        self.assertEqual(self.served(name="other.example.org"), "other")

    def test_a_client_with_an_unknown_name_gets_a_key_it_can_verify(self):
        self.assertEqual(self.served(name="elsewhere.example"), "ecdsa")
        self.assertEqual(self.served("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256",
                                     name="elsewhere.example"), "rsa")

    def test_a_tasmota_like_client_is_served(self):
        # TLS 1.2, one suite, SHA-256 and P-256 alone.
        self.assertEqual(self.served("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256",
                                     "-sigalgs", "RSA+SHA256", "-curves", "P-256",
                                     "-maxfraglen", "1024"), "rsa")


if __name__ == "__main__":
    main()
