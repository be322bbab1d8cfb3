"""A mix of clients for two minutes, or for as long as POSTERN_SOAK_SECONDS says: devices that come
back, stay, read slowly, half-close, vanish, speak nonsense; and reloads all the while.

POSTERN_SOAK_SEED chooses another course of them. Every byte is checked. At the end each connection
has had its closing line, and descriptors and memory are at what they were.
"""

import os
import random
import socket
import ssl
import statistics
import struct
import threading
import time

from clients import TcpClient, TlsClient, mqtt_connect, mqtt_packet, tls_context
from harness import SANITIZED, Case, main, own_library, pki

SECONDS = float(os.environ.get("POSTERN_SOAK_SECONDS", "120"))
GROWTH = 1_500_000  # bytes of resident memory from the second quarter to the last: noise
LARGEST = 200_000
PATTERN = os.urandom(LARGEST)
GARBAGE = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", mqtt_connect("a"), b"\x16\x03\x01\x00\x05",
           b"\x16\x03\x01\x40\x00" + b"\0" * 100, b"\x80\x2e\x01\x03\x01", b"\0" * 300]


def broker(peer):
    """Orders: E echoes until the end, D and a size sends that much, R resets. Anything else is
    MQTT: it is echoed too."""
    order = peer.recv(1)
    if order == b"D":
        size = struct.unpack("!I", peer.recv_exactly(4))[0]
        peer.send(PATTERN[:size])
        peer.recv_all()
    elif order == b"R":
        peer.reset()
    else:
        data = b"" if order == b"E" else order
        while order:
            peer.send(data)
            if not (data := peer.recv()):
                break


