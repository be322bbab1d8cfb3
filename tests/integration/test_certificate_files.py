"""Certificates and keys as people have them: odd line ends and labels, other formats, more in a
file than belongs there, and what clients may refuse."""

import contextlib
import os
import re
import shlex
import ssl
import subprocess
import unittest

from brokers import echo
from harness import PATIENCE, SLOW, Case, main, own_library, pki, run_program

BOTH = ("1.2", "1.3")


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE * SLOW, **options).stdout


class Files(Case):
    def setUp(self):
        super().setUp()
        self.pair = pki.Authority("Test Intermediate", parent=pki.authority()).issue()
        self.text = self.config("127.0.0.1:1883", certificate=self.pair)

    def convert(self, *command, name="main/privkey.pem"):
        """Replaces a file by what an openssl command makes of it."""
        openssl(command[0], "-in", self.path(name), *command[1:], "-out", self.path("converted"))
        os.replace(self.path("converted"), self.path(name))

    def check(self, code=0, text=None):
        """Runs --check; returns all that it prints."""
        done = run_program("--check", "-c", self.write("postern.conf", text or self.text))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def read(self, name, mode="r"):
        with open(self.path(name), mode) as file:
            return file.read()

    def serves(self, certificate, ca=None, versions=BOTH):
        """A client of each version gets the certificate and verifies it; returns the log."""
        postern = self.postern(self.fake_broker(echo), certificate=certificate)
        for version in versions:
            client = self.client(postern, version, ca=ca)
            client.send(b"hello")
            self.assertEqual(client.recv_exactly(5), b"hello")
            client.close()
        return postern.log()

    def rewrite(self, change):
        for name in ("cert.pem", "chain.pem", "privkey.pem"):
            text = self.read(f"main/{name}")
            self.write(f"main/{name}", change(text))


class Text(Files):
    def test_any_blanks_at_line_ends(self):
        for end in ("\t\n", "\v\n", "\f\n", " \n", "\r\n", "\r", "\t\v\f \r\n"):
            with self.subTest(end=end):
                self.pair.write(self.path("main"))
                self.rewrite(lambda text: text.replace("\n", end).encode())
                self.check()
        broker = self.fake_broker(echo)
        postern = self.start(self.write("postern.conf", self.text.replace(
            "127.0.0.1:1883", broker.address)))  # with the last of these
        client = self.client(postern)
        self.assertEqual(client.peer_serial(), self.pair.serial_hex)

    def test_every_label_of_a_certificate(self):
        authority = pki.authority("Device CA").pem
        guarded = self.text.replace("certificates = main", "certificates = main\n"
                                    "client_auth = required\nclient_ca = ca.pem")
        for label in ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"):
            def relabel(text):
                return re.sub("(BEGIN|END) CERTIFICATE", rf"\1 {label}", text)
            with self.subTest(label=label):
                self.pair.write(self.path("main"))
                self.rewrite(relabel)
                self.write("ca.pem", relabel(authority))
                self.check(text=guarded)

    def test_a_certificate_with_what_openssl_trusts_it_for(self):
        self.write("plain.pem", pki.authority("Device CA").pem)
        guarded = self.text.replace("certificates = main", "certificates = main\n"
                                    "client_auth = required\nclient_ca = ca.pem")
        for code, options in ((0, ["-setalias", "devices"]), (0, ["-addtrust", "clientAuth"]),
                              (0, ["-addtrust", "anyExtendedKeyUsage"]),
                              (0, ["-addreject", "serverAuth"]),
                              (1, ["-addtrust", "serverAuth"]), (1, ["-addreject", "clientAuth"]),
                              (1, ["-addreject", "anyExtendedKeyUsage"])):
            with self.subTest(options=options):
                openssl("x509", "-in", self.path("plain.pem"), "-trustout", *options, "-out",
                        self.path("ca.pem"))
                self.assertIn("BEGIN TRUSTED CERTIFICATE", self.read("ca.pem"))
                said = self.check(code, guarded)
                self.assertEqual("not trusted to issue client certificates" in said, code == 1)
        self.convert("x509", "-trustout", "-addtrust", "serverAuth", name="main/cert.pem")
        self.check()


