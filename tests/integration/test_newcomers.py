"""Clients that have finished a handshake, or less, and say nothing: they cost the broker nothing, and
make room where places are scarce."""

import select
import time

from brokers import echo
from clients import SLOW, Truncated, mqtt_connect
from harness import Case, main, pki, run_program, tls_context

GONE = (Truncated, OSError, AssertionError)
BOTH = ("1.2", "1.3")


def half_done(case, postern, **options):
    """A client whose ClientHello was answered, and which then sends nothing."""
    client = case.client(postern, context=tls_context(pki.authority().pem), handshake=False,
                         **options)
    client.raw_send(client.hello())
    case.assertNotEqual(client.raw_recv(), b"")
    return client


class FirstByte(Case):
    def test_the_broker_is_dialled_at_the_first_byte(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "first-byte",
                                                 "first_data_timeout": "10s"})
        for version in BOTH:
            client = self.client(postern, version)
            self.assertFalse(broker.has_connection(wait=0.3))
            client.send(b"x")
            peer = broker.accept()
            self.assertEqual(peer.recv_exactly(1), b"x")
            peer.send(b"y")
            self.assertEqual(client.recv_exactly(1), b"y")

    def test_a_client_that_closes_without_a_byte_costs_no_connection(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "first-byte",
                                                 "first_data_timeout": "10s"})
        ends = {"close": "client_closed", "end_sending": "client_closed",
                "cut": "client_truncated", "reset": "client_reset"}
        for version in BOTH:
            for end, reason in ends.items():
                with self.subTest(version=version, end=end):
                    client = self.client(postern, version)
                    getattr(client, end)()
                    event = postern.end_of(client)
                    if event.name == "session end":  # a reset may have overtaken the last flight
                        self.assertIn(event["reason"], {reason, "client_reset"})
                        self.assertEqual((event["backend"], event["up"]), ("-", "0"))
        self.assertFalse(broker.has_connection())

    def test_what_a_client_sends_right_before_it_closes_arrives(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "first-byte",
                                                 "first_data_timeout": "10s"})
        for version in BOTH:
            client = self.client(postern, version)
            client.send(b"last words")
            client.end_sending()
            self.assertEqual(broker.accept().recv_all(), b"last words")

    def test_a_client_that_says_nothing_is_disconnected(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "first-byte",
                                                 "first_data_timeout": "400ms",
                                                 "handshake_timeout": "1h"})
        for version in BOTH:
            start = time.monotonic()
            client = self.client(postern, version)
            self.assertEqual(client.recv(), b"")  # close_notify
            self.assertEqual(postern.end_of(client)["reason"], "first_data_timeout")
            self.assertGreater(time.monotonic() - start, 0.35)
            self.assertLess(time.monotonic() - start, 5 * SLOW)
        self.assertFalse(broker.has_connection())

    def test_after_its_first_byte_a_client_may_be_silent(self):
        postern = self.postern(self.fake_broker(echo), listener={"first_data_timeout": "300ms"})
        client = self.client(postern)
        client.send(b"x")
        client.recv_exactly(1)
        self.assertRaises(AssertionError, postern.wait, "session end", timeout=0.9)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_first_data_timeout_off_means_no_limit(self):
        postern = self.postern(self.fake_broker(echo), listener={
            "first_data_timeout": "off", "handshake_timeout": "300ms"})
        client = self.client(postern)
        self.assertRaises(AssertionError, postern.wait, "session end", timeout=0.8)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")


