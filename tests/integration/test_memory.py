"""What an idle connection costs: little memory, and no processor time."""

import unittest

from harness import (ALL, PATIENCE, SANITIZED, Case, has_musl, main, own_library, pki,
                     tls_context)

COUNT = 5000 if ALL else 1000
LIMIT = 6 * 1024


@unittest.skipIf(SANITIZED, "sanitizers keep memory of their own")
class Memory(Case):
    def sessions(self, postern, broker, version, count, size=1):
        """Clients that have exchanged `size` bytes each way, and their brokers' ends."""
        context = tls_context(pki.authority().pem, version)
        pairs = []
        for _ in range(count):
            client = self.client(postern, context=context)
            peer = broker.accept()
            client.send(b"x" * size)
            peer.recv_exactly(size)
            peer.send(b"y" * size)
            client.recv_exactly(size)
            pairs.append((client, peer))
        return pairs

    @unittest.skipUnless(own_library(), "the distribution's wolfSSL takes ten times as much")
    def test_an_idle_connection_costs_at_most_6_kb(self):
        for version in ("1.2", "1.3"):
            with self.subTest(version=version):
                broker = self.fake_broker()
                postern = self.postern(broker)
                kept = self.sessions(postern, broker, version, 50)
                before = postern.memory()
                kept += self.sessions(postern, broker, version, COUNT)
                each = (postern.memory() - before) / COUNT
                print(f"TLS {version}: {each:.0f} bytes of resident memory per idle connection")
                self.assertLess(each, LIMIT)
                for client, peer in kept:
                    client.cut()
                    peer.close()

    def test_buffers_are_freed_after_traffic(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        pairs = self.sessions(postern, broker, "1.2", 300)
        before = postern.memory()
        for client, peer in pairs:
            client.send(b"x" * 16384)
            peer.recv_exactly(16384)
            peer.send(b"y" * 16384)
            client.recv_exactly(16384)
        self.assertLess((postern.memory() - before) / len(pairs), 1024)

    def test_freed_memory_is_used_for_new_sessions(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        peaks = []
        for _ in range(4):
            for client, peer in self.sessions(postern, broker, "1.3", 200):
                client.close()
                peer.close()
                postern.end_of(client)
            peaks.append(postern.memory())
        self.assertLess(peaks[-1] - peaks[0], 300_000 if own_library() else 3_000_000)

    def test_what_many_sessions_have_left_goes_back_to_the_system(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        kept = self.sessions(postern, broker, "1.2", 20)
        before = postern.memory()
        pairs = self.sessions(postern, broker, "1.2", 1500)
        peak = postern.memory()
        # Some stay connected, and their memory is among the others'. musl gives back a group of
        # blocks by itself when all of it is free, and nobody can ask it for less.
        stay = 0 if has_musl() else 50
        for number, (client, peer) in enumerate(pairs):
            if not stay or number % stay:
                client.cut()
                peer.close()
        self.wait_until(lambda: postern.memory() - before < (peak - before) / 4, "less memory",
                        timeout=10 + PATIENCE)  # it is looked at every ten seconds
        for client, peer in kept:
            client.send(b"x")
            self.assertEqual(peer.recv_exactly(1), b"x")


class Processor(Case):
    def test_idle_connections_take_no_processor_time(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        kept = [(self.client(postern), broker.accept()) for _ in range(100)]
        self.wait_until(lambda: len(kept) == 100, "sessions")
        before = postern.cpu_seconds()
        self.assertRaises(AssertionError, postern.wait, "nothing", timeout=3)
        self.assertLessEqual(postern.cpu_seconds() - before, 0.03)

    def test_a_silent_client_takes_no_processor_time(self):
        postern = self.postern(self.fake_broker(), listener={"first_byte_timeout": "1h",
                                                            "handshake_timeout": "1h"})
        self.tcp_client(postern)
        self.tcp_client(postern).raw_send(b"\x16\x03")
        before = postern.cpu_seconds()
        self.assertRaises(AssertionError, postern.wait, "nothing", timeout=2)
        self.assertLessEqual(postern.cpu_seconds() - before, 0.03)


if __name__ == "__main__":
    main()