class Formats(Files):
    """A file in another format is refused with what it is and the command that converts it: the
    command is then run, and its result is accepted."""

    def converts(self, name, what, text=None, password=False):
        said = self.check(1, text)
        self.assertIn(name, said)
        self.assertIn(what, said)
        command = re.search(r"convert it: (.*?)\"?$", said, re.M)[1]
        old, new = (shlex.quote(self.path(name) + end) for end in (".old", ".new"))
        os.replace(self.path(name), self.path(name) + ".old")
        command = command.replace("OLD", old).replace("NEW", new)
        if password:
            command += " -passin pass:"
        subprocess.run(command, shell=True, check=True, stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=PATIENCE * SLOW)
        os.chmod(self.path(name) + ".new", 0o600)
        os.replace(self.path(name) + ".new", self.path(name))
        self.check(text=text)
        self.pair.write(self.path("main"))

    def test_der(self):
        self.convert("x509", "-outform", "DER", name="main/cert.pem")
        self.converts("main/cert.pem", "it is a certificate in DER format")
        self.convert("pkey", "-outform", "DER")
        self.converts("main/privkey.pem", "it is a private key in DER format")
        self.convert("ec", "-outform", "DER")
        self.converts("main/privkey.pem", "it is a private key in DER format")

    def test_rsa_keys_in_der(self):
        self.pair = pki.server("rsa")
        self.text = self.config("127.0.0.1:1883", certificate=self.pair)
        for options in ([], ["-traditional"]):
            self.convert("rsa", "-outform", "DER", *options)
            self.converts("main/privkey.pem", "it is a private key in DER format")

    def test_an_encrypted_key_in_der(self):
        self.convert("pkcs8", "-topk8", "-outform", "DER", "-passout", "pass:x")
        self.assertIn("openssl pkey -inform DER", self.check(1))

    def test_authorities_and_lists_in_der(self):
        authority = pki.authority("Device CA")
        guarded = self.text.replace("certificates = main", "certificates = main\n"
                                    "client_auth = required\nclient_ca = ca.pem\n"
                                    "client_crl = crl.pem")
        self.write("ca.pem", authority.certificate.der)
        self.write("crl.pem", authority.crl())
        self.converts("ca.pem", "it is a certificate in DER format", guarded)
        self.convert("crl", "-outform", "DER", name="crl.pem")
        self.converts("crl.pem", "it is a revocation list in DER format", guarded)

    def test_pkcs7(self):
        for form in ("DER", "PEM"):
            openssl("crl2pkcs7", "-nocrl", "-certfile", self.path("main/chain.pem"), "-outform",
                    form, "-out", self.path("main/chain.p7b"))
            os.replace(self.path("main/chain.p7b"), self.path("main/chain.pem"))
            self.converts("main/chain.pem", "it is PKCS#7")

    def test_pkcs12(self):
        for name in ("main/cert.pem", "main/privkey.pem"):
            openssl("pkcs12", "-export", "-in", self.path("main/cert.pem"), "-inkey",
                    self.path("main/privkey.pem"), "-passout", "pass:", "-out",
                    self.path("main/both.p12"))
            os.replace(self.path("main/both.p12"), self.path(name))
            self.converts(name, "it is a PKCS#12 file", password=True)

    def test_utf16(self):
        for name in ("main/cert.pem", "main/chain.pem", "main/privkey.pem"):
            for encoding in ("utf-16", "utf-16-le"):
                with self.subTest(name=name, encoding=encoding):
                    self.write(name, self.read(name).encode(encoding))
                    self.converts(name, "it is UTF-16 text")

    def test_a_byte_order_mark_of_utf8_does_no_harm(self):
        self.rewrite(lambda text: b"\xef\xbb\xbf" + text.encode())
        self.check()

    def test_other_things_than_a_certificate_or_key_are_named(self):
        for name, content, what in (
                ("main/cert.pem", self.pair.key_pem, "it is a private key"),
                ("main/privkey.pem", self.pair.pem, "it is a certificate"),
                ("main/cert.pem", pki.authority().crl(), "it is a revocation list"),
                ("main/cert.pem", pki.pem("CERTIFICATE REQUEST", b"0\0"), "a CA has to sign"),
                ("main/privkey.pem", self.pair.der, "it is a certificate"),
                ("main/cert.pem", b"0\x82\x01\0" + bytes(256), "openssl asn1parse")):
            with self.subTest(what=what):
                self.write(name, content)
                self.assertIn(what, self.check(1))
                self.pair.write(self.path("main"))