class DialAtOnce(Case):
    def test_the_broker_may_speak_first(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "handshake",
                                                 "first_data_timeout": "off"})
        for version in BOTH:
            client = self.client(postern, version)
            peer = broker.accept()
            peer.send(b"220 ready")
            self.assertEqual(client.recv_exactly(9), b"220 ready")
            client.send(b"EHLO")
            self.assertEqual(peer.recv_exactly(4), b"EHLO")

    def test_the_client_must_answer_in_time_however_much_the_broker_says(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={
            "dial": "handshake", "first_data_timeout": "600ms", "idle_timeout": "1h"})
        client = self.client(postern)
        peer = broker.accept()
        try:
            while not postern.all("session end"):
                peer.send(b"hello?")
                select.select([], [], [], 0.05)
        except OSError:
            pass
        self.assertEqual(postern.end_of(client)["reason"], "first_data_timeout")

    def test_once_it_has_answered_idle_timeout_applies(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={
            "dial": "handshake", "first_data_timeout": "300ms", "idle_timeout": "1200ms"})
        client = self.client(postern)
        peer = broker.accept()
        start = time.monotonic()
        client.send(b"x")
        peer.recv_exactly(1)
        self.assertEqual(postern.end_of(client)["reason"], "idle_timeout")
        self.assertGreater(time.monotonic() - start, 1.1)

    def check(self, keys):
        text = self.config("127.0.0.1:1", listener=keys)
        return run_program("--check", "-c", self.write("postern.conf", text))

    def test_dial_handshake_with_mqtt_on_is_refused(self):
        done = self.check({"dial": "handshake", "mqtt": "check"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("dial = handshake with mqtt = check", done.stderr)

    def test_no_time_limit_without_it_is_warned_about(self):
        done = self.check({"first_data_timeout": "off"})
        self.assertEqual(done.returncode, 0)
        self.assertIn("write dial = handshake as well", done.stderr)
        for fine in ({"first_data_timeout": "off", "dial": "handshake"},
                     {"first_data_timeout": "off", "mqtt": "check"}):
            self.assertNotIn("first_data_timeout", self.check(fine).stderr)


class Room(Case):
    """There are fewer places than clients; those that have said nothing make room."""

    def talks(self, client):
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def is_served(self, postern, seconds=10):
        start = time.monotonic()
        client = self.client(postern)
        self.talks(client)
        self.assertLess(time.monotonic() - start, seconds * SLOW)
        return client

    def test_idle_clients_hold_neither_descriptors_nor_brokers(self):
        broker = self.fake_broker(echo)
        postern = self.postern(broker, descriptors=150, listener={"first_data_timeout": "1h"})
        inside = self.is_served(postern)
        idle = [self.client(postern, handshake=False) for _ in range(80)]
        for client in idle:
            try:
                client.sock.settimeout(3 * SLOW)
                client.handshake()
            except GONE:
                pass
        for _ in range(5):
            self.is_served(postern)
        self.talks(inside)
        self.assertEqual(broker.connections(), 6)
        self.assertEqual(postern.wait("session end", reason="first_data_timeout")["error"],
                         "made room for another client")

    def test_with_mqtt_on_an_incomplete_connect_makes_room(self):
        postern = self.postern(self.fake_broker(echo), descriptors=150,
                               listener={"mqtt": "check", "connect_packet_timeout": "1h"})
        packet = mqtt_connect("device")
        for _ in range(60):
            try:
                client = self.client(postern, handshake=False)
                client.sock.settimeout(3 * SLOW)
                client.handshake()
                client.send(packet[:5])
            except GONE:
                pass
        client = self.client(postern)
        client.send(packet)
        self.assertEqual(client.recv_exactly(len(packet)), packet)
        self.assertEqual(postern.wait("session end")["reason"], "connect_packet_timeout")

    def test_clients_that_sent_a_part_of_a_hello_make_room(self):
        postern = self.postern(self.fake_broker(echo), descriptors=150,
                               listener={"handshake_timeout": "1h"})
        for _ in range(80):
            self.tcp_client(postern).raw_send(b"\x16\x03\x01")
        self.is_served(postern)
        self.assertEqual(postern.wait("handshake failed")["reason"], "limit_connections")

    def test_clients_that_sent_only_a_proxy_header_make_room(self):
        postern = self.postern(self.fake_broker(echo), descriptors=150, listener={
            "accept_proxy": "127.0.0.2", "handshake_timeout": "1h", "first_byte_timeout": "1h"})
        for _ in range(80):
            client = self.tcp_client(postern, source="127.0.0.2")
            client.raw_send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 8883\r\n")
        self.is_served(postern)

    def test_at_max_connections_idle_clients_make_room_and_others_do_not(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "1"}, listener={
            "max_connections": "6", "first_data_timeout": "1h"})
        inside = [self.is_served(postern) for _ in range(3)]
        idle = [self.client(postern) for _ in range(3)]
        served = [self.is_served(postern) for _ in range(3)]
        for client in idle:
            self.assertEqual(postern.end_of(client)["reason"], "first_data_timeout")
        for client in inside + served:
            self.talks(client)
        late = self.tcp_client(postern)
        self.assertEqual(late.raw_end()[0], b"")
        self.assertEqual(postern.end_of(late)["reason"], "limit_connections")

    def test_an_addresss_own_idle_clients_make_room_for_it(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "1"}, listener={
            "max_connections_per_address": "2", "first_data_timeout": "1h"})
        other = self.client(postern)
        idle = [self.client(postern, source="127.0.0.2") for _ in range(2)]
        select.select([], [], [], 1.1)  # within a second nobody has to go
        client = self.client(postern, source="127.0.0.2")
        self.talks(client)
        self.assertEqual(postern.end_of(idle[0])["reason"], "first_data_timeout")
        self.talks(idle[1])
        self.talks(other)
        late = self.tcp_client(postern, source="127.0.0.2")
        self.assertEqual(postern.end_of(late)["reason"], "limit_address")

    def test_one_place_that_is_missing_costs_one_session(self):
        """Four workers: whichever has to ask the others, a single idle client goes."""
        postern = self.postern(self.fake_broker(echo), main={"workers": "4"}, listener={
            "max_connections": "40", "first_data_timeout": "1h"})
        idle = [self.client(postern) for _ in range(40)]
        select.select([], [], [], 1.1)
        self.is_served(postern)
        ended = [c for c in idle if postern.all("session end", peer=c.peer)]
        self.assertEqual(len(ended), 1)

    def test_a_crowd_of_every_kind_refuses_nobody(self):
        """Descriptors for 109 sessions, and 280 clients that mean no good."""
        postern = self.postern(self.fake_broker(echo), descriptors=300)
        inside = [self.is_served(postern) for _ in range(5)]
        for number in range(140):
            client = self.tcp_client(postern)
            if number % 2:
                client.raw_send(b"\x16")
        for _ in range(60):
            self.tcp_client(postern).raw_send(
                self.client(postern, context=tls_context(pki.authority().pem),
                            handshake=False).hello())
        for _ in range(20):
            idle = self.client(postern, handshake=False)
            try:
                idle.sock.settimeout(1)
                idle.handshake()
            except GONE:
                pass
        before, start = postern.cpu_seconds(), time.monotonic()
        for _ in range(10):
            self.is_served(postern)
        used, took = postern.cpu_seconds() - before, time.monotonic() - start
        self.assertLess(used, 0.5 * SLOW + 0.2 * took)
        for client in inside:
            self.talks(client)


if __name__ == "__main__":
    main()