class Soak(Case):
    def setUp(self):
        super().setUp()
        random.seed(os.environ.get("POSTERN_SOAK_SEED", "1"))
        devices = pki.authority("Device CA")
        self.write("ca.pem", devices.pem)
        self.write("crl.pem", devices.crl([99]))
        backend = self.fake_broker(broker)
        rsa = self.certificate_section("rsa", pki.server("rsa"))
        self.text = self.config(
            backend, main={"log_level": "debug"},
            more=rsa + f"[listener identity]\nlisten = 127.0.0.1:0\nbackend = {backend.address}\n"
            "certificates = rsa\nclient_auth = required\nclient_ca = ca.pem\nclient_crl = crl.pem\n"
            "mqtt = identity\n")
        self.server = self.postern(text=self.text)
        self.over = threading.Event()
        self.failures, self.counts, self.lock = [], {}, threading.Lock()
        self.contexts = {version: tls_context(pki.authority().pem, version)
                         for version in ("1.2", "1.3")}
        self.contexts["id"] = tls_context(pki.authority().pem, "1.2")
        self.contexts["id"].options |= ssl.OP_NO_TICKET
        self.contexts["device"] = tls_context(pki.authority().pem, None, pki.client())

    # Clients. Each function is one visit.

    def connect(self, which, listener="mqtt", **options):
        return TlsClient(self.server.address(listener), self.contexts[which], **options)

    def expect(self, client, data):
        if client.recv_exactly(len(data)) != data:
            raise AssertionError("other bytes came than were sent")

    def exchange(self, client, rounds):
        for _ in range(rounds):
            data = PATTERN[:random.choice((1, 60, 1400, 16384, 16385, 40000))]
            client.send(data)
            self.expect(client, data)

    def comes_back(self, which):
        """Resumes what it had at its last visit."""
        session = None

        def visit():
            nonlocal session
            client = self.connect(which, session=session)
            client.send(b"E")
            self.exchange(client, 2)
            session = client.tls.session
            client.close()
        return visit

    def stays(self):
        client = self.connect(random.choice(("1.2", "1.3")))
        client.send(b"E")
        for _ in range(random.randrange(5, 40)):
            self.exchange(client, 1)
            self.over.wait(random.uniform(0.05, 0.5))
        client.close()

    def publishes(self):
        client = self.connect("device", "identity")
        client.send(mqtt_connect("a", username="somebody else"))
        self.expect(client, mqtt_connect("a", username="device-1"))
        packet = mqtt_packet(0x30, b"\0\1t" + PATTERN[:random.randrange(5000)])
        for _ in range(3):
            client.send(packet)
            self.expect(client, packet)
        client.close()

    def reads_slowly(self):
        client = self.connect("1.3", receive_buffer=4096)
        size = random.randrange(50_000, LARGEST)
        client.send(b"D" + struct.pack("!I", size))
        got = bytearray()
        while len(got) < size:
            got += client.recv(16384)
            self.over.wait(0.01)
        if got != PATTERN[:size]:
            raise AssertionError("other bytes came than were sent")
        client.close()

    def half_closes(self):
        client = self.connect(random.choice(("1.2", "1.3")))
        data = PATTERN[:random.randrange(1, 50_000)]
        client.send(b"E" + data)
        client.end_sending()
        if client.recv_all() != data:
            raise AssertionError("other bytes came than were sent")
        client.cut()

    def vanishes(self):
        client = self.connect("1.3", handshake=random.random() < 0.8)
        if client.tls.version() and random.random() < 0.7:
            client.send(b"E" + PATTERN[:random.randrange(30_000)])
        random.choice((client.cut, client.reset))()

    def loses_its_broker(self):
        client = self.connect("1.3")
        client.send(b"R")
        client.raw_end()
        client.cut()

    def speaks_nonsense(self):
        client = TcpClient(self.server.address())
        client.raw_send(random.choice(GARBAGE) if random.random() < 0.5
                        else random.randbytes(random.randrange(1, 2000)))
        client.sock.shutdown(socket.SHUT_WR)
        client.raw_end()
        client.cut()

    def garbles(self):
        """A handshake as it should be, and then records that are not."""
        client = self.connect("1.3")
        try:
            client.send(b"E")
            client.raw_send(b"\x17\x03\x03\x00\x20" + random.randbytes(32))
            client.raw_end()
        except OSError:
            pass
        client.cut()

    def says_nothing(self):
        client = TcpClient(self.server.address())
        self.over.wait(random.uniform(0, 1))
        client.cut()

    # The server's side.

    def reload(self):
        if random.random() < 0.3:
            self.write("postern.conf", self.text + "[nonsense]\n")
            self.check(self.server.reload().name == "reload refused", "a bad file was taken")
            self.write("postern.conf", self.text)
        pki.authority().issue().write(self.path("main"))
        self.check(self.server.reload().name == "reload done", "a reload was refused")
        self.over.wait(random.uniform(1, 3))

    @staticmethod
    def check(good, what):
        if not good:
            raise AssertionError(what)

    # All together.

    def repeat(self, name, visit):
        while not self.over.wait(random.uniform(0.1, 0.5)):
            try:
                visit()
            except Exception as error:  # the first of them ends the test
                self.failures.append((name, repr(error)))
                self.over.set()
            with self.lock:
                self.counts[name] = self.counts.get(name, 0) + 1

    def run_all(self):
        visits = {f"comes back, {which}": self.comes_back(which) for which in ("1.2", "1.3", "id")}
        for visit in (self.stays, self.publishes, self.reads_slowly, self.half_closes,
                      self.vanishes, self.loses_its_broker, self.speaks_nonsense, self.garbles,
                      self.says_nothing, self.reload):
            visits[visit.__name__] = visit
        names = [*visits, "stays", "stays"]
        threads = [threading.Thread(target=self.repeat, args=(name, visits[name]), daemon=True)
                   for name in names]
        for thread in threads:
            thread.start()
        memory, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end and not self.over.wait(0.5):
            memory.append(self.server.memory())
        self.over.set()
        for thread in threads:
            thread.join()
        return memory

    def connections(self):
        """How many clients' connections there were: every visit but a reload is one."""
        return sum(count for name, count in self.counts.items() if name != "reload")

    def closing_lines(self):
        """With those that were left out because there were too many in a second."""
        lines = self.server.all("session end") + self.server.all("handshake failed")
        left_out = lines + self.server.all("lines suppressed")
        return len(lines) + sum(int(event.get("suppressed", 0)) for event in left_out)

    def test_everything_at_once(self):
        before = self.server.descriptors()
        memory = self.run_all()
        self.assertEqual(self.failures, [])
        print(f"{SECONDS:.0f} s:", ", ".join(f"{n} {c}" for n, c in sorted(self.counts.items())))
        self.wait_until(lambda: self.server.descriptors() <= before, "descriptors to come back")
        self.wait_until(lambda: self.closing_lines() == self.connections(),
                        f"a closing line for each of {self.connections()} connections")
        quarter = len(memory) // 4
        second, last = (statistics.median(memory[i * quarter:(i + 1) * quarter]) for i in (1, 3))
        print(f"resident memory: {second / 1e6:.2f} MB in the second quarter, {last / 1e6:.2f} MB "
              "in the last")
        if own_library() and not SANITIZED:
            self.assertLess(last - second, GROWTH)


if __name__ == "__main__":
    main()