class Chains(Files):
    def test_an_unrelated_certificate_is_ignored_with_a_warning(self):
        other = pki.authority("Somebody else").pem
        for chain in (other + self.pair.chain, self.pair.chain + other):
            self.pair.write(self.path("main"))
            self.write("main/chain.pem", chain)
            said = self.check()
            self.assertIn("certificate ignored", said)
            self.assertIn("CN=Somebody else", said)
            self.assertIn("main/chain.pem", said)
        self.pair.chain += other
        self.assertIn("certificate ignored", self.serves(self.pair))

    def test_two_signings_of_one_intermediate_are_one(self):
        far = pki.authority("Far root")
        sub = pki.Authority("Twice", parent=pki.authority(), which="twice")
        cross = pki.Authority("Twice", parent=far, which="twice")
        leaf = sub.issue()
        for first, second, ca in ((sub, cross, pki.authority()), (cross, sub, far)):
            leaf.chain = first.pem + second.pem
            log = self.serves(leaf, ca=ca.pem)
            self.assertIn("same name and key", log)
            self.assertIn("CN=Twice", log)

    def test_an_intermediate_with_an_earlier_key_is_ignored(self):
        early = pki.Authority("Rekeyed", parent=pki.authority(), which="early")
        late = pki.Authority("Rekeyed", parent=pki.authority(), which="late")
        leaf = late.issue()
        leaf.chain = early.pem + late.pem
        self.assertIn("certificate ignored", self.serves(leaf))


class Warnings(Files):
    def test_a_certificate_for_clients_alone(self):
        leaf = pki.authority().issue(usage="client", names=["localhost"])
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        said = self.check()
        self.assertIn("certificate not for servers", said)
        self.assertIn("CN=localhost", said)

    def test_must_staple(self):
        feature = pki.extension("1.3.6.1.5.5.7.1.24", pki.seq(pki.integer(5)))
        self.assertIn("certificate must staple", self.serves(
            pki.authority().issue(extra=[feature])))
        feature = pki.extension("1.3.6.1.5.5.7.1.24", pki.seq(pki.integer(17)))
        self.assertNotIn("certificate must staple", self.serves(
            pki.authority().issue(extra=[feature])))

    def test_the_usual_certificate_has_no_warning(self):
        self.assertNotIn("warning", self.check().lower())
        self.assertNotIn("certificate ", self.check().replace("certificate main:", ""))


class CompressedKey(pki.Key):
    """Its point is in compressed form: in the certificates made for it, and in its own file."""

    def __init__(self, kind, traditional):
        super().__init__(kind)
        compressed = ["-conv_form", "compressed"]
        self.public = openssl("ec", "-in", self.path, "-pubout", *compressed, "-outform", "DER")
        if traditional:
            self.pem = openssl("ec", "-in", self.path, *compressed).decode()
        else:
            self.pem = openssl("pkey", "-in", self.path, "-ec_conv_form", "compressed").decode()


