"""Time limits: each ends what it is for, with its own reason, and nothing else."""

import contextlib
import select
import threading
import time

from brokers import echo
from clients import SLOW, Truncated, mqtt_connect
from harness import Case, main, pki, tls_context

# A limit may be late on a loaded machine, never early.
LATE = 5 * SLOW


class Timeouts(Case):
    def ends_within(self, postern, client, reason, seconds, start):
        event = postern.end_of(client)
        took = time.monotonic() - start
        self.assertEqual(event["reason"], reason)
        self.assertGreater(took, seconds - 0.05)
        self.assertLess(took, seconds + LATE)
        return event

    def drip(self, client, data, every=0.05):
        """Sends one byte now and then until the server ends the connection."""
        for byte in data:
            readable, _, _ = select.select([client.sock], [], [], every)
            try:
                if readable and not client.sock.recv(65536):
                    return
                client.raw_send(bytes([byte]))
            except OSError:
                return

    def test_a_client_that_never_sends_a_byte(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"first_byte_timeout": "300ms"},
                               main={"log_level": "debug"})
        start = time.monotonic()
        client = self.tcp_client(postern)
        self.assertEqual(client.raw_end()[0], b"")
        self.ends_within(postern, client, "first_byte_timeout", 0.3, start)
        self.assertFalse(broker.has_connection())

    def test_after_the_first_byte_the_handshake_timeout_applies(self):
        postern = self.postern(self.fake_broker(), listener={
            "first_byte_timeout": "200ms", "handshake_timeout": "600ms"})
        start = time.monotonic()
        client = self.tcp_client(postern)
        client.raw_send(b"\x16")
        client.raw_end()
        self.ends_within(postern, client, "handshake_timeout", 0.6, start)

    def test_a_hello_in_single_bytes_does_not_extend_the_handshake_timeout(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"handshake_timeout": "600ms"})
        start = time.monotonic()
        client = self.client(postern, handshake=False)
        self.drip(client, client.hello())
        self.ends_within(postern, client, "handshake_timeout", 0.6, start)
        self.assertFalse(broker.has_connection())

    def test_a_second_flight_in_single_bytes_does_not_extend_it_either(self):
        postern = self.postern(self.fake_broker(), listener={"handshake_timeout": "600ms"})
        for version in ("1.2", "1.3"):
            start = time.monotonic()
            context = tls_context(pki.authority().pem, version)
            client = self.client(postern, context=context, handshake=False)
            client.raw_send(client.hello())
            while not client.step(client.raw_recv()) and not (out := client.pending_output()):
                pass
            out = out if version == "1.2" else client.pending_output()
            self.drip(client, out[:-1])
            client.raw_end()
            self.ends_within(postern, client, "handshake_timeout", 0.6, start)

    def test_the_handshake_timeout_ends_with_the_handshake(self):
        postern = self.postern(self.fake_broker(echo), listener={
            "handshake_timeout": "300ms", "first_byte_timeout": "200ms"})
        client = self.client(postern)
        self.assertRaises(AssertionError, postern.wait, "session end", timeout=0.8)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_silence_in_both_directions(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"idle_timeout": "400ms"})
        client = self.client(postern)
        peer = broker.accept()
        start = time.monotonic()
        client.send(b"x")
        peer.recv_exactly(1)
        self.assertEqual(client.recv(), b"")
        self.ends_within(postern, client, "idle_timeout", 0.4, start)
        self.assertEqual(peer.recv(), b"")

    def test_traffic_in_either_direction_is_not_silence(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"idle_timeout": "500ms"})
        for speaker in ("client", "broker"):
            client = self.client(postern)
            peer = broker.accept()
            for _ in range(12):
                select.select([], [], [], 0.1)
                if speaker == "client":
                    client.send(b"x")
                    peer.recv_exactly(1)
                else:
                    peer.send(b"x")
                    client.recv_exactly(1)
            self.assertEqual(postern.all("session end", peer=client.peer), [])
            client.close()

    def test_a_client_that_reads_nothing(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"write_timeout": "500ms"})
        client = self.client(postern, receive_buffer=8192)
        peer = broker.accept()
        self.fill(peer)
        event = postern.end_of(client)
        self.assertEqual(event["reason"], "write_timeout")

    def test_a_client_that_reads_nothing_and_keeps_sending(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"write_timeout": "500ms"})
        client = self.client(postern, receive_buffer=8192)
        peer = broker.accept()
        stop = threading.Event()

        def talk():
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    client.send(b"x")

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            self.fill(peer)
            self.assertEqual(postern.end_of(client)["reason"], "write_timeout")
        finally:
            stop.set()
            talker.join()

    def test_a_broker_that_reads_nothing(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"write_timeout": "500ms"})
        client = self.client(postern)
        broker.accept()
        self.fill(client)
        self.assertEqual(postern.end_of(client)["reason"], "write_timeout")

    def fill(self, stream):
        """Sends until the other side closes, which stops reading long before."""
        block = b"x" * 65536
        with self.assertRaises(OSError):
            while True:
                stream.send(block)

    def test_a_slow_reader_that_makes_progress_does_not_time_out(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"write_timeout": "600ms"})
        client = self.client(postern, receive_buffer=8192)
        peer = broker.accept()
        total = 4_000_000

        sender = threading.Thread(target=lambda: (peer.send(b"x" * total), peer.close()))
        sender.start()
        got = 0
        # A pause now and then, together longer than the limit.
        for _ in range(12):
            got += len(client.recv_exactly(total // 20))
            select.select([], [], [], 0.1)
        got += len(client.recv_all())
        sender.join()
        self.assertEqual(got, total)

    def test_silence_after_one_side_has_ended(self):
        for ender in ("client", "broker"):
            with self.subTest(ender=ender):
                broker = self.fake_broker()
                postern = self.postern(broker, listener={"close_timeout": "400ms"})
                client = self.client(postern)
                peer = broker.accept()
                start = time.monotonic()
                if ender == "client":
                    client.end_sending()
                    self.assertEqual(peer.recv(), b"")
                else:
                    peer.end_sending()
                    self.assertEqual(client.recv(), b"")
                self.ends_within(postern, client, "close_timeout", 0.4, start)

    def test_data_after_one_side_has_ended_is_not_silence(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"close_timeout": "500ms"})
        client = self.client(postern)
        peer = broker.accept()
        client.end_sending()
        for _ in range(12):
            select.select([], [], [], 0.1)
            peer.send(b"x")
            client.recv_exactly(1)
        peer.close()
        self.assertEqual(client.recv(), b"")
        self.assertEqual(postern.end_of(client)["reason"], "client_closed")

    def test_a_broker_that_does_not_answer(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "400ms"})
        start = time.monotonic()
        client = self.client(postern)
        client.send(b"x")
        with self.assertRaises((Truncated, OSError, AssertionError)):
            client.recv_exactly(1)
        self.ends_within(postern, client, "broker_timeout", 0.4, start)

    def quiet(self):
        """The program has nothing to do for a while, and must not count that time afterwards."""
        select.select([], [], [], 0.8)

    def test_silence_counts_from_the_last_byte(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"idle_timeout": "1500ms"}, main={"workers": "1"})
        client = self.client(postern)
        peer = broker.accept()
        self.quiet()
        start = time.monotonic()
        client.send(b"x")
        peer.recv_exactly(1)
        self.assertEqual(client.recv(), b"")
        self.ends_within(postern, client, "idle_timeout", 1.5, start)

    def test_after_a_quiet_time_close_timeout_still_lasts_its_full_length(self):
        for ender in ("client", "broker"):
            with self.subTest(ender=ender):
                broker = self.fake_broker()
                postern = self.postern(broker, listener={"close_timeout": "500ms"},
                                       main={"workers": "1"})
                client = self.client(postern)
                peer = broker.accept()
                self.quiet()
                first, last = (client, peer) if ender == "client" else (peer, client)
                first.end_sending()
                self.assertEqual(last.recv(), b"")
                select.select([], [], [], 0.2)
                last.send(b"late, but in time")
                self.assertEqual(first.recv_exactly(17), b"late, but in time")

    def test_a_broker_that_closes_without_an_answer_is_not_logged_as_silent(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"mqtt": "check", "connect_timeout": "300ms",
                                                 "close_timeout": "900ms"})
        client = self.client(postern)
        start = time.monotonic()
        client.send(mqtt_connect("device"))
        peer = broker.accept()
        peer.recv()
        peer.end_sending()
        self.assertEqual(client.recv(), b"")
        self.ends_within(postern, client, "close_timeout", 0.9, start)

    def test_silence_is_allowed_where_its_limit_is_off(self):
        postern = self.postern(self.fake_broker(echo), listener={"idle_timeout": "off"})
        client = self.client(postern, "1.2")  # 1.3 sends tickets
        self.assertEqual(select.select([client.sock], [], [], 1)[0], [])
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")


if __name__ == "__main__":
    main()
