"""Bounded memory: when one side stops reading, the other side has to wait."""

import hashlib
import random
import select
import threading
from pathlib import Path

from clients import PATIENCE
from harness import ALL, SANITIZED, Case, main

# More than the kernel may hold for a reader that does not read (net.ipv4.tcp_rmem: 32 MB).
ENOUGH = 48 << 20
ENDLESS = 1 << 40
TOTAL = 1 << 30 if ALL else (ENOUGH if SANITIZED else 64 << 20)
GROWTH = 2 << 20
BOTH = ("1.2", "1.3")


class Flow(threading.Thread):
    """Sends `total` bytes that are never the same twice, and keeps their hash."""

    def __init__(self, stream, total, seed):
        super().__init__(daemon=True)
        self.stream, self.total, self.sent, self.error = stream, total, 0, None
        self.hash = hashlib.sha256()
        self.noise = random.Random(seed).randbytes(1 << 20)
        self.start()

    def run(self):
        try:
            count = 0
            while self.sent < self.total:
                size = min(len(self.noise), self.total - self.sent)
                block = count.to_bytes(8, "big") + self.noise[8:size]
                self.hash.update(block)
                self.stream.send(block)
                self.sent += len(block)
                count += 1
        except BaseException as error:
            self.error = error


def receive(stream, total):
    """The hash of the next `total` bytes."""
    digest, left = hashlib.sha256(), total
    while left:
        data = stream.recv(min(left, 262144))
        if not data:
            raise AssertionError(f"closed with {left} bytes missing")
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


class Backpressure(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker()
        self.server = self.postern(self.broker, listener={"write_timeout": "1h"})
        # One exchange first, so that what is allocated once is there.
        client, peer = self.pair("1.2")
        flow = Flow(client, 4 << 20, 0)
        receive(peer, 4 << 20)
        flow.join()
        flow = Flow(peer, 4 << 20, 0)
        receive(client, 4 << 20)
        flow.join()
        client.close()
        peer.close()
        self.before = self.server.memory()

    def pair(self, version):
        client = self.client(self.server, version)
        return client, self.broker.accept()

    def stalled(self, flow):
        """Waits until the sender has got nothing more out for a while."""
        last = -1
        while flow.sent != last and flow.is_alive():
            last = flow.sent
            select.select([], [], [], 0.5)
        self.assertTrue(flow.is_alive(), f"all {flow.total} bytes went, though nobody reads")

    def small(self, sessions=1):
        if not SANITIZED:
            self.assertLess((self.server.memory() - self.before) / sessions, GROWTH)

    def waiting_in_the_kernel(self, peer):
        """Bytes that Postern has not read of what the broker's side of this connection sent."""
        names = peer.sock.getpeername(), peer.sock.getsockname()
        local, remote = (f":{name[1]:04X}" for name in names)
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        sizes = [int(row[4].split(":")[1], 16) for row in rows
                 if row[1].endswith(local) and row[2].endswith(remote) and row[3] == "01"]
        self.assertEqual(len(sizes), 1)
        return sizes[0]

    def test_a_broker_that_sends_much_is_not_far_ahead(self):
        client, peer = self.pair("1.3")
        flow = Flow(peer, ENDLESS, "ahead")
        receive(client, ENOUGH)  # the kernel allows a fast reader more and more
        self.stalled(flow)
        self.assertLessEqual(self.waiting_in_the_kernel(peer), 256 << 10)

    def test_a_client_that_stops_reading_makes_the_broker_wait(self):
        for version in BOTH:
            client, peer = self.pair(version)
            flow = Flow(peer, TOTAL, version)
            self.stalled(flow)
            self.small()
            self.assertEqual(receive(client, TOTAL), flow.hash.hexdigest())
            flow.join(PATIENCE)
            self.small()
            client.close()
            peer.close()

    def test_a_broker_that_stops_reading_makes_the_client_wait(self):
        for version in BOTH:
            client, peer = self.pair(version)
            flow = Flow(client, TOTAL, version)
            self.stalled(flow)
            self.small()
            self.assertEqual(receive(peer, TOTAL), flow.hash.hexdigest())
            flow.join(PATIENCE)
            self.small()
            client.close()
            peer.close()

    def test_both_ways_at_once_byte_for_byte(self):
        for version in BOTH:
            client, peer = self.pair(version)
            up, down = Flow(client, TOTAL, "up"), Flow(peer, TOTAL, "down")
            seen = {}
            reader = threading.Thread(target=lambda p=peer: seen.update(up=receive(p, TOTAL)))
            reader.start()
            seen["down"] = receive(client, TOTAL)
            for thread in (reader, up, down):
                thread.join(PATIENCE)
            self.assertEqual(seen, {"up": up.hash.hexdigest(), "down": down.hash.hexdigest()})
            self.small()
            client.close()
            peer.close()
            end = self.server.end_of(client)
            self.assertEqual((end["up"], end["down"]), (str(TOTAL), str(TOTAL)))

    def test_a_side_that_does_not_read_can_still_send(self):
        for version in BOTH:
            client, peer = self.pair(version)
            flow = Flow(peer, ENOUGH, version)
            self.stalled(flow)
            # The other direction is free meanwhile.
            upward = Flow(client, 4 << 20, "other way")
            self.assertEqual(receive(peer, 4 << 20), upward.hash.hexdigest())
            self.assertEqual(receive(client, ENOUGH), flow.hash.hexdigest())
            client.close()
            peer.close()

    def test_many_stalled_sessions_stay_small(self):
        pairs = [self.pair(BOTH[n % 2]) for n in range(20)]
        flows = [Flow(peer, ENDLESS, n) for n, (_, peer) in enumerate(pairs)]
        for flow in flows:
            self.stalled(flow)
        self.small(len(pairs))

    def test_a_stalled_session_does_not_delay_another(self):
        stuck, peer = self.pair("1.3")
        flow = Flow(peer, ENDLESS, "stuck")
        self.stalled(flow)
        for _ in range(10):
            client, other = self.pair("1.2")
            client.send(b"x")
            self.assertEqual(other.recv_exactly(1), b"x")
            client.close()
            other.close()


if __name__ == "__main__":
    main()