class Keys(Files):
    def test_compressed_points(self):
        # With TLS 1.2 a client refuses a form that the server does not list (RFC 8422 5.1.2).
        for kind in ("ecdsa", "ecdsa384"):
            for traditional in (False, True):
                with self.subTest(kind=kind, traditional=traditional):
                    key = CompressedKey(kind, traditional)
                    size = {"ecdsa": 32, "ecdsa384": 48}[kind]
                    self.assertIn(key.public[-1 - size], (2, 3))
                    leaf = pki.authority().issue(own_key=key)
                    self.assertIn("certificate with compressed key",
                                  self.serves(leaf, versions=["1.3"]))

    def test_a_compressed_point_of_another_key_is_refused(self):
        leaf = pki.authority().issue(own_key=CompressedKey("ecdsa", True))
        leaf.key_pem = CompressedKey("ecdsa", True).pem
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        self.assertIn("does not belong", self.check(1))

    def test_the_opposite_point_is_not_the_same(self):
        key = CompressedKey("ecdsa", True)
        key.public = key.public[:-33] + bytes([key.public[-33] ^ 1]) + key.public[-32:]
        self.text = self.config("127.0.0.1:1883", certificate=pki.authority().issue(own_key=key))
        self.assertIn("does not belong", self.check(1))

    def test_of_clients_and_their_authorities_a_compressed_point_is_named_as_the_reason(self):
        root, key = pki.authority("Device CA"), CompressedKey("ecdsa", True)
        sub = pki.Authority("Compressed", parent=root)
        sub.key = key
        sub.certificate = root.issue("Compressed", own_key=key, authority=True)
        keys = {"client_auth": "required", "client_ca": "ca.pem"}
        self.write("ca.pem", sub.certificate.pem)
        text = self.config("127.0.0.1:1883", listener=keys)
        self.assertIn("uncompressed points", self.check(1, text))
        self.write("ca.pem", sub.certificate.pem + root.pem)
        postern = self.postern(self.fake_broker(echo), listener=keys)
        self.assertIn("CN=Compressed", postern.wait("ca ignored")["message"])
        for version in BOTH:
            for leaf in (root.issue("device-1", usage="client", own_key=key),
                         sub.issue("device-1", usage="client", own_key=pki.key("ecdsa"))):
                client = self.client(postern, version, cert=leaf, handshake=False)
                with contextlib.suppress(ssl.SSLError):
                    client.handshake()
                    client.await_verdict()
                self.assertEqual(postern.end_of(client)["reason"], "key_type")

    def test_a_damaged_part_of_an_rsa_key(self):
        leaf = pki.server("rsa")
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        self.check()
        der = openssl("rsa", "-in", self.path("main/privkey.pem"), "-traditional", "-outform",
                      "DER")
        rest, numbers = pki.parse(der)[1], []
        while rest:
            _, content, rest = pki.parse(rest)
            numbers.append(int.from_bytes(content, "big"))
        names = ("version", "n", "e", "d", "p", "q", "dp", "dq", "qinv")
        self.assertEqual(len(numbers), len(names))
        for part in ("p", "q", "dp", "dq", "qinv"):
            for bit in (1, 500):
                with self.subTest(part=part, bit=bit):
                    changed = list(numbers)
                    changed[names.index(part)] ^= 1 << bit
                    self.write("main/privkey.pem", pki.pem("RSA PRIVATE KEY", pki.seq(
                        *map(pki.integer, changed))))
                    said = self.check(1)
                    self.assertIn("main/privkey.pem", said)
                    self.assertIn("damaged", said)

    def test_another_public_exponent_is_another_key(self):
        key = pki.Key("rsa")
        key.public = key.public[:-3] + (65539).to_bytes(3, "big")
        leaf = pki.authority().issue(own_key=key)
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        self.assertIn("damaged", self.check(1))


class Printed(Files):
    def test_what_certificates_say_is_escaped(self):
        leaf = pki.authority().issue(
            [("2.5.4.3", "a\x1b[31m\nbé".encode(), pki.UTF8)],
            names=[(0x82, b"x\x1b[2J\r\n\tlistener"), (0x82, b"good.example\0.evil"),
                   (0x82, b"one, two"), (0x82, b"back\\x41"), "plain.example"])
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        done = run_program("--check", "-c", self.write("postern.conf", self.text))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(done.stdout + done.stderr, r"[^\n\x20-\x7e]")
        self.assertEqual(len([l for l in done.stdout.splitlines() if "listener" in l]), 2)
        for text in (r"x\x1b[2J\x0d\x0a\x09listener, ", r"good.example\x00.evil, ",
                     r"one\x2c two, ", r"back\x5cx41, ", "plain.example, serial"):
            self.assertIn(text, done.stdout)

    def test_a_common_name_without_alternative_names_is_escaped(self):
        leaf = pki.authority().issue("na\x1bme", names=[])
        self.text = self.config("127.0.0.1:1883", certificate=leaf)
        self.assertIn(r"for na\x1bme", self.check())

    @unittest.skipUnless(own_library(), "the distribution's library accepts these")
    def test_what_the_library_refuses_is_said_in_words(self):
        for serial, why in ((0, "its serial number is zero"), (1 << 263, "more than 20 octets")):
            self.text = self.config("127.0.0.1:1883", certificate=pki.authority().issue(
                serial=serial))
            said = self.check(1)
            self.assertIn("does not accept the certificate", said)
            self.assertRegex(said, "CN=localhost.*" + why)
            self.assertNotRegex(said, r"code|-\d{2,3}\b(?!-)")


if __name__ == "__main__":
    main()
