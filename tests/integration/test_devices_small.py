"""Small devices: a client on BearSSL with Tasmota's profile and 1, 2 or 4 KB for a record.

The program prints, after its tests, what such a client meets by buffer, certificate chain and
setting: the table in docs/clients.md.
"""

import os
import re
import ssl
import subprocess
import unittest

from devices.field import DOWN, MESSAGE, ROOT, UP, Field, chain
from devices.wire import APPLICATION_DATA, HANDSHAKE
from harness import main

DEVICE = os.environ.get("DEVICE_BEARSSL", "")
OVERHEAD = 8 + 16  # nonce and tag of AES-GCM in TLS 1.2
BUFFERS = (1024, 2048, 4096)
# How a listener bounds records, and whether the device asks for max_fragment_length.
WAYS = (("max_fragment_length", {}, True), ("nothing", {}, False),
        ("max_record_size = 1024", {"max_record_size": "1024"}, False))
# Sizes like those of a public authority: a leaf with some names, and an intermediate.
CHAINS = (("RSA", "rsa", 1, 18), ("RSA", "rsa", 2, 18), ("ECDSA", "ecdsa", 1, 18),
          ("ECDSA", "ecdsa", 2, 18))
measured = {}


@unittest.skipUnless(DEVICE, "built without BearSSL (libbearssl-dev)")
class Small(Field):
    def serve(self, kind="rsa", length=2, more_names=18, **settings):
        self.root, self.certificate = chain(kind, length, more_names)
        return self.postern(self.broker, certificate=self.certificate, listener=settings)

    def device(self, wire, *arguments, ca=True, kind="rsa"):
        trust = ["--ca", self.ca_file(self.root, "ca.pem")] if ca else []
        suites = ["--ecdsa"] if kind == "ecdsa" else []
        return self.run_client(DEVICE, "--port", wire.port, "--down", DOWN, "--up", UP, *trust,
                               *suites, *arguments)

    def served(self, wire, *arguments, runs=1, **options):
        """The device does its task, and the message comes back right; returns the connection."""
        done = self.device(wire, "--runs", runs, *arguments, **options)
        self.assertEqual((done.returncode, done.stdout.count(f"{len(MESSAGE)} bytes")), (0, runs),
                         done.stdout)
        for _ in range(runs):
            self.expect_message(UP)
        return wire.connections[-1]


class TenKilobytes(Small):
    def test_reach_a_device_with_1_kb_that_asks_for_max_fragment_length(self):
        for kind in ("rsa", "ecdsa"):
            with self.subTest(kind=kind):
                postern = self.serve(kind)
                wire = self.wire(postern)
                connection = self.served(wire, "--buffer", 1024, kind=kind)
                self.assertEqual(connection.hello().fragment_length, 1024)
                self.assertLessEqual(connection.largest(HANDSHAKE), 1024 + OVERHEAD)
                self.assertEqual(connection.largest(APPLICATION_DATA), 1024 + OVERHEAD)
                end = postern.wait("session end", peer=connection.peer)
                self.assertEqual(end["tls"], "1.2")
                self.assertEqual(end["cipher"], f"ECDHE-{kind.upper()}-AES128-GCM-SHA256")

    def test_reach_a_device_with_2_kb_that_does_not_negotiate(self):
        for kind in ("rsa", "ecdsa"):
            with self.subTest(kind=kind):
                wire = self.wire(self.serve(kind, max_record_size="1024"))
                connection = self.served(wire, "--buffer", 2048, "--no-fragment-length", kind=kind)
                self.assertIsNone(connection.hello().fragment_length)
                self.assertEqual(connection.largest(HANDSHAKE), 1024)
                self.assertEqual(connection.largest(APPLICATION_DATA), 1024 + OVERHEAD)

    def test_need_max_record_size_where_the_device_does_not_negotiate(self):
        postern = self.serve()
        wire = self.wire(postern)
        done = self.device(wire, "--buffer", 2048, "--no-fragment-length")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a record larger than the buffer", done.stdout)
        self.expect_nothing()

    def test_resumed_sessions_keep_the_small_records(self):
        for arguments, settings in ((["--buffer", 1024], {}),
                                    (["--buffer", 1024, "--no-fragment-length"],
                                     {"max_record_size": "1024"})):
            with self.subTest(settings=settings):
                postern = self.serve(**settings)
                wire = self.wire(postern)
                self.served(wire, *arguments, runs=3)
                for number, connection in enumerate(wire.connections):
                    self.assertEqual(wire.resumption(number), "ID" if number else "full")
                    self.assertLessEqual(connection.largest(APPLICATION_DATA), 1024 + OVERHEAD)
                    end = postern.wait("session end", peer=connection.peer)
                    self.assertEqual(end["resumed"], "yes" if number else "no")


