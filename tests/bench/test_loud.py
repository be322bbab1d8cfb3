"""The bench's own tools must not measure what is wrong: each fault that a proxy could have makes
them end with a message. The proxy here is a small one in Python whose fault can be chosen.

    test_loud.py FOLDER        where bench-load, bench-backend and bench-newcomers are
"""

import contextlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from certificates import Certificate, KINDS

TOOLS = None
LOUD = 1
NOT_OFFERED = 3


class FaultyProxy:
    """Carries bytes between TLS and plaintext; `up` and `down` are what it does to them."""

    def __init__(self, certificate, backend_port, up=bytes, down=bytes, tickets=True,
                 curve=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if curve:
            self.context.set_ecdh_curve(curve)
        self.context.load_cert_chain(certificate.fullchain, certificate.key)
        if not tickets:
            self.context.num_tickets = 0
            self.context.options |= ssl.OP_NO_TICKET
        self.backend_port, self.up, self.down = backend_port, up, down
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain):
        with contextlib.suppress(OSError, ValueError), \
                self.context.wrap_socket(plain, server_side=True) as client, \
                socket.create_connection(("127.0.0.1", self.backend_port)) as backend:
            down = threading.Thread(target=self._carry, args=(backend, client, self.down))
            down.start()
            self._carry(client, backend, self.up)
            down.join()

    @staticmethod
    def _carry(source, sink, change):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                sink.sendall(change(data))
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


def flipped(data):
    """One wrong bit, where there is more than a header."""
    return data[:-1] + bytes([data[-1] ^ 4]) if len(data) > 1000 else data


def doubled(data):
    return data + data[-1:] if len(data) > 1000 else data


def swapped(data):
    return data[500:1000] + data[:500] + data[1000:] if len(data) > 1000 else data


def lost(data):
    """The rest of the connection with it."""
    if len(data) > 1000:
        raise ValueError
    return data


def refusing(connection):
    """A broker that accepts nobody: CONNACK with return code 5."""
    with connection:
        connection.recv(100)
        connection.sendall(b"\x20\x02\x00\x05")
        connection.recv(100)


class Loud(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.certificates = {kind: Certificate(folder, kind) for kind in KINDS}

    def setUp(self):
        self.backend = subprocess.Popen([TOOLS / "bench-backend", "127.0.0.1:0"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.addCleanup(self._stop_backend)
        self.backend_port = int(self.backend.stdout.readline().rpartition(":")[2])

    def _stop_backend(self):
        self.backend.communicate()

    def run_load(self, commands, *options, kind="ecdsa", **faults):
        proxy = FaultyProxy(self.certificates[kind], self.backend_port, **faults)
        self.addCleanup(proxy.close)
        return subprocess.run(
            [TOOLS / "bench-load", "--connect", f"127.0.0.1:{proxy.port}", *options],
            input="\n".join(commands) + "\n", text=True, capture_output=True, timeout=60)

    def assert_loud(self, result, message):
        self.assertEqual(result.returncode, LOUD, result.stderr)
        self.assertRegex(result.stderr, message)

    def test_a_right_proxy_passes(self):
        for tls in ("1.2", "1.3"):
            result = self.run_load(["handshakes 5", "open 3", "messages 20 5000 5", "close"],
                                   "--tls", tls)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(result.stdout.count("ok "), 4)
        for way in ("up", "down"):
            result = self.run_load(["open 3", f"{way} 1000000 16384", f"{way} 100000 256", "close"])
            self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_a_wrong_byte_in_an_echo_is_found(self):
        result = self.run_load(["open 1", "messages 1 5000 1"], down=flipped)
        self.assert_loud(result, "wrong byte at")

    def test_a_wrong_byte_from_the_backend_is_found(self):
        result = self.run_load(["open 1", "down 100000 16384"], down=flipped)
        self.assert_loud(result, "wrong byte at")

    def test_swapped_bytes_are_found(self):
        result = self.run_load(["open 1", "down 100000 16384"], down=swapped)
        self.assert_loud(result, "wrong byte at")

    def test_a_doubled_byte_is_found(self):
        result = self.run_load(["open 1", "messages 1 5000 1"], down=doubled)
        self.assert_loud(result, "nobody sent|wrong byte")

    def test_a_wrong_byte_to_the_backend_is_found(self):
        result = self.run_load(["open 1", "up 100000 16384"], up=flipped)
        self.assert_loud(result, "the proxy closed|reset|Broken pipe|eof")
        self.assertEqual(self.backend.wait(5), LOUD)

    def test_a_lost_connection_is_found(self):
        result = self.run_load(["open 1", "down 100000 16384"], down=lost)
        self.assert_loud(result, "the proxy closed|reset|eof")

    def test_a_refused_connection_is_found(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            result = subprocess.run([TOOLS / "bench-load", "--connect", address], text=True,
                                    input="handshakes 1\n", capture_output=True, timeout=60)
            self.assert_loud(result, "refused")
            result = subprocess.run([TOOLS / "bench-newcomers", address, "1"], text=True,
                                    input="10\n", capture_output=True, timeout=60)
            self.assert_loud(result, "refused")

    def test_another_key_than_asked_for_is_found(self):
        result = self.run_load(["handshakes 1"], "--key", "ecdsa", kind="rsa")
        self.assert_loud(result, "another kind")

    def test_a_full_handshake_is_not_taken_for_a_resumed_one(self):
        for tls in ("1.2", "1.3"):
            result = self.run_load(["prime", "handshakes 5"], "--tls", tls, "--resume", "ticket",
                                   tickets=False)
            self.assertEqual(result.returncode, NOT_OFFERED, result.stderr)

    def test_newcomers_complete_real_handshakes(self):
        for kind in KINDS:
            proxy = FaultyProxy(self.certificates[kind], self.backend_port)
            self.addCleanup(proxy.close)
            result = subprocess.run([TOOLS / "bench-newcomers", f"127.0.0.1:{proxy.port}", "5"],
                                    input="200\n", text=True, capture_output=True, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"^ok done=[1-9]")

    def test_handshakes_at_a_fixed_rate_are_all_made_and_take_their_time(self):
        result = self.run_load(["spread 50 10"], "--inflight", "4")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, "^ok done=10 ")
        self.assertGreaterEqual(float(result.stdout.split("seconds=")[1]), 9 / 50)

    def test_a_server_that_asks_for_no_client_certificate_is_found(self):
        own = self.certificates["ecdsa"]
        result = self.run_load(["handshakes 1"], "--certificate", str(own.fullchain),
                               "--certificate-key", str(own.key))
        self.assert_loud(result, "did not ask")

    def test_a_broker_that_refuses_its_clients_is_found(self):
        with socket.create_server(("127.0.0.1", 0)) as broker:
            threading.Thread(target=lambda: refusing(broker.accept()[0]), daemon=True).start()
            self.backend_port = broker.getsockname()[1]
            self.assert_loud(self.run_load(["handshakes 1"], "--mqtt"), "byte 5 came where 0 was due")

    def test_another_group_than_asked_for_is_found(self):
        result = self.run_load(["handshakes 1"], curve="prime256v1")
        self.assert_loud(result, "another group")


if __name__ == "__main__":
    TOOLS = Path(sys.argv.pop(1))
    unittest.main()