class Trust(Small):
    def make_certs(self, *arguments):
        """The command of certs/; returns the fingerprint that it prints for Tasmota."""
        done = subprocess.run([os.path.join(ROOT, "certs/make-certs"), "--dir", self.path("made"),
                               *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return re.search(r"MqttFingerprint1 ([0-9A-F ]+)", done.stdout)[1].replace(" ", "")

    def made(self, folder="server"):
        more = f"[certificate made]\ncert = made/{folder}/cert.pem\n" \
               f"key = made/{folder}/privkey.pem\n"
        return self.postern(self.broker, more=more, listener={"certificates": "made"})

    def test_the_fingerprint_that_make_certs_prints(self):
        for kind in ("rsa", "ecdsa"):
            with self.subTest(kind=kind):
                pin = self.make_certs(f"--{kind}", "--as", kind, "localhost")
                wire = self.wire(self.made(kind))
                self.served(wire, "--fingerprint", pin, ca=False, kind=kind)

    def test_a_fingerprint_outlives_renewals_but_not_the_key(self):
        pin = self.make_certs("--rsa", "localhost")
        postern = self.made()
        wire = self.wire(postern)
        self.assertEqual(self.make_certs(), pin, "a renewal keeps the key")
        self.assertEqual(postern.reload().name, "reload done")
        self.served(wire, "--fingerprint", pin, ca=False)
        self.assertNotEqual(self.make_certs("--new-key"), pin)
        self.assertEqual(postern.reload().name, "reload done")
        done = self.device(wire, "--fingerprint", pin, ca=False)
        self.assertEqual((done.returncode, done.stdout), (1, "handshake failed (62)\n"))
        self.expect_nothing()

    def test_a_foreign_authority_and_a_wrong_name_are_not_trusted(self):
        wire = self.wire(self.serve())
        foreign = self.write("foreign.pem", chain("ecdsa")[0].pem)
        for arguments, error in ((["--ca", foreign], 62), (["--name", "elsewhere.example"], 56)):
            done = self.device(wire, *arguments)
            self.assertEqual((done.returncode, done.stdout), (1, f"handshake failed ({error})\n"))
        self.expect_nothing()

    def test_a_device_without_a_clock_can_compare_fingerprints_alone(self):
        wire = self.wire(self.serve())
        done = self.device(wire, "--clock", 0)
        self.assertEqual((done.returncode, done.stdout), (1, "handshake failed (54)\n"))
        self.expect_nothing()
        self.served(wire, "--clock", 0, ca=False)

    def test_an_ecdsa_certificate_alone_is_refused_by_older_firmware(self):
        """certbot's default: alert 40, and the log says why."""
        postern = self.serve("ecdsa")
        wire = self.wire(postern)
        done = self.device(wire)
        self.assertEqual((done.returncode, done.stdout), (1, "alert received (40)\n"))
        end = postern.wait("handshake failed", peer=wire.connections[0].peer)
        self.assertEqual((end["reason"], end["alert"]), ("no_shared_cipher", "40"))

    def test_both_kinds_of_key_serve_older_and_newer_firmware(self):
        more = "".join(self.certificate_section(kind, chain(kind)[1]) for kind in ("ecdsa", "rsa"))
        wire = self.wire(self.postern(self.broker, more=more,
                                      listener={"certificates": "ecdsa, rsa"}))
        for kind in ("rsa", "ecdsa"):
            self.root = chain(kind)[0]
            self.served(wire, kind=kind)


class Buffers(Small):
    """Every buffer, chain and way: what the wire shows, and whether the message arrives."""

    def sizes(self):
        """The certificates' sizes as the server sends them."""
        pems = [self.certificate.pem, self.certificate.chain]
        return [len(ssl.PEM_cert_to_DER_cert(pem)) for pem in pems if pem]

    def meet(self, wire, kind, size, asks):
        arguments = [] if asks else ["--no-fragment-length"]
        done = self.device(wire, "--buffer", size, *arguments, kind=kind)
        connection = wire.connections[-1]
        largest = connection.largest(HANDSHAKE)
        if done.returncode == 0:
            self.expect_message(UP)
            return f"yes ({largest:,})", True
        self.assertIn("a record larger than the buffer", done.stdout)
        where = "message" if APPLICATION_DATA in dict(connection.records) else "handshake"
        return f"no: {where} ({largest:,})", False

    def test_every_buffer_chain_and_way(self):
        for title, kind, length, names in CHAINS:
            for way, settings, asks in WAYS:
                wire = self.wire(self.serve(kind, length, names, **settings))
                sent = " + ".join(f"{size:,}" for size in self.sizes())
                for size in BUFFERS:
                    with self.subTest(kind=kind, length=length, way=way, size=size):
                        cell, good = self.meet(wire, kind, size, asks)
                        measured[(f"{title}, {sent}", way, size)] = cell
                        self.assertEqual(good, bool(asks or settings), cell)


def table():
    rows = [["certificates sent (bytes)", "records bounded by",
             *(f"{size // 1024} KB" for size in BUFFERS)], ["---"] * (2 + len(BUFFERS))]
    for sent, way in dict.fromkeys((sent, way) for sent, way, _ in measured):
        rows.append([sent, way, *(measured[(sent, way, size)] for size in BUFFERS)])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def tearDownModule():
    if measured:
        print("\nDoes a retained message of 10 KB arrive (largest record of the handshake)?\n")
        print(table(), flush=True)


if __name__ == "__main__":
    main()
